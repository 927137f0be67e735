import io.unitycatalog.client.ApiClient;
import io.unitycatalog.client.ApiClientBuilder;
import io.unitycatalog.client.ApiException;
import io.unitycatalog.client.api.*;
import io.unitycatalog.client.auth.TokenProvider;
import io.unitycatalog.client.model.*;
import java.util.*;

/**
 * What Unity Catalog's own Java client 0.6.0 can ask for: UnityCatalogClient URL TOKEN FOLDER AREA, where AREA is the
 * name of a method below.
 */
public class UnityCatalogClient {
    interface Call {
        Object run() throws ApiException;
    }

    static void check(boolean ok, String what) {
        if (!ok) throw new AssertionError(what);
    }

    /** The server refuses the call with this status and error code. */
    static void refused(int code, String error, Call call) {
        try {
            call.run();
        } catch (ApiException e) {
            check(e.getCode() == code && e.getResponseBody().contains("\"error_code\":\"" + error + "\""),
                e.getCode() + " " + e.getResponseBody());
            return;
        }
        throw new AssertionError("not refused: " + error);
    }

    static ApiClient connect(String url, String token) {
        return ApiClientBuilder.create().uri(url)
            .tokenProvider(TokenProvider.create(Map.of("type", "static", "token", token))).build();
    }

    static CreateTable table(String name) {
        ColumnInfo id = new ColumnInfo().name("id").typeText("bigint").typeName(ColumnTypeName.LONG).position(0)
            .nullable(true).typeJson("{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}");
        return new CreateTable().name(name).catalogName("java").schemaName("s").columns(List.of(id))
            .dataSourceFormat(DataSourceFormat.DELTA);
    }

    static ApiClient client;
    static String folder;

    public static void main(String[] args) throws Exception {
        client = connect(args[0], args[1]);
        folder = "file://" + args[2];
        switch (args[3]) {
            case "tables" -> tables(args[0]);
            case "volumes" -> volumes();
            case "functions" -> functions();
            case "models" -> models();
            case "storage" -> storage();
            case "commits" -> commits();
            case "grants" -> grants();
            default -> throw new IllegalArgumentException(args[3]);
        }
    }

    /** A catalog of the area's own, with schema s. */
    static void begin(String catalog) throws ApiException {
        new CatalogsApi(client).createCatalog(new CreateCatalog().name(catalog));
        new SchemasApi(client).createSchema(new CreateSchema().name("s").catalogName(catalog));
    }

    static void end(String catalog) throws ApiException {
        new CatalogsApi(client).deleteCatalog(catalog, true);
    }

    static void volumes() throws ApiException {
        begin("java_volumes");
        VolumesApi volumes = new VolumesApi(client);
        VolumeInfo managed = volumes.createVolume(new CreateVolumeRequestContent().catalogName("java_volumes")
            .schemaName("s").name("m").volumeType(VolumeType.MANAGED).comment("files"));
        check(managed.getFullName().equals("java_volumes.s.m") && managed.getVolumeType() == VolumeType.MANAGED
            && managed.getStorageLocation().startsWith("file:///"), managed.toString());
        VolumeInfo external = volumes.createVolume(new CreateVolumeRequestContent().catalogName("java_volumes")
            .schemaName("s").name("e").volumeType(VolumeType.EXTERNAL).storageLocation(folder + "/volume"));
        check(external.getStorageLocation().equals(folder + "/volume"), external.toString());
        check(volumes.getVolume("java_volumes.s.m").equals(managed), "get volume");
        ListVolumesResponseContent page = volumes.listVolumes("java_volumes", "s", 1, null);
        check(page.getVolumes().equals(List.of(external)) && !page.getNextPageToken().isEmpty(), page.toString());
        page = volumes.listVolumes("java_volumes", "s", 1, page.getNextPageToken());
        check(page.getVolumes().equals(List.of(managed)), page.toString());
        TemporaryCredentials t = new TemporaryCredentialsApi(client).generateTemporaryVolumeCredentials(
            new GenerateTemporaryVolumeCredential().volumeId(managed.getVolumeId())
                .operation(VolumeOperation.WRITE_VOLUME));
        check(t.getUrl().equals(managed.getStorageLocation()), "url of credentials");
        managed = volumes.updateVolume("java_volumes.s.m", new UpdateVolumeRequestContent().newName("n").comment("x"));
        check(managed.getName().equals("n") && managed.getComment().equals("x"), managed.toString());
        refused(404, "NOT_FOUND", () -> volumes.getVolume("java_volumes.s.m"));
        refused(400, "RESOURCE_ALREADY_EXISTS", () -> volumes.createVolume(new CreateVolumeRequestContent()
            .catalogName("java_volumes").schemaName("s").name("e").volumeType(VolumeType.MANAGED)));
        volumes.deleteVolume("java_volumes.s.n");
        refused(404, "NOT_FOUND", () -> volumes.deleteVolume("java_volumes.s.n"));
        end("java_volumes");
    }

