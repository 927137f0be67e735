/*
 * arrow_json.h: Arrow batches of the tests, written and compared as JSON.
 *
 *     make_schema("{'id':'l!', 'name':'u', 'tags':['u'], 'at':{'x':'g','y':'g'}, 'm':{'#map':['u','l']}}", &schema);
 *     make_batch(&schema, "[{'id':1,'name':'a'}, {'id':2,'tags':['p','q']}]", &batch);
 *     assert_rows(&schema, &batch, "{'id':1,...}\n...");         // as ist_renderer_row gives them
 *
 * Types are Arrow's format strings, "!" after one means that it is not nullable; ' stands for ". Absent members are null.
 * Decimals, and floating-point NaN and infinities, are strings; times are integers in their unit.
 */
#ifndef ISTHMUS_TESTS_ARROW_JSON_H
#define ISTHMUS_TESTS_ARROW_JSON_H

#include "isthmus/arrow.h"
#include "isthmus/render.h"
#include "testing.h"

#include <nanoarrow/nanoarrow.h>
#include <string.h>
#include <yyjson.h>

static inline yyjson_doc *read_quoted_json(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    yyjson_doc *doc = yyjson_read(copy, strlen(copy), 0);
    if (!doc)
        fail_msg("bad JSON in a test: %s", copy);
    free(copy);
    return doc;
}

static inline void fill_schema(struct ArrowSchema *schema, yyjson_val *type)
{
    yyjson_val *map = yyjson_obj_get(type, "#map");
    if (map) {
        assert_int_equal(ArrowSchemaSetType(schema, NANOARROW_TYPE_MAP), NANOARROW_OK);
        fill_schema(schema->children[0]->children[0], yyjson_arr_get(map, 0));
        assert_int_equal(ArrowSchemaSetName(schema->children[0]->children[0], "key"), NANOARROW_OK);
        schema->children[0]->children[0]->flags = 0;
        fill_schema(schema->children[0]->children[1], yyjson_arr_get(map, 1));
        assert_int_equal(ArrowSchemaSetName(schema->children[0]->children[1], "value"), NANOARROW_OK);
    } else if (yyjson_is_obj(type)) {
        assert_int_equal(ArrowSchemaSetTypeStruct(schema, (int64_t)yyjson_obj_size(type)), NANOARROW_OK);
        size_t i, count;
        yyjson_val *name, *child;
        yyjson_obj_foreach(type, i, count, name, child)
        {
            fill_schema(schema->children[i], child);
            assert_int_equal(ArrowSchemaSetName(schema->children[i], yyjson_get_str(name)), NANOARROW_OK);
        }
    } else if (yyjson_is_arr(type)) {
        assert_int_equal(ArrowSchemaSetType(schema, NANOARROW_TYPE_LIST), NANOARROW_OK);
        fill_schema(schema->children[0], yyjson_arr_get_first(type));
        assert_int_equal(ArrowSchemaSetName(schema->children[0], "element"), NANOARROW_OK);
    } else {
        char format[64];
        snprintf(format, sizeof format, "%s", yyjson_get_str(type));
        char *bang = strchr(format, '!');
        if (bang)
            *bang = '\0';
        assert_int_equal(ArrowSchemaSetFormat(schema, format), NANOARROW_OK);
        schema->flags = bang ? 0 : ARROW_FLAG_NULLABLE;
        if (strncmp(format, "+L", 2) == 0) { /* the only nested format that is not written as JSON: a large list of text */
            assert_int_equal(ArrowSchemaAllocateChildren(schema, 1), NANOARROW_OK);
            ArrowSchemaInit(schema->children[0]);
            assert_int_equal(ArrowSchemaSetFormat(schema->children[0], "u"), NANOARROW_OK);
            assert_int_equal(ArrowSchemaSetName(schema->children[0], "item"), NANOARROW_OK);
        }
    }
}

