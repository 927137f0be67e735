/*
 * scan.c: the rows of a snapshot: which files, and what is done to a file's columns on the way.
 *
 *     Parquet batch -> deleted rows out -> columns matched (by name, physical name or field id), cast and filled with
 *     nulls; partition values as constants -> a batch of the logical schema
 *
 * A plan is what all files of a scan have in common. A task is the plan and one add action as JSON, so that reading a
 * task and reading a scan are the same stream with one file or many.
 */
#include "delta/delta_internal.h"
#include "shim/columns.h"
#include "shim/parquet.h"
#include "shim/stream.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FIELD_ID "PARQUET:field_id"
#define KEY_PHYSICAL "delta.columnMapping.physicalName"

static const char *const mode_names[] = {
    [IST__MAPPING_NONE] = "none", [IST__MAPPING_NAME] = "name", [IST__MAPPING_ID] = "id"};

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to scan the table");
}

/* ---- the plan ------------------------------------------------------------------------------------------------- */

typedef struct plan {
    struct ArrowSchema target; /* logical names; its metadata is what files' columns are matched by */
    struct ArrowSchema rows;   /* the same without metadata: what the reader of the rows sees */
    ist__mapping_mode mode;
    char **physical;    /* names in files and partition values, one for each field */
    bool *is_partition; /* one for each field */
} plan;

static void plan_free(plan *p)
{
    for (int64_t i = 0; p->physical && i < p->target.n_children; i++)
        free(p->physical[i]);
    free(p->physical);
    free(p->is_partition);
    if (p->target.release)
        p->target.release(&p->target);
    if (p->rows.release)
        p->rows.release(&p->rows);
    *p = (plan){0};
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

static bool find_metadata(const struct ArrowSchema *field, const char *key, struct ArrowStringView *value)
{
    *value = ArrowCharView(NULL);
    return ArrowMetadataGetValue(field->metadata, ArrowCharView(key), value) == NANOARROW_OK && value->data;
}

static bool lists(ist__strings strings, const char *name)
{
    for (size_t i = 0; i < strings.count; i++) {
        if (strcmp(strings.items[i], name) == 0)
            return true;
    }
    return false;
}

/* schema_json: the fields wanted. Fields' ids count in id mode only; a file may have others in the other modes. */
static ist_status plan_init(plan *p, const char *schema_json, ist__strings partition_columns, ist__mapping_mode mode,
                            ist_error *err)
{
    *p = (plan){.mode = mode};
    ist_status status;
    IST_TRY_GOTO(ist__schema_to_arrow(schema_json, &p->target, err));
    size_t count = (size_t)p->target.n_children;
    IST_TRY_GOTO(ist__alloc(count, sizeof *p->physical, (void **)&p->physical, err));
    IST_TRY_GOTO(ist__alloc(count, sizeof *p->is_partition, (void **)&p->is_partition, err));
    for (size_t i = 0; i < count; i++) {
        const struct ArrowSchema *field = p->target.children[i];
        struct ArrowStringView name;
        p->is_partition[i] = lists(partition_columns, field->name);
        if (mode == IST__MAPPING_NONE || !find_metadata(field, KEY_PHYSICAL, &name))
            name = ArrowCharView(field->name);
        p->physical[i] = strndup(name.data, (size_t)name.size_bytes);
        if (!p->physical[i]) {
            status = no_memory(err);
            goto done;
        }
    }
    if (ArrowSchemaDeepCopy(&p->target, &p->rows) != NANOARROW_OK) {
        status = no_memory(err);
        goto done;
    }
    IST_TRY_GOTO(strip_metadata(&p->rows, NULL, err));
    if (mode == IST__MAPPING_NONE)
        IST_TRY_GOTO(strip_metadata(&p->target, NULL, err));
    else if (mode == IST__MAPPING_NAME)
        IST_TRY_GOTO(strip_metadata(&p->target, KEY_FIELD_ID, err));
done:
    if (status != IST_OK)
        plan_free(p);
    return status;
}

/* ---- one file -------------------------------------------------------------------------------------------------- */

typedef struct data_file {
    struct ArrowArrayStream stream;
    struct ArrowSchema schema; /* of the stream */
    uint8_t *keep;             /* NULL: every row */
    uint8_t *keep_batch;       /* the batch's part of it, where that does not begin at a byte */
    size_t keep_batch_size;
    int64_t position; /* rows read so far */
    int64_t rows;
} data_file;

static void file_close(data_file *file)
{
    if (file->stream.release)
        file->stream.release(&file->stream);
    if (file->schema.release)
        file->schema.release(&file->schema);
    free(file->keep);
    free(file->keep_batch);
    *file = (data_file){0};
}

/* The file's column for a field of the plan; -1 where it has none. */
static int find_column(const plan *p, int64_t field, const struct ArrowSchema *schema)
{
    struct ArrowStringView wanted, id;
    if (p->mode == IST__MAPPING_ID && find_metadata(p->target.children[field], KEY_FIELD_ID, &wanted)) {
        for (int64_t i = 0; i < schema->n_children; i++) {
            if (find_metadata(schema->children[i], KEY_FIELD_ID, &id) && id.size_bytes == wanted.size_bytes &&
                memcmp(id.data, wanted.data, (size_t)id.size_bytes) == 0)
                return (int)i;
        }
    }
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, p->physical[field]) == 0)
            return (int)i;
    }
    return -1;
}

