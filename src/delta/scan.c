/*
 * scan.c: what is read of a snapshot: columns, predicate, files; and tasks, which carry that elsewhere.
 *
 * A plan is what all files of a scan have in common. A task is the plan and one add action as JSON, so that reading a
 * task and reading a scan are the same stream with one file or many (scan_stream.c).
 */
#include "delta/scan_internal.h"

#include <inttypes.h>
#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>

static const char *const mode_names[] = {
    [IST__MAPPING_NONE] = "none", [IST__MAPPING_NAME] = "name", [IST__MAPPING_ID] = "id"};

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to scan the table");
}

/* ---- the plan ------------------------------------------------------------------------------------------------- */

static void plan_free(ist__plan *p)
{
    for (int64_t i = 0; p->physical && i < p->target.n_children; i++)
        free(p->physical[i]);
    free(p->physical);
    free(p->is_partition);
    if (p->target.release)
        p->target.release(&p->target);
    if (p->rows.release)
        p->rows.release(&p->rows);
    ist__predicate_free(p->predicate);
    *p = (ist__plan){0};
}

/* Take one metadata key (NULL: all metadata) from a schema's fields at every level. */
static ist_status strip_metadata(struct ArrowSchema *schema, const char *key, ist_error *err)
{
    struct ArrowBuffer kept;
    int code = NANOARROW_OK;
    if (schema->metadata && !key) {
        code = ArrowSchemaSetMetadata(schema, NULL);
    } else if (schema->metadata) {
        code = ArrowMetadataBuilderInit(&kept, schema->metadata);
        if (code == NANOARROW_OK) {
            code = ArrowMetadataBuilderRemove(&kept, ArrowCharView(key));
            if (code == NANOARROW_OK)
                code = ArrowSchemaSetMetadata(schema, (const char *)kept.data);
            ArrowBufferReset(&kept);
        }
    }
    if (code != NANOARROW_OK)
        return no_memory(err);
    for (int64_t i = 0; i < schema->n_children; i++)
        IST_TRY(strip_metadata(schema->children[i], key, err));
    return IST_OK;
}

bool ist__plan_metadata(const struct ArrowSchema *field, const char *key, const char **value, size_t *size)
{
    struct ArrowStringView found = ArrowCharView(NULL);
    if (ArrowMetadataGetValue(field->metadata, ArrowCharView(key), &found) != NANOARROW_OK || !found.data)
        return false;
    *value = found.data;
    *size = (size_t)found.size_bytes;
    return true;
}

static bool lists(ist__strings strings, const char *name)
{
    for (size_t i = 0; i < strings.count; i++) {
        if (strcmp(strings.items[i], name) == 0)
            return true;
    }
    return false;
}

/* The first `count` fields of a schema, without metadata. */
static ist_status plain_fields(const struct ArrowSchema *schema, int64_t count, struct ArrowSchema *out, ist_error *err)
{
    int code = ArrowSchemaInitFromType(out, NANOARROW_TYPE_STRUCT);
    if (code == NANOARROW_OK)
        code = ArrowSchemaAllocateChildren(out, count);
    for (int64_t i = 0; i < count && code == NANOARROW_OK; i++)
        code = ArrowSchemaDeepCopy(schema->children[i], out->children[i]);
    return code == NANOARROW_OK ? strip_metadata(out, NULL, err) : no_memory(err);
}

static ist_status bind_predicate(ist__plan *p, ist_error *err)
{
    struct ArrowSchema schema = {0};
    ist_status status = plain_fields(&p->target, p->target.n_children, &schema, err);
    if (status == IST_OK)
        status = ist__predicate_bind(p->predicate, &schema, err);
    if (schema.release)
        schema.release(&schema);
    return status;
}

/*
 * Fields' ids count in id mode only; a file may have others in the other modes.
 *   schema_json  the fields wanted, and after the first `returned` those that only the predicate reads
 *   predicate    takes; NULL for none
 */
