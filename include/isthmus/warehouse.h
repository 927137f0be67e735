/*
 * warehouse.h: SQL statements on a warehouse, and their results as Arrow streams.
 *
 * Speaks the Statement Execution API (/api/2.0/sql/statements) of `isthmus serve` and of Databricks. A statement is
 * submitted, waited for, and its result read chunk by chunk: the chunks lie behind links that expire, are downloaded and
 * decoded by some threads at once within a bound of memory, and come out in their order. What breaks on the way is
 * asked for again from where it broke; a chunk that is cut off or has other rows than the server told is an error that
 * names it, never fewer rows.
 *
 * Threading: an ist_statement is internally locked, so that one thread may cancel what another waits for. A stream
 * belongs to one thread at a time.
 *
 *     ist_statement_submit(catalog, "SELECT * FROM main.demo.scores", NULL, &statement, &err);
 *     ist_statement_wait(statement, -1, NULL, &err);
 *     ist_statement_read(statement, &stream, &err);
 *     while (ist_stream_next(&stream, &batch, &err) == IST_OK && batch.release) { ...; batch.release(&batch); }
 *     stream.release(&stream);
 *     ist_statement_free(statement);
 */
#ifndef ISTHMUS_WAREHOUSE_H
#define ISTHMUS_WAREHOUSE_H

#include "isthmus/arrow.h"
#include "isthmus/buffer.h"
#include "isthmus/catalog.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist_statement ist_statement;

typedef enum ist_statement_state {
    IST_STATEMENT_PENDING,
    IST_STATEMENT_RUNNING,
    IST_STATEMENT_SUCCEEDED,
    IST_STATEMENT_FAILED,
    IST_STATEMENT_CANCELED,
    IST_STATEMENT_CLOSED /* it succeeded, and its result is no longer kept */
} ist_statement_state;

/* What stands for :name in the text. */
typedef struct ist_statement_parameter {
    const char *name;  /* without the colon */
    const char *value; /* as text; NULL for null */
    const char *type;  /* "INT", "DATE", "DECIMAL(10,2)"...; NULL for STRING */
} ist_statement_parameter;

typedef enum ist_statement_compression {
    IST_STATEMENT_COMPRESSION_AUTO, /* LZ4, except from a server on this machine */
    IST_STATEMENT_COMPRESSION_NONE,
    IST_STATEMENT_COMPRESSION_LZ4
} ist_statement_compression;

/* All texts are borrowed for the call. */
typedef struct ist_statement_options {
    uint32_t size;
    const char *warehouse_id; /* NULL for $DATABRICKS_WAREHOUSE_ID, else "embedded" */
    const char *catalog;      /* of names without one; NULL for the warehouse's own */
    const char *schema;
    const ist_statement_parameter *parameters;
    size_t parameter_count;
    int64_t row_limit;    /* most rows of the result; 0 for no limit */
    int64_t byte_limit;   /* most bytes; 0 for no limit */
    int64_t timeout_ms;   /* for all, from here to the last row; then the statement is cancelled. 0 for no end */
    int64_t memory_bytes; /* of chunks that wait to be read, beside the one being read; 0 for 256 MiB */
    int threads;          /* that download at once; 0 for 4 */
    ist_statement_compression compression;
} ist_statement_options;

#define IST_STATEMENT_OPTIONS_INIT                                                                                     \
    { sizeof(ist_statement_options), NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, IST_STATEMENT_COMPRESSION_AUTO }

/*
 * Submit a statement. Returns when it has ended, or after five seconds: ist_statement_wait tells how it went.
 *   catalog  a connection to a server; must outlive the statement
 *   text     one SQL statement, UTF-8
 *   options  NULL for the defaults
 *   out      the caller's; ist_statement_free
 * Errors: IST_BAD_INPUT (the request), IST_NOT_FOUND (no such warehouse), IST_UNAUTHENTICATED, IST_FORBIDDEN,
 * IST_RETRYABLE (the server is not to be reached, or refuses more work; it was not submitted, or that is not known),
 * IST_UNSUPPORTED (a sqlite: catalog, a server without warehouses).
 */
