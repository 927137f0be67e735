/* error.c: statuses and error messages. */
#include "isthmus/error.h"

#include "isthmus/version.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ist_version(void)
{
    return IST_VERSION;
}

const char *ist_status_name(ist_status status)
{
    static const char *const names[] = {
        [IST_OK] = "ok",
        [IST_NOT_FOUND] = "not found",
        [IST_ALREADY_EXISTS] = "already exists",
        [IST_CONFLICT] = "conflict",
        [IST_RETRYABLE] = "retryable",
        [IST_UNAUTHENTICATED] = "unauthenticated",
        [IST_FORBIDDEN] = "forbidden",
        [IST_UNSUPPORTED] = "unsupported",
        [IST_BAD_INPUT] = "bad input",
        [IST_IO] = "input/output error",
        [IST_CANCELLED] = "cancelled",
        [IST_NO_MEMORY] = "out of memory",
        [IST_INTERNAL] = "internal error",
    };
    size_t count = sizeof names / sizeof names[0];
    return (size_t)status < count ? names[status] : "unknown status";
}

/* Cut a string that snprintf filled to the brim back to whole UTF-8 characters. */
static void trim_partial_character(char *text, size_t capacity)
{
    size_t size = strlen(text);
    if (size + 1 < capacity)
        return;
    size_t start = size;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead < 0x80 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (size - start < need)
        text[start - 1] = '\0';
}

ist_status ist_error_set(ist_error *err, ist_status status, int code, const char *where, const char *format, ...)
{
    if (!err)
        return status;
    err->status = status;
    err->code = code;
    snprintf(err->where, sizeof err->where, "%s", where ? where : "");
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    trim_partial_character(err->message, sizeof err->message);
    trim_partial_character(err->where, sizeof err->where);
    return status;
}

ist_status ist_error_context(ist_error *err, const char *format, ...)
{
    if (!err)
        return IST_INTERNAL;
    char context[IST_ERROR_MESSAGE_MAX / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    char message[IST_ERROR_MESSAGE_MAX];
    memcpy(message, err->message, sizeof message);
    snprintf(err->message, sizeof err->message, "%s: %s", context, message);
    trim_partial_character(err->message, sizeof err->message);
    return err->status;
}

void ist_error_clear(ist_error *err)
{
    if (err)
        *err = (ist_error)IST_ERROR_INIT;
}
