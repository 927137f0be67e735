/* delta_columns.c: columns between the Delta API's schema and ColumnInfo. */
#include "catalog/local/delta_columns.h"

#include "isthmus/catalog.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 64, PRECISION_MAX = 38, PATH_MAX_SHOWN = 200 };

/* The members of the two types that are spelled differently: the API's way and the log's. */
typedef struct spelling {
    const char *api, *log;
    bool is_type; /* else true or false */
} spelling;

static const spelling array_members[] = {
    {"element-type", "elementType", true}, {"contains-null", "containsNull", false}, {NULL, NULL, false}};
static const spelling map_members[] = {{"key-type", "keyType", true},
                                       {"value-type", "valueType", true},
                                       {"value-contains-null", "valueContainsNull", false},
                                       {NULL, NULL, false}};

static const spelling *members_of(const char *type)
{
    return !type ? NULL : strcmp(type, "array") == 0 ? array_members : strcmp(type, "map") == 0 ? map_members : NULL;
}

/* Where in the request something is, for messages: "columns.fields[2].type.element-type". */
typedef struct place {
    char path[PATH_MAX_SHOWN];
    int depth;
} place;

__attribute__((format(printf, 2, 3))) static place below(const place *at, const char *format, ...)
{
    place in = *at;
    size_t used = strlen(in.path);
    va_list args;
    va_start(args, format);
    vsnprintf(in.path + used, sizeof in.path - used, format, args);
    va_end(args);
    in.depth++;
    return in;
}

static ist_status missing(const place *at, ist_error *err)
{
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is required.", at->path);
}

/* From the API ----------------------------------------------------------------------------------------------------- */

static ist_status read_struct(yyjson_val *in, const place *at, yyjson_mut_doc *doc, yyjson_mut_val **out,
                              ist_error *err);

static ist_status read_plain(const char *type, const place *at, yyjson_mut_doc *doc, yyjson_mut_val **out,
                             ist_error *err)
{
    static const char *const plain[] = {"boolean", "byte", "short",     "integer",       "long",   "float",  "double",
                                        "date",    "timestamp", "timestamp_ntz", "string", "binary", "variant"};
    int precision, scale, used = 0;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(type, plain[i]) == 0) {
            *out = yyjson_mut_strcpy(doc, type);
            return IST_OK;
        }
    if (sscanf(type, "decimal(%3d, %3d)%n", &precision, &scale, &used) != 2 || type[used] != '\0')
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s: Unsupported Delta primitive type: %.60s", at->path,
                             type);
    if (precision < 0 || precision > PRECISION_MAX || scale < 0 || scale > precision)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "%s: a decimal has at most %d digits, and no more of them after the point: %.60s", at->path,
                             PRECISION_MAX, type);
    char text[32];
    snprintf(text, sizeof text, "decimal(%d,%d)", precision, scale);
    *out = yyjson_mut_strcpy(doc, text);
    return IST_OK;
}

static ist_status read_type(yyjson_val *in, const place *at, yyjson_mut_doc *doc, yyjson_mut_val **out, ist_error *err)
{
    if (at->depth > DEPTH_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the schema is nested deeper than %d", DEPTH_MAX);
    if (yyjson_is_str(in))
        return read_plain(yyjson_get_str(in), at, doc, out, err);
    const char *type = yyjson_get_str(yyjson_obj_get(in, "type"));
    if (!type)
        return missing(at, err);
    if (strcmp(type, "struct") == 0)
        return read_struct(in, at, doc, out, err);
    const spelling *member = members_of(type);
    if (!member)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s: Unsupported Delta type: %.60s", at->path, type);
    *out = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, *out, "type", type);
    for (; member->api; member++) {
        place in_it = below(at, ".%s", member->api);
        yyjson_val *value = yyjson_obj_get(in, member->api);
        yyjson_mut_val *converted = NULL;
        if (!value)
            value = yyjson_obj_get(in, member->log);
        if (!value || yyjson_is_null(value))
            return missing(&in_it, err);
        if (member->is_type)
            IST_TRY(read_type(value, &in_it, doc, &converted, err));
        else if (yyjson_is_bool(value))
            converted = yyjson_mut_bool(doc, yyjson_get_bool(value));
        else
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is neither true nor false", in_it.path);
        yyjson_mut_obj_add_val(doc, *out, member->log, converted);
    }
    return IST_OK;
}

