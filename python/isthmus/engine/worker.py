"""The worker's loop: one statement at a time, from `execute` to `done` or `failed`.

An engine is a class `Engine` in the module that ENGINES names:

    Engine(hello)                         from the first frame; cheap, the worker is not ready before it returns
    engine.version                        for `ready`
    engine.warm_up()                      while nothing is asked: whatever makes the first statement faster
    engine.execute(statement) -> Result   a Statement; raises StatementError
    engine.interrupt()                    from another thread: whatever runs is to end soon, by an exception

and a Result is: `kind` ("SELECT", "INSERT"...), `schema` (Arrow, of types that results.column_infos knows), `batches`
(an iterator of record batches of that schema, which may raise StatementError), `lineage` (dict or None) and `close()`.

The main thread runs statements. A second one reads the socket: it hands over answers, interrupts what is cancelled, and
ends the process when the server is gone, whatever the main thread is doing.
"""

import argparse
import importlib
import importlib.abc
import os
import queue
import sys
import threading
import traceback

from isthmus.engine import results
from isthmus.engine.channel import Channel, ChannelError
from isthmus.engine.errors import StatementError, cancelled

ENGINES = {"duckdb": "isthmus.engine.duckdb", "spark": "isthmus.engine.spark"}
NOT_NEEDED = {"duckdb": ("pandas",), "spark": ()}  # what pyarrow imports where it is there, for half a second and 60 MB
INTERRUPT_SECONDS = 0.05  # an interrupt may come before what it is to interrupt: it is repeated


class Statement:
    """An `execute` frame (its members are attributes; those left out are None) and what an engine may ask for it."""

    _members = ("statement_id", "statement", "parameters", "catalog", "schema", "user", "groups", "token", "format",
                "compression", "row_limit", "byte_limit", "chunk_bytes", "inline_limit", "now_ms")

    def __init__(self, frame, worker):
        for member in self._members:
            setattr(self, member, frame.get(member))
        self.parameters = self.parameters or []
        self.groups = self.groups or []
        self.is_cancelled = False
        self._worker = worker

    def resolve(self, tables, functions=()):
        """Ask the server what names are and whether they may be used: (tables, functions) of its answer."""
        return self._worker.resolve(tables, functions)

    def check(self):
        """Raise if the statement was cancelled."""
        if self.is_cancelled:
            raise cancelled()


