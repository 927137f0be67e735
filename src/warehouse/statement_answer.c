/*
 * statement_answer.c: statements as Databricks' API tells them.
 *
 * A result in the answer itself (INLINE) is the worker's JSON, put in as it is; it is not parsed. What an answer tells
 * is taken under the mutex, and the result held; the rest happens without it.
 */
#include "warehouse/warehouse_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What an answer is made of. */
typedef struct snapshot {
    ist__statement_state state;
    ist__result *result; /* held */
    bool closed;         /* it succeeded, and its result is gone */
    const char *origin;
} snapshot;

static const char *const state_names[] = {
    [IST__PENDING] = "PENDING",     [IST__RUNNING] = "RUNNING",   [IST__SUCCEEDED] = "SUCCEEDED",
    [IST__FAILED] = "FAILED",       [IST__CANCELED] = "CANCELED",
};

static const char closed_message[] = "the result is no longer kept: submit the statement again";

static void take_snapshot(ist__statement *s, const char *origin, snapshot *out)
{
    pthread_mutex_lock(&s->all->mutex);
    bool over = ist__statement_is_over(s);
    *out = (snapshot){.state = over || s->state <= IST__RUNNING ? s->state : IST__RUNNING,
                      .result = over && s->state == IST__SUCCEEDED ? ist__result_hold(s->result) : NULL,
                      .closed = s->state == IST__SUCCEEDED && !s->list,
                      .origin = origin};
    pthread_mutex_unlock(&s->all->mutex);
}

/* Its result was seen to its end: of all that are kept, such go first. */
static void note_fetched(ist__statement *s)
{
    pthread_mutex_lock(&s->all->mutex);
    if (s->list == &s->all->kept) {
        ist__statement_remove(s);
        ist__statement_append(&s->all->fetched, s);
    }
    pthread_mutex_unlock(&s->all->mutex);
}

/* Append a JSON text in quotes. */
static ist_status append_quoted(ist_buffer *out, const char *text, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_str(doc, text));
    return ist__json_finish(doc, out, err);
}

/* Status ----------------------------------------------------------------------------------------------------------- */

static ist_status append_error(ist_buffer *out, const char *code, const char *message, const char *sql_state,
                               ist_error *err)
{
    IST_TRY(ist_buffer_append_string(out, ",\"error\":{\"error_code\":", err));
    IST_TRY(append_quoted(out, code, err));
    IST_TRY(ist_buffer_append_string(out, ",\"message\":", err));
    IST_TRY(append_quoted(out, message, err));
    IST_TRY(ist_buffer_append_string(out, "}", err));
    if (!*sql_state)
        return IST_OK;
    IST_TRY(ist_buffer_append_string(out, ",\"sql_state\":", err));
    return append_quoted(out, sql_state, err);
}

static ist_status append_status(ist_buffer *out, const ist__statement *s, const snapshot *now, ist_error *err)
{
    IST_TRY(ist_buffer_printf(out, err, "{\"statement_id\":\"%s\",\"status\":{\"state\":\"%s\"", s->id,
                              now->closed ? "CLOSED" : state_names[now->state]));
    if (now->state == IST__FAILED)
        IST_TRY(append_error(out, s->error_code, s->message ? s->message : "no memory for the message", s->sql_state,
                             err));
    if (now->closed)
        IST_TRY(append_error(out, "NOT_FOUND", closed_message, "", err));
    return ist_buffer_append_string(out, "}", err);
}

/* Manifest --------------------------------------------------------------------------------------------------------- */

static ist_status append_chunks(ist_buffer *out, const ist__statement *s, const ist__result *result, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(out, ",\"chunks\":[", err));
    for (int i = 0; result && i < result->count; i++) {
        const ist__chunk *chunk = &result->chunks[i];
        IST_TRY(ist_buffer_printf(out, err, "%s{\"chunk_index\":%d,\"row_offset\":%" PRId64 ",\"row_count\":%" PRId64,
                                  i ? "," : "", i, chunk->row_offset, chunk->rows));
        if (!s->request.is_inline)
            IST_TRY(ist_buffer_printf(out, err, ",\"byte_count\":%" PRId64, chunk->bytes));
        IST_TRY(ist_buffer_append_string(out, "}", err));
    }
    return ist_buffer_append_string(out, "]", err);
}

