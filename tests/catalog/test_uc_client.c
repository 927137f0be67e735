/* test_uc_client.c: the REST client against a server that misbehaves as it is told. */
#include "scripted_peer.h"

#include "catalog/catalog_internal.h"
#include "isthmus/catalog.h"

static ist_catalog *open_peer(const scripted_peer *peer, const char *suffix)
{
    char uri[200];
    ist_catalog *catalog = NULL;
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    snprintf(uri, sizeof uri, "http://127.0.0.1:%u%s", peer->port, suffix);
    options.uri = uri;
    options.token = "s3cret";
    options.timeout_ms = 20000;
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    return catalog;
}

static char *answer_empty_object(scripted_peer *peer, const char *request)
{
    (void)peer, (void)request;
    return peer_reply("200 OK", "{}");
}

static void test_uc_client__repeats_what_may_be_repeated(void **state)
{
    (void)state;
    static const char *const busy[] = {PEER_HEAD("503 x", "0"), PEER_HEAD("429 x", "0"), PEER_HEAD("502 x", "0"),
                                       PEER_HEAD("200 OK", "2") "{}"};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, busy, 4, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_TABLE, "a.b.c", &out, &err), err);
    assert_string_equal(out.data, "{}");
    assert_int_equal(peer.served, 4);
    assert_true(peer_was_asked(&peer, "GET /api/2.1/unity-catalog/tables/a.b.c HTTP/1.1"));
    assert_true(peer_was_asked(&peer, "Authorization: Bearer s3cret"));

    /* A change that may have been done is not done again; one that the server put off is. */
    peer.served = 0;
    assert_int_equal(ist_catalog_create(catalog, IST_SECURABLE_CATALOG, "{\"name\":\"a\"}", NULL, &err), IST_RETRYABLE);
    assert_int_equal(peer.served, 1);
    peer.served = 1;
    assert_int_equal(ist_catalog_create(catalog, IST_SECURABLE_CATALOG, "{\"name\":\"a\"}", NULL, &err), IST_RETRYABLE);
    assert_int_equal(peer.served, 3);
    assert_int_equal(err.code, 502);
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__gives_up(void **state)
{
    (void)state;
    static const char *const busy[] = {PEER_HEAD("503 x", "0")};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, busy, 1, NULL);
    ist_catalog *catalog = open_peer(&peer, "/api/2.1/unity-catalog/");
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_SCHEMA, "a.b", &out, &err), IST_RETRYABLE);
    assert_int_equal(peer.served, 5);
    assert_true(peer_was_asked(&peer, "GET /api/2.1/unity-catalog/schemas/a.b HTTP/1.1"));
    peer_stop(&peer);
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
        {PEER_HEAD("404 x", "68") "{\"error_code\":\"TABLE_NOT_FOUND\",\"message\":\"Table\\nnot found: a.b.c\"}     ",
         IST_NOT_FOUND, "Table not found: a.b.c", "TABLE_NOT_FOUND"},
        {PEER_HEAD("400 x", "58") "{\"error_code\":\"TABLE_ALREADY_EXISTS\",\"message\":\"it is\"}    ", IST_ALREADY_EXISTS,
         "it is", "TABLE_ALREADY_EXISTS"},
        {PEER_HEAD("400 x", "58") "{\"error_code\":\"SOMETHING_ELSE\",\"message\":\"it is\"}          ", IST_BAD_INPUT,
         "it is", "SOMETHING_ELSE"},
        {PEER_HEAD("403 x", "6") "<html>", IST_FORBIDDEN,
         "GET /api/2.1/unity-catalog/tables/a.b.c: the catalog server answered HTTP 403", ""},
        {PEER_HEAD("401 x", "0"), IST_UNAUTHENTICATED, NULL, ""},
        {PEER_HEAD("500 x", "0"), IST_IO, NULL, ""},
        {PEER_HEAD("200 OK", "6") "<html>", IST_BAD_INPUT, NULL, ""},
        {PEER_HEAD("200 OK", "2") "[]", IST_BAD_INPUT, NULL, ""},
        {PEER_HEAD("302 x", "0"), IST_IO, NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scripted_peer peer;
        ist_error err = IST_ERROR_INIT;
        ist_buffer out = IST_BUFFER_INIT;
        peer_start(&peer, &cases[i].answer, 1, NULL);
        ist_catalog *catalog = open_peer(&peer, "/");
        assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_TABLE, "a.b.c", &out, &err), cases[i].status);
        if (cases[i].message)
            assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.where, cases[i].where);
        assert_int_equal(out.size, 0);
        assert_int_equal(peer.served, 1);
        ist_catalog_free(catalog);
        peer_stop(&peer);
        ist_buffer_free(&out);
    }
}

