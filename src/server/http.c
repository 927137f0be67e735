/*
 * http.c: between libmicrohttpd and the router: one request's way from its first header to the end of its answer.
 *
 * Reads are answered in libmicrohttpd's thread. Everything else suspends its connection and waits in a lane; the lane
 * resumes it, and libmicrohttpd calls again for the answer. A read whose answer is still to come suspends it too, and
 * its handler runs again.
 */
#include "server/server_internal.h"

#include "server/audit_trail.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* One request under way, kept by libmicrohttpd between its calls. */
typedef struct transfer {
    ist_buffer body;
    ist__match match;
    ist__session session;
    ist_catalog catalog; /* of the session */
    ist__request request;
    ist__reply reply;
    ist__call call;
    ist__job job;
    struct MHD_Connection *connection;
    bool answered;   /* by a lane: the reply is to be sent */
    ist_error error; /* of the token, the route or the upload: the answer, once the body is through */
    size_t dropped;  /* bytes of a body that nobody reads */
    char peer[INET6_ADDRSTRLEN];
    char text[]; /* path and method */
} transfer;

/* Answers ---------------------------------------------------------------------------------------------------------- */

/* Takes the reply's body or file. */
static struct MHD_Response *make_response(ist__reply *reply)
{
    struct MHD_Response *response;
    if (reply->fd >= 0) {
        response = MHD_create_response_from_fd_at_offset64(reply->length, reply->fd, reply->offset);
        if (response)
            reply->fd = -1;
    } else {
        response = MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_FREE);
        if (response)
            reply->body = (ist_buffer)IST_BUFFER_INIT;
    }
    return response;
}

static enum MHD_Result send_reply(const ist_server *server, struct MHD_Connection *connection, ist__reply *reply)
{
    struct MHD_Response *response = make_response(reply);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            reply->content_type ? reply->content_type : "application/json");
    for (int i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (reply->http == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (atomic_load(&server->stopping))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)reply->http, response);
    MHD_destroy_response(response);
    return result;
}

static void refuse(transfer *t, const ist_error *error)
{
    ist__call_refuse(&t->call, error);
    if (t->match.allow[0] && !t->match.route && t->reply.http == MHD_HTTP_METHOD_NOT_ALLOWED)
        ist__reply_header(&t->reply, MHD_HTTP_HEADER_ALLOW, t->match.allow, NULL);
}

static void resume(ist__job *job)
{
    transfer *t = (transfer *)((char *)job - offsetof(transfer, job));
    t->answered = true;
    MHD_resume_connection(t->connection);
}

/* For handlers that wait: the lanes' way without a lane. */
static void suspend_call(ist__call *call)
{
    MHD_suspend_connection(((transfer *)((char *)call - offsetof(transfer, call)))->connection);
}

static void resume_call(ist__call *call)
{
    MHD_resume_connection(((transfer *)((char *)call - offsetof(transfer, call)))->connection);
}

static enum MHD_Result wait_in_lane(ist_server *server, transfer *t)
{
    MHD_suspend_connection(t->connection);
    ist__lanes_add(server->lanes, &t->job);
    return MHD_YES;
}

/* Answer a request that has its body, here or in a lane. */
static enum MHD_Result answer(ist_server *server, transfer *t)
{
    const ist__route *route = t->match.route;
    bool refused = t->error.status != IST_OK;
    if (!refused && route->lane != IST__LANE_READ)
        return wait_in_lane(server, t);
    if (refused)
        refuse(t, &t->error);
    else
        ist__call_run(&t->call);
    if (t->call.waits) /* it runs again; until then the call is whose who wakes it */
        return MHD_YES;
    t->job.answered = ist__audit_wanted(&t->call);
    return t->job.answered ? wait_in_lane(server, t) : send_reply(server, t->connection, &t->reply);
}

/* Requests --------------------------------------------------------------------------------------------------------- */

static const char *parameter_of(void *connection, const char *key)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, key);
}

/* Values of one key, as they are looked through. */
typedef struct values {
    const char *key;
    const char **out;
    int count, most;
} values;

static enum MHD_Result add_value(void *self, enum MHD_ValueKind kind, const char *key, const char *value)
{
    values *v = self;
    (void)kind;
    if (value && strcmp(key, v->key) == 0)
        v->out[v->count++] = value;
    return v->count < v->most ? MHD_YES : MHD_NO;
}

static int repeated_of(void *connection, const char *key, const char **out, int most)
{
    values v = {.key = key, .out = out, .most = most};
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_value, &v);
    return v.count;
}

