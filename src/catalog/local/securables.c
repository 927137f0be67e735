/* securables.c: where each kind of securable lies in the database, and the way from a name or an id to its chain. */
#include "catalog/local/local_internal.h"

#include <stdio.h>
#include <string.h>

/*
 * A whole chain in one look-up: owner of the metastore ?1, then id and owner at each level, by the names ?2, ?3, ?4.
 * What comes after the first level that is not there is null.
 */
#define LEVEL(table, as, parent, name)                                                                                 \
    " LEFT JOIN " table " " as " ON " as ".parent_id = " parent ".id AND " as ".name = " name
#define IN_METASTORE(table)                                                                                            \
    "SELECT m.owner, o.id, o.owner FROM metastores m" LEVEL(table, "o", "m", "?2") " WHERE m.id = ?1"
#define IN_CATALOG(table)                                                                                              \
    "SELECT m.owner, c.id, c.owner, o.id, o.owner FROM metastores m" LEVEL("catalogs", "c", "m", "?2")                 \
    LEVEL(table, "o", "c", "?3") " WHERE m.id = ?1"
#define IN_SCHEMA(table)                                                                                               \
    "SELECT m.owner, c.id, c.owner, s.id, s.owner, o.id, o.owner FROM metastores m" LEVEL("catalogs", "c", "m", "?2")  \
    LEVEL("schemas", "s", "c", "?3") LEVEL(table, "o", "s", "?4") " WHERE m.id = ?1"

#define SETTERS(name)                                                                                                  \
    .rename = "UPDATE " name " SET name = ?2 WHERE id = ?1",                                                           \
    .set_owner = "UPDATE " name " SET owner = ?2 WHERE id = ?1",                                                       \
    .pass_on = "UPDATE " name " SET owner = ?2 WHERE owner = ?1"
#define KIND(name, in, missing_code)                                                                                   \
    {                                                                                                                  \
        .table = name, .missing = missing_code, .chain = in(name),                                                     \
        .find = "SELECT id FROM " name " WHERE parent_id = ?1 AND name = ?2",                                          \
        .find_id = "SELECT parent_id, owner FROM " name " WHERE id = ?1", SETTERS(name)                                \
    }

const ist__securable_table ist__securable_tables[] = {
    [IST_SECURABLE_CATALOG] = KIND("catalogs", IN_METASTORE, IST__UC_CATALOG_NOT_FOUND),
    [IST_SECURABLE_SCHEMA] = KIND("schemas", IN_CATALOG, IST__UC_SCHEMA_NOT_FOUND),
    [IST_SECURABLE_TABLE] = KIND("tables", IN_SCHEMA, IST__UC_TABLE_NOT_FOUND),
    [IST_SECURABLE_VOLUME] = KIND("volumes", IN_SCHEMA, IST__UC_NOT_FOUND),
    [IST_SECURABLE_FUNCTION] = KIND("functions", IN_SCHEMA, IST__UC_NOT_FOUND),
    [IST_SECURABLE_REGISTERED_MODEL] = KIND("registered_models", IN_SCHEMA, IST__UC_NOT_FOUND),
    [IST_SECURABLE_CREDENTIAL] = KIND("credentials", IN_METASTORE, IST__UC_NOT_FOUND),
    [IST_SECURABLE_EXTERNAL_LOCATION] = KIND("external_locations", IN_METASTORE, IST__UC_NOT_FOUND),
    [IST_SECURABLE_METASTORE] = {.table = "metastores",
                                 .missing = IST__UC_NOT_FOUND,
                                 .chain = "SELECT owner FROM metastores WHERE id = ?1",
                                 .find_id = "SELECT NULL, owner FROM metastores WHERE id = ?1",
                                 SETTERS("metastores")},
};

const char *ist__chain_id(const ist__chain *chain)
{
    return chain->link[chain->count - 1].id;
}

/* Of a model version, its model. */
static ist_securable kind_of_rights(ist_securable kind)
{
    return kind == IST_SECURABLE_MODEL_VERSION ? IST_SECURABLE_REGISTERED_MODEL : kind;
}

static void add_link(ist__chain *chain, ist_securable kind, const char *id, const char *owner)
{
    int i = chain->count++;
    chain->link[i].kind = kind;
    snprintf(chain->link[i].id, sizeof chain->link[i].id, "%s", id);
    snprintf(chain->link[i].owner, sizeof chain->link[i].owner, "%s", owner);
}