static void test_uc_client__keeps_names_in_their_place(void **state)
{
    (void)state;
    static const char *const good[] = {PEER_HEAD("200 OK", "2") "{}"};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, good, 1, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a?b c%", &out, &err), err);
    assert_true(peer_was_asked(&peer, "/catalogs/a%3Fb%20c%25 HTTP/1.1"));
    assert_ok(ist_catalog_list(catalog, IST_SECURABLE_TABLE, "a&b.c", 7, "x=y&z", &out, &err), err);
    assert_true(peer_was_asked(&peer, "/tables?catalog_name=a%26b&schema_name=c&max_results=7&page_token=x%3Dy%26z "));
    assert_ok(ist_catalog_delete(catalog, IST_SECURABLE_CATALOG, "a", true, &err), err);
    assert_true(peer_was_asked(&peer, "DELETE /api/2.1/unity-catalog/catalogs/a?force=true HTTP/1.1"));
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "`../x`", &out, &err), IST_BAD_INPUT);
    assert_int_equal(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "`a.b`", &out, &err), IST_BAD_INPUT);
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__knows_where_each_kind_is(void **state)
{
    (void)state;
    static const struct {
        ist_securable kind;
        const char *name, *get, *parent, *list;
    } cases[] = {
        {IST_SECURABLE_CATALOG, "a", "/catalogs/a ", "", "/catalogs "},
        {IST_SECURABLE_SCHEMA, "a.b", "/schemas/a.b ", "a", "/schemas?catalog_name=a "},
        {IST_SECURABLE_VOLUME, "a.b.c", "/volumes/a.b.c ", "a.b", "/volumes?catalog_name=a&schema_name=b "},
        {IST_SECURABLE_FUNCTION, "a.b.c", "/functions/a.b.c ", "a.b", "/functions?catalog_name=a&schema_name=b "},
        {IST_SECURABLE_REGISTERED_MODEL, "a.b.c", "/models/a.b.c ", "a.b", "/models?catalog_name=a&schema_name=b "},
        {IST_SECURABLE_MODEL_VERSION, "a.b.c.7", "/models/a.b.c/versions/7 ", "a.b.c", "/models/a.b.c/versions "},
        {IST_SECURABLE_CREDENTIAL, "a", "/credentials/a ", "", "/credentials "},
        {IST_SECURABLE_EXTERNAL_LOCATION, "a", "/external-locations/a ", "", "/external-locations "},
        {IST_SECURABLE_METASTORE, "", "/metastore_summary ", NULL, NULL},
    };
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, NULL, 0, answer_empty_object);
    ist_catalog *catalog = open_peer(&peer, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[200];
        snprintf(wanted, sizeof wanted, "GET /api/2.1/unity-catalog%s", cases[i].get);
        assert_ok(ist_catalog_get(catalog, cases[i].kind, cases[i].name, &out, &err), err);
        assert_true(peer_was_asked(&peer, wanted));
        if (!cases[i].list)
            continue;
        snprintf(wanted, sizeof wanted, "GET /api/2.1/unity-catalog%s", cases[i].list);
        assert_ok(ist_catalog_list(catalog, cases[i].kind, cases[i].parent, 0, NULL, &out, &err), err);
        assert_true(peer_was_asked(&peer, wanted));
    }
    assert_ok(ist_catalog_create(catalog, IST_SECURABLE_MODEL_VERSION, "{}", NULL, &err), err);
    assert_true(peer_was_asked(&peer, "POST /api/2.1/unity-catalog/models/versions "));
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__tells_who_changes_no_tables(void **state)
{
    (void)state;
    static const char *const answers[] = {
        PEER_HEAD("500 x", "66") "{\"error_code\":\"INTERNAL\",\"message\":\"Couldn't unwrap service.\"}         ",
        PEER_HEAD("500 x", "0")};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    peer_start(&peer, answers, 2, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_int_equal(ist_catalog_update(catalog, IST_SECURABLE_TABLE, "a.b.c", "{}", NULL, &err), IST_UNSUPPORTED);
    assert_int_equal(ist_catalog_update(catalog, IST_SECURABLE_TABLE, "a.b.c", "{}", NULL, &err), IST_IO);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

static char *metastore_peer(scripted_peer *peer, const char *request)
{
    (void)peer;
    return peer_reply("200 OK", strstr(request, "/metastore_summary ") ? "{\"metastore_id\":\"m-1\"}" : "{}");
}

static void test_uc_client__grants_in_the_servers_spelling(void **state)
{
    (void)state;
    static const char changes[] = "[{\"principal\":\"a@b\",\"add\":[\"use_catalog\",\"SELECT\"]}]";
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, NULL, 0, metastore_peer);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_ok(ist_catalog_update_grants(catalog, IST_SECURABLE_REGISTERED_MODEL, "a.b.c", changes, NULL, &err), err);
    assert_true(peer_was_asked(&peer, "PATCH /api/2.1/unity-catalog/permissions/registered_model/a.b.c "));
    assert_true(peer_was_asked(&peer, "{\"changes\":[{\"principal\":\"a@b\",\"add\":[\"USE CATALOG\",\"SELECT\"],"
                                      "\"remove\":[]}]}"));
    assert_ok(ist_catalog_get_grants(catalog, IST_SECURABLE_METASTORE, "", "a&b", &out, &err), err);
    assert_true(peer_was_asked(&peer, "GET /api/2.1/unity-catalog/permissions/metastore/m-1?principal=a%26b "));
    static const char *const bad[] = {"", "{}", "[{}]", "[{\"principal\":\"a\",\"add\":[1]}]", "[1]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ist_catalog_update_grants(catalog, IST_SECURABLE_CATALOG, "a", bad[i], NULL, &err),
                         IST_BAD_INPUT);
    assert_int_equal(ist_catalog_get_grants(catalog, IST_SECURABLE_MODEL_VERSION, "a.b.c.1", NULL, &out, &err),
                     IST_BAD_INPUT);
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__finds_the_open_servers_users(void **state)
{
    (void)state;
    static const char *const answers[] = {PEER_HEAD("404 x", "0"), PEER_HEAD("200 OK", "2") "{}"};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, answers, 2, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_ok(ist_catalog_request(catalog, "GET", "/api/2.0/preview/scim/v2/Users?count=1", NULL, &out, &err), err);
    assert_true(peer_was_asked(&peer, "GET /api/1.0/unity-control/scim2/Users?count=1 "));
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__lineage_is_not_everywhere(void **state)
{
    (void)state;
    static const char *const none[] = {PEER_HEAD("404 x", "0")};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    peer_start(&peer, none, 1, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_int_equal(ist_catalog_post_lineage(catalog, "{}", &err), IST_UNSUPPORTED);
    assert_true(peer_was_asked(&peer, "POST /api/v1/lineage HTTP/1.1"));
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

/* The token in server.json belongs to the server that server.json names. */
static void test_uc_client__shows_a_token_to_its_server_only(void **state)
{
    (void)state;
    static const char *const good[] = {PEER_HEAD("200 OK", "2") "{}"};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    ist__server_note note = {.token = "local", .pid = 1};
    ist_catalog *catalog = NULL;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    char *home = new_folder();
    peer_start(&peer, good, 1, NULL);
    unsetenv("ISTHMUS_TOKEN");
    unsetenv("ISTHMUS_CATALOG");
    setenv("ISTHMUS_HOME", home, 1);
    snprintf(note.url, sizeof note.url, "http://127.0.0.1:%u", peer.port);
    assert_ok(ist__server_note_write(home, &note, &err), err);
    assert_ok(ist_catalog_open(NULL, &catalog, &err), err);
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, &err), err);
    assert_true(peer_was_asked(&peer, "Authorization: Bearer local"));
    ist_catalog_free(catalog);

    snprintf(note.url, sizeof note.url, "http://127.0.0.1:1");
    assert_ok(ist__server_note_write(home, &note, &err), err);
    char elsewhere[100];
    snprintf(elsewhere, sizeof elsewhere, "http://127.0.0.1:%u", peer.port);
    options.uri = elsewhere;
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, &err), err);
    assert_false(peer_was_asked(&peer, "Authorization"));
    ist_catalog_free(catalog);

    unsetenv("ISTHMUS_HOME");
    peer_stop(&peer);
    remove_folder(home);
    ist_buffer_free(&out);
}

/* A GET of one answer; what became of it. */
static ist_status ask_once(const char *answer, int delay_ms, int64_t timeout_ms, scripted_peer *peer, ist_error *err)
{
    char uri[200];
    ist_buffer out = IST_BUFFER_INIT;
    ist_catalog *catalog = NULL;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    peer_start(peer, &answer, 1, NULL);
    peer->delay_ms = delay_ms;
    snprintf(uri, sizeof uri, "http://127.0.0.1:%u", peer->port);
    options.uri = uri;
    options.token = "s3cret";
    options.timeout_ms = timeout_ms;
    assert_ok(ist_catalog_open(&options, &catalog, err), *err);
    ist_status status = ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, err);
    ist_catalog_free(catalog);
    peer_stop(peer);
    ist_buffer_free(&out);
    return status;
}

