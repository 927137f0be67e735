"""The isthmus command, driven as a user does. Tables are made and judged by delta-rs and pyarrow."""

import collections
import concurrent.futures
import datetime
import decimal
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import deltalake
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACES = [ROOT / "python/isthmus/bin/isthmus", ROOT / "build/dev/isthmus/bin/isthmus"]
COMMAND = os.environ.get("ISTHMUS_COMMAND") or next((str(p) for p in PLACES if p.exists()), "isthmus")
CATALOG = ["list", "show", "create", "update", "delete", "grants", "grant", "revoke", "user", "group",
           "service-principal", "token", "secret", "audit"]
COMMANDS = ["table show", "table log", "table cat", "table append", "table list", *(f"catalog {c}" for c in CATALOG),
            "fs ls", "fs cat", "fs cp", "fs rm", "sql", "lineage", "explain", "run", "serve", "daemon", "daemon status",
            "daemon stop", "status", "version", "help", "completion"]

Result = collections.namedtuple("Result", "code out err")


@pytest.fixture
def home(tmp_path_factory, monkeypatch):
    """An Isthmus home of its own, short enough for a socket's path."""
    folder = tmp_path_factory.mktemp("h")
    monkeypatch.setenv("ISTHMUS_HOME", str(folder))
    for name in ("ISTHMUS_CATALOG", "ISTHMUS_TOKEN", "ISTHMUS_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, text=True, **kwargs):
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=text, timeout=120,
                          stdin=subprocess.DEVNULL, **kwargs)
    return Result(done.returncode, done.stdout, done.stderr)


def ok(*arguments, **kwargs):
    result = run(*arguments, **kwargs)
    assert result.code == 0, result.err
    return result.out


def refused(*arguments, code=1, **kwargs):
    """The error message of a command that must fail, without its "isthmus: "."""
    result = run(*arguments, **kwargs)
    assert result.code == code, (result.out, result.err)
    lines = result.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("isthmus: "), result.err
    return lines[0][len("isthmus: "):]


@pytest.fixture
def service():
    """Start `isthmus <command>` and wait until `ready` says so; ended with the test."""
    started = []

    def start(*arguments, ready):
        process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   stdin=subprocess.DEVNULL)
        started.append(process)
        deadline = time.monotonic() + 20
        while not ready():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def server(home, service):
    return service("serve", ready=(home / "server.json").exists)


@pytest.fixture
def daemon(home, service):
    return service("daemon", ready=(home / "daemon.sock").exists)


def sample():
    return pa.table({
        "id": pa.array([1, 2, None], pa.int64()),
        "small": pa.array([1, -2, 3], pa.int8()),
        "x": pa.array([0.1, float("nan"), -1e300]),
        "f": pa.array([0.1, None, 3.5], pa.float32()),
        "name": ["plain", "日本, \"quoted\"\nline", None],
        "flag": [True, False, None],
        "price": pa.array([decimal.Decimal("1.10"), decimal.Decimal("-0.05"), None], pa.decimal128(10, 2)),
        "day": pa.array([datetime.date(2026, 11, 23), datetime.date(1969, 12, 31), None]),
        "at": pa.array([datetime.datetime(2026, 11, 23, 9, 0, 0, 123456, datetime.timezone.utc),
                        datetime.datetime(1900, 1, 1, tzinfo=datetime.timezone.utc), None], pa.timestamp("us", "UTC")),
        "raw": pa.array([b"\x00\xff", b"", None], pa.binary()),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "addr": pa.array([{"city": "Aachen", "zip": 1}, {"city": None, "zip": None}, None],
                         pa.struct([("city", pa.string()), ("zip", pa.int32())])),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
    })


def plain(value):
    """A pylist value as `table cat --json` tells it."""
    if isinstance(value, datetime.datetime):
        text = value.isoformat().replace("+00:00", "")
        return text + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return dict(value) if value and isinstance(value[0], tuple) else [plain(v) for v in value]
    return value


# ---- the command itself ----------------------------------------------------------------------------------------


def test_overview_lists_every_command(home):
    out = ok("--help")
    for command in COMMANDS:
        assert f"  {command} " in out
        page = ok(*command.split(), "--help")
        assert page.startswith(f"usage: isthmus {command} [OPTION...]")
        assert "Exit status:" in page and "--help" in page
        assert ok("help", *command.split()) == page
        assert f'.TH "ISTHMUS\\-{command.upper().replace(" ", chr(92) + "-")}"' in ok("help", "--man", *command.split())
    assert run().code == 2 and run("table").code == 2


