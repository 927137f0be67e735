/*
 * writer.c: rows -> Parquet files under the table's location, and their add actions.
 *
 * Each batch is brought into the table's schema, split by partition values, and appended to its partition's open file;
 * without partition columns nothing is copied. A file is rolled over near the target size. Rows of many partitions keep
 * many files open, so two named maxima bound the memory: OPEN_FILES_MAX (the least recently used file is closed) and
 * BUFFERED_BYTES_MAX (the file with most bytes not yet written is closed).
 *
 * Names: `col=value/` folders as Hive and Spark have them; with delta.randomizeFilePrefixes, or column mapping (whose
 * names of columns are not for eyes and may change), a few random characters instead. A file name holds a new UUID, so a
 * retried task never overwrites what the first try wrote.
 *
 * Compression is delta.parquet.compression.codec, else zstd at level 1, which PROTOCOL.md recommends as the default:
 * measured on the benchmark's table it costs no more CPU than snappy once the bytes saved are counted, and files are
 * smaller.
 */
#include "delta/writer_internal.h"
#include "shim/columns.h"
#include "shim/stream.h"

#include <limits.h>
#include <nanoarrow/nanoarrow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { OPEN_FILES_MAX = 64, RANDOM_PREFIX_LENGTH = 2, RANDOM_PREFIX_MAX = 64, ZSTD_LEVEL = 1, SLICE_ROWS = 1 << 20 };
static const int64_t buffered_bytes_max = (int64_t)512 << 20;

static const struct codec {
    const char *property; /* value of delta.parquet.compression.codec */
    const char *parquet;
    const char *extension;
    int level;
} codecs[] = {
    {"zstd", "zstd", ".zstd", ZSTD_LEVEL},
    {"snappy", "snappy", ".snappy", INT_MIN},
    {"gzip", "gzip", ".gz", INT_MIN},
    {"lz4_raw", "lz4", ".lz4raw", INT_MIN},
    {"lz4", "lz4", ".lz4raw", INT_MIN}, /* Hadoop's framing is deprecated; every reader of it reads the raw form too */
    {"uncompressed", "uncompressed", "", INT_MIN},
    {"none", "uncompressed", "", INT_MIN},
};

/* A data file being written, the only one of its partition. */
typedef struct open_file {
    struct open_file *next;
    char *key; /* the partition's values, key_size bytes: see make_key */
    size_t key_size;
    ist__pair *values;
    char *path;
    ist_store_writer *object;
    ist__parquet_writer *parquet;
    int64_t bytes; /* that reached the store */
    int64_t rows;
    int64_t *list_nulls;
    uint64_t used; /* the writer's clock when rows came last */
} open_file;

struct ist_writer {
    ist_store *store;
    ist__arena *arena;
    ist__context context;
    const struct codec *codec;
    struct ArrowSchema logical;     /* the table's */
    struct ArrowSchema file_schema; /* physical names; without partition columns and void columns */
    int *file_columns;              /* field i of file_schema in logical */
    int *partitions;                /* partition column i in logical */
    const char **partition_names;   /* physical */
    size_t partition_count;
    int64_t random_prefix; /* characters of it; 0: partition folders */
    bool *indexed;         /* columns with statistics: stats.c */
    size_t column_count;
    open_file *open;
    size_t open_count;
    uint64_t clock;
    uint32_t next_number;
    ist_buffer actions;
    bool finished; /* the files are the caller's */
};

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a writer");
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

static bool is_void(const struct ArrowSchema *field)
{
    return strcmp(field->format, "n") == 0;
}

/* void has no place in Parquet: such a column is left out of the files, but a nested one cannot be. */
static ist_status check_void(const struct ArrowSchema *field, bool top, ist_error *err)
{
    if (is_void(field) && !top)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "a column of type void inside another cannot be written");
    for (int64_t i = 0; i < field->n_children; i++)
        IST_TRY(check_void(field->children[i], false, err));
    return IST_OK;
}

static int find_column(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        if (strcmp(schema->children[i]->name, name) == 0)
            return (int)i;
    return -1;
}

