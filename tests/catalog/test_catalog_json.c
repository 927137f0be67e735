/* test_catalog_json.c: columns of a Delta schema. */
#include "testing.h"

#include "isthmus/catalog.h"

#include <string.h>
#include <yyjson.h>

static void test_catalog_json_columns__of_a_delta_schema(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"struct\",\"fields\":["
        "{\"name\":\"id\",\"type\":\"long\",\"nullable\":false,\"metadata\":{\"comment\":\"key\"}},"
        "{\"name\":\"amount\",\"type\":\"decimal(12,2)\",\"nullable\":true,\"metadata\":{}},"
        "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"elementType\":\"string\",\"containsNull\":true},"
        "\"nullable\":true,\"metadata\":{}},"
        "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":{"
        "\"type\":\"struct\",\"fields\":["
        "{\"name\":\"x\",\"type\":\"integer\",\"nullable\":true,\"metadata\":{}},"
        "{\"name\":\"y\",\"type\":\"timestamp_ntz\",\"nullable\":true,\"metadata\":{}}]},\"valueContainsNull\":true},"
        "\"nullable\":true,\"metadata\":{}},"
        "{\"name\":\"day\",\"type\":\"date\",\"nullable\":true,\"metadata\":{}}]}";
    static const char *const expected[][3] = {
        {"id", "bigint", "LONG"},
        {"amount", "decimal(12,2)", "DECIMAL"},
        {"tags", "array<string>", "ARRAY"},
        {"m", "map<string,struct<x:int,y:timestamp_ntz>>", "MAP"},
        {"day", "date", "DATE"},
    };
    static const char *const partition[] = {"day"};
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_catalog_columns(schema, partition, 1, &out, &err), err);
    yyjson_doc *doc = yyjson_read(out.data, out.size, 0);
    yyjson_val *column;
    size_t i, count;
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), 5);
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, count, column) {
        assert_string_equal(yyjson_get_str(yyjson_obj_get(column, "name")), expected[i][0]);
        assert_string_equal(yyjson_get_str(yyjson_obj_get(column, "type_text")), expected[i][1]);
        assert_string_equal(yyjson_get_str(yyjson_obj_get(column, "type_name")), expected[i][2]);
        assert_int_equal(yyjson_get_int(yyjson_obj_get(column, "position")), i);
        assert_true(yyjson_get_bool(yyjson_obj_get(column, "nullable")) == (i > 0));
        assert_true((yyjson_obj_get(column, "partition_index") != NULL) == (i == 4));
    }
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/0/comment")), "key");
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/4/type_json")),
                        "{\"name\":\"day\",\"type\":\"date\",\"nullable\":true,\"metadata\":{}}");
    assert_int_equal(yyjson_get_int(yyjson_doc_ptr_get(doc, "/1/type_precision")), 12);
    assert_int_equal(yyjson_get_int(yyjson_doc_ptr_get(doc, "/1/type_scale")), 2);
    yyjson_doc_free(doc);
    ist_buffer_free(&out);
}

static void test_catalog_json_columns__bad_schemas(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{}", "[]", "{\"fields\":[{}]}", "{\"fields\":[{\"name\":\"a\"}]}", "{\"fields\":[3]}",
        "{\"fields\":[{\"name\":\"a\",\"type\":\"nonsense\"}]}",
        "{\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"array\"}}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ist_buffer out = IST_BUFFER_INIT;
        if (ist_catalog_columns(bad[i], NULL, 0, &out, NULL) != IST_BAD_INPUT)
            fail_msg("%s", bad[i]);
        ist_buffer_free(&out);
    }
    char deep[4000] = "{\"fields\":[{\"name\":\"a\",\"type\":";
    for (int i = 0; i < 70; i++)
        strcat(deep, "{\"type\":\"array\",\"elementType\":");
    strcat(deep, "\"long\"");
    for (int i = 0; i < 70; i++)
        strcat(deep, "}");
    strcat(deep, "}]}");
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_int_equal(ist_catalog_columns(deep, NULL, 0, &out, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "deeper"));
    ist_buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog_json_columns__of_a_delta_schema),
        cmocka_unit_test(test_catalog_json_columns__bad_schemas),
    };
    return run_group(tests, argc, argv);
}
