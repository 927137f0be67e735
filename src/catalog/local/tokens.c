/* tokens.c: tokens and secrets made, listed, revoked. What is told of a secret once is never told again. */
#include "catalog/local/digest.h"
#include "catalog/local/principals.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { COMMENT_MAX = 1000, TOKENS_MAX = 1000, LIFE_MAX_S = 10 * 365 * 24 * 3600 };

static ist_status insert_token(ist__db *db, ist__token_kind kind, const char *principal_id, const char *name,
                               int64_t expires_at, const char *text, const char *id, ist_error *err)
{
    char digest[IST__DIGEST_TEXT];
    sqlite3_stmt *row;
    /* What nobody can use any more goes when something new comes. */
    IST_TRY(ist__db_run(db, "DELETE FROM tokens WHERE kind = 2 AND expires_at < ?1", NULL, err, "i", ist__now_ms()));
    IST_TRY(ist__db_run(db, "SELECT count(*) FROM tokens WHERE principal_id = ?1 AND kind <> 2", &row, err, "t",
                        principal_id));
    if (row && sqlite3_column_int(row, 0) >= TOKENS_MAX)
        return ist__uc_error(err, IST__UC_RESOURCE_EXHAUSTED, "there are %d tokens already: revoke some", TOKENS_MAX);
    IST_TRY(ist__digest(NULL, text, strlen(text), digest, err));
    IST_TRY(ist__db_run(db,
                        "INSERT INTO tokens (id, kind, digest, principal_id, name, created_at)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        NULL, err, "tittti", id, (int64_t)kind, digest, principal_id, name, ist__now_ms()));
    if (expires_at > 0)
        IST_TRY(ist__db_run(db, "UPDATE tokens SET expires_at = ?2 WHERE id = ?1", NULL, err, "ti", id, expires_at));
    return IST_OK;
}

/* The kinds of principal that a token can be made for have one; groups have none. */
static ist_status check_can_sign_in(ist__db *db, const char *principal_id, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db, "SELECT 1 FROM principals WHERE id = ?1 AND kind <> 2", &row, err, "t", principal_id));
    if (!row)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a token is for a user or a service principal");
    return IST_OK;
}

/* Personal tokens -------------------------------------------------------------------------------------------------- */

typedef struct wish {
    const char *comment, *for_whom;
    int64_t life_s; /* 0: it does not expire */
} wish;

static ist_status read_wish(yyjson_val *body, wish *out, ist_error *err)
{
    const char *application_id;
    yyjson_val *life = yyjson_obj_get(body, "lifetime_seconds");
    IST_TRY(ist__json_text(body, "comment", false, &out->comment, err));
    IST_TRY(ist__json_text(body, "principal", false, &out->for_whom, err));
    IST_TRY(ist__json_text(body, "application_id", false, &application_id, err));
    out->for_whom = application_id ? application_id : out->for_whom;
    out->comment = out->comment ? out->comment : "";
    out->life_s = 0;
    if (life && !yyjson_is_null(life)) {
        out->life_s = yyjson_get_sint(life);
        if (!yyjson_is_int(life) || out->life_s < 1 || out->life_s > LIFE_MAX_S)
            return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "lifetime_seconds is not an integer from 1 to %d",
                                 LIFE_MAX_S);
    }
    if (strlen(out->comment) > COMMENT_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "comment is longer than %d bytes", COMMENT_MAX);
    return IST_OK;
}

static void describe_token(yyjson_mut_doc *doc, yyjson_mut_val *info, const char *id, int64_t created_at,
                           int64_t expires_at, const char *comment)
{
    yyjson_mut_obj_add_strcpy(doc, info, "token_id", id);
    yyjson_mut_obj_add_sint(doc, info, "creation_time", created_at);
    yyjson_mut_obj_add_sint(doc, info, "expiry_time", expires_at > 0 ? expires_at : -1);
    yyjson_mut_obj_add_strcpy(doc, info, "comment", comment);
}

static ist_status create_token(ist__session *session, ist__db *db, const wish *w, ist_buffer *out, ist_error *err)
{
    char principal_id[37], id[37], text[IST__SECRET_TEXT];
    int64_t now = ist__now_ms(), expires_at = w->life_s ? now + w->life_s * 1000 : 0;
    if (w->for_whom && strcmp(w->for_whom, session->who->name) != 0) {
        IST_TRY(ist__require_admin(session, err));
        IST_TRY(ist__principal_find(db, w->for_whom, principal_id, err));
        IST_TRY(check_can_sign_in(db, principal_id, err));
    } else {
        snprintf(principal_id, sizeof principal_id, "%s", session->who->id);
    }
    ist__uuid(id);
    IST_TRY(ist__secret_make(text, err));
    ist_status status = insert_token(db, IST__TOKEN_PERSONAL, principal_id, w->comment, expires_at, text, id, err);
    if (status == IST_OK) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *root = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, root);
        yyjson_mut_obj_add_str(doc, root, "token_value", text);
        describe_token(doc, yyjson_mut_obj_add_obj(doc, root, "token_info"), id, now, expires_at, w->comment);
        status = ist__json_finish(doc, out, err);
    }
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

