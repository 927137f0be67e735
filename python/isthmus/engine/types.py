"""Where DuckDB's types differ from Databricks': casts are put around what would come out otherwise.

Most expressions have the same type and value in both. These have not: sums, averages and quotients of decimals, sums of
integers, floor and ceil, fractions cast to integers (DuckDB rounds), instants cast to text, dates that are shifted, and
counts of things that are INT in Spark and BIGINT in DuckDB. What they are depends on the types of columns, so the tree
is bound to the tables' schemas (by sqlglot, on a copy) and types are worked out from there. What cannot be worked out
is left as it is.
"""

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from isthmus.engine import dialect

_T = exp.DataType.Type
_INTEGERS = {_T.TINYINT: 3, _T.SMALLINT: 5, _T.INT: 10, _T.BIGINT: 20}  # digits of the decimal that holds them
_FRACTIONS = {_T.FLOAT, _T.DOUBLE}
_AS_INT = (exp.Length, exp.Year, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second, exp.Quarter, exp.Week,
           exp.DayOfMonth, exp.DayOfYear, exp.WeekOfYear, exp.DateDiff, exp.ArraySize, exp.StrPosition, exp.Unicode,
           exp.Extract, exp.Levenshtein)
_RANKS = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile)
_SAME = (exp.Paren, exp.Alias, exp.Neg, exp.Abs, exp.Min, exp.Max, exp.First, exp.Last, exp.AnyValue, exp.Window,
         exp.Filter, exp.Distinct, exp.IgnoreNulls, exp.RespectNulls, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue)


def fit(tree, relations):
    """Put casts into a query over relations (planner.Relation), whose output columns have names (name_outputs)."""
    for number, node in enumerate(tree.walk()):
        node.meta["number"] = number
    types = _types(tree, relations)
    for node in reversed(list(tree.walk())):  # from the leaves on
        rewrite = _rewrite(node, types)
        if rewrite is not None:
            rewrite.meta["number"] = node.meta["number"]
            node.replace(rewrite)


# ---- what changes ----------------------------------------------------------------------------------------------------


def _rewrite(node, types):
    """What is to stand in a node's place; None where it may stay."""
    type = types.get(node.meta.get("number"))
    if isinstance(node, _AS_INT) or isinstance(node, exp.Window) and isinstance(node.this, _RANKS):
        return _cast(node.copy(), _simple(_T.INT))
    if isinstance(node, exp.DayOfWeek):  # of Sunday 1, and in DuckDB 0
        return _cast(exp.Add(this=node.copy(), expression=exp.Literal.number(1)), _simple(_T.INT))
    if isinstance(node, exp.Anonymous) and node.name.lower() == "weekday" and len(node.expressions) == 1:  # of Monday 0
        monday = exp.Anonymous(this="isodow", expressions=[node.expressions[0].copy()])
        return _cast(exp.Sub(this=monday, expression=exp.Literal.number(1)), _simple(_T.INT))
    if isinstance(node, exp.Quantile):
        return exp.Anonymous(this="quantile_cont", expressions=[node.this.copy(), node.args["quantile"].copy()])
    if isinstance(node, (exp.TsOrDsAdd, exp.AddMonths)):
        return _cast(node.copy(), _simple(_T.DATE))
    if isinstance(node, exp.Cast):
        return _rewrite_cast(node, types)
    if isinstance(node, exp.StrToUnix) and _of(node.this, types) in (_T.TIMESTAMPTZ, _T.TIMESTAMP, _T.DATE):
        return _cast(exp.Anonymous(this="epoch", expressions=[node.this.copy()]), _simple(_T.BIGINT))
    if type is None:
        return None
    if isinstance(node, (exp.Add, exp.Sub)) and type.this == _T.DATE:
        return _cast(node.copy(), type)
    if isinstance(_aggregate(node), exp.Sum):
        return None if isinstance(node.parent, (exp.Window, exp.Filter)) else _cast(node.copy(), type)
    if isinstance(node, (exp.Floor, exp.Ceil)) and not node.args.get("decimals"):
        return _cast(node.copy(), type)
    if isinstance(node, exp.IntDiv):
        return _cast(node.copy(), type)
    if _is_decimal(type):
        return _rewrite_decimal(node, type, types)
    return None


def _of(node, types):
    """The kind of a node's type."""
    type = types.get(node.meta.get("number"))
    return type and type.this


def _aggregate(node):
    """The function under FILTER and OVER."""
    while isinstance(node, (exp.Window, exp.Filter)):
        node = node.this
    return node


