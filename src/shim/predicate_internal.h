/* predicate_internal.h: bounds as Arrow arrays, for the shims that have them in that form. C++; for src/shim only. */
#ifndef ISTHMUS_SHIM_PREDICATE_INTERNAL_H
#define ISTHMUS_SHIM_PREDICATE_INTERNAL_H

#include "shim/predicate.h"

#include <arrow/builder.h>
#include <arrow/compute/expression.h>
#include <arrow/scalar.h>

#include <memory>
#include <string>
#include <vector>

namespace isthmus {

/* A column that the predicate has a bound for. */
struct Bounded {
    std::vector<int> path;
    std::shared_ptr<arrow::DataType> type;
};

/* The bounds of one column in many groups of rows, group after group. */
class BoundsColumn {
public:
    arrow::Status init(const std::shared_ptr<arrow::DataType> &type);
    /* min and max: NULL where unknown; otherwise scalars of whatever type casts to the column's without loss. */
    arrow::Status append(const std::shared_ptr<arrow::Scalar> &min, const std::shared_ptr<arrow::Scalar> &max,
                         bool no_nulls, bool no_values);
    /* min, max, may a row be null, may a row be valid. */
    arrow::Status finish(std::vector<arrow::Datum> *out);

private:
    std::shared_ptr<arrow::DataType> type_;
    std::unique_ptr<arrow::ArrayBuilder> min_, max_;
    arrow::BooleanBuilder nulls_, values_;
};

/* The value that `text` is in Delta's partition values and statistics (columns.cc). */
arrow::Result<std::shared_ptr<arrow::Scalar>> parse_value(std::string_view text,
                                                          const std::shared_ptr<arrow::DataType> &type);

} // namespace isthmus

struct ist__predicate {
    arrow::compute::Expression expression; /* as it came */
    std::vector<std::string> columns;
    std::shared_ptr<arrow::Schema> schema; /* that it is bound to */
    arrow::compute::Expression bound;
    std::vector<isthmus::Bounded> bounded;
    arrow::compute::Expression may_match; /* over the bounds: false where no row matches, null where they do not tell */

    /* Groups of rows of the bounds in `columns`, one for each of `bounded`. */
    arrow::Status prune(std::vector<isthmus::BoundsColumn> *columns, size_t groups, bool *out) const;
};

#endif
