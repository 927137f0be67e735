/*
 * snapshot.c: replay of the log (PROTOCOL.md, "Action Reconciliation") and what a snapshot tells.
 *
 * The log is read newest first: the first action seen for a key is the one that counts, so nothing is ever taken back.
 * Commits are parsed where they were read into memory, and the snapshot's strings point there. Statistics stay text.
 */
#include "delta/delta_internal.h"

#define XXH_INLINE_ALL
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

static const int64_t default_tombstone_retention_ms = INT64_C(7) * 24 * 3600 * 1000;

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to replay the log");
}

/* ---- a set of keys: logical files, applications, domains ------------------------------------------------------- */

/* A logical file is its path and the unique id of its deletion vector; the other keys have no vector. */
typedef struct key {
    const char *text;
    const char *dv; /* NULL none */
    uint64_t hash;
    int32_t dv_offset;
    char dv_type;
} key;

typedef struct key_set {
    key *slots; /* open addressing; text NULL is free */
    size_t capacity; /* a power of two */
    size_t count;
} key_set;

static key make_key(const char *text, const ist__dv *dv)
{
    key result = {.text = text, .hash = XXH3_64bits(text, strlen(text))};
    if (dv && dv->storage_type) {
        result.dv = dv->path_or_inline;
        result.dv_offset = dv->offset;
        result.dv_type = dv->storage_type;
        result.hash ^= XXH3_64bits_withSeed(dv->path_or_inline, strlen(dv->path_or_inline), (uint32_t)dv->offset + 1);
    }
    return result;
}

static bool same_key(const key *a, const key *b)
{
    return a->hash == b->hash && a->dv_type == b->dv_type && strcmp(a->text, b->text) == 0 &&
           (!a->dv || (a->dv_offset == b->dv_offset && strcmp(a->dv, b->dv) == 0));
}

static key *find_slot(const key_set *set, const key *wanted)
{
    size_t i = wanted->hash & (set->capacity - 1);
    while (set->slots[i].text && !same_key(&set->slots[i], wanted))
        i = (i + 1) & (set->capacity - 1);
    return &set->slots[i];
}

static bool has_key(const key_set *set, const key *wanted)
{
    return set->count > 0 && find_slot(set, wanted)->text;
}

/* *added is false where the key was there before. */
static ist_status add_key(key_set *set, const key *wanted, bool *added, ist_error *err)
{
    if (set->count * 2 >= set->capacity) {
        key_set larger = {.capacity = set->capacity ? set->capacity * 4 : 256, .count = set->count};
        larger.slots = calloc(larger.capacity, sizeof *larger.slots);
        if (!larger.slots)
            return no_memory(err);
        for (size_t i = 0; i < set->capacity; i++) {
            if (set->slots[i].text)
                *find_slot(&larger, &set->slots[i]) = set->slots[i];
        }
        free(set->slots);
        *set = larger;
    }
    key *slot = find_slot(set, wanted);
    *added = slot->text == NULL;
    if (*added) {
        *slot = *wanted;
        set->count++;
    }
    return IST_OK;
}

/* ---- replay -------------------------------------------------------------------------------------------------- */

typedef struct list {
    char *items; /* malloc'ed */
    size_t count;
    size_t capacity;
} list;

static ist_status list_add(list *to, const void *item, size_t size, ist_error *err)
{
    if (to->count == to->capacity) {
        size_t capacity = to->capacity ? to->capacity * 2 : 16;
        char *items = realloc(to->items, capacity * size);
        if (!items)
            return no_memory(err);
        to->items = items;
        to->capacity = capacity;
    }
    memcpy(to->items + to->count++ * size, item, size);
    return IST_OK;
}

typedef struct replay {
    ist_snapshot *snapshot;
    key_set files, apps, domains; /* seen in commits */
    list commit_adds;             /* newest first */
    list checkpoint_adds;
    list removes, live_apps, live_domains;
    bool in_checkpoint;
    bool has_protocol, has_metadata;
} replay;

