/* fs_place.c: paths of the fs commands, and walks through folders. */
#include "fs_place.h"

#include "table.h"

#include <string.h>

enum { DEPTH_MAX = 100 };

ist_status cli_join(const char *folder, const char *name, ist_buffer *out, ist_error *err)
{
    return ist_buffer_printf(out, err, "%s%s%s", folder, *folder && *name ? "/" : "", name);
}

/* "s3://bucket/a/b" is "a/b" in the store of the bucket, "/a/b" is "a/b" in that of "/". */
static ist_status open_location(const char *typed, cli_place *out, ist_error *err)
{
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = cli_absolute(typed, &location, err);
    if (status != IST_OK)
        return status;
    char *host = strstr(location.data, "://"), *path = strchr(host ? host + 3 : location.data, '/');
    const char *within = path ? path + strspn(path, "/") : "";
    size_t size = strlen(within);
    while (size > 0 && within[size - 1] == '/')
        size--;
    status = ist_buffer_append(&out->path, within, size, err);
    if (path && (host || path > location.data))
        *path = '\0';
    bool is_local = !host || strcmp(location.data, "file://") == 0;
    if (status == IST_OK)
        status = ist_store_open(is_local ? "/" : location.data, NULL, &out->store, err);
    ist_buffer_free(&location);
    return status;
}

ist_status cli_place_open(const cli_call *call, const char *typed, bool write, cli_place *out, ist_error *err)
{
    *out = (cli_place){.typed = typed};
    if (!ist_volume_is_path(typed))
        return open_location(typed, out, err);
    ist_status status = cli_catalog_open(call, &out->catalog, err);
    if (status == IST_OK)
        status = ist_volume_open(out->catalog, typed, write, &out->store, &out->path, err);
    return status;
}

void cli_place_close(cli_place *place)
{
    ist_store_free(place->store);
    ist_catalog_free(place->catalog);
    ist_buffer_free(&place->path);
}

ist_status cli_place_list(const cli_place *place, const char *folder, ist_buffer *json, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = cli_join(place->path.data ? place->path.data : "", folder, &path, err);
    if (status == IST_OK)
        status = ist_store_list_json(place->store, path.data ? path.data : "", json, err);
    ist_buffer_free(&path);
    return status;
}

bool cli_place_stat(const cli_place *place, ist_store_entry *entry)
{
    return place->path.size > 0 && ist_store_stat(place->store, place->path.data, entry, NULL) == IST_OK;
}

typedef struct walk {
    const cli_place *place;
    cli_walk_cb cb, leave;
    void *payload;
    int depth;
} walk;

static ist_status walk_folder(walk *w, const char *folder, ist_error *err);

static ist_status walk_entries(walk *w, const char *folder, yyjson_val *root, ist_error *err)
{
    yyjson_val *item;
    size_t i, count;
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    yyjson_arr_foreach(yyjson_obj_get(root, "objects"), i, count, item) {
        ist_buffer_clear(&path);
        if (status == IST_OK)
            status = cli_join(folder, yyjson_get_str(yyjson_obj_get(item, "name")), &path, err);
        if (status == IST_OK)
            status = w->cb(path.data, yyjson_get_uint(yyjson_obj_get(item, "size")), w->payload, err);
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "folders"), i, count, item) {
        ist_buffer_clear(&path);
        if (status == IST_OK)
            status = cli_join(folder, yyjson_get_str(item), &path, err);
        if (status == IST_OK)
            status = walk_folder(w, path.data, err);
        if (status == IST_OK && w->leave)
            status = w->leave(path.data, 0, w->payload, err);
    }
    ist_buffer_free(&path);
    return status;
}

static ist_status walk_folder(walk *w, const char *folder, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    if (w->depth == DEPTH_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, folder, "folders are more than %d deep", DEPTH_MAX);
    w->depth++;
    ist_status status = cli_place_list(w->place, folder, &json, err);
    if (status == IST_OK)
        status = cli_parse_json(&json, &doc, err);
    if (status == IST_OK)
        status = walk_entries(w, folder, yyjson_doc_get_root(doc), err);
    w->depth--;
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    return status;
}

ist_status cli_place_walk(const cli_place *place, cli_walk_cb cb, cli_walk_cb leave, void *payload, ist_error *err)
{
    walk w = {place, cb, leave, payload, 0};
    return walk_folder(&w, "", err);
}
