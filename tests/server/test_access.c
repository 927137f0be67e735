/* test_access.c: principals, tokens, grants and the audit log of `isthmus serve`, seen from outside. */
#include "testing.h"

#include "isthmus/buffer.h"
#include "isthmus/server.h"
#include "util/util.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <yyjson.h>

#define UC "/api/2.1/unity-catalog"
#define SCIM "/api/2.0/preview/scim/v2"

typedef struct fixture {
    char *home;
    ist_server *server;
    ist_error err;
    ist_buffer body, head;
    char alice[128]; /* a user's token */
    char alice_id[40];
} fixture;

static size_t collect(char *data, size_t size, size_t count, void *buffer)
{
    return ist_buffer_append(buffer, data, size * count, NULL) == IST_OK ? size * count : 0;
}

/* token NULL: the administrator's. Returns the HTTP status. */
static int ask(fixture *f, const char *token, const char *method, const char *path, const char *body)
{
    char url[2048], header[512];
    CURL *curl = curl_easy_init();
    ist_buffer_clear(&f->body);
    ist_buffer_clear(&f->head);
    snprintf(url, sizeof url, "%s%s", ist_server_url(f->server), path);
    snprintf(header, sizeof header, "Authorization: Bearer %s", token ? token : "secret");
    struct curl_slist *headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &f->body);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &f->head);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L); /* the certificate of the test is its own */
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    long status = 0;
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return (int)status;
}

#define assert_http(expected, call)                                                                                    \
    do {                                                                                                               \
        int http_ = (call);                                                                                            \
        if (http_ != (expected))                                                                                       \
            fail_msg("HTTP %d: %s", http_, f->body.data);                                                              \
    } while (0)

static void take(fixture *f, const char *pointer, char *out, size_t size)
{
    yyjson_doc *doc = yyjson_read(f->body.data, f->body.size, 0);
    const char *text = yyjson_get_str(yyjson_doc_ptr_get(doc, pointer));
    if (!text)
        fail_msg("no %s in %s", pointer, f->body.data);
    snprintf(out, size, "%s", text);
    yyjson_doc_free(doc);
}

static void add_user(fixture *f, const char *name, char id[40], char token[128])
{
    char body[300];
    snprintf(body, sizeof body, "{\"userName\":\"%s\"}", name);
    assert_http(201, ask(f, NULL, "POST", SCIM "/Users", body));
    take(f, "/id", id, 40);
    snprintf(body, sizeof body, "{\"principal\":\"%s\",\"comment\":\"test\",\"lifetime_seconds\":600}", name);
    assert_http(200, ask(f, NULL, "POST", "/api/2.0/token/create", body));
    take(f, "/token_value", token, 128);
}

static void change(fixture *f, const char *token, int http, const char *where, const char *principal, const char *key,
                   const char *privilege)
{
    char path[300], body[300];
    snprintf(path, sizeof path, UC "/permissions/%s", where);
    snprintf(body, sizeof body, "{\"changes\":[{\"principal\":\"%s\",\"%s\":[\"%s\"]}]}", principal, key, privilege);
    assert_http(http, ask(f, token, "PATCH", path, body));
}

static void grant(fixture *f, const char *where, const char *privilege)
{
    change(f, NULL, 200, where, "alice@x.org", "add", privilege);
}

static void create_table(fixture *f, const char *token, int http, const char *name)
{
    char body[1024];
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"EXTERNAL\","
             "\"data_source_format\":\"DELTA\",\"columns\":[],\"storage_location\":\"%s/data/%s\"}",
             name, f->home, name);
    assert_http(http, ask(f, token, "POST", UC "/tables", body));
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    f->home = new_folder();
    options.home = f->home;
    options.token = "secret";
    *state = f;
    assert_ok(ist_server_start(&options, &f->server, &f->err), f->err);
    add_user(f, "alice@x.org", f->alice_id, f->alice);
    create_table(f, NULL, 200, "t");
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    ist_server_stop(f->server);
    ist_buffer_free(&f->body);
    ist_buffer_free(&f->head);
    remove_folder(f->home);
    free(f);
    return 0;
}

