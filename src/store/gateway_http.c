/*
 * gateway_http.c: the files of a server over HTTP (src/server/routes_files.c has the other end).
 *
 * What fits one request is sent as one, again after passing faults (http_client.c). An object of unknown size goes out as
 * it comes, in chunks: libcurl's multi interface is driven from ist__gateway_upload_write, without a thread.
 */
#include "store/gateway_internal.h"
#include "util/util.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { POLL_MS = 1000, STALL_SECONDS = 60 };

/* <endpoint>/<path, encoded>; path NULL or "": the root. */
static ist_status make_url(const ist__gateway_place *place, const char *path, ist_buffer *out, ist_error *err)
{
    IST_TRY(ist_buffer_append_string(out, place->endpoint, err));
    if (!path || !*path)
        return IST_OK;
    IST_TRY(ist_buffer_append(out, "/", 1, err));
    return ist__uri_encode(path, strlen(path), "/", out, err);
}

static ist_status add_parameter(ist_buffer *url, const char *name, const char *value, ist_error *err)
{
    IST_TRY(ist_buffer_printf(url, err, "%c%s=", strchr(url->data, '?') ? '&' : '?', name));
    return ist__uri_encode(value, strlen(value), "", url, err);
}

static ist_status begin(const ist__gateway_place *place, const char *method, const char *path,
                        ist__http_request *request, ist_error *err)
{
    request->method = method;
    IST_TRY(make_url(place, path, &request->url, err));
    return ist__http_header(request, err, "Authorization: Bearer %s", place->token);
}

/* What the status of a refusal means. */
static ist_status meaning(int http, const char *code)
{
    switch (http) {
    case 400: return IST_BAD_INPUT;
    case 401: return IST_UNAUTHENTICATED;
    case 403: return IST_FORBIDDEN;
    case 404: return IST_NOT_FOUND;
    case 409: return code && strstr(code, "ALREADY_EXISTS") ? IST_ALREADY_EXISTS : IST_CONFLICT;
    case 412: return IST_ALREADY_EXISTS;
    case 429:
    case 502:
    case 503:
    case 504: return IST_RETRYABLE;
    default: return IST_IO;
    }
}

static ist_status refused(int http, const ist_buffer *body, const char *path, ist_error *err)
{
    yyjson_doc *doc = body->size ? yyjson_read(body->data, body->size, YYJSON_READ_ALLOW_INVALID_UNICODE) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *message = yyjson_get_str(yyjson_obj_get(root, "message"));
    ist_status status = meaning(http, yyjson_get_str(yyjson_obj_get(root, "error_code")));
    path = path ? path : "";
    if (message)
        ist_error_set(err, status, http, path, "%s", message);
    else
        ist_error_set(err, status, http, path, "the file gateway answered %d for %s", http, path);
    yyjson_doc_free(doc);
    return status;
}

static ist_status send_request(ist__gateway *self, const ist__http_request *request, const char *path,
                               ist__http_reply *reply, ist_error *err)
{
    IST_TRY(ist__http_send(self->http, request, reply, err));
    if (reply->status / 100 == 2)
        return IST_OK;
    return refused(reply->status, &reply->body, path, err);
}

/* The gateway's ETag is "inode-size-mtime in ns" in hexadecimal. */
static int64_t modified_ms(const char *etag)
{
    const char *dash = strrchr(etag, '-');
    return dash ? (int64_t)(strtoull(dash + 1, NULL, 16) / 1000000) : 0;
}

static const char *method_of(uint16_t op)
{
    switch (op) {
    case IST__FILE_STAT: return "HEAD";
    case IST__FILE_LIST: return "GET";
    case IST__FILE_MAKE_FOLDER: return "PUT";
    case IST__FILE_RENAME: return "POST";
    default: return "DELETE";
    }
}

static ist_status add_parameters(const ist__file_message *request, ist_buffer *url, ist_error *err)
{
    char most[24];
    switch (request->op) {
    case IST__FILE_LIST:
        IST_TRY(add_parameter(url, "list", "true", err));
        if (request->c)
            IST_TRY(add_parameter(url, "start_after", request->c, err));
        if (request->number == 0)
            return IST_OK;
        snprintf(most, sizeof most, "%" PRIu64, request->number);
        return add_parameter(url, "max", most, err);
    case IST__FILE_MAKE_FOLDER:
    case IST__FILE_REMOVE_FOLDER: return add_parameter(url, "folder", "true", err);
    case IST__FILE_RENAME: return add_parameter(url, "rename_to", request->c, err);
    default: return IST_OK;
    }
}

