/* test_vend.c: the storage configuration, session policies, and what token services answer. Vending end to end, with
 * services that enforce it: python/tests/test_cloud_stores.py. */
#include "catalog/local/vend_internal.h"
#include "testing.h"

#include <string.h>
#include <sys/stat.h>

static ist_status parse(const char *text, ist__vend_config *out, ist_error *err)
{
    ist_error_clear(err);
    return ist__vend_config_parse(text, strlen(text), "storage.json", out, err);
}

#define KEYS "\"access_key_id\":\"K\",\"secret_access_key\":\"very secret\""

static void test_catalog_vend__configuration_is_read(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist__vend_config config;
    assert_ok(parse("{\"life_seconds\":900,\"locations\":[{\"url\":\"s3://\"," KEYS "},"
                    "{\"url\":\"s3://bucket/a/\",\"path_style\":false,\"role_arn\":\"r\"," KEYS "},"
                    "{\"url\":\"abfss://c@a.dfs.core.windows.net\",\"account_key\":\"k\",\"flat_namespace\":true},"
                    "{\"url\":\"gs://b\",\"key_file\":\"/k.json\"}]}", &config, &err), err);
    assert_int_equal(config.count, 4);
    assert_int_equal(config.life_seconds, 900);
    assert_int_equal(config.cache_seconds, 60);
    const ist__vend_location *found = ist__vend_config_find(&config, "s3://bucket/a/t");
    assert_string_equal(found->url, "s3://bucket/a");
    assert_true(found->path_style_set && !found->path_style);
    assert_string_equal(ist__vend_config_find(&config, "s3://bucket/ab")->url, "s3://");
    assert_string_equal(ist__vend_config_find(&config, "s3://bucket/a")->url, "s3://bucket/a");
    assert_true(ist__vend_config_find(&config, "abfss://c@a.dfs.core.windows.net/t")->flat_namespace);
    assert_null(ist__vend_config_find(&config, "gs://bb/t"));
    ist__vend_config_free(&config);
}

static void test_catalog_vend__mistakes_in_the_configuration_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "locations"},
        {"[]", "locations"},
        {"{\"locations\":{}}", "locations"},
        {"{\"locations\":[{}]}", "location 1: 'url'"},
        {"{\"locations\":[{\"url\":\"http://x\"}]}", "'url'"},
        {"{\"locations\":[{\"url\":\"s3://b\"}]}", "'access_key_id'"},
        {"{\"locations\":[{\"url\":\"s3://b\",\"acces_key_id\":\"K\"}]}", "no member 'acces_key_id'"},
        {"{\"locations\":[{\"url\":\"s3://b\",\"account_key\":\"K\"}]}", "not for this service"},
        {"{\"locations\":[{\"url\":\"s3://b\",\"give_keys\":\"yes\"," KEYS "}]}", "true or false"},
        {"{\"locations\":[{\"url\":\"s3://b\",\"region\":7," KEYS "}]}", "must be a text"},
        {"{\"locations\":[{\"url\":\"s3://b\"," KEYS "," KEYS "}]}", "twice"},
        {"{\"locations\":[{\"url\":\"gs://b\"}]}", "'key_file'"},
        {"{\"locations\":[{\"url\":\"abfss://c@a.dfs.x\",\"tenant_id\":\"t\"}]}", "'client_secret'"},
        {"{\"locations\":[],\"life_seconds\":60}", "'life_seconds'"},
    };
    ist_error err = IST_ERROR_INIT;
    ist__vend_config config;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(bad[i][0], &config, &err), IST_BAD_INPUT);
        if (!strstr(err.message, bad[i][1]) || !strstr(err.message, "storage.json") || strstr(err.message, "secret "))
            fail_msg("%s: %s", bad[i][0], err.message);
        ist__vend_config_free(&config);
    }
}

