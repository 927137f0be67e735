/*
 * predicate.cc: conditions on rows.
 *
 * Rows are judged by Arrow's expression itself. Groups of rows are judged by a second expression that is derived from
 * it, over their bounds instead of their values, for all groups at once:
 *
 *     x > 5 and (s = 'a' or y is null)
 *     x.valid and x.max > 5 and (s.valid and s.min <= 'a' and s.max >= 'a' or y.null)
 *
 * It is false where no row can match, and null where the bounds are unknown. Negations are taken down to the
 * comparisons first. What `Rewriter` does not know becomes null, which leaves nothing out. Arrow's own way for this,
 * SimplifyWithGuarantee, is one call for each group and takes bounds as a promise about every row; a NaN lies in none.
 *
 * NaN. No comparison with it is true but `!=`, and it is in no statistics. So floating-point columns lose nothing where
 * a comparison must be true to match, and bounds tell nothing about `!=` and comparisons that must be false.
 */
#include "shim/predicate.h"

#include "shim/predicate_internal.h"
#include "shim/shim_internal.h"

#include <arrow/c/bridge.h>
#include <arrow/compute/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/util/decimal.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace cp = arrow::compute;

using arrow::Datum;
using arrow::Result;
using arrow::Scalar;
using arrow::Status;
using arrow::Type;
using cp::Expression;

using ScalarPtr = std::shared_ptr<Scalar>;
using TypePtr = std::shared_ptr<arrow::DataType>;

namespace {

constexpr size_t predicate_bytes_max = 64 << 20;
constexpr int predicate_depth_max = 1000;
constexpr int64_t set_values_max = 64; /* of a set whose values are looked for one by one; of larger ones its bounds */
constexpr int64_t rounding_micros = 999;  /* statistics have milliseconds */

/* ---- the serialised form --------------------------------------------------------------------------------------- */

/*
 * An IPC file of one row. Its schema's metadata are the expression in prefix form, pair by pair: `literal` <column>,
 * `field_ref` <name>, `nested_field_ref` <count> and that many field_refs, `call` <function>, its arguments, `options`
 * <column> (may be absent) and `end` <function>. The columns hold the literals and the functions' options.
 */
class Form {
public:
    explicit Form(const arrow::RecordBatch &batch) : batch_(batch), pairs_(*batch.schema()->metadata()) {}

    Status check()
    {
        ARROW_RETURN_NOT_OK(check_one(0));
        return at_ == pairs_.size() ? Status::OK() : Status::Invalid("something follows the expression");
    }

private:
    Result<int64_t> number(const std::string &text, int64_t end) const
    {
        int64_t value;
        auto result = std::from_chars(text.data(), text.data() + text.size(), value);
        if (result.ec != std::errc() || result.ptr != text.data() + text.size() || value < 0 || value >= end)
            return Status::Invalid("a number in it is out of range");
        return value;
    }

    Status check_options(const std::string &text) const
    {
        ARROW_ASSIGN_OR_RAISE(int64_t column, number(text, batch_.num_columns()));
        const auto &array = *batch_.column(static_cast<int>(column));
        if (array.type_id() != Type::STRUCT || array.IsNull(0))
            return Status::Invalid("a function's options are no struct");
        const auto &options = static_cast<const arrow::StructArray &>(array);
        auto name = options.GetFieldByName("_type_name");
        if (!name || name->type_id() != Type::BINARY || name->IsNull(0))
            return Status::Invalid("a function's options have no type");
        return Status::OK();
    }

    Status check_call(int depth)
    {
        for (;;) {
            if (at_ == pairs_.size())
                return Status::Invalid("it ends in the middle");
            const std::string &key = pairs_.key(at_);
            if (key == "options") {
                ARROW_RETURN_NOT_OK(check_options(pairs_.value(at_++)));
                if (at_ == pairs_.size() || pairs_.key(at_) != "end")
                    return Status::Invalid("something follows a function's options");
            } else if (key != "end") {
                ARROW_RETURN_NOT_OK(check_one(depth + 1));
                continue;
            }
            at_++;
            return Status::OK();
        }
    }

