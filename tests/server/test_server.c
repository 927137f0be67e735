/* test_server.c: `isthmus serve` seen from outside: HTTP by libcurl, and the files of its home. */
#include "testing.h"

#include "catalog/catalog_internal.h"
#include "isthmus/buffer.h"
#include "isthmus/catalog.h"
#include "isthmus/server.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <yyjson.h>

#define API "/api/2.1/unity-catalog"

typedef struct fixture {
    char *home;
    ist_server *server;
    CURL *curl;
    ist_error err;
    ist_buffer body; /* of the last answer */
    ist_buffer head;
} fixture;

static void start(fixture *f)
{
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    options.home = f->home;
    assert_ok(ist_server_start(&options, &f->server, &f->err), f->err);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->home = new_folder();
    f->curl = curl_easy_init();
    *state = f;
    start(f);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_server_stop(f->server);
    curl_easy_cleanup(f->curl);
    ist_buffer_free(&f->body);
    ist_buffer_free(&f->head);
    remove_folder(f->home);
    free(f);
    return 0;
}

static size_t collect(char *data, size_t size, size_t count, void *buffer)
{
    return ist_buffer_append(buffer, data, size * count, NULL) == IST_OK ? size * count : 0;
}

static char *read_home(fixture *f, const char *name)
{
    char path[4200], *text = calloc(1, 4096);
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, 4095, file) > 0);
    fclose(file);
    return text;
}

static mode_t mode_of(fixture *f, const char *name)
{
    char path[4200];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    return stat(path, &status) == 0 ? status.st_mode & 0777 : 0;
}

/* Send a request, return the HTTP status (0: no answer). token NULL: the right one; "": none. */
static int request(fixture *f, const char *method, const char *path, const char *token, const char *body, size_t size)
{
    char url[8192], header[512];
    char *right = read_home(f, "token");
    struct curl_slist *headers = NULL;
    ist_buffer_clear(&f->body);
    ist_buffer_clear(&f->head);
    snprintf(url, sizeof url, "%s%s", ist_server_url(f->server), path);
    snprintf(header, sizeof header, "Authorization: Bearer %s", token ? token : right);
    if (!token || *token)
        headers = curl_slist_append(headers, header);
    free(right);
    curl_easy_reset(f->curl);
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(f->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, &f->body);
    curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, &f->head);
    curl_easy_setopt(f->curl, CURLOPT_TIMEOUT, 20L);
    if (body) {
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDSIZE, (long)size);
    }
    long status = 0;
    if (curl_easy_perform(f->curl) == CURLE_OK)
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    return (int)status;
}

static int get(fixture *f, const char *path)
{
    return request(f, "GET", path, NULL, NULL, 0);
}

static int post(fixture *f, const char *path, const char *body)
{
    return request(f, "POST", path, NULL, body, strlen(body));
}

/* Every refusal has Unity Catalog's body. */
static void assert_error(fixture *f, const char *error_code)
{
    yyjson_doc *doc = yyjson_read(f->body.data, f->body.size, 0);
    assert_non_null(doc);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/error_code")), error_code);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/details/0/reason")), error_code);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/details/0/@type")),
                        "type.googleapis.com/google.rpc.ErrorInfo");
    assert_true(yyjson_get_len(yyjson_doc_ptr_get(doc, "/message")) > 0);
    yyjson_doc_free(doc);
}

static void test_server_server__asks_for_the_token(void **state)
{
    fixture *f = *state;
    static const char *const wrong[] = {"", "x", "0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(request(f, "GET", API "/catalogs", wrong[i], NULL, 0), 401);
        assert_error(f, "UNAUTHENTICATED");
        assert_int_equal(request(f, "POST", API "/catalogs", wrong[i], "{\"name\":\"x\"}", 12), 401);
        assert_int_equal(request(f, "GET", "/nowhere", wrong[i], NULL, 0), 401);
    }
    char *token = read_home(f, "token");
    char longer[200];
    snprintf(longer, sizeof longer, "%sx", token);
    assert_int_equal(request(f, "GET", API "/catalogs", longer, NULL, 0), 401);
    token[strlen(token) - 1] = '\0';
    assert_int_equal(request(f, "GET", API "/catalogs", token, NULL, 0), 401);
    free(token);
    assert_int_equal(request(f, "GET", "/healthz", "", NULL, 0), 200);
    assert_int_equal(get(f, API "/catalogs/x"), 404); /* none of the refused posts was done */
    assert_int_equal(get(f, API "/catalogs"), 200);
    assert_non_null(strstr(f->head.data, "application/json"));
}

