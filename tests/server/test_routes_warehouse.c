/* test_routes_warehouse.c: SQL over HTTP, with workers that do what the statement says (scripted_worker.py). */
#include "testing.h"

#include "isthmus/buffer.h"
#include "isthmus/server.h"
#include "store/gateway_internal.h"
#include "util/util.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

#define SQL "/api/2.0/sql"
#define STATEMENTS SQL "/statements"

typedef struct fixture {
    char *home;
    ist_server *server;
    ist_warehouse_options warehouses;
    ist_error err;
    ist_buffer body, head;
    yyjson_doc *doc; /* of the last answer; NULL where it was no JSON */
    char alice[128]; /* a user's token */
} fixture;

static size_t collect(char *data, size_t size, size_t count, void *buffer)
{
    return ist_buffer_append(buffer, data, size * count, NULL) == IST_OK ? size * count : 0;
}

/* token NULL: the administrator's; "": none. range NULL: all of it. Returns the HTTP status. */
static int send_to(fixture *f, const char *url, const char *token, const char *body, const char *range)
{
    char header[512];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = NULL;
    long status = 0;
    ist_buffer_clear(&f->body);
    ist_buffer_clear(&f->head);
    snprintf(header, sizeof header, "Authorization: Bearer %s", token ? token : "secret");
    if (!token || *token)
        headers = curl_slist_append(headers, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &f->body);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &f->head);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (range)
        curl_easy_setopt(curl, CURLOPT_RANGE, range);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    yyjson_doc_free(f->doc);
    f->doc = f->body.size ? yyjson_read(f->body.data, f->body.size, 0) : NULL;
    return (int)status;
}

static int ask_as(fixture *f, const char *token, const char *path, const char *body)
{
    char url[2048];
    snprintf(url, sizeof url, "%s%s", ist_server_url(f->server), path);
    return send_to(f, url, token, body, NULL);
}

static int ask(fixture *f, const char *path, const char *body)
{
    return ask_as(f, NULL, path, body);
}

static const char *text_at(const fixture *f, const char *pointer)
{
    const char *text = yyjson_get_str(yyjson_doc_ptr_get(f->doc, pointer));
    return text ? text : "";
}

static void expect(fixture *f, int expected, int http)
{
    if (http != expected)
        fail_msg("HTTP %d, not %d: %s", http, expected, f->body.data ? f->body.data : "");
}

static void expect_error(fixture *f, int expected, const char *code, int http)
{
    expect(f, expected, http);
    if (strcmp(text_at(f, "/error_code"), code) != 0)
        fail_msg("not %s: %s", code, f->body.data);
}

static void expect_state(fixture *f, const char *state)
{
    if (strcmp(text_at(f, "/status/state"), state) != 0)
        fail_msg("not %s: %s", state, f->body.data);
}

/* Ask until a member says this, for 10 s at most. */
static void wait_for(fixture *f, const char *path, const char *pointer, const char *text)
{
    for (int i = 0; i < 500 && ask(f, path, NULL) == 200 && strcmp(text_at(f, pointer), text) != 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_string_equal(text_at(f, pointer), text);
}

/* POST a statement with more members ("" for none). */
static int run(fixture *f, const char *statement, const char *more)
{
    char body[2048];
    snprintf(body, sizeof body, "{\"warehouse_id\":\"embedded\",\"statement\":\"%s\"%s}", statement, more);
    return ask(f, STATEMENTS "/", body); /* with Ray's slash */
}

/* The id of the last statement. */
static void take_id(fixture *f, char out[40])
{
    snprintf(out, 40, "%s", text_at(f, "/statement_id"));
    assert_int_equal(strlen(out), 36);
}

static void start(fixture *f)
{
    static char script[4200];
    static const char *const command[] = {"python3", script, NULL};
    static const char *const spark[] = {"big=sc://localhost:15002", NULL};
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    snprintf(script, sizeof script, "%s/../warehouse/scripted_worker.py", getenv("ISTHMUS_TEST_DATA"));
    f->warehouses.engine_command = command;
    f->warehouses.spark = spark;
    options.home = f->home;
    options.token = "secret";
    options.warehouses = &f->warehouses;
    assert_ok(ist_server_start(&options, &f->server, &f->err), f->err);
}

static int set_up_with(void **state, uint32_t queue, uint32_t life_s)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    f->warehouses = (ist_warehouse_options)IST_WAREHOUSE_OPTIONS_INIT;
    f->warehouses.workers = 2;
    f->warehouses.queue = f->warehouses.user_queue = queue;
    f->warehouses.result_life_s = life_s;
    f->warehouses.worker_memory = 256 << 20;
    *state = f;
    start(f);
    expect(f, 201, ask(f, "/api/2.0/preview/scim/v2/Users", "{\"userName\":\"alice@example.com\"}"));
    expect(f, 200, ask(f, "/api/2.0/token-management/on-behalf-of/tokens", "{\"principal\":\"alice@example.com\"}"));
    snprintf(f->alice, sizeof f->alice, "%s", text_at(f, "/token_value"));
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 0, 0);
}

