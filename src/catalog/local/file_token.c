/*
 * file_token.c: making and checking the tokens of file_token.h.
 *
 * The payload is a JSON array [root, "READ"|"READ_WRITE", principal, expiry, id]. It is read only after its HMAC was
 * found good, in constant time.
 */
#include "catalog/local/file_token.h"

#include "catalog/catalog_json.h"
#include "catalog/local/home_key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_BYTES = IST__HOME_KEY_BYTES, MAC_BYTES = 32, MAC_TEXT = 43, PAYLOAD_MAX = IST__FILE_TOKEN_MAX };

struct ist__file_signer {
    unsigned char key[KEY_BYTES];
    int64_t life_ms;
    char *home;
    char socket[64];
    _Atomic(char *) url;
};

static bool sign(const ist__file_signer *signer, const char *text, size_t size, unsigned char mac[MAC_BYTES])
{
    unsigned int length = 0;
    return HMAC(EVP_sha256(), signer->key, KEY_BYTES, (const unsigned char *)text, size, mac, &length) &&
           length == MAC_BYTES;
}

/* A name that nobody knows beforehand, and that stays over restarts. */
static void name_socket(ist__file_signer *signer)
{
    unsigned char mac[MAC_BYTES] = {0};
    char hex[2 * 16 + 1];
    sign(signer, "files.sock", 10, mac);
    ist__hex(mac, 16, hex);
    snprintf(signer->socket, sizeof signer->socket, "@isthmus-files-%s", hex);
}

ist_status ist__file_signer_open(const char *home, int64_t life_ms, ist__file_signer **out, ist_error *err)
{
    ist__file_signer *signer;
    ist_status status = IST_OK;
    IST_TRY(ist__alloc(1, sizeof *signer, (void **)&signer, err));
    signer->life_ms = life_ms > 0 ? life_ms : IST__FILE_TOKEN_LIFE_MS;
    IST_TRY_GOTO(ist__strdup(home, &signer->home, err));
    IST_TRY_GOTO(ist__home_key(home, "files.key", "tokens given out", signer->key, err));
    name_socket(signer);
    *out = signer;
    signer = NULL;
done:
    ist__file_signer_free(signer);
    return status;
}

void ist__file_signer_free(ist__file_signer *signer)
{
    if (!signer)
        return;
    OPENSSL_cleanse(signer->key, sizeof signer->key);
    free(signer->home);
    free(atomic_load(&signer->url));
    free(signer);
}

ist_status ist__file_signer_set_url(ist__file_signer *signer, const char *url, ist_error *err)
{
    char *copy, *none = NULL;
    IST_TRY(ist__strdup(url, &copy, err));
    if (!atomic_compare_exchange_strong(&signer->url, &none, copy))
        free(copy);
    return IST_OK;
}

const char *ist__file_signer_socket(const ist__file_signer *signer)
{
    return signer->socket;
}

/* Tokens --------------------------------------------------------------------------------------------------------- */

static ist_status write_payload(const char *root, bool write, const char *principal, int64_t expires_ms,
                                ist_buffer *out, ist_error *err)
{
    char id[37];
    ist__uuid(id);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *payload = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, payload);
    yyjson_mut_arr_add_str(doc, payload, root);
    yyjson_mut_arr_add_str(doc, payload, write ? "READ_WRITE" : "READ");
    yyjson_mut_arr_add_str(doc, payload, principal);
    yyjson_mut_arr_add_sint(doc, payload, expires_ms);
    yyjson_mut_arr_add_str(doc, payload, id);
    return ist__json_finish(doc, out, err);
}

ist_status ist__file_token_sign(const ist__file_signer *signer, const char *payload, size_t size, ist_buffer *out,
                                ist_error *err)
{
    unsigned char mac[MAC_BYTES];
    size_t start = out->size;
    IST_TRY(ist__base64url((const unsigned char *)payload, size, out, err));
    if (!sign(signer, out->data ? out->data + start : "", out->size - start, mac))
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "no HMAC-SHA256");
    IST_TRY(ist_buffer_append(out, ".", 1, err));
    return ist__base64url(mac, sizeof mac, out, err);
}

ist_status ist__file_token_make(const ist__file_signer *signer, const char *root, bool write, const char *principal,
                                ist_buffer *out, int64_t *expires_ms, ist_error *err)
{
    ist_buffer payload = IST_BUFFER_INIT;
    *expires_ms = ist__now_ms() + signer->life_ms;
    ist_status status = write_payload(root, write, principal, *expires_ms, &payload, err);
    if (status == IST_OK)
        status = ist__file_token_sign(signer, payload.data, payload.size, out, err);
    ist_buffer_free(&payload);
    return status;
}

static ist_status refused(ist_error *err)
{
    return ist__uc_error(err, IST__UC_UNAUTHENTICATED,
                         "this is not a token for files of this server; ask the catalog for credentials");
}

