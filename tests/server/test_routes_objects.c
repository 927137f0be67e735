/* test_routes_objects.c: volumes, functions, models, credentials and external locations over their routes. */
#include "route_testing.h"

#include <sys/stat.h>

#define NAMED(name) "\"name\":\"" name "\",\"catalog_name\":\"main\",\"schema_name\":\"default\""

static void test_routes_objects_volumes__managed_and_external(void **state)
{
    routes *r = *state;
    expect(r, 200, "POST", UC "/volumes", "{" NAMED("m") ",\"volume_type\":\"MANAGED\",\"comment\":\"c\"}");
    assert_string_equal(text_of(r, "/full_name"), "main.default.m");
    assert_string_equal(text_of(r, "/volume_type"), "MANAGED");
    assert_string_equal(text_of(r, "/comment"), "c");
    assert_non_null(strstr(text_of(r, "/storage_location"), "/__unitystorage/volumes/"));
    assert_non_null(strstr(text_of(r, "/storage_location"), text_of(r, "/volume_id")));
    expect_error(r, 400, "RESOURCE_ALREADY_EXISTS", "POST", UC "/volumes", "{" NAMED("m") ",\"volume_type\":\"MANAGED\"}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/volumes",
                 "{" NAMED("x") ",\"volume_type\":\"MANAGED\",\"storage_location\":\"/a/b\"}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/volumes", "{" NAMED("x") ",\"volume_type\":\"EXTERNAL\"}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/volumes", "{" NAMED("x") ",\"volume_type\":\"OTHER\"}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/volumes",
                 "{" NAMED("x") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"s3://bucket\"}");
    expect(r, 200, "POST", UC "/volumes",
           "{" NAMED("e") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"file:/data//e/\"}");
    assert_string_equal(text_of(r, "/storage_location"), "file:///data/e");
    expect(r, 200, "PATCH", UC "/volumes/main.default.e", "{\"new_name\":\"f\",\"comment\":\"new\"}");
    assert_string_equal(text_of(r, "/name"), "f");
    expect_error(r, 404, "NOT_FOUND", "GET", UC "/volumes/main.default.e", NULL);
    expect(r, 200, "GET", UC "/volumes?catalog_name=main&schema_name=default", NULL);
    assert_string_equal(text_of(r, "/volumes/0/name"), "f");
    assert_string_equal(text_of(r, "/volumes/1/name"), "m");
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(r->doc, "/next_page_token")));
    expect_error(r, 404, "SCHEMA_NOT_FOUND", "GET", UC "/volumes?catalog_name=main&schema_name=no", NULL);
    expect_error(r, 400, "INVALID_ARGUMENT", "GET", UC "/volumes/main.default", NULL);
}

/* Nothing may lie in, around or on another's data. */
static void test_routes_objects_volumes__keep_apart(void **state)
{
    routes *r = *state;
    expect(r, 200, "POST", UC "/volumes",
           "{" NAMED("v") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"/data/v_1\"}");
    static const char *const taken[] = {"/data/v_1", "/data/v_1/in", "/data", "/"};
    static const char *const apart[] = {"/data/v_10", "/data/v", "/data/vx1"}; /* '_' is no wildcard */
    char body[512];
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        snprintf(body, sizeof body, "{" NAMED("w") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"%s\"}", taken[i]);
        expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/volumes", body);
        snprintf(body, sizeof body,
                 "{" NAMED("t") ",\"table_type\":\"EXTERNAL\",\"data_source_format\":\"DELTA\",\"columns\":[],"
                 "\"storage_location\":\"%s\"}",
                 taken[i]);
        expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/tables", body);
    }
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
        snprintf(body, sizeof body, "{" NAMED("w%zu") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"%s\"}", i,
                 apart[i]);
        expect(r, 200, "POST", UC "/volumes", body);
    }
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/volumes",
                 "{" NAMED("u") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"/x/__unitystorage/y\"}");
}