static int set_up_small_queue(void **state)
{
    return set_up_with(state, 2, 0);
}

static int set_up_thousand_each(void **state)
{
    int code = set_up_with(state, 2000, 0);
    fixture *f = *state;
    ist_server_stop(f->server);
    f->warehouses.user_queue = 1000;
    start(f);
    return code;
}

static int set_up_stopped(void **state)
{
    int code = set_up_with(state, 0, 0);
    fixture *f = *state;
    ist_server_stop(f->server);
    f->server = NULL;
    return code;
}

static int set_up_short_life(void **state)
{
    return set_up_with(state, 0, 1);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_server_stop(f->server);
    yyjson_doc_free(f->doc);
    ist_buffer_free(&f->body);
    ist_buffer_free(&f->head);
    remove_folder(f->home);
    free(f);
    return 0;
}

static void test_server_routes_warehouse__waits_and_answers(void **state)
{
    fixture *f = *state;
    expect(f, 200, run(f, "rows 2", ""));
    expect_state(f, "SUCCEEDED");
    assert_string_equal(text_at(f, "/result/data_array/1/0"), "1");
    assert_null(yyjson_doc_ptr_get(f->doc, "/manifest/total_byte_count")); /* INLINE tells no bytes */
    expect(f, 200, run(f, "fail BAD_REQUEST it is wrong", ""));
    expect_state(f, "FAILED");
    assert_string_equal(text_at(f, "/status/error/message"), "it is wrong");
}

static void test_server_routes_warehouse__polls_as_ray_does(void **state)
{
    fixture *f = *state;
    char id[40], path[200];
    expect(f, 200,
           run(f, "sleep 1; chunks 2 5000",
               ",\"wait_timeout\":\"0s\",\"disposition\":\"EXTERNAL_LINKS\",\"format\":\"JSON_ARRAY\""));
    expect_state(f, "PENDING");
    take_id(f, id);
    snprintf(path, sizeof path, STATEMENTS "/%s/", id);
    do
        expect(f, 200, ask(f, path, NULL));
    while (strcmp(text_at(f, "/status/state"), "PENDING") == 0 || strcmp(text_at(f, "/status/state"), "RUNNING") == 0);
    expect_state(f, "SUCCEEDED");
    for (int chunk = 0; chunk < 2; chunk++) {
        char link[600];
        snprintf(path, sizeof path, STATEMENTS "/%s/result/chunks/%d", id, chunk);
        expect(f, 200, ask(f, path, NULL));
        snprintf(link, sizeof link, "%s", text_at(f, "/external_links/0/external_link"));
        expect(f, 200, send_to(f, link, "", NULL, NULL));
        assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(f->doc)), 5000);
    }
    snprintf(path, sizeof path, STATEMENTS "/%s/result/chunks/2", id);
    expect_error(f, 404, "NOT_FOUND", ask(f, path, NULL));
    snprintf(path, sizeof path, STATEMENTS "/%s/result/chunks/x", id);
    expect_error(f, 400, "INVALID_PARAMETER_VALUE", ask(f, path, NULL));
}

static void test_server_routes_warehouse__long_poll_and_cancel(void **state)
{
    fixture *f = *state;
    char id[40], path[200];
    expect(f, 200, run(f, "sleep 2; rows 1", ",\"wait_timeout\":\"0s\""));
    take_id(f, id);
    snprintf(path, sizeof path, STATEMENTS "/%s?wait_timeout=20s", id);
    expect(f, 200, ask(f, path, NULL)); /* one request, and it has ended */
    expect_state(f, "SUCCEEDED");
    snprintf(path, sizeof path, STATEMENTS "/%s?wait_timeout=3s", id);
    expect_error(f, 400, "INVALID_PARAMETER_VALUE", ask(f, path, NULL));
    expect(f, 200, run(f, "sleep 60", ",\"wait_timeout\":\"0s\""));
    take_id(f, id);
    snprintf(path, sizeof path, STATEMENTS "/%s/cancel", id);
    expect(f, 200, ask(f, path, "{}"));
    assert_string_equal(f->body.data, "{}");
    snprintf(path, sizeof path, STATEMENTS "/%s?wait_timeout=5s", id);
    expect(f, 200, ask(f, path, NULL));
    expect_state(f, "CANCELED");
    expect(f, 200, run(f, "sleep 60", ",\"wait_timeout\":\"5s\",\"on_wait_timeout\":\"CANCEL\""));
    expect_state(f, "CANCELED");
}

