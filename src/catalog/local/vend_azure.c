/*
 * vend_azure.c: Azure: a shared access signature for one folder of a container, signed with the account's key, or with a
 * user delegation key that a service principal gets. Accounts with a flat namespace have no folders: theirs are for the
 * container.
 */
#include "catalog/local/vend_internal.h"

#include "store/azure_sas.h"
#include "store/xml.h"

#include <stdio.h>
#include <string.h>

#define API_VERSION "2020-12-06"
#define DEFAULT_LOGIN "https://login.microsoftonline.com"

/* "https://account.blob.core.windows.net", or the endpoint of an emulator. */
static ist_status blob_endpoint(const ist__vend_job *job, ist_buffer *out, ist_error *err)
{
    const char *rest = job->where.host + strlen(job->where.account); /* ".dfs.core.windows.net" */
    if (job->location->endpoint)
        return ist_buffer_append_string(out, job->location->endpoint, err);
    return ist_buffer_printf(out, err, "https://%s.blob%s", job->where.account, strchr(rest + 1, '.'));
}

/* An access token of the service principal. */
static ist_status log_in(const ist__vend_job *job, ist_buffer *token, ist_error *err)
{
    const ist__vend_location *l = job->location;
    ist__http_request request = {.method = "POST"};
    ist__http_reply reply = {0};
    ist_buffer body = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status;
    IST_TRY_GOTO(ist_buffer_append_string(&body, "grant_type=client_credentials", err));
    IST_TRY_GOTO(ist__vend_field(&body, "client_id", l->client_id, err));
    IST_TRY_GOTO(ist__vend_field(&body, "client_secret", l->client_secret, err));
    IST_TRY_GOTO(ist__vend_field(&body, "scope", "https://storage.azure.com/.default", err));
    IST_TRY_GOTO(ist_buffer_printf(&request.url, err, "%s/", l->login_endpoint ? l->login_endpoint : DEFAULT_LOGIN));
    IST_TRY_GOTO(ist__uri_encode(l->tenant_id, strlen(l->tenant_id), "", &request.url, err));
    IST_TRY_GOTO(ist_buffer_append_string(&request.url, "/oauth2/v2.0/token", err));
    IST_TRY_GOTO(ist__http_header(&request, err, "Content-Type: application/x-www-form-urlencoded"));
    request.body = body.data;
    request.body_size = body.size;
    IST_TRY_GOTO(ist__http_send(job->http, &request, &reply, err));
    doc = reply.body.size ? yyjson_read(reply.body.data, reply.body.size, 0) : NULL;
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "access_token"));
    if (reply.status == 200 && text)
        status = ist_buffer_append_string(token, text, err);
    else
        status = ist__uc_error(err, IST__UC_FAILED_PRECONDITION,
                               "the service principal %s cannot log in for %s: the tenant answered %d", l->client_id,
                               job->request->url, reply.status);
done:
    yyjson_doc_free(doc);
    if (body.data)
        explicit_bzero(body.data, body.capacity);
    ist_buffer_free(&body);
    ist__http_request_free(&request);
    ist__http_reply_free(&reply);
    return status;
}

/* A user delegation key, as Azure tells it. */
typedef struct delegation_key {
    ist__azure_delegation names;
    char value[128];
} delegation_key;

static ist_status on_element(const char *path, const char *text, void *payload, ist_error *err)
{
    delegation_key *key = payload;
    const struct {
        const char *path;
        char *to;
        size_t size;
    } members[] = {
        {"UserDelegationKey/SignedOid", key->names.object_id, sizeof key->names.object_id},
        {"UserDelegationKey/SignedTid", key->names.tenant_id, sizeof key->names.tenant_id},
        {"UserDelegationKey/SignedStart", key->names.start, sizeof key->names.start},
        {"UserDelegationKey/SignedExpiry", key->names.expiry, sizeof key->names.expiry},
        {"UserDelegationKey/SignedService", key->names.service, sizeof key->names.service},
        {"UserDelegationKey/SignedVersion", key->names.version, sizeof key->names.version},
        {"UserDelegationKey/Value", key->value, sizeof key->value},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(path, members[i].path) == 0 && snprintf(members[i].to, members[i].size, "%s", text) >=
                                                      (int)members[i].size)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the user delegation key has an overlong member");
    return IST_OK;
}

