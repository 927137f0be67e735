/*
 * aws_profile.c: profiles of AWS' own tools. Keys are taken; what leads to keys elsewhere (roles, single sign-on, programs)
 * is not: a profile that has only that has no key.
 */
#include "store/aws_profile.h"

#include "util/ini.h"
#include "util/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ist_status set_value(ist__ini_piece key, ist__ini_piece value, int line, void *payload, ist_error *err)
{
    ist__aws_profile *out = payload;
    const struct {
        const char *key;
        char *field;
        size_t size;
    } fields[] = {
        {"aws_access_key_id", out->key, sizeof out->key},
        {"aws_secret_access_key", out->secret, sizeof out->secret},
        {"aws_session_token", out->token, sizeof out->token},
        {"region", out->region, sizeof out->region},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        IST_TRY(ist__ini_take(key, value, fields[i].key, fields[i].field, fields[i].size, line, err));
    return IST_OK;
}

/* A file that is not there has no section. */
static ist_status read_section(const char *variable, const char *file, const char *section, ist__aws_profile *out,
                               ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    const char *named = getenv(variable), *home = getenv("HOME");
    ist_status status;
    if (named && *named)
        IST_TRY_GOTO(ist_buffer_append_string(&path, named, err));
    else
        IST_TRY_GOTO(ist_buffer_printf(&path, err, "%s/.aws/%s", home ? home : "", file));
    IST_TRY_GOTO(ist__read_file(path.data, IST__AWS_FILE_MAX, &text, err));
    status = ist__ini_read(text.data ? text.data : "", text.size, section, set_value, out, err);
    if (status != IST_OK)
        ist_error_context(err, "%s", path.data);
done:
    ist_buffer_free(&path);
    ist__buffer_wipe(&text);
    return status;
}

/* The file that names keys goes first; a key, its secret and its token are of one file. */
static void add_missing(ist__aws_profile *out, const ist__aws_profile *more)
{
    if (!out->key[0]) {
        memcpy(out->key, more->key, sizeof out->key);
        memcpy(out->secret, more->secret, sizeof out->secret);
        memcpy(out->token, more->token, sizeof out->token);
    }
    if (!out->region[0])
        memcpy(out->region, more->region, sizeof out->region);
}

ist_status ist__aws_profile_read(const char *name, ist__aws_profile *out, ist_error *err)
{
    char section[160];
    ist__aws_profile more = {0};
    memset(out, 0, sizeof *out);
    snprintf(section, sizeof section, "%s%.140s", strcmp(name, "default") == 0 ? "" : "profile ", name);
    ist_status first = read_section("AWS_SHARED_CREDENTIALS_FILE", "credentials", name, out, err);
    if (first != IST_OK && first != IST_NOT_FOUND)
        return first;
    ist_status second = read_section("AWS_CONFIG_FILE", "config", section, &more, err);
    if (second == IST_OK)
        add_missing(out, &more);
    explicit_bzero(&more, sizeof more);
    if (second != IST_OK && second != IST_NOT_FOUND)
        return second;
    if (first == IST_OK || second == IST_OK)
        return IST_OK;
    return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "neither ~/.aws/credentials nor ~/.aws/config has the profile %.140s",
                         name);
}
