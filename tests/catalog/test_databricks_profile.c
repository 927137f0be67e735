/* test_databricks_profile.c: sections of a ~/.databrickscfg. */
#include "testing.h"

#include "catalog/catalog_internal.h"

#include <string.h>

static const char two[] = "; mine\n"
                          "[DEFAULT]\n"
                          "host  = https://example.cloud.databricks.com/\n"
                          "token = dapi=0#1\n"
                          "\n"
                          "[prod]\r\n"
                          "  # m2m\r\n"
                          "  HOST: example.azuredatabricks.net\r\n"
                          "client_id = me\r\n"
                          "client_secret = w0rd\r\n"
                          "cluster_id = 1\r\n"
                          "auth_type = oauth-m2m";

static ist_status profile_read(const char *text, const char *name, ist__profile *out, ist_error *err)
{
    return ist__profile_read(text, strlen(text), name, out, err);
}

static void test_databricks_profile__reads_a_section(void **state)
{
    (void)state;
    ist__profile profile;
    ist_error err = IST_ERROR_INIT;
    assert_ok(profile_read(two, "DEFAULT", &profile, &err), err);
    assert_string_equal(profile.host, "https://example.cloud.databricks.com/");
    assert_string_equal(profile.token, "dapi=0#1");
    assert_string_equal(profile.client_id, "");
    assert_ok(profile_read(two, "prod", &profile, &err), err);
    assert_string_equal(profile.host, "example.azuredatabricks.net");
    assert_string_equal(profile.token, ""); /* DEFAULT lends nothing */
    assert_string_equal(profile.client_id, "me");
    assert_string_equal(profile.client_secret, "w0rd");
    assert_string_equal(profile.auth_type, "oauth-m2m");
    assert_int_equal(profile_read(two, "Prod", &profile, &err), IST_NOT_FOUND);
    assert_int_equal(profile_read("", "DEFAULT", &profile, &err), IST_NOT_FOUND);
}

static void test_databricks_profile__tells_the_line_and_no_secret(void **state)
{
    (void)state;
    ist__profile profile;
    ist_error err = IST_ERROR_INIT;
    assert_int_equal(profile_read("[a]\nhost = h\ndapi0123\n", "a", &profile, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "line 3"));
    assert_null(strstr(err.message, "dapi"));
    /* What is wrong in another section is another's affair. */
    assert_ok(profile_read("[a]\nhost = h\n[b]\ndapi0123\n", "a", &profile, &err), err);

    static char text[IST__TOKEN_MAX + 100];
    memcpy(text, "[a]\ntoken=", 10);
    memset(text + 10, 'x', IST__TOKEN_MAX);
    text[10 + IST__TOKEN_MAX] = '\0';
    assert_ok(profile_read(text, "a", &profile, &err), err);
    assert_int_equal(strlen(profile.token), IST__TOKEN_MAX);
    memcpy(text + 10 + IST__TOKEN_MAX, "x", 2);
    assert_int_equal(profile_read(text, "a", &profile, &err), IST_BAD_INPUT);
    assert_null(strstr(err.message, "xxx"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_databricks_profile__reads_a_section),
        cmocka_unit_test(test_databricks_profile__tells_the_line_and_no_secret),
    };
    return run_group(tests, argc, argv);
}
