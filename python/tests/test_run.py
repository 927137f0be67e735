"""What `isthmus run` prepares: modules that are lacking, file calls on volumes, dbutils, spark."""

import os
import subprocess
import sys

import pytest

import isthmus
from isthmus import connect, dbutils, provided


def run(script, *arguments, path, **environment):
    path.write_text(script)
    process = subprocess.run([sys.executable, "-m", "isthmus.run", str(path), *arguments], capture_output=True, text=True,
                             env={**os.environ, **environment}, timeout=120)
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_modules_that_are_lacking_are_found_and_others_stay(tmp_path):
    fake = tmp_path / "site" / "databricks" / "connect"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("DatabricksSession = 'the real one'")
    script = ("import databricks.connect, deltaray, pyspark.dbutils\n"
              "print(databricks.connect.DatabricksSession)\nprint(deltaray.read_delta.__module__)\n"
              "print(pyspark.dbutils.DBUtils(None))")
    ours = run(script, path=tmp_path / "a.py")
    assert "isthmus.connect.DatabricksSession" in ours and "deltaray\n<dbutils: fs" in ours
    assert run("import databricks.connect; print(databricks.connect.DatabricksSession)", path=tmp_path / "b.py",
               PYTHONPATH=str(tmp_path / "site")) == "the real one\n"


def test_the_script_is_main_and_its_arguments_are_its_own(tmp_path):
    script = ("import sys\nprint(__name__, sys.argv[1:])\ndbutils.widgets.text('day', 'none')\n"
              "print(dbutils.widgets.get('day'), dbutils.widgets.getAll())\nprint('spark' in globals())")
    out = run(script, "--day", "2026-11-24", "n=5", path=tmp_path / "job.py").splitlines()
    assert out == ["__main__ ['--day', '2026-11-24', 'n=5']", "2026-11-24 {'day': '2026-11-24', 'n': '5'}", "False"]


@pytest.mark.parametrize("source, uses", [
    ("spark.range(3)", True),
    ("def f():\n    return spark.range(3)\nf()", True),
    ("spark = 3\nspark", False),
    ("from x import spark\nspark", False),
    ("def f(spark):\n    return spark", False),
    ("def f():\n    spark = 1\n    return spark", False),
    ("print('spark')", False),
    ("global_ = 1\ndef f():\n    global spark\n    spark = 1\nspark", False),
    ("not python (", False),
])
def test_spark_is_made_only_for_scripts_that_use_it(tmp_path, source, uses):
    from isthmus.run import _uses_spark

    (tmp_path / "s.py").write_text(source)
    assert _uses_spark(str(tmp_path / "s.py")) is uses


def test_python_s_own_file_calls_reach_volumes(tmp_path, schema):
    isthmus.catalog.connect().create_volume(f"{schema}.calls")
    root = f"/Volumes/{schema.replace('.', '/')}/calls"
    script = f"""
import glob, os, pathlib, shutil
import pandas as pd
root = {root!r}
os.makedirs(root + "/a/b", exist_ok=True)
os.makedirs(root + "/a/b", exist_ok=True)
pd.DataFrame({{"x": [1, 2]}}).to_csv(root + "/a/b/one.csv", index=False)
pathlib.Path(root, "a", "two.bin").write_bytes(b"1234")
print(open(root + "/a/b/one.csv").read().split(), pd.read_csv(root + "/a/b/one.csv").x.sum())
print(sorted(os.listdir(root + "/a")), os.path.isdir(root + "/a"), os.path.exists(root + "/none"))
print(os.path.getsize(root + "/a/two.bin"), glob.glob(root + "/a/*.bin"), [e.name for e in os.scandir(root)])
os.rename(root + "/a/two.bin", root + "/three.bin")
shutil.copyfile(root + "/three.bin", {str(tmp_path)!r} + "/local.bin")
os.remove(root + "/three.bin")
print(sorted(name for _, _, files in os.walk(root) for name in files))
try:
    open(root + "/none")
except FileNotFoundError as error:
    print(error.errno)
"""
    out = run(script, path=tmp_path / "files.py").splitlines()
    assert out == ["['x', '1', '2'] 3", "['b', 'two.bin'] True False", f"4 ['{root}/a/two.bin'] ['a']", "['one.csv']", "2"]
    assert (tmp_path / "local.bin").read_bytes() == b"1234"
    assert isthmus.fs.open(f"{root}/a/b/one.csv").read() == "x\n1\n2\n"


def test_dbutils_fs(schema, tmp_path):
    isthmus.catalog.connect().create_volume(f"{schema}.utils")
    root, fs = f"dbfs:/Volumes/{schema.replace('.', '/')}/utils", dbutils.DBUtils().fs
    assert fs.put(f"{root}/a/x.txt", "hello") and fs.head(f"{root}/a/x.txt", 4) == "hell"
    with pytest.raises(isthmus.AlreadyExistsError):
        fs.put(f"{root}/a/x.txt", "again")
    assert fs.cp(f"{root}/a", f"{root}/b", recurse=True)
    assert fs.cp(f"{root}/a/x.txt", f"file:{tmp_path}/y.txt") and (tmp_path / "y.txt").read_text() == "hello"
    assert [(info.name, info.size) for info in fs.ls(root)] == [("a/", 0), ("b/", 0)]
    assert fs.ls(f"{root}/b")[0].path == f"{root}/b/x.txt" and fs.ls(f"{root}/b")[0].size == 5
    assert fs.mv(f"{root}/b/x.txt", f"{root}/z.txt") and fs.rm(f"{root}/a", True) and not fs.rm(f"{root}/a", True)
    assert [info.name for info in fs.ls(f"file:{tmp_path}")] == ["y.txt"]
    with pytest.raises(isthmus.UnsupportedError, match="no mounts"):
        fs.mount("s3a://x", "/mnt/x")


