/*
 * result_type.c: the types that a manifest tells, as Arrow's.
 *
 * A column's type is SQL text: "BIGINT", "DECIMAL(10,2)", "MAP<STRING, ARRAY<INT>>", "STRUCT<a: INT NOT NULL, `b c`:
 * DATE>". It is what is known of a result without rows, which has no chunk that would tell a schema.
 */
#include "warehouse/statement_reply.h"

#include "util/util.h"

#include <ctype.h>
#include <nanoarrow/nanoarrow.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 64, FIELDS_MAX = 10000, NAME_MAX_BYTES = 256 };

/* What is left of a type's text. */
typedef struct type_text {
    const char *at;
    const char *whole; /* for messages */
    int depth;
} type_text;

static const struct {
    const char *name;
    enum ArrowType type;
} simple_types[] = {
    {"BOOLEAN", NANOARROW_TYPE_BOOL},  {"TINYINT", NANOARROW_TYPE_INT8},   {"BYTE", NANOARROW_TYPE_INT8},
    {"SMALLINT", NANOARROW_TYPE_INT16}, {"SHORT", NANOARROW_TYPE_INT16},    {"INT", NANOARROW_TYPE_INT32},
    {"INTEGER", NANOARROW_TYPE_INT32}, {"BIGINT", NANOARROW_TYPE_INT64},   {"LONG", NANOARROW_TYPE_INT64},
    {"FLOAT", NANOARROW_TYPE_FLOAT},   {"REAL", NANOARROW_TYPE_FLOAT},     {"DOUBLE", NANOARROW_TYPE_DOUBLE},
    {"STRING", NANOARROW_TYPE_STRING}, {"CHAR", NANOARROW_TYPE_STRING},    {"VARCHAR", NANOARROW_TYPE_STRING},
    {"INTERVAL", NANOARROW_TYPE_STRING}, {"VARIANT", NANOARROW_TYPE_STRING}, {"BINARY", NANOARROW_TYPE_BINARY},
    {"DATE", NANOARROW_TYPE_DATE32},   {"VOID", NANOARROW_TYPE_NA},        {"NULL", NANOARROW_TYPE_NA},
};

static ist_status read_type(type_text *in, struct ArrowSchema *out, ist_error *err);

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the result's schema");
}

static ist_status not_a_type(const type_text *in, ist_error *err)
{
    return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "the result's type '%.200s' is not known", in->whole);
}

static void skip_spaces(type_text *in)
{
    while (isspace((unsigned char)*in->at))
        in->at++;
}

static bool skip_char(type_text *in, char wanted)
{
    skip_spaces(in);
    if (*in->at != wanted)
        return false;
    in->at++;
    return true;
}

/* The next word is passed over where it is this one. */
static bool skip_word(type_text *in, const char *word)
{
    skip_spaces(in);
    size_t size = strlen(word);
    if (strncasecmp(in->at, word, size) != 0 || isalnum((unsigned char)in->at[size]) || in->at[size] == '_')
        return false;
    in->at += size;
    return true;
}

/* "(10,2)" or "(20)": numbers below 1000; what is left out stays as it is. */
static bool read_arguments(type_text *in, int *first, int *second)
{
    int *where[] = {first, second};
    if (!skip_char(in, '('))
        return true;
    for (int i = 0; i < 2; i++) {
        skip_spaces(in);
        int digits = 0;
        for (*where[i] = 0; isdigit((unsigned char)*in->at) && digits < 9; in->at++, digits++)
            *where[i] = *where[i] * 10 + (*in->at - '0');
        if (digits == 0)
            return false;
        if (!skip_char(in, ','))
            break;
    }
    return skip_char(in, ')');
}

static bool read_name(type_text *in, char out[NAME_MAX_BYTES])
{
    size_t size = 0;
    bool quoted = skip_char(in, '`');
    for (;; in->at++) {
        if (quoted && *in->at == '`' && in->at[1] == '`')
            in->at++;
        else if (quoted ? *in->at == '`' : strchr(":<>, ", *in->at) != NULL) /* strchr finds the NUL too */
            break;
        if (!*in->at || size == NAME_MAX_BYTES - 1)
            return false;
        out[size++] = *in->at;
    }
    out[size] = '\0';
    in->at += quoted;
    return size > 0 && skip_char(in, ':');
}

/* How many fields a struct has: commas that are in nothing else, up to its end. */
static int64_t count_fields(const char *at)
{
    int64_t count = 1;
    bool quoted = false;
    for (int depth = 0; *at && depth >= 0; at++) {
        quoted = quoted != (*at == '`');
        if (quoted)
            continue;
        depth += (*at == '<' || *at == '(') - (*at == '>' || *at == ')');
        count += *at == ',' && depth == 0;
    }
    return count;
}

static ist_status read_field(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    char name[NAME_MAX_BYTES];
    if (!read_name(in, name))
        return not_a_type(in, err);
    IST_TRY(read_type(in, out, err));
    if (ArrowSchemaSetName(out, name))
        return no_memory(err);
    if (skip_word(in, "NOT") && skip_word(in, "NULL"))
        out->flags &= ~ARROW_FLAG_NULLABLE;
    return IST_OK;
}

