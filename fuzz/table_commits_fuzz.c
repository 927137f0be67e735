/* table_commits_fuzz.c: what a catalog may answer about a table's commits, in either API. What is taken is in order, and its
 * names stay in the folder of staged commits. */
#include "catalog/managed_commit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *data, size_t size, ist__commits_form form)
{
    ist__commits commits;
    ist_error err = IST_ERROR_INIT;
    if (ist__commits_parse((const char *)data, size, form, &commits, &err) != IST_OK)
        return;
    for (size_t i = 0; i < commits.count; i++) {
        const ist__commit_info *commit = &commits.items[i];
        if (commit->version < 0 || commit->version > commits.latest || strchr(commit->name, '/') ||
            (i > 0 && commit->version != commit[-1].version + 1))
            abort();
    }
    ist__commits_free(&commits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size, IST__COMMITS_PREVIEW);
    parse(data, size, IST__COMMITS_DELTA);
    return 0;
}
