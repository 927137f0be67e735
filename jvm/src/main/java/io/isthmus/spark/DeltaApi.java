package io.isthmus.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * Managed tables by Unity Catalog's Delta API, for servers that keep them by nothing else (the open one with
 * `server.managed-table.use-delta-api-only`): they refuse the usual calls with 400. Such a server wants new tables to
 * be catalog-managed and says what version 0 must have. src/catalog/delta_api.c does the same in C.
 */
final class DeltaApi {
    private static final String FIRST_VERSION = "_delta_log/00000000000000000000.json";

    private final Server server;

    DeltaApi(Server server) {
        this.server = server;
    }

    /** Has a server refused a usual call as one that goes by this API only does? */
    static boolean isWanted(Server.Refused e) {
        return e.status == 400 && !e.isAlreadyExists();
    }

    private static String schema(List<String> name) {
        return "/delta/v1/catalogs/" + Server.encode(name.get(0)) + "/schemas/" + Server.encode(name.get(1));
    }

    /** @param name catalog, schema, table */
    JsonNode reserve(List<String> name) throws Server.Refused {
        return server.post(schema(name) + "/staging-tables", Server.JSON.createObjectNode().put("name", name.get(2)));
    }

    /** The table properties by which Delta gives version 0 what a reserved place asks for. */
    static Map<String, String> required(JsonNode staged) {
        Map<String, String> properties = new HashMap<>();
        for (String list : List.of("reader-features", "writer-features")) {
            staged.path("required-protocol").path(list).forEach(feature -> properties.put("delta.feature."
                + feature.asText(), "supported"));
        }
        staged.path("required-properties").properties().forEach(property -> {
            if (property.getValue().isTextual()) { // one without a value is the writer's to choose
                properties.put(property.getKey(), property.getValue().asText());
            }
        });
        return properties;
    }

    /** Name a table whose version 0 is written; what it is, is read from there. */
    void create(List<String> name, JsonNode staged, String comment, Configuration conf) throws Server.Refused {
        String location = staged.path("location").asText();
        Map<String, JsonNode> actions = firstVersion(new Path(Locations.toPath(location), FIRST_VERSION), conf);
        JsonNode table = actions.getOrDefault("metaData", MissingNode.getInstance());
        JsonNode commit = actions.getOrDefault("commitInfo", MissingNode.getInstance());
        ObjectNode body = Server.JSON.createObjectNode().put("name", name.get(2)).put("location", location)
            .put("table-type", "MANAGED").put("last-commit-timestamp-ms",
                commit.path("inCommitTimestamp").asLong(commit.path("timestamp").asLong()));
        if (comment != null) {
            body.put("comment", comment);
        }
        body.set("columns", parse(table.path("schemaString").asText()));
        body.set("partition-columns", table.path("partitionColumns"));
        body.set("properties", table.path("configuration"));
        JsonNode protocol = actions.getOrDefault("protocol", MissingNode.getInstance());
        ObjectNode told = body.putObject("protocol");
        told.set("min-reader-version", protocol.path("minReaderVersion"));
        told.set("min-writer-version", protocol.path("minWriterVersion"));
        told.set("reader-features", orEmpty(protocol.path("readerFeatures")));
        told.set("writer-features", orEmpty(protocol.path("writerFeatures")));
        server.post(schema(name) + "/tables", body);
    }

    /** @param id of a reserved place, or null for a table that has its name */
    JsonNode credentials(List<String> name, String id, boolean write) throws Server.Refused {
        JsonNode answer = server.get(id != null ? "/delta/v1/staging-tables/" + Server.encode(id) + "/credentials"
            : schema(name) + "/tables/" + Server.encode(name.get(2)) + "/credentials?operation="
            + (write ? "READ_WRITE" : "READ"));
        JsonNode closest = MissingNode.getInstance();
        for (JsonNode one : answer.path("storage-credentials")) {
            if (closest.isMissingNode()
                || one.path("prefix").asText().length() > closest.path("prefix").asText().length()) {
                closest = one;
            }
        }
        return closest;
    }

    private static JsonNode orEmpty(JsonNode list) {
        return list.isArray() ? list : new ArrayNode(Server.JSON.getNodeFactory());
    }

    /** The actions of a version by their kind; of files, which are many, any. */
    private static Map<String, JsonNode> firstVersion(Path file, Configuration conf) {
        Map<String, JsonNode> actions = new HashMap<>();
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(
            file.getFileSystem(conf).open(file), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                parse(line).properties().forEach(action -> actions.put(action.getKey(), action.getValue()));
            }
        } catch (IOException e) {
            throw Failure.raise("the first version of a new table cannot be read again: " + file, e);
        }
        return actions;
    }

    private static JsonNode parse(String json) {
        try {
            return Server.JSON.readTree(json);
        } catch (IOException e) {
            throw Failure.raise("the first version of a new table is no JSON", e);
        }
    }
}
