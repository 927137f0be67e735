/* test_routes_vault.c: secrets in scopes: who may read them, and that nothing of a value lies on the disk. */
#include "route_testing.h"

#include <stdio.h>

#define PATH "/api/2.0/secrets"

/* Add a user; his token. */
static void add_user(routes *r, const char *name, char token[128])
{
    char body[256];
    snprintf(body, sizeof body, "{\"userName\":\"%s\"}", name);
    assert_int_equal(send_request(r, "POST", "/api/2.0/preview/scim/v2/Users", body), 201);
    snprintf(body, sizeof body, "{\"principal\":\"%s\"}", name);
    assert_int_equal(send_request(r, "POST", "/api/2.0/token/create", body), 200);
    snprintf(token, 128, "%s", text_of(r, "/token_value"));
}

static int post(routes *r, const char *path, const char *body)
{
    char whole[256];
    snprintf(whole, sizeof whole, PATH "%s", path);
    return send_request(r, "POST", whole, body);
}

static int get(routes *r, const char *path)
{
    char whole[256];
    snprintf(whole, sizeof whole, PATH "%s", path);
    return send_request(r, "GET", whole, NULL);
}

static const char *answer(routes *r, const char *member)
{
    return yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(r->doc), member));
}

static void put_some(routes *r)
{
    assert_int_equal(post(r, "/scopes/create", "{\"scope\":\"prod\"}"), 200);
    assert_int_equal(post(r, "/put", "{\"scope\":\"prod\",\"key\":\"api\",\"string_value\":\"hunter2-hunter2\"}"), 200);
}

static void test_server_routes_vault__gives_back_what_was_put(void **state)
{
    routes *r = *state;
    put_some(r);
    assert_int_equal(get(r, "/get?scope=prod&key=api"), 200);
    assert_string_equal(answer(r, "value"), "aHVudGVyMi1odW50ZXIy");
    assert_int_equal(post(r, "/put", "{\"scope\":\"prod\",\"key\":\"api\",\"bytes_value\":\"AAEC/w==\"}"), 200);
    assert_int_equal(get(r, "/get?scope=prod&key=api"), 200);
    assert_string_equal(answer(r, "value"), "AAEC/w==");
    assert_int_equal(get(r, "/list?scope=prod"), 200);
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(r->doc), "secrets")), 1);
    assert_int_equal(post(r, "/delete", "{\"scope\":\"prod\",\"key\":\"api\"}"), 200);
    assert_int_equal(get(r, "/get?scope=prod&key=api"), 404);
    assert_int_equal(post(r, "/scopes/delete", "{\"scope\":\"prod\"}"), 200);
    assert_int_equal(get(r, "/list?scope=prod"), 404);
}

static void test_server_routes_vault__a_scope_is_not_there_for_who_has_no_permission(void **state)
{
    routes *r = *state;
    char token[128];
    put_some(r);
    add_user(r, "ann", token);
    act_as(r, token);
    assert_int_equal(get(r, "/get?scope=prod&key=api"), 404);
    assert_int_equal(get(r, "/list?scope=prod"), 404);
    assert_int_equal(post(r, "/put", "{\"scope\":\"prod\",\"key\":\"x\",\"string_value\":\"y\"}"), 404);
    assert_int_equal(post(r, "/acls/put", "{\"scope\":\"prod\",\"principal\":\"ann\",\"permission\":\"MANAGE\"}"), 404);
    assert_int_equal(get(r, "/scopes/list"), 200);
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(r->doc), "scopes")), 0);
}

