"""Ray on the machines of a live Spark: `isthmus run examples/ray_cluster.py`

Sizes that are not given come from the Spark session; the choice is printed, and a core stays with Spark.
"""

import isthmus
import ray
from pyspark.sql import SparkSession
from ray.util.spark import shutdown_ray_cluster

spark = SparkSession.builder.master("local-cluster[1,2,1024]").config("spark.driver.host", "127.0.0.1").getOrCreate()

isthmus.setup_ray_cluster(max_worker_nodes=1, num_cpus_worker_node=1, num_gpus_worker_node=0)
ray.init(logging_level="ERROR")
print("Ray's CPUs:", int(ray.cluster_resources()["CPU"]))

ds = ray.data.from_spark(spark.range(1000))
print("rows:", ds.count())

ray.shutdown()
shutdown_ray_cluster()
