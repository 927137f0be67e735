/* test_store.c: the locations that a store is opened on. Paths in a store are in conformance/store_conformance.c. */
#include "isthmus/store.h"
#include "testing.h"

#include <string.h>

static void assert_uri(const char *location, const char *uri)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    assert_ok(ist_store_open(location, NULL, &store, &err), err);
    assert_string_equal(ist_store_uri(store), uri);
    ist_store_free(store);
}

static void assert_no_uri(const char *location, ist_status status)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    assert_int_equal(ist_store_open(location, NULL, &store, &err), status);
    assert_true(err.message[0] && !strchr(err.message, '\n'));
}

static void test_store_open__makes_locations_canonical(void **state)
{
    (void)state;
    assert_uri("/data/t", "file:///data/t");
    assert_uri("/data//t/", "file:///data/t");
    assert_uri("/data/./t/.", "file:///data/t");
    assert_uri("/", "file:///");
    assert_uri("file:/data/t", "file:///data/t");
    assert_uri("file:///data/t/", "file:///data/t");
    assert_uri("FILE://localhost/data/t", "file:///data/t");
    assert_uri("file:///data/a%20b=c", "file:///data/a%20b=c");
    assert_uri("/data/a%20b", "file:///data/a%2520b"); /* a plain path is not decoded */
    assert_uri("/data/caf\xC3\xA9", "file:///data/caf%C3%A9");
    assert_uri("s3://bucket", "s3://bucket");
    assert_uri("S3://my.bucket//a/./t/", "s3://my.bucket/a/t");
    assert_uri("s3a://bucket/a%20b", "s3a://bucket/a%20b");
    assert_uri("gs://bucket/t/", "gs://bucket/t");
    assert_uri("abfss://c@Account.dfs.core.windows.net/t/", "abfss://c@account.dfs.core.windows.net/t");
    assert_uri("https://account.blob.core.windows.net/c/t", "https://account.blob.core.windows.net/c/t");
}

static void test_store_open__refuses_other_locations(void **state)
{
    (void)state;
    assert_no_uri("", IST_BAD_INPUT);
    assert_no_uri("data/t", IST_BAD_INPUT);
    assert_no_uri("./t", IST_BAD_INPUT);
    assert_no_uri("file:data/t", IST_BAD_INPUT);
    assert_no_uri("file://host/data/t", IST_BAD_INPUT);
    assert_no_uri("/data/../etc", IST_BAD_INPUT);
    assert_no_uri("file:///data/%2e%2e/etc", IST_BAD_INPUT);
    assert_no_uri("file:///data/%00", IST_BAD_INPUT);
    assert_no_uri("file:///data/%zz", IST_BAD_INPUT);
    assert_no_uri("hdfs://name/t", IST_UNSUPPORTED);
    assert_no_uri("https://example.com/t", IST_BAD_INPUT);
    assert_no_uri("s3://", IST_BAD_INPUT);
    assert_no_uri("s3:///t", IST_BAD_INPUT);
    assert_no_uri("s3://bucket/../t", IST_BAD_INPUT);
    assert_no_uri("s3://user:password@bucket/t", IST_BAD_INPUT);
    assert_no_uri("gs://bucket/%zz", IST_BAD_INPUT);
    assert_no_uri("abfss://account.dfs.core.windows.net/t", IST_BAD_INPUT);
    assert_no_uri("abfss://c@a.dfs/t", IST_BAD_INPUT);
    assert_no_uri("abfss://c@evil.com/t", IST_BAD_INPUT);
    char long_location[6000];
    memset(long_location, 'a', sizeof long_location);
    long_location[0] = '/';
    long_location[sizeof long_location - 1] = '\0';
    ist_store *store;
    assert_int_not_equal(ist_store_open(long_location, NULL, &store, NULL), IST_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_open__makes_locations_canonical),
        cmocka_unit_test(test_store_open__refuses_other_locations),
    };
    return run_group(tests, argc, argv);
}
