/* digest.c: secrets made and kept as digests. */
#include "catalog/local/digest.h"

#include "util/util.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

ist_status ist__digest(const EVP_MD *sha256, const char *text, size_t size, char out[IST__DIGEST_TEXT], ist_error *err)
{
    unsigned char bytes[IST__DIGEST_TEXT / 2];
    if (EVP_Digest(text, size, bytes, NULL, sha256 ? sha256 : EVP_sha256(), NULL) != 1)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "OpenSSL has no SHA-256: no token can be checked");
    ist__hex(bytes, sizeof bytes, out);
    return IST_OK;
}

ist_status ist__secret_make(char out[IST__SECRET_TEXT], ist_error *err)
{
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot make a secret: %s", strerror(errno));
    memcpy(out, "ist_", 4);
    ist__hex(bytes, sizeof bytes, out + 4);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return IST_OK;
}
