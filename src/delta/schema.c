/*
 * schema.c: the schema of a table: Delta's JSON <-> Arrow, checking and merging an append, column mapping.
 *
 * Delta's JSON (PROTOCOL.md, "Schema Serialization Format") is the form that is stored and compared; Arrow is the form in
 * which rows come. How an input type becomes a Delta type:
 *
 *     int8, int16, int32, int64          byte, short, integer, long
 *     uint8, uint16, uint32              short, integer, long: the next wider, so that every value fits
 *     uint64                             long; the writer refuses values past 2^63-1
 *     half, float, double                float, float, double
 *     decimal32..256(p,s), p <= 38       decimal(p,s); a negative scale becomes decimal(p-s,0)
 *     utf8, large, view                  string
 *     binary, large, view, fixed size    binary
 *     date32, date64                     date
 *     timestamp with any zone            timestamp: microseconds, UTC; the writer refuses to cut nanoseconds off
 *     timestamp without zone             timestamp_ntz, likewise
 *     list, large, view, fixed size      array
 *     map, struct                        map, struct
 *     dictionary<T>                      what T becomes
 *     null                               fits any nullable column; cannot make a column
 *
 * An append never changes a column's type: `widens` lists which input types a column takes in.
 */
#include "delta/delta_internal.h"

#include <locale.h>
#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

/* Nesting deeper than this in a schema is refused: the functions here recurse. */
enum { SCHEMA_DEPTH_MAX = 100 };
/* Schema text longer than this is refused. */
#define SCHEMA_SIZE_MAX ((size_t)64 << 20)

#define KEY_ID "delta.columnMapping.id"
#define KEY_PHYSICAL "delta.columnMapping.physicalName"

const char *ist__pairs_get(ist__pairs pairs, const char *key)
{
    for (size_t i = 0; i < pairs.count; i++)
        if (strcmp(pairs.items[i].key, key) == 0)
            return pairs.items[i].value;
    return NULL;
}

ist__mapping_mode ist__schema_mapping_mode(const ist__metadata *metadata)
{
    const char *mode = ist__pairs_get(metadata->configuration, "delta.columnMapping.mode");
    if (mode && strcmp(mode, "name") == 0)
        return IST__MAPPING_NAME;
    return mode && strcmp(mode, "id") == 0 ? IST__MAPPING_ID : IST__MAPPING_NONE;
}

/* ---- paths of columns in messages: "a.b.element" ------------------------------------------------------------ */

typedef struct path {
    const struct path *parent;
    const char *name;
    int depth;
} path;

static path path_below(const path *parent, const char *name)
{
    return (path){parent, name ? name : "", parent ? parent->depth + 1 : 0};
}

static ist_status path_format(const path *at, ist_buffer *out, ist_error *err)
{
    if (at->parent) {
        IST_TRY(path_format(at->parent, out, err));
        IST_TRY(ist_buffer_append_string(out, ".", err));
    }
    return ist_buffer_append_string(out, at->name, err);
}

static ist_status fail_at(const path *at, ist_status status, const char *what, const char *detail, ist_error *err)
{
    ist_buffer name = IST_BUFFER_INIT;
    if (at && path_format(at, &name, NULL) != IST_OK)
        ist_buffer_clear(&name);
    status = ist_error_set(err, status, 0, NULL, "column '%s': %s%s", name.data ? name.data : "", what,
                           detail ? detail : "");
    ist_buffer_free(&name);
    return status;
}

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a schema");
}

/* ---- Delta's JSON -> Arrow ---------------------------------------------------------------------------------- */

/* "decimal(p,s)" -> p, s. */
static bool parse_decimal(const char *type, int *precision, int *scale)
{
    int end = 0;
    if (strcmp(type, "decimal") == 0) {
        *precision = 10;
        *scale = 0;
        return true;
    }
    return sscanf(type, "decimal(%2d,%2d)%n", precision, scale, &end) == 2 && type[end] == '\0' && *precision >= 1 &&
           *precision <= 38 && *scale >= 0 && *scale <= *precision;
}

static const struct {
    const char *delta;
    enum ArrowType arrow;
} primitives[] = {
    {"string", NANOARROW_TYPE_STRING}, {"long", NANOARROW_TYPE_INT64},   {"integer", NANOARROW_TYPE_INT32},
    {"short", NANOARROW_TYPE_INT16},   {"byte", NANOARROW_TYPE_INT8},    {"float", NANOARROW_TYPE_FLOAT},
    {"double", NANOARROW_TYPE_DOUBLE}, {"boolean", NANOARROW_TYPE_BOOL}, {"binary", NANOARROW_TYPE_BINARY},
    {"date", NANOARROW_TYPE_DATE32},   {"void", NANOARROW_TYPE_NA},
};

static ist_status fields_to_arrow(yyjson_val *fields, const path *at, struct ArrowSchema *out, ist_error *err);

