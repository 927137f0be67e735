"""libisthmus in Python's manners: exceptions, objects that free themselves, Arrow by the PyCapsule protocol.

Nothing here decides anything: each class is one handle of the C interface (include/isthmus/*.h tells what the calls
promise). Arrow data comes in as any object with `__arrow_c_stream__` and goes out as pyarrow readers, which carry that
protocol; columns are never copied on the way. Calls release the GIL.

Handles do not survive a fork (PySpark forks its workers): objects refuse to be used in another process, and shared ones
(`client`) are opened again there.
"""

import collections
import concurrent.futures
import contextlib
import errno
import itertools
import json
import os
import threading
import weakref

import pyarrow as pa

from isthmus import _html, errors
from isthmus._native import ffi, lib

_ERRORS = {
    lib.IST_NOT_FOUND: errors.NotFoundError,
    lib.IST_ALREADY_EXISTS: errors.AlreadyExistsError,
    lib.IST_CONFLICT: errors.ConflictError,
    lib.IST_RETRYABLE: errors.RetryableError,
    lib.IST_UNAUTHENTICATED: errors.UnauthenticatedError,
    lib.IST_FORBIDDEN: errors.ForbiddenError,
    lib.IST_UNSUPPORTED: errors.UnsupportedError,
    lib.IST_BAD_INPUT: errors.BadInputError,
    lib.IST_IO: errors.StorageError,
    lib.IST_CANCELLED: errors.CancelledError,
    lib.IST_NO_MEMORY: errors.NoMemoryError,
    lib.IST_INTERNAL: errors.InternalError,
}
# What the library's streams return (src/shim/stream.c).
_ERRNO = {
    errno.ENOENT: errors.NotFoundError,
    errno.EEXIST: errors.AlreadyExistsError,
    errno.EAGAIN: errors.RetryableError,
    errno.EACCES: errors.ForbiddenError,
    errno.ENOTSUP: errors.UnsupportedError,
    errno.EINVAL: errors.BadInputError,
    errno.ECANCELED: errors.CancelledError,
    errno.ENOMEM: errors.NoMemoryError,
    errno.EPERM: errors.UnauthenticatedError,
    errno.ESTALE: errors.ConflictError,
}
MODES = {
    "append": lib.IST_WRITE_APPEND,
    "overwrite": lib.IST_WRITE_OVERWRITE,
    "error": lib.IST_WRITE_ERROR,
    "ignore": lib.IST_WRITE_IGNORE,
}
_TRANSACTION_MODES = {**MODES, "rewrite": lib.IST_WRITE_REWRITE}


FILE_FORMATS = {
    "PARQUET": lib.IST_FILE_PARQUET,
    "CSV": lib.IST_FILE_CSV,
    "JSON": lib.IST_FILE_JSON,
}


def _string(pointer):
    return None if pointer == ffi.NULL else ffi.string(pointer).decode("utf-8", "replace")


def _c(text):
    """A C string, or NULL for None. The caller keeps the result alive for the call."""
    if text is None:
        return ffi.NULL
    data = str(text).encode()
    if b"\0" in data:
        raise errors.BadInputError("text holds a NUL character")
    return ffi.new("char[]", data)


def _strings(items):
    """(char *const *, count, what keeps them alive); NULL for None."""
    if items is None:
        return ffi.NULL, 0, None
    texts = [_c(item) for item in items]
    array = ffi.new("char *[]", texts)
    return array, len(texts), (array, texts)


def error_of(err):
    """The exception for an ist_error."""
    kind = _ERRORS.get(err.status, errors.InternalError)
    message = _string(err.message) or _string(lib.ist_status_name(err.status))
    # A stream of Python's tells its exception in one line and then with its trace.
    return kind(message.partition(". Detail: Python exception")[0].partition("\n")[0], _string(err.where), err.code)


def call(function, *args):
    """Call a function whose last parameter is an ist_error *; raise what it reports."""
    err = ffi.new("ist_error *")
    if function(*args, err) != lib.IST_OK:
        raise error_of(err)


