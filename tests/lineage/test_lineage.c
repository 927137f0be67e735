/* test_lineage.c: OpenLineage run events. */
#include "testing.h"

#include "isthmus/lineage.h"

#include <string.h>
#include <yyjson.h>

static void test_lineage_event__has_what_the_specification_asks(void **state)
{
    (void)state;
    ist_lineage_dataset inputs[] = {
        {"main.default.a", NULL, 7, 100, -1, NULL, 0},
        {"file:///data/x%20y", NULL, -1, -1, -1, NULL, 0},
        {"s3://bucket/k/t", NULL, -1, -1, -1, NULL, 0},
        {"/plain/path", NULL, -1, -1, -1, NULL, 0},
    };
    static const ist_lineage_column columns[] = {
        {"id", "main.default.a", "key", "IDENTITY"},
        {"s", "main.default.a", "x", "TRANSFORMATION"},
        {"s", "s3://bucket/k/t", "y", "TRANSFORMATION"},
        {"s", "s3://bucket/k/t", "y", "CONDITIONAL"},
        {NULL, "main.default.a", "key", "JOIN"},
    };
    ist_lineage_dataset outputs[] = {
        {"main.default.b",
         "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"metadata\":{\"comment\":\"key\"}},"
         "{\"name\":\"s\",\"type\":{\"type\":\"struct\",\"fields\":[{\"name\":\"x\",\"type\":\"integer\"}]}},"
         "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"elementType\":\"string\"}},"
         "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":\"date\"}}]}",
         8, 99, 12345, columns, 5},
    };
    ist_lineage_run run = {"score.py", "ray", "0198a5d2-0000-4000-8000-000000000000", "COMPLETE", inputs, 4,
                           outputs, 1};
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    assert_ok(ist_lineage_event(&run, &out, &err), err);
    static const char *const expected[][2] = {
        {"/eventType", "COMPLETE"},
        {"/run/runId", "0198a5d2-0000-4000-8000-000000000000"},
        {"/schemaURL", "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        {"/job/name", "score.py"},
        {"/job/namespace", "isthmus"},
        {"/job/facets/jobType/integration", "RAY"},
        {"/job/facets/jobType/processingType", "BATCH"},
        {"/inputs/0/namespace", "unitycatalog"},
        {"/inputs/0/name", "main.default.a"},
        {"/inputs/0/facets/version/datasetVersion", "7"},
        {"/inputs/1/namespace", "file"},
        {"/inputs/1/name", "/data/x y"},
        {"/inputs/2/namespace", "s3://bucket"},
        {"/inputs/2/name", "k/t"},
        {"/inputs/3/namespace", "file"},
        {"/inputs/3/name", "/plain/path"},
        {"/outputs/0/facets/schema/fields/0/name", "id"},
        {"/outputs/0/facets/schema/fields/0/type", "long"},
        {"/outputs/0/facets/schema/fields/0/description", "key"},
        {"/outputs/0/facets/schema/fields/1/fields/0/name", "x"},
        {"/outputs/0/facets/schema/fields/2/fields/0/name", "_element"},
        {"/outputs/0/facets/schema/fields/3/fields/1/type", "date"},
        {"/outputs/0/facets/version/datasetVersion", "8"},
        {"/outputs/0/facets/columnLineage/fields/id/inputFields/0/namespace", "unitycatalog"},
        {"/outputs/0/facets/columnLineage/fields/id/inputFields/0/name", "main.default.a"},
        {"/outputs/0/facets/columnLineage/fields/id/inputFields/0/field", "key"},
        {"/outputs/0/facets/columnLineage/fields/id/inputFields/0/transformations/0/type", "DIRECT"},
        {"/outputs/0/facets/columnLineage/fields/id/inputFields/0/transformations/0/subtype", "IDENTITY"},
        {"/outputs/0/facets/columnLineage/fields/s/inputFields/1/namespace", "s3://bucket"},
        {"/outputs/0/facets/columnLineage/fields/s/inputFields/1/transformations/1/type", "INDIRECT"},
        {"/outputs/0/facets/columnLineage/fields/s/inputFields/1/transformations/1/subtype", "CONDITIONAL"},
        {"/outputs/0/facets/columnLineage/dataset/0/field", "key"},
        {"/outputs/0/facets/columnLineage/dataset/0/transformations/0/subtype", "JOIN"},
    };
    yyjson_doc *doc = yyjson_read(out.data, out.size, 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const char *text = yyjson_get_str(yyjson_doc_ptr_get(doc, expected[i][0]));
        if (!text || strcmp(text, expected[i][1]) != 0)
            fail_msg("%s is %s", expected[i][0], text ? text : "absent");
    }
    assert_int_equal(yyjson_get_sint(yyjson_doc_ptr_get(doc, "/outputs/0/outputFacets/outputStatistics/rowCount")), 99);
    assert_int_equal(yyjson_get_sint(yyjson_doc_ptr_get(doc, "/outputs/0/outputFacets/outputStatistics/size")), 12345);
    assert_int_equal(yyjson_get_sint(yyjson_doc_ptr_get(doc, "/inputs/0/inputFacets/inputStatistics/rowCount")), 100);
    assert_null(yyjson_doc_ptr_get(doc, "/inputs/1/facets/version"));
    assert_int_equal(strlen(yyjson_get_str(yyjson_doc_ptr_get(doc, "/eventTime"))), 24);
    yyjson_doc_free(doc);
    ist_buffer_free(&out);
}

static void test_lineage_event__bad_input(void **state)
{
    (void)state;
    ist_buffer out = IST_BUFFER_INIT;
    ist_error err = IST_ERROR_INIT;
    ist_lineage_dataset bad = {"a.b.c", "{\"fields\":[{\"name\":\"x\"}]}", -1, -1, -1, NULL, 0};
    ist_lineage_run run = {"job", "ray", NULL, "DONE", NULL, 0, NULL, 0};
    assert_int_equal(ist_lineage_event(&run, &out, &err), IST_BAD_INPUT);
    run.state = "START";
    run.engine = NULL;
    assert_int_equal(ist_lineage_event(&run, &out, &err), IST_BAD_INPUT);
    run.engine = "ray";
    run.inputs = &bad;
    run.input_count = 1;
    assert_int_equal(ist_lineage_event(&run, &out, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "a.b.c"));
    bad.schema_json = "not json";
    assert_int_equal(ist_lineage_event(&run, &out, &err), IST_BAD_INPUT);
    assert_int_equal(out.size, 0);
    run.input_count = 0;
    static const ist_lineage_column odd = {"c", "a.b.c", "x", "GUESS"};
    ist_lineage_dataset output = {"a.b.d", NULL, -1, -1, -1, &odd, 1};
    run.outputs = &output;
    run.output_count = 1;
    assert_int_equal(ist_lineage_event(&run, &out, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "column c"));
    run.output_count = 0;
    run.job = "\xFF";
    assert_int_equal(ist_lineage_event(&run, &out, &err), IST_BAD_INPUT);
    run.job = "job";
    assert_ok(ist_lineage_event(&run, &out, &err), err); /* a run of its own id */
    ist_buffer_free(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lineage_event__has_what_the_specification_asks),
        cmocka_unit_test(test_lineage_event__bad_input),
    };
    return run_group(tests, argc, argv);
}
