/*
 * credential_cache.c: credentials for storage by what they are for: one request in its own words becomes Unity
 * Catalog's, and the same request gets the same ist_credentials as long as the catalog is open.
 *
 * An ist_credentials renews itself through the catalog, so each holds a reference to it: a caller may free the catalog
 * and go on with the credentials.
 */
#include "catalog/catalog_json.h"
#include "catalog/delta_api.h"
#include "isthmus/sys/credentials.h"

#include <stdlib.h>
#include <string.h>

/* Requests ---------------------------------------------------------------------------------------------------------- */

/* What each kind of request calls its two operations. */
typedef struct words {
    const char *read, *write;
} words;

static const words table_words = {"READ", "READ_WRITE"};
static const words volume_words = {"READ_VOLUME", "WRITE_VOLUME"};
static const words path_words = {"PATH_READ", "PATH_READ_WRITE"};
static const words model_words = {"READ_MODEL_VERSION", "READ_WRITE_MODEL_VERSION"};

/* READ and READ_WRITE go with everything; other words are the server's to judge. */
static const char *operation_of(const char *typed, const words *own)
{
    if (strcmp(typed, "READ") == 0)
        return own->read;
    return strcmp(typed, "READ_WRITE") == 0 ? own->write : typed;
}

/* The id of an object that is given by name. The answer outlives the call in *doc. */
static ist_status find_id(ist_catalog *catalog, ist_securable kind, const char *name, const char *key,
                          yyjson_doc **doc, const char **id, ist_error *err)
{
    ist_buffer info = IST_BUFFER_INIT;
    ist_status status = ist_catalog_get(catalog, kind, name, &info, err);
    if (status == IST_OK)
        status = ist__json_read_object(info.data, doc, err);
    if (status == IST_OK)
        status = ist__json_text(yyjson_doc_get_root(*doc), key, true, id, err);
    ist_buffer_free(&info);
    return status;
}

static ist_status by_id(ist_catalog *catalog, ist_securable kind, yyjson_val *in, const char *name_key,
                        const char *id_key, const char *operation, ist_buffer *out, ist_error *err)
{
    const char *name, *id;
    yyjson_doc *info = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_text(in, name_key, false, &name, err));
    IST_TRY_GOTO(ist__json_text(in, id_key, !name, &id, err));
    if (name)
        IST_TRY_GOTO(find_id(catalog, kind, name, id_key, &info, &id, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, id_key, id);
    yyjson_mut_obj_add_str(doc, root, "operation", operation);
    status = ist__json_finish(doc, out, err);
done:
    yyjson_doc_free(info);
    return status;
}

static ist_status of_path(const char *url, const char *operation, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "url", url);
    yyjson_mut_obj_add_str(doc, root, "operation", operation);
    return ist__json_finish(doc, out, err);
}

static ist_status of_model_version(yyjson_val *in, const char *operation, ist_buffer *out, ist_error *err)
{
    static const char *const keys[] = {"catalog_name", "schema_name", "model_name"};
    const char *text;
    ist__name name = {0};
    yyjson_val *version = yyjson_obj_get(in, "version");
    IST_TRY(ist__json_text(in, "model", false, &text, err));
    if (text)
        IST_TRY(ist__name_split(text, 3, &name, err));
    if (!yyjson_is_int(version))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "version is required: the number of a model version");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (int i = 0; i < 3; i++) {
        const char *part = name.part[i];
        ist_status status = name.count ? IST_OK : ist__json_text(in, keys[i], true, &part, err);
        if (status != IST_OK) {
            yyjson_mut_doc_free(doc);
            return status;
        }
        yyjson_mut_obj_add_str(doc, root, keys[i], part);
    }
    yyjson_mut_obj_add_int(doc, root, "version", yyjson_get_sint(version));
    yyjson_mut_obj_add_str(doc, root, "operation", operation);
    return ist__json_finish(doc, out, err);
}

static ist_status own_words(ist_catalog *catalog, const char *request, ist_buffer *out, ist_error *err)
{
    const char *operation, *url;
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(request, &doc, err));
    yyjson_val *in = yyjson_doc_get_root(doc);
    IST_TRY_GOTO(ist__json_text(in, "operation", true, &operation, err));
    IST_TRY_GOTO(ist__json_text(in, "url", false, &url, err));
    if (yyjson_obj_get(in, "delta_table"))
        status = ist_buffer_append_string(out, request, err); /* delta_api.h's words */
    else if (url)
        status = of_path(url, operation_of(operation, &path_words), out, err);
    else if (yyjson_obj_get(in, "volume") || yyjson_obj_get(in, "volume_id"))
        status = by_id(catalog, IST_SECURABLE_VOLUME, in, "volume", "volume_id",
                       operation_of(operation, &volume_words), out, err);
    else if (yyjson_obj_get(in, "model") || yyjson_obj_get(in, "model_name"))
        status = of_model_version(in, operation_of(operation, &model_words), out, err);
    else
        status = by_id(catalog, IST_SECURABLE_TABLE, in, "table", "table_id",
                       operation_of(operation, &table_words), out, err);
