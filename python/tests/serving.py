"""A server of its own for a test: `isthmus serve` as a process, and HTTP to it that tells what became of a request."""

import http.client
import json
import os
import pathlib
import subprocess
import time
import urllib.parse

COMMAND = pathlib.Path(__file__).parents[1] / "isthmus" / "bin" / "isthmus"
API = "/api/2.1/unity-catalog"
READY_SECONDS = 30


class Gone(Exception):
    """No answer came: the request may have been done or not."""


class Server:
    """`isthmus serve` on a home of its own, and the admin's token."""

    def __init__(self, home, *arguments):
        self.home = pathlib.Path(home)
        self.arguments = arguments
        self.process = None
        self.port = 0
        self.start()

    def start(self):
        note = self.home / "server.json"
        note.unlink(missing_ok=True)
        environment = {**os.environ, "ISTHMUS_HOME": str(self.home)}
        self.process = subprocess.Popen([str(COMMAND), "serve", "--port", str(self.port), *self.arguments],
                                        env=environment, stdout=subprocess.DEVNULL)
        end = time.monotonic() + READY_SECONDS
        while not note.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"isthmus serve did not start (exit status {self.process.poll()})")
            time.sleep(0.005)
        told = json.loads(note.read_text())
        self.url, self.token = told["url"], told["token"]
        self.port = urllib.parse.urlsplit(self.url).port

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        if self.process.wait(30) != 0:
            raise RuntimeError(f"isthmus serve ended with {self.process.returncode}")

    def client(self, token=None):
        return Client(self.port, token or self.token)


class Client:
    """One connection that is kept; one thread at a time."""

    def __init__(self, port, token):
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection = None

    def ask(self, method, path, body=None, headers=()):
        """(HTTP status, the answer's JSON). Raises Gone where none came."""
        if path.startswith("/") and not path.startswith("/api/") and not path.startswith("/oidc/"):
            path = API + path
        text = None if body is None else json.dumps(body)
        send = {**self.headers, **dict(headers), **({"Content-Type": "application/json"} if text else {})}
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.connection.request(method, path, text, send)
            answer = self.connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Gone(str(error)) from None
        try:
            return answer.status, json.loads(data) if data else {}
        except ValueError:
            return answer.status, {"text": data.decode("utf-8", "replace")}

    def done(self, method, path, body=None):
        """The same for a request that must succeed."""
        status, answer = self.ask(method, path, body)
        assert status // 100 == 2, f"{method} {path}: {status} {answer}"
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
