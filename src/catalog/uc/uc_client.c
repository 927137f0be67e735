/*
 * uc_client.c: the calls of isthmus/catalog.h as requests of Unity Catalog's REST API, for `isthmus serve`, the open
 * Unity Catalog server and Databricks.
 */
#include "catalog/catalog_json.h"
#include "catalog/uc/uc_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static ist_status call(ist__uc *client, const char *method, const char *path, const char *body, ist_buffer *out,
                       ist_error *err)
{
    const ist__uc_request request = {
        .method = method, .path = path, .body = body, .repeatable = strcmp(method, "GET") == 0};
    return ist__uc_send(client, &request, out, err);
}

/* The calls -------------------------------------------------------------------------------------------------------- */

static ist_status add_parameter(ist_buffer *path, const char *key, const char *value, ist_error *err)
{
    IST_TRY(ist_buffer_printf(path, err, "%c%s=", strchr(path->data, '?') ? '&' : '?', key));
    return ist__uri_encode(value, strlen(value), "", path, err);
}

/* "/models/main.demo.m/versions/3", "/tables/main.demo.t", "/metastore_summary" */
static ist_status object_path(ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist_buffer full = IST_BUFFER_INIT;
    ist__name outer = *name; /* without a model version's number, which is a segment of its own */
    ist_status status = IST_OK;
    for (int i = 0; i < name->count; i++)
        if (strchr(name->part[i], '.') || strchr(name->part[i], '/')) {
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the name '%s' has a '.' or '/'", name->part[i]);
            goto done;
        }
    IST_TRY_GOTO(ist_buffer_printf(out, err, IST__CATALOG_PATH "/%s", ist__securable_path(kind)));
    if (kind == IST_SECURABLE_METASTORE)
        goto done;
    if (kind == IST_SECURABLE_MODEL_VERSION)
        outer.count = 3;
    IST_TRY_GOTO(ist__name_join(&outer, &full, err));
    IST_TRY_GOTO(ist_buffer_append_string(out, "/", err));
    IST_TRY_GOTO(ist__uri_encode(full.data, full.size, "", out, err));
    if (kind == IST_SECURABLE_MODEL_VERSION)
        IST_TRY_GOTO(ist_buffer_append_string(out, "/versions", err));
    if (name->count == 4) {
        IST_TRY_GOTO(ist_buffer_append_string(out, "/", err));
        IST_TRY_GOTO(ist__uri_encode(name->part[3], strlen(name->part[3]), "", out, err));
    }
done:
    ist_buffer_free(&full);
    return status;
}

static ist_status call_object(ist__uc *client, const char *method, ist_securable kind, const ist__name *name,
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
    snprintf(path, sizeof path, IST__CATALOG_PATH "/%s%s", ist__securable_path(kind),
             kind == IST_SECURABLE_MODEL_VERSION ? "/versions" : "");
    return call(self, "POST", path, body, out, err);
}

static ist_status uc_get(void *self, ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err)
{
    return call_object(self, "GET", kind, name, "", NULL, out, err);
}

