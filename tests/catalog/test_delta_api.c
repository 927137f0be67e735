/* test_delta_api.c: Unity Catalog's Delta API as a client: what it is asked, and the committer that speaks it. */
#include "conformance/committer_conformance.h"

#include "catalog/delta_api.h"
#include "catalog/fake_commit_catalog.h"

static void *conformance_world(void)
{
    return fake_new();
}

static void conformance_end(void *world)
{
    fake_end(world);
}

static ist_committer *conformance_open(void *world)
{
    return fake_committer(world, &(ist__managed_table){.registered = true, .delta_api = true});
}

#define ENDPOINTS(update)                                                                                              \
    "{\"endpoints\":[\"POST /v1/catalogs/{catalog}/schemas/{schema}/staging-tables\","                                 \
    "\"POST /v1/catalogs/{catalog}/schemas/{schema}/tables\","                                                         \
    "\"GET /delta/v1/catalogs/{catalog}/schemas/{schema}/tables/{table}\"," update                                     \
    "\"GET /v1/catalogs/{catalog}/schemas/{schema}/tables/{table}/credentials\","                                      \
    "\"GET /v1/staging-tables/{table_id}/credentials\"],\"protocol-version\":\"1.0\"}"

static void test_catalog_delta_api__spoken_where_the_config_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        bool spoken;
    } cases[] = {
        {ENDPOINTS("\"POST /v1/catalogs/{catalog}/schemas/{schema}/tables/{table}\","), true},
        {ENDPOINTS(""), false}, /* a server that only reads */
        {"{\"endpoints\":[7],\"protocol-version\":\"1.0\"}", false},
        {"{}", false},
        {NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_catalog *f = fake_new();
        ist_error err = IST_ERROR_INIT;
        bool spoken = !cases[i].spoken;
        f->delta_reply = cases[i].reply;
        for (int again = 0; again < 2; again++) {
            assert_ok(ist__delta_api_ask(&f->base, "`a b`.demo.t", &spoken, &err), err);
            assert_int_equal(spoken, cases[i].spoken);
        }
        assert_string_equal(f->asked, "GET /config?protocol-versions=1.0&catalog=a%20b \n"); /* once */
        fake_end(f);
    }
}

static void test_catalog_delta_api__what_a_commit_tells(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_store *store;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *committer = conformance_open(f);
    for (int64_t v = 1; v <= 2; v++) {
        const ist_proposal proposal = {v, "text\n", 5, 1000 + v, NULL};
        assert_ok(committer->ops->commit(committer, store, &proposal, &err), err);
        assert_ok(committer->ops->publish(committer, store, v, &err), err);
    }
    assert_non_null(strstr(f->last_body, "{\"action\":\"add-commit\",\"commit\":{\"version\":2,\"timestamp\":1002,\"file-name\":"));
    assert_non_null(strstr(f->last_body, "\"file-size\":5"));
    assert_non_null(strstr(f->last_body, "{\"action\":\"set-latest-backfilled-version\",\"latest-published-version\":1}"));
    assert_int_equal(f->backfilled, 1);
    ist_committer_free(committer);
    ist_store_free(store);
    fake_end(f);
}

static void test_catalog_delta_api__changes_go_with_the_commit(void **state)
{
    (void)state;
    static const double numbers[] = {1, 2, 3};
    static const column wider[] = {{"id", NANOARROW_TYPE_INT64, numbers, NULL}, {"x", NANOARROW_TYPE_DOUBLE, numbers, NULL}};
    conformance_table table;
    ist_error err = IST_ERROR_INIT;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t;
    ist_commit_result result;
    struct ArrowSchema schema;
    conformance_begin(&table);
    fake_catalog *f = table.world;
    ist_committer *committer = conformance_open(f);
    assert_ok(conformance_append(&table, committer, "a", &result, &err), err);
    assert_null(strstr(f->last_body, "\"set-")); /* nothing changed */
    options.committer = committer;
    options.merge_schema = true;
    rows_schema(wider, 2, &schema);
    assert_ok(ist_transaction_begin(table.store, &options, &schema, &t, &err), err);
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    ist_transaction_free(t);
    schema.release(&schema);
    assert_non_null(strstr(f->last_body, "{\"action\":\"set-columns\",\"columns\":{\"type\":\"struct\",\"fields\":[{\"name\":\"id\""));
    assert_non_null(strstr(f->last_body, "\"name\":\"x\",\"type\":\"double\""));
    assert_non_null(strstr(f->last_body, "{\"action\":\"set-partition-columns\",\"partition-columns\":[]}"));
    assert_non_null(strstr(f->last_body, "\"protocol\":{\"min-reader-version\":3,\"min-writer-version\":7,\"reader-features\":["));
    assert_non_null(strstr(f->last_body, "\"io.unitycatalog.tableId\":\"" TABLE_ID "\""));
    assert_null(strstr(f->last_body, "delta.feature.")); /* the protocol says it */
    ist_committer_free(committer);
    conformance_finish(&table);
}

