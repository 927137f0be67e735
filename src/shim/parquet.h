/*
 * parquet.h: Parquet through Arrow C++ and nothing more. Library-private; implemented in parquet.cc.
 *
 * Threading: a reader may be shared once it is open; streams and writers belong to one thread at a time.
 * Errors: bytes that are not Parquet are IST_BAD_INPUT with the source's name; what Arrow says follows the colon.
 */
#ifndef ISTHMUS_SHIM_PARQUET_H
#define ISTHMUS_SHIM_PARQUET_H

#include "isthmus/arrow.h"
#include "shim/bytes.h"
#include "shim/predicate.h"

#include <stdbool.h>

IST_BEGIN_DECLS

typedef struct ist__parquet_reader ist__parquet_reader;
typedef struct ist__parquet_writer ist__parquet_writer;

/* Open a file and parse its footer. Takes the source (freed with the reader, and also when opening fails). */
ist_status ist__parquet_reader_open(ist__source source, ist__parquet_reader **out, ist_error *err);
void ist__parquet_reader_free(ist__parquet_reader *reader);
/* Rows in the file, from the footer. */
int64_t ist__parquet_reader_rows(const ist__parquet_reader *reader);
/* The file's schema as Arrow; field ids are in each field's metadata under "PARQUET:field_id". out is the caller's. */
ist_status ist__parquet_reader_schema(ist__parquet_reader *reader, struct ArrowSchema *out, ist_error *err);
/* Is the leaf column of this dotted path stored as INT96? Arrow's schema gives such timestamps no zone, yet they are
 * instants: UTC. */
bool ist__parquet_reader_is_int96(const ist__parquet_reader *reader, const char *path);
/*
 * Read whole top-level columns.
 *   columns     indices into the schema's children, in the order wanted; NULL for all. count may be 0: batches of no
 *               columns then carry only their lengths
 *   batch_rows  most rows of a batch; 0 for 65,536
 *   out         the caller's; holds a reference on the reader's innards, so the reader may be freed before it
 */
ist_status ist__parquet_reader_read(ist__parquet_reader *reader, const int *columns, size_t count, int64_t batch_rows,
                                    struct ArrowArrayStream *out, ist_error *err);

/* Row groups, and the rows of one, from the footer. */
size_t ist__parquet_reader_group_count(const ist__parquet_reader *reader);
int64_t ist__parquet_reader_group_rows(const ist__parquet_reader *reader, size_t group);
/* ist__parquet_reader_read of one row group. columns is never NULL. */
ist_status ist__parquet_reader_read_group(ist__parquet_reader *reader, size_t group, const int *columns, size_t count,
                                          struct ArrowArrayStream *out, ist_error *err);
/*
 * Which row groups may hold a row that matches, by their statistics?
 *   paths      for each of the predicate's bounded columns: the indices, as many as its depth, that lead through the
 *              reader's schema to the same column; NULL where it has none
 *   may_match  one for each row group; false only where no row can match
 */
ist_status ist__parquet_reader_prune(const ist__parquet_reader *reader, const ist__predicate *predicate,
                                     const int *const *paths, bool *may_match, ist_error *err);

typedef struct ist__parquet_writer_options {
    const char *compression;  /* "snappy", "zstd", "gzip", "lz4", "uncompressed" */
    int compression_level;    /* INT_MIN for the codec's default */
    int64_t row_group_rows;   /* most rows of a row group; 0 for 1,048,576 */
    bool dictionary;          /* try dictionary encoding for strings and integers of few values; see parquet.cc */
} ist__parquet_writer_options;

/* schema is borrowed; sink.self must outlive the writer. Field ids are taken from metadata "PARQUET:field_id".
 * Timestamps are written as microseconds, INT64. */
ist_status ist__parquet_writer_open(ist__sink sink, const struct ArrowSchema *schema,
                                    const ist__parquet_writer_options *options, ist__parquet_writer **out,
                                    ist_error *err);
/* Write one batch of the schema; takes it: it is released when its row group is written, and on error. */
ist_status ist__parquet_writer_write(ist__parquet_writer *writer, struct ArrowArray *batch, ist_error *err);
/* Bytes that left for the sink plus an estimate of what is buffered: for rolling over at a target size. */
int64_t ist__parquet_writer_size(const ist__parquet_writer *writer);
/* Bytes of the batches that are held until they make a row group. */
int64_t ist__parquet_writer_buffered(const ist__parquet_writer *writer);

/* Statistics of one leaf column over the whole file, from the footer's column chunks. */
typedef struct ist__parquet_leaf {
    char *path;            /* dotted path in the file's schema ("addr.city"); segments with a dot are not escaped */
    int depth;             /* 0 for a top-level column */
    bool repeated;         /* inside a list or map: Delta has no statistics for it */
    int64_t null_count;    /* -1 where unknown */
    bool has_min_max;      /* min and max are set and exact */
    struct ArrowSchema schema; /* the leaf's logical Arrow type */
    struct ArrowArray min;     /* arrays of one element of that type; released by ist__parquet_leaves_free */
    struct ArrowArray max;
} ist__parquet_leaf;

/* Write the footer. leaves (may be NULL) is the caller's array: ist__parquet_leaves_free. */
ist_status ist__parquet_writer_close(ist__parquet_writer *writer, ist__parquet_leaf **leaves, size_t *leaf_count,
                                     ist_error *err);
void ist__parquet_leaves_free(ist__parquet_leaf *leaves, size_t count);
/* Free, also without close: the sink then holds no whole file. */
void ist__parquet_writer_free(ist__parquet_writer *writer);

IST_END_DECLS

#endif
