"""Run every test and end with "N passed, N failed".

Stages: C tests, the same under ASan/UBSan (with the fuzz corpora), the concurrent modules under TSan (the label `threads`
of tests/CMakeLists.txt), Python tests with real Spark and real Ray, the docs and examples, and the demo on small data, which
checks itself. A stage that cannot be built counts as one failure; the others still run.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


def run(command, **kwargs):
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, **kwargs).returncode


def read_junit(path):
    """(passed, failed, skipped, names of failures) of a JUnit file; a cmocka executable counts each of its cases."""
    passed = failed = skipped = 0
    names = []
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname') or ''}::{case.get('name')}"
        output = (case.findtext("system-out") or "")
        bad = case.find("failure") is not None or case.find("error") is not None
        cases_ok = len(re.findall(r"^\[ +OK \]", output, re.M))
        cases_bad = set(re.findall(r"^\[ +FAILED +\] (test_\w+)$", output, re.M))
        if case.find("skipped") is not None:
            skipped += 1
        elif bad:
            passed += cases_ok
            failed += max(1, len(cases_bad))
            names.append(f"{name} {' '.join(sorted(cases_bad))}".strip())
        else:
            passed += max(1, cases_ok)
    return passed, failed, skipped, names


def ctest(preset, *arguments):
    if run(["cmake", "--build", "--preset", preset, "--", "--quiet"]) != 0:
        return 0, 1, 0, [f"build of preset {preset}"]
    report = BUILD / f"ctest-{preset}.xml"
    run(["ctest", "--preset", preset, "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000",
         "--output-junit", str(report), "-j2", "--quiet", *arguments])
    return read_junit(report)


# Each example and each page of the docs starts a Spark and a Ray of its own: after the others' are gone. Two at a time, for
# most of it is waiting for them to start.
DOCS = ("python/tests/test_docs.py",)
EXAMPLES = ("python/tests/test_examples.py", "python/tests/test_notebooks.py")


def pytest(*groups):
    """Run each group of arguments as a pytest of its own, all at the same time."""
    reports = [BUILD / f"pytest-{i}.xml" for i in range(len(groups))]
    for report in reports:
        report.unlink(missing_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(groups)) as pool:
        codes = list(pool.map(
            lambda report, group: run([sys.executable, "-m", "pytest", "-q", "-ra", "--durations=8",
                                       f"--junitxml={report}", "-o", "junit_family=xunit1", *group]), reports, groups))
    parts = [read_junit(report) if report.exists() else (0, 1, 0, [f"pytest ended with {code} and left no report"])
             for code, report in zip(codes, reports)]
    return [sum(part[i] for part in parts) for i in range(3)] + [sum((part[3] for part in parts), [])]


def demo():
    with tempfile.TemporaryDirectory(prefix="isthmus_demo_", ignore_cleanup_errors=True) as home:
        environment = {**os.environ, "ISTHMUS_HOME": home}
        code = run(["isthmus", "run", "examples/bridge.py", "--rows", "20000", "--tasks", "20"], env=environment)
        run([sys.executable, "-c", "import isthmus; isthmus.stop()"], env=environment)
    return (1, 0, 0, []) if code == 0 else (0, 1, 0, [f"examples/bridge.py ended with {code}"])


STAGES = {
    "c": lambda: ctest("dev"),
    "asan": lambda: ctest("asan"),
    "tsan": lambda: ctest("tsan"),
    "python": lambda: pytest([*(f"--ignore={file}" for file in DOCS + EXAMPLES), "python/tests"]),
    "examples": lambda: pytest(DOCS, EXAMPLES),
    "demo": demo,
}


def main():
    wanted = sys.argv[1:] or list(STAGES)
    totals = [0, 0, 0]
    problems = []
    for name in wanted:
        print(f"== {name}", flush=True)
        start = time.monotonic()
        *counts, names = STAGES[name]()
        totals = [a + b for a, b in zip(totals, counts)]
        problems += [f"{name}: {n}" for n in names]
        print(f"== {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped in "
              f"{time.monotonic() - start:.0f} s", flush=True)
    for problem in problems:
        print(f"FAILED {problem}")
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    sys.exit(main())
