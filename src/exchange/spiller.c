/* spiller.c: runs ist__spill_run in a thread of its own. */
#include "exchange/spiller.h"

#include "util/util.h"

#include <pthread.h>
#include <stdlib.h>

struct ist__spiller {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum { IDLE, ASKED, DONE } state;
    bool stop;
    ist__spill spill;
    void (*done)(void *payload);
    void *payload;
};

static void *run(void *self)
{
    ist__spiller *spiller = self;
    pthread_mutex_lock(&spiller->lock);
    for (;;) {
        while (spiller->state != ASKED && !spiller->stop)
            pthread_cond_wait(&spiller->changed, &spiller->lock);
        if (spiller->stop)
            break;
        pthread_mutex_unlock(&spiller->lock);
        ist__spill_run(&spiller->spill); /* nobody else looks at it before DONE */
        pthread_mutex_lock(&spiller->lock);
        spiller->state = DONE;
        spiller->done(spiller->payload);
    }
    pthread_mutex_unlock(&spiller->lock);
    return NULL;
}

ist_status ist__spiller_new(void (*done)(void *payload), void *payload, ist__spiller **out, ist_error *err)
{
    ist__spiller *spiller;
    IST_TRY(ist__alloc(1, sizeof *spiller, (void **)&spiller, err));
    spiller->done = done;
    spiller->payload = payload;
    pthread_mutex_init(&spiller->lock, NULL);
    pthread_cond_init(&spiller->changed, NULL);
    int failed = pthread_create(&spiller->thread, NULL, run, spiller);
    if (failed) {
        pthread_cond_destroy(&spiller->changed);
        pthread_mutex_destroy(&spiller->lock);
        free(spiller);
        return ist_error_set(err, IST_NO_MEMORY, failed, NULL, "cannot start a thread");
    }
    *out = spiller;
    return IST_OK;
}

bool ist__spiller_free(ist__spiller *spiller, ist__spill *left)
{
    if (!spiller)
        return false;
    pthread_mutex_lock(&spiller->lock);
    spiller->stop = true;
    pthread_cond_signal(&spiller->changed);
    pthread_mutex_unlock(&spiller->lock);
    pthread_join(spiller->thread, NULL);
    *left = spiller->spill;
    if (spiller->state == ASKED)
        left->status = ist_error_set(&left->error, IST_CANCELLED, 0, NULL, "the daemon stops");
    bool is_left = spiller->state != IDLE;
    pthread_cond_destroy(&spiller->changed);
    pthread_mutex_destroy(&spiller->lock);
    free(spiller);
    return is_left;
}

bool ist__spiller_busy(ist__spiller *spiller)
{
    pthread_mutex_lock(&spiller->lock);
    bool busy = spiller->state != IDLE;
    pthread_mutex_unlock(&spiller->lock);
    return busy;
}

void ist__spiller_start(ist__spiller *spiller, const ist__spill *spill)
{
    pthread_mutex_lock(&spiller->lock);
    spiller->spill = *spill;
    spiller->state = ASKED;
    pthread_cond_signal(&spiller->changed);
    pthread_mutex_unlock(&spiller->lock);
}

bool ist__spiller_take(ist__spiller *spiller, ist__spill *out)
{
    pthread_mutex_lock(&spiller->lock);
    bool done = spiller->state == DONE;
    if (done) {
        *out = spiller->spill;
        spiller->state = IDLE;
    }
    pthread_mutex_unlock(&spiller->lock);
    return done;
}
