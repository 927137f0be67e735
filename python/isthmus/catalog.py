"""Names for tables: `catalog.schema.table` by the Unity Catalog server that is configured (include/isthmus/catalog.h)."""

import json
import os
import pathlib
import re
import threading

from isthmus import errors, native
from isthmus._native import ffi, lib
from isthmus.native import _c, _strings

DEFAULT_CATALOG = "main"


class Catalog(native.Handle):
    """ist_catalog. Bodies are Unity Catalog's JSON as dicts. Without arguments: $ISTHMUS_CATALOG and $ISTHMUS_TOKEN, else
    the `isthmus serve` of this machine."""

    def __init__(self, uri=None, token=None):
        options = ffi.new("ist_catalog_options *", lib.ist_catalog_options_init())
        kept = [_c(uri), _c(token)]
        options.uri, options.token = kept
        self._own(native._open(lib.ist_catalog_open, "ist_catalog", options), lib.ist_catalog_free)

    def _ask(self, function, *args):
        return json.loads(native.text(function, self.pointer, *args))

    def create_catalog(self, name, **members):
        return self._create(lib.IST_SECURABLE_CATALOG, name=name, **members)

    def create_schema(self, full_name, **members):
        catalog, schema = split_name(full_name, 2)
        return self._create(lib.IST_SECURABLE_SCHEMA, name=schema, catalog_name=catalog, **members)

    def create_table(self, full_name, **members):
        catalog, schema, table = split_name(full_name, 3)
        return self._create(lib.IST_SECURABLE_TABLE, name=table, catalog_name=catalog, schema_name=schema, **members)

    def _create(self, kind, **body):
        return self._ask(lib.ist_catalog_create, kind, _c(json.dumps(body)))

    def get_schema(self, full_name):
        return self._ask(lib.ist_catalog_get, lib.IST_SECURABLE_SCHEMA, _c(full_name))

    def get_table(self, full_name):
        return self._ask(lib.ist_catalog_get, lib.IST_SECURABLE_TABLE, _c(full_name))

    def update_table(self, full_name, **members):
        return self._ask(lib.ist_catalog_update, lib.IST_SECURABLE_TABLE, _c(full_name), _c(json.dumps(members)))

    def delete_table(self, full_name):
        native.call(lib.ist_catalog_delete, self.pointer, lib.IST_SECURABLE_TABLE, _c(full_name), False)

    def delete_schema(self, full_name, force=False):
        native.call(lib.ist_catalog_delete, self.pointer, lib.IST_SECURABLE_SCHEMA, _c(full_name), force)

    def list_catalogs(self):
        return self._list(lib.IST_SECURABLE_CATALOG, "", "catalogs")

    def list_schemas(self, catalog=DEFAULT_CATALOG):
        return self._list(lib.IST_SECURABLE_SCHEMA, catalog, "schemas")

    def list_tables(self, schema):
        return self._list(lib.IST_SECURABLE_TABLE, schema, "tables")

    def _list(self, kind, parent, member):
        found, token = [], None
        while True:
            page = self._ask(lib.ist_catalog_list, kind, _c(parent), 0, _c(token))
            found += page.get(member) or []
            token = page.get("next_page_token")
            if not token:
                return found

    def stage_table(self, full_name):
        """Reserve {id, staging_location} for a managed table."""
        return self._ask(lib.ist_catalog_create_staging_table, _c(full_name))

    def post_lineage(self, event):
        native.call(lib.ist_catalog_post_lineage, self.pointer, _c(event))

    def lineage(self, full_name=None):
        return self._ask(lib.ist_catalog_get_lineage, _c(full_name))


_connections = {}
_lock = threading.Lock()


def connect():
    """This process's connection to the configured catalog."""
    key = (os.getpid(), os.environ.get("ISTHMUS_CATALOG"), native.home())
    with _lock:
        if key not in _connections:
            _connections[key] = Catalog()
        return _connections[key]


def forget():
    """Drop the connection: the server was stopped or started elsewhere."""
    with _lock:
        _connections.clear()


# ---- names -----------------------------------------------------------------------------------------------------------


_PART = r"`(?:[^`]|``)+`|[^.`]+"
_FORMS = {2: "catalog.schema", 3: "catalog.schema.table or schema.table"}


def split_name(name, parts):
    """The parts of a dotted name; a part may be quoted by backquotes. Two parts of a table's three: catalog main."""
    found = re.findall(_PART, name) if re.fullmatch(rf"(?:{_PART})(?:\.(?:{_PART}))*", name) else []
    if parts == 3 and len(found) == 2:
        found.insert(0, DEFAULT_CATALOG)
    if len(found) != parts:
        raise errors.BadInputError(f"{name!r} is not a name of the form {_FORMS[parts]}")
    return [part[1:-1].replace("``", "`") if part[0] == "`" else part for part in found]


def table_name(name):
    """The full name of a table from its two or three parts."""
    return ".".join(split_name(name, 3))


class Place:
    """Where a table is: `uri`, and `name` and `info` (the catalog's TableInfo) where it is reached by name; info is None
    for a table that the catalog does not have yet, and its uri is then None until stage()."""

    def __init__(self, uri, name=None, info=None):
        self.uri = uri
        self.name = name
        self.info = info
        self.staged = None

    @property
    def label(self):
        return self.name or self.uri

    def stage(self):
        """Reserve a location for a new managed table."""
        self.staged = connect().stage_table(self.name)
        self.uri = self.staged["staging_location"]

    def publish(self, snapshot):
        """Give a table that was staged its name, or tell the catalog of new columns."""
        if self.name is None:
            return
        columns = json.loads(columns_of(snapshot))
        if self.staged:
            self.info = connect().create_table(
                self.name, table_type="MANAGED", data_source_format="DELTA", storage_location=self.uri, columns=columns,
                properties={"io.unitycatalog.tableId": self.staged["id"]})
            self.staged = None
        else:
            try:
                connect().update_table(self.name, columns=columns)
            except errors.UnsupportedError:
                pass  # other Unity Catalog servers take a table's columns from its log


def columns_of(snapshot):
    """A snapshot's columns as the catalog's JSON."""
    names, count, kept = _strings(snapshot.partition_columns)
    return native.text(lib.ist_catalog_columns, _c(snapshot.schema_json), names, count)


def locate(table, missing_ok=False):
    """The Place of a table given by name (two or three dotted parts), URI or path.

    Text with a slash or a scheme is a location, as is a pathlib.Path; everything else is a name ("./t" is the path).
    Raises NotFoundError for a name the catalog does not have; with missing_ok only when its schema is missing too.
    """
    if isinstance(table, Place):
        return table
    if isinstance(table, pathlib.PurePath):
        return Place(os.path.abspath(table))
    if not isinstance(table, str):
        raise errors.BadInputError(f"a table is given by name, path or URI, not by {type(table).__name__}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", table):
        return Place(table)
    if "/" in table:
        return Place(os.path.abspath(os.path.expanduser(table)))
    try:
        name = table_name(table)
    except errors.BadInputError as error:
        raise errors.BadInputError(f"table {error}; a path has a slash in it (./{table})") from None
    try:
        info = connect().get_table(name)
    except errors.NotFoundError:
        if not missing_ok:
            raise
        connect().get_schema(name.rpartition(".")[0])
        return Place(None, name)
    if (info.get("data_source_format") or "DELTA") != "DELTA":
        raise errors.UnsupportedError(f"table {name} is {info['data_source_format']}, not DELTA")
    return Place(info["storage_location"], name, info)
