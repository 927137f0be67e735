/* test_managed_commit.c: the committer of catalog-managed tables, against a catalog that behaves as Unity Catalog's. */
#include "conformance/committer_conformance.h"

#include "catalog/fake_commit_catalog.h"

static void *conformance_world(void)
{
    return fake_new();
}

static void conformance_end(void *world)
{
    fake_end(world);
}

static ist_committer *open_committer(fake_catalog *f, bool registered)
{
    return fake_committer(f, &(ist__managed_table){.registered = registered});
}

static ist_committer *conformance_open(void *world)
{
    return open_committer(world, true);
}

/* ---- the steps ------------------------------------------------------------------------------------------------------- */

static ist_status propose(ist_committer *committer, ist_store *store, int64_t version, const char *text, ist_error *err)
{
    const ist_proposal proposal = {version, text, strlen(text), 1000 + version, NULL};
    return committer->ops->commit(committer, store, &proposal, err);
}

static bool count_entry(const ist_store_entry *entry, void *payload)
{
    (void)entry;
    (*(size_t *)payload)++;
    return true;
}

static size_t count_staged(ist_store *store)
{
    size_t count = 0;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_list(store, "_delta_log/_staged_commits", NULL, count_entry, &count, &err), err);
    return count;
}

static void test_catalog_managed_commit__what_the_catalog_is_told(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *committer = open_committer(f, true);
    assert_ok(propose(committer, store, 1, "one\n", &err), err);
    assert_null(strstr(f->last_body, "latest_backfilled_version"));
    assert_non_null(strstr(f->last_body, "\"timestamp\":1001"));
    assert_non_null(strstr(f->last_body, "\"file_size\":4"));
    assert_ok(committer->ops->publish(committer, store, 1, &err), err);
    assert_ok(propose(committer, store, 2, "two\n", &err), err);
    assert_non_null(strstr(f->last_body, "\"latest_backfilled_version\":1")); /* what was published, with the next commit */
    assert_int_equal(f->backfilled, 1);
    assert_int_equal(f->posts, 2);
    ist_committer_free(committer);
    ist_store_free(store);
    conformance_end(f);
}

static void test_catalog_managed_commit__the_loser_cleans_up(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *a = open_committer(f, true), *b = open_committer(f, true);
    assert_ok(propose(a, store, 1, "a\n", &err), err);
    assert_int_equal(propose(b, store, 1, "b\n", &err), IST_ALREADY_EXISTS);
    assert_int_equal(count_staged(store), 1);
    assert_int_equal(propose(b, store, 3, "b\n", &err), IST_BAD_INPUT); /* a gap is nobody's version */
    ist_committer_free(a);
    ist_committer_free(b);
    ist_store_free(store);
    conformance_end(f);
}

static void test_catalog_managed_commit__a_server_that_fails_after_ratifying(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    conformance_begin(&table);
    fake_catalog *f = table.world;
    ist_committer *committer = conformance_open(f);
    for (int i = 0; i < 3; i++) {
        f->lose_answers = 1;
        assert_ok(conformance_append(&table, committer, (const char *[]){"a", "b", "c"}[i], &result, &err), err);
        assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
        assert_int_equal(result.version, i + 1);
        assert_int_equal(result.attempts, 1);
    }
    ist_committer_free(committer);
    conformance_check(&table, 3, 3);
    conformance_finish(&table);
}

/* A store in which published commits cannot be written. */
typedef struct stuck_store {
    ist_store base;
    ist_store *inner;
    ist_store_ops ops;
    bool stuck;
} stuck_store;

static ist_status stuck_get(ist_store *store, const char *path, ist_buffer *out, ist_error *err)
{
    return ist_store_get(((stuck_store *)store)->inner, path, out, err);
}

static ist_status stuck_put(ist_store *store, const char *path, const void *data, size_t size, ist_put_mode mode,
                            ist_error *err)
{
    stuck_store *self = (stuck_store *)store;
    if (self->stuck && !strstr(path, "_staged_commits"))
        return ist_error_set(err, IST_FORBIDDEN, 0, path, "the folder is read-only");
    return ist_store_put(self->inner, path, data, size, mode, err);
}

static ist_status stuck_stat(ist_store *store, const char *path, ist_store_entry *entry, ist_error *err)
{
    return ist_store_stat(((stuck_store *)store)->inner, path, entry, err);
}

