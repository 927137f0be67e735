"""A page of the docs as a script: docs/conventions.md tells what its blocks mean, test_docs.py runs it.

In the script each line has the number that it has on the page, so that an error names the page's line.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field

import yaml

ROOT = pathlib.Path(__file__).parents[2]
RUN = ("python", "sh", "sql")
MARK = "\x1e"  # begins the line after which a block's output comes
HELPERS = "from doc_page import begin as _begin, save as _save, sh as _sh, sql as _sql"

_FENCE = re.compile(r"^```(?P<language>\w*) *(?P<file>\S*)$")
_NOT_RUN = re.compile(r"^<!-- not run: (?P<reason>.+) -->$")
_RUN_BY = "<!-- run by: isthmus run -->"


@dataclass
class Block:
    line: int  # of its opening fence, from 1
    language: str
    file: str
    not_run: str  # why, or ""
    lines: list = field(default_factory=list)
    output: list = None  # what is told to be printed

    text = property(lambda self: "\n".join(self.lines) + "\n")
    runs = property(lambda self: not self.not_run and (self.language in RUN or bool(self.file)))


class Page:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lines = self.path.read_text(encoding="utf-8").splitlines()
        self.by_isthmus_run = _RUN_BY in self.lines
        self.blocks = list(self._read())
        for before, after in zip(self.blocks, self.blocks[1:]):
            between = self.lines[before.line + len(before.lines) + 1:after.line - 1]
            if after.language == "text" and not any(between) and before.language in RUN:
                before.output = after.lines

    def _read(self):
        block, reason = None, ""
        for number, line in enumerate(self.lines, 1):
            if block:
                if line == "```":
                    yield block
                    block, reason = None, ""
                else:
                    block.lines.append(line)
            elif fence := _FENCE.match(line):
                block = Block(number, fence["language"], fence["file"], reason)
            elif told := _NOT_RUN.match(line):
                reason = told["reason"]
            elif line:
                reason = ""
        if block:
            raise ValueError(f"{self.path}:{block.line}: a block without an end")

    def script(self):
        """The Python that does what the page tells."""
        lines = [""] * len(self.lines)
        lines[0] = HELPERS
        for block in self.blocks:
            if not block.runs:
                continue
            lines[block.line - 1] = f"_begin({block.line})"
            if block.file:
                lines[block.line - 1] = f"_save({block.file!r}, {block.text!r})"
            elif block.language == "python":
                lines[block.line:block.line + len(block.lines)] = block.lines
            else:
                lines[block.line] = f"_{block.language}({block.text!r})"
        return "\n".join(lines) + "\n"


# ---- what the script calls -------------------------------------------------------------------------------------------


def begin(line):
    print(f"{MARK}{line}", flush=True)


def save(name, text):
    pathlib.Path(name).write_text(text, encoding="utf-8")


def sh(text):
    _call(["sh", "-e", "-c", text])


def sql(text):
    for statement in text.split(";\n"):
        _call(["isthmus", "sql", statement])


def _call(command):
    sys.stdout.flush()
    done = subprocess.run(command, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{command[-1].strip()}: ended with {done.returncode}")


# ---- what a block says, without running it ---------------------------------------------------------------------------


def parse(block, path):
    """Raise where a block is not what its language says."""
    checks = {"python": _python, "sh": _shell, "sql": _sql_dialect, "c": _c, "json": json.loads, "yaml": yaml.safe_load,
              "toml": tomllib.loads, "text": str, "ini": str, "": str}
    if block.language not in checks:
        raise ValueError(f"{path}:{block.line}: blocks are of {', '.join(filter(None, checks))}")
    checks[block.language](block.text)


def _python(text):
    compile(text, "block", "exec")


def _shell(text):
    subprocess.run(["sh", "-n", "-c", text], check=True)


def _sql_dialect(text):
    import sqlglot

    sqlglot.parse(text, dialect="databricks")


def _c(text):
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-std=c17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", str(ROOT / "include"),
                    "-x", "c", "-"], input=text, text=True, check=True)