static ist_status open_columns(data_file *file, ist__parquet_reader *reader, const plan *p, ist_error *err)
{
    struct ArrowSchema schema = {0};
    int *columns = NULL;
    size_t count = 0;
    ist_status status;
    IST_TRY_GOTO(ist__parquet_reader_schema(reader, &schema, err));
    IST_TRY_GOTO(ist__alloc((size_t)p->target.n_children, sizeof *columns, (void **)&columns, err));
    for (int64_t i = 0; i < p->target.n_children; i++) {
        int found = p->is_partition[i] ? -1 : find_column(p, i, &schema);
        if (found >= 0)
            columns[count++] = found;
    }
    IST_TRY_GOTO(ist__parquet_reader_read(reader, columns, count, 0, &file->stream, err));
    int code = file->stream.get_schema(&file->stream, &file->schema);
    if (code != 0)
        status = ist__stream_error(&file->stream, code, err);
done:
    free(columns);
    if (schema.release)
        schema.release(&schema);
    return status;
}

static ist_status file_open(data_file *file, ist_store *store, const plan *p, const ist__add *add, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist__source source;
    ist__parquet_reader *reader = NULL;
    ist_status status;
    *file = (data_file){0};
    IST_TRY_GOTO(ist__data_path(store, add->path, &path, err));
    IST_TRY_GOTO(ist__source_open(store, path.data, &source, err));
    IST_TRY_GOTO(ist__parquet_reader_open(source, &reader, err));
    file->rows = ist__parquet_reader_rows(reader);
    if (add->dv.storage_type)
        IST_TRY_GOTO(ist__dv_read(store, &add->dv, file->rows, &file->keep, err));
    status = open_columns(file, reader, p, err);
done:
    ist__parquet_reader_free(reader);
    ist_buffer_free(&path);
    if (status != IST_OK)
        file_close(file);
    return status;
}

/* The bits of the batch's rows with the first in the lowest bit. */
static ist_status keep_bits(data_file *file, int64_t count, const uint8_t **out, ist_error *err)
{
    *out = file->keep + file->position / 8;
    if (file->position % 8 == 0)
        return IST_OK;
    size_t size = (size_t)(count + 7) / 8;
    if (size > file->keep_batch_size) {
        uint8_t *bits = realloc(file->keep_batch, size);
        if (!bits)
            return no_memory(err);
        file->keep_batch = bits;
        file->keep_batch_size = size;
    }
    ist__dv_slice(file->keep, file->rows, file->position, count, file->keep_batch);
    *out = file->keep_batch;
    return IST_OK;
}

