/* test_worker_message.c: what workers say, and what nobody may say. */
#include "testing.h"

#include "warehouse/worker_message.h"

#include <string.h>

static ist_error err;

static ist_status read_message(const char *text, ist__worker_message *out)
{
    return ist__worker_message_read(text, strlen(text), out, &err);
}

static void test_warehouse_worker_message__each_type(void **state)
{
    (void)state;
    ist__worker_message m;
    assert_ok(read_message("{\"type\":\"ready\",\"engine\":\"duckdb\",\"more\":1}", &m), err);
    assert_int_equal(m.type, IST__WORKER_READY);
    assert_string_equal(m.engine, "duckdb");
    assert_null(m.version);
    ist__worker_message_free(&m);
    assert_ok(read_message("{\"type\":\"resolve\",\"id\":4,\"tables\":[{}],\"functions\":null}", &m), err);
    assert_int_equal(m.id, 4);
    assert_int_equal(yyjson_arr_size(m.tables), 1);
    assert_null(m.functions);
    ist__worker_message_free(&m);
    assert_ok(read_message("{\"type\":\"chunk\",\"rows\":1,\"bytes\":9007199254740993}", &m), err);
    assert_int_equal(m.bytes, 9007199254740993);
    ist__worker_message_free(&m);
    assert_ok(read_message("{\"type\":\"done\",\"rows\":0,\"kind\":\"INSERT\",\"lineage\":{}}", &m), err);
    assert_false(m.truncated);
    assert_non_null(m.lineage);
    ist__worker_message_free(&m);
    assert_ok(read_message("{\"type\":\"failed\",\"error_code\":\"X\",\"message\":\"m\",\"sql_state\":null}", &m), err);
    assert_null(m.sql_state);
    ist__worker_message_free(&m);
}

static void test_warehouse_worker_message__columns(void **state)
{
    (void)state;
    ist__worker_message m;
    ist_buffer text = IST_BUFFER_INIT;
    assert_ok(read_message("{\"type\":\"columns\",\"columns\":[{\"name\":\"a\",\"type_name\":\"DECIMAL\","
                           "\"type_precision\":9,\"type_scale\":null,\"position\":7,\"other\":1},"
                           "{\"name\":\"b\",\"type_name\":\"INT\"}]}", &m), err);
    assert_ok(ist__worker_columns_write(m.columns, &text, &err), err);
    assert_string_equal(text.data, "[{\"name\":\"a\",\"type_name\":\"DECIMAL\",\"type_precision\":9,\"position\":0},"
                                   "{\"name\":\"b\",\"type_name\":\"INT\",\"position\":1}]");
    ist__worker_message_free(&m);
    ist_buffer_free(&text);
}

static void test_warehouse_worker_message__refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "[]", "7", "{}", "{\"type\":1}", "{\"type\":\"what\"}", "{\"type\":\"ready\"}",
        "{\"type\":\"ready\",\"engine\":1}", "{\"type\":\"chunk\",\"rows\":1}",
        "{\"type\":\"chunk\",\"rows\":-1,\"bytes\":1}", "{\"type\":\"chunk\",\"rows\":1.0,\"bytes\":1}",
        "{\"type\":\"chunk\",\"rows\":1,\"bytes\":18446744073709551615}",
        "{\"type\":\"done\",\"rows\":1}", "{\"type\":\"done\",\"rows\":1,\"kind\":\"SELECT\",\"truncated\":1}",
        "{\"type\":\"done\",\"rows\":1,\"kind\":\"SELECT\",\"lineage\":[]}", "{\"type\":\"columns\"}",
        "{\"type\":\"columns\",\"columns\":[{\"name\":\"a\"}]}", "{\"type\":\"columns\",\"columns\":[1]}",
        "{\"type\":\"resolve\",\"id\":1,\"tables\":{}}", "{\"type\":\"failed\",\"message\":\"m\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ist__worker_message m;
        if (read_message(bad[i], &m) != IST_BAD_INPUT)
            fail_msg("%s was taken", bad[i]);
        ist__worker_message_free(&m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warehouse_worker_message__each_type),
        cmocka_unit_test(test_warehouse_worker_message__columns),
        cmocka_unit_test(test_warehouse_worker_message__refused),
    };
    return run_group(tests, argc, argv);
}
