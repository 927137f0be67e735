/*
 * azure_store.c: Azure Blob Storage's REST API, also for locations of the Data Lake (abfss://): an account with a
 * hierarchical namespace answers both.
 *
 * Access is by a shared access signature (SAS), which is part of the query: a URL is as secret as its credentials. An
 * account key, where the environment has one, makes such signatures here (azure_sas.c).
 */
#include "store/http_store.h"

#include "store/azure_sas.h"
#include "store/xml.h"
#include "util/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "2021-12-02"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Requests --------------------------------------------------------------------------------------------------------- */

/* "https://account.blob.core.windows.net", whichever of its hosts the location names; or the endpoint of an emulator,
 * which has the account in its path. */
static ist_status add_endpoint(const ist__cloud *store, yyjson_val *credentials, ist_buffer *url, ist_error *err)
{
    const char *endpoint = ist__cloud_setting(credentials, "endpoint");
    if (!endpoint)
        endpoint = environment("AZURE_STORAGE_ENDPOINT");
    if (endpoint) {
        size_t size = strlen(endpoint);
        while (size > 0 && endpoint[size - 1] == '/')
            size--;
        return ist_buffer_append(url, endpoint, size, err);
    }
    size_t account = strlen(store->account);
    const char *rest = store->host + account; /* ".dfs.core.windows.net" */
    if (strncmp(rest, ".dfs.", 5) == 0)
        return ist_buffer_printf(url, err, "https://%s.blob.%s", store->account, rest + 5);
    return ist_buffer_printf(url, err, "https://%s", store->host);
}

/* Block ids are base64 and of equal length: the part's number does. */
static void block_id(int part, char out[IST__CLOUD_PART_ID_MAX])
{
    snprintf(out, IST__CLOUD_PART_ID_MAX, "part%08d", part);
}

static ist_status add_query(const ist__cloud_call *call, ist_buffer *url, ist_error *err)
{
    char id[IST__CLOUD_PART_ID_MAX];
    switch (call->verb) {
    case IST__CLOUD_LIST:
        IST_TRY(ist_buffer_append_string(url, "?restype=container&comp=list&delimiter=%2F", err));
        IST_TRY(ist__cloud_parameter(url, "prefix", call->key, err));
        return call->token ? ist__cloud_parameter(url, "marker", call->token, err) : IST_OK;
    case IST__CLOUD_UPLOAD_PART:
        block_id(call->part, id);
        IST_TRY(ist_buffer_append_string(url, "?comp=block", err));
        return ist__cloud_parameter(url, "blockid", id, err);
    case IST__CLOUD_UPLOAD_END:
        return ist_buffer_append_string(url, "?comp=blocklist", err);
    default:
        return IST_OK;
    }
}

static ist_status add_headers(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    IST_TRY(ist__http_header(request, err, "x-ms-version: " API_VERSION));
    IST_TRY(ist__http_header(request, err, "Expect:")); /* no round trip of its own before a body */
    if (call->range)
        IST_TRY(ist__http_header(request, err, "Range: %s", call->range));
    if (call->etag)
        IST_TRY(ist__http_header(request, err, "If-Match: %s", call->etag));
    if (call->if_absent)
        IST_TRY(ist__http_header(request, err, "If-None-Match: *"));
    if (call->verb == IST__CLOUD_WRITE)
        IST_TRY(ist__http_header(request, err, "x-ms-blob-type: BlockBlob"));
    if (call->mark)
        IST_TRY(ist__http_header(request, err, "x-ms-meta-isthmusput: %s", call->mark));
    return call->body ? ist__http_header(request, err, "Content-Type: application/octet-stream") : IST_OK;
}

static ist_status add_signature(yyjson_val *credentials, ist_buffer *url, ist_error *err)
{
    yyjson_val *sas = yyjson_obj_get(credentials, "azure_user_delegation_sas");
    const char *token = yyjson_get_str(yyjson_obj_get(sas, "sas_token"));
    if (!ist__cloud_is_signed(credentials))
        return IST_OK;
    if (!token || !*token)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the credentials have no azure_user_delegation_sas with a sas_token");
    return ist_buffer_printf(url, err, "%c%s", strchr(url->data, '?') ? '&' : '?', token + (*token == '?'));
}

