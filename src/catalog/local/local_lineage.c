/*
 * local_lineage.c: OpenLineage run events become edges between datasets. lineage_query.c reads them.
 *
 * OpenLineage lets a run tell its datasets over several events (inputs with START, outputs with COMPLETE), so a run is
 * kept with what it used until it has been silent for a day, and everything that it read is joined with everything that
 * it wrote. Edges are what lasts: one for each (source, target, job, engine), with the newest run and a count, so that
 * a table that is appended to a million times has one; they go when nothing repeated them for `lineage_days`.
 *
 * A dataset is a node. A table's node is bound to the table's id, so that it survives renaming: triggers keep its name,
 * and take over nodes that were known by name before the table was. After a drop the node keeps the last name.
 */
#include "catalog/local/local_internal.h"
#include "catalog/local/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    DATASETS_MAX = 1000,      /* of one side of one event */
    RUN_EDGES_MAX = 100000,   /* that one run may make */
    COLUMN_EDGES_MAX = 20000, /* of one event */
    PURGE_EVERY = 500,        /* events */
    PURGE_ROWS = 5000,        /* at most in one go: posting stays fast */
    RUN_SILENT_MS = 24 * 3600 * 1000,
};

#define NAME_OF_TABLE                                                                                                  \
    "(SELECT c.name || '.' || s.name || '.' || t.name FROM tables t JOIN schemas s ON s.id = t.parent_id"              \
    " JOIN catalogs c ON c.id = s.parent_id WHERE t.id = "

const char ist__schema_lineage[] =
    "DROP TABLE lineage_events;"
    "CREATE TABLE lineage_nodes (id INTEGER PRIMARY KEY, name TEXT NOT NULL, table_id TEXT UNIQUE) STRICT;"
    "CREATE INDEX lineage_nodes_by_name ON lineage_nodes (name);"
    "CREATE TABLE lineage_uses (run_id TEXT NOT NULL REFERENCES lineage_runs(id) ON DELETE CASCADE,"
    " output INTEGER NOT NULL, node INTEGER NOT NULL REFERENCES lineage_nodes(id) ON DELETE CASCADE,"
    " PRIMARY KEY (run_id, output, node)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX lineage_uses_by_node ON lineage_uses (node);"
    /* source and target: a node's id; 0 for none, at a run that only wrote or only read */
    "CREATE TABLE lineage_edges (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, target INTEGER NOT NULL,"
    " job TEXT NOT NULL, engine TEXT NOT NULL, runs INTEGER NOT NULL, run_id TEXT NOT NULL, event_time TEXT NOT NULL,"
    " number INTEGER NOT NULL, seen_at INTEGER NOT NULL, UNIQUE (target, source, job, engine)) STRICT;"
    "CREATE INDEX lineage_edges_by_source ON lineage_edges (source);"
    "CREATE INDEX lineage_edges_by_number ON lineage_edges (number);"
    "CREATE INDEX lineage_edges_by_age ON lineage_edges (seen_at);"
    /* target '': every row of it */
    "CREATE TABLE lineage_columns (edge INTEGER NOT NULL REFERENCES lineage_edges(id) ON DELETE CASCADE,"
    " target TEXT NOT NULL, source TEXT NOT NULL, subtype TEXT NOT NULL, direct INTEGER NOT NULL,"
    " PRIMARY KEY (edge, target, source, subtype)) STRICT, WITHOUT ROWID;"
    "ALTER TABLE lineage_runs ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lineage_runs ADD COLUMN principal TEXT;"
    "CREATE INDEX lineage_runs_by_age ON lineage_runs (seen_at);"
    /* what version 1 kept */
    "INSERT INTO lineage_nodes (name, table_id) SELECT DISTINCT d.name, (SELECT t.id FROM tables t JOIN schemas s ON"
    " s.id = t.parent_id JOIN catalogs c ON c.id = s.parent_id WHERE c.name || '.' || s.name || '.' || t.name = d.name)"
    " FROM lineage_datasets d;"
    "INSERT INTO lineage_uses SELECT d.run_id, d.output, n.id FROM lineage_datasets d JOIN lineage_nodes n"
    " ON n.name = d.name;"
    "INSERT INTO lineage_edges (source, target, job, engine, runs, run_id, event_time, number, seen_at)"
    " SELECT coalesce(i.node, 0), coalesce(o.node, 0), r.job, coalesce(r.engine, ''), count(*), r.id, r.event_time,"
    " max(r.last_event), CAST(strftime('%s', 'now') AS INTEGER) * 1000 FROM lineage_runs r"
    " LEFT JOIN lineage_uses i ON i.run_id = r.id AND i.output = 0"
    " LEFT JOIN lineage_uses o ON o.run_id = r.id AND o.output = 1"
    " WHERE r.state NOT IN ('START', 'FAIL', 'ABORT') AND coalesce(i.node, o.node) IS NOT NULL GROUP BY 1, 2, 3, 4;"
    "DROP TABLE lineage_datasets;"
    "CREATE TRIGGER lineage_table_made AFTER INSERT ON tables BEGIN"
    " UPDATE lineage_nodes SET table_id = new.id WHERE id = (SELECT max(id) FROM lineage_nodes WHERE table_id IS NULL"
    " AND name = " NAME_OF_TABLE "new.id)); END;"
    "CREATE TRIGGER lineage_table_renamed AFTER UPDATE OF name ON tables WHEN old.name <> new.name BEGIN"
    " UPDATE lineage_nodes SET name = " NAME_OF_TABLE "new.id) WHERE table_id = new.id; END;"
    "CREATE TRIGGER lineage_schema_renamed AFTER UPDATE OF name ON schemas WHEN old.name <> new.name BEGIN"
    " UPDATE lineage_nodes SET name = " NAME_OF_TABLE "table_id) WHERE table_id IN (SELECT id FROM tables"
    " WHERE parent_id = new.id); END;"
    "CREATE TRIGGER lineage_catalog_renamed AFTER UPDATE OF name ON catalogs WHEN old.name <> new.name BEGIN"
    " UPDATE lineage_nodes SET name = " NAME_OF_TABLE "table_id) WHERE table_id IN (SELECT t.id FROM tables t"
    " JOIN schemas s ON s.id = t.parent_id WHERE s.parent_id = new.id); END;";

