/* volume.c: from the path of a file in a volume to a store with the catalog's credentials. */
#include "isthmus/volume.h"

#include "catalog/catalog_json.h"

#include <string.h>

#define DBFS_VOLUME "main.default.dbfs"
#define DBFS_BODY                                                                                                      \
    "{\"catalog_name\":\"main\",\"schema_name\":\"default\",\"name\":\"dbfs\",\"volume_type\":\"MANAGED\"}"

/* Paths ------------------------------------------------------------------------------------------------------------ */

static bool has_prefix(const char *path, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(path, prefix, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

/* What comes after "dbfs:" or "/dbfs"; NULL for a path without either. */
static const char *after_dbfs(const char *path)
{
    if (strncmp(path, "dbfs:", 5) == 0)
        return path + 5;
    return has_prefix(path, "/dbfs") ? path + 5 : NULL;
}

bool ist_volume_is_path(const char *path)
{
    return after_dbfs(path) || has_prefix(path, "/Volumes");
}

/* The next segment of a path; false at its end. */
static bool next_segment(const char **at, size_t *size)
{
    *at += strspn(*at, "/");
    *size = strcspn(*at, "/");
    return *size > 0;
}

static ist_status check_segment(const char *path, const char *segment, size_t size, ist_error *err)
{
    if (segment[0] == '.' && (size == 1 || (size == 2 && segment[1] == '.')))
        return ist_error_set(err, IST_BAD_INPUT, 0, path, "the path %s may not contain '.' or '..'", path);
    return IST_OK;
}

/* Three segments name a volume. */
static ist_status take_volume(const char *path, const char **at, ist_buffer *volume, ist_error *err)
{
    size_t size;
    for (int i = 0; i < 3 && next_segment(at, &size); i++) {
        IST_TRY(check_segment(path, *at, size, err));
        if (memchr(*at, '.', size))
            return ist_error_set(err, IST_BAD_INPUT, 0, path,
                                 "%s: the name '%.*s' has a dot; a volume is /Volumes/<catalog>/<schema>/<volume>",
                                 path, (int)size, *at);
        IST_TRY(ist_buffer_printf(volume, err, "%s%.*s", i ? "." : "", (int)size, *at));
        *at += size;
    }
    return ist_buffer_append(volume, "", 0, err);
}

ist_status ist_volume_split(const char *path, ist_buffer *volume, ist_buffer *within, ist_error *err)
{
    const char *dbfs = after_dbfs(path), *at = dbfs ? dbfs : path;
    size_t size, start = within->size;
    if (!ist_volume_is_path(path))
        return ist_error_set(err, IST_BAD_INPUT, 0, path, "%s is no path of a volume: /Volumes/<catalog>/<schema>/...",
                             path);
    at += strspn(at, "/");
    if (has_prefix(at, "Volumes")) {
        at += strlen("Volumes");
        IST_TRY(take_volume(path, &at, volume, err));
    } else {
        IST_TRY(ist_buffer_append_string(volume, DBFS_VOLUME, err));
    }
    while (next_segment(&at, &size)) {
        IST_TRY(check_segment(path, at, size, err));
        IST_TRY(ist_buffer_printf(within, err, "%s%.*s", within->size > start ? "/" : "", (int)size, at));
        at += size;
    }
    return ist_buffer_append(within, "", 0, err);
}

static int count_parts(const ist_buffer *volume)
{
    int parts = volume->size > 0;
    for (size_t i = 0; i < volume->size; i++)
        parts += volume->data[i] == '.';
    return parts;
}

/* Opening ---------------------------------------------------------------------------------------------------------- */

/* Append the volume's location. The volume for plain dbfs paths is made for who writes there first. */
static ist_status locate(ist_catalog *catalog, const char *volume, bool write, ist_buffer *location, ist_error *err)
{
    ist_buffer info = IST_BUFFER_INIT;
    ist_error problem = IST_ERROR_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = ist_catalog_get(catalog, IST_SECURABLE_VOLUME, volume, &info, &problem);
    if (status == IST_NOT_FOUND && write && strcmp(volume, DBFS_VOLUME) == 0) {
        ist_error_clear(&problem);
        status = ist_catalog_create(catalog, IST_SECURABLE_VOLUME, DBFS_BODY, &info, &problem);
        if (status == IST_ALREADY_EXISTS) /* another was first */
            status = ist_catalog_get(catalog, IST_SECURABLE_VOLUME, volume, &info, &problem);
    }
    if (status != IST_OK) {
        if (err)
            *err = problem;
        return status;
    }
    IST_TRY_GOTO(ist__json_read_object(info.data, &doc, err));
    const char *text;
    IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(doc), "storage_location", true, &text, err));
    status = ist_buffer_append_string(location, text, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&info);
    return status;
}

