/*
 * checkpoint_write.c: a snapshot as a Parquet checkpoint (PROTOCOL.md, "Checkpoints" and "Checkpoint Schema").
 *
 * Classic (`n.checkpoint.parquet`, V1 spec) unless the table has the v2Checkpoint feature and asks for it by
 * delta.checkpointPolicy = v2: then UUID-named with checkpointMetadata, and with the file actions in sidecars once there
 * are many. One row is one action; the columns come from the same table of fields that JSON is written by. Statistics are
 * written as JSON (unless delta.checkpoint.writeStatsAsJson is false) and, when delta.checkpoint.writeStatsAsStruct is
 * true, also as typed columns with the partition values.
 *
 * Nothing is visible before its file is whole, sidecars come before the checkpoint that names them, and _last_checkpoint,
 * which is a hint, comes last: dying in between leaves at worst files that nobody reads.
 */
#include "delta/transaction_internal.h"
#include "shim/parquet.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a batch on their way to Parquet; file actions of one sidecar, and of a V2 checkpoint without any. */
enum { BATCH_ROWS = 10000, SIDECAR_ROWS = 100000, INLINE_ROWS = 10000 };

static const ist__action_kind file_kinds[] = {IST__ADD, IST__REMOVE};
static const ist__action_kind other_kinds[] = {IST__METADATA, IST__PROTOCOL, IST__APP, IST__DOMAIN,
                                               IST__CHECKPOINT_METADATA, IST__SIDECAR};

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a checkpoint");
}

/* ---- the schema, as Delta's JSON ---------------------------------------------------------------------------- */

#define MAP_TYPE                                                                                                       \
    "{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":\"string\",\"valueContainsNull\":true}"
#define FORMAT_TYPE                                                                                                    \
    "{\"type\":\"struct\",\"fields\":[{\"name\":\"provider\",\"type\":\"string\",\"nullable\":true},"                  \
    "{\"name\":\"options\",\"type\":" MAP_TYPE ",\"nullable\":true}]}"

static ist_status begin_field(const char *name, bool *first, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(out, *first ? "{\"name\":" : ",{\"name\":", err));
    *first = false;
    IST_TRY(ist__json_append_string(out, name, err));
    return ist_buffer_append_string(out, ",\"nullable\":true,\"type\":", err);
}

static ist_status begin_struct(const char *name, bool *first, ist_buffer *out, ist_error *err)
{
    IST_TRY(begin_field(name, first, out, err));
    *first = true;
    return ist_buffer_append_string(out, "{\"type\":\"struct\",\"fields\":[", err);
}

static ist_status end_struct(bool *first, ist_buffer *out, ist_error *err)
{
    *first = false;
    return ist_buffer_append_string(out, "]}}", err);
}

static const char *field_type(ist__field_kind kind)
{
    switch (kind) {
    case IST__FIELD_INT32:
        return "\"integer\"";
    case IST__FIELD_INT64:
        return "\"long\"";
    case IST__FIELD_BOOL:
        return "\"boolean\"";
    case IST__FIELD_PAIRS:
        return MAP_TYPE;
    case IST__FIELD_STRINGS:
        return "{\"type\":\"array\",\"elementType\":\"string\",\"containsNull\":true}";
    case IST__FIELD_FORMAT:
        return FORMAT_TYPE;
    default:
        return "\"string\"";
    }
}

static ist_status append_fields(const ist__field *fields, size_t count, bool *first, ist_buffer *out, ist_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].kind == IST__FIELD_DV) {
            IST_TRY(begin_struct(fields[i].name, first, out, err));
            IST_TRY(append_fields(ist__dv_fields, ist__dv_field_count, first, out, err));
            IST_TRY(end_struct(first, out, err));
        } else {
            IST_TRY(begin_field(fields[i].name, first, out, err));
            IST_TRY(ist_buffer_printf(out, err, "%s}", field_type(fields[i].kind)));
        }
    }
    return IST_OK;
}

/* Types that have a minimum and maximum. */
static bool is_bounded(yyjson_val *type)
{
    const char *name = yyjson_get_str(type);
    return name && strcmp(name, "boolean") != 0 && strcmp(name, "binary") != 0 && strcmp(name, "void") != 0;
}

