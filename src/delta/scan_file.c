/*
 * scan_file.c: one data file: which of its columns and row groups are read, and what is done to them on the way.
 *
 *     Parquet batch -> deleted rows out -> columns matched (by name, physical name or field id), cast and filled with
 *     nulls; partition values as constants -> rows that the predicate is true for -> a batch of the logical schema
 *
 * A row group is the unit that is left out by its statistics, and that threads share a file by. Where only partition
 * columns are wanted, and the log knows how many rows the file has, it is not opened at all.
 */
#include "delta/scan_internal.h"
#include "shim/columns.h"
#include "shim/parquet.h"
#include "shim/stream.h"

#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>

static const int64_t counted_batch_rows = 1 << 20;

/* ---- which columns ----------------------------------------------------------------------------------------------- */

/* The child of a file's schema (or of a struct in it) for a field of the table; -1 where it has none. */
static int find_column(ist__mapping_mode mode, const struct ArrowSchema *field, const struct ArrowSchema *schema)
{
    const char *wanted, *id, *name = field->name;
    size_t wanted_size, id_size, name_size = strlen(name);
    if (mode == IST__MAPPING_ID && ist__plan_metadata(field, IST__KEY_FIELD_ID, &wanted, &wanted_size)) {
        for (int64_t i = 0; i < schema->n_children; i++) {
            if (ist__plan_metadata(schema->children[i], IST__KEY_FIELD_ID, &id, &id_size) && id_size == wanted_size &&
                memcmp(id, wanted, id_size) == 0)
                return (int)i;
        }
    }
    if (mode != IST__MAPPING_NONE)
        ist__plan_metadata(field, IST__KEY_PHYSICAL, &name, &name_size);
    for (int64_t i = 0; i < schema->n_children; i++) {
        const char *found = schema->children[i]->name;
        if (strlen(found) == name_size && memcmp(found, name, name_size) == 0)
            return (int)i;
    }
    return -1;
}

static ist_status choose_columns(ist__data_file *file, const ist__plan *plan, const struct ArrowSchema *schema,
                                 ist_error *err)
{
    IST_TRY(ist__alloc((size_t)plan->target.n_children, sizeof *file->columns, (void **)&file->columns, err));
    for (int64_t i = 0; i < plan->target.n_children; i++) {
        int found = plan->is_partition[i] ? -1 : find_column(plan->mode, plan->target.children[i], schema);
        if (found >= 0)
            file->columns[file->column_count++] = found;
    }
    return IST_OK;
}

/* ---- which row groups -------------------------------------------------------------------------------------------- */

/* Where a column that the predicate has bounds for is in the file; false: it is not in it. */
static bool find_bounded(const ist__plan *plan, const struct ArrowSchema *schema, const int *path, size_t depth,
                         int *out)
{
    const struct ArrowSchema *field = &plan->target;
    if (plan->is_partition[path[0]])
        return false;
    for (size_t level = 0; level < depth; level++) {
        field = field->children[path[level]];
        out[level] = find_column(plan->mode, field, schema);
        if (out[level] < 0)
            return false;
        schema = schema->children[out[level]];
    }
    return true;
}