/* A schema of some fields of another. */
static ist_status select_fields(const struct ArrowSchema *from, const int *columns, size_t count,
                                struct ArrowSchema *out, ist_error *err)
{
    ArrowSchemaInit(out);
    int failed = ArrowSchemaSetTypeStruct(out, (int64_t)count) || ArrowSchemaSetName(out, "");
    for (size_t i = 0; i < count && !failed; i++) {
        ArrowSchemaRelease(out->children[i]);
        failed = ArrowSchemaDeepCopy(from->children[columns[i]], out->children[i]);
    }
    if (!failed)
        return IST_OK;
    ArrowSchemaRelease(out);
    return no_memory(err);
}

static ist_status split_columns(ist_writer *w, ist_error *err)
{
    struct ArrowSchema physical = {.release = NULL}, data = {.release = NULL};
    size_t fields = (size_t)w->logical.n_children, data_count = 0;
    ist_status status;
    w->partition_count = w->context.partition_columns.count;
    IST_TRY_GOTO(ist__alloc(fields, sizeof *w->file_columns, (void **)&w->file_columns, err));
    IST_TRY_GOTO(ist__alloc(w->partition_count, sizeof *w->partitions, (void **)&w->partitions, err));
    IST_TRY_GOTO(ist__alloc(w->partition_count, sizeof *w->partition_names, (void **)&w->partition_names, err));
    IST_TRY_GOTO(ist__schema_physical(&w->logical, &physical, err));
    for (size_t i = 0; i < w->partition_count; i++) {
        const char *name = w->context.partition_columns.items[i];
        w->partitions[i] = find_column(&w->logical, name);
        if (w->partitions[i] < 0) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the schema has no partition column '%s'", name);
            goto done;
        }
        const char *physical_name = physical.children[w->partitions[i]]->name;
        w->partition_names[i] = ist__arena_copy(w->arena, physical_name, strlen(physical_name));
        if (!w->partition_names[i]) {
            status = no_memory(err);
            goto done;
        }
    }
    for (size_t i = 0; i < fields; i++) {
        IST_TRY_GOTO(check_void(w->logical.children[i], true, err));
        if (!is_void(w->logical.children[i]) &&
            !ist__strings_contain(w->context.partition_columns, w->logical.children[i]->name))
            w->file_columns[data_count++] = (int)i;
    }
    if (data_count == 0) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the table has no column that its files could hold");
        goto done;
    }
    IST_TRY_GOTO(select_fields(&physical, w->file_columns, data_count, &w->file_schema, err));
    IST_TRY_GOTO(select_fields(&w->logical, w->file_columns, data_count, &data, err));
    status = ist__stats_plan(&data, w->context.configuration, &w->indexed, &w->column_count, err);
done:
    if (data.release)
        data.release(&data);
    if (physical.release)
        physical.release(&physical);
    return status;
}

static ist_status choose_layout(ist_writer *w, ist_error *err)
{
    ist__pairs properties = w->context.configuration;
    const char *name = ist__pairs_get(properties, "delta.parquet.compression.codec");
    ist__metadata metadata = {.configuration = properties};
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0] && !w->codec; i++)
        if (strcasecmp(name ? name : "zstd", codecs[i].property) == 0)
            w->codec = &codecs[i];
    if (!w->codec)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "Isthmus cannot compress with '%s' (delta.parquet.compression.codec): use zstd, snappy, "
                             "gzip, lz4_raw or uncompressed", name);
    if (ist__property_true(properties, "delta.randomizeFilePrefixes") ||
        ist__schema_mapping_mode(&metadata) != IST__MAPPING_NONE) {
        w->random_prefix = ist__property_number(properties, "delta.randomPrefixLength", 1, RANDOM_PREFIX_LENGTH);
        if (w->random_prefix > RANDOM_PREFIX_MAX)
            w->random_prefix = RANDOM_PREFIX_MAX;
    }
    return IST_OK;
}

ist_status ist_writer_open(ist_store *store, const char *context, ist_writer **out, ist_error *err)
{
    ist_writer *w = NULL;
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *w, (void **)&w, err));
    w->store = store;
    IST_TRY_GOTO(ist__arena_new(&w->arena, err));
    IST_TRY_GOTO(ist__context_parse(context, w->arena, &w->context, err));
    IST_TRY_GOTO(ist__schema_to_arrow(w->context.schema, &w->logical, err));
    IST_TRY_GOTO(split_columns(w, err));
    status = choose_layout(w, err);
