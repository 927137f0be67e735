/*
 * http_client.h: requests to storage services and to those that give credentials for them, over libcurl. Library-private.
 *
 * Threading: an ist__http is internally locked; each thread that sends has a connection of the pool.
 */
#ifndef ISTHMUS_STORE_HTTP_CLIENT_H
#define ISTHMUS_STORE_HTTP_CLIENT_H

#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

enum {
    IST__HTTP_REPLY_MAX = 32 << 20, /* bytes of an answer that is no object: a page of a listing, an error */
    IST__HTTP_VALUE_MAX = 512,      /* of a header that is kept */
};

typedef struct ist__http ist__http; /* connections to one service */

typedef struct ist__http_request {
    const char *method;
    ist_buffer url;
    struct curl_slist *headers;
    const void *body; /* borrowed; NULL for none */
    size_t body_size;
    bool once;        /* not sent again when the service may have carried it out; else sending it twice is harmless */
    char sigv4[96];   /* "aws:amz:<region>:<service>": sign with key and secret; "" for none */
    ist_buffer key, secret;
    /* Where the body of a 2xx answer goes: appended to out, or exactly data_size bytes to data; neither: reply->body. */
    ist_buffer *out;
    void *data;
    size_t data_size;
    bool resume;             /* GET to out: after a broken connection the rest is asked for, as often as it gets further */
    const char *ca_file;     /* what https is checked against, borrowed; NULL for the system's authorities */
    int64_t deadline_us;     /* of the monotonic clock: the last attempt ends then; 0 for none */
    const atomic_bool *stop; /* borrowed; once it is true the request ends with IST_CANCELLED; NULL for none */
} ist__http_request;

typedef struct ist__http_reply {
    int status;
    bool unsure;     /* an earlier attempt may have been carried out: its answer was lost */
    ist_buffer body; /* of every answer that has no other place */
    uint64_t size;   /* Content-Length; of a part, the whole object's size by Content-Range */
    char etag[IST__HTTP_VALUE_MAX];
    char modified[64];
    char range[64];    /* "bytes=0-99": what a resumable upload has so far */
    char location[4096];
    char generation[32];
    char mark[64];     /* metadata isthmus-put */
    char region[64];
} ist__http_reply;

/* name: of the service, for messages. The caller's; ist__http_free. */
ist_status ist__http_new(const char *name, ist__http **out, ist_error *err);
void ist__http_free(ist__http *http);

/* Append "name: value" to the request's headers. */
ist_status ist__http_header(ist__http_request *request, ist_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Free what a request or reply holds, secrets overwritten. */
void ist__http_request_free(ist__http_request *request);
void ist__http_reply_free(ist__http_reply *reply);

/*
 * Send a request and wait for its answer, whatever its status. Passing faults (no connection, a broken one, 408, 429,
 * 500, 502, 503, 504) are tried again after growing, jittered pauses, not shorter than the service asks for.
 * Errors are those of the way there: IST_RETRYABLE (no answer), IST_NO_MEMORY (an answer over its limit), IST_IO (an
 * answer of another size than data_size), IST_CANCELLED.
 */
ist_status ist__http_send(ist__http *http, const ist__http_request *request, ist__http_reply *reply, ist_error *err);

/* For clients with their own way to tell passing faults: wait before attempt n + 1. asked_s: Retry-After, or 0. */
void ist__http_back_off(int attempt, int64_t asked_s);

IST_END_DECLS

#endif
