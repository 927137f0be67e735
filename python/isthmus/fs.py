"""Files in volumes: an fsspec filesystem, and a pyarrow one over it.

    isthmus.fs.open("/Volumes/main/demo/raw/a.csv", "w")        # or dbfs:/Volumes/..., /dbfs/Volumes/..., dbfs:/...
    ray.data.read_parquet("/Volumes/main/demo/raw/")            # after `import isthmus`, in drivers and workers
    pandas.read_csv("dbfs:///Volumes/main/demo/raw/a.csv")      # fsspec knows "dbfs"
    pyarrow.parquet.read_table("/Volumes/...", filesystem=isthmus.fs.arrow())

Grants are the catalog's (READ VOLUME, WRITE VOLUME); include/isthmus/volume.h tells the forms of paths. A file that is
written appears whole when it is closed.
"""

import errno
import io
import json
import os
import threading

import fsspec

from isthmus import catalog, errors, native
from isthmus._native import ffi, lib
from isthmus.native import _c

_ERRNO = {errors.NotFoundError: (FileNotFoundError, errno.ENOENT),
          errors.AlreadyExistsError: (FileExistsError, errno.EEXIST),
          errors.ForbiddenError: (PermissionError, errno.EACCES)}


def is_path(path):
    """Is it a path of a volume? ("/Volumes/...", "dbfs:/...", "/dbfs/...")"""
    return bool(lib.ist_volume_is_path(_c(path)))


def open(path, mode="r", **arguments):
    """Open a file of a volume as the built-in open does a local one."""
    return VolumeFileSystem().open(path, mode, **arguments)


def arrow():
    """The pyarrow filesystem."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    return PyFileSystem(FSSpecHandler(VolumeFileSystem()))


def _call(function, path, *arguments):
    """native.call, with Python's own errors for what every user of files expects."""
    try:
        return native.call(function, *arguments)
    except errors.IsthmusError as error:
        raise _python_error(error, path) from error


def _python_error(error, path):
    for kind, (python, code) in _ERRNO.items():
        if isinstance(error, kind):
            return python(code, str(error), path)
    return error


class _Store(native.Handle):
    """The ist_store of one volume, for reading or for writing."""

    def __init__(self, path, write):
        out, within = ffi.new("ist_store **"), ffi.new("ist_buffer *")
        try:
            _call(lib.ist_volume_open, path, catalog.connect().pointer, _c(path), write, out, within)
        finally:
            lib.ist_buffer_free(within)
        self._own(out[0], lib.ist_store_free)


def _split(path):
    """(the volume's full name, the path within it)"""
    volume, within = ffi.new("ist_buffer *"), ffi.new("ist_buffer *")
    try:
        _call(lib.ist_volume_split, path, _c(path), volume, within)
        return tuple(ffi.buffer(b.data, b.size)[:].decode() if b.size else "" for b in (volume, within))
    finally:
        lib.ist_buffer_free(volume)
        lib.ist_buffer_free(within)


_stores = {}  # of this process: a store is shared by its threads
_lock = threading.Lock()


def _store(path, write):
    """(store, path within it). Stores are kept per process, catalog and volume; readers and writers need theirs alive."""
    volume, within = _split(path)
    if volume.count(".") < 2:
        raise IsADirectoryError(errno.EISDIR, "above any volume: files are in /Volumes/<catalog>/<schema>/<volume>", path)
    connection = catalog.connect()
    key = (os.getpid(), id(connection), volume, write)
    with _lock:
        if key not in _stores:
            _stores[key] = (connection, _Store(path, write))
        return _stores[key][1], within


