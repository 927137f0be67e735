/*
 * gateway_store.c: a store on a `file:` location whose files this process may not open itself. It shows a server a token
 * for the location (isthmus_file_token of its credentials).
 *
 * On the server's machine the open files come through a Unix socket: reading and writing then cost what they cost
 * directly. From elsewhere, or where the socket does not answer, everything goes over HTTP. Each call asks the
 * credentials for their present token; when that is refused all the same, they are renewed and the call is made again,
 * once.
 */
#include "store/file_store.h"
#include "store/gateway_internal.h"
#include "util/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Places ----------------------------------------------------------------------------------------------------------- */

static void place_free(ist__gateway_place *place)
{
    yyjson_doc_free(place->doc);
    place->doc = NULL;
}

/* The place is empty (token NULL) where the credentials are none for files. */
static ist_status place_read(ist_credentials *credentials, ist__gateway_place *out, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    memset(out, 0, sizeof *out);
    ist_status status = ist_credentials_get(credentials, &json, err);
    if (status == IST_OK) {
        out->doc = yyjson_read(json.data, json.size, 0);
        yyjson_val *token = yyjson_obj_get(yyjson_doc_get_root(out->doc), "isthmus_file_token");
        out->token = yyjson_get_str(yyjson_obj_get(token, "token"));
        out->endpoint = yyjson_get_str(yyjson_obj_get(token, "endpoint"));
        out->socket = yyjson_get_str(yyjson_obj_get(token, "socket"));
        out->uid = (uid_t)yyjson_get_uint(yyjson_obj_get(token, "uid"));
        if (!out->doc)
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the credentials are not JSON");
    }
    if (json.data)
        explicit_bzero(json.data, json.size);
    ist_buffer_free(&json);
    return status;
}

static ist_status no_way(const ist__gateway *self, ist_error *err)
{
    return ist_error_set(err, IST_RETRYABLE, 0, self->base.uri,
                         "the server of %s does not answer at its socket, and told no address: is it running?",
                         self->base.uri);
}

/* One try of an operation: over `socket`, or over HTTP where that is -1. *broken: the socket is of no more use. */
typedef ist_status (*attempt)(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                              void *payload, ist_error *err);

static ist_status try_once(ist__gateway *self, attempt run, void *payload, ist_error *err)
{
    ist__gateway_place place;
    bool broken = false;
    ist_status status = place_read(self->credentials, &place, err);
    if (status == IST_OK) {
        int socket = ist__gateway_connect(self, &place);
        status = socket < 0 && !place.endpoint ? no_way(self, err) : run(self, &place, socket, &broken, payload, err);
        if (socket >= 0 && broken)
            close(socket);
        else if (socket >= 0)
            ist__gateway_keep(self, socket);
    }
    place_free(&place);
    return status;
}

static ist_status with_token(ist__gateway *self, attempt run, void *payload, ist_error *err)
{
    ist_error first = IST_ERROR_INIT;
    ist_status status = try_once(self, run, payload, &first);
    if (status == IST_UNAUTHENTICATED && ist_credentials_refresh(self->credentials, NULL) == IST_OK) {
        ist_error_clear(&first);
        status = try_once(self, run, payload, &first);
    }
    if (status != IST_OK && err)
        *err = first;
    return status;
}

/* Simple operations ------------------------------------------------------------------------------------------------ */

typedef struct simple {
    ist__file_message request;
    ist__gateway_answer answer;
} simple;

static ist_status simple_attempt(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                                 void *payload, ist_error *err)
{
    simple *call = payload;
    call->request.a = place->token;
    ist_buffer_clear(&call->answer.text);
    if (socket < 0)
        return ist__gateway_http_call(self, place, &call->request, &call->answer, err);
    return ist__gateway_socket_call(socket, &call->request, &call->answer, broken, err);
}

static ist_status run_simple(ist_store *store, simple *call, ist_error *err)
{
    return with_token((ist__gateway *)store, simple_attempt, call, err);
}

static ist_status run_op(ist_store *store, ist__file_op op, const char *path, const char *other, ist_error *err)
{
    simple call = {.request = {.op = op, .b = path, .c = other}};
    ist_status status = run_simple(store, &call, err);
    ist_buffer_free(&call.answer.text);
    return status;
}