static void test_server_server__unknown_paths_and_methods(void **state)
{
    fixture *f = *state;
    static const char *const nowhere[] = {"/app", "/api", API, API "/", API "/catalogs/", API "/catalogs/main/x",
                                          API "/catalogsx", "/healthz/", API "/../unity-catalog/catalogs"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        if (get(f, nowhere[i]) != 404)
            fail_msg("%s", nowhere[i]);
        assert_error(f, "NOT_FOUND");
    }
    assert_int_equal(request(f, "PUT", API "/catalogs/main", NULL, "{}", 2), 405);
    assert_error(f, "METHOD_NOT_ALLOWED");
    assert_non_null(strstr(f->head.data, "Allow: GET, PATCH, DELETE"));
    assert_int_equal(request(f, "DELETE", API "/catalogs", NULL, NULL, 0), 405);
    assert_int_equal(get(f, API "/staging-tables"), 405);
}

static void test_server_server__bad_requests(void **state)
{
    fixture *f = *state;
    static const char *const bad[] = {
        API "/catalogs?max_results=ten", API "/catalogs?max_results=-1",     API "/catalogs?max_results=9999999999",
        API "/catalogs?page_token=%zz",  API "/catalogs/%00",                API "/catalogs/a%2",
        API "/schemas",                  API "/tables?catalog_name=main",    API "/schemas?catalog_name=a.b",
        API "/tables/main",              API "/tables/main.default.t.extra",
        API "/tables?catalog_name=a.b&schema_name=c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (get(f, bad[i]) != 400)
            fail_msg("%s", bad[i]);
        assert_error(f, "INVALID_ARGUMENT");
    }
    assert_int_equal(post(f, API "/catalogs", "{\"name\":\"x\""), 400);
    assert_error(f, "INVALID_ARGUMENT");
    assert_int_equal(post(f, API "/catalogs", ""), 400);
    assert_int_equal(request(f, "POST", API "/catalogs", NULL, "{\"name\":\"x\"}\0{}", 15), 400);
    assert_int_equal(request(f, "DELETE", API "/catalogs/main?force=maybe", NULL, NULL, 0), 400);
    assert_int_equal(get(f, API "/catalogs/%C3%28"), 404); /* quoted in the message, and that is UTF-8 again */
    assert_error(f, "CATALOG_NOT_FOUND");
    assert_int_equal(get(f, API "/catalogs/a%2Fb"), 404);
    assert_int_equal(get(f, API "/catalogs/mai%6E"), 200);
}

static size_t zeroes_left;

static size_t send_zeroes(char *data, size_t size, size_t count, void *payload)
{
    (void)payload;
    size_t n = size * count < zeroes_left ? size * count : zeroes_left;
    memset(data, '0', n);
    zeroes_left -= n;
    return n;
}

static void test_server_server__large_bodies(void **state)
{
    fixture *f = *state;
    size_t size = (16u << 20) + 1;
    char *body = malloc(size);
    memset(body, ' ', size);
    memcpy(body, "{\"name\":\"big\"}", 14);
    assert_int_equal(request(f, "POST", API "/catalogs", NULL, body, size), 413);
    assert_error(f, "PAYLOAD_TOO_LARGE");
    assert_int_equal(request(f, "POST", API "/catalogs", NULL, body, size - 1), 200);
    free(body);

    /* A body that does not tell its length is cut off. */
    char url[256], header[512], *token = read_home(f, "token");
    snprintf(url, sizeof url, "%s" API "/catalogs", ist_server_url(f->server));
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    free(token);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
    curl_easy_reset(f->curl);
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(f->curl, CURLOPT_READFUNCTION, send_zeroes);
    zeroes_left = 64u << 20;
    assert_true(curl_easy_perform(f->curl) != CURLE_OK);
    assert_true(zeroes_left > 32u << 20);
    curl_slist_free_all(headers);
    assert_int_equal(get(f, API "/catalogs"), 200);
}

