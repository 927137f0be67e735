/*
 * store_conformance.h: one suite that every storage backend must pass.
 *
 *     static ist_store *conformance_open(void) {...}             // a new empty store
 *     static void conformance_close(ist_store *store) {...}
 *     STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_TEST)            // defines test_conformance__<case>
 *     const struct CMUnitTest tests[] = {STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_ENTRY) ...};
 */
#ifndef ISTHMUS_STORE_CONFORMANCE_H
#define ISTHMUS_STORE_CONFORMANCE_H

#include "isthmus/store.h"
#include "testing.h"

#define STORE_CONFORMANCE_CASES(X)                                                                                     \
    X(get_what_was_put)                                                                                                \
    X(put_if_absent_loses_to_what_is_there)                                                                            \
    X(put_replace_replaces)                                                                                            \
    X(one_of_many_threads_wins)                                                                                        \
    X(missing_objects_are_not_found)                                                                                   \
    X(stat_tells_size_and_time)                                                                                        \
    X(list_is_sorted_and_flat)                                                                                         \
    X(list_starts_after_and_stops)                                                                                     \
    X(remove_is_idempotent)                                                                                            \
    X(reader_reads_ranges_and_no_further)                                                                              \
    X(reader_keeps_what_it_opened)                                                                                     \
    X(writer_publishes_on_close_only)                                                                                  \
    X(paths_that_leave_the_root_are_refused)                                                                           \
    X(odd_names_are_kept)                                                                                              \
    X(get_keeps_to_the_limit)

/* Of stores whose folders are real. */
#define STORE_FOLDER_CASES(X)                                                                                          \
    X(folders_are_made_listed_and_removed)                                                                             \
    X(rename_replaces_nothing)

#define STORE_CONFORMANCE_DECLARE(name) void store_conformance__##name(ist_store *store);
STORE_CONFORMANCE_CASES(STORE_CONFORMANCE_DECLARE)
STORE_FOLDER_CASES(STORE_CONFORMANCE_DECLARE)

#define STORE_CONFORMANCE_TEST(name)                                                                                   \
    static void test_conformance__##name(void **state)                                                                 \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        ist_store *store = conformance_open();                                                                         \
        store_conformance__##name(store);                                                                              \
        conformance_close(store);                                                                                      \
    }
#define STORE_CONFORMANCE_ENTRY(name) cmocka_unit_test(test_conformance__##name),

#endif
