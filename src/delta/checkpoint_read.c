/*
 * checkpoint_read.c: the actions of a checkpoint: Parquet (classic, a part, V2), JSON (V2), and the sidecars of V2.
 *
 * A Parquet checkpoint has one struct column per kind of action, and each row sets one of them. The columns are walked
 * one after the other by the same tables of fields that JSON is read by; the order of actions in a checkpoint means
 * nothing. Where a writer left out `stats` in favour of `stats_parsed`, the JSON text is made from it.
 */
#include "delta/delta_internal.h"
#include "shim/parquet.h"
#include "shim/stream.h"

#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIELDS_MAX = 16, SIDECARS_MAX = 1 << 20, BATCH_ROWS = 16 << 10, DEPTH_MAX = 100 };

/* ---- one struct column -> actions ----------------------------------------------------------------------------- */

/* Where the fields of an action stand among a struct's children. */
typedef struct binding {
    const struct ArrowSchema *schema;
    const ist__field *fields;
    size_t field_count;
    int children[FIELDS_MAX]; /* -1: the file has none */
    int stats_parsed;
    ist__action_kind kind;
} binding;

typedef struct checkpoint_reader {
    ist__arena *arena;
    ist_buffer scratch; /* for statistics made from stats_parsed */
    ist__action_cb cb;
    void *payload;
} checkpoint_reader;

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a checkpoint's action");
}

static int find_child(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, name) == 0)
            return (int)i;
    }
    return -1;
}

static bool is_text(enum ArrowType type)
{
    return type == NANOARROW_TYPE_STRING || type == NANOARROW_TYPE_LARGE_STRING ||
           type == NANOARROW_TYPE_STRING_VIEW || type == NANOARROW_TYPE_BINARY;
}

static enum ArrowType type_of(const struct ArrowSchema *schema)
{
    struct ArrowSchemaView view;
    return ArrowSchemaViewInit(&view, schema, NULL) == NANOARROW_OK ? view.type : NANOARROW_TYPE_UNINITIALIZED;
}

static ist_status check_type(const ist__field *field, const struct ArrowSchema *schema, const char *owner,
                             ist_error *err)
{
    enum ArrowType type = type_of(schema);
    bool good = false;
    switch (field->kind) {
    case IST__FIELD_STRING:
    case IST__FIELD_CHAR:
        good = is_text(type);
        break;
    case IST__FIELD_INT32:
    case IST__FIELD_INT64:
        good = type == NANOARROW_TYPE_INT64 || type == NANOARROW_TYPE_INT32;
        break;
    case IST__FIELD_BOOL:
        good = type == NANOARROW_TYPE_BOOL;
        break;
    case IST__FIELD_PAIRS:
        good = type == NANOARROW_TYPE_MAP && is_text(type_of(schema->children[0]->children[0])) &&
               is_text(type_of(schema->children[0]->children[1]));
        break;
    case IST__FIELD_STRINGS:
        good = type == NANOARROW_TYPE_LIST && is_text(type_of(schema->children[0]));
        break;
    case IST__FIELD_DV:
    case IST__FIELD_FORMAT:
        good = type == NANOARROW_TYPE_STRUCT;
        break;
    }
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "column %s.%s has an unexpected type (Arrow format '%s')",
                             owner, field->name, schema->format);
    return IST_OK;
}

static ist_status bind(const struct ArrowSchema *schema, const char *owner, const ist__field *fields, size_t count,
                       binding *out, ist_error *err)
{
    *out = (binding){.schema = schema, .fields = fields, .field_count = count, .stats_parsed = -1};
    if (type_of(schema) != NANOARROW_TYPE_STRUCT || count > FIELDS_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "column %s is not a struct", owner);
    for (size_t i = 0; i < count; i++) {
        out->children[i] = find_child(schema, fields[i].name);
        if (out->children[i] >= 0)
            IST_TRY(check_type(&fields[i], schema->children[out->children[i]], owner, err));
    }
    return IST_OK;
}