static ist_status gateway_stat(ist_store *store, const char *path, ist_store_entry *entry, ist_error *err)
{
    simple call = {.request = {.op = IST__FILE_STAT, .b = path}};
    IST_TRY(run_simple(store, &call, err));
    entry->size = call.answer.size;
    entry->modified_ms = call.answer.modified_ms;
    return IST_OK;
}

static ist_status gateway_remove(ist_store *store, const char *path, ist_error *err)
{
    return run_op(store, IST__FILE_REMOVE, path, NULL, err);
}

static ist_status gateway_make_folder(ist_store *store, const char *path, ist_error *err)
{
    return run_op(store, IST__FILE_MAKE_FOLDER, path, NULL, err);
}

static ist_status gateway_remove_folder(ist_store *store, const char *path, ist_error *err)
{
    return run_op(store, IST__FILE_REMOVE_FOLDER, path, NULL, err);
}

static ist_status gateway_rename(ist_store *store, const char *from, const char *to, ist_error *err)
{
    return run_op(store, IST__FILE_RENAME, from, to, err);
}

/* Listing ---------------------------------------------------------------------------------------------------------- */

typedef struct lister {
    const char *folder;
    bool folders;
    ist_store_list_cb cb;
    void *payload;
    bool stopped;
    ist_buffer next;
} lister;

static ist_status tell_entry(lister *list, const char *name, yyjson_val *object, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_store_entry entry = {.size = yyjson_get_uint(yyjson_obj_get(object, "size")),
                             .modified_ms = yyjson_get_sint(yyjson_obj_get(object, "modified_ms"))};
    if (!name || !*name || strchr(name, '/'))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the server of the files sent a listing without a name");
    ist_status status = ist_buffer_printf(&path, err, "%s%s%s", list->folder, *list->folder ? "/" : "", name);
    entry.path = path.data;
    if (status == IST_OK)
        list->stopped = !list->cb(&entry, list->payload);
    ist_buffer_free(&path);
    return status;
}

static ist_status tell_page(lister *list, const ist_buffer *text, ist_error *err)
{
    yyjson_doc *doc = text->size ? yyjson_read(text->data, text->size, YYJSON_READ_ALLOW_INVALID_UNICODE) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    yyjson_val *items = yyjson_obj_get(root, list->folders ? "folders" : "objects");
    const char *next = yyjson_get_str(yyjson_obj_get(root, "next"));
    ist_status status = IST_OK;
    size_t i, count;
    ist_buffer_clear(&list->next);
    if (!yyjson_is_arr(items)) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the server of the files sent no listing");
        goto done;
    }
    yyjson_arr_foreach(items, i, count, item) {
        const char *name = yyjson_get_str(list->folders ? item : yyjson_obj_get(item, "name"));
        IST_TRY_GOTO(tell_entry(list, name, item, err));
        if (list->stopped)
            goto done;
    }
    if (next)
        status = ist_buffer_append_string(&list->next, next, err);
done:
    yyjson_doc_free(doc);
    return status;
}

static ist_status run_list(ist_store *store, lister *list, const char *start_after, ist_error *err)
{
    ist_buffer after = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (start_after)
        IST_TRY_GOTO(ist_buffer_append_string(&after, start_after, err));
    do {
        simple call = {.request = {.op = IST__FILE_LIST, .b = *list->folder ? list->folder : NULL, .c = after.data}};
        status = run_simple(store, &call, err);
        if (status == IST_OK)
            status = tell_page(list, &call.answer.text, err);
        ist_buffer_free(&call.answer.text);
        ist_buffer_clear(&after);
        if (status == IST_OK && list->next.size)
            status = ist_buffer_append_string(&after, list->next.data, err);
    } while (status == IST_OK && !list->stopped && list->next.size);
done:
    ist_buffer_free(&after);
    ist_buffer_free(&list->next);
    return status;
}

static ist_status gateway_list(ist_store *store, const char *folder, const char *start_after, ist_store_list_cb cb,
                               void *payload, ist_error *err)
{
    lister list = {.folder = folder, .cb = cb, .payload = payload};
    return run_list(store, &list, start_after, err);
}

