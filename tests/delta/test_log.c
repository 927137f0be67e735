/* test_log.c: names in _delta_log and the files that make up a version, in a memory store. */
#include "delta/delta_internal.h"
#include "isthmus/sys/storage.h"
#include "testing.h"

#include <string.h>

#define V(n) "_delta_log/0000000000000000000" #n

static int set_up(void **state)
{
    return ist_store_open_memory((ist_store **)state, NULL) != IST_OK;
}

static int tear_down(void **state)
{
    ist_store_free(*state);
    return 0;
}

static void put(ist_store *store, const char *path, const char *text)
{
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_put(store, path, text, strlen(text), IST_PUT_REPLACE, &err), err);
}

/* "cp=2:4 commits=3-5 at=5": what a segment holds. */
static void assert_segment(ist_store *store, int64_t version, const char *expected)
{
    ist_error err = IST_ERROR_INIT;
    ist__log_segment segment;
    ist_buffer text = IST_BUFFER_INIT;
    if (ist__log_segment_find(&(ist__log){.store = store, .latest = INT64_MAX}, version, &segment, &err) == IST_OK) {
        ist_buffer_printf(&text, NULL, "cp=%lld:%zu commits=", (long long)segment.checkpoint_version,
                          segment.checkpoint_count);
        if (segment.commit_count)
            ist_buffer_printf(&text, NULL, "%lld-%lld", (long long)segment.commits[0].version,
                              (long long)segment.commits[segment.commit_count - 1].version);
        ist_buffer_printf(&text, NULL, " at=%lld", (long long)segment.version);
        ist__log_segment_free(&segment);
    } else {
        ist_buffer_printf(&text, NULL, "%s: %s", ist_status_name(err.status), err.message);
    }
    if (!strstr(text.data, expected))
        fail_msg("version %lld\nexpected: %s\ngot:      %s", (long long)version, expected, text.data);
    ist_buffer_free(&text);
}

static void test_delta_log__names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        ist__log_kind kind;
        int64_t version, part, parts;
    } names[] = {
        {"00000000000000000042.json", IST__LOG_COMMIT, 42, 0, 0},
        {"09223372036854775807.json", IST__LOG_COMMIT, INT64_MAX, 0, 0},
        {"00000000000000000010.checkpoint.parquet", IST__LOG_CHECKPOINT, 10, 0, 0},
        {"00000000000000000010.checkpoint.0000000002.0000000003.parquet", IST__LOG_CHECKPOINT_PART, 10, 2, 3},
        {"00000000000000000010.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json", IST__LOG_CHECKPOINT_V2, 10, 0, 0},
        {"00000000000000000010.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet", IST__LOG_CHECKPOINT_V2, 10, 0, 0},
    };
    static const char *const others[] = {
        "", "42.json", "0000000000000000042.json", "000000000000000000042.json", "09223372036854775808.json",
        "99999999999999999999.json", "00000000000000000042.json.tmp", ".00000000000000000042.json.crc",
        "00000000000000000042.crc", "00000000000000000004.00000000000000000006.compacted.json", "_last_checkpoint",
        "00000000000000000010.checkpoint.0000000004.0000000003.parquet", "-0000000000000000042.json",
        "00000000000000000010.checkpoint.0000000000.0000000003.parquet", "00000000000000000010.checkpoint.json",
        "00000000000000000010.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a1.json",
        "00000000000000000007.016ae953-37a9-438e-8683-9a9a4a79a395.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ist__log_name got = ist__log_parse_name(names[i].name);
        if (got.kind != names[i].kind || got.version != names[i].version || got.part != names[i].part ||
            got.parts != names[i].parts)
            fail_msg("%s", names[i].name);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (ist__log_parse_name(others[i]).kind != IST__LOG_OTHER)
            fail_msg("%s", others[i]);
    }
}

static void test_delta_log__commits_only(void **state)
{
    ist_store *store = *state;
    int64_t version;
    ist_error err = IST_ERROR_INIT;
    assert_segment(store, -1, "not found: there is no Delta table at");
    assert_ok(ist__log_latest_version(&(ist__log){.store = store, .latest = INT64_MAX}, -1, &version, &err), err);
    assert_int_equal(version, -1);
    put(store, V(0) ".json", "{}");
    put(store, V(1) ".json", "{}");
    put(store, V(2) ".json", "{}");
    put(store, "_delta_log/_staged_commits/00000000000000000003.016ae953-37a9-438e-8683-9a9a4a79a395.json", "{}");
    put(store, V(1) "." "00000000000000000002.compacted.json", "{}");
    put(store, V(5) ".crc", "{}");
    assert_segment(store, -1, "cp=-1:0 commits=0-2 at=2");
    assert_segment(store, 1, "cp=-1:0 commits=0-1 at=1");
    assert_segment(store, 0, "cp=-1:0 commits=0-0 at=0");
    assert_segment(store, 7, "not found: version 7 does not exist: the newest is 2");
    assert_ok(ist__log_latest_version(&(ist__log){.store = store, .latest = INT64_MAX}, 1, &version, &err), err);
    assert_int_equal(version, 2);
    put(store, V(4) ".json", "{}");
    assert_segment(store, -1, "bad input: the log has a gap: version 3 (" V(3) ".json) is missing, version 4 is there");
    assert_segment(store, 2, "cp=-1:0 commits=0-2 at=2");
    assert_segment(store, 3, "version 3");
    ist_store_delete(store, V(0) ".json", NULL);
    assert_segment(store, -1, "bad input: the log has a gap: version 0");
}