static const char function_body[] =
    "{\"function_info\":{" NAMED("f")
    ",\"data_type\":\"INT\",\"full_data_type\":\"int\",\"input_params\":{\"parameters\":[{\"name\":\"x\","
    "\"type_name\":\"INT\",\"type_text\":\"int\",\"type_json\":\"\\\"integer\\\"\",\"position\":0}]},"
    "\"is_deterministic\":true,\"is_null_call\":false,\"parameter_style\":\"S\",\"routine_body\":\"EXTERNAL\","
    "\"routine_definition\":\"return x + 1\",\"security_type\":\"DEFINER\",\"specific_name\":\"f\","
    "\"sql_data_access\":\"NO_SQL\",\"external_language\":\"PYTHON\",\"comment\":\"one more\"}}";

static void test_routes_objects_functions__come_back(void **state)
{
    routes *r = *state;
    expect(r, 200, "POST", UC "/functions", function_body);
    expect(r, 200, "GET", UC "/functions/main.default.f", NULL);
    assert_string_equal(text_of(r, "/full_name"), "main.default.f");
    assert_string_equal(text_of(r, "/routine_definition"), "return x + 1");
    assert_string_equal(text_of(r, "/input_params/parameters/0/type_json"), "\"integer\"");
    assert_true(yyjson_get_bool(yyjson_doc_ptr_get(r->doc, "/is_deterministic")));
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(r->doc, "/return_params")));
    assert_non_null(text_of(r, "/function_id"));
    expect_error(r, 400, "RESOURCE_ALREADY_EXISTS", "POST", UC "/functions", function_body);
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/functions", "{" NAMED("f") "}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/functions", "{\"function_info\":{" NAMED("g") "}}");
    expect(r, 200, "GET", UC "/functions?catalog_name=main&schema_name=default", NULL);
    assert_string_equal(text_of(r, "/functions/0/external_language"), "PYTHON");
    expect(r, 200, "DELETE", UC "/functions/main.default.f", NULL);
    expect_error(r, 404, "NOT_FOUND", "DELETE", UC "/functions/main.default.f", NULL);
}

static void test_routes_objects_models__versions(void **state)
{
    routes *r = *state;
    static const char version[] =
        "{\"model_name\":\"m\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"source\":\"runs:/1/a\","
        "\"run_id\":\"1\"}";
    expect(r, 200, "POST", UC "/models", "{" NAMED("m") "}");
    char *location = strdup(text_of(r, "/storage_location"));
    assert_non_null(strstr(location, "/models/"));
    expect_error(r, 409, "ALREADY_EXISTS", "POST", UC "/models", "{" NAMED("m") "}");
    for (int i = 1; i <= 11; i++) {
        expect(r, 200, "POST", UC "/models/versions", version);
        assert_int_equal(number_of(r, "/version"), i);
    }
    assert_string_equal(text_of(r, "/status"), "PENDING_REGISTRATION");
    assert_ptr_equal(strstr(text_of(r, "/storage_location"), location), text_of(r, "/storage_location"));
    free(location);
    expect(r, 200, "GET", UC "/models/main.default.m/versions?max_results=9", NULL);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/model_versions")), 9);
    assert_int_equal(number_of(r, "/model_versions/8/version"), 9);
    assert_string_equal(text_of(r, "/next_page_token"), "9"); /* after 9 comes 10: by number, not by text */
    expect(r, 200, "GET", UC "/models/main.default.m/versions?page_token=9", NULL);
    assert_int_equal(number_of(r, "/model_versions/1/version"), 11);
    expect_error(r, 400, "INVALID_ARGUMENT", "GET", UC "/models/main.default.m/versions?page_token=x", NULL);

    expect(r, 200, "PATCH", UC "/models/main.default.m/versions/3/finalize",
           "{\"full_name\":\"main.default.m\",\"version\":3}");
    assert_string_equal(text_of(r, "/status"), "READY");
    expect_error(r, 400, "INVALID_ARGUMENT", "PATCH", UC "/models/main.default.m/versions/3/finalize",
                 "{\"full_name\":\"main.default.m\",\"version\":3}");
    expect_error(r, 400, "INVALID_ARGUMENT", "PATCH", UC "/models/main.default.m/versions/4/finalize",
                 "{\"full_name\":\"main.default.m\",\"version\":3}");
    expect(r, 200, "PATCH", UC "/models/main.default.m/versions/3", "{\"comment\":\"good\"}");
    assert_string_equal(text_of(r, "/comment"), "good");
    expect_error(r, 400, "INVALID_ARGUMENT", "PATCH", UC "/models/main.default.m/versions/3", "{}");
    expect_error(r, 400, "INVALID_ARGUMENT", "GET", UC "/models/main.default.m/versions/x", NULL);
    expect_error(r, 404, "NOT_FOUND", "GET", UC "/models/main.default.m/versions/12", NULL);
    expect(r, 200, "DELETE", UC "/models/main.default.m/versions/11", NULL);
    expect(r, 200, "POST", UC "/models/versions", version);
    assert_int_equal(number_of(r, "/version"), 12); /* a number is never given twice */
    expect_error(r, 409, "ABORTED", "DELETE", UC "/models/main.default.m", NULL);
    expect(r, 200, "DELETE", UC "/models/main.default.m?force=true", NULL);
    expect_error(r, 404, "NOT_FOUND", "GET", UC "/models/main.default.m/versions/3", NULL);
}

