/*
 * wire.c: frames to messages and back.
 *
 * One table says which fields an op's request and answer have; encoder and decoder walk it. Nothing that a peer sends is
 * believed: every size is checked against what is left of the payload, every enum against its range.
 */
#include "exchange/wire.h"

#include "util/cursor.h"
#include "util/util.h"

#include <stdio.h>
#include <string.h>

static const uint8_t magic[4] = {'I', 'S', 'T', 'H'};

typedef enum field {
    END,
    EXCHANGE,
    CHUNK,
    SIZE,
    ROWS,
    SPILLED,
    PID,
    FD_NUMBER,
    TEXT,
    MEMBER,
    RESULT,
    ERROR
} field;

enum { FIELDS_MAX = 5 };

static const struct {
    field request[FIELDS_MAX];
    field answer[FIELDS_MAX];
} layouts[IST__WIRE_OP_COUNT] = {
    [IST__WIRE_HELLO] = {{TEXT}, {PID, TEXT}},
    [IST__WIRE_CREATE] = {{END}, {EXCHANGE}},
    [IST__WIRE_HOLD] = {{EXCHANGE}, {END}},
    [IST__WIRE_RELEASE] = {{EXCHANGE}, {END}},
    [IST__WIRE_GRANT] = {{EXCHANGE, SIZE}, {CHUNK, SIZE, PID, FD_NUMBER}},
    [IST__WIRE_GROW] = {{CHUNK, SIZE}, {SIZE}},
    [IST__WIRE_SEAL] = {{CHUNK, SIZE, ROWS}, {EXCHANGE, SIZE, ROWS, SPILLED}},
    [IST__WIRE_CANCEL] = {{CHUNK}, {END}},
    [IST__WIRE_MAP] = {{CHUNK}, {EXCHANGE, SIZE, ROWS, SPILLED}},
    [IST__WIRE_UNMAP] = {{CHUNK}, {END}},
    [IST__WIRE_FREE] = {{CHUNK}, {END}},
    [IST__WIRE_COUNTERS] = {{END}, {TEXT}},
    [IST__WIRE_COMMIT] = {{MEMBER}, {RESULT}},
};

static const field failure_layout[FIELDS_MAX] = {ERROR};

static const field *layout_of(uint16_t op, uint32_t flags)
{
    if (op == 0 || op >= IST__WIRE_OP_COUNT)
        return NULL;
    if (flags & IST__WIRE_FAILED)
        return flags & IST__WIRE_ANSWER ? failure_layout : NULL;
    return flags & IST__WIRE_ANSWER ? layouts[op].answer : layouts[op].request;
}

bool ist__wire_is_id(const char *id)
{
    for (int i = 0; i < IST_ID_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f');
        if (dash ? id[i] != '-' : !hex)
            return false;
    }
    return id[IST_ID_SIZE - 1] == '\0';
}

/* ---- decoding ------------------------------------------------------------------------------------------------ */

static uint32_t take_u32(ist__cursor *in)
{
    return (uint32_t)ist__cursor_number(in, 4);
}

static int64_t take_i64(ist__cursor *in)
{
    return (int64_t)ist__cursor_number(in, 8);
}

static bool take_bool(ist__cursor *in)
{
    uint32_t value = take_u32(in);
    in->bad |= value > 1;
    return value == 1;
}

static void take_id(ist__cursor *in, char out[IST_ID_SIZE])
{
    const uint8_t *id = ist__cursor_take(in, IST_ID_SIZE - 1);
    if (!id)
        return;
    memcpy(out, id, IST_ID_SIZE - 1);
    out[IST_ID_SIZE - 1] = '\0';
    in->bad |= !ist__wire_is_id(out);
}

static void take_member(ist__cursor *in, ist_commit_member *out)
{
    out->table_uri = ist__cursor_text(in, NULL);
    out->table_name = ist__cursor_text(in, NULL);
    out->context = ist__cursor_text(in, NULL);
    out->actions = ist__cursor_text(in, &out->actions_size);
    out->app_id = ist__cursor_text(in, NULL);
    out->engine = ist__cursor_text(in, NULL);
    out->access = ist__cursor_text(in, NULL);
    in->bad |= !out->table_uri || !out->context || !out->actions || !out->app_id;
}

