/* statement.c: the life of a statement: submitted, found, waited for, ended, forgotten. */
#include "warehouse/warehouse_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENT_MAX = 200, MESSAGE_MAX = 16 << 10 };

/* Lists ------------------------------------------------------------------------------------------------------------ */

void ist__statement_append(ist__statement_list *list, ist__statement *s)
{
    s->previous = list->last;
    s->next = NULL;
    *(list->last ? &list->last->next : &list->first) = s;
    list->last = s;
    list->count++;
    s->list = list;
}

void ist__statement_prepend(ist__statement_list *list, ist__statement *s)
{
    s->next = list->first;
    s->previous = NULL;
    *(list->first ? &list->first->previous : &list->last) = s;
    list->first = s;
    list->count++;
    s->list = list;
}

void ist__statement_remove(ist__statement *s)
{
    ist__statement_list *list = s->list;
    if (!list)
        return;
    *(s->previous ? &s->previous->next : &list->first) = s->next;
    *(s->next ? &s->next->previous : &list->last) = s->previous;
    list->count--;
    s->list = NULL;
}

/* Ids are random: some of their digits are a hash. */
static ist__statement **bucket_of(ist__warehouses *all, const char *id)
{
    const char digits[] = {id[0], id[1], id[2], id[3], '\0'};
    return &all->by_id[strtoul(digits, NULL, 16) % IST__STATEMENT_BUCKETS];
}

ist__statement *ist__statement_by_id(ist__warehouses *all, const char *id)
{
    if (strlen(id) != 36)
        return NULL;
    ist__statement *s = *bucket_of(all, id);
    while (s && strcmp(s->id, id) != 0)
        s = s->next_by_id;
    return s;
}

static void unlink_by_id(ist__statement *s)
{
    ist__statement **at = bucket_of(s->all, s->id);
    while (*at != s)
        at = &(*at)->next_by_id;
    *at = s->next_by_id;
}

/* References ------------------------------------------------------------------------------------------------------- */

ist__statement *ist__statement_hold(ist__statement *s)
{
    atomic_fetch_add(&s->references, 1);
    return s;
}

static void free_columns(ist__statement *s)
{
    ist__result_store_discharge(&s->all->store, (int64_t)s->columns_size);
    free(s->columns);
    s->columns = NULL;
    s->columns_size = 0;
}

void ist__statement_release(ist__statement *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) > 1)
        return;
    ist__statement_request_free_text(&s->request);
    ist__principal_release(s->who);
    ist__result_release(s->result);
    free_columns(s);
    explicit_bzero(s->token, sizeof s->token);
    free(s->client);
    free(s->message);
    free(s->lineage);
    free(s->inputs);
    free(s);
}

const char *ist__statement_id(const ist__statement *s)
{
    return s->id;
}

int64_t ist__statement_wait_ms(const ist__statement *s)
{
    return s->request.wait_ms;
}

/* Submit ----------------------------------------------------------------------------------------------------------- */

static warehouse *find_warehouse(ist__warehouses *all, const char *id)
{
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->list[i].id, id) == 0)
            return &all->list[i];
    return NULL;
}

/* Nobody may fill the queue alone, and all together not this process' memory. */
static ist_status check_room(const ist__fair_queue *queue, const ist__statement *s, ist_error *err)
{
    const ist_warehouse_options *options = &s->all->options;
    int own = ist__queue_count_of(queue, s->user_id);
    if (queue->count >= (int)options->queue)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                             "%d statements wait in the warehouse %s, as many as may (`isthmus serve --queue`): submit"
                             " this one again when some have ended",
                             queue->count, s->at->id);
    if (own >= (int)options->user_queue)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                             "%d statements of %s wait in the warehouse %s, as many as one user's may (`isthmus serve"
                             " --user-queue`): submit this one again when some have ended",
                             own, s->user, s->at->id);
    if (queue->bytes + s->text_bytes > IST__QUEUED_BYTES_MAX)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                             "the statements that wait have %d MiB of text, as much as may: submit this one again when"
                             " some have ended",
                             IST__QUEUED_BYTES_MAX >> 20);
    return IST_OK;
}

