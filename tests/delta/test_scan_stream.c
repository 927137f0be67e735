/* test_scan_stream.c: one stream over many files, by the reader alone and by threads that read ahead. */
#include "delta/rows.h"
#include "isthmus/scan.h"
#include "isthmus/sys/storage.h"
#include "isthmus/transaction.h"

#include <errno.h>

enum { ROWS = 250000, FILES = 8 }; /* 2 MB each, which is worth three threads */

static double total; /* of all values */

static void write_file(ist_store *store, double *numbers)
{
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    ist_transaction *transaction;
    ist_writer *writer;
    ist_commit_result result;
    ist_buffer context = IST_BUFFER_INIT, actions = IST_BUFFER_INIT;
    column columns[] = {{"x", NANOARROW_TYPE_DOUBLE, numbers, NULL}};
    rows_schema(columns, 1, &schema);
    rows_stream(columns, 1, ROWS, &stream);
    assert_ok(ist_transaction_begin(store, NULL, &schema, &transaction, &err), err);
    assert_ok(ist_transaction_write_context(transaction, &context, &err), err);
    assert_ok(ist_writer_open(store, context.data, &writer, &err), err);
    assert_ok(ist_writer_write(writer, &stream, &err), err);
    assert_ok(ist_writer_finish(writer, &actions, &err), err);
    assert_ok(ist_transaction_add(transaction, context.data, actions.data, actions.size, &err), err);
    assert_ok(ist_transaction_commit(transaction, &result, &err), err);
    ist_writer_free(writer);
    ist_transaction_free(transaction);
    ist_buffer_free(&context);
    ist_buffer_free(&actions);
    schema.release(&schema);
}

/* A table of values that do not compress; those of file f are in [f, f + 1). */
static ist_store *make_table(void)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    uint64_t random = 1;
    double *numbers = malloc(ROWS * sizeof *numbers);
    assert_ok(ist_store_open_memory(&store, &err), err);
    total = 0;
    for (int f = 0; f < FILES; f++) {
        for (int i = 0; i < ROWS; i++) {
            random = random * UINT64_C(6364136223846793005) + 1;
            numbers[i] = f + (double)(random >> 24) / (double)(UINT64_C(1) << 40);
            total += numbers[i];
        }
        write_file(store, numbers);
    }
    free(numbers);
    return store;
}

/* Read to the end or a failure, which is returned. Are the values of each batch after those of the one before it? */
static int read_all(struct ArrowArrayStream *stream, int64_t *rows, double *sum, bool *in_order)
{
    struct ArrowArray batch;
    double last = 0;
    int code;
    *rows = 0;
    *sum = 0;
    *in_order = true;
    while ((code = stream->get_next(stream, &batch)) == 0 && batch.release) {
        const double *values = (const double *)batch.children[0]->buffers[1] + batch.children[0]->offset;
        for (int64_t i = 0; i < batch.length; i++)
            *sum += values[i];
        *in_order = *in_order && (int)values[0] >= (int)last;
        last = values[0];
        *rows += batch.length;
        batch.release(&batch);
    }
    return code;
}

static void open_scan(ist_store *store, uint32_t threads, ist_snapshot **snapshot, ist_scan **scan)
{
    ist_error err = IST_ERROR_INIT;
    ist_scan_options options = IST_SCAN_OPTIONS_INIT;
    options.threads = threads;
    assert_ok(ist_snapshot_open(store, NULL, snapshot, &err), err);
    assert_ok(ist_scan_open(*snapshot, &options, scan, &err), err);
}

static void test_delta_scan_stream__threads(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = make_table();
    for (uint32_t threads = 0; threads <= 3; threads++) {
        ist_snapshot *snapshot;
        ist_scan *scan;
        struct ArrowArrayStream stream;
        int64_t rows;
        double sum;
        bool in_order;
        open_scan(store, threads, &snapshot, &scan);
        assert_ok(ist_scan_read(scan, store, &stream, &err), err);
        assert_int_equal(read_all(&stream, &rows, &sum, &in_order), 0);
        assert_int_equal(rows, (int64_t)ROWS * FILES);
        assert_true(sum > total - 1 && sum < total + 1);
        if (threads <= 1)
            assert_true(in_order);
        stream.release(&stream);
        ist_scan_free(scan);
        ist_snapshot_free(snapshot);
    }
    ist_store_free(store);
}

/* Released at the first batch, and before it: the threads end, and what they have read is freed. */
static void test_delta_scan_stream__released_early(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = make_table();
    ist_snapshot *snapshot;
    ist_scan *scan;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    open_scan(store, 3, &snapshot, &scan);
    assert_ok(ist_scan_read(scan, store, &stream, &err), err);
    stream.release(&stream);
    assert_ok(ist_scan_read(scan, store, &stream, &err), err);
    assert_int_equal(stream.get_next(&stream, &batch), 0);
    stream.release(&stream);
    assert_int_equal(batch.length, 65536); /* a batch outlives its stream */
    batch.release(&batch);
    ist_scan_free(scan);
    ist_snapshot_free(snapshot);
    ist_store_free(store);
}

static bool find_file(const ist_store_entry *entry, void *payload)
{
    if (!strstr(entry->path, ".parquet"))
        return true;
    snprintf(payload, 256, "%s", entry->path);
    return false;
}

/* A file is gone: the stream tells which, with threads as without. */
static void test_delta_scan_stream__a_failure_ends_it(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_store *store = make_table();
    char gone[256] = "";
    assert_ok(ist_store_list(store, "", NULL, find_file, gone, &err), err);
    assert_ok(ist_store_delete(store, gone, &err), err);
    for (uint32_t threads = 0; threads <= 3; threads += 3) {
        ist_snapshot *snapshot;
        ist_scan *scan;
        struct ArrowArrayStream stream;
        int64_t rows;
        double sum;
        bool in_order;
        open_scan(store, threads, &snapshot, &scan);
        assert_ok(ist_scan_read(scan, store, &stream, &err), err);
        assert_int_equal(read_all(&stream, &rows, &sum, &in_order), ENOENT);
        assert_non_null(strstr(stream.get_last_error(&stream), gone));
        stream.release(&stream);
        ist_scan_free(scan);
        ist_snapshot_free(snapshot);
    }
    ist_store_free(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_scan_stream__threads),
        cmocka_unit_test(test_delta_scan_stream__released_early),
        cmocka_unit_test(test_delta_scan_stream__a_failure_ends_it),
    };
    return run_group(tests, argc, argv);
}
