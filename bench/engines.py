"""The Spark and the Ray that are measured."""


def make_spark():
    import isthmus

    spark = (
        isthmus.spark.builder().master("local[2]").appName("bench").config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false").config("spark.databricks.delta.snapshotPartitions", "2")
        .config("spark.driver.memory", "6g").config("spark.sql.shuffle.partitions", "4").getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def start_ray():
    import logging

    import ray
    import ray.data

    # Worker processes stay once they are started: what is timed is the work in them, not Ray starting Python.
    ray.init(num_cpus=2, object_store_memory=4 << 30, include_dashboard=False, logging_level="ERROR", log_to_driver=False,
             _system_config={"idle_worker_killing_time_threshold_ms": 3_600_000, "worker_maximum_startup_concurrency": 100})
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.data.range(10).materialize()
    return ray
