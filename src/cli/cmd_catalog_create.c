/* cmd_catalog_create.c: isthmus catalog create, update and delete. */
#include "catalog_objects.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>

typedef struct object_values {
    const char *comment, *location, *storage_root, *credential, *role, *body;
    const char *owner, *rename; /* update only */
    cli_list properties, unset;
    bool force; /* delete only */
} object_values;

#define COMMENT {"comment", CLI_TEXT, offsetof(object_values, comment), "TEXT", NULL, "What it is.", 0, 0, NULL}
#define PROPERTY                                                                                                       \
    {"property", CLI_LIST, offsetof(object_values, properties), "KEY=VALUE", NULL,                                     \
     "A property; may be repeated. A value with a comma goes into --body.", 0, 0, NULL}
#define CREDENTIAL                                                                                                     \
    {"credential", CLI_TEXT, offsetof(object_values, credential), "NAME", NULL,                                        \
     "A location's: the credential that opens it.", 0, 0, NULL}
#define ROLE                                                                                                           \
    {"role", CLI_TEXT, offsetof(object_values, role), "ARN", NULL, "A credential's: the AWS role that it stands for.", 0,   \
     0, NULL}
#define BODY                                                                                                           \
    {"body", CLI_TEXT, offsetof(object_values, body), "FILE", NULL,                                                    \
     "JSON object with more members, as Unity Catalog's REST API names them; - for standard input.", 0, 0, NULL}

static const cli_option create_options[] = {
    COMMENT,
    PROPERTY,
    {"location", CLI_TEXT, offsetof(object_values, location), "URI", NULL,
     "Where its data is: an external table or volume, what a location covers, a model version's source.", 0, 0, NULL},
    {"storage-root", CLI_TEXT, offsetof(object_values, storage_root), "URI", NULL,
     "Where a catalog's or schema's managed data goes. Otherwise the server's own place.", 0, 0, NULL},
    CREDENTIAL,
    ROLE,
    BODY,
    {0},
};

static const cli_example create_examples[] = {
    {"isthmus catalog create schema main.demo --comment 'Try things here'", "A schema"},
    {"isthmus catalog create volume main.demo.raw", "A volume whose files the server keeps"},
    {"isthmus catalog create table main.demo.scores --location /data/scores", "A name for a Delta table that exists"},
    {"isthmus catalog create function main.demo.f --body f.json", "A function, from its description"},
    {0},
};

const cli_page cmd_catalog_create_page = {
    .arguments = CLI_CATALOG_KINDS " NAME",
    .common = CLI_JSON | CLI_CATALOG,
    .options = create_options,
    .values_size = sizeof(object_values),
    .description = "Makes an object of the catalog. A volume without --location is managed: its files are under the "
                   "schema's storage and go with it. For a model version NAME is the model's; the server counts.\n\n"
                   "A table needs the --location of its Delta log, which tells its columns; a new managed table is "
                   "made by writing it (`isthmus table append`, Spark, Ray).",
    .examples = create_examples,
};

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

/* Set a member; NULL leaves it as it is. */
static void set_text(yyjson_mut_doc *doc, const char *key, const char *text)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (text)
        yyjson_mut_obj_put(root, yyjson_mut_str(doc, key), yyjson_mut_strcpy(doc, text));
}

/* Add KEY=VALUE words to the object under "properties". */
static ist_status set_properties(cli_call *call, yyjson_mut_doc *doc, const cli_list *words, ist_error *err)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *map = yyjson_mut_obj_get(root, "properties");
    if (words->count > 0 && !yyjson_mut_is_obj(map)) {
        map = yyjson_mut_obj(doc);
        yyjson_mut_obj_put(root, yyjson_mut_str(doc, "properties"), map);
    }
    for (size_t i = 0; i < words->count; i++) {
        const char *equals = strchr(words->items[i], '=');
        if (!equals || equals == words->items[i])
            return cli_usage(call, err, "--property is KEY=VALUE, not '%s'", words->items[i]);
        yyjson_mut_obj_put(map, yyjson_mut_strncpy(doc, words->items[i], (size_t)(equals - words->items[i])),
                           yyjson_mut_strcpy(doc, equals + 1));
    }
    return IST_OK;
}

