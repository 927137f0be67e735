package io.isthmus.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.analysis.NamespaceAlreadyExistsException;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.catalyst.analysis.NonEmptyNamespaceException;
import org.apache.spark.sql.catalyst.analysis.TableAlreadyExistsException;
import org.apache.spark.sql.catalyst.catalog.CatalogStorageFormat;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.catalyst.catalog.CatalogTableType;
import org.apache.spark.sql.connector.catalog.CatalogV2Util;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.NamespaceChange;
import org.apache.spark.sql.connector.catalog.SupportsNamespaces;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.connector.catalog.TableChange;
import org.apache.spark.sql.connector.catalog.TableInfo;
import org.apache.spark.sql.connector.catalog.TableSummary;
import org.apache.spark.sql.connector.catalog.V1Table;
import org.apache.spark.sql.connector.expressions.NamedReference;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The names of one catalog on a Unity Catalog server: what is where, and nothing of what is in it. Delta's own catalog
 * asks it for a table's location, and for leave to go there, and reads schema and everything else from the table's log.
 */
public class Names implements TableCatalog, SupportsNamespaces {
    /** The property by which a managed table's log tells the id that the server reserved for it. */
    static final String TABLE_ID = "io.unitycatalog.tableId";

    /** A table as the server knows it, or the place for a new one. */
    record Entry(String id, Path path, boolean managed, JsonNode json) {
        /** A place that was reserved by the Delta API. */
        boolean isByDeltaApi() {
            return managed && json.has("table-id");
        }
    }

    /** A table that Delta is making: what is wanted, and where it goes. Delta calls back on the same thread. */
    private record Making(Entry entry, TableInfo info) {
    }

    private final Server server;
    private final DeltaApi deltaApi;
    private final Vending vending;
    private final ThreadLocal<Making> making = new ThreadLocal<>();
    private final ThreadLocal<Boolean> writing = ThreadLocal.withInitial(() -> false);
    private String catalog;

    protected Names(Server server) {
        this.server = server;
        this.deltaApi = new DeltaApi(server);
        this.vending = new Vending(server, deltaApi);
    }

    @Override
    public void initialize(String name, CaseInsensitiveStringMap options) {
        catalog = name;
    }

    @Override
    public String name() {
        return catalog;
    }

    @Override
    public String[] defaultNamespace() {
        return new String[] {"default"};
    }

    // Names

    /** A path in the place of a name (delta.`/some/path`), which Delta's catalog resolves by itself. */
    static boolean isPath(Identifier ident) {
        return ident.namespace().length == 1 && ident.namespace()[0].equalsIgnoreCase("delta")
            && ident.name().indexOf('/') >= 0;
    }

    /** "main.demo.scores"; a name of another form is refused here, before it can mean something else to the server. */
    String fullName(Identifier ident) {
        String[] namespace = ident.namespace();
        String dotted = catalog + "." + String.join(".", namespace) + (namespace.length == 0 ? "" : ".") + ident.name();
        if (namespace.length != 1) {
            throw Failure.raise(dotted + ": a table's name has three parts, catalog.schema.table; this one has "
                + (namespace.length + 2));
        }
        if (namespace[0].indexOf('.') >= 0 || ident.name().indexOf('.') >= 0) {
            throw Failure.raise(dotted + ": a part of a table's name cannot have a dot in it");
        }
        return dotted;
    }

    private String schemaName(String[] namespace) {
        String dotted = catalog + "." + String.join(".", namespace);
        if (namespace.length != 1) {
            throw Failure.raise(dotted + ": a schema's name has two parts, catalog.schema; this one has "
                + (namespace.length + 1));
        }
        if (namespace[0].indexOf('.') >= 0) {
            throw Failure.raise(dotted + ": a part of a schema's name cannot have a dot in it");
        }
        return dotted;
    }

    private RuntimeException unexpected(String name, Server.Refused e) {
        if (e.code.equals("CATALOG_NOT_FOUND")) {
            throw Failure.raise("catalog " + catalog + " does not exist on the server at " + server.uri
                + ", or this token's principal may not know of it: that needs USE CATALOG", e);
        }
        throw Failure.raise(name + ": " + e.getMessage(), e);
    }

    // Tables

