"""Databricks SQL as a tree: parsed, parameters and session functions put in, and written as DuckDB's SQL.

A tree is what sqlglot parses. `parse` gives the same tree for the same text and it must not be changed: `copy` it.
Nothing here knows what names mean (planner.py) or runs anything (duckdb.py).
"""

import functools
import logging

import sqlglot
from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, SqlglotError, UnsupportedError
from sqlglot.tokens import TokenType

from isthmus.engine.errors import StatementError, unsupported

STATEMENT_MAX = 16 << 20
TREES_KEPT = 256
DEPTH_MAX = 500  # of a tree; far beyond it Python's own stack ends

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements that are refused here anyway


class WarehouseSql(Databricks):
    """Databricks' dialect with `table@v3`, and quotes that are doubled inside of a text, as Spark 4 reads them."""

    class Tokenizer(Databricks.Tokenizer):
        STRING_ESCAPES = [*Databricks.Tokenizer.STRING_ESCAPES, "'", '"']

    class Parser(Databricks.Parser):
        TABLE_POSTFIX_TOKENS = {*Databricks.Parser.TABLE_POSTFIX_TOKENS, TokenType.PARAMETER}

        def _parse_version(self):
            if self._curr and self._curr.token_type == TokenType.PARAMETER and _is_version(self._next):
                self._advance(2)
                version = exp.Literal.number(self._prev.text[1:])
                return self.expression(exp.Version(this="VERSION", expression=version, kind="AS OF"))
            return super()._parse_version()


def _is_version(token):
    return token is not None and token.text[:1] in ("v", "V") and token.text[1:].isdigit()


# ---- parsing ---------------------------------------------------------------------------------------------------------


@functools.lru_cache(TREES_KEPT)
def parse(text):
    """The tree of the one statement in the text."""
    if len(text) > STATEMENT_MAX:
        raise StatementError("INVALID_STATEMENT", f"The statement is over {STATEMENT_MAX:,} characters.")
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=WarehouseSql) if not _is_nothing(tree)]
    except SqlglotError as error:
        raise _syntax_error(text, error) from None
    except RecursionError:
        raise StatementError("INVALID_STATEMENT", "The statement is nested too deeply.") from None
    if not trees:
        raise StatementError("PARSE_EMPTY_STATEMENT", "The statement is empty.")
    if len(trees) > 1:
        raise StatementError("PARSE_SYNTAX_ERROR", "There is more than one statement; send one at a time.")
    return trees[0]


def _is_nothing(tree):
    return tree is None or isinstance(tree, exp.Semicolon)


def _syntax_error(text, error):
    details = getattr(error, "errors", None)
    if not details:
        return StatementError("PARSE_SYNTAX_ERROR", f"Syntax error: {str(error).splitlines()[0][:200]}.")
    detail = details[0]
    near, line, end = detail.get("highlight") or "", detail.get("line"), detail.get("col")
    if not near:
        return StatementError("PARSE_SYNTAX_ERROR", "Syntax error at or near end of input.",
                              (text.count("\n") + 1, len(text) - text.rfind("\n")))
    at = (line, max(1, end - len(near) + 1)) if line and end else None
    return StatementError("PARSE_SYNTAX_ERROR", f"Syntax error at or near '{near[:100]}'.", at)


def place(node):
    """(line, position) of a node in its text; None where it is not known."""
    for part in node.walk():
        if "line" in part.meta:
            width = part.meta["end"] - part.meta["start"]
            return part.meta["line"], max(1, part.meta["col"] - width)
    return None


def locate(text, word):
    """(line, position) of the first token that is the word; None where there is none."""
    try:
        tokens = WarehouseSql().tokenize(text)
    except SqlglotError:
        return None
    for token in tokens if word else ():
        if token.text.lower() == word.lower():
            return token.line, max(1, token.col - (token.end - token.start))
    return None


def rest_of_command(tree):
    """The words after the first of a statement that sqlglot does not parse (SHOW, EXPLAIN...)."""
    rest = tree.args.get("expression")
    return (rest.name if isinstance(rest, exp.Expr) else rest or "").strip()


# ---- names -----------------------------------------------------------------------------------------------------------


def quote(name):
    """A name as SQL writes it."""
    return "`" + name.replace("`", "``") + "`"


def show_name(parts):
    return ".".join(quote(part) for part in parts)


def tables(tree):
    """The tables of a tree; not its common table expressions, and not functions in FROM."""
    return [table for table in tree.find_all(exp.Table) if not isinstance(table.this, exp.Func) and not _is_cte(table)]


def _is_cte(table):
    """Whether a table is what a WITH around it defines. An expression sees those before it, and itself if recursive."""
    if table.args.get("db") or not isinstance(table.this, exp.Identifier):
        return False
    name, inside, node = table.name.lower(), None, table
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        with_ = node.args.get("with_")
        if with_ is not None:
            for cte in with_.expressions:
                if cte is inside and not with_.args.get("recursive"):
                    break
                if cte.alias.lower() == name:
                    return True
                if cte is inside:
                    break
            inside = None
        node = node.parent
    return False


