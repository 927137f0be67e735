/* last_checkpoint_fuzz.c: the text of _last_checkpoint. */
#include "delta/delta_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (ist__log_parse_hint((const char *)data, size) < -1)
        abort();
    return 0;
}