static void test_server_routes_warehouse__links(void **state)
{
    fixture *f = *state;
    char link[600], changed[700];
    expect(f, 200, run(f, "chunks 1 20000", ",\"disposition\":\"EXTERNAL_LINKS\"")); /* larger than what is in memory */
    snprintf(link, sizeof link, "%s", text_at(f, "/result/external_links/0/external_link"));
    int64_t size = yyjson_get_sint(yyjson_doc_ptr_get(f->doc, "/result/external_links/0/byte_count"));
    assert_true(size > 100000);
    expect(f, 200, send_to(f, link, "", NULL, NULL));
    assert_int_equal(f->body.size, size);
    expect(f, 206, send_to(f, link, "", NULL, "2-4"));
    assert_string_equal(f->body.data, "\"0\"");
    assert_non_null(strstr(f->head.data, "Content-Range: bytes 2-4/"));
    expect(f, 206, send_to(f, link, "", NULL, "-1"));
    assert_string_equal(f->body.data, "]");
    expect(f, 416, send_to(f, link, "", NULL, "99999999-"));
    /* Whatever is changed in it, it is none of this server's. */
    snprintf(changed, sizeof changed, "%sA", link);
    expect_error(f, 403, "PERMISSION_DENIED", send_to(f, changed, "", NULL, NULL));
    snprintf(changed, sizeof changed, "%s", link);
    char *expires = strstr(changed, "expires=") + 8;
    *expires = '9';
    expect_error(f, 403, "PERMISSION_DENIED", send_to(f, changed, "", NULL, NULL));
    snprintf(changed, sizeof changed, "%s", link);
    *strchr(changed, '?') = '\0';
    expect_error(f, 400, "INVALID_ARGUMENT", send_to(f, changed, "", NULL, NULL));
    /* In memory, the same. */
    expect(f, 200, run(f, "rows 3", ",\"disposition\":\"EXTERNAL_LINKS\""));
    snprintf(link, sizeof link, "%s", text_at(f, "/result/external_links/0/external_link"));
    expect(f, 206, send_to(f, link, "", NULL, "1-5"));
    assert_string_equal(f->body.data, "[\"0\"]");
}

/* The file of a chunk for its link, over the socket that the last answer told; -1 with *status where it is refused. */
static int pass_file(const fixture *f, const char *link, ist_status *status)
{
    const ist__file_message request = {.op = IST__FILE_RESULT, .a = link};
    ist__gateway_answer answer = {.fd = -1};
    bool broken;
    int socket = ist__gateway_connect_new(text_at(f, "/result/external_links/0/isthmus_file/socket"), geteuid());
    assert_true(socket >= 0);
    *status = ist__gateway_socket_call(socket, &request, &answer, &broken, NULL);
    assert_false(broken);
    close(socket);
    return answer.fd;
}

static void test_server_routes_warehouse__files_are_passed_for_links(void **state)
{
    fixture *f = *state;
    char link[600], *expires, byte;
    ist_status status;
    expect(f, 200, run(f, "chunks 1 20000", ",\"disposition\":\"EXTERNAL_LINKS\""));
    snprintf(link, sizeof link, "%s", text_at(f, "/result/external_links/0/external_link"));
    int64_t size = yyjson_get_sint(yyjson_doc_ptr_get(f->doc, "/result/external_links/0/byte_count"));
    int fd = pass_file(f, link, &status);
    assert_int_equal(status, IST_OK);
    assert_int_equal(lseek(fd, 0, SEEK_END), size);
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, '[');
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    expires = strstr(link, "expires=") + 8;
    *expires = '9';
    assert_int_equal(pass_file(f, link, &status), -1);
    assert_int_equal(status, IST_FORBIDDEN);
    assert_int_equal(pass_file(f, "http://h/", &status), -1);
    assert_int_equal(status, IST_BAD_INPUT);
    /* What is in memory has no file. */
    expect(f, 200, run(f, "rows 3", ",\"disposition\":\"EXTERNAL_LINKS\""));
    assert_null(yyjson_doc_ptr_get(f->doc, "/result/external_links/0/isthmus_file"));
    /* Who came by another name may be on another machine. */
    snprintf(link, sizeof link, "http://localhost:%u" STATEMENTS, ist_server_port(f->server));
    expect(f, 200, send_to(f, link, NULL, "{\"warehouse_id\":\"embedded\",\"statement\":\"chunks 1 20000\","
                                          "\"disposition\":\"EXTERNAL_LINKS\"}", NULL));
    expect_state(f, "SUCCEEDED");
    assert_null(yyjson_doc_ptr_get(f->doc, "/result/external_links/0/isthmus_file"));
}

