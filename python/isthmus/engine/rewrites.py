"""Statements that change rows of a table: DELETE, UPDATE, MERGE, and INSERT that replaces some, in one way.

1. What is to be done is worked out and kept as a table of DuckDB's own: for each row that is hit the row, the row of
   the source that hits it, and the clause that says what becomes of it. The source of a MERGE is kept, too: it is read
   once.
2. The files that hold rows which are hit, and no others, are read once more and written anew with what the clauses make
   of those rows; then come the rows that are inserted (of an INSERT: its query's, which are kept as well).
3. Of a table with a change data feed the rows that change are written besides, for its readers.
4. One commit replaces the files. It conflicts with every change of the table since the version that was read (Delta's
   Serializable), and its rows and those of the source are read and written with the principal's rights.
"""

import contextlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from sqlglot import exp

from isthmus import delta, native
from isthmus.engine import dialect, lineage
from isthmus.engine.errors import StatementError, unsupported
from isthmus.engine.planner import Given
from isthmus.engine.results import type_names
from isthmus.engine.targets import ENGINE, Counted, Shape, Target, changed, only

# Columns: of the target, of the source; of what is to be done: the row hit, the row that hits it, the clause's number.
ROW, SOURCE = "isthmus row", "isthmus source row"
HIT, BY, CLAUSE = "isthmus hit", "isthmus by", "isthmus clause"
CHANGE = "_change_type"  # of the change data feed: what a row is there; null for one that is not changed
KEPT_SOURCE, KEPT_CHANGES = "isthmus source", "isthmus changes"
FILE_BITS = 40  # of a row's number the lower ones count the rows of its file


def delete(engine, statement, tree):
    """DELETE FROM name [WHERE condition]."""
    only(tree, "this", "where")
    with Rewrite(engine, statement, tree.this, "DELETE") as rewrite:
        return rewrite.run_where(Clause(1, "DELETE", None, {}), tree.args.get("where"))


def update(engine, statement, tree):
    """UPDATE name SET column = value, ... [WHERE condition]."""
    only(tree, "this", "expressions", "where")
    with Rewrite(engine, statement, tree.this, "UPDATE") as rewrite:
        clause = Clause(1, "UPDATE", None, rewrite.assignments(tree.expressions))
        return rewrite.run_where(clause, tree.args.get("where"))


def merge(engine, statement, tree):
    """[WITH ...] MERGE INTO name USING source ON condition WHEN [NOT] MATCHED [BY SOURCE] [AND condition] THEN ..."""
    only(tree, "this", "using", "on", "whens", "with_")
    with Rewrite(engine, statement, tree.this, "MERGE") as rewrite:
        return rewrite.run_merge(tree)


def replace(engine, statement, table, where, given, query, assignment):
    """INSERT INTO name REPLACE WHERE condition query: rows that the condition is true for give way to the query's, for
    which it must be true, too. Of OVERWRITE ... PARTITION there are the values (`given`) and no condition."""
    with Rewrite(engine, statement, table, "INSERT") as rewrite:
        return rewrite.run_replace(where, given, query, assignment)


class Clause:
    """What becomes of a row: `kind` UPDATE, DELETE or INSERT; `values` are {column in lower case: expression}."""

    def __init__(self, number, kind, condition, values):
        self.number = number
        self.kind = kind
        self.condition = condition
        self.values = values


class NumberedRows(ds.Dataset):
    """A snapshot's rows with a number, by which a row is found again: that of its file, and that in the file."""

    def __init__(self, snapshot):
        self._snapshot = snapshot
        self._table = snapshot.schema
        self._schema = self._table.append(pa.field(ROW, pa.int64()))
        self._paths = snapshot.scan([]).paths()
        self.files = range(len(self._paths))  # the numbers of those that are read

    schema = property(lambda self: self._schema)

    def paths(self, files):
        return [self._paths[number] for number in files]

    def scanner(self, columns=None, filter=None, **_):
        wanted = self._schema.names if columns is None else columns
        told = str(filter) if filter is not None else ""
        names = [name for name in self._table.names if name in wanted or name in told]
        part = pa.schema([self._schema.field(name) for name in (*names, ROW)])
        files = self.files if filter is None or ROW in told else self._matching(filter)
        rows = pa.RecordBatchReader.from_batches(part, self._batches(names, files, part))
        return ds.Scanner.from_batches(rows, columns=wanted, filter=filter)

    def _matching(self, filter):
        """The files that may have rows which a filter is true for."""
        paths = set(self._snapshot.scan([], filter).paths())
        return [number for number in self.files if self._paths[number] in paths]

    def _batches(self, names, files, part):
        tasks = self._snapshot.scan(names).tasks()
        for number in files:
            row = number << FILE_BITS
            for batch in self._snapshot.store.read_task(tasks[number][0]):
                numbers = pa.arange(row, row + batch.num_rows)
                yield pa.record_batch([*batch.columns, numbers], schema=part)
                row += batch.num_rows


