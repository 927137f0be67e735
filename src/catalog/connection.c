/* connection.c: which catalog to use and as whom: options, environment, Databricks' settings, server.json. */
#include "catalog/catalog_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char sqlite_scheme[] = "sqlite:", databricks_scheme[] = "databricks";

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Copy into an array that holds `size` bytes; NULL copies nothing. The text itself may be a secret: it is not told. */
static ist_status put(char *out, size_t size, const char *what, const char *text, ist_error *err)
{
    if (!text)
        return IST_OK;
    if (strlen(text) >= size)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s is longer than %zu bytes", what, size - 1);
    memcpy(out, text, strlen(text) + 1);
    return IST_OK;
}

#define PUT(field, what, text, err) put((field), sizeof(field), (what), (text), (err))

/* "https://h/api/2.1/unity-catalog/" -> "https://h"; Databricks' settings may leave the scheme out: https. */
static ist_status set_host(const char *uri, bool scheme_optional, char out[512], ist_error *err)
{
    size_t size = strlen(uri), suffix = strlen(IST__CATALOG_PATH);
    bool scheme = strncmp(uri, "http://", 7) == 0 || strncmp(uri, "https://", 8) == 0;
    bool good = size > 0 && size < 500 && (scheme || (scheme_optional && !strstr(uri, "://")));
    for (size_t i = 0; i < size; i++)
        good = good && (unsigned char)uri[i] > 0x20 && (unsigned char)uri[i] < 0x7F && !strchr("?#@\\", uri[i]);
    while (good && size > 0 && uri[size - 1] == '/')
        size--;
    if (good && size > suffix && strncmp(uri + size - suffix, IST__CATALOG_PATH, suffix) == 0)
        size -= suffix;
    if (!good || size <= (scheme ? strcspn(uri, "/") + 2 : 0))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "the catalog '%.300s' is none of http://..., https://..., databricks:PROFILE and "
                             "sqlite:/path",
                             uri);
    snprintf(out, 512, "%s%.*s", scheme ? "" : "https://", (int)size, uri);
    return IST_OK;
}

/* Databricks' settings --------------------------------------------------------------------------------------------- */

static ist_status profile_path(ist_buffer *out, ist_error *err)
{
    const char *file = environment("DATABRICKS_CONFIG_FILE"), *home = environment("HOME");
    if (file)
        return ist_buffer_append_string(out, file, err);
    return ist_buffer_printf(out, err, "%s/.databrickscfg", home ? home : "");
}

static ist_status read_profile(const char *name, ist__profile *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(profile_path(&path, err));
    IST_TRY_GOTO(ist_buffer_reserve(&text, 16384, err)); /* most files fit: no copies of it are left behind */
    IST_TRY_GOTO(ist__read_file(path.data, IST__PROFILE_FILE_MAX, &text, err));
    status = ist__profile_read(text.data, text.size, name, out, err);
    if (status != IST_OK)
        ist_error_context(err, "%s", path.data);
done:
    ist__buffer_wipe(&text);
    ist_buffer_free(&path);
    return status;
}

/*
 * Take from the environment what the profile does not say. A profile's secret never goes to a host of the environment,
 * nor a secret of the environment that belongs to a host to the profile's.
 */
static void complete(ist__profile *profile)
{
    const struct {
        const char *name;
        char *field;
        size_t size;
    } settings[] = {
        {"DATABRICKS_HOST", profile->host, sizeof profile->host},
        {"DATABRICKS_TOKEN", profile->token, sizeof profile->token},
        {"DATABRICKS_CLIENT_ID", profile->client_id, sizeof profile->client_id},
        {"DATABRICKS_CLIENT_SECRET", profile->client_secret, sizeof profile->client_secret},
        {"DATABRICKS_AUTH_TYPE", profile->auth_type, sizeof profile->auth_type},
    };
    const char *host = environment("DATABRICKS_HOST");
    bool same_host = !host || !*profile->host || strcmp(host, profile->host) == 0;
    if (!same_host || *profile->token || *profile->client_id)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const char *value = environment(settings[i].name);
        if (value && !*settings[i].field)
            snprintf(settings[i].field, settings[i].size, "%s", value);
    }
}

static ist_status use_profile(const ist__profile *profile, const char *what, ist__connection *out, ist_error *err)
{
    const char *type = profile->auth_type;
    bool oauth = *profile->client_id && (strcmp(type, "oauth-m2m") == 0 || (!*type && !*profile->token));
    if (!*profile->host)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "%s names no host: set DATABRICKS_HOST, or host in it",
                             what);
    if (*type && strcmp(type, "pat") != 0 && strcmp(type, "oauth-m2m") != 0)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "%s has auth_type %s; Isthmus knows pat (a token) and oauth-m2m (client_id and "
                             "client_secret)",
                             what, type);
    if (!oauth && !*profile->token)
        return ist_error_set(err, IST_UNAUTHENTICATED, 0, NULL,
                             "%s has neither a token nor client_id and client_secret for %s", what, profile->host);
    IST_TRY(set_host(profile->host, true, out->host, err));
    if (!oauth)
        return PUT(out->token, "the token", profile->token, err);
    IST_TRY(PUT(out->client_id, "client_id", profile->client_id, err));
    return PUT(out->client_secret, "client_secret", profile->client_secret, err);
}

/* The profile that is named; without a name the environment, or where that says no host the profile DEFAULT.
 * IST_NOT_FOUND: there is no such profile. */
