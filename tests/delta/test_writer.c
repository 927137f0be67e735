/* test_writer.c: rows -> files: partitions, rolling, names, statistics, refusals, clean-up. */
#include "delta/transaction_internal.h"
#include "isthmus/sys/storage.h"
#include "rows.h"

#include <math.h>

#define CONTEXT(schema, partitions, configuration, target)                                                             \
    "{\"tableId\":\"t\",\"table\":\"main.demo.t\",\"schema\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" schema "]}\"," \
    "\"partitionColumns\":[" partitions "],\"configuration\":{" configuration "},\"targetFileBytes\":" target           \
    ",\"changesMetadata\":false}"
#define FIELD(name, type, nullable)                                                                                    \
    "{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":" type ",\\\"nullable\\\":" nullable ",\\\"metadata\\\":{}}"
#define LONG "\\\"long\\\""
#define STRING "\\\"string\\\""

typedef struct added {
    ist__arena *arena;
    ist__add adds[300];
    size_t count;
} added;

static ist_status collect(const ist__action *action, void *payload, ist_error *err)
{
    added *list = payload;
    (void)err;
    assert_int_equal(action->kind, IST__ADD);
    assert_true(list->count < 300);
    list->adds[list->count++] = action->add;
    return IST_OK;
}

static int compare_partitions(const void *a, const void *b)
{
    const ist__add *x = a, *y = b;
    const char *u = x->partition_values.items[0].value, *v = y->partition_values.items[0].value;
    return strcmp(u ? u : "", v ? v : "");
}

/* Write one batch and parse the actions. */
static void write_all(ist_store *store, const char *context, const column *columns, size_t count, size_t rows,
                      added *out)
{
    ist_error err = IST_ERROR_INIT;
    ist_writer *writer;
    struct ArrowArrayStream stream;
    ist_buffer actions = IST_BUFFER_INIT;
    assert_ok(ist_writer_open(store, context, &writer, &err), err);
    rows_stream(columns, count, rows, &stream);
    assert_ok(ist_writer_write(writer, &stream, &err), err);
    assert_ok(ist_writer_finish(writer, &actions, &err), err);
    ist_writer_free(writer);
    *out = (added){0};
    assert_ok(ist__arena_new(&out->arena, &err), err);
    assert_ok(ist__actions_each(actions.data, actions.size, "actions", out->arena, collect, out, &err), err);
    ist_buffer_free(&actions);
}

static ist_status try_write(ist_store *store, const char *context, const column *columns, size_t count, size_t rows,
                            ist_error *err)
{
    ist_writer *writer;
    struct ArrowArrayStream stream;
    assert_ok(ist_writer_open(store, context, &writer, err), *err);
    rows_stream(columns, count, rows, &stream);
    ist_status status = ist_writer_write(writer, &stream, err);
    assert_null(stream.release);
    ist_writer_free(writer);
    return status;
}

static bool count_entry(const ist_store_entry *entry, void *payload)
{
    (void)entry;
    ++*(int *)payload;
    return true;
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

static const double ids[] = {5, 6, 7, 8};

static void test_delta_writer__partitions(void **state)
{
    static const char *const keys[] = {"x y/z", NULL, "x y/z", ""};
    static const column columns[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}, {"k=1", NANOARROW_TYPE_STRING, NULL, keys}};
    added list;
    write_all(*state, CONTEXT(FIELD("id", LONG, "true") "," FIELD("k=1", STRING, "true"), "\"k=1\"", "", "0"), columns, 2,
              4, &list);
    assert_int_equal(list.count, 2); /* an empty string is null in a partition */
    qsort(list.adds, list.count, sizeof list.adds[0], compare_partitions);
    assert_null(list.adds[0].partition_values.items[0].value);
    assert_string_equal(list.adds[1].partition_values.items[0].value, "x y/z");
    /* in the folder / and = are escaped as %2F and %3D, in the log % as %25, and the space */
    assert_memory_equal(list.adds[1].path, "k%253D1=x%20y%252Fz/part-", 25);
    assert_memory_equal(list.adds[0].path, "k%253D1=__HIVE_DEFAULT_PARTITION__/part-", 40);
    assert_string_equal(list.adds[1].stats, "{\"numRecords\":2,\"minValues\":{\"id\":5},\"maxValues\":{\"id\":7},"
                                            "\"nullCount\":{\"id\":0},\"tightBounds\":true}");
    ist_store_entry entry;
    ist_buffer path = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist__data_path(*state, list.adds[1].path, &path, &err), err);
    assert_ok(ist_store_stat(*state, path.data, &entry, &err), err);
    assert_int_equal(entry.size, list.adds[1].size);
    ist_buffer_free(&path);
    ist__arena_free(list.arena);
}

