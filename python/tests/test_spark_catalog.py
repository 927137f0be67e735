"""isthmus-spark.jar on `isthmus serve`: the catalog plugin, the lineage listener and the plan reader."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import deltalake
import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException


def server():
    """(url, token) of the catalog server that the tests run against."""
    info = json.loads(pathlib.Path(os.environ["ISTHMUS_HOME"], "server.json").read_text())
    return info["url"], info["token"]


def ask(method, path, body=None):
    """A call of the server's REST interface that owes nothing to our own clients; None where it answers 404."""
    url, token = server()
    request = urllib.request.Request(
        url + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise AssertionError(f"{method} {path}: {error.code} {error.read()}") from None


def info(name):
    return ask("GET", f"/api/2.1/unity-catalog/tables/{name}")


def folder(table):
    return urllib.request.url2pathname(info(table)["storage_location"].removeprefix("file://"))


@pytest.fixture(scope="session")
def spark(spark):
    spark.conf.set("spark.databricks.delta.snapshotPartitions", "2")  # of 50 for reading a log: many small tasks
    return spark


@pytest.fixture
def session(spark, session):
    """What is seen of the catalog must be the same in classic and Connect sessions; most of it is in the JVM anyway."""
    session.conf.set("spark.databricks.delta.snapshotPartitions", "2")
    return session


def rows(session, query):
    return sorted(tuple(row) for row in session.sql(query).collect())


# ---- make ------------------------------------------------------------------------------------------------------------


def test_managed_table(session, name):
    session.sql(f"""CREATE TABLE {name} (id BIGINT NOT NULL COMMENT 'key', price DECIMAL(10,2), day DATE,
                    tags ARRAY<STRING>, place STRUCT<x: INT, y: STRING>) USING delta PARTITIONED BY (day)
                    COMMENT 'prices' TBLPROPERTIES ('team' = 'blue')""")
    session.sql(f"""INSERT INTO {name} VALUES (1, 1.50, DATE'2024-01-01', array('a'), named_struct('x', 1, 'y', 'b')),
                    (2, NULL, NULL, NULL, NULL)""")
    assert rows(session, f"SELECT id, price IS NULL FROM {name}") == [(1, False), (2, True)]
    assert session.table(name).count() == 2

    table = info(name)
    assert (table["table_type"], table["data_source_format"], table["comment"]) == ("MANAGED", "DELTA", "prices")
    assert table["properties"]["team"] == "blue"
    columns = table["columns"]
    assert [c["name"] for c in columns] == ["id", "price", "day", "tags", "place"]
    assert [c["type_name"] for c in columns] == ["LONG", "DECIMAL", "DATE", "ARRAY", "STRUCT"]
    assert [c["type_text"] for c in columns][1:] == ["decimal(10,2)", "date", "array<string>", "struct<x:int,y:string>"]
    assert json.loads(columns[1]["type_json"]) == {"name": "price", "type": "decimal(10,2)", "nullable": True,
                                                   "metadata": {}}
    assert (columns[0]["nullable"], columns[0]["comment"], columns[2]["partition_index"]) == (False, "key", 0)

    other = deltalake.DeltaTable(folder(name))
    assert (other.version(), other.metadata().partition_columns) == (1, ["day"])
    assert other.to_pyarrow_table(columns=["id"]).num_rows == 2


def test_external_table_keeps_its_files(spark, name, tmp_path):
    place = tmp_path / "a place"  # with a space: a location is a URI to the server and a path to Hadoop
    spark.sql(f"CREATE TABLE {name} (id INT) LOCATION '{place}'")
    spark.sql(f"INSERT INTO {name} VALUES (7)")
    assert info(name)["table_type"] == "EXTERNAL"
    assert folder(name) == str(place)
    spark.sql(f"DROP TABLE {name}")
    assert info(name) is None
    assert deltalake.DeltaTable(str(place)).to_pyarrow_table().to_pylist() == [{"id": 7}]

    # The table that is there already gets a name again; its schema comes from its log.
    spark.sql(f"CREATE TABLE {name} USING delta LOCATION '{place}'")
    assert spark.table(name).columns == ["id"] and spark.table(name).count() == 1
    assert [c["name"] for c in info(name)["columns"]] == ["id"]


def test_drop_of_a_managed_table_removes_its_files(spark, name):
    spark.range(3).write.saveAsTable(name)
    place = folder(name)
    assert os.path.isdir(place)
    spark.sql(f"DROP TABLE {name}")
    assert info(name) is None and not os.path.exists(place)
    spark.range(4).write.saveAsTable(name)
    assert spark.table(name).count() == 4


def test_save_as_table_modes(session, name):
    session.range(3).write.saveAsTable(name)
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        session.range(5).write.mode("error").saveAsTable(name)
    session.range(5).write.mode("ignore").saveAsTable(name)
    assert session.table(name).count() == 3
    session.range(5).write.mode("append").saveAsTable(name)
    assert session.table(name).count() == 8
    wider = session.range(2).selectExpr("id", "id * 2 AS twice")
    wider.write.mode("append").option("mergeSchema", "true").saveAsTable(name)
    assert session.table(name).columns == ["id", "twice"] and session.table(name).count() == 10
    other = session.range(1).selectExpr("'x' AS word")
    other.write.mode("overwrite").option("overwriteSchema", "true").saveAsTable(name)
    assert rows(session, f"SELECT * FROM {name}") == [("x",)]
    assert [c["name"] for c in info(name)["columns"]] == ["word"]
    assert deltalake.DeltaTable(folder(name)).version() == 3  # one table all along, not one made again


def test_writer_v2(spark, name):
    frame = spark.range(3)
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        frame.writeTo(name).append()
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        frame.writeTo(name).replace()
    frame.writeTo(name).create()
    frame.writeTo(name).append()
    assert spark.table(name).count() == 6
    spark.range(2).writeTo(name).using("delta").createOrReplace()
    assert spark.table(name).count() == 2
    spark.range(1).writeTo(name).replace()
    assert spark.table(name).count() == 1


def test_create_table_as_select(spark, name):
    spark.sql(f"CREATE TABLE {name} AS SELECT id, id % 2 = 0 AS even FROM range(10)")
    spark.sql(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT 1 AS other")
    assert rows(spark, f"SELECT count(*), count_if(even) FROM {name}") == [(10, 5)]
    spark.sql(f"CREATE OR REPLACE TABLE {name} (word STRING)")
    assert spark.table(name).columns == ["word"]
    spark.sql(f"CREATE TABLE {name}_like LIKE {name}")
    assert spark.table(f"{name}_like").columns == ["word"] and folder(f"{name}_like") != folder(name)


def test_failed_creation_leaves_nothing(spark, name, schema):
    """Neither a name, nor files under the root of the managed tables."""
    probe = f"{name}_probe"
    spark.sql(f"CREATE TABLE {probe} (id INT)")
    root = pathlib.Path(folder(probe)).parent
    before = set(root.iterdir())
    with pytest.raises(Exception, match="on purpose"):
        spark.sql(f"CREATE TABLE {name} AS SELECT id, IF(id > 90, CAST(raise_error('on purpose') AS INT), 1) AS x "
                    "FROM range(100)")
    assert info(name) is None
    assert set(root.iterdir()) == before
    spark.sql(f"CREATE TABLE {name} AS SELECT 1 AS x")
    assert spark.table(name).count() == 1


# ---- change ----------------------------------------------------------------------------------------------------------


def test_delete_update_merge(spark, name):
    spark.sql(f"CREATE TABLE {name} AS SELECT id, 'old' AS word FROM range(4)")
    spark.sql(f"DELETE FROM {name} WHERE id = 0")
    spark.sql(f"UPDATE {name} SET word = 'new' WHERE id = 1")
    spark.sql(f"""MERGE INTO {name} t USING (SELECT id + 2 AS id FROM range(3)) s ON t.id = s.id
                    WHEN MATCHED THEN UPDATE SET word = 'met'
                    WHEN NOT MATCHED THEN INSERT (id, word) VALUES (s.id, 'in')""")
    assert rows(spark, f"SELECT * FROM {name}") == [(1, "new"), (2, "met"), (3, "met"), (4, "in")]


def test_alter_and_describe(session, name):
    session.sql(f"CREATE TABLE {name} (id INT)")
    session.sql(f"INSERT INTO {name} VALUES (1)")
    session.sql(f"ALTER TABLE {name} ADD COLUMN word STRING COMMENT 'later'")
    session.sql(f"INSERT INTO {name} VALUES (2, 'x')")
    assert rows(session, f"SELECT id, coalesce(word, '-') FROM {name}") == [(1, "-"), (2, "x")]
    assert [(c["name"], c.get("comment")) for c in info(name)["columns"]] == [("id", None), ("word", "later")]
    described = {row[0]: row[1] for row in session.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()}
    assert (described["word"], described["Provider"], described["Type"]) == ("string", "delta", "MANAGED")
    assert session.sql(f"DESCRIBE DETAIL {name}").collect()[0]["format"] == "delta"


def test_time_travel(spark, name):
    spark.range(3).write.saveAsTable(name)
    spark.range(5).write.mode("append").saveAsTable(name)
    assert rows(spark, f"SELECT count(*) FROM {name} VERSION AS OF 0") == [(3,)]
    assert spark.read.option("versionAsOf", 0).table(name).count() == 3
    assert spark.table(name).count() == 8
    assert [row["version"] for row in spark.sql(f"DESCRIBE HISTORY {name}").collect()] == [1, 0]


def test_rename(spark, name):
    spark.range(3).write.saveAsTable(name)
    place = folder(name)
    spark.sql(f"ALTER TABLE {name} RENAME TO {name}_new")
    assert info(name) is None and folder(f"{name}_new") == place
    assert spark.table(f"{name}_new").count() == 3
    with pytest.raises(AnalysisException, match="cannot move a table to another schema"):
        spark.sql(f"ALTER TABLE {name}_new RENAME TO main.default.moved")


def test_table_of_another_client(spark, name, schema):
    """Made and later changed by delta-rs and plain REST calls: Spark goes by the log, not by the catalog's columns."""
    catalog, schema_name, table = name.split(".")
    staged = ask("POST", "/api/2.1/unity-catalog/staging-tables",
                 {"name": table, "catalog_name": catalog, "schema_name": schema_name})
    place = urllib.request.url2pathname(staged["staging_location"].removeprefix("file://"))
    deltalake.write_deltalake(place, pa.table({"id": [1, 2]}))
    ask("POST", "/api/2.1/unity-catalog/tables",
        {"name": table, "catalog_name": catalog, "schema_name": schema_name, "table_type": "MANAGED",
         "data_source_format": "DELTA", "storage_location": staged["staging_location"],
         "properties": {"io.unitycatalog.tableId": staged["id"]},
         "columns": [{"name": "id", "type_text": "bigint", "type_name": "LONG", "position": 0, "nullable": True,
                      "type_json": '{"name":"id","type":"long","nullable":true,"metadata":{}}'}]})
    assert rows(spark, f"SELECT * FROM {name}") == [(1,), (2,)]
    deltalake.write_deltalake(place, pa.table({"id": [3], "word": ["late"]}), mode="append", schema_mode="merge")
    assert rows(spark, f"SELECT id, coalesce(word, '-') FROM {name}") == [(1, "-"), (2, "-"), (3, "late")]


# ---- catalog-managed tables ------------------------------------------------------------------------------------------

MANAGED = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"


def log_files(name):
    log = pathlib.Path(folder(name), "_delta_log")
    return sorted(file.name for file in log.glob("*.json")), sorted(f.name for f in log.glob("_staged_commits/*.json"))


def test_catalog_managed_table(session, name):
    """The server ratifies each commit: every statement that writes, and reads by name, by version and by another API."""
    session.sql(f"CREATE TABLE {name} (id BIGINT, word STRING) {MANAGED}")
    session.sql(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")
    session.sql(f"UPDATE {name} SET word = 'z' WHERE id = 1")
    session.sql(f"DELETE FROM {name} WHERE id = 2")
    session.sql(f"""MERGE INTO {name} t USING (SELECT 5L AS id, 'q' AS word) s ON t.id = s.id
                    WHEN NOT MATCHED THEN INSERT *""")
    session.range(6, 7).selectExpr("id", "'more' AS word").write.mode("append").saveAsTable(name)
    session.sql(f"ALTER TABLE {name} ADD COLUMN late INT")
    assert rows(session, f"SELECT id, word, late FROM {name}") == [(1, "z", None), (5, "q", None), (6, "more", None)]
    assert rows(session, f"SELECT * FROM {name} VERSION AS OF 1") == [(1, "a"), (2, "b")]

    table = info(name)
    assert table["properties"]["delta.feature.catalogManaged"] == "supported"
    assert table["properties"]["io.unitycatalog.tableId"] == table["table_id"]
    assert [column["name"] for column in table["columns"]] == ["id", "word", "late"]
    catalog, schema, short = name.split(".")
    loaded = ask("GET", f"/api/2.1/unity-catalog/delta/v1/catalogs/{catalog}/schemas/{schema}/tables/{short}")
    assert loaded["latest-table-version"] == 6
    published, staged = log_files(name)
    assert published[0] == f"{0:020}.json" and [int(file[:20]) for file in staged] == [1, 2, 3, 4, 5, 6]


def test_catalog_managed_table_as_select_and_replaced(spark, name):
    spark.sql(f"CREATE TABLE {name} {MANAGED} AS SELECT id FROM range(5)")
    kept = info(name)
    spark.sql(f"CREATE OR REPLACE TABLE {name} (word STRING)")
    spark.sql(f"INSERT INTO {name} VALUES ('x')")
    assert rows(spark, f"SELECT * FROM {name}") == [("x",)]
    assert rows(spark, f"SELECT count(*) FROM {name} VERSION AS OF 0") == [(5,)]
    assert info(name)["table_id"] == kept["table_id"]
    assert [column["name"] for column in info(name)["columns"]] == ["word"]
    spark.sql(f"CREATE TABLE {name}_like LIKE {name} {MANAGED}")
    assert info(f"{name}_like")["properties"]["delta.feature.catalogManaged"] == "supported"
    spark.sql(f"CREATE TABLE {name}_plain LIKE {name}")
    assert deltalake.DeltaTable(folder(f"{name}_plain")).schema().fields[0].name == "word"
    spark.sql(f"DROP TABLE {name}")
    assert info(name) is None


@pytest.mark.parametrize("statement", ["OPTIMIZE {}", "REORG TABLE {} APPLY (PURGE)", "VACUUM {}"])
def test_delta_does_not_maintain_catalog_managed_tables(spark, name, statement):
    """Delta's own rule (jvm/README.md): that is the server's work. Nothing is written."""
    spark.sql(f"CREATE TABLE {name} (id INT) {MANAGED}")
    with pytest.raises(Exception, match="DELTA_UNSUPPORTED_CATALOG_MANAGED_TABLE_OPERATION"):
        spark.sql(statement.format(name)).collect()
    assert spark.sql(f"DESCRIBE HISTORY {name}").count() == 1


def test_catalog_managed_table_is_refused_elsewhere(spark, name, tmp_path):
    with pytest.raises(AnalysisException, match="at a LOCATION of its own cannot be catalog-managed"):
        spark.sql(f"CREATE TABLE {name} (id INT) LOCATION '{tmp_path}/t' {MANAGED}")
    spark.sql(f"CREATE TABLE {name} (id INT) {MANAGED}")
    with pytest.raises(Exception, match="Path-based access is not allowed for Catalog-Managed"):
        spark.sql(f"INSERT INTO delta.`{folder(name)}` VALUES (1)")


def test_many_write_one_catalog_managed_table(spark, name):
    """Each version has one winner, and no row is lost or doubled."""
    spark.sql(f"CREATE TABLE {name} (id BIGINT) {MANAGED}")

    def append(i):
        spark.sql(f"INSERT INTO {name} VALUES ({i})")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(8)))
    assert rows(spark, f"SELECT id FROM {name}") == [(i,) for i in range(8)]
    assert sorted(row["version"] for row in spark.sql(f"DESCRIBE HISTORY {name}").collect()) == list(range(9))


def test_second_catalog(spark, name):
    """Every catalog of the server is one setting away."""
    catalog = name.split(".")[2] + "_catalog"
    ask("POST", "/api/2.1/unity-catalog/catalogs", {"name": catalog})
    spark.conf.set(f"spark.sql.catalog.{catalog}", "io.isthmus.spark.IsthmusCatalog")
    spark.sql(f"CREATE SCHEMA {catalog}.s")
    spark.sql(f"CREATE TABLE {catalog}.s.t {MANAGED} AS SELECT 1 AS x")
    spark.sql(f"INSERT INTO {catalog}.s.t SELECT x + 1 FROM {catalog}.s.t")
    spark.sql(f"CREATE TABLE {name} AS SELECT * FROM {catalog}.s.t")
    assert rows(spark, f"SELECT * FROM {name}") == [(1,), (2,)]


# ---- schemas and names -----------------------------------------------------------------------------------------------


def test_schemas(spark, name):
    other = "main." + name.split(".")[2] + "_schema"
    spark.sql(f"CREATE SCHEMA {other} COMMENT 'for a test'")
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {other}")
    with pytest.raises(AnalysisException, match="SCHEMA_ALREADY_EXISTS"):
        spark.sql(f"CREATE SCHEMA {other}")
    assert (other.split(".")[1],) in rows(spark, "SHOW NAMESPACES IN main")
    assert ("Comment", "for a test") in rows(spark, f"DESCRIBE SCHEMA {other}")
    spark.sql(f"CREATE TABLE {other}.one (id INT)")
    spark.sql(f"CREATE TABLE {other}.two (id INT)")
    assert [row[1] for row in rows(spark, f"SHOW TABLES IN {other}")] == ["one", "two"]
    with pytest.raises(AnalysisException, match="SCHEMA_NOT_EMPTY"):
        spark.sql(f"DROP SCHEMA {other}")
    spark.sql(f"DROP SCHEMA {other} CASCADE")
    with pytest.raises(AnalysisException, match="SCHEMA_NOT_FOUND"):
        spark.sql(f"SHOW TABLES IN {other}")


def test_more_tables_than_a_page(spark, name):
    """The server lists at most 100 at a time."""
    other = "main." + name.split(".")[2] + "_many"
    spark.sql(f"CREATE SCHEMA {other}")
    for i in range(103):
        ask("POST", "/api/2.1/unity-catalog/tables",
            {"name": f"t{i:03}", "catalog_name": "main", "schema_name": other.split(".")[1], "table_type": "EXTERNAL",
             "data_source_format": "DELTA", "storage_location": f"file:///tmp/{other}/t{i:03}", "columns": []})
    assert [row[1] for row in rows(spark, f"SHOW TABLES IN {other}")] == [f"t{i:03}" for i in range(103)]
    spark.sql(f"DROP SCHEMA {other} CASCADE")


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query, says", [
    ("SELECT * FROM {schema}.nothing", "TABLE_OR_VIEW_NOT_FOUND.*`nothing`"),
    ("SELECT * FROM main.nowhere.t", "TABLE_OR_VIEW_NOT_FOUND.*`nowhere`"),
    ("INSERT INTO {schema}.nothing VALUES (1)", "TABLE_OR_VIEW_NOT_FOUND"),
    ("DROP TABLE {schema}.nothing", "TABLE_OR_VIEW_NOT_FOUND"),
    ("CREATE TABLE main.nowhere.t (id INT)", "SCHEMA_NOT_FOUND.*`nowhere`"),
    ("CREATE TABLE main.nowhere.t AS SELECT 1 AS x", "SCHEMA_NOT_FOUND.*`nowhere`"),
    ("SELECT * FROM tests.nothing", "TABLE_OR_VIEW_NOT_FOUND.*`tests`.`nothing`"),
    ("SELECT * FROM main.nothing", "main.nothing: a table's name has three parts.*this one has 2"),
    ("SELECT * FROM main.a.b.nothing", "main.a.b.nothing: a table's name has three parts.*this one has 4"),
    ("CREATE TABLE main.a.b.nothing (id INT)", "main.a.b.nothing: a table's name has three parts.*this one has 4"),
    ("SELECT * FROM {schema}.`with.dot`", "a part of a table's name cannot have a dot"),
    ("CREATE TABLE {schema}.`with space` (id INT)", "with space"),
    ("CREATE TABLE {schema}.words (id INT) USING csv", "words: catalog main holds Delta tables, not csv"),
    ("CREATE EXTERNAL TABLE {schema}.words (id INT) USING delta", "LOCATION"),
])
def test_bad_names(session, schema, query, says):
    with pytest.raises(Exception, match=f"(?s){says}"):
        session.sql(query.format(schema=schema)).collect()


