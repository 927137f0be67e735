/* test_parquet.c: the Parquet shim against itself and against damaged bytes. Other readers see these files in
 * python/tests. */
#include "arrow_json.h"
#include "isthmus/sys/storage.h"
#include "delta/delta_internal.h"
#include "shim/parquet.h"
#include "shim/stream.h"

#include <limits.h>
#include <math.h>

static ist_status append_sink(void *self, const void *data, size_t size, ist_error *err)
{
    return ist_buffer_append(self, data, size, err);
}

static ist_status full_sink(void *self, const void *data, size_t size, ist_error *err)
{
    (void)data;
    size_t *room = self;
    if (size > *room)
        return ist_error_set(err, IST_IO, 28, "the sink", "the disk is full");
    *room -= size;
    return IST_OK;
}

static const ist__parquet_writer_options plain_options = {"snappy", INT_MIN, 0, true};

typedef struct memory {
    const char *data;
    size_t size;
    int *freed;
    size_t fail_after; /* reads until one fails; 0 never */
} memory;

static ist_status memory_read(void *self, uint64_t offset, void *data, size_t size, ist_error *err)
{
    memory *m = self;
    if (m->fail_after && --m->fail_after == 0)
        return ist_error_set(err, IST_RETRYABLE, 503, "the source", "slow down");
    if (offset > m->size || size > m->size - offset)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "a read past the end");
    memcpy(data, m->data + offset, size);
    return IST_OK;
}

static void memory_free(void *self)
{
    memory *m = self;
    if (m->freed)
        ++*m->freed;
    free(m);
}

static ist__source source_of(const ist_buffer *bytes, int *freed, size_t fail_after)
{
    memory *m = malloc(sizeof *m);
    *m = (memory){bytes->data, bytes->size, freed, fail_after};
    return (ist__source){m, bytes->size, memory_read, memory_free, "t/x.parquet"};
}

static void write_file(const struct ArrowSchema *schema, const char *const *batches, size_t count,
                       const ist__parquet_writer_options *options, ist_buffer *out, ist__parquet_leaf **leaves,
                       size_t *leaf_count)
{
    ist_error err = IST_ERROR_INIT;
    ist__parquet_writer *writer = NULL;
    assert_ok(ist__parquet_writer_open((ist__sink){out, append_sink}, schema, options, &writer, &err), err);
    for (size_t i = 0; i < count; i++) {
        struct ArrowArray batch;
        make_batch(schema, batches[i], &batch);
        assert_ok(ist__parquet_writer_write(writer, &batch, &err), err);
        assert_null(batch.release);
    }
    assert_ok(ist__parquet_writer_close(writer, leaves, leaf_count, &err), err);
    ist__parquet_writer_free(writer);
}

static void assert_file_rows(const ist_buffer *file, const int *columns, size_t count, int64_t batch_rows,
                             const char *expected)
{
    ist_error err = IST_ERROR_INIT;
    ist__parquet_reader *reader = NULL;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    ist_buffer rows = IST_BUFFER_INIT;
    int freed = 0;
    assert_ok(ist__parquet_reader_open(source_of(file, &freed, 0), &reader, &err), err);
    assert_ok(ist__parquet_reader_read(reader, columns, count, batch_rows, &stream, &err), err);
    ist__parquet_reader_free(reader); /* the stream goes on without it */
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    for (;;) {
        assert_int_equal(stream.get_next(&stream, &batch), 0);
        if (!batch.release)
            break;
        if (batch_rows)
            assert_true(batch.length <= batch_rows);
        append_rows(&schema, &batch, &rows);
        batch.release(&batch);
    }
    assert_int_equal(freed, 0);
    schema.release(&schema);
    stream.release(&stream);
    assert_int_equal(freed, 1);
    assert_text_rows(&rows, expected);
}

