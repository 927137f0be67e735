/* local_models.c: registered models and their versions: metadata and places; the artifacts are the clients'. */
#include "catalog/local/objects.h"
#include "catalog/local/places.h"

#include <stdio.h>
#include <string.h>

static ist_status insert_model(ist__creation *c, ist_error *err)
{
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = ist__place_of_managed(c->session, c->db, ist__chain_id(&c->parent), &location, err);
    if (status == IST_OK)
        status = ist_buffer_printf(&location, err, "/models/%s", c->id);
    if (status == IST_OK)
        status = ist__db_run(c->db,
                             "INSERT INTO registered_models (id, parent_id, name, comment, owner, created_at,"
                             " created_by, updated_at, updated_by, storage_location, last_version)"
                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6, ?5, ?7, 0)",
                             NULL, err, "tttttit", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                             c->session->who->name, c->now, location.data);
    ist_buffer_free(&location);
    return status;
}

/* The next number, also where the versions before it were deleted. */
static ist_status insert_version(ist__creation *c, ist_error *err)
{
    const char *source, *run_id, *model_id = ist__chain_id(&c->parent);
    IST_TRY(ist__json_text(c->root, "source", true, &source, err));
    IST_TRY(ist__json_text(c->root, "run_id", false, &run_id, err));
    IST_TRY(ist__db_run(c->db, "UPDATE registered_models SET last_version = last_version + 1 WHERE id = ?1", NULL, err,
                        "t", model_id));
    return ist__db_run(c->db,
                       "INSERT INTO model_versions (id, parent_id, name, comment, owner, created_at, created_by,"
                       " updated_at, updated_by, version, source, run_id, status, storage_location)"
                       " SELECT ?1, id, last_version, ?3, ?4, ?5, ?4, ?5, ?4, last_version, ?6, ?7,"
                       " 'PENDING_REGISTRATION', storage_location || '/versions/' || ?1"
                       " FROM registered_models WHERE id = ?2",
                       NULL, err, "ttttitt", c->id, model_id, c->comment, c->session->who->name, c->now, source, run_id);
}

static ist_status check_no_versions(ist__db *db, const char *id, const char *name, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT 1 FROM model_versions WHERE parent_id = ?1 LIMIT 1", &row, err, "t", id));
    if (row)
        return ist__uc_error(err, IST__UC_ABORTED, "Unable to delete a registered model with existing model versions: %s",
                             name);
    return IST_OK;
}

#define SELECT_MODEL                                                                                                   \
    "SELECT o.name, c.name AS catalog_name, s.name AS schema_name, c.name || '.' || s.name || '.' || o.name"           \
    " AS full_name, o.comment, o.storage_location, " IST__SELECT_COMMON ", o.id FROM registered_models o "             \
    IST__IN_SCHEMA
#define SELECT_VERSION                                                                                                 \
    "SELECT m.name AS model_name, c.name AS catalog_name, s.name AS schema_name, o.version, o.source, o.run_id,"       \
    " o.status, o.storage_location, o.comment, o.created_at, o.created_by, o.updated_at, o.updated_by, o.id"           \
    " FROM model_versions o JOIN registered_models m ON m.id = o.parent_id JOIN schemas s ON s.id = m.parent_id"       \
    " JOIN catalogs c ON c.id = s.parent_id "

const ist__kind ist__kind_registered_model = {
    .id = "id",
    .get = SELECT_MODEL IST__BY_ID,
    .page = SELECT_MODEL IST__PAGE,
    .own_page = SELECT_MODEL IST__OWN_PAGE("registered_models"),
    .update = "UPDATE registered_models SET " IST__SET_COMMENT " WHERE id = ?1",
    .remove = "DELETE FROM registered_models WHERE id = ?1",
    .managed = "SELECT storage_location FROM registered_models WHERE id = ?1",
    .create = IST__ACTION_CREATE_MODEL,
    .taken = IST__UC_ALREADY_EXISTS,
    .must_change = true,
    .insert = insert_model,
    .check_unused = check_no_versions,
};