static const char *physical_name(yyjson_val *field)
{
    const char *name =
        yyjson_get_str(yyjson_obj_get(yyjson_obj_get(field, "metadata"), "delta.columnMapping.physicalName"));
    return name ? name : yyjson_get_str(yyjson_obj_get(field, "name"));
}

/* The columns of a struct as they stand in minValues (bounds) or nullCount; a struct without any is left out. */
static ist_status append_stats_columns(yyjson_val *fields, const ist__strings *without, bool bounds, bool *first,
                                       bool *any, ist_buffer *out, ist_error *err)
{
    size_t i, max;
    yyjson_val *field;
    yyjson_arr_foreach(fields, i, max, field)
    {
        const char *name = physical_name(field), *logical = yyjson_get_str(yyjson_obj_get(field, "name"));
        yyjson_val *type = yyjson_obj_get(field, "type"), *below = yyjson_obj_get(type, "fields");
        if (!name || !logical || (without && ist__strings_contain(*without, logical)))
            continue;
        if (below) {
            size_t before = out->size;
            bool first_before = *first, some = false;
            IST_TRY(begin_struct(name, first, out, err));
            IST_TRY(append_stats_columns(below, NULL, bounds, first, &some, out, err));
            IST_TRY(end_struct(first, out, err));
            *any = *any || some;
            if (!some) {
                out->data[out->size = before] = '\0';
                *first = first_before;
            }
        } else if (bounds ? is_bounded(type) : !yyjson_equals_str(type, "void")) {
            *any = true;
            IST_TRY(begin_field(name, first, out, err));
            if (bounds)
                IST_TRY(ist__json_append_string(out, yyjson_get_str(type), err));
            IST_TRY(ist_buffer_append_string(out, bounds ? "}" : "\"long\"}", err));
        }
    }
    return IST_OK;
}

static ist_status append_parsed(const ist_snapshot *snapshot, yyjson_val *schema, bool *first, ist_buffer *out,
                                ist_error *err)
{
    static const char *const members[] = {"minValues", "maxValues", "nullCount"};
    const ist__strings *partitions = &snapshot->metadata.partition_columns;
    size_t i, max;
    yyjson_val *field;
    IST_TRY(begin_struct("stats_parsed", first, out, err));
    IST_TRY(begin_field("numRecords", first, out, err));
    IST_TRY(ist_buffer_append_string(out, "\"long\"}", err));
    for (size_t m = 0; m < 3; m++) {
        size_t before = out->size;
        bool any = false;
        IST_TRY(begin_struct(members[m], first, out, err));
        IST_TRY(append_stats_columns(yyjson_obj_get(schema, "fields"), partitions, m < 2, first, &any, out, err));
        IST_TRY(end_struct(first, out, err));
        if (!any)
            out->data[out->size = before] = '\0';
    }
    IST_TRY(begin_field("tightBounds", first, out, err));
    IST_TRY(ist_buffer_append_string(out, "\"boolean\"}", err));
    IST_TRY(end_struct(first, out, err));
    if (partitions->count == 0)
        return IST_OK;
    IST_TRY(begin_struct("partitionValues_parsed", first, out, err));
    yyjson_arr_foreach(yyjson_obj_get(schema, "fields"), i, max, field)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(field, "name"));
        const char *type = yyjson_get_str(yyjson_obj_get(field, "type"));
        if (!name || !type || !ist__strings_contain(*partitions, name))
            continue;
        IST_TRY(begin_field(physical_name(field), first, out, err));
        IST_TRY(ist__json_append_string(out, type, err));
        IST_TRY(ist_buffer_append_string(out, "}", err));
    }
    return end_struct(first, out, err);
}

static bool writes_json_stats(const ist_snapshot *snapshot)
{
    const char *value = ist__pairs_get(snapshot->metadata.configuration, "delta.checkpoint.writeStatsAsJson");
    return !value || ist__property_true(snapshot->metadata.configuration, "delta.checkpoint.writeStatsAsJson");
}

