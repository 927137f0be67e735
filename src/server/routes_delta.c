/* routes_delta.c: Unity Catalog's Delta API (api/delta.yaml), which Delta's own clients speak. */
#include "catalog/catalog_json.h"
#include "catalog/local/local_delta.h"
#include "server/router.h"

#include <stdio.h>

/* Errors have a form of their own here. */
static void refuse(ist__reply *reply, const ist_error *error)
{
    if (ist__delta_error_body(error, &reply->http, &reply->body, NULL) != IST_OK)
        ist_buffer_clear(&reply->body);
}

/* The names of the path; a client writes them as they are, dots too. */
static ist_status path_name(const ist__call *call, int parts, ist__name *out, ist_error *err)
{
    out->count = parts;
    for (int i = 0; i < parts; i++)
        if (snprintf(out->part[i], sizeof out->part[i], "%s", call->segment[i]) > IST__NAME_MAX)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a name is longer than %d characters", IST__NAME_MAX);
    return IST_OK;
}

static ist_status no_content(ist__call *call)
{
    call->reply->http = 204;
    return IST_OK;
}

static ist_status get_config(ist__call *call, ist_error *err)
{
    ist_buffer value = IST_BUFFER_INIT;
    ist_buffer *out = &call->reply->body;
    ist_status status = ist__call_required(call, "catalog", &value, err);
    if (status == IST_OK)
        status = ist__delta_check_catalog(ist__call_session(call), value.data, err);
    if (status == IST_OK)
        status = ist__call_required(call, "protocol-versions", &value, err);
    ist_buffer_free(&value);
    IST_TRY(status);
    IST_TRY(ist_buffer_append_string(out, "{\"endpoints\":[", err));
    const char *comma = "";
    for (const ist__route *route = ist__routes_delta; route->path; route++)
        if (route->handle != get_config) {
            IST_TRY(ist_buffer_printf(out, err, "%s\"%s %s\"", comma, route->method,
                                      route->path + sizeof IST__CATALOG_PATH "/delta" - 1));
            comma = ",";
        }
    return ist_buffer_append_string(out, "],\"protocol-version\":\"1.0\"}", err);
}

static ist_status create_staging_table(ist__call *call, ist_error *err)
{
    const char *text, *name;
    ist__name table;
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    IST_TRY(path_name(call, 2, &table, err));
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist__json_read_object(text, &doc, err));
    IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(doc), "name", true, &name, err));
    IST_TRY_GOTO(ist__name_check(name, err));
    snprintf(table.part[2], sizeof table.part[2], "%s", name);
    table.count = 3;
    status = ist__delta_create_staging(ist__call_session(call), &table, &call->reply->body, err);
done:
    yyjson_doc_free(doc);
    return status;
}

static ist_status create_table(ist__call *call, ist_error *err)
{
    const char *text;
    ist__name schema;
    IST_TRY(path_name(call, 2, &schema, err));
    IST_TRY(ist__call_body(call, &text, err));
    return ist__delta_create(ist__call_session(call), &schema, text, &call->reply->body, err);
}

static ist_status load_table(ist__call *call, ist_error *err)
{
    ist__name table;
    IST_TRY(path_name(call, 3, &table, err));
    return ist__delta_load(ist__call_session(call), &table, &call->reply->body, err);
}

/* Of a table of any format. */
static ist_status table_exists(ist__call *call, ist_error *err)
{
    ist__name table;
    ist_buffer dropped = IST_BUFFER_INIT;
    IST_TRY(path_name(call, 3, &table, err));
    ist_status status = call->catalog->backend->get(call->catalog->self, IST_SECURABLE_TABLE, &table, &dropped, err);
    ist_buffer_free(&dropped);
    IST_TRY(status);
    return no_content(call);
}

static ist_status update_table(ist__call *call, ist_error *err)
{
    const char *text;
    ist__name table;
    IST_TRY(path_name(call, 3, &table, err));
    IST_TRY(ist__call_body(call, &text, err));
    return ist__delta_update(ist__call_session(call), &table, text, &call->reply->body, err);
}

static ist_status delete_table(ist__call *call, ist_error *err)
{
    ist__name table;
    IST_TRY(path_name(call, 3, &table, err));
    IST_TRY(call->catalog->backend->remove(call->catalog->self, IST_SECURABLE_TABLE, &table, false, err));
    return no_content(call);
}

static ist_status rename_table(ist__call *call, ist_error *err)
{
    const char *text;
    ist__name table;
    IST_TRY(path_name(call, 3, &table, err));
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist__delta_rename(ist__call_session(call), &table, text, err));
    return no_content(call);
}

static ist_status report_metrics(ist__call *call, ist_error *err)
{
    const char *text;
    ist__name table;
    IST_TRY(path_name(call, 3, &table, err));
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist__delta_report(ist__call_session(call), &table, text, err));
    return no_content(call);
}

static ist_status table_credentials(ist__call *call, ist_error *err)
{
    ist__name table;
    ist_buffer operation = IST_BUFFER_INIT;
    IST_TRY(path_name(call, 3, &table, err));
    ist_status status = ist__call_required(call, "operation", &operation, err);
    if (status == IST_OK)
        status = ist__delta_table_credentials(ist__call_session(call), &table, operation.data, &call->reply->body, err);
    ist_buffer_free(&operation);
    return status;
}

static ist_status staging_credentials(ist__call *call, ist_error *err)
{
    return ist__delta_staging_credentials(ist__call_session(call), call->segment[0], &call->reply->body, err);
}

static ist_status path_credentials(ist__call *call, ist_error *err)
{
    ist_buffer location = IST_BUFFER_INIT, operation = IST_BUFFER_INIT;
    ist_status status = ist__call_required(call, "location", &location, err);
    if (status == IST_OK)
        status = ist__call_required(call, "operation", &operation, err);
    if (status == IST_OK)
        status = ist__delta_path_credentials(ist__call_session(call), location.data, operation.data,
                                             &call->reply->body, err);
    ist_buffer_free(&location);
    ist_buffer_free(&operation);
    return status;
}

#define V1(path) IST__CATALOG_PATH "/delta/v1" path
#define SCHEMA V1("/catalogs/{catalog}/schemas/{schema}")
#define TABLE SCHEMA "/tables/{table}"
#define ROUTE(verb, where, which, what)                                                                                \
    {.method = verb, .path = where, .lane = IST__LANE_##which, .handle = what, .refuse = refuse}

const ist__route ist__routes_delta[] = {
    ROUTE("GET", V1("/config"), READ, get_config),
    ROUTE("POST", SCHEMA "/staging-tables", SLOW, create_staging_table),
    ROUTE("POST", SCHEMA "/tables", WRITE, create_table),
    ROUTE("GET", TABLE, READ, load_table),
    ROUTE("HEAD", TABLE, READ, table_exists),
    ROUTE("POST", TABLE, WRITE, update_table),
    ROUTE("DELETE", TABLE, SLOW, delete_table),
    ROUTE("POST", TABLE "/rename", WRITE, rename_table),
    ROUTE("GET", TABLE "/credentials", SLOW, table_credentials),
    {.method = "POST", .path = TABLE "/metrics", .lane = IST__LANE_READ, .handle = report_metrics, .refuse = refuse,
     .flags = IST__ROUTE_NO_AUDIT},
    ROUTE("GET", V1("/staging-tables/{table_id}/credentials"), SLOW, staging_credentials),
    ROUTE("GET", V1("/temporary-path-credentials"), SLOW, path_credentials),
    {0},
};