static ist_status type_to_arrow(yyjson_val *type, const path *at, struct ArrowSchema *out, ist_error *err)
{
    if (at && at->depth > SCHEMA_DEPTH_MAX)
        return fail_at(at, IST_BAD_INPUT, "the schema is nested too deep", NULL, err);
    int failed = 0, precision, scale;
    const char *name = yyjson_get_str(type);
    if (name) {
        for (size_t i = 0; i < sizeof primitives / sizeof primitives[0]; i++)
            if (strcmp(name, primitives[i].delta) == 0)
                return ArrowSchemaSetType(out, primitives[i].arrow) ? no_memory(err) : IST_OK;
        if (strcmp(name, "timestamp") == 0 || strcmp(name, "timestamp_ntz") == 0)
            failed = ArrowSchemaSetTypeDateTime(out, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO,
                                                name[9] ? NULL : "UTC");
        else if (parse_decimal(name, &precision, &scale))
            failed = ArrowSchemaSetTypeDecimal(out, NANOARROW_TYPE_DECIMAL128, precision, scale);
        else
            return fail_at(at, IST_UNSUPPORTED, "Isthmus does not know the type ", name, err);
        return failed ? no_memory(err) : IST_OK;
    }
    const char *kind = yyjson_get_str(yyjson_obj_get(type, "type"));
    if (!kind)
        return fail_at(at, IST_BAD_INPUT, "the schema has no type for it", NULL, err);
    if (strcmp(kind, "struct") == 0)
        return fields_to_arrow(yyjson_obj_get(type, "fields"), at, out, err);
    if (strcmp(kind, "array") == 0) {
        path below = path_below(at, "element");
        if (ArrowSchemaSetType(out, NANOARROW_TYPE_LIST) || ArrowSchemaSetName(out->children[0], "element"))
            return no_memory(err);
        if (yyjson_is_false(yyjson_obj_get(type, "containsNull")))
            out->children[0]->flags &= ~ARROW_FLAG_NULLABLE;
        return type_to_arrow(yyjson_obj_get(type, "elementType"), &below, out->children[0], err);
    }
    if (strcmp(kind, "map") == 0) {
        path key = path_below(at, "key"), value = path_below(at, "value");
        if (ArrowSchemaSetType(out, NANOARROW_TYPE_MAP) || ArrowSchemaSetName(out->children[0], "key_value"))
            return no_memory(err);
        struct ArrowSchema **entries = out->children[0]->children;
        IST_TRY(type_to_arrow(yyjson_obj_get(type, "keyType"), &key, entries[0], err));
        IST_TRY(type_to_arrow(yyjson_obj_get(type, "valueType"), &value, entries[1], err));
        if (ArrowSchemaSetName(entries[0], "key") || ArrowSchemaSetName(entries[1], "value"))
            return no_memory(err);
        entries[0]->flags &= ~ARROW_FLAG_NULLABLE;
        if (yyjson_is_false(yyjson_obj_get(type, "valueContainsNull")))
            entries[1]->flags &= ~ARROW_FLAG_NULLABLE;
        return IST_OK;
    }
    return fail_at(at, IST_UNSUPPORTED, "Isthmus does not know the type ", kind, err);
}

/* Delta's field metadata as Arrow's: strings as they are, other values as JSON text; the id also where Parquet looks. */
static ist_status metadata_to_arrow(yyjson_val *metadata, struct ArrowSchema *out, ist_error *err)
{
    if (!yyjson_is_obj(metadata) || yyjson_obj_size(metadata) == 0)
        return IST_OK;
    struct ArrowBuffer buffer;
    int failed = ArrowMetadataBuilderInit(&buffer, NULL);
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(metadata, i, max, key, value)
    {
        char *json = yyjson_is_str(value) ? NULL : yyjson_val_write(value, 0, NULL);
        const char *text = json ? json : yyjson_get_str(value);
        failed = failed || !text ||
                 ArrowMetadataBuilderAppend(&buffer, ArrowCharView(yyjson_get_str(key)), ArrowCharView(text));
        if (!failed && yyjson_equals_str(key, KEY_ID))
            failed = ArrowMetadataBuilderAppend(&buffer, ArrowCharView("PARQUET:field_id"), ArrowCharView(text));
        free(json);
    }
    failed = failed || ArrowSchemaSetMetadata(out, (const char *)buffer.data);
    ArrowBufferReset(&buffer);
    return failed ? no_memory(err) : IST_OK;
}

static ist_status fields_to_arrow(yyjson_val *fields, const path *at, struct ArrowSchema *out, ist_error *err)
{
    if (!yyjson_is_arr(fields))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the schema is not a struct with an array of fields");
    if (ArrowSchemaSetTypeStruct(out, (int64_t)yyjson_arr_size(fields)))
        return no_memory(err);
    size_t i, max;
    yyjson_val *field;
    yyjson_arr_foreach(fields, i, max, field)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(field, "name"));
        if (!name)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "field %zu of the schema has no name", i);
        path below = path_below(at, name);
        struct ArrowSchema *child = out->children[i];
        IST_TRY(type_to_arrow(yyjson_obj_get(field, "type"), &below, child, err));
        if (ArrowSchemaSetName(child, name))
            return no_memory(err);
        child->flags = yyjson_is_false(yyjson_obj_get(field, "nullable")) ? child->flags & ~ARROW_FLAG_NULLABLE
                                                                         : child->flags | ARROW_FLAG_NULLABLE;
        IST_TRY(metadata_to_arrow(yyjson_obj_get(field, "metadata"), child, err));
    }
    return IST_OK;
}