static ist_status gateway_list_folders(ist_store *store, const char *folder, ist_store_list_cb cb, void *payload,
                                       ist_error *err)
{
    lister list = {.folder = folder, .folders = true, .cb = cb, .payload = payload};
    return run_list(store, &list, NULL, err);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

typedef struct gateway_reader {
    struct ist_store_reader base;
    ist__gateway *store;
    char *path;
    int fd; /* -1: over HTTP, and then: */
    ist_buffer tail;
    char etag[IST__HTTP_VALUE_MAX];
} gateway_reader;

static ist_status read_at(int fd, const char *path, uint64_t offset, void *data, size_t size, ist_error *err)
{
    for (size_t have = 0; have < size;) {
        ssize_t n = pread(fd, (char *)data + have, size - have, (off_t)(offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ist_error_set(err, IST_IO, errno, path, "cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            return ist_error_set(err, IST_IO, 0, path, "%s became shorter while it was read", path);
        have += (size_t)n;
    }
    return IST_OK;
}

static ist_status open_attempt(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                               void *payload, ist_error *err)
{
    gateway_reader *reader = payload;
    ist__gateway_answer answer = {.fd = -1};
    if (socket < 0)
        return ist__gateway_http_tail(self, place, reader->path, &reader->tail, &reader->base.size, reader->etag, err);
    const ist__file_message request = {.op = IST__FILE_OPEN, .a = place->token, .b = reader->path};
    IST_TRY(ist__gateway_socket_call(socket, &request, &answer, broken, err));
    reader->fd = answer.fd;
    reader->base.size = answer.size;
    return IST_OK;
}

static void gateway_reader_free(ist_store_reader *base)
{
    gateway_reader *reader = (gateway_reader *)base;
    if (reader->fd >= 0)
        close(reader->fd);
    ist_buffer_free(&reader->tail);
    free(reader->path);
    free(reader);
}

static ist_status gateway_reader_open(ist_store *store, const char *path, ist_store_reader **out, ist_error *err)
{
    gateway_reader *reader;
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *reader, (void **)&reader, err));
    reader->base.ops = store->ops;
    reader->store = (ist__gateway *)store;
    reader->fd = -1;
    IST_TRY_GOTO(ist__strdup(path, &reader->path, err));
    IST_TRY_GOTO(with_token(reader->store, open_attempt, reader, err));
    *out = &reader->base;
    return IST_OK;
done:
    gateway_reader_free(&reader->base);
    return status;
}

typedef struct range {
    const gateway_reader *reader;
    uint64_t offset;
    void *data;
    size_t size;
} range;

static ist_status range_attempt(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                                void *payload, ist_error *err)
{
    (void)socket, (void)broken; /* one that was opened over HTTP is read over HTTP */
    const range *part = payload;
    return ist__gateway_http_range(self, place, part->reader->path, part->reader->etag, part->offset, part->data,
                                   part->size, err);
}

static ist_status gateway_reader_read(ist_store_reader *base, uint64_t offset, void *data, size_t size, ist_error *err)
{
    gateway_reader *reader = (gateway_reader *)base;
    if (reader->fd >= 0)
        return read_at(reader->fd, reader->path, offset, data, size, err);
    uint64_t tail_at = base->size - reader->tail.size;
    if (offset >= tail_at) {
        memcpy(data, reader->tail.data + (offset - tail_at), size);
        return IST_OK;
    }
    range part = {reader, offset, data, size};
    return with_token(reader->store, range_attempt, &part, err);
}

typedef struct whole {
    const char *path;
    ist_buffer *out;
} whole;

static ist_status get_attempt(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                              void *payload, ist_error *err)
{
    const whole *call = payload;
    ist__gateway_answer answer = {.fd = -1};
    if (socket < 0)
        return ist__gateway_http_get(self, place, call->path, call->out, err);
    const ist__file_message request = {.op = IST__FILE_OPEN, .a = place->token, .b = call->path};
    IST_TRY(ist__gateway_socket_call(socket, &request, &answer, broken, err));
    ist_status status = ist_buffer_reserve(call->out, (size_t)answer.size, err);
    if (status == IST_OK)
        status = read_at(answer.fd, call->path, 0, call->out->data + call->out->size, (size_t)answer.size, err);
    if (status == IST_OK) {
        call->out->size += (size_t)answer.size;
        call->out->data[call->out->size] = '\0';
    }
    close(answer.fd);
    return status;
}

static ist_status gateway_get(ist_store *store, const char *path, ist_buffer *out, ist_error *err)
{
    whole call = {path, out};
    return with_token((ist__gateway *)store, get_attempt, &call, err);
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

static ist_status write_all(int fd, const char *path, const void *data, size_t size, ist_error *err)
{
    for (const char *at = data; size > 0;) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ist_error_set(err, IST_IO, errno, path, "cannot write %s: %s", path, strerror(errno));
        at += n;
        size -= (size_t)n;
    }
    return IST_OK;
}

typedef struct put_call {
    const char *path;
    const void *data;
    size_t size;
    ist_put_mode mode;
    bool unsure;
} put_call;

/* A file that is not published, for whatever reason, goes with its connection. */
static ist_status put_attempt(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                              void *payload, ist_error *err)
{
    put_call *call = payload;
    ist__gateway_answer answer = {.fd = -1};
    if (socket < 0)
        return ist__gateway_http_put(self, place, call->path, call->data, call->size, call->mode, &call->unsure, err);
    const ist__file_message create = {
        .op = IST__FILE_CREATE, .number = call->mode, .a = place->token, .b = call->path};
    IST_TRY(ist__gateway_socket_call(socket, &create, &answer, broken, err));
    ist_status status = write_all(answer.fd, call->path, call->data, call->size, err);
    close(answer.fd);
    *broken = status != IST_OK;
    IST_TRY(status);
    const ist__file_message publish = {.op = IST__FILE_PUBLISH, .number = call->mode};
    status = ist__gateway_socket_call(socket, &publish, &answer, broken, err);
    call->unsure = *broken;
    return status;
}

/* The answer to a put-if-absent was lost: is what is there ours? */
static ist_status settle(ist_store *store, const put_call *call, ist_status told, ist_error *err)
{
    ist_buffer there = {.limit = call->size + 1};
    ist_status status = gateway_get(store, call->path, &there, NULL);
    bool ours = status == IST_OK && there.size == call->size && memcmp(there.data, call->data, call->size) == 0;
    ist_buffer_free(&there);
    if (ours) {
        ist_error_clear(err);
        return IST_OK;
    }
    if (status == IST_OK || status == IST_NO_MEMORY)
        return ist_error_set(err, IST_ALREADY_EXISTS, 0, call->path, "%s/%s exists already", store->uri, call->path);
    return told;
}

static ist_status gateway_put(ist_store *store, const char *path, const void *data, size_t size, ist_put_mode mode,
                              ist_error *err)
{
    put_call call = {path, data, size, mode, false};
    ist_status status = with_token((ist__gateway *)store, put_attempt, &call, err);
    if (status != IST_OK && call.unsure && mode == IST_PUT_IF_ABSENT && size > 0)
        return settle(store, &call, status, err);
    return status;
}

typedef struct gateway_writer {
    struct ist_store_writer base;
    ist__gateway *store;
    char *path;
    int socket, fd; /* -1: over HTTP, and then: */
    ist_buffer start; /* until there is too much for one request */
    ist__gateway_upload *upload;
} gateway_writer;

/* On success a socket is the writer's; it is kept by nobody else. */
static ist_status create_attempt(ist__gateway *self, const ist__gateway_place *place, int socket, bool *broken,
                                 void *payload, ist_error *err)
{
    gateway_writer *writer = payload;
    ist__gateway_answer answer = {.fd = -1};
    (void)self;
    if (socket < 0)
        return IST_OK; /* the request comes with the first bytes */
    const ist__file_message create = {
        .op = IST__FILE_CREATE, .number = IST_PUT_REPLACE, .a = place->token, .b = writer->path};
    IST_TRY(ist__gateway_socket_call(socket, &create, &answer, broken, err));
    writer->fd = answer.fd;
    writer->socket = dup(socket);
    *broken = true; /* the writer has its own */
    return writer->socket >= 0 ? IST_OK
                               : ist_error_set(err, IST_IO, errno, NULL, "cannot keep a socket: %s", strerror(errno));
}

static void gateway_writer_free(ist_store_writer *base)
{
    gateway_writer *writer = (gateway_writer *)base;
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->socket >= 0)
        close(writer->socket);
    ist__gateway_upload_free(writer->upload);
    ist_buffer_free(&writer->start);
    free(writer->path);
    free(writer);
}

static ist_status gateway_writer_open(ist_store *store, const char *path, ist_store_writer **out, ist_error *err)
{
    gateway_writer *writer;
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *writer, (void **)&writer, err));
    writer->base.ops = store->ops;
    writer->store = (ist__gateway *)store;
    writer->socket = writer->fd = -1;
    IST_TRY_GOTO(ist__strdup(path, &writer->path, err));
    IST_TRY_GOTO(with_token(writer->store, create_attempt, writer, err));
    *out = &writer->base;
    return IST_OK;
