"""databricks.connect where databricks-connect is not installed."""

from isthmus.connect import DatabricksSession

__all__ = ["DatabricksSession"]
