/* routes_lineage.c: OpenLineage's path for posting events, and one of our own for reading lineage, also as a picture. */
#include "server/router.h"

#include "isthmus/lineage.h"

#include <string.h>

enum { DEPTH_MAX = 100 };

static ist_status post_lineage(ist__call *call, ist_error *err)
{
    const char *text;
    IST_TRY(ist__call_body(call, &text, err));
    IST_TRY(ist_catalog_post_lineage(call->catalog, text, err));
    call->reply->http = 201;
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

/* The answer as SVG without a style sheet, for the page, whose links walk on. */
static ist_status draw(ist__call *call, const char *answer, bool columns, ist_error *err)
{
    ist_lineage_draw_options options = IST_LINEAGE_DRAW_OPTIONS_INIT;
    options.form = IST_LINEAGE_SVG;
    options.columns = columns;
    options.bare = true;
    options.link = "#/lineage/";
    call->reply->content_type = "image/svg+xml";
    return ist_lineage_draw(answer, &options, &call->reply->body, err);
}

static ist_status get_lineage(ist__call *call, ist_error *err)
{
    ist_buffer table = IST_BUFFER_INIT, format = IST_BUFFER_INIT, answer = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    int depth;
    bool columns;
    IST_TRY_GOTO(ist__call_parameter(call, "table", &table, err));
    IST_TRY_GOTO(ist__call_integer(call, "depth", &depth, err));
    IST_TRY_GOTO(ist__call_boolean(call, "columns", &columns, err));
    IST_TRY_GOTO(ist__call_parameter(call, "format", &format, err));
    bool svg = format.data && strcmp(format.data, "svg") == 0;
    if (depth < 0 || depth > DEPTH_MAX)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "depth must be between 1 and %d", DEPTH_MAX);
    else if (format.data && !svg && strcmp(format.data, "json") != 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "format is neither json nor svg");
    if (status == IST_OK)
        status = ist_catalog_get_lineage(call->catalog, table.data, depth ? depth : 1, columns,
                                         svg ? &answer : &call->reply->body, err);
    if (status == IST_OK && svg)
        status = draw(call, answer.data, columns, err);
done:
    ist_buffer_free(&table);
    ist_buffer_free(&format);
    ist_buffer_free(&answer);
    return status;
}

const ist__route ist__routes_lineage[] = {
    {.method = "POST", .path = IST__LINEAGE_POST_PATH, .lane = IST__LANE_WRITE, .handle = post_lineage,
     .flags = IST__ROUTE_NO_AUDIT},
    {.method = "GET", .path = IST__LINEAGE_GET_PATH, .lane = IST__LANE_READ, .handle = get_lineage},
    {0},
};
