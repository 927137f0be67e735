/*
 * statement_reply.c: a statement's state, its manifest and its links, from the JSON of a server.
 *
 * Servers differ in what they leave out: Databricks tells chunks without bytes for some formats, and no "chunks" for a
 * result without rows. What is told must fit: chunks in their order, each row in one of them.
 */
#include "warehouse/statement_reply.h"

#include "store/http_store.h"
#include "util/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URL_MAX = 32768, LINKS_MAX = 4096 };

#define WRONG(...) ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the warehouse's answer " __VA_ARGS__)

/* Members ---------------------------------------------------------------------------------------------------------- */

/* A count: absent is `absent`. */
static bool read_count(yyjson_val *object, const char *key, int64_t absent, int64_t *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    *out = absent;
    if (!value || yyjson_is_null(value))
        return true;
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > INT64_MAX)
        return false;
    *out = (int64_t)yyjson_get_uint(value);
    return true;
}

static bool is_id(const char *text)
{
    size_t size = text ? strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") : 0;
    return size > 0 && size <= IST__STATEMENT_ID_MAX && !text[size] && text[0] != '.';
}

/* Links ------------------------------------------------------------------------------------------------------------ */

void ist__chunk_link_free(ist__chunk_link *link)
{
    ist__text_wipe(link->url);
    free(link->headers);
    free(link->socket);
    *link = (ist__chunk_link){0};
}

void ist__chunk_links_free(ist__chunk_links *links)
{
    for (size_t i = 0; i < links->count; i++)
        ist__chunk_link_free(&links->items[i]);
    free(links->items);
    *links = (ist__chunk_links){0};
}

static bool is_url(const char *text)
{
    size_t size = 0;
    if (!text || (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0))
        return false;
    for (; text[size]; size++)
        if ((unsigned char)text[size] <= 0x20 || (unsigned char)text[size] >= 0x7F || size >= URL_MAX)
            return false;
    return true;
}

static ist_status read_link(yyjson_val *link, size_t chunk_count, ist__chunk_link *out, ist_error *err)
{
    int64_t chunk;
    const char *url = yyjson_get_str(yyjson_obj_get(link, "external_link"));
    yyjson_val *headers = yyjson_obj_get(link, "http_headers");
    if (!read_count(link, "chunk_index", -1, &chunk) || chunk < 0 || (size_t)chunk >= chunk_count)
        return WRONG("has a link to a chunk that is none of the %zu", chunk_count);
    if (!is_url(url))
        return WRONG("has no usable link for chunk %lld", (long long)chunk);
    out->chunk = (size_t)chunk;
    const char *expiration = yyjson_get_str(yyjson_obj_get(link, "expiration"));
    int64_t expires_ms = expiration ? ist__cloud_time(expiration) : 0;
    out->expires_ms = expires_ms > 0 ? expires_ms : INT64_MAX;
    if (yyjson_is_obj(headers) && yyjson_obj_size(headers)) {
        out->headers = yyjson_val_write(headers, 0, NULL);
        if (!out->headers)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a link");
    }
    yyjson_val *file = yyjson_obj_get(link, "isthmus_file");
    const char *socket = yyjson_get_str(yyjson_obj_get(file, "socket"));
    out->uid = (uid_t)yyjson_get_uint(yyjson_obj_get(file, "uid"));
    if (socket)
        IST_TRY(ist__strdup(socket, &out->socket, err));
    return ist__strdup(url, &out->url, err);
}

static ist_status read_links(yyjson_val *result, size_t chunk_count, ist__chunk_links *out, ist_error *err)
{
    yyjson_val *links = yyjson_obj_get(result, "external_links"), *link;
    size_t i, max, size = yyjson_arr_size(links);
    if (size == 0)
        return IST_OK;
    if (size > LINKS_MAX)
        return WRONG("has %zu links at once", size);
    IST_TRY(ist__alloc(size, sizeof *out->items, (void **)&out->items, err));
    yyjson_arr_foreach(links, i, max, link)
    {
        out->count++; /* what was made of it is freed also when it is wrong */
        IST_TRY(read_link(link, chunk_count, &out->items[i], err));
    }
    return IST_OK;
}

ist_status ist__chunk_links_read(const char *text, size_t size, size_t chunk_count, ist__chunk_links *out,
                                 ist_error *err)
{
    *out = (ist__chunk_links){0};
    yyjson_doc *doc = size ? yyjson_read(text, size, 0) : NULL;
    ist_status status = yyjson_is_obj(yyjson_doc_get_root(doc))
                            ? read_links(yyjson_doc_get_root(doc), chunk_count, out, err)
                            : WRONG("about a chunk is no JSON object");
    yyjson_doc_free(doc);
    if (status != IST_OK)
        ist__chunk_links_free(out);
    return status;
}

