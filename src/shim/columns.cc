/*
 * columns.cc: operations on whole batches through Arrow C++'s compute kernels.
 *
 * Conforming is on the way of every batch that is read or written, and mostly there is nothing to do: a batch that has
 * the target's types and names is recognised on the C structs and handed on as it is, without any import.
 */
#include "shim/columns.h"

#include "isthmus/buffer.h"
#include "shim/predicate_internal.h"
#include "shim/shim_internal.h"
#include "shim/text.h"

#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/c/bridge.h>
#include <arrow/compute/api.h>
#include <arrow/compute/row/grouper.h>
#include <arrow/extension_type.h>
#include <arrow/scalar.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/bitmap_ops.h>
#include <arrow/util/decimal.h>
#include <arrow/util/key_value_metadata.h>
#include <arrow/util/utf8.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

using arrow::Array;
using arrow::ArrayData;
using arrow::DataType;
using arrow::Field;
using arrow::Result;
using arrow::Status;
using arrow::Type;

using ArrayPtr = std::shared_ptr<Array>;
using FieldPtr = std::shared_ptr<Field>;
using TypePtr = std::shared_ptr<DataType>;

namespace {

/* ---- conform --------------------------------------------------------------------------------------------------- */

/* Where in the schema we are: a chain on the stack, put into words only for an error. */
struct Place {
    const Place *parent;
    const std::string &name;

    std::string text() const { return parent ? parent->text() + "." + name : name; }
};

bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Have the children of an array already got the target's types, names and no forbidden nulls, as far as the C structs
 * tell? */
bool children_conform(const struct ArrowSchema *schema, const struct ArrowArray *array,
                      const struct ArrowSchema *target, bool by_physical)
{
    if (!same_text(schema->format, target->format) || schema->n_children != target->n_children ||
        schema->dictionary || target->dictionary)
        return false;
    bool named = strcmp(target->format, "+s") == 0; /* the names inside lists and maps mean nothing */
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *field = target->children[i];
        if (named && !same_text(schema->children[i]->name, field->name))
            return false;
        if (by_physical && field->metadata) /* it may have another name in the file */
            return false;
        if (!(field->flags & ARROW_FLAG_NULLABLE) && array->children[i]->null_count != 0)
            return false;
        if (!children_conform(schema->children[i], array->children[i], field, by_physical))
            return false;
    }
    return true;
}

std::string metadata_value(const Field &field, const char *key)
{
    if (!field.metadata())
        return "";
    auto value = field.metadata()->Get(key);
    return value.ok() ? *value : "";
}

/* The field of `fields` that belongs to the target, -1 for none. `hint` is where it is when the order is the same. */
int find_field(const arrow::FieldVector &fields, const Field &target, int hint, bool by_physical)
{
    int count = static_cast<int>(fields.size());
    std::string physical;
    if (by_physical) {
        std::string id = metadata_value(target, "PARQUET:field_id");
        for (int i = 0; !id.empty() && i < count; i++)
            if (metadata_value(*fields[static_cast<size_t>(i)], "PARQUET:field_id") == id)
                return i;
        physical = metadata_value(target, "delta.columnMapping.physicalName");
    }
    const std::string &name = physical.empty() ? target.name() : physical;
    if (hint < count && fields[static_cast<size_t>(hint)]->name() == name)
        return hint;
    for (int i = 0; i < count; i++)
        if (fields[static_cast<size_t>(i)]->name() == name)
            return i;
    return -1;
}

bool is_text(Type::type id)
{
    return id == Type::STRING || id == Type::LARGE_STRING || id == Type::STRING_VIEW;
}

bool is_bytes(Type::type id)
{
    return id == Type::BINARY || id == Type::LARGE_BINARY || id == Type::BINARY_VIEW || id == Type::FIXED_SIZE_BINARY;
}

/* May values of one type be cast to the other, if each value survives? Nothing is read into a value: text stays text, a
 * flag is no number, an instant does not become a wall-clock time. A wall-clock time becomes an instant as UTC, which is
 * what the INT96 timestamps of old files are. */
