/*
 * routes_identity.c: who there is and what he may: SCIM, tokens, OAuth, the web pages' login, permissions, audit.
 *
 * Unity Catalog's server has its users at /api/1.0/unity-control; Databricks' clients ask the other paths.
 */
#include "catalog/local/audit.h"
#include "catalog/local/principals.h"
#include "server/server_internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORM_VALUE_MAX = 4096, COOKIE_LIFE_S = 12 * 3600 };

static ist_status empty_object(ist__call *call, ist_error *err)
{
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

/* SCIM ------------------------------------------------------------------------------------------------------------- */

static const char scim_type[] = "application/scim+json";

static void refuse_scim(ist__reply *reply, const ist_error *error)
{
    ist__uc_code code = ist__uc_code_of(error);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    char status[8];
    yyjson_mut_doc_set_root(doc, root);
    reply->http = ist__uc_code_http(code);
    reply->content_type = scim_type;
    snprintf(status, sizeof status, "%d", reply->http);
    yyjson_mut_arr_add_str(doc, yyjson_mut_obj_add_arr(doc, root, "schemas"),
                           "urn:ietf:params:scim:api:messages:2.0:Error");
    yyjson_mut_obj_add_str(doc, root, "status", status);
    yyjson_mut_obj_add_str(doc, root, "detail", error->message);
    yyjson_mut_obj_add_str(doc, root, "error_code", ist__uc_code_name(code)); /* as the rest of the API says it */
    yyjson_mut_obj_add_str(doc, root, "message", error->message);
    if (ist__json_finish(doc, &reply->body, NULL) != IST_OK)
        ist__reply_error(reply, error);
}

static ist_status create_scim(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    call->reply->http = 201;
    call->reply->content_type = scim_type;
    return ist__scim_create(ist__call_session(call), (ist__principal_kind)call->route->kind, text, &call->reply->body,
                            err);
}

static ist_status get_scim(ist__call *call, ist_error *err)
{
    call->reply->content_type = scim_type;
    return ist__scim_get(ist__call_session(call), (ist__principal_kind)call->route->kind, call->segment[0],
                         &call->reply->body, err);
}

static ist_status get_me(ist__call *call, ist_error *err)
{
    call->reply->content_type = scim_type;
    return ist__scim_me(ist__call_session(call), &call->reply->body, err);
}

static ist_status list_scim(ist__call *call, ist_error *err)
{
    ist_buffer filter = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    int start, count;
    call->reply->content_type = scim_type;
    IST_TRY_GOTO(ist__call_integer(call, "startIndex", &start, err));
    IST_TRY_GOTO(ist__call_integer(call, "count", &count, err));
    IST_TRY_GOTO(ist__call_parameter(call, "filter", &filter, err));
    status = ist__scim_list(ist__call_session(call), (ist__principal_kind)call->route->kind, filter.data, start, count,
                            &call->reply->body, err);
done:
    ist_buffer_free(&filter);
    return status;
}

static ist_status update_scim(ist__call *call, ist_error *err)
{
    const char *text;
    bool replace = strcmp(call->request->method, "PUT") == 0;
    IST_TRY(ist__call_body(call, &text, err));
    call->reply->content_type = scim_type;
    return ist__scim_update(ist__call_session(call), (ist__principal_kind)call->route->kind, call->segment[0], replace,
                            text, &call->reply->body, err);
}

static ist_status delete_scim(ist__call *call, ist_error *err)
{
    call->reply->http = 204;
    return ist__scim_delete(ist__call_session(call), (ist__principal_kind)call->route->kind, call->segment[0], err);
}

/* Tokens ----------------------------------------------------------------------------------------------------------- */

static ist_status create_token(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    return ist__token_create(ist__call_session(call), text, &call->reply->body, err);
}

/* kind: 1 for everybody's. */
static ist_status list_tokens(ist__call *call, ist_error *err)
{
    return ist__token_list(ist__call_session(call), call->route->kind != 0, &call->reply->body, err);
}

static ist_status delete_token(ist__call *call, ist_error *err)
{
    const char *text, *id = call->segment[0];
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    if (!id) {
        IST_TRY_GOTO(ist__call_body(call, &text, err));
        IST_TRY_GOTO(ist__json_read_object(text, &doc, err));
        IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(doc), "token_id", true, &id, err));
    }
    IST_TRY_GOTO(ist__token_delete(ist__call_session(call), id, err));
    status = empty_object(call, err);
