/* local_containers.c: catalogs and schemas, and where what they hold is laid out. */
#include "catalog/local/objects.h"
#include "catalog/local/places.h"

#include <stdio.h>

/* Add the folder under storage_root, if there is one. */
static ist_status lay_out(ist__creation *c, ist_securable kind, const char *insert, ist_error *err)
{
    ist_buffer root = IST_BUFFER_INIT, location = IST_BUFFER_INIT;
    const char *text;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__json_text(c->root, "storage_root", false, &text, err));
    if (text) {
        IST_TRY_GOTO(ist__location_normalize(text, &root, err));
        IST_TRY_GOTO(ist__place_authorize_new(c->session, c->db, root.data, IST__ACTION_CREATE_MANAGED_STORAGE, err));
        IST_TRY_GOTO(ist_buffer_printf(&location, err, "%s/" IST__MANAGED_PREFIX "/%s/%s", root.data,
                                       ist__securable_plural(kind), c->id));
    }
    status = ist__db_run(c->db, insert, NULL, err, "ttttttitt", c->id, ist__chain_id(&c->parent), c->name, c->comment,
                         c->properties ? c->properties : "{}", c->session->who->name, c->now, root.data, location.data);
done:
    ist_buffer_free(&root);
    ist_buffer_free(&location);
    return status;
}

#define INSERT_INTO(table)                                                                                             \
    "INSERT INTO " table " (id, parent_id, name, comment, properties, owner, created_at, created_by, updated_at,"      \
    " updated_by, storage_root, storage_location) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7, ?6, ?8, ?9)"

static ist_status insert_catalog(ist__creation *c, ist_error *err)
{
    return lay_out(c, IST_SECURABLE_CATALOG, INSERT_INTO("catalogs"), err);
}

static ist_status insert_schema(ist__creation *c, ist_error *err)
{
    return lay_out(c, IST_SECURABLE_SCHEMA, INSERT_INTO("schemas"), err);
}

static ist_status check_catalog_empty(ist__db *db, const char *id, const char *name, ist_error *err)
{
    (void)name;
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT 1 FROM schemas WHERE parent_id = ?1 LIMIT 1", &row, err, "t", id));
    if (row)
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "Cannot delete catalog with schemas");
    return IST_OK;
}

static ist_status check_schema_empty(ist__db *db, const char *id, const char *name, ist_error *err)
{
    (void)name;
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT CASE WHEN EXISTS (SELECT 1 FROM tables WHERE parent_id = ?1) THEN 'tables'"
                        " WHEN EXISTS (SELECT 1 FROM volumes WHERE parent_id = ?1) THEN 'volumes'"
                        " WHEN EXISTS (SELECT 1 FROM functions WHERE parent_id = ?1) THEN 'functions'"
                        " WHEN EXISTS (SELECT 1 FROM registered_models WHERE parent_id = ?1) THEN 'models' END",
                        &row, err, "t", id));
    if (row && ist__column_text(row, 0))
        return ist__uc_error(err, IST__UC_FAILED_PRECONDITION, "Cannot delete schema with %s",
                             ist__column_text(row, 0));
    return IST_OK;
}

#define SELECT_CATALOG                                                                                                 \
    "SELECT o.name, o.comment, o.properties, " IST__SELECT_COMMON ", o.id, o.storage_root, o.storage_location"         \
    " FROM catalogs o "
#define SELECT_SCHEMA                                                                                                  \
    "SELECT o.name, c.name AS catalog_name, o.comment, o.properties, c.name || '.' || o.name AS full_name, "           \
    IST__SELECT_COMMON ", o.id AS schema_id, o.storage_root, o.storage_location"                                       \
    " FROM schemas o JOIN catalogs c ON c.id = o.parent_id "
#define MANAGED_DATA(schemas)                                                                                          \
    "SELECT storage_location FROM tables WHERE parent_id IN (" schemas ") AND table_type = 'MANAGED'"                  \
    " UNION ALL SELECT storage_location FROM volumes WHERE parent_id IN (" schemas ") AND volume_type = 'MANAGED'"     \
    " UNION ALL SELECT storage_location FROM registered_models WHERE parent_id IN (" schemas ")"

const ist__kind ist__kind_catalog = {
    .id = "id",
    .get = SELECT_CATALOG IST__BY_ID,
    .page = SELECT_CATALOG IST__PAGE,
    .own_page = SELECT_CATALOG IST__OWN_PAGE("catalogs"),
    .update = "UPDATE catalogs SET " IST__SET_COMMON " WHERE id = ?1",
    .remove = "DELETE FROM catalogs WHERE id = ?1",
    .managed = MANAGED_DATA("SELECT id FROM schemas WHERE parent_id = ?1"),
    .create = IST__ACTION_CREATE_CATALOG,
    .taken = IST__UC_CATALOG_ALREADY_EXISTS,
    .insert = insert_catalog,
    .check_unused = check_catalog_empty,
};

const ist__kind ist__kind_schema = {
    .id = "schema_id",
    .get = SELECT_SCHEMA IST__BY_ID,
    .page = SELECT_SCHEMA IST__PAGE,
    .own_page = SELECT_SCHEMA IST__OWN_PAGE("schemas"),
    .update = "UPDATE schemas SET " IST__SET_COMMON " WHERE id = ?1",
    .remove = "DELETE FROM schemas WHERE id = ?1",
    .managed = MANAGED_DATA("?1"),
    .create = IST__ACTION_CREATE_SCHEMA,
    .taken = IST__UC_SCHEMA_ALREADY_EXISTS,
    .insert = insert_schema,
    .check_unused = check_schema_empty,
};
