/* group_commit.c: queues of appends, one for each table, and the threads that commit them. */
#include "group_commit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A request in its table's queue. */
typedef struct entry {
    struct entry *next;
    ist_commit_request *request;
} entry;

/* A table with requests that wait or are being committed. At most one worker is on a table: two would only race each
 * other for the next version. */
typedef struct table {
    struct table *next;       /* in group->tables */
    struct table *next_ready; /* in group->ready */
    char *uri;
    char *access; /* who may do what is for the catalog to say: only members with the same access are merged; or NULL */
    entry *first, **last;
    size_t count;
    bool running;
} table;

struct group_commit {
    group_commit_cb commit;
    void *payload; /* of commit */
    size_t batch;
    size_t thread_count;
    pthread_t *threads;
    pthread_mutex_t lock; /* the rest */
    pthread_cond_t changed;
    table *tables;
    table *first_ready, **last_ready; /* wait for a worker, oldest first */
    bool stop;
};

/* One commit's members, and what became of each. */
typedef struct batch {
    size_t count;
    ist_commit_request **requests;
    ist_commit_member *members;
    ist_status *statuses;
    ist_commit_result *results;
    ist_error *errors;
} batch;

static void answer_failure(ist_commit_request *request, ist_status status, const char *message)
{
    ist_error error = IST_ERROR_INIT;
    ist_error_set(&error, status, 0, NULL, "%s", message);
    ist_commit_request_answer(request, status, NULL, &error);
}

static void refuse_stopping(ist_commit_request *request)
{
    answer_failure(request, IST_RETRYABLE, "the daemon stops; nothing was committed: repeat with the same key");
}

/* ---- queues (all with the lock held) ------------------------------------------------------------------------- */

