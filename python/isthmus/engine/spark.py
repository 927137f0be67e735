"""The Spark engine: statements go to a Spark Connect endpoint as they are, and Arrow batches come back.

The endpoint is somebody's Spark with the isthmus-spark jar. Each user has a session of his own, whose catalogs are the
server's with the token of the statement that runs: what it reads and writes, it does as its user. Nothing that a
statement may do stays in the session, and one that failed or was cancelled takes it along. Before all that the
statement is parsed here, every table in it is asked of the server, and what would reach past the catalog is refused by
name: files by path, functions that call Java or the network, scripts, tables with row filters or masks, which Spark would
read around.
"""

import contextlib
import re
import socket
import time
import urllib.parse

try:
    import pyspark
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession
    from pyspark.sql.pandas.types import to_arrow_schema
    from sqlglot import exp
except ImportError as error:
    raise ImportError(f"the Spark engine needs {error.name}: pip install 'isthmus[warehouse]' 'pyspark[connect]'"
                      ) from None

import pyarrow as pa

from isthmus.catalog import Catalog
from isthmus.engine import commands, dialect
from isthmus.engine.errors import StatementError, cancelled
from isthmus.engine.planner import has_policy, not_found

CATALOG = "io.isthmus.spark.IsthmusCatalog"
CONNECT_SECONDS = 10
SESSIONS = 16  # that a worker keeps, each of another user
IDLE_SECONDS = 600  # after which one is let go
RETRIES = 4  # of a call to the endpoint, besides the first; some 4 seconds
READS = (exp.Query, exp.Values)
WRITES = {exp.Insert: "MODIFY", exp.Update: "MODIFY", exp.Delete: "MODIFY", exp.Merge: "MODIFY", exp.Create: "CREATE",
          exp.Drop: "MODIFY"}
REACHING = {"java_method", "reflect", "try_reflect", "read_files", "read_kafka", "read_statestore", "http_request",
            "ai_query", "secret", "try_secret", "identifier"}
REACHING_PARTS = {exp.QueryTransform: "TRANSFORM ... USING", exp.LocationProperty: "LOCATION",
                   exp.Directory: "INSERT ... DIRECTORY"}


class Engine:
    def __init__(self, hello):
        self.version = f"spark connect {pyspark.__version__}"
        self.host = hello["catalog"]
        self.url = hello["spark_url"]
        self.sessions = Sessions(self)
        self._run = None

    def warm_up(self):
        dialect.parse("SELECT 1")

    def interrupt(self):
        run = self._run
        if run is not None:
            run.interrupt()

    def execute(self, statement):
        tree = dialect.parse(statement.statement)
        if isinstance(tree, exp.Describe):
            return commands.describe(statement, tree)
        if isinstance(tree, exp.Command) and tree.name.upper() == "SHOW":
            return commands.show(statement, tree, Catalog(self.host["host"], token=statement.token,
                                                          ca_file=self.host.get("ca_file")))
        names = Names(statement, tree)
        names.check()
        run = self._run = Run(self, statement, names)
        try:
            return run.start()
        except BaseException:
            run.close(failed=True)
            raise

    def done(self, run):
        if self._run is run:
            self._run = None


def refused(what, at=None):
    return StatementError("UNSUPPORTED_FEATURE", f"{what} is not supported by a Spark warehouse.", at)


class Names:
    """The tables of a statement: those it reads, and the one it writes."""

    def __init__(self, statement, tree):
        self.statement = statement
        self.tree = tree
        self.access = next((access for kind, access in WRITES.items() if isinstance(tree, kind)), None)
        if self.access is None and not isinstance(tree, READS):
            word = tree.name if isinstance(tree, exp.Command) else tree.key
            raise refused(f"The statement {word.upper()}")
        self.kind = tree.key.upper() if self.access else "SELECT"
        self.target = self._target() if self.access else None
        self.tables = [table for table in dialect.tables(tree) if table is not self.target]

    inputs = property(lambda self: sorted({self.full_name(table) for table in self.tables}))
    outputs = property(lambda self: [self.full_name(self.target)] if self.target else [])
    catalogs = property(
        lambda self: {self.parts(table)[0] for table in self._all()} | {self.statement.catalog or "main"})

    def parts(self, table):
        return dialect.parts(table, self.statement.catalog, self.statement.schema)

    def full_name(self, table):
        return ".".join(self.parts(table))

    def check(self):
        """Ask the server for every table; refuse what does not go by names."""
        for kind, what in REACHING_PARTS.items():
            if self.tree.find(kind):
                raise refused(what)
        for node in self.tree.find_all(exp.Func):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            if name.lower() in REACHING or isinstance(node.parent, exp.Dot):
                raise refused(f"The function {name}", dialect.place(node))
        asked = [{"name": self.parts(table), "access": self.access if table is self.target else "SELECT"}
                 for table in self._all()]
        found = self.statement.resolve(asked)[0] if asked else []
        for table, info in zip(self._all(), found):
            self._check_table(table, info)

    def _check_table(self, table, info):
        name, at = self.full_name(table), dialect.place(table)
        if not info.get("exists"):
            if table is self.target and (self.access == "CREATE" or self.tree.args.get("exists")):
                return
            raise not_found(self.parts(table), at)
        if info.get("kind") == "VIEW":
            raise refused(f"The view {name}", at)
        if has_policy(info):
            raise refused(f"The table {name}, which has a row filter or column masks,", at)

    def _all(self):
        return self.tables + ([self.target] if self.target else [])

    def _target(self):
        if isinstance(self.tree, (exp.Create, exp.Drop)) and self.tree.args.get("kind") != "TABLE":
            raise refused(f"{self.tree.key.upper()} {self.tree.args.get('kind')}")
        node, *more = self.tree.args.get("tables") or [self.tree.this]  # DROP has a list
        table = node.this if isinstance(node, exp.Schema) else node
        if more or not isinstance(table, exp.Table):
            raise refused(f"{self.tree.key.upper()} of other than one table")
        return table


