/* warehouse_testing.h: warehouses over a catalog of their own, with workers that do what the statement says. */
#ifndef ISTHMUS_WAREHOUSE_TESTING_H
#define ISTHMUS_WAREHOUSE_TESTING_H

#include "testing.h"

#include "catalog/local/principals.h"
#include "warehouse/warehouse_internal.h"

#include <string.h>
#include <time.h>
#include <yyjson.h>

typedef struct warehouses {
    char *home;
    ist_catalog *catalog;
    ist__local *local;
    ist_warehouse_options options;
    ist__warehouses *all;
    ist_error err;
    yyjson_doc *doc; /* of the last answer */
    pthread_mutex_t mutex;
    pthread_cond_t woken_one;
    int woken, writes; /* writes: under way */
} warehouses;

/* What the writer of a server does, in a thread for each. */
typedef struct test_write {
    warehouses *w;
    ist_status (*work)(void *payload, ist__db *db, ist_error *err);
    void (*done)(void *payload, bool kept);
    void *payload;
} test_write;

static inline void *run_write(void *self)
{
    test_write *write = self;
    warehouses *w = write->w;
    ist__db *db;
    ist_error err = IST_ERROR_INIT;
    ist_status status = ist__session_write(&w->local->admin, &db, &err);
    if (status == IST_OK)
        status = ist__db_end(db, write->work(write->payload, db, &err), &err);
    write->done(write->payload, status == IST_OK);
    if (status != IST_OK)
        print_error("a write failed: %s\n", err.message);
    free(write);
    pthread_mutex_lock(&w->mutex);
    w->writes--;
    pthread_cond_broadcast(&w->woken_one);
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static inline void write_in_thread(void *self, ist_status (*work)(void *payload, ist__db *db, ist_error *err),
                                   void (*done)(void *payload, bool kept), void *payload)
{
    test_write *write = malloc(sizeof *write);
    pthread_t thread;
    *write = (test_write){self, work, done, payload};
    pthread_mutex_lock(&((warehouses *)self)->mutex);
    ((warehouses *)self)->writes++;
    pthread_mutex_unlock(&((warehouses *)self)->mutex);
    if (pthread_create(&thread, NULL, run_write, write) != 0)
        abort();
    pthread_detach(thread);
}

static inline void start_warehouses(warehouses *w)
{
    static char script[4200];
    static const char *command[] = {"python3", script, NULL};
    const ist__warehouse_host host = {.local = w->local, .write = write_in_thread, .self = w};
    snprintf(script, sizeof script, "%s/../warehouse/scripted_worker.py", getenv("ISTHMUS_TEST_DATA"));
    if (!w->options.engine_command)
        w->options.engine_command = command;
    assert_ok(ist__warehouses_start(&w->options, &host, &w->all, &w->err), w->err);
    assert_ok(ist__warehouses_set_catalog(w->all, "http://127.0.0.1:1", "", &w->err), w->err);
}

static inline void stop_warehouses(warehouses *w)
{
    ist__warehouses_stop(w->all);
    pthread_mutex_lock(&w->mutex);
    while (w->writes > 0)
        pthread_cond_wait(&w->woken_one, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    ist__warehouses_free(w->all);
    w->all = NULL;
}

/* A catalog, and no warehouses yet: options can be set. */
static inline int set_up_catalog(void **state)
{
    warehouses *w = calloc(1, sizeof *w);
    char uri[4200];
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    w->home = new_folder();
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", w->home);
    options.uri = uri;
    assert_ok(ist_catalog_open(&options, &w->catalog, &w->err), w->err);
    w->local = ((ist__session *)w->catalog->self)->local;
    w->options = (ist_warehouse_options)IST_WAREHOUSE_OPTIONS_INIT;
    w->options.worker_memory = 256 << 20;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->woken_one, NULL);
    *state = w;
    return 0;
}

static inline int set_up_warehouses(void **state)
{
    set_up_catalog(state);
    start_warehouses(*state);
    return 0;
}

static inline int tear_down_warehouses(void **state)
{
    warehouses *w = *state;
    if (w->all)
        stop_warehouses(w);
    yyjson_doc_free(w->doc);
    ist_catalog_free(w->catalog);
    remove_folder(w->home);
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->woken_one);
    free(w);
    return 0;
}

static inline void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Submit, with more members ("\"row_limit\":1"), or NULL. */
static inline ist__statement *submit(warehouses *w, const char *statement, const char *more)
{
    char body[8192];
    ist__statement *s;
    snprintf(body, sizeof body, "{\"warehouse_id\":\"embedded\",\"statement\":\"%s\"%s%s}", statement, more ? "," : "",
             more ? more : "");
    ist_status status =
        ist__statement_submit(w->all, &ist__principal_admin, body, strlen(body), "test", &s, &w->err);
    assert_ok(status, w->err);
    return s;
}

static inline void note_woken(void *self)
{
    warehouses *w = self;
    pthread_mutex_lock(&w->mutex);
    w->woken++;
    pthread_cond_broadcast(&w->woken_one);
    pthread_mutex_unlock(&w->mutex);
}

static inline void wait_woken(warehouses *w, int count)
{
    pthread_mutex_lock(&w->mutex);
    while (w->woken < count)
        pthread_cond_wait(&w->woken_one, &w->mutex);
    w->woken -= count;
    pthread_mutex_unlock(&w->mutex);
}

/* The answer is in w->doc. */
static inline void ask(warehouses *w, ist__statement *s)
{
    ist_buffer text = IST_BUFFER_INIT;
    assert_ok(ist__statement_answer(s, "http://h", &text, &w->err), w->err);
    yyjson_doc_free(w->doc);
    w->doc = yyjson_read(text.data, text.size, 0);
    if (!w->doc)
        fail_msg("no JSON: %s", text.data);
    ist_buffer_free(&text);
}

static inline const char *text_at(const warehouses *w, const char *pointer)
{
    const char *text = yyjson_get_str(yyjson_doc_ptr_get(w->doc, pointer));
    return text ? text : "";
}

static inline int64_t number_at(const warehouses *w, const char *pointer)
{
    yyjson_val *value = yyjson_doc_ptr_get(w->doc, pointer);
    return yyjson_is_int(value) ? yyjson_get_sint(value) : -1;
}

static inline void expect_text(warehouses *w, const char *pointer, const char *expected)
{
    if (strcmp(text_at(w, pointer), expected) != 0) {
        char *answer = yyjson_write(w->doc, 0, NULL);
        fail_msg("%s is not '%s': %.2000s", pointer, expected, answer);
    }
}

/* Wait for its end and expect a state. */
static inline void expect_state(warehouses *w, ist__statement *s, const char *state)
{
    if (ist__statement_wait(s, 30000, note_woken, w))
        wait_woken(w, 1);
    ask(w, s);
    expect_text(w, "/status/state", state);
}

/* Run to an end and expect its state; the answer is in w->doc. */
static inline void run(warehouses *w, const char *statement, const char *more, const char *state)
{
    ist__statement *s = submit(w, statement, more);
    expect_state(w, s, state);
    ist__statement_release(s);
}

/* The last answer's error must have this code and say this. */
static inline void expect_failure(warehouses *w, const char *code, const char *words)
{
    expect_text(w, "/status/error/error_code", code);
    if (!strstr(text_at(w, "/status/error/message"), words))
        fail_msg("the message does not say '%s': %s", words, text_at(w, "/status/error/message"));
}

#endif
