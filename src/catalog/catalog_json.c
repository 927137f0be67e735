/* catalog_json.c: request bodies in, answers out, and columns between Delta's and Unity Catalog's form. */
#include "catalog/catalog_json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_DEPTH_MAX = 64, COLUMNS_MAX = 10000 };

ist_status ist__json_read_object(const char *text, yyjson_doc **doc, ist_error *err)
{
    yyjson_read_err problem = {0};
    *doc = yyjson_read_opts((char *)(uintptr_t)text, strlen(text), 0, NULL, &problem);
    if (!*doc)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the body is not JSON: %s at byte %zu",
                             problem.msg ? problem.msg : "empty", problem.pos);
    if (!yyjson_is_obj(yyjson_doc_get_root(*doc))) {
        yyjson_doc_free(*doc);
        *doc = NULL;
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the body is not a JSON object");
    }
    return IST_OK;
}

ist_status ist__json_text(yyjson_val *object, const char *key, bool required, const char **out, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    *out = NULL;
    if (!value || yyjson_is_null(value)) {
        if (required)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is required", key);
        return IST_OK;
    }
    if (!yyjson_is_str(value) || strlen(yyjson_get_str(value)) != yyjson_get_len(value))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not a string", key);
    *out = yyjson_get_str(value);
    return IST_OK;
}

static ist_status write_value(yyjson_val *value, char **out, ist_error *err)
{
    *out = yyjson_val_write(value, 0, NULL);
    return *out ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
}

ist_status ist__json_properties(yyjson_val *object, const char *key, char **out, ist_error *err)
{
    yyjson_val *properties = yyjson_obj_get(object, key), *name, *value;
    size_t i, count;
    *out = NULL;
    if (!properties || yyjson_is_null(properties) || (yyjson_is_obj(properties) && yyjson_obj_size(properties) == 0))
        return IST_OK;
    if (!yyjson_is_obj(properties))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not an object", key);
    yyjson_obj_foreach(properties, i, count, name, value)
        if (!yyjson_is_str(value))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s: the value of '%.100s' is not a string", key,
                                 yyjson_get_str(name));
    return write_value(properties, out, err);
}

/* type_json is a field of a Delta (Spark) schema; it must tell the same name and nullability as the column. */
static ist_status check_type_json(const char *name, const char *type_json, yyjson_val *nullable, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(type_json, strlen(type_json), 0);
    yyjson_val *field = yyjson_doc_get_root(doc);
    const char *field_name = yyjson_get_str(yyjson_obj_get(field, "name"));
    yyjson_val *field_nullable = yyjson_obj_get(field, "nullable");
    const char *problem = NULL;
    if (!yyjson_is_obj(field))
        problem = "it is not a JSON object";
    else if (!field_name || strcmp(field_name, name) != 0)
        problem = "its name is not the column's";
    else if (!yyjson_obj_get(field, "type"))
        problem = "it has no type";
    else if (!yyjson_is_bool(field_nullable))
        problem = "nullable is missing";
    else if (!yyjson_is_obj(yyjson_obj_get(field, "metadata")))
        problem = "metadata is missing";
    else if (yyjson_is_bool(nullable) && yyjson_get_bool(nullable) != yyjson_get_bool(field_nullable))
        problem = "nullable is not the column's";
    yyjson_doc_free(doc);
    if (problem)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Invalid type_json for column %.200s: %s", name, problem);
    return IST_OK;
}

static ist_status add_integer(yyjson_mut_doc *doc, yyjson_mut_val *out, yyjson_val *column, const char *key,
                              int64_t missing, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(column, key);
    if (!value || yyjson_is_null(value)) {
        if (missing < 0)
            yyjson_mut_obj_add_null(doc, out, key);
        else
            yyjson_mut_obj_add_sint(doc, out, key, missing);
        return IST_OK;
    }
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < 0 || yyjson_get_sint(value) > COLUMNS_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "columns: %s is not an integer from 0 to %d", key,
                             COLUMNS_MAX);
    yyjson_mut_obj_add_sint(doc, out, key, yyjson_get_sint(value));
    return IST_OK;
}

bool ist__column_type_known(const char *type_name)
{
    static const char *const types[] = {
        "BOOLEAN", "BYTE",   "SHORT",    "INT",   "LONG",   "FLOAT", "DOUBLE",  "DATE", "TIMESTAMP", "TIMESTAMP_NTZ",
        "STRING",  "BINARY", "DECIMAL",  "ARRAY", "STRUCT", "MAP",   "VARIANT", "CHAR", "NULL",      "INTERVAL",
        "USER_DEFINED_TYPE", "TABLE_TYPE"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i], type_name) == 0)
            return true;
    return false;
}

