/*
 * delta_columns.h: a table's columns between Unity Catalog's Delta API and the catalog. Library-private.
 *
 * The API writes a Delta schema with its own spelling of two types, {"element-type", "contains-null"} and {"key-type",
 * "value-type", "value-contains-null"}; the catalog keeps ColumnInfo, whose type_json is a field as the Delta log and
 * Spark write it ("elementType").
 */
#ifndef ISTHMUS_CATALOG_LOCAL_DELTA_COLUMNS_H
#define ISTHMUS_CATALOG_LOCAL_DELTA_COLUMNS_H

#include "catalog/catalog_json.h"

/* Append the columns of a schema of the API, a JSON array of ColumnInfo. Errors: INVALID_ARGUMENT, with the path. */
ist_status ist__delta_columns_read(yyjson_val *schema, ist_buffer *out, ist_error *err);
/*
 * Append `columns` (a JSON array of ColumnInfo) with their partition_index as told by `names`, an array of names in
 * order, compared without case. NULL names none. Errors: INVALID_ARGUMENT (an unknown or repeated name).
 */
ist_status ist__delta_columns_partition(const char *columns, yyjson_val *names, ist_buffer *out, ist_error *err);
/* The names of the partition columns, in order, as an array. */
yyjson_mut_val *ist__delta_columns_partitions(yyjson_mut_doc *doc, const char *columns);
/* The columns as a schema of the API; one without fields where what is kept is no Delta schema. */
yyjson_mut_val *ist__delta_columns_write(yyjson_mut_doc *doc, const char *columns);

#endif
