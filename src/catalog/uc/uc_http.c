/*
 * uc_http.c: one call over HTTP: a connection from the pool, the bearer token, attempts until it is answered.
 *
 * What may be repeated, and when (README.md has the reasons):
 *   - no connection came about, 429, or 503 that says when to come again: the server has not done it; any request is
 *     repeated
 *   - 502, 503, 504, a connection that broke: it may have been done; repeatable requests only
 *   - 401: it was not done; once more with a new token, where one can be had
 * Everything ends at one deadline, pauses included. Redirects are not followed: the token goes to no other host.
 */
#include "catalog/uc/uc_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yyjson.h>

enum {
    CONNECT_TIMEOUT_MS = 10000,
    ATTEMPTS_MAX = 5,
    BACKOFF_FIRST_MS = 100, /* doubled for each attempt */
    BACKOFF_FIRST_DATABRICKS_MS = 750,
    BACKOFF_MAX_MS = 10000,
    REPLY_FIRST_BYTES = 16384, /* most answers fit without growing, which would leave copies of secrets behind */
};

static CURL *take_handle(ist__uc *client)
{
    CURL *curl = NULL;
    pthread_mutex_lock(&client->mutex);
    if (client->idle_count > 0)
        curl = client->idle[--client->idle_count];
    pthread_mutex_unlock(&client->mutex);
    return curl ? curl : curl_easy_init();
}

static void give_handle(ist__uc *client, CURL *curl)
{
    curl_easy_reset(curl); /* options go, the connection stays */
    pthread_mutex_lock(&client->mutex);
    if (client->idle_count < IST__UC_POOL_MAX) {
        client->idle[client->idle_count++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&client->mutex);
    curl_easy_cleanup(curl);
}

static size_t on_data(char *data, size_t size, size_t count, void *payload)
{
    return ist_buffer_append(payload, data, size * count, NULL) == IST_OK ? size * count : 0;
}

static void set_authentication(CURL *curl, const ist__uc_request *request, const ist_buffer *token)
{
    if (request->user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, request->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, request->password);
    } else if (token->size) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token->data);
    }
}

static void set_options(const ist__uc *client, CURL *curl, const ist__uc_request *request, const char *url,
                        const ist_buffer *token, int64_t timeout_ms, ist_buffer *reply, char *detail)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "isthmus"); /* the history of queries tells it */
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (client->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    if (client->loopback)
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, request->form ? NULL : client->json_headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    set_authentication(curl, request, token);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
    } else if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
}

/* What became of one attempt. */
typedef struct attempt {
    bool sent; /* the server may have seen it */
    int http;
    int64_t retry_after_ms;
} attempt;

/* One request, one answer. Errors are those of the way there; result and reply tell what the server said. */
static ist_status send_once(const ist__uc *client, CURL *curl, const ist__uc_request *request, const char *url,
                            const ist_buffer *token, int64_t timeout_ms, ist_buffer *reply, attempt *result,
                            ist_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    set_options(client, curl, request, url, token, timeout_ms, reply, detail);
    CURLcode code = curl_easy_perform(curl);
    *result = (attempt){.sent = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST &&
                                code != CURLE_COULDNT_RESOLVE_PROXY};
    const char *why = detail[0] ? detail : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        break;
    case CURLE_WRITE_ERROR:
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "the catalog server's answer is larger than %d bytes",
                             IST__CATALOG_REPLY_MAX);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ist_error_set(err, IST_UNAUTHENTICATED, 0, NULL,
                             "the catalog server %s does not prove who it is: %s; a server with a certificate of its "
                             "own needs its CA file named (ISTHMUS_CA_FILE)",
                             client->host, why);
    default:
        return ist_error_set(err, IST_RETRYABLE, 0, NULL, "cannot reach the catalog server %s: %s%s", client->host,
                             why, result->sent ? "" : "; is it running?");
    }
    long status = 0;
    curl_off_t asked = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &asked);
    result->http = (int)status;
    result->retry_after_ms = asked < 0 || asked > INT32_MAX ? 0 : (int64_t)asked * 1000;
    return IST_OK;
}

/* Wait before attempt n + 1: exponential, jittered, and not less than the server asked for. False: not before the
 * deadline. */