class Worker:
    def __init__(self, kind, channel):
        self.kind = kind
        self.channel = channel
        self.engine = None
        self.current = None
        self.hello = None
        self._waiting = queue.SimpleQueue()
        self._answers = queue.SimpleQueue()
        self._numbers = 0

    def run(self):
        self.hello, _ = self.channel.receive()
        if self.hello is None:
            return 0
        if self.hello["type"] != "hello":
            raise ChannelError(f"the first frame is {self.hello['type']}, not hello")
        sys.meta_path.insert(0, _Without(NOT_NEEDED[self.kind]))
        try:
            self.engine = importlib.import_module(ENGINES[self.kind]).Engine(self.hello)
        except ImportError as error:
            self.engine = _Missing(str(error))
        self.channel.send({"type": "ready", "engine": self.kind, "version": self.engine.version})
        threading.Thread(target=self._listen, daemon=True).start()
        self.engine.warm_up()
        while True:
            self._serve(self._waiting.get())

    # ---- the reading thread

    def _listen(self):
        status = 1
        try:
            while True:
                frame, _ = self.channel.receive()
                if frame is None:
                    status = 0
                    return
                self._take(frame)
        except (ChannelError, OSError, KeyError) as error:
            os.write(2, f"isthmus engine: {error}\n".encode())
        finally:
            os._exit(status)  # the main thread may be in the middle of anything

    def _take(self, frame):
        kind = frame["type"]
        if kind == "execute":
            statement = Statement(frame, self)
            self.current = statement
            self._waiting.put(statement)
        elif kind in ("resolved", "refused"):
            self._answers.put(frame)
        elif kind == "cancel":
            self._cancel(frame["statement_id"])
        else:
            raise ChannelError(f"a frame of type {kind!r} is not for a worker")

    def _cancel(self, statement_id):
        statement = self.current
        if statement is not None and statement.statement_id == statement_id and not statement.is_cancelled:
            statement.is_cancelled = True
            threading.Thread(target=self._interrupt, args=(statement,), daemon=True).start()

    def _interrupt(self, statement):
        over = threading.Event()
        while self.current is statement:
            self.engine.interrupt()
            over.wait(INTERRUPT_SECONDS)

    # ---- the main thread

    def resolve(self, tables, functions):
        self._numbers += 1
        frame = {"type": "resolve", "id": self._numbers, "tables": tables}
        if functions:
            frame["functions"] = list(functions)
        self.channel.send(frame)
        while True:
            answer = self._answers.get()
            if answer.get("id") == self._numbers:
                break
        if answer["type"] == "refused":
            raise Refused(answer)
        found = answer.get("tables") or []
        if len(found) != len(tables):
            raise ChannelError(f"{len(tables)} names were asked for, and {len(found)} told")
        return found, answer.get("functions") or {}

    def _serve(self, statement):
        try:
            frame = self._execute(statement)
        except StatementError as error:
            frame = cancelled().frame() if statement.is_cancelled else error.frame()
        except Exception as error:
            if not isinstance(error, (ChannelError, BrokenPipeError)):
                _note(error)
            frame = cancelled().frame() if statement.is_cancelled else _internal(error)
        self.current = None
        self.channel.send(frame)

    def _execute(self, statement):
        result = self.engine.execute(statement)
        try:
            self.channel.send({"type": "columns", "columns": results.column_infos(result.schema)})
            rows, truncated = results.send(self.channel, self.hello["results_dir"], statement, result)
        finally:
            result.close()
        frame = {"type": "done", "rows": rows, "truncated": truncated, "kind": result.kind}
        if result.lineage:
            frame["lineage"] = result.lineage
        return frame


class _Missing:
    """The engine whose packages are not there: it tells so to everybody who asks."""

    version = "not installed"

    def __init__(self, message):
        self.message = message

    def warm_up(self):
        pass

    def interrupt(self):
        pass

    def execute(self, statement):
        raise StatementError("ENGINE_NOT_INSTALLED", f"{self.message}, where the server runs. Then start it again.",
                             code="TEMPORARILY_UNAVAILABLE")


class _Without(importlib.abc.MetaPathFinder):
    """Lets modules seem not to be installed."""

    def __init__(self, modules):
        self.modules = modules

    def find_spec(self, name, path=None, target=None):
        if name in self.modules:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)


class Refused(StatementError):
    """The server does not let the statement read or write something. Its words are told as they are."""

    def __init__(self, answer):
        super().__init__("INSUFFICIENT_PERMISSIONS", answer.get("message") or "refused",
                         code=answer.get("error_code") or "BAD_REQUEST")

    def frame(self):
        frame = super().frame()
        if self.args[0].startswith("["):
            frame["message"] = self.args[0]
        return frame


def _internal(error):
    """A failure that nobody foresaw: its kind goes to the client, its trace to the server's log."""
    return StatementError("INTERNAL_ERROR", f"The engine failed ({type(error).__name__}); the server's log tells more.",
                          code="INTERNAL_ERROR").frame()


def _note(error):
    """The places of a trace, without its message and values: those may be the user's."""
    lines = [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    os.write(2, "\n".join([f"isthmus engine: {type(error).__name__}", *lines, ""]).encode())


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m isthmus.engine", description="A worker of a warehouse.")
    parser.add_argument("kind", choices=sorted(ENGINES))
    parser.add_argument("--channel", type=int, required=True, metavar="FD", help="the socket to the server")
    options = parser.parse_args(arguments)
    try:
        return Worker(options.kind, Channel.of_descriptor(options.channel)).run()
    except BrokenPipeError:
        return 0
    except ChannelError as error:
        os.write(2, f"isthmus engine: {error}\n".encode())
        return 1
