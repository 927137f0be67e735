/* routes_lineage.c: OpenLineage's path for posting events, and one of our own for reading lineage. */
#include "server/router.h"

static ist_status post_lineage(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist_catalog_post_lineage(call->catalog, text, err));
    call->reply->http = 201;
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

static ist_status get_lineage(ist__call *call, ist_error *err)
{
    ist_buffer table = IST_BUFFER_INIT;
    ist_status status = ist__call_parameter(call, "table", &table, err);
    if (status == IST_OK)
        status = ist_catalog_get_lineage(call->catalog, table.data, &call->reply->body, err);
    ist_buffer_free(&table);
    return status;
}

const ist__route ist__routes_lineage[] = {
    {.method = "POST", .path = IST__LINEAGE_POST_PATH, .lane = IST__LANE_WRITE, .handle = post_lineage,
     .flags = IST__ROUTE_NO_AUDIT},
    {.method = "GET", .path = IST__LINEAGE_GET_PATH, .lane = IST__LANE_READ, .handle = get_lineage},
    {0},
};
