/*
 * stream.h: failures of an Arrow C stream, whose own language is errno and a text. Library-private; stream.c.
 *
 * Streams made by Isthmus give the errno of ist__stream_errno, so that the status survives the way through the stream.
 */
#ifndef ISTHMUS_SHIM_STREAM_H
#define ISTHMUS_SHIM_STREAM_H

#include "isthmus/arrow.h"
#include "isthmus/error.h"

IST_BEGIN_DECLS

/* The errno by which a stream reports a status (never 0 for a failure). */
int ist__stream_errno(ist_status status);

/* Turn what get_schema or get_next returned (`code`, not 0) into an error with the stream's text. Returns its status. */
ist_status ist__stream_error(struct ArrowArrayStream *stream, int code, ist_error *err);

IST_END_DECLS

#endif