static void table_id(fixture *f, char id[40])
{
    assert_http(200, ask(f, NULL, "GET", UC "/tables/main.default.t", NULL));
    take(f, "/table_id", id, 40);
}

static int vend(fixture *f, const char *token, const char *id, const char *operation)
{
    char body[200];
    snprintf(body, sizeof body, "{\"table_id\":\"%s\",\"operation\":\"%s\"}", id, operation);
    return ask(f, token, "POST", UC "/temporary-table-credentials", body);
}

/* Nothing is allowed that was not granted, and what may not be seen looks like what is not there. */
static void test_server_access__default_deny(void **state)
{
    fixture *f = *state;
    char id[40];
    table_id(f, id);
    assert_http(200, ask(f, f->alice, "GET", UC "/catalogs", NULL));
    assert_string_equal(f->body.data, "{\"catalogs\":[],\"next_page_token\":null}");
    static const char *const hidden[] = {UC "/catalogs/main", UC "/schemas/main.default", UC "/tables/main.default.t"};
    for (size_t i = 0; i < 3; i++) {
        assert_http(404, ask(f, f->alice, "GET", hidden[i], NULL));
        assert_non_null(strstr(f->body.data, "Catalog not found: main\""));
        assert_http(404, ask(f, f->alice, "DELETE", hidden[i], NULL));
        assert_http(404, ask(f, f->alice, "PATCH", hidden[i], "{\"comment\":\"x\"}"));
    }
    assert_http(404, vend(f, f->alice, id, "READ"));
    assert_non_null(strstr(f->body.data, "Neither table nor staging table found with id"));
    assert_http(403, ask(f, f->alice, "POST", UC "/catalogs", "{\"name\":\"c\"}"));
    create_table(f, f->alice, 404, "u");
    assert_http(403, ask(f, f->alice, "GET", SCIM "/Users", NULL));
    assert_http(403, ask(f, f->alice, "POST", SCIM "/Groups", "{\"displayName\":\"g\"}"));
    assert_http(403, ask(f, f->alice, "GET", "/api/2.1/isthmus/audit", NULL));
    assert_http(200, ask(f, f->alice, "GET", SCIM "/Me", NULL));
    assert_non_null(strstr(f->body.data, "alice@x.org"));
}

/* Each step adds what the next needs, down the hierarchy. */
static void test_server_access__privileges(void **state)
{
    fixture *f = *state;
    char id[40];
    table_id(f, id);
    grant(f, "catalog/main", "USE CATALOG");
    assert_http(200, ask(f, f->alice, "GET", UC "/catalogs/main", NULL));
    assert_http(404, ask(f, f->alice, "GET", UC "/schemas/main.default", NULL));
    grant(f, "schema/main.default", "USE_SCHEMA"); /* as Databricks writes it */
    assert_http(200, ask(f, f->alice, "GET", UC "/schemas/main.default", NULL));
    assert_http(404, ask(f, f->alice, "GET", UC "/tables/main.default.t", NULL));
    grant(f, "table/main.default.t", "SELECT");
    assert_http(200, ask(f, f->alice, "GET", UC "/tables/main.default.t", NULL));
    assert_http(200, vend(f, f->alice, id, "READ"));
    assert_http(403, vend(f, f->alice, id, "READ_WRITE"));
    assert_http(403, ask(f, f->alice, "PATCH", UC "/tables/main.default.t", "{\"comment\":\"x\"}"));
    assert_http(403, ask(f, f->alice, "DELETE", UC "/tables/main.default.t", NULL));
    grant(f, "catalog/main", "MODIFY"); /* inherited by the table */
    assert_http(200, vend(f, f->alice, id, "READ_WRITE"));
    assert_http(200, ask(f, f->alice, "PATCH", UC "/tables/main.default.t", "{\"comment\":\"x\"}"));
    assert_http(403, ask(f, f->alice, "PATCH", UC "/tables/main.default.t", "{\"new_name\":\"x\"}"));
    change(f, NULL, 200, "catalog/main", "alice@x.org", "remove", "USE CATALOG");
    assert_http(404, vend(f, f->alice, id, "READ"));
    change(f, NULL, 400, "table/main.default.t", "alice@x.org", "add", "CREATE CATALOG");
    change(f, NULL, 404, "table/main.default.t", "nobody@x.org", "add", "SELECT");
}

