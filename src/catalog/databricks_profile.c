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

#include <string.h>
#include <strings.h>

/* A piece of the text. */
typedef struct piece {
    const char *at;
    size_t size;
} piece;

static piece trim(piece p)
{
    while (p.size > 0 && strchr(" \t\r", p.at[0]) && p.at[0])
        p.at++, p.size--;
    while (p.size > 0 && strchr(" \t\r", p.at[p.size - 1]) && p.at[p.size - 1])
        p.size--;
    return p;
}

static bool equal(piece p, const char *text)
{
    return p.size == strlen(text) && memcmp(p.at, text, p.size) == 0;
}

static ist_status set_value(ist__profile *out, piece key, piece value, int line, ist_error *err)
{
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
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (key.size != strlen(fields[i].key) || strncasecmp(key.at, fields[i].key, key.size) != 0)
            continue;
        if (value.size >= fields[i].size || memchr(value.at, '\0', value.size))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                 "line %d: the value of %s is longer than %zu bytes or has a NUL", line, fields[i].key,
                                 fields[i].size - 1);
        memcpy(fields[i].field, value.at, value.size);
        fields[i].field[value.size] = '\0';
    }
    return IST_OK;
}

static ist_status read_line(ist__profile *out, piece line, int number, ist_error *err)
{
    size_t key = 0;
    while (key < line.size && line.at[key] != '=' && line.at[key] != ':')
        key++;
    if (key == line.size || key == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "line %d is no \"key = value\"", number);
    return set_value(out, trim((piece){line.at, key}), trim((piece){line.at + key + 1, line.size - key - 1}), number,
                     err);
}

ist_status ist__profile_read(const char *text, size_t size, const char *name, ist__profile *out, ist_error *err)
{
    bool found = false, inside = false;
    memset(out, 0, sizeof *out);
    for (int number = 1; size > 0; number++) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        piece line = trim((piece){text, length});
        text += length + (end != NULL);
        size -= length + (end != NULL);
        if (line.size == 0 || line.at[0] == '#' || line.at[0] == ';')
            continue;
        if (line.at[0] == '[' && line.at[line.size - 1] == ']') {
            inside = equal(trim((piece){line.at + 1, line.size - 2}), name);
            found = found || inside;
        } else if (inside) {
            IST_TRY(read_line(out, line, number, err));
        }
    }
    if (!found)
        return ist_error_set(err, IST_NOT_FOUND, 0, NULL, "there is no profile [%.100s]", name);
    return IST_OK;
}
