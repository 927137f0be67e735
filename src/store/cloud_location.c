/*
 * cloud_location.c: where a location in a cloud leads: s3://bucket/key, gs://bucket/key,
 * abfss://container@account.dfs.core.windows.net/key (abfs, wasb, wasbs) and https://account.blob.core.windows.net/c/key.
 */
#include "store/http_store.h"

#include "util/util.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef enum shape { BUCKET, CONTAINER_AT_HOST, HOST_THEN_CONTAINER } shape;

static const struct scheme {
    const char *name;
    shape shape;
} schemes[] = {
    {"s3", BUCKET},
    {"s3a", BUCKET},
    {"gs", BUCKET},
    {"abfss", CONTAINER_AT_HOST},
    {"abfs", CONTAINER_AT_HOST},
    {"wasbs", CONTAINER_AT_HOST},
    {"wasb", CONTAINER_AT_HOST},
    {"https", HOST_THEN_CONTAINER},
};

static const struct scheme *find_scheme(const char *uri)
{
    size_t size = strcspn(uri, ":");
    if (strncmp(uri + size, "://", 3) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i].name) == size && strncasecmp(uri, schemes[i].name, size) == 0)
            return &schemes[i];
    return NULL;
}

bool ist__cloud_is_location(const char *uri)
{
    return find_scheme(uri) != NULL;
}

/* Copy a piece that may hold letters, digits and `also`. */
static bool take(const char *from, size_t size, const char *also, char *out, size_t capacity)
{
    if (size == 0 || size >= capacity)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)from[i]) && !strchr(also, from[i]))
            return false;
    memcpy(out, from, size);
    out[size] = '\0';
    return true;
}

/* "account.dfs.core.windows.net" or "account.blob.core.windows.net", of any of Azure's clouds. */
static bool take_host(const char *from, size_t size, ist__cloud_location *out)
{
    if (!take(from, size, ".-", out->host, sizeof out->host))
        return false;
    for (char *at = out->host; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    size_t account = strcspn(out->host, ".");
    return (strncmp(out->host + account, ".dfs.", 5) == 0 || strncmp(out->host + account, ".blob.", 6) == 0) &&
           take(out->host, account, "", out->account, sizeof out->account);
}

/* The key beneath the bucket: decoded, without empty and "." segments. */
static ist_status take_key(const char *uri, const char *from, ist__cloud_location *out, ist_error *err)
{
    ist_buffer decoded = {.limit = 4 * sizeof out->key};
    size_t size = 0;
    ist_status status = ist__uri_decode(from, strlen(from), &decoded, err);
    for (const char *segment = status == IST_OK && decoded.size ? decoded.data : ""; *segment;) {
        segment += strspn(segment, "/");
        size_t length = strcspn(segment, "/");
        bool dots = length == 2 && strncmp(segment, "..", 2) == 0;
        if (dots || size + length + 2 > sizeof out->key) {
            status = ist_error_set(err, IST_BAD_INPUT, 0, uri, "location '%.200s' %s", uri,
                                   dots ? "may not contain '..'" : "is longer than a storage service takes");
            break;
        }
        if (length > 0 && !(length == 1 && *segment == '.')) {
            if (size > 0)
                out->key[size++] = '/';
            memcpy(out->key + size, segment, length);
            size += length;
        }
        segment += length;
    }
    out->key[size] = '\0';
    ist_buffer_free(&decoded);
    return status;
}

ist_status ist__cloud_location_read(const char *uri, ist__cloud_location *out, ist_error *err)
{
    const struct scheme *scheme = find_scheme(uri);
    memset(out, 0, sizeof *out);
    if (!scheme)
        return ist_error_set(err, IST_UNSUPPORTED, 0, uri, "no storage service is known for '%.200s'", uri);
    snprintf(out->scheme, sizeof out->scheme, "%s", scheme->name);
    const char *at = strstr(uri, "://") + 3;
    size_t size = strcspn(at, "/");
    bool good;
    if (scheme->shape == BUCKET) {
        good = take(at, size, ".-_", out->bucket, sizeof out->bucket);
    } else if (scheme->shape == CONTAINER_AT_HOST) {
        size_t container = strcspn(at, "@/");
        good = at[container] == '@' && take(at, container, "-$_", out->bucket, sizeof out->bucket) &&
               take_host(at + container + 1, size - container - 1, out);
    } else {
        good = take_host(at, size, out);
        at += size;
        at += strspn(at, "/");
        size = strcspn(at, "/");
        good = good && take(at, size, "-$_", out->bucket, sizeof out->bucket);
    }
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, uri,
                             "location '%.200s' is not of the form s3://bucket/path, gs://bucket/path or "
                             "abfss://container@account.dfs.core.windows.net/path", uri);
    return take_key(uri, at + size, out, err);
}

ist_status ist__cloud_location_write(const ist__cloud_location *location, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_printf(out, err, "%s://", location->scheme));
    if (strcmp(location->scheme, "https") == 0)
        IST_TRY(ist_buffer_printf(out, err, "%s/%s", location->host, location->bucket));
    else if (location->account[0])
        IST_TRY(ist_buffer_printf(out, err, "%s@%s", location->bucket, location->host));
    else
        IST_TRY(ist_buffer_append_string(out, location->bucket, err));
    if (!location->key[0])
        return IST_OK;
    IST_TRY(ist_buffer_append(out, "/", 1, err));
    return ist__uri_encode(location->key, strlen(location->key), "/=:@+,", out, err);
}
