/* test_credential_cache.c: one set of credentials for one request, however it is worded and whoever asks. */
#include "scripted_peer.h"

#include "catalog/catalog_internal.h"
#include "isthmus/catalog.h"

static struct {
    int vended;
    int64_t life_ms;
    char asked[512]; /* the last request for credentials: path and body */
} script;

static char *vending_peer(scripted_peer *peer, const char *request)
{
    char *reply;
    pthread_mutex_lock(&peer->mutex);
    if (strncmp(request, "GET ", 4) == 0) {
        reply = peer_reply("200 OK", "{\"table_id\":\"t-1\",\"volume_id\":\"v-1\"}");
    } else {
        char body[200];
        const char *path = strstr(request, "/temporary-");
        snprintf(script.asked, sizeof script.asked, "%.*s %s", (int)strcspn(path, " "), path,
                 strstr(request, "\r\n\r\n") + 4);
        snprintf(body, sizeof body, "{\"aws_temp_credentials\":{\"access_key_id\":\"k%d\"},\"expiration_time\":%lld}",
                 ++script.vended, (long long)(ist__now_ms() + script.life_ms));
        reply = peer_reply("200 OK", body);
    }
    pthread_mutex_unlock(&peer->mutex);
    return reply;
}

static ist_catalog *start(scripted_peer *peer, int64_t life_ms)
{
    char uri[100];
    ist_catalog *catalog = NULL;
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    memset(&script, 0, sizeof script);
    script.life_ms = life_ms;
    peer_start(peer, NULL, 0, vending_peer);
    snprintf(uri, sizeof uri, "http://127.0.0.1:%u", peer->port);
    options.uri = uri;
    options.token = "s3cret";
    options.timeout_ms = 5000;
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    return catalog;
}

static ist_credentials *open_one(ist_catalog *catalog, const char *request)
{
    ist_error err = IST_ERROR_INIT;
    ist_credentials *credentials = NULL;
    assert_ok(ist_catalog_open_credentials(catalog, request, &credentials, &err), err);
    return credentials;
}

static void assert_key(ist_credentials *credentials, const char *key)
{
    ist_buffer json = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_credentials_get(credentials, &json, &err), err);
    assert_non_null(strstr(json.data, key));
    ist_buffer_free(&json);
}

static void test_credential_cache__knows_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *request, *asked;
    } cases[] = {
        {"{\"table_id\":\"t-1\",\"operation\":\"READ_WRITE\"}",
         "/temporary-table-credentials {\"table_id\":\"t-1\",\"operation\":\"READ_WRITE\"}"},
        {"{\"table\":\"a.b.c\",\"operation\":\"READ\"}",
         "/temporary-table-credentials {\"table_id\":\"t-1\",\"operation\":\"READ\"}"},
        {"{\"volume\":\"a.b.v\",\"operation\":\"READ_WRITE\"}",
         "/temporary-volume-credentials {\"volume_id\":\"v-1\",\"operation\":\"WRITE_VOLUME\"}"},
        {"{\"volume_id\":\"v-1\",\"operation\":\"READ_VOLUME\"}",
         "/temporary-volume-credentials {\"volume_id\":\"v-1\",\"operation\":\"READ_VOLUME\"}"},
        {"{\"url\":\"s3://b/p\",\"operation\":\"READ\"}",
         "/temporary-path-credentials {\"url\":\"s3://b/p\",\"operation\":\"PATH_READ\"}"},
        {"{\"url\":\"s3://b/p\",\"operation\":\"PATH_CREATE_TABLE\"}",
         "/temporary-path-credentials {\"url\":\"s3://b/p\",\"operation\":\"PATH_CREATE_TABLE\"}"},
        {"{\"model\":\"a.b.m\",\"version\":3,\"operation\":\"READ\"}",
         "/temporary-model-version-credentials {\"catalog_name\":\"a\",\"schema_name\":\"b\",\"model_name\":\"m\","
         "\"version\":3,\"operation\":\"READ_MODEL_VERSION\"}"},
        {"{\"catalog_name\":\"a\",\"schema_name\":\"b\",\"model_name\":\"m\",\"version\":3,\"operation\":\"READ_WRITE\"}",
         "/temporary-model-version-credentials {\"catalog_name\":\"a\",\"schema_name\":\"b\",\"model_name\":\"m\","
         "\"version\":3,\"operation\":\"READ_WRITE_MODEL_VERSION\"}"},
    };
    scripted_peer peer;
    ist_catalog *catalog = start(&peer, 3600000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist_credentials *credentials = open_one(catalog, cases[i].request);
        script.asked[0] = '\0';
        ist_buffer json = IST_BUFFER_INIT;
        ist_error err = IST_ERROR_INIT;
        assert_ok(ist_credentials_get(credentials, &json, &err), err);
        if (i != 7) /* the same as the one before: nothing is asked */
            assert_string_equal(script.asked, cases[i].asked);
        ist_buffer_free(&json);
        ist_credentials_free(credentials);
    }
    static const char *const bad[] = {"", "[]", "{}", "{\"operation\":\"READ\"}", "{\"table_id\":\"t\"}",
                                      "{\"table\":\"a.b\",\"operation\":\"READ\"}",
                                      "{\"model\":\"a.b.c\",\"operation\":\"READ\"}",
                                      "{\"model_name\":\"c\",\"version\":1,\"operation\":\"READ\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ist_error err = IST_ERROR_INIT;
        ist_credentials *credentials = NULL;
        assert_int_equal(ist_catalog_open_credentials(catalog, bad[i], &credentials, &err), IST_BAD_INPUT);
        assert_null(credentials);
    }
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

