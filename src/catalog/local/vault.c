/*
 * vault.c: scopes, their permissions, and the values in them.
 *
 * A sealed value is base64url(nonce . ciphertext . tag); the additional data is the scope's id and the key.
 */
#include "catalog/local/vault.h"

#include "catalog/local/home_key.h"
#include "catalog/local/principals.h"
#include "catalog/local/schema.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONCE_BYTES = 12, TAG_BYTES = 16 };

typedef enum permission { NO_PERMISSION, READ_SCOPE, WRITE_SCOPE, MANAGE_SCOPE } permission;

static const char *const permission_names[] = {"", "READ", "WRITE", "MANAGE"};

const char ist__schema_vault[] =
    "CREATE TABLE vault_scopes (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE vault_secrets (scope_id TEXT NOT NULL REFERENCES vault_scopes(id) ON DELETE CASCADE,"
    " key TEXT NOT NULL, sealed TEXT NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (scope_id, key)) STRICT;"
    "CREATE TABLE vault_acls (scope_id TEXT NOT NULL REFERENCES vault_scopes(id) ON DELETE CASCADE,"
    " principal_id TEXT NOT NULL REFERENCES principals(id) ON DELETE CASCADE, permission INTEGER NOT NULL,"
    " PRIMARY KEY (scope_id, principal_id)) STRICT, WITHOUT ROWID;";

/* Sealing ---------------------------------------------------------------------------------------------------------- */

typedef struct sealing {
    unsigned char key[IST__HOME_KEY_BYTES];
    char where[37 + IST__VAULT_NAME_MAX + 2]; /* what the value is bound to */
} sealing;

static ist_status begin_sealing(const ist__local *local, const char *scope_id, const char *key, sealing *out,
                                ist_error *err)
{
    snprintf(out->where, sizeof out->where, "%s/%s", scope_id, key);
    return ist__home_key(local->home, "secrets.key", "secrets kept in the catalog", out->key, err);
}

static bool encrypt(EVP_CIPHER_CTX *context, const sealing *s, const void *value, size_t size, unsigned char *out)
{
    int n;
    unsigned char *text = out + NONCE_BYTES, *tag = text + size;
    return RAND_bytes(out, NONCE_BYTES) == 1 &&
           EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, s->key, out) == 1 &&
           EVP_EncryptUpdate(context, NULL, &n, (const unsigned char *)s->where, (int)strlen(s->where)) == 1 &&
           EVP_EncryptUpdate(context, text, &n, value, (int)size) == 1 &&
           EVP_EncryptFinal_ex(context, text + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1;
}

static bool decrypt(EVP_CIPHER_CTX *context, const sealing *s, unsigned char *sealed, size_t size, unsigned char *out)
{
    int n;
    unsigned char *text = sealed + NONCE_BYTES, *tag = text + size;
    return EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, s->key, sealed) == 1 &&
           EVP_DecryptUpdate(context, NULL, &n, (const unsigned char *)s->where, (int)strlen(s->where)) == 1 &&
           EVP_DecryptUpdate(context, out, &n, text, (int)size) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(context, out + n, &n) == 1;
}

static ist_status seal(sealing *s, const void *value, size_t size, ist_buffer *out, ist_error *err)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    unsigned char *sealed = malloc(NONCE_BYTES + size + TAG_BYTES);
    ist_status status = context && sealed ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (status == IST_OK && !encrypt(context, s, value, size, sealed))
        status = ist_error_set(err, IST_INTERNAL, 0, NULL, "OpenSSL does not encrypt by AES-256-GCM");
    if (status == IST_OK)
        status = ist__base64url(sealed, NONCE_BYTES + size + TAG_BYTES, out, err);
    EVP_CIPHER_CTX_free(context);
    free(sealed);
    return status;
}

/* *value is the caller's: cleanse and free it. */
static ist_status unseal(sealing *s, const ist__local *local, const char *text, unsigned char **value, size_t *size,
                         ist_error *err)
{
    size_t sealed_size = strlen(text);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    unsigned char *sealed = malloc(sealed_size + 1);
    *value = malloc(sealed_size + 1);
    ist_status status = context && sealed && *value ? IST_OK : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    if (status == IST_OK) {
        bool whole = ist__base64url_decode(text, strlen(text), sealed, &sealed_size) &&
                     sealed_size >= NONCE_BYTES + TAG_BYTES;
        *size = whole ? sealed_size - NONCE_BYTES - TAG_BYTES : 0;
        if (!whole || !decrypt(context, s, sealed, *size, *value))
            status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                   "the value was encrypted under another key than %s/secrets.key: bring that key back, "
                                   "or put the secret again", local->home);
    }
    EVP_CIPHER_CTX_free(context);
    free(sealed);
    return status;
}

