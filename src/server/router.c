/*
 * router.c: the table of tables, how a path finds its route, and what every handler needs of its request.
 *
 * /api/2.1/unity-catalog/... is Unity Catalog's API (api/all.yaml of its server); lineage has OpenLineage's path for
 * posting and one of our own for reading.
 */
#include "server/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARAMETER_MAX = 4096 };

static const ist__route *const tables[] = {
    ist__routes_catalog,
    ist__routes_identity,
    ist__routes_objects,
    ist__routes_delta,
    ist__routes_lineage,
    ist__routes_warehouse,
    ist__routes_vault,
    ist__routes_files,
    ist__routes_pages,
};

const ist__route *ist__route_table(size_t index)
{
    return index < sizeof tables / sizeof *tables ? tables[index] : NULL;
}

/* Routes ----------------------------------------------------------------------------------------------------------- */

/*
 * Does a path fit a template? Notes where the values of its segments lie in the path.
 */
static bool fits(const char *template, const char *path, const char *start[], size_t size[])
{
    int count = 0;
    while (*template) {
        if (*template != '{') {
            if (*template++ != *path++)
                return false;
            continue;
        }
        bool rest = template[1] == '*';
        start[count] = path;
        size[count] = rest ? strlen(path) : strcspn(path, "/");
        if (size[count] == 0)
            return false;
        path += size[count++];
        template += strcspn(template, "}") + 1;
    }
    return *path == '\0';
}

static ist_status decode_segments(ist__match *match, const char *const start[], const size_t size[], ist_error *err)
{
    size_t offset[IST__SEGMENTS_MAX] = {0};
    int count = 0;
    for (; count < IST__SEGMENTS_MAX && start[count]; count++) {
        offset[count] = match->text.size;
        IST_TRY(ist__uri_decode(start[count], size[count], &match->text, err));
        IST_TRY(ist_buffer_append(&match->text, "", 1, err));
    }
    for (int i = 0; i < count; i++)
        match->segment[i] = match->text.data + offset[i];
    return IST_OK;
}

static void allow(ist__match *match, const char *method)
{
    size_t used = strlen(match->allow);
    if (used + strlen(method) + 3 > sizeof match->allow)
        return;
    if (used) {
        memcpy(match->allow + used, ", ", 3);
        used += 2;
    }
    memcpy(match->allow + used, method, strlen(method) + 1);
}

static ist_status find_route(const char *method, const char *path, ist__match *out, ist_error *err)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const ist__route *route = tables[i]; route->path; route++) {
            const char *start[IST__SEGMENTS_MAX] = {0};
            size_t size[IST__SEGMENTS_MAX] = {0};
            if (!fits(route->path, path, start, size))
                continue;
            if (strcmp(route->method, method) != 0) {
                allow(out, route->method);
                continue;
            }
            IST_TRY(decode_segments(out, start, size, err));
            out->route = route;
            return IST_OK;
        }
    if (out->allow[0])
        return ist__uc_error(err, IST__UC_METHOD_NOT_ALLOWED, "%.20s is not a method of %.300s", method, path);
    return ist__uc_error(err, IST__UC_NOT_FOUND, "there is nothing at %.300s", path);
}

ist_status ist__match_find(const char *method, const char *path, ist__match *out, ist_error *err)
{
    size_t size = strlen(path);
    ist_status status = find_route(method, path, out, err);
    char *shorter = status == IST_NOT_FOUND && size > 1 && path[size - 1] == '/' ? strndup(path, size - 1) : NULL;
    ist__match match;
    if (!shorter)
        return status;
    if (find_route(method, shorter, &match, NULL) == IST_OK && (match.route->flags & IST__ROUTE_SLASH)) {
        *out = match;
        ist_error_clear(err);
        status = IST_OK;
    } else {
        ist__match_free(&match);
    }
    free(shorter);
    return status;
}

void ist__match_free(ist__match *match)
{
    ist_buffer_free(&match->text);
}

/* Replies ---------------------------------------------------------------------------------------------------------- */

ist_status ist__reply_header(ist__reply *reply, const char *name, const char *value, ist_error *err)
{
    if (reply->header_count == IST__REPLY_HEADERS_MAX)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "a reply has more headers than it can hold");
    IST_TRY(ist__strdup(value, &reply->headers[reply->header_count].value, err));
    reply->headers[reply->header_count++].name = name;
    return IST_OK;
}

/* Without content: no body, no file. */
static void empty_reply(ist__reply *reply)
{
    ist_buffer_clear(&reply->body);
    if (reply->fd >= 0)
        close(reply->fd);
    reply->fd = -1;
    reply->content_type = NULL;
}

void ist__reply_error(ist__reply *reply, const ist_error *error)
{
    empty_reply(reply);
    reply->http = ist__uc_code_http(ist__uc_code_of(error));
    if (ist__uc_error_body(error, &reply->body, NULL) != IST_OK)
        ist_buffer_clear(&reply->body); /* no memory even for this: the status has to do */
}

void ist__reply_clear(ist__reply *reply)
{
    empty_reply(reply);
    ist_buffer_free(&reply->body);
    for (int i = 0; i < reply->header_count; i++)
        free(reply->headers[i].value);
    reply->header_count = 0;
}

/* Calls ------------------------------------------------------------------------------------------------------------ */

ist__session *ist__call_session(const ist__call *call)
{
    return call->catalog->self;
}