def text(function, *args):
    """The same for a function that appends to a buffer before the error; returns the text."""
    buffer = ffi.new("ist_buffer *")
    try:
        call(function, *args, buffer)
        return ffi.buffer(buffer.data, buffer.size)[:].decode() if buffer.size else ""
    finally:
        lib.ist_buffer_free(buffer)


def _open(function, kind, *args):
    out = ffi.new(f"{kind} **")
    call(function, *args, out)
    return out[0]


class Handle:
    """Base of what owns a C handle. It is freed with the object, by close(), or at the end of a `with` block; in a
    forked child it is left alone, for it belongs to the parent."""

    def _own(self, pointer, free):
        self._pointer = pointer
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(self, _free_in, self._pid, free, pointer)

    @property
    def pointer(self):
        if self._pointer is None:
            raise errors.BadInputError(f"this {type(self).__name__} is closed")
        if self._pid != os.getpid():
            raise errors.BadInputError(f"this {type(self).__name__} belongs to process {self._pid}; open it again")
        return self._pointer

    def close(self):
        self._finalizer()
        self._pointer = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def _free_in(pid, free, pointer):
    if os.getpid() == pid:
        free(pointer)


# ---- Arrow -----------------------------------------------------------------------------------------------------------


def reader_of(data, schema=None):
    """A pyarrow RecordBatchReader over whatever holds Arrow data: an object with `__arrow_c_stream__` (Table, reader,
    polars, duckdb...), a RecordBatch, a pandas DataFrame, a dict of columns, a list of batches, tables or row dicts."""
    if isinstance(data, pa.RecordBatchReader):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(data.schema, [data])
    if type(data).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(data, schema=schema, preserve_index=False).to_reader()
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data, schema=schema)
    if hasattr(data, "to_arrow"):
        return reader_of(data.to_arrow(), schema)
    if isinstance(data, dict):
        return pa.table(data, schema=schema).to_reader()
    if isinstance(data, (list, tuple)):
        if data and all(isinstance(item, dict) for item in data):
            return pa.Table.from_pylist(list(data), schema=schema).to_reader()
        if data and all(isinstance(item, pa.Table) for item in data):
            return pa.concat_tables(data, promote_options="default").to_reader()
        if data and all(isinstance(item, pa.RecordBatch) for item in data):
            return pa.RecordBatchReader.from_batches(data[0].schema, data)
        if not data and schema is not None:
            return schema.empty_table().to_reader()
    raise errors.BadInputError(
        f"cannot read rows from {type(data).__name__}: give a pyarrow Table, an object with __arrow_c_stream__, a pandas "
        "DataFrame, a dict of columns, or a list of record batches"
    )


def address(pointer):
    return int(ffi.cast("uintptr_t", pointer))


def export_stream(data):
    """An ArrowArrayStream * over data, to be given to a function that takes it."""
    stream = ffi.new("struct ArrowArrayStream *")
    reader_of(data)._export_to_c(address(stream))
    return stream


def _import_stream(stream, *owners):
    """A pyarrow reader over a C stream of the library, which needs `owners` to stay alive."""
    schema = ffi.new("struct ArrowSchema *")
    stream = ffi.gc(stream, _release_stream)
    _check_stream(stream, stream.get_schema(stream, schema))
    schema = pa.Schema._import_from_c(address(schema))
    return pa.RecordBatchReader.from_batches(schema, _batches(stream, schema, owners))


def _check_stream(stream, code):
    if code != 0:
        raise _ERRNO.get(code, errors.StorageError)(_string(stream.get_last_error(stream)))


def _batches(stream, schema, owners):
    # Not by pyarrow's own reader of C streams, which knows but few errors.
    try:
        while True:
            array = ffi.new("struct ArrowArray *")
            _check_stream(stream, stream.get_next(stream, array))
            if array.release == ffi.NULL:
                return
            yield pa.RecordBatch._import_from_c(address(array), schema)
    finally:
        _release_stream(stream)
        del owners  # after the stream that reads from them


def _release_stream(stream):
    if stream.release != ffi.NULL:
        stream.release(stream)


