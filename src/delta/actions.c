/*
 * actions.c: the actions of a Delta log <-> JSON lines (PROTOCOL.md, "Actions").
 *
 * The fields of each action stand in one table, which reading JSON, writing JSON and reading checkpoints all go by.
 */
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELD(name, member, kind, presence, negative)                                                                  \
    {name, sizeof name - 1, offsetof(ist__action, member), kind, presence, negative}
#define DV_FIELD(name, member, kind, presence)                                                                         \
    {name, sizeof name - 1, offsetof(ist__dv, member), kind, presence, false}

const ist__field ist__dv_fields[] = {
    DV_FIELD("storageType", storage_type, IST__FIELD_CHAR, IST__REQUIRED),
    DV_FIELD("pathOrInlineDv", path_or_inline, IST__FIELD_STRING, IST__REQUIRED),
    DV_FIELD("offset", offset, IST__FIELD_INT32, IST__OPTIONAL),
    DV_FIELD("sizeInBytes", size_in_bytes, IST__FIELD_INT32, IST__REQUIRED),
    DV_FIELD("cardinality", cardinality, IST__FIELD_INT64, IST__REQUIRED),
};
const size_t ist__dv_field_count = sizeof ist__dv_fields / sizeof ist__dv_fields[0];

static const ist__field add_fields[] = {
    FIELD("path", add.path, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("partitionValues", add.partition_values, IST__FIELD_PAIRS, IST__REQUIRED, false),
    FIELD("size", add.size, IST__FIELD_INT64, IST__REQUIRED, false),
    FIELD("modificationTime", add.modification_time, IST__FIELD_INT64, IST__REQUIRED, true),
    FIELD("dataChange", add.data_change, IST__FIELD_BOOL, IST__REQUIRED, false),
    FIELD("stats", add.stats, IST__FIELD_STRING, IST__OPTIONAL, false),
    FIELD("tags", add.tags, IST__FIELD_PAIRS, IST__OPTIONAL, false),
    FIELD("deletionVector", add.dv, IST__FIELD_DV, IST__OPTIONAL, false),
    FIELD("baseRowId", add.base_row_id, IST__FIELD_INT64, IST__OPTIONAL, false),
    FIELD("defaultRowCommitVersion", add.default_row_commit_version, IST__FIELD_INT64, IST__OPTIONAL, false),
    FIELD("clusteringProvider", add.clustering_provider, IST__FIELD_STRING, IST__OPTIONAL, false),
};
static const ist__field remove_fields[] = {
    FIELD("path", remove.path, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("deletionTimestamp", remove.deletion_timestamp, IST__FIELD_INT64, IST__OPTIONAL, true),
    FIELD("dataChange", remove.data_change, IST__FIELD_BOOL, IST__REQUIRED, false),
    FIELD("extendedFileMetadata", remove.extended, IST__FIELD_BOOL, IST__OPTIONAL, false),
    FIELD("partitionValues", remove.partition_values, IST__FIELD_PAIRS, IST__IF_EXTENDED, false),
    FIELD("size", remove.size, IST__FIELD_INT64, IST__IF_EXTENDED, false),
    FIELD("deletionVector", remove.dv, IST__FIELD_DV, IST__OPTIONAL, false),
    FIELD("baseRowId", remove.base_row_id, IST__FIELD_INT64, IST__OPTIONAL, false),
    FIELD("defaultRowCommitVersion", remove.default_row_commit_version, IST__FIELD_INT64, IST__OPTIONAL, false),
};
static const ist__field metadata_fields[] = {
    FIELD("id", metadata.id, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("name", metadata.name, IST__FIELD_STRING, IST__OPTIONAL, false),
    FIELD("description", metadata.description, IST__FIELD_STRING, IST__OPTIONAL, false),
    FIELD("format", metadata, IST__FIELD_FORMAT, IST__REQUIRED, false),
    FIELD("schemaString", metadata.schema_string, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("partitionColumns", metadata.partition_columns, IST__FIELD_STRINGS, IST__REQUIRED, false),
    FIELD("configuration", metadata.configuration, IST__FIELD_PAIRS, IST__REQUIRED, false),
    FIELD("createdTime", metadata.created_time, IST__FIELD_INT64, IST__OPTIONAL, true),
};
static const ist__field protocol_fields[] = {
    FIELD("minReaderVersion", protocol.min_reader_version, IST__FIELD_INT32, IST__REQUIRED, false),
    FIELD("minWriterVersion", protocol.min_writer_version, IST__FIELD_INT32, IST__REQUIRED, false),
    FIELD("readerFeatures", protocol.reader_features, IST__FIELD_STRINGS, IST__IF_READER_3, false),
    FIELD("writerFeatures", protocol.writer_features, IST__FIELD_STRINGS, IST__IF_WRITER_7, false),
};
static const ist__field app_fields[] = {
    FIELD("appId", app.app_id, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("version", app.version, IST__FIELD_INT64, IST__REQUIRED, true),
    FIELD("lastUpdated", app.last_updated, IST__FIELD_INT64, IST__OPTIONAL, true),
};
static const ist__field domain_fields[] = {
    FIELD("domain", domain.domain, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("configuration", domain.configuration, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("removed", domain.removed, IST__FIELD_BOOL, IST__REQUIRED, false),
};
static const ist__field cdc_fields[] = {
    FIELD("path", cdc.path, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("partitionValues", cdc.partition_values, IST__FIELD_PAIRS, IST__REQUIRED, false),
    FIELD("size", cdc.size, IST__FIELD_INT64, IST__REQUIRED, false),
    FIELD("dataChange", cdc.data_change, IST__FIELD_BOOL, IST__REQUIRED, false),
    FIELD("tags", cdc.tags, IST__FIELD_PAIRS, IST__OPTIONAL, false),
};
static const ist__field sidecar_fields[] = {
    FIELD("path", sidecar.path, IST__FIELD_STRING, IST__REQUIRED, false),
    FIELD("sizeInBytes", sidecar.size, IST__FIELD_INT64, IST__REQUIRED, false),
    FIELD("modificationTime", sidecar.modification_time, IST__FIELD_INT64, IST__REQUIRED, true),
};
static const ist__field checkpoint_metadata_fields[] = {
    FIELD("version", checkpoint_version, IST__FIELD_INT64, IST__REQUIRED, false),
};

#define KIND(name, fields)                                                                                             \
    {name, sizeof name - 1, sizeof fields / sizeof fields[0], fields}

static const struct kind {
    const char *name;
    size_t name_size;
    size_t field_count;
    const ist__field *fields;
} kinds[] = {
    [IST__ADD] = KIND("add", add_fields),
    [IST__REMOVE] = KIND("remove", remove_fields),
    [IST__METADATA] = KIND("metaData", metadata_fields),
    [IST__PROTOCOL] = KIND("protocol", protocol_fields),
    [IST__APP] = KIND("txn", app_fields),
    [IST__DOMAIN] = KIND("domainMetadata", domain_fields),
    [IST__COMMIT_INFO] = {"commitInfo", sizeof "commitInfo" - 1, 0, NULL},
    [IST__CDC] = KIND("cdc", cdc_fields),
    [IST__SIDECAR] = KIND("sidecar", sidecar_fields),
    [IST__CHECKPOINT_METADATA] = KIND("checkpointMetadata", checkpoint_metadata_fields),
    [IST__UNKNOWN] = {"unknown", sizeof "unknown" - 1, 0, NULL},
};

const char *ist__action_name(ist__action_kind kind)
{
    return kinds[kind].name;
}

const ist__field *ist__action_fields(ist__action_kind kind, size_t *count)
{
    *count = kinds[kind].field_count;
    return kinds[kind].fields;
}

void ist__action_init(ist__action *action, ist__action_kind kind)
{
    memset(action, 0, sizeof *action);
    action->kind = kind;
    switch (kind) {
    case IST__ADD:
        action->add.dv.offset = -1;
        action->add.base_row_id = action->add.default_row_commit_version = -1;
        break;
    case IST__REMOVE:
        action->remove.deletion_timestamp = -1;
        action->remove.dv.offset = -1;
        action->remove.base_row_id = action->remove.default_row_commit_version = -1;
        break;
    case IST__METADATA:
        action->metadata.created_time = -1;
        break;
    case IST__APP:
        action->app.last_updated = -1;
        break;
    case IST__COMMIT_INFO:
        action->commit_info.in_commit_timestamp = -1;
        break;
    default:
        break;
    }
}

/* ---- JSON -> action ------------------------------------------------------------------------------------------ */

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for an action");
}

static ist_status wrong_type(const char *owner, const char *name, const char *expected, yyjson_val *value,
                             ist_error *err)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s must be %s, not %s", owner, name, expected,
                         yyjson_get_type_desc(value));
}

static ist_status read_string(const char *owner, const char *name, yyjson_val *value, const char **out, ist_error *err)
{
    if (!yyjson_is_str(value))
        return wrong_type(owner, name, "a string", value, err);
    *out = yyjson_get_str(value);
    if (memchr(*out, '\0', yyjson_get_len(value)))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s holds a NUL character", owner, name);
    return IST_OK;
}

static ist_status read_number(const char *owner, const ist__field *field, yyjson_val *value, int64_t *out,
                              ist_error *err)
{
    if (!yyjson_is_int(value))
        return wrong_type(owner, field->name, "a whole number", value, err);
    bool high = yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX;
    *out = high ? 0 : yyjson_get_sint(value);
    if (high || (*out < 0 && !field->negative) ||
        (field->kind == IST__FIELD_INT32 && (*out > INT32_MAX || *out < INT32_MIN)))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s is out of range", owner, field->name);
    return IST_OK;
}

static ist_status read_pairs(const char *owner, const char *name, yyjson_val *value, ist__arena *arena,
                             ist__pairs *out, ist_error *err)
{
    if (!yyjson_is_obj(value))
        return wrong_type(owner, name, "an object of strings", value, err);
    size_t count = yyjson_obj_size(value);
    *out = (ist__pairs){NULL, 0};
    if (count == 0)
        return IST_OK;
    ist__pair *items = ist__arena_alloc(arena, count * sizeof *items);
    if (!items)
        return no_memory(err);
    yyjson_obj_iter iter = yyjson_obj_iter_with(value);
    for (size_t i = 0; i < count; i++) {
        yyjson_val *key = yyjson_obj_iter_next(&iter), *item = yyjson_obj_iter_get_val(key);
        items[i].value = NULL;
        IST_TRY(read_string(owner, name, key, &items[i].key, err));
        if (!yyjson_is_null(item))
            IST_TRY(read_string(owner, name, item, &items[i].value, err));
    }
    *out = (ist__pairs){items, count};
    return IST_OK;
}

static ist_status read_strings(const char *owner, const char *name, yyjson_val *value, ist__arena *arena,
                               ist__strings *out, ist_error *err)
{
    if (!yyjson_is_arr(value))
        return wrong_type(owner, name, "an array of strings", value, err);
    size_t count = yyjson_arr_size(value);
    *out = (ist__strings){NULL, 0};
    if (count == 0)
        return IST_OK;
    const char **items = ist__arena_alloc(arena, count * sizeof *items);
    if (!items)
        return no_memory(err);
    yyjson_arr_iter iter = yyjson_arr_iter_with(value);
    for (size_t i = 0; i < count; i++)
        IST_TRY(read_string(owner, name, yyjson_arr_iter_next(&iter), &items[i], err));
    *out = (ist__strings){items, count};
    return IST_OK;
}

ist_status ist__metadata_check_provider(const char *provider, ist_error *err)
{
    if (!provider)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "metaData.format names no provider");
    if (strcasecmp(provider, "parquet") != 0)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "data files of format '%s'; only Parquet is supported",
                             provider);
    return IST_OK;
}

/* Object members by the table, into memory at `base`. Unknown members are ignored, as the protocol asks. */
static ist_status read_fields(yyjson_val *object, const char *owner, const ist__field *fields, size_t field_count,
                              ist__arena *arena, void *base, ist_error *err)
{
    if (!yyjson_is_obj(object))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s must be an object, not %s", owner,
                             yyjson_get_type_desc(object));
    uint32_t seen = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter));) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        const char *name = yyjson_get_str(key);
        size_t name_size = yyjson_get_len(key), i = 0;
        while (i < field_count &&
               (fields[i].name_size != name_size || memcmp(fields[i].name, name, name_size) != 0))
            i++;
        if (i == field_count || yyjson_is_null(value))
            continue;
        const ist__field *field = &fields[i];
        char *slot = (char *)base + field->offset;
        int64_t number;
        const char *text;
        switch (field->kind) {
        case IST__FIELD_STRING:
            IST_TRY(read_string(owner, field->name, value, (const char **)slot, err));
            break;
        case IST__FIELD_CHAR:
            IST_TRY(read_string(owner, field->name, value, &text, err));
            if (strlen(text) != 1)
                return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s must be one character", owner, field->name);
            *slot = text[0];
            break;
        case IST__FIELD_INT32:
            IST_TRY(read_number(owner, field, value, &number, err));
            *(int32_t *)slot = (int32_t)number;
            break;
        case IST__FIELD_INT64:
            IST_TRY(read_number(owner, field, value, (int64_t *)slot, err));
            break;
        case IST__FIELD_BOOL:
            if (!yyjson_is_bool(value))
                return wrong_type(owner, field->name, "true or false", value, err);
            *(bool *)slot = yyjson_get_bool(value);
            break;
        case IST__FIELD_PAIRS:
            IST_TRY(read_pairs(owner, field->name, value, arena, (ist__pairs *)slot, err));
            break;
        case IST__FIELD_STRINGS:
            IST_TRY(read_strings(owner, field->name, value, arena, (ist__strings *)slot, err));
            break;
        case IST__FIELD_DV:
            IST_TRY(read_fields(value, field->name, ist__dv_fields, ist__dv_field_count, arena, slot, err));
            break;
        case IST__FIELD_FORMAT:
            IST_TRY(ist__metadata_check_provider(yyjson_get_str(yyjson_obj_get(value, "provider")), err));
            break;
        }
        seen |= 1u << i;
    }
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].presence == IST__REQUIRED && !(seen & 1u << i))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s has no %s", owner, fields[i].name);
    }
    return IST_OK;
}

