"""What notebooks show: examples/bridge.ipynb in a real kernel, and the HTML of each object, which nothing gets into.

The notebook's stored outputs and the picture in the docs are made on request, as those of test_pages.py:
ISTHMUS_SCREENSHOTS=docs pytest python/tests/test_notebooks.py
"""

import html.parser
import os
import pathlib
import re
import shutil
import sys
import time
import types

import pyarrow as pa
import pytest
import scripts

import isthmus
from isthmus import _html, advice, dbutils, progress

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "bridge.ipynb"
SECONDS = 120
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


@pytest.fixture(scope="module")
def executed(services, tmp_path_factory):
    """The example after a real kernel ran it."""
    notebook = nbformat.read(NOTEBOOK, 4)
    folder = tmp_path_factory.mktemp("notebook")
    at_once = "--IPKernelApp.exec_lines=import isthmus.progress; isthmus.progress.DELAY = 0"  # on any machine
    client = nbclient.NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", store_widget_state=False,
                                     record_timing=False, extra_arguments=[at_once],
                                     resources={"metadata": {"path": str(folder)}})
    client.execute(env=scripts.environment(JPY_SESSION_NAME=str(NOTEBOOK)))
    yield notebook
    isthmus.catalog.connect().delete_schema("main.notebook", force=True)


def outputs(notebook, source, kind="text/html"):
    """What the cell with this in its source shows."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source)
    return [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]


def test_the_example_shows_what_it_is_about(executed):
    last = {key: outputs(executed, source)[-1] for key, source in {
        "catalog": "isthmus.start()", "df": "isthmus.explain(df)", "ds": "isthmus.explain(ds",
        "table": "isthmus.Table(", "history": ".history()", "sql": "isthmus.sql(", "volumes": "list_volumes",
        "files": "dbutils.fs.ls"}.items()}
    assert "Catalog server http" in last["catalog"] and ">main<" in last["catalog"]
    assert "ChunkWriter" in last["df"] and "shared memory of the node" in last["df"]
    assert "new: managed by the catalog" in last["ds"]
    assert "500,000 rows in" in last["table"] and ">fahrenheit<" in last["table"] and ">timestamp<" in last["table"]
    assert "fahrenheit: double" in last["ds"]
    assert last["history"].count("<tr>") == 3 and "ray Isthmus" in last["history"]
    assert "50 rows" in last["sql"] and "and 40 more" in last["sql"] and last["sql"].count("<tr>") == 11
    assert "pictures of the readings" in last["volumes"] and "note.txt" in last["files"]
    drawing = outputs(executed, "isthmus.lineage(", "image/svg+xml")[-1]
    assert "warm_stations" in drawing and "celsius" in drawing and "bridge.ipynb" in drawing
    bars = [page for source in ("from_spark(df)", "write_databricks_table(\"main.notebook.readings") for page in
            outputs(executed, source) if "500,000 rows" in page and re.search(r"\d s</div>", page)]
    assert bars and not any("<progress" in page for page in bars)  # what is over is told by a line


def test_the_stored_outputs_are_those_of_this_notebook(executed):
    if os.environ.get("ISTHMUS_SCREENSHOTS"):
        keep(executed)
    stored = nbformat.read(NOTEBOOK, 4)
    for there, now in zip(stored.cells, executed.cells, strict=True):
        assert [set(output.data) for output in there.get("outputs", ())] == [
            set(output.data) for output in now.get("outputs", ()) if "data" in output and not is_bar(output)]


def is_bar(output):
    return output.output_type == "display_data"  # of progress: what is shown by hand


def keep(notebook):
    """Store the outputs, without progress and what Spark and Ray log, and take the picture."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        cell.outputs = [output for output in cell.get("outputs", ()) if "data" in output and not is_bar(output)]
        if cell.cell_type != "code":
            del cell["outputs"]
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, NOTEBOOK)
    picture(notebook, pathlib.Path(os.environ["ISTHMUS_SCREENSHOTS"]) / "notebook.png")


def picture(notebook, path, heading="Ray-to-a-table", width=1000, height=1600):
    """The notebook from a heading on, as Jupyter shows it."""
    from nbconvert import HTMLExporter
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    exporter = HTMLExporter(template_name="lab", theme=os.environ.get("ISTHMUS_THEME", "light"))
    exporter.mathjax_url = exporter.require_js_url = exporter.jquery_url = exporter.mermaid_js_url = ""
    page = path.with_suffix(".html")
    page.write_text(exporter.from_notebook_node(notebook)[0])
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--window-size={width},{height}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        browser.get(page.resolve().as_uri())
        browser.execute_script("document.getElementById(arguments[0]).scrollIntoView(); scrollBy(0, -12)", heading)
        browser.save_screenshot(str(path))
    finally:
        browser.quit()
        page.unlink()


# ---- nothing gets out of the text ------------------------------------------------------------------------------------

EVIL = "<img src=x onerror=alert(1)>\"'&</td><script>alert(2)</script>"
TAGS = {"div", "span", "table", "tr", "th", "td", "details", "summary", "progress"}


class Tags(html.parser.HTMLParser):
    """Parses as a browser does, and takes no tag and no attribute but those that the reprs are made of."""

    text = ""

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS and {name for name, _ in attributes} <= {"style", "value", "max"}, (tag, attributes)

    def handle_data(self, data):
        self.text += data


def shown(thing):
    page = Tags()
    page.feed(thing._repr_html_())
    page.close()
    return page.text


