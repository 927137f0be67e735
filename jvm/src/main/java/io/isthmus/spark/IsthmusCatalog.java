package io.isthmus.spark;

import java.io.IOException;
import java.util.HashMap;
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
import org.apache.spark.sql.connector.catalog.DelegatingCatalogExtension;
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
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.connector.metric.CustomTaskMetric;
import org.apache.spark.sql.connector.write.LogicalWriteInfo;
import org.apache.spark.sql.connector.write.WriteBuilder;
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
 * Two halves. {@link Names} knows where each table is. Delta's own catalog, set on top of it, opens what it finds
 * there, so that reads, INSERT, DELETE, UPDATE, MERGE, ALTER and time travel are Delta's. What is left is to make
 * tables: Delta makes a table by its path, and the name comes last, when the table is whole. A table that failed
 * half-way was never visible, and its files are removed where the location was reserved for it.
 */
public final class IsthmusCatalog implements StagingTableCatalog, SupportsNamespaces {
    private static final String DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog";

    private Names names;
    private StagingTableCatalog delta;

    @Override
    public void initialize(String name, CaseInsensitiveStringMap options) {
        names = new Names(Server.find("spark.sql.catalog." + name, options));
        names.initialize(name, options);
        // Delta's catalog is not given the options: it has no use for the address, and the token stays here.
        try {
            DelegatingCatalogExtension extension = (DelegatingCatalogExtension) Class
                .forName(DELTA_CATALOG, true, Thread.currentThread().getContextClassLoader())
                .getDeclaredConstructor().newInstance();
            extension.setDelegateCatalog(names);
            extension.initialize(name, CaseInsensitiveStringMap.empty());
            delta = (StagingTableCatalog) extension;
        } catch (ReflectiveOperationException e) {
            throw Failure.raise("catalog " + name + " needs Delta Lake's jars (delta-spark) in spark.jars", e);
        }
    }

    @Override
    public String name() {
        return names.name();
    }

    @Override
    public String[] defaultNamespace() {
        return names.defaultNamespace();
    }

    @Override
    public Set<TableCatalogCapability> capabilities() {
        return delta.capabilities();
    }

    // Open

    @Override
    public Table loadTable(Identifier ident) throws NoSuchTableException {
        return delta.loadTable(ident);
    }

    @Override
    public Table loadTable(Identifier ident, String version) throws NoSuchTableException {
        return delta.loadTable(ident, version);
    }

    @Override
    public Table loadTable(Identifier ident, long timestamp) throws NoSuchTableException {
        return delta.loadTable(ident, timestamp);
    }

    @Override
    public Changelog loadChangelog(Identifier ident, ChangelogContext context, CaseInsensitiveStringMap options)
        throws NoSuchTableException {
        return delta.loadChangelog(ident, context, options);
    }

    @Override
    public boolean tableExists(Identifier ident) {
        return Names.isPath(ident) ? delta.tableExists(ident) : names.tableExists(ident);
    }

    @Override
    public Identifier[] listTables(String[] namespace) throws NoSuchNamespaceException {
        return names.listTables(namespace);
    }

    @Override
    public TableSummary[] listTableSummaries(String[] namespace) throws NoSuchNamespaceException {
        return names.listTableSummaries(namespace);
    }

    // Make