class Sessions:
    """The sessions that are kept: at most one of a user, never one for two of them."""

    def __init__(self, engine):
        self.engine = engine
        self._kept = {}  # by user, the longest unused first

    def take(self, statement, names):
        """The user's session, which is nobody else's until it is given back, ready for the statement."""
        _check_endpoint(self.engine.url)
        self._let_go()
        kept = self._kept.pop(statement.user, None)
        if kept is not None:
            try:
                kept.prepare(statement, names)
                return kept
            except PySparkException:  # the endpoint was started again, or has ended the session
                kept.close()
        made = Session(self.engine)
        try:
            made.prepare(statement, names)
        except BaseException:
            made.close()
            raise
        return made

    def give_back(self, session, user):
        session.used = time.monotonic()
        self._kept[user] = session

    def _let_go(self):
        oldest = time.monotonic() - IDLE_SECONDS
        for user, session in list(self._kept.items()):
            if session.used < oldest or len(self._kept) >= SESSIONS:
                self._kept.pop(user).close()


class Session:
    """A session at the endpoint, and what it was told."""

    def __init__(self, engine):
        self.host = engine.host["host"]
        self.spark = SparkSession.builder.remote(engine.url).create()
        self.spark.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES, max_backoff=2000)])
        self.used = 0
        self._schema = None

    def prepare(self, statement, names):
        """Catalogs with the statement's token, which the plugin looks for at each call, and the current schema."""
        conf = {"spark.sql.session.timeZone": "UTC"}
        for name in sorted(names.catalogs):
            catalog = f"spark.sql.catalog.{name}"
            conf.update({catalog: CATALOG, f"{catalog}.uri": self.host, f"{catalog}.token": statement.token})
        self.spark.conf._set_all(conf, silent=False)  # set() would ask once for each
        schema = dialect.show_name([statement.catalog or "main", statement.schema or "default"])
        if schema != self._schema:
            self.spark.sql(f"USE {schema}")
            self._schema = schema

    def close(self):
        with contextlib.suppress(Exception):
            self.spark.client.release_session()
            self.spark.client.close()


class Run:
    """A statement in its user's session. It is the Result of the statement, too."""

    def __init__(self, engine, statement, names):
        self.engine = engine
        self.statement = statement
        self.kind = names.kind
        self.lineage = {"inputs": names.inputs, "outputs": names.outputs}
        self._tag = f"isthmus-{statement.statement_id}"
        self._names = names
        self._text = BoundText(statement.statement, statement.parameters, names.tree)
        self._session = None
        self._whole = False  # nothing is on its way in the session

    def start(self):
        with self._translating():
            self._session = self.engine.sessions.take(self.statement, self._names)
            spark = self._session.spark
            spark.addTag(self._tag)
            frame = spark.sql(self._text.text)
            self.schema = to_arrow_schema(frame.schema, timezone="UTC")
            self._parts = spark.client.to_table_as_iterator(frame._plan.to_proto(spark.client), {})
        return self

    @property
    def batches(self):
        with self._translating():
            for part in self._parts:
                self.statement.check()
                if isinstance(part, pa.Table):
                    yield from part.rename_columns(self.schema.names).cast(self.schema).to_batches()
        self._whole = True

    def interrupt(self):
        session = self._session
        if session is not None:
            with contextlib.suppress(Exception):  # it is asked again, and killed at last
                session.spark.interruptTag(self._tag)

    def close(self, failed=False):
        self.engine.done(self)
        session, self._session = self._session, None
        if session is None:
            return
        if failed or not self._whole or self.statement.is_cancelled:
            session.close()
            return
        session.spark.removeTag(self._tag)
        self.engine.sessions.give_back(session, self.statement.user)

    @contextlib.contextmanager
    def _translating(self):
        """Failures of Spark's as the client reads them."""
        try:
            yield
        except PySparkException as error:
            if self.statement.is_cancelled:
                raise cancelled() from None
            raise SparkFailure(error, self._text) from None


