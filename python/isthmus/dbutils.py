"""dbutils for scripts that were written for Databricks: files, secrets, widgets, and the context's address and token.

    dbutils = isthmus.dbutils.DBUtils()
    dbutils.fs.ls("/Volumes/main/demo/raw")
    dbutils.secrets.get("prod", "api-key")
    dbutils.widgets.text("date", "2026-01-01"); dbutils.widgets.get("date")   # job.py --date 2026-11-24, or date=2026-11-24

Files are those of isthmus.fs; "file:/..." are this machine's. Secrets are kept, encrypted, by the catalog server. What a
secret's value is does not appear when it is printed, by this process, to its standard output or error.
"""

import base64
import collections
import functools
import os
import pathlib
import shutil
import sys

from isthmus import _html, catalog, errors, progress
from isthmus.catalog import _quote

FileInfo = collections.namedtuple("FileInfo", "path name size modificationTime")
_FILES = (("name", lambda file: file.name, False),
          ("size", lambda file: None if file.name.endswith("/") else _html.size(file.size), True),
          ("changed", lambda file: _html.moment(file.modificationTime) if file.modificationTime else None, False))
SecretMetadata = collections.namedtuple("SecretMetadata", "key")
SecretScope = collections.namedtuple("SecretScope", "name")
_PAGES = {"fs": "ls cp mv rm mkdirs head put", "secrets": "get getBytes list listScopes",
          "widgets": "text dropdown combobox multiselect get getArgument getAll remove removeAll",
          "notebook": "entry_point ... getContext().apiUrl(), apiToken(); exit"}


class DBUtils:
    """`spark` is accepted for the sake of DBUtils(spark), and not used."""

    def __init__(self, spark=None):
        self.fs = Files()
        self.secrets = Secrets()
        self.widgets = Widgets()
        self.notebook = Notebook()

    def help(self):
        print("\n".join(f"dbutils.{name}: {calls}" for name, calls in _PAGES.items()))

    def __getattr__(self, name):
        raise errors.UnsupportedError(f"dbutils.{name} is not here: there are {', '.join(_PAGES)}")

    def __repr__(self):
        return "<dbutils: " + ", ".join(_PAGES) + ">"


# ---- files -----------------------------------------------------------------------------------------------------------


class Files:
    """dbutils.fs. A path without a scheme is below dbfs:/, as everywhere in dbutils; `file:/x` is /x of this machine."""

    def ls(self, dir):
        place, files = _resolve(dir)
        found = [FileInfo(_shown(entry, files), os.path.basename(entry["name"]) + "/" * (entry["type"] == "directory"),
                          entry["size"] or 0, round((entry.get("mtime") or 0) * 1000))
                 for entry in sorted(files.ls(place, detail=True), key=lambda entry: entry["name"])]
        return _html.Listing(found, _FILES, str(dir))

    def cp(self, from_, to, recurse=False):
        (source, files), (target, others) = _resolve(from_), _resolve(to)
        with progress.bar(f"cp {from_}") as bar:
            if files.isdir(source):
                if not recurse:
                    raise IsADirectoryError(f"{from_} is a folder; say recurse=True")
                for path in files.find(source):
                    _copy(files, path, others, target + path[len(source):], bar)
            else:
                inside = others.isdir(target)
                _copy(files, source, others, f"{target}/{os.path.basename(source)}" if inside else target, bar)
        return True

    def mv(self, from_, to, recurse=False):
        self.cp(from_, to, recurse)
        return self.rm(from_, recurse)

    def rm(self, dir, recurse=False):
        place, files = _resolve(dir)
        if not files.exists(place):
            return False
        files.rm(place, recursive=recurse)
        return True

    def mkdirs(self, dir):
        place, files = _resolve(dir)
        files.makedirs(place, exist_ok=True)
        return True

    def head(self, file, maxBytes=65536):
        place, files = _resolve(file)
        with files.open(place, "rb") as stream:
            return stream.read(maxBytes).decode(errors="replace")

    def put(self, file, contents, overwrite=False):
        place, files = _resolve(file)
        if not overwrite and files.exists(place):
            raise errors.AlreadyExistsError(f"{file} exists already; say overwrite=True")
        with files.open(place, "wb") as stream:
            stream.write(contents.encode())
        return True

    def mount(self, *_, **__):
        raise errors.UnsupportedError("dbutils.fs.mount: there are no mounts; make an external volume at the address "
                                      "(isthmus catalog create volume NAME --location URL)")


def _resolve(path):
    """(path, fsspec filesystem)"""
    import fsspec

    from isthmus import fs

    path = os.fspath(path)
    if path.startswith("file:"):
        return "/" + path[len("file:"):].lstrip("/"), fsspec.filesystem("file")
    volumes = fs.VolumeFileSystem()
    return volumes._strip_protocol(path if fs.is_path(path) else f"dbfs:/{path.lstrip('/')}"), volumes


def _shown(entry, files):
    scheme = "file:" if files.protocol[0] == "file" else "dbfs:"
    return scheme + entry["name"] + "/" * (entry["type"] == "directory")


