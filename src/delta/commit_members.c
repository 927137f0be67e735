/*
 * commit_members.c: appends of many writers as one version.
 *
 * Each member keeps its own idempotency key and its own fate: one whose key is committed already, or whose files do not
 * fit the table any more, falls out alone, before the race or in it. A metadata change has to be seen by whoever asked
 * for it, so it is never merged with others' writes.
 */
#include "delta/transaction_internal.h"

#include "isthmus/committer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ist_status check_context(const ist_commit_member *member, ist__arena *arena, ist_error *err)
{
    ist__context context;
    IST_TRY(ist__context_parse(member->context, arena, &context, err));
    if (context.changes_metadata)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "these files come with a change of table %s, which cannot be committed together with "
                             "others' appends: commit them by their own transaction", context.table_name);
    return IST_OK;
}

/* Take one member into the transaction; slot is its place there, 0 when it stays out (then *result or err tells why). */
static ist_status take_in(ist_transaction *t, const ist_commit_member *member, size_t *slot, ist_commit_result *result,
                          ist_error *err)
{
    *slot = 0;
    IST_TRY(check_context(member, t->arena, err));
    ist_status status = ist_transaction_add_app(t, member->app_id, &result->version, err);
    if (status == IST_ALREADY_EXISTS) {
        result->already = true;
        ist_error_clear(err);
        return IST_OK;
    }
    IST_TRY(status);
    status = ist__transaction_add_to(t, t->member_count - 1, member->context, member->actions, member->actions_size,
                                     err);
    if (status == IST_OK)
        *slot = t->member_count - 1;
    else
        t->members[t->member_count - 1].status = status;
    return status;
}

/* What became of a member that was taken in. */
static ist_status settle(const ist__member *member, const ist_commit_result *whole, ist_commit_result *result,
                         ist_error *err)
{
    *result = *whole;
    result->files = result->rows = result->bytes = 0;
    if (member->status == IST_ALREADY_EXISTS) {
        *result = (ist_commit_result){.version = member->version, .attempts = whole->attempts, .already = true};
        return IST_OK;
    }
    if (member->status == IST_CONFLICT) {
        result->outcome = IST_COMMIT_CONFLICTED;
        snprintf(result->reason, sizeof result->reason, "%s", member->reason);
        return ist_error_set(err, IST_CONFLICT, 0, NULL, "%s", member->reason);
    }
    for (size_t i = 0; i < member->add_count && whole->outcome == IST_COMMIT_COMMITTED; i++) {
        result->files++;
        result->bytes += member->adds[i].size;
        result->rows = result->rows < 0 || member->rows[i] < 0 ? -1 : result->rows + member->rows[i];
    }
    return IST_OK;
}

ist_status ist_commit_members(ist_store *store, const ist_committer *committer, const ist_commit_member *members,
                              size_t count, ist_status *statuses, ist_commit_result *results, ist_error *errors,
                              ist_error *err)
{
    ist_transaction_options options = IST_TRANSACTION_OPTIONS_INIT;
    ist_transaction *t = NULL;
    ist_commit_result whole;
    size_t *slots = NULL;
    ist_status status;
    if (count == 0)
        return IST_OK;
    options.table_name = members[0].table_name;
    options.engine = members[0].engine;
    options.committer = committer;
    IST_TRY(ist__alloc(count, sizeof *slots, (void **)&slots, err));
    IST_TRY_GOTO(ist_transaction_begin(store, &options, NULL, &t, err));
    for (size_t i = 0; i < count; i++) {
        results[i] = (ist_commit_result){.outcome = IST_COMMIT_COMMITTED};
        ist_error_clear(&errors[i]);
        statuses[i] = take_in(t, &members[i], &slots[i], &results[i], &errors[i]);
    }
    IST_TRY_GOTO(ist_transaction_commit(t, &whole, err));
    for (size_t i = 0; i < count; i++) {
        if (slots[i])
            statuses[i] = settle(&t->members[slots[i]], &whole, &results[i], &errors[i]);
    }
    /* The same key twice among the members: the second is done with the first. */
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i && statuses[i] == IST_OK && !slots[i] && results[i].already; j++)
            if (slots[j] && strcmp(members[i].app_id, members[j].app_id) == 0) {
                statuses[i] = statuses[j];
                results[i].version = results[j].version;
                results[i].outcome = results[j].outcome;
                results[i].already = results[j].outcome == IST_COMMIT_COMMITTED;
                errors[i] = errors[j];
            }
done:
    ist_transaction_free(t);
    free(slots);
    return status;
}

ist_status ist_commit_direct(ist_store *store, const ist_committer *committer, const ist_commit_member *member,
                             ist_commit_result *result, ist_error *err)
{
    ist_status status;
    ist_error own = IST_ERROR_INIT;
    IST_TRY(ist_commit_members(store, committer, member, 1, &status, result, &own, err));
    if (status != IST_OK && err)
        *err = own;
    return status;
}
