/* graph.c: the catalog's answer as a graph, and as a tree of text. */
#include "lineage/graph_internal.h"

#include "util/util.h"

#include <stdlib.h>
#include <string.h>

const char *ist__graph_text(yyjson_val *edge, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(edge, key));
    return text ? text : "";
}

/* The graph -------------------------------------------------------------------------------------------------------- */

static bool grow(void **items, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *more = realloc(*items, wanted * size);
    if (!more)
        return false;
    *items = more;
    *capacity = wanted;
    return true;
}

int ist__graph_add_node(ist__graph *graph, ist__node_kind kind, const char *name)
{
    if (!grow((void **)&graph->nodes, &graph->node_capacity, graph->node_count, sizeof *graph->nodes))
        return -1;
    graph->nodes[graph->node_count] = (ist__graph_node){.kind = kind, .name = name};
    return (int)graph->node_count++;
}

static bool add_edge(ist__graph *graph, int from, int to, yyjson_val *told)
{
    for (size_t i = 0; i < graph->edge_count; i++)
        if (graph->edges[i].from == from && graph->edges[i].to == to)
            return true;
    if (from < 0 || to < 0 ||
        !grow((void **)&graph->edges, &graph->edge_capacity, graph->edge_count, sizeof *graph->edges))
        return false;
    graph->edges[graph->edge_count++] = (ist__graph_edge){.from = from, .to = to, .told = told};
    return true;
}

static ist__node_kind kind_of(const ist__graph *graph, const char *name, bool *dropped)
{
    yyjson_val *node;
    size_t i, count;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(graph->doc), "nodes"), i, count, node) {
        if (strcmp(ist__graph_text(node, "name"), name) != 0)
            continue;
        *dropped = yyjson_is_true(yyjson_obj_get(node, "dropped"));
        const char *kind = ist__graph_text(node, "kind");
        return strcmp(kind, "HIDDEN") == 0 ? IST__NODE_HIDDEN
               : strcmp(kind, "TABLE") == 0 ? IST__NODE_TABLE : IST__NODE_LOCATION;
    }
    return strchr(name, '/') ? IST__NODE_LOCATION : IST__NODE_TABLE;
}

/* The node of a dataset, made where there is none; -1 without memory. */
static int dataset_node(ist__graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].kind < IST__NODE_JOB && strcmp(graph->nodes[i].name, name) == 0)
            return (int)i;
    bool dropped = false;
    ist__node_kind kind = kind_of(graph, name, &dropped);
    int made = ist__graph_add_node(graph, kind, name);
    if (made >= 0)
        graph->nodes[made].dropped = dropped;
    return made;
}

/* One job is a node for each dataset that it makes: otherwise a program that makes many would seem to make each from
 * all. A job that only reads is one for each dataset that it reads. */
static int job_node(ist__graph *graph, yyjson_val *told, int source, int target)
{
    const char *job = ist__graph_text(told, "job"), *engine = ist__graph_text(told, "engine");
    for (size_t i = 0; i < graph->edge_count; i++) {
        const ist__graph_edge *edge = &graph->edges[i];
        int at = target >= 0 && edge->to == target ? edge->from : target < 0 && edge->from == source ? edge->to : -1;
        if (at >= 0 && graph->nodes[at].kind == IST__NODE_JOB && strcmp(graph->nodes[at].name, job) == 0 &&
            strcmp(graph->nodes[at].engine, engine) == 0)
            return at;
    }
    int made = ist__graph_add_node(graph, IST__NODE_JOB, job);
    if (made >= 0)
        graph->nodes[made].engine = engine;
    return made;
}

static bool add_told(ist__graph *graph, yyjson_val *told, bool with_jobs)
{
    const char *source_name = ist__graph_text(told, "source"), *target_name = ist__graph_text(told, "target");
    bool from = *source_name, to = *target_name;
    if (!from && !to)
        return true;
    if (!with_jobs && !(from && to))
        return true;
    int source = from ? dataset_node(graph, source_name) : -1, target = to ? dataset_node(graph, target_name) : -1;
    if ((from && source < 0) || (to && target < 0))
        return false;
    if (!with_jobs)
        return add_edge(graph, source, target, told);
    int job = job_node(graph, told, source, target);
    return job >= 0 && (!from || add_edge(graph, source, job, told)) && (!to || add_edge(graph, job, target, told));
}

