"""The section `scan` of bench.py: queries of DuckDB over a Delta table, through Isthmus' scan and through its peers.

    python bench/bench.py scan

One table of 10 million rows (the columns of the other sections) in 16 files, by time. DuckDB asks each way the same: the
dataset of isthmus.dataset, delta-rs' dataset, and its own Parquet reader on the list of files (which needs no log).
"""

import deltalake
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import isthmus
from isthmus.dataset import DeltaDataset
from turns import take_turns

ROWS, FILES = 10_000_000, 16
START = 1_760_000_000_000_000  # microseconds
QUERIES = {
    "10,000 rows by time": "SELECT count(*), sum(a), max(s) FROM {} WHERE ts >= make_timestamp(1760005000000000) "
                           "AND ts < make_timestamp(1760005010000000)",
    "one row by id": "SELECT * FROM {} WHERE id = 1234567",
    "0.1 % of the rows, anywhere": "SELECT count(*), round(sum(b), 3), max(s) FROM {} WHERE a < 0.001",
    "every row": "SELECT round(sum(a), 3), round(sum(b), 3), max(s) FROM {}",
}


def make_table(path):
    random, size = np.random.default_rng(1), ROWS // FILES
    for first in range(0, ROWS, size):
        ids = np.arange(first, first + size)
        isthmus.write_deltalake(path, pa.table({
            "id": ids, "a": random.random(size), "b": random.random(size),
            "s": pc.cast(pc.add(pa.array(random.integers(0, 2**52, size)), 10**15), pa.string()),
            "ts": pa.array(START + ids * 1000, pa.timestamp("us"))}))


def bench_scan(folder, runs):
    """DuckDB's queries over a Delta table; one selective by time."""
    path = f"{folder}/scanned"
    make_table(path)
    files = deltalake.DeltaTable(path).file_uris()
    answers, ways = {}, {}
    connection = duckdb.connect()
    sources = {
        "isthmus": lambda: DeltaDataset(path),
        "delta-rs": lambda: deltalake.DeltaTable(path).to_pyarrow_dataset(),
        "read_parquet": lambda: connection.read_parquet(files),
    }

    def way(query, source):
        def run():
            connection.register("t", sources[source]())
            answer = connection.execute(QUERIES[query].format("t")).fetchall()
            connection.unregister("t")
            assert answers.setdefault(query, answer) == answer, (query, source)
        return run

    for query in QUERIES:
        for source in sources:
            ways[f"{query}: {source}"] = way(query, source)
    seconds = take_turns(ways, runs)
    connection.close()
    return {"seconds": seconds, "ratios": [
        {"what": f"{query}: time of {peer} / time of isthmus", "of": f"{query}: {peer}", "to": f"{query}: isthmus",
         "target": "-"} for query in QUERIES for peer in ("delta-rs", "read_parquet")]}