    Entry find(Identifier ident) throws NoSuchTableException {
        String name = fullName(ident);
        try {
            JsonNode json = server.get("/tables/" + Server.encode(name));
            String format = json.path("data_source_format").asText("");
            String location = json.path("storage_location").asText("");
            if (!format.equalsIgnoreCase("DELTA")) {
                throw Failure.raise(name + " is " + (format.isEmpty() ? "no table of a known format" : "a " + format
                    + " table") + "; this catalog plugin opens Delta tables");
            }
            if (location.isEmpty()) {
                throw Failure.raise(name + ": the catalog server at " + server.uri + " gave no storage location");
            }
            return new Entry(json.path("table_id").asText(""), Locations.toPath(location),
                json.path("table_type").asText("").equals("MANAGED"), json);
        } catch (Server.Refused e) {
            if (e.isNotFound()) {
                throw new NoSuchTableException(ident);
            }
            throw unexpected(name, e);
        }
    }

    interface Work<T> {
        T run() throws NoSuchTableException, TableAlreadyExistsException, NoSuchNamespaceException;
    }

    /** Let Delta open tables to write to them: without leave for that they are not opened. */
    <T> T toWrite(Work<T> work) throws NoSuchTableException, TableAlreadyExistsException, NoSuchNamespaceException {
        boolean before = writing.get();
        writing.set(true);
        try {
            return work.run();
        } finally {
            writing.set(before);
        }
    }

    /** Let Delta make a table: it calls {@link #createTable} when the table is whole. */
    <T> T toMake(Entry entry, TableInfo info, Work<T> work)
        throws NoSuchTableException, TableAlreadyExistsException, NoSuchNamespaceException {
        making.set(new Making(entry, info));
        try {
            return work.run();
        } finally {
            making.remove();
        }
    }

    /**
     * Delta's catalog takes the location from here, and settings for Hadoop's file systems as the storage's properties;
     * the columns it reads from the log, so none are given.
     */
    @Override
    public Table loadTable(Identifier ident) throws NoSuchTableException {
        if (ident.name().indexOf('/') >= 0) { // delta.`/some/path`, parquet.`/some/path`: read as files then
            throw new NoSuchTableException(ident);
        }
        Entry entry = find(ident);
        CatalogStorageFormat none = CatalogStorageFormat.empty();
        CatalogStorageFormat storage = new CatalogStorageFormat(Option.apply(entry.path.toUri()), none.inputFormat(),
            none.outputFormat(), none.serde(), none.compressed(),
            scala.collection.immutable.Map$.MODULE$.from(CollectionConverters.asScala(access(ident, entry))),
            none.serdeName());
        return new V1Table(new CatalogTable(
            new TableIdentifier(ident.name(), Option.apply(ident.namespace()[0]), Option.apply(catalog)),
            entry.managed ? CatalogTableType.MANAGED() : CatalogTableType.EXTERNAL(), storage, new StructType(),
            Option.apply("delta"), CatalogTable.apply$default$6(), CatalogTable.apply$default$7(),
            entry.json.path("owner").asText(""), entry.json.path("created_at").asLong(0),
            CatalogTable.apply$default$10(), CatalogTable.apply$default$11(), CatalogTable.apply$default$12(),
            CatalogTable.apply$default$13(), CatalogTable.apply$default$14(),
            Option.apply(entry.json.path("comment").asText(null)), CatalogTable.apply$default$16(),
            CatalogTable.apply$default$17(), false, CatalogTable.apply$default$19(), CatalogTable.apply$default$20(),
            CatalogTable.apply$default$21(), CatalogTable.apply$default$22()));
    }

    /**
     * Spark tells of some writes only when the table is open (OPTIMIZE, VACUUM, all of DeltaTable.forName), so what may
     * be written is opened for writing, and where Spark has not said that it will write, leave to read is enough.
     */
    private Map<String, String> access(Identifier ident, Entry entry) {
        try {
            try {
                return vending.table(parts(ident), entry, true);
            } catch (Server.Refused e) {
                if (writing.get() || e.status != 403) {
                    throw e;
                }
                return vending.table(parts(ident), entry, false);
            }
        } catch (Server.Refused e) {
            throw unexpected(fullName(ident), e);
        }
    }

    @Override
    public boolean tableExists(Identifier ident) {
        try {
            find(ident);
            return true;
        } catch (NoSuchTableException e) {
            return false;
        }
    }

    private List<String> parts(Identifier ident) {
        return List.of(catalog, ident.namespace()[0], ident.name());
    }

