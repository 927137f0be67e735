/* test_transaction.c: the commit protocol: modes, rebase, conflicts, idempotency, faults; and many members at once. */
#include "delta/transaction_internal.h"
#include "isthmus/committer.h"
#include "isthmus/sys/storage.h"
#include "rows.h"

#include <inttypes.h>

static const double ids[] = {1, 2, 3};
static const char *const names[] = {"a", NULL, "c"};
static const column plain[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}, {"name", NANOARROW_TYPE_STRING, NULL, names}};
static const column wider[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL},
                               {"name", NANOARROW_TYPE_STRING, NULL, names},
                               {"score", NANOARROW_TYPE_DOUBLE, ids, NULL}};

/* Write three rows for a transaction's context and hand back context and actions. */
static void write_rows(ist_store *store, const ist_transaction *t, const column *columns, size_t count,
                       ist_buffer *context, ist_buffer *actions)
{
    ist_error err = IST_ERROR_INIT;
    ist_writer *writer;
    struct ArrowArrayStream stream;
    ist_buffer_clear(context);
    ist_buffer_clear(actions);
    assert_ok(ist_transaction_write_context(t, context, &err), err);
    assert_ok(ist_writer_open(store, context->data, &writer, &err), err);
    rows_stream(columns, count, 3, &stream);
    assert_ok(ist_writer_write(writer, &stream, &err), err);
    assert_ok(ist_writer_finish(writer, actions, &err), err);
    ist_writer_free(writer);
}

static ist_status begin(ist_store *store, const ist_transaction_options *options, const column *columns, size_t count,
                        ist_transaction **out, ist_error *err)
{
    struct ArrowSchema schema;
    rows_schema(columns, count, &schema);
    ist_status status = ist_transaction_begin(store, options, &schema, out, err);
    schema.release(&schema);
    return status;
}

/* Begin, write three rows, gather. */
static ist_transaction *prepare(ist_store *store, const ist_transaction_options *options, const column *columns,
                                size_t count)
{
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_buffer context = IST_BUFFER_INIT, actions = IST_BUFFER_INIT;
    assert_ok(begin(store, options, columns, count, &t, &err), err);
    write_rows(store, t, columns, count, &context, &actions);
    assert_ok(ist_transaction_add(t, context.data, actions.data, actions.size, &err), err);
    ist_buffer_free(&context);
    ist_buffer_free(&actions);
    return t;
}

static ist_commit_result finish(ist_transaction *t)
{
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    ist_transaction_free(t);
    return result;
}

static ist_commit_result append(ist_store *store, const column *columns, size_t count)
{
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    return finish(prepare(store, &options, columns, count));
}

static ist_snapshot *open_table(ist_store *store)
{
    ist_error err = IST_ERROR_INIT;
    ist_snapshot *snapshot;
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    return snapshot;
}

static void create_with(ist_store *store, const char *properties)
{
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    options.properties = properties;
    assert_int_equal(finish(prepare(store, &options, plain, 2)).outcome, IST_COMMIT_COMMITTED);
}

static int new_memory(void **state)
{
    return ist_store_open_memory((ist_store **)state, NULL) != IST_OK;
}

static int free_memory(void **state)
{
    ist_store_free(*state);
    return 0;
}

static void test_delta_transaction__create_and_append(void **state)
{
    ist_store *store = *state;
    ist_commit_result result = append(store, plain, 2);
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_int_equal(result.version, 0);
    assert_int_equal(result.rows, 3);
    assert_int_equal(result.files, 1);
    assert_int_equal(append(store, plain, 2).version, 1);
    ist_snapshot *snapshot = open_table(store);
    assert_int_equal(ist_snapshot_row_count(snapshot), 6);
    assert_int_equal(snapshot->protocol.min_reader_version, 1);
    assert_int_equal(snapshot->protocol.min_writer_version, 2);
    assert_non_null(strstr(snapshot->files[0].stats, "\"minValues\":{\"id\":1,\"name\":\"a\"}"));
    assert_non_null(strstr(snapshot->files[0].stats, "\"nullCount\":{\"id\":0,\"name\":1}"));
    ist_snapshot_free(snapshot);
}

