/* cursor.c: the scalars of binary frames, taken and put. */
#include "util/cursor.h"

#include <string.h>

const uint8_t *ist__cursor_take(ist__cursor *in, size_t size)
{
    if (size > in->left) {
        in->bad = true;
        in->left = 0;
        return NULL;
    }
    const uint8_t *taken = in->at;
    in->at += size;
    in->left -= size;
    return taken;
}

uint64_t ist__cursor_number(ist__cursor *in, size_t width)
{
    const uint8_t *bytes = ist__cursor_take(in, width);
    uint64_t value = 0;
    for (size_t i = 0; bytes && i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

const char *ist__cursor_text(ist__cursor *in, size_t *size)
{
    size_t count = (size_t)ist__cursor_number(in, 4);
    if (size)
        *size = 0;
    if (count == 0)
        return NULL;
    const uint8_t *text = ist__cursor_take(in, count);
    if (!text || memchr(text, '\0', count) != text + count - 1) {
        in->bad = true;
        in->left = 0;
        return NULL;
    }
    if (size)
        *size = count - 1;
    return (const char *)text;
}

ist_status ist__put_number(ist_buffer *out, uint64_t value, size_t width, ist_error *err)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return ist_buffer_append(out, bytes, width, err);
}