    static void functions() throws ApiException {
        begin("java_functions");
        FunctionsApi functions = new FunctionsApi(client);
        CreateFunction twice = new CreateFunction().name("twice").catalogName("java_functions").schemaName("s")
            .inputParams(new FunctionParameterInfos().addParametersItem(new FunctionParameterInfo().name("x")
                .typeText("int").typeJson("\"int\"").typeName(ColumnTypeName.INT).position(0)))
            .dataType(ColumnTypeName.INT).fullDataType("int").routineBody(CreateFunction.RoutineBodyEnum.EXTERNAL)
            .routineDefinition("return x * 2").externalLanguage("python")
            .parameterStyle(CreateFunction.ParameterStyleEnum.S).isDeterministic(true)
            .sqlDataAccess(CreateFunction.SqlDataAccessEnum.NO_SQL).isNullCall(false)
            .securityType(CreateFunction.SecurityTypeEnum.DEFINER).specificName("twice").properties("{}")
            .comment("doubles");
        FunctionInfo made = functions.createFunction(new CreateFunctionRequest().functionInfo(twice));
        check(made.getFullName().equals("java_functions.s.twice") && made.getDataType() == ColumnTypeName.INT
            && made.getInputParams().getParameters().get(0).getName().equals("x")
            && made.getRoutineDefinition().equals("return x * 2"), made.toString());
        check(functions.getFunction("java_functions.s.twice").equals(made), "get function");
        check(functions.listFunctions("java_functions", "s", 10, null).getFunctions().equals(List.of(made)), "list");
        refused(400, "RESOURCE_ALREADY_EXISTS",
            () -> functions.createFunction(new CreateFunctionRequest().functionInfo(twice)));
        functions.deleteFunction("java_functions.s.twice");
        refused(404, "NOT_FOUND", () -> functions.getFunction("java_functions.s.twice"));
        end("java_functions");
    }

    static void models() throws ApiException {
        begin("java_models");
        RegisteredModelsApi models = new RegisteredModelsApi(client);
        ModelVersionsApi versions = new ModelVersionsApi(client);
        RegisteredModelInfo model = models.createRegisteredModel(new CreateRegisteredModel().name("m")
            .catalogName("java_models").schemaName("s").comment("net"));
        check(models.getRegisteredModel("java_models.s.m").equals(model), "get model");
        check(models.listRegisteredModels("java_models", "s", 10, null).getRegisteredModels().equals(List.of(model)),
            "list models");
        ModelVersionInfo first = versions.createModelVersion(new CreateModelVersion().modelName("m")
            .catalogName("java_models").schemaName("s").source("runs:/1").runId("1"));
        check(first.getVersion() == 1 && first.getStatus() == ModelVersionStatus.PENDING_REGISTRATION,
            first.toString());
        TemporaryCredentials t = new TemporaryCredentialsApi(client).generateTemporaryModelVersionCredentials(
            new GenerateTemporaryModelVersionCredential().catalogName("java_models").schemaName("s").modelName("m")
                .version(1L).operation(ModelVersionOperation.READ_WRITE_MODEL_VERSION));
        check(t.getUrl().equals(first.getStorageLocation()), "url of credentials");
        first = versions.finalizeModelVersion("java_models.s.m", 1L,
            new FinalizeModelVersion().fullName("java_models.s.m").version(1L));
        check(first.getStatus() == ModelVersionStatus.READY, first.toString());
        check(versions.createModelVersion(new CreateModelVersion().modelName("m").catalogName("java_models")
            .schemaName("s").source("runs:/2")).getVersion() == 2, "second version");
        check(versions.updateModelVersion("java_models.s.m", 2L, new UpdateModelVersion().comment("better"))
            .getComment().equals("better"), "update version");
        check(versions.listModelVersions("java_models.s.m", 10, null).getModelVersions().size() == 2, "versions");
        check(versions.getModelVersion("java_models.s.m", 1L).equals(first), "get version");
        versions.deleteModelVersion("java_models.s.m", 2L);
        model = models.updateRegisteredModel("java_models.s.m", new UpdateRegisteredModel().newName("n"));
        check(model.getFullName().equals("java_models.s.n"), model.toString());
        refused(404, "NOT_FOUND", () -> models.getRegisteredModel("java_models.s.m"));
        models.deleteRegisteredModel("java_models.s.n", true);
        end("java_models");
    }

