/*
 * delta_api.h: Unity Catalog's Delta API (its api/delta.yaml) as a client: commits, new tables and credentials of
 * catalog-managed tables, on servers that speak it. The others have the preview commits API, which this takes the place of.
 * Library-private.
 *
 * Every call may run in any thread. Errors besides those named: those of isthmus/catalog.h.
 */
#ifndef ISTHMUS_CATALOG_DELTA_API_H
#define ISTHMUS_CATALOG_DELTA_API_H

#include "catalog/managed_commit.h"

/*
 * Does the server speak the API, all of it that Isthmus uses? Its config is asked once per catalog.
 *   name     of a table, "catalog.schema.table": the config is one of its catalog
 */
ist_status ist__delta_api_ask(ist_catalog *catalog, const char *name, bool *spoken, ist_error *err);

/* A table's ratified and unpublished commits. Errors: IST_NOT_FOUND (also: another table has the name now). */
ist_status ist__delta_api_commits(ist_catalog *catalog, const ist__managed_table *table, ist__commits *out,
                                  ist_error *err);

/*
 * Have a staged commit ratified, and say what is published.
 *   commit     NULL: only say what is published
 *   proposal   what the commit is of; NULL where commit is
 *   published  the newest version that is published; -1 says nothing
 * Errors: those of ist_catalog_commit.
 */
ist_status ist__delta_api_commit(ist_catalog *catalog, const ist__managed_table *table, const ist__commit_info *commit,
                                 const ist_proposal *proposal, int64_t published, ist_error *err);

/* A reserved place for a new table, and what the server requires of it. Freed by ist__delta_place_free. */
typedef struct ist__delta_place {
    char *id, *uri;
    char *required; /* JSON object of properties, as ist_committer has them */
} ist__delta_place;

ist_status ist__delta_api_reserve(ist_catalog *catalog, const char *name, ist__delta_place *out, ist_error *err);
void ist__delta_place_free(ist__delta_place *place);

/*
 * Register the table whose version 0 is written at its place.
 *   description   ist_snapshot_describe's
 *   timestamp_ms  of version 0
 */
ist_status ist__delta_api_create(ist_catalog *catalog, const ist__managed_table *table, yyjson_val *description,
                                 int64_t timestamp_ms, ist_error *err);

/*
 * Append credentials in the form of ist_catalog_get_credentials.
 *   request  {"delta_table": full name, "operation"}; with "delta_staging_table": id also while it is not registered
 */
ist_status ist__delta_api_credentials(ist_catalog *catalog, const char *request, ist_buffer *out, ist_error *err);

/* Where a value of credentials lies in the answer of temporary-table-credentials, and what the Delta API calls it. */
typedef struct ist__delta_credential_value {
    const char *object, *member, *key;
} ist__delta_credential_value;

enum { IST__DELTA_CREDENTIAL_VALUES = 5 };
extern const ist__delta_credential_value ist__delta_credential_values[IST__DELTA_CREDENTIAL_VALUES];

#endif
