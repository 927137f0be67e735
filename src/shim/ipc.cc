/*
 * ipc.cc: Arrow IPC streams through Arrow C++.
 *
 * Reading copies nothing: the bytes become one Arrow buffer, every array is a slice of it, and the last one to go
 * releases it. Each batch is checked with RecordBatch::Validate: Arrow has held the message's buffers against the bytes
 * there are, and Validate holds the arrays' lengths and last offsets against their buffers, which costs a few comparisons
 * a column. It does not look at each offset between (ValidateFull would, at the price of a pass over all data): IPC bytes
 * come from processes of the same user, through the exchange, and a chunk that lies about its inner offsets is a bug there
 * and no way in.
 */
#include "shim/ipc.h"

#include "shim/shim_internal.h"

#include <arrow/buffer.h>
#include <arrow/c/bridge.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>

using arrow::Status;

namespace {

/* Memory that someone else owns; gives it back when the last slice of it goes. */
class Borrowed : public arrow::Buffer {
public:
    Borrowed(const void *data, size_t size, void *self, void (*free)(void *))
        : Buffer(static_cast<const uint8_t *>(data), static_cast<int64_t>(size)), self_(self), free_(free)
    {
    }
    ~Borrowed() override
    {
        if (free_)
            free_(self_);
    }

private:
    void *self_;
    void (*free_)(void *);
};

/* A C stream as Arrow's reader, but with the stream's own error text and status. */
class StreamReader : public arrow::RecordBatchReader {
public:
    /* Takes the stream. */
    explicit StreamReader(struct ArrowArrayStream *stream) : stream_(*stream) { stream->release = nullptr; }
    ~StreamReader() override { stream_.release(&stream_); }

    Status open()
    {
        struct ArrowSchema schema;
        if (int code = stream_.get_schema(&stream_, &schema))
            return failed(code);
        return arrow::ImportSchema(&schema).Value(&schema_);
    }

    std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

    Status ReadNext(std::shared_ptr<arrow::RecordBatch> *out) override
    {
        struct ArrowArray array;
        if (int code = stream_.get_next(&stream_, &array))
            return failed(code);
        if (!array.release) {
            out->reset();
            return Status::OK();
        }
        return isthmus::import_batch(&array, schema_).Value(out);
    }

private:
    Status failed(int code)
    {
        ist_error error = IST_ERROR_INIT;
        ist__stream_error(&stream_, code, &error);
        return isthmus::to_arrow(error);
    }

    struct ArrowArrayStream stream_;
    std::shared_ptr<arrow::Schema> schema_;
};

} // namespace

extern "C" ist_status ist__ipc_write(struct ArrowArrayStream *stream, ist__sink sink, int64_t *rows, ist_error *err)
{
    *rows = 0;
    ist_status status = isthmus::guard("", err, [&] {
        auto reader = std::make_shared<StreamReader>(stream);
        ARROW_RETURN_NOT_OK(reader->open());
        auto options = arrow::ipc::IpcWriteOptions::Defaults();
        options.alignment = 64;
        options.use_threads = false;
        auto out = std::make_shared<isthmus::SinkStream>(sink);
        ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeStreamWriter(out, reader->schema(), options));
        for (;;) {
            std::shared_ptr<arrow::RecordBatch> batch;
            ARROW_RETURN_NOT_OK(reader->ReadNext(&batch));
            if (!batch)
                break;
            ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*batch));
            *rows += batch->num_rows();
        }
        return writer->Close();
    });
    if (stream->release)
        stream->release(stream);
    return status;
}

extern "C" ist_status ist__ipc_read(const void *data, size_t size, void *self, void (*free)(void *self),
                                    struct ArrowArrayStream *out, ist_error *err)
{
    bool taken = false;
    ist_status status = isthmus::guard("Arrow IPC stream", err, [&] {
        auto buffer = std::make_shared<Borrowed>(data, size, self, free);
        taken = true;
        auto options = arrow::ipc::IpcReadOptions::Defaults();
        options.use_threads = false;
        ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchStreamReader::Open(
                                               std::make_shared<arrow::io::BufferReader>(std::move(buffer)), options));
        isthmus::export_stream(std::move(reader), nullptr, "Arrow IPC stream", /*check=*/true, out);
        return Status::OK();
    });
    if (!taken && free)
        free(self);
    return status;
}