static void test_server_routes_warehouse__bad_requests(void **state)
{
    static const char *const bodies[] = {
        "", "{", "[]", "{\"statement\":\"x\"}", "{\"warehouse_id\":\"embedded\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"\"}", "{\"warehouse_id\":1,\"statement\":\"x\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"wait_timeout\":\"4s\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"wait_timeout\":\"51s\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"wait_timeout\":\"10\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"on_wait_timeout\":\"STOP\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"disposition\":\"FILE\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"format\":\"CSV\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"format\":\"ARROW_STREAM\",\"disposition\":\"INLINE\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"row_limit\":0}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"byte_limit\":\"1\"}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"parameters\":{}}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"parameters\":[{\"value\":\"1\"}]}",
        "{\"warehouse_id\":\"embedded\",\"statement\":\"x\",\"parameters\":[{\"name\":\"a\",\"value\":1}]}",
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int http = ask(f, STATEMENTS, bodies[i]);
        if (http != 400 || strcmp(text_at(f, "/error_code"), "INVALID_PARAMETER_VALUE") != 0)
            fail_msg("%s: HTTP %d %s", bodies[i], http, f->body.data);
    }
    expect_error(f, 404, "RESOURCE_DOES_NOT_EXIST", ask(f, STATEMENTS, "{\"warehouse_id\":\"w\",\"statement\":\"x\"}"));
    expect_error(f, 404, "RESOURCE_DOES_NOT_EXIST", ask(f, STATEMENTS "/nothing", NULL));
    expect_error(f, 401, "UNAUTHENTICATED", ask_as(f, "", STATEMENTS, bodies[3]));
}

static void test_server_routes_warehouse__statements_are_ones_own(void **state)
{
    fixture *f = *state;
    char id[40], path[200];
    expect(f, 200, ask_as(f, f->alice, STATEMENTS, "{\"warehouse_id\":\"embedded\",\"statement\":\"rows 1\"}"));
    expect_state(f, "SUCCEEDED");
    take_id(f, id);
    snprintf(path, sizeof path, STATEMENTS "/%s", id);
    expect_error(f, 404, "RESOURCE_DOES_NOT_EXIST", ask(f, path, NULL)); /* not even the administrator's */
    expect(f, 200, ask_as(f, f->alice, path, NULL));
    snprintf(path, sizeof path, STATEMENTS "/%s/result/chunks/0", id);
    expect_error(f, 404, "RESOURCE_DOES_NOT_EXIST", ask(f, path, NULL));
    snprintf(path, sizeof path, STATEMENTS "/%s/cancel", id);
    expect_error(f, 404, "RESOURCE_DOES_NOT_EXIST", ask(f, path, "{}"));
    expect_error(f, 403, "PERMISSION_DENIED", ask_as(f, f->alice, SQL "/warehouses/embedded/stop", "{}"));
}

static void test_server_routes_warehouse__full_queue(void **state)
{
    fixture *f = *state;
    char ids[4][40], path[200];
    for (int i = 0; i < 4; i++) { /* two run, two wait */
        expect(f, 200, run(f, "sleep 60", ",\"wait_timeout\":\"0s\""));
        take_id(f, ids[i]);
        snprintf(path, sizeof path, STATEMENTS "/%s", ids[i]);
        if (i < 2)
            wait_for(f, path, "/status/state", "RUNNING");
    }
    expect_error(f, 429, "RESOURCE_EXHAUSTED", run(f, "rows 1", ""));
    assert_non_null(strstr(f->head.data, "Retry-After: 1"));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, STATEMENTS "/%s/cancel", ids[i]);
        expect(f, 200, ask(f, path, "{}"));
    }
    expect(f, 200, run(f, "rows 1", ""));
    expect_state(f, "SUCCEEDED");
}