static void test_credential_cache__asks_when_it_must(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_catalog *catalog = start(&peer, 400);
    ist_credentials *first = open_one(catalog, "{\"table_id\":\"t-1\",\"operation\":\"READ\"}");
    assert_int_equal(script.vended, 0);
    assert_key(first, "k1");
    ist_credentials *again = open_one(catalog, "{\"operation\":\"READ\",\"table\":\"a.b.c\"}");
    assert_ptr_equal(again, first);
    assert_key(again, "k1");
    ist_credentials *write = open_one(catalog, "{\"table_id\":\"t-1\",\"operation\":\"READ_WRITE\"}");
    assert_key(write, "k2");
    usleep(250000); /* past half of their life: renewed before they end */
    assert_key(first, "k3");
    ist_credentials_free(again);
    ist_credentials_free(write);
    /* They go on when the catalog is freed. */
    ist_catalog_free(catalog);
    usleep(250000);
    assert_key(first, "k4");
    ist_credentials_free(first);
    peer_stop(&peer);
}

/* More requests than are kept: the least recently used go; who holds them keeps them. */
static void test_credential_cache__is_bounded(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_catalog *catalog = start(&peer, 3600000);
    ist_credentials *first = open_one(catalog, "{\"table_id\":\"first\",\"operation\":\"READ\"}");
    ist_credentials *kept = open_one(catalog, "{\"table_id\":\"kept\",\"operation\":\"READ\"}");
    for (int i = 0; i < 300; i++) {
        char request[100];
        snprintf(request, sizeof request, "{\"table_id\":\"%d\",\"operation\":\"READ\"}", i);
        ist_credentials_free(open_one(catalog, request));
        ist_credentials *same = open_one(catalog, "{\"table_id\":\"kept\",\"operation\":\"READ\"}");
        assert_ptr_equal(same, kept);
        ist_credentials_free(same);
    }
    ist_credentials *other = open_one(catalog, "{\"table_id\":\"first\",\"operation\":\"READ\"}");
    assert_ptr_not_equal(other, first);
    assert_key(first, "k1");
    ist_credentials_free(first);
    ist_credentials_free(kept);
    ist_credentials_free(other);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

static void *use_many(void *payload)
{
    static const char *const requests[] = {"{\"table_id\":\"a\",\"operation\":\"READ\"}",
                                           "{\"table_id\":\"b\",\"operation\":\"READ_WRITE\"}",
                                           "{\"url\":\"s3://b/p\",\"operation\":\"READ\"}"};
    for (int i = 0; i < 60; i++) {
        ist_credentials *credentials = open_one(payload, requests[i % 3]);
        assert_key(credentials, "\"k");
        ist_credentials_free(credentials);
    }
    return NULL;
}

static void test_credential_cache__is_shared_by_threads(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    scripted_peer peer;
    ist_catalog *catalog = start(&peer, 3600000);
    peer.delay_ms = 20;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, use_many, catalog);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(script.vended, 3);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credential_cache__knows_every_kind),
        cmocka_unit_test(test_credential_cache__asks_when_it_must),
        cmocka_unit_test(test_credential_cache__is_bounded),
        cmocka_unit_test(test_credential_cache__is_shared_by_threads),
    };
    return run_group(tests, argc, argv);
}
