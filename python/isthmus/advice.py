"""Which way does my data go? What isthmus.explain and `isthmus explain` tell. Nothing is run or written.

    isthmus.explain("job.py")                      # each call of a script, without running it
    isthmus.explain(df)                            # a Spark DataFrame: what from_spark would do
    isthmus.explain(ds, to="main.demo.scores")     # a Ray Dataset: what write_databricks_table would do
    isthmus.explain("main.demo.scores")            # a table, by name or path

The texts are those of isthmus/advice_rules.py, the figures those of bench/results.json.
"""

import ast
import contextlib
import fnmatch
import functools
import json
import os
import pathlib
import re
import statistics
import sys
import textwrap

from isthmus import _html, errors, native
from isthmus.advice_rules import FIGURES, RULES, WAYS
from isthmus.catalog import Place, connect, locate

SCRIPTS = (".py", ".ipynb")
WIDTH = 100
CALL_WIDTH = 90


class Step:
    """One movement of data: `call` at `where`, the `way` it goes (a key of advice_rules.WAYS), what `happens`, what it
    `costs` as measured, what to `watch`, and what would be `better`. What is not known or not there is empty."""

    def __init__(self, call, way, happens, where="", costs="", watch=(), better=""):
        self.call = call
        self.way = way
        self.happens = happens
        self.where = where
        self.costs = costs
        self.watch = list(watch)
        self.better = better

    @classmethod
    def of_rule(cls, rule, call, where=""):
        return cls(call, rule.way, rule.happens, where, cost(rule.figure), rule.watch, rule.better)

    def to_dict(self):
        return {**vars(self), "way_is": WAYS[self.way]}

    def lines(self, told=None):
        """[(name, text)] of what is known. What is in `told` ({texts: where}) is not told again."""
        key = (self.way, self.happens, self.better)
        if told is not None and self.where and told.setdefault(key, self.where) != self.where:
            return [("way", f"as at {told[key]}")]
        pairs = [("way", WAYS[self.way]), ("happens", self.happens), ("measured", self.costs),
                 *(("look out" if i == 0 else "", item) for i, item in enumerate(self.watch)), ("better", self.better)]
        return [(name, text) for name, text in pairs if text]

    def _text(self, told):
        head = f"{self.where}  {self.call}" if self.where else self.call
        lines = [textwrap.fill(text, WIDTH, initial_indent=f"    {name:9} ", subsequent_indent=" " * 14)
                 for name, text in self.lines(told)]
        return "\n".join([head, *lines])

    def _html(self, told):
        return _html.box(self.call, _html.facts(self.lines(told)), note=self.where)


class Explanation:
    """What isthmus.explain found: `facts` ([(name, value)]) of the thing itself and `steps` (Step), one for each way
    its data goes or may go. It prints as text and shows itself in a notebook."""

    def __init__(self, title, facts=(), steps=()):
        self.title = title
        self.facts = [(name, value) for name, value in facts if value not in (None, "")]
        self.steps = list(steps)

    def to_dict(self):
        return {"title": self.title, "facts": dict(self.facts), "steps": [step.to_dict() for step in self.steps]}

    def __repr__(self):
        width = max((len(name) for name, _ in self.facts), default=0)
        facts = [textwrap.fill(str(value), WIDTH, initial_indent=f"  {name:{width}}  ",
                               subsequent_indent=" " * (width + 4)) for name, value in self.facts]
        told = {}
        return "\n\n".join(["\n".join([self.title, *facts]), *(step._text(told) for step in self.steps)])

    def _repr_html_(self):
        told = {}
        return _html.box(self.title, _html.facts(self.facts) if self.facts else "",
                         *(step._html(told) for step in self.steps))


def explain(what, to=None, *, mode="append", mergeSchema=False, overwriteSchema=False, partition_by=None):
    """Tell which way data goes: of a script (path of a .py or .ipynb file), a Spark DataFrame, a Ray Dataset, or a
    table (name, path, isthmus.Table). Nothing is run or written; of tables the log and the catalog are read, and Spark
    plans.

    to    the table that a DataFrame or Dataset is to be written to; the further arguments are those of
          Dataset.write_databricks_table: what it would refuse is told

    Returns an Explanation. Raises NotFoundError (no such script, table or schema), BadInputError (no Python, or none of
    these things).
    """
    target = None if to is None else functools.partial(_target, to, mode, mergeSchema, overwriteSchema, partition_by)
    for fits, tell in _ENTRIES:
        if fits(what):
            return tell(what, target)
    raise errors.BadInputError(f"explain: a {type(what).__name__} is none of the path of a script, a Spark DataFrame, "
                               "a Ray Dataset, and the name or path of a table")


