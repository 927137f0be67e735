/*
 * warehouse_internal.h: what the files of this module share. Library-private.
 *
 * One mutex guards everything but what is said to be immutable: nothing is done under it that waits, but for forking.
 * What ends a statement notes whom to wake; the loop and the callers from outside wake them after they have let go of
 * it.
 */
#ifndef ISTHMUS_WAREHOUSE_WAREHOUSE_INTERNAL_H
#define ISTHMUS_WAREHOUSE_WAREHOUSE_INTERNAL_H

#include "catalog/local/digest.h"
#include "catalog/local/principals.h"
#include "catalog/local/query_log.h"
#include "warehouse/fair_queue.h"
#include "warehouse/result_link.h"
#include "warehouse/result_store.h"
#include "warehouse/statement_request.h"
#include "warehouse/warehouse.h"
#include "warehouse/worker_channel.h"
#include "warehouse/worker_message.h"
#include "warehouse/worker_process.h"

enum {
    IST__STATEMENT_BUCKETS = 1 << 14,
    IST__ENDED_MAX = 10000,            /* ended statements kept in memory: beyond it the oldest fetched ones go */
    IST__QUEUED_BYTES_MAX = 256 << 20, /* of the texts of statements that wait in one warehouse */
    IST__WAITERS_MAX = 2048,           /* of the connections that a server has: others need some too */
    IST__INLINE_MAX = 25 << 20,        /* bytes of a result that is told in answers, as Databricks' */
    IST__INLINE_CHUNK = 4 << 20,       /* what an answer with a chunk takes of memory */
    IST__LINKED_CHUNK = 16 << 20,
    IST__COLUMNS_TEXT_MAX = 16 << 20, /* bytes of a result's columns as JSON */
    IST__WAREHOUSE_TOKEN_TEXT = 5 + 64 + 1,
    IST__WAREHOUSE_NAME_MAX = 100,
};
#define IST__ENGINE_FOLDER "engine-" /* and an id: a worker's own files, beside the results */
#define IST__LINKED_MAX ((int64_t)100 << 30) /* bytes of a result in links: beyond, it is truncated, as Databricks' */

typedef struct warehouse warehouse;
typedef struct worker worker;

/* Somebody who waits for a statement's end. */
typedef struct ist__waiter {
    struct ist__waiter *next;
    int64_t until_us;
    bool cancel; /* the statement, when the time is over */
    void (*wake)(void *payload);
    void *payload;
} ist__waiter;

struct ist__statement {
    atomic_int references;
    ist__warehouses *all;
    warehouse *at;
    ist__statement *next_by_id;
    ist__statement *next, *previous; /* in `list` */
    ist__statement_list *list;       /* its line in the queue, or the ended ones; NULL while it runs */
    ist__queue_line *line;           /* while it waits */
    char id[37];
    int64_t number; /* unique, growing: the order of submission */
    ist__statement_request request; /* immutable; its text is freed once the history has it */
    size_t text_bytes;
    char user[IST__PRINCIPAL_NAME_MAX + 1], user_id[37]; /* of the principal; immutable */
    const ist__principal *who; /* with his rights when they were read last; the loop may renew it */
    unsigned generation;       /* of those rights */
    char *client;
    ist__statement_state state;
    bool cancel;       /* was asked for */
    bool given_again;  /* its first worker was dead when it was given */
    const char *failure; /* why it is stopped although nobody canceled it: the error code; `message` is set then */
    int64_t submitted_ms, started_ms, ended_ms;
    worker *worker;                           /* while it runs */
    char token[IST__WAREHOUSE_TOKEN_TEXT];    /* acts as its principal while it runs; "" else */
    char *columns;                            /* JSON array; NULL where none were told */
    size_t column_count, columns_size; /* columns_size: counted by the result store */
    ist__result *result; /* NULL once it is closed, or there is none */
    int64_t rows, bytes; /* of the result */
    bool truncated, fetched;
    char kind[24];
    char error_code[48], sql_state[8];
    char *message;
    char *lineage; /* JSON */
    char *inputs;  /* JSON array: the names of what it read, as its text has them; NULL where none were told */
    ist__waiter *waiters;
    ist__statement *next_unrecorded; /* waits to be written to the history, and is held by it */
    bool unrecorded, recorded;       /* recorded: the history has its end */
    /* The history has it, and its end, or could take neither: until then nobody is told of it, or that a change is made. */
    bool noted, settled;
};

typedef enum worker_state { WORKER_STARTING, WORKER_IDLE, WORKER_BUSY } worker_state;

/* What an event of epoll is about. */
typedef struct event_source {
    worker *worker; /* NULL: the loop is to look at its queues */
    bool is_process;
} event_source;

struct worker {
    worker *next;
    warehouse *at;
    worker_state state;
    ist__process process;
    ist__channel channel;
    event_source on_socket, on_process;
    bool watches_out;         /* epoll tells when the socket takes more */
    char *temp_dir;
    ist__statement *statement; /* held while it runs */
    int64_t deadline_us;      /* to be ready by, to have the statement done by, to have stopped by; 0 for none */
    bool asked_to_stop;       /* the statement */
    bool heard;               /* it said something about the statement */
    bool closed;              /* it closed its channel: its process should end in a moment */
    int64_t idle_since_us;
    char reason[400];         /* why it was killed: it only has to be reaped; "" while it was not */
};