class _Schema:
    """An ArrowSchema * made from a pyarrow schema, for a call that borrows it."""

    def __init__(self, schema):
        self.c = ffi.new("struct ArrowSchema *")
        schema._export_to_c(address(self.c))

    def __enter__(self):
        return self.c

    def __exit__(self, *exc):
        if self.c.release != ffi.NULL:
            self.c.release(self.c)


def _schema(function, pointer):
    schema = ffi.new("struct ArrowSchema *")
    call(function, pointer, schema)
    return pa.Schema._import_from_c(address(schema))


# ---- tables ----------------------------------------------------------------------------------------------------------


class OptionCredentials(Handle):
    """ist_credentials of storage options."""

    def __init__(self, uri, options):
        texts = {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in options.items()}
        self._own(_open(lib.ist_credentials_from_options, "ist_credentials", _c(uri), _c(json.dumps(texts))),
                  lib.ist_credentials_free)


class Store(Handle):
    """ist_store: the location of a table, and who commits there (the storage itself).

    credentials   of Catalog.credentials; without them the environment's
    options       in their place, what users of deltalake write as storage_options; they go on to Ray tasks
    """

    committer = ffi.NULL
    options = None

    def __init__(self, uri, create=False, credentials=None, options=None):
        opening = ffi.new("ist_store_options *", lib.ist_store_options_init())
        opening.create = create
        if options:
            self.options = options
            credentials = OptionCredentials(uri, options)
        if credentials is not None:
            opening.credentials = credentials.pointer
        self._own(_open(lib.ist_store_open, "ist_store", _c(uri), opening), lib.ist_store_free)

    @property
    def uri(self):
        return _string(lib.ist_store_uri(self.pointer))

    def history(self, limit=None):
        return json.loads(text(lib.ist_table_history, self.pointer, self.committer, limit or 0))

    def access(self):
        """How another process opens it."""
        return Access(self.uri, options=self.options)

    def discard(self, actions):
        """Remove the data files that a writer's actions name."""
        data = actions.encode()
        lib.ist_writer_discard(self.pointer, data, len(data))

    def forget_table(self):
        """Remove the log of a table that this process made and nobody else knows of. Best effort."""
        with contextlib.suppress(errors.IsthmusError):
            call(lib.ist_store_delete, self.pointer, _c("_delta_log/00000000000000000000.json"))

    def list(self, folder=""):
        """What is in a folder: {"objects": [{"name", "size", "modified_ms"}...], "folders": ["x"...]}."""
        return json.loads(text(lib.ist_store_list_json, self.pointer, _c(folder)))

    def read_file(self, path, form, schema=None, header=True, delimiter=None):
        """A file of the store as a reader. `form` is a key of FILE_FORMATS, `schema` has the types of columns in CSV and
        JSON."""
        options = ffi.new("ist_file_options *", lib.ist_file_options_init())
        options.format = FILE_FORMATS[form]
        options.no_header = not header
        options.delimiter = delimiter.encode() if delimiter else b"\0"
        stream = ffi.new("struct ArrowArrayStream *")
        with _Schema(schema or pa.schema([])) as c_schema:
            options.schema = c_schema if schema is not None else ffi.NULL
            call(lib.ist_file_read, self.pointer, _c(path), options, stream)
        return _import_stream(stream, self)

    def read_task(self, task):
        """One task of a scan, as a reader."""
        stream = ffi.new("struct ArrowArrayStream *")
        call(lib.ist_scan_task_read, self.pointer, _c(task), stream)
        return _import_stream(stream, self)


TABLE_OPERATIONS = {"read": lib.IST_TABLE_READ, "write": lib.IST_TABLE_WRITE, "create": lib.IST_TABLE_CREATE}


