/* audit.c: the audit log in the catalog's database, bounded by age and by count. */
#include "catalog/local/audit.h"

#include "catalog/local/principals.h"
#include "catalog/local/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000, FORGET_STEP = 10000 };

const char ist__schema_audit[] =
    "CREATE TABLE audit (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, request_id TEXT NOT NULL, principal TEXT,"
    " peer TEXT, action TEXT NOT NULL, securable TEXT, http INTEGER NOT NULL, detail TEXT) STRICT;"
    "CREATE INDEX audit_by_principal ON audit (principal, id);"
    "CREATE INDEX audit_by_securable ON audit (securable, id);";

ist_status ist__audit_write(ist__db *db, const ist__audit_entry *entry, ist_error *err)
{
    char id[37];
    if (!entry->request_id)
        ist__uuid(id);
    return ist__db_run(db,
                       "INSERT INTO audit (at, request_id, principal, peer, action, securable, http, detail)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                       NULL, err, "itttttit", ist__now_ms(), entry->request_id ? entry->request_id : id, entry->principal, entry->peer,
                       entry->action, entry->securable, (int64_t)entry->http, entry->detail);
}

/* Ids grow with time, so the oldest entries are the first; a step is short, for others wait to write. */
ist_status ist__audit_forget(ist__local *local, ist__db *db, ist_error *err)
{
    return ist__db_run(db,
                       "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?3)"
                       " AND (at < ?1 OR id <= (SELECT max(id) FROM audit) - ?2)",
                       NULL, err, "iii", ist__now_ms() - (int64_t)local->audit_days * 86400000, local->audit_entries,
                       (int64_t)FORGET_STEP);
}

static const char *outcome_of(int http)
{
    return http < 400 ? "OK" : http == 401 || http == 403 ? "REFUSED" : "FAILED";
}

static ist_status list_entries(ist__db *db, int limit, int64_t before, const char *principal, const char *securable,
                               yyjson_mut_doc *doc, ist_error *err)
{
    sqlite3_stmt *row;
    int64_t last = 0;
    yyjson_mut_val *root = yyjson_mut_obj(doc), *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    IST_TRY(ist__db_run(db,
                        "SELECT id, at AS timestamp, request_id, principal, peer, action, securable, http, detail"
                        " FROM audit WHERE id < ?1 AND (?2 IS NULL OR principal = ?2) AND (?3 IS NULL OR securable = ?3)"
                        " ORDER BY id DESC LIMIT ?4",
                        &row, err, "itti", before, principal, securable, (int64_t)limit));
    while (row) {
        char time[32];
        yyjson_mut_val *entry = ist__local_row(doc, row);
        last = sqlite3_column_int64(row, 0);
        ist__format_time(sqlite3_column_int64(row, 1), time);
        yyjson_mut_obj_add_strcpy(doc, entry, "time", time);
        yyjson_mut_obj_add_str(doc, entry, "outcome", outcome_of(sqlite3_column_int(row, 7)));
        yyjson_mut_arr_append(list, entry);
        IST_TRY(ist__db_next(db, &row, err));
    }
    char token[32] = "";
    if (yyjson_mut_arr_size(list) == (size_t)limit)
        snprintf(token, sizeof token, "%lld", (long long)last);
    yyjson_mut_obj_add_val(doc, root, "entries", list);
    yyjson_mut_obj_add_val(doc, root, "next_page_token", *token ? yyjson_mut_strcpy(doc, token) : yyjson_mut_null(doc));
    return IST_OK;
}

ist_status ist__audit_list(ist__session *session, int limit, const char *page_token, const char *principal,
                           const char *securable, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    int64_t before = INT64_MAX;
    IST_TRY(ist__require_admin(session, err));
    if (page_token && *page_token) {
        char *end;
        errno = 0;
        before = strtoll(page_token, &end, 10);
        if (*end || errno)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "page_token is not one that this server gave");
    }
    limit = limit < 1 ? LIMIT_DEFAULT : limit > LIMIT_MAX ? LIMIT_MAX : limit;
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = ist__db_end(db, list_entries(db, limit, before, principal, securable, doc, err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}
