/* rows.h: tables of a few rows for the tests of src/delta. */
#ifndef ISTHMUS_TESTS_DELTA_ROWS_H
#define ISTHMUS_TESTS_DELTA_ROWS_H

#include "isthmus/arrow.h"
#include "testing.h"

#include <nanoarrow/nanoarrow.h>
#include <string.h>

/* A column of a test table: a name, a type, and values as numbers or as texts (NULL: null). */
typedef struct column {
    const char *name;
    enum ArrowType type;
    const double *numbers;
    const char *const *texts;
} column;

static inline void rows_schema(const column *columns, size_t count, struct ArrowSchema *out)
{
    ArrowSchemaInit(out);
    assert_int_equal(ArrowSchemaSetTypeStruct(out, (int64_t)count), 0);
    for (size_t i = 0; i < count; i++) {
        struct ArrowSchema *field = out->children[i];
        if (columns[i].type == NANOARROW_TYPE_TIMESTAMP)
            assert_int_equal(ArrowSchemaSetTypeDateTime(field, columns[i].type, NANOARROW_TIME_UNIT_MICRO, "UTC"), 0);
        else if (columns[i].type == NANOARROW_TYPE_DECIMAL128)
            assert_int_equal(ArrowSchemaSetTypeDecimal(field, columns[i].type, 10, 2), 0);
        else
            assert_int_equal(ArrowSchemaSetType(field, columns[i].type), 0);
        assert_int_equal(ArrowSchemaSetName(field, columns[i].name), 0);
    }
}

static inline void rows_stream(const column *columns, size_t count, size_t rows, struct ArrowArrayStream *out)
{
    struct ArrowSchema schema;
    struct ArrowArray batch;
    rows_schema(columns, count, &schema);
    assert_int_equal(ArrowArrayInitFromSchema(&batch, &schema, NULL), 0);
    assert_int_equal(ArrowArrayStartAppending(&batch), 0);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < count; i++) {
            struct ArrowArray *array = batch.children[i];
            struct ArrowDecimal decimal;
            int failed;
            if (columns[i].texts && !columns[i].texts[r]) {
                failed = ArrowArrayAppendNull(array, 1);
            } else if (columns[i].type == NANOARROW_TYPE_DECIMAL128) {
                ArrowDecimalInit(&decimal, 128, 10, 2);
                failed = ArrowDecimalSetDigits(&decimal, ArrowCharView(columns[i].texts[r])) ||
                         ArrowArrayAppendDecimal(array, &decimal);
            } else if (columns[i].texts) {
                failed = ArrowArrayAppendString(array, ArrowCharView(columns[i].texts[r]));
            } else if (columns[i].type == NANOARROW_TYPE_DOUBLE || columns[i].type == NANOARROW_TYPE_FLOAT) {
                failed = ArrowArrayAppendDouble(array, columns[i].numbers[r]);
            } else {
                failed = ArrowArrayAppendInt(array, (int64_t)columns[i].numbers[r]);
            }
            assert_int_equal(failed, 0);
        }
        assert_int_equal(ArrowArrayFinishElement(&batch), 0);
    }
    assert_int_equal(ArrowArrayFinishBuildingDefault(&batch, NULL), 0);
    assert_int_equal(ArrowBasicArrayStreamInit(out, &schema, 1), 0);
    ArrowBasicArrayStreamSetArray(out, 0, &batch);
}

#endif
