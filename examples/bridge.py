"""The main job, end to end: Spark -> Ray -> one Delta table -> Spark, delta-rs and DuckDB, with names and lineage.

    make demo                                      # everything set up, two million rows
    isthmus run examples/bridge.py --rows 200000   # smaller

Needs nothing but this machine: `isthmus run` starts the node daemon and the catalog server if none is running.
"""

import argparse
import contextlib
import logging
import time
import warnings

import isthmus


class Report:
    """Progress while the job runs, one table when it is done."""

    COLUMNS = ("step", "rows", "bytes", "seconds", "engine", "version")

    def __init__(self):
        self.rows = []
        self.start = time.monotonic()

    @contextlib.contextmanager
    def step(self, name, engine):
        number = len(self.rows) + 1
        print(f"[{time.monotonic() - self.start:5.1f} s] {number}. {name} ...", flush=True)
        row = {"step": f"{number}. {name}", "engine": engine, "rows": "", "bytes": "", "version": ""}
        start = time.monotonic()
        yield row
        row["seconds"] = f"{time.monotonic() - start:.1f}"
        self.rows.append(row)

    def show(self):
        def text(value):
            return f"{value:,}" if isinstance(value, int) else str(value)

        cells = [[text(row[c]) for c in self.COLUMNS] for row in self.rows]
        widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(self.COLUMNS)]
        right = {1, 2, 3, 5}
        for row in [list(self.COLUMNS), ["-" * w for w in widths], *cells]:
            print("  ".join(v.rjust(w) if i in right else v.ljust(w) for i, (v, w) in enumerate(zip(row, widths))))


def expect(what, got, want):
    if got != want:
        raise SystemExit(f"bridge.py: {what}: got {got}, expected {want}")


def make_events(spark, rows):
    """A table with what real tables have: strings, timestamps, decimals, nulls, an array, a struct, partitions."""
    return spark.range(rows).selectExpr(
        "id",
        "id % 50000 AS user_id",
        "concat('user-', lpad(cast(id % 50000 AS string), 8, '0')) AS user",
        "timestamp_micros(1760000000000000 + id * 1000003) AS at",
        "cast((id % 100000) / 100.0 AS decimal(12, 2)) AS amount",
        "CASE WHEN id % 10 = 0 THEN NULL ELSE sin(id) END AS signal",
        "array(id % 7, id % 11, id % 13) AS tags",
        "named_struct('city', concat('city-', id % 40), 'zip', cast(10000 + id % 90000 AS int)) AS place",
        "concat('r', id % 8) AS region",
    )


