/* shim_internal.cc: errors, streams and sinks between C and Arrow C++. */
#include "shim/shim_internal.h"

#include <arrow/array.h>
#include <arrow/c/bridge.h>
#include <arrow/compute/initialize.h>
#include <arrow/util/utf8.h>
#include <parquet/exception.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace isthmus {

static const char error_detail_id[] = "isthmus::ErrorDetail";

const char *ErrorDetail::type_id() const
{
    return error_detail_id;
}

arrow::Status to_arrow(const ist_error &error)
{
    return arrow::Status(arrow::StatusCode::IOError, error.message, std::make_shared<ErrorDetail>(error));
}

ist_status from_arrow(const arrow::Status &status, const std::string &what, ist_error *err)
{
    if (status.ok())
        return IST_OK;
    const auto &detail = status.detail();
    if (detail && strcmp(detail->type_id(), error_detail_id) == 0) {
        const ist_error &carried = static_cast<const ErrorDetail &>(*detail).error;
        if (err)
            *err = carried;
        return carried.status;
    }
    ist_status code = status.IsOutOfMemory()      ? IST_NO_MEMORY
                      : status.IsNotImplemented() ? IST_UNSUPPORTED
                      : status.IsCancelled()      ? IST_CANCELLED
                                                  : IST_BAD_INPUT;
    std::string text = status.message();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return ist_error_set(err, code, 0, what.c_str(), "%s%s%s", what.c_str(), what.empty() ? "" : ": ", text.c_str());
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> import_batch(struct ArrowArray *array,
                                                                const std::shared_ptr<arrow::Schema> &schema)
{
    ARROW_ASSIGN_OR_RAISE(auto rows, arrow::ImportArray(array, arrow::struct_(schema->fields())));
    ARROW_ASSIGN_OR_RAISE(auto batch, arrow::RecordBatch::FromStructArray(rows));
    return batch->ReplaceSchemaMetadata(schema->metadata());
}

arrow::Status initialize()
{
    static const arrow::Status status = [] {
        arrow::util::InitializeUTF8();
        return arrow::compute::Initialize();
    }();
    return status;
}

arrow::Status current_exception_status()
{
    try {
        throw;
    } catch (const parquet::ParquetStatusException &e) {
        return e.status();
    } catch (const std::bad_alloc &) {
        return arrow::Status::OutOfMemory("out of memory");
    } catch (const std::exception &e) { /* parquet::ParquetException and what Thrift throws, for one */
        return arrow::Status::Invalid(e.what());
    } catch (...) {
        return arrow::Status::UnknownError("unknown C++ exception");
    }
}

namespace {

struct Stream {
    std::shared_ptr<void> keep; /* declared first, so destroyed last: the reader may stand on it */
    std::shared_ptr<arrow::RecordBatchReader> reader;
    std::string what;
    bool check;
    ist_error error;
};

Stream *self_of(struct ArrowArrayStream *stream)
{
    return static_cast<Stream *>(stream->private_data);
}

int stream_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    Stream *self = self_of(stream);
    return ist__stream_errno(
        guard(self->what, &self->error, [&] { return arrow::ExportSchema(*self->reader->schema(), out); }));
}

int stream_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    Stream *self = self_of(stream);
    return ist__stream_errno(guard(self->what, &self->error, [&] {
        std::shared_ptr<arrow::RecordBatch> batch;
        ARROW_RETURN_NOT_OK(self->reader->ReadNext(&batch));
        if (!batch) {
            memset(out, 0, sizeof *out);
            return arrow::Status::OK();
        }
        if (self->check)
            ARROW_RETURN_NOT_OK(batch->Validate());
        return arrow::ExportRecordBatch(*batch, out);
    }));
}

const char *stream_get_last_error(struct ArrowArrayStream *stream)
{
    return self_of(stream)->error.message;
}

void stream_release(struct ArrowArrayStream *stream)
{
    delete self_of(stream);
    stream->release = nullptr;
}

} // namespace

void export_stream(std::shared_ptr<arrow::RecordBatchReader> reader, std::shared_ptr<void> keep, std::string what,
                   bool check, struct ArrowArrayStream *out)
{
    Stream *self = new Stream{std::move(keep), std::move(reader), std::move(what), check, IST_ERROR_INIT};
    *out = {stream_get_schema, stream_get_next, stream_get_last_error, stream_release, self};
}

arrow::Status SinkStream::Write(const void *data, int64_t size)
{
    ist_error error = IST_ERROR_INIT;
    if (abandoned_)
        return arrow::Status::Cancelled("abandoned");
    if (sink_.write(sink_.self, data, static_cast<size_t>(size), &error) != IST_OK)
        return to_arrow(error);
    position_ += size;
    return arrow::Status::OK();
}

arrow::Status SinkStream::Close()
{
    closed_ = true; /* the sink's owner closes it */
    return arrow::Status::OK();
}

} // namespace isthmus
