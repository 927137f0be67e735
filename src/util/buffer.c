/* buffer.c: growing bytes with a named maximum. */
#include "isthmus/buffer.h"

#include "util/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ist_status ist_buffer_reserve(ist_buffer *buffer, size_t extra, ist_error *err)
{
    size_t limit = buffer->limit ? buffer->limit : IST_BUFFER_LIMIT_DEFAULT;
    if (extra > limit || buffer->size > limit - extra)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "%zu more bytes would pass the limit of %zu", extra, limit);
    size_t need = buffer->size + extra + 1; /* one for the NUL */
    if (need <= buffer->capacity)
        return IST_OK;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    char *data = realloc(buffer->data, capacity);
    if (!data)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory for %zu bytes", capacity);
    buffer->data = data;
    buffer->data[buffer->size] = '\0'; /* also where nothing follows */
    buffer->capacity = capacity;
    return IST_OK;
}

ist_status ist_buffer_append(ist_buffer *buffer, const void *data, size_t size, ist_error *err)
{
    IST_TRY(ist_buffer_reserve(buffer, size, err));
    if (size)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return IST_OK;
}

ist_status ist_buffer_append_string(ist_buffer *buffer, const char *string, ist_error *err)
{
    return ist_buffer_append(buffer, string, strlen(string), err);
}

ist_status ist_buffer_printf(ist_buffer *buffer, ist_error *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ist_status status = size < 0 ? ist_error_set(err, IST_INTERNAL, 0, NULL, "bad format '%s'", format)
                                 : ist_buffer_reserve(buffer, (size_t)size, err);
    if (status == IST_OK) {
        vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
    return status;
}

void ist_buffer_clear(ist_buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

void ist_buffer_free(ist_buffer *buffer)
{
    if (!buffer)
        return;
    free(buffer->data);
    *buffer = (ist_buffer){.limit = buffer->limit};
}