def test_table_of_another_format(spark, name, tmp_path):
    catalog, schema, table = name.split(".")
    ask("POST", "/api/2.1/unity-catalog/tables",
        {"name": table, "catalog_name": catalog, "schema_name": schema, "table_type": "EXTERNAL", "columns": [],
         "data_source_format": "PARQUET", "storage_location": f"file://{tmp_path}/p"})
    with pytest.raises(AnalysisException, match=f"{name} is a PARQUET table; this catalog plugin opens Delta tables"):
        spark.table(name).collect()


def test_named_table_without_a_log(spark, name, tmp_path):
    catalog, schema, table = name.split(".")
    ask("POST", "/api/2.1/unity-catalog/tables",
        {"name": table, "catalog_name": catalog, "schema_name": schema, "table_type": "EXTERNAL", "columns": [],
         "data_source_format": "DELTA", "storage_location": f"file://{tmp_path}/gone"})
    with pytest.raises(AnalysisException, match=f"DELTA_.*{table}"):
        spark.table(name).collect()


def test_wrong_token(session, name):
    url, token = server()
    session.conf.set("spark.sql.catalog.wrong", "io.isthmus.spark.IsthmusCatalog")
    session.conf.set("spark.sql.catalog.wrong.uri", url)
    session.conf.set("spark.sql.catalog.wrong.token", "no-such-token-0815")
    with pytest.raises(AnalysisException, match=r"refused the token \(401\)") as caught:
        session.table("wrong.tests.t").collect()
    assert url in str(caught.value) and "0815" not in str(caught.value)
    shown = {row["key"]: row["value"] for row in session.sql("SET").collect()}
    assert "redacted" in shown["spark.sql.catalog.wrong.token"]