    Status check_one(int depth)
    {
        if (depth > predicate_depth_max)
            return Status::Invalid("it is nested deeper than ", predicate_depth_max,
                                   " levels (a set of values is one level: isin)");
        if (at_ == pairs_.size())
            return Status::Invalid("it ends in the middle");
        const std::string &key = pairs_.key(at_), &value = pairs_.value(at_);
        at_++;
        if (key == "literal")
            return number(value, batch_.num_columns()).status();
        if (key == "field_ref")
            return Status::OK();
        if (key == "call")
            return check_call(depth);
        if (key != "nested_field_ref")
            return Status::Invalid("it has a part of an unknown kind");
        ARROW_ASSIGN_OR_RAISE(int64_t count, number(value, pairs_.size() - at_ + 1));
        if (count == 0)
            return Status::Invalid("a nested field has no name");
        for (int64_t i = 0; i < count; i++)
            if (pairs_.key(at_++) != "field_ref")
                return Status::Invalid("a nested field has no name");
        return Status::OK();
    }

    const arrow::RecordBatch &batch_;
    const arrow::KeyValueMetadata &pairs_;
    int64_t at_ = 0;
};

Status check_form(const std::shared_ptr<arrow::Buffer> &bytes)
{
    arrow::io::BufferReader stream(bytes);
    ARROW_ASSIGN_OR_RAISE(auto file, arrow::ipc::RecordBatchFileReader::Open(&stream));
    if (file->num_record_batches() != 1)
        return Status::Invalid("it has not one row");
    ARROW_ASSIGN_OR_RAISE(auto batch, file->ReadRecordBatch(0));
    if (batch->num_rows() != 1 || !batch->schema()->metadata())
        return Status::Invalid("it has not one row");
    ARROW_RETURN_NOT_OK(batch->ValidateFull());
    return Form(*batch).check();
}

Status find_columns(const Expression &expression, std::vector<std::string> *columns)
{
    for (const arrow::FieldRef &ref : cp::FieldsInExpression(expression)) {
        const std::string *name = ref.nested_refs() ? ref.nested_refs()->front().name() : ref.name();
        if (!name)
            return Status::Invalid("it has a column without a name");
        if (std::find(columns->begin(), columns->end(), *name) == columns->end())
            columns->push_back(*name);
    }
    return Status::OK();
}

/* ---- from conditions on values to conditions on bounds ----------------------------------------------------------- */

/* Which bound of a column: the order of the columns in a table of bounds. */
enum Bound { MIN, MAX, NULLS, VALUES, BOUND_COUNT };

struct Comparison {
    const char *name;
    const char *negation;
    const char *mirrored; /* a op b is b mirrored a */
};

constexpr Comparison comparisons[] = {
    {"equal", "not_equal", "equal"},          {"not_equal", "equal", "not_equal"},
    {"less", "greater_equal", "greater"},     {"less_equal", "greater", "greater_equal"},
    {"greater", "less_equal", "less"},        {"greater_equal", "less", "less_equal"},
};

const Comparison *find_comparison(const std::string &name)
{
    for (const Comparison &comparison : comparisons)
        if (name == comparison.name)
            return &comparison;
    return nullptr;
}

Expression unknown()
{
    return cp::literal(arrow::MakeNullScalar(arrow::boolean()));
}

Expression both(Expression left, Expression right)
{
    return cp::and_(std::move(left), std::move(right));
}

Expression either(Expression left, Expression right)
{
    return cp::or_(std::move(left), std::move(right));
}

bool has_bounds(Type::type id)
{
    return arrow::is_integer(id) || id == Type::FLOAT || id == Type::DOUBLE || id == Type::DECIMAL128 ||
           id == Type::STRING || id == Type::BINARY || id == Type::BOOL || id == Type::DATE32 || id == Type::TIMESTAMP;
}

bool is_number(Type::type id)
{
    return arrow::is_integer(id) || arrow::is_floating(id) || arrow::is_decimal(id);
}

bool is_date_or_time(Type::type id)
{
    return id == Type::DATE32 || id == Type::DATE64 || id == Type::TIMESTAMP;
}

/* Does a <= b hold after the cast where it held before? */
bool keeps_order(const Expression::Call &call)
{
    if (call.function_name != "cast" || !call.options)
        return false;
    const auto &options = static_cast<const cp::CastOptions &>(*call.options);
    Type::type from = call.arguments[0].type()->id(), to = call.type.id();
    if (options.allow_int_overflow || options.allow_time_overflow)
        return false;
    return (is_number(from) && is_number(to)) || (is_date_or_time(from) && is_date_or_time(to)) ||
           (arrow::is_base_binary_like(from) && arrow::is_base_binary_like(to));
}

bool is_nan(const Scalar &value)
{
    return value.is_valid && ((value.type->id() == Type::DOUBLE &&
                               std::isnan(static_cast<const arrow::DoubleScalar &>(value).value)) ||
                              (value.type->id() == Type::FLOAT &&
                               std::isnan(static_cast<const arrow::FloatScalar &>(value).value)));
}

class Rewriter {
public:
    explicit Rewriter(std::vector<isthmus::Bounded> *bounded) : bounded_(bounded) {}

