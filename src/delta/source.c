/* source.c: objects of a store as sources for the shims, and the log's paths as paths of the store. */
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct object_source {
    ist_store_reader *reader;
    char name[];
} object_source;

static ist_status source_read(void *self, uint64_t offset, void *data, size_t size, ist_error *err)
{
    return ist_store_reader_read(((object_source *)self)->reader, offset, data, size, err);
}

static void source_free(void *self)
{
    object_source *source = self;
    ist_store_reader_free(source->reader);
    free(source);
}

ist_status ist__source_open(ist_store *store, const char *path, ist__source *out, ist_error *err)
{
    const char *root = ist_store_uri(store);
    size_t size = strlen(root) + strlen(path) + 2;
    object_source *source;
    IST_TRY(ist__alloc(1, sizeof *source + size, (void **)&source, err));
    snprintf(source->name, size, "%s/%s", root, path);
    ist_status status = ist_store_reader_open(store, path, &source->reader, err);
    if (status != IST_OK) {
        free(source);
        return status;
    }
    *out = (ist__source){source, ist_store_reader_size(source->reader), source_read, source_free, source->name};
    return IST_OK;
}

/* A URI without its scheme's decoration: "file:/a", "file:///a" and "file://localhost/a" all begin at "/a". NULL for a
 * URI of another scheme, and for one that is relative. */
static const char *absolute_file_path(const char *uri)
{
    if (uri[0] == '/')
        return uri;
    if (strncasecmp(uri, "file:", 5) != 0)
        return NULL;
    uri += 5;
    if (strncmp(uri, "//", 2) == 0)
        uri += strncasecmp(uri + 2, "localhost/", 10) == 0 ? 11 : 2;
    return uri[0] == '/' ? uri : NULL;
}

static bool has_scheme(const char *path)
{
    size_t size = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return size > 1 && path[size] == ':'; /* PROTOCOL.md has URIs here: a ':' in a first segment is an escape */
}

ist_status ist__data_path(const ist_store *store, const char *path, ist_buffer *out, ist_error *err)
{
    if (path[0] != '/' && !has_scheme(path))
        return ist__uri_decode(path, strlen(path), out, err);

    /* Compare decoded with decoded: writers differ in what they escape. */
    ist_buffer root = IST_BUFFER_INIT, absolute = IST_BUFFER_INIT;
    const char *root_path = absolute_file_path(ist_store_uri(store));
    const char *file_path = absolute_file_path(path);
    ist_status status;
    if (!root_path || !file_path) {
        status = ist_error_set(err, IST_UNSUPPORTED, 0, path, "data file %s is outside the table's location %s", path,
                               ist_store_uri(store));
        goto done;
    }
    IST_TRY_GOTO(ist__uri_decode(root_path, strlen(root_path), &root, err));
    IST_TRY_GOTO(ist__uri_decode(file_path, strlen(file_path), &absolute, err));
    size_t size = root.size == 1 ? 0 : root.size; /* the root folder itself is "/" */
    if (strncmp(absolute.data, root.data, size) != 0 || absolute.data[size] != '/' || !absolute.data[size + 1])
        status = ist_error_set(err, IST_UNSUPPORTED, 0, path, "data file %s is outside the table's location %s", path,
                               ist_store_uri(store));
    else
        status = ist_buffer_append_string(out, absolute.data + size + 1, err);
done:
    ist_buffer_free(&root);
    ist_buffer_free(&absolute);
    return status;
}
