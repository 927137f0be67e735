"""Ray -> a Unity Catalog table in one commit: `isthmus run examples/ray_to_table.py`

Ray's workers write the table's files themselves, with credentials that the catalog gives for this table alone.
"""

import ray

spark.sql("CREATE SCHEMA IF NOT EXISTS main.examples")
spark.sql("DROP TABLE IF EXISTS main.examples.scores")

ds = ray.data.range(10_000).map_batches(lambda batch: {"id": batch["id"], "score": batch["id"] % 7})
ds.write_databricks_table("main.examples.scores", mode="overwrite")
print("written:", spark.table("main.examples.scores").count())

# A later run has one more column: mergeSchema adds it to the table.
more = ray.data.range(5).map_batches(lambda b: {"id": b["id"] + 10_000, "score": b["id"], "model": ["v2"] * len(b["id"])})
more.write_databricks_table("main.examples.scores", mode="append", mergeSchema=True)

spark.sql("SELECT model, count(*) AS rows, max(score) AS best FROM main.examples.scores GROUP BY model ORDER BY model").show()
print("versions:", spark.sql("DESCRIBE HISTORY main.examples.scores").count())
