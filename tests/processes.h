/*
 * processes.h: tests that need other processes. A test starts itself anew as `test_x --role ROLE ARGUMENT...`, so that
 * the processes share no state (and the sanitizers stay happy), and reads what they say line by line.
 */
#ifndef ISTHMUS_PROCESSES_H
#define ISTHMUS_PROCESSES_H

#include "testing.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

typedef struct child {
    pid_t pid;
    FILE *out;
} child;

#define spawn(...) spawn_role((const char *[]){"test", "--role", __VA_ARGS__, NULL})

static inline child spawn_role(const char *const *argv)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    child c = {.pid = fork()};
    if (c.pid == 0) {
        dup2(ends[1], 1);
        execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (c.pid < 0)
        abort();
    close(ends[1]);
    c.out = fdopen(ends[0], "r");
    return c;
}

static inline void read_line(const child *c, char *out, size_t size)
{
    if (!fgets(out, (int)size, c->out))
        fail_msg("the other process said nothing");
    out[strcspn(out, "\n")] = '\0';
}

static inline void expect_line(const child *c, const char *expected)
{
    char line[2048];
    read_line(c, line, sizeof line);
    assert_string_equal(line, expected);
}

/* The exit status, or minus the signal. */
static inline int reap(child *c)
{
    int status;
    if (waitpid(c->pid, &status, 0) != c->pid)
        abort();
    fclose(c->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void kill_child(child *c)
{
    kill(c->pid, SIGKILL);
    assert_int_equal(reap(c), -SIGKILL);
}

/* A line to whoever started this process. */
static inline void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

#endif