/* One user has as much in the queue as he may. Another's statement is let in, and has its turn. */
static void test_server_routes_warehouse__users_take_turns(void **state)
{
    enum { MANY = 1000, WORKERS = 2 };
    static const char alices[] = "{\"warehouse_id\":\"embedded\",\"statement\":\"rows 1\",\"wait_timeout\":\"0s\"}";
    fixture *f = *state;
    char (*ids)[40] = calloc(WORKERS + MANY, sizeof *ids), path[200], id[40];
    for (int i = 0; i < WORKERS + MANY; i++) {
        expect(f, 200, run(f, "sleep 60", ",\"wait_timeout\":\"0s\""));
        take_id(f, ids[i]);
        snprintf(path, sizeof path, STATEMENTS "/%s", ids[i]);
        if (i < WORKERS)
            wait_for(f, path, "/status/state", "RUNNING");
    }
    expect_error(f, 429, "RESOURCE_EXHAUSTED", run(f, "rows 1", ""));
    assert_non_null(strstr(text_at(f, "/message"), "--user-queue"));
    expect(f, 200, ask_as(f, f->alice, STATEMENTS, alices));
    expect_state(f, "PENDING");
    take_id(f, id);
    for (int i = 0; i < WORKERS; i++) { /* room for two: the next one of those many, and alice's */
        snprintf(path, sizeof path, STATEMENTS "/%s/cancel", ids[i]);
        expect(f, 200, ask(f, path, "{}"));
    }
    snprintf(path, sizeof path, STATEMENTS "/%s?wait_timeout=30s", id);
    expect(f, 200, ask_as(f, f->alice, path, NULL));
    expect_state(f, "SUCCEEDED");
    for (int i = WORKERS; i < WORKERS + MANY; i++) {
        snprintf(path, sizeof path, STATEMENTS "/%s/cancel", ids[i]);
        expect(f, 200, ask(f, path, "{}"));
    }
    snprintf(path, sizeof path, STATEMENTS "/%s", ids[WORKERS + MANY - 1]);
    wait_for(f, path, "/status/state", "CANCELED"); /* it may have had its turn just then */
    expect(f, 200, ask(f, SQL "/warehouses/embedded", NULL));
    assert_int_equal(yyjson_get_sint(yyjson_doc_ptr_get(f->doc, "/queued")), 0);
    free(ids);
}

static void test_server_routes_warehouse__results_are_closed(void **state)
{
    fixture *f = *state;
    char id[40], path[200], link[600];
    expect(f, 200, run(f, "rows 1", ",\"disposition\":\"EXTERNAL_LINKS\""));
    take_id(f, id);
    snprintf(link, sizeof link, "%s", text_at(f, "/result/external_links/0/external_link"));
    snprintf(path, sizeof path, STATEMENTS "/%s", id);
    wait_for(f, path, "/status/state", "CLOSED");
    assert_non_null(strstr(text_at(f, "/status/error/message"), "submit"));
    snprintf(path, sizeof path, STATEMENTS "/%s/result/chunks/0", id);
    expect_error(f, 404, "NOT_FOUND", ask(f, path, NULL));
    /* A link lives as long as the result at most. */
    expect_error(f, 403, "PERMISSION_DENIED", send_to(f, link, "", NULL, NULL));
    assert_non_null(strstr(text_at(f, "/message"), "expired"));
}

static void test_server_routes_warehouse__restart(void **state)
{
    fixture *f = *state;
    char done[40], running[40], path[200], link[600];
    expect(f, 200, run(f, "rows 1", ",\"disposition\":\"EXTERNAL_LINKS\""));
    take_id(f, done);
    snprintf(link, sizeof link, "%s", text_at(f, "/result/external_links/0/external_link"));
    const char *signed_part = strstr(link, "/api/");
    expect(f, 200, run(f, "sleep 60", ",\"wait_timeout\":\"0s\""));
    take_id(f, running);
    ist_server_stop(f->server);
    start(f);
    snprintf(path, sizeof path, STATEMENTS "/%s", done);
    expect(f, 200, ask(f, path, NULL));
    expect_state(f, "CLOSED");
    snprintf(path, sizeof path, STATEMENTS "/%s", running);
    expect(f, 200, ask(f, path, NULL));
    expect_state(f, "FAILED");
    assert_non_null(strstr(text_at(f, "/status/error/message"), "submit it again"));
    expect_error(f, 403, "PERMISSION_DENIED", ask_as(f, "", signed_part, NULL));
    assert_non_null(strstr(text_at(f, "/message"), "started again"));
}

/* A server in a process of its own, which tells its URL and goes on until it is killed. */
static pid_t start_elsewhere(fixture *f, char url[200])
{
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        start(f);
        dprintf(pipe_ends[1], "%s\n", ist_server_url(f->server));
        for (;;)
            pause();
    }
    close(pipe_ends[1]);
    FILE *told = fdopen(pipe_ends[0], "r");
    assert_non_null(fgets(url, 200, told));
    url[strcspn(url, "\n")] = '\0';
    fclose(told);
    return child;
}

