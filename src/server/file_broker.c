/*
 * file_broker.c: open files for those who show a token, or a link to a chunk of a result.
 *
 * The socket is in Linux's abstract namespace: clients are other users of the machine, who have no business in the
 * server's home. Anybody may connect, and gets nothing without a token; the credentials tell a client which user must be
 * at the other end, so that nobody who takes the name while no server runs is shown a token.
 *
 * A few threads wait on one epoll, each connection armed for one event at a time, so that a connection belongs to one
 * thread while it is dealt with and a slow disk holds up only the threads that wait for it. Sockets never block: a
 * request is taken as it arrives, an answer that does not fit waits for its client, who is not read from meanwhile. Who
 * takes longer than half a minute for one frame is cut off. What a client was making goes with its connection.
 */
#include "server/file_broker.h"

#include "server/file_access.h"
#include "store/file_store.h"
#include "store/file_wire.h"
#include "util/pass_fd.h"
#include "util/util.h"
#include "warehouse/result_link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    THREADS = 8,
    CLIENTS_MAX = 2048,
    CLIENTS_OF_A_USER_MAX = 1024, /* one user alone cannot take them all */
    FRAME_SECONDS_MAX = 30,
    SWEEP_MS = 5000,
};

typedef struct connection {
    struct connection *next, *prev; /* in broker->connections */
    int socket;
    uid_t user;
    ist_buffer in;  /* of one request, as far as it has come */
    ist_buffer out; /* the answer */
    size_t sent;
    int passed;               /* the file that goes with the answer; -1: none */
    ist_store_writer *writer; /* what CREATE began */
    atomic_llong since_us;    /* of an unfinished frame; 0: none is under way */
} connection;

struct ist__file_broker {
    const ist__file_signer *signer;
    ist__warehouses *results; /* NULL: none */
    int listener, epoll, stop; /* stop: an eventfd that stays readable */
    pthread_t threads[THREADS];
    int thread_count;
    atomic_llong swept_us;
    pthread_mutex_t lock; /* guards the list */
    connection *connections;
    size_t count;
};

/* Connections ------------------------------------------------------------------------------------------------------ */

static void forget_connection(ist__file_broker *broker, connection *c)
{
    pthread_mutex_lock(&broker->lock);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        broker->connections = c->next;
    broker->count--;
    close(c->socket);
    pthread_mutex_unlock(&broker->lock);
    ist_store_writer_free(c->writer);
    if (c->passed >= 0)
        close(c->passed);
    ist_buffer_free(&c->in);
    ist_buffer_free(&c->out);
    free(c);
}

/* Under the lock. */
static bool has_room(const ist__file_broker *broker, uid_t user)
{
    size_t same = 0;
    for (const connection *c = broker->connections; c; c = c->next)
        same += c->user == user;
    return broker->count < CLIENTS_MAX && same < CLIENTS_OF_A_USER_MAX;
}

static void connection_new(ist__file_broker *broker, int socket)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    if (!c || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        free(c);
        close(socket);
        return;
    }
    c->socket = socket;
    c->user = peer.uid;
    c->passed = -1;
    c->in.limit = IST__FILE_WIRE_HEADER_SIZE + IST__FILE_WIRE_REQUEST_MAX + 1;
    pthread_mutex_lock(&broker->lock);
    bool room = has_room(broker, c->user);
    if (room) {
        c->next = broker->connections;
        if (c->next)
            c->next->prev = c;
        broker->connections = c;
        broker->count++;
    }
    pthread_mutex_unlock(&broker->lock);
    if (!room) { /* the store goes over HTTP then */
        free(c);
        close(socket);
        return;
    }
    if (epoll_ctl(broker->epoll, EPOLL_CTL_ADD, socket, &event) != 0)
        forget_connection(broker, c);
}

