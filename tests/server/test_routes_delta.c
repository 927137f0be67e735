/* test_routes_delta.c: Unity Catalog's Delta API: catalog-managed tables from their staging to their last commit. */
#include "route_testing.h"

#define V1 UC "/delta/v1"
#define SCHEMA V1 "/catalogs/main/schemas/default"
#define TABLE SCHEMA "/tables/t"

#define PROTOCOL                                                                                                       \
    "\"protocol\":{\"min-reader-version\":3,\"min-writer-version\":7,\"reader-features\":[\"catalogManaged\","         \
    "\"v2Checkpoint\",\"vacuumProtocolCheck\",\"deletionVectors\"],\"writer-features\":[\"catalogManaged\","           \
    "\"v2Checkpoint\",\"vacuumProtocolCheck\",\"deletionVectors\",\"inCommitTimestamp\",\"rowTracking\","              \
    "\"domainMetadata\"]}"
#define PROPERTIES                                                                                                     \
    "\"delta.enableDeletionVectors\":\"true\",\"delta.checkpointPolicy\":\"v2\","                                      \
    "\"delta.enableInCommitTimestamps\":\"true\",\"delta.checkpoint.writeStatsAsStruct\":\"true\","                    \
    "\"delta.checkpoint.writeStatsAsJson\":\"true\""
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type ",\"nullable\":true,\"metadata\":{}}"
#define COLUMNS(fields) "\"columns\":{\"type\":\"struct\",\"fields\":[" fields "]}"

static void expect_delta_error(routes *r, int http, const char *type, const char *method, const char *path,
                               const char *body)
{
    expect(r, http, method, path, body);
    const char *answer = text_of(r, "/error/type");
    if (!answer || strcmp(answer, type) != 0)
        fail_msg("%s %s: %s, not %s: %s", method, path, answer ? answer : "no error", type, text_of(r, "/error/message"));
    assert_int_equal(number_of(r, "/error/code"), http);
}

typedef struct staged {
    char id[64], location[4096], properties[1024];
} staged;

static staged stage(routes *r)
{
    staged s;
    expect(r, 200, "POST", SCHEMA "/staging-tables", "{\"name\":\"t\"}");
    snprintf(s.id, sizeof s.id, "%s", text_of(r, "/table-id"));
    snprintf(s.location, sizeof s.location, "%s", text_of(r, "/location"));
    snprintf(s.properties, sizeof s.properties, "{" PROPERTIES ",\"io.unitycatalog.tableId\":\"%s\"}", s.id);
    return s;
}

static const char *create_body(const staged *s, const char *type, const char *protocol, const char *properties,
                               const char *more)
{
    static char body[8192];
    snprintf(body, sizeof body,
             "{\"name\":\"t\",\"location\":\"%s\",\"table-type\":\"%s\",%s,\"properties\":%s,"
             "\"last-commit-timestamp-ms\":1700000000000%s}",
             s->location, type, protocol, properties, more);
    return body;
}

/* A managed table with id, a nested column and a partition. */
static staged create(routes *r)
{
    staged s = stage(r);
    expect(r, 200, "POST", SCHEMA "/tables",
           create_body(&s, "MANAGED", PROTOCOL, s.properties,
                       "," COLUMNS(FIELD("id", "\"long\"") "," FIELD("Day", "\"date\"") "," FIELD(
                           "m", "{\"type\":\"map\",\"key-type\":\"string\",\"value-type\":{\"type\":\"array\","
                                "\"element-type\":\"decimal(10,2)\",\"contains-null\":true},\"value-contains-null\":"
                                "false}")) ",\"partition-columns\":[\"day\"],\"comment\":\"c\","
                       "\"domain-metadata\":{\"delta.rowTracking\":{\"rowIdHighWaterMark\":7}}"));
    return s;
}

/* "updates" and the table's uuid. */
static const char *update_body(const staged *s, const char *requirements, const char *updates)
{
    static char body[8192];
    snprintf(body, sizeof body,
             "{\"requirements\":[{\"type\":\"assert-table-uuid\",\"uuid\":\"%s\"}%s],\"updates\":[%s]}", s->id,
             requirements, updates);
    return body;
}

#define COMMIT(version, file)                                                                                          \
    "{\"action\":\"add-commit\",\"commit\":{\"version\":" #version ",\"timestamp\":17,\"file-name\":\"" file           \
    "\",\"file-size\":1,\"file-modification-timestamp\":2}}"

