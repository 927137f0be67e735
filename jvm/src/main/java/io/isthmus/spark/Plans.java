package io.isthmus.spark;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.analysis.ResolvedIdentifier;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.catalyst.plans.QueryPlan;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.V2CreateTableAsSelectPlan;
import org.apache.spark.sql.catalyst.plans.logical.V2WriteCommand;
import org.apache.spark.sql.connector.catalog.CatalogPlugin;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.TableCatalog;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.datasources.FileIndex;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.InsertIntoHadoopFsRelationCommand;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import org.apache.spark.sql.execution.datasources.SaveIntoDataSourceCommand;
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.types.StructType;
import scala.Option;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * What a query reads and writes, from its plan. Tables of a catalog go by their full name, others by their location.
 *
 * Delta's classes are reached by name, because this jar is compiled without Delta's; where a later Delta has them no
 * more, versions are missing, not the query.
 */
public final class Plans {
    /** A table or a folder of files: one of name and location may be null; version is Delta's, -1 where unknown. */
    record Source(String name, String location, long version, boolean pinned, StructType schema) {
        /** Two relations with the same key are the same table at the same version. */
        String key() {
            return (name != null ? name : location) + "@" + (pinned ? version : "");
        }
    }

    /** The delta-spark classes of a table's file list, when a user reads the table; other indexes are Delta's own. */
    private static final String TABLE_INDEX = "org.apache.spark.sql.delta.files.TahoeLogFileIndex";
    private static final String DELTA_PACKAGE = "org.apache.spark.sql.delta.";

    private Plans() {
    }

    /**
     * The input tables of a Dataset, for Python: {@code Plans.inputs(df._jdf.queryExecution())}.
     *
     * @return a JSON array of {"name", "location", "version", "pinned"}: name is null for a table without one; version
     *     is the Delta version that the plan was made on, null for what is not Delta; pinned tells that the query asks
     *     for that version (time travel), so that it will not move until the query runs
     */
    public static String inputs(QueryExecution execution) {
        ArrayNode all = Server.JSON.createArrayNode();
        for (Source source : sources(execution.analyzed())) {
            ObjectNode one = all.addObject().put("name", source.name).put("location", source.location);
            one.put("version", source.version < 0 ? null : source.version).put("pinned", source.pinned);
        }
        return all.toString();
    }

    static Collection<Source> sources(LogicalPlan plan) {
        Map<String, Source> found = new LinkedHashMap<>();
        collect(plan, found);
        return found.values();
    }

    private static void collect(LogicalPlan plan, Map<String, Source> found) {
        CollectionConverters.asJava(plan.subqueries()).forEach(query -> collect(query, found));
        // What a command writes is among its children or inner children, so these are told apart by name.
        if (plan instanceof V2WriteCommand write) {
            collect(write.query(), found);
        } else if (isDeltaChange(plan)) {
            if (call(plan, "source") instanceof LogicalPlan source) {
                collect(source, found);
            }
        } else {
            Source source = source(plan);
            if (source != null) {
                found.putIfAbsent(source.key(), source);
            }
            CollectionConverters.asJava(plan.children()).forEach(child -> collect(child, found));
            for (QueryPlan<?> inner : CollectionConverters.asJava(plan.innerChildren())) {
                if (inner instanceof LogicalPlan query) {
                    collect(query, found);
                }
            }
        }
    }

    /** What the command writes; null for a query and for a command that writes no data. */
    static Source target(LogicalPlan plan) {
        if (plan instanceof V2WriteCommand write) {
            return source((LogicalPlan) write.table());
        }
        if (plan instanceof V2CreateTableAsSelectPlan create) {
            return create.name() instanceof ResolvedIdentifier name
                ? new Source(fullName(name.catalog(), name.identifier()), null, -1, false, create.query().schema())
                : null;
        }
        if (plan instanceof SaveIntoDataSourceCommand save) {
            Option<String> path = save.options().get("path");
            return path.isDefined() ? new Source(null, Locations.toUri(new Path(path.get())), -1, false, save.query().schema())
                : null;
        }
        if (plan instanceof InsertIntoHadoopFsRelationCommand insert) {
            return new Source(fullName(insert.catalogTable()), Locations.toUri(insert.outputPath()), -1, false,
                insert.query().schema());
        }
        if (isDeltaChange(plan) && call(plan, "target") instanceof LogicalPlan target) {
            return sources(target).stream().findFirst().orElse(null);
        }
        return null;
    }

    /** Where the columns of what the command writes come from; empty for a query and where the plan does not tell. */
    static ColumnLineage columns(LogicalPlan plan) {
        ColumnLineage lineage = new ColumnLineage();
        if (plan instanceof V2WriteCommand write) {
            lineage.query(write.query(), names(ColumnLineage.list(((LogicalPlan) write.table()).output())));
        } else if (plan instanceof V2CreateTableAsSelectPlan create) {
            lineage.query(create.query(), null);
        } else if (plan instanceof SaveIntoDataSourceCommand save) {
            lineage.query(save.query(), null);
        } else if (plan instanceof InsertIntoHadoopFsRelationCommand insert) {
            lineage.query(insert.query(), ColumnLineage.list(insert.outputColumnNames()));
        } else if (isDeltaChange(plan)) {
            changes(plan, lineage);
        }
        return lineage;
    }

