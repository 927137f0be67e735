"""The embedded engine: Databricks SQL over Delta tables by DuckDB.

A statement runs on a connection of its own to one database in memory, which sees nothing but the relations that the
statement may read (planner.py), calls nothing but what functions.py knows, and cannot change a setting: nothing of one
statement is left for the next. Plans are kept by the statement's text and all that the server told when they were made.
"""

import collections
import os
import pathlib
import re
import shutil

import pyarrow as pa

try:
    import duckdb
    from sqlglot import exp
except ImportError as error:
    raise ImportError(f"the embedded engine needs {error.name}: pip install 'isthmus[warehouse]'") from None

from isthmus import errors as library_errors
from isthmus.engine import dialect, functions
from isthmus.engine.errors import StatementError, cancelled, unsupported
from isthmus.engine.planner import Planner, qualified_columns
from isthmus.engine.tables import Tables

BATCH_ROWS = 32768
PLANS_KEPT = 512
MEMORY_SHARE = 0.7  # of the worker's memory is DuckDB's; the rest is for Python, Arrow and what is read ahead


class Engine:
    def __init__(self, hello):
        self.version = f"duckdb {duckdb.__version__}"
        self.memory_limit = hello.get("memory_limit") or 1 << 30
        self.tables = Tables(hello["catalog"])
        self.database = _open_database(self.memory_limit, hello.get("threads") or 1, hello.get("temp_dir"))
        self._plans = collections.OrderedDict()
        self._running = None

    def warm_up(self):
        dialect.parse("SELECT 1").sql(dialect="duckdb")
        self.database.cursor().sql("SELECT 1").to_arrow_reader().read_all()

    def interrupt(self):
        running = self._running
        if running is not None:
            running.interrupt()

    def execute(self, statement):
        try:
            tree = dialect.parse(statement.statement)
            if not isinstance(tree, exp.Query):
                raise unsupported(f"The statement {tree.key.upper()}")
            return self._run(statement, self._plan(statement, tree))
        except RecursionError:
            raise StatementError("INVALID_STATEMENT", "The statement is nested too deeply.") from None

    # ---- plans

    def _plan(self, statement, tree):
        key = (statement.statement, statement.catalog, statement.schema, statement.user, tuple(statement.groups),
               repr(statement.parameters))
        plan = self._plans.pop(key, None)
        if plan is None or not plan.still_holds(statement):
            plan = self._make_plan(statement, tree.copy())
        self._plans[key] = plan
        while len(self._plans) > PLANS_KEPT:
            self._plans.popitem(last=False)
        return plan

    def _make_plan(self, statement, tree):
        told = _Recorder(statement)
        dialect.bind_parameters(tree, statement.statement, statement.parameters)
        dialect.name_outputs(tree)
        dialect.bind_session(tree, statement)
        dialect.name_functions(tree)
        planner = Planner(told)
        planner.read(tree)
        qualified_columns(tree)
        sql = dialect.to_duckdb(tree)
        functions.check(self.database, sql, [relation.relation for relation in planner.relations], statement.statement)
        return Plan(sql, planner.relations, told.questions, {"inputs": sorted(planner.names)})

    # ---- running

    def _run(self, statement, plan):
        connection = self.database.cursor()
        try:
            self._running = connection
            datasets = {}
            for relation in plan.relations:
                key = (relation.full_name, relation.version, relation.timestamp)
                if key not in datasets:
                    datasets[key] = self.tables.dataset(relation, self._time(connection, relation))
                connection.register(relation.relation, datasets[key])
            statement.check()
            with _translating(statement, plan, self.memory_limit):
                reader = connection.sql(plan.sql).to_arrow_reader(BATCH_ROWS)
            return Result(self, connection, reader, statement, plan)
        except BaseException:
            self._running = None
            connection.close()
            raise

    def _time(self, connection, relation):
        if relation.timestamp is None:
            return None
        try:
            sql = f"SELECT epoch_ms(CAST({dialect.to_duckdb(relation.timestamp)} AS TIMESTAMPTZ))"
            functions.check(self.database, sql, ())
            return connection.execute(sql).fetchall()[0][0]
        except duckdb.Error:
            raise StatementError("INVALID_STATEMENT", f"TIMESTAMP AS OF of {relation.full_name} is not a time.") from None


def _open_database(memory_limit, threads, temp_dir):
    database = duckdb.connect(":memory:", config={
        "memory_limit": f"{int(memory_limit * MEMORY_SHARE) >> 20}MiB",
        "threads": str(threads),
        "temp_directory": _own_folder(temp_dir) if temp_dir else "",
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    })
    for setting in ("TimeZone = 'UTC'", "enable_external_access = false", "lock_configuration = true"):
        database.execute(f"SET {setting}")
    return database


def _own_folder(temp_dir):
    """A folder for what spills; those of workers that died are removed."""
    for folder in pathlib.Path(temp_dir).glob("engine-*"):
        pid = folder.name.rpartition("-")[2]
        if not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(folder, ignore_errors=True)
    return str(pathlib.Path(temp_dir) / f"engine-{os.getpid()}")


class Plan:
    """SQL for DuckDB over `relations`, and the questions to the server whose answers it was made of."""

    def __init__(self, sql, relations, questions, lineage):
        self.sql = sql
        self.relations = relations
        self.questions = questions
        self.lineage = lineage

    def still_holds(self, statement):
        """Ask again what was asked: grants and tables may have changed."""
        return all(statement.resolve(asked)[0] == answer for asked, answer in self.questions)