IST_API ist_status ist_statement_submit(ist_catalog *catalog, const char *text, const ist_statement_options *options,
                                        ist_statement **out, ist_error *err);
/* One that was submitted before, by its id; of the options only timeout_ms, memory_bytes and threads count. Errors:
 * IST_NOT_FOUND, and as above. */
IST_API ist_status ist_statement_open(ist_catalog *catalog, const char *id, const ist_statement_options *options,
                                      ist_statement **out, ist_error *err);
/* Streams of it must be released before. One that still runs is cancelled. */
IST_API void ist_statement_free(ist_statement *statement);

/*
 * Wait until it has succeeded.
 *   wait_ms  most time to wait; -1 for as long as it takes
 *   state    receives the state; NULL where wait_ms is -1 and errors say enough. Not SUCCEEDED with IST_OK: time is up
 * Errors: what the statement failed with: IST_BAD_INPUT (SQL; err->where is "line 1, pos 8", both from 1, where
 * the message tells it), IST_FORBIDDEN, IST_NOT_FOUND, IST_NO_MEMORY...; IST_CANCELLED; IST_RETRYABLE (timeout_ms are
 * over, or the server stays away).
 */
IST_API ist_status ist_statement_wait(ist_statement *statement, int64_t wait_ms, ist_statement_state *state,
                                      ist_error *err);
/* Ask for its end, from any thread. One that has ended stays as it is. */
IST_API ist_status ist_statement_cancel(ist_statement *statement, ist_error *err);

/* Borrowed. */
IST_API const char *ist_statement_id(const ist_statement *statement);

/*
 * The rest is for a statement that has succeeded; before, the numbers are 0 and functions give IST_BAD_INPUT.
 */

IST_API int64_t ist_statement_row_count(const ist_statement *statement);
/* Was the result cut at row_limit, byte_limit or a limit of the server's? */
IST_API bool ist_statement_is_truncated(const ist_statement *statement);
/* Append the server's manifest as JSON: format, schema {columns: [{name, type_text, ...}]}, chunks, total_row_count... */
IST_API ist_status ist_statement_manifest(const ist_statement *statement, ist_buffer *out, ist_error *err);
/* Columns as Arrow types, by the manifest. Errors: IST_UNSUPPORTED (a type: named). */
IST_API ist_status ist_statement_schema(const ist_statement *statement, struct ArrowSchema *out, ist_error *err);

/*
 * The whole result. The stream may be read more than once by asking for another.
 *   out  the caller's; release it before the statement is freed. Its threads end with it
 * Errors of the stream: IST_IO (a chunk is cut off or has other rows than told, also when it is fetched again: the
 * message says which chunk, what was expected, what came), IST_NOT_FOUND (the result is gone: the server was started
 * again, or kept it long enough), IST_RETRYABLE, IST_BAD_INPUT (no Arrow).
 */
IST_API ist_status ist_statement_read(ist_statement *statement, struct ArrowArrayStream *out, ist_error *err);

/* Chunk by chunk, for several processes. */

IST_API size_t ist_statement_chunk_count(const ist_statement *statement);
/* Rows and bytes as the manifest tells them. */
IST_API int64_t ist_statement_chunk_rows(const ist_statement *statement, size_t chunk);
IST_API int64_t ist_statement_chunk_bytes(const ist_statement *statement, size_t chunk);
/*
 * Append a JSON text by which any process can fetch the chunk. It holds the connection's token of the moment: a secret.
 */
IST_API ist_status ist_statement_chunk_task(const ist_statement *statement, size_t chunk, ist_buffer *out,
                                            ist_error *err);
/*
 * Fetch a chunk now.
 *   catalog  who asks for the link; NULL: as the task says
 *   task     of ist_statement_chunk_task
 *   out      the chunk's batches, in memory; the caller's
 * Errors: those of the stream above, IST_UNAUTHENTICATED (the token has expired), IST_BAD_INPUT (no task).
 */
IST_API ist_status ist_statement_task_read(ist_catalog *catalog, const char *task, struct ArrowArrayStream *out,
                                           ist_error *err);

IST_END_DECLS

#endif