class BoundText:
    """A statement with its parameters put in as SQL, and the way back from places in it. Spark's own parameters are
    literals only: the API's, texts that become values by a cast, do not fit them."""

    def __init__(self, text, parameters, tree):
        values = {_checked(parameter, "name", _NAME).lower(): _literal(parameter) for parameter in parameters}
        for node in tree.find_all(exp.Placeholder):
            if node.name.lower() not in values:
                name = node.name or "?"
                raise StatementError("UNBOUND_SQL_PARAMETER", f"Found the unbound parameter: {name}. Give its value in "
                                     "`parameters`.", dialect.locate(text, name))
        self.original, self.text, self._edits = text, "", []
        done = 0
        for start, end, name in _placeholders(text, values):
            self.text += text[done:start]
            self._edits.append((len(self.text), len(values[name]), start, end))
            self.text += values[name]
            done = end
        self.text += text[done:]

    def place(self, index):
        """(line, position) in what the user wrote, of an index in the text."""
        shift = 0
        for begin, size, start, end in self._edits:
            if index < begin:
                break
            shift = start - index if index < begin + size else end - begin - size
        before = self.original[:max(0, index + shift)]
        return before.count("\n") + 1, len(before) - before.rfind("\n")

    def index(self, line, position):
        """Of a line and a position, both from 1."""
        return sum(len(part) + 1 for part in self.text.split("\n")[:line - 1]) + position - 1


_NAME = re.compile(r"[A-Za-z_]\w*")
_TYPE = re.compile(r"[A-Za-z_ ]+(\(\d+(, *\d+)?\))?")


def _placeholders(text, names):
    """(start, end, name) of each `:name`; `column:field` is none."""
    tokens = dialect.WarehouseSql().tokenize(text)
    for before, colon, name in zip([None, *tokens], tokens, tokens[1:]):
        follows = before is not None and before.end + 1 == colon.start and (
            before.text[-1:].isalnum() or before.text[-1:] in ")]`_")
        if colon.text == ":" and name.start == colon.end + 1 and name.text.lower() in names and not follows:
            yield colon.start, name.end + 1, name.text.lower()


def _literal(parameter):
    value, type = parameter.get("value"), _checked(parameter, "type", _TYPE, "STRING")
    if value is None:
        return f"CAST(NULL AS {type})"
    text = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return text if type.upper() == "STRING" else f"CAST({text} AS {type})"


def _checked(parameter, key, pattern, default=""):
    """A member that goes into SQL."""
    text = parameter.get(key) or default
    if not pattern.fullmatch(text):
        raise StatementError("INVALID_PARAMETER", f"The {key} of a parameter, {text[:50]!r}, is none; parameters are "
                                                  "named, as :low, and their types are like INT and DECIMAL(10,2).")
    return text


def _check_endpoint(url):
    """The client would try for minutes to reach an endpoint that is not there."""
    place = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port or 15002), CONNECT_SECONDS).close()
    except OSError as error:
        where = f"{place.hostname}:{place.port or 15002}"
        raise StatementError("ENGINE_UNAVAILABLE", f"The Spark Connect endpoint of this warehouse ({where}) does not "
                             f"answer: {error.strerror or error}.", code="TEMPORARILY_UNAVAILABLE") from None


_PLACE = re.compile(r"[;(] ?line (\d+),? pos (\d+)[;)]?")


class SparkFailure(StatementError):
    """What Spark says, in one paragraph: condition, words, state, and the place in the statement."""

    def __init__(self, error, text):
        words = str(error.getMessage() or error)
        self.state = error.getSqlState()
        condition = error.getCondition() or "SPARK_ERROR"
        found = _PLACE.search(words)
        words = re.split(r"\n\s*== SQL|\n\nJVM stacktrace", words)[0]
        words = _PLACE.split(words)[0]
        words = re.sub(r"^\[[\w.]+\] *| *SQLSTATE: \w+|^\([\w.]+\) *", "", words.strip()).strip()
        code = "BAD_REQUEST" if self.state and self.state[:2] not in ("XX", "58", "08") else "INTERNAL_ERROR"
        super().__init__(condition, " ".join(words.split())[:2000], self._at(error, found, text), code)

    @staticmethod
    def _at(error, found, text):
        if found:
            return text.place(text.index(int(found[1]), int(found[2]) + 1))  # Spark counts positions from 0
        for context in error.getQueryContext() or ():
            with contextlib.suppress(Exception):  # of DataFrames: they have no place in a text
                return text.place(context.startIndex())
        return None

    def frame(self):
        frame = super().frame()
        if self.state and "sql_state" not in frame:
            frame["sql_state"] = self.state
            frame["message"] += f" SQLSTATE: {self.state}"
        return frame
