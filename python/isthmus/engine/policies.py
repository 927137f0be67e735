"""Row filters and column masks: rows that a statement must not see, and values that it must see otherwise.

A policed table is read through a query of its own, whose rows are all that the statement's query ever gets. So nothing
in the statement, however its predicates are moved about, is computed on a row that the filter keeps back or on a value
that a mask hides: what it would raise, it would tell.

Filter and masks are SQL functions of the catalog. Their bodies are put in place, with the table's columns for their
parameters.
"""

import pyarrow as pa
import pyarrow.dataset as ds
from sqlglot import exp

from isthmus.engine import dialect
from isthmus.engine.errors import StatementError, unsupported


class PolicedDataset(ds.Dataset):
    """A dataset seen through a policy. `run(sql, dataset, name)` gives a reader over the rows of a query that reads
    `dataset` as RELATION."""

    RELATION = "isthmus policed"

    def __init__(self, dataset, name, info, statement, run):
        self._dataset = dataset
        self._run = run
        self._name = name
        self._columns, self._filter = _policy(name, info, statement)

    schema = property(lambda self: self._dataset.schema)

    def scanner(self, columns=None, filter=None, **_):
        wanted = self.schema.names if columns is None else columns
        told = str(filter) if filter is not None else ""
        needed = [name for name in self.schema.names if name in wanted or name in told]
        reader = self._run(self.sql(needed), self._dataset, self._name)
        part = pa.schema([self.schema.field(name) for name in needed])
        return ds.Scanner.from_batches(reader.cast(part), columns=wanted, filter=filter)

    def sql(self, names):
        columns = [exp.alias_(self._columns.get(name) or _column(name), name, quoted=True) for name in names]
        query = exp.select(*columns).from_(exp.to_identifier(self.RELATION, quoted=True))
        return dialect.to_duckdb(query.where(self._filter) if self._filter is not None else query)


def _policy(name, info, statement):
    """({column: what is seen of it}, the condition of rows or None), as trees."""
    known = info.get("functions") or {}
    columns = {}
    for column in info.get("columns") or ():
        mask = column.get("mask")
        if mask:
            arguments = [column["name"], *(mask.get("using_column_names") or ())]
            columns[column["name"]] = _call(name, known, mask["function_name"], arguments, statement)
    row_filter = info.get("row_filter")
    if not row_filter:
        return columns, None
    arguments = row_filter.get("input_column_names") or ()
    return columns, _call(name, known, row_filter["function_name"], arguments, statement)


def _call(table, known, function_name, arguments, statement):
    """A function's body with columns for its parameters."""
    function = known.get(function_name)
    where = f"{function_name}, a row filter or mask of {table},"
    if function is None:
        raise StatementError("UNRESOLVED_ROUTINE", f"{where} is not in the catalog; its owner must put it there, or "
                                                   "take the policy off.")
    if (function.get("routine_body") or "SQL") != "SQL":
        raise unsupported(f"{where} is not written in SQL, which")
    parameters = (function.get("input_params") or {}).get("parameters") or ()
    parameters = [parameter["name"].lower() for parameter in parameters]
    if len(parameters) != len(arguments):
        raise StatementError("INVALID_STATEMENT",
                             f"{where} takes {len(parameters)} arguments, and gets {len(arguments)}.")
    body = _body(where, function.get("routine_definition") or "")
    dialect.bind_session(body, statement)
    values = dict(zip(parameters, arguments))
    for column in list(body.find_all(exp.Column)):
        if column.table or column.name.lower() not in values:
            raise StatementError("UNRESOLVED_COLUMN", f"{where} uses {column.name}, which is none of its parameters.")
        column.replace(_column(values[column.name.lower()]))
    return body


def _body(where, text):
    text = text.strip()
    if text[:7].upper() == "RETURN ":
        text = text[7:]
    try:
        query = dialect.parse(f"SELECT ({text}\n)")
    except StatementError as error:
        raise StatementError(error.condition, f"{where} cannot be read: {error.args[0]}") from None
    if not isinstance(query, exp.Select) or len(query.expressions) != 1 or query.args.get("from_"):
        raise StatementError("INVALID_STATEMENT", f"{where} is not an expression.")
    body = query.expressions[0].copy()
    if body.find(exp.Query, exp.Table):
        raise unsupported(f"{where} reads tables, which")
    return body


def _column(name):
    return exp.column(exp.to_identifier(name, quoted=True))
