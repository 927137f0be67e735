/*
 * azure_sas.c: shared access signatures (service SAS and user delegation SAS of version 2020-12-06): the fields of the
 * token in a fixed order, one a line, under HMAC-SHA256.
 */
#include "store/azure_sas.h"

#include "util/util.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SAS_VERSION "2020-12-06"
#define PERMISSIONS_READ "rl"
#define PERMISSIONS_WRITE "rcwdl" /* create, write, delete; in Azure's order */

enum { KEY_MAX = 256 };

static void format_seconds(int64_t ms, char out[32])
{
    ist__format_time(ms, out);
    memcpy(out + 19, "Z", 2); /* no fraction: "2026-11-24T06:00:00Z" */
}

/* HMAC-SHA256 in base64. */
static ist_status sign_text(const char *key, const ist_buffer *text, char out[64], ist_error *err)
{
    unsigned char raw[KEY_MAX], hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    size_t size = sizeof raw;
    if (!ist__base64_decode(key, strlen(key), raw, &size))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the key of the storage account is not base64");
    bool good = HMAC(EVP_sha256(), raw, (int)size, (const unsigned char *)text->data, text->size, hash, &hash_size);
    explicit_bzero(raw, sizeof raw);
    if (!good)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "HMAC-SHA256 is not available");
    EVP_EncodeBlock((unsigned char *)out, hash, (int)hash_size);
    return IST_OK;
}

/* The lines between the resource and the address: the policy's name, or whose delegation key it is. */
static ist_status add_signer(const ist__azure_delegation *d, ist_buffer *text, ist_error *err)
{
    if (!d)
        return ist_buffer_append_string(text, "\n", err);
    return ist_buffer_printf(text, err, "%s\n%s\n%s\n%s\n%s\n%s\n\n\n\n", d->object_id, d->tenant_id, d->start,
                             d->expiry, d->service, d->version);
}

static ist_status add_delegation(const ist__azure_delegation *d, ist_buffer *out, ist_error *err)
{
    const char *const fields[][2] = {{"skoid", d->object_id}, {"sktid", d->tenant_id}, {"skt", d->start},
                                     {"ske", d->expiry},      {"sks", d->service},     {"skv", d->version}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        IST_TRY(ist_buffer_printf(out, err, "&%s=", fields[i][0]));
        IST_TRY(ist__uri_encode(fields[i][1], strlen(fields[i][1]), "", out, err));
    }
    return IST_OK;
}

static int depth_of(const char *directory)
{
    int depth = 1;
    for (const char *at = directory; *at; at++)
        depth += *at == '/';
    return depth;
}

ist_status ist__azure_sas_sign(const ist__azure_sas *sas, const char *key, ist_buffer *out, ist_error *err)
{
    const char *permissions = sas->write ? PERMISSIONS_WRITE : PERMISSIONS_READ;
    const char *protocol = sas->plain_http ? "https,http" : "https";
    bool directory = sas->directory && *sas->directory;
    ist_buffer text = IST_BUFFER_INIT;
    char expiry[32], signature[64];
    ist_status status;
    format_seconds(sas->expires_ms, expiry);
    IST_TRY_GOTO(ist_buffer_printf(&text, err, "%s\n\n%s\n/blob/%s/%s%s%s\n", permissions, expiry, sas->account,
                                   sas->container, directory ? "/" : "", directory ? sas->directory : ""));
    IST_TRY_GOTO(add_signer(sas->delegation, &text, err));
    /* address, protocol, version, kind of resource, snapshot, encryption scope, five headers of the answer */
    IST_TRY_GOTO(ist_buffer_printf(&text, err, "\n%s\n" SAS_VERSION "\n%s\n\n\n\n\n\n\n", protocol,
                                   directory ? "d" : "c"));
    IST_TRY_GOTO(sign_text(key, &text, signature, err));
    IST_TRY_GOTO(ist_buffer_printf(out, err, "sv=" SAS_VERSION "&sp=%s&se=", permissions));
    IST_TRY_GOTO(ist__uri_encode(expiry, strlen(expiry), "", out, err));
    IST_TRY_GOTO(ist_buffer_printf(out, err, "&spr=%s&sr=%s", sas->plain_http ? "https%2Chttp" : "https",
                                   directory ? "d" : "c"));
    if (directory)
        IST_TRY_GOTO(ist_buffer_printf(out, err, "&sdd=%d", depth_of(sas->directory)));
    if (sas->delegation)
        IST_TRY_GOTO(add_delegation(sas->delegation, out, err));
    IST_TRY_GOTO(ist_buffer_append_string(out, "&sig=", err));
    status = ist__uri_encode(signature, strlen(signature), "", out, err);
done:
    ist_buffer_free(&text);
    return status;
}