def test_the_context_s_token_is_not_printed(tmp_path):
    script = ("import sys\ntoken = dbutils.notebook.entry_point.getDbutils().notebook().getContext().apiToken().get()\n"
              "print(token, repr(token), [token], f'Bearer {token}')\nprint(len(token), file=sys.stderr)\n"
              "print('url', dbutils.notebook.entry_point.getDbutils().notebook().getContext().apiUrl().get())")
    out = run(script, path=tmp_path / "token.py").splitlines()
    assert out[0] == "[REDACTED] [REDACTED] [[REDACTED]] Bearer [REDACTED]" and out[1].startswith("url http")


def test_deltalake_takes_names_of_tables(tmp_path, name):
    script = ("from deltalake import DeltaTable, write_deltalake\nimport pyarrow as pa\n"
              f"write_deltalake({name!r}, pa.table({{'i': [1, 2]}}))\n"
              f"write_deltalake({str(tmp_path)!r} + '/plain', pa.table({{'i': [3]}}))\n"
              f"print(DeltaTable({str(tmp_path)!r} + '/plain').to_pyarrow_table().num_rows)")
    assert run(script, path=tmp_path / "d.py") == "1\n"
    assert isthmus.Table(name).to_arrow()["i"].to_pylist() == [1, 2]


@pytest.mark.parametrize("table, name", [("a.b", True), ("a.b.c", True), ("table", False), ("./a.b", False),
                                         ("s3://a.b", False), ("a.b.c.d", False), ("a..b", False), (3, False)])
def test_what_is_the_name_of_a_table(table, name):
    assert provided.is_name(table) is name


# ---- where a session's address comes from ----------------------------------------------------------------------------


def test_addresses(monkeypatch, tmp_path):
    for key in ("SPARK_REMOTE", "DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLUSTER_ID"):
        monkeypatch.delenv(key, raising=False)
    workspace = {"host": "https://w.example.org", "token": "t/1", "cluster_id": "c-1"}
    expected = "sc://w.example.org:443/;use_ssl=true;token=t%2F1;x-databricks-cluster-id=c-1"
    assert connect.address("sc://a:1") == "sc://a:1"
    assert connect.address("sc://a:1", {"user_agent": "x y"}) == "sc://a:1/;user_agent=x%20y"
    assert connect.address(None, {"host": "sc://a:1", "token": "t"}) == "sc://a:1/;token=t"
    assert connect.address(None, workspace) == expected
    assert "x-databricks-session-id=" in connect.address(None, {**workspace, "cluster_id": None, "serverless": True})
    (tmp_path / "cfg").write_text("[prod]\nhost = https://w.example.org\ntoken = t/1\ncluster_id = c-1\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "cfg"))
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "prod")
    assert connect.address() == expected
    monkeypatch.setenv("SPARK_REMOTE", "sc://b:2")
    assert connect.address() == "sc://b:2" and connect.address(None, workspace) == expected


@pytest.mark.parametrize("told, error, text", [
    ({"host": "https://w.example.org"}, isthmus.UnauthenticatedError, "no token"),
    ({"host": "https://w.example.org", "token": "t"}, isthmus.BadInputError, "which Spark"),
    ({}, isthmus.BadInputError, "no Spark to connect to"),
])
def test_an_address_that_cannot_be_told(monkeypatch, tmp_path, told, error, text):
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    with pytest.raises(error, match=text):
        connect.address(None, told)


def test_a_session_by_the_builder(connect_port, spark):
    session = connect.DatabricksSession.builder.remote(f"sc://127.0.0.1:{connect_port}").getOrCreate()
    assert session.range(5).count() == 5
    other = connect.DatabricksSession.builder.remote(f"sc://127.0.0.1:{connect_port}").create()
    other.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    assert session.conf.get("spark.sql.session.timeZone") != "Asia/Tokyo" and other.session_id != session.session_id
    other.stop()


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_by_the_command_line_dbutils_and_databricks_sdk(tmp_path):
    def secret(*arguments, stdin=""):
        done = subprocess.run([isthmus.services.binary(), "catalog", "secret", *arguments], input=stdin, text=True,
                              capture_output=True)
        return done.returncode, done.stdout + done.stderr

    assert secret("put", "prod", "api-key", stdin="s3cr3t-value\n")[0] == 0
    assert secret("put", "prod", "empty")[0] != 0
    code, listed = secret("list", "prod")
    assert code == 0 and "api-key" in listed and "s3cr3t" not in listed
    out = run("value = dbutils.secrets.get('prod', 'api-key')\nprint(len(value), value, repr(value), value.upper())\n"
              "print(dbutils.secrets.list('prod'), dbutils.secrets.listScopes())", path=tmp_path / "s.py").splitlines()
    assert out == ["12 [REDACTED] [REDACTED] S3CR3T-VALUE",
                   "[SecretMetadata(key='api-key')] [SecretScope(name='prod')]"]
    sdk = pytest.importorskip("databricks.sdk")
    info = isthmus.services.server_info()
    client = sdk.WorkspaceClient(host=info["url"], token=info["token"], auth_type="pat")
    client.secrets.put_secret("prod", "other", string_value="x")
    assert [item.key for item in client.secrets.list_secrets("prod")] == ["api-key", "other"]
    assert client.dbutils.secrets.get("prod", "other") == "x"
    assert secret("delete", "prod")[0] == 0 and secret("list", "prod")[0] != 0
