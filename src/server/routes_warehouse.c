/*
 * routes_warehouse.c: SQL: Databricks' statement execution, warehouses and history of queries, and links to results
 * that need no token.
 *
 * A submission that waits, and a GET with wait_timeout (which Databricks does not have), suspends its connection until
 * the statement has ended or the time is over; then the handler runs again and tells what there is.
 */
#include "server/byte_range.h"
#include "server/server_internal.h"
#include "warehouse/statement_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS IST__SQL_PATH "/statements"
#define WAREHOUSES IST__SQL_PATH "/warehouses"

static ist_status warehouses_of(const ist__call *call, ist__warehouses **out, ist_error *err)
{
    *out = call->server ? call->server->warehouses : NULL;
    return *out ? IST_OK : ist__uc_error(err, IST__UC_UNIMPLEMENTED, "this server has no SQL warehouses");
}

static const ist__principal *who_asks(const ist__call *call)
{
    return ist__call_session(call)->who;
}

static bool is_host(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
    size_t size = text ? strlen(text) : 0;
    return size > 0 && size < 256 && strspn(text, allowed) == size;
}

/* Where the client reached this server: links must lead there too. */
static void origin_of(const ist__call *call, char out[320])
{
    const char *host = ist__call_header(call, "Host"), *own = call->server->note.url;
    if (is_host(host))
        snprintf(out, 320, "%s://%s", strncmp(own, "https:", 6) == 0 ? "https" : "http", host);
    else
        snprintf(out, 320, "%s", own);
}

/* Statements ------------------------------------------------------------------------------------------------------- */

static ist_status tell(ist__call *call, ist__statement *s, ist_error *err)
{
    char origin[320];
    origin_of(call, origin);
    return ist__statement_answer(s, origin, &call->reply->body, err);
}

/* Tell what there is, or wait for the statement, if it is only for the history to have it; lets go of it. */
static ist_status wait_or_tell(ist__call *call, ist__statement *s, bool waits, int64_t wait_ms, ist_error *err)
{
    ist_status status = IST_OK;
    waits = waits && ist__call_wait(call, ist__statement_id(s));
    if (!waits)
        status = tell(call, s, err);
    else if (!ist__statement_wait(s, wait_ms, ist__call_wake, call))
        ist__call_wake(call); /* it has ended meanwhile */
    ist__statement_release(s);
    return status;
}

/* One of the caller's, by its id; from the history where that is all there is: then *out is NULL, and it is told. */
static ist_status find_or_tell(ist__call *call, const char *id, ist__statement **out, ist_error *err)
{
    ist__warehouses *all;
    *out = NULL;
    IST_TRY(warehouses_of(call, &all, err));
    ist__statement_find(all, who_asks(call), id, out);
    return *out ? IST_OK : ist__statement_answer_past(ist__call_session(call), id, &call->reply->body, err);
}

static ist_status tell_woken(ist__call *call, ist_error *err)
{
    ist__statement *s;
    IST_TRY(find_or_tell(call, call->waits_for, &s, err));
    return s ? wait_or_tell(call, s, false, 0, err) : IST_OK;
}

static ist_status submit(ist__call *call, ist_error *err)
{
    ist__warehouses *all;
    ist__statement *s;
    if (call->woken)
        return tell_woken(call, err);
    IST_TRY(warehouses_of(call, &all, err));
    ist_status status = ist__statement_submit(all, who_asks(call), call->request->body, call->request->body_size,
                                              ist__call_header(call, "User-Agent"), &s, err);
    if (status == IST_RETRYABLE)
        IST_TRY(ist__reply_header(call->reply, "Retry-After", "1", err));
    IST_TRY(status);
    return wait_or_tell(call, s, true, ist__statement_wait_ms(s), err);
}

