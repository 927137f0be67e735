/*
 * local_lineage.c: OpenLineage run events, kept as they came and as edges between datasets.
 *
 * OpenLineage lets a run tell its datasets over several events (inputs with START, outputs with COMPLETE), so an edge
 * joins everything that one run read with everything that it wrote.
 */
#include "catalog/local/local_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DATASETS_MAX = 10000, EDGES_MAX = 1000 };

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

static ist_status store_datasets(ist__db *db, const char *run_id, yyjson_val *event, const char *key, int64_t output,
                                 ist_error *err)
{
    yyjson_val *datasets = yyjson_obj_get(event, key), *dataset;
    size_t i, count;
    if (yyjson_arr_size(datasets) > DATASETS_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s has more than %d datasets", key, DATASETS_MAX);
    yyjson_arr_foreach(datasets, i, count, dataset) {
        ist_buffer name = IST_BUFFER_INIT;
        ist_status status = dataset_name(dataset, &name, err);
        if (status == IST_OK)
            status = ist__db_run(
                db, "INSERT OR IGNORE INTO lineage_datasets (run_id, output, name) VALUES (?1, ?2, ?3)", NULL, err,
                "tit", run_id, output, name.data);
        ist_buffer_free(&name);
        IST_TRY(status);
    }
    return IST_OK;
}

/* The engine, from the facets that name it; NULL where none does. */
static const char *engine_of(yyjson_val *event, char integration[64])
{
    yyjson_val *run = yyjson_obj_get(event, "run"), *job = yyjson_obj_get(event, "job");
    yyjson_val *engine = yyjson_obj_get(yyjson_obj_get(run, "facets"), "processing_engine");
    yyjson_val *type = yyjson_obj_get(yyjson_obj_get(job, "facets"), "jobType");
    const char *text;
    if (ist__json_text(engine, "name", false, &text, NULL) == IST_OK && text)
        return text;
    if (ist__json_text(type, "integration", false, &text, NULL) != IST_OK || !text)
        return NULL;
    snprintf(integration, 64, "%s", text);
    for (char *at = integration; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return integration;
}

static ist_status store_event(ist__db *db, const char *text, yyjson_val *event, ist_error *err)
{
    const char *run_id, *job, *state, *event_time;
    char integration[64];
    sqlite3_stmt *row;
    IST_TRY(ist__json_text(event, "eventTime", true, &event_time, err));
    IST_TRY(ist__json_text(yyjson_obj_get(event, "run"), "runId", true, &run_id, err));
    IST_TRY(ist__json_text(yyjson_obj_get(event, "job"), "name", true, &job, err));
    IST_TRY(ist__json_text(event, "eventType", false, &state, err));
    IST_TRY(ist__db_run(db, "INSERT INTO lineage_events (run_id, event) VALUES (?1, ?2) RETURNING id", &row, err, "tt",
                        run_id, text));
    int64_t id = row ? sqlite3_column_int64(row, 0) : 0;
    /* An event without a type adds to a run without changing its state. */
    IST_TRY(ist__db_run(db,
                        "INSERT INTO lineage_runs (id, job, engine, state, event_time, last_event)"
                        " VALUES (?1, ?2, ?3, coalesce(?4, 'OTHER'), ?5, ?6) ON CONFLICT (id) DO UPDATE SET"
                        " job = ?2, engine = coalesce(?3, engine), state = coalesce(?4, state), event_time = ?5,"
                        " last_event = ?6",
                        NULL, err, "ttttti", run_id, job, engine_of(event, integration), state, event_time, id));
    IST_TRY(store_datasets(db, run_id, event, "inputs", 0, err));
    return store_datasets(db, run_id, event, "outputs", 1, err);
}

ist_status ist__local_post_lineage(void *self, const char *event, ist_error *err)
{
    ist__db *db;
    yyjson_doc *doc = NULL;
    IST_TRY(ist__json_read_object(event, &doc, err));
    ist_status status = ist__session_write(self, &db, err);
    if (status == IST_OK)
        status = ist__db_end(db, store_event(db, event, yyjson_doc_get_root(doc), err), err);
    yyjson_doc_free(doc);
    return status;
}

#define EDGE "SELECT i.name AS source, o.name AS target, r.job, r.engine, r.id AS run_id, r.event_time "
#define DONE "r.state NOT IN ('FAIL', 'ABORT') ORDER BY r.last_event DESC, i.name, o.name LIMIT ?2"

static ist_status add_edges(ist__db *db, const char *sql, const char *dataset, yyjson_mut_doc *doc, const char *key,
                            ist_error *err)
{
    sqlite3_stmt *row;
    yyjson_mut_val *edges = yyjson_mut_obj_add_arr(doc, yyjson_mut_doc_get_root(doc), key);
    IST_TRY(ist__db_run(db, sql, &row, err, "ti", dataset, (int64_t)EDGES_MAX));
    while (row) {
        yyjson_mut_arr_append(edges, ist__local_row(doc, row));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

static ist_status read_lineage(ist__db *db, const char *dataset, yyjson_mut_doc *doc, ist_error *err)
{
    static const char upstream[] =
        EDGE "FROM lineage_datasets o JOIN lineage_runs r ON r.id = o.run_id"
             " LEFT JOIN lineage_datasets i ON i.run_id = r.id AND i.output = 0"
             " WHERE o.name = ?1 AND o.output = 1 AND " DONE;
    static const char downstream[] =
        EDGE "FROM lineage_datasets i JOIN lineage_runs r ON r.id = i.run_id"
             " LEFT JOIN lineage_datasets o ON o.run_id = r.id AND o.output = 1"
             " WHERE i.name = ?1 AND i.output = 0 AND " DONE;
    static const char all[] =
        EDGE "FROM lineage_runs r LEFT JOIN lineage_datasets i ON i.run_id = r.id AND i.output = 0"
             " LEFT JOIN lineage_datasets o ON o.run_id = r.id AND o.output = 1"
             " WHERE ?1 IS NULL AND (i.name IS NOT NULL OR o.name IS NOT NULL) AND " DONE;
    if (!dataset)
        return add_edges(db, all, NULL, doc, "edges", err);
    yyjson_mut_obj_add_str(doc, yyjson_mut_doc_get_root(doc), "table", dataset);
    IST_TRY(add_edges(db, upstream, dataset, doc, "upstream", err));
    return add_edges(db, downstream, dataset, doc, "downstream", err);
}

ist_status ist__local_get_lineage(void *self, const char *dataset, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(self, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    ist_status status = ist__db_end(db, read_lineage(db, dataset, doc, err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}
