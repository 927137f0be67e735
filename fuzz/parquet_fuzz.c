/* parquet_fuzz.c: a file's footer and all of its columns. */
#include "shim/parquet.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ist_status read_memory(void *self, uint64_t offset, void *data, size_t size, ist_error *err)
{
    (void)err;
    memcpy(data, (const char *)self + offset, size);
    return IST_OK;
}

static void keep(void *self)
{
    (void)self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__source source = {(void *)data, size, read_memory, keep, "fuzz.parquet"};
    ist__parquet_reader *reader;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    if (ist__parquet_reader_open(source, &reader, NULL) != IST_OK)
        return 0;
    if (ist__parquet_reader_schema(reader, &schema, NULL) == IST_OK)
        schema.release(&schema);
    if (ist__parquet_reader_read(reader, NULL, 0, 1000, &stream, NULL) == IST_OK) {
        for (int i = 0; i < 100 && stream.get_next(&stream, &batch) == 0 && batch.release; i++)
            batch.release(&batch);
        stream.release(&stream);
    }
    ist__parquet_reader_free(reader);
    return 0;
}
