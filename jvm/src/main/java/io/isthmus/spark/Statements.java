package io.isthmus.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.catalyst.parser.ParserInterface;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.util.StringUtils;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The statements of Databricks' SQL that Spark lacks, about what the catalog server keeps: volumes, grants, catalogs
 * and comments on them. Each is one or two of the server's REST calls, under the token that the session has for the catalog
 * in the name, so grants are those of the session's principal, and a refusal is told in the server's words.
 *
 *     CREATE VOLUME [IF NOT EXISTS] name [COMMENT 'text']
 *     CREATE EXTERNAL VOLUME [IF NOT EXISTS] name LOCATION 'url' [COMMENT 'text']
 *     DROP VOLUME [IF EXISTS] name
 *     SHOW VOLUMES [IN schema] [[LIKE] 'pattern']
 *     DESCRIBE VOLUME name
 *     GRANT privilege [, ...] ON [kind] name TO principal
 *     REVOKE privilege [, ...] ON [kind] name FROM principal
 *     SHOW GRANTS [principal] ON [kind] name
 *     CREATE CATALOG [IF NOT EXISTS] name [MANAGED LOCATION 'url'] [COMMENT 'text']
 *     DROP CATALOG [IF EXISTS] name [RESTRICT | CASCADE]
 *     COMMENT ON {CATALOG | VOLUME | COLUMN} name IS {'text' | NULL}
 */
final class Statements {
    private interface Rule {
        LogicalPlan parse(Words words, ParserInterface parser) throws ParseException;
    }

    /** A kind of what privileges are granted on: in SQL, in the REST API, and how many parts its names have. */
    private record Kind(String words, String type, int parts) {
    }

    /** Something of a kind, as a statement names it; METASTORE has no name. */
    private record Securable(Kind kind, List<String> name) {
        Server server(CatalogSession session) {
            return kind.parts < 2 && !kind.type.equals("catalog") ? session.server()
                : session.server(session.full(name, kind.parts).get(0));
        }

        List<String> full(CatalogSession session) {
            return session.full(name, kind.parts);
        }
    }

    private static final Map<String, Rule> RULES = new LinkedHashMap<>();

    static {
        RULES.put("CREATE VOLUME", (words, parser) -> createVolume(words, false));
        RULES.put("CREATE EXTERNAL VOLUME", (words, parser) -> createVolume(words, true));
        RULES.put("DROP VOLUME", (words, parser) -> dropVolume(words));
        RULES.put("SHOW VOLUMES", (words, parser) -> showVolumes(words));
        RULES.put("DESCRIBE VOLUME", (words, parser) -> describeVolume(words));
        RULES.put("DESC VOLUME", (words, parser) -> describeVolume(words));
        RULES.put("GRANT", (words, parser) -> changeGrants(words, "GRANT", "add", "TO"));
        RULES.put("REVOKE", (words, parser) -> changeGrants(words, "REVOKE", "remove", "FROM"));
        RULES.put("SHOW GRANTS", (words, parser) -> showGrants(words));
        RULES.put("SHOW GRANT", (words, parser) -> showGrants(words));
        RULES.put("CREATE CATALOG", (words, parser) -> createCatalog(words));
        RULES.put("DROP CATALOG", (words, parser) -> dropCatalog(words));
        RULES.put("COMMENT ON CATALOG", (words, parser) -> comment(words, "CATALOG", "catalogs", 1));
        RULES.put("COMMENT ON VOLUME", (words, parser) -> comment(words, "VOLUME", "volumes", 3));
        RULES.put("COMMENT ON COLUMN", Statements::commentOnColumn);
    }

    private static final List<Kind> KINDS = List.of(new Kind("TABLE", "table", 3), new Kind("VIEW", "table", 3),
        new Kind("SCHEMA", "schema", 2), new Kind("DATABASE", "schema", 2), new Kind("CATALOG", "catalog", 1),
        new Kind("VOLUME", "volume", 3), new Kind("FUNCTION", "function", 3),
        new Kind("MODEL", "registered_model", 3), new Kind("EXTERNAL LOCATION", "external_location", 1),
        new Kind("STORAGE CREDENTIAL", "credential", 1), new Kind("METASTORE", "metastore", 0));
    /** What a securable's privileges are inherited from, by the parts of its name less one. */
    private static final List<Kind> PARENTS = List.of(new Kind("CATALOG", "catalog", 1),
        new Kind("SCHEMA", "schema", 2));

    private Statements() {
    }

    /** @return the statement's plan, or null where it is none of these */
    static LogicalPlan parse(String sql, ParserInterface parser) throws ParseException {
        Words words = new Words(sql, parser);
        for (Map.Entry<String, Rule> rule : RULES.entrySet()) {
            // DESCRIBE volume is about a table of that name.
            boolean describesTable = rule.getKey().startsWith("DESC")
                && !words.isNameAhead(rule.getKey().split(" ").length, List.of());
            if (!describesTable && words.skip(rule.getKey())) {
                return rule.getValue().parse(words, parser);
            }
        }
        return null;
    }

