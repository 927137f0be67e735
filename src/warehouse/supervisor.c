/*
 * supervisor.c: workers: started when statements wait, told what to run, watched, stopped.
 *
 * A worker is starting until it says `ready`, then idle or busy with one statement, and ending from the moment that it
 * is killed or closes its channel until its process is reaped. Everything here runs in the loop's thread with the mutex
 * held; where the catalog is read the mutex is given up, which is safe because nobody else ends a statement that runs.
 */
#include "warehouse/name_resolver.h"
#include "warehouse/warehouse_internal.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
    START_MAX_US = 60 * 1000000, /* until a worker is ready */
    GRACE_US = 2 * 1000000,      /* between being asked to stop and being killed */
    FAILED_STARTS_MAX = 3,       /* in a row, before those who wait are told */
    BACKOFF_US = 500 * 1000,     /* doubled with each failed start */
    BACKOFF_STEPS = 6,
};
#define LEAVING "the server was stopped before the statement had ended: submit it again"
#define DATA_ROOM ((uint64_t)4 << 30) /* address space that allocators set aside without using it */
#define MEMORY_ROOM ((uint64_t)512 << 20) /* what an interpreter and its libraries have beside the engine's own limit */

/* Ending workers --------------------------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info, (void)type, (void)position;
    remove(path);
    return 0;
}

void ist__remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void ist__workers_bury(ist__warehouses *all)
{
    for (worker *w = all->graveyard, *next; w; w = next) {
        next = w->next;
        if (w->temp_dir)
            ist__remove_tree(w->temp_dir);
        free(w->temp_dir);
        free(w);
    }
    all->graveyard = NULL;
}

void ist__worker_kill(worker *w, const char *format, ...)
{
    va_list args;
    if (!*w->reason) {
        va_start(args, format);
        vsnprintf(w->reason, sizeof w->reason, format, args);
        va_end(args);
    }
    if (w->channel.socket >= 0)
        epoll_ctl(w->at->all->epoll, EPOLL_CTL_DEL, w->channel.socket, NULL);
    ist__process_kill(&w->process);
}

/* It only has to be reaped. */
static bool is_ending(const worker *w)
{
    return *w->reason || w->closed;
}

/* Its statement is over; the worker may take another. */
static void finish(worker *w, ist__statement_state state, const char *error_code, const char *message)
{
    ist__statement *s = w->statement;
    w->statement = NULL;
    w->deadline_us = 0;
    w->asked_to_stop = false;
    if (w->state == WORKER_BUSY)
        w->state = WORKER_IDLE;
    w->idle_since_us = ist__monotonic_us();
    if (!s)
        return;
    s->worker = NULL;
    ist__statement_end(s, state, error_code, message);
    ist__statement_release(s);
}

/* A statement that was to be stopped has stopped, however. */
static void finish_stopped(worker *w)
{
    if (w->statement->failure)
        finish(w, IST__FAILED, w->statement->failure, w->statement->message);
    else
        finish(w, IST__CANCELED, NULL, NULL);
}

static void fail_waiting(warehouse *at, const char *why)
{
    char message[600];
    snprintf(message, sizeof message,
             "the engine of the warehouse %s does not start (%d attempts): %s; the server's output tells more", at->id,
             at->failed_starts, why);
    for (ist__statement *s; (s = ist__queue_take(&at->queue));)
        ist__statement_end(s, IST__FAILED, "TEMPORARILY_UNAVAILABLE", message);
}

static void note_failed_start(warehouse *at, const char *why, int64_t now_us)
{
    int step = at->failed_starts < BACKOFF_STEPS ? at->failed_starts : BACKOFF_STEPS;
    at->failed_starts++;
    at->wanted = false;
    at->not_before_us = now_us + ((int64_t)BACKOFF_US << step);
    snprintf(at->trouble, sizeof at->trouble, "%s", why);
    if (at->failed_starts >= FAILED_STARTS_MAX)
        fail_waiting(at, why);
}

static void unlink_worker(worker *w)
{
    worker **at = &w->at->workers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->at->worker_count--;
    w->next = w->at->all->graveyard;
    w->at->all->graveyard = w;
}

/* A worker that was dead already, or died at once, did nothing for its statement: another one may try, once. */
static bool give_back(worker *w)
{
    ist__statement *s = w->statement;
    if (w->heard || *w->reason || s->given_again || !ist__queue_put_back(&w->at->queue, s))
        return false;
    w->statement = NULL;
    s->worker = NULL;
    s->given_again = true;
    s->state = IST__PENDING;
    explicit_bzero(s->token, sizeof s->token);
    ist__statement_release(s);
    return true;
}

