/*
 * parquet.cc: Parquet files through Arrow C++.
 *
 * What is written is what Spark writes for Delta: data pages V1, timestamps as INT64 microseconds (never INT96), decimals
 * in the standard form (fixed-length bytes), three-level lists named "list.element", and no "ARROW:schema" entry, which
 * other readers do not know and which would make a file's types depend on who wrote it.
 *
 * Row groups. Batches are kept (not copied) until they make a row group, by rows or by 128 MiB of raw data, whichever
 * comes first, and are then encoded column by column straight into the sink. Arrow's other way, buffered row groups,
 * encodes each batch at once but copies all encoded pages twice more: measured, a quarter of the writer's CPU. Columns are
 * encoded by the calling thread: there are as many writers as cores (Ray workers), and Arrow's pool does not survive a
 * fork.
 *
 * Dictionary. For values that hardly repeat, the encoder hashes every one, overflows its dictionary page (1 MiB) and
 * starts again in plain form: all of that is lost work, measured at 30 to 38 % of the writer's CPU for random integers,
 * doubles and strings. So each leaf column is decided on when the first row group is here and the file is not open yet:
 * a sample of at most 4,096 values, spread over the row group, tells by its collisions about how many distinct values
 * there are (the birthday problem: d distinct values in a sample of n come from D = n^2 / 2(n - d), for d near n), and
 * the dictionary is used if that many values fit its page. This costs some 50 microseconds per column and file.
 */
#include "shim/parquet.h"

#include "shim/predicate_internal.h"
#include "shim/shim_internal.h"

#include <arrow/array.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/builder.h>
#include <arrow/buffer.h>
#include <arrow/c/bridge.h>
#include <arrow/compute/api.h>
#include <arrow/io/interfaces.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/util/byte_size.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/file_writer.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>

using arrow::Result;
using arrow::Status;

namespace {

constexpr int64_t batch_rows_default = 65536;
constexpr int64_t row_group_rows_default = 1 << 20;
constexpr int64_t row_group_bytes = 128 << 20;
constexpr int64_t dictionary_page_bytes = 1 << 20;
constexpr int64_t sample_rows = 4096;
constexpr size_t sample_batches = 8;

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* An ist__source as Arrow's file; Arrow reads it by position only. */
class SourceFile : public arrow::io::RandomAccessFile {
public:
    explicit SourceFile(ist__source source) : source_(source) { set_mode(arrow::io::FileMode::READ); }
    ~SourceFile() override { source_.free(source_.self); }

    Result<int64_t> GetSize() override { return static_cast<int64_t>(source_.size); }

    Result<int64_t> ReadAt(int64_t position, int64_t size, void *out) override
    {
        if (position < 0 || size < 0)
            return Status::Invalid("a read of ", size, " bytes at ", position);
        uint64_t start = static_cast<uint64_t>(position);
        if (start >= source_.size)
            return 0;
        uint64_t have = std::min(static_cast<uint64_t>(size), source_.size - start);
        ist_error error = IST_ERROR_INIT;
        if (source_.read(source_.self, start, out, have, &error) != IST_OK)
            return isthmus::to_arrow(error);
        return static_cast<int64_t>(have);
    }

    Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t size) override
    {
        /* A size from a damaged footer is not believed. */
        int64_t left = position < 0 ? 0 : static_cast<int64_t>(source_.size) - position;
        size = std::min(size, std::max<int64_t>(left, 0));
        ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(size));
        ARROW_ASSIGN_OR_RAISE(int64_t have, ReadAt(position, size, buffer->mutable_data()));
        ARROW_RETURN_NOT_OK(buffer->Resize(have));
        return std::shared_ptr<arrow::Buffer>(std::move(buffer));
    }

    using arrow::io::RandomAccessFile::ReadAt;

    Result<int64_t> Read(int64_t size, void *out) override
    {
        ARROW_ASSIGN_OR_RAISE(int64_t have, ReadAt(position_, size, out));
        position_ += have;
        return have;
    }

    Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override
    {
        ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, size));
        position_ += buffer->size();
        return buffer;
    }

    Result<int64_t> Tell() const override { return position_; }

    Status Seek(int64_t position) override
    {
        position_ = position;
        return Status::OK();
    }

    Status Close() override
    {
        closed_ = true;
        return Status::OK();
    }

    bool closed() const override { return closed_; }
    std::string name() const { return source_.name; }

