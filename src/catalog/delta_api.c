/*
 * delta_api.c: requests of Unity Catalog's Delta API, and its answers. Columns go as a Delta schema, keys are kebab-case, a
 * table is told by its name and held to its id.
 */
#include "catalog/delta_api.h"

#include "catalog/catalog_json.h"
#include "catalog/local/delta_columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CATALOGS "/v1/catalogs/{catalog}/schemas/{schema}"

const ist__delta_credential_value ist__delta_credential_values[IST__DELTA_CREDENTIAL_VALUES] = {
    {"aws_temp_credentials", "access_key_id", "s3.access-key-id"},
    {"aws_temp_credentials", "secret_access_key", "s3.secret-access-key"},
    {"aws_temp_credentials", "session_token", "s3.session-token"},
    {"azure_user_delegation_sas", "sas_token", "azure.sas-token"},
    {"gcp_oauth_token", "oauth_token", "gcs.oauth-token"},
};

/* ---- requests ----------------------------------------------------------------------------------------------------- */

static ist_status add_encoded(ist_buffer *path, const char *before, const char *text, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(path, before, err));
    return ist__uri_encode(text, strlen(text), "", path, err);
}

/* "/catalogs/main/schemas/demo", and with `last` all that follows: "/tables/t", "/tables/t/credentials". */
static ist_status path_of(const char *full_name, bool table, const char *last, ist_buffer *out, ist_error *err)
{
    static const char *const before[] = {"/catalogs/", "/schemas/", "/tables/"};
    ist__name name;
    IST_TRY(ist__name_split(full_name, 3, &name, err));
    for (int i = 0; i < (table ? 3 : 2); i++)
        IST_TRY(add_encoded(out, before[i], name.part[i], err));
    return ist_buffer_append_string(out, last, err);
}

/* Send `doc` (NULL: nothing), which is freed. */
static ist_status post(ist_catalog *catalog, const char *path, yyjson_mut_doc *doc, bool repeatable, ist_buffer *out,
                       ist_error *err)
{
    ist_buffer body = IST_BUFFER_INIT;
    ist_status status = ist__json_finish(doc, &body, err);
    if (status == IST_OK)
        status = catalog->backend->delta_request(catalog->self, "POST", path, body.data, repeatable, out, err);
    ist_buffer_free(&body);
    return status;
}

static ist_status get(ist_catalog *catalog, const char *path, ist_buffer *out, ist_error *err)
{
    return catalog->backend->delta_request(catalog->self, "GET", path, NULL, true, out, err);
}

/* ---- is it spoken? ------------------------------------------------------------------------------------------------ */

enum { NOT_ASKED, SPOKEN, NOT_SPOKEN };

/* Servers write their endpoints from /v1 on, or with what is before it. */
static bool lists(yyjson_val *endpoints, const char *method, const char *path)
{
    yyjson_val *one;
    size_t i, count;
    yyjson_arr_foreach(endpoints, i, count, one) {
        const char *text = yyjson_get_str(one);
        size_t size = text ? strlen(text) : 0, verb = strlen(method), end = strlen(path);
        if (size > verb + end && strncmp(text, method, verb) == 0 && text[verb] == ' ' &&
            strcmp(text + size - end, path) == 0)
            return true;
    }
    return false;
}

static bool has_all(const ist_buffer *config)
{
    static const struct {
        const char *method, *path;
    } used[] = {
        {"POST", CATALOGS "/staging-tables"},
        {"POST", CATALOGS "/tables"},
        {"GET", CATALOGS "/tables/{table}"},
        {"POST", CATALOGS "/tables/{table}"},
        {"GET", CATALOGS "/tables/{table}/credentials"},
        {"GET", "/v1/staging-tables/{table_id}/credentials"},
    };
    yyjson_doc *doc = config->size ? yyjson_read(config->data, config->size, 0) : NULL;
    yyjson_val *endpoints = yyjson_obj_get(yyjson_doc_get_root(doc), "endpoints");
    bool all = true;
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        all = all && lists(endpoints, used[i].method, used[i].path);
    yyjson_doc_free(doc);
    return all;
}

