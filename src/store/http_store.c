/*
 * http_store.c: stores over the HTTP interface of a cloud service: what S3, Azure and Google storage have in common.
 *
 * - A reader asks for the end of its object first: that tells the size, and a Parquet footer is there. It reads on only
 *   while the object is the one that it opened.
 * - A writer gathers parts of IST__CLOUD_PART_SIZE and sends each full one from a thread of its own, a few at once.
 *   Nothing has the object's name before the last request; what was sent of an abandoned one is dropped.
 * - A put leaves a random mark in the object's metadata. When an answer was lost and the put, sent again, finds an object,
 *   the mark says whose it is: a winner is never told that it lost.
 */
#include "store/http_store.h"

#include "util/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TAIL_SIZE = 64 << 10,       /* what opening a reader brings */
    READ_AHEAD = 1 << 20,       /* smaller reads bring this much */
    PARTS_AT_ONCE_MAX = 4,
    CONFLICT_ATTEMPTS_MAX = 8,  /* "conditional request conflict": somebody writes the same object just now */
};

/* Sending ---------------------------------------------------------------------------------------------------------- */

/* The credentials of the moment, parsed; *doc NULL for anonymous. */
static ist_status current_credentials(ist__cloud *store, yyjson_doc **doc, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    *doc = NULL;
    if (!store->credentials)
        return IST_OK;
    ist_status status = ist_credentials_get(store->credentials, &json, err);
    if (status == IST_OK) {
        *doc = yyjson_read(json.data, json.size, 0);
        if (!*doc)
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the credentials for %s are not JSON", store->base.uri);
    } else {
        ist_error_context(err, "credentials for %s", store->base.uri);
    }
    if (json.data)
        explicit_bzero(json.data, json.capacity);
    ist_buffer_free(&json);
    return status;
}

