/* vend_config.c: reading the storage configuration by one table of members. */
#include "catalog/local/vend_config.h"

#include "catalog/catalog_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yyjson.h>

enum { S3 = 1, AZURE = 2, GCS = 4, ALL = 7 };

typedef enum type { TEXT, BOOLEAN } type;

/* All members of a location. */
static const struct member {
    const char *name;
    type type;
    size_t offset;
    int services; /* that it is for */
} members[] = {
#define MEMBER(name, type, services) {#name, type, offsetof(ist__vend_location, name), services}
    MEMBER(url, TEXT, ALL),
    MEMBER(endpoint, TEXT, ALL), /* where the service is, if not at its usual address */
    MEMBER(region, TEXT, S3),
    MEMBER(path_style, BOOLEAN, S3), /* the bucket is in the path, not in the host's name */
    MEMBER(access_key_id, TEXT, S3),
    MEMBER(secret_access_key, TEXT, S3),
    MEMBER(session_token, TEXT, S3),
    MEMBER(role_arn, TEXT, S3), /* the role to assume, narrowed down to each location */
    MEMBER(external_id, TEXT, S3),
    MEMBER(sts_endpoint, TEXT, S3),
    MEMBER(give_keys, BOOLEAN, S3), /* no role: give out the keys above as they are */
    MEMBER(account_key, TEXT, AZURE),
    MEMBER(tenant_id, TEXT, AZURE), /* of a service principal: signs in the account key's place */
    MEMBER(client_id, TEXT, AZURE),
    MEMBER(client_secret, TEXT, AZURE),
    MEMBER(login_endpoint, TEXT, AZURE),
    MEMBER(flat_namespace, BOOLEAN, AZURE), /* the account has no folders: signatures are for the container */
    MEMBER(key_file, TEXT, GCS),            /* of the service account */
    MEMBER(token_endpoint, TEXT, GCS),      /* that narrows tokens down */
#undef MEMBER
};

enum { MEMBER_COUNT = sizeof members / sizeof *members };

static int service_of(const char *url)
{
    if (strncmp(url, "s3://", 5) == 0)
        return S3;
    if (strncmp(url, "gs://", 5) == 0)
        return GCS;
    return strncmp(url, "abfs://", 7) == 0 || strncmp(url, "abfss://", 8) == 0 ? AZURE : 0;
}

static const struct member *find_member(const char *name)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    return NULL;
}

static ist_status read_member(const char *key, yyjson_val *value, int service, ist__vend_location *out, ist_error *err)
{
    const struct member *member = find_member(key);
    if (!member)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "there is no member '%.60s'", key);
    if (!(member->services & service))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' is not for this service", key);
    if (member->type == BOOLEAN) {
        if (!yyjson_is_bool(value))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' must be true or false", key);
        *(bool *)((char *)out + member->offset) = yyjson_get_bool(value);
        out->path_style_set = out->path_style_set || member->offset == offsetof(ist__vend_location, path_style);
        return IST_OK;
    }
    if (!yyjson_is_str(value) || !*yyjson_get_str(value))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' must be a text", key);
    char **text = (char **)((char *)out + member->offset);
    return *text ? ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' is there twice", key)
                 : ist__strdup(yyjson_get_str(value), text, err);
}

/* Do the members say how credentials are made? */
static ist_status check_location(const ist__vend_location *l, int service, ist_error *err)
{
    bool principal = l->tenant_id && l->client_id && l->client_secret;
    if (service == S3 && (!l->access_key_id || !l->secret_access_key))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'access_key_id' and 'secret_access_key' are missing");
    if (service == AZURE && !l->account_key && !principal)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "'account_key', or 'tenant_id', 'client_id' and 'client_secret', are missing");
    if (service == GCS && !l->key_file)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'key_file' is missing");
    return IST_OK;
}