    private static List<String> names(List<Attribute> attributes) {
        return attributes.stream().map(Attribute::name).toList();
    }

    /** UPDATE, DELETE and MERGE: what is assigned to the columns of the target, and what decides about its rows. */
    private static void changes(LogicalPlan plan, ColumnLineage lineage) {
        boolean merge = call(plan, "source") instanceof LogicalPlan;
        for (String side : List.of("source", "target")) {
            if (call(plan, side) instanceof LogicalPlan part) {
                lineage.walk(part);
            }
        }
        decide(plan, lineage, merge ? ColumnLineage.Kind.JOIN : ColumnLineage.Kind.FILTER);
        if (call(plan, "updateExpressions") instanceof Seq<?> values
            && call(plan, "target") instanceof LogicalPlan target) {
            List<String> names = names(ColumnLineage.list(target.output()));
            List<?> assigned = ColumnLineage.list(values);
            for (int i = 0; i < Math.min(names.size(), assigned.size()); i++) {
                lineage.column(names.get(i), (Expression) assigned.get(i));
            }
        }
        for (String kind : List.of("matchedClauses", "notMatchedClauses", "notMatchedBySourceClauses")) {
            if (call(plan, kind) instanceof Seq<?> clauses) {
                ColumnLineage.list(clauses).forEach(clause -> assignments(clause, lineage));
            }
        }
    }

    private static void assignments(Object clause, ColumnLineage lineage) {
        decide(clause, lineage, ColumnLineage.Kind.FILTER);
        if (call(clause, "resolvedActions") instanceof Seq<?> actions) {
            for (Object action : ColumnLineage.list(actions)) {
                if (call(action, "targetColNameParts") instanceof Seq<?> parts
                    && call(action, "expr") instanceof Expression value) {
                    lineage.column(parts.mkString("."), value);
                }
            }
        }
    }

    private static void decide(Object command, ColumnLineage lineage, ColumnLineage.Kind kind) {
        Object condition = call(command, "condition");
        if (condition instanceof Option<?> maybe) {
            condition = maybe.isDefined() ? maybe.get() : null;
        }
        if (condition instanceof Expression expression) {
            lineage.decides(expression, kind);
        }
    }

    /** DELETE, UPDATE or MERGE of a Delta table. */
    private static boolean isDeltaChange(LogicalPlan plan) {
        String name = plan.getClass().getName();
        return name.startsWith(DELTA_PACKAGE + "commands.") && (name.endsWith(".DeleteCommand")
            || name.endsWith(".UpdateCommand") || name.endsWith(".MergeIntoCommand"));
    }

    static Source source(LogicalPlan plan) {
        if (plan instanceof DataSourceV2Relation relation) {
            String name = relation.catalog().isDefined() && relation.identifier().isDefined()
                ? fullName(relation.catalog().get(), relation.identifier().get()) : null;
            String location = relation.table().properties().get(TableCatalog.PROP_LOCATION);
            return name == null && location == null ? null
                : new Source(name, location == null ? null : Locations.toUri(new Path(location)), -1, false, plan.schema());
        }
        if (!(plan instanceof LogicalRelation relation)) {
            return null;
        }
        String name = fullName(relation.catalogTable());
        if (!(relation.relation() instanceof HadoopFsRelation files)) {
            return name == null ? null : new Source(name, null, -1, false, plan.schema());
        }
        FileIndex index = files.location();
        if (index.getClass().getName().startsWith(DELTA_PACKAGE)) {
            if (!index.getClass().getName().equals(TABLE_INDEX)) {
                return null; // Delta reads its own log, or the files that a change of its own rewrites
            }
            boolean pinned = Boolean.TRUE.equals(call(index, "isTimeTravelQuery"));
            long version = call(call(index, "snapshotAtAnalysis"), "version") instanceof Long v ? v : -1;
            return new Source(name, Locations.toUri((Path) call(index, "path")), version, pinned && version >= 0,
                plan.schema());
        }
        String location = index.rootPaths().isEmpty() ? null : Locations.toUri(index.rootPaths().head());
        return name == null && location == null ? null : new Source(name, location, -1, false, plan.schema());
    }

    private static String fullName(CatalogPlugin catalog, Identifier identifier) {
        return Names.isPath(identifier) ? null
            : catalog.name() + "." + String.join(".", identifier.namespace()) + "." + identifier.name();
    }

    private static String fullName(Option<CatalogTable> table) {
        if (table.isEmpty()) {
            return null;
        }
        TableIdentifier id = table.get().identifier();
        return String.join(".", Arrays.asList(id.catalog().getOrElse(() -> "spark_catalog"),
            id.database().getOrElse(() -> "default"), id.table()));
    }

    /** The public method without parameters of that name; null where there is none or it fails. */
    private static Object call(Object object, String method) {
        try {
            return object == null ? null : object.getClass().getMethod(method).invoke(object);
        } catch (ReflectiveOperationException e) {
            return null;
        }
    }
}
