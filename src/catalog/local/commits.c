/* commits.c: one winner per version. All of it happens inside the writer's transaction, so that is how it is so. */
#include "catalog/local/commits.h"

#include "catalog/local/objects.h"
#include "catalog/local/schema.h"

#include <stdlib.h>
#include <string.h>

const char ist__schema_commits[] =
    "CREATE TABLE commits (table_id TEXT NOT NULL REFERENCES tables(id) ON DELETE CASCADE, version INTEGER NOT NULL,"
    " timestamp INTEGER NOT NULL, file_name TEXT NOT NULL, file_size INTEGER NOT NULL, file_modified INTEGER NOT NULL,"
    " published INTEGER NOT NULL, PRIMARY KEY (table_id, version)) STRICT, WITHOUT ROWID;";

/* Members, in the order of ist__commit. */
static const char *const names[][5] = {
    [IST__COMMIT_SNAKE] = {"version", "timestamp", "file_name", "file_size", "file_modification_timestamp"},
    [IST__COMMIT_KEBAB] = {"version", "timestamp", "file-name", "file-size", "file-modification-timestamp"},
};

static ist_status read_positive(yyjson_val *object, const char *key, int64_t *out, ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    *out = yyjson_get_sint(value);
    if (!yyjson_is_int(value) || *out <= 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Field must be positive: %s", key);
    return IST_OK;
}

ist_status ist__commit_read(yyjson_val *object, ist__commit_style style, ist__commit *out, ist_error *err)
{
    const char *const *key = names[style];
    if (!yyjson_is_obj(object))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the commit is not an object");
    IST_TRY(read_positive(object, key[0], &out->version, err));
    IST_TRY(read_positive(object, key[1], &out->timestamp, err));
    IST_TRY(ist__json_text(object, key[2], true, &out->file_name, err));
    IST_TRY(read_positive(object, key[3], &out->file_size, err));
    IST_TRY(read_positive(object, key[4], &out->file_modified, err));
    const char *name = out->file_name;
    if (!*name || strlen(name) > IST__NAME_MAX || strpbrk(name, "/\\") || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Field must be a single file name without path separators: %s", key[2]);
    return IST_OK;
}

/* What there is of a table; first is 0 where there is nothing, published negative where nothing is. */
typedef struct state {
    int64_t first, last, published;
} state;

static ist_status read_state(ist__db *db, const char *table_id, state *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT coalesce(min(version), 0), coalesce(max(version), 0),"
                        " coalesce(max(version) FILTER (WHERE published), -1) FROM commits WHERE table_id = ?1",
                        &row, err, "t", table_id));
    *out = (state){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2)};
    return IST_OK;
}

/* The version is taken: by this commit, or by another. */
static ist_status find_taken(ist__db *db, const char *table_id, const ist__commit *commit, bool *replayed,
                             ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT file_name FROM commits WHERE table_id = ?1 AND version = ?2", &row, err, "ti",
                        table_id, commit->version));
    *replayed = row && strcmp(ist__column_text(row, 0), commit->file_name) == 0;
    if (*replayed)
        return IST_OK;
    return ist__uc_error(err, IST__UC_COMMIT_VERSION_CONFLICT,
                         "Commit version already accepted. Version %lld was accepted with %s, the request carried %s",
                         (long long)commit->version, row ? ist__column_text(row, 0) : "a file that is published",
                         commit->file_name);
}

static ist_status check_next(const char *table_id, const state *s, const ist__commit *commit, int64_t published,
                             ist_error *err)
{
    if (commit->version > s->last + 1)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Commit version must be the next version after the latest commit %lld, but got %lld",
                             (long long)s->last, (long long)commit->version);
    int64_t done = published > s->published ? published : s->published;
    if (done < s->first)
        done = s->first - 1;
    if (commit->version - done > IST__COMMITS_MAX)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED,
                             "Max number of commits per table reached: %s has %d that are not published", table_id,
                             IST__COMMITS_MAX);
    return IST_OK;
}

static ist_status note_published(ist__db *db, const char *table_id, int64_t published, ist_error *err)
{
    IST_TRY(ist__db_run(db, "UPDATE commits SET published = 1 WHERE table_id = ?1 AND version <= ?2 AND NOT published",
                        NULL, err, "ti", table_id, published));
    return ist__db_run(db, "DELETE FROM commits WHERE table_id = ?1 AND version <= ?2", NULL, err, "ti", table_id,
                       published - IST__COMMITS_REMEMBERED);
}

