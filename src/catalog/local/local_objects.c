/*
 * local_objects.c: the five operations, the same for every kind of object.
 *
 * They answer as the open Unity Catalog server does, error codes and omissions included: names are case-sensitive, an
 * update with nothing in it changes nothing, a page token is the last name of the page before.
 */
#include "catalog/local/object_cache.h"
#include "catalog/local/objects.h"
#include "catalog/local/principals.h"
#include "catalog/local/schema.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table of named objects: what all have, and `own` columns. */
#define OBJECT(parent, own)                                                                                            \
    "(id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES " parent "(id) ON DELETE CASCADE, name TEXT NOT NULL,"   \
    " comment TEXT, owner TEXT, created_at INTEGER NOT NULL, created_by TEXT, updated_at INTEGER, updated_by TEXT, "   \
    own ", UNIQUE (parent_id, name)) STRICT;"

const char ist__schema_objects[] =
    "ALTER TABLE tables ADD COLUMN view_definition TEXT;"
    "ALTER TABLE tables ADD COLUMN view_dependencies TEXT;" /* JSON */
    "CREATE INDEX tables_by_location ON tables (storage_location);"
    "CREATE INDEX catalogs_by_location ON catalogs (storage_location);"
    "CREATE INDEX schemas_by_location ON schemas (storage_location);"
    "CREATE TABLE volumes " OBJECT("schemas", "volume_type TEXT NOT NULL, storage_location TEXT NOT NULL")
    "CREATE INDEX volumes_by_location ON volumes (storage_location);"
    /* definition: JSON, the members of FunctionInfo that are a function's own */
    "CREATE TABLE functions " OBJECT("schemas", "definition TEXT NOT NULL")
    "CREATE TABLE registered_models "
    OBJECT("schemas", "storage_location TEXT NOT NULL, last_version INTEGER NOT NULL")
    "CREATE INDEX models_by_location ON registered_models (storage_location);"
    "CREATE TABLE model_versions "
    OBJECT("registered_models", "version INTEGER NOT NULL, source TEXT NOT NULL, run_id TEXT, status TEXT NOT NULL,"
                                " storage_location TEXT NOT NULL")
    "CREATE UNIQUE INDEX model_versions_by_number ON model_versions (parent_id, version);"
    /* credential: JSON, {"aws_iam_role": {"role_arn", "external_id"}} or another of local_locations.c's forms */
    "CREATE TABLE credentials " OBJECT("metastores", "purpose TEXT NOT NULL, credential TEXT NOT NULL")
    "CREATE TABLE external_locations "
    OBJECT("metastores", "url TEXT NOT NULL UNIQUE, credential_id TEXT REFERENCES credentials(id) ON DELETE SET NULL")
    "CREATE INDEX external_locations_by_credential ON external_locations (credential_id);";

/* For those who see of a large schema only what is theirs. */
#define BY_OWNER(table) "CREATE INDEX " table "_by_owner ON " table " (parent_id, owner);"

const char ist__schema_owners[] = BY_OWNER("catalogs") BY_OWNER("schemas") BY_OWNER("tables") BY_OWNER("volumes")
    BY_OWNER("functions") BY_OWNER("registered_models") BY_OWNER("credentials") BY_OWNER("external_locations");

static const ist__kind *const kinds[IST__SECURABLE_COUNT] = {
    [IST_SECURABLE_CATALOG] = &ist__kind_catalog,
    [IST_SECURABLE_SCHEMA] = &ist__kind_schema,
    [IST_SECURABLE_TABLE] = &ist__kind_table,
    [IST_SECURABLE_VOLUME] = &ist__kind_volume,
    [IST_SECURABLE_FUNCTION] = &ist__kind_function,
    [IST_SECURABLE_REGISTERED_MODEL] = &ist__kind_registered_model,
    [IST_SECURABLE_MODEL_VERSION] = &ist__kind_model_version,
    [IST_SECURABLE_CREDENTIAL] = &ist__kind_credential,
    [IST_SECURABLE_EXTERNAL_LOCATION] = &ist__kind_external_location,
};

static ist_status check_kind(ist_securable kind, ist_error *err)
{
    if (kinds[kind])
        return IST_OK;
    return ist__uc_error(err, IST__UC_UNIMPLEMENTED, "the metastore is no object that can be made, changed or listed");
}