def _rewrite_cast(node, types):
    source = types.get(node.this.meta.get("number"))
    if source is None:
        return None
    cast = node.copy()
    if node.to.this in _INTEGERS and (source.this in _FRACTIONS or _is_decimal(source)):
        cast.set("this", exp.Anonymous(this="trunc", expressions=[cast.this]))
        return cast
    if node.to.this in (_T.TEXT, _T.VARCHAR) and source.this in (_T.TIMESTAMPTZ, _T.TIMESTAMP):
        cast.set("this", _cast(cast.this, _simple(_T.TIMESTAMPNTZ)))
        return cast
    return None


def _rewrite_decimal(node, type, types):
    if isinstance(node, exp.Div):
        wide = [_as_decimal(side, types) for side in (node.left, node.right)]
        if None in wide:
            return None
        scale = exp.Literal.number(_scale(type))
        (p1, s1), (_, s2) = map(_parameters, wide)
        if p1 + _scale(type) - s1 + s2 > 38:  # more digits than DuckDB divides exactly: fifteen are right
            left, right = (_cast(side.copy(), _simple(_T.DOUBLE)) for side in (node.left, node.right))
            return _cast(exp.Div(this=left, expression=right), type)
        sides = [_cast(side.copy(), operand) for side, operand in zip((node.left, node.right), wide)]
        return _cast(exp.Anonymous(this="decimal_division", expressions=[*sides, scale]), type)
    if isinstance(node, exp.Mul):
        return _cast(node.copy(), type)
    if isinstance(node, exp.Avg) and not isinstance(node.this, exp.Distinct):
        return exp.Anonymous(this="decimal_average", expressions=[_cast(node.this.copy(), type)])
    return None


def _cast(node, type):
    return exp.Cast(this=node, to=type.copy())


# ---- what types there are --------------------------------------------------------------------------------------------


def _types(tree, relations):
    """{number of a node: its type in Databricks}, as far as they can be told."""
    schema = {relation.relation: {column["name"]: column["type_text"] for column in relation.info.get("columns") or ()
                                  if column.get("type_text")} for relation in relations}
    try:
        schema = MappingSchema(schema, dialect=dialect.WarehouseSql)
        bound = qualify(tree.copy(), schema=schema, dialect=dialect.WarehouseSql, validate_qualify_columns=False,
                        quote_identifiers=False, identify=False)
        bound = annotate_types(bound, schema=schema, dialect=dialect.WarehouseSql)
        types = {}
        for scope in traverse_scope(bound):
            _Scope(scope, types).walk()
    except (SqlglotError, ValueError, KeyError, AttributeError, TypeError):
        return {}  # sqlglot does not follow everything that DuckDB runs; then nothing is known
    return types


class _Scope:
    """Types of the nodes of one scope; those of the scopes inside are in `types` already."""

    def __init__(self, scope, types):
        self.scope = scope
        self.types = types

    def walk(self):
        for node in reversed(list(self.scope.expression.walk())):
            number = node.meta.get("number")
            if number is not None and number not in self.types:
                type = self.type(node)
                if type is not None:
                    self.types[number] = type

    def type(self, node):
        number = node.meta.get("number")
        if number in self.types and not isinstance(node, exp.Column):
            return self.types[number]
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, _SAME):
            return self.type(node.this)
        if isinstance(node, exp.Literal):
            return _literal(node)
        if isinstance(node, exp.Cast):
            return node.to
        if isinstance(node, exp.Subquery):
            return self.type(node.this.selects[0]) if isinstance(node.this, exp.Select) and node.this.selects else None
        if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)):
            return self._arithmetic(node)
        if isinstance(node, exp.IntDiv):
            return _simple(_T.BIGINT)
        if isinstance(node, (exp.Sum, exp.Avg, exp.Floor, exp.Ceil, exp.Round)):
            return self._function(node)
        if isinstance(node, exp.Case):
            branches = [self.type(branch.args["true"]) for branch in node.args["ifs"]]
            return _widest(branches + self._unless_null(node.args.get("default")))
        if isinstance(node, exp.If):
            return _widest([self.type(node.args["true"]), *self._unless_null(node.args.get("false"))])
        if isinstance(node, (exp.Coalesce, exp.Greatest, exp.Least)):
            return _widest([self.type(node.this), *map(self.type, node.expressions)])
        return _known(node.type)

    def _unless_null(self, node):
        return [self.type(node)] if node is not None and not isinstance(node, exp.Null) else []

    def _column(self, column):
        source = self.scope.sources.get(column.table)
        if isinstance(source, Scope):
            query = source.expression
            while isinstance(query, exp.SetOperation):
                query = query.left.unnest()
            for projection in query.selects if isinstance(query, exp.Select) else ():
                if projection.alias_or_name.lower() == column.name.lower():
                    inner = self.types.get(projection.unalias().meta.get("number"))
                    return inner if inner is not None else _known(column.type)
        return _known(column.type)

    def _arithmetic(self, node):
        if isinstance(node.right, exp.Interval):
            left = self.type(node.left)
            unit = node.right.unit.name.upper().rstrip("S") if node.right.unit is not None else ""
            days = unit in ("DAY", "WEEK", "MONTH", "YEAR")
            return left if left is not None and (days or left.this != _T.DATE) else None
        left, right = self.type(node.left), self.type(node.right)
        if left is None or right is None:
            return None
        if not _is_decimal(left) and not _is_decimal(right):
            return _known(node.type)
        if left.this in _FRACTIONS or right.this in _FRACTIONS:
            return _simple(_T.DOUBLE)
        left, right = _widened(left, node.left), _widened(right, node.right)
        if left is None or right is None:
            return None
        return _result(node, *_parameters(left), *_parameters(right))

    def _function(self, node):
        argument = self.type(node.this)
        if argument is None:
            return None
        if not _is_decimal(argument):
            if isinstance(node, exp.Sum):
                return _simple(_T.BIGINT) if argument.this in _INTEGERS else _simple(_T.DOUBLE)
            if isinstance(node, (exp.Floor, exp.Ceil)):
                return _simple(_T.BIGINT) if argument.this in _FRACTIONS or argument.this in _INTEGERS else None
            return _known(node.type)
        precision, scale = _parameters(argument)
        if isinstance(node, exp.Sum):
            return _decimal(min(38, precision + 10), scale)
        if isinstance(node, exp.Avg):
            return _bounded(precision + 4, scale + 4)
        if isinstance(node, (exp.Floor, exp.Ceil)):
            return _decimal(precision - scale + 1, 0)
        return None


