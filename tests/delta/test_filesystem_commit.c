/* test_filesystem_commit.c: the storage as committer. */
#include "conformance/committer_conformance.h"

static void *conformance_world(void)
{
    return NULL;
}

static void conformance_end(void *world)
{
    (void)world;
}

static ist_committer *conformance_open(void *world)
{
    (void)world;
    return NULL;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {COMMITTER_CONFORMANCE_CASES(COMMITTER_CONFORMANCE_ENTRY)};
    return run_group(tests, argc, argv);
}
