/*
 * local_catalog.c: the catalog of `isthmus serve`: metastore > catalogs > schemas > tables in one SQLite file.
 *
 * It answers as the open Unity Catalog server 0.6 does, error codes and omissions included: names are case-sensitive,
 * an update with nothing in it changes nothing, a page token is the last name of the page before. Each public call is
 * one transaction; every operation below runs inside one that its caller began, so that several could share one.
 */
#include "catalog/local/local_internal.h"
#include "catalog/local/schema.h"
#include "catalog/local/vend.h"

#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANAGED_PREFIX "__unitystorage"
#define TABLE_ID_PROPERTY "io.unitycatalog.tableId"

#define AUDIT "o.owner, o.created_at, o.created_by, o.updated_at, o.updated_by"
#define SELECT_CATALOG                                                                                                 \
    "SELECT o.name, o.comment, o.properties, " AUDIT ", o.id, o.storage_root, o.storage_location FROM catalogs o "
#define SELECT_SCHEMA                                                                                                  \
    "SELECT o.name, c.name AS catalog_name, o.comment, o.properties, c.name || '.' || o.name AS full_name, " AUDIT     \
    ", o.id AS schema_id, o.storage_root, o.storage_location FROM schemas o JOIN catalogs c ON c.id = o.parent_id "
#define SELECT_TABLE                                                                                                   \
    "SELECT o.name, c.name AS catalog_name, s.name AS schema_name, o.table_type, o.data_source_format, o.columns,"     \
    " o.storage_location, o.comment, o.properties, " AUDIT ", o.id AS table_id, NULL AS view_definition,"              \
    " NULL AS view_dependencies FROM tables o JOIN schemas s ON s.id = o.parent_id"                                    \
    " JOIN catalogs c ON c.id = s.parent_id "
#define BY_ID "WHERE o.id = ?1"
#define PAGE "WHERE o.parent_id = ?1 AND o.name > ?2 ORDER BY o.name"
#define SET_COMMON                                                                                                     \
    "name = coalesce(?2, name), comment = coalesce(?3, comment), properties = coalesce(?4, properties),"               \
    " updated_at = ?5, updated_by = ?6"

/* What differs between the kinds of object. `managed` finds the data that goes with an object. */
static const struct kind {
    const char *id; /* its column in the next two */
    const char *get, *page, *update, *remove, *child, *managed;
    ist__action create;
    ist__uc_code taken;
} kinds[] = {
    [IST_SECURABLE_CATALOG] =
        {.id = "id",
         .get = SELECT_CATALOG BY_ID,
         .page = SELECT_CATALOG PAGE,
         .update = "UPDATE catalogs SET " SET_COMMON " WHERE id = ?1",
         .remove = "DELETE FROM catalogs WHERE id = ?1",
         .child = "SELECT 1 FROM schemas WHERE parent_id = ?1 LIMIT 1",
         .managed = "SELECT t.storage_location FROM tables t JOIN schemas s ON s.id = t.parent_id"
                    " WHERE s.parent_id = ?1 AND t.table_type = 'MANAGED'",
         .create = IST__ACTION_CREATE_CATALOG,
         .taken = IST__UC_CATALOG_ALREADY_EXISTS},
    [IST_SECURABLE_SCHEMA] =
        {.id = "schema_id",
         .get = SELECT_SCHEMA BY_ID,
         .page = SELECT_SCHEMA PAGE,
         .update = "UPDATE schemas SET " SET_COMMON " WHERE id = ?1",
         .remove = "DELETE FROM schemas WHERE id = ?1",
         .child = "SELECT 1 FROM tables WHERE parent_id = ?1 LIMIT 1",
         .managed = "SELECT storage_location FROM tables WHERE parent_id = ?1 AND table_type = 'MANAGED'",
         .create = IST__ACTION_CREATE_SCHEMA,
         .taken = IST__UC_SCHEMA_ALREADY_EXISTS},
    [IST_SECURABLE_TABLE] =
        {.id = "table_id",
         .get = SELECT_TABLE BY_ID,
         .page = SELECT_TABLE PAGE,
         .update = "UPDATE tables SET " SET_COMMON ", columns = coalesce(?7, columns) WHERE id = ?1",
         .remove = "DELETE FROM tables WHERE id = ?1",
         .child = NULL,
         .managed = "SELECT storage_location FROM tables WHERE id = ?1 AND table_type = 'MANAGED'",
         .create = IST__ACTION_CREATE_TABLE,
         .taken = IST__UC_TABLE_ALREADY_EXISTS},
};

