/* test_scan.c: the rows of tables that Spark and delta-rs wrote (tests/data/make_tables.py), against what they read. */
#include "delta/delta_internal.h"
#include "delta/predicates.h"
#include "delta/rows_text.h"
#include "isthmus/sys/storage.h"

#include <dirent.h>

static ist_store *open_table(const char *name)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    ist_buffer_printf(&path, NULL, "%s/tables/%s/table", getenv("ISTHMUS_TEST_DATA"), name);
    char *absolute = realpath(path.data, NULL);
    if (!absolute)
        fail_msg("%s is missing", path.data);
    assert_ok(ist_store_open(absolute, NULL, &store, &err), err);
    free(absolute);
    ist_buffer_free(&path);
    return store;
}

static char *expected_rows(const char *name)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_buffer_printf(&path, NULL, "%s/tables/%s/expected.txt", getenv("ISTHMUS_TEST_DATA"), name);
    char *text = read_test_file(path.data);
    ist_buffer_free(&path);
    return text;
}

static void assert_rows(const char *name, const char *how, const ist_buffer *got, const char *expected)
{
    const char *text = got->data ? got->data : "";
    if (strcmp(text, expected) != 0)
        fail_msg("%s, %s\nexpected:\n%s\ngot:\n%s", name, how, expected, text);
}

/* A table's rows by the scan's stream and, task by task, from JSON: both as expected, and as many as the log says. */
static void check_table(const char *name)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_table(name);
    ist_snapshot *snapshot;
    ist_scan *scan;
    struct ArrowArrayStream stream;
    ist_buffer whole = IST_BUFFER_INIT, by_task = IST_BUFFER_INIT, task = IST_BUFFER_INIT;
    char *expected = expected_rows(name);
    assert_non_null(expected);
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    assert_ok(ist_scan_open(snapshot, NULL, &scan, &err), err);
    assert_ok(ist_scan_read(scan, store, &stream, &err), err);
    stream_text(&stream, &whole);
    assert_rows(name, "the scan", &whole, expected);

    char *lines[8192];
    size_t count = 0;
    int64_t rows_by_log = 0;
    for (size_t i = 0; i < ist_scan_task_count(scan); i++) {
        ist_buffer_clear(&task);
        ist_buffer text = IST_BUFFER_INIT;
        assert_ok(ist_scan_task_json(scan, i, &task, &err), err);
        assert_ok(ist_scan_task_read(store, task.data, &stream, &err), err);
        stream_text(&stream, &text);
        int64_t rows = 0;
        for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), rows++)
            lines[count++] = strdup(line);
        if (ist_scan_task_rows(scan, i) >= 0) {
            assert_int_equal(ist_scan_task_rows(scan, i), rows);
            rows_by_log += rows;
        }
        ist_buffer_free(&text);
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        ist_buffer_printf(&by_task, NULL, "%s\n", lines[i]);
        free(lines[i]);
    }
    assert_rows(name, "its tasks", &by_task, expected);
    if (ist_snapshot_row_count(snapshot) >= 0)
        assert_int_equal(ist_snapshot_row_count(snapshot), rows_by_log);
    free(expected);
    ist_buffer_free(&whole);
    ist_buffer_free(&by_task);
    ist_buffer_free(&task);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
}

static void test_delta_scan__tables(void **state)
{
    (void)state;
    ist_buffer path = IST_BUFFER_INIT;
    ist_buffer_printf(&path, NULL, "%s/tables", getenv("ISTHMUS_TEST_DATA"));
    DIR *folder = opendir(path.data);
    assert_non_null(folder);
    int tables = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *expected = entry->d_name[0] == '.' ? NULL : expected_rows(entry->d_name);
        if (!expected)
            continue;
        free(expected);
        check_table(entry->d_name);
        tables++;
    }
    closedir(folder);
    ist_buffer_free(&path);
    assert_true(tables >= 18);
}

static void scan_columns(const char *name, const char *const *columns, size_t count, ist_buffer *out)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_table(name);
    ist_snapshot *snapshot;
    ist_scan *scan;
    struct ArrowArrayStream stream;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    options.columns = columns;
    options.column_count = count;
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    assert_ok(ist_scan_open(snapshot, &options, &scan, &err), err);
    assert_ok(ist_scan_read(scan, store, &stream, &err), err);
    stream_text(&stream, out);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
}