static void test_delta_writer__many_partitions_close_the_oldest(void **state)
{
    double numbers[200];
    column columns[] = {{"id", NANOARROW_TYPE_INT64, numbers, NULL}, {"k", NANOARROW_TYPE_INT64, numbers, NULL}};
    for (int i = 0; i < 200; i++)
        numbers[i] = i;
    added list;
    write_all(*state, CONTEXT(FIELD("id", LONG, "true") "," FIELD("k", LONG, "true"), "\"k\"", "", "0"), columns, 2, 200,
              &list);
    assert_int_equal(list.count, 200);
    ist__arena_free(list.arena);
}

static void test_delta_writer__rolls_at_the_target_size(void **state)
{
    static const column columns[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}};
    ist_error err = IST_ERROR_INIT;
    ist_writer *writer;
    struct ArrowArrayStream stream;
    ist_buffer actions = IST_BUFFER_INIT;
    assert_ok(ist_writer_open(*state, CONTEXT(FIELD("id", LONG, "true"), "", "", "1"), &writer, &err), err);
    for (int i = 0; i < 3; i++) {
        rows_stream(columns, 1, 4, &stream);
        assert_ok(ist_writer_write(writer, &stream, &err), err);
    }
    assert_ok(ist_writer_finish(writer, &actions, &err), err);
    ist_writer_free(writer);
    int lines = 0;
    for (const char *p = actions.data; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 3);
    ist_buffer_free(&actions);
}

static void test_delta_writer__rolls_within_a_batch(void **state)
{
    enum { ROWS = (1 << 20) + 5 };
    double *numbers = malloc(ROWS * sizeof *numbers);
    const char **texts = malloc(ROWS * sizeof *texts);
    for (int i = 0; i < ROWS; i++) {
        numbers[i] = i;
        texts[i] = i % 3 ? "x" : NULL;
    }
    const column columns[] = {{"id", NANOARROW_TYPE_INT64, numbers, NULL}, {"s", NANOARROW_TYPE_STRING, NULL, texts}};
    added list;
    write_all(*state, CONTEXT(FIELD("id", LONG, "true") "," FIELD("s", STRING, "true"), "", "", "1"), columns, 2, ROWS,
              &list);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.adds[1].stats,
                        "{\"numRecords\":5,\"minValues\":{\"id\":1048576,\"s\":\"x\"},"
                        "\"maxValues\":{\"id\":1048580,\"s\":\"x\"},\"nullCount\":{\"id\":0,\"s\":1},"
                        "\"tightBounds\":true}");
    ist__arena_free(list.arena);
    free(numbers);
    free(texts);
}

static void test_delta_writer__names_and_codecs(void **state)
{
    static const column columns[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}};
    static const struct {
        const char *context, *ends_with;
        int slash; /* where a random prefix ends */
    } cases[] = {
        {CONTEXT(FIELD("id", LONG, "true"), "", "", "0"), ".c000.zstd.parquet", 0},
        {CONTEXT(FIELD("id", LONG, "true"), "", "\"delta.parquet.compression.codec\":\"SNAPPY\"", "0"),
         ".c000.snappy.parquet", 0},
        {CONTEXT(FIELD("id", LONG, "true"), "",
                 "\"delta.randomizeFilePrefixes\":\"true\",\"delta.randomPrefixLength\":\"5\"", "0"), ".zstd.parquet", 5},
        {CONTEXT(FIELD("id", LONG, "true"), "", "\"delta.columnMapping.mode\":\"name\"", "0"), ".zstd.parquet", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        added list;
        write_all(*state, cases[i].context, columns, 1, 4, &list);
        const char *path = list.adds[0].path, *slash = strchr(path, '/');
        assert_string_equal(path + strlen(path) - strlen(cases[i].ends_with), cases[i].ends_with);
        assert_int_equal(slash ? slash - path : 0, cases[i].slash);
        ist__arena_free(list.arena);
    }
    ist_error err = IST_ERROR_INIT;
    ist_writer *writer;
    assert_int_equal(ist_writer_open(*state, CONTEXT(FIELD("id", LONG, "true"), "",
                                                     "\"delta.parquet.compression.codec\":\"brotli\"", "0"), &writer, &err),
                     IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "brotli"));
}

