/* storage_config_fuzz.c: the storage configuration (first byte 'c'), and what a token service answers (all others). */
#include "catalog/local/vend_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_answer(const char *body, size_t size)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *keys = yyjson_mut_obj(doc);
    int64_t expires_ms = 0;
    if (ist__vend_s3_read(body, size, doc, keys, &expires_ms, NULL) == IST_OK &&
        (yyjson_mut_obj_size(keys) != 3 || expires_ms <= 0))
        abort();
    yyjson_mut_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__vend_config config;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    if (data[0] != 'c') {
        read_answer(text, size - 1);
        return 0;
    }
    if (ist__vend_config_parse(text, size - 1, "x", &config, NULL) == IST_OK)
        ist__vend_config_find(&config, "s3://bucket/a");
    ist__vend_config_free(&config);
    return 0;
}
