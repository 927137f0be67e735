/* cmd_catalog_list.c: isthmus catalog list, isthmus catalog show. */
#include "catalog_objects.h"
#include "commands.h"

#include <string.h>

static const cli_example list_examples[] = {
    {"isthmus catalog list", "The catalogs"},
    {"isthmus catalog list volume main.demo", "The volumes of schema main.demo"},
    {"isthmus catalog list model-version main.demo.churn", "The versions of a model"},
    {0},
};

const cli_page cmd_catalog_list_page = {
    .arguments = "[" CLI_CATALOG_KINDS "] [PARENT]",
    .common = CLI_JSON | CLI_CATALOG,
    .description = "Lists the objects of one kind that you may see: schemas of a catalog, tables, volumes, functions "
                   "and models of a schema, versions of a model. Catalogs, credentials and locations are in nothing: they "
                   "take no PARENT. Without KIND: the catalogs.",
    .examples = list_examples,
};

static const char *const *members_of(ist_securable kind)
{
    static const char *const plain[] = {"name", "owner", "comment", NULL};
    static const char *const tables[] = {"name", "table_type", "data_source_format", "owner", "storage_location", NULL};
    static const char *const volumes[] = {"name", "volume_type", "owner", "storage_location", NULL};
    static const char *const functions[] = {"name", "full_data_type|data_type", "owner", "comment", NULL};
    static const char *const versions[] = {"version", "status", "created_at", "source", "comment", NULL};
    static const char *const locations[] = {"name", "url", "credential_name", "owner", NULL};
    switch (kind) {
    case IST_SECURABLE_TABLE:
        return tables;
    case IST_SECURABLE_VOLUME:
        return volumes;
    case IST_SECURABLE_FUNCTION:
        return functions;
    case IST_SECURABLE_MODEL_VERSION:
        return versions;
    case IST_SECURABLE_EXTERNAL_LOCATION:
        return locations;
    default:
        return plain;
    }
}

ist_status cmd_catalog_list(cli_call *call, ist_error *err)
{
    const cli_kind_of_object *kind;
    ist_catalog *catalog = NULL;
    const char *parent = call->arg_count > 1 ? call->args[1] : "";
    ist_status status = cli_kind_of_word(call, call->arg_count ? call->args[0] : "catalog", &kind, err);
    if (status != IST_OK)
        return status;
    bool nested = strchr(kind->form, '.') != NULL;
    if (kind->securable == IST_SECURABLE_METASTORE)
        return cli_usage(call, err, "there is one metastore: isthmus catalog show metastore");
    if (nested != (*parent != '\0'))
        return cli_usage(call, err, nested ? "PARENT is missing: a %s is %s" : "a %s is in nothing: its name is %s",
                         kind->word, kind->form);
    status = cli_catalog_open(call, &catalog, err);
    yyjson_mut_doc *all = yyjson_mut_doc_new(NULL);
    if (status == IST_OK)
        status = cli_catalog_list_all(catalog, kind, parent, all, err);
    if (status == IST_OK) {
        yyjson_doc *found = yyjson_mut_doc_imut_copy(all, NULL);
        status = cli_array_print(call, yyjson_doc_get_root(found), members_of(kind->securable), err);
        yyjson_doc_free(found);
    }
    yyjson_mut_doc_free(all);
    ist_catalog_free(catalog);
    return status;
}

static const cli_example show_examples[] = {
    {"isthmus catalog show table main.demo.scores", "What the catalog knows about a table"},
    {"isthmus catalog show --json model-version main.demo.churn.3", "Version 3 of a model, as the server tells it"},
    {0},
};

const cli_page cmd_catalog_show_page = {
    .arguments = CLI_CATALOG_KINDS " [NAME]",
    .common = CLI_JSON | CLI_CATALOG,
    .description = "Shows what the catalog knows about one object: owner, comment, properties, location, columns. "
                   "`isthmus table show` tells what is in a table itself.",
    .examples = show_examples,
};

static ist_status show(const cli_object *object, ist_buffer *json, ist_error *err)
{
    return ist_catalog_get(object->catalog, object->kind->securable, object->name, json, err);
}

ist_status cmd_catalog_show(cli_call *call, ist_error *err)
{
    return cli_object_run(call, call->args[0], show, cli_object_print, err);
}
