/* worker_process.c: fork, exec, pidfd. */
#include "warehouse/worker_process.h"

#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHANNEL = 3, /* the worker's end of the socket */
    WORDS_MAX = 16,
    FILES_MAX = 1024, /* what programs expect; the server itself has more */
};

/* In the child, where only calls that are safe after fork may be made. Returns only where exec failed. */
static void become(char *const argv[], char *const envp[], int socket, int report, pid_t parent, uint64_t memory)
{
    static const int reset[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    sigset_t none;
    for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
        signal(reset[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C is for the server, which then ends its workers */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    struct rlimit files = {FILES_MAX, FILES_MAX}, data = {memory, memory}, core = {0, 0};
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &core); /* its memory holds other people's rows */
    if (memory)
        setrlimit(RLIMIT_DATA, &data);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(2, 1);
    /* Both descriptors may lie where the other must go: out of the way first. */
    report = fcntl(report, F_DUPFD_CLOEXEC, 10);
    socket = fcntl(socket, F_DUPFD, 11);
    dup2(socket, CHANNEL);
    syscall(SYS_close_range, CHANNEL + 1, (unsigned)report - 1, 0);
    syscall(SYS_close_range, (unsigned)report + 1, ~0u, 0);
    execvpe(argv[0], argv, envp);
    int code = errno;
    if (write(report, &code, sizeof code) < 0)
        _exit(126);
    _exit(127);
}

/* The environment with what keeps Python from importing out of the folder that the server runs in. */
static char **make_environment(void)
{
    static char safe[] = "PYTHONSAFEPATH=1";
    size_t count = 0;
    while (environ[count])
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy) {
        memcpy(copy, environ, count * sizeof *copy);
        copy[count] = safe;
    }
    return copy;
}

/* What exec failed with; 0 where it did not. */
static int read_report(int fd)
{
    int code = 0;
    ssize_t n;
    do
        n = read(fd, &code, sizeof code);
    while (n < 0 && errno == EINTR);
    return n == sizeof code ? code : 0;
}

static ist_status fork_worker(char *const argv[], int worker_end, uint64_t memory, ist__process *out, ist_error *err)
{
    int report[2];
    char **envp = make_environment();
    pid_t parent = getpid();
    if (!envp)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to start an engine");
    if (pipe2(report, O_CLOEXEC) != 0) {
        free(envp);
        return ist_error_set(err, IST_IO, errno, NULL, "cannot start an engine: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0)
        become(argv, envp, worker_end, report[1], parent, memory);
    int code = pid < 0 ? errno : 0;
    close(report[1]);
    free(envp);
    if (pid > 0) {
        out->pid = pid;
        code = read_report(report[0]);
        out->fd = code ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
        if (!code && out->fd < 0)
            code = errno;
        if (code) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    close(report[0]);
    if (code == 0) {
        fcntl(out->fd, F_SETFD, FD_CLOEXEC);
        return IST_OK;
    }
    return ist_error_set(err, code == ENOENT ? IST_NOT_FOUND : IST_IO, code, argv[0], "cannot start the engine %s: %s",
                         argv[0], strerror(code));
}

ist_status ist__process_start(const char *const *command, const char *kind, uint64_t memory, ist__process *out,
                              int *socket, ist_error *err)
{
    char *argv[WORDS_MAX + 4];
    int count = 0, ends[2];
    for (; command[count]; count++) {
        if (count == WORDS_MAX)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the engine's command has more than %d words", WORDS_MAX);
        argv[count] = (char *)(uintptr_t)command[count];
    }
    argv[count++] = (char *)(uintptr_t)kind;
    argv[count++] = (char[]){"--channel"};
    argv[count++] = (char[]){"3"};
    argv[count] = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot start an engine: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    ist_status status = fork_worker(argv, ends[1], memory, out, err);
    close(ends[1]);
    if (status != IST_OK)
        close(ends[0]);
    else
        *socket = ends[0];
    return status;
}

void ist__process_kill(const ist__process *process)
{
    if (process->pid > 0 && kill(-process->pid, SIGKILL) != 0) /* before it has made its group, it alone */
        kill(process->pid, SIGKILL);
}

bool ist__process_reap(ist__process *process, char words[64])
{
    siginfo_t info = {0};
    int status = 0;
    if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
        return false;
    kill(-process->pid, SIGKILL); /* what it leaves behind in its group, which keeps its number until it is reaped */
    pid_t got = waitpid(process->pid, &status, 0);
    if (got < 0)
        snprintf(words, 64, "is gone");
    else if (WIFSIGNALED(status))
        snprintf(words, 64, "was killed by signal %d", WTERMSIG(status));
    else
        snprintf(words, 64, "ended with status %d", WEXITSTATUS(status));
    process->pid = 0;
    return true;
}

uint64_t ist__process_memory(const ist__process *process)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *resident = strchr(text, ' '); /* the second number: pages in memory */
    return resident ? strtoull(resident + 1, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