static void test_routes_objects_models__of_all_schemas(void **state)
{
    routes *r = *state;
    expect(r, 200, "POST", UC "/schemas", "{\"name\":\"s\",\"catalog_name\":\"main\"}");
    expect(r, 200, "POST", UC "/models", "{" NAMED("a") "}");
    expect(r, 200, "POST", UC "/models", "{\"name\":\"a\",\"catalog_name\":\"main\",\"schema_name\":\"s\"}");
    expect(r, 200, "POST", UC "/models", "{\"name\":\"b\",\"catalog_name\":\"main\",\"schema_name\":\"s\"}");
    char path[512], token[64] = "";
    int seen = 0;
    do {
        snprintf(path, sizeof path, UC "/models?max_results=2&page_token=%s", token);
        expect(r, 200, "GET", path, NULL);
        seen += (int)yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/registered_models"));
        snprintf(token, sizeof token, "%s", text_of(r, "/next_page_token") ? text_of(r, "/next_page_token") : "");
    } while (*token);
    assert_int_equal(seen, 3);
    expect(r, 200, "GET", UC "/models?catalog_name=main&schema_name=s", NULL);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/registered_models")), 2);
    expect_error(r, 400, "INVALID_ARGUMENT", "GET", UC "/models?catalog_name=main", NULL);
    expect_error(r, 400, "INVALID_ARGUMENT", "GET", UC "/models?page_token=x", NULL);
}

static void test_routes_objects_locations__credentials_and_urls(void **state)
{
    routes *r = *state;
    expect(r, 200, "POST", UC "/credentials",
           "{\"name\":\"k\",\"aws_iam_role\":{\"role_arn\":\"arn:aws:iam::1:role/r\"},\"purpose\":\"STORAGE\"}");
    assert_string_equal(text_of(r, "/aws_iam_role/role_arn"), "arn:aws:iam::1:role/r");
    assert_non_null(text_of(r, "/aws_iam_role/external_id"));
    expect_error(r, 400, "STORAGE_CREDENTIAL_ALREADY_EXISTS", "POST", UC "/credentials",
                 "{\"name\":\"k\",\"aws_iam_role\":{\"role_arn\":\"x\"}}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/credentials", "{\"name\":\"l\"}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/credentials", "{\"name\":\"l\",\"aws_iam_role\":{}}");

    expect(r, 200, "POST", UC "/external-locations",
           "{\"name\":\"l\",\"url\":\"s3://bucket/a/b/\",\"credential_name\":\"k\"}");
    assert_string_equal(text_of(r, "/url"), "s3://bucket/a/b");
    assert_string_equal(text_of(r, "/credential_name"), "k");
    static const char *const urls[] = {"s3://bucket/a/b", "s3://bucket/a/b/c", "s3://bucket/a", "s3://bucket"};
    char body[256];
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        snprintf(body, sizeof body, "{\"name\":\"n\",\"url\":\"%s\",\"credential_name\":\"k\"}", urls[i]);
        expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/external-locations", body);
    }
    expect_error(r, 404, "NOT_FOUND", "POST", UC "/external-locations",
                 "{\"name\":\"n\",\"url\":\"s3://other/a\",\"credential_name\":\"no\"}");
    expect_error(r, 400, "EXTERNAL_LOCATION_ALREADY_EXISTS", "POST", UC "/external-locations",
                 "{\"name\":\"l\",\"url\":\"s3://other/a\",\"credential_name\":\"k\"}");
    expect(r, 200, "PATCH", UC "/external-locations/l", "{\"url\":\"s3://bucket/a\",\"comment\":\"wider\"}");
    assert_string_equal(text_of(r, "/url"), "s3://bucket/a");
    expect(r, 200, "GET", UC "/external-locations", NULL);
    assert_string_equal(text_of(r, "/external_locations/0/comment"), "wider");

    expect(r, 200, "POST", UC "/volumes",
           "{" NAMED("v") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"s3://bucket/a/v\"}");
    expect_error(r, 400, "INVALID_ARGUMENT", "DELETE", UC "/external-locations/l", NULL);
    expect_error(r, 400, "INVALID_ARGUMENT", "DELETE", UC "/credentials/k", NULL);
    expect(r, 200, "DELETE", UC "/credentials/k?force=true", NULL);
    expect(r, 200, "GET", UC "/external-locations/l", NULL);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(r->doc, "/credential_name")));
    expect(r, 200, "DELETE", UC "/external-locations/l?force=true", NULL);
    expect_error(r, 404, "NOT_FOUND", "GET", UC "/external-locations/l", NULL);
    expect_error(r, 404, "NOT_FOUND", "GET", UC "/credentials/k", NULL);
}

