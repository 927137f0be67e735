package io.isthmus.spark;

import io.delta.storage.commit.CommitCoordinatorClient;
import io.unitycatalog.isthmus.UnityCatalogNames;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.analysis.NamespaceAlreadyExistsException;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.catalyst.analysis.NonEmptyNamespaceException;
import org.apache.spark.sql.catalyst.analysis.TableAlreadyExistsException;
import org.apache.spark.sql.connector.catalog.Changelog;
import org.apache.spark.sql.connector.catalog.ChangelogContext;
import org.apache.spark.sql.connector.catalog.Column;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.NamespaceChange;
import org.apache.spark.sql.connector.catalog.StagedTable;
import org.apache.spark.sql.connector.catalog.StagingTableCatalog;
import org.apache.spark.sql.connector.catalog.SupportsNamespaces;
import org.apache.spark.sql.connector.catalog.SupportsWrite;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.connector.catalog.TableCatalogCapability;
import org.apache.spark.sql.connector.catalog.TableChange;
import org.apache.spark.sql.connector.catalog.TableInfo;
import org.apache.spark.sql.connector.catalog.TableSummary;
import org.apache.spark.sql.connector.catalog.TableWritePrivilege;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.connector.metric.CustomTaskMetric;
import org.apache.spark.sql.connector.write.LogicalWriteInfo;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.delta.catalog.DeltaCatalog;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * Spark catalog plugin: Delta tables by the names that a Unity Catalog server (`isthmus serve`) keeps.
 *
 *     spark.sql.catalog.main              io.isthmus.spark.IsthmusCatalog
 *     spark.sql.catalog.main.uri          http://127.0.0.1:8080     (where unset: see {@link Server})
 *     spark.sql.catalog.main.token        ...                       (or tokenFile)
 *     spark.sql.extensions                io.delta.sql.DeltaSparkSessionExtension
 *     spark.sql.catalog.spark_catalog     org.apache.spark.sql.delta.catalog.DeltaCatalog
 *
 * Two halves. {@link Names} knows where each table is and has the server's leave to go there. Delta's own catalog, set
 * on top of it, opens what it finds there, so that reads, INSERT, DELETE, UPDATE, MERGE, ALTER and time travel are
 * Delta's. What is left is to make tables: the server reserves a place, Delta makes the table there, and the name comes
 * last, when the table is whole. A table that failed half-way was never visible, and its files are removed where the
 * location was reserved for it. With TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported') the server ratifies
 * the table's commits ({@link Coordinator}).
 */
public final class IsthmusCatalog implements StagingTableCatalog, SupportsNamespaces {
    /** Whether Delta commits by the API that Unity Catalog has for it (the default), or by its preview. */
    private static final String DELTA_API = "deltaRestApi.enabled";
    private static final String TOKEN = "token";
    private static final String CATALOG_MANAGED = "delta.feature.catalogManaged";
    /** Settings of a table's own: versions and features follow from the others, the rest names what is in its files. */
    private static final List<String> NOT_LIKE = List.of("delta.minReaderVersion", "delta.minWriterVersion",
        "delta.feature.", "delta.columnMapping.maxColumnId", "delta.rowTracking.materialized",
        "delta.inCommitTimestamp", "delta.enableInCommitTimestamps");

    /** All that goes by one token. */
    private static final class Access {
        final String token;
        final Names names;
        final StagingTableCatalog delta;
        private final Map<String, String> coordination;
        private CommitCoordinatorClient coordinator;

        Access(String name, CaseInsensitiveStringMap options) {
            Server server = Server.find("spark.sql.catalog." + name, options);
            token = options.get(TOKEN);
            coordination = new HashMap<>(server.settings());
            coordination.put(DELTA_API, options.getOrDefault(DELTA_API, "true"));
            names = new UnityCatalogNames(server);
            names.initialize(name, options);
            try {
                DeltaCatalog catalog = new DeltaCatalog();
                catalog.setDelegateCatalog(names);
                // No address and no token: Delta is to take tables from the catalog beneath it, not from the server.
                catalog.initialize(name, new CaseInsensitiveStringMap(Map.of(DELTA_API, "false")));
                delta = catalog;
            } catch (NoClassDefFoundError e) {
                throw Failure.raise("catalog " + name + " needs Delta Lake's jars (delta-spark) in spark.jars", e);
            }
        }

        synchronized CommitCoordinatorClient coordinator() {
            if (coordinator == null) {
                coordinator = Coordinator.client(coordination);
            }
            return coordinator;
        }
    }