done:
    yyjson_doc_free(doc);
    return status;
}

static ist_status create_secret(ist__call *call, ist_error *err)
{
    return ist__secret_create(ist__call_session(call), call->segment[0], &call->reply->body, err);
}

static ist_status list_secrets(ist__call *call, ist_error *err)
{
    return ist__secret_list(ist__call_session(call), call->segment[0], &call->reply->body, err);
}

static ist_status delete_secret(ist__call *call, ist_error *err)
{
    IST_TRY(ist__secret_delete(ist__call_session(call), call->segment[0], call->segment[1], err));
    return empty_object(call, err);
}

/* OAuth ------------------------------------------------------------------------------------------------------------ */

/* RFC 6749, section 5.2. */
static void refuse_oauth(ist__reply *reply, const ist_error *error)
{
    bool client = error->status == IST_UNAUTHENTICATED;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    reply->http = ist__uc_code_http(ist__uc_code_of(error));
    yyjson_mut_obj_add_str(doc, root, "error", client ? "invalid_client" : "invalid_request");
    yyjson_mut_obj_add_str(doc, root, "error_description", error->message);
    if (ist__json_finish(doc, &reply->body, NULL) != IST_OK)
        ist__reply_error(reply, error);
}

/* The value of a key in an application/x-www-form-urlencoded body; data NULL where it is absent. */
static ist_status form_value(const char *form, const char *key, ist_buffer *out, ist_error *err)
{
    size_t size = strlen(key);
    ist_buffer_free(out);
    for (const char *at = form; *at; at += strcspn(at, "&"), at += *at == '&') {
        if (strncmp(at, key, size) != 0 || at[size] != '=')
            continue;
        const char *value = at + size + 1;
        size_t length = strcspn(value, "&");
        if (length > FORM_VALUE_MAX)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is longer than %d bytes", key, FORM_VALUE_MAX);
        char plain[FORM_VALUE_MAX];
        for (size_t i = 0; i < length; i++)
            plain[i] = value[i] == '+' ? ' ' : value[i];
        IST_TRY(ist__uri_decode(plain, length, out, err));
        return ist_buffer_append(out, "", 0, err);
    }
    return IST_OK;
}

/* Client id and secret of an Authorization: Basic header, percent-encoded inside it (RFC 6749, section 2.3.1). */
static ist_status basic_credentials(const char *header, ist_buffer *id, ist_buffer *secret, ist_error *err)
{
    unsigned char plain[1024];
    size_t size = sizeof plain;
    ist_status status = IST_BAD_INPUT;
    bool good = ist__base64_decode(header, strlen(header), plain, &size) && !memchr(plain, '\0', size);
    const unsigned char *colon = good ? memchr(plain, ':', size) : NULL;
    if (colon)
        status = ist__uri_decode((const char *)plain, (size_t)(colon - plain), id, err);
    if (status == IST_OK)
        status = ist__uri_decode((const char *)colon + 1, (size_t)(plain + size - colon - 1), secret, err);
    OPENSSL_cleanse(plain, sizeof plain);
    return status == IST_OK ? IST_OK
                            : ist__uc_error(err, IST__UC_UNAUTHENTICATED, "the Authorization header cannot be read");
}

static void free_secret(ist_buffer *buffer)
{
    if (buffer->data)
        OPENSSL_cleanse(buffer->data, buffer->size);
    ist_buffer_free(buffer);
}

