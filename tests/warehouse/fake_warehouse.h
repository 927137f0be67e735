/*
 * fake_warehouse.h: a Statement Execution API in the test's process, with faults as they are told.
 *
 * A result has `chunks` chunks of ROWS_IN_CHUNK numbers each, counting through from 0.
 */
#ifndef ISTHMUS_TESTS_FAKE_WAREHOUSE_H
#define ISTHMUS_TESTS_FAKE_WAREHOUSE_H

#include "scripted_peer.h"

#include "isthmus/isthmus.h"
#include "shim/ipc.h"
#include "util/util.h"

#include <nanoarrow/nanoarrow.h>

enum { ROWS_IN_CHUNK = 1000, FAKE_CHUNKS_MAX = 8 };
#define FAKE_ID "01f0-aaaa"

typedef struct fake_warehouse {
    scripted_peer peer; /* first: handlers get it */
    int chunks;
    ist_buffer bytes[FAKE_CHUNKS_MAX];
    const char *submitted; /* instead of the answer to POST; NULL for SUCCEEDED or, with polls, PENDING */
    /* Faults, each counted down to 0. */
    int polls;          /* answers that say RUNNING */
    int dead_links;     /* downloads that answer 403 */
    int cut_bodies;     /* downloads that are whole by their Content-Length and not by their rows */
    int busy;           /* requests that answer 503 with Retry-After */
    size_t drop_after;  /* bytes after which every download's connection breaks */
    int told_rows;      /* of the last chunk in the manifest, where it is not the truth */
    bool expired_links; /* the first answer's links have expired */
    bool lz4;
    const char *socket; /* that passes files, as links tell it; NULL for none */
    uid_t uid;          /* and whose it is said to be */
    /* What happened. */
    int downloads, link_requests, cancels, token_at_link;
    char body[PEER_REQUEST_MAX]; /* of the submission */
} fake_warehouse;

/* Numbers [from, from + ROWS_IN_CHUNK) as an Arrow IPC stream. */
static inline void fake_chunk(int64_t from, ist_buffer *out)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct ArrowArrayStream stream;
    ist_error err = IST_ERROR_INIT;
    int64_t rows;
    ArrowSchemaInit(&schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(&schema, 1), 0);
    assert_int_equal(ArrowSchemaSetType(schema.children[0], NANOARROW_TYPE_INT64), 0);
    assert_int_equal(ArrowSchemaSetName(schema.children[0], "n"), 0);
    assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), 0);
    assert_int_equal(ArrowArrayStartAppending(&array), 0);
    for (int64_t i = 0; i < ROWS_IN_CHUNK; i++) {
        assert_int_equal(ArrowArrayAppendInt(array.children[0], from + i), 0);
        assert_int_equal(ArrowArrayFinishElement(&array), 0);
    }
    assert_int_equal(ArrowArrayFinishBuildingDefault(&array, NULL), 0);
    assert_int_equal(ArrowBasicArrayStreamInit(&stream, &schema, 1), 0);
    ArrowBasicArrayStreamSetArray(&stream, 0, &array);
    const ist__sink sink = {out, (ist_status(*)(void *, const void *, size_t, ist_error *))ist_buffer_append};
    assert_ok(ist__ipc_write(&stream, sink, &rows, &err), err);
}

/* The bytes in an LZ4 frame of one block that is stored as it is. */
static inline void fake_lz4(ist_buffer *bytes)
{
    static const char head[] = "\x04\x22\x4D\x18\x60\x70\x73", end[4] = "";
    uint32_t size = (uint32_t)bytes->size | UINT32_C(0x80000000);
    ist_buffer out = IST_BUFFER_INIT;
    ist_buffer_append(&out, head, 7, NULL);
    ist_buffer_append(&out, &size, 4, NULL);
    ist_buffer_append(&out, bytes->data, bytes->size, NULL);
    ist_buffer_append(&out, end, 4, NULL);
    ist_buffer_free(bytes);
    *bytes = out;
}

