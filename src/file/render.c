/*
 * render.c: values of Arrow arrays as text. See isthmus/render.h for the forms.
 *
 * The schema is walked once, into a tree of nodes that stands beside nanoarrow's tree of array views; each batch then
 * only sets the views.
 */
#include "isthmus/render.h"

#include "shim/text.h"
#include "util/util.h"

#include <nanoarrow/nanoarrow.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 }; /* of nested types: a schema from outside does not decide how deep the stack goes */

typedef struct node {
    struct ArrowSchemaView type; /* points into the renderer's schema */
    const char *name;
    struct node *children;
    size_t child_count;
    struct node *dictionary;
} node;

struct ist_renderer {
    struct ArrowSchema schema;
    struct ArrowArrayView view;
    node root;
};

static void free_node(node *n)
{
    for (size_t i = 0; i < n->child_count; i++)
        free_node(&n->children[i]);
    free(n->children);
    if (n->dictionary)
        free_node(n->dictionary);
    free(n->dictionary);
}

static bool is_supported(enum ArrowType type)
{
    switch (type) {
    case NANOARROW_TYPE_UNINITIALIZED:
    case NANOARROW_TYPE_SPARSE_UNION:
    case NANOARROW_TYPE_DENSE_UNION:
    case NANOARROW_TYPE_INTERVAL_MONTHS:
    case NANOARROW_TYPE_INTERVAL_DAY_TIME:
    case NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO:
    case NANOARROW_TYPE_RUN_END_ENCODED:
    case NANOARROW_TYPE_LIST_VIEW:
    case NANOARROW_TYPE_LARGE_LIST_VIEW:
        return false;
    default:
        return true;
    }
}

static ist_status build_node(const struct ArrowSchema *schema, int depth, node *out, ist_error *err)
{
    struct ArrowError reason = {""};
    const char *name = schema->name ? schema->name : "";
    if (depth > DEPTH_MAX)
        return ist_error_set(err, IST_UNSUPPORTED, 0, name, "types nested deeper than %d", DEPTH_MAX);
    if (ArrowSchemaViewInit(&out->type, schema, &reason) != NANOARROW_OK)
        return ist_error_set(err, IST_BAD_INPUT, 0, name, "column '%s': %s", name, reason.message);
    if (!is_supported(out->type.type))
        return ist_error_set(err, IST_UNSUPPORTED, 0, name, "column '%s' has a type that cannot be shown (Arrow '%s')",
                             name, schema->format);
    out->name = name;
    IST_TRY(ist__alloc((size_t)schema->n_children, sizeof *out->children, (void **)&out->children, err));
    for (int64_t i = 0; i < schema->n_children; i++) {
        out->child_count++;
        IST_TRY(build_node(schema->children[i], depth + 1, &out->children[i], err));
    }
    if (schema->dictionary) {
        IST_TRY(ist__alloc(1, sizeof *out->dictionary, (void **)&out->dictionary, err));
        IST_TRY(build_node(schema->dictionary, depth + 1, out->dictionary, err));
    }
    return IST_OK;
}

ist_status ist_renderer_new(const struct ArrowSchema *schema, ist_renderer **out, ist_error *err)
{
    ist_status status;
    struct ArrowError reason = {""};
    ist_renderer *renderer = NULL;
    IST_TRY(ist__alloc(1, sizeof *renderer, (void **)&renderer, err));
    ArrowArrayViewInitFromType(&renderer->view, NANOARROW_TYPE_UNINITIALIZED);
    if (ArrowSchemaDeepCopy(schema, &renderer->schema) != NANOARROW_OK) {
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to copy a schema");
        goto done;
    }
    IST_TRY_GOTO(build_node(&renderer->schema, 0, &renderer->root, err));
    if (renderer->root.type.type != NANOARROW_TYPE_STRUCT)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "rows must come as a struct, not as Arrow '%s'",
                               schema->format);
    else if (ArrowArrayViewInitFromSchema(&renderer->view, &renderer->schema, &reason) != NANOARROW_OK)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s", reason.message);
done:
    if (status == IST_OK)
        *out = renderer;
    else
        ist_renderer_free(renderer);
    return status;
}

void ist_renderer_free(ist_renderer *renderer)
{
    if (!renderer)
        return;
    ArrowArrayViewReset(&renderer->view);
    free_node(&renderer->root);
    if (renderer->schema.release)
        renderer->schema.release(&renderer->schema);
    free(renderer);
}

