/*
 * lineage_query.c: the lineage around a table, as far as the principal may know of it.
 *
 * A table that he may not see keeps its place under a made-up name ("hidden 1"), without its columns; a dropped one is
 * shown to whoever has the rights of an owner on its schema. Files are shown where an edge joins them to a table that
 * he may see, and a job where it touches something that is shown: so nothing beyond a hidden table is told by name.
 */
#include "catalog/local/local_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EDGES_MAX = 1000, COLUMNS_MAX = 20000, EVERYTHING = -1 };

typedef enum node_kind { TABLE, LOCATION, HIDDEN } node_kind;

typedef struct node {
    int64_t id;
    node_kind kind;
    bool dropped;
    char *name;
    bool near; /* LOCATION: an edge joins it to a table that is shown */
} node;

typedef struct edge {
    int64_t id;
    int source, target; /* nodes; -1 for none */
    bool up;
    char *job, *engine, *run_id, *event_time;
    int64_t runs;
} edge;

/* One question on its way. */
typedef struct question {
    ist__session *session;
    ist__db *db;
    node *nodes;
    int node_count, node_capacity;
    edge *edges;
    int edge_count, edge_capacity;
    int hidden_count;
    bool truncated;
} question;

/* Nodes ------------------------------------------------------------------------------------------------------------ */

static ist_status grow(void **items, int *capacity, int count, size_t size, ist_error *err)
{
    if (count < *capacity)
        return IST_OK;
    int wanted = *capacity ? 2 * *capacity : 32;
    void *more = realloc(*items, (size_t)wanted * size);
    if (!more)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the lineage");
    *items = more;
    *capacity = wanted;
    return IST_OK;
}

/* May he know of a table that is no more, or never was in this catalog? Tables of other catalogs have no grants here. */
static bool may_see_name(question *q, const char *full_name)
{
    ist__name name;
    ist_error ignored = IST_ERROR_INIT;
    if (ist__name_split(full_name, 3, &name, NULL) != IST_OK)
        return q->session->who->is_admin;
    name.count = 2;
    ist_status status =
        ist__resolve(q->session, q->db, IST_SECURABLE_SCHEMA, &name, IST__ACTION_GRANT, NULL, &ignored);
    return status == IST_OK || (status == IST_NOT_FOUND && q->session->who->is_admin);
}

static bool may_see_table(question *q, const char *table_id, const char *name, bool *dropped)
{
    ist_error error = IST_ERROR_INIT;
    *dropped = false;
    if (!table_id)
        return may_see_name(q, name);
    ist_status status =
        ist__resolve_id(q->session, q->db, IST_SECURABLE_TABLE, table_id, IST__ACTION_SEE, NULL, &error);
    if (status == IST_OK)
        return true;
    sqlite3_stmt *row = NULL;
    if (ist__db_run(q->db, "SELECT 1 FROM tables WHERE id = ?1", &row, NULL, "t", table_id) != IST_OK || row)
        return false;
    *dropped = true;
    return may_see_name(q, name);
}

static ist_status add_node(question *q, int64_t id, int *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(grow((void **)&q->nodes, &q->node_capacity, q->node_count, sizeof *q->nodes, err));
    IST_TRY(ist__db_run(q->db, "SELECT name, table_id FROM lineage_nodes WHERE id = ?1", &row, err, "i", id));
    node *made = &q->nodes[q->node_count];
    *made = (node){.id = id, .kind = HIDDEN};
    char table_id[37] = "";
    if (row) {
        const char *bound = (const char *)sqlite3_column_text(row, 1);
        snprintf(table_id, sizeof table_id, "%s", bound ? bound : "");
        IST_TRY(ist__strdup((const char *)sqlite3_column_text(row, 0), &made->name, err));
        made->kind = strpbrk(made->name, "/:") ? LOCATION : TABLE;
    }
    if (made->kind == TABLE && !may_see_table(q, table_id[0] ? table_id : NULL, made->name, &made->dropped))
        made->kind = HIDDEN;
    *out = q->node_count++;
    return IST_OK;
}

/* -1 for the id 0, which is none. */
static ist_status find_node(question *q, int64_t id, int *out, ist_error *err)
{
    *out = -1;
    for (int i = 0; i < q->node_count && *out < 0; i++)
        if (q->nodes[i].id == id)
            *out = i;
    return id == 0 || *out >= 0 ? IST_OK : add_node(q, id, out, err);
}

/* Edges ------------------------------------------------------------------------------------------------------------ */

#define EDGE "SELECT id, source, target, job, engine, run_id, event_time, runs FROM lineage_edges WHERE "
#define NEWEST " ORDER BY number DESC, id LIMIT ?2"

/* The columns of EDGE that are text. */
static ist_status copy_text(sqlite3_stmt *row, edge *made, ist_error *err)
{
    char **texts[] = {&made->job, &made->engine, &made->run_id, &made->event_time};
    for (int i = 0; i < 4; i++)
        IST_TRY(ist__strdup((const char *)sqlite3_column_text(row, 3 + i), texts[i], err));
    return IST_OK;
}

