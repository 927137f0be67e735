package io.isthmus.spark;

import com.fasterxml.jackson.databind.JsonNode;
import io.unitycatalog.client.ApiException;
import io.unitycatalog.client.auth.TokenProvider;
import io.unitycatalog.hadoop.UCCredentialHadoopConfs;
import io.unitycatalog.hadoop.UCCredentialHadoopConfs.PathOperation;
import io.unitycatalog.hadoop.UCCredentialHadoopConfs.TableOperation;
import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.SparkSession;

/**
 * Leave to touch the files of a table, which the server gives or refuses by the grants of the token's principal.
 *
 * For a location in a cloud it comes with credentials, as settings for Hadoop's file systems; Unity Catalog's providers
 * in them renew the credentials while a job runs, on executors too. A folder of this machine that this process may touch
 * itself is touched by its path, and leave is all there is: it is asked anew each time, so that a grant that is taken
 * back holds at once. Any other folder is reached by the server's file gateway ({@link GatewayFileSystem}). Credentials
 * are kept for half of their life, for Delta takes the same table with other settings for another table and would read
 * its log again.
 */
final class Vending {
    private static final long UNDATED_MS = 300_000;

    private record Key(String target, String operation) {
    }

    private record Kept(Map<String, String> settings, long until) {
    }

    private interface Fetch {
        Map<String, String> by(UCCredentialHadoopConfs.Builder builder) throws ApiException;
    }

    private interface Request {
        JsonNode send() throws Server.Refused;
    }

    private final Server server;
    private final DeltaApi deltaApi;
    private final Map<Key, Kept> kept = new ConcurrentHashMap<>();

    Vending(Server server, DeltaApi deltaApi) {
        this.server = server;
        this.deltaApi = deltaApi;
    }

    /** @param name catalog, schema and table; @param entry the table, or the place reserved for it */
    Map<String, String> table(List<String> name, Names.Entry entry, boolean write) throws Server.Refused {
        TableOperation operation = write ? TableOperation.READ_WRITE : TableOperation.READ;
        URI location = entry.path().toUri();
        Key key = new Key(entry.id(), operation.name());
        if (entry.isByDeltaApi()) {
            return ask(key, location, () -> deltaApi.credentials(name, entry.id(), true),
                builder -> builder.buildForStagingTable(entry.id(), location.toString()));
        }
        try {
            return ask(key, location, () -> usual("/temporary-table-credentials", "table_id", key),
                builder -> builder.buildForTable(entry.id(), operation));
        } catch (Server.Refused e) {
            if (!entry.managed() || !DeltaApi.isWanted(e)) {
                throw e;
            }
            return ask(key, location, () -> deltaApi.credentials(name, null, write), builder -> builder.buildForTable(
                name.get(0), name.get(1), name.get(2), operation, location.toString()));
        }
    }

    Map<String, String> newExternalTable(URI location) throws Server.Refused {
        String url = location.toString();
        Key key = new Key(url, "PATH_CREATE_TABLE");
        return ask(key, location, () -> usual("/temporary-path-credentials", "url", key),
            builder -> builder.buildForPath(url, PathOperation.PATH_CREATE_TABLE));
    }

    private JsonNode usual(String path, String member, Key key) throws Server.Refused {
        return server.post(path, Server.JSON.createObjectNode().put(member, key.target)
            .put("operation", key.operation));
    }

    /** Is it leave for a place in a cloud? The two APIs write that differently. */
    private static boolean isInCloud(JsonNode reply) {
        return reply.hasNonNull("aws_temp_credentials") || reply.hasNonNull("azure_user_delegation_sas")
            || reply.hasNonNull("gcp_oauth_token") || !reply.path("config").isEmpty();
    }

    private Map<String, String> ask(Key key, URI location, Request request, Fetch fetch) throws Server.Refused {
        Kept before = kept.get(key);
        if (before != null && System.currentTimeMillis() < before.until) {
            return before.settings;
        }
        JsonNode reply = request.send();
        if (!isInCloud(reply)) {
            boolean byPath = !reply.hasNonNull("isthmus_file_token") || isOpen(location.getPath(),
                !key.operation.equals("READ"));
            return byPath ? Map.of() : byGateway(key, location);
        }
        Map<String, String> settings = new HashMap<>();
        try {
            settings.putAll(fetch.by(UCCredentialHadoopConfs.builder(server.uri, location.getScheme())
                .tokenProvider(TokenProvider.create(Map.of("type", "static", "token", server.settings().get("token"))))
                .hadoopConf(((org.apache.spark.sql.classic.SparkSession) SparkSession.active()).sessionState()
                    .newHadoopConf())));
        } catch (ApiException e) {
            throw Failure.raise("the catalog server at " + server.uri + " gave credentials for " + location
                + " but not a second time (" + e.getCode() + ")", e);
        }
        address(reply.path("isthmus_storage"), settings);
        long now = System.currentTimeMillis();
        long until = reply.path("expiration_time").asLong(reply.path("expiration-time-ms").asLong(0));
        long life = until > 0 ? (until - now) / 2 : UNDATED_MS;
        kept.put(key, new Kept(settings, now + life));
        return settings;
    }

    /** May this process read, or change, a table's folder by itself, or make it where it is not there yet? */
    private boolean isOpen(String folder, boolean write) {
        Path log = Path.of(folder, "_delta_log");
        if (Files.exists(log)) {
            return isOpen(log, write) && isOpen(log.getParent(), write);
        }
        Path above = log;
        while (above.getParent() != null && !Files.exists(above)) {
            above = above.getParent();
        }
        return isHere() && Files.isExecutable(above) && (!write || Files.isWritable(above));
    }

    private static boolean isOpen(Path folder, boolean write) {
        return Files.isReadable(folder) && Files.isExecutable(folder) && (!write || Files.isWritable(folder));
    }

    /** Does the server run on this machine, so that its paths are ours? */
    private boolean isHere() {
        try {
            return InetAddress.getByName(URI.create(server.uri).getHost()).isLoopbackAddress();
        } catch (UnknownHostException e) {
            return false;
        }
    }

    private Map<String, String> byGateway(Key key, URI location) {
        Map<String, String> settings = new HashMap<>(LocalOrGatewayFileSystem.SETTINGS);
        settings.put(GatewayFileSystem.ROOT, location.getPath().replaceFirst("(?<=.)/+$", ""));
        settings.put(GatewayFileSystem.KIND,
            (key.operation.equals("PATH_CREATE_TABLE") ? Gateway.Kind.NEW_TABLE : Gateway.Kind.TABLE).name());
        settings.put(GatewayFileSystem.ID, key.target);
        settings.put(GatewayFileSystem.SERVER, server.settings().get("uri"));
        settings.put(GatewayFileSystem.TOKEN, server.settings().get("token"));
        return settings;
    }

    /** A store that is not at its provider's usual address. */
    private static void address(JsonNode storage, Map<String, String> settings) {
        if (storage.hasNonNull("endpoint")) {
            settings.put("fs.s3a.endpoint", storage.get("endpoint").asText());
        }
        if (storage.hasNonNull("region")) {
            settings.put("fs.s3a.endpoint.region", storage.get("region").asText());
        }
        if (storage.hasNonNull("path_style")) {
            settings.put("fs.s3a.path.style.access", storage.get("path_style").asText());
        }
    }
}