def _result(node, p1, s1, p2, s2):
    """Spark's rules for decimals."""
    if isinstance(node, exp.Mul):
        return _bounded(p1 + p2 + 1, s1 + s2)
    if isinstance(node, exp.Div):
        scale = max(6, s1 + p2 + 1)
        return _bounded(p1 - s1 + s2 + scale, scale)
    scale = max(s1, s2)
    if isinstance(node, exp.Mod):
        return _bounded(min(p1 - s1, p2 - s2) + scale, scale)
    return _bounded(max(p1 - s1, p2 - s2) + scale + 1, scale)


def _bounded(precision, scale):
    """Of what does not fit into 38 digits the fraction gives way, down to 6 digits."""
    if precision <= 38:
        return _decimal(precision, scale)
    return _decimal(38, max(38 - (precision - scale), min(scale, 6)))


def _widened(type, node):
    """A type as a decimal's operand; an integer literal has as many digits as it is written with."""
    if _is_decimal(type):
        return type
    if isinstance(node, exp.Literal) and not node.is_string:
        return _decimal(len(node.name), 0)
    return _decimal(_INTEGERS[type.this], 0) if type.this in _INTEGERS else None


def _as_decimal(node, types):
    type = types.get(node.meta.get("number"))
    return None if type is None else _widened(type, node)


def _widest(types):
    """The common type of several; None if they are of different kinds."""
    if not types or any(type is None for type in types):
        return None
    if all(type == types[0] for type in types):
        return types[0]
    if any(type.this in _FRACTIONS for type in types):
        return _simple(_T.DOUBLE)
    if not any(map(_is_decimal, types)) or not all(_is_decimal(type) or type.this in _INTEGERS for type in types):
        return None
    sizes = [_parameters(type if _is_decimal(type) else _decimal(_INTEGERS[type.this], 0)) for type in types]
    scale = max(scale for _, scale in sizes)
    return _bounded(max(precision - scale for precision, scale in sizes) + scale, scale)


def _literal(node):
    if node.is_string:
        return _simple(_T.TEXT)
    text = node.name
    if "e" in text.lower():
        return _simple(_T.DOUBLE)
    if "." in text:
        whole, _, fraction = text.partition(".")
        return _decimal(max(1, len(whole.lstrip("0")) + len(fraction)), len(fraction))
    return _simple(_T.INT if int(text) < 1 << 31 else _T.BIGINT)


def _known(type):
    if type is None or type.this in (_T.UNKNOWN, _T.NULL) or _is_decimal(type) and len(type.expressions) != 2:
        return None
    return type


def _simple(kind):
    return exp.DataType(this=kind)


def _decimal(precision, scale):
    return exp.DataType.build(f"DECIMAL({precision}, {scale})")


def _is_decimal(type):
    return type is not None and type.this == _T.DECIMAL


def _parameters(type):
    return [int(parameter.name) for parameter in type.expressions]


def _scale(type):
    return _parameters(type)[1]