class Rewrite:
    """A change of a table's rows, as of the version that its transaction begins with."""

    def __init__(self, engine, statement, table, kind):
        self.engine = engine
        self.statement = statement
        self.kind = kind
        self.table = table
        self.target = Target(engine, statement, table).must_exist()
        if self.target.is_policed:
            raise unsupported(f"{kind} on {self.target.full_name}, which has a row filter or column masks,",
                              at=self.target.at)
        self.asked = [{"name": self.target.name, "access": "SELECT"}]
        self.told = statement.resolve(self.asked)[0]
        self.inputs = {self.target.full_name}
        with self.target.failing():
            self.store = self.target.open("write")
            self.schema = native.Snapshot(self.store).schema
            self.transaction = native.Transaction(
                self.store, self.schema, mode="rewrite", operation=None if kind == "INSERT" else kind,
                table_name=self.target.full_name, app_id=self.target.key, engine=ENGINE)
            self.rows = NumberedRows(native.Snapshot(self.store, self.transaction.read_version))
        self.given = [Given("isthmus target", self.target.name, {**_columns(self.schema), ROW: "BIGINT"}, self.rows),
                      Given(KEPT_CHANGES, [KEPT_CHANGES], {HIT: "BIGINT", BY: "BIGINT", CLAUSE: "BIGINT"})]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.engine.forget(KEPT_CHANGES, KEPT_SOURCE)

    # ---- what is done to which rows

    def run_where(self, clause, where):
        """Do what a clause says with the rows that a condition is true for."""
        query = exp.select(_named(_own(ROW), HIT), _number(None, BY), _number(clause.number, CLAUSE))
        query = query.from_(self._target())
        return self._run([clause], [query.where(where.this.copy()) if where else query])

    def run_replace(self, where, given, query, assignment):
        if self.transaction.is_noop:
            return changed("INSERT", self.target, 0, sorted(self.inputs), num_inserted_rows=0)
        plan = self._keep_source(query, self.target.name, self.table.alias_or_name, assignment.expressions)
        if where is not None:
            self._check_replacement(where)
        else:
            types = _columns(self.schema)
            where = exp.and_(*[exp.NullSafeEQ(this=exp.column(exp.to_identifier(name, quoted=True)), expression=_cast(
                value.copy(), types[name])) for name, value in given.items()])
        hits = exp.select(_named(_own(ROW), HIT), _number(None, BY), _number(1, CLAUSE)).from_(self._target())
        self._keep_changes([hits.where(where.copy())])
        (count,), = self.engine.ask_kept(f'SELECT count(*) FROM "{KEPT_SOURCE}"')
        own = {name.lower() for name in assignment.schema.names}
        columns = [_column(field.name) if field.name.lower() in own else exp.Null() for field in self.schema]
        rows = [_named(_cast(column, type), name)
                for column, (name, type) in zip(columns, _columns(self.schema).items())]
        self._write([Clause(1, "DELETE", None, {})], [exp.select(*rows).from_(self._source())])
        origins = lineage.facet(query, assignment.schema.names, plan.questions, self.statement.catalog,
                                self.statement.schema)
        return changed("INSERT", self.target, count, sorted(self.inputs), origins, num_inserted_rows=count)

    def _check_replacement(self, where):
        holds = exp.Coalesce(this=exp.paren(where.copy()), expressions=[exp.false()])
        query = exp.select(exp.Literal.number(1)).from_(self._source()).where(exp.not_(holds)).limit(1)
        result = self.engine.query(self.statement, query, given=self.given)
        try:
            if sum(batch.num_rows for batch in result.batches):
                raise StatementError("DELTA_REPLACE_WHERE_MISMATCH", "A row of the query is none that the condition of "
                                     "REPLACE WHERE is true for; select those alone.", dialect.place(where))
        finally:
            result.close()

    def run_merge(self, tree):
        using = tree.args["using"]
        query = exp.select(exp.Star(), _named(exp.Window(this=exp.RowNumber()), SOURCE)).from_(using.copy())
        if tree.args.get("with_"):
            query.set("with_", tree.args["with_"].copy())
        name = dialect.parts(using, self.statement.catalog, self.statement.schema) if isinstance(using, exp.Table) \
            else [KEPT_SOURCE]
        self._keep_source(query, name, using.alias_or_name or KEPT_SOURCE)
        clauses = _Clauses(self, tree.args["whens"].expressions)
        matches = exp.select(_named(_own(ROW), HIT), _named(_own(SOURCE), BY), clauses.choice(clauses.matched))
        matches = matches.from_(self._target()).join(self._source(), on=tree.args["on"].copy())
        queries = [_with_clause(matches) if clauses.is_matched_only else matches]
        if clauses.by_source:
            query = exp.select(_named(_own(ROW), HIT), _number(None, BY), clauses.choice(clauses.by_source))
            queries.append(_with_clause(query.from_(self._target()).where(self._is_unmatched(HIT, ROW))))
        if clauses.inserts:
            query = exp.select(_number(None, HIT), _named(_own(SOURCE), BY), clauses.choice(clauses.inserts))
            queries.append(_with_clause(query.from_(self._source()).where(self._is_unmatched(BY, SOURCE))))
        return self._run(clauses.all, queries, clauses.must_match_once, tree)

    def assignments(self, expressions):
        """{column in lower case: value} of SET column = value, ..."""
        values = {}
        for assignment in expressions:
            column = assignment.this
            mine = (self.table.alias_or_name.lower(), self.target.name[-1].lower())
            if not isinstance(assignment, exp.EQ) or not isinstance(column, exp.Column) or \
                    column.table and column.table.lower() not in mine:
                raise unsupported("SET of anything but a column", at=dialect.place(assignment))
            if self.column(column).lower() in values:
                raise StatementError("INVALID_STATEMENT", f"The column `{column.name}` is set twice.",
                                     dialect.place(column))
            values[column.name.lower()] = assignment.expression
        return values

    def column(self, node):
        """The table's own name of a column that a statement names."""
        for name in self.schema.names:
            if name.lower() == node.name.lower():
                return name
        raise StatementError("UNRESOLVED_COLUMN", f"{self.target.full_name} has no column `{node.name}`.",
                             dialect.place(node))

    def _target(self):
        alias = self.table.args.get("alias")
        return self.given[0].node(alias.copy() if alias else None)

    def _source(self):
        """The source of a MERGE, in FROM."""
        return self.given[2].node(exp.TableAlias(this=self.source_name.copy()))

    def _changes(self):
        return self.given[1].node()

    def _is_unmatched(self, column, own):
        matches = exp.select(exp.Literal.number(1)).from_(self._changes())
        return exp.not_(exp.Exists(this=matches.where(exp.EQ(this=_own(column), expression=_own(own)))))

    def _keep_source(self, query, name, alias, assign=None):
        """Read a source and keep its rows. In queries it is called by its name or by an alias."""
        plan = self.engine.keep(self.statement, query, KEPT_SOURCE, assign=assign)
        self.inputs.update(plan.lineage["inputs"])
        if plan.questions:
            self.asked, self.told = ([*mine, *its] for mine, its in zip((self.asked, self.told), plan.questions[0]))
        self.source_name = exp.to_identifier(alias, quoted=True)
        self.given.append(Given(KEPT_SOURCE, name, _columns(self.engine.kept(KEPT_SOURCE))))
        return plan

    # ---- and how

    def _run(self, clauses, queries, must_match_once=False, tree=None):
        if self.transaction.is_noop:
            return self._done(clauses, {})
        self._keep_changes(queries, must_match_once)
        counts = dict(self.engine.ask_kept(
            f'SELECT "{CLAUSE}", count(DISTINCT "{HIT}") + count(*) FILTER (WHERE "{HIT}" IS NULL) '
            f'FROM "{KEPT_CHANGES}" WHERE "{CLAUSE}" > 0 GROUP BY ALL'))
        if counts:
            inserts = [clause for clause in clauses if clause.kind == "INSERT"]
            self._write(clauses, [self._inserted(inserts)] if inserts else [])
        return self._done(clauses, counts, tree)

    def _keep_changes(self, queries, must_match_once=False):
        for i, query in enumerate(queries):
            plan = self.engine.keep(self.statement, query, KEPT_CHANGES, self.given, more=i > 0)
            self.inputs.update(plan.lineage["inputs"])
            if i == 0 and must_match_once:
                self._check_matches()

    def _check_matches(self):
        if self.engine.ask_kept(f'SELECT 1 FROM "{KEPT_CHANGES}" GROUP BY "{HIT}" HAVING count(*) > 1 LIMIT 1'):
            raise StatementError(
                "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
                f"Several rows of the source match one row of {self.target.full_name}, so it is not clear what is to "
                "become of it. Let the source have one row for each, by GROUP BY or by QUALIFY row_number() OVER (...) "
                "= 1.")

    def _write(self, clauses, more):
        """Write the files with hits anew, and the rows of further queries."""
        files = [number for number, in self.engine.ask_kept(
            f'SELECT DISTINCT "{HIT}" >> {FILE_BITS} FROM "{KEPT_CHANGES}" '
            f'WHERE "{CLAUSE}" > 0 AND "{HIT}" IS NOT NULL ORDER BY ALL')]
        self.rows.files = files
        feed = self.transaction.change_context() if files else ""  # added files are their own changes
        schema = self.schema
        if feed:
            schema = schema.append(pa.field(CHANGE, pa.string()))
            more = [query.select(_change("insert")) for query in more]
        parts = [*self._rewritten(clauses, bool(feed)), *more] if files else more
        query = parts[0]
        for part in parts[1:]:
            query = exp.union(query, part, distinct=False)
        rows = Counted(self.engine.query(self.statement, query, given=self.given), Shape(schema))
        try:
            self._commit(rows, files, feed)
        finally:
            rows.close()

    def _inserted(self, inserts):
        """The rows of the source that are inserted."""
        query = exp.select(*self._values(inserts, lambda field: exp.Null())).from_(self._changes())
        return query.join(self._source(), on=exp.EQ(this=_own(BY), expression=_own(SOURCE))).where(
            exp.Is(this=_own(HIT), expression=exp.Null()), _is_any(inserts))

    def _rewritten(self, clauses, tells_changes):
        """Queries of the rows of the files that are read once more, with what is changed. Where changes are told a
        column says which these are: deleted rows are among them then, and updated ones come once more as they were."""
        deletes = [clause for clause in clauses if clause.kind == "DELETE"]
        updates = [clause for clause in clauses if clause.kind == "UPDATE"]
        query = exp.select(*self._values(updates, self._as_it_is)).from_(self._target())
        query = query.join(self._hits(), on=exp.EQ(this=_own(HIT), expression=_own(ROW)), join_type="left")
        if self.kind == "MERGE":
            query = query.join(self._source(), on=exp.EQ(this=_own(BY), expression=_own(SOURCE)), join_type="left")
        if not tells_changes:
            return [query.where(exp.not_(_is_any(deletes))) if deletes else query]
        queries = [query.select(_named(exp.Case(ifs=[
            exp.If(this=_is_any(of), true=exp.Literal.string(kind))
            for of, kind in ((deletes, "delete"), (updates, "update_postimage")) if of]), CHANGE))]
        if updates:
            before = exp.select(*self._values([], self._as_it_is), _change("update_preimage")).from_(self._target())
            queries.append(before.join(self._hits(), on=exp.EQ(this=_own(HIT), expression=_own(ROW))).where(
                _is_any(updates)))
        return queries

    def _hits(self):
        """What is to be done with rows of the target, once for each."""
        query = exp.select(_own(HIT), *(_named(exp.AnyValue(this=_own(name)), name) for name in (BY, CLAUSE)))
        query = query.from_(self._changes()).where(exp.GT(this=_own(CLAUSE), expression=exp.Literal.number(0)),
                                                   exp.not_(exp.Is(this=_own(HIT), expression=exp.Null())))
        return query.group_by(_own(HIT)).subquery(exp.to_identifier("isthmus hits", quoted=True))

    def _as_it_is(self, field):
        return exp.column(exp.to_identifier(field.name, quoted=True),
                          table=exp.to_identifier(self.table.alias_or_name, quoted=True))

    def _values(self, clauses, otherwise):
        """The table's columns by clauses, each cast as an assignment is."""
        for field in self.schema:
            type, name = type_names(field.type)[1], field.name.lower()
            ifs = [exp.If(this=_is(clause), true=_cast(clause.values[name].copy(), type))
                   for clause in clauses if name in clause.values]
            value = otherwise(field)
            if isinstance(value, exp.Null):
                value = _cast(value, type)
            yield _named(exp.Case(ifs=ifs, default=value) if ifs else value, field.name)

    def _commit(self, rows, files, feed):
        transaction = self.transaction
        written = []
        try:
            with self.target.failing(), contextlib.ExitStack() as open_writers:
                contexts = [transaction.write_context(), *([feed] if feed else [])]
                writers = [open_writers.enter_context(native.Writer(self.store, context)) for context in contexts]
                for batch in rows:
                    for writer, part in zip(writers, _split(batch) if feed else [batch]):
                        writer.write(part)
                written = [writer.finish() for writer in writers]
                transaction.replace(self.rows.paths(files))
                for context, actions in zip(contexts, written):
                    transaction.add(context, actions)
                transaction.commit()
        except StatementError:
            delta.discard_uncommitted(self.store, written, self.target.key)
            raise

    def _done(self, clauses, counts, tree=None):
        told = {"UPDATE": 0, "DELETE": 0, "INSERT": 0}
        for clause in clauses:
            told[clause.kind] += counts.get(clause.number, 0)
        more = {} if self.kind != "MERGE" else {
            "num_updated_rows": told["UPDATE"], "num_deleted_rows": told["DELETE"], "num_inserted_rows": told["INSERT"]}
        origins = self._origins(clauses, tree)
        return changed(self.kind, self.target, sum(told.values()), sorted(self.inputs), origins, **more)

    def _origins(self, clauses, tree):
        """Where the columns that are written come from."""
        queries = []
        for clause in clauses:
            values = [_named(clause.values.get(name.lower(), exp.Null()).copy(), name) for name in self.schema.names]
            query = exp.select(*values).from_(self.table.copy())
            if tree is not None:
                query = query.join(tree.args["using"].copy(), on=exp.true())
            if clause.values:
                queries.append(query)
        if not queries:
            return None
        query = queries[0] if len(queries) == 1 else exp.union(*queries, distinct=False)
        if tree is not None and tree.args.get("with_"):
            query.set("with_", tree.args["with_"].copy())
        return lineage.facet(query, self.schema.names, [(self.asked, self.told)], self.statement.catalog,
                             self.statement.schema)


