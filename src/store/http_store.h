/*
 * http_store.h: the store over a cloud service's HTTP interface, without what differs between the services.
 *
 * http_store.c keeps the promises of isthmus/store.h: readers, writers in parts, listing page by page, put-if-absent
 * whose answer was lost, refreshing credentials. A backend (s3_store.c, azure_store.c, gcs_store.c) only says how one
 * operation is written as a request, and reads the answers' text. Library-private.
 */
#ifndef ISTHMUS_STORE_HTTP_STORE_H
#define ISTHMUS_STORE_HTTP_STORE_H

#include "store/http_client.h"
#include "store/storage_options.h"
#include "store/store_internal.h"

#include <yyjson.h>

IST_BEGIN_DECLS

enum {
    IST__CLOUD_PART_SIZE = 8 << 20, /* of an object that is written in parts; Google asks for a multiple of 256 KiB */
    IST__CLOUD_PARTS_MAX = 10000,   /* of one object: S3's limit */
    IST__CLOUD_PART_ID_MAX = 128,
};

typedef enum ist__cloud_verb {
    IST__CLOUD_READ,         /* range, etag of what may be read */
    IST__CLOUD_STAT,
    IST__CLOUD_WRITE,        /* body, if_absent, mark */
    IST__CLOUD_REMOVE,
    IST__CLOUD_LIST,         /* key is the folder with its '/'; start_after a whole key; token of the page */
    IST__CLOUD_UPLOAD_BEGIN, /* mark */
    IST__CLOUD_UPLOAD_PART,  /* upload, part, offset, body; size when it is the last one and known */
    IST__CLOUD_UPLOAD_END,   /* upload, parts, part_count, body: what end_body wrote */
    IST__CLOUD_UPLOAD_ABORT, /* upload */
} ist__cloud_verb;

/* One operation. Members that a verb does not name are 0. */
typedef struct ist__cloud_call {
    ist__cloud_verb verb;
    const char *key; /* of the object in its bucket */
    const char *range;
    const char *etag;
    bool if_absent;
    const char *mark; /* kept with the object as metadata, to know one's own put again */
    const void *body;
    size_t size;
    const char *start_after, *token;
    const char *upload;
    int part; /* from 1 */
    uint64_t offset;
    bool last;
    char (*parts)[IST__CLOUD_PART_ID_MAX];
    int part_count;
} ist__cloud_call;

/* A page of a listing, as a backend reads it. */
typedef struct ist__cloud_page {
    struct ist__cloud_object {
        char *key;
        uint64_t size;
        int64_t modified_ms;
    } *objects;
    size_t count, capacity;
    char *next; /* token of the next page; NULL after the last */
} ist__cloud_page;

typedef struct ist__cloud ist__cloud;

typedef struct ist__cloud_backend {
    const char *name;       /* "S3" */
    const char *hint;       /* for errors of authentication: where credentials come from when none were given */
    bool suffix_ranges;     /* "bytes=-N" is understood */
    int parts_at_once;      /* 1: parts must come in order */
    bool begin_is_needed;   /* parts belong to an upload that was begun */
    /* Write one operation as a request. credentials: the root of TemporaryCredentials; NULL: anonymous. */
    ist_status (*request)(const ist__cloud *store, const ist__cloud_call *call, yyjson_val *credentials,
                          ist__http_request *request, ist_error *err);
    /* Append the objects of a page, in order. Errors: IST_BAD_INPUT. */
    ist_status (*read_page)(const char *body, size_t size, ist__cloud_page *page, ist_error *err);
    /* From the answer to UPLOAD_BEGIN, append the id of the upload. Errors: IST_BAD_INPUT. */
    ist_status (*read_upload)(const ist__http_reply *reply, ist_buffer *upload, ist_error *err);
    /* The id of a part: by its number before it is sent, or from its answer. */
    ist_status (*part_id)(int part, const ist__http_reply *reply, char out[IST__CLOUD_PART_ID_MAX], ist_error *err);
    /* Append the body of UPLOAD_END. NULL: UPLOAD_END is no request, the last part ends it. */
    ist_status (*end_body)(const ist__cloud_call *call, ist_buffer *body, ist_error *err);
    /* The service's word for what went wrong ("NoSuchKey"); "" where the body has none. */
    void (*read_error)(const char *body, size_t size, char code[64]);
} ist__cloud_backend;