static void test_delta_writer__refusals_name_the_column(void **state)
{
    static const char *const holes[] = {"a", NULL, "c", "d"};
    static const column null_name[] = {{"name", NANOARROW_TYPE_STRING, NULL, holes}};
    static const double big[] = {1, 2, 3, 9e15};
    static const column wide[] = {{"n", NANOARROW_TYPE_INT64, big, NULL}};
    ist_error err = IST_ERROR_INIT;
    assert_int_equal(try_write(*state, CONTEXT(FIELD("name", STRING, "false"), "", "", "0"), null_name, 1, 4, &err),
                     IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "main.demo.t"));
    assert_non_null(strstr(err.message, "name"));
    assert_int_equal(try_write(*state, CONTEXT(FIELD("n", "\\\"integer\\\"", "true"), "", "", "0"), wide, 1, 4, &err),
                     IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "n"));
    static const char *const empty[] = {"", "b"};
    static const column key[] = {{"k", NANOARROW_TYPE_STRING, NULL, empty},
                                 {"id", NANOARROW_TYPE_INT64, ids, NULL}};
    assert_int_equal(try_write(*state, CONTEXT(FIELD("id", LONG, "true") "," FIELD("k", STRING, "false"), "\"k\"", "", "0"),
                               key, 2, 2, &err), IST_BAD_INPUT);
    int left = 0;
    assert_ok(ist_store_list(*state, "", NULL, count_entry, &left, &err), err);
    assert_int_equal(left, 0);
}

static void test_delta_writer__free_without_finish_removes_files(void **state)
{
    static const column columns[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}};
    ist_error err = IST_ERROR_INIT;
    /* target 1: the file is closed at once */
    assert_int_equal(try_write(*state, CONTEXT(FIELD("id", LONG, "true"), "", "", "1"), columns, 1, 4, &err), IST_OK);
    int left = 0;
    assert_ok(ist_store_list(*state, "", NULL, count_entry, &left, &err), err);
    assert_int_equal(left, 0);
}

/* ---- statistics --------------------------------------------------------------------------------------------- */

#define STRING_OF_40 "aaaaaaaaaabbbbbbbbbbccccccccccddXXXXXXXX"

static void expect_stats(ist_store *store, const char *context, const column *columns, size_t count, size_t rows,
                         const char *want)
{
    added list;
    write_all(store, context, columns, count, rows, &list);
    assert_string_equal(list.adds[0].stats, want);
    ist__arena_free(list.arena);
}

static void test_delta_stats__types(void **state)
{
    static const double floats[] = {1.5, 0.1}, days[] = {-1, 20000}, flags[] = {0, 1};
    static const double stamps[] = {-1, 1795424351123456}; /* 1969-12-31T23:59:59.999999 and 2026 */
    static const char *const decimals[] = {"-1", "1234567"}, *const bytes[] = {"a", NULL};
    static const column columns[] = {
        {"f", NANOARROW_TYPE_FLOAT, floats, NULL},        {"d", NANOARROW_TYPE_DATE32, days, NULL},
        {"t", NANOARROW_TYPE_TIMESTAMP, stamps, NULL},    {"m", NANOARROW_TYPE_DECIMAL128, NULL, decimals},
        {"b", NANOARROW_TYPE_BINARY, NULL, bytes},        {"o", NANOARROW_TYPE_BOOL, flags, NULL},
    };
    expect_stats(*state,
                 CONTEXT(FIELD("f", "\\\"float\\\"", "true") "," FIELD("d", "\\\"date\\\"", "true") "," FIELD(
                             "t", "\\\"timestamp\\\"", "true") "," FIELD("m", "\\\"decimal(10,2)\\\"", "true") "," FIELD(
                             "b", "\\\"binary\\\"", "true") "," FIELD("o", "\\\"boolean\\\"", "true"), "", "", "0"),
                 columns, 6, 2,
                 "{\"numRecords\":2,"
                 "\"minValues\":{\"f\":0.1,\"d\":\"1969-12-31\",\"t\":\"1969-12-31T23:59:59.999Z\",\"m\":-0.01},"
                 "\"maxValues\":{\"f\":1.5,\"d\":\"2024-10-04\",\"t\":\"2026-11-23T08:59:11.124Z\",\"m\":12345.67},"
                 "\"nullCount\":{\"f\":0,\"d\":0,\"t\":0,\"m\":0,\"b\":1,\"o\":0},\"tightBounds\":true}");
}