static ist_status prune_groups(ist__data_file *file, const ist__plan *plan, const struct ArrowSchema *schema,
                               ist_error *err)
{
    size_t count = ist__predicate_bounded_count(plan->predicate), depth, size = 0;
    int *steps = NULL;
    const int **paths = NULL;
    ist_status status;
    for (size_t i = 0; i < count; i++) {
        ist__predicate_bounded(plan->predicate, i, &depth);
        size += depth;
    }
    IST_TRY_GOTO(ist__alloc(count, sizeof *paths, (void **)&paths, err));
    IST_TRY_GOTO(ist__alloc(size, sizeof *steps, (void **)&steps, err));
    int *at = steps;
    for (size_t i = 0; i < count; i++, at += depth) {
        const int *path = ist__predicate_bounded(plan->predicate, i, &depth);
        if (find_bounded(plan, schema, path, depth, at))
            paths[i] = at;
    }
    status = ist__parquet_reader_prune(file->reader, plan->predicate, paths, file->may_match, err);
done:
    free(paths);
    free(steps);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static ist_status open_reader(ist__data_file *file, ist_store *store, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist__source source;
    ist_status status;
    IST_TRY_GOTO(ist__data_path(store, file->add->path, &path, err));
    IST_TRY_GOTO(ist__source_open(store, path.data, &source, err));
    status = ist__parquet_reader_open(source, &file->reader, err);
done:
    ist_buffer_free(&path);
    return status;
}

static ist_status open_file(ist__data_file *file, ist_store *store, const ist__plan *plan, ist_error *err)
{
    struct ArrowSchema schema = {0};
    ist_status status;
    file->rows = plan->needs_file ? -1 : ist__add_rows(file->add);
    if (file->rows < 0)
        IST_TRY(open_reader(file, store, err));
    file->group_count = file->reader ? ist__parquet_reader_group_count(file->reader) : 1;
    IST_TRY(ist__alloc(file->group_count, sizeof *file->may_match, (void **)&file->may_match, err));
    memset(file->may_match, true, file->group_count * sizeof *file->may_match);
    if (!file->reader)
        return IST_OK;
    file->rows = ist__parquet_reader_rows(file->reader);
    if (file->add->dv.storage_type)
        IST_TRY(ist__dv_read(store, &file->add->dv, file->rows, &file->keep, err));
    IST_TRY(ist__parquet_reader_schema(file->reader, &schema, err));
    status = choose_columns(file, plan, &schema, err);
    if (status == IST_OK && plan->predicate)
        status = prune_groups(file, plan, &schema, err);
    schema.release(&schema);
    return status;
}

ist_status ist__data_file_open(ist_store *store, const ist__plan *plan, const ist__add *add, ist__data_file **out,
                               ist_error *err)
{
    ist__data_file *file;
    IST_TRY(ist__alloc(1, sizeof *file, (void **)&file, err));
    file->add = add;
    if (open_file(file, store, plan, err) != IST_OK) {
        ist__data_file_free(file);
        return ist_error_context(err, "data file %s", add->path);
    }
    *out = file;
    return IST_OK;
}

void ist__data_file_free(ist__data_file *file)
{
    if (!file)
        return;
    ist__parquet_reader_free(file->reader);
    free(file->columns);
    free(file->keep);
    free(file->may_match);
    free(file);
}

/* ---- the rows of a row group ------------------------------------------------------------------------------------- */

static ist_status open_group(ist__group_reader *group, const ist__data_file *file, size_t number, ist_error *err)
{
    group->end = file->rows;
    if (!file->reader)
        return IST_OK;
    for (size_t i = 0; i < number; i++)
        group->position += ist__parquet_reader_group_rows(file->reader, i);
    group->end = group->position + ist__parquet_reader_group_rows(file->reader, number);
    if (group->end > file->rows)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "its row groups have more rows than the file");
    IST_TRY(ist__parquet_reader_read_group(file->reader, number, file->columns, file->column_count, &group->stream,
                                           err));
    int code = group->stream.get_schema(&group->stream, &group->schema);
    return code == 0 ? IST_OK : ist__stream_error(&group->stream, code, err);
}

ist_status ist__group_open(ist__group_reader *group, const ist__data_file *file, size_t number, ist_error *err)
{
    *group = (ist__group_reader){.file = file};
    if (open_group(group, file, number, err) != IST_OK) {
        ist__group_close(group);
        return ist_error_context(err, "data file %s", file->add->path);
    }
    return IST_OK;
}

void ist__group_close(ist__group_reader *group)
{
    if (group->stream.release)
        group->stream.release(&group->stream);
    if (group->schema.release)
        group->schema.release(&group->schema);
    free(group->keep);
    *group = (ist__group_reader){0};
}

/* The bits of the batch's rows with the first in the lowest bit. */
static ist_status keep_bits(ist__group_reader *group, int64_t count, const uint8_t **out, ist_error *err)
{
    const ist__data_file *file = group->file;
    *out = file->keep + group->position / 8;
    if (group->position % 8 == 0)
        return IST_OK;
    size_t size = (size_t)(count + 7) / 8;
    if (size > group->keep_size) {
        uint8_t *bits = realloc(group->keep, size);
        if (!bits)
            return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for deleted rows");
        group->keep = bits;
        group->keep_size = size;
    }
    ist__dv_slice(file->keep, file->rows, group->position, count, group->keep);
    *out = group->keep;
    return IST_OK;
}

