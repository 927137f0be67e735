/*
 * s3_store.c: Amazon S3's REST API, also of the stores that speak it (MinIO, Ceph, R2 and others).
 *
 * Requests are signed by libcurl (AWS Signature Version 4). It signs the path and the query as they are, so both are
 * written in the canonical form: encoded once, parameters in order of their names.
 */
#include "store/http_store.h"

#include "store/aws_profile.h"
#include "store/xml.h"
#include "util/util.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_REGION "us-east-1"

/* Requests --------------------------------------------------------------------------------------------------------- */

/* What an environment variable says, or another one; NULL where neither is set. */
static const char *environment(const char *a, const char *b)
{
    const char *value = getenv(a);
    if (!value || !*value)
        value = getenv(b);
    return value && *value ? value : NULL;
}

/* "https://bucket.s3.region.amazonaws.com" or "endpoint/bucket": a bucket with a dot is in no certificate. */
static ist_status add_bucket(const ist__cloud *store, yyjson_val *credentials, const char *region, ist_buffer *url,
                             ist_error *err)
{
    const char *endpoint = ist__cloud_setting(credentials, "endpoint");
    if (!endpoint)
        endpoint = environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    yyjson_val *style = yyjson_obj_get(yyjson_obj_get(credentials, "isthmus_storage"), "path_style");
    bool path_style = yyjson_is_bool(style) ? yyjson_get_bool(style) : endpoint != NULL;
    ist_buffer host = IST_BUFFER_INIT;
    ist_status status;
    if (endpoint)
        IST_TRY_GOTO(ist_buffer_append_string(&host, endpoint, err));
    else
        IST_TRY_GOTO(ist_buffer_printf(&host, err, "https://s3.%s.amazonaws.com%s", region,
                                       strncmp(region, "cn-", 3) == 0 ? ".cn" : ""));
    while (host.size && host.data[host.size - 1] == '/')
        host.data[--host.size] = '\0';
    const char *name = strstr(host.data, "://");
    if (!name) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the endpoint '%.200s' is not http://... or https://...",
                               endpoint);
        goto done;
    }
    name += 3;
    if (path_style || strchr(store->bucket, '.'))
        status = ist_buffer_printf(url, err, "%s/%s", host.data, store->bucket);
    else
        status = ist_buffer_printf(url, err, "%.*s%s.%s", (int)(name - host.data), host.data, store->bucket, name);
done:
    ist_buffer_free(&host);
    return status;
}

static ist_status add_list_query(const ist__cloud_call *call, ist_buffer *url, ist_error *err)
{
    if (call->token)
        IST_TRY(ist__cloud_parameter(url, "continuation-token", call->token, err));
    IST_TRY(ist__cloud_parameter(url, "delimiter", "/", err));
    IST_TRY(ist__cloud_parameter(url, "encoding-type", "url", err));
    IST_TRY(ist__cloud_parameter(url, "list-type", "2", err));
    IST_TRY(ist__cloud_parameter(url, "prefix", call->key, err));
    return call->start_after ? ist__cloud_parameter(url, "start-after", call->start_after, err) : IST_OK;
}

static ist_status add_query(const ist__cloud_call *call, ist_buffer *url, ist_error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%d", call->part);
    if (call->verb == IST__CLOUD_LIST)
        return add_list_query(call, url, err);
    if (call->verb == IST__CLOUD_UPLOAD_BEGIN)
        return ist_buffer_append_string(url, "?uploads=", err);
    if (call->verb == IST__CLOUD_UPLOAD_PART)
        IST_TRY(ist__cloud_parameter(url, "partNumber", number, err));
    return call->upload ? ist__cloud_parameter(url, "uploadId", call->upload, err) : IST_OK;
}

/* The body's hash is part of the signature; the header tells libcurl that it is known. */
static ist_status add_hash(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    unsigned char hash[32];
    char hex[65];
    if (!EVP_Digest(call->body ? call->body : "", call->size, hash, NULL, EVP_sha256(), NULL))
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "SHA-256 is not available");
    ist__hex(hash, sizeof hash, hex);
    return ist__http_header(request, err, "x-amz-content-sha256: %s", hex);
}

static ist_status sign(yyjson_val *keys, const char *region, const ist__cloud_call *call, ist__http_request *request,
                       ist_error *err)
{
    const char *key = yyjson_get_str(yyjson_obj_get(keys, "access_key_id"));
    const char *secret = yyjson_get_str(yyjson_obj_get(keys, "secret_access_key"));
    const char *token = yyjson_get_str(yyjson_obj_get(keys, "session_token"));
    if (!key || !secret)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the credentials have no aws_temp_credentials with access_key_id and secret_access_key");
    snprintf(request->sigv4, sizeof request->sigv4, "aws:amz:%.64s:s3", region);
    IST_TRY(ist_buffer_append_string(&request->key, key, err));
    IST_TRY(ist_buffer_append_string(&request->secret, secret, err));
    IST_TRY(add_hash(call, request, err));
    return token && *token ? ist__http_header(request, err, "x-amz-security-token: %s", token) : IST_OK;
}

