package io.isthmus.spark;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import scala.jdk.javaapi.CollectionConverters;

/** What a session means by a name, and which server keeps it. */
final class CatalogSession {
    private static final String PREFIX = "spark.sql.catalog.";
    private static final List<String> OPTIONS = List.of("uri", "token", "tokenFile");

    private final SparkSession session;
    private final List<String> current = new ArrayList<>();

    CatalogSession(SparkSession session) {
        this.session = session;
        var manager = ((org.apache.spark.sql.classic.SparkSession) session).sessionState().catalogManager();
        current.add(manager.currentCatalog().name());
        current.addAll(List.of(manager.currentNamespace()));
    }

    /** The name with the current catalog and schema before it, where it lacks them. */
    List<String> full(List<String> name, int parts) {
        List<String> full = new ArrayList<>(name);
        int lacking = parts - name.size();
        if (lacking > current.size()) {
            throw Failure.raise(String.join(".", name) + ": this session has no current schema: write "
                + "catalog.schema.name");
        }
        full.addAll(0, current.subList(0, Math.max(0, lacking)));
        return full;
    }

    /** Who keeps a catalog: as its settings say; one without any is where this session's others are. */
    Server server(String catalog) {
        return Server.find(PREFIX + catalog, options(isOurs(catalog) ? catalog : other()));
    }

    /** Who keeps what is in no catalog. */
    Server server() {
        return server(other());
    }

    /** Let this session use a catalog that was just made. */
    void register(String catalog) {
        if (!session.conf().contains(PREFIX + catalog)) {
            options(other()).forEach((option, value) -> session.conf().set(PREFIX + catalog + "." + option, value));
            session.conf().set(PREFIX + catalog, IsthmusCatalog.class.getName());
        }
    }

    private boolean isOurs(String catalog) {
        return IsthmusCatalog.class.getName().equals(session.conf().get(PREFIX + catalog, ""));
    }

    /** The current catalog where it is ours, else the first of the session's that is. */
    private String other() {
        if (isOurs(current.get(0))) {
            return current.get(0);
        }
        return CollectionConverters.asJava(session.conf().getAll()).keySet().stream()
            .filter(key -> key.startsWith(PREFIX)).map(key -> key.substring(PREFIX.length())).filter(this::isOurs)
            .sorted().findFirst().orElse(current.get(0));
    }

    private Map<String, String> options(String catalog) {
        Map<String, String> options = new HashMap<>();
        for (String option : OPTIONS) {
            String key = PREFIX + catalog + "." + option;
            if (session.conf().contains(key)) {
                options.put(option, session.conf().get(key));
            }
        }
        return options;
    }
}
