/*
 * warehouse_loop.c: the one thread that looks after workers, queues and timers.
 *
 * It sleeps until a worker speaks or ends, or somebody pokes it. While anything has a deadline it looks up every 0.1 s,
 * which is as exact as waits and graces need to be; otherwise once a second while there is something to forget.
 */
#include "warehouse/warehouse_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64, STEP_US = 100 * 1000, SLOW_STEP_US = 1000 * 1000 };

static bool has_deadlines(const ist__warehouses *all)
{
    bool any = all->waiting > 0;
    for (int i = 0; !any && i < all->count; i++) {
        const warehouse *at = &all->list[i];
        any = at->queue.count > 0 || at->halting;
        for (const worker *w = at->workers; w && !any; w = w->next)
            any = w->state != WORKER_IDLE || *w->reason || w->closed;
    }
    return any;
}

/* How long epoll may sleep, in milliseconds. */
static int pause_of(const ist__warehouses *all)
{
    if (has_deadlines(all))
        return STEP_US / 1000;
    bool slow = all->unrecorded || all->fetched.count > 0 || all->kept.count > 0;
    for (int i = 0; !slow && i < all->count; i++)
        slow = all->list[i].worker_count > 0;
    return slow ? SLOW_STEP_US / 1000 : -1;
}

static void check_queue(warehouse *at, int64_t now_us)
{
    for (ist__statement *s = ist__queue_after(&at->queue, NULL), *next; s; s = next) {
        next = ist__queue_after(&at->queue, s);
        ist__statement_wake(s, now_us);
        if (!s->cancel)
            continue;
        ist__queue_remove(&at->queue, s);
        ist__statement_end(s, IST__CANCELED, NULL, NULL);
    }
}

static void check_warehouse(warehouse *at, int64_t now_us)
{
    if (at->all->waiting > 0)
        check_queue(at, now_us);
    for (worker *w = at->workers, *next; w; w = next) {
        next = w->next;
        if (w->statement)
            ist__statement_wake(w->statement, now_us);
        ist__worker_check(w, now_us);
    }
}

static void handle_event(ist__warehouses *all, const struct epoll_event *event, int64_t now_us)
{
    const event_source *source = event->data.ptr;
    uint64_t count;
    if (source == &all->on_wakeup) {
        if (read(all->wakeup, &count, sizeof count) < 0 && errno != EAGAIN)
            return;
    } else if (source->is_process) {
        ist__worker_ended(source->worker, now_us);
    } else {
        if (event->events & EPOLLOUT)
            ist__worker_writable(source->worker);
        if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            ist__worker_readable(source->worker);
    }
}

/* Statements that run and were canceled by another thread are stopped at once; idle workers get what waits. */
static void serve(warehouse *at, int64_t now_us)
{
    if (at->halting || at->all->stopping)
        ist__warehouse_halt(at);
    for (worker *w = at->workers, *next; w; w = next) {
        next = w->next;
        if (w->statement && w->statement->cancel && !w->asked_to_stop)
            ist__worker_check(w, now_us);
    }
    ist__warehouse_dispatch(at, now_us);
}

static bool is_over(const ist__warehouses *all)
{
    bool over = all->stopping;
    for (int i = 0; over && i < all->count; i++)
        over = all->list[i].worker_count == 0;
    return over;
}

/* One round, with the mutex held. */
static void work(ist__warehouses *all, const struct epoll_event *events, int count, int64_t *checked_us)
{
    int64_t now_us = ist__monotonic_us();
    for (int i = 0; i < count; i++)
        handle_event(all, &events[i], now_us);
    if (now_us - *checked_us >= STEP_US) {
        *checked_us = now_us;
        for (int i = 0; i < all->count; i++)
            check_warehouse(&all->list[i], now_us);
        ist__statements_forget(all, ist__now_ms());
    }
    for (int i = 0; i < all->count; i++)
        serve(&all->list[i], now_us);
    ist__workers_bury(all);
    if (all->unrecorded && (all->urgent || now_us - all->recorded_us >= SLOW_STEP_US || is_over(all)))
        ist__queries_record(all);
}

void *ist__warehouses_loop(void *self)
{
    ist__warehouses *all = self;
    struct epoll_event events[EVENTS];
    int64_t checked_us = 0;
    bool over = false;
    while (!over) {
        pthread_mutex_lock(&all->mutex);
        int pause = pause_of(all);
        pthread_mutex_unlock(&all->mutex);
        int count = epoll_wait(all->epoll, events, EVENTS, pause);
        pthread_mutex_lock(&all->mutex);
        work(all, events, count, &checked_us);
        over = is_over(all);
        pthread_mutex_unlock(&all->mutex);
        ist__warehouses_wake(all);
    }
    return NULL;
}
