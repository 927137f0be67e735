/*
 * query_history.c: what was run, by whom, with what end: in the catalog's database, written in batches.
 *
 * Whoever submits is told the statement's id once the history has it, so that a server that is started after a crash
 * knows of it; likewise that a change was made. The statement itself runs meanwhile. One batch is under way at a time, and
 * all that comes meanwhile is the next. What nobody waits for, the end of a query, goes with the next batch, or after a
 * second. Lists add what is in memory and not yet written.
 */
#include "warehouse/warehouse_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000, FORGET_US = 10 * 1000000 };

/* Writing ---------------------------------------------------------------------------------------------------------- */

/* A statement on its way to the history. */
typedef struct record {
    ist__statement *statement; /* held: texts are its own */
    ist__query query;          /* as it was when the batch was made */
} record;

/* One batch, on its way through the writer. */
typedef struct batch {
    ist__warehouses *all;
    bool cleans; /* forgets what is old, too */
    size_t count;
    record records[];
} batch;

static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

/* Call with the mutex held. */
static ist__query query_of(const ist__statement *s)
{
    bool ended = s->state > IST__RUNNING;
    return (ist__query){.number = s->number,
                        .statement_id = s->id,
                        .user_id = s->user_id,
                        .user = s->user,
                        .warehouse = s->at->id,
                        .text = s->request.statement ? s->request.statement : "",
                        .client = s->client,
                        .state = s->state,
                        .kind = ended ? text_or_null(s->kind) : NULL,
                        .error_code = ended ? text_or_null(s->error_code) : NULL,
                        .error = s->state == IST__FAILED ? s->message : NULL,
                        .sql_state = ended ? text_or_null(s->sql_state) : NULL,
                        .submitted_ms = s->submitted_ms,
                        .started_ms = s->started_ms,
                        .ended_ms = s->ended_ms,
                        .rows = s->rows,
                        .bytes = s->bytes};
}

/* What it did, as whoever asked it. A refusal of the lineage store does not keep the history from being written. */
static void write_lineage(ist__warehouses *all, ist__db *db, const ist__statement *s)
{
    ist__session session = {.local = all->host.local, .who = s->who, .transaction = db};
    ist_buffer event = IST_BUFFER_INIT;
    if (ist__statement_lineage(s, &event, NULL) == IST_OK)
        ist__local_post_lineage(&session, event.data, NULL);
    ist_buffer_free(&event);
}

static ist_status write_batch(void *payload, ist__db *db, ist_error *err)
{
    batch *b = payload;
    for (size_t i = 0; i < b->count; i++) {
        const record *r = &b->records[i];
        IST_TRY(ist__query_write(db, &r->query, err));
        if (r->query.state == IST__SUCCEEDED && ist__statement_has_lineage(b->all, r->statement))
            write_lineage(b->all, db, r->statement);
    }
    return b->cleans ? ist__query_forget(db, err) : IST_OK;
}

/* With the mutex held: the history has this, or the statement is to be tried again. A full disk makes nobody wait. */
static void settle(record *r, bool kept)
{
    ist__statement *s = r->statement;
    bool ended = r->query.state > IST__RUNNING;
    s->noted = true;
    s->settled = s->settled || ended;
    if (!kept) {
        ist__statement_note(s);
    } else if (ended) {
        s->recorded = true;
        ist__statement_request_free_text(&s->request);
        free(s->lineage);
        s->lineage = NULL;
    }
    ist__statement_wake(s, ist__monotonic_us());
}

/* What cannot be written is tried again with the next batch, but for at the end. */
static void batch_done(void *payload, bool kept)
{
    batch *b = payload;
    ist__warehouses *all = b->all;
    pthread_mutex_lock(&all->mutex);
    for (size_t i = 0; i < b->count; i++)
        settle(&b->records[i], kept || all->stopping);
    all->history_fails = !kept;
    all->recording = false;
    bool again = all->urgent;
    pthread_cond_broadcast(&all->quiet);
    pthread_mutex_unlock(&all->mutex);
    ist__warehouses_wake(all);
    if (again) /* for those who came meanwhile */
        ist__warehouses_poke(all);
    for (size_t i = 0; i < b->count; i++)
        ist__statement_release(b->records[i].statement);
    free(b);
}