/* The statement that was running when its worker ended. */
static void finish_orphan(worker *w, const char *how)
{
    char message[600];
    if (give_back(w))
        return;
    snprintf(message, sizeof message, "the engine's process %s while it ran the statement: %s; other statements go on",
             how, *w->reason ? w->reason : "a fault of the engine, or the machine is out of memory");
    finish(w, IST__FAILED, "INTERNAL_ERROR", message);
}

void ist__worker_ended(worker *w, int64_t now_us)
{
    char how[64], message[600];
    int epoll = w->at->all->epoll;
    if (w->process.pid == 0)
        return;
    if (!is_ending(w)) /* its last word may still be there */
        ist__worker_readable(w);
    if (!ist__process_reap(&w->process, how))
        return;
    epoll_ctl(epoll, EPOLL_CTL_DEL, w->process.fd, NULL);
    close(w->process.fd);
    epoll_ctl(epoll, EPOLL_CTL_DEL, w->channel.socket, NULL);
    ist__channel_close(&w->channel);
    if (w->state == WORKER_STARTING && !w->at->halting) {
        snprintf(message, sizeof message, "its process %s%s%s", how, *w->reason ? ": " : "", w->reason);
        note_failed_start(w->at, message, now_us);
    } else if (w->statement && (w->statement->cancel || w->statement->failure)) {
        finish_stopped(w);
    } else if (w->statement) {
        finish_orphan(w, how);
    }
    unlink_worker(w);
}

/* Starting workers ------------------------------------------------------------------------------------------------- */

static ist_status send_json(worker *w, yyjson_mut_doc *doc, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist__json_finish(doc, &text, err);
    if (status == IST_OK)
        status = ist__channel_send(&w->channel, text.data, text.size, err);
    ist__buffer_wipe(&text);
    return status;
}

/* Tell epoll whether the socket has to be written to. */
static void watch(worker *w)
{
    bool out = ist__channel_is_full(&w->channel);
    if (out == w->watches_out)
        return;
    struct epoll_event event = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0), .data.ptr = &w->on_socket};
    epoll_ctl(w->at->all->epoll, EPOLL_CTL_MOD, w->channel.socket, &event);
    w->watches_out = out;
}

static ist_status greet(worker *w, ist_error *err)
{
    ist__warehouses *all = w->at->all;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "hello");
    yyjson_mut_val *catalog = yyjson_mut_obj_add_obj(doc, root, "catalog");
    yyjson_mut_obj_add_str(doc, catalog, "host", all->url);
    yyjson_mut_obj_add_str(doc, catalog, "token", all->token);
    if (*all->ca_file)
        yyjson_mut_obj_add_str(doc, catalog, "ca_file", all->ca_file);
    yyjson_mut_obj_add_uint(doc, root, "memory_limit", all->options.worker_memory);
    yyjson_mut_obj_add_int(doc, root, "threads", get_nprocs());
    yyjson_mut_obj_add_str(doc, root, "results_dir", all->results_dir);
    yyjson_mut_obj_add_str(doc, root, "temp_dir", w->temp_dir);
    if (w->at->spark_url)
        yyjson_mut_obj_add_str(doc, root, "spark_url", w->at->spark_url);
    return send_json(w, doc, err);
}

static ist_status make_temp_dir(worker *w, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    char id[37];
    ist__uuid(id);
    IST_TRY(ist_buffer_printf(&path, err, "%s/" IST__ENGINE_FOLDER "%s", w->at->all->results_dir, id));
    w->temp_dir = path.data;
    if (mkdir(w->temp_dir, 0700) == 0)
        return IST_OK;
    return ist_error_set(err, IST_IO, errno, w->temp_dir, "cannot make the folder %s: %s", w->temp_dir,
                         strerror(errno));
}

static ist_status watch_new(worker *w, ist_error *err)
{
    int epoll = w->at->all->epoll;
    struct epoll_event on_socket = {.events = EPOLLIN, .data.ptr = &w->on_socket};
    struct epoll_event on_process = {.events = EPOLLIN, .data.ptr = &w->on_process};
    w->on_socket = (event_source){.worker = w};
    w->on_process = (event_source){.worker = w, .is_process = true};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, w->channel.socket, &on_socket) == 0 &&
        epoll_ctl(epoll, EPOLL_CTL_ADD, w->process.fd, &on_process) == 0)
        return IST_OK;
    return ist_error_set(err, IST_IO, errno, NULL, "cannot watch an engine: %s", strerror(errno));
}

