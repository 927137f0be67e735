/*
 * gcs_token.c: OAuth 2.0 tokens of Google Cloud: a JWT signed with the service account's key, or a refresh token, for an
 * access token; an access token for one that is good for a folder only.
 */
#include "store/gcs_token.h"

#include "util/util.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#define SCOPE "https://www.googleapis.com/auth/devstorage.full_control"
#define DEFAULT_TOKEN_URI "https://oauth2.googleapis.com/token"
#define DEFAULT_STS "https://sts.googleapis.com/v1/token"

enum { ASSERTION_SECONDS = 3600 };

void ist__gcs_token_free(ist__gcs_token *token)
{
    if (token->text.data)
        explicit_bzero(token->text.data, token->text.capacity);
    ist_buffer_free(&token->text);
}

static ist_status append_signature(const char *pem, ist_buffer *jwt, ist_error *err)
{
    unsigned char signature[1024];
    size_t size = sizeof signature;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = key && context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, signature, &size, (const unsigned char *)jwt->data, jwt->size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the service account's private_key is not an RSA key in PEM");
    IST_TRY(ist_buffer_append(jwt, ".", 1, err));
    return ist__base64url(signature, size, jwt, err);
}

/* What the service account says of itself, signed. */
static ist_status make_assertion(yyjson_val *file, const char *token_uri, ist_buffer *jwt, ist_error *err)
{
    static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    const char *email = yyjson_get_str(yyjson_obj_get(file, "client_email"));
    const char *pem = yyjson_get_str(yyjson_obj_get(file, "private_key"));
    int64_t now = ist__now_ms() / 1000;
    ist_status status;
    if (!email || !pem)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the service account has no client_email or private_key");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "iss", email);
    yyjson_mut_obj_add_str(doc, root, "scope", SCOPE);
    yyjson_mut_obj_add_str(doc, root, "aud", token_uri);
    yyjson_mut_obj_add_sint(doc, root, "iat", now);
    yyjson_mut_obj_add_sint(doc, root, "exp", now + ASSERTION_SECONDS);
    char *text = yyjson_mut_write(doc, 0, NULL);
    yyjson_mut_doc_free(doc);
    if (!text)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a token");
    IST_TRY_GOTO(ist__base64url(header, sizeof header - 1, jwt, err));
    IST_TRY_GOTO(ist_buffer_append(jwt, ".", 1, err));
    IST_TRY_GOTO(ist__base64url(text, strlen(text), jwt, err));
    status = append_signature(pem, jwt, err);
done:
    free(text);
    return status;
}

static ist_status add_field(ist_buffer *body, const char *name, const char *value, ist_error *err)
{
    IST_TRY(ist_buffer_printf(body, err, "%s%s=", body->size ? "&" : "", name));
    return ist__uri_encode(value, strlen(value), "", body, err);
}