/* One event on its way in. */
typedef struct arrival {
    ist__db *db;
    yyjson_val *event;
    const char *run_id, *job, *state, *event_time;
    const char *engine; /* "" where nothing names it */
    char integration[64];
    int64_t number, now;
} arrival;

/* Names and nodes -------------------------------------------------------------------------------------------------- */

/*
 * One text for a dataset, which for a table of the catalog is its full name and for a location its URI.
 * (https://openlineage.io/docs/spec/naming)
 */
static ist_status dataset_name(yyjson_val *dataset, ist_buffer *out, ist_error *err)
{
    const char *space, *name;
    IST_TRY(ist__json_text(dataset, "namespace", true, &space, err));
    IST_TRY(ist__json_text(dataset, "name", true, &name, err));
    if (strcmp(space, "unitycatalog") == 0)
        return ist_buffer_append_string(out, name, err);
    if (strcmp(space, "file") == 0)
        return ist__location_normalize(name, out, err);
    return ist_buffer_printf(out, err, "%s%s%s", space, name[0] == '/' ? "" : "/", name);
}

/* The id of the table of a full name; "" where the catalog has none. */
static ist_status table_id_of(ist__db *db, const char *full_name, char id[37], ist_error *err)
{
    ist__name name;
    sqlite3_stmt *row;
    id[0] = '\0';
    if (strpbrk(full_name, "/:") || ist__name_split(full_name, 3, &name, NULL) != IST_OK)
        return IST_OK;
    IST_TRY(ist__db_run(db,
                        "SELECT t.id FROM catalogs c JOIN schemas s ON s.parent_id = c.id JOIN tables t"
                        " ON t.parent_id = s.id WHERE c.name = ?1 AND s.name = ?2 AND t.name = ?3",
                        &row, err, "ttt", name.part[0], name.part[1], name.part[2]));
    if (row)
        snprintf(id, 37, "%s", (const char *)sqlite3_column_text(row, 0));
    return IST_OK;
}

/* The node of a name, made where there is none. */
static ist_status node_of(ist__db *db, const char *name, int64_t *out, ist_error *err)
{
    char table_id[37];
    sqlite3_stmt *row;
    IST_TRY(table_id_of(db, name, table_id, err));
    if (table_id[0])
        IST_TRY(ist__db_run(db, "SELECT id FROM lineage_nodes WHERE table_id = ?1", &row, err, "t", table_id));
    else /* what had the name last: files, a table elsewhere, one that is dropped or not registered yet */
        IST_TRY(ist__db_run(db, "SELECT max(id) FROM lineage_nodes WHERE name = ?1 HAVING count(*) > 0", &row, err,
                            "t", name));
    if (!row)
        IST_TRY(ist__db_run(db, "INSERT INTO lineage_nodes (name, table_id) VALUES (?1, ?2) RETURNING id", &row, err,
                            "tt", name, table_id[0] ? table_id : NULL));
    *out = row ? sqlite3_column_int64(row, 0) : 0;
    return IST_OK;
}