/* Rows ------------------------------------------------------------------------------------------------------------- */

static const char *column_text(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

static const char *named_text(sqlite3_stmt *row, const char *name)
{
    for (int i = 0; i < sqlite3_column_count(row); i++)
        if (strcmp(sqlite3_column_name(row, i), name) == 0)
            return column_text(row, i);
    return NULL;
}

yyjson_mut_val *ist__local_row(yyjson_mut_doc *doc, sqlite3_stmt *row)
{
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        const char *name = sqlite3_column_name(row, i);
        yyjson_mut_val *value;
        if (sqlite3_column_type(row, i) == SQLITE_NULL)
            value = yyjson_mut_null(doc);
        else if (sqlite3_column_type(row, i) == SQLITE_INTEGER)
            value = yyjson_mut_sint(doc, sqlite3_column_int64(row, i));
        else if (strcmp(name, "properties") == 0 || strcmp(name, "columns") == 0)
            value = yyjson_mut_rawcpy(doc, column_text(row, i));
        else
            value = yyjson_mut_strcpy(doc, column_text(row, i));
        yyjson_mut_obj_add(object, yyjson_mut_strcpy(doc, name), value);
    }
    return object;
}

static ist_status check_free(ist__db *db, ist_securable kind, const char *parent_id, const char *name, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, ist__securable_tables[kind].find, &row, err, "tt", parent_id, name));
    if (row)
        return ist__uc_error(err, kinds[kind].taken, "%s already exists: %s", ist__securable_label(kind), name);
    return IST_OK;
}

static ist_status get_object(ist__db *db, ist_securable kind, const char *id, ist_buffer *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, kinds[kind].get, &row, err, "t", id));
    if (!row)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "an object vanished inside a transaction");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, ist__local_row(doc, row));
    return ist__json_finish(doc, out, err);
}

/* Create ----------------------------------------------------------------------------------------------------------- */

/* A create body, read. */
typedef struct request {
    yyjson_doc *doc;
    yyjson_val *root;
    const char *name, *comment;
    ist__name parent;
    char *properties;
    char *columns;
    ist_buffer location; /* storage_root or storage_location, normalized; data NULL where there is none */
} request;

static void request_free(request *r)
{
    yyjson_doc_free(r->doc);
    free(r->properties);
    free(r->columns);
    ist_buffer_free(&r->location);
}

