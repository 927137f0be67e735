/* ini.h: texts of "[section]" and "key = value" lines, in which tools of clouds keep their settings. Library-private. */
#ifndef ISTHMUS_UTIL_INI_H
#define ISTHMUS_UTIL_INI_H

#include "isthmus/error.h"

#include <stddef.h>

IST_BEGIN_DECLS

/* A piece of the text, without white space at its ends. It may be empty, and may hold a NUL. */
typedef struct ist__ini_piece {
    const char *at;
    size_t size;
} ist__ini_piece;

/* A status other than IST_OK ends the reading and is returned. line counts from 1. */
typedef ist_status (*ist__ini_cb)(ist__ini_piece key, ist__ini_piece value, int line, void *payload, ist_error *err);

/*
 * Tell the keys of one section, in their order. Lines that begin with '#' or ';' are comments; a key ends at '=' or ':'.
 * Errors: IST_NOT_FOUND (no such section), IST_BAD_INPUT (a line of the section that is no "key = value": the message has
 * its number and nothing of what is in it), the callback's.
 */
ist_status ist__ini_read(const char *text, size_t size, const char *section, ist__ini_cb cb, void *payload,
                         ist_error *err);

/*
 * Copy a value into a field of so many bytes if the key is called so, in any case.
 * Errors: IST_BAD_INPUT (too long, or a NUL in it; the message does not repeat it).
 */
ist_status ist__ini_take(ist__ini_piece key, ist__ini_piece value, const char *name, char *field, size_t field_size,
                         int line, ist_error *err);

IST_END_DECLS

#endif
