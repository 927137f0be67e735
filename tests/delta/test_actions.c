/* test_actions.c: actions <-> JSON lines. */
#include "delta/delta_internal.h"
#include "testing.h"

#include <string.h>

typedef struct fixture {
    ist__arena *arena;
    ist_error err;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    ist__arena_new(&f->arena, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist__arena_free(f->arena);
    free(f);
    return 0;
}

static ist_status parse(fixture *f, const char *line, ist__action *out)
{
    ist_error_clear(&f->err);
    return ist__action_parse(line, strlen(line), f->arena, out, &f->err);
}

/* Parse and format give the same text again. */
static void assert_round_trip(fixture *f, const char *line)
{
    ist__action action;
    ist_buffer out = IST_BUFFER_INIT;
    assert_ok(parse(f, line, &action), f->err);
    assert_ok(ist__action_format(&action, &out, &f->err), f->err);
    assert_int_equal(out.data[out.size - 1], '\n');
    out.data[out.size - 1] = '\0';
    assert_string_equal(out.data, line);
    ist_buffer_free(&out);
}

static void test_delta_actions__round_trip(void **state)
{
    static const char *const lines[] = {
        "{\"add\":{\"path\":\"p=a%20b/f.parquet\",\"partitionValues\":{\"p\":\"a b\",\"q\":null},\"size\":841454,"
        "\"modificationTime\":1512909768000,\"dataChange\":true,\"stats\":\"{\\\"numRecords\\\":1}\","
        "\"tags\":{\"OPTIMIZE_TARGET_SIZE\":\"1\"},\"deletionVector\":{\"storageType\":\"u\","
        "\"pathOrInlineDv\":\"ab^-aqEH.-t@S}K{vb[*k^\",\"offset\":4,\"sizeInBytes\":40,\"cardinality\":6},"
        "\"baseRowId\":4071,\"defaultRowCommitVersion\":41,\"clusteringProvider\":\"liquid\"}}",
        "{\"add\":{\"path\":\"f\",\"partitionValues\":{},\"size\":0,\"modificationTime\":-5,\"dataChange\":false}}",
        "{\"remove\":{\"path\":\"f\",\"dataChange\":true}}",
        "{\"remove\":{\"path\":\"f\",\"deletionTimestamp\":1515488792485,\"dataChange\":true,"
        "\"extendedFileMetadata\":true,\"partitionValues\":{},\"size\":12,\"baseRowId\":0}}",
        "{\"metaData\":{\"id\":\"af23c9d7\",\"name\":\"n\\u0001\\\"\\\\/\xC3\xA9\",\"format\":{\"provider\":\"parquet\","
        "\"options\":{}},\"schemaString\":\"{}\",\"partitionColumns\":[\"a\",\"b\"],"
        "\"configuration\":{\"delta.appendOnly\":\"true\"},\"createdTime\":1}}",
        "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}",
        "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[]}}",
        "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"columnMapping\"],"
        "\"writerFeatures\":[\"columnMapping\",\"identityColumns\"]}}",
        "{\"txn\":{\"appId\":\"3ba1\",\"version\":-364475}}",
        "{\"txn\":{\"appId\":\"3ba1\",\"version\":9223372036854775807,\"lastUpdated\":7}}",
        "{\"domainMetadata\":{\"domain\":\"delta.x\",\"configuration\":\"{}\",\"removed\":false}}",
        "{\"cdc\":{\"path\":\"_change_data/c\",\"partitionValues\":{},\"size\":1213,\"dataChange\":false}}",
        "{\"sidecar\":{\"path\":\"016ae953.parquet\",\"sizeInBytes\":2304522,\"modificationTime\":1512909768000}}",
        "{\"checkpointMetadata\":{\"version\":364475}}",
        "{\"commitInfo\":{\"inCommitTimestamp\":5,\"operation\":\"WRITE\",\"operationParameters\":{\"n\":[1,2.5]}}}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_round_trip(*state, lines[i]);
}

static void test_delta_actions__values(void **state)
{
    fixture *f = *state;
    ist__action a;
    assert_ok(parse(f, "{\"add\":{\"path\":\"x\",\"partitionValues\":{\"p\":null},\"size\":3,\"modificationTime\":4,"
                       "\"dataChange\":true,\"unheardOf\":[1],\"deletionVector\":null}}", &a), f->err);
    assert_int_equal(a.kind, IST__ADD);
    assert_string_equal(a.add.path, "x");
    assert_int_equal(a.add.partition_values.count, 1);
    assert_null(a.add.partition_values.items[0].value);
    assert_int_equal(a.add.size, 3);
    assert_int_equal(a.add.base_row_id, -1);
    assert_int_equal(a.add.dv.storage_type, 0);
    assert_null(a.add.stats);
    assert_ok(parse(f, "{\"commitInfo\":{\"inCommitTimestamp\":1700000000000,\"operation\":\"MERGE\"}}", &a), f->err);
    assert_int_equal(a.kind, IST__COMMIT_INFO);
    assert_int_equal(a.commit_info.in_commit_timestamp, 1700000000000);
    assert_string_equal(a.commit_info.operation, "MERGE");
    assert_ok(parse(f, "{\"add\":null,\"txn\":{\"appId\":\"a\",\"version\":1}}", &a), f->err);
    assert_int_equal(a.kind, IST__APP);
    assert_ok(parse(f, "{\"fromTheFuture\":{\"x\":1}}", &a), f->err);
    assert_int_equal(a.kind, IST__UNKNOWN);
}

static void test_delta_actions__bad_lines(void **state)
{
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":1", "not valid JSON at byte 48"},
        {"[]", "an action must be a JSON object, not array"},
        {"{\"add\":[]}", "add must be an object, not array"},
        {"{\"commitInfo\":7}", "commitInfo must be an object, not uint"},
        {"{\"add\":{\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}", "add has no path"},
        {"{\"remove\":{\"path\":7}}", "remove.path must be a string, not uint"},
        {"{\"remove\":{\"path\":\"a\\u0000b\"}}", "remove.path holds a NUL character"},
        {"{\"sidecar\":{\"sizeInBytes\":-1}}", "sidecar.sizeInBytes is out of range"},
        {"{\"sidecar\":{\"sizeInBytes\":1.0}}", "sidecar.sizeInBytes must be a whole number, not real"},
        {"{\"sidecar\":{\"sizeInBytes\":\"1\"}}", "sidecar.sizeInBytes must be a whole number, not string"},
        {"{\"txn\":{\"version\":9223372036854775808}}", "txn.version is out of range"},
        {"{\"protocol\":{\"minReaderVersion\":2147483648}}", "protocol.minReaderVersion is out of range"},
        {"{\"protocol\":{\"readerFeatures\":[1]}}", "protocol.readerFeatures must be a string, not uint"},
        {"{\"protocol\":{\"readerFeatures\":{}}}", "protocol.readerFeatures must be an array of strings, not object"},
        {"{\"add\":{\"partitionValues\":{\"p\":1}}}", "add.partitionValues must be a string, not uint"},
        {"{\"add\":{\"tags\":[]}}", "add.tags must be an object of strings, not array"},
        {"{\"add\":{\"dataChange\":1}}", "add.dataChange must be true or false, not uint"},
        {"{\"add\":{\"deletionVector\":{\"storageType\":\"uu\"}}}", "deletionVector.storageType must be one character"},
        {"{\"add\":{\"deletionVector\":{\"storageType\":\"i\",\"pathOrInlineDv\":\"\"}}}",
         "deletionVector has no sizeInBytes"},
        {"{\"metaData\":{\"format\":{}}}", "metaData.format names no provider"},
        {"{\"txn\":{\"appId\":\"a\",\"version\":1},\"domainMetadata\":{\"domain\":\"d\",\"configuration\":\"\","
         "\"removed\":false}}", "one line holds both txn and domainMetadata"},
    };
    fixture *f = *state;
    ist__action a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(f, bad[i].line, &a) != IST_BAD_INPUT || !strstr(f->err.message, bad[i].message))
            fail_msg("%s\nwas to say: %s\nsaid: %s", bad[i].line, bad[i].message, f->err.message);
    }
    assert_int_equal(parse(f, "{\"metaData\":{\"format\":{\"provider\":\"orc\"}}}", &a), IST_UNSUPPORTED);
    assert_non_null(strstr(f->err.message, "'orc'"));
}