/* May it be queued? With the mutex held. */
static ist_status admit(ist__warehouses *all, ist__statement *s, ist_error *err)
{
    s->at = find_warehouse(all, s->request.warehouse_id);
    if (all->stopping)
        return ist__uc_error(err, IST__UC_TEMPORARILY_UNAVAILABLE,
                             "the server is stopping: submit the statement again");
    if (!s->at)
        return ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST,
                             "there is no warehouse '%.100s': GET " IST__SQL_PATH "/warehouses lists those there are",
                             s->request.warehouse_id);
    if (all->history_fails && all->fetched.count + all->kept.count > IST__ENDED_MAX)
        return ist__uc_error(err, IST__UC_TEMPORARILY_UNAVAILABLE,
                             "%d statements have ended whose history cannot be written: make room on the disk of the"
                             " server's home, then submit this one again",
                             all->fetched.count + all->kept.count);
    return check_room(&s->at->queue, s, err);
}

static ist_status enqueue(ist__warehouses *all, ist__statement *s, ist_error *err)
{
    ist__statement **bucket = bucket_of(all, s->id);
    int64_t now_us = s->submitted_ms * 1000;
    s->number = all->last_number = now_us > all->last_number ? now_us : all->last_number + 1;
    if (!ist__queue_add(&s->at->queue, s))
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for another statement");
    s->next_by_id = *bucket;
    *bucket = s;
    ist__statement_note(s);
    return IST_OK;
}

ist_status ist__statement_submit(ist__warehouses *all, const ist__principal *who, const char *body, size_t size,
                                 const char *client, ist__statement **out, ist_error *err)
{
    ist__statement *s;
    *out = NULL;
    IST_TRY(ist__alloc(1, sizeof *s, (void **)&s, err));
    atomic_init(&s->references, 2); /* the caller's, and that of `all` while it is known by its id */
    s->all = all;
    s->submitted_ms = ist__now_ms();
    s->generation = atomic_load(&all->host.local->generation);
    s->who = who;
    ist__principal_hold(who);
    snprintf(s->user, sizeof s->user, "%s", who->name);
    snprintf(s->user_id, sizeof s->user_id, "%s", who->id);
    ist__uuid(s->id);
    ist_status status = ist__statement_request_read(body, size, &s->request, err);
    s->text_bytes = size;
    if (status == IST_OK && client) {
        char shown[CLIENT_MAX];
        ist__utf8_copy(shown, sizeof shown, client);
        status = ist__strdup(shown, &s->client, err);
    }
    if (status == IST_OK) {
        pthread_mutex_lock(&all->mutex);
        status = admit(all, s, err);
        if (status == IST_OK)
            status = enqueue(all, s, err);
        pthread_mutex_unlock(&all->mutex);
    }
    if (status != IST_OK) {
        atomic_store(&s->references, 1);
        ist__statement_release(s);
        return status;
    }
    ist__warehouses_poke(all);
    *out = s;
    return IST_OK;
}

/* Found, waited for ------------------------------------------------------------------------------------------------ */

void ist__statement_find(ist__warehouses *all, const ist__principal *who, const char *id, ist__statement **out)
{
    pthread_mutex_lock(&all->mutex);
    ist__statement *s = ist__statement_by_id(all, id);
    *out = s && strcmp(s->user_id, who->id) == 0 ? ist__statement_hold(s) : NULL;
    pthread_mutex_unlock(&all->mutex);
}

static bool has_ended(const ist__statement *s)
{
    return s->state > IST__RUNNING;
}

bool ist__statement_is_over(const ist__statement *s)
{
    bool changes = s->state == IST__SUCCEEDED && strcmp(s->kind, "SELECT") != 0;
    return has_ended(s) && (s->settled || !changes);
}

void ist__statement_wake(ist__statement *s, int64_t now_us)
{
    for (ist__waiter **at = &s->waiters; *at && s->noted;) {
        ist__waiter *waiter = *at;
        bool late = now_us >= waiter->until_us;
        if (ist__statement_is_over(s) || (late && !waiter->cancel)) {
            *at = waiter->next;
            waiter->next = s->all->to_wake;
            s->all->to_wake = waiter;
            s->all->waiting--;
        } else {
            s->cancel = s->cancel || late; /* its end wakes the waiter */
            at = &waiter->next;
        }
    }
}

bool ist__statement_wait(ist__statement *s, int64_t wait_ms, void (*wake)(void *payload), void *payload)
{
    ist__waiter *waiter = malloc(sizeof *waiter);
    if (!waiter)
        return false;
    pthread_mutex_lock(&s->all->mutex);
    if (s->all->waiting >= IST__WAITERS_MAX && !s->request.cancel_on_timeout)
        wait_ms = 0;
    bool waits = !s->noted || (!ist__statement_is_over(s) && wait_ms > 0);
    if (waits) {
        *waiter = (ist__waiter){.next = s->waiters,
                                .until_us = ist__monotonic_us() + wait_ms * 1000,
                                .cancel = s->request.cancel_on_timeout && wait_ms > 0,
                                .wake = wake,
                                .payload = payload};
        s->waiters = waiter;
        s->all->waiting++;
    }
    pthread_mutex_unlock(&s->all->mutex);
    if (!waits)
        free(waiter);
    else
        ist__warehouses_poke(s->all); /* its timer may be the first */
    return waits;
}

