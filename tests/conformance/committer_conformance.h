/*
 * committer_conformance.h: one suite that every committer must pass: races, lost answers, and processes that die between
 * the steps of a commit.
 *
 *     static ist_committer *conformance_open(void *world);      // another process's committer of the same table; may be NULL
 *     static void *conformance_world(void);                     // a new catalog, or whatever stands for it
 *     static void conformance_end(void *world);
 *     COMMITTER_CONFORMANCE_CASES(COMMITTER_CONFORMANCE_ENTRY)
 */
#ifndef ISTHMUS_COMMITTER_CONFORMANCE_H
#define ISTHMUS_COMMITTER_CONFORMANCE_H

#include "delta/transaction_internal.h"
#include "delta/rows.h"
#include "isthmus/committer.h"
#include "isthmus/sys/storage.h"

#include <inttypes.h>
#include <pthread.h>

#define COMMITTER_CONFORMANCE_CASES(X)                                                                                 \
    X(one_winner_for_each_version)                                                                                     \
    X(a_lost_answer_counts_once)                                                                                       \
    X(a_fault_before_the_commit_is_tried_again)                                                                        \
    X(died_before_publishing)                                                                                          \
    X(a_key_counts_once_across_processes)
#define COMMITTER_CONFORMANCE_ENTRY(name) cmocka_unit_test(test_conformance__##name),

static ist_committer *conformance_open(void *world);
static void *conformance_world(void);
static void conformance_end(void *world);

static const double conformance_ids[] = {1, 2, 3};
static const column conformance_columns[] = {{"id", NANOARROW_TYPE_INT64, conformance_ids, NULL}};

/* The table that a case is about: made by version 0; `context` is what its writers get. */
typedef struct conformance_table {
    ist_store *store;
    void *world;
    ist_buffer context;
} conformance_table;

static void conformance_begin(conformance_table *table)
{
    ist_error err = IST_ERROR_INIT;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t;
    ist_commit_result result;
    struct ArrowSchema schema;
    *table = (conformance_table){.world = conformance_world()};
    assert_ok(ist_store_open_memory(&table->store, &err), err);
    ist_committer *committer = conformance_open(table->world);
    options.committer = committer;
    rows_schema(conformance_columns, 1, &schema);
    if (committer)
        options.properties = "{\"delta.feature.catalogManaged\":\"supported\",\"delta.enableInCommitTimestamps\":\"true\"}";
    assert_ok(ist_transaction_begin(table->store, &options, &schema, &t, &err), err);
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    assert_int_equal(result.version, 0);
    ist_transaction_free(t);
    assert_ok(ist_transaction_begin(table->store, &options, &schema, &t, &err), err);
    assert_ok(ist_transaction_write_context(t, &table->context, &err), err);
    ist_transaction_free(t);
    schema.release(&schema);
    ist_committer_free(committer);
}

static void conformance_finish(conformance_table *table)
{
    ist_buffer_free(&table->context);
    ist_store_free(table->store);
    conformance_end(table->world);
}

/* Append one file of 3 rows, which is never read. */
static ist_status conformance_append(const conformance_table *table, const ist_committer *committer, const char *key,
                                     ist_commit_result *result, ist_error *err)
{
    char actions[300];
    snprintf(actions, sizeof actions, "{\"add\":{\"path\":\"%s.parquet\",\"partitionValues\":{},\"size\":1,"
             "\"modificationTime\":1,\"dataChange\":true,\"stats\":\"{\\\"numRecords\\\":3}\"}}\n", key);
    const ist_commit_member member = {.table_uri = "memory:", .context = table->context.data, .actions = actions,
                                      .actions_size = strlen(actions), .app_id = key};
    return ist_commit_direct(table->store, committer, &member, result, err);
}

/* The table as a process that just started sees it. */
static void conformance_check(const conformance_table *table, int64_t version, int64_t appends)
{
    ist_error err = IST_ERROR_INIT;
    ist_snapshot *snapshot;
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    ist_committer *committer = conformance_open(table->world);
    options.committer = committer;
    assert_ok(ist_snapshot_open(table->store, &options, &snapshot, &err), err);
    assert_int_equal(ist_snapshot_version(snapshot), version);
    assert_int_equal(ist_snapshot_row_count(snapshot), 3 * appends);
    assert_int_equal(snapshot->app_count, appends);
    ist_snapshot_free(snapshot);
    if (committer)
        assert_ok(committer->ops->publish(committer, table->store, version, &err), err);
    for (int64_t v = 0; v <= version; v++) { /* published in order, none left out */
        char path[64];
        ist_store_entry entry;
        ist__log_commit_path(v, path);
        assert_ok(ist_store_stat(table->store, path, &entry, &err), err);
    }
    ist_committer_free(committer);
}

/* ---- a committer whose process has bad luck --------------------------------------------------------------------- */

typedef struct unlucky {
    ist_committer base;
    ist_committer *inner; /* NULL: the filesystem's */
    int fail_before, fail_after; /* so many commits fail before, or after they were made */
    bool never_publishes;
} unlucky;

static ist_committer *unlucky_inner(const unlucky *self)
{
    return self->inner ? self->inner : ist_committer_filesystem();
}

static ist_status unlucky_commit(ist_committer *base, ist_store *store, const ist_proposal *proposal, ist_error *err)
{
    unlucky *self = (unlucky *)base;
    if (self->fail_before-- > 0)
        return ist_error_set(err, IST_RETRYABLE, 0, NULL, "no connection");
    ist_status status = unlucky_inner(self)->ops->commit(unlucky_inner(self), store, proposal, err);
    if (status == IST_OK && self->fail_after-- > 0)
        return ist_error_set(err, IST_RETRYABLE, 0, NULL, "the answer was lost");
    return status;
}

