/*
 * committer.h: the way a finished writer's files become a version of the table, alone or together with others'.
 *
 * Direct: one transaction for one member. Group: the member is handed to the node's daemon, which merges all members
 * for one table that are waiting at the time into one version; each has its own acknowledgement and idempotency key,
 * so that a retried task never doubles rows. src/daemon/README.md tells the protocol.
 *
 * Threading: functions are free-standing.
 */
#ifndef ISTHMUS_COMMITTER_H
#define ISTHMUS_COMMITTER_H

#include "isthmus/exchange.h"
#include "isthmus/transaction.h"

IST_BEGIN_DECLS

typedef struct ist_commit_member {
    const char *table_uri;
    const char *table_name; /* for messages; NULL where it has none */
    const char *context;    /* write context, JSON */
    const char *actions;    /* what ist_writer_finish gave */
    size_t actions_size;
    const char *app_id; /* idempotency key, required */
    const char *engine; /* as in ist_transaction_options; may be NULL */
    const char *access; /* a table of a catalog: ist_table_access, with which the daemon opens it; NULL for a location */
} ist_commit_member;

/* Commit an append through the daemon and wait for it. Errors: those of ist_transaction_commit; IST_RETRYABLE when the
 * daemon went away before it answered: repeat with the same app_id. */
IST_API ist_status ist_commit_group(ist_exchange_client *client, const ist_commit_member *member,
                                    ist_commit_result *result, ist_error *err);

/* Commit an append by itself. committer: as in ist_transaction_options. */
IST_API ist_status ist_commit_direct(ist_store *store, const ist_committer *committer, const ist_commit_member *member,
                                     ist_commit_result *result, ist_error *err);

/*
 * Commit many appends to one table as one version: what the daemon calls for those that wait.
 *   statuses, results, errors  one for each member, filled for every member when IST_OK is returned
 */
IST_API ist_status ist_commit_members(ist_store *store, const ist_committer *committer,
                                      const ist_commit_member *members, size_t count, ist_status *statuses,
                                      ist_commit_result *results, ist_error *errors, ist_error *err);

IST_END_DECLS

#endif
