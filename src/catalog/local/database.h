/*
 * database.h: the few calls on SQLite that the local catalog needs. Library-private.
 *
 * A database is one connection behind one mutex. A transaction holds the mutex from begin to end, so that statements
 * of the connection, which are kept prepared, belong to one thread at a time.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_DATABASE_H
#define ISTHMUS_CATALOG_LOCAL_DATABASE_H

#include "isthmus/error.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    IST__DB_STATEMENT_SLOTS = 1024, /* a power of two, more than the catalog has statements */
    IST__DB_ROWS_MAX = 32           /* rows handed out since the last end that are told apart */
};

typedef struct ist__db {
    sqlite3 *handle;
    pthread_mutex_t mutex;
    bool writer, unsynced; /* unsynced: its commits do not wait for the disk */
    atomic_uint *generation; /* counted up after a COMMIT, where the transaction changed rights; NULL for a reader */
    bool rights_changed;
    int depth; /* 0 outside a transaction, 1 in one, more in savepoints */
    struct {
        const char *sql; /* the literal's address is the key */
        sqlite3_stmt *statement;
    } statements[IST__DB_STATEMENT_SLOTS];
    sqlite3_stmt *prepared[IST__DB_STATEMENT_SLOTS / 2];
    int prepared_count;
    sqlite3_stmt *rows[IST__DB_ROWS_MAX]; /* that may still be open */
    int row_count;                        /* more than IST__DB_ROWS_MAX: any statement may be */
    atomic_uint *commits; /* counted up before each COMMIT and after it; NULL for a reader */
} ist__db;

/* Open a file as WAL database; a writer makes it where it is missing, mode 0600. */
ist_status ist__db_open(const char *path, bool writer, ist__db **out, ist_error *err);
void ist__db_close(ist__db *db);

/* Begin a transaction and take the mutex (not taken when this fails). */
ist_status ist__db_begin(ist__db *db, ist_error *err);
/* The transaction changes identities or grants: what is cached of them is stale once it is committed. */
void ist__db_rights_changed(ist__db *db);
/* Begin a savepoint inside the transaction, which the caller's thread began; ends with ist__db_end too. */
ist_status ist__db_savepoint(ist__db *db, ist_error *err);
/* As ist__db_begin, but the commit does not wait for the disk: it survives the process, and the machine once another has
 * followed that does. */
ist_status ist__db_begin_unsynced(ist__db *db, ist_error *err);
/* As ist__db_begin, unless the connection is busy: then *taken is false and nothing was done. */
ist_status ist__db_try_begin(ist__db *db, bool *taken, ist_error *err);
/* End what was begun last: commit when `status` is IST_OK, else roll back and leave err as it is. Returns the status of the whole. */
ist_status ist__db_end(ist__db *db, ist_status status, ist_error *err);

/*
 * Run a statement to its first row.
 *   sql      a string literal
 *   row      set to the statement on its first row, NULL when there is none; NULL for statements without rows
 *   types    one character per parameter: 't' const char * (NULL is null), 'i' int64_t
 * The row is valid until the next use of the same literal; ist__db_next goes on.
 */
ist_status ist__db_run(ist__db *db, const char *sql, sqlite3_stmt **row, ist_error *err, const char *types, ...);
/* *row becomes NULL after the last one. */
ist_status ist__db_next(ist__db *db, sqlite3_stmt **row, ist_error *err);
/* A column's text; "" for null. Valid as the row is. */
const char *ist__db_text(sqlite3_stmt *row, int column);
/* Several statements without parameters or rows. */
ist_status ist__db_script(ist__db *db, const char *sql, ist_error *err);

#endif