/* Scopes and who may what ------------------------------------------------------------------------------------------ */

static ist_status check_name(const char *what, const char *name, ist_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@/";
    size_t size = strlen(name);
    if (size == 0 || size > IST__VAULT_NAME_MAX || strspn(name, allowed) != size)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE,
                             "%s: 1 to %d letters, digits and any of _ - . @ / are a name", what, IST__VAULT_NAME_MAX);
    return IST_OK;
}

static ist_status no_scope(const char *scope, ist_error *err)
{
    return ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST, "Scope %.*s does not exist!", IST__VAULT_NAME_MAX, scope);
}

static ist_status permission_of(const ist__session *session, ist__db *db, const char *scope_id, permission *out,
                                ist_error *err)
{
    sqlite3_stmt *row;
    ist_buffer ids = IST_BUFFER_INIT, names = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    *out = MANAGE_SCOPE;
    if (session->who->is_admin)
        return IST_OK;
    IST_TRY_GOTO(ist__principal_json(session->who, &ids, &names, err));
    IST_TRY_GOTO(ist__db_run(db,
                             "SELECT max(permission) FROM vault_acls WHERE scope_id = ?1"
                             " AND principal_id IN (SELECT value FROM json_each(?2))",
                             &row, err, "tt", scope_id, ids.data));
    *out = row ? (permission)sqlite3_column_int(row, 0) : NO_PERMISSION;
done:
    ist_buffer_free(&ids);
    ist_buffer_free(&names);
    return status;
}

/* The scope's id, where the caller has at least this permission on it. */
static ist_status enter(const ist__session *session, ist__db *db, const char *scope, permission needed, char id[37],
                        ist_error *err)
{
    sqlite3_stmt *row;
    permission has;
    IST_TRY(ist__db_run(db, "SELECT id FROM vault_scopes WHERE name = ?1", &row, err, "t", scope));
    if (!row)
        return no_scope(scope, err);
    snprintf(id, 37, "%s", ist__db_text(row, 0));
    IST_TRY(permission_of(session, db, id, &has, err));
    if (has == NO_PERMISSION)
        return no_scope(scope, err);
    if (has < needed)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "%s has %s on scope %.*s, and needs %s",
                             session->who->name, permission_names[has], IST__VAULT_NAME_MAX, scope,
                             permission_names[needed]);
    return IST_OK;
}

static ist_status set_acl(ist__db *db, const char *scope_id, const char *principal_id, permission what, ist_error *err)
{
    return ist__db_run(db, "INSERT OR REPLACE INTO vault_acls (scope_id, principal_id, permission) VALUES (?1, ?2, ?3)",
                       NULL, err, "tti", scope_id, principal_id, (int64_t)what);
}

/* Calls with a body ------------------------------------------------------------------------------------------------ */

/* What bodies hold; borrowed from the document. */
typedef struct request {
    const char *scope, *key, *string_value, *bytes_value, *principal, *permission, *initial_manage_principal;
} request;

typedef ist_status change(ist__session *session, ist__db *db, const request *r, ist_error *err);

static ist_status read_request(yyjson_val *body, request *r, ist_error *err)
{
    const struct { const char *name; const char **to; } members[] = {
        {"scope", &r->scope}, {"key", &r->key}, {"string_value", &r->string_value}, {"bytes_value", &r->bytes_value},
        {"principal", &r->principal}, {"permission", &r->permission},
        {"initial_manage_principal", &r->initial_manage_principal},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        IST_TRY(ist__json_text(body, members[i].name, i == 0, members[i].to, err));
    return check_name("scope", r->scope, err);
}

/* Parse the body, run the change in a transaction. */
static ist_status run_change(ist__session *session, const char *body, change *what, ist_error *err)
{
    yyjson_doc *doc = NULL;
    request r = {0};
    ist__db *db;
    ist_status status = ist__json_read_object(body, &doc, err);
    if (status == IST_OK)
        status = read_request(yyjson_doc_get_root(doc), &r, err);
    if (status == IST_OK)
        status = ist__session_write(session, &db, err);
    if (status == IST_OK)
        status = ist__db_end(db, what(session, db, &r, err), err);
    yyjson_doc_free(doc);
    return status;
}

static ist_status missing(const char *member, ist_error *err)
{
    return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "Missing required field: %s", member);
}

