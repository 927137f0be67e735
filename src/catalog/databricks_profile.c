/*
 * databricks_profile.c: the INI text in which Databricks' tools keep hosts and secrets, ~/.databrickscfg.
 *
 *     # a comment; so is a line that begins with ;
 *     [DEFAULT]
 *     host  = https://example.cloud.databricks.com
 *     token = dapi...
 *
 * Sections stand for themselves: DEFAULT lends nothing to the others, as in Databricks' own tools.
 */
#include "catalog/catalog_internal.h"

#include "util/ini.h"

#include <string.h>

static ist_status set_value(ist__ini_piece key, ist__ini_piece value, int line, void *payload, ist_error *err)
{
    ist__profile *out = payload;
    const struct {
        const char *key;
        char *field;
        size_t size;
    } fields[] = {
        {"host", out->host, sizeof out->host},
        {"token", out->token, sizeof out->token},
        {"client_id", out->client_id, sizeof out->client_id},
        {"client_secret", out->client_secret, sizeof out->client_secret},
        {"auth_type", out->auth_type, sizeof out->auth_type},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        IST_TRY(ist__ini_take(key, value, fields[i].key, fields[i].field, fields[i].size, line, err));
    return IST_OK;
}

ist_status ist__profile_read(const char *text, size_t size, const char *name, ist__profile *out, ist_error *err)
{
    memset(out, 0, sizeof *out);
    return ist__ini_read(text, size, name, set_value, out, err);
}