/* Parse schema text; its value must be a struct. */
static ist_status parse_schema(const char *text, yyjson_doc **out, ist_error *err)
{
    size_t size = strlen(text);
    yyjson_read_err problem = {0};
    *out = size > SCHEMA_SIZE_MAX ? NULL : yyjson_read_opts((char *)(uintptr_t)text, size, 0, NULL, &problem);
    if (!*out)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the schema is not JSON: %s",
                             problem.msg ? problem.msg : "it is too long");
    yyjson_val *root = yyjson_doc_get_root(*out);
    if (yyjson_equals_str(yyjson_obj_get(root, "type"), "struct") && yyjson_is_arr(yyjson_obj_get(root, "fields")))
        return IST_OK;
    yyjson_doc_free(*out);
    *out = NULL;
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the schema is not a struct with an array of fields");
}

ist_status ist__schema_to_arrow(const char *schema_json, struct ArrowSchema *out, ist_error *err)
{
    yyjson_doc *doc = NULL;
    IST_TRY(parse_schema(schema_json, &doc, err));
    ArrowSchemaInit(out);
    ist_status status = fields_to_arrow(yyjson_obj_get(yyjson_doc_get_root(doc), "fields"), NULL, out, err);
    if (status == IST_OK && ArrowSchemaSetName(out, ""))
        status = no_memory(err);
    if (status != IST_OK)
        ArrowSchemaRelease(out);
    yyjson_doc_free(doc);
    return status;
}

/* ---- Arrow -> Delta's JSON ---------------------------------------------------------------------------------- */

static ist_status struct_from_arrow(yyjson_mut_doc *doc, const struct ArrowSchema *schema, const path *at, bool nulls,
                                    yyjson_mut_val **out, ist_error *err);

/*
 * The Delta type of an Arrow field.
 *   nulls  the null type becomes "void" (to be matched with a table's column) instead of an error
 */
static ist_status type_from_arrow(yyjson_mut_doc *doc, const struct ArrowSchema *schema, const path *at, bool nulls,
                                  yyjson_mut_val **out, ist_error *err)
{
    if (at->depth > SCHEMA_DEPTH_MAX)
        return fail_at(at, IST_BAD_INPUT, "the schema is nested too deep", NULL, err);
    if (schema->dictionary)
        return type_from_arrow(doc, schema->dictionary, at, nulls, out, err);
    struct ArrowSchemaView view;
    struct ArrowError problem = {""};
    if (ArrowSchemaViewInit(&view, schema, &problem))
        return fail_at(at, IST_UNSUPPORTED, "its Arrow type cannot be written: ", problem.message, err);
    const char *name = NULL;
    char decimal[32];
    switch (view.type) {
    case NANOARROW_TYPE_BOOL:
        name = "boolean";
        break;
    case NANOARROW_TYPE_INT8:
        name = "byte";
        break;
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT16:
        name = "short";
        break;
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_INT32:
        name = "integer";
        break;
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_INT64:
        name = "long";
        break;
    case NANOARROW_TYPE_HALF_FLOAT:
    case NANOARROW_TYPE_FLOAT:
        name = "float";
        break;
    case NANOARROW_TYPE_DOUBLE:
        name = "double";
        break;
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_LARGE_STRING:
    case NANOARROW_TYPE_STRING_VIEW:
        name = "string";
        break;
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_LARGE_BINARY:
    case NANOARROW_TYPE_BINARY_VIEW:
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
        name = "binary";
        break;
    case NANOARROW_TYPE_DATE32:
    case NANOARROW_TYPE_DATE64:
        name = "date";
        break;
    case NANOARROW_TYPE_TIMESTAMP:
        name = view.timezone && *view.timezone ? "timestamp" : "timestamp_ntz";
        break;
    case NANOARROW_TYPE_NA:
        if (!nulls)
            return fail_at(at, IST_UNSUPPORTED, "all its values are null, so it has no type: cast it to one", NULL,
                           err);
        name = "void";
        break;
    case NANOARROW_TYPE_DECIMAL32:
    case NANOARROW_TYPE_DECIMAL64:
    case NANOARROW_TYPE_DECIMAL128:
    case NANOARROW_TYPE_DECIMAL256: {
        int precision = view.decimal_scale < 0 ? view.decimal_precision - view.decimal_scale : view.decimal_precision;
        int scale = view.decimal_scale < 0 ? 0 : view.decimal_scale;
        if (precision > 38 || scale > precision)
            return fail_at(at, IST_UNSUPPORTED, "Delta's decimals have at most 38 digits; its type is ",
                           schema->format, err);
        snprintf(decimal, sizeof decimal, "decimal(%d,%d)", precision, scale);
        name = decimal;
        break;
    }
    case NANOARROW_TYPE_STRUCT:
        return struct_from_arrow(doc, schema, at, nulls, out, err);
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_LARGE_LIST:
    case NANOARROW_TYPE_LIST_VIEW:
    case NANOARROW_TYPE_LARGE_LIST_VIEW:
    case NANOARROW_TYPE_FIXED_SIZE_LIST: {
        path below = path_below(at, "element");
        yyjson_mut_val *element = NULL;
        IST_TRY(type_from_arrow(doc, schema->children[0], &below, nulls, &element, err));
        *out = yyjson_mut_obj(doc);
        if (!yyjson_mut_obj_add_str(doc, *out, "type", "array") ||
            !yyjson_mut_obj_add_val(doc, *out, "elementType", element) ||
            !yyjson_mut_obj_add_bool(doc, *out, "containsNull", schema->children[0]->flags & ARROW_FLAG_NULLABLE))
            return no_memory(err);
        return IST_OK;
    }
    case NANOARROW_TYPE_MAP: {
        const struct ArrowSchema *entries = schema->children[0];
        path key = path_below(at, "key"), value = path_below(at, "value");
        yyjson_mut_val *key_type = NULL, *value_type = NULL;
        IST_TRY(type_from_arrow(doc, entries->children[0], &key, nulls, &key_type, err));
        IST_TRY(type_from_arrow(doc, entries->children[1], &value, nulls, &value_type, err));
        *out = yyjson_mut_obj(doc);
        if (!yyjson_mut_obj_add_str(doc, *out, "type", "map") ||
            !yyjson_mut_obj_add_val(doc, *out, "keyType", key_type) ||
            !yyjson_mut_obj_add_val(doc, *out, "valueType", value_type) ||
            !yyjson_mut_obj_add_bool(doc, *out, "valueContainsNull", entries->children[1]->flags & ARROW_FLAG_NULLABLE))
            return no_memory(err);
        return IST_OK;
    }
    default:
        return fail_at(at, IST_UNSUPPORTED, "Delta has no type for Arrow's ", ArrowTypeString(view.type), err);
    }
    *out = yyjson_mut_strcpy(doc, name);
    return *out ? IST_OK : no_memory(err);
}