class TableStore(Store):
    """ist_table: a table of a catalog, opened by name: its store with credentials that renew themselves, and its committer."""

    def __init__(self, catalog, name, operation):
        self._take(_open(lib.ist_table_open, "ist_table", catalog.pointer, _c(name), TABLE_OPERATIONS[operation]))

    def _take(self, table):
        self._own(table, lib.ist_table_free)

    @classmethod
    def of_access(cls, access, operation):
        self = cls.__new__(cls)
        self._take(_open(lib.ist_table_open_access, "ist_table", _c(access), TABLE_OPERATIONS[operation]))
        return self

    table = Handle.pointer
    pointer = property(lambda self: lib.ist_table_store(self.table))
    committer = property(lambda self: lib.ist_table_committer(self.table))
    is_new = property(lambda self: lib.ist_table_is_new(self.table))

    @property
    def info(self):
        """The catalog's TableInfo; None for a table that is not made yet."""
        json_text = _string(lib.ist_table_info(self.table))
        return json_text and json.loads(json_text)

    def register(self, snapshot):
        """Tell the catalog what the table is: a new one gets its name, an old one its columns."""
        call(lib.ist_table_register, self.table, snapshot.pointer)

    def access(self):
        return Access(self.uri, text(lib.ist_table_access, self.table))


class Access:
    """How a process opens a table that another one has opened. It goes to Ray tasks as an argument, and may hold a token:
    its repr says no more than where the table is."""

    def __init__(self, uri, secret=None, options=None):
        self.uri = uri
        self._secret = secret
        self._options = options

    def open(self, operation):
        """The store; in one process the same for the same access, so that credentials are asked for once."""
        if self._secret is None:
            return Store(self.uri, options=self._options)
        key = (os.getpid(), operation, self._secret)
        with _stores_lock:
            store = _stores.pop(key, None)
        if store is None:
            store = TableStore.of_access(self._secret, operation)
        with _stores_lock:
            _stores[key] = store
            while len(_stores) > STORES_KEPT:
                _stores.popitem(last=False)
        return store

    def for_daemon(self):
        """The text for the commit frame; None for a location."""
        return self._secret

    def __repr__(self):
        return f"<Access to {self.uri}>"


STORES_KEPT = 32
_stores = collections.OrderedDict()
_stores_lock = threading.Lock()


class Snapshot(Handle):
    """ist_snapshot: a table as of one version. Arrow readers take it as the table's rows."""

    def __init__(self, store, version=None, timestamp_ms=None):
        self.store = store if isinstance(store, Store) else Store(store)
        options = ffi.new("ist_snapshot_options *", lib.ist_snapshot_options_init())
        if version is not None:
            options.version = version
        if timestamp_ms is not None:
            options.timestamp_ms = timestamp_ms
        options.committer = self.store.committer
        self._own(_open(lib.ist_snapshot_open, "ist_snapshot", self.store.pointer, options), lib.ist_snapshot_free)

    version = property(lambda self: lib.ist_snapshot_version(self.pointer))
    timestamp_ms = property(lambda self: lib.ist_snapshot_timestamp_ms(self.pointer))
    uri = property(lambda self: _string(lib.ist_snapshot_uri(self.pointer)))
    table_id = property(lambda self: _string(lib.ist_snapshot_table_id(self.pointer)))
    schema_json = property(lambda self: _string(lib.ist_snapshot_schema_json(self.pointer)))
    schema = property(lambda self: _schema(lib.ist_snapshot_schema, self.pointer))
    file_count = property(lambda self: lib.ist_snapshot_file_count(self.pointer))
    size_bytes = property(lambda self: lib.ist_snapshot_size_bytes(self.pointer))

    @property
    def rows(self):
        """Live rows; None where a file has no statistics."""
        rows = lib.ist_snapshot_row_count(self.pointer)
        return None if rows < 0 else rows

    @property
    def partition_columns(self):
        count = lib.ist_snapshot_partition_column_count(self.pointer)
        return [_string(lib.ist_snapshot_partition_column(self.pointer, i)) for i in range(count)]

    def property(self, key):
        """A table property; None where it is not set."""
        return _string(lib.ist_snapshot_property(self.pointer, _c(key)))

    def app_version(self, app_id):
        version = lib.ist_snapshot_app_version(self.pointer, _c(app_id))
        return None if version < 0 else version

    def describe(self):
        return json.loads(text(lib.ist_snapshot_describe, self.pointer))

    def checkpoint(self):
        """Write a checkpoint of this version."""
        call(lib.ist_checkpoint_write, self.store.pointer, self.pointer)

    def scan(self, columns=None, filter=None, threads=0):
        """A planned read.

        columns  top-level columns, in the order wanted; None for all
        filter   pyarrow.compute.Expression over any of the table's columns: the rows that it is true for
        threads  most of those that decode ahead of read()'s reader; rows of more than one come as they are ready
        """
        return Scan(self, columns, filter, threads)

    def to_arrow(self, columns=None, filter=None):
        """The rows as a pyarrow Table, in the order of the log's files."""
        return self.scan(columns, filter).to_arrow()

    def __arrow_c_schema__(self):
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.scan().__arrow_c_stream__(requested_schema)

    def _repr_html_(self):
        told = self.describe()
        return _html.delta(told, told.get("name") or self.uri)

    def __repr__(self):
        rows = "?" if self.rows is None else f"{self.rows:,}"
        return f"<Snapshot of {self.uri} version {self.version}: {rows} rows in {self.file_count:,} files>"