static void test_server_server__answers_what_clients_ask_first(void **state)
{
    fixture *f = *state;
    assert_int_equal(get(f, API "/metastore_summary"), 200);
    assert_non_null(strstr(f->body.data, "\"metastore_id\":\""));
    assert_int_equal(post(f, API "/temporary-path-credentials", "{\"url\":\"/a\",\"operation\":\"PATH_READ\"}"), 200);
    assert_non_null(strstr(f->body.data, "{\"aws_temp_credentials\":null,\"azure_user_delegation_sas\":null,"
                                         "\"gcp_oauth_token\":null,\"expiration_time\":1"));
    assert_non_null(strstr(f->body.data, "\"url\":\"file:///a\",\"isthmus_file_token\":{\"token\":\""));
    assert_int_equal(post(f, API "/catalogs", "{\"name\":\"main\"}"), 400);
    assert_error(f, "CATALOG_ALREADY_EXISTS");
    assert_int_equal(post(f, API "/catalogs", "{\"name\":\"c\"}"), 200);
    assert_int_equal(request(f, "DELETE", API "/catalogs/c", NULL, NULL, 0), 200);
    assert_string_equal(f->body.data, "{}");
    assert_int_equal(post(f, "/api/v1/lineage",
                          "{\"eventTime\":\"2026-11-23T09:00:00Z\",\"run\":{\"runId\":\"r\"},\"job\":{\"namespace\":"
                          "\"n\",\"name\":\"j\"},\"outputs\":[{\"namespace\":\"unitycatalog\",\"name\":\"a.b.c\"}]}"),
                     201);
    assert_int_equal(get(f, "/api/2.1/isthmus/lineage?table=a.b.c"), 200);
    assert_non_null(strstr(f->body.data, "\"job\":\"j\""));
}

static void test_server_server__home(void **state)
{
    fixture *f = *state;
    char *token = read_home(f, "token"), *note = read_home(f, "server.json"), expected[1024];
    assert_int_equal(strlen(token), 64);
    snprintf(expected, sizeof expected, "{\"url\":\"%s\",\"token\":\"%s\",\"pid\":%ld}\n", ist_server_url(f->server),
             token, (long)getpid());
    assert_string_equal(note, expected);
    static const char *const private[] = {"token", "server.json", "catalog.db", "catalog.db-wal", "server.lock"};
    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        assert_int_equal(mode_of(f, private[i]), 0600);

    /* A second one is refused and told of the first; the first is not disturbed. */
    ist_server *second = NULL;
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    options.home = f->home;
    assert_int_equal(ist_server_start(&options, &second, &f->err), IST_ALREADY_EXISTS);
    assert_null(second);
    assert_non_null(strstr(f->err.message, ist_server_url(f->server)));
    snprintf(expected, sizeof expected, "pid %ld", (long)getpid());
    assert_non_null(strstr(f->err.message, expected));
    assert_null(strstr(f->err.message, token));
    assert_int_equal(get(f, API "/catalogs/main"), 200);

    /* What is stored outlives the server, and so does the token. */
    assert_int_equal(post(f, API "/catalogs", "{\"name\":\"kept\"}"), 200);
    ist_server_stop(f->server);
    assert_int_equal(mode_of(f, "server.json"), 0);
    start(f);
    char *again = read_home(f, "token");
    assert_string_equal(again, token);
    assert_int_equal(get(f, API "/catalogs/kept"), 200);
    free(again);
    free(token);
    free(note);
}

static void test_server_server__is_found_by_clients(void **state)
{
    fixture *f = *state;
    ist_catalog *catalog = NULL;
    setenv("ISTHMUS_HOME", f->home, 1);
    unsetenv("ISTHMUS_CATALOG");
    unsetenv("ISTHMUS_TOKEN");
    assert_ok(ist_catalog_open(NULL, &catalog, &f->err), f->err);
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "main", &f->body, &f->err), f->err);
    ist_catalog_free(catalog);

    setenv("ISTHMUS_TOKEN", "wrong", 1);
    assert_ok(ist_catalog_open(NULL, &catalog, &f->err), f->err);
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "main", &f->body, &f->err), IST_UNAUTHENTICATED);
    assert_null(strstr(f->err.message, "wrong"));
    ist_catalog_free(catalog);
    unsetenv("ISTHMUS_TOKEN");

    ist_server_stop(f->server);
    assert_int_equal(ist_catalog_open(NULL, &catalog, &f->err), IST_NOT_FOUND);
    assert_non_null(strstr(f->err.message, "isthmus serve"));
    start(f);
    unsetenv("ISTHMUS_HOME");
}

static void test_server_server__refuses_bad_options(void **state)
{
    fixture *f = *state;
    ist_server *server = NULL;
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    char *home = new_folder();
    options.home = home;
    options.address = "0.0.0.0";
    assert_int_equal(ist_server_start(&options, &server, &f->err), IST_UNSUPPORTED);
    options.address = "nonsense";
    assert_int_equal(ist_server_start(&options, &server, &f->err), IST_BAD_INPUT);
    options.address = NULL;
    options.port = ist_server_port(f->server);
    assert_int_equal(ist_server_start(&options, &server, &f->err), IST_IO);
    assert_non_null(strstr(f->err.message, "in use"));
    options.port = 0;
    options.token = "two words";
    assert_int_equal(ist_server_start(&options, &server, &f->err), IST_BAD_INPUT);
    options.token = NULL;
    options.home = "/proc/nowhere";
    assert_int_equal(ist_server_start(&options, &server, &f->err), IST_IO);
    options.home = home;
    assert_ok(ist_server_start(&options, &server, &f->err), f->err);
    ist_server_stop(server);
    remove_folder(home);
}

