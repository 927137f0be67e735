/* test_catalog_log.c: reading and writing the log of a catalog-managed table, with a catalog in memory. */
#include "conformance/memory_committer.h"

#include "conformance/committer_conformance.h"

static void *conformance_world(void)
{
    memory_catalog *catalog = calloc(1, sizeof *catalog);
    pthread_mutex_init(&catalog->mutex, NULL);
    return catalog;
}

static void conformance_end(void *world)
{
    pthread_mutex_destroy(&((memory_catalog *)world)->mutex);
    free(world);
}

static ist_committer *conformance_open(void *world)
{
    return memory_committer_new(world);
}

static ist_status open_as(const conformance_table *table, bool by_name, int64_t version, ist_snapshot **out,
                          ist_error *err)
{
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    ist_committer *committer = by_name ? conformance_open(table->world) : NULL;
    options.committer = committer;
    options.version = version;
    ist_status status = ist_snapshot_open(table->store, &options, out, err);
    ist_committer_free(committer);
    return status;
}

static void put(ist_store *store, int64_t version, const char *text)
{
    ist_error err = IST_ERROR_INIT;
    char path[64];
    ist__log_commit_path(version, path);
    assert_ok(ist_store_put(store, path, text, strlen(text), IST_PUT_REPLACE, &err), err);
}

/* PROTOCOL.md, "Reading Catalog-managed Tables". */
static void test_delta_catalog_log__the_catalog_goes_before_the_listing(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    ist_snapshot *snapshot;
    conformance_begin(&table);
    unlucky writer = unlucky_of(table.world);
    writer.never_publishes = true;
    for (int i = 0; i < 3; i++)
        assert_ok(conformance_append(&table, &writer.base, (const char *[]){"a", "b", "c"}[i], &result, &err), err);
    ist_committer_free(writer.inner);
    put(table.store, 2, "not JSON\n"); /* the ratified copy counts */
    put(table.store, 4, "nor this\n"); /* past the newest version: not there */
    assert_ok(open_as(&table, true, -1, &snapshot, &err), err);
    assert_int_equal(ist_snapshot_version(snapshot), 3);
    assert_int_equal(ist_snapshot_row_count(snapshot), 9);
    ist_snapshot_free(snapshot);
    assert_ok(open_as(&table, true, 1, &snapshot, &err), err);
    assert_int_equal(ist_snapshot_row_count(snapshot), 3);
    ist_snapshot_free(snapshot);
    assert_int_equal(open_as(&table, true, 4, &snapshot, &err), IST_NOT_FOUND);
    assert_int_equal(open_as(&table, false, 0, &snapshot, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "by its name"));
    conformance_finish(&table);
}

static void test_delta_catalog_log__history_and_time_travel(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    ist_snapshot *snapshot, *first;
    ist_buffer json = IST_BUFFER_INIT;
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    conformance_begin(&table);
    unlucky writer = unlucky_of(table.world);
    writer.never_publishes = true;
    assert_ok(conformance_append(&table, &writer.base, "a", &result, &err), err);
    assert_ok(conformance_append(&table, &writer.base, "b", &result, &err), err);
    assert_ok(ist_table_history(table.store, writer.inner, 0, &json, &err), err);
    yyjson_doc *doc = yyjson_read(json.data, json.size, 0);
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), 3);
    assert_int_equal(yyjson_get_int(yyjson_obj_get(yyjson_arr_get_first(yyjson_doc_get_root(doc)), "version")), 2);
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    assert_ok(open_as(&table, true, 1, &first, &err), err);
    options.committer = writer.inner;
    options.timestamp_ms = ist_snapshot_timestamp_ms(first); /* in-commit timestamps, of staged commits too */
    assert_ok(ist_snapshot_open(table.store, &options, &snapshot, &err), err);
    assert_int_equal(ist_snapshot_version(snapshot), 1);
    ist_snapshot_free(snapshot);
    ist_snapshot_free(first);
    ist_committer_free(writer.inner);
    conformance_finish(&table);
}

static void test_delta_catalog_log__checkpoints_of_published_versions_only(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    ist_snapshot *snapshot;
    conformance_begin(&table);
    unlucky writer = unlucky_of(table.world);
    writer.never_publishes = true;
    assert_ok(conformance_append(&table, &writer.base, "a", &result, &err), err);
    assert_ok(open_as(&table, true, -1, &snapshot, &err), err);
    assert_int_equal(ist_checkpoint_write(table.store, snapshot, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "not published"));
    assert_ok(writer.inner->ops->publish(writer.inner, table.store, 1, &err), err);
    assert_ok(ist_checkpoint_write(table.store, snapshot, &err), err);
    ist_snapshot_free(snapshot);
    /* A checkpoint of a version that the catalog does not know yet is not read. */
    ((memory_catalog *)table.world)->latest = 0;
    assert_ok(open_as(&table, true, -1, &snapshot, &err), err);
    assert_int_equal(ist_snapshot_version(snapshot), 0);
    ist_snapshot_free(snapshot);
    ist_committer_free(writer.inner);
    conformance_finish(&table);
}

static void test_delta_catalog_log__a_missing_commit_is_told(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    ist_snapshot *snapshot;
    conformance_begin(&table);
    unlucky writer = unlucky_of(table.world);
    writer.never_publishes = true;
    for (int i = 0; i < 3; i++)
        assert_ok(conformance_append(&table, &writer.base, (const char *[]){"a", "b", "c"}[i], &result, &err), err);
    ist_committer_free(writer.inner);
    ((memory_catalog *)table.world)->told_from = 3; /* 1 and 2 are neither published nor told */
    assert_int_equal(open_as(&table, true, -1, &snapshot, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "gap"));
    ((memory_catalog *)table.world)->told_from = 4;
    assert_int_equal(open_as(&table, true, -1, &snapshot, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "a ratified commit is missing"));
    conformance_finish(&table);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        COMMITTER_CONFORMANCE_CASES(COMMITTER_CONFORMANCE_ENTRY)
        cmocka_unit_test(test_delta_catalog_log__the_catalog_goes_before_the_listing),
        cmocka_unit_test(test_delta_catalog_log__history_and_time_travel),
        cmocka_unit_test(test_delta_catalog_log__checkpoints_of_published_versions_only),
        cmocka_unit_test(test_delta_catalog_log__a_missing_commit_is_told),
    };
    return run_group(tests, argc, argv);
}
