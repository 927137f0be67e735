"""Delta tables from Python: one call to append, one to read with Ray, and the table itself."""

import collections
import datetime
import threading
import uuid

from isthmus import _html, errors, native, openlineage, progress
from isthmus.catalog import locate

CREATE_ATTEMPTS = 10


class Table:
    """A Delta table by name, path or URI. Nothing is read until it is asked for.

        table = isthmus.Table("main.demo.scores")
        table.snapshot().rows
        table.to_arrow(columns=["user", "score"])
    """

    def __init__(self, table, storage_options=None):
        self.place = locate(table, storage_options=storage_options)
        with _naming(self.place):
            self._store = self.place.open("read")

    name = property(lambda self: self.place.name)
    uri = property(lambda self: self._store.uri)

    def snapshot(self, version=None, timestamp=None):
        """The table as of a version, or as of a datetime (or ISO text); the newest without either."""
        return _snapshot(self._store, self.place, version, timestamp)

    def to_arrow(self, version=None, columns=None, filter=None):
        """The rows as a pyarrow Table; of a filter (a pyarrow.compute.Expression) those that it is true for."""
        with _naming(self.place):
            return self.snapshot(version).to_arrow(columns, filter)

    def to_pandas(self, version=None, columns=None, filter=None):
        return self.to_arrow(version, columns, filter).to_pandas()

    def access(self):
        """How another process opens it (native.Access)."""
        return self._store.access()

    def history(self, limit=None):
        """Newest first: one dict for each version, as its commit tells."""
        with _naming(self.place):
            return _html.Listing(self._store.history(limit), _HISTORY, f"versions of {self.place.label}")

    def __arrow_c_stream__(self, requested_schema=None):
        return self.snapshot().__arrow_c_stream__(requested_schema)

    def _repr_html_(self):
        with self.snapshot() as now:
            return _html.delta(now.describe(), self.place.label)

    def __repr__(self):
        with self.snapshot() as now:
            rows = "unknown" if now.rows is None else f"{now.rows:,}"
            lines = [f"Delta table {self.place.label}", f"  location  {self.uri}",
                     f"  version   {now.version} of {_time(now.timestamp_ms)}",
                     f"  rows      {rows} in {now.file_count:,} files, {now.size_bytes:,} bytes"]
            if now.partition_columns:
                lines.append(f"  partition {', '.join(now.partition_columns)}")
            width = max(map(len, now.schema.names), default=0)
            lines += [f"  {'columns' if i == 0 else '':9} {field.name:{width}} {field.type}"
                      for i, field in enumerate(now.schema)]
            return "\n".join(lines)


def _time(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")


def _metric(*names):
    """The first of these that a commit tells among its metrics."""
    def value(commit):
        metrics = commit.get("operationMetrics") or {}
        found = next((str(metrics[name]) for name in names if name in metrics), "")
        return f"{int(found):,}" if found.isdigit() else found

    return value


_HISTORY = (("version", lambda commit: commit.get("version"), True),
            ("time", lambda commit: _html.moment(commit.get("timestamp")), False),
            ("operation", lambda commit: commit.get("operation"), False),
            ("by", lambda commit: commit.get("engineInfo"), False),
            ("rows", _metric("numOutputRows"), True), ("files", _metric("numFiles", "numAddedFiles"), True),
            ("bytes", _metric("numOutputBytes", "numAddedBytes"), True))


class _naming:
    """Puts the table's name before the message of an error that does not tell it."""

    def __init__(self, place):
        self.label = place.label

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, errors.IsthmusError) and self.label and self.label not in str(error):
            error.args = (f"table {self.label}: {error.args[0]}", *error.args[1:])


def _snapshot(store, place, version=None, timestamp=None):
    if isinstance(timestamp, str):
        timestamp = datetime.datetime.fromisoformat(timestamp)
    ms = None if timestamp is None else round(timestamp.timestamp() * 1000)
    with _naming(place):
        return native.Snapshot(store, version, ms)