static void error_code(const ist__cloud *store, const ist__http_reply *reply, char code[64])
{
    code[0] = '\0';
    if (reply->status / 100 != 2 && reply->body.size)
        store->backend->read_error(reply->body.data, reply->body.size, code);
    for (char *at = code; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

/* Did the service refuse the credentials, rather than the request? S3 tells expiry with 400. */
static bool refused(const ist__http_reply *reply, const char *code)
{
    static const char *const codes[] = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"};
    if (reply->status == 401 || reply->status == 403)
        return true;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(code, codes[i]) == 0)
            return true;
    return false;
}

static ist_status send_once(ist__cloud *store, const ist__cloud_call *call, ist__http_request *request,
                            ist__http_reply *reply, ist_error *err)
{
    yyjson_doc *doc = NULL;
    ist_status status;
    IST_TRY_GOTO(current_credentials(store, &doc, err));
    IST_TRY_GOTO(store->backend->request(store, call, yyjson_doc_get_root(doc), request, err));
    status = ist__http_send(store->http, request, reply, err);
done:
    yyjson_doc_free(doc);
    ist__http_request_free(request);
    return status;
}

/*
 * One operation, whatever its answer. If the credentials are refused they are renewed once, as they may have been
 * revoked or the clocks differ.
 *   out, data, data_size  as in ist__http_request
 */
static ist_status send_call(ist__cloud *store, const ist__cloud_call *call, ist_buffer *out, void *data,
                            size_t data_size, ist__http_reply *reply, ist_error *err)
{
    char code[64];
    for (int attempt = 0;; attempt++) {
        ist__http_request request = {.out = out, .data = data, .data_size = data_size};
        IST_TRY(send_once(store, call, &request, reply, err));
        error_code(store, reply, code);
        if (attempt > 0 || !refused(reply, code) || !store->credentials ||
            ist_credentials_refresh(store->credentials, NULL) != IST_OK)
            return IST_OK;
    }
}

/* An answer that is no success, as an error about "<uri>/<path>". */
static ist_status failed(ist__cloud *store, const char *what, const char *path, const ist__http_reply *reply,
                         ist_error *err)
{
    char code[64], where[IST_ERROR_WHERE_MAX];
    error_code(store, reply, code);
    snprintf(where, sizeof where, "%s%s%s", store->base.uri, *path ? "/" : "", path);
    const char *name = store->backend->name, *open = code[0] ? ": " : "";
    if (reply->region[0] && (reply->status / 100 == 3 || strcmp(code, "AuthorizationHeaderMalformed") == 0))
        return ist_error_set(err, IST_BAD_INPUT, reply->status, where,
                             "cannot %s %s: the bucket is in region %s; set AWS_REGION or the server's storage "
                             "configuration",
                             what, where, reply->region);
    if (strcmp(code, "NoSuchBucket") == 0 || strcmp(code, "ContainerNotFound") == 0)
        return ist_error_set(err, IST_NOT_FOUND, reply->status, where, "cannot %s %s: there is no bucket %s", what,
                             where, store->bucket);
    if (reply->status == 404)
        return ist_error_set(err, IST_NOT_FOUND, reply->status, where, "there is no object %s", where);
    if (refused(reply, code) && !store->credentials)
        return ist_error_set(err, IST_UNAUTHENTICATED, reply->status, where,
                             "cannot %s %s: %s asks for credentials (%d%s%s): %s, or open the table by its catalog "
                             "name", what, where, name, reply->status, open, code, store->backend->hint);
    if (reply->status == 403 && strcmp(code, "AccessDenied") != 0 && code[0] && strstr(code, "Auth") == NULL &&
        strstr(code, "Permission") == NULL)
        return ist_error_set(err, IST_UNAUTHENTICATED, reply->status, where,
                             "cannot %s %s: %s does not take the credentials (%s)", what, where, name, code);
    if (reply->status == 403)
        return ist_error_set(err, IST_FORBIDDEN, reply->status, where,
                             "cannot %s %s: %s denies it (403%s%s); the credentials are for another location, or for "
                             "reading only", what, where, name, open, code);
    if (refused(reply, code))
        return ist_error_set(err, IST_UNAUTHENTICATED, reply->status, where,
                             "cannot %s %s: %s does not take the credentials (%d%s%s): they have expired or are wrong",
                             what, where, name, reply->status, open, code);
    bool passing = reply->status == 408 || reply->status == 409 || reply->status == 429 || reply->status >= 500;
    return ist_error_set(err, passing ? IST_RETRYABLE : IST_IO, reply->status, where, "cannot %s %s: %s answered %d%s%s",
                         what, where, name, reply->status, open, code);
}

/* prefix + path, allocated. */
static ist_status full_key(const ist__cloud *store, const char *path, char **out, ist_error *err)
{
    size_t size = strlen(store->prefix) + strlen(path) + 1;
    IST_TRY(ist__alloc(size, 1, (void **)out, err));
    snprintf(*out, size, "%s%s", store->prefix, path);
    return IST_OK;
}

/* Put context before an error of the way there. */
static ist_status on_the_way(const ist__cloud *store, const char *what, const char *path, ist_error *err)
{
    return ist_error_context(err, "cannot %s %s/%s", what, store->base.uri, path);
}

/* Whole objects ---------------------------------------------------------------------------------------------------- */

static void cloud_free(ist_store *base)
{
    ist__cloud *store = (ist__cloud *)base;
    ist__http_free(store->http);
    ist_credentials_free(store->credentials);
    free(store->account);
    free(store->bucket);
    free(store->prefix);
    free(store->host);
    free(store);
}

static ist_status cloud_get(ist_store *base, const char *path, ist_buffer *out, ist_error *err)
{
    ist__cloud *store = (ist__cloud *)base;
    ist__http_reply reply = {0};
    ist__cloud_call call = {.verb = IST__CLOUD_READ};
    char *key = NULL;
    ist_status status;
    IST_TRY_GOTO(full_key(store, path, &key, err));
    call.key = key;
    status = send_call(store, &call, out, NULL, 0, &reply, err);
    if (status != IST_OK)
        on_the_way(store, "read", path, err);
    else if (reply.status / 100 != 2)
        status = failed(store, "read", path, &reply, err);
    else
        status = ist_buffer_reserve(out, 0, err); /* also of an empty object there is a text */
done:
    ist__http_reply_free(&reply);
    free(key);
    return status;
}

static ist_status head(ist__cloud *store, const char *path, const char *key, ist__http_reply *reply, ist_error *err)
{
    ist__cloud_call call = {.verb = IST__CLOUD_STAT, .key = key};
    if (send_call(store, &call, NULL, NULL, 0, reply, err) != IST_OK)
        return on_the_way(store, "find", path, err);
    return reply->status / 100 == 2 ? IST_OK : failed(store, "find", path, reply, err);
}

/* Whose object is there, after an answer was lost? */
static ist_status settle(ist__cloud *store, const char *path, const char *key, const char *mark, ist_error *err)
{
    ist__http_reply reply = {0};
    ist_error detail = IST_ERROR_INIT;
    ist_status status = head(store, path, key, &reply, &detail);
    if (status == IST_OK && strcmp(reply.mark, mark) == 0)
        ist_error_clear(err);
    else if (status == IST_OK)
        status = ist_error_set(err, IST_ALREADY_EXISTS, reply.status, path, "%s/%s exists already", store->base.uri,
                               path);
    else if (status == IST_NOT_FOUND)
        status = ist_error_set(err, IST_RETRYABLE, detail.code, path,
                               "%s/%s was not written: the connection broke; the same call may succeed",
                               store->base.uri, path);
    else
        status = ist_error_set(err, IST_IO, detail.code, path,
                               "it is not known whether %s/%s was written: no answer came, and looking failed: %.600s",
                               store->base.uri, path, detail.message);
    ist__http_reply_free(&reply);
    return status;
}

static bool says_exists(const ist__http_reply *reply, const char *code)
{
    return reply->status == 412 || (reply->status == 409 && strcmp(code, "BlobAlreadyExists") == 0);
}

static ist_status put_object(ist__cloud *store, const char *path, const ist__cloud_call *call, ist_error *err)
{
    ist__http_reply reply = {0};
    char code[64];
    bool unsure = false;
    ist_status status;
    for (int attempt = 0;; attempt++) {
        status = send_call(store, call, NULL, NULL, 0, &reply, err);
        unsure = unsure || reply.unsure;
        error_code(store, &reply, code);
        if (status != IST_OK || reply.status != 409 || says_exists(&reply, code) || attempt == CONFLICT_ATTEMPTS_MAX)
            break;
        ist__http_back_off(attempt, 0);
    }
    bool exists = status == IST_OK && says_exists(&reply, code);
    if (call->if_absent && unsure && (status == IST_RETRYABLE || exists))
        status = settle(store, path, call->key, call->mark, err);
    else if (status != IST_OK)
        on_the_way(store, "write", path, err);
    else if (exists && call->if_absent)
        status = ist_error_set(err, IST_ALREADY_EXISTS, reply.status, path, "%s/%s exists already", store->base.uri,
                               path);
    else if (reply.status / 100 != 2)
        status = failed(store, "write", path, &reply, err);
    ist__http_reply_free(&reply);
    return status;
}

static ist_status cloud_put(ist_store *base, const char *path, const void *data, size_t size, ist_put_mode mode,
                            ist_error *err)
{
    ist__cloud *store = (ist__cloud *)base;
    char mark[37];
    char *key;
    ist__uuid(mark);
    IST_TRY(full_key(store, path, &key, err));
    ist__cloud_call call = {.verb = IST__CLOUD_WRITE, .key = key, .body = size ? data : "", .size = size, .mark = mark,
                            .if_absent = mode == IST_PUT_IF_ABSENT};
    ist_status status = put_object(store, path, &call, err);
    free(key);
    return status;
}

static ist_status cloud_stat(ist_store *base, const char *path, ist_store_entry *entry, ist_error *err)
{
    ist__cloud *store = (ist__cloud *)base;
    ist__http_reply reply = {0};
    char *key;
    IST_TRY(full_key(store, path, &key, err));
    ist_status status = head(store, path, key, &reply, err);
    entry->size = reply.size;
    entry->modified_ms = ist__cloud_time(reply.modified);
    ist__http_reply_free(&reply);
    free(key);
    return status;
}

static ist_status cloud_remove(ist_store *base, const char *path, ist_error *err)
{
    ist__cloud *store = (ist__cloud *)base;
    ist__http_reply reply = {0};
    char *key, code[64];
    IST_TRY(full_key(store, path, &key, err));
    ist__cloud_call call = {.verb = IST__CLOUD_REMOVE, .key = key};
    ist_status status = send_call(store, &call, NULL, NULL, 0, &reply, err);
    error_code(store, &reply, code);
    bool gone = reply.status == 404 && strcmp(code, "NoSuchBucket") != 0 && strcmp(code, "ContainerNotFound") != 0;
    if (status != IST_OK)
        on_the_way(store, "remove", path, err);
    else if (reply.status / 100 != 2 && !gone)
        status = failed(store, "remove", path, &reply, err);
    ist__http_reply_free(&reply);
    free(key);
    return status;
}

/* Listing ---------------------------------------------------------------------------------------------------------- */

ist_status ist__cloud_page_add(ist__cloud_page *page, const char *key, uint64_t size, int64_t modified_ms,
                               ist_error *err)
{
    if (page->count == page->capacity) {
        size_t capacity = page->capacity ? page->capacity * 2 : 64;
        void *objects = realloc(page->objects, capacity * sizeof *page->objects);
        if (!objects)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a listing of %zu names", capacity);
        page->objects = objects;
        page->capacity = capacity;
    }
    struct ist__cloud_object *object = &page->objects[page->count];
    IST_TRY(ist__strdup(key, &object->key, err));
    object->size = size;
    object->modified_ms = modified_ms;
    page->count++;
    return IST_OK;
}

void ist__cloud_page_free(ist__cloud_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        free(page->objects[i].key);
    free(page->objects);
    free(page->next);
    *page = (ist__cloud_page){0};
}

/* Tell the callback of a page's objects. false: it has enough. */
static bool tell(const ist__cloud *store, const ist__cloud_page *page, const char *folder_key, const char *after,
                 ist_store_list_cb cb, void *payload)
{
    size_t root = strlen(store->prefix), folder = strlen(folder_key);
    for (size_t i = 0; i < page->count; i++) {
        const char *key = page->objects[i].key;
        /* A key that ends in '/' stands for a folder; services that cannot start after a key list from the beginning. */
        if (strncmp(key, folder_key, folder) != 0 || !key[folder] || strchr(key + folder, '/') ||
            (after && strcmp(key, after) <= 0))
            continue;
        ist_store_entry entry = {key + root, page->objects[i].size, page->objects[i].modified_ms};
        if (!cb(&entry, payload))
            return false;
    }
    return true;
}

static ist_status list_page(ist__cloud *store, const ist__cloud_call *call, const char *folder, ist__cloud_page *page,
                            ist_error *err)
{
    ist__http_reply reply = {0};
    ist_status status = send_call(store, call, NULL, NULL, 0, &reply, err);
    if (status != IST_OK)
        on_the_way(store, "list", folder, err);
    else if (reply.status / 100 != 2)
        status = failed(store, "list", folder, &reply, err);
    else if (store->backend->read_page(reply.body.data ? reply.body.data : "", reply.body.size, page, err) != IST_OK)
        status = on_the_way(store, "list", folder, err);
    ist__http_reply_free(&reply);
    return status;
}

static ist_status cloud_list(ist_store *base, const char *folder, const char *start_after, ist_store_list_cb cb,
                             void *payload, ist_error *err)
{
    ist__cloud *store = (ist__cloud *)base;
    ist__cloud_page page = {0};
    ist_buffer key = IST_BUFFER_INIT, after = IST_BUFFER_INIT;
    char *token = NULL;
    ist_status status;
    IST_TRY_GOTO(ist_buffer_printf(&key, err, "%s%s%s", store->prefix, folder, *folder ? "/" : ""));
    if (start_after)
        IST_TRY_GOTO(ist_buffer_printf(&after, err, "%s%s", key.data, start_after));
    for (bool more = true; more;) {
        ist__cloud_call call = {.verb = IST__CLOUD_LIST, .key = key.data, .start_after = after.data, .token = token};
        IST_TRY_GOTO(list_page(store, &call, folder, &page, err));
        more = tell(store, &page, key.data, after.data, cb, payload) && page.next;
        free(token);
        token = page.next;
        page.next = NULL;
        ist__cloud_page_free(&page);
    }
done:
    free(token);
    ist__cloud_page_free(&page);
    ist_buffer_free(&key);
    ist_buffer_free(&after);
    return status;
}

/* Readers ---------------------------------------------------------------------------------------------------------- */

/* Bytes of an object that are here already. */
typedef struct block {
    char *data;
    uint64_t offset;
    size_t size;
} block;

typedef struct cloud_reader {
    struct ist_store_reader base;
    ist__cloud *store;
    char *path, *key;
    char etag[IST__HTTP_VALUE_MAX];
    block tail;
    pthread_mutex_t lock; /* guards ahead */
    block ahead;          /* of the last small read */
} cloud_reader;

static bool block_copy(const block *from, uint64_t offset, void *data, size_t size)
{
    if (!from->data || offset < from->offset || offset + size > from->offset + from->size)
        return false;
    memcpy(data, from->data + (offset - from->offset), size);
    return true;
}

/* Which version of an object an answer is about. */
static const char *version_of(const ist__http_reply *reply)
{
    return reply->generation[0] ? reply->generation : reply->etag;
}

/* Read exactly these bytes of the object that was opened. */
static ist_status read_range(cloud_reader *reader, uint64_t offset, void *data, size_t size, ist_error *err)
{
    ist__http_reply reply = {0};
    char range[64];
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)offset,
             (unsigned long long)(offset + size - 1));
    ist__cloud_call call = {.verb = IST__CLOUD_READ, .key = reader->key, .range = range, .etag = reader->etag};
    ist_status status = send_call(reader->store, &call, NULL, data, size, &reply, err);
    if (status != IST_OK)
        on_the_way(reader->store, "read", reader->path, err);
    else if (reply.status == 412 || reply.status == 416 ||
             (reply.status / 100 == 2 && strcmp(version_of(&reply), reader->etag) != 0))
        status = ist_error_set(err, IST_IO, reply.status, reader->path, "%s/%s was replaced while it was read",
                               reader->store->base.uri, reader->path);
    else if (reply.status / 100 != 2)
        status = failed(reader->store, "read", reader->path, &reply, err);
    ist__http_reply_free(&reply);
    return status;
}