def test_token_in_a_file(spark, tmp_path):
    url, token = server()
    (tmp_path / "token").write_text(token + "\n")
    spark.conf.set("spark.sql.catalog.filed", "io.isthmus.spark.IsthmusCatalog")
    spark.conf.set("spark.sql.catalog.filed.uri", url + "/")
    spark.conf.set("spark.sql.catalog.filed.tokenFile", str(tmp_path / "token"))
    # The token is good: the server tells that it has no catalog of that name.
    with pytest.raises(AnalysisException, match=f"catalog filed does not exist on the server at {url}"):
        spark.sql("SELECT * FROM filed.tests.t").collect()


def test_server_down(spark):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        spark.conf.set("spark.sql.catalog.down", "io.isthmus.spark.IsthmusCatalog")
        spark.conf.set("spark.sql.catalog.down.uri", url)
        with pytest.raises(AnalysisException, match=f"no catalog server answers at {url}.*isthmus serve"):
            spark.table("down.tests.t").collect()


def test_not_a_catalog_server(spark):
    spark.conf.set("spark.sql.catalog.odd", "io.isthmus.spark.IsthmusCatalog")
    spark.conf.set("spark.sql.catalog.odd.uri", "127.0.0.1:8080")
    with pytest.raises(AnalysisException, match="must be of the form http://host:port"):
        spark.table("odd.tests.t").collect()


