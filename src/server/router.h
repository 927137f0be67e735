/*
 * router.h: from one HTTP request to its answer, without any HTTP library. Library-private.
 */
#ifndef ISTHMUS_SERVER_ROUTER_H
#define ISTHMUS_SERVER_ROUTER_H

#include "isthmus/catalog.h"

typedef struct ist__request {
    const char *method;
    const char *path; /* percent-encoded, without the query */
    /* A parameter of the query, percent-encoded; NULL where it is absent. */
    const char *(*parameter)(void *self, const char *key);
    void *self;
    const char *body; /* ended by NUL besides */
    size_t body_size;
} ist__request;

typedef struct ist__reply {
    int http;
    const char *allow; /* for 405: the methods of the path; static storage */
    ist_buffer body;   /* JSON; the caller frees it */
} ist__reply;

/* Answer a request that may be answered. Never fails: what goes wrong is in the reply. */
void ist__route(ist_catalog *catalog, const ist__request *request, ist__reply *reply);

/* Make the reply an error body. */
void ist__reply_error(ist__reply *reply, const ist_error *error);

#endif