static ist_status open_volume(ist_catalog *catalog, const char *volume, bool write, ist_store **store, ist_error *err)
{
    ist_buffer location = IST_BUFFER_INIT, request = IST_BUFFER_INIT;
    ist_credentials *credentials = NULL;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    ist_status status = locate(catalog, volume, write, &location, err);
    if (status != IST_OK)
        goto done;
    IST_TRY_GOTO(ist_buffer_printf(&request, err, "{\"volume\":\"%s\",\"operation\":\"%s\"}", volume,
                                   write ? "READ_WRITE" : "READ"));
    IST_TRY_GOTO(ist_catalog_open_credentials(catalog, request.data, &credentials, err));
    options.credentials = credentials;
    options.create = write;
    status = ist_store_open(location.data, &options, store, err);
done:
    ist_credentials_free(credentials);
    ist_buffer_free(&location);
    ist_buffer_free(&request);
    return status;
}

/* A name goes into JSON and back as it is. */
static ist_status check_name(const char *path, const ist_buffer *volume, ist_error *err)
{
    for (size_t i = 0; i < volume->size; i++)
        if (strchr("\"\\`", volume->data[i]) || (unsigned char)volume->data[i] < 0x20)
            return ist_error_set(err, IST_BAD_INPUT, 0, path, "%s: no volume has such a name", path);
    return IST_OK;
}

ist_status ist_volume_open(ist_catalog *catalog, const char *path, bool write, ist_store **store, ist_buffer *within,
                           ist_error *err)
{
    ist_buffer volume = IST_BUFFER_INIT;
    ist_status status = ist_volume_split(path, &volume, within, err);
    if (status == IST_OK)
        status = check_name(path, &volume, err);
    if (status == IST_OK && count_parts(&volume) < 3)
        status = ist_error_set(err, IST_BAD_INPUT, 0, path,
                               "%s is above any volume: files are in /Volumes/<catalog>/<schema>/<volume>", path);
    if (status == IST_OK)
        status = open_volume(catalog, volume.data, write, store, err);
    ist_buffer_free(&volume);
    return status;
}

/* Listing ---------------------------------------------------------------------------------------------------------- */

/* Add the names of one page, and tell which is next. */
static ist_status add_names(yyjson_mut_doc *doc, yyjson_mut_val *names, ist_securable kind, const ist_buffer *page,
                            ist_buffer *token, ist_error *err)
{
    yyjson_doc *read = NULL;
    IST_TRY(ist__json_read_object(page->data, &read, err));
    yyjson_val *root = yyjson_doc_get_root(read), *item;
    size_t i, count;
    yyjson_arr_foreach(yyjson_obj_get(root, ist__securable_plural(kind)), i, count, item) {
        const char *name = yyjson_get_str(yyjson_obj_get(item, "name"));
        if (name)
            yyjson_mut_arr_add_strcpy(doc, names, name);
    }
    const char *next = yyjson_get_str(yyjson_obj_get(root, "next_page_token"));
    ist_buffer_clear(token);
    ist_status status = next ? ist_buffer_append_string(token, next, err) : IST_OK;
    yyjson_doc_free(read);
    return status;
}

static ist_status list_names(ist_catalog *catalog, const char *parent, int parts, ist_buffer *out, ist_error *err)
{
    static const ist_securable kinds[] = {IST_SECURABLE_CATALOG, IST_SECURABLE_SCHEMA, IST_SECURABLE_VOLUME};
    ist_buffer page = IST_BUFFER_INIT, token = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_arr(doc, root, "objects");
    yyjson_mut_val *names = yyjson_mut_obj_add_arr(doc, root, "folders");
    ist_status status;
    do {
        ist_buffer_clear(&page);
        status = ist_catalog_list(catalog, kinds[parts], parent, 0, token.data, &page, err);
        if (status == IST_OK)
            status = add_names(doc, names, kinds[parts], &page, &token, err);
    } while (status == IST_OK && token.size);
    if (status == IST_OK)
        status = ist__json_finish(doc, out, err);
    else
        yyjson_mut_doc_free(doc);
    ist_buffer_free(&page);
    ist_buffer_free(&token);
    return status;
}

ist_status ist_volume_list(ist_catalog *catalog, const char *path, ist_buffer *out, ist_error *err)
{
    ist_buffer volume = IST_BUFFER_INIT, within = IST_BUFFER_INIT;
    ist_store *store = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist_volume_split(path, &volume, &within, err));
    IST_TRY_GOTO(check_name(path, &volume, err));
    int parts = count_parts(&volume);
    if (parts < 3) {
        status = list_names(catalog, volume.data, parts, out, err);
        goto done;
    }
    IST_TRY_GOTO(open_volume(catalog, volume.data, false, &store, err));
    status = ist_store_list_json(store, within.data, out, err);
done:
    ist_store_free(store);
    ist_buffer_free(&volume);
    ist_buffer_free(&within);
    return status;
}
