"""Spark on tables in S3, which it knows by the catalog alone: FOLDER URL TOKEN SCHEMA LOCATION, where FOLDER holds
hadoop-aws. Makes two tables, one there and one whose commits the catalog ratifies, and prints their rows as JSON."""

import json
import pathlib
import sys

from pyspark.sql import SparkSession

import isthmus.spark

folder, url, token, schema, location = sys.argv[1:]
jars = ",".join(str(jar) for jar in pathlib.Path(folder).glob("*.jar"))
spark = (isthmus.spark.configure(SparkSession.Builder().config("spark.jars", jars)).master("local[2]")
         .config("spark.ui.enabled", "false").config("spark.driver.memory", "700m")
         .config("spark.sql.shuffle.partitions", "2").config("spark.databricks.delta.snapshotPartitions", "2")
         .config("spark.sql.catalog.main.uri", url).config("spark.sql.catalog.main.token", token).getOrCreate())
seen = {}
for name, more in (("plain", f"LOCATION '{location}'"),
                   ("managed", "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')")):
    spark.sql(f"CREATE TABLE {schema}.{name} (id INT, word STRING) USING delta {more}")
    spark.sql(f"INSERT INTO {schema}.{name} VALUES (1, 'a'), (2, 'b')")
    spark.sql(f"DELETE FROM {schema}.{name} WHERE id = 1")
    seen[name] = [list(row) for row in spark.table(f"{schema}.{name}").collect()]
print(json.dumps(seen))