static ist_status oauth_token(ist__call *call, ist_error *err)
{
    const char *form, *header = ist__call_header(call, "Authorization");
    ist_buffer grant = IST_BUFFER_INIT, id = IST_BUFFER_INIT, secret = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__call_body(call, &form, err));
    IST_TRY_GOTO(form_value(form, "grant_type", &grant, err));
    if (!grant.data || strcmp(grant.data, "client_credentials") != 0) {
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "grant_type is not client_credentials");
        goto done;
    }
    if (header && strncmp(header, "Basic ", 6) == 0) {
        IST_TRY_GOTO(basic_credentials(header + 6, &id, &secret, err));
    } else {
        IST_TRY_GOTO(form_value(form, "client_id", &id, err));
        IST_TRY_GOTO(form_value(form, "client_secret", &secret, err));
    }
    if (!id.data || !secret.data) {
        status = ist__uc_error(err, IST__UC_UNAUTHENTICATED, "client_id and client_secret are required");
        goto done;
    }
    IST_TRY_GOTO(ist__reply_header(call->reply, "Cache-Control", "no-store", err));
    status = ist__oauth_token(ist__call_session(call), id.data, secret.data, &call->reply->body, err);
done:
    ist_buffer_free(&grant);
    ist_buffer_free(&id);
    free_secret(&secret);
    return status;
}

static ist_status oauth_metadata(ist__call *call, ist_error *err)
{
    const char *url = call->server ? ist_server_url(call->server) : "";
    return ist_buffer_printf(&call->reply->body, err,
                             "{\"issuer\":\"%s/oidc\",\"authorization_endpoint\":\"%s/oidc/v1/authorize\","
                             "\"token_endpoint\":\"%s/oidc/v1/token\",\"grant_types_supported\":"
                             "[\"client_credentials\"],\"token_endpoint_auth_methods_supported\":"
                             "[\"client_secret_basic\",\"client_secret_post\"],\"scopes_supported\":[\"all-apis\"]}",
                             url, url, url);
}

/* Where Databricks' clients look first, and without which they find no OAuth at an unknown host. */
static ist_status host_metadata(ist__call *call, ist_error *err)
{
    return ist_buffer_printf(&call->reply->body, err, "{\"oidc_endpoint\":\"%s/oidc\"}",
                             call->server ? ist_server_url(call->server) : "");
}

/* Unity Catalog's exchange of an identity provider's token for its own. */
static ist_status exchange_token(ist__call *call, ist_error *err)
{
    (void)call;
    return ist__uc_error(err, IST__UC_UNIMPLEMENTED,
                         "this server exchanges no identity provider's tokens: make a token by POST"
                         " /api/2.0/token/create, or use a service principal at /oidc/v1/token");
}

/* Web login -------------------------------------------------------------------------------------------------------- */

/* The token as the page sent it, in JSON or as a form. */
static ist_status shown_token(ist__call *call, ist_buffer *out, ist_error *err)
{
    const char *text, *token;
    yyjson_doc *doc = NULL;
    IST_TRY(ist__call_body(call, &text, err));
    if (*text != '{')
        return form_value(text, "token", out, err);
    IST_TRY(ist__json_read_object(text, &doc, err));
    ist_status status = ist__json_text(yyjson_doc_get_root(doc), "token", true, &token, err);
    if (status == IST_OK)
        status = ist_buffer_append_string(out, token, err);
    yyjson_doc_free(doc);
    return status;
}

static ist_status set_cookie(ist__call *call, const char *token, int life_s, ist_error *err)
{
    char cookie[IST__TOKEN_TEXT_MAX + 160];
    bool tls = call->server && strncmp(ist_server_url(call->server), "https:", 6) == 0;
    snprintf(cookie, sizeof cookie, IST__TOKEN_COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", token,
             life_s, tls ? "; Secure" : "");
    return ist__reply_header(call->reply, "Set-Cookie", cookie, err);
}