static ist_status read_commit_info(yyjson_val *object, ist__arena *arena, ist__action *out, ist_error *err)
{
    static const ist__field timestamp = FIELD("inCommitTimestamp", commit_info.in_commit_timestamp, IST__FIELD_INT64,
                                              IST__OPTIONAL, true);
    if (!yyjson_is_obj(object))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "commitInfo must be an object, not %s",
                             yyjson_get_type_desc(object));
    IST_TRY(read_fields(object, "commitInfo", &timestamp, 1, arena, out, err));
    out->commit_info.operation = yyjson_get_str(yyjson_obj_get(object, "operation"));
    size_t size;
    char *text = yyjson_val_write(object, 0, &size);
    out->commit_info.json = text ? ist__arena_copy(arena, text, size) : NULL;
    free(text);
    return out->commit_info.json ? IST_OK : no_memory(err);
}

ist_status ist__action_from_json(yyjson_val *object, ist__action_kind kind, ist__arena *arena, ist__action *out,
                                 ist_error *err)
{
    ist__action_init(out, kind);
    if (kind == IST__COMMIT_INFO)
        return read_commit_info(object, arena, out, err);
    return read_fields(object, kinds[kind].name, kinds[kind].fields, kinds[kind].field_count, arena, out, err);
}

static ist_status read_line(yyjson_val *root, ist__arena *arena, ist__action *out, ist_error *err)
{
    if (!yyjson_is_obj(root))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "an action must be a JSON object, not %s",
                             yyjson_get_type_desc(root));
    ist__action_init(out, IST__UNKNOWN);
    yyjson_obj_iter iter = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter));) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        const char *name = yyjson_get_str(key);
        size_t name_size = yyjson_get_len(key);
        ist__action_kind kind = 0;
        while (kind < IST__UNKNOWN &&
               (kinds[kind].name_size != name_size || memcmp(kinds[kind].name, name, name_size) != 0))
            kind++;
        if (kind == IST__UNKNOWN || yyjson_is_null(value))
            continue;
        if (out->kind != IST__UNKNOWN)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "one line holds both %s and %s", kinds[out->kind].name,
                                 kinds[kind].name);
        IST_TRY(ist__action_from_json(value, kind, arena, out, err));
    }
    return IST_OK;
}

