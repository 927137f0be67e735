/*
 * chunk_fetch.c: one chunk of a result, from its link to batches.
 *
 * A download that breaks goes on where it broke (ist__http_send with `resume`). What then is not the chunk that the
 * manifest told, by its rows, is fetched as a whole once more, by a new link, before it is an error: only so are fewer
 * rows never taken for all of them. No bearer token goes to a link: it is signed, and may be at another host.
 *
 * A server on this machine passes the chunk's file for its link, and the file is mapped: nothing is copied. Where that
 * does not work, for whatever reason, the link is fetched over HTTP, which tells the reason if there is one to tell.
 */
#include "warehouse/chunk_fetch.h"

#include "catalog/catalog_internal.h"
#include "shim/ipc.h"
#include "shim/lz4.h"
#include "shim/stream.h"
#include "store/gateway_internal.h"
#include "store/http_client.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ATTEMPTS_MAX = 3,       /* downloads of one chunk */
    LINK_MARGIN_MS = 10000, /* a link that ends within this is not used: clocks differ */
};

/* Links ------------------------------------------------------------------------------------------------------------ */

static ist_status ask_link(const ist__chunk_source *source, ist__chunk_link *out, ist_error *err)
{
    char path[IST__STATEMENT_ID_MAX + 100];
    ist_buffer reply = IST_BUFFER_INIT;
    ist__chunk_links links = {0};
    ist_status status = IST_OK;
    snprintf(path, sizeof path, "/api/2.0/sql/statements/%s/result/chunks/%zu", source->statement_id, source->chunk);
    IST_TRY_GOTO(ist__catalog_request(source->catalog, "GET", path, NULL, source->deadline_us, &reply, err));
    IST_TRY_GOTO(ist__chunk_links_read(reply.data, reply.size, source->chunk_count, &links, err));
    for (size_t i = 0; i < links.count; i++)
        if (links.items[i].chunk == source->chunk && !out->url) {
            *out = links.items[i];
            links.items[i] = (ist__chunk_link){0};
        }
    if (!out->url)
        status = ist_error_set(err, IST_NOT_FOUND, 0, NULL, "the warehouse gives no link to it");
done:
    ist__buffer_wipe(&reply);
    ist__chunk_links_free(&links);
    return status;
}

static ist_status make_usable(const ist__chunk_source *source, ist__chunk_link *link, ist_error *err)
{
    if (link->url && link->expires_ms > ist__now_ms() + LINK_MARGIN_MS)
        return IST_OK;
    ist__chunk_link_free(link);
    return ask_link(source, link, err);
}

/* Bytes ------------------------------------------------------------------------------------------------------------ */

/* A chunk's bytes: downloaded, or its file. */
typedef struct stored {
    ist_buffer buffer; /* empty where there is a map */
    void *map;         /* NULL for none */
    size_t map_size;
} stored;

static const char *bytes_of(const stored *bytes)
{
    return bytes->map ? bytes->map : bytes->buffer.data;
}

static size_t size_of(const stored *bytes)
{
    return bytes->map ? bytes->map_size : bytes->buffer.size;
}

static void drop_bytes(stored *bytes)
{
    if (bytes->map)
        munmap(bytes->map, bytes->map_size);
    bytes->map = NULL;
    ist_buffer_free(&bytes->buffer);
}

/* The server keeps the file as it is: it has been written, and nobody else has it. */
static bool map_file(int fd, stored *out)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size <= 0 || info.st_size > IST__CHUNK_BYTES_MAX)
        return false;
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return false;
    out->map = map;
    out->map_size = (size_t)info.st_size;
    return true;
}

/* The chunk's file, from a server on this machine; false where the link is to be fetched. */
static bool take_file(const ist__chunk_link *link, stored *out)
{
    const ist__file_message request = {.op = IST__FILE_RESULT, .a = link->url};
    ist__gateway_answer answer = {.fd = -1};
    bool broken, taken = false;
    int socket = link->socket ? ist__gateway_connect_new(link->socket, link->uid) : -1;
    if (socket < 0)
        return false;
    if (ist__gateway_socket_call(socket, &request, &answer, &broken, NULL) == IST_OK)
        taken = map_file(answer.fd, out);
    if (answer.fd >= 0)
        close(answer.fd);
    ist_buffer_free(&answer.text);
    close(socket);
    return taken;
}

