/* test_worker_channel.c: frames in pieces, descriptors in order, peers that go away. */
#include "testing.h"

#include "util/pass_fd.h"
#include "warehouse/worker_channel.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

typedef struct fixture {
    ist__channel channel;
    int peer;
    ist_error err;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    ist__channel_init(&f->channel, ends[0]);
    f->peer = ends[1];
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist__channel_close(&f->channel);
    if (f->peer >= 0)
        close(f->peer);
    free(f);
    return 0;
}

static void put(fixture *f, const void *bytes, size_t size, int fd)
{
    assert_int_equal(ist__send_fd(f->peer, bytes, size, fd), (ssize_t)size);
}

/* The next frame must be this; NULL: there is none. */
static void expect_frame(fixture *f, const char *expected)
{
    const char *frame;
    size_t size;
    assert_ok(ist__channel_next(&f->channel, &frame, &size, &f->err), f->err);
    if (!expected) {
        assert_null(frame);
        return;
    }
    assert_non_null(frame);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(frame, expected, size);
}

static bool receive(fixture *f)
{
    bool ended;
    assert_ok(ist__channel_receive(&f->channel, &ended, &f->err), f->err);
    return ended;
}

static void test_warehouse_worker_channel__frames_in_pieces(void **state)
{
    fixture *f = *state;
    static const char bytes[] = "\3\0\0\0abc\0\0\0\0\2\0\0\0de\1\0";
    for (size_t i = 0; i + 1 < sizeof bytes; i++) {
        put(f, bytes + i, 1, -1);
        assert_false(receive(f));
        expect_frame(f, i == 6 ? "abc" : i == 10 ? "" : i == 16 ? "de" : NULL);
    }
    put(f, "\0\0x", 3, -1);
    assert_false(receive(f));
    expect_frame(f, "x");
    expect_frame(f, NULL);
    close(f->peer);
    f->peer = -1;
    assert_true(receive(f));
}

static void test_warehouse_worker_channel__descriptors(void **state)
{
    fixture *f = *state;
    int fds[2] = {open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY)};
    put(f, "\1\0\0\0x", 5, -1);
    put(f, "\1\0\0\0a", 5, fds[0]);
    put(f, "\1\0\0\0b", 5, fds[1]);
    assert_false(receive(f));
    expect_frame(f, "x");
    expect_frame(f, "a");
    int first = ist__channel_take_fd(&f->channel), second = ist__channel_take_fd(&f->channel);
    char byte = 1;
    assert_int_equal(read(first, &byte, 1), 0);
    assert_int_equal(read(second, &byte, 1), 1);
    assert_int_equal(ist__channel_take_fd(&f->channel), -1);
    bool ended;
    for (int i = 0; i < IST__CHANNEL_FDS_MAX; i++) {
        put(f, "x", 1, fds[0]);
        assert_false(receive(f));
    }
    put(f, "x", 1, fds[0]); /* nobody asked for so many */
    assert_int_equal(ist__channel_receive(&f->channel, &ended, &f->err), IST_BAD_INPUT);
    close(first);
    close(second);
    close(fds[0]);
    close(fds[1]);
}

static void test_warehouse_worker_channel__too_long(void **state)
{
    fixture *f = *state;
    const char *frame;
    size_t size;
    put(f, "\1\0\0\4", 4, -1); /* 64 MiB and 1 */
    assert_false(receive(f));
    assert_int_equal(ist__channel_next(&f->channel, &frame, &size, &f->err), IST_BAD_INPUT);
    assert_int_equal(ist__channel_send(&f->channel, "", (size_t)IST__FRAME_MAX + 1, &f->err), IST_BAD_INPUT);
}

static void test_warehouse_worker_channel__sends_what_the_peer_takes(void **state)
{
    enum { SIZE = 4 << 20 };
    fixture *f = *state;
    char *text = malloc(SIZE), *got = malloc(SIZE + 4);
    memset(text, 'y', SIZE);
    assert_ok(ist__channel_send(&f->channel, text, SIZE, &f->err), f->err);
    assert_true(ist__channel_is_full(&f->channel));
    size_t have = 0;
    while (have < SIZE + 4) {
        ssize_t n = recv(f->peer, got + have, SIZE + 4 - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
        assert_ok(ist__channel_flush(&f->channel, &f->err), f->err);
    }
    assert_false(ist__channel_is_full(&f->channel));
    assert_memory_equal(got, "\0\0\x40\0", 4);
    assert_memory_equal(got + 4, text, SIZE);
    close(f->peer);
    f->peer = -1;
    assert_int_equal(ist__channel_send(&f->channel, "x", 1, &f->err), IST_IO);
    free(text);
    free(got);
}

int main(int argc, char **argv)
{
#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(test_warehouse_worker_channel__frames_in_pieces),
        WITH(test_warehouse_worker_channel__descriptors),
        WITH(test_warehouse_worker_channel__too_long),
        WITH(test_warehouse_worker_channel__sends_what_the_peer_takes),
    };
    return run_group(tests, argc, argv);
}
