/*
 * uc_client.c: Unity Catalog's REST API over libcurl, for `isthmus serve` and other Unity Catalog servers.
 *
 * Connections are kept in a small pool and reused. The token travels in the Authorization header only; redirects are
 * not followed, so it goes to no other host.
 */
#include "catalog/catalog_json.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    POOL_MAX = 8,             /* idle connections kept */
    CONNECT_TIMEOUT_MS = 10000,
    REQUEST_TIMEOUT_MS = 120000,
    ATTEMPTS_MAX = 5,
    BACKOFF_FIRST_MS = 100,   /* doubled for each attempt */
    BACKOFF_MAX_MS = 5000,
};

typedef struct uc {
    char *host; /* "http://127.0.0.1:8080" */
    char *token;
    struct curl_slist *headers;
    pthread_mutex_t mutex; /* guards the pool */
    CURL *idle[POOL_MAX];
    int idle_count;
} uc;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURL *take_handle(uc *client)
{
    CURL *curl = NULL;
    pthread_mutex_lock(&client->mutex);
    if (client->idle_count > 0)
        curl = client->idle[--client->idle_count];
    pthread_mutex_unlock(&client->mutex);
    return curl ? curl : curl_easy_init();
}

static void give_handle(uc *client, CURL *curl)
{
    curl_easy_reset(curl); /* options go, the connection stays */
    pthread_mutex_lock(&client->mutex);
    if (client->idle_count < POOL_MAX) {
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

/* One request, one answer. Errors are those of the way there; *http and reply tell what the server said. */
static ist_status request_once(uc *client, CURL *curl, const char *method, const char *url, const char *body,
                               int *http, ist_buffer *reply, bool *sent, ist_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)REQUEST_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    if (client->token) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, client->token);
    }
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    }
    CURLcode code = curl_easy_perform(curl);
    *sent = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST;
    if (code == CURLE_WRITE_ERROR)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "the catalog server's answer is larger than %d bytes",
                             IST__CATALOG_REPLY_MAX);
    if (code != CURLE_OK)
        return ist_error_set(err, IST_RETRYABLE, 0, NULL, "cannot reach the catalog server %s: %s%s", client->host,
                             detail[0] ? detail : curl_easy_strerror(code), *sent ? "" : "; is it running?");
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *http = (int)status;
    return IST_OK;
}

/* Wait before attempt n + 1: exponential, jittered, and not less than the server asked for. */
static void back_off(CURL *curl, int attempt)
{
    curl_off_t asked = 0;
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &asked);
    int64_t ms = (int64_t)BACKOFF_FIRST_MS << attempt;
    ms += ist__monotonic_us() % (ms / 2 + 1);
    if (ms < asked * 1000)
        ms = asked * 1000;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

/*
 * Send a request and append the body of a 2xx answer to out.
 * A request is repeated after a passing fault when repeating is harmless: a GET always, others only when the server
 * has not taken the request on (no connection, or 429).
 *   wait_on_429  false: 429 asks the caller to do something first
 */
static ist_status call_with(uc *client, const char *method, const char *path, const char *body, bool wait_on_429,
                            ist_buffer *out, ist_error *err)
{
    ist_buffer url = IST_BUFFER_INIT, reply = {.limit = IST__CATALOG_REPLY_MAX};
    ist_status status = IST_OK;
    CURL *curl = take_handle(client);
    if (!curl)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a connection");
    IST_TRY_GOTO(ist_buffer_printf(&url, err, "%s%s", client->host, path));
    bool is_get = strcmp(method, "GET") == 0;
    for (int attempt = 0;; attempt++) {
        int http = 0;
        bool sent = false;
        ist_buffer_clear(&reply);
        ist_error_clear(err);
        status = request_once(client, curl, method, url.data, body, &http, &reply, &sent, err);
        bool again = status == IST_RETRYABLE && (is_get || !sent);
        if (status == IST_OK && http / 100 != 2) {
            char what[512];
            snprintf(what, sizeof what, "%s %.400s", method, path);
            status = ist__uc_error_from_reply(http, reply.data, reply.size, what, err);
            again = status == IST_RETRYABLE && (is_get || (http == 429 && wait_on_429));
        }
        if (!again || attempt + 1 == ATTEMPTS_MAX)
            break;
        back_off(curl, attempt);
    }
    if (status == IST_OK && out)
        status = ist__uc_reply_check(reply.data, reply.size, out, err);
done:
    give_handle(client, curl);
    ist_buffer_free(&url);
    ist_buffer_free(&reply);
    return status;
}

