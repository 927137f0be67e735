/* cmd_status.c: isthmus status: what of Isthmus runs on this machine. */
#include "commands.h"
#include "output.h"

#include <stdlib.h>

const cli_page cmd_status_page = {
    .arguments = "",
    .common = CLI_JSON | CLI_CATALOG | CLI_SOCKET,
    .description = "Prints whether the node daemon and the catalog are there, and the daemon's counters.",
};

/* Ask the catalog for something, so that "there" means that it answers. */
static ist_status ask_catalog(const cli_call *call, size_t *catalogs, ist_error *err)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    ist_catalog *catalog = NULL;
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    options.uri = call->catalog;
    ist_status status = ist_catalog_open(&options, &catalog, err);
    if (status == IST_OK)
        status = ist_catalog_list(catalog, IST_SECURABLE_CATALOG, "", 0, NULL, &json, err);
    if (status == IST_OK && (status = cli_parse_json(&json, &doc, err)) == IST_OK)
        *catalogs = yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "catalogs"));
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    ist_catalog_free(catalog);
    return status;
}

static ist_status print_as_json(ist_status daemon, const ist_buffer *counters, const ist_error *daemon_error,
                                ist_status catalog, size_t catalogs, const ist_error *catalog_error, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "version", ist_version());
    yyjson_mut_val *part = yyjson_mut_obj_add_obj(doc, root, "daemon");
    yyjson_mut_obj_add_bool(doc, part, "running", daemon == IST_OK);
    if (daemon == IST_OK)
        yyjson_mut_obj_add_val(doc, part, "counters", yyjson_mut_rawn(doc, counters->data, counters->size));
    else
        yyjson_mut_obj_add_str(doc, part, "error", daemon_error->message);
    part = yyjson_mut_obj_add_obj(doc, root, "catalog");
    yyjson_mut_obj_add_bool(doc, part, "running", catalog == IST_OK);
    if (catalog == IST_OK)
        yyjson_mut_obj_add_uint(doc, part, "catalogs", catalogs);
    else
        yyjson_mut_obj_add_str(doc, part, "error", catalog_error->message);
    ist_status status = cli_print_mut(doc, err);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status cmd_status(cli_call *call, ist_error *err)
{
    ist_buffer counters = IST_BUFFER_INIT;
    ist_error daemon_error = IST_ERROR_INIT, catalog_error = IST_ERROR_INIT;
    size_t catalogs = 0;
    ist_status daemon = cli_daemon_counters(call, &counters, &daemon_error);
    ist_status catalog = ask_catalog(call, &catalogs, &catalog_error), status = IST_OK;
    if (call->json) {
        status = print_as_json(daemon, &counters, &daemon_error, catalog, catalogs, &catalog_error, err);
    } else {
        printf("isthmus   %s\ndaemon    ", ist_version());
        cli_print_safe(stdout, daemon == IST_OK ? "running" : daemon_error.message);
        putchar('\n');
        if (daemon == IST_OK)
            status = cli_print_counters(&counters, "          ", err);
        fputs("catalog   ", stdout);
        if (catalog == IST_OK)
            printf("running, %zu catalog%s", catalogs, catalogs == 1 ? "" : "s");
        else
            cli_print_safe(stdout, catalog_error.message);
        putchar('\n');
    }
    ist_buffer_free(&counters);
    return status;
}
