/* test_supervisor.c: workers that do well, badly, or not at all. */
#include "warehouse_testing.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#define LINKS "\"disposition\":\"EXTERNAL_LINKS\""

static int count_workers(warehouses *w, pid_t *first)
{
    pthread_mutex_lock(&w->all->mutex);
    int count = w->all->list[0].worker_count;
    if (first && w->all->list[0].workers)
        *first = w->all->list[0].workers->process.pid;
    pthread_mutex_unlock(&w->all->mutex);
    return count;
}

static void wait_running(warehouses *w, ist__statement *s)
{
    ask(w, s);
    for (int i = 0; i < 500 && strcmp(text_at(w, "/status/state"), "PENDING") == 0; i++) {
        pause_ms(20);
        ask(w, s);
    }
    expect_text(w, "/status/state", "RUNNING");
}

static void test_warehouse_supervisor__runs_statements(void **state)
{
    warehouses *w = *state;
    run(w, "rows 3", NULL, "SUCCEEDED");
    assert_int_equal(number_at(w, "/manifest/total_row_count"), 3);
    assert_int_equal(number_at(w, "/manifest/total_chunk_count"), 1);
    expect_text(w, "/manifest/schema/columns/0/name", "n");
    assert_int_equal(number_at(w, "/manifest/schema/columns/0/position"), 0);
    expect_text(w, "/result/data_array/2/0", "2");
    run(w, "rows 0", NULL, "SUCCEEDED");
    assert_int_equal(number_at(w, "/manifest/total_row_count"), 0);
    assert_int_equal(number_at(w, "/manifest/schema/column_count"), 1);
    run(w, "rows 2; truncated", NULL, "SUCCEEDED");
    assert_true(yyjson_is_true(yyjson_doc_ptr_get(w->doc, "/manifest/truncated")));
    assert_int_equal(count_workers(w, NULL), 1); /* one was enough for one after the other */
}

static void test_warehouse_supervisor__tells_what_was_asked(void **state)
{
    warehouses *w = *state;
    run(w, "echo",
        "\"catalog\":\"c\",\"schema\":\"s\",\"row_limit\":5,\"byte_limit\":77,"
        "\"parameters\":[{\"name\":\"p\",\"value\":\"1\",\"type\":\"INT\"},{\"name\":\"q\"}]",
        "SUCCEEDED");
    yyjson_doc *execute = yyjson_read(text_at(w, "/result/data_array/0/0"),
                                      strlen(text_at(w, "/result/data_array/0/0")), 0);
    yyjson_val *root = yyjson_doc_get_root(execute);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "catalog")), "c");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "schema")), "s");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "user")), "admin");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "format")), "JSON_ARRAY");
    assert_int_equal(yyjson_get_sint(yyjson_obj_get(root, "row_limit")), 5);
    assert_int_equal(yyjson_get_sint(yyjson_obj_get(root, "byte_limit")), 77);
    assert_int_equal(yyjson_get_sint(yyjson_obj_get(root, "inline_limit")), 25 << 20);
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "parameters")), 2);
    yyjson_doc_free(execute);
}

static void test_warehouse_supervisor__worker_has_no_secrets_and_no_descriptors(void **state)
{
    warehouses *w = *state;
    run(w, "environment", NULL, "SUCCEEDED");
    const char *told = text_at(w, "/result/data_array/0/0");
    assert_null(strstr(told, w->all->token));
    assert_non_null(strstr(told, "PYTHONSAFEPATH"));
    yyjson_doc *doc = yyjson_read(told, strlen(told), 0);
    /* 0, 1, 2, the channel, and the one that lists them */
    assert_true(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "descriptors")) <= 5);
    yyjson_doc_free(doc);
}