/* Whatever was acknowledged is known to the next server, at whatever moment this one is killed. */
static void test_server_routes_warehouse__killed(void **state)
{
    enum { MANY = 20 };
    fixture *f = *state;
    char url[200], statements[300], ids[MANY][40], changed[40], path[200];
    pid_t server = start_elsewhere(f, url);
    snprintf(statements, sizeof statements, "%s" STATEMENTS, url);
    expect(f, 200, send_to(f, statements, NULL, "{\"warehouse_id\":\"embedded\",\"statement\":\"kind INSERT\"}", NULL));
    expect_state(f, "SUCCEEDED");
    take_id(f, changed);
    for (int i = 0; i < MANY; i++) {
        expect(f, 200, send_to(f, statements, NULL,
                               "{\"warehouse_id\":\"embedded\",\"statement\":\"sleep 60\",\"wait_timeout\":\"0s\"}",
                               NULL));
        take_id(f, ids[i]);
    }
    kill(server, SIGKILL);
    assert_int_equal(waitpid(server, NULL, 0), server);
    start(f);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, STATEMENTS "/%s", ids[i]);
        expect(f, 200, ask(f, path, NULL));
        expect_state(f, "FAILED");
        assert_string_equal(text_at(f, "/status/error/error_code"), "TEMPORARILY_UNAVAILABLE");
    }
    snprintf(path, sizeof path, STATEMENTS "/%s", changed); /* it is not to be done twice */
    expect(f, 200, ask(f, path, NULL));
    expect_state(f, "CLOSED");
}

/* Answers that come while others wait, and clients that go away. */
typedef struct visitor {
    fixture *f;
    pthread_t thread;
    int http;
    bool hurried;
} visitor;

static void *visit(void *self)
{
    visitor *v = self;
    char url[200], body[200];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Authorization: Bearer secret");
    ist_buffer answer = IST_BUFFER_INIT;
    long status = 0;
    snprintf(url, sizeof url, "%s" STATEMENTS, ist_server_url(v->f->server));
    snprintf(body, sizeof body, "{\"warehouse_id\":\"embedded\",\"statement\":\"%s\",\"wait_timeout\":\"30s\"}",
             v->hurried ? "sleep 0.2" : "rows 1");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, v->hurried ? 50L : 30000L);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    v->http = status == 200 && strstr(answer.data, "\"SUCCEEDED\"") ? 200 : (int)status;
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    ist_buffer_free(&answer);
    return NULL;
}

static void test_server_routes_warehouse__many_wait_and_some_go(void **state)
{
    enum { MANY = 100 };
    fixture *f = *state;
    static visitor visitors[MANY];
    for (int i = 0; i < MANY; i++) {
        visitors[i] = (visitor){.f = f, .hurried = i % 10 == 0};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    for (int i = 0; i < MANY; i++) {
        pthread_join(visitors[i].thread, NULL);
        if (!visitors[i].hurried)
            assert_int_equal(visitors[i].http, 200);
    }
    expect(f, 200, run(f, "rows 1", ""));
}

static void test_server_routes_warehouse__warehouses(void **state)
{
    fixture *f = *state;
    expect(f, 200, ask(f, SQL "/warehouses", NULL));
    assert_string_equal(text_at(f, "/warehouses/0/id"), "embedded");
    assert_string_equal(text_at(f, "/warehouses/0/state"), "STOPPED");
    assert_string_equal(text_at(f, "/warehouses/1/engine"), "spark");
    expect(f, 200, ask(f, SQL "/warehouses/embedded/start", "{}"));
    wait_for(f, SQL "/warehouses/embedded", "/state", "RUNNING");
    expect(f, 200, ask(f, SQL "/warehouses/embedded/stop", "{}"));
    expect_error(f, 404, "RESOURCE_DOES_NOT_EXIST", ask(f, SQL "/warehouses/x", NULL));
}

static void expect_history(fixture *f, const char *path, size_t count)
{
    expect(f, 200, ask(f, path, NULL));
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(f->doc, "/res")), count);
}

