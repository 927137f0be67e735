"""`python -m isthmus.run script.py [args]`, which is what `isthmus run` does: prepare the process, run the script in it.

Prepared means: a node daemon and a catalog server run (isthmus.start()), Ray Data has Isthmus' calls, Spark's Python workers
are this Python, and a Spark session that the script makes in any way starts with isthmus.spark.settings() (what the script
sets itself comes before those).
"""

import os
import runpy
import shlex
import sys

import isthmus
from isthmus import spark


def prepare():
    isthmus.start()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    before = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    ours = [item for key, value in spark.settings().items() for item in ("--conf", f"{key}={value}")]
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{shlex.join(ours)} {before}"


def main(argv):
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m isthmus.run script.py [args]\n\n" + __doc__.split("\n\n", 1)[1].strip())
        return 0 if argv else 2
    script = argv[0]
    if not os.path.isfile(script):
        print(f"isthmus run: no script {script}", file=sys.stderr)
        return 2
    try:
        prepare()
    except isthmus.IsthmusError as error:
        print(f"isthmus run: {error}", file=sys.stderr)
        return 1
    sys.argv = argv
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
