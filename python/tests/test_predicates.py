"""Filters pushed into the scan against the same filter on all rows in memory: random tables and filters of every type.

What must never happen is that a file or a row group is left out that has a row. So files are made of narrow ranges,
literals are taken from the rows and from just beside them, and several writers make the tables, for statistics differ.
"""

import datetime
import decimal
import json
import math
import os
import pickle
import random
import re

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import isthmus
from isthmus import errors

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1)
PREFIX = "a prefix that is as long as the bounds are, and longer: "
FILES, ROWS = 8, 40


def integers(low, high):
    return lambda r, center: max(low, min(high, center * (high // (FILES * 4)) + r.randint(-5, 5)))


def doubles(r, center):
    far = math.inf if center == FILES - 1 else 1e300 * center
    return r.choice([center + r.random(), center / 3, math.nan, 0.0, -0.0, far])


def decimals(digits, scale):
    def make(r, center):
        value = (center - FILES // 2) * 10 ** (digits - 2) + r.choice([r.randint(0, 9), r.randint(0, 10 ** (digits - 3))])
        with decimal.localcontext(prec=50):
            return decimal.Decimal(value).scaleb(-scale)
    return make


def texts(r, center):
    return r.choice([f"{center}", "", PREFIX + f"{center}", PREFIX + f"{center}" + "\U0001f600" * r.randint(0, 3),
                     "é" * 31 + chr(0xE000 + center) + "\uffff\U0010ffff" * r.randint(0, 2), f"{center} {r.randint(0, 9)}"])


def times(r, center):
    return EPOCH + datetime.timedelta(days=(center - FILES // 2) * 1000, microseconds=r.randint(-3, 3_000))


KINDS = {
    "flag": (pa.bool_(), lambda r, center: r.random() < 0.5 if center % 3 == 0 else center % 2 == 0),
    "tiny": (pa.int8(), integers(-128, 127)),
    "small": (pa.int16(), integers(-(2**15), 2**15 - 1)),
    "number": (pa.int32(), integers(-(2**31), 2**31 - 1)),
    "long": (pa.int64(), integers(-(2**63), 2**63 - 1)),
    "single": (pa.float32(), lambda r, center: r.choice([center + r.random(), 0.1 * center, math.nan, -0.0])),
    "double": (pa.float64(), doubles),
    "amount": (pa.decimal128(12, 2), decimals(12, 2)),
    "big": (pa.decimal128(38, 10), decimals(38, 10)),
    "text": (pa.string(), texts),
    "data": (pa.binary(), lambda r, center: bytes([center]) + b"\xff" * r.randint(0, 2)),
    "day": (pa.date32(), lambda r, center: times(r, center).date()),
    "at": (pa.timestamp("us", "UTC"), lambda r, center: times(r, center).replace(tzinfo=UTC)),
    "local": (pa.timestamp("us"), times),
}
NESTED = {"city": KINDS["text"], "code": KINDS["long"], "when": KINDS["at"]}


def column(r, file, type, make, rows=ROWS):
    """A file's values: of one narrow range, some null; in some files all are, in some none."""
    share = r.choice([0, 0.1, 1 if r.random() < 0.3 else 0.5])
    return pa.array([None if r.random() < share else make(r, file) for _ in range(rows)], type)


def file_of(r, file, kinds=KINDS, nested=NESTED, rows=ROWS):
    columns = {name: column(r, file, *kind, rows=rows) for name, kind in kinds.items()}
    inner = [column(r, file, *kind, rows=rows) for kind in nested.values()]
    nulls = pa.array([r.random() < 0.1 for _ in range(rows)])
    columns["place"] = pa.StructArray.from_arrays(inner, list(nested), mask=nulls)
    return pa.table({"id": pa.array(range(file * rows, (file + 1) * rows), pa.int64()), **columns})


class Filters:
    """Random conditions on a table's columns."""

    def __init__(self, r, rows, columns):
        self.r = r
        self.values = {}
        for name in columns:
            array = pc.struct_field(rows["place"], name[1]) if isinstance(name, tuple) else rows[name]
            self.values[name] = [value for value in array.combine_chunks() if value.is_valid] or [array[0]]

    def literal(self, name):
        value = self.r.choice(self.values[name])
        kind, text = value.type, value.as_py()
        if text is None or self.r.random() < 0.4:
            return value
        if pa.types.is_floating(kind):
            return pa.scalar(math.nextafter(text, self.r.choice([-math.inf, math.inf])), kind)
        if pa.types.is_timestamp(kind):
            return pa.scalar(text + datetime.timedelta(microseconds=self.r.choice([-1, 1, 500])), kind)
        if pa.types.is_date(kind):
            return pa.scalar(text + datetime.timedelta(days=self.r.choice([-1, 1])), kind)
        if pa.types.is_string(kind):
            return pa.scalar(self.r.choice([text[:-1], text + "x", text[:33], text + "\U0010ffff"]))
        if pa.types.is_integer(kind) and abs(text) < 2**62:
            return pa.scalar(text + self.r.choice([-1, 1]))  # an int64, whatever the column is
        return value

    def comparison(self, name):
        field, value = pc.field(name), self.literal(name)
        if self.r.random() < 0.2 and name in ("tiny", "small", "number"):
            field, value = field.cast(pa.float64()), value.cast(pa.float64(), safe=False)
        calls = [lambda: field == value, lambda: field != value, lambda: field < value, lambda: field <= value,
                 lambda: field > value, lambda: field >= value]
        if self.r.random() < 0.2:
            literal = pc.scalar(value)
            calls = [lambda: pc.less(literal, field), lambda: pc.greater_equal(literal, field),
                     lambda: pc.equal(literal, field)]
        return self.r.choice(calls)()

    def leaf(self):
        name = self.r.choice(list(self.values))
        field, kind = pc.field(name), self.values[name][0].type
        if pa.types.is_boolean(kind) and self.r.random() < 0.7:
            return field
        choice = self.r.random()
        if choice < 0.1:
            return field.is_null(nan_is_null=self.r.random() < 0.3)
        if choice < 0.2:
            return field.is_valid()
        if choice < 0.3 and not pa.types.is_boolean(kind):
            values = [self.r.choice(self.values[name]).as_py() for _ in range(self.r.choice([1, 3, 100]))]
            return field.isin(pa.array(values + [None] * self.r.randint(0, 1), kind))
        if choice < 0.4 and pa.types.is_string(kind):
            return pc.starts_with(field, self.r.choice(self.values[name]).as_py()[:self.r.choice([0, 1, 10, 40])])
        if choice < 0.45 and pa.types.is_floating(kind):
            return pc.is_nan(field)
        if choice < 0.5:
            return pc.if_else(pc.is_null(field), pc.scalar(True), self.comparison(name))
        return self.comparison(name)

    def expression(self, depth=3):
        choice = self.r.random()
        if depth == 0 or choice < 0.25:
            return self.leaf()
        if choice < 0.4:
            return ~self.expression(depth - 1)
        left, right = self.expression(depth - 1), self.expression(depth - 1)
        return left & right if choice < 0.7 else left | right


def columns_of(rows, partition=None):
    return [name for name in KINDS if name in rows.column_names] + [("place", name) for name in NESTED]


def check(table, rows, r, count=150):
    """Random filters give the same rows as they do in memory, and leave out files."""
    filters, skipped = Filters(r, rows, columns_of(rows)), 0
    with isthmus.Table(table).snapshot() as snapshot:
        for _ in range(count):
            filter = filters.expression()
            scan = snapshot.scan(["id"], filter)
            expected = rows.filter(filter)["id"].to_pylist()
            assert sorted(scan.read().read_all()["id"].to_pylist()) == sorted(expected), filter
            skipped += snapshot.file_count - len(scan.tasks())
            if expected:
                sample = snapshot.to_arrow(filter=filter).sort_by("id").slice(0, 5)
                again = rows.filter(filter).sort_by("id").slice(0, 5)
                assert str(sample.to_pylist()) == str(again.select(sample.column_names).to_pylist()), filter
    return skipped / (count * snapshot_files(table))


def snapshot_files(table):
    with isthmus.Table(table).snapshot() as snapshot:
        return snapshot.file_count


@pytest.mark.parametrize("seed", range(3))
def test_written_by_isthmus(path, seed):
    r = random.Random(seed)
    files = [file_of(r, i) for i in range(FILES)]
    for file in files:
        isthmus.write_deltalake(path, file)
    assert check(path, pa.concat_tables(files), r) > 0.1


@pytest.mark.parametrize("seed", range(2))
def test_written_by_delta_rs(path, seed):
    r = random.Random(seed)
    files = [file_of(r, i) for i in range(FILES)]
    for file in files:
        deltalake.write_deltalake(path, file, mode="append")
    assert check(path, pa.concat_tables(files), r) > 0.1


@pytest.mark.parametrize("by", ["flag", "number", "amount", "text", "day", "at", "local", "single"])
def test_partitions(path, by):
    r = random.Random(by)
    rows = pa.concat_tables([file_of(r, i, rows=8) for i in range(FILES)])
    isthmus.write_deltalake(path, rows, partition_by=by)
    rows = isthmus.Table(path).to_arrow()  # an empty text in a partition is null
    assert check(path, rows, r, 80) > 0


def test_row_groups(path, tmp_path):
    """One file of many row groups whose statistics the log does not have."""
    import pyarrow.parquet as pq

    r = random.Random(5)
    files = [file_of(r, i) for i in range(FILES)]
    isthmus.write_deltalake(path, files[0].slice(0, 0))
    rows = pa.concat_tables(files)
    pq.write_table(rows, f"{path}/whole.parquet", row_group_size=ROWS, store_schema=False)
    with isthmus.Table(path).snapshot() as snapshot:
        version = snapshot.version + 1
    size = (tmp_path / "table" / "whole.parquet").stat().st_size
    (tmp_path / "table" / "_delta_log" / f"{version:020}.json").write_text(
        f'{{"add":{{"path":"whole.parquet","partitionValues":{{}},"size":{size},"modificationTime":0,"dataChange":true}}}}')
    check(path, rows, r, 300)


def test_deleted_rows_in_row_groups(tables):
    """Positions of deleted rows count from the file's first row, whatever row groups are left out."""
    path = str(tables / "rs_vector_row_groups" / "table")
    rows = isthmus.Table(path).to_arrow()
    name = rows.column_names[0]
    for value in rows[name].unique().to_pylist()[::7]:
        filter = pc.field(name) == value
        assert isthmus.Table(path).to_arrow(filter=filter).to_pylist() == rows.filter(filter).to_pylist()


@pytest.mark.parametrize("mode", ["none", "name", "id"])
def test_written_by_spark(spark, path, tmp_path, mode):
    """Spark's statistics, with deletion vectors, column mapping and struct statistics in a checkpoint."""
    import pyarrow.parquet as pq

    r = random.Random(mode)
    files = [file_of(r, i) for i in range(FILES)]
    for i, file in enumerate(files):
        pq.write_table(file, tmp_path / f"part-{i}.parquet")
    options = {"delta.enableDeletionVectors": "true", "delta.checkpoint.writeStatsAsStruct": "true",
               "delta.checkpoint.writeStatsAsJson": "false"}
    if mode != "none":
        options["delta.columnMapping.mode"] = mode
    for i in range(FILES):
        frame = spark.read.parquet(str(tmp_path / f"part-{i}.parquet")).coalesce(1)
        writer = frame.write.format("delta").mode("append")
        for key, value in options.items() if i == 0 else ():
            writer = writer.option(key, value)
        writer.save(path)
        if i == FILES // 2:
            spark.sql(f"DELETE FROM delta.`{path}` WHERE id % 5 = 3")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id % 7 = 2")
    if mode == "name":
        spark.sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN number TO long_away")
        spark.sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN place.code TO area")
        spark.sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN place.area TO code")
        spark.sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN long_away TO number")
    rows = isthmus.Table(path).to_arrow()
    assert rows.num_rows == spark.read.format("delta").load(path).count()
    assert check(path, rows, r) > 0.1


def test_duckdb_finds_the_same_as_in_its_own_table(path):
    import duckdb

    r = random.Random(7)
    files = [file_of(r, i) for i in range(FILES)]
    for file in files:
        isthmus.write_deltalake(path, file)
    rows = pa.concat_tables(files)
    values = Filters(r, rows, columns_of(rows)).values

    def literal(name):
        value = r.choice(values[name]).as_py()
        return f"'{value}'" if isinstance(value, (str, datetime.date)) else str(value)

    plain = ["tiny", "small", "number", "long", "single", "double", "amount", "big", "text", "day", "at", "local"]
    with duckdb.connect() as connection:
        connection.register("delta", isthmus.dataset.DeltaDataset(path))
        connection.register("arrow", rows)
        connection.execute("CREATE TABLE raw AS SELECT * FROM arrow")
        for _ in range(150):
            a, b = r.choice(plain), r.choice([*plain, "place.city", "place.code"])
            b_value = literal(tuple(b.split("."))) if "." in b else literal(b)
            where = r.choice([
                f"{a} > {literal(a)} AND {b} <= {b_value}", f"{a} = {literal(a)} OR {b} < {b_value}", f"{b} <> {b_value}",
                f"{a} BETWEEN {literal(a)} AND {literal(a)}", f"NOT ({a} >= {literal(a)}) AND {b} IS NOT NULL",
                f"{a} IN ({literal(a)}, {literal(a)}) OR {b} IS NULL", f"{a} NOT IN ({literal(a)}, {literal(a)})",
                f"text LIKE '{r.choice(values['text']).as_py()[:3]}%'", "flag", f"NOT flag AND {a} > {literal(a)}"])
            where = re.sub(r"'?\b(nan|inf)\b'?", r"'\1'::DOUBLE", where).replace('at ', '"at" ')
            query = f"SELECT id FROM {{}} WHERE {where} ORDER BY id"
            assert connection.execute(query.format("delta")).fetchall() == \
                connection.execute(query.format("raw")).fetchall(), where


def test_count_is_read_from_the_log(path, tmp_path):
    isthmus.write_deltalake(path, {"id": list(range(10)), "part": [0] * 3 + [1] * 7}, partition_by="part")
    for file in tmp_path.glob("table/**/*.parquet"):
        file.unlink()
    count = isthmus.dataset.DeltaDataset(path).count_rows
    assert (count(), count(pc.field("part") == 1), count(pc.field("part") > 1)) == (10, 7, 0)
    assert isthmus.Table(path).to_arrow(columns=["part"])["part"].to_pylist() in ([0] * 3 + [1] * 7, [1] * 7 + [0] * 3)
    with pytest.raises(errors.NotFoundError):
        count(pc.field("id") == 1)


def test_many_threads_read_every_row_once(path):
    rows = pa.table({"id": range(600_000), "x": [i * 0.5 for i in range(600_000)]})
    for i in range(3):
        isthmus.write_deltalake(path, rows.slice(i * 200_000, 200_000), target_file_size=1 << 20)
    with isthmus.Table(path).snapshot() as snapshot:
        for threads in (0, 1, 2, 8):
            ids = snapshot.scan(["id"], pc.field("x") >= 50_000, threads).read().read_all()["id"]
            assert sorted(ids.to_pylist()) == list(range(100_000, 600_000)), threads
        reader = snapshot.scan(None, None, 8).read()  # threads end with their reader
        reader.read_next_batch()
        del reader


def test_bad_filters(path):
    isthmus.write_deltalake(path, {"id": [1], "s": ["a"]})
    table = isthmus.Table(path)
    for filter, message in (("id > 3", "a filter is a pyarrow.compute.Expression, not a str"),
                            (pc.field("nope") > 3, "the table has no column 'nope'"),
                            (pc.field("id") + 1, "is a int64, not a condition"),
                            (pc.field("s") > 3, "greater.*string"),
                            (pc.field("id", "x") > 3, "FieldRef")):
        with pytest.raises(errors.BadInputError, match=message):
            table.to_arrow(filter=filter)
    with pytest.raises(errors.BadInputError, match="divide by zero"):
        table.to_arrow(filter=pc.divide(pc.scalar(1), pc.field("id") - 1) > 1)


def test_ray_reads_only_the_files_that_may_match(cluster, path):
    from ray.data.expressions import col

    for i in range(4):
        isthmus.write_deltalake(path, {"id": list(range(i * 10, i * 10 + 10)), "s": [f"{i}"] * 10, "part": [i % 2] * 10},
                                partition_by="part")
    expected = ["2"] * 5 + ["3"] * 10
    table = isthmus.Table(path)
    for file in [task for task, _, _ in table.snapshot().scan(filter=pc.field("id") < 20).tasks()]:
        os.unlink(f"{path}/{json.loads(file)['file']['add']['path']}")  # whoever reads it fails
    dataset = isthmus.read_delta(path, columns=["s"], filter=pc.field("id") >= 25)
    assert sorted(row["s"] for row in dataset.take_all()) == expected
    assert dataset.count() == 15
    pushed = isthmus.read_delta(path).filter(expr=(col("id") >= 25)).select_columns(["s"])
    assert sorted(row["s"] for row in pushed.take_all()) == expected
    assert pushed.schema().names == ["s"]
    both = isthmus.read_delta(path, filter=pc.field("id") >= 20).filter(expr=col("part") == 1)
    assert sorted(row["id"] for row in both.take_all()) == list(range(30, 40))
    again = pickle.loads(pickle.dumps(isthmus.read_delta(path)._logical_plan.dag.datasource))
    assert again.apply_projection({"s": "s"}).apply_predicate(col("id") > 35).piece_count == 1
    assert isthmus.read_delta(path).filter(expr=col("id") >= 25).count() == 15
    assert isthmus.read_delta(path).select_columns([]).count() == 40  # from the log: two of the files are gone
