/* test_exchange.c: the client against the server: puts and gets, limits, and the death of each of them at each step. */
#include "isthmus/exchange_server.h"

#include "exchange/exchange_client.h"
#include "processes.h"
#include "shim/ipc.h"

#include <nanoarrow/nanoarrow.h>

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MIB = 1 << 20 };

/* ---- Arrow --------------------------------------------------------------------------------------------------- */

static void check_nano(int code)
{
    if (code != 0)
        fail_msg("nanoarrow: %d", code);
}

/* A stream of one batch: the longs first, first + 1, ... */
static void make_stream(int64_t first, int64_t rows, struct ArrowArrayStream *out)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    ArrowSchemaInit(&schema);
    check_nano(ArrowSchemaSetTypeStruct(&schema, 1));
    check_nano(ArrowSchemaSetType(schema.children[0], NANOARROW_TYPE_INT64));
    check_nano(ArrowSchemaSetName(schema.children[0], "n"));
    check_nano(ArrowArrayInitFromSchema(&array, &schema, NULL));
    check_nano(ArrowArrayStartAppending(&array));
    for (int64_t i = 0; i < rows; i++) {
        check_nano(ArrowArrayAppendInt(array.children[0], first + i));
        check_nano(ArrowArrayFinishElement(&array));
    }
    check_nano(ArrowArrayFinishBuildingDefault(&array, NULL));
    check_nano(ArrowBasicArrayStreamInit(out, &schema, 1));
    ArrowBasicArrayStreamSetArray(out, 0, &array);
}

static int64_t *values_of(const struct ArrowArray *batch)
{
    return (int64_t *)batch->children[0]->buffers[1] + batch->offset;
}

static ist_status append_to_buffer(void *self, const void *data, size_t size, ist_error *err)
{
    return ist_buffer_append(self, data, size, err);
}

/* ---- the server, here and in another process ----------------------------------------------------------------- */

typedef struct fixture {
    char *folder;
    ist_buffer socket;
    ist_exchange_server *server;
    ist_exchange_client *client;
    ist_error err;
} fixture;

static ist_exchange_server_options options_of(const fixture *f)
{
    ist_exchange_server_options options = IST_EXCHANGE_SERVER_OPTIONS_INIT;
    options.socket_path = f->socket.data;
    options.memory_limit = 256 * MIB;
    return options;
}

/* A folder, a path for the socket, no server. */
static void set_up_folder(fixture *f)
{
    *f = (fixture){.folder = new_folder(), .err = IST_ERROR_INIT};
    assert_ok(ist_buffer_printf(&f->socket, &f->err, "%s/home/daemon.sock", f->folder), f->err);
}

static void start(fixture *f, const ist_exchange_server_options *options)
{
    assert_ok(ist_exchange_server_start(options, &f->server, &f->err), f->err);
    assert_ok(ist_exchange_client_open(f->socket.data, &f->client, &f->err), f->err);
}

static void set_up(fixture *f)
{
    set_up_folder(f);
    ist_exchange_server_options options = options_of(f);
    start(f, &options);
}

static void tear_down(fixture *f)
{
    ist_exchange_client_free(f->client);
    ist_exchange_server_stop(f->server);
    ist_buffer_free(&f->socket);
    remove_folder(f->folder);
}

static int64_t counter(fixture *f, const char *name)
{
    ist_buffer text = IST_BUFFER_INIT;
    char key[64];
    assert_ok(ist_exchange_counters(f->client, &text, &f->err), f->err);
    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *at = strstr(text.data, key);
    if (!at)
        fail_msg("no counter %s in %s", name, text.data);
    int64_t value = strtoll(at + strlen(key), NULL, 10);
    ist_buffer_free(&text);
    return value;
}

/* Deaths are noticed when the kernel tells the server: soon, but not at once. */
static void wait_for(fixture *f, const char *name, int64_t value)
{
    for (int i = 0; i < 1000; i++) {
        if (counter(f, name) == value)
            return;
        usleep(5000);
    }
    fail_msg("%s is %ld, not %ld", name, (long)counter(f, name), (long)value);
}

static ist_chunk_info put(fixture *f, const char *exchange, int64_t first, int64_t rows)
{
    struct ArrowArrayStream stream;
    ist_chunk_info info;
    make_stream(first, rows, &stream);
    assert_ok(ist_exchange_put(f->client, exchange, &stream, &info, &f->err), f->err);
    return info;
}

/* The one batch of a chunk. */
static void get(ist_exchange_client *client, const char *chunk, struct ArrowArray *out)
{
    struct ArrowArrayStream stream;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_exchange_get(client, chunk, &stream, &err), err);
    check_nano(stream.get_next(&stream, out));
    stream.release(&stream);
    assert_non_null(out->release);
}

static void expect_values(const struct ArrowArray *batch, int64_t first, int64_t rows)
{
    assert_int_equal(batch->length, rows);
    for (int64_t i = 0; i < rows; i++)
        if (values_of(batch)[i] != first + i)
            fail_msg("row %ld is %ld", (long)i, (long)values_of(batch)[i]);
}

static int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* The server's thread is in this process: it closes what it has passed a moment after the client has it. */
static void wait_for_open_files(int count)
{
    for (int i = 0; i < 1000 && open_files() != count; i++)
        usleep(5000);
    assert_int_equal(open_files(), count);
}

