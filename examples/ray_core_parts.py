"""Ray Core, pattern 1: a hundred tasks write parts, one reads them: `isthmus run examples/ray_core_parts.py`

Plain pandas and plain Spark; /dbfs/... of the tasks and dbfs:/... of Spark are one place.
"""

import os

import isthmus
import pandas as pd
import ray

path_prefix = "/dbfs/tmp/ray-core-parts"
dbfs_path_prefix = "dbfs:/tmp/ray-core-parts"
dbutils.fs.rm(dbfs_path_prefix, True)
os.makedirs(path_prefix, exist_ok=True)


@ray.remote(num_cpus=0.1)
def write_example(task_id, path_prefix):
    num_rows = 100
    df = pd.DataFrame({"foo": [task_id] * num_rows, "bar": range(num_rows)})
    df.to_csv(os.path.join(path_prefix, f"result_part_{task_id}.csv"), index=False)


num_tasks = 100
ray.get([write_example.remote(i, path_prefix) for i in range(num_tasks)])

df = spark.read.csv(dbfs_path_prefix, header=True, inferSchema=True)
df.printSchema()
print("rows in Spark:", df.count())

# Or straight into a table, in one commit, part by part: memory does not grow with them.
spark.sql("CREATE SCHEMA IF NOT EXISTS main.examples")
result = isthmus.gather(path_prefix, "main.examples.parts", mode="overwrite")
print("rows gathered:", result.rows)
spark.sql("SELECT count(DISTINCT foo) AS parts, sum(bar) AS sum FROM main.examples.parts").show()
