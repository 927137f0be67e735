/* securables.c: where each kind of securable lies in the database, and the way from a name or an id to its chain. */
#include "catalog/local/local_internal.h"

#include <stdio.h>
#include <string.h>

#define SETTERS(name)                                                                                                  \
    .set_owner = "UPDATE " name " SET owner = ?2 WHERE id = ?1",                                                       \
    .pass_on = "UPDATE " name " SET owner = ?2 WHERE owner = ?1"
#define KIND(name, missing_code)                                                                          \
    {                                                                                                                  \
        .table = name, .missing = missing_code,                                               \
        .find = "SELECT id, owner FROM " name " WHERE parent_id = ?1 AND name = ?2",                                   \
        .find_id = "SELECT parent_id, owner FROM " name " WHERE id = ?1", SETTERS(name)                                \
    }

const ist__securable_table ist__securable_tables[] = {
    [IST_SECURABLE_CATALOG] = KIND("catalogs", IST__UC_CATALOG_NOT_FOUND),
    [IST_SECURABLE_SCHEMA] = KIND("schemas", IST__UC_SCHEMA_NOT_FOUND),
    [IST_SECURABLE_TABLE] = KIND("tables", IST__UC_TABLE_NOT_FOUND),
    [IST_SECURABLE_VOLUME] = KIND("volumes", IST__UC_NOT_FOUND),
    [IST_SECURABLE_FUNCTION] = KIND("functions", IST__UC_NOT_FOUND),
    [IST_SECURABLE_REGISTERED_MODEL] = KIND("registered_models", IST__UC_NOT_FOUND),
    [IST_SECURABLE_CREDENTIAL] = KIND("credentials", IST__UC_NOT_FOUND),
    [IST_SECURABLE_EXTERNAL_LOCATION] = KIND("external_locations", IST__UC_NOT_FOUND),
    [IST_SECURABLE_METASTORE] = {.table = "metastores",
                                 .missing = IST__UC_NOT_FOUND,
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

static ist_status start_chain(ist__session *session, ist__db *db, ist__chain *chain, ist_error *err)
{
    sqlite3_stmt *row;
    const char *id = session->local->metastore_id;
    chain->count = 0;
    IST_TRY(ist__db_run(db, ist__securable_tables[IST_SECURABLE_METASTORE].find_id, &row, err, "t", id));
    add_link(chain, IST_SECURABLE_METASTORE, id, row ? ist__db_text(row, 1) : "");
    return IST_OK;
}

ist_status ist__resolve(ist__session *session, ist__db *db, ist_securable kind, const ist__name *name,
                        ist__action action, ist__chain *out, ist_error *err)
{
    ist__chain own, *chain = out ? out : &own;
    ist_securable last = kind_of_rights(kind);
    IST_TRY(start_chain(session, db, chain, err));
    int parts = ist__securable_parts(last); /* without a model version's number */
    for (int i = 0; i < parts; i++) {
        ist_securable level = i + 1 == parts ? last : (ist_securable)i;
        sqlite3_stmt *row;
        IST_TRY(ist__db_run(db, ist__securable_tables[level].find, &row, err, "tt", ist__chain_id(chain),
                            name->part[i]));
        if (row)
            add_link(chain, level, ist__db_text(row, 0), ist__db_text(row, 1));
        if (!row || ist__authorize(session, db, IST__ACTION_SEE, chain, NULL) != IST_OK)
            return missing(level, name, i + 1, err);
    }
    return ist__authorize(session, db, action, chain, err);
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
    IST_TRY(start_chain(session, db, chain, err));
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
    ist_status status = found ? ist__authorize(session, db, action, chain, err) : IST_NOT_FOUND;
    if (status == IST_NOT_FOUND)
        return ist__uc_error(err, ist__securable_tables[kind].missing, "%s not found with id: %.100s",
                             ist__securable_label(kind), id);
    return status;
}
