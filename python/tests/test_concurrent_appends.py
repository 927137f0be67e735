"""Many tasks append to one table: all land, in few versions, each once."""

import os
import subprocess
import sys

import deltalake
import pyarrow as pa
import pytest

import isthmus
from isthmus import native


def test_a_hundred_ray_tasks(cluster, spark, name):
    import ray

    isthmus.write_deltalake(name, {"task": pa.array([-1], pa.int64()), "n": pa.array([0], pa.int64())})

    @ray.remote(num_cpus=0.1, max_retries=0)
    def append(i):
        import isthmus

        return isthmus.write_deltalake(name, {"task": [i] * 10, "n": list(range(10))}, mode="append").version

    versions = ray.get([append.remote(i) for i in range(100)])
    snapshot = isthmus.Table(name).snapshot()
    assert snapshot.rows == 1001 and max(versions) == snapshot.version
    assert snapshot.version <= 100  # those that met in the daemon share a version
    got = deltalake.DeltaTable(snapshot.uri).to_pyarrow_table().group_by("task").aggregate([("n", "sum")])
    assert {(row["task"], row["n_sum"]) for row in got.to_pylist()} == {(-1, 0)} | {(i, 45) for i in range(100)}
    assert spark.table(name).count() == 1001


def test_processes_that_make_the_table_at_once(name):
    """None of them finds it; one makes it, and the rows of all the others end up in it."""
    script = f"import isthmus, sys; isthmus.write_deltalake({name!r}, {{'i': [int(sys.argv[1])]}})"
    writers = [subprocess.Popen([sys.executable, "-c", script, str(i)]) for i in range(8)]
    assert [writer.wait(60) for writer in writers] == [0] * 8
    table = isthmus.Table(name)
    assert sorted(table.to_arrow()["i"].to_pylist()) == list(range(8))
    for way in ("append", "overwrite"):  # and one whose table was made by another between its look and its commit
        place = isthmus.catalog.Place(None, f"{name}_{way}")
        isthmus.write_deltalake(place.name, {"i": [1]})
        isthmus.write_deltalake(place, {"i": [2]}, mode=way)
        assert sorted(isthmus.Table(place.name).to_arrow()["i"].to_pylist()) == ([1, 2] if way == "append" else [2])


def test_a_retried_task_writes_once(cluster, path):
    import ray

    isthmus.write_deltalake(path, {"task": [-1]})
    marks = f"{path}-marks"
    os.makedirs(marks)

    @ray.remote(num_cpus=0.2, max_retries=2)
    def append(i):
        import os
        import signal

        import isthmus

        isthmus.write_deltalake(path, {"task": [i]})
        isthmus.write_deltalake(path, {"task": [i]})  # twice on purpose: two calls are two appends
        mark = f"{marks}/{i}"
        if not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)  # after the commit, before Ray hears of it
        return i

    assert sorted(ray.get([append.remote(i) for i in range(6)])) == list(range(6))
    counts = deltalake.DeltaTable(path).to_pyarrow_table()["task"].value_counts().to_pylist()
    assert {c["values"]: c["counts"] for c in counts} == {-1: 1, **{i: 2 for i in range(6)}}
    table = deltalake.DeltaTable(path)
    on_disk = {file for file in os.listdir(path) if file.endswith(".parquet")}
    assert on_disk == {os.path.basename(uri) for uri in table.file_uris()}  # what the retries wrote is gone


def test_threads_share_a_version(services, path):
    """Appends that wait at the same time are one version."""
    import threading

    isthmus.write_deltalake(path, {"i": [-1]})
    before = isthmus.daemon_counters()
    threads = [threading.Thread(target=isthmus.write_deltalake, args=(path, {"i": [i]})) for i in range(40)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    snapshot = isthmus.Table(path).snapshot()
    after = isthmus.daemon_counters()
    assert snapshot.rows == 41
    assert after["commit_members"] - before["commit_members"] == 40
    assert after["commits"] - before["commits"] == snapshot.version < 40


def test_a_member_that_does_not_fit_fails_alone(services, path):
    """While appends go on, one brings a schema that the table no longer has; only that one fails."""
    isthmus.write_deltalake(path, {"a": [1], "b": [1]})
    store = native.Store(path)
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    stale = native.Transaction(store, schema, app_id="stale")
    context = stale.write_context()
    with native.Writer(store, context) as writer:
        writer.write(pa.table({"a": [2], "b": [2]}, schema=schema))
        actions = writer.finish()
    isthmus.write_deltalake(path, {"b": ["text now"]}, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(isthmus.ConflictError):
        native.client().commit(store, context, actions, "stale")
    isthmus.write_deltalake(path, {"b": ["fits"]})
    assert sorted(isthmus.Table(path).to_arrow()["b"].to_pylist()) == ["fits", "text now"]


def test_the_same_key_from_two_processes_is_written_once(cluster, path):
    import ray

    isthmus.write_deltalake(path, {"i": [-1]})

    @ray.remote(num_cpus=0.2)
    def append():
        import isthmus

        return isthmus.write_deltalake(path, {"i": [1]}, app_id="one-key").already

    assert sorted(ray.get([append.remote() for _ in range(8)])) == [False] + [True] * 7
    assert isthmus.Table(path).snapshot().rows == 2


def test_with_appends_of_others(spark, path):
    """delta-rs appends to the same table at the same time."""
    import threading

    isthmus.write_deltalake(path, pa.table({"i": pa.array([-1], pa.int64())}))

    def theirs():
        for i in range(10):
            deltalake.write_deltalake(path, pa.table({"i": pa.array([1000 + i], pa.int64())}), mode="append",
                                      commit_properties=deltalake.CommitProperties(max_commit_retries=200))

    threads = [threading.Thread(target=theirs)]
    threads += [threading.Thread(target=isthmus.write_deltalake, args=(path, {"i": [i]})) for i in range(10)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(deltalake.DeltaTable(path).to_pyarrow_table()["i"].to_pylist()) == [
        -1, *range(10), *range(1000, 1010)]
    assert spark.read.format("delta").load(path).count() == 21