size_t ist_renderer_column_count(const ist_renderer *renderer)
{
    return renderer->root.child_count;
}

const char *ist_renderer_column_name(const ist_renderer *renderer, size_t column)
{
    return renderer->root.children[column].name;
}

static bool is_number(enum ArrowType type)
{
    switch (type) {
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
        return true;
    default:
        return false;
    }
}

bool ist_renderer_column_is_number(const ist_renderer *renderer, size_t column)
{
    return is_number(renderer->root.children[column].type.type);
}

ist_status ist_renderer_set_batch(ist_renderer *renderer, const struct ArrowArray *batch, ist_error *err)
{
    struct ArrowError reason = {""};
    if (ArrowArrayViewSetArray(&renderer->view, batch, &reason) != NANOARROW_OK ||
        ArrowArrayViewValidate(&renderer->view, NANOARROW_VALIDATION_LEVEL_FULL, &reason) != NANOARROW_OK)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a batch is not a valid Arrow array: %s", reason.message);
    return IST_OK;
}

/* ---- pieces of text -------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at text; 0 where there is none. */
static size_t utf8_size(const unsigned char *text, size_t size)
{
    static const struct {
        unsigned char mask, lead, low, high; /* bounds of the second byte: no overlong forms, no surrogates */
        size_t size;
    } forms[] = {
        {0x80, 0x00, 0x00, 0x00, 1},
        {0xE0, 0xC0, 0x80, 0xBF, 2},
        {0xF0, 0xE0, 0x80, 0xBF, 3},
        {0xF8, 0xF0, 0x80, 0xBF, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        if (forms[i].size == 1)
            return 1;
        unsigned char low = text[0] == 0xE0 ? 0xA0 : text[0] == 0xF0 ? 0x90 : forms[i].low;
        unsigned char high = text[0] == 0xED ? 0x9F : text[0] == 0xF4 ? 0x8F : forms[i].high;
        if (size < forms[i].size || text[0] < 0xC2 || text[0] > 0xF4 || text[1] < low || text[1] > high)
            return 0;
        for (size_t j = 2; j < forms[i].size; j++)
            if ((text[j] & 0xC0) != 0x80)
                return 0;
        return forms[i].size;
    }
    return 0;
}

static ist_status json_string(const char *text, size_t size, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_append(out, "\"", 1, err));
    for (size_t i = 0; i < size;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = utf8_size((const unsigned char *)text + i, size - i);
        if (n == 0)
            IST_TRY(ist_buffer_append_string(out, "\xEF\xBF\xBD", err)); /* U+FFFD */
        else if (c == '"' || c == '\\')
            IST_TRY(ist_buffer_printf(out, err, "\\%c", c));
        else if (c == '\n')
            IST_TRY(ist_buffer_append(out, "\\n", 2, err));
        else if (c < 0x20)
            IST_TRY(ist_buffer_printf(out, err, "\\u%04x", c));
        else
            IST_TRY(ist_buffer_append(out, text + i, n, err));
        i += n ? n : 1;
    }
    return ist_buffer_append(out, "\"", 1, err);
}

/* A value that is text by now, in the form asked for. */
static ist_status put_text(const char *text, size_t size, ist_render_form form, ist_buffer *out, ist_error *err)
{
    if (form == IST_RENDER_JSON)
        return json_string(text, size, out, err);
    bool quote = size == 0;
    for (size_t i = 0; i < size && !quote; i++)
        quote = text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r';
    if (form == IST_RENDER_TEXT || !quote)
        return ist_buffer_append(out, text, size, err);
    IST_TRY(ist_buffer_append(out, "\"", 1, err));
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            IST_TRY(ist_buffer_append(out, "\"", 1, err));
        IST_TRY(ist_buffer_append(out, text + i, 1, err));
    }
    return ist_buffer_append(out, "\"", 1, err);
}

static ist_status put_hex(const uint8_t *data, int64_t size, ist_render_form form, ist_buffer *out, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist_buffer_append(&text, "", 0, err);
    for (int64_t i = 0; status == IST_OK && i < size; i++) {
        char digits[2] = {"0123456789abcdef"[data[i] >> 4], "0123456789abcdef"[data[i] & 15]};
        status = ist_buffer_append(&text, digits, 2, err);
    }
    if (status == IST_OK)
        status = put_text(text.data, text.size, form, out, err);
    ist_buffer_free(&text);
    return status;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    return a % b < 0 ? a % b + b : a % b;
}

