/* predicate_fuzz.c: a serialised expression: parsed, bound to a schema of many types, asked of bounds and of rows. */
#include "shim/predicate.h"

#include "delta/delta_internal.h"

#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type ",\"nullable\":true,\"metadata\":{}}"

static const char schema_json[] =
    "{\"type\":\"struct\",\"fields\":[" FIELD("number", "\"long\"") "," FIELD("double", "\"double\"") ","
    FIELD("text", "\"string\"") "," FIELD("at", "\"timestamp\"") "," FIELD("amount", "\"decimal(38,10)\"") ","
    FIELD("place", "{\"type\":\"struct\",\"fields\":[" FIELD("city", "\"string\"") "]}") "," FIELD("part", "\"string\"") ","
    FIELD("p", "\"string\"") "," FIELD("id", "\"long\"") "]}";

static void judge(const ist__predicate *predicate, struct ArrowSchema *schema)
{
    enum { GROUPS = 2 };
    static const ist__bounds some = {.min = "1", .max = "5", .min_size = 1, .max_size = 1, .no_nulls = true};
    size_t columns = ist__predicate_bounded_count(predicate);
    ist__bounds *bounds = NULL;
    bool may_match[GROUPS];
    struct ArrowArray batch, kept;
    if (ist__alloc(columns * GROUPS, sizeof *bounds, (void **)&bounds, NULL) != IST_OK)
        return;
    for (size_t i = 0; i < columns; i++)
        bounds[i] = some;
    ist__predicate_prune(predicate, bounds, GROUPS, may_match, NULL);
    free(bounds);
    if (ArrowArrayInitFromSchema(&batch, schema, NULL) != NANOARROW_OK)
        return;
    if (ArrowArrayStartAppending(&batch) != NANOARROW_OK || ArrowArrayAppendNull(&batch, 2) != NANOARROW_OK ||
        ArrowArrayFinishBuildingDefault(&batch, NULL) != NANOARROW_OK)
        batch.release(&batch);
    else if (ist__predicate_filter(predicate, &batch, 1, &kept, NULL) == IST_OK)
        kept.release(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__predicate *predicate;
    struct ArrowSchema schema;
    if (ist__predicate_parse(data, size, &predicate, NULL) != IST_OK)
        return 0;
    if (ist__schema_to_arrow(schema_json, &schema, NULL) == IST_OK) {
        if (ist__predicate_bind(predicate, &schema, NULL) == IST_OK)
            judge(predicate, &schema);
        schema.release(&schema);
    }
    ist__predicate_free(predicate);
    return 0;
}