static void take_result(ist__cursor *in, ist_commit_result *out)
{
    uint32_t outcome = take_u32(in);
    in->bad |= outcome > IST_COMMIT_RETRYABLE;
    out->outcome = (ist_commit_outcome)outcome;
    out->version = take_i64(in);
    out->attempts = take_u32(in);
    out->files = take_i64(in);
    out->rows = take_i64(in);
    out->bytes = take_i64(in);
    out->already = take_bool(in);
    const char *reason = ist__cursor_text(in, NULL);
    snprintf(out->reason, sizeof out->reason, "%s", reason ? reason : "");
}

static void take_error(ist__cursor *in, ist_error *out)
{
    uint32_t status = take_u32(in);
    int code = (int)(int32_t)take_u32(in);
    const char *message = ist__cursor_text(in, NULL);
    const char *where = ist__cursor_text(in, NULL);
    in->bad |= status == IST_OK || status > IST_INTERNAL;
    if (!in->bad)
        ist_error_set(out, (ist_status)status, code, where, "%s", message ? message : "");
}

ist_status ist__wire_decode_header(const uint8_t bytes[IST__WIRE_HEADER_SIZE], ist__wire_header *out, ist_error *err)
{
    ist__cursor in = {bytes + sizeof magic, IST__WIRE_HEADER_SIZE - sizeof magic, false};
    out->version = (uint16_t)ist__cursor_number(&in, 2);
    out->op = (uint16_t)ist__cursor_number(&in, 2);
    out->flags = take_u32(&in);
    out->size = take_u32(&in);
    out->request = ist__cursor_number(&in, 8);
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "not a frame of the exchange");
    if (out->size > IST__WIRE_PAYLOAD_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a frame of %u bytes; the most is %d", out->size,
                             IST__WIRE_PAYLOAD_MAX);
    return IST_OK;
}

ist_status ist__wire_decode(const ist__wire_header *header, const uint8_t *payload, ist__message *out, ist_error *err)
{
    memset(out, 0, sizeof *out);
    out->op = header->op;
    out->flags = header->flags;
    out->request = header->request;
    const field *layout = layout_of(header->op, header->flags);
    if (!layout)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a frame of unknown kind (op %u, flags %u)", header->op,
                             header->flags);
    ist__cursor in = {payload, header->size, false};
    for (int i = 0; i < FIELDS_MAX && layout[i] != END; i++) {
        switch (layout[i]) {
        case EXCHANGE: take_id(&in, out->exchange); break;
        case CHUNK: take_id(&in, out->chunk); break;
        case SIZE: out->size = ist__cursor_number(&in, 8); break;
        case ROWS: out->rows = take_i64(&in); break;
        case SPILLED: out->spilled = take_bool(&in); break;
        case PID: out->pid = take_u32(&in); break;
        case FD_NUMBER: out->fd = (int32_t)take_u32(&in); break;
        case TEXT: out->text = ist__cursor_text(&in, NULL); break;
        case MEMBER: take_member(&in, &out->member); break;
        case RESULT: take_result(&in, &out->result); break;
        case ERROR: take_error(&in, &out->error); break;
        case END: break;
        }
    }
    if (in.bad || in.left)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "the payload of op %u does not have its form", header->op);
    return IST_OK;
}

/* ---- encoding ------------------------------------------------------------------------------------------------ */

static ist_status put_u32(ist_buffer *out, uint32_t value, ist_error *err)
{
    return ist__put_number(out, value, 4, err);
}

static ist_status put_i64(ist_buffer *out, int64_t value, ist_error *err)
{
    return ist__put_number(out, (uint64_t)value, 8, err);
}

static ist_status put_sized(ist_buffer *out, const char *text, size_t size, ist_error *err)
{
    if (!text)
        return put_u32(out, 0, err);
    if (size >= IST__WIRE_PAYLOAD_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a text of %zu bytes does not fit a frame; the most is %d",
                             size, IST__WIRE_PAYLOAD_MAX);
    if (memchr(text, '\0', size))
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a text for the daemon holds a NUL");
    IST_TRY(put_u32(out, (uint32_t)size + 1, err));
    IST_TRY(ist_buffer_append(out, text, size, err));
    return ist_buffer_append(out, "", 1, err);
}