class _Clauses:
    """The WHENs of a MERGE."""

    def __init__(self, rewrite, whens):
        self._rewrite = rewrite
        self.all = [self._clause(i + 1, when) for i, when in enumerate(whens)]
        kinds = [(when.args.get("matched"), when.args.get("source")) for when in whens]
        self.matched, self.inserts, self.by_source = (
            [clause for clause, kind in zip(self.all, kinds) if tuple(map(bool, kind)) == wanted]
            for wanted in ((True, False), (False, False), (False, True)))
        for clauses in (self.matched, self.inserts, self.by_source):
            if any(clause.condition is None for clause in clauses[:-1]):
                raise StatementError("INVALID_STATEMENT", "Of several WHEN clauses of one kind only the last can be "
                                                          "without AND condition: those after it are never reached.")

    is_matched_only = property(lambda self: not self.inserts and not self.by_source)

    @property
    def must_match_once(self):
        """Several matches do no harm where nothing or all is done with what matches."""
        is_deletion = len(self.matched) == 1 and self.matched[0].kind == "DELETE" and self.matched[0].condition is None
        return not is_deletion and bool(self.matched or self.by_source)

    def choice(self, clauses):
        """The number of the first clause whose condition holds; 0 if none does."""
        if not clauses:
            return _number(0, CLAUSE)
        ifs = [exp.If(this=clause.condition.copy(), true=exp.Literal.number(clause.number))
               for clause in clauses if clause.condition is not None]
        last = exp.Literal.number(clauses[-1].number if clauses[-1].condition is None else 0)
        return _named(exp.Case(ifs=ifs, default=last) if ifs else last, CLAUSE)

    def _clause(self, number, when):
        then = when.args["then"]
        condition = when.args.get("condition")
        if isinstance(then, exp.Var) and then.name.upper() == "DELETE":
            return Clause(number, "DELETE", condition, {})
        if isinstance(then, exp.Update):
            return Clause(number, "UPDATE", condition, self._updates(then, when))
        if isinstance(then, exp.Insert):
            return Clause(number, "INSERT", condition, self._inserts(then))
        raise unsupported(f"MERGE with THEN {then.sql(dialect=dialect.WarehouseSql)[:60]}", at=dialect.place(when))

    def _updates(self, then, when):
        if len(then.expressions) == 1 and isinstance(then.expressions[0], exp.Star):
            if when.args.get("source"):
                raise StatementError("INVALID_STATEMENT", "WHEN NOT MATCHED BY SOURCE has no source for UPDATE SET *.")
            return self._of_source(then.expressions[0])
        return self._rewrite.assignments(then.expressions)

    def _inserts(self, then):
        if isinstance(then.this, exp.Star):
            return self._of_source(then.this)
        named = [self._rewrite.column(column) for column in then.this.expressions] if then.this else \
            self._rewrite.schema.names
        values = then.expression.expressions if isinstance(then.expression, exp.Tuple) else [then.expression]
        if len(named) != len(values):
            raise StatementError("DATATYPE_MISMATCH", f"INSERT names {len(named)} columns, and gives {len(values)} "
                                                      "values.", dialect.place(then))
        if len(set(named)) < len(named):
            raise StatementError("INVALID_STATEMENT", "A column is named twice.", dialect.place(then))
        defaults = [field.name for field in self._rewrite.schema
                    if field.name not in named and b"CURRENT_DEFAULT" in (field.metadata or {})]
        if defaults:
            raise unsupported(f"MERGE whose INSERT leaves out {defaults[0]}, a column with a default value,",
                              "give the column a value")
        return {name.lower(): value for name, value in zip(named, values)}

    def _of_source(self, star):
        """Each column from the source's of the same name."""
        if any(star.args.values()):
            raise unsupported("* EXCEPT in MERGE", "name the columns")
        theirs = {column["name"].lower(): column["name"] for column in self._rewrite.given[2].info["columns"]}
        values = {}
        for name in self._rewrite.schema.names:
            if name.lower() not in theirs:
                raise StatementError("UNRESOLVED_COLUMN",
                                     f"The source of the MERGE has no column `{name}`, which * needs.")
            values[name.lower()] = exp.column(exp.to_identifier(theirs[name.lower()], quoted=True),
                                              table=self._rewrite.source_name.copy())
        return values