static ist_status plan_init(ist__plan *p, const char *schema_json, size_t returned, ist__predicate *predicate,
                            ist__strings partition_columns, ist__mapping_mode mode, ist_error *err)
{
    *p = (ist__plan){.mode = mode, .predicate = predicate};
    ist_status status;
    IST_TRY_GOTO(ist__schema_to_arrow(schema_json, &p->target, err));
    size_t count = (size_t)p->target.n_children;
    IST_TRY_GOTO(ist__alloc(count, sizeof *p->physical, (void **)&p->physical, err));
    IST_TRY_GOTO(ist__alloc(count, sizeof *p->is_partition, (void **)&p->is_partition, err));
    for (size_t i = 0; i < count; i++) {
        const struct ArrowSchema *field = p->target.children[i];
        const char *name = field->name;
        size_t size = strlen(name);
        p->is_partition[i] = lists(partition_columns, name);
        p->needs_file |= !p->is_partition[i];
        if (mode != IST__MAPPING_NONE)
            ist__plan_metadata(field, IST__KEY_PHYSICAL, &name, &size);
        p->physical[i] = strndup(name, size);
        if (!p->physical[i]) {
            status = no_memory(err);
            goto done;
        }
    }
    IST_TRY_GOTO(plain_fields(&p->target, (int64_t)(returned < count ? returned : count), &p->rows, err));
    if (predicate)
        IST_TRY_GOTO(bind_predicate(p, err));
    if (mode == IST__MAPPING_NONE)
        status = strip_metadata(&p->target, NULL, err);
    else if (mode == IST__MAPPING_NAME)
        status = strip_metadata(&p->target, IST__KEY_FIELD_ID, err);
done:
    if (status != IST_OK)
        plan_free(p);
    return status;
}

/* ---- scans ------------------------------------------------------------------------------------------------------ */

struct ist_scan {
    const ist_snapshot *snapshot;
    ist__plan plan;
    char *schema_json;     /* of the columns that are read: those asked for, then those that only the predicate reads */
    ist_buffer predicate;  /* as text for tasks; empty without one */
    const ist__add **files; /* those that may have rows */
    size_t file_count;
    uint32_t threads;
};

static yyjson_val *find_field(yyjson_val *fields, const char *name)
{
    yyjson_val *field;
    size_t i, count;
    yyjson_arr_foreach(fields, i, count, field) {
        if (yyjson_equals_str(yyjson_obj_get(field, "name"), name))
            return field;
    }
    return NULL;
}

static bool is_chosen(yyjson_mut_val *chosen, const char *name)
{
    yyjson_mut_val *field;
    size_t i, count;
    yyjson_mut_arr_foreach(chosen, i, count, field) {
        if (yyjson_mut_equals_str(yyjson_mut_obj_get(field, "name"), name))
            return true;
    }
    return false;
}

static void choose_all(yyjson_mut_doc *made, yyjson_mut_val *chosen, yyjson_val *fields)
{
    yyjson_val *field;
    size_t i, count;
    yyjson_arr_foreach(fields, i, count, field) {
        yyjson_mut_arr_append(chosen, yyjson_val_mut_copy(made, field));
    }
}

static ist_status choose_columns(yyjson_mut_doc *made, yyjson_mut_val *chosen, yyjson_val *fields,
                                 const ist_scan_options *options, const char *uri, ist_error *err)
{
    for (size_t i = 0; i < options->column_count; i++) {
        const char *name = options->columns[i];
        yyjson_val *field = find_field(fields, name);
        if (!field)
            return ist_error_set(err, IST_BAD_INPUT, 0, uri, "the table has no column '%s'", name);
        if (is_chosen(chosen, name))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "column '%s' is asked for twice", name);
        yyjson_mut_arr_append(chosen, yyjson_val_mut_copy(made, field));
    }
    return IST_OK;
}

static ist_status choose_for_predicate(yyjson_mut_doc *made, yyjson_mut_val *chosen, yyjson_val *fields,
                                       const ist__predicate *predicate, const char *uri, ist_error *err)
{
    for (size_t i = 0; i < ist__predicate_column_count(predicate); i++) {
        const char *name = ist__predicate_column(predicate, i);
        yyjson_val *field = find_field(fields, name);
        if (!field)
            return ist_error_set(err, IST_BAD_INPUT, 0, uri, "predicate: the table has no column '%s'", name);
        if (!is_chosen(chosen, name))
            yyjson_mut_arr_append(chosen, yyjson_val_mut_copy(made, field));
    }
    return IST_OK;
}