static ist_status add_headers(const ist__cloud_call *call, ist__http_request *request, ist_error *err)
{
    if (call->range)
        IST_TRY(ist__http_header(request, err, "Range: %s", call->range));
    if (call->etag)
        IST_TRY(ist__http_header(request, err, "If-Match: %s", call->etag));
    if (call->if_absent)
        IST_TRY(ist__http_header(request, err, "If-None-Match: *"));
    if (call->mark && call->verb != IST__CLOUD_UPLOAD_END)
        IST_TRY(ist__http_header(request, err, "x-amz-meta-isthmus-put: %s", call->mark));
    return call->body || call->verb == IST__CLOUD_UPLOAD_BEGIN
               ? ist__http_header(request, err, "Content-Type: application/octet-stream") : IST_OK;
}

static ist_status s3_request(const ist__cloud *store, const ist__cloud_call *call, yyjson_val *credentials,
                             ist__http_request *request, ist_error *err)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "GET", "POST", "PUT", "POST", "DELETE"};
    const char *region = ist__cloud_setting(credentials, "region");
    yyjson_val *keys = yyjson_obj_get(credentials, "aws_temp_credentials");
    if (!region || !*region)
        region = environment("AWS_REGION", "AWS_DEFAULT_REGION");
    if (!region)
        region = DEFAULT_REGION;
    request->method = methods[call->verb];
    request->body = call->verb == IST__CLOUD_UPLOAD_BEGIN ? "" : call->body;
    request->body_size = call->size;
    IST_TRY(add_bucket(store, credentials, region, &request->url, err));
    IST_TRY(ist_buffer_append(&request->url, "/", 1, err));
    if (call->verb != IST__CLOUD_LIST)
        IST_TRY(ist__uri_encode(call->key, strlen(call->key), "/", &request->url, err));
    IST_TRY(add_query(call, &request->url, err));
    IST_TRY(add_headers(call, request, err));
    return ist__cloud_is_signed(credentials) ? sign(keys, region, call, request, err) : IST_OK;
}

/* Answers ---------------------------------------------------------------------------------------------------------- */

typedef struct page_reader {
    ist__cloud_page *page;
    ist_buffer key;
    uint64_t size;
    int64_t modified_ms;
} page_reader;

/* Names in listings are URL-encoded, as XML cannot hold every character; a space is '+'. */
static ist_status decode_name(const char *text, ist_buffer *out, ist_error *err)
{
    size_t size = strlen(text);
    char *spaced;
    ist_buffer_clear(out);
    IST_TRY(ist__strdup(text, &spaced, err));
    for (char *at = spaced; *at; at++)
        if (*at == '+')
            *at = ' ';
    ist_status status = ist__uri_decode(spaced, size, out, err);
    free(spaced);
    return status;
}

static ist_status on_page_element(const char *path, const char *text, void *payload, ist_error *err)
{
    page_reader *r = payload;
    if (strcmp(path, "ListBucketResult/Contents/Key") == 0)
        return decode_name(text, &r->key, err);
    if (strcmp(path, "ListBucketResult/Contents/Size") == 0)
        r->size = strtoull(text, NULL, 10);
    else if (strcmp(path, "ListBucketResult/Contents/LastModified") == 0)
        r->modified_ms = ist__cloud_time(text);
    else if (strcmp(path, "ListBucketResult/Contents") == 0 && r->key.size)
        return ist__cloud_page_add(r->page, r->key.data, r->size, r->modified_ms, err);
    else if (strcmp(path, "ListBucketResult/NextContinuationToken") == 0 && *text && !r->page->next)
        return ist__strdup(text, &r->page->next, err);
    return IST_OK;
}

static ist_status s3_read_page(const char *body, size_t size, ist__cloud_page *page, ist_error *err)
{
    page_reader r = {.page = page};
    ist_status status = ist__xml_read(body, size, on_page_element, &r, err);
    ist_buffer_free(&r.key);
    return status;
}

static ist_status on_upload_element(const char *path, const char *text, void *payload, ist_error *err)
{
    ist_buffer *upload = payload;
    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0 || upload->size)
        return IST_OK;
    return ist_buffer_append_string(upload, text, err);
}