ist_status ist__graph_read(const char *answer, bool with_jobs, ist__graph *graph, ist_error *err)
{
    static const char *const keys[] = {"upstream", "downstream", "edges"};
    memset(graph, 0, sizeof *graph);
    graph->doc = yyjson_read(answer, strlen(answer), 0);
    yyjson_val *root = yyjson_doc_get_root(graph->doc), *told;
    if (!yyjson_is_obj(root))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "this is no lineage: it is not a JSON object");
    graph->table = yyjson_get_str(yyjson_obj_get(root, "table"));
    bool enough = !graph->table || dataset_node(graph, graph->table) >= 0;
    size_t total = 0;
    for (int k = 0; k < 3; k++) {
        size_t i, count;
        yyjson_arr_foreach(yyjson_obj_get(root, keys[k]), i, count, told) {
            if (total++ < IST__GRAPH_EDGES_MAX)
                enough = enough && add_told(graph, told, with_jobs);
        }
    }
    return enough ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the lineage graph");
}

void ist__graph_free(ist__graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++)
        free(graph->nodes[i].columns);
    for (size_t i = 0; i < graph->edge_count; i++)
        free(graph->edges[i].bends);
    free(graph->nodes);
    free(graph->edges);
    yyjson_doc_free(graph->doc);
}

/* Text ------------------------------------------------------------------------------------------------------------- */

/* One tree: the edges of one direction, and which tables were shown with what is beyond them. */
typedef struct tree {
    yyjson_val *edges;
    bool up, columns;
    const char **shown;
    size_t shown_count;
    ist_buffer *out;
} tree;

enum { TREE_DEPTH_MAX = 100 };

/* Names come from anywhere: what a terminal would act on is escaped. */
static ist_status print_safe(ist_buffer *out, const char *text, ist_error *err)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool c1 = c == 0xC2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xA0;
        if (c1)
            c = (unsigned char)*++text;
        if (c1 || c < 0x20 || c == 0x7F)
            IST_TRY(ist_buffer_printf(out, err, "\\x%02x", c));
        else
            IST_TRY(ist_buffer_append(out, text, 1, err));
    }
    return IST_OK;
}

/* "by bridge.py (ray), 2026-11-23 09:00:00 UTC, 3 runs" */
static ist_status print_job(ist_buffer *out, yyjson_val *edge, ist_error *err)
{
    const char *time = ist__graph_text(edge, "event_time"), *engine = ist__graph_text(edge, "engine");
    int64_t runs = yyjson_get_sint(yyjson_obj_get(edge, "runs"));
    IST_TRY(ist_buffer_append_string(out, "by ", err));
    IST_TRY(print_safe(out, ist__graph_text(edge, "job"), err));
    if (*engine) {
        IST_TRY(ist_buffer_append_string(out, " (", err));
        IST_TRY(print_safe(out, engine, err));
        IST_TRY(ist_buffer_append_string(out, ")", err));
    }
    if (strlen(time) > 19) { /* ISO 8601, UTC */
        char text[32];
        snprintf(text, sizeof text, ", %.10s %.8s UTC", time, time + 11);
        IST_TRY(print_safe(out, text, err));
    }
    if (runs > 1)
        IST_TRY(ist_buffer_printf(out, err, ", %lld runs", (long long)runs));
    return ist_buffer_append_string(out, "\n", err);
}

static bool same_target(yyjson_val *a, yyjson_val *b)
{
    return strcmp(ist__graph_text(a, "target"), ist__graph_text(b, "target")) == 0;
}

/* "total from price (AGGREGATION), amount (AGGREGATION)", one line for each column of the edge's target. */
static ist_status print_columns(ist_buffer *out, yyjson_val *columns, int indent, ist_error *err)
{
    size_t count = yyjson_arr_size(columns);
    for (size_t i = 0; i < count; i++) {
        yyjson_val *first = yyjson_arr_get(columns, i);
        bool before = false;
        for (size_t j = 0; j < i && !before; j++)
            before = same_target(yyjson_arr_get(columns, j), first);
        if (before)
            continue;
        const char *target = ist__graph_text(first, "target");
        IST_TRY(ist_buffer_printf(out, err, "%*s", indent, ""));
        IST_TRY(print_safe(out, *target ? target : "every row", err));
        const char *between = " from ";
        for (size_t j = i; j < count; j++) {
            yyjson_val *column = yyjson_arr_get(columns, j);
            if (!same_target(column, first))
                continue;
            IST_TRY(ist_buffer_append_string(out, between, err));
            IST_TRY(print_safe(out, ist__graph_text(column, "source"), err));
            IST_TRY(ist_buffer_append_string(out, " (", err));
            IST_TRY(print_safe(out, ist__graph_text(column, "subtype"), err));
            IST_TRY(ist_buffer_append_string(out, ")", err));
            between = ", ";
        }
        IST_TRY(ist_buffer_append_string(out, "\n", err));
    }
    return IST_OK;
}