static ist_status ask_config(ist_catalog *catalog, const char *full_name, int *answer, ist_error *err)
{
    ist__name name;
    ist_buffer path = IST_BUFFER_INIT, config = IST_BUFFER_INIT;
    ist_error refused = IST_ERROR_INIT;
    ist_status status;
    IST_TRY_GOTO(ist__name_split(full_name, 3, &name, err));
    IST_TRY_GOTO(add_encoded(&path, "/config?protocol-versions=1.0&catalog=", name.part[0], err));
    status = get(catalog, path.data, &config, &refused);
    *answer = status == IST_OK && has_all(&config) ? SPOKEN : NOT_SPOKEN;
    /* A server that is not reached has not answered; one that refuses has. */
    bool answered = status == IST_NOT_FOUND || status == IST_UNSUPPORTED || status == IST_BAD_INPUT ||
                    status == IST_FORBIDDEN;
    if (answered)
        status = IST_OK;
    else if (status != IST_OK && err)
        *err = refused;
done:
    ist_buffer_free(&path);
    ist_buffer_free(&config);
    return status;
}

ist_status ist__delta_api_ask(ist_catalog *catalog, const char *name, bool *spoken, ist_error *err)
{
    int answer = catalog->backend->delta_request ? atomic_load(&catalog->delta_api) : NOT_SPOKEN;
    *spoken = false;
    if (answer == NOT_ASKED) {
        IST_TRY(ask_config(catalog, name, &answer, err));
        atomic_store(&catalog->delta_api, answer);
    }
    *spoken = answer == SPOKEN;
    return IST_OK;
}

/* ---- what a table is, in the API's words ---------------------------------------------------------------------------- */

static void add_copy(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_val *value)
{
    yyjson_mut_obj_add_val(doc, object, key, yyjson_val_mut_copy(doc, value));
}

/* Its columns, and those that it is partitioned by. */
static ist_status columns_of(yyjson_val *description, yyjson_mut_doc *doc, yyjson_mut_val **columns,
                             yyjson_mut_val **partitions, ist_error *err)
{
    ist_buffer kept = IST_BUFFER_INIT;
    ist_status status = ist__delta_columns(description, &kept, err);
    if (status == IST_OK) {
        *columns = ist__delta_columns_write(doc, kept.data);
        *partitions = ist__delta_columns_partitions(doc, kept.data);
    }
    ist_buffer_free(&kept);
    return status;
}

static yyjson_mut_val *protocol_of(yyjson_val *description, yyjson_mut_doc *doc)
{
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    yyjson_val *protocol = yyjson_obj_get(description, "protocol");
    add_copy(doc, out, "min-reader-version", yyjson_obj_get(protocol, "minReaderVersion"));
    add_copy(doc, out, "min-writer-version", yyjson_obj_get(protocol, "minWriterVersion"));
    add_copy(doc, out, "reader-features", yyjson_obj_get(protocol, "readerFeatures"));
    add_copy(doc, out, "writer-features", yyjson_obj_get(description, "features"));
    return out;
}

/* ---- commits -------------------------------------------------------------------------------------------------------- */

ist_status ist__delta_api_commits(ist_catalog *catalog, const ist__managed_table *table, ist__commits *out,
                                  ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, answer = {.limit = IST__CATALOG_REPLY_MAX};
    yyjson_doc *doc = NULL;
    ist_status status;
    *out = (ist__commits){0};
    IST_TRY_GOTO(path_of(table->name, true, "", &path, err));
    IST_TRY_GOTO(get(catalog, path.data, &answer, err));
    IST_TRY_GOTO(ist__json_read_object(answer.data, &doc, err));
    yyjson_val *id = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "metadata"), "table-uuid");
    if (!yyjson_equals_str(id, table->id)) {
        status = ist_error_set(err, IST_NOT_FOUND, 0, table->uri,
                               "table %s is another table now: it was renamed or dropped since it was opened", table->name);
        goto done;
    }
    status = ist__commits_parse(answer.data, answer.size, IST__COMMITS_DELTA, out, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&path);
    ist_buffer_free(&answer);
    return status;
}