static void test_uc_client__ends_at_its_deadline(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    int64_t start = ist__monotonic_us();
    /* Each would be asked again, if there were time. */
    assert_int_equal(ask_once(PEER_HEAD("200 OK", "2") "{}", 2000, 300, &peer, &err), IST_RETRYABLE);
    assert_int_equal(ask_once(PEER_HEAD("503 x", "0"), 0, 300, &peer, &err), IST_RETRYABLE);
    assert_in_range(peer.served, 1, 3);
    assert_int_equal(ask_once("HTTP/1.1 429 x\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", 0, 5000, &peer, &err),
                     IST_RETRYABLE);
    assert_int_equal(err.code, 429);
    assert_int_equal(peer.served, 1);
    assert_true(ist__monotonic_us() - start < 5000000);
}

static void test_uc_client__waits_as_long_as_it_is_asked_to(void **state)
{
    (void)state;
    static const char *const later[] = {"HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
                                        PEER_HEAD("200 OK", "2") "{}"};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, later, 2, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    int64_t start = ist__monotonic_us();
    assert_ok(ist_catalog_create(catalog, IST_SECURABLE_CATALOG, "{\"name\":\"a\"}", &out, &err), err);
    assert_true(ist__monotonic_us() - start >= 1000000);
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__believes_no_broken_answer(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    /* Cut off: as good as no answer. */
    assert_int_equal(ask_once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"name\":", 0, 1000, &peer, &err),
                     IST_RETRYABLE);
    assert_true(peer.served > 1);
    assert_int_equal(ask_once("SSH-2.0-x\r\n", 0, 1000, &peer, &err), IST_RETRYABLE);
    assert_int_equal(ask_once(PEER_HEAD("200 OK", "20") "<html>login</html>..", 0, 1000, &peer, &err), IST_BAD_INPUT);
    assert_int_equal(peer.served, 1);
    /* Elsewhere may be anywhere: the token stays here. */
    assert_int_equal(ask_once("HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0, 1000,
                              &peer, &err),
                     IST_IO);
    assert_int_equal(peer.served, 1);
}

