/* database.c: SQLite with prepared statements, transactions and ist_error. */
#include "catalog/local/database.h"

#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 10000 };

static ist_status fail(ist__db *db, ist_error *err)
{
    int code = sqlite3_errcode(db->handle);
    ist_status status = IST_IO;
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        status = IST_RETRYABLE;
    else if (code == SQLITE_NOMEM)
        status = IST_NO_MEMORY;
    return ist_error_set(err, status, sqlite3_system_errno(db->handle), sqlite3_db_filename(db->handle, "main"),
                         "catalog database: %s", sqlite3_errmsg(db->handle));
}

ist_status ist__db_script(ist__db *db, const char *sql, ist_error *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? IST_OK : fail(db, err);
}

ist_status ist__db_open(const char *path, bool writer, ist__db **out, ist_error *err)
{
    ist__db *db = NULL;
    *out = NULL;
    if (writer) { /* SQLite would make it as the umask says; its -wal and -shm take the mode of the file */
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return ist_error_set(err, IST_IO, errno, path, "cannot open the catalog database %s: %s", path,
                                 strerror(errno));
        close(fd);
    }
    IST_TRY(ist__alloc(1, sizeof *db, (void **)&db, err));
    pthread_mutex_init(&db->mutex, NULL);
    db->writer = writer;
    ist_status status = IST_OK;
    if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        status = ist_error_set(err, IST_IO, 0, path, "cannot open the catalog database %s: %s", path,
                               db->handle ? sqlite3_errmsg(db->handle) : "no memory");
    } else {
        sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
        /* FULL: an acknowledged change survives a power cut, at one fsync per commit. A checkpoint costs two more, so
         * there is one in 16 MB, not in 4. */
        status = ist__db_script(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                                    "PRAGMA wal_autocheckpoint = 4000;", err);
        /* The writer's triggers feed a virtual table (search.c), which SQLite 3.40 takes for unsafe. */
        if (status == IST_OK && !writer)
            status = ist__db_script(db, "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -1000", err);
    }
    if (status != IST_OK) {
        ist__db_close(db);
        return status;
    }
    *out = db;
    return IST_OK;
}

void ist__db_close(ist__db *db)
{
    if (!db)
        return;
    for (int i = 0; i < db->prepared_count; i++)
        sqlite3_finalize(db->prepared[i]);
    sqlite3_close(db->handle);
    pthread_mutex_destroy(&db->mutex);
    free(db);
}

static ist_status prepare(ist__db *db, const char *sql, sqlite3_stmt **out, ist_error *err)
{
    size_t at = (size_t)(((uintptr_t)sql * 0x9E3779B97F4A7C15u) >> 40);
    while (db->statements[at & (IST__DB_STATEMENT_SLOTS - 1)].sql) {
        if (db->statements[at & (IST__DB_STATEMENT_SLOTS - 1)].sql == sql) {
            *out = db->statements[at & (IST__DB_STATEMENT_SLOTS - 1)].statement;
            sqlite3_reset(*out);
            sqlite3_clear_bindings(*out);
            return IST_OK;
        }
        at++;
    }
    if (db->prepared_count == IST__DB_STATEMENT_SLOTS / 2)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "the catalog has more statements than it keeps");
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK)
        return fail(db, err);
    db->statements[at & (IST__DB_STATEMENT_SLOTS - 1)].sql = sql;
    db->statements[at & (IST__DB_STATEMENT_SLOTS - 1)].statement = *out;
    db->prepared[db->prepared_count++] = *out;
    return IST_OK;
}

const char *ist__db_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

ist_status ist__db_next(ist__db *db, sqlite3_stmt **row, ist_error *err)
{
    int code = sqlite3_step(*row);
    if (code == SQLITE_ROW)
        return IST_OK;
    ist_status status = code == SQLITE_DONE ? IST_OK : fail(db, err);
    sqlite3_reset(*row); /* an open statement would keep the transaction from ending */
    *row = NULL;
    return status;
}