static ist_status node_of_dataset(ist__db *db, yyjson_val *dataset, int64_t *out, ist_error *err)
{
    ist_buffer name = IST_BUFFER_INIT;
    ist_status status = dataset_name(dataset, &name, err);
    if (status == IST_OK)
        status = node_of(db, name.data ? name.data : "", out, err);
    ist_buffer_free(&name);
    return status;
}

/* Runs ------------------------------------------------------------------------------------------------------------- */

static ist_status store_uses(arrival *a, const char *key, int64_t output, ist_error *err)
{
    yyjson_val *datasets = yyjson_obj_get(a->event, key), *dataset;
    size_t i, count;
    if (yyjson_arr_size(datasets) > DATASETS_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s has more than %d datasets", key, DATASETS_MAX);
    yyjson_arr_foreach(datasets, i, count, dataset) {
        int64_t node;
        IST_TRY(node_of_dataset(a->db, dataset, &node, err));
        IST_TRY(ist__db_run(a->db, "INSERT OR IGNORE INTO lineage_uses (run_id, output, node) VALUES (?1, ?2, ?3)",
                            NULL, err, "tii", a->run_id, output, node));
    }
    return IST_OK;
}

/* The engine, from the facets that name it; "" where none does. */
static const char *engine_of(yyjson_val *event, char integration[64])
{
    yyjson_val *run = yyjson_obj_get(event, "run"), *job = yyjson_obj_get(event, "job");
    yyjson_val *engine = yyjson_obj_get(yyjson_obj_get(run, "facets"), "processing_engine");
    yyjson_val *type = yyjson_obj_get(yyjson_obj_get(job, "facets"), "jobType");
    const char *text;
    if (ist__json_text(engine, "name", false, &text, NULL) == IST_OK && text)
        return text;
    if (ist__json_text(type, "integration", false, &text, NULL) != IST_OK || !text)
        return "";
    snprintf(integration, 64, "%s", text);
    for (char *at = integration; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return integration;
}

static ist_status read_arrival(arrival *a, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__json_text(a->event, "eventTime", true, &a->event_time, err));
    IST_TRY(ist__json_text(yyjson_obj_get(a->event, "run"), "runId", true, &a->run_id, err));
    IST_TRY(ist__json_text(yyjson_obj_get(a->event, "job"), "name", true, &a->job, err));
    IST_TRY(ist__json_text(a->event, "eventType", false, &a->state, err));
    a->engine = engine_of(a->event, a->integration);
    a->now = ist__now_ms();
    IST_TRY(ist__db_run(a->db, "SELECT coalesce(max(last_event), 0) + 1 FROM lineage_runs", &row, err, ""));
    a->number = row ? sqlite3_column_int64(row, 0) : 1;
    return IST_OK;
}

/* An event without a type adds to a run without changing its state; one without an engine keeps what was told. */
static ist_status store_run(arrival *a, const char *principal, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(a->db,
                        "INSERT INTO lineage_runs (id, job, engine, state, event_time, last_event, seen_at, principal)"
                        " VALUES (?1, ?2, ?3, coalesce(?4, 'OTHER'), ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET"
                        " job = ?2, engine = coalesce(nullif(?3, ''), engine), state = coalesce(?4, state),"
                        " event_time = ?5, last_event = ?6, seen_at = ?7 RETURNING engine, state",
                        &row, err, "tttttiit", a->run_id, a->job, a->engine, a->state, a->event_time, a->number,
                        a->now, principal));
    if (row) {
        snprintf(a->integration, sizeof a->integration, "%s", (const char *)sqlite3_column_text(row, 0));
        a->engine = a->integration;
        const char *state = (const char *)sqlite3_column_text(row, 1);
        a->state = strcmp(state, "START") == 0 || strcmp(state, "FAIL") == 0 || strcmp(state, "ABORT") == 0
                       ? NULL : "RUNNING";
    }
    IST_TRY(store_uses(a, "inputs", 0, err));
    return store_uses(a, "outputs", 1, err);
}

