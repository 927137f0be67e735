"""Spark DataFrames into Ray and back through the exchange, for classic and Connect sessions."""

import datetime
import decimal
import gc
import pickle
import time

import pyarrow as pa
import pytest

import isthmus
from isthmus import errors, native

EVERY_TYPE = [
    "id",
    "CASE WHEN id % 5 = 0 THEN NULL ELSE id % 2 = 0 END AS flag",
    "cast(id AS tinyint) AS tiny",
    "cast(id AS smallint) AS small",
    "cast(id AS int) AS number",
    "cast(id AS float) AS single",
    "cast(id / 3 AS double) AS double",
    "cast(id / 7 AS decimal(38, 10)) AS amount",
    "CASE WHEN id % 5 = 0 THEN NULL ELSE concat('é ', id) END AS text",
    "cast(cast(id AS string) AS binary) AS data",
    "date_add(DATE'2024-02-28', cast(id AS int)) AS day",
    "timestamp_micros(1709164799999999 + id * 3600000000) AS at",
    "cast(timestamp_micros(id) AS timestamp_ntz) AS local",
    "array(id, null) AS list",
    "array(timestamp_micros(id)) AS times",
    "map(cast(id AS string), array(named_struct('x', id))) AS map",
    "named_struct('a', id, 'b', named_struct('at', timestamp_micros(id), 'c', cast(null AS string))) AS nested",
    "cast(null AS string) AS nothing",
    "cast(null AS void) AS void",
]


def test_every_type(session, cluster):
    import ray

    df = session.range(100).selectExpr(*EVERY_TYPE)
    ds = ray.data.from_spark(df, use_spark_chunk_api=True)
    assert ds.count() == 100 and ds.schema().names == df.columns
    table = pa.concat_tables(ray.get(ds.to_arrow_refs())).sort_by("id")
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    assert table.schema.field("times").type == pa.list_(pa.timestamp("us", "UTC"))
    assert table.schema.field("local").type == pa.timestamp("us")
    assert table.schema.field("amount").type == pa.decimal128(38, 10)
    assert table.schema.field("day").type == pa.date32()
    assert table.schema.field("void").type == pa.null()
    row = table.slice(6, 1).to_pylist()[0]
    utc = datetime.timezone.utc
    assert row["at"] == datetime.datetime(2024, 2, 29, 5, 59, 59, 999999, tzinfo=utc)  # the instant, not the wall clock
    assert row["local"] == session.range(1).selectExpr("cast(timestamp_micros(6) AS timestamp_ntz) AS t").first().t
    assert row["amount"] == decimal.Decimal("0.8571428571") and row["text"] == "é 6" and row["data"] == b"6"
    assert row["list"] == [6, None] and row["map"] == [("6", [{"x": 6}])]
    assert row["nested"] == {"a": 6, "b": {"at": datetime.datetime(1970, 1, 1, 0, 0, 0, 6, tzinfo=utc), "c": None}}
    assert table["text"].null_count == 20 and table["nothing"].null_count == table["void"].null_count == 100


def test_computed_dataframe_agrees_with_spark(session, cluster):
    import ray

    left = session.range(20_000).selectExpr("id", "id % 100 AS k", "rand(7) AS x")
    right = session.range(100).selectExpr("id AS k", "concat('name ', id) AS name")
    df = left.join(right, "k").groupBy("name").agg({"x": "sum", "id": "max"}).withColumnsRenamed(
        {"sum(x)": "total", "max(id)": "last"})
    ours = {row["name"]: (row["total"], row["last"]) for row in ray.data.from_spark(df).take_all()}
    assert ours == {row.name: (row.total, row.last) for row in df.collect()}


def test_both_values_of_use_spark_chunk_api(session, cluster):
    import ray

    df = session.range(10)
    for chosen in (True, False):
        assert sorted(r["id"] for r in ray.data.from_spark(df, use_spark_chunk_api=chosen).take_all()) == list(range(10))


def test_empty_dataframes(session, cluster):
    import ray

    for df in (session.range(10).where("id < 0"), session.range(0), session.createDataFrame([], "id long, s string")):
        ds = ray.data.from_spark(df)
        assert ds.count() == 0 and ds.schema().names == df.columns and ds.take_all() == []
        assert ds.map_batches(lambda batch: batch).materialize().count() == 0


def test_many_partitions(session, cluster):
    import ray

    df = session.range(0, 1000, 1, 60).where("id % 2 = 0")
    ds = ray.data.from_spark(df)
    assert ds.count() == 500
    assert ds.materialize().num_blocks() <= 8  # tiny chunks are read together
    assert sorted(r["id"] for r in ds.take_all()) == list(range(0, 1000, 2))
    assert ray.data.from_spark(df, override_num_blocks=3).materialize().num_blocks() == 3
    assert ray.data.from_spark(df, parallelism=2).materialize().num_blocks() == 2


def test_partitions_larger_than_a_chunk(session, cluster, monkeypatch):
    import ray

    monkeypatch.setattr(isthmus.spark, "CHUNK_BYTES", 1 << 20)
    before = isthmus.daemon_counters()["sealed"]
    ds = ray.data.from_spark(session.range(0, 600_000, 1, 1).selectExpr("id", "id AS b"))
    assert isthmus.daemon_counters()["sealed"] - before >= 3
    assert ds.sum("id") == 600_000 * 599_999 // 2