/* The parts of NAME as members: catalog_name, schema_name, and `last`. */
static ist_status set_name(cli_call *call, yyjson_mut_doc *doc, const char *full_name, int parts, const char *last,
                           ist_error *err)
{
    static const char *const outer[] = {"catalog_name", "schema_name"};
    const char *at = full_name;
    for (int i = 0; i < parts; i++) {
        const char *end = i + 1 < parts ? strchr(at, '.') : at + strlen(at);
        if (!end || end == at || (i + 1 == parts && strchr(at, '.')))
            return cli_usage(call, err, "'%s' is no name of %d parts divided by dots", full_name, parts);
        yyjson_mut_obj_put(yyjson_mut_doc_get_root(doc), yyjson_mut_str(doc, i + 1 < parts ? outer[i] : last),
                           yyjson_mut_strncpy(doc, at, (size_t)(end - at)));
        at = end + 1;
    }
    return IST_OK;
}

static void set_role(yyjson_mut_doc *doc, const char *role)
{
    if (!role)
        return;
    yyjson_mut_val *object = yyjson_mut_obj(doc), *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, object, "role_arn", role);
    yyjson_mut_obj_put(root, yyjson_mut_str(doc, "purpose"), yyjson_mut_str(doc, "STORAGE"));
    yyjson_mut_obj_put(root, yyjson_mut_str(doc, "aws_iam_role"), object);
}

/* The columns of the Delta table at a location, as the catalog wants them. */
static ist_status set_columns(ist_catalog *catalog, yyjson_mut_doc *doc, const char *uri, ist_error *err)
{
    ist_buffer request = IST_BUFFER_INIT, json = IST_BUFFER_INIT;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    ist_store *store = NULL;
    ist_snapshot *snapshot = NULL;
    yyjson_doc *columns = NULL;
    ist_status status = IST_OK;
    if (strstr(uri, "://") && strncmp(uri, "file:", 5) != 0) {
        status = ist_buffer_printf(&request, err, "{\"url\":\"%s\",\"operation\":\"READ\"}", uri);
        if (status == IST_OK)
            status = ist_catalog_open_credentials(catalog, request.data, &options.credentials, err);
    }
    if (status == IST_OK)
        status = ist_store_open(uri, &options, &store, err);
    if (status == IST_OK)
        status = ist_snapshot_open(store, NULL, &snapshot, err);
    if (status == IST_OK) {
        size_t count = ist_snapshot_partition_column_count(snapshot);
        const char **names = calloc(count + 1, sizeof *names);
        for (size_t i = 0; names && i < count; i++)
            names[i] = ist_snapshot_partition_column(snapshot, i);
        status = names ? ist_catalog_columns(ist_snapshot_schema_json(snapshot), names, count, &json, err)
                       : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
        free(names);
    }
    if (status == IST_OK)
        status = cli_parse_json(&json, &columns, err);
    if (status == IST_OK)
        yyjson_mut_obj_put(yyjson_mut_doc_get_root(doc), yyjson_mut_str(doc, "columns"),
                           yyjson_val_mut_copy(doc, yyjson_doc_get_root(columns)));
    yyjson_doc_free(columns);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
    ist_credentials_free(options.credentials);
    ist_buffer_free(&request);
    ist_buffer_free(&json);
    return status;
}

static ist_status complete_table(cli_call *call, ist_catalog *catalog, yyjson_mut_doc *doc, const char *uri,
                                 ist_error *err)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (!uri && !yyjson_mut_obj_get(root, "storage_location"))
        return cli_usage(call, err, "a table needs --location; a managed one is made by isthmus table append");
    set_text(doc, "storage_location", uri);
    if (!yyjson_mut_obj_get(root, "table_type"))
        set_text(doc, "table_type", "EXTERNAL");
    if (!yyjson_mut_obj_get(root, "data_source_format"))
        set_text(doc, "data_source_format", "DELTA");
    bool delta = strcmp(yyjson_mut_get_str(yyjson_mut_obj_get(root, "data_source_format")), "DELTA") == 0;
    if (!uri || !delta || yyjson_mut_obj_get(root, "columns"))
        return IST_OK;
    return set_columns(catalog, doc, uri, err);
}

