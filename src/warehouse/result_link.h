/*
 * result_link.h: links to chunks that need no token: signed by a key that lives and dies with the process.
 * Library-private.
 *
 * Threading: a signer is immutable.
 */
#ifndef ISTHMUS_WAREHOUSE_RESULT_LINK_H
#define ISTHMUS_WAREHOUSE_RESULT_LINK_H

#include "isthmus/buffer.h"

#include <stdint.h>

typedef struct ist__link_signer {
    unsigned char key[32];
} ist__link_signer;

/* Errors: IST_IO (no random source). */
ist_status ist__link_signer_init(ist__link_signer *out, ist_error *err);
/* Append "<origin>/api/2.0/isthmus/results/<statement>/<chunk>?expires=<ms>&signature=<...>". */
ist_status ist__link_write(const ist__link_signer *signer, const char *origin, const char *statement_id, int chunk,
                           int64_t expires_ms, ist_buffer *out, ist_error *err);
/*
 * Check what a link has, as texts.
 *   out  the number of the chunk
 * Errors: PERMISSION_DENIED (the signature is another's, or it has expired: the message says what to do).
 */
ist_status ist__link_check(const ist__link_signer *signer, const char *statement_id, const char *chunk,
                           const char *expires, const char *signature, int64_t now_ms, int *out, ist_error *err);

#endif
