/*
 * file_token.h: scoped, expiring tokens for `file:` locations. Library-private.
 *
 * A token says "until then, its bearer may read (or read and write) beneath this root". It is opaque to clients:
 * base64url(payload) "." base64url(HMAC-SHA256(key, base64url(payload))). The key is <home>/files.key (0600), made on
 * first start, so tokens outlive a restart of the server. Whoever holds a token may use it: it is a secret, and appears
 * in no message.
 *
 * Threading: a signer is immutable but for its endpoint, which is set once; it may be shared by threads.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_FILE_TOKEN_H
#define ISTHMUS_CATALOG_LOCAL_FILE_TOKEN_H

#include "isthmus/buffer.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

enum {
    IST__FILE_TOKEN_MAX = 8192,           /* bytes of a token that is looked at */
    IST__FILE_TOKEN_LIFE_MS = 3600 * 1000 /* of a token, unless the server is told another */
};

typedef struct ist__file_signer ist__file_signer;

/* What a token that was checked allows. Free with ist__file_grant_free. */
typedef struct ist__file_grant {
    char *root;      /* "file:///data/t" */
    char *principal; /* whom it was given to */
    char *id;        /* names the token in audits without telling it */
    bool write;
    int64_t expires_ms;
} ist__file_grant;

/*
 * Read the key of a server's home, or make it.
 *   home      an existing folder
 *   life_ms   of the tokens; 0 for IST__FILE_TOKEN_LIFE_MS
 *   out       the caller's; ist__file_signer_free
 * Errors: IST_IO, IST_BAD_INPUT (the file is not a key).
 */
ist_status ist__file_signer_open(const char *home, int64_t life_ms, ist__file_signer **out, ist_error *err);
void ist__file_signer_free(ist__file_signer *signer);

/* "http://127.0.0.1:8080": the server's address, once it is known; the text is copied. Only the first call counts. */
ist_status ist__file_signer_set_url(ist__file_signer *signer, const char *url, ist_error *err);

/* Append a token. root: a canonical file: URI. *expires_ms tells until when it holds. Errors: IST_NO_MEMORY. */
ist_status ist__file_token_make(const ist__file_signer *signer, const char *root, bool write, const char *principal,
                                ist_buffer *out, int64_t *expires_ms, ist_error *err);

/* Append the token of a payload, whatever that says. */
ist_status ist__file_token_sign(const ist__file_signer *signer, const char *payload, size_t size, ist_buffer *out,
                                ist_error *err);

/*
 * Check a token and say what it allows.
 *   write  the caller is about to change something
 * Errors: IST_UNAUTHENTICATED (none, forged, expired), IST_FORBIDDEN (it is for reading).
 */
ist_status ist__file_token_check(const ist__file_signer *signer, const char *token, bool write, ist__file_grant *out,
                                 ist_error *err);
void ist__file_grant_free(ist__file_grant *grant);

/*
 * Append TemporaryCredentials for a `file:` location: url, expiration_time, and isthmus_file_token {token, endpoint,
 * socket, uid}: HTTP, and a Unix socket whose other end must be that user. Without a signer (a catalog without a server: its user may open the files) there is only the url.
 *   url  normalized by ist__location_normalize
 * Errors: PERMISSION_DENIED (the location holds the server's own secrets).
 */
ist_status ist__vend_file(const ist__file_signer *signer, const char *url, bool write, const char *principal,
                          ist_buffer *out, ist_error *err);

/* "@isthmus-files-...": the broker's socket, in Linux's abstract namespace; borrowed. */
const char *ist__file_signer_socket(const ist__file_signer *signer);

IST_END_DECLS

#endif
