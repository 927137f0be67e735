"""The embedded engine: Databricks SQL over Delta tables by DuckDB.

A statement runs on a connection of its own to one database in memory, which sees nothing but the relations that the
statement may read (planner.py), calls nothing but what functions.py knows, and cannot change a setting: nothing of one
statement is left for the next. Plans are kept by the statement's text and all that the server told when they were made.
"""

import collections
import contextlib
import re

import pyarrow as pa
import pyarrow.dataset as ds

try:
    import duckdb
    from sqlglot import exp
except ImportError as error:
    raise ImportError(f"the embedded engine needs {error.name}: pip install 'isthmus[warehouse]'") from None

from isthmus import errors as library_errors
from isthmus.catalog import Catalog
from isthmus.engine import commands, dialect, functions, rewrites, types, writes
from isthmus.engine.errors import StatementError, cancelled, unsupported
from isthmus.engine.planner import Given, Planner
from isthmus.engine.policies import PolicedDataset
from isthmus.engine.tables import Tables

BATCH_ROWS = 32768
PLANS_KEPT = 128
MEMORY_SHARE = 0.7  # of the worker's memory is DuckDB's; the rest is for Python, Arrow and what is read ahead


class Engine:
    def __init__(self, hello):
        self.version = f"duckdb {duckdb.__version__}"
        self.host = hello["catalog"]
        self.memory_limit = hello.get("memory_limit") or 1 << 30
        self.database = _open_database(self.memory_limit, hello.get("threads") or 1, hello.get("temp_dir"))
        self.tables = Tables(self.host, self._schema_of)
        self._plans = collections.OrderedDict()
        self._run = None

    def warm_up(self):
        dialect.parse("SELECT 1").sql(dialect="duckdb")
        self.database.cursor().sql("SELECT 1").to_arrow_reader().read_all()

    def interrupt(self):
        run = self._run
        if run is not None:
            run.interrupt()

    def execute(self, statement):
        try:
            tree = dialect.parse(statement.statement)
            for kind, execute in _STATEMENTS:
                if isinstance(tree, kind):
                    return execute(self, statement, tree)
            word = tree.name if isinstance(tree, exp.Command) else tree.key
            command = _COMMANDS.get(word.upper())
            if command is None:
                raise unsupported(f"The statement {word.upper()}")
            return command(self, statement, tree)
        except RecursionError:
            raise StatementError("INVALID_STATEMENT", "The statement is nested too deeply.") from None

    def catalog(self, statement):
        """The catalog as the principal sees it."""
        return Catalog(self.host["host"], token=statement.token, ca_file=self.host.get("ca_file"))

    # ---- queries

    def query(self, statement, tree, assign=None, given=None):
        """Run a query; its Result. `assign`, given the names and DuckDB's types of its columns, tells an expression for
        each (in DuckDB's SQL, #1 for the first column) to be returned in its place. `given` are planner.Given that it
        may read; without them the plan is kept for the same text."""
        plan = self._plan(statement, tree) if given is None else self._make_plan(statement, tree.copy(), given)
        run = self._run = Run(self, statement, plan)
        try:
            return Result(run, assign)
        except BaseException:
            run.close()
            raise

    def keep(self, statement, tree, name, given=(), more=False, assign=None):
        """Put a query's rows into a new table of DuckDB's own, or `more` of them into one that is there; the query's
        Plan. Rows that do not fit into memory go to the worker's temporary folder. Whoever keeps has to `forget`."""
        plan = self._make_plan(statement, tree.copy(), given)
        run = self._run = Run(self, statement, plan)
        try:
            statement.check()
            with run.translating():
                sql = plan.sql if assign is None else _assigned(run, assign)
                run.connection.execute((f'INSERT INTO "{name}" ' if more else f'CREATE TABLE "{name}" AS ') + sql)
        finally:
            run.close()
        return plan

    def kept(self, name):
        """The schema of a table that is kept, in Databricks' types."""
        relation = self.database.cursor().sql(f'SELECT * FROM "{name}" LIMIT 0')
        return _schema(relation, relation.to_arrow_reader().schema)

    def _schema_of(self, columns):
        """Arrow's schema of {column: type in Databricks}."""
        values = [exp.alias_(exp.Cast(this=exp.Null(), to=exp.DataType.build(type, dialect=dialect.WarehouseSql)), name,
                             quoted=True) for name, type in columns.items()]
        relation = self.database.cursor().sql(dialect.to_duckdb(exp.select(*values)))
        return _schema(relation, relation.to_arrow_reader().schema)

    def ask_kept(self, sql):
        """Rows of a query of the engine's own over tables that are kept."""
        return self.database.cursor().execute(sql).fetchall()

    def forget(self, *names):
        for name in names:
            self.database.execute(f'DROP TABLE IF EXISTS "{name}"')

    def explain(self, statement, tree):
        """What DuckDB would do for a query, as text."""
        plan = self._plan(statement, tree)
        run = self._run = Run(self, statement, plan)
        try:
            with run.translating():
                lines = run.connection.execute(f"EXPLAIN {plan.sql}").fetchall()
                return plan.own_words("\n".join(line[-1] for line in lines))
        finally:
            run.close()

    def done(self, run):
        if self._run is run:
            self._run = None

    # ---- plans

    def _plan(self, statement, tree):
        key = (statement.statement, statement.catalog, statement.schema, statement.user, tuple(statement.groups),
               repr(statement.parameters))
        plan = self._plans.pop(key, None)
        if plan is None or not plan.still_holds(statement):
            plan = self._make_plan(statement, tree.copy())
        self._plans[key] = plan
        while len(self._plans) > PLANS_KEPT:
            self._plans.popitem(last=False)[1].drop_session()
        return plan

    def _make_plan(self, statement, tree, given=()):
        told = _Recorder(statement)
        dialect.name_outputs(tree)
        dialect.bind_parameters(tree, statement.statement, statement.parameters)
        dialect.bind_session(tree, statement)
        dialect.name_functions(tree)
        planner = Planner(told, given)
        planner.read(tree)
        types.fit(tree, planner.relations)
        sql = dialect.to_duckdb(tree)
        functions.check(self.database, sql, [relation.relation for relation in planner.relations], statement.statement)
        return Plan(sql, planner.relations, told.questions, {"inputs": sorted(planner.names)})


