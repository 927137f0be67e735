"""isthmus.Catalog against `isthmus serve`."""

import concurrent.futures
import http.server
import json
import os
import ssl
import subprocess
import threading
import uuid

import pytest

import isthmus
from isthmus import catalog, errors


@pytest.fixture(scope="module")
def server(services):
    return isthmus.Catalog()


@pytest.fixture
def fresh(server):
    """The name of a schema of its own."""
    name = f"main.s{uuid.uuid4().hex[:8]}"
    server.create_schema(name)
    yield name
    server.delete_schema(name, force=True)


@pytest.fixture
def alice(server):
    """A user without any grant: (name, connection as her)."""
    name = f"alice-{uuid.uuid4().hex[:8]}@example.org"
    server.create_user(name, "Alice")
    yield name, isthmus.Catalog(server.uri, server.create_token(name, days=1))
    server.delete_user(name)


def test_objects_of_every_kind(server, fresh, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    server.create_volume(f"{fresh}.managed", comment="ours")
    external = server.create_volume(f"{fresh}.external", location=files.as_uri())
    assert external["volume_type"] == "EXTERNAL"
    assert repr(external) == f"<{fresh}.external EXTERNAL at {files.as_uri()}>"
    assert [v["name"] for v in server.list_volumes(fresh)] == ["external", "managed"]
    assert server.update("volume", f"{fresh}.managed", comment="theirs")["comment"] == "theirs"

    parameter = dict(name="x", type_text="int", type_json='"integer"', type_name="INT", position=0)
    server.create_function(f"{fresh}.double", input_params={"parameters": [parameter]}, data_type="INT",
                           full_data_type="int", routine_body="EXTERNAL", routine_definition="return x * 2",
                           parameter_style="S", is_deterministic=True, sql_data_access="NO_SQL", is_null_call=False,
                           security_type="DEFINER", specific_name="double", properties="null",
                           external_language="PYTHON")
    assert [f["name"] for f in server.list_functions(fresh)] == ["double"]

    model = f"{fresh}.churn"
    server.create_model(model, comment="who leaves")
    version = server.create_model_version(model, files.as_uri())
    assert (version["version"], version["status"]) == (1, "PENDING_REGISTRATION")
    assert server.finalize_model_version(model, 1)["status"] == "READY"
    assert [v["version"] for v in server.list_model_versions(model)] == [1]
    assert server.get("model-version", f"{model}.1")["status"] == "READY"

    credential = f"c{uuid.uuid4().hex[:8]}"
    server.create_credential(credential, "arn:aws:iam::123456789012:role/r")
    server.create_location(f"l-{credential}", f"s3://bucket/{credential}", credential)
    assert server.get("location", f"l-{credential}")["credential_name"] == credential
    assert credential in [c["name"] for c in server.list("credential")]
    server.delete("location", f"l-{credential}")
    server.delete("credential", credential)

    assert server.get("metastore")["metastore_id"]
    with pytest.raises(errors.BadInputError, match="none of catalog, schema"):
        server.get("thing", "x")
    server.delete("function", f"{fresh}.double")
    server.delete("volume", f"{fresh}.managed")
    with pytest.raises(errors.NotFoundError):
        server.get("volume", f"{fresh}.managed")


def test_lists_are_whole(server, fresh):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: server.create_volume(f"{fresh}.v{i:03}"), range(120)))
    assert [v["name"] for v in server.list_volumes(fresh)] == [f"v{i:03}" for i in range(120)]


def test_credentials_are_shared_and_not_shown(server, fresh):
    table = f"{fresh}.t"
    isthmus.write_deltalake(table, {"id": [1]})
    credentials = server.credentials(table=table, write=True)
    assert credentials.get()["url"].startswith("file:")
    assert credentials.get() == server.credentials(table=table, write=True).get()
    assert "token" not in repr(credentials) and table in repr(credentials)
    with pytest.raises(errors.BadInputError, match="one of"):
        server.credentials()
    with pytest.raises(errors.NotFoundError):
        server.credentials(table=f"{fresh}.none")


def test_where_to_connect(server, monkeypatch, tmp_path):
    assert repr(server) == f"<Catalog {server.uri}>"
    assert catalog.connect() is catalog.connect()
    assert catalog.connect(server.uri) is not catalog.connect()
    token = json.loads(open(os.path.join(os.environ["ISTHMUS_HOME"], "server.json")).read())["token"]
    profiles = tmp_path / "databrickscfg"
    profiles.write_text(f"[here]\nhost = {server.uri}\ntoken = {token}\n[no]\nhost = {server.uri}\ntoken = wrong\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))
    assert isthmus.Catalog("databricks:here").list_catalogs()
    with pytest.raises(errors.UnauthenticatedError):
        isthmus.Catalog("databricks:no").list_catalogs()
    with pytest.raises(errors.NotFoundError, match=r"\[none\]"):
        isthmus.Catalog("databricks:none")
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "here")
    assert catalog.connect().uri == server.uri
    with pytest.raises(errors.BadInputError, match="http"):
        isthmus.Catalog("ftp://h")
    with isthmus.Catalog("databricks:here") as closed:
        pass
    with pytest.raises(errors.BadInputError, match="closed"):
        closed.list_catalogs()


