/*
 * scripted_peer.h: an HTTP server in the test's process that answers as it is told, and notes what it was asked.
 *
 * Connections stay open until an answer says "Connection: close" or ends short of its Content-Length.
 */
#ifndef ISTHMUS_SCRIPTED_PEER_H
#define ISTHMUS_SCRIPTED_PEER_H

#include "testing.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { PEER_CONNECTIONS_MAX = 64, PEER_REQUEST_MAX = 65536 };

typedef struct scripted_peer {
    int listening;
    uint16_t port;
    const char *const *answers; /* the n-th request gets the n-th, the last one again and again */
    int count;
    /* Instead of answers: malloc'ed text for a request. */
    char *(*handle)(struct scripted_peer *peer, const char *request);
    /* Or: sends the answer itself, bytes and all; false ends the connection. */
    bool (*serve)(struct scripted_peer *peer, const char *request, int fd);
    int delay_ms; /* before each answer */
    pthread_mutex_t mutex; /* guards what follows */
    int served, connections;
    char request[PEER_REQUEST_MAX]; /* the last one */
    pthread_t threads[PEER_CONNECTIONS_MAX];
    int sockets[PEER_CONNECTIONS_MAX];
    int thread_count;
    pthread_t acceptor;
} scripted_peer;

/* An answer whose end Content-Length tells; length is a string literal of digits. */
#define PEER_HEAD(status, length) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " length "\r\n\r\n"

/* malloc'ed answer with its length. */
static inline char *peer_reply(const char *status, const char *body)
{
    char *text = NULL;
    if (asprintf(&text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body) < 0)
        abort();
    return text;
}

/* Read one request, head and body; false at the end of the connection. */
static inline bool peer_receive(int fd, char *request)
{
    size_t size = 0;
    for (;;) {
        ssize_t n = recv(fd, request + size, PEER_REQUEST_MAX - 1 - size, 0);
        if (n <= 0)
            return false;
        size += (size_t)n;
        request[size] = '\0';
        const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length: ");
        if (end && size >= (size_t)(end - request) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
}

static inline bool peer_send(int fd, const char *answer)
{
    size_t size = strlen(answer);
    for (size_t done = 0; done < size;) {
        ssize_t n = send(fd, answer + done, size - done, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    const char *body = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");
    bool whole = body && (!length || strlen(body + 4) >= strtoul(length + 16, NULL, 10));
    return whole && !strstr(answer, "Connection: close");
}

typedef struct peer_connection {
    scripted_peer *peer;
    int fd;
} peer_connection;

static inline void *peer_converse(void *payload)
{
    peer_connection connection = *(peer_connection *)payload;
    scripted_peer *peer = connection.peer;
    char *request = malloc(PEER_REQUEST_MAX);
    bool more = true;
    free(payload);
    while (more && peer_receive(connection.fd, request)) {
        pthread_mutex_lock(&peer->mutex);
        int n = peer->served++;
        memcpy(peer->request, request, strlen(request) + 1);
        pthread_mutex_unlock(&peer->mutex);
        struct timespec wait = {peer->delay_ms / 1000, peer->delay_ms % 1000 * 1000000L};
        nanosleep(&wait, NULL);
        if (peer->serve) {
            more = peer->serve(peer, request, connection.fd);
            continue;
        }
        char *made = peer->handle ? peer->handle(peer, request) : NULL;
        more = peer_send(connection.fd, made ? made : peer->answers[n < peer->count ? n : peer->count - 1]);
        free(made);
    }
    shutdown(connection.fd, SHUT_RDWR); /* closed by peer_stop, which may be about to shut it down itself */
    free(request);
    return NULL;
}

static inline void *peer_accept(void *payload)
{
    scripted_peer *peer = payload;
    int fd;
    while ((fd = accept(peer->listening, NULL, NULL)) >= 0) {
        peer_connection *connection = malloc(sizeof *connection);
        *connection = (peer_connection){peer, fd};
        pthread_mutex_lock(&peer->mutex);
        if (peer->thread_count == PEER_CONNECTIONS_MAX)
            abort();
        peer->connections++;
        peer->sockets[peer->thread_count] = fd;
        pthread_create(&peer->threads[peer->thread_count++], NULL, peer_converse, connection);
        pthread_mutex_unlock(&peer->mutex);
    }
    return NULL;
}

/* Start with answers, or with count 0 and `handle` set. */
static inline void peer_start(scripted_peer *peer, const char *const *answers, int count,
                              char *(*handle)(scripted_peer *, const char *))
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    memset(peer, 0, sizeof *peer);
    pthread_mutex_init(&peer->mutex, NULL);
    peer->answers = answers;
    peer->count = count;
    peer->handle = handle;
    peer->listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(peer->listening, (struct sockaddr *)&where, size) != 0 || listen(peer->listening, 64) != 0)
        abort();
    getsockname(peer->listening, (struct sockaddr *)&where, &size);
    peer->port = ntohs(where.sin_port);
    pthread_create(&peer->acceptor, NULL, peer_accept, peer);
}

static inline void peer_stop(scripted_peer *peer)
{
    shutdown(peer->listening, SHUT_RDWR);
    pthread_join(peer->acceptor, NULL);
    close(peer->listening);
    for (int i = 0; i < peer->thread_count; i++) {
        shutdown(peer->sockets[i], SHUT_RDWR);
        pthread_join(peer->threads[i], NULL);
        close(peer->sockets[i]);
    }
    pthread_mutex_destroy(&peer->mutex);
}

static inline int peer_served(scripted_peer *peer)
{
    pthread_mutex_lock(&peer->mutex);
    int served = peer->served;
    pthread_mutex_unlock(&peer->mutex);
    return served;
}

/* Does the last request have this text in it? */
static inline bool peer_was_asked(scripted_peer *peer, const char *text)
{
    pthread_mutex_lock(&peer->mutex);
    bool found = strstr(peer->request, text) != NULL;
    pthread_mutex_unlock(&peer->mutex);
    return found;
}

#endif
