/*
 * result_store.h: results: chunks in files without names, which vanish with their descriptors. Library-private.
 *
 * A chunk that is small is read into memory when it comes, so that a thousand small results are not a thousand open
 * files. Everything counts against the store's budget from the moment it comes until the last holder lets go of it.
 *
 * Threading: a store is internally locked; a result is filled by one thread, then immutable and shared.
 */
#ifndef ISTHMUS_WAREHOUSE_RESULT_STORE_H
#define ISTHMUS_WAREHOUSE_RESULT_STORE_H

#include "isthmus/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { IST__CHUNK_IN_MEMORY_MAX = 32 << 10 };

typedef struct ist__result_store {
    int64_t bytes_max, statement_bytes_max; /* in all, and of one result */
    int files_max;
    _Atomic int64_t bytes;
    atomic_int files;
} ist__result_store;

typedef struct ist__chunk {
    int fd;     /* -1 where the bytes are in memory */
    char *data;
    int64_t bytes, rows, row_offset;
} ist__chunk;

typedef struct ist__result {
    atomic_int references;
    ist__result_store *store;
    ist__chunk *chunks;
    int count, room;
    int64_t rows, bytes;
} ist__result;

/* Count bytes that are kept beside a result's chunks. Errors: RESOURCE_EXHAUSTED (over the budget: says which setting);
 * then nothing is counted. */
ist_status ist__result_store_charge(ist__result_store *store, int64_t bytes, ist_error *err);
void ist__result_store_discharge(ist__result_store *store, int64_t bytes);

/* Held once. */
ist_status ist__result_new(ist__result_store *store, ist__result **out, ist_error *err);
ist__result *ist__result_hold(ist__result *result);
/* NULL is allowed. */
void ist__result_release(ist__result *result);

/*
 * Add a chunk, and take its descriptor, also after an error.
 *   bytes  what the worker says that it wrote; the file must have just that
 * Errors: RESOURCE_EXHAUSTED (over a budget: says which setting), IST_BAD_INPUT (the file is not what was told, or there
 * are more rows than can be counted),
 * IST_IO.
 */
ist_status ist__result_add(ist__result *result, int fd, int64_t rows, int64_t bytes, ist_error *err);

/* Copy a chunk's bytes to `out`, which has room for them. Errors: IST_IO. */
ist_status ist__chunk_read(const ist__chunk *chunk, char *out, ist_error *err);

#endif
