/*
 * transaction.c: begin, gather, commit. README.md tells the commit protocol; conflict.c is its judge.
 *
 * Nothing is decided at begin that a faster commit could not change: the text of a version is made anew for each attempt
 * from the table's state as it then is (`struct ist_transaction`, the part that moves).
 */
#include "delta/transaction_internal.h"

#include "isthmus/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* A lost race is tried again this often and this long. */
enum { ATTEMPTS_MAX = 1000, ATTEMPTS_SECONDS = 60, BACKOFF_MAX_US = 200000 };
/* Spark's default of delta.checkpointInterval. */
enum { CHECKPOINT_INTERVAL = 10 };

static const int64_t default_target_file_bytes = (int64_t)256 << 20;

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a transaction");
}

static ist_status arena_text(ist__arena *arena, const char *text, const char **out, ist_error *err)
{
    *out = ist__arena_copy(arena, text, strlen(text));
    return *out ? IST_OK : no_memory(err);
}

/* ---- what the table will be --------------------------------------------------------------------------------- */

static ist_status set_property(ist_transaction *t, const char *key, const char *value, ist_error *err)
{
    ist__pairs *pairs = &t->metadata.configuration;
    ist__pair *items = ist__arena_alloc(t->arena, (pairs->count + 1) * sizeof *items);
    const char *copied_key, *copied_value;
    if (!items)
        return no_memory(err);
    IST_TRY(arena_text(t->arena, key, &copied_key, err));
    IST_TRY(arena_text(t->arena, value, &copied_value, err));
    size_t at = 0;
    while (at < pairs->count && strcmp(pairs->items[at].key, key) != 0)
        at++;
    if (pairs->count)
        memcpy(items, pairs->items, pairs->count * sizeof *items);
    items[at] = (ist__pair){copied_key, copied_value};
    *pairs = (ist__pairs){items, at == pairs->count ? at + 1 : pairs->count};
    return IST_OK;
}

static ist_status set_uuid_property(ist_transaction *t, const char *key, const char *prefix, ist_error *err)
{
    char name[80], uuid[37];
    if (ist__pairs_get(t->metadata.configuration, key))
        return IST_OK;
    ist__uuid(uuid);
    snprintf(name, sizeof name, "%s%s", prefix, uuid);
    return set_property(t, key, name, err);
}

/* The features asked for by name, so far. */
static ist_status ask_feature(ist_transaction *t, const char *name, ist__strings *features, ist_error *err)
{
    const char **names = ist__arena_alloc(t->arena, (features->count + 1) * sizeof *names);
    if (!names)
        return no_memory(err);
    if (ist__strings_contain(*features, name))
        return IST_OK;
    if (features->count)
        memcpy(names, features->items, features->count * sizeof *names);
    IST_TRY(arena_text(t->arena, name, &names[features->count], err));
    *features = (ist__strings){names, features->count + 1};
    return IST_OK;
}

typedef enum property_source {
    BY_USER,
    BY_CATALOG_REQUIRED,
    BY_CATALOG_SUGGESTED
} property_source;

/* Keep a property of a new table, which the user may have asked for otherwise. */
static ist_status keep_property(ist_transaction *t, property_source source, const char *name, const char *value,
                                ist_error *err)
{
    const char *asked = source == BY_USER ? NULL : ist__pairs_get(t->metadata.configuration, name);
    if (!asked)
        return set_property(t, name, value, err);
    if (source == BY_CATALOG_SUGGESTED || strcasecmp(asked, value) == 0)
        return IST_OK;
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                         "property %s cannot be '%s': the catalog requires '%s' of the tables that it manages", name, asked,
                         value);
}

/* The properties of a new table: those that name features or versions act on the protocol and are not kept. */
static ist_status take_properties(ist_transaction *t, const char *json, property_source source, ist__strings *features,
                                  ist_error *err)
{
    yyjson_read_err problem;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)json, strlen(json), 0, NULL, &problem);
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    char *text = NULL;
    ist_status status = IST_OK;
    if (!yyjson_is_obj(root)) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the table properties are not a JSON object");
        goto done;
    }
    size_t i, max;
    yyjson_obj_foreach(root, i, max, key, value)
    {
        const char *name = yyjson_get_str(key);
        text = yyjson_is_str(value) ? strdup(yyjson_get_str(value)) : yyjson_val_write(value, 0, NULL);
        if (!text) {
            status = no_memory(err);
            goto done;
        }
        if (strncmp(name, "delta.feature.", 14) == 0) {
            if (strcasecmp(text, "supported") != 0 && strcasecmp(text, "enabled") != 0) {
                status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "property %s must be 'supported', not '%s'", name,
                                       text);
                goto done;
            }
            IST_TRY_GOTO(ask_feature(t, name + 14, features, err));
        } else if (strcmp(name, "delta.minReaderVersion") == 0 || strcmp(name, "delta.minWriterVersion") == 0) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                   "property %s is not for users: name a feature instead (delta.feature.<name> = "
                                   "supported)", name);
            goto done;
        } else if (strncmp(name, "delta.constraints.", 18) == 0) {
            status = ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "Isthmus does not check constraints (%s)", name);
            goto done;
        } else {
            IST_TRY_GOTO(keep_property(t, source, name, text, err));
        }
        free(text);
        text = NULL;
    }
done:
    free(text);
    yyjson_doc_free(doc);
    return status;
}

/* A new catalog-managed table is made as its catalog wants it. */
static ist_status take_contract(ist_transaction *t, ist__strings *features, ist_error *err)
{
    const ist_committer *committer = t->committer;
    if (!ist__transaction_is_managed(t))
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "table %s cannot be catalog-managed (delta.feature.catalogManaged): no catalog commits to it; "
                             "make it by its name in a catalog that does", t->table_name);
    if (committer->required_properties)
        IST_TRY(take_properties(t, committer->required_properties, BY_CATALOG_REQUIRED, features, err));
    if (committer->suggested_properties)
        IST_TRY(take_properties(t, committer->suggested_properties, BY_CATALOG_SUGGESTED, features, err));
    return IST_OK;
}