    private String name;
    private CaseInsensitiveStringMap options;
    private SQLConf conf;
    private volatile Access current;

    @Override
    public void initialize(String name, CaseInsensitiveStringMap options) {
        this.name = name;
        this.options = options;
        conf = SQLConf.get();
        current = new Access(name, options);
        Coordinator.register(name);
    }

    /** By the token that the session has now: a warehouse's has another for each statement. */
    private Access access() {
        Access access = current;
        String token = conf.getConfString("spark.sql.catalog." + name + "." + TOKEN, null);
        if (!Objects.equals(token, access.token)) {
            Map<String, String> changed = new HashMap<>(options);
            changed.remove(TOKEN);
            if (token != null) {
                changed.put(TOKEN, token);
            }
            access = current = new Access(name, new CaseInsensitiveStringMap(changed));
        }
        return access;
    }

    private Names names() {
        return access().names;
    }

    private StagingTableCatalog delta() {
        return access().delta;
    }

    /** The client through which Delta commits to this catalog's catalog-managed tables. */
    CommitCoordinatorClient coordinator() {
        return access().coordinator();
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String[] defaultNamespace() {
        return names().defaultNamespace();
    }

    @Override
    public Set<TableCatalogCapability> capabilities() {
        return delta().capabilities();
    }

    // Open

    @Override
    public Table loadTable(Identifier ident) throws NoSuchTableException {
        return delta().loadTable(ident);
    }

    @Override
    public Table loadTable(Identifier ident, Set<TableWritePrivilege> privileges) throws NoSuchTableException {
        return toWrite(() -> delta().loadTable(ident));
    }

    private <T> T toWrite(Names.Work<T> work) throws NoSuchTableException {
        try {
            return names().toWrite(work);
        } catch (TableAlreadyExistsException | NoSuchNamespaceException e) {
            throw Failure.rethrow(e);
        }
    }

    @Override
    public Table loadTable(Identifier ident, String version) throws NoSuchTableException {
        return delta().loadTable(ident, version);
    }

    @Override
    public Table loadTable(Identifier ident, long timestamp) throws NoSuchTableException {
        return delta().loadTable(ident, timestamp);
    }

    @Override
    public Changelog loadChangelog(Identifier ident, ChangelogContext context, CaseInsensitiveStringMap options)
        throws NoSuchTableException {
        return delta().loadChangelog(ident, context, options);
    }

    @Override
    public boolean tableExists(Identifier ident) {
        return Names.isPath(ident) ? delta().tableExists(ident) : names().tableExists(ident);
    }

    @Override
    public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
        return names().listTables(namespace);
    }

    @Override
    public TableSummary[] listTableSummaries(String[] namespace) throws NoSuchNamespaceException {
        return names().listTableSummaries(namespace);
    }

    // Make

