/*
 * managed_commit.c: committing to tables whose catalog says which staged commit is a version: write
 * `_delta_log/_staged_commits/<n>.<uuid>.json`, have it ratified, copy it to `_delta_log/<n>.json`.
 *
 * The catalog's getCommits is the truth and is asked whenever the log is opened. What is kept here between calls is only
 * what it said last and what was published since, to be told with the next commit. src/delta/README.md has the states, and
 * what is left where a process dies.
 */
#include "catalog/managed_commit.h"

#include "catalog/catalog_json.h"
#include "catalog/delta_api.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After "too many unpublished commits" everything is published and the commit is tried again this often. */
enum { EXHAUSTED_TRIES = 4, EXHAUSTED_PAUSE_MS = 50, COMMIT_SIZE_MAX = 1 << 30 };

typedef struct managed {
    ist_committer base;
    ist_catalog *catalog;
    char *id, *uri, *name;
    bool registered, delta_api;
    pthread_mutex_t mutex;  /* guards the rest */
    ist__commits known;     /* ratified, and not known to the catalog to be published */
    int64_t published;      /* the newest version of `known` that is published, and all before it; -1 none */
} managed;

/* What Unity Catalog asks of the tables that it manages (its UcManagedDeltaContract), and what it recommends. */
static const char required_properties[] =
    "{\"delta.feature.catalogManaged\":\"supported\",\"delta.feature.v2Checkpoint\":\"supported\","
    "\"delta.feature.vacuumProtocolCheck\":\"supported\",\"delta.feature.deletionVectors\":\"supported\","
    "\"delta.feature.inCommitTimestamp\":\"supported\",\"delta.enableDeletionVectors\":\"true\","
    "\"delta.checkpointPolicy\":\"v2\",\"delta.enableInCommitTimestamps\":\"true\","
    "\"delta.checkpoint.writeStatsAsStruct\":\"true\",\"delta.checkpoint.writeStatsAsJson\":\"true\","
    "\"io.unitycatalog.tableId\":\"%s\"}";
static const char suggested_properties[] =
    "{\"delta.feature.columnMapping\":\"supported\",\"delta.feature.domainMetadata\":\"supported\","
    "\"delta.feature.rowTracking\":\"supported\",\"delta.columnMapping.mode\":\"name\","
    "\"delta.enableRowTracking\":\"true\",\"delta.randomizeFilePrefixes\":\"true\"}";

/* ---- what a catalog keeps of a table -------------------------------------------------------------------------- */

ist_status ist__delta_columns(yyjson_val *description, ist_buffer *out, ist_error *err)
{
    yyjson_val *names = yyjson_obj_get(description, "partitionColumns"), *name;
    const char **partitions = NULL;
    size_t i, max, count = 0;
    char *schema = yyjson_val_write(yyjson_obj_get(description, "schema"), 0, NULL);
    ist_status status = schema ? IST_OK : ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a table's description has no schema");
    if (status == IST_OK)
        status = ist__alloc(yyjson_arr_size(names) + 1, sizeof *partitions, (void **)&partitions, err);
    yyjson_arr_foreach(names, i, max, name)
        if (partitions && yyjson_is_str(name))
            partitions[count++] = yyjson_get_str(name);
    if (status == IST_OK)
        status = ist_catalog_columns(schema, partitions, count, out, err);
    free(schema);
    free(partitions);
    return status;
}

void ist__delta_properties(yyjson_val *description, yyjson_mut_doc *doc, yyjson_mut_val *object)
{
    yyjson_val *key, *value;
    size_t i, max;
    yyjson_obj_foreach(yyjson_obj_get(description, "properties"), i, max, key, value)
        yyjson_mut_obj_add(object, yyjson_mut_strcpy(doc, yyjson_get_str(key)),
                           yyjson_mut_strcpy(doc, yyjson_get_str(value)));
    yyjson_arr_foreach(yyjson_obj_get(description, "features"), i, max, value) {
        char feature[300];
        snprintf(feature, sizeof feature, "delta.feature.%s", yyjson_is_str(value) ? yyjson_get_str(value) : "");
        yyjson_mut_obj_add(object, yyjson_mut_strcpy(doc, feature), yyjson_mut_str(doc, "supported"));
    }
}

/* ---- the answer of getCommits ---------------------------------------------------------------------------------- */

void ist__commits_free(ist__commits *commits)
{
    free(commits->items);
    *commits = (ist__commits){0};
}