    // Volumes

    private static LogicalPlan createVolume(Words words, boolean external) throws ParseException {
        boolean calm = words.skip("IF NOT EXISTS");
        List<String> name = words.name("a volume's name", 3);
        if (external) {
            words.expect("LOCATION");
        } else if (words.are("LOCATION")) {
            throw words.unexpected("a volume with a LOCATION is made by CREATE EXTERNAL VOLUME");
        }
        String location = external ? words.string("the volume's URL") : null;
        String comment = words.skip("COMMENT") ? words.string("the comment") : null;
        words.expectEnd();
        return CatalogCommand.of("CREATE VOLUME", List.of(), session -> {
            List<String> full = session.full(name, 3);
            ObjectNode body = Server.JSON.createObjectNode().put("catalog_name", full.get(0))
                .put("schema_name", full.get(1)).put("name", full.get(2)).put("comment", comment)
                .put("volume_type", external ? "EXTERNAL" : "MANAGED");
            if (external) {
                body.put("storage_location", location);
            }
            return create(session.server(full.get(0)), "/volumes", body, calm);
        });
    }

    private static LogicalPlan dropVolume(Words words) {
        boolean calm = words.skip("IF EXISTS");
        List<String> name = words.name("a volume's name", 3);
        words.expectEnd();
        return CatalogCommand.of("DROP VOLUME", List.of(), session -> {
            List<String> full = session.full(name, 3);
            return drop(session.server(full.get(0)), path("volumes", full), calm);
        });
    }

    private static LogicalPlan showVolumes(Words words) throws ParseException {
        List<String> schema = words.skip("IN") || words.skip("FROM") ? words.name("a schema's name", 2) : List.of();
        boolean like = words.skip("LIKE");
        String pattern = like || !words.atEnd() ? words.string("the pattern") : "*";
        words.expectEnd();
        return CatalogCommand.of("SHOW VOLUMES", List.of("database", "volume_name"), session -> {
            List<String> full = session.full(schema, 2);
            List<String> names = new ArrayList<>();
            for (JsonNode volume : session.server(full.get(0)).pages("/volumes?catalog_name="
                + Server.encode(full.get(0)) + "&schema_name=" + Server.encode(full.get(1)), "volumes")) {
                names.add(volume.path("name").asText());
            }
            return CollectionConverters.asJava(StringUtils.filterPattern(CollectionConverters.asScala(names).toSeq(),
                pattern)).stream().sorted().map(name -> new String[] {full.get(1), name}).toList();
        });
    }

    private static LogicalPlan describeVolume(Words words) {
        List<String> name = words.name("a volume's name", 3);
        words.expectEnd();
        List<String> columns = List.of("name", "catalog", "database", "owner", "storageLocation", "volumeType",
            "comment");
        List<String> members = List.of("name", "catalog_name", "schema_name", "owner", "storage_location",
            "volume_type", "comment");
        return CatalogCommand.of("DESCRIBE VOLUME", columns, session -> {
            List<String> full = session.full(name, 3);
            JsonNode volume = session.server(full.get(0)).get(path("volumes", full));
            return List.<String[]>of(members.stream().map(member -> volume.path(member).asText(null))
                .toArray(String[]::new));
        });
    }

    // Grants

    private static LogicalPlan changeGrants(Words words, String statement, String change, String direction) {
        List<String> privileges = new ArrayList<>();
        do {
            privileges.add(words.phrase("a privilege", List.of("ON")));
        } while (words.skip(","));
        words.expect("ON");
        Securable on = securable(words);
        words.expect(direction);
        String principal = words.name("a principal", 1).get(0);
        words.expectEnd();
        return CatalogCommand.of(statement, List.of(), session -> {
            ObjectNode body = Server.JSON.createObjectNode();
            ObjectNode wanted = body.putArray("changes").addObject().put("principal", principal);
            privileges.forEach(wanted.putArray(change)::add);
            Server server = on.server(session);
            server.patch(permissions(server, on.kind.type, on.full(session)), body);
            return List.of();
        });
    }

    /** What was granted on something and on what it is in. */
    private static LogicalPlan showGrants(Words words) {
        String principal = words.are("ON") ? null : words.name("a principal", 1).get(0);
        words.expect("ON");
        Securable on = securable(words);
        words.expectEnd();
        return CatalogCommand.of("SHOW GRANTS", List.of("principal", "actionType", "objectType", "objectKey"),
            session -> {
                List<String> full = on.full(session);
                Server server = on.server(session);
                List<String[]> rows = new ArrayList<>(grants(server, on.kind, full, principal));
                for (int parts = on.kind.parts - 1; parts > 0; parts--) {
                    rows.addAll(grants(server, PARENTS.get(parts - 1), full.subList(0, parts), principal));
                }
                return rows;
            });
    }

