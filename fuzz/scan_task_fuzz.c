/* scan_task_fuzz.c: a scan task, as it comes from another process; the file that it names is not Parquet. */
#include "isthmus/scan.h"
#include "isthmus/sys/storage.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    ist_store *store = NULL;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    if (!text || ist_store_open_memory(&store, NULL) != IST_OK)
        goto done;
    memcpy(text, data, size);
    text[size] = '\0';
    if (ist_scan_task_read(store, text, &stream, NULL) == IST_OK) {
        for (int i = 0; i < 10 && stream.get_next(&stream, &batch) == 0 && batch.release; i++)
            batch.release(&batch);
        stream.release(&stream);
    }
done:
    ist_store_free(store);
    free(text);
    return 0;
}