done:
    gateway_writer_free(&writer->base);
    return status;
}

static ist_status begin_upload(gateway_writer *writer, ist_error *err)
{
    ist__gateway_place place;
    ist_status status = place_read(writer->store->credentials, &place, err);
    if (status == IST_OK)
        status = place.endpoint ? ist__gateway_upload_open(&place, writer->path, &writer->upload, err)
                                : no_way(writer->store, err);
    place_free(&place);
    if (status == IST_OK)
        status = ist__gateway_upload_write(writer->upload, writer->start.data, writer->start.size, err);
    ist_buffer_free(&writer->start);
    return status;
}

static ist_status gateway_writer_write(ist_store_writer *base, const void *data, size_t size, ist_error *err)
{
    gateway_writer *writer = (gateway_writer *)base;
    if (writer->fd >= 0)
        return write_all(writer->fd, writer->path, data, size, err);
    if (!writer->upload && writer->start.size + size <= IST__GATEWAY_WHOLE_SIZE)
        return ist_buffer_append(&writer->start, data, size, err);
    if (!writer->upload)
        IST_TRY(begin_upload(writer, err));
    return ist__gateway_upload_write(writer->upload, data, size, err);
}

static ist_status gateway_writer_close(ist_store_writer *base, ist_error *err)
{
    gateway_writer *writer = (gateway_writer *)base;
    if (writer->upload)
        return ist__gateway_upload_close(writer->upload, err);
    if (writer->fd < 0)
        return gateway_put(&writer->store->base, writer->path, writer->start.data ? writer->start.data : "",
                           writer->start.size, IST_PUT_REPLACE, err);
    const ist__file_message publish = {.op = IST__FILE_PUBLISH, .number = IST_PUT_REPLACE};
    ist__gateway_answer answer;
    bool broken;
    IST_TRY(ist__gateway_socket_call(writer->socket, &publish, &answer, &broken, err));
    ist__gateway_keep(writer->store, writer->socket);
    writer->socket = -1;
    return IST_OK;
}

