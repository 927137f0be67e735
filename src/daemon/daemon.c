/* daemon.c: the node daemon: the exchange's server and the group committer, started and stopped together. */
#include "daemon.h"

#include "group_commit.h"
#include "kept_tables.h"
#include "isthmus/version.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct ist_daemon {
    ist_exchange_server *server;
    group_commit *group;
    kept_tables *tables;
};

/* One line for the operator; in one write, so that lines of threads do not mix. */
static void log_line(const char *line, void *payload)
{
    (void)payload;
    fprintf(stderr, "isthmus daemon: %s\n", line);
}

static void on_commit(ist_commit_request *request, void *payload)
{
    const ist_daemon *daemon = payload;
    group_commit_submit(daemon->group, request);
}

static ist_status open_table(const char *access, ist_table **out, ist_error *err)
{
    return ist_table_open_access(access, IST_TABLE_WRITE, out, err);
}

/* Commit to a table of a catalog, as the principal who asks. */
static ist_status commit_by_name(kept_tables *tables, const char *access, const ist_commit_member *members,
                                 size_t count, ist_status *statuses, ist_commit_result *results, ist_error *errors,
                                 ist_error *err)
{
    ist_table *table;
    ist_status status = kept_tables_take(tables, access, &table, err);
    if (status != IST_OK)
        return status;
    status = ist_commit_members(ist_table_store(table), ist_table_committer(table), members, count, statuses, results,
                                errors, err);
    kept_tables_give(tables, access, table, status == IST_OK);
    return status;
}

static ist_status commit_members(const char *table_uri, const char *access, const ist_commit_member *members,
                                 size_t count, ist_status *statuses, ist_commit_result *results, ist_error *errors,
                                 void *payload, ist_error *err)
{
    const ist_daemon *daemon = payload;
    ist_store *store;
    if (access)
        return commit_by_name(daemon->tables, access, members, count, statuses, results, errors, err);
    ist_status status = ist_store_open(table_uri, NULL, &store, err);
    if (status != IST_OK)
        return status;
    status = ist_commit_members(store, NULL, members, count, statuses, results, errors, err);
    ist_store_free(store);
    return status;
}

ist_status ist_daemon_start(const ist_daemon_settings *settings, ist_daemon **out, ist_error *err)
{
    ist_daemon *daemon = calloc(1, sizeof *daemon);
    if (!daemon)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the daemon");
    ist_exchange_server_options options = IST_EXCHANGE_SERVER_OPTIONS_INIT;
    options.socket_path = settings->socket;
    options.memory_limit = settings->memory;
    options.spill_dir = settings->spill_dir;
    options.max_clients = (uint32_t)settings->max_clients;
    options.commit = on_commit;
    options.log = log_line;
    options.payload = daemon;
    ist_status status = kept_tables_new(open_table, &daemon->tables, err);
    if (status == IST_OK)
        status = group_commit_new(settings->commit_threads, settings->commit_batch, commit_members, daemon,
                                  &daemon->group, err);
    if (status == IST_OK)
        status = ist_exchange_server_start(&options, &daemon->server, err);
    if (status != IST_OK)
        ist_daemon_stop(daemon);
    else
        *out = daemon;
    return status;
}

const char *ist_daemon_socket(const ist_daemon *daemon)
{
    return ist_exchange_server_socket(daemon->server);
}

void ist_daemon_stop(ist_daemon *daemon)
{
    if (!daemon)
        return;
    /* Commits end first, while the server can still carry their answers. */
    if (daemon->group)
        group_commit_stop(daemon->group);
    ist_exchange_server_stop(daemon->server);
    group_commit_free(daemon->group);
    kept_tables_free(daemon->tables);
    free(daemon);
}

/* Each chunk is an open file. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_line("cannot raise the limit of open files", NULL);
    }
}

ist_status ist_daemon_run(const ist_daemon_settings *settings, ist_error *err)
{
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    pthread_sigmask(SIG_BLOCK, &wanted, &before);
    raise_file_limit();
    ist_daemon *daemon;
    ist_status status = ist_daemon_start(settings, &daemon, err);
    if (status == IST_OK) {
        char line[IST_DAEMON_PATH_MAX + 256];
        snprintf(line, sizeof line, "%s serves %s as process %d; memory %" PRIu64 " MiB, spill folder %s",
                 ist_version(), ist_daemon_socket(daemon), (int)getpid(),
                 ist_exchange_server_memory_limit(daemon->server) >> 20,
                 *settings->spill_dir ? settings->spill_dir : "none");
        log_line(line, NULL);
        int received = 0;
        sigwait(&wanted, &received);
        log_line(received == SIGTERM ? "stops (SIGTERM)" : "stops (SIGINT)", NULL);
        ist_daemon_stop(daemon);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}