static ist_status start_process(worker *w, ist_error *err)
{
    ist__warehouses *all = w->at->all;
    uint64_t memory = all->options.worker_memory;
    int socket;
    IST_TRY(make_temp_dir(w, err));
    IST_TRY(ist__process_start((const char *const *)all->command, w->at->kind, 2 * memory + DATA_ROOM, &w->process,
                               &socket, err));
    ist__channel_init(&w->channel, socket);
    return IST_OK;
}

static void start_worker(warehouse *at, int64_t now_us)
{
    ist_error error = IST_ERROR_INIT;
    worker *w = NULL;
    if (ist__alloc(1, sizeof *w, (void **)&w, &error) != IST_OK) {
        note_failed_start(at, error.message, now_us);
        return;
    }
    w->at = at;
    w->process.fd = -1;
    w->channel.socket = -1;
    w->deadline_us = now_us + START_MAX_US;
    w->next = at->workers;
    at->workers = w;
    at->worker_count++;
    if (start_process(w, &error) != IST_OK) {
        note_failed_start(at, error.message, now_us);
        unlink_worker(w);
        return;
    }
    ist_status status = watch_new(w, &error);
    if (status == IST_OK)
        status = greet(w, &error);
    if (status != IST_OK)
        ist__worker_kill(w, "%s", error.message); /* its end is a failed start */
    else
        watch(w);
}

/* Giving out statements -------------------------------------------------------------------------------------------- */

static void add_groups(yyjson_mut_doc *doc, yyjson_mut_val *root, const ist__principal *who)
{
    yyjson_mut_val *groups = yyjson_mut_obj_add_arr(doc, root, "groups");
    for (int i = 0; i < who->group_count; i++)
        yyjson_mut_arr_add_strcpy(doc, groups, who->groups[i].name);
}

static ist_status send_statement(worker *w, const ist__statement *s, ist_error *err)
{
    const ist__statement_request *r = &s->request;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "execute");
    yyjson_mut_obj_add_str(doc, root, "statement_id", s->id);
    yyjson_mut_obj_add_str(doc, root, "statement", r->statement);
    yyjson_mut_obj_add_val(doc, root, "parameters",
                           r->parameters ? yyjson_val_mut_copy(doc, r->parameters) : yyjson_mut_arr(doc));
    ist__json_add_text(doc, root, "catalog", r->catalog);
    ist__json_add_text(doc, root, "schema", r->schema);
    yyjson_mut_obj_add_str(doc, root, "user", s->user);
    add_groups(doc, root, s->who);
    yyjson_mut_obj_add_str(doc, root, "token", s->token);
    yyjson_mut_obj_add_str(doc, root, "format", ist__format_name(r->format));
    if (r->compression)
        yyjson_mut_obj_add_str(doc, root, "compression", r->compression);
    if (r->row_limit)
        yyjson_mut_obj_add_sint(doc, root, "row_limit", r->row_limit);
    if (r->byte_limit || !r->is_inline)
        yyjson_mut_obj_add_sint(doc, root, "byte_limit", r->byte_limit ? r->byte_limit : IST__LINKED_MAX);
    yyjson_mut_obj_add_int(doc, root, "chunk_bytes", r->is_inline ? IST__INLINE_CHUNK : IST__LINKED_CHUNK);
    if (r->is_inline)
        yyjson_mut_obj_add_int(doc, root, "inline_limit", IST__INLINE_MAX);
    yyjson_mut_obj_add_sint(doc, root, "now_ms", ist__now_ms());
    return send_json(w, doc, err);
}

/* The token that acts as the statement's principal for as long as it runs. */
static ist_status make_statement_token(ist__statement *s, ist_error *err)
{
    char secret[IST__SECRET_TEXT];
    IST_TRY(ist__secret_make(secret, err));
    snprintf(s->token, sizeof s->token, IST__WAREHOUSE_TOKEN_PREFIX "%s", secret + strlen("ist_"));
    explicit_bzero(secret, sizeof secret);
    return IST_OK;
}

