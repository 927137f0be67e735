/*
 * name_resolver.h: the names in a statement: what they are, and whether its principal may use them so. Library-private.
 *
 * This is where grants are checked for what engines read: they read with a token of their own, so nothing that was not
 * resolved here may be read by them. A name inside a view is checked as the view's owner; the view itself as the owner
 * of the view around it, and the outermost one as the principal.
 *
 * Threading: any thread; reads the catalog.
 */
#ifndef ISTHMUS_WAREHOUSE_NAME_RESOLVER_H
#define ISTHMUS_WAREHOUSE_NAME_RESOLVER_H

#include "catalog/catalog_json.h"
#include "catalog/local/local_internal.h"

/*
 * Answer a `resolve` of a worker.
 *   who        the statement's principal
 *   id         told again in the answer
 *   tables     array of {"name": [catalog, schema, table], "access": "SELECT"|"MODIFY"|"CREATE", "via": [view...]}
 *   functions  array of [catalog, schema, function] or {"name": [...], "via": [...]}; NULL for none
 *   out        the answer `resolved` is appended (README.md)
 * A table that is not there, or that its asker may not see, is {"exists": false}.
 * Errors: PERMISSION_DENIED; NOT_FOUND (a function; a view of via); INVALID_PARAMETER_VALUE (a malformed request).
 */
ist_status ist__names_resolve(ist__local *local, const ist__principal *who, int64_t id, yyjson_val *tables,
                              yyjson_val *functions, ist_buffer *out, ist_error *err);

#endif