/* ---- the ordinary way ---------------------------------------------------------------------------------------- */

static void test_exchange__put_and_get(void **state)
{
    (void)state;
    int files = open_files();
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArray batch;
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    ist_chunk_info info = put(&f, id, 1000, 300000);
    assert_string_equal(info.exchange, id);
    assert_int_equal(info.rows, 300000);
    assert_true(info.bytes >= 300000 * 8);
    assert_false(info.spilled);
    get(f.client, info.id, &batch);
    expect_values(&batch, 1000, 300000);
    assert_int_equal(counter(&f, "memory_used"), (info.bytes + 4095) / 4096 * 4096);
    batch.release(&batch);
    assert_int_equal(counter(&f, "granted"), 1);
    assert_int_equal(counter(&f, "sealed"), 1);
    assert_int_equal(counter(&f, "mapped"), 1);
    assert_int_equal(counter(&f, "bytes_sealed"), info.bytes);
    assert_int_equal(counter(&f, "spill_writes"), 0);
    assert_int_equal(counter(&f, "spilled_bytes"), 0);
    assert_int_equal(counter(&f, "clients"), 1);
    assert_int_equal(counter(&f, "pid"), getpid());
    assert_ok(ist_exchange_free_chunk(f.client, info.id, &f.err), f.err);
    struct ArrowArrayStream stream;
    assert_int_equal(ist_exchange_get(f.client, info.id, &stream, &f.err), IST_NOT_FOUND);
    assert_int_equal(counter(&f, "memory_used"), 0);
    tear_down(&f);
    wait_for_open_files(files);
}

/* The bytes that a reader sees are the pages of the segment, not a copy. */
static void test_exchange__get_copies_nothing(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE], line[512];
    struct ArrowArray batch;
    bool found = false;
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    ist_chunk_info info = put(&f, id, 0, 100000);
    get(f.client, info.id, &batch);
    uintptr_t address = (uintptr_t)values_of(&batch);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && address >= from && address < to)
            found = strstr(line, "memfd:isthmus-chunk") && strstr(line, " r--p ");
    }
    fclose(maps);
    assert_true(found);
    batch.release(&batch);
    tear_down(&f);
}

static void test_exchange__writes_in_pieces(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    ist_chunk_writer *writer;
    ist_chunk_info info;
    ist_buffer bytes = IST_BUFFER_INIT;
    int64_t rows;
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    make_stream(5, 3000000, &stream); /* 24 MB: grows more than once */
    assert_ok(ist__ipc_write(&stream, (ist__sink){&bytes, append_to_buffer}, &rows, &f.err), f.err);
    assert_ok(ist_chunk_writer_open(f.client, id, 1, &writer, &f.err), f.err);
    size_t steps[] = {1, 10, 0, 65535, 65536, 65537, 100, 1 << 20, 63 << 10, 3};
    size_t at = 0;
    for (size_t i = 0; at < bytes.size; i++) {
        size_t step = steps[i % (sizeof steps / sizeof steps[0])];
        step = step < bytes.size - at ? step : bytes.size - at;
        assert_ok(ist_chunk_writer_write(writer, bytes.data + at, step, &f.err), f.err);
        at += step;
    }
    assert_ok(ist_chunk_writer_seal(writer, rows, &info, &f.err), f.err);
    assert_int_equal(info.bytes, bytes.size);
    assert_int_equal(ist_chunk_writer_write(writer, "x", 1, &f.err), IST_BAD_INPUT);
    assert_int_equal(ist_chunk_writer_seal(writer, rows, &info, &f.err), IST_BAD_INPUT);
    ist_chunk_writer_free(writer);
    get(f.client, info.id, &batch);
    expect_values(&batch, 5, 3000000);
    batch.release(&batch);
    /* Abandoned and empty ones. */
    assert_ok(ist_chunk_writer_open(f.client, id, 0, &writer, &f.err), f.err);
    assert_int_equal(ist_chunk_writer_seal(writer, 0, &info, &f.err), IST_BAD_INPUT);
    ist_chunk_writer_free(writer);
    assert_int_equal(counter(&f, "chunks"), 1);
    ist_buffer_free(&bytes);
    tear_down(&f);
}

static void test_exchange__garbage_is_bad_input(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArrayStream stream;
    ist_chunk_writer *writer;
    ist_chunk_info info;
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    assert_ok(ist_chunk_writer_open(f.client, id, 100, &writer, &f.err), f.err);
    assert_ok(ist_chunk_writer_write(writer, "this is not Arrow", 17, &f.err), f.err);
    assert_ok(ist_chunk_writer_seal(writer, 1, &info, &f.err), f.err);
    ist_chunk_writer_free(writer);
    int files = open_files();
    assert_int_equal(ist_exchange_get(f.client, info.id, &stream, &f.err), IST_BAD_INPUT);
    assert_non_null(strstr(f.err.message, info.id));
    wait_for_open_files(files);
    assert_ok(ist_exchange_free_chunk(f.client, info.id, &f.err), f.err);
    wait_for(&f, "memory_used", 0); /* it was unmapped */
    tear_down(&f);
}

