/*
 * lanes.h: where requests wait that are not answered in the HTTP thread: the writer's queue and the pool for slow ones.
 *
 * The writer takes all that wait at once into one database transaction: each in a savepoint that rolls back alone, then
 * one COMMIT, which is one fsync, then all the answers. What is audited besides (slow requests, refusals) passes through
 * it too, so that an answer is never ahead of its audit entry.
 *
 * Threading: internally locked. Jobs are given back in the thread that finished them.
 */
#ifndef ISTHMUS_SERVER_LANES_H
#define ISTHMUS_SERVER_LANES_H

#include "catalog/local/audit.h"
#include "server/router.h"

typedef struct ist__lanes ist__lanes;

/* A request that waits; part of what its server keeps for it. */
typedef struct ist__job {
    struct ist__job *next;
    ist__call *call;       /* NULL for a chore */
    ist__session *session; /* of the call */
    bool answered;         /* the reply is there; only its audit entry is still to be written */
    /* A chore: no request's own change, done when the writer comes by, in a savepoint of its own. What it wrote survives
     * this process when done is called, and the machine a little later. */
    ist_status (*chore)(struct ist__job *job, ist__db *db, ist_error *err);
    bool failed;           /* set before done: nothing of the chore is kept */
    /* Everything is done: send the reply. */
    void (*done)(struct ist__job *job);
} ist__job;

/* Errors: IST_NO_MEMORY, IST_IO (no threads). */
ist_status ist__lanes_start(ist__local *local, ist__lanes **out, ist_error *err);
/* Finish what waits, then stop. NULL is allowed. */
void ist__lanes_stop(ist__lanes *lanes);

/* Queue a job for its route's lane, or for the writer where it is answered. Takes it until done is called. */
void ist__lanes_add(ist__lanes *lanes, ist__job *job);

#endif