static ist_status uc_update(void *self, ist_securable kind, const ist__name *name, const char *patch, ist_buffer *out,
                            ist_error *err)
{
    ist_error problem = IST_ERROR_INIT;
    ist_status status = call_object(self, "PATCH", kind, name, "", patch, out, &problem);
    /* The open server has no such call, and says so by a failure of its own. */
    bool unknown = problem.code == 405 || (problem.code == 500 && strstr(problem.message, "unwrap service"));
    if (status != IST_OK && kind == IST_SECURABLE_TABLE && unknown)
        return ist_error_set(err, IST_UNSUPPORTED, problem.code, NULL, "the catalog server %s changes no tables",
                             ((const ist__uc *)self)->host);
    if (status != IST_OK && err)
        *err = problem;
    return status;
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
    if (kind == IST_SECURABLE_MODEL_VERSION)
        IST_TRY_GOTO(object_path(kind, parent, &path, err));
    else
        IST_TRY_GOTO(ist_buffer_printf(&path, err, IST__CATALOG_PATH "/%s", ist__securable_path(kind)));
    for (int i = 0; kind != IST_SECURABLE_MODEL_VERSION && i < parent->count; i++)
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

/* Asking twice gives two credentials, which is as good as one. */
static ist_status uc_get_credentials(void *self, const char *request, ist_buffer *out, ist_error *err)
{
    static const struct {
        const char *member, *path;
    } kinds[] = {
        {"table_id", IST__CATALOG_PATH "/temporary-table-credentials"},
        {"volume_id", IST__CATALOG_PATH "/temporary-volume-credentials"},
        {"model_name", IST__CATALOG_PATH "/temporary-model-version-credentials"},
        {"url", IST__CATALOG_PATH "/temporary-path-credentials"},
    };
    yyjson_doc *doc = NULL;
    IST_TRY(ist__json_read_object(request, &doc, err));
    size_t kind = 0;
    while (kind < 3 && !yyjson_obj_get(yyjson_doc_get_root(doc), kinds[kind].member))
        kind++;
    yyjson_doc_free(doc);
    const ist__uc_request post = {
        .method = "POST", .path = kinds[kind].path, .body = request, .repeatable = true};
    return ist__uc_send(self, &post, out, err);
}

/* The API has its request in the body of a GET. */
static ist_status uc_get_commits(void *self, const char *request, ist_buffer *out, ist_error *err)
{
    return call(self, "GET", IST__COMMITS_PATH, request, out, err);
}

static ist_status uc_delta_request(void *self, const char *method, const char *path, const char *body, bool repeatable,
                                   ist_buffer *out, ist_error *err)
{
    ist_buffer whole = IST_BUFFER_INIT;
    ist_status status = ist_buffer_printf(&whole, err, IST__DELTA_PATH "%s", path);
    const ist__uc_request request = {.method = method,
                                     .path = whole.data,
                                     .body = body,
                                     .repeatable = repeatable,
                                     .exhausted_is_final = true};
    if (status == IST_OK)
        status = ist__uc_send(self, &request, out, err);
    ist_buffer_free(&whole);
    return status;
}

/* The same commit again is the same commit; 429 asks to publish first. The answer is text, not JSON. */
static ist_status uc_commit(void *self, const char *body, ist_error *err)
{
    const ist__uc_request request = {.method = "POST",
                                     .path = IST__COMMITS_PATH,
                                     .body = body,
                                     .repeatable = true,
                                     .exhausted_is_final = true};
    return ist__uc_send(self, &request, NULL, err);
}

/* The open Unity Catalog server has its users at a path of its own, and neither groups nor service principals. */
#define SCIM_USERS_PATH "/api/2.0/preview/scim/v2/Users"
#define OPEN_SCIM_USERS_PATH "/api/1.0/unity-control/scim2/Users"

static ist_status send_to_open_users(ist__uc *client, const ist__uc_request *request, ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist__uc_request moved = *request;
    ist_status status =
        ist_buffer_printf(&path, err, OPEN_SCIM_USERS_PATH "%s", request->path + strlen(SCIM_USERS_PATH));
    moved.path = path.data;
    if (status == IST_OK)
        status = ist__uc_send(client, &moved, out, err);
    ist_buffer_free(&path);
    return status;
}

static ist_status uc_request(void *self, const char *method, const char *path, const char *body, int64_t deadline_us,
                             ist_buffer *out, ist_error *err)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"};
    size_t i = 0, count = sizeof methods / sizeof *methods;
    while (i < count && strcmp(methods[i], method) != 0)
        i++;
    if (i == count)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%.20s' is no HTTP method that a catalog has", method);
    bool good = *path == '/';
    for (const char *at = path; *at; at++)
        good = good && (unsigned char)*at > 0x20 && (unsigned char)*at < 0x7F && *at != '#';
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "'%.200s' is no path of a URL: it begins with / and has other characters encoded", path);
    const ist__uc *client = self;
    int64_t own_us = ist__monotonic_us() + client->timeout_ms * 1000;
    const ist__uc_request request = {.method = method,
                                     .path = path,
                                     .body = body,
                                     .repeatable = i < 3,
                                     .any_json = true,
                                     .words_allowed = i >= 2,
                                     .deadline_us = deadline_us && deadline_us < own_us ? deadline_us : own_us};
    ist_status status = ist__uc_send(self, &request, out, err);
    if (status == IST_NOT_FOUND && strncmp(path, SCIM_USERS_PATH, strlen(SCIM_USERS_PATH)) == 0)
        status = send_to_open_users(self, &request, out, err);
    return status;
}

