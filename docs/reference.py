"""Write the reference pages' lower parts: what docstrings, headers and openapi.yaml say. `make docs` runs it, and
python/tests/test_docs.py looks whether the pages are current. What stands above MARK in a page is written by hand."""

import importlib
import inspect
import pathlib
import re
import textwrap

import yaml

DOCS = pathlib.Path(__file__).resolve().parent
INCLUDE = DOCS.parent / "include" / "isthmus"
MARK = "<!-- From here on made by `make docs`; a test compares. -->"
WIDTH = 110  # of signatures


def main():
    for name in PAGES:
        (DOCS / name).write_text(page(name), encoding="utf-8")


def page(name):
    """The whole text of a page as it should be."""
    by_hand = (DOCS / name).read_text(encoding="utf-8").split(MARK)[0]
    return f"{by_hand}{MARK}\n\n{PAGES[name]().strip()}\n"


# ---- Python ----------------------------------------------------------------------------------------------------------

# (title, module, names; for a class all its public members are told)
PYTHON = (
    ("Tables", "isthmus", ("write_deltalake", "read_delta", "gather", "Table")),
    ("Tables as of a version", "isthmus.native", ("Snapshot", "CommitResult")),
    ("Tables as pyarrow datasets", "isthmus.dataset", ("DeltaDataset",)),
    ("Ray Data", "isthmus.ray", ("from_spark", "to_spark", "write_databricks_table")),
    ("SQL", "isthmus", ("sql", "read_sql", "read_databricks_tables")),
    ("SQL: results", "isthmus.warehouse", ("Result",)),
    ("Spark", "isthmus.spark", ("builder", "configure", "settings", "jars", "to_dataset", "from_dataset")),
    ("Ray on Spark", "isthmus", ("setup_ray_cluster",)),
    ("Spark from anywhere", "isthmus.connect", ("DatabricksSession",)),
    ("The catalog", "isthmus", ("Catalog",)),
    ("Files of volumes", "isthmus.fs", ("open", "arrow", "is_path", "VolumeFileSystem")),
    ("Lineage", "isthmus", ("lineage",)),
    ("Which way data goes", "isthmus", ("explain",)),
    ("What runs on this machine", "isthmus", ("start", "stop", "daemon_counters")),
    ("dbutils", "isthmus.dbutils", ("DBUtils", "Files", "Secrets", "Widgets")),
)


def python():
    return "\n\n".join(f"## {title}\n\n" + "\n\n".join(_python_object(module, name) for name in names)
                       for title, module, names in PYTHON)


def _python_object(module, name):
    found = getattr(importlib.import_module(module), name)
    full = f"{module}.{name}"
    if module == "isthmus.ray":
        full = f"ray.data.{name}" if name == "from_spark" else f"ray.data.Dataset.{name}"
    parts = [f"### {full}", _signature(name, found), _prose(found, 4)]
    if inspect.isclass(found):
        members = [_member(key, value) for key, value in vars(found).items() if not key.startswith("_")]
        parts.append("\n".join(f"    {head}" for head, prose in filter(None, members) if not prose))
        parts += [f"**`{head}`** {prose}" for head, prose in filter(None, members) if prose]
    return "\n\n".join(filter(None, parts))


def _member(name, value):
    """(head, what its docstring says) of a method or property of a class; None for anything else."""
    if inspect.isclass(value) or not (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
        return None
    if isinstance(value, property):
        return f".{name}", _prose(value, 8)
    return f".{name}{_parameters(getattr(value, '__func__', value))}", _prose(value, 8)


def _parameters(function):
    signature = inspect.signature(function)
    names = [parameter for name, parameter in signature.parameters.items() if name not in ("self", "cls")]
    return str(signature.replace(parameters=names, return_annotation=inspect.Signature.empty))


def _signature(name, found):
    text = f"{name}{_parameters(found)}"
    lines = textwrap.wrap(text, WIDTH, subsequent_indent=" " * (len(name) + 1), break_long_words=False)
    return textwrap.indent("\n".join(lines), "    ")


def _prose(found, depth):
    """A docstring that stands `depth` spaces deep; what is laid out in columns, or deeper, stays so."""
    lines = [line.removeprefix(" " * depth).rstrip() for line in (found.__doc__ or "").splitlines()]
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(textwrap.indent(textwrap.dedent(p), "    ") if re.search(r"^ |\S {2,}\S", p, re.M) else p
                       for p in paragraphs)


# ---- C ---------------------------------------------------------------------------------------------------------------

_COMMENT = re.compile(r"/\*(.*?)\*/", re.S)
_FUNCTION = re.compile(r"(?:/\*(?P<comment>(?:(?!\*/).)*)\*/\n)?IST_API (?P<declaration>[^;]+);", re.S)


def c():
    headers = sorted(INCLUDE.glob("*.h")) + sorted(INCLUDE.glob("sys/*.h"))
    return "\n\n".join(filter(None, map(_header, headers)))


def _header(path):
    text = path.read_text(encoding="utf-8")
    name = str(path.relative_to(INCLUDE))
    about = _sentence(_text(_COMMENT.search(text)[1]).partition(": ")[2])
    rows = [f"| `{_call(found['declaration'])}` | {_sentence(_text(found['comment'] or ''))} |"
            for found in _FUNCTION.finditer(text)]
    if not rows:
        return ""
    table = "\n".join(["| function | |", "|---|---|", *rows])
    return f"## [{name}](../include/isthmus/{name})\n\n{about[:1].upper()}{about[1:]}\n\n{table}"


def _call(declaration):
    """A function and the names of its parameters."""
    name, parameters = re.search(r"(\w+)\((.*?)\)(?:\s*__attribute__.*)?$", declaration, re.S).groups()
    found = [re.sub(r"\[.*", "", parameter).split()[-1].lstrip("*") for parameter in parameters.split(",")]
    return f"{name}({', '.join(found).replace('void', '')})"


def _text(comment):
    """A comment without its stars."""
    return " ".join(line.strip().removeprefix("*").strip() for line in comment.splitlines()).strip()


def _sentence(text):
    """The first one, as a cell of a table; none where a comment begins with parameters or errors."""
    first = re.match(r".+?\.(?= |$)|.+", text + " ")
    told = first[0].strip() if first else ""
    return "" if re.match(r"Errors:|[a-z]\w*  ", text) else told.replace("|", r"\|")


# ---- REST ------------------------------------------------------------------------------------------------------------


def rest():
    paths = yaml.load((DOCS / "openapi.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["paths"]
    areas = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            if method in ("get", "put", "post", "patch", "delete", "head"):
                areas.setdefault(operation["tags"][0], []).append((path, method.upper(), operation))
    return "\n\n".join(f"## {area}\n\n| request | |\n|---|---|\n" + "\n".join(map(_operation, operations))
                       for area, operations in areas.items())


def _operation(item):
    path, method, operation = item
    summary = operation["summary"].replace("|", r"\|")
    return f"| `{method} {path}` | {summary}{' (open)' if operation.get('security') == [] else ''} |"


PAGES = {"python-api.md": python, "c-api.md": c, "rest-api.md": rest}

if __name__ == "__main__":
    main()
