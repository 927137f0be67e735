/* test_features.c: which tables can be read and written. */
#include "delta/delta_internal.h"
#include "testing.h"

#include <string.h>

static ist__protocol protocol_of(int reader, int writer, const char *const *names, size_t count)
{
    ist__strings features = {names, count};
    ist__protocol protocol = {.min_reader_version = reader, .min_writer_version = writer};
    if (reader >= 3)
        protocol.reader_features = features;
    if (writer >= 7)
        protocol.writer_features = features;
    return protocol;
}

static ist__metadata metadata_of(const char *schema, const ist__pair *properties, size_t count)
{
    return (ist__metadata){.id = "id", .schema_string = schema, .configuration = {properties, count}};
}

#define PLAIN "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}"
#define NAMES(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void test_delta_features__reading(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist__protocol p = protocol_of(1, 2, NULL, 0);
    assert_ok(ist__features_check_read(&p, false, &err), err);
    p = protocol_of(2, 5, NULL, 0);
    assert_ok(ist__features_check_read(&p, false, &err), err);
    p = protocol_of(3, 7, NAMES("columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint",
                                "vacuumProtocolCheck", "typeWidening", "typeWidening-preview"));
    assert_ok(ist__features_check_read(&p, false, &err), err);
    p = protocol_of(3, 7, NAMES("catalogManaged"));
    assert_ok(ist__features_check_read(&p, true, &err), err);
    assert_int_equal(ist__features_check_read(&p, false, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "(feature catalogManaged)"));
    assert_non_null(strstr(err.message, "by its name"));
    p = protocol_of(4, 7, NULL, 0);
    assert_int_equal(ist__features_check_read(&p, false, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "reader version 4"));
    p = protocol_of(3, 7, NAMES("variantType", "deletionVectors", "fromTheFuture"));
    assert_int_equal(ist__features_check_read(&p, false, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, ": variantType, fromTheFuture"));
    p = protocol_of(1, 7, NAMES("fromTheFuture")); /* a writer feature keeps no reader away */
    assert_ok(ist__features_check_read(&p, false, &err), err);
}

static void test_delta_features__writing(void **state)
{
    (void)state;
    static const ist__pair constraint = {"delta.constraints.c", "a > 1"}, feed = {"delta.enableChangeDataFeed", "true"},
                           compat = {"delta.enableIcebergCompatV2", "true"};
    static const char generated[] = "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,"
                                    "\"metadata\":{\"delta.generationExpression\":\"b\"}}]}";
    static const char nested[] = "{\"type\":\"struct\",\"fields\":[{\"name\":\"s\",\"type\":{\"type\":\"array\","
                                 "\"elementType\":{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\","
                                 "\"nullable\":true,\"metadata\":{\"delta.invariants\":\"{}\"}}]},\"containsNull\":true},"
                                 "\"nullable\":true,\"metadata\":{}}]}";
    const struct {
        ist__protocol protocol;
        ist__metadata metadata;
        const char *message; /* NULL: writable */
    } cases[] = {
        {protocol_of(1, 6, NULL, 0), metadata_of(PLAIN, NULL, 0), NULL},
        {protocol_of(1, 8, NULL, 0), metadata_of(PLAIN, NULL, 0), "writer version 8"},
        {protocol_of(1, 2, NULL, 0), metadata_of(PLAIN, &constraint, 1), NULL}, /* version 2 knows no constraints */
        {protocol_of(1, 3, NULL, 0), metadata_of(PLAIN, &constraint, 1), ": checkConstraints"},
        {protocol_of(1, 4, NULL, 0), metadata_of(generated, &feed, 1), ": generatedColumns"},
        {protocol_of(1, 3, NULL, 0), metadata_of(generated, &feed, 1), NULL},
        {protocol_of(1, 2, NULL, 0), metadata_of(nested, NULL, 0), ": invariants"},
        {protocol_of(1, 7, NAMES("appendOnly", "rowTracking", "domainMetadata", "inCommitTimestamp", "clustering",
                                 "allowColumnDefaults", "changeDataFeed")), metadata_of(PLAIN, NULL, 0), NULL},
        {protocol_of(1, 7, NAMES("identityColumns")), metadata_of(PLAIN, &constraint, 1), NULL},
        {protocol_of(1, 7, NAMES("icebergCompatV2", "new1", "checkConstraints", "new2")),
         metadata_of(PLAIN, &compat, 1), ": new1, new2, icebergCompatV2"},
        {protocol_of(3, 7, NAMES("catalogManaged")), metadata_of(PLAIN, NULL, 0), "by its name"},
        {protocol_of(3, 7, NAMES("variantType")), metadata_of(PLAIN, NULL, 0), "reader features"},
        {protocol_of(1, 2, NULL, 0), metadata_of("{", NULL, 0), "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ist_error err = IST_ERROR_INIT;
        ist_status status = ist__features_check_write(&cases[i].protocol, &cases[i].metadata, false, &err);
        if (cases[i].message ? status == IST_OK || !strstr(err.message, cases[i].message) : status != IST_OK)
            fail_msg("case %zu: %s: %s", i, ist_status_name(status), err.message);
    }
}

static void test_delta_features__with_a_catalog(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist__metadata plain = metadata_of(PLAIN, NULL, 0);
    ist__protocol managed = protocol_of(3, 7, NAMES("catalogManaged", "inCommitTimestamp")),
                  preview = protocol_of(3, 7, NAMES("catalogOwned-preview"));
    assert_ok(ist__features_check_write(&managed, &plain, true, &err), err);
    assert_ok(ist__features_check_read(&preview, true, &err), err);
    assert_int_equal(ist__features_check_write(&preview, &plain, true, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, ": catalogOwned-preview"));
}

static void test_delta_features__enabled(void **state)
{
    (void)state;
    static const ist__pair vectors = {"delta.enableDeletionVectors", "true"}, mapping = {"delta.columnMapping.mode", "name"},
                           none = {"delta.columnMapping.mode", "none"};
    ist__protocol modern = protocol_of(3, 7, NAMES("deletionVectors", "domainMetadata")), old = protocol_of(2, 5, NULL, 0);
    ist__metadata off = metadata_of(PLAIN, NULL, 0), on = metadata_of(PLAIN, &vectors, 1),
                  by_name = metadata_of(PLAIN, &mapping, 1), by_none = metadata_of(PLAIN, &none, 1);
    assert_true(ist__features_supported(&modern, "deletionVectors"));
    assert_false(ist__features_enabled(&modern, &off, "deletionVectors"));
    assert_true(ist__features_enabled(&modern, &on, "deletionVectors"));
    assert_true(ist__features_enabled(&modern, &off, "domainMetadata"));
    assert_false(ist__features_enabled(&old, &on, "deletionVectors"));
    assert_true(ist__features_enabled(&old, &by_name, "columnMapping"));
    assert_false(ist__features_enabled(&old, &by_none, "columnMapping"));
    assert_false(ist__features_enabled(&modern, &by_name, "columnMapping"));
    assert_true(ist__features_supported(&old, "checkConstraints"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_features__reading),
        cmocka_unit_test(test_delta_features__writing),
        cmocka_unit_test(test_delta_features__with_a_catalog),
        cmocka_unit_test(test_delta_features__enabled),
    };
    return run_group(tests, argc, argv);
}