/* Cut off who began a frame long ago: shutting the socket down wakes a thread, which takes the connection down. */
static void sweep(ist__file_broker *broker)
{
    int64_t now = ist__monotonic_us();
    if (now - atomic_exchange(&broker->swept_us, now) < SWEEP_MS * 1000LL / 2)
        return;
    pthread_mutex_lock(&broker->lock);
    for (connection *c = broker->connections; c; c = c->next) {
        int64_t since = atomic_load(&c->since_us);
        if (since && now - since > FRAME_SECONDS_MAX * 1000000LL)
            shutdown(c->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&broker->lock);
}

/* Requests --------------------------------------------------------------------------------------------------------- */

static ist_status open_object(ist_store *store, const ist__file_message *request, ist__file_message *answer, int *fd,
                              ist_error *err)
{
    struct stat info;
    IST_TRY(ist__file_store_open(store, request->b, fd, err));
    if (fstat(*fd, &info) != 0)
        return ist_error_set(err, IST_IO, errno, request->b, "cannot read %s: %s", request->b, strerror(errno));
    answer->number = (uint64_t)info.st_size;
    answer->time = (int64_t)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000;
    return IST_OK;
}

static ist_status create_object(connection *c, ist_store *store, const ist__file_message *request, int *fd,
                                ist_error *err)
{
    ist_store_entry there;
    if (c->writer)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "this connection is making a file already");
    if (request->number == IST_PUT_IF_ABSENT && ist_store_stat(store, request->b, &there, NULL) == IST_OK)
        return ist_error_set(err, IST_ALREADY_EXISTS, EEXIST, request->b, "%s/%s exists already",
                             ist_store_uri(store), request->b);
    IST_TRY(ist_store_writer_open(store, request->b, &c->writer, err));
    *fd = fcntl(ist__file_writer_fd(c->writer), F_DUPFD_CLOEXEC, 0);
    return *fd >= 0 ? IST_OK : ist_error_set(err, IST_IO, errno, NULL, "cannot pass a file: %s", strerror(errno));
}

static ist_status publish_object(connection *c, const ist__file_message *request, ist_error *err)
{
    if (!c->writer)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "this connection is making no file");
    ist_status status = ist__file_writer_publish(c->writer, (ist_put_mode)request->number, err);
    ist_store_writer_free(c->writer);
    c->writer = NULL;
    return status;
}

static ist_status stat_object(ist_store *store, const ist__file_message *request, ist__file_message *answer,
                              ist_error *err)
{
    ist_store_entry entry;
    IST_TRY(ist_store_stat(store, request->b, &entry, err));
    answer->number = entry.size;
    answer->time = entry.modified_ms;
    return IST_OK;
}

/* A link is as good here as over HTTP. */
static ist_status open_result(const ist__file_broker *broker, const ist__file_message *request,
                              ist__file_message *answer, int *fd, ist_error *err)
{
    ist__link_parts parts;
    ist__held_chunk chunk;
    if (!broker->results || !request->a || !ist__link_split(request->a, &parts))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a request without a link of this server's");
    IST_TRY(ist__result_open(broker->results, parts.statement_id, parts.chunk, parts.expires, parts.signature, &chunk,
                             err));
    ist_buffer_free(&chunk.bytes);
    if (chunk.fd < 0)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL, "the chunk is in no file: fetch its link over HTTP");
    *fd = chunk.fd;
    answer->number = (uint64_t)chunk.size;
    return IST_OK;
}

static bool changes(uint16_t op)
{
    return op != IST__FILE_OPEN && op != IST__FILE_STAT && op != IST__FILE_LIST;
}

static ist_status answer_request(const ist__file_broker *broker, connection *c, const ist__file_message *request,
                                 ist__file_message *answer, ist_buffer *text, int *fd, ist_error *err)
{
    ist_store *store = NULL;
    ist_status status = IST_OK;
    if (request->op == IST__FILE_PUBLISH)
        return publish_object(c, request, err);
    if (request->op == IST__FILE_RESULT)
        return open_result(broker, request, answer, fd, err);
    if (request->op == IST__FILE_RENAME ? !request->b || !request->c : request->op != IST__FILE_LIST && !request->b)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a request without a path");
    IST_TRY(ist__files_open(broker->signer, request->a, changes(request->op), &store, err));
    switch ((ist__file_op)request->op) {
    case IST__FILE_OPEN: status = open_object(store, request, answer, fd, err); break;
    case IST__FILE_CREATE: status = create_object(c, store, request, fd, err); break;
    case IST__FILE_STAT: status = stat_object(store, request, answer, err); break;
    case IST__FILE_LIST:
        status = ist__files_list(store, request->b, request->c, request->number, text, err);
        answer->a = text->data;
        break;
    case IST__FILE_REMOVE: status = ist_store_delete(store, request->b, err); break;
    case IST__FILE_MAKE_FOLDER: status = ist_store_make_folder(store, request->b, err); break;
    case IST__FILE_REMOVE_FOLDER: status = ist_store_delete_folder(store, request->b, err); break;
    case IST__FILE_RENAME: status = ist_store_rename(store, request->b, request->c, err); break;
    default: status = ist_error_set(err, IST_BAD_INPUT, 0, NULL, "unknown request %u", request->op);
    }
    ist_store_free(store); /* a writer of it stands on its own */
    return status;
}