/* Days since 1970-01-01 as "2026-11-23" (proleptic Gregorian; Howard Hinnant's civil_from_days). Years outside 0..9999
 * get a sign and at least four digits. */
static int format_date(int64_t days, char out[32])
{
    int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int day = (int)(doy - (153 * mp + 2) / 5 + 1), month = (int)(mp < 10 ? mp + 3 : mp - 9);
    long long year = (long long)(yoe + era * 400 + (month <= 2));
    return snprintf(out, 32, year >= 0 && year <= 9999 ? "%04lld-%02d-%02d" : "%+05lld-%02d-%02d", year, month, day);
}

static int64_t units_per_second(enum ArrowTimeUnit unit)
{
    return unit == NANOARROW_TIME_UNIT_SECOND  ? 1
           : unit == NANOARROW_TIME_UNIT_MILLI ? 1000
           : unit == NANOARROW_TIME_UNIT_MICRO ? 1000000
                                               : 1000000000;
}

/* "09:00:00", "09:00:00.123456": digits of the fraction by its unit, none when it is zero. */
static int format_clock(int64_t seconds, int64_t fraction, enum ArrowTimeUnit unit, char out[32])
{
    int n = snprintf(out, 32, "%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
    int digits = unit == NANOARROW_TIME_UNIT_MILLI ? 3 : unit == NANOARROW_TIME_UNIT_MICRO ? 6 : 9;
    return fraction ? n + snprintf(out + n, 32 - (size_t)n, ".%0*lld", digits, (long long)fraction) : n;
}

static ist_status put_timestamp(const struct ArrowSchemaView *type, int64_t value, ist_render_form form,
                                ist_buffer *out, ist_error *err)
{
    int64_t per_second = units_per_second(type->time_unit), seconds = floor_div(value, per_second);
    int64_t days = floor_div(seconds, 86400);
    char text[96];
    int n = format_date(days, text);
    text[n++] = 'T';
    n += format_clock(floor_mod(seconds, 86400), floor_mod(value, per_second), type->time_unit, text + n);
    if (type->timezone && *type->timezone)
        text[n++] = 'Z';
    return put_text(text, (size_t)n, form, out, err);
}

static ist_status put_duration(const struct ArrowSchemaView *type, int64_t value, ist_render_form form, ist_buffer *out,
                               ist_error *err)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    char text[32];
    int n = snprintf(text, sizeof text, "%lld %s", (long long)value, units[type->time_unit]);
    return put_text(text, (size_t)n, form, out, err);
}

static ist_status put_double(double value, bool single, ist_render_form form, ist_buffer *out, ist_error *err)
{
    char text[IST__DOUBLE_TEXT_SIZE];
    size_t size = ist__double_text(value, single, text);
    bool name = text[size - 1] > '9'; /* NaN, Infinity: not numbers in JSON */
    return name ? put_text(text, size, form, out, err) : ist_buffer_append(out, text, size, err);
}