private:
    ist__source source_;
    int64_t position_ = 0;
    bool closed_ = false;
};

parquet::ArrowReaderProperties reader_properties(int64_t batch_rows)
{
    parquet::ArrowReaderProperties properties(/*use_threads=*/false);
    properties.set_pre_buffer(false); /* reading ahead would need Arrow's threads and a copy; a column chunk is one read */
    properties.set_batch_size(batch_rows);
    /* Old Spark files have INT96, whose nanoseconds overflow 64 bits outside 1677..2262; microseconds do not. */
    properties.set_coerce_int96_timestamp_unit(arrow::TimeUnit::MICRO);
    return properties;
}

} // namespace

struct ist__parquet_reader {
    std::shared_ptr<SourceFile> file;
    std::shared_ptr<parquet::FileMetaData> metadata;
    std::string name;

    /* A view of its own for every stream: Arrow's readers are not shareable, the parsed footer is. */
    Result<std::shared_ptr<parquet::arrow::FileReader>> view(int64_t batch_rows) const
    {
        auto raw = parquet::ParquetFileReader::Open(file, parquet::default_reader_properties(), metadata);
        ARROW_ASSIGN_OR_RAISE(auto reader,
                              parquet::arrow::FileReader::Make(arrow::default_memory_pool(), std::move(raw),
                                                               reader_properties(batch_rows)));
        return std::shared_ptr<parquet::arrow::FileReader>(std::move(reader));
    }
};

extern "C" ist_status ist__parquet_reader_open(ist__source source, ist__parquet_reader **out, ist_error *err)
{
    bool taken = false;
    std::string name = source.name;
    ist_status status = isthmus::guard(name, err, [&] {
        auto reader = std::make_unique<ist__parquet_reader>();
        reader->file = std::make_shared<SourceFile>(source);
        taken = true;
        reader->name = name;
        reader->metadata = parquet::ParquetFileReader::Open(reader->file)->metadata();
        ARROW_RETURN_NOT_OK(reader->view(batch_rows_default)); /* the schema, too, must make sense */
        *out = reader.release();
        return Status::OK();
    });
    if (!taken)
        source.free(source.self);
    return status;
}

extern "C" void ist__parquet_reader_free(ist__parquet_reader *reader)
{
    delete reader;
}

extern "C" int64_t ist__parquet_reader_rows(const ist__parquet_reader *reader)
{
    return reader->metadata->num_rows();
}

extern "C" ist_status ist__parquet_reader_schema(ist__parquet_reader *reader, struct ArrowSchema *out, ist_error *err)
{
    return isthmus::guard(reader->name, err, [&] {
        ARROW_ASSIGN_OR_RAISE(auto view, reader->view(batch_rows_default));
        std::shared_ptr<arrow::Schema> schema;
        ARROW_RETURN_NOT_OK(view->GetSchema(&schema));
        return arrow::ExportSchema(*schema, out);
    });
}

extern "C" bool ist__parquet_reader_is_int96(const ist__parquet_reader *reader, const char *path)
{
    const parquet::SchemaDescriptor *schema = reader->metadata->schema();
    for (int i = 0; i < schema->num_columns(); i++)
        if (schema->Column(i)->path()->ToDotString() == path)
            return schema->Column(i)->physical_type() == parquet::Type::INT96;
    return false;
}

static void add_leaves(const parquet::arrow::SchemaField &field, std::vector<int> *leaves)
{
    if (field.is_leaf())
        leaves->push_back(field.column_index);
    for (const auto &child : field.children)
        add_leaves(child, leaves);
}

static Status open_stream(const ist__parquet_reader &reader, const std::vector<int> *groups, const int *columns,
                          size_t count, int64_t batch_rows, struct ArrowArrayStream *out)
{
    ARROW_ASSIGN_OR_RAISE(auto view, reader.view(batch_rows > 0 ? batch_rows : batch_rows_default));
    const auto &fields = view->manifest().schema_fields;
    std::vector<int> leaves, all(static_cast<size_t>(view->num_row_groups()));
    for (size_t i = 0; i < (columns ? count : fields.size()); i++) {
        size_t column = columns ? static_cast<size_t>(columns[i]) : i;
        if (column >= fields.size())
            return Status::Invalid("no column number ", column, " among ", fields.size());
        add_leaves(fields[column], &leaves);
    }
    std::iota(all.begin(), all.end(), 0);
    ARROW_ASSIGN_OR_RAISE(auto batches, view->GetRecordBatchReader(groups ? *groups : all, leaves));
    isthmus::export_stream(std::move(batches), view, reader.name, /*check=*/false, out);
    return Status::OK();
}

