/* local_internal.h: the SQLite catalog. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_LOCAL_INTERNAL_H
#define ISTHMUS_CATALOG_LOCAL_LOCAL_INTERNAL_H

#include "catalog/catalog_json.h"
#include "catalog/local/database.h"
#include "catalog/local/file_token.h"
#include "catalog/local/grants.h"
#include "catalog/local/session.h"

enum { IST__READERS_MAX = 8 };

typedef struct ist__identity ist__identity; /* principals.c */

/*
 * The catalog itself. Shared by its sessions, which lock what they use.
 */
struct ist__local {
    ist__db *writer;
    ist__db *readers[IST__READERS_MAX]; /* their own connections: in WAL mode readers do not wait for the writer's fsync */
    int reader_count;
    atomic_uint next_reader; /* to queue at, where all are busy */
    atomic_uint generation;       /* of identities and grants: what was cached under another is stale */
    ist__identity *identity;      /* the principals of the tokens seen */
    atomic_uint commits;          /* begun and ended: odd while one is under way */
    struct ist__object_cache *objects;
    bool catalog_managed; /* new managed tables must be */
    int64_t audit_days, audit_entries; /* how long and how many entries of the audit log are kept */
    char metastore_id[37];
    int lineage_days; /* an edge that no run repeated for so long is forgotten; 0 for never */
    char *home;              /* the folder of the database */
    ist_buffer storage_root; /* a normalized location */
    const ist__file_signer *file_signer; /* of the server that serves this catalog; NULL: whoever opened it, opens files */
    struct ist__vendor *vendor;          /* of credentials for clouds; NULL: none are given */
    ist__session admin;                  /* of whoever opened the catalog in this process */
};

/* session.c: the reading connections; everything closed and freed, NULL allowed. */
ist_status ist__local_open_readers(ist__local *local, const char *path, ist_error *err);
void ist__local_close(ist__local *local);

/* One row as a JSON object under the names of its columns; "properties" and "columns" hold JSON already. */
yyjson_mut_val *ist__local_row(yyjson_mut_doc *doc, sqlite3_stmt *row);

/* How a kind of securable lies in the database. */
typedef struct ist__securable_table {
    const char *table;   /* has id, name, owner and parent_id: the id of its schema, catalog or metastore */
    const char *chain;   /* its ids and owners from the metastore down, by names: securables.c */
    const char *find;    /* id by parent_id ?1 and name ?2 */
    const char *find_id; /* parent_id and owner by id ?1 */
    const char *rename, *set_owner; /* of id ?1 to ?2; apart, because changing them changes indexes */
    const char *pass_on; /* whatever the owner ?1 owns to ?2 */
    ist__uc_code missing;
} ist__securable_table;

/* By ist_securable; securables.c. */
extern const ist__securable_table ist__securable_tables[];

/* local_lineage.c, lineage_query.c */
ist_status ist__local_post_lineage(void *self, const char *event, ist_error *err);
ist_status ist__local_get_lineage(void *self, const char *dataset, int depth, bool columns, ist_buffer *out,
                                  ist_error *err);

#endif
