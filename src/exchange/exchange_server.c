/*
 * exchange_server.c: the daemon's end of the socket.
 *
 * One thread waits in epoll for every connection, none of which it ever blocks on: a request is read as it arrives, an
 * answer that does not fit the socket is queued, and a client that does not take its answers is not read from either.
 * What takes long happens elsewhere: spilling in the spiller's thread, commits wherever the `commit` callback sends
 * them. Both come back through an eventfd.
 *
 * A GRANT or GROW that finds no room waits for a spill, in order of arrival. A connection that is found broken is only
 * marked, and taken down when the events at hand are dealt with, so that nothing is freed under somebody's feet.
 */
#include "isthmus/exchange_server.h"

#include "exchange/chunk_store.h"
#include "exchange/spiller.h"
#include "exchange/wire.h"
#include "isthmus/version.h"
#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENTS_DEFAULT = 4096,
    IN_FLIGHT_MAX = 256,   /* requests of one connection that wait for an answer: then it is not read from */
    READ_STEP = 256 << 10, /* read at once from one connection: the others have their turn */
    EVENTS_AT_ONCE = 64,
    FLUSH_MS = 2000 /* how long a stopping server tries to get its last answers out */
};

typedef struct output {
    struct output *next;
    ist_buffer frame;
    size_t sent;
    int fd; /* our own copy, or -1 */
} output;

typedef struct connection {
    struct connection *next, *prev; /* in server->connections */
    struct connection *next_doomed;
    ist_exchange_server *server;
    int socket;
    uint32_t events; /* that epoll waits for */
    ist__holder *holder;
    uint8_t header_bytes[IST__WIRE_HEADER_SIZE];
    size_t header_have;
    ist__wire_header header;
    ist_buffer payload;
    output *first_output, **last_output;
    size_t in_flight; /* waiting + commits */
    size_t commits;   /* requests that point here: it is freed after the last is answered */
    bool closing;     /* once its answers are out */
    bool doomed;
} connection;

/* A GRANT or GROW that waits for room. */
typedef struct waiting {
    struct waiting *next;
    connection *from;
    ist__message request;
} waiting;

struct ist_commit_request {
    ist_commit_request *next; /* in server->answered */
    ist_exchange_server *server;
    connection *from;
    ist_buffer payload; /* what request.member points into */
    ist__message request;
    ist__message answer;
};

struct ist_exchange_server {
    ist_exchange_server_options options;
    char *path;
    int lock_file;
    int listener;
    int epoll;
    int wake;  /* eventfd: an answer, a spill, or stop */
    int spare; /* given up to turn a client away when there are no more descriptors */
    pthread_t thread;
    bool started;
    ist__chunk_store *store;
    ist__spiller *spiller;
    connection *connections;
    connection *doomed;
    size_t clients;
    waiting *first_waiting, **last_waiting;
    int64_t start_us;

    pthread_mutex_t lock; /* what follows: other threads come here */
    ist_commit_request *answered;
    bool stop;
    uint64_t commits, commit_members;
};

static void tell(const ist_exchange_server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(const ist_exchange_server *server, const char *format, ...)
{
    if (!server->options.log)
        return;
    char line[IST_ERROR_MESSAGE_MAX + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    server->options.log(line, server->options.payload);
}

static void wake_up(void *self)
{
    const ist_exchange_server *server = self;
    uint64_t one = 1;
    if (write(server->wake, &one, sizeof one) < 0 && errno != EAGAIN)
        abort(); /* an eventfd of our own takes 8 bytes */
}

/* ---- sending ------------------------------------------------------------------------------------------------- */

static void doom(connection *c)
{
    if (c->doomed)
        return;
    c->doomed = true;
    c->next_doomed = c->server->doomed;
    c->server->doomed = c;
}

static void output_free(output *o)
{
    if (o->fd >= 0)
        close(o->fd);
    ist_buffer_free(&o->frame);
    free(o);
}

/* Wait for what this connection can use now. */
static void watch(connection *c)
{
    uint32_t events = c->first_output ? EPOLLOUT : c->closing || c->in_flight >= IN_FLIGHT_MAX ? 0 : EPOLLIN;
    if (c->doomed || events == c->events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->socket, &event) != 0)
        doom(c);
    c->events = events;
}

static void flush(connection *c)
{
    while (c->first_output && !c->doomed) {
        output *o = c->first_output;
        ssize_t n = ist__send_fd(c->socket, o->frame.data + o->sent, o->frame.size - o->sent, o->sent ? -1 : o->fd);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            doom(c);
            break;
        }
        o->sent += (size_t)n;
        if (o->sent < o->frame.size)
            continue;
        c->first_output = o->next;
        if (!c->first_output)
            c->last_output = &c->first_output;
        output_free(o);
    }
    if (c->closing && !c->first_output)
        doom(c);
    watch(c);
}

