/*
 * log.c: the files of _delta_log: their names, which of them make up a version, and single commits.
 *
 * _last_checkpoint is a hint: it shortens the listing when it names a checkpoint that is there, and is never believed
 * otherwise. _staged_commits and _sidecars are folders, which a listing leaves out: which staged commit is a version is
 * for the table's catalog to say.
 */
#include "delta/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char log_folder[] = "_delta_log";
enum { VERSION_DIGITS = 20, PART_DIGITS = 10, UUID_SIZE = 36, HINT_LIMIT = 1 << 20 };

/* ---- names --------------------------------------------------------------------------------------------------- */

/* Exactly `digits` digits at *text, which moves past them; -1 where they are not there or too large. */
static int64_t take_number(const char **text, int digits)
{
    int64_t value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9' || value > (INT64_MAX - (c - '0')) / 10)
            return -1;
        value = value * 10 + (c - '0');
    }
    *text += digits;
    return value;
}

static bool take(const char **text, const char *expected)
{
    size_t size = strlen(expected);
    if (strncmp(*text, expected, size) != 0)
        return false;
    *text += size;
    return true;
}

static bool take_uuid(const char **text)
{
    for (int i = 0; i < UUID_SIZE; i++) {
        char c = (*text)[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    *text += UUID_SIZE;
    return true;
}

ist__log_name ist__log_parse_name(const char *name)
{
    const ist__log_name other = {.kind = IST__LOG_OTHER, .version = -1};
    ist__log_name result = {.version = take_number(&name, VERSION_DIGITS)};
    if (result.version < 0)
        return other;
    if (strcmp(name, ".json") == 0) {
        result.kind = IST__LOG_COMMIT;
        return result;
    }
    if (!take(&name, ".checkpoint."))
        return other;
    if (strcmp(name, "parquet") == 0) {
        result.kind = IST__LOG_CHECKPOINT;
        return result;
    }
    const char *rest = name;
    if (take_uuid(&rest) && (strcmp(rest, ".json") == 0 || strcmp(rest, ".parquet") == 0)) {
        result.kind = IST__LOG_CHECKPOINT_V2;
        return result;
    }
    result.kind = IST__LOG_CHECKPOINT_PART;
    result.part = take_number(&name, PART_DIGITS);
    if (result.part < 1 || !take(&name, "."))
        return other;
    result.parts = take_number(&name, PART_DIGITS);
    if (result.parts < result.part || strcmp(name, ".parquet") != 0)
        return other;
    return result;
}

void ist__log_commit_path(int64_t version, char out[64])
{
    snprintf(out, 64, "%s/%020" PRId64 ".json", log_folder, version);
}

/* ---- the catalog's part --------------------------------------------------------------------------------------- */

static ist_status take_ratified(const ist_ratified_commit *commit, void *payload, ist_error *err)
{
    ist__log *log = payload;
    int64_t expected = log->ratified_count ? log->ratified[log->ratified_count - 1].commit.version + 1 : commit->version;
    if (commit->version != expected || commit->version < 0 || !*commit->path)
        return ist_error_set(err, IST_BAD_INPUT, 0, ist_store_uri(log->store),
                             "the catalog's ratified commits are not in order: version %" PRId64 " (%s), where %" PRId64
                             " is next", commit->version, commit->path, expected);
    ist__log_ratified *grown = realloc(log->ratified, (log->ratified_count + 1) * sizeof *grown);
    if (!grown)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to read the log");
    log->ratified = grown;
    grown += log->ratified_count;
    *grown = (ist__log_ratified){.commit = {commit->version, commit->modified_ms, commit->size}};
    IST_TRY(ist__strdup(commit->path, &grown->path, err));
    log->ratified_count++;
    return IST_OK;
}

ist_status ist__log_open(ist_store *store, const ist_committer *committer, ist__log *out, ist_error *err)
{
    *out = (ist__log){.store = store, .latest = INT64_MAX};
    if (!committer || !committer->ops->ratified)
        return IST_OK;
    out->managed = true;
    int64_t latest = -1;
    ist_status status = committer->ops->ratified((ist_committer *)(uintptr_t)committer, take_ratified, out, &latest, err);
    if (status != IST_OK)
        ist__log_close(out);
    else if (latest >= 0)
        out->latest = latest;
    return status;
}

void ist__log_close(ist__log *log)
{
    for (size_t i = 0; i < log->ratified_count; i++)
        free(log->ratified[i].path);
    free(log->ratified);
    *log = (ist__log){0};
}

static const ist__log_ratified *find_ratified(const ist__log *log, int64_t version)
{
    for (size_t i = 0; i < log->ratified_count; i++)
        if (log->ratified[i].commit.version == version)
            return &log->ratified[i];
    return NULL;
}

/* ---- listing ------------------------------------------------------------------------------------------------- */

typedef struct log_file {
    ist__log_name name;
    char *path; /* of checkpoints; NULL for commits */
    uint64_t size;
    int64_t modified_ms;
} log_file;

typedef struct listing {
    log_file *files; /* commits and checkpoints, in byte order of their names */
    size_t count;
    size_t capacity;
    bool commits_only;
    const ist__log *log;
    ist_status status;
    ist_error *err;
} listing;

static void listing_free(listing *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].path);
    free(list->files);
    *list = (listing){0};
}