static size_t count_unrecorded(const ist__warehouses *all)
{
    size_t count = 0;
    for (const ist__statement *s = all->unrecorded; s; s = s->next_unrecorded)
        count++;
    return count;
}

void ist__queries_record(ist__warehouses *all)
{
    size_t count = count_unrecorded(all);
    if (all->recording || count == 0)
        return;
    batch *b = malloc(sizeof *b + count * sizeof *b->records);
    if (!b)
        return; /* next time */
    b->all = all;
    b->count = 0;
    for (ist__statement *s = all->unrecorded; s; s = s->next_unrecorded) {
        s->unrecorded = false;
        b->records[b->count++] = (record){.statement = s, .query = query_of(s)};
    }
    all->unrecorded = NULL;
    all->last_unrecorded = &all->unrecorded;
    all->recording = true;
    all->urgent = false;
    all->recorded_us = ist__monotonic_us();
    b->cleans = all->recorded_us - all->forgot_us >= FORGET_US;
    if (b->cleans)
        all->forgot_us = all->recorded_us;
    pthread_mutex_unlock(&all->mutex);
    all->host.write(all->host.self, write_batch, batch_done, b);
    pthread_mutex_lock(&all->mutex);
}

/* A statement of the past ------------------------------------------------------------------------------------------ */

static void describe_past(yyjson_mut_doc *doc, const ist__query *q)
{
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    ist__statement_state state = q->state;
    const char *code = q->error_code ? q->error_code : "INTERNAL_ERROR", *message = q->error ? q->error : "";
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_strcpy(doc, root, "statement_id", q->statement_id);
    yyjson_mut_val *status = yyjson_mut_obj_add_obj(doc, root, "status");
    yyjson_mut_obj_add_str(doc, status, "state",
                           state == IST__SUCCEEDED  ? "CLOSED"
                           : state == IST__CANCELED ? "CANCELED"
                                                    : "FAILED");
    if (state == IST__CANCELED)
        return;
    yyjson_mut_val *error = yyjson_mut_obj_add_obj(doc, status, "error");
    yyjson_mut_obj_add_strcpy(doc, error, "error_code", state == IST__SUCCEEDED ? "NOT_FOUND" : code);
    yyjson_mut_obj_add_strcpy(doc, error, "message",
                              state == IST__SUCCEEDED ? "the result is no longer kept: it is for a time, and goes with"
                                                        " the server when that ends; submit the statement again"
                                                      : message);
    if (q->sql_state)
        yyjson_mut_obj_add_strcpy(doc, status, "sql_state", q->sql_state);
}

static ist_status find_past(ist__session *session, ist__db *db, const char *id, yyjson_mut_doc *doc, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__query_find(db, id, session->who->id, &row, err));
    if (row) {
        ist__query query = ist__query_of_row(row);
        describe_past(doc, &query);
        return IST_OK;
    }
    return ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST,
                         "there is no statement %.36s of yours; they are remembered for 30 days", id);
}

