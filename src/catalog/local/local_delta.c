/* local_delta.c: tables by the Delta API: load, create, rename, credentials. delta_update.c has the updates. */
#include "catalog/local/local_delta.h"

#include "catalog/local/commits.h"
#include "catalog/local/delta_columns.h"
#include "catalog/local/delta_contract.h"
#include "catalog/local/local_delta_internal.h"
#include "catalog/local/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Load ------------------------------------------------------------------------------------------------------------- */

static void add_number_of(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_mut_val *properties,
                          const char *property)
{
    const char *text = yyjson_mut_get_str(yyjson_mut_obj_get(properties, property));
    char *end;
    int64_t number = text ? strtoll(text, &end, 10) : 0;
    if (text && *text && !*end)
        yyjson_mut_obj_add_sint(doc, object, key, number);
}

static void add_metadata(yyjson_mut_doc *doc, yyjson_mut_val *root, sqlite3_stmt *row)
{
    yyjson_mut_val *out = yyjson_mut_obj_add_obj(doc, root, "metadata");
    const char *columns = ist__column_text(row, 5), *text = ist__column_text(row, 6);
    char etag[40];
    snprintf(etag, sizeof etag, "etag-%lld", (long long)sqlite3_column_int64(row, 4));
    yyjson_mut_obj_add_strcpy(doc, out, "etag", etag);
    yyjson_mut_obj_add_strcpy(doc, out, "table-type", ist__column_text(row, 0));
    yyjson_mut_obj_add_strcpy(doc, out, "table-uuid", ist__column_text(row, 1));
    yyjson_mut_obj_add_strcpy(doc, out, "location", ist__column_text(row, 2));
    yyjson_mut_obj_add_sint(doc, out, "created-time", sqlite3_column_int64(row, 3));
    yyjson_mut_obj_add_sint(doc, out, "updated-time", sqlite3_column_int64(row, 4));
    yyjson_mut_obj_add_val(doc, out, "columns", ist__delta_columns_write(doc, columns));
    yyjson_mut_obj_add_val(doc, out, "partition-columns", ist__delta_columns_partitions(doc, columns));
    yyjson_doc *in = yyjson_read(text, strlen(text), 0);
    yyjson_mut_val *properties = yyjson_val_mut_copy(doc, yyjson_doc_get_root(in));
    yyjson_doc_free(in);
    yyjson_mut_obj_add_val(doc, out, "properties", properties);
    add_number_of(doc, out, "last-commit-version", properties, IST__LAST_UPDATE_VERSION);
    add_number_of(doc, out, "last-commit-timestamp-ms", properties, IST__LAST_COMMIT_TIMESTAMP);
}

static ist_status load(ist__db *db, const char *id, yyjson_mut_doc *doc, ist_error *err)
{
    sqlite3_stmt *row;
    int64_t latest;
    IST_TRY(ist__db_run(db,
                        "SELECT table_type, id, storage_location, created_at, updated_at, columns, properties,"
                        " data_source_format FROM tables WHERE id = ?1",
                        &row, err, "t", id));
    const char *format = ist__column_text(row, 7);
    if (!format || strcmp(format, "DELTA") != 0)
        return ist__uc_error(err, IST__UC_UNSUPPORTED_TABLE_FORMAT, "Table is not a Delta table: %s", id);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool managed = strcmp(ist__column_text(row, 0), "MANAGED") == 0;
    add_metadata(doc, root, row);
    yyjson_mut_val *commits = yyjson_mut_obj_add_arr(doc, root, "commits");
    if (!managed)
        return IST_OK;
    IST_TRY(ist__commits_append(db, id, 0, INT64_MAX, IST__COMMIT_KEBAB, doc, commits, err));
    IST_TRY(ist__commits_latest(db, id, &latest, err));
    yyjson_mut_obj_add_sint(doc, root, "latest-table-version", latest);
    return IST_OK;
}

ist_status ist__delta_append(ist__db *db, const char *id, ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = load(db, id, doc, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status load_by_name(ist__session *session, ist__db *db, const ist__name *table, ist_buffer *out,
                               ist_error *err)
{
    ist__chain chain;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_TABLE, table, IST__ACTION_SEE, &chain, err));
    return ist__delta_append(db, ist__chain_id(&chain), out, err);
}

ist_status ist__delta_load(ist__session *session, const ist__name *table, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(session, &db, err));
    return ist__db_end(db, load_by_name(session, db, table, out, err), err);
}