/* Column mapping: ids and physical names for the columns that have none. */
static ist_status map_columns(ist_transaction *t, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    char number[24];
    int64_t max_id = ist__property_number(t->metadata.configuration, "delta.columnMapping.maxColumnId", 0, 0);
    ist_status status;
    IST_TRY_GOTO(ist__schema_map_columns(t->metadata.schema_string, &max_id, &json, err));
    IST_TRY_GOTO(arena_text(t->arena, json.data, &t->metadata.schema_string, err));
    snprintf(number, sizeof number, "%" PRId64, max_id);
    status = set_property(t, "delta.columnMapping.maxColumnId", number, err);
done:
    ist_buffer_free(&json);
    return status;
}

static const struct ArrowSchema *find_column(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_children; i++)
        if (strcmp(schema->children[i]->name, name) == 0)
            return schema->children[i];
    return NULL;
}

static ist_status take_partition_columns(ist_transaction *t, const ist_transaction_options *options,
                                         const struct ArrowSchema *input, ist_error *err)
{
    size_t count = options->partition_column_count;
    if (count == 0 && t->snapshot) { /* a replaced schema keeps the partitioning where it can */
        const ist__strings *old = &t->metadata.partition_columns;
        bool all = old->count < (size_t)input->n_children;
        for (size_t i = 0; i < old->count; i++)
            all = all && find_column(input, old->items[i]);
        if (all)
            return IST_OK;
    }
    const char **names = ist__arena_alloc(t->arena, (count + 1) * sizeof *names);
    if (!names)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const char *name = options->partition_columns[i];
        const struct ArrowSchema *column = find_column(input, name);
        if (!column)
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "table %s: there is no column '%s' to partition by",
                                 t->table_name, name);
        if (column->format[0] == '+')
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                 "table %s: column '%s' is nested: a table cannot be partitioned by it",
                                 t->table_name, name);
        IST_TRY(arena_text(t->arena, name, &names[i], err));
        if (ist__strings_contain((ist__strings){names, i}, name))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "table %s: partition column '%s' is named twice",
                                 t->table_name, name);
    }
    if (count && count == (size_t)input->n_children)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "table %s: a table cannot be partitioned by all its columns", t->table_name);
    t->metadata.partition_columns = (ist__strings){names, count};
    return IST_OK;
}

/* Schema, partitioning and what they ask for, when the input decides them: a new table or a replaced schema. */
static ist_status adopt_input(ist_transaction *t, const ist_transaction_options *options,
                              const struct ArrowSchema *input, ist__strings features, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    bool changed = false;
    ist_status status;
    IST_TRY_GOTO(ist__schema_from_arrow(input, &json, err));
    if (input->n_children == 0) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the input has no columns");
        goto done;
    }
    IST_TRY_GOTO(arena_text(t->arena, json.data, &t->metadata.schema_string, err));
    bool mapped = ist__schema_mapping_mode(&t->metadata) != IST__MAPPING_NONE;
    IST_TRY_GOTO(ist__schema_check_names(t->metadata.schema_string, mapped, err));
    if (mapped)
        IST_TRY_GOTO(map_columns(t, err));
    IST_TRY_GOTO(take_partition_columns(t, options, input, err));
    t->changes_metadata = true;
    IST_TRY_GOTO(ist__protocol_require(&t->protocol, &t->metadata, features, t->arena, &changed, err));
    t->changes_protocol = t->changes_protocol || changed;
    status = ist__features_check_write(&t->protocol, &t->metadata, ist__transaction_is_managed(t), err);
done:
    if (status != IST_OK)
        ist_error_context(err, "table %s", t->table_name);
    ist_buffer_free(&json);
    return status;
}

static ist_status begin_new(ist_transaction *t, const ist_transaction_options *options,
                            const struct ArrowSchema *input, ist_error *err)
{
    ist__strings features = {NULL, 0};
    char id[37];
    if (!input || t->mode == IST_WRITE_REWRITE)
        return ist_error_set(err, IST_NOT_FOUND, 0, ist_store_uri(t->store),
                             "there is no table %s, and no rows to make it from", t->table_name);
    ist__uuid(id);
    t->read_version = t->version = -1;
    t->changes_protocol = true;
    t->protocol = (ist__protocol){.min_reader_version = 1, .min_writer_version = 2};
    t->metadata = (ist__metadata){.created_time = ist__now_ms()};
    IST_TRY(arena_text(t->arena, id, &t->metadata.id, err));
    if (options->table_name)
        t->metadata.name = t->table_name;
    if (options->description)
        IST_TRY(arena_text(t->arena, options->description, &t->metadata.description, err));
    if (options->properties)
        IST_TRY(take_properties(t, options->properties, BY_USER, &features, err));
    if (ist__strings_contain(features, "catalogManaged") || (t->committer && t->committer->always))
        IST_TRY(take_contract(t, &features, err));
    if (ist__property_true(t->metadata.configuration, "delta.enableRowTracking")) {
        IST_TRY(set_uuid_property(t, "delta.rowTracking.materializedRowIdColumnName", "_row-id-col-", err));
        IST_TRY(set_uuid_property(t, "delta.rowTracking.materializedRowCommitVersionColumnName",
                                  "_row-commit-version-col-", err));
    }
    return adopt_input(t, options, input, features, err);
}