static ist_status struct_from_arrow(yyjson_mut_doc *doc, const struct ArrowSchema *schema, const path *at, bool nulls,
                                    yyjson_mut_val **out, ist_error *err)
{
    yyjson_mut_val *fields = yyjson_mut_arr(doc);
    if (schema->n_children == 0 && at)
        return fail_at(at, IST_UNSUPPORTED, "a struct without fields cannot be stored in Parquet", NULL, err);
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *child = schema->children[i];
        path below = path_below(at, child->name);
        yyjson_mut_val *type = NULL, *field = yyjson_mut_obj(doc), *metadata = yyjson_mut_obj(doc);
        IST_TRY(type_from_arrow(doc, child, &below, nulls, &type, err));
        struct ArrowStringView comment = {NULL, 0};
        if (child->metadata)
            ArrowMetadataGetValue(child->metadata, ArrowCharView("comment"), &comment);
        if (comment.data && !yyjson_mut_obj_add_strncpy(doc, metadata, "comment", comment.data,
                                                        (size_t)comment.size_bytes))
            return no_memory(err);
        if (!yyjson_mut_obj_add_strcpy(doc, field, "name", below.name) ||
            !yyjson_mut_obj_add_val(doc, field, "type", type) ||
            !yyjson_mut_obj_add_bool(doc, field, "nullable", child->flags & ARROW_FLAG_NULLABLE) ||
            !yyjson_mut_obj_add_val(doc, field, "metadata", metadata) || !yyjson_mut_arr_append(fields, field))
            return no_memory(err);
    }
    *out = yyjson_mut_obj(doc);
    if (!yyjson_mut_obj_add_str(doc, *out, "type", "struct") || !yyjson_mut_obj_add_val(doc, *out, "fields", fields))
        return no_memory(err);
    return IST_OK;
}

static ist_status write_json(yyjson_mut_val *value, ist_buffer *out, ist_error *err)
{
    size_t size;
    char *text = yyjson_mut_val_write(value, 0, &size);
    if (!text)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a column name is not UTF-8 text");
    ist_status status = ist_buffer_append(out, text, size, err);
    free(text);
    return status;
}

static ist_status from_arrow(const struct ArrowSchema *schema, bool nulls, ist_buffer *out, ist_error *err)
{
    if (strcmp(schema->format, "+s") != 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the input is not a table: its Arrow type is '%s'",
                             schema->format);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return no_memory(err);
    yyjson_mut_val *root = NULL;
    ist_status status = struct_from_arrow(doc, schema, NULL, nulls, &root, err);
    if (status == IST_OK)
        status = write_json(root, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status ist__schema_from_arrow(const struct ArrowSchema *schema, ist_buffer *out, ist_error *err)
{
    return from_arrow(schema, false, out, err);
}

/* ---- names -------------------------------------------------------------------------------------------------- */

/* One character of UTF-8 in lower case; invalid bytes stand for themselves. */
static wint_t next_lower(const char **text, locale_t locale)
{
    const unsigned char *p = (const unsigned char *)*text;
    int more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;
    uint32_t c = more == 3 ? *p & 0x07U : more == 2 ? *p & 0x0FU : more == 1 ? *p & 0x1FU : *p;
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            more = 0;
            c = *p;
            break;
        }
        c = c << 6 | (p[i] & 0x3FU);
    }
    *text += more + 1;
    return locale ? towlower_l((wint_t)c, locale) : c < 128 ? towlower((wint_t)c) : (wint_t)c;
}

/* Column names that differ only in case are one name to Spark. */
static bool same_ignoring_case(const char *a, const char *b)
{
    static _Thread_local locale_t locale;
    if (!locale)
        locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    while (*a && *b)
        if (next_lower(&a, locale) != next_lower(&b, locale))
            return false;
    return !*a && !*b;
}