/* Send an answer; `fd` is borrowed. */
static void send_message(connection *c, const ist__message *message, int fd)
{
    if (c->doomed)
        return;
    output *o = calloc(1, sizeof *o);
    if (!o) {
        doom(c);
        return;
    }
    o->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if ((fd >= 0 && o->fd < 0) || ist__wire_encode(message, &o->frame, NULL) != IST_OK) {
        output_free(o);
        doom(c);
        return;
    }
    *c->last_output = o;
    c->last_output = &o->next;
    flush(c);
}

static void send_failure(connection *c, const ist__message *request, const ist_error *error)
{
    ist__message answer = {.op = request->op,
                           .flags = IST__WIRE_ANSWER | IST__WIRE_FAILED,
                           .request = request->request,
                           .error = *error};
    send_message(c, &answer, -1);
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

static void fill_segment(const ist__segment *segment, ist__message *answer)
{
    memcpy(answer->chunk, segment->info.id, IST_ID_SIZE);
    memcpy(answer->exchange, segment->info.exchange, IST_ID_SIZE);
    answer->size = (uint64_t)segment->info.bytes;
    answer->rows = segment->info.rows;
    answer->spilled = segment->info.spilled;
    answer->pid = (uint32_t)getpid();
    answer->fd = segment->fd;
}

static ist_status try_allocate(connection *c, const ist__message *request, ist__message *answer, int *fd,
                               ist_error *err)
{
    if (request->op == IST__WIRE_GROW)
        return ist__holder_grow(c->holder, request->chunk, request->size, &answer->size, err);
    ist__segment segment;
    IST_TRY(ist__holder_grant(c->holder, request->exchange, request->size, &segment, err));
    fill_segment(&segment, answer);
    answer->flags |= IST__WIRE_FD;
    *fd = segment.fd;
    return IST_OK;
}

/* True when a spill is under way, and so it is worth waiting. */
static bool make_room(ist_exchange_server *server)
{
    ist__spill spill;
    if (ist__spiller_busy(server->spiller))
        return true;
    if (!ist__chunk_store_spill_begin(server->store, &spill))
        return false;
    ist__spiller_start(server->spiller, &spill);
    return true;
}

/* Answer the requests for memory that can be answered now. `reason`: why the last spill failed, or NULL. */
static void serve_waiting(ist_exchange_server *server, const ist_error *reason)
{
    while (server->first_waiting) {
        waiting *w = server->first_waiting;
        connection *c = w->from;
        ist__message answer = {.op = w->request.op, .flags = IST__WIRE_ANSWER, .request = w->request.request};
        ist_error error = IST_ERROR_INIT;
        int fd = -1;
        ist_status status = c->doomed ? IST_CANCELLED : try_allocate(c, &w->request, &answer, &fd, &error);
        if (status == IST_NO_MEMORY && reason) {
            error = *reason;
            error.status = IST_NO_MEMORY;
            ist_error_context(&error, "the exchange's memory is used up, and spilling failed");
            reason = NULL;
        } else if (status == IST_NO_MEMORY && w->request.size <= server->options.memory_limit && make_room(server)) {
            return;
        }
        server->first_waiting = w->next;
        if (!server->first_waiting)
            server->last_waiting = &server->first_waiting;
        c->in_flight--;
        if (status == IST_OK)
            send_message(c, &answer, fd);
        else
            send_failure(c, &w->request, &error);
        watch(c);
        free(w);
    }
}

static void handle_allocation(connection *c, const ist__message *request)
{
    ist_exchange_server *server = c->server;
    waiting *w = calloc(1, sizeof *w);
    if (!w) {
        doom(c);
        return;
    }
    w->from = c;
    w->request = *request;
    *server->last_waiting = w;
    server->last_waiting = &w->next;
    c->in_flight++;
    serve_waiting(server, NULL);
}

static ist_status append_counters(ist_exchange_server *server, ist_buffer *out, ist_error *err)
{
    ist__chunk_counters n;
    ist__chunk_store_counters(server->store, &n);
    pthread_mutex_lock(&server->lock);
    uint64_t commits = server->commits, members = server->commit_members;
    pthread_mutex_unlock(&server->lock);
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"memory_limit", n.memory_limit},
        {"memory_used", n.memory_used},
        {"spill_used", n.spill_used},
        {"exchanges", n.exchanges},
        {"chunks", n.chunks},
        {"leases", n.leases},
        {"clients", server->clients},
        {"granted", n.granted},
        {"sealed", n.sealed},
        {"mapped", n.mapped},
        {"freed", n.freed},
        {"bytes_sealed", n.bytes_sealed},
        {"spill_writes", n.spill_writes},
        {"spilled_bytes", n.spilled_bytes},
        {"commits", commits},
        {"commit_members", members},
        {"uptime_ms", (uint64_t)(ist__monotonic_us() - server->start_us) / 1000},
        {"pid", (uint64_t)getpid()},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        IST_TRY(ist_buffer_printf(out, err, "%s\"%s\": %" PRIu64, i ? ", " : "{", counters[i].name, counters[i].value));
    return ist_buffer_append_string(out, "}", err);
}