static const char wide_schema[] =
    "{'b':'b','i8':'c','i16':'s','i32':'i','i64':'l!','f':'f','d':'g','s':'u','bin':'z','date':'tdD','ts':'tsu:UTC',"
    "'ntz':'tsu:','dec':'d:9,2','big':'d:38,10','tags':['u'],'at':{'x':'g','deep':{'y':'i'}},'m':{'#map':['u','l']}}";

static void test_shim_parquet__keeps_every_type(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    ist_buffer file = IST_BUFFER_INIT;
    make_schema(wide_schema, &schema);
    const char *batches[] = {
        "[{'b':true,'i8':-128,'i16':-5,'i32':7,'i64':9007199254740993,'f':1.5,'d':0.1,'s':'caf\xC3\xA9','bin':'xy',"
        "'date':19782,'ts':1709209800123456,'ntz':-1,'dec':'-12345','big':'12345678901234567890','tags':['p',null],"
        "'at':{'x':1.0,'deep':{'y':3}},'m':{'k':1}}]",
        "[{'i64':1}, {'i64':2,'tags':[],'at':{},'m':{}}]"};
    write_file(&schema, batches, 2, &plain_options, &file, NULL, NULL);
    assert_file_rows(
        &file, NULL, 0, 2,
        "{'b':true,'i8':-128,'i16':-5,'i32':7,'i64':9007199254740993,'f':1.5,'d':0.1,'s':'caf\xC3\xA9','bin':'7879',"
        "'date':'2024-02-29','ts':'2024-02-29T12:30:00.123456Z','ntz':'1969-12-31T23:59:59.999999','dec':-123.45,"
        "'big':1234567890.1234567890,'tags':['p',null],'at':{'x':1.0,'deep':{'y':3}},'m':{'k':1}}\n"
        "{'b':null,'i8':null,'i16':null,'i32':null,'i64':1,'f':null,'d':null,'s':null,'bin':null,'date':null,'ts':null,"
        "'ntz':null,'dec':null,'big':null,'tags':null,'at':null,'m':null}\n"
        "{'b':null,'i8':null,'i16':null,'i32':null,'i64':2,'f':null,'d':null,'s':null,'bin':null,'date':null,'ts':null,"
        "'ntz':null,'dec':null,'big':null,'tags':[],'at':{'x':null,'deep':null},'m':{}}\n");
    ist_buffer_free(&file);
    schema.release(&schema);
}

static void test_shim_parquet__reads_the_columns_asked_for(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    ist_buffer file = IST_BUFFER_INIT;
    make_schema("{'a':'l','s':{'x':'l','y':'l'},'c':'u'}", &schema);
    const char *batches[] = {"[{'a':1,'s':{'x':2,'y':3},'c':'z'},{'a':4,'s':{'x':5,'y':6},'c':'w'}]"};
    write_file(&schema, batches, 1, &plain_options, &file, NULL, NULL);
    assert_file_rows(&file, (int[]){2, 1}, 2, 0, "{'c':'z','s':{'x':2,'y':3}}\n{'c':'w','s':{'x':5,'y':6}}\n");
    assert_file_rows(&file, (int[]){0}, 0, 0, "{}\n{}\n");

    ist__parquet_reader *reader = NULL;
    struct ArrowArrayStream stream;
    assert_ok(ist__parquet_reader_open(source_of(&file, NULL, 0), &reader, &err), err);
    assert_int_equal(ist__parquet_reader_rows(reader), 2);
    assert_int_equal(ist__parquet_reader_read(reader, (int[]){3}, 1, 0, &stream, &err), IST_BAD_INPUT);
    assert_int_equal(ist__parquet_reader_read(reader, (int[]){-1}, 1, 0, &stream, &err), IST_BAD_INPUT);
    ist__parquet_reader_free(reader);
    ist_buffer_free(&file);
    schema.release(&schema);
}

