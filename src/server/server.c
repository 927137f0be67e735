/*
 * server.c: the life of `isthmus serve`: its home folder, its lock, its token, and libmicrohttpd around http.c.
 *
 * The home holds server.lock (locked while a server runs: the kernel frees it however the server dies), catalog.db,
 * token and server.json. The last two hold the secret and are readable by their owner only.
 */
#include "isthmus/server.h"

#include "catalog/local/vend.h"
#include "server/server_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS = 4,
    CONNECTIONS_MAX = 4096, /* at most half of which wait for statements */
    IDLE_TIMEOUT_S = 60,
    STOP_TIMEOUT_MS = 10000, /* for the requests under way */
    TOKEN_BYTES = 32,
};

ist__local *ist__server_local(const ist_server *server)
{
    return ((ist__session *)server->catalog->self)->local;
}

/* Home ------------------------------------------------------------------------------------------------------------- */

static ist_status path_in(const char *home, const char *name, ist_buffer *out, ist_error *err)
{
    ist_buffer_clear(out);
    return ist_buffer_printf(out, err, "%s/%s", home, name);
}

static ist_status open_home(ist_server *server, const char *home, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (!home) {
        IST_TRY_GOTO(ist__home(true, &path, err));
        home = path.data;
    } else if (mkdir(home, 0700) != 0 && errno != EEXIST) {
        status = ist_error_set(err, IST_IO, errno, home, "cannot make the folder %s: %s", home, strerror(errno));
        goto done;
    }
    server->home = realpath(home, NULL);
    if (!server->home)
        status = ist_error_set(err, IST_IO, errno, home, "cannot use the folder %s: %s", home, strerror(errno));
done:
    ist_buffer_free(&path);
    return status;
}

static ist_status lock_home(ist_server *server, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    IST_TRY_GOTO(path_in(server->home, "server.lock", &path, err));
    server->lock = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (server->lock < 0) {
        status = ist_error_set(err, IST_IO, errno, path.data, "cannot open %s: %s", path.data, strerror(errno));
    } else if (flock(server->lock, LOCK_EX | LOCK_NB) != 0) {
        ist__server_note other;
        if (ist__server_note_read(server->home, &other, NULL) == IST_OK)
            status = ist_error_set(err, IST_ALREADY_EXISTS, 0, server->home,
                                   "a server runs on %s already: pid %lld, %s", server->home, (long long)other.pid,
                                   other.url);
        else
            status = ist_error_set(err, IST_ALREADY_EXISTS, 0, server->home, "a server is starting on %s",
                                   server->home);
    }
done:
    ist_buffer_free(&path);
    return status;
}

static ist_status make_token(char out[2 * TOKEN_BYTES + 1], ist_error *err)
{
    unsigned char bytes[TOKEN_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot make a token: %s", strerror(errno));
    ist__hex(bytes, sizeof bytes, out);
    return IST_OK;
}

/* The token of <home>/token, which a first start makes. */
static ist_status kept_token(const ist_server *server, ist_buffer *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    ist_error problem = IST_ERROR_INIT;
    char made[2 * TOKEN_BYTES + 1];
    ist_status status = IST_OK;
    IST_TRY_GOTO(path_in(server->home, "token", &path, err));
    status = ist__read_file(path.data, sizeof server->note.token, out, &problem);
    if (status == IST_NOT_FOUND) {
        IST_TRY_GOTO(make_token(made, err));
        IST_TRY_GOTO(ist__write_private(path.data, made, strlen(made), err));
        status = ist_buffer_append_string(out, made, err);
    } else if (status != IST_OK) {
        ist_error_set(err, status, problem.code, problem.where, "%s", problem.message);
    }
done:
    ist_buffer_free(&path);
    return status;
}

static ist_status set_token(ist_server *server, const char *given, ist_error *err)
{
    ist_buffer kept = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (!given)
        IST_TRY_GOTO(kept_token(server, &kept, err));
    const char *token = given ? given : kept.data ? kept.data : "";
    size_t size = strcspn(token, "\r\n"); /* an editor may have ended the file's line */
    bool good = size > 0 && size < sizeof server->note.token;
    for (size_t i = 0; good && i < size; i++)
        good = (unsigned char)token[i] > 0x20 && (unsigned char)token[i] < 0x7F;
    if (!good) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, server->home,
                               "the server's token is empty, too long or has a character that no token has%s",
                               given ? "" : "; remove the file token in its home for a new one");
        goto done;
    }
    memcpy(server->note.token, token, size);
    server->note.token[size] = '\0';
done:
    ist_buffer_free(&kept);
    return status;
}