/* Manifest --------------------------------------------------------------------------------------------------------- */

static ist_status read_form(yyjson_val *manifest, ist__statement_reply *out, ist_error *err)
{
    const char *format = yyjson_get_str(yyjson_obj_get(manifest, "format"));
    const char *compression = yyjson_get_str(yyjson_obj_get(manifest, "result_compression"));
    if (!format || strcmp(format, "ARROW_STREAM") != 0)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "the statement's result has format %.40s; only ARROW_STREAM is read here",
                             format ? format : "(none)");
    out->lz4 = compression && strcmp(compression, "LZ4_FRAME") == 0;
    if (compression && *compression && !out->lz4 && strcmp(compression, "NONE") != 0)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "the result's compression %.40s is not known", compression);
    return IST_OK;
}

static ist_status read_chunk(yyjson_val *chunk, size_t index, int64_t offset, ist__chunk_size *out, ist_error *err)
{
    int64_t number, told_offset;
    if (!read_count(chunk, "chunk_index", -1, &number) || number != (int64_t)index)
        return WRONG("does not tell the chunks in their order: %lld follows %zu", (long long)number, index);
    if (!read_count(chunk, "row_count", -1, &out->rows) || out->rows < 0 || out->rows > INT64_MAX - offset)
        return WRONG("does not tell the rows of chunk %zu", index);
    if (!read_count(chunk, "byte_count", 0, &out->bytes))
        return WRONG("does not tell the bytes of chunk %zu", index);
    if (!read_count(chunk, "row_offset", offset, &told_offset) || told_offset != offset)
        return WRONG("has chunk %zu begin at row %lld, and those before it end at %lld", index,
                     (long long)told_offset, (long long)offset);
    return IST_OK;
}

static ist_status read_chunks(yyjson_val *manifest, ist__statement_reply *out, ist_error *err)
{
    yyjson_val *chunks = yyjson_obj_get(manifest, "chunks"), *chunk;
    size_t i, max, size = yyjson_arr_size(chunks);
    int64_t total, told, offset = 0;
    if (!read_count(manifest, "total_chunk_count", (int64_t)size, &told) || told != (int64_t)size)
        return WRONG("tells %zu chunks of %lld", size, (long long)told);
    if (size > IST__CHUNKS_MAX)
        return WRONG("has %zu chunks; most is %d", size, IST__CHUNKS_MAX);
    if (size)
        IST_TRY(ist__alloc(size, sizeof *out->chunks, (void **)&out->chunks, err));
    yyjson_arr_foreach(chunks, i, max, chunk)
    {
        IST_TRY(read_chunk(chunk, i, offset, &out->chunks[i], err));
        offset += out->chunks[i].rows;
    }
    if (!read_count(manifest, "total_row_count", offset, &total) || total != offset)
        return WRONG("tells %lld rows, and its chunks %lld", (long long)total, (long long)offset);
    out->chunk_count = size;
    out->rows = offset;
    return IST_OK;
}

static ist_status read_manifest(yyjson_val *root, ist__statement_reply *out, ist_error *err)
{
    yyjson_val *manifest = yyjson_obj_get(root, "manifest"), *result = yyjson_obj_get(root, "result");
    if (!yyjson_is_obj(manifest))
        return WRONG("has no manifest");
    IST_TRY(read_form(manifest, out, err));
    IST_TRY(read_chunks(manifest, out, err));
    out->truncated = yyjson_is_true(yyjson_obj_get(manifest, "truncated"));
    out->manifest = yyjson_val_write(manifest, 0, NULL);
    if (!out->manifest)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the result's manifest");
    return read_links(result, out->chunk_count, &out->links, err);
}

/* Status ----------------------------------------------------------------------------------------------------------- */

static ist_status status_of_code(const char *code)
{
    static const struct {
        const char *code;
        ist_status status;
    } codes[] = {
        {"BAD_REQUEST", IST_BAD_INPUT},
        {"ALREADY_EXISTS", IST_ALREADY_EXISTS},
        {"RESOURCE_ALREADY_EXISTS", IST_ALREADY_EXISTS},
        {"NOT_FOUND", IST_NOT_FOUND},
        {"RESOURCE_DOES_NOT_EXIST", IST_NOT_FOUND},
        {"PERMISSION_DENIED", IST_FORBIDDEN},
        {"UNAUTHENTICATED", IST_UNAUTHENTICATED},
        {"ABORTED", IST_CONFLICT},
        {"CANCELLED", IST_CANCELLED},
        {"CANCELED", IST_CANCELLED},
        {"RESOURCE_EXHAUSTED", IST_NO_MEMORY},
        {"IO_ERROR", IST_IO},
        {"INTERNAL_ERROR", IST_IO},
        {"TEMPORARILY_UNAVAILABLE", IST_RETRYABLE},
        {"WORKSPACE_TEMPORARILY_UNAVAILABLE", IST_RETRYABLE},
        {"SERVICE_UNDER_MAINTENANCE", IST_RETRYABLE},
        {"DEADLINE_EXCEEDED", IST_RETRYABLE},
        {"UNIMPLEMENTED", IST_UNSUPPORTED},
    };
    for (size_t i = 0; code && i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].status;
    return IST_BAD_INPUT;
}