ist_status ist__action_parse_in_place(char *line, size_t size, ist__arena *arena, ist__action *out, ist_error *err)
{
    char padding[YYJSON_PADDING_SIZE];
    memcpy(padding, line + size, sizeof padding);
    memset(line + size, 0, sizeof padding);
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts(line, size, YYJSON_READ_INSITU, ist__arena_json(arena), &why);
    ist_status status;
    if (doc)
        status = read_line(yyjson_doc_get_root(doc), arena, out, err);
    else if (why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        status = no_memory(err);
    else
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "not valid JSON at byte %zu: %s", why.pos, why.msg);
    yyjson_doc_free(doc);
    memcpy(line + size, padding, sizeof padding);
    return status;
}

ist_status ist__action_parse(const char *line, size_t size, ist__arena *arena, ist__action *out, ist_error *err)
{
    char *copy = size < SIZE_MAX / 2 ? ist__arena_alloc(arena, size + YYJSON_PADDING_SIZE) : NULL;
    if (!copy)
        return no_memory(err);
    memcpy(copy, line, size);
    memset(copy + size, 0, YYJSON_PADDING_SIZE);
    return ist__action_parse_in_place(copy, size, arena, out, err);
}

ist_status ist__actions_each(const char *text, size_t size, const char *name, ist__arena *arena, ist__action_cb cb,
                             void *payload, ist_error *err)
{
    const char *end = text + size;
    for (size_t number = 1; text < end; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t line_size = (size_t)((stop ? stop : end) - text);
        if (line_size > 0 && text[line_size - 1] == '\r')
            line_size--;
        if (line_size > 0) {
            ist__action action;
            if (ist__action_parse(text, line_size, arena, &action, err) != IST_OK)
                return ist_error_context(err, "%s, line %zu", name, number);
            IST_TRY(cb(&action, payload, err));
        }
        text = stop ? stop + 1 : end;
    }
    return IST_OK;
}

