"""Lineage end to end: what OpenLineage's own client makes of the events, Spark's columns, places that are gone or slow."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import attr
import pytest

import isthmus
from isthmus import openlineage


# ---- events ----------------------------------------------------------------------------------------------------------


def test_events_are_openlineage(tmp_path):
    """OpenLineage's client has a class for each facet: what it makes from the same facts must be what we wrote."""
    from openlineage.client import facet_v2

    schema = {"type": "struct", "fields": [{"name": "total", "type": "double", "nullable": True, "metadata": {}}]}
    text = openlineage.event(
        "ray", [openlineage.Dataset("main.a.b", version=3, rows=7)],
        [openlineage.Dataset("main.a.c", 4, 5, 99, json.dumps(schema),
                             (openlineage.Column("total", "main.a.b", "price", "AGGREGATION"),
                              openlineage.Column(None, "main.a.b", "day", "GROUP_BY")))], job="j")
    told = json.loads(text)["outputs"][0]
    column = facet_v2.column_lineage_dataset
    source = column.InputField("unitycatalog", "main.a.b", "price", [column.Transformation("DIRECT", "AGGREGATION")])
    whole = column.InputField("unitycatalog", "main.a.b", "day", [column.Transformation("INDIRECT", "GROUP_BY")])
    wanted = {
        "columnLineage": column.ColumnLineageDatasetFacet({"total": column.Fields([source])}, [whole]),
        "schema": facet_v2.schema_dataset.SchemaDatasetFacet(
            [facet_v2.schema_dataset.SchemaDatasetFacetFields("total", "double")]),
        "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet("4"),
    }
    for name, facet in wanted.items():
        assert told["facets"][name]["_schemaURL"] == facet._schemaURL, name
        assert plain(told["facets"][name]) == plain(attr.asdict(facet)), name
    statistics = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=5, size=99)
    assert plain(told["outputFacets"]["outputStatistics"]) == plain(attr.asdict(statistics))


