"""`python -m isthmus.run script.py [args]`, which is what `isthmus run` does: prepare the process, run the script in it.

Prepared means:
- a node daemon and a catalog server run (isthmus.start());
- Ray Data has Isthmus' calls, Spark's Python workers are this Python, and a Spark session that the script makes in any way
  starts with isthmus.spark.settings() (what the script sets itself comes before those);
- modules that open-source Python lacks are found (isthmus.provided has the list), in Ray's workers too;
- /dbfs/... and /Volumes/... are volumes for Python's own file calls, where those folders are not there;
- `dbutils` is there, and `spark`, a session, where the script uses that name without giving it a value.
"""

import json
import os
import runpy
import shlex
import symtable
import sys

import isthmus
from isthmus import provided, spark

_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # where `ray job submit` leaves a job's runtime_env for ray.init()


def prepare():
    isthmus.start()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    before = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    ours = [item for key, value in spark.settings().items() for item in ("--conf", f"{key}={value}")]
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{shlex.join(ours)} {before}"
    if _RAY_JOB not in os.environ:
        os.environ[_RAY_JOB] = json.dumps({"runtime_env": {"worker_process_setup_hook": "isthmus.provided.install"}})
        os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")  # a script's own runtime_env is joined with ours
    provided.install()


def spark_session():
    """The session that a script's `spark` is: the active one, else a new one on this machine."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() or spark.builder().getOrCreate()


def _names(script):
    """What the script finds among its globals."""
    from isthmus.dbutils import DBUtils

    names = {"dbutils": DBUtils()}
    if _uses_spark(script):
        names["spark"] = spark_session()
    return names


def _uses_spark(script):
    """Does the script use the global name `spark` and never bind it?"""
    with open(script, encoding="utf-8") as file:
        source = file.read()
    try:
        tables = [symtable.symtable(source, script, "exec")]
    except SyntaxError:
        return False  # running it will say so
    used = False
    while tables:
        table = tables.pop()
        tables += table.get_children()
        if "spark" not in table.get_identifiers():
            continue
        symbol = table.lookup("spark")
        module = table.get_type() == "module"
        if (module or symbol.is_declared_global()) and (symbol.is_assigned() or symbol.is_imported()):
            return False
        used = used or (symbol.is_referenced() and (module or symbol.is_global()))
    return used


def main(argv):
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m isthmus.run script.py [args]\n\n" + __doc__.split("\n\n", 1)[1].strip())
        return 0 if argv else 2
    script = argv[0]
    if not os.path.isfile(script):
        print(f"isthmus run: no script {script}", file=sys.stderr)
        return 2
    sys.argv = argv
    try:
        prepare()
        names = _names(script)
    except isthmus.IsthmusError as error:
        print(f"isthmus run: {error}", file=sys.stderr)
        return 1
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, init_globals=names, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
