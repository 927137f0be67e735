/* test_xml.c: elements come with their paths and texts; what is too deep, too long or declares types is refused. */
#include "store/xml.h"
#include "testing.h"
#include "util/util.h"

#include <string.h>

static ist_status note(const char *path, const char *text, void *payload, ist_error *err)
{
    return ist_buffer_printf(payload, err, "%s=%s;", path, text);
}

static ist_status read_text(const char *text, ist_buffer *out, ist_error *err)
{
    ist_buffer_clear(out);
    return ist__xml_read(text, strlen(text), note, out, err);
}

static void test_store_xml__elements_in_order(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    assert_ok(read_text("\xEF\xBB\xBF<?xml version=\"1.0\"?><a xmlns=\"urn:x\"><b>1 &amp; 2</b> <n:c xmlns:n=\"urn:y\"/>"
                        "<b>line&#10;two</b></a>", &out, &err), err);
    assert_string_equal(out.data, "a/b=1 & 2;a/c=;a/b=line\ntwo;a=;");
    ist_buffer_free(&out);
}

static void test_store_xml__bad_input_is_refused(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT, deep = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    for (int i = 0; i <= IST__XML_DEPTH_MAX; i++)
        assert_ok(ist_buffer_append_string(&deep, "<a>", &err), err);
    for (int i = 0; i <= IST__XML_TEXT_MAX / 10; i++)
        assert_ok(ist_buffer_append_string(&text, i ? "0123456789" : "<a>", &err), err);
    assert_ok(ist_buffer_append_string(&text, "0123456789</a>", &err), err);
    const char *const bad[] = {"", "text", "<a>", "<a></b>", "<a>&what;</a>", deep.data,
                               "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_text(bad[i], &out, &err), IST_BAD_INPUT);
        assert_int_equal(out.size, 0);
    }
    assert_int_equal(read_text(text.data, &out, &err), IST_NO_MEMORY);
    ist_buffer_free(&out);
    ist_buffer_free(&deep);
    ist_buffer_free(&text);
}

static void test_store_xml__escaped_text_reads_back(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer xml = IST_BUFFER_INIT, out = IST_BUFFER_INIT;
    assert_ok(ist_buffer_append_string(&xml, "<a>", &err), err);
    assert_ok(ist__xml_escape("\"1 < 2\" & >", &xml, &err), err);
    assert_ok(ist_buffer_append_string(&xml, "</a>", &err), err);
    assert_ok(read_text(xml.data, &out, &err), err);
    assert_string_equal(out.data, "a=\"1 < 2\" & >;");
    ist_buffer_free(&xml);
    ist_buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_xml__elements_in_order),
        cmocka_unit_test(test_store_xml__bad_input_is_refused),
        cmocka_unit_test(test_store_xml__escaped_text_reads_back),
    };
    return run_group(tests, argc, argv);
}