/* The error of a name whose part at `level` is not there for this principal. */
static ist_status missing(ist_securable kind, const ist__name *name, int level, ist_error *err)
{
    ist__name shown = *name;
    ist_buffer full = IST_BUFFER_INIT;
    shown.count = level;
    ist_status status = ist__name_join(&shown, &full, err);
    if (status == IST_OK)
        status = ist__uc_error(err, ist__securable_tables[kind].missing, "%s not found: %s",
                               ist__securable_label(kind), full.data ? full.data : "");
    ist_buffer_free(&full);
    return status;
}

ist_status ist__chain_find(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                           ist__chain *out, ist_error *err)
{
    static const char *const types[] = {"t", "tt", "ttt", "tttt"};
    ist_securable last = kind_of_rights(kind);
    const char *id = session->local->metastore_id;
    int parts = ist__securable_parts(last); /* without a model version's number */
    sqlite3_stmt *row;
    out->count = 0;
    IST_TRY(ist__db_run(db, ist__securable_tables[last].chain, &row, err, types[parts], id, name->part[0],
                        name->part[1], name->part[2]));
    add_link(out, IST_SECURABLE_METASTORE, id, row ? ist__db_text(row, 0) : "");
    for (int i = 0; row && i < parts && sqlite3_column_type(row, 1 + 2 * i) != SQLITE_NULL; i++)
        add_link(out, i + 1 == parts ? last : (ist_securable)i, ist__db_text(row, 1 + 2 * i),
                 ist__db_text(row, 2 + 2 * i));
    return IST_OK;
}

ist_status ist__chain_authorize(ist__session *session, ist_securable kind, const ist__name *name, ist__action action,
                                const ist__chain *chain, ist_error *err)
{
    ist_securable last = kind_of_rights(kind);
    int parts = ist__securable_parts(last);
    ist__chain upper = *chain;
    for (int i = 0; i < parts; i++) {
        upper.count = i + 2;
        if (chain->count < upper.count || ist__authorize(session, IST__ACTION_SEE, &upper, NULL) != IST_OK)
            return missing(i + 1 == parts ? last : (ist_securable)i, name, i + 1, err);
    }
    return action == IST__ACTION_SEE ? IST_OK : ist__authorize(session, action, chain, err);
}

ist_status ist__resolve(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                        ist__action action, ist__chain *out, ist_error *err)
{
    ist__chain own, *chain = out ? out : &own;
    IST_TRY(ist__chain_find(session, db, kind, name, chain, err));
    return ist__chain_authorize(session, kind, name, action, chain, err);
}

/* The chain of an id, by way of its ancestors' ids; false where there is no such object. */
static ist_status chain_of_id(ist__session *session, ist__db *db, ist_securable kind, const char *id,
                              ist__chain *chain, bool *found, ist_error *err)
{
    struct {
        ist_securable kind;
        char id[37], owner[IST__PRINCIPAL_NAME_MAX + 1];
    } up[3];
    int count = 0;
    char next[37];
    *found = snprintf(next, sizeof next, "%s", id) < (int)sizeof next;
    while (*found && kind != IST_SECURABLE_METASTORE) {
        sqlite3_stmt *row;
        IST_TRY(ist__db_run(db, ist__securable_tables[kind].find_id, &row, err, "t", next));
        *found = row != NULL;
        if (!row)
            return IST_OK;
        up[count].kind = kind;
        memcpy(up[count].id, next, sizeof next);
        snprintf(up[count].owner, sizeof up[count].owner, "%s", ist__db_text(row, 1));
        snprintf(next, sizeof next, "%s", ist__db_text(row, 0));
        kind = ist__securable_parent(kind);
        count++;
    }
    IST_TRY(ist__chain_find(session, db, IST_SECURABLE_METASTORE, &(ist__name){0}, chain, err));
    while (count-- > 0)
        add_link(chain, up[count].kind, up[count].id, up[count].owner);
    return IST_OK;
}

ist_status ist__resolve_id(ist__session *session, ist__db *db, ist_securable kind, const char *id, ist__action action,
                           ist__chain *out, ist_error *err)
{
    ist__chain own, *chain = out ? out : &own;
    bool found;
    kind = kind_of_rights(kind);
    IST_TRY(chain_of_id(session, db, kind, id, chain, &found, err));
    ist_status status = found ? ist__authorize(session, action, chain, err) : IST_NOT_FOUND;
    if (status == IST_NOT_FOUND)
        return ist__uc_error(err, ist__securable_tables[kind].missing, "%s not found with id: %.100s",
                             ist__securable_label(kind), id);
    return status;
}
