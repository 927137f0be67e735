/*
 * local_delta.h: Unity Catalog's Delta API (api/delta.yaml) on the local catalog: tables as Delta sees them, commits with
 * all that they change in one step. Library-private.
 *
 * Bodies and answers are the API's kebab-case JSON. Errors are ist__uc_error's; the API's form of them is
 * ist__delta_error_body.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_LOCAL_DELTA_H
#define ISTHMUS_CATALOG_LOCAL_LOCAL_DELTA_H

#include "catalog/local/local_internal.h"

/* May the principal use this catalog? Errors: CATALOG_NOT_FOUND. */
ist_status ist__delta_check_catalog(ist__session *session, const char *catalog, ist_error *err);
/* Append LoadTableResponse. Errors: TABLE_NOT_FOUND, UNSUPPORTED_TABLE_FORMAT. */
ist_status ist__delta_load(ist__session *session, const ist__name *table, ist_buffer *out, ist_error *err);
/* Reserve a place for a managed table; append StagingTableResponse with credentials. */
ist_status ist__delta_create_staging(ist__session *session, const ist__name *table, ist_buffer *out, ist_error *err);
/* Create a table in a schema; append LoadTableResponse. */
ist_status ist__delta_create(ist__session *session, const ist__name *schema, const char *body, ist_buffer *out,
                             ist_error *err);
/*
 * Apply an UpdateTableRequest, all of it or nothing; append LoadTableResponse.
 * Errors: UPDATE_REQUIREMENT_CONFLICT, COMMIT_VERSION_CONFLICT, RESOURCE_EXHAUSTED, INVALID_ARGUMENT.
 */
ist_status ist__delta_update(ist__session *session, const ist__name *table, const char *body, ist_buffer *out,
                             ist_error *err);
ist_status ist__delta_rename(ist__session *session, const ist__name *table, const char *body, ist_error *err);
/* Check a report of metrics: it is for this table, and the principal may commit to it. It is not kept. */
ist_status ist__delta_report(ist__session *session, const ist__name *table, const char *body, ist_error *err);

/* Append CredentialsResponse; operation is READ or READ_WRITE. */
ist_status ist__delta_table_credentials(ist__session *session, const ist__name *table, const char *operation,
                                        ist_buffer *out, ist_error *err);
ist_status ist__delta_staging_credentials(ist__session *session, const char *table_id, ist_buffer *out, ist_error *err);
ist_status ist__delta_path_credentials(ist__session *session, const char *location, const char *operation,
                                       ist_buffer *out, ist_error *err);

#endif