    /** Reserve the id and the location of a managed table that Delta is about to make. */
    Entry reserve(Identifier ident) throws TableAlreadyExistsException, NoSuchNamespaceException {
        String name = fullName(ident);
        ObjectNode body = Server.JSON.createObjectNode().put("name", ident.name()).put("catalog_name", catalog)
            .put("schema_name", ident.namespace()[0]);
        try {
            JsonNode json = server.post("/staging-tables", body);
            String location = json.path("staging_location").asText("");
            if (location.isEmpty()) {
                throw Failure.raise(name + ": the catalog server at " + server.uri + " gave no place for the table");
            }
            return new Entry(json.path("id").asText(), Locations.toPath(location), true, json);
        } catch (Server.Refused e) {
            if (DeltaApi.isWanted(e)) {
                return reserveByDeltaApi(ident, name, e);
            }
            throw refusedToCreate(ident, name, e);
        }
    }

    private Entry reserveByDeltaApi(Identifier ident, String name, Server.Refused before)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        try {
            JsonNode json = deltaApi.reserve(parts(ident));
            return new Entry(json.path("table-id").asText(), Locations.toPath(json.path("location").asText()), true,
                json);
        } catch (Server.Refused e) { // where it is not spoken, what was said first is what there is to tell
            throw refusedToCreate(ident, name, e.isNotFound() || DeltaApi.isWanted(e) ? before : e);
        }
    }

    /** Leave to make a table there, with the settings for Hadoop's file systems that go with it. */
    Map<String, String> accessToMake(Identifier ident, Entry entry) {
        try {
            return entry.managed ? vending.table(parts(ident), entry, true)
                : vending.newExternalTable(URI.create(Locations.toUri(entry.path)));
        } catch (Server.Refused e) {
            throw unexpected(fullName(ident), e);
        }
    }

    /**
     * Give a table that Delta has made its name. For a managed table Delta tells columns and properties as they are in
     * the log; for others it tells none, and what the user asked for stands.
     */
    @Override
    @SuppressWarnings("deprecation") // Delta calls this one of Spark's forms
    public Table createTable(Identifier ident, Column[] made, Transform[] partitions, Map<String, String> properties)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        String name = fullName(ident);
        Entry entry = making.get().entry;
        TableInfo info = making.get().info;
        if (entry.isByDeltaApi()) {
            createByDeltaApi(ident, entry, info);
            return null;
        }
        ObjectNode body = Server.JSON.createObjectNode().put("name", ident.name()).put("catalog_name", catalog)
            .put("schema_name", ident.namespace()[0]).put("table_type", entry.managed ? "MANAGED" : "EXTERNAL")
            .put("data_source_format", "DELTA").put("storage_location", Locations.toUri(entry.path));
        body.set("columns", made.length > 0 ? columns(made, partitions) : columns(info.columns(), info.partitions()));
        ObjectNode kept = body.putObject("properties");
        (entry.managed ? properties : info.properties()).forEach((key, value) -> {
            if (!CatalogV2Util.TABLE_RESERVED_PROPERTIES().contains(key) && !isOption(key, info)) {
                kept.put(key, value);
            }
        });
        if (entry.managed) {
            kept.put(TABLE_ID, entry.id);
        }
        if (info.properties().containsKey(TableCatalog.PROP_COMMENT)) {
            body.put("comment", info.properties().get(TableCatalog.PROP_COMMENT));
        }
        try {
            server.post("/tables", body);
        } catch (Server.Refused e) {
            throw refusedToCreate(ident, name, e);
        }
        return null; // Delta loads the table by its name next
    }

    private void createByDeltaApi(Identifier ident, Entry entry, TableInfo info)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        Configuration conf = ((org.apache.spark.sql.classic.SparkSession) SparkSession.active()).sessionState()
            .newHadoopConf();
        accessToMake(ident, entry).forEach(conf::set);
        try {
            deltaApi.create(parts(ident), entry.json, info.properties().get(TableCatalog.PROP_COMMENT), conf);
        } catch (Server.Refused e) {
            throw refusedToCreate(ident, fullName(ident), e);
        }
    }

    /** Spark hands an option over twice, with a prefix and without. */
    private static boolean isOption(String key, TableInfo info) {
        return key.startsWith(TableCatalog.OPTION_PREFIX)
            || info.properties().containsKey(TableCatalog.OPTION_PREFIX + key);
    }

    private RuntimeException refusedToCreate(Identifier ident, String name, Server.Refused e)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        if (e.isNotFound()) {
            throw new NoSuchNamespaceException(new String[] {catalog, ident.namespace()[0]});
        }
        if (e.isAlreadyExists()) {
            throw new TableAlreadyExistsException(ident);
        }
        throw unexpected(name, e);
    }

    /**
     * Tell the server a table's new columns. They are a courtesy to those who browse the catalog (readers go by the
     * log), so a server that has no such call is left with the old ones.
     */
    void updateColumns(Identifier ident, Table changed) {
        String name = fullName(ident);
        ObjectNode body = Server.JSON.createObjectNode();
        body.set("columns", columns(changed.columns(), changed.partitioning()));
        try {
            server.patch("/tables/" + Server.encode(name), body);
        } catch (Server.Refused e) {
            if (!e.isNotFound() && e.status != 405 && e.status != 501) {
                throw unexpected(name, e);
            }
        }
    }

    /** Unity Catalog's ColumnInfo for each column. */
    private static ArrayNode columns(Column[] all, Transform[] partitioning) {
        Map<String, Integer> partitions = new LinkedHashMap<>();
        for (Transform transform : partitioning) {
            for (NamedReference reference : transform.references()) {
                partitions.put(String.join(".", reference.fieldNames()), partitions.size());
            }
        }
        ArrayNode columns = Server.JSON.createArrayNode();
        for (StructField field : CatalogV2Util.v2ColumnsToStructType(all).fields()) {
            ObjectNode column = columns.addObject().put("name", field.name())
                .put("type_text", field.dataType().catalogString()).put("type_name", typeName(field))
                .put("type_json", typeJson(field)).put("position", columns.size() - 1)
                .put("nullable", field.nullable());
            if (field.getComment().isDefined()) {
                column.put("comment", field.getComment().get());
            }
            if (partitions.containsKey(field.name())) {
                column.put("partition_index", partitions.get(field.name()));
            }
        }
        return columns;
    }

    /** Unity Catalog's ColumnTypeName, which is Spark's word for the type but for these. */
    private static String typeName(StructField field) {
        String word = field.dataType().typeName().replaceFirst("\\(.*", "").toUpperCase(Locale.ROOT);
        return switch (word) {
            case "INTEGER" -> "INT";
            case "VARCHAR" -> "STRING";
            case "VOID" -> "NULL";
            default -> word.startsWith("INTERVAL") ? "INTERVAL" : word;
        };
    }

    private static String typeJson(StructField field) {
        try {
            return Server.JSON.readTree(new StructType(new StructField[] {field}).json()).at("/fields/0").toString();
        } catch (java.io.IOException e) {
            throw new IllegalStateException("Spark's own schema JSON does not parse", e);
        }
    }

    @Override
    public boolean dropTable(Identifier ident) {
        String name = fullName(ident);
        try {
            server.delete("/tables/" + Server.encode(name));
            return true;
        } catch (Server.Refused e) {
            if (e.isNotFound()) {
                return false;
            }
            throw unexpected(name, e);
        }
    }

    @Override
    public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
        return tables(namespace).stream().map(json -> Identifier.of(namespace, json.path("name").asText()))
            .toArray(Identifier[]::new);
    }

    @Override
    public TableSummary[] listTableSummaries(String[] namespace) throws NoSuchNamespaceException {
        return tables(namespace).stream()
            .map(json -> TableSummary.of(Identifier.of(namespace, json.path("name").asText()),
                json.path("table_type").asText(TableSummary.EXTERNAL_TABLE_TYPE)))
            .toArray(TableSummary[]::new);
    }

    private List<JsonNode> tables(String[] namespace) throws NoSuchNamespaceException {
        String name = schemaName(namespace);
        try {
            return server.pages("/tables?catalog_name=" + Server.encode(catalog) + "&schema_name="
                + Server.encode(namespace[0]), "tables");
        } catch (Server.Refused e) {
            throw noSchema(name, namespace, e);
        }
    }

    @Override
    public Table alterTable(Identifier ident, TableChange... changes) {
        throw new UnsupportedOperationException(fullName(ident) + ": only Delta tables can be altered");
    }

    @Override
    public void renameTable(Identifier from, Identifier to) throws NoSuchTableException, TableAlreadyExistsException {
        String name = fullName(from);
        // Spark hands the new name over as it was written: with catalog and schema, with the schema, or without.
        String[] schema = to.namespace();
        boolean sameSchema = schema.length == 0 || schema[schema.length - 1].equals(from.namespace()[0])
            && (schema.length == 1 || schema.length == 2 && schema[0].equals(catalog));
        if (!sameSchema) {
            throw Failure.raise(name + ": a new name cannot move a table to another schema");
        }
        try {
            server.patch("/tables/" + Server.encode(name), Server.JSON.createObjectNode().put("new_name", to.name()));
        } catch (Server.Refused e) {
            if (e.isNotFound()) {
                throw new NoSuchTableException(from);
            }
            if (e.isAlreadyExists()) {
                throw new TableAlreadyExistsException(to);
            }
            throw unexpected(name, e);
        }
    }

    // Schemas

    private RuntimeException noSchema(String name, String[] namespace, Server.Refused e)
        throws NoSuchNamespaceException {
        if (e.isNotFound()) {
            throw new NoSuchNamespaceException(new String[] {catalog, namespace[0]});
        }
        throw unexpected(name, e);
    }

    @Override
    public String[][] listNamespaces() {
        try {
            return server.pages("/schemas?catalog_name=" + Server.encode(catalog), "schemas").stream()
                .map(json -> new String[] {json.path("name").asText()}).toArray(String[][]::new);
        } catch (Server.Refused e) {
            throw unexpected(catalog, e);
        }
    }

    @Override
    public String[][] listNamespaces(String[] namespace) throws NoSuchNamespaceException {
        if (namespace.length == 0) {
            return listNamespaces();
        }
        loadNamespaceMetadata(namespace);
        return new String[0][]; // schemas do not nest
    }

    @Override
    public Map<String, String> loadNamespaceMetadata(String[] namespace) throws NoSuchNamespaceException {
        String name = schemaName(namespace);
        try {
            JsonNode json = server.get("/schemas/" + Server.encode(name));
            Map<String, String> metadata = new LinkedHashMap<>();
            json.path("properties").properties().forEach(p -> metadata.put(p.getKey(), p.getValue().asText()));
            if (json.hasNonNull("comment")) {
                metadata.put(SupportsNamespaces.PROP_COMMENT, json.get("comment").asText());
            }
            if (json.hasNonNull("owner")) {
                metadata.put(SupportsNamespaces.PROP_OWNER, json.get("owner").asText());
            }
            if (json.hasNonNull("storage_root")) {
                metadata.put(SupportsNamespaces.PROP_LOCATION, json.get("storage_root").asText());
            }
            return metadata;
        } catch (Server.Refused e) {
            throw noSchema(name, namespace, e);
        }
    }

    @Override
    public void createNamespace(String[] namespace, Map<String, String> metadata)
        throws NamespaceAlreadyExistsException {
        String name = schemaName(namespace);
        ObjectNode body = Server.JSON.createObjectNode().put("name", namespace[0]).put("catalog_name", catalog);
        ObjectNode properties = body.putObject("properties");
        metadata.forEach((key, value) -> {
            switch (key) {
                case SupportsNamespaces.PROP_COMMENT -> body.put("comment", value);
                case SupportsNamespaces.PROP_LOCATION -> body.put("storage_root", value);
                case SupportsNamespaces.PROP_OWNER -> { } // Spark always sends one; the server goes by the token
                default -> properties.put(key, value);
            }
        });
        try {
            server.post("/schemas", body);
        } catch (Server.Refused e) {
            if (e.isAlreadyExists()) {
                throw new NamespaceAlreadyExistsException(namespace);
            }
            throw unexpected(name, e);
        }
    }

    @Override
    public void alterNamespace(String[] namespace, NamespaceChange... changes) throws NoSuchNamespaceException {
        String name = schemaName(namespace);
        Map<String, String> metadata = CatalogV2Util.applyNamespaceChanges(loadNamespaceMetadata(namespace),
            CollectionConverters.asScala(List.of(changes)).toSeq());
        ObjectNode body = Server.JSON.createObjectNode();
        ObjectNode properties = body.putObject("properties");
        metadata.forEach((key, value) -> {
            switch (key) {
                case SupportsNamespaces.PROP_COMMENT -> body.put("comment", value);
                case SupportsNamespaces.PROP_LOCATION, SupportsNamespaces.PROP_OWNER -> { } // fixed when made
                default -> properties.put(key, value);
            }
        });
        try {
            server.patch("/schemas/" + Server.encode(name), body);
        } catch (Server.Refused e) {
            throw noSchema(name, namespace, e);
        }
    }

    @Override
    public boolean dropNamespace(String[] namespace, boolean cascade) throws NonEmptyNamespaceException {
        String name = schemaName(namespace);
        try {
            if (!cascade && listTables(namespace).length > 0) {
                throw new NonEmptyNamespaceException(namespace);
            }
            server.delete("/schemas/" + Server.encode(name) + (cascade ? "?force=true" : ""));
            return true;
        } catch (NoSuchNamespaceException e) {
            return false;
        } catch (Server.Refused e) {
            if (e.isNotFound()) {
                return false;
            }
            throw unexpected(name, e);
        }
    }
}