static ist_status make_room(listing *list, ist_error *err)
{
    if (list->count < list->capacity)
        return IST_OK;
    size_t capacity = list->capacity ? list->capacity * 2 : 64;
    log_file *files = realloc(list->files, capacity * sizeof *files);
    if (!files)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory to list the log");
    list->files = files;
    list->capacity = capacity;
    return IST_OK;
}

static bool list_file(const ist_store_entry *entry, void *payload)
{
    listing *list = payload;
    const char *slash = strrchr(entry->path, '/');
    log_file file = {.name = ist__log_parse_name(slash ? slash + 1 : entry->path),
                     .size = entry->size,
                     .modified_ms = entry->modified_ms};
    if (file.name.kind == IST__LOG_OTHER || (list->commits_only && file.name.kind != IST__LOG_COMMIT))
        return true;
    if (file.name.version > list->log->latest)
        return false; /* names sort by version */
    list->status = make_room(list, list->err);
    if (list->status != IST_OK)
        return false;
    if (file.name.kind != IST__LOG_COMMIT) {
        list->status = ist__strdup(entry->path, &file.path, list->err);
        if (list->status != IST_OK)
            return false;
    }
    list->files[list->count++] = file;
    return true;
}

/* Put a ratified commit where its published file stands or would stand: after all files of its version and those before. */
static ist_status merge_ratified(listing *list, const ist__log_commit *commit, ist_error *err)
{
    size_t at = list->count;
    while (at > 0 && list->files[at - 1].name.version > commit->version)
        at--;
    const log_file file = {.name = {.kind = IST__LOG_COMMIT, .version = commit->version},
                           .size = commit->size,
                           .modified_ms = commit->modified_ms};
    if (at > 0 && list->files[at - 1].name.version == commit->version &&
        list->files[at - 1].name.kind == IST__LOG_COMMIT) {
        list->files[at - 1] = file;
        return IST_OK;
    }
    IST_TRY(make_room(list, err));
    memmove(&list->files[at + 1], &list->files[at], (list->count - at) * sizeof file);
    list->files[at] = file;
    list->count++;
    return IST_OK;
}

/* List from version `first` on. */
static ist_status list_log(const ist__log *log, int64_t first, listing *list, ist_error *err)
{
    char start[32];
    snprintf(start, sizeof start, "%020" PRId64, first); /* sorts before every name that begins with it */
    list->log = log;
    list->err = err;
    IST_TRY(ist_store_list(log->store, log_folder, first > 0 ? start : NULL, list_file, list, err));
    for (size_t i = 0; i < log->ratified_count && list->status == IST_OK; i++)
        if (log->ratified[i].commit.version >= first && log->ratified[i].commit.version <= log->latest)
            list->status = merge_ratified(list, &log->ratified[i].commit, err);
    return list->status;
}

ist_status ist__log_list_commits(const ist__log *log, ist__log_commit **out, size_t *count, ist_error *err)
{
    listing list = {.commits_only = true};
    ist_status status = list_log(log, 0, &list, err);
    *out = NULL;
    *count = 0;
    if (status == IST_OK)
        status = ist__alloc(list.count, sizeof **out, (void **)out, err);
    for (size_t i = 0; status == IST_OK && i < list.count; i++)
        (*out)[(*count)++] = (ist__log_commit){list.files[i].name.version, list.files[i].modified_ms,
                                               list.files[i].size};
    listing_free(&list);
    return status;
}

ist_status ist__log_latest_version(const ist__log *log, int64_t start, int64_t *version, ist_error *err)
{
    listing list = {.commits_only = true};
    ist_status status = list_log(log, start, &list, err);
    *version = list.count ? list.files[list.count - 1].name.version : -1;
    listing_free(&list);
    return status;
}

/* ---- the segment of a version -------------------------------------------------------------------------------- */

