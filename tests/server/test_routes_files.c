/* test_routes_files.c: the file gateway's HTTP, as a client written by others would use it, and as one should not. */
#include "testing.h"

#include "catalog/local/file_token.h"
#include "isthmus/server.h"

#include <curl/curl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <yyjson.h>

typedef struct fixture {
    char *home, *root;
    ist_server *server;
    ist__file_signer *signer;
    char *token; /* for reading and writing */
    CURL *curl;
    struct curl_slist *more; /* headers of the next request */
    ist_error err;
    ist_buffer body, head; /* of the last answer */
} fixture;

static char *make_token(fixture *f, ist__file_signer *signer, bool write)
{
    ist_buffer token = IST_BUFFER_INIT, url = IST_BUFFER_INIT;
    int64_t expires;
    assert_ok(ist_buffer_printf(&url, &f->err, "file://%s", f->root), f->err);
    assert_ok(ist__file_token_make(signer, url.data, write, "ann", &token, &expires, &f->err), f->err);
    ist_buffer_free(&url);
    return token.data;
}

static void make_file(fixture *f, const char *name, const char *text)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", f->root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    f->home = new_folder();
    f->root = new_folder();
    f->curl = curl_easy_init();
    options.home = f->home;
    assert_ok(ist_server_start(&options, &f->server, &f->err), f->err);
    assert_ok(ist__file_signer_open(f->home, 0, &f->signer, &f->err), f->err);
    f->token = make_token(f, f->signer, true);
    make_file(f, "x", "0123456789");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_server_stop(f->server);
    ist__file_signer_free(f->signer);
    curl_easy_cleanup(f->curl);
    free(f->token);
    ist_buffer_free(&f->body);
    ist_buffer_free(&f->head);
    remove_folder(f->home);
    remove_folder(f->root);
    free(f);
    return 0;
}

static size_t collect(char *data, size_t size, size_t count, void *buffer)
{
    return ist_buffer_append(buffer, data, size * count, NULL) == IST_OK ? size * count : 0;
}

static void with(fixture *f, const char *header)
{
    f->more = curl_slist_append(f->more, header);
}

/* Send a request for <files>/<path>, return the HTTP status. token "": none. body NULL: none. */
static int ask(fixture *f, const char *token, const char *method, const char *path, const char *body)
{
    char url[8192], header[4096];
    long status = 0;
    ist_buffer_clear(&f->body);
    ist_buffer_clear(&f->head);
    snprintf(url, sizeof url, "%s/api/2.1/isthmus/files%s", ist_server_url(f->server), path);
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    if (*token)
        with(f, header);
    curl_easy_reset(f->curl);
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_PATH_AS_IS, 1L);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(f->curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(f->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, f->more);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, &f->body);
    curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, &f->head);
    curl_easy_setopt(f->curl, CURLOPT_TIMEOUT, 20L);
    if (body)
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, body);
    if (curl_easy_perform(f->curl) == CURLE_OK)
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(f->more);
    f->more = NULL;
    return (int)status;
}

static int get(fixture *f, const char *path)
{
    return ask(f, f->token, "GET", path, NULL);
}

static void assert_body(fixture *f, const char *text)
{
    assert_string_equal(f->body.data ? f->body.data : "", text);
}

static void assert_head(fixture *f, const char *line)
{
    if (!strcasestr(f->head.data, line))
        fail_msg("no '%s' in %s", line, f->head.data);
}

static void test_server_routes_files__sends_objects_and_parts(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *range;
        int http;
        const char *body, *content_range;
    } cases[] = {
        {"bytes=0-3", 206, "0123", "bytes 0-3/10"}, {"bytes=7-", 206, "789", "bytes 7-9/10"},
        {"bytes=-2", 206, "89", "bytes 8-9/10"},    {"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
        {"bytes=5-99", 206, "56789", NULL},         {"bytes=9-9", 206, "9", NULL},
        {"bytes=10-", 416, NULL, "bytes */10"},     {"bytes=-0", 416, NULL, "bytes */10"},
        {"bytes=3-2", 200, "0123456789", NULL},     {"bytes=a-b", 200, "0123456789", NULL},
        {"bytes=0-1,3-4", 200, "0123456789", NULL}, {"items=0-1", 200, "0123456789", NULL},
        {"bytes=99999999999999999999-", 200, "0123456789", NULL}};
    assert_int_equal(get(f, "/x"), 200);
    assert_body(f, "0123456789");
    assert_head(f, "Accept-Ranges: bytes");
    assert_head(f, "X-Isthmus-Modified-Ms: 1");
    assert_int_equal(ask(f, f->token, "HEAD", "/x", NULL), 200);
    assert_head(f, "Content-Length: 10");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[128];
        snprintf(header, sizeof header, "Range: %s", cases[i].range);
        with(f, header);
        assert_int_equal(get(f, "/x"), cases[i].http);
        if (cases[i].body)
            assert_body(f, cases[i].body);
        if (cases[i].content_range)
            assert_head(f, cases[i].content_range);
    }
    make_file(f, "empty", "");
    with(f, "Range: bytes=-10");
    assert_int_equal(get(f, "/empty"), 200);
    assert_int_equal(get(f, "/nothing"), 404);
    assert_int_equal(get(f, ""), 400);
}