    /* May the expression (negated: its negation) be true for a row? */
    Expression may(const Expression &expression, bool negated)
    {
        if (const Datum *value = expression.literal())
            return may_literal(*value, negated);
        if (expression.field_ref())
            return may_flag(expression, negated);
        const Expression::Call &call = *expression.call();
        const std::string &name = call.function_name;
        const auto &arguments = call.arguments;
        if (name == "and_kleene" || name == "and" || name == "or_kleene" || name == "or") {
            Expression left = may(arguments[0], negated), right = may(arguments[1], negated);
            return (name[0] == 'a') != negated ? both(left, right) : either(left, right);
        }
        if (name == "invert")
            return may(arguments[0], !negated);
        if (name == "if_else") /* DuckDB's IN: if x is valid whether it is in the set, else null */
            return either(both(may(arguments[0], false), may(arguments[1], negated)),
                          both(may(arguments[0], true), may(arguments[2], negated)));
        if (name == "is_null" || name == "is_valid")
            return may_null(call, (name == "is_null") != negated);
        if (name == "is_in" && !negated)
            return may_in(call).value_or(unknown());
        if (name == "starts_with" && !negated)
            return may_start(call);
        const Comparison *comparison = find_comparison(name);
        return comparison ? may_compare(*comparison, arguments[0], arguments[1], negated) : unknown();
    }

private:
    static Expression may_literal(const Datum &value, bool negated)
    {
        if (!value.is_scalar() || value.type()->id() != Type::BOOL)
            return unknown();
        const auto &flag = static_cast<const arrow::BooleanScalar &>(*value.scalar());
        return cp::literal(flag.is_valid && flag.value != negated);
    }

    /* The column under casts that keep the order; -1: it is something else. */
    int column_of(const Expression &operand)
    {
        const Expression *at = &operand;
        while (at->call() && keeps_order(*at->call()))
            at = &at->call()->arguments[0];
        const Expression::Parameter *parameter = at->parameter();
        if (!parameter || !has_bounds(parameter->type.id()))
            return -1;
        std::vector<int> path(parameter->indices.begin(), parameter->indices.end());
        auto found = std::find_if(bounded_->begin(), bounded_->end(), [&](const auto &b) { return b.path == path; });
        if (found == bounded_->end())
            found = bounded_->insert(bounded_->end(), {path, parameter->type.GetSharedPtr()});
        return static_cast<int>(found - bounded_->begin());
    }

    static Expression bound(int column, Bound which)
    {
        return cp::field_ref(arrow::FieldPath({column * BOUND_COUNT + which}));
    }

    /* The operand with one of its column's bounds in its place. */
    static Expression operand_of(const Expression &operand, int column, Bound which)
    {
        if (!operand.call())
            return bound(column, which);
        return cp::call("cast", {operand_of(operand.call()->arguments[0], column, which)}, operand.call()->options);
    }

    static bool may_be_nan(const Expression &operand, const isthmus::Bounded &column)
    {
        return arrow::is_floating(operand.type()->id()) || arrow::is_floating(column.type->id());
    }

