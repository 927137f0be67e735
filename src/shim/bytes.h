/*
 * bytes.h: how the shims over Arrow C++ reach bytes that they know nothing about.
 *
 * The shims stand below the storage layer, so they take a table of functions instead of a store.
 */
#ifndef ISTHMUS_SHIM_BYTES_H
#define ISTHMUS_SHIM_BYTES_H

#include "isthmus/error.h"

#include <stddef.h>
#include <stdint.h>

IST_BEGIN_DECLS

/* A file to read at any offset, from any thread. */
typedef struct ist__source {
    void *self;
    uint64_t size;
    ist_status (*read)(void *self, uint64_t offset, void *data, size_t size, ist_error *err); /* exactly size bytes */
    void (*free)(void *self);
    const char *name; /* for messages; must live as long as self */
} ist__source;

/* A file to append to. */
typedef struct ist__sink {
    void *self;
    ist_status (*write)(void *self, const void *data, size_t size, ist_error *err);
} ist__sink;

IST_END_DECLS

#endif
