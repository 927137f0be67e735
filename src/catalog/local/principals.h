/*
 * principals.h: who there is, and who holds a token. Library-private.
 *
 * A token is 256 random bits behind "ist_". The database holds its SHA-256: that cannot be turned back, and there is
 * nothing to guess that a slow hash would protect, as there is in a password; a slow hash would be paid by every request.
 *
 * Principals are kept in a cache from token to principal with all his groups and grants. Whoever changes a principal, a
 * group, a token or a grant calls ist__db_rights_changed: after the COMMIT everything cached is stale, so the next request
 * sees the change.
 *
 * Threading: the cache is internally locked, principals are immutable.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_PRINCIPALS_H
#define ISTHMUS_CATALOG_LOCAL_PRINCIPALS_H

#include "catalog/local/local_internal.h"

#define IST__ADMIN_ID "00000000-0000-4000-8000-000000000001"
#define IST__ADMINS_ID "00000000-0000-4000-8000-000000000002"
#define IST__EVERYONE_ID "00000000-0000-4000-8000-000000000003"
#define IST__EVERYONE "account users"

enum {
    IST__TOKEN_TEXT_MAX = 256,            /* bytes of a token that is looked at */
    IST__OAUTH_TOKEN_LIFE_MS = 3600 * 1000,
};

typedef enum ist__token_kind {
    IST__TOKEN_PERSONAL, /* a bearer token that its user made */
    IST__TOKEN_SECRET,   /* a service principal's, good for OAuth only */
    IST__TOKEN_OAUTH     /* a bearer token from OAuth */
} ist__token_kind;

/* The cache; made and freed with the catalog. */
ist_status ist__principals_open(ist__local *local, ist_error *err);
void ist__principals_close(ist__local *local);
/* From now on this is a token of the administrator: the one of the server's home. Before any token is looked at. */
ist_status ist__principals_admit(ist__local *local, const char *token, ist_error *err);

/*
 * Who holds this bearer token.
 *   out  held: ist__principal_release. NULL where it is nobody's, expired, revoked, or its principal is not active
 * Errors: IST_RETRYABLE, IST_IO, IST_INTERNAL.
 */
ist_status ist__principal_of_token(ist__local *local, const char *token, const ist__principal **out, ist_error *err);
/* One reference more; NULL is allowed for both. */
void ist__principal_hold(const ist__principal *principal);
void ist__principal_release(const ist__principal *principal);
/*
 * A principal as he is now, with his groups and grants; a group too, for what it owns.
 *   db   of the caller's transaction
 *   out  held: ist__principal_release. NULL where there is none of this name, or it is not active
 */
ist_status ist__principal_named(ist__db *db, const char *name, const ist__principal **out, ist_error *err);

/* Write down when tokens were used last, as far as that is not done. In the caller's transaction. */
ist_status ist__tokens_note_use(ist__local *local, ist__db *db, ist_error *err);

/* Does the principal go by this owner's name, himself or by a group? */
bool ist__principal_owns(const ist__principal *principal, const char *owner);
/* What was granted on just this securable to him and his groups. */
uint32_t ist__principal_grants(const ist__principal *principal, const char *securable_id);

/* Append his id and those of his groups, his name and theirs, as JSON arrays. */
ist_status ist__principal_json(const ist__principal *principal, ist_buffer *ids, ist_buffer *names, ist_error *err);

/* Find a principal by his name. Errors: NOT_FOUND. */
ist_status ist__principal_find(ist__db *db, const char *name, char id[37], ist_error *err);
/* Is the session an administrator's? Errors: PERMISSION_DENIED. */
ist_status ist__require_admin(const ist__session *session, ist_error *err);

/* tokens.c: bodies are those of Databricks' token API; each runs a transaction of its own ---------------------------- */

/* {comment, lifetime_seconds, and for administrators application_id or principal}: for whom it is, if not the caller. */
ist_status ist__token_create(ist__session *session, const char *body, ist_buffer *out, ist_error *err);
/* everybody: of all principals, for administrators; else the caller's. */
ist_status ist__token_list(ist__session *session, bool everybody, ist_buffer *out, ist_error *err);
ist_status ist__token_delete(ist__session *session, const char *id, ist_error *err);
/* The secrets of a service principal (by its id): for administrators and itself. */
ist_status ist__secret_create(ist__session *session, const char *principal_id, ist_buffer *out, ist_error *err);
ist_status ist__secret_list(ist__session *session, const char *principal_id, ist_buffer *out, ist_error *err);
ist_status ist__secret_delete(ist__session *session, const char *principal_id, const char *id, ist_error *err);
/* OAuth client credentials: an access token for a service principal that shows a secret of its own. */
ist_status ist__oauth_token(ist__session *session, const char *client_id, const char *secret, ist_buffer *out,
                            ist_error *err);

/* scim.c: users, service principals and groups as SCIM resources; each runs a transaction of its own ----------------- */

ist_status ist__scim_create(ist__session *session, ist__principal_kind kind, const char *body, ist_buffer *out,
                            ist_error *err);
ist_status ist__scim_get(ist__session *session, ist__principal_kind kind, const char *id, ist_buffer *out,
                         ist_error *err);
/* The caller himself. */
ist_status ist__scim_me(ist__session *session, ist_buffer *out, ist_error *err);
/*
 *   filter  NULL, or SCIM's `attribute eq "value"`
 *   start   1 for the first
 */
ist_status ist__scim_list(ist__session *session, ist__principal_kind kind, const char *filter, int start, int count,
                          ist_buffer *out, ist_error *err);
/* replace: PUT, the body is the resource; else PATCH, it holds Operations. */
ist_status ist__scim_update(ist__session *session, ist__principal_kind kind, const char *id, bool replace,
                            const char *body, ist_buffer *out, ist_error *err);
ist_status ist__scim_delete(ist__session *session, ist__principal_kind kind, const char *id, ist_error *err);

#endif
