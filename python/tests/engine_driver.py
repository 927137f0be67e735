"""A worker and the server's side of its channel, for tests: names are resolved from a dict."""

import json
import os
import socket
import subprocess
import sys
import tempfile

import pyarrow as pa

import isthmus
from isthmus import native
from isthmus.engine.channel import Channel


class Failed(Exception):
    def __init__(self, frame):
        super().__init__(frame["message"])
        self.frame = frame


class Answer:
    """What a statement came to."""

    def __init__(self):
        self.columns = self.done = None
        self.chunks = []  # (rows, bytes of the file)

    names = property(lambda self: [column["name"] for column in self.columns])
    types = property(lambda self: [column["type_text"] for column in self.columns])

    def table(self):
        tables = [pa.ipc.open_stream(data).read_all() for _, data in self.chunks]
        return pa.concat_tables(tables) if tables else None

    def rows(self):
        table = self.table()
        return [] if table is None else [tuple(row.values()) for row in table.rename_columns(
            [str(i) for i in range(table.num_columns)]).to_pylist()]

    def json(self):
        return [row for _, data in self.chunks for row in json.loads(data)]

    def text(self):
        return b"".join(data for _, data in self.chunks).decode()


class Worker:
    """A worker process of one engine. `views` are {full name: TableInfo}; tables are the catalog's."""

    def __init__(self, kind="duckdb", **hello):
        here, there = socket.socketpair()
        here.settimeout(60)
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([sys.executable, "-m", "isthmus.engine", kind, "--channel",
            str(there.fileno())],
                                        pass_fds=[there.fileno()])
        there.close()
        self.channel = Channel(here)
        self.infos = {}
        self.hidden = set()
        self.asked = []
        self.numbers = 0
        catalog = isthmus.catalog.connect()
        token = open(os.path.join(native.home(), "token")).read().strip()
        self.hello = {"type": "hello", "catalog": {"host": catalog.uri, "token": token}, "memory_limit": 1 << 30,
                      "threads": 2, "results_dir": self.folder.name, "temp_dir": self.folder.name, **hello}
        self.channel.send(self.hello)
        self.ready, _ = self.channel.receive()

    def close(self):
        self.channel.close()
        self.process.wait(10)
        self.folder.cleanup()

    def execute(self, sql, **members):
        """Send a statement; its frames are then `receive`d."""
        self.numbers += 1
        frame = {"type": "execute", "statement_id": f"s{self.numbers}", "statement": sql, "parameters": [],
                 "catalog": "main", "schema": "tests", "user": "alice@example.com", "groups": ["readers"],
                 "token": self.hello["catalog"]["token"], "format": "ARROW_STREAM", "chunk_bytes": 1 << 20, "now_ms": 0}
        self.channel.send({**frame, **members})

    def cancel(self):
        self.channel.send({"type": "cancel", "statement_id": f"s{self.numbers}"})

    def answer(self):
        """Receive until the statement is over, and answer what is asked meanwhile."""
        answer = Answer()
        while True:
            frame, descriptor = self.channel.receive()
            kind = frame and frame["type"]
            if kind is None:
                raise EOFError("the worker is gone")
            if kind == "resolve":
                self.asked.append(frame)
                self.channel.send({"type": "resolved", "id": frame["id"], "tables": list(map(self._info,
                    frame["tables"])),
                                   "functions": {}})
            elif kind == "columns":
                answer.columns = frame["columns"]
            elif kind == "chunk":
                with open(descriptor, "rb") as file:
                    data = os.pread(file.fileno(), 1 << 30, 0)
                assert len(data) == frame["bytes"]
                answer.chunks.append((frame["rows"], data))
            elif kind == "failed":
                raise Failed(frame)
            else:
                assert kind == "done"
                assert sum(rows for rows, _ in answer.chunks) == frame["rows"]
                answer.done = frame
                return answer

    def run(self, sql, **members):
        self.execute(sql, **members)
        return self.answer()

    def rows(self, sql, **members):
        return self.run(sql, **members).rows()

    def _info(self, asked):
        name = ".".join(asked["name"])
        if name in self.infos:
            return {"name": asked["name"], "exists": True, "kind": "TABLE", **self.infos[name]}
        try:
            info = isthmus.catalog.connect().get_table(name)
        except (isthmus.NotFoundError, isthmus.BadInputError):
            return {"name": asked["name"], "exists": False}
        return {**info, "name": asked["name"], "exists": True, "kind": "TABLE"}
