/*
 * query_log.h: the SQL statements that were run, as rows of the catalog's database. Library-private; src/warehouse
 * writes and reads them.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_QUERY_LOG_H
#define ISTHMUS_CATALOG_LOCAL_QUERY_LOG_H

#include "catalog/local/local_internal.h"

enum { IST__QUERY_TEXT_MAX = 64 << 10 /* bytes of a statement's text that are kept */ };

typedef enum ist__statement_state {
    IST__PENDING,
    IST__RUNNING,
    IST__SUCCEEDED,
    IST__FAILED,
    IST__CANCELED,
} ist__statement_state;

/* One statement. Texts are borrowed; NULL where there is none. Times are 0 where they are still to come. */
typedef struct ist__query {
    int64_t number; /* unique; grows in the order of submission */
    const char *statement_id, *user_id, *user, *warehouse, *text, *client, *kind, *error_code, *error, *sql_state;
    ist__statement_state state;
    int64_t submitted_ms, started_ms, ended_ms, rows, bytes;
} ist__query;

/* Write a statement, or what is new about one that is there. In the caller's transaction, as are the others. */
ist_status ist__query_write(ist__db *db, const ist__query *query, ist_error *err);
/* A step of forgetting what is older than 30 days, or too many. */
ist_status ist__query_forget(ist__db *db, ist_error *err);
/* Statements that were under way when the server ended have failed. */
ist_status ist__query_reopen(ist__db *db, ist_error *err);
/* A principal's statement. *row is NULL where there is none. */
ist_status ist__query_find(ist__db *db, const char *statement_id, const char *user_id, sqlite3_stmt **row,
                           ist_error *err);
/* From the newest one before a number on; ist__db_next goes on. user_id NULL: everybody's. */
ist_status ist__query_list(ist__db *db, int64_t before, const char *user_id, sqlite3_stmt **row, ist_error *err);
/* What a row holds, lent until the next one. */
ist__query ist__query_of_row(sqlite3_stmt *row);

#endif