static void test_routes_delta_config__names_what_there_is(void **state)
{
    routes *r = *state;
    expect(r, 200, "GET", V1 "/config?catalog=main&protocol-versions=1.0", NULL);
    assert_string_equal(text_of(r, "/protocol-version"), "1.0");
    assert_string_equal(text_of(r, "/endpoints/0"), "POST /v1/catalogs/{catalog}/schemas/{schema}/staging-tables");
    expect_delta_error(r, 404, "NoSuchCatalogException", "GET", V1 "/config?catalog=no&protocol-versions=1.0", NULL);
    expect_delta_error(r, 400, "InvalidParameterValueException", "GET", V1 "/config?protocol-versions=1.0", NULL);
}

static void test_routes_delta_staging__tells_the_contract(void **state)
{
    routes *r = *state;
    staged s = stage(r);
    assert_string_equal(text_of(r, "/table-type"), "MANAGED");
    assert_int_equal(number_of(r, "/required-protocol/min-reader-version"), 3);
    assert_string_equal(text_of(r, "/required-protocol/reader-features/0"), "catalogManaged");
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/required-protocol/reader-features")), 4);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/required-protocol/writer-features")), 5);
    assert_string_equal(text_of(r, "/required-properties/io.unitycatalog.tableId"), s.id);
    assert_true(yyjson_is_null(yyjson_doc_ptr_get(r->doc, "/suggested-properties/delta.columnMapping.maxColumnId")));
    assert_string_equal(text_of(r, "/storage-credentials/0/prefix"), s.location);
    assert_string_equal(text_of(r, "/storage-credentials/0/operation"), "READ_WRITE");
    expect_delta_error(r, 404, "NoSuchSchemaException", "POST", V1 "/catalogs/main/schemas/no/staging-tables",
                       "{\"name\":\"t\"}");
    char path[256];
    snprintf(path, sizeof path, V1 "/staging-tables/%s/credentials", s.id);
    expect(r, 200, "GET", path, NULL);
    assert_string_equal(text_of(r, "/storage-credentials/0/prefix"), s.location);
    expect_delta_error(r, 404, "NoSuchTableException", "GET",
                       V1 "/staging-tables/00000000-0000-4000-8000-00000000000f/credentials", NULL);
}

/* A server whose new tables are all catalog-managed gives places by this API alone, and says so. */
static void test_routes_delta_staging__the_only_way(void **state)
{
    routes *r = *state;
    static const char body[] = "{\"name\":\"t\",\"catalog_name\":\"main\",\"schema_name\":\"default\"}";
    expect(r, 200, "POST", UC "/staging-tables", body);
    r->session.local->catalog_managed = true;
    expect_error(r, 400, "INVALID_ARGUMENT", "POST", UC "/staging-tables", body);
    assert_non_null(strstr(text_of(r, "/message"), "/delta/v1/catalogs/main/schemas/default/staging-tables"));
    stage(r);
}

static void test_routes_delta_create__only_by_the_contract(void **state)
{
    routes *r = *state;
    staged s = stage(r);
    static const char columns[] = "," COLUMNS(FIELD("id", "\"long\""));
    static const char *const protocols[] = {
        "\"x\":1",
        "\"protocol\":{\"min-reader-version\":2,\"min-writer-version\":7}",
        "\"protocol\":{\"min-reader-version\":3,\"min-writer-version\":7,\"reader-features\":[\"catalogManaged\"],"
        "\"writer-features\":[]}",
        "\"protocol\":{\"min-reader-version\":3,\"min-writer-version\":7,\"reader-features\":[],\"writer-features\":[]}"};
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        expect_delta_error(r, 400, "InvalidParameterValueException", "POST", SCHEMA "/tables",
                           create_body(&s, "MANAGED", protocols[i], s.properties, columns));
    expect_delta_error(r, 400, "InvalidParameterValueException", "POST", SCHEMA "/tables",
                       create_body(&s, "MANAGED", PROTOCOL, "{" PROPERTIES "}", columns));
    expect_delta_error(r, 400, "InvalidParameterValueException", "POST", SCHEMA "/tables",
                       create_body(&s, "MANAGED", PROTOCOL, "{\"io.unitycatalog.tableId\":\"x\"}", columns));
    static const char *const bad[] = {
        "", ",\"columns\":{\"type\":\"struct\",\"fields\":[]}", "," COLUMNS(FIELD("id", "\"int96\"")),
        "," COLUMNS(FIELD("id", "\"decimal(39,1)\"")), "," COLUMNS(FIELD("id", "\"long\"") "," FIELD("ID", "\"long\"")),
        "," COLUMNS(FIELD("id", "{\"type\":\"array\",\"element-type\":\"long\"}")),
        "," COLUMNS(FIELD("id", "\"long\"")) ",\"partition-columns\":[\"x\"]",
        "," COLUMNS(FIELD("id", "\"long\"")) ",\"domain-metadata\":{\"delta.clustering\":{\"clusteringColumns\":[]}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_delta_error(r, 400, "InvalidParameterValueException", "POST", SCHEMA "/tables",
                           create_body(&s, "MANAGED", PROTOCOL, s.properties, bad[i]));
    expect(r, 200, "POST", SCHEMA "/tables", create_body(&s, "MANAGED", PROTOCOL, s.properties, columns));
    expect_delta_error(r, 409, "AlreadyExistsException", "POST", SCHEMA "/tables",
                       create_body(&s, "MANAGED", PROTOCOL, s.properties, columns));
}

