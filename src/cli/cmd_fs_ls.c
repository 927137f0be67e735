/* cmd_fs_ls.c: isthmus fs ls. */
#include "commands.h"
#include "fs_place.h"
#include "table.h"

#include <string.h>

static const cli_example examples[] = {
    {"isthmus fs ls /Volumes", "The catalogs; then schemas, volumes, folders and files below"},
    {"isthmus fs ls /Volumes/main/demo/raw/2026", "A folder of a volume"},
    {"isthmus fs ls dbfs:/Volumes/main/demo/raw --json", "The same for programs"},
    {0},
};

const cli_page cmd_fs_ls_page = {
    .arguments = "PATH",
    .common = CLI_JSON | CLI_CATALOG,
    .description = "Lists a folder, or one file.\n\n" CLI_PATH_HELP,
    .examples = examples,
};

static ist_status add_row(cli_grid *grid, const char *size, const char *time, const char *name, ist_error *err)
{
    ist_status status = cli_grid_add(grid, size, strlen(size), err);
    if (status == IST_OK)
        status = cli_grid_add(grid, time, strlen(time), err);
    return status == IST_OK ? cli_grid_add(grid, name, strlen(name), err) : status;
}

static ist_status print_grid(yyjson_val *root, ist_error *err)
{
    cli_grid grid;
    yyjson_val *item;
    size_t i, count;
    char size[32], time[32], name[512];
    ist_status status = cli_grid_init(&grid, 3, err);
    grid.most = 200;
    yyjson_arr_foreach(yyjson_obj_get(root, "folders"), i, count, item) {
        snprintf(name, sizeof name, "%s/", yyjson_get_str(item));
        if (status == IST_OK)
            status = add_row(&grid, "", "", name, err);
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "objects"), i, count, item) {
        cli_bytes((int64_t)yyjson_get_uint(yyjson_obj_get(item, "size")), size);
        cli_time(yyjson_get_sint(yyjson_obj_get(item, "modified_ms")), time);
        if (status == IST_OK)
            status = add_row(&grid, size, time, yyjson_get_str(yyjson_obj_get(item, "name")), err);
    }
    if (status == IST_OK)
        cli_grid_print(&grid, false);
    cli_grid_free(&grid);
    return status;
}

/* One file as a listing of itself. */
static ist_status describe(const cli_place *place, const ist_store_entry *entry, ist_buffer *json, ist_error *err)
{
    const char *slash = strrchr(place->path.data, '/');
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *objects = yyjson_mut_obj_add_arr(doc, root, "objects");
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, objects);
    yyjson_mut_obj_add_str(doc, object, "name", slash ? slash + 1 : place->path.data);
    yyjson_mut_obj_add_uint(doc, object, "size", entry->size);
    yyjson_mut_obj_add_sint(doc, object, "modified_ms", entry->modified_ms);
    yyjson_mut_obj_add_arr(doc, root, "folders");
    char *text = yyjson_mut_write(doc, 0, NULL);
    ist_status status = text ? ist_buffer_append_string(json, text, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    free(text);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status list_store(const cli_call *call, ist_buffer *json, ist_error *err)
{
    cli_place place;
    ist_store_entry entry;
    ist_status status = cli_place_open(call, call->args[0], false, &place, err);
    if (status == IST_OK)
        status = cli_place_stat(&place, &entry) ? describe(&place, &entry, json, err)
                                                : cli_place_list(&place, "", json, err);
    cli_place_close(&place);
    return status;
}

/* Above any volume there are names, and no store. */
static ist_status list(const cli_call *call, ist_buffer *json, ist_error *err)
{
    ist_buffer volume = IST_BUFFER_INIT, within = IST_BUFFER_INIT;
    ist_catalog *catalog = NULL;
    bool above = false;
    ist_status status = IST_OK;
    if (ist_volume_is_path(call->args[0])) {
        status = ist_volume_split(call->args[0], &volume, &within, err);
        const char *dot = status == IST_OK ? strchr(volume.data, '.') : NULL;
        above = !dot || !strchr(dot + 1, '.');
    }
    if (status == IST_OK && above)
        status = cli_catalog_open(call, &catalog, err);
    if (status == IST_OK)
        status = above ? ist_volume_list(catalog, call->args[0], json, err) : list_store(call, json, err);
    ist_catalog_free(catalog);
    ist_buffer_free(&volume);
    ist_buffer_free(&within);
    return status;
}

ist_status cmd_fs_ls(cli_call *call, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = list(call, &json, err);
    if (status == IST_OK)
        status = cli_parse_json(&json, &doc, err);
    if (status == IST_OK)
        status = call->json ? cli_print_json(json.data, json.size, err) : print_grid(yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    return status;
}