static void test_catalog_delta_api__another_table_of_that_name(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    int64_t latest;
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *committer = conformance_open(f);
    f->id = "99999999-2222-4333-8444-555555555555";
    assert_int_equal(committer->ops->ratified(committer, NULL, NULL, &latest, &err), IST_NOT_FOUND);
    assert_non_null(strstr(err.message, "main.demo.t is another table now"));
    const ist_proposal proposal = {1, "text\n", 5, 1001, NULL};
    assert_int_not_equal(committer->ops->commit(committer, store, &proposal, &err), IST_OK);
    assert_int_equal(f->latest, 0);
    ist_committer_free(committer);
    ist_store_free(store);
    fake_end(f);
}

static void test_catalog_delta_api__a_place_with_what_is_required(void **state)
{
    (void)state;
    fake_catalog *f = fake_new();
    ist_error err = IST_ERROR_INIT;
    ist__delta_place place;
    f->delta_reply = "{\"table-id\":\"i\",\"location\":\"file:///l\",\"required-protocol\":{\"reader-features\":"
                     "[\"catalogManaged\"],\"writer-features\":[\"catalogManaged\",\"inCommitTimestamp\"]},"
                     "\"required-properties\":{\"a\":\"1\",\"b\":null}}";
    assert_ok(ist__delta_api_reserve(&f->base, "main.demo.t", &place, &err), err);
    assert_string_equal(f->asked, "POST /catalogs/main/schemas/demo/staging-tables {\"name\":\"t\"}\n");
    assert_string_equal(place.id, "i");
    assert_string_equal(place.uri, "file:///l");
    assert_string_equal(place.required, "{\"delta.feature.catalogManaged\":\"supported\","
                                        "\"delta.feature.inCommitTimestamp\":\"supported\",\"a\":\"1\"}");
    ist__delta_place_free(&place);
    f->delta_reply = "{\"table-id\":\"i\"}";
    assert_int_equal(ist__delta_api_reserve(&f->base, "main.demo.t", &place, &err), IST_BAD_INPUT);
    fake_end(f);
}

/* Nobody asked for it: the committer does, as the server requires. */
static void test_catalog_delta_api__a_new_table_is_what_is_required(void **state)
{
    (void)state;
    static const double numbers[] = {1};
    static const column columns[] = {{"id", NANOARROW_TYPE_INT64, numbers, NULL}};
    fake_catalog *f = fake_new();
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    ist_transaction *t;
    ist_commit_result result;
    ist_snapshot *snapshot;
    ist_buffer text = IST_BUFFER_INIT;
    struct ArrowSchema schema;
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_snapshot_options reading = IST_SNAPSHOT_OPTIONS_INIT;
    const ist__managed_table table = {
        .id = TABLE_ID, .uri = "memory:", .name = "main.demo.t", .delta_api = true,
        .required = "{\"delta.feature.catalogManaged\":\"supported\",\"delta.feature.inCommitTimestamp\":\"supported\","
                    "\"delta.enableInCommitTimestamps\":\"true\",\"delta.checkpointPolicy\":\"classic\"}"};
    assert_ok(ist_store_open_memory(&store, &err), err);
    ist_committer *committer = fake_committer(f, &table);
    options.committer = reading.committer = committer;
    rows_schema(columns, 1, &schema);
    assert_ok(ist_transaction_begin(store, &options, &schema, &t, &err), err);
    schema.release(&schema);
    assert_ok(ist_transaction_commit(t, &result, &err), err);
    ist_transaction_free(t);
    assert_ok(ist_snapshot_open(store, &reading, &snapshot, &err), err);
    assert_string_equal(ist_snapshot_property(snapshot, "delta.checkpointPolicy"), "classic"); /* not Isthmus' own idea */
    assert_ok(ist_snapshot_describe(snapshot, &text, &err), err);
    yyjson_doc *description = yyjson_read(text.data, text.size, 0);
    f->delta_reply = "{\"metadata\":{}}";
    assert_ok(ist__delta_api_create(&f->base, &table, yyjson_doc_get_root(description), 77, &err), err);
    assert_non_null(strstr(f->asked, "POST /catalogs/main/schemas/demo/tables {\"name\":\"t\",\"location\":\"memory:\","
                                     "\"table-type\":\"MANAGED\",\"columns\":{\"type\":\"struct\""));
    assert_non_null(strstr(f->asked, "\"catalogManaged\""));
    assert_non_null(strstr(f->asked, "\"last-commit-timestamp-ms\":77}"));
    yyjson_doc_free(description);
    ist_buffer_free(&text);
    ist_snapshot_free(snapshot);
    ist_committer_free(committer);
    ist_store_free(store);
    fake_end(f);
}

