/* test_aws_profile.c: profiles of AWS' tools: which file goes first, and what the store makes of them. */
#include "testing.h"

#include "isthmus/sys/credentials.h"
#include "store/aws_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char keys[] = "[default]\naws_access_key_id = dk\naws_secret_access_key = ds\n"
                           "[work]\naws_access_key_id=wk\naws_secret_access_key=w/s+=\naws_session_token = t\n"
                           "[broken]\nno line\n";
static const char config[] = "[default]\nregion = eu-west-1\ns3 =\n    max_concurrent_requests = 20\n"
                             "[profile work]\nregion = us-west-2\naws_access_key_id = other\n"
                             "[profile sso]\nsso_session = x\nregion = eu-west-3\n";

static char folder[64];

static void write_file(const char *name, const char *text, const char *variable)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    setenv(variable, path, 1);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
                                        "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    snprintf(folder, sizeof folder, "/tmp/isthmus_test_XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_file("credentials", keys, "AWS_SHARED_CREDENTIALS_FILE");
    write_file("config", config, "AWS_CONFIG_FILE");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove(getenv("AWS_SHARED_CREDENTIALS_FILE"));
    remove(getenv("AWS_CONFIG_FILE"));
    return remove(folder);
}

static void test_store_aws_profile__two_files(void **state)
{
    (void)state;
    ist__aws_profile profile;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist__aws_profile_read("default", &profile, &err), err);
    assert_string_equal(profile.key, "dk");
    assert_string_equal(profile.region, "eu-west-1");
    assert_ok(ist__aws_profile_read("work", &profile, &err), err);
    assert_string_equal(profile.key, "wk"); /* the file of keys goes first */
    assert_string_equal(profile.secret, "w/s+=");
    assert_string_equal(profile.token, "t");
    assert_string_equal(profile.region, "us-west-2");
    assert_int_equal(ist__aws_profile_read("nobody", &profile, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "the profile nobody"));
    assert_int_equal(ist__aws_profile_read("broken", &profile, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "credentials: line 9"));
}

static ist_status open_options(const char *options, ist_buffer *out, ist_error *err)
{
    ist_credentials *credentials = NULL;
    ist_buffer_clear(out);
    ist_status status = ist_credentials_from_options("s3://bucket/t", options, &credentials, err);
    if (status == IST_OK)
        status = ist_credentials_get(credentials, out, err);
    ist_credentials_free(credentials);
    return status;
}

static void test_store_aws_profile__what_goes_first(void **state)
{
    (void)state;
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(open_options("{}", &out, &err), err);
    assert_non_null(strstr(out.data, "\"dk\""));
    assert_non_null(strstr(out.data, "\"region\":\"eu-west-1\""));
    setenv("AWS_PROFILE", "work", 1);
    assert_ok(open_options("{\"aws_region\":\"mine\"}", &out, &err), err);
    assert_non_null(strstr(out.data, "\"wk\""));
    assert_non_null(strstr(out.data, "\"region\":\"mine\""));
    setenv("AWS_ACCESS_KEY_ID", "ek", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "es", 1);
    assert_ok(open_options("{}", &out, &err), err);
    assert_non_null(strstr(out.data, "\"ek\"")); /* keys of the environment before its profile, as AWS' tools do */
    assert_ok(open_options("{\"AWS_PROFILE\":\"default\"}", &out, &err), err);
    assert_non_null(strstr(out.data, "\"dk\""));
    assert_int_equal(open_options("{\"aws_profile\":\"sso\"}", &out, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "export-credentials"));
    assert_int_equal(open_options("{\"aws_profile\":\"nobody\"}", &out, &err), IST_BAD_INPUT);
    ist_buffer_free(&out);
}

static void test_store_aws_profile__no_files(void **state)
{
    (void)state;
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    char *before = strdup(getenv("AWS_SHARED_CREDENTIALS_FILE")), *other = strdup(getenv("AWS_CONFIG_FILE"));
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/a", 1);
    setenv("AWS_CONFIG_FILE", "/nowhere/b", 1);
    assert_ok(open_options("{}", &out, &err), err); /* nobody asked for a profile */
    assert_non_null(strstr(out.data, "\"unsigned\":true"));
    setenv("AWS_PROFILE", "work", 1);
    assert_int_equal(open_options("{}", &out, &err), IST_BAD_INPUT);
    setenv("AWS_SHARED_CREDENTIALS_FILE", before, 1);
    setenv("AWS_CONFIG_FILE", other, 1);
    free(before);
    free(other);
    ist_buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_store_aws_profile__two_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_aws_profile__what_goes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_aws_profile__no_files, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