static ist_status add_column(yyjson_mut_doc *doc, yyjson_mut_val *columns, yyjson_val *column, size_t index,
                             ist_error *err)
{
    const char *name, *type_text, *type_json, *type_name, *interval, *comment;
    if (!yyjson_is_obj(column))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "columns: element %zu is not an object", index);
    IST_TRY(ist__json_text(column, "name", true, &name, err));
    IST_TRY(ist__json_text(column, "type_text", true, &type_text, err));
    IST_TRY(ist__json_text(column, "type_json", true, &type_json, err));
    IST_TRY(ist__json_text(column, "type_name", true, &type_name, err));
    IST_TRY(ist__json_text(column, "type_interval_type", false, &interval, err));
    IST_TRY(ist__json_text(column, "comment", false, &comment, err));
    yyjson_val *nullable = yyjson_obj_get(column, "nullable");
    IST_TRY(check_type_json(name, type_json, nullable, err));
    if (!ist__column_type_known(type_name))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "column %.200s: type_name '%.60s' is unknown", name,
                             type_name);

    yyjson_mut_val *out = yyjson_mut_arr_add_obj(doc, columns);
    yyjson_mut_val *text = yyjson_mut_strcpy(doc, type_text);
    if (!text)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for columns");
    for (char *at = (char *)(uintptr_t)yyjson_mut_get_str(text); *at; at++) /* as Unity Catalog keeps it */
        *at = (char)tolower((unsigned char)*at);
    yyjson_mut_obj_add_str(doc, out, "name", name);
    yyjson_mut_obj_add_val(doc, out, "type_text", text);
    yyjson_mut_obj_add_str(doc, out, "type_json", type_json);
    yyjson_mut_obj_add_str(doc, out, "type_name", type_name);
    IST_TRY(add_integer(doc, out, column, "type_precision", -1, err));
    IST_TRY(add_integer(doc, out, column, "type_scale", -1, err));
    ist__json_add_text(doc, out, "type_interval_type", interval);
    IST_TRY(add_integer(doc, out, column, "position", (int64_t)index, err));
    ist__json_add_text(doc, out, "comment", comment);
    yyjson_mut_obj_add_bool(doc, out, "nullable", !yyjson_is_bool(nullable) || yyjson_get_bool(nullable));
    if (yyjson_is_obj(yyjson_obj_get(column, "mask")))
        yyjson_mut_obj_add_val(doc, out, "mask", yyjson_val_mut_copy(doc, yyjson_obj_get(column, "mask")));
    return add_integer(doc, out, column, "partition_index", -1, err);
}

ist_status ist__json_columns(yyjson_val *object, char **out, ist_error *err)
{
    yyjson_val *columns = yyjson_obj_get(object, "columns"), *column;
    size_t i, count;
    *out = NULL;
    if (!columns || yyjson_is_null(columns))
        return IST_OK;
    if (!yyjson_is_arr(columns) || yyjson_arr_size(columns) > COLUMNS_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "columns is not an array of at most %d", COLUMNS_MAX);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = IST_OK;
    yyjson_arr_foreach(columns, i, count, column) {
        IST_TRY_GOTO(add_column(doc, root, column, i, err));
    }
    *out = yyjson_mut_write(doc, 0, NULL);
    if (!*out)
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for columns");
done:
    yyjson_mut_doc_free(doc);
    return status;
}

void ist__json_add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const char *text)
{
    if (text)
        yyjson_mut_obj_add_str(doc, object, key, text);
    else
        yyjson_mut_obj_add_null(doc, object, key);
}

ist_status ist__json_finish(yyjson_mut_doc *doc, ist_buffer *out, ist_error *err)
{
    size_t size = 0;
    char *text = doc ? yyjson_mut_write(doc, 0, &size) : NULL;
    yyjson_mut_doc_free(doc);
    if (!text)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for JSON");
    ist_status status = ist_buffer_append(out, text, size, err);
    free(text);
    return status;
}

/* Columns of a Delta schema ---------------------------------------------------------------------------------------- */

