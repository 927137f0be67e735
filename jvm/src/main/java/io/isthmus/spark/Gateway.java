package io.isthmus.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.security.AccessControlException;

/**
 * Files of volumes and tables by the file gateway of `isthmus serve` (its src/server/routes_files.c): the catalog gives
 * a token for one volume or table to whom it grants that, and the gateway takes the token. Shareable; tokens are kept
 * until shortly before they expire.
 */
final class Gateway {
    /** What the catalog gives tokens for, and how it is asked. */
    enum Kind {
        VOLUME("/temporary-volume-credentials", "volume_id", "READ_VOLUME", "WRITE_VOLUME"),
        TABLE("/temporary-table-credentials", "table_id", "READ", "READ_WRITE"),
        NEW_TABLE("/temporary-path-credentials", "url", "PATH_CREATE_TABLE", "PATH_CREATE_TABLE");

        final String route;
        final String member;
        final String read;
        final String write;

        Kind(String route, String member, String read, String write) {
            this.route = route;
            this.member = member;
            this.read = read;
            this.write = write;
        }
    }

    /** @param id a volume's full name, a table's id, a new table's location; @param path where users see it */
    record Target(Kind kind, String id, String path) {
    }

    /** A file or folder in a target; `within` is "" for the target itself. */
    record Place(Target target, String within) {
        @Override
        public String toString() {
            return within.isEmpty() ? target.path : target.path + "/" + within;
        }
    }

    /** @param etag of one content of a file; "" where nobody asked */
    record Entry(String name, boolean folder, long size, long modifiedMs, String etag) {
        static Entry folder(String name) {
            return new Entry(name, true, 0, 0, "");
        }
    }

    private record Key(Target target, String operation) {
    }

    private record Token(String endpoint, String token, long until) {
    }

    private static final String DBFS = "main.default.dbfs"; // the volume of dbfs: paths outside /Volumes
    private static final long MARGIN_MS = 60_000;
    private static final Duration TIMEOUT = Duration.ofMinutes(10);
    private static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(Duration.ofSeconds(10)).build();
    private static final Map<Map<String, String>, Gateway> GATEWAYS = new ConcurrentHashMap<>();

    private final Server server;
    private final Map<Key, Token> tokens = new ConcurrentHashMap<>();

    private Gateway(Server server) {
        this.server = server;
    }

    /** One per server and principal: Hadoop opens a file system for nearly every call. */
    static Gateway of(Server server) {
        return GATEWAYS.computeIfAbsent(server.settings(), same -> new Gateway(server));
    }

    // The catalog

    /** The names in the whole catalog server ([]), a catalog (["main"]) or a schema (["main", "demo"]). */
    List<Entry> names(List<String> parent) throws IOException {
        String kind = List.of("catalogs", "schemas", "volumes").get(parent.size());
        String query = (parent.isEmpty() ? "" : "&catalog_name=" + Server.encode(parent.get(0)))
            + (parent.size() < 2 ? "" : "&schema_name=" + Server.encode(parent.get(1)));
        List<Entry> found = new ArrayList<>();
        String next = "";
        do {
            JsonNode page = ask("GET", "/" + kind + "?page_token=" + Server.encode(next) + query, null,
                "/Volumes/" + String.join("/", parent));
            page.path(kind).forEach(item -> found.add(Entry.folder(item.path("name").asText())));
            next = page.hasNonNull("next_page_token") ? page.get("next_page_token").asText() : "";
        } while (!next.isEmpty());
        return found;
    }

    private JsonNode ask(String method, String path, JsonNode body, Object about) throws IOException {
        try {
            return body == null ? server.get(path) : server.post(path, body);
        } catch (Server.Refused e) {
            throw failure(e.status, e.getMessage(), about);
        }
    }

    private static IOException failure(int status, String message, Object about) {
        String line = about + ": " + message;
        return switch (status) {
            case 401, 403 -> new AccessControlException(line);
            case 404 -> new FileNotFoundException(line);
            case 409, 412 -> new FileAlreadyExistsException(line);
            default -> new IOException(line);
        };
    }

    /** A volume's id by its name; the volume for plain dbfs: paths is made for who writes there first. */
    private String volumeId(Target target, boolean write) throws IOException {
        try {
            return ask("GET", "/volumes/" + Server.encode(target.id), null, target.path).path("volume_id").asText();
        } catch (FileNotFoundException e) {
            if (!write || !target.id.equals(DBFS)) {
                throw e;
            }
            String[] name = DBFS.split("\\.");
            return ask("POST", "/volumes", Server.JSON.createObjectNode().put("catalog_name", name[0])
                .put("schema_name", name[1]).put("name", name[2]).put("volume_type", "MANAGED"), target.path)
                .path("volume_id").asText();
        }
    }