static inline bool fake_send(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static inline bool fake_answer(int fd, const char *status, const char *body)
{
    char *reply = peer_reply(status, body);
    bool good = fake_send(fd, reply, strlen(reply));
    free(reply);
    return good;
}

static inline void fake_link(const fake_warehouse *self, int chunk, bool expired, ist_buffer *out)
{
    ist_buffer_printf(out, NULL,
                      "{\"external_links\":[{\"chunk_index\":%d,\"row_offset\":%d,\"row_count\":%d,\"byte_count\":%zu,"
                      "\"http_headers\":{\"X-Key\":\"k1\"},\"expiration\":\"%s\","
                      "\"external_link\":\"http://127.0.0.1:%u/chunk/%d?signature=s3cret\"",
                      chunk, chunk * ROWS_IN_CHUNK, ROWS_IN_CHUNK, self->bytes[chunk].size,
                      expired ? "2020-01-01T00:00:00.000Z" : "2099-01-01T00:00:00.000Z", self->peer.port, chunk);
    if (self->socket)
        ist_buffer_printf(out, NULL, ",\"isthmus_file\":{\"socket\":\"%s\",\"uid\":%u}", self->socket,
                          (unsigned)self->uid);
    ist_buffer_append_string(out, "}]}", NULL);
}

static inline void fake_succeeded(const fake_warehouse *self, ist_buffer *out)
{
    int told = self->told_rows ? self->told_rows : ROWS_IN_CHUNK;
    ist_buffer_printf(out, NULL,
                      "{\"statement_id\":\"" FAKE_ID "\",\"status\":{\"state\":\"SUCCEEDED\"},\"manifest\":{\"format\":"
                      "\"ARROW_STREAM\",\"schema\":{\"column_count\":1,\"columns\":[{\"name\":\"n\",\"position\":0,"
                      "\"type_name\":\"LONG\",\"type_text\":\"BIGINT\"}]},\"truncated\":false%s,\"chunks\":[",
                      self->lz4 ? ",\"result_compression\":\"LZ4_FRAME\"" : "");
    for (int i = 0; i < self->chunks; i++)
        ist_buffer_printf(out, NULL, "%s{\"chunk_index\":%d,\"row_offset\":%d,\"row_count\":%d,\"byte_count\":%zu}",
                          i ? "," : "", i, i * ROWS_IN_CHUNK, i + 1 == self->chunks ? told : ROWS_IN_CHUNK,
                          self->bytes[i].size);
    ist_buffer_printf(out, NULL, "],\"total_chunk_count\":%d,\"total_row_count\":%d}", self->chunks,
                      self->chunks ? (self->chunks - 1) * ROWS_IN_CHUNK + told : 0);
    if (self->chunks) {
        ist_buffer_append_string(out, ",\"result\":", NULL);
        fake_link(self, 0, self->expired_links, out);
    }
    ist_buffer_append_string(out, "}", NULL);
}

/* With the peer's mutex held: threads download at once. */
static inline bool count_down(int *fault)
{
    return *fault > 0 ? (--*fault, true) : false;
}

static inline bool fake_download(fake_warehouse *self, const char *request, int fd)
{
    int chunk = atoi(strstr(request, "/chunk/") + 7);
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range ? strtoul(range + 13, NULL, 10) : 0;
    pthread_mutex_lock(&self->peer.mutex);
    self->downloads++;
    self->token_at_link += strstr(request, "Authorization:") != NULL || !strstr(request, "X-Key: k1");
    bool dead = count_down(&self->dead_links), cut = !dead && count_down(&self->cut_bodies);
    pthread_mutex_unlock(&self->peer.mutex);
    if (dead)
        return fake_answer(fd, "403 Forbidden", "expired");
    size_t size = self->bytes[chunk].size / (cut ? 2 : 1) - from;
    char head[200];
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", from ? "206 Partial Content" : "200 OK",
             size);
    size_t sent = self->drop_after && self->drop_after < size ? self->drop_after : size;
    return fake_send(fd, head, strlen(head)) && fake_send(fd, self->bytes[chunk].data + from, sent) && sent == size;
}

static inline bool fake_serve(scripted_peer *peer, const char *request, int fd)
{
    fake_warehouse *self = (fake_warehouse *)peer;
    ist_buffer body = IST_BUFFER_INIT;
    const char *chunk = strstr(request, "/result/chunks/");
    if (strncmp(request, "GET /chunk/", 11) == 0)
        return fake_download(self, request, fd);
    pthread_mutex_lock(&peer->mutex);
    bool busy = count_down(&self->busy);
    bool running = !busy && !chunk && !strstr(request, "/cancel") && count_down(&self->polls);
    self->link_requests += chunk && !busy;
    self->cancels += strstr(request, "/cancel ") != NULL;
    if (strncmp(request, "POST /api/2.0/sql/statements ", 29) == 0 && !busy)
        snprintf(self->body, sizeof self->body, "%s", strstr(request, "\r\n\r\n") + 4);
    pthread_mutex_unlock(&peer->mutex);
    if (busy) {
        static const char later[] = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
        return fake_send(fd, later, sizeof later - 1);
    }
    if (strstr(request, "/cancel "))
        ist_buffer_append_string(&body, "{}", NULL);
    else if (chunk && strncmp(request, "GET ", 4) == 0)
        fake_link(self, atoi(chunk + 15), false, &body);
    else if (running)
        ist_buffer_append_string(&body, "{\"statement_id\":\"" FAKE_ID "\",\"status\":{\"state\":\"RUNNING\"}}", NULL);
    else if (self->submitted)
        ist_buffer_append_string(&body, self->submitted, NULL);
    else
        fake_succeeded(self, &body);
    bool good = fake_answer(fd, "200 OK", body.data);
    ist_buffer_free(&body);
    return good;
}

/* Start with faults set in *self. */
static inline void fake_start(fake_warehouse *self, int chunks)
{
    fake_warehouse faults = *self;
    peer_start(&self->peer, NULL, 0, NULL);
    self->peer.serve = fake_serve;
    self->chunks = chunks;
    for (int i = 0; i < chunks; i++) {
        fake_chunk((int64_t)i * ROWS_IN_CHUNK, &self->bytes[i]);
        if (faults.lz4)
            fake_lz4(&self->bytes[i]);
    }
}

static inline void fake_stop(fake_warehouse *self)
{
    peer_stop(&self->peer);
    for (int i = 0; i < self->chunks; i++)
        ist_buffer_free(&self->bytes[i]);
}

static inline ist_catalog *fake_open(const fake_warehouse *self)
{
    char uri[64];
    ist_catalog *catalog = NULL;
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    snprintf(uri, sizeof uri, "http://127.0.0.1:%u", self->peer.port);
    options.uri = uri;
    options.token = "s3cret";
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    return catalog;
}

#endif
