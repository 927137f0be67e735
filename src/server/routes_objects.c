/*
 * routes_objects.c: volumes, functions, models, credentials, external locations, the commits of catalog-managed tables,
 * and short-lived credentials: the rest of Unity Catalog's API (api/all.yaml).
 */
#include "catalog/catalog_json.h"
#include "catalog/local/objects.h"
#include "server/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Models ----------------------------------------------------------------------------------------------------------- */

/* In a schema by name; without one all models there are, by id. */
static ist_status list_models(ist__call *call, ist_error *err)
{
    ist_buffer catalog = IST_BUFFER_INIT, schema = IST_BUFFER_INIT, token = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    int max_results;
    IST_TRY_GOTO(ist__call_parameter(call, "catalog_name", &catalog, err));
    IST_TRY_GOTO(ist__call_parameter(call, "schema_name", &schema, err));
    bool has_catalog = catalog.data && *catalog.data, has_schema = schema.data && *schema.data;
    if (has_catalog || has_schema) {
        if (!has_catalog || !has_schema)
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Cannot specify %s for list registered models",
                                   has_catalog ? "catalog w/o schema" : "schema w/o catalog");
        else
            status = ist__call_list(call, err);
        goto done;
    }
    IST_TRY_GOTO(ist__call_integer(call, "max_results", &max_results, err));
    IST_TRY_GOTO(ist__call_parameter(call, "page_token", &token, err));
    status = ist__local_list_all_models(ist__call_session(call), max_results, token.data ? token.data : "",
                                        &call->reply->body, err);
done:
    ist_buffer_free(&catalog);
    ist_buffer_free(&schema);
    ist_buffer_free(&token);
    return status;
}

static ist_status list_versions(ist__call *call, ist_error *err)
{
    ist_buffer token = IST_BUFFER_INIT;
    int max_results;
    ist_status status = ist__call_integer(call, "max_results", &max_results, err);
    if (status == IST_OK)
        status = ist__call_parameter(call, "page_token", &token, err);
    if (status == IST_OK)
        status = ist_catalog_list(call->catalog, IST_SECURABLE_MODEL_VERSION, call->segment[0], max_results, token.data,
                                  &call->reply->body, err);
    ist_buffer_free(&token);
    return status;
}

/* "catalog.schema.model" and "3" are the full name "catalog.schema.model.3". */
static ist_status version_name(const ist__call *call, ist_buffer *out, ist_error *err)
{
    return ist_buffer_printf(out, err, "%s.%s", call->segment[0], call->segment[1]);
}

static ist_status get_version(ist__call *call, ist_error *err)
{
    ist_buffer name = IST_BUFFER_INIT;
    ist_status status = version_name(call, &name, err);
    if (status == IST_OK)
        status = ist_catalog_get(call->catalog, IST_SECURABLE_MODEL_VERSION, name.data, &call->reply->body, err);
    ist_buffer_free(&name);
    return status;
}

static ist_status update_version(ist__call *call, ist_error *err)
{
    ist_buffer name = IST_BUFFER_INIT;
    const char *text;
    ist_status status = ist__call_body(call, &text, err);
    if (status == IST_OK)
        status = version_name(call, &name, err);
    if (status == IST_OK)
        status = ist_catalog_update(call->catalog, IST_SECURABLE_MODEL_VERSION, name.data, text, &call->reply->body, err);
    ist_buffer_free(&name);
    return status;
}

static ist_status delete_version(ist__call *call, ist_error *err)
{
    ist_buffer name = IST_BUFFER_INIT;
    ist_status status = version_name(call, &name, err);
    if (status == IST_OK)
        status = ist_catalog_delete(call->catalog, IST_SECURABLE_MODEL_VERSION, name.data, false, err);
    if (status == IST_OK)
        status = ist_buffer_append_string(&call->reply->body, "{}", err);
    ist_buffer_free(&name);
    return status;
}

/* The path names the version; the body repeats it. */
static ist_status finalize_version(ist__call *call, ist_error *err)
{
    const char *text, *full_name;
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist__json_read_object(text, &doc, err));
    yyjson_val *body = yyjson_doc_get_root(doc), *version = yyjson_obj_get(body, "version");
    IST_TRY_GOTO(ist__json_text(body, "full_name", true, &full_name, err));
    char *end;
    errno = 0;
    int64_t number = strtoll(call->segment[1], &end, 10);
    if (*end || errno || !yyjson_is_int(version) || yyjson_get_sint(version) != number ||
        strcmp(full_name, call->segment[0]) != 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                               "full_name and version of the body are not those of the path");
    else
        status = ist__local_finalize_version(ist__call_session(call), full_name, number, &call->reply->body, err);
done:
    yyjson_doc_free(doc);
    return status;
}

/* Short-lived credentials ------------------------------------------------------------------------------------------ */

/* What each of the four paths asks for; others are refused, so that a path gives no more than its name says. */
enum { OF_TABLE, OF_VOLUME, OF_VERSION, OF_PATH };