static ist_status create_scope(ist__session *session, ist__db *db, const request *r, ist_error *err)
{
    sqlite3_stmt *row;
    char id[37];
    if (r->initial_manage_principal && strcmp(r->initial_manage_principal, "users") != 0)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE,
                             "initial_manage_principal is 'users' (everybody) or absent (you)");
    IST_TRY(ist__db_run(db, "SELECT count(*), sum(name = ?1) FROM vault_scopes", &row, err, "t", r->scope));
    if (row && sqlite3_column_int(row, 1) > 0)
        return ist__uc_error(err, IST__UC_RESOURCE_ALREADY_EXISTS, "Scope %s already exists!", r->scope);
    if (row && sqlite3_column_int(row, 0) >= IST__VAULT_SCOPES_MAX)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED, "there are %d scopes already", IST__VAULT_SCOPES_MAX);
    ist__uuid(id);
    IST_TRY(ist__db_run(db, "INSERT INTO vault_scopes (id, name) VALUES (?1, ?2)", NULL, err, "tt", id, r->scope));
    return set_acl(db, id, r->initial_manage_principal ? IST__EVERYONE_ID : session->who->id, MANAGE_SCOPE, err);
}

static ist_status delete_scope(ist__session *session, ist__db *db, const request *r, ist_error *err)
{
    char id[37];
    IST_TRY(enter(session, db, r->scope, MANAGE_SCOPE, id, err));
    return ist__db_run(db, "DELETE FROM vault_scopes WHERE id = ?1", NULL, err, "t", id);
}

/* The value of a body, as bytes; *decoded, if set, is the caller's to cleanse and free. */
static ist_status value_of(const request *r, const void **value, size_t *size, unsigned char **decoded, ist_error *err)
{
    const char *text = r->string_value ? r->string_value : r->bytes_value;
    *decoded = NULL;
    if (!text || (r->string_value && r->bytes_value))
        return missing("string_value or bytes_value, one of them", err);
    *value = text;
    *size = strlen(text);
    if (r->bytes_value) {
        size_t length = *size;
        IST_TRY(ist__alloc(length + 1, 1, (void **)decoded, err));
        if (length > 0 && !ist__base64_decode(text, length, *decoded, size))
            return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "bytes_value is not base64");
        *value = *decoded;
    }
    if (*size > IST__VAULT_VALUE_MAX)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "the value is larger than %d KiB",
                             IST__VAULT_VALUE_MAX >> 10);
    return IST_OK;
}

static ist_status check_room(ist__db *db, const char *scope_id, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT count(*) FROM vault_secrets WHERE scope_id = ?1", &row, err, "t", scope_id));
    if (row && sqlite3_column_int(row, 0) >= IST__VAULT_SECRETS_MAX)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED, "the scope holds %d secrets already",
                             IST__VAULT_SECRETS_MAX);
    return IST_OK;
}

static ist_status put_secret(ist__session *session, ist__db *db, const request *r, ist_error *err)
{
    char id[37];
    const void *value = NULL;
    unsigned char *decoded = NULL;
    size_t size = 0;
    sealing s;
    ist_buffer sealed = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (!r->key)
        return missing("key", err);
    IST_TRY(check_name("key", r->key, err));
    IST_TRY(enter(session, db, r->scope, WRITE_SCOPE, id, err));
    IST_TRY(check_room(db, id, err));
    IST_TRY(begin_sealing(session->local, id, r->key, &s, err));
    IST_TRY_GOTO(value_of(r, &value, &size, &decoded, err));
    IST_TRY_GOTO(seal(&s, value, size, &sealed, err));
    status = ist__db_run(db,
                         "INSERT OR REPLACE INTO vault_secrets (scope_id, key, sealed, updated_at)"
                         " VALUES (?1, ?2, ?3, ?4)",
                         NULL, err, "ttti", id, r->key, sealed.data, ist__now_ms());
done:
    OPENSSL_cleanse(&s, sizeof s);
    if (decoded)
        OPENSSL_cleanse(decoded, strlen(r->bytes_value));
    free(decoded);
    ist_buffer_free(&sealed);
    return status;
}

static ist_status no_secret(const char *scope, const char *key, ist_error *err)
{
    return ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST, "Secret does not exist with scope: %s and key: %.*s",
                         scope, IST__VAULT_NAME_MAX, key);
}

static ist_status delete_secret(ist__session *session, ist__db *db, const request *r, ist_error *err)
{
    char id[37];
    if (!r->key)
        return missing("key", err);
    IST_TRY(enter(session, db, r->scope, WRITE_SCOPE, id, err));
    IST_TRY(ist__db_run(db, "DELETE FROM vault_secrets WHERE scope_id = ?1 AND key = ?2", NULL, err, "tt", id, r->key));
    return sqlite3_changes(db->handle) ? IST_OK : no_secret(r->scope, r->key, err);
}

