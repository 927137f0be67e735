"""From which columns the columns of a written table come: OpenLineage's columnLineage facet.

Told of the tables and views that the statement names, by their columns as the server told them. Expressions are traced
through subqueries and WITH (by sqlglot's scopes); what cannot be traced is left out.
"""

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

import isthmus
from isthmus.engine import dialect

_HOW = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")
_SCHEMA = "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"


def facet(query, names, questions, catalog, schema):
    """The facet for the columns `names` (in the order of the query's); None where nothing can be told.

    questions   (asked, answer) pairs of Statement.resolve; the first is of what the query itself names
    """
    if not questions:
        return None
    known, own = {}, {}
    for asked, info in zip(*questions[0]):
        full_name = ".".join(asked["name"])
        columns = {column["name"]: column.get("type_text") or "STRING" for column in info.get("columns") or ()}
        known.setdefault(asked["name"][0], {}).setdefault(asked["name"][1], {})[asked["name"][2]] = columns
        own.update({(full_name.lower(), name.lower()): (full_name, name) for name in columns})
    try:
        bound = qualify(query.copy(), schema=MappingSchema(known, dialect=dialect.WarehouseSql), catalog=catalog,
                        db=schema, dialect=dialect.WarehouseSql, quote_identifiers=False, identify=False)
        trace = _Trace(own)
        scope = build_scope(bound)
        fields = {name: trace.column(scope, i) for i, name in enumerate(names)}
    except (SqlglotError, ValueError, KeyError, AttributeError, TypeError, IndexError, RecursionError):
        return None
    return {"_producer": f"urn:isthmus:{isthmus.__version__}", "_schemaURL": _SCHEMA, "fields": {
        name: {"inputFields": [_input(*origin, how) for origin, how in origins.items()]}
        for name, origins in fields.items()}}


def _input(table, column, subtype):
    return {"namespace": "unitycatalog", "name": table, "field": column,
            "transformations": [{"type": "DIRECT", "subtype": subtype}]}


class _Trace:
    """Origins of columns, {(table, column): how}. `own` has names by their lower case."""

    def __init__(self, own):
        self._own = own
        self._known = {}

    def column(self, scope, i):
        """Those of the i-th column of a scope's query."""
        key = (id(scope), i)
        if key not in self._known:
            self._known[key] = {}  # of a recursive query: nothing but what is told outside of itself
            self._known[key] = self._column(scope, i)
        return self._known[key]

    def _column(self, scope, i):
        if isinstance(scope.expression, exp.SetOperation):
            left, right = (self.column(side, i) for side in scope.set_operation_scopes)
            return {**left, **right}
        projection = scope.expression.selects[i].unalias()
        subtype = "IDENTITY" if isinstance(projection, exp.Column) else \
            "AGGREGATION" if projection.find(exp.AggFunc) else "TRANSFORMATION"
        inside = [self._source(scope, column) for column in projection.find_all(exp.Column)]
        inside += [self.column(query, 0) for query in scope.subquery_scopes if _is_within(query.expression, projection)]
        return {origin: max(subtype, how, key=_HOW.index) for origins in inside for origin, how in origins.items()}

    def _source(self, scope, column):
        source = scope.sources.get(column.table)
        if isinstance(source, exp.Table):
            key = (".".join(part.name for part in source.parts).lower(), column.name.lower())
            return {self._own[key]: "IDENTITY"} if key in self._own else {}
        if isinstance(source, Scope):
            names = source.expression.named_selects
            return self.column(source, names.index(column.name)) if column.name in names else {}
        return {}


def _is_within(node, outer):
    while node is not None and node is not outer:
        node = node.parent
    return node is outer
