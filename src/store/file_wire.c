/* file_wire.c: frames of file_wire.h to messages and back. Nothing that a peer sends is believed. */
#include "store/file_wire.h"

#include "util/cursor.h"
#include "util/util.h"

#include <string.h>

static const uint8_t magic[4] = {'I', 'S', 'T', 'G'};

ist_status ist__file_wire_header(const uint8_t bytes[IST__FILE_WIRE_HEADER_SIZE], uint32_t most, ist__file_header *out,
                                 ist_error *err)
{
    ist__cursor in = {bytes + sizeof magic, IST__FILE_WIRE_HEADER_SIZE - sizeof magic, false};
    unsigned version = (unsigned)ist__cursor_number(&in, 2);
    out->op = (uint16_t)ist__cursor_number(&in, 2);
    out->flags = (uint32_t)ist__cursor_number(&in, 4);
    out->size = (uint32_t)ist__cursor_number(&in, 4);
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
    ist__cursor in = {payload, header->size, false};
    out->op = header->op;
    out->flags = header->flags;
    out->status = (uint32_t)ist__cursor_number(&in, 4);
    out->code = (int32_t)(uint32_t)ist__cursor_number(&in, 4);
    out->number = ist__cursor_number(&in, 8);
    out->time = (int64_t)ist__cursor_number(&in, 8);
    out->a = ist__cursor_text(&in, NULL);
    out->b = ist__cursor_text(&in, NULL);
    out->c = ist__cursor_text(&in, NULL);
    bool failed = out->flags & IST__FILE_FAILED;
    if (in.bad || in.left || out->status > IST_INTERNAL || failed != (out->status != IST_OK))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the payload of op %u does not have its form", header->op);
    return IST_OK;
}

static ist_status put_text(ist_buffer *out, const char *text, ist_error *err)
{
    size_t size = text ? strlen(text) + 1 : 0;
    if (size > IST__FILE_WIRE_ANSWER_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a text of %zu bytes does not fit a frame", size);
    IST_TRY(ist__put_number(out, size, 4, err));
    return size ? ist_buffer_append(out, text, size, err) : IST_OK;
}

ist_status ist__file_wire_encode(const ist__file_message *message, ist_buffer *out, ist_error *err)
{
    size_t start = out->size;
    IST_TRY(ist_buffer_append(out, magic, sizeof magic, err));
    IST_TRY(ist__put_number(out, IST__FILE_WIRE_VERSION, 2, err));
    IST_TRY(ist__put_number(out, message->op, 2, err));
    IST_TRY(ist__put_number(out, message->flags, 4, err));
    IST_TRY(ist__put_number(out, 0, 4, err)); /* the size, once it is known */
    IST_TRY(ist__put_number(out, message->status, 4, err));
    IST_TRY(ist__put_number(out, (uint32_t)message->code, 4, err));
    IST_TRY(ist__put_number(out, message->number, 8, err));
    IST_TRY(ist__put_number(out, (uint64_t)message->time, 8, err));
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
