/* test_history.c: what each commit says of itself. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"
#include "testing.h"

#include <string.h>

static void commit(ist_store *store, int64_t version, const char *text)
{
    char path[64];
    ist__log_commit_path(version, path);
    assert_int_equal(ist_store_put(store, path, text, strlen(text), IST_PUT_REPLACE, NULL), IST_OK);
}

static void test_delta_history__newest_first(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist_buffer out = IST_BUFFER_INIT;
    ist_store_entry entry;
    char expected[512];
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_int_equal(ist_table_history(store, NULL, 0, &out, &err), IST_NOT_FOUND);
    commit(store, 3, "{\"commitInfo\":{\"timestamp\":7,\"operation\":\"WRITE\",\"operationParameters\":{\"mode\":\"Append\","
                     "\"n\":[1,{}]},\"version\":99,\"engineInfo\":\"x\"}}\n");
    commit(store, 4, "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n");
    commit(store, 5, "{\"commitInfo\":{\"timestamp\":7,\"inCommitTimestamp\":8,\"operation\":\"DELETE\"}}\n");
    assert_ok(ist_store_stat(store, "_delta_log/00000000000000000004.json", &entry, &err), err);
    snprintf(expected, sizeof expected,
             "[{\"version\":5,\"timestamp\":8,\"inCommitTimestamp\":8,\"operation\":\"DELETE\"},"
             "{\"version\":4,\"timestamp\":%lld},"
             "{\"version\":3,\"timestamp\":7,\"operation\":\"WRITE\",\"operationParameters\":{\"mode\":\"Append\","
             "\"n\":[1,{}]},\"engineInfo\":\"x\"}]", (long long)entry.modified_ms);
    assert_ok(ist_table_history(store, NULL, 0, &out, &err), err);
    assert_string_equal(out.data, expected);
    ist_buffer_clear(&out);
    assert_ok(ist_table_history(store, NULL, 1, &out, &err), err);
    assert_string_equal(out.data, "[{\"version\":5,\"timestamp\":8,\"inCommitTimestamp\":8,\"operation\":\"DELETE\"}]");
    commit(store, 5, "{\"commitInfo\":");
    assert_int_equal(ist_table_history(store, NULL, 0, &out, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "_delta_log/00000000000000000005.json, line 1"));
    ist_buffer_free(&out);
    ist_store_free(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_delta_history__newest_first)};
    return run_group(tests, argc, argv);
}
