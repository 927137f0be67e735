/* lineage_answer_fuzz.c: a catalog's answer becomes text and SVG. The first byte picks the form. */
#include "isthmus/lineage.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist_lineage_draw_options options = IST_LINEAGE_DRAW_OPTIONS_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    if (size == 0)
        return 0;
    char *answer = malloc(size);
    if (!answer)
        return 0;
    memcpy(answer, data + 1, size - 1);
    answer[size - 1] = '\0';
    options.form = data[0] & 1 ? IST_LINEAGE_SVG : IST_LINEAGE_TEXT;
    options.columns = data[0] & 2;
    options.link = data[0] & 4 ? "#/" : NULL;
    ist_lineage_draw(answer, &options, &out, NULL);
    ist_buffer_free(&out);
    free(answer);
    return 0;
}