/* The table's schema with the columns that are read; malloc'ed. The first *returned are those asked for. */
static ist_status project_schema(const ist_snapshot *snapshot, const ist_scan_options *options,
                                 const ist__predicate *predicate, char **out, size_t *returned, ist_error *err)
{
    const char *schema = snapshot->metadata.schema_string;
    yyjson_doc *doc = yyjson_read(schema, strlen(schema), 0);
    yyjson_mut_doc *made = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(made), *chosen = yyjson_mut_arr(made);
    yyjson_val *fields = yyjson_obj_get(yyjson_doc_get_root(doc), "fields");
    ist_status status = IST_OK;
    if (!yyjson_is_arr(fields)) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, snapshot->uri, "the table's schema has no fields");
        goto done;
    }
    yyjson_mut_doc_set_root(made, root);
    yyjson_mut_obj_add_str(made, root, "type", "struct");
    yyjson_mut_obj_add_val(made, root, "fields", chosen);
    if (options->columns)
        IST_TRY_GOTO(choose_columns(made, chosen, fields, options, snapshot->uri, err));
    else
        choose_all(made, chosen, fields);
    *returned = yyjson_mut_arr_size(chosen);
    if (predicate)
        IST_TRY_GOTO(choose_for_predicate(made, chosen, fields, predicate, snapshot->uri, err));
    *out = yyjson_mut_write(made, 0, NULL);
    if (!*out)
        status = no_memory(err);
done:
    yyjson_doc_free(doc);
    yyjson_mut_doc_free(made);
    return status;
}

/* The files that may have rows. */
static ist_status choose_files(ist_scan *scan, ist_error *err)
{
    const ist_snapshot *snapshot = scan->snapshot;
    bool *may_match = NULL;
    ist_status status;
    IST_TRY_GOTO(ist__alloc(snapshot->file_count, sizeof *scan->files, (void **)&scan->files, err));
    IST_TRY_GOTO(ist__alloc(snapshot->file_count, sizeof *may_match, (void **)&may_match, err));
    if (scan->plan.predicate)
        IST_TRY_GOTO(ist__skip_files(&scan->plan, snapshot->files, snapshot->file_count, may_match, err));
    for (size_t i = 0; i < snapshot->file_count; i++) {
        if (!scan->plan.predicate || may_match[i])
            scan->files[scan->file_count++] = &snapshot->files[i];
    }
done:
    free(may_match);
    return status;
}

ist_status ist_scan_open(const ist_snapshot *snapshot, const ist_scan_options *options, ist_scan **out, ist_error *err)
{
    static const ist_scan_options defaults = IST_SCAN_OPTIONS_INIT;
    ist_scan *scan = NULL;
    ist__predicate *predicate = NULL;
    const ist__metadata *metadata = &snapshot->metadata;
    bool mapped = ist__features_supported(&snapshot->protocol, "columnMapping");
    ist__mapping_mode mode = mapped ? ist__schema_mapping_mode(metadata) : IST__MAPPING_NONE;
    size_t returned = 0;
    ist_status status;
    if (!options)
        options = &defaults;
    IST_TRY_GOTO(ist__alloc(1, sizeof *scan, (void **)&scan, err));
    scan->snapshot = snapshot;
    scan->threads = options->threads;
    if (options->predicate) {
        IST_TRY_GOTO(ist__predicate_parse(options->predicate, options->predicate_size, &predicate, err));
        IST_TRY_GOTO(ist__base64url(options->predicate, options->predicate_size, &scan->predicate, err));
    }
    IST_TRY_GOTO(project_schema(snapshot, options, predicate, &scan->schema_json, &returned, err));
    status = plan_init(&scan->plan, scan->schema_json, returned, predicate, metadata->partition_columns, mode, err);
    predicate = NULL;
    if (status == IST_OK)
        status = choose_files(scan, err);
    if (status != IST_OK)
        goto done;
    *out = scan;
    scan = NULL;
done:
    ist__predicate_free(predicate);
    ist_scan_free(scan);
    return status;
}