static void test_exchange__arrays_outlive_chunk_and_client(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArray one, two;
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    ist_chunk_info info = put(&f, id, 7, 100000);
    get(f.client, info.id, &one);
    get(f.client, info.id, &two);
    assert_ok(ist_exchange_release(f.client, id, &f.err), f.err); /* frees the chunk */
    assert_int_equal(counter(&f, "chunks"), 0);
    assert_true(counter(&f, "memory_used") > 0);
    expect_values(&one, 7, 100000);
    one.release(&one);
    assert_true(counter(&f, "memory_used") > 0);
    ist_exchange_client_free(f.client);
    assert_ok(ist_exchange_client_open(f.socket.data, &f.client, &f.err), f.err);
    wait_for(&f, "clients", 1);
    assert_int_equal(counter(&f, "memory_used"), 0);
    expect_values(&two, 7, 100000);
    two.release(&two);
    tear_down(&f);
}

static void test_exchange__bad_ids(void **state)
{
    (void)state;
    fixture f;
    struct ArrowArrayStream stream;
    ist_chunk_info info;
    set_up(&f);
    const char *ids[] = {"", "x", "0189abcd-ef01-4345-8789-abcdef01234", "0189abcd-ef01-4345-8789-abcdef0123456",
                         "../../../../../../../../etc/passwd..", "0189abcd-ef01-4345-8789-abcdef012345"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(ist_exchange_get(f.client, ids[i], &stream, &f.err), IST_NOT_FOUND);
        assert_int_equal(ist_exchange_hold(f.client, ids[i], &f.err), IST_NOT_FOUND);
        assert_int_equal(ist_exchange_release(f.client, ids[i], &f.err), IST_NOT_FOUND);
        assert_int_equal(ist_exchange_free_chunk(f.client, ids[i], &f.err), IST_NOT_FOUND);
        make_stream(0, 10, &stream);
        assert_int_equal(ist_exchange_put(f.client, ids[i], &stream, &info, &f.err), IST_NOT_FOUND);
        assert_null(stream.release); /* taken */
    }
    tear_down(&f);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

static void test_exchange__over_the_limit(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArrayStream stream;
    ist_chunk_info info;
    set_up_folder(&f);
    ist_exchange_server_options options = options_of(&f);
    options.memory_limit = 4 * MIB;
    start(&f, &options);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    ist_chunk_info first = put(&f, id, 0, 400000); /* 3.05 MiB */
    make_stream(0, 400000, &stream);
    assert_int_equal(ist_exchange_put(f.client, id, &stream, &info, &f.err), IST_NO_MEMORY);
    assert_non_null(strstr(f.err.message, "of 4 MiB are in use"));
    assert_non_null(strstr(f.err.message, "--spill-dir"));
    assert_int_equal(counter(&f, "chunks"), 1); /* what was granted of the second is back */
    assert_ok(ist_exchange_free_chunk(f.client, first.id, &f.err), f.err);
    put(&f, id, 0, 400000);
    tear_down(&f);
}

static void test_exchange__spills_beyond_the_limit(void **state)
{
    (void)state;
    enum { COUNT = 12, ROWS = 100000 };
    int files = open_files();
    fixture f;
    char id[IST_ID_SIZE];
    ist_chunk_info chunks[COUNT];
    struct ArrowArray batch, held;
    set_up_folder(&f);
    ist_exchange_server_options options = options_of(&f);
    options.memory_limit = 4 * MIB;
    options.spill_dir = "spill";
    start(&f, &options);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    chunks[0] = put(&f, id, 0, ROWS);
    get(f.client, chunks[0].id, &held); /* a mapped one never goes */
    for (int i = 1; i < COUNT; i++) {
        chunks[i] = put(&f, id, i, ROWS);
        assert_true(counter(&f, "memory_used") <= 4 * MIB);
    }
    assert_true(counter(&f, "spill_writes") >= COUNT - 6);
    assert_true(counter(&f, "spill_used") == counter(&f, "spill_writes") * chunks[0].bytes);
    for (int i = 0; i < COUNT; i++) {
        get(f.client, chunks[i].id, &batch);
        expect_values(&batch, i, ROWS);
        batch.release(&batch);
    }
    held.release(&held);
    assert_ok(ist_exchange_release(f.client, id, &f.err), f.err);
    wait_for(&f, "memory_used", 0);
    assert_int_equal(counter(&f, "spill_used"), 0);
    tear_down(&f);
    wait_for_open_files(files);
}

static void test_exchange__spill_folder_unusable(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArrayStream stream;
    ist_chunk_info info;
    set_up_folder(&f);
    ist_exchange_server_options options = options_of(&f);
    options.memory_limit = 4 * MIB;
    options.spill_dir = "/proc/nowhere";
    start(&f, &options);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    ist_chunk_info first = put(&f, id, 3, 400000);
    make_stream(0, 400000, &stream);
    assert_int_equal(ist_exchange_put(f.client, id, &stream, &info, &f.err), IST_NO_MEMORY);
    assert_non_null(strstr(f.err.message, "/proc/nowhere"));
    struct ArrowArray batch;
    get(f.client, first.id, &batch);
    expect_values(&batch, 3, 400000);
    batch.release(&batch);
    tear_down(&f);
}

/* ---- deaths -------------------------------------------------------------------------------------------------- */

static void test_exchange__holder_dies(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    set_up(&f);
    child holder = spawn("hold", f.socket.data);
    read_line(&holder, id, sizeof id);
    expect_line(&holder, ""); /* the rest of the line that filled `id` */
    put(&f, id, 0, 1000); /* without a lease of our own */
    assert_int_equal(counter(&f, "chunks"), 1);
    kill_child(&holder);
    wait_for(&f, "exchanges", 0);
    assert_int_equal(counter(&f, "chunks"), 0);
    assert_int_equal(counter(&f, "memory_used"), 0);
    assert_int_equal(counter(&f, "leases"), 0);
    assert_int_equal(ist_exchange_hold(f.client, id, &f.err), IST_NOT_FOUND);
    tear_down(&f);
}

static void test_exchange__writer_dies(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    child writer = spawn("grant", f.socket.data, id);
    expect_line(&writer, "granted");
    assert_int_equal(counter(&f, "chunks"), 1);
    assert_true(counter(&f, "memory_used") >= 8 * MIB);
    kill_child(&writer);
    wait_for(&f, "chunks", 0);
    assert_int_equal(counter(&f, "memory_used"), 0);
    assert_int_equal(counter(&f, "exchanges"), 1);

    /* What it sealed before is the exchange's. */
    writer = spawn("put", f.socket.data, id, "1");
    char chunk[IST_ID_SIZE];
    read_line(&writer, chunk, sizeof chunk);
    assert_int_equal(reap(&writer), 0);
    struct ArrowArray batch;
    get(f.client, chunk, &batch);
    expect_values(&batch, 0, 1000);
    batch.release(&batch);
    tear_down(&f);
}

static void test_exchange__reader_dies(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    ist_chunk_info info = put(&f, id, 0, 1000);
    child reader = spawn("map", f.socket.data, info.id);
    expect_line(&reader, "mapped");
    assert_ok(ist_exchange_free_chunk(f.client, info.id, &f.err), f.err);
    assert_true(counter(&f, "memory_used") > 0);
    kill_child(&reader);
    wait_for(&f, "memory_used", 0);
    tear_down(&f);
}

static void test_exchange__daemon_dies(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    struct ArrowArray batch;
    struct ArrowArrayStream stream;
    ist_chunk_writer *writer;
    ist_chunk_info info;
    ist_buffer counters = IST_BUFFER_INIT;
    set_up_folder(&f);
    child server = spawn("serve", f.socket.data);
    expect_line(&server, "serving");
    assert_ok(ist_exchange_client_open(f.socket.data, &f.client, &f.err), f.err);
    assert_true(ist_exchange_client_alive(f.client));
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    info = put(&f, id, 9, 100000);
    get(f.client, info.id, &batch);
    assert_ok(ist_chunk_writer_open(f.client, id, 0, &writer, &f.err), f.err);
    kill_child(&server);

    assert_false(ist_exchange_client_alive(f.client));
    assert_ok(ist_chunk_writer_write(writer, "x", 1, &f.err), f.err); /* the segment is still ours */
    assert_int_equal(ist_chunk_writer_seal(writer, 1, &info, &f.err), IST_RETRYABLE);
    assert_non_null(strstr(f.err.message, "went away"));
    ist_chunk_writer_free(writer);
    make_stream(0, 10, &stream);
    assert_int_equal(ist_exchange_put(f.client, id, &stream, &info, &f.err), IST_RETRYABLE);
    assert_int_equal(ist_exchange_get(f.client, info.id, &stream, &f.err), IST_RETRYABLE);
    assert_int_equal(ist_exchange_counters(f.client, &counters, &f.err), IST_RETRYABLE);
    expect_values(&batch, 9, 100000); /* a mapped reader keeps its data */
    batch.release(&batch);
    ist_exchange_client_free(f.client);
    assert_int_equal(ist_exchange_client_open(f.socket.data, &f.client, &f.err), IST_NOT_FOUND);

    /* The next one takes over the stale socket, and knows nothing of the old exchange. */
    ist_exchange_server_options options = options_of(&f);
    start(&f, &options);
    assert_int_equal(ist_exchange_hold(f.client, id, &f.err), IST_NOT_FOUND);
    tear_down(&f);
}

/* Daemon killed while many write: each put succeeds or is retryable, and nobody hangs. */
static void test_exchange__daemon_dies_under_load(void **state)
{
    (void)state;
    enum { WRITERS = 4 };
    fixture f;
    char id[IST_ID_SIZE];
    child writers[WRITERS];
    set_up_folder(&f);
    child server = spawn("serve", f.socket.data);
    expect_line(&server, "serving");
    assert_ok(ist_exchange_client_open(f.socket.data, &f.client, &f.err), f.err);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = spawn("put_forever", f.socket.data, id);
        expect_line(&writers[i], "writing");
    }
    kill_child(&server);
    for (int i = 0; i < WRITERS; i++) {
        expect_line(&writers[i], "retryable");
        assert_int_equal(reap(&writers[i]), 0);
    }
    ist_exchange_client_free(f.client);
    f.client = NULL;
    tear_down(&f);
}

