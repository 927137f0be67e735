/* test_render.c: Arrow values as text, JSON and CSV. Files of real tables are compared in python/tests/test_cli.py. */
#include "isthmus/render.h"
#include "shim/text.h"
#include "testing.h"

#include <nanoarrow/nanoarrow.h>

#include <math.h>
#include <string.h>

/* A batch of one column; the caller fills it through append. */
typedef struct column {
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct ArrowArray *values;
} column;

static void start_batch(column *c)
{
    assert_int_equal(ArrowArrayInitFromSchema(&c->batch, &c->schema, NULL), NANOARROW_OK);
    assert_int_equal(ArrowArrayStartAppending(&c->batch), NANOARROW_OK);
    c->values = c->batch.children[0];
}

static void start(column *c, enum ArrowType type)
{
    ArrowSchemaInit(&c->schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(&c->schema, 1), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetType(c->schema.children[0], type), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetName(c->schema.children[0], "v"), NANOARROW_OK);
}

static void end_row(column *c)
{
    assert_int_equal(ArrowArrayFinishElement(&c->batch), NANOARROW_OK);
}

/* Render every row of the column in one form and compare; frees the column. */
static void expect(column *c, ist_render_form form, const char *const *expected)
{
    ist_error err = IST_ERROR_INIT;
    ist_renderer *renderer = NULL;
    ist_buffer out = IST_BUFFER_INIT;
    assert_int_equal(ArrowArrayFinishBuildingDefault(&c->batch, NULL), NANOARROW_OK);
    assert_ok(ist_renderer_new(&c->schema, &renderer, &err), err);
    assert_ok(ist_renderer_set_batch(renderer, &c->batch, &err), err);
    for (int64_t row = 0; row < c->batch.length; row++) {
        bool is_null;
        ist_buffer_clear(&out);
        assert_ok(ist_renderer_cell(renderer, 0, row, form, &out, &is_null, &err), err);
        assert_string_equal(out.data ? out.data : "", expected[row]);
    }
    ist_renderer_free(renderer);
    ist_buffer_free(&out);
    ArrowArrayRelease(&c->batch);
    ArrowSchemaRelease(&c->schema);
}

static void test_file_render__strings(void **state)
{
    (void)state;
    static const char *const texts[] = {"plain", "a\"b\\c\n\x01", "", "x,y", "\xff", "caf\xc3\xa9", "\xed\xa0\x80"};
    static const char *const forms[][7] = {
        {"plain", "a\"b\\c\n\x01", "", "x,y", "\xff", "caf\xc3\xa9", "\xed\xa0\x80"},
        {"\"plain\"", "\"a\\\"b\\\\c\\n\\u0001\"", "\"\"", "\"x,y\"", "\"\xEF\xBF\xBD\"", "\"caf\xc3\xa9\"",
         "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"plain", "\"a\"\"b\\c\n\x01\"", "\"\"", "\"x,y\"", "\xff", "caf\xc3\xa9", "\xed\xa0\x80"},
    };
    for (int form = IST_RENDER_TEXT; form <= IST_RENDER_CSV; form++) {
        column c;
        start(&c, NANOARROW_TYPE_STRING);
        start_batch(&c);
        for (size_t i = 0; i < 7; i++) {
            ArrowArrayAppendString(c.values, ArrowCharView(texts[i]));
            end_row(&c);
        }
        expect(&c, (ist_render_form)form, forms[form]);
    }
}

static void test_file_render__doubles(void **state)
{
    (void)state;
    static const double numbers[] = {1, 0.1, -0.0, 1e15, 1e16, 123456.789, 5e-324, 1e-5, 1e-6, 1.7976931348623157e308};
    static const char *const expected[] = {"1.0",        "0.1",    "-0.0",  "1000000000000000.0", "1e+16",
                                           "123456.789", "5e-324", "0.00001", "1e-06", "1.7976931348623157e+308"};
    column c;
    start(&c, NANOARROW_TYPE_DOUBLE);
    start_batch(&c);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ArrowArrayAppendDouble(c.values, numbers[i]);
        end_row(&c);
    }
    expect(&c, IST_RENDER_JSON, expected);

    start(&c, NANOARROW_TYPE_FLOAT);
    start_batch(&c);
    static const double singles[] = {(double)0.1f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
        ArrowArrayAppendDouble(c.values, singles[i]);
        end_row(&c);
    }
    expect(&c, IST_RENDER_JSON, (const char *const[]){"0.1", "\"NaN\"", "\"Infinity\"", "\"-Infinity\""});
}

