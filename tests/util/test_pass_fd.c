/* test_pass_fd.c: descriptors through a Unix socket. */
#include "testing.h"

#include "util/pass_fd.h"

#include <fcntl.h>
#include <sys/socket.h>

static void test_util_pass_fd__passes_a_descriptor(void **state)
{
    (void)state;
    int sockets[2], pipe_ends[2], received;
    char data[8];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(ist__send_fd(sockets[0], "one", 3, pipe_ends[0]), 3);
    assert_int_equal(ist__send_fd(sockets[0], "two", 3, -1), 3);
    assert_int_equal(ist__receive_fd(sockets[1], data, 3, &received), 3);
    assert_true(received >= 0);
    assert_int_equal(fcntl(received, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    assert_int_equal(read(received, data, 1), 1);
    close(received);
    assert_int_equal(ist__receive_fd(sockets[1], data, sizeof data, &received), 3);
    assert_int_equal(received, -1);
    close(sockets[0]);
    assert_int_equal(ist__receive_fd(sockets[1], data, sizeof data, &received), 0);
    assert_int_equal(ist__send_fd(sockets[1], "x", 1, -1), -1); /* and no SIGPIPE */
    close(sockets[1]);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_util_pass_fd__passes_a_descriptor),
    };
    return run_group(tests, argc, argv);
}
