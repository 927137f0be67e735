"""Storage services of clouds on this machine: MinIO (S3 with its token service, enforces policies), Azurite (Azure) and
fake-gcs-server (Google), which the Makefile puts into build/emulators, and a token service for Google."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build" / "emulators"
S3_USER, S3_PASSWORD = "admin", "a secret of S3"
AZURE_ACCOUNT = "devstoreaccount1"  # Azurite's own, with a key that its documentation tells
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "bucket"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(command, port, log, **kwargs):
    with open(log, "wb") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **kwargs)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if child.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {log.read_text()}")
            time.sleep(0.1)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def minio(folder):
    """The URL of an S3 with one bucket."""
    port = free_port()
    (folder / "minio" / BUCKET).mkdir(parents=True)
    environment = {**os.environ, "MINIO_ROOT_USER": S3_USER, "MINIO_ROOT_PASSWORD": S3_PASSWORD, "MINIO_BROWSER": "off"}
    command = [TOOLS / "minio", "server", folder / "minio", "--address", f"127.0.0.1:{port}", "--quiet"]
    with process(command, port, folder / "minio.log", env=environment):
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            if _status("GET", url + "/minio/health/ready") == 200:
                break
            time.sleep(0.1)
        yield url


@contextlib.contextmanager
def azurite(folder):
    """The URL of an Azure account with one container."""
    port = free_port()
    (folder / "azurite").mkdir()
    command = ["node", TOOLS / "node_modules" / ".bin" / "azurite-blob", "--blobHost", "127.0.0.1", "--blobPort",
               str(port), "--location", folder / "azurite", "--silent", "--skipApiVersionCheck"]
    with process(command, port, folder / "azurite.log"):
        _make_container(port)
        yield f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"


@contextlib.contextmanager
def gcs(folder):
    """The URL of a Google storage with one bucket."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [TOOLS / "fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend",
               "memory", "-public-host", f"127.0.0.1:{port}", "-external-url", url]
    with process(command, port, folder / "gcs.log"):
        assert _status("POST", url + "/storage/v1/b?project=p", json.dumps({"name": BUCKET})) == 200
        yield url


def _status(method, url, body=None, headers=None):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
    return connection.getresponse().status


def _make_container(port):
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-12-02\n{resource}"
    signature = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    headers = {"x-ms-date": date, "x-ms-version": "2021-12-02", "Content-Length": "0",
               "Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(signature).decode()}"}
    url = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}/{BUCKET}?restype=container"
    assert _status("PUT", url, headers=headers) == 201


class TokenService(http.server.ThreadingHTTPServer):
    """Google's token services: takes JWTs that a public key verifies, narrows tokens down, remembers the requests."""

    def __init__(self, public_key, folder):
        self.public_key, self.folder, self.forms = public_key, folder, []
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def is_signed(self, assertion):
        text, _, signature = assertion.rpartition(".")
        file = self.folder / "signature"
        file.write_bytes(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
        command = ["openssl", "dgst", "-sha256", "-verify", self.public_key, "-signature", file]
        return subprocess.run(command, input=text.encode(), capture_output=True).returncode == 0


class _TokenHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body))
        self.server.forms.append(form)
        if "assertion" in form:
            good, token = self.server.is_signed(form["assertion"]), "a whole token"
        else:
            good, token = form.get("subject_token") == "a whole token", "a narrow token"
        answer = {"access_token": token, "expires_in": 3000} if good else {"error": "invalid_grant"}
        data = json.dumps(answer).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def service_account(folder):
    """(a new service account, but for its token_uri; the file of its public key)"""
    private, public = folder / "private.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    account = {"type": "service_account", "client_email": "isthmus@example.iam", "private_key": private.read_text()}
    return account, public
