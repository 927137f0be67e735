/* digest.h: secrets made and kept as digests. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_DIGEST_H
#define ISTHMUS_CATALOG_LOCAL_DIGEST_H

#include "isthmus/error.h"

#include <openssl/types.h>
#include <stddef.h>

enum {
    IST__DIGEST_TEXT = 65,             /* SHA-256 in hexadecimal, and the NUL */
    IST__SECRET_TEXT = 4 + 2 * 32 + 1, /* "ist_", 256 bits in hexadecimal, and the NUL */
};

/*
 * SHA-256 in hexadecimal.
 *   sha256  the algorithm, fetched by a caller who needs it at each request (to fetch it costs more than to use it); NULL
 * Errors: IST_INTERNAL (OpenSSL refuses: there is no digest, and nothing may be taken for one).
 */
ist_status ist__digest(const EVP_MD *sha256, const char *text, size_t size, char out[IST__DIGEST_TEXT], ist_error *err);
/* A new secret of 256 random bits. Errors: IST_IO (no random source). */
ist_status ist__secret_make(char out[IST__SECRET_TEXT], ist_error *err);

#endif