def _serialized(filter):
    """An expression as Arrow serialises it: what it pickles to."""
    from pyarrow.compute import Expression

    if not isinstance(filter, Expression):
        raise errors.BadInputError(f"a filter is a pyarrow.compute.Expression, not a {type(filter).__name__}: "
                                   "pyarrow.compute.field('x') > 5")
    return filter.__reduce__()[1][0]


class Scan(Handle):
    """ist_scan: a planned read of a snapshot."""

    def __init__(self, snapshot, columns=None, filter=None, threads=0):
        self.snapshot = snapshot
        options = ffi.new("ist_scan_options *", lib.ist_scan_options_init())
        options.columns, options.column_count, kept = _strings(columns)
        if filter is not None:
            predicate = ffi.from_buffer(_serialized(filter))
            options.predicate, options.predicate_size = predicate, len(predicate)
        options.threads = threads
        self._own(_open(lib.ist_scan_open, "ist_scan", snapshot.pointer, options), lib.ist_scan_free)

    schema = property(lambda self: _schema(lib.ist_scan_schema, self.pointer))

    def tasks(self):
        """[(task as JSON text, rows or None, bytes)]: what other processes give to Store.read_task."""
        found = []
        for i in range(lib.ist_scan_task_count(self.pointer)):
            rows = lib.ist_scan_task_rows(self.pointer, i)
            task = text(lib.ist_scan_task_json, self.pointer, i)
            found.append((task, None if rows < 0 else rows, lib.ist_scan_task_bytes(self.pointer, i)))
        return found

    def paths(self):
        """The data file of each task, as Transaction.replace takes it."""
        count = lib.ist_scan_task_count(self.pointer)
        return [_string(lib.ist_scan_task_path(self.pointer, i)) for i in range(count)]

    def read(self):
        stream = ffi.new("struct ArrowArrayStream *")
        call(lib.ist_scan_read, self.pointer, self.snapshot.store.pointer, stream)
        return _import_stream(stream, self)

    def to_arrow(self):
        """All rows, in the order of the log's files, which are read side by side."""
        store = self.snapshot.store
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            batches = pool.map(lambda task: list(store.read_task(task[0])), self.tasks())
            return pa.Table.from_batches(itertools.chain.from_iterable(batches), self.schema)

    def __arrow_c_schema__(self):
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.read().__arrow_c_stream__(requested_schema)


class CommitResult:
    """What a commit came to: version, attempts, files, rows (None where unknown), bytes, already."""

    def __init__(self, c):
        self.version = c.version
        self.attempts = c.attempts
        self.files = c.files
        self.rows = None if c.rows < 0 else c.rows
        self.bytes = c.bytes
        self.already = c.already

    def __repr__(self):
        return f"CommitResult({', '.join(f'{key}={value}' for key, value in vars(self).items())})"


