/*
 * catalog_internal.h: what the two catalogs, their server and their tests share. Library-private.
 */
#ifndef ISTHMUS_CATALOG_CATALOG_INTERNAL_H
#define ISTHMUS_CATALOG_CATALOG_INTERNAL_H

#include "isthmus/catalog.h"
#include "util/util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <yyjson.h>

IST_BEGIN_DECLS

#define IST__CATALOG_PATH "/api/2.1/unity-catalog"
#define IST__COMMITS_PATH IST__CATALOG_PATH "/delta/preview/commits"
#define IST__DELTA_PATH IST__CATALOG_PATH "/delta/v1"
#define IST__LINEAGE_POST_PATH "/api/v1/lineage" /* where OpenLineage's HTTP transport posts */
#define IST__LINEAGE_GET_PATH "/api/2.1/isthmus/lineage"
#define IST__FILES_PATH "/api/2.1/isthmus/files" /* bytes of `file:` locations, for whom a token was given */
#define IST__HEALTH_PATH "/healthz" /* answers without a token */

enum {
    IST__NAME_MAX = 255,                   /* of one part of a name */
    IST__PAGE_MAX = 100,                   /* objects of one page of a list, also the default: as Unity Catalog's */
    IST__LOCATION_MAX = 4096,              /* bytes of a location */
    IST__TOKEN_MAX = 16384,                /* bytes of a bearer token */
    IST__CATALOG_REPLY_MAX = 64 << 20,     /* bytes of one answer of a catalog server */
    IST__CATALOG_BODY_MAX = 16 << 20,      /* bytes of one request to a catalog server */
};

/* catalog_names.c ------------------------------------------------------------------------------------------------- */

enum { IST__SECURABLE_COUNT = IST_SECURABLE_METASTORE + 1, IST__NAME_PARTS_MAX = 4 };

/* A full name, split: part[0..count) are catalog, schema, table or the like, version of a model. */
typedef struct ist__name {
    int count;
    char part[IST__NAME_PARTS_MAX][IST__NAME_MAX + 1];
} ist__name;

/* Parts of the full name of an object of this kind: 0 to 4. */
int ist__securable_parts(ist_securable kind);
/* What it is in; the metastore's is the metastore. */
ist_securable ist__securable_parent(ist_securable kind);
/* "Catalog", "External location": in messages. All four are static storage. */
const char *ist__securable_label(ist_securable kind);
/* "catalogs", "external_locations": the member of a list's answer. */
const char *ist__securable_plural(ist_securable kind);
/* "catalogs", "external-locations": the segment of the REST path. */
const char *ist__securable_path(ist_securable kind);
/* "catalog", "external_location": Unity Catalog's securable_type. */
const char *ist__securable_type(ist_securable kind);

/* Split a dotted name of exactly `parts` parts (0 to 4), any of them in backquotes. Errors: IST_BAD_INPUT. */
ist_status ist__name_split(const char *full_name, int parts, ist__name *out, ist_error *err);
/* Append the parts joined by dots. */
ist_status ist__name_join(const ist__name *name, ist_buffer *out, ist_error *err);
/* Is it fit for a new object? Errors: IST_BAD_INPUT. */
ist_status ist__name_check(const char *part, ist_error *err);

/*
 * Append the canonical form of a location, so that one place has one spelling: "file:///a/b" for "/a/b", "file:/a/./b/"
 * and the like; s3, gs, abfs, abfss without trailing slashes. Errors: IST_BAD_INPUT (relative, other scheme, no URI).
 */
ist_status ist__location_normalize(const char *location, ist_buffer *out, ist_error *err);

/* catalog_errors.c ------------------------------------------------------------------------------------------------ */

/* The error codes of Unity Catalog that Isthmus' catalogs give. */
typedef enum ist__uc_code {
    IST__UC_INVALID_ARGUMENT,
    IST__UC_INVALID_PARAMETER_VALUE, /* as INVALID_ARGUMENT, on Databricks' own paths */
    IST__UC_NOT_FOUND,
    IST__UC_RESOURCE_DOES_NOT_EXIST, /* as NOT_FOUND, on Databricks' own paths */
    IST__UC_CATALOG_NOT_FOUND,
    IST__UC_SCHEMA_NOT_FOUND,
    IST__UC_TABLE_NOT_FOUND,
    IST__UC_CATALOG_ALREADY_EXISTS,
    IST__UC_SCHEMA_ALREADY_EXISTS,
    IST__UC_TABLE_ALREADY_EXISTS,
    IST__UC_RESOURCE_ALREADY_EXISTS,
    IST__UC_ALREADY_EXISTS,
    IST__UC_STORAGE_CREDENTIAL_ALREADY_EXISTS,
    IST__UC_EXTERNAL_LOCATION_ALREADY_EXISTS,
    IST__UC_ABORTED,
    IST__UC_COMMIT_VERSION_CONFLICT,
    IST__UC_UPDATE_REQUIREMENT_CONFLICT,
    IST__UC_COMMIT_STATE_UNKNOWN,
    IST__UC_OUT_OF_RANGE,
    IST__UC_UNSUPPORTED_TABLE_FORMAT,
    IST__UC_FAILED_PRECONDITION,
    IST__UC_PERMISSION_DENIED,
    IST__UC_UNAUTHENTICATED,
    IST__UC_RESOURCE_EXHAUSTED,
    IST__UC_METHOD_NOT_ALLOWED,
    IST__UC_PAYLOAD_TOO_LARGE,
    IST__UC_UNIMPLEMENTED,
    IST__UC_TEMPORARILY_UNAVAILABLE,
    IST__UC_INTERNAL,
} ist__uc_code;