static ist_status bad_answer(ist_error *err, const char *what)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the catalog's answer about a table's commits is not one: %s", what);
}

/* "00000000000000000042.<anything>.json": one segment of a path, and the version that it claims. */
static bool is_staged_name(const char *name, size_t size, int64_t version)
{
    char prefix[32];
    int n = snprintf(prefix, sizeof prefix, "%020" PRId64 ".", version);
    return size <= IST__STAGED_NAME_MAX && size > (size_t)n + 5 && strlen(name) == size && !strchr(name, '/') &&
           !strchr(name, '\\') && strncmp(name, prefix, (size_t)n) == 0 && strcmp(name + size - 5, ".json") == 0;
}

/* What the two APIs call the members. */
typedef struct spelling {
    const char *latest, *name, *size, *time;
} spelling;

static const spelling spellings[] = {
    [IST__COMMITS_PREVIEW] = {"latest_table_version", "file_name", "file_size", "file_modification_timestamp"},
    [IST__COMMITS_DELTA] = {"latest-table-version", "file-name", "file-size", "file-modification-timestamp"},
};

static ist_status take_commit(yyjson_val *object, const spelling *as, ist__commit_info *out, ist_error *err)
{
    yyjson_val *version = yyjson_obj_get(object, "version"), *name = yyjson_obj_get(object, as->name);
    yyjson_val *size = yyjson_obj_get(object, as->size), *time = yyjson_obj_get(object, as->time);
    if (!yyjson_is_int(version) || !yyjson_is_str(name) || !yyjson_is_int(size) || !yyjson_is_int(time))
        return bad_answer(err, "a commit lacks its version, file name, size or modification time");
    *out = (ist__commit_info){.version = yyjson_get_sint(version), .size = yyjson_get_sint(size),
                              .modified_ms = yyjson_get_sint(time)};
    if (out->version < 0 || out->size < 0 || out->modified_ms < 0)
        return bad_answer(err, "a number of a commit is negative");
    if (!is_staged_name(yyjson_get_str(name), yyjson_get_len(name), out->version))
        return bad_answer(err, "a commit's file name is not <version>.<uuid>.json");
    memcpy(out->name, yyjson_get_str(name), yyjson_get_len(name) + 1);
    return IST_OK;
}

static int by_version(const void *a, const void *b)
{
    int64_t x = ((const ist__commit_info *)a)->version, y = ((const ist__commit_info *)b)->version;
    return (x > y) - (x < y);
}

static ist_status take_answer(yyjson_val *root, ist__commits_form form, ist__commits *out, ist_error *err)
{
    const spelling *as = &spellings[form];
    yyjson_val *commits = yyjson_obj_get(root, "commits"), *latest = yyjson_obj_get(root, as->latest), *item;
    size_t i, max;
    bool none = form == IST__COMMITS_DELTA && (!latest || yyjson_is_null(latest)); /* only its version 0 */
    if ((!none && !yyjson_is_int(latest)) || (commits && !yyjson_is_null(commits) && !yyjson_is_arr(commits)))
        return bad_answer(err, "it lacks the latest version, or commits is no list");
    if (yyjson_arr_size(commits) > IST__COMMITS_MAX)
        return bad_answer(err, "it has more commits than Isthmus takes");
    out->latest = yyjson_get_sint(latest) > 0 ? yyjson_get_sint(latest) : 0;
    IST_TRY(ist__alloc(yyjson_arr_size(commits) + 1, sizeof *out->items, (void **)&out->items, err));
    yyjson_arr_foreach(commits, i, max, item)
        IST_TRY(take_commit(item, as, &out->items[out->count++], err));
    qsort(out->items, out->count, sizeof *out->items, by_version);
    for (i = 1; i < out->count; i++)
        if (out->items[i].version != out->items[i - 1].version + 1)
            return bad_answer(err, "a version between its commits is missing, or there twice");
    if (out->count && out->items[out->count - 1].version > out->latest)
        return bad_answer(err, "a commit is newer than the latest version");
    return IST_OK;
}

