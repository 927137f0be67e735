"""Each example runs as its first line says, and prints what examples/expected has."""

import pathlib
import subprocess
import sys

import pytest
import scripts

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NEEDS_CONNECT = ("ray_core_connect",)


@pytest.fixture(scope="module")
def settings(services, connect_port):
    return scripts.environment(SPARK_REMOTE_FOR_EXAMPLES=f"sc://127.0.0.1:{connect_port}")


@pytest.mark.parametrize("name", sorted(path.stem for path in (EXAMPLES / "expected").glob("*.txt")))
def test_example(settings, name, request):
    environment = dict(settings)
    remote = environment.pop("SPARK_REMOTE_FOR_EXAMPLES")
    if name in NEEDS_CONNECT:
        request.getfixturevalue("spark")  # its JVM serves Spark Connect
        environment["SPARK_REMOTE"] = remote
    done = subprocess.run([sys.executable, "-m", "isthmus.run", str(EXAMPLES / f"{name}.py")], env=environment,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert scripts.printed(done.stdout) == (EXAMPLES / "expected" / f"{name}.txt").read_text().splitlines()


def test_every_example_is_run():
    told = {path.stem for path in (EXAMPLES / "expected").glob("*.txt")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == told | {"bridge"}  # which is `make demo`, and checks itself
