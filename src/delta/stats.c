/*
 * stats.c: what a finished Parquet file tells of its columns, as the statistics of its add action.
 *
 * Follows PROTOCOL.md, "Per-file Statistics", and what Spark does where that is silent:
 * - Columns: delta.dataSkippingStatsColumns names them, else the first delta.dataSkippingNumIndexedCols leaves (32) in
 *   the order of the schema, partition columns not counted; a list or map counts as one leaf.
 * - Minimum and maximum: numbers, strings, dates, timestamps. Booleans, binary, lists and maps have only a null count.
 * - Strings are cut at 32 characters; a cut maximum gets a character put behind it that keeps it an upper bound.
 * - Timestamps are cut to milliseconds, the maximum upwards.
 * - A bound that JSON cannot say (NaN, infinity, a year outside 1 to 9999, text that is not UTF-8) is left out: no bound
 *   never skips a file wrongly.
 */
#include "delta/writer_internal.h"

#include <math.h>
#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STRING_PREFIX = 32, STRING_PREFIX_MAX = 2 * STRING_PREFIX, INDEXED_COLUMNS = 32 };
/* 0001-01-01 and 9999-12-31 in days, and the moment after in microseconds. */
enum { FIRST_DAY = -719162, LAST_DAY = 2932896 };
#define DAY_US INT64_C(86400000000)

static bool is_struct(const struct ArrowSchema *field)
{
    return strcmp(field->format, "+s") == 0;
}

static bool is_nested(const struct ArrowSchema *field)
{
    return field->format[0] == '+';
}

/* ---- which columns ------------------------------------------------------------------------------------------ */

/* Does a list of paths ("a, b.c, `odd.name`.d") name the column or a struct around it? Case does not count. */
static bool list_names(const char *list, const char *const *names, size_t depth)
{
    const char *p = list;
    while (*p) {
        size_t level = 0;
        bool match = true;
        for (;;) {
            while (*p == ' ')
                p++;
            bool quoted = *p == '`';
            const char *start = quoted ? ++p : p;
            while (*p && (quoted ? *p != '`' : *p != '.' && *p != ','))
                p++;
            size_t size = (size_t)(p - start);
            while (!quoted && size && start[size - 1] == ' ')
                size--;
            match = match && level < depth && strlen(names[level]) == size &&
                    strncasecmp(names[level], start, size) == 0;
            level++;
            if (quoted && *p)
                p++;
            while (*p == ' ')
                p++;
            if (*p != '.')
                break;
            p++;
        }
        if (match)
            return true;
        while (*p && *p != ',')
            p++;
        if (*p)
            p++;
    }
    return false;
}

enum { PATH_MAX_DEPTH = 128 };

typedef struct choice {
    const char *list; /* NULL: by number */
    int64_t left;     /* negative: all */
    const char *names[PATH_MAX_DEPTH];
    bool *indexed;
    size_t count;
} choice;

static void choose(choice *c, const struct ArrowSchema *field, size_t depth)
{
    if (depth >= PATH_MAX_DEPTH)
        return;
    c->names[depth] = field->name;
    if (is_struct(field)) {
        for (int64_t i = 0; i < field->n_children; i++)
            choose(c, field->children[i], depth + 1);
        return;
    }
    bool take = c->list ? list_names(c->list, c->names, depth + 1) : c->left != 0;
    if (c->left > 0)
        c->left--;
    c->indexed[c->count++] = take;
}

static size_t count_columns(const struct ArrowSchema *field)
{
    size_t count = 0;
    if (!is_struct(field))
        return 1;
    for (int64_t i = 0; i < field->n_children; i++)
        count += count_columns(field->children[i]);
    return count;
}