/* The object's size, etag and end by one request for its last bytes. */
static ist_status open_by_suffix(cloud_reader *reader, ist_error *err)
{
    ist__http_reply reply = {0};
    ist_buffer end = {.limit = TAIL_SIZE + 1};
    char range[32];
    snprintf(range, sizeof range, "bytes=-%d", TAIL_SIZE);
    ist__cloud_call call = {.verb = IST__CLOUD_READ, .key = reader->key, .range = range};
    ist_status status = send_call(reader->store, &call, &end, NULL, 0, &reply, err);
    if (status != IST_OK) {
        on_the_way(reader->store, "read", reader->path, err);
    } else if (reply.status == 416) { /* an empty object has no last bytes */
        reader->base.size = 0;
    } else if (reply.status / 100 != 2) {
        status = failed(reader->store, "read", reader->path, &reply, err);
    } else if (reply.size < end.size) {
        status = ist_error_set(err, IST_IO, 0, reader->path, "%s does not tell the size of %s/%s",
                               reader->store->backend->name, reader->store->base.uri, reader->path);
    } else {
        reader->base.size = reply.size;
        snprintf(reader->etag, sizeof reader->etag, "%s", version_of(&reply));
        reader->tail = (block){end.data, reply.size - end.size, end.size};
        end = (ist_buffer)IST_BUFFER_INIT;
    }
    ist_buffer_free(&end);
    ist__http_reply_free(&reply);
    return status;
}