# ---- pieces of queries -----------------------------------------------------------------------------------------------


def _columns(schema):
    """{name: type in Databricks}"""
    return {field.name: type_names(field.type)[1] for field in schema}


def _named(node, name):
    return exp.alias_(node, name, quoted=True)


def _cast(node, type):
    """As a type of Databricks."""
    return exp.Cast(this=node, to=exp.DataType.build(type, dialect=dialect.WarehouseSql))


def _number(value, name):
    return _named(_cast(exp.Null() if value is None else exp.Literal.number(value), "BIGINT"), name)


def _change(kind):
    return _named(exp.Literal.string(kind), CHANGE)


def _split(batch):
    """(the rows of the data files, those of the change data feed)"""
    kind = batch.column(CHANGE)
    is_there = pc.or_kleene(pc.is_null(kind), pc.is_in(kind, pa.array(["insert", "update_postimage"])))
    return batch.filter(is_there).drop_columns([CHANGE]), batch.filter(pc.is_valid(kind))


def _column(name):
    return exp.column(exp.to_identifier(name, quoted=True))


def _own(name):
    """One of the columns that are added here; no two relations have one of the same name."""
    return _column(name)


def _is(clause):
    return exp.EQ(this=_own(CLAUSE), expression=exp.Literal.number(clause.number))


def _is_any(clauses):
    """Whether a row is one that a clause decides of; never null."""
    among = exp.In(this=_own(CLAUSE), expressions=[exp.Literal.number(clause.number) for clause in clauses])
    return exp.Coalesce(this=among, expressions=[exp.false()])


def _with_clause(query):
    """Those of changes that a clause is for."""
    return exp.select("*").from_(query.subquery(exp.to_identifier("isthmus found", quoted=True))).where(
        exp.GT(this=_own(CLAUSE), expression=exp.Literal.number(0)))
