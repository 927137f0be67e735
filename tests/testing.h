/* testing.h: cmocka with the few helpers that every C test uses. `test_x CASE` runs the cases whose names match CASE
 * ("*" and "?" as in a shell). */
#ifndef ISTHMUS_TESTING_H
#define ISTHMUS_TESTING_H

#include "isthmus/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Expect IST_OK; on failure print what the error says. */
#define assert_ok(call, err)                                                                                           \
    do {                                                                                                               \
        ist_status assert_ok_status_ = (call);                                                                         \
        if (assert_ok_status_ != IST_OK)                                                                               \
            fail_msg("%s: %s: %s (%s)", #call, ist_status_name(assert_ok_status_), (err).message, (err).where);        \
    } while (0)

#define run_group(tests, argc, argv)                                                                                   \
    ((argc) > 1 ? (cmocka_set_test_filter((argv)[1]), 0) : 0, cmocka_run_group_tests((tests), NULL, NULL))

/* A new empty folder under $TMPDIR; the caller frees the path (and removes the folder with remove_folder). */
static inline char *new_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/isthmus_test_XXXXXX", base ? base : "/tmp") < 0 || !mkdtemp(path))
        abort();
    return path;
}

static inline void remove_folder(char *path)
{
    char command[4200];
    snprintf(command, sizeof command, "chmod -R u+w '%s' 2>/dev/null; rm -rf '%s'", path, path);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", path);
    free(path);
}

#endif