static void test_server_routes_warehouse__history(void **state)
{
    fixture *f = *state;
    expect(f, 200, run(f, "rows 1", ""));
    expect(f, 200, run(f, "fail BAD_REQUEST no", ""));
    expect(f, 200, ask_as(f, f->alice, STATEMENTS, "{\"warehouse_id\":\"embedded\",\"statement\":\"rows 2\"}"));
    for (int pass = 0; pass < 2; pass++) { /* in memory, and in the database */
        expect(f, 200, ask(f, SQL "/history/queries", NULL));
        assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(f->doc, "/res")), 3);
        assert_string_equal(text_at(f, "/res/0/user_name"), "alice@example.com");
        assert_string_equal(text_at(f, "/res/0/query_text"), "rows 2");
        assert_string_equal(text_at(f, "/res/0/statement_type"), "SELECT");
        assert_string_equal(text_at(f, "/res/1/status"), "FAILED");
        assert_string_equal(text_at(f, "/res/1/error_message"), "no");
        assert_int_equal(yyjson_get_sint(yyjson_doc_ptr_get(f->doc, "/res/0/rows_produced")), 2);
        expect(f, 200, ask_as(f, f->alice, SQL "/history/queries", NULL)); /* his own */
        assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(f->doc, "/res")), 1);
        expect(f, 200, ask(f, SQL "/history/queries?filter_by.statuses=FINISHED&max_results=1", NULL));
        assert_string_equal(text_at(f, "/res/0/query_text"), "rows 2");
        char path[200];
        snprintf(path, sizeof path, SQL "/history/queries?filter_by.statuses=FINISHED&page_token=%s",
                 text_at(f, "/next_page_token"));
        expect(f, 200, ask(f, path, NULL));
        assert_string_equal(text_at(f, "/res/0/query_text"), "rows 1");
        assert_true(yyjson_is_false(yyjson_doc_ptr_get(f->doc, "/has_next_page")));
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    }
    expect_history(f, SQL "/history/queries?filter_by.warehouse_ids=embedded", 3);
    expect_history(f, SQL "/history/queries?filter_by.user_ids=alice@example.com", 1);
    expect_history(f, SQL "/history/queries?filter_by.statuses=FAILED&filter_by.statuses=FINISHED", 3);
    expect_history(f, SQL "/history/queries?filter_by.statuses=FAILED&filter_by.statuses=RUNNING", 1);
    expect_error(f, 400, "INVALID_PARAMETER_VALUE",
                 ask(f, SQL "/history/queries?filter_by.statuses=FAILED&filter_by.statuses=X", NULL));
    expect_error(f, 400, "INVALID_PARAMETER_VALUE", ask(f, SQL "/history/queries?max_results=1001", NULL));
    expect_error(f, 400, "INVALID_PARAMETER_VALUE", ask(f, SQL "/history/queries?page_token=x", NULL));
    ist_server_stop(f->server);
    start(f);
    expect(f, 200, ask(f, SQL "/history/queries", NULL));
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(f->doc, "/res")), 3);
}

