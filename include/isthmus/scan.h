/*
 * scan.h: reading the rows of a snapshot, whole or split into tasks that other processes read.
 *
 * A scan is planned once, on one machine; each task (one data file with its deletion vector, partition values and
 * the columns asked for) is a self-contained JSON text that any process can read with a store on the table's location.
 * Rows come out in the logical schema: column mapping undone, partition values and absent columns filled in, deleted
 * rows left out, types widened.
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
} ist_scan_options;

#define IST_SCAN_OPTIONS_INIT                                                                                          \
    { sizeof(ist_scan_options), NULL, 0 }

/* Plan a scan. The snapshot must outlive it. Errors: IST_BAD_INPUT (no such column). */
IST_API ist_status ist_scan_open(const ist_snapshot *snapshot, const ist_scan_options *options, ist_scan **out,
                                 ist_error *err);
IST_API void ist_scan_free(ist_scan *scan);

/* The schema of the rows; out is the caller's. */
IST_API ist_status ist_scan_schema(const ist_scan *scan, struct ArrowSchema *out, ist_error *err);

IST_API size_t ist_scan_task_count(const ist_scan *scan);
/* Rows and bytes of task i, from the log: rows -1 where unknown, bytes as stored. */
IST_API int64_t ist_scan_task_rows(const ist_scan *scan, size_t i);
IST_API int64_t ist_scan_task_bytes(const ist_scan *scan, size_t i);
/* Append task i as JSON text. */
IST_API ist_status ist_scan_task_json(const ist_scan *scan, size_t i, ist_buffer *out, ist_error *err);

/*
 * Read one task's rows.
 *   store  on the table's location; must outlive the stream
 *   json   what ist_scan_task_json gave
 *   out    the caller's; release it
 * Errors: IST_NOT_FOUND (the file was vacuumed: names it), IST_BAD_INPUT (corrupt Parquet file or task), IST_IO; those
 * met later come out of the stream's get_next with the same text in get_last_error.
 */
IST_API ist_status ist_scan_task_read(ist_store *store, const char *json, struct ArrowArrayStream *out, ist_error *err);

/* All tasks, one after the other. scan and store must outlive the stream. */
IST_API ist_status ist_scan_read(const ist_scan *scan, ist_store *store, struct ArrowArrayStream *out, ist_error *err);

IST_END_DECLS

#endif