done:
    yyjson_doc_free(doc);
    return status;
}

/* The provider ------------------------------------------------------------------------------------------------------ */

typedef struct source {
    ist_catalog *catalog; /* a reference */
    char *request;        /* Unity Catalog's */
    bool delta_api;       /* of its Delta API */
} source;

static ist_status fetch(void *self, ist_buffer *json, ist_error *err)
{
    source *s = self;
    if (s->delta_api)
        return ist__delta_api_credentials(s->catalog, s->request, json, err);
    return s->catalog->backend->get_credentials(s->catalog->self, s->request, json, err);
}

static void release(void *self)
{
    source *s = self;
    ist__catalog_release(s->catalog);
    free(s->request);
    free(s);
}

static ist_status new_credentials(ist_catalog *catalog, const char *request, ist_credentials **out, ist_error *err)
{
    static const ist_credentials_ops ops = {fetch, release};
    source *s = NULL;
    IST_TRY(ist__alloc(1, sizeof *s, (void **)&s, err));
    ist_status status = ist__strdup(request, &s->request, err);
    if (status != IST_OK) {
        free(s);
        return status;
    }
    s->catalog = ist__catalog_hold(catalog);
    s->delta_api = strstr(request, "\"delta_table\"") != NULL;
    return ist_credentials_new(&ops, s, out, err);
}

/* The cache --------------------------------------------------------------------------------------------------------- */

enum { CACHE_MAX = 256 };

struct ist__credential_cache {
    struct {
        char *request;
        ist_credentials *credentials;
    } entries[CACHE_MAX]; /* newest use first */
    int count;
};

static void drop(ist__credential_cache *cache, int i)
{
    free(cache->entries[i].request);
    ist_credentials_free(cache->entries[i].credentials);
}

void ist__credential_cache_free(ist__credential_cache *cache)
{
    for (int i = 0; cache && i < cache->count; i++)
        drop(cache, i);
    free(cache);
}

/* Put an entry, found or made, at the front. */
static void move_to_front(ist__credential_cache *cache, int from, char *request, ist_credentials *credentials)
{
    memmove(cache->entries + 1, cache->entries, (size_t)from * sizeof *cache->entries);
    cache->entries[0].request = request;
    cache->entries[0].credentials = credentials;
}

/* The mutex of the catalog is held. */
static ist_status find_or_make(ist_catalog *catalog, const char *request, ist_credentials **out, ist_error *err)
{
    if (!catalog->credentials)
        IST_TRY(ist__alloc(1, sizeof *catalog->credentials, (void **)&catalog->credentials, err));
    ist__credential_cache *cache = catalog->credentials;
    int i = 0;
    while (i < cache->count && strcmp(cache->entries[i].request, request) != 0)
        i++;
    if (i < cache->count) {
        move_to_front(cache, i, cache->entries[i].request, cache->entries[i].credentials);
    } else {
        char *key = NULL;
        ist_credentials *credentials = NULL;
        IST_TRY(ist__strdup(request, &key, err));
        ist_status status = new_credentials(catalog, request, &credentials, err);
        if (status != IST_OK) {
            free(key);
            return status;
        }
        if (cache->count == CACHE_MAX)
            drop(cache, --cache->count);
        move_to_front(cache, cache->count++, key, credentials);
    }
    *out = ist_credentials_hold(cache->entries[0].credentials);
    return IST_OK;
}

ist_status ist_catalog_open_credentials(ist_catalog *catalog, const char *request, ist_credentials **out,
                                        ist_error *err)
{
    ist_buffer own = IST_BUFFER_INIT;
    *out = NULL;
    ist_status status = own_words(catalog, request, &own, err);
    if (status == IST_OK) {
        pthread_mutex_lock(&catalog->mutex);
        status = find_or_make(catalog, own.data, out, err);
        pthread_mutex_unlock(&catalog->mutex);
    }
    ist_buffer_free(&own);
    return status;
}
