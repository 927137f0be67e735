/* statement_request.c: the body of POST /api/2.0/sql/statements. */
#include "warehouse/statement_request.h"

#include "warehouse/warehouse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BAD(...) ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, __VA_ARGS__)

static const struct {
    const char *name, *content_type;
} formats[] = {
    [IST__FORMAT_JSON_ARRAY] = {"JSON_ARRAY", "application/json"},
    [IST__FORMAT_ARROW_STREAM] = {"ARROW_STREAM", "application/vnd.apache.arrow.stream"},
    [IST__FORMAT_CSV] = {"CSV", "text/csv"},
};

const char *ist__format_name(ist__result_format format)
{
    return formats[format].name;
}

const char *ist__format_content_type(ist__result_format format)
{
    return formats[format].content_type;
}

/* A text; NULL where it is absent or null. */
static ist_status read_text(yyjson_val *root, const char *key, const char **out, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(root, key);
    *out = yyjson_get_str(value);
    if (value && !yyjson_is_null(value) && !*out)
        return BAD("%s is not a string", key);
    if (*out && strlen(*out) != yyjson_get_len(value))
        return BAD("%s holds a NUL", key);
    return IST_OK;
}

static ist_status read_required(yyjson_val *root, const char *key, const char **out, ist_error *err)
{
    IST_TRY(read_text(root, key, out, err));
    return *out && **out ? IST_OK : BAD("%s is required", key);
}

/* One of the words, by its index in *out; the first one where it is absent. */
static ist_status read_word(yyjson_val *root, const char *key, const char *const *words, int *out, ist_error *err)
{
    const char *text;
    IST_TRY(read_text(root, key, &text, err));
    *out = 0;
    while (text && words[*out] && strcmp(words[*out], text) != 0)
        ++*out;
    if (!words[*out])
        return BAD("%s '%.60s' is none of %s, %s%s%s", key, text, words[0], words[1], words[2] ? ", " : "",
                   words[2] ? words[2] : "");
    return IST_OK;
}

static ist_status read_limit(yyjson_val *root, const char *key, int64_t *out, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(root, key);
    *out = yyjson_get_sint(value);
    if (value && !yyjson_is_null(value) && (!yyjson_is_int(value) || *out < 1))
        return BAD("%s is not a positive integer", key);
    return IST_OK;
}

ist_status ist__wait_timeout_read(const char *text, int64_t *out, ist_error *err)
{
    char *end;
    errno = 0;
    long seconds = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;
    bool good = seconds >= 0 && errno == 0 && strcmp(end, "s") == 0 &&
                (seconds == 0 || (seconds >= IST__STATEMENT_WAIT_MIN_S && seconds <= IST__STATEMENT_WAIT_MAX_S));
    if (!good)
        return BAD("wait_timeout '%.20s' is neither 0s nor from %ds to %ds", text, IST__STATEMENT_WAIT_MIN_S,
                   IST__STATEMENT_WAIT_MAX_S);
    *out = seconds * 1000;
    return IST_OK;
}

static ist_status check_parameter(yyjson_val *parameter, size_t i, ist_error *err)
{
    const char *name, *value, *type;
    if (!yyjson_is_obj(parameter))
        return BAD("parameters: element %zu is not an object with a name", i);
    IST_TRY(read_text(parameter, "name", &name, err));
    IST_TRY(read_text(parameter, "value", &value, err));
    IST_TRY(read_text(parameter, "type", &type, err));
    return name && *name ? IST_OK : BAD("parameters: element %zu has no name; only named ones can be given", i);
}