static void test_server_routes_files__an_etag_names_one_object(void **state)
{
    fixture *f = *state;
    char etag[200] = "If-Match: ";
    assert_int_equal(get(f, "/x"), 200);
    const char *at = strcasestr(f->head.data, "ETag: ") + 6;
    strncat(etag, at, strcspn(at, "\r\n"));
    with(f, etag);
    assert_int_equal(get(f, "/x"), 200);
    assert_int_equal(ask(f, f->token, "PUT", "/x", "0123456789"), 200); /* the same bytes, another object */
    with(f, etag);
    assert_int_equal(get(f, "/x"), 412);
    with(f, "If-Match: *");
    assert_int_equal(get(f, "/x"), 200);
}

static void test_server_routes_files__puts_whole_objects(void **state)
{
    fixture *f = *state;
    assert_int_equal(ask(f, f->token, "PUT", "/deep/er/y", "new"), 200);
    assert_int_equal(get(f, "/deep/er/y"), 200);
    assert_body(f, "new");
    with(f, "If-None-Match: *");
    assert_int_equal(ask(f, f->token, "PUT", "/deep/er/y", "lost"), 412);
    with(f, "If-None-Match: *");
    assert_int_equal(ask(f, f->token, "PUT", "/z", "won"), 200);
    with(f, "If-None-Match: \"x\"");
    assert_int_equal(ask(f, f->token, "PUT", "/z", "?"), 400);
    with(f, "Transfer-Encoding: chunked");
    assert_int_equal(ask(f, f->token, "PUT", "/chunks", "of unknown length"), 200);
    assert_int_equal(get(f, "/chunks"), 200);
    assert_body(f, "of unknown length");
    assert_int_equal(get(f, "/deep/er/y"), 200);
    assert_body(f, "new");
    assert_int_equal(ask(f, f->token, "PUT", "/deep", "a folder is there"), 400);
    assert_int_equal(ask(f, f->token, "DELETE", "/z", NULL), 200);
    assert_int_equal(ask(f, f->token, "DELETE", "/z", NULL), 200);
    assert_int_equal(get(f, "/z"), 404);
}

static void test_server_routes_files__folders_and_pages(void **state)
{
    fixture *f = *state;
    assert_int_equal(ask(f, f->token, "PUT", "/d/e?folder=true", ""), 200);
    assert_int_equal(ask(f, f->token, "PUT", "/d/e2?folder=true", "text"), 400);
    assert_int_equal(ask(f, f->token, "PUT", "/b", "22"), 200);
    assert_int_equal(get(f, "?list=true"), 200);
    yyjson_doc *doc = yyjson_read(f->body.data, f->body.size, 0);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/objects/0/name")), "b");
    assert_int_equal(yyjson_get_int(yyjson_doc_ptr_get(doc, "/objects/0/size")), 2);
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/objects/1/name")), "x");
    assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, "/folders/0")), "d");
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(doc, "/next")));
    yyjson_doc_free(doc);
    assert_int_equal(get(f, "?list=true&max=1"), 200);
    assert_non_null(strstr(f->body.data, "\"next\":\"b\""));
    assert_int_equal(get(f, "?list=true&max=1&start_after=b"), 200);
    assert_non_null(strstr(f->body.data, "\"folders\":[\"d\"],\"next\":\"d\""));
    assert_int_equal(get(f, "?list=true&max=1&start_after=d"), 200);
    assert_non_null(strstr(f->body.data, "\"next\":null"));
    assert_int_equal(get(f, "/d?list=true"), 200);
    assert_body(f, "{\"objects\":[],\"folders\":[\"e\"],\"next\":null}");
    assert_int_equal(get(f, "?list=true&max=-1"), 400);
    assert_int_equal(get(f, "?list=maybe"), 400);

    assert_int_equal(ask(f, f->token, "POST", "/b?rename_to=d%2Fe%2Fb", ""), 200);
    assert_int_equal(ask(f, f->token, "POST", "/x?rename_to=d/e/b", ""), 409);
    assert_int_equal(ask(f, f->token, "POST", "/x", ""), 400);
    assert_int_equal(ask(f, f->token, "DELETE", "/d?folder=true", NULL), 409);
    assert_int_equal(ask(f, f->token, "DELETE", "/d/e/b", NULL), 200);
    assert_int_equal(ask(f, f->token, "DELETE", "/d/e?folder=true", NULL), 200);
}