static void test_routes_objects_delete__force_takes_data(void **state)
{
    routes *r = *state;
    expect(r, 200, "POST", UC "/schemas", "{\"name\":\"s\",\"catalog_name\":\"main\"}");
    expect(r, 200, "POST", UC "/volumes",
           "{\"name\":\"v\",\"catalog_name\":\"main\",\"schema_name\":\"s\",\"volume_type\":\"MANAGED\"}");
    char command[4400], folder[4200];
    snprintf(folder, sizeof folder, "%s", text_of(r, "/storage_location") + strlen("file://"));
    snprintf(command, sizeof command, "mkdir -p '%s/in'", folder);
    assert_int_equal(system(command), 0);
    expect_error(r, 400, "FAILED_PRECONDITION", "DELETE", UC "/schemas/main.s", NULL);
    assert_non_null(strstr(text_of(r, "/message"), "volumes"));
    expect(r, 200, "DELETE", UC "/schemas/main.s?force=true", NULL);
    assert_int_not_equal(access(folder, F_OK), 0);
}

static void test_routes_objects_credentials__each_kind(void **state)
{
    routes *r = *state;
    char body[512], id[64];
    expect(r, 200, "POST", UC "/volumes", "{" NAMED("v") ",\"volume_type\":\"MANAGED\"}");
    snprintf(id, sizeof id, "%s", text_of(r, "/volume_id"));
    snprintf(body, sizeof body, "{\"volume_id\":\"%s\",\"operation\":\"WRITE_VOLUME\"}", id);
    expect(r, 200, "POST", UC "/temporary-volume-credentials", body);
    assert_non_null(strstr(text_of(r, "/url"), id));
    snprintf(body, sizeof body, "{\"volume_id\":\"%s\",\"operation\":\"READ\"}", id);
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/temporary-volume-credentials", body);
    snprintf(body, sizeof body, "{\"volume_id\":\"%s\",\"operation\":\"READ_VOLUME\"}", id);
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/temporary-table-credentials", body);
    expect_error(r, 404, "NOT_FOUND", "POST", UC "/temporary-volume-credentials",
                 "{\"volume_id\":\"00000000-0000-4000-8000-00000000000f\",\"operation\":\"READ_VOLUME\"}");
    expect(r, 200, "POST", UC "/models", "{" NAMED("m") "}");
    static const char version[] = "{\"model_name\":\"m\",\"catalog_name\":\"main\",\"schema_name\":\"default\"";
    snprintf(body, sizeof body, "%s,\"source\":\"x\"}", version);
    expect(r, 200, "POST", UC "/models/versions", body);
    snprintf(body, sizeof body, "%s,\"version\":1,\"operation\":\"READ_WRITE_MODEL_VERSION\"}", version);
    expect(r, 200, "POST", UC "/temporary-model-version-credentials", body);
    assert_non_null(strstr(text_of(r, "/url"), "/versions/"));
    expect(r, 200, "PATCH", UC "/models/main.default.m/versions/1/finalize",
           "{\"full_name\":\"main.default.m\",\"version\":1}");
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/temporary-model-version-credentials", body);
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/temporary-path-credentials",
                 "{\"url\":\"/\",\"operation\":\"PATH_CREATE_TABLE\"}");
}