    Expression may_compare(const Comparison &comparison, const Expression &left, const Expression &right, bool negated)
    {
        if (left.literal() && !right.literal())
            return may_compare(*find_comparison(comparison.mirrored), right, left, negated);
        const Datum *value = right.literal();
        if (!value || !value->is_scalar())
            return unknown();
        if (!value->scalar()->is_valid)
            return cp::literal(false);
        int column = column_of(left);
        if (column < 0)
            return unknown();
        std::string op = negated ? comparison.negation : comparison.name;
        if ((negated || op == "not_equal") && may_be_nan(left, (*bounded_)[static_cast<size_t>(column)]))
            return unknown();
        Expression min = operand_of(left, column, MIN), max = operand_of(left, column, MAX);
        return both(bound(column, VALUES), may_compare_bounds(op, min, max, right));
    }

    static Expression may_compare_bounds(const std::string &op, const Expression &min, const Expression &max,
                                         const Expression &value)
    {
        if (op == "equal")
            return both(cp::less_equal(min, value), cp::greater_equal(max, value));
        if (op == "not_equal")
            return either(cp::not_equal(min, value), cp::not_equal(max, value));
        return cp::call(op, {op[0] == 'l' ? min : max, value});
    }

    Expression may_flag(const Expression &flag, bool negated)
    {
        int column = column_of(flag);
        if (column < 0)
            return unknown();
        return both(bound(column, VALUES), negated ? cp::not_(bound(column, MIN)) : bound(column, MAX));
    }

    Expression may_null(const Expression::Call &call, bool null)
    {
        const auto *options = static_cast<const cp::NullOptions *>(call.options.get());
        int column = column_of(call.arguments[0]);
        if (column < 0)
            return unknown();
        if (options && options->nan_is_null && may_be_nan(call.arguments[0], (*bounded_)[static_cast<size_t>(column)]))
            return unknown();
        return bound(column, null ? NULLS : VALUES);
    }

    std::optional<Expression> may_in(const Expression::Call &call)
    {
        const auto &options = static_cast<const cp::SetLookupOptions &>(*call.options);
        int column = column_of(call.arguments[0]);
        if (column < 0 || !options.value_set.is_arraylike())
            return std::nullopt;
        const Expression &operand = call.arguments[0];
        auto cast = cp::Cast(options.value_set, operand.type()->GetSharedPtr());
        auto set = cast.ok() ? cp::Unique(*cast) : cast.status();
        if (!set.ok())
            return std::nullopt;
        auto lowest = cp::MinMax(**set);
        if (!lowest.ok() || may_be_nan(operand, (*bounded_)[static_cast<size_t>(column)]))
            return std::nullopt;
        Expression min = operand_of(operand, column, MIN), max = operand_of(operand, column, MAX);
        Expression found = cp::literal(false);
        if ((*set)->length() > set_values_max) {
            const auto &ends = static_cast<const arrow::StructScalar &>(*lowest->scalar());
            found = both(cp::less_equal(min, cp::literal(ends.value[1])),
                         cp::greater_equal(max, cp::literal(ends.value[0])));
        } else {
            for (int64_t i = 0; i < (*set)->length(); i++) {
                ScalarPtr value = (*set)->GetScalar(i).ValueOr(nullptr);
                if (value && value->is_valid)
                    found = either(found, may_compare_bounds("equal", min, max, cp::literal(value)));
            }
        }
        found = both(bound(column, VALUES), found);
        return (*set)->null_count() > 0 ? either(found, bound(column, NULLS)) : found;
    }

    /* Texts that start with p lie in [p, q), q being p with its last byte one up. UTF-8 has no byte 0xff. */
    Expression may_start(const Expression::Call &call)
    {
        const auto &options = static_cast<const cp::MatchSubstringOptions &>(*call.options);
        int column = column_of(call.arguments[0]);
        if (column < 0 || call.arguments[0].call() || options.ignore_case)
            return unknown();
        std::string end = options.pattern;
        while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff)
            end.pop_back();
        if (end.empty())
            return unknown();
        end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
        TypePtr type = (*bounded_)[static_cast<size_t>(column)].type;
        auto text = [&](const std::string &bytes) -> Expression {
            auto buffer = arrow::Buffer::FromString(bytes);
            return type->id() == Type::STRING ? cp::literal(std::make_shared<arrow::StringScalar>(buffer))
                                              : cp::literal(std::make_shared<arrow::BinaryScalar>(buffer));
        };
        return both(bound(column, VALUES), both(cp::less(bound(column, MIN), text(end)),
                                                cp::greater_equal(bound(column, MAX), text(options.pattern))));
    }

