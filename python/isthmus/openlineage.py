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


def job_name():
    """The script that runs; "python" without one."""
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
    """The catalog's answer around one table (or all edges), which prints as a tree."""

    def __str__(self):
        if "table" not in self:
            return "\n".join(_edge(edge) for edge in self.get("edges", [])) or "(no lineage recorded)"
        lines = [self["table"]]
        for title, near in (("upstream", "source"), ("downstream", "target")):
            edges = {}
            for edge in self.get(title) or []:
                edges.setdefault((edge[near], edge["job"], edge["engine"]), edge)
            arrow = "<-" if title == "upstream" else "->"
            for (table, job, engine), edge in edges.items():
                lines.append(f"  {arrow} {job} ({engine}, {edge['event_time']}) {arrow} {table or '(no table)'}")
        return "\n".join(lines) if len(lines) > 1 else f"{lines[0]}\n  (no lineage recorded)"


def _edge(edge):
    return f"{edge['source'] or '(no table)'} -> {edge['job']} ({edge['engine']}) -> {edge['target'] or '(no table)'}"


def lineage(table=None):
    """The lineage around a table (name, path or URI), or everything there is. A dict that prints as a tree."""
    name = catalog.locate(table, missing_ok=True).label if table is not None else None
    return Lineage(catalog.connect().lineage(name))