def test_usage_errors_say_what_was_meant(home):
    assert "did you mean 'table show'?" in refused("table", "shwo", code=2)
    assert "did you mean 'daemon'?" in refused("deamon", code=2)
    assert "did you mean --limit?" in refused("table", "cat", "t", "--limti", "3", code=2)
    assert "TABLE is missing" in refused("table", "cat", code=2)
    assert "exclude each other" in refused("table", "cat", "t", "--csv", "--arrow", code=2)
    result = run("table", "cat", "--json", "--limit", "x", "t")
    assert result.code == 2 and json.loads(result.err)["error"]["status"] == "bad input"


def test_the_reference_is_not_stale(home):
    assert (ROOT / "docs/cli.md").read_text() == ok("help", "--markdown")


def test_bash_completion(work):
    (work / "complete.bash").write_text(ok("completion", "bash"))

    def complete(*words):
        script = (f"source complete.bash; COMP_WORDS=({' '.join(words)} ''); COMP_CWORD={len(words)}; "
                  "[[ ${COMP_WORDS[COMP_CWORD-1]} == -* && ${COMP_WORDS[COMP_CWORD-1]} == *- ]] && "
                  "{ unset 'COMP_WORDS[COMP_CWORD]'; COMP_CWORD=$((COMP_CWORD-1)); }; _isthmus; echo ${COMPREPLY[*]}")
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert {"table", "daemon", "serve", "lineage"} <= set(complete("isthmus"))
    assert complete("isthmus", "table") == ["show", "log", "cat", "append", "list"]
    assert set(complete("isthmus", "daemon")) == {"status", "stop"}
    assert complete("isthmus", "table", "append", "t", "--mode") == ["append", "overwrite", "error", "ignore"]
    assert "--columns" in complete("isthmus", "table", "cat", "--")
    assert "--memory" in complete("isthmus", "daemon", "--")
    assert complete("isthmus", "completion") == ["bash", "zsh", "fish"]


def test_full_disk_is_an_error(work):
    deltalake.write_deltalake("t", pa.table({"v": list(range(100000))}))
    for form in (["--csv"], ["--json"], []):
        with open("/dev/full", "w") as full:
            done = subprocess.run([COMMAND, "table", "cat", "t", *form], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and "No space left" in done.stderr


# ---- reading ---------------------------------------------------------------------------------------------------


def test_show_agrees_with_delta_rs(work):
    deltalake.write_deltalake("t", sample(), partition_by=["flag"], name="sample",
                              configuration={"delta.appendOnly": "true"})
    table = deltalake.DeltaTable("t")
    told = json.loads(ok("table", "show", "--json", "t"))
    assert told["version"] == 0 and told["rows"] == 3
    assert told["id"] == str(table.metadata().id)
    assert told["files"] == len(table.file_uris())
    assert told["partitionColumns"] == ["flag"]
    assert told["properties"]["delta.appendOnly"] == "true"
    assert told["schema"] == json.loads(table.schema().to_json())
    text = ok("table", "show", "t")
    assert f"location    {(work / 't').as_uri()}\n" in text
    assert "rows        3\n" in text and "partitions  flag\n" in text and "delta.appendOnly = true" in text
    assert "struct<city: string, zip: integer>" in text and "map<string, integer>" in text


def test_log_agrees_with_delta_rs(work):
    for i in range(3):
        deltalake.write_deltalake("t", pa.table({"v": [i]}), mode="append")
    told = json.loads(ok("table", "log", "--json", "t"))
    history = deltalake.DeltaTable("t").history()
    assert [c["version"] for c in told] == [c["version"] for c in history] == [2, 1, 0]
    assert [c["operation"] for c in told] == [c["operation"] for c in history]
    assert [c["timestamp"] for c in told] == [c["timestamp"] for c in history]
    assert len(json.loads(ok("table", "log", "--json", "--limit", 2, "t"))) == 2
    lines = ok("table", "log", "t").splitlines()
    assert lines[0].split()[:3] == ["version", "time", "operation"] and lines[2].split()[0] == "2"


def test_cat_json_tells_every_value(work):
    deltalake.write_deltalake("t", sample())
    told = [json.loads(line) for line in ok("table", "cat", "--json", "t").splitlines()]
    expected = [plain(row) for row in sample().to_pylist(maps_as_pydicts="strict")]
    for got, want in zip(told, expected, strict=True):
        want["f"] = want["f"] and round(want["f"], 6)
        assert got == want


def test_cat_csv_reads_back(work):
    columns = ["id", "name", "flag", "x"]
    deltalake.write_deltalake("t", sample())
    (work / "out.csv").write_text(ok("table", "cat", "--csv", "--columns", ",".join(columns), "t"))
    options = pa.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""])
    read = pa.csv.read_csv("out.csv", convert_options=options,
                           parse_options=pa.csv.ParseOptions(newlines_in_values=True))
    assert str(read.to_pylist()) == str(sample().select(columns).to_pylist())


