/* gateway_socket.c: a client's end of the file broker's socket (file_wire.h). */
#include "store/gateway_internal.h"
#include "util/pass_fd.h"
#include "util/util.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS_MAX = 120 };

/* "@name" is in the abstract namespace. Whoever else took that name while no server ran gets no token. */
int ist__gateway_connect_new(const char *name, uid_t uid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t peer_size = sizeof peer;
    size_t size = strlen(name);
    if (name[0] != '@' || size >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path + 1, name + 1, size - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const struct timeval most = {.tv_sec = ANSWER_SECONDS_MAX};
    if (connect(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0 && peer.uid == uid &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The broker says nothing unasked: what can be read is its end. */
static bool is_alive(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int ist__gateway_connect(ist__gateway *self, const ist__gateway_place *place)
{
    if (!place->socket)
        return -1;
    for (;;) {
        pthread_mutex_lock(&self->lock);
        int fd = self->idle_count > 0 ? self->idle[--self->idle_count] : -1;
        bool may_try = place->endpoint == NULL || ist__monotonic_us() >= self->socket_again_us;
        pthread_mutex_unlock(&self->lock);
        if (fd < 0 && !may_try)
            return -1;
        if (fd < 0)
            break;
        if (is_alive(fd))
            return fd;
        close(fd);
    }
    int fd = ist__gateway_connect_new(place->socket, place->uid);
    if (fd < 0) {
        pthread_mutex_lock(&self->lock);
        self->socket_again_us = ist__monotonic_us() + IST__GATEWAY_SOCKET_AGAIN_S * 1000000LL;
        pthread_mutex_unlock(&self->lock);
    }
    return fd;
}

void ist__gateway_keep(ist__gateway *self, int socket)
{
    pthread_mutex_lock(&self->lock);
    bool kept = self->idle_count < IST__GATEWAY_POOL_MAX;
    if (kept)
        self->idle[self->idle_count++] = socket;
    pthread_mutex_unlock(&self->lock);
    if (!kept)
        close(socket);
}

static bool send_all(int socket, const ist_buffer *frame)
{
    for (size_t sent = 0; sent < frame->size;) {
        ssize_t n = ist__send_fd(socket, frame->data + sent, frame->size - sent, -1);
        if (n < 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

/* Exactly size bytes; a file that comes with them replaces *fd. */
static bool receive_all(int socket, void *data, size_t size, int *fd)
{
    for (size_t have = 0; have < size;) {
        int passed;
        ssize_t n = ist__receive_fd(socket, (char *)data + have, size - have, &passed);
        if (passed >= 0) {
            if (*fd >= 0)
                close(*fd);
            *fd = passed;
        }
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

/* The payload, which the decoded message points into. */
static ist_status receive_answer(int socket, ist_buffer *payload, ist__file_message *out, int *fd, ist_error *err)
{
    uint8_t bytes[IST__FILE_WIRE_HEADER_SIZE];
    ist__file_header header;
    if (!receive_all(socket, bytes, sizeof bytes, fd))
        return ist_error_set(err, IST_RETRYABLE, errno, NULL, "the server of the files ended the connection");
    IST_TRY(ist__file_wire_header(bytes, IST__FILE_WIRE_ANSWER_MAX, &header, err));
    IST_TRY(ist_buffer_reserve(payload, header.size, err));
    if (!receive_all(socket, payload->data, header.size, fd))
        return ist_error_set(err, IST_RETRYABLE, errno, NULL, "the server of the files ended the connection");
    payload->size = header.size;
    return ist__file_wire_decode(&header, (const uint8_t *)payload->data, out, err);
}

ist_status ist__gateway_socket_call(int socket, const ist__file_message *request, ist__gateway_answer *answer,
                                    bool *broken, ist_error *err)
{
    ist_buffer frame = IST_BUFFER_INIT, payload = IST_BUFFER_INIT;
    ist__file_message message;
    ist_status status = IST_OK;
    answer->fd = -1;
    *broken = true;
    IST_TRY_GOTO(ist__file_wire_encode(request, &frame, err));
    if (!send_all(socket, &frame)) {
        status = ist_error_set(err, IST_RETRYABLE, errno, NULL, "cannot reach the server of the files: %s",
                               strerror(errno));
        goto done;
    }
    IST_TRY_GOTO(receive_answer(socket, &payload, &message, &answer->fd, err));
    *broken = false;
    if (message.flags & IST__FILE_FAILED) {
        status = ist_error_set(err, (ist_status)message.status, message.code, message.b, "%s",
                               message.a ? message.a : "the server of the files refused without a reason");
        goto done;
    }
    answer->size = message.number;
    answer->modified_ms = message.time;
    if (message.a)
        status = ist_buffer_append_string(&answer->text, message.a, err);
    bool wants_file =
        request->op == IST__FILE_OPEN || request->op == IST__FILE_CREATE || request->op == IST__FILE_RESULT;
    if (status == IST_OK && wants_file && answer->fd < 0)
        status = ist_error_set(err, IST_IO, 0, request->b, "the server passed no file: too many are open");
done:
    if (status != IST_OK && answer->fd >= 0) {
        close(answer->fd);
        answer->fd = -1;
    }
    if (frame.data)
        explicit_bzero(frame.data, frame.size); /* the token */
    ist_buffer_free(&frame);
    ist_buffer_free(&payload);
    return status;
}