static void test_exchange__no_daemon(void **state)
{
    (void)state;
    fixture f;
    set_up_folder(&f);
    assert_int_equal(ist_exchange_client_open(f.socket.data, &f.client, &f.err), IST_NOT_FOUND);
    assert_non_null(strstr(f.err.message, "start one with: isthmus daemon"));
    assert_non_null(strstr(f.err.message, f.socket.data));
    ist_buffer_free(&f.socket);
    for (int i = 0; i < 20; i++)
        ist_buffer_append_string(&f.socket, "/longer", NULL);
    assert_int_equal(ist_exchange_client_open(f.socket.data, &f.client, &f.err), IST_BAD_INPUT);
    ist_exchange_server_options options = options_of(&f);
    assert_int_equal(ist_exchange_server_start(&options, &f.server, &f.err), IST_BAD_INPUT);
    f.client = NULL;
    tear_down(&f);
}

static void test_exchange__only_one_daemon(void **state)
{
    (void)state;
    fixture f;
    char pid[64];
    ist_exchange_server *second;
    set_up_folder(&f);
    child server = spawn("serve", f.socket.data);
    expect_line(&server, "serving");
    ist_exchange_server_options options = options_of(&f);
    assert_int_equal(ist_exchange_server_start(&options, &second, &f.err), IST_ALREADY_EXISTS);
    snprintf(pid, sizeof pid, "(process %d)", (int)server.pid);
    assert_non_null(strstr(f.err.message, pid));
    assert_ok(ist_exchange_client_open(f.socket.data, &f.client, &f.err), f.err); /* and the first still serves */
    assert_int_equal(counter(&f, "pid"), server.pid);
    kill_child(&server);
    tear_down(&f);
}

