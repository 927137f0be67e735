/* test_group_commit.c: which appends go together, and who gets which answer; with a committer that commits nothing. */
#include "group_commit.h"
#include "testing.h"

#include <pthread.h>
#include <string.h>

enum { COMMITS_MAX = 256 };

/* What the committer below saw. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
    char table[64];
    size_t members;
} seen[COMMITS_MAX];
static size_t commits;
static int running, running_most; /* at the same time, all tables */
static int on_table[3];           /* "t0", "t1", "t2" */
static bool raced;                /* two at once on one table */
static bool closed;               /* commits wait until it is false */

/* Wait until `*flag` is false, or the number of running commits is `count`. */
static void wait_for_running(int count)
{
    pthread_mutex_lock(&lock);
    while (running != count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void set_closed(bool value)
{
    pthread_mutex_lock(&lock);
    closed = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Version = number of the commit. Members whose key starts with "bad" fail, those with "old" were there before; a table
 * "broken" fails as a whole. */
static ist_status fake_commit(const char *uri, const char *access, const ist_commit_member *members, size_t count,
                              ist_status *statuses, ist_commit_result *results, ist_error *errors, void *payload,
                              ist_error *err)
{
    (void)payload;
    for (size_t i = 0; i < count; i++) /* one principal's access never serves another's commit */
        assert_string_equal(members[i].access ? members[i].access : "", access ? access : "");
    pthread_mutex_lock(&lock);
    int version = (int)commits;
    snprintf(seen[commits].table, sizeof seen[commits].table, "%s", uri);
    seen[commits++].members = count;
    running++;
    running_most = running > running_most ? running : running_most;
    int table = uri[0] == 't' ? uri[1] - '0' : 0;
    raced |= on_table[table]++ > 0;
    pthread_cond_broadcast(&changed);
    while (closed)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    usleep(2000);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(members[i].table_uri, uri);
        if (strncmp(members[i].app_id, "bad", 3) == 0)
            statuses[i] = ist_error_set(&errors[i], IST_BAD_INPUT, 0, NULL, "%s is bad", members[i].app_id);
        results[i] = (ist_commit_result){.outcome = IST_COMMIT_COMMITTED,
                                         .version = version,
                                         .rows = atoi(members[i].app_id),
                                         .already = strncmp(members[i].app_id, "old", 3) == 0};
    }
    pthread_mutex_lock(&lock);
    running--;
    on_table[table]--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (strcmp(uri, "broken") == 0)
        return ist_error_set(err, IST_IO, 5, uri, "the disk is gone");
    return IST_OK;
}

/* ---- server, committer, callers ------------------------------------------------------------------------------ */

typedef struct fixture {
    char *folder;
    char socket[256];
    group_commit *group;
    ist_exchange_server *server;
    ist_exchange_client *client;
    ist_error err;
} fixture;

static void on_commit(ist_commit_request *request, void *payload)
{
    group_commit_submit(((fixture *)payload)->group, request);
}

static void set_up(fixture *f, size_t threads, size_t batch)
{
    commits = 0;
    running_most = 0;
    raced = closed = false;
    *f = (fixture){.folder = new_folder(), .err = IST_ERROR_INIT};
    snprintf(f->socket, sizeof f->socket, "%s/daemon.sock", f->folder);
    assert_ok(group_commit_new(threads, batch, fake_commit, NULL, &f->group, &f->err), f->err);
    ist_exchange_server_options options = IST_EXCHANGE_SERVER_OPTIONS_INIT;
    options.socket_path = f->socket;
    options.commit = on_commit;
    options.payload = f;
    assert_ok(ist_exchange_server_start(&options, &f->server, &f->err), f->err);
    assert_ok(ist_exchange_client_open(f->socket, &f->client, &f->err), f->err);
}

static void tear_down(fixture *f)
{
    ist_exchange_client_free(f->client);
    group_commit_stop(f->group);
    ist_exchange_server_stop(f->server);
    group_commit_free(f->group);
    remove_folder(f->folder);
}

typedef struct caller {
    pthread_t thread;
    ist_exchange_client *client;
    char table[16];
    char app[32];
    char access[8];
    ist_status status;
    ist_commit_result result;
    ist_error err;
} caller;

static void *call(void *self)
{
    caller *c = self;
    ist_commit_member member = {c->table, NULL, "{}", "a", 1, c->app, NULL, *c->access ? c->access : NULL};
    c->status = ist_commit_group(c->client, &member, &c->result, &c->err);
    return NULL;
}

static void start_call(fixture *f, caller *c, const char *table, const char *app)
{
    *c = (caller){.client = f->client, .err = IST_ERROR_INIT};
    snprintf(c->table, sizeof c->table, "%s", table);
    snprintf(c->app, sizeof c->app, "%s", app);
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void start_calls(fixture *f, caller *callers, int count, const char *table)
{
    for (int i = 0; i < count; i++) {
        char app[32];
        snprintf(app, sizeof app, "%d", i);
        start_call(f, &callers[i], table, app);
    }
}

static void join_calls(caller *callers, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(callers[i].thread, NULL);
}

static void test_daemon_group_commit__arrivals_gather_behind_a_commit(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    fixture f;
    static caller first, callers[COUNT];
    ist_buffer counters = IST_BUFFER_INIT;
    set_up(&f, 4, 1000);
    set_closed(true);
    start_call(&f, &first, "t0", "1000");
    wait_for_running(1);
    start_calls(&f, callers, COUNT, "t0");
    usleep(300000); /* all are queued now */
    set_closed(false);
    join_calls(&first, 1);
    join_calls(callers, COUNT);
    assert_int_equal(commits, 2);
    assert_int_equal(seen[0].members, 1);
    assert_int_equal(seen[1].members, COUNT);
    assert_int_equal(first.result.version, 0);
    for (int i = 0; i < COUNT; i++) { /* each has its own answer */
        assert_ok(callers[i].status, callers[i].err);
        assert_int_equal(callers[i].result.version, 1);
        assert_int_equal(callers[i].result.rows, i);
    }
    assert_ok(ist_exchange_counters(f.client, &counters, &f.err), f.err);
    assert_non_null(strstr(counters.data, "\"commits\": 2, \"commit_members\": 101"));
    ist_buffer_free(&counters);
    tear_down(&f);
}

static void test_daemon_group_commit__without_waiting(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    fixture f;
    static caller callers[COUNT];
    set_up(&f, 4, 1000);
    start_calls(&f, callers, COUNT, "t0");
    join_calls(callers, COUNT);
    size_t members = 0;
    for (size_t i = 0; i < commits; i++)
        members += seen[i].members;
    assert_int_equal(members, COUNT);
    assert_true(commits < COUNT);
    assert_false(raced);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(callers[i].result.rows, i);
    tear_down(&f);
}

static void test_daemon_group_commit__tables_go_in_parallel(void **state)
{
    (void)state;
    fixture f;
    static caller callers[3][8];
    const char *tables[] = {"t0", "t1", "t2"};
    set_up(&f, 2, 1000); /* two workers for three tables */
    set_closed(true);
    for (int t = 0; t < 3; t++)
        start_calls(&f, callers[t], 8, tables[t]);
    wait_for_running(2);
    usleep(50000);
    assert_int_equal(running_most, 2);
    set_closed(false);
    for (int t = 0; t < 3; t++)
        join_calls(callers[t], 8);
    assert_false(raced);
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 8; i++)
            assert_string_equal(seen[callers[t][i].result.version].table, tables[t]);
    tear_down(&f);
}

static void test_daemon_group_commit__batch_has_a_maximum(void **state)
{
    (void)state;
    fixture f;
    static caller first, callers[25];
    set_up(&f, 4, 10);
    set_closed(true);
    start_call(&f, &first, "t0", "1000");
    wait_for_running(1);
    start_calls(&f, callers, 25, "t0");
    usleep(200000);
    set_closed(false);
    join_calls(&first, 1);
    join_calls(callers, 25);
    assert_int_equal(commits, 4);
    assert_int_equal(seen[1].members, 10);
    assert_int_equal(seen[2].members, 10);
    assert_int_equal(seen[3].members, 5);
    tear_down(&f);
}

static void test_daemon_group_commit__one_bad_member_hurts_nobody(void **state)
{
    (void)state;
    fixture f;
    static caller first, callers[3];
    ist_buffer counters = IST_BUFFER_INIT;
    set_up(&f, 1, 1000);
    set_closed(true);
    start_call(&f, &first, "t0", "1");
    wait_for_running(1);
    start_call(&f, &callers[0], "t0", "7");
    start_call(&f, &callers[1], "t0", "bad");
    start_call(&f, &callers[2], "t0", "old");
    usleep(100000);
    set_closed(false);
    join_calls(&first, 1);
    join_calls(callers, 3);
    assert_int_equal(commits, 2);
    assert_ok(callers[0].status, callers[0].err);
    assert_int_equal(callers[0].result.rows, 7);
    assert_int_equal(callers[1].status, IST_BAD_INPUT);
    assert_string_equal(callers[1].err.message, "commit to t0: bad is bad");
    assert_ok(callers[2].status, callers[2].err);
    assert_true(callers[2].result.already);
    assert_ok(ist_exchange_counters(f.client, &counters, &f.err), f.err);
    assert_non_null(strstr(counters.data, "\"commits\": 2, \"commit_members\": 2")); /* the bad and the old: not */
    ist_buffer_free(&counters);
    tear_down(&f);
}

static void test_daemon_group_commit__failure_goes_to_all(void **state)
{
    (void)state;
    fixture f;
    static caller callers[5];
    set_up(&f, 1, 1000);
    start_calls(&f, callers, 5, "broken");
    join_calls(callers, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(callers[i].status, IST_IO);
        assert_int_equal(callers[i].err.code, 5);
        assert_string_equal(callers[i].err.message, "commit to broken: the disk is gone");
    }
    tear_down(&f);
}

static void *stop_group(void *group)
{
    group_commit_stop(group);
    return NULL;
}

static void test_daemon_group_commit__stop_finishes_and_refuses(void **state)
{
    (void)state;
    fixture f;
    static caller under_way, waiting[5], late;
    pthread_t stopper;
    set_up(&f, 1, 1000);
    set_closed(true);
    start_call(&f, &under_way, "t0", "1");
    wait_for_running(1);
    start_calls(&f, waiting, 5, "t0");
    usleep(100000);
    assert_int_equal(pthread_create(&stopper, NULL, stop_group, f.group), 0);
    usleep(50000);
    start_call(&f, &late, "t1", "2");
    pthread_join(late.thread, NULL); /* refused at once */
    assert_int_equal(late.status, IST_RETRYABLE);
    assert_non_null(strstr(late.err.message, "nothing was committed"));
    set_closed(false);
    pthread_join(stopper, NULL);
    join_calls(&under_way, 1);
    join_calls(waiting, 5);
    assert_ok(under_way.status, under_way.err);
    for (int i = 0; i < 5; i++)
        assert_int_equal(waiting[i].status, IST_RETRYABLE);
    assert_int_equal(commits, 1);
    ist_exchange_client_free(f.client);
    ist_exchange_server_stop(f.server);
    group_commit_free(f.group);
    remove_folder(f.folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemon_group_commit__arrivals_gather_behind_a_commit),
        cmocka_unit_test(test_daemon_group_commit__without_waiting),
        cmocka_unit_test(test_daemon_group_commit__tables_go_in_parallel),
        cmocka_unit_test(test_daemon_group_commit__batch_has_a_maximum),
        cmocka_unit_test(test_daemon_group_commit__one_bad_member_hurts_nobody),
        cmocka_unit_test(test_daemon_group_commit__failure_goes_to_all),
        cmocka_unit_test(test_daemon_group_commit__stop_finishes_and_refuses),
    };
    return run_group(tests, argc, argv);
}
