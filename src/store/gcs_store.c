/*
 * gcs_store.c: Google Cloud Storage. Objects are read by its XML API, whose headers tell size, generation and metadata;
 * they are written and listed by its JSON API. A put is one "multipart" request: metadata, then the bytes; a writer's
 * parts go to a resumable upload, in order.
 */
#include "store/http_store.h"

#include "store/gcs_token.h"
#include "util/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ENDPOINT "https://storage.googleapis.com"
#define BOUNDARY "isthmus-7c1d0c6b"

enum { KEY_FILE_MAX = 64 << 10 };

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Requests --------------------------------------------------------------------------------------------------------- */

static ist_status add_endpoint(yyjson_val *credentials, ist_buffer *url, ist_error *err)
{
    const char *endpoint = ist__cloud_setting(credentials, "endpoint");
    if (!endpoint)
        endpoint = environment("STORAGE_EMULATOR_HOST");
    if (!endpoint)
        endpoint = DEFAULT_ENDPOINT;
    if (!strstr(endpoint, "://"))
        IST_TRY(ist_buffer_append_string(url, "http://", err));
    size_t size = strlen(endpoint);
    while (size > 0 && endpoint[size - 1] == '/')
        size--;
    return ist_buffer_append(url, endpoint, size, err);
}

static ist_status add_encoded(ist_buffer *url, const char *text, const char *keep, ist_error *err)
{
    return ist__uri_encode(text, strlen(text), keep, url, err);
}

static ist_status add_list(const ist__cloud *store, const ist__cloud_call *call, ist_buffer *url, ist_error *err)
{
    IST_TRY(ist_buffer_printf(url, err, "/storage/v1/b/%s/o?delimiter=%%2F", store->bucket));
    IST_TRY(ist__cloud_parameter(url, "prefix", call->key, err));
    if (call->start_after)
        IST_TRY(ist__cloud_parameter(url, "startOffset", call->start_after, err));
    IST_TRY(ist__cloud_parameter(url, "fields", "items(name,size,updated),nextPageToken", err));
    return call->token ? ist__cloud_parameter(url, "pageToken", call->token, err) : IST_OK;
}

static ist_status add_upload(const ist__cloud *store, const ist__cloud_call *call, ist_buffer *url, ist_error *err)
{
    bool begin = call->verb == IST__CLOUD_UPLOAD_BEGIN;
    IST_TRY(ist_buffer_printf(url, err, "/upload/storage/v1/b/%s/o?uploadType=%s", store->bucket,
                              begin ? "resumable" : "multipart"));
    IST_TRY(ist__cloud_parameter(url, "name", call->key, err));
    return call->if_absent ? ist_buffer_append_string(url, "&ifGenerationMatch=0", err) : IST_OK;
}

/* An object's place in the XML API ("/bucket/a/b") or the JSON API ("/storage/v1/b/bucket/o/a%2Fb"). */
static ist_status add_object(const ist__cloud *store, const ist__cloud_call *call, ist_buffer *url, ist_error *err)
{
    if (call->verb == IST__CLOUD_REMOVE) {
        IST_TRY(ist_buffer_printf(url, err, "/storage/v1/b/%s/o/", store->bucket));
        return add_encoded(url, call->key, "", err);
    }
    IST_TRY(ist_buffer_printf(url, err, "/%s/", store->bucket));
    return add_encoded(url, call->key, "/", err);
}

/* "bytes 0-99/200" of a resumable upload; "*" for what is not known yet or not there. */
static ist_status add_part_range(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    unsigned long long first = call->offset, end = call->offset + call->size;
    if (!call->last)
        return ist__http_header(request, err, "Content-Range: bytes %llu-%llu/*", first, end - 1);
    if (call->size == 0)
        return ist__http_header(request, err, "Content-Range: bytes */%llu", end);
    return ist__http_header(request, err, "Content-Range: bytes %llu-%llu/%llu", first, end - 1, end);
}

/* Metadata and bytes in one body. */
static ist_status wrap_body(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    ist_buffer *body = &request->secret; /* freed with the request; no key is needed for a bearer's token */
    IST_TRY(ist_buffer_reserve(body, call->size + 512, err));
    IST_TRY(ist_buffer_printf(body, err,
                              "--" BOUNDARY "\r\nContent-Type: application/json\r\n\r\n"
                              "{\"metadata\":{\"isthmus-put\":\"%s\"}}\r\n"
                              "--" BOUNDARY "\r\nContent-Type: application/octet-stream\r\n\r\n",
                              call->mark));
    IST_TRY(ist_buffer_append(body, call->body, call->size, err));
    IST_TRY(ist_buffer_append_string(body, "\r\n--" BOUNDARY "--\r\n", err));
    request->body = body->data;
    request->body_size = body->size;
    return ist__http_header(request, err, "Content-Type: multipart/related; boundary=" BOUNDARY);
}

