/* test_statement_request.c: what may be asked for, and what it means where it is not said. */
#include "testing.h"

#include "warehouse/statement_request.h"

#include <string.h>

static ist_error err;

static ist_status read_request(const char *members, ist__statement_request *out)
{
    char body[1024];
    snprintf(body, sizeof body, "{\"warehouse_id\":\"w\",\"statement\":\"SELECT 1\"%s%s}", *members ? "," : "",
             members);
    return ist__statement_request_read(body, strlen(body), out, &err);
}

static void test_warehouse_statement_request__defaults(void **state)
{
    (void)state;
    ist__statement_request r;
    assert_ok(read_request("", &r), err);
    assert_string_equal(r.statement, "SELECT 1");
    assert_string_equal(r.warehouse_id, "w");
    assert_true(r.is_inline);
    assert_int_equal(r.format, IST__FORMAT_JSON_ARRAY);
    assert_int_equal(r.wait_ms, 10000);
    assert_false(r.cancel_on_timeout);
    assert_null(r.catalog);
    assert_null(r.parameters);
    assert_int_equal(r.row_limit, 0);
    ist__statement_request_free_text(&r);
    assert_null(r.statement);
    /* null is as absent */
    assert_ok(read_request("\"catalog\":null,\"parameters\":null,\"row_limit\":null,\"wait_timeout\":null", &r), err);
    assert_int_equal(r.wait_ms, 10000);
    ist__statement_request_free_text(&r);
}

static void test_warehouse_statement_request__all_of_it(void **state)
{
    (void)state;
    ist__statement_request r;
    assert_ok(read_request("\"catalog\":\"c\",\"schema\":\"s\",\"row_limit\":3,\"byte_limit\":4,\"format\":\"CSV\","
                           "\"disposition\":\"EXTERNAL_LINKS\",\"wait_timeout\":\"50s\",\"on_wait_timeout\":\"CANCEL\","
                           "\"result_compression\":\"LZ4_FRAME\",\"parameters\":[{\"name\":\"a\"}]",
                           &r), err);
    assert_string_equal(r.schema, "s");
    assert_false(r.is_inline);
    assert_string_equal(ist__format_name(r.format), "CSV");
    assert_string_equal(ist__format_content_type(r.format), "text/csv");
    assert_string_equal(r.compression, "LZ4_FRAME");
    assert_true(r.cancel_on_timeout);
    assert_int_equal(r.wait_ms, 50000);
    assert_int_equal(r.row_limit, 3);
    assert_int_equal(r.byte_limit, 4);
    assert_int_equal(yyjson_arr_size(r.parameters), 1);
    ist__statement_request_free_text(&r);
    assert_string_equal(r.compression, "LZ4_FRAME"); /* what tells how the result is told stays */
}

static void test_warehouse_statement_request__refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *members, *words;
    } cases[] = {
        {"\"wait_timeout\":\"1s\"", "wait_timeout"},
        {"\"wait_timeout\":\"5\"", "wait_timeout"},
        {"\"wait_timeout\":\" 5s\"", "wait_timeout"},
        {"\"wait_timeout\":\"99999999999999999999s\"", "wait_timeout"},
        {"\"wait_timeout\":5", "wait_timeout"},
        {"\"on_wait_timeout\":\"cancel\"", "on_wait_timeout"},
        {"\"format\":\"PARQUET\"", "JSON_ARRAY, ARROW_STREAM, CSV"},
        {"\"format\":\"ARROW_STREAM\"", "EXTERNAL_LINKS"},
        {"\"result_compression\":\"LZ4_FRAME\"", "EXTERNAL_LINKS"},
        {"\"row_limit\":1.5", "row_limit"},
        {"\"byte_limit\":-1", "byte_limit"},
        {"\"catalog\":[]", "catalog"},
        {"\"schema\":\"a\\u0000b\"", "NUL"},
        {"\"parameters\":[{\"name\":\"\"}]", "element 0"},
        {"\"parameters\":[{\"name\":\"a\",\"type\":1}]", "type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist__statement_request r;
        assert_int_equal(read_request(cases[i].members, &r), IST_BAD_INPUT);
        ist__statement_request_free_text(&r);
        if (!strstr(err.message, cases[i].words) || strcmp(err.where, "INVALID_PARAMETER_VALUE") != 0)
            fail_msg("%s: %s", cases[i].members, err.message);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warehouse_statement_request__defaults),
        cmocka_unit_test(test_warehouse_statement_request__all_of_it),
        cmocka_unit_test(test_warehouse_statement_request__refused_by_name),
    };
    return run_group(tests, argc, argv);
}
