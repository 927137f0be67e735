/* cmd_table_list.c: isthmus table list. */
#include "catalog_objects.h"
#include "commands.h"

#include <string.h>

static const cli_example examples[] = {
    {"isthmus table list", "The catalogs"},
    {"isthmus table list main", "The schemas of catalog main"},
    {"isthmus table list main.demo", "The tables of schema main.demo"},
    {0},
};

const cli_page cmd_table_list_page = {
    .arguments = "[PARENT]",
    .common = CLI_JSON | CLI_CATALOG,
    .description = "Lists what the catalog holds: the tables of a schema, the schemas of a catalog, or the catalogs.",
    .examples = examples,
};

/* What is listed below a parent of 0, 1 or 2 parts. */
static const char *const levels[] = {"catalog", "schema", "table"};

static ist_status add_member(cli_grid *grid, yyjson_mut_val *item, const char *key, ist_error *err)
{
    const char *text = yyjson_mut_get_str(yyjson_mut_obj_get(item, key));
    return cli_grid_add(grid, text ? text : "", text ? strlen(text) : 0, err);
}

static ist_status print_items(yyjson_mut_val *items, bool tables, ist_error *err)
{
    cli_grid grid;
    size_t i, max;
    yyjson_mut_val *item;
    ist_status status = cli_grid_init(&grid, tables ? 3 : 2, err);
    grid.most = 120;
    yyjson_mut_arr_foreach(items, i, max, item)
    {
        if (status == IST_OK)
            status = add_member(&grid, item, "name", err);
        if (status == IST_OK)
            status = add_member(&grid, item, tables ? "table_type" : "comment", err);
        if (status == IST_OK && tables)
            status = add_member(&grid, item, "storage_location", err);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, false);
    cli_grid_free(&grid);
    return status;
}

ist_status cmd_table_list(cli_call *call, ist_error *err)
{
    const char *parent = call->arg_count ? call->args[0] : "";
    size_t level = *parent ? 1 : 0;
    bool quoted = false;
    ist_catalog *catalog = NULL;
    for (const char *p = parent; *p; p++) {
        quoted = quoted != (*p == '`');
        level += *p == '.' && !quoted;
    }
    if (level > 2)
        return cli_usage(call, err, "PARENT is a catalog or catalog.schema, not '%s'", parent);
    const cli_kind_of_object *kind;
    ist_status status = cli_kind_of_word(call, levels[level], &kind, err);
    if (status == IST_OK)
        status = cli_catalog_open(call, &catalog, err);
    if (status != IST_OK)
        return status;
    yyjson_mut_doc *all = yyjson_mut_doc_new(NULL);
    status = all ? cli_catalog_list_all(catalog, kind, parent, all, err)
                 : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (status == IST_OK)
        status = call->json ? cli_print_mut(all, err) : print_items(yyjson_mut_doc_get_root(all), level == 2, err);
    yyjson_mut_doc_free(all);
    ist_catalog_free(catalog);
    return status;
}
