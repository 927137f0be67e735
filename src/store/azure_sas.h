/*
 * azure_sas.h: shared access signatures of Azure storage: who has the URL may do, until it expires, what it says.
 * Library-private.
 */
#ifndef ISTHMUS_STORE_AZURE_SAS_H
#define ISTHMUS_STORE_AZURE_SAS_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

/* Whom a user delegation key belongs to, as Azure gave it; its value signs in the account key's place. */
typedef struct ist__azure_delegation {
    char object_id[64], tenant_id[64], start[32], expiry[32], service[8], version[16];
} ist__azure_delegation;

typedef struct ist__azure_sas {
    const char *account, *container;
    const char *directory; /* NULL or "" for the container; accounts without a hierarchical namespace have no folders */
    bool write;            /* read, list, create, write and delete; else read and list */
    bool plain_http;       /* also good without TLS: emulators */
    int64_t expires_ms;
    const ist__azure_delegation *delegation; /* NULL: signed with the account's key */
} ist__azure_sas;

/*
 * Append the token: the query without '?'.
 *   key  the account's key or the delegation key's value, in base64
 * Errors: IST_BAD_INPUT (the key is not base64).
 */
ist_status ist__azure_sas_sign(const ist__azure_sas *sas, const char *key, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
