/*
 * audit.h: who did what, or was refused: one entry for every request that changes something, is refused for want of a
 * token or a right, or is given credentials. Library-private.
 *
 * An entry is written before its request is answered, in the same transaction where the request wrote. It holds no
 * secret: names, not bodies; of a change of grants what was granted.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_AUDIT_H
#define ISTHMUS_CATALOG_LOCAL_AUDIT_H

#include "catalog/local/local_internal.h"

/* What an entry tells, borrowed; NULL where there is nothing to tell. */
typedef struct ist__audit_entry {
    const char *principal, *peer;
    const char *request_id; /* what the client calls the request: its X-Request-Id; NULL for a new one */
    const char *action;    /* "POST /api/2.1/unity-catalog/tables" */
    const char *securable; /* "main.demo.scores" */
    const char *detail;    /* why it was refused, or what was granted */
    int http;
} ist__audit_entry;

/* Write an entry, in the caller's transaction. */
ist_status ist__audit_write(ist__db *db, const ist__audit_entry *entry, ist_error *err);
/* Remove what is older or more than local->audit_* say, in the caller's transaction. */
ist_status ist__audit_forget(ist__local *local, ist__db *db, ist_error *err);
/*
 * A page of entries, newest first: {"entries": [{id, time, timestamp, request_id, principal, peer, action, securable,
 * outcome, http, detail}], "next_page_token"}. For administrators.
 *   limit       0 for 100, at most 1000
 *   page_token  NULL or "" for the newest
 *   principal, securable  NULL, or of whom and of what alone
 * Errors: PERMISSION_DENIED, INVALID_ARGUMENT.
 */
ist_status ist__audit_list(ist__session *session, int limit, const char *page_token, const char *principal,
                           const char *securable, ist_buffer *out, ist_error *err);

#endif
