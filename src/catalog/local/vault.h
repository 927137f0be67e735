/*
 * vault.h: secrets of users' own, such as an API's key, in scopes, as Databricks' Secrets API has them. Library-private.
 *
 * A value lies in the database encrypted by AES-256-GCM under <home>/secrets.key, bound to its scope and key: it cannot be
 * moved to another. A scope has its own permissions, READ < WRITE < MANAGE, by principal; who makes a scope may manage it,
 * administrators may manage all. A scope that the caller has no permission on is not there for him.
 *
 * Bodies and answers are Databricks' (https://docs.databricks.com/api/workspace/secrets). Each call runs a transaction of
 * its own, or a savepoint. Errors besides those named: INVALID_PARAMETER_VALUE (body), RESOURCE_DOES_NOT_EXIST (scope or
 * key), PERMISSION_DENIED, IST_IO.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_VAULT_H
#define ISTHMUS_CATALOG_LOCAL_VAULT_H

#include "catalog/local/local_internal.h"

enum {
    IST__VAULT_NAME_MAX = 128,          /* of a scope or a key */
    IST__VAULT_VALUE_MAX = 128 << 10,   /* bytes of a value */
    IST__VAULT_SCOPES_MAX = 1000,
    IST__VAULT_SECRETS_MAX = 1000       /* of one scope */
};

/* {scope, initial_manage_principal?}. Errors: RESOURCE_ALREADY_EXISTS, RESOURCE_EXHAUSTED. */
ist_status ist__vault_create_scope(ist__session *session, const char *body, ist_error *err);
/* {scope}: with all that is in it. */
ist_status ist__vault_delete_scope(ist__session *session, const char *body, ist_error *err);
/* {scopes: [{name, backend_type}]}: those on which the caller has a permission. */
ist_status ist__vault_list_scopes(ist__session *session, ist_buffer *out, ist_error *err);

/* {scope, key, string_value | bytes_value (base64)}: new, or in place of the old. Errors: RESOURCE_EXHAUSTED. */
ist_status ist__vault_put(ist__session *session, const char *body, ist_error *err);
/* {scope, key} */
ist_status ist__vault_delete(ist__session *session, const char *body, ist_error *err);
/* {key, value (base64)}. Errors: IST_BAD_INPUT (encrypted under another key: names the file). */
ist_status ist__vault_get(ist__session *session, const char *scope, const char *key, ist_buffer *out, ist_error *err);
/* {secrets: [{key, last_updated_timestamp}]} */
ist_status ist__vault_list(ist__session *session, const char *scope, ist_buffer *out, ist_error *err);

/* {scope, principal, permission: READ|WRITE|MANAGE}: by who may manage the scope; delete: without permission. */
ist_status ist__vault_put_acl(ist__session *session, const char *body, ist_error *err);
ist_status ist__vault_delete_acl(ist__session *session, const char *body, ist_error *err);
/* principal: {principal, permission} of one; NULL: {items: [...]} of all. */
ist_status ist__vault_acls(ist__session *session, const char *scope, const char *principal, ist_buffer *out,
                           ist_error *err);

#endif