static ist_status read_location(yyjson_val *object, ist__vend_location *out, ist_error *err)
{
    size_t index, count;
    yyjson_val *key, *value;
    const char *url = yyjson_get_str(yyjson_obj_get(object, "url"));
    int service = url ? service_of(url) : 0;
    if (service == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'url' must be s3://..., abfss://..., abfs://... or gs://...");
    yyjson_obj_foreach(object, index, count, key, value)
        IST_TRY(read_member(yyjson_get_str(key), value, service, out, err));
    for (size_t size = strlen(out->url); size > 0 && out->url[size - 1] == '/' && !strstr(out->url + size - 2, "//");)
        out->url[--size] = '\0';
    return check_location(out, service, err);
}

static ist_status read_seconds(yyjson_val *root, const char *key, int64_t low, int64_t high, int64_t *out,
                               ist_error *err)
{
    yyjson_val *value = yyjson_obj_get(root, key);
    if (value && (!yyjson_is_int(value) || yyjson_get_sint(value) < low || yyjson_get_sint(value) > high))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%s' must be a number from %lld to %lld", key,
                             (long long)low, (long long)high);
    if (value)
        *out = yyjson_get_sint(value);
    return IST_OK;
}

static ist_status read_root(yyjson_val *root, ist__vend_config *out, ist_error *err)
{
    yyjson_val *locations = yyjson_obj_get(root, "locations"), *object;
    size_t index, count;
    if (!yyjson_is_arr(locations))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "it must be a JSON object with an array 'locations'");
    IST_TRY(read_seconds(root, "life_seconds", IST__VEND_LIFE_MIN_S, IST__VEND_LIFE_MAX_S, &out->life_seconds, err));
    IST_TRY(read_seconds(root, "cache_seconds", 0, IST__VEND_LIFE_MIN_S / 3, &out->cache_seconds, err));
    IST_TRY(ist__alloc(yyjson_arr_size(locations), sizeof *out->locations, (void **)&out->locations, err));
    yyjson_arr_foreach(locations, index, count, object) {
        out->count = index + 1;
        if (read_location(object, &out->locations[index], err) != IST_OK)
            return ist_error_context(err, "location %zu", index + 1);
    }
    return IST_OK;
}

ist_status ist__vend_config_parse(const char *text, size_t size, const char *name, ist__vend_config *out,
                                  ist_error *err)
{
    *out = (ist__vend_config){.life_seconds = 3600, .cache_seconds = 60};
    yyjson_doc *doc = size ? yyjson_read(text, size, 0) : NULL;
    ist_status status = read_root(yyjson_doc_get_root(doc), out, err);
    yyjson_doc_free(doc);
    return status == IST_OK ? IST_OK : ist_error_context(err, "the storage configuration %s", name);
}

ist_status ist__vend_config_read(const char *path, ist__vend_config *out, ist_error *err)
{
    struct stat info;
    ist_buffer text = IST_BUFFER_INIT;
    *out = (ist__vend_config){0};
    if (stat(path, &info) != 0)
        return ist_error_set(err, errno == ENOENT ? IST_NOT_FOUND : IST_IO, errno, path,
                             "cannot read the storage configuration %s: %s", path, strerror(errno));
    if (info.st_mode & 077)
        return ist_error_set(err, IST_BAD_INPUT, 0, path,
                             "others can read the storage configuration %s, and it holds secrets: chmod 600 %s", path,
                             path);
    ist_status status = ist__read_file(path, IST__VEND_CONFIG_MAX, &text, err);
    if (status == IST_OK)
        status = ist__vend_config_parse(text.data ? text.data : "", text.size, path, out, err);
    if (text.data)
        explicit_bzero(text.data, text.capacity);
    ist_buffer_free(&text);
    return status;
}

void ist__vend_config_free(ist__vend_config *config)
{
    for (size_t i = 0; i < config->count; i++)
        for (size_t k = 0; k < MEMBER_COUNT; k++) {
            char **text = (char **)((char *)&config->locations[i] + members[k].offset);
            if (members[k].type != TEXT || !*text)
                continue;
            explicit_bzero(*text, strlen(*text));
            free(*text);
        }
    free(config->locations);
    *config = (ist__vend_config){0};
}

const ist__vend_location *ist__vend_config_find(const ist__vend_config *config, const char *url)
{
    const ist__vend_location *best = NULL;
    size_t best_size = 0;
    for (size_t i = 0; i < config->count; i++) {
        size_t size = strlen(config->locations[i].url);
        bool above = strncmp(url, config->locations[i].url, size) == 0 &&
                     (url[size] == '\0' || url[size] == '/' || url[size - 1] == '/');
        if (above && size > best_size) {
            best = &config->locations[i];
            best_size = size;
        }
    }
    return best;
}
