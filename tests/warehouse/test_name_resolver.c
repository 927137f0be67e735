/* test_name_resolver.c: who may use which names: grants, views as their owners, functions of filters. */
#include "warehouse_testing.h"

#include "warehouse/name_resolver.h"

typedef struct fixture {
    warehouses *w;
    const ist__principal *who;
    ist_buffer answer;
} fixture;

static ist__local *local_of(fixture *f)
{
    return f->w->local;
}

/* SQL of the test's own, as the administrator. */
static void script(fixture *f, const char *sql)
{
    ist__db *db;
    assert_ok(ist__session_write(&local_of(f)->admin, &db, &f->w->err), f->w->err);
    ist__db_rights_changed(db);
    assert_ok(ist__db_end(db, ist__db_script(db, sql, &f->w->err), &f->w->err), f->w->err);
}

static void create(fixture *f, ist_securable kind, const char *body)
{
    ist_buffer out = IST_BUFFER_INIT;
    assert_ok(ist_catalog_create(f->w->catalog, kind, body, &out, &f->w->err), f->w->err);
    ist_buffer_free(&out);
}

static void grant(fixture *f, ist_securable kind, const char *name, const char *who, const char *privilege)
{
    ist__name split;
    char changes[300];
    ist_buffer out = IST_BUFFER_INIT;
    assert_ok(ist__name_split(name, ist__securable_parts(kind), &split, &f->w->err), f->w->err);
    snprintf(changes, sizeof changes, "{\"changes\":[{\"principal\":\"%s\",\"add\":[\"%s\"]}]}", who, privilege);
    assert_ok(ist__grants_change(&local_of(f)->admin, kind, &split, changes, &out, &f->w->err), f->w->err);
    ist_buffer_free(&out);
}

#define TABLE(name) "{\"name\":\"" name "\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
#define DATA(name)                                                                                                     \
    TABLE(name) "\"table_type\":\"EXTERNAL\",\"data_source_format\":\"DELTA\",\"storage_location\":\"/data/" name "\","\
                "\"columns\":[]}"
#define VIEW(name, text) TABLE(name) "\"table_type\":\"VIEW\",\"columns\":[],\"view_definition\":\"" text "\"}"

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    void *w;
    set_up_catalog(&w);
    f->w = w;
    *state = f;
    script(f, "INSERT INTO principals VALUES ('u1', 0, 'alice', 'a', NULL, 1, 0, 0),"
              "('u2', 0, 'bob', 'b', NULL, 1, 0, 0), ('g1', 2, 'crew', 'c', NULL, 1, 0, 0);"
              "INSERT INTO group_members VALUES ('g1', 'u2');");
    create(f, IST_SECURABLE_TABLE, DATA("t"));
    create(f, IST_SECURABLE_TABLE, DATA("secret"));
    create(f, IST_SECURABLE_TABLE, VIEW("v", "SELECT * FROM main.default.secret"));
    create(f, IST_SECURABLE_TABLE, VIEW("outer", "SELECT * FROM main.default.v"));
    grant(f, IST_SECURABLE_CATALOG, "main", "account users", "USE CATALOG");
    grant(f, IST_SECURABLE_SCHEMA, "main.default", "account users", "USE SCHEMA");
    grant(f, IST_SECURABLE_TABLE, "main.default.t", "alice", "SELECT");
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    void *w = f->w;
    ist__principal_release(f->who);
    ist_buffer_free(&f->answer);
    tear_down_warehouses(&w);
    free(f);
    return 0;
}

/* Resolve as a principal; the answer is text. */
static ist_status resolve(fixture *f, const char *who, const char *tables, const char *functions)
{
    yyjson_doc *t = yyjson_read(tables, strlen(tables), 0);
    yyjson_doc *g = functions ? yyjson_read(functions, strlen(functions), 0) : NULL;
    ist__db *db;
    assert_non_null(t);
    ist__principal_release(f->who);
    assert_ok(ist__session_read(&local_of(f)->admin, &db, &f->w->err), f->w->err);
    assert_ok(ist__db_end(db, ist__principal_named(db, who, &f->who, &f->w->err), &f->w->err), f->w->err);
    assert_non_null(f->who);
    ist_buffer_clear(&f->answer);
    ist_status status = ist__names_resolve(local_of(f), f->who, 3, yyjson_doc_get_root(t), yyjson_doc_get_root(g),
                                           &f->answer, &f->w->err);
    yyjson_doc_free(t);
    yyjson_doc_free(g);
    return status;
}

#define NAME(x) "\"name\":[\"main\",\"default\",\"" x "\"]"
#define ONE(x, access) "[{" NAME(x) ",\"access\":\"" access "\"}]"
#define VIA(x, views) "[{" NAME(x) ",\"access\":\"SELECT\",\"via\":[" views "]}]"

static void assert_says(fixture *f, const char *words)
{
    if (!f->answer.data || !strstr(f->answer.data, words))
        fail_msg("no %s in %s", words, f->answer.data ? f->answer.data : "");
}

