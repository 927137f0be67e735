"""io.isthmus.spark.ChunkWriter: rows from Spark's executors into the exchange, with no Python worker between."""

import json

import pyarrow as pa
import pytest

from isthmus import native
from isthmus.spark import Lease

MIB = 1 << 20


@pytest.fixture
def lease():
    lease = Lease.create()
    yield lease
    lease.release()


@pytest.fixture
def put(spark, lease):
    def put(frame, chunk_bytes=128 * MIB, exchange=lease.exchange, socket_path=lease.socket_path):
        return json.loads(spark._jvm.io.isthmus.spark.ChunkWriter.put(frame._jdf, socket_path, exchange, chunk_bytes))

    return put


def read(chunks):
    client = native.client()
    readers = [client.get(chunk["chunk"]) for chunk in chunks]
    tables = [pa.Table.from_batches(list(reader), reader.schema) for reader in readers]
    assert [table.num_rows for table in tables] == [chunk["rows"] for chunk in chunks]
    return pa.concat_tables(tables)


def test_rows_are_those_that_spark_collects(spark, put):
    frame = spark.range(100_000).selectExpr(
        "id", "id % 7 = 0 AS flag", "CASE WHEN id % 5 > 0 THEN concat('é', id) END AS text",
        "cast(id / 7 AS decimal(20, 3)) AS amount", "id / 3 AS ratio", "array(id, NULL) AS list", "NULL AS nothing",
        "named_struct('x', id, 'y', array(map(id, 'z'))) AS deep", "date_add(DATE'2024-02-28', cast(id AS int)) AS day")
    wanted = frame.toArrow()
    assert read(put(frame)).cast(wanted.schema).equals(wanted)  # and in the same order


def test_instants_are_utc(spark, put):
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    got = read(put(spark.sql("SELECT timestamp_micros(1709164799999999) AS at")))
    assert got.schema.field("at").type == pa.timestamp("us", "UTC")
    assert got["at"].cast(pa.int64()).to_pylist() == [1709164799999999]


def test_a_partition_is_cut_at_the_chunk_size(spark, put):
    frame = spark.range(0, 1_000_000, 1, 1)
    chunks = put(frame, chunk_bytes=MIB)
    assert len(chunks) > 3 and all(MIB <= chunk["bytes"] for chunk in chunks[:-1])
    assert read(chunks)["id"].to_pylist() == list(range(1_000_000))


def test_large_rows(spark, put):
    frame = spark.range(0, 40, 1, 1).selectExpr("id", "repeat('x', 3000000) AS text")  # beyond the grant's first step
    table = read(put(frame))
    assert table.num_rows == 40 and set(table["text"].to_pylist()) == {"x" * 3_000_000}


def test_empty_partitions_make_no_chunks(spark, put):
    assert put(spark.range(0)) == []
    assert len(put(spark.range(0, 1, 1, 4))) == 1


def test_result_of_a_command(spark, put):
    assert read(put(spark.sql("SHOW NAMESPACES"))).num_rows == len(spark.sql("SHOW NAMESPACES").collect())


def test_same_frame_twice(spark, put):
    frame = spark.range(1000).selectExpr("id % 10 AS k").groupBy("k").count()
    assert sorted(read(put(frame))["k"].to_pylist()) == sorted(read(put(frame))["k"].to_pylist()) == list(range(10))


def test_failed_attempt_frees_its_chunks(spark, put):
    before = native.client().counters()
    frame = spark.range(0, 1_000_000, 1, 1).selectExpr(
        "id", "IF(id > 900000, CAST(raise_error('on purpose') AS STRING), 'x') AS text")
    with pytest.raises(Exception, match="on purpose"):
        put(frame, chunk_bytes=MIB)
    after = native.client().counters()
    assert after["sealed"] > before["sealed"]  # it had sealed some
    assert (after["chunks"], after["memory_used"]) == (before["chunks"], before["memory_used"])


def test_no_daemon(spark, put, tmp_path):
    with pytest.raises(Exception, match=r"isthmus\.errors\.NotFoundError: no node daemon answers at .*nobody.sock"):
        put(spark.range(3), socket_path=str(tmp_path / "nobody.sock"))


def test_exchange_that_is_gone(spark, put):
    gone = Lease.create()
    gone.release()
    with pytest.raises(Exception, match=r"isthmus\.errors\.NotFoundError: .*" + gone.exchange):
        put(spark.range(3), exchange=gone.exchange)