bool is_castable(const DataType &from, const DataType &to)
{
    Type::type a = from.id(), b = to.id();
    if (a == Type::NA)
        return true;
    if (a == Type::DICTIONARY)
        return is_castable(*static_cast<const arrow::DictionaryType &>(from).value_type(), to);
    if (b == Type::DICTIONARY)
        return is_castable(from, *static_cast<const arrow::DictionaryType &>(to).value_type());
    if (a == Type::RUN_END_ENCODED)
        return is_castable(*static_cast<const arrow::RunEndEncodedType &>(from).value_type(), to);
    if (arrow::is_integer(a))
        return arrow::is_integer(b) || arrow::is_floating(b) || arrow::is_decimal(b);
    if (arrow::is_floating(a))
        return arrow::is_floating(b) || arrow::is_integer(b);
    if (arrow::is_decimal(a))
        return arrow::is_decimal(b);
    if (is_text(a))
        return is_text(b);
    if (is_bytes(a))
        return is_bytes(b);
    if (a == Type::TIMESTAMP && b == Type::TIMESTAMP)
        return static_cast<const arrow::TimestampType &>(from).timezone().empty() ||
               !static_cast<const arrow::TimestampType &>(to).timezone().empty();
    if (a == Type::DATE32 || a == Type::DATE64)
        return b == Type::DATE32 || b == Type::DATE64 ||
               (b == Type::TIMESTAMP && static_cast<const arrow::TimestampType &>(to).timezone().empty());
    return a == b || from.Equals(to);
}

Status no_cast(const Place &place, const DataType &from, const DataType &to)
{
    return Status::Invalid("column ", place.text(), " is ", from.ToString(), " where ", to.ToString(), " is needed");
}

Result<ArrayPtr> try_cast(const Array &array, const TypePtr &type)
{
    /* Arrow lets doubles lose digits on the way to floats even in a safe cast. */
    if (array.type_id() == Type::DOUBLE && type->id() == Type::FLOAT) {
        const auto &values = static_cast<const arrow::DoubleArray &>(array);
        for (int64_t i = 0; i < values.length(); i++) {
            double value = values.Value(i);
            if (values.IsValid(i) && !std::isnan(value) && static_cast<double>(static_cast<float>(value)) != value)
                return Status::Invalid("does not fit");
        }
    }
    /* From integers Arrow wants room for the longest of them; here only the values count. */
    if (arrow::is_integer(array.type_id()) && type->id() == Type::DECIMAL128) {
        auto roomy = arrow::decimal256(arrow::Decimal256Type::kMaxPrecision,
                                       static_cast<const arrow::Decimal128Type &>(*type).scale());
        ARROW_ASSIGN_OR_RAISE(auto wide, arrow::compute::Cast(array, roomy));
        return arrow::compute::Cast(*wide, type);
    }
    return arrow::compute::Cast(array, type);
}

Result<ArrayPtr> cast(const ArrayPtr &array, const TypePtr &type, const Place &place)
{
    if (!is_castable(*array->type(), *type))
        return no_cast(place, *array->type(), *type);
    ARROW_RETURN_NOT_OK(isthmus::initialize());
    auto done = try_cast(*array, type);
    if (done.ok() || !done.status().IsInvalid())
        return done;
    int64_t good = 0, bad = array->length(); /* the longest prefix known to be cast, the shortest known not to be */
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;
        (try_cast(*array->Slice(good, middle - good), type).ok() ? good : bad) = middle;
    }
    std::string value = "?";
    if (good < array->length()) {
        ARROW_ASSIGN_OR_RAISE(auto scalar, array->GetScalar(good));
        value = scalar->ToString();
    }
    return Status::Invalid("column ", place.text(), ": value ", value, " of type ", array->type()->ToString(),
                           " does not fit ", type->ToString());
}

/* No null where the target has none; rows whose parent is null do not count. */
Status check_nulls(const Array &array, const Field &target, const Array *parent, const Place &place)
{
    if (target.nullable() || array.null_count() == 0)
        return Status::OK();
    for (int64_t i = 0; i < array.length(); i++)
        if (array.IsNull(i) && (!parent || parent->IsValid(i)))
            return Status::Invalid("column ", place.text(), " may not be null, but a row has null there");
    return Status::OK();
}

Result<ArrayPtr> conform_array(ArrayPtr array, const Field &target, const Place &place, bool by_physical);