static ist_status check_names(yyjson_val *type, bool mapped, const path *at, ist_error *err)
{
    if (!yyjson_is_obj(type))
        return IST_OK;
    IST_TRY(check_names(yyjson_obj_get(type, "elementType"), mapped, at, err));
    IST_TRY(check_names(yyjson_obj_get(type, "keyType"), mapped, at, err));
    IST_TRY(check_names(yyjson_obj_get(type, "valueType"), mapped, at, err));
    yyjson_val *fields = yyjson_obj_get(type, "fields");
    size_t i, max;
    yyjson_val *field;
    yyjson_arr_foreach(fields, i, max, field)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(field, "name"));
        path below = path_below(at, name);
        if (!name || !*name)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "column %zu has no name", i + 1);
        if (!mapped && strpbrk(name, " ,;{}()\n\t="))
            return fail_at(&below, IST_BAD_INPUT,
                           "a name with a space or one of ,;{}()= needs column mapping: rename it, or create the "
                           "table with the property delta.columnMapping.mode = name",
                           NULL, err);
        for (size_t j = 0; j < i; j++) {
            const char *other = yyjson_get_str(yyjson_obj_get(yyjson_arr_get(fields, j), "name"));
            if (other && same_ignoring_case(name, other))
                return fail_at(&below, IST_BAD_INPUT, "two columns have this name (case does not count): ", other,
                               err);
        }
        IST_TRY(check_names(yyjson_obj_get(field, "type"), mapped, &below, err));
    }
    return IST_OK;
}

ist_status ist__schema_check_names(const char *schema_json, bool mapped, ist_error *err)
{
    yyjson_doc *doc = NULL;
    IST_TRY(parse_schema(schema_json, &doc, err));
    ist_status status = check_names(yyjson_doc_get_root(doc), mapped, NULL, err);
    yyjson_doc_free(doc);
    return status;
}

/* Does any column, at any level, have this type? */
static bool has_type(yyjson_val *type, const char *name)
{
    if (yyjson_is_str(type))
        return yyjson_equals_str(type, name);
    if (!yyjson_is_obj(type))
        return false;
    if (has_type(yyjson_obj_get(type, "elementType"), name) || has_type(yyjson_obj_get(type, "keyType"), name) ||
        has_type(yyjson_obj_get(type, "valueType"), name))
        return true;
    size_t i, max;
    yyjson_val *field;
    yyjson_arr_foreach(yyjson_obj_get(type, "fields"), i, max, field)
    {
        if (has_type(yyjson_obj_get(field, "type"), name))
            return true;
    }
    return false;
}

bool ist__schema_has_type(const char *schema_json, const char *name)
{
    yyjson_doc *doc = NULL;
    if (parse_schema(schema_json, &doc, NULL) != IST_OK)
        return false;
    bool found = has_type(yyjson_doc_get_root(doc), name);
    yyjson_doc_free(doc);
    return found;
}

/* ---- merging ------------------------------------------------------------------------------------------------ */

/* A type as people write it: array<struct<a: long>>. */
static ist_status describe(yyjson_mut_val *type, ist_buffer *out, ist_error *err)
{
    if (yyjson_mut_is_str(type))
        return ist_buffer_append_string(out, yyjson_mut_get_str(type), err);
    if (yyjson_mut_obj_get(type, "elementType")) {
        IST_TRY(ist_buffer_append_string(out, "array<", err));
        IST_TRY(describe(yyjson_mut_obj_get(type, "elementType"), out, err));
    } else if (yyjson_mut_obj_get(type, "keyType")) {
        IST_TRY(ist_buffer_append_string(out, "map<", err));
        IST_TRY(describe(yyjson_mut_obj_get(type, "keyType"), out, err));
        IST_TRY(ist_buffer_append_string(out, ", ", err));
        IST_TRY(describe(yyjson_mut_obj_get(type, "valueType"), out, err));
    } else {
        IST_TRY(ist_buffer_append_string(out, "struct<", err));
        size_t i, max;
        yyjson_mut_val *field;
        yyjson_mut_arr_foreach(yyjson_mut_obj_get(type, "fields"), i, max, field)
        {
            const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(field, "name"));
            IST_TRY(ist_buffer_printf(out, err, "%s%s: ", i ? ", " : "", name ? name : ""));
            IST_TRY(describe(yyjson_mut_obj_get(field, "type"), out, err));
        }
    }
    return ist_buffer_append_string(out, ">", err);
}

/* Digits that hold every value of an integer type; 0 for other types. */
static int integer_digits(const char *type)
{
    return strcmp(type, "byte") == 0      ? 3
           : strcmp(type, "short") == 0   ? 5
           : strcmp(type, "integer") == 0 ? 10
           : strcmp(type, "long") == 0    ? 19
                                          : 0;
}

/* Does a column of type `to` take in every value of type `from` unchanged? */
static bool widens(const char *from, const char *to)
{
    if (strcmp(from, to) == 0 || strcmp(from, "void") == 0)
        return true;
    int digits = integer_digits(from), p, s, p2, s2;
    if (digits && integer_digits(to))
        return digits <= integer_digits(to);
    if (digits && strcmp(to, "float") == 0)
        return digits <= 5;
    if (strcmp(to, "double") == 0)
        return (digits && digits <= 10) || strcmp(from, "float") == 0;
    if (!parse_decimal(to, &p, &s))
        return false;
    return digits ? p - s >= digits : parse_decimal(from, &p2, &s2) && s2 <= s && p2 - s2 <= p - s;
}