static void test_shim_parquet__keeps_field_ids(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema, read;
    struct ArrowBuffer metadata;
    ist_buffer file = IST_BUFFER_INIT;
    make_schema("{'a':'l','b':'l'}", &schema);
    ArrowMetadataBuilderInit(&metadata, NULL);
    ArrowMetadataBuilderAppend(&metadata, ArrowCharView("PARQUET:field_id"), ArrowCharView("17"));
    ArrowSchemaSetMetadata(schema.children[1], (const char *)metadata.data);
    ArrowBufferReset(&metadata);
    write_file(&schema, NULL, 0, &plain_options, &file, NULL, NULL);
    ist__parquet_reader *reader = NULL;
    assert_ok(ist__parquet_reader_open(source_of(&file, NULL, 0), &reader, &err), err);
    assert_ok(ist__parquet_reader_schema(reader, &read, &err), err);
    struct ArrowStringView value = {NULL, 0};
    assert_int_equal(ArrowMetadataGetValue(read.children[1]->metadata, ArrowCharView("PARQUET:field_id"), &value), 0);
    assert_int_equal(value.size_bytes, 2);
    assert_memory_equal(value.data, "17", 2);
    assert_int_equal(ist__parquet_reader_rows(reader), 0);
    ist__parquet_reader_free(reader);
    read.release(&read);
    schema.release(&schema);
    ist_buffer_free(&file);
}

/* "path depth/repeated nulls min..max" for each leaf. */
static void describe_leaves(ist__parquet_leaf *leaves, size_t count, ist_buffer *out)
{
    ist_error err = IST_ERROR_INIT;
    for (size_t i = 0; i < count; i++) {
        ist_buffer_printf(out, &err, "%s %d%s %d", leaves[i].path, leaves[i].depth, leaves[i].repeated ? "r" : "",
                          (int)leaves[i].null_count);
        for (int k = 0; k < 2 && leaves[i].has_min_max; k++) {
            /* The renderer takes batches: dress the value as one. */
            struct ArrowArray *child = k ? &leaves[i].max : &leaves[i].min;
            struct ArrowSchema *field = &leaves[i].schema;
            const void *buffers[1] = {NULL};
            struct ArrowArray batch = {.length = 1, .n_buffers = 1, .buffers = buffers, .n_children = 1,
                                       .children = &child};
            struct ArrowSchema schema = {.format = "+s", .n_children = 1, .children = &field};
            ist_renderer *renderer = NULL;
            assert_int_equal(child->length, 1);
            assert_ok(ist_renderer_new(&schema, &renderer, &err), err);
            assert_ok(ist_renderer_set_batch(renderer, &batch, &err), err);
            ist_buffer_append_string(out, k ? ".." : " ", &err);
            assert_ok(ist_renderer_cell(renderer, 0, 0, IST_RENDER_TEXT, out, NULL, &err), err);
            ist_renderer_free(renderer);
        }
        ist_buffer_append(out, "\n", 1, &err);
    }
}

static void assert_leaves(const char *types, const char *const *batches, size_t count,
                          const ist__parquet_writer_options *options, const char *expected)
{
    struct ArrowSchema schema;
    ist_buffer file = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    ist__parquet_leaf *leaves;
    size_t leaf_count;
    make_schema(types, &schema);
    write_file(&schema, batches, count, options, &file, &leaves, &leaf_count);
    describe_leaves(leaves, leaf_count, &text);
    ist__parquet_leaves_free(leaves, leaf_count);
    assert_text_rows(&text, expected);
    ist_buffer_free(&file);
    schema.release(&schema);
}

