/* store.c: opening a store by URI, checking of paths, and dispatch to the backend. */
#include "isthmus/store.h"

#include "store/http_store.h"
#include "store/store_internal.h"
#include "util/util.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

/* Names beneath a root keep to these bounds whatever the backend: they are those of POSIX, and S3 allows 1,024. */
enum { PATH_SIZE_MAX = 1024, SEGMENT_SIZE_MAX = 255 };

ist_status ist__store_check_path(const char *path, ist_error *err)
{
    size_t size = strnlen(path, PATH_SIZE_MAX + 1);
    if (size == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the path of an object is empty");
    if (size > PATH_SIZE_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "path '%.64s...' is longer than %d bytes", path,
                             PATH_SIZE_MAX);
    for (const char *segment = path;; segment++) {
        size_t length = strcspn(segment, "/");
        if (length == 0)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                 "path '%s' must be relative to its store, without empty segments", path);
        if (segment[0] == '.' && (length == 1 || (length == 2 && segment[1] == '.')))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "path '%s' may not contain '.' or '..'", path);
        if (length > SEGMENT_SIZE_MAX)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a segment of path '%.64s...' is longer than %d bytes",
                                 path, SEGMENT_SIZE_MAX);
        segment += length;
        if (!*segment)
            return IST_OK;
    }
}

/* "file:///a%20b/", "file:/a", "file://localhost/a" or "/a" -> "/a b" without "." segments, doubled or trailing '/'. */
static ist_status uri_to_root(const char *uri, ist_buffer *root, ist_error *err)
{
    ist_buffer decoded = {.limit = 4 * PATH_SIZE_MAX};
    ist_status status = IST_OK;
    size_t scheme = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (uri[0] == '/') {
        IST_TRY_GOTO(ist_buffer_append_string(&decoded, uri, err));
    } else if (scheme > 0 && uri[scheme] == ':') {
        if (scheme != 4 || strncasecmp(uri, "file", 4) != 0)
            status = ist_error_set(err, IST_UNSUPPORTED, 0, uri, "no storage for '%.*s:' locations; use file:, s3:, abfss: or gs:",
                                   (int)(scheme < 32 ? scheme : 32), uri);
        else {
            const char *path = uri + 5;
            if (strncmp(path, "//", 2) == 0)
                path += strncasecmp(path + 2, "localhost/", 10) == 0 ? 11 : 2;
            if (path[0] != '/')
                status = ist_error_set(err, IST_BAD_INPUT, 0, uri,
                                       "location '%.200s' must be absolute and on this machine: file:///path", uri);
            else
                status = ist__uri_decode(path, strlen(path), &decoded, err);
        }
        if (status != IST_OK)
            goto done;
    } else {
        status = ist_error_set(err, IST_BAD_INPUT, 0, uri,
                               "location '%.200s' must be absolute: /path or file:///path", uri);
        goto done;
    }
    for (const char *segment = decoded.data; *segment;) {
        segment += strspn(segment, "/");
        size_t length = strcspn(segment, "/");
        if (length == 2 && strncmp(segment, "..", 2) == 0) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, uri, "location '%.200s' may not contain '..'", uri);
            goto done;
        }
        if (length > 0 && !(length == 1 && *segment == '.')) {
            IST_TRY_GOTO(ist_buffer_append(root, "/", 1, err));
            IST_TRY_GOTO(ist_buffer_append(root, segment, length, err));
        }
        segment += length;
    }
    if (root->size == 0)
        status = ist_buffer_append(root, "/", 1, err);
done:
    ist_buffer_free(&decoded);
    return status;
}

ist_status ist_store_open(const char *uri, const ist_store_options *options, ist_store **out, ist_error *err)
{
    if (ist__cloud_is_location(uri))
        return ist__store_open_cloud(uri, options ? options->credentials : NULL, out, err);
    ist_buffer root = IST_BUFFER_INIT;
    ist_status status = uri_to_root(uri, &root, err);
    bool create = options && options->create;
    if (status == IST_OK)
        status = options && options->credentials
                     ? ist__store_open_gateway(root.data, create, options->credentials, out, err)
                     : ist__store_open_file(root.data, create, out, err);
    ist_buffer_free(&root);
    return status;
}

void ist_store_free(ist_store *store)
{
    if (!store)
        return;
    char *uri = store->uri;
    store->ops->free(store);
    free(uri);
}

const char *ist_store_uri(const ist_store *store)
{
    return store->uri;
}

ist_status ist_store_get(ist_store *store, const char *path, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->get(store, path, out, err);
}

ist_status ist_store_put(ist_store *store, const char *path, const void *data, size_t size, ist_put_mode mode,
                         ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->put(store, path, data, size, mode, err);
}