static void test_delta_transaction__modes(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    assert_int_equal(ist_transaction_begin(store, &options, NULL, &t, &err), IST_NOT_FOUND);
    append(store, plain, 2);
    options.mode = IST_WRITE_ERROR;
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_ALREADY_EXISTS);
    options.mode = IST_WRITE_IGNORE;
    assert_ok(begin(store, &options, plain, 2, &t, &err), err);
    assert_true(ist_transaction_is_noop(t));
    assert_int_equal(finish(t).version, 0);
    options.mode = IST_WRITE_OVERWRITE;
    assert_int_equal(finish(prepare(store, &options, plain, 2)).version, 1);
    ist_snapshot *snapshot = open_table(store);
    assert_int_equal(ist_snapshot_row_count(snapshot), 3);
    assert_int_equal(snapshot->tombstone_count, 1);
    assert_true(snapshot->tombstones[0].extended);
    ist_snapshot_free(snapshot);
    assert_int_equal(begin(store, &options, wider, 3, &t, &err), IST_BAD_INPUT);
    options.overwrite_schema = true;
    assert_int_equal(finish(prepare(store, &options, wider, 3)).version, 2);
    snapshot = open_table(store);
    assert_non_null(strstr(ist_snapshot_schema_json(snapshot), "score"));
    ist_snapshot_free(snapshot);
}

/* A rewrite removes the files it was told and no others. */
static void test_delta_transaction__rewrite(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer history = IST_BUFFER_INIT;
    ist_scan *scan;
    ist_transaction *t;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    options.mode = IST_WRITE_REWRITE;
    options.operation = "MERGE";
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_NOT_FOUND);
    for (int i = 0; i < 3; i++)
        append(store, plain, 2);
    ist_snapshot *before = open_table(store);
    assert_ok(ist_scan_open(before, NULL, &scan, &err), err);
    const char *paths[] = {ist_scan_task_path(scan, 2), ist_scan_task_path(scan, 0)}, *unknown[] = {paths[0], "none"};
    t = prepare(store, &options, plain, 2);
    assert_ok(ist_transaction_replace(t, paths, 2, &err), err);
    assert_int_equal(ist_transaction_replace(t, paths, 2, &err), IST_BAD_INPUT);
    assert_int_equal(finish(t).version, 3);
    ist_snapshot *after = open_table(store);
    assert_int_equal(after->file_count, 2);
    assert_string_equal(after->files[0].path, before->files[1].path);
    assert_int_equal(after->tombstone_count, 2);
    assert_ok(ist_table_history(store, NULL, 1, &history, &err), err);
    assert_non_null(strstr(history.data, "\"operation\":\"MERGE\""));
    assert_non_null(strstr(history.data, "\"numRemovedFiles\":\"2\""));
    t = prepare(store, &options, plain, 2); /* none: an addition, which an append stands against all the same */
    append(store, plain, 2);
    assert_int_equal(finish(t).outcome, IST_COMMIT_CONFLICTED);
    assert_int_equal(finish(prepare(store, &options, plain, 2)).version, 5);
    t = prepare(store, &options, plain, 2);
    assert_int_equal(ist_transaction_replace(t, unknown, 2, &err), IST_BAD_INPUT);
    ist_transaction_free(t);
    options.mode = IST_WRITE_OVERWRITE;
    t = prepare(store, &options, plain, 2);
    assert_int_equal(ist_transaction_replace(t, paths, 2, &err), IST_BAD_INPUT);
    ist_transaction_free(t);
    ist_buffer_free(&history);
    ist_scan_free(scan);
    ist_snapshot_free(before);
    ist_snapshot_free(after);
}

