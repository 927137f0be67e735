"""Ray -> a table by way of Parquet files, without a catalog's help: `isthmus run examples/ray_to_parquet.py`

Ray's own write_parquet and Spark's own reader; the path of a volume means the same to both.
"""

import ray

spark.sql("CREATE SCHEMA IF NOT EXISTS main.examples")
spark.sql("CREATE VOLUME IF NOT EXISTS main.examples.staging")
spark.sql("DROP TABLE IF EXISTS main.examples.squares")

tmp = "/Volumes/main/examples/staging/squares"
dbutils.fs.rm(tmp, True)

ray.data.range(1_000).map_batches(lambda batch: {"n": batch["id"], "square": batch["id"] ** 2}).write_parquet(tmp)

df = spark.read.parquet(tmp)
df.write.format("delta").mode("overwrite").saveAsTable("main.examples.squares")
spark.sql("SELECT count(*) AS rows, sum(square) AS sum FROM main.examples.squares").show()

dbutils.fs.rm(tmp, True)