static void test_server_routes_warehouse__lineage(void **state)
{
    fixture *f = *state;
    expect(f, 200,
           run(f, "kind INSERT; lineage {\\\"inputs\\\":[\\\"main.default.a\\\"],"
                  "\\\"outputs\\\":[\\\"main.default.b\\\"]}", ""));
    expect_state(f, "SUCCEEDED");
    for (int i = 0; i < 200; i++) {
        expect(f, 200, ask(f, "/api/2.1/isthmus/lineage", NULL));
        if (yyjson_arr_size(yyjson_doc_ptr_get(f->doc, "/edges")) > 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_string_equal(text_at(f, "/edges/0/source"), "main.default.a");
    assert_string_equal(text_at(f, "/edges/0/target"), "main.default.b");
    assert_string_equal(text_at(f, "/edges/0/engine"), "duckdb");
}

/* What the worker's request with a token gets. */
static void expect_call(fixture *f, const char *principal, const char *who, const char *request, const char *status)
{
    char body[2048];
    snprintf(body, sizeof body, "{\"warehouse_id\":\"embedded\",\"statement\":\"call %s %s\"}", who, request);
    expect(f, 200, ask_as(f, principal, STATEMENTS, body));
    if (strcmp(text_at(f, "/result/data_array/0/0"), status) != 0)
        fail_msg("%s %s: not %s: %s", who, request, status, f->body.data);
}

static void make_table(fixture *f, const char *name, char id[40])
{
    char body[600];
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"EXTERNAL\","
             "\"columns\":[],\"data_source_format\":\"DELTA\",\"storage_location\":\"%s/%s\"}",
             name, f->home, name);
    expect(f, 200, ask(f, "/api/2.1/unity-catalog/tables", body));
    snprintf(id, 40, "%s", text_at(f, "/table_id"));
}

static void test_server_routes_warehouse__tokens_of_engine_and_statement(void **state)
{
    fixture *f = *state;
    char id[40], request[400];
    make_table(f, "t", id);
    /* The engine sees and reads tables, and no more. */
    expect_call(f, f->alice, "engine", "GET /api/2.1/unity-catalog/tables/main.default.t", "200");
    expect_call(f, f->alice, "engine", "DELETE /api/2.1/unity-catalog/tables/main.default.t", "403");
    expect_call(f, f->alice, "engine", "GET /api/2.1/isthmus/audit", "403");
    snprintf(request, sizeof request, "POST /api/2.1/unity-catalog/temporary-table-credentials"
             " {\\\"table_id\\\":\\\"%s\\\",\\\"operation\\\":\\\"READ\\\"}", id);
    expect_call(f, f->alice, "engine", request, "200");
    expect_call(f, f->alice, "statement", request, "404"); /* alice may not know of it */
    expect_call(f, NULL, "statement", request, "200");
    snprintf(request, sizeof request, "POST /api/2.1/unity-catalog/temporary-table-credentials"
             " {\\\"table_id\\\":\\\"%s\\\",\\\"operation\\\":\\\"READ_WRITE\\\"}", id);
    expect_call(f, f->alice, "engine", request, "403");
    /* Behind a row filter there is the engine alone. */
    expect(f, 200, ask(f, "/api/2.1/unity-catalog/functions",
                       "{\"function_info\":{\"name\":\"keep\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
                       "\"input_params\":{},\"data_type\":\"BOOLEAN\",\"full_data_type\":\"BOOLEAN\","
                       "\"routine_body\":\"SQL\","
                       "\"routine_definition\":\"true\",\"parameter_style\":\"S\",\"is_deterministic\":true,"
                       "\"sql_data_access\":\"CONTAINS_SQL\",\"is_null_call\":false,\"security_type\":\"DEFINER\","
                       "\"specific_name\":\"keep\"}}"));
    expect_call(f, NULL, "statement",
                "PATCH /api/2.1/unity-catalog/tables/main.default.t"
                " {\\\"row_filter\\\":{\\\"function_name\\\":\\\"main.default.keep\\\",\\\"input_column_names\\\":[]}}",
                "200");
    snprintf(request, sizeof request, "POST /api/2.1/unity-catalog/temporary-table-credentials"
             " {\\\"table_id\\\":\\\"%s\\\",\\\"operation\\\":\\\"READ\\\"}", id);
    expect_call(f, NULL, "statement", request, "403");
    expect_call(f, NULL, "engine", request, "200");
}

/* The token of a statement acts as its principal, and dies with it. */
static void test_server_routes_warehouse__statement_token(void **state)
{
    fixture *f = *state;
    char token[200] = "";
    expect(f, 200, ask_as(f, f->alice, STATEMENTS,
                          "{\"warehouse_id\":\"embedded\",\"statement\":\"echo\"}"));
    const char *execute = text_at(f, "/result/data_array/0/0"), *at = strstr(execute, "\"token\": \"");
    assert_non_null(at);
    snprintf(token, sizeof token, "%.*s", (int)strcspn(at + 10, "\""), at + 10);
    assert_true(strncmp(token, "istw_", 5) == 0);
    expect_error(f, 401, "UNAUTHENTICATED", ask_as(f, token, SQL "/warehouses", NULL)); /* it has ended */
}

int main(int argc, char **argv)
{
#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(set_up, test_server_routes_warehouse__waits_and_answers),
        WITH(set_up, test_server_routes_warehouse__polls_as_ray_does),
        WITH(set_up, test_server_routes_warehouse__long_poll_and_cancel),
        WITH(set_up, test_server_routes_warehouse__links),
        WITH(set_up, test_server_routes_warehouse__files_are_passed_for_links),
        WITH(set_up, test_server_routes_warehouse__bad_requests),
        WITH(set_up, test_server_routes_warehouse__statements_are_ones_own),
        WITH(set_up_small_queue, test_server_routes_warehouse__full_queue),
        WITH(set_up_thousand_each, test_server_routes_warehouse__users_take_turns),
        WITH(set_up_short_life, test_server_routes_warehouse__results_are_closed),
        WITH(set_up, test_server_routes_warehouse__restart),
        WITH(set_up_stopped, test_server_routes_warehouse__killed),
        WITH(set_up, test_server_routes_warehouse__many_wait_and_some_go),
        WITH(set_up, test_server_routes_warehouse__warehouses),
        WITH(set_up, test_server_routes_warehouse__history),
        WITH(set_up, test_server_routes_warehouse__lineage),
        WITH(set_up, test_server_routes_warehouse__tokens_of_engine_and_statement),
        WITH(set_up, test_server_routes_warehouse__statement_token),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return run_group(tests, argc, argv);
}
