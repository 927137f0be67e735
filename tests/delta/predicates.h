/* predicates.h: expressions as pyarrow serialises them (tests/data/make_predicates.py), for scans. */
#ifndef ISTHMUS_TESTS_DELTA_PREDICATES_H
#define ISTHMUS_TESTS_DELTA_PREDICATES_H

#include "isthmus/scan.h"
#include "testing.h"

#include <stdlib.h>

/* Read an expression into `out`, and have the options ask for it. */
static inline void use_predicate(const char *name, ist_buffer *out, ist_scan_options *options)
{
    ist_buffer path = IST_BUFFER_INIT;
    char block[4096];
    ist_buffer_printf(&path, NULL, "%s/predicates/%s", getenv("ISTHMUS_TEST_DATA"), name);
    FILE *file = fopen(path.data, "rb");
    if (!file)
        fail_msg("%s is missing", path.data);
    ist_buffer_clear(out);
    for (size_t size; (size = fread(block, 1, sizeof block, file)) > 0;)
        ist_buffer_append(out, block, size, NULL);
    fclose(file);
    ist_buffer_free(&path);
    options->predicate = out->data;
    options->predicate_size = out->size;
}

#endif