/* "... (line 2, pos 8)": the place in the user's text, as both engines and Databricks tell it. */
static void find_place(const char *message, char out[64])
{
    unsigned line, position;
    out[0] = '\0';
    for (const char *at = message; (at = strstr(at, "(line ")) != NULL; at++)
        if (sscanf(at, "(line %9u, pos %9u)", &line, &position) == 2)
            snprintf(out, 64, "line %u, pos %u", line, position);
}

/* Why there is no result: one line, whatever the server wrote. */
static void read_problem(yyjson_val *status, ist__statement_reply *out)
{
    static const char *const words[] = {[IST_STATEMENT_FAILED] = "the statement failed",
                                        [IST_STATEMENT_CANCELED] = "the statement was cancelled",
                                        [IST_STATEMENT_CLOSED] = "the result is no longer kept: submit it again"};
    yyjson_val *error = yyjson_obj_get(status, "error");
    const char *code = yyjson_get_str(yyjson_obj_get(error, "error_code"));
    const char *message = yyjson_get_str(yyjson_obj_get(error, "message"));
    ist_status kind = out->state == IST_STATEMENT_CANCELED ? IST_CANCELLED
                      : out->state == IST_STATEMENT_CLOSED ? IST_NOT_FOUND
                                                           : status_of_code(code);
    const char *state = yyjson_get_str(yyjson_obj_get(status, "sql_state"));
    char place[64];
    if (kind == IST_BAD_INPUT && state && strcmp(state, "42501") == 0) /* insufficient privilege */
        kind = IST_FORBIDDEN;
    find_place(message ? message : "", place);
    ist_error_set(&out->problem, kind, 0, place, "%s", message && *message ? message : words[out->state]);
    char *line = out->problem.message, *quoted = strstr(line, "\n== SQL");
    if (quoted)
        *quoted = '\0'; /* the text again, with a caret: callers have it */
    for (char *at = line; *at; at++)
        if (*at == '\n' || *at == '\r' || *at == '\t')
            *at = ' ';
    for (size_t size = strlen(line); size > 0 && line[size - 1] == ' ';)
        line[--size] = '\0';
}

static bool read_state(const char *text, ist_statement_state *out)
{
    static const char *const names[] = {
        [IST_STATEMENT_PENDING] = "PENDING", [IST_STATEMENT_RUNNING] = "RUNNING",
        [IST_STATEMENT_SUCCEEDED] = "SUCCEEDED", [IST_STATEMENT_FAILED] = "FAILED",
        [IST_STATEMENT_CANCELED] = "CANCELED", [IST_STATEMENT_CLOSED] = "CLOSED",
    };
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], text) == 0) {
            *out = (ist_statement_state)i;
            return true;
        }
    return false;
}

static ist_status read_reply(yyjson_val *root, ist__statement_reply *out, ist_error *err)
{
    const char *id = yyjson_get_str(yyjson_obj_get(root, "statement_id"));
    yyjson_val *status = yyjson_obj_get(root, "status");
    const char *state = yyjson_get_str(yyjson_obj_get(status, "state"));
    if (!is_id(id))
        return WRONG("has no statement_id: is there a warehouse at this address?");
    memcpy(out->id, id, strlen(id) + 1);
    if (!read_state(state, &out->state))
        return WRONG("has the state %.40s, which is not known", state ? state : "(none)");
    if (out->state == IST_STATEMENT_SUCCEEDED)
        return read_manifest(root, out, err);
    if (out->state > IST_STATEMENT_SUCCEEDED)
        read_problem(status, out);
    return IST_OK;
}

ist_status ist__statement_reply_read(const char *text, size_t size, ist__statement_reply *out, ist_error *err)
{
    *out = (ist__statement_reply){0};
    yyjson_doc *doc = size ? yyjson_read(text, size, 0) : NULL;
    ist_status status = yyjson_is_obj(yyjson_doc_get_root(doc)) ? read_reply(yyjson_doc_get_root(doc), out, err)
                                                                 : WRONG("is no JSON object");
    yyjson_doc_free(doc);
    return status;
}

void ist__statement_reply_free(ist__statement_reply *reply)
{
    free(reply->manifest);
    free(reply->chunks);
    ist__chunk_links_free(&reply->links);
    *reply = (ist__statement_reply){0};
}
