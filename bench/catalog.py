"""The section `catalog` of bench.py: `isthmus serve` under load, beside an empty server, SQLite and other software.

    python bench/bench.py catalog
    UNITY_CATALOG_URL=http://127.0.0.1:8080 python bench/bench.py catalog    # and beside an open Unity Catalog server

Sides take turns of a second each. Loads come from http_load.c over connections that are kept. Seconds are of one
request, so that a ratio of them is one of rates.
"""

import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import sqlite3
import statistics
import subprocess
import time
import urllib.error
import urllib.request

import isthmus

BUILD = pathlib.Path(__file__).resolve().parent.parent / "build" / "dev"
UC = "/api/2.1/unity-catalog"
TABLE = UC + "/tables/main.default.t"
MANY, CLIENTS = 100_000, 32
COLUMNS = [{"name": name, "type_text": text, "type_name": kind, "position": position,
            "type_json": json.dumps({"name": name, "type": json_type, "nullable": True, "metadata": {}})}
           for position, (name, text, kind, json_type) in enumerate(
               [("id", "bigint", "LONG", "long"), ("name", "string", "STRING", "string"),
                ("amount", "decimal(10,2)", "DECIMAL", "decimal(10,2)"), ("at", "timestamp", "TIMESTAMP", "timestamp")])]


