/* test_file.c: files of every format come out as the rows that are in them; what is not of its format is refused. */
#include "isthmus/file.h"
#include "isthmus/render.h"
#include "isthmus/sys/storage.h"
#include "shim/ipc.h"
#include "shim/parquet.h"
#include "testing.h"

#include <nanoarrow/nanoarrow.h>

#include <fcntl.h>
#include <limits.h>
#include <string.h>

static ist_store *store;

static int open_store(void **state)
{
    (void)state;
    return ist_store_open_memory(&store, NULL);
}

static int close_store(void **state)
{
    (void)state;
    ist_store_free(store);
    return 0;
}

static void put(const char *path, const void *data, size_t size)
{
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_put(store, path, data, size, IST_PUT_REPLACE, &err), err);
}

/* All rows of a file as JSON lines. */
static ist_status rows(const char *path, const ist_file_options *options, ist_buffer *out, ist_error *err)
{
    struct ArrowArrayStream stream = {0};
    struct ArrowSchema schema = {0};
    struct ArrowArray batch = {0};
    ist_renderer *renderer = NULL;
    ist_buffer_clear(out);
    *err = (ist_error)IST_ERROR_INIT;
    ist_status status = ist_file_read(store, path, options, &stream, err);
    if (status != IST_OK)
        return status;
    status = ist_stream_schema(&stream, &schema, err);
    if (status == IST_OK)
        status = ist_renderer_new(&schema, &renderer, err);
    while (status == IST_OK && (status = ist_stream_next(&stream, &batch, err)) == IST_OK && batch.release) {
        status = ist_renderer_set_batch(renderer, &batch, err);
        for (int64_t row = 0; status == IST_OK && row < batch.length; row++) {
            status = ist_renderer_row(renderer, row, IST_RENDER_JSON, out, err);
            if (status == IST_OK)
                status = ist_buffer_append(out, "\n", 1, err);
        }
        batch.release(&batch);
    }
    ist_renderer_free(renderer);
    if (schema.release)
        schema.release(&schema);
    stream.release(&stream);
    return status;
}

static void expect(const char *path, const char *text, const ist_file_options *options, const char *expected)
{
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err;
    put(path, text, strlen(text));
    assert_ok(rows(path, options, &out, &err), err);
    assert_string_equal(out.data ? out.data : "", expected);
    ist_buffer_free(&out);
}

static void refuse(const char *path, const void *data, size_t size, const ist_file_options *options, const char *part)
{
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err;
    put(path, data, size);
    assert_int_equal(rows(path, options, &out, &err), IST_BAD_INPUT);
    if (!strstr(err.message, path) || !strstr(err.message, part))
        fail_msg("'%s' and '%s' are not both in '%s'", path, part, err.message);
    ist_buffer_free(&out);
}

/* Schema of columns named and typed by pairs, up to a NULL name. */
static void make_schema(struct ArrowSchema *schema, const char *const *names, const enum ArrowType *types, int count)
{
    ArrowSchemaInit(schema);
    assert_int_equal(ArrowSchemaSetTypeStruct(schema, count), NANOARROW_OK);
    for (int i = 0; i < count; i++) {
        assert_int_equal(ArrowSchemaSetType(schema->children[i], types[i]), NANOARROW_OK);
        assert_int_equal(ArrowSchemaSetName(schema->children[i], names[i]), NANOARROW_OK);
    }
}

static void test_file_file__csv_infers_types(void **state)
{
    (void)state;
    expect("a.csv", "id,x,name,day\n1,0.5,\"a,\"\"b\"\"\",2026-01-02\n2,,,\n3,1e3,\"\",2026-01-03\n", NULL,
           "{\"id\":1,\"x\":0.5,\"name\":\"a,\\\"b\\\"\",\"day\":\"2026-01-02\"}\n"
           "{\"id\":2,\"x\":null,\"name\":null,\"day\":null}\n"
           "{\"id\":3,\"x\":1000.0,\"name\":\"\",\"day\":\"2026-01-03\"}\n");
    expect("b.tsv", "a\tb\n1\tNA\n", NULL, "{\"a\":1,\"b\":\"NA\"}\n");
    expect("empty.csv", "a,b\n", NULL, "");
}