/* Deal with a whole request: its answer is in c->out, and the file to be passed in c->passed. */
static ist_status handle(const ist__file_broker *broker, connection *c, const ist__file_message *request)
{
    ist__file_message answer = {.op = request->op, .flags = IST__FILE_ANSWER};
    ist_error error = IST_ERROR_INIT;
    ist_buffer text = IST_BUFFER_INIT;
    ist_status status = answer_request(broker, c, request, &answer, &text, &c->passed, &error);
    if (status != IST_OK) {
        if (c->passed >= 0)
            close(c->passed);
        c->passed = -1;
        answer = (ist__file_message){.op = request->op,
                                     .flags = IST__FILE_ANSWER | IST__FILE_FAILED,
                                     .status = status,
                                     .code = error.code,
                                     .a = error.message,
                                     .b = error.where};
    }
    status = ist__file_wire_encode(&answer, &c->out, NULL);
    ist_buffer_free(&text);
    return status;
}

/* Input and output ------------------------------------------------------------------------------------------------- */

/* IST_RETRYABLE: the rest has to wait. Anything else but IST_OK ends the connection. */
static ist_status flush(connection *c)
{
    while (c->sent < c->out.size) {
        ssize_t n = ist__send_fd(c->socket, c->out.data + c->sent, c->out.size - c->sent, c->sent ? -1 : c->passed);
        if (n < 0)
            return errno == EAGAIN ? IST_RETRYABLE : IST_IO;
        c->sent += (size_t)n;
    }
    if (c->passed >= 0)
        close(c->passed);
    c->passed = -1;
    c->sent = 0;
    ist_buffer_free(&c->out); /* idle connections keep no memory */
    return IST_OK;
}