ist_status ist__gateway_http_call(ist__gateway *self, const ist__gateway_place *place,
                                  const ist__file_message *request, ist__gateway_answer *answer, ist_error *err)
{
    ist__http_request http = {0};
    ist__http_reply reply = {0};
    ist_status status = IST_OK;
    IST_TRY_GOTO(begin(place, method_of(request->op), request->b, &http, err));
    IST_TRY_GOTO(add_parameters(request, &http.url, err));
    http.once = request->op == IST__FILE_RENAME;
    if (request->op == IST__FILE_MAKE_FOLDER)
        http.body = "";
    IST_TRY_GOTO(send_request(self, &http, request->b, &reply, err));
    answer->size = reply.size;
    answer->modified_ms = modified_ms(reply.etag);
    if (reply.body.size)
        status = ist_buffer_append(&answer->text, reply.body.data, reply.body.size, err);
done:
    /* The answer to HEAD has no body that says more; a folder is no object. */
    if ((status == IST_NOT_FOUND || status == IST_BAD_INPUT) && request->op == IST__FILE_STAT)
        status = ist_error_set(err, IST_NOT_FOUND, 404, request->b, "cannot find %s: there is no such file", request->b);
    ist__http_request_free(&http);
    ist__http_reply_free(&reply);
    return status;
}

ist_status ist__gateway_http_get(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                 ist_buffer *out, ist_error *err)
{
    ist__http_request http = {.out = out};
    ist__http_reply reply = {0};
    ist_status status = begin(place, "GET", path, &http, err);
    if (status == IST_OK)
        status = send_request(self, &http, path, &reply, err);
    ist__http_request_free(&http);
    ist__http_reply_free(&reply);
    return status;
}

ist_status ist__gateway_http_tail(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                  ist_buffer *tail, uint64_t *size, char *etag, ist_error *err)
{
    ist__http_request http = {.out = tail};
    ist__http_reply reply = {0};
    ist_status status = IST_OK;
    ist_buffer_clear(tail);
    IST_TRY_GOTO(begin(place, "GET", path, &http, err));
    IST_TRY_GOTO(ist__http_header(&http, err, "Range: bytes=-%d", IST__GATEWAY_TAIL_SIZE));
    IST_TRY_GOTO(send_request(self, &http, path, &reply, err));
    *size = reply.size;
    memcpy(etag, reply.etag, sizeof reply.etag);
    if (tail->size > *size || (*size > tail->size && tail->size != IST__GATEWAY_TAIL_SIZE))
        status = ist_error_set(err, IST_IO, 0, path, "the file gateway sent another part of %s than was asked for",
                               path);
done:
    ist__http_request_free(&http);
    ist__http_reply_free(&reply);
    return status;
}

ist_status ist__gateway_http_range(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                   const char *etag, uint64_t offset, void *data, size_t size, ist_error *err)
{
    ist__http_request http = {.data = data, .data_size = size};
    ist__http_reply reply = {0};
    ist_status status = IST_OK;
    IST_TRY_GOTO(begin(place, "GET", path, &http, err));
    IST_TRY_GOTO(ist__http_header(&http, err, "Range: bytes=%" PRIu64 "-%" PRIu64, offset, offset + size - 1));
    IST_TRY_GOTO(ist__http_header(&http, err, "If-Match: %s", etag));
    IST_TRY_GOTO(ist__http_send(self->http, &http, &reply, err));
    if (reply.status == 412)
        status = ist_error_set(err, IST_CONFLICT, 412, path, "%s was replaced while it was read; read it again", path);
    else if (reply.status / 100 != 2)
        status = refused(reply.status, &reply.body, path, err);
done:
    ist__http_request_free(&http);
    ist__http_reply_free(&reply);
    return status;
}

ist_status ist__gateway_http_put(ist__gateway *self, const ist__gateway_place *place, const char *path,
                                 const void *data, size_t size, ist_put_mode mode, bool *unsure, ist_error *err)
{
    ist__http_request http = {.body = size ? data : "", .body_size = size};
    ist__http_reply reply = {0};
    ist_status status = IST_OK;
    IST_TRY_GOTO(begin(place, "PUT", path, &http, err));
    IST_TRY_GOTO(ist__http_header(&http, err, "Content-Type: application/octet-stream"));
    IST_TRY_GOTO(ist__http_header(&http, err, "Expect:")); /* no round trip before the body */
    if (mode == IST_PUT_IF_ABSENT)
        IST_TRY_GOTO(ist__http_header(&http, err, "If-None-Match: *"));
    status = send_request(self, &http, path, &reply, err);
    *unsure = reply.unsure;
done:
    ist__http_request_free(&http);
    ist__http_reply_free(&reply);
    return status;
}

/* Uploads ---------------------------------------------------------------------------------------------------------- */

struct ist__gateway_upload {
    CURLM *multi;
    CURL *easy;
    char *path;
    ist__http_request request; /* its URL and headers */
    const char *data;          /* not sent yet; borrowed for one call */
    size_t left;
    bool ended;    /* nothing comes after `left` */
    bool finished; /* libcurl is done, with: */
    CURLcode result;
    ist_buffer reply;
    char detail[CURL_ERROR_SIZE];
};