struct warehouse {
    ist__warehouses *all;
    char id[IST__WAREHOUSE_NAME_MAX + 1];
    const char *kind; /* of engine */
    char *spark_url;  /* NULL but for spark */
    ist__fair_queue queue;
    worker *workers;
    int worker_count, failed_starts; /* in a row */
    int64_t not_before_us; /* no worker is started before */
    bool wanted;           /* one worker, also without a statement */
    bool halting;          /* all its statements and workers end; then it goes on */
    char trouble[300];     /* why the last start failed; "" while all is well */
};

struct ist__warehouses {
    ist_warehouse_options options;
    char **command;      /* ends with NULL; its words are owned */
    ist__warehouse_host host;
    char *url, *ca_file; /* of the catalog */
    char *results_dir;
    char token[IST__WAREHOUSE_TOKEN_TEXT]; /* of the engines */
    ist__link_signer signer;
    ist__result_store store;
    int epoll, wakeup;
    pthread_t thread;
    bool has_thread;
    event_source on_wakeup;

    pthread_mutex_t mutex;
    pthread_cond_t quiet; /* the history is written */
    bool stopping, ended, recording;
    warehouse *list;
    int count;
    ist__statement *by_id[IST__STATEMENT_BUCKETS];
    ist__statement_list fetched, kept; /* ended ones: whose result was seen whole; the others. Oldest first */
    int64_t last_number;
    int waiting; /* waiters */
    ist__waiter *to_wake;
    worker *graveyard;
    ist__statement *unrecorded, **last_unrecorded;
    int64_t recorded_us, forgot_us; /* when the history was written, and cleaned, last */
    bool urgent;                    /* somebody waits for the history to be written */
    bool history_fails;             /* it was not written when that was tried last */
    struct seen_read {
        uint64_t hash;
        int64_t at_ms;
    } seen_reads[256]; /* lineage of reads that was told a short time ago is not told again */
};

/* statement.c: call with the mutex held, but for free -------------------------------------------------------------- */

ist__statement *ist__statement_hold(ist__statement *statement);
void ist__statement_append(ist__statement_list *list, ist__statement *statement);
void ist__statement_prepend(ist__statement_list *list, ist__statement *statement);
void ist__statement_remove(ist__statement *statement);
ist__statement *ist__statement_by_id(ist__warehouses *all, const char *id);
/* End it: state, waiters, history. It must be in no queue and run nowhere. message is copied; NULL for none. */
void ist__statement_end(ist__statement *statement, ist__statement_state state, const char *error_code,
                        const char *message);
/* Has it ended, as far as may be told? */
bool ist__statement_is_over(const ist__statement *statement);
/* Let those go on whose statement is over, or whose time is; it is canceled where they said so. */
void ist__statement_wake(ist__statement *statement, int64_t now_us);
/* Let go of results that are too old or too many. */
void ist__statements_forget(ist__warehouses *all, int64_t now_ms);
/* Note for the history that there is something new about it. */
void ist__statement_note(ist__statement *statement);
/* The principal as he is now; called without the mutex, by the loop. Errors: PERMISSION_DENIED (he is not active any
 * more). */
ist_status ist__statement_renew_principal(ist__statement *statement, ist_error *err);
/* Wakes whom there is to wake. Call without the mutex. */
void ist__warehouses_wake(ist__warehouses *all);
/* Have the loop look at its queues. */
void ist__warehouses_poke(ist__warehouses *all);

/* supervisor.c: workers; in the loop's thread, with the mutex held ------------------------------------------------- */

/* Give statements to workers, start workers. */
void ist__warehouse_dispatch(warehouse *w, int64_t now_us);
void ist__worker_readable(worker *w);
void ist__worker_writable(worker *w);
void ist__worker_ended(worker *w, int64_t now_us);
/* What was asked of it from other threads; deadlines, memory, idleness. */
void ist__worker_check(worker *w, int64_t now_us);
/* End all statements and workers of a warehouse that is halting. */
void ist__warehouse_halt(warehouse *w);
/* Kill it; reason tells its statement why. */
void ist__worker_kill(worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ist__workers_bury(ist__warehouses *all);
/* Remove a folder with all in it, as far as that goes. */
void ist__remove_tree(const char *path);

/* warehouse_loop.c ------------------------------------------------------------------------------------------------- */

void *ist__warehouses_loop(void *all);

/* query_history.c -------------------------------------------------------------------------------------------------- */

/* Hand what is new to the writer. Call with the mutex held; it is given up and taken again. */
void ist__queries_record(ist__warehouses *all);

/* statement_lineage.c: append an OpenLineage event for what a statement did. */
ist_status ist__statement_lineage(const ist__statement *statement, ist_buffer *out, ist_error *err);
/* Has it something to tell that was not told a moment ago? */
bool ist__statement_has_lineage(ist__warehouses *all, const ist__statement *statement);

#endif
