"""Files in volumes: through fsspec, pyarrow, Ray, the command line, and as somebody who may not."""

import json
import os
import subprocess
import sys

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus
from isthmus import catalog, fs, services

ROWS = {"id": [1, 2, 3], "text": ["a", "é", "日本"]}


@pytest.fixture(scope="module")
def volume(services):
    connection = catalog.connect()
    connection.create_schema("main.files")
    connection.create_volume("main.files.raw")
    return "/Volumes/main/files/raw"


def test_forms_of_a_path_are_one_file(volume):
    with fs.open(f"{volume}/forms/a.txt", "w") as file:
        file.write("here")
    for form in (f"dbfs:{volume}", f"dbfs://{volume}", f"/dbfs{volume}", f"{volume}/", "volumes://main/files/raw"):
        assert fs.open(f"{form}/forms/a.txt").read() == "here", form
    assert pandas.read_csv(f"dbfs://{volume}/forms/a.txt").columns.tolist() == ["here"]
    with fs.open("dbfs:/somewhere/else.txt", "w") as file:
        file.write("plain dbfs")
    assert fs.open("/Volumes/main/default/dbfs/somewhere/else.txt").read() == "plain dbfs"


def test_folders_are_listed_from_the_top(volume):
    files = fs.VolumeFileSystem()
    fs.open(f"{volume}/top/x", "wb").close()
    assert "/Volumes/main" in files.ls("/Volumes", detail=False)
    assert volume in files.ls("/Volumes/main/files", detail=False)
    assert files.find(f"{volume}/top") == [f"{volume}/top/x"]
    assert files.isdir(f"{volume}/top") and files.isfile(f"{volume}/top/x") and not files.exists(f"{volume}/none")
    files.mv(f"{volume}/top/x", f"{volume}/top/y z%20é")
    assert files.ls(f"{volume}/top", detail=False) == [f"{volume}/top/y z%20é"]
    files.rm(f"{volume}/top", recursive=True)
    assert not files.exists(f"{volume}/top")


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_file_that_was_given_up_is_not_there(volume, mode):
    with pytest.raises(ZeroDivisionError):
        with fs.open(f"{volume}/half", mode) as file:
            file.write("half" if mode == "w" else b"half")
            1 / 0
    assert not fs.VolumeFileSystem().exists(f"{volume}/half")


def test_reads_parts(volume):
    data = bytes(range(256)) * 40000
    with fs.open(f"{volume}/big", "wb") as file:
        for at in range(0, len(data), 999999):
            file.write(data[at:at + 999999])
    with fs.open(f"{volume}/big", "rb") as file:
        file.seek(-1000, os.SEEK_END)
        assert file.read() == data[-1000:]
        file.seek(5_000_000)
        assert file.read(3_000_000) == data[5_000_000:8_000_000]


def test_paths_do_not_leave_the_volume(volume):
    for path in (f"{volume}/../x", f"{volume}/a/../../x", "/Volumes/main/../x/y/z", "dbfs:/../etc/passwd"):
        with pytest.raises(isthmus.BadInputError, match=r"may not contain"):
            fs.open(path)
    with pytest.raises(FileNotFoundError):
        fs.open(f"{volume}/nothing")
    with pytest.raises(FileNotFoundError):
        fs.open("/Volumes/main/files/nothing/x")


def test_pyarrow(volume):
    pq.write_table(pa.table(ROWS), f"{volume}/arrow/x.parquet", filesystem=fs.arrow())
    assert pq.read_table(f"{volume}/arrow", filesystem=fs.arrow()).to_pydict() == ROWS


def test_ray_reads_and_writes(volume, cluster):
    ray = cluster

    ray.data.from_items([{"id": i, "text": f"t{i}"} for i in range(100)]).write_parquet(f"{volume}/ray/parquet")
    assert ray.data.read_parquet(f"{volume}/ray/parquet").count() == 100
    ray.data.range(10).write_csv(f"dbfs:{volume}/ray/csv")
    assert ray.data.read_csv(f"/dbfs{volume}/ray/csv").sum("id") == 45
    ray.data.range(10).write_json(f"{volume}/ray/json")
    assert ray.data.read_json(f"{volume}/ray/json").count() == 10
    blob = ray.data.read_binary_files(f"{volume}/ray/csv").take_all()
    assert all(row["bytes"].startswith(b'"id"') for row in blob)

    @ray.remote
    def in_a_task():
        from isthmus import fs as files

        return len(files.VolumeFileSystem().find(f"{volume}/ray/csv"))

    assert ray.get(in_a_task.remote()) == len(blob)


# ---- other principals, who are other users of the machine ------------------------------------------------------------


