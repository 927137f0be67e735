"""Spark's side: sessions that know Isthmus, and DataFrames to and from Ray through the node's shared memory.

    spark = isthmus.spark.builder().master("local[2]").getOrCreate()
    ds = ray.data.from_spark(df)          # to_dataset
    df = ds.to_spark(spark)               # from_dataset

Classic and Spark Connect sessions alike. Rows leave Spark as Arrow chunks that executors put into the exchange of the node
daemon: from the JVM (io.isthmus.spark.ChunkWriter) in classic sessions made by builder(), else from Spark's Python workers
by mapInArrow. Only chunks that successful tasks reported are used, so retried and speculative tasks do no harm.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import socket
import sys
import threading
import weakref

import pyarrow as pa

from isthmus import errors, native, openlineage, progress, services

CHUNK_BYTES = 128 << 20
BATCH_ROWS = 100_000
DELTA_COORDINATES = "io.delta:delta-spark_4.2_2.13:4.4.0"
CHUNK_COLUMNS = "chunk string, exchange string, rows long, bytes long, host string"
_BATCH_CONF = "spark.sql.execution.arrow.maxRecordsPerBatch"


# ---- sessions --------------------------------------------------------------------------------------------------------


def jars():
    """Isthmus' jar, and Delta's from $ISTHMUS_JARS where that folder is set."""
    found = sorted(pathlib.Path(__file__).parent.glob("jars/isthmus-spark*.jar"))
    if os.environ.get("ISTHMUS_JARS"):
        found += sorted(pathlib.Path(os.environ["ISTHMUS_JARS"]).glob("*.jar"))
    return [str(jar) for jar in found]


def settings():
    """Spark settings of a session that knows Delta and the catalog `main`. The jar finds the catalog's server by itself
    ($ISTHMUS_CATALOG, else server.json in $ISTHMUS_HOME), so no token is among them."""
    found = {
        "spark.jars": ",".join(jars()),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension,io.isthmus.spark.IsthmusExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalog.main": "io.isthmus.spark.IsthmusCatalog",
        "spark.sql.queryExecutionListeners": "io.isthmus.spark.LineageListener",
        "spark.executorEnv.RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token"),  # for isthmus.setup_ray_cluster
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",  # Unity Catalog says s3:, Hadoop s3a:
    }
    if not os.environ.get("ISTHMUS_JARS"):
        found["spark.jars.packages"] = DELTA_COORDINATES
    return found


def configure(builder):
    """Add settings() to a SparkSession.Builder; its own jars, packages, extensions and listeners stay besides."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for key, value in settings().items():
        before = builder._options.get(key)
        joined = before and key in ("spark.jars", "spark.jars.packages", "spark.sql.extensions",
                                    "spark.sql.queryExecutionListeners")
        builder.config(key, f"{before},{value}" if joined else value)
    return builder


def builder():
    """SparkSession.builder with settings()."""
    from pyspark.sql import SparkSession

    return configure(SparkSession.Builder())


# ---- leases ----------------------------------------------------------------------------------------------------------


class Lease:
    """Keeps an exchange alive as long as this object, a copy of it in another process, or its process lives."""

    _held = weakref.WeakValueDictionary()
    _lock = threading.Lock()

    def __init__(self, client, socket_path, exchange):
        self.socket_path = socket_path
        self.exchange = exchange
        self._finalizer = weakref.finalize(self, _release, client, exchange)
        self._held[os.getpid(), exchange] = self

    @classmethod
    def create(cls):
        socket_path = native.default_socket()
        client = native.client(socket_path)
        try:
            exchange = client.create()
        except errors.RetryableError:  # the daemon was started again since
            native.forget_client(socket_path)
            client = native.client(socket_path)
            exchange = client.create()
        return cls(client, socket_path, exchange)

    @classmethod
    def take(cls, socket_path, exchange):
        with cls._lock:
            held = cls._held.get((os.getpid(), exchange))
            if held is None:
                client = native.client(socket_path)
                client.hold(exchange)
                held = cls(client, socket_path, exchange)
            return held

    def release(self):
        """Give it back now."""
        self._finalizer()

    def __reduce__(self):
        return Lease.take, (self.socket_path, self.exchange)


def _release(client, exchange):
    with contextlib.suppress(errors.IsthmusError):  # the process forked, or the daemon is gone: nothing is held
        client.release(exchange)


# ---- Spark to Ray ----------------------------------------------------------------------------------------------------