static ist_status azure_request(const ist__cloud *store, const ist__cloud_call *call, yyjson_val *credentials,
                                ist__http_request *request, ist_error *err)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "GET", NULL, "PUT", "PUT", NULL};
    request->method = methods[call->verb];
    request->body = call->body;
    request->body_size = call->size;
    IST_TRY(add_endpoint(store, credentials, &request->url, err));
    IST_TRY(ist_buffer_append(&request->url, "/", 1, err));
    IST_TRY(ist__uri_encode(store->bucket, strlen(store->bucket), "$", &request->url, err));
    if (call->verb != IST__CLOUD_LIST) {
        IST_TRY(ist_buffer_append(&request->url, "/", 1, err));
        IST_TRY(ist__uri_encode(call->key, strlen(call->key), "/", &request->url, err));
    }
    IST_TRY(add_query(call, &request->url, err));
    IST_TRY(add_headers(call, request, err));
    return add_signature(credentials, &request->url, err);
}

/* Answers ---------------------------------------------------------------------------------------------------------- */

typedef struct page_reader {
    ist__cloud_page *page;
    ist_buffer key;
    uint64_t size;
    int64_t modified_ms;
    bool folder;
} page_reader;

#define BLOB "EnumerationResults/Blobs/Blob"

static ist_status end_blob(page_reader *r, ist_error *err)
{
    bool folder = r->folder;
    r->folder = false;
    return folder || !r->key.size ? IST_OK : ist__cloud_page_add(r->page, r->key.data, r->size, r->modified_ms, err);
}

static ist_status on_page_element(const char *path, const char *text, void *payload, ist_error *err)
{
    page_reader *r = payload;
    if (strcmp(path, BLOB "/Name") == 0) {
        ist_buffer_clear(&r->key);
        return ist_buffer_append_string(&r->key, text, err);
    }
    if (strcmp(path, BLOB "/Properties/Content-Length") == 0)
        r->size = strtoull(text, NULL, 10);
    else if (strcmp(path, BLOB "/Properties/Last-Modified") == 0)
        r->modified_ms = ist__cloud_time(text);
    else if (strcmp(path, BLOB "/Properties/ResourceType") == 0) /* hierarchical namespaces list folders, too */
        r->folder = strcmp(text, "directory") == 0;
    else if (strcmp(path, BLOB) == 0)
        return end_blob(r, err);
    else if (strcmp(path, "EnumerationResults/NextMarker") == 0 && *text && !r->page->next)
        return ist__strdup(text, &r->page->next, err);
    return IST_OK;
}

/* Azure begins its XML with a byte order mark, which expat takes. */
static ist_status azure_read_page(const char *body, size_t size, ist__cloud_page *page, ist_error *err)
{
    page_reader r = {.page = page};
    ist_status status = ist__xml_read(body, size, on_page_element, &r, err);
    ist_buffer_free(&r.key);
    return status;
}

static ist_status azure_part_id(int part, const ist__http_reply *reply, char out[IST__CLOUD_PART_ID_MAX],
                                ist_error *err)
{
    (void)reply, (void)err;
    block_id(part, out);
    return IST_OK;
}

