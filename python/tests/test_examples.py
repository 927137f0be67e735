"""Each example runs as its first line says, and prints what examples/expected has."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NEEDS_CONNECT = ("ray_core_connect",)
# What Ray tells about itself goes to standard output, too, in colours or under its own prefix.
RAY_SAYS = re.compile(r"^(\x1b|\(|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\t|To (adjust|disable)|Setting default log)")


@pytest.fixture(scope="module")
def settings(services, connect_port):
    return {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
            "PYSPARK_SUBMIT_ARGS": "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 "
                                   "--conf spark.driver.memory=1g --conf spark.databricks.delta.snapshotPartitions=2 "
                                   "--conf spark.ui.showConsoleProgress=false pyspark-shell",
            "SPARK_REMOTE_FOR_EXAMPLES": f"sc://127.0.0.1:{connect_port}"}


@pytest.mark.parametrize("name", sorted(path.stem for path in (EXAMPLES / "expected").glob("*.txt")))
def test_example(settings, name, request):
    environment = dict(settings)
    remote = environment.pop("SPARK_REMOTE_FOR_EXAMPLES")
    if name in NEEDS_CONNECT:
        request.getfixturevalue("spark")  # its JVM serves Spark Connect
        environment["SPARK_REMOTE"] = remote
    done = subprocess.run([sys.executable, "-m", "isthmus.run", str(EXAMPLES / f"{name}.py")], env=environment,
                          capture_output=True, text=True, timeout=300)
    printed = [line for line in done.stdout.splitlines() if not RAY_SAYS.match(line)]
    assert done.returncode == 0, done.stderr[-3000:]
    assert printed == (EXAMPLES / "expected" / f"{name}.txt").read_text().splitlines()


def test_every_example_is_run():
    told = {path.stem for path in (EXAMPLES / "expected").glob("*.txt")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == told | {"bridge"}  # which is `make demo`, and checks itself
