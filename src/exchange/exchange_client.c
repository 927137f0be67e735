/*
 * exchange_client.c: a process's connection to the node daemon.
 *
 * One socket serves all threads of the process: each request waits in a slot for the answer with its number, and
 * whichever waiting thread finds nobody reading reads for all. The connection is the lease, so a forked child must not
 * keep it open: pthread_atfork closes the child's copies.
 *
 * Segments are filled by pwrite, not through a mapping: that spares the page faults and the clearing of pages which are
 * overwritten at once (measured: 3.5 against 1.5 GB/s), and leaves no mapping that would stand against sealing. They are
 * read through a private read-only mapping, faulted in as it is used: a reader may want few of the columns.
 */
#include "exchange/exchange_client.h"

#include "isthmus/version.h"
#include "shim/ipc.h"
#include "util/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FIRST_GRANT = 1 << 20,  /* bytes of a segment whose size nobody foretold */
    GRANT_STEP = 16 << 20,  /* and by which it grows */
    STAGING_SIZE = 64 << 10 /* smaller writes are gathered to this */
};

typedef struct slot {
    struct slot *next;
    uint64_t request;
    bool done;
    ist__reply *reply;
} slot;

struct ist_exchange_client {
    ist_exchange_client *next; /* in `clients` */
    char *path;
    pid_t pid;         /* of the process that opened it */
    atomic_size_t uses; /* the owner and each mapping */
    pthread_mutex_t send_lock; /* whole frames; the socket's closing */
    int socket;                /* -1 once freed, and in a forked child */
    pthread_mutex_t lock;      /* the rest */
    pthread_cond_t answered;
    bool reading; /* a thread reads answers */
    ist_error fault; /* set once the daemon went away or talked nonsense: the connection is dead */
    uint64_t last_request;
    slot *slots;
};

struct ist_chunk_writer {
    ist_exchange_client *client;
    char chunk[IST_ID_SIZE];
    int fd;
    uint64_t granted;
    uint64_t written;
    char *staging; /* bytes that come after `written` */
    size_t staged;
    bool failed;
    bool sealed;
};

ist_status ist_exchange_socket_path(const char *given, ist_buffer *out, ist_error *err)
{
    const char *path = given && *given ? given : getenv("ISTHMUS_SOCKET");
    if (path && *path)
        return ist_buffer_append_string(out, path, err);
    ist_buffer home = IST_BUFFER_INIT;
    ist_status status = ist__home(false, &home, err);
    if (status == IST_OK)
        status = ist_buffer_printf(out, err, "%s/daemon.sock", home.data);
    ist_buffer_free(&home);
    return status;
}

/* ---- fork ---------------------------------------------------------------------------------------------------- */

static pthread_mutex_t clients_lock = PTHREAD_MUTEX_INITIALIZER;
static ist_exchange_client *clients;

static void before_fork(void)
{
    pthread_mutex_lock(&clients_lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&clients_lock);
}