static ist_status put_acl(ist__session *session, ist__db *db, const request *r, ist_error *err)
{
    char id[37], principal_id[37];
    permission what = MANAGE_SCOPE;
    if (!r->principal || !r->permission)
        return missing(r->principal ? "permission" : "principal", err);
    while (what > NO_PERMISSION && strcmp(r->permission, permission_names[what]) != 0)
        what--;
    if (what == NO_PERMISSION)
        return ist__uc_error(err, IST__UC_INVALID_PARAMETER_VALUE, "permission '%.20s' is none of READ, WRITE, MANAGE",
                             r->permission);
    IST_TRY(enter(session, db, r->scope, MANAGE_SCOPE, id, err));
    IST_TRY(ist__principal_find(db, r->principal, principal_id, err));
    return set_acl(db, id, principal_id, what, err);
}

static ist_status delete_acl(ist__session *session, ist__db *db, const request *r, ist_error *err)
{
    char id[37], principal_id[37];
    if (!r->principal)
        return missing("principal", err);
    IST_TRY(enter(session, db, r->scope, MANAGE_SCOPE, id, err));
    IST_TRY(ist__principal_find(db, r->principal, principal_id, err));
    IST_TRY(ist__db_run(db, "DELETE FROM vault_acls WHERE scope_id = ?1 AND principal_id = ?2", NULL, err, "tt", id,
                        principal_id));
    if (!sqlite3_changes(db->handle))
        return ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST, "%s has no permission on scope %s", r->principal,
                             r->scope);
    return IST_OK;
}

ist_status ist__vault_create_scope(ist__session *session, const char *body, ist_error *err)
{
    return run_change(session, body, create_scope, err);
}

ist_status ist__vault_delete_scope(ist__session *session, const char *body, ist_error *err)
{
    return run_change(session, body, delete_scope, err);
}

ist_status ist__vault_put(ist__session *session, const char *body, ist_error *err)
{
    return run_change(session, body, put_secret, err);
}

ist_status ist__vault_delete(ist__session *session, const char *body, ist_error *err)
{
    return run_change(session, body, delete_secret, err);
}

ist_status ist__vault_put_acl(ist__session *session, const char *body, ist_error *err)
{
    return run_change(session, body, put_acl, err);
}

ist_status ist__vault_delete_acl(ist__session *session, const char *body, ist_error *err)
{
    return run_change(session, body, delete_acl, err);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

/* Write the value into the answer and leave no other copy behind. */
static ist_status answer_value(ist__session *session, const char *id, const char *key, const char *sealed,
                               ist_buffer *out, ist_error *err)
{
    sealing s;
    unsigned char *value = NULL;
    char *text = NULL;
    size_t size = 0;
    ist_status status = begin_sealing(session->local, id, key, &s, err);
    if (status == IST_OK)
        status = unseal(&s, session->local, sealed, &value, &size, err);
    if (status == IST_OK)
        status = ist__alloc(size / 3 * 4 + 5, 1, (void **)&text, err);
    if (status == IST_OK) {
        EVP_EncodeBlock((unsigned char *)text, value, (int)size);
        status = ist_buffer_printf(out, err, "{\"key\":\"%s\",\"value\":\"%s\"}", key, text);
        OPENSSL_cleanse(text, strlen(text));
    }
    if (value)
        OPENSSL_cleanse(value, size);
    OPENSSL_cleanse(&s, sizeof s);
    free(value);
    free(text);
    return status;
}

static ist_status get_secret(ist__session *session, ist__db *db, const char *scope, const char *key, ist_buffer *out,
                             ist_error *err)
{
    char id[37];
    sqlite3_stmt *row;
    IST_TRY(enter(session, db, scope, READ_SCOPE, id, err));
    IST_TRY(ist__db_run(db, "SELECT key, sealed FROM vault_secrets WHERE scope_id = ?1 AND key = ?2", &row, err, "tt",
                        id, key));
    if (!row)
        return no_secret(scope, key, err);
    return answer_value(session, id, ist__db_text(row, 0), ist__db_text(row, 1), out, err);
}

ist_status ist__vault_get(ist__session *session, const char *scope, const char *key, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(session, &db, err));
    return ist__db_end(db, get_secret(session, db, scope, key, out, err), err);
}

