"""`isthmus serve` as clients written by others see it."""

import glob
import json
import os
import pathlib
import shutil
import subprocess

import pyspark
import pytest

CLIENTS = pathlib.Path(__file__).parent / "clients"
JARS = pathlib.Path(os.environ.get("ISTHMUS_JARS", pathlib.Path(__file__).parents[2] / "build/jars"))
SPARK_JARS = pathlib.Path(pyspark.__file__).parent / "jars"


def test_unity_catalog_java_client(tmp_path):
    """unitycatalog-client 0.6.0, the one inside Unity Catalog's Spark connector."""
    client = glob.glob(f"{JARS}/unitycatalog-client-*.jar")
    if not client or not shutil.which("javac"):
        pytest.skip("needs javac and the unitycatalog-client jar (make build/jars/.ready)")
    support = [jar for name in ("jackson-annotations", "jackson-core-2", "jackson-databind", "jackson-datatype-jsr310",
                                "jakarta.annotation-api", "jsr305", "slf4j-api", "log4j-api")
               for jar in glob.glob(f"{SPARK_JARS}/{name}*.jar")]
    classpath = os.pathsep.join([*client, *support, str(tmp_path)])
    subprocess.run(["javac", "-cp", classpath, "-d", tmp_path, CLIENTS / "UnityCatalogClient.java"], check=True)
    server = json.loads(pathlib.Path(os.environ["ISTHMUS_HOME"], "server.json").read_text())
    run = subprocess.run(["java", "-cp", classpath, "UnityCatalogClient", server["url"], server["token"]],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
