/*
 * statement_client.c: a statement from its submission to its result, by a server's Statement Execution API.
 *
 * Waiting is the server's: a submission is answered when the statement has ended or after five seconds, the least that
 * the API knows, so that a cancellation is never heard later than that. `isthmus serve` lets a poll wait in the same
 * way; to a server that answers polls at once they come after pauses that grow.
 */
#include "isthmus/warehouse.h"

#include "catalog/catalog_internal.h"
#include "catalog/catalog_json.h"
#include "warehouse/result_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATEMENTS "/api/2.0/sql/statements"

enum {
    WAIT_S = 5,
    PAUSE_FIRST_MS = 20,
    PAUSE_MAX_MS = 500,
    CANCEL_TIMEOUT_MS = 5000, /* of the request that ends a statement nobody waits for */
    THREADS_DEFAULT = 4,
    MEMORY_DEFAULT = 256 << 20,
};

struct ist_statement {
    ist_catalog *catalog; /* borrowed */
    int64_t deadline_us; /* 0 for none */
    int64_t memory_bytes;
    int threads;
    int64_t pause_ms; /* before the next poll */
    pthread_mutex_t mutex; /* guards `reply` until it has ended, and stopped */
    bool stopped;          /* cancelled here */
    ist__statement_reply reply;
};

/* Requests --------------------------------------------------------------------------------------------------------- */

static bool is_local(const char *uri)
{
    const char *host = strstr(uri, "://");
    host = host ? host + 3 : uri;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static void add_parameters(yyjson_mut_doc *doc, yyjson_mut_val *body, const ist_statement_options *options)
{
    yyjson_mut_val *list = options->parameter_count ? yyjson_mut_obj_add_arr(doc, body, "parameters") : NULL;
    for (size_t i = 0; i < options->parameter_count; i++) {
        const ist_statement_parameter *from = &options->parameters[i];
        yyjson_mut_val *to = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_str(doc, to, "name", from->name);
        if (from->value)
            yyjson_mut_obj_add_str(doc, to, "value", from->value);
        if (from->type)
            yyjson_mut_obj_add_str(doc, to, "type", from->type);
    }
}

static const char *warehouse_of(const ist_statement_options *options)
{
    const char *named = options->warehouse_id ? options->warehouse_id : getenv("DATABRICKS_WAREHOUSE_ID");
    return named && *named ? named : "embedded";
}

static bool wants_lz4(const ist_catalog *catalog, const ist_statement_options *options)
{
    return options->compression == IST_STATEMENT_COMPRESSION_LZ4 ||
           (options->compression == IST_STATEMENT_COMPRESSION_AUTO && !is_local(catalog->uri));
}

static ist_status write_request(const ist_catalog *catalog, const char *text, const ist_statement_options *options,
                                ist_buffer *out, ist_error *err)
{
    char wait[16];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *body = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, body);
    snprintf(wait, sizeof wait, "%ds", WAIT_S);
    yyjson_mut_obj_add_str(doc, body, "statement", text);
    yyjson_mut_obj_add_str(doc, body, "warehouse_id", warehouse_of(options));
    yyjson_mut_obj_add_str(doc, body, "wait_timeout", wait);
    yyjson_mut_obj_add_str(doc, body, "on_wait_timeout", "CONTINUE");
    yyjson_mut_obj_add_str(doc, body, "disposition", "EXTERNAL_LINKS");
    yyjson_mut_obj_add_str(doc, body, "format", "ARROW_STREAM");
    if (wants_lz4(catalog, options))
        yyjson_mut_obj_add_str(doc, body, "result_compression", "LZ4_FRAME");
    if (options->catalog)
        yyjson_mut_obj_add_str(doc, body, "catalog", options->catalog);
    if (options->schema)
        yyjson_mut_obj_add_str(doc, body, "schema", options->schema);
    if (options->row_limit)
        yyjson_mut_obj_add_int(doc, body, "row_limit", options->row_limit);
    if (options->byte_limit)
        yyjson_mut_obj_add_int(doc, body, "byte_limit", options->byte_limit);
    add_parameters(doc, body, options);
    return ist__json_finish(doc, out, err);
}