/* Has a newer action settled this key? If not, it is settled now. A checkpoint comes last and holds each key once, so
 * its keys are looked up and not kept. */
static ist_status settle(replay *state, key_set *set, const key *wanted, bool *is_new, ist_error *err)
{
    if (!state->in_checkpoint)
        return add_key(set, wanted, is_new, err);
    *is_new = !has_key(set, wanted);
    return IST_OK;
}

static ist_status apply(const ist__action *action, void *payload, ist_error *err)
{
    replay *state = payload;
    bool is_new;
    key wanted;
    switch (action->kind) {
    case IST__ADD:
        wanted = make_key(action->add.path, &action->add.dv);
        IST_TRY(settle(state, &state->files, &wanted, &is_new, err));
        if (is_new)
            return list_add(state->in_checkpoint ? &state->checkpoint_adds : &state->commit_adds, &action->add,
                            sizeof action->add, err);
        break;
    case IST__REMOVE:
        wanted = make_key(action->remove.path, &action->remove.dv);
        IST_TRY(settle(state, &state->files, &wanted, &is_new, err));
        if (is_new)
            return list_add(&state->removes, &action->remove, sizeof action->remove, err);
        break;
    case IST__APP:
        wanted = make_key(action->app.app_id, NULL);
        IST_TRY(settle(state, &state->apps, &wanted, &is_new, err));
        if (is_new)
            return list_add(&state->live_apps, &action->app, sizeof action->app, err);
        break;
    case IST__DOMAIN:
        wanted = make_key(action->domain.domain, NULL);
        IST_TRY(settle(state, &state->domains, &wanted, &is_new, err));
        if (is_new && !action->domain.removed)
            return list_add(&state->live_domains, &action->domain, sizeof action->domain, err);
        break;
    case IST__PROTOCOL:
        if (!state->has_protocol)
            state->snapshot->protocol = action->protocol;
        state->has_protocol = true;
        break;
    case IST__METADATA:
        if (!state->has_metadata)
            state->snapshot->metadata = action->metadata;
        state->has_metadata = true;
        break;
    default: /* nothing of these outlives its commit; the checkpoint's reader follows sidecars */
        break;
    }
    return IST_OK;
}

/* Read a commit into memory that the arena keeps, with the padding that parsing in place wants. */
static ist_status read_commit(const ist__log *log, int64_t version, const char *name, ist__arena *arena, char **text,
                              size_t *size, ist_error *err)
{
    ist_buffer buffer = IST_BUFFER_INIT;
    ist_status status;
    IST_TRY_GOTO(ist__log_read_commit(log, version, &buffer, err));
    IST_TRY_GOTO(ist_buffer_reserve(&buffer, YYJSON_PADDING_SIZE, err));
    memset(buffer.data + buffer.size, 0, YYJSON_PADDING_SIZE);
    if (buffer.size == 0) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, ist_store_uri(log->store), "%s is empty", name);
        goto done;
    }
    *text = buffer.data;
    *size = buffer.size;
    buffer = (ist_buffer)IST_BUFFER_INIT;
    if (!ist__arena_adopt(arena, *text))
        status = no_memory(err);
done:
    ist_buffer_free(&buffer);
    return status;
}

/* Apply a commit's lines, the last first. */
static ist_status replay_commit(replay *state, const ist__log *log, int64_t version, ist_error *err)
{
    char path[64], *text = NULL;
    size_t size = 0;
    ist__arena *arena = state->snapshot->arena;
    ist__log_commit_path(version, path);
    IST_TRY(read_commit(log, version, path, arena, &text, &size, err));
    while (size > 0) {
        if (text[size - 1] == '\n' || text[size - 1] == '\r') {
            size--;
            continue;
        }
        char *before = memrchr(text, '\n', size), *line = before ? before + 1 : text;
        size_t line_size = size - (size_t)(line - text);
        ist__action action;
        if (ist__action_parse_in_place(line, line_size, arena, &action, err) != IST_OK) {
            size_t number = 1;
            for (const char *c = text; c < line; c++)
                number += *c == '\n';
            return ist_error_context(err, "%s, line %zu", path, number);
        }
        if (action.kind == IST__COMMIT_INFO && version == state->snapshot->version)
            state->snapshot->timestamp_ms = action.commit_info.in_commit_timestamp;
        IST_TRY(apply(&action, state, err));
        size -= line_size;
    }
    return IST_OK;
}