static void test_server_access__owners_and_groups(void **state)
{
    fixture *f = *state;
    char id[40], body[300], group[40], outer[40], path[200];
    table_id(f, id);
    /* A privilege of a group that holds a group that holds her. */
    snprintf(body, sizeof body, "{\"displayName\":\"inner\",\"members\":[{\"value\":\"%s\"}]}", f->alice_id);
    assert_http(201, ask(f, NULL, "POST", SCIM "/Groups", body));
    take(f, "/id", group, sizeof group);
    snprintf(body, sizeof body, "{\"displayName\":\"outer\",\"members\":[{\"value\":\"%s\"}]}", group);
    assert_http(201, ask(f, NULL, "POST", SCIM "/Groups", body));
    take(f, "/id", outer, sizeof outer);
    snprintf(body, sizeof body, "{\"Operations\":[{\"op\":\"add\",\"path\":\"members\",\"value\":[{\"value\":\"%s\"}]}]}",
             outer);
    snprintf(path, sizeof path, SCIM "/Groups/%s", group);
    assert_http(400, ask(f, NULL, "PATCH", path, body)); /* a circle */
    change(f, NULL, 200, "catalog/main", "outer", "add", "USE CATALOG");
    change(f, NULL, 200, "catalog/main", "account users", "add", "USE SCHEMA");
    assert_http(200, ask(f, f->alice, "GET", UC "/schemas/main.default", NULL));
    assert_http(404, ask(f, f->alice, "GET", UC "/tables/main.default.t", NULL));
    /* The owner of a table has its data and administers it; not the schema around it. */
    assert_http(200, ask(f, NULL, "PATCH", UC "/tables/main.default.t", "{\"owner\":\"inner\"}"));
    assert_http(200, vend(f, f->alice, id, "READ_WRITE"));
    change(f, f->alice, 200, "table/main.default.t", "outer", "add", "SELECT");
    change(f, f->alice, 403, "schema/main.default", "alice@x.org", "add", "MANAGE");
    change(f, f->alice, 403, "metastore/x", "alice@x.org", "add", "CREATE CATALOG");
    /* Out of the group, out of its rights, with the next request. */
    snprintf(body, sizeof body, "{\"Operations\":[{\"op\":\"remove\",\"path\":\"members[value eq \\\"%s\\\"]\"}]}",
             f->alice_id);
    assert_http(200, ask(f, NULL, "PATCH", path, body));
    assert_http(404, vend(f, f->alice, id, "READ"));
    /* MANAGE administers and does not read. */
    grant(f, "catalog/main", "MANAGE");
    assert_http(200, ask(f, f->alice, "GET", UC "/tables/main.default.t", NULL));
    assert_http(403, vend(f, f->alice, id, "READ"));
    /* What was granted on a table goes with it, and does not come back with its name. */
    assert_http(200, ask(f, NULL, "DELETE", UC "/tables/main.default.t", NULL));
    create_table(f, NULL, 200, "t");
    assert_http(200, ask(f, NULL, "GET", UC "/permissions/table/main.default.t", NULL));
    assert_string_equal(f->body.data, "{\"privilege_assignments\":[]}");
}

