/*
 * router.h: from one HTTP request to its answer, without any HTTP library. Library-private.
 *
 * Each area of the API has a table of routes in a file of its own, routes_<area>.c; router.c lists the tables. To add an
 * area: write its table, declare it below, name it in `tables` of router.c.
 *
 *     static ist_status get_thing(ist__call *call, ist_error *err)
 *     {
 *         return ist__thing_get(ist__call_session(call), call->segment[0], &call->reply->body, err);
 *     }
 *     const ist__route ist__routes_things[] = {
 *         {.method = "GET", .path = "/api/2.1/isthmus/things/{name}", .lane = IST__LANE_READ, .handle = get_thing},
 *         {0},
 *     };
 *
 * Threading: one call belongs to one thread at a time, but not always to the same.
 */
#ifndef ISTHMUS_SERVER_ROUTER_H
#define ISTHMUS_SERVER_ROUTER_H

#include "catalog/catalog_internal.h"
#include "catalog/local/session.h"
#include "isthmus/server.h"

/* Where a handler runs, and so what it may do there. */
typedef enum ist__lane {
    IST__LANE_READ,  /* in the HTTP thread: reads of the catalog, microseconds. No network, no data files, no writes */
    IST__LANE_WRITE, /* by the writer: all that wait at the same time share one transaction and one fsync, each in a
                        savepoint of its own that rolls back alone; answered after the COMMIT. No network, no data
                        files: everything else that writes would wait for them */
    IST__LANE_SLOW,  /* on a pool of threads: network, file bytes, deleting data. May read and write the catalog */
} ist__lane;

typedef struct ist__request {
    const char *method;
    const char *path; /* percent-encoded, without the query */
    /* A parameter of the query, percent-encoded, and a header's value; NULL where it is absent. */
    const char *(*parameter)(void *self, const char *key);
    const char *(*header)(void *self, const char *name); /* NULL: there are none */
    /* All values of a parameter that may be repeated, `most` at most; returns how many. NULL: none is repeated. */
    int (*repeated)(void *self, const char *key, const char **out, int most);
    void *self;
    const char *body; /* ended by NUL besides; "" for an upload */
    size_t body_size;
    const char *peer; /* the client's address in text; NULL where unknown */
} ist__request;

enum { IST__REPLY_HEADERS_MAX = 8, IST__SEGMENTS_MAX = 4, IST__PARAMETERS_MAX = 32 /* of one key */ };

typedef struct ist__reply {
    int http;                 /* 200 unless the handler sets another */
    const char *content_type; /* static storage; NULL for application/json */
    ist_buffer body;
    int fd; /* >= 0: send `length` bytes from `offset` of this file instead of body; closed with the reply */
    uint64_t offset, length;
    struct {
        const char *name; /* static storage */
        char *value;
    } headers[IST__REPLY_HEADERS_MAX];
    int header_count;
} ist__reply;

#define IST__REPLY_INIT                                                                                                \
    (ist__reply)                                                                                                       \
    {                                                                                                                  \
        .http = 200, .fd = -1                                                                                          \
    }

/* Add a header; name in static storage, value copied. Errors: IST_NO_MEMORY, IST_INTERNAL (too many). */
ist_status ist__reply_header(ist__reply *reply, const char *name, const char *value, ist_error *err);
/* Make the reply Unity Catalog's error body, whatever it was. Headers stay. */
void ist__reply_error(ist__reply *reply, const ist_error *error);
void ist__reply_clear(ist__reply *reply);

typedef struct ist__route ist__route;
typedef struct ist__call ist__call;

/* One request on its way. A handler of the read lane whose answer is not there yet may wait for it: ist__call_wait. */
struct ist__call {
    ist_catalog *catalog; /* acts for the principal who asks: every call on it is authorized as his */
    ist_server *server;   /* NULL in tests of the router alone */
    const ist__request *request;
    const ist__route *route;
    const char *segment[IST__SEGMENTS_MAX]; /* decoded values of {...} in route->path, in order */
    ist__reply *reply;
    void *upload; /* what route->upload->begin set */
    char refusal[512]; /* the message of the error that is the answer; "" where it is none */
    void (*suspend)(ist__call *call); /* NULL where nothing can be waited for, as in tests of the router alone */
    void (*resume)(ist__call *call);
    bool waits;         /* the handler returned without an answer, and runs again once it is woken */
    bool woken;         /* it runs for the second time */
    char waits_for[37]; /* what it waits for, by its id; the handler's own */
};

/*
 * A request's body of any size, taken as it comes. begin and data run in the HTTP thread, end in the route's lane.
 * The server calls begin; then data any number of times; then end, which fills the reply as a handler does; then free,
 * always, also where begin failed or the client went away (then end is not called). An error of begin or data becomes
 * the answer, and what is left of the body is dropped.
 */
typedef struct ist__upload {
    ist_status (*begin)(ist__call *call, ist_error *err);
    ist_status (*data)(ist__call *call, const char *data, size_t size, ist_error *err);
    ist_status (*end)(ist__call *call, ist_error *err);
    void (*free)(void *upload); /* call->upload, which may be NULL */
} ist__upload;

enum {
    IST__ROUTE_OPEN = 1,     /* answers without a token; call->catalog is then nobody's and may see nothing */
    IST__ROUTE_NO_AUDIT = 2, /* changes nothing worth keeping although it is not a GET (lineage events, reports), or
                                keeps it elsewhere */
    IST__ROUTE_SLASH = 4,    /* the path may end in one slash more, as Ray has it */
    IST__ROUTE_AUDIT_READ = 8 /* a GET that is worth keeping: it gives away a secret */
};

