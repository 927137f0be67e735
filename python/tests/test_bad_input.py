"""What goes wrong is told by one clear error that names the table and the cause; nothing half-written becomes visible; and
the table is as readable as before, for Spark and delta-rs too."""

import contextlib
import hashlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import textwrap
import time

import deltalake
import pyarrow as pa
import pytest

import isthmus
from isthmus import errors, native, services


@contextlib.contextmanager
def refused(kind, *words):
    """The block raises one clear error of a kind, in one line, in which all the words are."""
    with pytest.raises(kind) as caught:
        yield caught
    message = str(caught.value)
    assert isinstance(caught.value, errors.IsthmusError), repr(caught.value)
    assert "\n" not in message, message
    for word in words:
        assert word.lower() in message.lower(), f"{word!r} is not in: {message}"


def files_of(path):
    return {str(file) for file in pathlib.Path(path).rglob("*") if file.is_file()}


@pytest.fixture
def table(path):
    """A table of three rows at a path."""
    isthmus.write_deltalake(path, {"id": [1, 2, 3], "text": ["a", "b", "c"]})
    return path


@pytest.fixture
def unharmed(table, spark):
    """Checks after the test that the table has the rows and the files that it had before."""
    before = files_of(table)
    yield
    assert files_of(table) == before
    assert isthmus.Table(table).snapshot().rows == 3
    assert deltalake.DeltaTable(table).to_pyarrow_table().num_rows == 3
    assert spark.read.format("delta").load(table).count() == 3


# ---- names and places ------------------------------------------------------------------------------------------------


def test_missing_table_by_path(path):
    for action in (lambda: isthmus.Table(path).snapshot(), lambda: isthmus.Table(path).to_arrow(),
                   lambda: isthmus.Table(path).history(), lambda: isthmus.read_delta(path)):
        with refused(errors.NotFoundError, path):
            action()
    assert not os.path.exists(path)


def test_missing_table_by_name(schema):
    for action in (isthmus.Table, isthmus.read_delta):
        with refused(errors.NotFoundError, f"{schema}.nothing"):
            action(f"{schema}.nothing")


def test_missing_version(table):
    with refused(errors.NotFoundError, table, "7"):
        isthmus.Table(table).snapshot(version=7)


def test_missing_column(table):
    with refused(errors.BadInputError, table, "nosuch"):
        isthmus.Table(table).to_arrow(columns=["id", "nosuch"])


@pytest.mark.parametrize("name", ["scores", "main.demo.scores.extra", "main..scores", "", "main.tests."])
def test_wrong_number_of_name_parts(cluster, name):
    executed = []
    ds = cluster.data.range(3).map_batches(lambda batch: executed.append(1) or batch)
    with refused(errors.BadInputError, repr(name), "catalog.schema.table"):
        ds.write_databricks_table(name)
    for action in (lambda: isthmus.write_deltalake(name, {"id": [1]}), lambda: isthmus.read_delta(name)):
        with refused(errors.BadInputError, repr(name), "catalog.schema.table"):
            action()


@pytest.mark.parametrize("name", ["main.nosuchschema.t", "nosuchcatalog.tests.t"])
def test_missing_schema_or_catalog(cluster, name, tmp_path):
    """It is told before the dataset is executed."""
    mark = tmp_path / "executed"

    def touch(batch):
        mark.touch()
        return batch

    with refused(errors.NotFoundError, "nosuch"):
        cluster.data.range(3).map_batches(touch).write_databricks_table(name)
    with refused(errors.NotFoundError, "nosuch"):
        isthmus.write_deltalake(name, {"id": [1]})
    assert not mark.exists()


def test_unknown_mode(cluster, name, path):
    with refused(errors.BadInputError, "upsert", "append"):
        cluster.data.range(3).write_databricks_table(name, mode="upsert")
    with refused(errors.BadInputError, "upsert", "append"):
        isthmus.write_deltalake(path, {"id": [1]}, mode="upsert")


# ---- schemas ---------------------------------------------------------------------------------------------------------


def test_incompatible_types(table, unharmed):
    with refused(errors.BadInputError, table, "id", "string"):
        isthmus.write_deltalake(table, {"id": ["one"], "text": ["x"]})
    with refused(errors.BadInputError, table, "text"):
        isthmus.write_deltalake(table, {"id": [1], "text": [{"a": 1}]}, schema_mode="merge")


def test_extra_columns_without_merge(table, unharmed):
    with refused(errors.BadInputError, table, "surplus"):
        isthmus.write_deltalake(table, {"id": [4], "text": ["d"], "surplus": [1]})


