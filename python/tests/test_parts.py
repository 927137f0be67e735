"""isthmus.gather: parts of many tasks become one table in one commit."""

import json

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

import isthmus


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    return folder


def rows_of(table):
    return sorted(map(tuple, (row.values() for row in isthmus.Table(table).to_arrow().to_pylist())), key=str)


def test_csv_parts_whose_columns_differ(parts, path):
    (parts / "a.csv").write_text("id,name\n1,x\n2,\n")
    (parts / "b.csv").write_text("id,name,score\n3.5,\"y,\n z\",0.5\n")
    (parts / "_SUCCESS").write_text("")
    (parts / ".hidden.csv").write_text("id\n9\n")
    result = isthmus.gather(parts, path)
    assert (result.version, result.rows) == (0, 3)
    assert rows_of(path) == [(1.0, "x", None), (2.0, "", None), (3.5, "y,\n z", 0.5)]


@pytest.mark.parametrize("format", ["parquet", "arrow", "jsonl"])
def test_formats(parts, path, format):
    for i in range(5):
        data = {"i": [i, i + 10], "t": ["a", None]}
        if format == "parquet":
            pa.parquet.write_table(pa.table(data), parts / f"{i}.parquet")
        elif format == "arrow":
            pa.feather.write_feather(pa.table(data), parts / f"{i}.arrow")
        else:
            (parts / f"{i}.jsonl").write_text("".join(json.dumps(dict(zip(data, row))) + "\n" for row in zip(*data.values())))
    assert isthmus.gather(f"{parts}/*.{format}", path).rows == 10
    assert isthmus.Table(path).snapshot().version == 0
    assert sorted(i for i, _ in rows_of(path)) == sorted([*range(5), *range(10, 15)])


def test_spark_reads_the_same_rows_from_the_parts(parts, name, spark):
    for task in range(20):
        (parts / f"part_{task}.csv").write_text("task,value\n" + "".join(f"{task},{v}\n" for v in range(10)))
    isthmus.gather(parts, name, mode="overwrite")
    df = spark.read.csv(str(parts), header=True, inferSchema=True)
    assert sorted(spark.table(name).collect()) == sorted(df.collect())


def test_ray_s_workers_gather(parts, name, cluster):
    for task in range(6):
        (parts / f"{task}.csv").write_text("task,value\n" + "".join(f"{task},{v}\n" for v in range(10)))
    result = isthmus.gather(parts, name)
    assert result.rows == 60 and isthmus.Table(name).snapshot().version == result.version == 0


def test_parts_in_a_volume(schema, path):
    isthmus.catalog.connect().create_volume(f"{schema}.parts")
    root = f"/Volumes/{schema.replace('.', '/')}/parts"
    for i in range(3):
        with isthmus.fs.open(f"{root}/run/{i}.csv", "w") as file:
            file.write(f"i\n{i}\n")
    assert isthmus.gather(f"dbfs:{root}/run", path).rows == 3
    assert isthmus.gather(f"{root}/run/[01]*.csv", path, mode="overwrite").rows == 2


def test_what_cannot_be_gathered_says_why_and_writes_nothing(parts, path):
    with pytest.raises(isthmus.NotFoundError, match="no parts"):
        isthmus.gather(parts / "none", path)
    (parts / "a.csv").write_text("id\n1\n")
    (parts / "b.parquet").write_text("x")
    with pytest.raises(isthmus.BadInputError, match=r"\.csv, \.parquet.*say format"):
        isthmus.gather(parts, path)
    (parts / "b.parquet").unlink()
    (parts / "z.csv").write_text("id\nseven\n")
    with pytest.raises(isthmus.BadInputError, match="z.csv.*schema="):
        isthmus.gather(parts, path, schema=pa.schema([("id", pa.int64())]))
    with pytest.raises(isthmus.NotFoundError):
        isthmus.Table(path).snapshot()
