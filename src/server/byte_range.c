/* byte_range.c: one part of what would be answered. */
#include "server/byte_range.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum range_kind { RANGE_NONE, RANGE_PART, RANGE_BEYOND } range_kind;

/* Digits to a number; false where there are none, or too many. */
static bool take_number(const char **at, uint64_t *out)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *out = strtoull(*at, &end, 10);
    *at = end;
    return errno == 0;
}

/* "bytes=0-99", "bytes=100-", "bytes=-100". What is no such range is ignored, as HTTP has it. */
static range_kind read_range(const char *text, uint64_t size, uint64_t *offset, uint64_t *length)
{
    uint64_t first = 0, last = 0;
    if (!text || strncasecmp(text, "bytes=", 6) != 0)
        return RANGE_NONE;
    const char *at = text + 6;
    bool has_first = take_number(&at, &first);
    if (*at++ != '-')
        return RANGE_NONE;
    bool has_last = take_number(&at, &last);
    if (*at || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_NONE;
    if (!has_first) { /* the last bytes */
        *length = last < size ? last : size;
        *offset = size - *length;
        return last == 0 ? RANGE_BEYOND : size == 0 ? RANGE_NONE : RANGE_PART;
    }
    if (first >= size)
        return RANGE_BEYOND;
    *offset = first;
    *length = (has_last && last < size ? last + 1 : size) - first;
    return RANGE_PART;
}

static ist_status answer_beyond(ist__reply *reply, uint64_t size, ist_error *err)
{
    ist_error error = IST_ERROR_INIT;
    char range[48];
    ist__uc_error(&error, IST__UC_INVALID_ARGUMENT, "the range begins after the end of an object of %" PRIu64 " bytes",
                  size);
    ist__reply_error(reply, &error);
    reply->http = 416;
    snprintf(range, sizeof range, "bytes */%" PRIu64, size);
    return ist__reply_header(reply, "Content-Range", range, err);
}

/* A file is sent from an offset; of a body what comes before is dropped. */
static void narrow(ist__reply *reply, uint64_t offset, uint64_t length)
{
    reply->offset = offset;
    reply->length = length;
    if (reply->fd >= 0 || !reply->body.data)
        return;
    memmove(reply->body.data, reply->body.data + offset, (size_t)length);
    reply->body.size = (size_t)length;
}

ist_status ist__reply_range(ist__call *call, uint64_t size, ist_error *err)
{
    ist__reply *reply = call->reply;
    char text[80];
    uint64_t offset = 0, length = size;
    range_kind kind = read_range(ist__call_header(call, "Range"), size, &offset, &length);
    if (kind == RANGE_BEYOND)
        return answer_beyond(reply, size, err);
    narrow(reply, offset, length);
    if (kind == RANGE_PART) {
        reply->http = 206;
        snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, offset, offset + length - 1, size);
        IST_TRY(ist__reply_header(reply, "Content-Range", text, err));
    }
    return ist__reply_header(reply, "Accept-Ranges", "bytes", err);
}