# ---- figures ---------------------------------------------------------------------------------------------------------


@functools.lru_cache
def _measured():
    """bench/results.json, which the build puts into the package."""
    return json.loads((pathlib.Path(__file__).parent / "measured.json").read_text())


def cost(figure):
    """A key of FIGURES as a sentence; "" where it was not measured."""
    if not figure:
        return ""
    asked = FIGURES[figure]
    section = _measured().get(asked.section, {})
    seconds = section.get("seconds", {})
    ratio = next((entry["ratio"] for entry in section.get("ratios", ())
                  if (entry["of"], entry["to"]) == (asked.peer, asked.ours)), None)
    if ratio is None:
        return ""
    ours, peer = (statistics.median(seconds[way]) for way in (asked.ours, asked.peer))
    machine = section["machine"].partition(",")[0]
    return (f"{asked.ours} {ours:.1f} s; {asked.peer} {peer:.1f} s ({ratio:.1f}x); {asked.data} on {machine}: "
            f"`{asked.command}`")


def rule_of(name):
    """The first rule for a call by its full name, without conditions on the script around it."""
    return next(rule for rule in RULES if any(fnmatch.fnmatchcase(name, call) for call in rule.calls)
                and not (rule.comes or rule.beside or rule.text or rule.within))


# ---- scripts ---------------------------------------------------------------------------------------------------------

_RUN_ELSEWHERE = ("ray.remote", "*.map_batches", "*.map_groups", "*.flat_map", "*.map")  # take functions along
_DEPTH = 6  # of variables that are followed
_TEXTS = 20  # most values of one expression that are looked at


