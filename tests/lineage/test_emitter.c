/* test_emitter.c: events leave beside the job, to places that are there, slow, or gone. */
#include "testing.h"

#include "isthmus/lineage.h"
#include "util/util.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <yyjson.h>

static const char event[] = "{\"eventTime\":\"2026-11-23T09:00:00Z\",\"eventType\":\"COMPLETE\",\"run\":{\"runId\":\"r1\"},"
                            "\"job\":{\"namespace\":\"n\",\"name\":\"j\"}}";

/* An OpenLineage endpoint: answers each connection after a while, and keeps the last request. */
typedef struct endpoint {
    int listening;
    char url[64];
    int delay_ms; /* < 0: never answers */
    pthread_t thread;
    char request[4096];
    int count;
} endpoint;

static void *serve(void *payload)
{
    endpoint *self = payload;
    static const char answer[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    int fd;
    while ((fd = accept(self->listening, NULL, NULL)) >= 0) {
        size_t size = 0;
        ssize_t got = 1;
        while (got > 0 && !memmem(self->request, size, event, strlen(event))) {
            got = read(fd, self->request + size, sizeof self->request - 1 - size);
            size += got > 0 ? (size_t)got : 0;
        }
        self->request[size] = '\0';
        if (self->delay_ms > 0)
            usleep((useconds_t)self->delay_ms * 1000);
        if (self->delay_ms >= 0 && write(fd, answer, strlen(answer)) > 0)
            self->count++;
        close(fd);
    }
    return NULL;
}

static void endpoint_start(endpoint *self, int delay_ms)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    memset(self, 0, sizeof *self);
    self->delay_ms = delay_ms;
    self->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(self->listening, (struct sockaddr *)&where, size), 0);
    assert_int_equal(listen(self->listening, 16), 0);
    getsockname(self->listening, (struct sockaddr *)&where, &size);
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", ntohs(where.sin_port));
    pthread_create(&self->thread, NULL, serve, self);
}

static void endpoint_stop(endpoint *self)
{
    shutdown(self->listening, SHUT_RDWR);
    close(self->listening);
    pthread_join(self->thread, NULL);
}

static int clear_settings(void **state)
{
    (void)state;
    static const char *const names[] = {"OPENLINEAGE_URL",           "OPENLINEAGE_ENDPOINT",
                                        "OPENLINEAGE_API_KEY",       "OPENLINEAGE_DISABLED",
                                        "OPENLINEAGE__TRANSPORT__TYPE", "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

/* An emitter without a catalog, whose counters can be read. */
static ist_emitter *open_emitter(size_t queue_max, int64_t timeout_ms)
{
    ist_emitter_options options = IST_EMITTER_OPTIONS_INIT;
    ist_emitter *emitter = NULL;
    ist_error err = IST_ERROR_INIT;
    options.catalog_uri = "";
    options.queue_max = queue_max;
    options.timeout_ms = timeout_ms;
    assert_ok(ist_emitter_open(&options, &emitter, &err), err);
    return emitter;
}

static int64_t counter(ist_emitter *emitter, const char *key)
{
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_emitter_counters(emitter, &out, &err), err);
    yyjson_doc *doc = yyjson_read(out.data, out.size, 0);
    int64_t value = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), key));
    yyjson_doc_free(doc);
    ist_buffer_free(&out);
    return value;
}