/* The children of a struct (or the columns of a batch) in the target's order; absent ones are null. */
Result<arrow::ArrayVector> conform_fields(const arrow::FieldVector &fields, const arrow::ArrayVector &columns,
                                          const arrow::FieldVector &targets, int64_t length, const Array *parent,
                                          const Place *place, bool by_physical, std::vector<ArrayPtr> *constants)
{
    arrow::ArrayVector out;
    for (size_t i = 0; i < targets.size(); i++) {
        const Field &target = *targets[i];
        Place here{place, target.name()};
        ArrayPtr column;
        if (constants && (*constants)[i]) {
            ARROW_ASSIGN_OR_RAISE(auto value, (*constants)[i]->GetScalar(0));
            ARROW_ASSIGN_OR_RAISE(column, arrow::MakeArrayFromScalar(*value, length));
        } else {
            int found = find_field(fields, target, static_cast<int>(i), by_physical);
            if (found >= 0) {
                ARROW_ASSIGN_OR_RAISE(
                    column, conform_array(columns[static_cast<size_t>(found)], target, here, by_physical));
            } else {
                ARROW_ASSIGN_OR_RAISE(column, arrow::MakeArrayOfNull(target.type(), length));
            }
        }
        ARROW_RETURN_NOT_OK(check_nulls(*column, target, parent, here));
        out.push_back(std::move(column));
    }
    return out;
}

/* The validity bitmap of an array as one that begins at bit 0; NULL where nothing is null. */
Result<std::shared_ptr<arrow::Buffer>> validity(const Array &array)
{
    if (array.null_count() == 0)
        return nullptr;
    if (array.offset() == 0)
        return array.null_bitmap();
    return arrow::internal::CopyBitmap(arrow::default_memory_pool(), array.null_bitmap_data(), array.offset(),
                                       array.length());
}

Result<ArrayPtr> conform_struct(const arrow::StructArray &array, const Field &target, const Place &place,
                                bool by_physical)
{
    arrow::ArrayVector columns;
    for (int i = 0; i < array.num_fields(); i++)
        columns.push_back(array.field(i));
    ARROW_ASSIGN_OR_RAISE(auto out, conform_fields(array.type()->fields(), columns, target.type()->fields(),
                                                   array.length(), &array, &place, by_physical, nullptr));
    ARROW_ASSIGN_OR_RAISE(auto bitmap, validity(array));
    return std::make_shared<arrow::StructArray>(target.type(), array.length(), std::move(out), std::move(bitmap),
                                                array.null_count());
}

/* Lists and maps are offsets into a child: the child's window is conformed and the offsets moved to begin at 0. */
template <typename ArrayType>
Result<ArrayPtr> conform_list(const ArrayType &array, const FieldPtr &child_target, const Field &target,
                              const Place &place, bool by_physical)
{
    using Offset = typename ArrayType::offset_type;
    int64_t length = array.length();
    Offset first = length ? array.value_offset(0) : 0;
    Offset last = length ? array.value_offset(length) : 0;
    ArrayPtr values = arrow::MakeArray(array.data()->child_data[0])->Slice(first, last - first);
    Place here{&place, child_target->name()};
    ARROW_ASSIGN_OR_RAISE(values, conform_array(values, *child_target, here, by_physical));
    ARROW_RETURN_NOT_OK(check_nulls(*values, *child_target, nullptr, here));

    std::shared_ptr<arrow::Buffer> offsets = array.data()->buffers[1];
    if (first != 0 || array.offset() != 0 || !offsets) {
        ARROW_ASSIGN_OR_RAISE(auto moved, arrow::AllocateBuffer((length + 1) * static_cast<int64_t>(sizeof(Offset))));
        auto *out = reinterpret_cast<Offset *>(moved->mutable_data());
        for (int64_t i = 0; i < length; i++)
            out[i] = array.value_offset(i) - first;
        out[length] = last - first;
        offsets = std::move(moved);
    }
    ARROW_ASSIGN_OR_RAISE(auto bitmap, validity(array));
    auto data = ArrayData::Make(target.type(), length, {std::move(bitmap), std::move(offsets)}, {values->data()},
                                array.null_count());
    return arrow::MakeArray(data);
}

bool is_any_list(Type::type id)
{
    return id == Type::LIST || id == Type::LARGE_LIST || id == Type::FIXED_SIZE_LIST || id == Type::LIST_VIEW ||
           id == Type::LARGE_LIST_VIEW;
}

