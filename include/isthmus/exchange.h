/*
 * exchange.h: chunks of Arrow data in the shared memory of one node.
 *
 * The node daemon owns chunks (memfd segments of Arrow IPC stream bytes). A writer is *granted* a segment, *fills* it,
 * *seals* it; readers *map* it read-only and copy nothing. Chunks belong to an *exchange*; an exchange lives as long as
 * somebody holds a *lease* on it, and a lease lives as long as the connection that took it: when the last holder is
 * gone, by free or by death, the chunks are freed. src/exchange/README.md tells the protocol.
 *
 * Threading: an ist_exchange_client is internally locked and may be shared by threads, not by processes (after fork,
 * open a new one; the library refuses the old one).
 *
 *     ist_exchange_client_open(NULL, &client, &err);
 *     ist_exchange_create(client, id, &err);                       // and hold a lease on it
 *     ist_exchange_put(client, id, &stream, &chunk, &err);         // grant, fill, seal; any process on the node
 *     ist_exchange_get(client, chunk.id, &stream, &err);           // map; zero-copy
 *     ist_exchange_release(client, id, &err);                      // or ist_exchange_client_free, or exit
 */
#ifndef ISTHMUS_EXCHANGE_H
#define ISTHMUS_EXCHANGE_H

#include "isthmus/arrow.h"
#include "isthmus/buffer.h"
#include "isthmus/error.h"

#include <stdbool.h>
#include <stdint.h>

IST_BEGIN_DECLS

typedef struct ist_exchange_client ist_exchange_client;
typedef struct ist_chunk_writer ist_chunk_writer;

enum { IST_ID_SIZE = 37 }; /* a UUID in text with its NUL */

typedef struct ist_chunk_info {
    char id[IST_ID_SIZE];
    char exchange[IST_ID_SIZE];
    int64_t rows;
    int64_t bytes;   /* sealed size */
    bool spilled;    /* on disk, not in memory */
} ist_chunk_info;

/* Append the path of the daemon's socket: `given`, or where that is NULL or "": $ISTHMUS_SOCKET, else
 * $ISTHMUS_HOME/daemon.sock, else ~/.isthmus/daemon.sock. */
IST_API ist_status ist_exchange_socket_path(const char *given, ist_buffer *out, ist_error *err);

/*
 * Connect to the node's daemon. A client whose daemon went away stays dead (its leases are gone too): every call gives
 * IST_RETRYABLE; open a new one.
 *   socket_path  NULL for the default of ist_exchange_socket_path
 * Errors: IST_NOT_FOUND (no daemon there: the message tells how to start one), IST_FORBIDDEN (another user's daemon),
 * IST_UNSUPPORTED (a daemon of another version), IST_IO.
 */
IST_API ist_status ist_exchange_client_open(const char *socket_path, ist_exchange_client **out, ist_error *err);
/* Close; gives back every lease. Arrays that were got stay valid. */
IST_API void ist_exchange_client_free(ist_exchange_client *client);
/* False after the daemon went away, and in a process that forked off the one that opened the client. */
IST_API bool ist_exchange_client_alive(ist_exchange_client *client);

/* Make an exchange, take a lease on it, and write its id. */
IST_API ist_status ist_exchange_create(ist_exchange_client *client, char id[IST_ID_SIZE], ist_error *err);
/* Take a further lease on an exchange; a client may hold many on one. Errors: IST_NOT_FOUND (freed already). */
IST_API ist_status ist_exchange_hold(ist_exchange_client *client, const char *id, ist_error *err);
/* Give one of this client's leases back; the last of all clients' frees the chunks. Errors: IST_NOT_FOUND. */
IST_API ist_status ist_exchange_release(ist_exchange_client *client, const char *id, ist_error *err);

/*
 * Write all batches of a stream as one chunk; takes the stream. Errors: IST_NO_MEMORY (exchange memory and spill space
 * are used up: says how much there is), IST_NOT_FOUND (exchange freed), IST_RETRYABLE (the daemon went away in the
 * middle; nothing was sealed).
 */
IST_API ist_status ist_exchange_put(ist_exchange_client *client, const char *exchange, struct ArrowArrayStream *stream,
                                    ist_chunk_info *out, ist_error *err);

/* The same in steps, for one who makes Arrow IPC bytes elsewhere: grant, fill (repeat), seal. Free without seal gives
 * the segment back. */
IST_API ist_status ist_chunk_writer_open(ist_exchange_client *client, const char *exchange, size_t size_hint,
                                         ist_chunk_writer **out, ist_error *err);
IST_API ist_status ist_chunk_writer_write(ist_chunk_writer *writer, const void *data, size_t size, ist_error *err);
IST_API ist_status ist_chunk_writer_seal(ist_chunk_writer *writer, int64_t rows, ist_chunk_info *out, ist_error *err);
IST_API void ist_chunk_writer_free(ist_chunk_writer *writer);

/*
 * Map a chunk and read it. The arrays point into the shared memory, which stays mapped until the last of them is
 * released, also after the chunk was freed. Errors: IST_NOT_FOUND, IST_BAD_INPUT (not Arrow IPC).
 */
IST_API ist_status ist_exchange_get(ist_exchange_client *client, const char *chunk, struct ArrowArrayStream *out,
                                    ist_error *err);

/* Free one chunk before its exchange goes. */
IST_API ist_status ist_exchange_free_chunk(ist_exchange_client *client, const char *chunk, ist_error *err);

/*
 * Append the daemon's counters as a JSON object of numbers. Now: memory_limit, memory_used (granted and sealed chunks,
 * and freed ones that a reader has still mapped), spill_used, exchanges, chunks, leases, clients, uptime_ms, pid. Since
 * the start: granted, sealed, mapped, freed (chunks), bytes_sealed, spill_writes (chunks), spilled_bytes, commits,
 * commit_members.
 */
IST_API ist_status ist_exchange_counters(ist_exchange_client *client, ist_buffer *out, ist_error *err);

IST_END_DECLS

#endif
