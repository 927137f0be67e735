/*
 * credentials.c: credentials that renew themselves before they expire.
 *
 * One JSON text is current. Whoever finds it about to expire asks the provider, outside of the lock; `asking` keeps the
 * others from asking too. They go on with the current text while it is valid at all, else they wait.
 */
#include "isthmus/sys/credentials.h"

#include "util/util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

enum {
    MARGIN_MS = 60000,       /* of validity that a user of the credentials can count on */
    REFRESH_SHARED_MS = 2000, /* a refresh this soon after the last answer is answered by it */
    JSON_MAX = 1 << 20,
};

struct ist_credentials {
    atomic_int references;
    const ist_credentials_ops *ops; /* NULL: static */
    void *self;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool asking;
    ist_buffer json;      /* empty before the first answer */
    int64_t expires_ms;   /* INT64_MAX: never */
    int64_t margin_ms;    /* renewed this long before */
    int64_t fetched_ms;
    ist_status status;    /* of the last answer, for those who waited for it */
    ist_error error;
};

static void wipe(ist_buffer *json)
{
    if (json->data)
        explicit_bzero(json->data, json->capacity);
    ist_buffer_free(json);
}

/* When a text expires. Errors: IST_BAD_INPUT; the text is not repeated, it holds secrets. */
static ist_status read_expiry(const ist_buffer *json, int64_t *expires_ms, ist_error *err)
{
    yyjson_doc *doc = json->size ? yyjson_read(json->data, json->size, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *expiry = yyjson_obj_get(root, "expiration_time");
    bool good = yyjson_is_obj(root) && (!expiry || yyjson_is_null(expiry) || yyjson_is_int(expiry));
    *expires_ms = yyjson_is_int(expiry) ? yyjson_get_sint(expiry) : INT64_MAX;
    yyjson_doc_free(doc);
    if (!good)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                             "credentials are not Unity Catalog's TemporaryCredentials: a JSON object in which "
                             "expiration_time is in milliseconds");
    return IST_OK;
}

/* Make a text the current one; takes it. */
static void set_current(ist_credentials *credentials, ist_buffer *json, int64_t expires_ms)
{
    int64_t now = ist__now_ms(), life = expires_ms - now;
    wipe(&credentials->json);
    credentials->json = *json;
    *json = (ist_buffer)IST_BUFFER_INIT;
    credentials->expires_ms = expires_ms;
    credentials->margin_ms = life / 2 < MARGIN_MS ? life / 2 : MARGIN_MS;
    credentials->fetched_ms = now;
}

static bool valid_for(const ist_credentials *credentials, int64_t ms)
{
    return credentials->json.size > 0 && credentials->expires_ms - ms > ist__now_ms();
}

/* Ask the provider. Called and returns under the lock, which is open meanwhile. */
static void ask(ist_credentials *credentials)
{
    ist_buffer json = {.limit = JSON_MAX};
    ist_error error = IST_ERROR_INIT;
    int64_t expires_ms = 0;
    credentials->asking = true;
    pthread_mutex_unlock(&credentials->lock);
    ist_status status = credentials->ops->fetch(credentials->self, &json, &error);
    if (status == IST_OK)
        status = read_expiry(&json, &expires_ms, &error);
    pthread_mutex_lock(&credentials->lock);
    if (status == IST_OK)
        set_current(credentials, &json, expires_ms);
    wipe(&json);
    credentials->status = status;
    credentials->error = error;
    credentials->asking = false;
    pthread_cond_broadcast(&credentials->answered);
}

/* Ask, or wait for the answer that another thread is asking for. Called and returns under the lock. */
static ist_status renew(ist_credentials *credentials, ist_error *err)
{
    if (!credentials->ops)
        return ist_error_set(err, IST_UNAUTHENTICATED, 0, NULL,
                             "the credentials have expired or are refused, and were given without a way to renew "
                             "them; get new ones from the catalog");
    if (!credentials->asking)
        ask(credentials);
    else
        while (credentials->asking)
            pthread_cond_wait(&credentials->answered, &credentials->lock);
    if (credentials->status != IST_OK && err)
        *err = credentials->error;
    return credentials->status;
}

static void release(ist_credentials *credentials)
{
    if (credentials->ops && credentials->ops->free)
        credentials->ops->free(credentials->self);
    wipe(&credentials->json);
    pthread_cond_destroy(&credentials->answered);
    pthread_mutex_destroy(&credentials->lock);
    free(credentials);
}

ist_status ist_credentials_new(const ist_credentials_ops *ops, void *self, ist_credentials **out, ist_error *err)
{
    ist_status status = ist__alloc(1, sizeof **out, (void **)out, err);
    if (status != IST_OK) {
        if (ops && ops->free)
            ops->free(self);
        return status;
    }
    (*out)->references = 1;
    (*out)->ops = ops;
    (*out)->self = self;
    pthread_mutex_init(&(*out)->lock, NULL);
    pthread_cond_init(&(*out)->answered, NULL);
    return IST_OK;
}

ist_status ist_credentials_static(const char *json, ist_credentials **out, ist_error *err)
{
    ist_buffer text = {.limit = JSON_MAX};
    ist_credentials *credentials = NULL;
    int64_t expires_ms;
    ist_status status;
    IST_TRY_GOTO(ist_buffer_append_string(&text, json, err));
    IST_TRY_GOTO(read_expiry(&text, &expires_ms, err));
    IST_TRY_GOTO(ist_credentials_new(NULL, NULL, &credentials, err));
    set_current(credentials, &text, expires_ms);
    *out = credentials;
done:
    wipe(&text);
    return status;
}

ist_status ist_credentials_get(ist_credentials *credentials, ist_buffer *json, ist_error *err)
{
    ist_status status = IST_OK;
    pthread_mutex_lock(&credentials->lock);
    bool fresh = valid_for(credentials, credentials->ops ? credentials->margin_ms : 0);
    if (!fresh && !(credentials->asking && valid_for(credentials, 0))) {
        status = renew(credentials, err);
        if (status != IST_OK && valid_for(credentials, 0)) {
            ist_error_clear(err);
            status = IST_OK;
        }
    }
    if (status == IST_OK)
        status = ist_buffer_append(json, credentials->json.data, credentials->json.size, err);
    pthread_mutex_unlock(&credentials->lock);
    return status;
}

ist_status ist_credentials_refresh(ist_credentials *credentials, ist_error *err)
{
    ist_status status = IST_OK;
    pthread_mutex_lock(&credentials->lock);
    bool just_fetched = credentials->ops && !credentials->asking && valid_for(credentials, 0) &&
                        ist__now_ms() - credentials->fetched_ms < REFRESH_SHARED_MS;
    if (!just_fetched)
        status = renew(credentials, err);
    pthread_mutex_unlock(&credentials->lock);
    return status;
}

ist_credentials *ist_credentials_hold(ist_credentials *credentials)
{
    if (credentials)
        atomic_fetch_add(&credentials->references, 1);
    return credentials;
}

void ist_credentials_free(ist_credentials *credentials)
{
    if (credentials && atomic_fetch_sub(&credentials->references, 1) == 1)
        release(credentials);
}