/* Write an error with this code: err->code is its HTTP status, err->where its name. Returns its ist_status. */
ist_status ist__uc_error(ist_error *err, ist__uc_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The code that an error goes out with: the one it was written with, else the nearest to its status. */
ist__uc_code ist__uc_code_of(const ist_error *err);
const char *ist__uc_code_name(ist__uc_code code);
int ist__uc_code_http(ist__uc_code code);
/*
 * Turn a server's refusal into an error.
 *   http          its HTTP status, not 2xx
 *   body          its answer: Unity Catalog's error body, or anything
 *   what          the request in words, for answers that say nothing
 */
ist_status ist__uc_error_from_reply(int http, const char *body, size_t size, const char *what, ist_error *err);
/* Append Unity Catalog's error body. */
ist_status ist__uc_error_body(const ist_error *error, ist_buffer *out, ist_error *err);
/* The same in the form of Unity Catalog's Delta API, {"error": {message, type, code}}; *http is its HTTP status there. */
ist_status ist__delta_error_body(const ist_error *error, int *http, ist_buffer *out, ist_error *err);

/* discovery.c ----------------------------------------------------------------------------------------------------- */

/* What a running `isthmus serve` tells clients of its machine: <home>/server.json. */
typedef struct ist__server_note {
    char url[256];
    char token[256];
    char ca_file[1024]; /* what an https server is checked against; "" for the system's authorities */
    int64_t pid;
} ist__server_note;

/* Errors: IST_NOT_FOUND (no such file), IST_BAD_INPUT, IST_IO. */
ist_status ist__server_note_read(const char *home, ist__server_note *out, ist_error *err);
ist_status ist__server_note_write(const char *home, const ist__server_note *note, ist_error *err);
/* Write a file of mode 0600 so that a reader sees all of it or the one before. */
ist_status ist__write_private(const char *path, const char *data, size_t size, ist_error *err);

/* connection.c ---------------------------------------------------------------------------------------------------- */

/* Which catalog, and as whom. The texts are "" where they are not known. Wiped by ist__connection_wipe. */
typedef struct ist__connection {
    const char *uri;    /* what was asked for, borrowed; NULL for what was found */
    const char *sqlite; /* path of the local catalog's database, borrowed; NULL for a server */
    char host[512]; /* "https://host[:port]" */
    char token[IST__TOKEN_MAX + 1];
    char client_id[256]; /* OAuth client credentials */
    char client_secret[1024];
    char ca_file[1024];
    int64_t timeout_ms;
} ist__connection;

/* Find what to connect to, in the order that isthmus/catalog.h tells. Errors: those of ist_catalog_open. */
ist_status ist__connection_find(const ist_catalog_options *options, ist__connection *out, ist_error *err);
void ist__connection_wipe(ist__connection *connection);

/* databricks_profile.c -------------------------------------------------------------------------------------------- */

/* One section of a ~/.databrickscfg; "" for what it does not say. Holds secrets. */
typedef struct ist__profile {
    char host[512];
    char token[IST__TOKEN_MAX + 1];
    char client_id[256];
    char client_secret[1024];
    char auth_type[64];
} ist__profile;

enum { IST__PROFILE_FILE_MAX = 1 << 20 };

/*
 * Read the section `name` of an INI text. Keys that are none of the struct's are passed over.
 * Errors: IST_NOT_FOUND (no such section), IST_BAD_INPUT (a line of the section that is no "key = value", a value that
 * is too long: the message has the line's number and nothing of what is in it).
 */
ist_status ist__profile_read(const char *text, size_t size, const char *name, ist__profile *out, ist_error *err);

/* The two catalogs ------------------------------------------------------------------------------------------------ */

/* What a catalog implements; the calls of isthmus/catalog.h with names already split. `out` is never NULL. */
typedef struct ist__catalog_backend {
    ist_status (*create)(void *self, ist_securable kind, const char *body, ist_buffer *out, ist_error *err);
    ist_status (*get)(void *self, ist_securable kind, const ist__name *name, ist_buffer *out, ist_error *err);
    ist_status (*update)(void *self, ist_securable kind, const ist__name *name, const char *patch, ist_buffer *out,
                         ist_error *err);
    ist_status (*remove)(void *self, ist_securable kind, const ist__name *name, bool force, ist_error *err);
    ist_status (*list)(void *self, ist_securable kind, const ist__name *parent, int max_results,
                       const char *page_token, ist_buffer *out, ist_error *err);
    ist_status (*create_staging_table)(void *self, const ist__name *name, ist_buffer *out, ist_error *err);
    ist_status (*get_credentials)(void *self, const char *request, ist_buffer *out, ist_error *err);
    ist_status (*get_commits)(void *self, const char *request, ist_buffer *out, ist_error *err);
    ist_status (*commit)(void *self, const char *body, ist_error *err);
    ist_status (*get_metastore)(void *self, ist_buffer *out, ist_error *err);
    ist_status (*post_lineage)(void *self, const char *event, ist_error *err);
    ist_status (*get_lineage)(void *self, const char *dataset, int depth, bool columns, ist_buffer *out,
                              ist_error *err);
    /* The rest is NULL where there is no REST API behind it. */
    ist_status (*get_grants)(void *self, ist_securable kind, const ist__name *name, const char *principal,
                             ist_buffer *out, ist_error *err);
    ist_status (*update_grants)(void *self, ist_securable kind, const ist__name *name, const char *changes,
                                ist_buffer *out, ist_error *err);
    /* deadline_us: of the monotonic clock, where it is before the end of the connection's own timeout; 0 for none. */
    ist_status (*request)(void *self, const char *method, const char *path, const char *body, int64_t deadline_us,
                          ist_buffer *out, ist_error *err);
    /* A request of Unity Catalog's Delta API (delta_api.h): `path` is from its version's root on. repeatable: done twice it
     * is as good as once. 429 is an answer. */
    ist_status (*delta_request)(void *self, const char *method, const char *path, const char *body, bool repeatable,
                                ist_buffer *out, ist_error *err);
    /* Append the bearer token of the moment, a secret; nothing where there is none. NULL where there are no tokens. */
    ist_status (*get_token)(void *self, ist_buffer *out, ist_error *err);
    void (*free)(void *self);
} ist__catalog_backend;

/* credential_cache.c */
typedef struct ist__credential_cache ist__credential_cache;
void ist__credential_cache_free(ist__credential_cache *cache);

struct ist_catalog {
    const ist__catalog_backend *backend;
    void *self;
    char *uri;     /* "https://host", "sqlite:/path" */
    char *ca_file; /* as it was found; NULL for the system's */
    struct ist__http *links; /* connections to what the server links to: results of statements */
    atomic_int delta_api;  /* delta_api.c: does the server speak it? */
    atomic_int references; /* the caller's, and one for each ist_credentials that renews itself through it */
    pthread_mutex_t mutex; /* guards `credentials` */
    ist__credential_cache *credentials;
};

ist_catalog *ist__catalog_hold(ist_catalog *catalog);
void ist__catalog_release(ist_catalog *catalog);

/* Append a 2xx answer, which must be a JSON object; with any_json any JSON, or nothing. Errors: IST_BAD_INPUT. */
ist_status ist__uc_reply_check(const char *body, size_t size, bool any_json, ist_buffer *out, ist_error *err);
/* Fill *out. */
ist_status ist__uc_open(const ist__connection *connection, ist_catalog *out, ist_error *err);
/* path of the database; storage_root NULL for its folder + /warehouse. */
ist_status ist__local_open(const char *path, const char *storage_root, ist_catalog *out, ist_error *err);

/* ist_catalog_request that ends at deadline_us of the monotonic clock, or by its own timeout; 0 for none besides. */
ist_status ist__catalog_request(ist_catalog *catalog, const char *method, const char *path, const char *body,
                                int64_t deadline_us, ist_buffer *out, ist_error *err);
/*
 * The connection as members of a JSON object, for another process: catalog, token (of the moment, a secret), ca_file.
 * And from there: what is not told is found as by ist_catalog_open. (open_table.c)
 */
ist_status ist__catalog_tell(const ist_catalog *catalog, yyjson_mut_doc *doc, yyjson_mut_val *object, ist_error *err);
ist_status ist__catalog_open_told(yyjson_val *object, ist_catalog **out, ist_error *err);

/* Append {"metastore_id"}. */
ist_status ist__catalog_get_metastore(ist_catalog *catalog, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
