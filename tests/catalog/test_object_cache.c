/* test_object_cache.c: what is kept of objects is what the database holds, for whoever may see it. */
#include "testing.h"

#include "catalog/local/object_cache.h"
#include "isthmus/catalog.h"

#include "catalog/local/local_internal.h"

#include <string.h>
#include <sys/wait.h>

typedef struct fixture {
    char *home;
    char uri[4200];
    ist_catalog *catalog;
    ist__local *local;
    ist_error err;
    ist_buffer out;
} fixture;

static void open_catalog(fixture *f, ist_catalog **out)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    options.uri = f->uri;
    assert_ok(ist_catalog_open(&options, out, &f->err), f->err);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    snprintf(f->uri, sizeof f->uri, "sqlite:%s/catalog.db", f->home);
    open_catalog(f, &f->catalog);
    f->local = ((ist__session *)f->catalog->self)->local;
    *state = f;
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

static const ist__name schema = {.count = 2, .part = {"main", "default"}};

static bool is_kept(fixture *f)
{
    ist__cached_object *object = ist__object_cache_find(f->local, IST_SECURABLE_SCHEMA, &schema);
    bool kept = object != NULL;
    ist__object_cache_release(object);
    return kept;
}

static void get(fixture *f, const char *expected)
{
    ist_buffer_clear(&f->out);
    assert_ok(ist_catalog_get(f->catalog, IST_SECURABLE_SCHEMA, "main.default", &f->out, &f->err), f->err);
    assert_non_null(strstr(f->out.data, expected));
}

static void comment(fixture *f, ist_catalog *catalog, const char *text)
{
    char patch[100];
    snprintf(patch, sizeof patch, "{\"comment\":\"%s\"}", text);
    assert_ok(ist_catalog_update(catalog, IST_SECURABLE_SCHEMA, "main.default", patch, NULL, &f->err), f->err);
}

/* Two answers are the same, byte for byte; a change of anything ends what was kept. */
static void test_catalog_object_cache__a_commit_ends_it(void **state)
{
    fixture *f = *state;
    get(f, "\"comment\":null");
    assert_true(is_kept(f));
    char *first = strdup(f->out.data);
    get(f, "\"comment\":null");
    assert_string_equal(f->out.data, first);
    free(first);
    comment(f, f->catalog, "new");
    assert_false(is_kept(f));
    get(f, "\"comment\":\"new\"");
    assert_true(is_kept(f));
    assert_ok(ist_catalog_create(f->catalog, IST_SECURABLE_CATALOG, "{\"name\":\"other\"}", NULL, &f->err), f->err);
    assert_false(is_kept(f));
    get(f, "\"comment\":\"new\"");
    assert_ok(ist_catalog_delete(f->catalog, IST_SECURABLE_SCHEMA, "main.default", false, &f->err), f->err);
    assert_int_equal(ist_catalog_get(f->catalog, IST_SECURABLE_SCHEMA, "main.default", &f->out, &f->err),
                     IST_NOT_FOUND);
}

/* Who asks is asked for his rights, also where somebody else's answer is kept. */
static void test_catalog_object_cache__rights_are_not_kept(void **state)
{
    fixture *f = *state;
    ist__session session = {.local = f->local, .who = &ist__principal_nobody};
    ist_catalog catalog = {.backend = f->catalog->backend, .self = &session};
    get(f, "\"name\":\"default\"");
    assert_true(is_kept(f));
    assert_int_equal(ist_catalog_get(&catalog, IST_SECURABLE_SCHEMA, "main.default", &f->out, &f->err), IST_NOT_FOUND);
    assert_string_equal(f->err.message, "Catalog not found: main"); /* the first level that he may not see */
}

/* What was read before a COMMIT ended, or while one is under way, is never kept. */
static void test_catalog_object_cache__no_late_put(void **state)
{
    fixture *f = *state;
    ist__chain chain = {.count = 3};
    unsigned begun = ist__object_cache_begin(f->local);
    comment(f, f->catalog, "new");
    ist__object_cache_put(f->local, begun, IST_SECURABLE_SCHEMA, &schema, &chain, "{}", 2);
    assert_false(is_kept(f));
    atomic_fetch_add(&f->local->commits, 1);
    ist__object_cache_put(f->local, ist__object_cache_begin(f->local), IST_SECURABLE_SCHEMA, &schema, &chain, "{}", 2);
    assert_false(is_kept(f));
    atomic_fetch_add(&f->local->commits, 1);
    ist__object_cache_put(f->local, ist__object_cache_begin(f->local), IST_SECURABLE_SCHEMA, &schema, &chain, "{}", 2);
    assert_true(is_kept(f));
}

/* Another process that writes to the file is not told of, but within the life of an entry it is seen. */
static void test_catalog_object_cache__other_processes_are_seen(void **state)
{
    fixture *f = *state;
    get(f, "\"comment\":null");
    pid_t child = fork();
    if (child == 0) {
        ist_catalog *own;
        open_catalog(f, &own);
        comment(f, own, "theirs");
        ist_catalog_free(own);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    usleep((IST__OBJECT_CACHE_LIFE_MS + 50) * 1000);
    get(f, "\"comment\":\"theirs\"");
}

/* Many and large objects: the bound holds, and what is found is right. */
static void test_catalog_object_cache__is_bounded(void **state)
{
    enum { OBJECTS = 300, SIZE = 100 * 1000 };
    fixture *f = *state;
    ist__chain chain = {.count = 3};
    char *json = calloc(1, SIZE);
    for (int i = 0; i < OBJECTS; i++) {
        ist__name name = {.count = 2, .part = {"main"}};
        snprintf(name.part[1], sizeof name.part[1], "s%d", i);
        memset(json, 'a' + i % 26, SIZE);
        ist__object_cache_put(f->local, ist__object_cache_begin(f->local), IST_SECURABLE_SCHEMA, &name, &chain, json,
                              SIZE);
        ist__cached_object *object = ist__object_cache_find(f->local, IST_SECURABLE_SCHEMA, &name);
        assert_non_null(object);
        assert_memory_equal(ist__cached_object_json(object), json, SIZE);
        ist__object_cache_release(object);
    }
    int kept = 0;
    for (int i = 0; i < OBJECTS; i++) {
        ist__name name = {.count = 2, .part = {"main"}};
        snprintf(name.part[1], sizeof name.part[1], "s%d", i);
        ist__cached_object *object = ist__object_cache_find(f->local, IST_SECURABLE_SCHEMA, &name);
        kept += object != NULL;
        ist__object_cache_release(object);
    }
    assert_true(kept <= IST__OBJECT_CACHE_BYTES / SIZE);
    free(json);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(test_catalog_object_cache__a_commit_ends_it),
        test(test_catalog_object_cache__rights_are_not_kept),
        test(test_catalog_object_cache__no_late_put),
        test(test_catalog_object_cache__other_processes_are_seen),
        test(test_catalog_object_cache__is_bounded),
    };
    return run_group(tests, argc, argv);
}
