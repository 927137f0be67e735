package io.isthmus.spark;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.time.Instant;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.WeakHashMap;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.CommandResult;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.V2WriteCommand;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.apache.spark.sql.util.QueryExecutionListener;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the catalog server, and the OpenLineage endpoint of the environment, what each query and write of the session read
 * and wrote, as OpenLineage run events.
 *
 *     spark.sql.queryExecutionListeners   io.isthmus.spark.LineageListener
 *
 * A job never waits for it and never fails by it: plans are read on Spark's listener thread, events go by
 * {@link LineageEmitter}. The application's end waits two seconds at most for what is on its way.
 * Queries that Delta runs inside a user's query, and reads of its own log, are no events.
 */
public final class LineageListener implements QueryExecutionListener {
    private static final Logger LOG = LoggerFactory.getLogger(LineageListener.class);
    private static final long END_WAITS_MS = 2000;
    private static final String CATALOG_CONF = "spark.sql.catalog.";
    private static final String PRODUCER = "https://isthmus.invalid/spark";
    private static final String SPEC = "https://openlineage.io/spec/";
    /** Shared by all sessions. */
    private static final LineageEmitter EMITTER = new LineageEmitter(System.getenv());

    /** For PySpark: what became of the events. */
    public static LineageEmitter emitter() {
        return EMITTER;
    }

    /** Which queries run inside another: Spark tells its SparkListeners, but no QueryExecutionListener. */
    private static final class Nesting extends SparkListener {
        private static final int REMEMBERED_MAX = 10_000;
        private static final Map<SparkContext, Nesting> OF_CONTEXT = new WeakHashMap<>();
        private final Set<UUID> nested = Collections.synchronizedSet(Collections.newSetFromMap(new LinkedHashMap<>() {
            private static final long serialVersionUID = 1;

            @Override
            protected boolean removeEldestEntry(Map.Entry<UUID, Boolean> eldest) {
                return size() > REMEMBERED_MAX;
            }
        }));

        static synchronized Nesting of(SparkContext context) {
            return OF_CONTEXT.computeIfAbsent(context, c -> {
                Nesting nesting = new Nesting();
                c.addSparkListener(nesting);
                return nesting;
            });
        }

        @Override
        public void onOtherEvent(SparkListenerEvent event) {
            if (event instanceof SparkListenerSQLExecutionStart start && start.rootExecutionId().isDefined()
                && start.queryId().isDefined() && !start.rootExecutionId().get().equals(start.executionId())) {
                nested.add(start.queryId().get());
            }
        }

