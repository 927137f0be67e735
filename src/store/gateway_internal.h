/*
 * gateway_internal.h: what the files of the gateway store share. Library-private.
 *
 * gateway_store.c is the store; it goes to the files of a server through its Unix socket (gateway_socket.c) where that
 * answers, else over HTTP (gateway_http.c).
 */
#ifndef ISTHMUS_STORE_GATEWAY_INTERNAL_H
#define ISTHMUS_STORE_GATEWAY_INTERNAL_H

#include "isthmus/sys/credentials.h"
#include "store/file_wire.h"
#include "store/http_client.h"
#include "store/store_internal.h"

#include <pthread.h>
#include <sys/types.h>
#include <yyjson.h>

IST_BEGIN_DECLS

enum {
    IST__GATEWAY_POOL_MAX = 8,           /* idle connections kept */
    IST__GATEWAY_TAIL_SIZE = 64 << 10,   /* fetched when a reader opens: a small object, or Parquet's footer */
    IST__GATEWAY_WHOLE_SIZE = 1 << 20,   /* a smaller object is sent as one request */
    IST__GATEWAY_SOCKET_AGAIN_S = 10,    /* before a socket that did not answer is tried again */
};

typedef struct ist__gateway {
    struct ist_store base;
    ist_credentials *credentials;
    ist__http *http;
    pthread_mutex_t lock; /* guards what follows */
    int idle[IST__GATEWAY_POOL_MAX];
    int idle_count;
    int64_t socket_again_us;
} ist__gateway;

/* What the credentials say at the moment; the texts are the document's. */
typedef struct ist__gateway_place {
    yyjson_doc *doc;
    const char *token;
    const char *endpoint; /* "http://127.0.0.1:8080/api/2.1/isthmus/files"; NULL: none */
    const char *socket;   /* "@name"; NULL: none */
    uid_t uid;            /* who must be at its other end */
} ist__gateway_place;

/* An answer, by either way. */
typedef struct ist__gateway_answer {
    uint64_t size;
    int64_t modified_ms;
    ist_buffer text; /* of LIST */
    int fd;          /* that was passed: the caller's; -1 */
} ist__gateway_answer;

/* gateway_socket.c ------------------------------------------------------------------------------------------------ */

/* A connection to the broker at a socket where that user is at the other end; -1 where there is none. */
int ist__gateway_connect_new(const char *socket, uid_t uid);
/* A connection to the broker, kept or new; -1 where there is none, for whatever reason. */
int ist__gateway_connect(ist__gateway *self, const ist__gateway_place *place);
/* Keep a connection for the next; one that is in an unknown state is closed instead by who has it. */
void ist__gateway_keep(ist__gateway *self, int socket);
/*
 * One request and its answer. The token and a path are the request's a and b.
 * Errors: the broker's, or IST_RETRYABLE (the connection broke: *broken, close it).
 */
ist_status ist__gateway_socket_call(int socket, const ist__file_message *request, ist__gateway_answer *answer,
                                    bool *broken, ist_error *err);

/* gateway_http.c -------------------------------------------------------------------------------------------------- */

/* STAT, LIST, REMOVE, MAKE_FOLDER, REMOVE_FOLDER or RENAME. */
ist_status ist__gateway_http_call(ist__gateway *self, const ist__gateway_place *place,
                                  const ist__file_message *request, ist__gateway_answer *answer, ist_error *err);
/* Append a whole object. */
ist_status ist__gateway_http_get(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                 ist_buffer *out, ist_error *err);
/* The end of an object, replaced in tail; *size is the whole's. etag: room for IST__HTTP_VALUE_MAX bytes. */
ist_status ist__gateway_http_tail(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                  ist_buffer *tail, uint64_t *size, char *etag, ist_error *err);
/* Exactly size bytes of what had that etag. Errors: IST_CONFLICT (it is another object now). */
ist_status ist__gateway_http_range(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                   const char *etag, uint64_t offset, void *data, size_t size, ist_error *err);
/* *unsure: an earlier attempt may have been carried out. */
ist_status ist__gateway_http_put(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                 const void *data, size_t size, ist_put_mode mode, bool *unsure, ist_error *err);

/* An object of unknown size on its way. */
typedef struct ist__gateway_upload ist__gateway_upload;
ist_status ist__gateway_upload_open(const ist__gateway_place *place, const char *path, ist__gateway_upload **out,
                                    ist_error *err);
ist_status ist__gateway_upload_write(ist__gateway_upload *upload, const void *data, size_t size, ist_error *err);
ist_status ist__gateway_upload_close(ist__gateway_upload *upload, ist_error *err);
/* Without a close before: the server drops what it has. NULL is allowed. */
void ist__gateway_upload_free(ist__gateway_upload *upload);

IST_END_DECLS

#endif
