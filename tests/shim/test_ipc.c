/* test_ipc.c: IPC streams written, read without copying, and damaged. */
#include "arrow_json.h"
#include "shim/ipc.h"
#include "shim/stream.h"

#include <errno.h>

static ist_status append_sink(void *self, const void *data, size_t size, ist_error *err)
{
    return ist_buffer_append(self, data, size, err);
}

static ist_status full_sink(void *self, const void *data, size_t size, ist_error *err)
{
    (void)data;
    size_t *room = self;
    if (size > *room)
        return ist_error_set(err, IST_NO_MEMORY, 0, "the sink", "the chunk store is full");
    *room -= size;
    return IST_OK;
}

static const char types[] = "{'a':'l!','s':'u','l':[{'x':'g'}],'t':'tsu:UTC','d':'d:9,2'}";
static const char first_rows[] = "[{'a':1,'s':'one','l':[{'x':0.5},null],'t':0,'d':'150'},{'a':2}]";
static const char second_rows[] = "[{'a':3,'s':'three'}]";
static const char expected_rows[] =
    "{'a':1,'s':'one','l':[{'x':0.5},null],'t':'1970-01-01T00:00:00Z','d':1.50}\n"
    "{'a':2,'s':null,'l':null,'t':null,'d':null}\n{'a':3,'s':'three','l':null,'t':null,'d':null}\n";

static void make_stream(struct ArrowArrayStream *out)
{
    struct ArrowSchema schema;
    struct ArrowArray batches[2];
    make_schema(types, &schema);
    make_batch(&schema, first_rows, &batches[0]);
    make_batch(&schema, second_rows, &batches[1]);
    assert_int_equal(ArrowBasicArrayStreamInit(out, &schema, 2), 0);
    ArrowBasicArrayStreamSetArray(out, 0, &batches[0]);
    ArrowBasicArrayStreamSetArray(out, 1, &batches[1]);
}

static void write_stream(ist_buffer *out)
{
    ist_error err = IST_ERROR_INIT;
    struct ArrowArrayStream stream;
    int64_t rows = -1;
    make_stream(&stream);
    assert_ok(ist__ipc_write(&stream, (ist__sink){out, append_sink}, &rows, &err), err);
    assert_null(stream.release);
    assert_int_equal(rows, 3);
}

static void count_free(void *self)
{
    ++*(int *)self;
}

static void test_shim_ipc__round_trip_without_copies(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer bytes = IST_BUFFER_INIT, rows = IST_BUFFER_INIT;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray first, second, end;
    int freed = 0;
    write_stream(&bytes);
    void *segment = NULL;
    assert_int_equal(posix_memalign(&segment, 64, bytes.size), 0);
    memcpy(segment, bytes.data, bytes.size);
    assert_ok(ist__ipc_read(segment, bytes.size, &freed, count_free, &stream, &err), err);
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    assert_int_equal(stream.get_next(&stream, &first), 0);
    assert_int_equal(stream.get_next(&stream, &second), 0);
    assert_int_equal(stream.get_next(&stream, &end), 0);
    assert_null(end.release);
    append_rows(&schema, &first, &rows);
    append_rows(&schema, &second, &rows);
    assert_text_rows(&rows, expected_rows);
    const char *values = first.children[0]->buffers[1];
    assert_true(values >= (char *)segment && values < (char *)segment + bytes.size);
    assert_int_equal((uintptr_t)values % 64, 0);
    stream.release(&stream);
    first.release(&first);
    assert_int_equal(freed, 0);
    second.release(&second);
    assert_int_equal(freed, 1);
    schema.release(&schema);
    free(segment);
    ist_buffer_free(&bytes);
}

/* Read all there is. */
static ist_status drain(const void *data, size_t size, int *freed, ist_error *err)
{
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    ist_status status = ist__ipc_read(data, size, freed, count_free, &stream, err);
    if (status != IST_OK)
        return status;
    int code;
    while ((code = stream.get_next(&stream, &batch)) == 0 && batch.release)
        batch.release(&batch);
    if (code)
        status = ist__stream_error(&stream, code, err);
    stream.release(&stream);
    return status;
}

static void test_shim_ipc__damaged_bytes_are_bad_input(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer bytes = IST_BUFFER_INIT;
    write_stream(&bytes);
    int refused = 0;
    for (size_t size = 0; size < bytes.size; size++) {
        char *part = malloc(size ? size : 1); /* as large as it is, for the sanitizer */
        memcpy(part, bytes.data, size);
        int freed = 0;
        ist_status status = drain(part, size, &freed, &err);
        assert_true(status == IST_OK || status == IST_BAD_INPUT); /* a stream may end after any whole message */
        refused += status == IST_BAD_INPUT;
        assert_int_equal(freed, 1);
        free(part);
    }
    assert_true(refused > (int)bytes.size * 9 / 10);
    for (size_t i = 0; i < bytes.size; i++) { /* no crash, whatever byte is wrong */
        char *copy = malloc(bytes.size);
        memcpy(copy, bytes.data, bytes.size);
        copy[i] ^= 0xFF;
        int freed = 0;
        drain(copy, bytes.size, &freed, &err);
        assert_int_equal(freed, 1);
        free(copy);
    }
    ist_buffer_free(&bytes);
}

static int failing_next(struct ArrowArrayStream *self, struct ArrowArray *out)
{
    (void)self;
    (void)out;
    return ENOENT;
}

static int failing_schema(struct ArrowArrayStream *self, struct ArrowSchema *out)
{
    (void)self;
    make_schema("{'a':'l'}", out);
    return 0;
}

static const char *failing_text(struct ArrowArrayStream *self)
{
    (void)self;
    return "the file was vacuumed";
}

static void failing_release(struct ArrowArrayStream *self)
{
    self->release = NULL;
}

static void test_shim_ipc__failures_come_through(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer bytes = IST_BUFFER_INIT;
    int64_t rows;
    struct ArrowArrayStream stream = {failing_schema, failing_next, failing_text, failing_release, NULL};
    assert_int_equal(ist__ipc_write(&stream, (ist__sink){&bytes, append_sink}, &rows, &err), IST_NOT_FOUND);
    assert_string_equal(err.message, "the file was vacuumed");
    assert_null(stream.release);
    ist_buffer_free(&bytes);

    write_stream(&bytes);
    for (size_t room = 0; room < bytes.size; room += 100) {
        size_t left = room;
        make_stream(&stream);
        ist_error_clear(&err);
        assert_int_equal(ist__ipc_write(&stream, (ist__sink){&left, full_sink}, &rows, &err), IST_NO_MEMORY);
        assert_string_equal(err.message, "the chunk store is full");
        assert_null(stream.release);
    }
    ist_buffer_free(&bytes);
}

static void test_shim_stream__status_survives_its_errno(void **state)
{
    (void)state;
    for (int status = IST_OK; status <= IST_INTERNAL; status++) {
        ist_error err = IST_ERROR_INIT;
        struct ArrowArrayStream stream = {NULL, NULL, failing_text, NULL, NULL};
        int code = ist__stream_errno((ist_status)status);
        assert_int_equal(code == 0, status == IST_OK);
        if (code)
            assert_int_equal(ist__stream_error(&stream, code, &err), status);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shim_ipc__round_trip_without_copies),
        cmocka_unit_test(test_shim_ipc__damaged_bytes_are_bad_input),
        cmocka_unit_test(test_shim_ipc__failures_come_through),
        cmocka_unit_test(test_shim_stream__status_survives_its_errno),
    };
    return run_group(tests, argc, argv);
}