static void test_server_routes_files__asks_for_a_file_token(void **state)
{
    fixture *f = *state;
    ist__file_signer *brief;
    char admin[128] = "", path[4200];
    snprintf(path, sizeof path, "%s/token", f->home);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(admin, sizeof admin, file));
    fclose(file);
    assert_ok(ist__file_signer_open(f->home, 1, &brief, &f->err), f->err);
    char *expired = make_token(f, brief, true), *reading = make_token(f, f->signer, false);
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    const char *const wrong[] = {"", "x", admin, expired};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(ask(f, wrong[i], "GET", "/x", NULL), 401);
        assert_int_equal(ask(f, wrong[i], "GET", "?list=true", NULL), 401);
        assert_int_equal(ask(f, wrong[i], "PUT", "/y", "y"), 401);
        assert_int_equal(ask(f, wrong[i], "DELETE", "/x", NULL), 401);
        if (*wrong[i])
            assert_null(strstr(f->body.data, wrong[i]));
    }
    assert_int_equal(ask(f, reading, "GET", "/x", NULL), 200);
    assert_int_equal(ask(f, reading, "PUT", "/y", "y"), 403);
    assert_int_equal(ask(f, reading, "PUT", "/y?folder=true", ""), 403);
    assert_int_equal(ask(f, reading, "POST", "/x?rename_to=y", ""), 403);
    assert_int_equal(ask(f, reading, "DELETE", "/x", NULL), 403);
    assert_int_equal(get(f, "/x"), 200);
    assert_int_equal(get(f, "/y"), 404);
    /* And a file token opens nothing but files. */
    char url[512];
    snprintf(url, sizeof url, "%s", "/../../unity-catalog/catalogs");
    assert_int_equal(get(f, url), 400);
    ist__file_signer_free(brief);
    free(expired);
    free(reading);
}

static void test_server_routes_files__nothing_outside_the_root(void **state)
{
    fixture *f = *state;
    char link[4200], secret[4200];
    snprintf(secret, sizeof secret, "%s/token", f->home);
    snprintf(link, sizeof link, "%s/out", f->root);
    assert_int_equal(symlink(secret, link), 0);
    snprintf(link, sizeof link, "%s/folder_out", f->root);
    assert_int_equal(symlink(f->home, link), 0);
    static const char *const paths[] = {
        "/..",           "/../token",         "/a/../../token",   "/%2e%2e/token",    "/..%2Ftoken", "/a/%2E%2E/x",
        "/./x",          "//etc/passwd",      "/%2Fetc%2Fpasswd", "/a//b",            "/x%00.txt",   "/%zz",
        "/x/",           "/out",              "/folder_out/token", "/folder_out/files.key"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int http = get(f, paths[i]);
        if (http != 400 && http != 401 && http != 404) /* 401: it is no path of the gateway */
            fail_msg("GET %s: %d", paths[i], http);
        if (i < 13) { /* a link's own name may be replaced; what it leads to may not */
            http = ask(f, f->token, "PUT", paths[i], "y");
            if (http != 400 && http != 401 && http != 404)
                fail_msg("PUT %s: %d", paths[i], http);
        }
    }
    assert_int_equal(ask(f, f->token, "PUT", "/folder_out/new", "y"), 400);
    assert_int_equal(ask(f, f->token, "DELETE", "/folder_out/token", NULL), 400);
    assert_int_equal(ask(f, f->token, "POST", "/x?rename_to=folder_out%2Fx", ""), 400);
    assert_int_equal(ask(f, f->token, "POST", "/x?rename_to=..%2Fx", ""), 400);
    assert_int_equal(get(f, "/folder_out?list=true"), 400);
    assert_int_equal(get(f, "?list=true"), 200);
    assert_null(strstr(f->body.data, "out"));
    assert_int_equal(access(secret, F_OK), 0);
    assert_int_equal(get(f, "/%C3%A9%20%25%3F%23"), 404);
    assert_int_equal(ask(f, f->token, "PUT", "/%C3%A9%20%25%3F%23", "odd"), 200);
    assert_int_equal(get(f, "/%C3%A9%20%25%3F%23"), 200);
    assert_body(f, "odd");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_routes_files__sends_objects_and_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_routes_files__an_etag_names_one_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_routes_files__puts_whole_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_routes_files__folders_and_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_routes_files__asks_for_a_file_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_routes_files__nothing_outside_the_root, set_up, tear_down),
    };
    return run_group(tests, argc, argv);
}