class VolumeFileSystem(fsspec.AbstractFileSystem):
    """fsspec's filesystem of volumes: "dbfs". Paths come back as /Volumes/catalog/schema/volume/..."""

    protocol = ("dbfs", "volumes")
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        path = str(path)
        if path.startswith("volumes://"):
            path = "/Volumes/" + path[len("volumes://"):].lstrip("/")
        if not is_path(path):
            path = "/Volumes/" + path.lstrip("/") if path.strip("/") not in ("", "Volumes") else "/Volumes"
        volume, within = _split(path)
        return "/".join(["/Volumes", *(volume.split(".") if volume else []), *([within] if within else [])])

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path)
        entries = self._list(path)
        if not entries:
            info = self.info(path)
            entries = [info] if info["type"] == "file" else []
        return entries if detail else [entry["name"] for entry in entries]

    def _list(self, path):
        volume, within = _split(path)
        if volume.count(".") < 2:
            text = native.text(lib.ist_volume_list, catalog.connect().pointer, _c(path))
        else:
            try:
                text = native.text(lib.ist_store_list_json, _store(path, False)[0].pointer, _c(within))
            except errors.NotFoundError:
                return []  # beneath a file
            except errors.IsthmusError as error:
                raise _python_error(error, path) from error
        found = json.loads(text)
        return ([{"name": f"{path}/{name}", "size": 0, "type": "directory"} for name in found["folders"]]
                + [{"name": f"{path}/{item['name']}", "size": item["size"], "type": "file",
                    "mtime": item["modified_ms"] / 1000} for item in found["objects"]])

    def info(self, path, **_):
        path = self._strip_protocol(path)
        volume, within = _split(path)
        if not within:
            if volume.count(".") == 2:
                _store(path, False)  # it is there
            return {"name": path, "size": 0, "type": "directory"}
        store, within = _store(path, False)
        entry = ffi.new("ist_store_entry *")
        try:
            native.call(lib.ist_store_stat, store.pointer, _c(within), entry)
            return {"name": path, "size": entry.size, "type": "file", "mtime": entry.modified_ms / 1000}
        except errors.NotFoundError:
            parent, _, name = path.rpartition("/")
            if any(item["type"] == "directory" and item["name"] == path for item in self._list(parent)):
                return {"name": path, "size": 0, "type": "directory"}
            raise FileNotFoundError(errno.ENOENT, "there is no such file in the volume", path) from None
        except errors.IsthmusError as error:
            raise _python_error(error, path) from error

    def modified(self, path):
        import datetime

        return datetime.datetime.fromtimestamp(self.info(path)["mtime"], datetime.timezone.utc)

    def _change(self, function, path, *more):
        store, within = _store(path, True)
        _call(function, path, store.pointer, _c(within), *more)

    def mkdir(self, path, create_parents=True, **_):
        path = self._strip_protocol(path)
        if _split(path)[1]:
            self._change(lib.ist_store_make_folder, path)
        else:
            _store(path, True)  # the volume itself; that of dbfs:/ is made by who first writes there

    def makedirs(self, path, exist_ok=False):
        path = self._strip_protocol(path)
        if not exist_ok and _split(path)[1] and self.exists(path):
            raise FileExistsError(errno.EEXIST, "exists already", path)
        self.mkdir(path)

    def rmdir(self, path):
        self._change(lib.ist_store_delete_folder, self._strip_protocol(path))

    def rm_file(self, path):
        self._change(lib.ist_store_delete, self._strip_protocol(path))

    def _rm(self, path):
        self.rm_file(path)

    def rm(self, path, recursive=False, maxdepth=None):
        for item in [path] if isinstance(path, str) else path:
            item = self._strip_protocol(item)
            if self.isfile(item):
                self.rm_file(item)
            elif not recursive:
                raise IsADirectoryError(errno.EISDIR, "it is a folder; say recursive=True", item)
            else:
                for entry in self._list(item):
                    self.rm(entry["name"], recursive=True)
                if _split(item)[1]:
                    self.rmdir(item)

    def mv(self, path1, path2, **_):
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        store, within = _store(path1, True)
        other, target = _store(path2, True)
        if other is not store:
            return super().mv(path1, path2, recursive=True)
        _call(lib.ist_store_rename, path1, store.pointer, _c(within), _c(target))

    def cp_file(self, path1, path2, **_):
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            while data := source.read(8 << 20):
                target.write(data)

    def open(self, path, mode="rb", **arguments):
        if mode in ("w", "wt", "x", "xt"):
            text = {key: arguments.pop(key) for key in ("encoding", "errors", "newline") if key in arguments}
            return _TextWriter(self.open(path, mode[0] + "b", **arguments), **text)
        return super().open(path, mode, **arguments)

    def _open(self, path, mode="rb", block_size=None, **_):
        path = self._strip_protocol(path)
        if mode == "rb":
            return io.BufferedReader(_Reader(path), 1 << 20)
        if mode in ("wb", "xb"):
            if mode == "xb" and self.exists(path):
                raise FileExistsError(errno.EEXIST, "exists already", path)
            return _Writer(path)
        raise errors.UnsupportedError(f"{path}: mode {mode!r}; a file of a volume is read, or written anew")


