/* test_skip.c: is a file left out for what the log says of it, and only then? */
#include "delta/predicates.h"
#include "isthmus/sys/storage.h"

#define FIELD(name, type) "{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":" type ",\\\"nullable\\\":true,\\\"metadata\\\":{}}"
#define PLAIN(type) "\\\"" type "\\\""
#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char head[] =
    "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
    "{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\"},\"schemaString\":\"{\\\"type\\\":\\\"struct\\\","
    "\\\"fields\\\":[" FIELD("number", PLAIN("long")) "," FIELD("double", PLAIN("double")) "," FIELD("text", PLAIN("string")) ","
    FIELD("at", PLAIN("timestamp")) "," FIELD("amount", PLAIN("decimal(38,10)")) ","
    FIELD("place", "{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" FIELD("city", PLAIN("string")) "]}") ","
    FIELD("part", PLAIN("string")) "]}\",\"partitionColumns\":[\"part\"],\"configuration\":{}}}\n";

/* Is a file with these statistics (NULL: none) and this value of `part` (as JSON) among those that are read? */
static bool is_read(const char *predicate, const char *stats, const char *part)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist_snapshot *snapshot;
    ist_scan *scan;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    ist_buffer commit = IST_BUFFER_INIT, bytes = IST_BUFFER_INIT;
    ist_buffer_printf(&commit, NULL, "%s{\"add\":{\"path\":\"f\",\"partitionValues\":{\"part\":%s},\"size\":1,"
                                     "\"modificationTime\":1,\"dataChange\":true",
                      head, part);
    if (stats)
        ist_buffer_append_string(&commit, ",\"stats\":\"", NULL);
    for (const char *at = stats; at && *at; at++)
        ist_buffer_printf(&commit, NULL, "%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
    ist_buffer_append_string(&commit, stats ? "\"}}\n" : "}}\n", NULL);
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_ok(ist_store_put(store, "_delta_log/00000000000000000000.json", commit.data, commit.size, IST_PUT_IF_ABSENT,
                            &err), err);
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    use_predicate(predicate, &bytes, &options);
    assert_ok(ist_scan_open(snapshot, &options, &scan, &err), err);
    size_t tasks = ist_scan_task_count(scan);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
    ist_buffer_free(&commit);
    ist_buffer_free(&bytes);
    return tasks == 1;
}

#define BOUNDS(column, min, max)                                                                                       \
    "{\"numRecords\":2,\"minValues\":{\"" column "\":" min "},\"maxValues\":{\"" column "\":" max "},"                 \
    "\"nullCount\":{\"" column "\":0}}"