static ist_status add_headers(ist__http_request *request, const char *headers, ist_error *err)
{
    yyjson_doc *doc = headers ? yyjson_read(headers, strlen(headers), 0) : NULL;
    yyjson_val *key, *value;
    size_t i, max;
    ist_status status = IST_OK;
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, value)
    {
        const char *name = yyjson_get_str(key), *text = yyjson_get_str(value);
        bool good = text && *name && !strpbrk(name, "\r\n: ") && !strpbrk(text, "\r\n");
        if (status == IST_OK)
            status = good ? ist__http_header(request, err, "%s: %s", name, text)
                          : ist_error_set(err, IST_BAD_INPUT, 0, NULL, "its link has a header that is none");
    }
    yyjson_doc_free(doc);
    return status;
}

/* *again: the link is no good any more, and another one may be. */
static ist_status download(const ist__chunk_source *source, const ist__chunk_link *link, ist_buffer *out, bool *again,
                           ist_error *err)
{
    out->limit = IST__CHUNK_BYTES_MAX;
    if (source->size.bytes < IST__CHUNK_BYTES_MAX) /* not touched before it is filled */
        IST_TRY(ist_buffer_reserve(out, (size_t)source->size.bytes + 1, err));
    ist__http_reply reply = {0};
    ist__http_request request = {.method = "GET",
                                 .out = out,
                                 .resume = true,
                                 .ca_file = source->catalog->ca_file,
                                 .deadline_us = source->deadline_us,
                                 .stop = source->stop};
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist_buffer_append_string(&request.url, link->url, err));
    IST_TRY_GOTO(add_headers(&request, link->headers, err));
    IST_TRY_GOTO(ist__http_send(source->catalog->links, &request, &reply, err));
    if (reply.status / 100 != 2) {
        *again = reply.status / 100 == 4;
        status = ist_error_set(err, reply.status / 100 == 4 ? IST_NOT_FOUND : IST_RETRYABLE, reply.status, NULL,
                               "its link answers HTTP %d", reply.status);
    }
done:
    ist__http_request_free(&request);
    ist__http_reply_free(&reply);
    return status;
}

/* Batches ---------------------------------------------------------------------------------------------------------- */

void ist__fetched_chunk_free(ist__fetched_chunk *chunk)
{
    for (size_t i = 0; i < chunk->count; i++)
        if (chunk->batches[i].release)
            chunk->batches[i].release(&chunk->batches[i]);
    if (chunk->schema.release)
        chunk->schema.release(&chunk->schema);
    free(chunk->batches);
    *chunk = (ist__fetched_chunk){0};
}

static void free_bytes(void *bytes)
{
    drop_bytes(bytes);
    free(bytes);
}

static ist_status take_batch(ist__fetched_chunk *chunk, size_t *capacity, struct ArrowArray *batch, ist_error *err)
{
    if (chunk->count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 16;
        struct ArrowArray *grown = realloc(chunk->batches, more * sizeof *grown);
        if (!grown)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for %zu batches", more);
        chunk->batches = grown;
        *capacity = more;
    }
    chunk->rows += batch->length;
    chunk->batches[chunk->count++] = *batch;
    batch->release = NULL;
    return IST_OK;
}

static ist_status take_batches(struct ArrowArrayStream *stream, ist__fetched_chunk *out, ist_error *err)
{
    struct ArrowArray batch = {0};
    size_t capacity = 0;
    int code = stream->get_schema(stream, &out->schema);
    while (code == 0 && (code = stream->get_next(stream, &batch)) == 0 && batch.release) {
        ist_status status = take_batch(out, &capacity, &batch, err);
        if (status != IST_OK) {
            batch.release(&batch);
            return status;
        }
    }
    return code ? ist__stream_error(stream, code, err) : IST_OK;
}

static ist_status decompress(stored *bytes, ist_error *err)
{
    stored plain = {.buffer.limit = IST__CHUNK_BYTES_MAX};
    ist_status status = ist__lz4_decompress(bytes_of(bytes), size_of(bytes), &plain.buffer, err);
    drop_bytes(bytes);
    *bytes = plain;
    return status;
}

