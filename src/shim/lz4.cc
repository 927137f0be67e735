/* lz4.cc: the LZ4 frame format through Arrow C++. */
#include "shim/lz4.h"

#include "shim/shim_internal.h"

#include <arrow/util/compression.h>

#include <algorithm>

using arrow::Status;

namespace {

constexpr size_t step_bytes = 1 << 20; /* of output that is made room for at once */

Status decompress(const uint8_t *data, int64_t size, ist_buffer *out)
{
    ARROW_ASSIGN_OR_RAISE(auto codec, arrow::util::Codec::Create(arrow::Compression::LZ4_FRAME));
    ARROW_ASSIGN_OR_RAISE(auto frame, codec->MakeDecompressor());
    while (size > 0) {
        ist_error error = IST_ERROR_INIT;
        if (out->capacity - out->size < step_bytes / 2 && ist_buffer_reserve(out, step_bytes, &error) != IST_OK)
            return isthmus::to_arrow(error);
        int64_t room = static_cast<int64_t>(out->capacity - out->size - 1);
        ARROW_ASSIGN_OR_RAISE(auto step,
                              frame->Decompress(size, data, room, reinterpret_cast<uint8_t *>(out->data) + out->size));
        if (step.bytes_read == 0 && step.bytes_written == 0 && !step.need_more_output)
            return Status::Invalid("the LZ4 frame makes no progress");
        data += step.bytes_read;
        size -= step.bytes_read;
        out->size += static_cast<size_t>(step.bytes_written);
        if (frame->IsFinished() && size > 0)
            ARROW_RETURN_NOT_OK(frame->Reset());
    }
    out->data[out->size] = '\0';
    return frame->IsFinished() ? Status::OK() : Status::Invalid("the LZ4 frame is cut off");
}

} // namespace

extern "C" ist_status ist__lz4_decompress(const void *data, size_t size, ist_buffer *out, ist_error *err)
{
    ist_error error = IST_ERROR_INIT;
    if (ist_buffer_reserve(out, 1, &error) != IST_OK)
        return ist_error_set(err, error.status, 0, nullptr, "%s", error.message);
    return isthmus::guard("LZ4 frame", err,
                          [&] { return decompress(static_cast<const uint8_t *>(data), static_cast<int64_t>(size), out); });
}