static yyjson_mut_val *add_update(yyjson_mut_doc *doc, yyjson_mut_val *updates, const char *action)
{
    yyjson_mut_val *update = yyjson_mut_arr_add_obj(doc, updates);
    yyjson_mut_obj_add_str(doc, update, "action", action);
    return update;
}

static void add_commit(yyjson_mut_doc *doc, yyjson_mut_val *updates, const ist__commit_info *commit, int64_t time)
{
    yyjson_mut_val *info = yyjson_mut_obj_add_obj(doc, add_update(doc, updates, "add-commit"), "commit");
    yyjson_mut_obj_add_sint(doc, info, "version", commit->version);
    yyjson_mut_obj_add_sint(doc, info, "timestamp", time);
    yyjson_mut_obj_add_str(doc, info, "file-name", commit->name);
    yyjson_mut_obj_add_sint(doc, info, "file-size", commit->size);
    yyjson_mut_obj_add_sint(doc, info, "file-modification-timestamp", commit->modified_ms);
}

/* All that the table is from now on. Nothing is taken from it: a writer of Isthmus removes no property. */
static ist_status add_changes(yyjson_mut_doc *doc, yyjson_mut_val *updates, yyjson_val *description, ist_error *err)
{
    yyjson_mut_val *columns, *partitions;
    yyjson_val *comment = yyjson_obj_get(description, "description");
    IST_TRY(columns_of(description, doc, &columns, &partitions, err));
    yyjson_mut_obj_add_val(doc, add_update(doc, updates, "set-columns"), "columns", columns);
    yyjson_mut_obj_add_val(doc, add_update(doc, updates, "set-partition-columns"), "partition-columns", partitions);
    yyjson_mut_obj_add_val(doc, add_update(doc, updates, "set-protocol"), "protocol", protocol_of(description, doc));
    add_copy(doc, add_update(doc, updates, "set-properties"), "updates", yyjson_obj_get(description, "properties"));
    if (yyjson_is_str(comment))
        add_copy(doc, add_update(doc, updates, "set-table-comment"), "comment", comment);
    return IST_OK;
}

ist_status ist__delta_api_commit(ist_catalog *catalog, const ist__managed_table *table, const ist__commit_info *commit,
                                 const ist_proposal *proposal, int64_t published, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, answer = {.limit = IST__CATALOG_REPLY_MAX};
    yyjson_doc *description = NULL;
    ist_status status;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *held = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, root, "requirements"));
    yyjson_mut_obj_add_str(doc, held, "type", "assert-table-uuid");
    yyjson_mut_obj_add_str(doc, held, "uuid", table->id);
    yyjson_mut_val *updates = yyjson_mut_obj_add_arr(doc, root, "updates");
    if (commit)
        add_commit(doc, updates, commit, proposal->timestamp_ms);
    if (published >= 0)
        yyjson_mut_obj_add_sint(doc, add_update(doc, updates, "set-latest-backfilled-version"),
                                "latest-published-version", published);
    if (commit && proposal->table) {
        IST_TRY_GOTO(ist__json_read_object(proposal->table, &description, err));
        IST_TRY_GOTO(add_changes(doc, updates, yyjson_doc_get_root(description), err));
    }
    IST_TRY_GOTO(path_of(table->name, true, "", &path, err));
    status = post(catalog, path.data, doc, true, &answer, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(description);
    ist_buffer_free(&path);
    ist_buffer_free(&answer);
    return status;
}

/* ---- new tables ------------------------------------------------------------------------------------------------------ */

void ist__delta_place_free(ist__delta_place *place)
{
    free(place->id);
    free(place->uri);
    free(place->required);
    *place = (ist__delta_place){0};
}

