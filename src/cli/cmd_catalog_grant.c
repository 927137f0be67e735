/* cmd_catalog_grant.c: isthmus catalog grants, grant and revoke. */
#include "catalog_objects.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

typedef struct grant_values {
    const char *principal;
    const char *to;
    int on;
} grant_values;

#define PRIVILEGES_HELP                                                                                                \
    "Privileges: SELECT, MODIFY, READ_VOLUME, EXECUTE; USE_CATALOG, USE_SCHEMA; CREATE_CATALOG, CREATE_SCHEMA, "       \
    "CREATE_TABLE, CREATE_VOLUME, CREATE_FUNCTION, CREATE_MODEL; of locations READ_FILES, WRITE_FILES, "               \
    "CREATE_EXTERNAL_TABLE, CREATE_EXTERNAL_VOLUME, CREATE_MANAGED_STORAGE; of the metastore "                         \
    "CREATE_EXTERNAL_LOCATION, CREATE_STORAGE_CREDENTIAL; ALL_PRIVILEGES are all there are on that kind of object, "      \
    "without MANAGE. Small letters are good too. What is granted on a catalog "   \
    "or schema holds for everything in it. To use a table one needs USE_CATALOG and USE_SCHEMA besides SELECT."

static const cli_option grants_options[] = {
    {"principal", CLI_TEXT, offsetof(grant_values, principal), "NAME", NULL, "Only what this principal was granted.", 0,
     0, NULL},
    {0},
};

static const cli_example grants_examples[] = {
    {"isthmus catalog grants table main.demo.scores", "Who may do what with a table"},
    {"isthmus catalog grants metastore", "Who may make catalogs, locations and credentials"},
    {0},
};

const cli_page cmd_catalog_grants_page = {
    .arguments = CLI_CATALOG_KINDS " [NAME]",
    .common = CLI_JSON | CLI_CATALOG,
    .options = grants_options,
    .values_size = sizeof(grant_values),
    .description = "Shows what was granted on an object itself; what holds for it because it was granted on its schema "
                   "or catalog is shown there. Its owner may do everything with it.",
    .examples = grants_examples,
};

static const cli_option grant_options[] = {
    {"on", CLI_CHOICE, offsetof(grant_values, on), CLI_CATALOG_KINDS, "table", "What NAME is.", 0, 0, NULL},
    {"to", CLI_TEXT, offsetof(grant_values, to), "PRINCIPAL", NULL,
     "A user, a group, or a service principal by its application id.", 0, 0, NULL},
    {0},
};

static const cli_example grant_examples[] = {
    {"isthmus catalog grant SELECT --on table main.demo.scores --to alice@example.org", "To read one table"},
    {"isthmus catalog grant USE_CATALOG,USE_SCHEMA,SELECT --on catalog main --to analysts",
     "To read everything in a catalog, for a group"},
    {0},
};

const cli_page cmd_catalog_grant_page = {
    .arguments = "PRIVILEGE [NAME]",
    .common = CLI_JSON | CLI_CATALOG,
    .options = grant_options,
    .values_size = sizeof(grant_values),
    .description = "Lets a principal do something with an object. Several privileges are divided by commas.\n\n"
        PRIVILEGES_HELP,
    .examples = grant_examples,
};

static const cli_option revoke_options[] = {
    {"on", CLI_CHOICE, offsetof(grant_values, on), CLI_CATALOG_KINDS, "table", "What NAME is.", 0, 0, NULL},
    {"from", CLI_TEXT, offsetof(grant_values, to), "PRINCIPAL", NULL, "Whose it was.", 0, 0, NULL},
    {0},
};

static const cli_example revoke_examples[] = {
    {"isthmus catalog revoke MODIFY --on schema main.demo --from alice@example.org", "What was granted on a schema"},
    {0},
};

const cli_page cmd_catalog_revoke_page = {
    .arguments = "PRIVILEGE [NAME]",
    .common = CLI_JSON | CLI_CATALOG,
    .options = revoke_options,
    .values_size = sizeof(grant_values),
    .description = "Takes back what was granted on an object itself. From then on the principal's requests are "
                   "refused, and his credentials for storage end with their hour.",
    .examples = revoke_examples,
};

static ist_status print_grants(const cli_call *call, const ist_buffer *json, ist_error *err)
{
    static const char *const members[] = {"principal", "privileges", NULL};
    yyjson_doc *doc = NULL;
    if (call->json)
        return cli_print_json(json->data, json->size, err);
    ist_status status = cli_parse_json(json, &doc, err);
    if (status == IST_OK)
        status = cli_array_print(call, yyjson_obj_get(yyjson_doc_get_root(doc), "privilege_assignments"), members, err);
    yyjson_doc_free(doc);
    return status;
}

static ist_status get_grants(const cli_object *object, ist_buffer *json, ist_error *err)
{
    const grant_values *values = object->call->values;
    return ist_catalog_get_grants(object->catalog, object->kind->securable, object->name, values->principal, json, err);
}

ist_status cmd_catalog_grants(cli_call *call, ist_error *err)
{
    return cli_object_run(call, call->args[0], get_grants, print_grants, err);
}

/* [{"principal", "add"|"remove": [...]}] */
static char *make_changes(const char *principal, const char *member, const char *privileges)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_arr(doc), *change = yyjson_mut_arr_add_obj(doc, root);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, change, "principal", principal);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, change, member);
    for (const char *at = privileges;; at++) {
        size_t size = strcspn(at, ",");
        yyjson_mut_arr_add_strn(doc, list, at, size);
        at += size;
        if (!*at)
            break;
    }
    char *text = yyjson_mut_write(doc, 0, NULL);
    yyjson_mut_doc_free(doc);
    return text;
}

static ist_status change(const cli_object *object, const char *member, ist_buffer *json, ist_error *err)
{
    const grant_values *values = object->call->values;
    char *changes = make_changes(values->to, member, object->call->args[0]);
    ist_status status =
        changes ? ist_catalog_update_grants(object->catalog, object->kind->securable, object->name, changes, json, err)
                : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    free(changes);
    return status;
}

static ist_status add(const cli_object *object, ist_buffer *json, ist_error *err)
{
    return change(object, "add", json, err);
}

static ist_status take_away(const cli_object *object, ist_buffer *json, ist_error *err)
{
    return change(object, "remove", json, err);
}

static ist_status run(cli_call *call, ist_status (*work)(const cli_object *, ist_buffer *, ist_error *),
                      const char *option, ist_error *err)
{
    const grant_values *values = call->values;
    const char *word;
    char kind[32];
    size_t size;
    if (!values->to)
        return cli_usage(call, err, "--%s PRINCIPAL is missing", option);
    cli_choice_at(CLI_CATALOG_KINDS, (size_t)values->on, &word, &size);
    snprintf(kind, sizeof kind, "%.*s", (int)size, word);
    return cli_object_run(call, kind, work, print_grants, err);
}

ist_status cmd_catalog_grant(cli_call *call, ist_error *err)
{
    return run(call, add, "to", err);
}

ist_status cmd_catalog_revoke(cli_call *call, ist_error *err)
{
    return run(call, take_away, "from", err);
}