static void test_lineage_emitter__posts_to_the_endpoint(void **state)
{
    (void)state;
    endpoint place;
    endpoint_start(&place, 0);
    setenv("OPENLINEAGE_URL", place.url, 1);
    setenv("OPENLINEAGE_ENDPOINT", "/custom/path", 1);
    setenv("OPENLINEAGE_API_KEY", "key-123", 1);
    ist_emitter *emitter = open_emitter(0, 0);
    ist_emitter_emit(emitter, event);
    assert_true(ist_emitter_flush(emitter, 5000));
    assert_int_equal(counter(emitter, "sent"), 1);
    ist_emitter_free(emitter);
    endpoint_stop(&place);
    assert_non_null(strstr(place.request, "POST /custom/path HTTP/1.1\r\n"));
    assert_non_null(strstr(place.request, "Authorization: Bearer key-123\r\n"));
    assert_non_null(strstr(place.request, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(place.request, event));
}

/* A place that never answers holds up nobody: handing over takes no time, the queue keeps the newest. */
static void test_lineage_emitter__slow_endpoint(void **state)
{
    (void)state;
    endpoint place;
    endpoint_start(&place, 60);
    setenv("OPENLINEAGE_URL", place.url, 1);
    ist_emitter *emitter = open_emitter(10, 5000);
    int64_t before = ist__monotonic_us();
    for (int i = 0; i < 500; i++)
        ist_emitter_emit(emitter, event);
    assert_true(ist__monotonic_us() - before < 50000);
    assert_true(counter(emitter, "dropped") >= 485);
    before = ist__monotonic_us();
    assert_false(ist_emitter_flush(emitter, 20));
    assert_true(ist__monotonic_us() - before < 60000);
    assert_true(ist_emitter_flush(emitter, 5000));
    assert_int_equal(counter(emitter, "dropped") + counter(emitter, "sent"), 500);
    assert_int_equal(counter(emitter, "waiting"), 0);
    ist_emitter_emit(emitter, event);
    before = ist__monotonic_us();
    ist_emitter_free(emitter); /* with one on its way */
    assert_true(ist__monotonic_us() - before < 50000);
    endpoint_stop(&place);
}

static void test_lineage_emitter__dead_endpoint(void **state)
{
    (void)state;
    endpoint place;
    endpoint_start(&place, 0);
    endpoint_stop(&place); /* nobody listens at its address now */
    setenv("OPENLINEAGE_URL", place.url, 1);
    ist_emitter *emitter = open_emitter(0, 500);
    for (int i = 0; i < 5; i++)
        ist_emitter_emit(emitter, event);
    assert_true(ist_emitter_flush(emitter, 5000));
    assert_int_equal(counter(emitter, "failed"), 5);
    ist_emitter_free(emitter);
}

static void test_lineage_emitter__file_and_disabled(void **state)
{
    (void)state;
    char *folder = new_folder(), path[4200], line[1024] = "";
    snprintf(path, sizeof path, "%s/events.jsonl", folder);
    setenv("OPENLINEAGE__TRANSPORT__TYPE", "file", 1);
    ist_emitter *emitter = NULL;
    ist_error err = IST_ERROR_INIT;
    assert_int_equal(ist_emitter_open(NULL, &emitter, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "LOG_FILE_PATH"));
    setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", path, 1);
    setenv("OPENLINEAGE_DISABLED", "True", 1);
    emitter = open_emitter(0, 0);
    ist_emitter_emit(emitter, event);
    assert_true(ist_emitter_flush(emitter, 1000));
    assert_int_not_equal(access(path, F_OK), 0);
    ist_emitter_free(emitter);
    unsetenv("OPENLINEAGE_DISABLED");
    emitter = open_emitter(0, 0);
    ist_emitter_emit(emitter, event);
    assert_true(ist_emitter_flush(emitter, 1000));
    ist_emitter_free(emitter);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_memory_equal(line, event, strlen(event));
    assert_string_equal(line + strlen(event), "\n");
    remove_folder(folder);
}

static void test_lineage_emitter__settings_that_cannot_be(void **state)
{
    (void)state;
    ist_emitter *emitter = NULL;
    ist_error err = IST_ERROR_INIT;
    setenv("OPENLINEAGE_URL", "ftp://user:secret@host", 1);
    assert_int_equal(ist_emitter_open(NULL, &emitter, &err), IST_BAD_INPUT);
    assert_null(emitter);
    assert_null(strstr(err.message, "secret"));
    setenv("OPENLINEAGE__TRANSPORT__TYPE", "kafka", 1);
    assert_int_equal(ist_emitter_open(NULL, &emitter, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "kafka"));
}

/* A child has the handle but not the thread: its calls return at once and do nothing. */
static void test_lineage_emitter__forked_child(void **state)
{
    (void)state;
    endpoint place;
    endpoint_start(&place, 0);
    setenv("OPENLINEAGE_URL", place.url, 1);
    ist_emitter *emitter = open_emitter(0, 0);
    ist_emitter_emit(emitter, event);
    assert_true(ist_emitter_flush(emitter, 5000));
    pid_t child = fork();
    if (child == 0) {
        ist_emitter_emit(emitter, event);
        bool done = ist_emitter_flush(emitter, 60000);
        ist_emitter_free(emitter);
        _exit(done ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    ist_emitter_free(emitter);
    endpoint_stop(&place);
    assert_int_equal(place.count, 1);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_lineage_emitter__##name, clear_settings, clear_settings)
    const struct CMUnitTest tests[] = {
        CASE(posts_to_the_endpoint), CASE(slow_endpoint),             CASE(dead_endpoint),
        CASE(file_and_disabled),     CASE(settings_that_cannot_be),   CASE(forked_child),
    };
    return run_group(tests, argc, argv);
}
