"""A worker that does what the statement says, for tests of the server's side of the channel (src/warehouse/README.md).

A statement is a list of actions between semicolons, done in order; then `done` is sent, unless an action ended it.

    rows N          a chunk of N rows of JSON, [["0"],["1"]...]   (rows 0: columns alone)
    bytes N         a chunk of N bytes that says it has one row
    chunks N M      N chunks of M rows
    sleep S         that many seconds; a cancel ends it with `failed`
    hang            for good, also when canceled
    echo            a chunk with the `execute` message
    resolve A M     ask for the tables A,B.. ("c.s.t", "c.s.t<view<view") with the access M; a chunk with the answer
    function F      the same for a function
    call WHO METHOD PATH BODY   a request with the engine's or the statement's token; a chunk with the status
    environment     a chunk with its environment, arguments and descriptors
    count N         say that there were N rows
    kind K          what `done` tells; lineage {...} likewise; truncated
    fail CODE TEXT  `failed`
    column N        one column, whose name has N bytes
    die, exit N, close, garbage, oversize, unknown, nofd, wrong N, twice, uncountable, memory MIB   break something
"""

import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import urllib.error
import urllib.request

channel = socket.socket(fileno=int(sys.argv[sys.argv.index("--channel") + 1]))
folder = None
catalog = None  # host and token
waiting = []  # messages that came while something else was waited for


def send(message, fd=None):
    data = json.dumps(message, separators=(",", ":")).encode()
    data = struct.pack("<I", len(data)) + data
    if fd is None:
        channel.sendall(data)
    else:
        sent = socket.send_fds(channel, [data], [fd])
        channel.sendall(data[sent:])
        os.close(fd)


def exactly(size):
    data = b""
    while len(data) < size:
        more = channel.recv(size - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def receive():
    return json.loads(exactly(struct.unpack("<I", exactly(4))[0]))


def chunk(data, rows, told=None):
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError:
        fd, path = tempfile.mkstemp(dir=folder)
        os.unlink(path)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    send({"type": "chunk", "rows": rows, "bytes": len(data) if told is None else told}, fd)


def json_rows(first, count):
    return ("[" + ",".join('["%d"]' % i for i in range(first, first + count)) + "]").encode()


def text_chunk(text):
    chunk(json.dumps([[text]]).encode(), 1)


def canceled(seconds):
    """Wait; has a cancel come?"""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([channel], [], [], left)[0] and receive()["type"] == "cancel":
            return True
    return False


def call(who, method, path, body):
    request = urllib.request.Request(catalog["host"] + path, body.encode() or None, method=method,
                                     headers={"Authorization": "Bearer " + who["token"]})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as refusal:
        return refusal.code


class Ended(Exception):
    pass


class Statement:
    def __init__(self, execute):
        self.execute, self.rows, self.told = execute, 0, None
        self.done = {"type": "done", "truncated": False, "kind": "SELECT"}
        self.columns = False

    def tell_columns(self):
        if not self.columns:
            send({"type": "columns", "columns": [{"name": "n", "type_name": "STRING", "type_text": "string"}]})
        self.columns = True

    def add(self, data, rows, told=None):
        self.tell_columns()
        chunk(data, rows, told)
        self.rows += rows

    def resolve(self, message):
        send({"type": "resolve", "id": 7, **message})
        answer = receive()
        if answer["type"] == "refused":
            send({"type": "failed", "error_code": answer["error_code"], "message": answer["message"],
                  "sql_state": "42501"})
            raise Ended
        self.add(json.dumps([[json.dumps(answer)]]).encode(), 1)

    def act(self, action, words, text):
        if action == "rows":
            self.tell_columns()
            if int(words[0]):
                self.add(json_rows(self.rows, int(words[0])), int(words[0]))
        elif action == "bytes":
            self.add(b"x" * int(words[0]), 1)
        elif action == "chunks":
            for _ in range(int(words[0])):
                self.add(json_rows(self.rows, int(words[1])), int(words[1]))
        elif action == "sleep":
            if canceled(float(words[0])):
                send({"type": "failed", "error_code": "CANCELLED", "message": "canceled"})
                raise Ended
        elif action == "hang":
            while True:
                time.sleep(1)
        elif action == "echo":
            self.add(json.dumps([[json.dumps(self.execute)]]).encode(), 1)
        elif action == "environment":
            self.add(json.dumps([[json.dumps({"environment": dict(os.environ), "arguments": sys.argv,
                                              "descriptors": os.listdir("/proc/self/fd")})]]).encode(), 1)
        elif action == "resolve":
            tables = [name.split("<") for name in words[0].split(",")]
            self.resolve({"tables": [{"name": name[0].split("."), "access": words[1], "via": name[:0:-1]}
                                     for name in tables]})
        elif action == "function":
            self.resolve({"functions": [words[0].split(".")]})
        elif action == "call":
            self.add(json.dumps([[str(call(self.execute if words[0] == "statement" else catalog, words[1], words[2],
                                           " ".join(words[3:])))]]).encode(), 1)
        elif action == "count":
            self.told = int(words[0])
        elif action == "kind":
            self.done["kind"] = words[0]
        elif action == "lineage":
            self.done["lineage"] = json.loads(text)
        elif action == "truncated":
            self.done["truncated"] = True
        elif action == "fail":
            send({"type": "failed", "error_code": words[0], "message": " ".join(words[1:]), "sql_state": "42601"})
            raise Ended
        elif action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "exit":
            os._exit(int(words[0]))
        elif action == "close":
            channel.shutdown(socket.SHUT_RDWR)
            time.sleep(60)
        elif action == "garbage":
            channel.sendall(struct.pack("<I", 5) + b"{oops")
        elif action == "oversize":
            channel.sendall(struct.pack("<I", (64 << 20) + 1))
        elif action == "unknown":
            send({"type": "what"})
        elif action == "nofd":
            send({"type": "chunk", "rows": 1, "bytes": 3})
        elif action == "wrong":
            self.add(b"abc", 1, int(words[0]))
        elif action == "twice":
            send({"type": "columns", "columns": []})
            send({"type": "columns", "columns": []})
        elif action == "column":
            send({"type": "columns", "columns": [{"name": "n" * int(words[0]), "type_name": "INT"}]})
            self.columns = True
        elif action == "uncountable":
            self.add(b"[]", 2**62)
            self.add(b"[]", 2**62)
        elif action == "memory":
            self.held = bytearray(int(words[0]) << 20)
            for i in range(0, len(self.held), 4096):
                self.held[i] = 1
            time.sleep(5)
        else:
            send({"type": "failed", "error_code": "BAD_REQUEST", "sql_state": "42601",
                  "message": "there is no action " + action, "line": 1, "position": 1})
            raise Ended

    def run(self):
        for step in self.execute["statement"].split(";"):
            words = step.split()
            if words:
                self.act(words[0], words[1:], step.strip()[len(words[0]):].strip())
        send({**self.done, "rows": self.rows if self.told is None else self.told})


def main():
    global folder, catalog
    behaviour = os.environ.get("SCRIPTED_WORKER", "")
    if behaviour == "exit":
        sys.exit(3)
    hello = receive()
    folder, catalog = hello["results_dir"], hello["catalog"]
    if behaviour == "silent":
        time.sleep(3600)
    send({"type": "ready", "engine": "scripted", "version": "1"})
    while True:
        message = receive()
        if message["type"] == "execute":
            try:
                Statement(message).run()
            except Ended:
                pass


main()