static ist_status make_schema(const ist_snapshot *snapshot, const ist__action_kind *kinds, size_t kind_count,
                              struct ArrowSchema *out, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    bool first = true, parsed = ist__property_true(snapshot->metadata.configuration,
                                                   "delta.checkpoint.writeStatsAsStruct");
    const char *text = snapshot->metadata.schema_string;
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    ist_status status;
    if (!doc) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the table's schema is not JSON");
        goto done;
    }
    IST_TRY_GOTO(ist_buffer_append_string(&json, "{\"type\":\"struct\",\"fields\":[", err));
    for (size_t k = 0; k < kind_count; k++) {
        size_t count;
        const ist__field *fields = ist__action_fields(kinds[k], &count);
        IST_TRY_GOTO(begin_struct(ist__action_name(kinds[k]), &first, &json, err));
        IST_TRY_GOTO(append_fields(fields, count, &first, &json, err));
        if (kinds[k] == IST__ADD && parsed)
            IST_TRY_GOTO(append_parsed(snapshot, yyjson_doc_get_root(doc), &first, &json, err));
        IST_TRY_GOTO(end_struct(&first, &json, err));
    }
    IST_TRY_GOTO(ist_buffer_append_string(&json, "]}", err));
    status = ist__schema_to_arrow(json.data, out, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    return status;
}

/* ---- text -> typed values ----------------------------------------------------------------------------------- */

