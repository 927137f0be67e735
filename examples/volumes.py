"""What is no table goes to a volume: `isthmus run examples/volumes.py`

A model, an image and some JSON, written by Ray's tasks under the catalog's grants, read anywhere by the same path.
"""

import json
import pickle
import struct
import zlib

import ray

spark.sql("CREATE SCHEMA IF NOT EXISTS main.examples")
spark.sql("CREATE VOLUME IF NOT EXISTS main.examples.artifacts")
root = "/Volumes/main/examples/artifacts"
dbutils.fs.rm(root + "/run", True)


@ray.remote(num_cpus=0.5)
def train(seed):
    with open(f"{root}/run/model-{seed}.pkl", "wb") as file:
        pickle.dump({"seed": seed, "weights": [seed * 0.5, seed * 0.25]}, file)
    with open(f"{root}/run/metrics-{seed}.json", "w") as file:
        json.dump({"seed": seed, "loss": 1 / (1 + seed)}, file)
    return seed


@ray.remote(num_cpus=0.5)
def picture():
    rows = b"".join(b"\0" + bytes((128, y * 16, 128)) for y in range(16))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 16, 8, 2, 0, 0, 0))
           + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    with open(f"{root}/run/gradient.png", "wb") as file:
        file.write(png)


ray.get([train.remote(seed) for seed in range(3)] + [picture.remote()])

for file in dbutils.fs.ls(root + "/run"):
    print(file.name)
with open(f"{root}/run/model-2.pkl", "rb") as file:
    print("model 2:", pickle.load(file))
print("losses:", sorted(row["loss"] for row in ray.data.read_json(f"{root}/run/", include_paths=False,
                                                                  file_extensions=["json"]).take_all()))
print("images:", ray.data.read_images(f"{root}/run/", file_extensions=["png"]).count())
spark.read.json(f"{root}/run/*.json").orderBy("seed").show()