/* Hand a commit on. It takes the payload, into which its texts point. */
static void handle_commit(connection *c, const ist__message *request)
{
    ist_exchange_server *server = c->server;
    ist_commit_request *commit = NULL;
    ist_error error = IST_ERROR_INIT;
    if (!server->options.commit)
        ist_error_set(&error, IST_UNSUPPORTED, 0, NULL, "this daemon takes no commits");
    else
        ist__alloc(1, sizeof *commit, (void **)&commit, &error);
    if (!commit) {
        send_failure(c, request, &error);
        return;
    }
    commit->server = server;
    commit->from = c;
    commit->payload = c->payload;
    c->payload = (ist_buffer)IST_BUFFER_INIT;
    commit->request = *request;
    c->commits++;
    c->in_flight++;
    server->options.commit(commit, server->options.payload);
    watch(c);
}

/* What can be answered at once. */
static ist_status handle_simple(connection *c, const ist__message *request, ist__message *answer, int *fd,
                                ist_buffer *text, ist_error *err)
{
    ist__segment segment;
    switch ((ist__wire_op)request->op) {
    case IST__WIRE_HELLO:
        answer->pid = (uint32_t)getpid();
        answer->text = ist_version();
        return IST_OK;
    case IST__WIRE_CREATE:
        return ist__holder_create(c->holder, answer->exchange, err);
    case IST__WIRE_HOLD:
        return ist__holder_hold(c->holder, request->exchange, err);
    case IST__WIRE_RELEASE:
        return ist__holder_release(c->holder, request->exchange, err);
    case IST__WIRE_SEAL:
        segment.fd = -1;
        IST_TRY(ist__holder_seal(c->holder, request->chunk, request->size, request->rows, &segment.info, err));
        fill_segment(&segment, answer);
        return IST_OK;
    case IST__WIRE_CANCEL:
        return ist__holder_cancel(c->holder, request->chunk, err);
    case IST__WIRE_MAP:
        IST_TRY(ist__holder_map(c->holder, request->chunk, &segment, err));
        fill_segment(&segment, answer);
        answer->flags |= IST__WIRE_FD;
        *fd = segment.fd;
        return IST_OK;
    case IST__WIRE_FREE:
        return ist__holder_free_chunk(c->holder, request->chunk, err);
    case IST__WIRE_COUNTERS:
        IST_TRY(append_counters(c->server, text, err));
        answer->text = text->data;
        return IST_OK;
    default:
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "unknown request %u", request->op);
    }
}

