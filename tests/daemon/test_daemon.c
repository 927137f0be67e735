/* test_daemon.c: the whole daemon, as a process: group commits to real tables, clean and unclean ends. */
#include "daemon.h"
#include "delta/rows.h"
#include "isthmus/committer.h"
#include "isthmus/snapshot.h"
#include "processes.h"

#include <sys/stat.h>

static const double ids[] = {1, 2, 3};
static const column columns[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}};
enum { ROWS = 3 }; /* of each member */

typedef struct fixture {
    char *folder;
    char socket[256];
    char table[256];
    child daemon;
    ist_error err;
} fixture;

static void start_daemon(fixture *f)
{
    f->daemon = spawn("daemon", f->socket);
    expect_line(&f->daemon, "started");
}

/* An empty table, and a daemon. */
static void set_up(fixture *f)
{
    *f = (fixture){.folder = new_folder(), .err = IST_ERROR_INIT};
    snprintf(f->socket, sizeof f->socket, "%s/daemon.sock", f->folder);
    snprintf(f->table, sizeof f->table, "%s/table", f->folder);
    ist_store_options create = IST_STORE_OPTIONS_INIT;
    create.create = true;
    ist_store *store;
    struct ArrowSchema schema;
    ist_transaction *transaction;
    ist_commit_result result;
    assert_ok(ist_store_open(f->table, &create, &store, &f->err), f->err);
    rows_schema(columns, 1, &schema);
    assert_ok(ist_transaction_begin(store, NULL, &schema, &transaction, &f->err), f->err);
    schema.release(&schema);
    assert_ok(ist_transaction_commit(transaction, &result, &f->err), f->err);
    assert_int_equal(result.version, 0);
    ist_transaction_free(transaction);
    ist_store_free(store);
    start_daemon(f);
}

static int stop_daemon(fixture *f)
{
    kill(f->daemon.pid, SIGTERM);
    return reap(&f->daemon);
}

static void tear_down(fixture *f)
{
    assert_int_equal(stop_daemon(f), 0);
    remove_folder(f->folder);
}

/* Write a data file and have the daemon commit it. */
static ist_status append(const char *socket, const char *table, const char *key, ist_commit_result *result,
                         ist_error *err)
{
    ist_store *store;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    ist_transaction *transaction;
    ist_writer *writer;
    ist_buffer context = IST_BUFFER_INIT, actions = IST_BUFFER_INIT;
    ist_exchange_client *client;
    assert_ok(ist_store_open(table, NULL, &store, err), *err);
    rows_schema(columns, 1, &schema);
    assert_ok(ist_transaction_begin(store, NULL, &schema, &transaction, err), *err);
    schema.release(&schema);
    assert_ok(ist_transaction_write_context(transaction, &context, err), *err);
    ist_transaction_free(transaction);
    assert_ok(ist_writer_open(store, context.data, &writer, err), *err);
    rows_stream(columns, 1, ROWS, &stream);
    assert_ok(ist_writer_write(writer, &stream, err), *err);
    assert_ok(ist_writer_finish(writer, &actions, err), *err);
    ist_writer_free(writer);
    ist_store_free(store);

    ist_commit_member member = {table, "main.test.t", context.data, actions.data, actions.size, key, NULL, NULL};
    ist_status status = ist_exchange_client_open(socket, &client, err);
    if (status == IST_OK) {
        status = ist_commit_group(client, &member, result, err);
        ist_exchange_client_free(client);
    }
    ist_buffer_free(&context);
    ist_buffer_free(&actions);
    return status;
}

static ist_snapshot *open_table(fixture *f)
{
    ist_store *store;
    ist_snapshot *snapshot;
    assert_ok(ist_store_open(f->table, NULL, &store, &f->err), f->err);
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &f->err), f->err);
    ist_store_free(store);
    return snapshot;
}

static int64_t row_count(fixture *f)
{
    ist_snapshot *snapshot = open_table(f);
    int64_t rows = ist_snapshot_row_count(snapshot);
    ist_snapshot_free(snapshot);
    return rows;
}

enum { APPENDERS = 24 };

static void start_appends(fixture *f, child *appenders)
{
    char key[32];
    for (int i = 0; i < APPENDERS; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        appenders[i] = spawn("append", f->socket, f->table, key);
    }
}

/* How many said so. Every one must have said one of the four words. */
static int count_words(child *appenders, const char *word)
{
    char line[2048];
    int count = 0;
    for (int i = 0; i < APPENDERS; i++) {
        read_line(&appenders[i], line, sizeof line);
        assert_int_equal(reap(&appenders[i]), 0);
        if (strcmp(line, "committed") && strcmp(line, "already") && strcmp(line, "retryable") &&
            strcmp(line, "not found"))
            fail_msg("%s", line);
        count += strcmp(line, word) == 0;
    }
    return count;
}

static void test_daemon__appends_of_many_processes(void **state)
{
    (void)state;
    fixture f;
    child appenders[APPENDERS];
    set_up(&f);
    start_appends(&f, appenders);
    assert_int_equal(count_words(appenders, "committed"), APPENDERS);
    assert_int_equal(row_count(&f), APPENDERS * ROWS);
    ist_snapshot *snapshot = open_table(&f);
    int64_t version = ist_snapshot_version(snapshot);
    assert_true(version >= 1 && version <= APPENDERS);
    ist_snapshot_free(snapshot);
    start_appends(&f, appenders); /* the same keys again */
    assert_int_equal(count_words(appenders, "already"), APPENDERS);
    assert_int_equal(row_count(&f), APPENDERS * ROWS);
    tear_down(&f);
}

