"""Python's own file calls on paths of volumes: open("/dbfs/..."), os.makedirs("/Volumes/..."), pandas.to_csv("/dbfs/...").

On Databricks /dbfs and /Volumes are mounted. Where they are not, install() lets the calls of builtins and os that take a
path hand those below /dbfs/ and /Volumes/ to isthmus.fs, with the catalog's grants. Other processes, and C code that opens
files by itself, do not see them.
"""

import builtins
import errno
import functools
import io
import os
import stat
import time

ROOTS = ("/dbfs", "/Volumes")


def install():
    """Extend this process's file calls, once; the roots that are there already stay as they are."""
    roots = tuple(root for root in ROOTS if not os.path.exists(root))
    if not roots or hasattr(builtins.open, "_isthmus"):
        return
    for module, calls in ((builtins, {"open": _open}), (io, {"open": _open}), (os, _OS)):
        for name, call in calls.items():
            setattr(module, name, _either(getattr(module, name), call, roots))


def _either(before, ours, roots):
    @functools.wraps(before)
    def call(path=".", *arguments, **keywords):
        text = _below(path, roots)
        return before(path, *arguments, **keywords) if text is None else ours(text, *arguments, **keywords)

    call._isthmus = True
    return call


def _below(path, roots):
    """The path as text, if it is one of a volume."""
    if not isinstance(path, (str, os.PathLike)):
        return None
    text = os.fspath(path)
    return text if isinstance(text, str) and text.startswith(roots) and _first(text) in roots else None


def _first(text):
    return "/" + text.split("/", 2)[1]


def _files():
    from isthmus import fs

    return fs.VolumeFileSystem()


def _open(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    text = {} if "b" in mode else {key: value for key, value in
                                   (("encoding", encoding), ("errors", errors), ("newline", newline)) if value is not None}
    return _files().open(path, mode, **text)


def _stat(path, *, dir_fd=None, follow_symlinks=True):
    info = _files().info(path)
    kind = stat.S_IFDIR | 0o755 if info["type"] == "directory" else stat.S_IFREG | 0o644
    at = info.get("mtime") or time.time()
    return os.stat_result((kind, 0, 0, 1, os.getuid(), os.getgid(), info["size"], int(at), int(at), int(at)))


def _mkdir(path, mode=0o777, *, dir_fd=None):
    if _files().exists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    _files().mkdir(path)


def _listdir(path="."):
    _stat(path)
    return [os.path.basename(entry["name"]) for entry in _files().ls(path)]


class _Entry:
    """os.DirEntry"""

    def __init__(self, folder, info):
        self.name = os.path.basename(info["name"])
        self.path = os.path.join(folder, self.name)
        self._info = info

    def is_dir(self, *, follow_symlinks=True):
        return self._info["type"] == "directory"

    def is_file(self, *, follow_symlinks=True):
        return not self.is_dir()

    def is_symlink(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return _stat(self.path)

    def __fspath__(self):
        return self.path


class _Scan(list):
    """What os.scandir gives: an iterator and a context."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

    def __next__(self):
        if not self:
            raise StopIteration
        return self.pop(0)


def _scandir(path="."):
    _stat(path)
    return _Scan(_Entry(path, info) for info in _files().ls(path))


def _remove(path, *, dir_fd=None):
    _files().rm_file(path)


def _rmdir(path, *, dir_fd=None):
    _files().rmdir(path)


def _rename(source, target, **_):
    _files().mv(source, os.fspath(target))


def _access(path, mode, **_):
    return _files().exists(path)


_OS = {"stat": _stat, "lstat": _stat, "mkdir": _mkdir, "listdir": _listdir, "scandir": _scandir, "remove": _remove,
       "unlink": _remove, "rmdir": _rmdir, "rename": _rename, "replace": _rename, "access": _access}