/*
 * The length of an interval property ("interval 1 week 2 days") in ms.
 * Returns -1 where it is absent or not understood.
 */
static int64_t interval_ms(const ist__metadata *metadata, const char *property)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"week", 604800000}, {"day", 86400000}, {"hour", 3600000}, {"minute", 60000}, {"second", 1000},
                 {"millisecond", 1}};
    const char *text = ist__pairs_get(metadata->configuration, property);
    if (!text)
        return -1;
    text += strspn(text, " ");
    if (strncasecmp(text, "interval ", 9) == 0)
        text += 9;
    int64_t total = 0;
    bool any = false;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        char *end;
        int64_t n = strtoll(text, &end, 10), unit = 0;
        end += strspn(end, " ");
        size_t word = strcspn(end, " ");
        size_t stem = word > 1 && strchr("sS", end[word - 1]) ? word - 1 : word;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strlen(units[i].name) == stem && strncasecmp(end, units[i].name, stem) == 0)
                unit = units[i].ms;
        }
        if (end == text || unit == 0 || n < 0 || n > INT64_MAX / 4 / unit || total > INT64_MAX / 4)
            return -1;
        total += n * unit;
        text = end + word;
        any = true;
    }
    return any ? total : -1;
}

/* Tombstones and applications past their time. An interval that nobody can read keeps everything. */
static void drop_expired(ist_snapshot *snapshot)
{
    static const char tombstones[] = "delta.deletedFileRetentionDuration";
    int64_t now = ist__now_ms(), retention = interval_ms(&snapshot->metadata, tombstones);
    if (!ist__pairs_get(snapshot->metadata.configuration, tombstones))
        retention = default_tombstone_retention_ms;
    size_t kept = 0;
    for (size_t i = 0; i < snapshot->tombstone_count; i++) {
        const ist__remove *remove = &snapshot->tombstones[i];
        int64_t time = remove->deletion_timestamp < 0 ? 0 : remove->deletion_timestamp;
        if (retention < 0 || time > now - retention)
            snapshot->tombstones[kept++] = *remove;
    }
    snapshot->tombstone_count = kept;
    retention = interval_ms(&snapshot->metadata, "delta.setTransactionRetentionDuration");
    kept = 0;
    for (size_t i = 0; i < snapshot->app_count; i++) {
        const ist__app *app = &snapshot->apps[i];
        if (retention < 0 || app->last_updated < 0 || app->last_updated > now - retention)
            snapshot->apps[kept++] = *app;
    }
    snapshot->app_count = kept;
}

/* Live files in the order of the log. */
static ist_status take_files(replay *state, ist_error *err)
{
    const ist__add *adds = (const ist__add *)state->commit_adds.items;
    for (size_t i = state->commit_adds.count; i > 0; i--)
        IST_TRY(list_add(&state->checkpoint_adds, &adds[i - 1], sizeof *adds, err));
    state->snapshot->files = (ist__add *)state->checkpoint_adds.items;
    state->snapshot->file_count = state->checkpoint_adds.count;
    state->checkpoint_adds = (list){0};
    return IST_OK;
}

/* Move a list into the snapshot. */
#define TAKE_LIST(snapshot, items_member, count_member, from)                                                          \
    do {                                                                                                               \
        (snapshot)->items_member = (void *)(from).items;                                                               \
        (snapshot)->count_member = (from).count;                                                                       \
        (from) = (list){0};                                                                                            \
    } while (0)

