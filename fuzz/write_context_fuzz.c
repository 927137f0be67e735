/* write_context_fuzz.c: a write context and a writer's actions, as they come from other processes. The first line of the
 * input is the context, the rest the actions. */
#include "delta/transaction_internal.h"
#include "isthmus/sys/storage.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ist_transaction *begin(ist_store *store)
{
    struct ArrowSchema schema;
    ist_transaction *t = NULL;
    if (ist__schema_to_arrow("{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,"
                             "\"metadata\":{}}]}", &schema, NULL) != IST_OK)
        return NULL;
    ist_transaction_begin(store, NULL, &schema, &t, NULL);
    schema.release(&schema);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    ist_store *store = NULL;
    ist_writer *writer = NULL;
    ist_buffer actions = IST_BUFFER_INIT;
    ist_commit_result result;
    if (!text || ist_store_open_memory(&store, NULL) != IST_OK)
        goto done;
    memcpy(text, data, size);
    text[size] = '\0';
    char *rest = strchr(text, '\n');
    size_t rest_size = rest ? size - (size_t)(rest + 1 - text) : 0;
    if (rest)
        *rest = '\0';
    if (ist_writer_open(store, text, &writer, NULL) == IST_OK)
        ist_writer_finish(writer, &actions, NULL);
    ist_writer_free(writer);
    ist_transaction *t = begin(store);
    if (t && rest) {
        t->metadata.id = "t"; /* the id in the corpus */
        ist_writer_discard(store, rest + 1, rest_size);
        if (ist_transaction_add(t, text, rest + 1, rest_size, NULL) == IST_OK)
            ist_transaction_commit(t, &result, NULL);
    }
    ist_transaction_free(t);
done:
    ist_buffer_free(&actions);
    ist_store_free(store);
    free(text);
    return 0;
}
