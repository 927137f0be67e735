/* writer_internal.h: what writer.c and stats.c share. Library-private. */
#ifndef ISTHMUS_DELTA_WRITER_INTERNAL_H
#define ISTHMUS_DELTA_WRITER_INTERNAL_H

#include "delta/transaction_internal.h"
#include "shim/parquet.h"

/* What is known of a finished file. Columns are the fields that are not structs, in the order of the schema. */
typedef struct ist__file_stats {
    int64_t rows;
    const ist__parquet_leaf *leaves;
    size_t leaf_count;
    const bool *indexed;       /* of each column: has statistics */
    const int64_t *list_nulls; /* of each column that is a list or map: its nulls */
} ist__file_stats;

/* Which columns get statistics. logical: the file's columns with logical names; *indexed is the caller's, by free. */
ist_status ist__stats_plan(const struct ArrowSchema *logical, ist__pairs configuration, bool **indexed, size_t *count,
                           ist_error *err);
/* Add a batch's nulls to the counts of list and map columns. */
void ist__stats_count_nulls(const struct ArrowSchema *schema, const struct ArrowArray *batch, int64_t *nulls);
/* Append the statistics as JSON. schema: the file's, with physical names. */
ist_status ist__stats_format(const struct ArrowSchema *schema, const ist__file_stats *stats, ist_buffer *out,
                             ist_error *err);

#endif