static ist_status append_manifest(ist_buffer *out, const ist__statement *s, const ist__result *result, ist_error *err)
{
    IST_TRY(ist_buffer_printf(out, err,
                              ",\"manifest\":{\"format\":\"%s\",\"schema\":{\"column_count\":%zu,\"columns\":%s}",
                              ist__format_name(s->request.format), s->column_count, s->columns ? s->columns : "[]"));
    IST_TRY(ist_buffer_printf(out, err, ",\"total_chunk_count\":%d,\"total_row_count\":%" PRId64,
                              result ? result->count : 0, result ? result->rows : 0));
    if (!s->request.is_inline)
        IST_TRY(ist_buffer_printf(out, err, ",\"total_byte_count\":%" PRId64, result ? result->bytes : 0));
    if (s->request.compression)
        IST_TRY(ist_buffer_printf(out, err, ",\"result_compression\":\"%s\"", s->request.compression));
    if (s->inputs)
        IST_TRY(ist_buffer_printf(out, err, ",\"isthmus_inputs\":%s", s->inputs));
    IST_TRY(append_chunks(out, s, result, err));
    return ist_buffer_printf(out, err, ",\"truncated\":%s}", s->truncated ? "true" : "false");
}

/* Chunks ----------------------------------------------------------------------------------------------------------- */

static ist_status append_place(ist_buffer *out, const ist__statement *s, const ist__result *result, int chunk,
                               ist_error *err)
{
    const ist__chunk *c = &result->chunks[chunk];
    IST_TRY(ist_buffer_printf(out, err, "\"chunk_index\":%d,\"row_offset\":%" PRId64 ",\"row_count\":%" PRId64, chunk,
                              c->row_offset, c->rows));
    if (chunk + 1 == result->count)
        return IST_OK;
    return ist_buffer_printf(out, err,
                             ",\"next_chunk_index\":%d,\"next_chunk_internal_link\":\"" IST__SQL_PATH
                             "/statements/%s/result/chunks/%d\"",
                             chunk + 1, s->id, chunk + 1);
}

/* Where the chunk's file is passed, for who reached this server at its own address: others may be elsewhere. */
static ist_status append_file(ist_buffer *out, const ist__statement *s, const snapshot *now, int chunk, ist_error *err)
{
    const char *socket = s->all->host.socket;
    if (!socket || now->result->chunks[chunk].fd < 0 || strcmp(now->origin, s->all->url) != 0)
        return IST_OK;
    return ist_buffer_printf(out, err, ",\"isthmus_file\":{\"socket\":\"%s\",\"uid\":%u}", socket,
                             (unsigned)geteuid());
}

static ist_status append_link(ist_buffer *out, const ist__statement *s, const snapshot *now, int chunk, ist_error *err)
{
    char expiration[32];
    int64_t closes = s->ended_ms + (int64_t)s->all->options.result_life_s * 1000;
    int64_t expires = ist__now_ms() + IST__LINK_LIFE_MS;
    expires = expires < closes ? expires : closes;
    ist__format_time(expires, expiration);
    IST_TRY(ist_buffer_append_string(out, "{\"external_links\":[{", err));
    IST_TRY(append_place(out, s, now->result, chunk, err));
    IST_TRY(ist_buffer_printf(out, err, ",\"byte_count\":%" PRId64 ",\"expiration\":\"%s\",\"external_link\":\"",
                              now->result->chunks[chunk].bytes, expiration));
    IST_TRY(ist__link_write(&s->all->signer, now->origin, s->id, chunk, expires, out, err));
    IST_TRY(ist_buffer_append_string(out, "\"", err));
    IST_TRY(append_file(out, s, now, chunk, err));
    return ist_buffer_append_string(out, "}]}", err);
}

static ist_status append_rows(ist_buffer *out, ist__statement *s, const ist__result *result, int chunk, ist_error *err)
{
    const ist__chunk *c = &result->chunks[chunk];
    IST_TRY(ist_buffer_append_string(out, "{", err));
    IST_TRY(append_place(out, s, result, chunk, err));
    IST_TRY(ist_buffer_append_string(out, ",\"data_array\":", err));
    IST_TRY(ist_buffer_reserve(out, (size_t)c->bytes + 1, err));
    IST_TRY(ist__chunk_read(c, out->data + out->size, err));
    out->size += (size_t)c->bytes;
    out->data[out->size] = '\0';
    if (chunk + 1 == result->count)
        note_fetched(s);
    return ist_buffer_append_string(out, "}", err);
}