/* A number of exactly `digits` digits; moves *text. */
static bool take_digits(const char **text, int digits, int64_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *out = *out * 10 + (**text - '0');
    }
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* "2026-11-23" -> days since the epoch (Howard Hinnant's days_from_civil). */
static bool take_date(const char **text, int64_t *days)
{
    int64_t y, m, d;
    if (!take_digits(text, 4, &y) || !take_char(text, '-') || !take_digits(text, 2, &m) || !take_char(text, '-') ||
        !take_digits(text, 2, &d) || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, year = y - era * 400;
    int64_t day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    *days = era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
    return true;
}

/* "2026-11-23 09:00:00[.ffffff]" or with T and a zone -> microseconds; without a zone it is UTC. */
static bool parse_timestamp(const char *text, int64_t *us)
{
    int64_t days, h, m, s, fraction = 0, unit = 100000, zone_h = 0, zone_m = 0;
    if (!take_date(&text, &days) || (!take_char(&text, 'T') && !take_char(&text, ' ')) || !take_digits(&text, 2, &h) ||
        !take_char(&text, ':') || !take_digits(&text, 2, &m) || !take_char(&text, ':') || !take_digits(&text, 2, &s))
        return false;
    if (take_char(&text, '.'))
        for (; *text >= '0' && *text <= '9'; text++, unit /= 10)
            fraction += (*text - '0') * unit;
    int sign = *text == '-' ? 1 : -1;
    if (*text == '+' || *text == '-') {
        text++;
        if (!take_digits(&text, 2, &zone_h) || !take_char(&text, ':') || !take_digits(&text, 2, &zone_m))
            return false;
    } else if (*text == 'Z') {
        text++;
    }
    *us = (((days * 24 + h) * 60 + m + sign * (zone_h * 60 + zone_m)) * 60 + s) * 1000000 + fraction;
    return *text == '\0';
}

/* Digits of a plain decimal number at the type's scale; false when it does not fit. */
static bool append_decimal(struct ArrowArray *array, const struct ArrowSchemaView *type, const char *text)
{
    char digits[64];
    size_t count = 0;
    int scale = -1;
    for (const char *p = text; *p; p++) {
        if (*p == '.' && scale < 0) {
            scale = 0;
        } else if ((*p >= '0' && *p <= '9') || (*p == '-' && p == text)) {
            if (count >= 48)
                return false;
            digits[count++] = *p;
            scale += scale >= 0;
        } else {
            return false;
        }
    }
    for (scale = scale < 0 ? 0 : scale; scale < type->decimal_scale && count < 60; scale++)
        digits[count++] = '0';
    digits[count] = '\0';
    struct ArrowDecimal decimal;
    ArrowDecimalInit(&decimal, type->decimal_bitwidth, type->decimal_precision, type->decimal_scale);
    return scale == type->decimal_scale && ArrowDecimalSetDigits(&decimal, ArrowCharView(digits)) == NANOARROW_OK &&
           ArrowArrayAppendDecimal(array, &decimal) == NANOARROW_OK;
}

/* Append one value from its text; false when it is none of the type (nothing is appended). */
static bool append_text(struct ArrowArray *array, const struct ArrowSchema *schema, const char *text)
{
    struct ArrowSchemaView type;
    char *end = NULL;
    int64_t number;
    if (ArrowSchemaViewInit(&type, schema, NULL) != NANOARROW_OK)
        return false;
    errno = 0;
    switch (type.type) {
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_BINARY:
        return ArrowArrayAppendBytes(array, (struct ArrowBufferView){{text}, (int64_t)strlen(text)}) == NANOARROW_OK;
    case NANOARROW_TYPE_BOOL:
        number = strcmp(text, "true") == 0;
        return (number || strcmp(text, "false") == 0) && ArrowArrayAppendInt(array, number) == NANOARROW_OK;
    case NANOARROW_TYPE_DATE32:
        return take_date(&text, &number) && !*text && ArrowArrayAppendInt(array, number) == NANOARROW_OK;
    case NANOARROW_TYPE_TIMESTAMP:
        return parse_timestamp(text, &number) && ArrowArrayAppendInt(array, number) == NANOARROW_OK;
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE: {
        double value = strtod(text, &end);
        return *text && !*end && ArrowArrayAppendDouble(array, value) == NANOARROW_OK;
    }
    case NANOARROW_TYPE_DECIMAL128:
        return append_decimal(array, &type, text);
    default:
        number = strtoll(text, &end, 10);
        return *text && !*end && errno == 0 && ArrowArrayAppendInt(array, number) == NANOARROW_OK;
    }
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

typedef struct builder {
    const ist_snapshot *snapshot;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    const ist__action_kind *kinds;
    size_t kind_count;
    bool json_stats;
    ist_store_writer *object;
    ist__parquet_writer *parquet;
    int64_t bytes;
} builder;

static int append_string(struct ArrowArray *array, const char *text)
{
    return text ? ArrowArrayAppendString(array, ArrowCharView(text)) : ArrowArrayAppendNull(array, 1);
}

static int append_pairs(struct ArrowArray *array, const ist__pairs *pairs)
{
    struct ArrowArray *entries = array->children[0];
    int failed = 0;
    for (size_t i = 0; i < pairs->count && !failed; i++)
        failed = append_string(entries->children[0], pairs->items[i].key) ||
                 append_string(entries->children[1], pairs->items[i].value) || ArrowArrayFinishElement(entries);
    return failed || ArrowArrayFinishElement(array);
}

static int append_slots(struct ArrowArray *array, const ist__field *fields, size_t count, const ist__action *action,
                        const void *base, bool json_stats);

static int append_slot(struct ArrowArray *array, const ist__field *field, const ist__action *action, const void *slot)
{
    static const ist__pairs none = {NULL, 0};
    int failed = 0;
    switch (field->kind) {
    case IST__FIELD_STRING:
        return append_string(array, *(const char *const *)slot);
    case IST__FIELD_CHAR:
        return append_string(array, (const char[2]){*(const char *)slot, '\0'});
    case IST__FIELD_INT32:
        return ArrowArrayAppendInt(array, *(const int32_t *)slot);
    case IST__FIELD_INT64:
        return ArrowArrayAppendInt(array, *(const int64_t *)slot);
    case IST__FIELD_BOOL:
        return ArrowArrayAppendInt(array, *(const bool *)slot);
    case IST__FIELD_PAIRS:
        return append_pairs(array, slot);
    case IST__FIELD_STRINGS: {
        const ist__strings *strings = slot;
        for (size_t i = 0; i < strings->count && !failed; i++)
            failed = append_string(array->children[0], strings->items[i]);
        return failed || ArrowArrayFinishElement(array);
    }
    case IST__FIELD_DV:
        return append_slots(array, ist__dv_fields, ist__dv_field_count, action, slot, true) ||
               ArrowArrayFinishElement(array);
    case IST__FIELD_FORMAT:
        return append_string(array->children[0], "parquet") || append_pairs(array->children[1], &none) ||
               ArrowArrayFinishElement(array);
    }
    return EINVAL;
}

static int append_slots(struct ArrowArray *array, const ist__field *fields, size_t count, const ist__action *action,
                        const void *base, bool json_stats)
{
    for (size_t i = 0; i < count; i++) {
        const void *slot = (const char *)base + fields[i].offset;
        bool set = ist__field_is_set(&fields[i], action, slot) &&
                   (json_stats || strcmp(fields[i].name, "stats") != 0);
        int failed = set ? append_slot(array->children[i], &fields[i], action, slot)
                         : ArrowArrayAppendNull(array->children[i], 1);
        if (failed)
            return failed;
    }
    return 0;
}

/* One level of stats_parsed from the statistics' JSON, in which numbers are raw text; what does not fit is null. */
static int append_stats(struct ArrowArray *array, const struct ArrowSchema *schema, yyjson_val *value)
{
    if (strcmp(schema->format, "+s") == 0) {
        if (!yyjson_is_obj(value))
            return ArrowArrayAppendNull(array, 1);
        for (int64_t i = 0; i < schema->n_children; i++) {
            int failed = append_stats(array->children[i], schema->children[i],
                                      yyjson_obj_get(value, schema->children[i]->name));
            if (failed)
                return failed;
        }
        return ArrowArrayFinishElement(array);
    }
    const char *text = yyjson_is_bool(value) ? (yyjson_get_bool(value) ? "true" : "false")
                       : yyjson_is_raw(value) ? yyjson_get_raw(value)
                                              : yyjson_get_str(value);
    return text && append_text(array, schema, text) ? 0 : ArrowArrayAppendNull(array, 1);
}

static ist_status append_partition_values(struct ArrowArray *array, const struct ArrowSchema *schema,
                                          const ist__add *add, ist_error *err)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        const char *text = ist__pairs_get(add->partition_values, schema->children[i]->name);
        bool is_null = !text || !*text;
        if (is_null ? ArrowArrayAppendNull(array->children[i], 1) != NANOARROW_OK
                    : !append_text(array->children[i], schema->children[i], text))
            return ist_error_set(err, IST_BAD_INPUT, 0, add->path, "'%s' is no value for partition column %s",
                                 is_null ? "" : text, schema->children[i]->name);
    }
    return ArrowArrayFinishElement(array) ? no_memory(err) : IST_OK;
}

/* What stands in an add's struct after the fields of the JSON form: stats_parsed, partitionValues_parsed. */
static ist_status append_add_extras(struct ArrowArray *array, const struct ArrowSchema *schema, size_t done,
                                    const ist__add *add, ist_error *err)
{
    for (int64_t i = (int64_t)done; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, "stats_parsed") == 0) {
            yyjson_doc *doc = add->stats ? yyjson_read(add->stats, strlen(add->stats), YYJSON_READ_NUMBER_AS_RAW) : NULL;
            int failed = append_stats(array->children[i], schema->children[i], yyjson_doc_get_root(doc));
            yyjson_doc_free(doc);
            if (failed)
                return no_memory(err);
        } else {
            IST_TRY(append_partition_values(array->children[i], schema->children[i], add, err));
        }
    }
    return IST_OK;
}

