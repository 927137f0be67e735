/* table_commits_fuzz.c: what a catalog may answer to getCommits. What is taken is in order, and its names stay in the folder
 * of staged commits. */
#include "catalog/managed_commit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__commits commits;
    ist_error err = IST_ERROR_INIT;
    if (ist__commits_parse((const char *)data, size, &commits, &err) != IST_OK)
        return 0;
    for (size_t i = 0; i < commits.count; i++) {
        const ist__commit_info *commit = &commits.items[i];
        if (commit->version < 0 || commit->version > commits.latest || strchr(commit->name, '/') ||
            (i > 0 && commit->version != commit[-1].version + 1))
            abort();
    }
    ist__commits_free(&commits);
    return 0;
}