static ist_status replay_segment(replay *state, const ist__log *log, const ist__log_segment *segment, ist_error *err)
{
    ist_snapshot *snapshot = state->snapshot;
    snapshot->timestamp_ms = -1;
    for (size_t i = segment->commit_count; i > 0; i--)
        IST_TRY(replay_commit(state, log, segment->commits[i - 1].version, err));
    if (segment->checkpoint_count > 0) {
        state->in_checkpoint = true;
        IST_TRY(ist__checkpoint_read(log->store, (const char *const *)segment->checkpoint_paths, segment->checkpoint_count,
                                     snapshot->arena, apply, state, err));
    }
    if (!state->has_protocol || !state->has_metadata)
        return ist_error_set(err, IST_BAD_INPUT, 0, snapshot->uri, "the log up to version %" PRId64 " has no %s action",
                             snapshot->version, state->has_protocol ? "metaData" : "protocol");
    IST_TRY(ist__features_check_read(&snapshot->protocol, log->managed, err));
    IST_TRY(take_files(state, err));
    TAKE_LIST(snapshot, tombstones, tombstone_count, state->removes);
    TAKE_LIST(snapshot, apps, app_count, state->live_apps);
    TAKE_LIST(snapshot, domains, domain_count, state->live_domains);
    drop_expired(snapshot);
    return IST_OK;
}

static bool has_ict(const ist_snapshot *snapshot)
{
    return ist__features_enabled(&snapshot->protocol, &snapshot->metadata, "inCommitTimestamp");
}

/* timestamp_ms holds the in-commit timestamp of the newest commit where replay met one. */
static ist_status settle_timestamp(ist_snapshot *snapshot, const ist__log *log, const ist__log_segment *segment,
                                   ist_error *err)
{
    ist__action info;
    if (has_ict(snapshot) && segment->commit_count == 0) {
        ist_error ignored = IST_ERROR_INIT;
        ist_status status = ist__log_commit_info(log, snapshot->version, snapshot->arena, &info, &ignored);
        if (status != IST_OK && status != IST_NOT_FOUND) {
            if (err)
                *err = ignored;
            return status;
        }
        if (status == IST_OK && info.kind == IST__COMMIT_INFO)
            snapshot->timestamp_ms = info.commit_info.in_commit_timestamp;
    }
    snapshot->has_in_commit_timestamp = has_ict(snapshot) && snapshot->timestamp_ms >= 0;
    if (!snapshot->has_in_commit_timestamp)
        snapshot->timestamp_ms = segment->timestamp_ms;
    return IST_OK;
}

static ist_status open_version(const ist__log *log, int64_t version, ist_snapshot **out, ist_error *err)
{
    ist__log_segment segment;
    replay state = {0};
    IST_TRY(ist__log_segment_find(log, version, &segment, err));
    ist_status status;
    IST_TRY_GOTO(ist__alloc(1, sizeof *state.snapshot, (void **)&state.snapshot, err));
    state.snapshot->version = segment.version;
    state.snapshot->checkpoint_version = segment.checkpoint_version;
    IST_TRY_GOTO(ist__arena_new(&state.snapshot->arena, err));
    IST_TRY_GOTO(ist__strdup(ist_store_uri(log->store), &state.snapshot->uri, err));
    IST_TRY_GOTO(replay_segment(&state, log, &segment, err));
    IST_TRY_GOTO(settle_timestamp(state.snapshot, log, &segment, err));
    *out = state.snapshot;
    state.snapshot = NULL;
done:
    ist_snapshot_free(state.snapshot);
    free(state.files.slots);
    free(state.apps.slots);
    free(state.domains.slots);
    free(state.commit_adds.items);
    free(state.checkpoint_adds.items);
    free(state.removes.items);
    free(state.live_apps.items);
    free(state.live_domains.items);
    ist__log_segment_free(&segment);
    return status;
}

/* ---- time travel --------------------------------------------------------------------------------------------- */

static int64_t number_property(const ist_snapshot *snapshot, const char *name)
{
    const char *text = ist__pairs_get(snapshot->metadata.configuration, name);
    return text ? strtoll(text, NULL, 10) : -1;
}

