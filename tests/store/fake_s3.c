/* fake_s3.c: see fake_s3.h. */
#include "store/fake_s3.h"

#include "isthmus/sys/storage.h"
#include "testing.h"
#include "util/util.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { PAGE = 3, UPLOADS_MAX = 8, PARTS_MAX = 16 };

typedef struct upload {
    bool open;
    char mark[64];
    ist_buffer parts[PARTS_MAX];
} upload;

typedef struct server {
    fake_s3 base; /* first: what tests see */
    struct MHD_Daemon *daemon;
    char url[64];
    ist_store *objects;
    ist_store *marks; /* metadata, under the same names */
    upload uploads[UPLOADS_MAX];
} server;

typedef struct request {
    struct MHD_Connection *connection;
    const char *method, *key;
    ist_buffer body;
    bool lost;
    ist_buffer answer;
    const char *mark;
    char etag[48], range[64], modified[64];
    int status;
    uint64_t length; /* of what a HEAD is about */
} request;

static const char *query(const request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static const char *header(const request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static void refuse(request *r, int status, const char *code)
{
    r->status = status;
    ist_buffer_printf(&r->answer, NULL, "<Error><Code>%s</Code></Error>", code);
}

/* 1 and counted down, or 0. */
static bool take(atomic_int *count)
{
    if (*count <= 0)
        return false;
    atomic_fetch_sub(count, 1);
    return true;
}

static void etag_of(const ist_buffer *content, char out[48])
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < content->size; i++)
        hash = (hash ^ (unsigned char)content->data[i]) * 1099511628211u;
    snprintf(out, 48, "\"%016llx-%zu\"", (unsigned long long)hash, content->size);
}

/* "bytes=a-b" or "bytes=-n" of an object; false: there is nothing of it. */
static bool cut(request *r, const char *range)
{
    size_t size = r->answer.size, first = 0, last = size ? size - 1 : 0;
    char *end;
    if (strncmp(range, "bytes=-", 7) == 0) {
        size_t n = strtoul(range + 7, NULL, 10);
        first = n < size ? size - n : 0;
    } else {
        first = strtoul(range + 6, &end, 10);
        last = strtoul(end + 1, NULL, 10);
    }
    if (size == 0 || first >= size)
        return false;
    if (last >= size)
        last = size - 1;
    snprintf(r->range, sizeof r->range, "bytes %zu-%zu/%zu", first, last, size);
    memmove(r->answer.data, r->answer.data + first, last - first + 1);
    r->answer.size = last - first + 1;
    r->status = 206;
    return true;
}