ist_status ist__stats_plan(const struct ArrowSchema *logical, ist__pairs configuration, bool **indexed, size_t *count,
                           ist_error *err)
{
    choice c = {.list = ist__pairs_get(configuration, "delta.dataSkippingStatsColumns")};
    c.left = ist__property_number(configuration, "delta.dataSkippingNumIndexedCols", -1, INDEXED_COLUMNS);
    IST_TRY(ist__alloc(count_columns(logical), sizeof **indexed, (void **)indexed, err));
    c.indexed = *indexed;
    for (int64_t i = 0; i < logical->n_children; i++)
        choose(&c, logical->children[i], 0);
    *count = c.count;
    return IST_OK;
}

/* ---- nulls of lists and maps: Parquet counts those of their elements only ------------------------------------ */

enum { VALIDITY_DEPTH = PATH_MAX_DEPTH };

typedef struct validity {
    const uint8_t *bits[VALIDITY_DEPTH];
    int64_t offset[VALIDITY_DEPTH];
    size_t depth;
} validity;

static int64_t count_nulls(const validity *v, int64_t length)
{
    int64_t nulls = 0;
    if (v->depth == 0)
        return 0;
    for (int64_t row = 0; row < length; row++) {
        bool valid = true;
        for (size_t d = 0; d < v->depth && valid; d++)
            valid = ArrowBitGet(v->bits[d], v->offset[d] + row);
        nulls += !valid;
    }
    return nulls;
}

/* offset: of the row within the array beyond the array's own (what the structs around it are shifted by). */
static void count_below(const struct ArrowSchema *field, const struct ArrowArray *array, int64_t offset, int64_t length,
                        validity v, int64_t **nulls)
{
    if (array->n_buffers > 0 && array->buffers[0] && array->null_count != 0 && v.depth < VALIDITY_DEPTH) {
        v.bits[v.depth] = array->buffers[0];
        v.offset[v.depth++] = array->offset + offset;
    }
    if (is_struct(field)) {
        for (int64_t i = 0; i < field->n_children; i++)
            count_below(field->children[i], array->children[i], array->offset + offset, length, v, nulls);
        return;
    }
    if (is_nested(field))
        **nulls += count_nulls(&v, length);
    (*nulls)++;
}

void ist__stats_count_nulls(const struct ArrowSchema *schema, const struct ArrowArray *batch, int64_t *nulls)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        count_below(schema->children[i], batch->children[i], batch->offset, batch->length, (validity){.depth = 0},
                    &nulls);
}

