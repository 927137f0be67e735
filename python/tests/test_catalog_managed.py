"""Tables whose catalog commits: written by Ray tasks, Ray Data, the command line and processes that die; read by Spark."""

import http.client
import http.server
import concurrent.futures
import glob
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

import isthmus
from isthmus import native
from serving import COMMAND, Server

MANAGED = {"delta.feature.catalogManaged": "supported"}


def log_of(name):
    folder = urllib.parse.unquote(isthmus.Table(name).uri.removeprefix("file://")) + "/_delta_log"
    return sorted(file for file in os.listdir(folder) if file.endswith(".json") and "checkpoint" not in file), folder


def assert_published(name):
    """Every version is in the log, none left out, and as it was ratified."""
    version = isthmus.Table(name).snapshot().version
    files, folder = log_of(name)
    assert files == [f"{v:020}.json" for v in range(version + 1)]
    staged = {}
    for file in glob.glob("*.json", root_dir=folder + "/_staged_commits"):  # Spark leaves checksums beside them
        staged.setdefault(file[:20], []).append(open(f"{folder}/_staged_commits/{file}").read())
    for v in range(1, version + 1):
        assert open(f"{folder}/{v:020}.json").read() in staged[f"{v:020}"]


def create(name):
    return isthmus.write_deltalake(name, {"task": [-1], "n": [0]}, configuration=MANAGED)


def test_the_contract_and_who_may_read_by_path(services, name):
    create(name)
    table = isthmus.Table(name)
    described = table.snapshot().describe()
    assert {"catalogManaged", "v2Checkpoint", "vacuumProtocolCheck", "deletionVectors",
            "inCommitTimestamp"} <= set(described["features"])
    info = isthmus.catalog.connect().get_table(name)
    assert described["properties"]["io.unitycatalog.tableId"] == info["table_id"]
    assert info["properties"]["delta.feature.catalogManaged"] == "supported"
    for by_path in (lambda: isthmus.Table(table.uri).snapshot(), lambda: isthmus.write_deltalake(table.uri, {"task": [1]})):
        with pytest.raises(isthmus.UnsupportedError, match="by its name"):
            by_path()


def test_plain_is_the_default(services, name):
    isthmus.write_deltalake(name, {"task": [1]})
    assert "catalogManaged" not in isthmus.Table(name).snapshot().describe()["features"]


def test_a_hundred_ray_tasks(cluster, spark, name):
    import ray

    create(name)

    @ray.remote(num_cpus=0.1, max_retries=0)
    def append(i):
        import isthmus

        return isthmus.write_deltalake(name, {"task": [i] * 10, "n": list(range(10))}).version

    versions = ray.get([append.remote(i) for i in range(100)])
    table = isthmus.Table(name)
    assert max(versions) == table.snapshot().version
    rows = table.to_arrow().group_by("task").aggregate([("n", "sum")]).to_pylist()
    assert {(row["task"], row["n_sum"]) for row in rows} == {(-1, 0)} | {(i, 45) for i in range(100)}
    assert_published(name)
    assert spark.table(name).count() == 1001


def test_many_processes_without_a_daemon(services, name, tmp_path):
    """Each commits for itself, so they meet at the catalog."""
    create(name)
    script = tmp_path / "append.py"
    script.write_text(f"import sys, isthmus\nfor i in range(8):\n"
                      f"    isthmus.write_deltalake({name!r}, {{'task': [int(sys.argv[1])], 'n': [i]}})\n")
    environment = dict(os.environ, ISTHMUS_SOCKET=str(tmp_path / "nobody"))
    running = [subprocess.Popen([sys.executable, script, str(i)], env=environment) for i in range(4)]
    assert [process.wait(120) for process in running] == [0] * 4
    snapshot = isthmus.Table(name).snapshot()
    assert (snapshot.version, snapshot.rows) == (32, 33)
    assert_published(name)