static ist_status azure_end_body(const ist__cloud_call *call, ist_buffer *body, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(body, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>", err));
    for (int i = 0; i < call->part_count; i++)
        IST_TRY(ist_buffer_printf(body, err, "<Latest>%s</Latest>", call->parts[i]));
    return ist_buffer_append_string(body, "</BlockList>", err);
}

const ist__cloud_backend ist__azure_backend = {
    .name = "Azure storage",
    .hint = "set AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_KEY",
    .suffix_ranges = false,
    .parts_at_once = 4,
    .begin_is_needed = false, /* blocks that no list names are dropped by Azure after a week */
    .request = azure_request,
    .read_page = azure_read_page,
    .part_id = azure_part_id,
    .end_body = azure_end_body,
    .read_error = ist__xml_error_code,
};

/* Options and environment -------------------------------------------------------------------------------------------------- */

enum { KEY_SAS_LIFE_MS = 3600000 };

/* Makes signatures with the account's key. */
typedef struct key_provider {
    char *key;
    char *endpoint; /* of the options; NULL: the environment's or the usual one */
    char account[64], container[256];
} key_provider;

static ist_status key_fetch(void *self, ist_buffer *json, ist_error *err)
{
    key_provider *provider = self;
    ist_buffer token = IST_BUFFER_INIT;
    const char *endpoint = provider->endpoint ? provider->endpoint : environment("AZURE_STORAGE_ENDPOINT");
    ist__azure_sas sas = {.account = provider->account, .container = provider->container, .write = true,
                          .plain_http = endpoint && strncmp(endpoint, "http:", 5) == 0,
                          .expires_ms = ist__now_ms() + KEY_SAS_LIFE_MS};
    ist_status status = ist__azure_sas_sign(&sas, provider->key, &token, err);
    if (status == IST_OK)
        status = ist_buffer_printf(json, err,
                                   "{\"azure_user_delegation_sas\":{\"sas_token\":\"%s\"},\"expiration_time\":%lld",
                                   token.data, (long long)sas.expires_ms);
    if (status == IST_OK && provider->endpoint)
        status = ist_buffer_printf(json, err, ",\"isthmus_storage\":{\"endpoint\":\"%s\"}", provider->endpoint);
    if (status == IST_OK)
        status = ist_buffer_append_string(json, "}", err);
    ist_buffer_free(&token);
    return status;
}

static void key_free(void *self)
{
    key_provider *provider = self;
    if (provider->key)
        explicit_bzero(provider->key, strlen(provider->key));
    free(provider->key);
    free(provider->endpoint);
    free(provider);
}

static ist_status open_key(const ist__cloud_location *location, const char *key, const char *endpoint,
                           ist_credentials **out, ist_error *err)
{
    static const ist_credentials_ops ops = {key_fetch, key_free};
    key_provider *provider;
    IST_TRY(ist__alloc(1, sizeof *provider, (void **)&provider, err));
    ist_status status = ist__strdup(key, &provider->key, err);
    if (status == IST_OK && endpoint)
        status = ist__strdup(endpoint, &provider->endpoint, err);
    if (status != IST_OK) {
        key_free(provider);
        return status;
    }
    memcpy(provider->account, location->account, sizeof provider->account);
    memcpy(provider->container, location->bucket, sizeof provider->container);
    return ist_credentials_new(&ops, provider, out, err);
}

ist_status ist__azure_credentials(const ist__cloud_location *location, const ist__storage_options *options,
                                  ist_credentials **out, ist_error *err)
{
    const char *sas = options->text[IST__OPTION_SAS], *key = options->text[IST__OPTION_ACCOUNT_KEY];
    const char *named = options->text[IST__OPTION_ACCOUNT], *account = environment("AZURE_STORAGE_ACCOUNT");
    *out = NULL;
    if (named && strcmp(named, location->account) != 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the storage options are for the account %.64s, the location is in %s", named,
                             location->account);
    /* The environment may be about another account. */
    if (!sas && !key && (!account || strcmp(account, location->account) == 0)) {
        sas = environment("AZURE_STORAGE_SAS_TOKEN");
        key = environment("AZURE_STORAGE_KEY");
        if (!key)
            key = environment("AZURE_STORAGE_ACCOUNT_KEY");
    }
    if (!sas)
        return key ? open_key(location, key, options->text[IST__OPTION_ENDPOINT], out, err) : IST_OK;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *member = yyjson_mut_obj_add_obj(doc, root, "azure_user_delegation_sas");
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_strcpy(doc, member, "sas_token", sas);
    ist__storage_describe(options, false, doc, root);
    return ist__cloud_static(doc, out, err);
}