/* The server's own words, and which statement, for errors without a message of theirs. */
static ist_status ask(const ist_statement *statement, const char *method, const char *path, const char *body,
                      ist__statement_reply *out, ist_error *err)
{
    ist_buffer reply = IST_BUFFER_INIT;
    ist_status status =
        ist__catalog_request(statement->catalog, method, path, body, statement->deadline_us, &reply, err);
    if (status == IST_OK)
        status = ist__statement_reply_read(reply.data ? reply.data : "", reply.size, out, err);
    ist__buffer_wipe(&reply);
    return status;
}

/* Making one ------------------------------------------------------------------------------------------------------- */

static ist_status new_statement(ist_catalog *catalog, const ist_statement_options *options, ist_statement **out,
                                ist_error *err)
{
    ist_statement *self = NULL;
    IST_TRY(ist__alloc(1, sizeof *self, (void **)&self, err));
    pthread_mutex_init(&self->mutex, NULL);
    self->catalog = catalog;
    self->deadline_us = options->timeout_ms ? ist__monotonic_us() + options->timeout_ms * 1000 : 0;
    self->memory_bytes = options->memory_bytes ? options->memory_bytes : MEMORY_DEFAULT;
    self->pause_ms = PAUSE_FIRST_MS;
    self->threads = options->threads > 0 ? options->threads : THREADS_DEFAULT;
    *out = self;
    return IST_OK;
}

static void free_statement(ist_statement *statement)
{
    ist__statement_reply_free(&statement->reply);
    pthread_mutex_destroy(&statement->mutex);
    free(statement);
}

static ist_status check_options(const ist_statement_options *options, ist_error *err)
{
    if (options->row_limit < 0 || options->byte_limit < 0 || options->timeout_ms < 0 || options->memory_bytes < 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "row_limit, byte_limit, timeout_ms and memory_bytes of a statement are not negative");
    for (size_t i = 0; i < options->parameter_count; i++)
        if (!options->parameters[i].name || !*options->parameters[i].name)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "parameter %zu of the statement has no name", i + 1);
    return IST_OK;
}

ist_status ist_statement_submit(ist_catalog *catalog, const char *text, const ist_statement_options *options,
                                ist_statement **out, ist_error *err)
{
    const ist_statement_options defaults = IST_STATEMENT_OPTIONS_INIT;
    ist_statement *self = NULL;
    ist_buffer body = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (!options)
        options = &defaults;
    IST_TRY(check_options(options, err));
    IST_TRY(new_statement(catalog, options, &self, err));
    IST_TRY_GOTO(write_request(catalog, text, options, &body, err));
    IST_TRY_GOTO(ask(self, "POST", STATEMENTS, body.data, &self->reply, err));
    *out = self;
done:
    ist_buffer_free(&body);
    if (status != IST_OK)
        free_statement(self);
    return status;
}

static ist_status poll(const ist_statement *statement, const char *id, int wait_s, ist__statement_reply *out,
                       ist_error *err)
{
    char path[sizeof STATEMENTS + IST__STATEMENT_ID_MAX + 40];
    int size = snprintf(path, sizeof path, STATEMENTS "/%s", id);
    if (wait_s)
        snprintf(path + size, sizeof path - (size_t)size, "?wait_timeout=%ds", wait_s);
    return ask(statement, "GET", path, NULL, out, err);
}

ist_status ist_statement_open(ist_catalog *catalog, const char *id, const ist_statement_options *options,
                              ist_statement **out, ist_error *err)
{
    const ist_statement_options defaults = IST_STATEMENT_OPTIONS_INIT;
    ist_statement *self = NULL;
    if (!options)
        options = &defaults;
    if (strlen(id) > IST__STATEMENT_ID_MAX || strspn(id, "0123456789abcdefABCDEF-") != strlen(id) || !*id)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%.140s' is no statement's id", id);
    IST_TRY(check_options(options, err));
    IST_TRY(new_statement(catalog, options, &self, err));
    ist_status status = poll(self, id, 0, &self->reply, err);
    if (status != IST_OK)
        free_statement(self);
    else
        *out = self;
    return status;
}

void ist_statement_free(ist_statement *statement)
{
    if (!statement)
        return;
    if (statement->reply.state < IST_STATEMENT_SUCCEEDED && !statement->stopped)
        ist_statement_cancel(statement, NULL);
    free_statement(statement);
}