static ist_status add_begin_body(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    IST_TRY(ist_buffer_printf(&request->secret, err, "{\"metadata\":{\"isthmus-put\":\"%s\"}}", call->mark));
    request->body = request->secret.data;
    request->body_size = request->secret.size;
    return ist__http_header(request, err, "Content-Type: application/json");
}

static ist_status add_body(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    if (call->verb == IST__CLOUD_WRITE)
        return wrap_body(call, request, err);
    if (call->verb == IST__CLOUD_UPLOAD_BEGIN)
        return add_begin_body(call, request, err);
    request->body = call->body;
    request->body_size = call->size;
    return call->verb == IST__CLOUD_UPLOAD_PART ? add_part_range(call, request, err) : IST_OK;
}

static ist_status add_token(yyjson_val *credentials, ist__http_request *request, ist_error *err)
{
    const char *token = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(credentials, "gcp_oauth_token"), "oauth_token"));
    if (!ist__cloud_is_signed(credentials))
        return IST_OK;
    if (!token)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the credentials have no gcp_oauth_token with an oauth_token");
    return ist__http_header(request, err, "Authorization: Bearer %s", token);
}

static ist_status gcs_request(const ist__cloud *store, const ist__cloud_call *call, yyjson_val *credentials,
                              ist__http_request *request, ist_error *err)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE", "GET", "POST", "PUT", NULL, "DELETE"};
    request->method = methods[call->verb];
    if (call->upload) { /* an upload's id is the URL that its parts go to */
        IST_TRY(ist_buffer_append_string(&request->url, call->upload, err));
    } else {
        IST_TRY(add_endpoint(credentials, &request->url, err));
        if (call->verb == IST__CLOUD_LIST)
            IST_TRY(add_list(store, call, &request->url, err));
        else if (call->verb == IST__CLOUD_WRITE || call->verb == IST__CLOUD_UPLOAD_BEGIN)
            IST_TRY(add_upload(store, call, &request->url, err));
        else
            IST_TRY(add_object(store, call, &request->url, err));
    }
    IST_TRY(ist__http_header(request, err, "Expect:")); /* no round trip of its own before a body */
    if (call->range)
        IST_TRY(ist__http_header(request, err, "Range: %s", call->range));
    if (call->etag && *call->etag)
        IST_TRY(ist__http_header(request, err, "x-goog-if-generation-match: %s", call->etag));
    IST_TRY(add_body(call, request, err));
    return add_token(credentials, request, err);
}

/* Answers ---------------------------------------------------------------------------------------------------------- */

static ist_status gcs_read_page(const char *body, size_t size, ist__cloud_page *page, ist_error *err)
{
    yyjson_doc *doc = size ? yyjson_read(body, size, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    const char *next = yyjson_get_str(yyjson_obj_get(root, "nextPageToken"));
    ist_status status = IST_OK;
    size_t index, count;
    if (!yyjson_is_obj(root)) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a listing of Google storage is not a JSON object");
        goto done;
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "items"), index, count, item) {
        const char *name = yyjson_get_str(yyjson_obj_get(item, "name"));
        const char *bytes = yyjson_get_str(yyjson_obj_get(item, "size"));
        const char *updated = yyjson_get_str(yyjson_obj_get(item, "updated"));
        if (name)
            IST_TRY_GOTO(ist__cloud_page_add(page, name, bytes ? strtoull(bytes, NULL, 10) : 0,
                                             updated ? ist__cloud_time(updated) : 0, err));
    }
    if (next && *next)
        status = ist__strdup(next, &page->next, err);
done:
    yyjson_doc_free(doc);
    return status;
}

static ist_status gcs_read_upload(const ist__http_reply *reply, ist_buffer *upload, ist_error *err)
{
    if (!reply->location[0])
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "Google storage began an upload without giving its URL");
    return ist_buffer_append_string(upload, reply->location, err);
}

