/* write_context.c: what a writer in another process is told, as JSON; and the readers of table properties. */
#include "delta/transaction_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool ist__property_true(ist__pairs configuration, const char *key)
{
    const char *value = ist__pairs_get(configuration, key);
    return value && strcasecmp(value, "true") == 0;
}

int64_t ist__property_number(ist__pairs configuration, const char *key, int64_t least, int64_t otherwise)
{
    const char *value = ist__pairs_get(configuration, key);
    char *end = NULL;
    errno = 0;
    long long number = value ? strtoll(value, &end, 10) : 0;
    return value && *value && !*end && errno == 0 && number >= least ? number : otherwise;
}

bool ist__strings_equal(ist__strings a, ist__strings b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (strcmp(a.items[i], b.items[i]) != 0)
            return false;
    return true;
}

bool ist__strings_contain(ist__strings strings, const char *text)
{
    for (size_t i = 0; i < strings.count; i++)
        if (strcmp(strings.items[i], text) == 0)
            return true;
    return false;
}

ist_status ist__context_format(const ist__context *context, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(out, "{\"tableId\":", err));
    IST_TRY(ist__json_append_string(out, context->table_id, err));
    IST_TRY(ist_buffer_append_string(out, ",\"table\":", err));
    IST_TRY(ist__json_append_string(out, context->table_name, err));
    IST_TRY(ist_buffer_append_string(out, ",\"schema\":", err));
    IST_TRY(ist__json_append_string(out, context->schema, err));
    IST_TRY(ist_buffer_append_string(out, ",\"partitionColumns\":[", err));
    for (size_t i = 0; i < context->partition_columns.count; i++) {
        IST_TRY(ist_buffer_append_string(out, i ? "," : "", err));
        IST_TRY(ist__json_append_string(out, context->partition_columns.items[i], err));
    }
    IST_TRY(ist_buffer_append_string(out, "],\"configuration\":{", err));
    for (size_t i = 0; i < context->configuration.count; i++) {
        const ist__pair *pair = &context->configuration.items[i];
        IST_TRY(ist_buffer_append_string(out, i ? "," : "", err));
        IST_TRY(ist__json_append_string(out, pair->key, err));
        IST_TRY(ist_buffer_append_string(out, ":", err));
        IST_TRY(pair->value ? ist__json_append_string(out, pair->value, err)
                            : ist_buffer_append_string(out, "null", err));
    }
    return ist_buffer_printf(out, err, "},\"targetFileBytes\":%lld,\"changesMetadata\":%s%s}",
                             (long long)context->target_file_bytes, context->changes_metadata ? "true" : "false",
                             context->change_data ? ",\"changeData\":true" : "");
}

static ist_status bad_context(const char *what, ist_error *err)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the write context is not one that Isthmus made: %s", what);
}

/* A string of the document, copied. */
static ist_status copy(yyjson_val *value, ist__arena *arena, const char **out, ist_error *err)
{
    *out = NULL;
    if (yyjson_is_null(value))
        return IST_OK;
    if (!yyjson_is_str(value) || strlen(yyjson_get_str(value)) != yyjson_get_len(value))
        return bad_context("a string is missing", err);
    *out = ist__arena_copy(arena, yyjson_get_str(value), yyjson_get_len(value));
    return *out ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a write context");
}

static ist_status read_context(yyjson_val *root, ist__arena *arena, ist__context *out, ist_error *err)
{
    yyjson_val *columns = yyjson_obj_get(root, "partitionColumns"), *pairs = yyjson_obj_get(root, "configuration");
    if (!yyjson_is_arr(columns) || !yyjson_is_obj(pairs))
        return bad_context("partitionColumns or configuration is missing", err);
    IST_TRY(copy(yyjson_obj_get(root, "tableId"), arena, &out->table_id, err));
    IST_TRY(copy(yyjson_obj_get(root, "table"), arena, &out->table_name, err));
    IST_TRY(copy(yyjson_obj_get(root, "schema"), arena, &out->schema, err));
    if (!out->table_id || !out->table_name || !out->schema)
        return bad_context("a string is null", err);
    const char **names = ist__arena_alloc(arena, (yyjson_arr_size(columns) + 1) * sizeof *names);
    ist__pair *items = ist__arena_alloc(arena, (yyjson_obj_size(pairs) + 1) * sizeof *items);
    if (!names || !items)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a write context");
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_arr_foreach(columns, i, max, value)
    {
        IST_TRY(copy(value, arena, &names[i], err));
        if (!names[i])
            return bad_context("a partition column is null", err);
    }
    yyjson_obj_foreach(pairs, i, max, key, value)
    {
        IST_TRY(copy(key, arena, &items[i].key, err));
        IST_TRY(copy(value, arena, &items[i].value, err));
    }
    out->partition_columns = (ist__strings){names, yyjson_arr_size(columns)};
    out->configuration = (ist__pairs){items, yyjson_obj_size(pairs)};
    out->target_file_bytes = yyjson_get_sint(yyjson_obj_get(root, "targetFileBytes"));
    out->changes_metadata = yyjson_is_true(yyjson_obj_get(root, "changesMetadata"));
    out->change_data = yyjson_is_true(yyjson_obj_get(root, "changeData"));
    return IST_OK;
}

ist_status ist__context_parse(const char *json, ist__arena *arena, ist__context *out, ist_error *err)
{
    *out = (ist__context){0};
    yyjson_read_err problem;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)json, strlen(json), 0, NULL, &problem);
    if (!doc)
        return bad_context(problem.msg, err);
    ist_status status = read_context(yyjson_doc_get_root(doc), arena, out, err);
    yyjson_doc_free(doc);
    return status;
}