static ist_status start_batch(builder *b, ist_error *err)
{
    return ArrowArrayInitFromSchema(&b->batch, &b->schema, NULL) || ArrowArrayStartAppending(&b->batch) ? no_memory(err)
                                                                                                        : IST_OK;
}

static ist_status flush(builder *b, ist_error *err)
{
    if (b->batch.length == 0)
        return IST_OK;
    if (ArrowArrayFinishBuildingDefault(&b->batch, NULL))
        return no_memory(err);
    return ist__parquet_writer_write(b->parquet, &b->batch, err);
}

static ist_status append_action(builder *b, const ist__action *action, ist_error *err)
{
    if (!b->batch.release)
        IST_TRY(start_batch(b, err));
    for (size_t k = 0; k < b->kind_count; k++) {
        struct ArrowArray *column = b->batch.children[k];
        size_t count;
        const ist__field *fields = ist__action_fields(b->kinds[k], &count);
        if (b->kinds[k] != action->kind) {
            if (ArrowArrayAppendNull(column, 1))
                return no_memory(err);
            continue;
        }
        if (append_slots(column, fields, count, action, action, b->json_stats))
            return no_memory(err);
        if (action->kind == IST__ADD)
            IST_TRY(append_add_extras(column, b->schema.children[k], count, &action->add, err));
        if (ArrowArrayFinishElement(column))
            return no_memory(err);
    }
    if (ArrowArrayFinishElement(&b->batch))
        return no_memory(err);
    return b->batch.length >= BATCH_ROWS ? flush(b, err) : IST_OK;
}

