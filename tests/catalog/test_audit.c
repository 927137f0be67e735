/* test_audit.c: the audit log keeps what its bounds say, the newest. */
#include "testing.h"

#include "catalog/local/audit.h"
#include "catalog/local/local_internal.h"
#include "isthmus/catalog.h"

#include <string.h>

typedef struct fixture {
    char *home;
    ist_catalog *catalog;
    ist__local *local;
    ist_error err;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    char uri[4200];
    f->home = new_folder();
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", f->home);
    options.uri = uri;
    assert_ok(ist_catalog_open(&options, &f->catalog, &f->err), f->err);
    f->local = ((ist__session *)f->catalog->self)->local;
    ist__db *db = f->local->writer;
    assert_ok(ist__db_begin(db, &f->err), f->err);
    for (int i = 0; i < 10; i++) {
        char action[16];
        snprintf(action, sizeof action, "action %d", i);
        ist__audit_entry entry = {.principal = "admin", .action = action, .http = 200};
        assert_ok(ist__audit_write(db, &entry, &f->err), f->err);
    }
    assert_ok(ist__db_end(db, IST_OK, &f->err), f->err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_catalog_free(f->catalog);
    remove_folder(f->home);
    free(f);
    return 0;
}

/* Forget, then: how many are left, and which is the oldest. */
static void forget(fixture *f, int left, const char *oldest)
{
    ist__db *db = f->local->writer;
    sqlite3_stmt *row;
    assert_ok(ist__db_begin(db, &f->err), f->err);
    assert_ok(ist__audit_forget(f->local, db, &f->err), f->err);
    assert_ok(ist__db_run(db, "SELECT count(*), min(action) FROM audit", &row, &f->err, ""), f->err);
    assert_int_equal(sqlite3_column_int(row, 0), left);
    assert_string_equal(ist__db_text(row, 1), oldest);
    assert_ok(ist__db_end(db, IST_OK, &f->err), f->err);
}

static void test_catalog_audit__is_bounded_by_count(void **state)
{
    fixture *f = *state;
    forget(f, 10, "action 0");
    f->local->audit_entries = 3;
    forget(f, 3, "action 7");
}

static void test_catalog_audit__is_bounded_by_age(void **state)
{
    fixture *f = *state;
    ist__db *db = f->local->writer;
    f->local->audit_days = 30;
    assert_ok(ist__db_begin(db, &f->err), f->err);
    assert_ok(ist__db_run(db, "UPDATE audit SET at = at - 31 * 86400000 WHERE id <= 4", NULL, &f->err, ""), f->err);
    assert_ok(ist__db_run(db, "UPDATE audit SET at = at - 29 * 86400000 WHERE id > 4", NULL, &f->err, ""), f->err);
    assert_ok(ist__db_end(db, IST_OK, &f->err), f->err);
    forget(f, 6, "action 4");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(test_catalog_audit__is_bounded_by_count),
        test(test_catalog_audit__is_bounded_by_age),
    };
    return run_group(tests, argc, argv);
}