static void test_warehouse_supervisor__chunks(void **state)
{
    warehouses *w = *state;
    ist_buffer text = IST_BUFFER_INIT;
    ist__statement *s = submit(w, "chunks 3 10000", LINKS);
    expect_state(w, s, "SUCCEEDED");
    assert_int_equal(number_at(w, "/manifest/total_row_count"), 30000);
    assert_int_equal(number_at(w, "/manifest/chunks/2/row_offset"), 20000);
    assert_int_equal(number_at(w, "/result/external_links/0/next_chunk_index"), 1);
    assert_ok(ist__statement_answer_chunk(s, 2, "http://h", &text, &w->err), w->err);
    assert_non_null(strstr(text.data, "http://h/api/2.0/isthmus/results/"));
    assert_null(strstr(text.data, "next_chunk_index"));
    assert_int_equal(ist__statement_answer_chunk(s, 3, "http://h", &text, &w->err), IST_NOT_FOUND);
    assert_true(atomic_load(&w->all->store.bytes) > 0);
    ist_buffer_free(&text);
    ist__statement_release(s);
}

static void test_warehouse_supervisor__engine_errors(void **state)
{
    warehouses *w = *state;
    run(w, "fail BAD_REQUEST no such column x", NULL, "FAILED");
    expect_failure(w, "BAD_REQUEST", "no such column x");
    expect_text(w, "/status/sql_state", "42601");
    run(w, "rows 5; fail BAD_REQUEST late", NULL, "FAILED");
    assert_null(yyjson_doc_ptr_get(w->doc, "/manifest"));
    assert_int_equal(atomic_load(&w->all->store.bytes), 0);
    run(w, "rows 1", NULL, "SUCCEEDED");
}

static void test_warehouse_supervisor__broken_workers(void **state)
{
    static const struct {
        const char *statement, *words;
    } cases[] = {
        {"die", "was killed by signal 9"},
        {"exit 7", "ended with status 7"},
        {"rows 3; die", "was killed by signal 9"},
        {"close", "it closed its channel"},
        {"garbage", "not a JSON object"},
        {"oversize", "longer than"},
        {"unknown", "no message of the type 'what'"},
        {"nofd", "without its file"},
        {"wrong 5", "has 3 bytes, not 5"},
        {"twice", "columns twice"},
        {"rows 3; count 4", "have 3 rows, but it counts 4"},
        {"uncountable", "more rows than can be counted"},
        {"count 4", "have 0 rows, but it counts 4"},
    };
    warehouses *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(w, cases[i].statement, NULL, "FAILED");
        expect_failure(w, "INTERNAL_ERROR", cases[i].words);
        run(w, "rows 1", NULL, "SUCCEEDED"); /* others go on */
    }
}

/* A worker may say its last word and go. */
static void test_warehouse_supervisor__last_word(void **state)
{
    warehouses *w = *state;
    pid_t before = 0, after = 0;
    run(w, "rows 1", NULL, "SUCCEEDED");
    count_workers(w, &before);
    kill(before, SIGKILL);
    run(w, "rows 1", NULL, "SUCCEEDED"); /* given to the dead or to a new one: it must not get lost for good */
    count_workers(w, &after);
    assert_int_not_equal(before, after);
}

static void test_warehouse_supervisor__cancel(void **state)
{
    warehouses *w = *state;
    ist__statement *running = submit(w, "sleep 60", NULL), *stubborn = submit(w, "hang", NULL);
    ist__statement *waiting = submit(w, "sleep 60", NULL);
    wait_running(w, running);
    wait_running(w, stubborn);
    ask(w, waiting);
    expect_text(w, "/status/state", "PENDING"); /* there are two workers */
    ist__statement_cancel(waiting);
    ask(w, waiting);
    expect_text(w, "/status/state", "CANCELED");
    ist__statement_cancel(running);
    expect_state(w, running, "CANCELED");
    int64_t before = ist__monotonic_us();
    ist__statement_cancel(stubborn);
    expect_state(w, stubborn, "CANCELED");
    assert_true(ist__monotonic_us() - before < 4000000);
    ist__statement_cancel(stubborn); /* once more is nothing */
    assert_string_equal(stubborn->token, "");
    run(w, "rows 1", NULL, "SUCCEEDED");
    ist__statement_release(running);
    ist__statement_release(stubborn);
    ist__statement_release(waiting);
}