# Servers ------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def running(command, **more):
    """A server that prints its URL first: (URL, process)."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, **more)
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.stdin.close()
        process.send_signal(signal.SIGTERM)
        process.wait()


def serve(home):
    return running([isthmus.services.binary(), "serve", "--port", "0"], env={**os.environ, "ISTHMUS_HOME": str(home)})


def ask(url, token, method, path, body=None):
    request = urllib.request.Request(url + path, method=method, data=json.dumps(body).encode() if body else None,
                                     headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


def load(url, path="/", token="", **options):
    """What http_load reports; nothing may fail."""
    words = [word for name, value in options.items() for word in ("--" + name, str(value))]
    words += ["--token", token] if token else []
    report = json.loads(subprocess.run([BUILD / "bench" / "http_load", *words, url + path], check=True,
                                       capture_output=True, text=True).stdout)
    assert report["failed"] == 0 and report["requests"] > 0, report
    return report


def per_request(*args, **options):
    return 1 / load(*args, **options)["rate"]


def take_turns(ways, rounds):
    """{name: [seconds of one request, ...]}"""
    seconds = {name: [] for name in ways}
    for name, way in ways.items():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    for name, values in seconds.items():
        print(f"  {name}: {statistics.median(values) * 1e6:.0f} us", flush=True)
    return seconds


# What there is ------------------------------------------------------------------------------------------------------

def table(name, folder, schema="default"):
    return {"name": name, "catalog_name": "main", "schema_name": schema, "table_type": "EXTERNAL",
            "data_source_format": "DELTA", "columns": COLUMNS, "storage_location": f"file://{folder}/data/{name}"}


def multiply(home, schema, count):
    """Many tables like the one of a schema, straight into the database: making them is not what is measured."""
    with contextlib.closing(sqlite3.connect(f"{home}/catalog.db", timeout=30)) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(tables)")]
        values = {"id": "printf('%s%08d', substr(t.id, 1, 28), i)", "name": "printf('t%06d', i)",
                  "storage_location": "t.storage_location || i"}
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
            f" INSERT INTO tables ({', '.join(columns)}) SELECT {', '.join(values.get(c, 't.' + c) for c in columns)}"
            " FROM n, tables t JOIN schemas s ON s.id = t.parent_id WHERE s.name = ? AND t.name = 'first'", (schema,))


def make_objects(home, url, token, folder):
    """A user's token who may read the schemas `small` and `large` whole, and one who sees 100 tables of each."""
    ask_here = functools.partial(ask, url, token)
    for i in range(CLIENTS):
        ask_here("POST", UC + "/schemas", {"name": f"s{i}", "catalog_name": "main"})
    ask_here("POST", UC + "/tables", table("t", folder))
    tokens = {}
    for name in ("reader@example.org", "guest@example.org"):
        ask_here("POST", "/api/2.0/preview/scim/v2/Users", {"userName": name})
        tokens[name] = ask_here("POST", "/api/2.0/token/create", {"principal": name})["token_value"]

    def grant(kind, what, name, *privileges):
        ask_here("PATCH", f"{UC}/permissions/{kind}/{what}",
                 {"changes": [{"principal": name, "add": list(privileges)}]})

    grant("catalog", "main", "reader@example.org", "USE CATALOG", "USE SCHEMA", "SELECT")
    grant("catalog", "main", "guest@example.org", "USE CATALOG", "USE SCHEMA")
    for schema, count in (("small", 100), ("large", MANY)):
        ask_here("POST", UC + "/schemas", {"name": schema, "catalog_name": "main"})
        ask_here("POST", UC + "/tables", table("first", f"{folder}/{schema}", schema))
        multiply(home, schema, count)
        for i in range(count // 100, count + 1, count // 100):
            grant("table", f"main.{schema}.t{i:06d}", "guest@example.org", "SELECT")
    return tokens["reader@example.org"], tokens["guest@example.org"]


# Figures ------------------------------------------------------------------------------------------------------------

def get_table(url, empty, token, open_server, rounds):
    any_table = UC + "/tables/main.large.t0{r:10}{r:10}{r:10}{r:10}1"
    ways = {"empty handler": lambda: per_request(empty), "getTable": lambda: per_request(url, TABLE, token),
            "getTable, any of 10,000": lambda: per_request(url, any_table, token)}
    if open_server:
        ways["open Unity Catalog server, getTable"] = lambda: per_request(open_server, f"{UC}/tables/bench.default.t")
    return take_turns(ways, rounds)


def at_half_load(url, empty, token, rate, rounds):
    """Half of getTable's rate; of the empty handler, too: what this machine's scheduler adds with any server."""
    ways = {"getTable": (url, TABLE, token), "empty handler": (empty,)}
    reports = [(name, load(*args, rate=rate / 2, seconds=2)) for _ in range(rounds) for name, args in ways.items()]
    return {f"{way} at half load, {part}": [report[part + "_us"] / 1e6 for name, report in reports if name == way]
            for way in ways for part in ("p50", "p99")}


def changes(url, token, folder, rounds):
    """PATCH of a comment: of 32 schemas by as many clients, of one by one client, which is one fsync each."""
    def change(clients):
        return per_request(url, UC + "/schemas/main.s{c}", token, method="PATCH", connections=clients,
                           body='{"comment": "number {n} of {c}"}')

    database = sqlite3.connect(f"{folder}/one.db", isolation_level=None)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER, s TEXT)")

    def commit():
        start, count = time.monotonic(), 0
        while time.monotonic() < start + 1:
            count += 1
            database.execute("INSERT INTO t VALUES (?, ?)", (count, "x" * 300))
        return (time.monotonic() - start) / count

    seconds = take_turns({"change, 32 clients": lambda: change(CLIENTS), "change, 1 client": lambda: change(1),
                          "a row in SQLite, a commit each": commit}, rounds)
    database.close()
    return seconds


def pages(url, reader, guest, rounds):
    """50 tables from the middle of a schema."""
    def page(schema, after, token):
        return per_request(url, f"{UC}/tables?catalog_name=main&schema_name={schema}&max_results=50&page_token={after}",
                           token, connections=2)

    return take_turns({"page of 50 among 100": lambda: page("small", "t000025", reader),
                       "page of 50 among 100,000": lambda: page("large", "t050000", reader),
                       "page of 50 granted ones among 100": lambda: page("small", "t000025", guest),
                       "page of 50 granted ones among 100,000": lambda: page("large", "t025000", guest)}, rounds)


def clients(url, token, rounds):
    """getTable by our client in C, as Python has it, and by Databricks'."""
    ours = isthmus.Catalog(url, token)
    asks = {"isthmus.Catalog, getTable": lambda: ours.get_table("main.default.t")}
    with contextlib.suppress(ImportError):
        from databricks.sdk import WorkspaceClient

        theirs = WorkspaceClient(host=url, token=token)
        asks["databricks-sdk, getTable"] = lambda: theirs.tables.get("main.default.t")

    def timed(call, count=200):
        start = time.monotonic()
        for _ in range(count):
            call()
        return (time.monotonic() - start) / count

    return take_turns({name: functools.partial(timed, call) for name, call in asks.items()}, rounds)


