/* query_log.c: the table of SQL statements, bounded by age and by count. */
#include "catalog/local/query_log.h"

#include "catalog/local/schema.h"

#include <stdlib.h>
#include <string.h>

enum { DAYS = 30 /* as long as Databricks keeps them */, ENTRIES_MAX = 200000, FORGET_STEP = 20000 };

const char ist__schema_queries[] =
    /* id: microseconds, or more, so that it is unique. state: ist__statement_state. text: its beginning. */
    "CREATE TABLE queries (id INTEGER PRIMARY KEY, statement_id TEXT NOT NULL UNIQUE, principal_id TEXT NOT NULL,"
    " principal TEXT NOT NULL, warehouse TEXT NOT NULL, text TEXT NOT NULL, client TEXT, state INTEGER NOT NULL,"
    " kind TEXT, error_code TEXT, error TEXT, sql_state TEXT, submitted_at INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;"
    "CREATE INDEX queries_by_principal ON queries (principal_id, id);"
    "CREATE INDEX queries_under_way ON queries (state) WHERE state < 2;";

ist_status ist__query_write(ist__db *db, const ist__query *q, ist_error *err)
{
    char *text = strndup(q->text, ist__utf8_prefix(q->text, IST__QUERY_TEXT_MAX));
    if (!text)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the history of queries");
    ist_status status = ist__db_run(
        db,
        "INSERT INTO queries (id, statement_id, principal_id, principal, warehouse, text, client, state, kind,"
        " error_code, error, sql_state, submitted_at, started_at, ended_at, rows, bytes) VALUES (?1, ?2, ?3, ?4, ?5,"
        " ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        " ON CONFLICT (id) DO UPDATE SET state = ?8, kind = ?9, error_code = ?10, error = ?11, sql_state = ?12,"
        " started_at = ?14, ended_at = ?15, rows = ?16, bytes = ?17",
        NULL, err, "itttttti" "ttttiiiii", q->number, q->statement_id, q->user_id, q->user, q->warehouse, text,
        q->client, (int64_t)q->state, q->kind, q->error_code, q->error, q->sql_state, q->submitted_ms, q->started_ms,
        q->ended_ms, q->rows, q->bytes);
    free(text);
    return status;
}

ist_status ist__query_forget(ist__db *db, ist_error *err)
{
    return ist__db_run(db,
                       "DELETE FROM queries WHERE id IN (SELECT id FROM queries ORDER BY id LIMIT ?3)"
                       " AND (submitted_at < ?1 OR (SELECT count(*) FROM queries) > ?2)",
                       NULL, err, "iii", ist__now_ms() - (int64_t)DAYS * 86400000, (int64_t)ENTRIES_MAX,
                       (int64_t)FORGET_STEP);
}

ist_status ist__query_reopen(ist__db *db, ist_error *err)
{
    return ist__db_run(db,
                       "UPDATE queries SET state = 3, error_code = 'TEMPORARILY_UNAVAILABLE', error = 'the server ended"
                       " before the statement had; if it changes a table, look in the table''s history whether it did,"
                       " then submit it again', ended_at = max(submitted_at, started_at)"
                       " WHERE state < 2",
                       NULL, err, "");
}

#define COLUMNS                                                                                                        \
    "SELECT id, statement_id, principal_id, principal, warehouse, text, client, state, kind, error_code, error,"       \
    " sql_state, submitted_at, started_at, ended_at, rows, bytes FROM queries "

ist_status ist__query_find(ist__db *db, const char *statement_id, const char *user_id, sqlite3_stmt **row,
                           ist_error *err)
{
    return ist__db_run(db, COLUMNS "WHERE statement_id = ?1 AND principal_id = ?2", row, err, "tt", statement_id,
                       user_id);
}

ist_status ist__query_list(ist__db *db, int64_t before, const char *user_id, sqlite3_stmt **row, ist_error *err)
{
    if (user_id)
        return ist__db_run(db, COLUMNS "WHERE id < ?1 AND principal_id = ?2 ORDER BY id DESC", row, err, "it", before,
                           user_id);
    return ist__db_run(db, COLUMNS "WHERE id < ?1 ORDER BY id DESC", row, err, "i", before);
}

static const char *text_of(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

ist__query ist__query_of_row(sqlite3_stmt *row)
{
    return (ist__query){.number = sqlite3_column_int64(row, 0),
                        .statement_id = text_of(row, 1),
                        .user_id = text_of(row, 2),
                        .user = text_of(row, 3),
                        .warehouse = text_of(row, 4),
                        .text = text_of(row, 5),
                        .client = text_of(row, 6),
                        .state = (ist__statement_state)sqlite3_column_int(row, 7),
                        .kind = text_of(row, 8),
                        .error_code = text_of(row, 9),
                        .error = text_of(row, 10),
                        .sql_state = text_of(row, 11),
                        .submitted_ms = sqlite3_column_int64(row, 12),
                        .started_ms = sqlite3_column_int64(row, 13),
                        .ended_ms = sqlite3_column_int64(row, 14),
                        .rows = sqlite3_column_int64(row, 15),
                        .bytes = sqlite3_column_int64(row, 16)};
}
