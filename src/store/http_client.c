/*
 * http_client.c: requests over libcurl: a pool of connections, and patience with passing faults.
 *
 * Redirects are not followed: storage services use them for "wrong region", and credentials must not travel to another
 * host. A request that is repeated is signed anew, as the time is part of its signature.
 */
#include "store/http_client.h"

#include "util/util.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    POOL_MAX = 32, /* idle connections kept */
    CONNECT_TIMEOUT_MS = 10000,
    STALL_SECONDS = 30, /* without a byte, and the connection counts as broken */
    ATTEMPTS_MAX = 7,
    BACKOFF_FIRST_MS = 50, /* doubled for each attempt */
    BACKOFF_MAX_MS = 8000,
};

struct ist__http {
    const char *name;
    pthread_mutex_t lock; /* guards the pool */
    CURL *idle[POOL_MAX];
    int idle_count;
};

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

ist_status ist__http_new(const char *name, ist__http **out, ist_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    IST_TRY(ist__alloc(1, sizeof **out, (void **)out, err));
    (*out)->name = name;
    pthread_mutex_init(&(*out)->lock, NULL);
    return IST_OK;
}

void ist__http_free(ist__http *http)
{
    if (!http)
        return;
    for (int i = 0; i < http->idle_count; i++)
        curl_easy_cleanup(http->idle[i]);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

static CURL *take_handle(ist__http *http)
{
    CURL *curl = NULL;
    pthread_mutex_lock(&http->lock);
    if (http->idle_count > 0)
        curl = http->idle[--http->idle_count];
    pthread_mutex_unlock(&http->lock);
    return curl ? curl : curl_easy_init();
}

static void give_handle(ist__http *http, CURL *curl)
{
    curl_easy_reset(curl); /* options go, the connection stays */
    pthread_mutex_lock(&http->lock);
    if (http->idle_count < POOL_MAX) {
        http->idle[http->idle_count++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&http->lock);
    curl_easy_cleanup(curl);
}

static void wipe(ist_buffer *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->capacity);
    ist_buffer_free(secret);
}

ist_status ist__http_header(ist__http_request *request, ist_error *err, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    struct curl_slist *more = size < 0 ? NULL : curl_slist_append(request->headers, text);
    if (size >= 0)
        explicit_bzero(text, (size_t)size);
    free(text);
    if (!more)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a request");
    request->headers = more;
    return IST_OK;
}

void ist__http_request_free(ist__http_request *request)
{
    for (struct curl_slist *line = request->headers; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(request->headers);
    request->headers = NULL;
    wipe(&request->url); /* an Azure URL is signed */
    wipe(&request->key);
    wipe(&request->secret);
}

void ist__http_reply_free(ist__http_reply *reply)
{
    wipe(&reply->body); /* of STS: the keys */
}

/* Where the bytes of one answer go. */
typedef struct sink {
    CURL *curl;
    const ist__http_request *request;
    ist__http_reply *reply;
    size_t start; /* of request->out, before the first attempt */
    size_t have;  /* bytes in request->data */
    bool begun;   /* the body of this answer */
    bool too_large;
} sink;

/* The rest was asked for and the whole is sent: it replaces what there is. */
static void begin_body(sink *to, long status)
{
    if (!to->begun && to->request->resume && status == 200)
        to->request->out->size = to->start;
    to->begun = true;
}

static size_t on_data(char *data, size_t size, size_t count, void *payload)
{
    sink *to = payload;
    long status = 0;
    size *= count;
    curl_easy_getinfo(to->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2 && to->request->data) {
        if (size > to->request->data_size - to->have)
            return 0;
        memcpy((char *)to->request->data + to->have, data, size);
        to->have += size;
        return size;
    }
    begin_body(to, status);
    ist_buffer *out = status / 100 == 2 && to->request->out ? to->request->out : &to->reply->body;
    if (ist_buffer_append(out, data, size, NULL) != IST_OK) {
        to->too_large = true;
        return 0;
    }
    return size;
}

static int on_progress(void *payload, curl_off_t total, curl_off_t now, curl_off_t sent_total, curl_off_t sent)
{
    const sink *to = payload;
    (void)total, (void)now, (void)sent_total, (void)sent;
    return atomic_load(to->request->stop);
}

/* What bounds a request beside its connection's health, and where it goes on. */
static void set_bounds(CURL *curl, const ist__http_request *request, sink *to)
{
    char range[32];
    if (request->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
    if (request->deadline_us) {
        int64_t left_ms = (request->deadline_us - ist__monotonic_us()) / 1000;
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(left_ms > 1 ? left_ms : 1));
    }
    if (request->stop) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, to);
    }
    if (request->resume && request->out->size > to->start) {
        snprintf(range, sizeof range, "%zu-", request->out->size - to->start);
        curl_easy_setopt(curl, CURLOPT_RANGE, range);
    }
}

static void set_options(CURL *curl, const ist__http_request *request, sink *to, char detail[CURL_ERROR_SIZE])
{
    bool is_head = strcmp(request->method, "HEAD") == 0;
    curl_easy_setopt(curl, CURLOPT_URL, request->url.data);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, is_head ? NULL : request->method);
    curl_easy_setopt(curl, CURLOPT_NOBODY, is_head ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    if (request->sigv4[0]) {
        curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, request->sigv4);
        curl_easy_setopt(curl, CURLOPT_USERNAME, request->key.data);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, request->secret.data);
    }
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
    }
    set_bounds(curl, request, to);
}