static ist_status read_parent(request *r, int index, const char *key, ist_error *err)
{
    const char *text;
    IST_TRY(ist__json_text(r->root, key, true, &text, err));
    if (snprintf(r->parent.part[index], sizeof r->parent.part[index], "%s", text) > IST__NAME_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is longer than %d characters", key, IST__NAME_MAX);
    r->parent.count = index + 1;
    return IST_OK;
}

/* The caller frees r with request_free, also after an error. */
static ist_status request_read(request *r, ist_securable kind, const char *body, ist_error *err)
{
    memset(r, 0, sizeof *r);
    IST_TRY(ist__json_read_object(body, &r->doc, err));
    r->root = yyjson_doc_get_root(r->doc);
    IST_TRY(ist__json_text(r->root, "name", true, &r->name, err));
    IST_TRY(ist__name_check(r->name, err));
    if (kind >= IST_SECURABLE_SCHEMA)
        IST_TRY(read_parent(r, 0, "catalog_name", err));
    if (kind >= IST_SECURABLE_TABLE)
        IST_TRY(read_parent(r, 1, "schema_name", err));
    IST_TRY(ist__json_text(r->root, "comment", false, &r->comment, err));
    IST_TRY(ist__json_properties(r->root, "properties", &r->properties, err));
    IST_TRY(ist__json_columns(r->root, &r->columns, err));
    const char *location;
    IST_TRY(ist__json_text(r->root, kind == IST_SECURABLE_TABLE ? "storage_location" : "storage_root", false,
                           &location, err));
    return location ? ist__location_normalize(location, &r->location, err) : IST_OK;
}

static ist_status check_not_managed(const char *location, ist_error *err)
{
    if (strstr(location, MANAGED_PREFIX))
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the location %s is inside managed storage (" MANAGED_PREFIX ")", location);
    return IST_OK;
}

static ist_status create_container(ist__session *session, ist__db *db, ist_securable kind, const request *r,
                                   const char *parent_id, char id[37], ist_error *err)
{
    static const char *const inserts[] = {
        "INSERT INTO catalogs (id, parent_id, name, comment, properties, owner, created_at, created_by, updated_at,"
        " updated_by, storage_root, storage_location) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7, ?6, ?8, ?9)",
        "INSERT INTO schemas (id, parent_id, name, comment, properties, owner, created_at, created_by, updated_at,"
        " updated_by, storage_root, storage_location) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7, ?6, ?8, ?9)"};
    ist__uuid(id);
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (r->location.data) {
        IST_TRY_GOTO(check_not_managed(r->location.data, err));
        IST_TRY_GOTO(ist_buffer_printf(&location, err, "%s/" MANAGED_PREFIX "/%s/%s", r->location.data,
                                       ist__securable_plural(kind), id));
    }
    status = ist__db_run(db, inserts[kind], NULL, err, "ttttttitt", id, parent_id, r->name, r->comment,
                         r->properties ? r->properties : "{}", session->who->name, ist__now_ms(), r->location.data,
                         location.data);
done:
    ist_buffer_free(&location);
    return status;
}

/* Take the staging table at a location for the table that is being created; its id becomes the table's. */
static ist_status finalize_staging(ist__session *session, ist__db *db, const request *r, char id[37],
                                   ist_error *err)
{
    const char *location = r->location.data;
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT id, created_by, committed_at FROM staging_tables WHERE location = ?1", &row, err,
                        "t", location));
    if (!row)
        return ist__uc_error(err, IST__UC_TABLE_NOT_FOUND, "Staging table not found: %s", location);
    snprintf(id, 37, "%s", column_text(row, 0));
    const char *creator = column_text(row, 1);
    if (!creator || strcmp(creator, session->who->name) != 0)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "the staging table at %s is another principal's",
                             location);
    if (sqlite3_column_type(row, 2) != SQLITE_NULL)
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "Staging table already committed: %s", location);
    const char *told = yyjson_get_str(yyjson_obj_get(yyjson_obj_get(r->root, "properties"), TABLE_ID_PROPERTY));
    if (!told || strcmp(told, id) != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT,
                             "the property " TABLE_ID_PROPERTY " of a managed table must be its staging table's id");
    return ist__db_run(db, "UPDATE staging_tables SET committed_at = ?2 WHERE id = ?1", NULL, err, "ti", id,
                       ist__now_ms());
}

static ist_status check_external(ist__db *db, const char *location, ist_error *err)
{
    IST_TRY(check_not_managed(location, err));
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT 1 FROM (SELECT storage_location AS place FROM catalogs UNION ALL"
                        " SELECT storage_location FROM schemas UNION ALL"
                        " SELECT location FROM staging_tables WHERE committed_at IS NULL)"
                        " WHERE substr(place, 1, length(?1) + 1) = ?1 || '/' LIMIT 1",
                        &row, err, "t", location));
    if (row)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the location %s holds managed storage", location);
    return IST_OK;
}

static ist_status one_of(const char *value, const char *const *allowed, const char *key, ist_error *err)
{
    for (; *allowed; allowed++)
        if (strcmp(value, *allowed) == 0)
            return IST_OK;
    return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s '%.60s' is not supported", key, value);
}

static ist_status create_table(ist__session *session, ist__db *db, const request *r, const char *parent_id,
                               char id[37], ist_error *err)
{
    static const char *const types[] = {"MANAGED", "EXTERNAL", NULL};
    static const char *const formats[] = {"DELTA", "CSV", "JSON", "AVRO", "PARQUET", "ORC", "TEXT", NULL};
    const char *type, *format;
    IST_TRY(ist__json_text(r->root, "table_type", true, &type, err));
    IST_TRY(one_of(type, types, "table_type", err));
    IST_TRY(ist__json_text(r->root, "data_source_format", false, &format, err));
    if (format)
        IST_TRY(one_of(format, formats, "data_source_format", err));
    if (!r->location.data)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "storage_location is required");
    if (strcmp(type, "MANAGED") == 0) {
        if (!format || strcmp(format, "DELTA") != 0)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a managed table must have data_source_format DELTA");
        IST_TRY(finalize_staging(session, db, r, id, err));
    } else {
        IST_TRY(check_external(db, r->location.data, err));
        ist__uuid(id);
    }
    return ist__db_run(db,
                       "INSERT INTO tables (id, parent_id, name, comment, properties, owner, created_at, created_by,"
                       " updated_at, updated_by, table_type, data_source_format, columns, storage_location)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7, ?6, ?8, ?9, ?10, ?11)",
                       NULL, err, "ttttttitttt", id, parent_id, r->name, r->comment,
                       r->properties ? r->properties : "{}", session->who->name, ist__now_ms(), type, format,
                       r->columns ? r->columns : "[]", r->location.data);
}