class Script:
    """The calls of a script, as far as they can be told without running it. Names are followed through imports,
    variables, parameters and the script's own functions; where a name has several values, each of them counts."""

    def __init__(self, parts):
        self._modules = {}  # name -> what was imported under it
        self._values = {}  # variable, "self.x", parameter, or "f()" -> expressions that it may be
        self._functions = {}  # name -> FunctionDef
        self._remote = set()  # functions and classes that run in Ray's tasks and actors
        self._calls_of = {}  # function or class -> names that it calls
        self.calls = []  # (label, node, source)
        for label, source in parts:
            tree = _parsed(label, source)
            for node in ast.walk(tree):
                self._learn(node)
            self.calls += [(label, node, source, scope) for node, scope in _calls_in(tree)]
        for _, node, _, _ in self.calls:
            self._bind_arguments(node)
        self._spread_remote()
        self.names = [self.name(node) for _, node, _, _ in self.calls]

    # ---- what names mean

    def _learn(self, node):
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._modules[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                self._modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.AugAssign)):
            self._bind(node.target, node.value)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._bind(node.target, node.iter)
        elif isinstance(node, ast.withitem):
            self._bind(node.optional_vars, node.context_expr)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._learn_definition(node)

    def _learn_definition(self, node):
        decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
        if "ray.remote" in map(self.name, decorators):
            self._remote.add(node.name)
        inner = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        self._calls_of[node.name] = {each.func.id for each in inner if isinstance(each.func, ast.Name)}
        if not isinstance(node, ast.ClassDef):
            self._functions[node.name] = node
            for each in ast.walk(node):
                if isinstance(each, ast.Return) and each.value:
                    self._values.setdefault(f"{node.name}()", []).append(each.value)
            plain = [*node.args.posonlyargs, *node.args.args]
            for argument, value in zip(reversed(plain), reversed(node.args.defaults)):
                self._values.setdefault(argument.arg, []).append(value)
        for each in getattr(node, "body", ()):  # an actor's parameters are those of its __init__
            if isinstance(node, ast.ClassDef) and isinstance(each, ast.FunctionDef) and each.name == "__init__":
                self._functions[node.name] = each

    def _bind(self, target, value):
        if isinstance(target, (ast.Tuple, ast.List)):
            pairs = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
            for i, each in enumerate(target.elts):
                self._bind(each, value.elts[i] if pairs else value)
        elif isinstance(target, (ast.Name, ast.Attribute)) and value is not None:
            self._values.setdefault(ast.unparse(target), []).append(value)

    def _bind_arguments(self, node):
        """f(x), f.remote(x): the parameters of f may be these."""
        function = node.func
        while isinstance(function, ast.Attribute) and function.attr in ("remote", "options"):
            function = function.value.func if isinstance(function.value, ast.Call) else function.value
        if _any(_RUN_ELSEWHERE, [self.name(node)]):
            self._remote |= {each.id for each in node.args if isinstance(each, ast.Name) and each.id in self._calls_of}
        definition = self._functions.get(getattr(function, "id", None))
        if definition is None:
            return
        parameters = [each.arg for each in definition.args.args if each.arg != "self"]
        for parameter, value in [*zip(parameters, node.args), *((each.arg, each.value) for each in node.keywords)]:
            if parameter and not (isinstance(value, ast.Name) and value.id == parameter):
                self._values.setdefault(parameter, []).append(value)

    def _spread_remote(self):
        """What a remote function calls runs where it does."""
        todo = list(self._remote)
        while todo:
            for called in self._calls_of.get(todo.pop(), ()):
                if called in self._calls_of and called not in self._remote:
                    self._remote.add(called)
                    todo.append(called)

    def name(self, node):
        """The full name of what is called: imports resolved, calls on the way written (), what is unknown ?."""
        if isinstance(node, ast.Call):
            node = node.func
            return self.name(node)
        if isinstance(node, ast.Name):
            return self._modules.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = node.value
            return f"{self.name(before)}{'()' if isinstance(before, ast.Call) else ''}.{node.attr}"
        if isinstance(node, ast.Subscript):
            return f"{self.name(node.value)}[]"
        return "?"

    def texts(self, node, depth=_DEPTH):
        """Texts that an expression may be; of what begins with one, the beginning."""
        if isinstance(node, ast.Constant):
            return {node.value} if isinstance(node.value, str) else set()
        if depth == 0 or node is None:
            return set()
        if isinstance(node, (ast.Name, ast.Attribute)):
            values = self._values.get(ast.unparse(node), ())
            return set(list(set().union(*(self.texts(value, depth - 1) for value in values)))[:_TEXTS])
        if isinstance(node, ast.JoinedStr):
            return self._joined(node.values, "", depth)
        if isinstance(node, ast.FormattedValue):
            return self.texts(node.value, depth - 1)
        if isinstance(node, ast.BinOp):
            return self._joined([node.left, node.right], "/" if isinstance(node.op, ast.Div) else "", depth)
        if isinstance(node, ast.Call):
            own = self._values.get(f"{self.name(node)}()")
            if own:
                return set().union(*(self.texts(value, depth - 1) for value in own))
            return self._joined(node.args, "/" if self.name(node) == "os.path.join" else "", depth)
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return set().union(*(self.texts(each, depth - 1) for each in node.elts))
        return set()

    def _joined(self, nodes, between, depth):
        found = {""}
        for i, node in enumerate(nodes):
            more = self.texts(node, depth - 1)
            if not more:
                break
            found = set(list({a + (between if i else "") + b for a in found for b in more})[:_TEXTS])
        return found - {""}

    def comes_from(self, node, depth=_DEPTH, seen=None):
        """Full names of the calls that an expression's value comes from."""
        seen = set() if seen is None else seen
        found = set()
        for each in ast.walk(node):
            if isinstance(each, ast.Call):
                found.add(self.name(each))
            key = f"{self.name(each)}()" if isinstance(each, ast.Call) else ast.unparse(each) if isinstance(
                each, (ast.Name, ast.Attribute)) else None
            if key in self._values and key not in seen and depth:
                seen.add(key)
                for value in self._values[key]:
                    found |= self.comes_from(value, depth - 1, seen)
        return found

    # ---- what fits

    def is_remote(self, scope):
        return any(name in self._remote for name in scope)

    def fits(self, rule, node, scope):
        if not _any(rule.calls, [self.name(node)]) or rule.within == "remote" and not self.is_remote(scope):
            return False
        values = [*node.args, *(each.value for each in node.keywords)]
        if rule.text and not any(re.search(rule.text, text) for value in values for text in self.texts(value)):
            return False
        if rule.comes and not any(_any(rule.comes, self.comes_from(value)) for value in values):
            return False
        return not rule.beside or _any(rule.beside, self.names)

    def steps(self):
        """One Step for each call that a rule fits, in order of lines; what is one chain of calls is told once."""
        found, told = [], set()
        for label, node, source, scope in self.calls:
            rule = next((rule for rule in RULES if self.fits(rule, node, scope)), None)
            if rule is None or (id(node), id(rule)) in told:
                continue
            inner = node.func
            while isinstance(inner, (ast.Attribute, ast.Call)):
                told.add((id(inner), id(rule)))
                inner = inner.value if isinstance(inner, ast.Attribute) else inner.func
            line = getattr(node.func, "end_lineno", node.lineno)  # of the last name in a chain over many lines
            found.append(Step.of_rule(rule, _shortened(node, source), f"{label}:{line}"))
        return found