/* ---- action -> JSON ------------------------------------------------------------------------------------------ */

ist_status ist__json_append_text(ist_buffer *out, const char *text, size_t size, ist_error *err)
{
    const char *end = text + size;
    IST_TRY(ist_buffer_append(out, "\"", 1, err));
    while (text < end) {
        const char *plain = text;
        while (text < end && (unsigned char)*text >= 0x20 && *text != '"' && *text != '\\')
            text++;
        IST_TRY(ist_buffer_append(out, plain, (size_t)(text - plain), err));
        if (text == end)
            break;
        if (*text == '"' || *text == '\\')
            IST_TRY(ist_buffer_printf(out, err, "\\%c", *text));
        else
            IST_TRY(ist_buffer_printf(out, err, "\\u%04x", (unsigned char)*text));
        text++;
    }
    return ist_buffer_append(out, "\"", 1, err);
}

ist_status ist__json_append_string(ist_buffer *out, const char *text, ist_error *err)
{
    return ist__json_append_text(out, text, strlen(text), err);
}

static ist_status write_pairs(ist__pairs pairs, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_append(out, "{", 1, err));
    for (size_t i = 0; i < pairs.count; i++) {
        if (i > 0)
            IST_TRY(ist_buffer_append(out, ",", 1, err));
        IST_TRY(ist__json_append_string(out, pairs.items[i].key, err));
        IST_TRY(ist_buffer_append(out, ":", 1, err));
        if (pairs.items[i].value)
            IST_TRY(ist__json_append_string(out, pairs.items[i].value, err));
        else
            IST_TRY(ist_buffer_append(out, "null", 4, err));
    }
    return ist_buffer_append(out, "}", 1, err);
}

