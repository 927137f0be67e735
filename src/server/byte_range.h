/* byte_range.h: HTTP's Range of one part (RFC 9110, section 14), for bodies and for files. Library-private. */
#ifndef ISTHMUS_SERVER_BYTE_RANGE_H
#define ISTHMUS_SERVER_BYTE_RANGE_H

#include "server/router.h"

/*
 * Narrow the call's reply, a file or a body of `size` bytes, to what the request's Range asks for: all of it (200), a
 * part (206), or 416 where it begins after the end. What is no range of one part is ignored, as HTTP has it.
 */
ist_status ist__reply_range(ist__call *call, uint64_t size, ist_error *err);

#endif