static void test_catalog_delta_api__credentials(void **state)
{
    (void)state;
    static const char aws[] =
        "{\"storage-credentials\":[{\"prefix\":\"s3://b\",\"config\":{\"s3.access-key-id\":\"short\"}},"
        "{\"prefix\":\"s3://b/t\",\"operation\":\"READ\",\"expiration-time-ms\":9,\"config\":{\"s3.access-key-id\":\"k\","
        "\"s3.secret-access-key\":\"s\",\"s3.session-token\":\"t\",\"azure.sas-token\":null}}]}";
    static const struct {
        const char *reply, *out;
    } cases[] = {
        {aws, "{\"aws_temp_credentials\":{\"access_key_id\":\"k\",\"secret_access_key\":\"s\",\"session_token\":\"t\"},"
              "\"expiration_time\":9,\"url\":\"s3://b/t\"}"},
        {"{\"storage-credentials\":[{\"prefix\":\"gs://b/t\",\"config\":{\"gcs.oauth-token\":\"o\"}}]}",
         "{\"gcp_oauth_token\":{\"oauth_token\":\"o\"},\"url\":\"gs://b/t\"}"},
        {"{\"storage-credentials\":[{\"prefix\":\"file:///t\",\"config\":{},\"expiration-time-ms\":null,"
         "\"isthmus_file_token\":{\"token\":\"x\"}}]}",
         "{\"isthmus_file_token\":{\"token\":\"x\"},\"url\":\"file:///t\"}"},
        {"{\"storage-credentials\":[]}", "{}"},
    };
    fake_catalog *f = fake_new();
    ist_error err = IST_ERROR_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ist_buffer out = IST_BUFFER_INIT;
        f->delta_reply = cases[i].reply;
        f->asked[0] = '\0';
        assert_ok(ist__delta_api_credentials(&f->base, "{\"delta_table\":\"main.demo.t\",\"operation\":\"READ\"}", &out, &err),
                  err);
        assert_string_equal(f->asked, "GET " FAKE_TABLE_PATH "/credentials?operation=READ \n");
        assert_string_equal(out.data, cases[i].out);
        ist_buffer_free(&out);
    }
    f->delta_reply = NULL; /* a place that is a table by now */
    f->asked[0] = '\0';
    ist_buffer out = IST_BUFFER_INIT;
    assert_int_equal(ist__delta_api_credentials(&f->base, "{\"delta_staging_table\":\"i\",\"delta_table\":\"main.demo.t\","
                                                          "\"operation\":\"READ_WRITE\"}", &out, &err), IST_NOT_FOUND);
    assert_string_equal(f->asked, "GET /staging-tables/i/credentials \n"
                                  "GET " FAKE_TABLE_PATH "/credentials?operation=READ_WRITE \n");
    ist_buffer_free(&out);
    fake_end(f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        COMMITTER_CONFORMANCE_CASES(COMMITTER_CONFORMANCE_ENTRY)
        cmocka_unit_test(test_catalog_delta_api__spoken_where_the_config_says_so),
        cmocka_unit_test(test_catalog_delta_api__what_a_commit_tells),
        cmocka_unit_test(test_catalog_delta_api__changes_go_with_the_commit),
        cmocka_unit_test(test_catalog_delta_api__another_table_of_that_name),
        cmocka_unit_test(test_catalog_delta_api__a_place_with_what_is_required),
        cmocka_unit_test(test_catalog_delta_api__a_new_table_is_what_is_required),
        cmocka_unit_test(test_catalog_delta_api__credentials),
    };
    return run_group(tests, argc, argv);
}