ist_status ist__delta_check_catalog(ist__session *session, const char *catalog, ist_error *err)
{
    ist__name name;
    ist__db *db;
    IST_TRY(ist__name_split(catalog, 1, &name, err));
    IST_TRY(ist__session_read(session, &db, err));
    return ist__db_end(db, ist__resolve(session, db, IST_SECURABLE_CATALOG, &name, IST__ACTION_SEE, NULL, err), err);
}

/* Create ----------------------------------------------------------------------------------------------------------- */

static bool is_uniform(yyjson_mut_val *properties)
{
    const char *formats =
        yyjson_mut_get_str(yyjson_mut_obj_get(properties, "delta.universalFormat.enabledFormats"));
    return formats && strstr(formats, "iceberg");
}

ist_status ist__delta_check_uniform(yyjson_mut_val *properties, yyjson_val *uniform, ist_error *err)
{
    bool enabled = is_uniform(properties), given = uniform && !yyjson_is_null(uniform);
    if (enabled != given)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Uniform metadata must %s set when 'delta.universalFormat.enabledFormats' %s 'iceberg'.",
                             enabled ? "be" : "not be", enabled ? "includes" : "does not include");
    if (given)
        return ist__uc_error(err, IST__UC_UNIMPLEMENTED, "this catalog keeps no Iceberg metadata (uniform)");
    return IST_OK;
}

/* The properties that the table gets: the client's, and those that tell of protocol and domains. */
static ist_status create_properties(yyjson_mut_doc *doc, yyjson_val *body, bool managed, yyjson_mut_val **out,
                                    ist_error *err)
{
    yyjson_val *given = yyjson_obj_get(body, "properties"), *protocol = yyjson_obj_get(body, "protocol");
    yyjson_val *time = yyjson_obj_get(body, "last-commit-timestamp-ms");
    char *checked;
    int count;
    IST_TRY(ist__json_properties(body, "properties", &checked, err));
    free(checked);
    if (!yyjson_is_int(time))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "last-commit-timestamp-ms is required.");
    *out = yyjson_is_obj(given) ? yyjson_val_mut_copy(doc, given) : yyjson_mut_obj(doc);
    IST_TRY(ist__delta_protocol_apply(doc, *out, protocol, err));
    IST_TRY(ist__delta_domains_apply(doc, *out, yyjson_obj_get(body, "domain-metadata"), &count, err));
    if (managed)
        IST_TRY(ist__delta_contract_check(protocol, *out, err));
    IST_TRY(ist__delta_check_uniform(*out, yyjson_obj_get(body, "uniform"), err));
    ist__delta_property_set_number(doc, *out, IST__LAST_COMMIT_TIMESTAMP, yyjson_get_sint(time));
    ist__delta_property_set(doc, *out, IST__LAST_UPDATE_VERSION, "0");
    return IST_OK;
}

/* The body of Unity Catalog's CreateTable for the Delta API's. */
static ist_status translate(const ist__name *schema, yyjson_val *body, yyjson_mut_doc *doc, ist_error *err)
{
    static const char *const types[] = {"MANAGED", "EXTERNAL", NULL};
    const char *name, *location, *type, *comment;
    ist_buffer columns = IST_BUFFER_INIT, partitioned = IST_BUFFER_INIT;
    yyjson_mut_val *root = yyjson_mut_obj(doc), *properties = NULL;
    yyjson_mut_doc_set_root(doc, root);
    IST_TRY(ist__json_text(body, "name", true, &name, err));
    IST_TRY(ist__json_text(body, "location", true, &location, err));
    IST_TRY(ist__json_text(body, "table-type", true, &type, err));
    IST_TRY(ist__one_of(type, types, "table-type", err));
    IST_TRY(ist__json_text(body, "comment", false, &comment, err));
    IST_TRY(create_properties(doc, body, strcmp(type, "MANAGED") == 0, &properties, err));
    ist_status status = ist__delta_columns_read(yyjson_obj_get(body, "columns"), &columns, err);
    if (status == IST_OK)
        status = ist__delta_columns_partition(columns.data, yyjson_obj_get(body, "partition-columns"), &partitioned, err);
    if (status == IST_OK) {
        yyjson_mut_obj_add_str(doc, root, "name", name);
        yyjson_mut_obj_add_str(doc, root, "catalog_name", schema->part[0]);
        yyjson_mut_obj_add_str(doc, root, "schema_name", schema->part[1]);
        yyjson_mut_obj_add_str(doc, root, "table_type", type);
        yyjson_mut_obj_add_str(doc, root, "data_source_format", "DELTA");
        yyjson_mut_obj_add_str(doc, root, "storage_location", location);
        ist__json_add_text(doc, root, "comment", comment);
        yyjson_mut_obj_add_val(doc, root, "properties", properties);
        yyjson_mut_obj_add_val(doc, root, "columns", yyjson_mut_rawncpy(doc, partitioned.data, partitioned.size));
    }
    ist_buffer_free(&columns);
    ist_buffer_free(&partitioned);
    return status;
}