extern "C" ist_status ist__parquet_reader_read(ist__parquet_reader *reader, const int *columns, size_t count,
                                               int64_t batch_rows, struct ArrowArrayStream *out, ist_error *err)
{
    return isthmus::guard(reader->name, err,
                          [&] { return open_stream(*reader, nullptr, columns, count, batch_rows, out); });
}

extern "C" size_t ist__parquet_reader_group_count(const ist__parquet_reader *reader)
{
    return static_cast<size_t>(reader->metadata->num_row_groups());
}

extern "C" int64_t ist__parquet_reader_group_rows(const ist__parquet_reader *reader, size_t group)
{
    return reader->metadata->RowGroup(static_cast<int>(group))->num_rows();
}

extern "C" ist_status ist__parquet_reader_read_group(ist__parquet_reader *reader, size_t group, const int *columns,
                                                     size_t count, struct ArrowArrayStream *out, ist_error *err)
{
    std::vector<int> groups = {static_cast<int>(group)};
    return isthmus::guard(reader->name, err, [&] { return open_stream(*reader, &groups, columns, count, 0, out); });
}

/* The leaf of the file at the end of a path of fields; -1: it is nested, or in a list. */
static int find_leaf(const parquet::arrow::SchemaManifest &manifest, const parquet::SchemaDescriptor &schema,
                     const int *path, size_t depth)
{
    const auto *fields = &manifest.schema_fields;
    const parquet::arrow::SchemaField *field = nullptr;
    for (size_t level = 0; level < depth; level++) {
        if (static_cast<size_t>(path[level]) >= fields->size())
            return -1;
        field = &(*fields)[static_cast<size_t>(path[level])];
        fields = &field->children;
    }
    if (!field || !field->is_leaf() || schema.Column(field->column_index)->max_repetition_level() > 0)
        return -1;
    return field->column_index;
}

static Status append_bounds(const parquet::RowGroupMetaData &group, int leaf, isthmus::BoundsColumn *out)
{
    auto statistics = leaf < 0 ? nullptr : group.ColumnChunk(leaf)->statistics();
    std::shared_ptr<arrow::Scalar> min, max;
    if (!statistics)
        return out->append(nullptr, nullptr, false, false);
    /* Statistics of a type that Arrow has no values for tell nothing. */
    if (statistics->HasMinMax() && !parquet::arrow::StatisticsAsScalars(*statistics, &min, &max).ok())
        min = max = nullptr;
    int64_t nulls = statistics->HasNullCount() ? statistics->null_count() : -1;
    return out->append(min, max, nulls == 0, nulls == group.num_rows());
}