static ist_status append_result(ist_buffer *out, ist__statement *s, const snapshot *now, int chunk, ist_error *err)
{
    if (!now->result || now->result->count == 0)
        return ist_buffer_append_string(out, s->request.is_inline ? "{\"data_array\":[]}" : "{}", err);
    return s->request.is_inline ? append_rows(out, s, now->result, chunk, err) : append_link(out, s, now, chunk, err);
}

/* Answers ---------------------------------------------------------------------------------------------------------- */

static ist_status append_success(ist_buffer *out, ist__statement *s, const snapshot *now, ist_error *err)
{
    IST_TRY(append_manifest(out, s, now->result, err));
    IST_TRY(ist_buffer_append_string(out, ",\"result\":", err));
    return append_result(out, s, now, 0, err);
}

ist_status ist__statement_answer(ist__statement *s, const char *origin, ist_buffer *out, ist_error *err)
{
    snapshot now;
    take_snapshot(s, origin, &now);
    ist_status status = append_status(out, s, &now, err);
    if (status == IST_OK && now.state == IST__SUCCEEDED && !now.closed)
        status = append_success(out, s, &now, err);
    if (status == IST_OK)
        status = ist_buffer_append_string(out, "}", err);
    ist__result_release(now.result);
    return status;
}

static ist_status answer_chunk(ist__statement *s, int64_t chunk, const snapshot *now, ist_buffer *out, ist_error *err)
{
    if (now->state != IST__SUCCEEDED)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE,
                             "the statement %s has no result to fetch: its state is %s", s->id,
                             state_names[now->state]);
    if (now->closed)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "%s", closed_message);
    if (chunk < 0 || chunk >= (now->result ? now->result->count : 0))
        return ist__uc_error(err, IST__UC_NOT_FOUND,
                             "the result of the statement %s has no chunk %" PRId64 ": it has %d", s->id, chunk,
                             now->result ? now->result->count : 0);
    return append_result(out, s, now, (int)chunk, err);
}

ist_status ist__statement_answer_chunk(ist__statement *s, int64_t chunk, const char *origin, ist_buffer *out,
                                       ist_error *err)
{
    snapshot now;
    take_snapshot(s, origin, &now);
    ist_status status = answer_chunk(s, chunk, &now, out, err);
    ist__result_release(now.result);
    return status;
}

/* Links ------------------------------------------------------------------------------------------------------------ */

/* Opened anew, to read: the worker's descriptor can write. */
static ist_status open_chunk(const ist__chunk *chunk, ist__held_chunk *out, ist_error *err)
{
    char path[32];
    out->size = chunk->bytes;
    if (chunk->fd >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", chunk->fd);
        out->fd = open(path, O_RDONLY | O_CLOEXEC);
        return out->fd >= 0 ? IST_OK : ist_error_set(err, IST_RETRYABLE, 0, NULL, "too many files are open: try again");
    }
    return ist_buffer_append(&out->bytes, chunk->data, (size_t)chunk->bytes, err);
}

ist_status ist__result_open(ist__warehouses *all, const char *statement_id, const char *chunk, const char *expires,
                            const char *signature, ist__held_chunk *out, ist_error *err)
{
    int index;
    *out = (ist__held_chunk){.fd = -1};
    IST_TRY(ist__link_check(&all->signer, statement_id, chunk, expires, signature, ist__now_ms(), &index, err));
    pthread_mutex_lock(&all->mutex);
    ist__statement *s = ist__statement_by_id(all, statement_id);
    if (s)
        ist__statement_hold(s);
    ist__result *result = s ? ist__result_hold(s->result) : NULL;
    pthread_mutex_unlock(&all->mutex);
    if (!result || index >= result->count) {
        ist__statement_release(s);
        return ist__uc_error(err, IST__UC_NOT_FOUND, "%s", closed_message);
    }
    out->content_type = ist__format_content_type(s->request.format);
    ist_status status = open_chunk(&result->chunks[index], out, err);
    if (status == IST_OK && index + 1 == result->count)
        note_fetched(s);
    ist__result_release(result);
    ist__statement_release(s);
    return status;
}