static ist_status read_payload(const char *text, size_t size, ist__file_grant *out, ist_error *err)
{
    yyjson_doc *doc = yyjson_read(text, size, 0);
    yyjson_val *payload = yyjson_doc_get_root(doc);
    const char *root = yyjson_get_str(yyjson_arr_get(payload, 0));
    const char *mode = yyjson_get_str(yyjson_arr_get(payload, 1));
    const char *principal = yyjson_get_str(yyjson_arr_get(payload, 2));
    yyjson_val *expires = yyjson_arr_get(payload, 3);
    const char *id = yyjson_get_str(yyjson_arr_get(payload, 4));
    ist_status status = IST_OK;
    if (!root || strncmp(root, "file:///", 8) != 0 || !mode || !principal || !yyjson_is_int(expires) || !id) {
        status = refused(err);
        goto done;
    }
    out->write = strcmp(mode, "READ_WRITE") == 0;
    out->expires_ms = yyjson_get_sint(expires);
    IST_TRY_GOTO(ist__strdup(root, &out->root, err));
    IST_TRY_GOTO(ist__strdup(principal, &out->principal, err));
    status = ist__strdup(id, &out->id, err);
done:
    yyjson_doc_free(doc);
    return status;
}

static ist_status check(const ist__file_signer *signer, const char *token, bool write, ist__file_grant *out,
                        ist_error *err)
{
    unsigned char mac[MAC_BYTES], shown[MAC_BYTES], payload[PAYLOAD_MAX];
    size_t size = token ? strnlen(token, IST__FILE_TOKEN_MAX + 1) : 0;
    const char *dot = size > MAC_TEXT && size <= IST__FILE_TOKEN_MAX ? token + size - MAC_TEXT - 1 : NULL;
    size_t shown_size = sizeof shown, payload_size = sizeof payload;
    if (!dot || *dot != '.' || !ist__base64url_decode(dot + 1, MAC_TEXT, shown, &shown_size) ||
        shown_size != MAC_BYTES || !sign(signer, token, (size_t)(dot - token), mac) || CRYPTO_memcmp(mac, shown, sizeof mac) != 0)
        return refused(err);
    if (!ist__base64url_decode(token, (size_t)(dot - token), payload, &payload_size))
        return refused(err);
    IST_TRY(read_payload((const char *)payload, payload_size, out, err));
    if (out->expires_ms <= ist__now_ms())
        return ist__uc_error(err, IST__UC_UNAUTHENTICATED,
                             "the credentials for %s have expired; ask the catalog for new ones", out->root);
    if (write && !out->write)
        return ist__uc_error(err, IST__UC_PERMISSION_DENIED, "these credentials for %s are for reading only",
                             out->root);
    return IST_OK;
}

ist_status ist__file_token_check(const ist__file_signer *signer, const char *token, bool write, ist__file_grant *out,
                                 ist_error *err)
{
    memset(out, 0, sizeof *out);
    ist_status status = check(signer, token, write, out, err);
    if (status != IST_OK)
        ist__file_grant_free(out);
    return status;
}

void ist__file_grant_free(ist__file_grant *grant)
{
    free(grant->root);
    free(grant->principal);
    free(grant->id);
    memset(grant, 0, sizeof *grant);
}

/* Vending -------------------------------------------------------------------------------------------------------- */

/* Who may use the server's home through a location at or above it would hold every key. */
static ist_status check_not_home(const ist__file_signer *signer, const char *url, ist_error *err)
{
    ist_buffer home = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__location_normalize(signer->home, &home, err));
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    if (strncmp(home.data, url, size) == 0 && (home.data[size] == '/' || home.data[size] == '\0'))
        status = ist__uc_error(err, IST__UC_PERMISSION_DENIED,
                               "no credentials are given for %s: the server keeps its own secrets in it", url);
done:
    ist_buffer_free(&home);
    return status;
}

static void add_file_token(const ist__file_signer *signer, const char *token, yyjson_mut_doc *doc,
                           yyjson_mut_val *root)
{
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, root, "isthmus_file_token");
    const char *url = atomic_load(&signer->url);
    yyjson_mut_obj_add_strcpy(doc, object, "token", token);
    if (url) {
        char endpoint[512];
        snprintf(endpoint, sizeof endpoint, "%s" IST__FILES_PATH, url);
        yyjson_mut_obj_add_strcpy(doc, object, "endpoint", endpoint);
    } else {
        yyjson_mut_obj_add_null(doc, object, "endpoint"); /* asked before the server told its address */
    }
    yyjson_mut_obj_add_str(doc, object, "socket", signer->socket);
    yyjson_mut_obj_add_uint(doc, object, "uid", geteuid()); /* who must be at the socket's other end */
}

ist_status ist__vend_file(const ist__file_signer *signer, const char *url, bool write, const char *principal,
                          ist_buffer *out, ist_error *err)
{
    ist_buffer token = IST_BUFFER_INIT;
    int64_t expires_ms = 0;
    ist_status status = IST_OK;
    if (signer) {
        IST_TRY_GOTO(check_not_home(signer, url, err));
        IST_TRY_GOTO(ist__file_token_make(signer, url, write, principal, &token, &expires_ms, err));
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_null(doc, root, "aws_temp_credentials");
    yyjson_mut_obj_add_null(doc, root, "azure_user_delegation_sas");
    yyjson_mut_obj_add_null(doc, root, "gcp_oauth_token");
    if (signer)
        yyjson_mut_obj_add_sint(doc, root, "expiration_time", expires_ms);
    else
        yyjson_mut_obj_add_null(doc, root, "expiration_time");
    yyjson_mut_obj_add_str(doc, root, "url", url);
    if (signer)
        add_file_token(signer, token.data, doc, root);
    status = ist__json_finish(doc, out, err);
done:
    ist_buffer_free(&token);
    return status;
}