ist_status ist__token_create(ist__session *session, const char *body, ist_buffer *out, ist_error *err)
{
    yyjson_doc *in = NULL;
    ist__db *db;
    wish w;
    ist_status status = ist__json_read_object(*body ? body : "{}", &in, err);
    if (status == IST_OK)
        status = read_wish(yyjson_doc_get_root(in), &w, err);
    if (status == IST_OK)
        status = ist__session_write(session, &db, err);
    if (status == IST_OK)
        status = ist__db_end(db, create_token(session, db, &w, out, err), err);
    yyjson_doc_free(in);
    return status;
}

static ist_status list_tokens(ist__db *db, const char *principal_id, yyjson_mut_doc *doc, yyjson_mut_val *list,
                              ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT t.id, t.created_at, t.expires_at, t.name, p.name, t.last_used_at FROM tokens t"
                        " JOIN principals p ON p.id = t.principal_id"
                        " WHERE t.kind = 0 AND (?1 IS NULL OR t.principal_id = ?1) ORDER BY t.created_at, t.id",
                        &row, err, "t", principal_id));
    while (row) {
        yyjson_mut_val *info = yyjson_mut_arr_add_obj(doc, list);
        describe_token(doc, info, ist__db_text(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2),
                       ist__db_text(row, 3));
        yyjson_mut_obj_add_strcpy(doc, info, "created_by_username", ist__db_text(row, 4));
        if (sqlite3_column_type(row, 5) != SQLITE_NULL)
            yyjson_mut_obj_add_sint(doc, info, "last_used_time", sqlite3_column_int64(row, 5));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

ist_status ist__token_list(ist__session *session, bool everybody, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    if (everybody)
        IST_TRY(ist__require_admin(session, err));
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status = list_tokens(db, everybody ? NULL : session->who->id, doc,
                                    yyjson_mut_obj_add_arr(doc, root, "token_infos"), err);
    status = ist__db_end(db, status, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

/* Nobody learns of a token that is not his: it is not there. */
static ist_status delete_token(ist__session *session, ist__db *db, const char *id, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "DELETE FROM tokens WHERE id = ?1 AND kind = 0 AND (?2 IS NULL OR principal_id = ?2)"
                        " RETURNING id",
                        &row, err, "tt", id, session->who->is_admin ? NULL : session->who->id));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Token not found: %.100s", id);
    ist__db_rights_changed(db);
    return IST_OK;
}

ist_status ist__token_delete(ist__session *session, const char *id, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, delete_token(session, db, id, err), err);
}

/* Secrets of service principals ------------------------------------------------------------------------------------ */

static ist_status check_owns_secrets(ist__session *session, ist__db *db, const char *principal_id, ist_error *err)
{
    sqlite3_stmt *row;
    if (strcmp(session->who->id, principal_id) != 0)
        IST_TRY(ist__require_admin(session, err));
    IST_TRY(ist__db_run(db, "SELECT 1 FROM principals WHERE id = ?1 AND kind = 1", &row, err, "t", principal_id));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Service principal not found with id: %.100s", principal_id);
    return IST_OK;
}

static void describe_secret(yyjson_mut_doc *doc, yyjson_mut_val *out, const char *id, int64_t created_at,
                            const char *digest)
{
    char time[32];
    ist__format_time(created_at, time);
    yyjson_mut_obj_add_strcpy(doc, out, "id", id);
    yyjson_mut_obj_add_strcpy(doc, out, "secret_hash", digest);
    yyjson_mut_obj_add_str(doc, out, "status", "ACTIVE");
    yyjson_mut_obj_add_strcpy(doc, out, "create_time", time);
    yyjson_mut_obj_add_strcpy(doc, out, "update_time", time);
}

