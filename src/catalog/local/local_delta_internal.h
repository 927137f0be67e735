/* local_delta_internal.h: what local_delta.c, delta_update.c and delta_credentials.c share. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_LOCAL_DELTA_INTERNAL_H
#define ISTHMUS_CATALOG_LOCAL_LOCAL_DELTA_INTERNAL_H

#include "catalog/local/local_internal.h"

/* Append a table's LoadTableResponse. */
ist_status ist__delta_append(ist__db *db, const char *id, ist_buffer *out, ist_error *err);
/* Uniform metadata come with the property that asks for them, and only then. Errors: INVALID_ARGUMENT, UNIMPLEMENTED. */
ist_status ist__delta_check_uniform(yyjson_mut_val *properties, yyjson_val *uniform, ist_error *err);

#endif
