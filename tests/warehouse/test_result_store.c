/* test_result_store.c: budgets, files that are not what was told, and that nothing is left. */
#include "testing.h"

#include "catalog/catalog_internal.h"
#include "warehouse/result_store.h"

#include <fcntl.h>
#include <string.h>

static ist_error err;

static int make_file(size_t size)
{
    char path[] = "/tmp/isthmus_chunk_XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)('a' + i % 26);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    free(bytes);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static ist__result *new_result(ist__result_store *store)
{
    ist__result *result;
    assert_ok(ist__result_new(store, &result, &err), err);
    return result;
}

static void test_warehouse_result_store__small_and_large(void **state)
{
    (void)state;
    ist__result_store store = {.bytes_max = 1 << 30, .statement_bytes_max = 1 << 30, .files_max = 10};
    ist__result *result = new_result(&store);
    int small = make_file(100), large = make_file(IST__CHUNK_IN_MEMORY_MAX + 1);
    char text[IST__CHUNK_IN_MEMORY_MAX + 1];
    assert_ok(ist__result_add(result, small, 3, 100, &err), err);
    assert_ok(ist__result_add(result, large, 4, IST__CHUNK_IN_MEMORY_MAX + 1, &err), err);
    assert_false(is_open(small));
    assert_true(is_open(large));
    assert_int_equal(result->rows, 7);
    assert_int_equal(result->chunks[1].row_offset, 3);
    for (int i = 0; i < 2; i++) {
        assert_ok(ist__chunk_read(&result->chunks[i], text, &err), err);
        assert_memory_equal(text, "abcdefghijklmnopqrstuvwxyzab", 28);
    }
    assert_int_equal(atomic_load(&store.files), 1);
    assert_int_equal(atomic_load(&store.bytes), 100 + IST__CHUNK_IN_MEMORY_MAX + 1);
    ist__result *again = ist__result_hold(result);
    ist__result_release(result);
    assert_true(is_open(large)); /* somebody is reading it */
    ist__result_release(again);
    assert_false(is_open(large));
    assert_int_equal(atomic_load(&store.bytes), 0);
    assert_int_equal(atomic_load(&store.files), 0);
}

static void test_warehouse_result_store__budgets(void **state)
{
    (void)state;
    ist__result_store store = {.bytes_max = 100000, .statement_bytes_max = 60000, .files_max = 1};
    ist__result *first = new_result(&store), *second = new_result(&store);
    assert_ok(ist__result_add(first, make_file(50000), 1, 50000, &err), err);
    int more = make_file(10001);
    assert_int_equal(ist__result_add(first, more, 1, 10001, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "--statement-space"));
    assert_false(is_open(more));
    assert_int_equal(ist__result_add(second, make_file(50001), 1, 50001, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "--result-space"));
    assert_int_equal(ist__result_add(second, make_file(40000), 1, 40000, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "ulimit"));
    assert_ok(ist__result_add(second, make_file(30000), 1, 30000, &err), err); /* in memory */
    assert_int_equal(atomic_load(&store.bytes), 80000);
    ist__result_release(first);
    ist__result_release(second);
    assert_int_equal(atomic_load(&store.bytes), 0);
}

static void test_warehouse_result_store__not_what_was_told(void **state)
{
    (void)state;
    ist__result_store store = {.bytes_max = 1 << 20, .statement_bytes_max = 1 << 20, .files_max = 10};
    ist__result *result = new_result(&store);
    int pipes[2];
    assert_int_equal(ist__result_add(result, -1, 1, 5, &err), IST_BAD_INPUT);
    assert_int_equal(ist__result_add(result, make_file(5), 1, 6, &err), IST_BAD_INPUT);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(ist__result_add(result, pipes[0], 1, 0, &err), IST_BAD_INPUT);
    close(pipes[1]);
    assert_int_equal(result->count, 0);
    assert_ok(ist__result_add(result, make_file(0), 0, 0, &err), err); /* an empty one is one */
    ist__result_release(result);
    ist__result_release(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warehouse_result_store__small_and_large),
        cmocka_unit_test(test_warehouse_result_store__budgets),
        cmocka_unit_test(test_warehouse_result_store__not_what_was_told),
    };
    return run_group(tests, argc, argv);
}