/* The caller releases schema. */
static inline void make_schema(const char *json, struct ArrowSchema *schema)
{
    yyjson_doc *doc = read_quoted_json(json);
    ArrowSchemaInit(schema);
    fill_schema(schema, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

static inline void append_value(struct ArrowArray *array, const struct ArrowSchema *schema, yyjson_val *value)
{
    struct ArrowSchemaView view;
    assert_int_equal(ArrowSchemaViewInit(&view, schema, NULL), NANOARROW_OK);
    int result = NANOARROW_OK;
    if (!value || yyjson_is_null(value)) {
        result = ArrowArrayAppendNull(array, 1);
    } else if (view.type == NANOARROW_TYPE_STRUCT) {
        for (int64_t i = 0; i < schema->n_children; i++)
            append_value(array->children[i], schema->children[i], yyjson_obj_get(value, schema->children[i]->name));
        result = ArrowArrayFinishElement(array);
    } else if (view.type == NANOARROW_TYPE_MAP) {
        size_t i, count;
        yyjson_val *name, *child;
        yyjson_obj_foreach(value, i, count, name, child)
        {
            append_value(array->children[0]->children[0], schema->children[0]->children[0], name);
            append_value(array->children[0]->children[1], schema->children[0]->children[1], child);
            assert_int_equal(ArrowArrayFinishElement(array->children[0]), NANOARROW_OK);
        }
        result = ArrowArrayFinishElement(array);
    } else if (yyjson_is_arr(value)) {
        size_t i, count;
        yyjson_val *child;
        yyjson_arr_foreach(value, i, count, child) append_value(array->children[0], schema->children[0], child);
        result = ArrowArrayFinishElement(array);
    } else if (view.type == NANOARROW_TYPE_DECIMAL128) {
        struct ArrowDecimal decimal; /* digits without the point, as many after it as the scale */
        ArrowDecimalInit(&decimal, 128, view.decimal_precision, view.decimal_scale);
        assert_int_equal(ArrowDecimalSetDigits(&decimal, ArrowCharView(yyjson_get_str(value))), NANOARROW_OK);
        result = ArrowArrayAppendDecimal(array, &decimal);
    } else if (view.type == NANOARROW_TYPE_DOUBLE || view.type == NANOARROW_TYPE_FLOAT) {
        result = ArrowArrayAppendDouble(array, yyjson_is_str(value) ? strtod(yyjson_get_str(value), NULL)
                                                                    : yyjson_get_num(value));
    } else if (yyjson_is_str(value)) {
        struct ArrowBufferView bytes = {{yyjson_get_str(value)}, (int64_t)yyjson_get_len(value)};
        result = ArrowArrayAppendBytes(array, bytes);
    } else if (yyjson_is_bool(value)) {
        result = ArrowArrayAppendInt(array, yyjson_get_bool(value));
    } else if (yyjson_is_uint(value)) {
        result = ArrowArrayAppendUInt(array, yyjson_get_uint(value));
    } else {
        result = ArrowArrayAppendInt(array, yyjson_get_sint(value));
    }
    if (result != NANOARROW_OK)
        fail_msg("column %s: cannot append", schema->name);
}

static inline void make_batch(const struct ArrowSchema *schema, const char *json, struct ArrowArray *batch)
{
    yyjson_doc *doc = read_quoted_json(json);
    assert_int_equal(ArrowArrayInitFromSchema(batch, schema, NULL), NANOARROW_OK);
    assert_int_equal(ArrowArrayStartAppending(batch), NANOARROW_OK);
    size_t i, count;
    yyjson_val *row;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, count, row) append_value(batch, schema, row);
    assert_int_equal(ArrowArrayFinishBuildingDefault(batch, NULL), NANOARROW_OK);
    yyjson_doc_free(doc);
}

/* Append the batch as lines of JSON. */
static inline void append_rows(const struct ArrowSchema *schema, const struct ArrowArray *batch, ist_buffer *out)
{
    ist_error err = IST_ERROR_INIT;
    ist_renderer *renderer = NULL;
    assert_ok(ist_renderer_new(schema, &renderer, &err), err);
    assert_ok(ist_renderer_set_batch(renderer, batch, &err), err);
    for (int64_t row = 0; row < batch->length; row++) {
        assert_ok(ist_renderer_row(renderer, row, IST_RENDER_JSON, out, &err), err);
        assert_ok(ist_buffer_append(out, "\n", 1, &err), err);
    }
    ist_renderer_free(renderer);
}

static inline void assert_text_rows(ist_buffer *rows, const char *expected)
{
    for (size_t i = 0; i < rows->size; i++)
        if (rows->data[i] == '"')
            rows->data[i] = '\'';
    assert_string_equal(rows->data ? rows->data : "", expected);
    ist_buffer_free(rows);
}

static inline void assert_rows(const struct ArrowSchema *schema, const struct ArrowArray *batch, const char *expected)
{
    ist_buffer out = IST_BUFFER_INIT;
    append_rows(schema, batch, &out);
    assert_text_rows(&out, expected);
}

static inline void release_array(struct ArrowArray *array)
{
    if (array->release)
        array->release(array);
}

#endif