static bool has_edge(const question *q, int64_t id, bool up)
{
    for (int i = 0; i < q->edge_count; i++)
        if (q->edges[i].id == id && q->edges[i].up == up)
            return true;
    return false;
}

/* Add what a statement finds; `near` is its parameter ?1. */
static ist_status add_edges(question *q, const char *sql, int64_t near, bool up, ist_error *err)
{
    sqlite3_stmt *row;
    int64_t room = EDGES_MAX - q->edge_count;
    IST_TRY(ist__db_run(q->db, sql, &row, err, "ii", near, room + 1));
    while (row && room-- > 0) {
        int64_t id = sqlite3_column_int64(row, 0);
        if (!has_edge(q, id, up)) {
            IST_TRY(grow((void **)&q->edges, &q->edge_capacity, q->edge_count, sizeof *q->edges, err));
            edge *made = &q->edges[q->edge_count++];
            *made = (edge){.id = id, .up = up, .runs = sqlite3_column_int64(row, 7)};
            IST_TRY(copy_text(row, made, err));
            IST_TRY(find_node(q, sqlite3_column_int64(row, 1), &made->source, err));
            IST_TRY(find_node(q, sqlite3_column_int64(row, 2), &made->target, err));
        }
        IST_TRY(ist__db_next(q->db, &row, err));
    }
    q->truncated = q->truncated || row;
    return IST_OK;
}

/* Breadth first: what the nodes from `first` on were made from, or into. */
static ist_status walk(question *q, bool up, int depth, int root_count, ist_error *err)
{
    int before = q->edge_count, level_end = root_count, *todo = NULL, todo_count = root_count, at = 0;
    ist_status status = ist__alloc(EDGES_MAX + (size_t)root_count + 1, sizeof *todo, (void **)&todo, err);
    for (int i = 0; status == IST_OK && i < root_count; i++)
        todo[i] = i;
    while (status == IST_OK && depth > 0 && at < todo_count) {
        status = add_edges(q, up ? EDGE "target = ?1" NEWEST : EDGE "source = ?1" NEWEST, q->nodes[todo[at++]].id, up,
                           err);
        for (; before < q->edge_count; before++) {
            int next = up ? q->edges[before].source : q->edges[before].target;
            bool known = next < 0;
            for (int i = 0; i < todo_count && !known; i++)
                known = todo[i] == next;
            if (!known)
                todo[todo_count++] = next;
        }
        if (at == level_end) {
            level_end = todo_count;
            depth--;
        }
    }
    free(todo);
    return status;
}

/* What is told ----------------------------------------------------------------------------------------------------- */

static bool shows(const question *q, int index)
{
    return index >= 0 && (q->nodes[index].kind == TABLE || q->nodes[index].near || q->session->who->is_admin);
}

/* Give hidden nodes their names, once all edges are known. */
static ist_status mask_nodes(question *q, ist_error *err)
{
    for (int i = 0; i < q->edge_count; i++) {
        int ends[] = {q->edges[i].source, q->edges[i].target};
        for (int k = 0; k < 2; k++)
            if (ends[k] >= 0 && ends[1 - k] >= 0 && q->nodes[ends[k]].kind == TABLE)
                q->nodes[ends[1 - k]].near = q->nodes[ends[1 - k]].kind == LOCATION;
    }
    for (int i = 0; i < q->node_count; i++) {
        node *masked = &q->nodes[i];
        if (shows(q, i))
            continue;
        char name[32];
        snprintf(name, sizeof name, "hidden %d", ++q->hidden_count);
        free(masked->name);
        masked->kind = HIDDEN;
        masked->dropped = false;
        IST_TRY(ist__strdup(name, &masked->name, err));
    }
    return IST_OK;
}

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
    yyjson_mut_obj_add_val(doc, object, key, text ? yyjson_mut_strcpy(doc, text) : yyjson_mut_null(doc));
}

static ist_status tell_columns(question *q, const edge *e, yyjson_mut_doc *doc, yyjson_mut_val *object, int *left,
                               ist_error *err)
{
    sqlite3_stmt *row;
    yyjson_mut_val *columns = yyjson_mut_obj_add_arr(doc, object, "columns");
    if (!shows(q, e->source) || !shows(q, e->target))
        return IST_OK;
    IST_TRY(ist__db_run(q->db,
                        "SELECT source, nullif(target, ''), direct, subtype FROM lineage_columns WHERE edge = ?1"
                        " ORDER BY target = '', target, direct DESC, source, subtype",
                        &row, err, "i", e->id));
    while (row && (*left)-- > 0) {
        yyjson_mut_val *column = yyjson_mut_arr_add_obj(doc, columns);
        add_text(doc, column, "source", (const char *)sqlite3_column_text(row, 0));
        add_text(doc, column, "target", (const char *)sqlite3_column_text(row, 1));
        yyjson_mut_obj_add_str(doc, column, "type", sqlite3_column_int(row, 2) ? "DIRECT" : "INDIRECT");
        add_text(doc, column, "subtype", (const char *)sqlite3_column_text(row, 3));
        IST_TRY(ist__db_next(q->db, &row, err));
    }
    q->truncated = q->truncated || row;
    return IST_OK;
}

