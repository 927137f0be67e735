"""Dataset.write_databricks_table: modes, schemas, files, lineage, failure."""

import os

import deltalake
import pyarrow as pa
import pytest
from conftest import make_rows

import isthmus
from isthmus import errors


def dataset(count=1000, blocks=8):
    import ray

    def more(batch):
        return {"id": batch["id"], "text": [f"t{i}" for i in batch["id"]], "part": batch["id"] % 3}

    return ray.data.range(count, override_num_blocks=blocks).map_batches(more)


def files_of(uri):
    folder = uri.removeprefix("file://")
    return {os.path.join(at, file) for at, _, files in os.walk(folder) for file in files if file.endswith(".parquet")}


def test_a_new_table_is_made_and_named(cluster, spark, name):
    result = dataset().write_databricks_table(name)
    assert (result.version, result.rows) == (0, 1000)
    info = isthmus.catalog.connect().get_table(name)
    assert info["table_type"] == "MANAGED" and [c["name"] for c in info["columns"]] == ["id", "text", "part"]
    assert spark.sql(f"SELECT count(*), sum(id), count(DISTINCT text) FROM {name}").first() == (1000, 499500, 1000)
    assert deltalake.DeltaTable(info["storage_location"]).to_pyarrow_table().num_rows == 1000
    assert {field.dataType.simpleString() for field in spark.table(name).schema} == {"bigint", "string"}


def test_append_is_one_version(cluster, spark, name):
    dataset().write_databricks_table(name)
    result = dataset(500).write_databricks_table(name, mode="append")
    assert result.version == 1 and isthmus.Table(name).snapshot().rows == 1500
    assert spark.table(name).count() == 1500


def test_every_type(cluster, spark, name):
    import ray

    rows = make_rows(200)
    ray.data.from_arrow([rows.slice(0, 100), rows.slice(100)]).write_databricks_table(name)
    got = deltalake.DeltaTable(isthmus.Table(name).uri).to_pyarrow_table().sort_by("id")
    assert got.cast(rows.schema).to_pylist() == rows.to_pylist()
    assert spark.table(name).where("place.city = 'city 7'").count() == 1


def test_files_are_well_sized_and_have_statistics(cluster, name):
    ds = dataset(200_000, blocks=100).materialize()
    result = ds.write_databricks_table(name)
    assert 1 <= result.files <= 4  # not one per block
    actions = pa.table(deltalake.DeltaTable(isthmus.Table(name).uri).get_add_actions(flatten=True)).to_pylist()
    assert sum(a["num_records"] for a in actions) == 200_000
    assert min(a["min.id"] for a in actions) == 0 and max(a["max.id"] for a in actions) == 199_999
    assert all(a["null_count.text"] == 0 and a["min.text"] <= a["max.text"] for a in actions)


def test_overwrite_error_ignore(cluster, name):
    dataset(10).write_databricks_table(name, mode="error")
    with pytest.raises(errors.AlreadyExistsError, match=name):
        dataset(10).write_databricks_table(name, mode="error")
    assert dataset(20).write_databricks_table(name, mode="ignore") is None
    assert isthmus.Table(name).snapshot().rows == 10
    dataset(30).write_databricks_table(name, mode="overwrite")
    assert isthmus.Table(name).snapshot().rows == 30
    assert isthmus.Table(name).snapshot(version=0).rows == 10


def test_merge_and_overwrite_schema(cluster, spark, name):
    import ray

    spark.sql(f"CREATE TABLE {name} (id LONG) USING delta")
    dataset(10).write_databricks_table(name, mergeSchema=True)
    assert spark.table(name).columns == ["id", "text", "part"]
    assert [c["name"] for c in isthmus.catalog.connect().get_table(name)["columns"]] == ["id", "text", "part"]
    ray.data.from_items([{"id": 1}]).write_databricks_table(name)
    assert spark.table(name).where("text IS NULL").count() == 1
    ray.data.from_items([{"other": "x"}]).write_databricks_table(name, mode="overwrite", overwriteSchema=True)
    assert spark.table(name).columns == ["other"] and spark.table(name).count() == 1


