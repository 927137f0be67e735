"""SQL on a warehouse of `isthmus serve` or of Databricks: results as Arrow and as Ray Datasets (isthmus/warehouse.h).

    isthmus.sql("SELECT * FROM main.demo.scores WHERE score > :low", {"low": 0.5}).to_pandas()
    isthmus.read_sql("SELECT * FROM main.demo.scores")                     # a Ray Dataset; workers fetch the chunks
    isthmus.read_databricks_tables(warehouse_id="embedded", table="main.demo.scores")      # with Ray's arguments

The server records what a statement read and wrote, and keeps a history of statements.
"""

import contextlib
import datetime
import decimal
import functools

import pyarrow as pa

from isthmus import _html, errors, native, progress
from isthmus.catalog import Catalog

INT_MAX = 2**31 - 1


class Result:
    """The result of a statement, kept by the server for a time. Arrow readers take it as its rows, more than once."""

    def __init__(self, statement):
        self._statement = statement

    statement_id = property(lambda self: self._statement.id)
    rows = property(lambda self: self._statement.rows)
    is_truncated = property(lambda self: self._statement.is_truncated)
    schema = property(lambda self: self._statement.schema)
    manifest = property(lambda self: self._statement.manifest())

    def reader(self):
        """A pyarrow RecordBatchReader: chunks are fetched ahead while it is read."""
        return self._statement.read()

    def to_arrow(self):
        with progress.bar("result") as bar:
            return bar.counted(self.reader()).read_all()

    def head(self, rows=10):
        """The first rows as a pyarrow Table; no more than one chunk is fetched for them."""
        for task, *_ in self._statement.tasks()[:1]:
            with contextlib.closing(_batches_of(task)) as batches:
                return pa.Table.from_batches(_first_rows(batches, rows), self.schema)
        return self.schema.empty_table()

    def to_pandas(self):
        return self.to_arrow().to_pandas()

    def __arrow_c_schema__(self):
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.reader().__arrow_c_stream__(requested_schema)

    def _repr_html_(self):
        first = self.head()
        lines = [[_cell(value) for value in line] for line in zip(*(column.to_pylist() for column in first.columns))]
        numbers = [i for i, field in enumerate(self.schema) if pa.types.is_integer(field.type)
                   or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)]
        left = self.rows - len(lines)
        return _html.box("SQL result", _html.rows(self.schema.names, lines, numbers),
                         _html.note(f"and {left:,} more" if left else ""),
                         note=f"{_html.count(self.rows, 'row')}{', cut at a limit' if self.is_truncated else ''}, "
                              f"statement {self.statement_id}")

    def __repr__(self):
        cut = ", cut at a limit" if self.is_truncated else ""
        return f"<Result of statement {self.statement_id}: {self.rows:,} rows{cut}>"


def _batches_of(task):
    yield from native.read_chunk(task)


def _first_rows(batches, rows):
    for batch in batches:
        yield batch.slice(0, rows)
        rows -= batch.num_rows
        if rows <= 0:
            return


CELL_MAX = 100


def _cell(value):
    """A value as a notebook shows it: what is long is cut."""
    text = "null" if value is None else value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= CELL_MAX else f"{text[:CELL_MAX]}\N{HORIZONTAL ELLIPSIS}"


def sql(query, parameters=None, *, warehouse_id=None, catalog=None, schema=None, row_limit=None, byte_limit=None,
        timeout=None, connection=None, compression=None):
    """Run one SQL statement and wait for its end; its Result. Ctrl-C cancels it.

    parameters    {"name": value} for :name in the query; values are Python's, or (value, "TYPE") to name the SQL type;
                  or the API's own [{"name", "value", "type"}]
    warehouse_id  $DATABRICKS_WAREHOUSE_ID, else "embedded"
    catalog       of names without one, as schema is
    row_limit, byte_limit    the result is cut there, and says so (is_truncated)
    timeout       seconds for everything up to the last row
    connection    an isthmus.Catalog, or what it takes ("databricks:PROFILE"); otherwise the configured one
    compression   "lz4" or "none" on the way; by default lz4, except on this machine

    Raises BadInputError (SQL: `where` tells line and position), ForbiddenError, NotFoundError, UnauthenticatedError,
    CancelledError, RetryableError, NoMemoryError, as isthmus/warehouse.h tells.
    """
    statement = native.Statement(_connection(connection), query, _parameters(parameters), compression,
                                 **_members(warehouse_id, catalog, schema, row_limit, byte_limit, timeout))
    with progress.bar("sql"):
        statement.wait()
    return Result(statement)


def _connection(connection):
    return connection if isinstance(connection, Catalog) else Catalog(connection)


def _members(warehouse_id=None, catalog=None, schema=None, row_limit=None, byte_limit=None, timeout=None):
    return {"warehouse_id": warehouse_id, "catalog": catalog, "schema": schema, "row_limit": row_limit,
            "byte_limit": byte_limit, "timeout_ms": None if timeout is None else max(1, round(timeout * 1000))}


# ---- parameters ------------------------------------------------------------------------------------------------------


def _parameters(parameters):
    """[(name, text or None, type or None)] of what a user gives."""
    if parameters is None:
        return []
    if isinstance(parameters, dict):
        return [(name, *_text_and_type(name, value)) for name, value in parameters.items()]
    return [(item["name"], item.get("value"), item.get("type")) for item in parameters]


def _text_and_type(name, value):
    named = None
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        value, named = value
    if value is None:
        return None, named
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            text, own = convert(value)
            return text, named or own
    raise errors.BadInputError(f"parameter {name}: a {type(value).__name__} is none of str, bool, int, float, Decimal, "
                               "date, datetime and None; give (text, 'SQL TYPE')")


