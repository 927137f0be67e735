/* test_snapshot.c: replay, time travel and what a snapshot tells. Tables of other engines are read by test_scan.c. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"
#include "testing.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define PROTOCOL "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
#define METADATA_WITH(configuration)                                                                                   \
    "{\"metaData\":{\"id\":\"table-id\",\"name\":\"n\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"          \
    "\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"long\\\"," \
    "\\\"nullable\\\":true,\\\"metadata\\\":{}}]}\",\"partitionColumns\":[],\"configuration\":{" configuration         \
    "},\"createdTime\":5}}\n"
#define METADATA METADATA_WITH("")
#define ADD(path) ADD_WITH(path, "")
#define ADD_WITH(path, more)                                                                                           \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":10,\"modificationTime\":1,\"dataChange\":true" more "}}\n"
#define REMOVE_WITH(path, more)                                                                                        \
    "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":99999999999999,\"dataChange\":true" more "}}\n"
#define REMOVE(path) REMOVE_WITH(path, "")
#define DV(id) ",\"deletionVector\":{\"storageType\":\"i\",\"pathOrInlineDv\":\"" id "\",\"sizeInBytes\":4,\"cardinality\":2}"
#define TXN(id, version) "{\"txn\":{\"appId\":\"" id "\",\"version\":" version "}}\n"
#define DOMAIN(name, removed)                                                                                          \
    "{\"domainMetadata\":{\"domain\":\"" name "\",\"configuration\":\"c\",\"removed\":" removed "}}\n"

static int set_up(void **state)
{
    return ist_store_open_memory((ist_store **)state, NULL) != IST_OK;
}

static int tear_down(void **state)
{
    ist_store_free(*state);
    return 0;
}

static void commit(ist_store *store, int64_t version, const char *text)
{
    ist_error err = IST_ERROR_INIT;
    char path[64];
    ist__log_commit_path(version, path);
    assert_ok(ist_store_put(store, path, text, strlen(text), IST_PUT_REPLACE, &err), err);
}

static ist_snapshot *open_at(ist_store *store, int64_t version)
{
    ist_error err = IST_ERROR_INIT;
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    ist_snapshot *snapshot;
    options.version = version;
    assert_ok(ist_snapshot_open(store, &options, &snapshot, &err), err);
    return snapshot;
}

/* "files: a b | gone: c" */
static void assert_files(ist_store *store, int64_t version, const char *expected)
{
    ist_snapshot *snapshot = open_at(store, version);
    ist_buffer text = IST_BUFFER_INIT;
    ist_buffer_append_string(&text, "files:", NULL);
    for (size_t i = 0; i < snapshot->file_count; i++)
        ist_buffer_printf(&text, NULL, " %s%s", snapshot->files[i].path,
                          snapshot->files[i].dv.storage_type ? snapshot->files[i].dv.path_or_inline : "");
    ist_buffer_append_string(&text, " | gone:", NULL);
    for (size_t i = 0; i < snapshot->tombstone_count; i++)
        ist_buffer_printf(&text, NULL, " %s%s", snapshot->tombstones[i].path,
                          snapshot->tombstones[i].dv.storage_type ? snapshot->tombstones[i].dv.path_or_inline : "");
    assert_string_equal(text.data, expected);
    ist_buffer_free(&text);
    ist_snapshot_free(snapshot);
}

static void test_delta_snapshot__newest_action_wins(void **state)
{
    ist_store *store = *state;
    commit(store, 0, PROTOCOL METADATA ADD("a") ADD("b"));
    commit(store, 1, ADD("c") REMOVE("a"));
    commit(store, 2, ADD("a") ADD_WITH("b", ",\"tags\":{\"k\":\"again\"}"));
    commit(store, 3, REMOVE("c") REMOVE("never-there"));
    assert_files(store, 0, "files: a b | gone:");
    assert_files(store, 1, "files: b c | gone: a");
    assert_files(store, 2, "files: c a b | gone:");
    assert_files(store, 3, "files: a b | gone: never-there c");
    assert_files(store, -1, "files: a b | gone: never-there c");
}

static void test_delta_snapshot__files_with_vectors_are_other_files(void **state)
{
    ist_store *store = *state;
    commit(store, 0, PROTOCOL METADATA ADD("a"));
    commit(store, 1, REMOVE("a") ADD_WITH("a", DV("00001")));
    commit(store, 2, ADD_WITH("a", DV("00002")) REMOVE_WITH("a", DV("00001")));
    assert_files(store, 1, "files: a00001 | gone: a");
    assert_files(store, 2, "files: a00002 | gone: a00001 a");
    commit(store, 3, REMOVE_WITH("a", DV("00002")) ADD("a"));
    assert_files(store, 3, "files: a | gone: a00002 a00001");
}

