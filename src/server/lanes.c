/* lanes.c: the writer with its group commit, and the threads for slow requests. */
#include "server/lanes.h"

#include "catalog/local/principals.h"
#include "server/audit_trail.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    GROUP_MAX = 256,    /* requests of one transaction */
    SLOW_THREADS = 8,   /* most of their time goes into waiting for others */
    HOUSEKEEPING_S = 30 /* how often the writer notes when tokens were used and forgets old audit entries */
};

typedef struct queue {
    ist__job *first, **last;
    pthread_cond_t filled;
} queue;

struct ist__lanes {
    ist__local *local;
    pthread_mutex_t mutex;
    queue write, slow;
    bool stopping_write, stopping_slow;
    pthread_t writer, slow_threads[SLOW_THREADS];
    int threads; /* started: the writer, then the slow ones */
    time_t cleaned_at;
};

/* Queues ----------------------------------------------------------------------------------------------------------- */

static void push(ist__lanes *lanes, queue *q, ist__job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&lanes->mutex);
    *q->last = job;
    q->last = &job->next;
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&lanes->mutex);
}

/* The first of the queue, at most `most`, as a list. Call with the mutex held. */
static ist__job *take(queue *q, int most)
{
    ist__job *first = q->first, **end = &q->first;
    for (int i = 0; *end && i < most; i++)
        end = &(*end)->next;
    q->first = *end;
    *end = NULL;
    if (!q->first)
        q->last = &q->first;
    return end == &q->first ? NULL : first;
}

void ist__lanes_add(ist__lanes *lanes, ist__job *job)
{
    bool writes = job->chore || job->answered || job->call->route->lane == IST__LANE_WRITE;
    push(lanes, writes ? &lanes->write : &lanes->slow, job);
}

/* The writer ------------------------------------------------------------------------------------------------------- */

static void refuse(ist__job *job, const ist_error *error)
{
    job->failed = true;
    if (job->call)
        ist__call_refuse(job->call, error);
}

static void run_chore(ist__db *db, ist__job *job)
{
    ist_error error = IST_ERROR_INIT;
    ist_status status = ist__db_savepoint(db, &error);
    if (status == IST_OK)
        status = ist__db_end(db, job->chore(job, db, &error), &error);
    if (status != IST_OK)
        refuse(job, &error);
}

/* Run one request in the group's transaction: there what its session begins is a savepoint, which rolls back alone. */
static void run_in_group(ist__db *db, ist__job *job)
{
    job->session->transaction = db;
    ist__call_run(job->call);
    job->session->transaction = NULL;
}

/* An answer must not be ahead of its entry: where that cannot be written, the whole group fails. */
static ist_status run_group(ist__db *db, ist__job *jobs, ist_error *err)
{
    for (ist__job *job = jobs; job; job = job->next) {
        if (job->chore)
            run_chore(db, job);
        else if (!job->answered)
            run_in_group(db, job);
        /* On a full disk SQLite may give up the whole transaction; then nothing of the group is kept. */
        if (sqlite3_get_autocommit(db->handle))
            return ist_error_set(err, IST_RETRYABLE, 0, NULL, "the catalog database gave up a transaction: try again");
        if (job->call && ist__audit_wanted(job->call))
            IST_TRY(ist__audit_add(db, job->session, job->call, err));
    }
    return IST_OK;
}

static void keep_house(ist__lanes *lanes)
{
    struct timespec now;
    ist__db *db = lanes->local->writer;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - lanes->cleaned_at < HOUSEKEEPING_S)
        return;
    lanes->cleaned_at = now.tv_sec;
    if (ist__db_begin(db, NULL) != IST_OK)
        return; /* next time */
    ist_status status = ist__tokens_note_use(lanes->local, db, NULL);
    if (status == IST_OK)
        status = ist__audit_forget(lanes->local, db, NULL);
    ist__db_end(db, status, NULL);
}

/* Chores alone must survive this process, not the machine. */
static bool has_chores_only(const ist__job *job)
{
    while (job && job->chore)
        job = job->next;
    return !job;
}

