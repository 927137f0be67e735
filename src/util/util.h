/*
 * util.h: what every module uses and no module owns. Library-private.
 *
 * JSON is yyjson, used directly: include <yyjson.h> where it is needed.
 */
#ifndef ISTHMUS_UTIL_UTIL_H
#define ISTHMUS_UTIL_UTIL_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

/* Return from the function with the status of a call that failed. */
#define IST_TRY(call)                                                                                                  \
    do {                                                                                                               \
        ist_status ist_try_status_ = (call);                                                                           \
        if (ist_try_status_ != IST_OK)                                                                                 \
            return ist_try_status_;                                                                                    \
    } while (0)

/* The same in a function with one clean-up path: needs `ist_status status` and the label `done`. */
#define IST_TRY_GOTO(call)                                                                                             \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status != IST_OK)                                                                                          \
            goto done;                                                                                                 \
    } while (0)

/* calloc and strdup that say so when there is no memory. */
ist_status ist__alloc(size_t count, size_t size, void **out, ist_error *err);
ist_status ist__strdup(const char *text, char **out, ist_error *err);

/* ist_buffer_free for secrets: the bytes are overwritten first. */
void ist__buffer_wipe(ist_buffer *buffer);
/* free for a secret text; NULL is allowed. */
void ist__text_wipe(char *text);

/* Bytes of the characters of UTF-8 that a text begins with: whole ones, at most `most` bytes. */
size_t ist__utf8_prefix(const char *text, size_t most);
/* Put the beginning of a text, whole characters, into out with its room. */
void ist__utf8_copy(char *out, size_t room, const char *text);

/* A new random UUID (version 4) in text. */
void ist__uuid(char out[37]);

/* Bytes in lower-case hexadecimal; out holds 2 * size + 1. */
void ist__hex(const void *bytes, size_t size, char *out);
/* Append bytes in base64 for URLs, without padding (RFC 4648, section 5). */
ist_status ist__base64url(const void *bytes, size_t size, ist_buffer *out, ist_error *err);
/* Undo it. *out_size: room in `out`, then bytes there. false: not base64 for URLs, or no room. */
bool ist__base64url_decode(const char *text, size_t size, unsigned char *out, size_t *out_size);

/* Undo base64 with its padding (RFC 4648, section 4). As above; what is empty is none. */
bool ist__base64_decode(const char *text, size_t size, unsigned char *out, size_t *out_size);

/* Append a whole file of at most `limit` bytes. Errors: IST_NOT_FOUND, IST_NO_MEMORY, IST_IO. */
ist_status ist__read_file(const char *path, size_t limit, ist_buffer *out, ist_error *err);

/* Milliseconds since the epoch; microseconds of the monotonic clock. */
int64_t ist__now_ms(void);
int64_t ist__monotonic_us(void);

/* ms since the epoch as "2026-11-23T09:00:00.000Z". */
void ist__format_time(int64_t ms, char out[32]);

/*
 * The folder of Isthmus' own state on this machine: $ISTHMUS_HOME, else ~/.isthmus. With `create` it is made, mode 0700.
 */
ist_status ist__home(bool create, ist_buffer *out, ist_error *err);

/* Undo percent-encoding, append to out. Errors: IST_BAD_INPUT (bad escape, encoded NUL). */
ist_status ist__uri_decode(const char *text, size_t size, ist_buffer *out, ist_error *err);
/* Percent-encode everything outside the unreserved characters and those in `keep`. */
ist_status ist__uri_encode(const char *text, size_t size, const char *keep, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
