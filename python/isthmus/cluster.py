"""A Ray cluster beside a live Spark, on the same machines."""

import inspect
import os

from isthmus import errors

_GIB = 1 << 30


def setup_ray_cluster(max_worker_nodes=None, *, min_worker_nodes=None, num_cpus_worker_node=None,
                      num_gpus_worker_node=None, spark_cpus=None, verbose=True, **more):
    """Start a Ray cluster on the workers of the active Spark session: ray.util.spark.setup_ray_cluster with sizes that fit
    what Spark has. What is given is taken as it is; what is not is derived, and the choice is printed.

    max_worker_nodes       default: one Ray worker node on each Spark executor
    num_cpus_worker_node   default: an executor's cores less spark_cpus
    num_gpus_worker_node   default: the executor's GPUs, all of them: Spark's SQL has no use for them
    spark_cpus             cores of each executor that stay free for Spark's tasks; default: a quarter, at least one
    more                   further arguments of ray.util.spark.setup_ray_cluster

    Returns what that does: (address, client address). Raises BadInputError for sizes that leave Spark no core to compute
    with while both run, or more nodes than executors; UnsupportedError without an active classic session. On a Spark of
    several machines, ~/.ray/auth_token of this one has to be on the others too.
    """
    import ray.util.spark as ray_on_spark

    known = inspect.signature(ray_on_spark.setup_ray_cluster).parameters
    wrong = sorted(set(more) - set(known))
    if wrong:
        raise errors.BadInputError(f"setup_ray_cluster: no argument {', '.join(wrong)}; there are {', '.join(known)}")
    spark = executors()
    nodes = max_worker_nodes or spark["executors"]
    if nodes == ray_on_spark.MAX_NUM_WORKER_NODES:
        nodes = spark["executors"]
    cpus = num_cpus_worker_node or max(1, spark["cores"] - _left_for_spark(spark["cores"], spark_cpus))
    gpus = spark["gpus"] if num_gpus_worker_node is None else num_gpus_worker_node
    _check(spark, nodes, cpus, gpus)
    sizes = dict(max_worker_nodes=nodes, min_worker_nodes=min_worker_nodes, num_cpus_worker_node=cpus,
                 num_gpus_worker_node=gpus)
    _share_token(spark)
    if not _has_dashboard():
        more["head_node_options"] = {"include_dashboard": False, **(more.get("head_node_options") or {})}
    if verbose:
        print(describe(spark, nodes, min_worker_nodes, cpus, gpus))
    return ray_on_spark.setup_ray_cluster(**{key: value for key, value in sizes.items() if value is not None}, **more)


def executors():
    """What the active Spark session computes with: {"executors", "cores" and "gpus" and "memory" (bytes) of each, "master"}."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    context = getattr(session, "_jsparkSession", None) and session.sparkContext
    if not context:
        raise errors.UnsupportedError("setup_ray_cluster needs an active classic Spark session: Ray's nodes are started by "
                                      "Spark's executors")
    conf, java = context.getConf(), context._jsc.sc()
    local = context.master.startswith("local") and not context.master.startswith("local-cluster")
    alive = 1 if local else max(1, java.getExecutorMemoryStatus().size() - 1)
    total = context.defaultParallelism
    cores = total if local else int(conf.get("spark.executor.cores", str(max(1, total // alive))))
    return {"master": context.master, "executors": alive, "cores": cores,
            "ray_auth": conf.get("spark.executorEnv.RAY_AUTH_MODE", None),
            "gpus": int(conf.get("spark.executor.resource.gpu.amount", "0")),
            "memory": _bytes(conf.get("spark.driver.memory" if local else "spark.executor.memory", "1g"))}


def describe(spark, nodes, least, cpus, gpus):
    """The choice, for people."""
    left = spark["cores"] - cpus
    scaling = f"{least} to {nodes}" if least is not None and least != nodes else str(nodes)
    return (f"Spark ({spark['master']}): {spark['executors']} executor(s) of {spark['cores']} cores, {spark['gpus']} GPUs, "
            f"{spark['memory'] / _GIB:.1f} GiB\n"
            f"Ray: {scaling} worker node(s) of {cpus} CPUs, {gpus} GPUs; {max(left, 0)} core(s) of each executor stay with Spark")


def _share_token(spark):
    """Ray's nodes trust each other by the token in ~/.ray/auth_token. Those that executors start look for it only if told to,
    and without it the cluster would wait for them in vain."""
    from ray._private.authentication import authentication_token_setup as setup

    if spark["ray_auth"] is None and os.environ.get("RAY_AUTH_MODE") != "disabled":
        raise errors.BadInputError("setup_ray_cluster: Spark's executors do not know how Ray's nodes trust each other: set "
                                   "spark.executorEnv.RAY_AUTH_MODE to token when the session is made, as "
                                   "isthmus.spark.builder() and isthmus run do")
    if setup.enable_token_auth_by_default():
        setup.ensure_token_if_auth_enabled()


def _has_dashboard():
    """Has Ray what its dashboard needs (ray[default])? It would wait a minute for one that cannot come."""
    try:
        import ray.dashboard.optional_deps  # noqa: F401
    except ImportError:
        return False
    return True


def _left_for_spark(cores, wanted):
    return max(1, cores // 4) if wanted is None else wanted


def _check(spark, nodes, cpus, gpus):
    if nodes > spark["executors"]:
        raise errors.BadInputError(f"setup_ray_cluster: {nodes} worker nodes, but Spark has {spark['executors']} executor(s); "
                                   "give max_worker_nodes of at most that, or give Spark more")
    if cpus > spark["cores"]:
        raise errors.BadInputError(f"setup_ray_cluster: {cpus} CPUs for a worker node, but an executor has {spark['cores']} "
                                   "cores")
    if gpus > spark["gpus"]:
        raise errors.BadInputError(f"setup_ray_cluster: {gpus} GPUs for a worker node, but an executor has {spark['gpus']}")


def _bytes(text):
    """Spark's sizes: 1g, 512m, 1024 (MiB where there is no unit)"""
    units = {"k": 1 << 10, "m": 1 << 20, "g": _GIB, "t": 1 << 40}
    text = text.lower().removesuffix("b")
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text) << 20