static void test_delta_log__checkpoints(void **state)
{
    ist_store *store = *state;
    put(store, V(2) ".json", "{}");
    put(store, V(3) ".json", "{}");
    put(store, V(4) ".json", "{}");
    put(store, V(5) ".json", "{}");
    put(store, V(2) ".checkpoint.parquet", "");
    assert_segment(store, -1, "cp=2:1 commits=3-5 at=5");
    assert_segment(store, 2, "cp=2:1 commits= at=2");
    assert_segment(store, 1, "not found: version 1 can no longer be read");
    put(store, V(4) ".checkpoint.0000000001.0000000002.parquet", "");
    assert_segment(store, -1, "cp=2:1 commits=3-5 at=5"); /* a part is missing */
    put(store, V(4) ".checkpoint.0000000002.0000000003.parquet", "");
    assert_segment(store, -1, "cp=2:1 commits=3-5 at=5"); /* it is another attempt's */
    put(store, V(4) ".checkpoint.0000000002.0000000002.parquet", "");
    assert_segment(store, -1, "cp=4:2 commits=5-5 at=5");
    assert_segment(store, 3, "cp=2:1 commits=3-3 at=3");
    put(store, V(4) ".checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json", "");
    assert_segment(store, -1, "cp=4:1 commits=5-5 at=5");
    ist_store_delete(store, V(3) ".json", NULL); /* before the checkpoint: nobody needs it */
    assert_segment(store, -1, "cp=4:1 commits=5-5 at=5");
    ist_store_delete(store, V(5) ".json", NULL);
    ist_store_delete(store, V(4) ".json", NULL);
    assert_segment(store, -1, "cp=4:1 commits= at=4"); /* only checkpoints are left */
}

static void test_delta_log__hint_is_only_a_hint(void **state)
{
    static const char hint[] = "_delta_log/_last_checkpoint";
    ist_store *store = *state;
    for (char digit = '0'; digit < '7'; digit++) {
        char path[] = V(0) ".json";
        path[sizeof V(0) - 2] = digit;
        put(store, path, "{}");
    }
    put(store, V(2) ".checkpoint.parquet", "");
    put(store, V(4) ".checkpoint.parquet", "");
    static const char *const hints[] = {"{\"version\":4,\"size\":7}", "{\"version\":2}", "{\"version\":3}",
                                        "{\"version\":900}", "{\"version\":-1}", "{\"version\":\"4\"}", "{\"versi", "",
                                        "[]", "{\"version\":18446744073709551615}", "{\"version\":4.0}"};
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        put(store, hint, hints[i]);
        assert_segment(store, -1, "cp=4:1 commits=5-6 at=6");
        assert_segment(store, 3, "cp=2:1 commits=3-3 at=3");
        assert_segment(store, 1, "cp=-1:0 commits=0-1 at=1");
        assert_segment(store, 7, "version 7 does not exist: the newest is 6");
    }
}

static void test_delta_log__commit_info(void **state)
{
    ist_store *store = *state;
    ist_error err = IST_ERROR_INIT;
    ist__arena *arena;
    ist__action info;
    assert_ok(ist__arena_new(&arena, &err), err);
    put(store, V(0) ".json", "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n{\"commitInfo\":{\"operation\":\"WRITE\"}}\n{bad\n");
    put(store, V(1) ".json", "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n");
    assert_ok(ist__log_commit_info(&(ist__log){.store = store, .latest = INT64_MAX}, 0, arena, &info, &err), err);
    assert_string_equal(info.commit_info.operation, "WRITE");
    assert_ok(ist__log_commit_info(&(ist__log){.store = store, .latest = INT64_MAX}, 1, arena, &info, &err), err);
    assert_int_equal(info.kind, IST__UNKNOWN);
    assert_int_equal(ist__log_commit_info(&(ist__log){.store = store, .latest = INT64_MAX}, 2, arena, &info, &err), IST_NOT_FOUND);
    ist__arena_free(arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_log__names),
        cmocka_unit_test_setup_teardown(test_delta_log__commits_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_log__checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_log__hint_is_only_a_hint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_log__commit_info, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