ist_status ist_store_stat(ist_store *store, const char *path, ist_store_entry *entry, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    IST_TRY(store->ops->stat(store, path, entry, err));
    entry->path = path;
    return IST_OK;
}

ist_status ist_store_list(ist_store *store, const char *folder, const char *start_after, ist_store_list_cb cb,
                          void *payload, ist_error *err)
{
    if (*folder)
        IST_TRY(ist__store_check_path(folder, err));
    return store->ops->list(store, folder, start_after, cb, payload, err);
}

ist_status ist_store_delete(ist_store *store, const char *path, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->remove(store, path, err);
}

static ist_status no_operation(const ist_store *store, const char *what, ist_error *err)
{
    return ist_error_set(err, IST_UNSUPPORTED, 0, store->uri, "%s cannot %s", store->uri, what);
}

ist_status ist_store_list_folders(ist_store *store, const char *folder, ist_store_list_cb cb, void *payload,
                                  ist_error *err)
{
    if (*folder)
        IST_TRY(ist__store_check_path(folder, err));
    if (!store->ops->list_folders)
        return no_operation(store, "list folders", err);
    return store->ops->list_folders(store, folder, cb, payload, err);
}

/* A list on its way into JSON. */
typedef struct json_list {
    yyjson_mut_doc *doc;
    yyjson_mut_val *items;
    bool folders;
} json_list;

static bool add_to_json(const ist_store_entry *entry, void *payload)
{
    json_list *list = payload;
    const char *slash = strrchr(entry->path, '/'), *name = slash ? slash + 1 : entry->path;
    if (list->folders)
        return yyjson_mut_arr_add_strcpy(list->doc, list->items, name);
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(list->doc, list->items);
    yyjson_mut_obj_add_strcpy(list->doc, object, "name", name);
    yyjson_mut_obj_add_uint(list->doc, object, "size", entry->size);
    return yyjson_mut_obj_add_sint(list->doc, object, "modified_ms", entry->modified_ms);
}

ist_status ist_store_list_json(ist_store *store, const char *folder, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    json_list list = {.doc = doc, .items = yyjson_mut_obj_add_arr(doc, root, "objects")};
    size_t size = 0;
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = ist_store_list(store, folder, NULL, add_to_json, &list, err);
    list.items = yyjson_mut_obj_add_arr(doc, root, "folders");
    list.folders = true;
    if (status == IST_OK)
        status = ist_store_list_folders(store, folder, add_to_json, &list, err);
    char *text = status == IST_OK ? yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &size) : NULL;
    if (status == IST_OK)
        status = text ? ist_buffer_append(out, text, size, err)
                      : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a listing");
    free(text);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status ist_store_make_folder(ist_store *store, const char *path, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->make_folder ? store->ops->make_folder(store, path, err) : IST_OK;
}

ist_status ist_store_delete_folder(ist_store *store, const char *path, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->remove_folder ? store->ops->remove_folder(store, path, err) : IST_OK;
}

ist_status ist_store_rename(ist_store *store, const char *from, const char *to, ist_error *err)
{
    IST_TRY(ist__store_check_path(from, err));
    IST_TRY(ist__store_check_path(to, err));
    if (!store->ops->rename)
        return no_operation(store, "rename", err);
    return store->ops->rename(store, from, to, err);
}

ist_status ist_store_reader_open(ist_store *store, const char *path, ist_store_reader **out, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->reader_open(store, path, out, err);
}

uint64_t ist_store_reader_size(const ist_store_reader *reader)
{
    return reader->size;
}

ist_status ist_store_reader_read(ist_store_reader *reader, uint64_t offset, void *data, size_t size, ist_error *err)
{
    if (offset > reader->size || size > reader->size - offset)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "a read of %zu bytes at %llu passes the end of an object of %llu bytes", size,
                             (unsigned long long)offset, (unsigned long long)reader->size);
    return size ? reader->ops->reader_read(reader, offset, data, size, err) : IST_OK;
}

void ist_store_reader_free(ist_store_reader *reader)
{
    if (reader)
        reader->ops->reader_free(reader);
}

ist_status ist_store_writer_open(ist_store *store, const char *path, ist_store_writer **out, ist_error *err)
{
    IST_TRY(ist__store_check_path(path, err));
    return store->ops->writer_open(store, path, out, err);
}

ist_status ist_store_writer_write(ist_store_writer *writer, const void *data, size_t size, ist_error *err)
{
    return size ? writer->ops->writer_write(writer, data, size, err) : IST_OK;
}

ist_status ist_store_writer_close(ist_store_writer *writer, ist_error *err)
{
    return writer->ops->writer_close(writer, err);
}

void ist_store_writer_free(ist_store_writer *writer)
{
    if (writer)
        writer->ops->writer_free(writer);
}