/* Waiting ---------------------------------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a && (!b || a < b) ? a : b;
}

static void pause_until(int64_t ms, int64_t until_us)
{
    int64_t left_us = until_us ? until_us - ist__monotonic_us() : INT64_MAX;
    int64_t us = ms * 1000 < left_us ? ms * 1000 : left_us;
    struct timespec wait = {us / 1000000, us % 1000000 * 1000};
    if (us > 0)
        nanosleep(&wait, NULL);
}

/* One poll; its answer becomes the statement's. `waited`: it took its time at the server. */
static ist_status poll_once(ist_statement *self, int64_t until_us, bool *waited, ist_error *err)
{
    ist__statement_reply reply = {0};
    int64_t begun_us = ist__monotonic_us();
    bool long_enough = !until_us || until_us - begun_us > WAIT_S * 1000000;
    ist_status status = poll(self, self->reply.id, long_enough ? WAIT_S : 0, &reply, err);
    *waited = ist__monotonic_us() - begun_us > WAIT_S * 1000000 / 2;
    pthread_mutex_lock(&self->mutex);
    if (status == IST_OK) {
        ist__statement_reply old = self->reply;
        self->reply = reply;
        reply = old;
    }
    pthread_mutex_unlock(&self->mutex);
    ist__statement_reply_free(&reply);
    return status;
}

static bool has_ended(const ist_statement *self)
{
    return self->reply.state >= IST_STATEMENT_SUCCEEDED;
}

static ist_status outcome(ist_statement *self, ist_error *err)
{
    if (self->reply.state <= IST_STATEMENT_SUCCEEDED)
        return IST_OK;
    if (err)
        *err = self->reply.problem;
    return self->reply.problem.status;
}

static bool is_late(const ist_statement *statement)
{
    return statement->deadline_us && ist__monotonic_us() >= statement->deadline_us;
}

ist_status ist_statement_wait(ist_statement *statement, int64_t wait_ms, ist_statement_state *state, ist_error *err)
{
    int64_t until_us = wait_ms < 0 ? 0 : ist__monotonic_us() + wait_ms * 1000;
    until_us = earlier(statement->deadline_us, until_us);
    while (!has_ended(statement)) {
        bool waited = false;
        if (is_late(statement)) {
            ist_statement_cancel(statement, NULL);
            return ist_error_set(err, IST_RETRYABLE, 0, NULL,
                                 "the statement %s did not end in the time it was given, and was cancelled",
                                 statement->reply.id);
        }
        if (until_us && ist__monotonic_us() >= until_us)
            break;
        ist_status status = poll_once(statement, until_us, &waited, err);
        if (is_late(statement))
            continue; /* a poll that the deadline cut short says less than the deadline does */
        if (status != IST_OK)
            return status;
        if (has_ended(statement) || waited)
            continue;
        pause_until(statement->pause_ms, until_us);
        int64_t longer_ms = statement->pause_ms * 3 / 2;
        statement->pause_ms = longer_ms < PAUSE_MAX_MS ? longer_ms : PAUSE_MAX_MS;
    }
    if (state)
        *state = statement->reply.state;
    return outcome(statement, err);
}

ist_status ist_statement_cancel(ist_statement *statement, ist_error *err)
{
    char path[sizeof STATEMENTS + IST__STATEMENT_ID_MAX + 16];
    ist_buffer reply = IST_BUFFER_INIT;
    pthread_mutex_lock(&statement->mutex);
    snprintf(path, sizeof path, STATEMENTS "/%s/cancel", statement->reply.id);
    statement->stopped = true;
    pthread_mutex_unlock(&statement->mutex);
    ist_status status = ist__catalog_request(statement->catalog, "POST", path, "{}",
                                             ist__monotonic_us() + CANCEL_TIMEOUT_MS * 1000, &reply, err);
    ist_buffer_free(&reply);
    return status;
}

const char *ist_statement_id(const ist_statement *statement)
{
    return statement->reply.id;
}

/* Results ---------------------------------------------------------------------------------------------------------- */

static ist_status need_result(const ist_statement *statement, ist_error *err)
{
    if (statement->reply.state == IST_STATEMENT_SUCCEEDED)
        return IST_OK;
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the statement %s has no result: wait until it has succeeded",
                         statement->reply.id);
}

int64_t ist_statement_row_count(const ist_statement *statement)
{
    return statement->reply.rows;
}

bool ist_statement_is_truncated(const ist_statement *statement)
{
    return statement->reply.truncated;
}

ist_status ist_statement_manifest(const ist_statement *statement, ist_buffer *out, ist_error *err)
{
    IST_TRY(need_result(statement, err));
    return ist_buffer_append_string(out, statement->reply.manifest, err);
}