static ist_status s3_read_upload(const ist__http_reply *reply, ist_buffer *upload, ist_error *err)
{
    IST_TRY(ist__xml_read(reply->body.data ? reply->body.data : "", reply->body.size, on_upload_element, upload, err));
    if (upload->size == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "S3 began an upload without giving its id");
    return IST_OK;
}

static ist_status s3_part_id(int part, const ist__http_reply *reply, char out[IST__CLOUD_PART_ID_MAX], ist_error *err)
{
    if (!reply->etag[0] || strlen(reply->etag) >= IST__CLOUD_PART_ID_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "S3 took part %d without giving its ETag", part);
    memcpy(out, reply->etag, strlen(reply->etag) + 1);
    return IST_OK;
}

static ist_status s3_end_body(const ist__cloud_call *call, ist_buffer *body, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(body, "<CompleteMultipartUpload>", err));
    for (int i = 0; i < call->part_count; i++) {
        IST_TRY(ist_buffer_printf(body, err, "<Part><PartNumber>%d</PartNumber><ETag>", i + 1));
        IST_TRY(ist__xml_escape(call->parts[i], body, err));
        IST_TRY(ist_buffer_append_string(body, "</ETag></Part>", err));
    }
    return ist_buffer_append_string(body, "</CompleteMultipartUpload>", err);
}

const ist__cloud_backend ist__s3_backend = {
    .name = "S3",
    .hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    .suffix_ranges = true,
    .parts_at_once = 4,
    .begin_is_needed = true,
    .request = s3_request,
    .read_page = s3_read_page,
    .read_upload = s3_read_upload,
    .part_id = s3_part_id,
    .end_body = s3_end_body,
    .read_error = ist__xml_error_code,
};

/* Options and environment -------------------------------------------------------------------------------------------------- */

static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
    if (text)
        yyjson_mut_obj_add_strcpy(doc, object, key, text);
}

static ist_status give(const char *key, const char *secret, const char *token, const ist__storage_options *options,
                       ist_credentials **out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *keys = yyjson_mut_obj_add_obj(doc, root, "aws_temp_credentials");
    yyjson_mut_doc_set_root(doc, root);
    add_text(doc, keys, "access_key_id", key);
    add_text(doc, keys, "secret_access_key", secret);
    add_text(doc, keys, "session_token", token);
    ist__storage_describe(options, false, doc, root);
    return ist__cloud_static(doc, out, err);
}

/* Of a profile of AWS' tools; NULL stands for the default one, which need not be there. */
static ist_status give_profile(const char *name, const ist__storage_options *options, ist_credentials **out,
                               ist_error *err)
{
    ist__aws_profile profile;
    ist__storage_options with_region = *options;
    ist_status status = ist__aws_profile_read(name ? name : "default", &profile, name ? err : NULL);
    bool has_keys = status == IST_OK && profile.key[0] && profile.secret[0];
    if (status == IST_OK && profile.region[0] && !options->text[IST__OPTION_REGION] &&
        !environment("AWS_REGION", "AWS_DEFAULT_REGION"))
        with_region.text[IST__OPTION_REGION] = profile.region;
    if (has_keys)
        status = give(profile.key, profile.secret, profile.token[0] ? profile.token : NULL, &with_region, out, err);
    else if (status == IST_OK && name)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                               "the AWS profile %.140s has no aws_access_key_id with its aws_secret_access_key; of one that "
                               "has a role or single sign-on, `aws configure export-credentials --format env` tells keys",
                               name);
    explicit_bzero(&profile, sizeof profile);
    return has_keys || name ? status : IST_OK;
}

/* A key, its secret and its token come from one place: the options, a profile that they name, the environment, a profile. */
ist_status ist__s3_credentials(const ist__storage_options *options, ist_credentials **out, ist_error *err)
{
    const char *key = options->text[IST__OPTION_KEY_ID], *secret = options->text[IST__OPTION_SECRET_KEY];
    const char *profile = options->text[IST__OPTION_PROFILE];
    *out = NULL;
    if (!key != !secret)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the storage options have %s without %s",
                             key ? "aws_access_key_id" : "aws_secret_access_key",
                             key ? "aws_secret_access_key" : "aws_access_key_id");
    if (key)
        return give(key, secret, options->text[IST__OPTION_SESSION_TOKEN], options, out, err);
    key = getenv("AWS_ACCESS_KEY_ID");
    secret = getenv("AWS_SECRET_ACCESS_KEY");
    if (!profile && key && *key && secret && *secret)
        return give(key, secret, getenv("AWS_SESSION_TOKEN"), options, out, err);
    return give_profile(profile ? profile : environment("AWS_PROFILE", "AWS_DEFAULT_PROFILE"), options, out, err);
}