_STATEMENTS = (
    (exp.Query, Engine.query),
    (exp.Values, lambda engine, statement, tree: engine.query(statement, dialect.values_query(tree))),
    (exp.Insert, writes.insert),
    (exp.Create, writes.create),
    (exp.Drop, writes.drop),
    (exp.Delete, rewrites.delete),
    (exp.Update, rewrites.update),
    (exp.Merge, rewrites.merge),
    (exp.Describe, lambda engine, statement, tree: commands.describe(statement, tree)),
)
_COMMANDS = {
    "SHOW": lambda engine, statement, tree: commands.show(statement, tree, engine.catalog(statement)),
    "EXPLAIN": lambda engine, statement, tree: commands.explain(statement, tree, engine),
}


def _open_database(memory_limit, threads, temp_dir):
    database = duckdb.connect(":memory:", config={
        "memory_limit": f"{int(memory_limit * MEMORY_SHARE) >> 20}MiB",
        "threads": str(threads),
        "temp_directory": temp_dir or "",
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    })
    for setting in ("TimeZone = 'UTC'", "enable_external_access = false", "lock_configuration = true"):
        database.execute(f"SET {setting}")
    return database


class Plan:
    """SQL for DuckDB over `relations`, and the questions to the server whose answers it was made of."""

    def __init__(self, sql, relations, questions, lineage):
        self.sql = sql
        self.relations = relations
        self.questions = questions
        self.lineage = lineage
        self._session = None

    def take_session(self, database, datasets):
        """A connection on which the relations are registered: the last statement's with this plan, or a new one."""
        session, self._session = self._session, None
        if session is not None and not session.fits(datasets):
            session.close()
            session = None
        session = session or Session(database, self, datasets)
        for slot, dataset in zip(session.slots, datasets):
            slot.dataset = dataset
        return session

    def keep_session(self, session):
        """Have it back. It holds no rows: only SELECT ran there, for the same principal."""
        self.drop_session()
        for slot in session.slots:
            slot.dataset = None
        self._session = session

    def drop_session(self):
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def read(self):
        """The relations that have datasets, and are not tables of DuckDB's own."""
        return [relation for relation in self.relations
                if not isinstance(relation, Given) or relation.dataset is not None]

    reads_views = property(lambda self: any(entry.get("via") for asked, _ in self.questions for entry in asked))

    def own_words(self, text):
        """A text of DuckDB's with the names that the user wrote."""
        for relation in self.relations:
            text = re.sub(rf"{relation.relation}\b", lambda _: relation.full_name, text)
        return text

    def still_holds(self, statement):
        """Ask again what was asked: grants and tables may have changed."""
        return all(statement.resolve(asked)[0] == answer for asked, answer in self.questions)


