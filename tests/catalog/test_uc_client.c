/* test_uc_client.c: the REST client against a server that misbehaves as it is told. */
#include "testing.h"

#include "catalog/catalog_internal.h"
#include "isthmus/catalog.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* Answers the n-th connection with answers[n] (the last one again and again) and notes what it was sent. */
typedef struct fake {
    int listening;
    uint16_t port;
    const char *const *answers;
    int count;
    int served;
    char request[8192]; /* the last one */
    pthread_t thread;
} fake;

static void *serve(void *payload)
{
    fake *f = payload;
    for (;;) {
        int fd = accept(f->listening, NULL, NULL);
        if (fd < 0)
            return NULL;
        size_t size = 0;
        f->request[0] = '\0';
        for (;;) { /* the head, and what Content-Length says */
            ssize_t n = recv(fd, f->request + size, sizeof f->request - 1 - size, 0);
            if (n <= 0)
                break;
            size += (size_t)n;
            f->request[size] = '\0';
            const char *end = strstr(f->request, "\r\n\r\n"), *length = strstr(f->request, "Content-Length: ");
            if (end && size >= (size_t)(end - f->request) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0))
                break;
        }
        const char *answer = f->answers[f->served < f->count ? f->served : f->count - 1];
        f->served++;
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            perror("send");
        close(fd);
    }
}

static void start(fake *f, const char *const *answers, int count)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    memset(f, 0, sizeof *f);
    f->answers = answers;
    f->count = count;
    f->listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listening, (struct sockaddr *)&where, size), 0);
    assert_int_equal(listen(f->listening, 8), 0);
    getsockname(f->listening, (struct sockaddr *)&where, &size);
    f->port = ntohs(where.sin_port);
    pthread_create(&f->thread, NULL, serve, f);
}

static void stop(fake *f)
{
    shutdown(f->listening, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listening);
}

static ist_catalog *open_fake(const fake *f, const char *suffix)
{
    char uri[200];
    ist_catalog *catalog = NULL;
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    snprintf(uri, sizeof uri, "http://127.0.0.1:%u%s", f->port, suffix);
    options.uri = uri;
    options.token = "s3cret";
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    return catalog;
}

#define HEAD(status, length) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " length "\r\n\r\n"

static void test_uc_client__repeats_what_may_be_repeated(void **state)
{
    (void)state;
    static const char *const busy[] = {HEAD("503 x", "0"), HEAD("429 x", "0"), HEAD("502 x", "0"),
                                       HEAD("200 OK", "2") "{}"};
    fake f;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    start(&f, busy, 4);
    ist_catalog *catalog = open_fake(&f, "");
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_TABLE, "a.b.c", &out, &err), err);
    assert_string_equal(out.data, "{}");
    assert_int_equal(f.served, 4);
    assert_non_null(strstr(f.request, "GET /api/2.1/unity-catalog/tables/a.b.c HTTP/1.1"));
    assert_non_null(strstr(f.request, "Authorization: Bearer s3cret"));

    /* A change that may have been done is not done again; one that the server put off is. */
    f.served = 0;
    assert_int_equal(ist_catalog_create(catalog, IST_SECURABLE_CATALOG, "{\"name\":\"a\"}", NULL, &err), IST_RETRYABLE);
    assert_int_equal(f.served, 1);
    f.served = 1;
    assert_int_equal(ist_catalog_create(catalog, IST_SECURABLE_CATALOG, "{\"name\":\"a\"}", NULL, &err), IST_RETRYABLE);
    assert_int_equal(f.served, 3);
    assert_int_equal(err.code, 502);
    ist_catalog_free(catalog);
    stop(&f);
    ist_buffer_free(&out);
}

static void test_uc_client__gives_up(void **state)
{
    (void)state;
    static const char *const busy[] = {HEAD("503 x", "0")};
    fake f;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    start(&f, busy, 1);
    ist_catalog *catalog = open_fake(&f, "/api/2.1/unity-catalog/");
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_SCHEMA, "a.b", &out, &err), IST_RETRYABLE);
    assert_int_equal(f.served, 5);
    assert_non_null(strstr(f.request, "GET /api/2.1/unity-catalog/schemas/a.b HTTP/1.1"));
    stop(&f);
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_SCHEMA, "a.b", &out, &err), IST_RETRYABLE);
    assert_non_null(strstr(err.message, "is it running?"));
    assert_null(strstr(err.message, "s3cret"));
    ist_catalog_free(catalog);
    ist_buffer_free(&out);
}

