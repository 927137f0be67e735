/*
 * emitter.c: events on their way to the catalog and to an OpenLineage endpoint, beside the job.
 *
 * Each place has a queue and a thread of its own, so that a slow one holds up no other. A queue is a ring that gives up
 * its oldest event when it is full: what happened last is what somebody asks for. Threads start with the first event
 * (a process that has no lineage has no thread, and one that forks before has nothing to lose) and are never joined:
 * ending waits for nobody, so whoever leaves a place last frees it.
 */
#include "isthmus/lineage.h"

#include "isthmus/catalog.h"
#include "util/util.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

enum {
    QUEUE_DEFAULT = 1000,
    QUEUE_BYTES_MAX = 64 << 20,
    TIMEOUT_DEFAULT_MS = 5000,
    URL_MAX = 2048,
    PLACES_MAX = 2,
};

typedef struct place place;
typedef ist_status (*send_function)(place *self, const char *event, ist_error *err);

/* Where events go. Shared by the emitter and the place's thread. */
struct place {
    send_function send;
    int64_t timeout_ms;
    char *uri, *token;    /* of the catalog; or URL and key of the endpoint; or uri is the file's path */
    ist_catalog *catalog; /* the thread's own, opened with its first event */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* of the monotonic clock */
    int users;              /* the emitter, the thread */
    bool started, closing, busy;
    char **queue; /* a ring */
    size_t queue_max, first, waiting, bytes;
    int64_t sent, failed, dropped;
    char last_error[IST_ERROR_MESSAGE_MAX];
};

struct ist_emitter {
    pid_t pid;
    place *places[PLACES_MAX];
    int place_count;
};

/* Places ----------------------------------------------------------------------------------------------------------- */

static void place_free(place *self)
{
    for (size_t i = 0; i < self->waiting; i++)
        free(self->queue[(self->first + i) % self->queue_max]);
    free(self->queue);
    ist_catalog_free(self->catalog);
    ist__text_wipe(self->token);
    free(self->uri);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

/* With the mutex held; lets go of it. */
static void place_leave(place *self)
{
    bool last = --self->users == 0;
    pthread_mutex_unlock(&self->mutex);
    if (last)
        place_free(self);
}

static char *take_oldest(place *self)
{
    char *event = self->queue[self->first];
    self->first = (self->first + 1) % self->queue_max;
    self->waiting--;
    self->bytes -= strlen(event);
    return event;
}

static void note_result(place *self, ist_status status, const ist_error *problem)
{
    if (status == IST_OK)
        self->sent++;
    else
        self->failed++;
    if (status != IST_OK)
        snprintf(self->last_error, sizeof self->last_error, "%s", problem->message);
}

static void *place_thread(void *payload)
{
    place *self = payload;
    pthread_mutex_lock(&self->mutex);
    while (!self->closing) {
        if (self->waiting == 0) {
            pthread_cond_wait(&self->changed, &self->mutex);
            continue;
        }
        char *event = take_oldest(self);
        self->busy = true;
        pthread_mutex_unlock(&self->mutex);
        ist_error problem = IST_ERROR_INIT;
        ist_status status = self->send(self, event, &problem);
        free(event);
        pthread_mutex_lock(&self->mutex);
        self->busy = false;
        note_result(self, status, &problem);
        pthread_cond_broadcast(&self->changed);
    }
    place_leave(self);
    return NULL;
}

/* With the mutex held. Signals are for the threads of the program, not for this one. */
static bool start_thread(place *self)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    self->started = pthread_create(&thread, &attributes, place_thread, self) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (self->started)
        self->users++;
    return self->started;
}

static void place_put(place *self, const char *event)
{
    size_t size = strlen(event);
    char *copy = size <= QUEUE_BYTES_MAX ? strdup(event) : NULL;
    pthread_mutex_lock(&self->mutex);
    while (copy && self->waiting > 0 && (self->waiting == self->queue_max || self->bytes + size > QUEUE_BYTES_MAX)) {
        free(take_oldest(self));
        self->dropped++;
    }
    if (copy && (self->started || start_thread(self))) {
        self->queue[(self->first + self->waiting++) % self->queue_max] = copy;
        self->bytes += size;
        copy = NULL;
        pthread_cond_broadcast(&self->changed);
    } else {
        self->dropped++;
    }
    pthread_mutex_unlock(&self->mutex);
    free(copy);
}

static bool place_flush(place *self, const struct timespec *deadline)
{
    pthread_mutex_lock(&self->mutex);
    int code = 0;
    while ((self->waiting > 0 || self->busy) && code == 0)
        code = pthread_cond_timedwait(&self->changed, &self->mutex, deadline);
    bool done = self->waiting == 0 && !self->busy;
    pthread_mutex_unlock(&self->mutex);
    return done;
}