class Session:
    """A connection for the statements of one plan, one after the other: to register and to bind takes longer than to run
    a small query."""

    def __init__(self, database, plan, datasets):
        self.sql = plan.sql
        self.slots = [_Slot(dataset.schema) for dataset in datasets]
        self.connection = database.cursor()
        self._query = None
        for relation, slot in zip(plan.read, self.slots):
            self.connection.register(relation.relation, slot)

    def fits(self, datasets):
        return all(slot.schema.equals(dataset.schema) for slot, dataset in zip(self.slots, datasets))

    def query(self):
        """The query, bound."""
        if self._query is None:
            self._query = self.connection.sql(self.sql)
        return self._query

    def close(self):
        self._query = None
        self.connection.close()


class _Slot(ds.Dataset):
    """What is registered: the dataset of the statement that runs."""

    def __init__(self, schema):
        self._schema = schema
        self.dataset = None

    schema = property(lambda self: self._schema)

    def scanner(self, *args, **options):
        return self.dataset.scanner(*args, **options)


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


# ---- running ---------------------------------------------------------------------------------------------------------


class Run:
    """A plan that runs for a statement. Policed tables are read on connections besides."""

    def __init__(self, engine, statement, plan):
        self.engine = engine
        self.statement = statement
        self.plan = plan
        self._failure = None  # what a policy failed by: DuckDB tells it in other words
        self._besides = []
        self._datasets = {}
        try:
            self.session = plan.take_session(engine.database, [self._shared(relation) for relation in plan.read])
        except BaseException:
            self._close_besides()
            raise
        self.connection = self.session.connection

    @property
    def failure(self):
        """What reading a table failed by."""
        told = [self._failure, *(getattr(dataset, "failure", None) for dataset in self._datasets.values())]
        return next(filter(None, told), None)

    def translating(self):
        return translating(self.statement, self.plan, self)

    def interrupt(self):
        for connection in (self.connection, *self._besides):
            with contextlib.suppress(duckdb.Error):  # closed meanwhile
                connection.interrupt()

    def close(self, whole=False):
        """End. `whole`: all went well, and the session can be used again."""
        self._close_besides()
        if whole:
            self.plan.keep_session(self.session)
        else:
            self.session.close()
        self.engine.done(self)

    def _close_besides(self):
        for connection in self._besides:
            connection.close()

    def _shared(self, relation):
        """Two names for one table at one version are one dataset: a statement sees one version of it."""
        if isinstance(relation, Given):
            return relation.dataset
        key = (relation.full_name, relation.version, relation.timestamp)
        if key not in self._datasets:
            self._datasets[key] = self._dataset(relation)
        return self._datasets[key]

    def _dataset(self, relation):
        dataset = self.engine.tables.dataset(relation, self._time(relation))
        if not relation.is_policed:
            return dataset
        if relation.version is not None or relation.timestamp is not None:
            raise unsupported(f"Time travel of {relation.full_name}, which has a row filter or column masks,",
                              "read it as it is")
        policed = PolicedDataset(dataset, relation, self.statement, self._read_policed, self.engine.tables.dataset)
        functions.check(self.engine.database, policed.sql(policed.schema.names), policed.datasets)
        return policed

    def _time(self, relation):
        if relation.timestamp is None:
            return None
        sql = f"SELECT epoch_ms(CAST({dialect.to_duckdb(relation.timestamp)} AS TIMESTAMPTZ))"
        functions.check(self.engine.database, sql, ())
        try:
            return self.engine.database.execute(sql).fetchall()[0][0]
        except duckdb.Error:
            raise StatementError("INVALID_STATEMENT",
                                 f"TIMESTAMP AS OF of {relation.full_name} is not a time.") from None

    def _read_policed(self, sql, datasets, name):
        connection = self.engine.database.cursor()
        self._besides.append(connection)
        for relation, dataset in datasets.items():
            connection.register(relation, dataset)
        with self._failing_of(name):
            reader = connection.sql(sql).to_arrow_reader(BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(reader.schema, self._policed_batches(reader, name))

    def _policed_batches(self, reader, name):
        with self._failing_of(name):
            yield from reader

    @contextlib.contextmanager
    def _failing_of(self, name):
        """The values that a policy fails on are not told."""
        try:
            yield
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            self._failure = StatementError(
                "INVALID_STATEMENT", f"The row filter or a column mask of {name} fails; its owner must mend it.")
            raise self._failure from None


class Result:
    """What a query returns, in Databricks' types."""

    kind = "SELECT"

    def __init__(self, run, assign):
        self._run = run
        self._whole = False
        self.lineage = run.plan.lineage
        self.questions = run.plan.questions
        self.statement = run.statement
        run.statement.check()
        with run.translating():
            relation = run.session.query() if assign is None else run.connection.sql(_assigned(run, assign))
            self._reader = relation.to_arrow_reader(BATCH_ROWS)
        self.schema = _schema(relation, self._reader.schema)

    @property
    def batches(self):
        same = self.schema.types == self._reader.schema.types
        with self._run.translating():
            for batch in self._reader:
                yield batch if same else pa.record_batch(
                    [_cast(column, type) for column, type in zip(batch.columns, self.schema.types)], schema=self.schema)
        self._whole = True

    def close(self):
        self._reader.close()
        self._run.close(self._whole)


def _assigned(run, assign):
    """The SQL of a run's query whose columns are assigned."""
    relation = run.session.query()
    columns = assign(relation.columns, list(map(str, relation.types)))
    return f"SELECT {', '.join(columns)} FROM ({run.plan.sql}) AS source"


_WIDER = {
    pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20, 0),
    pa.timestamp("ns"): pa.timestamp("us"), pa.timestamp("ms"): pa.timestamp("us"),
    pa.timestamp("s"): pa.timestamp("us"), pa.time64("us"): pa.string(), pa.month_day_nano_interval(): pa.string(),
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
}


