/*
 * conflict.c: what a commit that was faster means for ours.
 *
 * The rules are those of Delta's own conflict checker at its default isolation (Serializable), seen from what Isthmus
 * does: an append reads nothing, an overwrite or rewrite reads the whole table.
 *
 *     the other commit                     append                             overwrite, rewrite
 *     adds files                           follows                            conflict
 *     removes files                        follows                            conflict
 *     changes metadata or protocol         follows if ours changes none and   conflict
 *                                          the files still fit; one that
 *                                          wanted the same change follows
 *     has our idempotency key              that member is done already        likewise
 *     touches a metadata domain            only delta.rowTracking is ours, and it is merged
 *
 * To follow is to rebase: row ids and in-commit timestamps are made anew from the state that the other commit left.
 */
#include "delta/transaction_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the winner did, as far as it matters. */
typedef struct winner {
    ist_transaction *transaction;
    int64_t version;
    const ist__protocol *protocol; /* NULL: unchanged */
    const ist__metadata *metadata;
    size_t adds;
    size_t removes;
    int64_t row_id_high_water;
    int64_t in_commit_timestamp;
    const char *commit_info; /* JSON or NULL */
    const char **apps;       /* idempotency keys */
    size_t app_count;
} winner;

static ist_status no_memory(ist_error *err)
{
    return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for the conflict check");
}

static int64_t parse_high_water(const char *configuration)
{
    yyjson_doc *doc = configuration ? yyjson_read(configuration, strlen(configuration), 0) : NULL;
    yyjson_val *mark = yyjson_obj_get(yyjson_doc_get_root(doc), "rowIdHighWaterMark");
    int64_t value = yyjson_is_int(mark) ? yyjson_get_sint(mark) : -1;
    yyjson_doc_free(doc);
    return value;
}

/* Growing by doubling in the arena: the count tells when the room is used up. */
static ist_status remember_app(winner *w, const char *app_id, ist_error *err)
{
    if ((w->app_count & (w->app_count - 1)) == 0) {
        const char **apps = ist__arena_alloc(w->transaction->arena, (w->app_count ? 2 * w->app_count : 1) * sizeof *apps);
        if (!apps)
            return no_memory(err);
        if (w->app_count)
            memcpy(apps, w->apps, w->app_count * sizeof *apps);
        w->apps = apps;
    }
    w->apps[w->app_count++] = app_id;
    return IST_OK;
}

/* Members whose key the winner has are done. */
static void mark_already(const winner *w)
{
    for (size_t i = 0; i < w->transaction->member_count; i++) {
        ist__member *member = &w->transaction->members[i];
        for (size_t a = 0; a < w->app_count && member->status == IST_OK && member->app_id; a++) {
            if (strcmp(member->app_id, w->apps[a]) == 0) {
                member->status = IST_ALREADY_EXISTS;
                member->version = w->version;
            }
        }
    }
}

static ist_status take_in(const ist__action *action, void *payload, ist_error *err)
{
    winner *w = payload;
    switch (action->kind) {
    case IST__ADD:
        w->adds++;
        break;
    case IST__REMOVE:
        w->removes++;
        break;
    case IST__PROTOCOL:
    case IST__METADATA: {
        ist__action *copy = ist__arena_alloc(w->transaction->arena, sizeof *copy);
        if (!copy)
            return no_memory(err);
        *copy = *action;
        if (action->kind == IST__PROTOCOL)
            w->protocol = &copy->protocol;
        else
            w->metadata = &copy->metadata;
        break;
    }
    case IST__APP:
        return remember_app(w, action->app.app_id, err);
    case IST__DOMAIN:
        if (strcmp(action->domain.domain, "delta.rowTracking") == 0)
            w->row_id_high_water = parse_high_water(action->domain.configuration);
        break;
    case IST__COMMIT_INFO:
        w->in_commit_timestamp = action->commit_info.in_commit_timestamp;
        w->commit_info = action->commit_info.json;
        break;
    default:
        break;
    }
    return IST_OK;
}

static ist_status conflict(const winner *w, const char *what, ist_error *err)
{
    return ist_error_set(err, IST_CONFLICT, 0, NULL, "version %" PRId64 " of table %s was committed meanwhile and %s",
                         w->version, w->transaction->table_name, what);
}