extern "C" ist_status ist__parquet_reader_prune(const ist__parquet_reader *reader, const ist__predicate *predicate,
                                                const int *const *paths, bool *may_match, ist_error *err)
{
    return isthmus::guard(reader->name, err, [&] {
        ARROW_ASSIGN_OR_RAISE(auto view, reader->view(batch_rows_default));
        size_t groups = ist__parquet_reader_group_count(reader);
        std::vector<isthmus::BoundsColumn> columns(predicate->bounded.size());
        for (size_t i = 0; i < columns.size(); i++) {
            const isthmus::Bounded &bounded = predicate->bounded[i];
            int leaf = paths[i] ? find_leaf(view->manifest(), *reader->metadata->schema(), paths[i], bounded.path.size())
                                : -1;
            ARROW_RETURN_NOT_OK(columns[i].init(bounded.type));
            for (size_t g = 0; g < groups; g++)
                ARROW_RETURN_NOT_OK(append_bounds(*reader->metadata->RowGroup(static_cast<int>(g)), leaf, &columns[i]));
        }
        return predicate->prune(&columns, groups, may_match);
    });
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

struct ist__parquet_writer {
    std::shared_ptr<isthmus::SinkStream> sink;
    std::shared_ptr<arrow::Schema> schema;
    std::unique_ptr<parquet::arrow::FileWriter> file; /* NULL until the first row group is here */
    arrow::Compression::type compression;
    int compression_level;
    int64_t row_group_rows;
    bool dictionary;
    bool failed = false;              /* a write failed: the file cannot become whole */
    arrow::RecordBatchVector pending; /* of the row group that is being gathered */
    int64_t pending_rows = 0;
    int64_t pending_bytes = 0;       /* raw Arrow bytes */
    int64_t written_bytes = 0;       /* the same, of the row groups that left */
    std::map<std::string, bool> nan; /* dotted path of each float leaf outside lists -> a NaN was written */

    /* Arrow's destructor writes a footer. */
    ~ist__parquet_writer() { sink->abandon(); }
};

/* Call visit(path, array) for the leaves of a column. With `lists`, values of lists and maps too, by Parquet's names. */
template <typename Visit>
static Status visit_leaves(const std::string &path, const std::shared_ptr<arrow::Array> &array, bool lists, Visit visit)
{
    switch (array->type_id()) {
    case arrow::Type::STRUCT: {
        const auto &column = static_cast<const arrow::StructArray &>(*array);
        for (int i = 0; i < column.num_fields(); i++)
            ARROW_RETURN_NOT_OK(
                visit_leaves(path + "." + column.type()->field(i)->name(), column.field(i), lists, visit));
        return Status::OK();
    }
    case arrow::Type::MAP: {
        if (!lists)
            return Status::OK();
        const auto &column = static_cast<const arrow::MapArray &>(*array);
        ARROW_RETURN_NOT_OK(visit_leaves(path + ".key_value.key", column.keys(), lists, visit));
        return visit_leaves(path + ".key_value.value", column.items(), lists, visit);
    }
    case arrow::Type::LIST:
        if (!lists)
            return Status::OK();
        return visit_leaves(path + ".list.element", static_cast<const arrow::ListArray &>(*array).values(), lists,
                            visit);
    default:
        return visit(path, array);
    }
}

template <typename Visit> static Status visit_batch(const arrow::RecordBatch &batch, bool lists, Visit visit)
{
    for (int i = 0; i < batch.num_columns(); i++)
        ARROW_RETURN_NOT_OK(visit_leaves(batch.schema()->field(i)->name(), batch.column(i), lists, visit));
    return Status::OK();
}

/* Up to `count` values, evenly spread. */
static Result<std::shared_ptr<arrow::Array>> sample_of(const arrow::Array &values, int64_t count)
{
    count = std::min(values.length(), count);
    arrow::Int64Builder indices;
    ARROW_RETURN_NOT_OK(indices.Reserve(count));
    for (int64_t i = 0; i < count; i++)
        indices.UnsafeAppend(i * values.length() / count);
    ARROW_ASSIGN_OR_RAISE(auto rows, indices.Finish());
    return arrow::compute::Take(values, *rows);
}

/* Would a dictionary of the column with this sample fit its page? See the top of the file. */
static Result<bool> is_dictionary_worth(const arrow::Array &sample)
{
    if (sample.length() == 0 || sample.type_id() == arrow::Type::BOOL)
        return false;
    auto unique = arrow::compute::Unique(arrow::Datum(sample));
    if (!unique.ok())
        return false; /* a type that cannot be hashed */
    double n = static_cast<double>(sample.length() - sample.null_count());
    double d = static_cast<double>((*unique)->length() - (sample.null_count() > 0));
    if (d >= n)
        return n == 0; /* only nulls: it costs nothing; no collision at all: it would be as long as the data */
    double distinct = d < n / 2 ? d : n * n / (2 * (n - d));
    ARROW_ASSIGN_OR_RAISE(int64_t bytes, arrow::util::ReferencedBufferSize(**unique));
    return distinct * static_cast<double>(bytes) / std::max(d, 1.0) <= static_cast<double>(dictionary_page_bytes);
}

/* The leaf columns that get a dictionary, judged by some batches of the row group at hand. */
static Status choose_dictionaries(const arrow::RecordBatchVector &batches, parquet::WriterProperties::Builder *properties)
{
    std::map<std::string, arrow::ArrayVector> samples;
    size_t count = std::min(batches.size(), sample_batches);
    for (size_t i = 0; i < count; i++)
        ARROW_RETURN_NOT_OK(
            visit_batch(*batches[i * batches.size() / count], true, [&](const std::string &path, const auto &values) {
                return sample_of(*values, sample_rows / static_cast<int64_t>(count))
                    .Value(&samples[path].emplace_back());
            }));
    for (const auto &[path, parts] : samples) {
        ARROW_ASSIGN_OR_RAISE(auto sample, arrow::Concatenate(parts));
        ARROW_ASSIGN_OR_RAISE(bool worth, is_dictionary_worth(*sample));
        if (worth)
            properties->enable_dictionary(path);
    }
    return Status::OK();
}

/* Is there a NaN among the values that count? Arrow leaves NaN out of min and max, Spark has it as the largest value. */
template <typename ArrayType> static bool has_nan(const arrow::Array &array)
{
    const auto &column = static_cast<const ArrayType &>(array);
    const auto *values = column.raw_values();
    bool found = false;
    for (int64_t i = 0; i < column.length(); i++)
        found |= values[i] != values[i]; /* no branch, so that the compiler can use vectors */
    if (!found || column.null_count() == 0)
        return found;
    for (int64_t i = 0; i < column.length(); i++)
        if (values[i] != values[i] && column.IsValid(i))
            return true;
    return false; /* what pandas leaves under a null */
}

static Status open_file(ist__parquet_writer *writer)
{
    parquet::WriterProperties::Builder properties;
    properties.version(parquet::ParquetVersion::PARQUET_2_6)
        ->data_page_version(parquet::ParquetDataPageVersion::V1)
        ->max_row_group_length(writer->row_group_rows)
        ->dictionary_pagesize_limit(dictionary_page_bytes)
        ->compression(writer->compression);
    if (writer->compression_level != INT_MIN)
        properties.compression_level(writer->compression_level);
    properties.disable_dictionary();
    if (writer->dictionary)
        ARROW_RETURN_NOT_OK(choose_dictionaries(writer->pending, &properties));
    auto arrow_properties = parquet::ArrowWriterProperties::Builder()
                                .coerce_timestamps(arrow::TimeUnit::MICRO)
                                ->disallow_truncated_timestamps()
                                ->build();
    ARROW_ASSIGN_OR_RAISE(writer->file, parquet::arrow::FileWriter::Open(*writer->schema, arrow::default_memory_pool(),
                                                                         writer->sink, properties.build(),
                                                                         arrow_properties));
    return Status::OK();
}

extern "C" ist_status ist__parquet_writer_open(ist__sink sink, const struct ArrowSchema *schema,
                                               const ist__parquet_writer_options *options, ist__parquet_writer **out,
                                               ist_error *err)
{
    return isthmus::guard("Parquet writer", err, [&] {
        ARROW_RETURN_NOT_OK(isthmus::initialize()); /* sampling needs "unique" */
        auto borrowed = isthmus::borrow(schema);
        auto writer = std::make_unique<ist__parquet_writer>();
        writer->sink = std::make_shared<isthmus::SinkStream>(sink);
        ARROW_ASSIGN_OR_RAISE(writer->schema, arrow::ImportSchema(&borrowed));
        ARROW_ASSIGN_OR_RAISE(writer->compression, arrow::util::Codec::GetCompressionType(options->compression));
        writer->compression_level = options->compression_level;
        writer->row_group_rows = options->row_group_rows > 0 ? options->row_group_rows : row_group_rows_default;
        writer->dictionary = options->dictionary;
        std::shared_ptr<parquet::SchemaDescriptor> descriptor; /* types that Parquet lacks are found now */
        ARROW_RETURN_NOT_OK(parquet::arrow::ToParquetSchema(writer->schema.get(),
                                                            *parquet::default_writer_properties(), &descriptor));
        *out = writer.release();
        return Status::OK();
    });
}

/* Encode what is pending as one row group. */
static Status write_row_group(ist__parquet_writer *writer)
{
    if (!writer->file)
        ARROW_RETURN_NOT_OK(open_file(writer));
    if (writer->pending_rows == 0)
        return Status::OK();
    ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(writer->schema, std::move(writer->pending)));
    writer->pending.clear();
    ARROW_RETURN_NOT_OK(writer->file->WriteTable(*table, writer->pending_rows));
    writer->written_bytes += writer->pending_bytes;
    writer->pending_rows = writer->pending_bytes = 0;
    return Status::OK();
}