/* The in-commit timestamp of a version. */
static ist_status read_ict(const ist__log *log, int64_t version, int64_t *out, ist_error *err)
{
    ist__arena *arena;
    ist__action info;
    IST_TRY(ist__arena_new(&arena, err));
    ist_status status = ist__log_commit_info(log, version, arena, &info, err);
    *out = info.kind == IST__COMMIT_INFO ? info.commit_info.in_commit_timestamp : -1;
    if (status == IST_OK && *out < 0)
        status = ist_error_set(err, IST_BAD_INPUT, 0, ist_store_uri(log->store),
                               "version %" PRId64 " has no inCommitTimestamp", version);
    ist__arena_free(arena);
    return status;
}

/*
 * The newest version at or before a time. PROTOCOL.md, "Recommendations for Readers of Tables with In-Commit
 * Timestamps": from the version that switched them on they count, before it the files' times do; those are taken as
 * rising, for a copied table's are in any order.
 */
static ist_status version_at(const ist__log *log, const ist_snapshot *newest, int64_t time, int64_t *out, ist_error *err)
{
    ist__log_commit *commits = NULL;
    size_t count, first = 0, end;
    IST_TRY(ist__log_list_commits(log, &commits, &count, err));
    ist_status status = IST_OK;
    int64_t earliest = -1;
    *out = -1;
    end = count;
    if (has_ict(newest)) {
        int64_t enabled = number_property(newest, "delta.inCommitTimestampEnablementVersion");
        while (first < count && commits[first].version < enabled)
            first++;
        size_t low = first, high = count; /* the answer's place is in [low, high] */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            int64_t ict;
            IST_TRY_GOTO(read_ict(log, commits[middle].version, &ict, err));
            earliest = ict;
            if (ict <= time)
                low = middle + 1;
            else
                high = middle;
        }
        if (low > first)
            *out = commits[low - 1].version;
        end = first;
    }
    int64_t previous = -1;
    for (size_t i = 0; i < end; i++) {
        int64_t at = commits[i].modified_ms > previous ? commits[i].modified_ms : previous + 1;
        if (i == 0)
            earliest = at;
        if (at <= time && commits[i].version > *out)
            *out = commits[i].version;
        previous = at;
    }
    if (*out < 0) {
        char wanted[32], first_time[32];
        ist__format_time(time, wanted);
        ist__format_time(earliest, first_time);
        status = ist_error_set(err, IST_NOT_FOUND, 0, ist_store_uri(log->store),
                               "no version was committed at or before %s: the earliest is of %s", wanted, first_time);
    }
done:
    free(commits);
    return status;
}

ist_status ist_snapshot_open(ist_store *store, const ist_snapshot_options *options, ist_snapshot **out,
                             ist_error *err)
{
    static const ist_snapshot_options defaults = IST_SNAPSHOT_OPTIONS_INIT;
    *out = NULL;
    if (!options)
        options = &defaults;
    if (options->version >= 0 && options->timestamp_ms >= 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "give a version or a timestamp, not both");
    if (options->version < -1 || options->timestamp_ms < -1)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a version or timestamp cannot be negative");
    ist__log log;
    ist_status status = ist__log_open(store, options->committer, &log, err);
    if (status == IST_OK)
        status = open_version(&log, options->version, out, err);
    if (status == IST_OK && options->timestamp_ms >= 0) {
        int64_t version;
        status = version_at(&log, *out, options->timestamp_ms, &version, err);
        if (status == IST_OK && version != (*out)->version) {
            ist_snapshot_free(*out);
            *out = NULL;
            status = open_version(&log, version, out, err);
        }
    }
    ist__log_close(&log);
    if (status != IST_OK) {
        ist_snapshot_free(*out);
        *out = NULL;
        ist_error_context(err, "%s", ist_store_uri(store));
    }
    return status;
}

void ist_snapshot_free(ist_snapshot *snapshot)
{
    if (!snapshot)
        return;
    free(snapshot->files);
    free(snapshot->tombstones);
    free(snapshot->apps);
    free(snapshot->domains);
    free(snapshot->uri);
    ist__arena_free(snapshot->arena);
    free(snapshot);
}