static bool same_access(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static table *find_table(group_commit *group, const ist_commit_member *member)
{
    table *t = group->tables;
    while (t && (strcmp(t->uri, member->table_uri) != 0 || !same_access(t->access, member->access)))
        t = t->next;
    return t;
}

static void free_table(table *t)
{
    if (t && t->access)
        explicit_bzero(t->access, strlen(t->access));
    if (t)
        free(t->access);
    if (t)
        free(t->uri);
    free(t);
}

static table *add_table(group_commit *group, const ist_commit_member *member)
{
    table *t = calloc(1, sizeof *t);
    if (t)
        t->uri = strdup(member->table_uri);
    if (t && member->access)
        t->access = strdup(member->access);
    if (!t || !t->uri || (member->access && !t->access)) {
        free_table(t);
        return NULL;
    }
    t->last = &t->first;
    t->next = group->tables;
    group->tables = t;
    return t;
}

static void remove_table(group_commit *group, table *gone)
{
    table **at = &group->tables;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    free_table(gone);
}

static void make_ready(group_commit *group, table *t)
{
    t->next_ready = NULL;
    *group->last_ready = t;
    group->last_ready = &t->next_ready;
    pthread_cond_signal(&group->changed);
}

static table *take_ready(group_commit *group)
{
    table *t = group->first_ready;
    group->first_ready = t->next_ready;
    if (!group->first_ready)
        group->last_ready = &group->first_ready;
    return t;
}

static ist_commit_request *take_request(table *t)
{
    entry *e = t->first;
    ist_commit_request *request = e->request;
    t->first = e->next;
    if (!t->first)
        t->last = &t->first;
    t->count--;
    free(e);
    return request;
}

void group_commit_submit(group_commit *group, ist_commit_request *request)
{
    const ist_commit_member *member = ist_commit_request_member(request);
    entry *e = calloc(1, sizeof *e);
    pthread_mutex_lock(&group->lock);
    bool stop = group->stop;
    table *t = NULL;
    if (e && !stop && !(t = find_table(group, member)))
        t = add_table(group, member);
    if (t) {
        e->request = request;
        *t->last = e;
        t->last = &e->next;
        t->count++;
        if (t->count == 1 && !t->running)
            make_ready(group, t);
    }
    pthread_mutex_unlock(&group->lock);
    if (t)
        return;
    free(e);
    if (stop)
        refuse_stopping(request);
    else
        answer_failure(request, IST_NO_MEMORY, "the daemon is out of memory");
}

/* ---- workers ------------------------------------------------------------------------------------------------- */

static void batch_free(batch *b)
{
    free(b->requests);
    free(b->members);
    free(b->statuses);
    free(b->results);
    free(b->errors);
    *b = (batch){0};
}

static bool batch_alloc(batch *b, size_t count)
{
    *b = (batch){.requests = calloc(count, sizeof *b->requests),
                 .members = calloc(count, sizeof *b->members),
                 .statuses = calloc(count, sizeof *b->statuses),
                 .results = calloc(count, sizeof *b->results),
                 .errors = calloc(count, sizeof *b->errors)};
    if (b->requests && b->members && b->statuses && b->results && b->errors)
        return true;
    batch_free(b);
    return false;
}

static bool is_committed(const batch *b, size_t i)
{
    return b->statuses[i] == IST_OK && b->results[i].outcome == IST_COMMIT_COMMITTED && !b->results[i].already;
}

static void commit_batch(group_commit *group, const table *t, batch *b)
{
    ist_error error = IST_ERROR_INIT;
    size_t committed = 0;
    ist_status status = group->commit(t->uri, t->access, b->members, b->count, b->statuses, b->results,
                                      b->errors, group->payload, &error);
    for (size_t i = 0; i < b->count; i++)
        committed += status == IST_OK && is_committed(b, i);
    if (committed) /* before the answers: who has one sees it counted */
        ist_commit_request_count(b->requests[0], committed);
    for (size_t i = 0; i < b->count; i++) {
        if (status == IST_OK)
            ist_commit_request_answer(b->requests[i], b->statuses[i], &b->results[i], &b->errors[i]);
        else
            ist_commit_request_answer(b->requests[i], status, NULL, &error);
    }
}

/* Commit what waits for one table. Called and returns with the lock held. */
static void work_on(group_commit *group, table *t)
{
    batch b;
    size_t count = t->count < group->batch ? t->count : group->batch;
    if (!batch_alloc(&b, count)) {
        answer_failure(take_request(t), IST_NO_MEMORY, "the daemon is out of memory");
    } else {
        for (; b.count < count; b.count++) {
            b.requests[b.count] = take_request(t);
            b.members[b.count] = *ist_commit_request_member(b.requests[b.count]);
        }
        t->running = true;
        pthread_mutex_unlock(&group->lock);
        commit_batch(group, t, &b);
        batch_free(&b);
        pthread_mutex_lock(&group->lock);
        t->running = false;
    }
    if (t->count)
        make_ready(group, t);
    else
        remove_table(group, t);
}

static void *run(void *self)
{
    group_commit *group = self;
    pthread_mutex_lock(&group->lock);
    for (;;) {
        while (!group->first_ready && !group->stop)
            pthread_cond_wait(&group->changed, &group->lock);
        if (group->stop)
            break;
        work_on(group, take_ready(group));
    }
    pthread_mutex_unlock(&group->lock);
    return NULL;
}

ist_status group_commit_new(size_t threads, size_t batch_size, group_commit_cb commit, void *payload,
                            group_commit **out, ist_error *err)
{
    group_commit *group = calloc(1, sizeof *group);
    if (group)
        group->threads = calloc(threads, sizeof *group->threads);
    if (!group || !group->threads) {
        free(group);
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the group committer");
    }
    group->commit = commit;
    group->payload = payload;
    group->batch = batch_size;
    group->last_ready = &group->first_ready;
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->changed, NULL);
    /* Signals are for the process's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (!failed && group->thread_count < threads) {
        failed = pthread_create(&group->threads[group->thread_count], NULL, run, group);
        group->thread_count += !failed;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        group_commit_stop(group);
        group_commit_free(group);
        return ist_error_set(err, IST_NO_MEMORY, failed, NULL, "cannot start a thread: %s", strerror(failed));
    }
    *out = group;
    return IST_OK;
}

void group_commit_stop(group_commit *group)
{
    pthread_mutex_lock(&group->lock);
    group->stop = true;
    pthread_cond_broadcast(&group->changed);
    pthread_mutex_unlock(&group->lock);
    for (size_t i = 0; i < group->thread_count; i++)
        pthread_join(group->threads[i], NULL);
    /* With the workers gone and `stop` set, nobody else touches the queues. */
    while (group->tables) {
        while (group->tables->count)
            refuse_stopping(take_request(group->tables));
        remove_table(group, group->tables);
    }
}

void group_commit_free(group_commit *group)
{
    if (!group)
        return;
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->lock);
    free(group->threads);
    free(group);
}