static ist_status create_object(ist__session *session, ist__db *db, ist_securable kind, const request *r,
                                ist_buffer *out, ist_error *err)
{
    static const ist_securable parents[] = {IST_SECURABLE_METASTORE, IST_SECURABLE_CATALOG, IST_SECURABLE_SCHEMA};
    ist__chain parent;
    char id[37];
    IST_TRY(ist__resolve(session, db, parents[kind], &r->parent, kinds[kind].create, &parent, err));
    IST_TRY(check_free(db, kind, ist__chain_id(&parent), r->name, err));
    if (kind == IST_SECURABLE_TABLE)
        IST_TRY(create_table(session, db, r, ist__chain_id(&parent), id, err));
    else
        IST_TRY(create_container(session, db, kind, r, ist__chain_id(&parent), id, err));
    return get_object(db, kind, id, out, err);
}

static ist_status local_create(void *self, ist_securable kind, const char *body, ist_buffer *out, ist_error *err)
{
    ist__session *session = self;
    ist__db *db;
    request r;
    ist_status status = request_read(&r, kind, body, err);
    if (status == IST_OK)
        status = ist__session_write(session, &db, err);
    if (status == IST_OK)
        status = ist__db_end(db, create_object(session, db, kind, &r, out, err), err);
    request_free(&r);
    return status;
}

static ist_status create_staging(ist__session *session, ist__db *db, const ist__name *name, ist_buffer *out,
                                 ist_error *err)
{
    ist__chain schema;
    ist__name schema_name = *name;
    char id[37];
    sqlite3_stmt *row;
    schema_name.count = 2;
    IST_TRY(ist__resolve(session, db, IST_SECURABLE_SCHEMA, &schema_name, IST__ACTION_CREATE_TABLE, &schema, err));
    const char *schema_id = ist__chain_id(&schema);
    IST_TRY(check_free(db, IST_SECURABLE_TABLE, schema_id, name->part[2], err));
    IST_TRY(ist__db_run(db,
                        "SELECT coalesce(s.storage_location, c.storage_location, ?2 || '/" MANAGED_PREFIX "')"
                        " FROM schemas s JOIN catalogs c ON c.id = s.parent_id WHERE s.id = ?1",
                        &row, err, "tt", schema_id, session->local->storage_root.data));
    if (!row)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "a schema vanished inside a transaction");
    ist__uuid(id);
    ist_buffer location = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist_buffer_printf(&location, err, "%s/tables/%s", column_text(row, 0), id));
    IST_TRY_GOTO(ist__db_run(db,
                             "INSERT INTO staging_tables (id, schema_id, name, location, created_at, created_by)"
                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                             NULL, err, "ttttit", id, schema_id, name->part[2], location.data, ist__now_ms(),
                             session->who->name));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", name->part[2]);
    yyjson_mut_obj_add_str(doc, root, "catalog_name", name->part[0]);
    yyjson_mut_obj_add_str(doc, root, "schema_name", name->part[1]);
    yyjson_mut_obj_add_str(doc, root, "id", id);
    yyjson_mut_obj_add_str(doc, root, "staging_location", location.data);
    status = ist__json_finish(doc, out, err);
done:
    ist_buffer_free(&location);
    return status;
}

static ist_status local_create_staging_table(void *self, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist__session *session = self;
    ist__db *db;
    IST_TRY(ist__name_check(name->part[2], err));
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, create_staging(session, db, name, out, err), err);
}

/* Get, list -------------------------------------------------------------------------------------------------------- */

