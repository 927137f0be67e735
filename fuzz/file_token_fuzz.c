/* file_token_fuzz.c: what a client shows as a token. The bytes are taken as a token, and as the payload of a token with a
 * good signature: the payload's form is checked all the same. */
#include "catalog/local/file_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const ist__file_signer *signer, const char *token)
{
    ist__file_grant grant;
    ist_error err = IST_ERROR_INIT;
    if (ist__file_token_check(signer, token, false, &grant, &err) == IST_OK) {
        if (strncmp(grant.root, "file:///", 8) != 0)
            abort();
        ist__file_grant_free(&grant);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ist__file_signer *signer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer token = IST_BUFFER_INIT;
    int64_t expires;
    if (!signer) {
        char home[] = "/tmp/isthmus_fuzz_XXXXXX", key[64];
        if (!mkdtemp(home) || ist__file_signer_open(home, 0, &signer, &err) != IST_OK)
            abort();
        snprintf(key, sizeof key, "%s/files.key", home);
        remove(key);
        remove(home);
    }
    if (ist_buffer_append(&token, data, size, &err) != IST_OK || ist_buffer_append(&token, "", 1, &err) != IST_OK)
        abort();
    check(signer, token.data);
    char *text = strdup(token.data);
    ist_buffer_clear(&token);
    if (text && ist__file_token_make(signer, text, false, "x", &token, &expires, &err) == IST_OK)
        check(signer, token.data);
    free(text);
    ist_buffer_clear(&token);
    if (ist__file_token_sign(signer, (const char *)data, size, &token, &err) == IST_OK)
        check(signer, token.data);
    ist_buffer_free(&token);
    return 0;
}