static void grant(routes *r, const char *on, const char *privileges)
{
    char path[256], body[256];
    snprintf(path, sizeof path, UC "/permissions/%s", on);
    snprintf(body, sizeof body, "{\"changes\":[{\"principal\":\"bob\",\"add\":[%s],\"remove\":[]}]}", privileges);
    expect(r, 200, "PATCH", path, body);
}

/* A user's token; he is "bob". */
static void make_user(routes *r, char token[256])
{
    expect(r, 201, "POST", "/api/2.0/preview/scim/v2/Users", "{\"userName\":\"bob\"}");
    expect(r, 200, "POST", "/api/2.0/token-management/on-behalf-of/tokens",
           "{\"application_id\":\"bob\",\"lifetime_seconds\":600}");
    snprintf(token, 256, "%s", text_of(r, "/token_value"));
}

static void test_routes_objects_rights__nothing_without_a_grant(void **state)
{
    routes *r = *state;
    char token[256], id[64], body[512];
    expect(r, 200, "POST", UC "/volumes", "{" NAMED("v") ",\"volume_type\":\"MANAGED\"}");
    snprintf(id, sizeof id, "%s", text_of(r, "/volume_id"));
    expect(r, 200, "POST", UC "/models", "{" NAMED("m") "}");
    expect(r, 200, "POST", UC "/credentials", "{\"name\":\"k\",\"aws_iam_role\":{\"role_arn\":\"x\"}}");
    expect(r, 200, "POST", UC "/external-locations", "{\"name\":\"l\",\"url\":\"/data\"}");
    expect(r, 200, "POST", UC "/staging-tables", "{" NAMED("t") "}");
    char staging[64];
    snprintf(staging, sizeof staging, "%s", text_of(r, "/id"));
    make_user(r, token);
    act_as(r, token);
    /* What he may not know of is as if it were not there. */
    expect_error(r, 404, "CATALOG_NOT_FOUND", "GET", UC "/volumes/main.default.v", NULL);
    expect_error(r, 404, "CATALOG_NOT_FOUND", "GET", UC "/volumes/main.default.no", NULL);
    expect_error(r, 404, "NOT_FOUND", "GET", UC "/credentials/k", NULL);
    expect(r, 200, "GET", UC "/external-locations", NULL);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/external_locations")), 0);
    expect(r, 200, "GET", UC "/models", NULL);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/registered_models")), 0);
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/credentials",
                 "{\"name\":\"j\",\"aws_iam_role\":{\"role_arn\":\"x\"}}");
    snprintf(body, sizeof body, "{\"volume_id\":\"%s\",\"operation\":\"READ_VOLUME\"}", id);
    expect_error(r, 404, "NOT_FOUND", "POST", UC "/temporary-volume-credentials", body);
    snprintf(body, sizeof body, "{\"table_id\":\"%s\",\"operation\":\"READ\"}", staging); /* another's */
    expect_error(r, 404, "TABLE_NOT_FOUND", "POST", UC "/temporary-table-credentials", body);
    static const char *const paths[] = {"/etc", "/data/x", "/data"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(body, sizeof body, "{\"url\":\"%s\",\"operation\":\"PATH_READ\"}", paths[i]);
        expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/temporary-path-credentials", body);
    }
}

