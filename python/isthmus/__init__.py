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
from isthmus.errors import (AlreadyExistsError, BadInputError, CancelledError, ConflictError, ForbiddenError,
                            InternalError, IsthmusError, NoMemoryError, NotFoundError, RetryableError, StorageError,
                            UnauthenticatedError, UnsupportedError)

__version__ = _ffi.string(_lib.ist_version()).decode()

_CALLS = {  # by the module that has them
    "advice": ("explain",),
    "catalog": ("Catalog",),
    "cluster": ("setup_ray_cluster",),
    "delta": ("Table", "read_delta", "write_deltalake"),
    "openlineage": ("lineage",),
    "parts": ("gather",),
    "services": ("daemon_counters", "start", "stop"),
    "warehouse": ("sql", "read_sql", "read_databricks_tables"),
}
_MODULES = ("catalog", "connect", "dataset", "dbutils", "fs", "ray", "spark")

__all__ = ["AlreadyExistsError", "BadInputError", "CancelledError", "ConflictError", "ForbiddenError", "InternalError",
           "IsthmusError", "NoMemoryError", "NotFoundError", "RetryableError", "StorageError", "UnauthenticatedError",
           "UnsupportedError", *_MODULES, *(call for calls in _CALLS.values() for call in calls)]


def __getattr__(name):
    """Calls and modules are imported when they are used: Ray starts many processes, and pyarrow alone takes longer to
    import than all of this."""
    if name in _MODULES:
        return importlib.import_module(f"isthmus.{name}")
    for module, calls in _CALLS.items():
        if name in calls:
            return globals().setdefault(name, getattr(importlib.import_module(f"isthmus.{module}"), name))
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


when_imported("ray.data", lambda module: importlib.import_module("isthmus.ray"))