static ist_status unlucky_ratified(ist_committer *base, ist_ratified_commit_cb cb, void *payload, int64_t *latest,
                                   ist_error *err)
{
    ist_committer *inner = unlucky_inner((unlucky *)base);
    return inner->ops->ratified(inner, cb, payload, latest, err);
}

static ist_status unlucky_publish(ist_committer *base, ist_store *store, int64_t version, ist_error *err)
{
    unlucky *self = (unlucky *)base;
    if (self->never_publishes)
        return ist_error_set(err, IST_IO, 0, NULL, "it died");
    return self->inner ? self->inner->ops->publish(self->inner, store, version, err) : IST_OK;
}

static const ist_committer_ops unlucky_ops = {.commit = unlucky_commit, .ratified = unlucky_ratified,
                                              .publish = unlucky_publish},
                               unlucky_filesystem_ops = {.commit = unlucky_commit, .publish = unlucky_publish};

static unlucky unlucky_of(void *world)
{
    ist_committer *inner = conformance_open(world);
    return (unlucky){.base = {.ops = inner ? &unlucky_ops : &unlucky_filesystem_ops}, .inner = inner};
}

/* ---- the cases ---------------------------------------------------------------------------------------------------- */

enum { CONFORMANCE_THREADS = 6, CONFORMANCE_APPENDS = 10 };

typedef struct conformance_racer {
    const conformance_table *table;
    int number;
    int64_t versions[CONFORMANCE_APPENDS];
} conformance_racer;

static void *conformance_race(void *payload)
{
    conformance_racer *racer = payload;
    ist_committer *committer = conformance_open(racer->table->world);
    for (int i = 0; i < CONFORMANCE_APPENDS; i++) {
        char key[40];
        ist_error err = IST_ERROR_INIT;
        ist_commit_result result = {.version = -1};
        snprintf(key, sizeof key, "%d-%d", racer->number, i);
        ist_status status = conformance_append(racer->table, committer, key, &result, &err);
        racer->versions[i] = status == IST_OK && result.outcome == IST_COMMIT_COMMITTED ? result.version : -1;
        if (racer->versions[i] < 0)
            fprintf(stderr, "append %s: %s %s\n", key, err.message, result.reason);
    }
    ist_committer_free(committer);
    return NULL;
}

static void test_conformance__one_winner_for_each_version(void **state)
{
    (void)state;
    enum { TOTAL = CONFORMANCE_THREADS * CONFORMANCE_APPENDS };
    conformance_table table;
    conformance_racer racers[CONFORMANCE_THREADS];
    pthread_t threads[CONFORMANCE_THREADS];
    bool seen[TOTAL + 1] = {false};
    conformance_begin(&table);
    for (int i = 0; i < CONFORMANCE_THREADS; i++) {
        racers[i] = (conformance_racer){.table = &table, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, conformance_race, &racers[i]), 0);
    }
    for (int i = 0; i < CONFORMANCE_THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < TOTAL; i++) {
        int64_t version = racers[i / CONFORMANCE_APPENDS].versions[i % CONFORMANCE_APPENDS];
        assert_in_range(version, 1, TOTAL);
        assert_false(seen[version]);
        seen[version] = true;
    }
    conformance_check(&table, TOTAL, TOTAL);
    conformance_finish(&table);
}

static void test_conformance__a_lost_answer_counts_once(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    conformance_begin(&table);
    unlucky first = unlucky_of(table.world);
    first.fail_after = 1;
    assert_ok(conformance_append(&table, &first.base, "a", &result, &err), err);
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_int_equal(result.version, 1);
    first.fail_after = 1;
    assert_ok(conformance_append(&table, &first.base, "b", &result, &err), err);
    assert_int_equal(result.version, 2);
    ist_committer_free(first.inner);
    conformance_check(&table, 2, 2);
    conformance_finish(&table);
}

static void test_conformance__a_fault_before_the_commit_is_tried_again(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    conformance_begin(&table);
    unlucky first = unlucky_of(table.world);
    first.fail_before = 2;
    assert_ok(conformance_append(&table, &first.base, "a", &result, &err), err);
    assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
    assert_int_equal(result.version, 1);
    assert_int_equal(result.attempts, 3);
    ist_committer_free(first.inner);
    conformance_check(&table, 1, 1);
    conformance_finish(&table);
}

/* Each process commits once and dies before it publishes; the next one sees all the same, and publishes for it. */
static void test_conformance__died_before_publishing(void **state)
{
    (void)state;
    enum { PROCESSES = 25 };
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    conformance_begin(&table);
    for (int i = 1; i <= PROCESSES; i++) {
        char key[20];
        ist_commit_result result;
        unlucky process = unlucky_of(table.world);
        process.never_publishes = true;
        snprintf(key, sizeof key, "k%d", i);
        assert_ok(conformance_append(&table, &process.base, key, &result, &err), err);
        assert_int_equal(result.outcome, IST_COMMIT_COMMITTED);
        assert_int_equal(result.version, i);
        ist_committer_free(process.inner);
    }
    conformance_check(&table, PROCESSES, PROCESSES);
    conformance_finish(&table);
}

static void test_conformance__a_key_counts_once_across_processes(void **state)
{
    (void)state;
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_commit_result result;
    conformance_begin(&table);
    unlucky dies = unlucky_of(table.world);
    dies.never_publishes = true;
    assert_ok(conformance_append(&table, &dies.base, "task", &result, &err), err);
    ist_committer_free(dies.inner);
    ist_committer *again = conformance_open(table.world);
    assert_ok(conformance_append(&table, again, "task", &result, &err), err);
    assert_true(result.already);
    assert_int_equal(result.version, 1);
    ist_committer_free(again);
    conformance_check(&table, 1, 1);
    conformance_finish(&table);
}

#endif