static void test_file_render__every_double_reads_back(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value, back;
        char text[IST__DOUBLE_TEXT_SIZE + 1];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        text[ist__double_text(value, false, text)] = '\0';
        back = strtod(text, NULL);
        assert_memory_equal(&back, &value, sizeof value);
    }
}

static void test_file_render__integers_and_nulls(void **state)
{
    (void)state;
    column c;
    start(&c, NANOARROW_TYPE_INT64);
    start_batch(&c);
    ArrowArrayAppendInt(c.values, INT64_MIN);
    end_row(&c);
    ArrowArrayAppendNull(c.values, 1);
    end_row(&c);
    expect(&c, IST_RENDER_JSON, (const char *const[]){"-9223372036854775808", "null"});
    start(&c, NANOARROW_TYPE_UINT64);
    start_batch(&c);
    ArrowArrayAppendUInt(c.values, UINT64_MAX);
    end_row(&c);
    ArrowArrayAppendNull(c.values, 1);
    end_row(&c);
    expect(&c, IST_RENDER_CSV, (const char *const[]){"18446744073709551615", ""});
}

static void times(enum ArrowType type, enum ArrowTimeUnit unit, const char *zone, const int64_t *values, size_t count,
                  const char *const *expected)
{
    column c;
    ArrowSchemaInit(&c.schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(&c.schema, 1), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetTypeDateTime(c.schema.children[0], type, unit, zone), NANOARROW_OK);
    start_batch(&c);
    for (size_t i = 0; i < count; i++) {
        ArrowArrayAppendInt(c.values, values[i]);
        end_row(&c);
    }
    expect(&c, IST_RENDER_TEXT, expected);
}

