/*
 * vend_config.h: what the server knows about storage: `isthmus serve --storage-config FILE`. Library-private.
 *
 * The file is JSON: {"locations": [{"url": ..., ...}], "life_seconds": 3600, "cache_seconds": 60}. It holds secrets, so
 * nobody but its owner may be able to read it. Members: the one table in vend_config.c; vending.md tells what they mean.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_VEND_CONFIG_H
#define ISTHMUS_CATALOG_LOCAL_VEND_CONFIG_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

enum {
    IST__VEND_CONFIG_MAX = 1 << 20, /* bytes of the file */
    IST__VEND_LIFE_MAX_S = 43200,   /* the longest that S3's token service gives */
    IST__VEND_LIFE_MIN_S = 900,     /* and the shortest */
};

/* One bucket, container or folder in it, or all of a service ("s3://"). Texts are NULL where the file has none. */
typedef struct ist__vend_location {
    char *url, *endpoint, *region;
    bool path_style, path_style_set;
    char *access_key_id, *secret_access_key, *session_token, *role_arn, *external_id, *sts_endpoint;
    bool give_keys;
    char *account_key, *tenant_id, *client_id, *client_secret, *login_endpoint;
    bool flat_namespace;
    char *key_file, *token_endpoint;
} ist__vend_location;

typedef struct ist__vend_config {
    ist__vend_location *locations;
    size_t count;
    int64_t life_seconds, cache_seconds;
} ist__vend_config;

/* Errors: IST_BAD_INPUT (no such member, of another type, for another service; readable by others), IST_NOT_FOUND,
 * IST_IO. The caller frees *out with ist__vend_config_free, also after an error. */
ist_status ist__vend_config_read(const char *path, ist__vend_config *out, ist_error *err);
/* The same of the file's text; name: for messages. */
ist_status ist__vend_config_parse(const char *text, size_t size, const char *name, ist__vend_config *out,
                                  ist_error *err);
void ist__vend_config_free(ist__vend_config *config);

/* The location with the longest url that is `url` or above it; NULL where there is none. */
const ist__vend_location *ist__vend_config_find(const ist__vend_config *config, const char *url);

IST_END_DECLS

#endif