static void test_delta_scan__projection(void **state)
{
    (void)state;
    ist_buffer out = IST_BUFFER_INIT;
    scan_columns("rs_partitioned_checkpoint", (const char *const[]){"s", "id"}, 2, &out);
    assert_non_null(strstr(out.data, "{\"s\":null,\"id\":1}\n"));
    ist_buffer_clear(&out);
    scan_columns("rs_partitioned_checkpoint", (const char *const[]){"p"}, 1, &out); /* no column of a file */
    assert_string_equal(out.data, "{\"p\":\"a b\"}\n{\"p\":\"a b\"}\n{\"p\":\"a b\"}\n{\"p\":\"c=d/e\"}\n{\"p\":\"c=d/e\"}\n"
                                  "{\"p\":\"q'\\\"\"}\n{\"p\":null}\n");
    ist_buffer_clear(&out);
    scan_columns("rs_partitioned_checkpoint", (const char *const[]){""}, 0, &out);
    assert_string_equal(out.data, "{}\n{}\n{}\n{}\n{}\n{}\n{}\n");
    ist_buffer_clear(&out);
    scan_columns("spark_vectors", (const char *const[]){""}, 0, &out); /* deleted rows of no columns */
    assert_int_equal(out.size, 3 * 134);
    ist_buffer_free(&out);
}

/* Rows of columns that the predicate does not read, from the stream and from the one task that is left. */
static void test_delta_scan__predicate(void **state)
{
    (void)state;
    static const char expected[] = "{\"s\":\"z\"}\n";
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_table("rs_partitioned_checkpoint");
    ist_snapshot *snapshot;
    ist_scan *scan;
    struct ArrowArrayStream stream;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    ist_buffer bytes = IST_BUFFER_INIT, out = IST_BUFFER_INIT, task = IST_BUFFER_INIT;
    use_predicate("p_is_a_b_and_id_above_1", &bytes, &options);
    options.columns = (const char *const[]){"s"};
    options.column_count = 1;
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    assert_ok(ist_scan_open(snapshot, &options, &scan, &err), err);
    assert_int_equal(ist_scan_task_count(scan), 1);
    assert_true(ist_snapshot_file_count(snapshot) > 1);
    assert_int_equal(ist_scan_task_rows(scan, 0), -1);
    assert_ok(ist_scan_read(scan, store, &stream, &err), err);
    stream_text(&stream, &out);
    assert_string_equal(out.data, expected);
    ist_buffer_clear(&out);
    assert_ok(ist_scan_task_json(scan, 0, &task, &err), err);
    assert_ok(ist_scan_task_read(store, task.data, &stream, &err), err);
    stream_text(&stream, &out);
    assert_string_equal(out.data, expected);
    char *predicate = strstr(task.data, "\"predicate\":\"") + 14;
    predicate[5] = '!';
    assert_int_equal(ist_scan_task_read(store, task.data, &stream, &err), IST_BAD_INPUT);
    assert_string_equal(err.message, "not a scan task: its predicate is not base64");
    predicate[5] = 'A';
    memcpy(strchr(predicate, '"') - 4, "AAAA", 4); /* the end, which Arrow's files are read from */
    assert_int_equal(ist_scan_task_read(store, task.data, &stream, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "not a scan task"));
    ist_scan_free(scan);
    use_predicate("number_above_5", &bytes, &options);
    assert_int_equal(ist_scan_open(snapshot, &options, &scan, &err), IST_BAD_INPUT);
    assert_string_equal(err.message, "predicate: the table has no column 'number'");
    options.predicate_size = 100;
    assert_int_equal(ist_scan_open(snapshot, &options, &scan, &err), IST_BAD_INPUT);
    ist_buffer_free(&bytes);
    ist_buffer_free(&out);
    ist_buffer_free(&task);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
}

