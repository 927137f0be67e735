/*
 * uc_token.c: the bearer token of each request: one that was given, or one that is had by OAuth's client credentials.
 *
 * A token by OAuth is renewed by whoever first asks for it in the last part of its life, while the others go on with
 * the one there is; only when none is left do they wait. The endpoint comes from the server's discovery document.
 */
#include "catalog/uc/uc_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yyjson.h>

#define DISCOVERY_PATH "/oidc/.well-known/oauth-authorization-server"
#define TOKEN_REQUEST "grant_type=client_credentials&scope=all-apis"

enum {
    MARGIN_MS = 30000,            /* a token that ends within this is not sent */
    LIFE_DEFAULT_S = 3600,        /* where the answer does not tell */
    LIFE_MAX_S = 365 * 24 * 3600, /* what an answer may claim */
};

static int64_t clock_ms(void)
{
    return ist__monotonic_us() / 1000;
}

static bool is_token(const char *text)
{
    size_t size = 0;
    for (; text[size]; size++)
        if ((unsigned char)text[size] <= 0x20 || (unsigned char)text[size] >= 0x7F || size >= IST__TOKEN_MAX)
            return false;
    return size > 0;
}

ist_status ist__uc_tokens_init(ist__uc_tokens *tokens, const char *token, const char *client_id,
                               const char *client_secret, ist_error *err)
{
    pthread_mutex_init(&tokens->mutex, NULL);
    pthread_cond_init(&tokens->changed, NULL);
    tokens->expires_at_ms = tokens->refresh_at_ms = INT64_MAX;
    if (token && *token) {
        if (!is_token(token))
            return ist_error_set(err, IST_BAD_INPUT, 0, NULL,
                                 "the catalog token has a character that no token has, or is longer than %d bytes",
                                 IST__TOKEN_MAX);
        return ist__strdup(token, &tokens->token, err);
    }
    if (!client_id || !*client_id)
        return IST_OK;
    if (!client_secret || !*client_secret)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the OAuth client '%.100s' has no client_secret", client_id);
    IST_TRY(ist__strdup(client_id, &tokens->client_id, err));
    return ist__strdup(client_secret, &tokens->client_secret, err);
}

void ist__uc_tokens_free(ist__uc_tokens *tokens)
{
    ist__text_wipe(tokens->token);
    ist__text_wipe(tokens->client_secret);
    free(tokens->client_id);
    free(tokens->endpoint);
    pthread_cond_destroy(&tokens->changed);
    pthread_mutex_destroy(&tokens->mutex);
}

/* The secret goes to the host that was named, or to where that host, having proved itself by TLS, points over TLS. */
static bool may_have_secret(const ist__uc *client, const char *endpoint)
{
    size_t size = strlen(client->host);
    if (strncmp(endpoint, client->host, size) == 0 && endpoint[size] == '/')
        return true;
    return strncmp(client->host, "https://", 8) == 0 && strncmp(endpoint, "https://", 8) == 0;
}

static ist_status discover(ist__uc *client, int64_t deadline_us, char **endpoint, ist_error *err)
{
    const ist__uc_request request = {
        .method = "GET", .path = DISCOVERY_PATH, .repeatable = true, .anonymous = true, .deadline_us = deadline_us};
    ist_buffer reply = {.limit = IST__UC_TOKEN_REPLY_MAX};
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    IST_TRY_GOTO(ist__uc_send(client, &request, &reply, err));
    doc = yyjson_read(reply.data, reply.size, 0);
    const char *found = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "token_endpoint"));
    if (!found || !may_have_secret(client, found))
        status = ist_error_set(err, IST_UNAUTHENTICATED, 0, NULL,
                               "the server %s names %s: its OAuth settings (" DISCOVERY_PATH ") are not usable",
                               client->host, found ? "a token endpoint on another host" : "no token endpoint");
    else
        status = ist__strdup(found, endpoint, err);
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&reply);
    return status;
}

/* Read {"access_token", "expires_in"}. The parsed copy of the secret is in `memory`, which the caller wipes. */
static ist_status read_token(const ist__uc *client, const ist_buffer *reply, ist_buffer *memory, char **token,
                             int64_t *life_s, ist_error *err)
{
    yyjson_alc allocator;
    IST_TRY(ist_buffer_reserve(memory, yyjson_read_max_memory_usage(reply->size, 0), err));
    yyjson_alc_pool_init(&allocator, memory->data, memory->capacity);
    yyjson_doc *doc = yyjson_read_opts(reply->data, reply->size, 0, &allocator, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc), *expires = yyjson_obj_get(root, "expires_in");
    const char *found = yyjson_get_str(yyjson_obj_get(root, "access_token"));
    if (!found || !is_token(found))
        return ist_error_set(err, IST_UNAUTHENTICATED, 0, NULL, "the OAuth endpoint of %s gave no access_token",
                             client->host);
    *life_s = yyjson_is_int(expires) ? yyjson_get_sint(expires) : LIFE_DEFAULT_S;
    if (*life_s < 1 || *life_s > LIFE_MAX_S)
        *life_s = LIFE_DEFAULT_S;
    return ist__strdup(found, token, err);
}