static ist_status merge_input(ist_transaction *t, const ist_transaction_options *options,
                              const struct ArrowSchema *input, ist_error *err)
{
    ist_buffer json = IST_BUFFER_INIT;
    bool changed = false, protocol_changed = false;
    ist__strings asked = {options->partition_columns, options->partition_column_count};
    ist_status status;
    if (asked.count && !ist__strings_equal(asked, t->metadata.partition_columns)) {
        ist_buffer have = IST_BUFFER_INIT;
        for (size_t i = 0; i < t->metadata.partition_columns.count; i++)
            ist_buffer_printf(&have, NULL, "%s%s", i ? ", " : "", t->metadata.partition_columns.items[i]);
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                               "table %s is partitioned by (%s), not as asked for: leave the partition columns out",
                               t->table_name, have.data ? have.data : "");
        ist_buffer_free(&have);
        return status;
    }
    IST_TRY_GOTO(ist__schema_merge(t->metadata.schema_string, input, options->merge_schema, t->table_name, &json,
                                   &changed, err));
    if (!changed)
        goto done;
    IST_TRY_GOTO(arena_text(t->arena, json.data, &t->metadata.schema_string, err));
    bool mapped = ist__schema_mapping_mode(&t->metadata) != IST__MAPPING_NONE;
    IST_TRY_GOTO(ist__schema_check_names(t->metadata.schema_string, mapped, err));
    if (mapped)
        IST_TRY_GOTO(map_columns(t, err));
    t->changes_metadata = true;
    IST_TRY_GOTO(ist__protocol_require(&t->protocol, &t->metadata, (ist__strings){NULL, 0}, t->arena,
                                       &protocol_changed, err));
    t->changes_protocol = protocol_changed;
done:
    ist_buffer_free(&json);
    return status;
}

static int64_t row_id_high_water(const ist_snapshot *snapshot)
{
    int64_t mark = -1;
    for (size_t i = 0; i < snapshot->domain_count; i++) {
        if (strcmp(snapshot->domains[i].domain, "delta.rowTracking") != 0 || !snapshot->domains[i].configuration)
            continue;
        const char *text = snapshot->domains[i].configuration;
        yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
        yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), "rowIdHighWaterMark");
        if (yyjson_is_int(value))
            mark = yyjson_get_sint(value);
        yyjson_doc_free(doc);
    }
    return mark;
}

static ist_status begin_existing(ist_transaction *t, const ist_transaction_options *options,
                                 const struct ArrowSchema *input, ist_error *err)
{
    const ist_snapshot *s = t->snapshot;
    t->read_version = t->version = s->version;
    t->protocol = s->protocol;
    t->metadata = s->metadata;
    t->row_id_high_water = row_id_high_water(s);
    t->last_timestamp = s->has_in_commit_timestamp ? s->timestamp_ms : -1;
    if (options->app_id && ist_snapshot_app_version(s, options->app_id) >= 0) {
        t->noop = t->already = true;
        t->members[0].status = IST_ALREADY_EXISTS;
        t->members[0].version = ist_snapshot_app_version(s, options->app_id);
        return IST_OK;
    }
    if (t->mode == IST_WRITE_ERROR)
        return ist_error_set(err, IST_ALREADY_EXISTS, 0, ist_store_uri(t->store), "table %s exists already",
                             t->table_name);
    if (t->mode == IST_WRITE_IGNORE) {
        t->noop = true;
        return IST_OK;
    }
    ist_status status = ist__features_check_write(&s->protocol, &s->metadata, ist__transaction_is_managed(t), err);
    if (status != IST_OK) {
        ist_error_context(err, "table %s", t->table_name);
        return status;
    }
    t->overwrites = t->mode == IST_WRITE_OVERWRITE || t->mode == IST_WRITE_REWRITE;
    if (t->overwrites && ist__property_true(s->metadata.configuration, "delta.appendOnly"))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "table %s takes appends only (delta.appendOnly = true): it cannot be overwritten",
                             t->table_name);
    if (!input)
        return IST_OK;
    if (t->overwrites && options->overwrite_schema)
        return adopt_input(t, options, input, (ist__strings){NULL, 0}, err);
    return merge_input(t, options, input, err);
}

static ist_status grow_members(ist_transaction *t, const char *app_id, ist_error *err)
{
    ist__member *members = realloc(t->members, (t->member_count + 1) * sizeof *members);
    if (!members)
        return no_memory(err);
    t->members = members;
    members[t->member_count] = (ist__member){0};
    if (app_id)
        IST_TRY(arena_text(t->arena, app_id, &members[t->member_count].app_id, err));
    t->member_count++;
    return IST_OK;
}

ist_status ist_transaction_begin(ist_store *store, const ist_transaction_options *options,
                                 const struct ArrowSchema *input, ist_transaction **out, ist_error *err)
{
    const ist_transaction_options defaults = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t = NULL;
    char txn_id[37], engine[300];
    ist_status status;
    options = options ? options : &defaults;
    IST_TRY(ist__alloc(1, sizeof *t, (void **)&t, err));
    t->store = store;
    t->committer = options->committer ? (ist_committer *)(uintptr_t)options->committer : ist_committer_filesystem();
    t->mode = options->mode;
    t->row_id_high_water = t->last_timestamp = -1;
    IST_TRY_GOTO(ist__arena_new(&t->arena, err));
    ist__uuid(txn_id);
    snprintf(engine, sizeof engine, "%.200s%sIsthmus/%s", options->engine ? options->engine : "",
             options->engine ? " " : "", ist_version());
    IST_TRY_GOTO(arena_text(t->arena, txn_id, &t->txn_id, err));
    IST_TRY_GOTO(arena_text(t->arena, engine, &t->engine_info, err));
    IST_TRY_GOTO(arena_text(t->arena, options->table_name ? options->table_name : ist_store_uri(store), &t->table_name,
                            err));
    if (options->commit_info)
        IST_TRY_GOTO(arena_text(t->arena, options->commit_info, &t->extra_info, err));
    if (options->operation)
        IST_TRY_GOTO(arena_text(t->arena, options->operation, &t->operation, err));
    IST_TRY_GOTO(grow_members(t, options->app_id, err));
    ist_error missing = IST_ERROR_INIT;
    ist_snapshot_options newest = IST_SNAPSHOT_OPTIONS_INIT;
    newest.committer = options->committer;
    status = ist_snapshot_open(store, &newest, &t->snapshot, &missing);
    if (status == IST_NOT_FOUND)
        status = begin_new(t, options, input, err);
    else if (status == IST_OK)
        status = begin_existing(t, options, input, err);
    else if (err) {
        *err = missing;
        ist_error_context(err, "table %s", t->table_name);
    }
    t->target_file_bytes =
        options->target_file_bytes
            ? options->target_file_bytes
            : ist__property_number(t->metadata.configuration, "delta.targetFileSize", 1, default_target_file_bytes);
done:
    if (status == IST_OK)
        *out = t;
    else
        ist_transaction_free(t);
    return status;
}