static ist_status open_by_stat(cloud_reader *reader, ist_error *err)
{
    ist__http_reply reply = {0};
    ist_status status = head(reader->store, reader->path, reader->key, &reply, err);
    reader->base.size = reply.size;
    snprintf(reader->etag, sizeof reader->etag, "%s", version_of(&reply));
    ist__http_reply_free(&reply);
    size_t size = reader->base.size < TAIL_SIZE ? (size_t)reader->base.size : TAIL_SIZE;
    if (status != IST_OK || size == 0)
        return status;
    IST_TRY(ist__alloc(size, 1, (void **)&reader->tail.data, err));
    reader->tail.offset = reader->base.size - size;
    reader->tail.size = size;
    return read_range(reader, reader->tail.offset, reader->tail.data, size, err);
}

static void cloud_reader_free(ist_store_reader *base)
{
    cloud_reader *reader = (cloud_reader *)base;
    free(reader->tail.data);
    free(reader->ahead.data);
    free(reader->path);
    free(reader->key);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

static ist_status cloud_reader_open(ist_store *base, const char *path, ist_store_reader **out, ist_error *err)
{
    ist__cloud *store = (ist__cloud *)base;
    cloud_reader *reader;
    IST_TRY(ist__alloc(1, sizeof *reader, (void **)&reader, err));
    reader->base.ops = base->ops;
    reader->store = store;
    pthread_mutex_init(&reader->lock, NULL);
    ist_status status;
    IST_TRY_GOTO(ist__strdup(path, &reader->path, err));
    IST_TRY_GOTO(full_key(store, path, &reader->key, err));
    IST_TRY_GOTO(store->backend->suffix_ranges ? open_by_suffix(reader, err) : open_by_stat(reader, err));
    *out = &reader->base;
    return IST_OK;
done:
    cloud_reader_free(&reader->base);
    return status;
}

/* Bring more than was asked for: what lies behind a small read is likely to be wanted next. */
static ist_status read_ahead(cloud_reader *reader, uint64_t offset, void *data, size_t size, ist_error *err)
{
    uint64_t end = reader->tail.offset > offset + size ? reader->tail.offset : reader->base.size;
    block ahead = {NULL, offset, end - offset < READ_AHEAD ? (size_t)(end - offset) : READ_AHEAD};
    IST_TRY(ist__alloc(ahead.size, 1, (void **)&ahead.data, err));
    ist_status status = read_range(reader, offset, ahead.data, ahead.size, err);
    if (status == IST_OK) {
        memcpy(data, ahead.data, size);
        pthread_mutex_lock(&reader->lock);
        block old = reader->ahead;
        reader->ahead = ahead;
        pthread_mutex_unlock(&reader->lock);
        ahead = old;
    }
    free(ahead.data);
    return status;
}

static ist_status cloud_reader_read(ist_store_reader *base, uint64_t offset, void *data, size_t size, ist_error *err)
{
    cloud_reader *reader = (cloud_reader *)base;
    if (block_copy(&reader->tail, offset, data, size))
        return IST_OK;
    pthread_mutex_lock(&reader->lock);
    bool here = block_copy(&reader->ahead, offset, data, size);
    pthread_mutex_unlock(&reader->lock);
    if (here)
        return IST_OK;
    return size < READ_AHEAD ? read_ahead(reader, offset, data, size, err) : read_range(reader, offset, data, size, err);
}

/* Writers ---------------------------------------------------------------------------------------------------------- */

typedef struct cloud_writer cloud_writer;

/* One part on its way. */
typedef struct part {
    cloud_writer *writer;
    pthread_t thread;
    bool running;
    ist_buffer body;
    ist__cloud_call call;
    ist_status status;
    ist_error error;
} part;

struct cloud_writer {
    struct ist_store_writer base;
    ist__cloud *store;
    char *path, *key;
    char mark[37];
    ist_buffer bytes;  /* of the part that is being gathered */
    ist_buffer upload; /* id; empty before the first part */
    uint64_t offset;   /* of bytes in the object */
    char (*ids)[IST__CLOUD_PART_ID_MAX];
    int part_count;
    part parts[PARTS_AT_ONCE_MAX];
    bool done; /* published */
};

static ist_status cloud_writer_open(ist_store *base, const char *path, ist_store_writer **out, ist_error *err)
{
    cloud_writer *writer;
    IST_TRY(ist__alloc(1, sizeof *writer, (void **)&writer, err));
    writer->base.ops = base->ops;
    writer->store = (ist__cloud *)base;
    ist__uuid(writer->mark);
    ist_status status;
    IST_TRY_GOTO(ist__strdup(path, &writer->path, err));
    IST_TRY_GOTO(full_key(writer->store, path, &writer->key, err));
    *out = &writer->base;
    return IST_OK;
done:
    ist_store_writer_free(&writer->base);
    return status;
}

static ist_status begin_upload(cloud_writer *writer, ist_error *err)
{
    ist__http_reply reply = {0};
    ist__cloud_call call = {.verb = IST__CLOUD_UPLOAD_BEGIN, .key = writer->key, .mark = writer->mark};
    if (writer->upload.size)
        return IST_OK;
    if (!writer->store->backend->begin_is_needed)
        return ist_buffer_append_string(&writer->upload, writer->mark, err);
    ist_status status = send_call(writer->store, &call, NULL, NULL, 0, &reply, err);
    if (status != IST_OK)
        on_the_way(writer->store, "write", writer->path, err);
    else if (reply.status / 100 != 2)
        status = failed(writer->store, "write", writer->path, &reply, err);
    else
        status = writer->store->backend->read_upload(&reply, &writer->upload, err);
    ist__http_reply_free(&reply);
    return status;
}

static void *send_part(void *payload)
{
    part *p = payload;
    cloud_writer *writer = p->writer;
    ist__http_reply reply = {0};
    p->status = send_call(writer->store, &p->call, NULL, NULL, 0, &reply, &p->error);
    if (p->status != IST_OK)
        on_the_way(writer->store, "write", writer->path, &p->error);
    else if (reply.status / 100 != 2 && (reply.status != 308 || p->call.last)) /* 308: resumable uploads go on */
        p->status = failed(writer->store, "write", writer->path, &reply, &p->error);
    else
        p->status = writer->store->backend->part_id(p->call.part, &reply, writer->ids[p->call.part - 1], &p->error);
    ist__http_reply_free(&reply);
    return NULL;
}

/* Wait until a part is there. */
static ist_status join_part(part *p, ist_error *err)
{
    if (!p->running)
        return IST_OK;
    pthread_join(p->thread, NULL);
    p->running = false;
    if (p->status != IST_OK && err)
        *err = p->error;
    return p->status;
}

static ist_status join_parts(cloud_writer *writer, ist_error *err)
{
    ist_status status = IST_OK;
    for (int i = 0; i < PARTS_AT_ONCE_MAX; i++) {
        ist_status one = join_part(&writer->parts[i], status == IST_OK ? err : NULL);
        if (status == IST_OK)
            status = one;
    }
    return status;
}

/* Send what was gathered as a part, while the next one is being gathered. */
static ist_status start_part(cloud_writer *writer, bool last, ist_error *err)
{
    const ist__cloud_backend *backend = writer->store->backend;
    part *p = &writer->parts[writer->part_count % backend->parts_at_once];
    if (writer->part_count == IST__CLOUD_PARTS_MAX)
        return ist_error_set(err, IST_UNSUPPORTED, 0, writer->path, "%s/%s is larger than %d parts of %d MiB",
                             writer->store->base.uri, writer->path, IST__CLOUD_PARTS_MAX, IST__CLOUD_PART_SIZE >> 20);
    if (!writer->ids)
        IST_TRY(ist__alloc(IST__CLOUD_PARTS_MAX, sizeof *writer->ids, (void **)&writer->ids, err));
    IST_TRY(begin_upload(writer, err));
    IST_TRY(join_part(p, err));
    ist_buffer empty = p->body;
    p->body = writer->bytes;
    writer->bytes = empty;
    ist_buffer_clear(&writer->bytes);
    p->writer = writer;
    p->call = (ist__cloud_call){.verb = IST__CLOUD_UPLOAD_PART, .key = writer->key, .upload = writer->upload.data,
                                .part = ++writer->part_count, .offset = writer->offset, .last = last,
                                .body = p->body.size ? p->body.data : "", .size = p->body.size};
    writer->offset += p->body.size;
    int code = pthread_create(&p->thread, NULL, send_part, p);
    if (code != 0)
        return ist_error_set(err, IST_NO_MEMORY, code, NULL, "no thread to send with: %s", strerror(code));
    p->running = true;
    return IST_OK;
}

static ist_status cloud_writer_write(ist_store_writer *base, const void *data, size_t size, ist_error *err)
{
    cloud_writer *writer = (cloud_writer *)base;
    for (const char *at = data; size > 0;) {
        size_t room = IST__CLOUD_PART_SIZE - writer->bytes.size, take = size < room ? size : room;
        if (!writer->bytes.data && writer->part_count > 0)
            IST_TRY(ist_buffer_reserve(&writer->bytes, IST__CLOUD_PART_SIZE, err));
        IST_TRY(ist_buffer_append(&writer->bytes, at, take, err));
        at += take;
        size -= take;
        if (writer->bytes.size == IST__CLOUD_PART_SIZE)
            IST_TRY(start_part(writer, false, err));
    }
    return IST_OK;
}

static ist_status end_upload(cloud_writer *writer, ist_error *err)
{
    ist__http_reply reply = {0};
    ist_buffer body = IST_BUFFER_INIT;
    ist__cloud_call call = {.verb = IST__CLOUD_UPLOAD_END, .key = writer->key, .upload = writer->upload.data,
                            .parts = writer->ids, .part_count = writer->part_count, .mark = writer->mark};
    char code[64];
    ist_status status;
    IST_TRY_GOTO(writer->store->backend->end_body(&call, &body, err));
    call.body = body.data;
    call.size = body.size;
    status = send_call(writer->store, &call, NULL, NULL, 0, &reply, err);
    /* S3 may begin to answer before it knows the end: an error comes with status 200, too. */
    code[0] = '\0';
    if (status == IST_OK && reply.body.size)
        writer->store->backend->read_error(reply.body.data, reply.body.size, code);
    if (reply.unsure && (status == IST_RETRYABLE || reply.status == 404))
        status = settle(writer->store, writer->path, writer->key, writer->mark, err);
    else if (status != IST_OK)
        on_the_way(writer->store, "write", writer->path, err);
    else if (reply.status / 100 != 2)
        status = failed(writer->store, "write", writer->path, &reply, err);
    else if (code[0])
        status = ist_error_set(err, IST_RETRYABLE, 0, writer->path, "cannot write %s/%s: %s answered %.63s",
                               writer->store->base.uri, writer->path, writer->store->backend->name, code);
done:
    ist__http_reply_free(&reply);
    ist_buffer_free(&body);
    return status;
}

static ist_status cloud_writer_close(ist_store_writer *base, ist_error *err)
{
    cloud_writer *writer = (cloud_writer *)base;
    bool needs_end = writer->store->backend->end_body != NULL;
    if (writer->part_count == 0) {
        ist__cloud_call call = {.verb = IST__CLOUD_WRITE, .key = writer->key, .mark = writer->mark,
                                .body = writer->bytes.size ? writer->bytes.data : "", .size = writer->bytes.size};
        return put_object(writer->store, writer->path, &call, err);
    }
    if (writer->bytes.size || !needs_end)
        IST_TRY(start_part(writer, true, err));
    IST_TRY(join_parts(writer, err));
    if (needs_end)
        IST_TRY(end_upload(writer, err));
    writer->done = true;
    return IST_OK;
}

static void cloud_writer_free(ist_store_writer *base)
{
    cloud_writer *writer = (cloud_writer *)base;
    join_parts(writer, NULL);
    if (writer->upload.size && !writer->done && writer->store->backend->begin_is_needed) {
        ist__http_reply reply = {0};
        ist__cloud_call call = {.verb = IST__CLOUD_UPLOAD_ABORT, .key = writer->key, .upload = writer->upload.data};
        send_call(writer->store, &call, NULL, NULL, 0, &reply, NULL);
        ist__http_reply_free(&reply);
    }
    for (int i = 0; i < PARTS_AT_ONCE_MAX; i++)
        ist_buffer_free(&writer->parts[i].body);
    ist_buffer_free(&writer->bytes);
    ist_buffer_free(&writer->upload);
    free(writer->ids);
    free(writer->path);
    free(writer->key);
    free(writer);
}

/* For backends ----------------------------------------------------------------------------------------------------- */

int64_t ist__cloud_time(const char *text)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest) {
        time_t seconds = curl_getdate(text, NULL); /* knows English month names whatever the locale */
        return seconds < 0 ? 0 : (int64_t)seconds * 1000;
    }
    int64_t ms = 0, unit = 100;
    for (rest += *rest == '.'; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
        ms += (*rest - '0') * unit;
    return (int64_t)timegm(&parts) * 1000 + ms;
}