done:
    if (status == IST_OK)
        *out = w;
    else
        ist_writer_free(w);
    return status;
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

static ist_status sink_write(void *self, const void *data, size_t size, ist_error *err)
{
    open_file *file = self;
    IST_TRY(ist_store_writer_write(file->object, data, size, err));
    file->bytes += (int64_t)size;
    return IST_OK;
}

static void free_file(open_file *file)
{
    if (!file)
        return;
    ist__parquet_writer_free(file->parquet);
    ist_store_writer_free(file->object);
    free(file->key);
    free(file->path);
    free(file->list_nulls);
    free(file);
}

/* A name or value in a folder's name: what Hive and Spark escape is escaped. */
static ist_status append_escaped(const char *text, ist_buffer *out, ist_error *err)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7F || strchr("\"#%'*/:=?\\{[]^", *p))
            IST_TRY(ist_buffer_printf(out, err, "%%%02X", (unsigned char)*p));
        else
            IST_TRY(ist_buffer_append(out, p, 1, err));
    }
    return IST_OK;
}

static ist_status name_file(ist_writer *w, const ist__pair *values, char **path, ist_error *err)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    ist_buffer name = IST_BUFFER_INIT;
    char uuid[37];
    ist_status status = IST_OK;
    if (w->context.change_data)
        IST_TRY_GOTO(ist_buffer_append_string(&name, "_change_data/", err));
    for (int64_t i = 0; i < w->random_prefix; i++)
        IST_TRY_GOTO(ist_buffer_append(&name, &alphabet[arc4random_uniform(sizeof alphabet - 1)], 1, err));
    if (w->random_prefix)
        IST_TRY_GOTO(ist_buffer_append(&name, "/", 1, err));
    for (size_t i = 0; i < w->partition_count && !w->random_prefix; i++) {
        IST_TRY_GOTO(append_escaped(values[i].key, &name, err));
        IST_TRY_GOTO(ist_buffer_append(&name, "=", 1, err));
        IST_TRY_GOTO(append_escaped(values[i].value ? values[i].value : "__HIVE_DEFAULT_PARTITION__", &name, err));
        IST_TRY_GOTO(ist_buffer_append(&name, "/", 1, err));
    }
    ist__uuid(uuid);
    IST_TRY_GOTO(ist_buffer_printf(&name, err, "%s-%05u-%s.c000%s.parquet", w->context.change_data ? "cdc" : "part",
                                   w->next_number++, uuid, w->codec->extension));
    status = ist__strdup(name.data, path, err);
done:
    ist_buffer_free(&name);
    return status;
}

/* Close a file and note its add action. Takes it. */
static ist_status finish_file(ist_writer *w, open_file *file, ist_error *err)
{
    ist__parquet_leaf *leaves = NULL;
    size_t leaf_count = 0;
    ist_buffer path = IST_BUFFER_INIT, stats = IST_BUFFER_INIT;
    ist__action action;
    ist_status status;
    IST_TRY_GOTO(ist__parquet_writer_close(file->parquet, &leaves, &leaf_count, err));
    IST_TRY_GOTO(ist_store_writer_close(file->object, err));
    ist__file_stats known = {file->rows, leaves, leaf_count, w->indexed, file->list_nulls};
    IST_TRY_GOTO(ist__stats_format(&w->file_schema, &known, &stats, err));
    IST_TRY_GOTO(ist__uri_encode(file->path, strlen(file->path), "/=", &path, err));
    const ist__pairs values = {file->values, w->partition_count};
    if (w->context.change_data) {
        ist__action_init(&action, IST__CDC);
        action.cdc.path = path.data;
        action.cdc.partition_values = values;
        action.cdc.size = file->bytes;
    } else {
        ist__action_init(&action, IST__ADD);
        action.add.path = path.data;
        action.add.partition_values = values;
        action.add.size = file->bytes;
        action.add.modification_time = ist__now_ms();
        action.add.data_change = true;
        action.add.stats = stats.data;
    }
    status = ist__action_format(&action, &w->actions, err);
done:
    if (status != IST_OK)
        ist_store_delete(w->store, file->path, NULL); /* in case it was closed: nobody would know of it */
    ist__parquet_leaves_free(leaves, leaf_count);
    ist_buffer_free(&path);
    ist_buffer_free(&stats);
    free_file(file);
    return status;
}