static Status write_batch(ist__parquet_writer *writer, const arrow::RecordBatch &batch)
{
    ARROW_RETURN_NOT_OK(visit_batch(batch, false, [&](const std::string &path, const auto &values) {
        if (values->type_id() == arrow::Type::DOUBLE)
            writer->nan[path] |= has_nan<arrow::DoubleArray>(*values);
        else if (values->type_id() == arrow::Type::FLOAT)
            writer->nan[path] |= has_nan<arrow::FloatArray>(*values);
        return Status::OK();
    }));
    ARROW_ASSIGN_OR_RAISE(int64_t bytes, arrow::util::ReferencedBufferSize(batch));
    int64_t row_bytes = bytes / std::max<int64_t>(batch.num_rows(), 1) + 1;
    for (int64_t at = 0; at < batch.num_rows();) {
        int64_t fit = std::max<int64_t>((row_group_bytes - writer->pending_bytes) / row_bytes, 1);
        int64_t rows = std::min({batch.num_rows() - at, writer->row_group_rows - writer->pending_rows, fit});
        writer->pending.push_back(batch.Slice(at, rows));
        writer->pending_rows += rows;
        writer->pending_bytes += rows * row_bytes;
        at += rows;
        if (writer->pending_rows == writer->row_group_rows || writer->pending_bytes + row_bytes > row_group_bytes)
            ARROW_RETURN_NOT_OK(write_row_group(writer));
    }
    return Status::OK();
}

