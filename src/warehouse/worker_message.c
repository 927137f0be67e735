/* worker_message.c: a worker's messages: one table of types, each with the members that it must have. */
#include "warehouse/worker_message.h"

#include <stddef.h>
#include <string.h>

enum { MEMBERS_MAX = 4 };

typedef enum member_kind { TEXT, OPTIONAL_TEXT, COUNT, FLAG, ARRAY, OPTIONAL_ARRAY, OPTIONAL_OBJECT } member_kind;

typedef struct member {
    const char *name;
    member_kind kind;
    size_t offset; /* in ist__worker_message */
} member;

#define AT(field) offsetof(ist__worker_message, field)

static const struct {
    const char *name;
    member members[MEMBERS_MAX + 1];
} types[] = {
    [IST__WORKER_READY] = {"ready", {{"engine", TEXT, AT(engine)}, {"version", OPTIONAL_TEXT, AT(version)}}},
    [IST__WORKER_RESOLVE] = {"resolve",
                             {{"id", COUNT, AT(id)},
                              {"tables", OPTIONAL_ARRAY, AT(tables)},
                              {"functions", OPTIONAL_ARRAY, AT(functions)}}},
    [IST__WORKER_COLUMNS] = {"columns", {{"columns", ARRAY, AT(columns)}}},
    [IST__WORKER_CHUNK] = {"chunk", {{"rows", COUNT, AT(rows)}, {"bytes", COUNT, AT(bytes)}}},
    [IST__WORKER_DONE] = {"done",
                          {{"rows", COUNT, AT(rows)},
                           {"truncated", FLAG, AT(truncated)},
                           {"kind", TEXT, AT(kind)},
                           {"lineage", OPTIONAL_OBJECT, AT(lineage)}}},
    [IST__WORKER_FAILED] = {"failed",
                            {{"error_code", TEXT, AT(error_code)},
                             {"sql_state", OPTIONAL_TEXT, AT(sql_state)},
                             {"message", TEXT, AT(message)}}},
};

enum { TYPE_COUNT = sizeof types / sizeof *types };

static ist_status bad_member(const char *type, const member *m, const char *expected, ist_error *err)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the member %s of the message %s is not %s", m->name, type,
                         expected);
}

static ist_status read_member(const char *type, yyjson_val *root, const member *m, ist__worker_message *out,
                              ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(root, m->name);
    void *field = (char *)out + m->offset;
    bool absent = !value || yyjson_is_null(value);
    switch (m->kind) {
    case TEXT:
    case OPTIONAL_TEXT:
        if (!yyjson_is_str(value) && !(absent && m->kind == OPTIONAL_TEXT))
            return bad_member(type, m, "a text", err);
        *(const char **)field = yyjson_get_str(value);
        return IST_OK;
    case COUNT:
        if (!yyjson_is_int(value) || yyjson_get_sint(value) < 0)
            return bad_member(type, m, "a count", err);
        *(int64_t *)field = yyjson_get_sint(value);
        return IST_OK;
    case FLAG:
        if (!yyjson_is_bool(value) && !absent)
            return bad_member(type, m, "true or false", err);
        *(bool *)field = yyjson_is_true(value);
        return IST_OK;
    case ARRAY:
    case OPTIONAL_ARRAY:
        if (!yyjson_is_arr(value) && !(absent && m->kind == OPTIONAL_ARRAY))
            return bad_member(type, m, "an array", err);
        *(yyjson_val **)field = absent ? NULL : value;
        return IST_OK;
    case OPTIONAL_OBJECT:
        if (!yyjson_is_obj(value) && !absent)
            return bad_member(type, m, "an object", err);
        *(yyjson_val **)field = absent ? NULL : value;
        return IST_OK;
    }
    return IST_OK;
}

static ist_status check_columns(yyjson_val *columns, ist_error *err)
{
    size_t i, count;
    yyjson_val *column;
    if (yyjson_arr_size(columns) > IST__COLUMNS_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a result has %zu columns; %d is the most",
                             yyjson_arr_size(columns), IST__COLUMNS_MAX);
    yyjson_arr_foreach(columns, i, count, column)
        if (!yyjson_is_str(yyjson_obj_get(column, "name")) || !yyjson_is_str(yyjson_obj_get(column, "type_name")))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "column %zu has no name or no type_name", i);
    return IST_OK;
}

ist_status ist__worker_message_read(const char *text, size_t size, ist__worker_message *out, ist_error *err)
{
    *out = (ist__worker_message){.doc = size > 0 ? yyjson_read(text, size, 0) : NULL};
    out->root = yyjson_doc_get_root(out->doc);
    const char *name = yyjson_get_str(yyjson_obj_get(out->root, "type"));
    if (!name)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a message is not a JSON object with a type");
    int type = 0;
    while (type < TYPE_COUNT && strcmp(types[type].name, name) != 0)
        type++;
    if (type == TYPE_COUNT)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "there is no message of the type '%.60s'", name);
    out->type = (ist__worker_message_type)type;
    for (const member *m = types[type].members; m->name; m++)
        IST_TRY(read_member(name, out->root, m, out, err));
    return type == IST__WORKER_COLUMNS ? check_columns(out->columns, err) : IST_OK;
}

void ist__worker_message_free(ist__worker_message *message)
{
    yyjson_doc_free(message->doc);
    message->doc = NULL;
}

ist_status ist__worker_columns_write(yyjson_val *columns, ist_buffer *out, ist_error *err)
{
    static const char *const shown[] = {"name",           "type_name",  "type_text",
                                        "type_precision", "type_scale", "type_interval_type"};
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, list);
    size_t i, count;
    yyjson_val *column;
    yyjson_arr_foreach(columns, i, count, column) {
        yyjson_mut_val *copy = yyjson_mut_arr_add_obj(doc, list);
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) {
            yyjson_val *value = yyjson_obj_get(column, shown[k]);
            if (value && !yyjson_is_null(value))
                yyjson_mut_obj_add_val(doc, copy, shown[k], yyjson_val_mut_copy(doc, value));
        }
        yyjson_mut_obj_add_uint(doc, copy, "position", i);
    }
    return ist__json_finish(doc, out, err);
}