Result<ArrayPtr> conform_array(ArrayPtr array, const Field &target, const Place &place, bool by_physical)
{
    const TypePtr &type = target.type();
    while (array->type_id() == Type::EXTENSION)
        array = static_cast<const arrow::ExtensionArray &>(*array).storage();
    if (array->type()->Equals(*type) && (!by_physical || !arrow::is_nested(type->id())))
        return array;
    switch (type->id()) {
    case Type::STRUCT:
        if (array->type_id() == Type::STRUCT)
            return conform_struct(static_cast<const arrow::StructArray &>(*array), target, place, by_physical);
        break;
    case Type::MAP:
        if (array->type_id() == Type::MAP) {
            /* The entries' struct and its two fields have names that mean nothing: they are matched by place. */
            const auto &map = static_cast<const arrow::MapArray &>(*array);
            const auto &map_type = static_cast<const arrow::MapType &>(*type);
            ArrayPtr entries = arrow::MakeArray(map.data()->child_data[0]);
            const auto &pairs = static_cast<const arrow::StructArray &>(*entries);
            ARROW_ASSIGN_OR_RAISE(auto renamed, arrow::StructArray::Make({pairs.field(0), pairs.field(1)},
                                                                         {map_type.key_field()->name(),
                                                                          map_type.item_field()->name()}));
            auto data = map.data()->Copy();
            data->type = arrow::map(pairs.field(0)->type(), pairs.field(1)->type());
            data->child_data[0] = renamed->data();
            return conform_list(arrow::MapArray(data), map_type.value_field(), target, place, by_physical);
        }
        break;
    case Type::LIST:
    case Type::LARGE_LIST:
        if (is_any_list(array->type_id())) {
            const auto &element = static_cast<const arrow::BaseListType &>(*array->type()).value_type();
            const auto &child = static_cast<const arrow::BaseListType &>(*type).value_field();
            if (array->type_id() != type->id()) {
                ARROW_RETURN_NOT_OK(isthmus::initialize());
                TypePtr same = type->id() == Type::LIST ? arrow::list(element) : arrow::large_list(element);
                ARROW_ASSIGN_OR_RAISE(array, arrow::compute::Cast(*array, same));
            }
            return type->id() == Type::LIST
                       ? conform_list(static_cast<const arrow::ListArray &>(*array), child, target, place, by_physical)
                       : conform_list(static_cast<const arrow::LargeListArray &>(*array), child, target, place,
                                      by_physical);
        }
        break;
    default:
        return cast(array, type, place);
    }
    if (array->type_id() == Type::NA)
        return arrow::MakeArrayOfNull(type, array->length());
    return no_cast(place, *array->type(), *type);
}

} // namespace

extern "C" ist_status ist__columns_conform(const struct ArrowSchema *schema, struct ArrowArray *batch,
                                           const struct ArrowSchema *target, bool by_physical,
                                           struct ArrowArray *constants, struct ArrowArray *out, ist_error *err)
{
    bool constant = false;
    for (int64_t i = 0; constants && i < target->n_children; i++)
        constant |= constants[i].release != nullptr;
    if (!constant && batch->offset == 0 && batch->null_count <= 0 &&
        children_conform(schema, batch, target, by_physical)) {
        *out = *batch;
        batch->release = nullptr;
        return IST_OK;
    }
    ist_status status = isthmus::guard("", err, [&] {
        auto borrowed = isthmus::borrow(schema), borrowed_target = isthmus::borrow(target);
        ARROW_ASSIGN_OR_RAISE(auto from, arrow::ImportSchema(&borrowed));
        ARROW_ASSIGN_OR_RAISE(auto to, arrow::ImportSchema(&borrowed_target));
        ARROW_ASSIGN_OR_RAISE(auto rows, isthmus::import_batch(batch, from));
        std::vector<ArrayPtr> values(to->fields().size());
        for (size_t i = 0; constant && i < values.size(); i++) {
            if (!constants[i].release)
                continue;
            ARROW_ASSIGN_OR_RAISE(values[i], arrow::ImportArray(&constants[i], to->field(static_cast<int>(i))->type()));
            if (values[i]->length() != 1)
                return Status::Invalid("a constant has ", values[i]->length(), " values");
        }
        ARROW_ASSIGN_OR_RAISE(auto columns, conform_fields(from->fields(), rows->columns(), to->fields(),
                                                           rows->num_rows(), nullptr, nullptr, by_physical, &values));
        return arrow::ExportRecordBatch(*arrow::RecordBatch::Make(to, rows->num_rows(), std::move(columns)), out);
    });
    isthmus::release(batch);
    for (int64_t i = 0; constants && i < target->n_children; i++)
        isthmus::release(&constants[i]);
    return status;
}

/* ---- rows: filter, take, group --------------------------------------------------------------------------------- */

