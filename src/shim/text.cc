/* text.cc: CSV and JSON lines through Arrow's readers, doubles through std::to_chars. */
#include "shim/text.h"

#include "shim/shim_internal.h"

#include <arrow/buffer.h>
#include <arrow/c/bridge.h>
#include <arrow/csv/api.h>
#include <arrow/json/api.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

using arrow::Result;
using arrow::Status;

namespace {

constexpr int32_t block_bytes = 4 << 20; /* of text that becomes one batch */

/* Frees the source with the last who uses it. */
std::shared_ptr<ist__source> own(ist__source source)
{
    return std::shared_ptr<ist__source>(new ist__source(source), [](ist__source *s) {
        s->free(s->self);
        delete s;
    });
}

/* A source from its beginning to its end. */
class SourceStream : public arrow::io::InputStream {
public:
    explicit SourceStream(std::shared_ptr<ist__source> source) : source_(std::move(source))
    {
        set_mode(arrow::io::FileMode::READ);
    }
    Status Close() override
    {
        closed_ = true;
        return Status::OK();
    }
    bool closed() const override { return closed_; }
    Result<int64_t> Tell() const override { return static_cast<int64_t>(position_); }

    Result<int64_t> Read(int64_t size, void *out) override
    {
        uint64_t have = std::min(static_cast<uint64_t>(std::max<int64_t>(size, 0)), source_->size - position_);
        ist_error error = IST_ERROR_INIT;
        if (have > 0 && source_->read(source_->self, position_, out, have, &error) != IST_OK)
            return isthmus::to_arrow(error);
        position_ += have;
        return static_cast<int64_t>(have);
    }

    Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override
    {
        ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(size));
        ARROW_ASSIGN_OR_RAISE(int64_t have, Read(size, buffer->mutable_data()));
        ARROW_RETURN_NOT_OK(buffer->Resize(have));
        return std::shared_ptr<arrow::Buffer>(std::move(buffer));
    }

private:
    std::shared_ptr<ist__source> source_;
    uint64_t position_ = 0;
    bool closed_ = false;
};

/* The schema that a caller lends; an empty one for NULL. */
Result<std::shared_ptr<arrow::Schema>> import_schema(const struct ArrowSchema *schema)
{
    if (!schema)
        return arrow::schema({});
    struct ArrowSchema copy = isthmus::borrow(schema);
    return arrow::ImportSchema(&copy);
}

/* A whole table as batches. */
Result<std::shared_ptr<arrow::RecordBatchReader>> table_reader(std::shared_ptr<arrow::Table> table)
{
    auto reader = std::make_shared<arrow::TableBatchReader>(std::move(table));
    reader->set_chunksize(65536);
    return reader;
}

Result<std::shared_ptr<arrow::RecordBatchReader>> read_csv(std::shared_ptr<ist__source> source,
                                                           const ist__csv_options *options)
{
    auto read = arrow::csv::ReadOptions::Defaults();
    auto parse = arrow::csv::ParseOptions::Defaults();
    auto convert = arrow::csv::ConvertOptions::Defaults();
    ARROW_ASSIGN_OR_RAISE(auto schema, import_schema(options->schema));
    read.block_size = block_bytes;
    parse.delimiter = options->delimiter;
    parse.newlines_in_values = true;
    convert.null_values = {""};
    convert.strings_can_be_null = true;
    convert.quoted_strings_can_be_null = false;
    if (options->no_header) {
        read.column_names = schema->field_names();
        read.autogenerate_column_names = read.column_names.empty();
    }
    for (const auto &field : schema->fields())
        if (!arrow::is_nested(field->type()->id())) /* CSV has no form for those: they stay text and fail by name */
            convert.column_types[field->name()] = field->type();
    auto context = arrow::io::default_io_context();
    if (schema->num_fields() > 0) {
        ARROW_ASSIGN_OR_RAISE(auto reader,
                              arrow::csv::StreamingReader::Make(context, std::make_shared<SourceStream>(source), read,
                                                                parse, convert));
        const auto &fields = reader->schema()->fields();
        if (std::all_of(fields.begin(), fields.end(),
                        [&](const auto &field) { return convert.column_types.count(field->name()) > 0; }))
            return reader;
    }
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::csv::TableReader::Make(context, std::make_shared<SourceStream>(source),
                                                                     read, parse, convert));
    ARROW_ASSIGN_OR_RAISE(auto table, reader->Read());
    return table_reader(std::move(table));
}

Result<std::shared_ptr<arrow::RecordBatchReader>> read_json(std::shared_ptr<ist__source> source,
                                                            const struct ArrowSchema *given)
{
    auto read = arrow::json::ReadOptions::Defaults();
    auto parse = arrow::json::ParseOptions::Defaults();
    ARROW_ASSIGN_OR_RAISE(auto schema, import_schema(given));
    read.block_size = block_bytes;
    if (schema->num_fields() > 0)
        parse.explicit_schema = schema;
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::json::TableReader::Make(arrow::default_memory_pool(),
                                                                      std::make_shared<SourceStream>(source), read,
                                                                      parse));
    ARROW_ASSIGN_OR_RAISE(auto table, reader->Read());
    return table_reader(std::move(table));
}

} // namespace

ist_status ist__csv_read(ist__source source, const ist__csv_options *options, struct ArrowArrayStream *out,
                         ist_error *err)
{
    auto owned = own(source);
    return isthmus::guard(source.name, err, [&]() -> Status {
        ARROW_ASSIGN_OR_RAISE(auto reader, read_csv(owned, options));
        isthmus::export_stream(reader, owned, owned->name, false, out);
        return Status::OK();
    });
}

ist_status ist__json_read(ist__source source, const struct ArrowSchema *schema, struct ArrowArrayStream *out,
                          ist_error *err)
{
    auto owned = own(source);
    return isthmus::guard(source.name, err, [&]() -> Status {
        ARROW_ASSIGN_OR_RAISE(auto reader, read_json(owned, schema));
        isthmus::export_stream(reader, owned, owned->name, false, out);
        return Status::OK();
    });
}

size_t ist__double_text(double value, bool single, char out[IST__DOUBLE_TEXT_SIZE])
{
    if (!std::isfinite(value)) {
        const char *name = std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
        std::memcpy(out, name, std::strlen(name));
        return std::strlen(name);
    }
    double size = std::fabs(value);
    auto format = size == 0 || (size >= 1e-5 && size < 1e16) ? std::chars_format::fixed : std::chars_format::scientific;
    auto [end, error] = single ? std::to_chars(out, out + IST__DOUBLE_TEXT_SIZE, static_cast<float>(value), format)
                               : std::to_chars(out, out + IST__DOUBLE_TEXT_SIZE, value, format);
    if (format == std::chars_format::fixed && !std::memchr(out, '.', static_cast<size_t>(end - out)))
        end = std::copy_n(".0", 2, end);
    return static_cast<size_t>(end - out);
}
