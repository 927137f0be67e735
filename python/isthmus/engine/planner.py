"""From a statement to a plan: names looked up, views opened, and the SQL that DuckDB runs.

Every table that a statement names is asked of the server (Statement.resolve), which tells whether it is there and
whether the principal may use it. Its place in the query is taken by a relation with a name of our own, so that nothing
but what was asked for can be read. A view's place is taken by its query, whose tables are asked for with the views on
the way to them (`via`): the server checks those with the view's owner.
"""

from isthmus.engine import dialect
from isthmus.engine.errors import StatementError, unsupported
from sqlglot import exp

VIEW_DEPTH_MAX = 32
RELATIONS_MAX = 1000  # of a statement, its views opened: views of views can multiply


class Relation:
    """A table as a statement reads it: `info` of the server, the views on the way to it, and the version or timestamp
    (SQL) asked for, if any."""

    def __init__(self, number, name, info, via=(), version=None, timestamp=None):
        self.relation = f"isthmus {number}"
        self.name = name
        self.info = info
        self.via = list(via)
        self.version = version
        self.timestamp = timestamp

    full_name = property(lambda self: ".".join(self.name))
    is_policed = property(lambda self: has_policy(self.info))


class Given:
    """A relation that nobody has to look up: the rows of a dataset, or a table that the engine keeps in DuckDB (no
    dataset). `name` is what the user calls it, `columns` are {name: type in Databricks}."""

    version = timestamp = None
    is_policed = False

    def __init__(self, relation, name, columns, dataset=None):
        self.relation = relation
        self.name = name
        self.info = {"columns": [{"name": column, "type_text": type} for column, type in columns.items()]}
        self.dataset = dataset

    full_name = property(lambda self: ".".join(self.name))

    def node(self, alias=None):
        """It in FROM, called by its own name or by an alias (an exp.TableAlias)."""
        table = exp.Table(this=exp.to_identifier(self.name[-1], quoted=True), alias=alias)
        table.meta["given"] = self.relation
        return table


def has_policy(info):
    """Whether a table has a row filter or column masks."""
    return bool(info.get("row_filter") or any(column.get("mask") for column in info.get("columns") or ()))


class Planner:
    """Looks names up for one statement. `relations` is what was found so far, and at first what is Given. A table whose
    meta has a "home" is looked up there: (catalog, schema, via)."""

    def __init__(self, statement, given=()):
        self.statement = statement
        self.relations = list(given)
        self.names = set()  # what the statement's text itself names: tables and views

    def read(self, tree):
        """Put relations in the place of all tables of a tree, which is changed; (relations are added)."""
        waiting = []
        for table in dialect.tables(tree):
            if "given" in table.meta:
                _rename(table, table.meta["given"])
            else:
                home = table.meta.get("home") or (self.statement.catalog, self.statement.schema, [])
                waiting.append((table, *home))
        named = [dialect.parts(*item[:3]) for item in waiting]
        self.names = {".".join(name) for name in named}
        _shorten_columns(tree, [*named, *(relation.name for relation in self.relations)])
        while waiting:
            if len(self.relations) + len(waiting) > RELATIONS_MAX:
                raise StatementError("VIEW_EXCEED_MAX_NESTED_DEPTH", f"The statement reads more than {RELATIONS_MAX} "
                                                                     "tables, those of its views counted.")
            waiting = self._open(waiting)

    def _open(self, waiting):
        """Look up tables, all in one question; the tables of the views among them."""
        asked = []
        for table, catalog, schema, via in waiting:
            entry = {"name": dialect.parts(table, catalog, schema), "access": "SELECT"}
            asked.append({**entry, "via": via} if via else entry)
        found, _ = self.statement.resolve(asked)
        opened = []
        for (table, _, _, via), entry, info in zip(waiting, asked, found):
            if not info.get("exists"):
                raise not_found(entry["name"], dialect.place(table) if not via else None)
            if info.get("kind") == "VIEW":
                opened += self._open_view(table, entry["name"], via, info)
            else:
                self._open_table(table, entry["name"], info, via)
        return opened

    def _open_table(self, table, name, info, via):
        version = table.args.get("version")
        relation = Relation(len(self.relations), name, info, via)
        if version is not None:
            _set_version(relation, version)
        self.relations.append(relation)
        table.set("version", None)
        _rename(table, relation.relation)

    def _open_view(self, table, name, via, info):
        full_name = ".".join(name)
        if table.args.get("version"):
            raise unsupported(f"Time travel of the view {full_name}", "name a table", dialect.place(table))
        if full_name in via:
            way = " -> ".join([*filter(_is_view, via), full_name])
            raise StatementError("RECURSIVE_VIEW", f"The view {full_name} reads itself: {way}.")
        if len(via) >= VIEW_DEPTH_MAX:
            raise StatementError("VIEW_EXCEED_MAX_NESTED_DEPTH",
                                 f"Views are nested more than {VIEW_DEPTH_MAX} deep, down to {full_name}.")
        query = _view_query(full_name, info).copy()
        dialect.bind_session(query, self.statement)
        _put_view(table, query, info)
        return [(inner, name[0], name[1], [*via, full_name]) for inner in dialect.tables(query)]


