/* cmd_catalog_audit.c: isthmus catalog audit. */
#include "catalog_objects.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define AUDIT_PATH "/api/2.1/isthmus/audit"

typedef struct audit_values {
    int64_t limit;
    const char *principal, *securable;
} audit_values;

static const cli_option options[] = {
    {"limit", CLI_NUMBER, offsetof(audit_values, limit), "N", "50", "Most entries to show.", 1, 1000000, NULL},
    {"principal", CLI_TEXT, offsetof(audit_values, principal), "NAME", NULL, "Only what this principal did.", 0, 0,
     NULL},
    {"securable", CLI_TEXT, offsetof(audit_values, securable), "NAME", NULL, "Only what was done to this object.", 0, 0,
     NULL},
    {0},
};

static const cli_example examples[] = {
    {"isthmus catalog audit --principal alice@example.org", "What a user changed, or was refused"},
    {"isthmus catalog audit --securable main.demo.scores --json", "What became of a table"},
    {0},
};

const cli_page cmd_catalog_audit_page = {
    .arguments = "",
    .common = CLI_JSON | CLI_CATALOG,
    .options = options,
    .values_size = sizeof(audit_values),
    .description =
        "Shows who changed what, got credentials for what, or was refused, newest first; for administrators.",
    .examples = examples,
};

static ist_status append_parameter(ist_buffer *path, const char *key, const char *value, ist_error *err)
{
    if (!value)
        return IST_OK;
    ist_status status = ist_buffer_printf(path, err, "&%s=", key);
    return status == IST_OK ? cli_append_encoded(path, value, err) : status;
}

/* One page of at most `left` entries; *token, in memory of its own, becomes the next one's. */
static ist_status read_page(cli_call *call, ist_catalog *catalog, int64_t left, char **token, yyjson_mut_doc *all,
                            ist_error *err)
{
    enum { PAGE = 100 };
    const audit_values *values = call->values;
    ist_buffer path = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = ist_buffer_printf(&path, err, AUDIT_PATH "?limit=%d", (int)(left < PAGE ? left : PAGE));
    if (status == IST_OK)
        status = append_parameter(&path, "principal", values->principal, err);
    if (status == IST_OK)
        status = append_parameter(&path, "securable", values->securable, err);
    if (status == IST_OK)
        status = append_parameter(&path, "page_token", *token, err);
    if (status == IST_OK)
        status = cli_request(catalog, "GET", path.data, NULL, &doc, err);
    free(*token);
    *token = NULL;
    size_t i, max;
    yyjson_val *entry;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "entries"), i, max, entry)
        yyjson_mut_arr_append(yyjson_mut_doc_get_root(all), yyjson_val_mut_copy(all, entry));
    const char *next = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "next_page_token"));
    *token = next && *next ? strdup(next) : NULL;
    yyjson_doc_free(doc);
    ist_buffer_free(&path);
    return status;
}

ist_status cmd_catalog_audit(cli_call *call, ist_error *err)
{
    static const char *const members[] = {"time", "principal", "action", "securable", "outcome", "detail", NULL};
    const audit_values *values = call->values;
    ist_catalog *catalog = NULL;
    char *token = NULL;
    yyjson_mut_doc *all = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(all, yyjson_mut_arr(all));
    ist_status status = cli_catalog_open(call, &catalog, err);
    bool more = true;
    while (status == IST_OK && more) {
        int64_t left = values->limit - (int64_t)yyjson_mut_arr_size(yyjson_mut_doc_get_root(all));
        status = read_page(call, catalog, left, &token, all, err);
        more = token && (int64_t)yyjson_mut_arr_size(yyjson_mut_doc_get_root(all)) < values->limit;
    }
    if (status == IST_OK) {
        yyjson_doc *found = yyjson_mut_doc_imut_copy(all, NULL);
        status = cli_array_print(call, yyjson_doc_get_root(found), members, err);
        yyjson_doc_free(found);
    }
    free(token);
    yyjson_mut_doc_free(all);
    ist_catalog_free(catalog);
    return status;
}
