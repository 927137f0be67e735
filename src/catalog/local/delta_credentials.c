/* delta_credentials.c: short-lived credentials in the Delta API's form, and the staging tables that come with some. */
#include "catalog/local/local_delta.h"

#include "catalog/delta_api.h"
#include "catalog/local/delta_contract.h"
#include "catalog/local/objects.h"
#include "catalog/local/places.h"
#include "catalog/local/vend.h"

#include <string.h>

/* Add "storage-credentials" with the one credential. What is Isthmus' own (file tokens, endpoints) goes along. */
static void add_credential(yyjson_mut_doc *doc, yyjson_mut_val *root, yyjson_val *in, const char *operation)
{
    static const char *const own[] = {"isthmus_file_token", "isthmus_storage"};
    yyjson_mut_val *out = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, root, "storage-credentials"));
    yyjson_val *expires = yyjson_obj_get(in, "expiration_time");
    yyjson_mut_obj_add_val(doc, out, "prefix", yyjson_val_mut_copy(doc, yyjson_obj_get(in, "url")));
    yyjson_mut_obj_add_str(doc, out, "operation", operation);
    yyjson_mut_val *config = yyjson_mut_obj_add_obj(doc, out, "config");
    for (int i = 0; i < IST__DELTA_CREDENTIAL_VALUES; i++) {
        const ist__delta_credential_value *named = &ist__delta_credential_values[i];
        yyjson_val *value = yyjson_obj_get(yyjson_obj_get(in, named->object), named->member);
        if (yyjson_is_str(value))
            yyjson_mut_obj_add_val(doc, config, named->key, yyjson_val_mut_copy(doc, value));
    }
    yyjson_mut_obj_add_val(doc, out, "expiration-time-ms",
                           expires ? yyjson_val_mut_copy(doc, expires) : yyjson_mut_null(doc));
    for (int i = 0; i < 2; i++)
        if (yyjson_is_obj(yyjson_obj_get(in, own[i])))
            yyjson_mut_obj_add_val(doc, out, own[i], yyjson_val_mut_copy(doc, yyjson_obj_get(in, own[i])));
}

static ist_status vend(ist__session *session, const char *url, bool write, const char *table_id, yyjson_mut_doc *doc,
                       yyjson_mut_val *root, ist_error *err)
{
    const ist__vend_request request = {
        .url = url, .write = write, .principal = session->who->name, .table_id = table_id};
    ist_buffer text = IST_BUFFER_INIT;
    yyjson_doc *in = NULL;
    ist_status status = ist__vend(session->local, &request, &text, err);
    if (status == IST_OK)
        status = ist__json_read_object(text.data, &in, err);
    if (status == IST_OK)
        add_credential(doc, root, yyjson_doc_get_root(in), write ? "READ_WRITE" : "READ");
    yyjson_doc_free(in);
    ist__buffer_wipe(&text);
    return status;
}

/* The answer that has nothing but credentials. */
static ist_status append_credentials(ist__session *session, const char *url, bool write, const char *table_id,
                                     ist_buffer *out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = vend(session, url, write, table_id, doc, root, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status read_operation(const char *operation, bool *write, ist_error *err)
{
    static const char *const operations[] = {"READ", "READ_WRITE", NULL};
    *write = strcmp(operation, "READ") != 0;
    return ist__one_of(operation, operations, "operation", err);
}

static ist_status find_table(ist__session *session, ist__db *db, const ist__name *name, bool write, char id[37],
                             ist_buffer *location, ist_error *err)
{
    ist__chain chain;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_TABLE, name, IST__ACTION_SEE, &chain, err));
    memcpy(id, ist__chain_id(&chain), 37);
    return ist__locate_table(session, db, id, write ? IST__ACTION_WRITE : IST__ACTION_READ, location, err);
}

ist_status ist__delta_table_credentials(ist__session *session, const ist__name *table, const char *operation,
                                        ist_buffer *out, ist_error *err)
{
    ist__db *db;
    bool write;
    char id[37];
    ist_buffer location = IST_BUFFER_INIT;
    IST_TRY(read_operation(operation, &write, err));
    IST_TRY(ist__session_read(session, &db, err));
    ist_status status = ist__db_end(db, find_table(session, db, table, write, id, &location, err), err);
    if (status == IST_OK)
        status = append_credentials(session, location.data, write, id, out, err);
    ist_buffer_free(&location);
    return status;
}

static ist_status find_staging(ist__session *session, ist__db *db, const char *id, ist_buffer *location, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT 1 FROM staging_tables WHERE id = ?1", &row, err, "t", id));
    if (!row)
        return ist__uc_error(err, IST__UC_TABLE_NOT_FOUND, "Staging table not found with id: %s", id);
    return ist__locate_table(session, db, id, IST__ACTION_WRITE, location, err);
}

ist_status ist__delta_staging_credentials(ist__session *session, const char *table_id, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    ist_buffer location = IST_BUFFER_INIT;
    IST_TRY(ist__uuid_check(table_id, err));
    IST_TRY(ist__session_read(session, &db, err));
    ist_status status = ist__db_end(db, find_staging(session, db, table_id, &location, err), err);
    if (status == IST_OK)
        status = append_credentials(session, location.data, true, table_id, out, err);
    ist_buffer_free(&location);
    return status;
}

/* Who may create a table at the path may write there; else who may write what is there. */
static ist_status authorize_path(ist__session *session, ist__db *db, const char *url, bool write, ist_error *err)
{
    ist__place place;
    if (write && ist__place_authorize_new(session, db, url, IST__ACTION_CREATE_EXTERNAL_TABLE, NULL) == IST_OK)
        return IST_OK;
    return ist__place_authorize(session, db, url, write ? IST__ACTION_WRITE : IST__ACTION_READ, &place, err);
}

ist_status ist__delta_path_credentials(ist__session *session, const char *location, const char *operation,
                                       ist_buffer *out, ist_error *err)
{
    bool write;
    ist__db *db;
    ist_buffer url = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY(read_operation(operation, &write, err));
    IST_TRY_GOTO(ist__location_normalize(location, &url, err));
    IST_TRY_GOTO(ist__session_read(session, &db, err));
    IST_TRY_GOTO(ist__db_end(db, authorize_path(session, db, url.data, write, err), err));
    status = append_credentials(session, url.data, write, NULL, out, err);
done:
    ist_buffer_free(&url);
    return status;
}

ist_status ist__delta_create_staging(ist__session *session, const ist__name *table, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    char id[37];
    ist_buffer location = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    ist_status status = IST_OK;
    yyjson_mut_doc_set_root(doc, root);
    IST_TRY_GOTO(ist__name_check(table->part[2], err));
    IST_TRY_GOTO(ist__session_write(session, &db, err));
    IST_TRY_GOTO(ist__db_end(db, ist__staging_insert(session, db, table, id, &location, err), err));
    yyjson_mut_obj_add_str(doc, root, "table-id", id);
    yyjson_mut_obj_add_str(doc, root, "table-type", "MANAGED");
    yyjson_mut_obj_add_str(doc, root, "location", location.data);
    IST_TRY_GOTO(vend(session, location.data, true, id, doc, root, err));
    ist__delta_contract_describe(doc, root, id);
    status = ist__json_finish(doc, out, err);
    doc = NULL;
done:
    yyjson_mut_doc_free(doc);
    ist_buffer_free(&location);
    return status;
}