ist_status ist__cloud_parameter(ist_buffer *url, const char *name, const char *value, ist_error *err)
{
    IST_TRY(ist_buffer_printf(url, err, "%c%s=", strchr(url->data, '?') ? '&' : '?', name));
    return ist__uri_encode(value, strlen(value), "", url, err);
}

ist_status ist__cloud_static(yyjson_mut_doc *doc, ist_credentials **out, ist_error *err)
{
    size_t size = 0;
    char *json = doc ? yyjson_mut_write(doc, 0, &size) : NULL;
    yyjson_mut_doc_free(doc);
    if (!json)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for credentials");
    ist_status status = ist_credentials_static(json, out, err);
    explicit_bzero(json, size);
    free(json);
    return status;
}

const char *ist__cloud_setting(yyjson_val *credentials, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(yyjson_obj_get(credentials, "isthmus_storage"), key));
}

bool ist__cloud_is_signed(yyjson_val *credentials)
{
    return credentials && !yyjson_is_true(yyjson_obj_get(yyjson_obj_get(credentials, "isthmus_storage"), "unsigned"));
}

/* Open ------------------------------------------------------------------------------------------------------------- */

static const ist_store_ops cloud_ops = {
    .free = cloud_free,
    .get = cloud_get,
    .put = cloud_put,
    .stat = cloud_stat,
    .list = cloud_list,
    .remove = cloud_remove,
    .reader_open = cloud_reader_open,
    .reader_read = cloud_reader_read,
    .reader_free = cloud_reader_free,
    .writer_open = cloud_writer_open,
    .writer_write = cloud_writer_write,
    .writer_close = cloud_writer_close,
    .writer_free = cloud_writer_free,
};