def plain(value):
    """Without what is ours or empty: the producer, and members that the client fills with their defaults."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()
                if key not in ("_producer", "_schemaURL", "description", "masking", "_deleted", "ordinal_position")
                and each not in (None, [], {})}
    return [plain(each) for each in value] if isinstance(value, list) else value


# ---- Spark -----------------------------------------------------------------------------------------------------------


def columns_into(name, enough=1):
    """{(source table, source column, target column, subtype)} of the edges into a table, once the listener told them."""
    deadline = time.monotonic() + 30
    while True:
        answer = isthmus.catalog.connect().lineage(name, 1, True)
        found = {(edge["source"], column["source"], column["target"], column["subtype"])
                 for edge in answer["upstream"] for column in edge["columns"]}
        if len(found) >= enough or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@pytest.fixture
def tables(spark, schema, name):
    """Two tables to read: (orders, people), and a name to write."""
    orders, people = f"{name}_orders", f"{name}_people"
    spark.sql("SELECT 1 AS id, 2 AS person, 3.5D AS price, 'x' AS kind").write.saveAsTable(orders)
    spark.sql("SELECT 2 AS person_id, 'DE' AS country").write.saveAsTable(people)
    return orders, people, f"{name}_made"


def test_create_as_select(spark, tables):
    orders, people, made = tables
    spark.sql(f"""CREATE TABLE {made} USING delta AS
                  SELECT p.country, o.price * 2 AS twice, CASE WHEN o.kind = 'x' THEN o.id END AS chosen
                  FROM {orders} o JOIN {people} p ON o.person = p.person_id WHERE o.price > 1""")
    wanted = {(people, "country", "country", "IDENTITY"), (orders, "price", "twice", "TRANSFORMATION"),
              (orders, "id", "chosen", "TRANSFORMATION"), (orders, "kind", "chosen", "CONDITIONAL"),
              (orders, "person", None, "JOIN"), (people, "person_id", None, "JOIN"), (orders, "price", None, "FILTER")}
    assert columns_into(made, len(wanted)) == wanted


def test_aggregate_union_subquery_insert(spark, tables):
    orders, people, made = tables
    spark.sql(f"CREATE TABLE {made} (country STRING, total DOUBLE) USING delta")
    spark.sql(f"""INSERT INTO {made} WITH both AS (
                      SELECT person AS p, price AS v FROM {orders} UNION ALL SELECT person_id, 0D FROM {people})
                  SELECT (SELECT max(country) FROM {people}), sum(v) FROM both GROUP BY p""")
    wanted = {(people, "country", "country", "AGGREGATION"), (orders, "price", "total", "AGGREGATION"),
              (orders, "person", None, "GROUP_BY"), (people, "person_id", None, "GROUP_BY")}
    assert columns_into(made, len(wanted)) == wanted


def test_merge(spark, tables):
    orders, people, made = tables
    spark.sql(f"CREATE TABLE {made} (id INT, price DOUBLE) USING delta")
    spark.sql(f"""MERGE INTO {made} t USING {orders} s ON t.id = s.id
                  WHEN MATCHED THEN UPDATE SET price = t.price + s.price
                  WHEN NOT MATCHED THEN INSERT (id, price) VALUES (s.id, s.price)""")
    found = columns_into(made, 4)
    assert {(orders, "id", "id", "IDENTITY"), (orders, "price", "price", "IDENTITY"),
            (orders, "price", "price", "TRANSFORMATION"), (orders, "id", None, "JOIN")} <= found
    assert {source for source, *_ in found} == {orders}


@pytest.fixture
def endpoint():
    """An OpenLineage endpoint: (its URL, the requests it got, an event that lets it answer)."""
    got, go = [], threading.Event()

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            go.wait(30)
            got.append((self.path, self.headers["Authorization"],
                        json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", got, go
        go.set()
        server.shutdown()


APPLICATION = """
import sys, isthmus
spark = isthmus.spark.builder().master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.range(3).write.saveAsTable(sys.argv[1])
spark.stop()
"""


def test_spark_tells_an_endpoint_too(services, schema, name, endpoint):
    """All of it, although the application ends at once."""
    url, got, go = endpoint
    go.set()
    subprocess.run([sys.executable, "-c", APPLICATION, name], check=True, timeout=120,
                   env={**os.environ, "OPENLINEAGE_URL": url + "/", "OPENLINEAGE_API_KEY": "key-1"})
    path, key, event = got[-1]
    assert (path, key) == ("/api/v1/lineage", "Bearer key-1")
    assert event["outputs"][0]["name"] == name and event["job"]["facets"]["jobType"]["integration"] == "SPARK"


def test_spark_drops_the_oldest_and_counts(spark, endpoint):
    url, got, go = endpoint
    emitter = spark._jvm.io.isthmus.spark.LineageEmitter({"OPENLINEAGE_URL": url, "OPENLINEAGE_ENDPOINT": "x/y"}, 3)
    start = time.monotonic()
    for i in range(20):
        emitter.emit(json.dumps({"n": i}))
    assert time.monotonic() - start < 2 and not emitter.flush(10)
    go.set()
    assert emitter.flush(20_000)
    assert [event["n"] for _, _, event in got][-3:] == [17, 18, 19]  # what happened last is what somebody asks for
    assert {path for path, *_ in got} == {"/x/y"}
    counters = dict(emitter.counters())
    assert counters["dropped"] >= 15 and counters["dropped"] + counters["sent"] == 20
    assert counters["failed"] == counters["waiting"] == 0


def test_spark_takes_openlineages_settings(spark, tmp_path):
    log = tmp_path / "events.jsonl"
    emitter = spark._jvm.io.isthmus.spark.LineageEmitter
    place = {"OPENLINEAGE__TRANSPORT__TYPE": "file", "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(log)}
    for off in ("", "true"):
        to_file = emitter({**place, "OPENLINEAGE_DISABLED": off})
        to_file.emit("{}")
        assert to_file.flush(5000)
    assert log.read_text() == "{}\n"
    nowhere = emitter({"OPENLINEAGE_URL": "file:///etc/passwd"})
    nowhere.emit("{}")
    assert dict(nowhere.counters()) == {"sent": 0, "failed": 0, "dropped": 0, "waiting": 0}


# ---- Ray -------------------------------------------------------------------------------------------------------------


def test_ray_columns(cluster, name):
    from ray.data.expressions import col

    source, target = f"{name}_in", f"{name}_out"
    isthmus.write_deltalake(source, {"id": [1, 2], "x": [1.0, 2.0], "y": [3.0, 4.0], "z": ["a", "b"]})
    ds = isthmus.read_delta(source).filter(expr=col("id") > 0).drop_columns(["z"]).rename_columns({"x": "renamed"})
    ds.with_column("total", col("renamed") + col("y")).sort("id").write_databricks_table(target)
    openlineage.flush()
    wanted = {(source, "id", "id", "IDENTITY"), (source, "x", "renamed", "IDENTITY"), (source, "y", "y", "IDENTITY"),
              (source, "x", "total", "TRANSFORMATION"), (source, "y", "total", "TRANSFORMATION"),
              (source, "id", None, "FILTER"), (source, "id", None, "SORT")}
    assert columns_into(target, len(wanted)) == wanted

    opaque = f"{name}_opaque"
    ds.map_batches(lambda batch: batch).materialize().write_databricks_table(opaque)
    openlineage.flush()
    answer = isthmus.lineage(opaque, columns=True)
    assert [(edge["source"], edge["columns"]) for edge in answer["upstream"] if edge["target"] == opaque] == [(source, [])]


# ---- places that are gone or slow ------------------------------------------------------------------------------------

PROGRAM = """
import sys, time, isthmus
start = time.monotonic()
for i in range(5):
    isthmus.write_deltalake(sys.argv[1], {"x": [i]})
print(time.monotonic() - start)
"""


def run(path, **settings):
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM, path], env={**os.environ, **settings}, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return float(done.stdout), time.monotonic() - start


@pytest.fixture
def silent():
    """The URL of a place that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_no_place_delays_a_job(services, path, silent):
    run(path)  # what is read for the first time
    alone, _ = run(path, OPENLINEAGE_DISABLED="true")
    for url in (silent, "http://127.0.0.1:9"):
        working, whole = run(path, OPENLINEAGE_URL=url)
        assert working < alone + 0.5
        assert whole < 12  # the wait at the end is bounded


def test_a_forked_child_tells_on_its_own(services, tmp_path, monkeypatch):
    log = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(log))
    openlineage.post("python", inputs=[openlineage.Dataset("/parent")])
    openlineage.flush()
    child = os.fork()
    if child == 0:
        openlineage.post("python", inputs=[openlineage.Dataset("/child")])
        openlineage.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert [json.loads(line)["inputs"][0]["name"] for line in log.read_text().splitlines()] == ["/parent", "/child"]


# ---- pictures --------------------------------------------------------------------------------------------------------


def test_python_draws(services, path):
    isthmus.write_deltalake(path, {"x": [1]})
    told = isthmus.lineage(path)
    assert str(told).splitlines()[0].endswith(path) and "<-" in str(told)
    assert told._repr_svg_().startswith("<svg ")
