"""`isthmus serve` as clients written by others see it."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import deltalake
import emulators
import pyarrow as pa
import pyarrow.fs
import pyspark
import pytest
import serving

import isthmus

ROOT = pathlib.Path(__file__).parents[2]
CLIENTS = pathlib.Path(__file__).parent / "clients"
JARS = pathlib.Path(os.environ.get("ISTHMUS_JARS", ROOT / "build/jars"))
SPARK_JARS = pathlib.Path(pyspark.__file__).parent / "jars"
S3_JARS = ROOT / "build/s3a"  # hadoop-aws (Makefile)
DUCKDB = ROOT / "build/duckdb"  # a DuckDB whose extensions for Delta and Unity Catalog can be had (Makefile)


@pytest.fixture
def server():
    """(url, token) of the server that the tests run against."""
    info = json.loads(pathlib.Path(os.environ["ISTHMUS_HOME"], "server.json").read_text())
    return info["url"], info["token"]


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=180, **more)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def ask(server, method, path, body=None):
    """A call of the REST interface that owes nothing to any client."""
    url, token = server
    request = urllib.request.Request(url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def folder(server, name):
    place = ask(server, "GET", f"/api/2.1/unity-catalog/tables/{name}")["storage_location"]
    return urllib.request.url2pathname(place.removeprefix("file://"))


# ---- Java ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    """Run a class of python/tests/clients."""
    classes = tmp_path_factory.mktemp("classes")
    classpath = os.pathsep.join([f"{JARS}/*", f"{SPARK_JARS}/*", str(classes)])
    run("javac", "-nowarn", "-cp", classpath, "-d", classes, *CLIENTS.glob("*.java"))
    quiet = CLIENTS / "log4j2.properties"
    return lambda name, *arguments: run("java", "-Xmx256m", f"-Dlog4j2.configurationFile={quiet}", "-cp", classpath, name,
                                        *arguments)


@pytest.mark.parametrize("area", ["tables", "volumes", "functions", "models", "storage", "commits"])
def test_unitycatalog_client(java, server, tmp_path, area):
    """unitycatalog-client 0.6.0, the one inside Unity Catalog's Spark connector."""
    java("UnityCatalogClient", *server, tmp_path, area)


def test_unitycatalog_client_grants(java, server, tmp_path):
    ask(server, "POST", "/api/1.0/unity-control/scim2/Users",
        {"displayName": "Java", "emails": [{"value": "java-grants@example.com", "primary": True}]})
    java("UnityCatalogClient", *server, tmp_path, "grants")


@pytest.mark.parametrize("api", ["v1", "preview"])
def test_delta_kernel(java, server, schema, name, api):
    """delta-kernel-unitycatalog 4.4.0 on a catalog-managed table, by both APIs for commits."""
    java("DeltaKernelClient", *server, schema, name.split(".")[2], api)


# ---- Python ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(server):
    from databricks.sdk import WorkspaceClient

    url, token = server
    return WorkspaceClient(host=url, token=token)


def test_databricks_sdk_objects(workspace, name, tmp_path):
    from databricks.sdk.errors import NotFound
    from databricks.sdk.service import catalog as uc

    isthmus.write_deltalake(name, pa.table({"id": [1]}))
    table = workspace.tables.get(name)
    schema, _, short = name.rpartition(".")
    assert (table.name, table.data_source_format.value, table.columns[0].name) == (short, "DELTA", "id")
    assert short in [t.name for t in workspace.tables.list(*schema.split("."))]
    assert workspace.tables.exists(name).table_exists and not workspace.tables.exists(f"{schema}.none").table_exists
    with pytest.raises(NotFound, match="none"):
        workspace.tables.get(f"{schema}.none")
    given = workspace.temporary_table_credentials.generate_temporary_table_credentials(
        table_id=table.table_id, operation=uc.TableOperation.READ)
    assert given.url == table.storage_location

    made = workspace.catalogs.create(name="sdk", comment="x", properties={"a": "b"})
    assert (made.comment, made.properties) == ("x", {"a": "b"})
    assert workspace.catalogs.update("sdk", comment="y").comment == "y"
    assert "sdk" in [c.name for c in workspace.catalogs.list()]
    workspace.schemas.create(name="s", catalog_name="sdk")
    assert [s.full_name for s in workspace.schemas.list("sdk")] == ["sdk.s"]
    volume = workspace.volumes.create(catalog_name="sdk", schema_name="s", name="v", volume_type=uc.VolumeType.MANAGED)
    assert workspace.volumes.update("sdk.s.v", comment="new").comment == "new"
    assert workspace.volumes.read("sdk.s.v").storage_location == volume.storage_location
    assert [v.full_name for v in workspace.volumes.list("sdk", "s")] == ["sdk.s.v"]
    workspace.registered_models.create(catalog_name="sdk", schema_name="s", name="m")
    assert [m.full_name for m in workspace.registered_models.list(catalog_name="sdk", schema_name="s")] == ["sdk.s.m"]
    workspace.catalogs.delete("sdk", force=True)
    assert len(workspace.metastores.summary().metastore_id) == 36