static void require_features(yyjson_val *list, yyjson_mut_doc *doc, yyjson_mut_val *properties)
{
    yyjson_val *one;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, one) {
        char key[300];
        snprintf(key, sizeof key, "delta.feature.%s", yyjson_is_str(one) ? yyjson_get_str(one) : "");
        yyjson_mut_obj_put(properties, yyjson_mut_strcpy(doc, key), yyjson_mut_str(doc, "supported"));
    }
}

/* Features and properties as one object; a property without a value is the writer's to choose. */
static char *required_of(yyjson_val *answer)
{
    yyjson_val *protocol = yyjson_obj_get(answer, "required-protocol"), *key, *value;
    size_t i, count;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *properties = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, properties);
    require_features(yyjson_obj_get(protocol, "reader-features"), doc, properties);
    require_features(yyjson_obj_get(protocol, "writer-features"), doc, properties);
    yyjson_obj_foreach(yyjson_obj_get(answer, "required-properties"), i, count, key, value)
        if (yyjson_is_str(value))
            yyjson_mut_obj_put(properties, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
    char *text = yyjson_mut_write(doc, 0, NULL);
    yyjson_mut_doc_free(doc);
    return text;
}

static ist_status take_place(yyjson_val *answer, ist__delta_place *out, ist_error *err)
{
    const char *id, *uri;
    IST_TRY(ist__json_text(answer, "table-id", true, &id, err));
    IST_TRY(ist__json_text(answer, "location", true, &uri, err));
    IST_TRY(ist__strdup(id, &out->id, err));
    IST_TRY(ist__strdup(uri, &out->uri, err));
    out->required = required_of(answer);
    return out->required ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a new table");
}