static void test_catalog_managed_commit__ten_unpublished_and_no_more(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_error err = IST_ERROR_INIT;
    stuck_store store = {.stuck = true, .ops = {.get = stuck_get, .put = stuck_put, .stat = stuck_stat}};
    assert_ok(ist_store_open_memory(&store.inner, &err), err);
    store.base = (ist_store){.ops = &store.ops, .uri = store.inner->uri};
    ist_committer *committer = open_committer(f, true);
    for (int64_t v = 1; v <= 10; v++)
        assert_ok(propose(committer, &store.base, v, "x\n", &err), err);
    assert_int_equal(propose(committer, &store.base, 11, "x\n", &err), IST_FORBIDDEN); /* the reason is told, not 429 */
    assert_non_null(strstr(err.message, "could not be published"));
    assert_non_null(strstr(err.message, "read-only"));
    assert_int_equal(f->latest, 10);
    /* Another process finds them, publishes, and says so with its own commit. */
    store.stuck = false;
    ist_committer *other = open_committer(f, true);
    assert_ok(propose(other, &store.base, 11, "y\n", &err), err); /* it has never asked: the server's 429 makes it */
    assert_int_equal(f->latest, 11);
    assert_int_equal(f->backfilled, 10);
    for (int64_t v = 1; v <= 10; v++) {
        char path[64];
        ist_store_entry entry;
        ist__log_commit_path(v, path);
        assert_ok(ist_store_stat(store.inner, path, &entry, &err), err);
    }
    ist_committer_free(committer);
    ist_committer_free(other);
    ist_store_free(store.inner);
    conformance_end(f);
}

static void test_catalog_managed_commit__another_file_in_the_place_of_a_published_one(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *committer = open_committer(f, true);
    assert_ok(propose(committer, store, 1, "one\n", &err), err);
    assert_ok(ist_store_put(store, "_delta_log/00000000000000000001.json", "two, by path\n", 13, IST_PUT_REPLACE, &err), err);
    assert_int_equal(committer->ops->publish(committer, store, 1, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "somebody wrote the table by its path"));
    assert_int_equal(propose(committer, store, 2, "two\n", &err), IST_BAD_INPUT);
    ist_committer_free(committer);
    ist_store_free(store);
    conformance_end(f);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------- */

static ist_status begin_new(ist_store *store, const ist_committer *committer, const char *properties,
                            ist_transaction **out, ist_error *err)
{
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    struct ArrowSchema schema;
    options.committer = committer;
    options.properties = properties;
    rows_schema(conformance_columns, 1, &schema);
    ist_status status = ist_transaction_begin(store, &options, &schema, out, err);
    schema.release(&schema);
    return status;
}

static const char *property_of(const char *body, const char *path[], size_t depth, char out[200])
{
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    yyjson_val *at = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < depth; i++)
        at = yyjson_obj_get(at, path[i]);
    snprintf(out, 200, "%s", yyjson_is_str(at) ? yyjson_get_str(at) : "");
    yyjson_doc_free(doc);
    return out;
}

static void test_catalog_managed_commit__a_new_table_has_the_whole_contract(void **state)
{
    (void)state;
    static const char asked[] = "{\"delta.feature.catalogManaged\":\"supported\",\"delta.columnMapping.mode\":\"none\"}";
    fake_catalog *f = fake_new();
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_commit_result result;
    ist_snapshot *snapshot;
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_int_equal(begin_new(store, NULL, asked, &t, &err), IST_UNSUPPORTED); /* nobody commits */
    assert_non_null(strstr(err.message, "no catalog commits to it"));
    ist_committer *committer = open_committer(f, false);
    assert_int_equal(begin_new(store, committer, "{\"delta.feature.catalogManaged\":\"supported\","
                               "\"delta.checkpointPolicy\":\"classic\"}", &t, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "delta.checkpointPolicy"));
    assert_ok(begin_new(store, committer, asked, &t, &err), err);
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    ist_transaction_free(t);
    assert_int_equal(f->posts, 0); /* version 0 is not ratified: registering takes it in */
    options.committer = committer;
    assert_ok(ist_snapshot_open(store, &options, &snapshot, &err), err);
    static const char *const features[] = {"catalogManaged", "v2Checkpoint", "vacuumProtocolCheck", "deletionVectors",
                                           "inCommitTimestamp", "rowTracking", "domainMetadata"};
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        assert_true(ist__features_supported(&snapshot->protocol, features[i]));
    assert_string_equal(ist_snapshot_property(snapshot, "io.unitycatalog.tableId"), TABLE_ID);
    assert_string_equal(ist_snapshot_property(snapshot, "delta.checkpointPolicy"), "v2");
    assert_string_equal(ist_snapshot_property(snapshot, "delta.columnMapping.mode"), "none"); /* only recommended */
    assert_true(snapshot->has_in_commit_timestamp);
    ist_snapshot_free(snapshot);
    ist_committer_free(committer);
    ist_store_free(store);
    conformance_end(f);
}

static void test_catalog_managed_commit__a_plain_new_table_is_left_plain(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_commit_result result;
    ist_snapshot *snapshot;
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *committer = open_committer(f, false);
    assert_ok(begin_new(store, committer, NULL, &t, &err), err);
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    ist_transaction_free(t);
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err); /* readable by its path */
    assert_int_equal(snapshot->protocol.min_writer_version, 2);
    ist_snapshot_free(snapshot);
    ist_committer_free(committer);
    ist_store_free(store);
    conformance_end(f);
}