/* What a rewrite changes is told where the table has a change data feed. */
static void test_delta_transaction__change_data(void **state)
{
    static const char *const kinds[] = {"insert", "delete", "update_preimage"};
    static const column changes[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL},
                                     {"name", NANOARROW_TYPE_STRING, NULL, names},
                                     {"_change_type", NANOARROW_TYPE_STRING, NULL, kinds}};
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer context = IST_BUFFER_INIT, actions = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    ist_commit_result result;
    ist_scan *scan;
    ist_writer *writer;
    struct ArrowArrayStream stream;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    create_with(store, "{\"delta.enableChangeDataFeed\":\"true\"}");
    ist_transaction *t = prepare(store, &options, plain, 2);
    assert_ok(ist_transaction_change_context(t, &context, &err), err);
    assert_int_equal(context.size, 0); /* an append's rows are its changes */
    ist_transaction_free(t);
    ist_snapshot *snapshot = open_table(store);
    assert_ok(ist_scan_open(snapshot, NULL, &scan, &err), err);
    const char *path = ist_scan_task_path(scan, 0);
    options.mode = IST_WRITE_REWRITE;
    t = prepare(store, &options, plain, 2);
    assert_ok(ist_transaction_replace(t, &path, 1, &err), err);
    assert_int_equal(ist_transaction_commit(t, &result, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "not told what changes"));
    assert_ok(ist_transaction_change_context(t, &context, &err), err);
    assert_ok(ist_writer_open(store, context.data, &writer, &err), err);
    rows_stream(changes, 3, 3, &stream);
    assert_ok(ist_writer_write(writer, &stream, &err), err);
    assert_ok(ist_writer_finish(writer, &actions, &err), err);
    ist_writer_free(writer);
    assert_int_equal(ist_transaction_add(t, context.data, "{\"txn\":{\"appId\":\"a\",\"version\":1}}", 33, &err),
                     IST_BAD_INPUT);
    assert_ok(ist_transaction_add(t, context.data, actions.data, actions.size, &err), err);
    assert_int_equal(finish(t).version, 1);
    assert_ok(ist_store_get(store, "_delta_log/00000000000000000001.json", &text, &err), err);
    assert_non_null(strstr(text.data, "{\"cdc\":{\"path\":\"_change_data/cdc-00000-"));
    ist_writer_discard(store, actions.data, actions.size);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    snapshot = open_table(store);
    assert_int_equal(ist_snapshot_row_count(snapshot), 3);
    ist_snapshot_free(snapshot);
    ist_buffer_free(&context);
    ist_buffer_free(&actions);
    ist_buffer_free(&text);
}

static void test_delta_transaction__merge_schema(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    append(store, plain, 2);
    options.table_name = "main.demo.t";
    assert_int_equal(begin(store, &options, wider, 3, &t, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "main.demo.t"));
    assert_non_null(strstr(err.message, "mergeSchema=True"));
    options.merge_schema = true;
    assert_int_equal(finish(prepare(store, &options, wider, 3)).version, 1);
    assert_int_equal(append(store, plain, 2).version, 2); /* the new column becomes null */
}

static void test_delta_transaction__lost_race_is_rebased(void **state)
{
    ist_store *store = *state;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    create_with(store, "{\"delta.enableRowTracking\":\"true\",\"delta.enableInCommitTimestamps\":\"true\"}");
    ist_transaction *slow = prepare(store, &options, plain, 2);
    append(store, plain, 2);
    append(store, plain, 2);
    ist_commit_result result = finish(slow);
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_int_equal(result.version, 3);
    assert_int_equal(result.attempts, 2);
    /* Row ids are disjoint and the mark is right, timestamps ascend. */
    ist_snapshot *snapshot = open_table(store);
    bool seen[12] = {false};
    for (size_t i = 0; i < snapshot->file_count; i++) {
        assert_in_range(snapshot->files[i].base_row_id, 0, 9);
        assert_false(seen[snapshot->files[i].base_row_id]);
        seen[snapshot->files[i].base_row_id] = true;
        assert_int_equal(snapshot->files[i].base_row_id % 3, 0);
        assert_int_equal(snapshot->files[i].default_row_commit_version, snapshot->files[i].base_row_id / 3);
    }
    assert_int_equal(snapshot->domain_count, 1);
    assert_string_equal(snapshot->domains[0].configuration, "{\"rowIdHighWaterMark\":11}");
    assert_true(snapshot->has_in_commit_timestamp);
    ist_snapshot_free(snapshot);
    int64_t before = 0;
    for (int64_t v = 0; v <= 3; v++) {
        ist_buffer text = IST_BUFFER_INIT;
        ist_error err = IST_ERROR_INIT;
        assert_ok(ist__log_read_commit(&(ist__log){.store = store, .latest = INT64_MAX}, v, &text, &err), err);
        assert_memory_equal(text.data, "{\"commitInfo\":{\"inCommitTimestamp\":", 35);
        int64_t timestamp = strtoll(text.data + 35, NULL, 10);
        assert_true(timestamp > before);
        before = timestamp;
        ist_buffer_free(&text);
    }
}