/* Open ------------------------------------------------------------------------------------------------------------- */

static void gateway_free(ist_store *store)
{
    ist__gateway *self = (ist__gateway *)store;
    for (int i = 0; i < self->idle_count; i++)
        close(self->idle[i]);
    pthread_mutex_destroy(&self->lock);
    ist__http_free(self->http);
    ist_credentials_free(self->credentials);
    free(self);
}

static const ist_store_ops gateway_ops = {
    .free = gateway_free,
    .get = gateway_get,
    .put = gateway_put,
    .stat = gateway_stat,
    .list = gateway_list,
    .remove = gateway_remove,
    .reader_open = gateway_reader_open,
    .reader_read = gateway_reader_read,
    .reader_free = gateway_reader_free,
    .writer_open = gateway_writer_open,
    .writer_write = gateway_writer_write,
    .writer_close = gateway_writer_close,
    .writer_free = gateway_writer_free,
    .list_folders = gateway_list_folders,
    .make_folder = gateway_make_folder,
    .remove_folder = gateway_remove_folder,
    .rename = gateway_rename,
};

static ist_status open_gateway(const char *root, ist_credentials *credentials, ist_store **out, ist_error *err)
{
    ist__gateway *self;
    ist_buffer uri = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *self, (void **)&self, err));
    self->base.ops = &gateway_ops;
    self->credentials = ist_credentials_hold(credentials);
    pthread_mutex_init(&self->lock, NULL);
    IST_TRY_GOTO(ist__http_new("the file gateway", &self->http, err));
    IST_TRY_GOTO(ist__store_file_uri(root, &uri, err));
    self->base.uri = uri.data; /* the store's now */
    *out = &self->base;
    return IST_OK;
done:
    ist_buffer_free(&uri);
    gateway_free(&self->base);
    return status;
}

ist_status ist__store_open_gateway(const char *root, bool create, ist_credentials *credentials, ist_store **out,
                                   ist_error *err)
{
    ist__gateway_place place;
    IST_TRY(place_read(credentials, &place, err));
    bool gateway = place.token && (place.socket || place.endpoint);
    place_free(&place);
    /* Credentials without a token: the catalog leaves it to the file system who may open the files. */
    return gateway ? open_gateway(root, credentials, out, err) : ist__store_open_file(root, create, out, err);
}
