/* test_storage_options.c: names of options, of delta-rs and object_store, and the credentials that they become. */
#include "testing.h"

#include "isthmus/sys/credentials.h"

#include <stdlib.h>
#include <string.h>

#define S3_URI "s3://bucket/t"
#define AZURE_URI "abfss://c@account.dfs.core.windows.net/t"
#define KEYS "\"aws_access_key_id\":\"k\",\"aws_secret_access_key\":\"s\""

static int clear_environment(void **state)
{
    static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
                                        "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY",
                                        "GOOGLE_APPLICATION_CREDENTIALS"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere", 1);
    setenv("AWS_CONFIG_FILE", "/nowhere", 1);
    return 0;
}

static void assert_becomes(const char *uri, const char *options, const char *json)
{
    ist_credentials *credentials = NULL;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    assert_ok(ist_credentials_from_options(uri, options, &credentials, &err), err);
    assert_ok(ist_credentials_get(credentials, &out, &err), err);
    assert_string_equal(out.data, json);
    ist_buffer_free(&out);
    ist_credentials_free(credentials);
}

static void test_store_storage_options__names_in_any_case(void **state)
{
    (void)state;
    static const char all[] = "{\"aws_temp_credentials\":{\"access_key_id\":\"k\",\"secret_access_key\":\"s\","
                              "\"session_token\":\"t\"},\"isthmus_storage\":{\"endpoint\":\"http://e:1\",\"region\":\"r\"}}";
    assert_becomes(S3_URI, "{\"AWS_ACCESS_KEY_ID\":\"k\",\"aws_secret_access_key\":\"s\",\"Aws_Session_Token\":\"t\","
                           "\"AWS_ENDPOINT_URL\":\"http://e:1\",\"AWS_REGION\":\"r\",\"allow_http\":\"true\"}", all);
    assert_becomes(S3_URI, "{\"access_key_id\":\"k\",\"SECRET_ACCESS_KEY\":\"s\",\"token\":\"t\",\"endpoint\":\"http://e:1\","
                           "\"default_region\":\"r\"}", all);
    assert_becomes(S3_URI, "{" KEYS ",\"aws_virtual_hosted_style_request\":\"True\",\"aws_session_token\":\"\"}",
                   "{\"aws_temp_credentials\":{\"access_key_id\":\"k\",\"secret_access_key\":\"s\"},"
                   "\"isthmus_storage\":{\"path_style\":false}}");
    assert_becomes(AZURE_URI, "{\"sas_token\":\"sig=1\",\"azure_storage_endpoint\":\"http://e/a\"}",
                   "{\"azure_user_delegation_sas\":{\"sas_token\":\"sig=1\"},"
                   "\"isthmus_storage\":{\"endpoint\":\"http://e/a\"}}");
}

static void test_store_storage_options__keys_of_the_environment(void **state)
{
    (void)state;
    assert_becomes(S3_URI, "{}", "{\"isthmus_storage\":{\"unsigned\":true}}"); /* as without options: anonymous */
    setenv("AWS_ACCESS_KEY_ID", "ek", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "es", 1);
    setenv("AWS_SESSION_TOKEN", "et", 1);
    assert_becomes(S3_URI, "{\"aws_region\":\"r\"}",
                   "{\"aws_temp_credentials\":{\"access_key_id\":\"ek\",\"secret_access_key\":\"es\","
                   "\"session_token\":\"et\"},\"isthmus_storage\":{\"region\":\"r\"}}");
    assert_becomes(S3_URI, "{" KEYS "}", /* the token belongs to another key */
                   "{\"aws_temp_credentials\":{\"access_key_id\":\"k\",\"secret_access_key\":\"s\"}}");
    assert_becomes(S3_URI, "{\"aws_skip_signature\":\"true\"}", "{\"isthmus_storage\":{\"unsigned\":true}}");
}

static void test_store_storage_options__refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *options;
        ist_status status;
        const char *message;
    } cases[] = {
        {S3_URI, "{\"aws_s3_locking_provider\":\"dynamodb\"}", IST_BAD_INPUT, "'aws_s3_locking_provider' is no storage option"},
        {S3_URI, "{\"azure_storage_sas_token\":\"x\"}", IST_BAD_INPUT, "'azure_storage_sas_token' is no storage option"},
        {AZURE_URI, "{\"AWS_REGION\":\"x\"}", IST_BAD_INPUT, "those are azure_storage_account_name"},
        {AZURE_URI, "{\"account_name\":\"other\"}", IST_BAD_INPUT, "the account other"},
        {S3_URI, "{\"aws_secret_access_key\":\"hush\"}", IST_BAD_INPUT, "without aws_access_key_id"},
        {S3_URI, "{\"aws_endpoint\":\"e:9000\"}", IST_BAD_INPUT, "'e:9000'"},
        {S3_URI, "{\"aws_endpoint\":\"http://e/\\\"x\"}", IST_BAD_INPUT, "is not http://"},
        {S3_URI, "{\"aws_region\":7}", IST_BAD_INPUT, "'aws_region' is not a text"},
        {S3_URI, "[]", IST_BAD_INPUT, "not a JSON object"},
        {S3_URI, "", IST_BAD_INPUT, "not a JSON object"},
        {"gs://bucket/t", "{\"google_service_account\":\"/nowhere/key.json\"}", IST_IO, "/nowhere/key.json"},
        {"/tmp/t", "{}", IST_UNSUPPORTED, "are for s3:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist_credentials *credentials = NULL;
        ist_error err = IST_ERROR_INIT;
        ist_status status = ist_credentials_from_options(cases[i].uri, cases[i].options, &credentials, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].message))
            fail_msg("case %zu: %s: %s", i, ist_status_name(status), err.message);
        assert_null(credentials);
        assert_null(strstr(err.message, "hush"));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_store_storage_options__names_in_any_case, clear_environment),
        cmocka_unit_test_setup(test_store_storage_options__keys_of_the_environment, clear_environment),
        cmocka_unit_test_setup(test_store_storage_options__refused_by_name, clear_environment),
    };
    return run_group(tests, argc, argv);
}