static void test_delta_transaction__overwrite_conflicts_with_append(void **state)
{
    ist_store *store = *state;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    append(store, plain, 2);
    options.mode = IST_WRITE_OVERWRITE;
    ist_transaction *slow = prepare(store, &options, plain, 2);
    append(store, plain, 2);
    ist_commit_result result = finish(slow);
    assert_int_equal(result.outcome, IST_COMMIT_CONFLICTED);
    assert_int_equal(result.version, 1);
    assert_non_null(strstr(result.reason, "added files"));
    /* and the other way round an append follows */
    ist_transaction_options plain_append = IST_TRANSACTION_OPTIONS_INIT;
    slow = prepare(store, &plain_append, plain, 2);
    finish(prepare(store, &options, plain, 2));
    assert_int_equal(finish(slow).outcome, IST_COMMIT_COMMITTED);
}

static void test_delta_transaction__append_meets_metadata_change(void **state)
{
    ist_store *store = *state;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT, merging = IST_TRANSACTION_OPTIONS_INIT;
    merging.merge_schema = true;
    append(store, plain, 2);
    ist_transaction *slow = prepare(store, &options, plain, 2), *twin = prepare(store, &merging, wider, 3);
    finish(prepare(store, &merging, wider, 3));
    assert_int_equal(finish(slow).outcome, IST_COMMIT_COMMITTED); /* a nullable column more does not matter */
    assert_int_equal(finish(twin).outcome, IST_COMMIT_COMMITTED); /* it wanted the same change */
    slow = prepare(store, &options, plain, 2);
    ist_transaction_options replacing = IST_TRANSACTION_OPTIONS_INIT;
    static const column other[] = {{"id", NANOARROW_TYPE_STRING, NULL, names}};
    replacing.mode = IST_WRITE_OVERWRITE;
    replacing.overwrite_schema = true;
    finish(prepare(store, &replacing, other, 1));
    ist_commit_result result = finish(slow);
    assert_int_equal(result.outcome, IST_COMMIT_CONFLICTED);
    assert_non_null(strstr(result.reason, "'id'"));
}

static void test_delta_transaction__race_to_create(void **state)
{
    ist_store *store = *state;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT, strict = IST_TRANSACTION_OPTIONS_INIT;
    strict.mode = IST_WRITE_ERROR;
    ist_transaction *a = prepare(store, &options, plain, 2), *b = prepare(store, &strict, plain, 2);
    append(store, plain, 2);
    ist_commit_result result = finish(a);
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_int_equal(result.version, 1);
    result = finish(b);
    assert_int_equal(result.outcome, IST_COMMIT_CONFLICTED);
    assert_non_null(strstr(result.reason, "created the table"));
    ist_snapshot *snapshot = open_table(store);
    assert_int_equal(ist_snapshot_row_count(snapshot), 6);
    ist_snapshot_free(snapshot);
}

static void test_delta_transaction__same_key_twice(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    append(store, plain, 2);
    options.app_id = "job-1/task-7";
    ist_transaction *twin = prepare(store, &options, plain, 2), *t;
    assert_int_equal(finish(prepare(store, &options, plain, 2)).version, 1);
    ist_commit_result result = finish(twin); /* began before the first was committed */
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_true(result.already);
    assert_int_equal(result.version, 1);
    append(store, plain, 2);
    assert_ok(begin(store, &options, plain, 2, &t, &err), err);
    assert_true(ist_transaction_is_noop(t));
    result = finish(t);
    assert_true(result.already);
    assert_int_equal(result.version, 1);
    ist_snapshot *snapshot = open_table(store);
    assert_int_equal(ist_snapshot_version(snapshot), 2);
    assert_int_equal(ist_snapshot_row_count(snapshot), 9);
    ist_snapshot_free(snapshot);
}

