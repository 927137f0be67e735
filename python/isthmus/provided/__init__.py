"""Modules that scripts written for Databricks import and that open-source Python lacks: they are found here where, and only
where, nothing else has them.

    databricks.connect       DatabricksSession over open Spark Connect (isthmus.connect)
    databricks.sdk.runtime   dbutils and spark
    pyspark.dbutils          DBUtils (isthmus.dbutils)
    deltaray                 read_delta (isthmus.read_delta)

`isthmus run` calls install(), here and in each Ray worker. It also lets deltalake.write_deltalake take the name of a table:
delta-rs would make a folder of that name.
"""

import functools
import importlib.machinery
import importlib.util
import os
import pathlib
import sys

from isthmus._hooks import when_imported
from isthmus.provided import files

MODULES = {
    "databricks": None,  # a namespace
    "databricks.connect": "databricks_connect.py",
    "databricks.sdk": None,
    "databricks.sdk.runtime": "databricks_runtime.py",
    "pyspark.dbutils": "pyspark_dbutils.py",
    "deltaray": "deltaray.py",
}


class _Finder:
    """The last of sys.meta_path: is asked for what nobody else found."""

    def find_spec(self, name, path=None, target=None):
        if name not in MODULES:
            return None
        if MODULES[name] is None:
            return importlib.machinery.ModuleSpec(name, None, is_package=True)
        return importlib.util.spec_from_file_location(name, pathlib.Path(__file__).parent / MODULES[name])


def install():
    """Prepare this process, once: the modules, and Python's file calls (isthmus/provided/files.py)."""
    files.install()
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
        when_imported("deltalake.writer.writer", _take_names)


def _take_names(module):
    before = module.write_deltalake

    @functools.wraps(before)
    def write_deltalake(table_or_uri, data, *arguments, **keywords):
        if not is_name(table_or_uri):
            return before(table_or_uri, data, *arguments, **keywords)
        import isthmus

        isthmus.write_deltalake(table_or_uri, data, *arguments, **keywords)

    module.write_deltalake = write_deltalake


def is_name(table):
    """Is it "schema.table" or "catalog.schema.table", and not a path that exists?"""
    return (isinstance(table, str) and "/" not in table and ":" not in table and table.count(".") in (1, 2)
            and all(table.split(".")) and not os.path.exists(table))