/* The other process of the next test, this executable again: serve a home, create a catalog, tell, await the end. */
static int serve(char *home)
{
    fixture f = {.home = home, .curl = curl_easy_init()};
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    options.home = home;
    if (ist_server_start(&options, &f.server, &f.err) != IST_OK ||
        post(&f, API "/catalogs", "{\"name\":\"survivor\"}") != 200 || write(STDOUT_FILENO, "!", 1) != 1)
        return 1;
    for (;;)
        pause();
}

/* A server in a process of its own, which made the catalog `survivor` before it was ready. */
static pid_t serve_in_child(fixture *f)
{
    int ends[2];
    char ready = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl("/proc/self/exe", "test_server", "--serve", f->home, (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &ready, 1), 1);
    close(ends[0]);
    assert_int_equal(ready, '!');
    return child;
}

/* A killed server leaves nothing in the way of the next, and its acknowledged changes. */
static void test_server_server__starts_after_sigkill(void **state)
{
    fixture *f = *state;
    ist_server_stop(f->server);
    f->server = NULL;
    pid_t child = serve_in_child(f);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    start(f);
    assert_int_equal(get(f, API "/catalogs/survivor"), 200);
}

/* Clients at work while the server ends: each call is answered whole or not taken on; what was answered is kept. */

enum { WORKERS = 6 };

typedef struct worker {
    pthread_t thread;
    fixture *f;
    int number;
    int done;
    ist_error err;
} worker;

/* Through the server.json of whoever serves the home. */
static void *create_until_stopped(void *payload)
{
    worker *w = payload;
    ist_catalog *catalog = NULL;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    ist__server_note note;
    if (ist__server_note_read(w->f->home, &note, &w->err) != IST_OK)
        return NULL;
    options.uri = note.url;
    options.token = note.token;
    options.timeout_ms = 2000; /* nobody comes back */
    if (ist_catalog_open(&options, &catalog, &w->err) == IST_OK)
        for (;;) {
            char body[100];
            snprintf(body, sizeof body, "{\"name\":\"w%d_%d\",\"catalog_name\":\"main\"}", w->number, w->done);
            if (ist_catalog_create(catalog, IST_SECURABLE_SCHEMA, body, NULL, &w->err) != IST_OK)
                break;
            w->done++;
        }
    ist_catalog_free(catalog);
    return NULL;
}

static void start_workers(fixture *f, worker workers[WORKERS])
{
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.f = f, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, create_until_stopped, &workers[i]), 0);
    }
    usleep(300000);
}

static int get_of_worker(fixture *f, const worker *w, int number)
{
    char path[200];
    snprintf(path, sizeof path, API "/schemas/main.w%d_%d", w->number, number);
    return get(f, path);
}

/* Wait for them; after the next start everything that was answered is there. */
static void check_workers(fixture *f, worker workers[WORKERS])
{
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    start(f);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].err.status, IST_RETRYABLE);
        assert_true(workers[i].done > 0);
        for (int n = 0; n < workers[i].done; n++)
            assert_int_equal(get_of_worker(f, &workers[i], n), 200);
    }
}

static void test_server_server__keeps_what_it_answered_before_sigkill(void **state)
{
    fixture *f = *state;
    worker workers[WORKERS];
    ist_server_stop(f->server);
    f->server = NULL;
    pid_t child = serve_in_child(f);
    start_workers(f, workers);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    check_workers(f, workers);
}

static void test_server_server__stops_gracefully(void **state)
{
    fixture *f = *state;
    worker workers[WORKERS];
    start_workers(f, workers);
    ist_server *server = f->server;
    ist_server_stop(server);
    check_workers(f, workers);
    for (int i = 0; i < WORKERS; i++) {
        assert_non_null(strstr(workers[i].err.message, "cannot reach"));
        assert_int_equal(get_of_worker(f, &workers[i], workers[i].done), 404);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        return serve(argv[2]);
#define served(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        served(test_server_server__asks_for_the_token),
        served(test_server_server__unknown_paths_and_methods),
        served(test_server_server__bad_requests),
        served(test_server_server__large_bodies),
        served(test_server_server__answers_what_clients_ask_first),
        served(test_server_server__home),
        served(test_server_server__is_found_by_clients),
        served(test_server_server__refuses_bad_options),
        served(test_server_server__starts_after_sigkill),
        served(test_server_server__keeps_what_it_answered_before_sigkill),
        served(test_server_server__stops_gracefully),
    };
    return run_group(tests, argc, argv);
}
