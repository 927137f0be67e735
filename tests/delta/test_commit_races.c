/* test_commit_races.c: many processes append to one table, and one that is killed at any moment. */
#include "delta/transaction_internal.h"
#include "isthmus/committer.h"
#include "rows.h"

#include <signal.h>
#include <sys/wait.h>

enum { PROCESSES = 8, APPENDS = 25, KILLS = 12 };

static const double ids[] = {1, 2, 3};
static const column columns[] = {{"id", NANOARROW_TYPE_INT64, ids, NULL}};

/* One append of three rows by its own idempotency key; the version, or -1. */
static int64_t append(const char *folder, const char *key)
{
    ist_store *store = NULL;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t = NULL;
    ist_writer *writer = NULL;
    ist_buffer context = IST_BUFFER_INIT, actions = IST_BUFFER_INIT;
    ist_commit_result result = {.version = -1, .outcome = IST_COMMIT_RETRYABLE};
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    rows_schema(columns, 1, &schema);
    options.app_id = key;
    bool ok = ist_store_open(folder, NULL, &store, &err) == IST_OK &&
              ist_transaction_begin(store, &options, &schema, &t, &err) == IST_OK &&
              ist_transaction_write_context(t, &context, &err) == IST_OK &&
              ist_writer_open(store, context.data, &writer, &err) == IST_OK;
    if (ok) {
        rows_stream(columns, 1, 3, &stream);
        ok = ist_writer_write(writer, &stream, &err) == IST_OK && ist_writer_finish(writer, &actions, &err) == IST_OK &&
             ist_transaction_add(t, context.data, actions.data, actions.size, &err) == IST_OK &&
             ist_transaction_commit(t, &result, &err) == IST_OK;
    }
    if (!ok || result.outcome != IST_COMMIT_COMMITTED)
        fprintf(stderr, "append %s: %s %s\n", key, err.message, result.reason);
    schema.release(&schema);
    ist_writer_free(writer);
    ist_transaction_free(t);
    ist_store_free(store);
    ist_buffer_free(&context);
    ist_buffer_free(&actions);
    return ok && result.outcome == IST_COMMIT_COMMITTED ? result.version : -1;
}

static ist_snapshot *open_checked(const char *folder)
{
    ist_store *store;
    ist_snapshot *snapshot;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_open(folder, NULL, &store, &err), err);
    assert_ok(ist_snapshot_open(store, NULL, &snapshot, &err), err);
    for (size_t i = 0; i < snapshot->file_count; i++) {
        ist_store_entry entry;
        ist_buffer path = IST_BUFFER_INIT;
        assert_ok(ist__data_path(store, snapshot->files[i].path, &path, &err), err);
        assert_ok(ist_store_stat(store, path.data, &entry, &err), err);
        assert_int_equal(entry.size, snapshot->files[i].size);
        ist_buffer_free(&path);
    }
    ist_store_free(store);
    return snapshot;
}

static void test_delta_commit_races__nothing_is_lost(void **state)
{
    (void)state;
    char *folder = new_folder();
    pid_t children[PROCESSES];
    /* The table is not there yet: the first thing they race for is to create it. */
    for (int p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        if (children[p] == 0) {
            int lost = 0;
            for (int i = 0; i < APPENDS; i++) {
                char key[40];
                snprintf(key, sizeof key, "%d-%d", p, i);
                lost += append(folder, key) < 0;
            }
            _exit(lost);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(children[p], &status, 0), children[p]);
        assert_int_equal(status, 0);
    }
    ist_snapshot *snapshot = open_checked(folder);
    assert_int_equal(ist_snapshot_row_count(snapshot), 3 * PROCESSES * APPENDS);
    assert_int_equal(ist_snapshot_version(snapshot), PROCESSES * APPENDS - 1);
    assert_int_equal(snapshot->app_count, PROCESSES * APPENDS);
    ist_snapshot_free(snapshot);
    remove_folder(folder);
}

static void test_delta_commit_races__killed_at_any_moment(void **state)
{
    (void)state;
    char *folder = new_folder();
    int64_t acknowledged = 0, rows_before;
    unsigned seed = 7;
    assert_int_equal(append(folder, "first"), 0);
    for (int k = 0; k < KILLS; k++) {
        int acks[2];
        ist_snapshot *before = open_checked(folder);
        rows_before = ist_snapshot_row_count(before);
        ist_snapshot_free(before);
        assert_int_equal(pipe(acks), 0);
        pid_t child = fork();
        if (child == 0) {
            close(acks[0]);
            for (int i = 0;; i++) {
                char key[40];
                snprintf(key, sizeof key, "%d-%d", k, i);
                int64_t version = append(folder, key);
                if (version < 0 || write(acks[1], &version, sizeof version) != sizeof version)
                    _exit(1);
            }
        }
        close(acks[1]);
        int64_t version, last = -1, count = 0;
        if (k == 0 && read(acks[0], &version, sizeof version) == sizeof version) { /* on a slow machine, too, one is */
            last = version;
            count++;
        }
        usleep((useconds_t)(rand_r(&seed) % 120000));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(acks[0], &version, sizeof version) == sizeof version) {
            last = version;
            count++;
        }
        close(acks[0]);
        acknowledged += count;
        ist_snapshot *after = open_checked(folder);
        assert_true(ist_snapshot_version(after) >= last);
        /* Every acknowledged append is there; at most the one under way may be there besides, and then whole. */
        int64_t grown = ist_snapshot_row_count(after) - rows_before;
        assert_true(grown == 3 * count || grown == 3 * (count + 1));
        ist_snapshot_free(after);
    }
    assert_true(acknowledged > 0);
    assert_true(append(folder, "last") > 0);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_commit_races__nothing_is_lost),
        cmocka_unit_test(test_delta_commit_races__killed_at_any_moment),
    };
    return run_group(tests, argc, argv);
}
