/* result_link.c: HMAC-SHA256 over what a link says. */
#include "warehouse/result_link.h"

#include "catalog/catalog_internal.h"
#include "warehouse/warehouse.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { DIGEST = 32, SIGNATURE_TEXT = 43, SIGNED_MAX = 128 };

ist_status ist__link_signer_init(ist__link_signer *out, ist_error *err)
{
    if (getrandom(out->key, sizeof out->key, 0) != sizeof out->key)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot make a key for links: %s", strerror(errno));
    return IST_OK;
}

/* Append the signature of the three texts that a link has. */
static ist_status sign(const ist__link_signer *signer, const char *statement_id, const char *chunk, const char *expires,
                       ist_buffer *out, ist_error *err)
{
    char text[SIGNED_MAX];
    unsigned char digest[DIGEST];
    unsigned size = sizeof digest;
    int length = snprintf(text, sizeof text, "%s/%s/%s", statement_id, chunk, expires);
    const unsigned char *bytes = (const unsigned char *)text;
    if (length < 0 || length >= (int)sizeof text ||
        !HMAC(EVP_sha256(), signer->key, sizeof signer->key, bytes, (size_t)length, digest, &size))
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "the link is not one of this server's");
    return ist__base64url(digest, sizeof digest, out, err);
}

ist_status ist__link_write(const ist__link_signer *signer, const char *origin, const char *statement_id, int chunk,
                           int64_t expires_ms, ist_buffer *out, ist_error *err)
{
    char number[16], expires[24];
    snprintf(number, sizeof number, "%d", chunk);
    snprintf(expires, sizeof expires, "%" PRId64, expires_ms);
    IST_TRY(ist_buffer_printf(out, err, "%s" IST__RESULTS_PATH "/%s/%s?expires=%s&signature=", origin, statement_id,
                              number, expires));
    return sign(signer, statement_id, number, expires, out, err);
}

bool ist__link_split(const char *link, ist__link_parts *out)
{
    const char *tail = strstr(link, IST__RESULTS_PATH "/");
    int end = -1;
    return tail &&
           sscanf(tail + sizeof IST__RESULTS_PATH,
                  "%36[0-9a-f-]/%10[0-9]?expires=%19[0-9]&signature=%43[A-Za-z0-9_-]%n", out->statement_id, out->chunk,
                  out->expires, out->signature, &end) == 4 &&
           end > 0 && !tail[sizeof IST__RESULTS_PATH + (size_t)end];
}

ist_status ist__link_check(const ist__link_signer *signer, const char *statement_id, const char *chunk,
                           const char *expires, const char *signature, int64_t now_ms, int *out, ist_error *err)
{
    ist_buffer expected = IST_BUFFER_INIT;
    IST_TRY(sign(signer, statement_id, chunk, expires, &expected, err));
    bool good = strlen(signature) == SIGNATURE_TEXT && expected.size == SIGNATURE_TEXT &&
                CRYPTO_memcmp(expected.data, signature, SIGNATURE_TEXT) == 0;
    ist_buffer_free(&expected);
    if (!good)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                             "this server did not sign the link as it is: it was cut short, or the server was started"
                             " again since; ask for the chunk, or submit the statement, again");
    /* What was signed is a number. */
    if (strtoll(expires, NULL, 10) < now_ms)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                             "the link has expired: ask for the chunk again (GET " IST__SQL_PATH
                             "/statements/%s/result/chunks/%s)",
                             statement_id, chunk);
    *out = (int)strtol(chunk, NULL, 10);
    return IST_OK;
}