/* Edges ------------------------------------------------------------------------------------------------------------ */

static ist_status check_edge_count(arrival *a, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(a->db,
                        "SELECT (SELECT count(*) FROM lineage_uses WHERE run_id = ?1 AND output = 0) *"
                        " (SELECT count(*) FROM lineage_uses WHERE run_id = ?1 AND output = 1)",
                        &row, err, "t", a->run_id));
    if (row && sqlite3_column_int64(row, 0) > RUN_EDGES_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the run has more than %d pairs of an input and an output: tell them as several runs",
                             RUN_EDGES_MAX);
    return IST_OK;
}

/* What a run read, each with what it wrote; alone where there is nothing on the other side. */
static ist_status store_edges(arrival *a, ist_error *err)
{
    IST_TRY(check_edge_count(a, err));
    IST_TRY(ist__db_run(
        a->db,
        "INSERT INTO lineage_edges (source, target, job, engine, runs, run_id, event_time, number, seen_at)"
        " SELECT coalesce(i.node, 0), coalesce(o.node, 0), ?2, ?3, 1, ?1, ?4, ?5, ?6"
        " FROM (SELECT 1) LEFT JOIN lineage_uses i ON i.run_id = ?1 AND i.output = 0"
        " LEFT JOIN lineage_uses o ON o.run_id = ?1 AND o.output = 1 WHERE coalesce(i.node, o.node) IS NOT NULL"
        " ON CONFLICT (target, source, job, engine) DO UPDATE SET runs = runs + (run_id <> ?1), run_id = ?1,"
        " event_time = ?4, number = ?5, seen_at = ?6",
        NULL, err, "ttttii", a->run_id, a->job, a->engine, a->event_time, a->number, a->now));
    /* An earlier event of the run may have told one side only. */
    IST_TRY(ist__db_run(a->db,
                        "DELETE FROM lineage_edges WHERE source = 0 AND target IN (SELECT node FROM lineage_uses"
                        " WHERE run_id = ?1 AND output = 1) AND run_id = ?1 AND runs = 1 AND number < ?2"
                        " AND EXISTS (SELECT 1 FROM lineage_uses WHERE run_id = ?1 AND output = 0)",
                        NULL, err, "ti", a->run_id, a->number));
    return ist__db_run(a->db,
                       "DELETE FROM lineage_edges WHERE target = 0 AND source IN (SELECT node FROM lineage_uses"
                       " WHERE run_id = ?1 AND output = 0) AND run_id = ?1 AND runs = 1 AND number < ?2"
                       " AND EXISTS (SELECT 1 FROM lineage_uses WHERE run_id = ?1 AND output = 1)",
                       NULL, err, "ti", a->run_id, a->number);
}

/* Columns ---------------------------------------------------------------------------------------------------------- */

/* One InputField of the facet: `column` ("" for every row) comes from it. */
static ist_status store_source(arrival *a, int64_t target, const char *column, yyjson_val *source, size_t *left,
                               ist_error *err)
{
    const char *field, *type, *subtype;
    int64_t node;
    sqlite3_stmt *row;
    yyjson_val *steps = yyjson_obj_get(source, "transformations");
    IST_TRY(ist__json_text(source, "field", true, &field, err));
    IST_TRY(node_of_dataset(a->db, source, &node, err));
    IST_TRY(ist__db_run(a->db,
                        "SELECT id FROM lineage_edges WHERE target = ?1 AND source = ?2 AND job = ?3 AND engine = ?4",
                        &row, err, "iitt", target, node, a->job, a->engine));
    int64_t edge = row ? sqlite3_column_int64(row, 0) : 0;
    size_t count = yyjson_arr_size(steps);
    for (size_t i = 0; edge && i < (count ? count : 1); i++) { /* older facets have no steps: the value passes */
        yyjson_val *step = yyjson_arr_get(steps, i);
        IST_TRY(ist__json_text(step, "type", false, &type, err));
        IST_TRY(ist__json_text(step, "subtype", false, &subtype, err));
        if ((*left)-- == 0)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the event has more than %d edges between columns",
                                 COLUMN_EDGES_MAX);
        int64_t direct = !type || strcmp(type, "INDIRECT") != 0;
        IST_TRY(ist__db_run(a->db,
                            "INSERT OR IGNORE INTO lineage_columns (edge, target, source, subtype, direct)"
                            " VALUES (?1, ?2, ?3, ?4, ?5)",
                            NULL, err, "ittti", edge, column, field, subtype ? subtype : direct ? "IDENTITY" : "FILTER",
                            direct));
    }
    return IST_OK;
}