static ist_status read_text(const struct ArrowArrayView *view, int64_t row, const char *owner, const char *name,
                            ist__arena *arena, const char **out, ist_error *err)
{
    struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(view, row);
    if (memchr(text.data, '\0', (size_t)text.size_bytes))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s holds a NUL character", owner, name);
    *out = ist__arena_copy(arena, text.data, (size_t)text.size_bytes);
    return *out ? IST_OK : no_memory(err);
}

/* The elements [*first, *first + *count) of a list's or map's child, checked against its length. */
static ist_status read_extent(const struct ArrowArrayView *view, int64_t row, const struct ArrowArrayView *child,
                              int64_t *first, int64_t *count, ist_error *err)
{
    *first = ArrowArrayViewListChildOffset(view, view->offset + row);
    *count = ArrowArrayViewListChildOffset(view, view->offset + row + 1) - *first;
    if (*first < 0 || *count < 0 || *first > child->length || *count > child->length - *first)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a list is out of bounds");
    return IST_OK;
}

static ist_status read_pairs(const struct ArrowArrayView *view, int64_t row, const char *owner, const char *name,
                             ist__arena *arena, ist__pairs *out, ist_error *err)
{
    const struct ArrowArrayView *entries = view->children[0];
    int64_t first, count;
    IST_TRY(read_extent(view, row, entries, &first, &count, err));
    *out = (ist__pairs){NULL, (size_t)count};
    if (count == 0)
        return IST_OK;
    ist__pair *items = ist__arena_alloc(arena, (size_t)count * sizeof *items);
    if (!items)
        return no_memory(err);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = entries->offset + first + i;
        items[i].value = NULL;
        IST_TRY(read_text(entries->children[0], at, owner, name, arena, &items[i].key, err));
        if (!ArrowArrayViewIsNull(entries->children[1], at))
            IST_TRY(read_text(entries->children[1], at, owner, name, arena, &items[i].value, err));
    }
    out->items = items;
    return IST_OK;
}

static ist_status read_strings(const struct ArrowArrayView *view, int64_t row, const char *owner, const char *name,
                               ist__arena *arena, ist__strings *out, ist_error *err)
{
    const struct ArrowArrayView *elements = view->children[0];
    int64_t first, count;
    IST_TRY(read_extent(view, row, elements, &first, &count, err));
    *out = (ist__strings){NULL, (size_t)count};
    if (count == 0)
        return IST_OK;
    const char **items = ist__arena_alloc(arena, (size_t)count * sizeof *items);
    if (!items)
        return no_memory(err);
    for (int64_t i = 0; i < count; i++) {
        if (ArrowArrayViewIsNull(elements, first + i))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s has a null element", owner, name);
        IST_TRY(read_text(elements, first + i, owner, name, arena, &items[i], err));
    }
    out->items = items;
    return IST_OK;
}

static ist_status check_format(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                               ist__arena *arena, ist_error *err)
{
    int child = find_child(schema, "provider");
    const char *provider = NULL;
    int64_t at = view->offset + row;
    if (child >= 0 && is_text(type_of(schema->children[child])) && !ArrowArrayViewIsNull(view->children[child], at))
        IST_TRY(read_text(view->children[child], at, "format", "provider", arena, &provider, err));
    return ist__metadata_check_provider(provider, err);
}

static ist_status read_struct(const binding *from, const struct ArrowArrayView *view, int64_t row, const char *owner,
                              ist__arena *arena, void *base, ist_error *err);

static ist_status read_dv(const struct ArrowSchema *schema, const struct ArrowArrayView *view, int64_t row,
                          ist__arena *arena, void *slot, ist_error *err)
{
    binding dv;
    IST_TRY(bind(schema, "deletionVector", ist__dv_fields, ist__dv_field_count, &dv, err));
    return read_struct(&dv, view, row, "deletionVector", arena, slot, err);
}

