"""A worker of the embedded engine, by its channel."""

import datetime
import decimal
import itertools
import json
import os
import resource
import time

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus
from conftest import make_rows
from engine_driver import Failed, Worker


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
    assert 900 < answer.done["rows"] <= 1000 and answer.done["truncated"]
    with pytest.raises(Failed, match="EXTERNAL_LINKS"):
        worker.run("SELECT id FROM range(100000)", inline_limit=8000)
    answer = worker.run("SELECT 1 AS one WHERE 1 = 0")
    assert answer.names == ["one"] and answer.table().schema.names == ["one"] and answer.rows() == []


def test_engine__parameters(worker, small):
    parameters = [{"name": "low", "value": "9", "type": "BIGINT"}, {"name": "word", "value": "w'9"}, {"name": "none"}]
    assert worker.rows("SELECT id, :word, :none FROM small WHERE id = :low", parameters=parameters) == [(9, "w'9",
        None)]
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


# ---- what SQL must not reach -----------------------------------------------------------------------------------------


ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM csv.`/etc/passwd`", "SELECT * FROM parquet.`/etc/passwd`", "SELECT * FROM delta.`/tmp`",
    "SELECT * FROM `/etc/passwd`", "SELECT * FROM glob('/*')", "SELECT * FROM read_files('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/x'", "COPY INTO small FROM '/etc/passwd'", "ATTACH '/tmp/x.db' AS x", "INSTALL httpfs",
    "LOAD httpfs", "PRAGMA version", "SET memory_limit = '100GB'", "SET VARIABLE x = 1", "RESET ALL",
    "CALL pragma_version()",
    "USE CATALOG main", "EXPORT DATABASE '/tmp/x'", "CHECKPOINT", "BEGIN", "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1", "CREATE FUNCTION f() RETURNS INT RETURN 1", "CREATE SCHEMA s",
    "DROP SCHEMA tests",
    "ALTER TABLE small ADD COLUMN x INT", "GRANT SELECT ON small TO x", "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN COPY small TO '/tmp/x'", "SELECT getenv('HOME')", "SELECT current_setting('memory_limit')",
    "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_functions()", "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM pg_catalog.pg_tables", "SELECT * FROM pg_tables", "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables", "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM temp.information_schema.tables", "SELECT * FROM duckdb_logs", "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('small')", "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM arrow_scan(1, 2, 3)", "SELECT * FROM python_arrow_scan(1, 2, 3)", "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM seq_scan('x')", "SELECT * FROM test_all_types()", "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')", "SELECT * FROM sys", "SELECT * FROM df",
    "SELECT current_query()", "SELECT nextval('x')", "SELECT write_log('x')", "SELECT getvariable('x')",
    "SELECT pg_sleep(1)",
    "SELECT json_serialize_plan('SELECT 1')", "SELECT system.main.getenv('HOME')", "SELECT `getenv`('HOME')",
    "SELECT * FROM (DESCRIBE small)", "SELECT * FROM (SHOW TABLES)",
    "FROM small SELECT * EXCEPT (x) WHERE getenv('x') IS NULL",
    "SELECT (SELECT max(x) FROM read_text('/etc/passwd') t(x))",
    "WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT 1",
    "SELECT 1 ORDER BY getenv('HOME')", "SELECT transform(array(1), x -> getenv('HOME'))", "SELECT 1 LIMIT getenv('x')",
    "SELECT * FROM range(getenv('x'))", "SELECT * FROM (WITH duckdb_settings AS (SELECT 1) SELECT 1), duckdb_settings",
    "SELECT sum(1) FILTER (WHERE getenv('x') IS NULL)", "SELECT count(*) OVER (PARTITION BY getenv('x'))",
    "VALUES (getenv('HOME'))", "SELECT * FROM VALUES (getenv('HOME'))",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_engine__does_not_let_out(worker, small, sql):
    with pytest.raises(Failed) as failed:
        worker.run(sql)
    message = failed.value.frame["message"]
    assert failed.value.frame["error_code"] == "BAD_REQUEST", message
    assert "root:" not in message and "isthmus 0" not in message
    assert worker.rows("SELECT 1") == [(1,)]


def test_engine__statements_leave_nothing_for_the_next(worker, small):
    assert worker.rows("SELECT count(*) FROM small") == [(11,)]
    for sql in ("SELECT * FROM temp.main.small", "SELECT * FROM memory.main.small"):
        with pytest.raises(Failed, match="TABLE_OR_VIEW_NOT_FOUND"):
            worker.run(sql)


# ---- tables that are not Delta tables --------------------------------------------------------------------------------


@pytest.fixture
def register(schema, tmp_path):
    """Make a table of files; its folder."""
    catalog, made = isthmus.catalog.connect(), []

    def make(name, form, columns, **members):
        folder = tmp_path / name
        folder.mkdir()
        columns = [{"name": column, "type_name": type.partition("(")[0], "type_text": type.lower(), "position": i,
                    "type_json": json.dumps({"name": column, "type": type.lower(), "nullable": True, "metadata": {}})}
                   for i, (column, type) in enumerate(columns.items())]
        catalog.create("table", catalog_name="main", schema_name="tests", name=name, table_type="EXTERNAL",
                       data_source_format=form, storage_location=f"file://{folder}", columns=columns, **members)
        made.append(name)
        return folder

    yield make
    for name in made:
        catalog.delete_table(f"main.tests.{name}")