static ist_status write_strings(ist__strings strings, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_append(out, "[", 1, err));
    for (size_t i = 0; i < strings.count; i++) {
        if (i > 0)
            IST_TRY(ist_buffer_append(out, ",", 1, err));
        IST_TRY(ist__json_append_string(out, strings.items[i], err));
    }
    return ist_buffer_append(out, "]", 1, err);
}

bool ist__field_is_set(const ist__field *field, const ist__action *action, const void *slot)
{
    switch (field->presence) {
    case IST__REQUIRED:
        return true;
    case IST__IF_EXTENDED:
        return action->remove.extended;
    case IST__IF_READER_3:
        return action->protocol.min_reader_version >= 3;
    case IST__IF_WRITER_7:
        return action->protocol.min_writer_version >= 7;
    case IST__OPTIONAL:
        break;
    }
    switch (field->kind) {
    case IST__FIELD_STRING:
        return *(const char *const *)slot != NULL;
    case IST__FIELD_INT32:
        return *(const int32_t *)slot != -1;
    case IST__FIELD_INT64:
        return *(const int64_t *)slot != -1;
    case IST__FIELD_BOOL:
        return *(const bool *)slot;
    case IST__FIELD_PAIRS:
        return ((const ist__pairs *)slot)->count > 0;
    case IST__FIELD_DV:
        return ((const ist__dv *)slot)->storage_type != '\0';
    default:
        return true;
    }
}