static void test_uc_client__says_what_the_server_said(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        ist_status status;
        const char *message, *where;
    } cases[] = {
        {HEAD("404 x", "68") "{\"error_code\":\"TABLE_NOT_FOUND\",\"message\":\"Table\\nnot found: a.b.c\"}     ",
         IST_NOT_FOUND, "Table not found: a.b.c", "TABLE_NOT_FOUND"},
        {HEAD("400 x", "58") "{\"error_code\":\"TABLE_ALREADY_EXISTS\",\"message\":\"it is\"}    ", IST_ALREADY_EXISTS,
         "it is", "TABLE_ALREADY_EXISTS"},
        {HEAD("400 x", "58") "{\"error_code\":\"SOMETHING_ELSE\",\"message\":\"it is\"}          ", IST_BAD_INPUT,
         "it is", "SOMETHING_ELSE"},
        {HEAD("403 x", "6") "<html>", IST_FORBIDDEN,
         "GET /api/2.1/unity-catalog/tables/a.b.c: the catalog server answered HTTP 403", ""},
        {HEAD("401 x", "0"), IST_UNAUTHENTICATED, NULL, ""},
        {HEAD("500 x", "0"), IST_IO, NULL, ""},
        {HEAD("200 OK", "6") "<html>", IST_BAD_INPUT, NULL, ""},
        {HEAD("200 OK", "2") "[]", IST_BAD_INPUT, NULL, ""},
        {HEAD("302 x", "0"), IST_IO, NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake f;
        ist_error err = IST_ERROR_INIT;
        ist_buffer out = IST_BUFFER_INIT;
        start(&f, &cases[i].answer, 1);
        ist_catalog *catalog = open_fake(&f, "/");
        assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_TABLE, "a.b.c", &out, &err), cases[i].status);
        if (cases[i].message)
            assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.where, cases[i].where);
        assert_int_equal(out.size, 0);
        assert_int_equal(f.served, 1);
        ist_catalog_free(catalog);
        stop(&f);
        ist_buffer_free(&out);
    }
}

static void test_uc_client__keeps_names_in_their_place(void **state)
{
    (void)state;
    static const char *const good[] = {HEAD("200 OK", "2") "{}"};
    fake f;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    start(&f, good, 1);
    ist_catalog *catalog = open_fake(&f, "");
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a?b c%", &out, &err), err);
    assert_non_null(strstr(f.request, "/catalogs/a%3Fb%20c%25 HTTP/1.1"));
    assert_ok(ist_catalog_list(catalog, IST_SECURABLE_TABLE, "a&b.c", 7, "x=y&z", &out, &err), err);
    assert_non_null(strstr(f.request, "/tables?catalog_name=a%26b&schema_name=c&max_results=7&page_token=x%3Dy%26z "));
    assert_ok(ist_catalog_delete(catalog, IST_SECURABLE_CATALOG, "a", true, &err), err);
    assert_non_null(strstr(f.request, "DELETE /api/2.1/unity-catalog/catalogs/a?force=true HTTP/1.1"));
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "`../x`", &out, &err), IST_BAD_INPUT);
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "`a.b`", &out, &err), IST_BAD_INPUT);
    ist_catalog_free(catalog);
    stop(&f);
    ist_buffer_free(&out);
}

static void test_uc_client__lineage_is_not_everywhere(void **state)
{
    (void)state;
    static const char *const none[] = {HEAD("404 x", "0")};
    fake f;
    ist_error err = IST_ERROR_INIT;
    start(&f, none, 1);
    ist_catalog *catalog = open_fake(&f, "");
    assert_int_equal(ist_catalog_post_lineage(catalog, "{}", &err), IST_UNSUPPORTED);
    assert_non_null(strstr(f.request, "POST /api/v1/lineage HTTP/1.1"));
    ist_catalog_free(catalog);
    stop(&f);
}

/* The token in server.json belongs to the server that server.json names. */
static void test_uc_client__shows_a_token_to_its_server_only(void **state)
{
    (void)state;
    static const char *const good[] = {HEAD("200 OK", "2") "{}"};
    fake f;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    ist__server_note note = {.token = "local", .pid = 1};
    ist_catalog *catalog = NULL;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    char *home = new_folder();
    start(&f, good, 1);
    unsetenv("ISTHMUS_TOKEN");
    unsetenv("ISTHMUS_CATALOG");
    setenv("ISTHMUS_HOME", home, 1);
    snprintf(note.url, sizeof note.url, "http://127.0.0.1:%u", f.port);
    assert_ok(ist__server_note_write(home, &note, &err), err);
    assert_ok(ist_catalog_open(NULL, &catalog, &err), err);
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, &err), err);
    assert_non_null(strstr(f.request, "Authorization: Bearer local"));
    ist_catalog_free(catalog);

    snprintf(note.url, sizeof note.url, "http://127.0.0.1:1");
    assert_ok(ist__server_note_write(home, &note, &err), err);
    char elsewhere[100];
    snprintf(elsewhere, sizeof elsewhere, "http://127.0.0.1:%u", f.port);
    options.uri = elsewhere;
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, &err), err);
    assert_null(strstr(f.request, "Authorization"));
    ist_catalog_free(catalog);

    unsetenv("ISTHMUS_HOME");
    stop(&f);
    remove_folder(home);
    ist_buffer_free(&out);
}

static void test_uc_client__refuses_bad_options(void **state)
{
    (void)state;
    static const char *const uris[] = {"", "host:80", "ftp://h", "http://h\r\nX: y", "http://h?x"};
    ist_catalog *catalog = NULL;
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        options.uri = uris[i];
        assert_int_equal(ist_catalog_open(&options, &catalog, &err), IST_BAD_INPUT);
    }
    options.uri = "http://h";
    options.token = "a\r\nX-Evil: 1";
    assert_int_equal(ist_catalog_open(&options, &catalog, &err), IST_BAD_INPUT);
    assert_null(strstr(err.message, "Evil"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uc_client__repeats_what_may_be_repeated),
        cmocka_unit_test(test_uc_client__gives_up),
        cmocka_unit_test(test_uc_client__says_what_the_server_said),
        cmocka_unit_test(test_uc_client__keeps_names_in_their_place),
        cmocka_unit_test(test_uc_client__lineage_is_not_everywhere),
        cmocka_unit_test(test_uc_client__shows_a_token_to_its_server_only),
        cmocka_unit_test(test_uc_client__refuses_bad_options),
    };
    return run_group(tests, argc, argv);
}