static ist_status get_credentials(ist__call *call, ist_error *err)
{
    static const char *const keys[] = {"table_id", "volume_id", "model_name", "url"};
    const char *text, *ignored;
    yyjson_doc *doc = NULL;
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist__json_read_object(text, &doc, err));
    ist_status status = ist__json_text(yyjson_doc_get_root(doc), keys[call->route->kind], true, &ignored, err);
    for (int i = 0; i < 4 && status == IST_OK; i++)
        if (i != call->route->kind && yyjson_obj_get(yyjson_doc_get_root(doc), keys[i]))
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is no member of this request", keys[i]);
    yyjson_doc_free(doc);
    return status == IST_OK ? ist_catalog_get_credentials(call->catalog, text, &call->reply->body, err) : status;
}

/* Commits ---------------------------------------------------------------------------------------------------------- */

static ist_status add_number(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text,
                             ist_error *err)
{
    char *end;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not an integer", key);
    yyjson_mut_obj_add_sint(doc, object, key, number);
    return IST_OK;
}

/* The request is the body of the GET, as Unity Catalog's clients send it, or its parameters. */
static ist_status get_commits(ist__call *call, ist_error *err)
{
    static const char *const keys[] = {"table_id", "table_uri", "start_version", "end_version"};
    const char *text;
    ist_buffer value = IST_BUFFER_INIT, request = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(ist__call_body(call, &text, err));
    if (*text)
        return ist_catalog_get_commits(call->catalog, text, &call->reply->body, err);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (int i = 0; i < 4 && status == IST_OK; i++) {
        status = ist__call_parameter(call, keys[i], &value, err);
        if (status == IST_OK && value.data && i < 2)
            yyjson_mut_obj_add_strcpy(doc, root, keys[i], value.data);
        else if (status == IST_OK && value.data)
            status = add_number(doc, root, keys[i], value.data, err);
    }
    if (status == IST_OK)
        status = ist__json_finish(doc, &request, err);
    else
        yyjson_mut_doc_free(doc);
    if (status == IST_OK)
        status = ist_catalog_get_commits(call->catalog, request.data, &call->reply->body, err);
    ist_buffer_free(&value);
    ist_buffer_free(&request);
    return status;
}

static ist_status post_commit(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist_catalog_commit(call->catalog, text, err));
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

#define API(path) IST__CATALOG_PATH path
#define DATABRICKS_API(path) "/api/2.0/unity-catalog" path /* where databricks-sdk, and with it Ray, ask */
#define VERSION API("/models/{full_name}/versions/{version}")
#define VEND(where, what)                                                                                              \
    {.method = "POST", .path = where, .lane = IST__LANE_SLOW, .handle = get_credentials, .kind = what}

const ist__route ist__routes_objects[] = {
    IST__OBJECT_ROUTES(API("/volumes"), IST_SECURABLE_VOLUME),
    IST__OBJECT_ROUTES(API("/functions"), IST_SECURABLE_FUNCTION),
    IST__OBJECT_ROUTES(API("/credentials"), IST_SECURABLE_CREDENTIAL),
    IST__OBJECT_ROUTES(API("/external-locations"), IST_SECURABLE_EXTERNAL_LOCATION),
    {.method = "GET", .path = API("/models"), .lane = IST__LANE_READ, .handle = list_models,
     .kind = IST_SECURABLE_REGISTERED_MODEL},
    {.method = "POST", .path = API("/models/versions"), .lane = IST__LANE_WRITE, .handle = ist__call_create,
     .kind = IST_SECURABLE_MODEL_VERSION},
    IST__OBJECT_ROUTES_BUT_LIST(API("/models"), IST_SECURABLE_REGISTERED_MODEL),
    {.method = "GET", .path = API("/models/{full_name}/versions"), .lane = IST__LANE_READ, .handle = list_versions},
    {.method = "GET", .path = VERSION, .lane = IST__LANE_READ, .handle = get_version},
    {.method = "PATCH", .path = VERSION, .lane = IST__LANE_WRITE, .handle = update_version},
    {.method = "DELETE", .path = VERSION, .lane = IST__LANE_SLOW, .handle = delete_version},
    {.method = "PATCH", .path = VERSION "/finalize", .lane = IST__LANE_WRITE, .handle = finalize_version},
    VEND(API("/temporary-table-credentials"), OF_TABLE),
    VEND(API("/temporary-volume-credentials"), OF_VOLUME),
    VEND(API("/temporary-model-version-credentials"), OF_VERSION),
    VEND(API("/temporary-path-credentials"), OF_PATH),
    VEND(DATABRICKS_API("/temporary-table-credentials"), OF_TABLE),
    VEND(DATABRICKS_API("/temporary-volume-credentials"), OF_VOLUME),
    VEND(DATABRICKS_API("/temporary-path-credentials"), OF_PATH),
    {.method = "GET", .path = IST__COMMITS_PATH, .lane = IST__LANE_READ, .handle = get_commits},
    {.method = "POST", .path = IST__COMMITS_PATH, .lane = IST__LANE_WRITE, .handle = post_commit},
    {0},
};
