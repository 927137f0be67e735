"""One daemon, one catalog server, one Spark JVM (classic and Connect) and one Ray for all test files."""

import itertools
import os
import pathlib
import shutil
import socket
import sys
import tempfile

import pyarrow as pa
import pytest

# Short, because the daemon's socket is in it; before anything is imported that reads it.
HOME = tempfile.mkdtemp(prefix="ist-", dir="/tmp")
os.environ["ISTHMUS_HOME"] = HOME
os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
for name in [name for name in os.environ if name.startswith(("ISTHMUS_CATALOG", "ISTHMUS_TOKEN", "ISTHMUS_SOCKET",
                                                            "ISTHMUS_CA_FILE", "DATABRICKS_"))]:
    del os.environ[name]
os.environ["DATABRICKS_CONFIG_FILE"] = f"{HOME}/none"

import isthmus  # noqa: E402


def pytest_configure(config):
    for line in ("ignore::FutureWarning:pyspark", "ignore::DeprecationWarning:ray"):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session", autouse=True)
def services():
    isthmus.start()
    yield
    isthmus.stop()
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def connect_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def spark(services, connect_port, tmp_path_factory):
    """A classic session; its JVM serves Spark Connect besides."""
    session = (
        isthmus.spark.builder().master("local[2]").appName("tests").config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2").config("spark.driver.memory", "1g")
        .config("spark.databricks.delta.snapshotPartitions", "2")  # of 50 small tasks for each look at a log
        .config("spark.sql.session.timeZone", "America/New_York")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark-warehouse")))
        .config("spark.plugins", "org.apache.spark.sql.connect.SparkConnectPlugin")
        .config("spark.connect.grpc.binding.address", "127.0.0.1")
        .config("spark.connect.grpc.binding.port", str(connect_port)).getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def connect(spark, connect_port):
    """A Spark Connect session. SparkSession.builder refuses to make one beside a classic session; this is what it makes."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(f"sc://127.0.0.1:{connect_port}").getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "America/New_York")
    yield session
    session.stop()


@pytest.fixture(params=["classic", "connect"])
def session(request):
    return request.getfixturevalue("spark" if request.param == "classic" else "connect")


@pytest.fixture(scope="session")
def cluster(services):
    import ray

    ray.init(num_cpus=2, object_store_memory=256 << 20, include_dashboard=False, logging_level="ERROR",
             log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def schema(services):
    """The name of a schema in catalog main."""
    isthmus.catalog.connect().create_schema("main.tests")
    return "main.tests"


@pytest.fixture(scope="module")
def worker(schema):
    """A worker of the embedded SQL engine, driven by its channel."""
    from engine_driver import Worker

    worker = Worker()
    yield worker
    worker.close()


_numbers = itertools.count()


@pytest.fixture
def name(schema):
    """The full name of a table that does not exist."""
    return f"{schema}.t{next(_numbers)}"


@pytest.fixture
def path(tmp_path):
    """Where a table may be made."""
    return str(tmp_path / "table")


@pytest.fixture(scope="session")
def tables():
    """tests/data/tables: tables that other writers made."""
    folder = pathlib.Path(__file__).parents[2] / "tests" / "data" / "tables"
    if not folder.exists():
        pytest.skip("tests/data/tables is not there")
    return folder


@pytest.fixture
def rows():
    """A small table of every type that Delta has."""
    return make_rows(100)


def make_rows(count, start=0):
    import datetime
    import decimal

    ids = range(start, start + count)
    utc = datetime.timezone.utc
    base = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)
    step = datetime.timedelta(hours=7, microseconds=1)
    tenth = [i % 10 == 0 for i in ids]  # nulls

    def values(function, type):
        return pa.array([None if null else function(i) for i, null in zip(ids, tenth)], type)

    return pa.table({
        "id": pa.array(list(ids), pa.int64()),
        "flag": values(lambda i: i % 2 == 0, pa.bool_()),
        "tiny": values(lambda i: i % 100, pa.int8()),
        "small": values(lambda i: -i, pa.int16()),
        "number": values(lambda i: i * 1000, pa.int32()),
        "single": values(lambda i: i / 4, pa.float32()),
        "double": values(lambda i: i / 3, pa.float64()),
        "amount": values(lambda i: decimal.Decimal(i) / 100, pa.decimal128(12, 2)),
        "text": values(lambda i: f"row {i} é", pa.string()),
        "data": values(lambda i: bytes([i % 256, 0, 255]), pa.binary()),
        "day": values(lambda i: base.date() + datetime.timedelta(days=i), pa.date32()),
        "at": values(lambda i: (base + i * step).replace(tzinfo=utc), pa.timestamp("us", "UTC")),
        "local": values(lambda i: base + i * step, pa.timestamp("us")),
        "list": values(lambda i: [i, None, i + 1], pa.list_(pa.int64())),
        "map": values(lambda i: [(f"k{i}", i / 2)], pa.map_(pa.string(), pa.float64())),
        "place": values(lambda i: {"city": f"city {i}", "at": (base + i * step).replace(tzinfo=utc)},
                        pa.struct([("city", pa.string()), ("at", pa.timestamp("us", "UTC"))])),
    })