/* A number that turns into text after many blocks: types come from all rows, not from the first block. */
static void test_file_file__csv_infers_from_every_row(void **state)
{
    (void)state;
    ist_buffer text = IST_BUFFER_INIT, out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    ist_buffer_append_string(&text, "v\n", &err);
    for (int i = 0; i < 1500000; i++)
        ist_buffer_append_string(&text, "1234567\n", &err);
    ist_buffer_append_string(&text, "last\n", &err);
    put("long.csv", text.data, text.size);
    assert_ok(rows("long.csv", NULL, &out, &err), err);
    assert_string_equal(out.data + out.size - 13, "{\"v\":\"last\"}\n");
    assert_memory_equal(out.data, "{\"v\":\"1234567\"}", 15);
    ist_buffer_free(&text);
    ist_buffer_free(&out);
}

static void test_file_file__csv_takes_types_from_a_schema(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    ist_file_options options = IST_FILE_OPTIONS_INIT;
    make_schema(&schema, (const char *const[]){"id", "name"},
                (const enum ArrowType[]){NANOARROW_TYPE_STRING, NANOARROW_TYPE_STRING}, 2);
    options.schema = &schema;
    expect("a.csv", "name,id\nx,007\n", &options, "{\"name\":\"x\",\"id\":\"007\"}\n");
    expect("b.csv", "id,more\n007,1\n", &options, "{\"id\":\"007\",\"more\":1}\n");
    options.no_header = true;
    expect("c.csv", "007,x\n", &options, "{\"id\":\"007\",\"name\":\"x\"}\n");
    ArrowSchemaRelease(&schema);
    make_schema(&schema, (const char *const[]){"id"}, (const enum ArrowType[]){NANOARROW_TYPE_INT32}, 1);
    options.no_header = false;
    refuse("d.csv", "id\n1\nabc\n", 9, &options, "abc");
    ArrowSchemaRelease(&schema);
    refuse("e.csv", "a,b\n1\n", 6, NULL, "Expected 2 columns");
    refuse("f.csv", "", 0, NULL, "mpty");
}

static void test_file_file__json_lines(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    ist_file_options options = IST_FILE_OPTIONS_INIT;
    expect("a.jsonl", "{\"a\": 1, \"b\": {\"c\": [1, null]}}\n{\"a\": null, \"d\": \"x\"}\n", NULL,
           "{\"a\":1,\"b\":{\"c\":[1,null]},\"d\":null}\n{\"a\":null,\"b\":null,\"d\":\"x\"}\n");
    make_schema(&schema, (const char *const[]){"a"}, (const enum ArrowType[]){NANOARROW_TYPE_DOUBLE}, 1);
    options.schema = &schema;
    expect("b.json", "{\"a\": 1, \"z\": true}\n", &options, "{\"a\":1.0,\"z\":true}\n");
    ArrowSchemaRelease(&schema);
    refuse("c.ndjson", "{\"a\": 1}\n{\"a\": ", 15, NULL, "JSON");
    refuse("d.json", "[1, 2]", 6, NULL, "JSON");
}

/* The test's rows {"v": 0..n-1} as a stream. */
static void make_stream(struct ArrowArrayStream *out, int64_t count)
{
    struct ArrowSchema schema;
    struct ArrowArray batch;
    make_schema(&schema, (const char *const[]){"v"}, (const enum ArrowType[]){NANOARROW_TYPE_INT64}, 1);
    assert_int_equal(ArrowArrayInitFromSchema(&batch, &schema, NULL), NANOARROW_OK);
    assert_int_equal(ArrowArrayStartAppending(&batch), NANOARROW_OK);
    for (int64_t i = 0; i < count; i++) {
        ArrowArrayAppendInt(batch.children[0], i);
        ArrowArrayFinishElement(&batch);
    }
    assert_int_equal(ArrowArrayFinishBuildingDefault(&batch, NULL), NANOARROW_OK);
    assert_int_equal(ArrowBasicArrayStreamInit(out, &schema, 1), NANOARROW_OK);
    ArrowBasicArrayStreamSetArray(out, 0, &batch);
}