def score(batch):
    """What stands for a model: vectorised, on whole batches."""
    import numpy as np

    signal = np.nan_to_num(np.asarray(batch["mean_signal"], dtype="float64"))
    batch["score"] = 1.0 / (1.0 + np.exp(-4.0 * signal))
    batch["model"] = np.full(len(signal), "logistic-1")
    return batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the source table (default 2,000,000)")
    parser.add_argument("--tasks", type=int, default=100, help="concurrent appends at the end (default 100)")
    args = parser.parse_args()

    warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
    import ray

    report = Report()
    with report.step("start Spark, Ray and the node daemon", "all") as row:
        isthmus.start()
        spark = (
            isthmus.spark.builder()
            .master("local[2]")
            .appName("bridge")
            .config("spark.ui.enabled", "false")
            .config("spark.log.level", "ERROR")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.databricks.delta.snapshotPartitions", "2")
            .config("spark.sql.shuffle.partitions", "4")
            .config("spark.driver.memory", "3g")
            .getOrCreate()
        )
        ray.init(num_cpus=2, object_store_memory=2 << 30, include_dashboard=False, logging_level="ERROR",
                 log_to_driver=False, _system_config={"worker_maximum_startup_concurrency": 20})
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        before = isthmus.daemon_counters()

    with report.step("write main.demo.events, 8 partitions", "Spark") as row:
        spark.sql("CREATE SCHEMA IF NOT EXISTS main.demo")
        for name in ("events", "scores"):
            spark.sql(f"DROP TABLE IF EXISTS main.demo.{name}")
        make_events(spark, args.rows).write.format("delta").partitionBy("region").saveAsTable("main.demo.events")
        spark.sql("CREATE TABLE main.demo.scores (user STRING, region STRING, score DOUBLE) USING delta")
        events = isthmus.Table("main.demo.events").snapshot()
        row.update(rows=events.rows, bytes=events.size_bytes, version=events.version)
        expect("rows of main.demo.events", events.rows, args.rows)

    with report.step("from_spark: a join and an aggregate, in memory", "Spark -> Ray") as row:
        users = spark.range(50000).selectExpr("id AS user_id", "concat('segment-', id % 5) AS segment")
        per_user = spark.table("main.demo.events").join(users, "user_id").groupBy("user", "region", "segment").agg(
            {"amount": "sum", "signal": "avg", "*": "count", "at": "max"}
        ).withColumnsRenamed({"sum(amount)": "total", "avg(signal)": "mean_signal", "count(1)": "events",
                              "max(at)": "last_at"})
        ds = ray.data.from_spark(per_user, use_spark_chunk_api=True)
        after = isthmus.daemon_counters()
        row.update(rows=ds.count(), bytes=after["bytes_sealed"] - before["bytes_sealed"])
        # The proof that it went through memory: every byte was sealed in the daemon's shared memory, none on a disk.
        expect("chunks spilled", after["spill_writes"] - before["spill_writes"], 0)
        expect("bytes spilled", after["spilled_bytes"] - before["spilled_bytes"], 0)
        if row["bytes"] <= 0:
            raise SystemExit("bridge.py: the daemon sealed no bytes: the data went some other way")

    with report.step("map_batches(score) and write_databricks_table", "Ray") as row:
        scored = ds.map_batches(score, batch_format="numpy")
        scored.write_databricks_table("main.demo.scores", mode="append", mergeSchema=True)
        scores = isthmus.Table("main.demo.scores").snapshot()
        row.update(rows=scores.rows, bytes=scores.size_bytes, version=scores.version)

    with report.step("read by name; compare counts and sums", "Spark") as row:
        got = spark.sql("SELECT count(*) n, sum(total) total, sum(events) events FROM main.demo.scores").first()
        want = spark.sql("SELECT count(DISTINCT user, region) n, sum(amount) total, count(*) events "
                         "FROM main.demo.events").first()
        expect("rows in Spark", got.n, want.n)
        expect("sum(total) in Spark", got.total, want.total)
        expect("sum(events) in Spark", got.events, want.events)
        row.update(rows=got.n, version=scores.version)

    with report.step("the same rows in delta-rs and DuckDB", "delta-rs, DuckDB") as row:
        import deltalake
        import duckdb

        table = deltalake.DeltaTable(scores.uri)
        arrow = table.to_pyarrow_table()
        expect("version in delta-rs", table.version(), scores.version)
        expect("rows in delta-rs", arrow.num_rows, got.n)
        duck_rows, duck_total = duckdb.sql("SELECT count(*), sum(total) FROM read_parquet(?)",
                                           params=[table.file_uris()]).fetchall()[0]
        expect("rows in DuckDB", duck_rows, got.n)
        expect("sum(total) in DuckDB", duck_total, got.total)
        row.update(rows=duck_rows, version=table.version())

    with report.step(f"{args.tasks} Ray tasks append concurrently", "Ray, group commit") as row:
        @ray.remote(num_cpus=0.1)
        def append(i):
            import pandas as pd

            frame = pd.DataFrame({"user": [f"task-{i}-{k}" for k in range(100)], "region": ["r0"] * 100,
                                  "score": [float(k) for k in range(100)]})
            isthmus.write_deltalake("main.demo.scores", frame, mode="append")
            return len(frame)

        appended = sum(ray.get([append.remote(i) for i in range(args.tasks)]))
        last = isthmus.Table("main.demo.scores").snapshot()
        expect("rows after the appends", last.rows, got.n + appended)
        expect("rows in Spark after the appends", spark.table("main.demo.scores").count(), got.n + appended)
        row.update(rows=appended, bytes=last.size_bytes - scores.size_bytes, version=last.version)

    print()
    report.show()
    versions = last.version - scores.version
    print(f"\n{args.tasks} of {args.tasks} appends landed, in {versions} version{'s' if versions != 1 else ''}.")
    print("\nLineage:")
    print(isthmus.lineage("main.demo.scores"))
    del ds, scored
    ray.shutdown()
    spark.stop()


if __name__ == "__main__":
    main()