ist_status ist__db_run(ist__db *db, const char *sql, sqlite3_stmt **row, ist_error *err, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    if (row)
        *row = NULL;
    IST_TRY(prepare(db, sql, &statement, err));
    va_list args;
    va_start(args, types);
    for (int i = 1; types[i - 1]; i++) {
        if (types[i - 1] == 'i')
            sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
        else
            sqlite3_bind_text(statement, i, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
    }
    va_end(args);
    IST_TRY(ist__db_next(db, &statement, err));
    if (row)
        *row = statement;
    else if (statement)
        sqlite3_reset(statement);
    if (row && statement && db->row_count++ < IST__DB_ROWS_MAX)
        db->rows[db->row_count - 1] = statement;
    return IST_OK;
}

/* Does a commit wait for the disk? The next one that does brings what went before. */
static ist_status set_synced(ist__db *db, bool synced, ist_error *err)
{
    if (db->unsynced == !synced)
        return IST_OK;
    IST_TRY(ist__db_script(db, synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err));
    db->unsynced = !synced;
    return IST_OK;
}

static ist_status begin_locked(ist__db *db, bool synced, ist_error *err)
{
    ist_status status = set_synced(db, synced, err);
    /* IMMEDIATE: take the write lock now, rather than find out halfway that another process has it. */
    if (status == IST_OK)
        status = ist__db_run(db, db->writer ? "BEGIN IMMEDIATE" : "BEGIN", NULL, err, "");
    if (status == IST_OK)
        db->depth = 1;
    else
        pthread_mutex_unlock(&db->mutex);
    return status;
}

ist_status ist__db_begin(ist__db *db, ist_error *err)
{
    pthread_mutex_lock(&db->mutex);
    return begin_locked(db, true, err);
}

ist_status ist__db_begin_unsynced(ist__db *db, ist_error *err)
{
    pthread_mutex_lock(&db->mutex);
    return begin_locked(db, false, err);
}

ist_status ist__db_try_begin(ist__db *db, bool *taken, ist_error *err)
{
    *taken = pthread_mutex_trylock(&db->mutex) == 0;
    return *taken ? begin_locked(db, true, err) : IST_OK;
}

void ist__db_rights_changed(ist__db *db)
{
    db->rights_changed = true;
}

ist_status ist__db_savepoint(ist__db *db, ist_error *err)
{
    IST_TRY(ist__db_run(db, "SAVEPOINT s", NULL, err, ""));
    db->depth++;
    return IST_OK;
}

/* A row that was left open would make COMMIT and ROLLBACK busy. */
static void reset_statements(ist__db *db)
{
    bool all = db->row_count > IST__DB_ROWS_MAX;
    sqlite3_stmt **statements = all ? db->prepared : db->rows;
    for (int i = 0; i < (all ? db->prepared_count : db->row_count); i++)
        if (sqlite3_stmt_busy(statements[i]))
            sqlite3_reset(statements[i]);
    db->row_count = 0;
}

static ist_status end_savepoint(ist__db *db, ist_status status, ist_error *err)
{
    db->depth--;
    if (status == IST_OK)
        return ist__db_run(db, "RELEASE s", NULL, err, "");
    /* Where even this fails, the transaction around it fails too: nothing half done is committed. */
    ist__db_run(db, "ROLLBACK TO s", NULL, NULL, "");
    ist__db_run(db, "RELEASE s", NULL, NULL, "");
    return status;
}

static ist_status commit(ist__db *db, ist_error *err)
{
    if (db->commits)
        atomic_fetch_add(db->commits, 1);
    ist_status status = ist__db_run(db, "COMMIT", NULL, err, "");
    if (db->commits)
        atomic_fetch_add(db->commits, 1);
    return status;
}

ist_status ist__db_end(ist__db *db, ist_status status, ist_error *err)
{
    reset_statements(db);
    if (db->depth > 1)
        return end_savepoint(db, status, err);
    if (status == IST_OK)
        status = commit(db, err);
    if (db->rights_changed)
        atomic_fetch_add(db->generation, 1);
    db->rights_changed = false;
    if (status != IST_OK && !sqlite3_get_autocommit(db->handle))
        ist__db_script(db, "ROLLBACK", NULL);
    db->depth = 0;
    pthread_mutex_unlock(&db->mutex);
    return status;
}