OTHER = """
import json, os, sys
import isthmus
from isthmus import fs
import pyarrow.fs
volume, location = sys.argv[1:]
if os.geteuid() == 0:  # become nobody, once all is imported
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
def tell(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__
def put():
    with fs.open(f"{volume}/by_other", "w") as file:
        file.write("by other")
    return "written"
print(json.dumps({
    "direct": tell(lambda: os.listdir(location)),
    "read": tell(lambda: fs.open(f"{volume}/shared.txt").read()),
    "list": tell(lambda: fs.VolumeFileSystem().ls(volume, detail=False)),
    "write": tell(put),
}))
"""


def as_other(token, *arguments):
    environment = {**os.environ, "ISTHMUS_CATALOG": services.server_info()["url"], "ISTHMUS_TOKEN": token,
                   "HOME": "/nonexistent", "ISTHMUS_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", OTHER, *arguments], env=environment, capture_output=True, text=True,
                          timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_grants_decide_and_not_the_file_system(volume):
    connection = catalog.connect()
    location = connection.get("volume", "main.files.raw")["storage_location"].removeprefix("file://")
    with fs.open(f"{volume}/shared.txt", "w") as file:
        file.write("for those who may")
    os.chmod(location, 0o700)
    connection.create_user("other@example.org")
    token = connection.create_token("other@example.org", days=1)

    seen = as_other(token, volume, location)
    assert seen["read"] in ("FileNotFoundError", "PermissionError") and seen["write"] != "written"

    connection.grant("USE CATALOG", "catalog", "main", to="other@example.org")
    connection.grant("USE SCHEMA", "schema", "main.files", to="other@example.org")
    connection.grant("READ VOLUME", "volume", "main.files.raw", to="other@example.org")
    seen = as_other(token, volume, location)
    assert seen["read"] == "for those who may" and f"{volume}/shared.txt" in seen["list"]
    assert seen["write"] == "PermissionError"
    if os.geteuid() == 0:
        assert seen["direct"] == "PermissionError"

    connection.grant("WRITE VOLUME", "volume", "main.files.raw", to="other@example.org")
    assert as_other(token, volume, location)["write"] == "written"
    assert fs.open(f"{volume}/by_other").read() == "by other"


def test_command_line(volume, tmp_path):
    def run(*arguments):
        return subprocess.run([services.binary(), "fs", *arguments], capture_output=True, text=True, timeout=60)

    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "a.txt").write_text("a")
    (tmp_path / "folder" / "deep" / "b.txt").write_text("b")
    assert run("cp", "--recursive", f"{tmp_path}/folder", f"{volume}/cli").returncode == 0
    listing = json.loads(run("ls", f"dbfs:{volume}/cli", "--json").stdout)
    assert listing["folders"] == ["deep"] and [item["name"] for item in listing["objects"]] == ["a.txt"]
    assert run("cat", f"{volume}/cli/a.txt", f"{volume}/cli/deep/b.txt").stdout == "ab"
    assert run("cp", f"{volume}/cli/a.txt", f"{tmp_path}/").returncode == 0
    assert (tmp_path / "a.txt").read_text() == "a"
    assert run("cp", f"{volume}/cli", f"{tmp_path}/x").returncode == 1
    assert run("rm", f"{volume}/cli").returncode == 1
    assert run("rm", "--recursive", f"{volume}/cli").returncode == 0
    assert json.loads(run("ls", f"{volume}/cli", "--json").stdout) == {"objects": [], "folders": []}
    assert run("ls", "/Volumes/main/none").returncode == 1


# ---- Spark -----------------------------------------------------------------------------------------------------------


def left_behind(folder):
    return [name for name in fs.VolumeFileSystem().find(folder) if "_temporary" in name or name.endswith(".crc")]