/* ---- what a snapshot tells ------------------------------------------------------------------------------------ */

int64_t ist_snapshot_version(const ist_snapshot *snapshot)
{
    return snapshot->version;
}

int64_t ist_snapshot_timestamp_ms(const ist_snapshot *snapshot)
{
    return snapshot->timestamp_ms;
}

const char *ist_snapshot_uri(const ist_snapshot *snapshot)
{
    return snapshot->uri;
}

const char *ist_snapshot_table_id(const ist_snapshot *snapshot)
{
    return snapshot->metadata.id;
}

const char *ist_snapshot_schema_json(const ist_snapshot *snapshot)
{
    return snapshot->metadata.schema_string;
}

ist_status ist_snapshot_schema(const ist_snapshot *snapshot, struct ArrowSchema *out, ist_error *err)
{
    return ist__schema_to_arrow(snapshot->metadata.schema_string, out, err);
}

size_t ist_snapshot_partition_column_count(const ist_snapshot *snapshot)
{
    return snapshot->metadata.partition_columns.count;
}

const char *ist_snapshot_partition_column(const ist_snapshot *snapshot, size_t i)
{
    return i < snapshot->metadata.partition_columns.count ? snapshot->metadata.partition_columns.items[i] : NULL;
}

const char *ist_snapshot_property(const ist_snapshot *snapshot, const char *name)
{
    return ist__pairs_get(snapshot->metadata.configuration, name);
}

size_t ist_snapshot_file_count(const ist_snapshot *snapshot)
{
    return snapshot->file_count;
}

int64_t ist_snapshot_size_bytes(const ist_snapshot *snapshot)
{
    int64_t total = 0;
    for (size_t i = 0; i < snapshot->file_count; i++) {
        if (__builtin_add_overflow(total, snapshot->files[i].size, &total))
            return INT64_MAX; /* the log says what cannot be */
    }
    return total;
}

int64_t ist__add_rows(const ist__add *add)
{
    if (!add->stats)
        return -1;
    char pool[16 << 10]; /* statistics of a few columns need no malloc */
    size_t size = strlen(add->stats);
    yyjson_alc alc;
    bool fits = yyjson_read_max_memory_usage(size, 0) <= sizeof pool - 512 &&
                yyjson_alc_pool_init(&alc, pool, sizeof pool);
    yyjson_doc *doc = yyjson_read_opts((char *)add->stats, size, 0, fits ? &alc : NULL, NULL);
    yyjson_val *records = yyjson_obj_get(yyjson_doc_get_root(doc), "numRecords");
    int64_t deleted = add->dv.storage_type ? add->dv.cardinality : 0, rows = -1;
    if (yyjson_is_uint(records) && yyjson_get_uint(records) <= INT64_MAX &&
        (int64_t)yyjson_get_uint(records) >= deleted)
        rows = (int64_t)yyjson_get_uint(records) - deleted;
    yyjson_doc_free(doc);
    return rows;
}

int64_t ist_snapshot_row_count(const ist_snapshot *snapshot)
{
    int64_t total = 0;
    for (size_t i = 0; i < snapshot->file_count; i++) {
        int64_t rows = ist__add_rows(&snapshot->files[i]);
        if (rows < 0 || __builtin_add_overflow(total, rows, &total))
            return -1;
    }
    return total;
}

int64_t ist_snapshot_app_version(const ist_snapshot *snapshot, const char *app_id)
{
    for (size_t i = 0; i < snapshot->app_count; i++) {
        if (strcmp(snapshot->apps[i].app_id, app_id) == 0)
            return snapshot->apps[i].version;
    }
    return -1;
}

static yyjson_mut_val *json_strings(yyjson_mut_doc *doc, ist__strings strings)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    for (size_t i = 0; i < strings.count; i++)
        yyjson_mut_arr_add_str(doc, array, strings.items[i]);
    return array;
}

