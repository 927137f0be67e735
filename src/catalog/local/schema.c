/*
 * schema.c: the tables of the catalog's database.
 *
 * PRAGMA user_version counts the steps below that were done. A step that was released is never edited: a change is a new
 * step.
 */
#include "catalog/local/schema.h"

#include "catalog/local/local_internal.h"

#include <stdio.h>

static const char objects_v1[] =
    "CREATE TABLE metastores (id TEXT PRIMARY KEY) STRICT;"
    "CREATE TABLE catalogs (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES metastores(id),"
    " name TEXT NOT NULL, comment TEXT, properties TEXT NOT NULL, owner TEXT, created_at INTEGER NOT NULL,"
    " created_by TEXT, updated_at INTEGER NOT NULL, updated_by TEXT, storage_root TEXT, storage_location TEXT,"
    " UNIQUE (parent_id, name)) STRICT;"
    "CREATE TABLE schemas (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES catalogs(id) ON DELETE CASCADE,"
    " name TEXT NOT NULL, comment TEXT, properties TEXT NOT NULL, owner TEXT, created_at INTEGER NOT NULL,"
    " created_by TEXT, updated_at INTEGER NOT NULL, updated_by TEXT, storage_root TEXT, storage_location TEXT,"
    " UNIQUE (parent_id, name)) STRICT;"
    "CREATE TABLE tables (id TEXT PRIMARY KEY, parent_id TEXT NOT NULL REFERENCES schemas(id) ON DELETE CASCADE,"
    " name TEXT NOT NULL, comment TEXT, properties TEXT NOT NULL, owner TEXT, created_at INTEGER NOT NULL,"
    " created_by TEXT, updated_at INTEGER NOT NULL, updated_by TEXT, table_type TEXT NOT NULL,"
    " data_source_format TEXT, columns TEXT NOT NULL, storage_location TEXT NOT NULL,"
    " UNIQUE (parent_id, name)) STRICT;"
    "CREATE TABLE staging_tables (id TEXT PRIMARY KEY,"
    " schema_id TEXT NOT NULL REFERENCES schemas(id) ON DELETE CASCADE, name TEXT NOT NULL,"
    " location TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, created_by TEXT, committed_at INTEGER) STRICT;"
    "CREATE INDEX staging_by_schema ON staging_tables (schema_id);";

static const char lineage_v1[] =
    "CREATE TABLE lineage_runs (id TEXT PRIMARY KEY, job TEXT NOT NULL, engine TEXT, state TEXT NOT NULL,"
    " event_time TEXT NOT NULL, last_event INTEGER NOT NULL) STRICT;"
    "CREATE INDEX lineage_runs_by_event ON lineage_runs (last_event);"
    "CREATE TABLE lineage_events (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, event TEXT NOT NULL) STRICT;"
    "CREATE TABLE lineage_datasets (run_id TEXT NOT NULL REFERENCES lineage_runs(id), output INTEGER NOT NULL,"
    " name TEXT NOT NULL, PRIMARY KEY (run_id, output, name)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX lineage_datasets_by_name ON lineage_datasets (name, output);";

/* To add an area's tables, name its SQL in the newest step. */
static const char *const steps[][8] = {
    {objects_v1, lineage_v1},
    {ist__schema_identity, ist__schema_grants, ist__schema_audit, ist__schema_objects, ist__schema_commits,
     ist__schema_lineage},
    {ist__schema_owners, ist__schema_search, ist__schema_queries, ist__schema_vault},
};

enum { STEP_COUNT = sizeof steps / sizeof *steps };

/* %1$s: the table of a kind of securable; %2$d: the kind. */
static const char grants_trigger[] =
    /* What was granted on a securable goes with it, also where it goes because what it is in goes. */
    "CREATE TRIGGER IF NOT EXISTS grants_of_%1$s AFTER DELETE ON %1$s BEGIN"
    " DELETE FROM grants WHERE securable_id = old.id; END;";
static const char names_triggers[] =
    "CREATE TRIGGER IF NOT EXISTS %1$s_added AFTER INSERT ON %1$s BEGIN"
    " INSERT INTO names (id, parent_id, kind, name) VALUES (new.id, new.parent_id, %2$d, new.name); END;"
    "CREATE TRIGGER IF NOT EXISTS %1$s_renamed AFTER UPDATE OF name ON %1$s WHEN old.name <> new.name BEGIN"
    " UPDATE names SET name = new.name WHERE id = new.id; END;"
    "CREATE TRIGGER IF NOT EXISTS %1$s_removed AFTER DELETE ON %1$s BEGIN"
    " DELETE FROM names WHERE id = old.id; END;";

static ist_status make_triggers(ist__db *db, ist_error *err)
{
    for (int i = 0; i < IST__SECURABLE_COUNT; i++) {
        char sql[1024];
        const char *table = ist__securable_tables[i].table;
        if (!table)
            continue;
        snprintf(sql, sizeof sql, grants_trigger, table);
        IST_TRY(ist__db_script(db, sql, err));
        if (i > IST_SECURABLE_REGISTERED_MODEL)
            continue; /* found by who administers storage, not by searching */
        snprintf(sql, sizeof sql, names_triggers, table, i);
        IST_TRY(ist__db_script(db, sql, err));
    }
    return IST_OK;
}

ist_status ist__schema_migrate(ist__db *db, const char *path, bool *fresh, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "PRAGMA user_version", &row, err, ""));
    int version = row ? sqlite3_column_int(row, 0) : 0;
    if (row)
        IST_TRY(ist__db_next(db, &row, err)); /* a statement under way would keep steps from dropping a table */
    *fresh = version == 0;
    if (version < 0 || version > STEP_COUNT)
        return ist_error_set(err, IST_UNSUPPORTED, 0, path,
                             "the catalog database %s has version %d; this Isthmus knows versions up to %d", path,
                             version, STEP_COUNT);
    bool changed = version < STEP_COUNT;
    for (; version < STEP_COUNT; version++) {
        char stamp[64];
        for (int i = 0; i < 8 && steps[version][i]; i++)
            IST_TRY(ist__db_script(db, steps[version][i], err));
        snprintf(stamp, sizeof stamp, "PRAGMA user_version = %d", version + 1);
        IST_TRY(ist__db_script(db, stamp, err));
    }
    return changed ? make_triggers(db, err) : IST_OK;
}
