/*
 * lz4.h: the LZ4 frame format through Arrow C++. Library-private; lz4.cc.
 */
#ifndef ISTHMUS_SHIM_LZ4_H
#define ISTHMUS_SHIM_LZ4_H

#include "isthmus/buffer.h"

IST_BEGIN_DECLS

/* Append what an LZ4 frame holds, or several one behind the other; out->limit bounds it. Errors: IST_BAD_INPUT (no
 * frame, one that is cut off), IST_NO_MEMORY (over the limit). */
ist_status ist__lz4_decompress(const void *data, size_t size, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