# ---- grants ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ann(spark, name):
    """A session of a user who may do nothing yet, and `grant(privileges, on what kind, of what name)` for her."""
    who = f"{name}@example.com"
    ask("POST", "/api/1.0/unity-control/scim2/Users",
        {"displayName": "Ann", "emails": [{"value": who, "primary": True}]})
    made = ask("POST", "/api/2.0/token-management/on-behalf-of/tokens",
               {"application_id": who, "lifetime_seconds": 3600, "comment": "test"})

    def grant(kind, target, *privileges, remove=()):
        ask("PATCH", f"/api/2.1/unity-catalog/permissions/{kind}/{target}",
            {"changes": [{"principal": who, "add": list(privileges), "remove": list(remove)}]})

    session = spark.newSession()
    session.conf.set("spark.sql.catalog.main.token", made["token_value"])
    session.grant = grant
    return session


@pytest.mark.parametrize("properties", ["", MANAGED])
def test_grants(spark, ann, name, properties):
    """What each session sees and may do is what its token's principal may; a refusal names what is missing."""
    spark.sql(f"CREATE TABLE {name} (id INT) {properties}")
    spark.sql(f"INSERT INTO {name} VALUES (1)")
    schema = name.rpartition(".")[0]
    with pytest.raises(AnalysisException):
        ann.table(name).collect()
    ann.grant("catalog", "main", "USE_CATALOG")
    ann.grant("schema", schema, "USE_SCHEMA")
    assert name.split(".")[2] not in [row["tableName"] for row in ann.sql(f"SHOW TABLES IN {schema}").collect()]
    ann.grant("table", name, "SELECT")
    assert rows(ann, f"SELECT * FROM {name}") == [(1,)]
    for statement in (f"INSERT INTO {name} VALUES (2)", f"DELETE FROM {name} WHERE id = 1",
                      f"ALTER TABLE {name} ADD COLUMN word STRING"):
        with pytest.raises(AnalysisException, match=f"{name}.*MODIFY"):
            ann.sql(statement)
    with pytest.raises(AnalysisException, match="CREATE_TABLE|CREATE TABLE"):
        ann.sql(f"CREATE TABLE {name}_other (id INT)")
    ann.grant("table", name, "MODIFY")
    ann.sql(f"INSERT INTO {name} VALUES (2)")
    assert rows(spark, f"SELECT * FROM {name}") == [(1,), (2,)]
    ann.grant("table", name, remove=["SELECT", "MODIFY"])
    with pytest.raises(AnalysisException):
        ann.table(name).collect()
    assert spark.table(name).count() == 2


