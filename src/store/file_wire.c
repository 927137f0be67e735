/* file_wire.c: frames of file_wire.h to messages and back. Nothing that a peer sends is believed. */
#include "store/file_wire.h"

#include "util/util.h"

#include <string.h>

static const uint8_t magic[4] = {'I', 'S', 'T', 'G'};

typedef struct cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
} cursor;

static uint64_t take_number(cursor *in, size_t width)
{
    uint64_t value = 0;
    if (in->left < width) {
        in->bad = true;
        in->left = 0;
        return 0;
    }
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)in->at[i] << (8 * i);
    in->at += width;
    in->left -= width;
    return value;
}

/* The text lies in the payload with its NUL: it is lent, not copied. NULL where it is absent. */
static const char *take_text(cursor *in)
{
    size_t size = (size_t)take_number(in, 4);
    if (size == 0)
        return NULL;
    if (size > in->left || memchr(in->at, '\0', size) != in->at + size - 1) {
        in->bad = true;
        in->left = 0;
        return NULL;
    }
    const char *text = (const char *)in->at;
    in->at += size;
    in->left -= size;
    return text;
}

ist_status ist__file_wire_header(const uint8_t bytes[IST__FILE_WIRE_HEADER_SIZE], uint32_t most, ist__file_header *out,
                                 ist_error *err)
{
    cursor in = {bytes + sizeof magic, IST__FILE_WIRE_HEADER_SIZE - sizeof magic, false};
    unsigned version = (unsigned)take_number(&in, 2);
    out->op = (uint16_t)take_number(&in, 2);
    out->flags = (uint32_t)take_number(&in, 4);
    out->size = (uint32_t)take_number(&in, 4);
    if (memcmp(bytes, magic, sizeof magic) != 0 || out->op == 0 || out->op >= IST__FILE_OP_COUNT)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "not a frame of the file broker");
    if (version != IST__FILE_WIRE_VERSION)
        return ist_error_set(err, IST_UNSUPPORTED, 0, NULL,
                             "a frame of version %u of the file broker's protocol, where %d is spoken: use the same "
                             "release of Isthmus for both",
                             version, IST__FILE_WIRE_VERSION);
    if (out->size > most)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a frame of %u bytes; the most is %u", out->size, most);
    return IST_OK;
}

ist_status ist__file_wire_decode(const ist__file_header *header, const uint8_t *payload, ist__file_message *out,
                                 ist_error *err)
{
    cursor in = {payload, header->size, false};
    out->op = header->op;
    out->flags = header->flags;
    out->status = (uint32_t)take_number(&in, 4);
    out->code = (int32_t)(uint32_t)take_number(&in, 4);
    out->number = take_number(&in, 8);
    out->time = (int64_t)take_number(&in, 8);
    out->a = take_text(&in);
    out->b = take_text(&in);
    out->c = take_text(&in);
    bool failed = out->flags & IST__FILE_FAILED;
    if (in.bad || in.left || out->status > IST_INTERNAL || failed != (out->status != IST_OK))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the payload of op %u does not have its form", header->op);
    return IST_OK;
}

static ist_status put_number(ist_buffer *out, uint64_t value, size_t width, ist_error *err)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return ist_buffer_append(out, bytes, width, err);
}

static ist_status put_text(ist_buffer *out, const char *text, ist_error *err)
{
    size_t size = text ? strlen(text) + 1 : 0;
    if (size > IST__FILE_WIRE_ANSWER_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a text of %zu bytes does not fit a frame", size);
    IST_TRY(put_number(out, size, 4, err));
    return size ? ist_buffer_append(out, text, size, err) : IST_OK;
}

ist_status ist__file_wire_encode(const ist__file_message *message, ist_buffer *out, ist_error *err)
{
    size_t start = out->size;
    IST_TRY(ist_buffer_append(out, magic, sizeof magic, err));
    IST_TRY(put_number(out, IST__FILE_WIRE_VERSION, 2, err));
    IST_TRY(put_number(out, message->op, 2, err));
    IST_TRY(put_number(out, message->flags, 4, err));
    IST_TRY(put_number(out, 0, 4, err)); /* the size, once it is known */
    IST_TRY(put_number(out, message->status, 4, err));
    IST_TRY(put_number(out, (uint32_t)message->code, 4, err));
    IST_TRY(put_number(out, message->number, 8, err));
    IST_TRY(put_number(out, (uint64_t)message->time, 8, err));
    IST_TRY(put_text(out, message->a, err));
    IST_TRY(put_text(out, message->b, err));
    IST_TRY(put_text(out, message->c, err));
    size_t size = out->size - start - IST__FILE_WIRE_HEADER_SIZE;
    if (size > IST__FILE_WIRE_ANSWER_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a frame of %zu bytes; the most is %d", size,
                             IST__FILE_WIRE_ANSWER_MAX);
    for (size_t i = 0; i < 4; i++)
        out->data[start + 12 + i] = (char)(size >> (8 * i));
    return IST_OK;
}
