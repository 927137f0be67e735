/* test_kept_tables.c: who gets which open table back. */
#include "kept_tables.h"

#include "testing.h"

#include "isthmus/server.h"

#include <pthread.h>
#include <string.h>

static int opened;

/* Real tables of one catalog: what ist_table_free must close is what was opened. */
static ist_status open_counted(const char *access, ist_table **out, ist_error *err)
{
    opened++;
    if (strcmp(access, "refused") == 0)
        return ist_error_set(err, IST_FORBIDDEN, 0, NULL, "not you");
    return ist_table_open_access(access, IST_TABLE_WRITE, out, err);
}

typedef struct fixture {
    char *home;
    ist_server *server;
    ist_catalog *catalog;
    kept_tables *kept;
    ist_buffer access[KEPT_TABLES_MAX + 2];
    ist_error err;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    ist_server_options server_options = IST_SERVER_OPTIONS_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    f->home = new_folder();
    server_options.home = f->home;
    server_options.token = "secret";
    assert_ok(ist_server_start(&server_options, &f->server, &f->err), f->err);
    options.uri = ist_server_url(f->server);
    options.token = "secret";
    assert_ok(ist_catalog_open(&options, &f->catalog, &f->err), f->err);
    assert_ok(kept_tables_new(open_counted, &f->kept, &f->err), f->err);
    for (int i = 0; i < KEPT_TABLES_MAX + 2; i++) {
        char body[400], name[40];
        ist_table *table;
        snprintf(name, sizeof name, "main.default.t%d", i);
        snprintf(body, sizeof body,
                 "{\"name\":\"t%d\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"EXTERNAL\","
                 "\"data_source_format\":\"DELTA\",\"storage_location\":\"%s/data/t%d\"}", i, f->home, i);
        assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_TABLE, body, NULL, &f->err), f->err);
        assert_ok(ist_table_open(f->catalog, name, IST_TABLE_WRITE, &table, &f->err), f->err);
        assert_ok(ist_table_access(table, &f->access[i], &f->err), f->err);
        ist_table_free(table);
    }
    opened = 0;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    kept_tables_free(f->kept);
    for (int i = 0; i < KEPT_TABLES_MAX + 2; i++)
        ist_buffer_free(&f->access[i]);
    ist_catalog_free(f->catalog);
    ist_server_stop(f->server);
    remove_folder(f->home);
    free(f);
    return 0;
}

static ist_table *take(fixture *f, int i)
{
    ist_table *table;
    assert_ok(kept_tables_take(f->kept, f->access[i].data, &table, &f->err), f->err);
    return table;
}

static void give(fixture *f, int i, ist_table *table, bool good)
{
    kept_tables_give(f->kept, f->access[i].data, table, good);
}

static void test_daemon_kept_tables__a_good_one_comes_back(void **state)
{
    fixture *f = *state;
    /* One that is taken is the taker's alone. */
    ist_table *first = take(f, 0), *second = take(f, 0), *other = take(f, 1);
    assert_ptr_not_equal(first, second);
    assert_string_equal(ist_table_name(other), "main.default.t1");
    assert_int_equal(opened, 3);
    give(f, 0, first, true);
    give(f, 1, other, true);
    give(f, 0, second, false);
    assert_ptr_equal(take(f, 0), first);
    assert_int_equal(opened, 3);
    give(f, 0, first, false);
    give(f, 0, take(f, 0), true);
    assert_int_equal(opened, 4);
    assert_ptr_equal(take(f, 1), other);
    give(f, 1, other, true);
}

static void test_daemon_kept_tables__the_longest_unused_goes(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < KEPT_TABLES_MAX + 2; i++)
        give(f, i, take(f, i), true);
    assert_int_equal(opened, KEPT_TABLES_MAX + 2);
    for (int i = KEPT_TABLES_MAX + 1; i >= 2; i--)
        give(f, i, take(f, i), true);
    assert_int_equal(opened, KEPT_TABLES_MAX + 2);
    give(f, 0, take(f, 0), true);
    assert_int_equal(opened, KEPT_TABLES_MAX + 3);
}

static void test_daemon_kept_tables__a_refusal_is_not_kept(void **state)
{
    fixture *f = *state;
    ist_table *table;
    for (int i = 0; i < 2; i++)
        assert_int_equal(kept_tables_take(f->kept, "refused", &table, &f->err), IST_FORBIDDEN);
    assert_int_equal(opened, 2);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(test_daemon_kept_tables__a_good_one_comes_back),
        test(test_daemon_kept_tables__the_longest_unused_goes),
        test(test_daemon_kept_tables__a_refusal_is_not_kept),
    };
    return run_group(tests, argc, argv);
}
