/*
 * server.h: `isthmus serve`, the HTTP side of the catalog: Unity Catalog's REST paths over the local catalog.
 *
 * Threading: a server runs its own threads; start, stop and the getters may be called from any one thread.
 */
#ifndef ISTHMUS_SERVER_H
#define ISTHMUS_SERVER_H

#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist_server ist_server;

/* The SQL warehouses of a server: one with the id "embedded", and further ones on Spark. */
typedef struct ist_warehouse_options {
    uint32_t size;
    const char *const *engine_command; /* words that start a worker, ended with NULL; "KIND --channel 3" follow */
    const char *const *spark;     /* warehouses besides, "NAME=sc://host:port", ended with NULL; NULL for none */
    uint32_t workers;             /* most workers of one warehouse; 0 for the number of CPUs */
    uint64_t worker_memory;       /* bytes that one may use; 0 for half of the machine's, divided by `workers` */
    uint32_t queue;               /* most statements that wait in one warehouse; 0 for 20,000 */
    uint64_t result_bytes;        /* of all results that are kept; 0 for 32 GiB */
    uint64_t statement_bytes;     /* of one statement's result; 0 for half of that */
    uint32_t result_life_s;       /* how long a result is kept; 0 for an hour */
    uint32_t statement_timeout_s; /* longest run of a statement; 0 for two days */
    uint32_t idle_s;              /* a worker that had nothing to do for so long ends; 0 for 10 minutes */
    uint32_t user_queue;          /* most of the statements that wait in one warehouse for one user; 0 for half of `queue` */
} ist_warehouse_options;

#define IST_WAREHOUSE_OPTIONS_INIT                                                                                     \
    { sizeof(ist_warehouse_options), NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct ist_server_options {
    uint32_t size;
    const char *address;      /* to listen on: without TLS a loopback address; NULL for 127.0.0.1 */
    uint16_t port;            /* 0 for a free one: ist_server_port tells */
    const char *home;         /* of catalog.db, token and server.json (0600); NULL for $ISTHMUS_HOME or ~/.isthmus */
    const char *storage_root; /* where managed tables live; NULL for <home>/warehouse */
    const char *storage_config; /* file (0600) with keys and roles for buckets, to make credentials with; NULL for none:
                                   src/catalog/local/vending.md */
    const char *token;        /* the bearer token asked of every request; NULL: <home>/token, made on first start */
    uint32_t credential_life_s; /* of credentials for `file:` locations; 0 for an hour */
    const char *tls_cert;     /* PEM file, the server's certificate first; NULL for none: then plain HTTP on loopback */
    const char *tls_key;      /* PEM file of its key; needed with tls_cert */
    const ist_warehouse_options *warehouses; /* NULL: none */
    uint32_t audit_days;    /* an entry of the audit log is kept so long; 0 for 90 */
    uint32_t audit_entries; /* and at most so many of them, the newest; 0 for 1,000,000 */
    bool catalog_managed;   /* new managed tables must be catalog-managed: only the Delta API gives them a place */
} ist_server_options;

#define IST_SERVER_OPTIONS_INIT                                                                                        \
    { sizeof(ist_server_options), NULL, 0, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, 0, 0, false }

/* Start to serve, and write <home>/server.json so that clients on this machine find it. Catalog "main" with schema
 * "default" is made on first start. Errors: IST_IO (port taken), IST_ALREADY_EXISTS (one runs on this home: its pid
 * and URL are in the message), IST_UNSUPPORTED (address is not loopback and there is no TLS). */
IST_API ist_status ist_server_start(const ist_server_options *options, ist_server **out, ist_error *err);
IST_API uint16_t ist_server_port(const ist_server *server);
/* "http://127.0.0.1:8080"; borrowed. */
IST_API const char *ist_server_url(const ist_server *server);
/* Finish the requests under way and stop. NULL is allowed. */
IST_API void ist_server_stop(ist_server *server);

IST_END_DECLS

#endif