static void test_warehouse_name_resolver__tables(void **state)
{
    fixture *f = *state;
    assert_ok(resolve(f, "alice", ONE("t", "SELECT"), NULL), f->w->err);
    assert_says(f, "\"exists\":true");
    assert_says(f, "\"kind\":\"TABLE\"");
    assert_says(f, "\"id\":3");
    assert_says(f, "file:///data/t");
    assert_int_equal(resolve(f, "alice", ONE("t", "MODIFY"), NULL), IST_FORBIDDEN);
    assert_non_null(strstr(f->w->err.message, "main.default.t"));
    assert_ok(resolve(f, "alice", ONE("secret", "SELECT"), NULL), f->w->err); /* she may not know of it */
    assert_says(f, "\"exists\":false");
    assert_ok(resolve(f, "alice", ONE("nowhere", "SELECT"), NULL), f->w->err);
    assert_says(f, "\"exists\":false");
    assert_int_equal(resolve(f, "alice", ONE("new", "CREATE"), NULL), IST_FORBIDDEN);
    grant(f, IST_SECURABLE_SCHEMA, "main.default", "alice", "CREATE TABLE");
    assert_ok(resolve(f, "alice", ONE("new", "CREATE"), NULL), f->w->err);
    assert_says(f, "\"exists\":false");
    assert_ok(resolve(f, "admin", ONE("secret", "MODIFY"), NULL), f->w->err);
}

static void test_warehouse_name_resolver__views(void **state)
{
    fixture *f = *state;
    /* Not hers to read: neither the view nor, by way of it, what is in it. */
    assert_ok(resolve(f, "alice", ONE("v", "SELECT"), NULL), f->w->err);
    assert_says(f, "\"exists\":false");
    assert_int_equal(resolve(f, "alice", VIA("secret", "\"main.default.v\""), NULL), IST_NOT_FOUND);
    grant(f, IST_SECURABLE_TABLE, "main.default.v", "alice", "SELECT");
    assert_ok(resolve(f, "alice", ONE("v", "SELECT"), NULL), f->w->err);
    assert_says(f, "\"kind\":\"VIEW\"");
    assert_says(f, "SELECT * FROM main.default.secret");
    assert_ok(resolve(f, "alice", VIA("secret", "\"main.default.v\""), NULL), f->w->err); /* its owner, admin, may */
    assert_says(f, "\"exists\":true");
    /* A table reads nothing on anybody's behalf. */
    assert_int_equal(resolve(f, "alice", VIA("secret", "\"main.default.t\""), NULL), IST_BAD_INPUT);
    /* The view's owner must be allowed what the view reads. */
    script(f, "UPDATE tables SET owner = 'bob' WHERE name = 'v'");
    assert_ok(resolve(f, "alice", VIA("secret", "\"main.default.v\""), NULL), f->w->err);
    assert_says(f, "\"exists\":false");
    grant(f, IST_SECURABLE_TABLE, "main.default.secret", "crew", "SELECT"); /* bob's group */
    assert_ok(resolve(f, "alice", VIA("secret", "\"main.default.v\""), NULL), f->w->err);
    assert_says(f, "\"exists\":true");
    script(f, "UPDATE tables SET owner = 'crew' WHERE name = 'v'"); /* a group as an owner */
    assert_ok(resolve(f, "alice", VIA("secret", "\"main.default.v\""), NULL), f->w->err);
    assert_says(f, "\"exists\":true");
    script(f, "UPDATE principals SET active = 0 WHERE name = 'crew'");
    assert_int_equal(resolve(f, "alice", VIA("secret", "\"main.default.v\""), NULL), IST_FORBIDDEN);
}

static void test_warehouse_name_resolver__views_in_views(void **state)
{
    fixture *f = *state;
    grant(f, IST_SECURABLE_TABLE, "main.default.outer", "alice", "SELECT");
    assert_ok(resolve(f, "alice", VIA("secret", "\"main.default.outer\",[\"main\",\"default\",\"v\"]"), NULL),
              f->w->err);
    assert_says(f, "\"exists\":true");
    script(f, "UPDATE tables SET owner = 'bob' WHERE name = 'outer'"); /* who may not read v */
    assert_int_equal(resolve(f, "alice", VIA("secret", "\"main.default.outer\",\"main.default.v\""), NULL),
                     IST_NOT_FOUND);
}

#define FUNCTION(name)                                                                                                 \
    "{\"function_info\":{\"name\":\"" name "\",\"catalog_name\":\"main\",\"schema_name\":\"default\","                 \
    "\"input_params\":{},\"data_type\":\"BOOLEAN\",\"full_data_type\":\"BOOLEAN\",\"routine_body\":\"SQL\","           \
    "\"routine_definition\":\"true\",\"parameter_style\":\"S\",\"is_deterministic\":true,"                             \
    "\"sql_data_access\":\"CONTAINS_SQL\",\"is_null_call\":false,\"security_type\":\"DEFINER\","                       \
    "\"specific_name\":\"" name "\"}}"

