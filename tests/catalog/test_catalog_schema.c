/* test_catalog_schema.c: databases that earlier versions made are brought to this one, and nothing in them is lost. */
#include "testing.h"

#include "catalog/local/local_internal.h"
#include "catalog/local/search.h"
#include "isthmus/catalog.h"

#include <string.h>

typedef struct fixture {
    char *home;
    char path[4200], uri[4300];
    ist_error err;
    ist_buffer out;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    snprintf(f->path, sizeof f->path, "%s/catalog.db", f->home);
    snprintf(f->uri, sizeof f->uri, "sqlite:%s", f->path);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_buffer_free(&f->out);
    remove_folder(f->home);
    free(f);
    return 0;
}

static void make_version1(fixture *f)
{
    char path[4200];
    ist_buffer sql = IST_BUFFER_INIT;
    sqlite3 *database = NULL;
    snprintf(path, sizeof path, "%s/catalog/version1.sql", getenv("ISTHMUS_TEST_DATA"));
    assert_ok(ist__read_file(path, 1 << 20, &sql, &f->err), f->err);
    assert_ok(ist_buffer_append(&sql, "", 1, &f->err), f->err);
    assert_int_equal(sqlite3_open(f->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql.data, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    ist_buffer_free(&sql);
}

static ist_catalog *open_catalog(fixture *f)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    ist_catalog *catalog;
    options.uri = f->uri;
    assert_ok(ist_catalog_open(&options, &catalog, &f->err), f->err);
    return catalog;
}

static void has(fixture *f, const char *text)
{
    if (!strstr(f->out.data, text))
        fail_msg("no %s in %s", text, f->out.data);
    ist_buffer_clear(&f->out);
}

/* All of the layout as text, in an order of its own. */
static void append_layout(const char *path, ist_buffer *out)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *row = NULL;
    ist_error err;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, "SELECT type, name, replace(coalesce(sql, ''), char(10) || '  ', ' ')"
                                                  " FROM sqlite_master UNION ALL"
                                                  " SELECT 'version', '', user_version FROM pragma_user_version"
                                                  " ORDER BY 1, 2", -1, &row, NULL), SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW)
        assert_ok(ist_buffer_printf(out, &err, "%s %s %s\n", ist__db_text(row, 0), ist__db_text(row, 1),
                                    ist__db_text(row, 2)), err);
    sqlite3_finalize(row);
    sqlite3_close(database);
}

static void test_catalog_schema__version_1_keeps_everything(void **state)
{
    fixture *f = *state;
    make_version1(f);
    ist_catalog *catalog = open_catalog(f);
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_SCHEMA, "main.sales", &f->out, &f->err), f->err);
    has(f, "\"comment\":\"what was sold\",\"properties\":{\"team\":\"b\"}");
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_TABLE, "main.sales.orders", &f->out, &f->err), f->err);
    has(f, "\"columns\":[{\"name\":\"id\"}],\"storage_location\":\"file:///data/orders\",\"comment\":null,"
           "\"properties\":{\"a\":\"1\"},\"owner\":\"admin\",\"created_at\":1795400000002,\"created_by\":\"admin\","
           "\"updated_at\":1795400000003,\"updated_by\":\"admin\","
           "\"table_id\":\"44444444-4444-4444-8444-444444444444\"");
    assert_ok(ist_catalog_get_lineage(catalog, "main.sales.invoices", 1, false, &f->out, &f->err), f->err);
    has(f, "main.sales.orders");
    assert_ok(ist__local_search(catalog->self, "voice", &f->out, &f->err), f->err);
    has(f, "\"main.sales.invoices\"");
    assert_ok(ist__catalog_get_metastore(catalog, &f->out, &f->err), f->err);
    has(f, "11111111-1111-4111-8111-111111111111");
    /* A staging table that waits becomes a table. */
    assert_ok(ist_catalog_create(catalog, IST_SECURABLE_TABLE,
                                 "{\"name\":\"next\",\"catalog_name\":\"main\",\"schema_name\":\"sales\","
                                 "\"table_type\":\"MANAGED\",\"data_source_format\":\"DELTA\",\"storage_location\":"
                                 "\"file:///data/__unitystorage/schemas/3/tables/6\",\"properties\":"
                                 "{\"io.unitycatalog.tableId\":\"66666666-6666-4666-8666-666666666666\"}}", NULL,
                                 &f->err), f->err);
    ist_catalog_free(catalog);
    ist_catalog_free(open_catalog(f)); /* and once more, with nothing to do */
}

/* A database that was brought here is laid out as one that begins here. */
static void test_catalog_schema__version_1_becomes_what_a_new_one_is(void **state)
{
    fixture *f = *state;
    ist_buffer fresh = IST_BUFFER_INIT;
    ist_catalog_free(open_catalog(f));
    append_layout(f->path, &fresh);
    assert_int_equal(unlink(f->path), 0);
    make_version1(f);
    ist_catalog_free(open_catalog(f));
    append_layout(f->path, &f->out);
    assert_string_equal(f->out.data, fresh.data);
    has(f, "\nversion  3\n");
    ist_buffer_free(&fresh);
}

/* A step that fails leaves the database as it was, for the version that made it. */
static void test_catalog_schema__a_step_is_all_or_nothing(void **state)
{
    fixture *f = *state;
    sqlite3 *database = NULL;
    ist_catalog *catalog = NULL;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    make_version1(f);
    assert_int_equal(sqlite3_open(f->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "CREATE TABLE names (of TEXT)", NULL, NULL, NULL), SQLITE_OK);
    append_layout(f->path, &f->out);
    options.uri = f->uri;
    assert_int_equal(ist_catalog_open(&options, &catalog, &f->err), IST_IO);
    assert_non_null(strstr(f->err.message, "names"));
    ist_buffer after = IST_BUFFER_INIT;
    append_layout(f->path, &after);
    assert_string_equal(after.data, f->out.data);
    ist_buffer_free(&after);
    sqlite3_close(database);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(test_catalog_schema__version_1_keeps_everything),
        test(test_catalog_schema__version_1_becomes_what_a_new_one_is),
        test(test_catalog_schema__a_step_is_all_or_nothing),
    };
    return run_group(tests, argc, argv);
}