static ist_status read_parameters(yyjson_val *root, ist__statement_request *out, ist_error *err)
{
    yyjson_val *list = yyjson_obj_get(root, "parameters"), *parameter;
    size_t i, count;
    if (!list || yyjson_is_null(list))
        return IST_OK;
    if (!yyjson_is_arr(list))
        return BAD("parameters is not an array");
    if (yyjson_arr_size(list) > IST__STATEMENT_PARAMETERS_MAX)
        return BAD("there are %zu parameters; %d are the most", yyjson_arr_size(list), IST__STATEMENT_PARAMETERS_MAX);
    yyjson_arr_foreach(list, i, count, parameter)
        IST_TRY(check_parameter(parameter, i, err));
    out->parameters = list;
    return IST_OK;
}

static ist_status read_form(yyjson_val *root, ist__statement_request *out, ist_error *err)
{
    static const char *const format_words[] = {"JSON_ARRAY", "ARROW_STREAM", "CSV", NULL};
    static const char *const dispositions[] = {"INLINE", "EXTERNAL_LINKS", NULL};
    static const char *const compressions[] = {"NONE", "LZ4_FRAME", NULL};
    int format, disposition, compression;
    IST_TRY(read_word(root, "format", format_words, &format, err));
    IST_TRY(read_word(root, "disposition", dispositions, &disposition, err));
    IST_TRY(read_word(root, "result_compression", compressions, &compression, err));
    out->format = (ist__result_format)format;
    out->is_inline = disposition == 0;
    out->compression = compression ? compressions[compression] : NULL;
    if (out->is_inline && out->format != IST__FORMAT_JSON_ARRAY)
        return BAD("the format %s needs the disposition EXTERNAL_LINKS", format_words[format]);
    if (out->compression && out->is_inline)
        return BAD("result_compression needs the disposition EXTERNAL_LINKS");
    return IST_OK;
}

static ist_status read_wait(yyjson_val *root, ist__statement_request *out, ist_error *err)
{
    static const char *const actions[] = {"CONTINUE", "CANCEL", NULL};
    const char *text;
    int action;
    IST_TRY(read_text(root, "wait_timeout", &text, err));
    IST_TRY(read_word(root, "on_wait_timeout", actions, &action, err));
    out->wait_ms = IST__STATEMENT_WAIT_DEFAULT_S * 1000;
    out->cancel_on_timeout = action == 1;
    return text ? ist__wait_timeout_read(text, &out->wait_ms, err) : IST_OK;
}

static ist_status read_members(yyjson_val *root, ist__statement_request *out, ist_error *err)
{
    IST_TRY(read_required(root, "warehouse_id", &out->warehouse_id, err));
    IST_TRY(read_required(root, "statement", &out->statement, err));
    if (strlen(out->statement) > IST__STATEMENT_TEXT_MAX)
        return BAD("statement is longer than %d MiB", IST__STATEMENT_TEXT_MAX >> 20);
    IST_TRY(read_text(root, "catalog", &out->catalog, err));
    IST_TRY(read_text(root, "schema", &out->schema, err));
    IST_TRY(read_form(root, out, err));
    IST_TRY(read_wait(root, out, err));
    IST_TRY(read_limit(root, "row_limit", &out->row_limit, err));
    IST_TRY(read_limit(root, "byte_limit", &out->byte_limit, err));
    return read_parameters(root, out, err);
}

ist_status ist__statement_request_read(const char *body, size_t size, ist__statement_request *out, ist_error *err)
{
    yyjson_read_err problem = {0};
    *out = (ist__statement_request){.doc = yyjson_read_opts((char *)(uintptr_t)body, size, 0, NULL, &problem)};
    yyjson_val *root = yyjson_doc_get_root(out->doc);
    if (!out->doc)
        return BAD("the body is not JSON: %s at byte %zu", problem.msg ? problem.msg : "it is empty", problem.pos);
    if (!yyjson_is_obj(root))
        return BAD("the body is not a JSON object");
    return read_members(root, out, err);
}

void ist__statement_request_free_text(ist__statement_request *request)
{
    yyjson_doc_free(request->doc);
    request->doc = NULL;
    request->warehouse_id = request->statement = request->catalog = request->schema = NULL;
    request->parameters = NULL;
}