static const char *header_of(void *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static const char *peer_of(struct MHD_Connection *connection, char out[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return NULL;
    const struct sockaddr *address = info->client_addr;
    const void *bytes = address->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                                                       : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    return inet_ntop(address->sa_family, bytes, out, INET6_ADDRSTRLEN);
}

/* A cookie goes with whatever a browser sends. For what changes something the page must be this server's own. */
static bool is_same_origin(struct MHD_Connection *connection, const char *method)
{
    const char *origin = header_of(connection, "Origin"), *host = header_of(connection, MHD_HTTP_HEADER_HOST);
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        return true;
    const char *authority = origin ? strstr(origin, "://") : NULL;
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

/* The token that a request shows: Authorization: Bearer, else the web pages' cookie; NULL where there is none. */
static const char *shown_token(struct MHD_Connection *connection, const char *method)
{
    static const char scheme[] = "Bearer ";
    const char *header = header_of(connection, MHD_HTTP_HEADER_AUTHORIZATION);
    if (header)
        return strncmp(header, scheme, strlen(scheme)) == 0 ? header + strlen(scheme) : NULL;
    const char *cookie = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, IST__TOKEN_COOKIE);
    return cookie && is_same_origin(connection, method) ? cookie : NULL;
}

/* Who asks; NULL where no valid token is shown. */
static ist_status authenticate(const ist_server *server, struct MHD_Connection *connection, const char *method,
                               const ist__principal **out, ist_error *err)
{
    const char *token = shown_token(connection, method);
    *out = NULL;
    if (!token)
        return IST_OK;
    if (server->warehouses && ist__warehouse_is_token(token))
        return ist__warehouses_principal(server->warehouses, token, out, err);
    return ist__principal_of_token(ist__server_local(server), token, out, err);
}

static void free_transfer(transfer *t)
{
    if (t->match.route && t->match.route->upload)
        t->match.route->upload->free(t->call.upload);
    ist__credential_cache_free(t->catalog.credentials); /* of a table or volume that a handler opened */
    ist__principal_release(t->session.who);
    ist__reply_clear(&t->reply);
    ist__match_free(&t->match);
    ist_buffer_free(&t->body);
    free(t);
}

/* NULL where there is no memory. */
static transfer *new_transfer(ist_server *server, struct MHD_Connection *connection, const char *url,
                              const char *method)
{
    size_t path_size = strlen(url) + 1, method_size = strlen(method) + 1;
    transfer *t = calloc(1, sizeof *t + path_size + method_size);
    if (!t)
        return NULL;
    memcpy(t->text, url, path_size);
    memcpy(t->text + path_size, method, method_size);
    t->connection = connection;
    t->body.limit = IST__CATALOG_BODY_MAX + 1; /* and the NUL */
    t->reply = IST__REPLY_INIT;
    ist__match_find(method, url, &t->match, &t->error);
    t->session.local = ist__server_local(server);
    t->catalog = (ist_catalog){.backend = server->catalog->backend,
                               .self = &t->session,
                               .references = 1, /* the transfer's own: what a handler opens never has the last */
                               .mutex = PTHREAD_MUTEX_INITIALIZER};
    t->request = (ist__request){.method = t->text + path_size,
                                .path = t->text,
                                .parameter = parameter_of,
                                .header = header_of,
                                .repeated = repeated_of,
                                .self = connection,
                                .peer = peer_of(connection, t->peer)};
    t->call = (ist__call){.catalog = &t->catalog,
                          .server = server,
                          .request = &t->request,
                          .route = t->match.route,
                          .reply = &t->reply,
                          .suspend = suspend_call,
                          .resume = resume_call};
    t->job = (ist__job){.call = &t->call, .session = &t->session, .done = resume};
    memcpy(t->call.segment, t->match.segment, sizeof t->call.segment);
    return t;
}

/* Who asks, and whether there is a body that must not be read at all. */
static enum MHD_Result begin_request(ist_server *server, struct MHD_Connection *connection, const char *url,
                                     const char *method, void **state)
{
    transfer *t = new_transfer(server, connection, url, method);
    if (!t)
        return MHD_NO;
    *state = t;
    atomic_fetch_add(&server->requests, 1);
    const ist__route *route = t->match.route;
    const char *length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool open = route && (route->flags & IST__ROUTE_OPEN);
    ist_error error = IST_ERROR_INIT;
    if (!open && authenticate(server, connection, method, &t->session.who, &error) != IST_OK)
        t->error = error;
    else if (!open && !t->session.who)
        ist__uc_error(&t->error, IST__UC_UNAUTHENTICATED, "a valid token is required: Authorization: Bearer <token>");
    if (!t->session.who)
        t->session.who = &ist__principal_nobody;
    if (t->error.status == IST_OK && route && route->upload) {
        route->upload->begin(&t->call, &t->error);
    } else if (length && strtoull(length, NULL, 10) > IST__CATALOG_BODY_MAX) {
        if (t->error.status == IST_OK)
            ist__uc_error(&t->error, IST__UC_PAYLOAD_TOO_LARGE, "the body is larger than %d bytes",
                          IST__CATALOG_BODY_MAX);
        refuse(t, &t->error);
        return send_reply(server, connection, &t->reply);
    }
    return MHD_YES;
}

/* A body of unknown length that grows past the limit ends the connection. */
static enum MHD_Result take_data(transfer *t, const char *data, size_t size)
{
    const ist__route *route = t->match.route;
    if (t->error.status != IST_OK) {
        t->dropped += size;
        return t->dropped > IST__CATALOG_BODY_MAX ? MHD_NO : MHD_YES;
    }
    if (route->upload) {
        route->upload->data(&t->call, data, size, &t->error);
        return MHD_YES;
    }
    return ist_buffer_append(&t->body, data, size, NULL) == IST_OK ? MHD_YES : MHD_NO;
}

enum MHD_Result ist__http_request(void *self, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **state)
{
    (void)version;
    ist_server *server = self;
    transfer *t = *state;
    if (!t)
        return begin_request(server, connection, url, method, state);
    if (*data_size > 0) {
        enum MHD_Result result = take_data(t, data, *data_size);
        *data_size = 0;
        return result;
    }
    if (t->answered)
        return send_reply(server, connection, &t->reply);
    t->call.woken = t->call.waits;
    t->call.waits = false;
    t->request.body = t->body.data ? t->body.data : "";
    t->request.body_size = t->body.size;
    return answer(server, t);
}

void ist__http_completed(void *self, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)connection, (void)code;
    ist_server *server = self;
    if (!*state)
        return;
    free_transfer(*state);
    *state = NULL;
    atomic_fetch_sub(&server->requests, 1);
}

/* Paths and parameters reach the router as they came: it decodes them more strictly than libmicrohttpd. */
size_t ist__http_unescape(void *self, struct MHD_Connection *connection, char *text)
{
    (void)self, (void)connection;
    return strlen(text);
}
