/* ipc_fuzz.c: an Arrow IPC stream in memory. */
#include "shim/ipc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_free(void *self)
{
    ++*(int *)self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    int freed = 0;
    if (ist__ipc_read(data, size, &freed, count_free, &stream, NULL) == IST_OK) {
        while (stream.get_next(&stream, &batch) == 0 && batch.release)
            batch.release(&batch);
        stream.release(&stream);
    }
    if (freed != 1)
        abort();
    return 0;
}
