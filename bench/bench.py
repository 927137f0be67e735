"""Side-by-side figures on this machine: each way beside its peer, in one run, on the same data.

    make bench                       # all, writes bench/results.json and docs/bench.png
    python bench/bench.py appends    # one of: from_spark, to_table, appends, scan, catalog, warehouse
    python bench/bench.py --runs 5   # more repeats (default 3; the median of the repeats' ratios is reported)

The data of all but `catalog` and `warehouse` is 10 million rows: long, two doubles, 16-character string, timestamp (524 MB
as Arrow). Ways of one section take turns within every repeat, so that a slow moment of the machine meets them all.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import tempfile
import time

import catalog
import scan
import warehouse
from engines import make_spark, start_ray
from turns import take_turns

HERE = pathlib.Path(__file__).resolve().parent
ROWS = 10_000_000


def bench_from_spark(folder, runs):
    """A computed DataFrame (scan, join, expressions) into Ray; beside Spark alone and beside staging Parquet files."""
    spark, ray = make_spark(), start_ray()
    base = f"{folder}/base"
    spark.range(ROWS).selectExpr("id", "rand(1) AS a", "rand(2) AS b", "substr(md5(cast(id AS string)), 1, 16) AS s",
                                 "timestamp_micros(1760000000000000 + id * 1000) AS ts").write.format("delta").save(base)
    side = spark.range(1000).selectExpr("id AS k", "rand(3) AS w")
    df = (spark.read.format("delta").load(base).selectExpr("*", "id % 1000 AS k").join(side, "k")
          .selectExpr("id", "a * w AS a", "b + w AS b", "s", "ts"))
    staged = f"{folder}/staged"

    def noop():
        df.write.format("noop").mode("overwrite").save()

    def isthmus_way():
        ds = ray.data.from_spark(df).materialize()
        assert ds.count() == ROWS
        del ds

    def parquet_way():
        df.write.mode("overwrite").parquet(staged)
        ds = ray.data.read_parquet(staged).materialize()
        assert ds.count() == ROWS
        del ds

    seconds = take_turns({"Spark to a noop sink": noop, "ray.data.from_spark": isthmus_way,
                          "df.write.parquet + read_parquet": parquet_way}, runs)
    ray.shutdown()
    spark.stop()
    return {"seconds": seconds, "ratios": [
        {"what": "from_spark takes, of the noop sink's time", "of": "ray.data.from_spark", "to": "Spark to a noop sink",
         "target": "at most 2", "at_most": 2.0},
        {"what": "from_spark is faster than staging Parquet by", "of": "df.write.parquet + read_parquet",
         "to": "ray.data.from_spark", "target": "at least 3", "at_least": 3.0}]}


def make_blocks(ray):
    """10 million rows in Ray's object store, as a job would have them."""
    def block(batch):
        import numpy as np
        import pyarrow as pa

        ids = batch["id"]
        rng = np.random.default_rng(int(ids[0]))
        text = pa.array(np.char.mod("%016x", rng.integers(0, 1 << 62, len(ids))))
        return pa.table({"id": ids, "a": rng.random(len(ids)), "b": rng.random(len(ids)), "s": text,
                         "ts": pa.array(1760000000000000 + ids * 1000).cast(pa.timestamp("us", tz="UTC"))})

    return ray.data.range(ROWS, override_num_blocks=200).map_batches(block, batch_size=None).materialize()


def bench_to_table(folder, runs):
    """A materialized Dataset into a Delta table; beside Ray's own sink and beside staging for Spark."""
    spark, ray = make_spark(), start_ray()
    ds = make_blocks(ray)
    count = iter(range(10**6))
    spark.sql("CREATE SCHEMA IF NOT EXISTS main.bench")
    names = []

    def isthmus_way():
        names.append(f"main.bench.t{next(count)}")
        ds.write_databricks_table(names[-1], mode="append")

    def ray_way():
        path = f"{folder}/ray{next(count)}"
        ds.write_delta(path)
        shutil.rmtree(path)

    def staging_way():
        name, path = f"main.bench.s{next(count)}", f"{folder}/staged{next(count)}"
        ds.write_parquet(path)
        spark.read.parquet(path).write.format("delta").saveAsTable(name)
        spark.sql(f"DROP TABLE {name}")
        shutil.rmtree(path)

    spark.range(1000).write.format("delta").saveAsTable("main.bench.warm")
    seconds = take_turns({"write_databricks_table": isthmus_way, "Dataset.write_delta": ray_way,
                          "write_parquet + saveAsTable": staging_way}, runs)
    import isthmus

    snapshot = isthmus.Table(names[-1]).snapshot()
    assert snapshot.rows == ROWS, snapshot.rows
    facts = {"files": snapshot.file_count, "bytes": snapshot.size_bytes}
    ray.shutdown()
    spark.stop()
    return {"seconds": seconds, "facts": facts, "ratios": [
        {"what": "write_databricks_table is faster than Dataset.write_delta by", "of": "Dataset.write_delta",
         "to": "write_databricks_table", "target": "at least 2", "at_least": 2.0},
        {"what": "write_databricks_table is faster than staging for Spark by", "of": "write_parquet + saveAsTable",
         "to": "write_databricks_table", "target": "at least 5", "at_least": 5.0}]}