def _shortened(node, source):
    """A call in one line; of a long chain the last call."""
    call = " ".join((ast.get_source_segment(source, node) or "").split())
    if len(call) > CALL_WIDTH and isinstance(node.func, ast.Attribute):
        before = " ".join((ast.get_source_segment(source, node.func.value) or "").split())
        if len(before) > CALL_WIDTH // 3:
            call = f"....{call[len(before):].lstrip(' .')}"
    return call if len(call) <= CALL_WIDTH else f"{call[:CALL_WIDTH - 4]} ..."


def _any(patterns, names):
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _parsed(label, source):
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise errors.BadInputError(f"{label} is not Python: {getattr(error, 'msg', error)}",
                                   f"{label}:{line}" if line else label) from None


def _calls_in(tree, scope=()):
    """(call, names of the functions and classes around it), outer calls first, in order of the text."""
    for node in ast.iter_child_nodes(tree):
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if isinstance(node, ast.Call):
            yield node, scope
        yield from _calls_in(node, (*scope, node.name) if inside else scope)


_OTHER_LANGUAGE = re.compile(r"\s*%%(?!(capture|time|timeit|prun)\b)")  # the magics whose cells are Python


def _parts(path):
    """[(label, Python source)]: one, or the cells of a notebook."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        kind = errors.NotFoundError if isinstance(error, FileNotFoundError) else errors.BadInputError
        raise kind(f"cannot read the script {path}: {getattr(error, 'strerror', None) or error}") from None
    if path.suffix != ".ipynb":
        return [(path.name, text)]
    try:
        cells = json.loads(text)["cells"]
        code = [(i, "".join(cell["source"])) for i, cell in enumerate(cells, 1) if cell["cell_type"] == "code"]
        code = [(i, source) for i, source in code if not _OTHER_LANGUAGE.match(source)]
    except (ValueError, KeyError, TypeError):
        raise errors.BadInputError(f"{path} is not a notebook of nbformat 4") from None
    magic = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)
    return [(f"{path.name}[{i}]", magic.sub(r"\1pass", source)) for i, source in code]


def _script(path, target):
    path = pathlib.Path(path)
    steps = Script(_parts(path)).steps()
    count = f"{len(steps)} call{'s' if len(steps) != 1 else ''}"
    return Explanation(f"{path.name}: {count} that move{'s' if len(steps) == 1 else ''} data" if steps else
                       f"{path.name}: no call that moves data between Spark, Ray and tables was found", (), steps)


# ---- tables ----------------------------------------------------------------------------------------------------------


_CREDENTIALS = {
    "s3": "a session of AWS STS for this table's prefix alone",
    "gs": "a token for this table's prefix alone",
    "abfss": "a signature for this table's folder alone",
    "file": "none needed: a path that every process of this machine reaches",
}


def _credentials(place, store):
    scheme = store.uri.partition(":")[0] if ":" in store.uri else "file"
    scheme = {"s3a": "s3", "abfs": "abfss"}.get(scheme, scheme)
    if place.name is None:
        return "storage_options, else the environment's" if scheme != "file" else _CREDENTIALS["file"]
    return f"by the catalog at {connect().uri}: {_CREDENTIALS.get(scheme, 'for this table alone')}"


def _commits(store):
    if store.committer == native.ffi.NULL:
        return "by the storage: the first to put the version's file has it"
    return "by the catalog (the table is catalog-managed): the commit is staged, ratified, then published"


def policies_of(info):
    """What keeps a table's files from being handed out: ["row filter f", "mask of column c"]."""
    info = info or {}
    found = [f"row filter {info['row_filter'].get('function_name', '')}".strip()] if info.get("row_filter") else []
    return found + [f"mask of column {each['name']}" for each in info.get("columns") or () if each.get("mask")]