    std::vector<isthmus::Bounded> *bounded_;
};

std::shared_ptr<arrow::Schema> bounds_schema(const std::vector<isthmus::Bounded> &bounded)
{
    arrow::FieldVector fields;
    for (const auto &column : bounded) {
        fields.push_back(arrow::field("min", column.type));
        fields.push_back(arrow::field("max", column.type));
        fields.push_back(arrow::field("nulls", arrow::boolean()));
        fields.push_back(arrow::field("values", arrow::boolean()));
    }
    return arrow::schema(std::move(fields));
}

/* ---- what writers do to bounds ----------------------------------------------------------------------------------- */

/* A text that was cut got U+FFFF appended, so as to be above all that begin like it: old writers did so where
 * characters beyond it followed, too. */
std::string widen_text(std::string text)
{
    static const char last_of_16_bits[] = "\xef\xbf\xbf", last[] = "\xf4\x8f\xbf\xbf";
    if (text.size() >= 3 && text.compare(text.size() - 3, 3, last_of_16_bits) == 0)
        text.replace(text.size() - 3, 3, last);
    return text;
}

/* The bound, moved outwards (down: a minimum) as far as writers may have rounded it; NULL: it tells nothing. */
Result<ScalarPtr> widen(const ScalarPtr &value, bool down)
{
    switch (value->type->id()) {
    case Type::STRING: {
        auto text = static_cast<const arrow::StringScalar &>(*value).value->ToString();
        return down ? value : ScalarPtr(std::make_shared<arrow::StringScalar>(widen_text(text)));
    }
    case Type::TIMESTAMP: {
        int64_t micros = static_cast<const arrow::TimestampScalar &>(*value).value;
        micros += down ? -rounding_micros : rounding_micros;
        return std::make_shared<arrow::TimestampScalar>(micros, value->type);
    }
    case Type::DECIMAL128: { /* some write them as doubles: exact to 15 digits, then to one part in 2^52 */
        const auto &type = static_cast<const arrow::Decimal128Type &>(*value->type);
        arrow::Decimal128 number = static_cast<const arrow::Decimal128Scalar &>(*value).value;
        if (type.precision() <= 15)
            return value;
        arrow::Decimal128 slack(arrow::Decimal128::Abs(number));
        slack = slack / arrow::Decimal128(INT64_C(1) << 51) + arrow::Decimal128(1);
        number = down ? number - slack : number + slack;
        if (!number.FitsInPrecision(type.precision()))
            return ScalarPtr();
        return std::make_shared<arrow::Decimal128Scalar>(number, value->type);
    }
    case Type::DOUBLE: { /* of a column that was a float, the digits are those that tell floats apart */
        double number = static_cast<const arrow::DoubleScalar &>(*value).value;
        float end = std::nextafter(static_cast<float>(number), down ? -HUGE_VALF : HUGE_VALF);
        if (!std::isfinite(static_cast<float>(number)))
            return value;
        number = down ? std::min<double>(number, end) : std::max<double>(number, end);
        return std::make_shared<arrow::DoubleScalar>(number);
    }
    case Type::BINARY: return ScalarPtr(); /* has no agreed form in JSON */
    default: return value;
    }
}

ScalarPtr parse_bound(const char *text, size_t size, bool exact, bool down, const TypePtr &type)
{
    if (!text)
        return nullptr;
    auto value = isthmus::parse_value(std::string_view(text, size), type);
    if (value.ok() && !exact)
        value = widen(*value, down);
    return value.ValueOr(nullptr);
}

} // namespace