def _decimal(value):
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise errors.BadInputError(f"{value} is no value of a DECIMAL")
    scale = max(0, -exponent)
    return format(value, "f"), f"DECIMAL({max(len(digits) + max(0, exponent), scale, 1)},{scale})"


def _timestamp(value):
    return value.isoformat(" "), "TIMESTAMP" if value.tzinfo else "TIMESTAMP_NTZ"


_CONVERSIONS = (  # a bool is an int, and a datetime a date
    (str, lambda value: (value, "STRING")),
    (bool, lambda value: (str(value).lower(), "BOOLEAN")),
    (int, lambda value: (str(value), "INT" if -INT_MAX <= value <= INT_MAX else "BIGINT")),
    (float, lambda value: (repr(value), "DOUBLE")),
    (decimal.Decimal, _decimal),
    (datetime.datetime, _timestamp),
    (datetime.date, lambda value: (value.isoformat(), "DATE")),
)

# ---- Ray -------------------------------------------------------------------------------------------------------------


def read_sql(query, *, warehouse_id=None, catalog=None, schema=None, parameters=None, row_limit=None, byte_limit=None,
             timeout=None, connection=None, credential_provider=None, parallelism=-1, override_num_blocks=None,
             **ray_arguments):
    """A Ray Dataset of a statement's result. The statement runs now; Ray's workers fetch the chunks when they are
    needed, as long as the server keeps them. What it read is told of as what a table came from that is written from it.

    credential_provider   Ray's DatabricksCredentialProvider, in place of `connection`: asked for a host and tokens,
                          here and in the workers
    parallelism           override_num_blocks' old name
    ray_arguments         of ray.data.read_datasource: num_cpus, concurrency, memory...

    The other arguments, and what is raised, are those of isthmus.sql.
    """
    from isthmus import openlineage
    from isthmus import ray as isthmus_ray

    source = _Source(connection, credential_provider)
    statement = source.run(query, _parameters(parameters),
                           _members(warehouse_id, catalog, schema, row_limit, byte_limit, timeout))
    pieces = [isthmus_ray.Piece(rows, bytes, functools.partial(_read_chunk, _Task(task, credential_provider)))
              for task, rows, bytes in statement.tasks()]
    inputs = [openlineage.Dataset(name) for name in statement.manifest().get("isthmus_inputs", ())]
    if override_num_blocks is None and parallelism > 0:
        override_num_blocks = parallelism
    return isthmus_ray.read_pieces("SQL", statement.schema, pieces, inputs, None, override_num_blocks, **ray_arguments)


def read_databricks_tables(*, warehouse_id, table=None, query=None, catalog=None, schema=None, credential_provider=None,
                           parallelism=-1, num_cpus=None, num_gpus=None, memory=None, concurrency=None,
                           override_num_blocks=None, label_selector=None, fallback_strategy=None, max_calls=None,
                           resources=None, accelerator_type=None, runtime_env=None, ray_remote_args=None):
    """ray.data.read_databricks_tables with the same arguments, by a faster client: chunks are fetched as soon as the
    statement has ended, downloads that break go on, and a chunk that is not whole is an error. Without catalog and
    schema the warehouse's own are used, and no Spark session is asked. DATABRICKS_HOST and DATABRICKS_TOKEN are
    honoured, and so is everything else that isthmus.Catalog() finds."""
    if (query is None) == (table is None):
        raise errors.BadInputError("give one of `query` and `table`")
    given = {"num_cpus": num_cpus, "num_gpus": num_gpus, "memory": memory, "concurrency": concurrency,
             "label_selector": label_selector, "fallback_strategy": fallback_strategy, "max_calls": max_calls,
             "resources": resources, "accelerator_type": accelerator_type, "runtime_env": runtime_env,
             "ray_remote_args": ray_remote_args}
    return read_sql(query if table is None else f"SELECT * FROM {table}", warehouse_id=warehouse_id, catalog=catalog,
                    schema=schema, credential_provider=credential_provider, parallelism=parallelism,
                    override_num_blocks=override_num_blocks,
                    **{name: value for name, value in given.items() if value is not None})


class _Source:
    """Where statements go: a connection, or a provider of tokens, whose token is replaced once where it is refused."""

    def __init__(self, connection, provider):
        self._provider = provider
        self._catalog = _connection(connection) if provider is None else None

    def catalog(self):
        if self._catalog is None:
            host = self._provider.get_host()
            self._catalog = Catalog(host if "://" in host else f"https://{host}", token=self._provider.get_token())
        return self._catalog

    def with_token(self, do):
        try:
            return do(self.catalog())
        except errors.UnauthenticatedError:
            if self._provider is None:
                raise
            self._provider.invalidate()
            self._catalog = None
            return do(self.catalog())

    def run(self, query, parameters, members):
        """The statement, when it has succeeded."""
        statement = self.with_token(lambda catalog: native.Statement(catalog, query, parameters, **members))
        try:
            with progress.bar("sql"):
                statement.wait()
        except errors.UnauthenticatedError:  # the token ended while it ran
            id = statement.id
            statement = self.with_token(lambda catalog: native.Statement.open(catalog, id))
            statement.wait()
        return statement


class _Task:
    """A chunk for a Ray worker. It holds a token: its repr does not show it."""

    def __init__(self, task, provider):
        self._task = task
        self._provider = provider

    def read(self):
        if self._provider is None:
            return native.read_chunk(self._task)
        return _Source(None, self._provider).with_token(lambda catalog: native.read_chunk(self._task, catalog))

    def __repr__(self):
        return "<chunk of a SQL result>"


def _read_chunk(task):
    yield task.read().read_all()  # a table of many batches is cheaper for Ray than many tables
