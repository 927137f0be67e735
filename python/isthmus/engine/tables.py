"""Tables of the catalog as DuckDB reads them: opened once, looked at anew for every statement.

Data are read with the engine's own token: what a statement may read was asked of the server before. Stores are kept by
the table's id, so a name that passes to another table opens that one.
"""

import collections
import contextlib

import pyarrow.dataset as ds

from isthmus import errors, native
from isthmus.catalog import Catalog
from isthmus.dataset import DeltaDataset
from isthmus.engine.errors import StatementError, unsupported
from isthmus.engine.files import FileRows

STORES_KEPT = 512
# Of tables that stay in memory: bytes of files, rows, bytes in memory; and how many do.
SMALL_BYTES, SMALL_ROWS, SMALL_NBYTES, SMALL_KEPT = 256 << 10, 20_000, 2 << 20, 64


class Tables:
    """The tables that a worker has opened. `host` is {host, token, ca_file} of the server; `schema_of` makes Arrow's
    schema of {column: type in Databricks}."""

    def __init__(self, host, schema_of):
        self._schema_of = schema_of
        self.catalog = Catalog(host["host"], token=host["token"], ca_file=host.get("ca_file"))
        self._stores = collections.OrderedDict()
        self._small = collections.OrderedDict()

    def dataset(self, relation, timestamp_ms=None):
        """The rows of a planner.Relation as of its version, or as of a time, or as of now."""
        form = relation.info.get("data_source_format") or "DELTA"
        if form != "DELTA":
            return self._files(relation, form)
        with failing(relation.full_name):
            snapshot = native.Snapshot(self._store(relation), relation.version, timestamp_ms)
        return self._in_memory(relation, snapshot) or DeltaDataset(snapshot)

    def _files(self, relation, form):
        if form not in native.FILE_FORMATS:
            raise unsupported(f"Reading the {form} table {relation.full_name}")
        if relation.version is not None or relation.timestamp is not None:
            raise unsupported(f"Time travel of the {form} table {relation.full_name}", "read it as it is")
        columns = {column["name"]: column.get("type_text") for column in relation.info.get("columns") or ()}
        if not columns or not all(columns.values()):
            raise StatementError("CANNOT_READ_TABLE", f"Table {relation.full_name}: the catalog does not tell its "
                                                      "columns; register it with them.")
        info = relation.info
        with failing(relation.full_name):
            credentials = self.catalog.credentials(table=relation.full_name)
            store = native.Store(info["storage_location"], credentials=credentials)
            return FileRows(relation.full_name, store, form, self._schema_of(columns), info.get("properties") or {})

    def _in_memory(self, relation, snapshot):
        """The rows of a small table that was read before at this version: to open its files again takes longer than to
        run a small query."""
        if snapshot.size_bytes > SMALL_BYTES or not 0 <= (snapshot.rows or 0) <= SMALL_ROWS:
            return None
        key = (snapshot.uri, snapshot.table_id, snapshot.version)
        seen, rows = self._small.pop(key, (False, None))
        if seen and rows is None:
            with failing(relation.full_name):
                table = snapshot.to_arrow()
            rows = ds.InMemoryDataset(table) if table.nbytes <= SMALL_NBYTES else None
        self._small[key] = (True, rows)
        while len(self._small) > SMALL_KEPT:
            self._small.popitem(last=False)
        return rows

    def _store(self, relation):
        key = relation.info.get("table_id") or relation.full_name
        store = self._stores.pop(key, None) or native.TableStore(self.catalog, relation.full_name, "read")
        self._stores[key] = store
        while len(self._stores) > STORES_KEPT:
            self._stores.popitem(last=False)
        return store


@contextlib.contextmanager
def failing(name):
    """Turn the library's errors into a statement's."""
    try:
        yield
    except errors.IsthmusError as error:
        raise table_error(name, error) from None


def table_error(name, error):
    """A StatementError for what the library says of a table."""
    return StatementError(_condition(error, _CONDITIONS) or "CANNOT_READ_TABLE", f"Table {name}: {error.args[0]}")


def catalog_error(error):
    """The same for what the catalog says."""
    return StatementError(_condition(error, _CATALOG_CONDITIONS) or "INVALID_STATEMENT", error.args[0])


def _condition(error, conditions):
    return next((condition for kind, condition in conditions if isinstance(error, kind)), None)


_CONDITIONS = (
    (errors.UnsupportedError, "UNSUPPORTED_FEATURE"),
    (errors.ForbiddenError, "INSUFFICIENT_PERMISSIONS"),
    (errors.AlreadyExistsError, "TABLE_OR_VIEW_ALREADY_EXISTS"),
    (errors.ConflictError, "DELTA_CONCURRENT_WRITE"),
)
_CATALOG_CONDITIONS = (
    (errors.NotFoundError, "SCHEMA_NOT_FOUND"),
    *_CONDITIONS,
)
