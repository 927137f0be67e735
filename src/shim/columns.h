/*
 * columns.h: the few column operations that Isthmus asks of Arrow C++'s compute kernels. Library-private; columns.cc.
 *
 * All take struct batches (record batches) with their schemas and give new ones; inputs marked "takes" are released
 * also on error.
 */
#ifndef ISTHMUS_SHIM_COLUMNS_H
#define ISTHMUS_SHIM_COLUMNS_H

#include "isthmus/arrow.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

IST_BEGIN_DECLS

/*
 * Bring a batch into a target schema: fields matched by name at every level of structs (also inside lists and maps),
 * reordered, absent ones filled with nulls, types cast where no value changes (widening, timestamp units that divide,
 * large/view/dictionary forms to plain ones and back).
 *   batch       takes
 *   by_physical match the batch's names against the target fields' metadata "delta.columnMapping.physicalName" where
 *               present (column mapping name mode; in id mode "PARQUET:field_id" of both sides first)
 *   constants   one array of length 1 per target top-level field, or release == NULL where there is none: such a field
 *               is that value in every row (partition values); takes those used and released ones alike. NULL for none
 * Errors: IST_BAD_INPUT: the field, both types, and the first value that does not fit; null in a non-nullable field.
 */
ist_status ist__columns_conform(const struct ArrowSchema *schema, struct ArrowArray *batch,
                                const struct ArrowSchema *target, bool by_physical, struct ArrowArray *constants,
                                struct ArrowArray *out, ist_error *err);

/* Keep the rows whose bit in the little-endian bitmap is set. takes batch. */
ist_status ist__columns_filter(const struct ArrowSchema *schema, struct ArrowArray *batch, const uint8_t *keep,
                               struct ArrowArray *out, ist_error *err);

/* Row indices (int64) in, the rows in that order out. batch is borrowed. */
ist_status ist__columns_take(const struct ArrowSchema *schema, const struct ArrowArray *batch, const int64_t *rows,
                             size_t count, struct ArrowArray *out, ist_error *err);

/*
 * Number the rows by equal values of some columns (partition values): groups[i] is the group of row i, numbered in
 * order of first appearance; nulls are equal to nulls.
 *   batch   borrowed
 *   groups  length of the batch, the caller's memory
 *   keys    one row per group: the values of `columns`, a struct array; its schema in keys_schema. The caller's
 */
ist_status ist__columns_group(const struct ArrowSchema *schema, const struct ArrowArray *batch, const int *columns,
                              size_t column_count, uint32_t *groups, struct ArrowSchema *keys_schema,
                              struct ArrowArray *keys, ist_error *err);

/* One array of `type` (a field schema) and length 1 from its Delta partition-value text (NULL text: null; PROTOCOL.md,
 * "Partition Value Serialization"). Errors: IST_BAD_INPUT. */
ist_status ist__columns_parse(const struct ArrowSchema *type, const char *text, struct ArrowArray *out,
                              ist_error *err);

/* Append element `row` of an array as Delta partition-value text; *is_null tells a null (nothing appended). */
struct ist_buffer;
ist_status ist__columns_format(const struct ArrowSchema *type, const struct ArrowArray *array, int64_t row,
                               struct ist_buffer *out, bool *is_null, ist_error *err);

IST_END_DECLS

#endif
