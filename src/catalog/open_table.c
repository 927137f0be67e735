/* open_table.c: from a table's name, or from what another process tells of it, to a store and a committer. */
#include "catalog/catalog_json.h"
#include "catalog/delta_api.h"
#include "catalog/managed_commit.h"
#include "isthmus/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ist_table {
    ist_catalog *catalog;
    char *name, *id, *uri;
    char *info; /* NULL: new */
    bool is_new;
    bool managed; /* the catalog commits */
    bool delta_api; /* and that by its Delta API */
    char *required; /* of a new table: what the catalog requires, see ist__managed_table */
    ist_committer *committer; /* also of a new table, which may become a managed one */
    ist_store *store;
};

/* ---- opening ------------------------------------------------------------------------------------------------------- */

/* Whom to ask for credentials, in the words of the API that goes with the table. */
static void add_subject(const ist_table *table, yyjson_mut_doc *doc, yyjson_mut_val *request)
{
    if (table->delta_api && table->is_new)
        yyjson_mut_obj_add_str(doc, request, "delta_staging_table", table->id);
    yyjson_mut_obj_add_str(doc, request, table->delta_api ? "delta_table" : "table_id",
                           table->delta_api ? table->name : table->id);
}

static ist_status open_store(ist_table *table, ist_table_operation operation, ist_error *err)
{
    ist_buffer request = IST_BUFFER_INIT, granted = IST_BUFFER_INIT;
    ist_store_options options = IST_STORE_OPTIONS_INIT;
    ist_status status;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    add_subject(table, doc, root);
    yyjson_mut_obj_add_str(doc, root, "operation", operation == IST_TABLE_READ ? "READ" : "READ_WRITE");
    IST_TRY_GOTO(ist__json_finish(doc, &request, err));
    IST_TRY_GOTO(ist_catalog_open_credentials(table->catalog, request.data, &options.credentials, err));
    if (operation != IST_TABLE_READ) /* to be refused now, and not in the middle of a write */
        IST_TRY_GOTO(ist_credentials_get(options.credentials, &granted, err));
    options.create = operation == IST_TABLE_CREATE;
    status = ist_store_open(table->uri, &options, &table->store, err);
done:
    ist__buffer_wipe(&granted);
    ist_credentials_free(options.credentials);
    ist_buffer_free(&request);
    return status;
}

static ist__managed_table as_managed(const ist_table *table)
{
    return (ist__managed_table){table->id,      table->uri,       table->name,
                                !table->is_new, table->delta_api, table->required};
}

static ist_status make_committer(ist_table *table, ist_error *err)
{
    const ist__managed_table managed = as_managed(table);
    return table->managed || table->is_new ? ist__managed_committer_new(table->catalog, &managed, &table->committer, err)
                                           : IST_OK;
}

/* Does the catalog commit to this table? Writers say so in its properties when they make it. */
static bool is_managed(yyjson_val *info)
{
    static const char *const features[] = {"delta.feature.catalogManaged", "delta.feature.catalogOwned-preview"};
    yyjson_val *properties = yyjson_obj_get(info, "properties");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (yyjson_equals_str(yyjson_obj_get(properties, features[i]), "supported"))
            return true;
    return false;
}

static ist_status copy_text(yyjson_val *object, const char *key, char **out, ist_error *err)
{
    const char *text = NULL;
    IST_TRY(ist__json_text(object, key, true, &text, err));
    return ist__strdup(text, out, err);
}

static ist_status take_info(ist_table *table, const ist_buffer *json, ist_error *err)
{
    yyjson_doc *doc = NULL;
    const char *format = NULL, *location = NULL;
    ist_status status;
    IST_TRY_GOTO(ist__json_read_object(json->data, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    IST_TRY_GOTO(ist__json_text(root, "data_source_format", false, &format, err));
    IST_TRY_GOTO(ist__json_text(root, "storage_location", false, &location, err));
    if (!location || !*location) {
        status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "the catalog tells no location of this table (a view?)");
        goto done;
    }
    if (format && strcmp(format, "DELTA") != 0) {
        status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "the table is %.64s, not DELTA", format);
        goto done;
    }
    IST_TRY_GOTO(copy_text(root, "table_id", &table->id, err));
    IST_TRY_GOTO(ist__strdup(location, &table->uri, err));
    table->managed = is_managed(root);
    if (table->managed)
        IST_TRY_GOTO(ist__delta_api_ask(table->catalog, table->name, &table->delta_api, err));
    status = ist__strdup(json->data, &table->info, err);
done:
    yyjson_doc_free(doc);
    return status;
}

