/* test_connection.c: which server, and whose token goes to it. */
#include "testing.h"

#include "catalog/catalog_internal.h"

#include <string.h>
#include <sys/stat.h>

/* A home with a server.json and a profile file, either of which may be absent. */
typedef struct place {
    char *home;
    ist_catalog_options options;
    ist__connection found;
    ist_error err;
} place;

static const char profiles[] = "[DEFAULT]\nhost = https://default.cloud.databricks.com\ntoken = t-default\n"
                               "[prod]\nhost = prod.azuredatabricks.net\nclient_id = me\nclient_secret = w0rd\n"
                               "[cli]\nhost = https://x.databricks.com\nauth_type = databricks-cli\n"
                               "[bare]\nhost = https://bare.databricks.com\n";

static void write_file(const place *p, const char *name, const char *text)
{
    char path[4096];
    ist_error err = IST_ERROR_INIT;
    snprintf(path, sizeof path, "%s/%s", p->home, name);
    assert_ok(ist__write_private(path, text, strlen(text), &err), err);
}

static void write_note(const place *p)
{
    ist__server_note note = {.url = "http://127.0.0.1:8080", .token = "t-note", .pid = 1};
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist__server_note_write(p->home, &note, &err), err);
}

static int set_up(void **state)
{
    static const char *const names[] = {"ISTHMUS_CATALOG",      "ISTHMUS_TOKEN",           "ISTHMUS_CA_FILE",
                                        "DATABRICKS_HOST",      "DATABRICKS_TOKEN",        "DATABRICKS_CLIENT_ID",
                                        "DATABRICKS_AUTH_TYPE", "DATABRICKS_CLIENT_SECRET",
                                        "DATABRICKS_CONFIG_PROFILE"};
    static place p;
    char path[4096];
    p = (place){.home = new_folder(), .options = IST_CATALOG_OPTIONS_INIT};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("ISTHMUS_HOME", p.home, 1);
    snprintf(path, sizeof path, "%s/profiles", p.home);
    setenv("DATABRICKS_CONFIG_FILE", path, 1);
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    place *p = *state;
    unsetenv("ISTHMUS_HOME");
    remove_folder(p->home);
    return 0;
}

static void assert_found(place *p, const char *host, const char *token, const char *client_id)
{
    assert_ok(ist__connection_find(&p->options, &p->found, &p->err), p->err);
    assert_string_equal(p->found.host, host);
    assert_string_equal(p->found.token, token);
    assert_string_equal(p->found.client_id, client_id);
}

static void test_connection__goes_by_the_order(void **state)
{
    place *p = *state;
    assert_int_equal(ist__connection_find(&p->options, &p->found, &p->err), IST_NOT_FOUND);
    assert_non_null(strstr(p->err.message, "isthmus serve"));
    write_file(p, "profiles", profiles);
    assert_found(p, "https://default.cloud.databricks.com", "t-default", "");
    write_note(p);
    assert_found(p, "http://127.0.0.1:8080", "t-note", "");
    setenv("ISTHMUS_TOKEN", "t-mine", 1);
    assert_found(p, "http://127.0.0.1:8080", "t-mine", "");
    setenv("DATABRICKS_CONFIG_PROFILE", "prod", 1);
    assert_found(p, "https://prod.azuredatabricks.net", "", "me");
    unsetenv("DATABRICKS_CONFIG_PROFILE");
    setenv("DATABRICKS_HOST", "env.cloud.databricks.com/", 1);
    setenv("DATABRICKS_TOKEN", "t-env", 1);
    assert_found(p, "https://env.cloud.databricks.com", "t-env", "");
    setenv("ISTHMUS_CATALOG", "http://127.0.0.1:9/api/2.1/unity-catalog/", 1);
    assert_found(p, "http://127.0.0.1:9", "t-mine", "");
    p->options.uri = "https://h:1";
    p->options.token = "t-option";
    assert_found(p, "https://h:1", "t-option", "");
    p->options.uri = "sqlite:/x/y.db";
    assert_ok(ist__connection_find(&p->options, &p->found, &p->err), p->err);
    assert_string_equal(p->found.sqlite, "/x/y.db");
}