static void test_exchange__socket_is_private(void **state)
{
    (void)state;
    fixture f;
    struct stat file;
    ist_buffer folder = IST_BUFFER_INIT;
    set_up(&f);
    assert_int_equal(stat(f.socket.data, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 07777, 0600);
    ist_buffer_printf(&folder, NULL, "%s/home", f.folder);
    assert_int_equal(stat(folder.data, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0700);
    ist_buffer_free(&folder);
    if (geteuid() == 0) { /* only root can play another user */
        child nobody = spawn("nobody", f.socket.data);
        expect_line(&nobody, "forbidden");
        assert_int_equal(reap(&nobody), 0);
        assert_int_equal(chmod(f.socket.data, 0666), 0);
        ist_buffer_printf(&folder, NULL, "%s/home", f.folder);
        assert_int_equal(chmod(folder.data, 0755), 0);
        assert_int_equal(chmod(f.folder, 0755), 0);
        nobody = spawn("nobody", f.socket.data);
        expect_line(&nobody, "forbidden: the daemon belongs to another user");
        assert_int_equal(reap(&nobody), 0);
        ist_buffer_free(&folder);
    }
    tear_down(&f);
}

static void test_exchange__after_fork(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    set_up(&f);
    child parent = spawn("fork", f.socket.data);
    read_line(&parent, id, sizeof id);
    expect_line(&parent, ""); /* the rest of the line that filled `id` */
    expect_line(&parent, "refused");
    assert_ok(ist_exchange_hold(f.client, id, &f.err), f.err);
    assert_ok(ist_exchange_release(f.client, id, &f.err), f.err);
    /* Now the parent dies; its child lives on, but does not keep the lease. */
    kill(parent.pid, SIGKILL);
    wait_for(&f, "exchanges", 0);
    reap(&parent);
    tear_down(&f);
}

/* ---- hostile and foreign peers ------------------------------------------------------------------------------- */

static int raw_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static void receive_exactly(int socket, void *data, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t n = recv(socket, (char *)data + have, size - have, 0);
        if (n <= 0)
            fail_msg("the server sent only %zu of %zu bytes", have, size);
        have += (size_t)n;
    }
}

/* The failure that the server answers, then the end of the connection. */
static void expect_refusal(int socket, ist_status status)
{
    uint8_t bytes[IST__WIRE_HEADER_SIZE], payload[4096];
    ist__wire_header header;
    ist__message message;
    ist_error err = IST_ERROR_INIT;
    receive_exactly(socket, bytes, sizeof bytes);
    assert_ok(ist__wire_decode_header(bytes, &header, &err), err);
    receive_exactly(socket, payload, header.size);
    assert_ok(ist__wire_decode(&header, payload, &message, &err), err);
    assert_true(header.flags & IST__WIRE_FAILED);
    assert_int_equal(message.error.status, status);
    assert_true(recv(socket, bytes, 1, 0) <= 0);
    close(socket);
}

static void test_exchange__refuses_nonsense(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    int socket = raw_connect(f.socket.data);
    assert_int_equal(send(socket, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, 0), 27);
    expect_refusal(socket, IST_BAD_INPUT);

    socket = raw_connect(f.socket.data);
    uint8_t huge[IST__WIRE_HEADER_SIZE] = {'I', 'S', 'T', 'H', IST__WIRE_VERSION, 0, 1, 0, 0, 0, 0, 0, 255, 255, 255, 255};
    assert_int_equal(send(socket, huge, sizeof huge, 0), sizeof huge);
    expect_refusal(socket, IST_BAD_INPUT);

    socket = raw_connect(f.socket.data);
    uint8_t newer[IST__WIRE_HEADER_SIZE] = {'I', 'S', 'T', 'H', IST__WIRE_VERSION + 1, 0, 1, 0};
    assert_int_equal(send(socket, newer, sizeof newer, 0), sizeof newer);
    expect_refusal(socket, IST_UNSUPPORTED);

    socket = raw_connect(f.socket.data);
    uint8_t answer[IST__WIRE_HEADER_SIZE] = {'I', 'S', 'T', 'H', IST__WIRE_VERSION, 0, 3, 0, 1};
    assert_int_equal(send(socket, answer, sizeof answer, 0), sizeof answer);
    expect_refusal(socket, IST_BAD_INPUT);
    wait_for(&f, "clients", 1);
    tear_down(&f);
}

/* Clients that stop in the middle of a frame, or never take an answer, do not keep others waiting. */
static void test_exchange__stalled_clients_block_nobody(void **state)
{
    (void)state;
    fixture f;
    char id[IST_ID_SIZE];
    ist_buffer frame = IST_BUFFER_INIT;
    set_up(&f);
    int half = raw_connect(f.socket.data), deaf = raw_connect(f.socket.data);
    uint8_t header[IST__WIRE_HEADER_SIZE] = {'I', 'S', 'T', 'H', IST__WIRE_VERSION, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0, 4};
    assert_int_equal(send(half, header, sizeof header, 0), sizeof header); /* announces 64 MB, sends none */
    ist__message request = {.op = IST__WIRE_COUNTERS, .request = 1};
    assert_ok(ist__wire_encode(&request, &frame, &f.err), f.err);
    size_t sent = 0;
    for (int quiet = 0; quiet < 50;) { /* until the server no longer reads */
        ssize_t n = send(deaf, frame.data, frame.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            sent++;
            quiet = 0;
        } else {
            quiet++;
            usleep(1000);
        }
    }
    assert_true(sent > 100);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    for (int i = 0; i < 20; i++)
        put(&f, id, i, 1000);
    assert_int_equal(counter(&f, "clients"), 3);
    close(half);
    close(deaf);
    wait_for(&f, "clients", 1);
    ist_buffer_free(&frame);
    tear_down(&f);
}

static void *serve_another_version(void *listener)
{
    int socket = accept(*(int *)listener, NULL, NULL);
    uint8_t bytes[4096] = {'I', 'S', 'T', 'H', 9, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    if (send(socket, bytes, IST__WIRE_HEADER_SIZE, 0) < 0 || recv(socket, bytes, sizeof bytes, 0) < 0)
        perror("serve_another_version");
    close(socket);
    return NULL;
}

static void test_exchange__daemon_of_another_version(void **state)
{
    (void)state;
    fixture f;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    set_up_folder(&f);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/other.sock", f.folder);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_another_version, &listener), 0);
    assert_int_equal(ist_exchange_client_open(address.sun_path, &f.client, &f.err), IST_UNSUPPORTED);
    assert_non_null(strstr(f.err.message, "version 9"));
    pthread_join(thread, NULL);
    close(listener);
    f.client = NULL;
    tear_down(&f);
}

static void test_exchange__takes_so_many_clients(void **state)
{
    (void)state;
    fixture f;
    ist_exchange_client *second, *third;
    set_up_folder(&f);
    ist_exchange_server_options options = options_of(&f);
    options.max_clients = 2;
    start(&f, &options);
    assert_ok(ist_exchange_client_open(f.socket.data, &second, &f.err), f.err);
    assert_int_equal(ist_exchange_client_open(f.socket.data, &third, &f.err), IST_RETRYABLE);
    assert_non_null(strstr(f.err.message, "max_clients"));
    ist_exchange_client_free(second);
    wait_for(&f, "clients", 1);
    assert_ok(ist_exchange_client_open(f.socket.data, &third, &f.err), f.err);
    ist_exchange_client_free(third);
    tear_down(&f);
}

/* ---- many at once -------------------------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    fixture *f;
    const char *exchange;
    int number;
} worker;

static void *put_and_get_many(void *self)
{
    worker *w = self;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    ist_chunk_info info;
    ist_error err = IST_ERROR_INIT;
    for (int i = 0; i < 20; i++) {
        int64_t first = w->number * 1000 + i;
        make_stream(first, 5000, &stream);
        assert_ok(ist_exchange_put(w->f->client, w->exchange, &stream, &info, &err), err);
        get(w->f->client, info.id, &batch);
        expect_values(&batch, first, 5000);
        batch.release(&batch);
        if (i % 2)
            assert_ok(ist_exchange_free_chunk(w->f->client, info.id, &err), err);
    }
    return NULL;
}

static void test_exchange__threads_share_a_client(void **state)
{
    (void)state;
    enum { COUNT = 16 };
    fixture f;
    char id[IST_ID_SIZE];
    worker workers[COUNT];
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    for (int i = 0; i < COUNT; i++) {
        workers[i] = (worker){.f = &f, .exchange = id, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, put_and_get_many, &workers[i]), 0);
    }
    for (int i = 0; i < COUNT; i++)
        pthread_join(workers[i].thread, NULL);
    assert_int_equal(counter(&f, "sealed"), COUNT * 20);
    assert_int_equal(counter(&f, "chunks"), COUNT * 10);
    assert_ok(ist_exchange_release(f.client, id, &f.err), f.err);
    wait_for(&f, "memory_used", 0);
    tear_down(&f);
}

static void test_exchange__many_processes_write(void **state)
{
    (void)state;
    enum { PROCESSES = 16, CHUNKS = 25 };
    int files = open_files();
    fixture f;
    char id[IST_ID_SIZE], chunk[IST_ID_SIZE + 1];
    child writers[PROCESSES];
    struct ArrowArray batch;
    set_up(&f);
    assert_ok(ist_exchange_create(f.client, id, &f.err), f.err);
    for (int i = 0; i < PROCESSES; i++)
        writers[i] = spawn("put", f.socket.data, id, "25");
    for (int i = 0; i < PROCESSES; i++) {
        for (int n = 0; n < CHUNKS; n++) {
            read_line(&writers[i], chunk, sizeof chunk);
            get(f.client, chunk, &batch);
            expect_values(&batch, n, 1000);
            batch.release(&batch);
        }
        assert_int_equal(reap(&writers[i]), 0);
    }
    wait_for(&f, "clients", 1);
    assert_int_equal(counter(&f, "chunks"), PROCESSES * CHUNKS);
    assert_ok(ist_exchange_release(f.client, id, &f.err), f.err);
    assert_int_equal(counter(&f, "chunks"), 0);
    wait_for(&f, "memory_used", 0);
    tear_down(&f);
    wait_for_open_files(files);
}

/* ---- commits ------------------------------------------------------------------------------------------------- */

/* Answers from a thread of its own: version 5 for app "good", a failure for every other. */
static void *answer_commit(void *self)
{
    ist_commit_request *request = self;
    const ist_commit_member *member = ist_commit_request_member(request);
    ist_commit_result result = {.outcome = IST_COMMIT_COMMITTED, .version = 5, .attempts = 1, .files = 2, .rows = 30};
    ist_error error = IST_ERROR_INIT;
    if (strcmp(member->app_id, "slow") == 0)
        usleep(200000);
    if (strcmp(member->app_id, "good") == 0 && strcmp(member->table_uri, "file:///t") == 0 &&
        strcmp(member->context, "{}") == 0 && member->actions_size == 3 && !member->engine) {
        ist_commit_request_count(request, 7);
        ist_commit_request_answer(request, IST_OK, &result, NULL);
    } else {
        ist_commit_request_answer(request, ist_error_set(&error, IST_CONFLICT, 0, "v6", "no"), NULL, &error);
    }
    return NULL;
}

static void on_commit(ist_commit_request *request, void *payload)
{
    (void)payload;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_commit, request), 0);
    pthread_detach(thread);
}

