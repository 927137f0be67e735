/* exchange_client.h: one request and its answer, for the files of the client side. Library-private; exchange_client.c. */
#ifndef ISTHMUS_EXCHANGE_EXCHANGE_CLIENT_H
#define ISTHMUS_EXCHANGE_EXCHANGE_CLIENT_H

#include "exchange/wire.h"

IST_BEGIN_DECLS

/* An answer; texts of the message point into the payload. End it with ist__reply_free. */
typedef struct ist__reply {
    ist__message message;
    ist_buffer payload;
    int fd; /* passed with it, or -1 */
} ist__reply;

/*
 * Send a request and wait for its answer; other threads' requests go on meanwhile. The request's number is filled in.
 * Errors: what the daemon answers; IST_RETRYABLE (it went away), IST_BAD_INPUT (after a fork).
 */
ist_status ist__exchange_call(ist_exchange_client *client, ist__message *request, ist__reply *reply, ist_error *err);
void ist__reply_free(ist__reply *reply);

IST_END_DECLS

#endif