/* The edges at one table, and below each what is beyond the table at its other end, once. */
static ist_status print_branches(tree *t, const char *table, int depth, ist_error *err)
{
    const char *near = t->up ? "target" : "source", *far = t->up ? "source" : "target";
    for (size_t i = 0; i < t->shown_count; i++)
        if (strcmp(t->shown[i], table) == 0)
            return IST_OK;
    t->shown[t->shown_count++] = table;
    size_t i, count;
    yyjson_val *edge;
    yyjson_arr_foreach(t->edges, i, count, edge) {
        const char *other = ist__graph_text(edge, far);
        if (strcmp(ist__graph_text(edge, near), table) != 0)
            continue;
        IST_TRY(ist_buffer_printf(t->out, err, "%*s%s ", depth * 2, "", t->up ? "<-" : "->"));
        if (*other) { /* a job alone where no table is at the other end */
            IST_TRY(print_safe(t->out, other, err));
            IST_TRY(ist_buffer_append_string(t->out, "  ", err));
        }
        IST_TRY(print_job(t->out, edge, err));
        if (t->columns)
            IST_TRY(print_columns(t->out, yyjson_obj_get(edge, "columns"), depth * 2 + 5, err));
        if (*other && depth < TREE_DEPTH_MAX)
            IST_TRY(print_branches(t, other, depth + 1, err));
    }
    return IST_OK;
}

static ist_status print_tree(yyjson_val *root, const char *table, bool up, bool columns, ist_buffer *out,
                             ist_error *err)
{
    tree t = {.edges = yyjson_obj_get(root, up ? "upstream" : "downstream"), .up = up, .columns = columns, .out = out};
    IST_TRY(ist__alloc(yyjson_arr_size(t.edges) + 1, sizeof *t.shown, (void **)&t.shown, err));
    ist_status status = print_branches(&t, table, 1, err);
    free(t.shown);
    return status;
}

/* Everything there is, one line for each way that data took. */
static ist_status print_edges(yyjson_val *edges, bool columns, ist_buffer *out, ist_error *err)
{
    size_t i, count;
    yyjson_val *edge;
    yyjson_arr_foreach(edges, i, count, edge) {
        const char *source = ist__graph_text(edge, "source"), *target = ist__graph_text(edge, "target");
        IST_TRY(print_safe(out, source, err));
        if (*target) {
            IST_TRY(ist_buffer_append_string(out, *source ? " -> " : "-> ", err));
            IST_TRY(print_safe(out, target, err));
        }
        IST_TRY(ist_buffer_append_string(out, "  ", err));
        IST_TRY(print_job(out, edge, err));
        if (columns)
            IST_TRY(print_columns(out, yyjson_obj_get(edge, "columns"), 5, err));
    }
    return IST_OK;
}

static ist_status draw_text(const char *answer, bool columns, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(answer, strlen(answer), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *table = yyjson_get_str(yyjson_obj_get(root, "table"));
    ist_status status = IST_OK;
    if (!yyjson_is_obj(root)) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "this is no lineage: it is not a JSON object");
    } else if (!table) {
        status = print_edges(yyjson_obj_get(root, "edges"), columns, out, err);
    } else {
        IST_TRY_GOTO(print_safe(out, table, err));
        IST_TRY_GOTO(ist_buffer_append_string(out, "\n", err));
        IST_TRY_GOTO(print_tree(root, table, true, columns, out, err));
        IST_TRY_GOTO(print_tree(root, table, false, columns, out, err));
    }
    if (status == IST_OK && yyjson_is_true(yyjson_obj_get(root, "truncated")))
        status = ist_buffer_append_string(out, "(there is more than is shown)\n", err);
done:
    yyjson_doc_free(doc);
    return status;
}

ist_status ist_lineage_draw(const char *answer, const ist_lineage_draw_options *options, ist_buffer *out,
                            ist_error *err)
{
    const ist_lineage_draw_options defaults = IST_LINEAGE_DRAW_OPTIONS_INIT;
    ist__graph graph;
    if (!options)
        options = &defaults;
    if (options->form == IST_LINEAGE_TEXT)
        return draw_text(answer, options->columns, out, err);
    ist_status status = ist__graph_read(answer, !options->columns, &graph, err);
    if (status == IST_OK)
        status = ist__graph_svg(&graph, options, out, err);
    ist__graph_free(&graph);
    return status;
}