void ist_transaction_free(ist_transaction *transaction)
{
    if (!transaction)
        return;
    for (size_t i = 0; i < transaction->member_count; i++) {
        free(transaction->members[i].adds);
        free(transaction->members[i].rows);
        free(transaction->members[i].files_for);
    }
    free(transaction->members);
    free(transaction->replaced);
    free(transaction->changes);
    ist_snapshot_free(transaction->snapshot);
    ist__arena_free(transaction->arena);
    free(transaction);
}

bool ist_transaction_is_noop(const ist_transaction *transaction)
{
    return transaction->noop;
}

bool ist_transaction_changes_metadata(const ist_transaction *transaction)
{
    return transaction->changes_metadata || transaction->changes_protocol;
}

int64_t ist_transaction_read_version(const ist_transaction *transaction)
{
    return transaction->read_version;
}

static ist__context context_of(const ist_transaction *t)
{
    return (ist__context){
        .table_id = t->metadata.id,
        .table_name = t->table_name,
        .schema = t->metadata.schema_string,
        .partition_columns = t->metadata.partition_columns,
        .configuration = t->metadata.configuration,
        .target_file_bytes = t->target_file_bytes,
        .changes_metadata = ist_transaction_changes_metadata(t),
    };
}

ist_status ist_transaction_write_context(const ist_transaction *transaction, ist_buffer *out, ist_error *err)
{
    ist__context context = context_of(transaction);
    return ist__context_format(&context, out, err);
}

static bool tells_changes(const ist_transaction *t)
{
    return t->mode == IST_WRITE_REWRITE && ist__features_enabled(&t->protocol, &t->metadata, "changeDataFeed");
}

/* The table's schema with the column of the change data feed; *out is malloc'ed. */
static ist_status schema_of_changes(const ist_transaction *t, char **out, ist_error *err)
{
    const char *schema = t->metadata.schema_string;
    yyjson_doc *read = yyjson_read(schema, strlen(schema), 0);
    yyjson_mut_doc *doc = yyjson_doc_mut_copy(read, NULL);
    yyjson_mut_val *fields = yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "fields");
    yyjson_mut_val *field = yyjson_mut_arr_add_obj(doc, fields);
    yyjson_mut_obj_add_str(doc, field, "name", "_change_type");
    yyjson_mut_obj_add_str(doc, field, "type", "string");
    yyjson_mut_obj_add_bool(doc, field, "nullable", true);
    yyjson_mut_obj_add_obj(doc, field, "metadata");
    *out = field ? yyjson_mut_write(doc, 0, NULL) : NULL;
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(read);
    return *out ? IST_OK : no_memory(err);
}

ist_status ist_transaction_change_context(const ist_transaction *transaction, ist_buffer *out, ist_error *err)
{
    ist__context context = context_of(transaction);
    char *schema = NULL;
    if (!tells_changes(transaction))
        return IST_OK;
    IST_TRY(schema_of_changes(transaction, &schema, err));
    context.schema = schema;
    context.change_data = true;
    ist_status status = ist__context_format(&context, out, err);
    free(schema);
    return status;
}

/* ---- gathering ---------------------------------------------------------------------------------------------- */

typedef struct gather {
    ist_transaction *transaction;
    ist__member *member;
    size_t capacity;
} gather;

static int64_t stats_rows(const char *stats)
{
    yyjson_doc *doc = stats ? yyjson_read(stats, strlen(stats), 0) : NULL;
    yyjson_val *rows = yyjson_obj_get(yyjson_doc_get_root(doc), "numRecords");
    int64_t count = yyjson_is_int(rows) && yyjson_get_sint(rows) >= 0 ? yyjson_get_sint(rows) : -1;
    yyjson_doc_free(doc);
    return count;
}

static ist_status gather_add(const ist__action *action, void *payload, ist_error *err)
{
    gather *g = payload;
    ist__member *member = g->member;
    if (action->kind != IST__ADD)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a writer's actions are add actions, and this is none");
    if (member->add_count == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 16;
        ist__add *adds = realloc(member->adds, capacity * sizeof *adds);
        member->adds = adds ? adds : member->adds;
        int64_t *rows = realloc(member->rows, capacity * sizeof *rows);
        member->rows = rows ? rows : member->rows;
        if (!adds || !rows)
            return no_memory(err);
        g->capacity = capacity;
    }
    member->rows[member->add_count] = stats_rows(action->add.stats);
    member->adds[member->add_count++] = action->add;
    return IST_OK;
}

