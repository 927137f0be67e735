/* test_ini.c: sections of "key = value" lines. */
#include "testing.h"

#include "util/ini.h"

#include <stdio.h>
#include <string.h>

static ist_status append(ist__ini_piece key, ist__ini_piece value, int line, void *payload, ist_error *err)
{
    char *told = payload;
    (void)err;
    snprintf(told + strlen(told), 200 - strlen(told), "%d:%.*s=%.*s;", line, (int)key.size, key.at, (int)value.size, value.at);
    return IST_OK;
}

static void test_util_ini__one_section(void **state)
{
    (void)state;
    static const char text[] = "; c\n[a]\n x = 1 \r\ny:2=3\n# c\n\n[b]\nz=\n[a]\nx = 4";
    static const struct {
        const char *section, *told;
    } cases[] = {{"a", "3:x=1;4:y=2=3;10:x=4;"}, {"b", "8:z=;"}};
    char told[200];
    ist_error err = IST_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        told[0] = '\0';
        assert_ok(ist__ini_read(text, strlen(text), cases[i].section, append, told, &err), err);
        assert_string_equal(told, cases[i].told);
    }
    assert_int_equal(ist__ini_read(text, strlen(text), "A", append, told, &err), IST_NOT_FOUND);
    assert_int_equal(ist__ini_read("[a]\nhush", 8, "a", append, told, &err), IST_BAD_INPUT);
    assert_string_equal(err.message, "line 2 is no \"key = value\"");
}

static void test_util_ini__takes_a_field(void **state)
{
    (void)state;
    char field[4] = "";
    ist_error err = IST_ERROR_INIT;
    const ist__ini_piece key = {"Key", 3};
    assert_ok(ist__ini_take(key, (ist__ini_piece){"abc", 3}, "other", field, sizeof field, 1, &err), err);
    assert_string_equal(field, "");
    assert_ok(ist__ini_take(key, (ist__ini_piece){"abc", 3}, "key", field, sizeof field, 1, &err), err);
    assert_string_equal(field, "abc");
    assert_int_equal(ist__ini_take(key, (ist__ini_piece){"abcd", 4}, "key", field, sizeof field, 7, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "line 7"));
    assert_int_equal(ist__ini_take(key, (ist__ini_piece){"a\0", 2}, "key", field, sizeof field, 7, &err), IST_BAD_INPUT);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_util_ini__one_section),
        cmocka_unit_test(test_util_ini__takes_a_field),
    };
    return run_group(tests, argc, argv);
}