/* A catalog that refuses new tables unless they are catalog-managed says in its Delta API what they must be. */
static ist_status take_delta_place(ist_table *table, const ist_error *refused, ist_error *err)
{
    ist__delta_place place;
    IST_TRY(ist__delta_api_ask(table->catalog, table->name, &table->delta_api, err));
    if (!table->delta_api) {
        if (err)
            *err = *refused;
        return refused->status;
    }
    IST_TRY(ist__delta_api_reserve(table->catalog, table->name, &place, err));
    table->id = place.id;
    table->uri = place.uri;
    table->required = place.required;
    return IST_OK;
}

static ist_status take_place(ist_table *table, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_error refused = IST_ERROR_INIT;
    ist_status status = ist_catalog_create_staging_table(table->catalog, table->name, &json, &refused);
    if (status == IST_BAD_INPUT || status == IST_UNSUPPORTED)
        return take_delta_place(table, &refused, err);
    if (status != IST_OK) {
        if (err)
            *err = refused;
        return status;
    }
    IST_TRY_GOTO(ist__json_read_object(json.data, &doc, err));
    IST_TRY_GOTO(copy_text(yyjson_doc_get_root(doc), "id", &table->id, err));
    status = copy_text(yyjson_doc_get_root(doc), "staging_location", &table->uri, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    return status;
}

/* Ask the catalog for the table, or for a place to make it. */
static ist_status find(ist_table *table, ist_table_operation operation, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    ist_error missing = IST_ERROR_INIT;
    ist_status status = ist_catalog_get(table->catalog, IST_SECURABLE_TABLE, table->name, &json, &missing);
    table->is_new = status == IST_NOT_FOUND && operation == IST_TABLE_CREATE;
    if (status == IST_OK)
        status = take_info(table, &json, err);
    else if (table->is_new)
        status = take_place(table, err);
    else if (err)
        *err = missing;
    ist_buffer_free(&json);
    return status;
}

ist_status ist_table_open(ist_catalog *catalog, const char *full_name, ist_table_operation operation, ist_table **out,
                          ist_error *err)
{
    ist_table *table = NULL;
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *table, (void **)&table, err));
    table->catalog = ist__catalog_hold(catalog);
    IST_TRY_GOTO(ist__strdup(full_name, &table->name, err));
    status = find(table, operation, err);
    if (status == IST_ALREADY_EXISTS) /* another process made it between the two questions */
        status = find(table, operation, err);
    if (status == IST_OK)
        status = make_committer(table, err);
    if (status == IST_OK)
        status = open_store(table, operation, err);
done:
    if (status == IST_OK) {
        *out = table;
        return IST_OK;
    }
    if (err && !strstr(err->message, full_name))
        ist_error_context(err, "table %s", full_name);
    ist_table_free(table);
    return status;
}

void ist_table_free(ist_table *table)
{
    if (!table)
        return;
    ist_store_free(table->store);
    ist_committer_free(table->committer);
    free(table->name);
    free(table->id);
    free(table->uri);
    free(table->info);
    free(table->required);
    ist__catalog_release(table->catalog);
    free(table);
}

/* ---- what a table tells ---------------------------------------------------------------------------------------------- */

const char *ist_table_name(const ist_table *table)
{
    return table->name;
}

const char *ist_table_id(const ist_table *table)
{
    return table->id;
}

const char *ist_table_uri(const ist_table *table)
{
    return table->uri;
}

const char *ist_table_info(const ist_table *table)
{
    return table->info;
}

ist_store *ist_table_store(const ist_table *table)
{
    return table->store;
}

const ist_committer *ist_table_committer(const ist_table *table)
{
    return table->managed || table->is_new ? table->committer : NULL;
}

bool ist_table_is_new(const ist_table *table)
{
    return table->is_new;
}

/* ---- registering ------------------------------------------------------------------------------------------------------ */

static bool has_catalog_feature(yyjson_val *description)
{
    yyjson_val *feature;
    size_t i, max;
    yyjson_arr_foreach(yyjson_obj_get(description, "features"), i, max, feature)
        if (yyjson_equals_str(feature, "catalogManaged"))
            return true;
    return false;
}

