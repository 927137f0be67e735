/*
 * transaction.h: writing a Delta table: one transaction on the driver, any number of writers on the workers.
 *
 * A transaction starts from the newest snapshot (or none: it creates the table), decides what the table will be (mode,
 * schema, partitioning), and hands out a *write context*: a JSON text with all a writer needs. Writers, in whatever
 * process, turn Arrow batches into Parquet files under the table's location and return their add actions as JSON. The
 * transaction gathers the actions and commits them as one version. Nothing is visible before that.
 *
 *     ist_transaction_begin(store, &options, &schema, &txn, &err);          // driver
 *     ist_transaction_write_context(txn, &context, &err);
 *     ist_writer_open(store, context.data, &writer, &err);                  // each worker
 *     ist_writer_write(writer, &stream, &err);
 *     ist_writer_finish(writer, &actions, &err);
 *     ist_transaction_add(txn, context.data, actions.data, actions.size, &err);   // driver
 *     ist_transaction_commit(txn, &result, &err);
 *
 * Threading: a transaction and a writer belong to one thread at a time.
 */
#ifndef ISTHMUS_TRANSACTION_H
#define ISTHMUS_TRANSACTION_H

#include "isthmus/arrow.h"
#include "isthmus/store.h"
#include "isthmus/sys/committer.h"

IST_BEGIN_DECLS

typedef struct ist_transaction ist_transaction;
typedef struct ist_writer ist_writer;

typedef enum ist_write_mode {
    IST_WRITE_APPEND,    /* add rows; create the table where there is none */
    IST_WRITE_OVERWRITE, /* replace all rows in one version */
    IST_WRITE_ERROR,     /* IST_ALREADY_EXISTS where there is a table */
    IST_WRITE_IGNORE,    /* nothing to do where there is a table: see ist_transaction_is_noop */
    IST_WRITE_REWRITE    /* replace the files that ist_transaction_replace names, and keep the others */
} ist_write_mode;

typedef struct ist_transaction_options {
    uint32_t size;
    ist_write_mode mode;
    bool merge_schema;                    /* new columns in the input are added to the table */
    bool overwrite_schema;                /* with IST_WRITE_OVERWRITE: the input's schema replaces the table's */
    const char *const *partition_columns; /* for a new table; on an existing one they must agree or be absent */
    size_t partition_column_count;
    const char *properties;     /* JSON object of table properties for a new table; NULL for none */
    const char *table_name;     /* catalog.schema.table for messages and metaData.name; NULL where it has no name */
    const char *app_id;         /* idempotency key: a txn action with it is committed; a second commit with the same
                                   key is a no-op that reports the first one's version. NULL for none */
    const char *engine;         /* commitInfo.engineInfo is "<engine> Isthmus/<version>"; NULL for plain Isthmus */
    const char *commit_info;    /* JSON object: extra members for commitInfo (job, user metadata); NULL for none */
    int64_t target_file_bytes;  /* roll to a new data file near this size; 0 for the table's or the default 256 MiB */
    const ist_committer *committer; /* who commits; NULL: the storage. Must outlive the transaction */
    const char *operation; /* of IST_WRITE_REWRITE: commitInfo.operation ("DELETE", "UPDATE"...); NULL for WRITE */
    const char *description; /* of a new table: metaData.description, the catalog's comment; NULL for none */
} ist_transaction_options;

#define IST_TRANSACTION_OPTIONS_INIT                                                                                   \
    { sizeof(ist_transaction_options), IST_WRITE_APPEND, false, false, NULL, 0, NULL, NULL, NULL, NULL, NULL, 0, NULL, \
      NULL, NULL }

/*
 * Start a transaction on the table at the store's root.
 *   input  schema of the rows to be written (a struct; logical names); borrowed. Columns the table has and the input
 *          lacks become null. NULL: no schema check and no change of schema (for one who only adds actions)
 * Errors: IST_NOT_FOUND (no table, and no input schema to make one from), IST_BAD_INPUT (incompatible or extra columns:
 * each named, with both types), IST_ALREADY_EXISTS (mode), IST_UNSUPPORTED (writer feature or type, named), and those of
 * ist_snapshot_open.
 */
IST_API ist_status ist_transaction_begin(ist_store *store, const ist_transaction_options *options,
                                         const struct ArrowSchema *input, ist_transaction **out, ist_error *err);
IST_API void ist_transaction_free(ist_transaction *transaction);

/* True when mode IST_WRITE_IGNORE met an existing table, or app_id is already committed: commit does nothing. */
IST_API bool ist_transaction_is_noop(const ist_transaction *transaction);
/* True when committing will change the table's metadata or protocol (new table, merged or replaced schema). */
IST_API bool ist_transaction_changes_metadata(const ist_transaction *transaction);
/* The version that was read; -1 for a new table. */
IST_API int64_t ist_transaction_read_version(const ist_transaction *transaction);