static ist_status get_by_name(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                              ist_buffer *out, ist_error *err)
{
    ist__chain chain;
    IST_TRY(ist__resolve(session, db, kind, name, IST__ACTION_SEE, &chain, err));
    return get_object(db, kind, ist__chain_id(&chain), out, err);
}

static ist_status local_get(void *self, ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(self, &db, err));
    return ist__db_end(db, get_by_name(self, db, kind, name, out, err), err);
}

/* A page of what may be seen. Its token is the last name that was shown: it tells of no other. */
static ist_status list_page(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name, int limit,
                            const char *page_token, yyjson_mut_doc *doc, ist_error *err)
{
    static const ist_securable parents[] = {IST_SECURABLE_METASTORE, IST_SECURABLE_CATALOG, IST_SECURABLE_SCHEMA};
    ist__chain parent;
    sqlite3_stmt *row;
    IST_TRY(ist__resolve(session, db, parents[kind], name, IST__ACTION_SEE, &parent, err));
    IST_TRY(ist__db_run(db, kinds[kind].page, &row, err, "tt", ist__chain_id(&parent), page_token));
    yyjson_mut_val *root = yyjson_mut_obj(doc), *page = yyjson_mut_arr(doc), *last = NULL;
    yyjson_mut_doc_set_root(doc, root);
    while (row && yyjson_mut_arr_size(page) < (size_t)limit) {
        if (ist__may_see(session, db, &parent, kind, named_text(row, kinds[kind].id), named_text(row, "owner"))) {
            last = ist__local_row(doc, row);
            yyjson_mut_arr_append(page, last);
        }
        IST_TRY(ist__db_next(db, &row, err));
    }
    bool full = yyjson_mut_arr_size(page) == (size_t)limit;
    yyjson_mut_obj_add_val(doc, root, ist__securable_plural(kind), page);
    ist__json_add_text(doc, root, "next_page_token",
                       full ? yyjson_mut_get_str(yyjson_mut_obj_get(last, "name")) : NULL);
    return IST_OK;
}

static ist_status local_list(void *self, ist_securable kind, const ist__name *parent, int max_results,
                             const char *page_token, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    if (max_results < 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "max_results must be greater than or equal to 0");
    int limit = max_results == 0 || max_results > IST__PAGE_MAX ? IST__PAGE_MAX : max_results;
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
    const char *new_name, *comment;
    char *properties = NULL, *columns = NULL;
    ist__chain chain;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_text(patch, "new_name", false, &new_name, err));
    IST_TRY_GOTO(ist__json_text(patch, "comment", false, &comment, err));
    IST_TRY_GOTO(ist__json_properties(patch, "properties", &properties, err));
    if (kind == IST_SECURABLE_TABLE)
        IST_TRY_GOTO(ist__json_columns(patch, &columns, err));
    IST_TRY_GOTO(ist__resolve(session, db, kind, name, IST__ACTION_UPDATE, &chain, err));
    const char *id = ist__chain_id(&chain);
    if (new_name) {
        IST_TRY_GOTO(ist__name_check(new_name, err));
        IST_TRY_GOTO(check_free(db, kind, chain.link[chain.count - 2].id, new_name, err));
    }
    if (new_name || comment || properties || columns)
        IST_TRY_GOTO(ist__db_run(db, kinds[kind].update, NULL, err, columns ? "ttttitt" : "ttttit", id, new_name,
                                 comment, properties, ist__now_ms(), session->who->name, columns));
    status = get_object(db, kind, id, out, err);
done:
    free(properties);
    free(columns);
    return status;
}