def test_cat_arrow_is_the_table(work):
    deltalake.write_deltalake("t", sample())
    out = ok("table", "cat", "--arrow", "t", text=False)
    read = pa.ipc.open_stream(out).read_all()
    read.validate(full=True)
    assert str(read.to_pylist()) == str(sample().to_pylist())
    cut = pa.ipc.open_stream(ok("table", "cat", "--arrow", "--limit", 2, "t", text=False)).read_all()
    cut.validate(full=True)
    assert str(cut.to_pylist()) == str(sample().slice(0, 2).to_pylist())


def test_cat_aligns_and_is_safe_on_a_terminal(work):
    deltalake.write_deltalake("t", pa.table({"n": [1, 20], "name": ["日本", "a\x1b[31m\n"], "end": ["x", "y" * 100]}))
    lines = ok("table", "cat", "t").splitlines()
    assert lines[0] == " n  name         end"
    assert lines[2] == " 1  日本         x"
    assert lines[3] == "20  a\\x1b[31m\\n  " + "y" * 59 + "…"
    assert lines[4] == "(2 rows)"
    assert ok("table", "cat", "--limit", 1, "t").splitlines()[-1] == "(1 of 2 rows)"
    assert ok("table", "cat", "--limit", 0, "--json", "t") == ""


def test_cat_many_rows_of_many_files(work):
    for part in range(3):
        rows = range(part * 40000, (part + 1) * 40000)
        deltalake.write_deltalake("t", pa.table({"v": list(rows), "p": [part] * 40000}), mode="append", partition_by=["p"])
    told = sorted(json.loads(line)["v"] for line in ok("table", "cat", "--json", "t").splitlines())
    assert told == list(range(120000))
    assert len(ok("table", "cat", "t").splitlines()) == 120000 + 3
    assert len(ok("table", "cat", "--version", 0, "--csv", "t").splitlines()) == 40001


def test_reading_refusals_name_table_and_cause(work):
    deltalake.write_deltalake("t", pa.table({"v": [1]}))
    assert "there is no Delta table" in refused("table", "show", "nothing")
    assert "'w'" in refused("table", "cat", "--columns", "w", "t")
    assert "version 7" in refused("table", "cat", "--version", 7, "t")
    assert "4 parts" in refused("table", "show", "a.b.c.d")
    assert "isthmus serve" in refused("table", "show", "main.demo.t")
    next((work / "t").glob("*.parquet")).unlink()
    message = refused("table", "cat", "t")
    assert message.startswith("table cat: ") and ".parquet" in message
    (work / "t/_delta_log/00000000000000000001.json").write_text('{"add":{"path":')
    assert "00000000000000000001.json" in refused("table", "show", "t")
    result = run("table", "show", "--json", "t")
    error = json.loads(result.err)["error"]
    assert result.code == 1 and error["operation"] == "table show" and error["status"] == "bad input"


# ---- writing ---------------------------------------------------------------------------------------------------


def rows_of(path):
    return sorted(deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist(), key=str)


