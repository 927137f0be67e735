/* Tests of src/util/cursor.c. */
#include "testing.h"
#include "util/cursor.h"

static void test_util_cursor__takes_what_was_put(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    size_t size;
    assert_ok(ist__put_number(&out, 0x1122, 2, &err), err);
    assert_ok(ist__put_number(&out, UINT64_MAX - 1, 8, &err), err);
    assert_ok(ist__put_number(&out, 4, 4, &err), err);
    assert_ok(ist_buffer_append(&out, "abc", 4, &err), err);
    assert_ok(ist__put_number(&out, 0, 4, &err), err);
    ist__cursor in = {(const uint8_t *)out.data, out.size, false};
    assert_int_equal(in.at[0], 0x22); /* little-endian */
    assert_int_equal(ist__cursor_number(&in, 2), 0x1122);
    assert_true(ist__cursor_number(&in, 8) == UINT64_MAX - 1);
    assert_string_equal(ist__cursor_text(&in, &size), "abc");
    assert_int_equal(size, 3);
    assert_null(ist__cursor_text(&in, &size));
    assert_int_equal(size, 0);
    assert_true(!in.bad && in.left == 0);
    ist_buffer_free(&out);
}

/* Each is refused, and nothing can be taken after it. */
static void test_util_cursor__believes_nothing(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t size;
    } texts[] = {
        {{5, 0, 0, 0, 'a', 'b', 'c', 0}, 8},                 /* longer than what is left */
        {{255, 255, 255, 255, 'a', 0}, 6},                   /* by far */
        {{3, 0, 0, 0, 'a', 'b', 'c', 0}, 8},                 /* no NUL at its end */
        {{4, 0, 0, 0, 'a', 0, 'c', 0}, 8},                   /* a NUL before */
        {{4, 0, 0}, 3},                                      /* not even a size */
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ist__cursor in = {texts[i].bytes, texts[i].size, false};
        size_t size = 7;
        assert_null(ist__cursor_text(&in, &size));
        assert_true(in.bad && size == 0);
        assert_int_equal(ist__cursor_number(&in, 1), 0);
        assert_null(ist__cursor_take(&in, 1));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_util_cursor__takes_what_was_put),
        cmocka_unit_test(test_util_cursor__believes_nothing),
    };
    return run_group(tests, argc, argv);
}
