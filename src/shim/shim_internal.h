/*
 * shim_internal.h: what the C++ shims share: the way from arrow::Status and exceptions to ist_error and back, C structs
 * that are borrowed, and batches as a C stream. C++; for the .cc files of src/shim only.
 */
#ifndef ISTHMUS_SHIM_INTERNAL_H
#define ISTHMUS_SHIM_INTERNAL_H

#include "shim/bytes.h"
#include "shim/stream.h"

#include <arrow/c/abi.h>
#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/status.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

namespace isthmus {

/* An ist_error on its way through Arrow: the status of a failed read or write of ours comes out as it went in. */
class ErrorDetail : public arrow::StatusDetail {
public:
    explicit ErrorDetail(const ist_error &error) : error(error) {}
    const char *type_id() const override;
    std::string ToString() const override { return error.message; }

    const ist_error error;
};

arrow::Status to_arrow(const ist_error &error);

/* Write an Arrow status into err with `what` (a file's name; may be empty) before it. Failures that carry no ist_error
 * are IST_BAD_INPUT except for want of memory and things that Arrow has not implemented. */
ist_status from_arrow(const arrow::Status &status, const std::string &what, ist_error *err);

/* The status of the exception being handled: to be called in a catch clause. */
arrow::Status current_exception_status();

/* Run `body`, which returns an arrow::Status and may throw: no exception leaves a shim. */
template <typename Body> arrow::Status run(Body body)
{
    try {
        return body();
    } catch (...) {
        return current_exception_status();
    }
}

template <typename Body> ist_status guard(const std::string &what, ist_error *err, Body body)
{
    return from_arrow(run(body), what, err);
}

/* Import what the caller keeps: Arrow's importers move, so they get a shallow copy that releases nothing. */
inline struct ArrowSchema borrow(const struct ArrowSchema *schema)
{
    struct ArrowSchema copy = *schema;
    copy.release = [](struct ArrowSchema *self) { self->release = nullptr; };
    return copy;
}

inline struct ArrowArray borrow(const struct ArrowArray *array)
{
    struct ArrowArray copy = *array;
    copy.release = [](struct ArrowArray *self) { self->release = nullptr; };
    return copy;
}

/* Import a struct array as a batch, also one with an offset or nulls of its own. Takes the array. */
arrow::Result<std::shared_ptr<arrow::RecordBatch>> import_batch(struct ArrowArray *array,
                                                                const std::shared_ptr<arrow::Schema> &schema);

/* To be called before any compute kernel and any check of UTF-8: Arrow's tables for them are made once in a process. */
arrow::Status initialize();

inline void release(struct ArrowArray *array)
{
    if (array && array->release)
        array->release(array);
}

/* Batches as a C stream. `keep` lives as long as the stream, `what` goes before its errors; with `check` every batch's
 * buffers are held against its lengths (RecordBatch::Validate). */
void export_stream(std::shared_ptr<arrow::RecordBatchReader> reader, std::shared_ptr<void> keep, std::string what,
                   bool check, struct ArrowArrayStream *out);

/* An ist__sink as Arrow's output stream. */
class SinkStream : public arrow::io::OutputStream {
public:
    explicit SinkStream(ist__sink sink) : sink_(sink) { set_mode(arrow::io::FileMode::WRITE); }
    arrow::Status Write(const void *data, int64_t size) override;
    using arrow::io::Writable::Write;
    arrow::Status Close() override;
    bool closed() const override { return closed_; }
    arrow::Result<int64_t> Tell() const override { return position_; }
    int64_t position() const { return position_; }
    /* From now on every write fails and the sink is not touched: Arrow's writers write when they are destroyed. */
    void abandon() { abandoned_ = true; }

private:
    ist__sink sink_;
    int64_t position_ = 0;
    bool closed_ = false;
    bool abandoned_ = false;
};

} // namespace isthmus

#endif
