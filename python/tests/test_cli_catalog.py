"""`isthmus catalog` against a server of its own."""

import json
import os
import subprocess
import uuid

import deltalake
import pyarrow as pa
import pytest
import serving

from test_cli import home, ok, refused, run, service, work  # noqa: F401


@pytest.fixture
def server(home, service):  # noqa: F811
    """`isthmus serve` in a home of its own; every command below finds it there."""
    service("serve", ready=(home / "server.json").exists)
    ok("catalog", "create", "schema", "main.demo", "--comment", "Try things")
    return home


def show(*arguments):
    return json.loads(ok("catalog", "show", "--json", *arguments))


def names(*arguments, key="name"):
    return [item[key] for item in json.loads(ok("catalog", "list", "--json", *arguments))]


def test_objects(server, work):  # noqa: F811
    assert names() == ["main"]
    assert "Try things" in ok("catalog", "list", "schemas", "main")
    ok("catalog", "create", "volume", "main.demo.raw", "--comment", "as it came")
    ok("catalog", "create", "volume", "main.demo.out", "--location", "files")
    assert show("volume", "main.demo.out")["storage_location"] == (work / "files").as_uri()
    assert names("volume", "main.demo") == ["out", "raw"]

    ok("catalog", "update", "schema", "main.demo", "--property", "a=1,b=2", "--comment", "Other things")
    ok("catalog", "update", "schema", "main.demo", "--unset", "a", "--property", "c=3")
    schema = show("schema", "main.demo")
    assert (schema["properties"], schema["comment"]) == ({"b": "2", "c": "3"}, "Other things")
    ok("catalog", "update", "schema", "main.demo", "--rename", "lab")
    assert names("schema", "main") == ["default", "lab"]

    ok("catalog", "create", "model", "main.lab.churn")
    ok("catalog", "create", "model-version", "main.lab.churn", "--location", "artifacts", "--comment", "first")
    assert names("model-version", "main.lab.churn", key="version") == [1]
    assert show("model-version", "main.lab.churn.1")["comment"] == "first"
    (work / "f.json").write_text(json.dumps({
        "input_params": {"parameters": []}, "data_type": "INT", "full_data_type": "int", "routine_body": "EXTERNAL",
        "routine_definition": "return 1", "parameter_style": "S", "is_deterministic": True, "sql_data_access": "NO_SQL",
        "is_null_call": False, "security_type": "DEFINER", "specific_name": "one", "properties": "null",
        "external_language": "PYTHON"}))
    ok("catalog", "create", "function", "main.lab.one", "--body", "f.json")
    assert show("function", "main.lab.one")["routine_definition"] == "return 1"
    ok("catalog", "create", "credential", "aws", "--role", "arn:aws:iam::123456789012:role/r")
    ok("catalog", "create", "location", "lake", "--location", "s3://bucket/lake", "--credential", "aws")
    assert "s3://bucket/lake" in ok("catalog", "list", "location")
    assert show("metastore")["metastore_id"]

    assert "with volumes" in refused("catalog", "delete", "schema", "main.lab")
    ok("catalog", "delete", "location", "lake")
    ok("catalog", "delete", "schema", "main.lab", "--force")
    assert names("schema", "main") == ["default"]


def test_table_that_exists(server, work):  # noqa: F811
    deltalake.write_deltalake(work / "scores", pa.table({"day": ["a"], "score": [1.5]}), partition_by=["day"])
    ok("catalog", "create", "table", "main.demo.scores", "--location", "scores", "--comment", "by day")
    columns = show("table", "main.demo.scores")["columns"]
    assert [(c["name"], c["type_text"], c["partition_index"]) for c in columns] == [
        ("day", "string", 0), ("score", "double", None)]
    assert "1.5" in ok("table", "cat", "main.demo.scores")
    assert "score" in ok("catalog", "show", "table", "main.demo.scores")
    assert "--location" in refused("catalog", "create", "table", "main.demo.none", code=2)
    assert "none" in refused("catalog", "create", "table", "main.demo.none", "--location", "none")