void ist__warehouses_wake(ist__warehouses *all)
{
    pthread_mutex_lock(&all->mutex);
    ist__waiter *waiters = all->to_wake, *next;
    all->to_wake = NULL;
    pthread_mutex_unlock(&all->mutex);
    for (; waiters; waiters = next) {
        next = waiters->next;
        waiters->wake(waiters->payload);
        free(waiters);
    }
}

void ist__statement_cancel(ist__statement *s)
{
    pthread_mutex_lock(&s->all->mutex);
    if (!has_ended(s) && !s->cancel) {
        s->cancel = true;
        if (s->state == IST__PENDING) {
            ist__queue_remove(&s->at->queue, s);
            ist__statement_end(s, IST__CANCELED, NULL, NULL);
        }
    }
    pthread_mutex_unlock(&s->all->mutex);
    ist__warehouses_wake(s->all);
    ist__warehouses_poke(s->all); /* which stops one that runs */
}

/* The end ---------------------------------------------------------------------------------------------------------- */

void ist__statement_note(ist__statement *s)
{
    s->all->urgent = s->all->urgent || !s->noted || (has_ended(s) && !ist__statement_is_over(s));
    if (s->unrecorded)
        return;
    s->unrecorded = true;
    s->next_unrecorded = NULL;
    *s->all->last_unrecorded = ist__statement_hold(s);
    s->all->last_unrecorded = &s->next_unrecorded;
}

void ist__statement_end(ist__statement *s, ist__statement_state state, const char *error_code, const char *message)
{
    ist__warehouses *all = s->all;
    s->state = state;
    s->ended_ms = ist__now_ms();
    explicit_bzero(s->token, sizeof s->token);
    if (error_code)
        ist__utf8_copy(s->error_code, sizeof s->error_code, error_code);
    if (message && !s->message)
        s->message = strndup(message, ist__utf8_prefix(message, MESSAGE_MAX));
    if (state != IST__SUCCEEDED) {
        ist__result_release(s->result);
        s->result = NULL;
        free_columns(s);
        s->rows = s->bytes = 0;
    }
    ist__statement_append(state == IST__SUCCEEDED ? &all->kept : &all->fetched, s);
    ist__statement_note(s);
    ist__statement_wake(s, 0);
}

/* Only the history knows it from now on. */
static void forget(ist__statement *s)
{
    ist__statement_remove(s);
    unlink_by_id(s);
    ist__result_release(s->result);
    s->result = NULL;
    ist__statement_release(s);
}

void ist__statements_forget(ist__warehouses *all, int64_t now_ms)
{
    int64_t oldest = now_ms - (int64_t)all->options.result_life_s * 1000;
    ist__statement_list *lists[] = {&all->fetched, &all->kept};
    for (int i = 0; i < 2; i++)
        for (ist__statement *s; (s = lists[i]->first); forget(s)) {
            bool too_many = all->fetched.count + all->kept.count > IST__ENDED_MAX;
            if ((s->ended_ms >= oldest && !too_many) || !s->recorded) /* the history has it in a moment */
                break;
        }
}

ist_status ist__statement_renew_principal(ist__statement *s, ist_error *err)
{
    ist__local *local = s->all->host.local;
    ist__session reader = {.local = local, .who = s->who};
    unsigned generation = atomic_load(&local->generation);
    const ist__principal *now = NULL;
    ist__db *db;
    if (s->generation == generation || s->who == &ist__principal_admin)
        return IST_OK;
    IST_TRY(ist__session_read(&reader, &db, err));
    IST_TRY(ist__db_end(db, ist__principal_named(db, s->user, &now, err), err));
    if (!now || strcmp(now->id, s->user_id) != 0) {
        ist__principal_release(now);
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "%s is no active principal any more", s->user);
    }
    const ist__principal *before = s->who;
    pthread_mutex_lock(&s->all->mutex);
    s->who = now;
    s->generation = generation;
    pthread_mutex_unlock(&s->all->mutex);
    ist__principal_release(before);
    return IST_OK;
}
