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

from isthmus._hooks import when_imported
from isthmus._native import ffi as _ffi, lib as _lib
from isthmus.catalog import Catalog
from isthmus.delta import Table, read_delta, write_deltalake
from isthmus.errors import (AlreadyExistsError, BadInputError, CancelledError, ConflictError, ForbiddenError,
                            InternalError, IsthmusError, NoMemoryError, NotFoundError, RetryableError, StorageError,
                            UnauthenticatedError, UnsupportedError)
from isthmus.openlineage import lineage
from isthmus.services import daemon_counters, start, stop

__version__ = _ffi.string(_lib.ist_version()).decode()

_MODULES = ("spark", "ray", "fs", "connect", "dbutils", "dataset")
_CALLS = {"gather": "parts", "setup_ray_cluster": "cluster", "sql": "warehouse", "read_sql": "warehouse",
          "read_databricks_tables": "warehouse"}

__all__ = ["Catalog", "Table", "read_delta", "write_deltalake", "lineage", "daemon_counters", "start", "stop", "catalog", *_MODULES, *_CALLS, "AlreadyExistsError", "BadInputError",
           "CancelledError", "ConflictError", "ForbiddenError", "InternalError", "IsthmusError", "NoMemoryError",
           "NotFoundError", "RetryableError", "StorageError", "UnauthenticatedError", "UnsupportedError"]


def __getattr__(name):
    """What not everybody uses is imported when it is."""
    if name in _MODULES:
        return importlib.import_module(f"isthmus.{name}")
    if name in _CALLS:
        return getattr(importlib.import_module(f"isthmus.{_CALLS[name]}"), name)
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


when_imported("ray.data", lambda module: importlib.import_module("isthmus.ray"))
