"""The node daemon and the catalog server of this machine: find them, start them, stop what was started here."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from isthmus import catalog, errors, native

START_SECONDS = 20


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


def catalog_endpoint():
    """(uri, token) of the configured catalog; (None, None) without one."""
    if os.environ.get("ISTHMUS_CATALOG"):
        return os.environ["ISTHMUS_CATALOG"], os.environ.get("ISTHMUS_TOKEN")
    info = server_info()
    return (info["url"], os.environ.get("ISTHMUS_TOKEN") or info.get("token")) if info else (None, None)


def start():
    """Make sure that a node daemon and a catalog server run for this user, under $ISTHMUS_HOME.

    Those that run already are used. Those started here go on when this process ends; stop() ends them. Logs are in
    $ISTHMUS_HOME/daemon.log and server.log. A catalog named by $ISTHMUS_CATALOG is used instead of starting one.
    """
    _ensure("daemon", _daemon_runs)
    if not os.environ.get("ISTHMUS_CATALOG"):
        _ensure("serve", lambda: server_info() is not None)
        catalog.forget()


def stop():
    """Stop the node daemon and the catalog server that start() started (in whatever process)."""
    for name in ("daemon", "serve"):
        path = _pid_file(name)
        try:
            pid = int(path.read_text())
            os.kill(pid, signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            path.unlink(missing_ok=True)
            continue
        deadline = time.monotonic() + START_SECONDS
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)
        path.unlink(missing_ok=True)
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
    if process.poll() is None:
        _pid_file(command).write_text(str(process.pid))


def _wait(runs):
    for _ in range(50):
        if runs():
            return True
        time.sleep(0.02)
    return False


def _pid_file(command):
    return pathlib.Path(native.home(), f"{command}.pid")


def _alive(pid):
    """Does a process run under this id? One that ended but was not yet waited for does not."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, TypeError):
        pass
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, TypeError):
        return False
    return True