static void test_delta_transaction__properties_make_the_protocol(void **state)
{
    (void)state;
    static const struct {
        const char *properties;
        int reader, writer;
        const char *features;
    } cases[] = {
        {"{}", 1, 2, ""},
        {"{\"delta.appendOnly\":\"true\"}", 1, 2, ""},
        {"{\"delta.enableChangeDataFeed\":true}", 1, 4, ""},
        {"{\"delta.columnMapping.mode\":\"name\"}", 2, 5, ""},
        {"{\"delta.enableDeletionVectors\":\"true\"}", 3, 7, "appendOnly invariants deletionVectors"},
        {"{\"delta.checkpointPolicy\":\"v2\"}", 3, 7, "appendOnly invariants v2Checkpoint"},
        {"{\"delta.enableRowTracking\":\"true\"}", 1, 7, "appendOnly invariants domainMetadata rowTracking"},
        {"{\"delta.enableInCommitTimestamps\":\"true\"}", 1, 7, "appendOnly invariants inCommitTimestamp"},
        {"{\"delta.feature.vacuumProtocolCheck\":\"supported\"}", 3, 7, "appendOnly invariants vacuumProtocolCheck"},
        {"{\"delta.columnMapping.mode\":\"id\",\"delta.enableDeletionVectors\":\"true\"}", 3, 7,
         "appendOnly invariants columnMapping deletionVectors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ist_error err = IST_ERROR_INIT;
        ist_store *store;
        ist_transaction *t;
        ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
        char features[200] = "";
        options.properties = cases[i].properties;
        assert_ok(ist_store_open_memory(&store, &err), err);
        assert_ok(begin(store, &options, plain, 2, &t, &err), err);
        assert_int_equal(t->protocol.min_reader_version, cases[i].reader);
        assert_int_equal(t->protocol.min_writer_version, cases[i].writer);
        for (size_t f = 0; f < t->protocol.writer_features.count; f++)
            snprintf(features + strlen(features), sizeof features - strlen(features), "%s%s", f ? " " : "",
                     t->protocol.writer_features.items[f]);
        assert_string_equal(features, cases[i].features);
        ist_transaction_free(t);
        ist_store_free(store);
    }
}

static void test_delta_transaction__bad_options(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    const char *all[] = {"id", "name"}, *missing[] = {"nope"}, *twice[] = {"id", "id"};
    options.partition_columns = all;
    options.partition_column_count = 2;
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_BAD_INPUT);
    options.partition_columns = twice;
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_BAD_INPUT);
    options.partition_columns = missing;
    options.partition_column_count = 1;
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "'nope'"));
    options.partition_column_count = 0;
    options.properties = "[1]";
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_BAD_INPUT);
    options.properties = "{\"delta.feature.mystery\":\"supported\"}";
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "mystery"));
    options.properties = "{\"delta.constraints.c\":\"id > 0\"}";
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_UNSUPPORTED);
    options.properties = "{\"delta.appendOnly\":\"true\"}";
    finish(prepare(store, &options, plain, 2));
    options.mode = IST_WRITE_OVERWRITE;
    assert_int_equal(begin(store, &options, plain, 2, &t, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "delta.appendOnly"));
}

static void test_delta_transaction__checkpoints(void **state)
{
    ist_store *store = *state;
    create_with(store, "{\"delta.checkpointInterval\":\"3\"}");
    for (int i = 0; i < 4; i++)
        append(store, plain, 2);
    ist_buffer hint = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_get(store, "_delta_log/_last_checkpoint", &hint, &err), err);
    assert_non_null(strstr(hint.data, "\"version\":3,\"size\":6,"));
    ist_buffer_free(&hint);
    for (int64_t v = 0; v <= 3; v++) { /* version 3 itself is in the checkpoint, too */
        char path[64];
        ist__log_commit_path(v, path);
        assert_ok(ist_store_delete(store, path, &err), err);
    }
    ist_snapshot *snapshot = open_table(store);
    assert_int_equal(ist_snapshot_version(snapshot), 4);
    assert_int_equal(snapshot->checkpoint_version, 3);
    assert_int_equal(ist_snapshot_row_count(snapshot), 15);
    ist_snapshot_free(snapshot);
}

/* ---- a store whose put fails once, before or after the object is there --------------------------------------- */

typedef struct faulty_store {
    ist_store base;
    ist_store *inner;
    ist_store_ops ops;
    ist_status fail_with; /* of the next put of a commit; IST_OK: none */
    bool lands;           /* the object is written all the same */
} faulty_store;

static ist_status faulty_get(ist_store *store, const char *path, ist_buffer *out, ist_error *err)
{
    return ist_store_get(((faulty_store *)store)->inner, path, out, err);
}

static ist_status faulty_put(ist_store *store, const char *path, const void *data, size_t size, ist_put_mode mode,
                             ist_error *err)
{
    faulty_store *self = (faulty_store *)store;
    ist_status fail_with = strstr(path, ".json") ? self->fail_with : IST_OK;
    if (fail_with == IST_OK || self->lands)
        IST_TRY(ist_store_put(self->inner, path, data, size, mode, err));
    if (fail_with == IST_OK)
        return IST_OK;
    self->fail_with = IST_OK;
    return ist_error_set(err, fail_with, 0, path, "the wire broke");
}