def test_append_every_format(work):
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["a", None]})
    pa.parquet.write_table(rows, "a.parquet")
    with pa.OSFile("b.arrow", "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)
    (work / "c.csv").write_text("name,id\na,1\n,2\n")
    (work / "d.jsonl").write_text('{"id": 1, "name": "a"}\n{"id": 2, "name": null}\n')
    told = json.loads(ok("table", "append", "--json", "t", "a.parquet", "b.arrow", "c.csv", "d.jsonl"))
    assert told["version"] == 0 and told["rows"] == 8 and told["by"] == "direct" and told["committed"]
    assert rows_of("t") == sorted(rows.to_pylist() * 4, key=str)
    assert "version 1, 2 rows" in ok("table", "append", "t", "c.csv")
    for action in pa.table(deltalake.DeltaTable("t").get_add_actions(flatten=True)).to_pylist():
        assert action["num_records"] >= 2 and action["min.id"] == 1 and action["max.id"] == 2


def test_append_keeps_all_types(work):
    pa.parquet.write_table(sample(), "in.parquet")
    ok("table", "append", "t", "in.parquet")
    assert str(deltalake.DeltaTable("t").to_pyarrow_table().to_pylist()) == str(sample().to_pylist())
    assert ok("table", "cat", "--json", "t").count("\n") == 3


def test_append_modes(work):
    (work / "one.csv").write_text("v\n1\n")
    (work / "two.csv").write_text("v\n2\n")
    ok("table", "append", "--mode", "error", "t", "one.csv")
    assert "already" in refused("table", "append", "--mode", "error", "t", "two.csv").lower()
    assert json.loads(ok("table", "append", "--mode", "ignore", "--json", "t", "two.csv"))["committed"] is False
    assert rows_of("t") == [{"v": 1}]
    ok("table", "append", "--mode", "overwrite", "t", "two.csv")
    assert rows_of("t") == [{"v": 2}]
    (work / "text.csv").write_text("v,w\nx,1\n")
    ok("table", "append", "--mode", "overwrite", "--overwrite-schema", "t", "text.csv")
    assert rows_of("t") == [{"v": "x", "w": 1}]
    assert "goes with" in refused("table", "append", "--overwrite-schema", "t", "one.csv", code=2)


def test_append_partitions_and_merges_schema(work):
    (work / "a.csv").write_text("v,day\n1,x\n2,y\n")
    (work / "b.csv").write_text("v,day,more\n3,x,new\n")
    ok("table", "append", "--partition-by", "day", "t", "a.csv")
    assert deltalake.DeltaTable("t").metadata().partition_columns == ["day"]
    assert "more" in refused("table", "append", "t", "b.csv")
    assert deltalake.DeltaTable("t").version() == 0
    ok("table", "append", "--merge-schema", "t", "b.csv")
    assert rows_of("t") == [{"v": 1, "day": "x", "more": None}, {"v": 2, "day": "y", "more": None},
                            {"v": 3, "day": "x", "more": "new"}]


def test_append_takes_types_from_the_table(work):
    deltalake.write_deltalake("t", pa.table({"code": ["x"], "at": pa.array([None], pa.timestamp("us", "UTC"))}))
    (work / "a.csv").write_text("code,at\n007,2026-11-23T09:00:00Z\n")
    ok("table", "append", "t", "a.csv")
    assert {"code": "007", "at": datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.timezone.utc)} in rows_of("t")


def test_append_refusals_leave_nothing(work):
    deltalake.write_deltalake("t", pa.table({"v": pa.array([1], pa.int32())}))
    before = sorted(work.glob("t/**/*"))
    (work / "good.csv").write_text("v\n2\n")
    (work / "bad.csv").write_text("v\n3\nabc\n")
    (work / "data.bin").write_bytes(b"\x00\x01")
    (work / "cut.parquet").write_bytes(b"PAR1 and no more")
    for file, part in [("bad.csv", "abc"), ("missing.csv", "missing.csv"), ("data.bin", "format"),
                       ("cut.parquet", "cut.parquet")]:
        message = refused("table", "append", "t", "good.csv", file)
        assert part in message and pathlib.Path(file).stem in message
        assert sorted(work.glob("t/**/*")) == before
    assert rows_of("t") == [{"v": 1}]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_append_to_a_read_only_place(work):
    deltalake.write_deltalake("t", pa.table({"v": [1]}))
    (work / "a.csv").write_text("v\n2\n")
    os.chmod("t", 0o555)
    assert "denied" in refused("table", "append", "t", "a.csv").lower()
    os.chmod("t", 0o755)
    assert rows_of("t") == [{"v": 1}]


# ---- with a daemon and a server --------------------------------------------------------------------------------


def test_daemon_life(work, daemon):
    counters = json.loads(ok("daemon", "status", "--json"))
    assert counters["pid"] == daemon.pid and counters["commits"] == 0
    assert "memory_limit" in ok("daemon", "status")
    assert str(daemon.pid) in refused("daemon")
    assert json.loads(ok("status", "--json"))["daemon"]["running"] is True
    assert ok("daemon", "stop") == f"the daemon (process {daemon.pid}) has ended\n"
    assert daemon.wait(20) == 0
    assert "isthmus daemon" in refused("daemon", "status")
    assert json.loads(ok("status", "--json"))["daemon"]["running"] is False