namespace isthmus {

Status BoundsColumn::init(const TypePtr &type)
{
    type_ = type;
    ARROW_ASSIGN_OR_RAISE(min_, arrow::MakeBuilder(type));
    ARROW_ASSIGN_OR_RAISE(max_, arrow::MakeBuilder(type));
    return Status::OK();
}

static Status append_bound(arrow::ArrayBuilder *builder, const ScalarPtr &value, const TypePtr &type)
{
    ScalarPtr cast;
    if (value && value->is_valid && !is_nan(*value)) {
        if (value->type->Equals(type)) {
            cast = value;
        } else {
            auto done = cp::Cast(Datum(value), type);
            cast = done.ok() ? done->scalar() : nullptr;
        }
    }
    return cast ? builder->AppendScalar(*cast) : builder->AppendNull();
}

Status BoundsColumn::append(const ScalarPtr &min, const ScalarPtr &max, bool no_nulls, bool no_values)
{
    ARROW_RETURN_NOT_OK(append_bound(min_.get(), min, type_));
    ARROW_RETURN_NOT_OK(append_bound(max_.get(), max, type_));
    ARROW_RETURN_NOT_OK(nulls_.Append(!no_nulls));
    return values_.Append(!no_values);
}

Status BoundsColumn::finish(std::vector<Datum> *out)
{
    for (arrow::ArrayBuilder *builder : {min_.get(), max_.get(), static_cast<arrow::ArrayBuilder *>(&nulls_),
                                         static_cast<arrow::ArrayBuilder *>(&values_)}) {
        ARROW_ASSIGN_OR_RAISE(auto array, builder->Finish());
        out->emplace_back(std::move(array));
    }
    return Status::OK();
}

} // namespace isthmus

Status ist__predicate::prune(std::vector<isthmus::BoundsColumn> *bounds, size_t groups, bool *out) const
{
    std::fill_n(out, groups, true);
    std::vector<Datum> values;
    for (auto &column : *bounds)
        ARROW_RETURN_NOT_OK(column.finish(&values));
    cp::ExecBatch table(std::move(values), static_cast<int64_t>(groups));
    auto judged = cp::ExecuteScalarExpression(may_match, table);
    if (!judged.ok()) /* a cast of a bound that does not fit: whether one of a row's does, the rows tell */
        return judged.status().IsOutOfMemory() ? judged.status() : Status::OK();
    if (judged->is_scalar()) {
        const auto &flag = static_cast<const arrow::BooleanScalar &>(*judged->scalar());
        std::fill_n(out, groups, !flag.is_valid || flag.value);
        return Status::OK();
    }
    auto array = judged->make_array();
    const auto &flags = static_cast<const arrow::BooleanArray &>(*array);
    for (size_t i = 0; i < groups; i++)
        out[i] = flags.IsNull(static_cast<int64_t>(i)) || flags.Value(static_cast<int64_t>(i));
    return Status::OK();
}

extern "C" ist_status ist__predicate_parse(const void *data, size_t size, ist__predicate **out, ist_error *err)
{
    return isthmus::guard("predicate", err, [&] {
        if (size > predicate_bytes_max)
            return Status::Invalid("larger than ", predicate_bytes_max, " bytes");
        ARROW_RETURN_NOT_OK(isthmus::initialize());
        auto predicate = std::make_unique<ist__predicate>();
        /* A copy: literals refer to the bytes for as long as the predicate lives. */
        auto bytes = arrow::Buffer::FromString(std::string(static_cast<const char *>(data), size));
        auto form = check_form(bytes);
        if (!form.ok())
            return form.WithMessage("not a serialised Arrow expression: ", form.message());
        ARROW_ASSIGN_OR_RAISE(predicate->expression, cp::Deserialize(bytes));
        ARROW_RETURN_NOT_OK(find_columns(predicate->expression, &predicate->columns));
        *out = predicate.release();
        return Status::OK();
    });
}

extern "C" void ist__predicate_free(ist__predicate *predicate)
{
    delete predicate;
}

extern "C" size_t ist__predicate_column_count(const ist__predicate *predicate)
{
    return predicate->columns.size();
}

extern "C" const char *ist__predicate_column(const ist__predicate *predicate, size_t i)
{
    return predicate->columns[i].c_str();
}