static void unlink_file(ist_writer *w, open_file *file)
{
    open_file **at = &w->open;
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    w->open_count--;
}

/* Keep to the two maxima; `spare` is the file that is being written to. */
static ist_status bound_memory(ist_writer *w, const open_file *spare, ist_error *err)
{
    int64_t total = 0, most = 0;
    open_file *oldest = NULL, *largest = NULL;
    for (open_file *file = w->open; file; file = file->next) {
        int64_t held = ist__parquet_writer_buffered(file->parquet);
        total += held;
        if (file != spare && (!oldest || file->used < oldest->used))
            oldest = file;
        if (file != spare && held > most) {
            largest = file;
            most = held;
        }
    }
    open_file *victim = w->open_count > OPEN_FILES_MAX ? oldest : total > buffered_bytes_max ? largest : NULL;
    if (!victim)
        return IST_OK;
    unlink_file(w, victim);
    return finish_file(w, victim, err);
}

static ist_status open_new(ist_writer *w, const char *key, size_t key_size, open_file **out, ist_error *err)
{
    open_file *file = NULL;
    ist__parquet_writer_options options = {w->codec->parquet, w->codec->level, 0, true};
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *file, (void **)&file, err));
    IST_TRY_GOTO(ist__alloc(key_size, 1, (void **)&file->key, err));
    if (key_size)
        memcpy(file->key, key, key_size);
    file->key_size = key_size;
    IST_TRY_GOTO(ist__alloc(w->column_count, sizeof *file->list_nulls, (void **)&file->list_nulls, err));
    /* The values live as long as the writer: their number is that of the partitions. */
    file->values = ist__arena_alloc(w->arena, (w->partition_count + 1) * sizeof *file->values);
    if (!file->values) {
        status = no_memory(err);
        goto done;
    }
    const char *at = key;
    for (size_t i = 0; i < w->partition_count; i++) {
        file->values[i] = (ist__pair){w->partition_names[i], NULL};
        bool is_null = *at++ == 0;
        if (is_null)
            continue;
        file->values[i].value = ist__arena_copy(w->arena, at, strlen(at));
        if (!file->values[i].value) {
            status = no_memory(err);
            goto done;
        }
        at += strlen(at) + 1;
    }
    IST_TRY_GOTO(name_file(w, file->values, &file->path, err));
    IST_TRY_GOTO(ist_store_writer_open(w->store, file->path, &file->object, err));
    ist__sink sink = {file, sink_write};
    IST_TRY_GOTO(ist__parquet_writer_open(sink, &w->file_schema, &options, &file->parquet, err));
    file->next = w->open;
    w->open = file;
    w->open_count++;
done:
    if (status == IST_OK)
        *out = file;
    else
        free_file(file);
    return status;
}

/* Append a batch of file_schema to the file of a partition. Takes the batch. */
static ist_status append_batch(ist_writer *w, const char *key, size_t key_size, struct ArrowArray *batch,
                               ist_error *err)
{
    open_file *file = w->open;
    ist_status status = IST_OK;
    while (file && (file->key_size != key_size || (key_size && memcmp(file->key, key, key_size) != 0)))
        file = file->next;
    if (!file)
        IST_TRY_GOTO(open_new(w, key, key_size, &file, err));
    file->used = ++w->clock;
    file->rows += batch->length;
    ist__stats_count_nulls(&w->file_schema, batch, file->list_nulls);
    IST_TRY_GOTO(ist__parquet_writer_write(file->parquet, batch, err));
    if (ist__parquet_writer_size(file->parquet) < w->context.target_file_bytes || w->context.target_file_bytes <= 0)
        return bound_memory(w, file, err);
    unlink_file(w, file);
    return finish_file(w, file, err);
done:
    if (batch->release)
        batch->release(batch);
    return status;
}

