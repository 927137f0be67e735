/* test_util.c: errors, buffers, identifiers, percent-encoding. */
#include "testing.h"
#include "util/util.h"

#include <string.h>

static void test_util_error__truncates_at_a_character(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    char text[IST_ERROR_MESSAGE_MAX + 10];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    memcpy(text + IST_ERROR_MESSAGE_MAX - 2, "\xC3\xA9", 2); /* an é across the end */
    assert_int_equal(ist_error_set(&err, IST_IO, 5, "here", "%s", text), IST_IO);
    assert_int_equal(strlen(err.message), IST_ERROR_MESSAGE_MAX - 2);
    assert_string_equal(err.where, "here");
}

static void test_util_error__context_goes_before(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_error_set(&err, IST_NOT_FOUND, 2, "x", "no such file");
    assert_int_equal(ist_error_context(&err, "table %s", "t"), IST_NOT_FOUND);
    assert_string_equal(err.message, "table t: no such file");
}

static void test_util_buffer__keeps_to_its_limit(void **state)
{
    (void)state;
    ist_buffer buffer = {.limit = 10};
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_buffer_append(&buffer, "12345", 5, &err), err);
    assert_ok(ist_buffer_printf(&buffer, &err, "%d", 67890), err);
    assert_int_equal(ist_buffer_append(&buffer, "x", 1, &err), IST_NO_MEMORY);
    assert_string_equal(buffer.data, "1234567890");
    ist_buffer_free(&buffer);
}

static void test_util_uri__round_trip(void **state)
{
    (void)state;
    ist_buffer encoded = IST_BUFFER_INIT, decoded = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    const char text[] = "a b/c%d=\xC3\xA9";
    assert_ok(ist__uri_encode(text, strlen(text), "/=", &encoded, &err), err);
    assert_string_equal(encoded.data, "a%20b/c%25d=%C3%A9");
    assert_ok(ist__uri_decode(encoded.data, encoded.size, &decoded, &err), err);
    assert_string_equal(decoded.data, text);
    assert_int_equal(ist__uri_decode("a%2", 3, &decoded, &err), IST_BAD_INPUT);
    assert_int_equal(ist__uri_decode("a%00", 4, &decoded, &err), IST_BAD_INPUT);
    ist_buffer_free(&encoded);
    ist_buffer_free(&decoded);
}

static void test_util_time__before_the_epoch(void **state)
{
    (void)state;
    char text[32];
    ist__format_time(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    ist__format_time(1795424351123, text);
    assert_string_equal(text, "2026-11-23T08:59:11.123Z");
}

/* The vectors of RFC 4648, section 10, and the two digits that are URLs' own. */
static void test_util_text__of_bytes(void **state)
{
    (void)state;
    static const char *const encoded[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    char hex[7];
    for (size_t size = 0; size < 7; size++) {
        ist_buffer_clear(&out);
        assert_ok(ist_buffer_append(&out, "", 0, &err), err);
        assert_ok(ist__base64url("foobar", size, &out, &err), err);
        assert_string_equal(out.data, encoded[size]);
        unsigned char back[6];
        size_t back_size = sizeof back;
        assert_true(ist__base64url_decode(out.data, out.size, back, &back_size));
        assert_int_equal(back_size, size);
        assert_memory_equal(back, "foobar", size);
    }
    static const char *const no_base64[] = {"A", "AB+/", "AB==", "AAAAAAAAA"}; /* the last has no room */
    for (size_t i = 0; i < sizeof no_base64 / sizeof no_base64[0]; i++) {
        unsigned char back[6];
        size_t back_size = sizeof back;
        assert_false(ist__base64url_decode(no_base64[i], strlen(no_base64[i]), back, &back_size));
    }
    static const struct {
        const char *text, *bytes;
    } padded[] = {{"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"+/+/", "\xfb\xff\xbf"}};
    for (size_t i = 0; i < sizeof padded / sizeof padded[0]; i++) {
        unsigned char back[6];
        size_t back_size = sizeof back;
        assert_true(ist__base64_decode(padded[i].text, 4, back, &back_size));
        assert_int_equal(back_size, strlen(padded[i].bytes));
        assert_memory_equal(back, padded[i].bytes, back_size);
    }
    static const char *const unpadded[] = {"", "Zg", "Zg=", "Z===", "====", "-_-_", "Zm9vYmFyZm8="};
    for (size_t i = 0; i < sizeof unpadded / sizeof unpadded[0]; i++) {
        unsigned char back[6];
        size_t back_size = sizeof back;
        assert_false(ist__base64_decode(unpadded[i], strlen(unpadded[i]), back, &back_size));
    }
    ist_buffer_clear(&out);
    assert_ok(ist__base64url("\xfb\xff\xbf", 3, &out, &err), err);
    assert_string_equal(out.data, "-_-_");
    ist__hex("\x00\x9f\xfa", 3, hex);
    assert_string_equal(hex, "009ffa");
    ist_buffer_free(&out);
}

static void test_util_text__whole_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t most, expected;
    } cases[] = {{"", 5, 0},         {"abc", 2, 2},       {"abc", SIZE_MAX, 3},        {"a\xC3\xA4", 2, 1},
                 {"\xC3", 5, 0},     {"\xE2\x82\xAC!", 3, 3}, {"\xED\xA0\x80", 5, 0}, {"\xF0\x9F\x98\x80", 4, 4},
                 {"a\xFF" "b", 5, 1}, {"\xC0\x80", 5, 0},    {"\xF4\x90\x80\x80", 9, 0}};
    char out[3];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ist__utf8_prefix(cases[i].text, cases[i].most), cases[i].expected);
    ist__utf8_copy(out, sizeof out, "a\xC3\xA4");
    assert_string_equal(out, "a");
    ist__utf8_copy(out, sizeof out, "\xC3\xA4z");
    assert_string_equal(out, "\xC3\xA4");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_util_error__truncates_at_a_character),
        cmocka_unit_test(test_util_error__context_goes_before),
        cmocka_unit_test(test_util_buffer__keeps_to_its_limit),
        cmocka_unit_test(test_util_uri__round_trip),
        cmocka_unit_test(test_util_time__before_the_epoch),
        cmocka_unit_test(test_util_text__of_bytes),
        cmocka_unit_test(test_util_text__whole_characters),
    };
    return run_group(tests, argc, argv);
}