    static void storage() throws ApiException {
        CredentialsApi credentials = new CredentialsApi(client);
        ExternalLocationsApi locations = new ExternalLocationsApi(client);
        CredentialInfo role = credentials.createCredential(new CreateCredentialRequest().name("java_role")
            .purpose(CredentialPurpose.STORAGE)
            .awsIamRole(new AwsIamRoleRequest().roleArn("arn:aws:iam::123456789012:role/java")));
        check(role.getAwsIamRole().getRoleArn().endsWith("role/java"), role.toString());
        check(credentials.getCredential("java_role").equals(role), "get credential");
        check(credentials.listCredentials(100, null, CredentialPurpose.STORAGE).getCredentials().contains(role),
            "list credentials");
        check(credentials.updateCredential("java_role", new UpdateCredentialRequest().comment("c")).getComment()
            .equals("c"), "update credential");
        ExternalLocationInfo place = locations.createExternalLocation(new CreateExternalLocation().name("java_place")
            .url("s3://java-bucket/place").credentialName("java_role"));
        check(place.getCredentialId().equals(role.getId()), place.toString());
        check(locations.getExternalLocation("java_place").equals(place), "get location");
        check(locations.listExternalLocations(100, null).getExternalLocations().contains(place), "list locations");
        place = locations.updateExternalLocation("java_place", new UpdateExternalLocation().newName("java_spot"));
        check(place.getName().equals("java_spot"), place.toString());
        locations.deleteExternalLocation("java_spot", false);
        credentials.deleteCredential("java_role", false);
        refused(404, "NOT_FOUND", () -> credentials.getCredential("java_role"));
    }

    static DeltaCommit commit(TableInfo table, long version, String file) {
        return new DeltaCommit().tableId(table.getTableId()).tableUri(table.getStorageLocation())
            .commitInfo(new DeltaCommitInfo().version(version).timestamp(1_700_000_000_000L + version).fileName(file)
                .fileSize(100L).fileModificationTimestamp(1_700_000_000_000L));
    }

    static void commits() throws ApiException {
        begin("java_commits");
        TablesApi tables = new TablesApi(client);
        DeltaCommitsApi commits = new DeltaCommitsApi(client);
        StagingTableInfo staging = tables.createStagingTable(
            new CreateStagingTable().name("t").catalogName("java_commits").schemaName("s"));
        TableInfo t = tables.createTable(table("t").catalogName("java_commits").tableType(TableType.MANAGED)
            .storageLocation(staging.getStagingLocation())
            .properties(Map.of("io.unitycatalog.tableId", staging.getId())));
        commits.commit(commit(t, 1, "1.a.json"));
        commits.commit(commit(t, 1, "1.a.json")); // told again: the answer to the first may have been lost
        refused(409, "COMMIT_VERSION_CONFLICT", () -> commits.commit(commit(t, 1, "1.b.json")));
        refused(400, "INVALID_ARGUMENT", () -> commits.commit(commit(t, 3, "3.a.json")));
        for (long v = 2; v <= 10; v++) commits.commit(commit(t, v, v + ".a.json"));
        refused(429, "RESOURCE_EXHAUSTED", () -> commits.commit(commit(t, 11, "11.a.json")));
        DeltaGetCommits range = new DeltaGetCommits().tableId(t.getTableId()).tableUri(t.getStorageLocation())
            .startVersion(4L).endVersion(6L);
        DeltaGetCommitsResponse found = commits.getCommits(range);
        check(found.getLatestTableVersion() == 10 && found.getCommits().size() == 3, found.toString());
        commits.commit(new DeltaCommit().tableId(t.getTableId()).tableUri(t.getStorageLocation())
            .latestBackfilledVersion(10L));
        found = commits.getCommits(range.startVersion(0L).endVersion(null));
        check(found.getLatestTableVersion() == 10 && found.getCommits().isEmpty(), found.toString());
        commits.commit(commit(t, 11, "11.a.json").latestBackfilledVersion(10L));
        TableInfo external = tables.createTable(table("e").catalogName("java_commits").tableType(TableType.EXTERNAL)
            .storageLocation(folder + "/java_commits"));
        refused(400, "INVALID_ARGUMENT", () -> commits.commit(commit(external, 1, "1.a.json")));
        end("java_commits");
    }