static ist_status read_struct(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    bool empty = skip_char(in, '>');
    int64_t count = empty ? 0 : count_fields(in->at);
    if (count > FIELDS_MAX)
        return not_a_type(in, err);
    if (ArrowSchemaSetTypeStruct(out, count))
        return no_memory(err);
    for (int64_t i = 0; i < count; i++) {
        IST_TRY(read_field(in, out->children[i], err));
        if (!skip_char(in, i + 1 < count ? ',' : '>'))
            return not_a_type(in, err);
    }
    return IST_OK;
}

static ist_status read_array(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    if (ArrowSchemaSetType(out, NANOARROW_TYPE_LIST) || ArrowSchemaSetName(out->children[0], "element"))
        return no_memory(err);
    IST_TRY(read_type(in, out->children[0], err));
    return skip_char(in, '>') ? IST_OK : not_a_type(in, err);
}

static ist_status read_map(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    if (ArrowSchemaSetType(out, NANOARROW_TYPE_MAP))
        return no_memory(err);
    struct ArrowSchema **entries = out->children[0]->children;
    IST_TRY(read_type(in, entries[0], err));
    if (!skip_char(in, ','))
        return not_a_type(in, err);
    IST_TRY(read_type(in, entries[1], err));
    if (ArrowSchemaSetName(entries[0], "key") || ArrowSchemaSetName(entries[1], "value"))
        return no_memory(err);
    entries[0]->flags &= ~ARROW_FLAG_NULLABLE;
    return skip_char(in, '>') ? IST_OK : not_a_type(in, err);
}

static ist_status read_decimal(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    int precision = 10, scale = 0;
    if (!read_arguments(in, &precision, &scale) || precision < 1 || precision > 38 || scale > precision)
        return not_a_type(in, err);
    return ArrowSchemaSetTypeDecimal(out, NANOARROW_TYPE_DECIMAL128, precision, scale) ? no_memory(err) : IST_OK;
}

static ist_status read_timestamp(const char *zone, struct ArrowSchema *out, ist_error *err)
{
    return ArrowSchemaSetTypeDateTime(out, NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, zone) ? no_memory(err)
                                                                                                     : IST_OK;
}

static ist_status read_simple(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    for (size_t i = 0; i < sizeof simple_types / sizeof *simple_types; i++) {
        int ignored, also;
        if (!skip_word(in, simple_types[i].name))
            continue;
        if (!read_arguments(in, &ignored, &also))
            break;
        if (strcmp(simple_types[i].name, "INTERVAL") == 0) /* "INTERVAL DAY TO SECOND" */
            while (isalpha((unsigned char)*in->at) || *in->at == ' ')
                in->at++;
        return ArrowSchemaSetType(out, simple_types[i].type) ? no_memory(err) : IST_OK;
    }
    return not_a_type(in, err);
}

static ist_status read_type(type_text *in, struct ArrowSchema *out, ist_error *err)
{
    ist_status status;
    if (++in->depth > DEPTH_MAX)
        return not_a_type(in, err);
    if (skip_word(in, "STRUCT") && skip_char(in, '<'))
        status = read_struct(in, out, err);
    else if (skip_word(in, "ARRAY") && skip_char(in, '<'))
        status = read_array(in, out, err);
    else if (skip_word(in, "MAP") && skip_char(in, '<'))
        status = read_map(in, out, err);
    else if (skip_word(in, "DECIMAL") || skip_word(in, "DEC") || skip_word(in, "NUMERIC"))
        status = read_decimal(in, out, err);
    else if (skip_word(in, "TIMESTAMP_NTZ"))
        status = read_timestamp(NULL, out, err);
    else if (skip_word(in, "TIMESTAMP") || skip_word(in, "TIMESTAMP_LTZ"))
        status = read_timestamp("UTC", out, err);
    else
        status = read_simple(in, out, err);
    in->depth--;
    return status;
}

static ist_status read_column(yyjson_val *column, struct ArrowSchema *out, ist_error *err)
{
    const char *name = yyjson_get_str(yyjson_obj_get(column, "name"));
    const char *text = yyjson_get_str(yyjson_obj_get(column, "type_text"));
    type_text in = {text, text, 0};
    if (!name || !text)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a column of the result has no name or no type_text");
    ist_status status = read_type(&in, out, err);
    skip_spaces(&in);
    if (status == IST_OK && *in.at)
        status = not_a_type(&in, err);
    if (status != IST_OK) {
        ist_error_context(err, "column %.200s", name);
        return status;
    }
    return ArrowSchemaSetName(out, name) ? no_memory(err) : IST_OK;
}

ist_status ist__manifest_schema(const char *manifest, struct ArrowSchema *out, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(manifest, strlen(manifest), 0);
    yyjson_val *columns = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "schema"), "columns"), *column;
    size_t i, max, count = yyjson_arr_size(columns);
    ist_status status = IST_OK;
    ArrowSchemaInit(out);
    if (count > FIELDS_MAX)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the result has %zu columns", count);
    else if (ArrowSchemaSetTypeStruct(out, (int64_t)count))
        status = no_memory(err);
    yyjson_arr_foreach(columns, i, max, column)
        if (status == IST_OK)
            status = read_column(column, out->children[i], err);
    yyjson_doc_free(doc);
    if (status != IST_OK && out->release)
        ArrowSchemaRelease(out);
    return status;
}
