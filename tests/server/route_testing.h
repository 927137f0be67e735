/* route_testing.h: requests to the routes of `isthmus serve` over a catalog of their own, without HTTP. */
#ifndef ISTHMUS_ROUTE_TESTING_H
#define ISTHMUS_ROUTE_TESTING_H

#include "testing.h"

#include "catalog/local/principals.h"
#include "server/router.h"

#include <string.h>
#include <yyjson.h>

#define UC "/api/2.1/unity-catalog"

typedef struct routes {
    char *home;
    ist_catalog *catalog; /* the administrator's */
    ist__session session; /* another principal's, where `who` is set: requests are then his */
    ist_catalog other;
    yyjson_doc *doc; /* of the last answer; NULL for an empty one */
    int http;
} routes;

static inline int set_up_routes(void **state)
{
    routes *r = calloc(1, sizeof *r);
    char uri[4200];
    ist_error err = IST_ERROR_INIT;
    ist_catalog_options options = IST_CATALOG_OPTIONS_INIT;
    r->home = new_folder();
    snprintf(uri, sizeof uri, "sqlite:%s/catalog.db", r->home);
    options.uri = uri;
    assert_ok(ist_catalog_open(&options, &r->catalog, &err), err);
    r->session.local = ((ist__session *)r->catalog->self)->local;
    r->other = (ist_catalog){.backend = r->catalog->backend, .self = &r->session};
    *state = r;
    return 0;
}

static inline void act_as_admin(routes *r);

static inline int tear_down_routes(void **state)
{
    routes *r = *state;
    act_as_admin(r);
    yyjson_doc_free(r->doc);
    ist_catalog_free(r->catalog);
    remove_folder(r->home);
    free(r);
    return 0;
}

/* Requests are the administrator's (again). */
static inline void act_as_admin(routes *r)
{
    if (r->session.who)
        ist__principal_release(r->session.who);
    r->session.who = NULL;
}

/* The value of a key in "a=1&b=2". */
static inline const char *route_parameter(void *query, const char *key)
{
    static _Thread_local char value[4096];
    size_t size = strlen(key);
    for (const char *at = query; at && *at; at += strcspn(at, "&"), at += *at == '&')
        if (strncmp(at, key, size) == 0 && at[size] == '=') {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(at + size + 1, "&"), at + size + 1);
            return value;
        }
    return NULL;
}

/* Send "METHOD path?query" with a body; returns the HTTP status. The answer is in r->doc. */
static inline int send_request(routes *r, const char *method, const char *path, const char *body)
{
    char text[8192];
    snprintf(text, sizeof text, "%s", path);
    char *query = strchr(text, '?');
    if (query)
        *query++ = '\0';
    ist__request request = {.method = method,
                            .path = text,
                            .parameter = route_parameter,
                            .self = query,
                            .body = body ? body : "",
                            .body_size = body ? strlen(body) : 0};
    ist__reply reply;
    ist__route_answer(r->session.who ? &r->other : r->catalog, &request, &reply);
    yyjson_doc_free(r->doc);
    r->doc = reply.body.size ? yyjson_read(reply.body.data, reply.body.size, 0) : NULL;
    r->http = reply.http;
    if (reply.body.size && !r->doc)
        fail_msg("%s %s: no JSON: %s", method, path, reply.body.data);
    ist__reply_clear(&reply);
    return r->http;
}

/* Requests are now the user's with this token. */
static inline void act_as(routes *r, const char *token)
{
    ist_error err = IST_ERROR_INIT;
    act_as_admin(r);
    assert_ok(ist__principal_of_token(r->session.local, token, &r->session.who, &err), err);
    assert_non_null(r->session.who);
}

static inline const char *text_of(const routes *r, const char *pointer)
{
    return yyjson_get_str(yyjson_doc_ptr_get(r->doc, pointer));
}

static inline int64_t number_of(const routes *r, const char *pointer)
{
    yyjson_val *value = yyjson_doc_ptr_get(r->doc, pointer);
    if (!yyjson_is_int(value))
        fail_msg("no number at %s", pointer);
    return yyjson_get_sint(value);
}

/* Send, and expect a status; on another print the answer. */
static inline void expect(routes *r, int http, const char *method, const char *path, const char *body)
{
    if (send_request(r, method, path, body) != http) {
        char *answer = r->doc ? yyjson_write(r->doc, 0, NULL) : NULL;
        fail_msg("%s %s: HTTP %d, not %d: %s", method, path, r->http, http, answer ? answer : "");
    }
}

/* Send, and expect Unity Catalog's error. */
static inline void expect_error(routes *r, int http, const char *error_code, const char *method, const char *path,
                                const char *body)
{
    expect(r, http, method, path, body);
    const char *code = text_of(r, "/error_code");
    if (!code || strcmp(code, error_code) != 0)
        fail_msg("%s %s: %s, not %s: %s", method, path, code ? code : "no error_code", error_code,
                 text_of(r, "/message"));
}

#endif