static void give(worker *w, ist__statement *s, int64_t now_us)
{
    ist_error error = IST_ERROR_INIT;
    s->state = IST__RUNNING;
    s->started_ms = ist__now_ms();
    s->worker = w;
    w->statement = ist__statement_hold(s);
    w->state = WORKER_BUSY;
    w->heard = false;
    w->deadline_us = now_us + (int64_t)w->at->all->options.statement_timeout_s * 1000000;
    ist__statement_note(s);
    ist_status status = make_statement_token(s, &error);
    if (status == IST_OK)
        status = send_statement(w, s, &error);
    if (status != IST_OK)
        ist__worker_kill(w, "%s", error.message);
    else
        watch(w);
}

static worker *find_idle(warehouse *at)
{
    worker *w = at->workers;
    while (w && (w->state != WORKER_IDLE || is_ending(w)))
        w = w->next;
    return w;
}

static int count_starting(const warehouse *at)
{
    int count = 0;
    for (const worker *w = at->workers; w; w = w->next)
        count += w->state == WORKER_STARTING;
    return count;
}

/* Give idle workers the statements that wait, then start a worker for each that still waits, up to the most. */
void ist__warehouse_dispatch(warehouse *at, int64_t now_us)
{
    worker *idle;
    if (at->halting)
        return;
    while (at->queue.first && (idle = find_idle(at)))
        give(idle, ist__queue_take(&at->queue), now_us);
    int starting = count_starting(at), needed = at->queue.count;
    if (at->wanted && at->worker_count == 0 && needed == 0)
        needed = 1;
    while (needed > starting && at->worker_count < (int)at->all->options.workers && now_us >= at->not_before_us) {
        int failed = at->failed_starts;
        start_worker(at, now_us);
        if (at->failed_starts != failed)
            return;
        starting++;
    }
}

/* Ask the worker to stop its statement; one that does not is killed after a grace. */
static void stop_statement(worker *w)
{
    ist_error error = IST_ERROR_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "cancel");
    yyjson_mut_obj_add_str(doc, root, "statement_id", w->statement->id);
    w->asked_to_stop = true;
    w->deadline_us = ist__monotonic_us() + GRACE_US;
    if (send_json(w, doc, &error) != IST_OK)
        ist__worker_kill(w, "%s", error.message);
    else
        watch(w);
}

/* Messages --------------------------------------------------------------------------------------------------------- */

static ist_status on_ready(worker *w, const ist__worker_message *m, ist_error *err)
{
    (void)m;
    if (w->state != WORKER_STARTING)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "it said ready again");
    w->state = WORKER_IDLE;
    w->deadline_us = 0;
    w->idle_since_us = ist__monotonic_us();
    w->at->failed_starts = 0;
    w->at->wanted = false;
    w->at->trouble[0] = '\0';
    return IST_OK;
}

static ist_status refuse_names(worker *w, int64_t id, const ist_error *problem, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "refused");
    yyjson_mut_obj_add_sint(doc, root, "id", id);
    yyjson_mut_obj_add_str(doc, root, "error_code", ist__uc_code_name(ist__uc_code_of(problem)));
    yyjson_mut_obj_add_strcpy(doc, root, "message", problem->message);
    return send_json(w, doc, err);
}

/* The catalog is read without the mutex: the statement runs, and only this thread ends those. */
static ist_status on_resolve(worker *w, const ist__worker_message *m, ist_error *err)
{
    ist__warehouses *all = w->at->all;
    ist_buffer answer = IST_BUFFER_INIT;
    ist_error problem = IST_ERROR_INIT;
    pthread_mutex_unlock(&all->mutex);
    ist_status status = ist__statement_renew_principal(w->statement, &problem);
    if (status == IST_OK)
        status = ist__names_resolve(all->host.local, w->statement->who, m->id, m->tables, m->functions, &answer,
                                    &problem);
    pthread_mutex_lock(&all->mutex);
    status = status == IST_OK ? ist__channel_send(&w->channel, answer.data, answer.size, err)
                              : refuse_names(w, m->id, &problem, err);
    ist_buffer_free(&answer);
    return status;
}

/* Stop a statement for a reason of the server's. */
static void fail_statement(worker *w, const char *error_code, const char *message)
{
    ist__statement *s = w->statement;
    if (s->failure || s->cancel)
        return;
    s->failure = error_code;
    if (!s->message)
        s->message = strdup(message);
    ist__result_release(s->result); /* room for others, at once */
    s->result = NULL;
    stop_statement(w);
}

