/* test_uc_token.c: OAuth client credentials: had once, renewed in time, and once more after a 401. */
#include "scripted_peer.h"

#include "catalog/catalog_internal.h"
#include "isthmus/catalog.h"

/* What the peer does, as the tests set it. */
static struct {
    int tokens;       /* handed out so far */
    int expires_in;   /* of each */
    int refuse;       /* so many answers are 401 */
    bool broken;      /* the endpoint gives 400 */
    char discovery[200];
} script;

static char *oauth_peer(scripted_peer *peer, const char *request)
{
    char text[300], wanted[64], *reply;
    pthread_mutex_lock(&peer->mutex);
    if (strncmp(request, "GET /oidc/.well-known/oauth-authorization-server ", 49) == 0) {
        reply = peer_reply("200 OK", script.discovery);
    } else if (strncmp(request, "POST /oidc/v1/token ", 20) == 0) {
        bool good = strstr(request, "Authorization: Basic bWU6dzByZA==") && /* me:w0rd */
                    strstr(request, "Content-Type: application/x-www-form-urlencoded") &&
                    strstr(request, "grant_type=client_credentials&scope=all-apis");
        snprintf(text, sizeof text, "{\"access_token\":\"t%d\",\"token_type\":\"Bearer\",\"expires_in\":%d}",
                 script.tokens + 1, script.expires_in);
        script.tokens += good && !script.broken;
        reply = good && !script.broken
                    ? peer_reply("200 OK", text)
                    : peer_reply("401 x", "{\"error\":\"invalid_client\",\"error_description\":\"unknown client\"}");
    } else {
        snprintf(wanted, sizeof wanted, "Authorization: Bearer t%d", script.tokens);
        bool refused = !strstr(request, wanted) || script.refuse > 0;
        script.refuse -= script.refuse > 0;
        reply = refused ? peer_reply("401 x", "{\"error_code\":\"UNAUTHENTICATED\",\"message\":\"expired\"}")
                        : peer_reply("200 OK", "{}");
    }
    pthread_mutex_unlock(&peer->mutex);
    return reply;
}

static ist_catalog *start(scripted_peer *peer, int expires_in)
{
    char uri[100];
    ist_catalog *catalog = NULL;
    ist_error err = IST_ERROR_INIT;
    memset(&script, 0, sizeof script);
    script.expires_in = expires_in;
    peer_start(peer, NULL, 0, oauth_peer);
    snprintf(uri, sizeof uri, "http://127.0.0.1:%u", peer->port);
    snprintf(script.discovery, sizeof script.discovery, "{\"token_endpoint\":\"%s/oidc/v1/token\"}", uri);
    unsetenv("ISTHMUS_CATALOG");
    unsetenv("ISTHMUS_TOKEN");
    unsetenv("DATABRICKS_TOKEN");
    unsetenv("DATABRICKS_CONFIG_PROFILE");
    setenv("DATABRICKS_HOST", uri, 1);
    setenv("DATABRICKS_CLIENT_ID", "me", 1);
    setenv("DATABRICKS_CLIENT_SECRET", "w0rd", 1);
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    options.timeout_ms = 5000;
    assert_ok(ist_catalog_open(&options, &catalog, &err), err);
    return catalog;
}

static ist_status get(ist_catalog *catalog, ist_error *err)
{
    ist_buffer out = IST_BUFFER_INIT;
    ist_error_clear(err);
    ist_status status = ist_catalog_get(catalog, IST_SECURABLE_CATALOG, "a", &out, err);
    ist_buffer_free(&out);
    return status;
}

static void test_uc_token__is_had_once(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_catalog *catalog = start(&peer, 3600);
    for (int i = 0; i < 5; i++)
        assert_ok(get(catalog, &err), err);
    assert_int_equal(script.tokens, 1);
    assert_int_equal(peer.served, 7);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

static void test_uc_token__is_renewed_before_it_ends(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_catalog *catalog = start(&peer, 2);
    assert_ok(get(catalog, &err), err);
    usleep(1520000); /* in its last quarter */
    assert_ok(get(catalog, &err), err);
    assert_int_equal(script.tokens, 2);
    /* The endpoint fails while the token is still good: nobody notices. */
    script.broken = true;
    usleep(1420000);
    assert_ok(get(catalog, &err), err);
    usleep(700000);
    assert_int_equal(get(catalog, &err), IST_UNAUTHENTICATED);
    assert_non_null(strstr(err.message, "OAuth client me: unknown client"));
    assert_null(strstr(err.message, "w0rd"));
    script.broken = false;
    assert_ok(get(catalog, &err), err);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

static void test_uc_token__is_had_anew_after_a_401(void **state)
{
    (void)state;
    scripted_peer peer;
    ist_error err = IST_ERROR_INIT;
    ist_catalog *catalog = start(&peer, 3600);
    assert_ok(get(catalog, &err), err);
    script.refuse = 1;
    assert_ok(ist_catalog_create(catalog, IST_SECURABLE_CATALOG, "{\"name\":\"a\"}", NULL, &err), err);
    assert_int_equal(script.tokens, 2);
    /* Once: who is refused with a fresh token is refused. */
    script.refuse = 1000;
    assert_int_equal(get(catalog, &err), IST_UNAUTHENTICATED);
    assert_string_equal(err.message, "expired");
    assert_int_equal(script.tokens, 3);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

static void *many_gets(void *payload)
{
    ist_error err = IST_ERROR_INIT;
    for (int i = 0; i < 20; i++)
        assert_ok(get(payload, &err), err);
    return NULL;
}

static void test_uc_token__is_asked_for_by_one_thread(void **state)
{
    (void)state;
    enum { THREADS = 16 };
    pthread_t threads[THREADS];
    scripted_peer peer;
    ist_catalog *catalog = start(&peer, 3600);
    peer.delay_ms = 5;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, many_gets, catalog);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(script.tokens, 1);
    ist_catalog_free(catalog);
    peer_stop(&peer);
}

/* The secret goes to no host that another one names. */
static void test_uc_token__secret_stays_with_its_host(void **state)
{
    (void)state;
    static const char *const discoveries[] = {
        "{\"token_endpoint\":\"http://127.0.0.1:1/oidc/v1/token\"}",
        "{\"token_endpoint\":\"http://evil.example/token\"}",
        "{\"token_endpoint\":\"https://evil.example/token\"}",
        "{\"token_endpoint\":\"file:///etc/passwd\"}",
        "{\"token_endpoint\":1}",
        "{}",
    };
    for (size_t i = 0; i < sizeof discoveries / sizeof *discoveries; i++) {
        scripted_peer peer;
        ist_error err = IST_ERROR_INIT;
        ist_catalog *catalog = start(&peer, 3600);
        snprintf(script.discovery, sizeof script.discovery, "%s", discoveries[i]);
        assert_int_equal(get(catalog, &err), IST_UNAUTHENTICATED);
        assert_int_equal(peer.served, 1);
        ist_catalog_free(catalog);
        peer_stop(&peer);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uc_token__is_had_once),
        cmocka_unit_test(test_uc_token__is_renewed_before_it_ends),
        cmocka_unit_test(test_uc_token__is_had_anew_after_a_401),
        cmocka_unit_test(test_uc_token__is_asked_for_by_one_thread),
        cmocka_unit_test(test_uc_token__secret_stays_with_its_host),
    };
    return run_group(tests, argc, argv);
}
