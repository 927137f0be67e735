"""Isthmus joins Ray and Spark over Delta Lake and Unity Catalog.

    import isthmus, ray
    isthmus.start()                                    # node daemon and catalog server, if none runs
    spark = isthmus.spark.builder().getOrCreate()
    ds = ray.data.from_spark(df)                       # Spark -> Ray, in memory
    ds.write_databricks_table("main.demo.scores")      # Ray -> a governed table, one commit
    isthmus.write_deltalake("main.demo.scores", frame) # from any task, as many as you like
    isthmus.Table("main.demo.scores")

Neither Ray nor Spark is imported until it is used; Ray Data is extended when it is there (isthmus/ray.py tells how).
"""

import importlib
import importlib.abc
import importlib.util
import sys

from isthmus._native import ffi as _ffi, lib as _lib
from isthmus.catalog import Catalog
from isthmus.delta import Table, read_delta, write_deltalake
from isthmus.errors import (AlreadyExistsError, BadInputError, CancelledError, ConflictError, ForbiddenError,
                            InternalError, IsthmusError, NoMemoryError, NotFoundError, RetryableError, StorageError,
                            UnauthenticatedError, UnsupportedError)
from isthmus.openlineage import lineage
from isthmus.services import daemon_counters, start, stop
from isthmus.warehouse import read_databricks_tables, read_sql, sql

__version__ = _ffi.string(_lib.ist_version()).decode()

__all__ = ["Catalog", "Table", "read_delta", "write_deltalake", "sql", "read_sql", "read_databricks_tables", "lineage",
           "daemon_counters", "start", "stop", "spark", "ray", "catalog", "AlreadyExistsError", "BadInputError", "CancelledError", "ConflictError", "ForbiddenError",
           "InternalError", "IsthmusError", "NoMemoryError", "NotFoundError", "RetryableError", "StorageError",
           "UnauthenticatedError", "UnsupportedError"]


def __getattr__(name):
    if name in ("spark", "ray", "fs", "dataset"):
        return importlib.import_module(f"isthmus.{name}")
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


class _WhenImported(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Extends ray.data right after its own import."""

    def find_spec(self, name, path=None, target=None):
        if name != "ray.data":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        importlib.import_module("isthmus.ray")


if "ray.data" in sys.modules:
    importlib.import_module("isthmus.ray")
else:
    sys.meta_path.insert(0, _WhenImported())