/* They are kept in memory for as long as the result, and SQL chooses their names: they count like its rows. */
static ist_status on_columns(worker *w, const ist__worker_message *m, ist_error *err)
{
    ist__statement *s = w->statement;
    ist_buffer text = {.limit = IST__COLUMNS_TEXT_MAX};
    ist_error problem = IST_ERROR_INIT;
    if (s->columns)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "it told columns twice");
    ist_status status = ist__worker_columns_write(m->columns, &text, &problem);
    if (status == IST_OK)
        status = ist__result_store_charge(&w->at->all->store, (int64_t)text.size, &problem);
    if (status == IST_OK) {
        s->columns = text.data;
        s->columns_size = text.size;
        s->column_count = yyjson_arr_size(m->columns);
        return IST_OK;
    }
    ist_buffer_free(&text);
    fail_statement(w, "RESOURCE_EXHAUSTED", status == IST_RETRYABLE ? problem.message
                   : "the names and types of the result's columns are longer than 16 MiB: select fewer, or name them"
                     " shorter");
    return IST_OK;
}

static bool is_too_large_for_answers(const ist__statement *s)
{
    return s->request.is_inline && s->result && s->result->bytes > IST__INLINE_MAX;
}

static ist_status on_chunk(worker *w, const ist__worker_message *m, ist_error *err)
{
    ist__statement *s = w->statement;
    ist_error problem = IST_ERROR_INIT;
    int fd = ist__channel_take_fd(&w->channel);
    if (s->failure) { /* it comes too late */
        if (fd >= 0)
            close(fd);
        return IST_OK;
    }
    ist_status status = s->result ? IST_OK : ist__result_new(&w->at->all->store, &s->result, &problem);
    if (status == IST_OK)
        status = ist__result_add(s->result, fd, m->rows, m->bytes, &problem);
    if (status == IST_BAD_INPUT)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s", problem.message);
    if (status != IST_OK)
        fail_statement(w, status == IST_RETRYABLE ? "RESOURCE_EXHAUSTED" : "IO_ERROR", problem.message);
    else if (is_too_large_for_answers(s))
        fail_statement(w, "RESOURCE_EXHAUSTED",
                       "the result is larger than the 25 MiB that the disposition INLINE can tell: use EXTERNAL_LINKS,"
                       " or narrow the statement");
    return IST_OK;
}

static ist_status on_done(worker *w, const ist__worker_message *m, ist_error *err)
{
    ist__statement *s = w->statement;
    if (s->failure) {
        finish_stopped(w);
        return IST_OK;
    }
    bool is_select = strcmp(m->kind, "SELECT") == 0;
    int64_t rows = s->result ? s->result->rows : 0;
    if (m->rows != rows && (s->result || is_select))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "its chunks have %" PRId64 " rows, but it counts %" PRId64,
                             rows, m->rows);
    s->rows = m->rows;
    s->bytes = s->result ? s->result->bytes : 0;
    s->truncated = m->truncated;
    ist__utf8_copy(s->kind, sizeof s->kind, m->kind);
    if (m->lineage)
        s->lineage = yyjson_val_write(m->lineage, 0, NULL);
    if (yyjson_is_arr(yyjson_obj_get(m->lineage, "inputs")))
        s->inputs = yyjson_val_write(yyjson_obj_get(m->lineage, "inputs"), 0, NULL);
    finish(w, IST__SUCCEEDED, NULL, NULL);
    return IST_OK;
}

static ist_status on_failed(worker *w, const ist__worker_message *m, ist_error *err)
{
    (void)err;
    if (w->statement->failure || w->statement->cancel) {
        finish_stopped(w);
        return IST_OK;
    }
    if (m->sql_state)
        ist__utf8_copy(w->statement->sql_state, sizeof w->statement->sql_state, m->sql_state);
    finish(w, IST__FAILED, m->error_code, m->message);
    return IST_OK;
}

static ist_status on_message(worker *w, const ist__worker_message *m, ist_error *err)
{
    static ist_status (*const handlers[])(worker *, const ist__worker_message *, ist_error *) = {
        [IST__WORKER_READY] = on_ready,     [IST__WORKER_RESOLVE] = on_resolve, [IST__WORKER_COLUMNS] = on_columns,
        [IST__WORKER_CHUNK] = on_chunk,     [IST__WORKER_DONE] = on_done,       [IST__WORKER_FAILED] = on_failed,
    };
    if (m->type != IST__WORKER_READY && w->state != WORKER_BUSY)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "it spoke of a statement while it had none");
    w->heard = true;
    return handlers[m->type](w, m, err);
}