static ist_status sink_write(void *self, const void *data, size_t size, ist_error *err)
{
    builder *b = self;
    IST_TRY(ist_store_writer_write(b->object, data, size, err));
    b->bytes += (int64_t)size;
    return IST_OK;
}

static ist_status builder_open(builder *b, ist_store *store, const ist_snapshot *snapshot, const char *path,
                               const ist__action_kind *kinds, size_t kind_count, ist_error *err)
{
    const ist__parquet_writer_options options = {"snappy", INT_MIN, 0, true};
    *b = (builder){.snapshot = snapshot, .kinds = kinds, .kind_count = kind_count,
                   .json_stats = writes_json_stats(snapshot)};
    IST_TRY(make_schema(snapshot, kinds, kind_count, &b->schema, err));
    IST_TRY(ist_store_writer_open(store, path, &b->object, err));
    return ist__parquet_writer_open((ist__sink){b, sink_write}, &b->schema, &options, &b->parquet, err);
}

static ist_status builder_close(builder *b, ist_error *err)
{
    IST_TRY(flush(b, err));
    IST_TRY(ist__parquet_writer_close(b->parquet, NULL, NULL, err));
    return ist_store_writer_close(b->object, err);
}

static void builder_free(builder *b)
{
    ist__parquet_writer_free(b->parquet);
    ist_store_writer_free(b->object);
    if (b->batch.release)
        b->batch.release(&b->batch);
    if (b->schema.release)
        b->schema.release(&b->schema);
}

/* ---- the checkpoint ----------------------------------------------------------------------------------------- */

static ist_status append_files(builder *b, size_t first, size_t count, ist_error *err)
{
    const ist_snapshot *s = b->snapshot;
    for (size_t i = first; i < first + count; i++) {
        ist__action action;
        if (i < s->file_count) {
            action = (ist__action){.kind = IST__ADD, .add = s->files[i]};
            action.add.data_change = false; /* a checkpoint changes no data */
        } else {
            action = (ist__action){.kind = IST__REMOVE, .remove = s->tombstones[i - s->file_count]};
            action.remove.data_change = false;
        }
        IST_TRY(append_action(b, &action, err));
    }
    return IST_OK;
}

static ist_status append_others(builder *b, ist_error *err)
{
    const ist_snapshot *s = b->snapshot;
    ist__action action = {.kind = IST__PROTOCOL, .protocol = s->protocol};
    IST_TRY(append_action(b, &action, err));
    action = (ist__action){.kind = IST__METADATA, .metadata = s->metadata};
    IST_TRY(append_action(b, &action, err));
    for (size_t i = 0; i < s->app_count; i++) {
        action = (ist__action){.kind = IST__APP, .app = s->apps[i]};
        IST_TRY(append_action(b, &action, err));
    }
    for (size_t i = 0; i < s->domain_count; i++) {
        action = (ist__action){.kind = IST__DOMAIN, .domain = s->domains[i]};
        IST_TRY(append_action(b, &action, err));
    }
    return IST_OK;
}

typedef struct sidecar {
    char name[37 + 8];
    int64_t bytes;
    int64_t time;
} sidecar;

static ist_status write_sidecar(ist_store *store, const ist_snapshot *snapshot, size_t first, size_t count,
                                sidecar *out, ist_error *err)
{
    builder b;
    char path[100], uuid[37];
    ist__uuid(uuid);
    snprintf(out->name, sizeof out->name, "%s.parquet", uuid);
    snprintf(path, sizeof path, "_delta_log/_sidecars/%s", out->name);
    ist_status status = builder_open(&b, store, snapshot, path, file_kinds, 2, err);
    if (status == IST_OK)
        status = append_files(&b, first, count, err);
    if (status == IST_OK)
        status = builder_close(&b, err);
    out->bytes = b.bytes;
    out->time = ist__now_ms();
    builder_free(&b);
    return status;
}

static ist_status write_last_checkpoint(ist_store *store, const ist_snapshot *snapshot, size_t actions, int64_t bytes,
                                        ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status =
        ist_buffer_printf(&text, err, "{\"version\":%" PRId64 ",\"size\":%zu,\"sizeInBytes\":%" PRId64
                          ",\"numOfAddFiles\":%zu}", snapshot->version, actions, bytes, snapshot->file_count);
    if (status == IST_OK)
        status = ist_store_put(store, "_delta_log/_last_checkpoint", text.data, text.size, IST_PUT_REPLACE, err);
    ist_buffer_free(&text);
    return status;
}