extern "C" ist_status ist__predicate_bind(ist__predicate *predicate, const struct ArrowSchema *schema, ist_error *err)
{
    return isthmus::guard("predicate", err, [&] {
        auto borrowed = isthmus::borrow(schema);
        ARROW_ASSIGN_OR_RAISE(predicate->schema, arrow::ImportSchema(&borrowed));
        auto bound = predicate->expression.Bind(*predicate->schema);
        if (!bound.ok()) /* no kernel for these types: that is the expression's fault, not a feature that is missing */
            return Status::Invalid(bound.status().message());
        predicate->bound = *bound;
        if (!predicate->bound.IsScalarExpression())
            return Status::Invalid(predicate->expression.ToString(), " is not a function of one row");
        if (predicate->bound.type()->id() != Type::BOOL)
            return Status::Invalid(predicate->expression.ToString(), " is a ", predicate->bound.type()->ToString(),
                                   ", not a condition");
        ARROW_ASSIGN_OR_RAISE(auto folded, cp::FoldConstants(predicate->bound));
        Expression may = Rewriter(&predicate->bounded).may(folded, false);
        ARROW_ASSIGN_OR_RAISE(predicate->may_match, may.Bind(*bounds_schema(predicate->bounded)));
        return Status::OK();
    });
}

extern "C" ist_status ist__predicate_filter(const ist__predicate *predicate, struct ArrowArray *batch, int64_t columns,
                                            struct ArrowArray *out, ist_error *err)
{
    ist_status status = isthmus::guard("predicate", err, [&] {
        ARROW_ASSIGN_OR_RAISE(auto rows, isthmus::import_batch(batch, predicate->schema));
        ARROW_ASSIGN_OR_RAISE(auto judged, cp::ExecuteScalarExpression(predicate->bound, *rows->schema(), Datum(rows)));
        arrow::FieldVector fields;
        arrow::ArrayVector arrays;
        for (int i = 0; i < static_cast<int>(columns); i++) {
            fields.push_back(rows->schema()->field(i));
            arrays.push_back(rows->column(i));
        }
        auto wanted = arrow::RecordBatch::Make(arrow::schema(std::move(fields)), rows->num_rows(), std::move(arrays));
        int64_t kept = rows->num_rows();
        if (judged.is_scalar()) {
            const auto &flag = static_cast<const arrow::BooleanScalar &>(*judged.scalar());
            kept = flag.is_valid && flag.value ? kept : 0;
        } else {
            kept = static_cast<const arrow::BooleanArray &>(*judged.make_array()).true_count();
        }
        if (kept == 0 || columns == 0) {
            wanted = arrow::RecordBatch::Make(wanted->schema(), kept, wanted->Slice(0, kept)->columns());
        } else if (kept < rows->num_rows()) {
            ARROW_ASSIGN_OR_RAISE(auto filtered, cp::Filter(Datum(wanted), judged));
            wanted = filtered.record_batch();
        }
        return arrow::ExportRecordBatch(*wanted, out);
    });
    isthmus::release(batch);
    return status;
}

extern "C" size_t ist__predicate_bounded_count(const ist__predicate *predicate)
{
    return predicate->bounded.size();
}

extern "C" const int *ist__predicate_bounded(const ist__predicate *predicate, size_t i, size_t *depth)
{
    *depth = predicate->bounded[i].path.size();
    return predicate->bounded[i].path.data();
}

extern "C" ist_status ist__predicate_prune(const ist__predicate *predicate, const ist__bounds *bounds, size_t groups,
                                           bool *may_match, ist_error *err)
{
    return isthmus::guard("predicate", err, [&] {
        size_t count = predicate->bounded.size();
        std::vector<isthmus::BoundsColumn> columns(count);
        for (size_t i = 0; i < count; i++) {
            const TypePtr &type = predicate->bounded[i].type;
            ARROW_RETURN_NOT_OK(columns[i].init(type));
            for (size_t g = 0; g < groups; g++) {
                const ist__bounds &b = bounds[g * count + i];
                ARROW_RETURN_NOT_OK(columns[i].append(parse_bound(b.min, b.min_size, b.exact, true, type),
                                                      parse_bound(b.max, b.max_size, b.exact, false, type), b.no_nulls,
                                                      b.no_values));
            }
        }
        return predicate->prune(&columns, groups, may_match);
    });
}
