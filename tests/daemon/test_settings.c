/* test_settings.c: the daemon's settings from text. */
#include "daemon.h"
#include "testing.h"

#include <string.h>

static ist_error err;

static ist_daemon_settings defaults(void)
{
    ist_daemon_settings settings;
    ist_daemon_settings_init(&settings);
    err = (ist_error)IST_ERROR_INIT;
    return settings;
}

static void test_daemon_settings__defaults(void **state)
{
    (void)state;
    ist_daemon_settings settings = defaults();
    assert_string_equal(settings.socket, "");
    assert_string_equal(settings.spill_dir, "");
    assert_int_equal(settings.memory, 0);
    assert_int_equal(settings.commit_threads, 4);
    assert_int_equal(settings.commit_batch, 1000);
    assert_int_equal(settings.max_clients, 4096);
    for (const ist_daemon_setting *s = ist_daemon_setting_table; s->name; s++) /* each default is a legal value */
        assert_ok(ist_daemon_settings_set(&settings, s->name, s->fallback, &err), err);
}

static void test_daemon_settings__sizes(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},          {"4096", 4096},          {"1K", 1024}, {"3M", 3 << 20},
                {"8G", 8ull << 30}, {"8GiB", 8ull << 30}, {"2T", 2ull << 40}};
    const char *bad[] = {"", " ", "G", "-1", "1.5G", "8g", "8GB", "8 G", "0x10", "99999999999999999999", "99999999T"};
    ist_daemon_settings settings = defaults();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(ist_daemon_settings_set(&settings, "memory", good[i].text, &err), err);
        assert_true(settings.memory == good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (ist_daemon_settings_set(&settings, "memory", bad[i], &err) != IST_BAD_INPUT)
            fail_msg("'%s' was accepted", bad[i]);
    assert_true(settings.memory == 2ull << 40); /* untouched by what was refused */
}

static void test_daemon_settings__bounds_and_names(void **state)
{
    (void)state;
    ist_daemon_settings settings = defaults();
    assert_ok(ist_daemon_settings_set(&settings, "commit_threads", "64", &err), err);
    assert_ok(ist_daemon_settings_set(&settings, "commit-threads", "1", &err), err);
    assert_int_equal(settings.commit_threads, 1);
    assert_int_equal(ist_daemon_settings_set(&settings, "commit_threads", "0", &err), IST_BAD_INPUT);
    assert_int_equal(ist_daemon_settings_set(&settings, "commit_threads", "65", &err), IST_BAD_INPUT);
    assert_string_equal(err.message, "commit_threads: 65 is not between 1 and 64");
    assert_int_equal(ist_daemon_settings_set(&settings, "commit_threads", "4K", &err), IST_BAD_INPUT);
    assert_int_equal(ist_daemon_settings_set(&settings, "commit", "4", &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "no setting 'commit'"));
    assert_non_null(strstr(err.message, "spill_dir"));
    static char path[IST_DAEMON_PATH_MAX + 1];
    memset(path, 'p', sizeof path - 1);
    assert_int_equal(ist_daemon_settings_set(&settings, "socket", path, &err), IST_BAD_INPUT);
}

static ist_status parse(ist_daemon_settings *settings, const char *text)
{
    return ist_daemon_settings_parse(settings, text, strlen(text), "daemon.conf", &err);
}

static void test_daemon_settings__config_text(void **state)
{
    (void)state;
    ist_daemon_settings settings = defaults();
    assert_ok(parse(&settings, ""), err);
    assert_ok(parse(&settings, "# comment\n\n  memory = 2G\r\n\tspill_dir=/data/a b#c \ncommit_batch =7"), err);
    assert_true(settings.memory == 2ull << 30);
    assert_string_equal(settings.spill_dir, "/data/a b#c");
    assert_int_equal(settings.commit_batch, 7);
    assert_ok(parse(&settings, "spill_dir =\n"), err);
    assert_string_equal(settings.spill_dir, "");

    assert_int_equal(parse(&settings, "memory = 1G\nmemory 2G\n"), IST_BAD_INPUT);
    assert_string_equal(err.message, "daemon.conf:2: not of the form: name = value");
    assert_int_equal(parse(&settings, "\n\ncolour = red"), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "daemon.conf:3: there is no setting 'colour'"));
    assert_int_equal(parse(&settings, "= 3"), IST_BAD_INPUT);
    assert_int_equal(ist_daemon_settings_parse(&settings, "socket = a\0b", 12, "f", &err), IST_BAD_INPUT);
}

static void test_daemon_settings__config_file(void **state)
{
    (void)state;
    char *folder = new_folder();
    ist_daemon_settings settings = defaults();
    ist_buffer path = IST_BUFFER_INIT, sample = IST_BUFFER_INIT;
    snprintf(settings.socket, sizeof settings.socket, "%s/daemon.sock", folder);
    ist_buffer_printf(&path, NULL, "%s/daemon.conf", folder);
    assert_ok(ist_daemon_settings_load(&settings, NULL, &err), err); /* none there */
    assert_int_equal(ist_daemon_settings_load(&settings, path.data, &err), IST_NOT_FOUND);
    FILE *file = fopen(path.data, "w");
    fputs("commit_threads = 9\n", file);
    fclose(file);
    assert_ok(ist_daemon_settings_load(&settings, NULL, &err), err);
    assert_int_equal(settings.commit_threads, 9);
    assert_int_equal(ist_daemon_settings_load(&settings, folder, &err), IST_IO);
    assert_int_equal(ist_daemon_settings_load(&settings, "/dev/zero", &err), IST_BAD_INPUT);

    /* The sample is a config file, with and without its comment signs. */
    assert_ok(ist_daemon_settings_sample(&sample, &err), err);
    assert_ok(parse(&settings, sample.data), err);
    assert_int_equal(settings.commit_threads, 9);
    for (char *at = sample.data; (at = strstr(at, "\n#")); at++)
        if (at[2] != ' ')
            at[1] = ' ';
    assert_ok(parse(&settings, sample.data), err);
    assert_int_equal(settings.commit_threads, 4);

    ist_buffer_clear(&sample);
    assert_ok(ist_daemon_settings_help(&sample, &err), err);
    assert_non_null(strstr(sample.data, "  --spill-dir DIR "));
    assert_non_null(strstr(sample.data, "(default 1000)"));
    ist_buffer_free(&sample);
    ist_buffer_free(&path);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemon_settings__defaults),
        cmocka_unit_test(test_daemon_settings__sizes),
        cmocka_unit_test(test_daemon_settings__bounds_and_names),
        cmocka_unit_test(test_daemon_settings__config_text),
        cmocka_unit_test(test_daemon_settings__config_file),
    };
    return run_group(tests, argc, argv);
}
