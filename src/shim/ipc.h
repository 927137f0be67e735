/*
 * ipc.h: Arrow IPC streams through Arrow C++. Library-private; ipc.cc.
 */
#ifndef ISTHMUS_SHIM_IPC_H
#define ISTHMUS_SHIM_IPC_H

#include "isthmus/arrow.h"
#include "shim/bytes.h"

IST_BEGIN_DECLS

/* Encode all batches of a stream as one IPC stream (uncompressed, 64-byte aligned buffers) into the sink. Takes the
 * stream. *rows counts them. Errors of the stream itself come out as IST_BAD_INPUT with its text. */
ist_status ist__ipc_write(struct ArrowArrayStream *stream, ist__sink sink, int64_t *rows, ist_error *err);

/*
 * Decode an IPC stream that lies in memory without copying: arrays point into `data`.
 *   free  called once with `self` when the last array and the stream are released (also when this fails)
 * Errors: IST_BAD_INPUT; every size in the bytes is checked against `size`.
 */
ist_status ist__ipc_read(const void *data, size_t size, void *self, void (*free)(void *self),
                         struct ArrowArrayStream *out, ist_error *err);

IST_END_DECLS

#endif