static void test_routes_delta_load__as_it_was_created(void **state)
{
    routes *r = *state;
    staged s = create(r);
    expect(r, 200, "GET", TABLE, NULL);
    assert_string_equal(text_of(r, "/metadata/table-uuid"), s.id);
    assert_string_equal(text_of(r, "/metadata/location"), s.location);
    assert_string_equal(text_of(r, "/metadata/columns/fields/2/type/value-type/element-type"), "decimal(10,2)");
    assert_string_equal(text_of(r, "/metadata/partition-columns/0"), "Day");
    assert_string_equal(text_of(r, "/metadata/properties/delta.feature.catalogManaged"), "supported");
    assert_string_equal(text_of(r, "/metadata/properties/delta.rowTracking.rowIdHighWaterMark"), "7");
    assert_string_equal(text_of(r, "/metadata/properties/delta.minReaderVersion"), "3");
    assert_int_equal(number_of(r, "/metadata/last-commit-version"), 0);
    assert_int_equal(number_of(r, "/metadata/last-commit-timestamp-ms"), 1700000000000);
    assert_int_equal(number_of(r, "/latest-table-version"), 0);
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/commits")), 0);
    expect(r, 200, "GET", UC "/tables/main.default.t", NULL); /* as Spark's connector reads it */
    assert_string_equal(text_of(r, "/columns/2/type_text"), "map<string,array<decimal(10,2)>>");
    assert_non_null(strstr(text_of(r, "/columns/2/type_json"), "\"elementType\":\"decimal(10,2)\",\"containsNull\":true"));
    assert_string_equal(text_of(r, "/columns/1/type_name"), "DATE");
    assert_int_equal(number_of(r, "/columns/1/partition_index"), 0);
    assert_string_equal(text_of(r, "/comment"), "c");
    expect(r, 204, "HEAD", TABLE, NULL);
    expect(r, 404, "HEAD", SCHEMA "/tables/no", NULL);
    expect_delta_error(r, 404, "NoSuchTableException", "GET", SCHEMA "/tables/no", NULL);
}

