/* test_memory_store.c: the in-memory store passes the suite of the real ones. */
#include "conformance/store_conformance.h"
#include "isthmus/sys/storage.h"

static ist_store *conformance_open(void)
{
    ist_error err = IST_ERROR_INIT;
    ist_store *store;
    assert_ok(ist_store_open_memory(&store, &err), err);
    return store;
}

static void conformance_close(ist_store *store)
{
    ist_store_free(store);
}

STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_TEST)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_ENTRY)};
    return run_group(tests, argc, argv);
}