def test_incompatible_dataset(cluster, name):
    isthmus.write_deltalake(name, {"id": [1, 2, 3]})
    uri = isthmus.Table(name).uri.removeprefix("file://")
    before = files_of(uri)
    data = cluster.data
    for ds in (data.from_items([{"id": "text"}]), data.range(3).map_batches(lambda b: {"id": b["id"].astype(str)})):
        with refused(errors.BadInputError, name, "id"):
            ds.write_databricks_table(name)
        with refused(errors.BadInputError, name, "id"):
            ds.write_databricks_table(name, mergeSchema=True)
    with refused(errors.BadInputError, name, "surplus"):
        data.from_items([{"id": 1, "surplus": 2}]).write_databricks_table(name)
    assert files_of(uri) == before and isthmus.Table(name).snapshot().version == 0


def test_value_that_does_not_fit(path, spark):
    spark.sql(f"CREATE TABLE delta.`{path}` (id INT NOT NULL, small TINYINT) USING delta")
    before = files_of(path)
    with refused(errors.BadInputError, path, "small"):
        isthmus.write_deltalake(path, pa.table({"id": pa.array([1], pa.int32()), "small": pa.array([1000], pa.int64())}))
    with refused(errors.BadInputError, path, "id"):
        isthmus.write_deltalake(path, pa.table({"id": pa.array([None], pa.int32()), "small": pa.array([1], pa.int8())}))
    assert files_of(path) == before and spark.read.format("delta").load(path).count() == 0


def test_type_that_delta_does_not_have(path):
    with refused(errors.UnsupportedError, path, "span"):
        isthmus.write_deltalake(path, {"id": [1], "span": pa.array([1], pa.duration("us"))})
    assert not files_of(path)


def test_partition_columns_that_disagree(table, unharmed):
    with refused(errors.BadInputError, table, "partition"):
        isthmus.write_deltalake(table, {"id": [1], "text": ["x"]}, partition_by=["text"])


# ---- logs and files --------------------------------------------------------------------------------------------------


def commit_file(table, version):
    return pathlib.Path(table, "_delta_log", f"{version:020}.json")


def test_unsupported_table_feature(table):
    commit_file(table, 1).write_text(json.dumps({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["quantumFiles"],
        "writerFeatures": ["quantumFiles"]}}) + "\n")
    before = files_of(table)
    for action in (isthmus.Table(table).to_arrow, lambda: isthmus.write_deltalake(table, {"id": [4]})):
        with refused(errors.UnsupportedError, table, "quantumFiles"):
            action()
    assert files_of(table) == before
    assert isthmus.Table(table).snapshot(version=0).rows == 3