extern "C" ist_status ist__parquet_writer_write(ist__parquet_writer *writer, struct ArrowArray *batch, ist_error *err)
{
    ist_status status = isthmus::guard("Parquet writer", err, [&] {
        if (writer->failed)
            return Status::Invalid("an earlier write failed");
        ARROW_ASSIGN_OR_RAISE(auto rows, isthmus::import_batch(batch, writer->schema));
        return write_batch(writer, *rows);
    });
    isthmus::release(batch);
    writer->failed |= status != IST_OK;
    return status;
}

extern "C" int64_t ist__parquet_writer_size(const ist__parquet_writer *writer)
{
    /* What is pending will shrink like what has left, or by a half while nothing has. */
    double ratio = writer->written_bytes > 0
                       ? static_cast<double>(writer->sink->position()) / static_cast<double>(writer->written_bytes)
                       : 0.5;
    return writer->sink->position() + static_cast<int64_t>(static_cast<double>(writer->pending_bytes) * ratio);
}

extern "C" int64_t ist__parquet_writer_buffered(const ist__parquet_writer *writer)
{
    return writer->pending_bytes;
}

/* Merge one row group's statistics into the file's. */
template <typename Type> static void merge(parquet::Statistics *into, const parquet::Statistics &from)
{
    static_cast<parquet::TypedStatistics<Type> *>(into)->Merge(
        static_cast<const parquet::TypedStatistics<Type> &>(from));
}

static bool merge_any(parquet::Statistics *into, const parquet::Statistics &from)
{
    switch (into->physical_type()) {
    case parquet::Type::BOOLEAN: merge<parquet::BooleanType>(into, from); return true;
    case parquet::Type::INT32: merge<parquet::Int32Type>(into, from); return true;
    case parquet::Type::INT64: merge<parquet::Int64Type>(into, from); return true;
    case parquet::Type::FLOAT: merge<parquet::FloatType>(into, from); return true;
    case parquet::Type::DOUBLE: merge<parquet::DoubleType>(into, from); return true;
    case parquet::Type::BYTE_ARRAY: merge<parquet::ByteArrayType>(into, from); return true;
    case parquet::Type::FIXED_LEN_BYTE_ARRAY: merge<parquet::FLBAType>(into, from); return true;
    default: return false;
    }
}

static Status export_value(const std::shared_ptr<arrow::Scalar> &value, const std::shared_ptr<arrow::DataType> &type,
                           struct ArrowArray *out)
{
    ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayFromScalar(*value, 1));
    if (!array->type()->Equals(type)) {
        ARROW_ASSIGN_OR_RAISE(array, arrow::compute::Cast(*array, type));
    }
    return arrow::ExportArray(*array, out);
}