static ist_status make_key_request(const ist__vend_job *job, ist__http_request *request, ist_buffer *body,
                                   ist_error *err)
{
    ist_buffer token = IST_BUFFER_INIT;
    char expiry[32];
    ist_status status;
    IST_TRY_GOTO(log_in(job, &token, err));
    ist__format_time(job->expires_ms, expiry);
    memcpy(expiry + 19, "Z", 2);
    IST_TRY_GOTO(ist_buffer_printf(body, err, "<KeyInfo><Expiry>%s</Expiry></KeyInfo>", expiry));
    request->body = body->data;
    request->body_size = body->size;
    IST_TRY_GOTO(blob_endpoint(job, &request->url, err));
    IST_TRY_GOTO(ist_buffer_append_string(&request->url, "/?restype=service&comp=userdelegationkey", err));
    IST_TRY_GOTO(ist__http_header(request, err, "x-ms-version: " API_VERSION));
    IST_TRY_GOTO(ist__http_header(request, err, "Content-Type: application/xml"));
    status = ist__http_header(request, err, "Authorization: Bearer %s", token.data);
done:
    if (token.data)
        explicit_bzero(token.data, token.capacity);
    ist_buffer_free(&token);
    return status;
}

static ist_status get_key(const ist__vend_job *job, delegation_key *key, ist_error *err)
{
    ist__http_request request = {.method = "POST"};
    ist__http_reply reply = {0};
    ist_buffer body = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(make_key_request(job, &request, &body, err));
    IST_TRY_GOTO(ist__http_send(job->http, &request, &reply, err));
    if (reply.status != 200) {
        status = ist__uc_error(err, IST__UC_FAILED_PRECONDITION,
                               "Azure gives the service principal %s no user delegation key for %s: it answered %d; has "
                               "it the role Storage Blob Delegator?", job->location->client_id, job->request->url,
                               reply.status);
        goto done;
    }
    IST_TRY_GOTO(ist__xml_read(reply.body.data ? reply.body.data : "", reply.body.size, on_element, key, err));
    if (!key->value[0])
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "Azure's user delegation key is empty");
done:
    ist_buffer_free(&body);
    ist__http_request_free(&request);
    ist__http_reply_free(&reply);
    return status;
}

ist_status ist__vend_azure(ist__vend_job *job, ist_error *err)
{
    const ist__vend_location *l = job->location;
    delegation_key key = {0};
    ist_buffer token = IST_BUFFER_INIT;
    job->expires_ms = (ist__now_ms() / 1000 + job->life_seconds) * 1000;
    ist__azure_sas sas = {.account = job->where.account, .container = job->where.bucket, .write = job->request->write,
                          .directory = l->flat_namespace ? NULL : job->where.key, .expires_ms = job->expires_ms,
                          .plain_http = l->endpoint && strncmp(l->endpoint, "http:", 5) == 0};
    ist_status status = IST_OK;
    if (!l->account_key) {
        IST_TRY_GOTO(get_key(job, &key, err));
        sas.delegation = &key.names;
    }
    IST_TRY_GOTO(ist__azure_sas_sign(&sas, l->account_key ? l->account_key : key.value, &token, err));
    yyjson_mut_val *member = yyjson_mut_obj_add_obj(job->doc, job->root, "azure_user_delegation_sas");
    yyjson_mut_obj_add_strcpy(job->doc, member, "sas_token", token.data);
done:
    explicit_bzero(&key, sizeof key);
    if (token.data)
        explicit_bzero(token.data, token.capacity);
    ist_buffer_free(&token);
    return status;
}