static void test_daemon__same_key_at_the_same_time(void **state)
{
    (void)state;
    fixture f;
    child appenders[APPENDERS];
    set_up(&f);
    for (int i = 0; i < APPENDERS; i++)
        appenders[i] = spawn("append", f.socket, f.table, "the key");
    assert_int_equal(count_words(appenders, "committed"), 1);
    assert_int_equal(row_count(&f), ROWS);
    tear_down(&f);
}

/* Whatever moment the daemon dies at: with every append repeated until it is acknowledged, each row is there once. */
static void repeat_until_all_land(fixture *f, int signal)
{
    child appenders[APPENDERS];
    for (int i = 0; i < 3; i++) {
        start_appends(f, appenders);
        usleep(100000 + 60000 * (unsigned)i);
        kill(f->daemon.pid, signal);
        assert_int_equal(reap(&f->daemon), signal == SIGKILL ? -SIGKILL : 0);
        count_words(appenders, "committed");
        assert_int_equal(row_count(f) % ROWS, 0);
        start_daemon(f);
    }
    start_appends(f, appenders);
    assert_int_equal(count_words(appenders, "retryable"), 0);
    assert_int_equal(row_count(f), APPENDERS * ROWS);
}

static void test_daemon__killed_under_load(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    repeat_until_all_land(&f, SIGKILL);
    tear_down(&f);
}

static void test_daemon__stopped_under_load(void **state)
{
    (void)state;
    fixture f;
    struct stat file;
    set_up(&f);
    repeat_until_all_land(&f, SIGTERM);
    assert_int_equal(stop_daemon(&f), 0);
    assert_int_equal(stat(f.socket, &file), -1); /* it took its socket along */
    remove_folder(f.folder);
}

static void test_daemon__second_one_ends_with_an_error(void **state)
{
    (void)state;
    fixture f;
    char expected[512];
    set_up(&f);
    child second = spawn("daemon", f.socket);
    snprintf(expected, sizeof expected, "already exists: a daemon (process %d) already serves %s", (int)f.daemon.pid,
             f.socket);
    expect_line(&second, expected);
    assert_int_equal(reap(&second), 1);
    tear_down(&f);
}

static void test_daemon__says_what_is_wrong(void **state)
{
    (void)state;
    fixture f;
    ist_commit_result result;
    ist_exchange_client *client;
    char missing[300];
    set_up(&f);
    assert_ok(ist_exchange_client_open(f.socket, &client, &f.err), f.err);
    ist_commit_member member = {f.table, "main.test.t", "not JSON", "{}", 2, "key", NULL, NULL};
    assert_int_equal(ist_commit_group(client, &member, &result, &f.err), IST_BAD_INPUT);
    assert_non_null(strstr(f.err.message, "commit to main.test.t: "));
    member.table_uri = "ftp://x/y";
    assert_int_equal(ist_commit_group(client, &member, &result, &f.err), IST_UNSUPPORTED);
    snprintf(missing, sizeof missing, "%s/missing", f.folder);
    member.table_uri = missing;
    assert_int_equal(ist_commit_group(client, &member, &result, &f.err), IST_NOT_FOUND);
    ist_exchange_client_free(client);
    assert_int_equal(row_count(&f), 0);
    tear_down(&f);
}

/* ---- the other processes ------------------------------------------------------------------------------------- */

/* Says "started" once the daemon takes clients: waited for in a child, for ist_daemon_run wants no other threads. */
static int run_daemon(const char *socket)
{
    ist_daemon_settings settings;
    ist_error err = IST_ERROR_INIT;
    ist_daemon_settings_init(&settings);
    assert_ok(ist_daemon_settings_set(&settings, "socket", socket, &err), err);
    assert_ok(ist_daemon_settings_set(&settings, "memory", "64M", &err), err);
    pid_t self = getpid();
    if (fork() == 0) {
        ist_exchange_client *client;
        for (int i = 0; i < 1000 && getppid() == self; i++) {
            if (ist_exchange_client_open(socket, &client, NULL) == IST_OK) {
                ist_buffer counters = IST_BUFFER_INIT;
                char pid[32];
                snprintf(pid, sizeof pid, "\"pid\": %d}", (int)self);
                if (ist_exchange_counters(client, &counters, NULL) == IST_OK && strstr(counters.data, pid))
                    say("started");
                _exit(0);
            }
            usleep(5000);
        }
        _exit(1);
    }
    ist_status status = ist_daemon_run(&settings, &err);
    if (status != IST_OK)
        printf("%s: %s\n", ist_status_name(status), err.message);
    while (wait(NULL) > 0)
        ;
    return status == IST_OK ? 0 : 1;
}

static int run_append(const char *socket, const char *table, const char *key)
{
    ist_commit_result result = {0};
    ist_error err = IST_ERROR_INIT;
    ist_status status = append(socket, table, key, &result, &err);
    if (status == IST_RETRYABLE || status == IST_NOT_FOUND)
        say(ist_status_name(status));
    else if (status != IST_OK)
        say(err.message);
    else if (result.outcome == IST_COMMIT_COMMITTED)
        say(result.already ? "already" : "committed");
    else
        say(result.reason);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--role") == 0) {
        alarm(120);
        return strcmp(argv[2], "daemon") == 0 ? run_daemon(argv[3]) : run_append(argv[3], argv[4], argv[5]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemon__appends_of_many_processes),
        cmocka_unit_test(test_daemon__same_key_at_the_same_time),
        cmocka_unit_test(test_daemon__killed_under_load),
        cmocka_unit_test(test_daemon__stopped_under_load),
        cmocka_unit_test(test_daemon__second_one_ends_with_an_error),
        cmocka_unit_test(test_daemon__says_what_is_wrong),
    };
    return run_group(tests, argc, argv);
}