static ist_status get_statement(ist__call *call, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist__statement *s;
    int64_t wait_ms = 0;
    if (call->woken)
        return tell_woken(call, err);
    ist_status status = ist__call_parameter(call, "wait_timeout", &text, err);
    if (status == IST_OK && text.data)
        status = ist__wait_timeout_read(text.data, &wait_ms, err);
    ist_buffer_free(&text);
    IST_TRY(status);
    IST_TRY(find_or_tell(call, call->segment[0], &s, err));
    return s ? wait_or_tell(call, s, wait_ms > 0, wait_ms, err) : IST_OK;
}

static ist_status cancel(ist__call *call, ist_error *err)
{
    ist__statement *s;
    IST_TRY(find_or_tell(call, call->segment[0], &s, err));
    if (s)
        ist__statement_cancel(s);
    ist__statement_release(s);
    ist_buffer_clear(&call->reply->body);
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

static ist_status get_chunk(ist__call *call, ist_error *err)
{
    char origin[320], *end;
    ist__statement *s;
    errno = 0;
    long long chunk = strtoll(call->segment[1], &end, 10);
    if (*end || errno || chunk < 0)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "chunk_index '%.40s' is not one", call->segment[1]);
    IST_TRY(find_or_tell(call, call->segment[0], &s, err));
    if (!s) {
        ist_buffer_clear(&call->reply->body);
        return ist__uc_error(err, IST__UC_NOT_FOUND,
                             "the result of the statement %.36s is no longer kept: submit it again", call->segment[0]);
    }
    origin_of(call, origin);
    ist_status status = ist__statement_answer_chunk(s, chunk, origin, &call->reply->body, err);
    ist__statement_release(s);
    return status;
}

/* Links ------------------------------------------------------------------------------------------------------------ */

static ist_status send_chunk(ist__call *call, ist__held_chunk *chunk, ist_error *err)
{
    ist__reply *reply = call->reply;
    reply->content_type = chunk->content_type;
    reply->fd = chunk->fd;
    reply->body = chunk->bytes;
    IST_TRY(ist__reply_header(reply, "Cache-Control", "no-store", err));
    return ist__reply_range(call, (uint64_t)chunk->size, err);
}

static ist_status get_result(ist__call *call, ist_error *err)
{
    ist_buffer expires = IST_BUFFER_INIT, signature = IST_BUFFER_INIT;
    ist__warehouses *all;
    ist__held_chunk chunk = {.fd = -1};
    ist_status status = IST_OK;
    IST_TRY(warehouses_of(call, &all, err));
    IST_TRY_GOTO(ist__call_required(call, "expires", &expires, err));
    IST_TRY_GOTO(ist__call_required(call, "signature", &signature, err));
    IST_TRY_GOTO(ist__result_open(all, call->segment[0], call->segment[1], expires.data, signature.data, &chunk, err));
    status = send_chunk(call, &chunk, err);
done:
    ist_buffer_free(&expires);
    ist_buffer_free(&signature);
    return status;
}

/* Warehouses ------------------------------------------------------------------------------------------------------- */

static ist_status list_warehouses(ist__call *call, ist_error *err)
{
    ist__warehouses *all;
    IST_TRY(warehouses_of(call, &all, err));
    return ist__warehouse_list(all, &call->reply->body, err);
}

static ist_status get_warehouse(ist__call *call, ist_error *err)
{
    ist__warehouses *all;
    IST_TRY(warehouses_of(call, &all, err));
    return ist__warehouse_get(all, call->segment[0], &call->reply->body, err);
}

/* Starting is what everybody's statements do; stopping ends the statements of others. */
static ist_status start_or_stop(ist__call *call, ist_error *err)
{
    ist__warehouses *all;
    bool start = call->route->kind != 0;
    IST_TRY(warehouses_of(call, &all, err));
    if (!start)
        IST_TRY(ist__require_admin(ist__call_session(call), err));
    IST_TRY(start ? ist__warehouse_start(all, call->segment[0], err) : ist__warehouse_stop(all, call->segment[0], err));
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

/* History ---------------------------------------------------------------------------------------------------------- */

static ist_status read_time(const ist_buffer *text, const char *key, int64_t *out, ist_error *err)
{
    char *end;
    if (!text->data)
        return IST_OK;
    errno = 0;
    *out = strtoll(text->data, &end, 10);
    if (end == text->data || *end || errno || *out < 0)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "%s is not a time in milliseconds", key);
    return IST_OK;
}