def test_grants_and_principals(server, monkeypatch):
    alice = "alice@example.org"
    ok("catalog", "user", "add", alice, "--display-name", "Alice")
    assert "Alice" in ok("catalog", "user", "list")
    token = ok("catalog", "token", "create", "--for", alice, "--comment", "laptop", "--quiet").strip()
    assert token and " " not in token
    ok("catalog", "create", "volume", "main.demo.raw")

    def hers(*arguments):
        monkeypatch.setenv("ISTHMUS_TOKEN", token)
        try:
            return run("catalog", *arguments)
        finally:
            monkeypatch.delenv("ISTHMUS_TOKEN")

    assert hers("show", "volume", "main.demo.raw").code == 1
    ok("catalog", "group", "add", "analysts")
    ok("catalog", "group", "add-member", "analysts", alice)
    assert "Alice" in ok("catalog", "group", "members", "analysts")
    printed = ok("catalog", "grant", "use_catalog,use_schema,READ_VOLUME", "--on", "catalog", "main", "--to", "analysts")
    assert "analysts" in printed and all(p in printed for p in ("READ VOLUME", "USE CATALOG", "USE SCHEMA"))
    assert hers("show", "volume", "main.demo.raw").code == 0
    denied = hers("delete", "volume", "main.demo.raw")
    assert denied.code == 1 and "PERMISSION_DENIED" in denied.err
    assert hers("user", "add", "mallory").code == 1
    assert "analysts" in ok("catalog", "grants", "catalog", "main")
    assert "analysts" not in ok("catalog", "grants", "catalog", "main", "--principal", alice)
    ok("catalog", "revoke", "USE_CATALOG", "--on", "catalog", "main", "--from", "analysts")
    assert hers("show", "volume", "main.demo.raw").code == 1
    ok("catalog", "group", "remove-member", "analysts", alice)
    assert "Alice" not in ok("catalog", "group", "members", "analysts")

    audit = ok("catalog", "audit", "--principal", alice)
    assert "main.demo.raw" in audit and token not in audit
    assert len(json.loads(ok("catalog", "audit", "--limit", "3", "--json"))) == 3

    listed = json.loads(hers("token", "list", "--json").out)
    assert [t["comment"] for t in listed] == ["laptop"] and token not in json.dumps(listed)
    assert hers("token", "revoke", listed[0]["token_id"]).code == 0
    assert hers("list").code == 1
    ok("catalog", "user", "remove", alice)
    assert "no user" in refused("catalog", "user", "remove", alice)
    ok("catalog", "group", "remove", "analysts")


def test_service_principal(server, monkeypatch):
    application = json.loads(ok("catalog", "service-principal", "add", "nightly", "--json"))["applicationId"]
    secret = ok("catalog", "service-principal", "secret", "nightly", "--quiet").strip()
    ok("catalog", "grant", "USE_CATALOG", "--on", "catalog", "main", "--to", application)
    monkeypatch.setenv("DATABRICKS_HOST", json.loads((server / "server.json").read_text())["url"])
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", application)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", secret)
    assert names() == ["main"]
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "wrong-secret")
    message = refused("catalog", "list")
    assert application in message and "wrong-secret" not in message


def test_mistakes(server):
    assert "none of catalog|schema" in refused("catalog", "show", "thing", "x", code=2)
    assert "catalog.schema.table" in refused("catalog", "show", "table", code=2)
    assert "PARENT" in refused("catalog", "list", "table", code=2)
    assert "KEY=VALUE" in refused("catalog", "create", "catalog", "c", "--property", "a", code=2)
    assert "nothing" in refused("catalog", "update", "catalog", "main", code=2)
    assert "--to" in refused("catalog", "grant", "SELECT", "main.demo.t", code=2)
    assert "add|list|remove" in refused("catalog", "user", "promote", "x", code=2)
    assert "did you mean 'catalog grants'" in refused("catalog", "gramts", code=2)
    failed = run("catalog", "show", "--json", "schema", f"main.{uuid.uuid4().hex}")
    assert failed.code == 1 and json.loads(failed.err)["error"]["where"] == "SCHEMA_NOT_FOUND"


def test_completion_knows_the_kinds():
    for shell in ("bash", "zsh", "fish"):
        script = ok("completion", shell)
        assert "model-version" in script and "service-principal" in script and "[NAME]" not in script


def test_tls_server_is_found_and_checked(tmp_path):
    """A server with a certificate of its own making: the command finds it, and checks it against that certificate."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = serving.Server(tmp_path / "home", "--tls-cert", str(cert), "--tls-key", str(key))
    try:
        assert server.url.startswith("https://")
        command = [str(serving.COMMAND), "catalog", "list", "catalog", "--json"]
        environment = {**os.environ, "ISTHMUS_HOME": str(server.home)}
        found = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        assert [item["name"] for item in json.loads(found.stdout)] == ["main"]
        authorities = "/etc/ssl/certs/ca-certificates.crt"
        refused = subprocess.run(command, env={**environment, "ISTHMUS_CA_FILE": authorities}, capture_output=True, text=True)
        assert refused.returncode == 1 and "prove who it is" in refused.stderr
    finally:
        server.kill()