def test_names_and_comments_stay_text(schema, path, tmp_path):
    catalog = isthmus.catalog.connect()
    isthmus.write_deltalake(path, pa.table({EVIL: [EVIL], "n": [1]}), name=EVIL,
                            configuration={"user.note": EVIL, "delta.columnMapping.mode": "name"})
    table = isthmus.Table(path)
    for thing in (table, table.snapshot()):
        assert shown(thing).count(EVIL) >= 2
    assert "CREATE TABLE" in shown(table.history())
    try:
        volume = catalog.create_volume(f"{schema}.evil", comment=EVIL)
        files = dbutils.DBUtils().fs
        files.put(f"/Volumes/{schema.replace('.', '/')}/evil/<b>x<b>.txt", "x")
        assert EVIL in shown(catalog.list_volumes(schema)) and EVIL in shown(volume)
        assert "<b>x<b>.txt" in shown(files.ls(f"/Volumes/{schema.replace('.', '/')}/evil"))
    finally:
        catalog.delete("volume", f"{schema}.evil")
    assert "main" in shown(catalog)
    quoted = EVIL.replace("'", "''")
    result = isthmus.sql(f"SELECT '{quoted}' AS `{EVIL}`, CAST(NULL AS INT) AS n")
    assert shown(result).count(EVIL) == 2 and "null" in shown(result)
    explanation = advice.Explanation(EVIL, [(EVIL, EVIL)], [advice.Step(EVIL, "group", EVIL, EVIL, EVIL, [EVIL], EVIL)])
    assert shown(explanation).count(EVIL) == 9
    drawing = isthmus.openlineage.Lineage({"table": EVIL, "nodes": [{"name": EVIL, "kind": "TABLE"}], "upstream": [],
                                           "downstream": []})._repr_svg_()
    assert "<img" not in drawing and "<script" not in drawing
    bar = progress.Bar(EVIL)
    pages = []
    place = progress._Notebook()
    place._display = pages.append
    place(bar)
    assert "<img" not in pages[0] and "&lt;img" in pages[0]


def test_a_result_is_not_fetched_for_its_repr():
    result = isthmus.sql("SELECT id AS i, repeat('x', 200) AS s FROM range(400000)")
    chunks = result.manifest["chunks"]
    assert len(chunks) > 2
    taken = []
    result._statement.tasks, tasks = lambda: taken.append(1) or tasks(), result._statement.tasks
    result._statement.read = lambda: pytest.fail("the whole result is asked for")
    said = shown(result)
    assert "and 399,990 more" in said and f"{'x' * 100}…" in said and taken
    assert result.head(3).to_pydict()["i"] == [0, 1, 2]
    assert isthmus.sql("SELECT 1 AS a WHERE 1 = 0").head().num_rows == 0


def test_many_columns_and_lines_are_cut():
    listing = _html.Listing([{"n": i} for i in range(200)], [("n", lambda item: item["n"], True)], "many")
    assert "and 150 more" in shown(listing) and listing == [{"n": i} for i in range(200)]
    assert _html.type_text({"type": "map", "keyType": "string", "valueType": {"type": "array", "elementType": {
        "type": "struct", "fields": [{"name": "a", "type": "long"}]}}}) == "map<string, array<struct<a: long>>>"


def test_a_catalog_that_is_away_shows_its_address():
    assert "127.0.0.1:9" in shown(isthmus.Catalog("http://127.0.0.1:9", token="t"))


# ---- progress --------------------------------------------------------------------------------------------------------


class Terminal:
    """A standard error that is a terminal."""

    def __init__(self, tty=True):
        self.text = ""
        self._tty = tty

    isatty = property(lambda self: lambda: self._tty)
    flush = staticmethod(lambda: None)

    def write(self, text):
        self.text += text


@pytest.fixture
def terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=terminal, modules=sys.modules))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    return terminal


def until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_a_terminal_has_a_line_that_goes_away(terminal, path):
    def batches():
        assert until(lambda: "table: 0." in terminal.text)
        yield pa.record_batch({"i": [1, 2]})
        assert until(lambda: "table: 2 rows" in terminal.text)
        yield pa.record_batch({"i": [3]})

    rows = pa.RecordBatchReader.from_batches(pa.schema({"i": pa.int64()}), batches())
    assert isthmus.write_deltalake(path, rows).rows == 3
    assert terminal.text.startswith("\r\033[K") and terminal.text.endswith("\r\033[K")


def test_one_is_shown_at_a_time_and_polls_may_fail(terminal):
    def poll(bar):
        bar.step(3, 4)
        raise RuntimeError

    with progress.bar("outer \x1b[31m", poll=poll) as outer, progress.bar("inner") as inner:
        assert outer.shown and not inner.shown and inner.counted([]) == []
        assert until(lambda: "3 of 4" in terminal.text)
    assert "inner" not in terminal.text and "\x1b[31m" not in terminal.text
    with progress.bar("next") as bar:
        assert bar.shown


def test_nothing_is_shown_elsewhere(monkeypatch, terminal):
    monkeypatch.setenv("ISTHMUS_PROGRESS", "0")
    with progress.bar("off") as bar:
        assert not bar.shown
    monkeypatch.delenv("ISTHMUS_PROGRESS")
    terminal._tty = False
    with progress.bar("no terminal") as bar:
        assert not bar.shown
    assert terminal.text == ""


def test_spark_tells_its_tasks(session, terminal, monkeypatch):
    if hasattr(session, "_jsparkSession"):
        monkeypatch.setattr(session.sparkContext.getConf().__class__, "get", lambda self, key, default=None: default)
    with progress.of_spark("count", session) as bar:
        assert bar.shown and session.range(0, 100, 1, 7).count() == 100
        if hasattr(session, "_jsparkSession"):
            assert until(lambda: bar.total == 8 and bar.done == 8), str(bar)  # 7, and the one that adds them