static void handle(connection *c, const ist__message *request)
{
    switch (request->op) {
    case IST__WIRE_GRANT:
    case IST__WIRE_GROW:
        handle_allocation(c, request);
        return;
    case IST__WIRE_COMMIT:
        handle_commit(c, request);
        return;
    case IST__WIRE_UNMAP:
        ist__holder_unmap(c->holder, request->chunk);
        break;
    default: {
        ist__message answer = {.op = request->op, .flags = IST__WIRE_ANSWER, .request = request->request};
        ist_error error = IST_ERROR_INIT;
        ist_buffer text = IST_BUFFER_INIT;
        int fd = -1;
        if (handle_simple(c, request, &answer, &fd, &text, &error) == IST_OK)
            send_message(c, &answer, fd);
        else
            send_failure(c, request, &error);
        ist_buffer_free(&text);
    }
    }
    serve_waiting(c->server, NULL); /* it may have made room */
}

/* ---- receiving ----------------------------------------------------------------------------------------------- */

/* A frame that cannot be understood: say so, and nothing more on this connection. */
static void refuse_frame(connection *c, const ist_error *error)
{
    ist__message request = {.op = c->header.op ? c->header.op : IST__WIRE_HELLO, .request = c->header.request};
    if (request.op >= IST__WIRE_OP_COUNT)
        request.op = IST__WIRE_HELLO;
    tell(c->server, "a client sent what is not understood: %s", error->message);
    c->closing = true;
    send_failure(c, &request, error);
}

static void receive_payload_done(connection *c)
{
    ist__message request;
    ist_error error = IST_ERROR_INIT;
    ist_status status = ist__wire_decode(&c->header, (const uint8_t *)c->payload.data, &request, &error);
    if (status == IST_OK && c->header.flags != 0)
        status = ist_error_set(&error, IST_BAD_INPUT, 0, NULL, "a client sent an answer");
    if (status == IST_OK)
        handle(c, &request);
    else
        refuse_frame(c, &error);
    c->header_have = 0;
    if (c->payload.capacity > READ_STEP)
        ist_buffer_free(&c->payload);
    ist_buffer_clear(&c->payload);
}

static void receive_header_done(connection *c)
{
    ist_error error = IST_ERROR_INIT;
    ist_status status = ist__wire_decode_header(c->header_bytes, &c->header, &error);
    if (status == IST_OK && c->header.version != IST__WIRE_VERSION)
        status = ist_error_set(&error, IST_UNSUPPORTED, 0, NULL,
                               "this daemon (Isthmus %s) speaks version %d of the exchange's protocol, the client "
                               "version %u: use the same release of Isthmus for both",
                               ist_version(), IST__WIRE_VERSION, c->header.version);
    if (status != IST_OK)
        refuse_frame(c, &error);
    else if (c->header.size == 0)
        receive_payload_done(c);
}