static void test_server_access__tokens(void **state)
{
    fixture *f = *state;
    char id[40], token[128], path[300], secret[128], client[64];
    assert_http(200, ask(f, f->alice, "POST", "/api/2.0/token/create", "{\"comment\":\"second\"}"));
    take(f, "/token_value", token, sizeof token);
    take(f, "/token_info/token_id", id, sizeof id);
    assert_http(200, ask(f, token, "GET", SCIM "/Me", NULL));
    assert_http(403, ask(f, f->alice, "POST", "/api/2.0/token/create", "{\"principal\":\"admin\"}"));
    snprintf(path, sizeof path, "{\"token_id\":\"%s\"}", id);
    assert_http(200, ask(f, f->alice, "POST", "/api/2.0/token/delete", path));
    assert_http(401, ask(f, token, "GET", SCIM "/Me", NULL));
    assert_http(404, ask(f, f->alice, "POST", "/api/2.0/token/delete", path));
    /* A service principal by OAuth. */
    assert_http(201, ask(f, NULL, "POST", SCIM "/ServicePrincipals", "{\"displayName\":\"job\"}"));
    take(f, "/id", id, sizeof id);
    take(f, "/applicationId", client, sizeof client);
    snprintf(path, sizeof path, "/api/2.0/accounts/servicePrincipals/%s/credentials/secrets", id);
    assert_http(403, ask(f, f->alice, "POST", path, "{}"));
    assert_http(200, ask(f, NULL, "POST", path, "{}"));
    take(f, "/secret", secret, sizeof secret);
    assert_http(401, ask(f, secret, "GET", SCIM "/Me", NULL)); /* a secret is no token */
    snprintf(path, sizeof path, "grant_type=client_credentials&client_id=%s&client_secret=%s", client, secret);
    assert_http(200, ask(f, "-", "POST", "/oidc/v1/token", path));
    take(f, "/access_token", token, sizeof token);
    assert_http(200, ask(f, token, "GET", SCIM "/Me", NULL));
    assert_non_null(strstr(f->body.data, client));
    path[strlen(path) - 1] ^= 1;
    assert_http(401, ask(f, "-", "POST", "/oidc/v1/token", path));
    assert_non_null(strstr(f->body.data, "invalid_client"));
    /* Who is not active any more is nobody. */
    snprintf(path, sizeof path, SCIM "/ServicePrincipals/%s", id);
    assert_http(200, ask(f, NULL, "PATCH", path, "{\"Operations\":[{\"op\":\"replace\",\"path\":\"active\",\"value\":"
                                                 "false}]}"));
    assert_http(401, ask(f, token, "GET", SCIM "/Me", NULL));
    assert_http(501, ask(f, "-", "POST", "/api/1.0/unity-control/auth/tokens", "x"));
}

static void test_server_access__row_filters(void **state)
{
    fixture *f = *state;
    char id[40];
    table_id(f, id);
    assert_http(200, ask(f, NULL, "PATCH", UC "/tables/main.default.t",
                          "{\"row_filter\":{\"function_name\":\"main.default.mine\",\"input_column_names\":[]}}"));
    assert_non_null(strstr(f->body.data, "\"row_filter\":{\"function_name\":\"main.default.mine\""));
    assert_http(403, vend(f, NULL, id, "READ"));
    assert_non_null(strstr(f->body.data, "main.default.mine"));
    grant(f, "catalog/main", "USE CATALOG");
    grant(f, "catalog/main", "USE SCHEMA");
    grant(f, "catalog/main", "MODIFY");
    assert_http(403, ask(f, f->alice, "PATCH", UC "/tables/main.default.t", "{\"row_filter\":null}"));
    assert_http(200, ask(f, NULL, "PATCH", UC "/tables/main.default.t", "{\"row_filter\":null}"));
    assert_http(200, vend(f, NULL, id, "READ"));
}

