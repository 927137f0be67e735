/* schema.h: the tables of the catalog's database, and the way from one version of them to the next. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_SCHEMA_H
#define ISTHMUS_CATALOG_LOCAL_SCHEMA_H

#include "catalog/local/database.h"

/* The SQL that makes an area's tables; each lives in its area's file and is named in schema.c. */
extern const char ist__schema_identity[]; /* principals.c */
extern const char ist__schema_grants[];   /* grants.c */
extern const char ist__schema_audit[];    /* audit.c */
extern const char ist__schema_lineage[];  /* local_lineage.c */
extern const char ist__schema_objects[];  /* local_objects.c */
extern const char ist__schema_commits[];  /* commits.c */
extern const char ist__schema_owners[];   /* local_objects.c */
extern const char ist__schema_search[];   /* search.c */
extern const char ist__schema_vault[];    /* vault.c */
extern const char ist__schema_queries[];  /* query_log.c */

/*
 * Bring the database to this version, inside the caller's transaction.
 *   path   for messages
 *   fresh  set to true where it was empty
 * Errors: IST_UNSUPPORTED (made by a later Isthmus), IST_IO.
 */
ist_status ist__schema_migrate(ist__db *db, const char *path, bool *fresh, ist_error *err);

#endif
