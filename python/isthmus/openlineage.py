"""Lineage: what this program read and wrote, told to the catalog and to an OpenLineage endpoint (include/isthmus/lineage.h)."""

import atexit
import json
import logging
import os
import sys
import threading
from dataclasses import dataclass
from typing import Optional

from isthmus import catalog, errors, native, progress
from isthmus._native import ffi, lib
from isthmus.native import _c

logger = logging.getLogger("isthmus")

FLUSH_SECONDS = 2  # most that the end of a program waits for its events


@dataclass(frozen=True)
class Column:
    """Where a column of an output came from. `kind` is OpenLineage's: IDENTITY, TRANSFORMATION, AGGREGATION, JOIN,
    GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL. `output` is None where the source decided about every row."""

    output: Optional[str]
    dataset: str
    input: str
    kind: str = "IDENTITY"


@dataclass(frozen=True)
class Dataset:
    """One input or output: a table's name or location, with what is known of it."""

    name: str
    version: Optional[int] = None
    rows: Optional[int] = None
    bytes: Optional[int] = None
    schema_json: Optional[str] = None
    columns: tuple = ()  # of an output: Column


def worker_task():
    """The name of the Ray task that this code runs in; None outside of Ray's workers."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        return None
    return ray.get_runtime_context().get_task_name()


def job_name():
    """The Ray task, notebook or script that runs; "python" without one."""
    task = worker_task()
    if task:
        return task
    if progress.in_notebook():
        return os.path.basename(os.environ.get("JPY_SESSION_NAME", "notebook"))  # which Jupyter's server sets
    return os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "python"


# ---- events ----------------------------------------------------------------------------------------------------------


def _fill_columns(columns, kept):
    array = ffi.new("ist_lineage_column[]", len(columns))
    for c, column in zip(array, columns):
        strings = [_c(column.output), _c(column.dataset), _c(column.input), _c(column.kind)]
        kept += strings
        c.output, c.dataset, c.input, c.kind = strings
    kept.append(array)
    return array


def _fill(items, kept):
    array = ffi.new("ist_lineage_dataset[]", len(items))
    for c, item in zip(array, items):
        strings = [_c(item.name), _c(item.schema_json)]
        kept += strings
        c.name, c.schema_json = strings
        c.version, c.rows, c.bytes = (-1 if v is None else v for v in (item.version, item.rows, item.bytes))
        c.columns, c.column_count = _fill_columns(item.columns, kept), len(item.columns)
    return array


def event(engine, inputs=(), outputs=(), job=None, run_id=None, state="COMPLETE"):
    """One run event as JSON text."""
    run = ffi.new("ist_lineage_run *")
    kept = [_c(job or job_name()), _c(engine), _c(run_id), _c(state)]
    run.job, run.engine, run.run_id, run.state = kept
    ins, outs = _fill(inputs, kept), _fill(outputs, kept)
    run.inputs, run.input_count, run.outputs, run.output_count = ins, len(inputs), outs, len(outputs)
    return native.text(lib.ist_lineage_event, run)


# ---- sending ---------------------------------------------------------------------------------------------------------


class Emitter(native.Handle):
    """ist_emitter: takes events at once and sends them from a thread of its own."""

    def __init__(self):
        options = ffi.new("ist_emitter_options *", lib.ist_emitter_options_init())
        self._own(native._open(lib.ist_emitter_open, "ist_emitter", options), lib.ist_emitter_free)

    def emit(self, text):
        lib.ist_emitter_emit(self.pointer, _c(text))

    def flush(self, seconds=FLUSH_SECONDS):
        return lib.ist_emitter_flush(self.pointer, int(seconds * 1000))

    def counters(self):
        return json.loads(native.text(lib.ist_emitter_counters, self.pointer))


_SETTINGS = ("ISTHMUS_CATALOG", "ISTHMUS_TOKEN", "OPENLINEAGE_DISABLED", "OPENLINEAGE_URL", "OPENLINEAGE_ENDPOINT",
             "OPENLINEAGE_API_KEY", "OPENLINEAGE__TRANSPORT__TYPE", "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH")
_emitters = {}
_lock = threading.Lock()


def emitter():
    """This process's emitter, for the settings as they are now."""
    key = (os.getpid(), native.home(), *map(os.environ.get, _SETTINGS))
    with _lock:
        if key not in _emitters:
            _emitters[key] = Emitter()
        return _emitters[key]


def flush(seconds=FLUSH_SECONDS):
    """Wait until the events of this process are on their way, at most so long."""
    with _lock:
        mine = [each for key, each in _emitters.items() if key[0] == os.getpid()]
    for each in mine:
        each.flush(seconds)


atexit.register(flush)


def _after_fork():
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    _emitters.clear()


os.register_at_fork(after_in_child=_after_fork)


def post(engine, inputs=(), outputs=(), job=None):
    """Tell whoever is to know. What was read or written stands in any case: this neither waits nor fails."""
    try:
        emitter().emit(event(engine, inputs, outputs, job))
    except errors.IsthmusError as error:
        logger.warning("lineage of %s was not recorded: %s", ", ".join(d.name for d in (*inputs, *outputs)), error)


# ---- asking ----------------------------------------------------------------------------------------------------------


class Lineage(dict):
    """The catalog's answer around one table, or all edges. It prints as a tree; a notebook draws it."""

    def _draw(self, form):
        options = ffi.new("ist_lineage_draw_options *", lib.ist_lineage_draw_options_init())
        options.form = form
        options.columns = any("columns" in edge for key in ("upstream", "downstream", "edges")
                              for edge in self.get(key) or ())
        return native.text(lib.ist_lineage_draw, _c(json.dumps(self)), options)

    def __str__(self):
        return self._draw(lib.IST_LINEAGE_TEXT).rstrip("\n") or "no lineage recorded"

    def _repr_svg_(self):
        return self._draw(lib.IST_LINEAGE_SVG)


def lineage(table=None, depth=5, columns=False):
    """The lineage around a table (name, path or URI), or everything there is, as a dict that prints as a tree.

    depth     most steps away from the table
    columns   tell which column came from which
    """
    name = catalog.locate(table, missing_ok=True).label if table is not None else None
    flush()
    return Lineage(catalog.connect().lineage(name, depth, columns))