def bench_appends(folder, runs, tasks=100):
    """100 Ray tasks that each append 100 rows to one table, 20 at a time and 100 at a time; beside delta-rs."""
    import deltalake
    import pandas as pd

    ray = start_ray()
    frame = pd.DataFrame({"id": range(100), "v": [float(i) for i in range(100)]})
    count = iter(range(10**6))
    landed = {}

    @ray.remote(num_cpus=0.02)
    class Gate:
        """Opens when every worker process has come to it with both libraries imported."""

        def __init__(self):
            self.waiting = 0

        def arrive(self):
            self.waiting += 1

        def open(self):
            return self.waiting >= tasks

    @ray.remote(num_cpus=0.019)
    def come(gate):
        import deltalake  # noqa: F401
        import isthmus  # noqa: F401

        ray.get(gate.arrive.remote())
        while not ray.get(gate.open.remote()):
            time.sleep(0.5)

    gate = Gate.remote()
    ray.get([come.remote(gate) for _ in range(tasks)])
    ray.kill(gate)

    def way(name, module, cpus):
        @ray.remote(num_cpus=cpus, max_retries=0)
        def append(path):
            try:
                if module == "isthmus":
                    import isthmus

                    isthmus.write_deltalake(path, frame, mode="append")
                else:
                    from deltalake import write_deltalake

                    write_deltalake(path, frame, mode="append")
                return True
            except Exception:
                return False

        def run():
            path = f"{folder}/{module}{next(count)}"
            deltalake.write_deltalake(path, frame)
            ok = sum(ray.get([append.remote(path) for _ in range(tasks)]))
            rows = deltalake.DeltaTable(path).to_pyarrow_table().num_rows
            assert rows == 100 * (ok + 1), (rows, ok)
            landed.setdefault(name, []).append(ok)

        return name, run

    seconds = take_turns(dict([way("isthmus.write_deltalake, 20 at a time", "isthmus", 0.1),
                               way("deltalake.write_deltalake, 20 at a time", "deltalake", 0.1),
                               way("isthmus.write_deltalake, 100 at a time", "isthmus", 0.02),
                               way("deltalake.write_deltalake, 100 at a time", "deltalake", 0.02)]), runs)
    ray.shutdown()
    return {"seconds": seconds, "landed of 100, each run": landed, "ratios": [
        {"what": f"100 appends, {n} at a time, are faster than delta-rs by",
         "of": f"deltalake.write_deltalake, {n} at a time", "to": f"isthmus.write_deltalake, {n} at a time",
         "target": "at least 5", "at_least": 5.0} for n in (20, 100)]}


SECTIONS = {"from_spark": bench_from_spark, "to_table": bench_to_table, "appends": bench_appends,
            "scan": scan.bench_scan, "catalog": catalog.bench_catalog,
            "warehouse": warehouse.bench_warehouse}
PLOTTED = ("from_spark", "to_table", "appends")


def plot(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sections = [s for s in PLOTTED if s in results]
    figure, axes = plt.subplots(len(sections), 1, figsize=(8, 1.9 * len(sections)), squeeze=False)
    for axis, section in zip(axes[:, 0], sections):
        seconds = results[section]["seconds"]
        names = list(seconds)[::-1]
        medians = [statistics.median(seconds[n]) for n in names]
        colors = ["#1f6f8b" if "isthmus" in n or "databricks" in n or "from_spark" in n else "#b8c4cc" for n in names]
        bars = axis.barh(names, medians, color=colors)
        axis.bar_label(bars, [f"{m:.1f} s" for m in medians], padding=3, fontsize=8)
        axis.set_title(SECTIONS[section].__doc__.split(";")[0].rstrip("."), fontsize=9, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], help="which (default: all)")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    import isthmus

    folder = tempfile.mkdtemp(prefix="isthmus_bench_", dir=os.environ.get("TMPDIR"))
    os.environ["ISTHMUS_HOME"] = f"{folder}/home"
    isthmus.start()
    results_path = HERE / "results.json"
    results = json.loads(results_path.read_text()) if results_path.exists() and args.section else {}
    try:
        for section in args.section or SECTIONS:
            print(f"== {section}: {SECTIONS[section].__doc__}", flush=True)
            results[section] = SECTIONS[section](folder, args.runs)
            results[section]["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    finally:
        isthmus.stop()
        shutil.rmtree(folder, ignore_errors=True)
    missed = 0
    print(f"\n{'':64}  ratio  target")
    for section in results.values():
        for ratio in section["ratios"]:
            pairs = zip(section["seconds"][ratio["of"]], section["seconds"][ratio["to"]])
            value = statistics.median(of / to for of, to in pairs)
            ratio["ratio"] = round(value, 2)
            met = value <= ratio.get("at_most", value) and value >= ratio.get("at_least", value)
            missed += not met
            print(f"{ratio['what']:64}  {value:5.2f}  {ratio['target']}{'' if met else '   MISSED'}")
        for figure in section.get("figures", []):
            met = figure["value"] <= figure.get("at_most", figure["value"])
            missed += not met
            print(f"{figure['what']:64}  {figure['value']:5.1f}  {figure['target']}{'' if met else '   MISSED'}")
    results_path.write_text(json.dumps(results, indent=1) + "\n")
    plot(results, HERE.parent / "docs" / "bench.png")
    print(f"\n{missed} missed; results in bench/results.json, plot in docs/bench.png")


if __name__ == "__main__":
    main()