/* Growing by doubling: the count tells when the room is used up. */
static ist_status gather_change(const ist__action *action, void *payload, ist_error *err)
{
    ist_transaction *t = payload;
    if (action->kind != IST__CDC)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a writer of changes returns cdc actions, and this is none");
    if ((t->change_count & (t->change_count - 1)) == 0) {
        ist__cdc *changes = realloc(t->changes, (t->change_count ? 2 * t->change_count : 1) * sizeof *changes);
        if (!changes)
            return no_memory(err);
        t->changes = changes;
    }
    t->changes[t->change_count++] = action->cdc;
    return IST_OK;
}

/* Remember which schema files were written for; mostly all of them for one. */
static ist_status remember_context(ist__member *member, const ist__context *context, ist_error *err)
{
    for (size_t i = 0; i < member->context_count; i++)
        if (strcmp(member->files_for[i].schema, context->schema) == 0 &&
            ist__strings_equal(member->files_for[i].partition_columns, context->partition_columns))
            return IST_OK;
    ist__context *contexts = realloc(member->files_for, (member->context_count + 1) * sizeof *contexts);
    if (!contexts)
        return no_memory(err);
    contexts[member->context_count++] = *context;
    member->files_for = contexts;
    return IST_OK;
}

ist_status ist__transaction_add_to(ist_transaction *t, size_t index, const char *context_json, const char *actions,
                                   size_t size, ist_error *err)
{
    ist__context context;
    ist__member *member = &t->members[index];
    IST_TRY(ist__context_parse(context_json, t->arena, &context, err));
    if (strcmp(context.table_id, t->metadata.id) != 0)
        return ist_error_set(err, IST_CONFLICT, 0, NULL,
                             "table %s was dropped and made again after the files were written: write again",
                             t->table_name);
    if (!ist__strings_equal(context.partition_columns, t->metadata.partition_columns))
        return ist_error_set(err, IST_CONFLICT, 0, NULL,
                             "table %s is partitioned in another way than the files were written for: write again",
                             t->table_name);
    if (context.change_data && tells_changes(t))
        return ist__actions_each(actions, size, "writer actions", t->arena, gather_change, t, err);
    ist_status status = ist__schema_fits(context.schema, t->metadata.schema_string, err);
    if (status != IST_OK) {
        ist_error_context(err, "table %s has not the schema any more that the files were written for", t->table_name);
        return status;
    }
    IST_TRY(remember_context(member, &context, err));
    size_t before = member->add_count;
    gather g = {t, member, before};
    status = ist__actions_each(actions, size, "writer actions", t->arena, gather_add, &g, err);
    if (status != IST_OK)
        member->add_count = before;
    return status;
}

ist_status ist_transaction_add(ist_transaction *transaction, const char *context, const char *actions,
                               size_t actions_size, ist_error *err)
{
    return ist__transaction_add_to(transaction, transaction->member_count - 1, context, actions, actions_size, err);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Mark the files that have a path of `sorted`; how many. */
static size_t mark_replaced(const ist_snapshot *snapshot, const char **sorted, size_t count, bool *replaced)
{
    size_t found = 0;
    for (size_t i = 0; i < snapshot->file_count; i++) {
        replaced[i] = bsearch(&snapshot->files[i].path, sorted, count, sizeof *sorted, compare_paths) != NULL;
        found += replaced[i];
    }
    return found;
}

ist_status ist_transaction_replace(ist_transaction *transaction, const char *const *paths, size_t count,
                                   ist_error *err)
{
    ist_transaction *t = transaction;
    const char **sorted = NULL;
    ist_status status;
    if (t->mode != IST_WRITE_REWRITE || t->replaced)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the files that a transaction replaces are told once, and only to a rewrite");
    if (count == 0)
        return IST_OK;
    IST_TRY_GOTO(ist__alloc(count, sizeof *sorted, (void **)&sorted, err));
    IST_TRY_GOTO(ist__alloc(t->snapshot->file_count, sizeof *t->replaced, (void **)&t->replaced, err));
    memcpy(sorted, paths, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_paths);
    if (mark_replaced(t->snapshot, sorted, count, t->replaced) != count)
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                               "version %" PRId64 " of table %s has not all of the files to be replaced, or one is named "
                               "twice", t->read_version, t->table_name);
done:
    free(sorted);
    return status;
}

ist_status ist_transaction_add_app(ist_transaction *transaction, const char *app_id, int64_t *version, ist_error *err)
{
    int64_t known = transaction->snapshot ? ist_snapshot_app_version(transaction->snapshot, app_id) : -1;
    for (size_t i = 0; i < transaction->member_count && known < 0; i++)
        if (transaction->members[i].app_id && strcmp(transaction->members[i].app_id, app_id) == 0)
            known = transaction->version;
    if (known < 0)
        return grow_members(transaction, app_id, err);
    *version = known;
    return ist_error_set(err, IST_ALREADY_EXISTS, 0, NULL, "'%s' is committed to table %s already", app_id,
                         transaction->table_name);
}

/* ---- the text of a version ---------------------------------------------------------------------------------- */

typedef struct totals {
    int64_t files, rows, bytes, removed_files, removed_bytes;
} totals;

/* Does the commit remove file i of the snapshot? */
static bool removes(const ist_transaction *t, size_t i)
{
    return t->overwrites && (t->mode != IST_WRITE_REWRITE || (t->replaced && t->replaced[i]));
}

static totals count_up(const ist_transaction *t)
{
    totals sum = {0};
    for (size_t m = 0; m < t->member_count; m++) {
        for (size_t i = 0; i < t->members[m].add_count && t->members[m].status == IST_OK; i++) {
            sum.files++;
            sum.bytes += t->members[m].adds[i].size;
            sum.rows = sum.rows < 0 || t->members[m].rows[i] < 0 ? -1 : sum.rows + t->members[m].rows[i];
        }
    }
    for (size_t i = 0; t->snapshot && i < t->snapshot->file_count; i++) {
        if (!removes(t, i))
            continue;
        sum.removed_files++;
        sum.removed_bytes += t->snapshot->files[i].size;
    }
    return sum;
}