def to_dataset(df, override_num_blocks=None):
    """What ray.data.from_spark does."""
    from isthmus import ray as isthmus_ray

    schema = arrow_schema(df)
    inputs = inputs_of(df)
    lease = Lease.create()
    with progress.of_spark("from_spark", df.sparkSession) as bar:
        chunks = put(df, lease)
        bar.add(rows=sum(rows for _, rows, _ in chunks), bytes=sum(size for _, _, size in chunks))
    pieces = [isthmus_ray.Piece(rows, size, functools.partial(read_chunk, lease.socket_path, chunk, schema.names))
              for chunk, rows, size in chunks]
    openlineage.post("spark", inputs=inputs)
    return isthmus_ray.read_pieces("Spark", schema, pieces, inputs, lease, override_num_blocks)


def arrow_schema(df):
    """The Arrow schema of a DataFrame's rows in Ray."""
    from pyspark.sql.pandas.types import to_arrow_schema

    names = df.columns
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise errors.BadInputError(f"the DataFrame has more than one column named {', '.join(map(repr, twice))}; rename "
                                   "them: a Ray Dataset's columns have distinct names")
    return ray_schema(to_arrow_schema(df.schema, timezone="UTC", error_on_duplicated_field_names_in_struct=True))


def is_classic(session):
    return hasattr(session, "_jsparkSession")


def put(df, lease):
    """Compute a DataFrame into chunks of the lease's exchange: [(chunk id, rows, bytes)], in order of partitions."""
    session = df.sparkSession
    writer = _java(session, "ChunkWriter")
    try:
        if writer is not None:
            infos = json.loads(writer.put(df._jdf, lease.socket_path, lease.exchange, CHUNK_BYTES))
        else:
            names = [f"c{i}" for i in range(len(df.columns))]  # mapInArrow would take a dot in a name for a path
            put_partition = make_put_partition(lease.socket_path, lease.exchange, CHUNK_BYTES, _package_path())
            with _batch_rows(session):
                infos = [row.asDict() for row in df.toDF(*names).mapInArrow(put_partition, CHUNK_COLUMNS).collect()]
    except Exception as error:
        known = _unwrapped(error)
        if known is error:
            raise
        raise known from None
    here = socket.gethostname()
    elsewhere = sorted({info["host"] for info in infos} - {here})
    if elsewhere:
        raise errors.UnsupportedError(f"Spark computed rows on {', '.join(elsewhere)}, but this process is on {here}: "
                                      "chunks are read on the node that made them")
    return [(info["chunk"], info["rows"], info["bytes"]) for info in infos]


def _java(session, name):
    """A class of Isthmus' jar, where the session is classic and its JVM has the jar."""
    if not is_classic(session):
        return None
    from py4j.java_gateway import JavaClass

    found = getattr(session._jvm.io.isthmus.spark, name)
    return found if isinstance(found, JavaClass) else None


def _unwrapped(error):
    """The IsthmusError that a Spark task met, in its own words; other errors as they are."""
    found = re.findall(r"isthmus\.errors\.(\w+): (.+)", str(error))
    kind = getattr(errors, found[-1][0], None) if found else None
    return kind(found[-1][1].strip()) if kind else error


def _package_path():
    """The folder that holds the isthmus package, for Python workers of the same node that do not find it themselves."""
    return str(pathlib.Path(__file__).resolve().parent.parent)


def make_put_partition(socket_path, exchange, chunk_bytes, package_path):
    """The function that Spark's Python workers run; made here so that it is pickled with all it needs."""

    def put_partition(batches):
        import socket
        import sys

        import pyarrow as pa

        try:
            from isthmus import native
        except ImportError:
            sys.path.append(package_path)
            from isthmus import native

        batches = iter(batches)

        def one_chunk(batch):
            size = 0
            while batch is not None:
                yield batch
                size += batch.nbytes
                batch = next(batches, None) if size < chunk_bytes else None

        client = native.client(socket_path)
        for first in batches:
            if first.num_rows == 0:
                continue
            reader = pa.RecordBatchReader.from_batches(first.schema, one_chunk(first))
            chunk = client.put(exchange, reader)
            yield pa.RecordBatch.from_pydict({
                "chunk": [chunk.id], "exchange": [chunk.exchange], "rows": [chunk.rows], "bytes": [chunk.bytes],
                "host": [socket.gethostname()]})

    return put_partition


_raised = weakref.WeakKeyDictionary()  # session -> [queries under way, the setting before]
_raised_lock = threading.Lock()