static ist_status read_field(yyjson_val *in, const place *at, yyjson_mut_doc *doc, yyjson_mut_val *fields,
                             ist_error *err)
{
    static const char *const keys[] = {"name", "type", "nullable", "metadata"};
    yyjson_mut_val *type;
    for (int i = 0; i < 4; i++) {
        place member = below(at, ".%s", keys[i]);
        yyjson_val *value = yyjson_obj_get(in, keys[i]);
        if (!value || yyjson_is_null(value))
            return missing(&member, err);
        if (i == 0 ? !yyjson_is_str(value) || !*yyjson_get_str(value)
                   : i == 2 ? !yyjson_is_bool(value) : i == 3 && !yyjson_is_obj(value))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s has a value of another type", member.path);
    }
    place of_type = below(at, ".type");
    IST_TRY(read_type(yyjson_obj_get(in, "type"), &of_type, doc, &type, err));
    yyjson_mut_val *out = yyjson_mut_arr_add_obj(doc, fields);
    yyjson_mut_obj_add_val(doc, out, "name", yyjson_val_mut_copy(doc, yyjson_obj_get(in, "name")));
    yyjson_mut_obj_add_val(doc, out, "type", type);
    yyjson_mut_obj_add_val(doc, out, "nullable", yyjson_val_mut_copy(doc, yyjson_obj_get(in, "nullable")));
    yyjson_mut_obj_add_val(doc, out, "metadata", yyjson_val_mut_copy(doc, yyjson_obj_get(in, "metadata")));
    return IST_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names are one where only the case differs. */
static ist_status check_names(yyjson_val *fields, const place *at, ist_error *err)
{
    const char **names;
    yyjson_val *field;
    size_t i, count = yyjson_arr_size(fields);
    IST_TRY(ist__alloc(count, sizeof *names, (void **)&names, err));
    yyjson_arr_foreach(fields, i, count, field)
        names[i] = yyjson_get_str(yyjson_obj_get(field, "name"));
    qsort(names, count, sizeof *names, compare_names);
    ist_status status = IST_OK;
    for (i = 1; i < count && status == IST_OK; i++)
        if (strcasecmp(names[i - 1], names[i]) == 0)
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Duplicate field name (case-insensitive) in %s: %s",
                                   at->path, names[i]);
    free(names);
    return status;
}

static ist_status read_struct(yyjson_val *in, const place *at, yyjson_mut_doc *doc, yyjson_mut_val **out,
                              ist_error *err)
{
    yyjson_val *fields = yyjson_obj_get(in, "fields"), *field;
    size_t i, count;
    if (!yyjson_is_obj(in))
        return missing(at, err);
    if (!yyjson_is_arr(fields) || yyjson_arr_size(fields) == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s.fields must contain at least one field.", at->path);
    *out = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, *out, "type", "struct");
    yyjson_mut_val *converted = yyjson_mut_obj_add_arr(doc, *out, "fields");
    yyjson_arr_foreach(fields, i, count, field) {
        place of_field = below(at, ".fields[%zu]", i);
        IST_TRY(read_field(field, &of_field, doc, converted, err));
    }
    return check_names(fields, at, err);
}

ist_status ist__delta_columns_read(yyjson_val *schema, ist_buffer *out, ist_error *err)
{
    const place top = {.path = "columns"};
    ist_buffer text = IST_BUFFER_INIT;
    yyjson_mut_val *root = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = read_struct(schema, &top, doc, &root, err);
    if (status == IST_OK) {
        yyjson_mut_doc_set_root(doc, root);
        status = ist__json_finish(doc, &text, err);
        doc = NULL;
    }
    if (status == IST_OK)
        status = ist_catalog_columns(text.data, NULL, 0, out, err);
    yyjson_mut_doc_free(doc);
    ist_buffer_free(&text);
    return status;
}

/* Partitions ------------------------------------------------------------------------------------------------------- */

static yyjson_mut_val *find_column(yyjson_mut_val *columns, const char *name)
{
    yyjson_mut_val *column;
    size_t i, count;
    yyjson_mut_arr_foreach(columns, i, count, column)
        if (strcasecmp(yyjson_mut_get_str(yyjson_mut_obj_get(column, "name")), name) == 0)
            return column;
    return NULL;
}

static ist_status number_partitions(yyjson_mut_doc *doc, yyjson_mut_val *columns, yyjson_val *names, ist_error *err)
{
    yyjson_mut_val *column;
    yyjson_val *name;
    size_t i, count;
    if (names && !yyjson_is_arr(names))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "partition-columns is not an array");
    yyjson_mut_arr_foreach(columns, i, count, column)
        yyjson_mut_obj_remove_key(column, "partition_index");
    yyjson_arr_foreach(names, i, count, name) {
        column = yyjson_is_str(name) ? find_column(columns, yyjson_get_str(name)) : NULL;
        if (!column)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "partition-columns references unknown column: %.200s",
                                 yyjson_is_str(name) ? yyjson_get_str(name) : "(no text)");
        if (yyjson_mut_obj_get(column, "partition_index"))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                                 "partition-columns contains duplicate entry (case-insensitive): %.200s",
                                 yyjson_get_str(name));
        yyjson_mut_obj_add_uint(doc, column, "partition_index", i);
    }
    return IST_OK;
}

