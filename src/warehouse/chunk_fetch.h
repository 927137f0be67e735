/*
 * chunk_fetch.h: one chunk of a result, from its link to batches that are known to be all of it. Library-private.
 *
 * Threading: ist__chunk_fetch may run in many threads at once over the same catalog.
 */
#ifndef ISTHMUS_WAREHOUSE_CHUNK_FETCH_H
#define ISTHMUS_WAREHOUSE_CHUNK_FETCH_H

#include "isthmus/arrow.h"
#include "warehouse/statement_reply.h"

#include <stdatomic.h>

/* Which chunk, and how it is had. Texts and objects are borrowed. */
typedef struct ist__chunk_source {
    ist_catalog *catalog; /* whom a link is asked of */
    const char *statement_id;
    size_t chunk, chunk_count;
    ist__chunk_size size;
    bool lz4;
    int64_t deadline_us;     /* 0 for none */
    const atomic_bool *stop; /* NULL for none */
} ist__chunk_source;

/* A chunk in memory: its batches point into bytes that they keep. */
typedef struct ist__fetched_chunk {
    struct ArrowSchema schema;
    struct ArrowArray *batches;
    size_t count;
    int64_t rows;
} ist__fetched_chunk;

/*
 * Fetch a chunk. A link that has expired, or does not work, is asked for anew; bytes that are not the whole chunk are
 * fetched again.
 *   link  one that is had already, or NULL; taken out (and wiped) once it is used
 *   out   the caller's; ist__fetched_chunk_free
 * Errors: those of streams in isthmus/warehouse.h.
 */
ist_status ist__chunk_fetch(const ist__chunk_source *source, ist__chunk_link *link, ist__fetched_chunk *out,
                            ist_error *err);
void ist__fetched_chunk_free(ist__fetched_chunk *chunk);

/* The chunk as a stream; takes it. */
ist_status ist__fetched_chunk_stream(ist__fetched_chunk *chunk, struct ArrowArrayStream *out, ist_error *err);

#endif
