/* storage_options.c: names of options, of delta-rs and object_store, and what they become: credentials. */
#include "store/storage_options.h"

#include "store/http_store.h"
#include "util/util.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { S3 = 1, AZURE = 2, GOOGLE = 4, ALL = 7 };

static const char *const prefixes[] = {"aws_", "azure_storage_", "azure_", "google_"};

/* Each name also goes without its prefix, and in any case. */
static const struct name {
    const char *text;
    int services;
    ist__storage_option option;
} names[] = {
    {"aws_access_key_id", S3, IST__OPTION_KEY_ID},
    {"aws_secret_access_key", S3, IST__OPTION_SECRET_KEY},
    {"aws_session_token", S3, IST__OPTION_SESSION_TOKEN},
    {"aws_token", S3, IST__OPTION_SESSION_TOKEN},
    {"aws_region", S3, IST__OPTION_REGION},
    {"aws_default_region", S3, IST__OPTION_REGION},
    {"aws_endpoint_url", S3, IST__OPTION_ENDPOINT},
    {"aws_endpoint_url_s3", S3, IST__OPTION_ENDPOINT},
    {"aws_endpoint", S3, IST__OPTION_ENDPOINT},
    {"aws_virtual_hosted_style_request", S3, IST__OPTION_VIRTUAL_HOSTED},
    {"aws_profile", S3, IST__OPTION_PROFILE},
    {"aws_skip_signature", S3, IST__OPTION_UNSIGNED},
    {"aws_s3_allow_unsafe_rename", S3, IST__OPTION_NO_EFFECT}, /* commits are put-if-absent, never renames */
    {"azure_storage_account_name", AZURE, IST__OPTION_ACCOUNT},
    {"azure_storage_account", AZURE, IST__OPTION_ACCOUNT},
    {"azure_storage_account_key", AZURE, IST__OPTION_ACCOUNT_KEY},
    {"azure_storage_access_key", AZURE, IST__OPTION_ACCOUNT_KEY},
    {"azure_storage_master_key", AZURE, IST__OPTION_ACCOUNT_KEY},
    {"azure_storage_key", AZURE, IST__OPTION_ACCOUNT_KEY},
    {"azure_storage_sas_token", AZURE, IST__OPTION_SAS},
    {"azure_storage_sas_key", AZURE, IST__OPTION_SAS},
    {"azure_storage_endpoint", AZURE, IST__OPTION_ENDPOINT},
    {"azure_endpoint", AZURE, IST__OPTION_ENDPOINT},
    {"azure_skip_signature", AZURE, IST__OPTION_UNSIGNED},
    {"google_service_account", GOOGLE, IST__OPTION_KEY_FILE},
    {"google_service_account_path", GOOGLE, IST__OPTION_KEY_FILE},
    {"google_application_credentials", GOOGLE, IST__OPTION_KEY_FILE},
    {"google_service_account_key", GOOGLE, IST__OPTION_KEY_JSON},
    {"google_base_url", GOOGLE, IST__OPTION_ENDPOINT},
    {"storage_emulator_host", GOOGLE, IST__OPTION_ENDPOINT},
    {"google_skip_signature", GOOGLE, IST__OPTION_UNSIGNED},
    {"allow_http", ALL, IST__OPTION_NO_EFFECT}, /* an endpoint that is http://... says it */
    {"aws_allow_http", S3, IST__OPTION_NO_EFFECT},
    {"azure_allow_http", AZURE, IST__OPTION_NO_EFFECT},
    {"google_allow_http", GOOGLE, IST__OPTION_NO_EFFECT},
};

enum { NAME_COUNT = sizeof names / sizeof *names };

/* Reading ---------------------------------------------------------------------------------------------------------- */

static bool is_name(const struct name *name, const char *given)
{
    bool is = strcasecmp(name->text, given) == 0;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t size = strlen(prefixes[i]);
        is = is || (strncmp(name->text, prefixes[i], size) == 0 && strcasecmp(name->text + size, given) == 0);
    }
    return is;
}

static ist_status unknown(const char *given, int service, ist_error *err)
{
    ist_buffer known = IST_BUFFER_INIT;
    for (int i = 0; i < NAME_COUNT; i++)
        if (names[i].services & service)
            ist_buffer_printf(&known, NULL, "%s%s", known.size ? ", " : "", names[i].text);
    ist_status status = ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                      "'%.100s' is no storage option that Isthmus knows for this location; those are %s",
                                      given, known.data ? known.data : "");
    ist_buffer_free(&known);
    return status;
}