static ist_status put_decimal(const node *n, const struct ArrowArrayView *view, int64_t row, ist_buffer *out,
                              ist_error *err)
{
    struct ArrowDecimal decimal;
    struct ArrowBuffer text;
    ArrowDecimalInit(&decimal, n->type.decimal_bitwidth, n->type.decimal_precision, n->type.decimal_scale);
    ArrowArrayViewGetDecimalUnsafe(view, row, &decimal);
    ArrowBufferInit(&text);
    ist_status status = ArrowDecimalAppendStringToBuffer(&decimal, &text) == NANOARROW_OK
                            ? ist_buffer_append(out, text.data, (size_t)text.size_bytes, err)
                            : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    ArrowBufferReset(&text);
    return status;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static ist_status put_value(const node *n, const struct ArrowArrayView *view, int64_t row, ist_render_form form,
                            ist_buffer *out, ist_error *err);

static ist_status put_json(const node *n, const struct ArrowArrayView *view, int64_t row, ist_buffer *out,
                           ist_error *err)
{
    if (ArrowArrayViewIsNull(view, row))
        return ist_buffer_append(out, "null", 4, err);
    return put_value(n, view, row, IST_RENDER_JSON, out, err);
}

static ist_status put_struct(const node *n, const struct ArrowArrayView *view, int64_t row, ist_buffer *out,
                             ist_error *err)
{
    for (size_t i = 0; i < n->child_count; i++) {
        IST_TRY(ist_buffer_append(out, i ? "," : "{", 1, err));
        IST_TRY(json_string(n->children[i].name, strlen(n->children[i].name), out, err));
        IST_TRY(ist_buffer_append(out, ":", 1, err));
        IST_TRY(put_json(&n->children[i], view->children[i], row + view->offset, out, err));
    }
    return ist_buffer_append_string(out, n->child_count ? "}" : "{}", err);
}

/* Where the elements of list `row` begin and end in the child. */
static void list_range(const node *n, const struct ArrowArrayView *view, int64_t row, int64_t *start, int64_t *end)
{
    row += view->offset;
    if (n->type.storage_type == NANOARROW_TYPE_FIXED_SIZE_LIST) {
        *start = row * n->type.fixed_size;
        *end = *start + n->type.fixed_size;
    } else {
        *start = ArrowArrayViewListChildOffset(view, row);
        *end = ArrowArrayViewListChildOffset(view, row + 1);
    }
}

static ist_status put_list(const node *n, const struct ArrowArrayView *view, int64_t row, ist_buffer *out,
                           ist_error *err)
{
    int64_t start, end;
    list_range(n, view, row, &start, &end);
    IST_TRY(ist_buffer_append(out, "[", 1, err));
    for (int64_t i = start; i < end; i++) {
        if (i > start)
            IST_TRY(ist_buffer_append(out, ",", 1, err));
        IST_TRY(put_json(&n->children[0], view->children[0], i, out, err));
    }
    return ist_buffer_append(out, "]", 1, err);
}

static ist_status put_map(const node *n, const struct ArrowArrayView *view, int64_t row, ist_buffer *out,
                          ist_error *err)
{
    int64_t start, end;
    const node *entry = &n->children[0];
    const struct ArrowArrayView *entries = view->children[0];
    ist_buffer key = IST_BUFFER_INIT;
    ist_status status = ist_buffer_append(out, "{", 1, err);
    list_range(n, view, row, &start, &end);
    for (int64_t i = start; status == IST_OK && i < end; i++) {
        int64_t at = i + entries->offset;
        ist_buffer_clear(&key);
        if (i > start)
            IST_TRY_GOTO(ist_buffer_append(out, ",", 1, err));
        IST_TRY_GOTO(ist_buffer_append(&key, "", 0, err));
        IST_TRY_GOTO(put_value(&entry->children[0], entries->children[0], at, IST_RENDER_TEXT, &key, err));
        IST_TRY_GOTO(json_string(key.data, key.size, out, err));
        IST_TRY_GOTO(ist_buffer_append(out, ":", 1, err));
        IST_TRY_GOTO(put_json(&entry->children[1], entries->children[1], at, out, err));
    }
    if (status == IST_OK)
        status = ist_buffer_append(out, "}", 1, err);
done:
    ist_buffer_free(&key);
    return status;
}

/* Nested values are JSON, which CSV quotes like any other text. */
static ist_status put_nested(const node *n, const struct ArrowArrayView *view, int64_t row, ist_render_form form,
                             ist_buffer *out, ist_error *err)
{
    ist_status (*put)(const node *, const struct ArrowArrayView *, int64_t, ist_buffer *, ist_error *) =
        n->type.type == NANOARROW_TYPE_STRUCT ? put_struct
        : n->type.type == NANOARROW_TYPE_MAP  ? put_map
                                              : put_list;
    if (form != IST_RENDER_CSV)
        return put(n, view, row, out, err);
    ist_buffer json = IST_BUFFER_INIT;
    ist_status status = put(n, view, row, &json, err);
    if (status == IST_OK)
        status = put_text(json.data, json.size, form, out, err);
    ist_buffer_free(&json);
    return status;
}

/* One value that is not null. */
static ist_status put_value(const node *n, const struct ArrowArrayView *view, int64_t row, ist_render_form form,
                            ist_buffer *out, ist_error *err)
{
    char text[64];
    int size;
    switch (n->type.type) {
    case NANOARROW_TYPE_BOOL:
        return ist_buffer_append_string(out, ArrowArrayViewGetIntUnsafe(view, row) ? "true" : "false", err);
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
        return ist_buffer_printf(out, err, "%lld", (long long)ArrowArrayViewGetIntUnsafe(view, row));
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_UINT64:
        return ist_buffer_printf(out, err, "%llu", (unsigned long long)ArrowArrayViewGetUIntUnsafe(view, row));
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
        return put_double(ArrowArrayViewGetDoubleUnsafe(view, row), n->type.type != NANOARROW_TYPE_DOUBLE, form, out,
                          err);
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256:
        return put_decimal(n, view, row, out, err);
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW: {
        struct ArrowStringView string = ArrowArrayViewGetStringUnsafe(view, row);
        return put_text(string.data, (size_t)string.size_bytes, form, out, err);
    }
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY: {
        struct ArrowBufferView bytes = ArrowArrayViewGetBytesUnsafe(view, row);
        return put_hex(bytes.data.as_uint8, bytes.size_bytes, form, out, err);
    }
    case NANOARROW_TYPE_DATE32:
        size = format_date(ArrowArrayViewGetIntUnsafe(view, row), text);
        return put_text(text, (size_t)size, form, out, err);
    case NANOARROW_TYPE_DATE64:
        size = format_date(floor_div(ArrowArrayViewGetIntUnsafe(view, row), 86400000), text);
        return put_text(text, (size_t)size, form, out, err);
    case NANOARROW_TYPE_TIME32:
    case NANOARROW_TYPE_TIME64: {
        int64_t value = ArrowArrayViewGetIntUnsafe(view, row), per_second = units_per_second(n->type.time_unit);
        size = format_clock(floor_div(value, per_second), floor_mod(value, per_second), n->type.time_unit, text);
        return put_text(text, (size_t)size, form, out, err);
    }
    case NANOARROW_TYPE_TIMESTAMP:
        return put_timestamp(&n->type, ArrowArrayViewGetIntUnsafe(view, row), form, out, err);
    case NANOARROW_TYPE_DURATION:
        return put_duration(&n->type, ArrowArrayViewGetIntUnsafe(view, row), form, out, err);
    case NANOARROW_TYPE_STRUCT:
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_LARGE_LIST:
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
    case NANOARROW_TYPE_MAP:
        return put_nested(n, view, row, form, out, err);
    case NANOARROW_TYPE_DICTIONARY: {
        int64_t index = ArrowArrayViewGetIntUnsafe(view, row);
        if (index < 0 || index >= view->dictionary->length)
            return ist_error_set(err, IST_BAD_INPUT, 0, n->name, "column '%s': dictionary index %lld of %lld", n->name,
                                 (long long)index, (long long)view->dictionary->length);
        if (ArrowArrayViewIsNull(view->dictionary, index))
            return form == IST_RENDER_JSON ? ist_buffer_append(out, "null", 4, err) : IST_OK;
        return put_value(n->dictionary, view->dictionary, index, form, out, err);
    }
    default: /* NA is always null; build_node refused the rest */
        return IST_OK;
    }
}

ist_status ist_renderer_cell(const ist_renderer *renderer, size_t column, int64_t row, ist_render_form form,
                             ist_buffer *out, bool *is_null, ist_error *err)
{
    const struct ArrowArrayView *view = renderer->view.children[column];
    int64_t at = row + renderer->view.offset;
    bool null = ArrowArrayViewIsNull(view, at);
    if (is_null)
        *is_null = null;
    if (null)
        return form == IST_RENDER_JSON ? ist_buffer_append(out, "null", 4, err) : ist_buffer_append(out, "", 0, err);
    return put_value(&renderer->root.children[column], view, at, form, out, err);
}

ist_status ist_renderer_row(const ist_renderer *renderer, int64_t row, ist_render_form form, ist_buffer *out,
                            ist_error *err)
{
    if (form == IST_RENDER_JSON)
        return put_struct(&renderer->root, &renderer->view, row, out, err);
    for (size_t i = 0; i < renderer->root.child_count; i++) {
        if (i > 0)
            IST_TRY(ist_buffer_append(out, form == IST_RENDER_CSV ? "," : "\t", 1, err));
        IST_TRY(ist_renderer_cell(renderer, i, row, form, out, NULL, err));
    }
    return IST_OK;
}

ist_status ist_renderer_csv_header(const ist_renderer *renderer, ist_buffer *out, ist_error *err)
{
    for (size_t i = 0; i < renderer->root.child_count; i++) {
        const char *name = renderer->root.children[i].name;
        if (i > 0)
            IST_TRY(ist_buffer_append(out, ",", 1, err));
        IST_TRY(put_text(name, strlen(name), IST_RENDER_CSV, out, err));
    }
    return IST_OK;
}