    @Override
    public Table createTable(Identifier ident, TableInfo info)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        if (Names.isPath(ident)) {
            return delta().createTable(ident, info);
        }
        Names.Entry entry = place(ident, info.properties());
        TableInfo wanted = forDelta(ident, entry, info);
        boolean done = false;
        try {
            Table made = names().toMake(entry, info, () -> delta().createTable(ident, wanted));
            done = true;
            if (!entry.managed() && info.columns().length == 0) {
                names().updateColumns(ident, made); // those of the table that was there
            }
            return made;
        } catch (NoSuchTableException e) {
            throw Failure.raise(names().fullName(ident) + " was dropped by another right after it was made", e);
        } finally {
            if (!done) {
                discard(entry);
            }
        }
    }

    /** LIKE takes columns, partitioning and Delta's settings; features follow from those and what the user says. */
    @Override
    public Table createTableLike(Identifier ident, TableInfo info, Table source)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        if (Names.isPath(ident)) {
            return delta().createTableLike(ident, info, source);
        }
        Map<String, String> properties = new HashMap<>();
        source.properties().forEach((key, value) -> {
            if (key.startsWith("delta.") && NOT_LIKE.stream().noneMatch(key::startsWith)) {
                properties.put(key, value);
            }
        });
        properties.putAll(info.properties());
        return createTable(ident, new TableInfo.Builder().withColumns(source.columns())
            .withPartitions(source.partitioning()).withConstraints(info.constraints()).withProperties(properties)
            .build());
    }

    @Override
    public StagedTable stageCreate(Identifier ident, TableInfo info)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        if (Names.isPath(ident)) {
            return delta().stageCreate(ident, info);
        }
        Names.Entry entry = place(ident, info.properties());
        return new Staged(ident, entry, info, true, delta().stageCreate(ident, forDelta(ident, entry, info)));
    }

    @Override
    public StagedTable stageReplace(Identifier ident, TableInfo info)
        throws NoSuchNamespaceException, NoSuchTableException {
        if (Names.isPath(ident)) {
            return delta().stageReplace(ident, info);
        }
        requireDelta(ident, info.properties());
        Names.Entry entry = names().find(ident);
        requireSamePlace(ident, entry, info.properties());
        return new Staged(ident, entry, info, false, delta().stageReplace(ident, forReplacement(info)));
    }

    @Override
    public StagedTable stageCreateOrReplace(Identifier ident, TableInfo info) throws NoSuchNamespaceException {
        if (Names.isPath(ident)) {
            return delta().stageCreateOrReplace(ident, info);
        }
        try {
            return stageReplace(ident, info);
        } catch (NoSuchTableException missing) {
            try {
                return stageCreate(ident, info);
            } catch (TableAlreadyExistsException e) {
                throw Failure.rethrow(e); // made by another in between
            }
        }
    }

    /** Where a new table goes: the LOCATION it names, else a place reserved on the server. */
    private Names.Entry place(Identifier ident, Map<String, String> properties)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        requireDelta(ident, properties);
        if (names().tableExists(ident)) {
            throw new TableAlreadyExistsException(ident);
        }
        String location = properties.get(TableCatalog.PROP_LOCATION);
        if (location == null && properties.containsKey(TableCatalog.PROP_EXTERNAL)) {
            throw Failure.raise(names().fullName(ident) + ": an EXTERNAL table needs a LOCATION");
        }
        if (location != null && "supported".equalsIgnoreCase(properties.get(CATALOG_MANAGED))) {
            throw Failure.raise(names().fullName(ident) + ": a table at a LOCATION of its own cannot be catalog-managed"
                + " (" + CATALOG_MANAGED + "): others may write there without asking the server. Leave one of the two out");
        }
        return location == null ? names().reserve(ident) : new Names.Entry("", qualify(location), false, null);
    }

    /** The location with its scheme: what "/data/t" means depends on the session's default file system. */
    private static Path qualify(String location) {
        try {
            Path path = new Path(location);
            return path.getFileSystem(configuration()).makeQualified(path);
        } catch (IOException | IllegalArgumentException e) {
            throw Failure.raise("LOCATION '" + location + "': " + e.getMessage(), e);
        }
    }

    private static Configuration configuration() {
        return ((org.apache.spark.sql.classic.SparkSession) SparkSession.active()).sessionState().newHadoopConf();
    }

    /** DataFrameWriter names the session's default source where the user named none, so that one means none here. */
    private void requireDelta(Identifier ident, Map<String, String> properties) {
        String provider = properties.get(TableCatalog.PROP_PROVIDER);
        if (provider != null && !provider.equalsIgnoreCase("delta")
            && !provider.equalsIgnoreCase(SparkSession.active().conf().get("spark.sql.sources.default"))) {
            throw Failure.raise(names().fullName(ident) + ": catalog " + name() + " holds Delta tables, not " + provider
                + ": leave the format out or say delta");
        }
    }

    private void requireSamePlace(Identifier ident, Names.Entry entry, Map<String, String> properties) {
        String location = properties.get(TableCatalog.PROP_LOCATION);
        if (location != null && !qualify(location).equals(qualify(entry.path().toString()))) {
            throw Failure.raise(names().fullName(ident) + " is at " + entry.path() + "; replacing cannot move it to "
                + location + ": drop it first");
        }
    }

    /** What the user wants, with what Delta needs to know of the place: see {@link Names#createTable}. */
    private TableInfo forDelta(Identifier ident, Names.Entry entry, TableInfo info) {
        Map<String, String> properties = new HashMap<>(info.properties());
        properties.put(TableCatalog.PROP_PROVIDER, "delta");
        properties.remove(TableCatalog.PROP_EXTERNAL);
        properties.put(TableCatalog.PROP_LOCATION, entry.path().toString());
        if (entry.managed()) {
            properties.put(TableCatalog.PROP_IS_MANAGED_LOCATION, "true");
            properties.put(Names.TABLE_ID, entry.id());
        }
        if (entry.isByDeltaApi()) {
            properties.putAll(DeltaApi.required(entry.json()));
        }
        names().accessToMake(ident, entry).forEach((key, value) -> {
            properties.put(key, value);
            properties.put(TableCatalog.OPTION_PREFIX + key, value); // by which Delta knows an option from a property
        });
        return new TableInfo.Builder().withColumns(info.columns()).withPartitions(info.partitions())
            .withConstraints(info.constraints()).withProperties(properties).build();
    }

    /** What Delta needs to know to replace a table: where it is, and how to get there, it finds by the name. */
    private TableInfo forReplacement(TableInfo info) {
        Map<String, String> properties = new HashMap<>(info.properties());
        properties.put(TableCatalog.PROP_PROVIDER, "delta");
        properties.remove(TableCatalog.PROP_EXTERNAL);
        properties.remove(TableCatalog.PROP_LOCATION);
        return new TableInfo.Builder().withColumns(info.columns()).withPartitions(info.partitions())
            .withConstraints(info.constraints()).withProperties(properties).build();
    }

    /** Remove what a failed creation left at the place reserved for it; nobody else has its address. */
    private static void discard(Names.Entry entry) {
        if (entry.managed()) {
            try {
                FileSystem system = entry.path().getFileSystem(configuration());
                system.delete(entry.path(), true);
            } catch (IOException | RuntimeException e) {
                // The failure that led here is the one to tell; an unnamed folder harms nobody.
            }
        }
    }

    /** Delta's staged table, which gets its name in the catalog (or its new columns) once Delta has committed it. */
    private final class Staged implements StagedTable, SupportsWrite {
        private final Identifier ident;
        private final Names.Entry entry;
        private final TableInfo info;
        private final boolean isNew;
        private final StagedTable staged;

        Staged(Identifier ident, Names.Entry entry, TableInfo info, boolean isNew, StagedTable staged) {
            this.ident = ident;
            this.entry = entry;
            this.info = info;
            this.isNew = isNew;
            this.staged = Objects.requireNonNull(staged);
        }

        @Override
        public void commitStagedChanges() {
            try {
                names().toMake(entry, info, () -> names().toWrite(() -> {
                    staged.commitStagedChanges();
                    return null;
                }));
                if (!isNew) {
                    names().updateColumns(ident, loadTable(ident));
                }
            } catch (TableAlreadyExistsException | NoSuchNamespaceException | NoSuchTableException e) {
                throw Failure.rethrow(e);
            }
        }

        @Override
        public void abortStagedChanges() {
            staged.abortStagedChanges();
            if (isNew) {
                discard(entry);
            }
        }

        @Override
        public CustomTaskMetric[] reportDriverMetrics() {
            return staged.reportDriverMetrics();
        }

        @Override
        public WriteBuilder newWriteBuilder(LogicalWriteInfo info) {
            return ((SupportsWrite) staged).newWriteBuilder(info);
        }

        @Override
        public String name() {
            return names().fullName(ident);
        }

        @Override
        public Column[] columns() {
            return staged.columns();
        }

        @Override
        public Transform[] partitioning() {
            return staged.partitioning();
        }

        @Override
        public Map<String, String> properties() {
            return staged.properties();
        }

        @Override
        public Set<TableCapability> capabilities() {
            return staged.capabilities();
        }
    }

    // Change

    @Override
    public Table alterTable(Identifier ident, TableChange... changes) throws NoSuchTableException {
        Table changed = toWrite(() -> delta().alterTable(ident, changes));
        if (!Names.isPath(ident)) {
            names().updateColumns(ident, changed);
        }
        return changed;
    }

    @Override
    public boolean dropTable(Identifier ident) {
        return names().dropTable(ident);
    }

    @Override
    public void renameTable(Identifier from, Identifier to) throws NoSuchTableException, TableAlreadyExistsException {
        names().renameTable(from, to);
    }

    // Schemas

    @Override
    public String[][] listNamespaces() {
        return names().listNamespaces();
    }

    @Override
    public String[][] listNamespaces(String[] namespace) throws NoSuchNamespaceException {
        return names().listNamespaces(namespace);
    }

    @Override
    public Map<String, String> loadNamespaceMetadata(String[] namespace) throws NoSuchNamespaceException {
        return names().loadNamespaceMetadata(namespace);
    }

    @Override
    public void createNamespace(String[] namespace, Map<String, String> metadata)
        throws NamespaceAlreadyExistsException {
        names().createNamespace(namespace, metadata);
    }

    @Override
    public void alterNamespace(String[] namespace, NamespaceChange... changes) throws NoSuchNamespaceException {
        names().alterNamespace(namespace, changes);
    }

    @Override
    public boolean dropNamespace(String[] namespace, boolean cascade) throws NonEmptyNamespaceException {
        return names().dropNamespace(namespace, cascade);
    }
}