/* Take more of a frame, up to `size` bytes of it. IST_RETRYABLE: they are not all there yet. */
static ist_status fill(connection *c, size_t size)
{
    while (c->in.size < size) {
        if (ist_buffer_reserve(&c->in, size - c->in.size, NULL) != IST_OK)
            return IST_NO_MEMORY;
        ssize_t n = recv(c->socket, c->in.data + c->in.size, size - c->in.size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? IST_RETRYABLE : IST_IO;
        if (n == 0)
            return IST_CANCELLED;
        c->in.size += (size_t)n;
    }
    return IST_OK;
}

static ist_status take_request(const ist__file_broker *broker, connection *c)
{
    ist__file_header header;
    ist__file_message request;
    IST_TRY(fill(c, IST__FILE_WIRE_HEADER_SIZE));
    IST_TRY(ist__file_wire_header((const uint8_t *)c->in.data, IST__FILE_WIRE_REQUEST_MAX, &header, NULL));
    IST_TRY(fill(c, IST__FILE_WIRE_HEADER_SIZE + header.size));
    const uint8_t *payload = (const uint8_t *)c->in.data + IST__FILE_WIRE_HEADER_SIZE;
    IST_TRY(ist__file_wire_decode(&header, payload, &request, NULL));
    if (request.flags)
        return IST_BAD_INPUT;
    ist_status status = handle(broker, c, &request);
    explicit_bzero(c->in.data, c->in.size); /* it held a token */
    ist_buffer_clear(&c->in);
    return status;
}

/* An event of a connection, which is this thread's until it is armed again. The kernel hands it from thread to thread; that
 * since_us is read first and written last says so in C, too. */
static void on_ready(ist__file_broker *broker, connection *c)
{
    int64_t since_us = atomic_load(&c->since_us);
    ist_status status = c->out.size ? flush(c) : IST_OK;
    while (status == IST_OK) {
        status = take_request(broker, c);
        if (status == IST_OK)
            status = flush(c);
    }
    if (status != IST_RETRYABLE) {
        forget_connection(broker, c);
        return;
    }
    bool under_way = c->in.size || c->out.size;
    if (!under_way)
        ist_buffer_free(&c->in);
    atomic_store(&c->since_us, !under_way ? 0 : since_us ? since_us : ist__monotonic_us());
    struct epoll_event event = {.events = (c->out.size ? EPOLLOUT : EPOLLIN) | EPOLLRDHUP | EPOLLONESHOT,
                                .data.ptr = c};
    if (epoll_ctl(broker->epoll, EPOLL_CTL_MOD, c->socket, &event) != 0)
        forget_connection(broker, c);
}

static void accept_clients(ist__file_broker *broker)
{
    int socket;
    while ((socket = accept4(broker->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        connection_new(broker, socket);
    struct timespec wait = {.tv_nsec = 10000000};
    if (errno == EMFILE || errno == ENFILE) /* somebody has to close one first */
        nanosleep(&wait, NULL);
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = &broker->listener};
    epoll_ctl(broker->epoll, EPOLL_CTL_MOD, broker->listener, &event);
}

static void *run(void *self)
{
    ist__file_broker *broker = self;
    struct epoll_event event;
    for (;;) {
        int count = epoll_wait(broker->epoll, &event, 1, SWEEP_MS);
        sweep(broker);
        if (count <= 0)
            continue;
        if (event.data.ptr == &broker->stop)
            return NULL;
        if (event.data.ptr == &broker->listener)
            accept_clients(broker);
        else
            on_ready(broker, event.data.ptr);
    }
}

/* Start, stop ------------------------------------------------------------------------------------------------------ */

/* "@name" is a name of the abstract namespace: a NUL and the rest, without one at its end. */
static ist_status listen_at(ist__file_broker *broker, const char *name, ist_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    if (size >= sizeof address.sun_path)
        return ist_error_set(err, IST_BAD_INPUT, 0, name, "the socket's name %s is too long", name);
    memcpy(address.sun_path + 1, name + 1, size - 1);
    broker->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (broker->listener < 0 ||
        bind(broker->listener, (const struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) != 0 ||
        listen(broker->listener, SOMAXCONN) != 0)
        return ist_error_set(err, IST_IO, errno, name, "cannot listen on the socket %s: %s", name, strerror(errno));
    return IST_OK;
}

static ist_status start_threads(ist__file_broker *broker, ist_error *err)
{
    struct epoll_event on_listener = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = &broker->listener};
    struct epoll_event on_stop = {.events = EPOLLIN, .data.ptr = &broker->stop};
    sigset_t all, before;
    broker->epoll = epoll_create1(EPOLL_CLOEXEC);
    broker->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (broker->epoll < 0 || broker->stop < 0 ||
        epoll_ctl(broker->epoll, EPOLL_CTL_ADD, broker->listener, &on_listener) != 0 ||
        epoll_ctl(broker->epoll, EPOLL_CTL_ADD, broker->stop, &on_stop) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot wait for clients: %s", strerror(errno));
    sigfillset(&all); /* signals are for the process's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (broker->thread_count < THREADS &&
           pthread_create(&broker->threads[broker->thread_count], NULL, run, broker) == 0)
        broker->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return broker->thread_count == THREADS ? IST_OK
                                           : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "cannot start a thread");
}

ist_status ist__file_broker_start(const ist__file_signer *signer, ist__warehouses *results, ist__file_broker **out,
                                  ist_error *err)
{
    ist__file_broker *broker;
    IST_TRY(ist__alloc(1, sizeof *broker, (void **)&broker, err));
    broker->signer = signer;
    broker->results = results;
    broker->listener = broker->epoll = broker->stop = -1;
    pthread_mutex_init(&broker->lock, NULL);
    ist_status status = listen_at(broker, ist__file_signer_socket(signer), err);
    if (status == IST_OK)
        status = start_threads(broker, err);
    if (status != IST_OK)
        ist__file_broker_stop(broker);
    else
        *out = broker;
    return status;
}

void ist__file_broker_stop(ist__file_broker *broker)
{
    if (!broker)
        return;
    uint64_t one = 1;
    if (broker->stop >= 0 && write(broker->stop, &one, sizeof one) < 0)
        abort(); /* an eventfd of our own takes 8 bytes */
    for (int i = 0; i < broker->thread_count; i++)
        pthread_join(broker->threads[i], NULL);
    while (broker->connections)
        forget_connection(broker, broker->connections);
    const int descriptors[] = {broker->listener, broker->epoll, broker->stop};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    pthread_mutex_destroy(&broker->lock);
    free(broker);
}
