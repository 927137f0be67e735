"""Spark -> Ray, in memory: `isthmus run examples/spark_to_ray.py`

The rows cross through the node's shared memory; nothing is staged and nothing is configured.
"""

import ray

df = spark.range(100_000).selectExpr("id", "id % 10 AS bucket", "CAST(id AS DOUBLE) / 2 AS x")

ds = ray.data.from_spark(df, use_spark_chunk_api=True)
ds = ds.map_batches(lambda batch: {**batch, "y": batch["x"] * 2})

print(ds.count(), "rows of", ds.schema().names)
print("sum of y:", int(ds.sum("y")))
for row in sorted(ds.groupby("bucket").count().take_all(), key=lambda row: row["bucket"])[:3]:
    print(row)

# The way back, in memory too.
print("in Spark again:", ds.to_spark(spark).where("bucket = 3").count())