ist_status ist__delta_api_reserve(ist_catalog *catalog, const char *name, ist__delta_place *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, answer = {.limit = IST__CATALOG_REPLY_MAX};
    yyjson_doc *in = NULL;
    ist__name parts;
    ist_status status;
    *out = (ist__delta_place){0};
    IST_TRY(ist__name_split(name, 3, &parts, err));
    IST_TRY_GOTO(path_of(name, false, "/staging-tables", &path, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", parts.part[2]);
    IST_TRY_GOTO(post(catalog, path.data, doc, true, &answer, err)); /* a place that nobody uses does no harm */
    IST_TRY_GOTO(ist__json_read_object(answer.data, &in, err));
    status = take_place(yyjson_doc_get_root(in), out, err);
done:
    yyjson_doc_free(in);
    ist_buffer_free(&path);
    ist__buffer_wipe(&answer); /* it has credentials, too */
    if (status != IST_OK)
        ist__delta_place_free(out);
    return status;
}

ist_status ist__delta_api_create(ist_catalog *catalog, const ist__managed_table *table, yyjson_val *description,
                                 int64_t timestamp_ms, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, answer = {.limit = IST__CATALOG_REPLY_MAX};
    ist__name name;
    yyjson_mut_val *columns, *partitions;
    ist_status status;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    IST_TRY_GOTO(ist__name_split(table->name, 3, &name, err));
    IST_TRY_GOTO(path_of(table->name, false, "/tables", &path, err));
    IST_TRY_GOTO(columns_of(description, doc, &columns, &partitions, err));
    yyjson_mut_obj_add_str(doc, root, "name", name.part[2]);
    yyjson_mut_obj_add_str(doc, root, "location", table->uri);
    yyjson_mut_obj_add_str(doc, root, "table-type", "MANAGED");
    if (yyjson_is_str(yyjson_obj_get(description, "description")))
        add_copy(doc, root, "comment", yyjson_obj_get(description, "description"));
    yyjson_mut_obj_add_val(doc, root, "columns", columns);
    yyjson_mut_obj_add_val(doc, root, "partition-columns", partitions);
    yyjson_mut_obj_add_val(doc, root, "protocol", protocol_of(description, doc));
    add_copy(doc, root, "properties", yyjson_obj_get(description, "properties"));
    yyjson_mut_obj_add_sint(doc, root, "last-commit-timestamp-ms", timestamp_ms);
    status = post(catalog, path.data, doc, false, &answer, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
    ist_buffer_free(&path);
    ist_buffer_free(&answer);
    return status;
}

/* ---- credentials ------------------------------------------------------------------------------------------------------ */

/* The one for the longest path: the table's own, where there are several. */
static yyjson_val *choose(yyjson_val *list)
{
    yyjson_val *one, *found = NULL;
    size_t i, count, longest = 0;
    yyjson_arr_foreach(list, i, count, one) {
        size_t size = yyjson_get_len(yyjson_obj_get(one, "prefix"));
        if (!found || size > longest) {
            found = one;
            longest = size;
        }
    }
    return found;
}

static ist_status convert(const ist_buffer *answer, ist_buffer *out, ist_error *err)
{
    static const char *const own[] = {"isthmus_file_token", "isthmus_storage"};
    yyjson_doc *in = NULL;
    IST_TRY(ist__json_read_object(answer->data, &in, err));
    yyjson_val *from = choose(yyjson_obj_get(yyjson_doc_get_root(in), "storage-credentials"));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    for (int i = 0; i < IST__DELTA_CREDENTIAL_VALUES; i++) {
        const ist__delta_credential_value *value = &ist__delta_credential_values[i];
        yyjson_val *text = yyjson_obj_get(yyjson_obj_get(from, "config"), value->key);
        if (!yyjson_is_str(text))
            continue;
        yyjson_mut_val *object = yyjson_mut_obj_get(root, value->object);
        add_copy(doc, object ? object : yyjson_mut_obj_add_obj(doc, root, value->object), value->member, text);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (yyjson_obj_get(from, own[i]))
            add_copy(doc, root, own[i], yyjson_obj_get(from, own[i]));
    if (yyjson_is_int(yyjson_obj_get(from, "expiration-time-ms")))
        add_copy(doc, root, "expiration_time", yyjson_obj_get(from, "expiration-time-ms"));
    if (yyjson_is_str(yyjson_obj_get(from, "prefix")))
        add_copy(doc, root, "url", yyjson_obj_get(from, "prefix"));
    ist_status status = ist__json_finish(doc, out, err);
    yyjson_doc_free(in);
    return status;
}

/* Of a staging table by its id; once that is registered, of the table by its name. */
static ist_status fetch(ist_catalog *catalog, yyjson_val *request, ist_buffer *out, ist_error *err)
{
    const char *name, *id, *operation;
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(ist__json_text(request, "delta_staging_table", false, &id, err));
    if (id) {
        ist_error gone = IST_ERROR_INIT;
        IST_TRY_GOTO(add_encoded(&path, "/staging-tables/", id, err));
        IST_TRY_GOTO(ist_buffer_append_string(&path, "/credentials", err));
        status = get(catalog, path.data, out, &gone);
        if (status != IST_NOT_FOUND && status != IST_BAD_INPUT) {
            if (status != IST_OK && err)
                *err = gone;
            goto done;
        }
        ist_buffer_clear(&path);
    }
    IST_TRY_GOTO(ist__json_text(request, "delta_table", true, &name, err));
    IST_TRY_GOTO(ist__json_text(request, "operation", true, &operation, err));
    IST_TRY_GOTO(path_of(name, true, "/credentials", &path, err));
    IST_TRY_GOTO(add_encoded(&path, "?operation=", operation, err));
    status = get(catalog, path.data, out, err);
done:
    ist_buffer_free(&path);
    return status;
}

ist_status ist__delta_api_credentials(ist_catalog *catalog, const char *request, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = NULL;
    ist_buffer answer = {.limit = IST__CATALOG_REPLY_MAX};
    IST_TRY(ist__json_read_object(request, &doc, err));
    ist_status status = fetch(catalog, yyjson_doc_get_root(doc), &answer, err);
    if (status == IST_OK)
        status = convert(&answer, out, err);
    yyjson_doc_free(doc);
    ist__buffer_wipe(&answer);
    return status;
}