static void test_exchange__commits_go_through(void **state)
{
    (void)state;
    fixture f;
    set_up_folder(&f);
    ist_exchange_server_options options = options_of(&f);
    options.commit = on_commit;
    start(&f, &options);
    ist_commit_result result;
    ist_commit_member member = {"file:///t", "main.a.t", "{}", "abc", 3, "good", NULL, NULL};
    assert_ok(ist_commit_group(f.client, &member, &result, &f.err), f.err);
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_int_equal(result.version, 5);
    assert_int_equal(result.rows, 30);
    member.app_id = "bad";
    assert_int_equal(ist_commit_group(f.client, &member, &result, &f.err), IST_CONFLICT);
    assert_string_equal(f.err.message, "commit to main.a.t: no");
    assert_string_equal(f.err.where, "v6");
    member.app_id = NULL;
    assert_int_equal(ist_commit_group(f.client, &member, &result, &f.err), IST_BAD_INPUT);
    /* Too large for a frame: said here, and the connection goes on. */
    member.app_id = "good";
    member.actions_size = IST__WIRE_PAYLOAD_MAX;
    char *large = malloc(member.actions_size + 1);
    memset(large, ' ', member.actions_size);
    large[member.actions_size] = '\0';
    member.actions = large;
    assert_int_equal(ist_commit_group(f.client, &member, &result, &f.err), IST_BAD_INPUT);
    member.actions_size -= 4096;
    assert_int_equal(ist_commit_group(f.client, &member, &result, &f.err), IST_CONFLICT);
    free(large);
    assert_int_equal(counter(&f, "commits"), 1);
    assert_int_equal(counter(&f, "commit_members"), 7);
    tear_down(&f);
}