static void test_server_routes_vault__permissions_are_steps(void **state)
{
    static const char *const steps[] = {"READ", "WRITE", "MANAGE"};
    routes *r = *state;
    char token[128];
    put_some(r);
    add_user(r, "ann", token);
    for (int step = 0; step < 3; step++) {
        char body[128];
        act_as_admin(r);
        snprintf(body, sizeof body, "{\"scope\":\"prod\",\"principal\":\"ann\",\"permission\":\"%s\"}", steps[step]);
        assert_int_equal(post(r, "/acls/put", body), 200);
        act_as(r, token);
        assert_int_equal(get(r, "/get?scope=prod&key=api"), 200);
        assert_int_equal(post(r, "/put", "{\"scope\":\"prod\",\"key\":\"x\",\"string_value\":\"y\"}"),
                         step >= 1 ? 200 : 403);
        assert_int_equal(get(r, "/acls/list?scope=prod"), step >= 2 ? 200 : 403);
    }
    assert_int_equal(get(r, "/acls/get?scope=prod&principal=ann"), 200);
    assert_string_equal(answer(r, "permission"), "MANAGE");
    assert_int_equal(post(r, "/acls/delete", "{\"scope\":\"prod\",\"principal\":\"ann\"}"), 200);
    assert_int_equal(get(r, "/list?scope=prod"), 404);
}

static void test_server_routes_vault__nothing_of_a_value_lies_on_the_disk(void **state)
{
    routes *r = *state;
    static const char *const files[] = {"catalog.db", "catalog.db-wal"};
    put_some(r);
    for (size_t i = 0; i < 2; i++) {
        char path[4200], *bytes = calloc(1, 8 << 20);
        snprintf(path, sizeof path, "%s/%s", r->home, files[i]);
        FILE *file = fopen(path, "rb");
        size_t size = file ? fread(bytes, 1, 8 << 20, file) : 0;
        assert_null(memmem(bytes, size, "hunter2", 7));
        assert_null(memmem(bytes, size, "aHVudGVy", 8));
        if (file)
            fclose(file);
        free(bytes);
    }
}

static void test_server_routes_vault__another_key_does_not_open_it(void **state)
{
    routes *r = *state;
    char path[4200];
    put_some(r);
    snprintf(path, sizeof path, "%s/secrets.key", r->home);
    assert_int_equal(remove(path), 0);
    assert_int_equal(get(r, "/get?scope=prod&key=api"), 400);
    assert_non_null(strstr(answer(r, "message"), "put the secret again"));
    assert_null(strstr(answer(r, "message"), "hunter2"));
}

static void test_server_routes_vault__bad_bodies_say_what_is_wrong(void **state)
{
    static const struct { const char *path, *body; int http; const char *told; } bad[] = {
        {"/scopes/create", "{}", 400, "scope"},
        {"/scopes/create", "{\"scope\":\"a b\"}", 400, "name"},
        {"/scopes/create", "{\"scope\":\"prod\"}", 400, "already exists"},
        {"/scopes/create", "{\"scope\":\"x\",\"initial_manage_principal\":\"ann\"}", 400, "users"},
        {"/put", "{\"scope\":\"prod\",\"string_value\":\"v\"}", 400, "key"},
        {"/put", "{\"scope\":\"prod\",\"key\":\"k\"}", 400, "one of them"},
        {"/put", "{\"scope\":\"prod\",\"key\":\"k\",\"string_value\":\"v\",\"bytes_value\":\"AA==\"}", 400, "one of them"},
        {"/put", "{\"scope\":\"prod\",\"key\":\"k\",\"bytes_value\":\"!\"}", 400, "base64"},
        {"/delete", "{\"scope\":\"prod\",\"key\":\"none\"}", 404, "does not exist"},
        {"/acls/put", "{\"scope\":\"prod\",\"principal\":\"nobody\",\"permission\":\"READ\"}", 404, "nobody"},
        {"/acls/put", "{\"scope\":\"prod\",\"principal\":\"nobody\",\"permission\":\"ALL\"}", 400, "READ, WRITE, MANAGE"},
    };
    routes *r = *state;
    put_some(r);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(post(r, bad[i].path, bad[i].body), bad[i].http);
        assert_non_null(strstr(answer(r, "message"), bad[i].told));
    }
    assert_int_equal(get(r, "/get?scope=prod"), 400);
}

#define CASE(name) cmocka_unit_test_setup_teardown(test_server_routes_vault__##name, set_up_routes, tear_down_routes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(gives_back_what_was_put),
        CASE(a_scope_is_not_there_for_who_has_no_permission),
        CASE(permissions_are_steps),
        CASE(nothing_of_a_value_lies_on_the_disk),
        CASE(another_key_does_not_open_it),
        CASE(bad_bodies_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
