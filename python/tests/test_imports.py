"""`import isthmus` extends Ray Data whatever is imported first, and imports neither Ray nor Spark by itself."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", [
    "import isthmus; import ray.data", "import ray.data; import isthmus", "import isthmus; isthmus.ray",
    "import isthmus.ray", "import ray; import isthmus; ray.data",
    "import isthmus; from isthmus import errors; isthmus.ray; import importlib, ray.data; importlib.import_module('ray.data')",
])
def test_every_order(first):
    code = f"{first}\nimport ray.data\nprint(ray.data.Dataset.write_databricks_table.__module__, ray.data._internal and 1, " \
           "ray.data.from_spark.__module__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert out.stdout.split() == ["isthmus.ray", "1", "isthmus.ray"], out.stderr


def test_nothing_heavy_is_imported():
    code = "import sys, isthmus; print([m for m in ('ray', 'pyspark', 'pandas', 'pyarrow', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