/* The partition values of a file as arrays of length 1, for conforming. */
static ist_status partition_constants(const plan *p, const ist__add *add, struct ArrowArray *constants, ist_error *err)
{
    for (int64_t i = 0; i < p->target.n_children; i++) {
        if (!p->is_partition[i])
            continue;
        const char *text = ist__pairs_get(add->partition_values, p->physical[i]);
        if (text && !*text)
            text = NULL; /* an empty string is null, for any type */
        if (ist__columns_parse(p->target.children[i], text, &constants[i], err) != IST_OK)
            return ist_error_context(err, "partition column '%s'", p->target.children[i]->name);
    }
    return IST_OK;
}

/* Bring a batch of the file into the plan's form. Takes the batch. */
static ist_status conform(const data_file *file, const plan *p, const ist__add *add, struct ArrowArray *batch,
                          struct ArrowArray *out, ist_error *err)
{
    struct ArrowArray *constants = NULL;
    ist_status status = ist__alloc((size_t)p->target.n_children, sizeof *constants, (void **)&constants, err);
    if (status == IST_OK)
        status = partition_constants(p, add, constants, err);
    if (status == IST_OK)
        status = ist__columns_conform(&file->schema, batch, &p->target, p->mode != IST__MAPPING_NONE, constants, out,
                                      err);
    for (int64_t i = 0; constants && i < p->target.n_children; i++) {
        if (constants[i].release)
            constants[i].release(&constants[i]);
    }
    free(constants);
    return status;
}

/* The next batch that has rows; out->release is NULL at the end. */
static ist_status file_next(data_file *file, const plan *p, const ist__add *add, struct ArrowArray *out,
                            ist_error *err)
{
    *out = (struct ArrowArray){0};
    for (;;) {
        struct ArrowArray batch = {0}, kept = {0};
        int code = file->stream.get_next(&file->stream, &batch);
        if (code != 0)
            return ist__stream_error(&file->stream, code, err);
        if (!batch.release)
            return IST_OK;
        ist_status status = IST_OK;
        int64_t length = batch.length;
        if (file->keep) {
            const uint8_t *bits = NULL;
            if (length > file->rows - file->position)
                status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the file has more rows than its footer says");
            else
                status = keep_bits(file, length, &bits, err);
            if (status == IST_OK)
                status = ist__columns_filter(&file->schema, &batch, bits, &kept, err);
            batch = status == IST_OK ? kept : batch;
        }
        file->position += length;
        if (status == IST_OK && batch.length > 0)
            return conform(file, p, add, &batch, out, err);
        if (batch.release)
            batch.release(&batch);
        IST_TRY(status);
    }
}

/* ---- the stream of rows ----------------------------------------------------------------------------------------- */

typedef struct row_stream {
    ist_store *store;
    const plan *plan;
    const ist__add *files;
    size_t count;
    size_t next; /* the file after the open one */
    bool is_open;
    data_file file;
    ist_error error;
    /* of a stream over one task, which has no scan to lend it these */
    struct plan own_plan;
    ist__action own_file;
    ist__arena *arena;
    yyjson_doc *json;
} row_stream;

static ist_status next_batch(row_stream *rows, struct ArrowArray *out, ist_error *err)
{
    *out = (struct ArrowArray){0};
    for (;;) {
        if (!rows->is_open) {
            if (rows->next == rows->count)
                return IST_OK;
            const ist__add *add = &rows->files[rows->next];
            if (file_open(&rows->file, rows->store, rows->plan, add, err) != IST_OK)
                return ist_error_context(err, "data file %s", add->path);
            rows->is_open = true;
            rows->next++;
        }
        const ist__add *add = &rows->files[rows->next - 1];
        if (file_next(&rows->file, rows->plan, add, out, err) != IST_OK)
            return ist_error_context(err, "data file %s", add->path);
        if (out->release)
            return IST_OK;
        file_close(&rows->file);
        rows->is_open = false;
    }
}

static int stream_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    row_stream *rows = stream->private_data;
    int code = ArrowSchemaDeepCopy(&rows->plan->rows, out);
    if (code != NANOARROW_OK)
        no_memory(&rows->error);
    return code;
}

static int stream_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    row_stream *rows = stream->private_data;
    ist_error_clear(&rows->error);
    return ist__stream_errno(next_batch(rows, out, &rows->error));
}