static void test_warehouse_name_resolver__functions(void **state)
{
    fixture *f = *state;
    create(f, IST_SECURABLE_FUNCTION, FUNCTION("keep"));
    create(f, IST_SECURABLE_FUNCTION, FUNCTION("plain"));
    script(f, "UPDATE tables SET row_filter = '{\"function_name\":\"main.default.keep\",\"input_column_names\":[]}'"
              " WHERE name = 't'");
    assert_ok(resolve(f, "alice", ONE("t", "SELECT"), NULL), f->w->err); /* no EXECUTE on keep is needed */
    assert_says(f, "\"row_filter\":{\"function_name\":\"main.default.keep\"");
    assert_says(f, "\"functions\":{\"main.default.keep\":{");
    assert_int_equal(resolve(f, "alice", "[]", "[[\"main\",\"default\",\"plain\"]]"), IST_NOT_FOUND);
    grant(f, IST_SECURABLE_FUNCTION, "main.default.plain", "alice", "EXECUTE");
    assert_ok(resolve(f, "alice", "[]", "[[\"main\",\"default\",\"plain\"]]"), f->w->err);
    assert_says(f, "\"main.default.plain\":{");
    /* A filter whose function is gone lets nobody in. */
    script(f, "UPDATE tables SET row_filter = '{\"function_name\":\"main.default.gone\",\"input_column_names\":[]}'"
              " WHERE name = 't'");
    assert_int_equal(resolve(f, "alice", ONE("t", "SELECT"), NULL), IST_NOT_FOUND);
}

#define POLICY(table, function) "{\"table\":\"main.default." table "\",\"function\":\"main.default." function "\"}"

/* What a filter reads it reads as its function's owner. */
static void test_warehouse_name_resolver__policies(void **state)
{
    fixture *f = *state;
    create(f, IST_SECURABLE_FUNCTION, FUNCTION("keep"));
    create(f, IST_SECURABLE_FUNCTION, FUNCTION("other"));
    assert_int_equal(resolve(f, "alice", VIA("secret", POLICY("t", "keep")), NULL), IST_BAD_INPUT); /* no filter of t */
    script(f, "UPDATE tables SET row_filter = '{\"function_name\":\"main.default.keep\",\"input_column_names\":[]}'"
              " WHERE name = 't'");
    assert_ok(resolve(f, "alice", VIA("secret", POLICY("t", "keep")), NULL), f->w->err);
    assert_says(f, "file:///data/secret");
    assert_ok(resolve(f, "alice", ONE("secret", "SELECT"), NULL), f->w->err); /* she herself still not */
    assert_says(f, "\"exists\":false");
    assert_int_equal(resolve(f, "alice", VIA("secret", POLICY("t", "other")), NULL), IST_BAD_INPUT);
    assert_int_equal(resolve(f, "bob", VIA("secret", POLICY("t", "keep")), NULL), IST_NOT_FOUND); /* who reads no t */
    script(f, "UPDATE functions SET owner = 'bob' WHERE name = 'keep'"); /* bob may not read it either */
    assert_ok(resolve(f, "alice", VIA("secret", POLICY("t", "keep")), NULL), f->w->err);
    assert_says(f, "\"exists\":false");
    grant(f, IST_SECURABLE_TABLE, "main.default.secret", "bob", "SELECT");
    assert_ok(resolve(f, "alice", VIA("secret", POLICY("t", "keep")), NULL), f->w->err);
    assert_says(f, "\"exists\":true");
    /* A table's owner who may not execute the function does not get its owner's rights by putting it on a table. */
    script(f, "UPDATE tables SET owner = 'alice' WHERE name = 't'");
    assert_int_equal(resolve(f, "alice", VIA("secret", POLICY("t", "keep")), NULL), IST_NOT_FOUND);
    assert_non_null(strstr(f->w->err.message, "may not execute"));
    grant(f, IST_SECURABLE_FUNCTION, "main.default.keep", "alice", "EXECUTE");
    assert_ok(resolve(f, "alice", VIA("secret", POLICY("t", "keep")), NULL), f->w->err);
}

static void test_warehouse_name_resolver__bad_requests(void **state)
{
    static const char *const bad[] = {
        "[{}]", "[1]", "[{\"name\":[\"a\",\"b\"],\"access\":\"SELECT\"}]", "[{" NAME("t") "}]",
        "[{" NAME("t") ",\"access\":\"OWN\"}]", "[{\"name\":[\"a\",\"b\",\"\"],\"access\":\"SELECT\"}]",
        "[{\"name\":[\"a\",\"b\",1],\"access\":\"SELECT\"}]", "[{" NAME("t") ",\"access\":\"SELECT\",\"via\":[1]}]",
        "[{" NAME("t") ",\"access\":\"SELECT\",\"via\":[{\"table\":\"main.default.t\"}]}]"};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (resolve(f, "admin", bad[i], NULL) != IST_BAD_INPUT)
            fail_msg("%s was taken", bad[i]);
}

int main(int argc, char **argv)
{
#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(test_warehouse_name_resolver__tables),         WITH(test_warehouse_name_resolver__views),
        WITH(test_warehouse_name_resolver__views_in_views), WITH(test_warehouse_name_resolver__functions),
        WITH(test_warehouse_name_resolver__policies),       WITH(test_warehouse_name_resolver__bad_requests),
    };
    return run_group(tests, argc, argv);
}
