/*
 * warehouse.h: SQL warehouses: statements that wait, run in engines, and leave results for a time. Library-private.
 *
 * An engine is a worker process (README.md tells the channel between the two). One thread looks after all workers,
 * queues and timers; those who submit and ask are the HTTP threads. Rows never pass through this process: a worker
 * writes each chunk of a result into a file without a name and hands over its descriptor.
 *
 *     ist__statement *s;
 *     IST_TRY(ist__statement_submit(warehouses, who, body, size, client, &s, err));
 *     if (!ist__statement_wait(s, until, wake, payload))      // false: it has ended
 *         IST_TRY(ist__statement_answer(s, origin, out, err));
 *     ist__statement_release(s);
 *
 * Threading: internally locked; a statement is counted and may be used by any thread.
 */
#ifndef ISTHMUS_WAREHOUSE_WAREHOUSE_H
#define ISTHMUS_WAREHOUSE_WAREHOUSE_H

#include "catalog/local/local_internal.h"
#include "isthmus/server.h"

#define IST__SQL_PATH "/api/2.0/sql"
#define IST__RESULTS_PATH "/api/2.0/isthmus/results" /* links that need no token */
#define IST__WAREHOUSE_TOKEN_PREFIX "istw_"          /* of the tokens that engines and statements hold */
#define IST__WAREHOUSE_DEFAULT "embedded"

enum {
    IST__STATEMENT_WAIT_DEFAULT_S = 10, /* of a submission without wait_timeout */
    IST__STATEMENT_WAIT_MIN_S = 5,
    IST__STATEMENT_WAIT_MAX_S = 50,
    IST__LINK_LIFE_MS = 15 * 60 * 1000,
};

typedef struct ist__warehouses ist__warehouses;
typedef struct ist__statement ist__statement;

/* What warehouses need of whoever runs them. */
typedef struct ist__warehouse_host {
    ist__local *local;  /* borrowed until ist__warehouses_free */
    const char *socket; /* "@name", which passes chunks for links (store/file_wire.h); borrowed; NULL for none */
    /*
     * Run `work` soon, in a write transaction that others may share, in a savepoint of its own and not in this thread;
     * then call done with whether what it wrote is kept. Never fails: what cannot be done is done(payload, false).
     */
    void (*write)(void *self, ist_status (*work)(void *payload, ist__db *db, ist_error *err),
                  void (*done)(void *payload, bool kept), void *payload);
    void *self;
} ist__warehouse_host;

/*
 * Start the thread; no worker yet. Statements that an earlier server left unfinished are marked as failed.
 *   options  what is 0 or NULL in it is set to its default; copied
 *   host     copied
 * Errors: IST_BAD_INPUT (a warehouse's name or URL), IST_IO.
 */
ist_status ist__warehouses_start(const ist_warehouse_options *options, const ist__warehouse_host *host,
                                 ist__warehouses **out, ist_error *err);
/* Tell where engines find the catalog; before the first statement. ca_file is "" for the system's. */
ist_status ist__warehouses_set_catalog(ist__warehouses *all, const char *url, const char *ca_file, ist_error *err);
/* End every statement and worker, wake whoever waits, hand what is to be kept to the host. Later calls are refused. */
void ist__warehouses_stop(ist__warehouses *all);
/* After stop, once the host has called every `done` and no statement is held. NULL is allowed. */
void ist__warehouses_free(ist__warehouses *all);

/* Does a token look like one of an engine or a statement? */
bool ist__warehouse_is_token(const char *token);
/* Whose is a token of an engine or of a running statement; *out is NULL where it is nobody's, else it is held. */
ist_status ist__warehouses_principal(ist__warehouses *all, const char *token, const ist__principal **out,
                                     ist_error *err);

/* Statements ------------------------------------------------------------------------------------------------------- */

/*
 * Take a statement in.
 *   who     held from now on
 *   body    Databricks' ExecuteStatementRequest as JSON
 *   client  what the client calls itself (User-Agent); NULL where it does not
 *   out     the caller's; ist__statement_release
 * Errors: INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST (the warehouse), RESOURCE_EXHAUSTED (its queue is full),
 * TEMPORARILY_UNAVAILABLE (the server stops).
 */
