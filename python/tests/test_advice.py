"""isthmus.explain: scripts, DataFrames, Datasets, tables. What it foretells is held against what then happens."""

import json
import pathlib
import re
import subprocess
import sys

import pyarrow as pa
import pytest

import isthmus
from isthmus import advice, advice_rules, catalog, services

ROOT = pathlib.Path(__file__).parents[2]


def told(tmp_path, source, name="s.py"):
    """[(line, way, is there something better?)] of a script."""
    (tmp_path / name).write_text(source)
    steps = isthmus.explain(tmp_path / name).steps
    return [(int(step.where.rpartition(":")[2]), step.way, bool(step.better)) for step in steps]


@pytest.mark.parametrize("source, ways", [
    ("import ray\nds = ray.data.from_spark(df)", [(2, "exchange", False)]),
    ("from ray.data import from_spark as f\nf(df)", [(2, "exchange", False)]),
    ("import ray.data as rd\nrd.from_pandas(spark.table('a.b').toPandas())",
     [(2, "driver", True), (2, "driver", True)]),
    ("import ray\npdf = df.toPandas()\nds = ray.data.from_pandas(pdf)", [(3, "driver", True)]),
    ("import ray\ndef load():\n    return df.collect()\nds = ray.data.from_items(load())", [(4, "driver", True)]),
    ("import ray, pandas as pd\nds = ray.data.from_pandas(pd.DataFrame())", []),
    ("spark.createDataFrame(pd.concat(ray.get([f.remote(i) for i in range(9)])))", [(1, "driver", True)]),
    ("frames = ray.get(refs)\nall = pd.concat(frames)\ndf = spark.createDataFrame(all)", [(3, "driver", True)]),
    ("df = spark.createDataFrame([(1, 2)])", []),
    ("ds.map(f).write_databricks_table('main.a.b')", [(1, "workers", False)]),
    ("ray.data.from_spark(df).write_databricks_table('main.a.b')", [(1, "workers", False), (1, "exchange", False)]),
    ("import ray\nds = ray.data.range(3)\nds.write_parquet('/tmp/x')\nspark.read.parquet('/tmp/x')",
     [(3, "ray", True), (4, "staged", True)]),
    ("spark.read.parquet('/tmp/x')", []),
    ("p = '/Volumes/main/d/v'\nimport ray\nds = ray.data.range(3)\nds.write_json(f'{p}/x')", [(4, "volume", True)]),
    ("from deltalake import write_deltalake\nwrite_deltalake('a.b', pdf)", [(2, "one", False)]),
    ("from deltalake import write_deltalake as w\nimport ray\n@ray.remote\ndef f(t):\n    w(t, pdf)\nf.remote('a.b')",
     [(5, "group", False)]),
    ("from deltalake import write_deltalake as w\nimport ray\n@ray.remote(num_cpus=1)\ndef f(t):\n    w(t, pdf)\n"
     "f.remote('s3://b/t')",
     [(5, "delta-rs", True)]),
    ("import isthmus, ray\ndef g(b):\n    isthmus.write_deltalake('a.b', b)\n    return b\nds.map_batches(g)",
     [(3, "group", False)]),
    ("import isthmus, ray\ndef h(b):\n    isthmus.write_deltalake('a.b', b)\n@ray.remote\ndef f():\n    h(1)",
     [(3, "group", False)]),
    ("import deltaray\ndeltaray.read_delta('s3://b/t').show()", [(2, "direct", False)]),
    ("import ray\nray.data.read_databricks_tables(warehouse_id='w', table='t')", [(2, "sql", True)]),
    ("from databricks.connect import DatabricksSession\nimport ray\n@ray.remote\nclass A:\n    def __init__(self):\n"
     "        self.spark = DatabricksSession.builder.remote('sc://h').getOrCreate()\n"
     "    def go(self):\n        self.spark.sql('select 1').write.saveAsTable('a.b')",
     [(6, "connect", False), (8, "spark", False)]),
    ("import os\ndef w(i, d):\n    df.to_csv(os.path.join(d, f'p{i}.csv'))\nimport ray\nw = ray.remote(w)\n"
     "w.remote(1, '/dbfs/tmp')",
     [(3, "volume", True)]),
    ("pdf.to_csv('/tmp/x.csv')\nopen('/dbfsx/a')", []),
    ("from pathlib import Path\n(Path('/Volumes/a/b') / 'c').write_text('x')", [(2, "volume", False)]),
    ("import subprocess\nsubprocess.run(['cat', '/dbfs/x'])", [(2, "script", True)]),
    ("dbutils.fs.mount('s3a://b', '/mnt')\ndbutils.fs.ls('/')\ndbutils.secrets.get('a', 'b')",
     [(1, "none", True), (2, "volume", False), (3, "catalog", False)]),
    ("token = dbutils.notebook.entry_point.getDbutils().notebook().getContext().apiToken().get()",
     [(1, "catalog", False)]),
    ("(df.write\n   .mode('overwrite')\n   .saveAsTable('a.b'))", [(3, "spark", False)]),
    ("a = b\nb = a\nopen(a)\nx = x + '/y'\nopen(x)", []),  # names that go in circles
    ("", []),
])
def test_calls_of_a_script(tmp_path, source, ways):
    assert told(tmp_path, source) == ways


