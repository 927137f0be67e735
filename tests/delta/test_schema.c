/* test_schema.c: Delta's schema JSON <-> Arrow, merging, names, column mapping. */
#include "delta/delta_internal.h"
#include "testing.h"

#include <nanoarrow/nanoarrow.h>
#include <string.h>

/* Make a schema from (name, setter) pairs in a few lines. */
static void add_type(struct ArrowSchema *field, const char *name, enum ArrowType type)
{
    assert_int_equal(ArrowSchemaSetType(field, type), 0);
    assert_int_equal(ArrowSchemaSetName(field, name), 0);
}

static void new_table(struct ArrowSchema *out, int64_t fields)
{
    ArrowSchemaInit(out);
    assert_int_equal(ArrowSchemaSetTypeStruct(out, fields), 0);
}

#define FIELD(name, type, nullable)                                                                                    \
    "{\"name\":\"" name "\",\"type\":" type ",\"nullable\":" nullable ",\"metadata\":{}}"
#define STRUCT(fields) "{\"type\":\"struct\",\"fields\":[" fields "]}"

static const char every_type[] = STRUCT(
    FIELD("s", "\"string\"", "true") "," FIELD("l", "\"long\"", "false") "," FIELD("i", "\"integer\"", "true") "," FIELD(
        "h", "\"short\"", "true") "," FIELD("b", "\"byte\"", "true") "," FIELD("f", "\"float\"", "true") "," FIELD("d",
        "\"double\"", "true") "," FIELD("t", "\"boolean\"", "true") "," FIELD("x", "\"binary\"", "true") "," FIELD("day",
        "\"date\"", "true") "," FIELD("ts", "\"timestamp\"", "true") "," FIELD("tn", "\"timestamp_ntz\"", "true") "," FIELD(
        "m", "\"decimal(38,10)\"", "true") "," FIELD("a",
        "{\"type\":\"array\",\"elementType\":" STRUCT(FIELD("in", "\"long\"", "true")) ",\"containsNull\":false}",
        "true") "," FIELD("mp",
        "{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":{\"type\":\"array\",\"elementType\":\"date\","
        "\"containsNull\":true},\"valueContainsNull\":true}", "true"));

static void test_delta_schema__round_trip(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    ist_buffer json = IST_BUFFER_INIT;
    assert_ok(ist__schema_to_arrow(every_type, &schema, &err), err);
    assert_string_equal(schema.children[10]->format, "tsu:UTC");
    assert_string_equal(schema.children[11]->format, "tsu:");
    assert_string_equal(schema.children[12]->format, "d:38,10");
    assert_int_equal(schema.children[1]->flags & ARROW_FLAG_NULLABLE, 0);
    assert_ok(ist__schema_from_arrow(&schema, &json, &err), err);
    assert_string_equal(json.data, every_type);
    ist_buffer_free(&json);
    schema.release(&schema);
}

static void test_delta_schema__input_forms_become_plain_types(void **state)
{
    (void)state;
    static const struct {
        enum ArrowType arrow;
        const char *delta;
    } cases[] = {
        {NANOARROW_TYPE_UINT8, "short"},          {NANOARROW_TYPE_UINT16, "integer"},
        {NANOARROW_TYPE_UINT32, "long"},          {NANOARROW_TYPE_UINT64, "long"},
        {NANOARROW_TYPE_HALF_FLOAT, "float"},     {NANOARROW_TYPE_LARGE_STRING, "string"},
        {NANOARROW_TYPE_STRING_VIEW, "string"},   {NANOARROW_TYPE_BINARY_VIEW, "binary"},
        {NANOARROW_TYPE_LARGE_BINARY, "binary"},  {NANOARROW_TYPE_DATE64, "date"},
    };
    size_t count = sizeof cases / sizeof cases[0];
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    new_table(&schema, (int64_t)count + 2);
    char name[16];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "c%zu", i);
        add_type(schema.children[i], name, cases[i].arrow);
    }
    struct ArrowSchema *dictionary = schema.children[count], *zoned = schema.children[count + 1];
    add_type(dictionary, "dict", NANOARROW_TYPE_INT8);
    assert_int_equal(ArrowSchemaAllocateDictionary(dictionary), 0);
    assert_int_equal(ArrowSchemaInitFromType(dictionary->dictionary, NANOARROW_TYPE_STRING), 0);
    assert_int_equal(ArrowSchemaSetTypeDateTime(zoned, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_NANO,
                                                "Europe/Berlin"), 0);
    assert_int_equal(ArrowSchemaSetName(zoned, "zoned"), 0);
    ist_buffer json = IST_BUFFER_INIT;
    assert_ok(ist__schema_from_arrow(&schema, &json, &err), err);
    yyjson_doc *doc = yyjson_read(json.data, json.size, 0);
    yyjson_val *fields = yyjson_obj_get(yyjson_doc_get_root(doc), "fields");
    for (size_t i = 0; i < count; i++)
        assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_arr_get(fields, i), "type")), cases[i].delta);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_arr_get(fields, count), "type")), "string");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_arr_get(fields, count + 1), "type")), "timestamp");
    yyjson_doc_free(doc);
    ist_buffer_free(&json);
    schema.release(&schema);
}