/* "partitionBy": the columns as JSON, in a string, as Spark has it. */
static ist_status append_partition_by(const ist_transaction *t, ist_buffer *out, ist_error *err)
{
    ist_buffer list = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(ist_buffer_append_string(&list, "[", err));
    for (size_t i = 0; i < t->metadata.partition_columns.count; i++) {
        IST_TRY_GOTO(ist_buffer_append_string(&list, i ? "," : "", err));
        IST_TRY_GOTO(ist__json_append_string(&list, t->metadata.partition_columns.items[i], err));
    }
    IST_TRY_GOTO(ist_buffer_append_string(&list, "]", err));
    status = ist__json_append_string(out, list.data, err);
done:
    ist_buffer_free(&list);
    return status;
}

/* The caller's extra members of commitInfo; those that the protocol gives a meaning stay ours. */
static ist_status append_extra_info(const ist_transaction *t, ist_buffer *out, ist_error *err)
{
    static const char *const ours[] = {"inCommitTimestamp", "timestamp",      "operation",        "operationParameters",
                                       "readVersion",       "isolationLevel", "isBlindAppend",    "operationMetrics",
                                       "engineInfo",        "txnId",          "tags"};
    yyjson_doc *doc = t->extra_info ? yyjson_read(t->extra_info, strlen(t->extra_info), 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    ist_status status = IST_OK;
    size_t i, max;
    if (t->extra_info && !yyjson_is_obj(root))
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "commit_info is not a JSON object");
    yyjson_obj_foreach(root, i, max, key, value)
    {
        bool reserved = false;
        for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++)
            reserved = reserved || yyjson_equals_str(key, ours[k]);
        if (reserved || status != IST_OK)
            continue;
        char *text = yyjson_val_write(value, 0, NULL);
        status = text ? ist_buffer_append_string(out, ",", err) : no_memory(err);
        if (status == IST_OK)
            status = ist__json_append_string(out, yyjson_get_str(key), err);
        if (status == IST_OK)
            status = ist_buffer_printf(out, err, ":%s", text);
        free(text);
    }
    yyjson_doc_free(doc);
    return status;
}

/* In-commit timestamps rise from version to version, whatever the clocks say. */
static int64_t commit_time(const ist_transaction *t)
{
    int64_t now = ist__now_ms();
    bool rising = ist__features_enabled(&t->protocol, &t->metadata, "inCommitTimestamp");
    return rising && now <= t->last_timestamp ? t->last_timestamp + 1 : now;
}

static ist_status append_commit_info(const ist_transaction *t, const totals *sum, int64_t now, ist_buffer *out,
                                     ist_error *err)
{
    bool rewrites = t->mode == IST_WRITE_REWRITE;
    bool creates = t->version < 0; /* not read_version: a lost race to create the table makes an append of it */
    IST_TRY(ist_buffer_append_string(out, "{\"commitInfo\":{", err));
    if (ist__features_enabled(&t->protocol, &t->metadata, "inCommitTimestamp"))
        IST_TRY(ist_buffer_printf(out, err, "\"inCommitTimestamp\":%" PRId64 ",", now));
    IST_TRY(ist_buffer_printf(out, err, "\"timestamp\":%" PRId64 ",\"operation\":", now));
    const char *operation = t->operation ? t->operation : creates ? "CREATE TABLE AS SELECT" : "WRITE";
    IST_TRY(ist__json_append_string(out, operation, err));
    IST_TRY(ist_buffer_append_string(out, ",\"operationParameters\":{", err));
    if (creates)
        IST_TRY(ist_buffer_printf(out, err, "\"isManaged\":\"false\",\"description\":null,\"properties\":\"{}\","));
    else if (!rewrites)
        IST_TRY(ist_buffer_printf(out, err, "\"mode\":\"%s\",", t->overwrites ? "Overwrite" : "Append"));
    if (!rewrites) {
        IST_TRY(ist_buffer_append_string(out, "\"partitionBy\":", err));
        IST_TRY(append_partition_by(t, out, err));
    }
    IST_TRY(ist_buffer_append_string(out, "}", err));
    if (t->read_version >= 0)
        IST_TRY(ist_buffer_printf(out, err, ",\"readVersion\":%" PRId64, t->read_version));
    IST_TRY(ist_buffer_printf(out, err,
                              ",\"isolationLevel\":\"Serializable\",\"isBlindAppend\":%s,\"operationMetrics\":{"
                              "\"numFiles\":\"%" PRId64 "\",\"numOutputBytes\":\"%" PRId64 "\"",
                              t->overwrites ? "false" : "true", sum->files, sum->bytes));
    if (sum->rows >= 0)
        IST_TRY(ist_buffer_printf(out, err, ",\"numOutputRows\":\"%" PRId64 "\"", sum->rows));
    if (t->overwrites)
        IST_TRY(ist_buffer_printf(out, err, ",\"numRemovedFiles\":\"%" PRId64 "\",\"numRemovedBytes\":\"%" PRId64 "\"",
                                  sum->removed_files, sum->removed_bytes));
    IST_TRY(ist_buffer_append_string(out, "},\"engineInfo\":", err));
    IST_TRY(ist__json_append_string(out, t->engine_info, err));
    IST_TRY(ist_buffer_printf(out, err, ",\"txnId\":\"%s\"", t->txn_id));
    /* A rewrite copies rows, which get new ids; otherwise none is updated or copied, so every stable row id is kept. */
    if (ist__features_enabled(&t->protocol, &t->metadata, "rowTracking"))
        IST_TRY(ist_buffer_printf(out, err, ",\"tags\":{\"delta.rowTracking.preserved\":\"%s\"}",
                                  rewrites ? "false" : "true"));
    IST_TRY(append_extra_info(t, out, err));
    return ist_buffer_append_string(out, "}}\n", err);
}