def _result(c, table):
    if c.outcome == lib.IST_COMMIT_COMMITTED:
        return CommitResult(c)
    kind = errors.ConflictError if c.outcome == lib.IST_COMMIT_CONFLICTED else errors.RetryableError
    raise kind(f"table {table}: not committed: {_string(c.reason)}", f"version {c.version}")


class Transaction(Handle):
    """ist_transaction, on the driver. `schema` is the pyarrow schema of the rows to be written, `mode` one of MODES or
    "rewrite", which has an `operation` ("MERGE")."""

    def __init__(self, store, schema, mode="append", merge_schema=False, overwrite_schema=False, partition_by=None,
                 properties=None, table_name=None, app_id=None, engine=None, commit_info=None, target_file_bytes=0,
                 operation=None, description=None):
        if mode not in _TRANSACTION_MODES:
            raise errors.BadInputError(f"mode {mode!r} is none of {', '.join(_TRANSACTION_MODES)}")
        self.store = store
        self.table = table_name or store.uri
        options = ffi.new("ist_transaction_options *", lib.ist_transaction_options_init())
        options.mode = _TRANSACTION_MODES[mode]
        options.merge_schema = merge_schema
        options.overwrite_schema = overwrite_schema
        kept = []
        options.partition_columns, options.partition_column_count, columns = _strings(partition_by or None)
        kept.append(columns)
        for key, value in (("properties", properties and json.dumps(properties)), ("table_name", table_name),
                           ("app_id", app_id), ("engine", engine),
                           ("commit_info", commit_info and json.dumps(commit_info)), ("operation", operation),
                           ("description", description)):
            kept.append(_c(value))
            setattr(options, key, kept[-1])
        options.target_file_bytes = target_file_bytes
        options.committer = store.committer
        self.store = store
        with _Schema(schema) as c_schema:
            pointer = _open(lib.ist_transaction_begin, "ist_transaction", store.pointer, options, c_schema)
        self._own(pointer, lib.ist_transaction_free)

    is_noop = property(lambda self: lib.ist_transaction_is_noop(self.pointer))
    changes_metadata = property(lambda self: lib.ist_transaction_changes_metadata(self.pointer))
    read_version = property(lambda self: lib.ist_transaction_read_version(self.pointer))

    def write_context(self):
        return text(lib.ist_transaction_write_context, self.pointer)

    def change_context(self):
        """The context for a writer of a rewrite's changes, which have a column _change_type; "" where nobody asks for
        them."""
        return text(lib.ist_transaction_change_context, self.pointer)

    def add(self, context, actions):
        data = actions.encode()
        call(lib.ist_transaction_add, self.pointer, _c(context), data, len(data))

    def replace(self, paths):
        """The files that a rewrite replaces, by Scan.paths of the version that was read; told once."""
        array, count, _kept = _strings(paths)
        call(lib.ist_transaction_replace, self.pointer, array, count)

    def commit(self):
        result = ffi.new("ist_commit_result *")
        call(lib.ist_transaction_commit, self.pointer, result)
        return _result(result, self.table)


class Writer(Handle):
    """ist_writer, in whatever process. Closed without finish(), it removes its files."""

    def __init__(self, store, context):
        self.store = store
        self._own(_open(lib.ist_writer_open, "ist_writer", store.pointer, _c(context)), lib.ist_writer_free)

    def write(self, data):
        call(lib.ist_writer_write, self.pointer, export_stream(data))

    def finish(self):
        """The add actions, one JSON object per line."""
        return text(lib.ist_writer_finish, self.pointer)


# ---- statements on a warehouse -----------------------------------------------------------------------------------------

COMPRESSIONS = {
    None: lib.IST_STATEMENT_COMPRESSION_AUTO,
    "none": lib.IST_STATEMENT_COMPRESSION_NONE,
    "lz4": lib.IST_STATEMENT_COMPRESSION_LZ4,
}