def test_ray_the_command_line_and_spark_at_once(cluster, spark, name, tmp_path):
    """32 writers: 20 Ray tasks by way of the daemon, 8 processes for themselves, 4 threads of Spark."""
    import ray

    create(name)
    spark.table(name).count()

    @ray.remote(num_cpus=0.1, max_retries=0)
    def by_ray(i):
        import isthmus

        for n in range(2):
            isthmus.write_deltalake(name, {"task": [i], "n": [n]})

    def by_process(i):
        while isthmus.Table(name).snapshot().version == 0:  # until the others are at it, too
            time.sleep(0.1)
        for n in range(2):
            rows = tmp_path / f"{i}-{n}.csv"
            rows.write_text(f"task,n\n{i},{n}\n")
            command = [isthmus.services.binary(), "table", "append", name, rows, "--direct"]
            subprocess.run(command, check=True, timeout=200)

    def by_spark(i):
        for n in range(2):
            spark.sql(f"INSERT INTO {name} VALUES ({i}, {n})")

    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        others = [threads.submit(by_process, i) for i in range(20, 28)]
        others += [threads.submit(by_spark, i) for i in range(28, 32)]
        ray.get([by_ray.remote(i) for i in range(20)])
        [other.result() for other in others]
    rows = isthmus.Table(name).to_arrow().to_pylist()
    assert sorted((row["task"], row["n"]) for row in rows) == [(-1, 0)] + [(i, n) for i in range(32) for n in range(2)]
    assert_published(name)
    assert spark.table(name).count() == 65


def test_overwrite_merge_and_ray_data(cluster, spark, name):
    import ray

    create(name)
    assert isthmus.write_deltalake(name, {"task": [1], "x": [0.5]}, schema_mode="merge").version == 1
    assert [c["name"] for c in isthmus.catalog.connect().get_table(name)["columns"]] == ["task", "n", "x"]
    assert isthmus.write_deltalake(name, {"task": [2], "n": [2], "x": [1.0]}, mode="overwrite").version == 2
    ray.data.from_items([{"task": i, "n": i, "x": 0.0} for i in range(50)]).write_databricks_table(name)
    assert isthmus.read_delta(name).count() == 51
    assert isthmus.Table(name).snapshot(version=1).rows == 2
    assert len(isthmus.Table(name).history()) == 4
    assert spark.table(name).where("x = 1.0").count() == 1
    assert_published(name)


def test_spark_and_ray_take_turns(spark, name):
    create(name)
    for i in range(3):
        spark.sql(f"INSERT INTO {name} VALUES ({i}, 1)")
        isthmus.write_deltalake(name, {"task": [i], "n": [2]})
    assert spark.table(name).count() == isthmus.Table(name).snapshot().rows == 7


def test_the_command_line(services, name, tmp_path):
    create(name)
    (tmp_path / "more.csv").write_text("task,n\n5,6\n")
    run = lambda *args: subprocess.run([isthmus.services.binary(), "table", *args], check=True, capture_output=True, text=True)
    for flags in ([], ["--direct"]):
        run("append", name, str(tmp_path / "more.csv"), *flags)
    assert [json.loads(line) for line in run("cat", name, "--json").stdout.splitlines()][-1] == {"task": 5, "n": 6}
    assert json.loads(run("show", name, "--json").stdout)["version"] == 2
    assert len(json.loads(run("log", name, "--json").stdout)) == 3