def _is_view(way):
    return isinstance(way, str)


def _set_version(relation, version):
    kind, value = version.this, version.expression
    if version.args.get("kind") != "AS OF":
        raise unsupported(f"Time travel with {kind} {version.args.get('kind')}",
                          "write VERSION AS OF or TIMESTAMP AS OF")
    if kind == "TIMESTAMP":
        relation.timestamp = value.copy()
        return
    text = value.this.name if isinstance(value, exp.Cast) else value.name
    if not text.isdigit():
        raise StatementError("INVALID_STATEMENT", f"VERSION AS OF takes a version number, not {text[:50]!r}.")
    relation.version = int(text)


def _rename(table, relation):
    """Let a table be read under another name, and still be called by its own."""
    if not table.alias:
        own = table.this.copy()
        alias = table.args.get("alias")
        if alias is None:
            table.set("alias", exp.TableAlias(this=own))
        else:
            alias.set("this", own)
    table.set("this", exp.to_identifier(relation, quoted=True))
    table.set("db", None)
    table.set("catalog", None)


def _view_query(full_name, info):
    try:
        query = dialect.parse(info.get("view_definition") or "")
    except StatementError as error:
        raise StatementError(error.condition, f"The view {full_name} cannot be read: {error.args[0]}") from None
    if not isinstance(query, exp.Query):
        raise StatementError("INVALID_STATEMENT", f"The view {full_name} is not a query.")
    return query


def _put_view(table, query, info):
    """Put a view's query in its place."""
    columns = [column["name"] for column in info.get("columns") or ()]
    dialect.name_outputs(query)
    alias = table.args.get("alias")
    if alias is None:
        alias = exp.TableAlias(this=table.this.copy())
    elif not alias.this:
        alias.set("this", table.this.copy())
    if not alias.args.get("columns") and columns and not query.is_star and query.named_selects != columns:
        alias.set("columns", [exp.to_identifier(column, quoted=True) for column in columns])
    rest = {key: table.args[key] for key in ("joins", "laterals", "pivots", "sample") if table.args.get(key)}
    table.replace(exp.Subquery(this=query, alias=alias, **rest))


def _shorten_columns(tree, named):
    """`catalog.schema.table.column` to `table.column`: DuckDB will know the table by its last name."""
    known = {tuple(part.lower() for part in name) for name in named if len(name) == 3}
    known |= {("", *name[1:]) for name in known}
    for column in tree.find_all(exp.Column):
        if column.db and (column.catalog.lower(), column.db.lower(), column.table.lower()) in known:
            column.set("catalog", None)
            column.set("db", None)


def not_found(name, at=None):
    return StatementError("TABLE_OR_VIEW_NOT_FOUND",
                          f"The table or view {dialect.show_name(name)} cannot be found. Verify the spelling and that "
                          "its catalog and schema are right; or you may not see it.", at)
