/* cmd_lineage.c: isthmus lineage. */
#include "commands.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

typedef struct lineage_values {
    int64_t depth;
} lineage_values;

static const cli_option options[] = {
    {"depth", CLI_NUMBER, offsetof(lineage_values, depth), "N", "5", "Most steps away from the table.", 1, 100, NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus lineage main.demo.scores", "What the table was made from, and what was made from it"},
    {"isthmus lineage --json", "Every edge the catalog knows"},
    {0},
};

const cli_page cmd_lineage_page = {
    .arguments = "[TABLE]",
    .common = CLI_JSON | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(lineage_values),
    .description = "Shows what a table was made from (upstream) and what was made from it (downstream), by which job "
                   "and engine, as a tree. With --json it is the table's direct edges as the catalog gives them. Without "
                   "TABLE: all edges, newest first.\n\n" CLI_TABLE_HELP,
    .examples = examples,
};

/* Tables on the way from the root, so that a circle ends. */
typedef struct path {
    const char *table;
    const struct path *parent;
} path;

static bool on_path(const path *p, const char *table)
{
    for (; p; p = p->parent)
        if (strcmp(p->table, table) == 0)
            return true;
    return false;
}

static const char *member(yyjson_val *edge, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(edge, key));
    return text ? text : "";
}

/* "<- main.demo.events  by bridge.py (ray), 2026-11-23 09:00:00 UTC"; a job alone where no table is at the other end. */
static void print_edge(const char *arrow, int depth, const char *table, yyjson_val *edge)
{
    const char *time = member(edge, "event_time"); /* ISO 8601, UTC */
    printf("%*s%s ", depth * 2, "", arrow);
    if (*table) {
        cli_print_safe(stdout, table);
        fputs("  by ", stdout);
    }
    cli_print_safe(stdout, member(edge, "job"));
    fputs(" (", stdout);
    cli_print_safe(stdout, member(edge, "engine"));
    fputs(")", stdout);
    if (strlen(time) > 19) {
        char text[32];
        snprintf(text, sizeof text, ", %.10s %.8s UTC", time, time + 11);
        cli_print_safe(stdout, text);
    }
    fputs("\n", stdout);
}

/* The edges of one table in one direction, and below each the edges of the table at its other end. Runs of one job
 * between the same two tables are shown once, the newest. */
static ist_status print_tree(ist_catalog *catalog, const path *here, bool up, int depth, int deepest, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = ist_catalog_get_lineage(catalog, here->table, &json, err);
    if (status == IST_OK)
        status = cli_parse_json(&json, &doc, err);
    yyjson_val *edges = yyjson_obj_get(yyjson_doc_get_root(doc), up ? "upstream" : "downstream");
    size_t count = yyjson_arr_size(edges);
    for (size_t i = 0; status == IST_OK && i < count; i++) {
        yyjson_val *edge = yyjson_arr_get(edges, i);
        const char *other = member(edge, up ? "source" : "target");
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            yyjson_val *before = yyjson_arr_get(edges, j);
            seen = strcmp(member(before, up ? "source" : "target"), other) == 0 &&
                   strcmp(member(before, "job"), member(edge, "job")) == 0;
        }
        if (seen)
            continue;
        print_edge(up ? "<-" : "->", depth, other, edge);
        path next = {other, here};
        if (*other && depth < deepest && !on_path(here, other))
            status = print_tree(catalog, &next, up, depth + 1, deepest, err);
    }
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    return status;
}

static ist_status print_edges(const ist_buffer *json, ist_error *err)
{
    yyjson_doc *doc = NULL;
    ist_status status = cli_parse_json(json, &doc, err);
    static const char *const keys[] = {"event_time", "source", "target", "job", "engine"};
    enum { COLUMNS = sizeof keys / sizeof *keys };
    cli_grid grid;
    if (status == IST_OK)
        status = cli_grid_init(&grid, COLUMNS, err);
    if (status != IST_OK) {
        yyjson_doc_free(doc);
        return status;
    }
    grid.most = 200; /* locations are long, and their ends tell */
    for (size_t i = 0; status == IST_OK && i < COLUMNS; i++)
        status = cli_grid_add(&grid, keys[i], strlen(keys[i]), err);
    size_t i, max;
    yyjson_val *edge;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "edges"), i, max, edge)
    {
        for (size_t column = 0; status == IST_OK && column < COLUMNS; column++)
            status = cli_grid_add(&grid, member(edge, keys[column]), strlen(member(edge, keys[column])), err);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, true);
    cli_grid_free(&grid);
    yyjson_doc_free(doc);
    return status;
}

ist_status cmd_lineage(cli_call *call, ist_error *err)
{
    const lineage_values *values = call->values;
    ist_catalog *catalog = NULL;
    ist_buffer table = IST_BUFFER_INIT, json = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (call->arg_count)
        status = cli_table_identity(call->args[0], &table, err);
    if (status == IST_OK)
        status = cli_catalog_open(call, &catalog, err);
    if (status == IST_OK && (call->json || !table.data))
        status = ist_catalog_get_lineage(catalog, table.data, &json, err);
    if (status == IST_OK && call->json) {
        status = cli_print_json(json.data, json.size, err);
    } else if (status == IST_OK && !table.data) {
        status = print_edges(&json, err);
    } else if (status == IST_OK) {
        path root = {table.data, NULL};
        cli_print_safe(stdout, table.data);
        putchar('\n');
        status = print_tree(catalog, &root, true, 1, (int)values->depth, err);
        if (status == IST_OK)
            status = print_tree(catalog, &root, false, 1, (int)values->depth, err);
    }
    ist_buffer_free(&table);
    ist_buffer_free(&json);
    ist_catalog_free(catalog);
    return status;
}