typedef struct merge {
    yyjson_mut_doc *doc; /* the table's schema, to be added to */
    bool add;            /* new columns are added */
    bool changed;
    ist_buffer problems; /* "; " before each */
    int problem_count;
    bool mergeable; /* a problem that mergeSchema=True would remove */
} merge;

static ist_status problem(merge *m, const path *at, const char *what, ist_error *err)
{
    m->problem_count++;
    IST_TRY(ist_buffer_append_string(&m->problems, "; column '", err));
    IST_TRY(path_format(at, &m->problems, err));
    return ist_buffer_printf(&m->problems, err, "' %s", what);
}

static yyjson_mut_val *find_field(yyjson_mut_val *fields, const char *name, bool ignore_case)
{
    size_t i, max;
    yyjson_mut_val *field;
    yyjson_mut_arr_foreach(fields, i, max, field)
    {
        const char *other = yyjson_mut_get_str(yyjson_mut_obj_get(field, "name"));
        if (other && (ignore_case ? same_ignoring_case(name, other) : strcmp(name, other) == 0))
            return field;
    }
    return NULL;
}

static ist_status merge_fields(merge *m, yyjson_mut_val *table, yyjson_mut_val *input, const path *at, ist_error *err);

static ist_status merge_types(merge *m, yyjson_mut_val *table, yyjson_mut_val *input, const path *at, ist_error *err)
{
    static const char *const below_keys[][2] = {
        {"elementType", "element"}, {"keyType", "key"}, {"valueType", "value"}};
    if (yyjson_mut_is_str(table) && yyjson_mut_is_str(input) &&
        widens(yyjson_mut_get_str(input), yyjson_mut_get_str(table)))
        return IST_OK;
    if (yyjson_mut_equals_str(input, "void"))
        return IST_OK;
    yyjson_mut_val *fields = yyjson_mut_obj_get(table, "fields"), *new_fields = yyjson_mut_obj_get(input, "fields");
    if (fields && new_fields)
        return merge_fields(m, fields, new_fields, at, err);
    const char *kind = yyjson_mut_get_str(yyjson_mut_obj_get(table, "type"));
    const char *new_kind = yyjson_mut_get_str(yyjson_mut_obj_get(input, "type"));
    if (kind && new_kind && strcmp(kind, new_kind) == 0) {
        for (size_t i = 0; i < 3; i++) {
            yyjson_mut_val *below = yyjson_mut_obj_get(table, below_keys[i][0]);
            path name = path_below(at, below_keys[i][1]);
            if (below)
                IST_TRY(merge_types(m, below, yyjson_mut_obj_get(input, below_keys[i][0]), &name, err));
        }
        return IST_OK;
    }
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist_buffer_append_string(&text, "is ", err);
    if (status == IST_OK)
        status = describe(input, &text, err);
    if (status == IST_OK)
        status = ist_buffer_append_string(&text, " in the input but ", err);
    if (status == IST_OK)
        status = describe(table, &text, err);
    if (status == IST_OK)
        status = ist_buffer_append_string(&text, " in the table: cast the input", err);
    if (status == IST_OK)
        status = problem(m, at, text.data, err);
    ist_buffer_free(&text);
    return status;
}

/* A column that merging adds takes nulls, at every level, for the rows that are there already have none. */
static void make_nullable(yyjson_mut_doc *doc, yyjson_mut_val *field)
{
    yyjson_mut_obj_put(field, yyjson_mut_str(doc, "nullable"), yyjson_mut_true(doc));
}

static ist_status extra_field(merge *m, yyjson_mut_val *table, yyjson_mut_val *field, const path *at, ist_error *err)
{
    const char *name = at->name;
    yyjson_mut_val *type = yyjson_mut_obj_get(field, "type"), *twin = find_field(table, name, true);
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (twin) {
        status = ist_buffer_printf(&text, err, "differs only in case from the table's '%s': rename it",
                                   yyjson_mut_get_str(yyjson_mut_obj_get(twin, "name")));
    } else if (yyjson_mut_equals_str(type, "void")) {
        status = ist_buffer_append_string(
            &text, "is not in the table, and all its values are null, so it has no type: drop or cast it", err);
    } else if (m->add) {
        make_nullable(m->doc, field);
        m->changed = true;
        yyjson_mut_val *copy = yyjson_mut_val_mut_copy(m->doc, field);
        return copy && yyjson_mut_arr_append(table, copy) ? IST_OK : no_memory(err);
    } else {
        m->mergeable = true;
        status = ist_buffer_append_string(&text, "(", err);
        if (status == IST_OK)
            status = describe(type, &text, err);
        if (status == IST_OK)
            status = ist_buffer_append_string(&text, ") is not in the table", err);
    }
    if (status == IST_OK)
        status = problem(m, at, text.data, err);
    ist_buffer_free(&text);
    return status;
}

