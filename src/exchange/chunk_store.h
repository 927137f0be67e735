/*
 * chunk_store.h: the state of the exchange: exchanges, chunks, leases, and what they cost. Library-private;
 * chunk_store.c. No sockets and no threads here: the server calls it from its one thread, a test from its own.
 *
 * A *holder* stands for one connection: it owns leases (counted, for each exchange), grants (chunks that it is filling)
 * and maps (chunks that it is reading), and gives all of them back when it is freed.
 *
 *     ist__chunk_store_new(limit, NULL, &store, &err);
 *     ist__holder_new(store, &holder, &err);
 *     ist__holder_create(holder, id, &err);                          // an exchange with a lease of this holder
 *     ist__holder_grant(holder, id, 1 << 20, &segment, &err);        // write(segment.fd, ...)
 *     ist__holder_seal(holder, segment.info.id, used, rows, &info, &err);
 *     ist__holder_map(holder, info.id, &segment, &err);
 *     ist__holder_free(holder);                                      // and with the last lease, the chunk
 */
#ifndef ISTHMUS_EXCHANGE_CHUNK_STORE_H
#define ISTHMUS_EXCHANGE_CHUNK_STORE_H

#include "isthmus/exchange.h"

IST_BEGIN_DECLS

typedef struct ist__chunk_store ist__chunk_store;
typedef struct ist__holder ist__holder;
typedef struct ist__chunk ist__chunk;

/* A chunk and where its bytes are; fd is borrowed, and valid until the store is changed. */
typedef struct ist__segment {
    ist_chunk_info info; /* bytes: as granted, then as sealed */
    int fd;
} ist__segment;

typedef struct ist__chunk_counters {
    uint64_t memory_limit, memory_used, spill_used, exchanges, chunks, leases;
    uint64_t granted, sealed, mapped, freed, bytes_sealed, spill_writes, spilled_bytes;
} ist__chunk_counters;

/* Half of what this node, or the container that this process is in, has. */
uint64_t ist__chunk_store_default_limit(void);

/*
 *   limit      most bytes in memory: granted + sealed + freed but still mapped, each rounded up to pages
 *   spill_dir  folder for chunks beyond that; NULL: none
 */
ist_status ist__chunk_store_new(uint64_t limit, const char *spill_dir, ist__chunk_store **out, ist_error *err);
/* Every holder must have been freed before. */
void ist__chunk_store_free(ist__chunk_store *store);
void ist__chunk_store_counters(const ist__chunk_store *store, ist__chunk_counters *out);

ist_status ist__holder_new(ist__chunk_store *store, ist__holder **out, ist_error *err);
void ist__holder_free(ist__holder *holder);

ist_status ist__holder_create(ist__holder *holder, char id[IST_ID_SIZE], ist_error *err);
ist_status ist__holder_hold(ist__holder *holder, const char *exchange, ist_error *err);
ist_status ist__holder_release(ist__holder *holder, const char *exchange, ist_error *err);

/*
 * Errors: IST_NOT_FOUND (nobody holds the exchange), IST_NO_MEMORY (with the numbers and what to do). Before giving up
 * on IST_NO_MEMORY the caller asks ist__chunk_store_spill_begin to make room.
 */
ist_status ist__holder_grant(ist__holder *holder, const char *exchange, uint64_t size, ist__segment *out,
                             ist_error *err);
/* Make a granted chunk at least `size` large. Errors: as grant. */
ist_status ist__holder_grow(ist__holder *holder, const char *chunk, uint64_t size, uint64_t *granted, ist_error *err);
/*
 * Make a granted chunk immutable and readable. Errors: IST_NOT_FOUND (not this holder's grant, or its exchange is gone),
 * IST_BAD_INPUT (nothing or more used than granted; the segment is mapped for writing): the grant stays.
 */
ist_status ist__holder_seal(ist__holder *holder, const char *chunk, uint64_t used, int64_t rows, ist_chunk_info *out,
                            ist_error *err);
ist_status ist__holder_cancel(ist__holder *holder, const char *chunk, ist_error *err);
ist_status ist__holder_map(ist__holder *holder, const char *chunk, ist__segment *out, ist_error *err);
/* One that the holder has not mapped is ignored. */
void ist__holder_unmap(ist__holder *holder, const char *chunk);
ist_status ist__holder_free_chunk(ist__holder *holder, const char *chunk, ist_error *err);

/*
 * Spilling in three steps, so that the slow one can run in another thread: begin picks the least recently used sealed
 * chunk that nobody has mapped; run copies it to an unlinked file and touches nothing of the store; end lets go of the
 * memory, unless the chunk was freed or mapped meanwhile.
 */
typedef struct ist__spill {
    ist__chunk *chunk;
    const char *dir;
    int source;
    uint64_t size;
    int target; /* read-only; -1 until run succeeded */
    ist_status status;
    ist_error error;
} ist__spill;

/* False: there is no folder, or nothing to spill. */
bool ist__chunk_store_spill_begin(ist__chunk_store *store, ist__spill *out);
void ist__spill_run(ist__spill *spill);
/* Returns run's status. */
ist_status ist__chunk_store_spill_end(ist__chunk_store *store, ist__spill *spill, ist_error *err);

IST_END_DECLS

#endif