/* Parts of a resumable upload have no ids; but all bytes must have arrived before the next one is sent. */
static ist_status gcs_part_id(int part, const ist__http_reply *reply, char out[IST__CLOUD_PART_ID_MAX], ist_error *err)
{
    out[0] = '\0';
    const char *dash = strchr(reply->range, '-');
    if (reply->status != 308)
        return IST_OK;
    if (!dash || strtoull(dash + 1, NULL, 10) + 1 != (unsigned long long)part * IST__CLOUD_PART_SIZE)
        return ist_error_set(err, IST_RETRYABLE, 308, NULL, "Google storage kept only '%s' of %d parts", reply->range,
                             part);
    return IST_OK;
}

/* {"error":{"errors":[{"reason":"notFound"}]}} of the JSON API, <Error><Code> of the XML API. */
static void gcs_read_error(const char *body, size_t size, char code[64])
{
    yyjson_doc *doc = yyjson_read(body, size, 0);
    yyjson_val *error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
    const char *reason = yyjson_get_str(yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(error, "errors")), "reason"));
    if (reason)
        snprintf(code, 64, "%s", reason);
    else if (!doc)
        ist__s3_backend.read_error(body, size, code);
    yyjson_doc_free(doc);
}

const ist__cloud_backend ist__gcs_backend = {
    .name = "Google storage",
    .hint = "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account",
    .suffix_ranges = true,
    .parts_at_once = 1,
    .begin_is_needed = true,
    .request = gcs_request,
    .read_page = gcs_read_page,
    .read_upload = gcs_read_upload,
    .part_id = gcs_part_id,
    .end_body = NULL,
    .read_error = gcs_read_error,
};

/* Options and environment -------------------------------------------------------------------------------------------------- */

/* Gets tokens for a key file. */
typedef struct token_provider {
    ist__http *http;
    ist_buffer key_file;
    char *endpoint; /* of the storage, by the options; NULL: the environment's or the usual one */
} token_provider;

static ist_status token_fetch(void *self, ist_buffer *json, ist_error *err)
{
    token_provider *provider = self;
    ist__gcs_token token = {0};
    ist_status status = ist__gcs_token_get(provider->http, provider->key_file.data, &token, err);
    if (status == IST_OK)
        status = ist_buffer_printf(json, err, "{\"gcp_oauth_token\":{\"oauth_token\":\"%s\"},\"expiration_time\":%lld",
                                   token.text.data, (long long)token.expires_ms);
    if (status == IST_OK && provider->endpoint)
        status = ist_buffer_printf(json, err, ",\"isthmus_storage\":{\"endpoint\":\"%s\"}", provider->endpoint);
    if (status == IST_OK)
        status = ist_buffer_append_string(json, "}", err);
    ist__gcs_token_free(&token);
    return status;
}

static void token_free(void *self)
{
    token_provider *provider = self;
    ist__http_free(provider->http);
    if (provider->key_file.data)
        explicit_bzero(provider->key_file.data, provider->key_file.capacity);
    ist_buffer_free(&provider->key_file);
    free(provider->endpoint);
    free(provider);
}

static ist_status read_key_file(const char *path, ist_buffer *out, ist_error *err)
{
    ist_error problem = IST_ERROR_INIT;
    if (ist__read_file(path, KEY_FILE_MAX, out, &problem) == IST_OK)
        return IST_OK;
    return ist_error_set(err, IST_IO, problem.code, path, "the key file of GOOGLE_APPLICATION_CREDENTIALS: %s",
                         problem.message);
}

ist_status ist__gcs_credentials(const ist__storage_options *options, ist_credentials **out, ist_error *err)
{
    static const ist_credentials_ops ops = {token_fetch, token_free};
    const char *json = options->text[IST__OPTION_KEY_JSON], *endpoint = options->text[IST__OPTION_ENDPOINT];
    const char *path = ist__storage_setting(options, IST__OPTION_KEY_FILE, "GOOGLE_APPLICATION_CREDENTIALS");
    token_provider *provider;
    *out = NULL;
    if (!path && !json)
        return IST_OK;
    IST_TRY(ist__alloc(1, sizeof *provider, (void **)&provider, err));
    ist_status status;
    if (json)
        IST_TRY_GOTO(ist_buffer_append_string(&provider->key_file, json, err));
    else
        IST_TRY_GOTO(read_key_file(path, &provider->key_file, err));
    if (endpoint)
        IST_TRY_GOTO(ist__strdup(endpoint, &provider->endpoint, err));
    IST_TRY_GOTO(ist__http_new("Google's token service", &provider->http, err));
    return ist_credentials_new(&ops, provider, out, err);
done:
    token_free(provider);
    return status;
}