@pytest.mark.parametrize("policy, says", [
    ({"row_filter": {"function_name": "main.tests.mine", "input_column_names": ["id"]}}, "row filter.*main.tests.mine"),
    ({"columns": [{"name": "id", "type_text": "int", "type_name": "INT", "position": 0, "nullable": True,
                   "type_json": '{"name":"id","type":"integer","nullable":true,"metadata":{}}',
                   "mask": {"function_name": "main.tests.hide"}}]}, "mask on its column id"),
])
def test_filtered_and_masked_tables(session, name, policy, says):
    """Spark reads files, past filters and masks: it gets none, whoever asks, and is told where to ask instead."""
    session.sql(f"CREATE TABLE {name} (id INT)")
    session.sql(f"INSERT INTO {name} VALUES (1)")
    ask("PATCH", f"/api/2.1/unity-catalog/tables/{name}", policy)
    for statement in (f"SELECT * FROM {name}", f"INSERT INTO {name} VALUES (2)", f"DELETE FROM {name}"):
        with pytest.raises(AnalysisException, match=f"{name}.*{says}.*by SQL"):
            session.sql(statement).collect()


OTHER_USER = """
import functools, json, os, sys, tempfile
import isthmus.spark
import pyspark.java_gateway
name, schema, location = sys.argv[1:]
nobody = 65534  # is who the JVM runs as; it answers where to reach it in a folder made by mkdtemp
make = tempfile.mkdtemp
def make_for_nobody(*args, **kwargs):
    folder = make(*args, **kwargs)
    os.chown(folder, nobody, nobody)
    return folder
tempfile.mkdtemp = make_for_nobody
pyspark.java_gateway.Popen = functools.partial(pyspark.java_gateway.Popen, user=nobody, group=nobody, extra_groups=[])
spark = (isthmus.spark.builder().master("local[1]").config("spark.ui.enabled", "false")
         .config("spark.driver.memory", "600m").config("spark.sql.shuffle.partitions", "1")
         .config("spark.databricks.delta.snapshotPartitions", "1").getOrCreate())
def tell(statement):
    try:
        return [list(row) for row in spark.sql(statement).collect()]
    except Exception as error:
        return str(error)[:600]
seen = {"direct": spark._jvm.java.io.File(location).canRead(), "read": tell(f"SELECT * FROM {name}"),
        "insert": tell(f"INSERT INTO {name} VALUES (2, 'b')")}
for table in (f"{schema}.other_plain", f"{schema}.other_managed"):
    managed = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')" if table.endswith("managed") else ""
    seen[table] = [tell(statement) for statement in (
        f"CREATE TABLE {table} (id INT) {managed}", f"INSERT INTO {table} VALUES (1), (2)",
        f"DELETE FROM {table} WHERE id = 1", f"SELECT * FROM {table}")]
print(json.dumps(seen))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_spark_of_another_user(spark, ann, name, schema):
    """Its user may not touch the server's files: they come and go through the file gateway, as far as grants allow."""
    spark.sql(f"CREATE TABLE {name} (id INT, word STRING)")
    spark.sql(f"INSERT INTO {name} VALUES (1, 'a')")
    os.chmod(os.environ["ISTHMUS_HOME"], 0o700)
    ann.grant("catalog", "main", "USE_CATALOG")
    ann.grant("schema", schema, "USE_SCHEMA", "CREATE_TABLE")
    ann.grant("table", name, "SELECT")
    home = tempfile.mkdtemp(dir="/tmp")
    os.chown(home, 65534, 65534)
    environment = {**os.environ, "ISTHMUS_CATALOG": server()[0], "ISTHMUS_HOME": "/nonexistent", "HOME": home,
                   "ISTHMUS_TOKEN": ann.conf.get("spark.sql.catalog.main.token")}
    done = subprocess.run([sys.executable, "-c", OTHER_USER, name, schema, folder(name)], env=environment, cwd=home,
                          capture_output=True, text=True, timeout=240)
    shutil.rmtree(home)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen.pop("direct") is False
    assert seen.pop("read") == [[1, "a"]]
    assert "MODIFY" in seen.pop("insert")
    assert set(seen) == {f"{schema}.other_plain", f"{schema}.other_managed"}
    assert all(told[0] == [] and told[3] == [[2]] for told in seen.values()), seen
    assert rows(spark, f"SELECT * FROM {schema}.other_managed") == [(2,)]


