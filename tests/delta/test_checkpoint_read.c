/* test_checkpoint_read.c: checkpoints that Spark wrote (tests/data/tables), against the commits they sum up. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"
#include "testing.h"

#include <string.h>

static ist_store *open_table(const char *name)
{
    ist_error err = IST_ERROR_INIT;
    char path[4200];
    ist_store *store;
    snprintf(path, sizeof path, "%s/tables/%s/table", getenv("ISTHMUS_TEST_DATA"), name);
    char *absolute = realpath(path, NULL);
    assert_non_null(absolute);
    assert_ok(ist_store_open(absolute, NULL, &store, &err), err);
    free(absolute);
    return store;
}

static bool copy_commit(const ist_store_entry *entry, void *payload)
{
    ist_store *const *stores = payload;
    ist_buffer bytes = IST_BUFFER_INIT;
    if (ist__log_parse_name(strrchr(entry->path, '/') + 1).kind == IST__LOG_COMMIT &&
        (ist_store_get(stores[0], entry->path, &bytes, NULL) != IST_OK ||
         ist_store_put(stores[1], entry->path, bytes.data, bytes.size, IST_PUT_REPLACE, NULL) != IST_OK))
        fail_msg("cannot copy %s", entry->path);
    ist_buffer_free(&bytes);
    return true;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sorted_lines(const ist_snapshot *snapshot, ist_buffer *out)
{
    size_t count = 0;
    char *lines[256];
    ist_error err = IST_ERROR_INIT;
    ist__action action;
#define LINE(kind_, member, item)                                                                                      \
    do {                                                                                                               \
        ist_buffer line = IST_BUFFER_INIT;                                                                             \
        ist__action_init(&action, kind_);                                                                              \
        action.member = item;                                                                                          \
        if (kind_ == IST__ADD) {                                                                                       \
            action.add.stats = NULL;       /* compared by themselves */                                                \
            action.add.data_change = true; /* a checkpoint says false */                                               \
            action.add.tags = (ist__pairs){NULL, 0};                                                                   \
        }                                                                                                              \
        assert_ok(ist__action_format(&action, &line, &err), err);                                                      \
        lines[count++] = line.data;                                                                                    \
    } while (0)
    for (size_t i = 0; i < snapshot->file_count; i++)
        LINE(IST__ADD, add, snapshot->files[i]);
    for (size_t i = 0; i < snapshot->app_count; i++)
        LINE(IST__APP, app, snapshot->apps[i]);
    for (size_t i = 0; i < snapshot->domain_count; i++)
        LINE(IST__DOMAIN, domain, snapshot->domains[i]);
    LINE(IST__METADATA, metadata, snapshot->metadata);
    LINE(IST__PROTOCOL, protocol, snapshot->protocol);
    qsort(lines, count, sizeof *lines, compare_text);
    for (size_t i = 0; i < count; i++) {
        ist_buffer_append_string(out, lines[i], NULL);
        free(lines[i]);
    }
}

/* Every statistic that the commit has, the checkpoint has with the same value. */
static void assert_same_stats(const ist__add *by_commit, const ist__add *by_checkpoint)
{
    if (!by_checkpoint->stats)
        fail_msg("%s has lost its statistics: %s", by_commit->path, by_commit->stats);
    yyjson_doc *a = yyjson_read(by_commit->stats, strlen(by_commit->stats), 0);
    yyjson_doc *b = yyjson_read(by_checkpoint->stats, strlen(by_checkpoint->stats), 0);
    yyjson_val *key, *other;
    size_t i, count;
    assert_non_null(a);
    assert_non_null(b);
    yyjson_obj_foreach(yyjson_doc_get_root(a), i, count, key, other) {
        yyjson_val *mine = yyjson_obj_get(yyjson_doc_get_root(b), yyjson_get_str(key));
        if (!yyjson_equals(other, mine))
            fail_msg("%s of %s\ncommit:     %s\ncheckpoint: %s", yyjson_get_str(key), by_commit->path,
                     by_commit->stats, by_checkpoint->stats);
    }
    yyjson_doc_free(a);
    yyjson_doc_free(b);
}