class Statement(Handle):
    """ist_statement: one that was submitted. Closed while it runs, it is cancelled.

    parameters   [(name, text or None, type or None)]
    """

    def __init__(self, connection, text, parameters=(), compression=None, /, **members):
        options, kept = _statement_options(members)
        kept.append([(_c(name), _c(value), _c(type)) for name, value, type in parameters])
        array = ffi.new("ist_statement_parameter[]", kept[-1])
        options.parameters, options.parameter_count = array, len(kept[-1])
        options.compression = COMPRESSIONS[compression]
        self._begin(connection, lib.ist_statement_submit, _c(text), options)

    @classmethod
    def open(cls, connection, id):
        """One that was submitted elsewhere."""
        self = cls.__new__(cls)
        options, _ = _statement_options({})
        self._begin(connection, lib.ist_statement_open, _c(id), options)
        return self

    def _begin(self, connection, function, text, options):
        self.connection = connection
        out = ffi.new("ist_statement **")
        try:
            call(function, connection.pointer, text, options, out)
        except BaseException:  # Ctrl-C comes when the call has returned
            lib.ist_statement_free(out[0])
            raise
        self._own(out[0], lib.ist_statement_free)

    id = property(lambda self: _string(lib.ist_statement_id(self.pointer)))
    rows = property(lambda self: lib.ist_statement_row_count(self.pointer))
    is_truncated = property(lambda self: lib.ist_statement_is_truncated(self.pointer))
    schema = property(lambda self: _schema(lib.ist_statement_schema, self.pointer))

    def wait(self):
        """Until it has succeeded. Ctrl-C cancels it."""
        if self._ended():
            return
        failure = []
        thread = threading.Thread(target=self._wait_in_thread, args=(failure,), daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.2)
        except BaseException:
            self.cancel()
            thread.join()
            raise
        if failure:
            raise failure[0]

    def _ended(self):
        state = ffi.new("ist_statement_state *")
        call(lib.ist_statement_wait, self.pointer, 0, state)
        return state[0] == lib.IST_STATEMENT_SUCCEEDED

    def _wait_in_thread(self, failure):
        try:
            call(lib.ist_statement_wait, self.pointer, -1, ffi.NULL)
        except errors.IsthmusError as error:
            failure.append(error)

    def cancel(self):
        call(lib.ist_statement_cancel, self.pointer)

    def manifest(self):
        return json.loads(text(lib.ist_statement_manifest, self.pointer))

    def read(self):
        stream = ffi.new("struct ArrowArrayStream *")
        call(lib.ist_statement_read, self.pointer, stream)
        return _import_stream(stream, self)

    def tasks(self):
        """[(task as JSON text, rows, bytes)]: what other processes give to read_chunk. They hold a secret."""
        return [(text(lib.ist_statement_chunk_task, self.pointer, i), lib.ist_statement_chunk_rows(self.pointer, i),
                 lib.ist_statement_chunk_bytes(self.pointer, i))
                for i in range(lib.ist_statement_chunk_count(self.pointer))]


def _statement_options(members):
    """(options, what keeps them alive)."""
    options, kept = ffi.new("ist_statement_options *", lib.ist_statement_options_init()), []
    for key, value in members.items():
        if isinstance(value, str):
            value = _c(value)
            kept.append(value)
        if value is not None:
            setattr(options, key, value)
    return options, kept


def read_chunk(task, catalog=None):
    """Fetch a chunk by its task, as whoever submitted the statement, or by a catalog's connection."""
    stream = ffi.new("struct ArrowArrayStream *")
    call(lib.ist_statement_task_read, catalog.pointer if catalog else ffi.NULL, _c(task), stream)
    return _import_stream(stream)


# ---- the node's exchange ---------------------------------------------------------------------------------------------