def start(home):
    """Milliseconds until a server answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begun = time.monotonic()
    process = subprocess.Popen([isthmus.services.binary(), "serve", "--port", str(port)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "ISTHMUS_HOME": str(home)})
    while True:
        try:
            ask(f"http://127.0.0.1:{port}", None, "GET", "/healthz")
            break
        except urllib.error.URLError:
            time.sleep(0.001)
    took = (time.monotonic() - begun) * 1000
    process.terminate()
    process.wait()
    return took


def resident_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def make_table_of(open_server, folder):
    """The same table at the open server, which takes it without a token (authorization disabled)."""
    for path, body in (("catalogs", {"name": "bench"}), ("schemas", {"name": "default", "catalog_name": "bench"}),
                       ("tables", {**table("t", folder), "catalog_name": "bench"})):
        with contextlib.suppress(urllib.error.HTTPError):  # from an earlier run
            ask(open_server, None, "POST", f"{UC}/{path}", body)
    load(open_server, f"{UC}/tables/bench.default.t", seconds=10)  # until its code is compiled


def at_least(what, of, to, least):
    return {"what": what, "of": of, "to": to, "target": f"at least {least}", "at_least": least}


def at_most(what, of, to, most):
    return {"what": what, "of": of, "to": to, "target": f"at most {most}", "at_most": most}


def bench_catalog(folder, runs):
    """The catalog server under load; beside an empty server, one fsync per change, and other software."""
    rounds, home = 3 * runs, f"{folder}/catalog"
    open_server = os.environ.get("UNITY_CATALOG_URL")
    first = [start(f"{folder}/start{i}") for i in range(rounds)]
    again = [start(f"{folder}/start0") for _ in range(rounds)]
    if open_server:
        make_table_of(open_server, folder)
    with running([BUILD / "bench" / "empty_server"]) as (empty, _), serve(home) as (url, process):
        token = pathlib.Path(home, "token").read_text().strip()
        reader, guest = make_objects(home, url, token, folder)
        seconds = get_table(url, empty, reader, open_server, rounds)
        seconds |= at_half_load(url, empty, reader, 1 / statistics.median(seconds["getTable"]), rounds)
        seconds |= changes(url, token, folder, rounds)
        seconds |= pages(url, reader, guest, rounds)
        seconds |= clients(url, reader, rounds)
        resident = resident_mb(process.pid)
    ratios = [
        at_least("getTable has, of the empty handler's rate", "empty handler", "getTable", 0.5),
        at_most("p99 of getTable at half load, in medians", "getTable at half load, p99", "getTable at half load, p50",
                10),
        {"what": "p99 of the empty handler at the same rate, in medians", "of": "empty handler at half load, p99",
         "to": "empty handler at half load, p50", "target": "-"},
        at_least("changes by 32 clients, of the rate with one fsync each", "change, 1 client", "change, 32 clients", 8),
        at_least("changes by 32 clients, of the rate of bare SQLite commits", "a row in SQLite, a commit each",
                 "change, 32 clients", 1),
        at_most("a page among 100,000 takes, of one among 100", "page of 50 among 100,000", "page of 50 among 100", 1.5),
        at_most("the same where only 100 tables are granted", "page of 50 granted ones among 100,000",
                "page of 50 granted ones among 100", 10)]  # the granted ones lie a thousand rows apart
    if "databricks-sdk, getTable" in seconds:
        ratios.append(at_least("our client is faster than databricks-sdk by", "databricks-sdk, getTable",
                               "isthmus.Catalog, getTable", 1))
    if open_server:
        ratios.append(at_least("getTable is faster than the open server's by", "open Unity Catalog server, getTable",
                               "getTable", 1))
    return {"seconds": seconds, "ratios": ratios, "figures": [
        {"what": "first start until it answers, ms", "value": statistics.median(first), "target": "at most 100",
         "at_most": 100},
        {"what": "start until it answers, ms", "value": statistics.median(again), "target": "at most 100",
         "at_most": 100},
        {"what": "resident after all of this, MB", "value": resident, "target": "at most 50", "at_most": 50}]}
