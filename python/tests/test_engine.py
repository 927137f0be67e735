"""A worker of the embedded engine, by its channel."""

import os
import time

import pyarrow as pa
import pytest

import isthmus
from conftest import make_rows
from engine_driver import Failed, Worker


@pytest.fixture(scope="module")
def worker(schema):
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def small(schema):
    """main.tests.small: ten numbers and words."""
    isthmus.write_deltalake("main.tests.small", pa.table({"id": range(10), "word": [f"w{i}" for i in range(10)]}))
    isthmus.write_deltalake("main.tests.small", pa.table({"id": [10], "word": pa.array([None], pa.string())}))
    return "main.tests.small"


def test_engine__selects_rows_of_a_table(worker, small):
    assert worker.ready["engine"] == "duckdb"
    answer = worker.run("SELECT * FROM small WHERE id >= 9 ORDER BY id")
    assert answer.rows() == [(9, "w9"), (10, None)]
    assert answer.names == ["id", "word"] and answer.types == ["BIGINT", "STRING"]
    assert answer.done["kind"] == "SELECT" and answer.done["lineage"]["inputs"] == [small]
    assert worker.rows("SELECT count(*) FROM main.tests.small") == [(11,)]
    assert worker.rows("SELECT tests.small.id FROM tests.small s JOIN small USING (id) WHERE s.id = 3") == [(3,)]


def test_engine__sees_new_versions_and_travels_to_old_ones(worker, small):
    assert worker.rows("SELECT count(*) FROM small VERSION AS OF 0") == [(10,)]
    assert worker.rows("SELECT count(*) FROM small@v0 s") == [(10,)]
    assert worker.rows("SELECT count(*) FROM small TIMESTAMP AS OF current_timestamp()") == [(11,)]
    isthmus.write_deltalake("main.tests.grows", {"x": [1]})
    assert worker.rows("SELECT sum(x) FROM grows") == [(1,)]
    isthmus.write_deltalake("main.tests.grows", {"x": [2]})
    assert worker.rows("SELECT sum(x) FROM grows") == [(3,)]


def test_engine__formats(worker, small):
    sql = "SELECT id, word, id / 4 AS q FROM small WHERE id > 8 ORDER BY id"
    assert worker.run(sql, format="JSON_ARRAY").json() == [["9", "w9", "2.25"], ["10", None, "2.5"]]
    assert worker.run(sql, format="CSV").text() == "id,word,q\r\n9,w9,2.25\r\n10,null,2.5\r\n"
    (rows, data), = worker.run(sql, compression="LZ4_FRAME").chunks
    with pa.CompressedInputStream(pa.BufferReader(data), "lz4") as stream:
        assert pa.ipc.open_stream(stream).read_all().num_rows == rows == 2


def test_engine__chunks_and_limits(worker):
    answer = worker.run("SELECT id, repeat('x', 100) FROM range(100000)", chunk_bytes=1 << 20)
    assert len(answer.chunks) in (11, 12)
    assert answer.done == {"type": "done", "rows": 100000, "truncated": False, "kind": "SELECT",
                           "lineage": {"inputs": []}}
    assert answer.table()["id"].to_pylist() == list(range(100000))
    answer = worker.run("SELECT id FROM range(100000)", row_limit=10)
    assert answer.done["rows"] == 10 and answer.done["truncated"]
    assert not worker.run("SELECT id FROM range(10)", row_limit=10).done["truncated"]
    answer = worker.run("SELECT id FROM range(100000)", byte_limit=8000)
    assert answer.done["rows"] == 1000 and answer.done["truncated"]
    with pytest.raises(Failed, match="EXTERNAL_LINKS"):
        worker.run("SELECT id FROM range(100000)", inline_limit=8000)
    answer = worker.run("SELECT 1 AS one WHERE 1 = 0")
    assert answer.chunks == [] and answer.names == ["one"]


def test_engine__parameters(worker, small):
    parameters = [{"name": "low", "value": "9", "type": "BIGINT"}, {"name": "word", "value": "w'9"}, {"name": "none"}]
    assert worker.rows("SELECT id, :word, :none FROM small WHERE id = :low", parameters=parameters) == [(9, "w'9", None)]
    with pytest.raises(Failed, match=r"\[UNBOUND_SQL_PARAMETER\].*absent.*pos 9"):
        worker.run("SELECT :absent")
    with pytest.raises(Failed, match="not a type"):
        worker.run("SELECT :x", parameters=[{"name": "x", "value": "1", "type": "NUMBERISH"}])
    with pytest.raises(Failed, match="CAST_INVALID_INPUT"):
        worker.run("SELECT :x", parameters=[{"name": "x", "value": "one", "type": "INT"}])


BAD = [
    ("SELEC 1", "42601", 1, 7),
    ("SELECT 1 +", "42601", 1, 10),
    ("SELECT (1", "42601", None, None),
    ("", "42617", None, None),
    ("SELECT 1; SELECT 2", "42601", None, None),
    ("SELECT *\nFROM absent", "42P01", 2, 6),
    ("SELECT\n  nothing FROM small", "42703", 2, 3),
    ("SELECT no_such_function(1)", "42883", 1, 8),
    ("SELECT CAST('abc' AS INT)", "22018", None, None),
    ("SELECT 9223372036854775807 + id FROM small", "22003", None, None),
    ("SELECT 1 % 0", "22012", None, None),
    ("SELECT word, count(*) FROM small", "42000", None, None),
    ("OPTIMIZE small", "0A000", None, None),
    ("SELECT * FROM small VERSION AS OF 77", "58030", None, None),
    ("SELECT * FROM small TIMESTAMP AS OF 'yesterday'", "42000", None, None),
]


@pytest.mark.parametrize("sql, state, line, position", BAD, ids=[sql for sql, *_ in BAD])
def test_engine__bad_sql(worker, small, sql, state, line, position):
    with pytest.raises(Failed) as failed:
        worker.run(sql)
    frame = failed.value.frame
    assert frame["error_code"] == "BAD_REQUEST" and frame["message"].startswith("[")
    assert frame.get("sql_state") == state, frame
    assert "isthmus 0" not in frame["message"] and "Traceback" not in frame["message"]
    if line:
        assert (frame["line"], frame["position"]) == (line, position), frame
    assert worker.rows("SELECT 1") == [(1,)]


def test_engine__cancel(worker):
    worker.execute("SELECT sum(a.id * b.id) FROM range(100000000) a, range(100000000) b")
    time.sleep(0.3)
    begun = time.monotonic()
    worker.cancel()
    with pytest.raises(Failed, match="cancelled"):
        worker.answer()
    assert time.monotonic() - begun < 1.5
    worker.execute("SELECT id FROM range(10000000000)")
    worker.cancel()  # before anything begins, or in mid-result
    with pytest.raises(Failed, match="cancelled"):
        worker.answer()
    assert worker.rows("SELECT 1") == [(1,)]


def test_engine__ends_with_its_server(schema):
    worker = Worker()
    worker.execute("SELECT sum(a.id * b.id) FROM range(100000000) a, range(100000000) b")
    time.sleep(0.1)
    worker.close()
    assert worker.process.returncode == 0


def test_engine__results_leave_nothing(worker):
    worker.run("SELECT id FROM range(100000)")
    assert [name for name in os.listdir(worker.folder.name) if not name.startswith("engine-")] == []