static ist_status create_secret(ist__session *session, ist__db *db, const char *principal_id, ist_buffer *out,
                                ist_error *err)
{
    char id[37], text[IST__SECRET_TEXT], digest[IST__DIGEST_TEXT];
    IST_TRY(check_owns_secrets(session, db, principal_id, err));
    ist__uuid(id);
    IST_TRY(ist__secret_make(text, err));
    IST_TRY(ist__digest(NULL, text, strlen(text), digest, err));
    ist_status status = insert_token(db, IST__TOKEN_SECRET, principal_id, "", 0, text, id, err);
    if (status == IST_OK) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *root = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, root);
        yyjson_mut_obj_add_str(doc, root, "secret", text);
        describe_secret(doc, root, id, ist__now_ms(), digest);
        status = ist__json_finish(doc, out, err);
    }
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

ist_status ist__secret_create(ist__session *session, const char *principal_id, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, create_secret(session, db, principal_id, out, err), err);
}

static ist_status list_secrets(ist__session *session, ist__db *db, const char *principal_id, yyjson_mut_doc *doc,
                               yyjson_mut_val *list, ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(check_owns_secrets(session, db, principal_id, err));
    IST_TRY(ist__db_run(db,
                        "SELECT id, created_at, digest FROM tokens WHERE kind = 1 AND principal_id = ?1"
                        " ORDER BY created_at, id",
                        &row, err, "t", principal_id));
    while (row) {
        describe_secret(doc, yyjson_mut_arr_add_obj(doc, list), ist__db_text(row, 0), sqlite3_column_int64(row, 1),
                        ist__db_text(row, 2));
        IST_TRY(ist__db_next(db, &row, err));
    }
    return IST_OK;
}

ist_status ist__secret_list(ist__session *session, const char *principal_id, ist_buffer *out, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_read(session, &db, err));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist_status status =
        list_secrets(session, db, principal_id, doc, yyjson_mut_obj_add_arr(doc, root, "secrets"), err);
    status = ist__db_end(db, status, err);
    if (status == IST_OK)
        return ist__json_finish(doc, out, err);
    yyjson_mut_doc_free(doc);
    return status;
}

/* The access tokens that it gave go too: whoever revokes a secret means all of it. */
static ist_status delete_secret(ist__session *session, ist__db *db, const char *principal_id, const char *id,
                                ist_error *err)
{
    sqlite3_stmt *row;
    IST_TRY(check_owns_secrets(session, db, principal_id, err));
    IST_TRY(ist__db_run(db, "DELETE FROM tokens WHERE id = ?1 AND kind = 1 AND principal_id = ?2 RETURNING id", &row,
                        err, "tt", id, principal_id));
    if (!row)
        return ist__uc_error(err, IST__UC_NOT_FOUND, "Secret not found: %.100s", id);
    ist__db_rights_changed(db);
    return ist__db_run(db, "DELETE FROM tokens WHERE kind = 2 AND principal_id = ?1", NULL, err, "t", principal_id);
}

ist_status ist__secret_delete(ist__session *session, const char *principal_id, const char *id, ist_error *err)
{
    ist__db *db;
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, delete_secret(session, db, principal_id, id, err), err);
}

/* OAuth ------------------------------------------------------------------------------------------------------------ */

static ist_status exchange_secret(ist__db *db, const char *client_id, const char *digest, ist_buffer *out,
                                  ist_error *err)
{
    char principal_id[37], id[37], text[IST__SECRET_TEXT];
    sqlite3_stmt *row;
    IST_TRY(ist__db_run(db,
                        "SELECT p.id FROM tokens t JOIN principals p ON p.id = t.principal_id"
                        " WHERE t.digest = ?1 AND t.kind = 1 AND p.name = ?2 AND p.active = 1",
                        &row, err, "tt", digest, client_id));
    if (!row)
        return ist__uc_error(err, IST__UC_UNAUTHENTICATED, "no service principal with this client id and secret");
    snprintf(principal_id, sizeof principal_id, "%s", ist__db_text(row, 0));
    ist__uuid(id);
    IST_TRY(ist__secret_make(text, err));
    ist_status status = insert_token(db, IST__TOKEN_OAUTH, principal_id, "", ist__now_ms() + IST__OAUTH_TOKEN_LIFE_MS,
                                     text, id, err);
    if (status == IST_OK)
        status = ist_buffer_printf(
            out, err, "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%d,\"scope\":\"all-apis\"}",
            text, IST__OAUTH_TOKEN_LIFE_MS / 1000);
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

ist_status ist__oauth_token(ist__session *session, const char *client_id, const char *secret, ist_buffer *out,
                            ist_error *err)
{
    char digest[IST__DIGEST_TEXT];
    ist__db *db;
    IST_TRY(ist__digest(NULL, secret, strlen(secret), digest, err));
    IST_TRY(ist__session_write(session, &db, err));
    return ist__db_end(db, exchange_secret(db, client_id, digest, out, err), err);
}