def test_killed_at_any_moment(services, name, tmp_path):
    create(name)
    script = tmp_path / "append.py"
    script.write_text(f"import sys, isthmus\ni = 0\nwhile True:\n"
                      f"    isthmus.write_deltalake({name!r}, {{'task': [int(sys.argv[1])], 'n': [i]}},"
                      f" app_id=f'{{sys.argv[1]}}-{{i}}')\n    print(i, flush=True)\n    i += 1\n")
    environment = dict(os.environ, ISTHMUS_SOCKET=str(tmp_path / "nobody"))
    acknowledged = {}
    chance = random.Random(4)
    for life in range(6):
        process = subprocess.Popen([sys.executable, script, str(life)], env=environment, stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()  # it runs
        time.sleep(chance.random() / 5)
        process.kill()
        acknowledged[life] = len((first + process.stdout.read()).splitlines())
        process.wait()
    isthmus.write_deltalake(name, {"task": [99], "n": [0]})  # publishes what they left
    rows = isthmus.Table(name).to_arrow().group_by("task").aggregate([("n", "count"), ("n", "max")]).to_pylist()
    for row in rows:
        if row["task"] in acknowledged:
            assert row["n_count"] == row["n_max"] + 1  # none doubled, none left out
            assert acknowledged[row["task"]] <= row["n_count"] <= acknowledged[row["task"]] + 1
    assert len(rows) == 8
    assert_published(name)


def test_what_goes_to_workers_shows_no_secret(services, name):
    create(name)
    access = isthmus.Table(name).access()
    assert json.loads(access.for_daemon())["token"] and "token" not in repr(access)
    again = pickle.loads(pickle.dumps(access))
    store = again.open("read")
    assert store is again.open("read") and native.Snapshot(store).rows == 1


def test_a_server_that_gives_no_write_credentials(cluster, spark, name, monkeypatch, caplog):
    """This principal may read the table and no more; Spark asks as another one, who may write it."""
    import ray

    isthmus.write_deltalake(name, {"task": [1], "n": [1]})
    admin = isthmus.catalog.connect()
    reader = f"reader-{time.time_ns()}@example.org"
    admin.create_user(reader)
    catalog, schema, _ = name.split(".")
    admin.grant(["USE CATALOG"], "catalog", catalog, to=reader)
    admin.grant(["USE SCHEMA"], "schema", f"{catalog}.{schema}", to=reader)
    admin.grant(["SELECT"], "table", name, to=reader)
    as_reader = isthmus.catalog.Catalog(admin.uri, admin.create_token(reader))
    monkeypatch.setattr(isthmus.catalog, "connect", lambda: as_reader)
    assert isthmus.read_delta(name).count() == 1
    with pytest.raises(isthmus.ForbiddenError, match=f"{name}.*MODIFY"):
        isthmus.write_deltalake(name, {"task": [2], "n": [2]})
    rows = ray.data.from_items([{"task": 3, "n": 3}])
    with caplog.at_level("WARNING", "isthmus"):
        rows.write_databricks_table(name)
    assert "gives no credentials" in caplog.text and "Spark" in caplog.text
    assert sorted(row["task"] for row in isthmus.read_delta(name).take_all()) == [1, 3]
    monkeypatch.setattr(isthmus.ray, "_spark_session", lambda: None)
    with pytest.raises(isthmus.ForbiddenError, match="Spark session"):
        rows.write_databricks_table(name)


# ---- servers that speak Unity Catalog's Delta API only ----------------------------------------------------------------


class DeltaApiOnly(http.server.BaseHTTPRequestHandler):
    """Hands requests on to the server of the tests, but refuses what Unity Catalog refuses of managed tables where
    `server.managed-table.use-delta-api-only` is set."""

    protocol_version = "HTTP/1.1"
    refused, passed = [], []

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix("/api/2.1/unity-catalog")
        old = path in ("/staging-tables", "/delta/preview/commits", "/temporary-table-credentials") or (
            path == "/tables" and json.loads(body).get("table_type") == "MANAGED")
        if old:
            self.refused.append(path)
            self.reply(400, b'{"error_code":"INVALID_ARGUMENT","message":"use the Delta API"}')
            return
        self.passed.append(f"{self.command} {path}")
        connection = http.client.HTTPConnection(self.server.behind)
        headers = {key: self.headers[key] for key in ("Authorization", "Content-Type") if key in self.headers}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        self.reply(answer.status, answer.read())
        connection.close()

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def delta_api_only(services, monkeypatch):
    with open(f"{native.home()}/server.json") as file:
        note = json.load(file)
    DeltaApiOnly.refused, DeltaApiOnly.passed = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), DeltaApiOnly) as server:
        server.behind = urllib.parse.urlsplit(note["url"]).netloc
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ISTHMUS_CATALOG", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("ISTHMUS_TOKEN", note["token"])
        yield DeltaApiOnly
        server.shutdown()


def test_a_server_that_speaks_the_delta_api_only(delta_api_only, spark, name):
    rows = {"task": [1, 2], "n": [[1], None]}
    assert isthmus.write_deltalake(name, rows, partition_by=["task"]).version == 0  # nobody asked for catalogManaged
    assert set(delta_api_only.refused) == {"/staging-tables"}  # which is how a new table learns that it must be
    for i in range(12):  # more than a catalog keeps unpublished
        isthmus.write_deltalake(name, rows)
    assert isthmus.write_deltalake(name, {"task": [3], "x": [0.5]}, schema_mode="merge").version == 13
    table = isthmus.Table(name)
    described = table.snapshot().describe()
    assert "catalogManaged" in described["features"] and described["partitionColumns"] == ["task"]
    assert table.snapshot().rows == 27
    info = isthmus.catalog.connect().get_table(name)
    assert [(c["name"], c.get("partition_index")) for c in info["columns"]] == [("task", 0), ("n", None), ("x", None)]
    assert set(delta_api_only.refused) == {"/staging-tables"}
    assert sum(asked.startswith("GET /delta/v1/config") for asked in delta_api_only.passed) <= 2  # a client asks once
    assert_published(name)
    assert spark.table(name).where("x = 0.5").count() == 1  # Spark asks the server as ever


