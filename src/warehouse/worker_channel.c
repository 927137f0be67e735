/* worker_channel.c: frames with descriptors over a Unix stream socket that does not block. */
#include "warehouse/worker_channel.h"

#include "util/cursor.h"
#include "util/pass_fd.h"
#include "util/util.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD = 4,
    READ_SIZE = 64 << 10,
    READS_MAX = 32, /* of one call: others wait too */
};

void ist__channel_init(ist__channel *channel, int socket)
{
    *channel = (ist__channel){.socket = socket,
                              .in = {.limit = IST__FRAME_MAX + HEAD + READ_SIZE + 1},
                              .out = {.limit = 2 * (IST__FRAME_MAX + HEAD)}};
}

void ist__channel_close(ist__channel *channel)
{
    for (int i = 0; i < channel->fd_count; i++)
        close(channel->fds[i]);
    if (channel->socket >= 0)
        close(channel->socket);
    ist__buffer_wipe(&channel->in);
    ist__buffer_wipe(&channel->out); /* it held tokens */
    channel->socket = -1;
    channel->fd_count = 0;
}

/* Bytes that were taken make room for new ones. */
static void drop_taken(ist__channel *channel)
{
    if (channel->taken == 0)
        return;
    channel->in.size -= channel->taken;
    memmove(channel->in.data, channel->in.data + channel->taken, channel->in.size);
    channel->taken = 0;
}

ist_status ist__channel_receive(ist__channel *channel, bool *ended, ist_error *err)
{
    *ended = false;
    drop_taken(channel);
    for (int i = 0; i < READS_MAX; i++) {
        int fd;
        if (channel->in.size > IST__FRAME_MAX + HEAD) /* a whole frame at least: it is taken first */
            return IST_OK;
        IST_TRY(ist_buffer_reserve(&channel->in, READ_SIZE, err));
        ssize_t n = ist__receive_fd(channel->socket, channel->in.data + channel->in.size, READ_SIZE, &fd);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return IST_OK;
        *ended = n == 0 || (n < 0 && errno == ECONNRESET);
        if (*ended)
            return IST_OK;
        if (n < 0)
            return ist_error_set(err, IST_IO, errno, NULL, "cannot read from the engine: %s", strerror(errno));
        channel->in.size += (size_t)n;
        if (fd >= 0 && channel->fd_count == IST__CHANNEL_FDS_MAX) {
            close(fd);
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "more than %d descriptors came without their frames",
                                 IST__CHANNEL_FDS_MAX);
        }
        if (fd >= 0)
            channel->fds[channel->fd_count++] = fd;
    }
    return IST_OK;
}

ist_status ist__channel_next(ist__channel *channel, const char **out, size_t *size, ist_error *err)
{
    size_t left = channel->in.size - channel->taken;
    *out = NULL;
    if (left < HEAD)
        return IST_OK;
    ist__cursor head = {.at = (const uint8_t *)channel->in.data + channel->taken, .left = HEAD};
    size_t length = (size_t)ist__cursor_number(&head, HEAD);
    if (length > IST__FRAME_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a frame of %zu bytes is longer than %d", length,
                             IST__FRAME_MAX);
    if (left - HEAD < length)
        return IST_OK;
    *out = channel->in.data + channel->taken + HEAD;
    *size = length;
    channel->taken += HEAD + length;
    return IST_OK;
}

int ist__channel_take_fd(ist__channel *channel)
{
    if (channel->fd_count == 0)
        return -1;
    int fd = channel->fds[0];
    memmove(channel->fds, channel->fds + 1, (size_t)--channel->fd_count * sizeof *channel->fds);
    return fd;
}

bool ist__channel_is_full(const ist__channel *channel)
{
    return channel->sent < channel->out.size;
}

ist_status ist__channel_flush(ist__channel *channel, ist_error *err)
{
    while (ist__channel_is_full(channel)) {
        ssize_t n = send(channel->socket, channel->out.data + channel->sent, channel->out.size - channel->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return IST_OK;
        if (n < 0)
            return ist_error_set(err, IST_IO, errno, NULL, "cannot write to the engine: %s", strerror(errno));
        channel->sent += (size_t)n;
    }
    if (channel->out.data)
        explicit_bzero(channel->out.data, channel->out.size);
    ist_buffer_clear(&channel->out);
    channel->sent = 0;
    return IST_OK;
}

ist_status ist__channel_send(ist__channel *channel, const char *json, size_t size, ist_error *err)
{
    if (size > IST__FRAME_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a frame for the engine has %zu bytes; %d is the most", size,
                             IST__FRAME_MAX);
    IST_TRY(ist__put_number(&channel->out, size, HEAD, err));
    IST_TRY(ist_buffer_append(&channel->out, json, size, err));
    return ist__channel_flush(channel, err);
}
