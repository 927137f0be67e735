"""Statements that write tables, by the Delta plane: INSERT, CREATE TABLE, DROP TABLE. Those that change rows are in
rewrites.py.

What is read is read as for a query, what is written is written with the statement's own token: owners, grants and the
audit log are the user's. Rows stream from DuckDB into Parquet files; the commit is one version. The statement's id is
its idempotency key.
"""

import pyarrow as pa
from sqlglot import exp

from isthmus import delta, errors, native
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


# ---- INSERT ----------------------------------------------------------------------------------------------------------


def insert(engine, statement, tree):
    """INSERT INTO | OVERWRITE [TABLE] name [(columns)] | BY NAME query."""
    only(tree, "this", "expression", "overwrite", "with_", "by_name", "source")
    schema = tree.this if isinstance(tree.this, exp.Schema) else None
    table = schema.this if schema else tree.this
    if table.args.get("partition"):
        raise unsupported("INSERT with PARTITION", "name the partition's columns among the others")
    target = Target(engine, statement, table).must_exist()
    query = _source(tree)
    with target.failing():
        wanted = native.Snapshot(target.open("write")).schema
    assignment = _Assignment(wanted, schema.expressions if schema else None, bool(tree.args.get("by_name")), target)
    rows = Counted(engine.query(statement, query, assignment.expressions), assignment)
    try:
        target.write(assignment.schema, rows, "overwrite" if tree.args.get("overwrite") else "append")
    finally:
        rows.close()
    return changed("INSERT", target, rows.count, rows.inputs, rows.origins(query), num_inserted_rows=rows.count)


def _source(tree):
    """The query of an INSERT or CREATE, with what stands before it as WITH."""
    source = tree.args.get("source")
    query = exp.select("*").from_(source.copy()) if source else tree.expression.copy()
    if isinstance(query, exp.Values):
        query = dialect.values_query(query)
    if tree.args.get("with_"):
        query.set("with_", tree.args["with_"].copy())
    return query


class _Assignment:
    """A query's columns as a table's, by position or by name, with ANSI's store assignment: what does not fit fails."""

    def __init__(self, wanted, named, by_name, target):
        self._wanted = {field.name.lower(): field for field in wanted}
        self._names = [column.name for column in named] if named else None if by_name else wanted.names
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


# ---- CREATE, DROP ----------------------------------------------------------------------------------------------------


def create(engine, statement, tree):
    """CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name [(columns)] [USING DELTA] [PARTITIONED BY (columns)]
    [TBLPROPERTIES (...)] [AS query]."""
    only(tree, "this", "kind", "replace", "expression", "exists", "properties", "with_")
    if tree.args.get("kind") != "TABLE":
        raise unsupported(f"CREATE {tree.args.get('kind')}")
    definition = tree.this if isinstance(tree.this, exp.Schema) else None
    target = Target(engine, statement, definition.this if definition else tree.this, "CREATE")
    options = _table_options(tree)
    replace = bool(tree.args.get("replace"))
    if target.exists and not replace:
        if tree.args.get("exists"):
            return changed("CREATE", target, 0, [])
        name = dialect.show_name(target.name)
        raise StatementError("TABLE_OR_VIEW_ALREADY_EXISTS", f"The table {name} is there already. "
                             "Choose another name, drop it, or write CREATE OR REPLACE TABLE.", target.at)
    if target.exists and options["properties"]:
        raise unsupported("CREATE OR REPLACE of a table that is there, with TBLPROPERTIES,", "drop it first")
    if definition and tree.expression:
        raise unsupported("CREATE TABLE with columns and a query", "let the query tell the columns")
    if not definition and not tree.expression:
        raise StatementError("INVALID_STATEMENT", "CREATE TABLE takes columns, or a query after AS.", target.at)
    query = _source(tree) if tree.expression else _empty_query(definition)
    result = engine.query(statement, query)
    shape = Shape(_with_nullability(result.schema, definition))
    rows = Counted(result, shape)
    try:
        target.write(shape.schema, rows, "overwrite" if replace else "error", overwrite_schema=replace, **options)
    finally:
        rows.close()
    return changed("CREATE", target, rows.count, rows.inputs, rows.origins(query), num_inserted_rows=rows.count)


class Shape:
    def __init__(self, schema):
        self.schema = schema


def _table_options(tree):
    properties, partition_by = {}, None
    for node in tree.args["properties"].expressions if tree.args.get("properties") else ():
        if isinstance(node, exp.PartitionedByProperty) and isinstance(node.this, exp.Schema):
            partition_by = [column.name for column in node.this.expressions]
        elif isinstance(node, exp.FileFormatProperty) and node.name.upper() == "DELTA":
            pass
        elif type(node) is exp.Property:
            properties[node.name] = node.args["value"].name
        else:
            raise unsupported(f"CREATE TABLE with {node.sql(dialect=dialect.WarehouseSql)[:60]}")
    return {"properties": properties or None, "partition_by": partition_by}


def _empty_query(definition):
    """A query without rows that has the columns of a definition."""
    columns = []
    for column in definition.expressions:
        if not isinstance(column, exp.ColumnDef) or column.args.get("kind") is None:
            raise unsupported(f"{column.sql(dialect=dialect.WarehouseSql)[:60]} in CREATE TABLE")
        for constraint in column.constraints:
            if not isinstance(constraint.kind, exp.NotNullColumnConstraint):
                raise unsupported(f"{constraint.sql(dialect=dialect.WarehouseSql)[:60]} in CREATE TABLE")
        columns.append(exp.alias_(exp.Cast(this=exp.Null(), to=column.args["kind"].copy()), column.name, quoted=True))
    return exp.select(*columns).where(exp.false())


def _with_nullability(schema, definition):
    required = {column.name for column in definition.expressions if column.constraints} if definition else ()
    return pa.schema([field.with_nullable(field.name not in required) for field in schema])


def drop(engine, statement, tree):
    """DROP TABLE [IF EXISTS] name."""
    only(tree, "tables", "this", "exists", "kind")
    named = tree.args.get("tables") or [tree.this]
    if tree.args.get("kind") != "TABLE" or len(named) != 1:
        raise unsupported(f"DROP {tree.args.get('kind')}" if len(named) == 1 else "DROP of several tables")
    name = dialect.parts(named[0], statement.catalog, statement.schema)
    try:
        engine.catalog(statement).delete_table(".".join(name))
    except errors.NotFoundError:
        if not tree.args.get("exists"):
            raise not_found(name, dialect.place(named[0])) from None
    except errors.IsthmusError as error:
        raise tables.table_error(".".join(name), error) from None
    return Values({}, "DROP")