static bool back_off(const ist__uc *client, int n, int64_t retry_after_ms, int64_t deadline_us)
{
    int64_t ms = (int64_t)(client->databricks ? BACKOFF_FIRST_DATABRICKS_MS : BACKOFF_FIRST_MS) << n;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    ms += ist__monotonic_us() % (ms / 2 + 1);
    if (ms < retry_after_ms)
        ms = retry_after_ms + ist__monotonic_us() % BACKOFF_FIRST_MS;
    if (ist__monotonic_us() + ms * 1000 >= deadline_us)
        return false;
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait) != 0)
        ;
    return true;
}

static bool may_repeat(const ist__uc_request *request, ist_status status, const attempt *last)
{
    if (status != IST_RETRYABLE)
        return false;
    if (last->http == 429)
        return !request->exhausted_is_final;
    bool put_off = last->http == 503 && last->retry_after_ms > 0;
    return request->repeatable || !last->sent || put_off;
}

/* One attempt with the token of the moment; *again: the token was refused and there can be another. */
static ist_status send_with_token(ist__uc *client, CURL *curl, const ist__uc_request *request, const char *url,
                                  int64_t deadline_us, ist_buffer *reply, attempt *result, bool *refused,
                                  ist_error *err)
{
    ist_buffer token = IST_BUFFER_INIT;
    uint64_t generation = 0;
    ist_status status = IST_OK;
    *result = (attempt){0};
    if (!request->anonymous)
        IST_TRY_GOTO(ist__uc_tokens_get(client, deadline_us, &token, &generation, err));
    int64_t left_ms = (deadline_us - ist__monotonic_us()) / 1000;
    status = send_once(client, curl, request, url, &token, left_ms > 1 ? left_ms : 1, reply, result, err);
    if (status == IST_OK && result->http / 100 != 2) {
        char what[512];
        snprintf(what, sizeof what, "%s %.400s", request->method, request->path);
        status = ist__uc_error_from_reply(result->http, reply->data, reply->size, what, err);
        *refused = result->http == 401 && !request->anonymous && ist__uc_tokens_refused(&client->tokens, generation);
    }
done:
    ist__buffer_wipe(&token);
    return status;
}

static bool is_json(const ist_buffer *reply)
{
    yyjson_doc *doc = reply->size ? yyjson_read(reply->data, reply->size, 0) : NULL;
    yyjson_doc_free(doc);
    return doc != NULL;
}

ist_status ist__uc_send(ist__uc *client, const ist__uc_request *request, ist_buffer *out, ist_error *err)
{
    ist_buffer url = IST_BUFFER_INIT, reply = {.limit = IST__CATALOG_REPLY_MAX};
    ist_status status = IST_OK;
    int64_t deadline_us = request->deadline_us ? request->deadline_us : ist__monotonic_us() + client->timeout_ms * 1000;
    bool renewed = false;
    CURL *curl = take_handle(client);
    if (!curl)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a connection");
    IST_TRY_GOTO(ist_buffer_printf(&url, err, "%s%s", request->path[0] == '/' ? client->host : "", request->path));
    IST_TRY_GOTO(ist_buffer_reserve(&reply, REPLY_FIRST_BYTES, err));
    for (int n = 0;;) {
        attempt last;
        bool refused = false;
        ist_buffer_clear(&reply);
        ist_error_clear(err);
        status = send_with_token(client, curl, request, url.data, deadline_us, &reply, &last, &refused, err);
        if (refused && !renewed) {
            renewed = true;
            continue;
        }
        if (!may_repeat(request, status, &last) || ++n == ATTEMPTS_MAX ||
            !back_off(client, n - 1, last.retry_after_ms, deadline_us))
            break;
    }
    if (status == IST_OK && out && !(request->words_allowed && !is_json(&reply)))
        status = ist__uc_reply_check(reply.data, reply.size, request->any_json, out, err);
done:
    give_handle(client, curl);
    ist_buffer_free(&url);
    ist__buffer_wipe(&reply);
    return status;
}

ist_status ist__uc_reply_check(const char *body, size_t size, bool any_json, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = size ? yyjson_read(body, size, 0) : NULL;
    bool good = any_json ? doc || size == 0 : yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the catalog server's answer is not %s: is it a Unity Catalog server?", any_json ? "JSON" : "a JSON object");
    return ist_buffer_append(out, body, size, err);
}