/* For a managed table everything that its protocol and properties say, as Delta's own client does; else its id alone. */
static void add_create_properties(const ist_table *table, const ist_snapshot *snapshot, yyjson_val *description,
                                  yyjson_mut_doc *doc, yyjson_mut_val *properties)
{
    char number[24];
    if (!has_catalog_feature(description)) {
        yyjson_mut_obj_add_str(doc, properties, "io.unitycatalog.tableId", table->id);
        return;
    }
    ist__delta_properties(description, doc, properties);
    yyjson_val *protocol = yyjson_obj_get(description, "protocol");
    static const char *const versions[] = {"minReaderVersion", "minWriterVersion"};
    for (size_t i = 0; i < 2; i++) {
        char key[40];
        snprintf(key, sizeof key, "delta.%s", versions[i]);
        snprintf(number, sizeof number, "%" PRId64, yyjson_get_sint(yyjson_obj_get(protocol, versions[i])));
        yyjson_mut_obj_add(properties, yyjson_mut_strcpy(doc, key), yyjson_mut_strcpy(doc, number));
    }
    snprintf(number, sizeof number, "%" PRId64, ist_snapshot_version(snapshot));
    yyjson_mut_obj_add_strcpy(doc, properties, "delta.lastUpdateVersion", number);
    snprintf(number, sizeof number, "%" PRId64, ist_snapshot_timestamp_ms(snapshot));
    yyjson_mut_obj_add_strcpy(doc, properties, "delta.lastCommitTimestamp", number);
}

static ist_status send_create(const ist_table *table, const ist_snapshot *snapshot, yyjson_val *description,
                              const ist_buffer *columns, ist_error *err)
{
    ist__name name;
    ist_buffer body = IST_BUFFER_INIT;
    IST_TRY(ist__name_split(table->name, 3, &name, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "catalog_name", name.part[0]);
    yyjson_mut_obj_add_str(doc, root, "schema_name", name.part[1]);
    yyjson_mut_obj_add_str(doc, root, "name", name.part[2]);
    yyjson_mut_obj_add_str(doc, root, "table_type", "MANAGED");
    yyjson_mut_obj_add_str(doc, root, "data_source_format", "DELTA");
    yyjson_mut_obj_add_str(doc, root, "storage_location", table->uri);
    ist__json_add_text(doc, root, "comment", yyjson_get_str(yyjson_obj_get(description, "description")));
    yyjson_mut_obj_add_val(doc, root, "columns", yyjson_mut_rawn(doc, columns->data, columns->size));
    add_create_properties(table, snapshot, description, doc, yyjson_mut_obj_add_obj(doc, root, "properties"));
    ist_status status = ist__json_finish(doc, &body, err);
    if (status == IST_OK)
        status = ist_catalog_create(table->catalog, IST_SECURABLE_TABLE, body.data, NULL, err);
    ist_buffer_free(&body);
    return status;
}

static ist_status create(ist_table *table, const ist_snapshot *snapshot, yyjson_val *description,
                         const ist_buffer *columns, ist_error *err)
{
    const ist__managed_table managed = as_managed(table);
    ist_status status = table->delta_api ? ist__delta_api_create(table->catalog, &managed, description,
                                                                 ist_snapshot_timestamp_ms(snapshot), err)
                                         : send_create(table, snapshot, description, columns, err);
    if (status != IST_OK)
        return ist_error_context(err, "the rows are written at %s, but the catalog did not take the table", table->uri);
    table->is_new = false;
    table->managed = has_catalog_feature(description);
    ist__managed_committer_registered(table->committer);
    return IST_OK;
}

/* Other Unity Catalog servers know no change of a table: they take its columns from the log. */
static ist_status update(const ist_table *table, const ist_buffer *columns, ist_error *err)
{
    ist_buffer body = IST_BUFFER_INIT;
    ist_error refused = IST_ERROR_INIT;
    ist_status status = ist_buffer_printf(&body, err, "{\"columns\":%s}", columns->data);
    if (status == IST_OK)
        status = ist_catalog_update(table->catalog, IST_SECURABLE_TABLE, table->name, body.data, NULL, &refused);
    ist_buffer_free(&body);
    if (status == IST_OK || status == IST_UNSUPPORTED)
        return IST_OK;
    if (err)
        *err = refused;
    return ist_error_context(err, "table %s: the rows are committed, but the catalog did not take the new columns",
                             table->name);
}

ist_status ist_table_register(ist_table *table, const ist_snapshot *snapshot, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT, columns = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    if (table->managed)
        goto done; /* it learns of changes with the commits */
    IST_TRY_GOTO(ist_snapshot_describe(snapshot, &text, err));
    IST_TRY_GOTO(ist__json_read_object(text.data, &doc, err));
    IST_TRY_GOTO(ist__delta_columns(yyjson_doc_get_root(doc), &columns, err));
    status = table->is_new ? create(table, snapshot, yyjson_doc_get_root(doc), &columns, err)
                           : update(table, &columns, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&text);
    ist_buffer_free(&columns);
    return status;
}

/* ---- access from other processes --------------------------------------------------------------------------------------- */

ist_status ist__catalog_tell(const ist_catalog *catalog, yyjson_mut_doc *doc, yyjson_mut_val *object, ist_error *err)
{
    ist_buffer token = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (catalog->backend->get_token)
        status = catalog->backend->get_token(catalog->self, &token, err);
    if (status == IST_OK) {
        yyjson_mut_obj_add_strcpy(doc, object, "catalog", catalog->uri);
        ist__json_add_text(doc, object, "ca_file", catalog->ca_file);
        if (token.size)
            yyjson_mut_obj_add_strncpy(doc, object, "token", token.data, token.size);
    }
    ist__buffer_wipe(&token);
    return status;
}

ist_status ist__catalog_open_told(yyjson_val *object, ist_catalog **out, ist_error *err)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    IST_TRY(ist__json_text(object, "catalog", true, &options.uri, err));
    IST_TRY(ist__json_text(object, "token", false, &options.token, err));
    IST_TRY(ist__json_text(object, "ca_file", false, &options.ca_file, err));
    return ist_catalog_open(&options, out, err);
}