static ist_status merge_fields(merge *m, yyjson_mut_val *table, yyjson_mut_val *input, const path *at, ist_error *err)
{
    size_t i, max;
    yyjson_mut_val *field;
    /* First what the table has and the input lacks, before columns are added to the table. */
    yyjson_mut_arr_foreach(table, i, max, field)
    {
        const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(field, "name"));
        path below = path_below(at, name);
        if (!name || find_field(input, name, true))
            continue;
        if (yyjson_mut_is_false(yyjson_mut_obj_get(field, "nullable")))
            IST_TRY(problem(m, &below, "must not be null, and the input does not have it: add it", err));
        else if (yyjson_mut_obj_get(yyjson_mut_obj_get(field, "metadata"), "CURRENT_DEFAULT"))
            IST_TRY(problem(m, &below, "has a default value in SQL, and the input does not have it: add it", err));
    }
    yyjson_mut_arr_foreach(input, i, max, field)
    {
        const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(field, "name"));
        path below = path_below(at, name);
        yyjson_mut_val *twin = find_field(table, name, false);
        if (twin)
            IST_TRY(merge_types(m, yyjson_mut_obj_get(twin, "type"), yyjson_mut_obj_get(field, "type"), &below, err));
        else
            IST_TRY(extra_field(m, table, field, &below, err));
    }
    return IST_OK;
}

ist_status ist__schema_merge(const char *table_json, const struct ArrowSchema *input, bool add_columns,
                             const char *table_name, ist_buffer *out, bool *changed, ist_error *err)
{
    merge m = {.add = add_columns};
    ist_buffer input_json = IST_BUFFER_INIT;
    yyjson_doc *table = NULL, *rows = NULL;
    yyjson_mut_doc *rows_copy = NULL;
    ist_status status;
    IST_TRY_GOTO(from_arrow(input, true, &input_json, err));
    IST_TRY_GOTO(parse_schema(input_json.data, &rows, err));
    IST_TRY_GOTO(check_names(yyjson_doc_get_root(rows), true, NULL, err));
    IST_TRY_GOTO(parse_schema(table_json, &table, err));
    m.doc = yyjson_doc_mut_copy(table, NULL);
    rows_copy = yyjson_doc_mut_copy(rows, NULL);
    if (!m.doc || !rows_copy) {
        status = no_memory(err);
        goto done;
    }
    IST_TRY_GOTO(merge_fields(&m, yyjson_mut_obj_get(yyjson_mut_doc_get_root(m.doc), "fields"),
                              yyjson_mut_obj_get(yyjson_mut_doc_get_root(rows_copy), "fields"), NULL, err));
    if (m.problem_count) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the input does not fit table %s: %s%s", table_name,
                               m.problems.data + 2,
                               m.mergeable ? " (write with mergeSchema=True to add new columns to the table)" : "");
        goto done;
    }
    *changed = m.changed;
    status = write_json(yyjson_mut_doc_get_root(m.doc), out, err);
done:
    if (status != IST_OK && m.problem_count == 0)
        ist_error_context(err, "table %s", table_name);
    yyjson_mut_doc_free(rows_copy);
    yyjson_mut_doc_free(m.doc);
    yyjson_doc_free(table);
    yyjson_doc_free(rows);
    ist_buffer_free(&input_json);
    ist_buffer_free(&m.problems);
    return status;
}

/* ---- column mapping ----------------------------------------------------------------------------------------- */

static bool map_columns(yyjson_mut_doc *doc, yyjson_mut_val *type, int64_t *max_id)
{
    if (!yyjson_mut_is_obj(type))
        return true;
    if (!map_columns(doc, yyjson_mut_obj_get(type, "elementType"), max_id) ||
        !map_columns(doc, yyjson_mut_obj_get(type, "keyType"), max_id) ||
        !map_columns(doc, yyjson_mut_obj_get(type, "valueType"), max_id))
        return false;
    size_t i, max;
    yyjson_mut_val *field;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(type, "fields"), i, max, field)
    {
        yyjson_mut_val *metadata = yyjson_mut_obj_get(field, "metadata");
        if (!metadata) {
            metadata = yyjson_mut_obj(doc);
            if (!yyjson_mut_obj_add_val(doc, field, "metadata", metadata))
                return false;
        }
        if (!yyjson_mut_obj_get(metadata, KEY_ID)) {
            char name[4 + 37] = "col-";
            ist__uuid(name + 4);
            if (!yyjson_mut_obj_add_sint(doc, metadata, KEY_ID, ++*max_id) ||
                !yyjson_mut_obj_add_strcpy(doc, metadata, KEY_PHYSICAL, name))
                return false;
        }
        if (!map_columns(doc, yyjson_mut_obj_get(field, "type"), max_id))
            return false;
    }
    return true;
}

ist_status ist__schema_map_columns(const char *schema_json, int64_t *max_id, ist_buffer *out, ist_error *err)
{
    yyjson_doc *doc = NULL;
    IST_TRY(parse_schema(schema_json, &doc, err));
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    ist_status status = copy && map_columns(copy, yyjson_mut_doc_get_root(copy), max_id)
                            ? write_json(yyjson_mut_doc_get_root(copy), out, err)
                            : no_memory(err);
    yyjson_mut_doc_free(copy);
    yyjson_doc_free(doc);
    return status;
}

static struct ArrowStringView metadata_value(const struct ArrowSchema *field, const char *key)
{
    struct ArrowStringView value = {NULL, 0};
    if (field->metadata)
        ArrowMetadataGetValue(field->metadata, ArrowCharView(key), &value);
    return value;
}