struct ist__route {
    const char *method;
    const char *path; /* "{name}" stands for one segment, a last "{*}" for the rest, slashes included; both not empty.
                         The first route that fits wins */
    ist__lane lane;
    ist_status (*handle)(ist__call *call, ist_error *err); /* fills call->reply; NULL for an upload */
    int kind;           /* for handlers that serve several routes: an ist_securable or the area's own */
    unsigned flags;     /* IST__ROUTE_... */
    const ist__upload *upload;
    /* Errors in another form than Unity Catalog's: sets http, body and headers. NULL for ist__reply_error. */
    void (*refuse)(ist__reply *reply, const ist_error *error);
};

/* The areas' tables; each ends with {0}. */
extern const ist__route ist__routes_catalog[], ist__routes_delta[], ist__routes_files[], ist__routes_identity[],
    ist__routes_lineage[], ist__routes_objects[], ist__routes_pages[], ist__routes_vault[], ist__routes_warehouse[];

/* All tables in the order in which they are looked through; NULL after the last. */
const ist__route *ist__route_table(size_t index);

/* For handlers ----------------------------------------------------------------------------------------------------- */

/* The session behind call->catalog. */
ist__session *ist__call_session(const ist__call *call);
/* A decoded parameter replaces value's content; value->data is NULL where it is absent. Errors: INVALID_ARGUMENT. */
ist_status ist__call_parameter(const ist__call *call, const char *key, ist_buffer *value, ist_error *err);
/* The same, where absence is an error too. */
ist_status ist__call_required(const ist__call *call, const char *key, ist_buffer *value, ist_error *err);
/*
 * A parameter that may be repeated: its decoded values are put into `text`, and out points to them.
 *   most  what out has room for, at most IST__PARAMETERS_MAX
 * Errors: INVALID_ARGUMENT (also more than `most`).
 */
ist_status ist__call_parameters(const ist__call *call, const char *key, ist_buffer *text, const char **out, int most,
                                int *count, ist_error *err);
/* 0 or false where it is absent. */
ist_status ist__call_integer(const ist__call *call, const char *key, int *out, ist_error *err);
ist_status ist__call_boolean(const ist__call *call, const char *key, bool *out, ist_error *err);
/* The body as text, borrowed; "" where there is none. Errors: INVALID_ARGUMENT (it holds a NUL). */
ist_status ist__call_body(const ist__call *call, const char **out, ist_error *err);
/* A header of the request; NULL where it is absent. */
const char *ist__call_header(const ist__call *call, const char *name);

/*
 * Wait without a thread: false where that cannot be. Else the connection is suspended, the handler gives the call to
 * whoever shall wake it, returns IST_OK, and touches it no more; ist__call_wake, once, in any thread, also before the
 * handler has returned, makes it run again, in the HTTP thread, with `woken` set.
 */
bool ist__call_wait(ist__call *call, const char *id);
void ist__call_wake(void *call);

/* The five operations on the kind of object that is the route's; the path's last segment is the full name. */
ist_status ist__call_create(ist__call *call, ist_error *err);
ist_status ist__call_get(ist__call *call, ist_error *err);
ist_status ist__call_update(ist__call *call, ist_error *err);
ist_status ist__call_delete(ist__call *call, ist_error *err);
ist_status ist__call_list(ist__call *call, ist_error *err);

/* Their routes. DELETE is slow: data may go with the object. */
#define IST__OBJECT_ROUTES(where, securable)                                                                           \
    {.method = "GET", .path = where, .lane = IST__LANE_READ, .handle = ist__call_list, .kind = securable},             \
    IST__OBJECT_ROUTES_BUT_LIST(where, securable)
#define IST__OBJECT_ROUTES_BUT_LIST(where, securable)                                                                  \
    {.method = "POST", .path = where, .lane = IST__LANE_WRITE, .handle = ist__call_create, .kind = securable},         \
    {.method = "GET", .path = where "/{full_name}", .lane = IST__LANE_READ, .handle = ist__call_get,                   \
     .kind = securable},                                                                                               \
    {.method = "PATCH", .path = where "/{full_name}", .lane = IST__LANE_WRITE, .handle = ist__call_update,             \
     .kind = securable},                                                                                               \
    {.method = "DELETE", .path = where "/{full_name}", .lane = IST__LANE_SLOW, .handle = ist__call_delete,             \
     .kind = securable}

/* For the server --------------------------------------------------------------------------------------------------- */

/* A request's route, found. */
typedef struct ist__match {
    const ist__route *route; /* NULL: the request is refused with what ist__match_find returned */
    const char *segment[IST__SEGMENTS_MAX];
    ist_buffer text; /* of the segments */
    char allow[64];  /* for 405: the path's methods */
} ist__match;

/* Find the route. Errors: NOT_FOUND, METHOD_NOT_ALLOWED, INVALID_ARGUMENT (percent-encoding). Free also after one. */
ist_status ist__match_find(const char *method, const char *path, ist__match *out, ist_error *err);
void ist__match_free(ist__match *match);

/* Run the handler, or an upload's end, and turn an error into its answer. Never fails. */
void ist__call_run(ist__call *call);
/* Turn an error into the call's answer, in its route's form. */
void ist__call_refuse(ist__call *call, const ist_error *error);

/* All of it at once, in this thread, for a request that may be answered. The caller frees the reply. */
void ist__route_answer(ist_catalog *catalog, const ist__request *request, ist__reply *reply);

#endif