def test_every_example_is_understood():
    for path in ROOT.glob("examples/*.py"):
        found = isthmus.explain(path)
        assert found.steps and all(re.fullmatch(rf"{path.name}:\d+", step.where) for step in found.steps)
        assert all(line in repr(found) for line in (step.where for step in found.steps))


def test_cells_of_a_notebook(tmp_path):
    cells = [{"cell_type": "markdown", "source": ["ray.data.from_spark(df)"]},
             {"cell_type": "code", "source": ["%pip install x\n", "import ray\n", "!ls\n", "df = spark.range(3)"]},
             {"cell_type": "code", "source": "%%sql\nSELECT 1 FROM t"},
             {"cell_type": "code", "source": "%%time\nds = ray.data.from_spark(df)"}]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
    assert [step.where for step in isthmus.explain(tmp_path / "n.ipynb").steps] == ["n.ipynb[4]:2"]


@pytest.mark.parametrize("name, content, error, says", [
    ("a.py", "def (", isthmus.BadInputError, "a.py:1"), ("b.py", b"\xff\xfe", isthmus.BadInputError, "b.py"),
    ("c.py", "a\0b", isthmus.BadInputError, "not Python"), ("d.ipynb", "[]", isthmus.BadInputError, "notebook"),
    ("e.py", None, isthmus.NotFoundError, "e.py"), ("f.py", "(" * 1000, isthmus.BadInputError, "f.py"),
])
def test_what_is_no_script(tmp_path, name, content, error, says):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=says):
        isthmus.explain(tmp_path / name)


def test_nothing_of_a_script_is_run(tmp_path):
    script = tmp_path / "s.py"
    script.write_text(f"open({str(tmp_path / 'made')!r}, 'w')\nraise SystemExit(3)\n")
    assert isthmus.explain(str(script)).steps == [] and not (tmp_path / "made").exists()


# ---- figures and rules -----------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_bench():
    results = json.loads((ROOT / "bench" / "results.json").read_text())
    assert json.loads((pathlib.Path(advice.__file__).parent / "measured.json").read_text()) == results
    for key, figure in advice_rules.FIGURES.items():
        if figure.section in results:
            assert re.search(r" \d+\.\d s \(\d+\.\dx\)", advice.cost(key)) and figure.command in advice.cost(key)
    assert advice.cost("") == ""


