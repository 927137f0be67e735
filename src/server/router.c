/*
 * router.c: the paths of `isthmus serve`.
 *
 * /api/2.1/unity-catalog/... is Unity Catalog's API (api/all.yaml of its server); lineage has OpenLineage's path for
 * posting and one of our own for reading.
 */
#include "server/router.h"

#include "catalog/catalog_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETER_MAX = 4096 };

/* A request on its way through a handler. */
typedef struct exchange {
    ist_catalog *catalog;
    const ist__request *request;
    ist_securable kind;
    const char *name; /* the last segment of the path, decoded; NULL where the route has none */
    ist_buffer *out;
    int http; /* of a success */
} exchange;

typedef ist_status (*handler)(exchange *x, ist_error *err);

/* A decoded parameter, in value; value->data is NULL where it is absent. */
static ist_status parameter(const exchange *x, const char *key, ist_buffer *value, ist_error *err)
{
    const char *raw = x->request->parameter(x->request->self, key);
    ist_buffer_clear(value);
    if (!raw)
        return IST_OK;
    if (strlen(raw) > PARAMETER_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is longer than %d bytes", key, PARAMETER_MAX);
    IST_TRY(ist__uri_decode(raw, strlen(raw), value, err));
    return ist_buffer_append(value, "", 0, err);
}

static ist_status integer_parameter(const exchange *x, const char *key, int *out, ist_error *err)
{
    ist_buffer value = IST_BUFFER_INIT;
    char *end = NULL;
    *out = 0;
    ist_status status = parameter(x, key, &value, err);
    if (status == IST_OK && value.data) {
        errno = 0;
        long number = strtol(value.data, &end, 10);
        if (end == value.data || *end || errno || number > INT32_MAX || number < INT32_MIN)
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not an integer", key);
        *out = (int)number;
    }
    ist_buffer_free(&value);
    return status;
}

static ist_status boolean_parameter(const exchange *x, const char *key, bool *out, ist_error *err)
{
    ist_buffer value = IST_BUFFER_INIT;
    ist_status status = parameter(x, key, &value, err);
    *out = value.data && strcmp(value.data, "true") == 0;
    if (status == IST_OK && value.data && !*out && strcmp(value.data, "false") != 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is neither true nor false", key);
    ist_buffer_free(&value);
    return status;
}

static ist_status body(const exchange *x, const char **out, ist_error *err)
{
    *out = x->request->body;
    if (strlen(*out) != x->request->body_size)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the body is not JSON: it holds a NUL");
    return IST_OK;
}

static ist_status create_object(exchange *x, ist_error *err)
{
    const char *text;
    IST_TRY(body(x, &text, err));
    return ist_catalog_create(x->catalog, x->kind, text, x->out, err);
}

static ist_status get_object(exchange *x, ist_error *err)
{
    return ist_catalog_get(x->catalog, x->kind, x->name, x->out, err);
}

static ist_status update_object(exchange *x, ist_error *err)
{
    const char *text;
    IST_TRY(body(x, &text, err));
    return ist_catalog_update(x->catalog, x->kind, x->name, text, x->out, err);
}

static ist_status delete_object(exchange *x, ist_error *err)
{
    bool force;
    IST_TRY(boolean_parameter(x, "force", &force, err));
    IST_TRY(ist_catalog_delete(x->catalog, x->kind, x->name, force, err));
    return ist_buffer_append_string(x->out, "{}", err);
}

static ist_status list_objects(exchange *x, ist_error *err)
{
    static const char *const keys[] = {"catalog_name", "schema_name"};
    ist_buffer parent = IST_BUFFER_INIT, value = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    int max_results;
    for (int i = 0; i + 1 < ist__securable_parts(x->kind); i++) {
        IST_TRY_GOTO(parameter(x, keys[i], &value, err));
        if (!value.data || !*value.data) {
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the parameter %s is required", keys[i]);
            goto done;
        }
        IST_TRY_GOTO(ist_buffer_printf(&parent, err, "%s%s", i ? "." : "", value.data));
        ist_buffer_free(&value);
    }
    IST_TRY_GOTO(integer_parameter(x, "max_results", &max_results, err));
    IST_TRY_GOTO(parameter(x, "page_token", &value, err));
    status = ist_catalog_list(x->catalog, x->kind, parent.data ? parent.data : "", max_results, value.data, x->out,
                              err);
done:
    ist_buffer_free(&parent);
    ist_buffer_free(&value);
    return status;
}

static ist_status create_staging_table(exchange *x, ist_error *err)
{
    const char *text;
    yyjson_doc *doc = NULL;
    ist_buffer full_name = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(body(x, &text, err));
    IST_TRY(ist__json_read_object(text, &doc, err));
    static const char *const keys[] = {"catalog_name", "schema_name", "name"};
    for (int i = 0; i < 3; i++) {
        const char *part;
        IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(doc), keys[i], true, &part, err));
        if (i == 2)
            IST_TRY_GOTO(ist__name_check(part, err));
        IST_TRY_GOTO(ist_buffer_printf(&full_name, err, "%s%s", i ? "." : "", part));
    }
    status = ist_catalog_create_staging_table(x->catalog, full_name.data, x->out, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&full_name);
    return status;
}

static ist_status get_credentials(exchange *x, ist_error *err)
{
    const char *text;
    IST_TRY(body(x, &text, err));
    return ist_catalog_get_credentials(x->catalog, text, x->out, err);
}

