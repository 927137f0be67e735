"""Tables that are folders of files: Parquet, CSV, JSON lines.

Their columns are the catalog's. Columns of a file are found by name, but of CSV without a header by place; values are
cast to the catalog's types, and what a file lacks is null. Folders `column=value` hold values of partition columns. As
Spark does, files and folders whose names begin with a dot or an underscore are left out.

All columns of a file are decoded, whatever a query wants of them; files are read one after the other.
"""

import urllib.parse

import pyarrow as pa
import pyarrow.dataset as ds

from isthmus import errors
from isthmus.engine.errors import StatementError, unsupported

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")


class FileRows(ds.Dataset):
    """The rows of all files below the root of a store.

    form      PARQUET, CSV or JSON
    schema    the catalog's columns
    options   the table's properties: of CSV `header` (false as Spark has it) and `sep` or `delimiter` count
    """

    def __init__(self, name, store, form, schema, options):
        self._name = name
        self._store = store
        self._form = form
        self._schema = schema
        told = {key.lower().removeprefix("option."): value for key, value in options.items()}
        if form == "JSON" and any(pa.types.is_binary(field.type) for field in schema):
            raise unsupported(f"Reading a BINARY column of the JSON table {name}")
        self._header = form != "CSV" or told.get("header", "false").lower() == "true"
        self._delimiter = told.get("sep") or told.get("delimiter")
        self._files = list(self._walk("", {}))
        self.failure = None  # what reading failed by: DuckDB tells it in other words

    schema = property(lambda self: self._schema)

    def scanner(self, columns=None, filter=None, **_):
        wanted = self._schema.names if columns is None else columns
        told = str(filter) if filter is not None else ""
        part = pa.schema([field for field in self._schema if field.name in wanted or field.name in told])
        return ds.Scanner.from_batches(pa.RecordBatchReader.from_batches(part, self._batches(part)), columns=wanted,
                                       filter=filter)

    def _walk(self, folder, values):
        """(path, {column in lower case: text}) of each file."""
        found = self._store.list(folder.rstrip("/"))
        for name in (entry["name"] for entry in found["objects"]):
            if name[0] not in "._":
                if name.endswith(COMPRESSED):
                    raise unsupported(f"Reading {folder}{name} of {self._name}, which is compressed as a whole,",
                                      "unpack it, or run the statement on a Spark warehouse")
                yield folder + name, values
        for name in found["folders"]:
            column, is_value, text = name.partition("=")
            if is_value or name[0] not in "._":
                own = {urllib.parse.unquote(column).lower(): urllib.parse.unquote(text)} if is_value else {}
                yield from self._walk(f"{folder}{name}/", {**values, **own})

    def _batches(self, part):
        for path, values in self._files:
            own = pa.schema([self._as_read(field) for field in self._schema if field.name.lower() not in values])
            try:
                for batch in self._store.read_file(path, self._form, own, self._header, self._delimiter):
                    yield pa.record_batch([self._column(batch, field, values) for field in part], schema=part) \
                        if len(part) else batch.select([])
            except (errors.BadInputError, pa.ArrowException):  # it would tell a value
                self.failure = StatementError(
                    "CANNOT_READ_TABLE", f"Table {self._name}: the file {path} is not {self._form} with values of the "
                                         "types that the catalog has for its columns.")
                raise self.failure from None

    def _as_read(self, field):
        """What a column is in a file: Arrow takes a date in JSON for a number of days."""
        return field.with_type(pa.string()) if self._form == "JSON" and pa.types.is_date(field.type) else field

    @staticmethod
    def _column(batch, field, values):
        if field.name.lower() in values:
            text = values[field.name.lower()]
            value = pa.scalar(None if text == NO_VALUE else text, pa.string()).cast(field.type)
            return pa.repeat(value, batch.num_rows)
        found = [i for i, name in enumerate(batch.schema.names) if name.lower() == field.name.lower()]
        return batch.column(found[0]).cast(field.type) if found else pa.nulls(batch.num_rows, field.type)