/* curl_easy_perform without the SIGPIPE that a connection closed by its other end would send to the whole process. */
static CURLcode perform(CURL *curl)
{
    sigset_t pipe_set, before, pending;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
    CURLcode code = curl_easy_perform(curl);
    if (!sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_set, NULL, &(struct timespec){0, 0}) > 0)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static void copy_header(CURL *curl, const char *name, char *out, size_t size)
{
    struct curl_header *header;
    out[0] = '\0';
    if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK && strlen(header->value) < size)
        memcpy(out, header->value, strlen(header->value) + 1);
}

static void read_headers(CURL *curl, ist__http_reply *reply)
{
    static const char *const marks[] = {"x-amz-meta-isthmus-put", "x-ms-meta-isthmusput", "x-goog-meta-isthmus-put"};
    char text[64];
    copy_header(curl, "Content-Length", text, sizeof text);
    reply->size = strtoull(text, NULL, 10);
    copy_header(curl, "Content-Range", text, sizeof text);
    const char *total = strchr(text, '/');
    if (total && total[1] >= '0' && total[1] <= '9')
        reply->size = strtoull(total + 1, NULL, 10);
    copy_header(curl, "ETag", reply->etag, sizeof reply->etag);
    copy_header(curl, "Last-Modified", reply->modified, sizeof reply->modified);
    copy_header(curl, "Range", reply->range, sizeof reply->range);
    copy_header(curl, "Location", reply->location, sizeof reply->location);
    copy_header(curl, "x-goog-generation", reply->generation, sizeof reply->generation);
    copy_header(curl, "x-amz-bucket-region", reply->region, sizeof reply->region);
    for (int i = 0; i < 3 && (i == 0 || !reply->mark[0]); i++)
        copy_header(curl, marks[i], reply->mark, sizeof reply->mark);
}

/* One attempt. start: of request->out before the first one. *sent: the service may have seen the request. */
static ist_status send_once(ist__http *http, CURL *curl, const ist__http_request *request, size_t start,
                            ist__http_reply *reply, bool *sent, ist_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    sink to = {.curl = curl, .request = request, .reply = reply, .start = start};
    ist_buffer_clear(&reply->body);
    reply->body.limit = IST__HTTP_REPLY_MAX;
    reply->status = 0;
    curl_easy_reset(curl);
    set_options(curl, request, &to, detail);
    CURLcode code = perform(curl);
    *sent = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_COULDNT_RESOLVE_PROXY;
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) {
        reply->status = (int)status;
        read_headers(curl, reply);
        if (status / 100 == 2 && request->data && to.have != request->data_size)
            return ist_error_set(err, IST_IO, 0, NULL, "%s sent %zu bytes instead of %zu", http->name, to.have,
                                 request->data_size);
        return IST_OK;
    }
    if (request->out && !request->resume)
        request->out->size = to.start;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return ist_error_set(err, IST_CANCELLED, 0, NULL, "what was asked of %s is no longer wanted", http->name);
    if (to.too_large)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "the answer of %s is larger than the limit of %zu bytes",
                             http->name, request->out ? request->out->limit : (size_t)IST__HTTP_REPLY_MAX);
    if (code == CURLE_WRITE_ERROR)
        return ist_error_set(err, IST_IO, 0, NULL, "%s sent more than the %zu bytes that were asked for", http->name,
                             request->data_size);
    return ist_error_set(err, IST_RETRYABLE, 0, NULL, "cannot reach %s: %s", http->name,
                         detail[0] ? detail : curl_easy_strerror(code));
}

void ist__http_back_off(int attempt, int64_t asked_s)
{
    int64_t ms = (int64_t)BACKOFF_FIRST_MS << (attempt < 10 ? attempt : 10);
    ms += ist__monotonic_us() % (ms / 2 + 1);
    if (ms < asked_s * 1000)
        ms = asked_s * 1000;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

static bool passing(int status)
{
    return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

/* The service has no rest to a body that is there in part: it is fetched as a whole. */
static bool restart(const ist__http_request *request, size_t start, const ist__http_reply *reply)
{
    if (!request->resume || request->out->size == start || reply->status != 416)
        return false;
    request->out->size = start;
    return true;
}

/* Is there time for another attempt? */
static bool has_time(const ist__http_request *request)
{
    return !request->deadline_us || ist__monotonic_us() < request->deadline_us;
}

ist_status ist__http_send(ist__http *http, const ist__http_request *request, ist__http_reply *reply, ist_error *err)
{
    CURL *curl = take_handle(http);
    if (!curl)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a connection");
    ist_status status;
    size_t start = request->out ? request->out->size : 0, reached = start;
    reply->unsure = false;
    for (int attempt = 0;; attempt++) {
        bool sent = false;
        status = send_once(http, curl, request, start, reply, &sent, err);
        bool again = status == IST_OK ? passing(reply->status) || restart(request, start, reply)
                                      : status == IST_RETRYABLE;
        bool maybe_done = status == IST_OK ? reply->status != 429 : sent;
        if (!again)
            break;
        if (maybe_done)
            reply->unsure = true;
        if (request->resume && request->out->size > reached)
            attempt = 0;
        reached = request->out ? request->out->size : 0;
        if (attempt + 1 == ATTEMPTS_MAX || (request->once && maybe_done) || !has_time(request))
            break;
        curl_off_t asked = 0;
        curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &asked);
        ist_error_clear(err);
        ist__http_back_off(attempt, asked);
    }
    give_handle(http, curl);
    return status;
}