static void test_delta_snapshot__apps_and_domains(void **state)
{
    ist_store *store = *state;
    commit(store, 0, PROTOCOL METADATA TXN("x", "5") TXN("y", "1") DOMAIN("d1", "false") DOMAIN("d2", "false"));
    commit(store, 1, TXN("x", "3") DOMAIN("d2", "true") "{\"unheardOf\":{}}\n");
    ist_snapshot *snapshot = open_at(store, -1);
    assert_int_equal(ist_snapshot_app_version(snapshot, "x"), 3); /* the newest, not the highest */
    assert_int_equal(ist_snapshot_app_version(snapshot, "y"), 1);
    assert_int_equal(ist_snapshot_app_version(snapshot, "z"), -1);
    assert_int_equal(snapshot->domain_count, 1);
    assert_string_equal(snapshot->domains[0].domain, "d1");
    ist_snapshot_free(snapshot);
}

static void test_delta_snapshot__retention(void **state)
{
    ist_store *store = *state;
    char text[4096];
    int64_t now = ist__now_ms(), hour = 3600000;
    static const char lines[] =
        PROTOCOL "%s{\"remove\":{\"path\":\"old\",\"deletionTimestamp\":%" PRId64 ",\"dataChange\":true}}\n"
        "{\"remove\":{\"path\":\"new\",\"deletionTimestamp\":%" PRId64 ",\"dataChange\":true}}\n"
        "{\"txn\":{\"appId\":\"old\",\"version\":1,\"lastUpdated\":%" PRId64 "}}\n"
        "{\"txn\":{\"appId\":\"new\",\"version\":1,\"lastUpdated\":%" PRId64 "}}\n" TXN("timeless", "1");
    static const struct {
        const char *metadata;
        int old_hours, new_hours;
        size_t tombstones, apps;
    } cases[] = {
        {METADATA, 24 * 7 + 1, 24 * 7 - 1, 1, 3},
        {METADATA_WITH("\"delta.deletedFileRetentionDuration\":\"interval 2 hours 30 minutes\""), 3, 2, 1, 3},
        {METADATA_WITH("\"delta.deletedFileRetentionDuration\":\"INTERVAL 1 WEEK 2 DAYS\""), 24 * 9 + 1, 24 * 9 - 1, 1, 3},
        {METADATA_WITH("\"delta.deletedFileRetentionDuration\":\"a while\""), 24 * 900, 1, 2, 3},
        {METADATA_WITH("\"delta.setTransactionRetentionDuration\":\"interval 3 hours\""), 4, 2, 2, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t old = now - cases[i].old_hours * hour, young = now - cases[i].new_hours * hour;
        snprintf(text, sizeof text, lines, cases[i].metadata, old, young, old, young);
        commit(store, 0, text);
        ist_snapshot *snapshot = open_at(store, -1);
        if (snapshot->tombstone_count != cases[i].tombstones || snapshot->app_count != cases[i].apps)
            fail_msg("case %zu: %zu tombstones, %zu apps", i, snapshot->tombstone_count, snapshot->app_count);
        assert_int_equal(ist_snapshot_app_version(snapshot, "timeless"), 1);
        ist_snapshot_free(snapshot);
    }
}

static void assert_fails(ist_store *store, const ist_snapshot_options *options, ist_status status, const char *message)
{
    ist_error err = IST_ERROR_INIT;
    ist_snapshot *snapshot;
    ist_status got = ist_snapshot_open(store, options, &snapshot, &err);
    if (got != status || !strstr(err.message, message) || !strstr(err.message, ist_store_uri(store)))
        fail_msg("expected %s: %s\ngot %s: %s", ist_status_name(status), message, ist_status_name(got), err.message);
    assert_null(snapshot);
}

static void test_delta_snapshot__what_is_broken_is_named(void **state)
{
    ist_store *store = *state;
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    assert_fails(store, NULL, IST_NOT_FOUND, "there is no Delta table at");
    commit(store, 0, PROTOCOL METADATA ADD("a"));
    commit(store, 1, ADD("b") ADD("c") "{\"add\":{\"path\":\"d\",\"parti");
    assert_fails(store, NULL, IST_BAD_INPUT, "_delta_log/00000000000000000001.json, line 3: not valid JSON at byte 25");
    assert_files(store, 0, "files: a | gone:");
    commit(store, 1, "{\"add\":{}}\n" ADD("b"));
    assert_fails(store, NULL, IST_BAD_INPUT, "_delta_log/00000000000000000001.json, line 1: add has no path");
    commit(store, 1, "");
    assert_fails(store, NULL, IST_BAD_INPUT, "_delta_log/00000000000000000001.json is empty");
    commit(store, 1, ADD("b"));
    commit(store, 3, ADD("b"));
    assert_fails(store, NULL, IST_BAD_INPUT, "version 2 (_delta_log/00000000000000000002.json) is missing");
    options.version = 9;
    assert_fails(store, &options, IST_NOT_FOUND, "version 9 does not exist: the newest is 3");
    options.timestamp_ms = 9;
    assert_int_equal(ist_snapshot_open(store, &options, &(ist_snapshot *){NULL}, NULL), IST_BAD_INPUT);
    ist_store_delete(store, "_delta_log/00000000000000000003.json", NULL);
    commit(store, 0, METADATA ADD("a"));
    assert_fails(store, NULL, IST_BAD_INPUT, "has no protocol action");
    commit(store, 0, PROTOCOL ADD("a"));
    assert_fails(store, NULL, IST_BAD_INPUT, "has no metaData action");
    commit(store, 2, "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"time-machine\"],"
                     "\"writerFeatures\":[]}}\n" METADATA);
    assert_fails(store, NULL, IST_UNSUPPORTED, "reader features that Isthmus does not implement: time-machine");
    commit(store, 2, PROTOCOL METADATA);
    static const char checkpoint[] = "_delta_log/00000000000000000002.checkpoint.parquet";
    ist_store_put(store, checkpoint, "PAR1PAR1", 8, IST_PUT_REPLACE, NULL);
    assert_fails(store, NULL, IST_BAD_INPUT, checkpoint);
}

static void test_delta_snapshot__a_line_may_hold_anything(void **state)
{
    ist_store *store = *state;
    commit(store, 0, "\n" PROTOCOL "\r\n" METADATA "\n\n" ADD("with \\n line feed \\u00e9") "{\"cdc\":{\"path\":\"x\","
                     "\"partitionValues\":{},\"size\":1,\"dataChange\":false}}\n{}");
    assert_files(store, 0, "files: with \n line feed \xC3\xA9 | gone:");
}

/* ---- time ------------------------------------------------------------------------------------------------------ */

static void set_time(const char *folder, int version, int64_t ms)
{
    char path[4200], relative[64];
    ist__log_commit_path(version, relative);
    snprintf(path, sizeof path, "%s/%s", folder, relative);
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {ms / 1000, ms % 1000 * 1000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void assert_version_at(ist_store *store, int64_t time, int64_t version)
{
    ist_error err = IST_ERROR_INIT;
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    ist_snapshot *snapshot;
    options.timestamp_ms = time;
    if (version < 0) {
        assert_int_equal(ist_snapshot_open(store, &options, &snapshot, &err), IST_NOT_FOUND);
        assert_non_null(strstr(err.message, "no version was committed at or before"));
        return;
    }
    assert_ok(ist_snapshot_open(store, &options, &snapshot, &err), err);
    assert_int_equal(ist_snapshot_version(snapshot), version);
    ist_snapshot_free(snapshot);
}

static void test_delta_snapshot__travel_by_file_times(void **state)
{
    (void)state;
    char *folder = new_folder();
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    static const int64_t times[] = {1000000, 2000000, 1500000, 3000000, 2900000}; /* 2 counts as of 2000001 */
    assert_ok(ist_store_open(folder, NULL, &store, &err), err);
    for (int version = 0; version < 5; version++) {
        commit(store, version, version == 0 ? PROTOCOL METADATA ADD("a") : ADD("b"));
        set_time(folder, version, times[version]);
    }
    assert_version_at(store, 999999, -1);
    assert_version_at(store, 1000000, 0);
    assert_version_at(store, 1600000, 0);
    assert_version_at(store, 2000000, 1);
    assert_version_at(store, 2000001, 2);
    assert_version_at(store, 2999999, 2);
    assert_version_at(store, 3000000, 3);
    assert_version_at(store, 3000001, 4);
    assert_version_at(store, 9000000, 4);
    ist_snapshot *snapshot = open_at(store, 1);
    assert_int_equal(ist_snapshot_timestamp_ms(snapshot), 2000000);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
    remove_folder(folder);
}

#define ICT_PROTOCOL "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"inCommitTimestamp\"]}}\n"
#define ICT(time) "{\"commitInfo\":{\"inCommitTimestamp\":" time ",\"operation\":\"WRITE\"}}\n"

static void test_delta_snapshot__travel_by_in_commit_timestamps(void **state)
{
    (void)state;
    char *folder = new_folder();
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    assert_ok(ist_store_open(folder, NULL, &store, &err), err);
    commit(store, 0, PROTOCOL METADATA ADD("a"));
    commit(store, 1, ADD("b"));
    commit(store, 2, ICT("5000") ICT_PROTOCOL METADATA_WITH("\"delta.enableInCommitTimestamps\":\"true\","
                                                            "\"delta.inCommitTimestampEnablementVersion\":\"2\","
                                                            "\"delta.inCommitTimestampEnablementTimestamp\":\"5000\""));
    commit(store, 3, ICT("6000") ADD("c"));
    commit(store, 4, ICT("7000") ADD("d"));
    set_time(folder, 0, 1000);
    set_time(folder, 1, 2000);
    for (int version = 2; version < 5; version++)
        set_time(folder, version, 900000 - version); /* mean nothing */
    assert_version_at(store, 999, -1);
    assert_version_at(store, 1000, 0);
    assert_version_at(store, 4999, 1);
    assert_version_at(store, 5000, 2);
    assert_version_at(store, 6999, 3);
    assert_version_at(store, 7000, 4);
    ist_snapshot *snapshot = open_at(store, 3);
    assert_true(snapshot->has_in_commit_timestamp);
    assert_int_equal(ist_snapshot_timestamp_ms(snapshot), 6000);
    ist_snapshot_free(snapshot);
    snapshot = open_at(store, 1);
    assert_false(snapshot->has_in_commit_timestamp);
    assert_int_equal(ist_snapshot_timestamp_ms(snapshot), 2000);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
    remove_folder(folder);
}

/* ---- telling ---------------------------------------------------------------------------------------------------- */

static void test_delta_snapshot__describe_and_count(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    commit(store, 0, PROTOCOL METADATA_WITH("\"delta.appendOnly\":\"true\"")
           ADD_WITH("a", ",\"stats\":\"{\\\"minValues\\\":{\\\"numRecords\\\":77},\\\"numRecords\\\":5}\"" DV("00000")));
    ist_snapshot *snapshot = open_at(store, -1);
    snapshot->timestamp_ms = 1700000000000;
    assert_int_equal(ist_snapshot_row_count(snapshot), 3);
    assert_int_equal(ist_snapshot_size_bytes(snapshot), 10);
    assert_string_equal(ist_snapshot_property(snapshot, "delta.appendOnly"), "true");
    assert_null(ist_snapshot_property(snapshot, "delta.x"));
    assert_ok(ist_snapshot_describe(snapshot, &out, &err), err);
    char expected[1024];
    snprintf(expected, sizeof expected,
             "{\"uri\":\"%s\",\"id\":\"table-id\",\"name\":\"n\",\"version\":0,\"timestamp\":1700000000000,"
             "\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2},\"features\":[\"appendOnly\",\"invariants\"],"
             "\"schema\":{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,"
             "\"metadata\":{}}]},\"partitionColumns\":[],\"properties\":{\"delta.appendOnly\":\"true\"},\"files\":1,"
             "\"bytes\":10,\"rows\":3}", ist_store_uri(store));
    assert_string_equal(out.data, expected);
    ist_snapshot_free(snapshot);
    static const char *const unknown[] = {"", ",\"stats\":\"\"", ",\"stats\":\"{\\\"numRecords\\\":-1}\"",
                                          ",\"stats\":\"{\\\"numRecords\\\":1.5}\"", ",\"stats\":\"{\\\"numRec\""};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ist_buffer_clear(&out);
        ist_buffer_printf(&out, NULL, ADD_WITH("b", "%s"), unknown[i]);
        commit(store, 1, out.data);
        snapshot = open_at(store, -1);
        assert_int_equal(ist_snapshot_row_count(snapshot), -1);
        ist_snapshot_free(snapshot);
    }
    ist_buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delta_snapshot__newest_action_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_snapshot__files_with_vectors_are_other_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_snapshot__apps_and_domains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_snapshot__retention, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_snapshot__what_is_broken_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_snapshot__a_line_may_hold_anything, set_up, tear_down),
        cmocka_unit_test(test_delta_snapshot__travel_by_file_times),
        cmocka_unit_test(test_delta_snapshot__travel_by_in_commit_timestamps),
        cmocka_unit_test_setup_teardown(test_delta_snapshot__describe_and_count, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