ist_status ist__commits_parse(const char *json, size_t size, ist__commits_form form, ist__commits *out, ist_error *err)
{
    *out = (ist__commits){0};
    yyjson_doc *doc = size ? yyjson_read(json, size, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    ist_status status = yyjson_is_obj(root) ? take_answer(root, form, out, err) : bad_answer(err, "no JSON object");
    yyjson_doc_free(doc);
    if (status != IST_OK)
        ist__commits_free(out);
    return status;
}

static ist__managed_table table_of(const managed *m)
{
    return (ist__managed_table){m->id, m->uri, m->name, m->registered, m->delta_api, NULL};
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

static ist_status ask_page(const managed *m, int64_t start, ist__commits *out, ist_error *err)
{
    ist_buffer answer = {.limit = IST__CATALOG_REPLY_MAX}, request = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "table_id", m->id);
    yyjson_mut_obj_add_str(doc, root, "table_uri", m->uri);
    yyjson_mut_obj_add_sint(doc, root, "start_version", start);
    ist_status status = ist__json_finish(doc, &request, err);
    if (status == IST_OK)
        status = ist_catalog_get_commits(m->catalog, request.data, &answer, err);
    if (status == IST_OK)
        status = ist__commits_parse(answer.data, answer.size, IST__COMMITS_PREVIEW, out, err);
    ist_buffer_free(&request);
    ist_buffer_free(&answer);
    return status;
}

static ist_status append_page(ist__commits *all, ist__commits *page, ist_error *err)
{
    int64_t next = all->count ? all->items[all->count - 1].version + 1 : page->items[0].version;
    if (page->items[0].version != next)
        return bad_answer(err, "a version between two pages is missing");
    ist__commit_info *grown = realloc(all->items, (all->count + page->count) * sizeof *grown);
    if (!grown)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a table's commits");
    memcpy(grown + all->count, page->items, page->count * sizeof *grown);
    all->items = grown;
    all->count += page->count;
    return IST_OK;
}

/* Every commit that the catalog tells, page by page. */
static ist_status ask_pages(const managed *m, ist__commits *out, ist_error *err)
{
    *out = (ist__commits){0};
    ist_status status = IST_OK;
    for (int64_t start = 0; status == IST_OK;) {
        ist__commits page;
        status = ask_page(m, start, &page, err);
        if (status != IST_OK)
            break;
        out->latest = page.latest;
        bool more = page.count > 0;
        if (more) {
            status = append_page(out, &page, err);
            start = page.items[page.count - 1].version + 1;
            more = start <= page.latest && out->count < IST__COMMITS_MAX;
        }
        ist__commits_free(&page);
        if (!more)
            break;
    }
    if (status != IST_OK)
        ist__commits_free(out);
    return status;
}

static ist_status ask(const managed *m, ist__commits *out, ist_error *err)
{
    const ist__managed_table table = table_of(m);
    return m->delta_api ? ist__delta_api_commits(m->catalog, &table, out, err) : ask_pages(m, out, err);
}

/* Ask, and keep the answer in place of what was known. Called with the lock held. */
static ist_status ask_again(managed *m, ist_error *err)
{
    ist__commits now;
    IST_TRY(ask(m, &now, err));
    ist__commits_free(&m->known);
    m->known = now;
    return IST_OK;
}

static void staged_path(const char *name, char out[IST__STAGED_NAME_MAX + 64])
{
    snprintf(out, IST__STAGED_NAME_MAX + 64, "_delta_log/_staged_commits/%s", name);
}

static ist_status managed_ratified(ist_committer *self, ist_ratified_commit_cb cb, void *payload, int64_t *latest,
                                   ist_error *err)
{
    managed *m = (managed *)self;
    *latest = -1;
    if (!m->registered)
        return IST_OK;
    pthread_mutex_lock(&m->mutex);
    ist_status status = ask_again(m, err);
    for (size_t i = 0; status == IST_OK && i < m->known.count; i++) {
        char path[IST__STAGED_NAME_MAX + 64];
        const ist__commit_info *commit = &m->known.items[i];
        staged_path(commit->name, path);
        const ist_ratified_commit told = {commit->version, path, (uint64_t)commit->size, commit->modified_ms};
        status = cb(&told, payload, err);
    }
    *latest = m->known.latest;
    pthread_mutex_unlock(&m->mutex);
    return status;
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static void published_path(int64_t version, char out[64])
{
    snprintf(out, 64, "_delta_log/%020" PRId64 ".json", version);
}

static ist_status other_content(const managed *m, int64_t version, ist_error *err)
{
    return ist_error_set(err, IST_BAD_INPUT, 0, m->uri,
                         "version %" PRId64 " of table %s was ratified by its catalog, and _delta_log has another file of "
                         "that version: somebody wrote the table by its path", version, m->name);
}

/* Copy one staged commit to its published name. The same bytes there already are as good. */
static ist_status publish_one(const managed *m, ist_store *store, const ist__commit_info *commit, ist_error *err)
{
    char from[IST__STAGED_NAME_MAX + 64], to[64];
    ist_buffer text = {.limit = COMMIT_SIZE_MAX}, there = {.limit = COMMIT_SIZE_MAX};
    ist_store_entry entry;
    published_path(commit->version, to);
    staged_path(commit->name, from);
    ist_error missing = IST_ERROR_INIT;
    if (ist_store_stat(store, to, &entry, &missing) == IST_OK)
        return (int64_t)entry.size == commit->size ? IST_OK : other_content(m, commit->version, err);
    ist_status status;
    IST_TRY_GOTO(ist_store_get(store, from, &text, err));
    ist_error lost = IST_ERROR_INIT;
    status = ist_store_put(store, to, text.data, text.size, IST_PUT_IF_ABSENT, &lost);
    if (status == IST_ALREADY_EXISTS) {
        IST_TRY_GOTO(ist_store_get(store, to, &there, err));
        if (there.size != text.size || memcmp(there.data, text.data, text.size) != 0)
            status = other_content(m, commit->version, err);
    } else if (status != IST_OK && err) {
        *err = lost;
    }
done:
    ist_buffer_free(&text);
    ist_buffer_free(&there);
    return status;
}

/* In order, for a version is only published after the one before it. Called with the lock held. */
static ist_status publish_known(managed *m, ist_store *store, int64_t version, ist_error *err)
{
    for (size_t i = 0; i < m->known.count && m->known.items[i].version <= version; i++) {
        if (m->known.items[i].version <= m->published)
            continue;
        IST_TRY(publish_one(m, store, &m->known.items[i], err));
        m->published = m->known.items[i].version;
    }
    return IST_OK;
}

static ist_status managed_publish(ist_committer *self, ist_store *store, int64_t version, ist_error *err)
{
    managed *m = (managed *)self;
    pthread_mutex_lock(&m->mutex);
    ist_status status = publish_known(m, store, version, err);
    pthread_mutex_unlock(&m->mutex);
    return status;
}

/* ---- committing --------------------------------------------------------------------------------------------------- */

/* "metadata" of a commit: what changed of the table, as the catalog keeps it. */
static ist_status add_metadata(const char *description, yyjson_mut_doc *doc, yyjson_mut_val *root, ist_buffer *columns,
                               ist_error *err)
{
    yyjson_doc *table = yyjson_read(description, strlen(description), 0);
    yyjson_val *from = yyjson_doc_get_root(table);
    const char *comment = yyjson_get_str(yyjson_obj_get(from, "description"));
    yyjson_mut_val *metadata = yyjson_mut_obj_add_obj(doc, root, "metadata");
    ist_status status = ist__delta_columns(from, columns, err);
    if (status == IST_OK) {
        if (comment)
            yyjson_mut_obj_add_strcpy(doc, metadata, "description", comment);
        yyjson_mut_val *schema = yyjson_mut_obj_add_obj(doc, metadata, "schema");
        yyjson_mut_obj_add_val(doc, schema, "columns", yyjson_mut_rawn(doc, columns->data, columns->size));
        yyjson_mut_val *properties = yyjson_mut_obj_add_obj(doc, metadata, "properties");
        ist__delta_properties(from, doc, yyjson_mut_obj_add_obj(doc, properties, "properties"));
    }
    yyjson_doc_free(table);
    return status;
}

static ist_status tell_preview(const managed *m, const ist_proposal *proposal, const ist__commit_info *commit, ist_error *err)
{
    ist_buffer body = IST_BUFFER_INIT, columns = IST_BUFFER_INIT;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    ist_status status = IST_OK;
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "table_id", m->id);
    yyjson_mut_obj_add_str(doc, root, "table_uri", m->uri);
    if (commit) {
        yyjson_mut_val *info = yyjson_mut_obj_add_obj(doc, root, "commit_info");
        yyjson_mut_obj_add_sint(doc, info, "version", commit->version);
        yyjson_mut_obj_add_sint(doc, info, "timestamp", proposal->timestamp_ms);
        yyjson_mut_obj_add_str(doc, info, "file_name", commit->name);
        yyjson_mut_obj_add_sint(doc, info, "file_size", commit->size);
        yyjson_mut_obj_add_sint(doc, info, "file_modification_timestamp", commit->modified_ms);
        if (proposal->table)
            status = add_metadata(proposal->table, doc, root, &columns, err);
    }
    if (m->published >= 0)
        yyjson_mut_obj_add_sint(doc, root, "latest_backfilled_version", m->published);
    if (status == IST_OK)
        status = ist__json_finish(doc, &body, err);
    else
        yyjson_mut_doc_free(doc);
    if (status == IST_OK)
        status = ist_catalog_commit(m->catalog, body.data, err);
    ist_buffer_free(&columns);
    ist_buffer_free(&body);
    return status;
}

/* commit NULL: only what is published. Called with the lock held. */
static ist_status tell(const managed *m, const ist_proposal *proposal, const ist__commit_info *commit, ist_error *err)
{
    const ist__managed_table table = table_of(m);
    return m->delta_api ? ist__delta_api_commit(m->catalog, &table, commit, proposal, m->published, err)
                        : tell_preview(m, proposal, commit, err);
}

/* The catalog knows now what is published: drop it here, too. Called with the lock held. */
static void forget_published(managed *m)
{
    size_t gone = 0;
    while (gone < m->known.count && m->known.items[gone].version <= m->published)
        gone++;
    if (gone)
        memmove(m->known.items, m->known.items + gone, (m->known.count - gone) * sizeof *m->known.items);
    m->known.count -= gone;
    m->published = -1;
}

static void remember(managed *m, const ist__commit_info *commit)
{
    ist__commit_info *grown = realloc(m->known.items, (m->known.count + 1) * sizeof *grown);
    if (!grown)
        return; /* it is ratified all the same; whoever commits next publishes it */
    m->known.items = grown;
    grown[m->known.count++] = *commit;
    m->known.latest = commit->version;
}

/* Publish everything and say so, for the catalog keeps no more. Called with the lock held. */
static ist_status make_room(managed *m, ist_store *store, int attempt, ist_error *err)
{
    IST_TRY(ask_again(m, err));
    IST_TRY(publish_known(m, store, INT64_MAX, err));
    if (m->published >= 0) {
        IST_TRY(tell(m, NULL, NULL, err));
        forget_published(m);
    } else { /* somebody else has made room, or the server wants us to go slower */
        struct timespec pause = {0, (long)EXHAUSTED_PAUSE_MS * 1000000 << attempt};
        nanosleep(&pause, NULL);
    }
    return IST_OK;
}

static ist_status stage(ist_store *store, const ist_proposal *proposal, ist__commit_info *out, ist_error *err)
{
    char uuid[37], path[IST__STAGED_NAME_MAX + 64];
    ist_store_entry entry;
    ist__uuid(uuid);
    *out = (ist__commit_info){.version = proposal->version, .size = (int64_t)proposal->size};
    snprintf(out->name, sizeof out->name, "%020" PRId64 ".%s.json", proposal->version, uuid);
    staged_path(out->name, path);
    IST_TRY(ist_store_put(store, path, proposal->text, proposal->size, IST_PUT_IF_ABSENT, err));
    IST_TRY(ist_store_stat(store, path, &entry, err));
    out->modified_ms = entry.modified_ms;
    return IST_OK;
}

/* Another commit is that version. Ours is removed only where the catalog says which one is. */
static ist_status lost(managed *m, ist_store *store, const ist__commit_info *mine, ist_error *err)
{
    ist_error ignored = IST_ERROR_INIT;
    if (ask_again(m, &ignored) == IST_OK)
        for (size_t i = 0; i < m->known.count; i++) {
            if (m->known.items[i].version != mine->version)
                continue;
            if (strcmp(m->known.items[i].name, mine->name) == 0)
                return IST_OK; /* a first try, whose answer was lost, had won */
            char path[IST__STAGED_NAME_MAX + 64];
            staged_path(mine->name, path);
            ist_store_delete(store, path, NULL);
        }
    return ist_error_set(err, IST_ALREADY_EXISTS, 0, m->uri, "version %" PRId64 " of table %s is another commit",
                         mine->version, m->name);
}

/* Called with the lock held. */
static ist_status ratify(managed *m, ist_store *store, const ist_proposal *proposal, const ist__commit_info *mine,
                         ist_error *err)
{
    ist_error why = IST_ERROR_INIT;
    ist_status status = IST_OK;
    for (int attempt = 0; attempt < EXHAUSTED_TRIES; attempt++) {
        ist_error_clear(&why);
        status = tell(m, proposal, mine, &why);
        if (status != IST_RETRYABLE || why.code != 429)
            break;
        ist_error ignored = IST_ERROR_INIT;
        if (make_room(m, store, attempt, &ignored) != IST_OK)
            break;
    }
    if (status == IST_OK) {
        forget_published(m);
        remember(m, mine);
        return IST_OK;
    }
    if (status == IST_CONFLICT || (status == IST_ALREADY_EXISTS))
        return lost(m, store, mine, err);
    if (err)
        *err = why;
    /* A server that failed may have committed: "unknown" is for reading back, not for giving up. */
    if (status == IST_IO || status == IST_INTERNAL)
        status = ist_error_set(err, IST_RETRYABLE, why.code, why.where, "%s", why.message);
    return status;
}

/*
 * The catalog ratifies from version 1 on; version 0 makes the table that it then takes in. Delta's Spark connector wants the
 * folder of staged commits to be there: where folders are something, an object that comes and goes leaves one.
 */
static ist_status commit_first(ist_store *store, const ist_proposal *proposal, ist_error *err)
{
    char path[IST__STAGED_NAME_MAX + 64], uuid[37];
    if (proposal->table && strstr(proposal->table, "\"catalogManaged\"")) {
        ist__uuid(uuid);
        staged_path(uuid, path);
        IST_TRY(ist_store_put(store, path, "", 0, IST_PUT_IF_ABSENT, err));
        IST_TRY(ist_store_delete(store, path, err));
    }
    return ist_committer_filesystem()->ops->commit(ist_committer_filesystem(), store, proposal, err);
}

static ist_status managed_commit(ist_committer *self, ist_store *store, const ist_proposal *proposal, ist_error *err)
{
    managed *m = (managed *)self;
    if (proposal->version == 0)
        return commit_first(store, proposal, err);
    if (!m->registered)
        return ist_error_set(err, IST_UNSUPPORTED, 0, m->uri, "table %s must be registered before version %" PRId64, m->name,
                             proposal->version);
    ist__commit_info mine;
    IST_TRY(stage(store, proposal, &mine, err));
    pthread_mutex_lock(&m->mutex);
    ist_error unpublished = IST_ERROR_INIT;
    ist_status status = publish_known(m, store, proposal->version - 1, &unpublished);
    if (status != IST_OK && (m->known.count >= IST__UNPUBLISHED_MAX || status == IST_BAD_INPUT)) {
        if (err)
            *err = unpublished;
        ist_error_context(err, "table %s has commits that could not be published", m->name);
    } else {
        status = ratify(m, store, proposal, &mine, err);
    }
    pthread_mutex_unlock(&m->mutex);
    return status;
}

/* ---- making and freeing --------------------------------------------------------------------------------------------- */

static void managed_free(ist_committer *self)
{
    managed *m = (managed *)self;
    ist__commits_free(&m->known);
    pthread_mutex_destroy(&m->mutex);
    ist__catalog_release(m->catalog);
    free(m->id);
    free(m->uri);
    free(m->name);
    free(m);
}

void ist__managed_committer_registered(ist_committer *committer)
{
    ((managed *)committer)->registered = true;
}

ist_status ist__managed_committer_new(ist_catalog *catalog, const ist__managed_table *table, ist_committer **out,
                                      ist_error *err)
{
    static const ist_committer_ops ops = {.commit = managed_commit, .ratified = managed_ratified,
                                          .publish = managed_publish, .free = managed_free};
    managed *m = NULL;
    ist_status status = IST_OK;
    IST_TRY(ist__alloc(1, sizeof *m, (void **)&m, err));
    m->base.ops = &ops;
    m->catalog = ist__catalog_hold(catalog);
    m->registered = table->registered;
    m->delta_api = table->delta_api;
    m->base.always = table->required != NULL;
    m->published = -1;
    pthread_mutex_init(&m->mutex, NULL);
    IST_TRY_GOTO(ist__strdup(table->id, &m->id, err));
    IST_TRY_GOTO(ist__strdup(table->uri, &m->uri, err));
    IST_TRY_GOTO(ist__strdup(table->name ? table->name : table->uri, &m->name, err));
    if (table->required) {
        IST_TRY_GOTO(ist__strdup(table->required, &m->base.required_properties, err));
    } else if (asprintf(&m->base.required_properties, required_properties, table->id) < 0) {
        m->base.required_properties = NULL;
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a committer");
        goto done;
    }
    IST_TRY_GOTO(ist__strdup(suggested_properties, &m->base.suggested_properties, err));
    *out = &m->base;
    return IST_OK;
done:
    ist_committer_free(&m->base);
    return status;
}