    private static List<String[]> grants(Server server, Kind kind, List<String> name, String principal)
        throws Server.Refused {
        List<String[]> rows = new ArrayList<>();
        JsonNode found = server.get(permissions(server, kind.type, name)
            + (principal == null ? "" : "?principal=" + Server.encode(principal)));
        found.path("privilege_assignments").forEach(to -> to.path("privileges").forEach(privilege -> rows.add(
            new String[] {to.path("principal").asText(), privilege.asText().replace('_', ' '), kind.words,
                String.join(".", name)})));
        return rows;
    }

    /** A kind, which is TABLE where it is left out, and a name. */
    private static Securable securable(Words words) {
        List<String> ends = List.of(".", "TO", "FROM");
        for (Kind kind : KINDS) {
            boolean named = words.isNameAhead(kind.words.split(" ").length, ends);
            if (named == kind.parts > 0 && words.skip(kind.words)) {
                return new Securable(kind, named ? words.name(kind.words.toLowerCase(Locale.ROOT) + "'s name",
                    kind.parts) : List.of());
            }
        }
        return new Securable(KINDS.get(0), words.name("a kind (TABLE, SCHEMA, ...) and a name", 3));
    }

    /** The metastore goes by its id there. */
    private static String permissions(Server server, String type, List<String> name) throws Server.Refused {
        return "/permissions/" + type + "/" + Server.encode(name.isEmpty()
            ? server.get("/metastore_summary").path("metastore_id").asText() : String.join(".", name));
    }

    // Catalogs

    private static LogicalPlan createCatalog(Words words) throws ParseException {
        boolean calm = words.skip("IF NOT EXISTS");
        String name = words.name("a catalog's name", 1).get(0);
        String root = words.skip("MANAGED LOCATION") ? words.string("the URL of its storage") : null;
        String comment = words.skip("COMMENT") ? words.string("the comment") : null;
        words.expectEnd();
        return CatalogCommand.of("CREATE CATALOG", List.of(), session -> {
            ObjectNode body = Server.JSON.createObjectNode().put("name", name).put("comment", comment);
            if (root != null) {
                body.put("storage_root", root);
            }
            create(session.server(name), "/catalogs", body, calm);
            session.register(name);
            return List.of();
        });
    }

    private static LogicalPlan dropCatalog(Words words) {
        boolean calm = words.skip("IF EXISTS");
        String name = words.name("a catalog's name", 1).get(0);
        boolean force = words.skip("CASCADE");
        if (!force) {
            words.skip("RESTRICT");
        }
        words.expectEnd();
        return CatalogCommand.of("DROP CATALOG", List.of(), session -> drop(session.server(name),
            path("catalogs", List.of(name)) + (force ? "?force=true" : ""), calm));
    }

    // Comments

    private static LogicalPlan comment(Words words, String kind, String route, int parts)
        throws ParseException {
        List<String> name = words.name("a name", parts);
        String comment = commentIs(words);
        return CatalogCommand.of("COMMENT ON " + kind, List.of(), session -> {
            List<String> full = session.full(name, parts);
            session.server(full.get(0)).patch(path(route, full), Server.JSON.createObjectNode().put("comment",
                comment == null ? "" : comment));
            return List.of();
        });
    }

    /** Spark has this one under another name. */
    private static LogicalPlan commentOnColumn(Words words, ParserInterface parser) throws ParseException {
        List<String> name = words.name("a column's name, table.column", 4);
        if (name.size() < 2) {
            throw words.unexpected("a column's name is table.column");
        }
        String comment = commentIs(words);
        String text = comment == null ? "" : comment.replace("\\", "\\\\").replace("'", "\\'");
        return parser.parsePlan("ALTER TABLE " + quoted(name.subList(0, name.size() - 1)) + " ALTER COLUMN "
            + quoted(name.subList(name.size() - 1, name.size())) + " COMMENT '" + text + "'");
    }

    private static String commentIs(Words words) throws ParseException {
        words.expect("IS");
        String comment = words.skip("NULL") ? null : words.string("the comment");
        words.expectEnd();
        return comment;
    }

    private static String quoted(List<String> name) {
        return "`" + String.join("`.`", name.stream().map(part -> part.replace("`", "``")).toList()) + "`";
    }

    // Calls

    private static String path(String route, List<String> full) {
        return "/" + route + "/" + Server.encode(String.join(".", full));
    }

    private static List<String[]> create(Server server, String route, ObjectNode body, boolean calm)
        throws Server.Refused {
        try {
            server.post(route, body);
        } catch (Server.Refused e) {
            if (!calm || !e.isAlreadyExists()) {
                throw e;
            }
        }
        return List.of();
    }

    private static List<String[]> drop(Server server, String path, boolean calm) throws Server.Refused {
        try {
            server.delete(path);
        } catch (Server.Refused e) {
            if (!calm || e.status != 404) {
                throw e;
            }
        }
        return List.of();
    }
}
