/*
 * routes_pages.c: the web page at "/" (src/server/pages/), and the two answers that only it asks for: search over all
 * names, and a table's history from its log.
 *
 * The page is static: what it shows comes from the API, as the person who logged in. It loads nothing from elsewhere and
 * runs no script but its own, which its content security policy says to the browser.
 */
#include "server/router.h"

#include "catalog/local/search.h"
#include "isthmus/lineage.h"
#include "isthmus/table.h"
#include "server/pages.h"

#include <stdlib.h>
#include <string.h>

enum { HISTORY_DEFAULT = 100, HISTORY_MAX = 1000 };

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                             "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/* The page ---------------------------------------------------------------------------------------------------------- */

static ist_status send_page(ist__call *call, ist_error *err)
{
    const ist__page *page = &ist__pages[call->route->kind];
    ist__reply *reply = call->reply;
    reply->content_type = page->type;
    IST_TRY(ist__reply_header(reply, "Content-Security-Policy", policy, err));
    IST_TRY(ist__reply_header(reply, "X-Content-Type-Options", "nosniff", err));
    IST_TRY(ist__reply_header(reply, "Referrer-Policy", "no-referrer", err));
    IST_TRY(ist__reply_header(reply, "Cache-Control", "no-cache", err));
    return ist_buffer_append(&reply->body, page->data, page->size, err);
}

static ist_status send_style(ist__call *call, ist_error *err)
{
    call->reply->content_type = "text/css; charset=utf-8";
    IST_TRY(ist__reply_header(call->reply, "X-Content-Type-Options", "nosniff", err));
    return ist_buffer_append_string(&call->reply->body, ist_lineage_style(), err);
}

/* Search ------------------------------------------------------------------------------------------------------------ */

static ist_status search(ist__call *call, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist__call_required(call, "q", &text, err);
    if (status == IST_OK)
        status = ist__local_search(ist__call_session(call), text.data, &call->reply->body, err);
    ist_buffer_free(&text);
    return status;
}

/* History ----------------------------------------------------------------------------------------------------------- */

/* The rights to read its rows are what opening the table asks for, as the person who asks. */
static ist_status get_history(ist__call *call, ist_error *err)
{
    ist_table *table = NULL;
    ist_snapshot *snapshot = NULL;
    ist_snapshot_options newest = IST_SNAPSHOT_OPTIONS_INIT;
    ist_buffer *out = &call->reply->body;
    ist_status status = IST_OK;
    int limit;
    IST_TRY_GOTO(ist__call_integer(call, "limit", &limit, err));
    if (limit < 0 || limit > HISTORY_MAX) {
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "limit must be between 1 and %d", HISTORY_MAX);
        goto done;
    }
    IST_TRY_GOTO(ist_table_open(call->catalog, call->segment[0], IST_TABLE_READ, &table, err));
    newest.committer = ist_table_committer(table);
    IST_TRY_GOTO(ist_snapshot_open(ist_table_store(table), &newest, &snapshot, err));
    IST_TRY_GOTO(ist_buffer_printf(
        out, err, "{\"version\":%lld,\"rows\":%lld,\"bytes\":%lld,\"files\":%zu,\"history\":",
        (long long)ist_snapshot_version(snapshot), (long long)ist_snapshot_row_count(snapshot),
        (long long)ist_snapshot_size_bytes(snapshot), ist_snapshot_file_count(snapshot)));
    IST_TRY_GOTO(ist_table_history(ist_table_store(table), newest.committer,
                                   limit ? (size_t)limit : HISTORY_DEFAULT, out, err));
    status = ist_buffer_append_string(out, "}", err);
done:
    ist_snapshot_free(snapshot);
    ist_table_free(table);
    return status;
}

#define PAGE(url, number) {.method = "GET", .path = url, .lane = IST__LANE_READ, .handle = send_page, .kind = number, \
                           .flags = IST__ROUTE_OPEN}

const ist__route ist__routes_pages[] = {
    PAGE("/", 0),
    PAGE("/app.css", 1),
    PAGE("/app.js", 2),
    {.method = "GET", .path = "/lineage.css", .lane = IST__LANE_READ, .handle = send_style, .flags = IST__ROUTE_OPEN},
    {.method = "GET", .path = "/api/2.1/isthmus/search", .lane = IST__LANE_READ, .handle = search},
    {.method = "GET", .path = "/api/2.1/isthmus/tables/{name}/history", .lane = IST__LANE_SLOW, .handle = get_history},
    {0},
};