def test_rules_are_whole():
    for rule in advice_rules.RULES:
        assert rule.way in advice_rules.WAYS and rule.happens.endswith(".")
        assert not rule.figure or rule.figure in advice_rules.FIGURES
        for texts in (rule.calls, rule.watch, rule.comes, rule.beside):
            assert isinstance(texts, tuple)  # ("x") would be letters


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path):
    (tmp_path / "s.py").write_text("import ray\nds = ray.data.from_spark(df)\nagain = ray.data.from_spark(df)\n")

    def command(*words):
        return subprocess.run([services.binary(), "explain", *words], capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "ISTHMUS_PYTHON": sys.executable})

    text = command(str(tmp_path / "s.py")).stdout
    assert "s.py:2  ray.data.from_spark(df)" in text and text.count("look out") == 1 and "as at s.py:2" in text
    found = json.loads(command("--json", str(tmp_path / "s.py")).stdout)
    assert found["steps"][0]["way"] == "exchange" and found["steps"][0]["where"] == "s.py:2"
    failed = command(str(tmp_path / "none.py"))
    assert failed.returncode == 1 and "none.py" in failed.stderr and "Traceback" not in failed.stderr


# ---- Spark -----------------------------------------------------------------------------------------------------------


def test_a_dataframe(session, cluster, schema):
    classic = hasattr(session, "_jsparkSession")
    df = session.range(0, 5000, 1, 4).selectExpr("id", "id * 2 AS twice")
    before = isthmus.daemon_counters()["sealed"]
    found = isthmus.explain(df)
    facts = dict(found.facts)
    assert isthmus.daemon_counters()["sealed"] == before
    assert facts["columns"] == "id: int64, twice: int64" and facts["partitions"] == "up to 4"
    assert facts["session"].startswith("classic, local" if classic else "Spark Connect")
    assert ("ChunkWriter" if classic else "mapInArrow") in facts["leaves Spark by"]
    assert "4,096" not in facts["size"] and "by Spark's optimizer" in facts["size"]
    assert facts["blocks in Ray"] == f"about {cluster.data.from_spark(df).materialize().num_blocks()}"
    assert found.steps[0].way == "exchange" and not found.steps[0].better
    twice = isthmus.explain(df.select("id", "id"))
    assert "more than one column named 'id'" in dict(twice.facts)["refused"]


def test_a_dataframe_that_is_a_plain_scan(session, schema):
    kind = "classic" if hasattr(session, "_jsparkSession") else "connect"
    name = f"{schema}.advice_scan_{kind}"
    isthmus.write_deltalake(name, {"i": list(range(100)), "x": [0.5] * 100}, mode="overwrite")
    found = isthmus.explain(session.table(name).select("i").where("i > 3"))
    assert f'isthmus.read_delta("{name}"' in found.steps[0].better and name in dict(found.facts)["reads"]
    for df in (session.table(name).selectExpr("i + 1 AS j"), session.table(name).groupBy("i").count(),
               session.table(name).join(session.table(name).select("i"), "i")):
        assert not isthmus.explain(df).steps[0].better
    to = isthmus.explain(session.table(name).selectExpr("i", "i AS extra"), to=name)
    assert "BadInputError" in dict(to.facts)["schema"] and "extra" in dict(to.facts)["schema"]
    assert [step.way for step in to.steps] == ["exchange", "workers"]
    isthmus.catalog.connect().delete_table(name)


# ---- Ray -------------------------------------------------------------------------------------------------------------