static void test_warehouse_supervisor__waits(void **state)
{
    warehouses *w = *state;
    ist__statement *s = submit(w, "sleep 2", NULL);
    wait_running(w, s);
    assert_true(ist__statement_wait(s, 300, note_woken, w));
    wait_woken(w, 1);
    ask(w, s);
    expect_text(w, "/status/state", "RUNNING");
    expect_state(w, s, "SUCCEEDED");
    assert_false(ist__statement_wait(s, 1000, note_woken, w)); /* it has ended */
    ist__statement_release(s);
    s = submit(w, "sleep 60", "\"on_wait_timeout\":\"CANCEL\",\"wait_timeout\":\"5s\"");
    assert_int_equal(ist__statement_wait_ms(s), 5000);
    assert_true(ist__statement_wait(s, 300, note_woken, w));
    wait_woken(w, 1);
    ask(w, s);
    expect_text(w, "/status/state", "CANCELED");
    ist__statement_release(s);
}

static void test_warehouse_supervisor__statement_timeout(void **state)
{
    warehouses *w = *state;
    w->options.statement_timeout_s = 1;
    start_warehouses(w);
    run(w, "sleep 60", NULL, "FAILED");
    expect_failure(w, "DEADLINE_EXCEEDED", "--statement-timeout");
}

static void test_warehouse_supervisor__budgets(void **state)
{
    warehouses *w = *state;
    w->options.result_bytes = 3 << 20;
    w->options.statement_bytes = 2 << 20;
    start_warehouses(w);
    run(w, "bytes 1000000; bytes 1000000; bytes 1000000", LINKS, "FAILED");
    expect_failure(w, "RESOURCE_EXHAUSTED", "--statement-space");
    assert_int_equal(atomic_load(&w->all->store.bytes), 0);
    run(w, "bytes 1900000", LINKS, "SUCCEEDED");
    run(w, "bytes 1900000", LINKS, "FAILED");
    expect_failure(w, "RESOURCE_EXHAUSTED", "--result-space");
    run(w, "bytes 1000", LINKS, "SUCCEEDED");
}

/* SQL chooses the names of columns, which are kept in memory. */
static void test_warehouse_supervisor__columns_count(void **state)
{
    warehouses *w = *state;
    w->options.result_bytes = 3 << 20;
    start_warehouses(w);
    run(w, "column 20000000", NULL, "FAILED");
    expect_failure(w, "RESOURCE_EXHAUSTED", "columns are longer than 16 MiB");
    assert_int_equal(atomic_load(&w->all->store.bytes), 0);
    run(w, "column 2000000", NULL, "SUCCEEDED");
    run(w, "column 2000000", NULL, "FAILED");
    expect_failure(w, "RESOURCE_EXHAUSTED", "--result-space");
}

/* What is too long is cut between characters: an answer that is no UTF-8 would be none. */
static void test_warehouse_supervisor__long_texts(void **state)
{
    warehouses *w = *state;
    char statement[400] = "fail X";
    for (int i = 0; i < 60; i++)
        strcat(statement, "\xC3\xA4");
    strcat(statement, " no");
    run(w, statement, NULL, "FAILED");
    assert_int_equal(strlen(text_at(w, "/status/error/error_code")), 47);
    ist_buffer list = IST_BUFFER_INIT;
    ist__session session = {.local = w->local, .who = &ist__principal_admin};
    char body[] = "{\"warehouse_id\":\"embedded\",\"statement\":\"rows 1\"}";
    ist__statement *s;
    assert_ok(ist__statement_submit(w->all, &ist__principal_admin, body, strlen(body), "client \xC3\xFF", &s, &w->err),
              w->err);
    expect_state(w, s, "SUCCEEDED");
    assert_ok(ist__queries_list(w->all, &session, &(ist__query_filter){0}, &list, &w->err), w->err);
    assert_non_null(strstr(list.data, "\"client_application\":\"client \""));
    ist_buffer_free(&list);
    ist__statement_release(s);
}