/* The client of a commit vanishes before the answer. */
static void test_exchange__commit_of_a_dead_client(void **state)
{
    (void)state;
    fixture f;
    set_up_folder(&f);
    ist_exchange_server_options options = options_of(&f);
    options.commit = on_commit;
    start(&f, &options);
    child committer = spawn("commit", f.socket.data);
    expect_line(&committer, "committing");
    usleep(50000);
    kill_child(&committer);
    wait_for(&f, "clients", 1);
    usleep(300000); /* the answer comes, and finds nobody */
    assert_int_equal(counter(&f, "clients"), 1);
    tear_down(&f);
}

static void test_exchange__commits_refused_without_a_committer(void **state)
{
    (void)state;
    fixture f;
    ist_commit_result result;
    ist_commit_member member = {"file:///t", NULL, "{}", "abc", 3, "good", NULL, NULL};
    set_up(&f);
    assert_int_equal(ist_commit_group(f.client, &member, &result, &f.err), IST_UNSUPPORTED);
    assert_string_equal(f.err.message, "commit to file:///t: this daemon takes no commits");
    tear_down(&f);
}

/* ---- the other processes ------------------------------------------------------------------------------------- */

static void forked_child(ist_exchange_client *client)
{
    ist_error err = IST_ERROR_INIT;
    char id[IST_ID_SIZE];
    ist_status status = ist_exchange_create(client, id, &err);
    bool told = strstr(err.message, "belongs to process") && strstr(err.message, "open a new one");
    bool refused = status == IST_BAD_INPUT && told && !ist_exchange_client_alive(client);
    say(refused ? "refused" : "not refused");
    ist_exchange_client_free(client);
    sleep(5);
    _exit(0);
}