def test_unsupported_writer_feature(table, spark):
    """Readable, but not writable."""
    commit_file(table, 1).write_text(json.dumps({"protocol": {
        "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["quantumChecks"]}}) + "\n")
    before = files_of(table)
    with refused(errors.UnsupportedError, table, "quantumChecks"):
        isthmus.write_deltalake(table, {"id": [4]})
    assert files_of(table) == before and isthmus.Table(table).snapshot().rows == 3


@pytest.mark.parametrize("text", ['{"add":{"path":"x.parquet","partitionValues":{},"si', '{"add": 12}\n', "\0\0\0\0", "[1]\n"],
                         ids=["truncated", "wrong", "zeros", "array"])
def test_corrupt_commit(table, text):
    commit_file(table, 1).write_text(text)
    before = files_of(table)
    for action in (isthmus.Table(table).to_arrow, lambda: isthmus.write_deltalake(table, {"id": [4]})):
        with refused(errors.BadInputError, table, commit_file(table, 1).name):
            action()
    assert files_of(table) == before
    assert deltalake.DeltaTable(table, version=0).to_pyarrow_table().num_rows == 3


def test_missing_commit_in_the_middle(table):
    isthmus.write_deltalake(table, {"id": [4]})
    isthmus.write_deltalake(table, {"id": [5]})
    commit_file(table, 1).unlink()
    with refused(errors.BadInputError, table, "1"):
        isthmus.Table(table).to_arrow()


def test_corrupt_checkpoint(table):
    for i in range(12):
        isthmus.write_deltalake(table, {"id": [i]})
    checkpoint = next(pathlib.Path(table, "_delta_log").glob("*.checkpoint*.parquet"))
    whole = checkpoint.read_bytes()
    for version in range(10):
        commit_file(table, version).unlink()  # only the checkpoint knows the first versions
    for damaged in (whole[: len(whole) // 2], whole[:-8] + b"\xff\xff\xff\x7fPAR1", b""):
        checkpoint.write_bytes(damaged)
        with refused(errors.BadInputError, table, checkpoint.name):
            isthmus.Table(table).to_arrow()
        with refused(errors.BadInputError, table, checkpoint.name):
            isthmus.write_deltalake(table, {"id": [99]})
    checkpoint.write_bytes(whole)
    assert isthmus.Table(table).snapshot().rows == 15
    assert deltalake.DeltaTable(table).to_pyarrow_table().num_rows == 15


def test_corrupt_parquet_file(cluster, table):
    isthmus.write_deltalake(table, {"id": [4], "text": ["d"]})
    victim = pathlib.Path(sorted(deltalake.DeltaTable(table).file_uris())[0])
    whole = victim.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"PAR1" + b"\0" * 100, b""):
        victim.write_bytes(damaged)
        with refused(errors.BadInputError, table, victim.name):
            isthmus.Table(table).to_arrow()
        with pytest.raises(Exception, match=victim.name):
            isthmus.read_delta(table).materialize()
    victim.unlink()
    with refused(errors.NotFoundError, table, victim.name):
        isthmus.Table(table).to_arrow()
    victim.write_bytes(whole)
    assert isthmus.Table(table).snapshot().rows == isthmus.Table(table).to_arrow().num_rows == 4


# ---- the daemon ------------------------------------------------------------------------------------------------------


@pytest.fixture
def other_daemon(monkeypatch):
    """A daemon of one's own, to be killed."""
    import tempfile

    home = tempfile.mkdtemp(prefix="ist-", dir="/tmp")
    monkeypatch.setenv("ISTHMUS_SOCKET", f"{home}/d.sock")
    process = subprocess.Popen([services.binary(), "daemon"], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not os.path.exists(f"{home}/d.sock"):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def test_no_daemon(session, cluster, monkeypatch, tmp_path):
    import ray

    monkeypatch.setenv("ISTHMUS_SOCKET", str(tmp_path / "none.sock"))
    with refused(errors.NotFoundError, "isthmus daemon", "none.sock"):
        ray.data.from_spark(session.range(10))
    with refused(errors.NotFoundError, "isthmus daemon"):
        ray.data.range(10).to_spark(session)
    with refused(errors.NotFoundError, "isthmus daemon"):
        isthmus.daemon_counters()


def test_daemon_killed_while_a_chunk_is_filled(other_daemon):
    client = native.Client(os.environ["ISTHMUS_SOCKET"])
    exchange = client.create()

    def batches():
        for i in range(100):
            if i == 50:
                other_daemon.kill()
                other_daemon.wait()
            yield pa.record_batch({"n": pa.array([i] * 100_000, pa.int64())})

    reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    with refused(errors.RetryableError, "daemon"):
        client.put(exchange, reader)
    with refused(errors.IsthmusError, "daemon"):
        client.counters()


def test_daemon_killed_while_spark_fills_chunks(session, cluster, other_daemon):
    import ray

    def kill(batches):
        import os
        import signal

        for batch in batches:
            if batch.column(0)[0].as_py() >= 500_000:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            yield batch

    pid = other_daemon.pid
    df = session.range(0, 1_000_000, 1, 2).mapInArrow(kill, "id long")
    with refused(errors.IsthmusError, "daemon"):
        ray.data.from_spark(df)


def test_daemon_killed_before_ray_reads(session, cluster, other_daemon):
    import ray

    ds = ray.data.from_spark(session.range(1000))
    other_daemon.kill()
    other_daemon.wait()
    with pytest.raises(Exception, match="daemon"):
        ds.materialize()


def test_daemon_killed_before_a_commit(other_daemon, table, spark):
    """An append goes on by itself, once."""
    native.client()  # connected
    other_daemon.kill()
    other_daemon.wait()
    isthmus.write_deltalake(table, {"id": [4]})
    assert isthmus.Table(table).snapshot().rows == 4 and spark.read.format("delta").load(table).count() == 4


def test_daemon_killed_after_a_commit(table, spark, monkeypatch):
    """The daemon commits and dies before it answers: the second try finds the rows and leaves their files alone."""
    commit = native.Client.commit

    def commit_and_die(self, *args):
        commit(self, *args)
        raise errors.RetryableError("the daemon went away")

    monkeypatch.setattr(native.Client, "commit", commit_and_die)
    assert isthmus.write_deltalake(table, {"id": [4]}).already
    assert isthmus.Table(table).to_arrow().num_rows == 4
    assert spark.read.format("delta").load(table).count() == 4


def test_daemon_killed_during_commits(other_daemon, table, spark):
    """Appends of many threads while the daemon dies: each is there once."""
    import threading

    failures = []

    def append(i):
        try:
            isthmus.write_deltalake(table, {"id": [i]})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=append, args=(100 + i,)) for i in range(30)]
    [t.start() for t in threads]
    time.sleep(0.05)
    other_daemon.kill()
    [t.join() for t in threads]
    assert failures == []
    ids = sorted(deltalake.DeltaTable(table).to_pyarrow_table()["id"].to_pylist())
    assert ids == [1, 2, 3, *range(100, 130)]
    assert spark.read.format("delta").load(table).count() == 33


# ---- places that cannot be written -----------------------------------------------------------------------------------


def mount(folder, *options):
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    if not mount(folder, "size=1m"):
        pytest.skip("mounting is not allowed here; see test_file_size_limit")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


BIG = pa.table({"id": pa.array(range(200_000), pa.int64()),
                "text": [hashlib.md5(str(i).encode()).hexdigest() for i in range(200_000)]})


def test_disk_full(spark, small_disk):
    table = str(small_disk / "table")
    isthmus.write_deltalake(table, BIG.slice(0, 10))
    before = files_of(table)
    with refused(errors.StorageError, table, "no space left"):
        isthmus.write_deltalake(table, BIG)
    assert files_of(table) == before  # nothing of it was left behind
    assert isthmus.Table(table).snapshot().rows == 10
    assert deltalake.DeltaTable(table).to_pyarrow_table().num_rows == 10
    assert spark.read.format("delta").load(table).count() == 10


def test_disk_full_in_a_job(cluster, spark, small_disk, schema):
    name = f"{schema}.small"
    location = str(small_disk / "table")
    spark.sql(f"CREATE TABLE {name} (id LONG, text STRING) USING delta LOCATION '{location}'")
    before = files_of(location)
    with refused(errors.StorageError, name, "no space left"):
        cluster.data.from_arrow(BIG).write_databricks_table(name)
    assert files_of(location) == before and spark.table(name).count() == 0
    spark.sql(f"DROP TABLE {name}")


def test_disk_full_at_the_commit(spark, small_disk):
    """The rows fit and the commit does not."""
    table = str(small_disk / "table")
    isthmus.write_deltalake(table, BIG.slice(0, 10))
    filler = small_disk / "filler"
    store = native.Store(table)
    transaction = native.Transaction(store, BIG.schema, app_id="full")
    context = transaction.write_context()
    with native.Writer(store, context) as writer:
        writer.write(BIG.slice(0, 10))
        actions = writer.finish()
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    for commit in (lambda: native.client().commit(store, context, actions, "full"),
                   lambda: native.commit_direct(store, context, actions, "full")):
        with refused(errors.StorageError, "no space left"):
            commit()
    filler.unlink()
    assert isthmus.Table(table).snapshot().rows == 10 and spark.read.format("delta").load(table).count() == 10
    assert native.client().commit(store, context, actions, "full").version == 1
    assert spark.read.format("delta").load(table).count() == 20


def run_limited(code, table, **limits):
    """Run code in a process of its own, with `table` in it; its last line of output."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), table], capture_output=True, text=True, **limits)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_file_size_limit(table, unharmed):
    """Where nothing can be mounted this stands for a full disk: writes fail past a size."""
    code = """
        import sys, isthmus, pyarrow as pa
        try:
            isthmus.write_deltalake(sys.argv[1], {"id": list(range(200000)), "text": [f"{i * 7919:x}" for i in range(200000)]})
        except isthmus.StorageError as error:
            print("refused:", error)
    """

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    said = run_limited(code, table, preexec_fn=limit)
    assert said.startswith("refused:") and table in said and "too large" in said.lower()


def test_read_only_location(table, unharmed):
    code = """
        import sys, isthmus
        assert isthmus.Table(sys.argv[1]).snapshot().rows == 3
        try:
            isthmus.write_deltalake(sys.argv[1], {"id": [4]})
        except isthmus.StorageError as error:
            print("refused:", error)
    """
    folders = [pathlib.Path(table), pathlib.Path(table, "_delta_log")]
    if os.getuid() == 0 and subprocess.run(["mount", "--bind", table, table], capture_output=True).returncode == 0:
        subprocess.run(["mount", "-o", "remount,bind,ro", table], check=True)
        try:
            said = run_limited(code, table)
        finally:
            subprocess.run(["umount", "-l", table], check=True)
        assert "read-only" in said.lower()
    elif os.getuid() != 0:
        [folder.chmod(0o555) for folder in folders]
        try:
            said = run_limited(code, table)
        finally:
            [folder.chmod(0o755) for folder in folders]
        assert "permission denied" in said.lower()
    else:
        pytest.skip("this root user may not mount")
    assert said.startswith("refused:") and table in said