static void receive(connection *c)
{
    ssize_t n;
    if (c->header_have < sizeof c->header_bytes) {
        n = recv(c->socket, c->header_bytes + c->header_have, sizeof c->header_bytes - c->header_have, 0);
        if (n > 0)
            c->header_have += (size_t)n;
        if (n > 0 && c->header_have == sizeof c->header_bytes)
            receive_header_done(c);
    } else {
        /* The announced size is not believed: the buffer grows with what arrives. */
        size_t step = c->header.size - c->payload.size < READ_STEP ? c->header.size - c->payload.size : READ_STEP;
        if (ist_buffer_reserve(&c->payload, step, NULL) != IST_OK) {
            doom(c);
            return;
        }
        n = recv(c->socket, c->payload.data + c->payload.size, step, 0);
        if (n > 0)
            c->payload.size += (size_t)n;
        if (n > 0 && c->payload.size == c->header.size)
            receive_payload_done(c);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        doom(c);
}

/* ---- connections --------------------------------------------------------------------------------------------- */

static void connection_free(connection *c)
{
    while (c->first_output) {
        output *o = c->first_output;
        c->first_output = o->next;
        output_free(o);
    }
    ist_buffer_free(&c->payload);
    free(c);
}

/* Take down a doomed connection: with it go its leases, grants and maps. */
static void connection_close(connection *c)
{
    ist_exchange_server *server = c->server;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        server->connections = c->next;
    server->clients--;
    for (waiting **at = &server->first_waiting; *at;) {
        waiting *w = *at;
        if (w->from != c) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
    server->last_waiting = &server->first_waiting;
    while (*server->last_waiting)
        server->last_waiting = &(*server->last_waiting)->next;
    ist__holder_free(c->holder);
    c->holder = NULL;
    /* close alone does not take it out of epoll while a fork of this process has a copy. */
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, c->socket, NULL);
    close(c->socket);
    c->socket = -1;
    if (c->commits == 0)
        connection_free(c);
}

static void close_doomed(ist_exchange_server *server)
{
    while (server->doomed) {
        connection *c = server->doomed;
        server->doomed = c->next_doomed;
        connection_close(c);
        serve_waiting(server, NULL);
    }
}

/* Turn a client away with a word, as the answer to the HELLO that it is about to send. */
static void turn_away(int socket, ist_status status, const char *message)
{
    ist__message answer = {.op = IST__WIRE_HELLO, .flags = IST__WIRE_ANSWER | IST__WIRE_FAILED, .request = 1};
    ist_buffer frame = IST_BUFFER_INIT;
    ist_error_set(&answer.error, status, 0, NULL, "%s", message);
    if (ist__wire_encode(&answer, &frame, NULL) == IST_OK)
        ist__send_fd(socket, frame.data, frame.size, -1); /* best effort: it fits a new socket */
    ist_buffer_free(&frame);
    close(socket);
}

static void connection_new(ist_exchange_server *server, int socket)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != geteuid() && peer.uid != 0)) {
        tell(server, "refused a client of another user");
        turn_away(socket, IST_FORBIDDEN, "the daemon belongs to another user");
        return;
    }
    if (server->clients >= server->options.max_clients) {
        tell(server, "refused a client: %zu are connected (max_clients)", server->clients);
        turn_away(socket, IST_RETRYABLE, "the daemon has as many clients as it takes (max_clients)");
        return;
    }
    connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!c || ist__holder_new(server->store, &c->holder, NULL) != IST_OK ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, socket, &event) != 0) {
        tell(server, "refused a client: out of memory");
        if (c)
            ist__holder_free(c->holder);
        free(c);
        turn_away(socket, IST_NO_MEMORY, "the daemon is out of memory");
        return;
    }
    c->server = server;
    c->socket = socket;
    c->events = EPOLLIN;
    c->last_output = &c->first_output;
    c->next = server->connections;
    if (c->next)
        c->next->prev = c;
    server->connections = c;
    server->clients++;
}

static void accept_clients(ist_exchange_server *server)
{
    for (int i = 0; i < EVENTS_AT_ONCE; i++) {
        int socket = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= 0) {
            connection_new(server, socket);
            continue;
        }
        if (errno != EMFILE && errno != ENFILE)
            return;
        tell(server, "refused a client: too many files open");
        close(server->spare);
        socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket >= 0)
            turn_away(socket, IST_RETRYABLE, "the daemon has too many files open");
        server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return;
    }
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void send_commit_answers(ist_exchange_server *server)
{
    pthread_mutex_lock(&server->lock);
    ist_commit_request *answered = server->answered;
    server->answered = NULL;
    pthread_mutex_unlock(&server->lock);
    while (answered) {
        ist_commit_request *request = answered;
        answered = request->next;
        connection *c = request->from;
        c->commits--;
        c->in_flight--;
        if (!c->doomed) {
            send_message(c, &request->answer, -1);
            watch(c);
        } else if (c->socket < 0 && c->commits == 0) {
            connection_free(c);
        }
        ist_buffer_free(&request->payload);
        free(request);
    }
}

static void finish_spill(ist_exchange_server *server)
{
    ist__spill spill;
    if (!ist__spiller_take(server->spiller, &spill))
        return;
    ist_error error = IST_ERROR_INIT;
    ist_status status = ist__chunk_store_spill_end(server->store, &spill, &error);
    if (status != IST_OK)
        tell(server, "%s", error.message);
    serve_waiting(server, status == IST_OK ? NULL : &error);
}

/* True once there is nothing left to do for a server that was told to stop. */
static bool may_stop(ist_exchange_server *server, int64_t *stop_us)
{
    pthread_mutex_lock(&server->lock);
    bool stop = server->stop && !server->answered;
    pthread_mutex_unlock(&server->lock);
    if (!stop)
        return false;
    if (*stop_us == 0)
        *stop_us = ist__monotonic_us();
    bool flushed = true;
    for (connection *c = server->connections; c; c = c->next)
        flushed &= !c->first_output;
    return flushed || ist__monotonic_us() - *stop_us > FLUSH_MS * 1000;
}

