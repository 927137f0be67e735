"""The node daemon and the catalog server of this machine: find them, start them, stop them."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from isthmus import catalog, errors, native

START_SECONDS = 20
STOP_SECONDS = 20


def binary():
    """The isthmus command: the one in this package, else the one on PATH."""
    inside = pathlib.Path(__file__).parent / "bin" / "isthmus"
    found = str(inside) if inside.exists() else shutil.which("isthmus")
    if not found:
        raise errors.NotFoundError("the isthmus command is neither in the package nor on PATH; install the package again")
    return found


def daemon_counters():
    """The node daemon's counters (memory_used, bytes_sealed, spill_writes, commits...) as a dict."""
    return native.client().counters()


def server_info():
    """What a running `isthmus serve` left for clients of this machine: {"url", "token", "pid"}; None without one."""
    try:
        info = json.loads(pathlib.Path(native.home(), "server.json").read_text())
    except FileNotFoundError:
        return None
    return info if _alive(info.get("pid")) else None


def start():
    """Make sure that a node daemon and a catalog server run for this user, under $ISTHMUS_HOME.

    Those that run already are used. Those started here go on when this process ends, until stop(). Their logs are
    $ISTHMUS_HOME/daemon.log and server.log. A catalog named by $ISTHMUS_CATALOG, $DATABRICKS_HOST or
    $DATABRICKS_CONFIG_PROFILE is used instead of starting one.
    """
    _ensure("daemon", _daemon_runs)
    if not any(map(os.environ.get, ("ISTHMUS_CATALOG", "DATABRICKS_HOST", "DATABRICKS_CONFIG_PROFILE"))):
        _ensure("serve", lambda: server_info() is not None)
        catalog.forget()


def stop():
    """Stop the node daemon and the catalog server that run for this user, under $ISTHMUS_HOME."""
    pids = [daemon_counters()["pid"]] if _daemon_runs() else []
    if server_info():
        pids.append(server_info()["pid"])
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for pid in pids:
        while _alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.02)
    native.forget_client()
    catalog.forget()


def _daemon_runs():
    try:
        daemon_counters()
        return True
    except (errors.NotFoundError, errors.RetryableError, errors.StorageError):
        native.forget_client()
        return False


def _ensure(command, runs):
    if runs():
        return
    home = pathlib.Path(native.home())
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = home / {"daemon": "daemon.log", "serve": "server.log"}[command]
    with open(log, "ab") as out:
        process = subprocess.Popen([binary(), command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while not runs():
        # Another process may have started one at the same moment; then ours ends at once and theirs answers.
        if time.monotonic() > deadline or (process.poll() not in (None, 0) and not _wait(runs)):
            tail = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise errors.StorageError(f"`isthmus {command}` did not start: {' '.join(tail) or 'see its log'}", str(log))
        time.sleep(0.02)


def _wait(runs):
    for _ in range(50):
        if runs():
            return True
        time.sleep(0.02)
    return False


def _alive(pid):
    """Does a process run under this id? One that ended, and that whoever started it did not wait for yet, does not."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, TypeError):
        pass
    try:
        os.kill(pid, 0)
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except PermissionError:
        return True
    except (ProcessLookupError, FileNotFoundError, TypeError):
        return False