def test_names_with_dots_and_names_that_repeat(session, cluster):
    import ray

    ds = ray.data.from_spark(session.range(3).selectExpr("id AS `a.b`", "id AS `a b`"))
    assert ds.schema().names == ["a.b", "a b"] and ds.sum("a.b") == 3
    with pytest.raises(errors.BadInputError, match="more than one column named 'x'"):
        ray.data.from_spark(session.range(3).selectExpr("id AS x", "id AS x"))


def test_chunks_live_as_long_as_a_dataset_needs_them(session, cluster):
    import ray

    gc.collect()
    before = isthmus.daemon_counters()
    ds = ray.data.from_spark(session.range(100_000))
    derived = ds.map_batches(lambda batch: batch)
    assert isthmus.daemon_counters()["exchanges"] == before["exchanges"] + 1
    del ds
    gc.collect()
    assert derived.count() == 100_000  # the plan of what was derived holds them
    del derived
    gc.collect()
    until(lambda: isthmus.daemon_counters()["exchanges"] == before["exchanges"])
    after = isthmus.daemon_counters()
    assert after["memory_used"] == before["memory_used"]
    assert after["spill_writes"] == before["spill_writes"]  # all of it went through memory
    assert after["bytes_sealed"] - before["bytes_sealed"] >= 800_000


def until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)


def test_a_lease_travels_with_its_pickle(services):
    lease = isthmus.spark.Lease.create()
    chunk = native.client().put(lease.exchange, pa.table({"a": [1]}))
    copy = pickle.loads(pickle.dumps(lease))
    assert copy is lease  # one per process
    other = native.Client(native.default_socket())
    other.hold(lease.exchange)
    lease.release()
    assert native.client().get(chunk.id).read_all().num_rows == 1
    other.close()
    until(lambda: gone(chunk.id))


def gone(chunk):
    try:
        native.client().get(chunk)
        return False
    except errors.NotFoundError:
        return True


def test_a_task_that_is_retried_counts_once(spark, cluster):
    """The first attempt of a partition fails after it put rows; Spark's second attempt is what counts."""
    lease = isthmus.spark.Lease.create()
    put = isthmus.spark.make_put_partition(lease.socket_path, lease.exchange, 1 << 20, isthmus.spark._package_path())

    def fail_first(batches):
        from pyspark import TaskContext

        yield from put(batches)
        if TaskContext.get().attemptNumber() == 0:
            raise RuntimeError("lost")

    df = spark.range(0, 100, 1, 2)
    if int(spark.sparkContext.getConf().get("spark.task.maxFailures", "1")) > 1:
        infos = df.mapInArrow(fail_first, isthmus.spark.CHUNK_COLUMNS).collect()
        assert sum(info.rows for info in infos) == 100
    else:  # local[2] never retries: then the query fails, and what was put is freed with the exchange
        with pytest.raises(Exception, match="lost"):
            df.mapInArrow(fail_first, isthmus.spark.CHUNK_COLUMNS).collect()
    lease.release()


def test_errors_in_spark_are_told(session, cluster):
    import ray

    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        ray.data.from_spark(session.range(10).selectExpr("id / (id - 5) AS x", "assert_true(id < 3)", "1 / 0 AS z"))


def test_settings_of_the_session_stay(session, cluster):
    import ray

    key = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = session.conf.get(key)
    ray.data.from_spark(session.range(10))
    assert session.conf.get(key) == before
    session.conf.set(key, "77")
    ray.data.from_spark(session.range(10))
    assert session.conf.get(key) == "77"
    session.conf.unset(key)


def test_inputs_are_known(session, cluster, name):
    import ray

    isthmus.write_deltalake(name, {"id": [1, 2, 3]})
    df = session.table(name).groupBy("id").count()
    assert [item.name for item in isthmus.spark.inputs_of(df)] == [name]
    ds = ray.data.from_spark(df)
    for derived in (ds, ds.map(lambda row: row), ds.materialize(), ds.materialize().map(lambda row: row)):
        assert [item.name for item in isthmus.ray.inputs_of(derived)] == [name]


def test_there_and_back(session, cluster):
    import ray

    df = session.range(1000).selectExpr("id", "concat('t', id) AS text", "timestamp_micros(id * 1000000) AS at",
                                        "array(id) AS list", "cast(id AS decimal(10, 2)) AS amount")
    back = ray.data.from_spark(df).to_spark(session)
    assert back.schema.simpleString() == df.schema.simpleString()
    assert back.exceptAll(df).count() == 0 and back.count() == 1000
    assert back.where("id = 7").first().text == "t7"
    isthmus.spark.release(back)
    with pytest.raises(Exception):
        back.count()


def test_to_spark_of_rows_from_numpy_and_pandas(session, cluster):
    import ray

    ds = ray.data.range(5000, override_num_blocks=4).map_batches(lambda b: {"id": b["id"], "half": b["id"] / 2})
    assert ds.to_spark(session).selectExpr("count(*)", "sum(half)").first() == (5000, 6248750.0)
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "s": ["x", None], "t": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    rows = ray.data.from_pandas(frame).to_spark(session).orderBy("a").collect()
    assert [(row.a, row.s, row.t) for row in rows] == [(1, "x", datetime.datetime(2024, 1, 1)),
                                                      (2, None, datetime.datetime(2024, 1, 2))]


def test_to_spark_of_nothing(session, cluster):
    import ray

    ds = ray.data.from_arrow(pa.table({"a": pa.array([], pa.int64())}))
    assert ds.to_spark(session).collect() == [] and ds.to_spark(session).columns == ["a"]