/* The fields of a struct's row, into memory at `base`. */
static ist_status read_struct(const binding *from, const struct ArrowArrayView *view, int64_t row, const char *owner,
                              ist__arena *arena, void *base, ist_error *err)
{
    int64_t at = view->offset + row;
    for (size_t i = 0; i < from->field_count; i++) {
        const ist__field *field = &from->fields[i];
        int c = from->children[i];
        if (c < 0 || ArrowArrayViewIsNull(view->children[c], at)) {
            if (field->presence == IST__REQUIRED)
                return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s has no %s", owner, field->name);
            continue;
        }
        const struct ArrowArrayView *child = view->children[c];
        const struct ArrowSchema *schema = from->schema->children[c];
        char *slot = (char *)base + field->offset;
        const char *text;
        int64_t number;
        switch (field->kind) {
        case IST__FIELD_STRING:
            IST_TRY(read_text(child, at, owner, field->name, arena, (const char **)slot, err));
            break;
        case IST__FIELD_CHAR:
            IST_TRY(read_text(child, at, owner, field->name, arena, &text, err));
            if (strlen(text) != 1)
                return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s must be one character", owner, field->name);
            *slot = text[0];
            break;
        case IST__FIELD_INT32:
        case IST__FIELD_INT64:
            number = ArrowArrayViewGetIntUnsafe(child, at);
            if ((number < 0 && !field->negative) ||
                (field->kind == IST__FIELD_INT32 && (number > INT32_MAX || number < INT32_MIN)))
                return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s.%s is out of range", owner, field->name);
            if (field->kind == IST__FIELD_INT32)
                *(int32_t *)slot = (int32_t)number;
            else
                *(int64_t *)slot = number;
            break;
        case IST__FIELD_BOOL:
            *(bool *)slot = ArrowArrayViewGetIntUnsafe(child, at) != 0;
            break;
        case IST__FIELD_PAIRS:
            IST_TRY(read_pairs(child, at, owner, field->name, arena, (ist__pairs *)slot, err));
            break;
        case IST__FIELD_STRINGS:
            IST_TRY(read_strings(child, at, owner, field->name, arena, (ist__strings *)slot, err));
            break;
        case IST__FIELD_DV:
            IST_TRY(read_dv(schema, child, at, arena, slot, err));
            break;
        case IST__FIELD_FORMAT:
            IST_TRY(check_format(schema, child, at, arena, err));
            break;
        }
    }
    return IST_OK;
}

static ist_status rebuild_stats(checkpoint_reader *reader, const binding *from, const struct ArrowArrayView *view,
                                int64_t row, ist__add *add, ist_error *err)
{
    const struct ArrowArrayView *parsed = view->children[from->stats_parsed];
    bool written;
    ist_buffer_clear(&reader->scratch);
    IST_TRY(ist__stats_append_value(from->schema->children[from->stats_parsed], parsed, view->offset + row,
                                    &reader->scratch, &written, err));
    if (!written)
        return IST_OK;
    add->stats = ist__arena_copy(reader->arena, reader->scratch.data, reader->scratch.size);
    return add->stats ? IST_OK : no_memory(err);
}

/* Every set row of one action's column, within the rows of the batch. */
static ist_status read_column(checkpoint_reader *reader, const binding *from, const struct ArrowArrayView *batch,
                              const struct ArrowArrayView *view, ist_error *err)
{
    const char *name = ist__action_name(from->kind);
    for (int64_t row = batch->offset; row < batch->offset + batch->length; row++) {
        ist__action action;
        if (ArrowArrayViewIsNull(view, row))
            continue;
        ist__action_init(&action, from->kind);
        IST_TRY(read_struct(from, view, row, name, reader->arena, &action, err));
        if (action.kind == IST__ADD && !action.add.stats && from->stats_parsed >= 0)
            IST_TRY(rebuild_stats(reader, from, view, row, &action.add, err));
        IST_TRY(reader->cb(&action, reader->payload, err));
    }
    return IST_OK;
}

/* ---- a Parquet file ------------------------------------------------------------------------------------------- */

static const ist__action_kind column_kinds[] = {IST__METADATA, IST__PROTOCOL, IST__ADD,    IST__REMOVE,
                                                IST__APP,      IST__DOMAIN,   IST__SIDECAR};
enum { COLUMN_KINDS = sizeof column_kinds / sizeof column_kinds[0] };