const ist__kind ist__kind_model_version = {
    .id = "id",
    .get = SELECT_VERSION IST__BY_ID,
    .page = SELECT_VERSION "WHERE o.parent_id = ?1 AND o.version > CAST(?2 AS INTEGER) ORDER BY o.version",
    .token = "version",
    .update = "UPDATE model_versions SET " IST__SET_COMMENT " WHERE id = ?1",
    .remove = "DELETE FROM model_versions WHERE id = ?1",
    .managed = "SELECT storage_location FROM model_versions WHERE id = ?1",
    .create = IST__ACTION_CREATE_MODEL_VERSION,
    .taken = IST__UC_ALREADY_EXISTS,
    .must_change = true,
    .insert = insert_version,
};

/* All models that may be seen, in the order of their ids: names are not unique in the metastore. */
static ist_status list_all(ist__session *session, ist__db *db, int limit, const char *page_token, yyjson_mut_doc *doc,
                           ist_error *err)
{
    sqlite3_stmt *row;
    ist_status status;
    IST_TRY(ist__db_run(db, SELECT_MODEL "WHERE o.id > ?1 ORDER BY o.id", &row, err, "t", page_token));
    yyjson_mut_val *root = yyjson_mut_obj(doc), *page = yyjson_mut_arr(doc), *last = yyjson_mut_null(doc);
    yyjson_mut_doc_set_root(doc, root);
    while (row && yyjson_mut_arr_size(page) < (size_t)limit) {
        yyjson_mut_val *model = ist__local_row(doc, row), *id = yyjson_mut_obj_get(model, "id");
        status = ist__resolve_id(session, db, IST_SECURABLE_REGISTERED_MODEL, yyjson_mut_get_str(id), IST__ACTION_SEE,
                                 NULL, NULL);
        if (status == IST_OK) {
            yyjson_mut_arr_append(page, model);
            last = yyjson_mut_val_mut_copy(doc, id);
        } else if (status != IST_NOT_FOUND && status != IST_FORBIDDEN) {
            return ist_error_set(err, status, 0, NULL, "the rights on a model cannot be read");
        }
        IST_TRY(ist__db_next(db, &row, err));
    }
    bool full = yyjson_mut_arr_size(page) == (size_t)limit;
    yyjson_mut_obj_add_val(doc, root, "registered_models", page);
    yyjson_mut_obj_add_val(doc, root, "next_page_token", full ? last : yyjson_mut_null(doc));
    return IST_OK;
}

ist_status ist__local_list_all_models(ist__session *session, int max_results, const char *page_token, ist_buffer *out,
                                      ist_error *err)
{
    ist__db *db;
    int limit = 0;
    IST_TRY(ist__page_limit(max_results, &limit, err));
    if (*page_token && strlen(page_token) != 36)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Invalid page token received: %.100s", page_token);
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = ist__db_end(db, list_all(session, db, limit, page_token, doc, err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

static ist_status finalize(ist__session *session, ist__db *db, const ist__name *name, int64_t version, ist_buffer *out,
                           ist_error *err)
{
    ist__chain model;
    sqlite3_stmt *row;
    ist__name model_name = *name;
    model_name.count = 3;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_REGISTERED_MODEL, &model_name, IST__ACTION_CREATE_MODEL_VERSION,
                         &model, err));
    IST_TRY(ist__db_run(db, "SELECT id, status FROM model_versions WHERE parent_id = ?1 AND version = ?2", &row, err,
                        "ti", ist__chain_id(&model), version));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Model version not found: %s.%s.%s/%lld", name->part[0],
                             name->part[1], name->part[2], (long long)version);
    char id[37];
    snprintf(id, sizeof id, "%s", ist__column_text(row, 0));
    if (strcmp(ist__column_text(row, 1), "PENDING_REGISTRATION") != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Model version not in a pending registration state: %s.%s.%s/%lld", name->part[0],
                             name->part[1], name->part[2], (long long)version);
    IST_TRY(ist__db_run(db,
                        "UPDATE model_versions SET status = 'READY', updated_at = ?2, updated_by = ?3 WHERE id = ?1",
                        NULL, err, "tit", id, ist__now_ms(), session->who->name));
    return ist__object_append(db, IST_SECURABLE_MODEL_VERSION, id, out, err);
}

ist_status ist__local_finalize_version(ist__session *session, const char *full_name, int64_t version, ist_buffer *out,
                                       ist_error *err)
{
    ist__db *db;
    ist__name name;
    IST_TRY(ist__name_split(full_name, 3, &name, err));
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, finalize(session, db, &name, version, out, err), err);
}
