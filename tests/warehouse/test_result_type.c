/* test_result_type.c: types of a manifest as Arrow's. */
#include "testing.h"

#include "warehouse/statement_reply.h"

#include <string.h>

static ist_status read_as(const char *type, struct ArrowSchema *out, ist_error *err)
{
    char manifest[2000];
    snprintf(manifest, sizeof manifest, "{\"schema\":{\"columns\":[{\"name\":\"c\",\"type_text\":\"%s\"}]}}", type);
    return ist__manifest_schema(manifest, out, err);
}

/* "format name(children)" of everything below. */
static void describe(const struct ArrowSchema *schema, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s%s%s", schema->format, schema->flags & ARROW_FLAG_NULLABLE ? "" : "!",
                                   schema->n_children ? "(" : "");
    for (int64_t i = 0; i < schema->n_children; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%s=", i ? " " : "", schema->children[i]->name);
        describe(schema->children[i], out + used, size - used);
        used = strlen(out);
    }
    if (schema->n_children)
        snprintf(out + used, size - used, ")");
}

static void test_result_type__texts(void **state)
{
    (void)state;
    static const struct {
        const char *type, *arrow;
    } cases[] = {
        {"BIGINT", "l"},
        {"int", "i"},
        {"DECIMAL(10,2)", "d:10,2"},
        {"decimal(38, 38)", "d:38,38"},
        {"DECIMAL", "d:10,0"},
        {"VARCHAR(20)", "u"},
        {"TIMESTAMP", "tsu:UTC"},
        {"TIMESTAMP_NTZ", "tsu:"},
        {"INTERVAL DAY TO SECOND", "u"},
        {"VOID", "n"},
        {"ARRAY<STRING>", "+l(element=u)"},
        {"MAP<STRING, ARRAY<INT>>", "+m(entries=+s!(key=u! value=+l(element=i)))"},
        {"STRUCT<a: INT NOT NULL, `b c``d`: DECIMAL(5,1), e: STRUCT<f:DATE>>", "+s(a=i! b c`d=d:5,1 e=+s(f=tdD))"},
        {"STRUCT<>", "+s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ArrowSchema schema;
        ist_error err = IST_ERROR_INIT;
        char found[500];
        assert_ok(read_as(cases[i].type, &schema, &err), err);
        describe(schema.children[0], found, sizeof found);
        assert_string_equal(found, cases[i].arrow);
        assert_string_equal(schema.children[0]->name, "c");
        schema.release(&schema);
    }
}

static void test_result_type__what_is_none(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "GEOMETRY", "DECIMAL(39,0)", "DECIMAL(5,6)", "DECIMAL(5", "ARRAY<INT",
                                        "MAP<INT>", "STRUCT<a INT>", "STRUCT<a: INT", "INT INT", "STRUCT<`a: INT>"};
    char deep[1500] = "";
    ist_error err = IST_ERROR_INIT;
    struct ArrowSchema schema;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_as(cases[i], &schema, &err), IST_UNSUPPORTED);
        assert_non_null(strstr(err.message, "column c: "));
    }
    for (int i = 0; i < 200; i++)
        memcpy(deep + 6 * i, "ARRAY<", 7);
    assert_int_equal(read_as(deep, &schema, &err), IST_UNSUPPORTED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_type__texts),
        cmocka_unit_test(test_result_type__what_is_none),
    };
    return run_group(tests, argc, argv);
}