ist_status ist__one_of(const char *value, const char *const *allowed, const char *key, ist_error *err)
{
    for (; *allowed; allowed++)
        if (strcmp(value, *allowed) == 0)
            return IST_OK;
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s '%.60s' is not supported", key, value);
}

/* Rows ------------------------------------------------------------------------------------------------------------- */

const char *ist__column_text(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

static int find_column(sqlite3_stmt *row, const char *name)
{
    int i = 0;
    while (strcmp(sqlite3_column_name(row, i), name) != 0)
        i++;
    return i;
}

/* The members of a JSON object, which the database holds as text, become members of `object`. */
static void add_members(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *text)
{
    yyjson_doc *members = yyjson_read(text, strlen(text), 0);
    yyjson_val *key, *value;
    size_t i, count;
    yyjson_obj_foreach(yyjson_doc_get_root(members), i, count, key, value)
        yyjson_mut_obj_add(object, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
    yyjson_doc_free(members);
}

yyjson_mut_val *ist__local_row(yyjson_mut_doc *doc, sqlite3_stmt *row)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        const char *name = sqlite3_column_name(row, i);
        yyjson_mut_val *value;
        if (*name == '*') {
            add_members(doc, object, ist__column_text(row, i));
            continue;
        }
        if (sqlite3_column_type(row, i) == SQLITE_NULL)
            value = yyjson_mut_null(doc);
        else if (sqlite3_column_type(row, i) == SQLITE_INTEGER)
            value = yyjson_mut_sint(doc, sqlite3_column_int64(row, i));
        else if (strcmp(name, "properties") == 0 || strcmp(name, "columns") == 0 ||
                 strcmp(name, "view_dependencies") == 0)
            value = yyjson_mut_rawcpy(doc, ist__column_text(row, i));
        else
            value = yyjson_mut_strcpy(doc, ist__column_text(row, i));
        yyjson_mut_obj_add(object, yyjson_mut_strcpy(doc, name), value);
    }
    return object;
}

ist_status ist__object_append(ist__db *db, ist_securable kind, const char *id, ist_buffer *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, kinds[kind]->get, &row, err, "t", id));
    if (!row)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "an object vanished inside a transaction");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, ist__local_row(doc, row));
    return ist__json_finish(doc, out, err);
}

ist_status ist__object_check_free(ist__db *db, ist_securable kind, const char *parent_id, const char *name,
                                  ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, ist__securable_tables[kind].find, &row, err, "tt", parent_id, name));
    if (row)
        return ist__uc_error(err, kinds[kind]->taken, "%s already exists: %s", ist__securable_label(kind), name);
    return IST_OK;
}

static ist_status read_number(const char *text, const char *what, int64_t *out, ist_error *err)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (*end || errno)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not a number: %.100s", what, text);
    return IST_OK;
}

/* Find an object and authorize an action on it. A model version has its model's rights. */
static ist_status resolve(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                          ist__action action, ist__chain *chain, char id[37], ist_error *err)
{
    if (kind != IST_SECURABLE_MODEL_VERSION) {
        IST_TRY(ist__resolve(session, db, kind, name, action, chain, err));
        snprintf(id, 37, "%s", ist__chain_id(chain));
        return IST_OK;
    }
    ist__name model = *name;
    int64_t version;
    sqlite3_stmt *row;
    model.count--;
    IST_TRY(read_number(name->part[3], "version", &version, err));
    action = action == IST__ACTION_UPDATE ? IST__ACTION_CREATE_MODEL_VERSION : action;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_REGISTERED_MODEL, &model, action, chain, err));
    IST_TRY(ist__db_run(db, "SELECT id FROM model_versions WHERE parent_id = ?1 AND version = ?2", &row, err, "ti",
                        ist__chain_id(chain), version));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Model version not found: %s.%s.%s/%s", name->part[0],
                             name->part[1], name->part[2], name->part[3]);
    snprintf(id, 37, "%s", ist__column_text(row, 0));
    return IST_OK;
}

/* Create ----------------------------------------------------------------------------------------------------------- */

static ist_status read_container(ist__creation *c, int parts, ist_error *err)
{
    static const char *const keys[] = {"catalog_name", "schema_name", "model_name"};
    for (int i = 0; i < parts; i++) {
        const char *text;
        IST_TRY(ist__json_text(c->root, keys[i], true, &text, err));
        if (snprintf(c->container.part[i], sizeof c->container.part[i], "%s", text) > IST__NAME_MAX)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is longer than %d characters", keys[i],
                                 IST__NAME_MAX);
    }
    c->container.count = parts;
    return IST_OK;
}