static ist_status store_columns_of(arrival *a, yyjson_val *dataset, size_t *left, ist_error *err)
{
    yyjson_val *facet = yyjson_obj_get(yyjson_obj_get(dataset, "facets"), "columnLineage");
    yyjson_val *fields = yyjson_obj_get(facet, "fields"), *column, *field, *source;
    size_t i, k, count, sources;
    int64_t target;
    if (!facet)
        return IST_OK;
    IST_TRY(node_of_dataset(a->db, dataset, &target, err));
    /* What this run tells replaces what earlier ones told. */
    IST_TRY(ist__db_run(a->db,
                        "DELETE FROM lineage_columns WHERE edge IN (SELECT id FROM lineage_edges WHERE target = ?1"
                        " AND job = ?2 AND engine = ?3 AND run_id = ?4)",
                        NULL, err, "ittt", target, a->job, a->engine, a->run_id));
    yyjson_obj_foreach(fields, i, count, column, field) {
        yyjson_arr_foreach(yyjson_obj_get(field, "inputFields"), k, sources, source)
            IST_TRY(store_source(a, target, yyjson_get_str(column), source, left, err));
    }
    yyjson_arr_foreach(yyjson_obj_get(facet, "dataset"), i, count, source)
        IST_TRY(store_source(a, target, "", source, left, err));
    return IST_OK;
}

static ist_status store_columns(arrival *a, ist_error *err)
{
    size_t i, count, left = COLUMN_EDGES_MAX;
    yyjson_val *dataset;
    yyjson_arr_foreach(yyjson_obj_get(a->event, "outputs"), i, count, dataset)
        IST_TRY(store_columns_of(a, dataset, &left, err));
    return IST_OK;
}

/* The end of things ------------------------------------------------------------------------------------------------ */

static ist_status purge(ist__db *db, int64_t now, int days, ist_error *err)
{
    int64_t rows = PURGE_ROWS, oldest = days > 0 ? now - (int64_t)days * 86400000 : INT64_MIN;
    IST_TRY(ist__db_run(db,
                        "DELETE FROM lineage_runs WHERE id IN (SELECT id FROM lineage_runs WHERE seen_at < ?1"
                        " AND last_event < (SELECT max(last_event) FROM lineage_runs) ORDER BY seen_at LIMIT ?2)",
                        NULL, err, "ii", now - RUN_SILENT_MS, rows));
    IST_TRY(ist__db_run(db,
                        "DELETE FROM lineage_edges WHERE id IN (SELECT id FROM lineage_edges WHERE seen_at < ?1"
                        " ORDER BY seen_at LIMIT ?2)",
                        NULL, err, "ii", oldest, rows));
    return ist__db_run(db,
                       "DELETE FROM lineage_nodes WHERE id IN (SELECT n.id FROM lineage_nodes n"
                       " WHERE NOT EXISTS (SELECT 1 FROM lineage_edges e WHERE e.source = n.id)"
                       " AND NOT EXISTS (SELECT 1 FROM lineage_edges e WHERE e.target = n.id)"
                       " AND NOT EXISTS (SELECT 1 FROM lineage_uses u WHERE u.node = n.id) LIMIT ?1)",
                       NULL, err, "i", rows);
}

static ist_status store_event(ist__session *session, arrival *a, ist_error *err)
{
    IST_TRY(read_arrival(a, err));
    IST_TRY(store_run(a, session->who->name, err));
    if (a->state) {
        IST_TRY(store_edges(a, err));
        IST_TRY(store_columns(a, err));
    }
    return a->number % PURGE_EVERY ? IST_OK : purge(a->db, a->now, session->local->lineage_days, err);
}

ist_status ist__local_post_lineage(void *self, const char *event, ist_error *err)
{
    ist__session *session = self;
    arrival a = {0};
    yyjson_doc *doc = NULL;
    IST_TRY(ist__json_read_object(event, &doc, err));
    a.event = yyjson_doc_get_root(doc);
    ist_status status = ist__session_write(session, &a.db, err);
    if (status == IST_OK)
        status = ist__db_end(a.db, store_event(session, &a, err), err);
    yyjson_doc_free(doc);
    return status;
}
