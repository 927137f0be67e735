/* file_wire_fuzz.c: whatever bytes come through the file broker's socket. What decodes must encode to the same again. */
#include "store/file_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist__file_header header;
    ist__file_message message;
    ist_error err = IST_ERROR_INIT;
    if (size < IST__FILE_WIRE_HEADER_SIZE ||
        ist__file_wire_header(data, IST__FILE_WIRE_REQUEST_MAX, &header, &err) != IST_OK)
        return 0;
    size_t have = size - IST__FILE_WIRE_HEADER_SIZE;
    if (header.size > have)
        header.size = (uint32_t)have; /* the broker waits for the rest: look at what there is */
    uint8_t *payload = malloc(header.size ? header.size : 1);
    if (!payload)
        abort();
    memcpy(payload, data + IST__FILE_WIRE_HEADER_SIZE, header.size);
    if (ist__file_wire_decode(&header, payload, &message, &err) == IST_OK) {
        ist_buffer frame = IST_BUFFER_INIT;
        if (ist__file_wire_encode(&message, &frame, &err) != IST_OK ||
            frame.size != IST__FILE_WIRE_HEADER_SIZE + header.size ||
            memcmp(frame.data + IST__FILE_WIRE_HEADER_SIZE, payload, header.size) != 0)
            abort();
        ist_buffer_free(&frame);
    }
    free(payload);
    return 0;
}