/* ---- bounds ------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at p; 0 when it is none. */
static size_t character(const unsigned char *p, size_t size)
{
    size_t n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : *p >= 0xE0 && *p < 0xF0 ? 3 : *p >= 0xF0 && *p < 0xF5 ? 4 : 0;
    if (n == 0 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((n == 3 && *p == 0xE0 && p[1] < 0xA0) || (n == 3 && *p == 0xED && p[1] > 0x9F) ||
        (n == 4 && *p == 0xF0 && p[1] < 0x90) || (n == 4 && *p == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

/* Bytes of the first `count` characters. */
static size_t prefix_size(const char *text, size_t size, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count && at < size; i++)
        at += character((const unsigned char *)text + at, size - at);
    return at;
}

static bool is_utf8(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = character((const unsigned char *)text + at, size - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

/*
 * A maximum that is too long: the prefix and a character that is larger than the one cut off there. DEL does, when an
 * ASCII character was cut off; the largest character of Unicode does, unless it itself was cut off: then the prefix
 * grows past it.
 */
static ist_status append_cut_maximum(const char *text, size_t size, ist_buffer *out, bool *written, ist_error *err)
{
    static const char largest[] = "\xF4\x8F\xBF\xBF";
    size_t keep = prefix_size(text, size, STRING_PREFIX), count = STRING_PREFIX;
    while (keep < size && size - keep >= 4 && memcmp(text + keep, largest, 4) == 0 && count++ < STRING_PREFIX_MAX)
        keep += 4;
    *written = count <= STRING_PREFIX_MAX;
    if (!*written)
        return IST_OK;
    ist_buffer cut = IST_BUFFER_INIT;
    ist_status status = ist_buffer_append(&cut, text, keep, err);
    if (status == IST_OK && keep < size)
        status = ist_buffer_append_string(&cut, (unsigned char)text[keep] < 0x7F ? "\x7F" : largest, err);
    if (status == IST_OK)
        status = ist__json_append_text(out, cut.data, cut.size, err);
    ist_buffer_free(&cut);
    return status;
}

static ist_status append_string(struct ArrowStringView text, bool maximum, ist_buffer *out, bool *written,
                                ist_error *err)
{
    size_t size = (size_t)text.size_bytes;
    *written = is_utf8(text.data, size);
    if (!*written)
        return IST_OK;
    size_t keep = prefix_size(text.data, size, STRING_PREFIX);
    if (keep < size && maximum)
        return append_cut_maximum(text.data, size, out, written, err);
    return ist__json_append_text(out, text.data, keep, err);
}

/* A timestamp in microseconds, cut to milliseconds on the safe side. */
static ist_status append_timestamp(const struct ArrowSchema *type, int64_t us, bool maximum, ist_buffer *out,
                                   bool *written, ist_error *err)
{
    int64_t rest = us % 1000;
    *written = us >= FIRST_DAY * DAY_US && us < LAST_DAY * DAY_US;
    if (!*written)
        return IST_OK;
    us -= rest < 0 ? rest + 1000 : rest;
    us += maximum && rest != 0 ? 1000 : 0;
    struct ArrowArray array = {.release = NULL};
    struct ArrowArrayView view;
    ist_status status = IST_NO_MEMORY;
    ArrowArrayViewInitFromType(&view, NANOARROW_TYPE_UNINITIALIZED);
    if (ArrowArrayInitFromSchema(&array, type, NULL) == NANOARROW_OK &&
        ArrowArrayStartAppending(&array) == NANOARROW_OK && ArrowArrayAppendInt(&array, us) == NANOARROW_OK &&
        ArrowArrayFinishBuildingDefault(&array, NULL) == NANOARROW_OK &&
        ArrowArrayViewInitFromSchema(&view, type, NULL) == NANOARROW_OK &&
        ArrowArrayViewSetArray(&view, &array, NULL) == NANOARROW_OK)
        status = ist__stats_append_value(type, &view, 0, out, written, err);
    else
        ist_error_set(err, status, 0, NULL, "no memory for statistics");
    ArrowArrayViewReset(&view);
    if (array.release)
        array.release(&array);
    return status;
}

static ist_status append_bound(const ist__parquet_leaf *leaf, bool maximum, ist_buffer *out, bool *written,
                               ist_error *err)
{
    const struct ArrowArray *array = maximum ? &leaf->max : &leaf->min;
    struct ArrowSchemaView type;
    struct ArrowArrayView view;
    ist_status status = IST_OK;
    *written = false;
    if (!leaf->has_min_max || leaf->repeated || ArrowSchemaViewInit(&type, &leaf->schema, NULL) != NANOARROW_OK)
        return IST_OK;
    if (ArrowArrayViewInitFromSchema(&view, &leaf->schema, NULL) != NANOARROW_OK ||
        ArrowArrayViewSetArray(&view, array, NULL) != NANOARROW_OK)
        status = ist_error_set(err, IST_INTERNAL, 0, leaf->path, "statistics of column %s are broken", leaf->path);
    else
        switch (type.type) {
        case NANOARROW_TYPE_STRING:
        case NANOARROW_TYPE_LARGE_STRING:
        case NANOARROW_TYPE_STRING_VIEW:
            status = append_string(ArrowArrayViewGetStringUnsafe(&view, 0), maximum, out, written, err);
            break;
        case NANOARROW_TYPE_TIMESTAMP:
            status = append_timestamp(&leaf->schema, ArrowArrayViewGetIntUnsafe(&view, 0), maximum, out, written, err);
            break;
        case NANOARROW_TYPE_DATE32: {
            int64_t day = ArrowArrayViewGetIntUnsafe(&view, 0);
            if (day >= FIRST_DAY && day <= LAST_DAY)
                status = ist__stats_append_value(&leaf->schema, &view, 0, out, written, err);
            break;
        }
        case NANOARROW_TYPE_BOOL:
        case NANOARROW_TYPE_BINARY:
        case NANOARROW_TYPE_LARGE_BINARY:
            break;
        default:
            status = ist__stats_append_value(&leaf->schema, &view, 0, out, written, err);
        }
    ArrowArrayViewReset(&view);
    return status;
}

/* ---- the JSON ----------------------------------------------------------------------------------------------- */

enum member { MIN_VALUES, MAX_VALUES, NULL_COUNT };

typedef struct walk {
    const ist__file_stats *stats;
    enum member member;
    size_t column; /* the next one */
    size_t leaf;   /* its first leaf in the file */
    ist_buffer *out;
} walk;

static size_t count_leaves(const struct ArrowSchema *field)
{
    size_t count = 0;
    for (int64_t i = 0; i < field->n_children; i++)
        count += count_leaves(field->children[i]);
    return field->n_children ? count : 1;
}

static ist_status append_column(walk *w, const struct ArrowSchema *field, bool *written, ist_error *err)
{
    const ist__file_stats *s = w->stats;
    size_t column = w->column++, leaf = w->leaf;
    w->leaf += count_leaves(field);
    *written = false;
    if (!s->indexed[column])
        return IST_OK;
    if (w->leaf > s->leaf_count)
        return ist_error_set(err, IST_INTERNAL, 0, field->name, "the Parquet file has fewer columns than the table");
    if (w->member != NULL_COUNT)
        return is_nested(field) ? IST_OK : append_bound(&s->leaves[leaf], w->member == MAX_VALUES, w->out, written, err);
    int64_t nulls = is_nested(field) ? s->list_nulls[column] : s->leaves[leaf].null_count;
    *written = nulls >= 0;
    return *written ? ist_buffer_printf(w->out, err, "%lld", (long long)nulls) : IST_OK;
}

/* The fields of a struct as one object; an object without members is taken back. */
static ist_status append_fields(walk *w, const struct ArrowSchema *schema, bool *written, ist_error *err)
{
    size_t start = w->out->size;
    *written = false;
    IST_TRY(ist_buffer_append(w->out, "{", 1, err));
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *field = schema->children[i];
        size_t before = w->out->size;
        bool any = false;
        IST_TRY(ist_buffer_append_string(w->out, *written ? "," : "", err));
        IST_TRY(ist__json_append_string(w->out, field->name, err));
        IST_TRY(ist_buffer_append(w->out, ":", 1, err));
        IST_TRY(is_struct(field) ? append_fields(w, field, &any, err) : append_column(w, field, &any, err));
        *written = *written || any;
        if (!any)
            w->out->data[w->out->size = before] = '\0';
    }
    if (!*written)
        w->out->data[w->out->size = start] = '\0';
    return *written ? ist_buffer_append(w->out, "}", 1, err) : IST_OK;
}

ist_status ist__stats_format(const struct ArrowSchema *schema, const ist__file_stats *stats, ist_buffer *out,
                             ist_error *err)
{
    static const char *const names[] = {"minValues", "maxValues", "nullCount"};
    IST_TRY(ist_buffer_printf(out, err, "{\"numRecords\":%lld", (long long)stats->rows));
    for (enum member m = MIN_VALUES; m <= NULL_COUNT; m++) {
        walk w = {.stats = stats, .member = m, .out = out};
        size_t before = out->size;
        bool written = false;
        IST_TRY(ist_buffer_printf(out, err, ",\"%s\":", names[m]));
        IST_TRY(append_fields(&w, schema, &written, err));
        if (!written)
            out->data[out->size = before] = '\0';
    }
    return ist_buffer_append_string(out, ",\"tightBounds\":true}", err);
}