static const char *stream_get_last_error(struct ArrowArrayStream *stream)
{
    row_stream *rows = stream->private_data;
    return rows->error.message[0] ? rows->error.message : NULL;
}

static void rows_free(row_stream *rows)
{
    if (!rows)
        return;
    file_close(&rows->file);
    plan_free(&rows->own_plan);
    ist__arena_free(rows->arena);
    yyjson_doc_free(rows->json);
    free(rows);
}

static void stream_release(struct ArrowArrayStream *stream)
{
    rows_free(stream->private_data);
    stream->release = NULL;
    stream->private_data = NULL;
}

static void make_stream(row_stream *rows, struct ArrowArrayStream *out)
{
    *out = (struct ArrowArrayStream){.get_schema = stream_get_schema,
                                     .get_next = stream_get_next,
                                     .get_last_error = stream_get_last_error,
                                     .release = stream_release,
                                     .private_data = rows};
}

/* ---- scans ------------------------------------------------------------------------------------------------------ */

struct ist_scan {
    const ist_snapshot *snapshot;
    plan plan;
    char *schema_json; /* of the columns asked for */
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

/* The table's schema with the columns asked for; malloc'ed. */
static ist_status project_schema(const ist_snapshot *snapshot, const ist_scan_options *options, char **out,
                                 ist_error *err)
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
    for (size_t i = 0; i < options->column_count; i++) {
        yyjson_val *field = find_field(fields, options->columns[i]);
        if (!field) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, snapshot->uri, "the table has no column '%s'",
                                   options->columns[i]);
            goto done;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(options->columns[k], options->columns[i]) == 0) {
                status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "column '%s' is asked for twice",
                                       options->columns[i]);
                goto done;
            }
        }
        yyjson_mut_arr_append(chosen, yyjson_val_mut_copy(made, field));
    }
    *out = yyjson_mut_write(made, 0, NULL);
    if (!*out)
        status = no_memory(err);
done:
    yyjson_doc_free(doc);
    yyjson_mut_doc_free(made);
    return status;
}

ist_status ist_scan_open(const ist_snapshot *snapshot, const ist_scan_options *options, ist_scan **out, ist_error *err)
{
    static const ist_scan_options defaults = IST_SCAN_OPTIONS_INIT;
    ist_scan *scan = NULL;
    const ist__metadata *metadata = &snapshot->metadata;
    bool mapped = ist__features_supported(&snapshot->protocol, "columnMapping");
    ist__mapping_mode mode = mapped ? ist__schema_mapping_mode(metadata) : IST__MAPPING_NONE;
    ist_status status;
    if (!options)
        options = &defaults;
    IST_TRY_GOTO(ist__alloc(1, sizeof *scan, (void **)&scan, err));
    scan->snapshot = snapshot;
    if (options->columns)
        IST_TRY_GOTO(project_schema(snapshot, options, &scan->schema_json, err));
    else
        IST_TRY_GOTO(ist__strdup(metadata->schema_string, &scan->schema_json, err));
    IST_TRY_GOTO(plan_init(&scan->plan, scan->schema_json, metadata->partition_columns, mode, err));
    *out = scan;
    scan = NULL;
done:
    ist_scan_free(scan);
    return status;
}

void ist_scan_free(ist_scan *scan)
{
    if (!scan)
        return;
    plan_free(&scan->plan);
    free(scan->schema_json);
    free(scan);
}

ist_status ist_scan_schema(const ist_scan *scan, struct ArrowSchema *out, ist_error *err)
{
    return ArrowSchemaDeepCopy(&scan->plan.rows, out) == NANOARROW_OK ? IST_OK : no_memory(err);
}

size_t ist_scan_task_count(const ist_scan *scan)
{
    return scan->snapshot->file_count;
}

int64_t ist_scan_task_rows(const ist_scan *scan, size_t i)
{
    return ist__add_rows(&scan->snapshot->files[i]);
}

int64_t ist_scan_task_bytes(const ist_scan *scan, size_t i)
{
    return scan->snapshot->files[i].size;
}