static Status fill_leaf(const ist__parquet_writer &writer, const parquet::FileMetaData &file,
                        const parquet::arrow::SchemaManifest &manifest, int column, ist__parquet_leaf *leaf)
{
    const parquet::ColumnDescriptor *descriptor = file.schema()->Column(column);
    std::string path = descriptor->path()->ToDotString();
    leaf->path = strdup(path.c_str());
    if (!leaf->path)
        return Status::OutOfMemory("no memory for a column's name");
    leaf->depth = static_cast<int>(descriptor->path()->ToDotVector().size()) - 1;
    leaf->repeated = descriptor->max_repetition_level() > 0;
    const parquet::arrow::SchemaField *field = nullptr;
    ARROW_RETURN_NOT_OK(manifest.GetColumnField(column, &field));
    ARROW_RETURN_NOT_OK(arrow::ExportField(*field->field, &leaf->schema));

    auto nan = writer.nan.find(path);
    bool complete = nan == writer.nan.end() || !nan->second;
    bool any = false;
    std::shared_ptr<parquet::Statistics> merged = parquet::Statistics::Make(descriptor);
    leaf->null_count = 0;
    for (int i = 0; i < file.num_row_groups(); i++) {
        auto chunk = file.RowGroup(i)->ColumnChunk(column);
        auto statistics = chunk->statistics();
        bool has_nulls = statistics && statistics->HasNullCount();
        if (has_nulls && leaf->null_count >= 0)
            leaf->null_count += statistics->null_count();
        else
            leaf->null_count = -1;
        if (statistics && statistics->HasMinMax()) {
            complete = complete && statistics->is_min_value_exact().value_or(true) &&
                       statistics->is_max_value_exact().value_or(true) && merge_any(merged.get(), *statistics);
            any = true;
        } else {
            /* A chunk of nulls takes nothing from the others; one whose values were too long to note does. */
            complete = complete && has_nulls && statistics->null_count() == chunk->num_values();
        }
    }
    if (!any || !complete)
        return Status::OK();
    std::shared_ptr<arrow::Scalar> min, max;
    ARROW_RETURN_NOT_OK(parquet::arrow::StatisticsAsScalars(*merged, &min, &max));
    ARROW_RETURN_NOT_OK(export_value(min, field->field->type(), &leaf->min));
    ARROW_RETURN_NOT_OK(export_value(max, field->field->type(), &leaf->max));
    leaf->has_min_max = true;
    return Status::OK();
}

extern "C" ist_status ist__parquet_writer_close(ist__parquet_writer *writer, ist__parquet_leaf **leaves,
                                                size_t *leaf_count, ist_error *err)
{
    ist__parquet_leaf *list = nullptr;
    size_t count = 0;
    ist_status status = isthmus::guard("Parquet writer", err, [&] {
        if (writer->failed)
            return Status::Invalid("an earlier write failed");
        writer->failed = true; /* also against a second close */
        ARROW_RETURN_NOT_OK(write_row_group(writer));
        ARROW_RETURN_NOT_OK(writer->file->Close());
        if (!leaves)
            return Status::OK();
        const auto &metadata = writer->file->metadata();
        parquet::arrow::SchemaManifest manifest;
        ARROW_RETURN_NOT_OK(parquet::arrow::SchemaManifest::Make(
            metadata->schema(), nullptr, reader_properties(batch_rows_default), &manifest));
        count = static_cast<size_t>(metadata->num_columns());
        list = static_cast<ist__parquet_leaf *>(calloc(count ? count : 1, sizeof *list));
        if (!list)
            return Status::OutOfMemory("no memory for ", count, " column statistics");
        for (size_t i = 0; i < count; i++)
            ARROW_RETURN_NOT_OK(fill_leaf(*writer, *metadata, manifest, static_cast<int>(i), &list[i]));
        return Status::OK();
    });
    if (status != IST_OK) {
        ist__parquet_leaves_free(list, count);
        return status;
    }
    if (leaves) {
        *leaves = list;
        *leaf_count = count;
    }
    return IST_OK;
}

extern "C" void ist__parquet_leaves_free(ist__parquet_leaf *leaves, size_t count)
{
    for (size_t i = 0; leaves && i < count; i++) {
        free(leaves[i].path);
        if (leaves[i].schema.release)
            leaves[i].schema.release(&leaves[i].schema);
        isthmus::release(&leaves[i].min);
        isthmus::release(&leaves[i].max);
    }
    free(leaves);
}

extern "C" void ist__parquet_writer_free(ist__parquet_writer *writer)
{
    delete writer;
}