static void *run(void *self)
{
    ist_exchange_server *server = self;
    struct epoll_event events[EVENTS_AT_ONCE];
    int64_t stop_us = 0;
    while (!may_stop(server, &stop_us)) {
        int count = epoll_wait(server->epoll, events, EVENTS_AT_ONCE, stop_us ? 10 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &server->listener) {
                accept_clients(server);
            } else if (events[i].data.ptr == &server->wake) {
                uint64_t ignored;
                while (read(server->wake, &ignored, sizeof ignored) > 0)
                    ;
                send_commit_answers(server);
                finish_spill(server);
            } else {
                connection *c = events[i].data.ptr;
                if (!c->doomed && (events[i].events & EPOLLOUT))
                    flush(c);
                if (!c->doomed && (events[i].events & EPOLLIN))
                    receive(c);
                else if (events[i].events & (EPOLLHUP | EPOLLERR))
                    doom(c);
            }
        }
        close_doomed(server);
    }
    while (server->connections) {
        doom(server->connections);
        close_doomed(server);
    }
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------------------ */

static ist_status make_folder(const char *path, ist_error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return IST_OK;
    char *folder;
    IST_TRY(ist__strdup(path, &folder, err));
    folder[slash - path] = '\0';
    ist_status status = IST_OK;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        status = ist_error_set(err, IST_IO, errno, folder, "cannot make the folder %s: %s", folder, strerror(errno));
    free(folder);
    return status;
}

/* One daemon for one socket: whoever holds the lock on <socket>.lock. The kernel lets go of it when the holder dies, so
 * a socket that is found by the next holder is stale. The file itself stays: removing it would let two hold "it". */
static ist_status take_lock(ist_exchange_server *server, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = ist_buffer_printf(&path, err, "%s.lock", server->path);
    if (status != IST_OK)
        return status;
    char pid[32] = "";
    server->lock_file = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (server->lock_file < 0) {
        status = ist_error_set(err, IST_IO, errno, path.data, "cannot open %s: %s", path.data, strerror(errno));
    } else if (flock(server->lock_file, LOCK_EX | LOCK_NB) != 0) {
        if (pread(server->lock_file, pid, sizeof pid - 1, 0) < 0)
            pid[0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        status = ist_error_set(err, IST_ALREADY_EXISTS, 0, server->path, "a daemon (process %s) already serves %s",
                               *pid ? pid : "unknown", server->path);
    } else {
        int size = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
        if (ftruncate(server->lock_file, 0) != 0 || pwrite(server->lock_file, pid, (size_t)size, 0) != size)
            status = ist_error_set(err, IST_IO, errno, path.data, "cannot write %s: %s", path.data, strerror(errno));
    }
    ist_buffer_free(&path);
    return status;
}

static ist_status listen_on(ist_exchange_server *server, ist_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;
    if (strlen(server->path) >= sizeof address.sun_path)
        return ist_error_set(err, IST_BAD_INPUT, 0, server->path,
                             "the path of a socket may have %zu bytes, this has %zu: %s", sizeof address.sun_path - 1,
                             strlen(server->path), server->path);
    memcpy(address.sun_path, server->path, strlen(server->path) + 1);
    IST_TRY(make_folder(server->path, err));
    IST_TRY(take_lock(server, err));
    if (lstat(server->path, &there) == 0 && !S_ISSOCK(there.st_mode))
        return ist_error_set(err, IST_ALREADY_EXISTS, 0, server->path, "%s is there, and is no socket", server->path);
    unlink(server->path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The mode of an unbound socket is that of the file which bind makes: nobody else can connect in between. */
    if (listener < 0 || fchmod(listener, 0600) != 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listener, SOMAXCONN) != 0) {
        int code = errno;
        if (listener >= 0)
            close(listener);
        return ist_error_set(err, IST_IO, code, server->path, "cannot listen on %s: %s", server->path, strerror(code));
    }
    server->listener = listener;
    return IST_OK;
}

/* A spill folder is relative to the socket's. */
static ist_status make_store(ist_exchange_server *server, ist_error *err)
{
    const char *dir = server->options.spill_dir;
    ist_buffer path = IST_BUFFER_INIT;
    const char *slash = strrchr(server->path, '/');
    ist_status status = IST_OK;
    if (dir && *dir)
        status = *dir == '/' || !slash
                     ? ist_buffer_append_string(&path, dir, err)
                     : ist_buffer_printf(&path, err, "%.*s/%s", (int)(slash - server->path), server->path, dir);
    if (status == IST_OK)
        status = ist__chunk_store_new(server->options.memory_limit, path.data, &server->store, err);
    ist_buffer_free(&path);
    return status;
}

static ist_status start_loop(ist_exchange_server *server, ist_error *err)
{
    struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &server->listener};
    struct epoll_event on_wake = {.events = EPOLLIN, .data.ptr = &server->wake};
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->epoll < 0 || server->wake < 0 || server->spare < 0 ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &on_listener) != 0 ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wake, &on_wake) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot wait for clients: %s", strerror(errno));
    /* Signals are for the process's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ist_status status = ist__spiller_new(wake_up, server, &server->spiller, err);
    int failed = status == IST_OK ? pthread_create(&server->thread, NULL, run, server) : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ist_error_set(err, IST_NO_MEMORY, failed, NULL, "cannot start a thread");
    server->started = status == IST_OK;
    return status;
}

ist_status ist_exchange_server_start(const ist_exchange_server_options *options, ist_exchange_server **out,
                                     ist_error *err)
{
    ist_exchange_server *server;
    IST_TRY(ist__alloc(1, sizeof *server, (void **)&server, err));
    memcpy(&server->options, options, options->size < sizeof *options ? options->size : sizeof *options);
    server->options.memory_limit =
        server->options.memory_limit ? server->options.memory_limit : ist__chunk_store_default_limit();
    server->options.max_clients = server->options.max_clients ? server->options.max_clients : CLIENTS_DEFAULT;
    server->listener = server->lock_file = server->epoll = server->wake = server->spare = -1;
    server->last_waiting = &server->first_waiting;
    server->start_us = ist__monotonic_us();
    pthread_mutex_init(&server->lock, NULL);

    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = ist_exchange_socket_path(options->socket_path, &path, err);
    server->path = path.data;
    if (status == IST_OK)
        status = listen_on(server, err);
    if (status == IST_OK)
        status = make_store(server, err);
    if (status == IST_OK)
        status = start_loop(server, err);
    server->options.socket_path = server->options.spill_dir = NULL; /* were the caller's */
    if (status != IST_OK)
        ist_exchange_server_stop(server);
    else
        *out = server;
    return status;
}