static void test_file_render__times(void **state)
{
    (void)state;
    times(NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, "UTC",
          (int64_t[]){0, -1, 1700000000123456, 253402300800000000, -62135596800000000, -62198755200000000}, 6,
          (const char *const[]){"1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2023-11-14T22:13:20.123456Z",
                                "+10000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "-0001-01-01T00:00:00Z"});
    times(NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_NANO, NULL, (int64_t[]){1, INT64_MIN}, 2,
          (const char *const[]){"1970-01-01T00:00:00.000000001", "1677-09-21T00:12:43.145224192"});
    times(NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_SECOND, NULL, (int64_t[]){951782400}, 1,
          (const char *const[]){"2000-02-29T00:00:00"});
    times(NANOARROW_TYPE_TIME64, NANOARROW_TIME_UNIT_MICRO, NULL, (int64_t[]){86399000001}, 1,
          (const char *const[]){"23:59:59.000001"});
    column c;
    start(&c, NANOARROW_TYPE_DATE32);
    start_batch(&c);
    static const int32_t days[] = {0, -1, 19676, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 5; i++) {
        ArrowArrayAppendInt(c.values, days[i]);
        end_row(&c);
    }
    expect(&c, IST_RENDER_JSON,
           (const char *const[]){"\"1970-01-01\"", "\"1969-12-31\"", "\"2023-11-15\"", "\"+5881580-07-11\"",
                                 "\"-5877641-06-23\""});
}

static void test_file_render__decimals(void **state)
{
    (void)state;
    static const char *const digits[] = {"12345", "-5", "0", "99999999999999999999999999999999999999"};
    column c;
    ArrowSchemaInit(&c.schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(&c.schema, 1), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetTypeDecimal(c.schema.children[0], NANOARROW_TYPE_DECIMAL128, 38, 2), NANOARROW_OK);
    start_batch(&c);
    for (size_t i = 0; i < 4; i++) {
        struct ArrowDecimal decimal;
        ArrowDecimalInit(&decimal, 128, 38, 2);
        ArrowDecimalSetDigits(&decimal, ArrowCharView(digits[i]));
        ArrowArrayAppendDecimal(c.values, &decimal);
        end_row(&c);
    }
    expect(&c, IST_RENDER_JSON,
           (const char *const[]){"123.45", "-0.05", "0.00", "999999999999999999999999999999999999.99"});
}

/* {"v": list<struct<k: string>>} and map<int, string>, the batch itself with an offset. */
static void test_file_render__nested(void **state)
{
    (void)state;
    column c;
    start(&c, NANOARROW_TYPE_LIST);
    ArrowSchemaSetTypeStruct(c.schema.children[0]->children[0], 1);
    ArrowSchemaSetType(c.schema.children[0]->children[0]->children[0], NANOARROW_TYPE_STRING);
    ArrowSchemaSetName(c.schema.children[0]->children[0]->children[0], "k");
    start_batch(&c);
    struct ArrowArray *item = c.values->children[0];
    ArrowArrayAppendString(item->children[0], ArrowCharView("a,\"b\""));
    ArrowArrayFinishElement(item);
    ArrowArrayAppendNull(item, 1);
    ArrowArrayFinishElement(c.values);
    end_row(&c);
    ArrowArrayFinishElement(c.values);
    end_row(&c);
    expect(&c, IST_RENDER_CSV, (const char *const[]){"\"[{\"\"k\"\":\"\"a,\\\"\"b\\\"\"\"\"},null]\"", "[]"});

    start(&c, NANOARROW_TYPE_MAP);
    ArrowSchemaSetType(c.schema.children[0]->children[0]->children[0], NANOARROW_TYPE_INT32);
    c.schema.children[0]->children[0]->children[0]->flags &= ~ARROW_FLAG_NULLABLE;
    ArrowSchemaSetType(c.schema.children[0]->children[0]->children[1], NANOARROW_TYPE_STRING);
    start_batch(&c);
    struct ArrowArray *entries = c.values->children[0];
    for (int i = 0; i < 2; i++) {
        ArrowArrayAppendInt(entries->children[0], i);
        if (i == 0)
            ArrowArrayAppendString(entries->children[1], ArrowCharView("x"));
        else
            ArrowArrayAppendNull(entries->children[1], 1);
        ArrowArrayFinishElement(entries);
    }
    ArrowArrayFinishElement(c.values);
    end_row(&c);
    expect(&c, IST_RENDER_TEXT, (const char *const[]){"{\"0\":\"x\",\"1\":null}"});
}

static void test_file_render__rows_of_a_batch_with_an_offset(void **state)
{
    (void)state;
    column c;
    ist_error err = IST_ERROR_INIT;
    ist_renderer *renderer = NULL;
    ist_buffer out = IST_BUFFER_INIT;
    start(&c, NANOARROW_TYPE_BINARY);
    start_batch(&c);
    for (int i = 0; i < 3; i++) {
        unsigned char bytes[2] = {0xAB, (unsigned char)i};
        ArrowArrayAppendBytes(c.values, (struct ArrowBufferView){{.as_uint8 = bytes}, 2});
        end_row(&c);
    }
    assert_int_equal(ArrowArrayFinishBuildingDefault(&c.batch, NULL), NANOARROW_OK);
    c.batch.offset = 1;
    c.batch.length = 2;
    assert_ok(ist_renderer_new(&c.schema, &renderer, &err), err);
    assert_ok(ist_renderer_set_batch(renderer, &c.batch, &err), err);
    assert_ok(ist_renderer_row(renderer, 1, IST_RENDER_JSON, &out, &err), err);
    assert_string_equal(out.data, "{\"v\":\"ab02\"}");
    ist_buffer_clear(&out);
    assert_ok(ist_renderer_csv_header(renderer, &out, &err), err);
    assert_string_equal(out.data, "v");
    ist_renderer_free(renderer);
    ist_buffer_free(&out);
    ArrowArrayRelease(&c.batch);
    ArrowSchemaRelease(&c.schema);
}

static void test_file_render__refusals(void **state)
{
    (void)state;
    column c;
    ist_error err = IST_ERROR_INIT;
    ist_renderer *renderer = NULL;
    start(&c, NANOARROW_TYPE_INTERVAL_MONTHS);
    assert_int_equal(ist_renderer_new(&c.schema, &renderer, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "column 'v'"));
    ArrowSchemaRelease(&c.schema);
    /* Offsets that go backwards: a batch from outside is checked. */
    start(&c, NANOARROW_TYPE_STRING);
    start_batch(&c);
    ArrowArrayAppendString(c.values, ArrowCharView("abc"));
    end_row(&c);
    assert_int_equal(ArrowArrayFinishBuildingDefault(&c.batch, NULL), NANOARROW_OK);
    ((int32_t *)(uintptr_t)c.values->buffers[1])[1] = -5;
    assert_ok(ist_renderer_new(&c.schema, &renderer, &err), err);
    assert_int_equal(ist_renderer_set_batch(renderer, &c.batch, &err), IST_BAD_INPUT);
    ist_renderer_free(renderer);
    ArrowArrayRelease(&c.batch);
    ArrowSchemaRelease(&c.schema);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_render__strings),
        cmocka_unit_test(test_file_render__doubles),
        cmocka_unit_test(test_file_render__every_double_reads_back),
        cmocka_unit_test(test_file_render__integers_and_nulls),
        cmocka_unit_test(test_file_render__times),
        cmocka_unit_test(test_file_render__decimals),
        cmocka_unit_test(test_file_render__nested),
        cmocka_unit_test(test_file_render__rows_of_a_batch_with_an_offset),
        cmocka_unit_test(test_file_render__refusals),
    };
    return run_group(tests, argc, argv);
}