ist_status ist__creation_read(ist__creation *c, ist_securable kind, const char *body, ist_error *err)
{
    memset(c, 0, sizeof *c);
    IST_TRY(check_kind(kind, err));
    IST_TRY(ist__json_read_object(body, &c->doc, err));
    c->root = yyjson_doc_get_root(c->doc);
    const char *wrapper = kinds[kind]->wrapper;
    if (wrapper) {
        c->root = yyjson_obj_get(c->root, wrapper);
        if (!yyjson_is_obj(c->root))
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is required, an object", wrapper);
    }
    if (kind != IST_SECURABLE_MODEL_VERSION) { /* which is named by its number */
        IST_TRY(ist__json_text(c->root, "name", true, &c->name, err));
        IST_TRY(ist__name_check(c->name, err));
    }
    IST_TRY(read_container(c, ist__securable_parts(kind) - 1, err));
    IST_TRY(ist__json_text(c->root, "comment", false, &c->comment, err));
    if (kind == IST_SECURABLE_CATALOG || kind == IST_SECURABLE_SCHEMA || kind == IST_SECURABLE_TABLE)
        IST_TRY(ist__json_properties(c->root, "properties", &c->properties, err));
    ist__uuid(c->id);
    c->now = ist__now_ms();
    return IST_OK;
}

void ist__creation_free(ist__creation *c)
{
    yyjson_doc_free(c->doc);
    free(c->properties);
}

ist_status ist__creation_insert(ist__creation *c, ist_securable kind, ist_error *err)
{
    IST_TRY(ist__resolve(c->session, c->db, ist__securable_parent(kind), &c->container, kinds[kind]->create, &c->parent,
                         err));
    if (c->name)
        IST_TRY(ist__object_check_free(c->db, kind, ist__chain_id(&c->parent), c->name, err));
    return kinds[kind]->insert(c, err);
}

static ist_status create_object(ist__creation *c, ist_securable kind, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist__creation_insert(c, kind, err));
    return ist__object_append(c->db, kind, c->id, out, err);
}

ist_status ist__local_create(void *self, ist_securable kind, const char *body, ist_buffer *out, ist_error *err)
{
    ist__creation c;
    ist_status status = ist__creation_read(&c, kind, body, err);
    c.session = self;
    if (status == IST_OK)
        status = ist__session_write(self, &c.db, err);
    if (status == IST_OK)
        status = ist__db_end(c.db, create_object(&c, kind, out, err), err);
    ist__creation_free(&c);
    return status;
}

/* Get, list -------------------------------------------------------------------------------------------------------- */

static ist_status get_by_name(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                              ist__chain *chain, ist_buffer *out, ist_error *err)
{
    char id[37];
    IST_TRY(resolve(session, db, kind, name, IST__ACTION_SEE, chain, id, err));
    return ist__object_append(db, kind, id, out, err);
}

static ist_status get_cached(ist__session *session, ist_securable kind, const ist__name *name,
                             ist__cached_object *cached, ist_buffer *out, ist_error *err)
{
    ist_status status = ist__chain_authorize(session, kind, name, IST__ACTION_SEE, &cached->chain, err);
    if (status == IST_OK)
        status = ist_buffer_append(out, ist__cached_object_json(cached), cached->json_size, err);
    ist__object_cache_release(cached);
    return status;
}

ist_status ist__local_get(void *self, ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist__session *session = self;
    ist__db *db;
    ist__chain chain;
    size_t before = out->size;
    IST_TRY(check_kind(kind, err));
    /* Inside a transaction that others share the object may be one that only it knows. */
    ist__cached_object *cached = session->transaction ? NULL : ist__object_cache_find(session->local, kind, name);
    if (cached)
        return get_cached(session, kind, name, cached, out, err);
    unsigned begun = ist__object_cache_begin(session->local);
    IST_TRY(ist__session_read(session, &db, err));
    IST_TRY(ist__db_end(db, get_by_name(session, db, kind, name, &chain, out, err), err));
    if (!session->transaction)
        ist__object_cache_put(session->local, begun, kind, name, &chain, out->data + before, out->size - before);
    return IST_OK;
}

ist_status ist__page_limit(int max_results, int *out, ist_error *err)
{
    if (max_results < 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "max_results must be greater than or equal to 0");
    *out = max_results == 0 || max_results > IST__PAGE_MAX ? IST__PAGE_MAX : max_results;
    return IST_OK;
}