/* A form is led to the pages, a script gets an answer. */
static ist_status after_login(ist__call *call, ist_error *err)
{
    const char *type = ist__call_header(call, "Content-Type");
    if (!type || strncmp(type, "application/x-www-form-urlencoded", 33) != 0)
        return empty_object(call, err);
    call->reply->http = 303;
    return ist__reply_header(call->reply, "Location", "/", err);
}

static ist_status login(ist__call *call, ist_error *err)
{
    ist_buffer token = IST_BUFFER_INIT;
    const ist__principal *who = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(shown_token(call, &token, err));
    if (token.data)
        IST_TRY_GOTO(ist__principal_of_token(ist__call_session(call)->local, token.data, &who, err));
    if (!who) {
        status = ist__uc_error(err, IST__UC_UNAUTHENTICATED, "this is not a valid token");
        goto done;
    }
    IST_TRY_GOTO(set_cookie(call, token.data, COOKIE_LIFE_S, err));
    status = after_login(call, err);
done:
    ist__principal_release(who);
    free_secret(&token);
    return status;
}

static ist_status logout(ist__call *call, ist_error *err)
{
    IST_TRY(set_cookie(call, "", 0, err));
    return after_login(call, err);
}

/* Permissions ------------------------------------------------------------------------------------------------------ */

static ist_status permission_target(const ist__call *call, ist_securable *kind, ist__name *name, ist_error *err)
{
    const char *type = call->segment[0];
    for (int i = 0; i < IST__SECURABLE_COUNT; i++) {
        *kind = (ist_securable)i;
        if (strcmp(ist__securable_type(*kind), type) != 0 || *kind == IST_SECURABLE_MODEL_VERSION)
            continue;
        /* There is one metastore, whatever it is called. */
        return ist__name_split(*kind == IST_SECURABLE_METASTORE ? "" : call->segment[1], ist__securable_parts(*kind),
                               name, err);
    }
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "'%.60s' is not a type of securable", type);
}

static ist_status get_permissions(ist__call *call, ist_error *err)
{
    ist_securable kind;
    ist__name name;
    ist_buffer principal = IST_BUFFER_INIT;
    ist_status status = permission_target(call, &kind, &name, err);
    if (status == IST_OK)
        status = ist__call_parameter(call, "principal", &principal, err);
    if (status == IST_OK)
        status = ist__grants_get(ist__call_session(call), kind, &name, principal.data, &call->reply->body, err);
    ist_buffer_free(&principal);
    return status;
}

static ist_status change_permissions(ist__call *call, ist_error *err)
{
    ist_securable kind;
    ist__name name;
    const char *text;
    IST_TRY(permission_target(call, &kind, &name, err));
    IST_TRY(ist__call_body(call, &text, err));
    return ist__grants_change(ist__call_session(call), kind, &name, text, &call->reply->body, err);
}

/* Audit ------------------------------------------------------------------------------------------------------------ */

static ist_status get_audit(ist__call *call, ist_error *err)
{
    ist_buffer page_token = IST_BUFFER_INIT, principal = IST_BUFFER_INIT, securable = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    int limit;
    IST_TRY_GOTO(ist__call_integer(call, "limit", &limit, err));
    IST_TRY_GOTO(ist__call_parameter(call, "page_token", &page_token, err));
    IST_TRY_GOTO(ist__call_parameter(call, "principal", &principal, err));
    IST_TRY_GOTO(ist__call_parameter(call, "securable", &securable, err));
    status = ist__audit_list(ist__call_session(call), limit, page_token.data, principal.data, securable.data,
                             &call->reply->body, err);
done:
    ist_buffer_free(&page_token);
    ist_buffer_free(&principal);
    ist_buffer_free(&securable);
    return status;
}

/* Routes ----------------------------------------------------------------------------------------------------------- */