/* Append Spark's catalog string of a Delta type ("decimal(10,2)", "array<struct<a:int>>"); *name is its type_name. */
static ist_status type_text(yyjson_val *type, int depth, ist_buffer *out, const char **name, ist_error *err)
{
    static const struct {
        const char *delta, *text, *name;
    } plain[] = {
        {"string", "string", "STRING"},       {"long", "bigint", "LONG"},
        {"integer", "int", "INT"},            {"short", "smallint", "SHORT"},
        {"byte", "tinyint", "BYTE"},          {"float", "float", "FLOAT"},
        {"double", "double", "DOUBLE"},       {"boolean", "boolean", "BOOLEAN"},
        {"binary", "binary", "BINARY"},       {"date", "date", "DATE"},
        {"timestamp", "timestamp", "TIMESTAMP"},
        {"timestamp_ntz", "timestamp_ntz", "TIMESTAMP_NTZ"},
        {"variant", "variant", "VARIANT"},
    };
    const char *text = yyjson_get_str(type), *ignored;
    if (depth > TYPE_DEPTH_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the schema is nested deeper than %d", TYPE_DEPTH_MAX);
    if (text) {
        for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
            if (strcmp(text, plain[i].delta) == 0) {
                *name = plain[i].name;
                return ist_buffer_append_string(out, plain[i].text, err);
            }
        if (strncmp(text, "decimal", 7) == 0) {
            *name = "DECIMAL";
            return ist_buffer_append_string(out, strcmp(text, "decimal") == 0 ? "decimal(10,0)" : text, err);
        }
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the schema has the unknown type '%.100s'", text);
    }
    const char *kind = yyjson_get_str(yyjson_obj_get(type, "type"));
    if (kind && strcmp(kind, "array") == 0) {
        *name = "ARRAY";
        IST_TRY(ist_buffer_append_string(out, "array<", err));
        IST_TRY(type_text(yyjson_obj_get(type, "elementType"), depth + 1, out, &ignored, err));
        return ist_buffer_append_string(out, ">", err);
    }
    if (kind && strcmp(kind, "map") == 0) {
        *name = "MAP";
        IST_TRY(ist_buffer_append_string(out, "map<", err));
        IST_TRY(type_text(yyjson_obj_get(type, "keyType"), depth + 1, out, &ignored, err));
        IST_TRY(ist_buffer_append_string(out, ",", err));
        IST_TRY(type_text(yyjson_obj_get(type, "valueType"), depth + 1, out, &ignored, err));
        return ist_buffer_append_string(out, ">", err);
    }
    if (kind && strcmp(kind, "struct") == 0) {
        yyjson_val *fields = yyjson_obj_get(type, "fields"), *field;
        size_t i, count;
        *name = "STRUCT";
        IST_TRY(ist_buffer_append_string(out, "struct<", err));
        yyjson_arr_foreach(fields, i, count, field) {
            const char *field_name;
            IST_TRY(ist__json_text(field, "name", true, &field_name, err));
            IST_TRY(ist_buffer_printf(out, err, "%s%s:", i ? "," : "", field_name));
            IST_TRY(type_text(yyjson_obj_get(field, "type"), depth + 1, out, &ignored, err));
        }
        return ist_buffer_append_string(out, ">", err);
    }
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the schema has a field without a type");
}

static ist_status column_of_field(yyjson_mut_doc *doc, yyjson_mut_val *columns, yyjson_val *field, size_t index,
                                  const char *const *partition_columns, size_t partition_column_count, ist_error *err)
{
    const char *name, *type_name, *comment;
    ist_buffer text = IST_BUFFER_INIT;
    char *type_json = NULL;
    ist_status status = IST_OK;
    yyjson_val *type = yyjson_obj_get(field, "type"), *nullable = yyjson_obj_get(field, "nullable");
    IST_TRY_GOTO(ist__json_text(field, "name", true, &name, err));
    IST_TRY_GOTO(ist__json_text(yyjson_obj_get(field, "metadata"), "comment", false, &comment, err));
    IST_TRY_GOTO(type_text(type, 0, &text, &type_name, err));
    IST_TRY_GOTO(write_value(field, &type_json, err));

    yyjson_mut_val *out = yyjson_mut_arr_add_obj(doc, columns);
    yyjson_mut_obj_add_strcpy(doc, out, "name", name);
    yyjson_mut_obj_add_strncpy(doc, out, "type_text", text.data, text.size);
    yyjson_mut_obj_add_strcpy(doc, out, "type_json", type_json);
    yyjson_mut_obj_add_str(doc, out, "type_name", type_name);
    int precision, scale;
    if (sscanf(text.data, "decimal(%2d,%2d)", &precision, &scale) == 2) {
        yyjson_mut_obj_add_int(doc, out, "type_precision", precision);
        yyjson_mut_obj_add_int(doc, out, "type_scale", scale);
    }
    yyjson_mut_obj_add_uint(doc, out, "position", index);
    if (comment)
        yyjson_mut_obj_add_strcpy(doc, out, "comment", comment);
    yyjson_mut_obj_add_bool(doc, out, "nullable", !yyjson_is_bool(nullable) || yyjson_get_bool(nullable));
    for (size_t i = 0; i < partition_column_count; i++)
        if (strcmp(partition_columns[i], name) == 0)
            yyjson_mut_obj_add_uint(doc, out, "partition_index", i);
done:
    free(type_json);
    ist_buffer_free(&text);
    return status;
}

ist_status ist_catalog_columns(const char *schema, const char *const *partition_columns, size_t partition_column_count,
                               ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = NULL;
    yyjson_mut_doc *doc = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(schema, &in, err));
    yyjson_val *fields = yyjson_obj_get(yyjson_doc_get_root(in), "fields"), *field;
    if (!yyjson_is_arr(fields)) {
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the schema has no fields");
        goto done;
    }
    size_t i, count;
    doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *columns = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, columns);
    yyjson_arr_foreach(fields, i, count, field) {
        IST_TRY_GOTO(column_of_field(doc, columns, field, i, partition_columns, partition_column_count, err));
    }
    status = ist__json_finish(doc, out, err);
    doc = NULL;
done:
    yyjson_doc_free(in);
    yyjson_mut_doc_free(doc);
    return status;
}
