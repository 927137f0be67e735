"""A Ray outside of everything reads by SQL: `isthmus run examples/external_ray.py`

Ray's own read_databricks_tables needs an address, a token and a warehouse; here they are those of `isthmus serve`. The
faster client takes the same arguments.
"""

import os

import isthmus
import ray

isthmus.write_deltalake("main.default.rides", {"city": ["Lyon", "Pune", "Lyon"], "km": [3.5, 12.0, 7.25]}, mode="overwrite")

context = dbutils.notebook.entry_point.getDbutils().notebook().getContext()
os.environ["DATABRICKS_HOST"] = context.apiUrl().get()
os.environ["DATABRICKS_TOKEN"] = context.apiToken().get()

query = "SELECT city, sum(km) AS km FROM rides GROUP BY city ORDER BY city"
ds = ray.data.read_databricks_tables(warehouse_id="embedded", catalog="main", schema="default", query=query)
print("Ray's client:", sorted(ds.take_all(), key=lambda row: row["city"]))

ds = isthmus.read_databricks_tables(warehouse_id="embedded", catalog="main", schema="default", query=query)
print("Isthmus' client:", sorted(ds.take_all(), key=lambda row: row["city"]))