static void test_shim_parquet__statistics_of_every_type(void **state)
{
    (void)state;
    const char *batches[] = {
        "[{'b':true,'i8':-128,'i16':-5,'i32':7,'i64':1,'f':1.5,'d':0.1,'s':'b','bin':'xy','date':19782,"
        "'ts':1709209800123456,'ntz':-1,'dec':'-12345','big':'12345678901234567890','tags':['p',null],"
        "'at':{'x':1.0,'deep':{'y':3}},'m':{'k':1}}]",
        "[{'i64':5,'s':'abc','at':{'x':-0.5},'dec':'3','ts':0}, {'i64':2}]"};
    assert_leaves(wide_schema, batches, 2, &plain_options,
                  "b 0 2 true..true\ni8 0 2 -128..-128\ni16 0 2 -5..-5\ni32 0 2 7..7\ni64 0 0 1..5\nf 0 2 1.5..1.5\n"
                  "d 0 2 0.1..0.1\ns 0 1 abc..b\nbin 0 2 7879..7879\ndate 0 2 2024-02-29..2024-02-29\n"
                  "ts 0 1 1970-01-01T00:00:00Z..2024-02-29T12:30:00.123456Z\n"
                  "ntz 0 2 1969-12-31T23:59:59.999999..1969-12-31T23:59:59.999999\ndec 0 1 -123.45..0.03\n"
                  "big 0 2 1234567890.1234567890..1234567890.1234567890\ntags.list.element 2r 3 p..p\n"
                  "at.x 1 1 -0.5..1.0\nat.deep.y 2 2 3..3\nm.key_value.key 2r 2 k..k\nm.key_value.value 2r 2 1..1\n");
}

static void test_shim_parquet__statistics_span_row_groups(void **state)
{
    (void)state;
    ist__parquet_writer_options options = plain_options;
    options.row_group_rows = 2;
    const char *batches[] = {"[{'a':5,'s':'m'},{'a':7,'s':'n'},{'s':'k'},{}]", "[{'a':-3},{'a':6,'s':'z'},{'a':1}]"};
    assert_leaves("{'a':'l','s':'u'}", batches, 2, &options, "a 0 2 -3..7\ns 0 3 k..z\n");
    const char *nulls[] = {"[{},{},{}]"};
    assert_leaves("{'a':'l','s':'u'}", nulls, 1, &options, "a 0 3\ns 0 3\n");
    assert_leaves("{'a':'l','s':'u'}", NULL, 0, &options, "a 0 0\ns 0 0\n");
}

/* Spark has NaN above all numbers, Arrow leaves it out: a bound that ignores it would make a reader skip rows. */
static void test_shim_parquet__nan_takes_the_bounds(void **state)
{
    (void)state;
    ist__parquet_writer_options options = plain_options;
    options.row_group_rows = 2;
    const char *batches[] = {"[{'a':1,'b':1,'s':{'c':1},'d':-0.0},{'a':2,'b':2,'s':{'c':2},'d':0.0}]",
                             "[{'a':'NaN','b':3,'s':{'c':'NaN'},'d':'inf'}]", "[{'a':4,'b':4,'s':{},'d':'-inf'}]"};
    assert_leaves("{'a':'g','b':'f','s':{'c':'f'},'d':'g'}", batches, 3, &options,
                  "a 0 0\nb 0 0 1.0..4.0\ns.c 1 1\nd 0 0 -Infinity..Infinity\n");
}

static void test_shim_parquet__a_nan_under_a_null_is_none(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    ist_buffer file = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    ist__parquet_writer *writer = NULL;
    ist__parquet_leaf *leaves;
    size_t count;
    make_schema("{'a':'g'}", &schema);
    make_batch(&schema, "[{'a':1},{},{'a':2}]", &batch);
    ((double *)batch.children[0]->buffers[1])[1] = NAN; /* as pandas leaves it */
    assert_ok(ist__parquet_writer_open((ist__sink){&file, append_sink}, &schema, &plain_options, &writer, &err), err);
    assert_ok(ist__parquet_writer_write(writer, &batch, &err), err);
    assert_ok(ist__parquet_writer_close(writer, &leaves, &count, &err), err);
    ist__parquet_writer_free(writer);
    describe_leaves(leaves, count, &text);
    ist__parquet_leaves_free(leaves, count);
    assert_text_rows(&text, "a 0 1 1.0..2.0\n");
    schema.release(&schema);
    ist_buffer_free(&file);
}