class Client(Handle):
    """ist_exchange_client: a connection to the node's daemon."""

    def __init__(self, socket_path=None):
        pointer = _open(lib.ist_exchange_client_open, "ist_exchange_client", _c(socket_path))
        self._own(pointer, lib.ist_exchange_client_free)

    def create(self):
        """Make an exchange and hold it; its id."""
        out = ffi.new("char[]", lib.IST_ID_SIZE)
        call(lib.ist_exchange_create, self.pointer, out)
        return _string(out)

    def hold(self, exchange):
        call(lib.ist_exchange_hold, self.pointer, _c(exchange))

    def release(self, exchange):
        call(lib.ist_exchange_release, self.pointer, _c(exchange))

    def put(self, exchange, data):
        """Write all batches as one chunk."""
        info = ffi.new("ist_chunk_info *")
        call(lib.ist_exchange_put, self.pointer, _c(exchange), export_stream(data), info)
        return Chunk(self, _string(info.id), _string(info.exchange), info.rows, info.bytes)

    def get(self, chunk):
        """Map a chunk: a reader whose batches lie in the shared memory."""
        stream = ffi.new("struct ArrowArrayStream *")
        call(lib.ist_exchange_get, self.pointer, _c(chunk), stream)
        return _import_stream(stream)

    def free_chunk(self, chunk):
        call(lib.ist_exchange_free_chunk, self.pointer, _c(chunk))

    def counters(self):
        return json.loads(text(lib.ist_exchange_counters, self.pointer))

    def commit(self, store, context, actions, app_id, table_name=None, engine=None):
        """Commit an append together with whoever else appends now."""
        data = actions.encode()
        with _member(store.uri, table_name, context, data, app_id, engine, store.access().for_daemon()) as member:
            result = ffi.new("ist_commit_result *")
            call(lib.ist_commit_group, self.pointer, member, result)
        return _result(result, table_name or store.uri)


class _member:
    """An ist_commit_member and what it borrows."""

    def __init__(self, table_uri, table_name, context, actions, app_id, engine, access=None):
        self.c = ffi.new("ist_commit_member *")
        self.kept = [_c(value) for value in (table_uri, table_name, context, app_id, engine, access)]
        self.actions = ffi.from_buffer("char[]", actions)
        (self.c.table_uri, self.c.table_name, self.c.context, self.c.app_id, self.c.engine, self.c.access) = self.kept
        self.c.actions, self.c.actions_size = self.actions, len(actions)

    def __enter__(self):
        return self.c

    def __exit__(self, *exc):
        self.kept = self.actions = None


def commit_direct(store, context, actions, app_id, table_name=None, engine=None):
    """The same commit without the daemon."""
    data = actions.encode()
    with _member(store.uri, table_name, context, data, app_id, engine) as member:
        result = ffi.new("ist_commit_result *")
        call(lib.ist_commit_direct, store.pointer, store.committer, member, result)
    return _result(result, table_name or store.uri)


class Chunk:
    """A sealed chunk. Arrow readers take it as its rows."""

    def __init__(self, client, id, exchange, rows, bytes):
        self._client = client
        self.id = id
        self.exchange = exchange
        self.rows = rows
        self.bytes = bytes

    def read(self):
        return self._client.get(self.id)

    def __arrow_c_schema__(self):
        return self.read().schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.read().__arrow_c_stream__(requested_schema)

    def __repr__(self):
        return f"<Chunk {self.id}: {self.rows:,} rows, {self.bytes:,} bytes>"


_clients = {}
_clients_lock = threading.Lock()


def client(socket_path=None):
    """This process's connection to the daemon at socket_path (None: the default place), opened when first asked for."""
    key = (os.getpid(), socket_path or default_socket())
    with _clients_lock:
        if key not in _clients:
            _clients[key] = Client(key[1])
        return _clients[key]


def forget_client(socket_path=None):
    """Drop the connection: its daemon went away."""
    with _clients_lock:
        _clients.pop((os.getpid(), socket_path or default_socket()), None)


def home():
    """The folder of Isthmus' own state: $ISTHMUS_HOME, else ~/.isthmus."""
    return os.environ.get("ISTHMUS_HOME") or os.path.expanduser("~/.isthmus")


def default_socket():
    return os.environ.get("ISTHMUS_SOCKET") or os.path.join(home(), "daemon.sock")


def _after_fork():
    """In a forked child: the parent's connections are the parent's, and its lock may have been held."""
    global _clients_lock, _stores_lock
    _clients_lock, _stores_lock = threading.Lock(), threading.Lock()
    _clients.clear()
    _stores.clear()


os.register_at_fork(after_in_child=_after_fork)
