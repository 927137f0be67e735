/*
 * filesystem_commit.c: the committer of tables that no catalog commits to. The put of `_delta_log/<n>.json` is the commit:
 * the store lets one of all writers make it.
 */
#include "delta/delta_internal.h"

#include <stdlib.h>

static ist_status commit(ist_committer *self, ist_store *store, const ist_proposal *proposal, ist_error *err)
{
    (void)self;
    char path[64];
    ist__log_commit_path(proposal->version, path);
    return ist_store_put(store, path, proposal->text, proposal->size, IST_PUT_IF_ABSENT, err);
}

ist_committer *ist_committer_filesystem(void)
{
    static const ist_committer_ops ops = {.commit = commit};
    static ist_committer filesystem = {.ops = &ops};
    return &filesystem;
}

void ist_committer_free(ist_committer *committer)
{
    if (!committer || !committer->ops->free)
        return;
    free(committer->required_properties);
    free(committer->suggested_properties);
    committer->required_properties = committer->suggested_properties = NULL;
    committer->ops->free(committer);
}
