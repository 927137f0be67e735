/*
 * group_commit.h: many appends, few versions. Private to src/daemon; group_commit.c; README.md tells the protocol.
 *
 * Requests queue for each table; a worker takes all that wait for one table and commits them as one version, while
 * those that arrive meanwhile gather for the next.
 */
#ifndef ISTHMUS_DAEMON_GROUP_COMMIT_H
#define ISTHMUS_DAEMON_GROUP_COMMIT_H

#include "isthmus/exchange_server.h"

typedef struct group_commit group_commit;

/* Commits members of one table and answers for each: ist_commit_members on the table's store, or a test's own. The
 * payload is what group_commit_new got. */
typedef ist_status (*group_commit_cb)(const char *table_uri, const char *access, const ist_commit_member *members,
                                      size_t count, ist_status *statuses, ist_commit_result *results,
                                      ist_error *errors, void *payload, ist_error *err);

/*
 *   threads    tables committed to at the same time
 *   batch      most members of one commit
 */
ist_status group_commit_new(size_t threads, size_t batch, group_commit_cb commit, void *payload,
                            group_commit **out, ist_error *err);

/* Queue a request; takes it. It is answered by a worker, or at once (IST_RETRYABLE) while stopping. Does not block. */
void group_commit_submit(group_commit *group, ist_commit_request *request);

/* Let the commits under way end, and answer all that wait, and all that are still submitted, with IST_RETRYABLE. */
void group_commit_stop(group_commit *group);

/* After stop, when nobody submits any more. NULL is allowed. */
void group_commit_free(group_commit *group);

#endif
