/*
 * routes_files.c: bytes of `file:` locations over HTTP, for whoever shows a file token as Bearer (file_token.h).
 *
 *     GET, HEAD  /api/2.1/isthmus/files/{path}                   an object; Range, If-Match
 *     GET        /api/2.1/isthmus/files[/{folder}]?list=true     a page: start_after, max
 *     PUT        ...                                             all of the body or nothing; If-None-Match: * -> 412
 *     PUT        ...?folder=true                                 make a folder
 *     POST       ...?rename_to={path}                            409 where that is taken
 *     DELETE     ...[?folder=true]                               an object, or an empty folder
 *
 * Paths are relative to the token's root and resolved beneath it by the kernel (src/store/file_store.c). Objects are sent
 * from the page cache by sendfile; a body goes to a file without a name as it comes.
 */
#include "server/byte_range.h"
#include "server/file_access.h"
#include "server/server_internal.h"
#include "store/file_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH IST__FILES_PATH "/{*}"

enum { ETAG_SIZE = 64 };

/* The store of the request's token. */
static ist_status open_store(const ist__call *call, bool write, ist_store **out, ist_error *err)
{
    static const char scheme[] = "Bearer ";
    const char *header = ist__call_header(call, "Authorization");
    const char *token = header && strncmp(header, scheme, strlen(scheme)) == 0 ? header + strlen(scheme) : NULL;
    const ist__file_signer *signer = ist__call_session(call)->local->file_signer;
    if (!signer)
        return ist__uc_error(err, IST__UC_UNIMPLEMENTED, "this server gives out no files");
    return ist__files_open(signer, token, write, out, err);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

/* One file, as another writer cannot have made it. gateway_http.c takes the time from it. */
static void make_etag(const struct stat *info, char out[ETAG_SIZE])
{
    snprintf(out, ETAG_SIZE, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)info->st_ino,
             (uint64_t)info->st_size, (uint64_t)info->st_mtim.tv_sec * 1000000000u + (uint64_t)info->st_mtim.tv_nsec);
}

static ist_status add_headers(ist__reply *reply, const struct stat *info, const char *etag, ist_error *err)
{
    char modified[32];
    snprintf(modified, sizeof modified, "%" PRId64,
             (int64_t)info->st_mtim.tv_sec * 1000 + info->st_mtim.tv_nsec / 1000000);
    reply->content_type = "application/octet-stream";
    IST_TRY(ist__reply_header(reply, "ETag", etag, err));
    return ist__reply_header(reply, "X-Isthmus-Modified-Ms", modified, err);
}

/* Fill the reply with an open file, which it takes. */
static ist_status answer_object(ist__call *call, int fd, ist_error *err)
{
    ist__reply *reply = call->reply;
    struct stat info;
    char etag[ETAG_SIZE];
    reply->fd = fd;
    if (fstat(fd, &info) != 0)
        return ist_error_set(err, IST_IO, errno, NULL, "cannot read: %s", strerror(errno));
    make_etag(&info, etag);
    const char *wanted = ist__call_header(call, "If-Match");
    if (wanted && strcmp(wanted, etag) != 0 && strcmp(wanted, "*") != 0) {
        ist_error error = IST_ERROR_INIT;
        ist__uc_error(&error, IST__UC_ABORTED, "%s was replaced: it is not what If-Match names", call->segment[0]);
        ist__reply_error(reply, &error);
        reply->http = 412;
        return IST_OK;
    }
    IST_TRY(ist__reply_range(call, (uint64_t)info.st_size, err));
    return reply->http == 416 ? IST_OK : add_headers(reply, &info, etag, err);
}

static ist_status list_folder(ist__call *call, ist_store *store, ist_error *err)
{
    ist_buffer after = IST_BUFFER_INIT;
    int most = 0;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__call_parameter(call, "start_after", &after, err));
    IST_TRY_GOTO(ist__call_integer(call, "max", &most, err));
    if (most < 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "max is negative");
    else
        status = ist__files_list(store, call->segment[0], after.data, (uint64_t)most, &call->reply->body, err);
done:
    ist_buffer_free(&after);
    return status;
}

static ist_status get_file(ist__call *call, ist_error *err)
{
    ist_store *store = NULL;
    bool list;
    int fd = -1;
    IST_TRY(ist__call_boolean(call, "list", &list, err));
    IST_TRY(open_store(call, false, &store, err));
    ist_status status;
    if (list)
        status = list_folder(call, store, err);
    else if (!call->segment[0])
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "this is a folder: ask for ?list=true, or for an object");
    else
        status = ist__file_store_open(store, call->segment[0], &fd, err);
    ist_store_free(store);
    return fd >= 0 ? answer_object(call, fd, err) : status;
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

