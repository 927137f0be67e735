/* catalog_reply_fuzz.c: what a catalog server may answer. The first byte is the HTTP status / 5 - 20 (100 .. 595). */
#include "catalog/catalog_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    if (size == 0)
        return 0;
    int http = (data[0] + 20) * 5;
    const char *body = (const char *)data + 1;
    if (http / 100 != 2) {
        if (ist__uc_error_from_reply(http, body, size - 1, "GET /x", &err) == IST_OK || strpbrk(err.message, "\r\n"))
            abort();
        if (ist__uc_error_body(&err, &out, NULL) != IST_OK)
            abort();
    } else if (ist__uc_reply_check(body, size - 1, false, &out, &err) == IST_OK && out.size != size - 1) {
        abort();
    }
    ist_buffer_free(&out);
    return 0;
}
