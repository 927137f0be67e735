/*
 * local_credentials.c: short-lived credentials: find the location that a request is about, ask whether its principal may
 * do there what he asks for, and have them made.
 */
#include "catalog/local/objects.h"
#include "catalog/local/places.h"
#include "catalog/local/vend.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

ist_status ist__uuid_check(const char *text, ist_error *err)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;
    while (text[i] && shape[i] && (shape[i] == 'x' ? isxdigit((unsigned char)text[i]) : text[i] == '-'))
        i++;
    if (text[i] || shape[i])
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Invalid UUID string: %.100s", text);
    return IST_OK;
}

/* A staging table is its creator's alone. */
static ist_status locate_staging(ist__session *session, ist__db *db, const char *id, ist_buffer *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT location, created_by FROM staging_tables WHERE id = ?1", &row, err, "t", id));
    if (!row || (!session->who->is_admin && strcmp(ist__column_text(row, 1), session->who->name) != 0))
        return ist__uc_error(err, IST__UC_TABLE_NOT_FOUND, "Neither table nor staging table found with id: %.100s", id);
    return ist_buffer_append_string(out, ist__column_text(row, 0), err);
}

ist_status ist__locate_table(ist__session *session, ist__db *db, const char *id, ist__action action, ist_buffer *out,
                             ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT storage_location, table_type FROM tables WHERE id = ?1", &row, err, "t", id));
    if (!row)
        return locate_staging(session, db, id, out, err);
    IST_TRY(ist_buffer_append_string(out, ist__column_text(row, 0), err));
    ist_status status = ist__resolve_id(session, db, IST_SECURABLE_TABLE, id, action, NULL, err);
    if (status == IST_NOT_FOUND) /* in the words of a missing one: the two cannot be told apart */
        return ist__uc_error(err, IST__UC_TABLE_NOT_FOUND, "Neither table nor staging table found with id: %.100s", id);
    IST_TRY(status);
    if (action == IST__ACTION_READ || action == IST__ACTION_WRITE)
        IST_TRY(ist__check_unfiltered(session, db, id, err));
    if (!*out->data)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a view has no storage, and no credentials for it");
    return IST_OK;
}

/* A request, and what was found for it. */
typedef struct wanted {
    ist__session *session;
    ist__db *db;
    yyjson_val *body;
    const char *operation;
    bool write;
    ist_buffer *location;
} wanted;

/* One of `reading` or `writing`, or the third, which is writing too. */
static ist_status read_operation(wanted *w, const char *reading, const char *writing, const char *third, ist_error *err)
{
    const char *const allowed[] = {reading, writing, third, NULL};
    IST_TRY(ist__json_text(w->body, "operation", true, &w->operation, err));
    IST_TRY(ist__one_of(w->operation, allowed, "operation", err));
    w->write = strcmp(w->operation, reading) != 0;
    return IST_OK;
}

static ist__action action_of(const wanted *w)
{
    return w->write ? IST__ACTION_WRITE : IST__ACTION_READ;
}

static ist_status locate_table(wanted *w, const char *id, ist_error *err)
{
    IST_TRY(ist__uuid_check(id, err));
    IST_TRY(read_operation(w, "READ", "READ_WRITE", NULL, err));
    return ist__locate_table(w->session, w->db, id, action_of(w), w->location, err);
}

static ist_status locate_volume(wanted *w, const char *id, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__uuid_check(id, err));
    IST_TRY(read_operation(w, "READ_VOLUME", "WRITE_VOLUME", NULL, err));
    IST_TRY(ist__resolve_id(w->session, w->db, IST_SECURABLE_VOLUME, id, action_of(w), NULL, err));
    IST_TRY(ist__db_run(w->db, "SELECT storage_location FROM volumes WHERE id = ?1", &row, err, "t", id));
    return ist_buffer_append_string(w->location, ist__column_text(row, 0), err);
}

static ist_status locate_version(wanted *w, const char *model, ist_error *err)
{
    ist__name name = {.count = 3};
    ist__chain chain;
    sqlite3_stmt *row;
    const char *parts[3] = {NULL, NULL, model};
    yyjson_val *version = yyjson_obj_get(w->body, "version");
    IST_TRY(ist__json_text(w->body, "catalog_name", true, &parts[0], err));
    IST_TRY(ist__json_text(w->body, "schema_name", true, &parts[1], err));
    for (int i = 0; i < 3; i++)
        if (snprintf(name.part[i], sizeof name.part[i], "%s", parts[i]) > IST__NAME_MAX)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a name is longer than %d characters", IST__NAME_MAX);
    if (!yyjson_is_int(version))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "version is not an integer");
    IST_TRY(read_operation(w, "READ_MODEL_VERSION", "READ_WRITE_MODEL_VERSION", NULL, err));
    IST_TRY(ist__resolve(w->session, w->db, IST_SECURABLE_REGISTERED_MODEL, &name, action_of(w), &chain, err));
    IST_TRY(ist__db_run(w->db, "SELECT status, storage_location FROM model_versions WHERE parent_id = ?1 AND version = ?2",
                        &row, err, "ti", ist__chain_id(&chain), yyjson_get_sint(version)));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Model version not found: %s.%s.%s/%lld", parts[0], parts[1],
                             parts[2], (long long)yyjson_get_sint(version));
    if (w->write && strcmp(ist__column_text(row, 0), "PENDING_REGISTRATION") != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Cannot request read/write credentials on a model version that has been finalized:"
                             " %s.%s.%s/%lld",
                             parts[0], parts[1], parts[2], (long long)yyjson_get_sint(version));
    return ist_buffer_append_string(w->location, ist__column_text(row, 1), err);
}

static ist_status locate_path(wanted *w, const char *url, ist_error *err)
{
    ist__place place;
    IST_TRY(ist__location_normalize(url, w->location, err));
    IST_TRY(read_operation(w, "PATH_READ", "PATH_READ_WRITE", "PATH_CREATE_TABLE", err));
    if (strcmp(w->operation, "PATH_CREATE_TABLE") == 0)
        return ist__place_authorize_new(w->session, w->db, w->location->data, IST__ACTION_CREATE_EXTERNAL_TABLE, err);
    return ist__place_authorize(w->session, w->db, w->location->data, action_of(w), &place, err);
}

static ist_status locate(wanted *w, ist_error *err)
{
    static const struct {
        const char *key;
        ist_status (*locate)(wanted *w, const char *value, ist_error *err);
    } ways[] = {{"table_id", locate_table},
                {"volume_id", locate_volume},
                {"model_name", locate_version},
                {"url", locate_path}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *value;
        IST_TRY(ist__json_text(w->body, ways[i].key, false, &value, err));
        if (value)
            return ways[i].locate(w, value, err);
    }
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "table_id, volume_id, model_name or url is required");
}

ist_status ist__local_get_credentials(void *self, const char *body, ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = NULL;
    ist_buffer location = IST_BUFFER_INIT;
    wanted w = {.session = self, .location = &location};
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(body, &in, err));
    w.body = yyjson_doc_get_root(in);
    IST_TRY_GOTO(ist__session_read(self, &w.db, err));
    IST_TRY_GOTO(ist__db_end(w.db, locate(&w, err), err));
    const ist__vend_request request = {.url = location.data,
                                       .write = w.write,
                                       .principal = w.session->who->name,
                                       .table_id = yyjson_get_str(yyjson_obj_get(w.body, "table_id"))};
    status = ist__vend(w.session->local, &request, out, err);
done:
    yyjson_doc_free(in);
    ist_buffer_free(&location);
    return status;
}
