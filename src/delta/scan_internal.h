/*
 * scan_internal.h: what the files of the read path share. Library-private.
 *
 *     scan.c         plans: which columns, which predicate; tasks as JSON
 *     skip.c         which files a predicate leaves out, by partition values and statistics
 *     scan_file.c    one file: its row groups as batches of the logical schema
 *     scan_stream.c  many files: who reads what next, reading ahead
 */
#ifndef ISTHMUS_DELTA_SCAN_INTERNAL_H
#define ISTHMUS_DELTA_SCAN_INTERNAL_H

#include "delta/delta_internal.h"
#include "shim/predicate.h"

/* What all files of a scan have in common. Immutable once made. */
typedef struct ist__plan {
    struct ArrowSchema target; /* logical names; its metadata is what files' columns are matched by. The columns that
                                  only the predicate reads come last */
    struct ArrowSchema rows;   /* what the reader of the rows sees: without those, and without metadata */
    ist__mapping_mode mode;
    char **physical;    /* names in files and partition values, one for each field of the target */
    bool *is_partition; /* one for each field of the target */
    bool needs_file;    /* not all of them are partition columns */
    ist__predicate *predicate; /* NULL: every row */
} ist__plan;

/* A key of a field's metadata; false where it is not there. */
bool ist__plan_metadata(const struct ArrowSchema *field, const char *key, const char **value, size_t *size);
#define IST__KEY_FIELD_ID "PARQUET:field_id"
#define IST__KEY_PHYSICAL "delta.columnMapping.physicalName"

/* ---- which files (skip.c) ----------------------------------------------------------------------------------- */

/* may_match[i]: false where file i has no row that the plan's predicate is true for. */
ist_status ist__skip_files(const ist__plan *plan, const ist__add *files, size_t count, bool *may_match, ist_error *err);

/* ---- one file (scan_file.c) --------------------------------------------------------------------------------- */

/*
 * A data file that is open. Threads share it: `users` and `next_group` belong to who shares it out (scan_stream.c), the
 * rest is immutable.
 */
typedef struct ist__data_file ist__data_file;
struct ist__data_file {
    const ist__add *add;
    struct ist__parquet_reader *reader; /* NULL: the log tells all that is asked for */
    int *columns;                       /* of the reader's schema */
    size_t column_count;
    uint8_t *keep; /* rows that are not deleted; NULL: every row */
    int64_t rows;
    bool *may_match; /* of each row group */
    size_t group_count;
    size_t next_group;
    size_t users;
    ist__data_file *next;
};

ist_status ist__data_file_open(ist_store *store, const ist__plan *plan, const ist__add *add, ist__data_file **out,
                               ist_error *err);
void ist__data_file_free(ist__data_file *file);

/* The rows of one row group, batch after batch. All zero: nothing is open. */
typedef struct ist__group_reader {
    const ist__data_file *file;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema; /* of the stream */
    int64_t position;          /* in the file, of the next row */
    int64_t end;
    uint8_t *keep; /* the part of the file's bits for a batch that does not begin at a byte */
    size_t keep_size;
} ist__group_reader;

ist_status ist__group_open(ist__group_reader *group, const ist__data_file *file, size_t number, ist_error *err);
/* The next batch that has rows; out->release is NULL at the end. */
ist_status ist__group_next(ist__group_reader *group, const ist__plan *plan, struct ArrowArray *out, ist_error *err);
void ist__group_close(ist__group_reader *group);

/* ---- many files (scan_stream.c) ----------------------------------------------------------------------------- */

/*
 * The rows of some files as a stream.
 *   plan, files  borrowed; what they belong to is freed with the stream by free_owner(owner) (NULL: nothing is)
 *   threads      as in ist_scan_options
 */
ist_status ist__row_stream_open(ist_store *store, const ist__plan *plan, const ist__add *const *files, size_t count,
                                uint32_t threads, void *owner, void (*free_owner)(void *owner),
                                struct ArrowArrayStream *out, ist_error *err);
/* Open the first file of a stream without threads, so that what is wrong with it is not met later. */
ist_status ist__row_stream_begin(struct ArrowArrayStream *stream, ist_error *err);

#endif