static void test_delta_scan__bad_requests(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = open_table("rs_plain");
    ist_snapshot *snapshot;
    ist_scan *scan = NULL;
    struct ArrowArrayStream stream;
    ist_buffer task = IST_BUFFER_INIT;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    options.columns = (const char *const[]){"id", "nope"};
    options.column_count = 2;
    assert_int_equal(ist_scan_open(snapshot, &options, &scan, &err), IST_BAD_INPUT);
    assert_string_equal(err.message, "the table has no column 'nope'");
    options.columns = (const char *const[]){"id", "id"};
    assert_int_equal(ist_scan_open(snapshot, &options, &scan, &err), IST_BAD_INPUT);
    assert_ok(ist_scan_open(snapshot, NULL, &scan, &err), err);
    assert_int_equal(ist_scan_task_json(scan, 99, &task, &err), IST_BAD_INPUT);
    static const char *const tasks[] = {
        "", "[]", "{\"file\":{\"add\":3}}",
        "{\"file\":{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}}",
        "{\"partitionColumns\":[],\"columnMapping\":\"none\",\"file\":{\"add\":{\"path\":\"x\",\"partitionValues\":{},"
        "\"size\":1,\"modificationTime\":1,\"dataChange\":true}}}",
    };
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        assert_int_equal(ist_scan_task_read(store, tasks[i], &stream, &err), IST_BAD_INPUT);
        assert_non_null(strstr(err.message, "not a scan task"));
    }
    ist_buffer_free(&task);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
}

/* A table in memory with one file that is not there, and one that is not Parquet. */
static void test_delta_scan__broken_files(void **state)
{
    (void)state;
    static const char commit[] =
        "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
        "{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\"},\"schemaString\":\"{\\\"type\\\":\\\"struct\\\","
        "\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"long\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}]}\","
        "\"partitionColumns\":[],\"configuration\":{}}}\n"
        "{\"add\":{\"path\":\"a%20b.parquet\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,\"dataChange\":true}}\n";
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist_snapshot *snapshot;
    ist_scan *scan;
    ist_buffer task = IST_BUFFER_INIT;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    assert_ok(ist_store_open_memory(&store, &err), err);
    assert_ok(ist_store_put(store, "_delta_log/00000000000000000000.json", commit, strlen(commit), IST_PUT_IF_ABSENT,
                            &err), err);
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    assert_ok(ist_scan_open(snapshot, NULL, &scan, &err), err);
    assert_ok(ist_scan_task_json(scan, 0, &task, &err), err);
    assert_int_equal(ist_scan_task_read(store, task.data, &stream, &err), IST_NOT_FOUND);
    assert_non_null(strstr(err.message, "a%20b.parquet"));
    assert_ok(ist_store_put(store, "a b.parquet", "PAR1 not really PAR1", 20, IST_PUT_IF_ABSENT, &err), err);
    assert_int_equal(ist_scan_task_read(store, task.data, &stream, &err), IST_BAD_INPUT);
    assert_ok(ist_scan_read(scan, store, &stream, &err), err);
    assert_int_not_equal(stream.get_next(&stream, &batch), 0);
    assert_non_null(strstr(stream.get_last_error(&stream), "a%20b.parquet"));
    stream.release(&stream);
    ist_buffer_free(&task);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--table") == 0) { /* print one table's rows: for a look by hand */
        ist_buffer out = IST_BUFFER_INIT;
        ist_error err = IST_ERROR_INIT;
        ist_store *store;
        ist_snapshot *snapshot = NULL;
        ist_scan *scan;
        struct ArrowArrayStream stream;
        if (ist_store_open(argv[2], NULL, &store, &err) != IST_OK ||
            ist_snapshot_open(store, NULL, &snapshot, &err) != IST_OK ||
            ist_scan_open(snapshot, NULL, &scan, &err) != IST_OK || ist_scan_read(scan, store, &stream, &err) != IST_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        stream_text(&stream, &out);
        printf("%s", out.data ? out.data : "");
        ist_buffer_free(&out);
        ist_scan_free(scan);
        ist_snapshot_free(snapshot);
        ist_store_free(store);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_scan__tables),
        cmocka_unit_test(test_delta_scan__projection),
        cmocka_unit_test(test_delta_scan__predicate),
        cmocka_unit_test(test_delta_scan__bad_requests),
        cmocka_unit_test(test_delta_scan__broken_files),
    };
    return run_group(tests, argc, argv);
}