def test_engine__tables_of_parquet(worker, register):
    folder = register("parquets", "PARQUET", {"id": "LONG", "at": "TIMESTAMP", "amount": "DECIMAL(10,2)", "p": "INT"})
    for name in ("p=1", "p=__HIVE_DEFAULT_PARTITION__", "_temporary"):
        (folder / name).mkdir()
    at = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    pq.write_table(pa.table({"id": pa.array([1, None], pa.int32()), "AT": [at, None]}), folder / "p=1" / "a.parquet")
    pq.write_table(pa.table({"amount": [decimal.Decimal("1.5")], "other": ["x"], "id": [3]}),
                   folder / "p=__HIVE_DEFAULT_PARTITION__" / "b.snappy.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "_temporary" / "c.parquet").write_text("half of a file")
    rows = worker.run("SELECT * FROM parquets ORDER BY id")
    assert rows.types == ["BIGINT", "TIMESTAMP", "DECIMAL(10,2)", "INT"]
    assert rows.rows() == [(None, None, None, 1), (1, at, None, 1), (3, None, decimal.Decimal("1.50"), None)]
    assert rows.done["lineage"]["inputs"] == ["main.tests.parquets"]
    assert worker.rows("SELECT count(*) FROM parquets") == [(3,)]
    assert worker.rows("SELECT id FROM parquets WHERE p = 1 AND at > '2024-01-01' OR amount = 1.5 ORDER BY 1") == [
        (1,), (3,)]
    assert worker.rows("CREATE TABLE from_files AS SELECT id FROM parquets WHERE id = 3") == [(1, 1)]
    worker.run("DROP TABLE from_files")
    for sql, match in (("INSERT INTO parquets VALUES (1, NULL, NULL, 1)", "PARQUET, not DELTA"),
                       ("DELETE FROM parquets", "PARQUET, not DELTA"),
                       ("SELECT * FROM parquets VERSION AS OF 0", "Time travel of the PARQUET table")):
        with pytest.raises(Failed, match=match):
            worker.run(sql)


def test_engine__tables_of_text(worker, register):
    columns = {"id": "LONG", "day": "DATE", "word": "STRING"}
    folder = register("commas", "CSV", columns)
    (folder / "a.csv").write_text('1,2024-02-03,"one, two"\n2,,""\n')
    (folder / "sub").mkdir()
    (folder / "sub" / "b.csv").write_text("3,2024-02-04,\n")
    day = datetime.date(2024, 2, 3)
    assert worker.rows("SELECT * FROM commas ORDER BY id") == [
        (1, day, "one, two"), (2, None, ""), (3, day + datetime.timedelta(1), None)]
    (register("headed", "CSV", columns, properties={"header": "true", "sep": ";"}) / "a.csv").write_text(
        "word;id\n007;7\n")
    assert worker.rows("SELECT * FROM headed") == [(7, None, "007")]
    folder = register("lines", "JSON", columns)
    (folder / "a.json").write_text('{"word": "x", "id": 1, "more": {"a": 1}}\n{"id": 2, "day": "2024-02-03"}\n')
    assert worker.rows("SELECT * FROM lines ORDER BY id") == [(1, None, "x"), (2, day, None)]
    (folder / "b.json").write_text('{"id": "a secret"}\n')
    with pytest.raises(Failed, match=r"CANNOT_READ_TABLE.*main.tests.lines.*b.json is not JSON") as failed:
        worker.run("SELECT day FROM lines")
    assert "secret" not in str(failed.value)
    (folder / "b.json.gz").touch()
    with pytest.raises(Failed, match="b.json.gz of main.tests.lines, which is compressed"):
        worker.run("SELECT * FROM lines")
    register("words", "TEXT", {"value": "STRING"})
    register("unknown", "PARQUET", {})
    for name, match in (("words", "Reading the TEXT table"), ("unknown", "does not tell its columns")):
        with pytest.raises(Failed, match=match):
            worker.run(f"SELECT * FROM {name}")


# ---- views and policies ----------------------------------------------------------------------------------------------


def view(sql, columns=()):
    return {"kind": "VIEW", "table_type": "VIEW", "view_definition": sql, "owner": "bob@example.com",
            "columns": [{"name": name} for name in columns]}


def test_engine__views(worker, small):
    worker.infos.update({
        "main.tests.low": view("SELECT id, word FROM main.tests.small WHERE id < 3"),
        "main.tests.low_words": view("WITH x AS (SELECT * FROM low) SELECT id + 1, word FROM x", ["next", "word"]),
        "main.tests.loop": view("SELECT * FROM loop2"), "main.tests.loop2": view("SELECT * FROM tests.loop"),
        "main.tests.broken": view("SELECT ("), "main.tests.mine": view("SELECT current_user() AS who"),
    })
    worker.asked.clear()
    assert worker.rows("SELECT v.* FROM low_words v WHERE next > 1 ORDER BY 1") == [(2, "w1"), (3, "w2")]
    assert [[(entry["name"][2], entry.get("via")) for entry in frame["tables"]] for frame in worker.asked] == [
        [("low_words", None)], [("low", ["main.tests.low_words"])], [("small", ["main.tests.low_words",
            "main.tests.low"])]]
    # A common table expression of the statement is not what a view reads.
    assert worker.rows("WITH small AS (SELECT 1 AS id) SELECT count(*) FROM low, small") == [(3,)]
    assert worker.rows("SELECT low.id FROM low JOIN small ON low.id = small.id ORDER BY 1") == [(0,), (1,), (2,)]
    assert worker.rows("SELECT who FROM mine") == [("alice@example.com",)]
    with pytest.raises(Failed, match=r"\[RECURSIVE_VIEW\].*loop -> main.tests.loop2 -> main.tests.loop"):
        worker.run("SELECT * FROM loop")
    with pytest.raises(Failed, match="The view main.tests.broken cannot be read"):
        worker.run("SELECT * FROM broken")
    with pytest.raises(Failed) as failed:
        worker.run("SELECT CAST(word AS INT) FROM low")
    assert "w0" not in str(failed.value)


def test_engine__nested_views_are_bounded(worker, small):
    for i in range(40):
        worker.infos[f"main.tests.deep{i}"] = view(f"SELECT * FROM deep{i - 1}" if i else "SELECT * FROM small")
        worker.infos[f"main.tests.wide{i}"] = view(
            f"SELECT a.id FROM wide{i - 1} a JOIN wide{i - 1} b USING (id)" if i else "SELECT id FROM small")
    assert worker.rows("SELECT count(*) FROM deep30") == [(11,)]
    for sql in ("SELECT count(*) FROM deep39", "SELECT count(*) FROM wide30"):
        with pytest.raises(Failed, match="VIEW_EXCEED_MAX_NESTED_DEPTH"):
            worker.run(sql)


def function(body, *parameters):
    return {"routine_body": "SQL", "routine_definition": body,
            "input_params": {"parameters": [{"name": name} for name in parameters]}}


@pytest.fixture
def policed(worker, schema):
    """main.tests.people: of 6 rows the 3 of region EU may be seen, and secrets not at all but by auditors."""
    try:
        isthmus.write_deltalake("main.tests.people", pa.table({
            "id": range(6), "region": ["EU", "US"] * 3, "secret": [f"s{i}" for i in range(6)],
            "pay": [10.5 * i for i in range(6)],
        }), mode="error")
    except isthmus.AlreadyExistsError:
        pass
    info = isthmus.catalog.connect().get_table("main.tests.people")
    masks = {"secret": {"function_name": "main.tests.hide"},
             "pay": {"function_name": "main.tests.round_pay", "using_column_names": ["region"]}}
    worker.infos["main.tests.people"] = {
        **info, "columns": [{**column, **({"mask": masks[column["name"]]} if column["name"] in masks else {})}
                            for column in info["columns"]],
        "row_filter": {"function_name": "main.tests.mine", "input_column_names": ["region"]},
        "functions": {
            "main.tests.mine": function("is_account_group_member('auditors') OR r = 'EU'", "r"),
            "main.tests.hide": function("RETURN CASE WHEN is_account_group_member('auditors') THEN v ELSE '***' END",
            "v"),
            "main.tests.round_pay": function("IF(r = 'EU', pay - pay % 10, 0)", "pay", "r"),
        }}
    return "main.tests.people"


def test_engine__row_filters_and_masks(worker, policed):
    assert worker.rows("SELECT * FROM people ORDER BY id") == [
        (0, "EU", "***", 0.0), (2, "EU", "***", 20.0), (4, "EU", "***", 40.0)]
    assert worker.rows("SELECT count(*) FROM people") == [(3,)]
    assert worker.rows("SELECT secret FROM people WHERE id = 2") == [("***",)]
    assert worker.rows("SELECT count(*), max(secret) FROM people", groups=["auditors"]) == [(6, "s5")]
    worker.infos["main.tests.over"] = view("SELECT * FROM people")
    assert worker.rows("SELECT id, secret FROM over WHERE id > 2") == [(4, "***")]


LEAKS = [
    "SELECT id FROM people WHERE secret = 's1'", "SELECT id FROM people WHERE secret LIKE 's%'",
    "SELECT id FROM people WHERE region = 'US'", "SELECT id FROM people WHERE id = 1",
    "SELECT p.id FROM people p WHERE p.pay = 10.5",
    "SELECT id FROM people WHERE CASE WHEN region = 'US' THEN CAST(secret AS INT) ELSE 0 END > 0",
    "SELECT id FROM people WHERE region = 'US' OR id = 3",
    "SELECT a.id FROM people a JOIN people b ON a.id = b.id WHERE a.id = 5",
    "SELECT id FROM people WHERE NOT (region = 'EU')", "SELECT id FROM people WHERE region IS DISTINCT FROM 'EU'",
    "SELECT id FROM people GROUP BY id HAVING max(region) = 'US'",
    "SELECT id FROM people QUALIFY max(region) OVER (PARTITION BY id) = 'US'",
    "SELECT id FROM people WHERE if(region = 'US', raise_error(secret), 'x') = 'y'",
    "SELECT id FROM people WHERE region = 'US' AND CAST(secret AS INT) = 1",
    "SELECT id FROM people WHERE id IN (SELECT id FROM people WHERE region = 'US')",
]


# The filter of policed, by looking it up.
LOOK_UPS = [
    "EXISTS (SELECT 1 FROM regions_of m WHERE m.who = current_user() AND m.region = r)",
    "r IN (SELECT region FROM tests.regions_of WHERE who = current_user())",
    "RETURN (SELECT count(*) > 0 FROM main.tests.regions_of WHERE who = current_user() AND regions_of.region = mine.r)",
    "EXISTS (WITH x AS (SELECT * FROM seen_regions) SELECT * FROM x WHERE x.whose = current_user() AND x.region = r)",
]


@pytest.fixture
def looked_up(worker, policed):
    """main.tests.regions_of: alice may see the EU, bob the US."""
    rows = {"who": ["alice@example.com", "bob@example.com"], "region": ["EU", "US"]}
    isthmus.write_deltalake("main.tests.regions_of", rows)
    worker.infos["main.tests.seen_regions"] = {**view("SELECT who AS whose, region FROM regions_of"),
                                               "columns": [{"name": "whose"}, {"name": "region"}]}

    def use(body, name="mine", *parameters):
        worker.infos[policed]["functions"][f"main.tests.{name}"] = function(body, *parameters or ("r",))

    yield use
    del worker.infos["main.tests.seen_regions"]
    isthmus.catalog.connect().delete_table("main.tests.regions_of")


@pytest.mark.parametrize("body", LOOK_UPS)
def test_engine__policies_look_up(worker, policed, looked_up, body):
    looked_up(body)
    worker.asked.clear()
    assert worker.rows("SELECT id, region FROM people ORDER BY 1") == [(0, "EU"), (2, "EU"), (4, "EU")]
    way = [entry["via"] for frame in worker.asked for entry in frame["tables"] if entry["name"][2] != "people"]
    assert way and all(via[0] == {"table": policed, "function": "main.tests.mine"} for via in way)
    assert worker.rows("SELECT id FROM people ORDER BY 1", user="bob@example.com") == [(1,), (3,), (5,)]
    assert worker.rows("SELECT count(*) FROM people", user="carol@example.com") == [(0,)]
    isthmus.write_deltalake("main.tests.regions_of", {"who": ["carol@example.com"], "region": ["US"]})
    assert worker.rows("SELECT count(*) FROM people", user="carol@example.com") == [(3,)]
    worker.infos["main.tests.over_people"] = view("SELECT id FROM people")
    worker.asked.clear()
    assert worker.rows("SELECT max(id) FROM over_people") == [(4,)]
    assert [entry["via"][0] for frame in worker.asked for entry in frame["tables"]
            if entry["name"][2] in ("regions_of", "seen_regions")][0] == "main.tests.over_people"


def test_engine__masks_look_up(worker, policed, looked_up):
    sees = "EXISTS (SELECT 1 FROM regions_of WHERE who = current_user() AND region = 'US')"
    looked_up(f"IF({sees}, v, '***')", "hide", "v")
    looked_up("(SELECT CAST(count(*) AS DOUBLE) FROM regions_of m WHERE m.region = r) + pay", "round_pay", "pay", "r")
    looked_up("true")
    assert worker.rows("SELECT secret, pay FROM people WHERE id = 2") == [("***", 22.0)]
    assert worker.rows("SELECT secret, pay FROM people WHERE secret = 's2'", user="bob@example.com") == [("s2", 22.0)]


@pytest.mark.parametrize("sql", LEAKS)
def test_engine__policies_that_look_up_hold(worker, policed, looked_up, sql):
    looked_up(LOOK_UPS[0])
    test_engine__policies_hold(worker, policed, sql)


@pytest.mark.parametrize("body, match", [
    ("EXISTS (SELECT 1 FROM regions_of WHERE who = current_user() AND region = region)", "must say mine.region"),
    ("EXISTS (SELECT region AS r FROM regions_of WHERE r = 'EU')", "uses region, which"),
    ("EXISTS (SELECT 1 FROM regions_of WHERE region = secret)", "uses secret, which is none"),
    ("EXISTS (SELECT 1 FROM regions_of m WHERE m.region = people.region)", "uses region, which is none"),
    ("EXISTS (SELECT 1 FROM regions_of m WHERE m.region = `isthmus policed`.secret)", "uses secret, which is none"),
    ("EXISTS (SELECT 1 FROM hidden_regions)", "not there or that the function's owner may not read"),
    ("EXISTS (SELECT 1 FROM seen_hidden)", "not there or that the function's owner may not read"),
    ("EXISTS (SELECT 1 FROM people p WHERE p.region = 'EU')", "has one itself"),
    ("EXISTS (SELECT 1 FROM regions_of TIMESTAMP AS OF '2024-01-01')", "TIMESTAMP AS OF|not there"),
    ("EXISTS (SELECT 1)", "a query without tables"),
    ("EXISTS (SELECT 1 FROM regions_of WHERE getenv(who) = 'x')", "UNRESOLVED_ROUTINE"),
    ("EXISTS (SELECT 1 FROM regions_of WHERE CAST(who AS INT) = 1)", "fails; its owner must mend it"),
])
def test_engine__look_ups_that_are_refused(worker, policed, looked_up, body, match):
    looked_up(body, "mine", "region" if "= region)" in body or "AS r " in body else "r")
    worker.infos["main.tests.seen_hidden"] = {**view("SELECT 1 AS a FROM hidden_regions"), "columns": [{"name": "a"}]}
    with pytest.raises(Failed, match=match) as failed:
        worker.run("SELECT id FROM people")
    told = str(failed.value)
    assert "regions" not in told and "alice" not in told and "EU" not in told


@pytest.mark.parametrize("sql", LEAKS)
def test_engine__policies_hold(worker, policed, sql):
    try:
        assert worker.rows(sql) == []
    except Failed as failed:
        assert not any(secret in str(failed) for secret in ("s1", "s3", "s5"))


def test_engine__errors_tell_no_hidden_values(worker, policed):
    with pytest.raises(Failed) as failed:
        worker.run("SELECT id FROM people WHERE CAST(secret AS INT) > 0")
    assert "***" in str(failed.value) and "s1" not in str(failed.value)
    worker.infos["main.tests.people"]["functions"]["main.tests.mine"] = function("CAST(r AS INT) > 0", "r")
    with pytest.raises(Failed, match="row filter or a column mask of main.tests.people fails") as failed:
        worker.run("SELECT id FROM people")
    assert "EU" not in str(failed.value)
    with pytest.raises(Failed, match="Time travel"):
        worker.run("SELECT id FROM people VERSION AS OF 0")


def test_engine__policies_that_cannot_be_read_keep_the_table(worker, policed):
    functions = worker.infos["main.tests.people"]["functions"]
    for broken in (None, function("r = 'EU'"), function("x = 'EU'", "r"), function("SELECT 1", "r"), function("r =",
        "r"),
                   function("EXISTS (SELECT 1 FROM absent)", "r"), function("r = 'EU'), (1", "r"),
                       function("getenv(r) = 'x'", "r"),
                   {**function("r", "r"), "routine_body": "EXTERNAL"}):
        functions["main.tests.mine"] = broken
        if broken is None:
            del functions["main.tests.mine"]
        with pytest.raises(Failed):
            worker.run("SELECT id FROM people")


# ---- other statements ------------------------------------------------------------------------------------------------


def test_engine__show_describe_explain(worker, small):
    assert ("main",) in worker.rows("SHOW CATALOGS")
    assert worker.rows("SHOW SCHEMAS IN main LIKE 'test*'") == [("tests",)]
    assert worker.rows("show tables in main.tests like 'sma*|nothing'") == [("tests", "small", False)]
    assert worker.run("SHOW TABLES LIKE 'absent'").done["rows"] == 0
    described = worker.run("DESCRIBE TABLE small")
    assert described.names == ["col_name", "data_type", "comment"]
    assert [row[:2] for row in described.rows()] == [("id", "bigint"), ("word", "string")]
    assert ("Table", "small", "") in worker.rows("DESCRIBE EXTENDED main.tests.small")
    (plan,), = worker.rows("EXPLAIN SELECT word FROM small WHERE id = 1")
    assert "main.tests.small" in plan or "SCAN" in plan and "isthmus 0" not in plan
    for sql in ("SHOW FUNCTIONS", "DESCRIBE HISTORY small", "EXPLAIN INSERT INTO small SELECT 1, 'x'"):
        with pytest.raises(Failed, match="UNSUPPORTED_FEATURE"):
            worker.run(sql)
    with pytest.raises(Failed, match="TABLE_OR_VIEW_NOT_FOUND"):
        worker.run("DESCRIBE TABLE absent")


def origins(facet):
    return {name: [(origin["name"], origin["field"],
        origin["transformations"][0]["subtype"]) for origin in field["inputFields"]]
            for name, field in facet["fields"].items()}


def test_engine__lineage_of_columns(worker, small):
    worker.infos["main.tests.seen"] = view("SELECT id AS i, word AS w FROM small", ["i", "w"])
    lineage = worker.run("""CREATE OR REPLACE TABLE traced AS WITH x AS (SELECT word, max(id) AS top FROM small GROUP
    BY 1)
        SELECT upper(x.word) AS a, x.top + 1 AS b, s.i AS c, (SELECT count(word) FROM tests.small) AS d, 1 AS e FROM x
        JOIN seen s
        ON x.top = s.i UNION ALL SELECT w, i, i, i, i FROM seen""").done["lineage"]
    seen = "main.tests.seen"
    assert lineage["inputs"] == [seen, small]
    assert origins(lineage["columns"]["main.tests.traced"]) == {
        "a": [(small, "word", "TRANSFORMATION"), (seen, "w", "IDENTITY")],
        "b": [(small, "id", "AGGREGATION"), (seen, "i", "IDENTITY")], "c": [(seen, "i", "IDENTITY")],
        "d": [(small, "word", "AGGREGATION"), (seen, "i", "IDENTITY")], "e": [(seen, "i", "IDENTITY")]}
    worker.run("DROP TABLE traced")


def test_engine__create_insert_drop(worker, small):
    created = worker.run("CREATE TABLE copy AS SELECT id, word AS w FROM small WHERE id < 3")
    assert created.rows() == [(3, 3)]
    lineage = created.done["lineage"]
    assert created.done["kind"] == "CREATE"
    assert lineage["inputs"] == [small] and lineage["outputs"] == ["main.tests.copy"]
    assert origins(lineage["columns"]["main.tests.copy"]) == {"id": [(small, "id", "IDENTITY")], "w": [(small, "word",
        "IDENTITY")]}
    with pytest.raises(Failed, match=r"TABLE_OR_VIEW_ALREADY_EXISTS.*pos 14"):
        worker.run("CREATE TABLE copy AS SELECT 1 AS x")
    worker.run("CREATE TABLE IF NOT EXISTS copy AS SELECT 1 AS x")
    assert worker.rows("INSERT INTO copy VALUES (10, 'ten'), (11, NULL)") == [(2, 2)]
    worker.run("INSERT INTO copy (w) SELECT 'only'")
    worker.run("INSERT INTO copy BY NAME SELECT 'named' AS w, 12 AS id")
    worker.run("WITH x AS (SELECT 13 AS id) INSERT INTO copy SELECT id, :w FROM x", parameters=[{"name": "w",
        "value": "p"}])
    assert worker.rows("SELECT * FROM copy ORDER BY id, w") == [
        (None, "only"), (0, "w0"), (1, "w1"), (2, "w2"), (10, "ten"), (11, None), (12, "named"), (13, "p")]
    assert isthmus.Table("main.tests.copy").snapshot().version == 4
    worker.run("INSERT OVERWRITE copy SELECT id + 1.9, word FROM small WHERE id = 1")
    assert worker.rows("SELECT * FROM copy") == [(2, "w1")]
    for sql, match in (("INSERT INTO copy SELECT 1", "takes 2 columns"), ("INSERT INTO copy VALUES ('x', 'y')",
        "CAST_INVALID"),
                       ("INSERT INTO copy (no) VALUES (1)", "no column `no`"), ("INSERT INTO absent VALUES (1)",
                       "NOT_FOUND"),
                       ("INSERT INTO copy (w, W) VALUES (1, 2)", "twice"),
                       ("INSERT INTO copy PARTITION (id = 1) SELECT 'x'", "NON_PARTITION_COLUMN.*pos"),
                       ("INSERT INTO copy REPLACE USING (id) SELECT 1, 'x'", "UNSUPPORTED")):
        with pytest.raises(Failed, match=match):
            worker.run(sql)
    worker.run("CREATE OR REPLACE TABLE copy PARTITIONED BY (p) AS SELECT 1 AS x, 'a' AS p")
    assert worker.rows("SELECT * FROM copy") == [(1, "a")]
    for option in ("TBLPROPERTIES ('a.b' = 'c')", "COMMENT 'new'", "CLUSTER BY (x)", "LOCATION '/tmp/x'"):
        with pytest.raises(Failed, match=option.split()[0]):
            worker.run(f"CREATE OR REPLACE TABLE copy {option} AS SELECT 1 AS x")
    worker.run("DROP TABLE copy")
    with pytest.raises(Failed, match="TABLE_OR_VIEW_NOT_FOUND"):
        worker.run("DROP TABLE copy")
    worker.run("DROP TABLE IF EXISTS copy")
    worker.run("CREATE TABLE made (id BIGINT NOT NULL COMMENT 'its key', at TIMESTAMP, amount DECIMAL(10,2), "
               "tags ARRAY<STRING>) COMMENT 'what is made' TBLPROPERTIES ('a.b' = 'c')")
    assert isthmus.Table("main.tests.made").snapshot().property("a.b") == "c"
    told = isthmus.catalog.connect().get_table("main.tests.made")
    assert told["comment"] == "what is made" and told["columns"][0]["comment"] == "its key"
    assert isthmus.Table("main.tests.made").snapshot().describe()["description"] == "what is made"
    worker.run("INSERT INTO made VALUES (1, TIMESTAMP'2024-01-01 12:00:00', 10, array('a'))")
    made = worker.run("SELECT * FROM made")
    assert made.types == ["BIGINT", "TIMESTAMP", "DECIMAL(10,2)", "ARRAY<STRING>"] and made.done["rows"] == 1
    worker.run("DROP TABLE made")


def test_engine__delete_and_update(worker, small):
    worker.run("CREATE OR REPLACE TABLE changing AS SELECT id, word FROM small")
    assert worker.rows("DELETE FROM changing WHERE id BETWEEN 5 AND 8 OR word = 'w0'") == [(5,)]
    assert worker.rows("UPDATE changing c SET word = c.word || '!', id = id * 10 WHERE c.id < 3") == [(2,)]
    assert worker.rows("SELECT * FROM changing ORDER BY id, word") == [(3, "w3"), (4, "w4"), (9, "w9"), (10, None),
        (10, "w1!"), (20, "w2!")]
    before = isthmus.Table("main.tests.changing").snapshot().version
    assert worker.rows("DELETE FROM changing WHERE id = 777") == [(0,)]
    assert isthmus.Table("main.tests.changing").snapshot().version == before
    assert worker.rows("DELETE FROM changing WHERE id IN (SELECT id FROM small)") == [(5,)]
    assert worker.rows("DELETE FROM changing") == [(1,)]
    assert worker.rows("SELECT count(*) FROM changing") == [(0,)]
    with pytest.raises(Failed, match="no column"):
        worker.run("UPDATE changing SET nothing = 1")
    worker.run("DROP TABLE changing")


def test_engine__policed_tables_are_not_changed(worker, policed):
    for sql in ("DELETE FROM people WHERE id = 1", "UPDATE people SET pay = 1",
                "MERGE INTO people USING people p ON people.id = p.id WHEN MATCHED THEN DELETE"):
        with pytest.raises(Failed, match="row filter"):
            worker.run(sql)


# ---- Spark as oracle -------------------------------------------------------------------------------------------------


EXPRESSIONS = """
id; flag; tiny; small; number; single; double; amount; text; data; day; at; local; list; map; place; place.city; list[1]
id + 1; number * 2; -tiny; id / 4; id div 4; id % 7; double * 2; amount + 1; amount * amount; amount / 3
amount / amount
amount - 0.5; amount * 1.5; id * 0.1; abs(amount); round(double, 2); floor(double); ceil(double); floor(amount)
ceil(amount)
sqrt(double); pow(id, 2); greatest(id, 5); least(number, 7); coalesce(amount, 0); if(flag, id, 0); nullif(id, 3)
case when flag then amount else 0 end; case when id > 5 then 'many' else 'few' end; id in (1, 2, 3); id between 2 and 4
text || '!'; concat(text, '-', text); upper(text); length(text); substring(text, 2, 3); trim(text)
replace(text, 'row', 'r')
split(text, ' '); instr(text, 'o'); lpad(text, 12, '*'); text like 'row%'; text rlike '[0-9]$'; left(text, 3)
reverse(text)
regexp_replace(text, '[0-9]+', '#'); regexp_extract(text, '([0-9]+)', 1); initcap(text); repeat(text, 2); ascii(text)
md5(text)
cast(double as int); cast(amount as int); cast(id as string); cast(flag as string); cast(at as string)
cast(day as string)
cast(amount as string); cast(text as string); cast(number as double); cast(id as decimal(10,2)); cast('12' as int)
try_cast(text as int); cast('2024-02-03' as date); cast('2024-02-03 04:05:06' as timestamp); cast(id as boolean)
year(day); month(at); day(day); hour(at); minute(at); second(at); quarter(day); dayofweek(day); dayofyear(day)
weekofyear(day)
date_add(day, 3); date_sub(day, 3); datediff(day, date'2024-01-01'); add_months(day, 1); last_day(day)
date_trunc('MONTH', at)
day + interval 1 day; at + interval 1 hour; to_date('2024-02-03'); unix_timestamp(at)
date_format(at, 'yyyy-MM-dd HH:mm')
size(list); list[0]; array_contains(list, id); element_at(list, 1); array(id, 2); named_struct('a', id, 'b', text)
map('k', id)
transform(list, x -> x + 1); filter(list, x -> x > 3); array_distinct(list); sort_array(list); map_keys(map); map['k1']
null; 1; 1.5; 'x'; true; date'2024-01-01'; 10000000000; 1e3; cast(null as int); weekday(day)
"""
AGGREGATES = """
count(*); count(text); count(distinct flag); sum(id); sum(number); sum(tiny); sum(double); sum(single); sum(amount)
avg(id)
avg(amount); avg(double); min(text); max(at); min(amount); sum(amount) / count(*); sum(amount * (1 - amount)); max(day)
100.0 * sum(case when flag then amount else 0 end) / sum(amount); stddev(id); variance(double); count_if(flag)
sum(id) / 3
max(struct(id, text)); bool_and(flag); any_value(id) is not null; sum(distinct tiny); avg(number) * 2; median(double)
percentile(double, 0.5); collect_list(id); approx_count_distinct(id); sum(amount) filter (where flag); array_agg(tiny)
"""


def expressions(text):
    return [item.strip() for line in text.strip().splitlines() for item in line.split(";")]


def same(ours, theirs):
    import math

    if isinstance(theirs, float) and isinstance(ours, float):
        return math.isclose(ours, theirs, rel_tol=1e-12) or (ours != ours and theirs != theirs)
    if isinstance(theirs, dict) and isinstance(ours, list):
        return dict(ours) == theirs
    if isinstance(theirs, (list, tuple)) and not isinstance(theirs, str):
        values = list(ours.values()) if isinstance(ours, dict) else ours
        return len(values) == len(theirs) and all(map(same, values, theirs))
    if hasattr(theirs, "tzinfo") and getattr(ours, "tzinfo", None) is not None:
        return ours.timestamp() == theirs.timestamp()
    if isinstance(theirs, bytearray):
        return ours == bytes(theirs)
    return ours == theirs


def by_spark(spark, items, tail):
    """[(type, values)] of expressions, by one query."""
    columns = ", ".join(f"{item} AS c{i}" for i, item in enumerate(items))
    frame = spark.sql(f"SELECT {columns} FROM main.tests.wide{tail}")
    types = [field.dataType.simpleString() for field in frame.schema]
    return list(zip(types, zip(*frame.collect())))


def difference(worker, item, tail, type, values):
    """What differs between the engines for an expression, as text; None if nothing does."""
    try:
        answer = worker.run(f"SELECT {item} AS c FROM wide{tail}")
    except Failed as failed:
        return str(failed)
    told = answer.types[0].lower().replace(", ", ",").replace(": ", ":")
    if told != type:
        return f"type {told} and not {type}"
    ours = [row[0] for row in answer.rows()]
    return next((f"{a!r} and not {b!r}" for a, b in itertools.zip_longest(ours, values) if not same(a, b)), None)


@pytest.fixture(scope="module")
def wide(schema):
    isthmus.write_deltalake("main.tests.wide", make_rows(100), mode="overwrite")


# Differences that are known.
KNOWN = {
    "array_distinct(list)",  # DuckDB's leaves nulls out and has an order of its own
    "list[0]", "list[1]",  # a column of this name before a bracket is taken for a function; `list`[0] is not
    "approx_count_distinct(id)",
}


def test_engine__expressions_are_those_of_spark(worker, wide, spark):
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    differing = {}
    for items, tail in ((expressions(EXPRESSIONS), " ORDER BY id"), (expressions(AGGREGATES), "")):
        for item, (type, values) in zip(items, by_spark(spark, items, tail)):
            found = difference(worker, item, tail, type, values)
            if found:
                differing[item] = found
    assert set(differing) == KNOWN, "\n".join(f"{item}: {what}" for item,
        what in differing.items() if item not in KNOWN)


def test_engine__texts_of_all_types(worker, wide):
    names = "id, flag, tiny, single, double, amount, text, data, day, at, local, list, map, place"
    answer = worker.run(f"SELECT {names} FROM wide WHERE id IN (8, 10) ORDER BY id", format="JSON_ARRAY")
    assert answer.json() == [
        ["8", "true", "8", "2.0", "2.6666666666666665", "0.08", "row 8 é", "CAD/", "2024-03-08",
            "2024-03-02T20:30:15.123464Z",
         "2024-03-02T20:30:15.123464", "[8,null,9]", '{"k8":4.0}',
         '{"city":"city 8","at":"2024-03-02T20:30:15.123464Z"}'],
        ["10"] + [None] * 13]
    assert answer.types == ["BIGINT", "BOOLEAN", "TINYINT", "FLOAT", "DOUBLE", "DECIMAL(12,2)", "STRING", "BINARY",
        "DATE",
                            "TIMESTAMP", "TIMESTAMP_NTZ", "ARRAY<BIGINT>", "MAP<STRING, DOUBLE>",
                            "STRUCT<city: STRING, at: TIMESTAMP>"]
    assert answer.columns[5] == {"name": "amount", "type_name": "DECIMAL", "type_text": "DECIMAL(12,2)",
                                 "type_precision": 12, "type_scale": 2}
    sql = ("SELECT 1e7 AS a, 1e-4 AS b, 1e300 * 1e300 AS c, 'a\"\\\\\n,' AS d, timestamp'2024-01-01' AS e, 1.50 AS f, "
           "interval 1 day AS g, NULL AS h")
    row, = worker.run(sql, format="JSON_ARRAY").json()
    assert row == ["1.0E7", "1.0E-4", "Infinity", 'a"\\\n,', "2024-01-01T00:00:00.000Z", "1.50",
        "1 00:00:00.000000000", None]
    text = worker.run("SELECT 'a\"b' AS `x,y`, 'c,d' AS b, 'e\r\nf' AS c, 'null' AS d", format="CSV").text()
    assert text == '"x,y",b,c,d\r\n"a""b","c,d","e\r\nf",null\r\n'


# ---- limits of the machine -------------------------------------------------------------------------------------------


@pytest.fixture
def confined(schema):
    worker = Worker(memory_limit=192 << 20)
    yield worker
    worker.close()


def test_engine__too_little_memory(confined):
    with pytest.raises(Failed, match=r"\[OUT_OF_MEMORY\].*192 MiB") as failed:
        confined.run("SELECT size(collect_list(repeat(CAST(id AS STRING), 100))) FROM range(5000000)")
    assert failed.value.frame["error_code"] == "RESOURCE_EXHAUSTED"
    sorted_on_disk = "SELECT id, repeat('x', 40) AS x FROM range(2000000) ORDER BY x, id DESC"
    assert confined.rows(f"SELECT count(*) FROM ({sorted_on_disk})") == [(2000000,)]
    answer = confined.run("SELECT id, repeat('x', 1000) FROM range(300000)", chunk_bytes=1 << 20)
    assert answer.done["rows"] == 300000  # more than the memory there is


def test_engine__no_room_for_results(confined):
    resource.prlimit(confined.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for form in ("ARROW_STREAM", "JSON_ARRAY", "CSV"):
        with pytest.raises(Failed, match=r"\[DISK_FULL\].*disk for results is full"):
            confined.run("SELECT id, repeat('x', 1000) FROM range(10000)", format=form, chunk_bytes=16 << 20)
    assert confined.rows("SELECT 1") == [(1,)]
    assert [name for name in os.listdir(confined.folder.name) if "duckdb" not in name] == []


def test_engine__server_that_breaks_the_rules(schema):
    for frame in (b"\xff\xff\xff\xff", b"\x02\0\0\0[]", b"\x02\0\0\0{}", b"\x10\0\0\0{\"type\":\"done\"}!"):
        worker = Worker()
        worker.channel._socket.sendall(frame)
        assert worker.process.wait(10) == 1
        worker.close()


def test_engine__packages_that_are_not_there(schema, tmp_path, monkeypatch):
    (tmp_path / "sqlglot.py").write_text("raise ModuleNotFoundError('no', name='sqlglot')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = Worker()
    with pytest.raises(Failed, match=r"needs sqlglot: pip install 'isthmus\[warehouse\]', where the server runs"):
        worker.run("SELECT 1")
    worker.close()


# ---- many queries against plain DuckDB -------------------------------------------------------------------------------


def shop():
    """Orders, their lines, customers and parts: some of TPC-H's columns."""
    numbers = np.random.default_rng(7)
    orders, lines, customers, parts = 3000, 12000, 300, 200
    day = np.datetime64("1992-01-01")
    return {
        "customer": pa.table({
            "c_custkey": np.arange(customers), "c_name": [f"Customer#{i:09}" for i in range(customers)],
            "c_nation": numbers.choice(["FRANCE", "GERMANY", "BRAZIL", "CHINA"], customers),
            "c_segment": numbers.choice(["BUILDING", "MACHINERY", "AUTOMOBILE"], customers),
            "c_acctbal": money(numbers.integers(-99999, 999999, customers))}),
        "part": pa.table({
            "p_partkey": np.arange(parts), "p_type": numbers.choice(["PROMO TIN", "ECONOMY STEEL", "PROMO BRASS"],
            parts),
            "p_brand": numbers.choice([f"Brand#{i}" for i in range(5)], parts), "p_size": numbers.integers(1, 50,
            parts, np.int32)}),
        "orders": pa.table({
            "o_orderkey": np.arange(orders), "o_custkey": numbers.integers(0, customers - 50, orders),
            "o_date": pa.array(day + numbers.integers(0, 2400, orders)).cast(pa.date32()),
            "o_priority": numbers.choice(["1-URGENT", "2-HIGH", "5-LOW"], orders),
            "o_comment": [None if i % 7 == 0 else f"order {i} special requests" if i % 11 == 0 else f"order {i}"
                          for i in range(orders)]}),
        "lineitem": pa.table({
            "l_orderkey": numbers.integers(0, orders, lines), "l_partkey": numbers.integers(0, parts, lines),
            "l_quantity": money(numbers.integers(1, 50, lines) * 100), "l_price": money(numbers.integers(90000,
            9999999, lines)),
            "l_discount": money(numbers.integers(0, 10, lines)), "l_tax": money(numbers.integers(0, 8, lines)),
            "l_flag": numbers.choice(["A", "N", "R"], lines), "l_status": numbers.choice(["O", "F"], lines),
            "l_shipdate": pa.array(day + numbers.integers(0, 2500, lines)).cast(pa.date32()),
            "l_commit": pa.array(day + numbers.integers(0, 2500, lines)).cast(pa.date32())}),
    }


def money(cents):
    return pa.array([decimal.Decimal(int(value)).scaleb(-2) for value in cents], pa.decimal128(12, 2))


QUERIES = [
    """SELECT l_flag, l_status, sum(l_quantity), sum(l_price), sum(l_price * (1 - l_discount)) AS disc_price,
       sum(l_price * (1 - l_discount) * (1 + l_tax)) AS charge, avg(l_quantity), avg(l_price), avg(l_discount), count(*)
       FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90' day GROUP BY l_flag, l_status ORDER BY 1,
       2""",
    """SELECT l_orderkey, sum(l_price * (1 - l_discount)) AS revenue, o_date, o_priority FROM customer, orders, lineitem
       WHERE c_segment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_date < date '1995-03-15'
       AND l_shipdate > date '1995-03-15' GROUP BY l_orderkey, o_date, o_priority ORDER BY revenue DESC, o_date, 1
       LIMIT 10""",
    """SELECT o_priority, count(*) AS order_count FROM orders WHERE o_date >= date '1993-07-01' AND o_date < date
       '1993-07-01' +
       interval '3' month AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commit < l_shipdate)
       GROUP BY o_priority ORDER BY o_priority""",
    """SELECT sum(l_price * l_discount) AS revenue FROM lineitem WHERE l_shipdate >= date '1994-01-01' AND
       l_discount BETWEEN 0.06 - 0.01 AND 0.06 + 0.01 AND l_quantity < 24""",
    """SELECT c_nation, extract(year FROM l_shipdate) AS y, sum(l_price) AS volume FROM customer JOIN orders ON
       c_custkey = o_custkey
       JOIN lineitem ON l_orderkey = o_orderkey WHERE c_nation IN ('FRANCE', 'GERMANY') GROUP BY 1, 2 ORDER BY 1, 2""",
    """SELECT c_count, count(*) AS custdist FROM (SELECT c_custkey, count(o_orderkey) AS c_count FROM customer LEFT
       OUTER JOIN
       orders ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%' GROUP BY c_custkey) AS c_orders
       GROUP BY c_count ORDER BY custdist DESC, c_count DESC""",
    """SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_price * (1 - l_discount) ELSE 0 END)
       / sum(l_price * (1 - l_discount)) AS promo FROM lineitem, part WHERE l_partkey = p_partkey""",
    """WITH revenue AS (SELECT l_partkey AS part_no, sum(l_price) AS total FROM lineitem GROUP BY l_partkey)
       SELECT p_partkey, p_brand, total FROM part, revenue WHERE p_partkey = part_no AND total = (SELECT max(total)
       FROM revenue)""",
    """SELECT p_brand, p_type, count(DISTINCT l_orderkey) AS n FROM part, lineitem WHERE p_partkey = l_partkey AND
       p_brand <>
       'Brand#2' AND p_size IN (9, 14, 19, 23) GROUP BY p_brand, p_type ORDER BY n DESC, p_brand, p_type""",
    """SELECT sum(l_price) / 7.0 AS yearly FROM lineitem, part WHERE p_partkey = l_partkey AND p_brand = 'Brand#1' AND
       l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)""",
    """SELECT c_name, o_orderkey, sum(l_quantity) FROM customer, orders, lineitem WHERE o_orderkey IN (SELECT
       l_orderkey FROM
       lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 200) AND c_custkey = o_custkey AND o_orderkey = l_orderkey
       GROUP BY c_name, o_orderkey ORDER BY 3 DESC, 2 LIMIT 100""",
    """SELECT substring(c_nation, 1, 2) AS code, count(*), sum(c_acctbal) FROM customer WHERE c_acctbal > (SELECT
       avg(c_acctbal)
       FROM customer WHERE c_acctbal > 0.00) AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)
       GROUP BY 1 ORDER BY 1""",
    """SELECT o_custkey, o_date, row_number() OVER (PARTITION BY o_custkey ORDER BY o_date, o_orderkey) AS n,
       count(*) OVER (PARTITION BY o_custkey) AS c, lag(o_orderkey) OVER (PARTITION BY o_custkey ORDER BY o_date,
       o_orderkey)
       FROM orders ORDER BY 1, 3""",
    """SELECT c_nation, c_segment, count(*) FROM customer GROUP BY ROLLUP (c_nation, c_segment) ORDER BY 1, 2, 3""",
    """SELECT o_orderkey FROM orders WHERE o_comment IS NULL EXCEPT SELECT l_orderkey FROM lineitem ORDER BY 1""",
    """SELECT count(*) FROM orders o FULL OUTER JOIN customer c ON o.o_custkey = c.c_custkey WHERE o.o_orderkey IS
       NULL""",
]


@pytest.fixture(scope="module")
def plain(schema):
    """The shop in a DuckDB of its own; and as Delta tables."""
    database = duckdb.connect()
    for name, rows in shop().items():
        isthmus.write_deltalake(f"main.tests.{name}", rows, mode="overwrite")
        database.register(f"{name}_arrow", rows)
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrow")
    database.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
    yield database
    for name in shop():
        isthmus.catalog.connect().delete_table(f"main.tests.{name}")  # test_warehouse has tables of the same names


@pytest.mark.parametrize("sql", QUERIES, ids=range(len(QUERIES)))
def test_engine__queries_as_plain_duckdb(worker, plain, sql):
    wanted = plain.sql(sql).fetchall()
    rows = worker.rows(sql)
    assert wanted and len(rows) == len(wanted)
    for ours, theirs in zip(rows, wanted):
        assert all(a == b or a is not None and b is not None and float(a) == pytest.approx(float(b), rel=1e-9, abs=1e-6)
                   for a, b in zip(ours, theirs)), (ours, theirs)