    @Override
    public Table createTable(Identifier ident, TableInfo info)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        return Names.isPath(ident) ? delta.createTable(ident, info)
            : make(ident, info, path -> delta.createTable(path, forDelta(info)));
    }

    @Override
    public Table createTableLike(Identifier ident, TableInfo info, Table source)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        return Names.isPath(ident) ? delta.createTableLike(ident, info, source)
            : make(ident, info, path -> delta.createTableLike(path, forDelta(info), source));
    }

    private interface Maker {
        Table make(Identifier path) throws TableAlreadyExistsException, NoSuchNamespaceException;
    }

    private Table make(Identifier ident, TableInfo info, Maker maker)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        Names.Entry entry = place(ident, info.properties());
        boolean done = false;
        try {
            names.register(ident, entry, maker.make(atPath(entry)), info.properties());
            done = true;
        } finally {
            if (!done) {
                discard(entry);
            }
        }
        try {
            return loadTable(ident);
        } catch (NoSuchTableException e) {
            throw Failure.raise(names.fullName(ident) + " was dropped by another right after it was made", e);
        }
    }

    @Override
    public StagedTable stageCreate(Identifier ident, TableInfo info)
        throws TableAlreadyExistsException, NoSuchNamespaceException {
        if (Names.isPath(ident)) {
            return delta.stageCreate(ident, info);
        }
        Names.Entry entry = place(ident, info.properties());
        return new Staged(ident, entry, info.properties(), true, delta.stageCreate(atPath(entry), forDelta(info)));
    }

    @Override
    public StagedTable stageReplace(Identifier ident, TableInfo info)
        throws NoSuchNamespaceException, NoSuchTableException {
        if (Names.isPath(ident)) {
            return delta.stageReplace(ident, info);
        }
        requireDelta(ident, info.properties());
        Names.Entry entry = names.find(ident);
        requireSamePlace(ident, entry, info.properties());
        return new Staged(ident, entry, info.properties(), false, delta.stageReplace(atPath(entry), forDelta(info)));
    }

    @Override
    public StagedTable stageCreateOrReplace(Identifier ident, TableInfo info) throws NoSuchNamespaceException {
        if (Names.isPath(ident)) {
            return delta.stageCreateOrReplace(ident, info);
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
        if (names.tableExists(ident)) {
            throw new TableAlreadyExistsException(ident);
        }
        String location = properties.get(TableCatalog.PROP_LOCATION);
        if (location == null && properties.containsKey(TableCatalog.PROP_EXTERNAL)) {
            throw Failure.raise(names.fullName(ident) + ": an EXTERNAL table needs a LOCATION");
        }
        return location == null ? names.reserve(ident) : new Names.Entry("", qualify(location), false, null);
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
            throw Failure.raise(names.fullName(ident) + ": catalog " + name() + " holds Delta tables, not " + provider
                + ": leave the format out or say delta");
        }
    }

    private void requireSamePlace(Identifier ident, Names.Entry entry, Map<String, String> properties) {
        String location = properties.get(TableCatalog.PROP_LOCATION);
        if (location != null && !qualify(location).equals(qualify(entry.path().toString()))) {
            throw Failure.raise(names.fullName(ident) + " is at " + entry.path() + "; replacing cannot move it to "
                + location + ": drop it first");
        }
    }

    private static Identifier atPath(Names.Entry entry) {
        return Identifier.of(new String[] {"delta"}, entry.path().toString());
    }

    private static TableInfo forDelta(TableInfo info) {
        Map<String, String> properties = new HashMap<>(info.properties());
        properties.put(TableCatalog.PROP_PROVIDER, "delta");
        properties.remove(TableCatalog.PROP_LOCATION); // is in the path
        properties.remove(TableCatalog.PROP_EXTERNAL);
        properties.remove(TableCatalog.PROP_IS_MANAGED_LOCATION);
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
        private final Map<String, String> properties;
        private final boolean isNew;
        private final StagedTable staged;

        Staged(Identifier ident, Names.Entry entry, Map<String, String> properties, boolean isNew, StagedTable staged) {
            this.ident = ident;
            this.entry = entry;
            this.properties = properties;
            this.isNew = isNew;
            this.staged = Objects.requireNonNull(staged);
        }

        @Override
        public void commitStagedChanges() {
            staged.commitStagedChanges();
            try {
                Table made = delta.loadTable(atPath(entry));
                if (isNew) {
                    names.register(ident, entry, made, properties);
                } else {
                    names.updateColumns(ident, made);
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
            return names.fullName(ident);
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
        Table changed = delta.alterTable(ident, changes);
        if (!Names.isPath(ident)) {
            names.updateColumns(ident, changed);
        }
        return changed;
    }

    @Override
    public boolean dropTable(Identifier ident) {
        return names.dropTable(ident);
    }

    @Override
    public void renameTable(Identifier from, Identifier to) throws NoSuchTableException, TableAlreadyExistsException {
        names.renameTable(from, to);
    }

    // Schemas

    @Override
    public String[][] listNamespaces() {
        return names.listNamespaces();
    }

    @Override
    public String[][] listNamespaces(String[] namespace) throws NoSuchNamespaceException {
        return names.listNamespaces(namespace);
    }

    @Override
    public Map<String, String> loadNamespaceMetadata(String[] namespace) throws NoSuchNamespaceException {
        return names.loadNamespaceMetadata(namespace);
    }

    @Override
    public void createNamespace(String[] namespace, Map<String, String> metadata)
        throws NamespaceAlreadyExistsException {
        names.createNamespace(namespace, metadata);
    }

    @Override
    public void alterNamespace(String[] namespace, NamespaceChange... changes) throws NoSuchNamespaceException {
        names.alterNamespace(namespace, changes);
    }

    @Override
    public boolean dropNamespace(String[] namespace, boolean cascade) throws NonEmptyNamespaceException {
        return names.dropNamespace(namespace, cascade);
    }
}