static ist_status count_actions(const ist__action *action, void *payload, ist_error *err)
{
    (void)err;
    size_t *left = payload;
    assert_int_equal(action->kind, IST__APP);
    return --*left ? IST_OK : IST_CANCELLED;
}

static void test_delta_actions__each_line(void **state)
{
    fixture *f = *state;
    static const char text[] = "{\"txn\":{\"appId\":\"a\",\"version\":1}}\r\n\n{\"txn\":{\"appId\":\"b\",\"version\":2}}\n"
                               "{\"txn\":{\"appId\":\"c\",\"vers";
    size_t left = 10;
    assert_int_equal(ist__actions_each(text, strlen(text), "_delta_log/7.json", f->arena, count_actions, &left, &f->err),
                     IST_BAD_INPUT);
    assert_non_null(strstr(f->err.message, "_delta_log/7.json, line 4: not valid JSON"));
    assert_int_equal(left, 8);
    left = 2;
    assert_int_equal(ist__actions_each(text, strlen(text), "x", f->arena, count_actions, &left, &f->err), IST_CANCELLED);
}

/* What lies behind the line comes back, though the parser wants zeros there. */
static void test_delta_actions__in_place(void **state)
{
    fixture *f = *state;
    char text[] = "{\"txn\":{\"appId\":\"a\\u0062\",\"version\":1}}\n{\"txn\":{\"appId\":\"c\",\"version\":2}}\0\0\0\0";
    char *second = strchr(text, '\n') + 1;
    ist__action a, b;
    assert_ok(ist__action_parse_in_place(text, (size_t)(second - 1 - text), f->arena, &a, &f->err), f->err);
    assert_ok(ist__action_parse_in_place(second, strlen(second), f->arena, &b, &f->err), f->err);
    assert_string_equal(a.app.app_id, "ab");
    assert_string_equal(b.app.app_id, "c");
    assert_true(a.app.app_id > text && a.app.app_id < second);
}

static void test_delta_actions__arena_keeps_large_and_small(void **state)
{
    fixture *f = *state;
    char *kept[200];
    for (int i = 0; i < 200; i++) {
        size_t size = i % 20 == 19 ? 100000 : 300;
        kept[i] = ist__arena_alloc(f->arena, size);
        assert_non_null(kept[i]);
        assert_int_equal((uintptr_t)kept[i] % 8, 0);
        memset(kept[i], i, size);
    }
    for (int i = 0; i < 200; i++) {
        size_t size = i % 20 == 19 ? 100000 : 300;
        for (size_t k = 0; k < size; k++)
            assert_int_equal((unsigned char)kept[i][k], i);
    }
    assert_null(ist__arena_alloc(f->arena, SIZE_MAX - 3));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delta_actions__round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_actions__values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_actions__bad_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_actions__each_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_actions__in_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delta_actions__arena_keeps_large_and_small, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