static void test_warehouse_supervisor__too_large_for_answers(void **state)
{
    warehouses *w = *state;
    run(w, "bytes 20000000; bytes 20000000", NULL, "FAILED");
    expect_failure(w, "RESOURCE_EXHAUSTED", "EXTERNAL_LINKS");
    run(w, "bytes 20000000; bytes 20000000", LINKS, "SUCCEEDED");
}

static void test_warehouse_supervisor__memory(void **state)
{
    warehouses *w = *state;
    w->options.worker_memory = 16 << 20; /* and 512 MiB besides, that an interpreter may have */
    start_warehouses(w);
    run(w, "memory 700", NULL, "FAILED");
    expect_failure(w, "INTERNAL_ERROR", "--worker-memory");
    run(w, "rows 1", NULL, "SUCCEEDED");
}

static void test_warehouse_supervisor__does_not_start(void **state)
{
    static const char *const nothing[] = {"/nowhere/python", NULL};
    warehouses *w = *state;
    w->options.engine_command = nothing;
    start_warehouses(w);
    run(w, "rows 1", NULL, "FAILED");
    expect_failure(w, "TEMPORARILY_UNAVAILABLE", "/nowhere/python");
    ist_buffer text = IST_BUFFER_INIT;
    assert_ok(ist__warehouse_get(w->all, "embedded", &text, &w->err), w->err);
    assert_non_null(strstr(text.data, "\"status\":\"FAILED\""));
    ist_buffer_free(&text);
    stop_warehouses(w);
    w->options.engine_command = NULL;
    setenv("SCRIPTED_WORKER", "exit", 1);
    start_warehouses(w);
    run(w, "rows 1", NULL, "FAILED");
    expect_failure(w, "TEMPORARILY_UNAVAILABLE", "ended with status 3");
    unsetenv("SCRIPTED_WORKER");
    pause_ms(4100); /* the next attempt */
    run(w, "rows 1", NULL, "SUCCEEDED");
}

static void test_warehouse_supervisor__ten_thousand_wait(void **state)
{
    enum { MANY = 10000 };
    warehouses *w = *state;
    w->options.queue = w->options.user_queue = MANY;
    start_warehouses(w);
    ist__statement **all = calloc(MANY, sizeof *all), *s;
    /* The first ones hold both workers. */
    ist__statement *first = submit(w, "sleep 60", NULL), *second = submit(w, "sleep 60", NULL);
    wait_running(w, first);
    wait_running(w, second);
    for (int i = 0; i < MANY; i++)
        all[i] = submit(w, "rows 1", NULL);
    static const char body[] = "{\"warehouse_id\":\"embedded\",\"statement\":\"rows 1\"}";
    assert_int_equal(ist__statement_submit(w->all, &ist__principal_admin, body, strlen(body), NULL, &s, &w->err),
                     IST_RETRYABLE);
    assert_int_equal(w->err.code, 429);
    assert_non_null(strstr(w->err.message, "--queue"));
    for (int i = 0; i < MANY - 50; i++)
        ist__statement_cancel(all[i]);
    ist__statement_cancel(first);
    ist__statement_cancel(second);
    for (int i = MANY - 50; i < MANY; i++)
        expect_state(w, all[i], "SUCCEEDED");
    for (int i = 0; i < MANY; i++)
        ist__statement_release(all[i]);
    assert_true(w->all->list[0].queue.bytes == 0);
    ist__statement_release(first);
    ist__statement_release(second);
    free(all);
}

static void test_warehouse_supervisor__halts_and_goes_on(void **state)
{
    warehouses *w = *state;
    ist__statement *s = submit(w, "sleep 60", NULL);
    wait_running(w, s);
    assert_ok(ist__warehouse_stop(w->all, "embedded", &w->err), w->err);
    expect_state(w, s, "CANCELED");
    ist__statement_release(s);
    for (int i = 0; i < 100 && count_workers(w, NULL) > 0; i++)
        pause_ms(20);
    assert_int_equal(count_workers(w, NULL), 0);
    assert_ok(ist__warehouse_start(w->all, "embedded", &w->err), w->err);
    for (int i = 0; i < 100 && count_workers(w, NULL) == 0; i++)
        pause_ms(20);
    assert_int_equal(count_workers(w, NULL), 1);
    run(w, "rows 1", NULL, "SUCCEEDED");
    assert_int_equal(ist__warehouse_stop(w->all, "other", &w->err), IST_NOT_FOUND);
}