static void test_connection__names_a_profile(void **state)
{
    place *p = *state;
    write_file(p, "profiles", profiles);
    p->options.uri = "databricks:prod";
    assert_found(p, "https://prod.azuredatabricks.net", "", "me");
    assert_string_equal(p->found.client_secret, "w0rd");
    p->options.token = "t-option"; /* instead of the client's */
    assert_found(p, "https://prod.azuredatabricks.net", "t-option", "");
    p->options.token = NULL;
    p->options.uri = "databricks";
    assert_found(p, "https://default.cloud.databricks.com", "t-default", "");
    p->options.uri = "databricks:none";
    assert_int_equal(ist__connection_find(&p->options, &p->found, &p->err), IST_NOT_FOUND);
    assert_non_null(strstr(p->err.message, "[none]"));
    p->options.uri = "databricks:cli";
    assert_int_equal(ist__connection_find(&p->options, &p->found, &p->err), IST_UNSUPPORTED);
    assert_non_null(strstr(p->err.message, "databricks-cli"));
    p->options.uri = "databricks:bare";
    assert_int_equal(ist__connection_find(&p->options, &p->found, &p->err), IST_UNAUTHENTICATED);
    setenv("DATABRICKS_TOKEN", "t-env", 1); /* for whichever host is named */
    assert_found(p, "https://bare.databricks.com", "t-env", "");
}

/* What was found for one server goes to no other. */
static void test_connection__keeps_secrets_apart(void **state)
{
    place *p = *state;
    write_note(p);
    write_file(p, "profiles", profiles);
    p->options.uri = "http://127.0.0.1:8081";
    assert_found(p, "http://127.0.0.1:8081", "", "");
    p->options.uri = "http://127.0.0.1:8080/";
    assert_found(p, "http://127.0.0.1:8080", "t-note", "");
    p->options.uri = "https://default.cloud.databricks.com"; /* a file that nothing asks for */
    assert_found(p, "https://default.cloud.databricks.com", "", "");
    setenv("DATABRICKS_CONFIG_PROFILE", "prod", 1);
    p->options.uri = "https://prod.azuredatabricks.net";
    assert_found(p, "https://prod.azuredatabricks.net", "", "me");
    p->options.uri = "https://prod.azuredatabricks.net.evil.example";
    assert_found(p, "https://prod.azuredatabricks.net.evil.example", "", "");
    unsetenv("DATABRICKS_CONFIG_PROFILE");
    /* A profile's secret to a host of the environment, and the other way round. */
    setenv("DATABRICKS_HOST", "https://evil.databricks.com", 1);
    setenv("DATABRICKS_TOKEN", "t-env", 1);
    p->options.uri = "databricks:prod";
    assert_found(p, "https://prod.azuredatabricks.net", "", "me");
    p->options.uri = "databricks:bare";
    assert_int_equal(ist__connection_find(&p->options, &p->found, &p->err), IST_UNAUTHENTICATED);
}

static void test_connection__takes_a_ca_file(void **state)
{
    place *p = *state;
    write_note(p);
    setenv("ISTHMUS_CA_FILE", "/env.pem", 1);
    assert_found(p, "http://127.0.0.1:8080", "t-note", "");
    assert_string_equal(p->found.ca_file, "/env.pem");
    p->options.ca_file = "/option.pem";
    assert_found(p, "http://127.0.0.1:8080", "t-note", "");
    assert_string_equal(p->found.ca_file, "/option.pem");
}

#define CASE(name) cmocka_unit_test_setup_teardown(test_connection__##name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(goes_by_the_order),
        CASE(names_a_profile),
        CASE(keeps_secrets_apart),
        CASE(takes_a_ca_file),
    };
    return run_group(tests, argc, argv);
}