extern "C" ist_status ist__columns_filter(const struct ArrowSchema *schema, struct ArrowArray *batch,
                                          const uint8_t *keep, struct ArrowArray *out, ist_error *err)
{
    int64_t length = batch->length;
    int64_t kept = arrow::internal::CountSetBits(keep, 0, length);
    if (kept == length) {
        *out = *batch;
        batch->release = nullptr;
        return IST_OK;
    }
    ist_status status = isthmus::guard("", err, [&] {
        ARROW_RETURN_NOT_OK(isthmus::initialize());
        auto borrowed = isthmus::borrow(schema);
        ARROW_ASSIGN_OR_RAISE(auto type, arrow::ImportSchema(&borrowed));
        ARROW_ASSIGN_OR_RAISE(auto rows, isthmus::import_batch(batch, type));
        if (rows->num_columns() == 0)
            return arrow::ExportRecordBatch(*arrow::RecordBatch::Make(type, kept, arrow::ArrayVector{}), out);
        auto bits = std::make_shared<arrow::Buffer>(keep, (length + 7) / 8);
        ARROW_ASSIGN_OR_RAISE(auto result, arrow::compute::Filter(rows, arrow::BooleanArray(length, bits)));
        return arrow::ExportRecordBatch(*result.record_batch(), out);
    });
    isthmus::release(batch);
    return status;
}

/* Results of kernels over types like dictionaries and views share buffers with their input, which is only borrowed in
 * take and group. Conformed batches have none of these. */
static Status check_plain(const DataType &type)
{
    switch (type.id()) {
    case Type::DICTIONARY:
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
    case Type::RUN_END_ENCODED:
    case Type::EXTENSION:
        return Status::Invalid("type ", type.ToString(), " has to be conformed to a plain one first");
    default:
        for (const auto &field : type.fields())
            ARROW_RETURN_NOT_OK(check_plain(*field->type()));
        return Status::OK();
    }
}

/* A batch that the caller keeps: not to be referred to after the call. */
static Result<std::shared_ptr<arrow::RecordBatch>> borrow_batch(const struct ArrowSchema *schema,
                                                                const struct ArrowArray *batch)
{
    auto borrowed = isthmus::borrow(schema);
    auto array = isthmus::borrow(batch);
    ARROW_ASSIGN_OR_RAISE(auto type, arrow::ImportSchema(&borrowed));
    return isthmus::import_batch(&array, type);
}

extern "C" ist_status ist__columns_take(const struct ArrowSchema *schema, const struct ArrowArray *batch,
                                        const int64_t *rows, size_t count, struct ArrowArray *out, ist_error *err)
{
    return isthmus::guard("", err, [&] {
        ARROW_RETURN_NOT_OK(isthmus::initialize());
        ARROW_ASSIGN_OR_RAISE(auto input, borrow_batch(schema, batch));
        for (const auto &field : input->schema()->fields())
            ARROW_RETURN_NOT_OK(check_plain(*field->type()));
        int64_t length = static_cast<int64_t>(count);
        if (input->num_columns() == 0)
            return arrow::ExportRecordBatch(*arrow::RecordBatch::Make(input->schema(), length, arrow::ArrayVector{}),
                                            out);
        auto bytes = std::make_shared<arrow::Buffer>(reinterpret_cast<const uint8_t *>(rows),
                                                     length * static_cast<int64_t>(sizeof *rows));
        auto indices = std::make_shared<arrow::Int64Array>(length, bytes);
        ARROW_ASSIGN_OR_RAISE(auto result, arrow::compute::Take(input, indices));
        return arrow::ExportRecordBatch(*result.record_batch(), out);
    });
}

extern "C" ist_status ist__columns_group(const struct ArrowSchema *schema, const struct ArrowArray *batch,
                                         const int *columns, size_t column_count, uint32_t *groups,
                                         struct ArrowSchema *keys_schema, struct ArrowArray *keys, ist_error *err)
{
    return isthmus::guard("", err, [&] {
        ARROW_RETURN_NOT_OK(isthmus::initialize());
        ARROW_ASSIGN_OR_RAISE(auto input, borrow_batch(schema, batch));
        arrow::FieldVector fields;
        std::vector<arrow::Datum> values;
        std::vector<arrow::TypeHolder> types;
        for (size_t i = 0; i < column_count; i++) {
            if (columns[i] < 0 || columns[i] >= input->num_columns())
                return Status::Invalid("no column number ", columns[i]);
            fields.push_back(input->schema()->field(columns[i]));
            values.emplace_back(input->column(columns[i]));
            types.emplace_back(fields.back()->type());
            ARROW_RETURN_NOT_OK(check_plain(*fields.back()->type()));
        }
        ARROW_ASSIGN_OR_RAISE(auto grouper, arrow::compute::Grouper::Make(types));
        arrow::compute::ExecBatch keys_batch(std::move(values), input->num_rows());
        ARROW_ASSIGN_OR_RAISE(auto ids, grouper->Consume(arrow::compute::ExecSpan(keys_batch)));
        auto ids_array = ids.make_array();
        const auto &numbers = static_cast<const arrow::UInt32Array &>(*ids_array);
        if (numbers.length() > 0)
            memcpy(groups, numbers.raw_values(), static_cast<size_t>(numbers.length()) * sizeof *groups);
        ARROW_ASSIGN_OR_RAISE(auto uniques, grouper->GetUniques());
        arrow::ArrayVector arrays;
        for (const auto &unique : uniques.values)
            arrays.push_back(unique.make_array());
        auto result = arrow::RecordBatch::Make(arrow::schema(fields), uniques.length, std::move(arrays));
        return arrow::ExportRecordBatch(*result, keys, keys_schema);
    });
}