def _copy(files, source, others, target, bar):
    others.makedirs(os.path.dirname(target), exist_ok=True)
    with files.open(source, "rb") as reader, others.open(target, "wb") as writer:
        while data := reader.read(8 << 20):
            writer.write(data)
            bar.add(bytes=len(data))


# ---- secrets ---------------------------------------------------------------------------------------------------------


class Secret(str):
    """The value of a secret: a str in every way but that it does not show itself."""

    def __repr__(self):
        return "[REDACTED]"


class Secrets:
    """dbutils.secrets, over /api/2.0/secrets of the catalog server. `isthmus catalog secret` puts values there."""

    def get(self, scope, key):
        return _hidden(self.getBytes(scope, key).decode())

    def getBytes(self, scope, key):
        return base64.b64decode(_secrets(f"get?scope={_quote(scope)}&key={_quote(key)}")["value"])

    def list(self, scope):
        return [SecretMetadata(item["key"]) for item in _secrets(f"list?scope={_quote(scope)}").get("secrets", [])]

    def listScopes(self):
        return [SecretScope(item["name"]) for item in _secrets("scopes/list").get("scopes", [])]


def _secrets(what):
    return catalog.connect().request("GET", f"/api/2.0/secrets/{what}")


_values = set()


def _hidden(value):
    """Remember a value, so that what this process prints shows [REDACTED] in its place."""
    if value.strip() and not _values:
        for stream in (sys.stdout, sys.stderr):
            _redact(stream)
    if value.strip():
        _values.add(value)
    return Secret(value)


def _redact(stream):
    write = stream.write

    @functools.wraps(write)
    def redacted(text):
        for value in _values if isinstance(text, str) else ():
            text = text.replace(value, "[REDACTED]")
        return write(text)

    stream.write = redacted


# ---- widgets ---------------------------------------------------------------------------------------------------------


class Widgets:
    """dbutils.widgets: the script's arguments (--name value, --name=value, name=value), else the widgets' defaults."""

    def __init__(self):
        self._defaults = {}
        self._given = _arguments(sys.argv[1:])

    def text(self, name, defaultValue="", label=None):
        self._defaults[name] = defaultValue

    def dropdown(self, name, defaultValue, choices, label=None):
        if str(self._given.get(name, defaultValue)) not in map(str, choices):
            raise errors.BadInputError(f"widget {name}: {self._given.get(name, defaultValue)!r} is none of {choices}")
        self._defaults[name] = defaultValue

    def combobox(self, name, defaultValue, choices, label=None):
        self._defaults[name] = defaultValue

    multiselect = combobox

    def get(self, name):
        if name not in self._defaults and name not in self._given:
            raise errors.NotFoundError(f"there is no widget {name}: make it by dbutils.widgets.text({name!r}, default), or "
                                       f"give --{name} to the script")
        return str(self._given.get(name, self._defaults.get(name)))

    def getArgument(self, name, defaultValue=None):
        return str(self._given.get(name, self._defaults.get(name, defaultValue)))

    def getAll(self):
        return {name: self.get(name) for name in {**self._given, **self._defaults}}

    def remove(self, name):
        self._defaults.pop(name, None)

    def removeAll(self):
        self._defaults.clear()


def _arguments(argv):
    found, pending = {}, None
    for item in argv:
        name, equals, value = item.removeprefix("--").partition("=")
        if pending and not item.startswith("--"):
            found[pending], pending = item, None
        elif equals and name.isidentifier():
            found[name], pending = value, None
        else:
            pending = name.replace("-", "_") if item.startswith("--") else None
    return found


# ---- the notebook's context ------------------------------------------------------------------------------------------


class _Option:
    """Scala's Option, as scripts meet it: .get()"""

    def __init__(self, value):
        self._value = value

    def get(self):
        return self._value

    def __repr__(self):
        return "Some(...)"


class Notebook:
    """dbutils.notebook: what scripts take from the context of a notebook is the server's address and a token."""

    @property
    def entry_point(self):
        return self

    def getDbutils(self):
        return self

    def notebook(self):
        return self

    def getContext(self):
        return self

    def apiUrl(self):
        return _Option(_connection()["url"])

    def apiToken(self):
        return _Option(_hidden(_connection()["token"]))

    def notebookPath(self):
        return _Option(str(pathlib.Path(sys.argv[0]).resolve()))

    def exit(self, value=""):
        print(value)
        sys.exit(0)

    def run(self, path, timeout_seconds=0, arguments=None):
        raise errors.UnsupportedError("dbutils.notebook.run: run the script in a process of its own (isthmus run SCRIPT)")


def _connection():
    from isthmus import services

    if os.environ.get("DATABRICKS_HOST") and os.environ.get("DATABRICKS_TOKEN"):
        return {"url": os.environ["DATABRICKS_HOST"], "token": os.environ["DATABRICKS_TOKEN"]}
    info = services.server_info()
    if info is None:
        raise errors.NotFoundError("no address and token: no `isthmus serve` runs on this machine, and DATABRICKS_HOST and "
                                   "DATABRICKS_TOKEN are not set")
    return info