int64_t ist__log_parse_hint(const char *text, size_t size)
{
    yyjson_doc *doc = yyjson_read(text, size, 0);
    yyjson_val *version = yyjson_obj_get(yyjson_doc_get_root(doc), "version");
    int64_t result = -1;
    if (yyjson_is_uint(version) && yyjson_get_uint(version) <= INT64_MAX)
        result = (int64_t)yyjson_get_uint(version);
    yyjson_doc_free(doc);
    return result;
}

/* What cannot be read for whatever reason is no hint. */
static int64_t read_hint(ist_store *store)
{
    ist_buffer text = {.limit = HINT_LIMIT};
    int64_t version = -1;
    if (ist_store_get(store, "_delta_log/_last_checkpoint", &text, NULL) == IST_OK)
        version = ist__log_parse_hint(text.data, text.size);
    ist_buffer_free(&text);
    return version;
}

/* One whole checkpoint in the listing: files[first] and, for a multi-part one, those of the same number of parts. */
typedef struct checkpoint {
    size_t first;
    size_t count;
} checkpoint;

/* Parts of one checkpoint sort by part number and then by the number of parts, so parts of two attempts interleave. */
static size_t count_parts(const listing *list, size_t first)
{
    const ist__log_name *name = &list->files[first].name;
    int64_t next = 1;
    for (size_t i = first; i < list->count && list->files[i].name.version == name->version; i++) {
        const ist__log_name *other = &list->files[i].name;
        if (other->kind == IST__LOG_CHECKPOINT_PART && other->parts == name->parts && other->part == next)
            next++;
    }
    return next - 1 == name->parts ? (size_t)name->parts : 0;
}

/* The newest whole checkpoint not past `version` (-1: any). Of several of one version a single file is preferred. */
static checkpoint find_checkpoint(const listing *list, int64_t version)
{
    checkpoint best = {0, 0};
    for (size_t i = 0; i < list->count; i++) {
        const ist__log_name *name = &list->files[i].name;
        if (name->kind == IST__LOG_COMMIT || (version >= 0 && name->version > version))
            continue;
        size_t count = name->kind != IST__LOG_CHECKPOINT_PART ? 1 : name->part == 1 ? count_parts(list, i) : 0;
        if (count == 0)
            continue;
        if (best.count == 0 || name->version > list->files[best.first].name.version || count < best.count)
            best = (checkpoint){i, count};
    }
    return best;
}

static ist_status take_checkpoint(listing *list, checkpoint from, ist__log_segment *out, ist_error *err)
{
    const ist__log_name *name = &list->files[from.first].name;
    IST_TRY(ist__alloc(from.count, sizeof *out->checkpoint_paths, (void **)&out->checkpoint_paths, err));
    for (size_t i = from.first; out->checkpoint_count < from.count; i++) {
        log_file *file = &list->files[i];
        if (i != from.first && (file->name.kind != name->kind || file->name.parts != name->parts ||
                                file->name.part != (int64_t)out->checkpoint_count + 1))
            continue;
        out->checkpoint_paths[out->checkpoint_count++] = file->path;
        file->path = NULL;
        out->timestamp_ms = file->modified_ms;
    }
    out->checkpoint_version = name->version;
    return IST_OK;
}

static ist_status missing_version(ist_store *store, int64_t missing, int64_t next, ist_error *err)
{
    char path[64];
    ist__log_commit_path(missing, path);
    return ist_error_set(err, IST_BAD_INPUT, 0, ist_store_uri(store),
                         "the log has a gap: version %" PRId64 " (%s) is missing, version %" PRId64 " is there",
                         missing, path, next);
}

