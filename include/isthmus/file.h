/*
 * file.h: rows from files that are not tables (Parquet, Arrow IPC, CSV, JSON lines) as an Arrow C stream, and streams
 * as Arrow IPC bytes.
 *
 * Threading: functions are free-standing; a stream belongs to one thread at a time.
 *
 *     ist_file_read(store, "part-1.csv", NULL, &stream, &err);
 *     while (ist_stream_next(&stream, &batch, &err) == IST_OK && batch.release) { ...; batch.release(&batch); }
 *     stream.release(&stream);
 */
#ifndef ISTHMUS_FILE_H
#define ISTHMUS_FILE_H

#include "isthmus/arrow.h"
#include "isthmus/store.h"

IST_BEGIN_DECLS

typedef enum ist_file_format {
    IST_FILE_AUTO, /* by the first bytes (Parquet, Arrow IPC file or stream), else by the name's ending */
    IST_FILE_PARQUET,
    IST_FILE_ARROW,
    IST_FILE_CSV,
    IST_FILE_JSON /* one object per line */
} ist_file_format;

typedef struct ist_file_options {
    uint32_t size;
    ist_file_format format;
    const struct ArrowSchema *schema; /* CSV and JSON: the types of the columns it names (a table's schema); borrowed.
                                         Types of others, or of all when NULL, are inferred from every row of the file,
                                         which is then held in memory */
    char delimiter;                   /* CSV: between values; 0 for ',' (tab in a .tsv file) */
    bool no_header;                   /* CSV: the first line holds values; columns are named as in schema, else f0, f1 */
} ist_file_options;

#define IST_FILE_OPTIONS_INIT                                                                                          \
    { sizeof(ist_file_options), IST_FILE_AUTO, NULL, 0, false }

/*
 * Read a file.
 *   store    where the file is; must outlive the stream
 *   path     relative to the store's root
 *   options  NULL for the defaults
 *   out      the caller's; release it
 * CSV: an empty value is null, a quoted empty value is an empty string. Dates and times are ISO 8601.
 * Errors: IST_NOT_FOUND, IST_BAD_INPUT (not of its format; a value that is not of its column's type: file, column,
 * value), IST_IO; those met later come out of the stream with the same text.
 */
IST_API ist_status ist_file_read(ist_store *store, const char *path, const ist_file_options *options,
                                 struct ArrowArrayStream *out, ist_error *err);

/* The next batch of any stream; out->release is NULL after the last. Errors: the stream's, in its own words. */
IST_API ist_status ist_stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out, ist_error *err);
/* The schema of any stream, in the same way. */
IST_API ist_status ist_stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out, ist_error *err);

/* Write all batches of a stream to a file descriptor as one Arrow IPC stream; takes the stream. *rows counts them (NULL
 * allowed). Errors: IST_IO (with errno), those of the stream. */
IST_API ist_status ist_stream_write_ipc(struct ArrowArrayStream *stream, int fd, int64_t *rows, ist_error *err);

IST_END_DECLS

#endif