void ist_scan_free(ist_scan *scan)
{
    if (!scan)
        return;
    plan_free(&scan->plan);
    free(scan->schema_json);
    ist_buffer_free(&scan->predicate);
    free(scan->files);
    free(scan);
}

ist_status ist_scan_schema(const ist_scan *scan, struct ArrowSchema *out, ist_error *err)
{
    return ArrowSchemaDeepCopy(&scan->plan.rows, out) == NANOARROW_OK ? IST_OK : no_memory(err);
}

size_t ist_scan_task_count(const ist_scan *scan)
{
    return scan->file_count;
}

int64_t ist_scan_task_rows(const ist_scan *scan, size_t i)
{
    return scan->plan.predicate ? -1 : ist__add_rows(scan->files[i]);
}

int64_t ist_scan_task_bytes(const ist_scan *scan, size_t i)
{
    return scan->files[i]->size;
}

const char *ist_scan_task_path(const ist_scan *scan, size_t i)
{
    return scan->files[i]->path;
}

/*
 * {"schema":{...},"partitionColumns":[...],"columnMapping":"none","returned":2,"predicate":"QVJ...",
 *  "file":{"add":{...}}}
 * returned: how many of the schema's fields the rows have; those after them are for the predicate, which may be absent.
 */
ist_status ist_scan_task_json(const ist_scan *scan, size_t i, ist_buffer *out, ist_error *err)
{
    ist__strings columns = scan->snapshot->metadata.partition_columns;
    ist__action file;
    if (i >= scan->file_count)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the scan has %zu tasks; there is no task %zu",
                             scan->file_count, i);
    ist__action_init(&file, IST__ADD);
    file.add = *scan->files[i];
    if (scan->plan.needs_file) /* otherwise they tell how many rows there are */
        file.add.stats = NULL;
    file.add.tags = (ist__pairs){NULL, 0};
    IST_TRY(ist_buffer_append_string(out, "{\"schema\":", err));
    IST_TRY(ist_buffer_append_string(out, scan->schema_json, err));
    IST_TRY(ist_buffer_append_string(out, ",\"partitionColumns\":[", err));
    for (size_t k = 0; k < columns.count; k++) {
        if (k > 0)
            IST_TRY(ist_buffer_append_string(out, ",", err));
        IST_TRY(ist__json_append_string(out, columns.items[k], err));
    }
    IST_TRY(ist_buffer_printf(out, err, "],\"columnMapping\":\"%s\",\"returned\":%" PRId64, mode_names[scan->plan.mode],
                              scan->plan.rows.n_children));
    if (scan->plan.predicate) {
        IST_TRY(ist_buffer_append_string(out, ",\"predicate\":\"", err));
        IST_TRY(ist_buffer_append(out, scan->predicate.data, scan->predicate.size, err));
        IST_TRY(ist_buffer_append_string(out, "\"", err));
    }
    IST_TRY(ist_buffer_append_string(out, ",\"file\":", err));
    IST_TRY(ist__action_format(&file, out, err));
    out->data[out->size - 1] = '}'; /* in place of the line's end */
    return IST_OK;
}

/* ---- tasks, read ------------------------------------------------------------------------------------------------- */

/* What a stream over one task stands on. */
typedef struct task {
    ist__arena *arena;
    yyjson_doc *json;
    ist__plan plan;
    ist__action file;
    const ist__add *files[1];
} task;

static void task_free(void *owner)
{
    task *t = owner;
    plan_free(&t->plan);
    ist__arena_free(t->arena);
    yyjson_doc_free(t->json);
    free(t);
}

static ist_status bad_task(const char *what, ist_error *err)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "not a scan task: %s", what);
}

/* The partition columns of a task, in the arena; the strings stay the document's. */
static ist_status read_partition_columns(yyjson_val *array, ist__arena *arena, ist__strings *out, ist_error *err)
{
    yyjson_val *name;
    size_t i, count;
    if (!yyjson_is_arr(array))
        return bad_task("it has no partitionColumns", err);
    const char **items = ist__arena_alloc(arena, yyjson_arr_size(array) * sizeof *items);
    if (!items)
        return no_memory(err);
    yyjson_arr_foreach(array, i, count, name) {
        if (!yyjson_is_str(name))
            return bad_task("a partition column is not a string", err);
        items[i] = yyjson_get_str(name);
    }
    *out = (ist__strings){items, count};
    return IST_OK;
}