static ist_status open_catalog(ist_server *server, const ist_server_options *given, ist_error *err)
{
    ist_buffer uri = IST_BUFFER_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    ist_status status = ist_buffer_printf(&uri, err, "sqlite:%s/catalog.db", server->home);
    options.uri = uri.data;
    options.storage_root = given->storage_root;
    if (status == IST_OK)
        status = ist_catalog_open(&options, &server->catalog, err);
    if (status == IST_OK)
        status = ist__principals_admit(ist__server_local(server), server->note.token, err);
    if (status == IST_OK && given->audit_days)
        ist__server_local(server)->audit_days = given->audit_days;
    if (status == IST_OK && given->audit_entries)
        ist__server_local(server)->audit_entries = given->audit_entries;
    if (status == IST_OK)
        ist__server_local(server)->catalog_managed = given->catalog_managed;
    if (status == IST_OK && given->storage_config)
        status = ist__vend_configure(server->catalog, given->storage_config, err);
    ist_buffer_free(&uri);
    return status;
}

/* Tokens for `file:` locations from now on. */
static ist_status sign_files(ist_server *server, uint32_t life_s, ist_error *err)
{
    IST_TRY(ist__file_signer_open(server->home, (int64_t)life_s * 1000, &server->file_signer, err));
    ist__server_local(server)->file_signer = server->file_signer;
    return IST_OK;
}

/* Warehouses ------------------------------------------------------------------------------------------------------- */

/* What the warehouses write to the catalog's database, as a chore of the writer's. */
typedef struct chore {
    ist__job job;
    ist_status (*work)(void *payload, ist__db *db, ist_error *err);
    void (*done)(void *payload, bool kept);
    void *payload;
} chore;

static ist_status run_chore(ist__job *job, ist__db *db, ist_error *err)
{
    chore *c = (chore *)job;
    return c->work(c->payload, db, err);
}

static void end_chore(ist__job *job)
{
    chore *c = (chore *)job;
    c->done(c->payload, !job->failed);
    free(c);
}

static void write_later(void *self, ist_status (*work)(void *payload, ist__db *db, ist_error *err),
                        void (*done)(void *payload, bool kept), void *payload)
{
    ist_server *server = self;
    chore *c = calloc(1, sizeof *c);
    if (!c) {
        done(payload, false);
        return;
    }
    *c = (chore){.job = {.chore = run_chore, .done = end_chore}, .work = work, .done = done, .payload = payload};
    ist__lanes_add(server->lanes, &c->job);
}

static ist_status start_warehouses(ist_server *server, const ist_warehouse_options *options, ist_error *err)
{
    const ist__warehouse_host host = {
        .local = ist__server_local(server), .socket = ist__file_signer_socket(server->file_signer),
        .write = write_later, .self = server};
    if (options)
        IST_TRY(ist__warehouses_start(options, &host, &server->warehouses, err));
    /* Without the socket everything works, slower: it does not keep the server from starting. */
    ist__file_broker_start(server->file_signer, server->warehouses, &server->file_broker, NULL);
    return IST_OK;
}

/* Engines find the catalog where clients do. */
static ist_status tell_warehouses(ist_server *server, ist_error *err)
{
    return server->warehouses ? ist__warehouses_set_catalog(server->warehouses, server->note.url, server->note.ca_file,
                                                            err)
                              : IST_OK;
}

/* Start, stop ------------------------------------------------------------------------------------------------------ */

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

static ist_status parse_address(const char *text, uint16_t port, bool tls, socket_address *out, ist_error *err)
{
    memset(out, 0, sizeof *out);
    if (strcmp(text, "localhost") == 0)
        text = "127.0.0.1";
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        if (tls || ntohl(out->v4.sin_addr.s_addr) >> 24 == 127)
            return IST_OK;
    } else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        if (tls || IN6_IS_ADDR_LOOPBACK(&out->v6.sin6_addr))
            return IST_OK;
    } else {
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "'%.100s' is not an address", text);
    }
    return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                         "%s is not a loopback address: without TLS the server listens on loopback only; give it"
                         " --tls-cert and --tls-key", text);
}

static ist_status read_tls(ist_server *server, const ist_server_options *options, ist_error *err)
{
    enum { PEM_MAX = 1 << 20 };
    if (!options->tls_cert && !options->tls_key)
        return IST_OK;
    if (!options->tls_cert || !options->tls_key)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "TLS needs both a certificate and its key");
    IST_TRY(ist__read_file(options->tls_cert, PEM_MAX, &server->tls_cert, err));
    IST_TRY(ist__read_file(options->tls_key, PEM_MAX, &server->tls_key, err));
    if (server->tls_cert.size == 0 || server->tls_key.size == 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, options->tls_cert, "the certificate or its key is an empty file");
    /* Clients of this machine check the server against its own certificate, which needs no authority that they know. */
    char *real = realpath(options->tls_cert, NULL);
    if (real)
        snprintf(server->note.ca_file, sizeof server->note.ca_file, "%s", real);
    free(real);
    return IST_OK;
}

/* A server that stops takes nobody in. MHD_quiesce_daemon would close the door altogether, but takes the listening socket
 * out of epoll while its threads may do the same, and ends the process where both do (libmicrohttpd 0.9.75). */