def test_spark_on_a_server_that_speaks_the_delta_api_only(delta_api_only, spark, name):
    session = spark.newSession()
    session.conf.set("spark.sql.catalog.main.uri", os.environ["ISTHMUS_CATALOG"])
    session.conf.set("spark.sql.catalog.main.token", os.environ["ISTHMUS_TOKEN"])
    session.sql(f"CREATE TABLE {name} (task BIGINT, n BIGINT) PARTITIONED BY (task) COMMENT 'told'")
    assert "/staging-tables" in delta_api_only.refused
    session.sql(f"INSERT INTO {name} VALUES (1, 10), (2, 20)")
    session.sql(f"DELETE FROM {name} WHERE task = 1")
    session.sql(f"ALTER TABLE {name} ADD COLUMN x DOUBLE")
    assert [tuple(row) for row in session.table(name).collect()] == [(2, 20, None)]
    info = isthmus.catalog.connect().get_table(name)
    assert (info["table_type"], info["comment"]) == ("MANAGED", "told")
    assert [(c["name"], c.get("partition_index")) for c in info["columns"]] == [("task", 0), ("n", None), ("x", None)]
    described = isthmus.Table(name).snapshot().describe()
    assert "catalogManaged" in described["features"] and described["version"] == 3
    isthmus.write_deltalake(name, {"task": [3], "n": [30], "x": [0.5]})
    assert session.table(name).count() == 2
    other = f"{name}_made"
    session.sql(f"CREATE TABLE {other} AS SELECT * FROM {name}")
    session.sql(f"CREATE OR REPLACE TABLE {other} AS SELECT task FROM {name}")
    assert sorted(row[0] for row in session.table(other).collect()) == [2, 3]
    with pytest.raises(Exception, match="already exists|ALREADY_EXISTS"):
        session.sql(f"CREATE TABLE {other} (a INT)")


def test_ray_on_a_server_that_speaks_the_delta_api_only(delta_api_only, cluster, name):
    import ray

    ray.data.from_items([{"task": i, "n": i} for i in range(50)]).write_databricks_table(name)
    assert isthmus.write_deltalake(name, {"task": [50], "n": [50]}).version == 1
    assert isthmus.read_delta(name).sum("n") == 1275
    assert set(delta_api_only.refused) == {"/staging-tables"}


# ---- servers whose new tables are all catalog-managed ----------------------------------------------------------------


@pytest.fixture
def all_managed(tmp_path, monkeypatch):
    """A server of the test's own, `--catalog-managed`, with a catalog that no other has: `owned`."""
    server = Server(tmp_path, "--catalog-managed")
    catalog = isthmus.Catalog(server.url, token=server.token)
    catalog.create("catalog", name="owned")
    catalog.create("schema", name="s", catalog_name="owned")
    monkeypatch.setenv("ISTHMUS_CATALOG", server.url)
    monkeypatch.setenv("ISTHMUS_TOKEN", server.token)
    yield server
    server.stop()


def test_a_server_that_makes_every_new_table_catalog_managed(all_managed, spark, cluster, tmp_path):
    """By Ray, the command line and Spark, none of which was asked to."""
    import ray

    ray.data.from_items([{"task": i, "n": i} for i in range(10)]).write_databricks_table("owned.s.ray")
    (tmp_path / "rows.csv").write_text("task,n\n1,2\n")
    subprocess.run([str(COMMAND), "table", "append", "--quiet", "owned.s.cli", tmp_path / "rows.csv"], check=True)
    for key, value in {"": "io.isthmus.spark.IsthmusCatalog", ".uri": all_managed.url, ".token": all_managed.token}.items():
        spark.conf.set("spark.sql.catalog.owned" + key, value)
    spark.sql("CREATE TABLE owned.s.spark (task BIGINT, n BIGINT)")
    spark.sql("INSERT INTO owned.s.spark VALUES (1, 2)")
    spark.sql("CREATE TABLE owned.s.ctas AS SELECT 1 AS task")
    catalog = isthmus.Catalog(all_managed.url, token=all_managed.token)
    for table in ("ray", "cli", "spark", "ctas"):
        assert catalog.get_table(f"owned.s.{table}")["properties"]["delta.feature.catalogManaged"] == "supported"
        assert "catalogManaged" in isthmus.Table(f"owned.s.{table}").snapshot().describe()["features"]
    assert isthmus.write_deltalake("owned.s.spark", {"task": [2], "n": [3]}).version == 2
    assert spark.table("owned.s.spark").count() == 2
