/* deletion_vector_fuzz.c: the bytes of a deletion vector, and its Base85 text as an inline one. */
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 200000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *keep = malloc(ROWS / 8);
    char *text = malloc(size + 1);
    int64_t deleted;
    if (keep && text) {
        memset(keep, 0xFF, ROWS / 8);
        if (ist__dv_parse(data, size, ROWS, keep, &deleted, NULL) == IST_OK && (deleted < 0 || deleted > ROWS))
            abort();
        memcpy(text, data, size);
        text[size] = '\0';
        ist__dv dv = {.storage_type = 'i', .path_or_inline = text, .offset = -1, .cardinality = 6};
        dv.size_in_bytes = (int32_t)(strlen(text) / 5 * 4);
        uint8_t *bits = NULL;
        ist_buffer path = IST_BUFFER_INIT;
        if (ist__dv_read(NULL, &dv, ROWS, &bits, NULL) != IST_OK && bits)
            abort();
        free(bits);
        ist__dv_path(&dv, &path, NULL);
        ist_buffer_free(&path);
    }
    free(text);
    free(keep);
    return 0;
}