# ---- lineage ---------------------------------------------------------------------------------------------------------


def edges(name, direction, enough):
    """(source, target, engine) of the edges around a table, once the listener's thread has told `enough` of them."""
    deadline = time.monotonic() + 20
    while True:
        found = ask("GET", f"/api/2.1/isthmus/lineage?table={name}") or {}
        told = {(e["source"], e["target"], e["engine"]) for e in found.get(direction, [])}
        if enough(told) or time.monotonic() > deadline:
            return told
        time.sleep(0.05)


def test_lineage(session, name, tmp_path):
    source, target, place = f"{name}_a", f"{name}_b", str(tmp_path / "out")
    session.range(5).write.saveAsTable(source)
    session.table(source).write.saveAsTable(target)
    assert (source, target, "spark") in edges(target, "upstream", lambda told: (source, target, "spark") in told)

    session.table(target).write.format("delta").save(place)
    wanted = (target, f"file://{place}", "spark")
    assert wanted in edges(target, "downstream", lambda told: wanted in told)

    # What Delta does inside of MERGE is no event of its own; what MERGE reads and writes is one.
    session.sql(f"""MERGE INTO {source} t USING delta.`{place}` s ON t.id = s.id
                    WHEN MATCHED THEN UPDATE SET id = s.id + 10""")
    wanted = (f"file://{place}", source, "spark")
    told = edges(source, "upstream", lambda told: wanted in told)
    assert wanted in told
    assert not [edge for edge in told if edge[0] == source or "_delta_log" in str(edge)]