/* What the parameters ask for; texts are put into `text`, one buffer each. */
static ist_status read_filter(const ist__call *call, ist__query_filter *out, ist_buffer text[], ist_error *err)
{
    static const char start[] = "filter_by.query_start_time_range.start_time_ms";
    static const char end[] = "filter_by.query_start_time_range.end_time_ms";
    const struct {
        const char *key;
        ist__query_values *values;
    } lists[] = {{"filter_by.statuses", &out->statuses},
                 {"filter_by.warehouse_ids", &out->warehouses},
                 {"filter_by.statement_ids", &out->statements},
                 {"filter_by.user_ids", &out->users}};
    for (int i = 0; i < 4; i++)
        IST_TRY(ist__call_parameters(call, lists[i].key, &text[i], lists[i].values->value, IST__QUERY_VALUES_MAX,
                                     &lists[i].values->count, err));
    IST_TRY(ist__call_integer(call, "max_results", &out->max_results, err));
    IST_TRY(ist__call_parameter(call, "page_token", &text[4], err));
    out->page_token = text[4].data;
    IST_TRY(ist__call_parameter(call, start, &text[5], err));
    IST_TRY(read_time(&text[5], start, &out->from_ms, err));
    IST_TRY(ist__call_parameter(call, end, &text[6], err));
    return read_time(&text[6], end, &out->until_ms, err);
}

static ist_status list_queries(ist__call *call, ist_error *err)
{
    enum { TEXTS = 7 };
    ist_buffer text[TEXTS] = {0};
    ist__query_filter filter = {0};
    ist__warehouses *all;
    IST_TRY(warehouses_of(call, &all, err));
    ist_status status = read_filter(call, &filter, text, err);
    if (status == IST_OK)
        status = ist__queries_list(all, ist__call_session(call), &filter, &call->reply->body, err);
    for (int i = 0; i < TEXTS; i++)
        ist_buffer_free(&text[i]);
    return status;
}

/* The history of queries says what a submission did; an audit entry for each would be an fsync for each. */
const ist__route ist__routes_warehouse[] = {
    {.method = "POST", .path = STATEMENTS, .lane = IST__LANE_READ, .handle = submit,
     .flags = IST__ROUTE_NO_AUDIT | IST__ROUTE_SLASH},
    {.method = "GET", .path = STATEMENTS "/{statement_id}", .lane = IST__LANE_READ, .handle = get_statement,
     .flags = IST__ROUTE_SLASH},
    {.method = "POST", .path = STATEMENTS "/{statement_id}/cancel", .lane = IST__LANE_READ, .handle = cancel,
     .flags = IST__ROUTE_NO_AUDIT | IST__ROUTE_SLASH},
    {.method = "GET", .path = STATEMENTS "/{statement_id}/result/chunks/{chunk_index}", .lane = IST__LANE_READ,
     .handle = get_chunk},
    {.method = "GET", .path = IST__RESULTS_PATH "/{statement_id}/{chunk_index}", .lane = IST__LANE_READ,
     .handle = get_result, .flags = IST__ROUTE_OPEN},
    {.method = "GET", .path = WAREHOUSES, .lane = IST__LANE_READ, .handle = list_warehouses},
    {.method = "GET", .path = WAREHOUSES "/{id}", .lane = IST__LANE_READ, .handle = get_warehouse},
    {.method = "POST", .path = WAREHOUSES "/{id}/start", .lane = IST__LANE_READ, .handle = start_or_stop, .kind = 1},
    {.method = "POST", .path = WAREHOUSES "/{id}/stop", .lane = IST__LANE_READ, .handle = start_or_stop},
    {.method = "GET", .path = IST__SQL_PATH "/history/queries", .lane = IST__LANE_READ, .handle = list_queries},
    {0},
};
