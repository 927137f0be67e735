"""Ray Core, pattern 3: a hundred tasks append to one Delta table: `isthmus run examples/ray_core_appends.py`

All hundred land, in a few versions: the node's committer merges appends that wait at the same time. A task that Ray runs
again does not double its rows.
"""

import deltaray
import pandas as pd
import ray
from deltalake import write_deltalake

spark.sql("CREATE SCHEMA IF NOT EXISTS main.examples")
for name in ("main.examples.appends", "main.default.appends"):
    spark.sql(f"DROP TABLE IF EXISTS {name}")


@ray.remote(num_cpus=0.1)
def append(i, table_name):
    pdf = pd.DataFrame({"task": [i] * 10, "value": range(10)})
    write_deltalake(table_name, pdf, mode="append")


# By catalog.schema.table, and by database.table of the default catalog.
for table_name in ("main.examples.appends", "default.appends"):
    ray.get([append.remote(i, table_name) for i in range(100)])

print("rows in Spark:", spark.table("main.examples.appends").count(), spark.table("main.default.appends").count())

ds = deltaray.read_delta("main.examples.appends")
print("tasks seen from Ray:", len(ds.unique("task")))
deltaray.read_delta("main.examples.appends", columns=["value"]).sort("value").show(2)