/* May the row be shown? Versions of a model that may be seen may be seen. */
static bool may_see(ist__session *session, const ist__chain *parent, ist_securable kind, sqlite3_stmt *row)
{
    return kind == IST_SECURABLE_MODEL_VERSION ||
           ist__may_see(session, parent, kind, ist__column_text(row, find_column(row, kinds[kind]->id)),
                        ist__column_text(row, find_column(row, "owner")));
}

/* The rest of a page from what is the session's own: its cost goes with his grants, not with the size of the schema. */
static ist_status run_own_page(ist__session *session, ist__db *db, ist_securable kind, const ist__chain *parent,
                               const char *after, sqlite3_stmt **row, ist_error *err)
{
    ist_buffer ids = IST_BUFFER_INIT, names = IST_BUFFER_INIT, from = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist_buffer_append_string(&from, after, err)); /* a column of the row that ends with this */
    IST_TRY_GOTO(ist__principal_json(session->who, &ids, &names, err));
    status = ist__db_run(db, kinds[kind]->own_page, row, err, "tttt", ist__chain_id(parent), from.data, ids.data,
                         names.data);
done:
    ist_buffer_free(&ids);
    ist_buffer_free(&names);
    ist_buffer_free(&from);
    return status;
}

/*
 * A page of what may be seen. Its token is the last name that was shown: it tells of no other. Who sees most of a schema
 * has his page after a few rows by name; who does not find it full after PASSED_OVER_MAX that he may not see, gets it by
 * what is his.
 */
static ist_status list_page(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name, int limit,
                            const char *page_token, yyjson_mut_doc *doc, ist_error *err)
{
    enum { PASSED_OVER_MAX = 100 };
    ist__chain parent;
    sqlite3_stmt *row;
    const char *token = kinds[kind]->token ? kinds[kind]->token : "name";
    int passed_over = 0;
    IST_TRY(ist__resolve(session, db, ist__securable_parent(kind), name, IST__ACTION_SEE, &parent, err));
    IST_TRY(ist__db_run(db, kinds[kind]->page, &row, err, "tt", ist__chain_id(&parent), page_token));
    yyjson_mut_val *root = yyjson_mut_obj(doc), *page = yyjson_mut_arr(doc), *last = yyjson_mut_null(doc);
    yyjson_mut_doc_set_root(doc, root);
    while (row && yyjson_mut_arr_size(page) < (size_t)limit) {
        if (may_see(session, &parent, kind, row)) {
            yyjson_mut_arr_append(page, ist__local_row(doc, row));
            last = yyjson_mut_strcpy(doc, ist__column_text(row, find_column(row, token)));
        } else if (++passed_over == PASSED_OVER_MAX) {
            IST_TRY(run_own_page(session, db, kind, &parent, ist__column_text(row, find_column(row, "name")), &row, err));
            continue;
        }
        IST_TRY(ist__db_next(db, &row, err));
    }
    bool full = yyjson_mut_arr_size(page) == (size_t)limit;
    yyjson_mut_obj_add_val(doc, root, ist__securable_plural(kind), page);
    yyjson_mut_obj_add_val(doc, root, "next_page_token", full ? last : yyjson_mut_null(doc));
    return IST_OK;
}