/* What differs between kinds. */
static ist_status complete(const cli_object *object, yyjson_mut_doc *doc, ist_error *err)
{
    cli_call *call = object->call;
    const char *name = object->name;
    const object_values *values = call->values;
    ist_buffer uri = IST_BUFFER_INIT;
    ist_status status = values->location ? cli_absolute(values->location, &uri, err) : IST_OK;
    if (status != IST_OK)
        return status;
    switch (object->kind->securable) {
    case IST_SECURABLE_CATALOG:
        status = set_name(call, doc, name, 1, "name", err);
        set_text(doc, "storage_root", values->storage_root);
        break;
    case IST_SECURABLE_SCHEMA:
        status = set_name(call, doc, name, 2, "name", err);
        set_text(doc, "storage_root", values->storage_root);
        break;
    case IST_SECURABLE_TABLE:
        status = set_name(call, doc, name, 3, "name", err);
        if (status == IST_OK)
            status = complete_table(call, object->catalog, doc, uri.data, err);
        break;
    case IST_SECURABLE_VOLUME:
        status = set_name(call, doc, name, 3, "name", err);
        set_text(doc, "volume_type", uri.data ? "EXTERNAL" : "MANAGED");
        set_text(doc, "storage_location", uri.data);
        break;
    case IST_SECURABLE_MODEL_VERSION:
        status = set_name(call, doc, name, 3, "model_name", err);
        set_text(doc, "source", uri.data);
        break;
    case IST_SECURABLE_EXTERNAL_LOCATION:
        status = set_name(call, doc, name, 1, "name", err);
        set_text(doc, "url", uri.data);
        set_text(doc, "credential_name", values->credential);
        break;
    case IST_SECURABLE_CREDENTIAL:
        status = set_name(call, doc, name, 1, "name", err);
        set_role(doc, values->role);
        break;
    case IST_SECURABLE_FUNCTION:
    case IST_SECURABLE_REGISTERED_MODEL:
        status = set_name(call, doc, name, 3, "name", err);
        break;
    case IST_SECURABLE_METASTORE:
        status = cli_usage(call, err, "there is one metastore, which is there already");
    }
    ist_buffer_free(&uri);
    return status;
}

/* The document as text; a function is wrapped as its call wants it. */
static ist_status write_body(const cli_kind_of_object *kind, yyjson_mut_doc *doc, char **out, ist_error *err)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (kind->securable == IST_SECURABLE_FUNCTION && !yyjson_mut_obj_get(root, "function_info")) {
        yyjson_mut_val *wrapper = yyjson_mut_obj(doc);
        yyjson_mut_obj_add_val(doc, wrapper, "function_info", root);
        yyjson_mut_doc_set_root(doc, wrapper);
    }
    *out = yyjson_mut_write(doc, 0, NULL);
    return *out ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
}