/* A process that closes its channel ends; one that does not is helped. */
static void expect_end(worker *w)
{
    w->closed = true;
    w->deadline_us = ist__monotonic_us() + GRACE_US;
    epoll_ctl(w->at->all->epoll, EPOLL_CTL_DEL, w->channel.socket, NULL);
}

void ist__worker_readable(worker *w)
{
    ist_error error = IST_ERROR_INIT;
    bool ended = false;
    const char *text;
    size_t size;
    if (is_ending(w) || w->process.pid == 0)
        return;
    ist_status status = ist__channel_receive(&w->channel, &ended, &error);
    while (status == IST_OK && !is_ending(w)) {
        ist__worker_message message;
        status = ist__channel_next(&w->channel, &text, &size, &error);
        if (status != IST_OK || !text)
            break;
        status = ist__worker_message_read(text, size, &message, &error);
        if (status == IST_OK)
            status = on_message(w, &message, &error);
        ist__worker_message_free(&message);
    }
    if (status != IST_OK)
        ist__worker_kill(w, "it does not keep to the protocol of the channel: %s", error.message);
    else if (ended)
        expect_end(w);
    else if (!is_ending(w))
        watch(w);
}

void ist__worker_writable(worker *w)
{
    ist_error error = IST_ERROR_INIT;
    if (is_ending(w) || w->process.pid == 0)
        return;
    if (ist__channel_flush(&w->channel, &error) != IST_OK)
        ist__worker_kill(w, "%s", error.message);
    else
        watch(w);
}

/* Stopping --------------------------------------------------------------------------------------------------------- */

static void check_deadline(worker *w, int64_t now_us)
{
    char message[200];
    if (w->deadline_us == 0 || now_us < w->deadline_us)
        return;
    if (w->closed) {
        ist__worker_kill(w, "it closed its channel");
    } else if (w->state == WORKER_STARTING) {
        ist__worker_kill(w, "it was not ready after %d s", START_MAX_US / 1000000);
    } else if (w->statement && (w->statement->cancel || w->statement->failure)) {
        ist__worker_kill(w, "it did not stop when it was asked to");
    } else if (w->statement) {
        snprintf(message, sizeof message, "the statement ran for %u s, as long as one may (`isthmus serve"
                 " --statement-timeout`)", w->at->all->options.statement_timeout_s);
        fail_statement(w, "DEADLINE_EXCEEDED", message);
    }
}

static void check_memory(worker *w)
{
    uint64_t limit = w->at->all->options.worker_memory, most = limit + limit / 4 + MEMORY_ROOM;
    uint64_t used = ist__process_memory(&w->process);
    if (used > most)
        ist__worker_kill(w, "it used %" PRIu64 " MiB of memory; a worker may use %" PRIu64 " MiB (`isthmus serve"
                         " --worker-memory`) and a little more", used >> 20, limit >> 20);
}

void ist__worker_check(worker *w, int64_t now_us)
{
    if (is_ending(w)) {
        check_deadline(w, now_us);
        ist__worker_ended(w, now_us);
        return;
    }
    if (w->state == WORKER_BUSY && w->statement->cancel && !w->asked_to_stop)
        stop_statement(w);
    check_deadline(w, now_us);
    if (w->state == WORKER_BUSY)
        check_memory(w);
    if (w->state == WORKER_IDLE && now_us - w->idle_since_us > (int64_t)w->at->all->options.idle_s * 1000000)
        ist__worker_kill(w, "it was idle");
}

void ist__warehouse_halt(warehouse *at)
{
    bool leaving = at->all->stopping;
    for (ist__statement *s; (s = ist__queue_take(&at->queue));)
        ist__statement_end(s, leaving ? IST__FAILED : IST__CANCELED, leaving ? "TEMPORARILY_UNAVAILABLE" : NULL,
                           leaving ? LEAVING : NULL);
    for (worker *w = at->workers; w; w = w->next) {
        if (w->statement && leaving)
            fail_statement(w, "TEMPORARILY_UNAVAILABLE", LEAVING);
        else if (w->statement)
            w->statement->cancel = true;
        if (leaving || !w->statement)
            ist__worker_kill(w, "the warehouse was stopped");
    }
    at->halting = at->worker_count > 0;
}