static ist_status read_mode(yyjson_val *value, ist__mapping_mode *out, ist_error *err)
{
    for (ist__mapping_mode mode = IST__MAPPING_NONE; mode <= IST__MAPPING_ID; mode++) {
        if (yyjson_equals_str(value, mode_names[mode])) {
            *out = mode;
            return IST_OK;
        }
    }
    return bad_task("it has no columnMapping", err);
}

/* The predicate of a task; *out is NULL where it has none. */
static ist_status read_predicate(yyjson_val *value, ist__arena *arena, ist__predicate **out, ist_error *err)
{
    size_t size = yyjson_get_len(value);
    *out = NULL;
    if (!value)
        return IST_OK;
    unsigned char *bytes = ist__arena_alloc(arena, size + 1);
    if (!bytes)
        return no_memory(err);
    if (!yyjson_is_str(value) || !ist__base64url_decode(yyjson_get_str(value), size, bytes, &size))
        return bad_task("its predicate is not base64", err);
    if (ist__predicate_parse(bytes, size, out, err) != IST_OK)
        return ist_error_context(err, "not a scan task");
    return IST_OK;
}

static ist_status parse_task(task *t, const char *json, ist_error *err)
{
    ist__strings partition_columns;
    ist__mapping_mode mode = IST__MAPPING_NONE;
    ist__predicate *predicate = NULL;
    IST_TRY(ist__arena_new(&t->arena, err));
    t->json = yyjson_read(json, strlen(json), 0);
    yyjson_val *root = yyjson_doc_get_root(t->json), *returned = yyjson_obj_get(root, "returned");
    yyjson_val *add = yyjson_obj_get(yyjson_obj_get(root, "file"), "add");
    if (!add)
        return bad_task(t->json ? "it names no file" : "not valid JSON", err);
    if (ist__action_from_json(add, IST__ADD, t->arena, &t->file, err) != IST_OK)
        return ist_error_context(err, "not a scan task");
    t->files[0] = &t->file.add;
    IST_TRY(read_partition_columns(yyjson_obj_get(root, "partitionColumns"), t->arena, &partition_columns, err));
    IST_TRY(read_mode(yyjson_obj_get(root, "columnMapping"), &mode, err));
    if (!yyjson_is_uint(returned))
        return bad_task("it does not tell which columns are returned", err);
    yyjson_val *schema = yyjson_obj_get(root, "schema");
    char *schema_json = schema ? yyjson_val_write(schema, 0, NULL) : NULL;
    if (!schema_json)
        return schema ? no_memory(err) : bad_task("it has no schema", err);
    ist_status status = read_predicate(yyjson_obj_get(root, "predicate"), t->arena, &predicate, err);
    if (status == IST_OK)
        status = plan_init(&t->plan, schema_json, yyjson_get_uint(returned), predicate, partition_columns, mode, err);
    free(schema_json);
    return status;
}

ist_status ist_scan_task_read(ist_store *store, const char *json, struct ArrowArrayStream *out, ist_error *err)
{
    task *t;
    struct ArrowArrayStream stream = {0};
    IST_TRY(ist__alloc(1, sizeof *t, (void **)&t, err));
    ist_status status;
    IST_TRY_GOTO(parse_task(t, json, err));
    IST_TRY_GOTO(ist__row_stream_open(store, &t->plan, t->files, 1, 0, t, task_free, &stream, err));
    t = NULL;
    IST_TRY_GOTO(ist__row_stream_begin(&stream, err));
    *out = stream;
    stream.release = NULL;
done:
    if (stream.release)
        stream.release(&stream);
    if (t)
        task_free(t);
    return status;
}

ist_status ist_scan_read(const ist_scan *scan, ist_store *store, struct ArrowArrayStream *out, ist_error *err)
{
    return ist__row_stream_open(store, &scan->plan, scan->files, scan->file_count, scan->threads, NULL, NULL, out, err);
}