def _table(table, target):
    place = getattr(table, "place", None) or locate(table)
    policies = policies_of(place.info)
    facts = [("policies", ", ".join(policies))]
    label = place.label
    if policies:
        sql = f'isthmus.read_sql("SELECT * FROM {label}")'
        return Explanation(f"Table {label}", facts, [Step.of_rule(rule_of("isthmus.read_sql"), sql)])
    with place.open("read") as store, native.Snapshot(store) as now:
        facts = [("location", store.uri), ("version", now.version), *_contents(now), *_access(place, store)]
    quoted = json.dumps(label)
    write = Step.of_rule(rule_of("x.write_databricks_table"), f"ds.write_databricks_table({quoted})")
    return Explanation(f"Table {label}", facts, [
        Step.of_rule(rule_of("isthmus.read_delta"), f"isthmus.read_delta({quoted})"), *([write] if place.name else []),
        Step.of_rule(_in_tasks("isthmus.write_deltalake"), f"isthmus.write_deltalake({quoted}, rows) in many tasks")])


def _access(place, store):
    return [("credentials", _credentials(place, store)), ("commits", _commits(store))]


def _contents(now):
    rows = "rows unknown" if now.rows is None else _html.count(now.rows, "row")
    return [("holds", f"{rows} in {_html.count(now.file_count, 'file')}, {_html.size(now.size_bytes)}"),
            ("partitioned by", ", ".join(now.partition_columns))]


def _in_tasks(name):
    return next(rule for rule in RULES if name in rule.calls and rule.within)


# ---- what a write would meet -----------------------------------------------------------------------------------------


def _target(to, mode, merge_schema, overwrite_schema, partition_by, schema):
    """(facts, Step) of a write of rows of a pyarrow schema (None: not known yet) to a table."""
    mode = getattr(mode, "value", mode)  # of Ray's SaveMode
    if mode not in native.MODES:
        raise errors.BadInputError(f"mode {mode!r} is none of {', '.join(native.MODES)}")
    place = locate(to, missing_ok=True)
    step = Step.of_rule(rule_of("x.write_databricks_table"), f"ds.write_databricks_table({json.dumps(place.label)}, "
                                                             f"mode={json.dumps(mode)})")
    if place.name is not None and place.info is None:
        return [("table", f"{place.name}, new: managed by the catalog, which gives place and credentials"),
                ("commits", "by the storage, unless the table is asked to be catalog-managed")], step
    try:
        store = place.open("read" if place.name is None else "write")
    except errors.WriteCredentialsError as error:
        return [("table", place.label), ("credentials", f"refused: {error.args[0]}")], Step(
            step.call, "staged", "The rows are staged as Parquet and the process's Spark session inserts them; without "
            "one the write is refused before anything runs.")
    with store:
        try:
            with native.Snapshot(store) as now:
                facts = [("table", f"{place.label} at version {now.version}"), *_contents(now),
                         *_access(place, store),
                         ("schema", _fit(store, now, schema, overwrite_schema, dict(
                             mode=mode, merge_schema=merge_schema, overwrite_schema=overwrite_schema,
                             partition_by=[partition_by] if isinstance(partition_by, str) else partition_by,
                             table_name=place.name)))]
        except errors.NotFoundError:
            facts = [("table", f"{place.label}, new"), *_access(place, store)]
    return facts, step