ist_status ist__local_list(void *self, ist_securable kind, const ist__name *parent, int max_results,
                           const char *page_token, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    int64_t version;
    int limit = 0;
    IST_TRY(check_kind(kind, err));
    IST_TRY(ist__page_limit(max_results, &limit, err));
    if (kind == IST_SECURABLE_MODEL_VERSION)
        IST_TRY(read_number(page_token, "page_token", &version, err));
    IST_TRY(ist__session_read(self, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    ist_status status = ist__db_end(db, list_page(self, db, kind, parent, limit, page_token, doc, err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

/* Update, delete --------------------------------------------------------------------------------------------------- */

static ist_status update_object(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                                yyjson_val *patch, ist_buffer *out, ist_error *err)
{
    const ist__kind *k = kinds[kind];
    const char *new_name = NULL, *comment, *owner;
    char *properties = NULL;
    char id[37];
    ist__chain chain;
    ist_status status = IST_OK;
    ist__change change = {
        .session = session, .db = db, .patch = patch, .id = id, .chain = &chain, .now = ist__now_ms()};
    if (kind != IST_SECURABLE_MODEL_VERSION)
        IST_TRY(ist__json_text(patch, "new_name", false, &new_name, err));
    if (new_name)
        IST_TRY(ist__name_check(new_name, err));
    IST_TRY(ist__json_text(patch, "comment", false, &comment, err));
    IST_TRY(ist__json_text(patch, "owner", false, &owner, err));
    if (k->must_change && !new_name && !comment && !owner)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "No updated fields defined.");
    IST_TRY(ist__json_properties(patch, "properties", &properties, err));
    IST_TRY_GOTO(resolve(session, db, kind, name, IST__ACTION_UPDATE, &chain, id, err));
    if (new_name) {
        /* It takes the old name away: whoever may only write the data of a table may not rename it. */
        IST_TRY_GOTO(ist__authorize(session, IST__ACTION_DELETE, &chain, err));
        IST_TRY_GOTO(ist__object_check_free(db, kind, chain.link[chain.count - 2].id, new_name, err));
        IST_TRY_GOTO(ist__db_run(db, ist__securable_tables[kind].rename, NULL, err, "tt", id, new_name));
    }
    if (owner)
        IST_TRY_GOTO(ist__owner_change(session, db, &chain, owner, err));
    if (k->change)
        IST_TRY_GOTO(k->change(&change, err));
    if (new_name || comment || properties || owner || change.made)
        IST_TRY_GOTO(ist__db_run(db, k->update, NULL, err, "tittt", id, change.now, session->who->name, comment,
                                 properties));
    status = ist__object_append(db, kind, id, out, err);
done:
    free(properties);
    return status;
}

ist_status ist__local_update(void *self, ist_securable kind, const ist__name *name, const char *patch, ist_buffer *out,
                             ist_error *err)
{
    ist__db *db;
    yyjson_doc *doc = NULL;
    IST_TRY(check_kind(kind, err));
    IST_TRY(ist__json_read_object(patch, &doc, err));
    ist_status status = ist__session_write(self, &db, err);
    if (status == IST_OK)
        status = ist__db_end(db, update_object(self, db, kind, name, yyjson_doc_get_root(doc), out, err), err);
    yyjson_doc_free(doc);
    return status;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *place)
{
    (void)stat, (void)type, (void)place;
    remove(path); /* what cannot be removed stays; so do the folders above it */
    return 0;
}

/* Remove managed files, as Unity Catalog does for local ones. Only what the catalog itself laid out. */
static void remove_data(const char *location)
{
    enum { OPEN_FOLDERS = 16 };
    ist_buffer path = IST_BUFFER_INIT;
    if (strncmp(location, "file://", 7) == 0 && strstr(location, "/" IST__MANAGED_PREFIX "/") &&
        ist__uri_decode(location + 7, strlen(location + 7), &path, NULL) == IST_OK)
        nftw(path.data, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    ist_buffer_free(&path);
}

/* doomed: the locations to remove once the transaction is committed, each ended by NUL. */
static ist_status delete_object(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                                bool force, ist_buffer *doomed, ist_error *err)
{
    const ist__kind *k = kinds[kind];
    ist__chain chain;
    char id[37];
    sqlite3_stmt *row = NULL;
    IST_TRY(resolve(session, db, kind, name, IST__ACTION_DELETE, &chain, id, err));
    if (k->check_unused && !force)
        IST_TRY(k->check_unused(db, id, name->part[name->count - 1], err));
    if (k->managed)
        IST_TRY(ist__db_run(db, k->managed, &row, err, "t", id));
    while (row) {
        const char *location = ist__column_text(row, 0);
        IST_TRY(ist_buffer_append(doomed, location, strlen(location) + 1, err));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return ist__db_run(db, k->remove, NULL, err, "t", id);
}

ist_status ist__local_remove(void *self, ist_securable kind, const ist__name *name, bool force, ist_error *err)
{
    ist__db *db;
    ist_buffer doomed = IST_BUFFER_INIT;
    IST_TRY(check_kind(kind, err));
    IST_TRY(ist__session_write(self, &db, err));
    ist_status status = ist__db_end(db, delete_object(self, db, kind, name, force, &doomed, err), err);
    /* After the commit: a crash between the two leaves files without an object, never an object without files. */
    if (status == IST_OK)
        for (size_t at = 0; at < doomed.size; at += strlen(doomed.data + at) + 1)
            remove_data(doomed.data + at);
    ist_buffer_free(&doomed);
    return status;
}