def parts(table, catalog, schema):
    """The three parts of a table's name; those left out are the statement's."""
    if not isinstance(table.this, exp.Identifier):
        raise unsupported(f"{table.this.sql(dialect=WarehouseSql)[:100]} in FROM", at=place(table))
    return [table.catalog or catalog or "main", table.db or schema or "default", table.name]


# ---- what is put in before names are looked up -----------------------------------------------------------------------


def bind_parameters(tree, text, parameters):
    """Put the values of `:name` in. A value is a text that becomes its type by a cast."""
    values = {}
    for parameter in parameters:
        name = (parameter.get("name") or "").lower()
        if not name:
            raise StatementError("INVALID_PARAMETER", "Only named parameters are known; write :name and give its name.")
        values[name] = parameter
    for node in list(tree.find_all(exp.Placeholder)):
        name = node.name
        if not name:
            raise StatementError("UNBOUND_SQL_PARAMETER", "Parameters are named; write :name and not ?.",
                                 locate(text, "?"))
        if name.lower() not in values:
            raise StatementError("UNBOUND_SQL_PARAMETER",
                                 f"Found the unbound parameter: {name}. Give its value in `parameters`.",
                                 locate(text, name))
        node.replace(_value(values[name.lower()]))


def _value(parameter):
    value, type = parameter.get("value"), parameter.get("type") or "STRING"
    try:
        type = exp.DataType.build(type, dialect=WarehouseSql)
    except (SqlglotError, ValueError):
        raise StatementError("INVALID_PARAMETER", f"Parameter {parameter['name']}: {type} is not a type.") from None
    literal = exp.Null() if value is None else exp.Literal.string(value)
    if value is not None and type.this in (exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR):
        return literal
    return exp.Cast(this=literal, to=type)


def bind_session(tree, statement):
    """Put in what is known of who asks: current_user() and the like."""
    for node in list(tree.find_all(exp.Func, exp.SessionUser, exp.CurrentUser, exp.CurrentSchema)):
        known = _SESSION.get(type(node)) or _SESSION_NAMES.get(
            node.name.lower() if isinstance(node, exp.Anonymous) else None)
        if known and not isinstance(node.parent, exp.Dot):
            node.replace(known(node, statement))


def _is_member(node, statement):
    groups = [exp.Literal.string(group) for group in statement.groups]
    if len(node.expressions) != 1:
        raise StatementError("INVALID_STATEMENT", f"{node.name} takes one argument, the name of a group.", place(node))
    return exp.paren(exp.In(this=node.expressions[0].copy(), expressions=groups)) if groups else exp.false()


def _text(member, default=None):
    return lambda node, statement: exp.Literal.string(getattr(statement, member) or default)


_SESSION_NAMES = {
    "is_account_group_member": _is_member,
    "is_member": _is_member,
    "user": _text("user"),
    "session_user": _text("user"),
    "current_metastore": lambda node, statement: exp.Literal.string("isthmus"),
}
_SESSION = {
    exp.CurrentUser: _text("user"),
    exp.SessionUser: _text("user"),
    exp.CurrentCatalog: _text("catalog", "main"),
    exp.CurrentSchema: _text("schema", "default"),
    exp.CurrentDatabase: _text("schema", "default"),
}


# ---- DuckDB's SQL ----------------------------------------------------------------------------------------------------


_NAMED = (exp.Alias, exp.Aliases, exp.Column, exp.Star, exp.Explode, exp.Posexplode, exp.Inline)


def name_outputs(tree):
    """Give the columns of a query the names that Databricks gives them."""
    for select in _outermost(tree):
        for node in select.expressions:
            if not isinstance(node, _NAMED) and not node.is_star:
                name = node.sql(dialect=WarehouseSql, normalize_functions="lower")
                node.replace(exp.alias_(node.copy(), name, quoted=True))


def values_query(values):
    """VALUES as a query."""
    return exp.select("*").from_(values.copy())


def duckdb_type(text):
    """A type of Databricks as DuckDB writes it."""
    return exp.DataType.build(text, dialect=WarehouseSql).sql(dialect=DuckDB)


def name_functions(tree):
    """Functions and VALUES in FROM: their columns have Databricks' names."""
    for values in tree.find_all(exp.Values):
        alias = values.args.get("alias") or exp.TableAlias(this=exp.to_identifier("values"))
        if isinstance(values.parent, (exp.From, exp.Join)) and not alias.args.get("columns") and values.expressions:
            first = values.expressions[0]
            width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
            alias.set("columns", [exp.to_identifier(f"col{i + 1}") for i in range(width)])
            values.set("alias", alias)
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func) and table.this.name.lower() == "range":
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier("range"))
            if not alias.args.get("columns"):
                alias.set("columns", [exp.to_identifier("id")])
            table.set("alias", alias)


def _outermost(tree):
    """The SELECT that names a query's columns."""
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    return [tree] if isinstance(tree, exp.Select) else []


def to_duckdb(tree):
    try:
        return tree.sql(dialect=DuckDB, unsupported_level=ErrorLevel.IGNORE, comments=False)
    except UnsupportedError as error:
        raise unsupported(str(error)) from None
    except RecursionError:
        raise StatementError("INVALID_STATEMENT", "The statement is nested too deeply.") from None
