"""Statements about names: SHOW, DESCRIBE, EXPLAIN. They see what the principal sees: the catalog is asked with the
statement's own token, or by the same question as for a query."""

import fnmatch
import re

from sqlglot import exp

from isthmus import errors
from isthmus.engine import dialect, tables
from isthmus.engine.errors import unsupported
from isthmus.engine.planner import not_found
from isthmus.engine.results import Values

_NAME = r"(?:`(?:[^`]|``)+`|[\w-]+)"
_SHOW = re.compile(r"(?P<what>CATALOGS|SCHEMAS|DATABASES|TABLES)"
                   rf"(?:\s+(?:FROM|IN)\s+(?P<parent>{_NAME}(?:\.{_NAME})*))?"
                   r"(?:\s+(?:LIKE\s+)?(?P<pattern>'[^']*'|\"[^\"]*\"))?\s*;?", re.IGNORECASE)


def show(statement, tree, catalog):
    """SHOW CATALOGS | SCHEMAS [IN catalog] | TABLES [IN schema], each [LIKE 'a*|b*']."""
    found = _SHOW.fullmatch(dialect.rest_of_command(tree))
    if not found:
        raise unsupported(f"SHOW {dialect.rest_of_command(tree)[:60]}", "SHOW CATALOGS, SCHEMAS and TABLES are")
    what = found["what"].upper()
    parent = [part[1:-1].replace("``", "`") if part[0] == "`" else part
              for part in re.findall(_NAME, found["parent"] or "")]
    pattern = (found["pattern"] or "'*'")[1:-1]
    try:
        if what == "CATALOGS":
            names = [info["name"] for info in catalog.list_catalogs()]
            return Values({"catalog": _matching(names, pattern)})
        if what in ("SCHEMAS", "DATABASES"):
            schemas = catalog.list_schemas(parent[0] if parent else statement.catalog or "main")
            names = [info["name"] for info in schemas]
            return Values({"databaseName": _matching(names, pattern)})
        default = [statement.catalog or "main", statement.schema or "default"]
        schema = [*default[:2 - len(parent)], *parent]
        names = _matching([info["name"] for info in catalog.list_tables(".".join(schema))], pattern)
        return Values({"database": [schema[-1]] * len(names), "tableName": names,
                                   "isTemporary": [False] * len(names)})
    except errors.IsthmusError as error:
        raise tables.catalog_error(error) from None


def _matching(names, pattern):
    """By the pattern of SHOW: `*` is any text, `|` between choices, case does not matter."""
    choices = [choice.strip().lower() for choice in pattern.split("|")]
    return sorted(name for name in names if any(fnmatch.fnmatchcase(name.lower(), choice) for choice in choices))


def describe(statement, tree):
    """DESCRIBE [TABLE] [EXTENDED] name."""
    if not isinstance(tree.this, exp.Table) or _kind(tree) not in ("TABLE", "EXTENDED"):
        raise unsupported(f"DESCRIBE {_kind(tree)}", "DESCRIBE TABLE name is")
    name = dialect.parts(tree.this, statement.catalog, statement.schema)
    info, = statement.resolve([{"name": name, "access": "SELECT"}])[0]
    if not info.get("exists"):
        raise not_found(name, dialect.place(tree.this))
    rows = [(column["name"], (column.get("type_text") or "").lower(), column.get("comment"))
            for column in info.get("columns") or ()]
    if tree.args.get("style") == "EXTENDED":
        rows += [("", "", ""), ("# Detailed Table Information", "", ""),
                 ("Catalog", name[0], ""), ("Database", name[1], ""), ("Table", name[2], ""),
                 ("Owner", info.get("owner"), ""), ("Type", info.get("table_type"), ""),
                 ("Provider", info.get("data_source_format"), ""), ("Location", info.get("storage_location"), "")]
        if info.get("view_definition"):
            rows.append(("View Text", info["view_definition"], ""))
    names, types, comments = zip(*rows) if rows else ((), (), ())
    return Values({"col_name": names, "data_type": types, "comment": comments})


def _kind(tree):
    return str(tree.args.get("style") or tree.args.get("kind") or "TABLE").upper()


def explain(statement, tree, engine):
    """EXPLAIN query: DuckDB's plan."""
    text = dialect.rest_of_command(tree)
    text = re.sub(r"^(EXTENDED|FORMATTED|COST)\s+", "", text, flags=re.IGNORECASE)
    query = dialect.parse(text)
    if not isinstance(query, exp.Query):
        raise unsupported(f"EXPLAIN of {query.key.upper()}", "explain a query")
    return Values({"plan": [engine.explain(statement, query)]})