def test_spark_writes_what_ray_reads_and_the_other_way(volume, spark, cluster):
    frame = spark.range(100).selectExpr("id", "concat('t', id) AS text")
    frame.write.parquet(f"{volume}/spark/parquet")
    assert cluster.data.read_parquet(f"{volume}/spark/parquet").count() == 100
    for _ in range(2):
        frame.repartition(2).write.mode("overwrite").csv(f"dbfs:{volume}/spark/csv", header=True)
    frame.write.mode("append").partitionBy("text").json(f"/dbfs{volume}/spark/json")
    assert spark.read.csv(f"/dbfs{volume}/spark/csv", header=True, inferSchema=True).count() == 100
    assert [row.id for row in spark.read.json(f"{volume}/spark/json/text=t7/").collect()] == [7]
    assert not left_behind(f"{volume}/spark")

    cluster.data.range(50).write_parquet(f"{volume}/from_ray")
    assert spark.read.parquet(f"{volume}/from_ray").selectExpr("sum(id)").collect()[0][0] == 1225
    with fs.open(f"{volume}/deep/x/a b%20é.txt", "w") as file:
        file.write("line\n" * 500_000)  # more than is read ahead
    assert spark.read.text(f"{volume}/deep/x").count() == 500_000
    assert spark.sparkContext.textFile(f"{volume}/deep/*/a*").count() == 500_000
    paths = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(f"dbfs:{volume}/deep").select("path")
    assert [row.path for row in paths.collect()] == [f"dbfs:{volume}/deep/x/a b%20é.txt"]
    spark.range(3).write.csv("dbfs:/plain/csv")
    assert spark.read.csv("/dbfs/plain/csv").count() == 3


def test_spark_by_sql_and_connect(volume, session):
    folder = f"{volume}/sql-{type(session).__module__}"
    session.sql(f"INSERT OVERWRITE DIRECTORY '{folder}' USING parquet SELECT id FROM range(10)")
    assert session.sql(f"SELECT sum(id) FROM parquet.`{folder}`").collect()[0][0] == 45


def test_spark_keeps_tables_and_checkpoints_in_volumes(volume, spark):
    table = f"{volume}/delta"
    spark.range(10).write.format("delta").save(table)
    spark.range(10).write.format("delta").mode("append").save(f"dbfs:{table}")
    spark.sql(f"DELETE FROM delta.`{table}` WHERE id = 3")
    assert spark.read.format("delta").load(table).count() == 18

    stream = (spark.readStream.format("delta").load(table).writeStream.format("parquet")
              .option("ignoreDeletes", True).trigger(availableNow=True)
              .option("checkpointLocation", f"{volume}/stream/checkpoint").start(f"{volume}/stream/out"))
    stream.awaitTermination(120)
    assert spark.read.parquet(f"{volume}/stream/out").count() == 18
    assert not left_behind(f"{volume}/stream") and not os.path.exists("/Volumes")


def test_spark_keeps_its_local_files(volume, spark, tmp_path):
    spark.range(3).write.csv(f"{tmp_path}/local")
    assert spark.read.csv(f"file://{tmp_path}/local").count() == 3
    assert any(name.endswith(".crc") for name in os.listdir(tmp_path / "local"))  # Hadoop's own, as ever
    spark.range(3).write.format("delta").save(f"{tmp_path}/delta")
    assert spark.read.format("delta").load(f"{tmp_path}/delta").count() == 3


def test_spark_tells_what_is_wrong(volume, spark):
    with pytest.raises(Exception, match="nothing"):
        spark.read.text(f"{volume}/nothing").count()
    with pytest.raises(Exception, match="none"):
        spark.read.text("/Volumes/main/files/none").count()
    spark.range(1).write.csv(f"{volume}/once")
    with pytest.raises(Exception, match="already exists"):
        spark.range(1).write.csv(f"{volume}/once")
    with pytest.raises(Exception, match="Volume not found"):
        spark.range(1).write.mode("append").csv("/Volumes/main/files")


def test_a_job_that_fails_in_spark_leaves_nothing(volume, spark):
    with pytest.raises(Exception, match="by zero|DIVIDE_BY_ZERO"):
        spark.range(100).repartition(2).selectExpr("1 DIV (id - 77) AS x").write.parquet(f"{volume}/failed")
    assert fs.VolumeFileSystem().find(f"{volume}/failed") == []


def test_spark_asks_as_the_session(volume, spark):
    """Each session's token counts, in a JVM that has several."""
    connection = catalog.connect()
    connection.create_user("spark@example.org")
    for privilege, kind, target in (("USE CATALOG", "catalog", "main"), ("USE SCHEMA", "schema", "main.files"),
                                    ("READ VOLUME", "volume", "main.files.raw")):
        connection.grant(privilege, kind, target, to="spark@example.org")
    spark.range(5).write.csv(f"{volume}/shared")
    other = spark.newSession()
    other.conf.set("spark.sql.catalog.main.token", connection.create_token("spark@example.org", days=1))
    assert other.read.csv(f"{volume}/shared").count() == 5
    with pytest.raises(Exception, match="WRITE VOLUME"):
        other.range(5).write.csv(f"{volume}/by_spark")
    other.conf.set("spark.sql.catalog.main.token", "dapi-wrong")
    with pytest.raises(Exception, match="401"):
        other.read.csv(f"{volume}/shared")
    spark.range(5).write.mode("overwrite").csv(f"{volume}/shared")
