/*
 * buffer.h: the one type in which libisthmus returns strings and bytes.
 *
 * The caller owns an ist_buffer, starts it with IST_BUFFER_INIT and ends it with ist_buffer_free. Functions append to
 * it unless they say that they replace its content. data[size] is always NUL once anything was appended or reserved, so
 * data can be used as a C string.
 *
 * Threading: one thread at a time.
 */
#ifndef ISTHMUS_BUFFER_H
#define ISTHMUS_BUFFER_H

#include "isthmus/error.h"

#include <stddef.h>

IST_BEGIN_DECLS

typedef struct ist_buffer {
    char *data; /* NULL while empty */
    size_t size;
    size_t capacity;
    size_t limit; /* most bytes it may grow to; 0 means IST_BUFFER_LIMIT_DEFAULT */
} ist_buffer;

#define IST_BUFFER_LIMIT_DEFAULT ((size_t)1 << 31)
#define IST_BUFFER_INIT                                                                                                \
    { NULL, 0, 0, 0 }

/* Make room for `extra` more bytes. Errors: IST_NO_MEMORY (no memory, or past the limit); the content stays. */
IST_API ist_status ist_buffer_reserve(ist_buffer *buffer, size_t extra, ist_error *err);
IST_API ist_status ist_buffer_append(ist_buffer *buffer, const void *data, size_t size, ist_error *err);
IST_API ist_status ist_buffer_append_string(ist_buffer *buffer, const char *string, ist_error *err);
IST_API ist_status ist_buffer_printf(ist_buffer *buffer, ist_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Size to 0; the memory stays. */
IST_API void ist_buffer_clear(ist_buffer *buffer);

/* Free the memory and make it IST_BUFFER_INIT again. NULL is allowed. */
IST_API void ist_buffer_free(ist_buffer *buffer);

IST_END_DECLS

#endif