static const ist__cloud_backend *backend_of(const ist__cloud_location *location)
{
    return location->account[0] ? &ist__azure_backend
           : strcmp(location->scheme, "gs") == 0 ? &ist__gcs_backend : &ist__s3_backend;
}

ist_status ist__store_open_cloud(const char *uri, ist_credentials *credentials, ist_store **out, ist_error *err)
{
    ist__cloud_location location;
    ist__cloud *store;
    ist_buffer prefix = IST_BUFFER_INIT, canonical = IST_BUFFER_INIT;
    const ist__storage_options nothing = {0};
    IST_TRY(ist__cloud_location_read(uri, &location, err));
    IST_TRY(ist__alloc(1, sizeof *store, (void **)&store, err));
    store->base.ops = &cloud_ops;
    store->backend = backend_of(&location);
    store->credentials = ist_credentials_hold(credentials);
    ist_status status;
    if (!credentials)
        IST_TRY_GOTO(ist__storage_credentials(&location, &nothing, &store->credentials, err));
    IST_TRY_GOTO(ist__http_new(store->backend->name, &store->http, err));
    IST_TRY_GOTO(ist__strdup(location.account, &store->account, err));
    IST_TRY_GOTO(ist__strdup(location.host, &store->host, err));
    IST_TRY_GOTO(ist__strdup(location.bucket, &store->bucket, err));
    IST_TRY_GOTO(ist_buffer_printf(&prefix, err, "%s%s", location.key, location.key[0] ? "/" : ""));
    store->prefix = prefix.data; /* the store's now */
    IST_TRY_GOTO(ist__cloud_location_write(&location, &canonical, err));
    store->base.uri = canonical.data;
    *out = &store->base;
    return IST_OK;
done:
    ist_buffer_free(&canonical);
    cloud_free(&store->base);
    return status;
}