/* ---- splitting ---------------------------------------------------------------------------------------------- */

/* The file's columns of a batch of the whole schema, moved out of it. Takes the batch. */
static ist_status take_columns(ist_writer *w, struct ArrowArray *batch, struct ArrowArray *out, ist_error *err)
{
    int64_t count = w->file_schema.n_children;
    out->release = NULL;
    int failed = ArrowArrayInitFromType(out, NANOARROW_TYPE_STRUCT) || ArrowArrayAllocateChildren(out, count);
    for (int64_t i = 0; i < count && !failed; i++) {
        struct ArrowArray *column = batch->children[w->file_columns[i]];
        ArrowArrayMove(column, out->children[i]);
        out->children[i]->offset += batch->offset;
        out->children[i]->length = batch->length;
        if (batch->offset)
            out->children[i]->null_count = -1;
    }
    if (!failed) {
        out->length = batch->length;
        failed = ArrowArrayFinishBuilding(out, NANOARROW_VALIDATION_LEVEL_NONE, NULL);
    }
    batch->release(batch);
    if (!failed)
        return IST_OK;
    if (out->release)
        out->release(out);
    return no_memory(err);
}

/*
 * A partition's values as bytes that are equal when the values are: for each a 0 (null) or a 1 and the text with its NUL.
 * An empty string is null in a Delta partition.
 */
static ist_status make_key(const ist_writer *w, const struct ArrowSchema *schema, const struct ArrowArray *keys,
                           int64_t row, ist_buffer *out, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    ist_buffer_clear(out);
    for (size_t i = 0; i < w->partition_count; i++) {
        bool is_null = false;
        ist_buffer_clear(&text);
        IST_TRY_GOTO(ist__columns_format(schema->children[i], keys->children[i], row, &text, &is_null, err));
        is_null = is_null || text.size == 0;
        const char *column = w->context.partition_columns.items[i];
        if (is_null && !(w->logical.children[w->partitions[i]]->flags & ARROW_FLAG_NULLABLE)) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                   "column '%s' must not be null, and an empty value of a partition column is null",
                                   column);
            goto done;
        }
        if (!is_null && strlen(text.data) != text.size) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                   "a value of partition column '%s' has a NUL character", column);
            goto done;
        }
        IST_TRY_GOTO(ist_buffer_append(out, is_null ? "\0" : "\1", 1, err));
        if (!is_null)
            IST_TRY_GOTO(ist_buffer_append(out, text.data, text.size + 1, err));
    }
done:
    ist_buffer_free(&text);
    return status;
}

/* Row numbers ordered by group; start[g] is where group g begins, start[count] the end. */
static ist_status order_rows(const uint32_t *groups, int64_t rows, size_t count, int64_t **order, size_t **start,
                             ist_error *err)
{
    IST_TRY(ist__alloc((size_t)rows, sizeof **order, (void **)order, err));
    IST_TRY(ist__alloc(count + 2, sizeof **start, (void **)start, err));
    size_t *next = *start + 1; /* next[g] moves from the begin of g to its end, which is start[g + 1] */
    for (int64_t i = 0; i < rows; i++)
        next[groups[i] + 1]++;
    for (size_t g = 1; g <= count; g++)
        next[g] += next[g - 1];
    for (int64_t i = 0; i < rows; i++)
        (*order)[next[groups[i]]++] = i;
    return IST_OK;
}