static void test_delta_stats__strings_are_cut_safely(void **state)
{
    static const struct {
        const char *value, *min, *max;
    } cases[] = {
        {"plain \\\" quote", "plain \\\\\\\" quote", "plain \\\\\\\" quote"},
        {STRING_OF_40, "aaaaaaaaaabbbbbbbbbbccccccccccdd", "aaaaaaaaaabbbbbbbbbbccccccccccdd\x7F"},
        {"aaaaaaaaaabbbbbbbbbbccccccccccdd\xC3\xA9", "aaaaaaaaaabbbbbbbbbbccccccccccdd",
         "aaaaaaaaaabbbbbbbbbbccccccccccdd\xF4\x8F\xBF\xBF"},
        {"aaaaaaaaaabbbbbbbbbbccccccccccdd\xF4\x8F\xBF\xBFz", "aaaaaaaaaabbbbbbbbbbccccccccccdd",
         "aaaaaaaaaabbbbbbbbbbccccccccccdd\xF4\x8F\xBF\xBF\x7F"},
        {"aaaaaaaaaabbbbbbbbbbccccccccccdd\xF4\x8F\xBF\xBF", "aaaaaaaaaabbbbbbbbbbccccccccccdd",
         "aaaaaaaaaabbbbbbbbbbccccccccccdd\xF4\x8F\xBF\xBF"},
        /* 32 characters of two bytes each are not cut */
        {"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
         "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
         "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9",
         NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *values[] = {cases[i].value};
        const column columns[] = {{"s", NANOARROW_TYPE_STRING, NULL, values}};
        added list;
        write_all(*state, CONTEXT(FIELD("s", STRING, "true"), "", "", "0"), columns, 1, 1, &list);
        yyjson_doc *doc = yyjson_read(list.adds[0].stats, strlen(list.adds[0].stats), 0);
        yyjson_val *root = yyjson_doc_get_root(doc);
        const char *min = yyjson_get_str(yyjson_ptr_get(root, "/minValues/s"));
        const char *max = yyjson_get_str(yyjson_ptr_get(root, "/maxValues/s"));
        if (i == 0) {
            assert_string_equal(min, cases[i].value);
        } else {
            assert_string_equal(min, cases[i].min ? cases[i].min : cases[i].value);
            assert_string_equal(max, cases[i].max ? cases[i].max : cases[i].value);
        }
        assert_true(strcmp(max, cases[i].value) >= 0);
        yyjson_doc_free(doc);
        ist__arena_free(list.arena);
    }
}

static void test_delta_stats__what_json_cannot_say_is_left_out(void **state)
{
    static const double with_nan[] = {1, NAN}, infinite[] = {-INFINITY, 3}, far[] = {0, 3000000};
    static const char *const broken[] = {"\xFF", "a"};
    static const column columns[] = {
        {"n", NANOARROW_TYPE_DOUBLE, with_nan, NULL}, {"i", NANOARROW_TYPE_DOUBLE, infinite, NULL},
        {"d", NANOARROW_TYPE_DATE32, far, NULL},      {"s", NANOARROW_TYPE_STRING, NULL, broken}};
    expect_stats(*state,
                 CONTEXT(FIELD("n", "\\\"double\\\"", "true") "," FIELD("i", "\\\"double\\\"", "true") "," FIELD(
                             "d", "\\\"date\\\"", "true") "," FIELD("s", STRING, "true"), "", "", "0"),
                 columns, 4, 2,
                 "{\"numRecords\":2,\"minValues\":{\"d\":\"1970-01-01\",\"s\":\"a\"},\"maxValues\":{\"i\":3},"
                 "\"nullCount\":{\"n\":0,\"i\":0,\"d\":0,\"s\":0},\"tightBounds\":true}");
}

static void test_delta_stats__chosen_columns(void **state)
{
    static const column columns[] = {{"a", NANOARROW_TYPE_INT64, ids, NULL},
                                     {"b.c", NANOARROW_TYPE_INT64, ids, NULL},
                                     {"d", NANOARROW_TYPE_INT64, ids, NULL}};
#define THREE FIELD("a", LONG, "true") "," FIELD("b.c", LONG, "true") "," FIELD("d", LONG, "true")
    expect_stats(*state, CONTEXT(THREE, "", "\"delta.dataSkippingNumIndexedCols\":\"2\"", "0"), columns, 3, 1,
                 "{\"numRecords\":1,\"minValues\":{\"a\":5,\"b.c\":5},\"maxValues\":{\"a\":5,\"b.c\":5},"
                 "\"nullCount\":{\"a\":0,\"b.c\":0},\"tightBounds\":true}");
    expect_stats(*state, CONTEXT(THREE, "", "\"delta.dataSkippingNumIndexedCols\":\"0\"", "0"), columns, 3, 1,
                 "{\"numRecords\":1,\"tightBounds\":true}");
    expect_stats(*state, CONTEXT(THREE, "", "\"delta.dataSkippingStatsColumns\":\" `b.c`, D\"", "0"), columns, 3, 1,
                 "{\"numRecords\":1,\"minValues\":{\"b.c\":5,\"d\":5},\"maxValues\":{\"b.c\":5,\"d\":5},"
                 "\"nullCount\":{\"b.c\":0,\"d\":0},\"tightBounds\":true}");
}

/* {s: struct<x: long, l: list<long>>} with a null struct, a null list and a full row. */
static void test_delta_stats__nested(void **state)
{
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct ArrowArrayStream stream;
    ist_error err = IST_ERROR_INIT;
    ArrowSchemaInit(&schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(&schema, 1), 0);
    struct ArrowSchema *s = schema.children[0];
    assert_int_equal(ArrowSchemaSetTypeStruct(s, 2) || ArrowSchemaSetName(s, "s"), 0);
    assert_int_equal(ArrowSchemaSetType(s->children[0], NANOARROW_TYPE_INT64) || ArrowSchemaSetName(s->children[0], "x"), 0);
    assert_int_equal(ArrowSchemaSetType(s->children[1], NANOARROW_TYPE_LIST) || ArrowSchemaSetName(s->children[1], "l"), 0);
    assert_int_equal(ArrowSchemaSetType(s->children[1]->children[0], NANOARROW_TYPE_INT64), 0);
    assert_int_equal(ArrowArrayInitFromSchema(&batch, &schema, NULL) || ArrowArrayStartAppending(&batch), 0);
    struct ArrowArray *rows = batch.children[0], *x = rows->children[0], *l = rows->children[1];
    assert_int_equal(ArrowArrayAppendNull(rows, 1) || ArrowArrayFinishElement(&batch), 0);
    assert_int_equal(ArrowArrayAppendInt(x, 4) || ArrowArrayAppendNull(l, 1) || ArrowArrayFinishElement(rows) ||
                         ArrowArrayFinishElement(&batch), 0);
    assert_int_equal(ArrowArrayAppendInt(x, 9) || ArrowArrayAppendInt(l->children[0], 1) || ArrowArrayFinishElement(l) ||
                         ArrowArrayFinishElement(rows) || ArrowArrayFinishElement(&batch), 0);
    assert_int_equal(ArrowArrayFinishBuildingDefault(&batch, NULL), 0);
    assert_int_equal(ArrowBasicArrayStreamInit(&stream, &schema, 1), 0);
    ArrowBasicArrayStreamSetArray(&stream, 0, &batch);
    ist_writer *writer;
    ist_buffer actions = IST_BUFFER_INIT;
    assert_ok(ist_writer_open(*state,
                              CONTEXT(FIELD("s", "{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" FIELD("x", LONG, "true") "," FIELD(
                                                     "l", "{\\\"type\\\":\\\"array\\\",\\\"elementType\\\":\\\"long\\\",\\\"containsNull\\\":true}", "true") "]}",
                                            "true"), "", "", "0"), &writer, &err), err);
    assert_ok(ist_writer_write(writer, &stream, &err), err);
    assert_ok(ist_writer_finish(writer, &actions, &err), err);
    ist_writer_free(writer);
    assert_non_null(strstr(actions.data, "{\\\"numRecords\\\":3,\\\"minValues\\\":{\\\"s\\\":{\\\"x\\\":4}},"
                                         "\\\"maxValues\\\":{\\\"s\\\":{\\\"x\\\":9}},"
                                         "\\\"nullCount\\\":{\\\"s\\\":{\\\"x\\\":1,\\\"l\\\":2}}"));
    ist_buffer_free(&actions);
}

int main(int argc, char **argv)
{
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, new_memory, free_memory)
    const struct CMUnitTest tests[] = {
        IN_MEMORY(test_delta_writer__partitions),
        IN_MEMORY(test_delta_writer__many_partitions_close_the_oldest),
        IN_MEMORY(test_delta_writer__rolls_at_the_target_size),
        IN_MEMORY(test_delta_writer__rolls_within_a_batch),
        IN_MEMORY(test_delta_writer__names_and_codecs),
        IN_MEMORY(test_delta_writer__refusals_name_the_column),
        IN_MEMORY(test_delta_writer__free_without_finish_removes_files),
        IN_MEMORY(test_delta_stats__types),
        IN_MEMORY(test_delta_stats__strings_are_cut_safely),
        IN_MEMORY(test_delta_stats__what_json_cannot_say_is_left_out),
        IN_MEMORY(test_delta_stats__chosen_columns),
        IN_MEMORY(test_delta_stats__nested),
    };
    return run_group(tests, argc, argv);
}