static void test_warehouse_supervisor__idle_workers_end(void **state)
{
    warehouses *w = *state;
    w->options.idle_s = 1;
    start_warehouses(w);
    run(w, "rows 1", NULL, "SUCCEEDED");
    for (int i = 0; i < 200 && count_workers(w, NULL) > 0; i++)
        pause_ms(20);
    assert_int_equal(count_workers(w, NULL), 0);
    run(w, "rows 1", NULL, "SUCCEEDED");
}

/* Nothing of a worker stays: no process, no folder. */
static void test_warehouse_supervisor__leaves_nothing(void **state)
{
    warehouses *w = *state;
    pid_t pid = 0;
    char path[4200];
    ist__statement *s = submit(w, "hang", NULL);
    wait_running(w, s);
    count_workers(w, &pid);
    snprintf(path, sizeof path, "%s", w->all->results_dir);
    ist__statement_release(s);
    stop_warehouses(w);
    assert_int_equal(kill(pid, 0), -1);
    DIR *folder = opendir(path);
    for (const struct dirent *entry; (entry = readdir(folder));)
        assert_true(entry->d_name[0] == '.');
    closedir(folder);
}

/* What engines of a server that was killed left behind goes, and nothing else. */
static void test_warehouse_supervisor__clears_after_a_crash(void **state)
{
    warehouses *w = *state;
    char results[4200], left[4300], file[4400], other[4300];
    snprintf(results, sizeof results, "%s/results", w->home);
    snprintf(left, sizeof left, "%s/engine-1", results);
    snprintf(file, sizeof file, "%s/spill", left);
    snprintf(other, sizeof other, "%s/mine", results);
    assert_int_equal(mkdir(results, 0700) | mkdir(left, 0700) | mkdir(other, 0700), 0);
    fclose(fopen(file, "w"));
    start_warehouses(w);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
}

int main(int argc, char **argv)
{
#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, tear_down_warehouses)
    const struct CMUnitTest tests[] = {
        WITH(set_up_warehouses, test_warehouse_supervisor__runs_statements),
        WITH(set_up_warehouses, test_warehouse_supervisor__tells_what_was_asked),
        WITH(set_up_warehouses, test_warehouse_supervisor__worker_has_no_secrets_and_no_descriptors),
        WITH(set_up_warehouses, test_warehouse_supervisor__chunks),
        WITH(set_up_warehouses, test_warehouse_supervisor__engine_errors),
        WITH(set_up_warehouses, test_warehouse_supervisor__broken_workers),
        WITH(set_up_warehouses, test_warehouse_supervisor__last_word),
        WITH(set_up_warehouses, test_warehouse_supervisor__cancel),
        WITH(set_up_warehouses, test_warehouse_supervisor__waits),
        WITH(set_up_catalog, test_warehouse_supervisor__statement_timeout),
        WITH(set_up_catalog, test_warehouse_supervisor__budgets),
        WITH(set_up_catalog, test_warehouse_supervisor__columns_count),
        WITH(set_up_warehouses, test_warehouse_supervisor__long_texts),
        WITH(set_up_warehouses, test_warehouse_supervisor__too_large_for_answers),
        WITH(set_up_catalog, test_warehouse_supervisor__memory),
        WITH(set_up_catalog, test_warehouse_supervisor__does_not_start),
        WITH(set_up_catalog, test_warehouse_supervisor__ten_thousand_wait),
        WITH(set_up_warehouses, test_warehouse_supervisor__halts_and_goes_on),
        WITH(set_up_catalog, test_warehouse_supervisor__idle_workers_end),
        WITH(set_up_warehouses, test_warehouse_supervisor__leaves_nothing),
        WITH(set_up_catalog, test_warehouse_supervisor__clears_after_a_crash),
    };
    return run_group(tests, argc, argv);
}
