/*
 * local_catalog.c: the catalog of `isthmus serve` in one SQLite file: how it is opened, and what it can do.
 *
 * Each public call is one transaction; every operation runs inside one that its caller began, so that several can share
 * one. local_objects.c has the operations on objects, the other local_*.c what is special about each kind.
 */
#include "catalog/local/commits.h"
#include "catalog/local/object_cache.h"
#include "catalog/local/objects.h"
#include "catalog/local/principals.h"
#include "catalog/local/schema.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

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
        ist__creation c;
        ist_status status = ist__creation_read(&c, (ist_securable)kind, first[kind], err);
        c.session = &local->admin;
        c.db = db;
        if (status == IST_OK)
            status = ist__creation_insert(&c, (ist_securable)kind, err);
        ist__creation_free(&c);
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
    snprintf(local->metastore_id, sizeof local->metastore_id, "%s", ist__column_text(row, 0));
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

/* $ISTHMUS_LINEAGE_DAYS; a value that is no number of days counts as none. */
static int lineage_days(void)
{
    enum { DEFAULT = 90, MOST = 36500 };
    const char *text = getenv("ISTHMUS_LINEAGE_DAYS");
    char *end = NULL;
    long days = text ? strtol(text, &end, 10) : DEFAULT;
    return text && (end == text || *end || days < 0 || days > MOST) ? DEFAULT : (int)days;
}

ist_status ist__local_open(const char *path, const char *storage_root, ist_catalog *out, ist_error *err)
{
    static const ist__catalog_backend backend = {
        .create = ist__local_create,
        .get = ist__local_get,
        .update = ist__local_update,
        .remove = ist__local_remove,
        .list = ist__local_list,
        .create_staging_table = ist__local_create_staging_table,
        .get_credentials = ist__local_get_credentials,
        .get_commits = ist__local_get_commits,
        .commit = ist__local_commit,
        .get_metastore = local_get_metastore,
        .post_lineage = ist__local_post_lineage,
        .get_lineage = ist__local_get_lineage,
        .free = local_free,
    };
    ist__local *local = NULL;
    ist_status status = IST_OK;
    IST_TRY(ist__alloc(1, sizeof *local, (void **)&local, err));
    local->admin = (ist__session){.local = local, .who = &ist__principal_admin};
    IST_TRY_GOTO(ist__principals_open(local, err));
    IST_TRY_GOTO(ist__object_cache_open(local, err));
    IST_TRY_GOTO(ist__db_open(path, true, &local->writer, err));
    local->writer->generation = &local->generation;
    local->writer->commits = &local->commits;
    local->audit_days = 90;
    local->audit_entries = 1000000;
    IST_TRY_GOTO(set_places(local, path, storage_root, err));
    local->lineage_days = lineage_days();
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
