"""Row filters and column masks: rows that a statement must not see, and values that it must see otherwise.

A policed table is read through a query of its own, whose rows are all that the statement's query ever gets. So nothing
in the statement, however its predicates are moved about, is computed on a row that the filter keeps back or on a value
that a mask hides: what it would raise, it would tell.

Filter and masks are SQL functions of the catalog. Their bodies are put in place, with the table's columns for their
parameters. A body may look things up in other tables and views, which are read with the rights of the function's owner
and not of whoever asks; those tables must not have policies themselves.
"""

import pyarrow as pa
import pyarrow.dataset as ds
from sqlglot import exp

from isthmus.engine import dialect
from isthmus.engine.errors import StatementError, unsupported
from isthmus.engine.planner import Given, Planner


RELATION = "isthmus policed"


class PolicedDataset(ds.Dataset):
    """The dataset of a planner.Relation seen through its policy. `run(sql, {name: dataset}, table)` gives a reader over
    the rows of a query, `open(relation)` the dataset of a table that a policy looks something up in."""

    def __init__(self, dataset, relation, statement, run, open):
        self._dataset = dataset
        self._run = run
        self._name = relation.full_name
        self._query, looked_up = _plan(relation, dataset.schema, statement)
        try:
            self.datasets = {RELATION: dataset, **{other.relation: open(other) for other in looked_up}}
        except StatementError:
            raise _unreadable(self._name) from None

    schema = property(lambda self: self._dataset.schema)

    def scanner(self, columns=None, filter=None, **_):
        wanted = self.schema.names if columns is None else columns
        told = str(filter) if filter is not None else ""
        needed = [name for name in self.schema.names if name in wanted or name in told]
        reader = self._run(self.sql(needed), self.datasets, self._name)
        part = pa.schema([self.schema.field(name) for name in needed])
        return ds.Scanner.from_batches(reader.cast(part), columns=wanted, filter=filter)

    def sql(self, names):
        query = self._query.copy()
        by_name = {column.alias: column for column in query.expressions}
        return dialect.to_duckdb(query.select(*[by_name[name] for name in names], append=False))


def _plan(relation, schema, statement):
    """The query for all columns, as a tree, and the relations that it reads besides."""
    policy = _Policy(relation, statement)
    columns = [exp.alias_(policy.columns.get(name) or _column(name), name, quoted=True) for name in schema.names]
    given = Given(RELATION, [RELATION], {})
    query = exp.select(*columns).from_(given.node())
    if policy.condition is not None:
        query = query.where(policy.condition)
    planner = Planner(statement, [given])
    try:
        planner.read(query)
    except StatementError:
        raise _unreadable(relation.full_name) from None
    looked_up = planner.relations[1:]
    for other in looked_up:
        if other.is_policed:
            raise unsupported(f"A row filter or mask of {relation.full_name} reads a table that has one itself, which",
                              "its owner must mend it")
        if other.timestamp is not None:
            raise unsupported(f"A row filter or mask of {relation.full_name} uses TIMESTAMP AS OF, which",
                              "its owner must mend it")
    return query, looked_up


def _unreadable(name):
    """What it reads is not for the principal's eyes, not even by name."""
    return StatementError(
        "INVALID_STATEMENT", f"A row filter or mask of {name} reads a table that is not there or that the function's owner "
                             "may not read, or the table's owner may not execute the function; they must mend it.")


class _Policy:
    """`columns` are {name: what is seen of it}, `condition` that of rows or None, as trees."""

    def __init__(self, relation, statement):
        self._relation = relation
        self._statement = statement
        self._known = relation.info.get("functions") or {}
        self.columns = {}
        self.condition = None
        for column in relation.info.get("columns") or ():
            mask = column.get("mask")
            if mask:
                arguments = [column["name"], *(mask.get("using_column_names") or ())]
                self.columns[column["name"]] = self._call(mask["function_name"], arguments)
        row_filter = relation.info.get("row_filter")
        if row_filter:
            self.condition = self._call(row_filter["function_name"], row_filter.get("input_column_names") or ())

    def _call(self, function_name, arguments):
        """A function's body with columns for its parameters."""
        function = self._known.get(function_name)
        where = f"{function_name}, a row filter or mask of {self._relation.full_name},"
        if function is None:
            raise StatementError("UNRESOLVED_ROUTINE", f"{where} is not in the catalog; its owner must put it there, "
                                                       "or take the policy off.")
        if (function.get("routine_body") or "SQL") != "SQL":
            raise unsupported(f"{where} is not written in SQL, which")
        parameters = (function.get("input_params") or {}).get("parameters") or ()
        parameters = [parameter["name"].lower() for parameter in parameters]
        if len(parameters) != len(arguments):
            raise StatementError("INVALID_STATEMENT",
                                 f"{where} takes {len(parameters)} arguments, and gets {len(arguments)}.")
        body = _body(where, function.get("routine_definition") or "")
        dialect.bind_session(body, self._statement)
        inner = self._look_up(body, function_name) if body.find(exp.Query) else frozenset()
        _bind(where, body, dict(zip(parameters, arguments)), function_name.rpartition(".")[2].lower(), inner)
        return body

    def _look_up(self, body, function_name):
        """The names of all columns that the tables of a body have. They are read as the function's owner reads them."""
        found = dialect.tables(body)
        catalog, schema, _ = function_name.split(".")
        via = [*self._relation.via, {"table": self._relation.full_name, "function": function_name}]
        for table in found:
            table.meta["home"] = (catalog, schema, via)
        asked = [{"name": dialect.parts(table, catalog, schema), "access": "SELECT", "via": via} for table in found]
        try:
            told, _ = self._statement.resolve(asked)
        except StatementError:
            raise _unreadable(self._relation.full_name) from None
        if not all(info.get("exists") and info.get("columns") for info in told):
            raise _unreadable(self._relation.full_name)
        names = {column["name"].lower() for info in told for column in info["columns"]}
        names |= {column.name.lower() for alias in body.find_all(exp.TableAlias) for column in alias.columns}
        return names | {alias.alias.lower() for alias in body.find_all(exp.Alias)}


def _bind(where, body, values, function, inner):
    """Put columns in the place of parameters. In a query inside of the body a parameter's name must not be a column's,
    or it would be taken for that one: the parameter of f is then to be written f.x."""
    tables = {node.alias_or_name.lower() for node in body.find_all(exp.Table, exp.Subquery, exp.CTE)}
    for column in list(body.find_all(exp.Column)):
        name, is_inside = column.name.lower(), column.find_ancestor(exp.Query) is not None
        qualifier = column.table.lower()
        if is_inside and (qualifier in tables if qualifier else name in inner and name not in values):
            continue
        if name not in values or qualifier not in ("", function):
            raise StatementError("UNRESOLVED_COLUMN", f"{where} uses {column.name}, which is none of its parameters.")
        if is_inside and not qualifier and name in inner:
            raise StatementError(
                "UNRESOLVED_COLUMN", f"{where} uses {column.name}, which is a parameter and a column of a table that it "
                                     f"reads: for the parameter it must say {function}.{column.name}.")
        column.replace(_column(values[name]))


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
    if body.find(exp.Query) and not dialect.tables(body):
        raise unsupported(f"{where} has a query without tables, which")
    return body


def _column(name):
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(RELATION, quoted=True))