const char *ist_exchange_server_socket(const ist_exchange_server *server)
{
    return server->path;
}

uint64_t ist_exchange_server_memory_limit(const ist_exchange_server *server)
{
    return server->options.memory_limit;
}

void ist_exchange_server_stop(ist_exchange_server *server)
{
    if (!server)
        return;
    if (server->started) {
        pthread_mutex_lock(&server->lock);
        server->stop = true;
        pthread_mutex_unlock(&server->lock);
        wake_up(server);
        pthread_join(server->thread, NULL);
    }
    ist__spill left;
    if (ist__spiller_free(server->spiller, &left))
        ist__chunk_store_spill_end(server->store, &left, NULL);
    ist__chunk_store_free(server->store);
    if (server->listener >= 0)
        unlink(server->path);
    const int descriptors[] = {server->listener, server->epoll, server->wake, server->spare, server->lock_file};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    pthread_mutex_destroy(&server->lock);
    free(server->path);
    free(server);
}

/* ---- commits, from other threads ----------------------------------------------------------------------------- */

const ist_commit_member *ist_commit_request_member(const ist_commit_request *request)
{
    return &request->request.member;
}

void ist_commit_request_answer(ist_commit_request *request, ist_status status, const ist_commit_result *result,
                               const ist_error *error)
{
    ist_exchange_server *server = request->server;
    request->answer = (ist__message){
        .op = IST__WIRE_COMMIT, .flags = IST__WIRE_ANSWER, .request = request->request.request};
    if (status == IST_OK) {
        request->answer.result = *result;
    } else {
        request->answer.flags |= IST__WIRE_FAILED;
        request->answer.error = *error;
        request->answer.error.status = status;
    }
    pthread_mutex_lock(&server->lock);
    request->next = server->answered;
    server->answered = request;
    pthread_mutex_unlock(&server->lock);
    wake_up(server);
}

void ist_commit_request_count(ist_commit_request *request, size_t members)
{
    ist_exchange_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    server->commits++;
    server->commit_members += members;
    pthread_mutex_unlock(&server->lock);
}