ist_status ist_statement_schema(const ist_statement *statement, struct ArrowSchema *out, ist_error *err)
{
    IST_TRY(need_result(statement, err));
    return ist__manifest_schema(statement->reply.manifest, out, err);
}

static ist__chunk_source source_of(const ist_statement *statement)
{
    return (ist__chunk_source){.catalog = statement->catalog,
                               .statement_id = statement->reply.id,
                               .chunk_count = statement->reply.chunk_count,
                               .lz4 = statement->reply.lz4,
                               .deadline_us = statement->deadline_us};
}

ist_status ist_statement_read(ist_statement *statement, struct ArrowArrayStream *out, ist_error *err)
{
    IST_TRY(need_result(statement, err));
    const ist__result_plan plan = {.source = source_of(statement),
                                   .chunks = statement->reply.chunks,
                                   .manifest = statement->reply.manifest,
                                   .links = &statement->reply.links,
                                   .memory_bytes = statement->memory_bytes,
                                   .threads = statement->threads};
    return ist__result_read(&plan, out, err);
}

/* Tasks ------------------------------------------------------------------------------------------------------------ */

size_t ist_statement_chunk_count(const ist_statement *statement)
{
    return statement->reply.chunk_count;
}

int64_t ist_statement_chunk_rows(const ist_statement *statement, size_t chunk)
{
    return statement->reply.chunks[chunk].rows;
}

int64_t ist_statement_chunk_bytes(const ist_statement *statement, size_t chunk)
{
    return statement->reply.chunks[chunk].bytes;
}

ist_status ist_statement_chunk_task(const ist_statement *statement, size_t chunk, ist_buffer *out, ist_error *err)
{
    const ist__statement_reply *reply = &statement->reply;
    if (chunk >= reply->chunk_count)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the statement %s has no chunk %zu", reply->id, chunk);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "statement_id", reply->id);
    yyjson_mut_obj_add_uint(doc, root, "chunk", chunk);
    yyjson_mut_obj_add_uint(doc, root, "chunk_count", reply->chunk_count);
    yyjson_mut_obj_add_int(doc, root, "rows", reply->chunks[chunk].rows);
    yyjson_mut_obj_add_int(doc, root, "bytes", reply->chunks[chunk].bytes);
    yyjson_mut_obj_add_bool(doc, root, "lz4", reply->lz4);
    ist_status status = ist__catalog_tell(statement->catalog, doc, root, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status read_task(yyjson_val *task, ist__chunk_source *out, ist_error *err)
{
    IST_TRY(ist__json_text(task, "statement_id", true, &out->statement_id, err));
    yyjson_val *rows = yyjson_obj_get(task, "rows"), *bytes = yyjson_obj_get(task, "bytes");
    out->chunk = yyjson_get_uint(yyjson_obj_get(task, "chunk"));
    out->chunk_count = yyjson_get_uint(yyjson_obj_get(task, "chunk_count"));
    out->size = (ist__chunk_size){yyjson_get_sint(rows), yyjson_get_sint(bytes)};
    out->lz4 = yyjson_is_true(yyjson_obj_get(task, "lz4"));
    if (!yyjson_is_int(rows) || !yyjson_is_int(bytes) || out->size.rows < 0 || out->size.bytes < 0 ||
        out->chunk >= out->chunk_count || out->chunk_count > IST__CHUNKS_MAX ||
        strlen(out->statement_id) > IST__STATEMENT_ID_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "this is no task of ist_statement_chunk_task");
    return IST_OK;
}

ist_status ist_statement_task_read(ist_catalog *catalog, const char *task, struct ArrowArrayStream *out, ist_error *err)
{
    yyjson_doc *doc = NULL;
    ist_catalog *told = NULL;
    ist__chunk_source source = {0};
    ist__fetched_chunk chunk;
    ist_status status = IST_OK;
    IST_TRY(ist__json_read_object(task, &doc, err));
    IST_TRY_GOTO(read_task(yyjson_doc_get_root(doc), &source, err));
    if (!catalog)
        IST_TRY_GOTO(ist__catalog_open_told(yyjson_doc_get_root(doc), &told, err));
    source.catalog = catalog ? catalog : told;
    IST_TRY_GOTO(ist__chunk_fetch(&source, NULL, &chunk, err));
    status = ist__fetched_chunk_stream(&chunk, out, err);
done:
    ist_catalog_free(told);
    yyjson_doc_free(doc);
    return status;
}
