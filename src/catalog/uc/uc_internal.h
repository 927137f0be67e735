/*
 * uc_internal.h: the parts of the REST client: requests (uc_http.c), who asks (uc_token.c), the calls (uc_client.c).
 * Library-private.
 */
#ifndef ISTHMUS_CATALOG_UC_UC_INTERNAL_H
#define ISTHMUS_CATALOG_UC_UC_INTERNAL_H

#include "catalog/catalog_internal.h"

#include <curl/curl.h>
#include <pthread.h>

enum {
    IST__UC_POOL_MAX = 16,           /* idle connections kept */
    IST__UC_TIMEOUT_MS = 120000,     /* of a call with all its attempts, unless the options say otherwise */
    IST__UC_TOKEN_REPLY_MAX = 65536, /* bytes of an OAuth server's answer */
};

typedef struct ist__uc ist__uc;

/* Where bearer tokens come from. Internally locked. (uc_token.c) */
typedef struct ist__uc_tokens {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    char *token;             /* the current one; NULL for none */
    uint64_t generation;     /* counts the tokens there were */
    int64_t refresh_at_ms;   /* monotonic: from here on it is renewed while it is still used */
    int64_t expires_at_ms;   /* monotonic: from here on it is not used; INT64_MAX for a token that is not renewed */
    bool renewing;           /* one thread is on its way to the token endpoint */
    char *client_id;         /* OAuth client credentials; NULL where the token is what it is */
    char *client_secret;
    char *endpoint;          /* where tokens are had, once it was discovered */
} ist__uc_tokens;

struct ist__uc {
    char *host;       /* "http://127.0.0.1:8080" */
    char *ca_file;    /* NULL for the system's */
    bool databricks;  /* Databricks' own service: it wants longer pauses */
    bool loopback;    /* never through a proxy */
    int64_t timeout_ms;
    ist__uc_tokens tokens;
    struct curl_slist *json_headers;
    pthread_mutex_t mutex; /* guards the pool */
    CURL *idle[IST__UC_POOL_MAX];
    int idle_count;
};

/* One call. */
typedef struct ist__uc_request {
    const char *method;
    const char *path;     /* from the host on: "/api/..."; or a whole URL, for the token endpoint */
    const char *body;     /* NULL for none */
    bool repeatable;      /* doing it twice is the same as once: it is repeated after any passing fault */
    bool exhausted_is_final; /* 429 is an answer about the object, not about the pace: it is not repeated */
    bool any_json;        /* the answer may be any JSON, also none; otherwise an object */
    bool words_allowed;   /* an answer that is no JSON is an acknowledgement, as the open server gives some: dropped */
    bool anonymous;       /* without the bearer token */
    const char *user;     /* HTTP basic authentication, for the token endpoint; NULL for none */
    const char *password;
    int64_t deadline_us;  /* of the monotonic clock; 0: the client's timeout from now on */
    bool form;            /* the body is application/x-www-form-urlencoded; otherwise JSON */
} ist__uc_request;

/*
 * Send a request, with retries, and append the body of a 2xx answer to out (NULL to drop it).
 * Errors: those of isthmus/catalog.h.
 */
ist_status ist__uc_send(ist__uc *client, const ist__uc_request *request, ist_buffer *out, ist_error *err);

/* uc_token.c ------------------------------------------------------------------------------------------------------ */

/* token, or client_id with client_secret, or nothing. Copies them. */
ist_status ist__uc_tokens_init(ist__uc_tokens *tokens, const char *token, const char *client_id,
                               const char *client_secret, ist_error *err);
void ist__uc_tokens_free(ist__uc_tokens *tokens);
/*
 * Append the token to send, fetched or renewed where it must be; nothing where there is none. The caller wipes it.
 *   generation  receives which one it is, for ist__uc_tokens_refused
 */
ist_status ist__uc_tokens_get(ist__uc *client, int64_t deadline_us, ist_buffer *out, uint64_t *generation,
                              ist_error *err);
/* The server answered 401 to this token. True where another one can be had: ask again. */
bool ist__uc_tokens_refused(ist__uc_tokens *tokens, uint64_t generation);

/* uc_grants.c ----------------------------------------------------------------------------------------------------- */

ist_status ist__uc_get_grants(void *self, ist_securable kind, const ist__name *name, const char *principal,
                              ist_buffer *out, ist_error *err);
ist_status ist__uc_update_grants(void *self, ist_securable kind, const ist__name *name, const char *changes,
                                 ist_buffer *out, ist_error *err);

#endif
