/* audit_trail.c: from a request to its entry in the audit log. */
#include "server/audit_trail.h"

#include "catalog/catalog_json.h"
#include "catalog/local/audit.h"
#include "catalog/local/principals.h"

#include <stdio.h>
#include <string.h>

enum { ACTION_MAX = 256, SECURABLE_MAX = 1100, DETAIL_MAX = 2000, REQUEST_ID_MAX = 128 };

static bool is_read(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

bool ist__audit_wanted(const ist__call *call)
{
    int http = call->reply->http;
    if (http == 401 || http == 403)
        return true;
    if (ist__call_session(call)->who->is_engine) /* whoever asked the statement is in the history of queries */
        return false;
    if (!call->route)
        return false;
    return is_read(call->request->method) ? (call->route->flags & IST__ROUTE_AUDIT_READ) != 0
                                          : !(call->route->flags & IST__ROUTE_NO_AUDIT);
}

static void append(char *out, size_t size, const char *separator, const char *text)
{
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s", used ? separator : "", text);
}

/* What a body names: the object that it makes, or the id or place that it asks credentials for. */
static void name_of_body(const char *body, char out[SECURABLE_MAX])
{
    static const char *const parts[] = {"catalog_name", "schema_name", "name"};
    static const char *const others[] = {"table_id", "volume_id", "url", "token_id", "userName", "displayName", "scope"};
    yyjson_doc *doc = NULL;
    if (ist__json_read_object(body, &doc, NULL) != IST_OK)
        return;
    yyjson_val *root = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *text = yyjson_get_str(yyjson_obj_get(root, parts[i]));
        if (text)
            append(out, SECURABLE_MAX, ".", text);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others && !*out; i++) {
        const char *text = yyjson_get_str(yyjson_obj_get(root, others[i]));
        if (text)
            append(out, SECURABLE_MAX, "", text);
    }
    yyjson_doc_free(doc);
}

static void name_of(const ist__call *call, char out[SECURABLE_MAX])
{
    bool permissions = call->route && strstr(call->route->path, "/permissions/");
    for (int i = permissions ? 1 : 0; i < IST__SEGMENTS_MAX && call->segment[i]; i++)
        append(out, SECURABLE_MAX, ".", call->segment[i]);
    if (!*out && call->request->parameter && call->request->parameter(call->request->self, "scope"))
        append(out, SECURABLE_MAX, "", call->request->parameter(call->request->self, "scope"));
    if (!*out && call->request->body && call->request->body_size > 0 && call->request->body[0] == '{')
        name_of_body(call->request->body, out);
}

ist_status ist__audit_add(ist__db *db, const ist__session *session, const ist__call *call, ist_error *err)
{
    const char *told = ist__call_header(call, "X-Request-Id");
    char action[ACTION_MAX], securable[SECURABLE_MAX] = "", detail[DETAIL_MAX] = "";
    const ist__request *request = call->request;
    /* The route's template, not the path: that may hold anything, and the securable says the rest. */
    snprintf(action, sizeof action, "%s %s", request->method, call->route ? call->route->path : request->path);
    name_of(call, securable);
    if (call->refusal[0])
        snprintf(detail, sizeof detail, "%s", call->refusal);
    else if (call->route && strstr(call->route->path, "/permissions/"))
        snprintf(detail, sizeof detail, "%s", request->body);
    ist__audit_entry entry = {.principal = *session->who->name ? session->who->name : NULL,
                              .peer = request->peer,
                              .request_id = told && strlen(told) <= REQUEST_ID_MAX ? told : NULL,
                              .action = action,
                              .securable = *securable ? securable : NULL,
                              .detail = *detail ? detail : NULL,
                              .http = call->reply->http};
    return ist__audit_write(db, &entry, err);
}