static void test_delta_schema__unsupported_types_are_named(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer json = IST_BUFFER_INIT;
    struct ArrowSchema schema;
    new_table(&schema, 1);
    add_type(schema.children[0], "outer", NANOARROW_TYPE_LIST);
    add_type(schema.children[0]->children[0], "item", NANOARROW_TYPE_STRUCT);
    assert_int_equal(ArrowSchemaAllocateChildren(schema.children[0]->children[0], 1), 0);
    ArrowSchemaInit(schema.children[0]->children[0]->children[0]);
    add_type(schema.children[0]->children[0]->children[0], "months", NANOARROW_TYPE_INTERVAL_MONTHS);
    assert_int_equal(ist__schema_from_arrow(&schema, &json, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "outer.element.months"));
    add_type(schema.children[0]->children[0]->children[0], "nothing", NANOARROW_TYPE_NA);
    assert_int_equal(ist__schema_from_arrow(&schema, &json, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "outer.element.nothing"));
    schema.release(&schema);
    assert_int_equal(ist__schema_to_arrow(STRUCT(FIELD("v", "\"variant\"", "true")), &schema, &err), IST_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'v'"));
    assert_non_null(strstr(err.message, "variant"));
    assert_int_equal(ist__schema_to_arrow("{\"type\":\"struct\"}", &schema, &err), IST_BAD_INPUT);
    assert_int_equal(ist__schema_to_arrow("{\"type\":\"str", &schema, &err), IST_BAD_INPUT);
    ist_buffer_free(&json);
}

static void test_delta_schema__merge_tells_every_problem_at_once(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    bool changed = false;
    struct ArrowSchema input;
    new_table(&input, 4);
    add_type(input.children[0], "id", NANOARROW_TYPE_STRING);
    add_type(input.children[1], "extra", NANOARROW_TYPE_DOUBLE);
    add_type(input.children[2], "NAME", NANOARROW_TYPE_STRING);
    add_type(input.children[3], "more", NANOARROW_TYPE_BOOL);
    const char table[] = STRUCT(FIELD("id", "\"long\"", "true") "," FIELD("name", "\"string\"", "true") "," FIELD(
        "must", "\"date\"", "false") ",{\"name\":\"filled\",\"type\":\"long\",\"nullable\":true,"
        "\"metadata\":{\"CURRENT_DEFAULT\":\"7\"}}");
    assert_int_equal(ist__schema_merge(table, &input, false, "main.demo.t", &out, &changed, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "main.demo.t"));
    assert_non_null(strstr(err.message, "'id' is string in the input but long in the table"));
    assert_non_null(strstr(err.message, "'extra' (double) is not in the table"));
    assert_non_null(strstr(err.message, "'more' (boolean) is not in the table"));
    assert_non_null(strstr(err.message, "'NAME' differs only in case from the table's 'name'"));
    assert_non_null(strstr(err.message, "'must' must not be null"));
    assert_non_null(strstr(err.message, "'filled' has a default value in SQL"));
    assert_non_null(strstr(err.message, "mergeSchema=True"));
    input.release(&input);
    ist_buffer_free(&out);
}

static void test_delta_schema__merge_adds_nested_columns(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer out = IST_BUFFER_INIT;
    bool changed = false;
    struct ArrowSchema input;
    const char table[] = STRUCT(FIELD("id", "\"long\"", "true") "," FIELD("p", STRUCT(FIELD("x", "\"double\"", "true")),
                                                                           "true"));
    const char rows[] = STRUCT(FIELD("id", "\"integer\"", "false") "," FIELD(
        "p", STRUCT(FIELD("y", "\"string\"", "false")), "true") "," FIELD("z", "\"date\"", "false"));
    const char want[] = STRUCT(FIELD("id", "\"long\"", "true") "," FIELD(
        "p", STRUCT(FIELD("x", "\"double\"", "true") "," FIELD("y", "\"string\"", "true")), "true") "," FIELD(
        "z", "\"date\"", "true"));
    assert_ok(ist__schema_to_arrow(rows, &input, &err), err);
    assert_ok(ist__schema_merge(table, &input, true, "t", &out, &changed, &err), err);
    assert_true(changed);
    assert_string_equal(out.data, want);
    input.release(&input);
    ist_buffer_free(&out);
}

static void test_delta_schema__widening(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool fits;
    } cases[] = {
        {"integer", "long", true},        {"long", "integer", false},           {"byte", "short", true},
        {"integer", "double", true},      {"long", "double", false},            {"float", "double", true},
        {"double", "float", false},       {"short", "float", true},             {"integer", "float", false},
        {"integer", "decimal(12,2)", true}, {"integer", "decimal(11,2)", false}, {"decimal(10,2)", "decimal(12,4)", true},
        {"decimal(10,2)", "decimal(11,4)", false}, {"decimal(10,2)", "decimal(12,1)", false},
        {"timestamp_ntz", "timestamp", false}, {"string", "binary", false},     {"date", "timestamp", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ist_error err = IST_ERROR_INIT;
        ist_buffer out = IST_BUFFER_INIT;
        bool changed = false;
        char table[200], rows[200];
        snprintf(table, sizeof table, STRUCT(FIELD("c", "\"%s\"", "true")), cases[i].to);
        snprintf(rows, sizeof rows, STRUCT(FIELD("c", "\"%s\"", "true")), cases[i].from);
        struct ArrowSchema input;
        assert_ok(ist__schema_to_arrow(rows, &input, &err), err);
        ist_status status = ist__schema_merge(table, &input, true, "t", &out, &changed, &err);
        if (status != (cases[i].fits ? IST_OK : IST_BAD_INPUT))
            fail_msg("%s -> %s: %s", cases[i].from, cases[i].to, ist_status_name(status));
        assert_false(changed);
        input.release(&input);
        ist_buffer_free(&out);
    }
}

static void test_delta_schema__names(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    const char spaced[] = STRUCT(FIELD("a b", "\"long\"", "true"));
    assert_int_equal(ist__schema_check_names(spaced, false, &err), IST_BAD_INPUT);
    assert_non_null(strstr(err.message, "delta.columnMapping.mode"));
    assert_ok(ist__schema_check_names(spaced, true, &err), err);
    const char twins[] = STRUCT(FIELD("\xC3\x89t\xC3\xA9", "\"long\"", "true") "," FIELD("\xC3\xA9T\xC3\xA9",
                                                                                          "\"long\"", "true"));
    assert_int_equal(ist__schema_check_names(twins, false, &err), IST_BAD_INPUT);
}

static void test_delta_schema__column_mapping(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    ist_buffer mapped = IST_BUFFER_INIT;
    struct ArrowSchema logical, physical;
    int64_t max_id = 4;
    assert_ok(ist__schema_map_columns(every_type, &max_id, &mapped, &err), err);
    assert_int_equal(max_id, 4 + 16); /* 15 columns and one inside the array's struct */
    assert_ok(ist__schema_to_arrow(mapped.data, &logical, &err), err);
    assert_ok(ist__schema_physical(&logical, &physical, &err), err);
    assert_string_equal(logical.children[0]->name, "s");
    assert_memory_equal(physical.children[0]->name, "col-", 4);
    const struct ArrowSchema *inner = physical.children[13]->children[0]->children[0];
    assert_memory_equal(inner->name, "col-", 4);
    struct ArrowStringView id = {NULL, 0};
    ArrowMetadataGetValue(inner->metadata, ArrowCharView("PARQUET:field_id"), &id);
    assert_true(id.size_bytes > 0);
    ist_buffer again = IST_BUFFER_INIT;
    assert_ok(ist__schema_map_columns(mapped.data, &max_id, &again, &err), err);
    assert_string_equal(again.data, mapped.data); /* what has an id keeps it */
    assert_ok(ist__schema_fits(mapped.data, again.data, &err), err);
    assert_int_equal(ist__schema_fits(every_type, mapped.data, &err), IST_CONFLICT); /* other physical names */
    logical.release(&logical);
    physical.release(&physical);
    ist_buffer_free(&mapped);
    ist_buffer_free(&again);
}

static void test_delta_schema__fits(void **state)
{
    (void)state;
    ist_error err = IST_ERROR_INIT;
    const char a[] = STRUCT(FIELD("id", "\"long\"", "true"));
    const char grown[] = STRUCT(FIELD("id", "\"long\"", "true") "," FIELD("n", "\"date\"", "true"));
    const char strict[] = STRUCT(FIELD("id", "\"long\"", "true") "," FIELD("n", "\"date\"", "false"));
    const char not_null[] = STRUCT(FIELD("id", "\"long\"", "false"));
    const char other[] = STRUCT(FIELD("id", "\"string\"", "true"));
    assert_ok(ist__schema_fits(a, grown, &err), err);
    assert_int_equal(ist__schema_fits(a, strict, &err), IST_CONFLICT);
    assert_int_equal(ist__schema_fits(a, not_null, &err), IST_CONFLICT);
    assert_int_equal(ist__schema_fits(a, other, &err), IST_CONFLICT);
    assert_int_equal(ist__schema_fits(grown, a, &err), IST_CONFLICT);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_schema__round_trip),
        cmocka_unit_test(test_delta_schema__input_forms_become_plain_types),
        cmocka_unit_test(test_delta_schema__unsupported_types_are_named),
        cmocka_unit_test(test_delta_schema__merge_tells_every_problem_at_once),
        cmocka_unit_test(test_delta_schema__merge_adds_nested_columns),
        cmocka_unit_test(test_delta_schema__widening),
        cmocka_unit_test(test_delta_schema__names),
        cmocka_unit_test(test_delta_schema__column_mapping),
        cmocka_unit_test(test_delta_schema__fits),
    };
    return run_group(tests, argc, argv);
}