static ist_status write_fields(const ist__action *action, const ist__field *fields, size_t field_count,
                               const void *base, ist_buffer *out, ist_error *err)
{
    const char *separator = "{";
    for (const ist__field *field = fields; field < fields + field_count; field++) {
        const char *slot = (const char *)base + field->offset;
        if (!ist__field_is_set(field, action, slot))
            continue;
        IST_TRY(ist_buffer_printf(out, err, "%s\"%s\":", separator, field->name));
        separator = ",";
        switch (field->kind) {
        case IST__FIELD_STRING:
            IST_TRY(ist__json_append_string(out, *(const char *const *)slot, err));
            break;
        case IST__FIELD_CHAR:
            IST_TRY(ist__json_append_string(out, (const char[2]){*slot, '\0'}, err));
            break;
        case IST__FIELD_INT32:
            IST_TRY(ist_buffer_printf(out, err, "%" PRId32, *(const int32_t *)slot));
            break;
        case IST__FIELD_INT64:
            IST_TRY(ist_buffer_printf(out, err, "%" PRId64, *(const int64_t *)slot));
            break;
        case IST__FIELD_BOOL:
            IST_TRY(ist_buffer_append_string(out, *(const bool *)slot ? "true" : "false", err));
            break;
        case IST__FIELD_PAIRS:
            IST_TRY(write_pairs(*(const ist__pairs *)slot, out, err));
            break;
        case IST__FIELD_STRINGS:
            IST_TRY(write_strings(*(const ist__strings *)slot, out, err));
            break;
        case IST__FIELD_DV:
            IST_TRY(write_fields(action, ist__dv_fields, ist__dv_field_count, slot, out, err));
            break;
        case IST__FIELD_FORMAT:
            IST_TRY(ist_buffer_append_string(out, "{\"provider\":\"parquet\",\"options\":{}}", err));
            break;
        }
    }
    return ist_buffer_append(out, "}", 1, err);
}

ist_status ist__action_format(const ist__action *action, ist_buffer *out, ist_error *err)
{
    if (action->kind == IST__UNKNOWN)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "an unknown action cannot be written");
    const struct kind *kind = &kinds[action->kind];
    IST_TRY(ist_buffer_printf(out, err, "{\"%s\":", kind->name));
    if (action->kind == IST__COMMIT_INFO)
        IST_TRY(ist_buffer_append_string(out, action->commit_info.json, err));
    else
        IST_TRY(write_fields(action, kind->fields, kind->field_count, action, out, err));
    return ist_buffer_append(out, "}\n", 2, err);
}
