"""Lineage: what this program read and wrote, told to the catalog as OpenLineage events (include/isthmus/lineage.h)."""

import logging
import os
import sys
from dataclasses import dataclass
from typing import Optional

from isthmus import catalog, errors, native
from isthmus._native import ffi, lib
from isthmus.native import _c

logger = logging.getLogger("isthmus")


@dataclass(frozen=True)
class Dataset:
    """One input or output: a table's name or location, with what is known of it."""

    name: str
    version: Optional[int] = None
    rows: Optional[int] = None
    bytes: Optional[int] = None
    schema_json: Optional[str] = None


def worker_task():
    """The name of the Ray task that this code runs in; None outside of Ray's workers."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_task_name() if ray is not None and ray.is_initialized() else None


def job_name():
    """The Ray task or the script that runs; "python" without one."""
    task = worker_task()
    if task:
        return task
    return os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "python"


def _fill(items, kept):
    array = ffi.new("ist_lineage_dataset[]", len(items))
    for c, item in zip(array, items):
        strings = [_c(item.name), _c(item.schema_json)]
        kept += strings
        c.name, c.schema_json = strings
        c.version, c.rows, c.bytes = (-1 if v is None else v for v in (item.version, item.rows, item.bytes))
    return array


def event(engine, inputs=(), outputs=(), job=None, run_id=None, state="COMPLETE"):
    """One run event as JSON text."""
    run = ffi.new("ist_lineage_run *")
    kept = [_c(job or job_name()), _c(engine), _c(run_id), _c(state)]
    run.job, run.engine, run.run_id, run.state = kept
    ins, outs = _fill(inputs, kept), _fill(outputs, kept)
    run.inputs, run.input_count, run.outputs, run.output_count = ins, len(inputs), outs, len(outputs)
    return native.text(lib.ist_lineage_event, run)


def post(engine, inputs=(), outputs=(), job=None):
    """Tell the catalog, where there is one. What was read or written stands in any case, so a failure is only logged."""
    try:
        catalog.connect().post_lineage(event(engine, inputs, outputs, job))
    except errors.NotFoundError:
        logger.debug("no catalog is configured: lineage is not recorded")
    except errors.IsthmusError as error:
        logger.warning("lineage of %s was not recorded: %s", ", ".join(d.name for d in (*inputs, *outputs)), error)


class Lineage(dict):
    """The catalog's answer around one table (or all edges), which prints as one line for each way data took."""

    def __str__(self):
        edges = self["edges"] if "edges" in self else [*(self.get("upstream") or []), *(self.get("downstream") or [])]
        runs = {}
        for edge in edges:
            stations = edge["source"], f"{edge['job']} ({edge['engine']})", edge["target"]
            way = " -> ".join(station for station in stations if station)
            runs[way] = runs.get(way, 0) + 1
        return "\n".join(f"{way}  ({count} runs)" if count > 1 else way for way, count in runs.items()) or "no lineage recorded"


def lineage(table=None):
    """The lineage around a table (name, path or URI), or everything there is. A dict that prints as lines."""
    name = catalog.locate(table, missing_ok=True).label if table is not None else None
    return Lineage(catalog.connect().lineage(name))