static void do_get(server *s, request *r)
{
    ist_buffer mark = IST_BUFFER_INIT;
    if (ist_store_get(s->objects, r->key, &r->answer, NULL) != IST_OK) {
        refuse(r, 404, "NoSuchKey");
        return;
    }
    etag_of(&r->answer, r->etag);
    if (ist_store_get(s->marks, r->key, &mark, NULL) == IST_OK)
        r->mark = mark.data;
    time_t now = time(NULL);
    struct tm parts;
    strftime(r->modified, sizeof r->modified, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    r->length = r->answer.size;
    const char *match = header(r, "If-Match"), *range = header(r, "Range");
    if (match && strcmp(match, r->etag) != 0) {
        ist_buffer_clear(&r->answer);
        refuse(r, 412, "PreconditionFailed");
    } else if (range && !cut(r, range)) {
        ist_buffer_clear(&r->answer);
        refuse(r, 416, "InvalidRange");
    }
}

static void keep(server *s, request *r, const ist_buffer *content, const char *mark)
{
    bool absent = header(r, "If-None-Match") != NULL;
    ist_status status = ist_store_put(s->objects, r->key, content->size ? content->data : "", content->size,
                                      absent ? IST_PUT_IF_ABSENT : IST_PUT_REPLACE, NULL);
    if (status == IST_ALREADY_EXISTS)
        refuse(r, 412, "PreconditionFailed");
    else
        ist_store_put(s->marks, r->key, mark ? mark : "", mark ? strlen(mark) : 0, IST_PUT_REPLACE, NULL);
}

static upload *find_upload(server *s, const char *id)
{
    unsigned long n = id ? strtoul(id, NULL, 10) : UPLOADS_MAX;
    return n < UPLOADS_MAX && s->uploads[n].open ? &s->uploads[n] : NULL;
}

static void close_upload(server *s, upload *u)
{
    for (int i = 0; i < PARTS_MAX; i++)
        ist_buffer_free(&u->parts[i]);
    u->open = false;
    s->base.uploads_open--;
}

static void begin_upload(server *s, request *r)
{
    for (int i = 0; i < UPLOADS_MAX; i++)
        if (!s->uploads[i].open) {
            s->uploads[i].open = true;
            s->base.uploads_open++;
            snprintf(s->uploads[i].mark, sizeof s->uploads[i].mark, "%s", header(r, "x-amz-meta-isthmus-put"));
            ist_buffer_printf(&r->answer, NULL,
                              "<InitiateMultipartUploadResult><UploadId>%d</UploadId></InitiateMultipartUploadResult>",
                              i);
            return;
        }
}

static void do_upload(server *s, request *r)
{
    upload *u = find_upload(s, query(r, "uploadId"));
    const char *part = query(r, "partNumber");
    if (!u) {
        refuse(r, 404, "NoSuchUpload");
    } else if (part) {
        ist_buffer *to = &u->parts[strtoul(part, NULL, 10) % PARTS_MAX];
        ist_buffer_clear(to);
        ist_buffer_append(to, r->body.data, r->body.size, NULL);
        etag_of(to, r->etag);
    } else if (strcmp(r->method, "DELETE") == 0) {
        close_upload(s, u);
        r->status = 204;
    } else if (take(&s->base.torn)) {
        ist_buffer_printf(&r->answer, NULL, "<Error><Code>InternalError</Code></Error>");
    } else {
        ist_buffer whole = IST_BUFFER_INIT;
        for (int i = 1; i < PARTS_MAX && u->parts[i].size; i++)
            ist_buffer_append(&whole, u->parts[i].data, u->parts[i].size, NULL);
        keep(s, r, &whole, u->mark);
        close_upload(s, u);
        ist_buffer_free(&whole);
        ist_buffer_printf(&r->answer, NULL, "<CompleteMultipartUploadResult/>");
    }
}

typedef struct listing {
    request *r;
    int count;
    char last[1100];
} listing;

static bool add_entry(const ist_store_entry *entry, void *payload)
{
    listing *list = payload;
    ist_buffer name = IST_BUFFER_INIT;
    if (list->count++ == PAGE) {
        ist_buffer_printf(&list->r->answer, NULL, "<NextContinuationToken>%s</NextContinuationToken>", list->last);
        return false;
    }
    ist__uri_encode(entry->path, strlen(entry->path), "/", &name, NULL);
    ist_buffer_printf(&list->r->answer, NULL,
                      "<Contents><Key>%s</Key><LastModified>2026-11-24T06:00:00.000Z</LastModified><Size>%llu</Size>"
                      "</Contents>", name.data, (unsigned long long)entry->size);
    snprintf(list->last, sizeof list->last, "%s", strrchr(entry->path, '/') ? strrchr(entry->path, '/') + 1
                                                                            : entry->path);
    ist_buffer_free(&name);
    return true;
}

static void do_list(server *s, request *r)
{
    listing list = {.r = r};
    char folder[1100];
    const char *prefix = query(r, "prefix"), *after = query(r, "continuation-token"), *start = query(r, "start-after");
    snprintf(folder, sizeof folder, "%s", prefix ? prefix : "");
    size_t size = strlen(folder);
    if (size)
        folder[size - 1] = '\0';
    if (!after && start)
        after = start + size;
    ist_buffer_printf(&r->answer, NULL, "<ListBucketResult xmlns=\"urn:s3\">");
    ist_store_list(s->objects, folder, after, add_entry, &list, NULL);
    ist_buffer_printf(&r->answer, NULL, "</ListBucketResult>");
}

static void carry_out(server *s, request *r)
{
    const char *token = header(r, "x-amz-security-token"), *signature = header(r, "Authorization");
    snprintf(s->base.last_authorization, sizeof s->base.last_authorization, "%s", signature ? signature : "");
    if (take(&s->base.unavailable))
        refuse(r, 503, "SlowDown");
    else if (s->base.token && (!token || strcmp(token, s->base.token) != 0))
        refuse(r, 400, "ExpiredToken");
    else if (query(r, "list-type"))
        do_list(s, r);
    else if (MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, "uploads", 7, NULL, NULL))
        begin_upload(s, r);
    else if (query(r, "uploadId"))
        do_upload(s, r);
    else if (strcmp(r->method, "PUT") == 0)
        keep(s, r, &r->body, header(r, "x-amz-meta-isthmus-put"));
    else if (strcmp(r->method, "DELETE") == 0)
        r->status = ist_store_delete(s->objects, r->key, NULL) == IST_OK ? 204 : 500;
    else
        do_get(s, r);
}

