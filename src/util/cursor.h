/*
 * cursor.h: the scalars of binary frames: little-endian numbers, and texts that carry their size. Library-private.
 *
 * Nothing that a peer sends is believed: what does not fit makes the cursor bad and empty, and every later take gives 0
 * or NULL, so that a decoder looks once, at its end.
 */
#ifndef ISTHMUS_UTIL_CURSOR_H
#define ISTHMUS_UTIL_CURSOR_H

#include "isthmus/buffer.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

/* What is left of a payload; borrowed. */
typedef struct ist__cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
} ist__cursor;

/* Pass over bytes, and return where they begin; NULL, and the cursor is bad, where there are fewer. */
const uint8_t *ist__cursor_take(ist__cursor *in, size_t size);
/* A number of 1 to 8 bytes. */
uint64_t ist__cursor_number(ist__cursor *in, size_t width);
/* A text: its size with the NUL in 4 bytes, then the text with its NUL, which is lent, not copied. NULL where it is
 * absent (size 0). size, which may be NULL, is without the NUL. */
const char *ist__cursor_text(ist__cursor *in, size_t *size);

/* The other way: append a number of 1 to 8 bytes. */
ist_status ist__put_number(ist_buffer *out, uint64_t value, size_t width, ist_error *err);

IST_END_DECLS

#endif
