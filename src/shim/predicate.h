/*
 * predicate.h: conditions on rows, which are compute expressions of Arrow C++, and what bounds tell of them.
 * Library-private; predicate.cc.
 *
 * Threading: a predicate is immutable once it is bound.
 */
#ifndef ISTHMUS_SHIM_PREDICATE_H
#define ISTHMUS_SHIM_PREDICATE_H

#include "isthmus/arrow.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist__predicate ist__predicate;

/*
 * Parse what an Arrow expression is serialised to (arrow::compute::Serialize; pickled by pyarrow). The bytes may come
 * from anywhere: they are checked before Arrow's own parser, which believes them, sees them.
 * Errors: IST_BAD_INPUT: not an expression, nested too deeply, or a function that is unknown.
 */
ist_status ist__predicate_parse(const void *data, size_t size, ist__predicate **out, ist_error *err);
void ist__predicate_free(ist__predicate *predicate);

/* The top-level columns that it reads, each once. */
size_t ist__predicate_column_count(const ist__predicate *predicate);
const char *ist__predicate_column(const ist__predicate *predicate, size_t i);

/*
 * Bind it, once, to the schema of the rows that it will be asked of (borrowed); comes before all that follows.
 * Errors: IST_BAD_INPUT: a column or nested field that is not there, types that cannot be compared, not a condition.
 */
ist_status ist__predicate_bind(ist__predicate *predicate, const struct ArrowSchema *schema, ist_error *err);

/*
 * Keep the rows for which it is true (not false, not null), and of those the first `columns` columns.
 *   batch  of the schema that it is bound to; takes
 * Errors: IST_BAD_INPUT: a function fails for a value (a division by zero, a cast).
 */
ist_status ist__predicate_filter(const ist__predicate *predicate, struct ArrowArray *batch, int64_t columns,
                                 struct ArrowArray *out, ist_error *err);

/*
 * The columns of whose bounds it depends whether a group of rows (a file, a row group) may be left out. path: the index
 * of the field among the schema's children, then among that field's, down to a column that is not nested; `depth` of
 * them, borrowed.
 */
size_t ist__predicate_bounded_count(const ist__predicate *predicate);
const int *ist__predicate_bounded(const ist__predicate *predicate, size_t i, size_t *depth);

/* What is known of one column's values in a group of rows. All zero: nothing. */
typedef struct ist__bounds {
    const char *min, *max; /* as Delta's statistics or partition values have them; NULL unknown */
    size_t min_size, max_size;
    bool exact;     /* min and max are values of rows. Otherwise they may be cut short, or rounded: as much as writers
                       are known to do is allowed for */
    bool no_nulls;  /* every row has a value */
    bool no_values; /* every row is null */
} ist__bounds;

/*
 * Which groups of rows may hold a row that matches?
 *   bounds     of group g and column i at [g * bounded_count + i]
 *   may_match  one for each group; false only where no row can match
 */
ist_status ist__predicate_prune(const ist__predicate *predicate, const ist__bounds *bounds, size_t groups,
                                bool *may_match, ist_error *err);

IST_END_DECLS

#endif
