"""The section `warehouse` of bench.py: results of a gigabyte, small statements alone and by many, the server's own CPU.

    python bench/bench.py warehouse

Ray's client and databricks-sdk are as they are; all ask the same `isthmus serve` with its embedded engine, on this
machine. "into Ray" is from the call to blocks in Ray's object store. Both clients pay for the statement, shown alone: it
is one that costs the engine little, so that the clients are what is compared. "a Delta table into Ray" has the engine
read Parquet, which takes most of isthmus' time there. "fetch" is of a result that is there already: what Ray's client
does in its tasks (a link, then requests) beside isthmus' client, which has the files passed.
"""

import http.client
import json
import os
import statistics
import threading
import time
import urllib.parse

import pyarrow as pa

from engines import start_ray
from isthmus.services import server_info
from turns import take_turns

ROWS = 12_500_000  # 80 bytes each as Arrow
BIG = ("SELECT id, id AS a, id AS b, id AS c, id AS d, id AS e, 'a text of 28 characters here' AS text "
       f"FROM range({ROWS})")
TABLE = "main.default.big"
MAKE_TABLE = (f"CREATE TABLE {TABLE} AS SELECT id, id * 7 AS a, id * 11 AS b, id * 13 AS c, id / 3 AS x, id / 7 AS y, "
              f"concat('text of ', lpad(CAST(id AS STRING), 10, '0')) AS text FROM range({ROWS})")
SMALL = "SELECT 1 AS one"
CLIENTS, STATEMENTS, REPEATS = 200, 4000, 51


def fetch_by_requests(result):
    """What a read task of Ray's client does, without Ray."""
    import requests

    told = server_info()
    url = f"{told['url']}/api/2.0/sql/statements/{result.statement_id}/result/chunks"
    for chunk in result.manifest["chunks"]:
        link = requests.get(f"{url}/{chunk['chunk_index']}",
                            headers={"Authorization": f"Bearer {told['token']}"}).json()["external_links"][0]
        with pa.ipc.open_stream(requests.get(link["external_link"]).content) as reader:
            assert reader.read_all().num_rows == chunk["row_count"]


def fetch_by_isthmus(result):
    assert sum(batch.num_rows for batch in result.reader()) == result.rows


def one_row():
    """{name: [seconds]} from submission to the row, by turns."""
    import isthmus
    from databricks.sdk import WorkspaceClient

    told, connection = server_info(), isthmus.Catalog()
    sdk = WorkspaceClient(host=told["url"], token=told["token"]).statement_execution
    ways = {"one row: isthmus.sql": lambda: isthmus.sql(SMALL, connection=connection).to_arrow(),
            "one row: databricks-sdk": lambda: sdk.execute_statement(SMALL, "embedded").result.data_array}
    seconds = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            start = time.monotonic()
            way()
            seconds[name].append(time.monotonic() - start)
    return seconds


def many_small():
    """Seconds of one statement where CLIENTS connections wait for theirs at once, all one after the other."""
    told = server_info()
    place = urllib.parse.urlsplit(told["url"])
    headers = {"Authorization": f"Bearer {told['token']}", "Content-Type": "application/json"}
    body = json.dumps({"statement": SMALL, "warehouse_id": "embedded", "wait_timeout": "50s"})
    states = []

    def work():
        connection = http.client.HTTPConnection(place.hostname, place.port)
        for _ in range(STATEMENTS // CLIENTS):
            connection.request("POST", "/api/2.0/sql/statements", body, headers)
            states.append(json.loads(connection.getresponse().read())["status"]["state"])

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["SUCCEEDED"] * STATEMENTS
    return (time.monotonic() - start) / STATEMENTS


def server_cpu():
    """CPU seconds of the server without its engines, and its most resident megabytes."""
    pid = server_info()["pid"]
    with open(f"/proc/{pid}/stat") as stat:
        parts = stat.read().rpartition(")")[2].split()
    with open(f"/proc/{pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK"), peak


def restart():
    """Another server and engine: what results of the one before lie in is free again."""
    import isthmus

    isthmus.stop()
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        os.environ.pop(name, None)  # with them nothing is started
    isthmus.start()
    isthmus.sql(SMALL)
    told = server_info()
    os.environ.update(DATABRICKS_HOST=told["url"], DATABRICKS_TOKEN=told["token"])


def into_ray(ray, runs):
    """{name: [seconds]}"""
    import isthmus

    clients = {"ray.data.read_databricks_tables": ray.data.read_databricks_tables,
               "isthmus.read_sql": isthmus.read_databricks_tables}

    def ways(title, **what):
        arguments = {"warehouse_id": "embedded", "catalog": "main", "schema": "default", **what}
        return {f"{title}: {name}": lambda read=read: read(**arguments).materialize() for name, read in clients.items()}

    restart()
    isthmus.sql(MAKE_TABLE)
    try:
        return take_turns({"the statement alone": lambda: isthmus.sql(BIG), **ways("into Ray", query=BIG),
                           **ways("a Delta table into Ray", table=TABLE)}, runs, restart)
    finally:
        del os.environ["DATABRICKS_HOST"], os.environ["DATABRICKS_TOKEN"]


def bench_warehouse(folder, runs):
    """A result of a gigabyte into Ray, and fetched alone; one row; 200 statements at once."""
    import isthmus

    isthmus.sql(SMALL)  # starts an engine
    seconds = one_row()
    seconds["200 at once: isthmus"] = [many_small() for _ in range(runs)]

    result = isthmus.sql(BIG)
    gigabytes = sum(chunk["byte_count"] for chunk in result.manifest["chunks"]) / 1e9
    before, _ = server_cpu()
    fetch_by_requests(result)
    after, peak = server_cpu()
    seconds |= take_turns({"fetch: requests": lambda: fetch_by_requests(result),
                           "fetch: isthmus": lambda: fetch_by_isthmus(result)}, runs)

    ray = start_ray()
    try:
        seconds |= into_ray(ray, runs)
    finally:
        ray.shutdown()
    ratios = [
        {"what": f"{gigabytes:.2f} GB into Ray: time of Ray's client / time of isthmus.read_sql", "target": ">= 3",
         "of": "into Ray: ray.data.read_databricks_tables", "to": "into Ray: isthmus.read_sql", "at_least": 3},
        {"what": "a Delta table into Ray: time of Ray's client / time of isthmus", "target": "-",
         "of": "a Delta table into Ray: ray.data.read_databricks_tables",
         "to": "a Delta table into Ray: isthmus.read_sql"},
        {"what": f"{gigabytes:.2f} GB fetched: time of requests / time of isthmus", "target": "-",
         "of": "fetch: requests", "to": "fetch: isthmus"},
        {"what": "one row: time of databricks-sdk / time of isthmus.sql", "target": "-",
         "of": "one row: databricks-sdk", "to": "one row: isthmus.sql"}]
    figures = [
        {"what": "one row by isthmus.sql, ms, median", "target": "<= 50", "at_most": 50,
         "value": statistics.median(seconds["one row: isthmus.sql"]) * 1000},
        {"what": "ms for each of 200 small statements at once", "target": "<= 2 (500/s)", "at_most": 2,
         "value": statistics.median(seconds["200 at once: isthmus"]) * 1000},
        {"what": "server's CPU seconds for a GB fetched by requests", "target": "<= 1", "at_most": 1,
         "value": (after - before) / gigabytes},
        {"what": "server's most memory, MB", "target": "-", "value": peak}]
    return {"seconds": seconds, "ratios": ratios, "figures": figures}
