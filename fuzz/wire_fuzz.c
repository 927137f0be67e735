/* wire_fuzz.c: whatever bytes come through the daemon's socket. What decodes must encode to the same message again. */
#include "exchange/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__wire_header header;
    ist__message message, again;
    ist_error err = IST_ERROR_INIT;
    if (size < IST__WIRE_HEADER_SIZE || ist__wire_decode_header(data, &header, &err) != IST_OK)
        return 0;
    size_t have = size - IST__WIRE_HEADER_SIZE;
    if (header.size > have)
        header.size = (uint32_t)have; /* the server waits for the rest: look at what there is */
    uint8_t *payload = malloc(header.size ? header.size : 1);
    if (!payload)
        abort();
    memcpy(payload, data + IST__WIRE_HEADER_SIZE, header.size);
    if (ist__wire_decode(&header, payload, &message, &err) == IST_OK) {
        ist_buffer frame = IST_BUFFER_INIT;
        if (ist__wire_encode(&message, &frame, &err) != IST_OK)
            abort();
        ist__wire_header second;
        if (ist__wire_decode_header((const uint8_t *)frame.data, &second, &err) != IST_OK ||
            second.op != header.op || second.request != header.request ||
            ist__wire_decode(&second, (const uint8_t *)frame.data + IST__WIRE_HEADER_SIZE, &again, &err) != IST_OK)
            abort();
        ist_buffer_free(&frame);
    }
    free(payload);
    return 0;
}