static ist_status get_metastore(exchange *x, ist_error *err)
{
    return ist__catalog_get_metastore(x->catalog, x->out, err);
}

static ist_status post_lineage(exchange *x, ist_error *err)
{
    const char *text;
    IST_TRY(body(x, &text, err));
    IST_TRY(ist_catalog_post_lineage(x->catalog, text, err));
    x->http = 201;
    return ist_buffer_append_string(x->out, "{}", err);
}

static ist_status get_lineage(exchange *x, ist_error *err)
{
    ist_buffer table = IST_BUFFER_INIT;
    ist_status status = parameter(x, "table", &table, err);
    if (status == IST_OK)
        status = ist_catalog_get_lineage(x->catalog, table.data, x->out, err);
    ist_buffer_free(&table);
    return status;
}

static ist_status get_health(exchange *x, ist_error *err)
{
    return ist_buffer_append_string(x->out, "{\"status\":\"ok\"}", err);
}

enum { GET, POST, PATCH, DELETE, METHOD_COUNT };
static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE"};

#define API(path) IST__CATALOG_PATH path
#define DATABRICKS_API(path) "/api/2.0/unity-catalog" path /* where databricks-sdk, and with it Ray, ask */

/* A path that ends in '/' takes one more segment: the object's full name. */
static const struct route {
    const char *path;
    ist_securable kind;
    handler handlers[METHOD_COUNT];
    const char *allow;
} routes[] = {
    {API("/catalogs"), IST_SECURABLE_CATALOG, {list_objects, create_object}, "GET, POST"},
    {API("/catalogs/"), IST_SECURABLE_CATALOG, {get_object, NULL, update_object, delete_object}, "GET, PATCH, DELETE"},
    {API("/schemas"), IST_SECURABLE_SCHEMA, {list_objects, create_object}, "GET, POST"},
    {API("/schemas/"), IST_SECURABLE_SCHEMA, {get_object, NULL, update_object, delete_object}, "GET, PATCH, DELETE"},
    {API("/tables"), IST_SECURABLE_TABLE, {list_objects, create_object}, "GET, POST"},
    {API("/tables/"), IST_SECURABLE_TABLE, {get_object, NULL, update_object, delete_object}, "GET, PATCH, DELETE"},
    {API("/staging-tables"), IST_SECURABLE_TABLE, {NULL, create_staging_table}, "POST"},
    {API("/temporary-table-credentials"), IST_SECURABLE_TABLE, {NULL, get_credentials}, "POST"},
    {API("/temporary-path-credentials"), IST_SECURABLE_TABLE, {NULL, get_credentials}, "POST"},
    {DATABRICKS_API("/temporary-table-credentials"), IST_SECURABLE_TABLE, {NULL, get_credentials}, "POST"},
    {DATABRICKS_API("/temporary-path-credentials"), IST_SECURABLE_TABLE, {NULL, get_credentials}, "POST"},
    {API("/metastore_summary"), IST_SECURABLE_CATALOG, {get_metastore}, "GET"},
    {IST__LINEAGE_POST_PATH, IST_SECURABLE_TABLE, {NULL, post_lineage}, "POST"},
    {IST__LINEAGE_GET_PATH, IST_SECURABLE_TABLE, {get_lineage}, "GET"},
    {IST__HEALTH_PATH, IST_SECURABLE_CATALOG, {get_health}, "GET"},
};

static const struct route *find_route(const char *path, const char **name)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t size = strlen(routes[i].path);
        bool named = routes[i].path[size - 1] == '/';
        *name = named ? path + size : NULL;
        if (named ? strncmp(path, routes[i].path, size) == 0 && path[size] && !strchr(path + size, '/')
                  : strcmp(path, routes[i].path) == 0)
            return &routes[i];
    }
    return NULL;
}

void ist__reply_error(ist__reply *reply, const ist_error *error)
{
    reply->http = ist__uc_code_http(ist__uc_code_of(error));
    ist_buffer_clear(&reply->body);
    if (ist__uc_error_body(error, &reply->body, NULL) != IST_OK)
        ist_buffer_clear(&reply->body); /* no memory even for this: the status has to do */
}

static ist_status answer(ist_catalog *catalog, const ist__request *request, ist__reply *reply, ist_error *err)
{
    const char *raw_name;
    const struct route *route = find_route(request->path, &raw_name);
    if (!route)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "there is nothing at %.300s", request->path);
    handler handle = NULL;
    for (int i = 0; i < METHOD_COUNT; i++)
        if (strcmp(request->method, methods[i]) == 0)
            handle = route->handlers[i];
    if (!handle) {
        reply->allow = route->allow;
        return ist__uc_error(err, IST__UC_METHOD_NOT_ALLOWED, "%.20s is not a method of %.300s", request->method,
                             request->path);
    }
    ist_buffer name = IST_BUFFER_INIT;
    ist_status status = raw_name ? ist__uri_decode(raw_name, strlen(raw_name), &name, err) : IST_OK;
    if (status == IST_OK) {
        exchange x = {catalog, request, route->kind, name.data, &reply->body, 200};
        status = handle(&x, err);
        reply->http = x.http;
    }
    ist_buffer_free(&name);
    return status;
}

void ist__route(ist_catalog *catalog, const ist__request *request, ist__reply *reply)
{
    ist_error error = IST_ERROR_INIT;
    memset(reply, 0, sizeof *reply);
    if (answer(catalog, request, reply, &error) != IST_OK)
        ist__reply_error(reply, &error);
}
