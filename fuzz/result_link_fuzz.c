/* result_link_fuzz.c: a link to a result, as a whole, and what it has: statement, chunk, expiration and signature, a
 * line each. With the key of zeros there is one signed link in the corpus; nothing else may be let in. */
#include "warehouse/result_link.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *const part[4])
{
    static const ist__link_signer signer;
    static const char *const known[] = {"0f5e1f0a-8c5d-4b7e-9d55-3a1c2b4d6e8f", "7", "1800000000000"};
    int chunk = -1;
    if (ist__link_check(&signer, part[0], part[1], part[2], part[3], 1700000000000, &chunk, NULL) != IST_OK)
        return;
    for (int i = 0; i < 3; i++)
        if (strcmp(part[i], known[i]) != 0)
            abort();
    if (chunk != 7)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1), *rest = text;
    const char *part[4];
    ist__link_parts whole;
    if (!text)
        abort();
    memcpy(text, data, size);
    if (ist__link_split(text, &whole))
        check((const char *const[]){whole.statement_id, whole.chunk, whole.expires, whole.signature});
    for (int i = 0; i < 4; i++) {
        part[i] = rest;
        rest += strcspn(rest, "\n");
        if (*rest)
            *rest++ = '\0';
    }
    check(part);
    free(text);
    return 0;
}
