"""Workers of a warehouse: processes that run SQL statements for `isthmus serve`.

    python -m isthmus.engine duckdb --channel 3

The server starts a worker with a Unix stream socket as descriptor 3 and speaks frames with it
(src/warehouse/README.md). A worker runs one statement at a time, and ends when the socket does. The worker is trusted,
the SQL is not.

    channel.py     frames over the socket, with descriptors
    worker.py      the loop: hello, execute, cancel; what an engine is
    results.py     record batches into chunk files: Arrow, JSON, CSV
    dialect.py     Databricks SQL: parsed, its names found, rewritten for DuckDB
    planner.py     names looked up, views opened
    types.py       casts where DuckDB's types are not Databricks'
    functions.py   which of DuckDB's functions a statement may call
    tables.py      tables of the catalog as datasets; files.py: those that are no Delta tables
    policies.py    row filters and masks on them
    duckdb.py      the embedded engine: plans, runs, results
    commands.py    SHOW, DESCRIBE, EXPLAIN
    targets.py     tables that are written; writes.py: INSERT, CREATE, DROP; rewrites.py: DELETE, UPDATE, MERGE
    lineage.py     from which columns the columns of a written table come
    errors.py      a statement's failure, in Databricks' words
"""