/* Build the segment from a listing that holds everything needed for `version`. */
static ist_status make_segment(const ist__log *log, listing *list, int64_t version, ist__log_segment *out,
                               ist_error *err)
{
    ist_store *store = log->store;
    int64_t newest = list->count ? list->files[list->count - 1].name.version : -1;
    if (newest < 0)
        return ist_error_set(err, IST_NOT_FOUND, 0, ist_store_uri(store), "there is no Delta table at %s",
                             ist_store_uri(store));
    if (version > newest)
        return ist_error_set(err, IST_NOT_FOUND, 0, ist_store_uri(store),
                             "version %" PRId64 " does not exist: the newest is %" PRId64, version, newest);
    checkpoint from = find_checkpoint(list, version);
    out->checkpoint_version = -1;
    if (from.count > 0)
        IST_TRY(take_checkpoint(list, from, out, err));
    IST_TRY(ist__alloc(list->count, sizeof *out->commits, (void **)&out->commits, err));
    int64_t next = out->checkpoint_version + 1;
    for (size_t i = 0; i < list->count; i++) {
        const log_file *file = &list->files[i];
        if (file->name.kind != IST__LOG_COMMIT || (version >= 0 && file->name.version > version))
            continue;
        if (file->name.version == out->checkpoint_version)
            out->timestamp_ms = file->modified_ms;
        if (file->name.version < next)
            continue;
        if (file->name.version > next) {
            if (version >= 0 && out->checkpoint_version < 0 && out->commit_count == 0)
                break; /* the version's beginning was cleaned up: told below */
            return missing_version(store, next, file->name.version, err);
        }
        out->commits[out->commit_count++] = (ist__log_commit){next, file->modified_ms, file->size};
        out->timestamp_ms = file->modified_ms;
        next++;
    }
    out->version = next - 1;
    if (version < 0 && log->managed && log->latest != INT64_MAX && out->version < log->latest)
        return ist_error_set(err, IST_BAD_INPUT, 0, ist_store_uri(store),
                             "the catalog's newest version is %" PRId64 ", and the log ends with %" PRId64
                             ": a ratified commit is missing", log->latest, out->version);
    if (version >= 0 && out->version != version)
        return ist_error_set(err, IST_NOT_FOUND, 0, ist_store_uri(store),
                             "version %" PRId64 " can no longer be read: the log that leads to it was cleaned up "
                             "(the newest version is %" PRId64 ")", version, newest);
    return IST_OK;
}

ist_status ist__log_segment_find(const ist__log *log, int64_t version, ist__log_segment *out, ist_error *err)
{
    *out = (ist__log_segment){0};
    listing list = {0};
    int64_t hint = read_hint(log->store);
    ist_status status = IST_OK;
    if (hint > 0 && (version < 0 || hint <= version)) {
        status = list_log(log, hint, &list, err);
        if (status == IST_OK && find_checkpoint(&list, version).count == 0) {
            listing_free(&list);
            hint = -1;
        }
    } else {
        hint = -1;
    }
    if (status == IST_OK && hint < 0)
        status = list_log(log, 0, &list, err);
    if (status == IST_OK)
        status = make_segment(log, &list, version, out, err);
    listing_free(&list);
    if (status != IST_OK)
        ist__log_segment_free(out);
    return status;
}

void ist__log_segment_free(ist__log_segment *segment)
{
    for (size_t i = 0; i < segment->checkpoint_count; i++)
        free(segment->checkpoint_paths[i]);
    free(segment->checkpoint_paths);
    free(segment->commits);
    *segment = (ist__log_segment){0};
}

/* ---- single commits ------------------------------------------------------------------------------------------ */

ist_status ist__log_read_commit(const ist__log *log, int64_t version, ist_buffer *text, ist_error *err)
{
    char path[64];
    const ist__log_ratified *ratified = find_ratified(log, version);
    ist__log_commit_path(version, path);
    if (version > log->latest)
        return ist_error_set(err, IST_NOT_FOUND, 0, path, "version %" PRId64 " does not exist: the newest is %" PRId64,
                             version, log->latest);
    if (!ratified)
        return ist_store_get(log->store, path, text, err);
    size_t before = text->size;
    ist_error missing = IST_ERROR_INIT;
    ist_status status = ist_store_get(log->store, ratified->path, text, &missing);
    if (status == IST_NOT_FOUND) { /* published since, and cleaned up */
        text->size = before;
        return ist_store_get(log->store, path, text, err);
    }
    if (status != IST_OK && err)
        *err = missing;
    return status;
}

static ist_status find_commit_info(const ist__action *action, void *payload, ist_error *err)
{
    (void)err;
    if (action->kind != IST__COMMIT_INFO)
        return IST_OK;
    *(ist__action *)payload = *action;
    return IST_CANCELLED;
}

ist_status ist__log_commit_info(const ist__log *log, int64_t version, ist__arena *arena, ist__action *out,
                                ist_error *err)
{
    char path[64];
    ist_buffer text = IST_BUFFER_INIT;
    ist__action_init(out, IST__UNKNOWN);
    ist__log_commit_path(version, path);
    ist_status status = ist__log_read_commit(log, version, &text, err);
    if (status == IST_OK)
        status = ist__actions_each(text.data, text.size, path, arena, find_commit_info, out, err);
    ist_buffer_free(&text);
    return status == IST_CANCELLED && out->kind == IST__COMMIT_INFO ? IST_OK : status;
}