class _Reader(io.RawIOBase):
    def __init__(self, path):
        store, within = _store(path, False)
        self._store = store
        out = ffi.new("ist_store_reader **")
        _call(lib.ist_store_reader_open, path, store.pointer, _c(within), out)
        self._reader = ffi.gc(out[0], lib.ist_store_reader_free)
        self._path = path
        self.size = lib.ist_store_reader_size(self._reader)
        self._at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._at

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence])
        return self._at

    def readinto(self, buffer):
        count = min(len(buffer), max(0, self.size - self._at))
        if count:
            _call(lib.ist_store_reader_read, self._path, self._reader, self._at, ffi.from_buffer(buffer), count)
            self._at += count
        return count

    def close(self):
        if not self.closed:
            ffi.release(self._reader)
        super().close()


class _Writer(io.RawIOBase):
    """Nothing is there before close; leaving a `with` block by an exception leaves nothing."""

    def __init__(self, path):
        store, within = _store(path, True)
        self._store = store
        out = ffi.new("ist_store_writer **")
        _call(lib.ist_store_writer_open, path, store.pointer, _c(within), out)
        self._writer = ffi.gc(out[0], lib.ist_store_writer_free)
        self._path = path
        self._at = 0

    def writable(self):
        return True

    def tell(self):
        return self._at

    def write(self, data):
        data = memoryview(data).cast("B")
        if len(data):
            _call(lib.ist_store_writer_write, self._path, self._writer, ffi.from_buffer(data), len(data))
            self._at += len(data)
        return len(data)

    def discard(self):
        if not self.closed:
            ffi.release(self._writer)
            super().close()

    def close(self):
        if self.closed:
            return
        try:
            _call(lib.ist_store_writer_close, self._path, self._writer)
        finally:
            ffi.release(self._writer)
            super().close()

    def __exit__(self, kind, *exc):
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self):  # forgotten without close: IOBase would publish half a file
        self.discard()


class _TextWriter(io.TextIOWrapper):
    def __exit__(self, kind, *exc):
        if kind is None:
            self.close()
        else:
            self.detach().discard()


fsspec.register_implementation("dbfs", VolumeFileSystem, clobber=True)
fsspec.register_implementation("volumes", VolumeFileSystem, clobber=True)


def extend_ray():
    """Let Ray Data find the filesystem of volume paths by itself. All of its readers and writers ask this one function."""
    from ray.data.datasource import path_util

    if hasattr(path_util._resolve_single_path_with_fallback, "_isthmus"):
        return
    before = path_util._resolve_single_path_with_fallback

    def resolve(path, filesystem=None):
        if filesystem is None and is_path(path):
            return arrow(), VolumeFileSystem._strip_protocol(path)
        return before(path, filesystem)

    resolve._isthmus = True
    path_util._resolve_single_path_with_fallback = resolve
