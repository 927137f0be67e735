/* vend_internal.h: what the files that make credentials for clouds share. Library-private. */
#ifndef ISTHMUS_CATALOG_LOCAL_VEND_INTERNAL_H
#define ISTHMUS_CATALOG_LOCAL_VEND_INTERNAL_H

#include "catalog/local/vend.h"
#include "catalog/local/vend_config.h"
#include "store/http_store.h"

#include <yyjson.h>

/* Credentials that are to be made. */
typedef struct ist__vend_job {
    const ist__vend_request *request;
    const ist__vend_location *location;
    ist__cloud_location where;
    const char *role_arn, *external_id; /* S3: of the catalog's storage credential, else of the location; or NULL */
    ist__http *http;
    int64_t life_seconds;
    /* The reply. */
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
    int64_t expires_ms; /* 0: they do not expire */
} ist__vend_job;

/* Add the service's member to the reply. */
ist_status ist__vend_s3(ist__vend_job *job, ist_error *err);
ist_status ist__vend_azure(ist__vend_job *job, ist_error *err);
ist_status ist__vend_gcs(ist__vend_job *job, ist_error *err);

/* Append the session policy: what a role may still do, beneath one prefix. (vend_s3.c) */
ist_status ist__vend_s3_policy(const ist__cloud_location *where, bool write, ist_buffer *out, ist_error *err);
/* Add access key, secret key and session token of an answer to AssumeRole to `keys`. Errors: IST_BAD_INPUT. */
ist_status ist__vend_s3_read(const char *body, size_t size, yyjson_mut_doc *doc, yyjson_mut_val *keys,
                             int64_t *expires_ms, ist_error *err);

/* Append name=value of a form, encoded. */
ist_status ist__vend_field(ist_buffer *body, const char *name, const char *value, ist_error *err);

#endif
