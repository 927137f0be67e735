import io.unitycatalog.client.ApiClient;
import io.unitycatalog.client.ApiClientBuilder;
import io.unitycatalog.client.ApiException;
import io.unitycatalog.client.api.*;
import io.unitycatalog.client.auth.TokenProvider;
import io.unitycatalog.client.model.*;
import java.util.*;

/** Every call of the catalog that Unity Catalog's own Java client 0.6.0 has: UnityCatalogClient URL TOKEN. */
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

    public static void main(String[] args) throws Exception {
        ApiClient client = connect(args[0], args[1]);
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
        check(t.getAwsTempCredentials() == null && t.getExpirationTime() == null, "a file needs no credentials");
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
        CatalogsApi stranger = new CatalogsApi(connect(args[0], "wrong"));
        refused(401, "UNAUTHENTICATED", () -> stranger.getCatalog("java"));

        tables.deleteTable("java.s.e0");
        schemas.deleteSchema("java.s", true);
        catalogs.deleteCatalog("java", false);
    }
}