/* Names become physical ones; of the metadata only what Parquet stores stays. */
static int make_physical(struct ArrowSchema *field)
{
    struct ArrowStringView name = metadata_value(field, KEY_PHYSICAL), id = metadata_value(field, "PARQUET:field_id");
    struct ArrowBuffer metadata;
    int failed = ArrowMetadataBuilderInit(&metadata, NULL);
    if (name.data) {
        char *copy = strndup(name.data, (size_t)name.size_bytes);
        failed = failed || !copy || ArrowSchemaSetName(field, copy);
        free(copy);
    }
    if (id.data)
        failed = failed || ArrowMetadataBuilderAppend(&metadata, ArrowCharView("PARQUET:field_id"), id);
    failed = failed || ArrowSchemaSetMetadata(field, id.data ? (const char *)metadata.data : NULL);
    ArrowBufferReset(&metadata);
    for (int64_t i = 0; i < field->n_children && !failed; i++)
        failed = make_physical(field->children[i]);
    return failed;
}

ist_status ist__schema_physical(const struct ArrowSchema *logical, struct ArrowSchema *out, ist_error *err)
{
    out->release = NULL;
    if (ArrowSchemaDeepCopy(logical, out) == NANOARROW_OK && make_physical(out) == 0)
        return IST_OK;
    if (out->release)
        ArrowSchemaRelease(out);
    return no_memory(err);
}

/* ---- would rows written for one schema be right in a table of another? ---------------------------------------- */

static const char *physical_name(yyjson_val *field)
{
    const char *physical = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(field, "metadata"), KEY_PHYSICAL));
    return physical ? physical : yyjson_get_str(yyjson_obj_get(field, "name"));
}

static yyjson_val *find_named(yyjson_val *fields, const char *name)
{
    size_t i, max;
    yyjson_val *field;
    yyjson_arr_foreach(fields, i, max, field)
    {
        if (name && yyjson_equals_str(yyjson_obj_get(field, "name"), name))
            return field;
    }
    return NULL;
}

static ist_status fields_fit(yyjson_val *written, yyjson_val *table, const path *at, ist_error *err);

static ist_status types_fit(yyjson_val *written, yyjson_val *table, const path *at, ist_error *err)
{
    static const char *const type_keys[] = {"elementType", "keyType", "valueType"};
    static const char *const null_keys[] = {"containsNull", "valueContainsNull"};
    if (!yyjson_is_obj(written) || !yyjson_is_obj(table))
        return yyjson_equals(written, table) ? IST_OK
                                             : fail_at(at, IST_CONFLICT, "its type was changed meanwhile", NULL, err);
    if (!yyjson_equals(yyjson_obj_get(written, "type"), yyjson_obj_get(table, "type")))
        return fail_at(at, IST_CONFLICT, "its type was changed meanwhile", NULL, err);
    for (size_t i = 0; i < 2; i++)
        if (yyjson_is_false(yyjson_obj_get(table, null_keys[i])) && yyjson_is_true(yyjson_obj_get(written, null_keys[i])))
            return fail_at(at, IST_CONFLICT, "its elements must not be null any more", NULL, err);
    for (size_t i = 0; i < 3; i++) {
        yyjson_val *below = yyjson_obj_get(written, type_keys[i]);
        if (below)
            IST_TRY(types_fit(below, yyjson_obj_get(table, type_keys[i]), at, err));
    }
    yyjson_val *fields = yyjson_obj_get(written, "fields");
    return fields ? fields_fit(fields, yyjson_obj_get(table, "fields"), at, err) : IST_OK;
}

static ist_status fields_fit(yyjson_val *written, yyjson_val *table, const path *at, ist_error *err)
{
    size_t i, max;
    yyjson_val *field;
    yyjson_arr_foreach(written, i, max, field)
    {
        path below = path_below(at, yyjson_get_str(yyjson_obj_get(field, "name")));
        yyjson_val *twin = find_named(table, below.name);
        const char *name = physical_name(field), *name_now = twin ? physical_name(twin) : NULL;
        if (!name || !name_now || strcmp(name, name_now) != 0)
            return fail_at(&below, IST_CONFLICT, "it is not in the table any more", NULL, err);
        if (yyjson_is_false(yyjson_obj_get(twin, "nullable")) && yyjson_is_true(yyjson_obj_get(field, "nullable")))
            return fail_at(&below, IST_CONFLICT, "it must not be null any more", NULL, err);
        IST_TRY(types_fit(yyjson_obj_get(field, "type"), yyjson_obj_get(twin, "type"), &below, err));
    }
    yyjson_arr_foreach(table, i, max, field)
    {
        path below = path_below(at, yyjson_get_str(yyjson_obj_get(field, "name")));
        if (!find_named(written, below.name) && yyjson_is_false(yyjson_obj_get(field, "nullable")))
            return fail_at(&below, IST_CONFLICT, "the table has this new column, and it must not be null", NULL, err);
    }
    return IST_OK;
}

ist_status ist__schema_fits(const char *written, const char *table, ist_error *err)
{
    if (strcmp(written, table) == 0)
        return IST_OK;
    yyjson_doc *a = NULL, *b = NULL;
    ist_status status;
    IST_TRY_GOTO(parse_schema(written, &a, err));
    IST_TRY_GOTO(parse_schema(table, &b, err));
    status = fields_fit(yyjson_obj_get(yyjson_doc_get_root(a), "fields"),
                        yyjson_obj_get(yyjson_doc_get_root(b), "fields"), NULL, err);
done:
    yyjson_doc_free(a);
    yyjson_doc_free(b);
    return status;
}