/* Post a form and take access_token out of the answer. */
static ist_status post(ist__http *http, const char *uri, const ist_buffer *body, ist__gcs_token *out, ist_error *err)
{
    ist__http_request request = {.method = "POST", .body = body->data, .body_size = body->size};
    ist__http_reply reply = {0};
    yyjson_doc *doc = NULL;
    ist_status status;
    IST_TRY_GOTO(ist_buffer_append_string(&request.url, uri, err));
    IST_TRY_GOTO(ist__http_header(&request, err, "Content-Type: application/x-www-form-urlencoded"));
    IST_TRY_GOTO(ist__http_send(http, &request, &reply, err));
    doc = reply.body.size ? yyjson_read(reply.body.data, reply.body.size, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *token = yyjson_get_str(yyjson_obj_get(root, "access_token"));
    const char *error = yyjson_get_str(yyjson_obj_get(root, "error"));
    if (reply.status != 200 || !token) {
        status = ist_error_set(err, reply.status >= 500 ? IST_RETRYABLE : IST_UNAUTHENTICATED, reply.status, NULL,
                               "the token service %.200s gives no token: %d %.100s", uri, reply.status,
                               error ? error : "");
        goto done;
    }
    yyjson_val *life = yyjson_obj_get(root, "expires_in");
    out->expires_ms = yyjson_is_int(life) ? ist__now_ms() + yyjson_get_sint(life) * 1000 : 0;
    status = ist_buffer_append_string(&out->text, token, err);
done:
    yyjson_doc_free(doc);
    ist__http_request_free(&request);
    ist__http_reply_free(&reply);
    return status;
}

static ist_status add_grant(yyjson_val *file, const char *token_uri, ist_buffer *body, ist_error *err)
{
    static const char *const names[] = {"client_id", "client_secret", "refresh_token"};
    const char *type = yyjson_get_str(yyjson_obj_get(file, "type"));
    if (type && strcmp(type, "service_account") == 0) {
        ist_buffer jwt = IST_BUFFER_INIT;
        ist_status status;
        IST_TRY_GOTO(make_assertion(file, token_uri, &jwt, err));
        IST_TRY_GOTO(add_field(body, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", err));
        status = add_field(body, "assertion", jwt.data, err);
    done:
        ist_buffer_free(&jwt);
        return status;
    }
    if (!type || strcmp(type, "authorized_user") != 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the key file is neither a service_account's nor an authorized_user's");
    IST_TRY(add_field(body, "grant_type", "refresh_token", err));
    for (size_t i = 0; i < 3; i++) {
        const char *value = yyjson_get_str(yyjson_obj_get(file, names[i]));
        if (!value)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the key file of the user has no %s", names[i]);
        IST_TRY(add_field(body, names[i], value, err));
    }
    return IST_OK;
}

ist_status ist__gcs_token_get(ist__http *http, const char *key_file, ist__gcs_token *out, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(key_file, strlen(key_file), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *uri = yyjson_get_str(yyjson_obj_get(root, "token_uri"));
    ist_buffer body = IST_BUFFER_INIT;
    if (!uri)
        uri = DEFAULT_TOKEN_URI;
    ist_status status = add_grant(root, uri, &body, err);
    if (status == IST_OK)
        status = post(http, uri, &body, out, err);
    if (body.data)
        explicit_bzero(body.data, body.capacity);
    ist_buffer_free(&body);
    yyjson_doc_free(doc);
    return status;
}

/* The rule "only objects beneath bucket/prefix/", as the boundary's JSON. */
static ist_status make_boundary(const char *bucket, const char *prefix, bool write, ist_buffer *out, ist_error *err)
{
    ist_buffer resource = IST_BUFFER_INIT, condition = IST_BUFFER_INIT;
    ist_status status;
    char *text = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *boundary = yyjson_mut_obj_add_obj(doc, root, "accessBoundary");
    yyjson_mut_val *rules = yyjson_mut_obj_add_arr(doc, boundary, "accessBoundaryRules");
    yyjson_mut_val *rule = yyjson_mut_arr_add_obj(doc, rules);
    yyjson_mut_val *permissions = yyjson_mut_obj_add_arr(doc, rule, "availablePermissions");
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_arr_add_str(doc, permissions, write ? "inRole:roles/storage.objectAdmin"
                                                   : "inRole:roles/storage.objectViewer");
    IST_TRY_GOTO(ist_buffer_printf(&resource, err, "//storage.googleapis.com/projects/_/buckets/%s", bucket));
    yyjson_mut_obj_add_strcpy(doc, rule, "availableResource", resource.data);
    if (*prefix) {
        if (strpbrk(prefix, "'\\")) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the location %s has a quote or backslash", prefix);
            goto done;
        }
        IST_TRY_GOTO(ist_buffer_printf(&condition, err,
                                       "resource.name.startsWith('projects/_/buckets/%s/objects/%s/') || "
                                       "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
                                       ".startsWith('%s/')",
                                       bucket, prefix, prefix));
        yyjson_mut_val *available = yyjson_mut_obj_add_obj(doc, rule, "availabilityCondition");
        yyjson_mut_obj_add_strcpy(doc, available, "expression", condition.data);
    }
    text = yyjson_mut_write(doc, 0, NULL);
    status = text ? ist_buffer_append_string(out, text, err)
                  : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a token");
done:
    free(text);
    yyjson_mut_doc_free(doc);
    ist_buffer_free(&resource);
    ist_buffer_free(&condition);
    return status;
}

ist_status ist__gcs_token_downscope(ist__http *http, const ist__gcs_token *token, const char *bucket,
                                    const char *prefix, bool write, const char *endpoint, ist__gcs_token *out,
                                    ist_error *err)
{
    static const char access_token[] = "urn:ietf:params:oauth:token-type:access_token";
    ist_buffer body = IST_BUFFER_INIT, boundary = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(make_boundary(bucket, prefix, write, &boundary, err));
    IST_TRY_GOTO(add_field(&body, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", err));
    IST_TRY_GOTO(add_field(&body, "requested_token_type", access_token, err));
    IST_TRY_GOTO(add_field(&body, "subject_token_type", access_token, err));
    IST_TRY_GOTO(add_field(&body, "subject_token", token->text.data, err));
    IST_TRY_GOTO(add_field(&body, "options", boundary.data, err));
    IST_TRY_GOTO(post(http, endpoint ? endpoint : DEFAULT_STS, &body, out, err));
    if (out->expires_ms == 0 || out->expires_ms > token->expires_ms)
        out->expires_ms = token->expires_ms; /* narrowing down makes no token live longer */
done:
    if (body.data)
        explicit_bzero(body.data, body.capacity);
    ist_buffer_free(&body);
    ist_buffer_free(&boundary);
    return status;
}
