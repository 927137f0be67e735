"""Spark -> Ray on a cluster that grows and shrinks: `isthmus run examples/ray_cluster_autoscaling.py`

Ray starts without a worker, gets one when there are rows to read, and gives it back. The rows are in the node's shared
memory, not in a worker's, so the next worker reads them again, and Spark need not compute them again.
"""

import time

import isthmus
import ray
from pyspark.sql import SparkSession
from ray.util.spark import shutdown_ray_cluster

spark = SparkSession.builder.master("local-cluster[1,2,1024]").config("spark.driver.host", "127.0.0.1").getOrCreate()

isthmus.setup_ray_cluster(min_worker_nodes=0, max_worker_nodes=1, num_cpus_worker_node=1, num_gpus_worker_node=0,
                          autoscale_idle_timeout_minutes=0.03)
ray.init(logging_level="ERROR")


def workers():
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


print("workers:", workers())
ds = ray.data.from_spark(spark.range(100_000))
print("sum:", ds.sum("id"), "workers:", workers())
while workers():
    time.sleep(0.5)
print("workers:", workers())
print("rows:", ds.map_batches(lambda batch: batch).count(), "workers:", workers())

ray.shutdown()
shutdown_ray_cluster()