def test_daemon_settings(home):
    assert "memory" in refused("daemon", "--memory", "lots", code=2)
    assert "# " in ok("daemon", "--sample-config")
    (home / "daemon.conf").write_text("memory = lots\n")
    assert "daemon.conf" in refused("daemon")


def test_append_goes_through_the_daemon(work, daemon):
    deltalake.write_deltalake("t", pa.table({"v": pa.array([-1], pa.int64())}))
    for i in range(12):
        (work / f"{i}.csv").write_text(f"v\n{i}\n")

    def append(i):
        return json.loads(ok("table", "append", "--json", "t", f"{i}.csv"))

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = list(pool.map(append, range(12)))
    assert {r["by"] for r in results} == {"daemon"} and all(r["rows"] == 1 for r in results)
    assert rows_of("t") == sorted([{"v": i} for i in range(-1, 12)], key=str)
    counters = json.loads(ok("daemon", "status", "--json"))
    assert counters["commit_members"] == 12 and counters["commits"] == deltalake.DeltaTable("t").version()
    assert json.loads(ok("table", "append", "--json", "--direct", "t", "0.csv"))["by"] == "direct"


def test_names_and_lineage(work, server):
    (work / "a.csv").write_text("id,name\n1,a\n2,b\n")
    (work / "b.csv").write_text("id,name,more\n3,c,true\n")
    assert ok("table", "list").split() == ["main"]
    ok("table", "append", "main.default.people", "a.csv")
    listed = json.loads(ok("table", "list", "--json", "main.default"))
    assert [t["name"] for t in listed] == ["people"] and listed[0]["table_type"] == "MANAGED"
    assert [c["name"] for c in listed[0]["columns"]] == ["id", "name"]
    assert "people  MANAGED" in ok("table", "list", "main.default")
    assert rows_of(listed[0]["storage_location"].removeprefix("file://")) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    ok("table", "append", "--merge-schema", "default.people", "b.csv")
    listed = json.loads(ok("table", "list", "--json", "main.default"))
    assert [c["name"] for c in listed[0]["columns"]] == ["id", "name", "more"]
    assert "name        main.default.people" in ok("table", "show", "default.people")
    assert len(ok("table", "cat", "--json", "main.default.people").splitlines()) == 3
    told = json.loads(ok("lineage", "--json", "main.default.people"))
    assert {edge["job"] for edge in told["upstream"]} == {"isthmus table append"}
    assert any("a.csv" in edge["source"] for edge in told["upstream"])
    tree = ok("lineage", "main.default.people")
    assert tree.startswith("main.default.people\n") and "a.csv" in tree and "<- " in tree
    assert "a.csv" in ok("lineage")
    assert "main.default.nothing" in refused("table", "cat", "main.default.nothing")
    assert "nowhere" in refused("table", "append", "main.nowhere.t", "a.csv")


def test_serve_ends_in_good_order(home, server):
    url = json.loads((home / "server.json").read_text())["url"]
    assert ok("status").count("running") == 1
    assert url in refused("serve")
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert server.stdout.read() == url + "\n"


def test_run_hands_over(work):
    fake = work / "python"
    fake.write_text("#!/bin/sh\necho \"$@\"\nexit 7\n")
    fake.chmod(0o755)
    result = run("run", "job.py", "--help", "-x", env={**os.environ, "ISTHMUS_PYTHON": str(fake)})
    assert result.out == "-m isthmus.run job.py --help -x\n" and result.code == 7
    message = refused("run", "job.py", env={**os.environ, "ISTHMUS_PYTHON": "/no/such/python"})
    assert "/no/such/python" in message and "ISTHMUS_PYTHON" in message


def test_man_pages_are_built(home):
    folder = pathlib.Path(COMMAND).resolve().parent.parent / "man/man1"
    if not folder.exists():
        pytest.skip("no man pages beside this command")
    assert {p.name for p in folder.iterdir()} == {"isthmus.1"} | {f"isthmus-{c.replace(' ', '-')}.1" for c in COMMANDS}
    if shutil.which("man"):
        page = subprocess.run(["man", str(folder / "isthmus-table-cat.1")], capture_output=True, text=True,
                              env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "100"})
        assert "--columns A,B" in page.stdout, sys.stderr.write(page.stderr)
