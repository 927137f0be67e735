/*
 * worker_channel.h: frames of JSON between the server and a worker, over a Unix socket. Library-private.
 *
 * A frame is its length, uint32 little-endian, then that many bytes. README.md tells which there are. A descriptor
 * comes with the first byte of the frame that it belongs to; they are kept in order until that frame asks for its own.
 *
 * Threading: one thread at a time.
 */
#ifndef ISTHMUS_WAREHOUSE_WORKER_CHANNEL_H
#define ISTHMUS_WAREHOUSE_WORKER_CHANNEL_H

#include "isthmus/buffer.h"

#include <stdbool.h>

enum { IST__FRAME_MAX = 64 << 20, IST__CHANNEL_FDS_MAX = 64 };

typedef struct ist__channel {
    int socket; /* not blocking; the channel's. -1: closed */
    ist_buffer in, out;
    size_t taken, sent; /* of in and out */
    int fds[IST__CHANNEL_FDS_MAX];
    int fd_count;
} ist__channel;

/* Takes the socket. */
void ist__channel_init(ist__channel *channel, int socket);
void ist__channel_close(ist__channel *channel);

/* Read what has come. *ended: the peer has closed it. Errors: IST_IO, IST_BAD_INPUT (descriptors without frames). */
ist_status ist__channel_receive(ist__channel *channel, bool *ended, ist_error *err);
/*
 * The next whole frame, lent until the next receive; *out is NULL where there is none.
 * Errors: IST_BAD_INPUT (longer than IST__FRAME_MAX).
 */
ist_status ist__channel_next(ist__channel *channel, const char **out, size_t *size, ist_error *err);
/* The oldest descriptor that came; the caller's. -1 where there is none. */
int ist__channel_take_fd(ist__channel *channel);

/* Queue a frame and send what can be sent. Errors: IST_IO (the peer is gone), IST_NO_MEMORY. */
ist_status ist__channel_send(ist__channel *channel, const char *json, size_t size, ist_error *err);
ist_status ist__channel_flush(ist__channel *channel, ist_error *err);
/* Is there something that could not be sent yet? */
bool ist__channel_is_full(const ist__channel *channel);

#endif
