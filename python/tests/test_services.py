"""The processes that isthmus.start() and isthmus.stop() look after."""

import pathlib
import subprocess

import pytest
from isthmus import services


@pytest.fixture
def parent():
    """A process with a child that has ended, for which it does not wait: `sleep` took the place of its shell."""
    process = subprocess.Popen(["sh", "-c", "true & echo $!; exec sleep 1000"], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()
    assert not services._alive(process.pid)


def test_what_ended_and_was_not_waited_for_is_not_alive(parent):
    child = int(parent.stdout.readline())
    stat = pathlib.Path(f"/proc/{child}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    assert not services._alive(child)
    assert services._alive(parent.pid)
    assert not services._alive(None)