def test_databricks_sdk_principals(workspace, server, name):
    """Users, groups, tokens, a service principal by OAuth; what each may do follows from its grants."""
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors import NotFound, PermissionDenied
    from databricks.sdk.service import catalog as uc

    isthmus.write_deltalake(name, pa.table({"id": [1]}))
    user = workspace.users.create(user_name=f"{name}@example.com", display_name="Ann")
    assert user.id in [u.id for u in workspace.users.list()]
    group = workspace.groups.create(display_name=f"{name} team")
    assert group.id in [g.id for g in workspace.groups.list()]
    mine = workspace.tokens.create(comment=name, lifetime_seconds=600)
    assert mine.token_info.token_id in [t.token_id for t in workspace.tokens.list()]
    assert WorkspaceClient(host=server[0], token=mine.token_value).current_user.me().user_name == "admin"
    workspace.tokens.delete(mine.token_info.token_id)

    robot = workspace.service_principals.create(display_name=f"{name} robot")
    secret = workspace.service_principal_secrets_proxy.create(service_principal_id=robot.id)
    as_robot = WorkspaceClient(host=server[0], client_id=robot.application_id, client_secret=secret.secret)
    assert as_robot.current_user.me().display_name == f"{name} robot"
    with pytest.raises((NotFound, PermissionDenied)):
        as_robot.tables.get(name)

    catalog, schema, _ = name.split(".")
    for kind, target, privilege in (("catalog", catalog, uc.Privilege.USE_CATALOG),
                                    ("schema", f"{catalog}.{schema}", uc.Privilege.USE_SCHEMA),
                                    ("table", name, uc.Privilege.SELECT)):
        workspace.grants.update(kind, target, changes=[
            uc.PermissionsChange(principal=robot.application_id, add=[privilege])])
    found = workspace.grants.get("table", name).privilege_assignments
    assert [(g.principal, g.privileges) for g in found] == [(robot.application_id, [uc.Privilege.SELECT])]
    id = as_robot.tables.get(name).table_id
    vend = as_robot.temporary_table_credentials.generate_temporary_table_credentials
    assert vend(table_id=id, operation=uc.TableOperation.READ).url.startswith("file:///")
    with pytest.raises(PermissionDenied, match="MODIFY"):
        vend(table_id=id, operation=uc.TableOperation.READ_WRITE)


# ---- DuckDB ----------------------------------------------------------------------------------------------------------


def test_duckdb(server, name):
    """DuckDB's extensions for Delta and Unity Catalog: by name, reading and appending."""
    isthmus.write_deltalake(name, pa.table({"id": [1, 2, 3], "word": ["a", "b", None]}))
    schema, table = name.split(".")[1:]
    found = run(sys.executable, CLIENTS / "duckdb_client.py", DUCKDB, *server, f"{schema}.{table}",
                env={"PYTHONPATH": str(DUCKDB), "HOME": os.environ["ISTHMUS_HOME"]})
    assert json.loads(found) == [[1, "a"], [2, "b"], [3, None], [4, "d"]]
    assert deltalake.DeltaTable(folder(server, name)).version() == 1


# ---- Tables in S3 ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A server that gives credentials for an S3, with a schema main.cloud whose tables are there."""
    home = tmp_path_factory.mktemp("s3")
    with emulators.minio(home) as endpoint:
        config = home / "storage.json"
        config.write_text(json.dumps({"locations": [
            {"url": f"s3://{emulators.BUCKET}", "endpoint": endpoint, "region": "us-east-1",
             "access_key_id": emulators.S3_USER, "secret_access_key": emulators.S3_PASSWORD,
             "role_arn": "arn:minio:iam:::role/isthmus"}]}))
        config.chmod(0o600)
        server = serving.Server(home, "--storage-config", str(config))
        server.endpoint = endpoint
        server.client().done("POST", "/schemas", {"catalog_name": "main", "name": "cloud",
                                                  "storage_root": f"s3://{emulators.BUCKET}/managed"})
        yield server
        server.stop()


@pytest.fixture
def s3_table(s3, request):
    """A table of three rows in S3, made by Isthmus: (its name, its location)."""
    name = f"main.cloud.{request.node.name.partition('[')[0]}"
    catalog, schema, short = name.split(".")
    location = f"s3://{emulators.BUCKET}/tables/{short}"
    column = {"name": "id", "type_text": "bigint", "type_name": "LONG", "position": 0, "nullable": True,
              "type_json": '{"name":"id","type":"long","nullable":true,"metadata":{}}'}
    s3.client().done("POST", "/tables", {"catalog_name": catalog, "schema_name": schema, "name": short, "columns": [column],
                                         "table_type": "EXTERNAL", "data_source_format": "DELTA",
                                         "storage_location": location})
    script = f"import isthmus; isthmus.write_deltalake({name!r}, {{'id': [1, 2, 3]}})"
    run(sys.executable, "-c", script, env=without_keys(ISTHMUS_CATALOG=s3.url, ISTHMUS_TOKEN=s3.token))
    return name, location