/* The partition values of a file as arrays of length 1, for conforming. */
static ist_status partition_constants(const ist__plan *plan, const ist__add *add, struct ArrowArray *constants,
                                      ist_error *err)
{
    for (int64_t i = 0; i < plan->target.n_children; i++) {
        if (!plan->is_partition[i])
            continue;
        const char *text = ist__pairs_get(add->partition_values, plan->physical[i]);
        if (text && !*text)
            text = NULL; /* an empty string is null, for any type */
        if (ist__columns_parse(plan->target.children[i], text, &constants[i], err) != IST_OK)
            return ist_error_context(err, "partition column '%s'", plan->target.children[i]->name);
    }
    return IST_OK;
}

/* Bring a batch of the file into the plan's form. Takes the batch. */
static ist_status conform(const ist__group_reader *group, const ist__plan *plan, struct ArrowArray *batch,
                          struct ArrowArray *out, ist_error *err)
{
    struct ArrowArray *constants = NULL;
    ist_status status = ist__alloc((size_t)plan->target.n_children, sizeof *constants, (void **)&constants, err);
    if (status == IST_OK)
        status = partition_constants(plan, group->file->add, constants, err);
    if (status == IST_OK)
        status = ist__columns_conform(&group->schema, batch, &plan->target, plan->mode != IST__MAPPING_NONE, constants,
                                      out, err);
    else
        batch->release(batch);
    for (int64_t i = 0; constants && i < plan->target.n_children; i++) {
        if (constants[i].release)
            constants[i].release(&constants[i]);
    }
    free(constants);
    return status;
}

/* A batch of no columns, for a file that is not read. */
static ist_status next_counted(ist__group_reader *group, struct ArrowArray *out, ist_error *err)
{
    int64_t left = group->end - group->position;
    if (left == 0)
        return IST_OK;
    if (!group->schema.release &&
        (ArrowSchemaInitFromType(&group->schema, NANOARROW_TYPE_STRUCT) != NANOARROW_OK ||
         ArrowSchemaSetTypeStruct(&group->schema, 0) != NANOARROW_OK))
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for rows");
    if (ArrowArrayInitFromSchema(out, &group->schema, NULL) != NANOARROW_OK)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for rows");
    out->length = left < counted_batch_rows ? left : counted_batch_rows;
    return IST_OK;
}

/* The next batch of the file less its deleted rows. */
static ist_status next_live(ist__group_reader *group, struct ArrowArray *out, ist_error *err)
{
    const uint8_t *bits = NULL;
    struct ArrowArray batch = {0};
    if (!group->file->reader)
        IST_TRY(next_counted(group, &batch, err));
    int code = group->file->reader ? group->stream.get_next(&group->stream, &batch) : 0;
    if (code != 0)
        return ist__stream_error(&group->stream, code, err);
    *out = batch;
    if (!batch.release)
        return IST_OK;
    ist_status status = IST_OK;
    if (batch.length > group->end - group->position)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the file has more rows than its footer says");
    else if (group->file->keep)
        status = keep_bits(group, batch.length, &bits, err);
    group->position += batch.length;
    if (status == IST_OK && bits)
        return ist__columns_filter(&group->schema, &batch, bits, out, err);
    if (status != IST_OK)
        out->release(out);
    return status;
}

static ist_status next_rows(ist__group_reader *group, const ist__plan *plan, struct ArrowArray *out, ist_error *err)
{
    for (;;) {
        struct ArrowArray batch = {0}, conformed = {0};
        IST_TRY(next_live(group, &batch, err));
        *out = batch;
        if (!batch.release)
            return IST_OK;
        if (batch.length > 0) {
            IST_TRY(conform(group, plan, &batch, &conformed, err));
            *out = conformed;
            if (plan->predicate)
                IST_TRY(ist__predicate_filter(plan->predicate, &conformed, plan->rows.n_children, out, err));
            if (out->length > 0)
                return IST_OK;
        }
        out->release(out);
    }
}

ist_status ist__group_next(ist__group_reader *group, const ist__plan *plan, struct ArrowArray *out, ist_error *err)
{
    ist_status status = next_rows(group, plan, out, err);
    return status == IST_OK ? status : ist_error_context(err, "data file %s", group->file->add->path);
}