static ist_status append_removes(const ist_transaction *t, int64_t now, ist_buffer *out, ist_error *err)
{
    for (size_t i = 0; t->snapshot && i < t->snapshot->file_count; i++) {
        if (!removes(t, i))
            continue;
        const ist__add *file = &t->snapshot->files[i];
        ist__action action;
        ist__action_init(&action, IST__REMOVE);
        action.remove.path = file->path;
        action.remove.deletion_timestamp = now;
        action.remove.data_change = true;
        action.remove.extended = true;
        action.remove.partition_values = file->partition_values;
        action.remove.size = file->size;
        action.remove.dv = file->dv;
        action.remove.base_row_id = file->base_row_id;
        action.remove.default_row_commit_version = file->default_row_commit_version;
        IST_TRY(ist__action_format(&action, out, err));
    }
    return IST_OK;
}

static ist_status append_adds(const ist_transaction *t, int64_t version, ist_buffer *out, ist_error *err)
{
    bool track = ist__features_supported(&t->protocol, "rowTracking") &&
                 !ist__property_true(t->metadata.configuration, "delta.rowTrackingSuspended");
    int64_t mark = t->row_id_high_water;
    for (size_t m = 0; m < t->member_count; m++) {
        const ist__member *member = &t->members[m];
        for (size_t i = 0; i < member->add_count && member->status == IST_OK; i++) {
            ist__action action = {.kind = IST__ADD, .add = member->adds[i]};
            if (track) {
                if (member->rows[i] < 0)
                    return ist_error_set(err, IST_BAD_INPUT, 0, action.add.path,
                                         "table %s tracks rows, so each file needs statistics with numRecords",
                                         t->table_name);
                action.add.base_row_id = mark + 1;
                action.add.default_row_commit_version = version;
                mark += member->rows[i];
            }
            IST_TRY(ist__action_format(&action, out, err));
        }
    }
    if (mark > t->row_id_high_water) {
        char configuration[64];
        ist__action action;
        ist__action_init(&action, IST__DOMAIN);
        snprintf(configuration, sizeof configuration, "{\"rowIdHighWaterMark\":%" PRId64 "}", mark);
        action.domain.domain = "delta.rowTracking";
        action.domain.configuration = configuration;
        IST_TRY(ist__action_format(&action, out, err));
    }
    return IST_OK;
}

/* Everything that version `version` of time `now` holds, upon the table as it now is. */
static ist_status compose(const ist_transaction *t, int64_t version, int64_t now, const totals *sum, ist_buffer *out,
                          ist_error *err)
{
    ist_buffer_clear(out);
    IST_TRY(append_commit_info(t, sum, now, out, err));
    if (t->changes_protocol) {
        ist__action action = {.kind = IST__PROTOCOL, .protocol = t->protocol};
        IST_TRY(ist__action_format(&action, out, err));
    }
    if (t->changes_metadata) {
        ist__action action = {.kind = IST__METADATA, .metadata = t->metadata};
        IST_TRY(ist__action_format(&action, out, err));
    }
    for (size_t m = 0; m < t->member_count; m++) {
        if (!t->members[m].app_id || t->members[m].status != IST_OK)
            continue;
        ist__action action = {.kind = IST__APP, .app = {t->members[m].app_id, version, now}};
        IST_TRY(ist__action_format(&action, out, err));
    }
    IST_TRY(append_removes(t, now, out, err));
    for (size_t i = 0; i < t->change_count; i++) {
        ist__action action = {.kind = IST__CDC, .cdc = t->changes[i]};
        IST_TRY(ist__action_format(&action, out, err));
    }
    return append_adds(t, version, out, err);
}

/* ---- committing --------------------------------------------------------------------------------------------- */

static bool has_anything(const ist_transaction *t)
{
    if (t->changes_metadata || t->changes_protocol)
        return true;
    for (size_t i = 0; t->snapshot && i < t->snapshot->file_count; i++)
        if (removes(t, i))
            return true;
    for (size_t m = 0; m < t->member_count; m++)
        if (t->members[m].status == IST_OK && (t->members[m].add_count || t->members[m].app_id))
            return true;
    return false;
}

static void backoff(uint32_t attempt)
{
    uint64_t ceiling = attempt < 7 ? 2000u << attempt : BACKOFF_MAX_US;
    uint64_t us = arc4random_uniform((uint32_t)(ceiling < BACKOFF_MAX_US ? ceiling : BACKOFF_MAX_US));
    struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&pause, NULL);
}

/*
 * What follows a commit, and does not change that it happened: publishing, which everybody who commits does for all, and
 * a checkpoint every so often, from which Spark reads. A failure costs readers time and no more.
 */
static void after_commit(ist_transaction *t, int64_t version)
{
    if (t->committer->ops->publish && t->committer->ops->publish(t->committer, t->store, version, NULL) != IST_OK)
        return;
    int64_t interval = ist__property_number(t->metadata.configuration, "delta.checkpointInterval", 1,
                                            CHECKPOINT_INTERVAL);
    ist_snapshot_options options = IST_SNAPSHOT_OPTIONS_INIT;
    ist_snapshot *snapshot = NULL;
    if (version == 0 || version % interval != 0)
        return;
    options.version = version;
    options.committer = t->committer;
    if (ist_snapshot_open(t->store, &options, &snapshot, NULL) == IST_OK)
        ist_checkpoint_write(t->store, snapshot, NULL);
    ist_snapshot_free(snapshot);
}