def test_partitions(cluster, spark, name):
    dataset(300).write_databricks_table(name, partition_by=["part"])
    table = deltalake.DeltaTable(isthmus.Table(name).uri)
    assert table.metadata().partition_columns == ["part"]
    assert spark.table(name).where("part = 1").count() == 100
    dataset(300).write_databricks_table(name)
    assert spark.table(name).where("part = 2").count() == 200


def test_from_spark_to_table_with_lineage(cluster, session, name):
    import ray

    source = f"{name}_source"
    isthmus.write_deltalake(source, {"id": list(range(100)), "k": [i % 4 for i in range(100)]})
    df = session.table(source).groupBy("k").sum("id").withColumnRenamed("sum(id)", "total")
    result = ray.data.from_spark(df).map_batches(lambda b: b).write_databricks_table(name)
    assert result.rows == 4
    upstream = isthmus.lineage(name, depth=1)["upstream"]
    assert [(edge["source"], edge["engine"]) for edge in upstream] == [(source, "ray")]
    assert source in str(isthmus.lineage(name)) and name in str(isthmus.lineage(source))


def test_read_delta_to_table_with_lineage(cluster, name):
    source = f"{name}_source"
    isthmus.write_deltalake(source, {"id": [1, 2, 3]})
    isthmus.read_delta(source).map(lambda row: row).materialize().write_databricks_table(name)
    assert [edge["source"] for edge in isthmus.lineage(name, depth=1)["upstream"]] == [source]


def test_empty_dataset_with_a_schema(cluster, name):
    import ray

    ray.data.from_arrow(pa.table({"id": pa.array([], pa.int64())})).write_databricks_table(name)
    assert isthmus.Table(name).snapshot().rows in (0, None) and isthmus.Table(name).to_arrow().column_names == ["id"]


def test_a_failed_job_leaves_nothing(cluster, name):
    isthmus.write_deltalake(name, {"id": [1]})
    uri = isthmus.Table(name).uri
    before = files_of(uri)

    def fail_late(batch):
        if batch["id"][-1] == 999:
            raise RuntimeError("this block is broken")
        return {"id": batch["id"]}

    import ray

    for ds in (ray.data.range(1000, override_num_blocks=10), ray.data.range(1000, override_num_blocks=10).materialize()):
        with pytest.raises(Exception, match="this block is broken"):
            ds.map_batches(fail_late).write_databricks_table(name)
    assert files_of(uri) == before
    assert isthmus.Table(name).snapshot().version == 0


def test_a_block_that_does_not_fit_fails_the_job(cluster, name):
    """The first blocks fit the table; a later one has text where the table has numbers."""
    import ray

    isthmus.write_deltalake(name, {"id": [1]})
    uri, before = isthmus.Table(name).uri, files_of(isthmus.Table(name).uri)
    ds = ray.data.from_arrow([pa.table({"id": [2]}), pa.table({"id": ["not a number"]})])
    with pytest.raises(Exception, match="id"):
        ds.write_databricks_table(name)
    assert files_of(uri) == before and isthmus.Table(name).snapshot().rows == 1


def test_a_worker_that_dies_is_replaced(cluster, name, tmp_path):
    """A task kills its worker the first time; Ray runs it again; every row is there once."""
    flag = str(tmp_path / "died")

    def die_once(batch):
        import os
        import signal

        if batch["id"][0] == 0 and not os.path.exists(flag):
            open(flag, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"id": batch["id"]}

    import ray

    result = ray.data.range(1000, override_num_blocks=4).map_batches(die_once).write_databricks_table(name)
    assert os.path.exists(flag) and result.rows == 1000
    assert sorted(isthmus.Table(name).to_arrow()["id"].to_pylist()) == list(range(1000))