def _fit(store, now, schema, replaces, options):
    """What the table says to the schema: a transaction is begun, which only reads."""
    if schema is None:
        return "not known before the dataset runs"
    try:
        with native.Transaction(store, schema, **options) as transaction:
            if transaction.is_noop:
                return "nothing is written: the table is there, and mode is \"ignore\""
            changes = transaction.changes_metadata
    except errors.IsthmusError as error:
        return f"{type(error).__name__}: {error}"
    new = [name for name in schema.names if name not in now.schema.names]
    lacking = [name for name in now.schema.names if name not in schema.names]
    if replaces and changes:
        return "becomes the dataset's"
    parts = [f"{', '.join(names)} {what}" for names, what in ((new, "are added"), (lacking, "become null")) if names]
    return "; ".join(["fits", *parts])


# ---- Ray Datasets ----------------------------------------------------------------------------------------------------


def _is_dataset(what):
    data = sys.modules.get("ray.data")
    return data is not None and isinstance(what, data.Dataset)


def _dataset(dataset, target):
    from isthmus import ray

    dag = dataset._logical_plan.dag
    known = dag.infer_metadata()
    schema = dataset.schema(fetch_if_missing=False)
    schema = None if schema is None else ray._arrow_schema(schema)
    size = ray._write_bytes(dataset, schema)
    sized = size is not None and known.size_bytes is not None
    tasks = _html.count(max(1, -(-known.size_bytes // size)), "task") if sized else None
    facts = [("plan", " -> ".join(_operators(dag))),
             ("comes from", ", ".join(f"{each.name}{'' if each.version is None else f' version {each.version}'}"
                                      for each in ray.inputs_of(dataset))),
             ("rows", None if known.num_rows is None else f"{known.num_rows:,}"),
             ("in memory", _html.size(known.size_bytes)),
             ("columns", _columns(schema) or "not known before it runs"),
             ("is written by", f"about {tasks}" if tasks else "each read task writes what it read" if size is None else
              "tasks of about 128 MiB in memory")]
    more, step = target(schema) if target else ([], Step.of_rule(rule_of("x.write_databricks_table"),
                                                                 "ds.write_databricks_table(name)"))
    return Explanation("Ray Dataset", [*facts, *more], [
        step, *([] if target else [Step.of_rule(rule_of("x.to_spark"), "ds.to_spark(spark)")])])


def _operators(dag):
    names = [dag.name]
    while dag.input_dependencies:
        dag = dag.input_dependencies[0]
        names.append(dag.name)
    return reversed(names)


def _columns(schema):
    if schema is None:
        return None
    told = [f"{field.name}: {field.type}" for field in schema]
    return ", ".join(told[:20]) + (f" and {len(told) - 20} more" if len(told) > 20 else "")


# ---- Spark DataFrames ------------------------------------------------------------------------------------------------


def _is_dataframe(what):
    return type(what).__module__.startswith("pyspark.sql") and hasattr(what, "sparkSession")


class Plan:
    """What Spark's own text of a plan (EXPLAIN COST) tells, of classic and Connect sessions alike."""

    def __init__(self, text):
        _, _, optimized = text.partition("== Optimized Logical Plan ==")
        optimized, _, physical = optimized.partition("== Physical Plan ==")
        self._lines = [line for line in optimized.strip().splitlines() if line.strip()]
        self._physical = physical
        root = self._lines[0] if self._lines else ""
        self.bytes = _spark_bytes(root)
        rows = re.search(r"rowCount=([\d.E+]+)", root)
        self.rows = round(float(rows[1])) if rows else None

    @property
    def partitions(self):
        """Most partitions of the result; None where only the files' sizes decide."""
        found = re.search(r"\bExchange (\w+)(?:\(.*?(?:, )?(\d+)\))?,|\bRange \(.*?splits=(\d+)\)", self._physical)
        return None if not found else int(found[2] or found[3] or 1)

    @property
    def is_scan(self):
        """Only columns and rows of one table are picked: nothing is computed."""
        nodes = [re.sub(r"^[ :|+\-*]*", "", line) for line in self._lines]
        return (sum(node.startswith("Relation") for node in nodes) == 1
                and all(re.match(r"(Project|Filter|Relation|RelationV2)\b", node) for node in nodes)
                and not any(node.startswith("Project") and " AS " in node for node in nodes))


def _spark_bytes(line):
    found = re.search(r"sizeInBytes=([\d.E+]+) (\w+)", line)
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    return round(float(found[1]) * 1024 ** units.index(found[2])) if found and found[2] in units else None


def _plan_text(df):
    from isthmus import spark

    if spark.is_classic(df.sparkSession):
        return df.sparkSession._jvm.PythonSQLUtils.explainString(df._jdf.queryExecution(), "cost")
    return df._explain_string(mode="cost")


def _dataframe(df, target):
    from isthmus import ray, spark

    session = df.sparkSession
    plan = Plan(_plan_text(df))
    inputs = spark.inputs_of(df)
    try:
        schema, refused = spark.arrow_schema(df), None
    except Exception as error:  # pyspark's own, for types that Arrow does not have
        schema, refused = None, f"{type(error).__name__}: {error}"
    in_jvm = spark._java(session, "ChunkWriter") is not None
    chunks = max(plan.partitions or 1, -(-(plan.bytes or 0) // spark.CHUNK_BYTES))
    facts = [("session", f"classic, {session.sparkContext.master}" if spark.is_classic(session) else "Spark Connect"),
             ("reads", ", ".join(f"{each.name}{'' if each.version is None else f' version {each.version}'}"
                                 for each in inputs)),
             ("columns", _columns(schema)), ("refused", refused),
             ("size", None if plan.bytes is None else "at most " + ", ".join(filter(None, [
                 _html.size(plan.bytes), _html.count(plan.rows, "row")])) + ", by Spark's optimizer"),
             ("partitions", None if plan.partitions is None else f"up to {plan.partitions:,}"),
             ("blocks in Ray", f"about {ray.block_count(chunks, plan.bytes or 0):,}"),
             ("leaves Spark by", "the executors' JVM (ChunkWriter)" if in_jvm else "its Python workers (mapInArrow)"),
             ("memory", _daemon_memory()),
             ("survives", "the loss of executors: rows that were put are the daemon's, and go when the daemon goes"),
             ("left behind", "nothing by tasks that failed or ran twice: chunks that Spark did not take are freed")]
    step = Step.of_rule(rule_of("ray.data.from_spark"), "ray.data.from_spark(df)")
    if plan.is_scan and len(inputs) == 1 and _is_delta(inputs[0]):
        step.better = (f"it is a plain scan of one table: isthmus.read_delta({json.dumps(inputs[0].name)}, "
                       "columns=..., filter=...) reads its files in Ray's workers, without Spark")
    more, write = target(schema) if target else ([], None)
    return Explanation("Spark DataFrame", [*facts, *more], [step, write] if write else [step])


def _is_delta(source):
    if source.version is not None:
        return True
    with contextlib.suppress(errors.IsthmusError):
        return locate(source.name).name is not None
    return False


def _daemon_memory():
    path = native.default_socket()
    try:
        counters = native.client(path).counters()
    except errors.IsthmusError:
        return f"no node daemon answers at {path}: isthmus.start() starts one"
    used, limit = (_html.size(counters[name]) for name in ("memory_used", "memory_limit"))
    return f"of the node daemon at {path}: {used} of {limit} in use; what does not fit goes to its disk"


# ---- entries ---------------------------------------------------------------------------------------------------------


def _is_script(what):
    return isinstance(what, (str, pathlib.PurePath)) and pathlib.PurePath(what).suffix in SCRIPTS


def _is_table(what):
    return isinstance(what, (str, pathlib.PurePath, Place)) or isinstance(getattr(what, "place", None), Place)


_ENTRIES = ((_is_script, _script), (_is_table, _table), (_is_dataset, _dataset), (_is_dataframe, _dataframe))


def main(argv):
    """`python -m isthmus.advice [--json] SOURCE...`, which is what `isthmus explain` does."""
    as_json = argv[:1] == ["--json"]
    try:
        found = [explain(what) for what in argv[as_json:]]
    except errors.IsthmusError as error:
        print(f"isthmus explain: {error}", file=sys.stderr)
        return 1
    print("\n\n\n".join(json.dumps(each.to_dict(), indent=2) if as_json else repr(each) for each in found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
