"""Ray's side: Datasets from Spark DataFrames and Delta tables, and Datasets into tables of the catalog.

Importing this module adds to Ray Data; `import isthmus` sees to it, at once or when ray.data is imported:

    ray.data.from_spark(df, use_spark_chunk_api=True)       in place of the one that needs RayDP
    Dataset.write_databricks_table(name, mode="append", mergeSchema=False, ...)
    Dataset.to_spark(spark)                                 in place of the one that needs RayDP
    read_parquet("/Volumes/..."), write_csv("dbfs:/...")... paths of volumes in all readers and writers (isthmus/fs.py)

Only drivers need the import: Ray workers get what they run by pickle.
"""

import functools
import logging
import math
import os
import shutil
import sys
import tempfile
import uuid

import pyarrow as pa
import ray
import ray.data
from ray.data import Dataset, Datasource
from ray.data._internal.arrow_block import _BATCH_SIZE_PRESERVING_STUB_COL_NAME as STUB  # of rows without columns
from ray.data._internal.logical.operators.map_operator import AbstractMap
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.datasource import ReadTask
from ray.data.datasource.datasink import Datasink
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

from isthmus import catalog, delta, errors, fs, native, openlineage, progress
from isthmus.ray_columns import columns_of

logger = logging.getLogger("isthmus")

ENGINE = "ray"
MIB = 1 << 20
BLOCK_BYTES = 128 * MIB  # of read tasks: Ray's own target for a block
WRITE_BYTES_MIN = 16 * MIB  # in-memory bytes of one write task: about twice the size of its file
WRITE_BYTES_MAX = 512 * MIB
WRITE_BYTES_UNKNOWN = 128 * MIB  # where the dataset's size is not known beforehand
KV_NAMESPACE = "isthmus"


# ---- reading ---------------------------------------------------------------------------------------------------------


class Piece:
    """What one read task reads part by part: `read()` gives a pyarrow reader in any process."""

    def __init__(self, rows, bytes, read):
        self.rows = rows
        self.bytes = bytes
        self.read = read


class PiecesDatasource(Datasource):
    """Chunks of an exchange, or files of a Delta scan: pieces of known size, read in groups.

    inputs  what the rows came from (openlineage.Dataset), for the lineage of what is written from them
    lease   keeps the pieces readable; anything that refers to this datasource does
    """

    def __init__(self, name, schema, pieces, inputs, lease=None):
        super().__init__()
        self._name = name
        self._schema = schema
        self._pieces = pieces
        self.inputs = inputs
        self._lease = lease

    def get_name(self):
        return self._name

    @property
    def piece_count(self):
        return len(self._pieces)

    def estimate_inmemory_data_size(self):
        return sum(piece.bytes for piece in self._pieces)

    def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        return [ReadTask(functools.partial(_read_pieces, [piece.read for piece in group], self._schema),
                         BlockMetadata(num_rows=_sum(piece.rows for piece in group),
                                       size_bytes=sum(piece.bytes for piece in group), input_files=None,
                                       exec_stats=None),
                         schema=self._schema, per_task_row_limit=per_task_row_limit)
                for group in _group(self._pieces, max(1, parallelism))]


def _sum(values):
    values = list(values)
    return None if None in values else sum(values)