def test_inputs_of_a_plan(spark, name, tmp_path):
    """io.isthmus.spark.Plans, as Python calls it."""
    def inputs(frame):
        return json.loads(spark._jvm.io.isthmus.spark.Plans.inputs(frame._jdf.queryExecution()))

    place = tmp_path / "by path"
    spark.range(3).write.saveAsTable(name)
    spark.range(3).write.mode("append").saveAsTable(name)
    spark.range(3).write.format("delta").save(str(place))
    spark.range(3).write.parquet(str(tmp_path / "files"))
    at = info(name)["storage_location"]
    named = {"name": name, "location": at, "version": 1, "pinned": False}
    assert inputs(spark.table(name).groupBy("id").count()) == [named]
    assert inputs(spark.sql(f"SELECT * FROM {name} VERSION AS OF 0")) == [dict(named, version=0, pinned=True)]
    by_path = spark.read.format("delta").load(str(place))
    assert inputs(spark.table(name).join(by_path, "id")) == [
        named, {"name": None, "location": place.as_uri(), "version": 0, "pinned": False}]
    assert inputs(spark.sql(f"WITH x AS (SELECT * FROM {name}) SELECT 1 WHERE 1 < (SELECT max(id) FROM x)")) == [named]
    assert inputs(spark.read.parquet(str(tmp_path / "files"))) == [
        {"name": None, "location": (tmp_path / "files").as_uri(), "version": None, "pinned": False}]
    assert inputs(spark.range(3)) == []


def test_files_in_the_place_of_a_table(spark, tmp_path):
    """parquet.`/path` is no table of the current catalog, and says so in a way that Spark goes on to the files."""
    spark.range(3).write.parquet(f"{tmp_path}/x.parquet")
    spark.sql("SET CATALOG main")
    try:
        assert spark.sql(f"SELECT * FROM parquet.`{tmp_path}/x.parquet`").count() == 3
    finally:
        spark.sql("SET CATALOG spark_catalog")