/* An endpoint becomes part of URLs and of JSON. */
static ist_status check_endpoint(const char *text, ist_error *err)
{
    bool good = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    for (const char *at = text; good && *at; at++)
        good = (unsigned char)*at > 0x20 && (unsigned char)*at < 0x7F && *at != '"' && *at != '\\';
    return good ? IST_OK
                : ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                "the endpoint '%.200s' of the storage options is not http://... or https://...", text);
}

static ist_status take_option(yyjson_val *key, yyjson_val *value, int service, ist__storage_options *out, ist_error *err)
{
    const char *given = yyjson_get_str(key), *text = yyjson_get_str(value);
    int i = 0;
    while (i < NAME_COUNT && !((names[i].services & service) && is_name(&names[i], given)))
        i++;
    if (i == NAME_COUNT)
        return unknown(given, service, err);
    if (!text || strlen(text) != yyjson_get_len(value))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the storage option '%.100s' is not a text", given);
    if (names[i].option == IST__OPTION_ENDPOINT)
        IST_TRY(check_endpoint(text, err));
    if (*text)
        out->text[names[i].option] = text;
    return IST_OK;
}

const char *ist__storage_setting(const ist__storage_options *options, ist__storage_option option, const char *variable)
{
    const char *value = options->text[option];
    if (!value)
        value = getenv(variable);
    return value && *value ? value : NULL;
}

bool ist__storage_is_true(const ist__storage_options *options, ist__storage_option option)
{
    const char *text = options->text[option];
    return text && (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

/* Becoming credentials --------------------------------------------------------------------------------------------- */

void ist__storage_describe(const ist__storage_options *options, bool is_unsigned, yyjson_mut_doc *doc,
                           yyjson_mut_val *root)
{
    const char *endpoint = options->text[IST__OPTION_ENDPOINT], *region = options->text[IST__OPTION_REGION];
    bool styled = options->text[IST__OPTION_VIRTUAL_HOSTED] != NULL;
    if (!endpoint && !region && !styled && !is_unsigned)
        return;
    yyjson_mut_val *storage = yyjson_mut_obj_add_obj(doc, root, "isthmus_storage");
    if (endpoint)
        yyjson_mut_obj_add_strcpy(doc, storage, "endpoint", endpoint);
    if (region)
        yyjson_mut_obj_add_strcpy(doc, storage, "region", region);
    if (styled)
        yyjson_mut_obj_add_bool(doc, storage, "path_style",
                                !ist__storage_is_true(options, IST__OPTION_VIRTUAL_HOSTED));
    if (is_unsigned)
        yyjson_mut_obj_add_bool(doc, storage, "unsigned", true);
}

static ist_status anonymous(const ist__storage_options *options, ist_credentials **out, ist_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    ist__storage_describe(options, true, doc, root);
    return ist__cloud_static(doc, out, err);
}

static int service_of(const ist__cloud_location *location)
{
    return location->account[0] ? AZURE : strcmp(location->scheme, "gs") == 0 ? GOOGLE : S3;
}

ist_status ist__storage_credentials(const ist__cloud_location *location, const ist__storage_options *options,
                                    ist_credentials **out, ist_error *err)
{
    *out = NULL;
    if (ist__storage_is_true(options, IST__OPTION_UNSIGNED))
        return IST_OK;
    switch (service_of(location)) {
    case AZURE:
        return ist__azure_credentials(location, options, out, err);
    case GOOGLE:
        return ist__gcs_credentials(options, out, err);
    default:
        return ist__s3_credentials(options, out, err);
    }
}

ist_status ist_credentials_from_options(const char *uri, const char *json, ist_credentials **out, ist_error *err)
{
    ist__cloud_location location;
    ist__storage_options options = {0};
    ist_status status;
    yyjson_val *key, *value;
    size_t i, max;
    *out = NULL;
    if (!ist__cloud_is_location(uri))
        return ist_error_set(err, IST_UNSUPPORTED, 0, uri, "storage options are for s3:, gs: and abfss: locations, not for %.200s",
                             uri);
    IST_TRY(ist__cloud_location_read(uri, &location, err));
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    if (!yyjson_is_obj(yyjson_doc_get_root(doc))) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the storage options are not a JSON object");
        goto done;
    }
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, value)
        IST_TRY_GOTO(take_option(key, value, service_of(&location), &options, err));
    IST_TRY_GOTO(ist__storage_credentials(&location, &options, out, err));
    status = *out ? IST_OK : anonymous(&options, out, err);
done:
    yyjson_doc_free(doc);
    return status;
}