/* Features listed, or implied by the versions below those of table features. */
static yyjson_mut_val *json_features(yyjson_mut_doc *doc, const ist__protocol *protocol)
{
    static const char *const legacy[] = {"appendOnly",       "invariants",    "checkConstraints", "changeDataFeed",
                                         "generatedColumns", "columnMapping", "identityColumns"};
    if (protocol->min_writer_version >= 7)
        return json_strings(doc, protocol->writer_features);
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    for (size_t i = 0; i < sizeof legacy / sizeof legacy[0]; i++) {
        if (ist__features_supported(protocol, legacy[i]))
            yyjson_mut_arr_add_str(doc, array, legacy[i]);
    }
    return array;
}

static ist_status describe_into(yyjson_mut_doc *doc, yyjson_mut_val *root, const ist__protocol *protocol,
                                const ist__metadata *metadata, ist_error *err)
{
    yyjson_doc *schema = yyjson_read(metadata->schema_string, strlen(metadata->schema_string), 0);
    if (!schema)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the table's schema is not valid JSON");
    yyjson_mut_val *properties = yyjson_mut_obj(doc), *versions = yyjson_mut_obj_add_obj(doc, root, "protocol");
    yyjson_mut_obj_add_sint(doc, versions, "minReaderVersion", protocol->min_reader_version);
    yyjson_mut_obj_add_sint(doc, versions, "minWriterVersion", protocol->min_writer_version);
    if (protocol->min_reader_version >= 3)
        yyjson_mut_obj_add_val(doc, versions, "readerFeatures", json_strings(doc, protocol->reader_features));
    yyjson_mut_obj_add_val(doc, root, "features", json_features(doc, protocol));
    yyjson_mut_obj_add_val(doc, root, "schema", yyjson_val_mut_copy(doc, yyjson_doc_get_root(schema)));
    yyjson_mut_obj_add_val(doc, root, "partitionColumns", json_strings(doc, metadata->partition_columns));
    for (size_t i = 0; i < metadata->configuration.count; i++)
        yyjson_mut_obj_add_str(doc, properties, metadata->configuration.items[i].key,
                               metadata->configuration.items[i].value);
    yyjson_mut_obj_add_val(doc, root, "properties", properties);
    yyjson_doc_free(schema);
    return IST_OK;
}

/* Append the document, which is freed. */
static ist_status write_description(yyjson_mut_doc *doc, ist_status status, ist_buffer *out, ist_error *err)
{
    size_t size;
    char *text = status == IST_OK ? yyjson_mut_write(doc, 0, &size) : NULL;
    if (status == IST_OK)
        status = text ? ist_buffer_append(out, text, size, err) : no_memory(err);
    free(text);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status ist__table_describe(const ist__protocol *protocol, const ist__metadata *metadata, ist_buffer *out,
                               ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", metadata->name);
    yyjson_mut_obj_add_str(doc, root, "description", metadata->description);
    return write_description(doc, describe_into(doc, root, protocol, metadata, err), out, err);
}

ist_status ist_snapshot_describe(const ist_snapshot *snapshot, ist_buffer *out, ist_error *err)
{
    const ist__metadata *metadata = &snapshot->metadata;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "uri", snapshot->uri);
    yyjson_mut_obj_add_str(doc, root, "id", metadata->id);
    yyjson_mut_obj_add_str(doc, root, "name", metadata->name);
    yyjson_mut_obj_add_str(doc, root, "description", metadata->description);
    yyjson_mut_obj_add_sint(doc, root, "version", snapshot->version);
    yyjson_mut_obj_add_sint(doc, root, "timestamp", snapshot->timestamp_ms);
    ist_status status = describe_into(doc, root, &snapshot->protocol, metadata, err);
    yyjson_mut_obj_add_uint(doc, root, "files", snapshot->file_count);
    yyjson_mut_obj_add_sint(doc, root, "bytes", ist_snapshot_size_bytes(snapshot));
    yyjson_mut_obj_add_sint(doc, root, "rows", ist_snapshot_row_count(snapshot));
    return write_description(doc, status, out, err);
}
