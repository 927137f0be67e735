/* stream.c: status <-> errno of Arrow C streams. */
#include "shim/stream.h"

#include <errno.h>
#include <string.h>

static const struct {
    ist_status status;
    int code;
} codes[] = {
    {IST_BAD_INPUT, EINVAL},    {IST_IO, EIO},           {IST_NO_MEMORY, ENOMEM},     {IST_UNSUPPORTED, ENOTSUP},
    {IST_NOT_FOUND, ENOENT},    {IST_FORBIDDEN, EACCES}, {IST_ALREADY_EXISTS, EEXIST}, {IST_RETRYABLE, EAGAIN},
    {IST_CANCELLED, ECANCELED}, {IST_CONFLICT, ESTALE},  {IST_UNAUTHENTICATED, EPERM},
};

int ist__stream_errno(ist_status status)
{
    if (status == IST_OK)
        return 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return ENOTRECOVERABLE; /* IST_INTERNAL */
}

ist_status ist__stream_error(struct ArrowArrayStream *stream, int code, ist_error *err)
{
    /* What another library's stream reports under a code of its own is the producer's failure: its rows are bad. */
    ist_status status = code == ENOTRECOVERABLE ? IST_INTERNAL : IST_BAD_INPUT;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            status = codes[i].status;
    const char *text = stream->get_last_error ? stream->get_last_error(stream) : NULL;
    return ist_error_set(err, status, code, NULL, "%s", text && *text ? text : strerror(code));
}
