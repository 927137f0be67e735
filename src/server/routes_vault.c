/* routes_vault.c: Databricks' Secrets API over vault.h. */
#include "catalog/local/vault.h"
#include "server/server_internal.h"

typedef ist_status change(ist__session *session, const char *body, ist_error *err);

static ist_status apply(ist__call *call, change *what, ist_error *err)
{
    const char *body;
    IST_TRY(ist__call_body(call, &body, err));
    IST_TRY(what(ist__call_session(call), body, err));
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

#define CHANGE(name)                                                                                                   \
    static ist_status name(ist__call *call, ist_error *err)                                                            \
    {                                                                                                                  \
        return apply(call, ist__vault_##name, err);                                                                    \
    }

CHANGE(create_scope)
CHANGE(delete_scope)
CHANGE(put)
CHANGE(delete)
CHANGE(put_acl)
CHANGE(delete_acl)

static ist_status list_scopes(ist__call *call, ist_error *err)
{
    return ist__vault_list_scopes(ist__call_session(call), &call->reply->body, err);
}

/* What the routes that read one scope answer with. */
enum { SECRETS, SECRET, ACLS, ACL };

static ist_status read_scope(ist__call *call, ist_error *err)
{
    ist__session *session = ist__call_session(call);
    ist_buffer scope = IST_BUFFER_INIT, which = IST_BUFFER_INIT, *out = &call->reply->body;
    int kind = call->route->kind;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__call_required(call, "scope", &scope, err));
    if (kind == SECRET || kind == ACL)
        IST_TRY_GOTO(ist__call_required(call, kind == SECRET ? "key" : "principal", &which, err));
    status = kind == SECRETS  ? ist__vault_list(session, scope.data, out, err)
             : kind == SECRET ? ist__vault_get(session, scope.data, which.data, out, err)
                              : ist__vault_acls(session, scope.data, which.data, out, err);
    if (status == IST_OK && kind == SECRET)
        status = ist__reply_header(call->reply, "Cache-Control", "no-store", err);
done:
    ist_buffer_free(&scope);
    ist_buffer_free(&which);
    return status;
}

#define PATH "/api/2.0/secrets"

const ist__route ist__routes_vault[] = {
    {.method = "POST", .path = PATH "/scopes/create", .lane = IST__LANE_WRITE, .handle = create_scope},
    {.method = "POST", .path = PATH "/scopes/delete", .lane = IST__LANE_WRITE, .handle = delete_scope},
    {.method = "GET", .path = PATH "/scopes/list", .lane = IST__LANE_READ, .handle = list_scopes},
    {.method = "POST", .path = PATH "/put", .lane = IST__LANE_WRITE, .handle = put},
    {.method = "POST", .path = PATH "/delete", .lane = IST__LANE_WRITE, .handle = delete},
    {.method = "GET", .path = PATH "/get", .lane = IST__LANE_READ, .handle = read_scope, .kind = SECRET,
     .flags = IST__ROUTE_AUDIT_READ},
    {.method = "GET", .path = PATH "/list", .lane = IST__LANE_READ, .handle = read_scope, .kind = SECRETS},
    {.method = "POST", .path = PATH "/acls/put", .lane = IST__LANE_WRITE, .handle = put_acl},
    {.method = "POST", .path = PATH "/acls/delete", .lane = IST__LANE_WRITE, .handle = delete_acl},
    {.method = "GET", .path = PATH "/acls/get", .lane = IST__LANE_READ, .handle = read_scope, .kind = ACL},
    {.method = "GET", .path = PATH "/acls/list", .lane = IST__LANE_READ, .handle = read_scope, .kind = ACLS},
    {0},
};