static ist_status list_secrets(ist__session *session, ist__db *db, const char *scope, yyjson_mut_doc *doc,
                               yyjson_mut_val *list, ist_error *err)
{
    char id[37];
    sqlite3_stmt *row;
    IST_TRY(enter(session, db, scope, READ_SCOPE, id, err));
    IST_TRY(ist__db_run(db, "SELECT key, updated_at FROM vault_secrets WHERE scope_id = ?1 ORDER BY key", &row, err, "t",
                        id));
    while (row) {
        yyjson_mut_val *secret = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, secret, "key", ist__db_text(row, 0));
        yyjson_mut_obj_add_sint(doc, secret, "last_updated_timestamp", sqlite3_column_int64(row, 1));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

static ist_status list_scopes(ist__session *session, ist__db *db, const char *unused, yyjson_mut_doc *doc,
                              yyjson_mut_val *list, ist_error *err)
{
    (void)unused;
    sqlite3_stmt *row;
    ist_buffer ids = IST_BUFFER_INIT, names = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__principal_json(session->who, &ids, &names, err));
    IST_TRY_GOTO(ist__db_run(db,
                             "SELECT name FROM vault_scopes WHERE ?1 OR id IN (SELECT scope_id FROM vault_acls"
                             " WHERE principal_id IN (SELECT value FROM json_each(?2))) ORDER BY name",
                             &row, err, "it", (int64_t)session->who->is_admin, ids.data));
    while (row) {
        yyjson_mut_val *scope = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, scope, "name", ist__db_text(row, 0));
        yyjson_mut_obj_add_str(doc, scope, "backend_type", "DATABRICKS");
        IST_TRY_GOTO(ist__db_next(db, &row, err));
    }
done:
    ist_buffer_free(&ids);
    ist_buffer_free(&names);
    return status;
}

static ist_status list_acls(ist__session *session, ist__db *db, const char *scope, yyjson_mut_doc *doc,
                            yyjson_mut_val *list, ist_error *err)
{
    char id[37];
    sqlite3_stmt *row;
    IST_TRY(enter(session, db, scope, MANAGE_SCOPE, id, err));
    IST_TRY(ist__db_run(db,
                        "SELECT p.name, a.permission FROM vault_acls a JOIN principals p ON p.id = a.principal_id"
                        " WHERE a.scope_id = ?1 ORDER BY p.name",
                        &row, err, "t", id));
    while (row) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, item, "principal", ist__db_text(row, 0));
        yyjson_mut_obj_add_str(doc, item, "permission", permission_names[sqlite3_column_int(row, 1)]);
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

typedef ist_status lister(ist__session *session, ist__db *db, const char *scope, yyjson_mut_doc *doc,
                          yyjson_mut_val *list, ist_error *err);

static ist_status read_list(ist__session *session, const char *member, const char *scope, lister *fill,
                            ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = ist__db_end(
        db, fill(session, db, scope, doc, yyjson_mut_obj_add_arr(doc, root, member), err), err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

ist_status ist__vault_list_scopes(ist__session *session, ist_buffer *out, ist_error *err)
{
    return read_list(session, "scopes", NULL, list_scopes, out, err);
}

ist_status ist__vault_list(ist__session *session, const char *scope, ist_buffer *out, ist_error *err)
{
    return read_list(session, "secrets", scope, list_secrets, out, err);
}

static ist_status get_acl(ist__session *session, ist__db *db, const char *scope, const char *principal, ist_buffer *out,
                          ist_error *err)
{
    char id[37];
    sqlite3_stmt *row;
    IST_TRY(enter(session, db, scope, MANAGE_SCOPE, id, err));
    IST_TRY(ist__db_run(db,
                        "SELECT a.permission FROM vault_acls a JOIN principals p ON p.id = a.principal_id"
                        " WHERE a.scope_id = ?1 AND p.name = ?2",
                        &row, err, "tt", id, principal));
    if (!row)
        return ist__uc_error(err, IST__UC_RESOURCE_DOES_NOT_EXIST, "%.255s has no permission on the scope", principal);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "principal", principal);
    yyjson_mut_obj_add_str(doc, root, "permission", permission_names[sqlite3_column_int(row, 0)]);
    return ist__json_finish(doc, out, err);
}

ist_status ist__vault_acls(ist__session *session, const char *scope, const char *principal, ist_buffer *out,
                           ist_error *err)
{
    ist__db *db;
    if (!principal)
        return read_list(session, "items", scope, list_acls, out, err);
    IST_TRY(ist__session_read(session, &db, err));
    return ist__db_end(db, get_acl(session, db, scope, principal, out, err), err);
}
