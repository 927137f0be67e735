/* test_query_log.c: statements written, changed, found, listed, reopened. */
#include "testing.h"

#include "catalog/local/query_log.h"

#include <string.h>

typedef struct fixture {
    char *home;
    ist_catalog *catalog;
    ist__db *db; /* in a transaction */
    ist_error err;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    char uri[4200];
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    f->home = new_folder();
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", f->home);
    options.uri = uri;
    assert_ok(ist_catalog_open(&options, &f->catalog, &f->err), f->err);
    assert_ok(ist__session_write(f->catalog->self, &f->db, &f->err), f->err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(ist__db_end(f->db, IST_OK, &f->err), f->err);
    ist_catalog_free(f->catalog);
    remove_folder(f->home);
    free(f);
    return 0;
}

static ist__query make(int64_t number, const char *id, ist__statement_state state)
{
    return (ist__query){.number = number, .statement_id = id, .user_id = "u", .user = "alice", .warehouse = "w",
                        .text = "SELECT 1", .state = state, .submitted_ms = ist__now_ms()};
}

static void put(fixture *f, const ist__query *q)
{
    assert_ok(ist__query_write(f->db, q, &f->err), f->err);
}

static void test_catalog_query_log__is_written_and_changed(void **state)
{
    fixture *f = *state;
    sqlite3_stmt *row;
    ist__query q = make(5, "a", IST__RUNNING);
    put(f, &q);
    q.state = IST__FAILED;
    q.error_code = "BAD_REQUEST";
    q.error = "no";
    q.rows = 3;
    put(f, &q);
    assert_ok(ist__query_find(f->db, "a", "u", &row, &f->err), f->err);
    assert_non_null(row);
    ist__query found = ist__query_of_row(row);
    assert_int_equal(found.state, IST__FAILED);
    assert_string_equal(found.error, "no");
    assert_string_equal(found.text, "SELECT 1");
    assert_int_equal(found.rows, 3);
    assert_null(found.kind);
    assert_ok(ist__query_find(f->db, "a", "other", &row, &f->err), f->err);
    assert_null(row); /* another's */
}

static void test_catalog_query_log__newest_first(void **state)
{
    static const char *const ids[] = {"a", "b", "c"};
    fixture *f = *state;
    sqlite3_stmt *row;
    for (int i = 0; i < 3; i++) {
        ist__query q = make(i + 1, ids[i], IST__SUCCEEDED);
        q.user_id = i == 1 ? "v" : "u";
        put(f, &q);
    }
    assert_ok(ist__query_list(f->db, INT64_MAX, NULL, &row, &f->err), f->err);
    assert_string_equal(ist__query_of_row(row).statement_id, "c");
    assert_ok(ist__db_next(f->db, &row, &f->err), f->err);
    assert_string_equal(ist__query_of_row(row).statement_id, "b");
    assert_ok(ist__query_list(f->db, 3, "u", &row, &f->err), f->err);
    assert_string_equal(ist__query_of_row(row).statement_id, "a");
    assert_ok(ist__db_next(f->db, &row, &f->err), f->err);
    assert_null(row);
}

static void test_catalog_query_log__what_was_under_way_has_failed(void **state)
{
    fixture *f = *state;
    sqlite3_stmt *row;
    ist__query pending = make(1, "a", IST__PENDING), done = make(2, "b", IST__SUCCEEDED);
    put(f, &pending);
    put(f, &done);
    assert_ok(ist__query_reopen(f->db, &f->err), f->err);
    assert_ok(ist__query_find(f->db, "a", "u", &row, &f->err), f->err);
    assert_int_equal(ist__query_of_row(row).state, IST__FAILED);
    assert_non_null(strstr(ist__query_of_row(row).error, "submit it again"));
    assert_ok(ist__query_find(f->db, "b", "u", &row, &f->err), f->err);
    assert_int_equal(ist__query_of_row(row).state, IST__SUCCEEDED);
}

static void test_catalog_query_log__bounds(void **state)
{
    fixture *f = *state;
    sqlite3_stmt *row;
    ist__query old = make(1, "a", IST__SUCCEEDED), kept = make(2, "b", IST__SUCCEEDED);
    old.submitted_ms -= INT64_C(31) * 86400000;
    char *text = malloc(3 * IST__QUERY_TEXT_MAX);
    for (int i = 0; i + 1 < 3 * IST__QUERY_TEXT_MAX; i += 2)
        memcpy(text + i, "\xc3\xa9", 2); /* characters of two bytes */
    memcpy(text, "x", 1);
    text[3 * IST__QUERY_TEXT_MAX - 1] = '\0';
    memmove(text + 1, text + 2, 3 * IST__QUERY_TEXT_MAX - 2);
    kept.text = text;
    put(f, &old);
    put(f, &kept);
    assert_ok(ist__query_forget(f->db, &f->err), f->err);
    assert_ok(ist__query_find(f->db, "a", "u", &row, &f->err), f->err);
    assert_null(row);
    assert_ok(ist__query_find(f->db, "b", "u", &row, &f->err), f->err);
    size_t size = strlen(ist__query_of_row(row).text);
    assert_true(size <= IST__QUERY_TEXT_MAX && size > IST__QUERY_TEXT_MAX - 2);
    assert_true(size % 2 == 1); /* whole characters after the first */
    free(text);
}

int main(int argc, char **argv)
{
#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(test_catalog_query_log__is_written_and_changed),
        WITH(test_catalog_query_log__newest_first),
        WITH(test_catalog_query_log__what_was_under_way_has_failed),
        WITH(test_catalog_query_log__bounds),
    };
    return run_group(tests, argc, argv);
}
