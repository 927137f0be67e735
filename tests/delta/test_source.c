/* test_source.c: the log's paths as paths of the store, and objects as sources. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"
#include "testing.h"

#include <string.h>

static void assert_path(const ist_store *store, const char *path, const char *expected)
{
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    ist_status status = ist__data_path(store, path, &out, &err);
    if (!expected) {
        assert_int_equal(status, IST_UNSUPPORTED);
        assert_non_null(strstr(err.message, path));
    } else {
        assert_ok(status, err);
        assert_string_equal(out.data, expected);
    }
    ist_buffer_free(&out);
}

static void test_delta_source_path__is_decoded_once_and_beneath_the_root(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    assert_ok(ist_store_open("/data/my table", NULL, &store, &err), err);
    assert_path(store, "part-0.parquet", "part-0.parquet");
    assert_path(store, "p=a%20b/x.parquet", "p=a b/x.parquet");
    assert_path(store, "p=a%252Fb/x.parquet", "p=a%2Fb/x.parquet"); /* the folder's name is itself escaped */
    assert_path(store, "t=12:30/x.parquet", "t=12:30/x.parquet");
    assert_path(store, "file:///data/my%20table/p=1/x.parquet", "p=1/x.parquet");
    assert_path(store, "file:/data/my%20table/x.parquet", "x.parquet");
    assert_path(store, "FILE://localhost/data/my%20table/x.parquet", "x.parquet");
    assert_path(store, "/data/my%20table/x.parquet", "x.parquet");
    assert_path(store, "file:///data/my%20table2/x.parquet", NULL);
    assert_path(store, "file:///data/my%20table", NULL);
    assert_path(store, "file:///data/my%20table/", NULL);
    assert_path(store, "file:///data/other/x.parquet", NULL);
    assert_path(store, "file://host/data/my%20table/x.parquet", NULL);
    assert_path(store, "s3://bucket/x.parquet", NULL);
    assert_path(store, "hdfs:/data/x.parquet", NULL);
    ist_buffer out = IST_BUFFER_INIT;
    assert_int_equal(ist__data_path(store, "p=%zz/x", &out, &err), IST_BAD_INPUT);
    ist_buffer_free(&out);
    ist_store_free(store);

    assert_ok(ist_store_open("/", NULL, &store, &err), err);
    assert_path(store, "file:///x.parquet", "x.parquet");
    ist_store_free(store);
}

static void test_delta_source_open__reads_and_names_the_object(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist__source source;
    char data[4] = "";
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_ok(ist_store_put(store, "d/x", "0123456789", 10, IST_PUT_REPLACE, &err), err);
    assert_ok(ist__source_open(store, "d/x", &source, &err), err);
    assert_int_equal(source.size, 10);
    assert_string_equal(source.name, "memory:/d/x");
    assert_ok(source.read(source.self, 4, data, 3, &err), err);
    assert_string_equal(data, "456");
    assert_int_equal(source.read(source.self, 8, data, 3, &err), IST_BAD_INPUT);
    source.free(source.self);
    assert_int_equal(ist__source_open(store, "d/y", &source, &err), IST_NOT_FOUND);
    ist_store_free(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_source_path__is_decoded_once_and_beneath_the_root),
        cmocka_unit_test(test_delta_source_open__reads_and_names_the_object),
    };
    return run_group(tests, argc, argv);
}