def _schema(relation, arrow):
    """The schema of a DuckDB relation, which Arrow tells so, in Databricks' types."""
    return pa.schema([field.with_type(pa.int64() if str(told) == "HUGEINT" else _type(field.type))
                      for field, told in zip(arrow, relation.types)])


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


@contextlib.contextmanager
def translating(statement, plan, run):
    """Turn what DuckDB, Arrow and the library raise into a StatementError."""
    try:
        yield
    except StatementError:
        raise
    except (duckdb.Error, pa.ArrowException, library_errors.IsthmusError, OSError) as error:
        raise _translated(error, statement, plan, run) from None


def _translated(error, statement, plan, run):
    if statement.is_cancelled or isinstance(error, duckdb.InterruptException):
        return cancelled()
    if run.failure is not None:
        return run.failure
    if isinstance(error, (duckdb.OutOfMemoryException, pa.ArrowMemoryError, library_errors.NoMemoryError)) or \
            "failed to pin block" in str(error):  # while a result is read DuckDB's error comes as Arrow's
        limit = run.engine.memory_limit >> 20
        return StatementError("OUT_OF_MEMORY", f"The statement needs more than the {limit:,} MiB of memory of a worker "
                              "of this warehouse. Let it read or return less, or run it on a larger warehouse.",
                              code="RESOURCE_EXHAUSTED")
    text = re.sub(r"^[A-Za-z ]+ Error: ", "", plan.own_words(str(error).partition("\n")[0]))
    for pattern, condition, message in _MESSAGES:
        found = re.search(pattern, text)
        if found:
            break
    else:
        return StatementError("INVALID_STATEMENT", text)
    name = next(filter(None, found.groups()), "")
    bindings = re.search(r"Candidate bindings: (.*)", str(error))
    candidates = re.findall(r'"(?!isthmus )[^"]+"', bindings.group(1)) if bindings else ()
    hint = f" Did you mean one of these: {', '.join(candidates)}?" if candidates else ""
    if "{text}" in message and plan.reads_views:
        text = "A value of a view cannot be converted, or is out of range"  # it may not be for this principal's eyes
    return StatementError(condition, message.format(name=name, text=text, hint=hint),
                          dialect.locate(statement.statement, name))


_MESSAGES = (  # pattern, condition, message
    (r'[Cc]olumn "([^"]+)" not found in FROM|does not have a column named "([^"]+)"', "UNRESOLVED_COLUMN",
     "A column with name `{name}` cannot be resolved.{hint}"),
    (r'Referenced table "([^"]+)" not found', "UNRESOLVED_COLUMN", "Nothing in FROM is called `{name}`.{hint}"),
    (r"Could not convert|[Cc]onversion|[Uu]nimplemented type for cast|invalid .* field|out of range for the dest",
     "CAST_INVALID_INPUT", "{text}"),
    (r"[Oo]verflow|[Oo]ut of [Rr]ange", "ARITHMETIC_OVERFLOW", "{text}"),
    (r"Division by zero", "DIVIDE_BY_ZERO", "Division by zero. Use `try_divide` to get NULL instead."),
)