        @Override
        public void onApplicationEnd(SparkListenerApplicationEnd end) {
            try {
                EMITTER.flush(END_WAITS_MS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private final Nesting nesting = Nesting.of(SparkContext.getOrCreate());

    @Override
    public void onSuccess(String function, QueryExecution execution, long durationNs) {
        try {
            // A command's result that is collected afterwards was told when the command itself ran.
            if (nesting.nested.contains(execution.queryId()) || execution.commandExecuted() instanceof CommandResult) {
                return;
            }
            LogicalPlan plan = execution.analyzed();
            Collection<Plans.Source> inputs = Plans.sources(plan);
            Plans.Source output = Plans.target(plan);
            boolean definition = plan instanceof Command && output == null && !(plan instanceof V2WriteCommand);
            if (!definition && (!inputs.isEmpty() || output != null)) {
                ObjectNode event = event(execution.sparkSession(), inputs, output, columns(plan, output));
                EMITTER.emit(toCatalog(execution.sparkSession(), inputs, output, event), event.toString());
            }
        } catch (Exception e) {
            LineageEmitter.complain("no lineage for a query", e);
        }
    }

    /** What the plan tells of columns is extra: a plan that it does not tell them by is told without them. */
    private static ColumnLineage columns(LogicalPlan plan, Plans.Source output) {
        try {
            return output == null ? new ColumnLineage() : Plans.columns(plan);
        } catch (RuntimeException | StackOverflowError e) {
            LOG.debug("lineage: no columns for a query", e);
            return new ColumnLineage();
        }
    }

    /** A query that failed read nothing that anybody has, and wrote nothing. */
    @Override
    public void onFailure(String function, QueryExecution execution, Exception exception) {
    }

    /** Null where there is no server: an endpoint may want the event all the same. */
    private static LineageEmitter.Way toCatalog(SparkSession session, Collection<Plans.Source> inputs, Plans.Source output,
        ObjectNode event) {
        try {
            Server server = server(session, inputs, output);
            return text -> server.send("POST", "/api/v1/lineage", event);
        } catch (Exception e) {
            LineageEmitter.complain("the catalog is not told", e);
            return null;
        }
    }

    /** The server of the tables' catalog, else of any IsthmusCatalog of the session, else the one of this machine. */
    private static Server server(SparkSession session, Collection<Plans.Source> inputs, Plans.Source output) {
        Map<String, String> conf = new HashMap<>();
        session.conf().getAll().foreach(pair -> conf.put(pair._1(), pair._2()));
        String catalog = output == null ? null : catalogOf(output, conf);
        for (Plans.Source input : inputs) {
            catalog = catalog == null ? catalogOf(input, conf) : catalog;
        }
        if (catalog == null) {
            catalog = conf.keySet().stream().filter(key -> key.startsWith(CATALOG_CONF))
                .map(key -> key.substring(CATALOG_CONF.length())).filter(name -> isOurs(name, conf)).sorted()
                .findFirst().orElse("isthmus");
        }
        String prefix = CATALOG_CONF + catalog + ".";
        Map<String, String> options = new HashMap<>();
        conf.forEach((key, value) -> {
            if (key.startsWith(prefix)) {
                options.put(key.substring(prefix.length()), value);
            }
        });
        return Server.find(CATALOG_CONF + catalog, new CaseInsensitiveStringMap(options));
    }

    private static String catalogOf(Plans.Source source, Map<String, String> conf) {
        String catalog = source.name() == null ? "" : source.name().replaceFirst("\\..*", "");
        return isOurs(catalog, conf) ? catalog : null;
    }

    private static boolean isOurs(String catalog, Map<String, String> conf) {
        return IsthmusCatalog.class.getName().equals(conf.get(CATALOG_CONF + catalog));
    }

    private static ObjectNode event(SparkSession session, Collection<Plans.Source> inputs, Plans.Source output,
        ColumnLineage columns) {
        ObjectNode event = Server.JSON.createObjectNode().put("eventType", "COMPLETE")
            .put("eventTime", Instant.now().toString()).put("producer", PRODUCER)
            .put("schemaURL", SPEC + "2-0-2/OpenLineage.json#/$defs/RunEvent");
        event.putObject("run").put("runId", UUID.randomUUID().toString());
        ObjectNode job = event.putObject("job").put("namespace", "isthmus")
            .put("name", session.conf().get("spark.app.name", "spark"));
        facet(job.putObject("facets"), "jobType", "2-0-4", "JobTypeJobFacet").put("processingType", "BATCH")
            .put("integration", "SPARK").put("jobType", "JOB");
        ArrayNode read = event.putArray("inputs");
        inputs.forEach(input -> dataset(read, input));
        ArrayNode written = event.putArray("outputs");
        if (output != null) {
            columnLineage(dataset(written, output), columns, inputs);
        }
        return event;
    }

    private static ObjectNode facet(ObjectNode facets, String name, String version, String schema) {
        return facets.putObject(name).put("_producer", PRODUCER)
            .put("_schemaURL", SPEC + "facets/" + version + "/" + schema + ".json#/$defs/" + schema);
    }

    /** Adds a dataset; returns its facets. */
    private static ObjectNode dataset(ArrayNode datasets, Plans.Source source) {
        ObjectNode dataset = datasets.addObject();
        name(dataset, source);
        ObjectNode facets = dataset.putObject("facets");
        if (source.version() >= 0) {
            facet(facets, "version", "1-0-1", "DatasetVersionDatasetFacet")
                .put("datasetVersion", Long.toString(source.version()));
        }
        ArrayNode fields = facet(facets, "schema", "1-2-0", "SchemaDatasetFacet").putArray("fields");
        for (StructField field : source.schema().fields()) {
            fields.addObject().put("name", field.name()).put("type", field.dataType().simpleString());
        }
        return facets;
    }

    private static void columnLineage(ObjectNode facets, ColumnLineage columns, Collection<Plans.Source> inputs) {
        if (columns.isEmpty()) {
            return;
        }
        Set<String> read = new HashSet<>();
        inputs.forEach(input -> read.add(input.key()));
        ObjectNode facet = facet(facets, "columnLineage", "1-2-0", "ColumnLineageDatasetFacet");
        ObjectNode fields = facet.putObject("fields");
        columns.columns.forEach((name, origins) -> origins(fields.putObject(name).putArray("inputFields"), origins, read));
        if (!columns.rows.isEmpty()) {
            origins(facet.putArray("dataset"), columns.rows, read);
        }
    }

    /** What a command changes is no input of it, so what its columns had before is left out. */
    private static void origins(ArrayNode fields, Set<ColumnLineage.Origin> origins, Set<String> read) {
        for (ColumnLineage.Origin origin : origins) {
            if (read.contains(origin.source().key())) {
                ObjectNode field = fields.addObject();
                name(field, origin.source());
                field.put("field", origin.column()).putArray("transformations").addObject()
                    .put("type", origin.kind().direct ? "DIRECT" : "INDIRECT").put("subtype", origin.kind().name());
            }
        }
    }

    private static void name(ObjectNode dataset, Plans.Source source) {
        if (source.name() != null) {
            dataset.put("namespace", "unitycatalog").put("name", source.name());
        } else {
            URI uri = URI.create(source.location());
            boolean local = uri.getAuthority() == null;
            dataset.put("namespace", local ? uri.getScheme() : uri.getScheme() + "://" + uri.getAuthority())
                .put("name", local ? uri.getPath() : uri.getRawPath().replaceFirst("^/", ""));
        }
    }
}