ist_status ist__statement_answer_past(ist__session *session, const char *id, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = ist__db_end(db, find_past(session, db, id, doc, err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

/* Lists ------------------------------------------------------------------------------------------------------------ */

static const char *const status_names[] = {
    [IST__PENDING] = "QUEUED", [IST__RUNNING] = "RUNNING",   [IST__SUCCEEDED] = "FINISHED",
    [IST__FAILED] = "FAILED",  [IST__CANCELED] = "CANCELED",
};

static void add_times(yyjson_mut_doc *doc, yyjson_mut_val *out, const ist__query *e)
{
    yyjson_mut_obj_add_sint(doc, out, "query_start_time_ms", e->submitted_ms);
    if (e->ended_ms) {
        yyjson_mut_obj_add_sint(doc, out, "query_end_time_ms", e->ended_ms);
        yyjson_mut_obj_add_sint(doc, out, "execution_end_time_ms", e->ended_ms);
        yyjson_mut_obj_add_sint(doc, out, "duration", e->ended_ms - e->submitted_ms);
    }
    yyjson_mut_val *metrics = yyjson_mut_obj_add_obj(doc, out, "metrics");
    if (e->ended_ms) {
        yyjson_mut_obj_add_sint(doc, metrics, "total_time_ms", e->ended_ms - e->submitted_ms);
        yyjson_mut_obj_add_sint(doc, metrics, "execution_time_ms", e->started_ms ? e->ended_ms - e->started_ms : 0);
    }
    yyjson_mut_obj_add_sint(doc, metrics, "rows_produced_count", e->rows);
    yyjson_mut_obj_add_sint(doc, metrics, "result_bytes", e->bytes);
}

static void add_members(yyjson_mut_doc *doc, yyjson_mut_val *out, const ist__query *e)
{
    yyjson_mut_obj_add_strcpy(doc, out, "query_id", e->statement_id);
    yyjson_mut_obj_add_strcpy(doc, out, "user_name", e->user);
    yyjson_mut_obj_add_strcpy(doc, out, "executed_as_user_name", e->user);
    yyjson_mut_obj_add_strcpy(doc, out, "warehouse_id", e->warehouse);
    yyjson_mut_obj_add_strcpy(doc, out, "endpoint_id", e->warehouse);
    yyjson_mut_obj_add_strcpy(doc, out, "query_text", e->text);
    yyjson_mut_obj_add_str(doc, out, "status", status_names[e->state]);
    yyjson_mut_obj_add_bool(doc, out, "is_final", e->state > IST__RUNNING);
    yyjson_mut_obj_add_sint(doc, out, "rows_produced", e->rows);
    if (e->kind)
        yyjson_mut_obj_add_strcpy(doc, out, "statement_type", e->kind);
    if (e->client)
        yyjson_mut_obj_add_strcpy(doc, out, "client_application", e->client);
    if (e->error)
        yyjson_mut_obj_add_strcpy(doc, out, "error_message", e->error);
    add_times(doc, out, e);
}

/* What a list was asked for, checked. */
typedef struct wish {
    const ist__query_filter *filter;
    const char *user_id; /* whose alone; NULL for everybody's */
    int limit;
    int64_t before, until_ms;
} wish;

static bool is_one_of(const ist__query_values *wanted, const char *value)
{
    bool found = wanted->count == 0;
    for (int i = 0; !found && i < wanted->count; i++)
        found = strcmp(wanted->value[i], value) == 0;
    return found;
}

static bool is_wanted(const wish *w, const ist__query *e)
{
    const ist__query_filter *f = w->filter;
    return e->number < w->before && (!w->user_id || strcmp(w->user_id, e->user_id) == 0) &&
           is_one_of(&f->statuses, status_names[e->state]) && is_one_of(&f->users, e->user) &&
           is_one_of(&f->warehouses, e->warehouse) && is_one_of(&f->statements, e->statement_id) &&
           e->submitted_ms >= f->from_ms && e->submitted_ms <= w->until_ms;
}

static ist_status check_status(const char *text, ist_error *err)
{
    for (size_t i = 0; i < sizeof status_names / sizeof *status_names; i++)
        if (strcmp(status_names[i], text) == 0)
            return IST_OK;
    return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE,
                         "filter_by.statuses '%.40s' is none of QUEUED, RUNNING, FINISHED, FAILED, CANCELED", text);
}

static ist_status read_wish(const ist__session *session, const ist__query_filter *f, wish *out, ist_error *err)
{
    char *end;
    *out = (wish){.filter = f,
                  .user_id = session->who->is_admin ? NULL : session->who->id,
                  .before = INT64_MAX,
                  .until_ms = f->until_ms ? f->until_ms : INT64_MAX};
    if (f->max_results < 0 || f->max_results > LIMIT_MAX)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "max_results is not from 1 to %d", LIMIT_MAX);
    out->limit = f->max_results ? f->max_results : LIMIT_DEFAULT;
    for (int i = 0; i < f->statuses.count; i++)
        IST_TRY(check_status(f->statuses.value[i], err));
    if (f->page_token && *f->page_token) {
        errno = 0;
        out->before = strtoll(f->page_token, &end, 10);
        if (*end || errno || out->before < 1)
            return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "page_token is not one of this list's");
    }
    return IST_OK;
}

/* An entry on its way into a list. */
typedef struct found {
    int64_t number;
    yyjson_mut_val *value;
} found;

/* One list on its way. */
typedef struct listing {
    const wish *wish;
    yyjson_mut_doc *doc;
    found *live, *past; /* newest first, wish->limit at most */
    int live_count, past_count;
} listing;

