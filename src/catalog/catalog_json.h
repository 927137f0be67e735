/* catalog_json.h: reading request bodies and writing answers with yyjson. Library-private. */
#ifndef ISTHMUS_CATALOG_CATALOG_JSON_H
#define ISTHMUS_CATALOG_CATALOG_JSON_H

#include "catalog/catalog_internal.h"

#include <yyjson.h>

/* Parse a JSON object; the caller frees *doc. Errors: INVALID_ARGUMENT. */
ist_status ist__json_read_object(const char *text, yyjson_doc **doc, ist_error *err);

/* A string member, borrowed from the document; NULL where it is absent or null. Errors: INVALID_ARGUMENT. */
ist_status ist__json_text(yyjson_val *object, const char *key, bool required, const char **out, ist_error *err);

/* A member that maps strings to strings, as JSON text (malloc); NULL where it is absent, null or empty. */
ist_status ist__json_properties(yyjson_val *object, const char *key, char **out, ist_error *err);

/* The member "columns" of CreateTable, checked and completed, as JSON text (malloc); NULL where absent or null. */
ist_status ist__json_columns(yyjson_val *object, char **out, ist_error *err);

/* Is it one of Unity Catalog's ColumnTypeName? */
bool ist__column_type_known(const char *type_name);

/* Add a string member (borrowed), or null for NULL. */
void ist__json_add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text);

/* Append the document as text and free it; NULL stands for one that could not be made. */
ist_status ist__json_finish(yyjson_mut_doc *doc, ist_buffer *out, ist_error *err);

#endif