static void test_catalog_vend__the_configuration_is_its_owners(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist__vend_config config;
    char *folder = new_folder(), path[4200];
    snprintf(path, sizeof path, "%s/storage.json", folder);
    assert_int_equal(ist__vend_config_read(path, &config, &err), IST_NOT_FOUND);
    FILE *file = fopen(path, "w");
    fputs("{\"locations\":[]}", file);
    fclose(file);
    chmod(path, 0640);
    assert_int_equal(ist__vend_config_read(path, &config, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "chmod 600"));
    chmod(path, 0600);
    assert_ok(ist__vend_config_read(path, &config, &err), err);
    ist__vend_config_free(&config);
    remove_folder(folder);
}

static void assert_policy(const char *uri, bool write, const char *expected)
{
    ist_error err = IST_ERROR_INIT;
    ist__cloud_location where;
    ist_buffer policy = IST_BUFFER_INIT;
    assert_ok(ist__cloud_location_read(uri, &where, &err), err);
    assert_ok(ist__vend_s3_policy(&where, write, &policy, &err), err);
    assert_string_equal(policy.data, expected);
    ist_buffer_free(&policy);
}

static void test_catalog_vend__policies_allow_one_prefix(void **state)
{
    (void)state;
    assert_policy("s3://b/a/t", false,
                  "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\"],"
                  "\"Resource\":[\"arn:aws:s3:::b/a/t/*\",\"arn:aws:s3:::b/a/t\"]},"
                  "{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\"],"
                  "\"Resource\":[\"arn:aws:s3:::b\"],"
                  "\"Condition\":{\"StringLike\":{\"s3:prefix\":[\"a/t\",\"a/t/*\"]}}}]}");
    assert_policy("s3://b", true,
                  "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\","
                  "\"s3:PutObject\",\"s3:DeleteObject\",\"s3:AbortMultipartUpload\",\"s3:ListMultipartUploadParts\"],"
                  "\"Resource\":[\"arn:aws:s3:::b/*\"]},{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\"],"
                  "\"Resource\":[\"arn:aws:s3:::b\"]}]}");
    static const char *const wild[] = {"s3://b/a*", "s3://b/a%2A", "s3://b/?", "s3://b/${aws:username}"};
    ist_error err = IST_ERROR_INIT;
    ist__cloud_location where;
    ist_buffer policy = IST_BUFFER_INIT;
    for (size_t i = 0; i < 4; i++) {
        assert_ok(ist__cloud_location_read(wild[i], &where, &err), err);
        assert_int_equal(ist__vend_s3_policy(&where, false, &policy, &err), IST_BAD_INPUT);
    }
    ist_buffer_free(&policy);
}

static void test_catalog_vend__answers_of_the_token_service(void **state)
{
    (void)state;
    static const char good[] =
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>"
        "<AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>"
        "<Expiration>2026-11-24T07:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    static const char half[] = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>"
                               "</Credentials></AssumeRoleResult></AssumeRoleResponse>";
    ist_error err = IST_ERROR_INIT;
    int64_t expires_ms = 0;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *keys = yyjson_mut_obj(doc);
    assert_ok(ist__vend_s3_read(good, sizeof good - 1, doc, keys, &expires_ms, &err), err);
    assert_int_equal(expires_ms, 1795503600000);
    assert_string_equal(yyjson_mut_get_str(yyjson_mut_obj_get(keys, "session_token")), "T");
    assert_int_equal(ist__vend_s3_read(half, sizeof half - 1, doc, keys, &expires_ms, &err), IST_BAD_INPUT);
    assert_int_equal(ist__vend_s3_read("", 0, doc, keys, &expires_ms, &err), IST_BAD_INPUT);
    yyjson_mut_doc_free(doc);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog_vend__configuration_is_read),
        cmocka_unit_test(test_catalog_vend__mistakes_in_the_configuration_are_named),
        cmocka_unit_test(test_catalog_vend__the_configuration_is_its_owners),
        cmocka_unit_test(test_catalog_vend__policies_allow_one_prefix),
        cmocka_unit_test(test_catalog_vend__answers_of_the_token_service),
    };
    return run_group(tests, argc, argv);
}
