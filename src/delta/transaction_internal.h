/*
 * transaction_internal.h: the inside of a transaction, shared by the files of the commit protocol (README.md):
 *
 *     write_context.c    what a writer is told, as JSON
 *     protocol.c         the protocol that a table's schema and properties ask for
 *     transaction.c      begin, gather, commit
 *     conflict.c         what a commit that was faster means for this one
 *     commit_members.c   many appends in one version
 */
#ifndef ISTHMUS_DELTA_TRANSACTION_INTERNAL_H
#define ISTHMUS_DELTA_TRANSACTION_INTERNAL_H

#include "delta/delta_internal.h"

/* ---- the write context -------------------------------------------------------------------------------------- */

typedef struct ist__context {
    const char *table_id;
    const char *table_name; /* for messages: the table's name, else its location */
    const char *schema;     /* Delta JSON */
    ist__strings partition_columns;
    ist__pairs configuration;
    int64_t target_file_bytes;
    bool changes_metadata; /* the transaction that it came from makes or changes the table */
    bool change_data;      /* the files are of the change data feed */
} ist__context;

ist_status ist__context_format(const ist__context *context, ist_buffer *out, ist_error *err);
/* Strings are copied into the arena. IST_BAD_INPUT. */
ist_status ist__context_parse(const char *json, ist__arena *arena, ist__context *out, ist_error *err);

/* A property that is "true" in any case. */
bool ist__property_true(ist__pairs configuration, const char *key);
/* A property that is a whole number of at least `least`; `otherwise` where it is absent or no such number. */
int64_t ist__property_number(ist__pairs configuration, const char *key, int64_t least, int64_t otherwise);
bool ist__strings_equal(ist__strings a, ist__strings b);
bool ist__strings_contain(ist__strings strings, const char *text);

/* ---- the protocol ------------------------------------------------------------------------------------------- */

/*
 * Raise a protocol to what the schema, the configuration and the features asked for by name need.
 *   protocol  in: the table's; for a new table versions 1 and 2. out: raised, features copied into the arena
 *   changed   set true when it was raised, else left
 * IST_UNSUPPORTED: a feature that Isthmus does not know.
 */
ist_status ist__protocol_require(ist__protocol *protocol, const ist__metadata *metadata, ist__strings by_name,
                                 ist__arena *arena, bool *changed, ist_error *err);

/* ---- the transaction ---------------------------------------------------------------------------------------- */

/* One idempotency key (or none) and the files that stand and fall with it. */
typedef struct ist__member {
    const char *app_id;  /* NULL: none */
    ist__context *files_for; /* contexts that its files were written with */
    size_t context_count;
    ist__add *adds;
    int64_t *rows; /* of each add; -1 unknown */
    size_t add_count;
    ist_status status; /* IST_OK: takes part. IST_ALREADY_EXISTS: committed before. IST_CONFLICT: see reason */
    int64_t version;   /* with IST_ALREADY_EXISTS */
    char reason[512];
} ist__member;

struct ist_transaction {
    ist_store *store;
    ist_committer *committer; /* never NULL */
    ist__arena *arena;
    ist_snapshot *snapshot; /* NULL: the table is new */
    const char *table_name; /* never NULL */
    const char *engine_info;
    const char *extra_info; /* JSON object or NULL */
    const char *txn_id;
    const char *operation; /* of a rewrite */
    ist_write_mode mode;
    int64_t target_file_bytes;
    bool noop;
    bool already; /* noop because the idempotency key is committed */
    bool committed;

    /* The table as of `version`, moved on by every commit that was faster; then our changes upon it. */
    int64_t read_version; /* what begin saw; -1: no table */
    int64_t version;
    ist__protocol protocol;
    ist__metadata metadata;
    bool changes_protocol;
    bool changes_metadata;
    bool overwrites;    /* removes files: all, or with IST_WRITE_REWRITE those of `replaced` */
    bool *replaced;     /* of each file of the snapshot; NULL: none */
    ist__cdc *changes;  /* files of the change data feed */
    size_t change_count;
    int64_t row_id_high_water; /* -1: none yet */
    int64_t last_timestamp;    /* in-commit timestamp of `version`; -1 unknown */

    ist__member *members; /* the first is the transaction's own */
    size_t member_count;
};

/* Does the transaction's committer ask a catalog? */
static inline bool ist__transaction_is_managed(const ist_transaction *transaction)
{
    return transaction->committer->ops->ratified != NULL;
}

/* What begin, ist_transaction_add and ist_transaction_add_app do, for the member at an index. */
ist_status ist__transaction_add_to(ist_transaction *transaction, size_t member, const char *context,
                                   const char *actions, size_t size, ist_error *err);

/*
 * Check the commit that took `version` and, if ours may follow it, move the transaction's view on to it. Members whose
 * key it has, or whose files do not fit the table any more, are marked and fall out.
 *   ours  set true when it is our own commit, whose acknowledgement was lost
 * IST_CONFLICT: the transaction as a whole cannot follow; the message says why.
 */
ist_status ist__conflict_check(ist_transaction *transaction, int64_t version, const char *text, size_t size, bool *ours,
                               ist_error *err);

#endif