/* Give the timestamps of a struct's leaves that are stored as INT96 their zone. `path` leads to the struct. */
static ist_status mark_instants(const ist__parquet_reader *file, struct ArrowSchema *schema, ist_buffer *path,
                                int depth, ist_error *err)
{
    if (depth > DEPTH_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "statistics are nested more than %d deep", DEPTH_MAX);
    for (int64_t i = 0; i < schema->n_children; i++) {
        struct ArrowSchema *child = schema->children[i];
        size_t before = path->size;
        IST_TRY(ist_buffer_printf(path, err, ".%s", child->name));
        if (type_of(child) == NANOARROW_TYPE_STRUCT)
            IST_TRY(mark_instants(file, child, path, depth + 1, err));
        else if (strcmp(child->format, "tsu:") == 0 && ist__parquet_reader_is_int96(file, path->data) &&
                 ArrowSchemaSetFormat(child, "tsu:UTC") != NANOARROW_OK)
            return no_memory(err);
        path->size = before;
        path->data[before] = '\0';
    }
    return IST_OK;
}

/* The column of parsed statistics among the children of add; -1 for none. */
static ist_status find_stats(const ist__parquet_reader *file, struct ArrowSchema *add, int *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    *out = find_child(add, "stats_parsed");
    if (*out < 0 || type_of(add->children[*out]) != NANOARROW_TYPE_STRUCT) {
        *out = -1;
        return IST_OK;
    }
    ist_status status = ist_buffer_append_string(&path, "add.stats_parsed", err);
    if (status == IST_OK)
        status = mark_instants(file, add->children[*out], &path, 0, err);
    ist_buffer_free(&path);
    return status;
}

static ist_status read_batches(checkpoint_reader *reader, const ist__parquet_reader *file,
                               struct ArrowArrayStream *stream, ist_error *err)
{
    struct ArrowSchema theirs = {0}, schema = {0};
    struct ArrowArrayView view;
    struct ArrowError why = {""};
    binding columns[COLUMN_KINDS];
    size_t count = 0;
    ArrowArrayViewInitFromType(&view, NANOARROW_TYPE_UNINITIALIZED);
    int code = stream->get_schema(stream, &theirs);
    if (code != 0)
        return ist__stream_error(stream, code, err);
    code = ArrowSchemaDeepCopy(&theirs, &schema); /* nanoarrow changes only what is its own */
    theirs.release(&theirs);
    if (code != NANOARROW_OK)
        return no_memory(err);
    ist_status status = IST_OK;
    for (int64_t i = 0; i < schema.n_children; i++) {
        for (size_t k = 0; k < COLUMN_KINDS; k++) {
            const char *name = ist__action_name(column_kinds[k]);
            size_t field_count;
            const ist__field *fields = ist__action_fields(column_kinds[k], &field_count);
            if (strcmp(schema.children[i]->name, name) != 0)
                continue;
            IST_TRY_GOTO(bind(schema.children[i], name, fields, field_count, &columns[count], err));
            columns[count].kind = column_kinds[k];
            if (column_kinds[k] == IST__ADD)
                IST_TRY_GOTO(find_stats(file, schema.children[i], &columns[count].stats_parsed, err));
            count++;
        }
    }
    if (ArrowArrayViewInitFromSchema(&view, &schema, &why) != NANOARROW_OK) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the checkpoint's schema: %s", why.message);
        goto done;
    }
    for (;;) {
        struct ArrowArray batch = {0};
        code = stream->get_next(stream, &batch);
        if (code != 0) {
            status = ist__stream_error(stream, code, err);
            goto done;
        }
        if (!batch.release)
            break;
        if (ArrowArrayViewSetArray(&view, &batch, &why) != NANOARROW_OK)
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a batch of the checkpoint: %s", why.message);
        for (int64_t i = 0; status == IST_OK && i < schema.n_children; i++)
            status = read_column(reader, &columns[i], &view, view.children[i], err);
        batch.release(&batch);
        if (status != IST_OK)
            goto done;
    }
done:
    ArrowArrayViewReset(&view);
    schema.release(&schema);
    return status;
}

/* The columns of the file that hold actions, each at most once. */
static size_t choose_columns(const struct ArrowSchema *schema, int columns[COLUMN_KINDS])
{
    size_t count = 0;
    for (size_t k = 0; k < COLUMN_KINDS; k++) {
        int found = find_child(schema, ist__action_name(column_kinds[k]));
        if (found >= 0)
            columns[count++] = found;
    }
    return count;
}