static enum MHD_Result answer(request *r)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(r->answer.size, r->answer.size ? r->answer.data : (char *)"",
                                        MHD_RESPMEM_MUST_COPY);
    if (r->etag[0])
        MHD_add_response_header(response, "ETag", r->etag);
    if (r->range[0])
        MHD_add_response_header(response, "Content-Range", r->range);
    if (r->modified[0])
        MHD_add_response_header(response, "Last-Modified", r->modified);
    if (r->mark)
        MHD_add_response_header(response, "x-amz-meta-isthmus-put", r->mark);
    enum MHD_Result result = MHD_queue_response(r->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    (void)version;
    server *s = self;
    request *r = *state;
    if (!r) {
        *state = r = calloc(1, sizeof *r);
        r->connection = connection;
        r->method = method;
        r->status = 200;
        return MHD_YES;
    }
    if (*size) {
        ist_buffer_append(&r->body, data, *size, NULL);
        *size = 0;
        return MHD_YES;
    }
    s->base.requests++;
    if (take(&s->base.drop))
        return MHD_NO;
    const char *slash = strchr(url + 1, '/'); /* "/bucket/key", decoded */
    r->key = slash ? slash + 1 : "";
    r->lost = take(&s->base.lose_answers);
    carry_out(s, r);
    return r->lost ? MHD_NO : answer(r);
}

static void on_completed(void *self, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)self, (void)connection, (void)code;
    request *r = *state;
    if (!r)
        return;
    free((char *)r->mark);
    ist_buffer_free(&r->body);
    ist_buffer_free(&r->answer);
    free(r);
    *state = NULL;
}

fake_s3 *fake_s3_start(void)
{
    server *s = calloc(1, sizeof *s);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(ist_store_open_memory(&s->objects, NULL), IST_OK);
    assert_int_equal(ist_store_open_memory(&s->marks, NULL), IST_OK);
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
                                 &where, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)64 << 10, MHD_OPTION_END);
    assert_non_null(s->daemon);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", info->port);
    return &s->base;
}

const char *fake_s3_url(const fake_s3 *fake)
{
    return ((const server *)fake)->url;
}

void fake_s3_stop(fake_s3 *fake)
{
    server *s = (server *)fake;
    MHD_stop_daemon(s->daemon);
    for (int i = 0; i < UPLOADS_MAX; i++)
        if (s->uploads[i].open)
            close_upload(s, &s->uploads[i]);
    ist_store_free(s->objects);
    ist_store_free(s->marks);
    free(s);
}