static ist_status create(const cli_object *object, ist_buffer *json, ist_error *err)
{
    const object_values *values = object->call->values;
    yyjson_mut_doc *doc = NULL;
    char *body = NULL;
    ist_status status = cli_read_object(values->body, &doc, err);
    if (status == IST_OK)
        status = set_properties(object->call, doc, &values->properties, err);
    if (status == IST_OK) {
        set_text(doc, "comment", values->comment);
        status = complete(object, doc, err);
    }
    if (status == IST_OK)
        status = write_body(object->kind, doc, &body, err);
    if (status == IST_OK)
        status = ist_catalog_create(object->catalog, object->kind->securable, body, json, err);
    free(body);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status cmd_catalog_create(cli_call *call, ist_error *err)
{
    return cli_object_run(call, call->args[0], create, cli_object_print, err);
}

/* ---- update ------------------------------------------------------------------------------------------------------ */

static const cli_option update_options[] = {
    {"rename", CLI_TEXT, offsetof(object_values, rename), "NAME", NULL, "Another name, in the same place.", 0, 0, NULL},
    COMMENT,
    PROPERTY,
    {"unset", CLI_LIST, offsetof(object_values, unset), "KEY,KEY", NULL, "Properties to take away.", 0, 0, NULL},
    {"owner", CLI_TEXT, offsetof(object_values, owner), "PRINCIPAL", NULL,
     "Give it to a user, a service principal or a group.", 0, 0, NULL},
    {"location", CLI_TEXT, offsetof(object_values, location), "URI", NULL, "A location's: what it covers.", 0, 0, NULL},
    CREDENTIAL,
    ROLE,
    BODY,
    {0},
};

static const cli_example update_examples[] = {
    {"isthmus catalog update table main.demo.scores --comment 'One row per user'", "What a table is"},
    {"isthmus catalog update schema main.demo --rename sandbox", "Another name"},
    {"isthmus catalog update table main.demo.scores --owner data-team --property team=growth --unset draft",
     "Owner and properties"},
    {0},
};

const cli_page cmd_catalog_update_page = {
    .arguments = CLI_CATALOG_KINDS " NAME",
    .common = CLI_JSON | CLI_CATALOG,
    .options = update_options,
    .values_size = sizeof(object_values),
    .description = "Changes what is given and leaves the rest as it is. The open Unity Catalog server has no owners to "
                   "change, and no changes of tables.",
    .examples = update_examples,
};

/* Properties are replaced as a whole by the server: start from what is there. */
static ist_status merge_properties(const cli_object *object, yyjson_mut_doc *doc, ist_error *err)
{
    const object_values *values = object->call->values;
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *now = NULL;
    if (values->properties.count + values->unset.count == 0)
        return IST_OK;
    ist_status status = ist_catalog_get(object->catalog, object->kind->securable, object->name, &json, err);
    if (status == IST_OK)
        status = cli_parse_json(&json, &now, err);
    if (status == IST_OK) {
        yyjson_val *there = yyjson_obj_get(yyjson_doc_get_root(now), "properties");
        yyjson_mut_val *map = yyjson_is_obj(there) ? yyjson_val_mut_copy(doc, there) : yyjson_mut_obj(doc);
        for (size_t i = 0; i < values->unset.count; i++)
            yyjson_mut_obj_remove_key(map, values->unset.items[i]);
        yyjson_mut_obj_put(yyjson_mut_doc_get_root(doc), yyjson_mut_str(doc, "properties"), map);
        status = set_properties(object->call, doc, &values->properties, err);
    }
    yyjson_doc_free(now);
    ist_buffer_free(&json);
    return status;
}

static ist_status update(const cli_object *object, ist_buffer *json, ist_error *err)
{
    const object_values *values = object->call->values;
    yyjson_mut_doc *doc = NULL;
    char *patch = NULL;
    ist_status status = cli_read_object(values->body, &doc, err);
    if (status == IST_OK)
        status = merge_properties(object, doc, err);
    if (status == IST_OK) {
        set_text(doc, "new_name", values->rename);
        set_text(doc, "comment", values->comment);
        set_text(doc, "owner", values->owner);
        set_text(doc, "url", values->location);
        set_text(doc, "credential_name", values->credential);
        set_role(doc, values->role);
        if (yyjson_mut_obj_size(yyjson_mut_doc_get_root(doc)) == 0)
            status = cli_usage(object->call, err, "nothing is to be changed");
    }
    if (status == IST_OK) {
        patch = yyjson_mut_write(doc, 0, NULL);
        status = patch ? ist_catalog_update(object->catalog, object->kind->securable, object->name, patch, json, err)
                       : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    }
    free(patch);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status cmd_catalog_update(cli_call *call, ist_error *err)
{
    return cli_object_run(call, call->args[0], update, cli_object_print, err);
}

/* ---- delete ------------------------------------------------------------------------------------------------------ */

static const cli_option delete_options[] = {
    {"force", CLI_FLAG, offsetof(object_values, force), NULL, NULL, "Also with everything that is in it.", 0, 0, NULL},
    {0},
};

static const cli_example delete_examples[] = {
    {"isthmus catalog delete table main.demo.scores", "A table"},
    {"isthmus catalog delete schema main.demo --force", "A schema with all its tables, volumes, functions and models"},
    {0},
};

const cli_page cmd_catalog_delete_page = {
    .arguments = CLI_CATALOG_KINDS " NAME",
    .common = CLI_JSON | CLI_CATALOG,
    .options = delete_options,
    .values_size = sizeof(object_values),
    .description = "Deletes an object. The data of managed tables and volumes goes with it; external data stays where "
                   "it is. Without --force an object that has others in it is refused.",
    .examples = delete_examples,
};

static ist_status delete(const cli_object *object, ist_buffer *json, ist_error *err)
{
    const object_values *values = object->call->values;
    ist_status status =
        ist_catalog_delete(object->catalog, object->kind->securable, object->name, values->force, err);
    return status == IST_OK ? ist_buffer_append_string(json, "{}", err) : status;
}

static ist_status print_deleted(const cli_call *call, const ist_buffer *json, ist_error *err)
{
    (void)err;
    if (call->json)
        puts(json->data);
    return IST_OK;
}

ist_status cmd_catalog_delete(cli_call *call, ist_error *err)
{
    return cli_object_run(call, call->args[0], delete, print_deleted, err);
}
