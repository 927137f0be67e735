/*
 * stats_value.c: Arrow values as the JSON of file statistics (PROTOCOL.md, "Per-file Statistics").
 */
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <math.h>
#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>

enum { STATS_DEPTH_MAX = 100 };

/* Days since 1970-01-01 -> a date of the proleptic Gregorian calendar, by the eras of 400 years. */
static void civil_date(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153; /* months from March */
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static ist_status append_date(int64_t days, ist_buffer *out, ist_error *err)
{
    int64_t year;
    int month, day;
    civil_date(days, &year, &month, &day);
    return ist_buffer_printf(out, err, "%04" PRId64 "-%02d-%02d", year, month, day);
}

/* Milliseconds where they say it all, else microseconds. */
static ist_status append_timestamp(int64_t us, bool utc, ist_buffer *out, ist_error *err)
{
    int64_t day_us = INT64_C(86400000000), days = floor_div(us, day_us), rest = us - days * day_us;
    int64_t second = rest / 1000000, fraction = rest % 1000000;
    IST_TRY(ist_buffer_append(out, "\"", 1, err));
    IST_TRY(append_date(days, out, err));
    IST_TRY(ist_buffer_printf(out, err, "T%02d:%02d:%02d", (int)(second / 3600), (int)(second / 60 % 60),
                              (int)(second % 60)));
    if (fraction % 1000 == 0)
        IST_TRY(ist_buffer_printf(out, err, ".%03d", (int)(fraction / 1000)));
    else
        IST_TRY(ist_buffer_printf(out, err, ".%06d", (int)fraction));
    return ist_buffer_append_string(out, utc ? "Z\"" : "\"", err);
}

/* The shortest form that reads back as the same number. */
static ist_status append_double(double value, bool single, ist_buffer *out, ist_error *err)
{
    char text[40];
    int precision = single ? 6 : 15, most = single ? 9 : 17;
    do {
        snprintf(text, sizeof text, "%.*g", precision, value);
    } while ((single ? (double)strtof(text, NULL) : strtod(text, NULL)) != value && precision++ < most);
    return ist_buffer_append_string(out, text, err);
}

static ist_status append_decimal(const struct ArrowSchemaView *type, const struct ArrowArrayView *view, int64_t row,
                                 ist_buffer *out, ist_error *err)
{
    struct ArrowDecimal decimal;
    struct ArrowBuffer digits;
    ArrowDecimalInit(&decimal, type->decimal_bitwidth, type->decimal_precision, type->decimal_scale);
    ArrowArrayViewGetDecimalUnsafe(view, row, &decimal);
    ArrowBufferInit(&digits);
    ist_status status;
    if (ArrowDecimalAppendStringToBuffer(&decimal, &digits) == NANOARROW_OK)
        status = ist_buffer_append(out, digits.data, (size_t)digits.size_bytes, err);
    else
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a decimal");
    ArrowBufferReset(&digits);
    return status;
}

static ist_status append_value(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                               int depth, ist_buffer *out, bool *written, ist_error *err);

/* {"a": 1, "s": {"b": 2}}: members without a value are left out. */
static ist_status append_struct(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                                int depth, ist_buffer *out, ist_error *err)
{
    bool any = false;
    if (depth > STATS_DEPTH_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "statistics are nested more than %d deep", STATS_DEPTH_MAX);
    IST_TRY(ist_buffer_append(out, "{", 1, err));
    for (int64_t i = 0; i < schema->n_children; i++) {
        size_t before = out->size;
        bool written;
        if (any)
            IST_TRY(ist_buffer_append(out, ",", 1, err));
        IST_TRY(ist__json_append_string(out, schema->children[i]->name, err));
        IST_TRY(ist_buffer_append(out, ":", 1, err));
        IST_TRY(append_value(schema->children[i], view->children[i], view->offset + row, depth + 1, out, &written,
                             err));
        if (written) {
            any = true;
        } else {
            out->size = before;
            out->data[before] = '\0';
        }
    }
    return ist_buffer_append(out, "}", 1, err);
}

static ist_status append_value(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                               int depth, ist_buffer *out, bool *written, ist_error *err)
{
    struct ArrowSchemaView type;
    *written = false;
    if (ArrowSchemaViewInit(&type, schema, NULL) != NANOARROW_OK)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "statistics of column '%s' have a broken type",
                             schema->name ? schema->name : "");
    if (ArrowArrayViewIsNull(view, row))
        return IST_OK;
    *written = true;
    double number;
    int64_t value;
    struct ArrowStringView text;
    switch (type.type) {
    case NANOARROW_TYPE_STRUCT:
        return append_struct(schema, view, row, depth, out, err);
    case NANOARROW_TYPE_BOOL:
        return ist_buffer_append_string(out, ArrowArrayViewGetIntUnsafe(view, row) ? "true" : "false", err);
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
        return ist_buffer_printf(out, err, "%" PRId64, ArrowArrayViewGetIntUnsafe(view, row));
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
        number = ArrowArrayViewGetDoubleUnsafe(view, row);
        if (!isfinite(number))
            break;
        return append_double(number, type.type == NANOARROW_TYPE_FLOAT, out, err);
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
        return append_decimal(&type, view, row, out, err);
    case NANOARROW_TYPE_DATE32:
        IST_TRY(ist_buffer_append(out, "\"", 1, err));
        IST_TRY(append_date(ArrowArrayViewGetIntUnsafe(view, row), out, err));
        return ist_buffer_append(out, "\"", 1, err);
    case NANOARROW_TYPE_TIMESTAMP:
        value = ArrowArrayViewGetIntUnsafe(view, row);
        if (type.time_unit == NANOARROW_TIME_UNIT_NANO)
            value = floor_div(value, 1000);
        else if (type.time_unit == NANOARROW_TIME_UNIT_MILLI && value < INT64_MAX / 1000 && value > INT64_MIN / 1000)
            value *= 1000;
        else if (type.time_unit != NANOARROW_TIME_UNIT_MICRO)
            break;
        return append_timestamp(value, type.timezone && *type.timezone, out, err);
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW:
        text = ArrowArrayViewGetStringUnsafe(view, row);
        return ist__json_append_text(out, text.data, (size_t)text.size_bytes, err);
    default:
        break;
    }
    *written = false; /* no form in JSON: not a number, binary, lists */
    return IST_OK;
}

ist_status ist__stats_append_value(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                                   ist_buffer *out, bool *written, ist_error *err)
{
    return append_value(schema, view, row, 0, out, written, err);
}