static ist_status write_partitioned(ist_writer *w, struct ArrowArray *batch, ist_error *err)
{
    struct ArrowSchema keys_schema = {.release = NULL};
    struct ArrowArray keys = {.release = NULL}, data = {.release = NULL}, part = {.release = NULL};
    uint32_t *groups = NULL;
    int64_t *order = NULL, rows = batch->length;
    size_t *start = NULL;
    ist_buffer key = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(ist__alloc((size_t)rows, sizeof *groups, (void **)&groups, err));
    IST_TRY_GOTO(ist__columns_group(&w->logical, batch, w->partitions, w->partition_count, groups, &keys_schema, &keys,
                                    err));
    IST_TRY_GOTO(take_columns(w, batch, &data, err));
    if (keys.length == 1) {
        IST_TRY_GOTO(make_key(w, &keys_schema, &keys, 0, &key, err));
        status = append_batch(w, key.data, key.size, &data, err);
        goto done;
    }
    IST_TRY_GOTO(order_rows(groups, rows, (size_t)keys.length, &order, &start, err));
    for (int64_t g = 0; g < keys.length; g++) {
        IST_TRY_GOTO(make_key(w, &keys_schema, &keys, g, &key, err));
        IST_TRY_GOTO(ist__columns_take(&w->file_schema, &data, order + start[g], start[g + 1] - start[g], &part, err));
        IST_TRY_GOTO(append_batch(w, key.data, key.size, &part, err));
    }
done:
    if (batch->release)
        batch->release(batch);
    if (data.release)
        data.release(&data);
    if (keys.release)
        keys.release(&keys);
    if (keys_schema.release)
        keys_schema.release(&keys_schema);
    free(groups);
    free(order);
    free(start);
    ist_buffer_free(&key);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* Extension types are written as what they are stored as: without its metadata a field is just its storage. */
static int strip_metadata(struct ArrowSchema *field)
{
    int failed = ArrowSchemaSetMetadata(field, NULL);
    for (int64_t i = 0; i < field->n_children && !failed; i++)
        failed = strip_metadata(field->children[i]);
    return failed || (field->dictionary && strip_metadata(field->dictionary));
}

/*
 * Every field of the rows must be one of the context's, in structs too: the driver has seen some blocks of a data set, and
 * a column that only others have would be lost. Lists and maps are looked into by place.
 */
static ist_status check_known(const struct ArrowSchema *given, const struct ArrowSchema *known, const char *path,
                              ist_error *err)
{
    bool named = strcmp(given->format, "+s") == 0;
    if (!known->format || named != (strcmp(known->format, "+s") == 0))
        return IST_OK; /* of another type: conforming tells */
    for (int64_t i = 0; i < given->n_children; i++) {
        const struct ArrowSchema *field = given->children[i], *found = NULL;
        char below[256];
        snprintf(below, sizeof below, "%s%s%s", path, named && *path ? "." : "", named ? field->name : "");
        for (int64_t k = 0; named && k < known->n_children && !found; k++)
            if (strcmp(known->children[k]->name, field->name) == 0)
                found = known->children[k];
        if (named && !found)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                 "column '%s' of the rows is not in the table; add it with mergeSchema or drop it", below);
        if (!named)
            found = i < known->n_children ? known->children[i] : NULL;
        if (found)
            IST_TRY(check_known(field, found, below, err));
    }
    return IST_OK;
}

static ist_status stream_failed(struct ArrowArrayStream *stream, int code, ist_error *err)
{
    ist__stream_error(stream, code, err);
    return ist_error_context(err, "reading the rows failed");
}

/* Rows of the table's schema. Takes them. */
static ist_status write_rows(ist_writer *w, struct ArrowArray *rows, ist_error *err)
{
    struct ArrowArray data = {.release = NULL};
    if (w->partition_count)
        return write_partitioned(w, rows, err);
    if (w->file_schema.n_children == w->logical.n_children)
        return append_batch(w, NULL, 0, rows, err);
    IST_TRY(take_columns(w, rows, &data, err));
    return append_batch(w, NULL, 0, &data, err);
}

/* Rows [first, first + count) of a shared batch, without copying. */
static int slice(struct ArrowArray *shared, int64_t first, int64_t count, struct ArrowArray *out)
{
    if (ArrowArrayCloneShared(shared, out))
        return -1;
    for (int64_t i = 0; i < out->n_children; i++) {
        struct ArrowArray *column = out->children[i];
        column->offset += shared->offset + first;
        column->length = count;
        column->null_count = column->null_count == 0 ? 0 : -1;
    }
    out->offset = 0;
    out->length = count;
    return 0;
}

