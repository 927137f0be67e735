package io.isthmus.spark;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries lineage events to the catalog and to an OpenLineage endpoint, from a thread and a bounded queue for each: a slow
 * place holds up neither the job nor the other place. A full queue gives up its oldest event and counts it. The settings
 * are those of OpenLineage's clients and of the C library's emitter (isthmus/lineage.h):
 *
 *     OPENLINEAGE_DISABLED=true                no event goes anywhere, the catalog included
 *     OPENLINEAGE_URL, OPENLINEAGE_ENDPOINT    http://host:port, and the path on it (api/v1/lineage)
 *     OPENLINEAGE_API_KEY                      sent as bearer token
 *     OPENLINEAGE__TRANSPORT__TYPE             http (with ..._URL), console, file (with ..._LOG_FILE_PATH)
 *
 * Internally locked. Public for PySpark, which reads the counters.
 */
public final class LineageEmitter {
    private static final Logger LOG = LoggerFactory.getLogger(LineageListener.class);
    private static final int QUEUE_MAX = 1000;
    private static final Duration TIMEOUT = Duration.ofSeconds(5);
    private static final String TRANSPORT = "OPENLINEAGE__TRANSPORT__";
    private static final AtomicBoolean COMPLAINED = new AtomicBoolean();

    /** A way to send one event. */
    interface Way {
        void send(String event) throws Exception;
    }

    /** One thread, which goes when there is nothing to send and does not hold up the JVM's end. */
    private static final class Place {
        private final ThreadPoolExecutor sender;
        private long sent;
        private long failed;
        private long dropped;
        private long waiting;

        Place(String name, int queueMax) {
            sender = new ThreadPoolExecutor(1, 1, 5, TimeUnit.SECONDS, new ArrayBlockingQueue<>(queueMax), task -> {
                Thread thread = new Thread(task, name);
                thread.setDaemon(true);
                return thread;
            }, (task, pool) -> {
                if (pool.getQueue().poll() != null) {
                    drop();
                }
                pool.execute(task);
            });
            sender.allowCoreThreadTimeOut(true);
        }

        private synchronized void drop() {
            dropped++;
            waiting--;
            complain(dropped + " event(s) dropped: more than are sent in time", null);
        }

        void put(Way way, String event) {
            synchronized (this) {
                waiting++;
            }
            sender.execute(() -> {
                Exception problem = null;
                try {
                    way.send(event);
                } catch (Exception e) {
                    problem = e;
                    complain("an event is lost", e);
                }
                synchronized (this) {
                    sent += problem == null ? 1 : 0;
                    failed += problem == null ? 0 : 1;
                    waiting--;
                    notifyAll();
                }
            });
        }

        synchronized boolean flush(long deadline) throws InterruptedException {
            for (long left; waiting > 0 && (left = deadline - System.nanoTime()) > 0;) {
                wait(left / 1_000_000 + 1);
            }
            return waiting == 0;
        }
    }

    private final boolean disabled;
    private final Way transport;
    private final Place catalog;
    private final Place endpoint;

    public LineageEmitter(Map<String, String> environment) {
        this(environment, QUEUE_MAX);
    }

    /** @param queueMax most events that wait for one place */
    public LineageEmitter(Map<String, String> environment, int queueMax) {
        String off = setting(environment, "OPENLINEAGE_DISABLED");
        disabled = "true".equalsIgnoreCase(off) || "1".equals(off);
        catalog = new Place("isthmus-lineage", queueMax);
        endpoint = new Place("isthmus-openlineage", queueMax);
        Way found = null;
        try {
            found = disabled ? null : transport(environment);
        } catch (IllegalArgumentException e) {
            complain("events go to the catalog only", e);
        }
        transport = found;
    }

    /** Hand over one event, which never waits. */
    void emit(Way toCatalog, String event) {
        if (!disabled && toCatalog != null) {
            catalog.put(toCatalog, event);
        }
        emit(event);
    }

    /** To the endpoint only. */
    public void emit(String event) {
        if (transport != null) {
            endpoint.put(transport, event);
        }
    }

    /** Wait until what was handed over has been sent or given up, at most so long; false: some of it still waits. */
    public boolean flush(long milliseconds) throws InterruptedException {
        long deadline = System.nanoTime() + milliseconds * 1_000_000;
        return catalog.flush(deadline) & endpoint.flush(deadline);
    }

    /** Events times places: sent, failed, dropped, waiting. */
    public Map<String, Long> counters() {
        synchronized (catalog) {
            synchronized (endpoint) {
                return Map.of("sent", catalog.sent + endpoint.sent, "failed", catalog.failed + endpoint.failed, "dropped",
                    catalog.dropped + endpoint.dropped, "waiting", catalog.waiting + endpoint.waiting);
            }
        }
    }

    /** The first is a warning; there may be one for each query. */
    static void complain(String what, Exception e) {
        String line = "lineage: " + what + (e == null ? "" : ": " + e.getMessage());
        if (COMPLAINED.compareAndSet(false, true)) {
            LOG.warn(line + " (further ones are told at debug level)");
        } else {
            LOG.debug(line);
        }
    }

    private static String setting(Map<String, String> environment, String name) {
        String value = environment.get(name);
        return value == null || value.isEmpty() ? null : value;
    }

    /** As OpenLineage's own clients: a transport that is set goes before the URL. Null: there is none. */
    private static Way transport(Map<String, String> environment) {
        String type = setting(environment, TRANSPORT + "TYPE");
        if (type == null || type.equals("http")) {
            String url = type == null ? null : setting(environment, TRANSPORT + "URL");
            url = url == null ? setting(environment, "OPENLINEAGE_URL") : url;
            return url == null ? null : http(url, environment);
        }
        if (type.equals("console")) {
            return System.err::println;
        }
        String path = setting(environment, TRANSPORT + "LOG_FILE_PATH");
        if (!type.equals("file") || path == null) {
            throw new IllegalArgumentException(TRANSPORT + "TYPE is " + type + "; Isthmus knows http, console, and file with "
                + TRANSPORT + "LOG_FILE_PATH");
        }
        return event -> append(Path.of(path), event);
    }

    private static Way http(String url, Map<String, String> environment) {
        String path = setting(environment, "OPENLINEAGE_ENDPOINT");
        String whole = url.replaceAll("/+$", "") + "/" + (path == null ? "api/v1/lineage" : path.replaceAll("^/+", ""));
        String key = setting(environment, "OPENLINEAGE_API_KEY");
        if (!whole.matches("https?://.*")) {
            throw new IllegalArgumentException("OPENLINEAGE_URL must begin with http:// or https://");
        }
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(TIMEOUT).build();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(whole)).timeout(TIMEOUT)
            .header("Content-Type", "application/json");
        if (key != null) {
            request.header("Authorization", "Bearer " + key);
        }
        return event -> {
            int status = client.send(request.copy().POST(HttpRequest.BodyPublishers.ofString(event)).build(),
                HttpResponse.BodyHandlers.discarding()).statusCode();
            if (status / 100 != 2) {
                throw new IOException("the OpenLineage endpoint answered " + status);
            }
        };
    }

    /** One write, so that lines of several processes do not mix. */
    private static void append(Path path, String event) throws IOException {
        try (OutputStream out = Files.newOutputStream(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
            out.write((event + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }
}