/* Set when a table is made, or later; by whoever administers it alone. */
static void test_server_access__column_masks(void **state)
{
    fixture *f = *state;
    char id[40];
    table_id(f, id);
    static const char masked[] =
        "{\"columns\":[{\"name\":\"id\",\"type_text\":\"bigint\",\"type_name\":\"LONG\",\"position\":0,"
        "\"type_json\":\"{\\\"name\\\":\\\"id\\\",\\\"type\\\":\\\"long\\\",\\\"nullable\\\":true,"
        "\\\"metadata\\\":{}}\",\"nullable\":true,"
        "\"mask\":{\"function_name\":\"main.default.hide\"}}]}";
    assert_http(200, ask(f, NULL, "PATCH", UC "/tables/main.default.t", masked));
    assert_http(200, ask(f, NULL, "GET", UC "/tables/main.default.t", NULL));
    assert_non_null(strstr(f->body.data, "main.default.hide"));
    assert_http(403, vend(f, NULL, id, "READ"));
    assert_non_null(strstr(f->body.data, "mask on its column id"));
    grant(f, "catalog/main", "USE CATALOG");
    grant(f, "catalog/main", "USE SCHEMA");
    grant(f, "catalog/main", "MODIFY");
    assert_http(403, ask(f, f->alice, "PATCH", UC "/tables/main.default.t", "{\"columns\":[]}"));
    assert_http(200, ask(f, NULL, "PATCH", UC "/tables/main.default.t", "{\"columns\":[]}"));
    assert_http(200, vend(f, NULL, id, "READ"));

    char body[1024];
    snprintf(body, sizeof body, "{\"name\":\"hidden\",\"catalog_name\":\"main\",\"schema_name\":\"default\","
             "\"table_type\":\"EXTERNAL\",\"data_source_format\":\"DELTA\",\"storage_location\":\"file:///tmp/hidden\","
             "%s", masked + 1);
    assert_http(200, ask(f, NULL, "POST", UC "/tables", body));
    take(f, "/table_id", id, sizeof id);
    assert_http(403, vend(f, NULL, id, "READ"));
}

static void test_server_access__audit(void **state)
{
    fixture *f = *state;
    assert_http(403, ask(f, f->alice, "POST", UC "/catalogs", "{\"name\":\"mine\"}"));
    assert_http(401, ask(f, "guess", "GET", UC "/catalogs", NULL));
    grant(f, "catalog/main", "USE CATALOG");
    assert_http(200, ask(f, NULL, "GET", "/api/2.1/isthmus/audit?limit=3", NULL));
    yyjson_doc *doc = yyjson_read(f->body.data, f->body.size, 0);
    static const char *const expected[] = {"/entries/0/securable", "main",    "/entries/0/principal", "admin",
                                           "/entries/0/outcome",   "OK",      "/entries/1/outcome",   "REFUSED",
                                           "/entries/2/principal", "alice@x.org", "/entries/2/securable", "mine",
                                           "/entries/2/action",    "POST " UC "/catalogs"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i += 2)
        assert_string_equal(yyjson_get_str(yyjson_doc_ptr_get(doc, expected[i])), expected[i + 1]);
    assert_int_equal(yyjson_get_int(yyjson_doc_ptr_get(doc, "/entries/1/http")), 401);
    yyjson_doc_free(doc);
    assert_null(strstr(f->body.data, "guess"));
    assert_http(200, ask(f, NULL, "GET", "/api/2.1/isthmus/audit?principal=alice%40x.org", NULL));
    assert_null(strstr(f->body.data, "\"principal\":\"admin\""));
}

typedef struct racer {
    fixture f;
    int wins, losses, others;
} racer;

enum { RACERS = 32, NAMES = 10 };

static void *race(void *self)
{
    racer *r = self;
    for (int i = 0; i < NAMES; i++) {
        char body[100];
        snprintf(body, sizeof body, "{\"name\":\"n%d\",\"catalog_name\":\"main\"}", i);
        int http = ask(&r->f, NULL, "POST", UC "/schemas", body);
        r->wins += http == 200;
        r->losses += http == 400;
        r->others += http != 200 && http != 400;
    }
    return NULL;
}

/* 32 clients want the same names: each name has one winner, and a loser's rollback takes nobody else's work away. */
static void test_server_access__races_have_one_winner(void **state)
{
    fixture *f = *state;
    racer racers[RACERS];
    pthread_t threads[RACERS];
    int wins = 0, others = 0;
    memset(racers, 0, sizeof racers);
    for (int i = 0; i < RACERS; i++) {
        racers[i].f.server = f->server;
        pthread_create(&threads[i], NULL, race, &racers[i]);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        wins += racers[i].wins;
        others += racers[i].others;
        ist_buffer_free(&racers[i].f.body);
        ist_buffer_free(&racers[i].f.head);
    }
    assert_int_equal(wins, NAMES);
    assert_int_equal(others, 0);
    for (int i = 0; i < NAMES; i++) {
        char path[100];
        snprintf(path, sizeof path, UC "/schemas/main.n%d", i);
        assert_http(200, ask(f, NULL, "GET", path, NULL));
    }
}

