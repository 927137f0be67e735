/*
 * routes_pages.c: the web page at "/" (src/server/pages/), and the two answers that only it asks for: search over all
 * names, and a table's history from its log.
 *
 * The page is static: what it shows comes from the API, as the person who logged in. It loads nothing from elsewhere and
 * runs no script but its own, which its content security policy says to the browser.
 */
#include "server/router.h"

#include "catalog/catalog_json.h"
#include "catalog/local/local_internal.h"
#include "isthmus/lineage.h"
#include "isthmus/table.h"
#include "server/pages.h"

#include <stdlib.h>
#include <string.h>

enum { QUERY_MAX = 255, FOUND_MAX = 50, LOOKED_AT_MAX = 5000, HISTORY_DEFAULT = 100, HISTORY_MAX = 1000 };

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

/* Names whose last part begins with the text come first, then by name. The number of a kind is its ist_securable. */
static const char search_sql[] =
    "WITH place AS (SELECT s.id, c.name || '.' || s.name AS name FROM schemas s JOIN catalogs c ON c.id = s.parent_id),"
    " object (kind, id, last, name) AS (SELECT 0, id, name, name FROM catalogs"
    " UNION ALL SELECT 1, s.id, s.name, p.name FROM schemas s JOIN place p ON p.id = s.id"
    " UNION ALL SELECT 2, o.id, o.name, p.name || '.' || o.name FROM tables o JOIN place p ON p.id = o.parent_id"
    " UNION ALL SELECT 3, o.id, o.name, p.name || '.' || o.name FROM volumes o JOIN place p ON p.id = o.parent_id"
    " UNION ALL SELECT 4, o.id, o.name, p.name || '.' || o.name FROM functions o JOIN place p ON p.id = o.parent_id"
    " UNION ALL SELECT 5, o.id, o.name, p.name || '.' || o.name FROM registered_models o JOIN place p"
    " ON p.id = o.parent_id)"
    " SELECT kind, id, name FROM object WHERE instr(lower(name), lower(?1))"
    " ORDER BY instr(lower(last), lower(?1)) <> 1, kind, name LIMIT ?2";

static ist_status search_in(ist__session *session, ist__db *db, const char *text, yyjson_mut_doc *doc, ist_error *err)
{
    static const char *const kinds[] = {"catalog", "schema", "table", "volume", "function", "model"};
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *objects = yyjson_mut_obj_add_arr(doc, root, "objects");
    sqlite3_stmt *row;
    int found = 0, looked_at = 0;
    IST_TRY(ist__db_run(db, search_sql, &row, err, "ti", text, (int64_t)LOOKED_AT_MAX));
    while (row && found < FOUND_MAX) {
        int kind = sqlite3_column_int(row, 0);
        const char *id = (const char *)sqlite3_column_text(row, 1);
        looked_at++;
        if (ist__resolve_id(session, db, (ist_securable)kind, id, IST__ACTION_SEE, NULL, NULL) == IST_OK) {
            yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, objects);
            yyjson_mut_obj_add_str(doc, object, "kind", kinds[kind]);
            yyjson_mut_obj_add_strcpy(doc, object, "full_name", (const char *)sqlite3_column_text(row, 2));
            found++;
        }
        IST_TRY(ist__db_next(db, &row, err));
    }
    yyjson_mut_obj_add_bool(doc, root, "truncated", row || looked_at == LOOKED_AT_MAX);
    return IST_OK;
}

static ist_status search(ist__call *call, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = NULL;
    ist__db *db;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__call_required(call, "q", &text, err));
    if (text.size > QUERY_MAX) {
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "q is longer than %d bytes", QUERY_MAX);
        goto done;
    }
    IST_TRY_GOTO(ist__session_read(ist__call_session(call), &db, err));
    doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    IST_TRY_GOTO(ist__db_end(db, search_in(ist__call_session(call), db, text.data, doc, err), err));
    status = ist__json_finish(doc, &call->reply->body, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
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
    {.method = "GET", .path = "/api/2.1/isthmus/search", .lane = IST__LANE_SLOW, .handle = search},
    {.method = "GET", .path = "/api/2.1/isthmus/tables/{name}/history", .lane = IST__LANE_SLOW, .handle = get_history},
    {0},
};