/* Takes the bytes. */
static ist_status decode(const ist__chunk_source *source, stored *bytes, ist__fetched_chunk *out, ist_error *err)
{
    struct ArrowArrayStream stream = {0};
    stored *kept = NULL;
    ist_status status = IST_OK;
    if (source->lz4)
        IST_TRY_GOTO(decompress(bytes, err));
    IST_TRY_GOTO(ist__alloc(1, sizeof *kept, (void **)&kept, err));
    *kept = *bytes;
    *bytes = (stored){0};
    IST_TRY_GOTO(ist__ipc_read(bytes_of(kept), size_of(kept), kept, free_bytes, &stream, err));
    status = take_batches(&stream, out, err);
    stream.release(&stream);
done:
    drop_bytes(bytes);
    return status;
}

/* The whole -------------------------------------------------------------------------------------------------------- */

/* Bytes that are not the chunk that was told. */
static ist_status not_whole(const ist__chunk_source *source, size_t bytes, int64_t rows, const char *why,
                            ist_error *err)
{
    char told[64] = "", found[64] = "";
    if (source->size.bytes)
        snprintf(told, sizeof told, " in %lld bytes", (long long)source->size.bytes);
    if (rows >= 0)
        snprintf(found, sizeof found, "%lld rows in ", (long long)rows);
    return ist_error_set(err, IST_IO, 0, NULL, "expected %lld rows%s, found %s%zu bytes%s%s",
                         (long long)source->size.rows, told, found, bytes, *why ? ": " : "", why);
}

/* One download. *again: another one may do better. */
static ist_status fetch_once(const ist__chunk_source *source, ist__chunk_link *link, ist__fetched_chunk *out,
                             bool *again, ist_error *err)
{
    stored bytes = {0};
    ist_error problem = IST_ERROR_INIT;
    ist_status status = make_usable(source, link, err);
    if (status == IST_OK && !take_file(link, &bytes))
        status = download(source, link, &bytes.buffer, again, err);
    if (status != IST_OK) {
        drop_bytes(&bytes);
        return status;
    }
    size_t size = size_of(&bytes);
    status = decode(source, &bytes, out, &problem);
    if (status == IST_OK && out->rows == source->size.rows)
        return IST_OK;
    *again = status == IST_OK || status == IST_BAD_INPUT;
    if (!*again) {
        if (err)
            *err = problem;
        return status;
    }
    return not_whole(source, size, status == IST_OK ? out->rows : -1, problem.message, err);
}

ist_status ist__chunk_fetch(const ist__chunk_source *source, ist__chunk_link *link, ist__fetched_chunk *out,
                            ist_error *err)
{
    ist__chunk_link none = {0}, *mine = link ? link : &none;
    ist_status status;
    *out = (ist__fetched_chunk){0};
    for (int attempt = 0;; attempt++) {
        bool again = false;
        ist_error_clear(err);
        status = fetch_once(source, mine, out, &again, err);
        ist__chunk_link_free(mine);
        if (status == IST_OK)
            return IST_OK;
        ist__fetched_chunk_free(out);
        if (!again || attempt + 1 == ATTEMPTS_MAX)
            break;
    }
    ist_error_context(err, "chunk %zu of %zu of statement %s", source->chunk + 1, source->chunk_count,
                      source->statement_id);
    return status;
}

/* A chunk as a stream ---------------------------------------------------------------------------------------------- */

typedef struct chunk_stream {
    ist__fetched_chunk chunk;
    size_t next;
} chunk_stream;

static int chunk_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    const chunk_stream *self = stream->private_data;
    return ArrowSchemaDeepCopy(&self->chunk.schema, out) ? ENOMEM : 0;
}

static int chunk_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    chunk_stream *self = stream->private_data;
    *out = (struct ArrowArray){0};
    if (self->next < self->chunk.count) {
        *out = self->chunk.batches[self->next];
        self->chunk.batches[self->next++].release = NULL;
    }
    return 0;
}

static const char *chunk_get_last_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static void chunk_release(struct ArrowArrayStream *stream)
{
    chunk_stream *self = stream->private_data;
    ist__fetched_chunk_free(&self->chunk);
    free(self);
    stream->release = NULL;
}

ist_status ist__fetched_chunk_stream(ist__fetched_chunk *chunk, struct ArrowArrayStream *out, ist_error *err)
{
    chunk_stream *self = NULL;
    ist_status status = ist__alloc(1, sizeof *self, (void **)&self, err);
    if (status != IST_OK) {
        ist__fetched_chunk_free(chunk);
        return status;
    }
    self->chunk = *chunk;
    *chunk = (ist__fetched_chunk){0};
    *out = (struct ArrowArrayStream){chunk_get_schema, chunk_get_next, chunk_get_last_error, chunk_release, self};
    return IST_OK;
}