static ist_status fetch(ist__uc *client, int64_t deadline_us, char **token, int64_t *life_s, ist_error *err)
{
    ist__uc_tokens *tokens = &client->tokens;
    ist_buffer reply = {.limit = IST__UC_TOKEN_REPLY_MAX}, memory = IST_BUFFER_INIT;
    ist_status status = IST_OK;
    if (!tokens->endpoint) /* only the thread that renews is here */
        IST_TRY_GOTO(discover(client, deadline_us, &tokens->endpoint, err));
    const ist__uc_request request = {.method = "POST",
                                     .path = tokens->endpoint,
                                     .body = TOKEN_REQUEST,
                                     .repeatable = true,
                                     .anonymous = true,
                                     .user = tokens->client_id,
                                     .password = tokens->client_secret,
                                     .form = true,
                                     .deadline_us = deadline_us};
    IST_TRY_GOTO(ist__uc_send(client, &request, &reply, err));
    status = read_token(client, &reply, &memory, token, life_s, err);
done:
    ist__buffer_wipe(&reply);
    ist__buffer_wipe(&memory);
    if (status != IST_OK)
        ist_error_context(err, "OAuth client %.100s", tokens->client_id);
    return status;
}

/* Renew the token, as the one thread that does; the mutex is held on entry and on return. */
static ist_status renew(ist__uc *client, int64_t deadline_us, ist_error *err)
{
    ist__uc_tokens *tokens = &client->tokens;
    char *token = NULL;
    int64_t life_s = 0;
    tokens->renewing = true;
    pthread_mutex_unlock(&tokens->mutex);
    int64_t now = clock_ms(); /* before it is asked for: its life has begun when the answer is here */
    ist_status status = fetch(client, deadline_us, &token, &life_s, err);
    pthread_mutex_lock(&tokens->mutex);
    tokens->renewing = false;
    pthread_cond_broadcast(&tokens->changed);
    if (status != IST_OK)
        return status;
    ist__text_wipe(tokens->token);
    tokens->token = token;
    tokens->generation++;
    int64_t life_ms = life_s * 1000, margin = life_ms > 4 * MARGIN_MS ? MARGIN_MS : life_ms / 4;
    tokens->expires_at_ms = now + life_ms - margin;
    /* In the last quarter, at a moment that differs between processes that started together. */
    tokens->refresh_at_ms = now + life_ms * 3 / 4 - ist__monotonic_us() % (life_ms / 16 + 1);
    return IST_OK;
}

/* See to it that there is a token to send; the mutex is held. */
static ist_status make_usable(ist__uc *client, int64_t deadline_us, ist_error *err)
{
    ist__uc_tokens *tokens = &client->tokens;
    for (;;) {
        int64_t now = clock_ms();
        bool usable = tokens->token && now < tokens->expires_at_ms;
        if (usable && (now < tokens->refresh_at_ms || tokens->renewing))
            return IST_OK;
        if (!tokens->renewing) {
            ist_error problem = IST_ERROR_INIT;
            ist_status status = renew(client, deadline_us, &problem);
            if (status != IST_OK && usable) {
                /* What there is serves on; a later call tries again. */
                tokens->refresh_at_ms = now + (tokens->expires_at_ms - now) / 4;
                return IST_OK;
            }
            if (status != IST_OK && err)
                *err = problem;
            return status;
        }
        const struct timespec until = {deadline_us / 1000000, deadline_us % 1000000 * 1000};
        if (pthread_cond_clockwait(&tokens->changed, &tokens->mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            return ist_error_set(err, IST_RETRYABLE, 0, NULL, "the OAuth endpoint of %s does not answer in time",
                                 client->host);
    }
}

ist_status ist__uc_tokens_get(ist__uc *client, int64_t deadline_us, ist_buffer *out, uint64_t *generation,
                              ist_error *err)
{
    ist__uc_tokens *tokens = &client->tokens;
    pthread_mutex_lock(&tokens->mutex);
    ist_status status = tokens->client_id ? make_usable(client, deadline_us, err) : IST_OK;
    if (status == IST_OK && tokens->token)
        status = ist_buffer_append_string(out, tokens->token, err);
    *generation = tokens->generation;
    pthread_mutex_unlock(&tokens->mutex);
    return status;
}

bool ist__uc_tokens_refused(ist__uc_tokens *tokens, uint64_t generation)
{
    pthread_mutex_lock(&tokens->mutex);
    bool renewable = tokens->client_id != NULL;
    if (renewable && tokens->generation == generation)
        tokens->expires_at_ms = tokens->refresh_at_ms = 0;
    pthread_mutex_unlock(&tokens->mutex);
    return renewable;
}