static void test_shim_parquet__overlong_values_have_no_bounds(void **state)
{
    (void)state;
    ist__parquet_writer_options options = plain_options;
    options.row_group_rows = 1;
    char batch[6000] = "[{'s':'b'},{'s':'";
    memset(batch + strlen(batch), 'a', 5000);
    strcat(batch, "'}]");
    const char *batches[] = {batch};
    assert_leaves("{'s':'u'}", batches, 1, &options, "s 0 0\n");
}

static void test_shim_parquet__damaged_files_are_bad_input(void **state)
{
    (void)state;
    struct ArrowSchema schema;
    ist_buffer file = IST_BUFFER_INIT;
    make_schema(wide_schema, &schema);
    const char *batches[] = {"[{'i64':1,'s':'some text','tags':['a','b']},{'i64':2,'s':'more'}]"};
    write_file(&schema, batches, 1, &plain_options, &file, NULL, NULL);
    schema.release(&schema);
    for (size_t size = 0; size < file.size; size++) {
        ist_error err = IST_ERROR_INIT;
        ist__parquet_reader *reader = NULL;
        ist_buffer part = {file.data, size, 0, 0};
        int freed = 0;
        ist_status status = ist__parquet_reader_open(source_of(&part, &freed, 0), &reader, &err);
        assert_int_equal(status, IST_BAD_INPUT);
        assert_int_equal(freed, 1);
        assert_int_equal(strncmp(err.message, "t/x.parquet: ", 13), 0);
        assert_null(strchr(err.message, '\n'));
    }
    ist_buffer_free(&file);
}

static void test_shim_parquet__failures_of_source_and_sink_come_through(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    ist_buffer file = IST_BUFFER_INIT;
    make_schema("{'a':'l'}", &schema);
    const char *batches[] = {"[{'a':1},{'a':2}]"};
    ist__parquet_writer_options options = plain_options;
    options.row_group_rows = 1;
    write_file(&schema, batches, 1, &options, &file, NULL, NULL);

    ist__parquet_reader *reader = NULL;
    assert_int_equal(ist__parquet_reader_open(source_of(&file, NULL, 1), &reader, &err), IST_RETRYABLE);
    assert_string_equal(err.message, "slow down");
    assert_int_equal(err.code, 503);
    /* One read for the footer, then one for each row group's column. */
    assert_ok(ist__parquet_reader_open(source_of(&file, NULL, 3), &reader, &err), err);
    struct ArrowArrayStream stream;
    assert_ok(ist__parquet_reader_read(reader, NULL, 0, 0, &stream, &err), err);
    int code = stream.get_next(&stream, &batch);
    assert_int_not_equal(code, 0);
    assert_int_equal(ist__stream_error(&stream, code, &err), IST_RETRYABLE);
    assert_string_equal(err.message, "slow down");
    stream.release(&stream);
    ist__parquet_reader_free(reader);

    ist_error_clear(&err);
    size_t room = 4; /* the magic, then the disk is full */
    ist__parquet_writer *writer = NULL;
    assert_ok(ist__parquet_writer_open((ist__sink){&room, full_sink}, &schema, &plain_options, &writer, &err), err);
    make_batch(&schema, batches[0], &batch);
    assert_ok(ist__parquet_writer_write(writer, &batch, &err), err);
    assert_int_equal(ist__parquet_writer_close(writer, NULL, NULL, &err), IST_IO);
    assert_string_equal(err.message, "the disk is full");
    assert_int_not_equal(ist__parquet_writer_close(writer, NULL, NULL, &err), IST_OK);
    ist__parquet_writer_free(writer);

    /* Freed without close: no footer. */
    ist_buffer half = IST_BUFFER_INIT;
    assert_ok(ist__parquet_writer_open((ist__sink){&half, append_sink}, &schema, &plain_options, &writer, &err), err);
    make_batch(&schema, batches[0], &batch);
    assert_ok(ist__parquet_writer_write(writer, &batch, &err), err);
    size_t size = half.size;
    ist__parquet_writer_free(writer);
    assert_int_equal(half.size, size);
    ist_buffer_free(&half);
    ist_buffer_free(&file);
    schema.release(&schema);
}

