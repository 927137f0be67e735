"""Schemathesis sends every operation of docs/openapi.yaml valid and invalid requests: no fault of the server's, no
status that is not described, no answer of another shape.

The server is one of its own, with a catalog that has an object of each kind, so that requests meet something.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import hypothesis
import pytest

schemathesis = pytest.importorskip("schemathesis")  # of python/requirements.txt; tests alone need it

from schemathesis.checks import CHECKS  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("ISTHMUS_OPENAPI_EXAMPLES", "25"))  # of each operation
UC = "/api/2.1/unity-catalog"
SETUP = [
    ("/schemas", {"name": "s", "catalog_name": "main"}),
    ("/tables", {"name": "t", "catalog_name": "main", "schema_name": "s", "table_type": "EXTERNAL", "columns": [],
                 "data_source_format": "DELTA", "storage_location": "/nowhere/t"}),
    ("/volumes", {"name": "v", "catalog_name": "main", "schema_name": "s", "volume_type": "MANAGED"}),
    ("/models", {"name": "m", "catalog_name": "main", "schema_name": "s"}),
    ("/models/versions", {"model_name": "m", "catalog_name": "main", "schema_name": "s", "source": "x"}),
    ("/credentials", {"name": "k", "aws_iam_role": {"role_arn": "arn:aws:iam::1:role/r"}}),
]

schema = schemathesis.openapi.from_path(str(ROOT / "docs" / "openapi.yaml"))
schema.config.generation.update(modes=list(schemathesis.GenerationMode))

# What SETUP makes, by the segment of the path or the member that names it.
NAMES = {"catalogs": "main", "schemas": "main.s", "tables": "main.s.t", "volumes": "main.s.v", "models": "main.s.m",
         "credentials": "k", "functions": "main.s.f", "external-locations": "l"}
MEMBERS = {"catalog": "main", "schema": "s", "table": "t", "catalog_name": "main", "schema_name": "s",
           "model_name": "m", "version": 1, "credential_name": "k"}


def _aim(context, values):
    """Of three random names one becomes a known one and one nearly that; a delete's stay as they are."""
    if isinstance(values, dict) and context.operation.method.upper() != "DELETE":
        kind = context.operation.path.removeprefix(UC + "/").split("/")[0]
        for key, value in values.items():
            known = NAMES.get(kind) if key == "full_name" else MEMBERS.get(key)
            choice = sum(map(ord, str(value))) % 3
            if known is not None and choice:
                values[key] = known if choice == 1 or key == "version" else known + "_no"
    return values


@schema.hook
def map_path_parameters(context, path_parameters):
    return _aim(context, path_parameters)


@schema.hook
def map_query(context, query):
    return _aim(context, query)


@schema.hook
def map_body(context, body):
    return _aim(context, body)


@schemathesis.check
def no_fault(ctx, response, case):
    """501 and 503 are answers where they are described, which status_code_conformance checks."""
    assert response.status_code < 500 or response.status_code in (501, 503)


CHECKED = [no_fault] + [CHECKS.get_one(name) for name in ("status_code_conformance", "content_type_conformance",
                                                          "response_schema_conformance")]


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="ist-", dir="/tmp") as home:
        process = subprocess.Popen([pathlib.Path(sys.modules["isthmus"].__file__).parent / "bin" / "isthmus", "serve",
                                    "--quiet"], env={**os.environ, "ISTHMUS_HOME": home})
        note = pathlib.Path(home) / "server.json"
        deadline = time.monotonic() + 10
        while not note.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        found = json.loads(note.read_text())
        headers = {"Authorization": f"Bearer {found['token']}"}
        for path, body in SETUP:
            urllib.request.urlopen(urllib.request.Request(found["url"] + UC + path, json.dumps(body).encode(), headers))
        yield found["url"], headers
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@schema.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                     suppress_health_check=list(hypothesis.HealthCheck))
def test_every_operation(case, server):
    url, headers = server
    case.call_and_validate(base_url=url, headers=headers, checks=CHECKED)