/* A batch may be a whole table: in slices of a row group's size, files can roll in the middle of it. */
static ist_status write_batch(ist_writer *w, const struct ArrowSchema *schema, struct ArrowArray *batch, ist_error *err)
{
    struct ArrowArray rows = {.release = NULL}, shared = {.release = NULL}, part = {.release = NULL};
    ist_status status = IST_OK;
    if (batch->length == 0) {
        batch->release(batch);
        return IST_OK;
    }
    IST_TRY(ist__columns_conform(schema, batch, &w->logical, false, NULL, &rows, err));
    if (rows.length <= SLICE_ROWS)
        return write_rows(w, &rows, err);
    if (ArrowArrayMoveShared(&rows, &shared))
        return no_memory(err);
    for (int64_t first = 0; first < shared.length && status == IST_OK; first += SLICE_ROWS) {
        int64_t left = shared.length - first;
        status = slice(&shared, first, left < SLICE_ROWS ? left : SLICE_ROWS, &part) ? no_memory(err)
                                                                                    : write_rows(w, &part, err);
    }
    shared.release(&shared);
    return status;
}

ist_status ist_writer_write(ist_writer *writer, struct ArrowArrayStream *stream, ist_error *err)
{
    struct ArrowSchema given = {.release = NULL}, schema = {.release = NULL};
    struct ArrowArray batch = {.release = NULL};
    ist_status status = IST_OK;
    int code = stream->get_schema(stream, &given);
    if (code) {
        status = stream_failed(stream, code, err);
        goto done;
    }
    if (ArrowSchemaDeepCopy(&given, &schema) || strip_metadata(&schema)) {
        status = no_memory(err);
        goto done;
    }
    IST_TRY_GOTO(check_known(&schema, &writer->logical, "", err));
    for (;;) {
        code = stream->get_next(stream, &batch);
        if (code) {
            status = stream_failed(stream, code, err);
            goto done;
        }
        if (!batch.release)
            break;
        IST_TRY_GOTO(write_batch(writer, &schema, &batch, err));
    }
done:
    if (status != IST_OK)
        ist_error_context(err, "table %s", writer->context.table_name);
    if (given.release)
        given.release(&given);
    if (schema.release)
        schema.release(&schema);
    stream->release(stream);
    return status;
}

ist_status ist_writer_finish(ist_writer *writer, ist_buffer *actions, ist_error *err)
{
    while (writer->open) {
        open_file *file = writer->open;
        unlink_file(writer, file);
        ist_status status = finish_file(writer, file, err);
        if (status != IST_OK) {
            ist_error_context(err, "table %s", writer->context.table_name);
            return status;
        }
    }
    IST_TRY(ist_buffer_append(actions, writer->actions.data, writer->actions.size, err));
    writer->finished = true;
    return IST_OK;
}

void ist_writer_free(ist_writer *writer)
{
    if (!writer)
        return;
    while (writer->open) {
        open_file *file = writer->open;
        unlink_file(writer, file);
        free_file(file);
    }
    if (!writer->finished && writer->actions.size)
        ist_writer_discard(writer->store, writer->actions.data, writer->actions.size);
    if (writer->logical.release)
        writer->logical.release(&writer->logical);
    if (writer->file_schema.release)
        writer->file_schema.release(&writer->file_schema);
    free(writer->file_columns);
    free(writer->partitions);
    free(writer->partition_names);
    free(writer->indexed);
    ist_buffer_free(&writer->actions);
    ist__arena_free(writer->arena);
    free(writer);
}

static ist_status discard_one(const ist__action *action, void *payload, ist_error *err)
{
    ist_store *store = payload;
    ist_buffer path = IST_BUFFER_INIT;
    (void)err;
    const char *file = action->kind == IST__ADD ? action->add.path : action->kind == IST__CDC ? action->cdc.path : NULL;
    if (file && ist__data_path(store, file, &path, NULL) == IST_OK)
        ist_store_delete(store, path.data, NULL);
    ist_buffer_free(&path);
    return IST_OK;
}

void ist_writer_discard(ist_store *store, const char *actions, size_t actions_size)
{
    ist__arena *arena = NULL;
    if (ist__arena_new(&arena, NULL) == IST_OK)
        ist__actions_each(actions, actions_size, "writer actions", arena, discard_one, store, NULL);
    ist__arena_free(arena);
}
