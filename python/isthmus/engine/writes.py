"""Statements that write whole rows, by the Delta plane: INSERT, CREATE TABLE, DROP TABLE. What is read is read as for a
query.
"""

import pyarrow as pa
from sqlglot import exp

from isthmus import errors, native
from isthmus.engine import dialect, rewrites, tables
from isthmus.engine.errors import StatementError, unsupported
from isthmus.engine.planner import not_found
from isthmus.engine.results import Values
from isthmus.engine.targets import Assignment, Counted, Shape, Target, changed, only

# ---- INSERT ----------------------------------------------------------------------------------------------------------


def insert(engine, statement, tree):
    """INSERT INTO | OVERWRITE [TABLE] name [PARTITION (column [= value], ...)] [(columns)] | BY NAME
    [REPLACE WHERE condition] query."""
    only(tree, "this", "expression", "overwrite", "with_", "by_name", "source", "where")
    schema = tree.this if isinstance(tree.this, exp.Schema) else None
    table = schema.this if schema else tree.this
    target = Target(engine, statement, table).must_exist()
    with target.failing():
        snapshot = native.Snapshot(target.open("write"))
    given = _partition(table, snapshot, target)
    query = _source(tree)
    if given:
        values = [exp.alias_(value.copy(), name, quoted=True) for name, value in given.items()]
        query = exp.select(exp.Star(), *values).from_(query.subquery(exp.to_identifier("isthmus rows", quoted=True)))
    names = [column.name for column in schema.expressions] if schema else \
        None if tree.args.get("by_name") else [name for name in snapshot.schema.names if name not in given]
    assignment = Assignment(snapshot.schema, names and names + list(given), target)
    overwrites = bool(tree.args.get("overwrite"))
    if tree.args.get("where") or overwrites and given:
        return rewrites.replace(engine, statement, table, tree.args.get("where"), given, query, assignment)
    rows = Counted(engine.query(statement, query, assignment.expressions), assignment)
    try:
        target.write(assignment.schema, rows, "overwrite" if overwrites else "append")
    finally:
        rows.close()
    return changed("INSERT", target, rows.count, rows.inputs, rows.origins(query), num_inserted_rows=rows.count)


def _partition(table, snapshot, target):
    """{column: value} of the columns of PARTITION that have one."""
    given = {}
    known = {name.lower(): name for name in snapshot.partition_columns}
    for node in table.args["partition"].expressions if table.args.get("partition") else ():
        column = node.this if isinstance(node, exp.EQ) else node
        if not isinstance(column, exp.Column) or column.name.lower() not in known:
            raise StatementError("NON_PARTITION_COLUMN", f"PARTITION takes partition columns, which "
                                 f"`{column.name}` of {target.full_name} is not.", dialect.place(column))
        if isinstance(node, exp.EQ):
            given[known[column.name.lower()]] = node.expression
    return given


def _source(tree):
    """The query of an INSERT or CREATE, with what stands before it as WITH."""
    source = tree.args.get("source")
    query = exp.select("*").from_(source.copy()) if source else tree.expression.copy()
    if isinstance(query, exp.Values):
        query = dialect.values_query(query)
    if tree.args.get("with_"):
        query.set("with_", tree.args["with_"].copy())
    return query


# ---- CREATE, DROP ----------------------------------------------------------------------------------------------------


def create(engine, statement, tree):
    """CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name [(columns)] [USING DELTA] [PARTITIONED BY (columns)]
    [COMMENT text] [TBLPROPERTIES (...)] [AS query]."""
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
    if target.exists and (options["properties"] or options["description"]):
        raise unsupported("CREATE OR REPLACE of a table that is there, with TBLPROPERTIES or COMMENT,", "drop it first")
    if definition and tree.expression:
        raise unsupported("CREATE TABLE with columns and a query", "let the query tell the columns")
    if not definition and not tree.expression:
        raise StatementError("INVALID_STATEMENT", "CREATE TABLE takes columns, or a query after AS.", target.at)
    query = _source(tree) if tree.expression else _empty_query(definition)
    result = engine.query(statement, query)
    shape = Shape(_with_constraints(result.schema, definition))
    rows = Counted(result, shape)
    try:
        target.write(shape.schema, rows, "overwrite" if replace else "error", overwrite_schema=replace, **options)
    finally:
        rows.close()
    return changed("CREATE", target, rows.count, rows.inputs, rows.origins(query), num_inserted_rows=rows.count)


def _table_options(tree):
    properties, partition_by, comment = {}, None, None
    for node in tree.args["properties"].expressions if tree.args.get("properties") else ():
        if isinstance(node, exp.PartitionedByProperty) and isinstance(node.this, exp.Schema):
            partition_by = [column.name for column in node.this.expressions]
        elif isinstance(node, exp.FileFormatProperty) and node.name.upper() == "DELTA":
            pass
        elif type(node) is exp.Property:
            properties[node.name] = node.args["value"].name
        elif isinstance(node, exp.SchemaCommentProperty):
            comment = node.name
        else:
            raise unsupported(f"CREATE TABLE with {node.sql(dialect=dialect.WarehouseSql)[:60]}")
    return {"properties": properties or None, "partition_by": partition_by, "description": comment}


def _empty_query(definition):
    """A query without rows that has the columns of a definition."""
    columns = []
    for column in definition.expressions:
        if not isinstance(column, exp.ColumnDef) or column.args.get("kind") is None:
            raise unsupported(f"{column.sql(dialect=dialect.WarehouseSql)[:60]} in CREATE TABLE")
        for constraint in column.constraints:
            if not isinstance(constraint.kind, (exp.NotNullColumnConstraint, exp.CommentColumnConstraint)):
                raise unsupported(f"{constraint.sql(dialect=dialect.WarehouseSql)[:60]} in CREATE TABLE")
        columns.append(exp.alias_(exp.Cast(this=exp.Null(), to=column.args["kind"].copy()), column.name, quoted=True))
    return exp.select(*columns).where(exp.false())


def _with_constraints(schema, definition):
    """With the NOT NULL and COMMENT of a definition."""
    fields = {field.name: field.with_nullable(True) for field in schema}
    for column in definition.expressions if definition else ():
        for constraint in column.constraints:
            is_comment = isinstance(constraint.kind, exp.CommentColumnConstraint)
            field = fields[column.name]
            fields[column.name] = field.with_metadata({"comment": constraint.kind.name}) if is_comment else \
                field.with_nullable(bool(constraint.kind.args.get("allow_null")))
    return pa.schema(fields.values())


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