static ist_status call(uc *client, const char *method, const char *path, const char *body, ist_buffer *out,
                       ist_error *err)
{
    return call_with(client, method, path, body, true, out, err);
}

ist_status ist__uc_reply_check(const char *body, size_t size, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = size ? yyjson_read(body, size, 0) : NULL;
    bool good = yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the catalog server's answer is not a JSON object: is it a Unity Catalog server?");
    return ist_buffer_append(out, body, size, err);
}

/* The calls -------------------------------------------------------------------------------------------------------- */

static ist_status add_parameter(ist_buffer *path, const char *key, const char *value, ist_error *err)
{
    IST_TRY(ist_buffer_printf(path, err, "%c%s=", strchr(path->data, '?') ? '&' : '?', key));
    return ist__uri_encode(value, strlen(value), "", path, err);
}

static ist_status object_path(ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist_buffer full = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    for (int i = 0; i < name->count; i++)
        if (strchr(name->part[i], '.') || strchr(name->part[i], '/')) {
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the name '%s' has a '.' or '/'", name->part[i]);
            goto done;
        }
    IST_TRY_GOTO(ist__name_join(name, &full, err));
    IST_TRY_GOTO(ist_buffer_printf(out, err, IST__CATALOG_PATH "/%s/", ist__securable_plural(kind)));
    IST_TRY_GOTO(ist__uri_encode(full.data, full.size, "", out, err));
done:
    ist_buffer_free(&full);
    return status;
}

static ist_status call_object(uc *client, const char *method, ist_securable kind, const ist__name *name,
                              const char *query, const char *body, ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(object_path(kind, name, &path, err));
    IST_TRY_GOTO(ist_buffer_append_string(&path, query, err));
    status = call(client, method, path.data, body, out, err);
done:
    ist_buffer_free(&path);
    return status;
}

static ist_status uc_create(void *self, ist_securable kind, const char *body, ist_buffer *out, ist_error *err)
{
    char path[128];
    snprintf(path, sizeof path, IST__CATALOG_PATH "/%s", ist__securable_plural(kind));
    return call(self, "POST", path, body, out, err);
}

static ist_status uc_get(void *self, ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err)
{
    return call_object(self, "GET", kind, name, "", NULL, out, err);
}

static ist_status uc_update(void *self, ist_securable kind, const ist__name *name, const char *patch, ist_buffer *out,
                            ist_error *err)
{
    return call_object(self, "PATCH", kind, name, "", patch, out, err);
}

static ist_status uc_remove(void *self, ist_securable kind, const ist__name *name, bool force, ist_error *err)
{
    return call_object(self, "DELETE", kind, name, force ? "?force=true" : "", NULL, NULL, err);
}

static ist_status uc_list(void *self, ist_securable kind, const ist__name *parent, int max_results,
                          const char *page_token, ist_buffer *out, ist_error *err)
{
    static const char *const keys[] = {"catalog_name", "schema_name"};
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist_buffer_printf(&path, err, IST__CATALOG_PATH "/%s", ist__securable_plural(kind)));
    for (int i = 0; i < parent->count; i++)
        IST_TRY_GOTO(add_parameter(&path, keys[i], parent->part[i], err));
    if (max_results != 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", max_results);
        IST_TRY_GOTO(add_parameter(&path, "max_results", number, err));
    }
    if (*page_token)
        IST_TRY_GOTO(add_parameter(&path, "page_token", page_token, err));
    status = call(self, "GET", path.data, NULL, out, err);
done:
    ist_buffer_free(&path);
    return status;
}

static ist_status uc_create_staging_table(void *self, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist_buffer body = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "catalog_name", name->part[0]);
    yyjson_mut_obj_add_str(doc, root, "schema_name", name->part[1]);
    yyjson_mut_obj_add_str(doc, root, "name", name->part[2]);
    ist_status status = ist__json_finish(doc, &body, err);
    if (status == IST_OK)
        status = call(self, "POST", IST__CATALOG_PATH "/staging-tables", body.data, out, err);
    ist_buffer_free(&body);
    return status;
}

static ist_status uc_get_credentials(void *self, const char *request, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = NULL;
    IST_TRY(ist__json_read_object(request, &doc, err));
    bool table = yyjson_obj_get(yyjson_doc_get_root(doc), "table_id") != NULL;
    yyjson_doc_free(doc);
    return call(self, "POST",
                table ? IST__CATALOG_PATH "/temporary-table-credentials"
                      : IST__CATALOG_PATH "/temporary-path-credentials",
                request, out, err);
}