ist_status ist_table_access(const ist_table *table, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", table->name);
    yyjson_mut_obj_add_str(doc, root, "id", table->id);
    yyjson_mut_obj_add_str(doc, root, "uri", table->uri);
    yyjson_mut_obj_add_bool(doc, root, "managed", table->managed);
    yyjson_mut_obj_add_bool(doc, root, "new", table->is_new);
    yyjson_mut_obj_add_bool(doc, root, "delta_api", table->delta_api);
    if (table->is_new)
        ist__json_add_text(doc, root, "required", table->required);
    ist_status status = ist__catalog_tell(table->catalog, doc, root, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status take_access(ist_table *table, yyjson_val *access, ist_table_operation operation, ist_error *err)
{
    IST_TRY(copy_text(access, "name", &table->name, err));
    IST_TRY(copy_text(access, "id", &table->id, err));
    IST_TRY(copy_text(access, "uri", &table->uri, err));
    table->managed = yyjson_is_true(yyjson_obj_get(access, "managed"));
    table->is_new = yyjson_is_true(yyjson_obj_get(access, "new"));
    table->delta_api = yyjson_is_true(yyjson_obj_get(access, "delta_api"));
    if (table->is_new && yyjson_is_str(yyjson_obj_get(access, "required")))
        IST_TRY(copy_text(access, "required", &table->required, err));
    IST_TRY(make_committer(table, err));
    ist_status status = open_store(table, operation, err);
    if (status != IST_OK && err && !strstr(err->message, table->name))
        ist_error_context(err, "table %s", table->name);
    return status;
}

ist_status ist_table_open_access(const char *access, ist_table_operation operation, ist_table **out, ist_error *err)
{
    ist_table *table = NULL;
    yyjson_doc *doc = NULL;
    IST_TRY(ist__json_read_object(access, &doc, err));
    ist_status status = ist__alloc(1, sizeof *table, (void **)&table, err);
    if (status == IST_OK)
        status = ist__catalog_open_told(yyjson_doc_get_root(doc), &table->catalog, err);
    if (status == IST_OK) {
        status = take_access(table, yyjson_doc_get_root(doc), operation, err);
        /* Nobody else has this catalog: its cache of credentials, each of which holds it, would keep both for ever. */
        ist_catalog_free(ist__catalog_hold(table->catalog));
    }
    yyjson_doc_free(doc);
    if (status == IST_OK)
        *out = table;
    else if (table && table->catalog)
        ist_table_free(table);
    else
        free(table);
    return status;
}