/* Append the write context as JSON text. */
IST_API ist_status ist_transaction_write_context(const ist_transaction *transaction, ist_buffer *out, ist_error *err);

/*
 * Take in what a writer returned.
 *   context  the context that the writer was opened with. It need not come from this transaction (group commit): then
 *            its schema must still fit the table, else IST_CONFLICT and nothing of it is taken
 *   actions  JSON text of ist_writer_finish
 */
IST_API ist_status ist_transaction_add(ist_transaction *transaction, const char *context, const char *actions,
                                       size_t actions_size, ist_error *err);

/*
 * With IST_WRITE_REWRITE: tell which of the table's files the commit replaces. None, where it is not called: then rows
 * are added, and yet nothing may have changed in the table since it was read.
 *   paths  of ist_scan_task_path, of a scan of the version that was read; borrowed for the call
 * Errors: IST_BAD_INPUT (that version has no such file: named; another mode).
 * Note: may be called once.
 */
IST_API ist_status ist_transaction_replace(ist_transaction *transaction, const char *const *paths, size_t count,
                                           ist_error *err);

/*
 * With IST_WRITE_REWRITE, of a table with a change data feed (delta.enableChangeDataFeed): append the context for a writer
 * of its changes, as JSON text; nothing for any other table. Its rows are the table's columns and then `_change_type`,
 * a string: "insert", "delete", "update_preimage", "update_postimage". What the writer returns goes to ist_transaction_add
 * with this context. Where files are replaced the commit must have it: without it, copied rows would pass for changed ones.
 */
IST_API ist_status ist_transaction_change_context(const ist_transaction *transaction, ist_buffer *out, ist_error *err);

/*
 * Take in a further idempotency key (group commit: one per member). IST_ALREADY_EXISTS when the table has committed it
 * (*version is then the version that the key's txn action or the snapshot tells, at least the newest known); the caller
 * leaves that member's actions out.
 */
IST_API ist_status ist_transaction_add_app(ist_transaction *transaction, const char *app_id, int64_t *version,
                                           ist_error *err);

/* What became of a commit; its own type, for none of the three is an error. */
typedef enum ist_commit_outcome {
    IST_COMMIT_COMMITTED,  /* version holds the actions */
    IST_COMMIT_CONFLICTED, /* a concurrent commit invalidates this one (changed metadata, removed what was read) */
    IST_COMMIT_RETRYABLE   /* not decided by the data: too many lost races or a passing fault; nothing was committed */
} ist_commit_outcome;

typedef struct ist_commit_result {
    ist_commit_outcome outcome;
    int64_t version;     /* the version committed; for the others the version in the way */
    uint32_t attempts;   /* races lost + 1 */
    int64_t files;       /* added */
    int64_t rows;        /* added; -1 where unknown */
    int64_t bytes;       /* added, as stored */
    bool already;        /* the idempotency key had been committed before; nothing was written */
    char reason[512];    /* for the other outcomes: the conflict in words */
} ist_commit_result;

/*
 * Commit: conflict check against every version since the one read, rebase, put-if-absent, retry. A checkpoint is
 * written after every delta.checkpointInterval-th version; its failure does not fail the commit.
 * Returns IST_OK whenever *result is decided; errors are faults (IST_IO, IST_BAD_INPUT...), after which nothing of this
 * transaction is visible unless the message says that it is unknown.
 * IST_BAD_INPUT: files are replaced, and what changed is not told (ist_transaction_change_context).
 * Note: may be called once.
 */
IST_API ist_status ist_transaction_commit(ist_transaction *transaction, ist_commit_result *result, ist_error *err);

/*
 * Open a writer.
 *   store    on the table's location; must outlive the writer
 *   context  write context, JSON text
 */
IST_API ist_status ist_writer_open(ist_store *store, const char *context, ist_writer **out, ist_error *err);

/*
 * Write all batches of a stream; takes the stream (releases it, also on error). Columns are matched by name, cast where
 * that loses nothing, split by partition values. May be called many times.
 * Errors: IST_BAD_INPUT (column missing from the context, null in a non-nullable column, value out of range), IST_IO.
 */
IST_API ist_status ist_writer_write(ist_writer *writer, struct ArrowArrayStream *stream, ist_error *err);

/*
 * Close the files and append their add actions, one JSON object per line, each with full statistics
 * (numRecords, minValues, maxValues, nullCount, tightBounds). Free without finish removes the files.
 */
IST_API ist_status ist_writer_finish(ist_writer *writer, ist_buffer *actions, ist_error *err);
IST_API void ist_writer_free(ist_writer *writer);

/* Remove the data files that a writer's actions name (a job that failed before its commit). Best effort. */
IST_API void ist_writer_discard(ist_store *store, const char *actions, size_t actions_size);

IST_END_DECLS

#endif
