/*
 * result_reader.h: the chunks of a result as one stream, fetched ahead by threads. Library-private.
 */
#ifndef ISTHMUS_WAREHOUSE_RESULT_READER_H
#define ISTHMUS_WAREHOUSE_RESULT_READER_H

#include "warehouse/chunk_fetch.h"

/* What is read. Borrowed until the stream is released. */
typedef struct ist__result_plan {
    ist__chunk_source source;      /* chunk and size are set for each */
    const ist__chunk_size *chunks; /* source.chunk_count */
    const char *manifest;          /* tells the schema of a result without chunks */
    const ist__chunk_links *links; /* that are had already; copied */
    int64_t memory_bytes;
    int threads;
} ist__result_plan;

/* Start to fetch. Errors: IST_NO_MEMORY, IST_IO (no thread). */
ist_status ist__result_read(const ist__result_plan *plan, struct ArrowArrayStream *out, ist_error *err);

#endif