struct ist__cloud {
    struct ist_store base;
    const ist__cloud_backend *backend;
    ist__http *http;
    ist_credentials *credentials; /* NULL: anonymous */
    char *account;                /* Azure: "account"; else NULL */
    char *bucket;
    char *prefix;                 /* of every key: "" or "a/b/" */
    char *host;                   /* Azure: of the location; else NULL */
};

/* Where a cloud location leads. */
typedef struct ist__cloud_location {
    char scheme[8];   /* lower case */
    char account[64]; /* Azure's; else "" */
    char host[256];   /* Azure's: "account.dfs.core.windows.net" */
    char bucket[256]; /* or container */
    char key[1025];   /* decoded, without '/' at its ends; "" is the bucket itself */
} ist__cloud_location;

/* Is the scheme of a location one of the three services'? */
bool ist__cloud_is_location(const char *uri);
/* Split a location. Errors: IST_UNSUPPORTED (scheme), IST_BAD_INPUT (no bucket, '..', bad escape). */
ist_status ist__cloud_location_read(const char *uri, ist__cloud_location *out, ist_error *err);
/* Append its canonical form: one spelling for each place. */
ist_status ist__cloud_location_write(const ist__cloud_location *location, ist_buffer *out, ist_error *err);

/*
 * Open a store. (http_store.c)
 *   credentials  held; NULL for the environment's, anonymous where that has none
 */
ist_status ist__store_open_cloud(const char *uri, ist_credentials *credentials, ist_store **out, ist_error *err);

/* The three services, and the credentials that options and then their usual environment variables give: *out NULL where
 * there are none. */
extern const ist__cloud_backend ist__s3_backend, ist__azure_backend, ist__gcs_backend;
ist_status ist__s3_credentials(const ist__storage_options *options, ist_credentials **out, ist_error *err);
ist_status ist__azure_credentials(const ist__cloud_location *location, const ist__storage_options *options,
                                  ist_credentials **out, ist_error *err);
ist_status ist__gcs_credentials(const ist__storage_options *options, ist_credentials **out, ist_error *err);
/* Those of the location's service. (storage_options.c) */
ist_status ist__storage_credentials(const ist__cloud_location *location, const ist__storage_options *options,
                                    ist_credentials **out, ist_error *err);

/* For backends ---------------------------------------------------------------------------------------------------- */

/* Append an object to a page; key is copied. */
ist_status ist__cloud_page_add(ist__cloud_page *page, const char *key, uint64_t size, int64_t modified_ms,
                               ist_error *err);
void ist__cloud_page_free(ist__cloud_page *page);
/* "2026-11-24T06:00:00.5Z" or "Tue, 24 Nov 2026 06:00:00 GMT" in ms since the epoch; 0 where it is neither. */
int64_t ist__cloud_time(const char *text);
/* Append "name=value" encoded, with the '?' or '&' before it. */
ist_status ist__cloud_parameter(ist_buffer *url, const char *name, const char *value, ist_error *err);
/* Static credentials of a document, which is freed; NULL stands for one that could not be made. */
ist_status ist__cloud_static(yyjson_mut_doc *doc, ist_credentials **out, ist_error *err);
/* credentials.isthmus_storage.<key>; NULL where it is absent. Borrowed. */
const char *ist__cloud_setting(yyjson_val *credentials, const char *key);
/* Are requests signed with these credentials? Not without any, and not where they say so. */
bool ist__cloud_is_signed(yyjson_val *credentials);

IST_END_DECLS

#endif