static const struct {
    const char *predicate, *stats;
    bool read;
} by_statistics[] = {
    {"number_above_5", BOUNDS("number", "1", "5"), false},
    {"number_above_5", BOUNDS("number", "1", "6"), true},
    {"number_above_5", NULL, true},
    {"number_above_5", "not JSON", true},
    {"number_above_5", "[]", true},
    {"number_above_5", BOUNDS("number", "1", "null"), true},
    {"number_above_5", BOUNDS("number", "1", "\"four\""), true},
    {"number_above_5", BOUNDS("number", "1", "4e0"), true},
    {"number_above_5", BOUNDS("number", "1", "99999999999999999999"), true},
    {"number_above_5", BOUNDS("other", "1", "2"), true},
    {"number_above_5", "{\"numRecords\":2,\"nullCount\":{\"number\":2}}", false},
    {"number_above_5", "{\"numRecords\":2,\"nullCount\":{\"number\":1}}", true},
    {"number_above_5", "{\"nullCount\":{\"number\":2}}", true},
    {"number_is_null", BOUNDS("number", "1", "2"), false},
    {"number_is_null", "{\"numRecords\":2,\"nullCount\":{\"number\":1}}", true},
    {"number_is_null", "{\"numRecords\":2,\"nullCount\":{\"number\":-1}}", true},
    {"number_in_3_or_9", BOUNDS("number", "4", "8"), false},
    {"number_in_3_or_9", BOUNDS("number", "4", "9"), true},
    {"number_in_3_or_9_by_duckdb", BOUNDS("number", "4", "8"), false},
    {"number_in_3_or_9_by_duckdb", BOUNDS("number", "4", "9"), true},
    {"number_plus_1_above_5", BOUNDS("number", "1", "2"), true}, /* not asked of bounds */
    {"double_above_5", BOUNDS("double", "1", "4.5"), false},
    {"double_above_5", BOUNDS("double", "1", "\"NaN\""), true},
    {"double_above_5", BOUNDS("double", "\"-Infinity\"", "\"Infinity\""), true},
    {"double_not_above_5", BOUNDS("double", "7", "9"), true}, /* a NaN is not above 5 */
    {"double_not_5", BOUNDS("double", "5", "5"), true},       /* a NaN is not 5 */
    {"double_from_float_1.1", BOUNDS("double", "1", "1.1"), true}, /* the digits of a float */
    {"double_from_float_1.1", BOUNDS("double", "1", "1.09"), false},
    {"text_is_cut", BOUNDS("text", "\"" A32 "\"", "\"" A32 "\xef\xbf\xbf\""), true}, /* cut by an old writer */
    {"text_is_cut", BOUNDS("text", "\"" A32 "b\"", "\"b\""), true},                  /* U+1F600 is above 'b' */
    {"text_is_cut", BOUNDS("text", "\"" A32 "\"", "\"" A32 "b\""), false},
    {"text_is_cut", BOUNDS("text", "\"b\"", "\"c\""), false},
    {"text_starts_with_b", BOUNDS("text", "\"a\"", "\"az\""), false},
    {"text_starts_with_b", BOUNDS("text", "\"c\"", "\"d\""), false},
    {"text_starts_with_b", BOUNDS("text", "\"a\"", "\"b\""), true},
    {"at_from_micros", BOUNDS("at", "\"2023-01-01T00:00:00.000Z\"", "\"2024-01-01T00:00:00.123Z\""), true}, /* +456 us */
    {"at_from_micros", BOUNDS("at", "\"2023-01-01T00:00:00.000Z\"", "\"2024-01-01T00:00:00.122Z\""), false},
    {"at_from_micros", BOUNDS("at", "\"2023-01-01T00:00:00.000Z\"", "\"2023-12-31T19:00:00.123-05:00\""), true},
    {"at_from_micros", BOUNDS("at", "\"2023-01-01T00:00:00.000Z\"", "\"2023-12-31 at noon\""), true},
    {"amount_from_18_digits", BOUNDS("amount", "1", "1234567890123456768"), true}, /* what a double makes of it */
    {"amount_from_18_digits", BOUNDS("amount", "1", "1.234567890123456E+18"), false},
    {"city_is_x", "{\"numRecords\":1,\"minValues\":{\"place\":{\"city\":\"a\"}},\"maxValues\":{\"place\":{\"city\":\"w\"}},"
                  "\"nullCount\":{\"place\":{\"city\":0}}}", false},
    {"city_is_x", "{\"numRecords\":1,\"minValues\":{\"place\":{\"city\":\"a\"}},\"maxValues\":{\"place\":\"w\"}}", true},
    {"never", BOUNDS("number", "1", "5"), false},
};

static void test_delta_skip__statistics(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof by_statistics / sizeof by_statistics[0]; i++) {
        if (is_read(by_statistics[i].predicate, by_statistics[i].stats, "\"a\"") != by_statistics[i].read)
            fail_msg("%s of %s: expected to be %s", by_statistics[i].predicate, by_statistics[i].stats,
                     by_statistics[i].read ? "read" : "left out");
    }
}

static void test_delta_skip__partitions(void **state)
{
    (void)state;
    static const char low[] = BOUNDS("number", "1", "5"), high[] = BOUNDS("number", "1", "6");
    assert_true(is_read("part_is_b", NULL, "\"b\""));
    assert_false(is_read("part_is_b", NULL, "\"a\""));
    assert_false(is_read("part_is_b", NULL, "null"));
    assert_false(is_read("part_is_b", NULL, "\"\""));
    assert_true(is_read("part_is_null", NULL, "\"\"")); /* an empty text is null */
    assert_true(is_read("part_is_null", NULL, "null"));
    assert_false(is_read("part_is_null", NULL, "\"a\""));
    assert_false(is_read("part_is_b_or_number_above_5", low, "\"a\""));
    assert_true(is_read("part_is_b_or_number_above_5", low, "\"b\""));
    assert_true(is_read("part_is_b_or_number_above_5", high, "\"a\""));
    assert_true(is_read("part_is_b_or_number_above_5", NULL, "null"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_skip__statistics),
        cmocka_unit_test(test_delta_skip__partitions),
    };
    return run_group(tests, argc, argv);
}
