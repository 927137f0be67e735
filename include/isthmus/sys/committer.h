/*
 * sys/committer.h: who decides which text is version n of a Delta table, and which versions there are.
 *
 * For most tables the storage decides: the first `_delta_log/<n>.json` is version n (a NULL committer, and
 * ist_committer_filesystem, which is what NULL stands for). For a catalog-managed table the catalog does (PROTOCOL.md,
 * "Catalog-managed tables"): src/catalog/managed_commit.c. Tests have a third one, all in memory.
 *
 * A committer is asked by transactions (commit, publish) and by whoever reads the log (ratified). It is internally locked
 * and may be shared by threads. src/delta/README.md tells the order of the calls and what a crash leaves between them.
 */
#ifndef ISTHMUS_SYS_COMMITTER_H
#define ISTHMUS_SYS_COMMITTER_H

#include "isthmus/store.h"

IST_BEGIN_DECLS

typedef struct ist_committer ist_committer;

/* A text that wants to be a version. */
typedef struct ist_proposal {
    int64_t version;
    const char *text; /* the actions, JSON lines */
    size_t size;
    int64_t timestamp_ms; /* the version's time: its in-commit timestamp where the table has them */
    /* What the table is from this version on, where the version changes metadata or protocol, as one JSON object with
     * the members name, description, protocol, features, schema, partitionColumns, properties of ist_snapshot_describe; else NULL */
    const char *table;
} ist_proposal;

/* A committed version whose file is (perhaps) not yet at `_delta_log/<version>.json`. */
typedef struct ist_ratified_commit {
    int64_t version;
    const char *path; /* from the table's root; borrowed for the callback */
    uint64_t size;
    int64_t modified_ms;
} ist_ratified_commit;

/* A status other than IST_OK ends the enumeration and is returned. */
typedef ist_status (*ist_ratified_commit_cb)(const ist_ratified_commit *commit, void *payload, ist_error *err);

typedef struct ist_committer_ops {
    /*
     * Make the text version `proposal->version`, which follows the newest that the caller has seen.
     *   store  on the table's location
     * IST_OK: it is that version, for good. IST_ALREADY_EXISTS: another text is. Anything else: it may be or not; the
     * caller reads the log again, and where nothing is there proposes again with the same version (IST_RETRYABLE) or
     * gives up.
     */
    ist_status (*commit)(ist_committer *self, ist_store *store, const ist_proposal *proposal, ist_error *err);
    /*
     * Tell cb, oldest first, every version that is committed and not known to be published. NULL: the storage decides;
     * such a committer serves no catalog-managed table, the others do.
     *   latest  the newest version of all; those after it, published or not, do not exist. -1: the newest published is it
     * Asked before the log is listed: what is published in between is then seen at least once.
     */
    ist_status (*ratified)(ist_committer *self, ist_ratified_commit_cb cb, void *payload, int64_t *latest,
                           ist_error *err);
    /*
     * Publish every committed version up to `version`, in order; what is published already is fine. Harmless to repeat.
     * NULL: committed versions are published. An error leaves the versions committed: somebody else's next publish has
     * them, too.
     */
    ist_status (*publish)(ist_committer *self, ist_store *store, int64_t version, ist_error *err);
    void (*free)(ist_committer *self);
} ist_committer_ops;

struct ist_committer {
    const ist_committer_ops *ops;
    /* Properties of a table that is made catalog-managed through this committer, "delta.feature.<name>": "supported" among
     * them, as JSON objects; malloc'ed, freed by ist_committer_free; NULL: none. Of the suggested ones, what the user
     * asks for goes before. */
    char *required_properties;
    char *suggested_properties;
    bool always; /* every new table is to be catalog-managed, asked for or not */
};

/* Free a committer; NULL is fine. */
IST_API void ist_committer_free(ist_committer *committer);

/* The committer of tables that no catalog commits to: put-if-absent. Static; a NULL committer is this one. */
IST_API ist_committer *ist_committer_filesystem(void);

IST_END_DECLS

#endif