static ist_status append_to(void *self, const void *data, size_t size, ist_error *err)
{
    return ist_buffer_append(self, data, size, err);
}

static void test_file_file__arrow(void **state)
{
    (void)state;
    struct ArrowArrayStream stream;
    ist_buffer bytes = IST_BUFFER_INIT, file = IST_BUFFER_INIT, out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    int64_t count;
    make_stream(&stream, 3);
    assert_ok(ist__ipc_write(&stream, (ist__sink){&bytes, append_to}, &count, &err), err);
    put("stream", bytes.data, bytes.size);
    assert_ok(rows("stream", NULL, &out, &err), err);
    assert_string_equal(out.data, "{\"v\":0}\n{\"v\":1}\n{\"v\":2}\n");
    ist_buffer_append(&file, "ARROW1\0\0", 8, &err); /* the file format; its footer is not looked at */
    ist_buffer_append(&file, bytes.data, bytes.size, &err);
    put("file", file.data, file.size);
    assert_ok(rows("file", NULL, &out, &err), err);
    assert_string_equal(out.data, "{\"v\":0}\n{\"v\":1}\n{\"v\":2}\n");
    put("cut", bytes.data, bytes.size / 2);
    assert_int_equal(rows("cut", NULL, &out, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "Arrow IPC"));
    ist_buffer_free(&bytes);
    ist_buffer_free(&file);
    ist_buffer_free(&out);
}

static void test_file_file__parquet(void **state)
{
    (void)state;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    ist__parquet_writer *writer;
    ist_buffer bytes = IST_BUFFER_INIT, out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    ist__parquet_writer_options options = {.compression = "snappy", .compression_level = INT_MIN};
    make_stream(&stream, 2);
    assert_ok(ist_stream_schema(&stream, &schema, &err), err);
    assert_ok(ist_stream_next(&stream, &batch, &err), err);
    assert_ok(ist__parquet_writer_open((ist__sink){&bytes, append_to}, &schema, &options, &writer, &err), err);
    assert_ok(ist__parquet_writer_write(writer, &batch, &err), err);
    assert_ok(ist__parquet_writer_close(writer, NULL, NULL, &err), err);
    ist__parquet_writer_free(writer);
    schema.release(&schema);
    stream.release(&stream);
    put("data", bytes.data, bytes.size);
    assert_ok(rows("data", NULL, &out, &err), err);
    assert_string_equal(out.data, "{\"v\":0}\n{\"v\":1}\n");
    refuse("cut.parquet", bytes.data, bytes.size - 3, NULL, "arquet");
    ist_buffer_free(&bytes);
    ist_buffer_free(&out);
}

static void test_file_file__tells_what_it_cannot_read(void **state)
{
    (void)state;
    ist_error err;
    ist_buffer out = IST_BUFFER_INIT;
    refuse("data.xlsx", "PK\x03\x04zip", 7, NULL, "format is not known");
    refuse("empty", "", 0, NULL, "format is not known");
    assert_int_equal(rows("missing.csv", NULL, &out, &err), IST_NOT_FOUND);
    assert_non_null(strstr(err.message, "missing.csv"));
}

static void test_file_file__write_failure_is_told(void **state)
{
    (void)state;
    struct ArrowArrayStream stream;
    ist_error err = IST_ERROR_INIT;
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    make_stream(&stream, 1000);
    assert_int_equal(ist_stream_write_ipc(&stream, full, NULL, &err), IST_IO);
    assert_non_null(strstr(err.message, "No space left"));
    close(full);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_file__csv_infers_types, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_file_file__csv_infers_from_every_row, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_file_file__csv_takes_types_from_a_schema, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_file_file__json_lines, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_file_file__arrow, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_file_file__parquet, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_file_file__tells_what_it_cannot_read, open_store, close_store),
        cmocka_unit_test(test_file_file__write_failure_is_told),
    };
    return run_group(tests, argc, argv);
}
