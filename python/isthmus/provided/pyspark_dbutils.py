"""pyspark.dbutils, which open-source PySpark has not."""

from isthmus.dbutils import DBUtils

__all__ = ["DBUtils"]