static void test_routes_delta_update__commit_and_metadata_at_once(void **state)
{
    routes *r = *state;
    staged s = create(r);
    char etag[64], requirement[128];
    expect(r, 200, "GET", TABLE, NULL);
    snprintf(etag, sizeof etag, "%s", text_of(r, "/metadata/etag"));
    expect(r, 200, "POST", TABLE, update_body(&s, "", COMMIT(1, "1.json")));
    assert_string_equal(text_of(r, "/commits/0/file-name"), "1.json");
    assert_int_equal(number_of(r, "/latest-table-version"), 1);
    assert_int_equal(number_of(r, "/metadata/last-commit-version"), 0); /* data only */
    assert_string_equal(text_of(r, "/metadata/etag"), etag);
    expect_delta_error(r, 409, "CommitVersionConflictException", "POST", TABLE, update_body(&s, "", COMMIT(1, "x.json")));

    snprintf(requirement, sizeof requirement, ",{\"type\":\"assert-etag\",\"etag\":\"%s\"}", etag);
    const char *changes = COMMIT(2, "2.json") ",{\"action\":\"set-latest-backfilled-version\","
        "\"latest-published-version\":1},{\"action\":\"set-properties\",\"updates\":{\"a\":\"b\"}},{\"action\":"
        "\"set-table-comment\",\"comment\":\"new\"},{\"action\":\"set-columns\"," COLUMNS(
            FIELD("id", "\"long\"") "," FIELD("Day", "\"date\"") "," FIELD("x", "\"double\"")) "}";
    expect(r, 200, "POST", TABLE, update_body(&s, requirement, changes));
    assert_int_equal(yyjson_arr_size(yyjson_doc_ptr_get(r->doc, "/commits")), 1);
    assert_int_equal(number_of(r, "/metadata/last-commit-version"), 2);
    assert_int_equal(number_of(r, "/metadata/last-commit-timestamp-ms"), 17);
    assert_string_equal(text_of(r, "/metadata/properties/a"), "b");
    assert_string_equal(text_of(r, "/metadata/columns/fields/2/name"), "x");
    assert_string_equal(text_of(r, "/metadata/partition-columns/0"), "Day"); /* kept by name */
    assert_string_not_equal(text_of(r, "/metadata/etag"), etag);
    /* Sent again, with the etag of then: it was done. */
    expect(r, 200, "POST", TABLE, update_body(&s, requirement, changes));
    expect_delta_error(r, 409, "UpdateRequirementConflictException", "POST", TABLE,
                       update_body(&s, requirement, COMMIT(3, "3.json")));
    expect(r, 200, "GET", TABLE, NULL);
    assert_int_equal(number_of(r, "/latest-table-version"), 2); /* nothing of it stayed */
    /* The high-water mark of row tracking moves with data and is no change of metadata. */
    snprintf(etag, sizeof etag, "%s", text_of(r, "/metadata/etag"));
    expect(r, 200, "POST", TABLE,
           update_body(&s, "", COMMIT(3, "3.json") ",{\"action\":\"set-domain-metadata\",\"updates\":{"
                                                   "\"delta.rowTracking\":{\"rowIdHighWaterMark\":9}}}"));
    assert_string_equal(text_of(r, "/metadata/properties/delta.rowTracking.rowIdHighWaterMark"), "9");
    assert_string_equal(text_of(r, "/metadata/etag"), etag);
}