static ist_status read_parquet(checkpoint_reader *reader, ist_store *store, const char *path, ist_error *err)
{
    ist__source source;
    ist__parquet_reader *file = NULL;
    struct ArrowSchema schema = {0};
    struct ArrowArrayStream stream = {0};
    int columns[COLUMN_KINDS];
    IST_TRY(ist__source_open(store, path, &source, err));
    IST_TRY(ist__parquet_reader_open(source, &file, err));
    ist_status status;
    IST_TRY_GOTO(ist__parquet_reader_schema(file, &schema, err));
    size_t count = choose_columns(&schema, columns);
    IST_TRY_GOTO(ist__parquet_reader_read(file, columns, count, BATCH_ROWS, &stream, err));
    status = read_batches(reader, file, &stream, err);
    if (status != IST_OK)
        ist_error_context(err, "%s", path);
done:
    if (stream.release)
        stream.release(&stream);
    if (schema.release)
        schema.release(&schema);
    ist__parquet_reader_free(file);
    return status;
}

/* ---- the whole checkpoint ------------------------------------------------------------------------------------- */

typedef struct sidecars {
    const char **paths; /* in the arena of the reader */
    size_t count;
    ist__action_cb cb;
    void *payload;
} sidecars;

/* Hand on everything but the sidecars, which are read afterwards. */
static ist_status sort_out(const ist__action *action, void *payload, ist_error *err)
{
    sidecars *found = payload;
    if (action->kind != IST__SIDECAR)
        return found->cb(action, found->payload, err);
    if (found->count >= SIDECARS_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the checkpoint has more than %d sidecars", SIDECARS_MAX);
    if ((found->count & (found->count - 1)) == 0) { /* full at each power of two */
        const char **paths = realloc(found->paths, (found->count ? found->count * 2 : 1) * sizeof *paths);
        if (!paths)
            return no_memory(err);
        found->paths = paths;
    }
    found->paths[found->count++] = action->sidecar.path;
    return IST_OK;
}

static ist_status read_json(checkpoint_reader *reader, ist_store *store, const char *path, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = ist_store_get(store, path, &text, err);
    if (status == IST_OK)
        status = ist__actions_each(text.data, text.size, path, reader->arena, reader->cb, reader->payload, err);
    ist_buffer_free(&text);
    return status;
}

/* A bare name lies in _sidecars; anything else is a path as those of data files are. */
static ist_status sidecar_path(ist_store *store, const char *path, ist_buffer *out, ist_error *err)
{
    if (strchr(path, '/'))
        return ist__data_path(store, path, out, err);
    IST_TRY(ist_buffer_append_string(out, "_delta_log/_sidecars/", err));
    return ist__uri_decode(path, strlen(path), out, err);
}

static ist_status read_sidecar(checkpoint_reader *reader, ist_store *store, const char *path, ist_error *err)
{
    ist_buffer resolved = IST_BUFFER_INIT;
    ist_status status = sidecar_path(store, path, &resolved, err);
    if (status == IST_OK)
        status = read_parquet(reader, store, resolved.data, err);
    ist_buffer_free(&resolved);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

ist_status ist__checkpoint_read(ist_store *store, const char *const *paths, size_t count, ist__arena *arena,
                                ist__action_cb cb, void *payload, ist_error *err)
{
    sidecars found = {.cb = cb, .payload = payload};
    checkpoint_reader reader = {.arena = arena, .cb = sort_out, .payload = &found};
    ist_status status = IST_OK;
    for (size_t i = 0; i < count; i++) {
        if (ends_with(paths[i], ".json"))
            IST_TRY_GOTO(read_json(&reader, store, paths[i], err));
        else
            IST_TRY_GOTO(read_parquet(&reader, store, paths[i], err));
    }
    reader.cb = cb;
    reader.payload = payload;
    for (size_t i = 0; i < found.count; i++) {
        status = read_sidecar(&reader, store, found.paths[i], err);
        if (status != IST_OK) {
            ist_error_context(err, "sidecar of %s", paths[0]);
            goto done;
        }
    }
done:
    free(found.paths);
    ist_buffer_free(&reader.scratch);
    return status;
}
