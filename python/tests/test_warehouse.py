"""SQL warehouses from outside: Ray's own reader, databricks-sdk, isthmus.sql, isthmus.read_sql and `isthmus sql`
against a real `isthmus serve`, the same statements by all of them, and what becomes of results when things break."""

import contextlib
import csv
import datetime
import decimal
import http.client
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import types as python_types
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.errors import PySparkException

import isthmus
from conftest import make_rows
from isthmus import errors, native
from isthmus.services import server_info
from serving import COMMAND, Server

# ---- data and statements ---------------------------------------------------------------------------------------------

SCALE = 6000  # lineitems; TPC-H has 6,000,000 at scale 1


def _date(day):
    return datetime.date(1992, 1, 1) + datetime.timedelta(days=day % 2500)


def _money(cents):
    return decimal.Decimal(cents) / 100


@pytest.fixture(scope="module")
def data(schema):
    """Tables like TPC-H's in main.tests, and one of every type."""
    write_tables()
    return "main.tests"


def write_tables():
    orders, lines = SCALE // 4, range(SCALE)
    money = pa.decimal128(15, 2)
    tables = {
        "customer": {"c_custkey": pa.array(range(150)), "c_name": [f"Customer#{i:09}" for i in range(150)],
                     "c_nationkey": pa.array([i % 25 for i in range(150)]),
                     "c_mktsegment": [["BUILDING", "AUTOMOBILE", "MACHINERY"][i % 3] for i in range(150)],
                     "c_acctbal": pa.array([_money(i * 7919 % 999999 - 99999) for i in range(150)], money)},
        "orders": {"o_orderkey": pa.array(range(orders)), "o_custkey": pa.array([i * 31 % 150 for i in range(orders)]),
                   "o_orderdate": pa.array([_date(i * 17) for i in range(orders)]),
                   "o_orderpriority": [f"{i % 5 + 1}-P" for i in range(orders)],
                   "o_totalprice": pa.array([_money(i * 104729 % 50000000) for i in range(orders)], money)},
        "lineitem": {"l_orderkey": pa.array([i // 4 for i in lines]), "l_linenumber": pa.array([i % 4 for i in lines]),
                     "l_quantity": pa.array([_money(i % 50 * 100 + 100) for i in lines], money),
                     "l_extendedprice": pa.array([_money(i * 7907 % 10000000) for i in lines], money),
                     "l_discount": pa.array([_money(i % 11) for i in lines], money),
                     "l_tax": pa.array([_money(i % 9) for i in lines], money),
                     "l_returnflag": ["RAN"[i % 3] for i in lines], "l_linestatus": ["OF"[i % 2] for i in lines],
                     "l_shipdate": pa.array([_date(i * 13) for i in lines])},
    }
    for name, columns in tables.items():
        isthmus.write_deltalake(f"main.tests.{name}", pa.table(columns))
    isthmus.write_deltalake("main.tests.everything", make_rows(50))


# Each gives its rows in one order. TPC-H's 1, 3, 5, 6, 12, 13 and 18, cut to these tables; then types and sizes.
STATEMENTS = {
    "pricing summary": """
        SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
               sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price, count(*) AS count_order
        FROM lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL 90 DAY
        GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    "shipping priority": """
        SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate
        FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey
        WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
        GROUP BY l_orderkey, o_orderdate ORDER BY revenue DESC, l_orderkey LIMIT 10""",
    "volume by nation": """
        SELECT c_nationkey, sum(l_extendedprice * (1 - l_discount)) AS revenue
        FROM customer, orders, lineitem WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey
        AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < add_months(DATE '1994-01-01', 12)
        GROUP BY c_nationkey ORDER BY revenue DESC, c_nationkey""",
    "forecast": """
        SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem
        WHERE l_shipdate BETWEEN DATE '1994-01-01' AND DATE '1994-12-31' AND l_discount BETWEEN 0.05 AND 0.07
        AND l_quantity < 24""",
    "priorities": """
        SELECT o_orderpriority, sum(CASE WHEN l_tax > 0.04 THEN 1 ELSE 0 END) AS high,
               count(DISTINCT l_orderkey) AS orders
        FROM orders JOIN lineitem ON o_orderkey = l_orderkey GROUP BY o_orderpriority ORDER BY o_orderpriority""",
    "distribution": """
        SELECT c_count, count(*) AS custdist FROM (
            SELECT c_custkey, count(o_orderkey) AS c_count FROM customer LEFT JOIN orders
            ON c_custkey = o_custkey AND o_orderpriority <> '1-P' GROUP BY c_custkey) AS c
        GROUP BY c_count ORDER BY custdist DESC, c_count DESC""",
    "large orders": """
        WITH big AS (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 150)
        SELECT c_name, o_orderkey, o_totalprice, rank() OVER (ORDER BY o_totalprice DESC) AS place
        FROM customer JOIN orders ON c_custkey = o_custkey WHERE o_orderkey IN (SELECT l_orderkey FROM big)
        ORDER BY o_totalprice DESC, o_orderkey LIMIT 100""",
    "every type": "SELECT * FROM everything ORDER BY id",
    "no rows": "SELECT * FROM everything WHERE id < 0",
    "one row": "SELECT 1 AS one",
    "words": "SELECT 'it''s' AS quoted, 'é漢字🙂' AS wide, '' AS empty, CAST(NULL AS STRING) AS nothing, "
             "'a,b\"c\nd' AS csv",
    "many rows": "SELECT id, id * 2 AS twice, concat('row ', id) AS text FROM range(200000) ORDER BY id",
}


def plain(table):
    """Rows as dicts that compare equal whatever client brought them."""
    def value(item):
        if isinstance(item, dict):
            return {key: value(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return [value(part) for part in item]
        return item.astimezone(datetime.timezone.utc) if getattr(item, "tzinfo", None) else item

    return [value(row) for row in table.to_pylist()]


# ---- clients ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(services, monkeypatch):
    """Databricks' two variables, as its own clients want them."""
    told = server_info()
    monkeypatch.setenv("DATABRICKS_HOST", told["url"])
    monkeypatch.setenv("DATABRICKS_TOKEN", told["token"])
    return told


def by_isthmus(query, warehouse, settings):
    return isthmus.sql(query, warehouse_id=warehouse, schema="tests", catalog="main").to_arrow()


def by_isthmus_with_lz4(query, warehouse, settings):
    return isthmus.sql(query, warehouse_id=warehouse, schema="tests", catalog="main", compression="lz4").to_arrow()


def by_command(query, warehouse, settings):
    done = subprocess.run([COMMAND, "sql", "--arrow", "--warehouse", warehouse, "--schema", "main.tests", query],
                          capture_output=True, check=True, timeout=120)
    return pa.ipc.open_stream(done.stdout).read_all()


def by_sdk(query, warehouse, settings):
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.sql import Disposition, Format, StatementState

    client = WorkspaceClient(host=settings["url"], token=settings["token"]).statement_execution
    answer = client.execute_statement(query, warehouse, catalog="main", schema="tests", wait_timeout="30s",
                                      disposition=Disposition.EXTERNAL_LINKS, format=Format.ARROW_STREAM)
    assert answer.status.state == StatementState.SUCCEEDED, answer.status
    tables = []
    for chunk in answer.manifest.chunks or []:
        link, = client.get_statement_result_chunk_n(answer.statement_id, chunk.chunk_index).external_links
        with urllib.request.urlopen(link.external_link) as body:
            tables.append(pa.ipc.open_stream(body.read()).read_all())
    names = [column.name for column in answer.manifest.schema.columns]
    return pa.concat_tables(tables) if tables else pa.table({name: [] for name in names})


CLIENTS = [by_isthmus, by_isthmus_with_lz4, by_command, by_sdk]


@pytest.fixture(scope="module")
def expected(data):
    """The rows of each statement by the first client; below they are compared with Spark's own."""
    return {title: plain(by_isthmus(query, "embedded", None)) for title, query in STATEMENTS.items()}


@pytest.mark.parametrize("client", CLIENTS[1:], ids=lambda client: client.__name__)
@pytest.mark.parametrize("title", STATEMENTS)
def test_warehouse__clients_bring_equal_rows(title, client, expected, settings):
    assert plain(client(STATEMENTS[title], "embedded", settings)) == expected[title]


def test_warehouse__rows_are_those_of_spark(expected, spark):
    """Real Spark is the oracle for what the embedded engine makes of Databricks' SQL."""
    spark.sql("USE main.tests")
    zone = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        for title, query in STATEMENTS.items():
            assert plain(spark.sql(query).toArrow()) == expected[title], title
    finally:
        spark.conf.set("spark.sql.session.timeZone", zone)


@pytest.fixture(scope="module")
def both(spark, connect_port, tmp_path_factory):
    """A connection to a server of its own with a second warehouse, `big`: a real Spark Connect endpoint."""
    server = Server(tmp_path_factory.mktemp("both"), "--warehouse", f"big=sc://127.0.0.1:{connect_port}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISTHMUS_CATALOG", server.url)
        patch.setenv("ISTHMUS_TOKEN", server.token)
        isthmus.catalog.forget()
        isthmus.catalog.connect().create_schema("main.tests")
        write_tables()
    isthmus.catalog.forget()
    yield isthmus.Catalog(server.url, token=server.token)
    server.stop()


def on_spark(query, both, **more):
    return isthmus.sql(query, connection=both, warehouse_id="big", schema="tests", **more)


def test_warehouse__both_engines_bring_equal_rows(both):
    for title, query in STATEMENTS.items():
        embedded, spark = isthmus.sql(query, connection=both, schema="tests"), on_spark(query, both)
        assert plain(spark.to_arrow()) == plain(embedded.to_arrow()), title
        assert types(spark) == types(embedded), title


def types(result):
    return {column["name"]: column["type_text"] for column in result.manifest["schema"]["columns"]}


def test_warehouse__spark_parameters(both):
    given = {"low": 147, "name": "it's", "money": decimal.Decimal("12.50"), "day": datetime.date(2024, 2, 29),
             "none": None}
    rows = on_spark("SELECT c_custkey, :name AS name, :money AS money, :day AS day, :none AS none FROM customer "
                    "WHERE c_custkey > :low ORDER BY 1", both, parameters=given)
    assert [str(type) for type in rows.schema.types[1:4]] == ["string", "decimal128(4, 2)", "date32[day]"]
    assert plain(rows.to_arrow())[1] == {"c_custkey": 149, "name": "it's", "money": given["money"], "day": given["day"],
                                         "none": None}


def test_warehouse__spark_writes_as_the_user(both):
    on_spark("CREATE TABLE made AS SELECT c_custkey FROM customer", both)
    on_spark("INSERT INTO made VALUES (1000)", both)
    made = isthmus.sql("SELECT count(*) AS n, max(c_custkey) AS most FROM tests.made", connection=both)
    assert plain(made.to_arrow()) == [{"n": 151, "most": 1000}]


def test_warehouse__spark_commits_by_each_statements_token(both):
    """A user's session is kept, and its statements' tokens die with them: the catalog's client must not."""
    on_spark("CREATE TABLE ratified (id INT) TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')", both)
    for i in range(3):
        on_spark(f"INSERT INTO ratified VALUES ({i})", both)
    assert on_spark("SELECT sum(id) AS sum FROM ratified", both).to_arrow()["sum"].to_pylist() == [3]


def test_warehouse__spark_sessions_are_each_of_one_user(both, connect_port, monkeypatch):
    from isthmus.engine import spark as engine

    sessions = engine.Engine({"catalog": {"host": both.uri}, "spark_url": f"sc://127.0.0.1:{connect_port}"}).sessions

    right = both.create_token()

    def take(user, token=right):
        return sessions.take(python_types.SimpleNamespace(user=user, token=token, catalog=None, schema="tests"),
                             python_types.SimpleNamespace(catalogs={"main"}))

    first = take("first")
    assert first.spark.table("customer").count() == 150
    second = take("first")  # of the user's own, while it is in use
    assert second is not first
    sessions.give_back(first, "first")
    with pytest.raises(PySparkException, match="401"):
        take("other", "ist_wrong")
    assert take("other") is not first
    assert take("first", "ist_wrong") is first
    with pytest.raises(PySparkException, match="401"):  # what counts is the token of now
        first.spark.table("customer").count()
    sessions.give_back(first, "first")
    monkeypatch.setattr(engine, "IDLE_SECONDS", -1)
    assert take("first") is not first and first.spark.is_stopped


def test_warehouse__databricks_connect_by_cluster_id(both, spark):
    """The Spark behind a warehouse, as on Databricks: by host, token and cluster_id, under the token's grants."""
    from isthmus.connect import DatabricksSession

    builder = DatabricksSession.builder
    own = both.create_token()
    session = builder.remote(host=both.uri, token=own, cluster_id="big").getOrCreate()
    assert session.table("main.tests.customer").count() == 150
    assert builder.remote(host=both.uri, token=own, cluster_id="big").getOrCreate() is session
    both.create_user("connecting@example.com")
    token = both.create_token("connecting@example.com")
    other = builder.host(both.uri).token(token).clusterId("big").getOrCreate()
    with pytest.raises(Exception, match="USE CATALOG|cannot be found|not found|does not exist"):
        other.table("main.tests.customer").count()
    session.sql("GRANT USE CATALOG ON CATALOG main TO `connecting@example.com`")
    session.sql("GRANT USE SCHEMA, SELECT ON SCHEMA main.tests TO `connecting@example.com`")
    assert other.table("main.tests.customer").count() == 150
    with pytest.raises(Exception, match="MODIFY"):
        other.sql("DELETE FROM main.tests.customer")
    session.sql("REVOKE USE CATALOG ON CATALOG main FROM `connecting@example.com`")
    session.stop(), other.stop()
    with pytest.raises(isthmus.NotFoundError, match="no cluster c-1; its Spark warehouses: big"):
        builder.remote(host=both.uri, token=own, cluster_id="c-1").getOrCreate()
    with pytest.raises(isthmus.BadInputError, match="warehouse embedded is no Spark; its Spark warehouses: big"):
        builder.remote(host=both.uri, token=own, cluster_id="embedded").getOrCreate()
    with pytest.raises(isthmus.UnauthenticatedError, match="refused the token"):
        builder.remote(host=both.uri, token="none", cluster_id="big").getOrCreate()


@pytest.mark.parametrize("query, problem, where", [
    ("SELECT *\nFROM customer WHERE WHERE x", "PARSE_SYNTAX_ERROR", "line 2, pos 21"),
    ("SELECT *\nFROM customer WHERE nope = 1", "UNRESOLVED_COLUMN", "line 2, pos 21"),
    ("SELECT 1 / 0", "DIVIDE_BY_ZERO", "line 1, pos 8"),
    ("SELECT * FROM nowhere", "TABLE_OR_VIEW_NOT_FOUND", "line 1, pos 15"),
    ("SELECT reflect('java.lang.System', 'getenv', 'HOME')", "reflect is not supported", None),
    ("SELECT * FROM parquet.`/etc/passwd`", "cannot be found", None),
    ("SELECT TRANSFORM (c_name) USING 'cat' AS (x) FROM customer", "TRANSFORM|SYNTAX", None),
    ("SET spark.sql.ansi.enabled = false", "not supported", None),
])
def test_warehouse__spark_errors(both, query, problem, where):
    with pytest.raises(errors.IsthmusError, match=problem) as caught:
        on_spark(query, both).to_arrow()
    if where:
        assert caught.value.where == where, caught.value


def test_warehouse__spark_is_interrupted(both):
    begun = time.monotonic()
    with pytest.raises(errors.RetryableError):
        on_spark("SELECT count(*) FROM range(1000000000000) WHERE id % 7 = 3", both, timeout=6)
    assert on_spark("SELECT 2 AS two", both).to_arrow()["two"].to_pylist() == [2]
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("title", ["pricing summary", "every type", "no rows", "many rows"])
def test_warehouse__ray_reads(title, expected, settings, cluster):
    """Ray's own reader, as it is, and the one that takes its place: the same arguments, the same rows."""
    arguments = {"warehouse_id": "embedded", "catalog": "main", "schema": "tests", "query": STATEMENTS[title]}
    for read in (cluster.data.read_databricks_tables, isthmus.read_databricks_tables):
        blocks = cluster.get(read(**arguments).to_arrow_refs())
        rows = [row for block in blocks for row in plain(block)]
        assert sorted(rows, key=str) == sorted(expected[title], key=str), read
    table = isthmus.read_databricks_tables(warehouse_id="embedded", catalog="main", schema="tests", table="customer")
    assert table.count() == 150


def test_warehouse__read_sql_has_rays_arguments(cluster):
    import inspect

    ours = inspect.signature(isthmus.read_databricks_tables).parameters
    rays = inspect.signature(cluster.data.read_databricks_tables).parameters
    assert list(ours) == list(rays)
    assert {name: ours[name].default for name in ours} == {name: rays[name].default for name in rays}


def test_warehouse__read_sql_in_ray(data, cluster):
    ds = isthmus.read_sql("SELECT * FROM lineitem WHERE l_tax > :tax", schema="tests", parameters={"tax": 0.05},
                          override_num_blocks=2)
    assert ds.schema().names[:2] == ["l_orderkey", "l_linenumber"]
    assert ds.count() == sum(i % 9 > 5 for i in range(SCALE))
    empty = isthmus.read_sql("SELECT l_tax FROM lineitem WHERE l_tax > 1", schema="tests")
    assert empty.count() == 0 and empty.schema().names == ["l_tax"]
    with pytest.raises(errors.BadInputError, match="TABLE_OR_VIEW_NOT_FOUND"):
        isthmus.read_sql("SELECT * FROM tests.nowhere")


def test_warehouse__what_read_sql_read_is_an_input_of_what_is_written(data, cluster):
    isthmus.read_sql("SELECT o_orderkey, c_name FROM orders JOIN customer ON o_custkey = c_custkey", schema="tests") \
        .write_databricks_table("main.tests.from_read_sql")
    upstream = isthmus.lineage("main.tests.from_read_sql", depth=1)["upstream"]
    assert {edge["source"] for edge in upstream} == {"main.tests.orders", "main.tests.customer"}


# ---- isthmus.sql -----------------------------------------------------------------------------------------------------


def test_warehouse__parameters(data):
    given = {"text": "it's", "flag": True, "int": 7, "long": 1 << 40, "double": 0.25, "money": decimal.Decimal("12.50"),
             "day": datetime.date(2024, 2, 29), "at": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc),
             "local": datetime.datetime(2024, 2, 29, 12, 30), "none": None, "typed": ("5", "SMALLINT")}
    result = isthmus.sql("SELECT " + ", ".join(f":{name} AS {name}" for name in given), given)
    row, = result.to_arrow().to_pylist()
    assert row == {**given, "typed": 5}
    told = dict(zip(result.schema.names, map(str, result.schema.types)))
    assert (told["int"], told["long"], told["money"], told["typed"]) == ("int32", "int64", "decimal128(4, 2)", "int16")
    one = isthmus.sql("SELECT :a AS a", [{"name": "a", "value": "1", "type": "INT"}])
    assert one.to_arrow()["a"].to_pylist() == [1]
    with pytest.raises(errors.BadInputError, match="parameter a: a list is none of"):
        isthmus.sql("SELECT :a", {"a": [1]})


def test_warehouse__schemas_of_the_manifest_are_those_of_the_rows(data):
    result = isthmus.sql("SELECT * FROM tests.everything")
    told, read = result.schema, result.to_arrow().schema
    assert told.names == read.names
    assert told.types == read.types
    assert isthmus.sql("SELECT * FROM tests.everything WHERE id < 0").to_arrow().schema.types == read.types


def test_warehouse__limits(data):
    result = isthmus.sql("SELECT * FROM tests.lineitem", row_limit=5)
    assert (result.rows, result.is_truncated, result.to_arrow().num_rows) == (5, True, 5)
    assert "cut at a limit" in repr(result)
    assert not isthmus.sql("SELECT * FROM tests.customer", row_limit=150).is_truncated
    small = isthmus.sql("SELECT id FROM range(100000)", byte_limit=8000)
    assert small.is_truncated and 0 < small.rows <= 1000


def test_warehouse__results_are_arrow_streams(data):
    import duckdb

    result = isthmus.sql("SELECT c_custkey FROM tests.customer ORDER BY c_custkey")
    assert pa.table(result).num_rows == 150
    assert duckdb.from_arrow(result.to_arrow()).sum("c_custkey").fetchall() == [(sum(range(150)),)]
    assert result.to_pandas()["c_custkey"].tolist() == list(range(150))


def test_warehouse__errors_say_what_and_where(data):
    with pytest.raises(errors.BadInputError, match="PARSE_SYNTAX_ERROR") as caught:
        isthmus.sql("SELECT *\nFROM tests.customer WHERE WHERE c_custkey = 1")
    assert caught.value.where.startswith("line 2, pos ")
    with pytest.raises(errors.NotFoundError, match="nowhere"):
        isthmus.sql("SELECT 1", warehouse_id="nowhere")
    with pytest.raises(errors.UnauthenticatedError):
        isthmus.sql("SELECT 1", connection=isthmus.Catalog(server_info()["url"], token="wrong"))


def test_warehouse__timeout_cancels(data):
    begun = time.monotonic()
    with pytest.raises(errors.RetryableError, match="did not end in the time|Timeout|timed out"):
        isthmus.sql("SELECT count(*) FROM range(100000000000) WHERE id % 7 = 3", timeout=6)
    assert time.monotonic() - begun < 20
    assert _state_of_last() == "CANCELED"


def _state_of_last():
    """Of the newest statement, when it has ended."""
    for _ in range(100):
        newest = isthmus.catalog.connect().request("GET", "/api/2.0/sql/history/queries?max_results=1")["res"][0]
        if newest["is_final"]:
            break
        time.sleep(0.1)
    return newest["status"]


# ---- grants and tokens -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def admin(services):
    return isthmus.catalog.connect()


@pytest.fixture(scope="module")
def alice(admin, data):
    """A user's connection: may read customer, and nothing else."""
    name = "alice.sql@example.org"
    admin.create_user(name)
    for kind, full_name, privilege in (("catalog", "main", "USE CATALOG"), ("schema", "main.tests", "USE SCHEMA"),
                                       ("table", "main.tests.customer", "SELECT")):
        admin.grant(privilege, kind, full_name, to=name)
    return isthmus.Catalog(admin.uri, token=admin.create_token(name))


def test_warehouse__grants_are_checked(alice):
    count = isthmus.sql("SELECT count(*) AS n FROM tests.customer", connection=alice)
    assert count.to_arrow()["n"].to_pylist() == [150]
    for query in ("SELECT * FROM tests.orders",
                  "SELECT c_name FROM tests.customer JOIN tests.orders ON c_custkey = o_custkey"):
        with pytest.raises(errors.IsthmusError, match="orders"):
            isthmus.sql(query, connection=alice)


def test_warehouse__merge_needs_select_and_modify(admin, alice):
    name = "main.tests.mergeable"
    isthmus.write_deltalake(name, {"c_custkey": [1, 2, 1000], "note": ["a", "b", "c"]})
    merge = ("MERGE INTO tests.mergeable t USING tests.customer c ON t.c_custkey = c.c_custkey "
             "WHEN MATCHED THEN UPDATE SET note = c.c_name WHEN NOT MATCHED BY SOURCE THEN DELETE")
    for privilege in ("SELECT", "MODIFY"):
        with pytest.raises(errors.IsthmusError, match="mergeable"):
            isthmus.sql(merge, connection=alice)
        admin.grant(privilege, "table", name, to="alice.sql@example.org")
    merged = isthmus.sql(merge, connection=alice).to_arrow()
    assert plain(merged) == [{"num_affected_rows": 3, "num_updated_rows": 2, "num_deleted_rows": 1,
                              "num_inserted_rows": 0}]
    assert isthmus.Table(name).to_arrow()["note"].to_pylist() == ["Customer#000000001", "Customer#000000002"]
    admin.delete_table(name)


def test_warehouse__filters_look_up_as_their_functions_owner(admin, alice):
    """She reads the table, and not the table that its filter asks."""
    isthmus.write_deltalake("main.tests.staff", {"id": [1, 2, 3], "team": ["a", "b", "a"]})
    isthmus.write_deltalake("main.tests.staff_seen_by", {"who": ["alice.sql@example.org"], "team": ["a"]})
    body = "EXISTS (SELECT 1 FROM staff_seen_by s WHERE s.who = current_user() AND s.team = t)"
    parameter = {"name": "t", "type_text": "string", "type_json": '"string"', "type_name": "STRING", "position": 0}
    admin.create("function", function_info={
        "name": "seen", "catalog_name": "main", "schema_name": "tests", "data_type": "BOOLEAN",
        "full_data_type": "BOOLEAN", "routine_body": "SQL", "routine_definition": body, "parameter_style": "S",
        "is_deterministic": True, "sql_data_access": "READS_SQL_DATA", "is_null_call": False, "specific_name": "seen",
        "security_type": "DEFINER", "input_params": {"parameters": [parameter]}})
    row_filter = {"function_name": "main.tests.seen", "input_column_names": ["team"]}
    admin.update_table("main.tests.staff", row_filter=row_filter)
    admin.grant("SELECT", "table", "main.tests.staff", to="alice.sql@example.org")
    query = "SELECT id FROM tests.staff ORDER BY 1"
    assert isthmus.sql(query, connection=alice).to_arrow()["id"].to_pylist() == [1, 3]
    with pytest.raises(errors.IsthmusError, match="staff_seen_by"):
        isthmus.sql("SELECT * FROM tests.staff_seen_by", connection=alice)
    admin.update("function", "main.tests.seen", owner="alice.sql@example.org")
    with pytest.raises(errors.IsthmusError, match="function's owner may not read") as failed:
        isthmus.sql(query, connection=alice)
    assert "seen_by" not in str(failed.value)
    for name in ("staff", "staff_seen_by"):
        admin.delete_table(f"main.tests.{name}")
    admin.delete("function", "main.tests.seen")


def test_warehouse__tables_of_files(admin, alice, tmp_path):
    (tmp_path / "a.csv").write_text("1,one\n2,two\n")
    columns = [{"name": name, "type_name": type, "type_text": type.lower(), "position": i, "type_json": json.dumps(
        {"name": name, "type": type.lower(), "nullable": True, "metadata": {}})}
        for i, (name, type) in enumerate((("id", "INT"), ("word", "STRING")))]
    admin.create("table", catalog_name="main", schema_name="tests", name="by_files", table_type="EXTERNAL",
                 data_source_format="CSV", storage_location=f"file://{tmp_path}", columns=columns)
    with pytest.raises(errors.IsthmusError, match="by_files"):
        isthmus.sql("SELECT * FROM tests.by_files", connection=alice)
    admin.grant("SELECT", "table", "main.tests.by_files", to="alice.sql@example.org")
    assert plain(isthmus.sql("SELECT * FROM tests.by_files ORDER BY 1", connection=alice).to_arrow()) == [
        {"id": 1, "word": "one"}, {"id": 2, "word": "two"}]
    admin.delete_table("main.tests.by_files")


def test_warehouse__a_providers_token_is_replaced_once(data, cluster):
    from ray.data._internal.datasource.databricks_credentials import DatabricksCredentialProvider

    told = server_info()

    class Provider(DatabricksCredentialProvider):
        """Its first token has expired; in the worker again."""

        def __init__(self):
            self.token, self.invalidated = "expired", 0

        def get_token(self):
            return self.token

        def get_host(self):
            return told["url"]

        def invalidate(self):
            self.invalidated += 1
            self.token = told["token"]

        def __reduce__(self):
            return Provider, ()

    provider = Provider()
    ds = isthmus.read_databricks_tables(warehouse_id="embedded", query="SELECT * FROM main.tests.customer",
                                        credential_provider=provider)
    assert ds.count() == 150 and len(ds.take_all()) == 150
    assert provider.invalidated == 1


# ---- what breaks -----------------------------------------------------------------------------------------------------


class Proxy:
    """Between a client and the server: breaks connections after so many bytes of answers, or slows them."""

    def __init__(self, port, drop_after=None, drops=1 << 30, pause=0):
        self.port, self.drop_after, self.drops, self.pause = port, drop_after, drops, pause
        self.connections = self.dropped = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source, sink, answers=False):
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    time.sleep(self.pause)
                    if self.drop_after and self.dropped < self.drops and sent + len(data) > self.drop_after:
                        sink.sendall(data[:self.drop_after - sent])
                        self.dropped += 1
                        break
                sink.sendall(data)
                sent += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listening.close()


BIG = "SELECT id, concat('some text of row ', id) AS text FROM range(1000000)"  # some 40 MB


@pytest.fixture
def proxied(services):
    """Start a proxy in front of the server; a connection through it."""
    started = []

    def start(**faults):
        told = server_info()
        started.append(Proxy(urllib.parse.urlsplit(told["url"]).port, **faults))
        return started[-1], isthmus.Catalog(started[-1].url, token=told["token"])

    yield start
    for proxy in started:
        proxy.close()


def check_big(table):
    assert table.num_rows == 1000000
    assert pc.sum(table["id"]).as_py() == sum(range(1000000))
    assert table["text"][999999].as_py() == "some text of row 999999"


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_warehouse__dropped_connections_are_resumed(proxied, compression):
    proxy, connection = proxied(drop_after=1 << 20)
    result = isthmus.sql(BIG, connection=connection, compression=compression)
    check_big(result.to_arrow())
    assert proxy.dropped >= (20 if compression == "none" else 3)


def files_mapped():
    """Lines of this process's maps for files without a name in the server's home."""
    with open("/proc/self/maps") as maps:
        return [line for line in maps if native.home() in line and line.endswith("(deleted)\n")]


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_warehouse__results_are_mapped_on_the_servers_machine(proxied, compression):
    """Not copied, read-only, and as long as their rows are used; a server that seems elsewhere is asked over HTTP."""
    before = len(files_mapped())
    table = isthmus.sql(BIG, compression=compression).to_arrow()
    mapped = files_mapped()
    assert len(mapped) - before == (3 if compression == "none" else 0)  # what is decompressed is in memory
    assert all(line.split()[1] == "r--s" for line in mapped)
    check_big(table)
    del table
    assert len(files_mapped()) == before
    _, connection = proxied()
    table = isthmus.sql(BIG, connection=connection, compression="none").to_arrow()
    assert len(files_mapped()) == before
    check_big(table)


def test_warehouse__slow_connections_are_waited_for(proxied):
    _, connection = proxied(pause=0.003)
    check_big(isthmus.sql(BIG, connection=connection).to_arrow())


def test_warehouse__a_reader_that_goes_leaves_nothing(services):
    """Streams that are not read to their end free their threads and memory; the server its descriptors."""
    result = isthmus.sql(BIG)
    threads = threading.active_count()
    for _ in range(5):
        reader = result.reader()
        reader.read_next_batch()
        reader.close()
        del reader
    assert threading.active_count() == threads
    check_big(result.to_arrow())


@pytest.fixture
def own(tmp_path_factory):
    """A server of the test's own, which it may kill."""
    server = Server(tmp_path_factory.mktemp("own"))
    yield server, isthmus.Catalog(server.url, token=server.token)
    with contextlib.suppress(Exception):
        server.kill()


def test_warehouse__server_killed_in_mid_result(own):
    server, connection = own
    statement = native.Statement(connection, BIG, memory_bytes=1, threads=1)
    statement.wait()
    reader = statement.read()
    reader.read_next_batch()
    kept = statement.read().read_all()
    server.kill()
    with pytest.raises((errors.RetryableError, errors.NotFoundError)):
        for _ in reader:
            pass
    check_big(kept)
    server.start()
    connection = isthmus.Catalog(server.url, token=server.token)
    with pytest.raises(errors.IsthmusError, match="submit") as caught:
        native.Statement.open(connection, statement.id).wait()
    assert isinstance(caught.value, (errors.NotFoundError, errors.RetryableError, errors.StorageError,
                                     errors.BadInputError)), caught.value
    assert isthmus.sql("SELECT 1 AS one", connection=connection).rows == 1


def engines_of(pid):
    """The worker processes of a server, which its threads start."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return [int(child) for child in found]


def test_warehouse__engine_killed_in_mid_statement(own):
    server, connection = own
    isthmus.sql("SELECT 1", connection=connection)
    failure = []

    def run():
        try:
            isthmus.sql("SELECT count(*) FROM range(100000000000) WHERE id % 7 = 3", connection=connection)
        except errors.IsthmusError as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(20):  # until it was the one that runs it
        thread.join(1)
        for pid in engines_of(server.process.pid) if thread.is_alive() else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert failure and "engine" in str(failure[0]), failure
    assert isthmus.sql("SELECT 2 AS two", connection=connection).to_arrow()["two"].to_pylist() == [2]


def test_warehouse__expired_links_are_not_served(settings):
    """The link itself says until when; the client asks for another (tests/warehouse/test_statement_client.c)."""
    statement = native.Statement(isthmus.Catalog(), "SELECT 1 AS one")
    statement.wait()
    answer = isthmus.catalog.connect().request("GET", f"/api/2.0/sql/statements/{statement.id}/result/chunks/0")
    link = urllib.parse.urlsplit(answer["external_links"][0]["external_link"])
    expired = "&".join("expires=1000" if part.startswith("expires=") else part for part in link.query.split("&"))
    connection = http.client.HTTPConnection(link.netloc)
    connection.request("GET", f"{link.path}?{expired}")
    assert connection.getresponse().status == 403
    assert statement.read().read_all().num_rows == 1


# ---- the command -----------------------------------------------------------------------------------------------------


def command(*arguments, input=None, code=0):
    done = subprocess.run([COMMAND, "sql", *arguments], capture_output=True, text=True, input=input or "", timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_warehouse__command_prints(data, tmp_path):
    query = "SELECT c_custkey AS key, c_name AS name, c_acctbal FROM customer WHERE c_custkey < :most ORDER BY 1"
    arguments = ("--schema", "main.tests", "--param", "most=2:BIGINT")
    assert command(*arguments, query).splitlines()[-1] == "(2 rows)"
    assert [json.loads(line)["key"] for line in command("--json", *arguments, query).splitlines()] == [0, 1]
    file = tmp_path / "q.sql"
    file.write_text(query)
    rows = list(csv.DictReader(io.StringIO(command("--csv", *arguments, "--file", str(file)))))
    assert rows[1]["name"] == "Customer#000000001"
    assert "(1 row)" in command(input="SELECT 1 AS one")
    assert command("--limit", "3", "SELECT id FROM range(10)").endswith("(3 rows, there are more)\n")
    assert command("--param", "at=12:30", "--csv", "SELECT :at AS at") == "at\n12:30\n"
    history = json.loads(command("--history", "--limit", "2", "--json"))
    assert [entry["query_text"] for entry in history] == ["SELECT :at AS at", "SELECT id FROM range(10)"]


def test_warehouse__command_shows_the_place(data):
    shown = command("SELECT 'é' AS a,\n       b FROM main.tests.nowhere", code=1).splitlines()
    assert shown[0] == "           b FROM main.tests.nowhere"
    assert shown[1] == " " * (4 + 25) + "^"
    assert shown[2].startswith("isthmus: sql: [TABLE_OR_VIEW_NOT_FOUND]")
    assert "NAME=VALUE" in command("--param", "x", "SELECT 1", code=2)


def test_warehouse__command_is_interrupted(data):
    process = subprocess.Popen([COMMAND, "sql", "SELECT count(*) FROM range(100000000000) WHERE id % 7 = 5"],
                               stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 1 and "cancelled" in told
    assert _state_of_last() == "CANCELED"