# ---- writing ---------------------------------------------------------------------------------------------------------


def write_deltalake(table_or_uri, data, *, partition_by=None, mode="append", name=None, configuration=None,
                    schema_mode=None, storage_options=None, target_file_size=None, app_id=None):
    """Write rows to a Delta table as one version; the arguments are those of deltalake.write_deltalake.

    Any number of processes may append to one table at once. On a node with a daemon (isthmus.start()) appends that wait
    at the same time become one version; each still succeeds or fails by itself. Columns that the table has and the data
    lacks become null.

    table_or_uri      "catalog.schema.table", "schema.table" (catalog main), a path or a URI
    data              pyarrow, pandas, polars, anything with `__arrow_c_stream__`, a dict of columns, a list of batches
    mode              "append", "overwrite", "error" (refuse where there is a table) or "ignore"
    schema_mode       "merge": new columns are added to the table; "overwrite" (with mode "overwrite"): its schema is replaced
    app_id            idempotency key: the same key is written once, however often the call is repeated. Without it, each
                      call is new; except that calls in a Ray task derive theirs from the task, so that a task which Ray
                      runs again never doubles rows
    name              metadata name of a table created at a path
    configuration     table properties of a new table
    target_file_size  in bytes; 0 or None for the table's own
    storage_options   for an s3:, gs: or abfss: location, by deltalake's names in any case: AWS_ACCESS_KEY_ID,
                      aws_endpoint_url, azure_storage_account_key, google_service_account... Keys that are not in it come
                      from the environment, as those of the daemon do: with options, this process commits by itself

    Returns the CommitResult: version, rows, files, bytes, already.
    """
    if schema_mode not in (None, "merge", "overwrite"):
        raise errors.BadInputError(f"schema_mode {schema_mode!r} is neither 'merge' nor 'overwrite'")
    if mode not in native.MODES:
        raise errors.BadInputError(f"mode {mode!r} is none of {', '.join(native.MODES)}")
    place = locate(table_or_uri, missing_ok=True, storage_options=storage_options)
    reader = native.reader_of(data)
    app_id = app_id or _task_key(place.label) or f"isthmus-{uuid.uuid4()}"
    engine = "ray" if openlineage.worker_task() else "python"
    options = dict(mode=mode, merge_schema=schema_mode == "merge", overwrite_schema=schema_mode == "overwrite",
                   partition_by=[partition_by] if isinstance(partition_by, str) else partition_by,
                   properties=configuration, table_name=place.name or name, app_id=app_id, engine=engine,
                   target_file_bytes=target_file_size or 0)
    with _naming(place), progress.bar(f"write {place.label}") as bar:
        result = write_rows(place, bar.counted(reader), app_id, options)
    if not result.already:
        openlineage.post(engine, outputs=[openlineage.Dataset(place.label, result.version, result.rows, result.bytes)])
    return result


def write_rows(place, reader, app_id, options):
    """Write a reader's rows to a Place as one version. `options` are native.Transaction's; app_id is among them."""
    store = place.open("create")
    transaction = native.Transaction(store, reader.schema, **options)
    if transaction.is_noop:
        return transaction.commit()
    context = transaction.write_context()
    with native.Writer(store, context) as writer:
        writer.write(reader)
        actions = writer.finish()
    try:
        if options["mode"] == "append" and not transaction.changes_metadata:
            result = commit_append(store, place, context, actions, app_id, options["engine"])
        else:
            result = _without_doubles(store, actions,
                                      _commit(transaction, context, actions, store, reader.schema, options))
    except errors.IsthmusError:
        discard_uncommitted(store, [actions], app_id)
        raise
    if result.already:
        return result
    return publish(place, store, transaction, options, [actions]) or result


