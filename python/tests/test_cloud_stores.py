"""Tables in clouds: the suite of all stores on each service, and `isthmus serve` that gives credentials for them."""

import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time
import urllib.parse

import deltalake
import emulators
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import isthmus
from isthmus import errors, native

S3, AZURE, GCS = "s3", "azure", "gcs"
BUCKETS = {
    S3: f"s3://{emulators.BUCKET}",
    AZURE: f"abfss://{emulators.BUCKET}@{emulators.AZURE_ACCOUNT}.dfs.core.windows.net",
    GCS: f"gs://{emulators.BUCKET}",
}
COMMAND = pathlib.Path(isthmus.__file__).parent / "bin" / "isthmus"
ROWS = pa.table({"id": pa.array(range(1000), pa.int64()), "name": [f"n{i}" for i in range(1000)]})


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """{service: its URL}"""
    folder = tmp_path_factory.mktemp("clouds")
    with emulators.minio(folder) as s3, emulators.azurite(folder) as azure, emulators.gcs(folder) as gcs:
        yield {S3: s3, AZURE: azure, GCS: gcs}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Google's token service, and the key file of an account that it knows."""
    folder = tmp_path_factory.mktemp("tokens")
    account, public_key = emulators.service_account(folder)
    service = emulators.TokenService(public_key, folder)
    account["token_uri"] = service.url + "/token"
    service.key_file = folder / "key.json"
    service.key_file.write_text(json.dumps(account))
    yield service
    service.shutdown()


