/* schema_fuzz.c: schema text as it stands in a table's metaData, through everything that reads it. */
#include "delta/delta_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct ArrowSchema logical, physical;
    ist_buffer out = IST_BUFFER_INIT;
    int64_t max_id = 0;
    bool changed;
    ist__schema_check_names(text, false, NULL);
    ist__schema_fits(text, "{\"type\":\"struct\",\"fields\":[]}", NULL);
    ist__schema_map_columns(text, &max_id, &out, NULL);
    if (ist__schema_to_arrow(text, &logical, NULL) == IST_OK) {
        ist__schema_merge("{\"type\":\"struct\",\"fields\":[]}", &logical, true, "t", &out, &changed, NULL);
        ist__schema_merge(text, &logical, false, "t", &out, &changed, NULL);
        if (ist__schema_physical(&logical, &physical, NULL) == IST_OK)
            physical.release(&physical);
        logical.release(&logical);
    }
    ist_buffer_free(&out);
    free(text);
    return 0;
}
