/* search.h: objects found by a piece of their name. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_SEARCH_H
#define ISTHMUS_CATALOG_LOCAL_SEARCH_H

#include "catalog/local/session.h"

enum {
    IST__SEARCH_TEXT_MAX = 255,   /* bytes of what is searched for */
    IST__SEARCH_FOUND_MAX = 50,   /* objects of one answer */
    IST__SEARCH_LOOKED_MAX = 5000 /* names that fit and are looked at, seen by the caller or not */
};

/*
 * Find catalogs, schemas, tables, volumes, functions and models that the session may see. Upper and lower case are one.
 *   text  a piece of the object's own name; of fewer than three characters: its beginning. What stands before a last dot
 *         must be in the full name before it: "demo.ord" finds main.demo.orders
 *   out   appended: {"objects": [{"kind", "full_name"}], "truncated"}; names that begin with the text come first
 * Errors: INVALID_ARGUMENT (too long), IST_RETRYABLE, IST_IO.
 */
ist_status ist__local_search(ist__session *session, const char *text, ist_buffer *out, ist_error *err);

#endif