def _group(pieces, count):
    """At most `count` runs of pieces, near in bytes; one empty run where there is nothing, so that the schema is told."""
    if len(pieces) <= count:
        return [[piece] for piece in pieces] or [[]]
    total = sum(piece.bytes for piece in pieces) or 1
    groups = [[] for _ in range(count)]
    before = 0
    for piece in pieces:
        groups[min(count - 1, before * count // total)].append(piece)
        before += piece.bytes
    return [group for group in groups if group]


def _read_pieces(reads, schema):
    if not reads:
        yield schema.empty_table()
    for read in reads:
        yield from read()


def read_pieces(name, schema, pieces, inputs, lease=None, override_num_blocks=None, **ray_arguments):
    """A Dataset over pieces. Without override_num_blocks: enough tasks for every CPU, but no tiny and no huge blocks."""
    return _read_source(PiecesDatasource(name, schema, pieces, inputs, lease), override_num_blocks, ray_arguments)


def _read_source(source, override_num_blocks, ray_arguments):
    if override_num_blocks is None:
        override_num_blocks = block_count(source.piece_count, source.estimate_inmemory_data_size())
    return ray.data.read_datasource(source, override_num_blocks=override_num_blocks, **ray_arguments)


def block_count(pieces, bytes):
    """How many read tasks there are for pieces of so many bytes together."""
    return max(1, min(pieces, max(math.ceil(bytes / BLOCK_BYTES), 2 * _cpus())))


class DeltaDatasource(PiecesDatasource):
    """A Delta table at one version. Ray's optimizer hands down what follows on the read: filters by expression
    (`filter(expr=col("x") > 5)`) and the columns that are used."""

    def __init__(self, access, label, snapshot, columns, filter, inputs):
        self._access = access
        self._label = label
        self._version = snapshot.version
        self._snapshot = snapshot
        self._columns = columns
        self._filter = filter
        super().__init__("Delta", None, None, inputs)
        self._projection_map = None  # which Ray's own __init__ leaves out
        self._plan()

    def _plan(self):
        with delta._naming(catalog.Place(self._label)):
            if self._snapshot is None:
                self._snapshot = native.Snapshot(self._access.open("read"), self._version)
            scan = self._snapshot.scan(self._columns, self._filter)
            self._schema = scan.schema if self._columns != [] else pa.schema([(STUB, pa.null())])
            self._pieces = [Piece(rows, bytes, functools.partial(_read_task, self._access, self._label, task))
                            for task, rows, bytes in scan.tasks()]

    def supports_predicate_pushdown(self):
        return True

    def supports_projection_pushdown(self):
        return True

    def apply_predicate(self, predicate_expr):
        source = super().apply_predicate(predicate_expr)
        more = predicate_expr.to_pyarrow()
        source._filter = more if self._filter is None else self._filter & more
        source._plan()
        return source

    def apply_projection(self, projection_map):
        source = super().apply_projection(projection_map)
        if projection_map is not None:
            source._columns = source._get_data_columns()
            source._plan()
        return source

    def __getstate__(self):
        return {**self.__dict__, "_snapshot": None}  # a handle stays in its process


def read_delta(table, version, columns, filter, timestamp, override_num_blocks, ray_arguments):
    snapshot = table.snapshot(version, timestamp)
    label = table.place.label
    inputs = openlineage.Dataset(label, snapshot.version, schema_json=snapshot.schema_json)
    source = DeltaDatasource(table.access(), label, snapshot, columns, filter, [inputs])
    openlineage.post(ENGINE, inputs=[inputs])
    return _read_source(source, override_num_blocks, ray_arguments)


def _read_task(access, label, task):
    with delta._naming(catalog.Place(label)):
        for batch in access.open("read").read_task(task):
            yield pa.Table.from_batches([batch]) if batch.num_columns else pa.table({STUB: pa.nulls(batch.num_rows)})


def inputs_of(dataset):
    """What a Dataset came from, as far as its plan tells."""
    found, seen, todo = [], set(), [dataset._logical_plan.dag]
    while todo:
        op = todo.pop()
        if id(op) in seen:
            continue
        seen.add(id(op))
        known = getattr(getattr(op, "datasource", None), "inputs", None) or getattr(op, "_isthmus_inputs", ())
        found += [item for item in known if item not in found]
        todo += op.input_dependencies
    return found


# ---- writing ---------------------------------------------------------------------------------------------------------


class DeltaDatasink(Datasink):
    """Rows of a Dataset into one table as one version.

    The driver begins the transaction when the first rows and with them the schema are there, workers write files (one
    writer for each task, fed block by block), the driver commits all of them once. Each task leaves its actions under
    the job's id in Ray's key-value store, so that the files of a failed job, or of a task that ran twice, are removed.
    """

    def __init__(self, place, mode, inputs, columns, min_bytes, **options):
        self._place = place
        self._options = dict(options, mode=mode, engine=ENGINE, table_name=place.name,
                             app_id=f"isthmus-job-{uuid.uuid4()}")
        self._inputs = inputs
        self._columns = columns
        self._min_bytes = min_bytes
        self._transaction = self._store = self._context = self._access = None
        self.result = None

    @property
    def job(self):
        return self._options["app_id"]

    @property
    def min_bytes_per_write(self):
        return self._min_bytes

    def get_name(self):
        return "DeltaTable"

    def __getstate__(self):
        # For the workers: where to write and what.
        return {"_access": self._access, "_label": self._place.label, "_context": self._context, "_job": self.job,
                "_min_bytes": self._min_bytes}

    def on_write_start(self, schema=None):
        if self._transaction is None:
            if schema is None:
                raise errors.BadInputError(f"table {self._place.label}: the dataset has no schema")
            self._begin(_arrow_schema(schema))

    def _begin(self, schema):
        with delta._naming(self._place):
            self._store = self._place.open("create")
            self._transaction = native.Transaction(self._store, schema, **self._options)
            self._context = self._transaction.write_context()
            self._access = self._store.access()

    def write(self, blocks, ctx):
        with delta._naming(catalog.Place(self._label)), \
                native.Writer(self._access.open("write"), self._context) as writer:
            for block in blocks:
                table = BlockAccessor.for_block(block).to_arrow()
                if table.num_rows:
                    writer.write(table)
            actions = writer.finish()
        key = f"{self._job}/{uuid.uuid4()}"
        _internal_kv_put(key, actions.encode(), namespace=KV_NAMESPACE)
        return key, actions

    def on_write_complete(self, write_result):
        if self._transaction is None:  # no rows and no block: there is nothing to tell a schema from
            raise errors.BadInputError(f"table {self._place.label}: the dataset is empty and has no schema")
        with delta._naming(self._place):
            written = dict(write_result.write_returns)
            for actions in written.values():
                self._transaction.add(self._context, actions)
            self.result = self._transaction.commit()
            for key, actions in self._files():
                if key not in written:
                    self._store.discard(actions)
            moved = delta.publish(self._place, self._store, self._transaction, self._options, written.values())
            self.result = moved or self.result
            now = native.Snapshot(self._place.open("read") if moved else self._store)
        self._forget()
        openlineage.post(ENGINE, self._inputs, [openlineage.Dataset(
            self._place.label, self.result.version, self.result.rows, self.result.bytes, now.schema_json,
            self._columns)])

    def on_write_failed(self, error):
        if self._store is None:
            return
        delta.discard_uncommitted(self._store, [actions for _, actions in self._files()], self.job)
        self._forget()

    def _files(self):
        for key in _internal_kv_list(self.job, namespace=KV_NAMESPACE):
            yield key.decode(), _internal_kv_get(key, namespace=KV_NAMESPACE).decode()

    def _forget(self):
        _internal_kv_del(self.job, del_by_prefix=True, namespace=KV_NAMESPACE)


def _arrow_schema(schema):
    """The Arrow schema of a Dataset or block, whatever form Ray has it in."""
    schema = getattr(schema, "base_schema", schema)
    if isinstance(schema, pa.Schema):
        return schema
    import pandas as pd

    columns = {name: pd.Series(dtype=dtype) for name, dtype in zip(schema.names, schema.types)}
    return pa.Schema.from_pandas(pd.DataFrame(columns), preserve_index=False)


def _write_bytes(dataset, schema):
    """In-memory bytes of a write task: files get well sized, and every CPU gets work. None where the read tasks are
    Isthmus' own: those are well sized, so each writes what it read without a detour through the object store. That needs
    the schema beforehand: Ray fuses such a write with its read, and on_write_start then sees no rows."""
    dag = dataset._logical_plan.dag
    op = dag
    while isinstance(op, AbstractMap) and op.input_dependencies:
        op = op.input_dependencies[0]
    if schema is not None and isinstance(getattr(op, "datasource", None), PiecesDatasource):
        return None
    size = dag.infer_metadata().size_bytes
    if size is None:
        return WRITE_BYTES_UNKNOWN
    return min(WRITE_BYTES_MAX, max(WRITE_BYTES_MIN, math.ceil(size / _cpus())))


def _cpus():
    return int(ray.cluster_resources().get("CPU", 1)) if ray.is_initialized() else os.cpu_count()


def _told(error):
    """The IsthmusError behind what Ray raises, as it was raised in the worker; None where it is something else."""
    while error is not None:
        if isinstance(error, errors.IsthmusError) and not isinstance(error, ray.exceptions.RayTaskError):
            return type(error)(error.args[0].partition("\nFailed to apply UDF")[0], error.where, error.code)
        error = getattr(error, "cause", None) or error.__cause__
    return None


def write_databricks_table(self, name, *, mode="append", mergeSchema=False, overwriteSchema=False, partition_by=None,
                           concurrency=None, ray_remote_args=None):
    """Write the dataset to a table of the catalog: from the Ray workers, straight to the table's storage, as one version.

    name             "catalog.schema.table", or "schema.table" in catalog main; created (managed) if it does not exist
    mode             "append", "overwrite", "error" (refuse where there is a table) or "ignore" (then do nothing)
    mergeSchema      new columns are added to the table; without it they are an error
    overwriteSchema  with mode "overwrite": the dataset's schema replaces the table's
    partition_by     columns to partition a new table by

    Where the catalog gives no write credentials and this process has a Spark session, the rows are staged as Parquet (in
    $_RAY_UC_VOLUMES_FUSE_TEMP_DIR, else the temporary folder) and Spark inserts them; a warning says so, and None is
    returned. Otherwise the CommitResult.

    Nothing becomes visible before all rows are written. Raises before the dataset is executed: BadInputError (name, mode),
    NotFoundError (no such catalog or schema, no server), AlreadyExistsError (mode).
    """
    mode = getattr(mode, "value", mode)
    if mode not in native.MODES:
        raise errors.BadInputError(f"mode {mode!r} is none of {', '.join(native.MODES)}")
    place = catalog.locate(catalog.table_name(name), missing_ok=True)
    if place.info and mode == "error":
        raise errors.AlreadyExistsError(f"table {place.name} exists already (mode is 'error')")
    if place.info and mode == "ignore":
        return None
    if isinstance(partition_by, str):
        partition_by = [partition_by]
    schema = self.schema(fetch_if_missing=False)
    sink = DeltaDatasink(place, mode, inputs_of(self), columns_of(self), _write_bytes(self, schema),
                         merge_schema=mergeSchema, overwrite_schema=overwriteSchema, partition_by=partition_by)
    try:
        if schema is not None:
            sink.on_write_start(schema)  # known without executing anything: so are its errors
        with progress.beside_ray(f"write {place.name}") as bar:
            self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)
            bar.add(sink.result.rows or 0, sink.result.bytes)
    except Exception as error:
        told = _told(error)
        if isinstance(told, errors.WriteCredentialsError) and _spark_session():
            return _insert_by_spark(self, place.name, mode, mergeSchema, overwriteSchema, told)
        if told is None:
            raise
        raise told from None
    return sink.result


def _spark_session():
    """The Spark session of this process; None without one."""
    sql = sys.modules.get("pyspark.sql")
    return sql.SparkSession.getActiveSession() if sql else None


def _insert_by_spark(dataset, name, mode, merge_schema, overwrite_schema, refused):
    """Stage the rows as Parquet where Spark can read them, and let Spark, which the catalog trusts, write the table."""
    logger.warning("%s. Staging the rows for Spark to insert.", refused.args[0].partition(". Either")[0])
    root = os.environ.get("_RAY_UC_VOLUMES_FUSE_TEMP_DIR") or os.environ.get("RAY_UC_VOLUMES_FUSE_TEMP_DIR")
    folder = tempfile.mkdtemp(prefix="isthmus-staged-", dir=root)
    try:
        dataset.write_parquet(folder)
        writer = _spark_session().read.parquet(folder).write.format("delta").mode(mode)
        if merge_schema:
            writer = writer.option("mergeSchema", "true")
        if overwrite_schema:
            writer = writer.option("overwriteSchema", "true")
        writer.saveAsTable(name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ChunkDatasink(Datasink):
    """Rows of a Dataset into chunks of an exchange."""

    def __init__(self, socket_path, exchange, schema):
        self._socket_path = socket_path
        self._exchange = exchange
        self._schema = schema
        self.chunks = []

    def write(self, blocks, ctx):
        client = native.client(self._socket_path)
        chunks = []
        for block in blocks:
            table = BlockAccessor.for_block(block).to_arrow()
            if table.num_rows:
                chunks.append(client.put(self._exchange, table.cast(self._schema)).id)
        return chunks

    def on_write_complete(self, write_result):
        self.chunks = [chunk for chunks in write_result.write_returns for chunk in chunks]


def put_chunks(dataset, lease, schema):
    """Put a Dataset's rows, cast to a schema, into the lease's exchange; the ids of the chunks."""
    sink = ChunkDatasink(lease.socket_path, lease.exchange, schema)
    dataset.write_datasink(sink)
    return sink.chunks


# ---- what is added to Ray Data ---------------------------------------------------------------------------------------


def from_spark(df, *, use_spark_chunk_api=True, parallelism=None, override_num_blocks=None):
    """A Dataset of a Spark DataFrame's rows, of a classic or a Spark Connect session, by the shared memory of the node.

    Spark computes the DataFrame now, once. The rows stay in the node daemon's memory (isthmus.start() makes sure that one
    runs) as long as the Dataset, or one made from it and not materialized, is in use.

    use_spark_chunk_api            both values give the same result by the same way
    override_num_blocks            number of blocks; parallelism is its old name
    """
    from isthmus import spark

    return spark.to_dataset(df, override_num_blocks or (parallelism if parallelism and parallelism > 0 else None))


def to_spark(self, spark):
    """A Spark DataFrame of the dataset's rows, by the shared memory of the node; see isthmus.spark.from_dataset."""
    from isthmus import spark as isthmus_spark

    return isthmus_spark.from_dataset(self, spark)


def _remembering_inputs(materialize):
    @functools.wraps(materialize)
    def wrapper(self):
        output = materialize(self)
        # The plan of a materialized Dataset starts at its blocks; this is where the trail would end.
        object.__setattr__(output._logical_plan.dag, "_isthmus_inputs", inputs_of(self))
        object.__setattr__(output._logical_plan.dag, "_isthmus_columns", columns_of(self))
        return output

    return wrapper


ray.data.from_spark = ray.data.read_api.from_spark = from_spark
Dataset.to_spark = to_spark
Dataset.write_databricks_table = write_databricks_table
Dataset.materialize = _remembering_inputs(Dataset.materialize)
fs.extend_ray()