static enum MHD_Result may_connect(void *self, const struct sockaddr *address, socklen_t size)
{
    (void)address, (void)size;
    return atomic_load(&((ist_server *)self)->stopping) ? MHD_NO : MHD_YES;
}

static ist_status start_http(ist_server *server, const char *address, uint16_t port, ist_error *err)
{
    socket_address where;
    if (!address)
        address = "127.0.0.1";
    bool tls = server->tls_cert.size > 0;
    IST_TRY(parse_address(address, port, tls, &where, err));
    struct MHD_OptionItem tls_options[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, server->tls_cert.data},
                                           {MHD_OPTION_HTTPS_MEM_KEY, 0, server->tls_key.data},
                                           {MHD_OPTION_END, 0, NULL}};
    unsigned flags = (tls ? MHD_USE_TLS : 0) | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME;
    if (where.any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    server->daemon = MHD_start_daemon(
        flags, port, may_connect, server, ist__http_request, server, MHD_OPTION_SOCK_ADDR, &where.any,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, ist__http_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, ist__http_unescape, NULL, MHD_OPTION_ARRAY, tls ? tls_options : tls_options + 2,
        MHD_OPTION_END);
    if (!server->daemon)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot listen on %s port %u: %s", address, port,
                             errno ? strerror(errno)
                             : tls ? "libmicrohttpd did not start; are certificate and key PEM and of one pair?"
                                   : "libmicrohttpd did not start");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    server->port = info ? info->port : port;
    bool v6 = where.any.sa_family == AF_INET6;
    snprintf(server->note.url, sizeof server->note.url, "http%s://%s%s%s:%u", tls ? "s" : "", v6 ? "[" : "", address,
             v6 ? "]" : "", server->port);
    return IST_OK;
}

ist_status ist_server_start(const ist_server_options *options, ist_server **out, ist_error *err)
{
    const ist_server_options defaults = IST_SERVER_OPTIONS_INIT;
    ist_server *server = NULL;
    ist_status status = IST_OK;
    if (!options)
        options = &defaults;
    *out = NULL;
    IST_TRY(ist__alloc(1, sizeof *server, (void **)&server, err));
    server->lock = -1;
    IST_TRY_GOTO(open_home(server, options->home, err));
    IST_TRY_GOTO(lock_home(server, err));
    IST_TRY_GOTO(set_token(server, options->token, err));
    IST_TRY_GOTO(read_tls(server, options, err));
    IST_TRY_GOTO(open_catalog(server, options, err));
    IST_TRY_GOTO(sign_files(server, options->credential_life_s, err));
    IST_TRY_GOTO(ist__lanes_start(ist__server_local(server), &server->lanes, err));
    IST_TRY_GOTO(start_warehouses(server, options->warehouses, err));
    IST_TRY_GOTO(start_http(server, options->address, options->port, err));
    IST_TRY_GOTO(tell_warehouses(server, err));
    IST_TRY_GOTO(ist__file_signer_set_url(server->file_signer, server->note.url, err));
    server->note.pid = getpid();
    IST_TRY_GOTO(ist__server_note_write(server->home, &server->note, err));
    *out = server;
    return IST_OK;
done:
    ist_server_stop(server);
    return status;
}

uint16_t ist_server_port(const ist_server *server)
{
    return server->port;
}

const char *ist_server_url(const ist_server *server)
{
    return server->note.url;
}

/* Take no new connection, let the requests under way end, then close. */
static void stop_http(ist_server *server)
{
    atomic_store(&server->stopping, true);
    ist__warehouses_stop(server->warehouses); /* who waits for a statement is answered */
    for (int waited = 0; atomic_load(&server->requests) > 0 && waited < STOP_TIMEOUT_MS; waited += 5) {
        struct timespec wait = {.tv_nsec = 5000000};
        nanosleep(&wait, NULL);
    }
    ist__lanes_stop(server->lanes); /* which resumes the connections that waited: libmicrohttpd insists on it */
    server->lanes = NULL;
    MHD_stop_daemon(server->daemon);
}

void ist_server_stop(ist_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        stop_http(server);
    ist__warehouses_stop(server->warehouses);
    ist__lanes_stop(server->lanes);
    ist__file_broker_stop(server->file_broker);
    ist__warehouses_free(server->warehouses);
    ist_catalog_free(server->catalog);
    ist__file_signer_free(server->file_signer);
    if (server->note.pid) { /* set once server.json is ours */
        ist_buffer path = IST_BUFFER_INIT;
        if (path_in(server->home, "server.json", &path, NULL) == IST_OK)
            unlink(path.data);
        ist_buffer_free(&path);
    }
    if (server->lock >= 0)
        close(server->lock);
    if (server->tls_key.data)
        OPENSSL_cleanse(server->tls_key.data, server->tls_key.size);
    ist_buffer_free(&server->tls_key);
    ist_buffer_free(&server->tls_cert);
    OPENSSL_cleanse(&server->note, sizeof server->note);
    free(server->home);
    free(server);
}