ist_status ist__commit_add(ist__db *db, const char *table_id, const ist__commit *commit, int64_t published,
                           bool *replayed, ist_error *err)
{
    state s;
    *replayed = false;
    IST_TRY(read_state(db, table_id, &s, err));
    if (s.first == 0 && !commit)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Backfill request requires a prior commit; the table's commit log is empty.");
    if (commit && s.first != 0 && commit->version <= s.last)
        return find_taken(db, table_id, commit, replayed, err);
    if (s.first != 0 && published > s.last)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Should not backfill version %lld while the last version committed is %lld",
                             (long long)published, (long long)s.last);
    if (commit && s.first != 0)
        IST_TRY(check_next(table_id, &s, commit, published, err));
    if (commit)
        IST_TRY(ist__db_run(db,
                            "INSERT INTO commits (table_id, version, timestamp, file_name, file_size, file_modified,"
                            " published) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                            NULL, err, "tiitii", table_id, commit->version, commit->timestamp, commit->file_name,
                            commit->file_size, commit->file_modified));
    return published >= 0 && s.first != 0 ? note_published(db, table_id, published, err) : IST_OK;
}

ist_status ist__commits_append(ist__db *db, const char *table_id, int64_t start, int64_t end, ist__commit_style style,
                               yyjson_mut_doc *doc, yyjson_mut_val *list, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT version, timestamp, file_name, file_size, file_modified FROM commits"
                        " WHERE table_id = ?1 AND version BETWEEN ?2 AND ?3 AND NOT published ORDER BY version DESC",
                        &row, err, "tii", table_id, start, end));
    while (row) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, list);
        for (int i = 0; i < 5; i++) {
            if (i == 2)
                yyjson_mut_obj_add_strcpy(doc, object, names[style][i], ist__column_text(row, i));
            else
                yyjson_mut_obj_add_sint(doc, object, names[style][i], sqlite3_column_int64(row, i));
        }
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

ist_status ist__commits_latest(ist__db *db, const char *table_id, int64_t *out, ist_error *err)
{
    state s;
    IST_TRY(read_state(db, table_id, &s, err));
    *out = s.last;
    return IST_OK;
}

/* The preview API -------------------------------------------------------------------------------------------------- */

/* The table of a request, for whose commits the principal is authorized, and its place. */
static ist_status find_table(ist__session *session, ist__db *db, const char *table_id, ist__action action,
                             ist_buffer *location, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__uuid_check(table_id, err));
    IST_TRY(ist__resolve_id(session, db, IST_SECURABLE_TABLE, table_id, action, NULL, err));
    IST_TRY(ist__db_run(db, "SELECT table_type, data_source_format, storage_location FROM tables WHERE id = ?1", &row,
                        err, "t", table_id));
    const char *format = ist__column_text(row, 1);
    if (strcmp(ist__column_text(row, 0), "MANAGED") != 0 || !format || strcmp(format, "DELTA") != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Only managed tables are supported for Delta commits");
    return ist_buffer_append_string(location, ist__column_text(row, 2), err);
}

static ist_status read_versions(yyjson_val *request, int64_t *start, int64_t *end, ist_error *err)
{
    yyjson_val *first = yyjson_obj_get(request, "start_version"), *last = yyjson_obj_get(request, "end_version");
    if (!yyjson_is_int(first) || yyjson_get_sint(first) < 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "Field must be >=0: start_version");
    *start = yyjson_get_sint(first);
    *end = INT64_MAX;
    if (!last || yyjson_is_null(last))
        return IST_OK;
    *end = yyjson_get_sint(last);
    if (!yyjson_is_int(last) || *end < *start)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "end_version must be >=start_version if set");
    return IST_OK;
}

static ist_status get_commits(ist__session *session, ist__db *db, yyjson_val *request, yyjson_mut_doc *doc,
                              ist_error *err)
{
    const char *table_id;
    int64_t start = 0, end = 0, latest;
    ist_buffer location = IST_BUFFER_INIT;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    IST_TRY(ist__json_text(request, "table_id", true, &table_id, err));
    IST_TRY(read_versions(request, &start, &end, err));
    ist_status status = find_table(session, db, table_id, IST__ACTION_READ, &location, err);
    ist_buffer_free(&location);
    IST_TRY(status);
    IST_TRY(ist__commits_append(db, table_id, start, end, IST__COMMIT_SNAKE, doc,
                                yyjson_mut_obj_add_arr(doc, root, "commits"), err));
    IST_TRY(ist__commits_latest(db, table_id, &latest, err));
    yyjson_mut_obj_add_sint(doc, root, "latest_table_version", latest);
    return IST_OK;
}

ist_status ist__local_get_commits(void *self, const char *request, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    yyjson_doc *in = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(request, &in, err));
    IST_TRY_GOTO(ist__session_read(self, &db, err));
    IST_TRY_GOTO(ist__db_end(db, get_commits(self, db, yyjson_doc_get_root(in), doc, err), err));
    status = ist__json_finish(doc, out, err);
    doc = NULL;
done:
    yyjson_doc_free(in);
    yyjson_mut_doc_free(doc);
    return status;
}