static ist_status uc_get_metastore(void *self, ist_buffer *out, ist_error *err)
{
    return call(self, "GET", IST__CATALOG_PATH "/metastore_summary", NULL, out, err);
}

/* A missing path means a Unity Catalog server that is not Isthmus'. */
static ist_status lineage_error(const ist__uc *client, ist_status status, ist_error *err)
{
    if (status != IST_NOT_FOUND)
        return status;
    return ist_error_set(err, IST_UNSUPPORTED, 404, NULL, "the catalog server %s keeps no lineage", client->host);
}

static ist_status uc_post_lineage(void *self, const char *event, ist_error *err)
{
    return lineage_error(self, call(self, "POST", IST__LINEAGE_POST_PATH, event, NULL, err), err);
}

static ist_status uc_get_lineage(void *self, const char *dataset, int depth, bool columns, ist_buffer *out,
                                 ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = ist_buffer_printf(&path, err, IST__LINEAGE_GET_PATH "?depth=%d&columns=%s", depth,
                                          columns ? "true" : "false");
    if (status == IST_OK && dataset)
        status = add_parameter(&path, "table", dataset, err);
    if (status == IST_OK)
        status = lineage_error(self, call(self, "GET", path.data, NULL, out, err), err);
    ist_buffer_free(&path);
    return status;
}

static ist_status uc_get_token(void *self, ist_buffer *out, ist_error *err)
{
    ist__uc *client = self;
    uint64_t generation;
    return ist__uc_tokens_get(client, ist__monotonic_us() + client->timeout_ms * 1000, out, &generation, err);
}

static void uc_free(void *self)
{
    ist__uc *client = self;
    for (int i = 0; i < client->idle_count; i++)
        curl_easy_cleanup(client->idle[i]);
    curl_slist_free_all(client->json_headers);
    pthread_mutex_destroy(&client->mutex);
    ist__uc_tokens_free(&client->tokens);
    free(client->host);
    free(client->ca_file);
    free(client);
}

/* Does the host end in one of Databricks' domains? */
static bool is_databricks(const char *host)
{
    static const char *const domains[] = {".databricks.com", ".azuredatabricks.net", ".databricks.azure.us",
                                          ".databricks.azure.cn", ".databricks.us"};
    size_t size = strcspn(host, ":/");
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
        size_t end = strlen(domains[i]);
        if (size > end && strncasecmp(host + size - end, domains[i], end) == 0)
            return true;
    }
    return false;
}

static bool is_loopback(const char *host)
{
    static const char *const names[] = {"127.", "localhost", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncasecmp(host, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

ist_status ist__uc_open(const ist__connection *connection, ist_catalog *out, ist_error *err)
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
        .delta_request = uc_delta_request,
        .get_token = uc_get_token,
        .get_metastore = uc_get_metastore,
        .post_lineage = uc_post_lineage,
        .get_lineage = uc_get_lineage,
        .get_grants = ist__uc_get_grants,
        .update_grants = ist__uc_update_grants,
        .request = uc_request,
        .free = uc_free,
    };
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);

    ist__uc *client = NULL;
    ist_status status = IST_OK;
    IST_TRY(ist__alloc(1, sizeof *client, (void **)&client, err));
    pthread_mutex_init(&client->mutex, NULL);
    IST_TRY_GOTO(ist__uc_tokens_init(&client->tokens, connection->token, connection->client_id,
                                     connection->client_secret, err));
    IST_TRY_GOTO(ist__strdup(connection->host, &client->host, err));
    if (*connection->ca_file)
        IST_TRY_GOTO(ist__strdup(connection->ca_file, &client->ca_file, err));
    const char *name = strstr(client->host, "://") + 3;
    client->databricks = is_databricks(name);
    client->loopback = is_loopback(name);
    client->timeout_ms = connection->timeout_ms ? connection->timeout_ms : IST__UC_TIMEOUT_MS;
    client->json_headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!client->json_headers) {
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
