"""Tables that a statement writes, and rows on their way into one.

What is written is written with the statement's own token: owners, grants and the audit log are the user's. Rows stream
from DuckDB into Parquet files; the commit is one version. The statement's id is its idempotency key.
"""

import pyarrow as pa

from isthmus import delta, native
from isthmus.catalog import Place
from isthmus.engine import dialect, lineage, tables
from isthmus.engine.errors import StatementError, unsupported
from isthmus.engine.planner import has_policy, not_found
from isthmus.engine.results import Values, type_names

ENGINE = "isthmus-warehouse"


class Target:
    """The table that a statement writes: its name, what the server tells of it, and the node in the tree."""

    def __init__(self, engine, statement, table, access="MODIFY"):
        self.engine = engine
        self.statement = statement
        self.name = dialect.parts(table, statement.catalog, statement.schema)
        self.full_name = ".".join(self.name)
        self.info = statement.resolve([{"name": self.name, "access": access}])[0][0]
        self.at = dialect.place(table)
        if table.args.get("version"):
            raise unsupported("Writing an old version of a table", "write the table itself", self.at)

    exists = property(lambda self: bool(self.info.get("exists")))
    is_policed = property(lambda self: has_policy(self.info))
    key = property(lambda self: f"isthmus-statement-{self.statement.statement_id}")

    def must_exist(self):
        if not self.exists:
            raise not_found(self.name, self.at)
        if self.info.get("kind") == "VIEW":
            raise unsupported(f"Writing the view {self.full_name}", "write the table that it reads", self.at)
        return self

    def open(self, operation):
        with self.failing():
            return native.TableStore(self.engine.catalog(self.statement), self.full_name, operation)

    def failing(self):
        return tables.failing(self.full_name)

    def write(self, schema, batches, mode, **options):
        """Commit rows as one version; the CommitResult."""
        source = Source(batches)
        place = _Place(self)
        options = {"mode": mode, "table_name": self.full_name, "app_id": self.key, "engine": ENGINE, **options}
        try:
            with self.failing():
                return delta.write_rows(place, pa.RecordBatchReader.from_batches(schema, source), self.key, options)
        except StatementError:
            if source.failure is not None:  # what the rows failed by, not what the writer made of it
                raise source.failure from None
            raise


class _Place(Place):
    """A table as its principal opens it."""

    def __init__(self, target):
        super().__init__(None, target.full_name)
        self._target = target

    def open(self, operation):
        store = self._target.open(operation)
        self.uri = store.uri
        return store


class Source:
    """Batches for a writer; remembers what they fail by."""

    def __init__(self, batches):
        self._batches = iter(batches)
        self.failure = None

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self._batches)
        except StatementError as error:
            self.failure = error
            raise


def only(tree, *known):
    """Refuse the parts of a statement that nobody here looks at."""
    for key, value in tree.args.items():
        if value and key not in known:
            raise unsupported(f"{tree.key.upper()} with {key.strip('_').upper().replace('_', ' ')}")


def changed(kind, target, rows, inputs, columns=None, **counts):
    """The one row that a change returns."""
    told = {"inputs": inputs, "outputs": [target.full_name]}
    if columns:
        told["columns"] = {target.full_name: columns}
    return Values({"num_affected_rows": [rows], **{name: [count] for name, count in counts.items()}}, kind, told)


class Assignment:
    """A query's columns as a table's, by position or by name, with ANSI's store assignment: what does not fit fails."""

    def __init__(self, wanted, names, target):
        """`names` are the columns of the query in their order; None: what the query calls them."""
        self._wanted = {field.name.lower(): field for field in wanted}
        self._names = names
        self._target = target
        self.schema = None  # of the rows that are written, once the query is known

    def expressions(self, names, types):
        fields = [self._field(name) for name in self._names or names]
        if len(fields) != len(types):
            raise StatementError("DATATYPE_MISMATCH", f"{self._target.full_name} takes {len(fields)} columns here, and "
                                                      f"the query returns {len(types)}.")
        if len(set(fields)) < len(fields):
            raise StatementError("INVALID_STATEMENT", "A column is named twice.")
        self.schema = pa.schema(fields)
        return [_assigned(i + 1, type, field) for i, (type, field) in enumerate(zip(types, fields))]

    def _field(self, name):
        if name.lower() not in self._wanted:
            raise StatementError("UNRESOLVED_COLUMN", f"{self._target.full_name} has no column `{name}`.")
        return self._wanted[name.lower()]


def _assigned(i, type, field):
    """Column i of a query as a column of a table. Fractions are cut off, as Spark does, and not rounded."""
    is_cut = pa.types.is_integer(field.type) and type.startswith(("FLOAT", "DOUBLE", "DECIMAL"))
    value = f"trunc(#{i})" if is_cut else f"#{i}"
    name = field.name.replace('"', '""')
    return f'CAST({value} AS {dialect.duckdb_type(type_names(field.type)[1])}) AS "{name}"'


class Shape:
    """An assignment of columns that are right as they are."""

    def __init__(self, schema):
        self.schema = schema


class Counted:
    """A result's batches for a writer, counted."""

    def __init__(self, result, shape):
        self._result = result
        self._shape = shape
        self.inputs = result.lineage["inputs"]
        self.count = 0

    def origins(self, query):
        """Where the columns come from."""
        statement = self._result.statement
        names = self._shape.schema.names
        return lineage.facet(query, names, self._result.questions, statement.catalog, statement.schema)

    def __iter__(self):
        for batch in self._result.batches:
            self._result.statement.check()
            self.count += batch.num_rows
            yield pa.record_batch([column.cast(type) for column, type in zip(batch.columns, self._shape.schema.types)],
                                  schema=self._shape.schema)

    def close(self):
        self._result.close()