/* PROTOCOL.md, "Maintenance Operations on Catalog-managed Tables": only published versions have checkpoints. */
static ist_status check_published(ist_store *store, const ist_snapshot *snapshot, ist_error *err)
{
    char path[64];
    ist_store_entry entry;
    ist_error missing = IST_ERROR_INIT;
    if (!ist__features_by_catalog(&snapshot->protocol))
        return IST_OK;
    ist__log_commit_path(snapshot->version, path);
    ist_status status = ist_store_stat(store, path, &entry, &missing);
    if (status == IST_NOT_FOUND)
        return ist_error_set(err, IST_BAD_INPUT, 0, path,
                             "version %" PRId64 " is not published yet (%s is not there), so it gets no checkpoint",
                             snapshot->version, path);
    if (status != IST_OK && err)
        *err = missing;
    return status;
}

ist_status ist_checkpoint_write(ist_store *store, const ist_snapshot *snapshot, ist_error *err)
{
    static const ist__action_kind all_kinds[] = {
        IST__APP, IST__ADD, IST__REMOVE, IST__METADATA, IST__PROTOCOL, IST__DOMAIN, IST__CHECKPOINT_METADATA, IST__SIDECAR};
    const char *policy = ist__pairs_get(snapshot->metadata.configuration, "delta.checkpointPolicy");
    bool v2 = policy && strcmp(policy, "v2") == 0 && ist__features_supported(&snapshot->protocol, "v2Checkpoint");
    size_t files = snapshot->file_count + snapshot->tombstone_count;
    size_t sidecar_count = v2 && files > INLINE_ROWS ? (files + SIDECAR_ROWS - 1) / SIDECAR_ROWS : 0;
    size_t actions = 2 + snapshot->app_count + snapshot->domain_count + files + v2 + sidecar_count;
    sidecar *sidecars = NULL;
    builder b = {0};
    char path[120], uuid[37];
    int64_t bytes = 0;
    ist_status status;
    IST_TRY(check_published(store, snapshot, err));
    IST_TRY(ist__alloc(sidecar_count, sizeof *sidecars, (void **)&sidecars, err));
    for (size_t i = 0; i < sidecar_count; i++) {
        size_t first = i * SIDECAR_ROWS, left = files - first;
        IST_TRY_GOTO(write_sidecar(store, snapshot, first, left < SIDECAR_ROWS ? left : SIDECAR_ROWS, &sidecars[i],
                                   err));
        bytes += sidecars[i].bytes;
    }
    ist__uuid(uuid);
    snprintf(path, sizeof path, "_delta_log/%020" PRId64 ".checkpoint%s%s.parquet", snapshot->version, v2 ? "." : "",
             v2 ? uuid : "");
    IST_TRY_GOTO(sidecar_count ? builder_open(&b, store, snapshot, path, other_kinds,
                                              sizeof other_kinds / sizeof other_kinds[0], err)
                               : builder_open(&b, store, snapshot, path, all_kinds,
                                              sizeof all_kinds / sizeof all_kinds[0] - (v2 ? 0 : 2), err));
    if (v2) {
        ist__action action = {.kind = IST__CHECKPOINT_METADATA, .checkpoint_version = snapshot->version};
        IST_TRY_GOTO(append_action(&b, &action, err));
    }
    IST_TRY_GOTO(append_others(&b, err));
    for (size_t i = 0; i < sidecar_count; i++) {
        ist__action action = {.kind = IST__SIDECAR, .sidecar = {sidecars[i].name, sidecars[i].bytes, sidecars[i].time}};
        IST_TRY_GOTO(append_action(&b, &action, err));
    }
    if (sidecar_count == 0)
        IST_TRY_GOTO(append_files(&b, 0, files, err));
    IST_TRY_GOTO(builder_close(&b, err));
    status = write_last_checkpoint(store, snapshot, actions, bytes + b.bytes, err);
done:
    if (status != IST_OK)
        ist_error_context(err, "the checkpoint of version %" PRId64, snapshot->version);
    builder_free(&b);
    free(sidecars);
    return status;
}