static ist_status find_databricks(const char *name, ist__connection *out, ist_error *err)
{
    ist__profile profile = {0};
    char what[128] = "the environment";
    ist_status status = IST_OK;
    if (!name && !environment("DATABRICKS_HOST"))
        name = "DEFAULT";
    if (name) {
        snprintf(what, sizeof what, "the Databricks profile %.80s", name);
        status = read_profile(name, &profile, err);
    }
    if (status == IST_OK) {
        complete(&profile);
        status = use_profile(&profile, what, out, err);
    }
    explicit_bzero(&profile, sizeof profile);
    return status;
}

/* server.json ------------------------------------------------------------------------------------------------------ */

static ist_status use_note(const ist__server_note *note, ist__connection *out, ist_error *err)
{
    IST_TRY(set_host(note->url, false, out->host, err));
    IST_TRY(PUT(out->ca_file, "the CA file in server.json", note->ca_file, err));
    return PUT(out->token, "the token in server.json", note->token, err);
}

/* The whole -------------------------------------------------------------------------------------------------------- */

/* A server that was named without a token: the token of what else names the same server, if anything does. */
static ist_status find_token(const ist__server_note *note, ist__connection *out, ist_error *err)
{
    ist__connection other = {0};
    ist_status status = IST_OK;
    if (*note->url && use_note(note, &other, NULL) == IST_OK && strcmp(other.host, out->host) == 0) {
        status = use_note(note, out, err);
    } else if (environment("DATABRICKS_HOST") || environment("DATABRICKS_CONFIG_PROFILE")) {
        memset(&other, 0, sizeof other);
        if (find_databricks(environment("DATABRICKS_CONFIG_PROFILE"), &other, NULL) == IST_OK &&
            strcasecmp(other.host, out->host) == 0)
            status = find_databricks(environment("DATABRICKS_CONFIG_PROFILE"), out, err);
    }
    ist__connection_wipe(&other);
    return status;
}

static ist_status find_named(const char *uri, const char *token, const ist__server_note *note, ist__connection *out,
                             ist_error *err)
{
    size_t scheme = strlen(databricks_scheme);
    if (strncmp(uri, sqlite_scheme, strlen(sqlite_scheme)) == 0) {
        out->sqlite = uri + strlen(sqlite_scheme);
        return IST_OK;
    }
    if (strncmp(uri, databricks_scheme, scheme) == 0 && (uri[scheme] == '\0' || uri[scheme] == ':')) {
        const char *name = uri[scheme] && uri[scheme + 1] ? uri + scheme + 1 : environment("DATABRICKS_CONFIG_PROFILE");
        IST_TRY(find_databricks(name, out, err));
        return PUT(out->token, "the catalog token", token, err);
    }
    IST_TRY(set_host(uri, false, out->host, err));
    return token ? PUT(out->token, "the catalog token", token, err) : find_token(note, out, err);
}

static ist_status find_unnamed(const ist_catalog_options *options, const ist__server_note *note,
                               const ist_error *note_error, ist__connection *out, ist_error *err)
{
    const char *profile = environment("DATABRICKS_CONFIG_PROFILE"), *token = environment("ISTHMUS_TOKEN");
    if (profile || environment("DATABRICKS_HOST")) {
        IST_TRY(find_databricks(profile, out, err));
        return PUT(out->token, "the catalog token", options->token, err);
    }
    if (*note->url) {
        IST_TRY(use_note(note, out, err));
        return PUT(out->token, "the catalog token", options->token ? options->token : token, err);
    }
    if (note_error->status != IST_NOT_FOUND)
        return ist_error_set(err, note_error->status, note_error->code, note_error->where, "%s", note_error->message);
    ist_error problem = IST_ERROR_INIT;
    ist_status status = find_databricks(NULL, out, &problem);
    if (status == IST_NOT_FOUND)
        return ist_error_set(err, status, 0, note_error->where,
                             "no catalog: start one with `isthmus serve`, or set ISTHMUS_CATALOG to the URL of a Unity "
                             "Catalog server, or DATABRICKS_HOST and DATABRICKS_TOKEN");
    if (status != IST_OK && err)
        *err = problem;
    return status == IST_OK ? PUT(out->token, "the catalog token", options->token, err) : status;
}

/* Client credentials and a token at once: the token is what was said last. */
static void settle(ist__connection *connection, const char *token)
{
    if (token && *token)
        connection->client_id[0] = connection->client_secret[0] = '\0';
}

ist_status ist__connection_find(const ist_catalog_options *options, ist__connection *out, ist_error *err)
{
    const char *uri = options->uri ? options->uri : environment("ISTHMUS_CATALOG");
    const char *token = options->token ? options->token : environment("ISTHMUS_TOKEN");
    ist_buffer home = IST_BUFFER_INIT;
    ist__server_note note = {0};
    ist_error note_error = IST_ERROR_INIT;
    memset(out, 0, sizeof *out);
    out->uri = uri;
    if (ist__home(false, &home, &note_error) == IST_OK &&
        ist__server_note_read(home.data, &note, &note_error) != IST_OK)
        note.url[0] = '\0';
    ist_status status = uri ? find_named(uri, token, &note, out, err)
                            : find_unnamed(options, &note, &note_error, out, err);
    const char *ca_file = options->ca_file ? options->ca_file : environment("ISTHMUS_CA_FILE");
    if (status == IST_OK && ca_file)
        status = PUT(out->ca_file, "the name of the CA file", ca_file, err);
    settle(out, uri ? token : options->token);
    out->timeout_ms = options->timeout_ms;
    explicit_bzero(&note, sizeof note);
    ist_buffer_free(&home);
    return status;
}

void ist__connection_wipe(ist__connection *connection)
{
    explicit_bzero(connection, sizeof *connection);
}