static ist_status local_update(void *self, ist_securable kind, const ist__name *name, const char *patch,
                               ist_buffer *out, ist_error *err)
{
    ist__db *db;
    yyjson_doc *doc = NULL;
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

/* Remove a managed table's files, as Unity Catalog does for local ones. Only what the catalog itself laid out. */
static void remove_data(const char *location)
{
    enum { OPEN_FOLDERS = 16 };
    ist_buffer path = IST_BUFFER_INIT;
    if (strncmp(location, "file://", 7) == 0 && strstr(location, "/" MANAGED_PREFIX "/") &&
        ist__uri_decode(location + 7, strlen(location + 7), &path, NULL) == IST_OK)
        nftw(path.data, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    ist_buffer_free(&path);
}

/* doomed: the locations to remove once the transaction is committed, each ended by NUL. */
static ist_status delete_object(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name, bool force,
                                ist_buffer *doomed, ist_error *err)
{
    ist__chain chain;
    sqlite3_stmt *row = NULL;
    IST_TRY(ist__resolve(session, db, kind, name, IST__ACTION_DELETE, &chain, err));
    const char *id = ist__chain_id(&chain);
    if (kinds[kind].child && !force) {
        ist_securable child = (ist_securable)(kind + 1);
        IST_TRY(ist__db_run(db, kinds[kind].child, &row, err, "t", id));
        if (row)
            return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "Cannot delete %s with %s. Use force=true",
                                 kind == IST_SECURABLE_CATALOG ? "catalog" : "schema", ist__securable_plural(child));
    }
    IST_TRY(ist__db_run(db, kinds[kind].managed, &row, err, "t", id));
    while (row) {
        const char *location = column_text(row, 0);
        IST_TRY(ist_buffer_append(doomed, location, strlen(location) + 1, err));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return ist__db_run(db, kinds[kind].remove, NULL, err, "t", id);
}

static ist_status local_remove(void *self, ist_securable kind, const ist__name *name, bool force, ist_error *err)
{
    ist__db *db;
    ist_buffer doomed = IST_BUFFER_INIT;
    IST_TRY(ist__session_write(self, &db, err));
    ist_status status = ist__db_end(db, delete_object(self, db, kind, name, force, &doomed, err), err);
    /* After the commit: a crash between the two leaves files without a table, never a table without files. */
    if (status == IST_OK)
        for (size_t at = 0; at < doomed.size; at += strlen(doomed.data + at) + 1)
            remove_data(doomed.data + at);
    ist_buffer_free(&doomed);
    return status;
}

/* Credentials ------------------------------------------------------------------------------------------------------ */

static ist_status find_location(ist__db *db, const char *table_id, ist_buffer *out, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT storage_location FROM tables WHERE id = ?1 UNION ALL"
                        " SELECT location FROM staging_tables WHERE id = ?1 LIMIT 1",
                        &row, err, "t", table_id));
    if (!row)
        return ist__uc_error(err, IST__UC_TABLE_NOT_FOUND, "Neither table nor staging table found with id: %.100s",
                             table_id);
    return ist_buffer_append_string(out, column_text(row, 0), err);
}

/* The location that a request is about, and whether it is to write there. */
static ist_status locate(ist__session *session, yyjson_val *body, ist_buffer *out, ist__vend_request *wanted,
                         ist_error *err)
{
    static const char *const table_operations[] = {"READ", "READ_WRITE", NULL};
    static const char *const path_operations[] = {"PATH_READ", "PATH_READ_WRITE", "PATH_CREATE_TABLE", NULL};
    const char *url, *operation;
    IST_TRY(ist__json_text(body, "operation", true, &operation, err));
    IST_TRY(ist__json_text(body, "url", false, &url, err));
    IST_TRY(ist__json_text(body, "table_id", !url, &wanted->table_id, err));
    IST_TRY(one_of(operation, wanted->table_id ? table_operations : path_operations, "operation", err));
    wanted->write = strcmp(operation, "READ") != 0 && strcmp(operation, "PATH_READ") != 0;
    if (!wanted->table_id)
        return ist__location_normalize(url, out, err);
    ist__db *db;
    IST_TRY(ist__session_read(session, &db, err));
    return ist__db_end(db, find_location(db, wanted->table_id, out, err), err);
}

static ist_status local_get_credentials(void *self, const char *body, ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = NULL;
    ist_buffer location = IST_BUFFER_INIT;
    ist__session *session = self;
    ist__vend_request wanted = {.principal = session->who->name};
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_read_object(body, &in, err));
    IST_TRY_GOTO(locate(session, yyjson_doc_get_root(in), &location, &wanted, err));
    wanted.url = location.data;
    status = ist__vend(session->local, &wanted, out, err);
done:
    yyjson_doc_free(in);
    ist_buffer_free(&location);
    return status;
}

/* This catalog commits to no table yet: it makes none that is catalog-managed. */
static ist_status local_get_commits(void *self, const char *json, ist_buffer *out, ist_error *err)
{
    (void)self, (void)json, (void)out;
    return ist__uc_error(err, IST__UC_UNIMPLEMENTED, "this catalog keeps no commits of tables");
}

