"""Scripts of users, run in processes of their own: the examples and the pages of the docs."""

import os
import re

# What Ray tells about itself goes to standard output, too, in colours or under its own prefix.
_RAY_SAYS = re.compile(r"^(\x1b|\(|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\t|To (adjust|disable)|Setting default log)")


def environment(**more):
    """A small Spark and a quiet Ray."""
    return {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
            "PYSPARK_SUBMIT_ARGS": "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 "
                                   "--conf spark.driver.memory=1g --conf spark.databricks.delta.snapshotPartitions=2 "
                                   "--conf spark.ui.showConsoleProgress=false pyspark-shell", **more}


def printed(output):
    """The lines that the script printed."""
    return [line for line in output.splitlines() if not _RAY_SAYS.match(line)]
