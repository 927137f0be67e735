/*
 * exchange_server.h: the daemon's side of the exchange: the socket, the chunk store, and the commits that clients hand
 * in. What `isthmus daemon` is built on (src/daemon); src/exchange/README.md tells the protocol.
 *
 * The server runs one thread of its own. It keeps no commit logic: a commit that a client hands in (ist_commit_group) is
 * given to the `commit` callback, which must not block, and answered later from any thread.
 *
 * Threading: start and stop from any one thread; the ist_commit_request functions from any.
 *
 *     ist_exchange_server_options options = IST_EXCHANGE_SERVER_OPTIONS_INIT;
 *     options.commit = enqueue;
 *     ist_exchange_server_start(&options, &server, &err);
 *     ist_commit_request_answer(request, status, &result, &member_err);    // once for each request
 *     ist_exchange_server_stop(server);
 */
#ifndef ISTHMUS_EXCHANGE_SERVER_H
#define ISTHMUS_EXCHANGE_SERVER_H

#include "isthmus/committer.h"

IST_BEGIN_DECLS

typedef struct ist_exchange_server ist_exchange_server;
typedef struct ist_commit_request ist_commit_request;

typedef struct ist_exchange_server_options {
    uint32_t size;
    const char *socket_path; /* NULL for the default of ist_exchange_socket_path */
    uint64_t memory_limit;   /* bytes of chunks in memory; 0: half of the node's (or the container's) memory */
    const char *spill_dir;   /* where chunks go beyond that, relative to the socket's folder; NULL or "": nowhere */
    uint32_t max_clients;    /* 0 for 4096 */
    void (*commit)(ist_commit_request *request, void *payload); /* takes request. NULL: commits are refused */
    void (*log)(const char *line, void *payload);               /* a problem worth an operator's eye; NULL: not told */
    void *payload;                                              /* of both callbacks, which run on the server's thread */
} ist_exchange_server_options;

#define IST_EXCHANGE_SERVER_OPTIONS_INIT                                                                               \
    { sizeof(ist_exchange_server_options), NULL, 0, NULL, 0, NULL, NULL, NULL }

/*
 * Listen and serve. The socket's folder is made (0700) if missing, the socket is 0600, the stale socket of a killed
 * daemon is replaced.
 * Errors: IST_ALREADY_EXISTS (a daemon serves this socket: its pid), IST_BAD_INPUT (path too long for a socket), IST_IO.
 */
IST_API ist_status ist_exchange_server_start(const ist_exchange_server_options *options, ist_exchange_server **out,
                                             ist_error *err);

/* Path of the socket and bytes of the memory limit; borrowed from the server. */
IST_API const char *ist_exchange_server_socket(const ist_exchange_server *server);
IST_API uint64_t ist_exchange_server_memory_limit(const ist_exchange_server *server);

/* Send the answers that are ready, remove the socket, drop all chunks, free. Every commit request must have been
 * answered before. NULL is allowed. */
IST_API void ist_exchange_server_stop(ist_exchange_server *server);

/* What the client handed in; borrowed from the request. */
IST_API const ist_commit_member *ist_commit_request_member(const ist_commit_request *request);

/*
 * Answer the client (if it still is there) and free the request.
 *   result  for IST_OK; borrowed
 *   error   for the others; borrowed
 */
IST_API void ist_commit_request_answer(ist_commit_request *request, ist_status status, const ist_commit_result *result,
                                       const ist_error *error);

/* Count one commit of `members` members, this request's among them, in the daemon's counters ("commits",
 * "commit_members"). Before the request is answered. */
IST_API void ist_commit_request_count(ist_commit_request *request, size_t members);

IST_END_DECLS

#endif