/* A PUT on its way. */
typedef struct put {
    ist_store *store;
    ist_store_writer *writer; /* NULL: of a folder */
    ist_put_mode mode;
} put;

static ist_status put_begin(ist__call *call, ist_error *err)
{
    put *p;
    bool folder;
    IST_TRY(ist__alloc(1, sizeof *p, (void **)&p, err));
    call->upload = p;
    IST_TRY(ist__call_boolean(call, "folder", &folder, err));
    const char *absent = ist__call_header(call, "If-None-Match");
    if (absent && strcmp(absent, "*") != 0)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "If-None-Match is understood with * only");
    p->mode = absent ? IST_PUT_IF_ABSENT : IST_PUT_REPLACE;
    IST_TRY(open_store(call, true, &p->store, err));
    if (folder)
        return IST_OK;
    ist_store_entry there;
    const char *path = call->segment[0];
    if (absent && ist_store_stat(p->store, path, &there, NULL) == IST_OK)
        return ist_error_set(err, IST_ALREADY_EXISTS, 0, path, "%s/%s exists already", ist_store_uri(p->store), path);
    return ist_store_writer_open(p->store, path, &p->writer, err);
}

static ist_status put_data(ist__call *call, const char *data, size_t size, ist_error *err)
{
    const put *p = call->upload;
    if (!p->writer)
        return size ? ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "a folder has no content") : IST_OK;
    return ist_store_writer_write(p->writer, data, size, err);
}

static ist_status put_end(ist__call *call, ist_error *err)
{
    const put *p = call->upload;
    if (p->writer)
        IST_TRY(ist__file_writer_publish(p->writer, p->mode, err));
    else
        IST_TRY(ist_store_make_folder(p->store, call->segment[0], err));
    return ist_buffer_append_string(&call->reply->body, "{}", err);
}

static void put_free(void *upload)
{
    put *p = upload;
    if (!p)
        return;
    ist_store_writer_free(p->writer); /* takes away what was not published */
    ist_store_free(p->store);
    free(p);
}

static ist_status delete_file(ist__call *call, ist_error *err)
{
    ist_store *store = NULL;
    bool folder;
    IST_TRY(ist__call_boolean(call, "folder", &folder, err));
    IST_TRY(open_store(call, true, &store, err));
    ist_status status = folder ? ist_store_delete_folder(store, call->segment[0], err)
                               : ist_store_delete(store, call->segment[0], err);
    ist_store_free(store);
    return status == IST_OK ? ist_buffer_append_string(&call->reply->body, "{}", err) : status;
}

static ist_status rename_file(ist__call *call, ist_error *err)
{
    ist_store *store = NULL;
    ist_buffer to = IST_BUFFER_INIT;
    ist_status status = ist__call_required(call, "rename_to", &to, err);
    if (status == IST_OK)
        status = open_store(call, true, &store, err);
    if (status == IST_OK)
        status = ist_store_rename(store, call->segment[0], to.data, err);
    if (status == IST_OK)
        status = ist_buffer_append_string(&call->reply->body, "{}", err);
    ist_store_free(store);
    ist_buffer_free(&to);
    return status;
}

static void refuse_put(ist__reply *reply, const ist_error *error)
{
    ist__reply_error(reply, error);
    if (error->status == IST_ALREADY_EXISTS)
        reply->http = 412; /* Precondition Failed: If-None-Match */
    else if (error->code == ENOSPC || error->code == EDQUOT)
        reply->http = 507; /* Insufficient Storage: not to be tried again at once */
}

static const ist__upload put_file = {put_begin, put_data, put_end, put_free};

/* The token is checked here, not by the server: it is not one of the catalog's. */
#define FLAGS (IST__ROUTE_OPEN | IST__ROUTE_NO_AUDIT)

const ist__route ist__routes_files[] = {
    {.method = "GET", .path = IST__FILES_PATH, .lane = IST__LANE_SLOW, .handle = get_file, .flags = FLAGS},
    {.method = "GET", .path = PATH, .lane = IST__LANE_SLOW, .handle = get_file, .flags = FLAGS},
    {.method = "HEAD", .path = PATH, .lane = IST__LANE_SLOW, .handle = get_file, .flags = FLAGS},
    {.method = "PUT", .path = PATH, .lane = IST__LANE_SLOW, .flags = FLAGS, .upload = &put_file, .refuse = refuse_put},
    {.method = "POST", .path = PATH, .lane = IST__LANE_SLOW, .handle = rename_file, .flags = FLAGS},
    {.method = "DELETE", .path = PATH, .lane = IST__LANE_SLOW, .handle = delete_file, .flags = FLAGS},
    {0},
};