/* Locks of the clients may be held by threads that the child does not have: they are never taken again. */
static void after_fork_in_child(void)
{
    for (ist_exchange_client *client = clients; client; client = client->next) {
        if (client->socket >= 0)
            close(client->socket);
        client->socket = -1;
    }
    clients = NULL;
    pthread_mutex_unlock(&clients_lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static bool is_of_this_process(const ist_exchange_client *client)
{
    return client->pid == getpid();
}

/* ---- requests and answers ------------------------------------------------------------------------------------ */

void ist__reply_free(ist__reply *reply)
{
    if (reply->fd >= 0)
        close(reply->fd);
    reply->fd = -1;
    ist_buffer_free(&reply->payload);
}

static ist_status went_away(const ist_exchange_client *client, ist_error *err)
{
    return ist_error_set(err, IST_RETRYABLE, 0, client->path,
                         "the daemon at %s went away; connect again (start one with: isthmus daemon)", client->path);
}

static ist_status receive_all(const ist_exchange_client *client, void *data, size_t size, int *fd, ist_error *err)
{
    for (size_t have = 0; have < size;) {
        int passed;
        ssize_t n = ist__receive_fd(client->socket, (char *)data + have, size - have, &passed);
        if (passed >= 0 && *fd >= 0)
            close(passed);
        else if (passed >= 0)
            *fd = passed;
        if (n <= 0)
            return went_away(client, err);
        have += (size_t)n;
    }
    return IST_OK;
}

/* Read one frame. Only one thread at a time does. */
static ist_status receive_frame(const ist_exchange_client *client, ist__reply *reply, ist_error *err)
{
    uint8_t bytes[IST__WIRE_HEADER_SIZE];
    ist__wire_header header;
    IST_TRY(receive_all(client, bytes, sizeof bytes, &reply->fd, err));
    IST_TRY(ist__wire_decode_header(bytes, &header, err));
    if (header.version != IST__WIRE_VERSION)
        return ist_error_set(err, IST_UNSUPPORTED, 0, client->path,
                             "the daemon at %s speaks version %u of the exchange's protocol, this library version %d: "
                             "restart the daemon from the same release of Isthmus",
                             client->path, header.version, IST__WIRE_VERSION);
    IST_TRY(ist_buffer_reserve(&reply->payload, header.size, err));
    IST_TRY(receive_all(client, reply->payload.data, header.size, &reply->fd, err));
    reply->payload.size = header.size;
    IST_TRY(ist__wire_decode(&header, (const uint8_t *)reply->payload.data, &reply->message, err));
    if (!(header.flags & IST__WIRE_ANSWER))
        return ist_error_set(err, IST_BAD_INPUT, 0, client->path, "the daemon at %s sent a request", client->path);
    return IST_OK;
}

static ist_status send_frame(ist_exchange_client *client, const ist__message *request, ist_error *err)
{
    ist_buffer frame = IST_BUFFER_INIT;
    ist_status status = ist__wire_encode(request, &frame, err);
    if (status == IST_OK) {
        pthread_mutex_lock(&client->send_lock);
        for (size_t sent = 0; status == IST_OK && sent < frame.size;) {
            ssize_t n = ist__send_fd(client->socket, frame.data + sent, frame.size - sent, -1);
            if (n < 0)
                status = went_away(client, err);
            else
                sent += (size_t)n;
        }
        if (status != IST_OK)
            shutdown(client->socket, SHUT_WR); /* half a frame: nothing can follow it */
        pthread_mutex_unlock(&client->send_lock);
    }
    ist_buffer_free(&frame);
    return status;
}

static void unlink_slot(ist_exchange_client *client, const slot *gone)
{
    slot **at = &client->slots;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
}

/* Read one frame for whoever waits for it. Called and returns with the lock held. */
static void read_for_all(ist_exchange_client *client)
{
    ist__reply reply = {.fd = -1};
    ist_error fault = IST_ERROR_INIT;
    client->reading = true;
    pthread_mutex_unlock(&client->lock);
    ist_status status = receive_frame(client, &reply, &fault);
    pthread_mutex_lock(&client->lock);
    client->reading = false;
    if (status == IST_OK) {
        slot *s = client->slots;
        while (s && s->request != reply.message.request)
            s = s->next;
        if (s && !s->done) {
            *s->reply = reply;
            s->done = true;
            reply = (ist__reply){.fd = -1};
        }
    } else {
        client->fault = fault;
    }
    ist__reply_free(&reply);
    pthread_cond_broadcast(&client->answered);
}

static bool is_dead(const ist_exchange_client *client)
{
    return client->fault.status != IST_OK;
}

static ist_status check_process(const ist_exchange_client *client, ist_error *err)
{
    if (is_of_this_process(client))
        return IST_OK;
    return ist_error_set(err, IST_BAD_INPUT, 0, client->path,
                         "this connection to the daemon belongs to process %d, which this process %d was forked from: "
                         "open a new one",
                         (int)client->pid, (int)getpid());
}

static ist_status fail(const ist_error *error, ist_error *err)
{
    if (err)
        *err = *error;
    return error->status;
}

ist_status ist__exchange_call(ist_exchange_client *client, ist__message *request, ist__reply *reply, ist_error *err)
{
    *reply = (ist__reply){.fd = -1};
    IST_TRY(check_process(client, err));
    slot mine = {.reply = reply};
    pthread_mutex_lock(&client->lock);
    mine.request = request->request = ++client->last_request;
    mine.next = client->slots;
    client->slots = &mine;
    pthread_mutex_unlock(&client->lock);

    /* A daemon that refuses the connection answers before it has read anything, so its words are looked for also when
     * the request did not get through. */
    ist_error fault = IST_ERROR_INIT;
    ist_status status = send_frame(client, request, &fault);
    pthread_mutex_lock(&client->lock);
    while ((status == IST_OK || status == IST_RETRYABLE) && !mine.done && !is_dead(client)) {
        if (client->reading)
            pthread_cond_wait(&client->answered, &client->lock);
        else
            read_for_all(client);
    }
    unlink_slot(client, &mine);
    if (fault.status == IST_OK || fault.status == IST_RETRYABLE)
        fault = client->fault;
    pthread_mutex_unlock(&client->lock);

    if (!mine.done)
        return fail(&fault, err);
    if (!(reply->message.flags & IST__WIRE_FAILED))
        return IST_OK;
    fault = reply->message.error;
    ist__reply_free(reply);
    return fail(&fault, err);
}

/* A call whose answer holds nothing to keep. */
static ist_status call_plain(ist_exchange_client *client, ist__message *request, ist__message *answer, ist_error *err)
{
    ist__reply reply;
    IST_TRY(ist__exchange_call(client, request, &reply, err));
    if (answer)
        *answer = reply.message;
    ist__reply_free(&reply);
    return IST_OK;
}

/* A request about an exchange or a chunk. A malformed id names nothing that exists. */
static ist_status prepare(uint16_t op, const char *exchange, const char *chunk, ist__message *out, ist_error *err)
{
    *out = (ist__message){.op = op};
    const char *id = exchange ? exchange : chunk;
    if (strlen(id) != IST_ID_SIZE - 1 || !ist__wire_is_id(id))
        return ist_error_set(err, IST_NOT_FOUND, 0, NULL, "'%.64s' is not the id of %s", id,
                             exchange ? "an exchange" : "a chunk");
    memcpy(exchange ? out->exchange : out->chunk, id, IST_ID_SIZE);
    return IST_OK;
}

/* ---- the connection ------------------------------------------------------------------------------------------ */

static ist_status connect_to(ist_exchange_client *client, ist_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(client->path) >= sizeof address.sun_path)
        return ist_error_set(err, IST_BAD_INPUT, 0, client->path,
                             "the path of the daemon's socket is longer than %zu bytes: %s",
                             sizeof address.sun_path - 1, client->path);
    memcpy(address.sun_path, client->path, strlen(client->path) + 1);
    client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->socket < 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot make a socket: %s", strerror(errno));
    int failed;
    do
        failed = connect(client->socket, (const struct sockaddr *)&address, sizeof address);
    while (failed && errno == EINTR);
    if (failed && (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR))
        return ist_error_set(err, IST_NOT_FOUND, errno, client->path,
                             "no daemon runs at %s; start one with: isthmus daemon", client->path);
    if (failed)
        return ist_error_set(err, errno == EACCES || errno == EPERM ? IST_FORBIDDEN : IST_IO, errno, client->path,
                             "cannot connect to the daemon at %s: %s", client->path, strerror(errno));
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(client->socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return ist_error_set(err, IST_IO, errno, client->path, "cannot tell whose daemon this is: %s", strerror(errno));
    if (peer.uid != geteuid() && peer.uid != 0)
        return ist_error_set(err, IST_FORBIDDEN, 0, client->path, "the daemon at %s belongs to another user (%u)",
                             client->path, (unsigned)peer.uid);
    return IST_OK;
}

static void client_unuse(ist_exchange_client *client)
{
    if (atomic_fetch_sub(&client->uses, 1) != 1)
        return;
    if (is_of_this_process(client)) {
        pthread_cond_destroy(&client->answered);
        pthread_mutex_destroy(&client->lock);
        pthread_mutex_destroy(&client->send_lock);
    }
    free(client->path);
    free(client);
}

ist_status ist_exchange_client_open(const char *socket_path, ist_exchange_client **out, ist_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    ist_buffer path = IST_BUFFER_INIT;
    IST_TRY(ist_exchange_socket_path(socket_path, &path, err));
    ist_exchange_client *client;
    ist_status status = ist__alloc(1, sizeof *client, (void **)&client, err);
    if (status != IST_OK) {
        ist_buffer_free(&path);
        return status;
    }
    client->path = path.data;
    client->pid = getpid();
    client->socket = -1;
    atomic_init(&client->uses, 1);
    pthread_mutex_init(&client->send_lock, NULL);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->answered, NULL);
    pthread_mutex_lock(&clients_lock);
    client->next = clients;
    clients = client;
    pthread_mutex_unlock(&clients_lock);

    ist__message hello = {.op = IST__WIRE_HELLO, .text = ist_version()};
    IST_TRY_GOTO(connect_to(client, err));
    IST_TRY_GOTO(call_plain(client, &hello, NULL, err));
    *out = client;

done:
    if (status != IST_OK)
        ist_exchange_client_free(client);
    return status;
}

void ist_exchange_client_free(ist_exchange_client *client)
{
    if (!client)
        return;
    if (is_of_this_process(client)) {
        pthread_mutex_lock(&clients_lock);
        ist_exchange_client **at = &clients;
        while (*at != client)
            at = &(*at)->next;
        *at = client->next;
        pthread_mutex_unlock(&clients_lock);
        /* Mappings that outlive the client look at the socket before they use it. */
        pthread_mutex_lock(&client->send_lock);
        if (client->socket >= 0)
            close(client->socket);
        client->socket = -1;
        pthread_mutex_unlock(&client->send_lock);
    }
    client_unuse(client);
}

bool ist_exchange_client_alive(ist_exchange_client *client)
{
    if (!is_of_this_process(client))
        return false;
    pthread_mutex_lock(&client->lock);
    char byte;
    if (!is_dead(client) && !client->reading && recv(client->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        went_away(client, &client->fault);
    bool alive = !is_dead(client);
    pthread_mutex_unlock(&client->lock);
    return alive;
}

ist_status ist_exchange_create(ist_exchange_client *client, char id[IST_ID_SIZE], ist_error *err)
{
    ist__message request = {.op = IST__WIRE_CREATE}, answer;
    IST_TRY(call_plain(client, &request, &answer, err));
    memcpy(id, answer.exchange, IST_ID_SIZE);
    return IST_OK;
}

ist_status ist_exchange_hold(ist_exchange_client *client, const char *id, ist_error *err)
{
    ist__message request;
    IST_TRY(prepare(IST__WIRE_HOLD, id, NULL, &request, err));
    return call_plain(client, &request, NULL, err);
}

ist_status ist_exchange_release(ist_exchange_client *client, const char *id, ist_error *err)
{
    ist__message request;
    IST_TRY(prepare(IST__WIRE_RELEASE, id, NULL, &request, err));
    return call_plain(client, &request, NULL, err);
}

ist_status ist_exchange_free_chunk(ist_exchange_client *client, const char *chunk, ist_error *err)
{
    ist__message request;
    IST_TRY(prepare(IST__WIRE_FREE, NULL, chunk, &request, err));
    return call_plain(client, &request, NULL, err);
}

ist_status ist_exchange_counters(ist_exchange_client *client, ist_buffer *out, ist_error *err)
{
    ist__message request = {.op = IST__WIRE_COUNTERS};
    ist__reply reply;
    IST_TRY(ist__exchange_call(client, &request, &reply, err));
    ist_status status = ist_buffer_append_string(out, reply.message.text ? reply.message.text : "{}", err);
    ist__reply_free(&reply);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

ist_status ist_chunk_writer_open(ist_exchange_client *client, const char *exchange, size_t size_hint,
                                 ist_chunk_writer **out, ist_error *err)
{
    ist_chunk_writer *writer;
    ist__message request;
    ist__reply reply;
    IST_TRY(prepare(IST__WIRE_GRANT, exchange, NULL, &request, err));
    request.size = size_hint ? size_hint : FIRST_GRANT;
    IST_TRY(ist__alloc(1, sizeof *writer, (void **)&writer, err));
    writer->fd = -1;
    ist_status status = ist__alloc(STAGING_SIZE, 1, (void **)&writer->staging, err);
    if (status == IST_OK)
        status = ist__exchange_call(client, &request, &reply, err);
    if (status != IST_OK) {
        free(writer->staging);
        free(writer);
        return status;
    }
    writer->client = client;
    memcpy(writer->chunk, reply.message.chunk, IST_ID_SIZE);
    writer->granted = reply.message.size;
    writer->fd = reply.fd;
    reply.fd = -1;
    ist__reply_free(&reply);
    if (writer->fd < 0) {
        ist_chunk_writer_free(writer);
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL,
                             "the segment of a chunk did not arrive: this process has too many files open");
    }
    *out = writer;
    return IST_OK;
}

/* Have at least `need` bytes granted: a step more than needed, or where memory is short just that. */
static ist_status grow(ist_chunk_writer *writer, uint64_t need, ist_error *err)
{
    if (need <= writer->granted)
        return IST_OK;
    ist__message request, answer;
    IST_TRY(prepare(IST__WIRE_GROW, NULL, writer->chunk, &request, err));
    request.size = need + GRANT_STEP;
    ist_status status = call_plain(writer->client, &request, &answer, err);
    if (status == IST_NO_MEMORY) {
        request.size = need;
        status = call_plain(writer->client, &request, &answer, err);
    }
    if (status == IST_OK)
        writer->granted = answer.size;
    return status;
}

/* Write what is staged, and `data` behind it. */
static ist_status write_out(ist_chunk_writer *writer, const void *data, size_t size, ist_error *err)
{
    struct iovec parts[2] = {{writer->staging, writer->staged}, {(void *)data, size}};
    struct iovec *part = parts;
    IST_TRY(grow(writer, writer->written + writer->staged + size, err));
    while (part < parts + 2) {
        ssize_t n = pwritev(writer->fd, part, (int)(parts + 2 - part), (off_t)writer->written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ist_error_set(err, errno == ENOSPC || errno == ENOMEM ? IST_NO_MEMORY : IST_IO, errno, NULL,
                                 "cannot write to the segment of a chunk: %s", strerror(errno));
        writer->written += (uint64_t)n;
        while (part < parts + 2 && (size_t)n >= part->iov_len) {
            n -= (ssize_t)part->iov_len;
            part++;
        }
        if (part < parts + 2) {
            part->iov_base = (char *)part->iov_base + n;
            part->iov_len -= (size_t)n;
        }
    }
    writer->staged = 0;
    return IST_OK;
}

ist_status ist_chunk_writer_write(ist_chunk_writer *writer, const void *data, size_t size, ist_error *err)
{
    if (writer->failed || writer->sealed)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the chunk is %s",
                             writer->sealed ? "sealed" : "unusable after an earlier error");
    if (size < STAGING_SIZE - writer->staged) {
        if (size)
            memcpy(writer->staging + writer->staged, data, size);
        writer->staged += size;
        return IST_OK;
    }
    ist_status status = write_out(writer, data, size, err);
    writer->failed = status != IST_OK;
    return status;
}

ist_status ist_chunk_writer_seal(ist_chunk_writer *writer, int64_t rows, ist_chunk_info *out, ist_error *err)
{
    ist__message request, answer;
    IST_TRY(ist_chunk_writer_write(writer, NULL, 0, err)); /* asks whether it still may */
    IST_TRY(write_out(writer, NULL, 0, err));
    IST_TRY(prepare(IST__WIRE_SEAL, NULL, writer->chunk, &request, err));
    request.size = writer->written;
    request.rows = rows;
    IST_TRY(call_plain(writer->client, &request, &answer, err));
    writer->sealed = true;
    *out = (ist_chunk_info){.rows = answer.rows, .bytes = (int64_t)answer.size, .spilled = answer.spilled};
    memcpy(out->id, writer->chunk, IST_ID_SIZE);
    memcpy(out->exchange, answer.exchange, IST_ID_SIZE);
    return IST_OK;
}

void ist_chunk_writer_free(ist_chunk_writer *writer)
{
    if (!writer)
        return;
    ist__message request;
    if (!writer->sealed && prepare(IST__WIRE_CANCEL, NULL, writer->chunk, &request, NULL) == IST_OK)
        call_plain(writer->client, &request, NULL, NULL);
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->staging);
    free(writer);
}

static ist_status sink_write(void *self, const void *data, size_t size, ist_error *err)
{
    return ist_chunk_writer_write(self, data, size, err);
}

ist_status ist_exchange_put(ist_exchange_client *client, const char *exchange, struct ArrowArrayStream *stream,
                            ist_chunk_info *out, ist_error *err)
{
    ist_chunk_writer *writer;
    ist_status status = ist_chunk_writer_open(client, exchange, 0, &writer, err);
    if (status != IST_OK) {
        stream->release(stream);
        return status;
    }
    int64_t rows = 0;
    status = ist__ipc_write(stream, (ist__sink){writer, sink_write}, &rows, err);
    if (status == IST_OK)
        status = ist_chunk_writer_seal(writer, rows, out, err);
    ist_chunk_writer_free(writer);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct mapping {
    ist_exchange_client *client;
    char chunk[IST_ID_SIZE];
    void *data;
    size_t size;
} mapping;

/* Tell the daemon that a map is over; not answered. */
static void unmap(ist_exchange_client *client, const char *chunk)
{
    ist__message request;
    if (is_of_this_process(client) && prepare(IST__WIRE_UNMAP, NULL, chunk, &request, NULL) == IST_OK)
        send_frame(client, &request, NULL);
}

/* The last array was released: in any thread, perhaps after the client was freed, perhaps in a forked child. */
static void mapping_free(void *self)
{
    mapping *m = self;
    munmap(m->data, m->size);
    unmap(m->client, m->chunk);
    client_unuse(m->client);
    free(m);
}

ist_status ist_exchange_get(ist_exchange_client *client, const char *chunk, struct ArrowArrayStream *out,
                            ist_error *err)
{
    ist__message request;
    ist__reply reply;
    mapping *m;
    IST_TRY(prepare(IST__WIRE_MAP, NULL, chunk, &request, err));
    IST_TRY(ist__exchange_call(client, &request, &reply, err));
    size_t size = reply.message.size;
    struct stat file;
    ist_status status = ist__alloc(1, sizeof *m, (void **)&m, err);
    if (status == IST_OK) {
        /* A file that ends before the mapping does would kill the reader (SIGBUS). */
        if (reply.fd < 0 || fstat(reply.fd, &file) != 0 || (uint64_t)file.st_size < size)
            status = ist_error_set(err, IST_IO, errno, chunk,
                                   "the segment of chunk %s did not arrive: this process may have too many files open",
                                   chunk);
        else if ((m->data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, reply.fd, 0)) == MAP_FAILED)
            status = ist_error_set(err, errno == ENOMEM ? IST_NO_MEMORY : IST_IO, errno, chunk,
                                   "cannot map chunk %s: %s", chunk, strerror(errno));
    }
    ist__reply_free(&reply);
    if (status != IST_OK) {
        unmap(client, chunk);
        free(m);
        return status;
    }
    m->client = client;
    atomic_fetch_add(&client->uses, 1);
    memcpy(m->chunk, chunk, IST_ID_SIZE);
    m->size = size;
    status = ist__ipc_read(m->data, m->size, m, mapping_free, out, err);
    return status == IST_OK ? IST_OK : (ist_error_context(err, "chunk %s", chunk), status);
}
