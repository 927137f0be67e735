/* test_search.c: names are found by any piece of them, as they are now, by those who may see them. */
#include "testing.h"

#include "catalog/local/local_internal.h"
#include "catalog/local/search.h"
#include "isthmus/catalog.h"

#include <string.h>

typedef struct fixture {
    char *home;
    ist_catalog *catalog;
    ist__session *session;
    ist_error err;
    ist_buffer out;
} fixture;

static void create(fixture *f, ist_securable kind, const char *body)
{
    assert_ok(ist_catalog_create(f->catalog, kind, body, NULL, &f->err), f->err);
}

static void create_table(fixture *f, const char *name)
{
    char body[300];
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"catalog_name\":\"main\",\"schema_name\":\"sales\",\"table_type\":\"EXTERNAL\","
             "\"data_source_format\":\"DELTA\",\"storage_location\":\"/data/%s\"}", name, name);
    create(f, IST_SECURABLE_TABLE, body);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    char uri[4200];
    f->home = new_folder();
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", f->home);
    options.uri = uri;
    assert_ok(ist_catalog_open(&options, &f->catalog, &f->err), f->err);
    f->session = f->catalog->self;
    *state = f;
    create(f, IST_SECURABLE_SCHEMA, "{\"name\":\"sales\",\"catalog_name\":\"main\"}");
    create_table(f, "orders");
    create_table(f, "Reorders");
    create_table(f, "t");
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_catalog_free(f->catalog);
    ist_buffer_free(&f->out);
    remove_folder(f->home);
    free(f);
    return 0;
}

static void finds(fixture *f, const char *text, const char *expected)
{
    ist_buffer_clear(&f->out);
    assert_ok(ist__local_search(f->session, text, &f->out, &f->err), f->err);
    assert_string_equal(f->out.data, expected);
}

#define FOUND(list) "{\"objects\":[" list "],\"truncated\":false}"
#define TABLE(name) "{\"kind\":\"table\",\"full_name\":\"main.sales." name "\"}"

static void test_catalog_search__pieces_of_names(void **state)
{
    fixture *f = *state;
    finds(f, "orders", FOUND(TABLE("orders") "," TABLE("Reorders"))); /* its beginning goes first */
    finds(f, "ORD", FOUND(TABLE("orders") "," TABLE("Reorders")));
    finds(f, "ders", FOUND(TABLE("Reorders") "," TABLE("orders")));
    finds(f, "t", FOUND(TABLE("t")));
    finds(f, "or", FOUND(TABLE("orders"))); /* of two letters: its beginning */
    finds(f, "sal", FOUND("{\"kind\":\"schema\",\"full_name\":\"main.sales\"}"));
    finds(f, "main", FOUND("{\"kind\":\"catalog\",\"full_name\":\"main\"}"));
    finds(f, "sales.ord", FOUND(TABLE("orders")));
    finds(f, "main.sales.t", FOUND(TABLE("t")));
    finds(f, "default.ord", FOUND(""));
    finds(f, "nothing", FOUND(""));
}

/* Nothing of the text is a query's syntax. */
static void test_catalog_search__text_is_text(void **state)
{
    static const char *const texts[] = {"ord OR t", "\"ord\"", "ord*", "name:ord", "ord' --", "%ord", "^ord",
                                        "NEAR(a b)", "\"", "\xC3\xB6", "\xC3\xB6\xC3\x9F\xFF"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        finds(*state, texts[i], FOUND(""));
    char large[IST__SEARCH_TEXT_MAX + 2];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    fixture *f = *state;
    assert_int_equal(ist__local_search(f->session, large, &f->out, &f->err), IST_BAD_INPUT);
}

/* The index follows renaming and deleting, of what an object is in too. */
static void test_catalog_search__follows_changes(void **state)
{
    fixture *f = *state;
    assert_ok(ist_catalog_update(f->catalog, IST_SECURABLE_TABLE, "main.sales.orders",
                                 "{\"new_name\":\"invoices\"}", NULL, &f->err), f->err);
    finds(f, "orders", FOUND(TABLE("Reorders")));
    finds(f, "voice", FOUND(TABLE("invoices")));
    assert_ok(ist_catalog_update(f->catalog, IST_SECURABLE_SCHEMA, "main.sales", "{\"new_name\":\"old\"}", NULL,
                                 &f->err), f->err);
    finds(f, "voice", FOUND("{\"kind\":\"table\",\"full_name\":\"main.old.invoices\"}"));
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_SCHEMA, "main.old", true, &f->err), f->err);
    finds(f, "voice", FOUND(""));
    finds(f, "old", FOUND(""));
}

static void test_catalog_search__by_those_who_may_see(void **state)
{
    fixture *f = *state;
    ist__session stranger = {.local = f->session->local, .who = &ist__principal_nobody};
    f->session = &stranger;
    finds(f, "orders", FOUND(""));
}

/* 100,000 names: a rare one and a common piece are found at once, the second not whole. */
static void test_catalog_search__of_many(void **state)
{
    fixture *f = *state;
    ist__db *db;
    assert_ok(ist__session_write(f->session, &db, &f->err), f->err);
    assert_ok(ist__db_end(db,
                          ist__db_run(db,
                                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
                                      " INSERT INTO functions (id, parent_id, name, created_at, definition)"
                                      " SELECT 'id' || i, (SELECT id FROM schemas WHERE name = 'default'),"
                                      " 'common' || i, 0, '{}' FROM n", NULL, &f->err, ""), &f->err), f->err);
    int64_t start = ist__monotonic_us();
    finds(f, "mon77777", FOUND("{\"kind\":\"function\",\"full_name\":\"main.default.common77777\"}"));
    finds(f, "orders", FOUND(TABLE("orders") "," TABLE("Reorders")));
    ist_buffer_clear(&f->out);
    assert_ok(ist__local_search(f->session, "common", &f->out, &f->err), f->err);
    assert_non_null(strstr(f->out.data, "\"truncated\":true"));
    int64_t took = ist__monotonic_us() - start;
    if (took > 2000000)
        fail_msg("three searches took %lld us", (long long)took);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(test_catalog_search__pieces_of_names),
        test(test_catalog_search__text_is_text),
        test(test_catalog_search__follows_changes),
        test(test_catalog_search__by_those_who_may_see),
        test(test_catalog_search__of_many),
    };
    return run_group(tests, argc, argv);
}