def without_keys(**more):
    """An environment that has no keys of a cloud, but these variables."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith("AWS_")}, **more}


def s3_rows(s3, location):
    """(version, rows) of a table by somebody who has all keys."""
    table = deltalake.DeltaTable(location, storage_options={
        "aws_access_key_id": emulators.S3_USER, "aws_secret_access_key": emulators.S3_PASSWORD,
        "aws_endpoint": s3.endpoint, "aws_region": "us-east-1", "aws_allow_http": "true"})
    return table.version(), sorted(table.to_pyarrow_table().to_pylist(), key=lambda row: row["id"])


def test_spark_in_s3_by_unitycatalog_hadoop(s3):
    """The providers of unitycatalog-hadoop 0.6.0 ask for the credentials, for Hadoop's S3A."""
    location = f"s3://{emulators.BUCKET}/tables/by_spark"
    seen = run(sys.executable, CLIENTS / "spark_s3_client.py", S3_JARS, s3.url, s3.token, "main.cloud", location,
               env=without_keys(ISTHMUS_JARS=str(JARS)))
    assert json.loads(seen.splitlines()[-1]) == {"plain": [[2, "b"]], "managed": [[2, "b"]]}
    assert s3_rows(s3, location) == (2, [{"id": 2, "word": "b"}])
    script = "import isthmus; print(isthmus.Table('main.cloud.managed').to_arrow().to_pylist())"
    ours = run(sys.executable, "-c", script, env=without_keys(ISTHMUS_CATALOG=s3.url, ISTHMUS_TOKEN=s3.token))
    assert ours.strip() == "[{'id': 2, 'word': 'b'}]"


def test_ray_unity_catalog_connector(s3, s3_table, cluster, monkeypatch):
    """Ray's own DatabricksUnityCatalog. It knows S3 at Amazon's address only, so the emulator's is put in here: without
    that its workers look for bucket.s3.us-east-1.amazonaws.com again and again, which looks as if they hung."""
    from ray.data import DatabricksUnityCatalog

    def at_the_emulator(self, aws):
        return pyarrow.fs.S3FileSystem(access_key=aws.access_key_id, secret_key=aws.secret_access_key,
                                       session_token=aws.session_token, region=self.region,
                                       endpoint_override=s3.endpoint)

    monkeypatch.setattr(DatabricksUnityCatalog, "_build_s3_filesystem", at_the_emulator)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)  # delta-rs, inside Ray, goes by these
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(key, "")  # Ray sets them
    name, location = s3_table
    catalog = DatabricksUnityCatalog(url=s3.url, token=s3.token, region="us-east-1")
    assert cluster.data.read_delta(name, catalog=catalog).sum("id") == 6
    cluster.data.from_items([{"id": 4}, {"id": 5}]).write_delta(name, catalog=catalog)
    assert cluster.data.read_delta(name, catalog=catalog).sum("id") == 15
    monkeypatch.undo()
    assert s3_rows(s3, location) == (1, [{"id": i} for i in range(1, 6)])


DELTA_RS = """
import deltalake, pyarrow, sys
table = deltalake.DeltaTable(sys.argv[1])
assert table.to_pyarrow_table().num_rows == 3
deltalake.write_deltalake(table, pyarrow.table({"id": [4]}), mode="append")
"""


def test_delta_rs_by_uc_url(s3, s3_table):
    """delta-rs 1.6.6 opens uc://, but its runtimes can wait for each other for ever once it has the server's answers (its
    pull request 3113 speaks of it): half the time on two cores, nine times in ten on one. It is asked again then."""
    name, location = s3_table
    environment = without_keys(UNITY_WORKSPACE_URL=s3.url, UNITY_ACCESS_TOKEN=s3.token, UNITY_ALLOW_HTTP_URL="true",
                               AWS_ENDPOINT_URL=s3.endpoint, AWS_ALLOW_HTTP="true", AWS_REGION="us-east-1")
    for _ in range(12):
        try:
            done = subprocess.run([sys.executable, "-c", DELTA_RS, f"uc://{name}"], env=environment, capture_output=True,
                                  text=True, timeout=8)
        except subprocess.TimeoutExpired:
            assert s3_rows(s3, location)[0] == 0
            continue
        assert done.returncode == 0, done.stderr
        assert s3_rows(s3, location) == (1, [{"id": i} for i in range(1, 5)])
        return
    pytest.skip("delta-rs waited for itself twelve times; test_ray_unity_catalog_connector has it on the same credentials")