/* {"schema":{...},"partitionColumns":[...],"columnMapping":"none","file":{"add":{...}}} */
ist_status ist_scan_task_json(const ist_scan *scan, size_t i, ist_buffer *out, ist_error *err)
{
    ist__strings columns = scan->snapshot->metadata.partition_columns;
    ist__action file;
    if (i >= scan->snapshot->file_count)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the scan has %zu tasks; there is no task %zu",
                             scan->snapshot->file_count, i);
    ist__action_init(&file, IST__ADD);
    file.add = scan->snapshot->files[i];
    file.add.stats = NULL; /* the reader has no use for these */
    file.add.tags = (ist__pairs){NULL, 0};
    IST_TRY(ist_buffer_append_string(out, "{\"schema\":", err));
    IST_TRY(ist_buffer_append_string(out, scan->schema_json, err));
    IST_TRY(ist_buffer_append_string(out, ",\"partitionColumns\":[", err));
    for (size_t k = 0; k < columns.count; k++) {
        if (k > 0)
            IST_TRY(ist_buffer_append_string(out, ",", err));
        IST_TRY(ist__json_append_string(out, columns.items[k], err));
    }
    IST_TRY(ist_buffer_printf(out, err, "],\"columnMapping\":\"%s\",\"file\":", mode_names[scan->plan.mode]));
    IST_TRY(ist__action_format(&file, out, err));
    out->data[out->size - 1] = '}'; /* in place of the line's end */
    return IST_OK;
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

static ist_status parse_task(row_stream *rows, const char *json, ist_error *err)
{
    ist__strings partition_columns;
    ist__mapping_mode mode = IST__MAPPING_NONE;
    IST_TRY(ist__arena_new(&rows->arena, err));
    rows->json = yyjson_read(json, strlen(json), 0);
    yyjson_val *root = yyjson_doc_get_root(rows->json);
    yyjson_val *add = yyjson_obj_get(yyjson_obj_get(root, "file"), "add");
    if (!add)
        return bad_task(rows->json ? "it names no file" : "not valid JSON", err);
    if (ist__action_from_json(add, IST__ADD, rows->arena, &rows->own_file, err) != IST_OK)
        return ist_error_context(err, "not a scan task");
    IST_TRY(read_partition_columns(yyjson_obj_get(root, "partitionColumns"), rows->arena, &partition_columns, err));
    IST_TRY(read_mode(yyjson_obj_get(root, "columnMapping"), &mode, err));
    yyjson_val *schema = yyjson_obj_get(root, "schema");
    char *schema_json = schema ? yyjson_val_write(schema, 0, NULL) : NULL;
    if (!schema_json)
        return schema ? no_memory(err) : bad_task("it has no schema", err);
    ist_status status = plan_init(&rows->own_plan, schema_json, partition_columns, mode, err);
    free(schema_json);
    return status;
}

ist_status ist_scan_task_read(ist_store *store, const char *json, struct ArrowArrayStream *out, ist_error *err)
{
    row_stream *rows;
    IST_TRY(ist__alloc(1, sizeof *rows, (void **)&rows, err));
    ist_status status;
    IST_TRY_GOTO(parse_task(rows, json, err));
    rows->store = store;
    rows->plan = &rows->own_plan;
    rows->files = &rows->own_file.add;
    rows->count = 1;
    status = file_open(&rows->file, store, rows->plan, rows->files, err);
    if (status != IST_OK) {
        ist_error_context(err, "data file %s", rows->files->path);
        goto done;
    }
    rows->is_open = true;
    rows->next = 1;
    make_stream(rows, out);
    rows = NULL;
done:
    rows_free(rows);
    return status;
}

ist_status ist_scan_read(const ist_scan *scan, ist_store *store, struct ArrowArrayStream *out, ist_error *err)
{
    row_stream *rows;
    IST_TRY(ist__alloc(1, sizeof *rows, (void **)&rows, err));
    rows->store = store;
    rows->plan = &scan->plan;
    rows->files = scan->snapshot->files;
    rows->count = scan->snapshot->file_count;
    make_stream(rows, out);
    return IST_OK;
}
