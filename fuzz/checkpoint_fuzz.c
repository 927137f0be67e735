/* checkpoint_fuzz.c: Parquet bytes as a table's only checkpoint. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist_store *store;
    ist_snapshot *snapshot;
    ist_buffer text = IST_BUFFER_INIT;
    if (ist_store_open_memory(&store, NULL) != IST_OK)
        return 0;
    if (ist_store_put(store, "_delta_log/00000000000000000000.checkpoint.parquet", data, size, IST_PUT_REPLACE, NULL) ==
            IST_OK &&
        ist_snapshot_open(store, NULL, &snapshot, NULL) == IST_OK) {
        ist_snapshot_row_count(snapshot);
        ist_snapshot_describe(snapshot, &text, NULL);
        ist_snapshot_free(snapshot);
    }
    ist_buffer_free(&text);
    ist_store_free(store);
    return 0;
}
