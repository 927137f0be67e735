"""databricks.sdk.runtime where databricks-sdk is not installed: `dbutils`, and `spark` made when it is first asked for."""

from isthmus.dbutils import DBUtils

dbutils = DBUtils()

__all__ = ["dbutils", "spark"]


def __getattr__(name):
    if name == "spark":
        from isthmus import run

        return run.spark_session()
    raise AttributeError(name)