static ist_status local_commit(void *self, const char *body, ist_error *err)
{
    return local_get_commits(self, body, NULL, err);
}

static ist_status local_get_metastore(void *self, ist_buffer *out, ist_error *err)
{
    return ist_buffer_printf(out, err, "{\"metastore_id\":\"%s\"}", ((ist__session *)self)->local->metastore_id);
}

/* Open ------------------------------------------------------------------------------------------------------------- */

static void local_free(void *self)
{
    ist__session *session = self;
    if (session)
        ist__local_close(session->local);
}

/* Catalog "main" with schema "default", in a database that is new. */
static ist_status create_first_objects(ist__local *local, ist__db *db, ist_error *err)
{
    static const char *const first[] = {"{\"name\":\"main\"}", "{\"name\":\"default\",\"catalog_name\":\"main\"}"};
    ist__uuid(local->metastore_id);
    IST_TRY(ist__db_run(db, "INSERT INTO metastores (id, owner) VALUES (?1, ?2)", NULL, err, "tt", local->metastore_id,
                        local->admin.who->name));
    for (int kind = 0; kind < 2; kind++) {
        request r;
        ist_buffer dropped = IST_BUFFER_INIT;
        ist_status status = request_read(&r, (ist_securable)kind, first[kind], err);
        if (status == IST_OK)
            status = create_object(&local->admin, db, (ist_securable)kind, &r, &dropped, err);
        request_free(&r);
        ist_buffer_free(&dropped);
        IST_TRY(status);
    }
    return IST_OK;
}

static ist_status prepare_database(ist__local *local, ist__db *db, const char *path, ist_error *err)
{
    bool fresh;
    sqlite3_stmt *row;
    IST_TRY(ist__schema_migrate(db, path, &fresh, err));
    if (fresh)
        return create_first_objects(local, db, err);
    IST_TRY(ist__db_run(db, "SELECT id FROM metastores", &row, err, ""));
    if (!row)
        return ist_error_set(err, IST_BAD_INPUT, 0, path, "the catalog database %s has no metastore", path);
    snprintf(local->metastore_id, sizeof local->metastore_id, "%s", column_text(row, 0));
    return IST_OK;
}

/* The database's folder, and the folder of managed tables. */
static ist_status set_places(ist__local *local, const char *path, const char *storage_root, ist_error *err)
{
    ist_buffer root = IST_BUFFER_INIT;
    char *real = realpath(path, NULL);
    ist_status status = ist__strdup(real ? dirname(real) : ".", &local->home, err);
    if (status == IST_OK && !storage_root)
        status = ist_buffer_printf(&root, err, "%s/warehouse", local->home);
    if (status == IST_OK)
        status = ist__location_normalize(storage_root ? storage_root : root.data, &local->storage_root, err);
    free(real);
    ist_buffer_free(&root);
    return status;
}

ist_status ist__local_open(const char *path, const char *storage_root, ist_catalog *out, ist_error *err)
{
    static const ist__catalog_backend backend = {
        .create = local_create,
        .get = local_get,
        .update = local_update,
        .remove = local_remove,
        .list = local_list,
        .create_staging_table = local_create_staging_table,
        .get_credentials = local_get_credentials,
        .get_commits = local_get_commits,
        .commit = local_commit,
        .get_metastore = local_get_metastore,
        .post_lineage = ist__local_post_lineage,
        .get_lineage = ist__local_get_lineage,
        .free = local_free,
    };
    ist__local *local = NULL;
    ist_status status = IST_OK;
    IST_TRY(ist__alloc(1, sizeof *local, (void **)&local, err));
    local->admin = (ist__session){.local = local, .who = &ist__principal_admin};
    IST_TRY_GOTO(ist__db_open(path, true, &local->writer, err));
    IST_TRY_GOTO(set_places(local, path, storage_root, err));
    IST_TRY_GOTO(ist__db_begin(local->writer, err));
    IST_TRY_GOTO(ist__db_end(local->writer, prepare_database(local, local->writer, path, err), err));
    IST_TRY_GOTO(ist__local_open_readers(local, path, err));
    out->backend = &backend;
    out->self = &local->admin;
    return IST_OK;
done:
    ist__local_close(local);
    return status;
}