def test_a_dataset_and_where_it_is_to_go(cluster, name, schema):
    ran = []
    ds = cluster.data.from_arrow(pa.table({"i": [1, 2], "j": ["a", "b"]}))
    facts = dict(isthmus.explain(ds, to=name).facts)
    assert facts["table"].startswith(f"{name}, new: managed") and facts["columns"] == "i: int64, j: string"
    with pytest.raises(isthmus.NotFoundError):
        isthmus.catalog.connect().get_table(name)  # nothing was reserved
    isthmus.write_deltalake(name, {"i": [1], "k": [0.5]})

    def fit(**options):
        return dict(isthmus.explain(ds, to=name, **options).facts)["schema"]

    assert fit(mergeSchema=True) == "fits; j are added; k become null"
    assert fit(mode="ignore").startswith("nothing is written")
    assert fit(mode="overwrite", overwriteSchema=True) == "becomes the dataset's"
    for options in ({}, {"mode": "error"}, {"partition_by": ["i"], "mergeSchema": True}):
        said = fit(**options)
        with pytest.raises(isthmus.IsthmusError) as raised:
            ds.write_databricks_table(name, **options)
        assert said.startswith(type(raised.value).__name__) and str(raised.value).partition(" (")[0] in said
    lazy = isthmus.explain(cluster.data.range(5).map_batches(lambda b: ran.append(1) or b), to=name)
    assert dict(lazy.facts)["schema"].startswith("not known") and "MapBatches" in dict(lazy.facts)["plan"] and not ran
    assert isthmus.Table(name).snapshot().version == 0
    with pytest.raises(isthmus.BadInputError, match="mode"):
        isthmus.explain(ds, to=name, mode="upsert")
    with pytest.raises(isthmus.NotFoundError):
        isthmus.explain(ds, to="main.no_such_schema.t")


def test_who_commits(cluster, schema):
    name = f"{schema}.advice_managed"
    isthmus.write_deltalake(name, {"i": [1]}, configuration={"delta.feature.catalogManaged": "supported"})
    found = dict(isthmus.explain(cluster.data.from_arrow(pa.table({"i": [1]})), to=name).facts)
    assert "ratified" in found["commits"] and "by the catalog at http" in found["credentials"]
    assert found["schema"] == "fits"
    isthmus.catalog.connect().delete_table(name)


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_by_name_and_path(name, tmp_path):
    isthmus.write_deltalake(name, {"i": [1, 2], "j": [3, 4]}, partition_by=["i"])
    for what in (name, isthmus.Table(name)):
        found = isthmus.explain(what)
        assert dict(found.facts)["holds"].startswith("2 rows in 2 files") and dict(found.facts)["partitioned by"] == "i"
        assert [step.way for step in found.steps] == ["direct", "workers", "group"]
    path = tmp_path / "t"
    isthmus.write_deltalake(path, {"i": [1]})
    found = isthmus.explain(path)
    assert [step.way for step in found.steps] == ["direct", "group"]
    assert "by the storage" in dict(found.facts)["commits"]
    with pytest.raises(isthmus.NotFoundError):
        isthmus.explain("main.tests.advice_none")
    with pytest.raises(isthmus.BadInputError, match="int"):
        isthmus.explain(3)


def test_a_table_whose_files_nobody_gets():
    info = {"row_filter": {"function_name": "main.a.f"}, "columns": [{"name": "c", "mask": {"function_name": "g"}}]}
    found = isthmus.explain(catalog.Place("file:///nowhere", "main.a.t", info))
    assert [step.way for step in found.steps] == ["sql"]
    assert dict(found.facts) == {"policies": "row filter main.a.f, mask of column c"}


def test_write_credentials_that_are_refused(cluster, name, monkeypatch):
    isthmus.write_deltalake(name, {"i": [1]})

    def refuse(self, operation):
        raise isthmus.errors.WriteCredentialsError("the catalog gives none")

    monkeypatch.setattr(catalog.Place, "open", refuse)
    found = isthmus.explain(cluster.data.from_items([{"i": 1}]), to=name)
    assert found.steps[0].way == "staged" and "gives none" in dict(found.facts)["credentials"]


def test_html_is_escaped(tmp_path):
    script = tmp_path / "s.py"
    script.write_text("ds.write_databricks_table('<img src=x onerror=alert(1)>')")
    page = isthmus.explain(script)._repr_html_()
    assert "<img" not in page and "&lt;img" in page