/* Ways to send ----------------------------------------------------------------------------------------------------- */

static ist_status send_to_catalog(place *self, const char *event, ist_error *err)
{
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    options.uri = self->uri;
    options.token = self->token;
    options.timeout_ms = self->timeout_ms;
    if (!self->catalog) {
        ist_status status = ist_catalog_open(&options, &self->catalog, err);
        if (status != IST_OK)
            return status == IST_NOT_FOUND ? IST_OK : status; /* nobody there who would want to know */
    }
    ist_status status = ist_catalog_post_lineage(self->catalog, event, err);
    if (status != IST_OK && status != IST_BAD_INPUT) { /* it may be elsewhere, or have another token, by the next one */
        ist_catalog_free(self->catalog);
        self->catalog = NULL;
    }
    return status;
}

static size_t drop_reply(char *data, size_t size, size_t count, void *payload)
{
    (void)data, (void)payload;
    return size * count;
}

static void set_endpoint_options(place *self, CURL *curl, const char *event, struct curl_slist *headers, char *detail)
{
    curl_easy_setopt(curl, CURLOPT_URL, self->uri);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)self->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, event);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(event));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_reply);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    if (self->token) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, self->token);
    }
}

static ist_status send_to_endpoint(place *self, const char *event, ist_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    long http = 0;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (curl && headers) {
        set_endpoint_options(self, curl, event, headers, detail);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        return ist_error_set(err, IST_RETRYABLE, 0, NULL, "the OpenLineage endpoint cannot be reached: %s",
                             detail[0] ? detail : curl_easy_strerror(code));
    if (http / 100 != 2)
        return ist_error_set(err, IST_IO, (int)http, NULL, "the OpenLineage endpoint answered %ld", http);
    return IST_OK;
}

/* One write, so that lines of several processes do not mix. */
static ist_status append_line(int fd, const char *where, const char *event, ist_error *err)
{
    ist_buffer line = IST_BUFFER_INIT;
    ist_status status = ist_buffer_printf(&line, err, "%s\n", event);
    if (status == IST_OK && write(fd, line.data, line.size) != (ssize_t)line.size)
        status = ist_error_set(err, IST_IO, errno, where, "cannot write lineage to %s: %s", where, strerror(errno));
    ist_buffer_free(&line);
    return status;
}

static ist_status send_to_console(place *self, const char *event, ist_error *err)
{
    (void)self;
    return append_line(STDERR_FILENO, "standard error", event, err);
}

static ist_status send_to_file(place *self, const char *event, ist_error *err)
{
    int fd = open(self->uri, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ist_error_set(err, IST_IO, errno, self->uri, "cannot write lineage to %s: %s", self->uri,
                             strerror(errno));
    ist_status status = append_line(fd, self->uri, event, err);
    close(fd);
    return status;
}

/* Open ------------------------------------------------------------------------------------------------------------- */

static ist_status add_place(ist_emitter *emitter, const ist_emitter_options *options, send_function send,
                            const char *uri, const char *token, ist_error *err)
{
    place *self = NULL;
    pthread_condattr_t monotonic;
    IST_TRY(ist__alloc(1, sizeof *self, (void **)&self, err));
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    self->send = send;
    self->users = 1;
    self->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
    self->queue_max = options->queue_max ? options->queue_max : QUEUE_DEFAULT;
    ist_status status = ist__alloc(self->queue_max, sizeof *self->queue, (void **)&self->queue, err);
    if (status == IST_OK && uri)
        status = ist__strdup(uri, &self->uri, err);
    if (status == IST_OK && token)
        status = ist__strdup(token, &self->token, err);
    if (status != IST_OK) {
        place_free(self);
        return status;
    }
    emitter->places[emitter->place_count++] = self;
    return IST_OK;
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_disabled(void)
{
    const char *value = setting("OPENLINEAGE_DISABLED");
    return value && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

static ist_status add_endpoint(ist_emitter *emitter, const ist_emitter_options *options, const char *url,
                               ist_error *err)
{
    const char *endpoint = setting("OPENLINEAGE_ENDPOINT");
    char whole[URL_MAX];
    size_t size = strlen(url);
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "OPENLINEAGE_URL must begin with http:// or https://");
    while (size > 0 && url[size - 1] == '/')
        size--;
    endpoint = endpoint ? endpoint + strspn(endpoint, "/") : "api/v1/lineage";
    if (snprintf(whole, sizeof whole, "%.*s/%s", (int)size, url, endpoint) >= (int)sizeof whole)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "OPENLINEAGE_URL is longer than %d characters", URL_MAX);
    return add_place(emitter, options, send_to_endpoint, whole, setting("OPENLINEAGE_API_KEY"), err);
}

/* As OpenLineage's own clients: a transport that is set goes before the URL. */
static ist_status add_transport(ist_emitter *emitter, const ist_emitter_options *options, ist_error *err)
{
    const char *type = setting("OPENLINEAGE__TRANSPORT__TYPE"), *url = setting("OPENLINEAGE_URL");
    const char *path = setting("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH");
    if (!type || strcmp(type, "http") == 0) {
        url = type && setting("OPENLINEAGE__TRANSPORT__URL") ? setting("OPENLINEAGE__TRANSPORT__URL") : url;
        return url ? add_endpoint(emitter, options, url, err) : IST_OK;
    }
    if (strcmp(type, "console") == 0)
        return add_place(emitter, options, send_to_console, NULL, NULL, err);
    if (strcmp(type, "file") != 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "OPENLINEAGE__TRANSPORT__TYPE is %.40s; Isthmus knows http, console and file", type);
    if (!path)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "OPENLINEAGE__TRANSPORT__TYPE is file: OPENLINEAGE__TRANSPORT__LOG_FILE_PATH must name it");
    return add_place(emitter, options, send_to_file, path, NULL, err);
}

ist_status ist_emitter_open(const ist_emitter_options *options, ist_emitter **out, ist_error *err)
{
    const ist_emitter_options defaults = IST_EMITTER_OPTIONS_INIT;
    ist_emitter *emitter = NULL;
    ist_status status = IST_OK;
    *out = NULL;
    if (!options)
        options = &defaults;
    IST_TRY(ist__alloc(1, sizeof *emitter, (void **)&emitter, err));
    emitter->pid = getpid();
    if (!is_disabled()) {
        if (!options->catalog_uri || *options->catalog_uri)
            IST_TRY_GOTO(add_place(emitter, options, send_to_catalog, options->catalog_uri, options->catalog_token,
                                   err));
        IST_TRY_GOTO(add_transport(emitter, options, err));
    }
    *out = emitter;
    return IST_OK;
done:
    ist_emitter_free(emitter);
    return status;
}

/* Use -------------------------------------------------------------------------------------------------------------- */

void ist_emitter_emit(ist_emitter *emitter, const char *event)
{
    if (emitter->pid != getpid()) /* the threads, and perhaps the mutexes, are the parent's */
        return;
    for (int i = 0; i < emitter->place_count; i++)
        place_put(emitter->places[i], event);
}

bool ist_emitter_flush(ist_emitter *emitter, int64_t timeout_ms)
{
    struct timespec deadline;
    bool done = true;
    if (emitter->pid != getpid())
        return true;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t ns = deadline.tv_nsec + timeout_ms % 1000 * 1000000;
    deadline.tv_sec += timeout_ms / 1000 + ns / 1000000000;
    deadline.tv_nsec = ns % 1000000000;
    for (int i = 0; i < emitter->place_count; i++)
        done = place_flush(emitter->places[i], &deadline) && done;
    return done;
}

ist_status ist_emitter_counters(ist_emitter *emitter, ist_buffer *out, ist_error *err)
{
    int64_t sent = 0, failed = 0, dropped = 0, waiting = 0;
    char last_error[IST_ERROR_MESSAGE_MAX] = "";
    for (int i = 0; i < emitter->place_count && emitter->pid == getpid(); i++) {
        place *at = emitter->places[i];
        pthread_mutex_lock(&at->mutex);
        sent += at->sent;
        failed += at->failed;
        dropped += at->dropped;
        waiting += (int64_t)at->waiting + at->busy;
        if (at->last_error[0])
            memcpy(last_error, at->last_error, sizeof last_error);
        pthread_mutex_unlock(&at->mutex);
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_sint(doc, root, "sent", sent);
    yyjson_mut_obj_add_sint(doc, root, "failed", failed);
    yyjson_mut_obj_add_sint(doc, root, "dropped", dropped);
    yyjson_mut_obj_add_sint(doc, root, "waiting", waiting);
    if (last_error[0])
        yyjson_mut_obj_add_str(doc, root, "last_error", last_error);
    else
        yyjson_mut_obj_add_null(doc, root, "last_error");
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    ist_status status = text ? ist_buffer_append_string(out, text, err)
                             : ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    free(text);
    yyjson_mut_doc_free(doc);
    return status;
}

void ist_emitter_free(ist_emitter *emitter)
{
    if (!emitter)
        return;
    for (int i = 0; i < emitter->place_count && emitter->pid == getpid(); i++) {
        place *at = emitter->places[i];
        pthread_mutex_lock(&at->mutex);
        at->closing = true;
        pthread_cond_broadcast(&at->changed);
        place_leave(at);
    }
    free(emitter);
}