/* Read the versions from `version` on, judge each, and move on to the last. *ours: one of them is our own. */
static ist_status follow_winners(ist_transaction *t, int64_t version, bool *ours, ist_error *err)
{
    ist_buffer text = IST_BUFFER_INIT;
    ist__log log;
    *ours = false;
    IST_TRY(ist__log_open(t->store, t->committer, &log, err));
    ist_status status = IST_OK;
    for (; status == IST_OK && !*ours; version++) {
        ist_error missing = IST_ERROR_INIT;
        ist_buffer_clear(&text);
        status = ist__log_read_commit(&log, version, &text, &missing);
        if (status == IST_NOT_FOUND) {
            status = IST_OK;
            break;
        }
        if (status != IST_OK && err)
            *err = missing;
        if (status == IST_OK)
            status = ist__conflict_check(t, version, text.data, text.size, ours, err);
        if (*ours)
            t->version = version;
    }
    ist__log_close(&log);
    ist_buffer_free(&text);
    return status;
}

static void fill(ist_commit_result *result, ist_commit_outcome outcome, int64_t version, const totals *sum)
{
    result->outcome = outcome;
    result->version = version;
    if (sum) {
        result->files = sum->files;
        result->rows = sum->rows;
        result->bytes = sum->bytes;
    }
}

/* Nothing is left to be committed: every member is done already, or does not fit. */
static void fill_from_members(const ist_transaction *t, ist_commit_result *result)
{
    const ist__member *first = &t->members[0];
    fill(result, first->status == IST_CONFLICT ? IST_COMMIT_CONFLICTED : IST_COMMIT_COMMITTED,
         first->status == IST_ALREADY_EXISTS ? first->version : t->version, NULL);
    result->already = first->status == IST_ALREADY_EXISTS;
    snprintf(result->reason, sizeof result->reason, "%s", first->reason);
}

/* Let the committer make a text the version. */
static ist_status propose(ist_transaction *t, int64_t version, int64_t time, const ist_buffer *text, ist_error *err)
{
    ist_buffer table = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (ist_transaction_changes_metadata(t))
        status = ist__table_describe(&t->protocol, &t->metadata, &table, err);
    const ist_proposal proposal = {version, text->data, text->size, time, table.data};
    if (status == IST_OK)
        status = t->committer->ops->commit(t->committer, t->store, &proposal, err);
    ist_buffer_free(&table);
    return status;
}

/* One attempt at version t->version + 1. *done: the result is filled. */
static ist_status attempt(ist_transaction *t, ist_buffer *text, ist_commit_result *result, bool *done, ist_error *err)
{
    int64_t version = t->version + 1;
    totals sum = count_up(t);
    ist_error fault = IST_ERROR_INIT, judged = IST_ERROR_INIT;
    char path[64];
    bool ours = false;
    int64_t time = commit_time(t);
    IST_TRY(compose(t, version, time, &sum, text, err));
    ist__log_commit_path(version, path);
    ist_status put = propose(t, version, time, text, &fault);
    if (put == IST_OK) {
        t->committed = *done = true;
        t->version = version;
        fill(result, IST_COMMIT_COMMITTED, version, &sum);
        return IST_OK;
    }
    /* Lost, or a fault after which the file may be there all the same: what is there tells. */
    ist_status status = follow_winners(t, version, &ours, &judged);
    if (ours) {
        t->committed = *done = true;
        fill(result, IST_COMMIT_COMMITTED, t->version, &sum);
        return IST_OK;
    }
    if (status == IST_CONFLICT) {
        *done = true;
        fill(result, IST_COMMIT_CONFLICTED, version, NULL);
        snprintf(result->reason, sizeof result->reason, "%s", judged.message);
        return IST_OK;
    }
    if (status != IST_OK) {
        if (put == IST_ALREADY_EXISTS) {
            if (err)
                *err = judged;
            return status;
        }
        return ist_error_set(err, fault.status, fault.code, path,
                             "table %s: it is unknown whether version %" PRId64 " was committed: %s; reading it back "
                             "failed: %s", t->table_name, version, fault.message, judged.message);
    }
    if (put != IST_ALREADY_EXISTS && put != IST_RETRYABLE && t->version < version) {
        if (err)
            *err = fault;
        ist_error_context(err, "table %s: version %" PRId64 " was not committed", t->table_name, version);
        return put;
    }
    snprintf(result->reason, sizeof result->reason, "%s",
             put == IST_RETRYABLE ? fault.message : "every race for the next version was lost to other writers");
    if (!has_anything(t)) {
        *done = true;
        fill_from_members(t, result);
    }
    return IST_OK;
}

ist_status ist_transaction_commit(ist_transaction *transaction, ist_commit_result *result, ist_error *err)
{
    ist_transaction *t = transaction;
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    bool done = false;
    int64_t end = ist__monotonic_us() + (int64_t)ATTEMPTS_SECONDS * 1000000;
    *result = (ist_commit_result){.outcome = IST_COMMIT_COMMITTED, .version = t->version};
    if (t->committed)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the transaction is committed already");
    if (tells_changes(t) && t->replaced && t->change_count == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "table %s has a change data feed (delta.enableChangeDataFeed = true), and it is not told what "
                             "changes in the files that are replaced", t->table_name);
    if (t->already)
        fill_from_members(t, result);
    if (t->noop || !has_anything(t))
        return IST_OK;
    while (status == IST_OK && !done) {
        result->attempts++;
        status = attempt(t, &text, result, &done, err);
        if (status != IST_OK || done)
            break;
        if (result->attempts >= ATTEMPTS_MAX || ist__monotonic_us() >= end) {
            fill(result, IST_COMMIT_RETRYABLE, t->version, NULL);
            break;
        }
        backoff(result->attempts);
    }
    if (t->committed) {
        result->reason[0] = '\0';
        after_commit(t, t->version);
    }
    ist_buffer_free(&text);
    return status;
}
