/* digest.c: secrets made and kept as digests. */
#include "catalog/local/digest.h"

#include "util/util.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/random.h>

void ist__digest(const char *text, size_t size, char out[IST__DIGEST_TEXT])
{
    unsigned char bytes[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, size, bytes);
    ist__hex(bytes, sizeof bytes, out);
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
