package io.isthmus.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A Unity Catalog server: where it is, the token it asks for, and its REST calls. Immutable and shareable.
 *
 * The address is the option `uri`, else $ISTHMUS_CATALOG, else what a running `isthmus serve` left in
 * $ISTHMUS_HOME/server.json (or ~/.isthmus/server.json). The token is the option `token`, else the content of the
 * file named by `tokenFile`, else $ISTHMUS_TOKEN, else server.json's, which is only ever sent to server.json's address.
 */
public final class Server {
    static final ObjectMapper JSON = new ObjectMapper();
    private static final String API = "/api/2.1/unity-catalog";
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration REQUEST_TIMEOUT = Duration.ofSeconds(60);
    private static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(CONNECT_TIMEOUT).build();

    /** An answer outside 2xx; `code` is Unity Catalog's error_code ("" where there is none), `reason` its words. */
    static final class Refused extends Exception {
        final int status;
        final String code;
        final String reason;

        Refused(int status, String code, String reason, String message) {
            super(message);
            this.status = status;
            this.code = code;
            this.reason = reason.isEmpty() ? message : reason;
        }

        /** A table or a schema of the catalog is missing; that the catalog itself is, is another matter. */
        boolean isNotFound() {
            return status == 404 && !code.equals("CATALOG_NOT_FOUND");
        }

        /** Unity Catalog answers 400 or 409 for a name that is taken, by the server's version. */
        boolean isAlreadyExists() {
            return status == 409 || code.endsWith("ALREADY_EXISTS");
        }
    }

    final String uri;
    private final String token;

    private Server(String uri, String token) {
        this.uri = uri;
        this.token = token;
    }

    /** @param what what the options belong to, for messages: "spark.sql.catalog.main" */
    static Server find(String what, Map<String, String> options) {
        return find(what, options, System.getenv());
    }

    static Server find(String what, Map<String, String> options, Map<String, String> environment) {
        String home = environment.getOrDefault("ISTHMUS_HOME", System.getProperty("user.home") + "/.isthmus");
        Path file = Path.of(home, "server.json");
        String uri = first(options.get("uri"), environment.get("ISTHMUS_CATALOG"));
        String token = first(options.get("token"), readToken(what, options.get("tokenFile")),
            environment.get("ISTHMUS_TOKEN"));
        if (uri == null || token == null) {
            JsonNode left = readServerFile(file);
            String leftUri = first(left.path("url").asText(null));
            if (uri == null) {
                uri = leftUri;
            }
            if (token == null && uri != null && leftUri != null && trim(uri).equals(trim(leftUri))) {
                token = first(left.path("token").asText(null));
            }
        }
        if (uri == null) {
            throw Failure.raise(what + ": no catalog server: set " + what + ".uri or start `isthmus serve` (looked in "
                + file + ")");
        }
        return new Server(checked(what, trim(uri)), token);
    }

    private static String checked(String what, String uri) {
        try {
            URI parsed = URI.create(uri);
            if (parsed.getHost() != null && ("http".equals(parsed.getScheme()) || "https".equals(parsed.getScheme()))) {
                return uri;
            }
        } catch (IllegalArgumentException e) {
            // Falls through to the same message.
        }
        throw Failure.raise(what + ".uri is \"" + uri + "\"; it must be of the form http://host:port");
    }

    private static String readToken(String what, String file) {
        if (file == null) {
            return null;
        }
        try {
            return Files.readString(Path.of(file)).trim();
        } catch (IOException e) {
            throw Failure.raise(what + ".tokenFile: cannot read " + file, e);
        }
    }

    private static JsonNode readServerFile(Path file) {
        try {
            return JSON.readTree(file.toFile());
        } catch (IOException e) {
            return MissingNode.getInstance();
        }
    }

    private static String first(String... values) {
        for (String value : values) {
            if (value != null && !value.isEmpty()) {
                return value;
            }
        }
        return null;
    }

    private static String trim(String uri) {
        return uri.replaceAll("/+$", "");
    }

    /** For Delta's and Unity Catalog's own clients, which ask the same server on this catalog's behalf. */
    Map<String, String> settings() {
        return Map.of("uri", uri, "token", token == null ? "" : token);
    }

    static String encode(String part) {
        return URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20");
    }

    JsonNode get(String path) throws Refused {
        return send("GET", API + path, null);
    }

    /** All items of a list, page by page; @param path with at least one parameter */
    List<JsonNode> pages(String path, String member) throws Refused {
        List<JsonNode> all = new ArrayList<>();
        String token = "";
        do {
            JsonNode page = get(path + (token.isEmpty() ? "" : "&page_token=" + encode(token)));
            page.path(member).forEach(all::add);
            String next = page.path("next_page_token").asText("");
            if (next.equals(token) && !next.isEmpty()) {
                throw Failure.raise("the catalog server at " + uri + " gives the same page again and again");
            }
            token = next;
        } while (!token.isEmpty());
        return all;
    }

    JsonNode post(String path, JsonNode body) throws Refused {
        return send("POST", API + path, body);
    }

    JsonNode patch(String path, JsonNode body) throws Refused {
        return send("PATCH", API + path, body);
    }

    JsonNode delete(String path) throws Refused {
        return send("DELETE", API + path, null);
    }

    /** One call. Where no answer came, or one that no name explains, the user is told at once by a {@link Failure}. */
    JsonNode send(String method, String path, JsonNode body) throws Refused {
        HttpRequest.Builder request;
        try {
            request = HttpRequest.newBuilder(URI.create(uri + path)).timeout(REQUEST_TIMEOUT)
                .header("Accept", "application/json")
                .method(method, body == null ? HttpRequest.BodyPublishers.noBody()
                    : HttpRequest.BodyPublishers.ofString(body.toString()));
            if (body != null) {
                request.header("Content-Type", "application/json");
            }
            if (token != null) {
                request.header("Authorization", "Bearer " + token);
            }
        } catch (IllegalArgumentException e) {
            // Its message would quote the header, so the token: no cause.
            throw Failure.raise("the token for the catalog server at " + uri + " has characters that no token has");
        }
        HttpResponse<String> response;
        try {
            response = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
        } catch (HttpTimeoutException e) {
            throw Failure.raise("the catalog server at " + uri + " does not answer (" + method + " " + path + ")", e);
        } catch (ConnectException e) {
            throw Failure.raise("no catalog server answers at " + uri
                + ": is `isthmus serve` running, and is this its address?", e);
        } catch (IOException e) {
            throw Failure.raise("the catalog server at " + uri + " cannot be reached: " + e, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw Failure.raise("interrupted while asking the catalog server at " + uri, e);
        }
        int status = response.statusCode();
        if (status == 401) {
            throw Failure.raise("the catalog server at " + uri + (token == null ? " asks for a token (401), none is set"
                : " refused the token (401)") + ": set spark.sql.catalog.<name>.token, .tokenFile or $ISTHMUS_TOKEN");
        }
        JsonNode json = parse(response.body(), status);
        if (status / 100 == 2) {
            return json;
        }
        String message = json.path("message").asText(json.path("error").path("message").asText(""));
        throw new Refused(status, json.path("error_code").asText(""), message, "the catalog server at " + uri
            + " answered " + status + " to " + method + " " + path + (message.isEmpty() ? "" : ": " + message));
    }

    private JsonNode parse(String body, int status) {
        try {
            return JSON.readTree(body);
        } catch (IOException e) {
            if (status / 100 == 2 && !body.isBlank()) {
                throw Failure.raise("what answers at " + uri + " is not a catalog server: its reply is not JSON");
            }
            return MissingNode.getInstance();
        }
    }
}
