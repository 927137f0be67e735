/* vend.h: short-lived credentials for a location, for principals who were found to be allowed. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_VEND_H
#define ISTHMUS_CATALOG_LOCAL_VEND_H

#include "catalog/local/local_internal.h"

#include <stdbool.h>

typedef struct ist__vend_request {
    const char *url;       /* a normalized location: the credentials are good beneath it, and nowhere else */
    bool write;            /* READ_WRITE; else READ */
    const char *principal; /* whom they are for */
    const char *table_id;  /* NULL where the location is no table's */
} ist__vend_request;

/*
 * Append Unity Catalog's TemporaryCredentials for a location. Who calls has authorized the principal. Answers for clouds
 * are kept for a short time and given again to the same principal.
 * Errors: IST_BAD_INPUT FAILED_PRECONDITION (nothing is configured for this location), IST_RETRYABLE, IST_IO (the
 * service that gives the credentials failed).
 */
ist_status ist__vend(ist__local *local, const ist__vend_request *request, ist_buffer *out, ist_error *err);

/* What gives credentials for clouds. Threading: internally locked. */
typedef struct ist__vendor ist__vendor;

/*
 * Give a local catalog, and all its sessions, a storage configuration, before it is used by others.
 *   path  of the file (vend_config.h)
 * Errors: those of ist__vend_config_read.
 */
ist_status ist__vend_configure(ist_catalog *catalog, const char *path, ist_error *err);
/* NULL is allowed. */
void ist__vendor_free(ist__vendor *vendor);

#endif