static size_t on_read(char *out, size_t size, size_t count, void *payload)
{
    ist__gateway_upload *upload = payload;
    size *= count;
    if (upload->left == 0)
        return upload->ended ? 0 : CURL_READFUNC_PAUSE;
    if (size > upload->left)
        size = upload->left;
    memcpy(out, upload->data, size);
    upload->data += size;
    upload->left -= size;
    return size;
}

static size_t on_reply(char *data, size_t size, size_t count, void *payload)
{
    return ist_buffer_append(payload, data, size * count, NULL) == IST_OK ? size * count : 0;
}

/* An upload that is given up ends by a reset, which the server sees at once in the midst of a body. */
static int on_socket(void *payload, curl_socket_t fd, curlsocktype purpose)
{
    const struct linger now = {.l_onoff = 1};
    (void)payload, (void)purpose;
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

static void set_options(ist__gateway_upload *upload)
{
    CURL *curl = upload->easy;
    curl_easy_setopt(curl, CURLOPT_URL, upload->request.url.data);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, upload->request.headers);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, upload);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &upload->reply);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, upload->detail);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
}

ist_status ist__gateway_upload_open(const ist__gateway_place *place, const char *path, ist__gateway_upload **out,
                                    ist_error *err)
{
    ist__gateway_upload *upload;
    ist_status status;
    IST_TRY(ist__alloc(1, sizeof *upload, (void **)&upload, err));
    upload->reply.limit = IST__HTTP_REPLY_MAX;
    IST_TRY_GOTO(ist__strdup(path, &upload->path, err));
    IST_TRY_GOTO(begin(place, "PUT", path, &upload->request, err));
    IST_TRY_GOTO(ist__http_header(&upload->request, err, "Content-Type: application/octet-stream"));
    IST_TRY_GOTO(ist__http_header(&upload->request, err, "Expect:"));
    upload->multi = curl_multi_init();
    upload->easy = curl_easy_init();
    if (!upload->multi || !upload->easy) {
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for a connection");
        goto done;
    }
    set_options(upload);
    if (curl_multi_add_handle(upload->multi, upload->easy) != CURLM_OK) {
        status = ist_error_set(err, IST_INTERNAL, 0, NULL, "cannot start an upload");
        goto done;
    }
    *out = upload;
    return IST_OK;
done:
    ist__gateway_upload_free(upload);
    return status;
}

/* Let libcurl work until it has taken what is there, or is done. */
static ist_status drive(ist__gateway_upload *upload, ist_error *err)
{
    int64_t progress_us = ist__monotonic_us();
    curl_easy_pause(upload->easy, CURLPAUSE_CONT);
    while (!upload->finished && (upload->left > 0 || upload->ended)) {
        size_t before = upload->left;
        int running, queued;
        curl_multi_perform(upload->multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(upload->multi, &queued));)
            if (message->msg == CURLMSG_DONE) {
                upload->finished = true;
                upload->result = message->data.result;
            }
        if (upload->left < before)
            progress_us = ist__monotonic_us();
        else if (!upload->finished && ist__monotonic_us() - progress_us > STALL_SECONDS * 1000000LL)
            return ist_error_set(err, IST_RETRYABLE, 0, upload->path, "the file gateway takes no more of %s",
                                 upload->path);
        else if (!upload->finished)
            curl_multi_poll(upload->multi, NULL, 0, POLL_MS, NULL);
    }
    return IST_OK;
}

/* libcurl is done: was it what it should be? */
static ist_status outcome(ist__gateway_upload *upload, ist_error *err)
{
    long http = 0;
    curl_easy_getinfo(upload->easy, CURLINFO_RESPONSE_CODE, &http);
    if (http != 0 && http / 100 != 2)
        return refused((int)http, &upload->reply, upload->path, err);
    if (upload->result != CURLE_OK || !upload->ended)
        return ist_error_set(err, IST_RETRYABLE, 0, upload->path, "the upload of %s broke off: %s", upload->path,
                             upload->detail[0] ? upload->detail : curl_easy_strerror(upload->result));
    return IST_OK;
}

ist_status ist__gateway_upload_write(ist__gateway_upload *upload, const void *data, size_t size, ist_error *err)
{
    upload->data = data;
    upload->left = size;
    IST_TRY(drive(upload, err));
    return upload->finished ? outcome(upload, err) : IST_OK;
}

ist_status ist__gateway_upload_close(ist__gateway_upload *upload, ist_error *err)
{
    upload->ended = true;
    IST_TRY(drive(upload, err));
    return outcome(upload, err);
}

void ist__gateway_upload_free(ist__gateway_upload *upload)
{
    if (!upload)
        return;
    if (upload->multi && upload->easy)
        curl_multi_remove_handle(upload->multi, upload->easy);
    curl_easy_cleanup(upload->easy);
    curl_multi_cleanup(upload->multi);
    ist__http_request_free(&upload->request);
    ist_buffer_free(&upload->reply);
    free(upload->path);
    free(upload);
}
