/* rows_text.h: rows as the text of tests/data/make_tables.py, to be compared with what other engines read. */
#ifndef ISTHMUS_ROWS_TEXT_H
#define ISTHMUS_ROWS_TEXT_H

#include "isthmus/buffer.h"
#include "testing.h"

#include <inttypes.h>
#include <nanoarrow/nanoarrow.h>
#include <string.h>

static void value_text(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, ist_buffer *out);

static void string_text(const char *data, int64_t size, ist_buffer *out)
{
    ist_buffer_append_string(out, "\"", NULL);
    for (int64_t i = 0; i < size; i++) {
        static const char special[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
        const char *found = data[i] ? strchr(special, data[i]) : NULL;
        if (found)
            ist_buffer_printf(out, NULL, "\\%c", letters[found - special]);
        else if ((unsigned char)data[i] < 0x20)
            ist_buffer_printf(out, NULL, "\\u%04x", (unsigned char)data[i]);
        else
            ist_buffer_append(out, &data[i], 1, NULL);
    }
    ist_buffer_append_string(out, "\"", NULL);
}

static void struct_text(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, ist_buffer *out)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        ist_buffer_printf(out, NULL, "%s\"%s\":", i ? "," : "{", schema->children[i]->name);
        value_text(schema->children[i], view->children[i], view->offset + row, out);
    }
    ist_buffer_append_string(out, schema->n_children ? "}" : "{}", NULL);
}

static void list_text(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, bool map,
                      ist_buffer *out)
{
    int64_t first = ArrowArrayViewListChildOffset(view, view->offset + row);
    int64_t end = ArrowArrayViewListChildOffset(view, view->offset + row + 1);
    const struct ArrowSchema *child = schema->children[0];
    ist_buffer_append_string(out, "[", NULL);
    for (int64_t i = first; i < end; i++) {
        ist_buffer_append_string(out, i > first ? "," : "", NULL);
        if (!map) {
            value_text(child, view->children[0], i, out);
            continue;
        }
        const struct ArrowArrayView *entries = view->children[0];
        ist_buffer_append_string(out, "[", NULL);
        value_text(child->children[0], entries->children[0], entries->offset + i, out);
        ist_buffer_append_string(out, ",", NULL);
        value_text(child->children[1], entries->children[1], entries->offset + i, out);
        ist_buffer_append_string(out, "]", NULL);
    }
    ist_buffer_append_string(out, "]", NULL);
}

static void value_text(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row, ist_buffer *out)
{
    struct ArrowSchemaView type;
    struct ArrowStringView text;
    struct ArrowDecimal decimal;
    struct ArrowBuffer digits;
    assert_int_equal(ArrowSchemaViewInit(&type, schema, NULL), 0);
    if (type.type == NANOARROW_TYPE_NA || ArrowArrayViewIsNull(view, row)) {
        ist_buffer_append_string(out, "null", NULL);
        return;
    }
    switch (type.type) {
    case NANOARROW_TYPE_BOOL:
        ist_buffer_append_string(out, ArrowArrayViewGetIntUnsafe(view, row) ? "true" : "false", NULL);
        break;
    case NANOARROW_TYPE_TIMESTAMP:
        assert_int_equal(type.time_unit, NANOARROW_TIME_UNIT_MICRO);
        /* fall through */
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_DATE32:
        ist_buffer_printf(out, NULL, "%" PRId64, ArrowArrayViewGetIntUnsafe(view, row));
        break;
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
        ist_buffer_printf(out, NULL, "%.17g", ArrowArrayViewGetDoubleUnsafe(view, row));
        break;
    case NANOARROW_TYPE_DECIMAL128:
        ArrowDecimalInit(&decimal, type.decimal_bitwidth, type.decimal_precision, type.decimal_scale);
        ArrowArrayViewGetDecimalUnsafe(view, row, &decimal);
        ArrowBufferInit(&digits);
        assert_int_equal(ArrowDecimalAppendStringToBuffer(&decimal, &digits), 0);
        ist_buffer_printf(out, NULL, "\"%.*s\"", (int)digits.size_bytes, (const char *)digits.data);
        ArrowBufferReset(&digits);
        break;
    case NANOARROW_TYPE_STRING:
        text = ArrowArrayViewGetStringUnsafe(view, row);
        string_text(text.data, text.size_bytes, out);
        break;
    case NANOARROW_TYPE_BINARY:
        text = ArrowArrayViewGetStringUnsafe(view, row);
        ist_buffer_append_string(out, "\"", NULL);
        for (int64_t i = 0; i < text.size_bytes; i++)
            ist_buffer_printf(out, NULL, "%02x", (unsigned char)text.data[i]);
        ist_buffer_append_string(out, "\"", NULL);
        break;
    case NANOARROW_TYPE_STRUCT:
        struct_text(schema, view, row, out);
        break;
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_MAP:
        list_text(schema, view, row, type.type == NANOARROW_TYPE_MAP, out);
        break;
    default:
        fail_msg("column '%s' has Arrow format '%s'", schema->name, schema->format);
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All rows of a stream, sorted, a line each. Releases the stream. */
static void stream_text(struct ArrowArrayStream *stream, ist_buffer *out)
{
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct ArrowArrayView view;
    char **lines = NULL;
    size_t count = 0;
    assert_int_equal(stream->get_schema(stream, &schema), 0);
    assert_int_equal(ArrowArrayViewInitFromSchema(&view, &schema, NULL), 0);
    for (;;) {
        if (stream->get_next(stream, &batch) != 0)
            fail_msg("%s", stream->get_last_error(stream));
        if (!batch.release)
            break;
        struct ArrowError why = {""};
        if (ArrowArrayViewSetArray(&view, &batch, &why) != 0 ||
            ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, &why) != 0)
            fail_msg("%s", why.message);
        lines = realloc(lines, (count + (size_t)batch.length) * sizeof *lines);
        for (int64_t i = 0; i < batch.length; i++) {
            ist_buffer line = IST_BUFFER_INIT;
            struct_text(&schema, &view, i, &line);
            lines[count++] = line.data;
        }
        batch.release(&batch);
    }
    ArrowArrayViewReset(&view);
    schema.release(&schema);
    stream->release(stream);
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        ist_buffer_printf(out, NULL, "%s\n", lines[i]);
        free(lines[i]);
    }
    free(lines);
}

/* A file of tests/data, whole; NULL where there is none. malloc'ed. */
static char *read_test_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, '\0', file) < 0)
        text[0] = '\0';
    fclose(file);
    return text;
}

#endif