static void test_catalog_managed_commit__changes_are_told_with_the_commit(void **state)
{
    (void)state;
    static const double numbers[] = {1, 2, 3};
    static const column wider[] = {{"id", NANOARROW_TYPE_INT64, numbers, NULL}, {"x", NANOARROW_TYPE_DOUBLE, numbers, NULL}};
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t;
    ist_commit_result result;
    struct ArrowSchema schema;
    char text[200];
    conformance_begin(&table);
    fake_catalog *f = table.world;
    ist_committer *committer = conformance_open(f);
    assert_ok(conformance_append(&table, committer, "a", &result, &err), err);
    assert_null(strstr(f->last_body, "metadata\"")); /* nothing changed */
    options.committer = committer;
    options.merge_schema = true;
    rows_schema(wider, 2, &schema);
    assert_ok(ist_transaction_begin(table.store, &options, &schema, &t, &err), err);
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    ist_transaction_free(t);
    schema.release(&schema);
    assert_int_equal(result.version, 2);
    const char *id[] = {"metadata", "properties", "properties", "io.unitycatalog.tableId"};
    const char *feature[] = {"metadata", "properties", "properties", "delta.feature.catalogManaged"};
    assert_string_equal(property_of(f->last_body, id, 4, text), TABLE_ID);
    assert_string_equal(property_of(f->last_body, feature, 4, text), "supported"); /* the server replaces them all */
    assert_non_null(strstr(f->last_body, "\"columns\":[{"));
    assert_non_null(strstr(f->last_body, "\"name\":\"x\""));
    ist_committer_free(committer);
    conformance_finish(&table);
}

/* ---- the answer ---------------------------------------------------------------------------------------------------------- */

#define COMMIT(version, name) "{\"version\":" version ",\"timestamp\":1,\"file_name\":\"" name "\",\"file_size\":2," \
                              "\"file_modification_timestamp\":3}"
#define NAME7 "00000000000000000007.u.json"
#define NAME8 "00000000000000000008.u.json"

static void test_catalog_managed_commit__answers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *message; /* NULL: good */
        size_t count;
        int64_t latest;
    } cases[] = {
        {"{\"commits\":[],\"latest_table_version\":0}", NULL, 0, 0},
        {"{\"commits\":null,\"latest_table_version\":-1}", NULL, 0, 0},
        {"{\"latest_table_version\":12}", NULL, 0, 12},
        {"{\"commits\":[" COMMIT("8", NAME8) "," COMMIT("7", NAME7) "],\"latest_table_version\":8}", NULL, 2, 8},
        {"", "no JSON object", 0, 0},
        {"[]", "no JSON object", 0, 0},
        {"{\"commits\":[]}", "the latest version", 0, 0},
        {"{\"commits\":{},\"latest_table_version\":0}", "no list", 0, 0},
        {"{\"commits\":[7],\"latest_table_version\":7}", "lacks its version", 0, 0},
        {"{\"commits\":[" COMMIT("7", "../" NAME7) "],\"latest_table_version\":7}", "file name", 0, 0},
        {"{\"commits\":[" COMMIT("7", NAME8) "],\"latest_table_version\":7}", "file name", 0, 0},
        {"{\"commits\":[" COMMIT("7", "00000000000000000007./../x.json") "],\"latest_table_version\":7}", "file name", 0, 0},
        {"{\"commits\":[" COMMIT("7", "00000000000000000007.a\\u0000b.json") "],\"latest_table_version\":7}", "file name", 0,
         0},
        {"{\"commits\":[" COMMIT("-7", NAME7) "],\"latest_table_version\":7}", "negative", 0, 0},
        {"{\"commits\":[" COMMIT("7", NAME7) "," COMMIT("7", NAME7) "],\"latest_table_version\":7}", "twice", 0, 0},
        {"{\"commits\":[" COMMIT("7", NAME7) "],\"latest_table_version\":6}", "newer than the latest", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist__commits commits;
        ist_error err = IST_ERROR_INIT;
        ist_status status = ist__commits_parse(cases[i].json, strlen(cases[i].json), IST__COMMITS_PREVIEW, &commits, &err);
        if (cases[i].message ? status != IST_BAD_INPUT || !strstr(err.message, cases[i].message)
                             : status != IST_OK || commits.count != cases[i].count || commits.latest != cases[i].latest)
            fail_msg("case %zu: %s: %s", i, ist_status_name(status), err.message);
        if (cases[i].count == 2)
            assert_int_equal(commits.items[0].version, 7);
        ist__commits_free(&commits);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        COMMITTER_CONFORMANCE_CASES(COMMITTER_CONFORMANCE_ENTRY)
        cmocka_unit_test(test_catalog_managed_commit__what_the_catalog_is_told),
        cmocka_unit_test(test_catalog_managed_commit__the_loser_cleans_up),
        cmocka_unit_test(test_catalog_managed_commit__a_server_that_fails_after_ratifying),
        cmocka_unit_test(test_catalog_managed_commit__ten_unpublished_and_no_more),
        cmocka_unit_test(test_catalog_managed_commit__another_file_in_the_place_of_a_published_one),
        cmocka_unit_test(test_catalog_managed_commit__a_new_table_has_the_whole_contract),
        cmocka_unit_test(test_catalog_managed_commit__a_plain_new_table_is_left_plain),
        cmocka_unit_test(test_catalog_managed_commit__changes_are_told_with_the_commit),
        cmocka_unit_test(test_catalog_managed_commit__answers),
    };
    return run_group(tests, argc, argv);
}