/* ---- partition values as text ---------------------------------------------------------------------------------- */

namespace {

constexpr int64_t micros_per_second = 1000000;
constexpr int64_t seconds_per_day = 86400;
constexpr size_t partition_text_max = 1 << 20; /* no parser here is asked to look at more */

/* Days since the epoch of a date of the proleptic Gregorian calendar, and back (years 1 to 9999). */
int64_t days_of(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = y / 400; /* y >= 0 */
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct Date {
    int year, month, day;
};

bool date_of(int64_t days, Date *out)
{
    if (days < days_of(1, 1, 1) || days > days_of(9999, 12, 31))
        return false;
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    out->day = static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1);
    out->month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
    out->year = static_cast<int>(year_of_era + era * 400 + (out->month <= 2));
    return true;
}

/* Exactly `digits` digits at the front of text, taken off. */
bool take_digits(std::string_view *text, size_t digits, int *out)
{
    if (text->size() < digits)
        return false;
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        if ((*text)[i] < '0' || (*text)[i] > '9')
            return false;
        *out = *out * 10 + ((*text)[i] - '0');
    }
    text->remove_prefix(digits);
    return true;
}

bool take_char(std::string_view *text, char c)
{
    if (text->empty() || text->front() != c)
        return false;
    text->remove_prefix(1);
    return true;
}

bool take_date(std::string_view *text, int64_t *days)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_digits(text, 4, &year) || !take_char(text, '-') || !take_digits(text, 2, &month) ||
        !take_char(text, '-') || !take_digits(text, 2, &day) || year < 1 || month < 1 || month > 12)
        return false;
    bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > month_days[month - 1] + leap)
        return false;
    *days = days_of(year, month, day);
    return true;
}

/* "2024-02-29", "2024-02-29 12:30:00[.123456]" or ISO 8601 with a zone -> microseconds, UTC. */
bool parse_timestamp(std::string_view text, int64_t *out)
{
    int64_t days, micros = 0, offset = 0;
    int hour = 0, minute = 0, second = 0;
    if (!take_date(&text, &days))
        return false;
    if (!text.empty()) {
        if ((!take_char(&text, ' ') && !take_char(&text, 'T')) || !take_digits(&text, 2, &hour) ||
            !take_char(&text, ':') || !take_digits(&text, 2, &minute) || !take_char(&text, ':') ||
            !take_digits(&text, 2, &second) || hour > 23 || minute > 59 || second > 59)
            return false;
        if (take_char(&text, '.')) {
            int digit, count = 0;
            for (; take_digits(&text, 1, &digit); count++) {
                if (count < 6)
                    micros = micros * 10 + digit;
                else if (digit != 0 || count >= 9)
                    return false;
            }
            if (count == 0)
                return false;
            for (; count < 6; count++)
                micros *= 10;
        }
        bool minus = !text.empty() && text.front() == '-';
        if (take_char(&text, '+') || take_char(&text, '-')) {
            int hours, minutes;
            if (!take_digits(&text, 2, &hours) || !take_char(&text, ':') || !take_digits(&text, 2, &minutes) ||
                hours > 18 || minutes > 59)
                return false;
            offset = (hours * 60 + minutes) * (minus ? -60 : 60);
        } else {
            take_char(&text, 'Z');
        }
    }
    *out = (days * seconds_per_day + hour * 3600 + minute * 60 + second - offset) * micros_per_second + micros;
    return text.empty();
}

