/* test_volume.c: the forms of a volume's path, and files through a catalog in this process. */
#include "testing.h"

#include "isthmus/volume.h"

#include <string.h>

static void test_catalog_volume__splits_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *path, *volume, *within;
    } cases[] = {
        {"/Volumes/c/s/v", "c.s.v", ""},
        {"/Volumes/c/s/v/a/b.csv", "c.s.v", "a/b.csv"},
        {"/Volumes//c/s/v///a//b/", "c.s.v", "a/b"},
        {"dbfs:/Volumes/c/s/v/a", "c.s.v", "a"},
        {"dbfs:///Volumes/c/s/v/a", "c.s.v", "a"},
        {"/dbfs/Volumes/c/s/v/a", "c.s.v", "a"},
        {"dbfs:/tmp/x", "main.default.dbfs", "tmp/x"},
        {"/dbfs/tmp/x", "main.default.dbfs", "tmp/x"},
        {"dbfs:/", "main.default.dbfs", ""},
        {"dbfs:/Volumesx/y", "main.default.dbfs", "Volumesx/y"},
        {"/Volumes/c/s/v/p=%20 \xC3\xA9", "c.s.v", "p=%20 \xC3\xA9"},
        {"/Volumes/c/s/v/..a/b..", "c.s.v", "..a/b.."},
        {"/Volumes", "", ""},
        {"/Volumes/c", "c", ""},
        {"/Volumes/c/s/", "c.s", ""},
    };
    ist_error err = IST_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist_buffer volume = IST_BUFFER_INIT, within = IST_BUFFER_INIT;
        assert_true(ist_volume_is_path(cases[i].path));
        assert_ok(ist_volume_split(cases[i].path, &volume, &within, &err), err);
        assert_string_equal(volume.data, cases[i].volume);
        assert_string_equal(within.data, cases[i].within);
        ist_buffer_free(&volume);
        ist_buffer_free(&within);
    }
}

static void test_catalog_volume__refuses_what_leaves_or_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"/Volumes/c/s/v/../x", "/Volumes/c/s/v/a/..", "/Volumes/c/../s/v", "dbfs:/../x",
                                      "/Volumes/./s/v",      "/Volumes/c/s.t/v/x",  "/data/x",           "s3://b/x",
                                      "/VolumesX/c/s/v",     "",                    "Volumes/c/s/v"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ist_error err = IST_ERROR_INIT;
        ist_buffer volume = IST_BUFFER_INIT, within = IST_BUFFER_INIT;
        assert_int_equal(ist_volume_split(bad[i], &volume, &within, &err), IST_BAD_INPUT);
        assert_non_null(strstr(err.message, bad[i]));
        ist_buffer_free(&volume);
        ist_buffer_free(&within);
    }
    assert_false(ist_volume_is_path("/data/x"));
    assert_false(ist_volume_is_path("/dbfsx/y"));
    assert_false(ist_volume_is_path("/VolumesX"));
}

static void test_catalog_volume__opens_lists_and_makes_dbfs(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    ist_catalog *catalog;
    ist_store *store = NULL;
    ist_buffer within = IST_BUFFER_INIT, json = IST_BUFFER_INIT;
    char *folder = new_folder(), uri[4200];
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", folder);
    options.uri = uri;
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    assert_ok(ist_catalog_create(catalog, IST_SECURABLE_VOLUME,
                                 "{\"catalog_name\":\"main\",\"schema_name\":\"default\",\"name\":\"raw\","
                                 "\"volume_type\":\"MANAGED\"}",
                                 NULL, &err), err);
    assert_int_equal(ist_volume_open(catalog, "/Volumes/main/default", false, &store, &within, &err), IST_BAD_INPUT);
    assert_int_equal(ist_volume_open(catalog, "/Volumes/main/default/no/x", true, &store, &within, &err),
                     IST_NOT_FOUND);
    assert_int_equal(ist_volume_open(catalog, "/Volumes/main/default/a\"b/x", true, &store, &within, &err),
                     IST_BAD_INPUT);
    ist_buffer_free(&within);
    assert_ok(ist_volume_open(catalog, "/Volumes/main/default/raw/a/x", true, &store, &within, &err), err);
    assert_ok(ist_store_put(store, within.data, "x", 1, IST_PUT_IF_ABSENT, &err), err);
    ist_store_free(store);
    assert_ok(ist_volume_list(catalog, "dbfs:/Volumes/main/default/raw/a", &json, &err), err);
    assert_non_null(strstr(json.data, "\"name\":\"x\",\"size\":1"));

    ist_buffer_clear(&json);
    ist_buffer_free(&within);
    store = NULL;
    assert_int_equal(ist_volume_open(catalog, "dbfs:/tmp/y", false, &store, &within, &err), IST_NOT_FOUND);
    ist_buffer_free(&within);
    assert_ok(ist_volume_open(catalog, "dbfs:/tmp/y", true, &store, &within, &err), err);
    assert_string_equal(within.data, "tmp/y");
    ist_store_free(store);
    assert_ok(ist_volume_list(catalog, "/Volumes/main/default", &json, &err), err);
    assert_string_equal(json.data, "{\"objects\":[],\"folders\":[\"dbfs\",\"raw\"]}");
    ist_buffer_free(&within);
    ist_buffer_free(&json);
    ist_catalog_free(catalog);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog_volume__splits_every_form),
        cmocka_unit_test(test_catalog_volume__refuses_what_leaves_or_is_none),
        cmocka_unit_test(test_catalog_volume__opens_lists_and_makes_dbfs),
    };
    return run_group(tests, argc, argv);
}
