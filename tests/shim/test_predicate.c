/* test_predicate.c: conditions that come as bytes: what is refused, and which rows they keep. */
#include "shim/predicate.h"

#include "delta/predicates.h"
#include "delta/rows.h"

static ist__predicate *parse(const char *name)
{
    ist_error err = IST_ERROR_INIT;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    ist_buffer bytes = IST_BUFFER_INIT;
    ist__predicate *predicate;
    use_predicate(name, &bytes, &options);
    assert_ok(ist__predicate_parse(bytes.data, bytes.size, &predicate, &err), err);
    ist_buffer_free(&bytes);
    return predicate;
}

/* Every shorter part of it, and one with its names of parts spoiled. */
static void test_shim_predicate__bytes_that_are_none(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    ist_buffer bytes = IST_BUFFER_INIT;
    ist__predicate *predicate;
    use_predicate("number_in_3_or_9", &bytes, &options);
    for (size_t size = 0; size + 16 < bytes.size; size++)
        assert_int_equal(ist__predicate_parse(bytes.data, size, &predicate, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "not a serialised Arrow expression"));
    for (char *at = bytes.data; at + 4 < bytes.data + bytes.size; at++) {
        if (memcmp(at, "end", 4) == 0)
            memcpy(at, "and", 3);
    }
    assert_int_equal(ist__predicate_parse(bytes.data, bytes.size, &predicate, &err), IST_BAD_INPUT);
    ist_buffer_free(&bytes);
}

static void test_shim_predicate__columns_and_bounds(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    size_t depth;
    ist__predicate *predicate = parse("part_is_b_or_number_above_5");
    column columns[] = {{"number", NANOARROW_TYPE_INT64, NULL, NULL}, {"part", NANOARROW_TYPE_STRING, NULL, NULL}};
    assert_int_equal(ist__predicate_column_count(predicate), 2);
    assert_string_equal(ist__predicate_column(predicate, 0), "part");
    assert_string_equal(ist__predicate_column(predicate, 1), "number");
    rows_schema(columns, 1, &schema);
    assert_int_equal(ist__predicate_bind(predicate, &schema, &err), IST_BAD_INPUT); /* without `part` */
    assert_non_null(strstr(err.message, "part"));
    schema.release(&schema);
    ist__predicate_free(predicate);

    predicate = parse("part_is_b_or_number_above_5");
    rows_schema(columns, 2, &schema);
    assert_ok(ist__predicate_bind(predicate, &schema, &err), err);
    assert_int_equal(ist__predicate_bounded_count(predicate), 2);
    assert_int_equal(ist__predicate_bounded(predicate, 0, &depth)[0], 1);
    assert_int_equal(depth, 1);
    ist__bounds bounds[] = {{0}, {.min = "1", .max = "5", .min_size = 1, .max_size = 1}, /* part unknown */
                            {.no_values = true}, {.min = "1", .max = "5", .min_size = 1, .max_size = 1}};
    bool may_match[2];
    assert_ok(ist__predicate_prune(predicate, bounds, 2, may_match, &err), err);
    assert_true(may_match[0]);
    assert_false(may_match[1]);
    schema.release(&schema);
    ist__predicate_free(predicate);
}

static void test_shim_predicate__rows(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch, kept;
    column columns[] = {{"id", NANOARROW_TYPE_INT64, (const double[]){0, 1, 2, 3}, NULL},
                        {"number", NANOARROW_TYPE_INT64, (const double[]){5, 6, 7, 0}, NULL},
                        {"part", NANOARROW_TYPE_STRING, NULL, (const char *const[]){"a", NULL, "b", "b"}}};
    ist__predicate *predicate = parse("part_is_b_or_number_above_5");
    rows_schema(columns, 3, &schema);
    assert_ok(ist__predicate_bind(predicate, &schema, &err), err);
    for (int64_t returned = 0; returned <= 1; returned++) {
        rows_stream(columns, 3, 4, &stream);
        assert_int_equal(stream.get_next(&stream, &batch), 0);
        stream.release(&stream);
        assert_ok(ist__predicate_filter(predicate, &batch, returned, &kept, &err), err);
        assert_int_equal(kept.length, 3); /* null or true is true */
        assert_int_equal(kept.n_children, returned);
        for (int64_t i = 0; returned && i < 3; i++)
            assert_int_equal(((const int64_t *)kept.children[0]->buffers[1])[kept.children[0]->offset + i], i + 1);
        kept.release(&kept);
    }
    schema.release(&schema);
    ist__predicate_free(predicate);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shim_predicate__bytes_that_are_none),
        cmocka_unit_test(test_shim_predicate__columns_and_bounds),
        cmocka_unit_test(test_shim_predicate__rows),
    };
    return run_group(tests, argc, argv);
}