/* What a commit changes of the table's metadata; NULL for what it does not. */
typedef struct metadata {
    const char *description;
    char *properties, *columns; /* malloc */
} metadata;

static ist_status read_metadata(yyjson_val *object, const char *table_id, metadata *out, ist_error *err)
{
    yyjson_val *properties = yyjson_obj_get(object, "properties"), *schema = yyjson_obj_get(object, "schema");
    if (!yyjson_is_obj(object))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "metadata is not an object");
    IST_TRY(ist__json_text(object, "description", false, &out->description, err));
    IST_TRY(ist__json_properties(properties, "properties", &out->properties, err));
    IST_TRY(ist__json_columns(schema, &out->columns, err));
    if (!out->description && !out->properties && (!out->columns || strcmp(out->columns, "[]") == 0))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "At least one of description, properties, or schema must be set in commit.metadata");
    yyjson_val *all = yyjson_obj_get(properties, "properties");
    const char *told = yyjson_get_str(yyjson_obj_get(all, IST__TABLE_ID_PROPERTY));
    if (yyjson_is_obj(all) && (!told || strcmp(told, table_id) != 0))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the properties of table %s do not have its id as " IST__TABLE_ID_PROPERTY, table_id);
    return IST_OK;
}

/* A request, read. */
typedef struct post {
    const char *table_id, *table_uri;
    yyjson_val *commit_info;
    ist__commit commit;
    int64_t published;
    metadata metadata;
} post;

static ist_status read_post(yyjson_val *body, post *out, ist_error *err)
{
    yyjson_val *published = yyjson_obj_get(body, "latest_backfilled_version");
    yyjson_val *changes = yyjson_obj_get(body, "metadata"), *uniform = yyjson_obj_get(body, "uniform");
    IST_TRY(ist__json_text(body, "table_id", true, &out->table_id, err));
    IST_TRY(ist__json_text(body, "table_uri", true, &out->table_uri, err));
    IST_TRY(ist__uuid_check(out->table_id, err));
    if (uniform && !yyjson_is_null(uniform))
        return ist__uc_error(err, IST__UC_UNIMPLEMENTED, "this catalog keeps no Iceberg metadata (uniform)");
    out->published = -1;
    if (yyjson_is_int(published) && yyjson_get_sint(published) >= 0)
        out->published = yyjson_get_sint(published);
    else if (published && !yyjson_is_null(published))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "latest_backfilled_version is no version");
    out->commit_info = yyjson_obj_get(body, "commit_info");
    if (yyjson_is_null(out->commit_info))
        out->commit_info = NULL;
    bool has_metadata = changes && !yyjson_is_null(changes);
    if (out->commit_info)
        IST_TRY(ist__commit_read(out->commit_info, IST__COMMIT_SNAKE, &out->commit, err));
    else if (out->published < 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "Either commit_info or latest_backfilled_version must be defined");
    else if (has_metadata)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "metadata shouldn't be set for backfill only commit");
    return has_metadata ? read_metadata(changes, out->table_id, &out->metadata, err) : IST_OK;
}

static ist_status check_uri(const post *p, const char *location, ist_error *err)
{
    ist_buffer uri = IST_BUFFER_INIT;
    ist_status status = ist__location_normalize(p->table_uri, &uri, err);
    if (status == IST_OK && strcmp(uri.data, location) != 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                               "Table URI in commit %s does not match the table path %s", uri.data, location);
    ist_buffer_free(&uri);
    return status;
}

static ist_status post_commit(ist__session *session, ist__db *db, const post *p, ist_error *err)
{
    bool replayed;
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = find_table(session, db, p->table_id, IST__ACTION_COMMIT, &location, err);
    if (status == IST_OK)
        status = check_uri(p, location.data, err);
    ist_buffer_free(&location);
    IST_TRY(status);
    IST_TRY(ist__commit_add(db, p->table_id, p->commit_info ? &p->commit : NULL, p->published, &replayed, err));
    const metadata *m = &p->metadata;
    if (replayed || (!m->description && !m->properties && !m->columns))
        return IST_OK;
    return ist__db_run(db,
                       "UPDATE tables SET columns = coalesce(?6, columns), " IST__SET_COMMON " WHERE id = ?1", NULL, err,
                       "titttt", p->table_id, ist__now_ms(), session->who->name, m->description, m->properties,
                       m->columns);
}

ist_status ist__local_commit(void *self, const char *body, ist_error *err)
{
    ist__db *db;
    yyjson_doc *in = NULL;
    post p = {0};
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(body, &in, err));
    IST_TRY_GOTO(read_post(yyjson_doc_get_root(in), &p, err));
    IST_TRY_GOTO(ist__session_write(self, &db, err));
    status = ist__db_end(db, post_commit(self, db, &p, err), err);
done:
    free(p.metadata.properties);
    free(p.metadata.columns);
    yyjson_doc_free(in);
    return status;
}
