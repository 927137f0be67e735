/*
 * result_link.h: links to chunks that need no token: signed by a key that lives and dies with the process.
 * Library-private.
 *
 * Threading: a signer is immutable.
 */
#ifndef ISTHMUS_WAREHOUSE_RESULT_LINK_H
#define ISTHMUS_WAREHOUSE_RESULT_LINK_H

#include "isthmus/buffer.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ist__link_signer {
    unsigned char key[32];
} ist__link_signer;

/* Errors: IST_IO (no random source). */
ist_status ist__link_signer_init(ist__link_signer *out, ist_error *err);
/* Append "<origin>/api/2.0/isthmus/results/<statement>/<chunk>?expires=<ms>&signature=<...>". */
ist_status ist__link_write(const ist__link_signer *signer, const char *origin, const char *statement_id, int chunk,
                           int64_t expires_ms, ist_buffer *out, ist_error *err);
/* What a link has, as texts. */
typedef struct ist__link_parts {
    char statement_id[37], chunk[11], expires[20], signature[44];
} ist__link_parts;

/* Take a link to pieces, whatever its origin; false where it has not the form of one. It may have come from anywhere:
 * only the check tells whether it is this server's. */
bool ist__link_split(const char *link, ist__link_parts *out);
/*
 * Check what a link has, as texts.
 *   out  the number of the chunk
 * Errors: PERMISSION_DENIED (the signature is another's, or it has expired: the message says what to do).
 */
ist_status ist__link_check(const ist__link_signer *signer, const char *statement_id, const char *chunk,
                           const char *expires, const char *signature, int64_t now_ms, int *out, ist_error *err);

#endif
