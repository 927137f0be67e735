/*
 * http_request_fuzz.c: requests to `isthmus serve` behind its HTTP library: paths, names, parameters, bodies.
 *
 * An input is "METHOD path?query\nbody". It runs on a catalog of its own in memory-backed storage, kept from input to
 * input, so that what one input makes the next can meet.
 */
#include "catalog/catalog_internal.h"
#include "scratch_catalog.h"
#include "server/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The value of a key in "a=1&b=2", as an HTTP library would find it. */
static const char *parameter(void *query, const char *key)
{
    static char value[8192];
    size_t size = strlen(key);
    for (const char *at = query; *at; at += strcspn(at, "&"), at += *at == '&')
        if (strncmp(at, key, size) == 0 && at[size] == '=') {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(at + size + 1, "&"), at + size + 1);
            return value;
        }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char none[] = "";
    if (!catalog)
        scratch_catalog_open();
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    char *body = memchr(text, '\n', size), *path = memchr(text, ' ', body ? (size_t)(body - text) : size);
    if (body && path) {
        *path++ = '\0';
        *body++ = '\0';
        char *query = strchr(path, '?');
        if (query)
            *query++ = '\0';
        ist__request request = {.method = text, .path = path, .parameter = parameter, .self = query ? query : none,
                                .body = body, .body_size = size - (size_t)(body - text)};
        ist__reply reply;
        ist__route_answer(catalog, &request, &reply);
        yyjson_doc *doc = yyjson_read(reply.body.data, reply.body.size, 0);
        bool fault = reply.http < 200 || (reply.http >= 500 && reply.http != 501);
        if ((!doc && reply.http != 204) || fault) { /* every answer is JSON or nothing, none is the server's fault */
            fprintf(stderr, "%s %s: HTTP %d: %s\n", text, path, reply.http, reply.body.data);
            abort();
        }
        yyjson_doc_free(doc);
        ist__reply_clear(&reply);
    }
    free(text);
    return 0;
}