def environment(service, clouds, tokens):
    """The variables that give full access to a service."""
    base = {key: value for key, value in os.environ.items()
            if not key.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_"))}
    return {**base, **{
        S3: {"AWS_ACCESS_KEY_ID": emulators.S3_USER, "AWS_SECRET_ACCESS_KEY": emulators.S3_PASSWORD,
             "AWS_ENDPOINT_URL": clouds[S3]},
        AZURE: {"AZURE_STORAGE_KEY": emulators.AZURE_KEY, "AZURE_STORAGE_ENDPOINT": clouds[AZURE]},
        GCS: {"GOOGLE_APPLICATION_CREDENTIALS": str(tokens.key_file), "STORAGE_EMULATOR_HOST": clouds[GCS]},
    }[service]}


def delta_rs(service, clouds, uri):
    """The same table by delta-rs, with full access: the oracle."""
    options = {
        S3: {"aws_access_key_id": emulators.S3_USER, "aws_secret_access_key": emulators.S3_PASSWORD,
             "aws_endpoint": clouds[S3], "aws_region": "us-east-1", "aws_allow_http": "true"},
        AZURE: {"azure_storage_account_name": emulators.AZURE_ACCOUNT, "azure_storage_account_key": emulators.AZURE_KEY,
                "azure_endpoint": clouds[AZURE], "azure_allow_http": "true"},
        GCS: {"google_service_account_key": json.dumps({"gcs_base_url": clouds[GCS], "disable_oauth": True,
                                                        "client_email": "", "private_key": "", "private_key_id": ""}),
              "allow_http": "true"},
    }[service]
    return deltalake.DeltaTable(uri, storage_options=options)


@pytest.fixture(scope="module")
def server(clouds, tokens, tmp_path_factory):
    """A catalog that gives credentials for all three."""
    home = tmp_path_factory.mktemp("home")
    config = home / "storage.json"
    locations = [
        {"url": BUCKETS[S3], "endpoint": clouds[S3], "region": "us-east-1", "access_key_id": emulators.S3_USER,
         "secret_access_key": emulators.S3_PASSWORD, "role_arn": "arn:minio:iam:::role/isthmus"},
        {"url": BUCKETS[AZURE], "endpoint": clouds[AZURE], "account_key": emulators.AZURE_KEY, "flat_namespace": True},
        {"url": BUCKETS[GCS], "endpoint": clouds[GCS], "key_file": str(tokens.key_file),
         "token_endpoint": tokens.url + "/sts"},
    ]
    config.write_text(json.dumps({"cache_seconds": 0, "locations": locations}))
    config.chmod(0o600)
    port = emulators.free_port()
    command = [COMMAND, "serve", "--port", str(port), "--storage-config", str(config)]
    with emulators.process(command, port, home / "log", env={**os.environ, "ISTHMUS_HOME": str(home)}):
        token = (home / "token").read_text().strip()
        catalog = isthmus.Catalog(f"http://127.0.0.1:{port}", token)
        catalog.token = token
        yield catalog


def columns():
    kinds = {"id": ("bigint", "LONG", '"long"'), "name": ("string", "STRING", '"string"')}
    return [dict(name=name, type_text=text, type_name=kind, position=i, nullable=True,
                 type_json=f'{{"name":"{name}","type":{json},"nullable":true,"metadata":{{}}}}')
            for i, (name, (text, kind, json)) in enumerate(kinds.items())]


def external_table(server, service, name):
    uri = f"{BUCKETS[service]}/tables/{name}"
    server.create_table(f"main.default.{name}", table_type="EXTERNAL", data_source_format="DELTA",
                        storage_location=uri, columns=columns())
    return uri


@pytest.mark.parametrize("service", [S3, AZURE, GCS])
def test_a_store_keeps_its_promises(service, clouds, tokens):
    suite = emulators.ROOT / "build" / "dev" / "tests" / "test_http_store"
    run = subprocess.run([suite], env={**environment(service, clouds, tokens), "ISTHMUS_TEST_STORE":
                                       BUCKETS[service] + "/suite"}, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


def write(uri, credentials=None, rows=ROWS):
    """One version, by a driver and a writer that have these credentials."""
    store = native.Store(uri, credentials=credentials)
    with native.Transaction(store, rows.schema) as transaction:
        context = transaction.write_context()
        with native.Writer(store, context) as writer:
            writer.write(rows)
            transaction.add(context, writer.finish())
        return transaction.commit()


@pytest.mark.parametrize("service", [S3, AZURE, GCS])
def test_a_table_is_written_and_read_with_vended_credentials(service, server, clouds):
    name = f"main.default.sales_{service}"
    uri = external_table(server, service, f"sales_{service}")
    for version in range(2):
        assert write(uri, server.credentials(table=name, write=True)).version == version
    theirs = delta_rs(service, clouds, uri)
    assert theirs.version() == 1
    assert theirs.to_pyarrow_table().sort_by("id") == pa.concat_tables([ROWS, ROWS]).sort_by("id")
    ours = pa.table(native.Snapshot(native.Store(uri, credentials=server.credentials(table=name))))
    assert ours.sort_by("id") == theirs.to_pyarrow_table().sort_by("id")


@pytest.mark.parametrize("service", [S3, AZURE, GCS])
def test_names_alone_are_enough(service, server, clouds, tmp_path):
    """Another process, which knows the catalog and no cloud, by the command line and by Python."""
    name = f"main.default.named_{service}"
    uri = external_table(server, service, f"named_{service}")
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AZURE_", "GOOGLE_"))}
    env.update(ISTHMUS_CATALOG=server.uri, ISTHMUS_TOKEN=server.token, ISTHMUS_HOME=str(tmp_path))
    script = f"""
import isthmus, pyarrow as pa, pyarrow.parquet as pq
isthmus.write_deltalake({name!r}, pq.read_table({str(tmp_path / 'rows.parquet')!r}))
print(pa.table(isthmus.Table({name!r})).num_rows)
"""
    for command in ([COMMAND, "table", "append", name, tmp_path / "rows.parquet"], [sys.executable, "-c", script]):
        run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["2000"]
    theirs = delta_rs(service, clouds, uri).to_pyarrow_table()
    assert theirs.sort_by("id") == pa.concat_tables([ROWS, ROWS]).sort_by("id")


@pytest.mark.parametrize("service", [S3, AZURE, GCS])
def test_paths_with_the_credentials_of_the_environment(service, clouds, tokens, monkeypatch):
    uri = f"{BUCKETS[service]}/by path"
    encoded = uri.replace(" ", "%20")
    for key, value in environment(service, clouds, tokens).items():
        monkeypatch.setenv(key, value)
    partitioned = pa.table({"p": ["a b", "50%", "c/d"] * 10, "id": range(30)})
    isthmus.write_deltalake(encoded, partitioned, mode="error", partition_by="p")
    isthmus.write_deltalake(encoded, partitioned, mode="overwrite")
    table = isthmus.Table(encoded)
    assert table.uri == encoded
    assert pa.table(table).sort_by("id") == partitioned.sort_by("id")
    theirs = delta_rs(service, clouds, encoded).to_pyarrow_table().select(["p", "id"])
    assert theirs.sort_by("id").to_pydict() == partitioned.sort_by("id").to_pydict()
    with pytest.raises(errors.AlreadyExistsError):
        isthmus.write_deltalake(encoded, partitioned, mode="error")


@pytest.mark.parametrize("service", [S3, AZURE, GCS])
def test_without_credentials_the_error_tells_what_to_do(service, clouds, monkeypatch):
    for key in list(os.environ):
        if key.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(key)
    address = {S3: "AWS_ENDPOINT_URL", AZURE: "AZURE_STORAGE_ENDPOINT", GCS: "STORAGE_EMULATOR_HOST"}[service]
    monkeypatch.setenv(address, clouds[service])
    if service == GCS:  # this emulator asks for none; a key file that is not there is named
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/key.json")
        with pytest.raises(errors.StorageError, match="/no/such/key.json"):
            isthmus.Table(f"{BUCKETS[service]}/tables/x")
        return
    with pytest.raises(errors.UnauthenticatedError) as error:
        pa.table(isthmus.Table(f"{BUCKETS[service]}/tables/x"))
    assert {S3: "AWS_ACCESS_KEY_ID", AZURE: "AZURE_STORAGE_SAS_TOKEN"}[service] in str(error.value)


def test_s3_credentials_do_what_they_say_and_no_more(server):
    uri = external_table(server, S3, "narrow")
    other = external_table(server, S3, "narrower")  # begins with the same letters
    writing = server.credentials(table="main.default.narrow", write=True)
    reading = server.credentials(table="main.default.narrow")
    told = json.dumps(reading.get())
    assert emulators.S3_PASSWORD not in told and emulators.S3_PASSWORD not in repr(reading)
    assert time.time() * 1000 < reading.get()["expiration_time"] < (time.time() + 3660) * 1000
    write(uri, writing)
    assert pa.table(native.Snapshot(native.Store(uri, credentials=reading))).num_rows == ROWS.num_rows
    with pytest.raises(errors.ForbiddenError) as error:
        write(uri, reading)
    assert uri in str(error.value) and "for reading only" in str(error.value)
    for credentials in (reading, writing):
        with pytest.raises(errors.ForbiddenError):
            native.Snapshot(native.Store(other, credentials=credentials))
    with pytest.raises(errors.ForbiddenError):
        write(other, writing)
    assert native.Snapshot(native.Store(uri, credentials=writing)).version == 0


def test_the_role_of_a_storage_credential_is_assumed(server):
    server.create_credential("sales_role", "arn:minio:iam:::role/sales")
    server.create_location("sales", f"{BUCKETS[S3]}/by_role", "sales_role")
    credentials = server.credentials(url=f"{BUCKETS[S3]}/by_role/t", write=True)
    assert write(f"{BUCKETS[S3]}/by_role/t", credentials).version == 0


def test_azure_credentials_for_reading_do_not_write(server):
    uri = external_table(server, AZURE, "azure_narrow")
    write(uri, server.credentials(table="main.default.azure_narrow", write=True))
    reading = server.credentials(table="main.default.azure_narrow")
    assert "sp=rl&" in reading.get()["azure_user_delegation_sas"]["sas_token"]
    assert pa.table(native.Snapshot(native.Store(uri, credentials=reading))).num_rows == ROWS.num_rows
    with pytest.raises(errors.ForbiddenError, match="reading only"):
        write(uri, reading)


def test_google_tokens_are_narrowed_down(server, tokens):
    """The emulator takes any token, so the request for it is looked at."""
    external_table(server, GCS, "gcs_narrow")
    for write_too, role in ((False, "inRole:roles/storage.objectViewer"), (True, "inRole:roles/storage.objectAdmin")):
        tokens.forms.clear()
        given = server.credentials(table="main.default.gcs_narrow", write=write_too).get()
        assert given["gcp_oauth_token"]["oauth_token"] == "a narrow token"
        assert given["expiration_time"] < (time.time() + 3001) * 1000
        rule, = json.loads(tokens.forms[-1]["options"])["accessBoundary"]["accessBoundaryRules"]
        assert rule["availableResource"].endswith("/buckets/bucket") and rule["availablePermissions"] == [role]
        assert "/objects/tables/gcs_narrow/'" in rule["availabilityCondition"]["expression"]


def test_a_writer_that_is_killed_leaves_nothing_visible(clouds, tokens, tmp_path):
    uri = f"{BUCKETS[S3]}/killed"
    script = tmp_path / "write.py"
    script.write_text(f"""
import os, pyarrow as pa
from isthmus import native
rows = pa.table({{"x": [os.urandom(1 << 10) for _ in range(20 << 10)]}})
store = native.Store({uri!r})
transaction = native.Transaction(store, rows.schema)
writer = native.Writer(store, transaction.write_context())
print("ready", flush=True)
while True:
    writer.write(rows)
""")
    child = subprocess.Popen([sys.executable, script], env=environment(S3, clouds, tokens), stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    time.sleep(3)  # in the middle of an upload
    child.send_signal(signal.SIGKILL)
    child.wait()
    with pytest.raises(deltalake.exceptions.TableNotFoundError):
        delta_rs(S3, clouds, uri)
    s3 = pyarrow.fs.S3FileSystem(access_key=emulators.S3_USER, secret_key=emulators.S3_PASSWORD, scheme="http",
                                 endpoint_override=urllib.parse.urlsplit(clouds[S3]).netloc)
    everything = pyarrow.fs.FileSelector(f"{emulators.BUCKET}/killed", recursive=True, allow_not_found=True)
    for file in s3.get_file_info(everything):  # files that were whole when it died, at most
        if file.is_file:
            assert pq.read_metadata(file.path, filesystem=s3).num_rows > 0


# ---- by path, with what users of deltalake write ------------------------------------------------------------------------


def storage_options(service, clouds, tokens):
    return {
        S3: {"AWS_ACCESS_KEY_ID": emulators.S3_USER, "aws_secret_access_key": emulators.S3_PASSWORD,
             "AWS_ENDPOINT_URL": clouds[S3], "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
             "AWS_S3_ALLOW_UNSAFE_RENAME": "true"},
        AZURE: {"account_name": emulators.AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": emulators.AZURE_KEY,
                "azure_endpoint": clouds[AZURE], "allow_http": True},
        GCS: {"google_service_account": str(tokens.key_file), "GOOGLE_BASE_URL": clouds[GCS]},
    }[service]


@pytest.fixture
def no_environment(monkeypatch):
    for key in list(os.environ):
        if key.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(key)


@pytest.mark.parametrize("service", [S3, AZURE, GCS])
def test_storage_options(service, clouds, tokens, no_environment):
    uri, options = f"{BUCKETS[service]}/by_path", storage_options(service, clouds, tokens)
    for version in range(2):
        assert isthmus.write_deltalake(uri, ROWS, storage_options=options).version == version
    table = isthmus.Table(uri, options)
    assert table.snapshot().rows == 2000
    assert delta_rs(service, clouds, uri).to_pyarrow_table().num_rows == 2000
    again = pickle.loads(pickle.dumps(table.access()))  # as a Ray task gets it
    assert native.Snapshot(again.open("read")).rows == 2000
    secret = options.get("aws_secret_access_key") or options.get("AZURE_STORAGE_ACCOUNT_KEY") or "no secret at all"
    assert secret not in repr(table.access()) + repr(table)
    with pytest.raises(errors.IsthmusError):
        isthmus.Table(uri).snapshot()  # the environment has nothing


def test_storage_options_that_are_refused(clouds, tokens, no_environment):
    s3, azure = f"{BUCKETS[S3]}/refused", f"{BUCKETS[AZURE]}/refused"
    for uri, options, message in [
        (s3, {"AWS_S3_LOCKING_PROVIDER": "dynamodb"}, "'AWS_S3_LOCKING_PROVIDER' is no storage option.*aws_access_key_id"),
        (s3, {"azure_storage_account_key": "x"}, "'azure_storage_account_key' is no storage option"),
        (s3, {"aws_access_key_id": "x"}, "aws_access_key_id without aws_secret_access_key"),
        (s3, {"endpoint": "localhost:9000"}, "is not http://"),
        (azure, {"account_name": "other"}, "for the account other"),
        ("main.demo.t", {"aws_region": "x"}, "its catalog gives the credentials"),
        ("/tmp/t", {"aws_region": "x"}, "are for s3:"),
    ]:
        for call in (lambda: isthmus.write_deltalake(uri, ROWS, storage_options=options),
                     lambda: isthmus.Table(uri, options)):
            with pytest.raises(errors.BadInputError, match=message) as refused:
                call()
        assert emulators.S3_PASSWORD not in str(refused.value)
