/*
 * routes_pages.c: the web page at "/" (src/server/pages/), and what it asks for besides Unity Catalog's API: search over
 * all names, a table's history from its log, what is in a folder of a volume.
 *
 * The page is static: what it shows comes from the API, as the person who logged in. It loads nothing from elsewhere and
 * runs no script but its own, which its content security policy says to the browser.
 */
#include "server/router.h"

#include "catalog/catalog_json.h"
#include "catalog/local/search.h"
#include "isthmus/lineage.h"
#include "isthmus/table.h"
#include "isthmus/volume.h"
#include "server/pages.h"

#include <stdlib.h>
#include <string.h>

enum { HISTORY_DEFAULT = 100, HISTORY_MAX = 1000, FILES_MAX = 1000 };

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

/* Files ------------------------------------------------------------------------------------------------------------- */

/* A part of a folder on its way into JSON. */
typedef struct file_page {
    yyjson_mut_doc *doc;
    yyjson_mut_val *items;
    bool folders, more;
} file_page;

static bool add_entry(const ist_store_entry *entry, void *payload)
{
    file_page *page = payload;
    const char *slash = strrchr(entry->path, '/'), *name = slash ? slash + 1 : entry->path;
    page->more = yyjson_mut_arr_size(page->items) == FILES_MAX;
    if (page->more)
        return false;
    if (page->folders)
        return yyjson_mut_arr_add_strcpy(page->doc, page->items, name);
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(page->doc, page->items);
    yyjson_mut_obj_add_strcpy(page->doc, object, "name", name);
    yyjson_mut_obj_add_uint(page->doc, object, "size", entry->size);
    return yyjson_mut_obj_add_sint(page->doc, object, "modified_ms", entry->modified_ms);
}

/* Folders come with the first page. */
static ist_status list_page(ist_store *store, const char *folder, const char *start_after, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    file_page page = {.doc = doc, .items = yyjson_mut_obj_add_arr(doc, root, "folders"), .folders = true};
    ist_status status = start_after ? IST_OK : ist_store_list_folders(store, folder, add_entry, &page, err);
    bool cut = page.more;
    page = (file_page){.doc = doc, .items = yyjson_mut_obj_add_arr(doc, root, "objects")};
    if (status == IST_OK)
        status = ist_store_list(store, folder, start_after, add_entry, &page, err);
    yyjson_mut_val *last = yyjson_mut_arr_get_last(page.items);
    if (page.more)
        yyjson_mut_obj_add_str(doc, root, "next_start_after", yyjson_mut_get_str(yyjson_mut_obj_get(last, "name")));
    yyjson_mut_obj_add_bool(doc, root, "folders_truncated", cut);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

/* As the person who asks: the volume's credentials are those of READ VOLUME. */
static ist_status list_volume(ist__call *call, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, start_after = IST_BUFFER_INIT, within = IST_BUFFER_INIT;
    ist_store *store = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__call_parameter(call, "start_after", &start_after, err));
    IST_TRY_GOTO(ist_buffer_printf(&path, err, "/Volumes/%s", call->segment[0]));
    IST_TRY_GOTO(ist_volume_open(call->catalog, path.data, false, &store, &within, err));
    status = list_page(store, within.data ? within.data : "", start_after.data, &call->reply->body, err);
done:
    ist_store_free(store);
    ist_buffer_free(&path);
    ist_buffer_free(&start_after);
    ist_buffer_free(&within);
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
    {.method = "GET", .path = "/api/2.1/isthmus/volumes/{*}", .lane = IST__LANE_SLOW, .handle = list_volume},
    {0},
};
