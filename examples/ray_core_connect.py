"""Ray Core, pattern 2: actors that each open a Spark Connect session: `isthmus run examples/ray_core_connect.py`

Eight actors write and read tables through one Spark at the same time. With databricks-connect installed, the same lines
use that; SPARK_REMOTE, or host=, token= and cluster_id=, name another Spark.
"""

import os

import ray
from databricks.connect import DatabricksSession

address = os.environ.get("SPARK_REMOTE") or "sc://127.0.0.1:15002"


@ray.remote(num_cpus=0.1)
class Worker:
    def __init__(self, address, number):
        self.spark = DatabricksSession.builder.remote(address).getOrCreate()
        self.table = f"main.examples.actor_{number}"

    def write(self, rows):
        df = self.spark.sql(f"SELECT id, id * id AS square FROM range({rows})")
        df.write.format("delta").mode("overwrite").saveAsTable(self.table)
        return self.spark.table(self.table).count()


spark = DatabricksSession.builder.remote(address).getOrCreate()
spark.sql("CREATE SCHEMA IF NOT EXISTS main.examples")

actors = [Worker.remote(address, number) for number in range(8)]
print("rows by actor:", ray.get([actor.write.remote(100 * (i + 1)) for i, actor in enumerate(actors)]))
union = " UNION ALL ".join(f"SELECT * FROM main.examples.actor_{number}" for number in range(8))
spark.sql(f"SELECT count(*) AS rows, max(square) AS largest FROM ({union})").show()
