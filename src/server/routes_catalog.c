/* routes_catalog.c: catalogs, schemas, tables, the metastore, the server's health; and the five operations' handlers. */
#include "catalog/catalog_json.h"
#include "server/router.h"

ist_status ist__call_create(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    return ist_catalog_create(call->catalog, (ist_securable)call->route->kind, text, &call->reply->body, err);
}

ist_status ist__call_get(ist__call *call, ist_error *err)
{
    return ist_catalog_get(call->catalog, (ist_securable)call->route->kind, call->segment[0], &call->reply->body, err);
}

ist_status ist__call_update(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    return ist_catalog_update(call->catalog, (ist_securable)call->route->kind, call->segment[0], text,
                              &call->reply->body, err);
}

ist_status ist__call_delete(ist__call *call, ist_error *err)
{
    bool force;
    IST_TRY(ist__call_boolean(call, "force", &force, err));
    IST_TRY(ist_catalog_delete(call->catalog, (ist_securable)call->route->kind, call->segment[0], force, err));
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

ist_status ist__call_list(ist__call *call, ist_error *err)
{
    static const char *const keys[] = {"catalog_name", "schema_name"};
    ist_securable kind = (ist_securable)call->route->kind;
    ist_buffer parent = IST_BUFFER_INIT, value = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    int max_results;
    for (int i = 0; i + 1 < ist__securable_parts(kind); i++) {
        IST_TRY_GOTO(ist__call_required(call, keys[i], &value, err));
        IST_TRY_GOTO(ist_buffer_printf(&parent, err, "%s%s", i ? "." : "", value.data));
    }
    IST_TRY_GOTO(ist__call_integer(call, "max_results", &max_results, err));
    IST_TRY_GOTO(ist__call_parameter(call, "page_token", &value, err));
    status = ist_catalog_list(call->catalog, kind, parent.data ? parent.data : "", max_results, value.data,
                              &call->reply->body, err);
done:
    ist_buffer_free(&parent);
    ist_buffer_free(&value);
    return status;
}

static ist_status create_staging_table(ist__call *call, ist_error *err)
{
    const char *text;
    yyjson_doc *doc = NULL;
    ist_buffer full_name = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist__json_read_object(text, &doc, err));
    static const char *const keys[] = {"catalog_name", "schema_name", "name"};
    for (int i = 0; i < 3; i++) {
        const char *part;
        IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(doc), keys[i], true, &part, err));
        if (i == 2)
            IST_TRY_GOTO(ist__name_check(part, err));
        IST_TRY_GOTO(ist_buffer_printf(&full_name, err, "%s%s", i ? "." : "", part));
    }
    status = ist_catalog_create_staging_table(call->catalog, full_name.data, &call->reply->body, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&full_name);
    return status;
}

/* Databricks' clients ask so. A table that the caller may not know of does not exist for him. */
static ist_status table_exists(ist__call *call, ist_error *err)
{
    ist_buffer table = IST_BUFFER_INIT;
    ist_error why = {0};
    ist_status status = ist_catalog_get(call->catalog, IST_SECURABLE_TABLE, call->segment[0], &table, &why);
    ist_buffer_free(&table);
    if (status != IST_OK && status != IST_NOT_FOUND) {
        if (err)
            *err = why;
        return status;
    }
    return ist_buffer_printf(&call->reply->body, err, "{\"table_exists\":%s}", status == IST_OK ? "true" : "false");
}

static ist_status get_metastore(ist__call *call, ist_error *err)
{
    return ist__catalog_get_metastore(call->catalog, &call->reply->body, err);
}

static ist_status get_health(ist__call *call, ist_error *err)
{
    return ist_buffer_append_string(&call->reply->body, "{\"status\":\"ok\"}", err);
}

#define API(path) IST__CATALOG_PATH path

const ist__route ist__routes_catalog[] = {
    IST__OBJECT_ROUTES(API("/tables"), IST_SECURABLE_TABLE),
    IST__OBJECT_ROUTES(API("/schemas"), IST_SECURABLE_SCHEMA),
    IST__OBJECT_ROUTES(API("/catalogs"), IST_SECURABLE_CATALOG),
    {.method = "GET", .path = API("/tables/{full_name}/exists"), .lane = IST__LANE_READ, .handle = table_exists},
    {.method = "POST", .path = API("/staging-tables"), .lane = IST__LANE_WRITE, .handle = create_staging_table},
    {.method = "GET", .path = API("/metastore_summary"), .lane = IST__LANE_READ, .handle = get_metastore},
    {.method = "GET", .path = IST__HEALTH_PATH, .lane = IST__LANE_READ, .handle = get_health,
     .flags = IST__ROUTE_OPEN},
    {0},
};
