"""Which columns of a Dataset's inputs its columns come from, as far as the plan of Ray Data tells.

Reading, selecting, renaming, dropping, expressions over columns, filters, sorting and what only moves rows can be followed.
What runs a user's function over batches or rows cannot: of a Dataset made by one, nothing is told.
"""

from ray.data._internal.planner.plan_expression.expression_visitors import get_column_references
from ray.data.expressions import AliasExpr, ColumnExpr

from isthmus.openlineage import Column

_MOVES_ROWS = ("Limit", "Repartition", "RandomShuffle", "RandomizeBlocks", "StreamingRepartition", "Sort", "Filter")


class _Unknown(Exception):
    pass


def columns_of(dataset):
    """The Columns of a Dataset; () where its plan has a step that nobody can look into."""
    try:
        columns, rows = _trace(dataset._logical_plan.dag)
    except (_Unknown, AttributeError):  # AttributeError: a later Ray has its plans in another form
        return ()
    return (*(Column(name, *origin) for name, origins in columns.items() for origin in origins),
            *(Column(None, *origin) for origin in rows))


def _trace(op):
    """({column: [(dataset, column, kind)]}, [the same, of what decided about every row])"""
    known = getattr(op, "_isthmus_columns", None)
    if known is not None:
        return _from_columns(known)
    source = getattr(op, "datasource", None)
    if source is not None:
        return _read(source)
    inputs = [_trace(each) for each in op.input_dependencies]
    kind = type(op).__name__
    if kind == "Project":
        return _project(op, *inputs[0])
    if kind == "Union" and inputs:
        return _union(inputs)
    if kind not in _MOVES_ROWS or len(inputs) != 1:
        raise _Unknown(kind)
    columns, rows = inputs[0]
    if kind == "Filter" and op.predicate_expr is not None:
        rows = rows + _origins(columns, get_column_references(op.predicate_expr), "FILTER")
    if kind == "Sort":
        rows = rows + _origins(columns, op.sort_key.get_columns(), "SORT")
    return columns, rows


def _from_columns(known):
    if not known:
        raise _Unknown
    columns, rows = {}, []
    for each in known:
        origins = rows if each.output is None else columns.setdefault(each.output, [])
        origins.append((each.dataset, each.input, each.kind))
    return columns, rows


def _read(source):
    inputs = getattr(source, "inputs", ())
    if source.get_name() != "Delta" or len(inputs) != 1:
        raise _Unknown(source.get_name())
    return {name: [(inputs[0].name, name, "IDENTITY")] for name in source._schema.names}, []


def _project(op, columns, rows):
    found = {}
    for expression in op.exprs:
        inner = expression.expr if isinstance(expression, AliasExpr) else expression
        if expression.name is None:  # a star over a schema that is not known
            raise _Unknown
        if isinstance(inner, ColumnExpr):
            found[expression.name] = columns.get(inner.name, [])
        else:
            found[expression.name] = _origins(columns, get_column_references(inner), "TRANSFORMATION")
    return found, rows


def _union(inputs):
    columns = {}
    for each, _ in inputs:
        for name, origins in each.items():
            columns.setdefault(name, []).extend(origin for origin in origins if origin not in columns.get(name, []))
    return columns, [origin for _, rows in inputs for origin in rows]


def _origins(columns, names, kind):
    """What those columns come from, for what is made of them or decided by them."""
    found = []
    for name in names:
        for dataset, column, _ in columns.get(name, ()):
            if (dataset, column, kind) not in found:
                found.append((dataset, column, kind))
    return found