template <typename Number> bool parse_number(std::string_view text, Number *out)
{
    auto result = std::from_chars(text.data(), text.data() + text.size(), *out);
    return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

template <typename ScalarType> Result<std::shared_ptr<arrow::Scalar>> number(std::string_view text, const TypePtr &type)
{
    typename ScalarType::ValueType value;
    if (!parse_number(text, &value))
        return Status::Invalid("no ", type->ToString());
    return std::make_shared<ScalarType>(value, type);
}

std::string float_text(double value, bool single)
{
    char text[IST__DOUBLE_TEXT_SIZE];
    return std::string(text, ist__double_text(value, single, text));
}

/* Plain digits, never with an exponent (Arrow's own text has one for small values). */
std::string decimal_text(const arrow::Decimal128 &value, int32_t scale)
{
    std::string digits = arrow::Decimal128(arrow::Decimal128::Abs(value)).ToIntegerString();
    size_t fraction = static_cast<size_t>(std::max(scale, 0));
    if (digits.size() <= fraction)
        digits.insert(0, fraction + 1 - digits.size(), '0');
    if (fraction > 0)
        digits.insert(digits.size() - fraction, ".");
    if (scale < 0 && digits != "0")
        digits.append(static_cast<size_t>(-scale), '0');
    return (value.Sign() < 0 ? "-" : "") + digits;
}

Result<std::string> timestamp_text(int64_t micros, bool utc)
{
    int64_t day_micros = seconds_per_day * micros_per_second;
    int64_t rest = micros % day_micros < 0 ? micros % day_micros + day_micros : micros % day_micros;
    Date date;
    if (!date_of((micros - rest) / day_micros, &date))
        return Status::Invalid("a timestamp outside the years 1 to 9999 cannot be a partition value");
    int seconds = static_cast<int>(rest / micros_per_second), fraction = static_cast<int>(rest % micros_per_second);
    char text[64];
    int size = snprintf(text, sizeof text, "%04d-%02d-%02d%c%02d:%02d:%02d", date.year, date.month, date.day,
                        utc ? 'T' : ' ', seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (utc || fraction)
        size += snprintf(text + size, sizeof text - static_cast<size_t>(size), ".%06d", fraction);
    return std::string(text, static_cast<size_t>(size)) + (utc ? "Z" : "");
}

Result<std::string> format_value(const arrow::Scalar &value)
{
    switch (value.type->id()) {
    case Type::FLOAT: return float_text(static_cast<const arrow::FloatScalar &>(value).value, true);
    case Type::DOUBLE: return float_text(static_cast<const arrow::DoubleScalar &>(value).value, false);
    case Type::STRING:
    case Type::BINARY: {
        /* The log is JSON: a binary value is there as the text that its bytes are. */
        std::string text = static_cast<const arrow::BaseBinaryScalar &>(value).value->ToString();
        if (!arrow::util::ValidateUTF8(text) || text.find('\0') != std::string::npos)
            return Status::Invalid("a partition value must be UTF-8 text without NUL");
        return text;
    }
    case Type::DATE32: {
        Date date;
        if (!date_of(static_cast<const arrow::Date32Scalar &>(value).value, &date))
            return Status::Invalid("a date outside the years 1 to 9999 cannot be a partition value");
        char text[32];
        snprintf(text, sizeof text, "%04d-%02d-%02d", date.year, date.month, date.day);
        return std::string(text);
    }
    case Type::TIMESTAMP: {
        const auto &type = static_cast<const arrow::TimestampType &>(*value.type);
        if (type.unit() != arrow::TimeUnit::MICRO)
            return Status::NotImplemented("partition values of type ", type.ToString());
        return timestamp_text(static_cast<const arrow::TimestampScalar &>(value).value, !type.timezone().empty());
    }
    case Type::DECIMAL128: {
        int32_t scale = static_cast<const arrow::Decimal128Type &>(*value.type).scale();
        return decimal_text(static_cast<const arrow::Decimal128Scalar &>(value).value, scale);
    }
    case Type::BOOL:
    case Type::INT8:
    case Type::INT16:
    case Type::INT32:
    case Type::INT64: return value.ToString();
    default: return Status::NotImplemented("partition values of type ", value.type->ToString());
    }
}

} // namespace

Result<std::shared_ptr<arrow::Scalar>> isthmus::parse_value(std::string_view text, const TypePtr &type)
{
    switch (type->id()) {
    case Type::INT8: return number<arrow::Int8Scalar>(text, type);
    case Type::INT16: return number<arrow::Int16Scalar>(text, type);
    case Type::INT32: return number<arrow::Int32Scalar>(text, type);
    case Type::INT64: return number<arrow::Int64Scalar>(text, type);
    case Type::FLOAT: return number<arrow::FloatScalar>(text, type);
    case Type::DOUBLE: return number<arrow::DoubleScalar>(text, type);
    case Type::BOOL:
        if (text != "true" && text != "false")
            return Status::Invalid("neither true nor false");
        return std::make_shared<arrow::BooleanScalar>(text == "true");
    case Type::STRING:
        if (!arrow::util::ValidateUTF8(text))
            return Status::Invalid("not UTF-8");
        return std::make_shared<arrow::StringScalar>(std::string(text));
    case Type::BINARY:
        return std::make_shared<arrow::BinaryScalar>(arrow::Buffer::FromString(std::string(text)));
    case Type::DATE32: {
        int64_t days;
        if (!take_date(&text, &days) || !text.empty())
            return Status::Invalid("no date like 2024-02-29");
        return std::make_shared<arrow::Date32Scalar>(static_cast<int32_t>(days));
    }
    case Type::TIMESTAMP: {
        int64_t micros;
        if (static_cast<const arrow::TimestampType &>(*type).unit() != arrow::TimeUnit::MICRO)
            return Status::NotImplemented("partition values of type ", type->ToString());
        if (!parse_timestamp(text, &micros))
            return Status::Invalid("no timestamp like 2024-02-29 12:30:00.123456");
        return std::make_shared<arrow::TimestampScalar>(micros, type);
    }
    case Type::DECIMAL128: {
        const auto &target = static_cast<const arrow::Decimal128Type &>(*type);
        arrow::Decimal128 value;
        int32_t precision, scale;
        if (text.size() > 64)
            return Status::Invalid("more digits than a decimal has");
        ARROW_RETURN_NOT_OK(arrow::Decimal128::FromString(text, &value, &precision, &scale));
        if (scale > target.scale() + arrow::Decimal128Type::kMaxPrecision ||
            target.scale() > scale + arrow::Decimal128Type::kMaxPrecision) /* beyond Rescale's tables */
            return Status::Invalid("its exponent is out of range");
        ARROW_ASSIGN_OR_RAISE(value, value.Rescale(scale, target.scale()));
        if (!value.FitsInPrecision(target.precision()))
            return Status::Invalid("more than ", target.precision(), " digits");
        return std::make_shared<arrow::Decimal128Scalar>(value, type);
    }
    default:
        return Status::NotImplemented("partition values of type ", type->ToString());
    }
}

extern "C" ist_status ist__columns_parse(const struct ArrowSchema *type, const char *text, struct ArrowArray *out,
                                         ist_error *err)
{
    std::string what = std::string("partition value of ") + (type->name ? type->name : "a column");
    return isthmus::guard(what, err, [&] {
        ARROW_RETURN_NOT_OK(isthmus::initialize());
        auto borrowed = isthmus::borrow(type);
        ARROW_ASSIGN_OR_RAISE(auto field, arrow::ImportField(&borrowed));
        std::shared_ptr<arrow::Scalar> value;
        if (!text || !*text) {
            value = arrow::MakeNullScalar(field->type());
        } else {
            size_t size = strnlen(text, partition_text_max + 1);
            if (size > partition_text_max)
                return Status::Invalid("longer than ", partition_text_max, " bytes");
            auto parsed = isthmus::parse_value(std::string_view(text, size), field->type());
            if (!parsed.ok())
                return parsed.status().WithMessage("'", std::string_view(text, std::min<size_t>(size, 100)), "' is no ",
                                                   field->type()->ToString(), ": ", parsed.status().message());
            value = *parsed;
        }
        ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayFromScalar(*value, 1));
        return arrow::ExportArray(*array, out);
    });
}

extern "C" ist_status ist__columns_format(const struct ArrowSchema *type, const struct ArrowArray *array, int64_t row,
                                          struct ist_buffer *out, bool *is_null, ist_error *err)
{
    std::string what = std::string("partition value of ") + (type->name ? type->name : "a column");
    return isthmus::guard(what, err, [&] {
        ARROW_RETURN_NOT_OK(isthmus::initialize());
        auto borrowed_type = isthmus::borrow(type);
        auto borrowed = isthmus::borrow(array);
        ARROW_ASSIGN_OR_RAISE(auto field, arrow::ImportField(&borrowed_type));
        ARROW_ASSIGN_OR_RAISE(auto values, arrow::ImportArray(&borrowed, field->type()));
        ARROW_ASSIGN_OR_RAISE(auto value, values->GetScalar(row));
        *is_null = !value->is_valid;
        if (*is_null)
            return Status::OK();
        ARROW_ASSIGN_OR_RAISE(std::string text, format_value(*value));
        *is_null = text.empty();
        ist_error error = IST_ERROR_INIT;
        if (ist_buffer_append(out, text.data(), text.size(), &error) != IST_OK)
            return isthmus::to_arrow(error);
        return Status::OK();
    });
}