ist_status ist__delta_columns_partition(const char *columns, yyjson_val *names, ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = yyjson_read(columns, strlen(columns), 0);
    yyjson_mut_doc *doc = yyjson_doc_mut_copy(in, NULL);
    yyjson_doc_free(in);
    if (!doc)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for columns");
    ist_status status = number_partitions(doc, yyjson_mut_doc_get_root(doc), names, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

yyjson_mut_val *ist__delta_columns_partitions(yyjson_mut_doc *doc, const char *columns)
{
    yyjson_mut_val *names = yyjson_mut_arr(doc);
    yyjson_doc *in = yyjson_read(columns, strlen(columns), 0);
    yyjson_val *column;
    size_t i, count, next = 0, before;
    do { /* one name after the other: tables have few */
        before = next;
        yyjson_arr_foreach(yyjson_doc_get_root(in), i, count, column) {
            yyjson_val *index = yyjson_obj_get(column, "partition_index");
            if (yyjson_is_uint(index) && yyjson_get_uint(index) == next) {
                yyjson_mut_arr_append(names, yyjson_val_mut_copy(doc, yyjson_obj_get(column, "name")));
                next++;
                break;
            }
        }
    } while (next > before);
    yyjson_doc_free(in);
    return names;
}

/* To the API ------------------------------------------------------------------------------------------------------- */

static yyjson_mut_val *write_field(yyjson_mut_doc *doc, yyjson_val *field, int depth);

/* A type as the API spells it; NULL where it is none. */
static yyjson_mut_val *write_type(yyjson_mut_doc *doc, yyjson_val *type, int depth)
{
    if (depth > DEPTH_MAX)
        return NULL;
    if (yyjson_is_str(type))
        return yyjson_val_mut_copy(doc, type);
    const char *kind = yyjson_get_str(yyjson_obj_get(type, "type"));
    const spelling *member = members_of(kind);
    yyjson_mut_val *out = yyjson_mut_obj(doc);
    if (member || (kind && strcmp(kind, "struct") == 0))
        yyjson_mut_obj_add_strcpy(doc, out, "type", kind);
    else
        return NULL;
    for (; member && member->api; member++) {
        yyjson_val *value = yyjson_obj_get(type, member->log);
        yyjson_mut_val *converted = member->is_type ? write_type(doc, value, depth + 1)
                                                    : yyjson_mut_bool(doc, yyjson_get_bool(value));
        if (!converted)
            return NULL;
        yyjson_mut_obj_add_val(doc, out, member->api, converted);
    }
    if (strcmp(kind, "struct") == 0) {
        yyjson_mut_val *fields = yyjson_mut_obj_add_arr(doc, out, "fields");
        yyjson_val *field;
        size_t i, count;
        yyjson_arr_foreach(yyjson_obj_get(type, "fields"), i, count, field) {
            yyjson_mut_val *converted = write_field(doc, field, depth + 1);
            if (!converted)
                return NULL;
            yyjson_mut_arr_append(fields, converted);
        }
    }
    return out;
}

static yyjson_mut_val *write_field(yyjson_mut_doc *doc, yyjson_val *field, int depth)
{
    yyjson_val *name = yyjson_obj_get(field, "name"), *metadata = yyjson_obj_get(field, "metadata");
    yyjson_mut_val *type = write_type(doc, yyjson_obj_get(field, "type"), depth), *out = yyjson_mut_obj(doc);
    if (!type || !yyjson_is_str(name))
        return NULL;
    yyjson_mut_obj_add_val(doc, out, "name", yyjson_val_mut_copy(doc, name));
    yyjson_mut_obj_add_val(doc, out, "type", type);
    yyjson_mut_obj_add_bool(doc, out, "nullable", yyjson_get_bool(yyjson_obj_get(field, "nullable")));
    yyjson_mut_obj_add_val(doc, out, "metadata",
                           yyjson_is_obj(metadata) ? yyjson_val_mut_copy(doc, metadata) : yyjson_mut_obj(doc));
    return out;
}

yyjson_mut_val *ist__delta_columns_write(yyjson_mut_doc *doc, const char *columns)
{
    yyjson_doc *in = yyjson_read(columns, strlen(columns), 0);
    yyjson_mut_val *out = yyjson_mut_obj(doc), *fields = yyjson_mut_arr(doc);
    yyjson_val *column;
    size_t i, count;
    yyjson_arr_foreach(yyjson_doc_get_root(in), i, count, column) {
        const char *type_json = yyjson_get_str(yyjson_obj_get(column, "type_json"));
        yyjson_doc *field = type_json ? yyjson_read(type_json, strlen(type_json), 0) : NULL;
        yyjson_mut_val *converted = write_field(doc, yyjson_doc_get_root(field), 0);
        yyjson_doc_free(field);
        if (!converted) { /* a table must load even so */
            fields = yyjson_mut_arr(doc);
            break;
        }
        yyjson_mut_arr_append(fields, converted);
    }
    yyjson_doc_free(in);
    yyjson_mut_obj_add_str(doc, out, "type", "struct");
    yyjson_mut_obj_add_val(doc, out, "fields", fields);
    return out;
}
