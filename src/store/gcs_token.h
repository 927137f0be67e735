/* gcs_token.h: access tokens of Google Cloud, for a service account or a user, from its key file. Library-private. */
#ifndef ISTHMUS_STORE_GCS_TOKEN_H
#define ISTHMUS_STORE_GCS_TOKEN_H

#include "store/http_client.h"

IST_BEGIN_DECLS

typedef struct ist__gcs_token {
    ist_buffer text;
    int64_t expires_ms;
} ist__gcs_token;

/*
 * Get a token with full access to storage.
 *   key_file  the JSON of a "service_account" or an "authorized_user"
 * Errors: IST_BAD_INPUT (not such a file), IST_UNAUTHENTICATED (refused), IST_RETRYABLE.
 */
ist_status ist__gcs_token_get(ist__http *http, const char *key_file, ist__gcs_token *out, ist_error *err);

/*
 * Narrow a token down to one folder, by a Credential Access Boundary.
 *   bucket, prefix  "a/b": what is beneath a/b/; "" the whole bucket
 *   write           else read only
 *   endpoint        of the token service; NULL for Google's
 */
ist_status ist__gcs_token_downscope(ist__http *http, const ist__gcs_token *token, const char *bucket,
                                    const char *prefix, bool write, const char *endpoint, ist__gcs_token *out,
                                    ist_error *err);

/* Overwrite and free. */
void ist__gcs_token_free(ist__gcs_token *token);

IST_END_DECLS

#endif