static ist_status faulty_stat(ist_store *store, const char *path, ist_store_entry *entry, ist_error *err)
{
    return ist_store_stat(((faulty_store *)store)->inner, path, entry, err);
}

static ist_status faulty_list(ist_store *store, const char *folder, const char *start_after, ist_store_list_cb cb,
                              void *payload, ist_error *err)
{
    return ist_store_list(((faulty_store *)store)->inner, folder, start_after, cb, payload, err);
}

static ist_status faulty_writer_open(ist_store *store, const char *path, ist_store_writer **out, ist_error *err)
{
    return ist_store_writer_open(((faulty_store *)store)->inner, path, out, err);
}

static void faulty_free(ist_store *store)
{
    (void)store;
}

static faulty_store faulty(ist_store *inner, ist_status fail_with, bool lands)
{
    return (faulty_store){.base = {.uri = inner->uri}, .inner = inner, .fail_with = fail_with, .lands = lands,
                          .ops = {.free = faulty_free, .get = faulty_get, .put = faulty_put, .stat = faulty_stat,
                                  .list = faulty_list, .writer_open = faulty_writer_open}};
}

static void test_delta_transaction__unclear_put(void **state)
{
    static const struct {
        ist_status fault;
        bool lands;
        ist_status want;
        int64_t version;
    } cases[] = {
        {IST_IO, true, IST_OK, 1},        /* the acknowledgement was lost: it is committed */
        {IST_RETRYABLE, true, IST_OK, 1}, /* likewise */
        {IST_RETRYABLE, false, IST_OK, 1}, /* tried again */
        {IST_IO, false, IST_IO, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ist_store *memory;
        ist_error err = IST_ERROR_INIT;
        ist_commit_result result;
        ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
        assert_ok(ist_store_open_memory(&memory, &err), err);
        append(memory, plain, 2);
        faulty_store store = faulty(memory, IST_OK, false);
        store.base.ops = &store.ops;
        ist_transaction *t = prepare(&store.base, &options, plain, 2);
        store.fail_with = cases[i].fault;
        store.lands = cases[i].lands;
        assert_int_equal(ist_transaction_commit(t, &result, &err), cases[i].want);
        ist_transaction_free(t);
        if (cases[i].want == IST_OK)
            assert_int_equal(result.version, cases[i].version);
        else
            assert_non_null(strstr(err.message, "not committed"));
        ist_snapshot *snapshot = open_table(memory);
        assert_int_equal(ist_snapshot_row_count(snapshot), cases[i].want == IST_OK ? 6 : 3);
        ist_snapshot_free(snapshot);
        ist_store_free(memory);
    }
}

/* ---- members ------------------------------------------------------------------------------------------------ */

static void test_delta_commit_members__each_its_own_fate(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT, errors[6] = {IST_ERROR_INIT};
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t, *old;
    ist_buffer context = IST_BUFFER_INIT, actions = IST_BUFFER_INIT, old_context = IST_BUFFER_INIT,
               old_actions = IST_BUFFER_INIT, new_context = IST_BUFFER_INIT;
    append(store, plain, 2);
    /* Files for a schema that the table then leaves. */
    assert_ok(begin(store, &options, plain, 2, &old, &err), err);
    write_rows(store, old, plain, 2, &old_context, &old_actions);
    ist_transaction_free(old);
    ist_transaction_options replacing = IST_TRANSACTION_OPTIONS_INIT;
    static const column other[] = {{"key", NANOARROW_TYPE_STRING, NULL, names}};
    replacing.mode = IST_WRITE_OVERWRITE;
    replacing.overwrite_schema = true;
    finish(prepare(store, &replacing, other, 1));
    options.app_id = "done";
    finish(prepare(store, &options, other, 1)); /* version 2 */
    options.app_id = NULL;
    assert_ok(begin(store, &options, other, 1, &t, &err), err);
    write_rows(store, t, other, 1, &context, &actions);
    ist_transaction_free(t);
    options.merge_schema = true;
    assert_ok(begin(store, &options, plain, 2, &t, &err), err);
    assert_ok(ist_transaction_write_context(t, &new_context, &err), err);
    ist_transaction_free(t);
    const ist_commit_member members[] = {
        {NULL, NULL, context.data, actions.data, actions.size, "one", NULL, NULL},
        {NULL, NULL, old_context.data, old_actions.data, old_actions.size, "misfit", NULL, NULL},
        {NULL, NULL, context.data, actions.data, actions.size, "done", NULL, NULL},
        {NULL, NULL, new_context.data, actions.data, actions.size, "changes", NULL, NULL},
        {NULL, NULL, "{", actions.data, actions.size, "broken", NULL, NULL},
        {NULL, NULL, context.data, actions.data, actions.size, "one", NULL, NULL},
    };
    ist_status statuses[6];
    ist_commit_result results[6];
    assert_ok(ist_commit_members(store, NULL, members, 6, statuses, results, errors, &err), err);
    assert_int_equal(statuses[0], IST_OK);
    assert_int_equal(results[0].version, 3);
    assert_int_equal(results[0].rows, 3);
    assert_false(results[0].already);
    assert_int_equal(statuses[1], IST_CONFLICT);
    assert_non_null(strstr(errors[1].message, "'id'"));
    assert_int_equal(statuses[2], IST_OK);
    assert_true(results[2].already);
    assert_int_equal(results[2].version, 2);
    assert_int_equal(statuses[3], IST_BAD_INPUT);
    assert_int_equal(statuses[4], IST_BAD_INPUT);
    assert_int_equal(statuses[5], IST_OK);
    assert_true(results[5].already);
    assert_int_equal(results[5].version, 3);
    ist_snapshot *snapshot = open_table(store);
    assert_int_equal(ist_snapshot_version(snapshot), 3);
    assert_int_equal(ist_snapshot_row_count(snapshot), 9);
    assert_int_equal(ist_snapshot_app_version(snapshot, "one"), 3);
    ist_snapshot_free(snapshot);
    ist_commit_result again;
    assert_ok(ist_commit_direct(store, NULL, &members[0], &again, &err), err);
    assert_true(again.already);
    ist_buffer_free(&context);
    ist_buffer_free(&actions);
    ist_buffer_free(&old_context);
    ist_buffer_free(&old_actions);
    ist_buffer_free(&new_context);
}

/* Blocks of a data set need not agree: what only some have must not be lost without a word. */
static void test_delta_transaction__rows_with_other_columns_are_refused(void **state)
{
    ist_error err = IST_ERROR_INIT;
    ist_transaction *t;
    ist_writer *writer;
    ist_buffer context = IST_BUFFER_INIT;
    struct ArrowArrayStream stream;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    assert_ok(begin(*state, &options, plain, 2, &t, &err), err);
    assert_ok(ist_transaction_write_context(t, &context, &err), err);
    assert_ok(ist_writer_open(*state, context.data, &writer, &err), err);
    rows_stream(wider, 3, 3, &stream);
    assert_int_equal(ist_writer_write(writer, &stream, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "column 'score' of the rows is not in the table"));
    rows_stream(plain, 1, 3, &stream); /* fewer are null */
    assert_ok(ist_writer_write(writer, &stream, &err), err);
    ist_writer_free(writer);
    ist_buffer_free(&context);
    ist_transaction_free(t);
}

int main(int argc, char **argv)
{
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, new_memory, free_memory)
    const struct CMUnitTest tests[] = {
        IN_MEMORY(test_delta_transaction__create_and_append),
        IN_MEMORY(test_delta_transaction__modes),
        IN_MEMORY(test_delta_transaction__rewrite),
        IN_MEMORY(test_delta_transaction__change_data),
        IN_MEMORY(test_delta_transaction__merge_schema),
        IN_MEMORY(test_delta_transaction__lost_race_is_rebased),
        IN_MEMORY(test_delta_transaction__overwrite_conflicts_with_append),
        IN_MEMORY(test_delta_transaction__append_meets_metadata_change),
        IN_MEMORY(test_delta_transaction__race_to_create),
        IN_MEMORY(test_delta_transaction__same_key_twice),
        IN_MEMORY(test_delta_transaction__rows_with_other_columns_are_refused),
        cmocka_unit_test(test_delta_transaction__properties_make_the_protocol),
        IN_MEMORY(test_delta_transaction__bad_options),
        IN_MEMORY(test_delta_transaction__checkpoints),
        cmocka_unit_test(test_delta_transaction__unclear_put),
        IN_MEMORY(test_delta_commit_members__each_its_own_fate),
    };
    return run_group(tests, argc, argv);
}