static int run_role(const char *role, const char *socket, const char *argument, const char *second)
{
    alarm(60);
    ist_error err = IST_ERROR_INIT;
    ist_exchange_client *client = NULL;
    struct ArrowArrayStream stream;
    ist_chunk_info info;
    char id[IST_ID_SIZE];
    if (strcmp(role, "serve") == 0) {
        ist_exchange_server_options options = IST_EXCHANGE_SERVER_OPTIONS_INIT;
        ist_exchange_server *server;
        options.socket_path = socket;
        options.memory_limit = 256 * MIB;
        assert_ok(ist_exchange_server_start(&options, &server, &err), err);
        say("serving");
        for (;;)
            pause();
    }
    if (strcmp(role, "nobody") == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            return 1;
        ist_status status = ist_exchange_client_open(socket, &client, &err);
        say(status != IST_FORBIDDEN ? ist_status_name(status)
            : strstr(err.message, "belongs to another user")
                ? "forbidden: the daemon belongs to another user"
                : "forbidden");
        return 0;
    }
    assert_ok(ist_exchange_client_open(socket, &client, &err), err);
    if (strcmp(role, "hold") == 0 || strcmp(role, "fork") == 0) {
        assert_ok(ist_exchange_create(client, id, &err), err);
        printf("%s\n", id);
        fflush(stdout);
        if (strcmp(role, "fork") == 0 && fork() == 0)
            forked_child(client);
        pause();
    } else if (strcmp(role, "grant") == 0) {
        ist_chunk_writer *writer;
        char *data = calloc(1, 8 * MIB);
        assert_ok(ist_chunk_writer_open(client, argument, 0, &writer, &err), err);
        assert_ok(ist_chunk_writer_write(writer, data, 8 * MIB, &err), err);
        say("granted");
        pause();
    } else if (strcmp(role, "put") == 0) {
        for (int i = 0; i < atoi(second); i++) {
            make_stream(i, 1000, &stream);
            assert_ok(ist_exchange_put(client, argument, &stream, &info, &err), err);
            say(info.id);
        }
    } else if (strcmp(role, "put_forever") == 0) {
        ist_status status = IST_OK;
        for (int i = 0; status == IST_OK; i++) {
            make_stream(i, 1000, &stream);
            status = ist_exchange_put(client, argument, &stream, &info, &err);
            if (status == IST_OK)
                status = ist_exchange_free_chunk(client, info.id, &err);
            if (i == 3)
                say("writing");
        }
        say(ist_status_name(status));
    } else if (strcmp(role, "map") == 0) {
        assert_ok(ist_exchange_get(client, argument, &stream, &err), err);
        say("mapped");
        pause();
    } else if (strcmp(role, "commit") == 0) {
        ist_commit_result result;
        ist_commit_member member = {"file:///t", NULL, "{}", "abc", 3, "slow", NULL, NULL};
        say("committing");
        ist_commit_group(client, &member, &result, &err);
        pause();
    }
    ist_exchange_client_free(client);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--role") == 0)
        return run_role(argv[2], argv[3], argc > 4 ? argv[4] : "", argc > 5 ? argv[5] : "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange__put_and_get),
        cmocka_unit_test(test_exchange__get_copies_nothing),
        cmocka_unit_test(test_exchange__writes_in_pieces),
        cmocka_unit_test(test_exchange__garbage_is_bad_input),
        cmocka_unit_test(test_exchange__arrays_outlive_chunk_and_client),
        cmocka_unit_test(test_exchange__bad_ids),
        cmocka_unit_test(test_exchange__over_the_limit),
        cmocka_unit_test(test_exchange__spills_beyond_the_limit),
        cmocka_unit_test(test_exchange__spill_folder_unusable),
        cmocka_unit_test(test_exchange__holder_dies),
        cmocka_unit_test(test_exchange__writer_dies),
        cmocka_unit_test(test_exchange__reader_dies),
        cmocka_unit_test(test_exchange__daemon_dies),
        cmocka_unit_test(test_exchange__daemon_dies_under_load),
        cmocka_unit_test(test_exchange__no_daemon),
        cmocka_unit_test(test_exchange__only_one_daemon),
        cmocka_unit_test(test_exchange__socket_is_private),
        cmocka_unit_test(test_exchange__after_fork),
        cmocka_unit_test(test_exchange__refuses_nonsense),
        cmocka_unit_test(test_exchange__stalled_clients_block_nobody),
        cmocka_unit_test(test_exchange__daemon_of_another_version),
        cmocka_unit_test(test_exchange__takes_so_many_clients),
        cmocka_unit_test(test_exchange__threads_share_a_client),
        cmocka_unit_test(test_exchange__many_processes_write),
        cmocka_unit_test(test_exchange__commits_go_through),
        cmocka_unit_test(test_exchange__commit_of_a_dead_client),
        cmocka_unit_test(test_exchange__commits_refused_without_a_committer),
    };
    return run_group(tests, argc, argv);
}