static void test_routes_delta_update__refuses(void **state)
{
    routes *r = *state;
    staged s = create(r);
    static const char *const bad[] = {
        "",
        "{\"action\":\"fly\"}",
        COMMIT(1, "1.json") "," COMMIT(2, "2.json"),
        COMMIT(0, "0.json"),
        COMMIT(1, "a/b"),
        COMMIT(1, "1.json") ",{\"action\":\"set-latest-backfilled-version\"}",
        "{\"action\":\"set-latest-backfilled-version\",\"latest-published-version\":1}",
        "{\"action\":\"set-properties\",\"updates\":{\"a\":\"b\"}},{\"action\":\"remove-properties\",\"removals\":[\"a\"]}",
        "{\"action\":\"set-properties\",\"updates\":{\"a\":1}}",
        "{\"action\":\"set-domain-metadata\",\"updates\":{\"delta.clustering\":{\"clusteringColumns\":[[\"id\"]]}}}",
        "{\"action\":\"set-domain-metadata\",\"updates\":{}}",
        "{\"action\":\"remove-domain-metadata\",\"domains\":[\"x\"]}",
        "{\"action\":\"set-protocol\",\"protocol\":{\"min-reader-version\":3,\"min-writer-version\":7}}",
        "{\"action\":\"set-partition-columns\",\"partition-columns\":[\"no\"]}",
        "{\"action\":\"set-columns\"," COLUMNS(FIELD("id", "\"long\"")) "}", /* the partition column is gone */
        "{\"action\":\"update-metadata-snapshot-version\",\"last-commit-version\":1,\"last-commit-timestamp-ms\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_delta_error(r, 400, "InvalidParameterValueException", "POST", TABLE, update_body(&s, "", bad[i]));
    expect_delta_error(r, 400, "InvalidParameterValueException", "POST", TABLE,
                       "{\"requirements\":[],\"updates\":[" COMMIT(1, "1.json") "]}");
    snprintf(s.id, sizeof s.id, "00000000-0000-4000-8000-00000000000f");
    expect_delta_error(r, 409, "UpdateRequirementConflictException", "POST", TABLE,
                       update_body(&s, "", COMMIT(1, "1.json")));
    expect(r, 200, "GET", TABLE, NULL);
    assert_int_equal(number_of(r, "/latest-table-version"), 0);
}

static void test_routes_delta_update__ten_unpublished(void **state)
{
    routes *r = *state;
    staged s = create(r);
    char commit[256];
    for (int i = 1; i <= 11; i++) {
        snprintf(commit, sizeof commit,
                 "{\"action\":\"add-commit\",\"commit\":{\"version\":%d,\"timestamp\":1,\"file-name\":\"%d\",\"file-size\":1,"
                 "\"file-modification-timestamp\":1}}",
                 i, i);
        if (i <= 10)
            expect(r, 200, "POST", TABLE, update_body(&s, "", commit));
        else
            expect_delta_error(r, 429, "ResourceExhaustedException", "POST", TABLE, update_body(&s, "", commit));
    }
}

static void test_routes_delta_external__mirrors_its_log(void **state)
{
    routes *r = *state;
    staged s = {.location = "file:///data/e"};
    expect(r, 200, "POST", SCHEMA "/tables",
           create_body(&s, "EXTERNAL", "\"protocol\":{\"min-reader-version\":1,\"min-writer-version\":2}", "{}",
                       "," COLUMNS(FIELD("id", "\"long\""))));
    assert_null(yyjson_doc_ptr_get(r->doc, "/latest-table-version"));
    snprintf(s.id, sizeof s.id, "%s", text_of(r, "/metadata/table-uuid"));
    expect(r, 200, "POST", TABLE,
           update_body(&s, "", "{\"action\":\"update-metadata-snapshot-version\",\"last-commit-version\":5,"
                               "\"last-commit-timestamp-ms\":6}"));
    assert_int_equal(number_of(r, "/metadata/last-commit-version"), 5);
    expect_delta_error(r, 400, "InvalidParameterValueException", "POST", TABLE, update_body(&s, "", COMMIT(1, "1.json")));
    expect(r, 200, "POST", UC "/tables",
           "{\"name\":\"csv\",\"catalog_name\":\"main\",\"schema_name\":\"default\",\"table_type\":\"EXTERNAL\","
           "\"data_source_format\":\"CSV\",\"columns\":[],\"storage_location\":\"/data/csv\"}");
    expect_delta_error(r, 400, "UnsupportedTableFormatException", "GET", SCHEMA "/tables/csv", NULL);
    expect(r, 204, "HEAD", SCHEMA "/tables/csv", NULL);
}

static void test_routes_delta_table__credentials_rename_metrics_delete(void **state)
{
    routes *r = *state;
    staged s = create(r);
    char body[256];
    expect(r, 200, "GET", TABLE "/credentials?operation=READ", NULL);
    assert_string_equal(text_of(r, "/storage-credentials/0/prefix"), s.location);
    assert_string_equal(text_of(r, "/storage-credentials/0/operation"), "READ");
    expect_delta_error(r, 400, "InvalidParameterValueException", "GET", TABLE "/credentials?operation=FLY", NULL);
    expect(r, 200, "GET", V1 "/temporary-path-credentials?location=file:/data/new&operation=READ_WRITE", NULL);
    assert_string_equal(text_of(r, "/storage-credentials/0/prefix"), "file:///data/new");
    snprintf(body, sizeof body, "{\"table-id\":\"%s\",\"report\":{}}", s.id);
    expect(r, 204, "POST", TABLE "/metrics", body);
    expect_delta_error(r, 400, "InvalidParameterValueException", "POST", TABLE "/metrics",
                       "{\"table-id\":\"00000000-0000-4000-8000-00000000000f\"}");
    expect(r, 204, "POST", TABLE "/rename", "{\"new-name\":\"u\"}");
    expect_delta_error(r, 404, "NoSuchTableException", "POST", TABLE "/rename", "{\"new-name\":\"u\"}");
    expect(r, 204, "POST", SCHEMA "/tables/u/rename", "{\"new-name\":\"u\"}");
    expect(r, 204, "DELETE", SCHEMA "/tables/u", NULL);
    expect_delta_error(r, 404, "NoSuchTableException", "DELETE", SCHEMA "/tables/u", NULL);
}

int main(int argc, char **argv)
{
#define over_routes(test) cmocka_unit_test_setup_teardown(test, set_up_routes, tear_down_routes)
    const struct CMUnitTest tests[] = {
        over_routes(test_routes_delta_config__names_what_there_is),
        over_routes(test_routes_delta_staging__tells_the_contract),
        over_routes(test_routes_delta_staging__the_only_way),
        over_routes(test_routes_delta_create__only_by_the_contract),
        over_routes(test_routes_delta_load__as_it_was_created),
        over_routes(test_routes_delta_update__commit_and_metadata_at_once),
        over_routes(test_routes_delta_update__refuses),
        over_routes(test_routes_delta_update__ten_unpublished),
        over_routes(test_routes_delta_external__mirrors_its_log),
        over_routes(test_routes_delta_table__credentials_rename_metrics_delete),
    };
    return run_group(tests, argc, argv);
}