#define READ .lane = IST__LANE_READ, .handle
#define WRITE .lane = IST__LANE_WRITE, .handle

#define SCIM(where, which)                                                                                             \
    {.method = "GET", .path = where, READ = list_scim, .kind = which, .refuse = refuse_scim},                          \
    {.method = "POST", .path = where, WRITE = create_scim, .kind = which, .refuse = refuse_scim},                      \
    {.method = "GET", .path = where "/{id}", READ = get_scim, .kind = which, .refuse = refuse_scim},                   \
    {.method = "PUT", .path = where "/{id}", WRITE = update_scim, .kind = which, .refuse = refuse_scim},               \
    {.method = "PATCH", .path = where "/{id}", WRITE = update_scim, .kind = which, .refuse = refuse_scim},             \
    {.method = "DELETE", .path = where "/{id}", WRITE = delete_scim, .kind = which, .refuse = refuse_scim}

#define UC_CONTROL "/api/1.0/unity-control"
#define DATABRICKS_SCIM "/api/2.0/preview/scim/v2"
#define SECRETS "/api/2.0/accounts/servicePrincipals/{id}/credentials/secrets"
#define PERMISSIONS IST__CATALOG_PATH "/permissions/{securable_type}/{full_name}"

const ist__route ist__routes_identity[] = {
    {.method = "GET", .path = UC_CONTROL "/scim2/Me", READ = get_me, .refuse = refuse_scim},
    {.method = "GET", .path = DATABRICKS_SCIM "/Me", READ = get_me, .refuse = refuse_scim},
    SCIM(UC_CONTROL "/scim2/Users", IST__PRINCIPAL_USER),
    SCIM(DATABRICKS_SCIM "/Users", IST__PRINCIPAL_USER),
    SCIM(DATABRICKS_SCIM "/ServicePrincipals", IST__PRINCIPAL_SERVICE),
    SCIM(DATABRICKS_SCIM "/Groups", IST__PRINCIPAL_GROUP),
    {.method = "POST", .path = UC_CONTROL "/auth/tokens", READ = exchange_token, .flags = IST__ROUTE_OPEN},
    {.method = "POST", .path = "/api/2.0/token/create", WRITE = create_token},
    {.method = "GET", .path = "/api/2.0/token/list", READ = list_tokens},
    {.method = "POST", .path = "/api/2.0/token/delete", WRITE = delete_token},
    {.method = "POST", .path = "/api/2.0/token-management/on-behalf-of/tokens", WRITE = create_token},
    {.method = "GET", .path = "/api/2.0/token-management/tokens", READ = list_tokens, .kind = 1},
    {.method = "DELETE", .path = "/api/2.0/token-management/tokens/{id}", WRITE = delete_token},
    {.method = "POST", .path = SECRETS, WRITE = create_secret},
    {.method = "GET", .path = SECRETS, READ = list_secrets},
    {.method = "DELETE", .path = SECRETS "/{secret_id}", WRITE = delete_secret},
    {.method = "GET", .path = "/oidc/.well-known/oauth-authorization-server", READ = oauth_metadata,
     .flags = IST__ROUTE_OPEN},
    {.method = "GET", .path = "/.well-known/databricks-config", READ = host_metadata, .flags = IST__ROUTE_OPEN},
    {.method = "POST", .path = "/oidc/v1/token", WRITE = oauth_token, .flags = IST__ROUTE_OPEN,
     .refuse = refuse_oauth},
    {.method = "POST", .path = "/login", READ = login, .flags = IST__ROUTE_OPEN},
    {.method = "POST", .path = "/logout", READ = logout, .flags = IST__ROUTE_OPEN},
    {.method = "GET", .path = "/api/2.1/isthmus/audit", READ = get_audit},
    {.method = "GET", .path = PERMISSIONS, READ = get_permissions},
    {.method = "PATCH", .path = PERMISSIONS, WRITE = change_permissions},
    {0},
};