static void commit_group(ist__lanes *lanes, ist__job *jobs)
{
    ist_error error = IST_ERROR_INIT;
    ist__db *db = lanes->local->writer;
    ist_status status = has_chores_only(jobs) ? ist__db_begin_unsynced(db, &error) : ist__db_begin(db, &error);
    if (status == IST_OK)
        status = ist__db_end(db, run_group(db, jobs, &error), &error);
    if (status != IST_OK) {
        error.status = IST_RETRYABLE;
        error.where[0] = '\0';
    }
    for (ist__job *job = jobs, *next; job; job = next) {
        next = job->next; /* the job is the server's again once it is told */
        if (status != IST_OK)
            refuse(job, &error);
        job->done(job);
    }
}

static void *write_lane(void *self)
{
    ist__lanes *lanes = self;
    pthread_mutex_lock(&lanes->mutex);
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HOUSEKEEPING_S;
        int waited = 0;
        while (!lanes->write.first && !lanes->stopping_write && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&lanes->write.filled, &lanes->mutex, &until);
        ist__job *jobs = take(&lanes->write, GROUP_MAX);
        bool end = !jobs && lanes->stopping_write;
        pthread_mutex_unlock(&lanes->mutex);
        if (jobs)
            commit_group(lanes, jobs);
        keep_house(lanes);
        if (end)
            return NULL;
        pthread_mutex_lock(&lanes->mutex);
    }
}

/* Slow requests ---------------------------------------------------------------------------------------------------- */

static void *slow_lane(void *self)
{
    ist__lanes *lanes = self;
    pthread_mutex_lock(&lanes->mutex);
    for (;;) {
        while (!lanes->slow.first && !lanes->stopping_slow)
            pthread_cond_wait(&lanes->slow.filled, &lanes->mutex);
        ist__job *job = take(&lanes->slow, 1);
        pthread_mutex_unlock(&lanes->mutex);
        if (!job)
            return NULL;
        ist__call_run(job->call);
        job->answered = true;
        if (ist__audit_wanted(job->call))
            push(lanes, &lanes->write, job);
        else
            job->done(job);
        pthread_mutex_lock(&lanes->mutex);
    }
}

/* Start, stop ------------------------------------------------------------------------------------------------------ */

ist_status ist__lanes_start(ist__local *local, ist__lanes **out, ist_error *err)
{
    ist__lanes *lanes;
    IST_TRY(ist__alloc(1, sizeof *lanes, (void **)&lanes, err));
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lanes->cleaned_at = now.tv_sec;
    lanes->local = local;
    lanes->write.last = &lanes->write.first;
    lanes->slow.last = &lanes->slow.first;
    pthread_mutex_init(&lanes->mutex, NULL);
    pthread_cond_init(&lanes->write.filled, NULL);
    pthread_cond_init(&lanes->slow.filled, NULL);
    int code = pthread_create(&lanes->writer, NULL, write_lane, lanes);
    for (lanes->threads = code == 0; code == 0 && lanes->threads <= SLOW_THREADS; lanes->threads += code == 0)
        code = pthread_create(&lanes->slow_threads[lanes->threads - 1], NULL, slow_lane, lanes);
    *out = lanes;
    if (code == 0)
        return IST_OK;
    ist__lanes_stop(lanes);
    *out = NULL;
    return ist_error_set(err, IST_IO, code, NULL, "cannot start the server's threads: %s", strerror(code));
}

/* The slow ones first: they hand what they did to the writer. */
void ist__lanes_stop(ist__lanes *lanes)
{
    if (!lanes)
        return;
    pthread_mutex_lock(&lanes->mutex);
    lanes->stopping_slow = true;
    pthread_cond_broadcast(&lanes->slow.filled);
    pthread_mutex_unlock(&lanes->mutex);
    for (int i = 1; i < lanes->threads; i++)
        pthread_join(lanes->slow_threads[i - 1], NULL);
    pthread_mutex_lock(&lanes->mutex);
    lanes->stopping_write = true;
    pthread_cond_broadcast(&lanes->write.filled);
    pthread_mutex_unlock(&lanes->mutex);
    if (lanes->threads > 0)
        pthread_join(lanes->writer, NULL);
    pthread_cond_destroy(&lanes->write.filled);
    pthread_cond_destroy(&lanes->slow.filled);
    pthread_mutex_destroy(&lanes->mutex);
    free(lanes);
}