static void test_routes_objects_rights__by_external_location(void **state)
{
    routes *r = *state;
    char token[256];
    static const char volume[] = "{" NAMED("e") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"/data/e\"}";
    static const char outside[] = "{" NAMED("o") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"/etc/o\"}";
    expect(r, 200, "POST", UC "/external-locations", "{\"name\":\"l\",\"url\":\"/data\"}");
    make_user(r, token);
    grant(r, "catalog/main", "\"USE CATALOG\"");
    grant(r, "schema/main.default", "\"USE SCHEMA\",\"CREATE VOLUME\"");
    act_as(r, token);
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/volumes", volume);
    act_as_admin(r);
    grant(r, "external_location/l", "\"CREATE EXTERNAL VOLUME\"");
    act_as(r, token);
    expect(r, 200, "POST", UC "/volumes", volume);
    assert_string_equal(text_of(r, "/owner"), "bob");
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/volumes", outside); /* the server could read it for him */
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/external-locations", "{\"name\":\"n\",\"url\":\"/etc\"}");
    /* His own volume he may write; the location around it not. */
    expect(r, 200, "POST", UC "/temporary-path-credentials", "{\"url\":\"/data/e/x\",\"operation\":\"PATH_READ_WRITE\"}");
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/temporary-path-credentials",
                 "{\"url\":\"/data/f\",\"operation\":\"PATH_READ\"}");
    act_as_admin(r);
    grant(r, "external_location/l", "\"READ FILES\"");
    expect(r, 200, "POST", UC "/volumes",
           "{" NAMED("a") ",\"volume_type\":\"EXTERNAL\",\"storage_location\":\"/data/a\"}");
    act_as(r, token);
    expect(r, 200, "POST", UC "/temporary-path-credentials", "{\"url\":\"/data/f\",\"operation\":\"PATH_READ\"}");
    static const char *const denied[] = {"/data/a/x", "/data", "/data/__unitystorage/x"}; /* others' data is in them */
    char body[256];
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        snprintf(body, sizeof body, "{\"url\":\"%s\",\"operation\":\"PATH_READ\"}", denied[i]);
        expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/temporary-path-credentials", body);
    }
    expect_error(r, 403, "PERMISSION_DENIED", "POST", UC "/temporary-path-credentials",
                 "{\"url\":\"/data/f\",\"operation\":\"PATH_READ_WRITE\"}");
}

/* A page is read by an index, whatever lies around it. */
static void test_routes_objects_pages__by_name_in_a_big_schema(void **state)
{
    routes *r = *state;
    ist_error err = IST_ERROR_INIT;
    ist__db *db;
    int64_t took[2];
    for (int big = 0; big < 2; big++) {
        assert_ok(ist__session_write(&r->session, &db, &err), err);
        assert_ok(ist__db_end(
                      db,
                      ist__db_run(db,
                                  "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
                                  " INSERT INTO volumes (id, parent_id, name, created_at, volume_type, storage_location)"
                                  " SELECT 'id' || i, (SELECT id FROM schemas), printf('v%06d', i), 0, 'EXTERNAL',"
                                  " 'file:///data/' || i FROM n",
                                  NULL, &err, "ii", (int64_t)(big ? 200 : 0), (int64_t)(big ? 20000 : 199)),
                      &err),
                  err);
        int64_t start = ist__monotonic_us();
        for (int i = 0; i < 50; i++)
            expect(r, 200, "GET", UC "/volumes?catalog_name=main&schema_name=default&page_token=v000099", NULL);
        took[big] = ist__monotonic_us() - start;
        assert_string_equal(text_of(r, "/volumes/0/name"), "v000100");
        assert_string_equal(text_of(r, "/next_page_token"), "v000199");
    }
    if (took[1] > 5 * took[0] + 50000)
        fail_msg("50 pages took %lld us among 200 volumes, %lld us among 20000", (long long)took[0], (long long)took[1]);
}

int main(int argc, char **argv)
{
#define over_routes(test) cmocka_unit_test_setup_teardown(test, set_up_routes, tear_down_routes)
    const struct CMUnitTest tests[] = {
        over_routes(test_routes_objects_volumes__managed_and_external),
        over_routes(test_routes_objects_volumes__keep_apart),
        over_routes(test_routes_objects_functions__come_back),
        over_routes(test_routes_objects_models__versions),
        over_routes(test_routes_objects_models__of_all_schemas),
        over_routes(test_routes_objects_locations__credentials_and_urls),
        over_routes(test_routes_objects_delete__force_takes_data),
        over_routes(test_routes_objects_credentials__each_kind),
        over_routes(test_routes_objects_rights__nothing_without_a_grant),
        over_routes(test_routes_objects_rights__by_external_location),
        over_routes(test_routes_objects_pages__by_name_in_a_big_schema),
    };
    return run_group(tests, argc, argv);
}