def publish(place, store, transaction, options, written):
    """After a commit: a new table gets its name, and the catalog is told of new columns. Where another process gave the
    name to a table of its own in the meantime, the rows move there, and the result of that commit is returned."""
    try:
        place.publish(store, transaction)
        return None
    except errors.AlreadyExistsError:
        if options["mode"] not in ("append", "overwrite"):
            raise
    with native.Snapshot(store) as ours:
        result = write_rows(locate(place.name), ours.scan().read(), options["app_id"], options)
    for actions in written:
        store.discard(actions)
    store.forget_table()
    return result


def _commit(transaction, context, actions, store, schema, options):
    """Commit a transaction that creates or changes the table. When another one does so at the same time, begin again:
    the files stay good as long as their schema fits what the table became."""
    for attempt in range(CREATE_ATTEMPTS):
        transaction.add(context, actions)
        try:
            return transaction.commit()
        except errors.ConflictError:
            if options["mode"] != "append" or attempt == CREATE_ATTEMPTS - 1:
                raise
        transaction = native.Transaction(store, schema, **options)
        if transaction.is_noop:
            return transaction.commit()


def commit_append(store, place, context, actions, app_id, engine):
    """Commit an append through the node's daemon, or by itself where there is none or it goes away. The idempotency key
    makes the second try safe. Files are removed when rows with the key were there already."""
    handed_over = False
    if store.options:  # which a daemon does not have
        return _without_doubles(store, actions,
                                native.commit_direct(store, context, actions, app_id, place.name, engine))
    try:
        result = native.client().commit(store, context, actions, app_id, place.name, engine)
    except errors.RetryableError:
        native.forget_client()
        handed_over = True
    except errors.NotFoundError:
        if _daemon_answers():
            raise
    else:
        return _without_doubles(store, actions, result)
    result = native.commit_direct(store, context, actions, app_id, place.name, engine)
    # What a daemon committed before it went away may be these very files: then they are the table's.
    return result if handed_over else _without_doubles(store, actions, result)


def _without_doubles(store, actions, result):
    if result.already:
        store.discard(actions)
    return result


def _daemon_answers():
    try:
        native.client().counters()
        return True
    except errors.IsthmusError:
        native.forget_client()
        return False


def discard_uncommitted(store, written, app_id):
    """Remove the files of writers whose commit failed, unless the table shows that it was committed after all."""
    try:
        with native.Snapshot(store) as now:
            committed = now.app_version(app_id) is not None
    except errors.NotFoundError:
        committed = False
    except errors.IsthmusError:
        return  # unknown: files without a commit do no harm
    for actions in [] if committed else written:
        store.discard(actions)


_calls = collections.OrderedDict()
_calls_lock = threading.Lock()


def _task_key(table):
    """Inside a Ray task: a key that is the same when Ray runs the task again, and differs between its calls."""
    import sys

    ray = sys.modules.get("ray")
    if ray is None or openlineage.worker_task() is None:
        return None
    context = ray.get_runtime_context()
    task = context.get_task_id()
    if task is None:
        return None
    attempt = ray._private.worker.global_worker.core_worker.get_current_task_attempt_number()
    with _calls_lock:
        number = _calls.pop((task, attempt, table), 0)
        _calls[task, attempt, table] = number + 1
        while len(_calls) > 10_000:
            _calls.popitem(last=False)
    return f"ray-{context.get_session_name()}-{task}-{number}"


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_delta(table, version=None, columns=None, *, filter=None, timestamp=None, storage_options=None,
               override_num_blocks=None, **ray_arguments):
    """A Ray Dataset over a Delta table at one version (the newest, if none is given): its files are read in parallel by
    Ray tasks, with deletion vectors, column mapping and partition values applied.

    table          name, path or URI; storage_options for a URI in a cloud, as in write_deltalake
    columns        top-level columns, in the order wanted
    filter         pyarrow.compute.Expression over any of the table's columns: files without a row that it is true for are
                   not read at all
    ray_arguments  num_cpus, concurrency... of ray.data.read_datasource
    """
    from isthmus import ray as isthmus_ray

    return isthmus_ray.read_delta(Table(table, storage_options), version, columns, filter, timestamp, override_num_blocks,
                                  ray_arguments)