def test_https_is_always_verified(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True,
                   capture_output=True)
    seen = []

    class Peer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers["Authorization"])
            body = b'{"name": "main"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    peer.socket = context.wrap_socket(peer.socket, server_side=True)
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    uri = f"https://localhost:{peer.server_port}"
    try:
        with pytest.raises(errors.UnauthenticatedError, match="does not prove who it is"):
            isthmus.Catalog(uri, "secret").get("catalog", "main")
        with pytest.raises(errors.UnauthenticatedError):  # another name than the certificate's
            isthmus.Catalog(uri.replace("localhost", "127.0.0.1"), "secret", certificate).get("catalog", "main")
        assert seen == []
        assert isthmus.Catalog(uri, "secret", certificate).get("catalog", "main")["name"] == "main"
        monkeypatch.setenv("ISTHMUS_CA_FILE", str(certificate))
        assert isthmus.Catalog(uri, "secret").get("catalog", "main")["name"] == "main"
        assert seen == ["Bearer secret"] * 2
    finally:
        peer.shutdown()


def test_any_request(server):
    assert server.request("GET", "/api/2.1/unity-catalog/metastore_summary")["metastore_id"]
    with pytest.raises(errors.NotFoundError):
        server.request("GET", "/api/2.1/unity-catalog/nothing")


def test_grants(server, fresh, alice):
    name, hers = alice
    table = f"{fresh}.t"
    isthmus.write_deltalake(table, {"id": [1]})
    with pytest.raises(errors.NotFoundError):
        hers.get_table(table)
    server.grant("use_catalog", "catalog", "main", to=name)
    assert fresh.split(".")[1] not in [s["name"] for s in hers.list_schemas()]
    server.grant(["USE SCHEMA"], "schema", fresh, to=name)
    assert server.grant("SELECT", "table", table, to=name) == {name: ["SELECT"]}
    assert server.grants("table", table, principal=name) == {name: ["SELECT"]}
    assert hers.get_table(table)["name"] == "t"
    hers.credentials(table=table).get()
    with pytest.raises(errors.ForbiddenError):
        hers.credentials(table=table, write=True).get()
    with pytest.raises(errors.ForbiddenError):
        hers.grant("MODIFY", "table", table, to=name)
    assert server.revoke("SELECT", "table", table, principal=name) == {}
    with pytest.raises(errors.NotFoundError):
        hers.get_table(table)
    server.revoke("USE CATALOG", "catalog", "main", principal=name)


def test_groups_and_owners(server, fresh, alice):
    name, hers = alice
    group = f"team-{uuid.uuid4().hex[:8]}"
    server.create_group(group)
    server.grant(["USE CATALOG"], "catalog", "main", to=group)
    server.update("schema", fresh, owner=group)
    with pytest.raises(errors.NotFoundError):
        hers.get_schema(fresh)
    server.add_member(group, name)
    assert hers.get_schema(fresh)["owner"] == group
    hers.create_volume(f"{fresh}.mine")
    server.remove_member(group, name)
    with pytest.raises(errors.NotFoundError):
        hers.get_schema(fresh)
    server.delete_group(group)
    assert group not in [g["displayName"] for g in server.groups()]


def test_tokens_and_oauth(server, alice, monkeypatch):
    name, hers = alice
    assert name in [user["userName"] for user in server.users()]
    mine = hers.create_token(comment="laptop")
    listed = hers.tokens()
    assert "laptop" in [token["comment"] for token in listed] and mine not in json.dumps(listed)
    by_it = isthmus.Catalog(server.uri, mine)
    by_it.list_catalogs()
    hers.revoke_token(next(token["token_id"] for token in listed if token["comment"] == "laptop"))
    with pytest.raises(errors.UnauthenticatedError):
        by_it.list_catalogs()
    with pytest.raises(errors.ForbiddenError):
        hers.create_user("mallory@example.org")

    program = f"nightly-{uuid.uuid4().hex[:8]}"
    application = server.create_service_principal(program)["applicationId"]
    monkeypatch.setenv("DATABRICKS_HOST", server.uri)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", application)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", server.create_secret(program))
    oauth = isthmus.Catalog("databricks")
    assert oauth.list_catalogs() == []
    server.grant("USE CATALOG", "catalog", "main", to=application)
    assert [c["name"] for c in oauth.list_catalogs()] == ["main"]
    server.revoke("USE CATALOG", "catalog", "main", principal=application)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "wrong")
    with pytest.raises(errors.UnauthenticatedError, match=application):
        isthmus.Catalog("databricks").list_catalogs()
    server.delete_service_principal(program)


def test_audit(server, fresh):
    entries = server.audit(limit=20)
    assert entries and all("principal" in entry for entry in entries)
    assert any(fresh in (entry.get("securable") or "") for entry in entries)