@contextlib.contextmanager
def _batch_rows(session):
    """Large Arrow batches for our queries; after the last of them the session's setting is what it was."""
    with _raised_lock:
        state = _raised.setdefault(session, [0, None])
        if state[0] == 0:
            state[1] = session.conf.get(_BATCH_CONF, None)
            session.conf.set(_BATCH_CONF, str(BATCH_ROWS))
        state[0] += 1
    try:
        yield
    finally:
        with _raised_lock:
            state[0] -= 1
            if state[0] == 0:
                session.conf.unset(_BATCH_CONF) if state[1] is None else session.conf.set(_BATCH_CONF, state[1])


def read_chunk(socket_path, chunk, names):
    """The rows of a chunk as one table over the shared memory, under the DataFrame's names, timestamps in UTC."""
    reader = _client_for_chunks(socket_path).get(chunk)
    schema = ray_schema(reader.schema, names)
    yield pa.Table.from_batches([relabel(batch, schema) for batch in reader], schema)


def _client_for_chunks(socket_path):
    try:
        return native.client(socket_path)
    except errors.NotFoundError as error:
        raise errors.NotFoundError(f"the rows from Spark are gone with the node daemon that held them: {error}") from None


def ray_schema(schema, names=None):
    """A schema as Ray gets it: zones of timestamps named UTC (instants stay what they are), every field nullable (what an
    expression cannot return in Spark is no promise to those who write it to a table). The layout is the same."""
    return pa.schema([_ray_field(field).with_name(name) for field, name in zip(schema, names or schema.names)])


def _ray_field(field):
    return pa.field(field.name, _ray_type(field.type))


def _ray_type(type):
    if pa.types.is_timestamp(type):
        return pa.timestamp(type.unit, "UTC") if type.tz else type
    if pa.types.is_struct(type):
        return pa.struct([_ray_field(field) for field in type])
    if pa.types.is_map(type):
        return pa.map_(_ray_type(type.key_type), _ray_field(type.item_field))
    if pa.types.is_list(type):
        return pa.list_(_ray_field(type.value_field))
    if pa.types.is_large_list(type):
        return pa.large_list(_ray_field(type.value_field))
    return type


def relabel(batch, schema):
    """The same buffers under a schema of the same layout."""
    if batch.schema.equals(schema):
        return batch
    array = native.ffi.new("struct ArrowArray *")
    batch._export_to_c(native.address(array))
    return pa.RecordBatch._import_from_c(native.address(array), schema)


def inputs_of(df):
    """The tables that a DataFrame reads, from Spark's own analysis of it."""
    plans = _java(df.sparkSession, "Plans")
    if plans is not None:
        return [openlineage.Dataset(item["name"] or item["location"], item["version"])
                for item in json.loads(plans.inputs(df._jdf.queryExecution()))]
    # A Connect session tells its analysis as text; tables of catalogs stand in it by their full names.
    part = r"(?:`[^`]+`|[\w-]+)"
    names = re.findall(rf"SubqueryAlias ({part}\.{part}\.{part})$", df._explain_string(extended=True), re.MULTILINE)
    return [openlineage.Dataset(name.replace("`", "")) for name in dict.fromkeys(names)
            if not name.startswith("spark_catalog.")]


# ---- Ray to Spark ----------------------------------------------------------------------------------------------------


def from_dataset(dataset, spark):
    """What Dataset.to_spark does: Ray's workers put the rows into the exchange, Spark's tasks read them there.

    The rows stay in the node daemon's memory until release(df), or the end of the session.
    """
    from isthmus import ray as isthmus_ray
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    base = dataset.schema()
    if base is None:
        raise errors.BadInputError("the dataset is empty and has no schema: Spark cannot tell its columns")
    spark_schema = from_arrow_schema(isthmus_ray._arrow_schema(base))
    target = to_arrow_schema(spark_schema, timezone="UTC")
    lease = Lease.create()
    chunks = isthmus_ray.put_chunks(dataset, lease, target)
    # One row per chunk tells a task which chunk to read.
    fetch = make_fetch(lease.socket_path, chunks, _package_path())
    df = spark.range(0, len(chunks), 1, max(1, len(chunks))).mapInArrow(fetch, spark_schema)
    df._isthmus_lease = lease
    _leases.setdefault(spark, []).append(lease)
    return df


def make_fetch(socket_path, chunks, package_path):
    def fetch(batches):
        import sys

        try:
            from isthmus import native
        except ImportError:
            sys.path.append(package_path)
            from isthmus import native

        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from native.client(socket_path).get(chunks[index])

    return fetch


_leases = weakref.WeakKeyDictionary()  # session -> leases of the DataFrames made in it


def release(df):
    """Free the rows behind a DataFrame that Dataset.to_spark made; neither it nor what was made from it works after that."""
    df._isthmus_lease.release()