static ist_status create(ist__creation *creation, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist__creation_insert(creation, IST_SECURABLE_TABLE, err));
    return ist__delta_append(creation->db, creation->id, out, err);
}

ist_status ist__delta_create(ist__session *session, const ist__name *schema, const char *body, ist_buffer *out,
                             ist_error *err)
{
    yyjson_doc *in = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_buffer text = IST_BUFFER_INIT;
    ist__creation creation = {0};
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(body, &in, err));
    IST_TRY_GOTO(translate(schema, yyjson_doc_get_root(in), doc, err));
    status = ist__json_finish(doc, &text, err);
    doc = NULL;
    if (status == IST_OK)
        status = ist__creation_read(&creation, IST_SECURABLE_TABLE, text.data, err);
    creation.session = session;
    IST_TRY_GOTO(status);
    IST_TRY_GOTO(ist__session_write(session, &creation.db, err));
    status = ist__db_end(creation.db, create(&creation, out, err), err);
done:
    ist__creation_free(&creation);
    ist_buffer_free(&text);
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(in);
    return status;
}

/* Rename, metrics -------------------------------------------------------------------------------------------------- */

static ist_status rename_table(ist__session *session, ist__db *db, const ist__name *table, const char *new_name,
                               ist_error *err)
{
    ist__chain chain;
    ist__name schema = *table;
    schema.count = 2;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_TABLE, table, IST__ACTION_DELETE, &chain, err));
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_SCHEMA, &schema, IST__ACTION_CREATE_TABLE, NULL, err));
    if (strcmp(table->part[2], new_name) == 0)
        return IST_OK;
    IST_TRY(ist__object_check_free(db, IST_SECURABLE_TABLE, chain.link[chain.count - 2].id, new_name, err));
    IST_TRY(ist__db_run(db, ist__securable_tables[IST_SECURABLE_TABLE].rename, NULL, err, "tt", ist__chain_id(&chain),
                        new_name));
    return ist__db_run(db, ist__kind_table.update, NULL, err, "tit", ist__chain_id(&chain), ist__now_ms(),
                       session->who->name);
}

ist_status ist__delta_rename(ist__session *session, const ist__name *table, const char *body, ist_error *err)
{
    yyjson_doc *in;
    const char *new_name;
    ist__db *db;
    ist_status status = IST_OK;
    IST_TRY(ist__json_read_object(body, &in, err));
    IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(in), "new-name", true, &new_name, err));
    IST_TRY_GOTO(ist__name_check(new_name, err));
    IST_TRY_GOTO(ist__session_write(session, &db, err));
    status = ist__db_end(db, rename_table(session, db, table, new_name, err), err);
done:
    yyjson_doc_free(in);
    return status;
}

static ist_status report(ist__session *session, ist__db *db, const ist__name *table, const char *id, ist_error *err)
{
    ist__chain chain;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_TABLE, table, IST__ACTION_COMMIT, &chain, err));
    if (strcmp(ist__chain_id(&chain), id) != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "table-id %s does not match table %s.%s.%s.", id,
                             table->part[0], table->part[1], table->part[2]);
    return IST_OK;
}

ist_status ist__delta_report(ist__session *session, const ist__name *table, const char *body, ist_error *err)
{
    yyjson_doc *in;
    const char *id;
    ist__db *db;
    ist_status status = IST_OK;
    IST_TRY(ist__json_read_object(body, &in, err));
    IST_TRY_GOTO(ist__json_text(yyjson_doc_get_root(in), "table-id", true, &id, err));
    IST_TRY_GOTO(ist__uuid_check(id, err));
    IST_TRY_GOTO(ist__session_read(session, &db, err));
    status = ist__db_end(db, report(session, db, table, id, err), err);
done:
    yyjson_doc_free(in);
    return status;
}
