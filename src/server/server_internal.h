/* server_internal.h: what the server's own files share. Library-private. */
#ifndef ISTHMUS_SERVER_SERVER_INTERNAL_H
#define ISTHMUS_SERVER_SERVER_INTERNAL_H

#include "catalog/local/local_internal.h"
#include "catalog/local/principals.h"
#include "server/file_broker.h"
#include "server/lanes.h"
#include "server/router.h"
#include "warehouse/warehouse.h"

#include <microhttpd.h>
#include <stdatomic.h>

struct ist_server {
    char *home;
    ist__server_note note;
    int lock;
    uint16_t port;
    ist_catalog *catalog; /* the administrator's */
    ist__file_signer *file_signer;
    ist__file_broker *file_broker; /* NULL where its socket could not be had: then files go over HTTP alone */
    struct MHD_Daemon *daemon;
    ist__lanes *lanes;
    ist__warehouses *warehouses; /* NULL: none */
    ist_buffer tls_cert, tls_key; /* PEM; size 0 for plain HTTP */
    atomic_int requests; /* under way */
    atomic_bool stopping;
};

/* The cookie of the web pages: a token. */
#define IST__TOKEN_COOKIE "ISTHMUS_TOKEN"

/* server.c */
/* What the server's catalog is made of. */
ist__local *ist__server_local(const ist_server *server);

/* http.c: the callbacks of libmicrohttpd; self is the server. */
enum MHD_Result ist__http_request(void *self, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **state);
void ist__http_completed(void *self, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code);
size_t ist__http_unescape(void *self, struct MHD_Connection *connection, char *text);

#endif