class _Recorder:
    """A statement that writes down what the server is asked."""

    def __init__(self, statement):
        self._statement = statement
        self.questions = []

    def __getattr__(self, name):
        return getattr(self._statement, name)

    def resolve(self, tables):
        found, functions = self._statement.resolve(tables)
        self.questions.append((tables, found))
        return found, functions


# ---- results ---------------------------------------------------------------------------------------------------------


class Result:
    """What a query returns, in Databricks' types."""

    kind = "SELECT"

    def __init__(self, engine, connection, reader, statement, plan):
        self._engine = engine
        self._connection = connection
        self._reader = reader
        self._statement = statement
        self._plan = plan
        self.lineage = plan.lineage
        self.schema = pa.schema([field.with_type(_type(field.type)) for field in reader.schema])

    @property
    def batches(self):
        same = self.schema.types == self._reader.schema.types
        with _translating(self._statement, self._plan, self._engine.memory_limit):
            for batch in self._reader:
                yield batch if same else pa.record_batch(
                    [_cast(column, type) for column, type in zip(batch.columns, self.schema.types)], schema=self.schema)

    def close(self):
        self._engine._running = None
        self._reader.close()
        self._connection.close()


_WIDER = {
    pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0),
    pa.decimal128(38, 0): pa.int64(),  # of sum() over integers
    pa.timestamp("ns"): pa.timestamp("us"), pa.timestamp("ms"): pa.timestamp("us"), pa.timestamp("s"): pa.timestamp("us"),
    pa.time64("us"): pa.string(), pa.month_day_nano_interval(): pa.string(), pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
}


def _type(type):
    """The type of Databricks that takes a type of DuckDB's."""
    if pa.types.is_dictionary(type):
        return _type(type.value_type)
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        return pa.list_(pa.field("element", _type(type.value_type)))
    if pa.types.is_map(type):
        return pa.map_(_type(type.key_type), _type(type.item_type))
    if pa.types.is_struct(type):
        return pa.struct([field.with_type(_type(field.type)) for field in type])
    if pa.types.is_timestamp(type) and type.tz:
        return pa.timestamp("us", "UTC")
    return _WIDER.get(type, type)


def _cast(column, type):
    if column.type == type:
        return column
    if pa.types.is_interval(column.type):
        return pa.array([None if value is None else _interval_text(value) for value in column.to_pylist()], type)
    return column.cast(type)


def _interval_text(value):
    seconds, nanos = divmod(abs(value.nanoseconds), 10**9)
    sign = "-" if value.nanoseconds < 0 else ""
    clock = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{nanos:09}"
    return f"{value.months // 12}-{value.months % 12}" if value.months else f"{value.days} {clock}"


# ---- errors ----------------------------------------------------------------------------------------------------------


class _translating:
    """Turns what DuckDB and the library raise into a StatementError."""

    def __init__(self, statement, plan, memory_limit):
        self.statement = statement
        self.plan = plan
        self.memory_limit = memory_limit

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, (duckdb.Error, pa.ArrowException, library_errors.IsthmusError, OSError)) and not isinstance(
                error, StatementError):
            raise self._told(error) from None

    def _told(self, error):
        text = self._own_words(str(error))
        if self.statement.is_cancelled or isinstance(error, duckdb.InterruptException):
            return cancelled()
        if isinstance(error, (duckdb.OutOfMemoryException, pa.ArrowMemoryError, library_errors.NoMemoryError)):
            return StatementError(
                "OUT_OF_MEMORY", f"The statement needs more than the {self.memory_limit >> 20:,} MiB of memory of a worker "
                "of this warehouse. Let it read or return less, or run it on a larger warehouse.", code="RESOURCE_EXHAUSTED")
        for pattern, condition, message in _MESSAGES:
            found = re.search(pattern, text)
            if found:
                name = found.group(1) if found.groups() else ""
                hint = re.search(r"Candidate bindings: (.*)", str(error))
                did_you_mean = f" Did you mean one of these: {hint.group(1)}?" if hint and "{hint}" in message else ""
                return StatementError(condition, message.format(name=name, text=text, hint=did_you_mean), dialect.locate(self.statement.statement, name))
        return StatementError("INVALID_STATEMENT", text)

    def _own_words(self, text):
        """The first line, without DuckDB's kind of error and with the names that the user wrote."""
        text = text.partition("\n")[0]
        text = re.sub(r"^[A-Za-z ]+ Error: ", "", text)
        return re.sub(r"isthmus (\d+)", lambda found: self.plan.relations[int(found.group(1))].full_name, text)


_MESSAGES = (  # pattern, condition, message
    (r'[Cc]olumn "([^"]+)" not found in FROM', "UNRESOLVED_COLUMN", "A column with name `{name}` cannot be resolved.{hint}"),
    (r'does not have a column named "([^"]+)"', "UNRESOLVED_COLUMN", "A column with name `{name}` cannot be resolved.{hint}"),
    (r'Referenced table "([^"]+)" not found', "UNRESOLVED_COLUMN", "Nothing in FROM is called `{name}`.{hint}"),
    (r"Could not convert|[Cc]onversion|[Uu]nimplemented type for cast|invalid .* field|out of range for the destination",
     "CAST_INVALID_INPUT", "{text}"),
    (r"[Oo]verflow|[Oo]ut of [Rr]ange", "ARITHMETIC_OVERFLOW", "{text}"),
    (r"Division by zero", "DIVIDE_BY_ZERO", "Division by zero. Use `try_divide` to get NULL instead."),
)