static void test_shim_parquet__refuses_what_it_cannot_write(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    ist__parquet_writer *writer = NULL;
    ist_buffer file = IST_BUFFER_INIT;
    make_schema("{'a':'tin'}", &schema); /* an interval */
    ist__parquet_writer_options options = plain_options;
    assert_int_equal(ist__parquet_writer_open((ist__sink){&file, append_sink}, &schema, &options, &writer, &err),
                     IST_UNSUPPORTED);
    schema.release(&schema);
    make_schema("{'a':'l'}", &schema);
    options.compression = "rar";
    assert_int_equal(ist__parquet_writer_open((ist__sink){&file, append_sink}, &schema, &options, &writer, &err),
                     IST_BAD_INPUT);
    schema.release(&schema);
    ist_buffer_free(&file);
}

static void make_long_column(struct ArrowSchema *schema, struct ArrowArray *batch, int64_t rows, int64_t distinct)
{
    ArrowArrayInitFromSchema(batch, schema, NULL);
    ArrowArrayStartAppending(batch);
    uint64_t x = 88172645463325252u;
    for (int64_t i = 0; i < rows; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        ArrowArrayAppendInt(batch->children[0], (int64_t)(x % (uint64_t)distinct) * 1000003);
        ArrowArrayFinishElement(batch);
    }
    assert_int_equal(ArrowArrayFinishBuildingDefault(batch, NULL), NANOARROW_OK);
}

static size_t size_of_file(int64_t distinct, bool dictionary)
{
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    ist_buffer file = IST_BUFFER_INIT;
    ist__parquet_writer *writer = NULL;
    ist__parquet_writer_options options = {"uncompressed", INT_MIN, 0, dictionary};
    make_schema("{'a':'l'}", &schema);
    make_long_column(&schema, &batch, 200000, distinct);
    assert_ok(ist__parquet_writer_open((ist__sink){&file, append_sink}, &schema, &options, &writer, &err), err);
    assert_ok(ist__parquet_writer_write(writer, &batch, &err), err);
    assert_true(ist__parquet_writer_size(writer) > 0);
    assert_ok(ist__parquet_writer_close(writer, NULL, NULL, &err), err);
    assert_int_equal(ist__parquet_writer_size(writer), file.size);
    ist__parquet_writer_free(writer);
    size_t size = file.size;
    ist_buffer_free(&file);
    schema.release(&schema);
    return size;
}

static void test_shim_parquet__dictionary_where_it_pays(void **state)
{
    (void)state;
    size_t plain = size_of_file(1000, false);
    assert_true(size_of_file(1000, true) < plain / 4);
    assert_true(size_of_file(60000, true) < plain * 3 / 4);
    /* All different: as large as without, so no dictionary was begun. */
    assert_in_range(size_of_file(INT64_MAX / 1000003, true), plain - 2000, plain + 2000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shim_parquet__keeps_every_type),
        cmocka_unit_test(test_shim_parquet__reads_the_columns_asked_for),
        cmocka_unit_test(test_shim_parquet__keeps_field_ids),
        cmocka_unit_test(test_shim_parquet__statistics_of_every_type),
        cmocka_unit_test(test_shim_parquet__statistics_span_row_groups),
        cmocka_unit_test(test_shim_parquet__nan_takes_the_bounds),
        cmocka_unit_test(test_shim_parquet__a_nan_under_a_null_is_none),
        cmocka_unit_test(test_shim_parquet__overlong_values_have_no_bounds),
        cmocka_unit_test(test_shim_parquet__damaged_files_are_bad_input),
        cmocka_unit_test(test_shim_parquet__failures_of_source_and_sink_come_through),
        cmocka_unit_test(test_shim_parquet__refuses_what_it_cannot_write),
        cmocka_unit_test(test_shim_parquet__dictionary_where_it_pays),
    };
    return run_group(tests, argc, argv);
}
