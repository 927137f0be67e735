"""Read a table of catalog main by name, append a row, print all rows as JSON: FOLDER URL TOKEN SCHEMA.TABLE, where FOLDER
holds a DuckDB with its extensions."""

import json
import pathlib
import sys

import duckdb

folder, url, token, table = sys.argv[1:]
connection = duckdb.connect()
for extension in ("httpfs", "delta", "unity_catalog"):
    [file] = pathlib.Path(folder).glob(f"duckdb_extension_{extension}/extensions/*/*.duckdb_extension")
    connection.execute(f"LOAD '{file}'")
connection.execute(f"CREATE SECRET (TYPE unity_catalog, TOKEN '{token}', ENDPOINT '{url}', AWS_REGION 'us-east-1')")
connection.execute("ATTACH 'main' AS governed (TYPE unity_catalog)")
assert len(connection.execute(f"SELECT * FROM governed.{table}").fetchall()) == 3
connection.execute(f"INSERT INTO governed.{table} VALUES (4, 'd')")
print(json.dumps(connection.execute(f"SELECT * FROM governed.{table} ORDER BY id").fetchall()))
