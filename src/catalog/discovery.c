/* discovery.c: how a client on this machine finds the running `isthmus serve`: the file server.json in its home. */
#include "catalog/catalog_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

enum { NOTE_MAX = 4096 };

ist_status ist__write_private(const char *path, const char *data, size_t size, ist_error *err)
{
    char temporary[4200];
    if (snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof temporary)
        return ist_error_set(err, IST_BAD_INPUT, ENAMETOOLONG, path, "the path is too long");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0;
    for (size_t done = 0; good && done < size;) {
        ssize_t n = write(fd, data + done, size - done);
        good = n > 0 || (n < 0 && errno == EINTR);
        done += n > 0 ? (size_t)n : 0;
    }
    good = good && fsync(fd) == 0;
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (good && rename(temporary, path) != 0) {
        good = false;
        code = errno;
    }
    if (!good) {
        unlink(temporary);
        return ist_error_set(err, IST_IO, code, path, "cannot write %s: %s", path, strerror(code));
    }
    return IST_OK;
}

static ist_status note_path(const char *home, ist_buffer *out, ist_error *err)
{
    return ist_buffer_printf(out, err, "%s/server.json", home);
}

ist_status ist__server_note_read(const char *home, ist__server_note *out, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT, text = IST_BUFFER_INIT;
    yyjson_doc *doc = NULL;
    ist_status status = IST_OK;
    memset(out, 0, sizeof *out);
    IST_TRY_GOTO(note_path(home, &path, err));
    IST_TRY_GOTO(ist__read_file(path.data, NOTE_MAX, &text, err));
    doc = text.size ? yyjson_read(text.data, text.size, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *url = yyjson_get_str(yyjson_obj_get(root, "url"));
    const char *token = yyjson_get_str(yyjson_obj_get(root, "token"));
    const char *ca_file = yyjson_get_str(yyjson_obj_get(root, "ca_file"));
    ca_file = ca_file ? ca_file : "";
    if (!url || !token || strlen(url) >= sizeof out->url || strlen(token) >= sizeof out->token ||
        strlen(ca_file) >= sizeof out->ca_file) {
        status = ist_error_set(err, IST_BAD_INPUT, 0, path.data,
                               "%s is not what `isthmus serve` writes; start the server again", path.data);
        goto done;
    }
    memcpy(out->url, url, strlen(url) + 1);
    memcpy(out->token, token, strlen(token) + 1);
    memcpy(out->ca_file, ca_file, strlen(ca_file) + 1);
    out->pid = yyjson_get_sint(yyjson_obj_get(root, "pid"));
done:
    yyjson_doc_free(doc);
    ist_buffer_free(&path);
    ist_buffer_free(&text);
    return status;
}

ist_status ist__server_note_write(const char *home, const ist__server_note *note, ist_error *err)
{
    ist_buffer path = IST_BUFFER_INIT;
    char *text = NULL;
    size_t size = 0;
    ist_status status = IST_OK;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "url", note->url);
    yyjson_mut_obj_add_str(doc, root, "token", note->token);
    if (*note->ca_file)
        yyjson_mut_obj_add_str(doc, root, "ca_file", note->ca_file);
    yyjson_mut_obj_add_sint(doc, root, "pid", note->pid);
    text = yyjson_mut_write(doc, YYJSON_WRITE_NEWLINE_AT_END, &size);
    if (!text) {
        status = ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for server.json");
        goto done;
    }
    IST_TRY_GOTO(note_path(home, &path, err));
    IST_TRY_GOTO(ist__write_private(path.data, text, size, err));
done:
    yyjson_mut_doc_free(doc);
    free(text);
    ist_buffer_free(&path);
    return status;
}
