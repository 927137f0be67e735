/* statement_reply_fuzz.c: what a Statement Execution API may answer: a statement's state with manifest and links (whose
 * columns become a schema), and a chunk's links. */
#include "warehouse/statement_reply.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const ist__statement_reply *reply)
{
    int64_t rows = 0;
    struct ArrowSchema schema;
    for (size_t i = 0; i < reply->chunk_count; i++)
        rows += reply->chunks[i].rows;
    for (size_t i = 0; i < reply->links.count; i++)
        if (reply->links.items[i].chunk >= reply->chunk_count)
            abort();
    if (rows != reply->rows || strpbrk(reply->problem.message, "\r\n"))
        abort();
    if (reply->manifest && ist__manifest_schema(reply->manifest, &schema, NULL) == IST_OK)
        schema.release(&schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__statement_reply reply;
    ist__chunk_links links;
    if (ist__statement_reply_read((const char *)data, size, &reply, NULL) == IST_OK)
        check(&reply);
    ist__statement_reply_free(&reply);
    if (ist__chunk_links_read((const char *)data, size, 4, &links, NULL) == IST_OK)
        ist__chunk_links_free(&links);
    return 0;
}
