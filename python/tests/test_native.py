"""The extension and its wrappers: errors, handles, Arrow in and out, fork."""

import os
import pickle
import subprocess
import sys
import threading

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import isthmus
from isthmus import errors, native
from isthmus._native import ffi, lib


def test_every_status_has_its_exception():
    for status in range(lib.IST_NOT_FOUND, lib.IST_INTERNAL + 1):
        err = ffi.new("ist_error *", {"status": status, "code": 5, "message": b"what", "where": b"here"})
        error = native.error_of(err)
        assert type(error) is native._ERRORS[status] and str(error) == "what [here]" and error.code == 5
    assert len(native._ERRORS) == lib.IST_INTERNAL


def test_errors_are_the_builtins_one_expects():
    with pytest.raises(FileNotFoundError):
        native.Snapshot("/nonexistent/table")
    with pytest.raises(ValueError):
        native.Store("relative/path")


def test_errors_survive_pickling():
    for kind in native._ERRORS.values():
        error = pickle.loads(pickle.dumps(kind("what", "where", 13)))
        assert type(error) is kind and str(error) == "what [where]" and error.code == 13


def test_importing_isthmus_imports_neither_ray_nor_spark():
    code = "import isthmus, sys; print([m for m in ('ray', 'pyspark', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("first", ["isthmus", "ray.data", "isthmus.ray", "isthmus; isthmus.ray", "isthmus, ray; ray.data"])
def test_ray_data_is_extended_whatever_comes_first(first):
    code = (f"import {first}\nimport isthmus, ray.data\n"
            "print(ray.data.from_spark.__module__, ray.data.Dataset.write_databricks_table.__module__)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "isthmus.ray isthmus.ray\n"


def test_a_handle_is_closed_once_and_refused_afterwards(path):
    store = native.Store(path, create=True)
    assert store.uri == f"file://{path}"
    store.close()
    store.close()
    with pytest.raises(errors.BadInputError, match="closed"):
        store.uri


TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})


@pytest.mark.parametrize("data", [
    TABLE, TABLE.to_batches()[0], TABLE.to_batches(), [TABLE.slice(0, 1), TABLE.slice(1)], TABLE.to_pandas(),
    TABLE.to_pydict(), TABLE.to_pylist(),
], ids=["table", "batch", "batches", "tables", "pandas", "dict", "rows"])
def test_rows_come_in_any_form(path, data):
    isthmus.write_deltalake(path, data)
    assert isthmus.Table(path).to_arrow().to_pydict() == TABLE.to_pydict()


def test_rows_come_in_from_readers_and_other_libraries(path):
    isthmus.write_deltalake(path, TABLE.to_reader())
    isthmus.write_deltalake(path, duckdb.sql("SELECT 4::BIGINT AS a, 'w' AS b"))
    isthmus.write_deltalake(path, isthmus.Table(path).snapshot())
    assert isthmus.Table(path).snapshot().rows == 8


def test_what_is_no_table_of_rows_is_refused(path):
    for data in (42, "text", [1, 2], None):
        with pytest.raises(errors.BadInputError, match="cannot read rows"):
            isthmus.write_deltalake(path, data)
    assert not os.path.exists(path)


def test_rows_go_out_by_the_capsule_protocol(path):
    isthmus.write_deltalake(path, TABLE)
    snapshot = native.Snapshot(path)
    assert pa.schema(snapshot) == pa.schema(snapshot.scan())
    assert pa.table(snapshot).num_rows == pa.table(snapshot.scan(["b"])).num_rows == 3
    assert pa.table(snapshot.scan(["b"])).column_names == ["b"]
    assert duckdb.from_arrow(pa.RecordBatchReader.from_stream(snapshot)).aggregate("sum(a)").fetchall() == [(6,)]


def test_a_reader_outlives_what_it_reads_from(path):
    isthmus.write_deltalake(path, TABLE)
    reader = native.Snapshot(path).scan().read()
    assert reader.read_all().num_rows == 3


def test_chunks_are_mapped_without_a_copy():
    client = native.client()
    exchange = client.create()
    table = pa.table({"n": pa.array(range(1_000_000), pa.int64())})
    chunk = client.put(exchange, table)
    assert (chunk.rows, chunk.exchange) == (1_000_000, exchange) and chunk.bytes >= table.nbytes
    before = pa.total_allocated_bytes()
    mapped = pa.table(chunk)
    assert mapped.equals(table) and pa.total_allocated_bytes() - before < 100_000
    assert pa.schema(chunk) == table.schema
    client.release(exchange)
    assert mapped.column("n")[999_999].as_py() == 999_999  # mapped memory stays
    with pytest.raises(errors.NotFoundError):
        client.get(chunk.id)


def test_a_failing_stream_seals_nothing():
    def batches():
        yield TABLE.to_batches()[0]
        raise RuntimeError("the source broke")

    client = native.client()
    exchange = client.create()
    before = client.counters()["sealed"]
    with pytest.raises(errors.IsthmusError, match="the source broke"):
        client.put(exchange, pa.RecordBatchReader.from_batches(TABLE.schema, batches()))
    assert client.counters()["sealed"] == before
    client.release(exchange)


def test_a_forked_child_opens_its_own_connection():
    client = native.client()
    exchange = client.create()
    chunk = client.put(exchange, TABLE)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                client.counters()
                said = "used the parent's connection"
            except errors.BadInputError:
                said = str(native.client().get(chunk.id).read_all().num_rows)
            os.write(write_end, said.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read_end, 100) == b"3"
    assert client.get(chunk.id).read_all().num_rows == 3  # the child's end did not close ours
    client.release(exchange)


def test_the_lock_of_python_is_free_while_the_library_works(path):
    """A thread ticks while a large table is written by another."""
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    isthmus.write_deltalake(path, pa.table({"n": pa.array(range(2_000_000), pa.int64())}))
    done.set()
    thread.join()
    assert len(ticks) > 10


def test_names_of_tables():
    from isthmus.catalog import locate, split_name, table_name

    assert table_name("a.b.c") == "a.b.c" and table_name("b.c") == "main.b.c"
    assert split_name("`x.y`.b.`c``d`", 3) == ["x.y", "b", "c`d"]
    for wrong in ("", "a", "a.b.c.d", "a..b", ".a.b", "a.b.", "a.`b.c"):
        with pytest.raises(errors.BadInputError, match="is not a name of the form"):
            table_name(wrong)
    assert locate("./t").uri == os.path.abspath("t") and locate("file:///t").uri == "file:///t"


def test_pandas_index_is_not_a_column(path):
    isthmus.write_deltalake(path, pd.DataFrame({"a": [1, 2]}, index=[7, 8]))
    assert isthmus.Table(path).to_arrow().column_names == ["a"]
