/*
 * scan.h: reading the rows of a snapshot, whole or split into tasks that other processes read.
 *
 * A scan is planned once, on one machine; each task (one data file with its deletion vector, partition values, the
 * columns and the predicate) is a self-contained JSON text that any process can read with a store on the table's
 * location. Rows come out in the logical schema: column mapping undone, partition values and absent columns filled in, deleted
 * rows left out, types widened.
 *
 * A predicate is exact: a row comes out where it is true, and not where it is false or null. Files are left out by
 * their partition values and statistics, and row groups by theirs, before anything of them is decoded.
 *
 * Threading: a scan is immutable once planned; a stream belongs to one thread at a time.
 */
#ifndef ISTHMUS_SCAN_H
#define ISTHMUS_SCAN_H

#include "isthmus/arrow.h"
#include "isthmus/snapshot.h"

IST_BEGIN_DECLS

typedef struct ist_scan ist_scan;

typedef struct ist_scan_options {
    uint32_t size;
    const char *const *columns; /* logical top-level names in the order wanted; NULL for all */
    size_t column_count;
    const void *predicate; /* over any of the table's columns; NULL: every row. Borrowed for the call. See below */
    size_t predicate_size;
    uint32_t threads; /* most of those that decode ahead of ist_scan_read's reader; 0: none, it decodes by itself. With
                         up to 1 the rows come in the order of the log's files; with more as they are ready */
} ist_scan_options;

#define IST_SCAN_OPTIONS_INIT                                                                                          \
    { sizeof(ist_scan_options), NULL, 0, NULL, 0, 0 }

/*
 * Plan a scan. The snapshot must outlive it.
 *
 * options->predicate is a compute expression of Arrow C++ as arrow::compute::Serialize writes it, which is what a
 * pyarrow.compute.Expression pickles to: names of columns (logical, nested ones by their path), literals, and any of
 * Arrow's scalar functions. What bounds can decide leaves out files: comparisons with literals, is_null, is_valid,
 * is_in, starts_with, and their and, or and invert. Everything else is asked of the rows.
 *
 * Errors: IST_BAD_INPUT (no such column; a predicate that is none, does not fit the types, or is no condition).
 */
IST_API ist_status ist_scan_open(const ist_snapshot *snapshot, const ist_scan_options *options, ist_scan **out,
                                 ist_error *err);
IST_API void ist_scan_free(ist_scan *scan);

/* The schema of the rows; out is the caller's. */
IST_API ist_status ist_scan_schema(const ist_scan *scan, struct ArrowSchema *out, ist_error *err);

IST_API size_t ist_scan_task_count(const ist_scan *scan);
/* Rows and bytes of task i, from the log: rows -1 where unknown, as with a predicate; bytes as stored. */
IST_API int64_t ist_scan_task_rows(const ist_scan *scan, size_t i);
IST_API int64_t ist_scan_task_bytes(const ist_scan *scan, size_t i);
/* The path of task i's data file as the log has it, by which ist_transaction_replace knows it. Lives with the snapshot. */
IST_API const char *ist_scan_task_path(const ist_scan *scan, size_t i);
/* Append task i as JSON text. */
IST_API ist_status ist_scan_task_json(const ist_scan *scan, size_t i, ist_buffer *out, ist_error *err);

/*
 * Read one task's rows.
 *   store  on the table's location; must outlive the stream
 *   json   what ist_scan_task_json gave; may be anything
 *   out    the caller's; release it
 * Errors: IST_NOT_FOUND (the file was vacuumed: names it), IST_BAD_INPUT (corrupt Parquet file or task), IST_IO; those
 * met later come out of the stream's get_next with the same text in get_last_error.
 */
IST_API ist_status ist_scan_task_read(ist_store *store, const char *json, struct ArrowArrayStream *out, ist_error *err);

/* All tasks, several at a time where the scan has threads: they live from the first batch to the stream's release. scan
 * and store must outlive the stream, which must not be used after a fork. */
IST_API ist_status ist_scan_read(const ist_scan *scan, ist_store *store, struct ArrowArrayStream *out, ist_error *err);

IST_END_DECLS

#endif