static ist_status tell_edges(question *q, bool up, bool columns, yyjson_mut_doc *doc, const char *key, ist_error *err)
{
    yyjson_mut_val *edges = yyjson_mut_obj_add_arr(doc, yyjson_mut_doc_get_root(doc), key);
    int left = COLUMNS_MAX;
    for (int i = 0; i < q->edge_count; i++) {
        const edge *e = &q->edges[i];
        if (e->up != up)
            continue;
        bool known = shows(q, e->source) || shows(q, e->target);
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, edges);
        add_text(doc, object, "source", e->source < 0 ? NULL : q->nodes[e->source].name);
        add_text(doc, object, "target", e->target < 0 ? NULL : q->nodes[e->target].name);
        add_text(doc, object, "job", known ? e->job : "hidden");
        add_text(doc, object, "engine", e->engine[0] ? e->engine : NULL);
        add_text(doc, object, "run_id", known ? e->run_id : NULL);
        add_text(doc, object, "event_time", e->event_time);
        yyjson_mut_obj_add_sint(doc, object, "runs", e->runs);
        if (columns)
            IST_TRY(tell_columns(q, e, doc, object, &left, err));
    }
    return IST_OK;
}

static void tell_nodes(const question *q, yyjson_mut_doc *doc)
{
    static const char *const kinds[] = {"TABLE", "LOCATION", "HIDDEN"};
    yyjson_mut_val *nodes = yyjson_mut_obj_add_arr(doc, yyjson_mut_doc_get_root(doc), "nodes");
    for (int i = 0; i < q->node_count; i++) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, nodes);
        add_text(doc, object, "name", q->nodes[i].name);
        yyjson_mut_obj_add_str(doc, object, "kind", kinds[q->nodes[i].kind]);
        yyjson_mut_obj_add_bool(doc, object, "dropped", q->nodes[i].dropped);
    }
}

/* The nodes of a name, those before it dropped included, where he may see them. Others are not even found. */
static ist_status find_roots(question *q, const char *dataset, ist_error *err)
{
    sqlite3_stmt *row;
    int64_t ids[16];
    int count = 0;
    IST_TRY(ist__db_run(q->db, "SELECT id FROM lineage_nodes WHERE name = ?1 ORDER BY id DESC LIMIT 16", &row, err,
                        "t", dataset));
    while (row) {
        ids[count++] = sqlite3_column_int64(row, 0);
        IST_TRY(ist__db_next(q->db, &row, err));
    }
    for (int i = 0; i < count; i++) {
        int index;
        IST_TRY(find_node(q, ids[i], &index, err));
        if (q->nodes[index].kind == HIDDEN)
            free(q->nodes[--q->node_count].name);
    }
    return IST_OK;
}

static void edge_free(edge *e)
{
    free(e->job);
    free(e->engine);
    free(e->run_id);
    free(e->event_time);
}

/* Leave out edges of which nothing is shown, or all of them. */
static void drop_untold(question *q, bool all)
{
    int kept = 0;
    for (int i = 0; i < q->edge_count; i++) {
        if (!all && (shows(q, q->edges[i].source) || shows(q, q->edges[i].target)))
            q->edges[kept++] = q->edges[i];
        else
            edge_free(&q->edges[i]);
    }
    q->edge_count = kept;
}

static ist_status answer(question *q, const char *dataset, int depth, bool columns, yyjson_mut_doc *doc,
                         ist_error *err)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (dataset) {
        yyjson_mut_obj_add_str(doc, root, "table", dataset);
        IST_TRY(find_roots(q, dataset, err));
        int roots = q->node_count;
        IST_TRY(walk(q, true, depth, roots, err));
        IST_TRY(walk(q, false, depth, roots, err));
    } else {
        IST_TRY(add_edges(q, EDGE "?1 = -1" NEWEST, EVERYTHING, false, err));
    }
    IST_TRY(mask_nodes(q, err));
    bool alone = dataset && q->node_count > 0 && q->nodes[0].kind == HIDDEN; /* files that he has nothing to do with */
    if (alone || !dataset)
        drop_untold(q, alone);
    if (!alone)
        tell_nodes(q, doc);
    if (dataset)
        IST_TRY(tell_edges(q, true, columns, doc, "upstream", err));
    IST_TRY(tell_edges(q, false, columns, doc, dataset ? "downstream" : "edges", err));
    yyjson_mut_obj_add_bool(doc, root, "truncated", q->truncated);
    return IST_OK;
}

static void question_free(question *q)
{
    for (int i = 0; i < q->node_count; i++)
        free(q->nodes[i].name);
    for (int i = 0; i < q->edge_count; i++)
        edge_free(&q->edges[i]);
    free(q->nodes);
    free(q->edges);
}

ist_status ist__local_get_lineage(void *self, const char *dataset, int depth, bool columns, ist_buffer *out,
                                  ist_error *err)
{
    question q = {.session = self};
    IST_TRY(ist__session_read(q.session, &q.db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    ist_status status = ist__db_end(q.db, answer(&q, dataset, depth, columns, doc, err), err);
    question_free(&q);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}