static ist_status put_text(ist_buffer *out, const char *text, ist_error *err)
{
    return put_sized(out, text, text ? strlen(text) : 0, err);
}

static ist_status put_member(ist_buffer *out, const ist_commit_member *member, ist_error *err)
{
    IST_TRY(put_text(out, member->table_uri, err));
    IST_TRY(put_text(out, member->table_name, err));
    IST_TRY(put_text(out, member->context, err));
    IST_TRY(put_sized(out, member->actions, member->actions_size, err));
    IST_TRY(put_text(out, member->app_id, err));
    IST_TRY(put_text(out, member->engine, err));
    return put_text(out, member->access, err);
}

static ist_status put_result(ist_buffer *out, const ist_commit_result *result, ist_error *err)
{
    IST_TRY(put_u32(out, (uint32_t)result->outcome, err));
    IST_TRY(put_i64(out, result->version, err));
    IST_TRY(put_u32(out, result->attempts, err));
    IST_TRY(put_i64(out, result->files, err));
    IST_TRY(put_i64(out, result->rows, err));
    IST_TRY(put_i64(out, result->bytes, err));
    IST_TRY(put_u32(out, result->already, err));
    return put_text(out, result->reason, err);
}

static ist_status put_error(ist_buffer *out, const ist_error *error, ist_error *err)
{
    IST_TRY(put_u32(out, (uint32_t)error->status, err));
    IST_TRY(put_u32(out, (uint32_t)error->code, err));
    IST_TRY(put_text(out, error->message, err));
    return put_text(out, error->where, err);
}

static ist_status put_field(ist_buffer *out, field which, const ist__message *message, ist_error *err)
{
    switch (which) {
    case EXCHANGE: return ist_buffer_append(out, message->exchange, IST_ID_SIZE - 1, err);
    case CHUNK: return ist_buffer_append(out, message->chunk, IST_ID_SIZE - 1, err);
    case SIZE: return ist__put_number(out, message->size, 8, err);
    case ROWS: return put_i64(out, message->rows, err);
    case SPILLED: return put_u32(out, message->spilled, err);
    case PID: return put_u32(out, message->pid, err);
    case FD_NUMBER: return put_u32(out, (uint32_t)message->fd, err);
    case TEXT: return put_text(out, message->text, err);
    case MEMBER: return put_member(out, &message->member, err);
    case RESULT: return put_result(out, &message->result, err);
    case ERROR: return put_error(out, &message->error, err);
    case END: break;
    }
    return IST_OK;
}

ist_status ist__wire_encode(const ist__message *message, ist_buffer *out, ist_error *err)
{
    const field *layout = layout_of(message->op, message->flags);
    if (!layout)
        return ist_error_set(err, IST_INTERNAL, 0, NULL, "no frame has op %u, flags %u", message->op, message->flags);
    size_t start = out->size;
    IST_TRY(ist_buffer_append(out, magic, sizeof magic, err));
    IST_TRY(ist__put_number(out, IST__WIRE_VERSION, 2, err));
    IST_TRY(ist__put_number(out, message->op, 2, err));
    IST_TRY(put_u32(out, message->flags, err));
    IST_TRY(put_u32(out, 0, err)); /* the size, once it is known */
    IST_TRY(ist__put_number(out, message->request, 8, err));
    for (int i = 0; i < FIELDS_MAX && layout[i] != END; i++)
        IST_TRY(put_field(out, layout[i], message, err));
    size_t size = out->size - start - IST__WIRE_HEADER_SIZE;
    if (size > IST__WIRE_PAYLOAD_MAX)
        return ist_error_set(err, IST_BAD_INPUT, 0, NULL, "a message of %zu bytes; the most is %d", size,
                             IST__WIRE_PAYLOAD_MAX);
    for (size_t i = 0; i < 4; i++)
        out->data[start + 12 + i] = (char)(size >> (8 * i));
    return IST_OK;
}
