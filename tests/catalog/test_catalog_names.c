/* test_catalog_names.c: full names and locations. */
#include "testing.h"

#include "catalog/catalog_internal.h"

#include <string.h>

static void test_catalog_names_split__backquotes(void **state)
{
    (void)state;
    ist__name name;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist__name_split("`a.b`.c.`d``e`", 3, &name, &err), err);
    assert_string_equal(name.part[0], "a.b");
    assert_string_equal(name.part[1], "c");
    assert_string_equal(name.part[2], "d`e");
    assert_ok(ist__name_split("", 0, &name, &err), err);
    static const char *const bad[] = {"a",    "a.b",    "a.b.c.d",  "a..c",   ".b.c",
                                      "a.b.", "`a.b.c", "a.b.`c`d", "a`.b.c", "``.b.c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ist__name_split(bad[i], 3, &name, &err), IST_BAD_INPUT);
    char text[300];
    memset(text, 'x', sizeof text);
    text[255] = '\0';
    assert_ok(ist__name_split(text, 1, &name, &err), err);
    text[255] = 'x';
    text[256] = '\0';
    assert_int_equal(ist__name_split(text, 1, &name, &err), IST_BAD_INPUT);
}

static void test_catalog_names_location__one_spelling(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/a/b", "file:///a/b"},
        {"file:/a/b/", "file:///a/b"},
        {"file:///a//./b/../c", "file:///a/c"},
        {"file:///../../a", "file:///a"},
        {"file:///a/%2E%2E/b", "file:///b"},
        {"file:///a%2Fb", "file:///a/b"},
        {"file:///%41", "file:///A"},
        {"/a b%", "file:///a%20b%25"},
        {"/\xC3\xA9", "file:///%C3%A9"},
        {"/", "file:///"},
        {"s3://bucket/key/", "s3://bucket/key"},
        {"abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x"},
    };
    static const char *const bad[] = {"",         "a/b",     "file:a",    "file://host/a", "http://h/x", "s3://",
                                      "s3:///key", "s3://b/a b", "/a\nb", "file:///a%00",  "file:///%4", "gs:/b"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist_buffer out = IST_BUFFER_INIT, again = IST_BUFFER_INIT;
        ist_error err = IST_ERROR_INIT;
        assert_ok(ist__location_normalize(cases[i][0], &out, &err), err);
        assert_string_equal(out.data, cases[i][1]);
        assert_ok(ist__location_normalize(out.data, &again, &err), err);
        assert_string_equal(again.data, out.data);
        ist_buffer_free(&out);
        ist_buffer_free(&again);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ist_buffer out = IST_BUFFER_INIT;
        if (ist__location_normalize(bad[i], &out, NULL) != IST_BAD_INPUT)
            fail_msg("'%s' became %s", bad[i], out.data);
        ist_buffer_free(&out);
    }
}

static void test_catalog_names_kinds__parts_and_parents(void **state)
{
    (void)state;
    for (int kind = 0; kind < IST__SECURABLE_COUNT; kind++) {
        ist_securable parent = ist__securable_parent((ist_securable)kind);
        int parts = ist__securable_parts((ist_securable)kind);
        assert_int_equal(parts, kind == IST_SECURABLE_METASTORE ? 0 : ist__securable_parts(parent) + 1);
        assert_non_null(ist__securable_label((ist_securable)kind));
        assert_non_null(ist__securable_type((ist_securable)kind));
    }
    assert_string_equal(ist__securable_plural(IST_SECURABLE_EXTERNAL_LOCATION), "external_locations");
    assert_string_equal(ist__securable_path(IST_SECURABLE_EXTERNAL_LOCATION), "external-locations");
    ist__name name;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist__name_split("a.b.c.12", ist__securable_parts(IST_SECURABLE_MODEL_VERSION), &name, &err), err);
    assert_string_equal(name.part[3], "12");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog_names_split__backquotes),
        cmocka_unit_test(test_catalog_names_location__one_spelling),
        cmocka_unit_test(test_catalog_names_kinds__parts_and_parents),
    };
    return run_group(tests, argc, argv);
}