static void test_uc_client__takes_no_endless_answer(void **state)
{
    (void)state;
    enum { MORE = IST__CATALOG_REPLY_MAX + 10 };
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    char *answer = malloc(MORE + 200);
    int head = snprintf(answer, 200, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    memset(answer + head, ' ', MORE);
    answer[head + MORE] = '\0';
    assert_int_equal(ask_once(answer, 0, 20000, &peer, &err), IST_NO_MEMORY);
    assert_int_equal(peer.served, 1);
    free(answer);
}

static void test_uc_client__keeps_its_connection(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, NULL, 0, answer_empty_object);
    ist_catalog *catalog = open_peer(&peer, "");
    for (int i = 0; i < 20; i++)
        assert_ok(ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, &err), err);
    assert_int_equal(peer.served, 20);
    assert_int_equal(peer.connections, 1);
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__requests_any_path(void **state)
{
    (void)state;
    static const char *const answers[] = {PEER_HEAD("200 OK", "3") "[1]", PEER_HEAD("204 No Content", "0"),
                                          PEER_HEAD("200 OK", "3") "oh!", PEER_HEAD("200 OK", "3") "oh!",
                                          PEER_HEAD("503 x", "0")};
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    peer_start(&peer, answers, 5, NULL);
    ist_catalog *catalog = open_peer(&peer, "");
    assert_ok(ist_catalog_request(catalog, "GET", "/api/x?a=b%20c", NULL, &out, &err), err);
    assert_string_equal(out.data, "[1]");
    assert_true(peer_was_asked(&peer, "GET /api/x?a=b%20c HTTP/1.1"));
    ist_buffer_clear(&out);
    assert_ok(ist_catalog_request(catalog, "PATCH", "/api/x", "{\"a\":1}", &out, &err), err);
    assert_int_equal(out.size, 0);
    assert_true(peer_was_asked(&peer, "PATCH /api/x HTTP/1.1"));
    assert_true(peer_was_asked(&peer, "{\"a\":1}"));
    assert_int_equal(ist_catalog_request(catalog, "GET", "/api/x", NULL, &out, &err), IST_BAD_INPUT);
    assert_ok(ist_catalog_request(catalog, "DELETE", "/api/x", NULL, &out, &err), err);
    assert_int_equal(out.size, 0);
    /* What might have been done is not done again. */
    assert_int_equal(ist_catalog_request(catalog, "DELETE", "/api/x", NULL, &out, &err), IST_RETRYABLE);
    assert_int_equal(peer.served, 5);
    static const char *const paths[] = {"", "http://127.0.0.1/", "/a b", "/a\r\nX: y"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(ist_catalog_request(catalog, "GET", paths[i], NULL, &out, &err), IST_BAD_INPUT);
    assert_int_equal(ist_catalog_request(catalog, "TRACE", "/a", NULL, &out, &err), IST_BAD_INPUT);
    assert_int_equal(peer.served, 5);
    ist_catalog_free(catalog);
    peer_stop(&peer);
    ist_buffer_free(&out);
}

static void test_uc_client__refuses_bad_options(void **state)
{
    (void)state;
    static const char *const uris[] = {"",         "host:80", "ftp://h",     "http://h\r\nX: y",
                                       "http://h?x", "http://", "http://u:p@h", "http:///api/2.1/unity-catalog"};
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
        cmocka_unit_test(test_uc_client__knows_where_each_kind_is),
        cmocka_unit_test(test_uc_client__tells_who_changes_no_tables),
        cmocka_unit_test(test_uc_client__grants_in_the_servers_spelling),
        cmocka_unit_test(test_uc_client__finds_the_open_servers_users),
        cmocka_unit_test(test_uc_client__lineage_is_not_everywhere),
        cmocka_unit_test(test_uc_client__shows_a_token_to_its_server_only),
        cmocka_unit_test(test_uc_client__ends_at_its_deadline),
        cmocka_unit_test(test_uc_client__waits_as_long_as_it_is_asked_to),
        cmocka_unit_test(test_uc_client__believes_no_broken_answer),
        cmocka_unit_test(test_uc_client__takes_no_endless_answer),
        cmocka_unit_test(test_uc_client__keeps_its_connection),
        cmocka_unit_test(test_uc_client__requests_any_path),
        cmocka_unit_test(test_uc_client__refuses_bad_options),
    };
    return run_group(tests, argc, argv);
}