static void test_delta_checkpoint_read__sums_up_the_commits(void **state)
{
    (void)state;
    static const char *const tables[] = {"spark_checkpoint",   "spark_checkpoint_parts", "spark_checkpoint_struct_stats",
                                         "spark_v2_json",      "spark_v2_parquet",       "spark_vectors",
                                         "spark_mapping_name", "spark_features",         "rs_partitioned_checkpoint"};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        ist_error err = IST_ERROR_INIT;
        ist_store *stores[2] = {open_table(tables[t])};
        ist_snapshot *whole, *commits;
        ist_buffer a = IST_BUFFER_INIT, b = IST_BUFFER_INIT;
        assert_ok(ist_store_open_memory(&stores[1], &err), err);
        assert_ok(ist_store_list(stores[0], "_delta_log", NULL, copy_commit, stores, &err), err);
        assert_ok(ist_snapshot_open(stores[0], NULL, &whole, &err), err);
        assert_ok(ist_snapshot_open(stores[1], NULL, &commits, &err), err);
        assert_true(whole->checkpoint_version > 0);
        assert_int_equal(commits->checkpoint_version, -1);
        sorted_lines(whole, &a);
        sorted_lines(commits, &b);
        assert_string_equal(a.data, b.data);
        for (size_t i = 0; i < whole->file_count; i++) {
            for (size_t k = 0; k < commits->file_count; k++) {
                if (strcmp(whole->files[i].path, commits->files[k].path) == 0 && commits->files[k].stats)
                    assert_same_stats(&commits->files[k], &whole->files[i]);
            }
        }
        ist_buffer_free(&a);
        ist_buffer_free(&b);
        ist_snapshot_free(whole);
        ist_snapshot_free(commits);
        ist_store_free(stores[0]);
        ist_store_free(stores[1]);
    }
}

#define TOP "_delta_log/00000000000000000000.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json"

static void test_delta_checkpoint_read__broken_sidecars(void **state)
{
    (void)state;
    static const char top[] =
        "{\"checkpointMetadata\":{\"version\":0}}\n{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
        "{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\"},\"schemaString\":\"{}\",\"partitionColumns\":[],"
        "\"configuration\":{}}}\n{\"sidecar\":{\"path\":\"a%20b.parquet\",\"sizeInBytes\":8,\"modificationTime\":0}}\n";
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist_snapshot *snapshot;
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_ok(ist_store_put(store, TOP, top, strlen(top), IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist_snapshot_open(store, NULL, &snapshot, &err), IST_NOT_FOUND);
    assert_non_null(strstr(err.message, "sidecar of " TOP));
    assert_non_null(strstr(err.message, "_delta_log/_sidecars/a b.parquet"));
    assert_ok(ist_store_put(store, "_delta_log/_sidecars/a b.parquet", "PAR1PAR1", 8, IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist_snapshot_open(store, NULL, &snapshot, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "_delta_log/_sidecars/a b.parquet"));
    assert_ok(ist_store_put(store, TOP, top, strlen(top) / 2, IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist_snapshot_open(store, NULL, &snapshot, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, TOP ", line"));
    ist_store_free(store);
}

/* A data file is Parquet too, but no checkpoint. */
static void test_delta_checkpoint_read__parquet_of_other_columns(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *table = open_table("rs_plain"), *store;
    ist_snapshot *snapshot;
    ist_buffer bytes = IST_BUFFER_INIT;
    assert_ok(ist_snapshot_open(table, NULL, &snapshot, &err), err);
    assert_ok(ist_store_get(table, snapshot->files[0].path, &bytes, &err), err);
    ist_snapshot_free(snapshot);
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_ok(ist_store_put(store, "_delta_log/00000000000000000000.checkpoint.parquet", bytes.data, bytes.size,
                            IST_PUT_REPLACE, &err), err);
    assert_int_equal(ist_snapshot_open(store, NULL, &snapshot, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "has no protocol action"));
    ist_buffer_free(&bytes);
    ist_store_free(store);
    ist_store_free(table);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_checkpoint_read__sums_up_the_commits),
        cmocka_unit_test(test_delta_checkpoint_read__broken_sidecars),
        cmocka_unit_test(test_delta_checkpoint_read__parquet_of_other_columns),
    };
    return run_group(tests, argc, argv);
}