static void add_functions(fixture *f, int from, int to)
{
    char path[4200], sql[600];
    sqlite3 *database = NULL;
    snprintf(path, sizeof path, "%s/catalog.db", f->home);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO functions"
             " (id, parent_id, name, created_at, definition, owner) SELECT 'id' || i, (SELECT id FROM schemas),"
             " printf('f%%06d', i), 0, '{}', iif(i = 150, 'alice@x.org', 'admin') FROM n", from, to);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 10000);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

/* Who sees three of 60,000 functions gets them page by page, in the time that it takes among 200. */
static void test_server_access__pages_of_what_is_granted(void **state)
{
    static const char *const pages[] = {"", "f000100", "f000150", "f000199", "f000150"};
    static const char *const shown[] = {"f000100", "f000150", "f000199", NULL, "f000199"};
    fixture *f = *state;
    int64_t took[2];
    add_functions(f, 0, 200);
    grant(f, "catalog/main", "USE CATALOG");
    grant(f, "schema/main.default", "USE SCHEMA");
    grant(f, "function/main.default.f000100", "EXECUTE");
    grant(f, "function/main.default.f000199", "EXECUTE");
    for (int big = 0; big < 2; big++) {
        int64_t start = ist__monotonic_us();
        for (int i = 0; i < 50; i++) {
            char path[200], name[64];
            int page = i % 5;
            snprintf(path, sizeof path, UC "/functions?catalog_name=main&schema_name=default&max_results=1&page_token=%s",
                     pages[page]);
            assert_http(200, ask(f, f->alice, "GET", path, NULL));
            if (shown[page]) {
                take(f, "/functions/0/name", name, sizeof name);
                assert_string_equal(name, shown[page]);
            } else {
                assert_non_null(strstr(f->body.data, "\"functions\":[],\"next_page_token\":null"));
            }
        }
        took[big] = ist__monotonic_us() - start;
        if (!big)
            add_functions(f, 201, 60000);
    }
    if (took[1] > 3 * took[0] + 1000000) /* to go through all takes twice that */
        fail_msg("50 pages took %lld us of 200, %lld us of 60,000", (long long)took[0], (long long)took[1]);
}

static void test_server_access__tls(void **state)
{
    fixture *f = *state;
    char cert[4200], key[4200], command[12000], *home = new_folder();
    ist_server *plain = f->server, *server = NULL;
    ist_server_options options = IST_SERVER_OPTIONS_INIT;
    snprintf(cert, sizeof cert, "%s/cert.pem", f->home);
    snprintf(key, sizeof key, "%s/key.pem", f->home);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
             " -keyout '%s' -out '%s' 2>/dev/null", key, cert);
    assert_int_equal(system(command), 0);
    options.home = home;
    options.token = "secret";
    options.tls_cert = cert;
    assert_int_equal(ist_server_start(&options, &server, &f->err), IST_BAD_INPUT);
    options.tls_key = key;
    options.address = "0.0.0.0"; /* allowed with TLS */
    assert_ok(ist_server_start(&options, &server, &f->err), f->err);
    ist_server_stop(server);
    options.address = NULL;
    assert_ok(ist_server_start(&options, &server, &f->err), f->err);
    f->server = server;
    assert_true(strncmp(ist_server_url(server), "https://127.0.0.1:", 18) == 0);
    assert_http(200, ask(f, NULL, "GET", UC "/catalogs/main", NULL));
    assert_http(303, ask(f, NULL, "POST", "/login", "token=secret")); /* as a form is answered */
    assert_non_null(strstr(f->head.data, "HttpOnly; SameSite=Strict; Secure"));
    f->server = plain;
    ist_server_stop(server);
    remove_folder(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_access__default_deny, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__privileges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__owners_and_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__row_filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__column_masks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__audit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__races_have_one_winner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__pages_of_what_is_granted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_access__tls, set_up, tear_down),
    };
    curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
