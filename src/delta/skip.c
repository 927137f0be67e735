/*
 * skip.c: which files may hold rows that a predicate is true for, by what the log says of them.
 *
 * A partition value is every row's value. Statistics are bounds: of all rows that are in the file, deleted ones too, so
 * a deletion vector makes none of them wrong; some are cut short or rounded, for which the judge allows (predicate.cc).
 * What is absent, or is no value of the column's type, tells nothing.
 */
#include "delta/scan_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A column that the predicate has bounds for, as the log calls it. */
typedef struct log_column {
    bool is_partition;
    size_t depth;
    const char **names; /* physical, from the outermost field to the column */
} log_column;

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to choose files");
}

static ist_status name_column(const ist__plan *plan, size_t i, ist__arena *arena, log_column *out, ist_error *err)
{
    const int *path = ist__predicate_bounded(plan->predicate, i, &out->depth);
    const struct ArrowSchema *field = &plan->target;
    out->is_partition = plan->is_partition[path[0]];
    out->names = ist__arena_alloc(arena, out->depth * sizeof *out->names);
    if (!out->names)
        return no_memory(err);
    for (size_t level = 0; level < out->depth; level++) {
        const char *name;
        size_t size;
        field = field->children[path[level]];
        if (plan->mode == IST__MAPPING_NONE || !ist__plan_metadata(field, IST__KEY_PHYSICAL, &name, &size)) {
            name = field->name;
            size = strlen(name);
        }
        out->names[level] = ist__arena_copy(arena, name, size);
        if (!out->names[level])
            return no_memory(err);
    }
    return IST_OK;
}

/* The column's value in minValues, maxValues or nullCount. */
static yyjson_val *find_value(yyjson_val *values, const log_column *column)
{
    for (size_t level = 0; level < column->depth; level++)
        values = yyjson_obj_get(values, column->names[level]);
    return values;
}

/* A bound as text, which the arena holds. */
static ist_status read_bound(yyjson_val *value, ist__arena *arena, const char **text, size_t *size, ist_error *err)
{
    const char *found = NULL;
    if (yyjson_is_str(value) || yyjson_is_raw(value)) {
        found = yyjson_is_str(value) ? yyjson_get_str(value) : yyjson_get_raw(value);
        *size = yyjson_get_len(value);
    } else if (yyjson_is_bool(value)) {
        found = yyjson_get_bool(value) ? "true" : "false";
        *size = strlen(found);
    }
    if (!found)
        return IST_OK;
    *text = ist__arena_copy(arena, found, *size);
    return *text ? IST_OK : no_memory(err);
}

/* A count; -1 where there is none. */
static int64_t read_count(yyjson_val *value)
{
    char *end;
    if (!yyjson_is_raw(value))
        return -1;
    errno = 0;
    long long count = strtoll(yyjson_get_raw(value), &end, 10);
    return errno == 0 && *end == '\0' && count >= 0 ? count : -1;
}

static ist_status read_statistics(yyjson_val *stats, const log_column *column, ist__arena *arena, ist__bounds *out,
                                  ist_error *err)
{
    int64_t nulls = read_count(find_value(yyjson_obj_get(stats, "nullCount"), column));
    out->no_nulls = nulls == 0;
    out->no_values = nulls >= 0 && nulls == read_count(yyjson_obj_get(stats, "numRecords"));
    IST_TRY(read_bound(find_value(yyjson_obj_get(stats, "minValues"), column), arena, &out->min, &out->min_size, err));
    return read_bound(find_value(yyjson_obj_get(stats, "maxValues"), column), arena, &out->max, &out->max_size, err);
}

static void read_partition(const ist__add *file, const log_column *column, ist__bounds *out)
{
    const char *text = ist__pairs_get(file->partition_values, column->names[0]);
    out->exact = true;
    out->no_values = !text || !*text; /* an empty string is null, for any type */
    out->no_nulls = !out->no_values;
    if (out->no_nulls) {
        out->min = out->max = text;
        out->min_size = out->max_size = strlen(text);
    }
}

static ist_status read_file(const ist__add *file, const log_column *columns, size_t count, ist__arena *arena,
                            ist__bounds *out, ist_error *err)
{
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    for (size_t i = 0; i < count && status == IST_OK; i++) {
        if (columns[i].is_partition) {
            read_partition(file, &columns[i], &out[i]);
            continue;
        }
        if (!doc && file->stats)
            doc = yyjson_read_opts((char *)file->stats, strlen(file->stats), YYJSON_READ_NUMBER_AS_RAW,
                                   ist__arena_json(arena), NULL);
        status = read_statistics(yyjson_doc_get_root(doc), &columns[i], arena, &out[i], err);
    }
    yyjson_doc_free(doc);
    return status;
}

ist_status ist__skip_files(const ist__plan *plan, const ist__add *files, size_t count, bool *may_match, ist_error *err)
{
    size_t column_count = ist__predicate_bounded_count(plan->predicate);
    ist__arena *arena = NULL;
    log_column *columns = NULL;
    ist__bounds *bounds = NULL;
    ist_status status;
    IST_TRY_GOTO(ist__arena_new(&arena, err));
    IST_TRY_GOTO(ist__alloc(column_count, sizeof *columns, (void **)&columns, err));
    IST_TRY_GOTO(ist__alloc(count * column_count, sizeof *bounds, (void **)&bounds, err));
    for (size_t i = 0; i < column_count; i++)
        IST_TRY_GOTO(name_column(plan, i, arena, &columns[i], err));
    for (size_t i = 0; i < count; i++)
        IST_TRY_GOTO(read_file(&files[i], columns, column_count, arena, bounds + i * column_count, err));
    status = ist__predicate_prune(plan->predicate, bounds, count, may_match, err);
done:
    free(bounds);
    free(columns);
    ist__arena_free(arena);
    return status;
}