/* Members whose files do not fit the table as the winner left it fall out. */
static size_t drop_misfits(const winner *w, const ist__metadata *metadata, const ist__protocol *protocol)
{
    ist_transaction *t = w->transaction;
    size_t left = 0;
    for (size_t i = 0; i < t->member_count; i++) {
        ist__member *member = &t->members[i];
        ist_error why = IST_ERROR_INIT;
        if (member->status != IST_OK)
            continue;
        if (ist__features_check_write(protocol, metadata, ist__transaction_is_managed(t), &why) != IST_OK)
            member->status = IST_CONFLICT;
        for (size_t c = 0; c < member->context_count && member->status == IST_OK; c++) {
            if (!ist__strings_equal(member->files_for[c].partition_columns, metadata->partition_columns))
                member->status = ist_error_set(&why, IST_CONFLICT, 0, NULL, "its partition columns were changed");
            else if (ist__schema_fits(member->files_for[c].schema, metadata->schema_string, &why) != IST_OK)
                member->status = IST_CONFLICT;
        }
        if (member->status == IST_CONFLICT)
            snprintf(member->reason, sizeof member->reason,
                     "version %" PRId64 " of table %s was committed meanwhile and changed the table: %s", w->version,
                     t->table_name, why.message);
        else
            left++;
    }
    return left;
}

/* The winner changed metadata or protocol. */
static ist_status follow_change(const winner *w, ist_error *err)
{
    ist_transaction *t = w->transaction;
    if (t->overwrites)
        return conflict(w, "changed the table's metadata or protocol", err);
    if (t->read_version < 0 && w->version == 0 && t->mode != IST_WRITE_APPEND)
        return conflict(w, "created the table", err);
    ist__protocol protocol = w->protocol ? *w->protocol : t->protocol;
    if ((t->changes_metadata || t->changes_protocol) && !w->metadata)
        return conflict(w, "changed the table's protocol", err);
    ist__metadata metadata = w->metadata ? *w->metadata : t->metadata;
    size_t left = drop_misfits(w, &metadata, &protocol);
    if (left == 0 && t->member_count == 1 && t->members[0].status == IST_CONFLICT)
        return ist_error_set(err, IST_CONFLICT, 0, NULL, "%s", t->members[0].reason);
    if (t->changes_metadata &&
        (!ist__strings_equal(t->metadata.partition_columns, metadata.partition_columns) ||
         ist__schema_fits(t->metadata.schema_string, metadata.schema_string, NULL) != IST_OK))
        return conflict(w, "changed the table's schema in another way", err);
    /* Whoever wanted to make or grow the table finds it done: the winner has every column of ours. */
    t->changes_metadata = t->changes_protocol = false;
    t->metadata = metadata;
    t->protocol = protocol;
    return IST_OK;
}

static bool is_ours(const ist_transaction *t, const char *commit_info)
{
    yyjson_doc *doc = commit_info ? yyjson_read(commit_info, strlen(commit_info), 0) : NULL;
    bool same = yyjson_equals_str(yyjson_obj_get(yyjson_doc_get_root(doc), "txnId"), t->txn_id);
    yyjson_doc_free(doc);
    return same;
}

ist_status ist__conflict_check(ist_transaction *transaction, int64_t version, const char *text, size_t size, bool *ours,
                               ist_error *err)
{
    winner w = {.transaction = transaction, .version = version, .row_id_high_water = -1, .in_commit_timestamp = -1};
    char name[64];
    ist__log_commit_path(version, name);
    IST_TRY(ist__actions_each(text, size, name, transaction->arena, take_in, &w, err));
    *ours = is_ours(transaction, w.commit_info);
    if (*ours)
        return IST_OK;
    mark_already(&w);
    if (w.protocol || w.metadata)
        IST_TRY(follow_change(&w, err));
    if (transaction->overwrites && (w.adds || w.removes))
        return conflict(&w, w.removes ? "removed files that this overwrite replaces" : "added files that this "
                        "overwrite would have to replace", err);
    if (w.row_id_high_water > transaction->row_id_high_water)
        transaction->row_id_high_water = w.row_id_high_water;
    transaction->last_timestamp = w.in_commit_timestamp;
    transaction->version = version;
    return IST_OK;
}