static int newest_first(const void *a, const void *b)
{
    const ist__statement *const *x = a, *const *y = b;
    return (*x)->number < (*y)->number ? 1 : (*x)->number > (*y)->number ? -1 : 0;
}

static yyjson_mut_val *describe_entry(yyjson_mut_doc *doc, const ist__query *e)
{
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    add_members(doc, out, e);
    return out;
}

/* The statements that the history does not have as they are. With the mutex held. */
static void find_live(ist__warehouses *all, listing *l)
{
    size_t count = 0, room = 0;
    ist__statement **all_live = NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < IST__STATEMENT_BUCKETS; i++)
            for (ist__statement *s = all->by_id[i]; s; s = s->next_by_id) {
                ist__query e = query_of(s);
                if (s->recorded || !is_wanted(l->wish, &e))
                    continue;
                if (pass == 0)
                    room++;
                else
                    all_live[count++] = s;
            }
        if (pass == 0 && (room == 0 || !(all_live = malloc(room * sizeof(ist__statement *)))))
            return;
    }
    qsort(all_live, count, sizeof(ist__statement *), newest_first);
    for (; l->live_count < l->wish->limit && (size_t)l->live_count < count; l->live_count++) {
        ist__query e = query_of(all_live[l->live_count]);
        l->live[l->live_count] = (found){e.number, describe_entry(l->doc, &e)};
    }
    free(all_live);
}

static ist_status find_past_ones(ist__db *db, listing *l, ist_error *err)
{
    const wish *w = l->wish;
    sqlite3_stmt *row;
    IST_TRY(ist__query_list(db, w->before, w->user_id, &row, err));
    while (row && l->past_count < w->limit) {
        ist__query e = ist__query_of_row(row);
        if (is_wanted(w, &e))
            l->past[l->past_count++] = (found){e.number, describe_entry(l->doc, &e)};
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

/* Both in one order; what is in memory is newer than what the history has of it. */
static void merge(listing *l, yyjson_mut_val *root)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(l->doc, root, "res");
    int live = 0, past = 0, count = 0;
    int64_t last = 0;
    for (; count < l->wish->limit && (live < l->live_count || past < l->past_count); count++) {
        bool take_live = past == l->past_count ||
                         (live < l->live_count && l->live[live].number >= l->past[past].number);
        found *next = take_live ? &l->live[live] : &l->past[past];
        if (take_live && past < l->past_count && l->past[past].number == next->number)
            past++;
        live += take_live;
        past += !take_live;
        last = next->number;
        yyjson_mut_arr_append(list, next->value);
    }
    bool more = count == l->wish->limit;
    yyjson_mut_obj_add_bool(l->doc, root, "has_next_page", more);
    if (more) {
        char token[24];
        snprintf(token, sizeof token, "%" PRId64, last);
        yyjson_mut_obj_add_strcpy(l->doc, root, "next_page_token", token);
    }
}

/* The history first: what ends meanwhile is then in memory still. */
static ist_status list_queries(ist__warehouses *all, ist__session *session, listing *l, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__alloc(2 * (size_t)l->wish->limit, sizeof *l->live, (void **)&l->live, err));
    l->past = l->live + l->wish->limit;
    IST_TRY(ist__session_read(session, &db, err));
    IST_TRY(ist__db_end(db, find_past_ones(db, l, err), err));
    pthread_mutex_lock(&all->mutex);
    find_live(all, l);
    pthread_mutex_unlock(&all->mutex);
    yyjson_mut_val *root = yyjson_mut_obj(l->doc);
    yyjson_mut_doc_set_root(l->doc, root);
    merge(l, root);
    return IST_OK;
}

ist_status ist__queries_list(ist__warehouses *all, ist__session *session, const ist__query_filter *filter,
                             ist_buffer *out, ist_error *err)
{
    wish w;
    IST_TRY(read_wish(session, filter, &w, err));
    listing l = {.wish = &w, .doc = yyjson_mut_doc_new(NULL)};
    ist_status status = list_queries(all, session, &l, err);
    free(l.live);
    if (status == IST_OK)
        return ist__json_finish(l.doc, out, err);
    yyjson_mut_doc_free(l.doc);
    return status;
}