    private Token token(Target target, boolean write) throws IOException {
        Key key = new Key(target, write ? target.kind.write : target.kind.read);
        Token kept = tokens.get(key);
        if (kept != null && System.currentTimeMillis() < kept.until) {
            return kept;
        }
        ObjectNode body = Server.JSON.createObjectNode().put("operation", key.operation)
            .put(target.kind.member, target.kind == Kind.VOLUME ? volumeId(target, write) : target.id);
        JsonNode given = ask("POST", target.kind.route, body, target.path);
        JsonNode token = given.path("isthmus_file_token");
        if (!token.hasNonNull("token") || !token.hasNonNull("endpoint")) {
            throw new IOException(target.path + " is at " + given.path("url").asText("a place")
                + " that the catalog server at " + server.uri + " hands out no files of: use that location in Spark");
        }
        long now = System.currentTimeMillis();
        long expires = given.path("expiration_time").asLong();
        Token fresh = new Token(token.path("endpoint").asText(), token.path("token").asText(),
            expires - Math.min(MARGIN_MS, (expires - now) / 2));
        tokens.put(key, fresh);
        return fresh;
    }

    // The gateway

    private HttpRequest.Builder request(Place place, boolean write, String query) throws IOException {
        Token token = token(place.target, write);
        StringBuilder uri = new StringBuilder(token.endpoint);
        for (String segment : place.within.isEmpty() ? new String[0] : place.within.split("/")) {
            uri.append('/').append(Server.encode(segment));
        }
        return HttpRequest.newBuilder(URI.create(uri + (query.isEmpty() ? "" : "?" + query))).timeout(TIMEOUT)
            .header("Authorization", "Bearer " + token.token);
    }

    private static HttpResponse<byte[]> send(HttpRequest.Builder builder, Place place) throws IOException {
        HttpRequest request = builder.build();
        HttpResponse<byte[]> response;
        try {
            response = HTTP.send(request, BodyHandlers.ofByteArray());
        } catch (ConnectException e) {
            throw new IOException(place + ": no file gateway answers at " + request.uri().getAuthority()
                + ": is `isthmus serve` running?", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new java.io.InterruptedIOException("interrupted at " + place);
        }
        if (response.statusCode() / 100 != 2) {
            throw failure(response.statusCode(), message(response), place);
        }
        return response;
    }

    private static String message(HttpResponse<byte[]> response) {
        try {
            JsonNode told = Server.JSON.readTree(response.body()).path("message");
            if (told.isTextual()) {
                return told.asText();
            }
        } catch (IOException e) {
            // It is not the gateway's JSON.
        }
        return response.statusCode() == 404 ? "there is no such file" // the answer to HEAD has no text
            : "the file gateway answered " + response.statusCode();
    }

    private static String text(HttpResponse<byte[]> response) {
        return new String(response.body(), StandardCharsets.UTF_8);
    }

    /** What is at a place. */
    Entry stat(Place place) throws IOException {
        if (place.within.isEmpty()) {
            list(place, 1);
            return Entry.folder("");
        }
        try {
            HttpResponse<byte[]> response = send(request(place, false, "")
                .method("HEAD", BodyPublishers.noBody()), place);
            return new Entry("", false, response.headers().firstValueAsLong("Content-Length").orElse(0),
                response.headers().firstValueAsLong("X-Isthmus-Modified-Ms").orElse(0),
                response.headers().firstValue("ETag").orElse(""));
        } catch (FileNotFoundException | AccessControlException e) {
            throw e;
        } catch (IOException e) {
            list(place, 1); // a folder has no HEAD, and what has neither fails again
            return Entry.folder("");
        }
    }

    /** What is in a folder; a missing one is empty. @param most 0 for all of it */
    List<Entry> list(Place place, int most) throws IOException {
        List<Entry> found = new ArrayList<>();
        String after = "";
        do {
            String query = "list=true&max=" + most + "&start_after=" + Server.encode(after);
            JsonNode page = Server.JSON.readTree(text(send(request(place, false, query).GET(), place)));
            page.path("folders").forEach(name -> found.add(Entry.folder(name.asText())));
            page.path("objects").forEach(item -> found.add(new Entry(item.path("name").asText(), false,
                item.path("size").asLong(), item.path("modified_ms").asLong(), "")));
            after = page.hasNonNull("next") ? page.get("next").asText() : "";
        } while (!after.isEmpty() && most == 0);
        return found;
    }

    /** Bytes of a file that is still what `entry` told. */
    byte[] read(Place place, Entry entry, long offset, int size) throws IOException {
        try {
            return send(request(place, false, "").header("Range", "bytes=" + offset + "-" + (offset + size - 1))
                .header("If-Match", entry.etag).GET(), place).body();
        } catch (FileAlreadyExistsException e) {
            throw new IOException(place + " was replaced while it was read: read it again");
        }
    }

    /** All of it or nothing. */
    void put(Place place, Path content, boolean replace) throws IOException {
        HttpRequest.Builder put = request(place, true, "").PUT(BodyPublishers.ofFile(content));
        send(replace ? put : put.header("If-None-Match", "*"), place);
    }

    void delete(Place place, boolean folder) throws IOException {
        send(request(place, true, folder ? "folder=true" : "").DELETE(), place);
    }

    void makeFolder(Place place) throws IOException {
        send(request(place, true, "folder=true").PUT(BodyPublishers.noBody()), place);
    }

    /** Fails where there is something at `to`. */
    void rename(Place from, Place to) throws IOException {
        send(request(from, true, "rename_to=" + Server.encode(to.within)).POST(BodyPublishers.noBody()), from);
    }
}