/* The API has its request in the body of a GET. */
static ist_status uc_get_commits(void *self, const char *request, ist_buffer *out, ist_error *err)
{
    return call(self, "GET", IST__COMMITS_PATH, request, out, err);
}

static ist_status uc_commit(void *self, const char *body, ist_error *err)
{
    return call_with(self, "POST", IST__COMMITS_PATH, body, false, NULL, err);
}

static ist_status uc_get_metastore(void *self, ist_buffer *out, ist_error *err)
{
    return call(self, "GET", IST__CATALOG_PATH "/metastore_summary", NULL, out, err);
}

/* A missing path means a Unity Catalog server that is not Isthmus'. */
static ist_status lineage_error(const uc *client, ist_status status, ist_error *err)
{
    if (status != IST_NOT_FOUND)
        return status;
    return ist_error_set(err, IST_UNSUPPORTED, 404, NULL, "the catalog server %s keeps no lineage", client->host);
}

static ist_status uc_post_lineage(void *self, const char *event, ist_error *err)
{
    return lineage_error(self, call(self, "POST", IST__LINEAGE_POST_PATH, event, NULL, err), err);
}

static ist_status uc_get_lineage(void *self, const char *dataset, ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = ist_buffer_append_string(&path, IST__LINEAGE_GET_PATH, err);
    if (status == IST_OK && dataset)
        status = add_parameter(&path, "table", dataset, err);
    if (status == IST_OK)
        status = lineage_error(self, call(self, "GET", path.data, NULL, out, err), err);
    ist_buffer_free(&path);
    return status;
}

static void uc_free(void *self)
{
    uc *client = self;
    for (int i = 0; i < client->idle_count; i++)
        curl_easy_cleanup(client->idle[i]);
    curl_slist_free_all(client->headers);
    pthread_mutex_destroy(&client->mutex);
    free(client->host);
    if (client->token)
        explicit_bzero(client->token, strlen(client->token));
    free(client->token);
    free(client);
}

/* "https://h/api/2.1/unity-catalog/" -> "https://h" */
static ist_status set_host(uc *client, const char *uri, ist_error *err)
{
    size_t size = strlen(uri), suffix = strlen(IST__CATALOG_PATH);
    bool good = strncmp(uri, "http://", 7) == 0 || strncmp(uri, "https://", 8) == 0;
    for (size_t i = 0; i < size; i++)
        good = good && (unsigned char)uri[i] > 0x20 && uri[i] != 0x7F && uri[i] != '?' && uri[i] != '#';
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the catalog '%.300s' is neither http://..., https://... nor sqlite:/path", uri);
    while (uri[size - 1] == '/')
        size--;
    if (size > suffix && strncmp(uri + size - suffix, IST__CATALOG_PATH, suffix) == 0)
        size -= suffix;
    IST_TRY(ist__strdup(uri, &client->host, err));
    client->host[size] = '\0';
    return IST_OK;
}

ist_status ist__uc_open(const char *uri, const char *token, ist_catalog *out, ist_error *err)
{
    static const ist__catalog_backend backend = {
        .create = uc_create,
        .get = uc_get,
        .update = uc_update,
        .remove = uc_remove,
        .list = uc_list,
        .create_staging_table = uc_create_staging_table,
        .get_credentials = uc_get_credentials,
        .get_commits = uc_get_commits,
        .commit = uc_commit,
        .get_metastore = uc_get_metastore,
        .post_lineage = uc_post_lineage,
        .get_lineage = uc_get_lineage,
        .free = uc_free,
    };
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);

    uc *client = NULL;
    ist_status status = IST_OK;
    IST_TRY(ist__alloc(1, sizeof *client, (void **)&client, err));
    pthread_mutex_init(&client->mutex, NULL);
    IST_TRY_GOTO(set_host(client, uri, err));
    for (const char *at = token ? token : ""; *at; at++)
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7F) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the catalog token has a character that no token has");
            goto done;
        }
    if (token && *token)
        IST_TRY_GOTO(ist__strdup(token, &client->token, err));
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!client->headers) {
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a catalog client");
        goto done;
    }
    out->backend = &backend;
    out->self = client;
    return IST_OK;
done:
    uc_free(client);
    return status;
}