    static void grants() throws ApiException {
        begin("java_grants");
        GrantsApi grants = new GrantsApi(client);
        String who = "java-grants@example.com";
        PermissionsList list = grants.update(SecurableType.SCHEMA, "java_grants.s", new UpdatePermissions()
            .addChangesItem(new PermissionsChange().principal(who).addAddItem(Privilege.USE_SCHEMA)
                .addAddItem(Privilege.SELECT)));
        check(list.getPrivilegeAssignments().size() == 1, list.toString());
        list = grants.get(SecurableType.SCHEMA, "java_grants.s", who);
        check(Set.copyOf(list.getPrivilegeAssignments().get(0).getPrivileges())
            .equals(Set.of(Privilege.USE_SCHEMA, Privilege.SELECT)), list.toString());
        grants.update(SecurableType.SCHEMA, "java_grants.s", new UpdatePermissions().addChangesItem(
            new PermissionsChange().principal(who).addRemoveItem(Privilege.SELECT).addRemoveItem(
                Privilege.USE_SCHEMA)));
        list = grants.get(SecurableType.SCHEMA, "java_grants.s", who);
        check(list.getPrivilegeAssignments().isEmpty(), list.toString());
        end("java_grants");
    }

    static void tables(String url) throws ApiException {
        CatalogsApi catalogs = new CatalogsApi(client);
        SchemasApi schemas = new SchemasApi(client);
        TablesApi tables = new TablesApi(client);
        TemporaryCredentialsApi credentials = new TemporaryCredentialsApi(client);

        CatalogInfo c = catalogs.createCatalog(
            new CreateCatalog().name("java").comment("\u00e9").properties(Map.of("a", "b")));
        check(c.getComment().equals("\u00e9") && c.getProperties().get("a").equals("b"), "catalog");
        check(catalogs.getCatalog("java").equals(c), "get catalog");
        c = catalogs.updateCatalog("java", new UpdateCatalog().comment("new"));
        check(c.getComment().equals("new"), "update catalog");
        check(catalogs.listCatalogs(null, 0).getCatalogs().contains(c), "list catalogs");
        SchemaInfo s = schemas.createSchema(new CreateSchema().name("s").catalogName("java"));
        check(s.getFullName().equals("java.s"), "schema");

        StagingTableInfo staging = tables.createStagingTable(
            new CreateStagingTable().name("m").catalogName("java").schemaName("s"));
        TemporaryCredentials t = credentials.generateTemporaryTableCredentials(
            new GenerateTemporaryTableCredential().tableId(staging.getId()).operation(TableOperation.READ_WRITE));
        check(t.getUrl().equals(staging.getStagingLocation()), "url of credentials");
        check(t.getAwsTempCredentials() == null, "a file needs no credentials of a cloud");
        TableInfo m = tables.createTable(table("m").tableType(TableType.MANAGED)
            .storageLocation(staging.getStagingLocation())
            .properties(Map.of("io.unitycatalog.tableId", staging.getId())));
        check(m.getTableId().equals(staging.getId()), "managed table");
        check(m.getColumns().get(0).getTypeName() == ColumnTypeName.LONG, "column");
        for (int i = 0; i < 5; i++)
            tables.createTable(table("e" + i).tableType(TableType.EXTERNAL).storageLocation("file:///tmp/e" + i));

        List<String> names = new ArrayList<>();
        String page = null;
        do {
            ListTablesResponse r = tables.listTables("java", "s", 2, page);
            r.getTables().forEach(x -> names.add(x.getName()));
            page = r.getNextPageToken();
        } while (page != null && !page.isEmpty());
        check(names.equals(List.of("e0", "e1", "e2", "e3", "e4", "m")), names.toString());
        TableInfo e = tables.getTable("java.s.e1", null, null);
        check(e.getStorageLocation().equals("file:///tmp/e1") && e.getTableType() == TableType.EXTERNAL, "external");
        t = credentials.generateTemporaryPathCredentials(
            new GenerateTemporaryPathCredential().url("file:///tmp/x/").operation(PathOperation.PATH_CREATE_TABLE));
        check(t.getUrl().equals("file:///tmp/x"), "path");
        check(new MetastoresApi(client).summary().getMetastoreId().length() == 36, "metastore");

        refused(404, "TABLE_NOT_FOUND", () -> tables.getTable("java.s.none", null, null));
        refused(404, "SCHEMA_NOT_FOUND", () -> schemas.getSchema("java.none"));
        refused(400, "CATALOG_ALREADY_EXISTS", () -> catalogs.createCatalog(new CreateCatalog().name("java")));
        refused(400, "FAILED_PRECONDITION", () -> schemas.deleteSchema("java.s", false));
        refused(400, "INVALID_ARGUMENT", () -> catalogs.createCatalog(new CreateCatalog().name("a b")));
        CatalogsApi stranger = new CatalogsApi(connect(url, "wrong"));
        refused(401, "UNAUTHENTICATED", () -> stranger.getCatalog("java"));

        tables.deleteTable("java.s.e0");
        schemas.deleteSchema("java.s", true);
        catalogs.deleteCatalog("java", false);
    }
}