ist_status ist__call_parameter(const ist__call *call, const char *key, ist_buffer *value, ist_error *err)
{
    const char *raw = call->request->parameter(call->request->self, key);
    ist_buffer_free(value);
    if (!raw)
        return IST_OK;
    if (strlen(raw) > PARAMETER_MAX)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is longer than %d bytes", key, PARAMETER_MAX);
    IST_TRY(ist__uri_decode(raw, strlen(raw), value, err));
    return ist_buffer_append(value, "", 0, err);
}

ist_status ist__call_required(const ist__call *call, const char *key, ist_buffer *value, ist_error *err)
{
    IST_TRY(ist__call_parameter(call, key, value, err));
    if (!value->data || !*value->data)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the parameter %s is required", key);
    return IST_OK;
}

ist_status ist__call_parameters(const ist__call *call, const char *key, ist_buffer *text, const char **out, int most,
                                int *count, ist_error *err)
{
    const ist__request *request = call->request;
    size_t offset[IST__PARAMETERS_MAX];
    const char *raw[IST__PARAMETERS_MAX + 1];
    *count = 0;
    if (request->repeated)
        *count = request->repeated(request->self, key, raw, most + 1);
    else if (request->parameter && (raw[0] = request->parameter(request->self, key)))
        *count = 1;
    if (*count > most)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is given more than %d times", key, most);
    for (int i = 0; i < *count; i++) {
        offset[i] = text->size;
        IST_TRY(ist__uri_decode(raw[i], strlen(raw[i]), text, err));
        IST_TRY(ist_buffer_append(text, "", 1, err));
    }
    for (int i = 0; i < *count; i++)
        out[i] = text->data + offset[i];
    return IST_OK;
}

ist_status ist__call_integer(const ist__call *call, const char *key, int *out, ist_error *err)
{
    ist_buffer value = IST_BUFFER_INIT;
    char *end = NULL;
    *out = 0;
    ist_status status = ist__call_parameter(call, key, &value, err);
    if (status == IST_OK && value.data) {
        errno = 0;
        long number = strtol(value.data, &end, 10);
        if (end == value.data || *end || errno || number > INT32_MAX || number < INT32_MIN)
            status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is not an integer", key);
        *out = (int)number;
    }
    ist_buffer_free(&value);
    return status;
}

ist_status ist__call_boolean(const ist__call *call, const char *key, bool *out, ist_error *err)
{
    ist_buffer value = IST_BUFFER_INIT;
    ist_status status = ist__call_parameter(call, key, &value, err);
    *out = value.data && strcmp(value.data, "true") == 0;
    if (status == IST_OK && value.data && !*out && strcmp(value.data, "false") != 0)
        status = ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "%s is neither true nor false", key);
    ist_buffer_free(&value);
    return status;
}

ist_status ist__call_body(const ist__call *call, const char **out, ist_error *err)
{
    *out = call->request->body;
    if (strlen(*out) != call->request->body_size)
        return ist__uc_error(err, IST__UC_INVALID_ARGUMENT, "the body is not JSON: it holds a NUL");
    return IST_OK;
}

const char *ist__call_header(const ist__call *call, const char *name)
{
    return call->request->header ? call->request->header(call->request->self, name) : NULL;
}

bool ist__call_wait(ist__call *call, const char *id)
{
    if (!call->suspend)
        return false;
    snprintf(call->waits_for, sizeof call->waits_for, "%s", id);
    call->waits = true;
    call->suspend(call);
    return true;
}

void ist__call_wake(void *self)
{
    ist__call *call = self;
    call->resume(call);
}

void ist__call_refuse(ist__call *call, const ist_error *error)
{
    snprintf(call->refusal, sizeof call->refusal, "%s", error->message);
    if (call->route && call->route->refuse) {
        empty_reply(call->reply);
        call->route->refuse(call->reply, error);
    } else {
        ist__reply_error(call->reply, error);
    }
}

void ist__call_run(ist__call *call)
{
    ist_error error = IST_ERROR_INIT;
    const ist__route *route = call->route;
    if ((route->upload ? route->upload->end(call, &error) : route->handle(call, &error)) != IST_OK)
        ist__call_refuse(call, &error);
}

/* The whole body of an upload in one piece. */
static void run_upload(ist__call *call)
{
    const ist__upload *upload = call->route->upload;
    ist_error error = IST_ERROR_INIT;
    ist_status status = upload->begin(call, &error);
    if (status == IST_OK)
        status = upload->data(call, call->request->body, call->request->body_size, &error);
    if (status == IST_OK)
        ist__call_run(call);
    else
        ist__call_refuse(call, &error);
    upload->free(call->upload);
}

void ist__route_answer(ist_catalog *catalog, const ist__request *request, ist__reply *reply)
{
    ist_error error = IST_ERROR_INIT;
    ist__match match;
    *reply = IST__REPLY_INIT;
    ist_status status = ist__match_find(request->method, request->path, &match, &error);
    ist__call call = {.catalog = catalog, .request = request, .route = match.route, .reply = reply};
    memcpy(call.segment, match.segment, sizeof call.segment);
    if (status != IST_OK) {
        ist__call_refuse(&call, &error);
        if (match.allow[0])
            ist__reply_header(reply, "Allow", match.allow, NULL);
    } else if (call.route->upload) {
        run_upload(&call);
    } else {
        ist__call_run(&call);
    }
    ist__match_free(&match);
}