ist_status ist__statement_submit(ist__warehouses *all, const ist__principal *who, const char *body, size_t size,
                                 const char *client, ist__statement **out, ist_error *err);
/* One of the principal's own; NULL in *out where it is not, or is only in the history. Release it. */
void ist__statement_find(ist__warehouses *all, const ist__principal *who, const char *id, ist__statement **out);
void ist__statement_release(ist__statement *statement);
const char *ist__statement_id(const ist__statement *statement);
/* How long its submission asked to wait. */
int64_t ist__statement_wait_ms(const ist__statement *statement);

/*
 * Have `wake` called once: when the statement has ended, or after wait_ms, when it is canceled first if its submission
 * said so; in any case not before the history has it. Where too many wait it is as if wait_ms were 0. False where there is
 * nothing to wait for, or no memory: then wake is not called.
 */
bool ist__statement_wait(ist__statement *statement, int64_t wait_ms, void (*wake)(void *payload), void *payload);
/* Ask for its end; one that has ended stays as it is. */
void ist__statement_cancel(ist__statement *statement);

/*
 * Append Databricks' StatementResponse: with manifest and first chunk where it succeeded.
 *   origin  "http://host:port" for links
 */
ist_status ist__statement_answer(ist__statement *statement, const char *origin, ist_buffer *out, ist_error *err);
/* Append Databricks' ResultData of a chunk. Errors: NOT_FOUND (closed, no such chunk), INVALID_PARAMETER_VALUE (it has
 * not succeeded). */
ist_status ist__statement_answer_chunk(ist__statement *statement, int64_t chunk, const char *origin, ist_buffer *out,
                                       ist_error *err);
/* The answer of a statement that only the history knows. Errors: NOT_FOUND. */
ist_status ist__statement_answer_past(ist__session *session, const char *id, ist_buffer *out, ist_error *err);

/* A chunk of a result, held. */
typedef struct ist__held_chunk {
    int fd;           /* the caller's own, read-only; -1 where the bytes are in memory */
    ist_buffer bytes; /* the caller's */
    int64_t size;
    const char *content_type; /* static storage */
} ist__held_chunk;

/*
 * What a signed link leads to.
 *   chunk, expires, signature  as they are in the link
 * Errors: PERMISSION_DENIED (expired, or not signed by this server), NOT_FOUND (the result is closed).
 */
ist_status ist__result_open(ist__warehouses *all, const char *statement_id, const char *chunk, const char *expires,
                            const char *signature, ist__held_chunk *out, ist_error *err);

/* Warehouses, history ---------------------------------------------------------------------------------------------- */

/* Append Databricks' EndpointInfo, or the list of all. Errors: RESOURCE_DOES_NOT_EXIST. */
ist_status ist__warehouse_get(ist__warehouses *all, const char *id, ist_buffer *out, ist_error *err);
ist_status ist__warehouse_list(ist__warehouses *all, ist_buffer *out, ist_error *err);
/* Have a worker ready; end all statements and workers. Errors: RESOURCE_DOES_NOT_EXIST. */
ist_status ist__warehouse_start(ist__warehouses *all, const char *id, ist_error *err);
ist_status ist__warehouse_stop(ist__warehouses *all, const char *id, ist_error *err);

enum { IST__QUERY_VALUES_MAX = 32 };

/* One of these; any where there are none. */
typedef struct ist__query_values {
    const char *value[IST__QUERY_VALUES_MAX];
    int count;
} ist__query_values;

/* What a list of the history is asked for; NULL and 0 where it is not. */
typedef struct ist__query_filter {
    ist__query_values statuses; /* QUEUED, RUNNING, CANCELED, FAILED, FINISHED */
    ist__query_values warehouses, statements;
    ist__query_values users; /* for administrators; others see their own */
    int64_t from_ms, until_ms;
    int max_results; /* 0 for 100, at most 1000 */
    const char *page_token;
} ist__query_filter;

/* Append Databricks' ListQueriesResponse, newest first. Errors: INVALID_PARAMETER_VALUE. */
ist_status ist__queries_list(ist__warehouses *all, ist__session *session, const ist__query_filter *filter,
                             ist_buffer *out, ist_error *err);

#endif
