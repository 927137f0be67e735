/*
 * session.h: who acts on the local catalog, and how a call gets its database connection. Library-private.
 *
 * A session is the self of a local catalog's backend: one principal at work. It is made per request by the server, and
 * once, for the administrator, by whoever opens a `sqlite:` catalog in his own process.
 *
 *     ist__db *db;
 *     IST_TRY(ist__session_read(session, &db, err));
 *     return ist__db_end(db, read_something(session, db, out, err), err);
 *
 * Threading: a session belongs to one thread at a time; principals are immutable and shared.
 */
#ifndef ISTHMUS_CATALOG_LOCAL_SESSION_H
#define ISTHMUS_CATALOG_LOCAL_SESSION_H

#include "catalog/local/database.h"
#include "isthmus/buffer.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct ist__local ist__local;

enum { IST__PRINCIPAL_NAME_MAX = 255 };

typedef enum ist__principal_kind {
    IST__PRINCIPAL_USER,
    IST__PRINCIPAL_SERVICE,
    IST__PRINCIPAL_GROUP
} ist__principal_kind;

typedef struct ist__principal {
    char id[37];
    char name[IST__PRINCIPAL_NAME_MAX + 1]; /* what owner, created_by and grants show: a user's name (his address), a
                                               service principal's application id */
    ist__principal_kind kind;
    bool is_admin;      /* the administrator, or a member of the group `admins` */
    bool is_engine;     /* a warehouse's engine: may see everything and read every table, also filtered ones; no more */
    int group_count;    /* with the groups that his groups are in, and `account users`, which holds everyone */
    struct ist__group {
        char id[37];
        char name[IST__PRINCIPAL_NAME_MAX + 1];
    } *groups;
} ist__principal;

typedef struct ist__session {
    ist__local *local;
    const ist__principal *who;
    ist__db *transaction; /* set while the session runs inside a transaction that others share: reads and writes of the
                             session are then savepoints of it */
} ist__session;

/* Whoever may do everything: he who opens the database in his own process, and the holder of the home's token. */
extern const ist__principal ist__principal_admin;
/* The engines of the warehouses. What they read on whose behalf is checked before, by ist__names_resolve. */
extern const ist__principal ist__principal_engine;
/* Whoever shows no token, on the routes that ask for none. May nothing. */
extern const ist__principal ist__principal_nobody;

/* Begin to read on a connection of the pool; ends with ist__db_end. Errors: IST_RETRYABLE, IST_IO. */
ist_status ist__session_read(ist__session *session, ist__db **out, ist_error *err);
/* Begin to write: on the one writing connection, in a transaction of its own or, inside a shared one, in a savepoint;
 * ends with ist__db_end, which commits or rolls back just that. */
ist_status ist__session_write(ist__session *session, ist__db **out, ist_error *err);

#endif
