"""MERGE, UPDATE and DELETE of the embedded engine: against DuckDB's own MERGE, and Spark's."""

import os
import random

import deltalake
import duckdb
import pyarrow as pa
import pytest

import isthmus
from engine_driver import Failed

TARGET = pa.table({"id": [None, 1, 2, 3, 4, 5, 6, 7], "p": list("aabbccab"), "x": range(8),
                   "note": [None, "one", "two", "three", "four", None, "six", "seven"]})
SOURCE = pa.table({"id": [None, 2, 3, 5, 6, 8, 9], "p": list("abcabca"), "x": [10, None, 30, 50, 60, 80, 90],
                   "note": ["none", "TWO", None, "FIVE", "SIX", "EIGHT", "NINE"]})


@pytest.fixture(scope="module")
def source(schema):
    """main.tests.changes: what MERGEs merge."""
    isthmus.write_deltalake("main.tests.changes", SOURCE, mode="overwrite")
    yield "main.tests.changes"
    isthmus.catalog.connect().delete_table("main.tests.changes")


@pytest.fixture
def target(schema, source):
    """main.tests.merged: three files in three partitions."""
    isthmus.write_deltalake("main.tests.merged", TARGET, partition_by="p")
    yield "main.tests.merged"
    isthmus.catalog.connect().delete_table("main.tests.merged")


MATCHED = "MERGE INTO merged t USING changes s ON t.id = s.id WHEN"


def contents(name):
    return ordered(isthmus.Table(name).to_arrow().to_pylist())


def ordered(rows):
    return sorted((tuple(row.values()) for row in rows), key=repr)


def origins(answer, name, column):
    field = answer.done["lineage"]["columns"][name]["fields"][column]
    return [(origin["name"], origin["field"]) for origin in field["inputFields"]]


def files(name):
    return isthmus.Table(name).snapshot().scan([]).paths()


# ---- MERGEs of all kinds ---------------------------------------------------------------------------------------------


CONDITIONS = {True: ["s.x > 30", "t.x % 2 = 0", "s.note IS NULL", "t.note <> s.note", "t.p = s.p OR s.x IS NULL"],
              "insert": ["s.x > 60", "s.id IS NULL", "s.p = 'a'"], False: ["t.x > 5", "t.note IS NULL", "t.p = 'b'"]}
SETS = {True: ["x = s.x", "x = t.x + s.x, note = s.note", "note = upper(s.note), p = s.p", "id = s.id * 10", "*"],
        False: ["x = -t.x", "note = t.note || '!', p = 'z'"]}
INSERTS = ["(id, p, x, note) VALUES (s.id, s.p, s.x + 1, lower(s.note))", "(p, id) VALUES ('new', s.id)", "*"]
ONS = ["t.id = s.id", "t.id = s.id", "t.id IS NOT DISTINCT FROM s.id", "t.id = s.id AND t.p = s.p",
       "s.id = t.id AND t.x > 3"]
STARS = {"UPDATE SET *": "UPDATE SET id = s.id, p = s.p, x = s.x, note = s.note",
         "INSERT *": "INSERT (id, p, x, note) VALUES (s.id, s.p, s.x, s.note)"}


def clauses(chance, when, conditions, actions):
    """Up to two clauses of a kind: all but the last have conditions."""
    made = []
    for _ in range(chance.choice([0, 1, 1, 2])):
        condition = chance.choice(conditions) if chance.random() < 0.6 else None
        made.append(f"WHEN {when}{' AND ' + condition if condition else ''} THEN {chance.choice(actions)}")
        if condition is None:
            break
    return made


def merge_statement(seed):
    """What comes after MERGE INTO the target, by chance."""
    chance = random.Random(seed)
    whens = []
    while not whens:
        whens = (clauses(chance, "MATCHED", CONDITIONS[True], ["DELETE", *(f"UPDATE SET {s}" for s in SETS[True])])
                 + clauses(chance, chance.choice(["NOT MATCHED", "NOT MATCHED BY TARGET"]), CONDITIONS["insert"],
                           [f"INSERT {i}" for i in INSERTS])
                 + clauses(chance, "NOT MATCHED BY SOURCE", CONDITIONS[False],
                           ["DELETE", *(f"UPDATE SET {s}" for s in SETS[False])]))
    source = chance.choice(["main.tests.changes", "(SELECT * FROM main.tests.changes WHERE x > 20)",
                            "(SELECT * FROM main.tests.changes WHERE false)"] + ["main.tests.changes"] * 2)
    return f"t USING {source} s ON {chance.choice(ONS)} {' '.join(whens)}"


def test_engine_rewrites__merges_are_those_of_duckdb(worker, source):
    """Forty in a row on one table, which they change."""
    plain = duckdb.connect()
    plain.execute("CREATE SCHEMA tests")
    for name, rows in (("merged", TARGET), ("changes", SOURCE)):
        plain.execute(f"CREATE TABLE tests.{name} AS SELECT * FROM rows")
    for seed in range(40):
        if seed % 4 == 0:  # a table that was merged often is no table to merge any more
            isthmus.write_deltalake("main.tests.merged", TARGET, mode="overwrite", partition_by="p")
            plain.execute("DELETE FROM tests.merged; INSERT INTO tests.merged SELECT * FROM TARGET")
        statement = merge_statement(seed)
        told = statement.replace("main.tests", "tests")
        for star, columns in STARS.items():
            told = told.replace(star, columns)
        before = plain.sql("SELECT * FROM tests.merged").to_arrow_table()
        try:
            (affected, updated, deleted, inserted), = worker.rows(f"MERGE INTO main.tests.merged {statement}")
        except Failed as failed:  # an earlier one made the key no key
            assert "DELTA_MULTIPLE_SOURCE_ROW" in str(failed), statement
            assert len(set(before["id"].to_pylist())) < len(before), statement
            continue
        changed, = plain.execute(f"MERGE INTO tests.merged {told}").fetchone()
        after = plain.sql("SELECT * FROM tests.merged").to_arrow_table()
        assert contents("main.tests.merged") == ordered(after.to_pylist()), (seed, statement)
        assert affected == changed == updated + deleted + inserted, statement
        assert inserted - deleted == len(after) - len(before), statement
    isthmus.catalog.connect().delete_table("main.tests.merged")


BY_SPARK = [  # few, for each takes Spark seconds
    "MERGE INTO {} t USING main.tests.changes s ON s.id >= t.id WHEN MATCHED AND s.x > 50 THEN UPDATE SET x = 0",
    "MERGE INTO {} t USING main.tests.changes s ON s.id >= t.id WHEN MATCHED THEN DELETE",
    "INSERT OVERWRITE {} PARTITION (p = 'b') SELECT id, x, note FROM main.tests.changes WHERE x > 20",
]


def test_engine_rewrites__statements_are_those_of_spark(worker, source, spark):
    """In a row, on copies of one table; that of ours has deletion vectors."""
    for name in ("main.tests.merged", "main.tests.merged_by_spark"):
        isthmus.write_deltalake(name, TARGET, partition_by="p", configuration={"delta.enableDeletionVectors": "true"})
    spark.sql("DELETE FROM main.tests.merged WHERE id = 6")
    worker.run("DELETE FROM main.tests.merged_by_spark WHERE id = 6")
    for statement in (f"MERGE INTO {{}} {merge_statement(1)}", *BY_SPARK):
        spark_says = None
        try:
            spark.sql(statement.format("main.tests.merged_by_spark"))
        except Exception as error:
            spark_says = str(error)
        if spark_says is None:
            worker.run(statement.format("main.tests.merged"))
        else:
            condition = "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"
            assert condition in spark_says, spark_says
            with pytest.raises(Failed, match=condition):
                worker.run(statement.format("main.tests.merged"))
        assert contents("main.tests.merged") == contents("main.tests.merged_by_spark"), statement
    for name in ("main.tests.merged", "main.tests.merged_by_spark"):
        isthmus.catalog.connect().delete_table(name)


def test_engine_rewrites__change_data_feed(worker, source):
    """What changed, as delta-rs reads it."""
    isthmus.write_deltalake("main.tests.fed", TARGET, partition_by="p",
                            configuration={"delta.enableChangeDataFeed": "true"})
    worker.run("""MERGE INTO fed t USING changes s ON t.id = s.id WHEN MATCHED AND s.id = 2 THEN DELETE
        WHEN MATCHED THEN UPDATE SET note = s.note, x = s.x WHEN NOT MATCHED AND s.id = 9 THEN INSERT *
        WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN UPDATE SET p = 'z'""")
    worker.run("MERGE INTO fed t USING changes s ON t.id = s.id WHEN NOT MATCHED AND s.id = 8 THEN INSERT *")
    worker.run("MERGE INTO fed t USING changes s ON t.id < s.id AND t.id = 4 WHEN MATCHED THEN DELETE")
    worker.run("INSERT OVERWRITE fed PARTITION (p = 'z') VALUES (100, 1, 'new')")
    assert isthmus.Table("main.tests.fed").snapshot().version == 4
    table = deltalake.DeltaTable(isthmus.Table("main.tests.fed").uri)
    read = pa.table(table.load_cdf(starting_version=1)).to_pylist()
    columns = ("_commit_version", "_change_type", "id", "p", "x", "note")
    inserted, deleted, before, after = "insert", "delete", "update_preimage", "update_postimage"
    assert sorted((tuple(map(row.get, columns)) for row in read), key=repr) == sorted([
        (1, deleted, 2, "b", 2, "two"), (1, inserted, 9, "a", 90, "NINE"),
        (1, before, 1, "a", 1, "one"), (1, after, 1, "z", 1, "one"),
        (1, before, 3, "b", 3, "three"), (1, after, 3, "b", 30, None),
        (1, before, 5, "c", 5, None), (1, after, 5, "c", 50, "FIVE"),
        (1, before, 6, "a", 6, "six"), (1, after, 6, "a", 60, "SIX"),
        (2, inserted, 8, "c", 80, "EIGHT"), (3, deleted, 4, "c", 4, "four"),
        (4, deleted, 1, "z", 1, "one"), (4, inserted, 100, "z", 1, "new")], key=repr)
    worker.run("DROP TABLE fed")


# ---- INSERT that replaces --------------------------------------------------------------------------------------------


def test_engine_rewrites__insert_into_partitions(worker, target):
    p_of = "SELECT id, x, note FROM merged WHERE p = '{}' ORDER BY ALL"
    worker.run("INSERT INTO merged PARTITION (p = 'q') VALUES (20, 1, 'twenty')")
    worker.run("INSERT INTO merged PARTITION (p = 'q') (note, id) SELECT 'named', :id",
               parameters=[{"name": "id", "value": "21", "type": "INT"}])
    worker.run("INSERT INTO merged PARTITION (p = upper('r')) BY NAME SELECT 'by name' AS note, 22 AS id")
    worker.run("INSERT INTO merged PARTITION (p) WITH w AS (SELECT 23 AS id, 'q', 4, 'any') SELECT * FROM w")
    assert worker.rows(p_of.format("q")) == [(20, 1, "twenty"), (21, None, "named"), (23, 4, "any")]
    assert worker.rows(p_of.format("R")) == [(22, None, "by name")]
    before = files(target)
    written = worker.run("INSERT OVERWRITE TABLE merged PARTITION (p = 'q') "
                         "SELECT id, x, note FROM changes WHERE id < 4")
    assert written.rows() == [(2, 2)] and written.done["kind"] == "INSERT"
    assert origins(written, target, "note") == [("main.tests.changes", "note")]
    assert worker.rows(p_of.format("q")) == [(2, None, "TWO"), (3, 30, None)]
    assert len(set(before) - set(files(target))) == 3 and len(set(before) & set(files(target))) == 4
    worker.run("INSERT OVERWRITE merged PARTITION (p = 'q') SELECT id, x, note FROM changes WHERE false")
    assert worker.rows(p_of.format("q")) == [] and len(files(target)) == 4
    worker.run("INSERT OVERWRITE merged PARTITION (p) SELECT 1, 'only', 2, 'row'")
    assert contents(target) == [(1, "only", 2, "row")]
    for sql, match in (("INSERT INTO merged PARTITION (x = 1) SELECT 1, 'a', 'b'", "NON_PARTITION_COLUMN.*pos 31"),
                       ("INSERT INTO merged PARTITION (absent = 1) SELECT 1", "NON_PARTITION_COLUMN"),
                       ("INSERT INTO merged PARTITION (p = 'q') SELECT 1", "takes 4 columns"),
                       ("INSERT INTO merged PARTITION (p = 'q') (p, id) SELECT 'r', 1", "twice"),
                       ("INSERT INTO merged PARTITION (p = id) SELECT 1, 2, 'x'", "UNRESOLVED_COLUMN|CAST|takes")):
        with pytest.raises(Failed, match=match):
            worker.run(sql)


def test_engine_rewrites__replace_where(worker, target):
    replaced = worker.rows("INSERT INTO merged REPLACE WHERE p = 'b' AND merged.x >= :x SELECT 50, 'b', 9, 'new'",
                           parameters=[{"name": "x", "value": "3", "type": "INT"}])
    assert replaced == [(1, 1)]
    assert worker.rows("SELECT id FROM merged WHERE p = 'b' ORDER BY 1") == [(2,), (50,)]
    assert worker.rows("SELECT count(*) FROM merged") == [(len(TARGET) - 1,)]
    version = isthmus.Table(target).snapshot().version
    for sql, match in (("REPLACE WHERE p = 'b' SELECT id, p, x, note FROM changes", "WHERE_MISMATCH.*44000"),
                       ("REPLACE WHERE x > 3 SELECT 1, 'b', NULL, 'null'", "DELTA_REPLACE_WHERE_MISMATCH"),
                       ("REPLACE WHERE absent SELECT 1, 'b', 1, 'x'", "UNRESOLVED_COLUMN")):
        with pytest.raises(Failed, match=match):
            worker.run(f"INSERT INTO merged {sql}")
    assert isthmus.Table(target).snapshot().version == version
    assert worker.rows("INSERT INTO merged REPLACE WHERE true SELECT id, p, x, note FROM changes") == [(7, 7)]
    assert contents(target) == ordered(SOURCE.to_pylist())


# ---- what is told and kept -------------------------------------------------------------------------------------------


def test_engine_rewrites__only_files_with_hits(worker, target):
    before = files(target)
    merged = worker.run("""MERGE INTO merged USING changes s ON merged.id = s.id AND merged.p = 'c'
        WHEN MATCHED THEN UPDATE SET merged.note = s.note, x = merged.x + s.x""")
    assert merged.names == ["num_affected_rows", "num_updated_rows", "num_deleted_rows", "num_inserted_rows"]
    assert merged.rows() == [(1, 1, 0, 0)] and merged.done["kind"] == "MERGE"
    assert len(set(before) - set(files(target))) == 1 and len(files(target)) == 3
    entry = isthmus.Table(target).history(1)[0]
    assert entry["operation"] == "MERGE" and entry["operationMetrics"]["numRemovedFiles"] == "1"
    lineage = merged.done["lineage"]
    assert lineage["inputs"] == ["main.tests.changes", target] and lineage["outputs"] == [target]
    assert origins(merged, target, "note") == [("main.tests.changes", "note")]
    assert set(origins(merged, target, "x")) == {(target, "x"), ("main.tests.changes", "x")}
    before = files(target)
    assert worker.rows(f"{MATCHED} NOT MATCHED AND s.id = 9 THEN INSERT *") == [(1, 0, 0, 1)]
    assert set(before) < set(files(target))
    version = isthmus.Table(target).snapshot().version
    assert worker.rows(f"{MATCHED} MATCHED AND false THEN DELETE") == [(0, 0, 0, 0)]
    assert isthmus.Table(target).snapshot().version == version
    before = files(target)
    assert worker.rows("DELETE FROM merged WHERE id = 3") == [(1,)]
    assert worker.rows("UPDATE merged SET x = x + 1.9, note = NULL WHERE id = 2") == [(1,)]
    assert len(set(before) - set(files(target))) == 1
    assert worker.rows("SELECT x, note FROM merged WHERE id = 2") == [(3, None)]


SOURCES = [
    ("changes s", ""), ("tests.changes AS s", ""), ("changes", ""), ("(SELECT * FROM changes) s", ""),
    ("changes VERSION AS OF 0 s", ""), ("c s", "WITH c AS (SELECT * FROM changes)"), ("seen s", ""),
    ("VALUES (2, 'b', 4, 'TWO') AS s (id, p, x, note)", ""),
]


@pytest.mark.parametrize("using, before", SOURCES, ids=[using for using, _ in SOURCES])
def test_engine_rewrites__sources(worker, target, using, before):
    worker.infos["main.tests.seen"] = {"kind": "VIEW", "table_type": "VIEW", "owner": "bob@example.com", "columns": [],
                                       "view_definition": "SELECT * FROM main.tests.changes"}
    s = "changes" if using == "changes" else "s"
    answer = worker.rows(f"{before} MERGE INTO main.tests.merged USING {using} ON tests.merged.id = {s}.id "
                         f"AND {s}.id = :id WHEN MATCHED AND {s}.note = :note THEN UPDATE SET *",
                         parameters=[{"name": "id", "value": "2", "type": "BIGINT"}, {"name": "note", "value": "TWO"}])
    assert answer == [(1, 1, 0, 0)]
    assert worker.rows("SELECT note FROM merged WHERE id = 2") == [("TWO",)]


@pytest.mark.parametrize("whens, rows", [
    ("WHEN MATCHED THEN DELETE", (2, 0, 2, 0)),
    ("WHEN NOT MATCHED THEN INSERT *", (2, 0, 0, 2)),
    ("WHEN MATCHED AND s.x = 1 THEN UPDATE SET x = 0", (2, 2, 0, 0)),
    ("WHEN MATCHED AND s.x < 9 THEN UPDATE SET x = 0", None),
    ("WHEN MATCHED AND s.x = 1 THEN UPDATE SET x = 0 WHEN NOT MATCHED THEN INSERT *", None),
    ("WHEN MATCHED AND true THEN DELETE", None),
])
def test_engine_rewrites__several_matches(worker, target, whens, rows):
    merge = ("MERGE INTO merged t USING VALUES (1, 'a', 1, 'y'), (1, 'b', 2, 'y'), (2, 'b', 1, 'y'), "
             f"(88, 'a', 1, 'n'), (88, 'a', 2, 'n') AS s (id, p, x, note) ON t.id = s.id {whens}")
    before = contents(target)
    if rows:
        assert worker.rows(merge) == [rows]
    else:
        with pytest.raises(Failed, match=r"\[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE\].*21506"):
            worker.run(merge)
        assert contents(target) == before


BAD = [
    (f"{MATCHED} MATCHED THEN UPDATE SET absent = 1", "UNRESOLVED_COLUMN.*no column `absent`.*pos"),
    (f"{MATCHED} MATCHED THEN UPDATE SET x = s.absent", "UNRESOLVED_COLUMN.*pos"),
    (f"{MATCHED} MATCHED THEN UPDATE SET x = 1, X = 2", "set twice"),
    (f"{MATCHED} MATCHED THEN UPDATE SET s.x = 1", "SET of anything but a column"),
    (f"{MATCHED} MATCHED THEN UPDATE SET x = s.note", "CAST_INVALID_INPUT"),
    (f"{MATCHED} MATCHED THEN DELETE WHEN MATCHED THEN DELETE", "only the last"),
    (f"{MATCHED} NOT MATCHED THEN INSERT (id) VALUES (t.id)", "UNRESOLVED_COLUMN"),
    (f"{MATCHED} NOT MATCHED THEN INSERT (id, id) VALUES (1, 2)", "twice"),
    (f"{MATCHED} NOT MATCHED THEN INSERT (id) VALUES (1, 2)", "names 1 columns, and gives 2 values"),
    (f"{MATCHED} NOT MATCHED BY SOURCE THEN UPDATE SET *", "has no source"),
    (f"{MATCHED} NOT MATCHED BY SOURCE AND s.id = 1 THEN DELETE", "UNRESOLVED_COLUMN"),
    (f"{MATCHED} NOT MATCHED THEN INSERT * EXCEPT (x)", "EXCEPT in MERGE"),
    (f"{MATCHED} MATCHED THEN DO NOTHING", "DO NOTHING"),
    ("MERGE INTO merged USING (SELECT id FROM changes) s ON merged.id = s.id WHEN MATCHED THEN UPDATE SET *",
     "no column `p`"),
    ("MERGE INTO merged t USING absent s ON t.id = s.id WHEN MATCHED THEN DELETE", "TABLE_OR_VIEW_NOT_FOUND"),
    ("MERGE INTO absent t USING changes s ON t.id = s.id WHEN MATCHED THEN DELETE", "TABLE_OR_VIEW_NOT_FOUND"),
    ("MERGE INTO merged VERSION AS OF 0 t USING changes s ON t.id = s.id WHEN MATCHED THEN DELETE", "old version"),
    ("MERGE INTO merged t USING `isthmus changes` s ON t.id = s.x WHEN MATCHED THEN DELETE", "TABLE_OR_VIEW_NOT_FOUND"),
    ("MERGE INTO merged t USING changes s ON t.id = s.id AND getenv('HOME') = '/' WHEN MATCHED THEN DELETE",
     "UNRESOLVED_ROUTINE"),
    ("UPDATE merged SET x = 1 WHERE getenv('HOME') = '/'", "UNRESOLVED_ROUTINE"),
]


@pytest.mark.parametrize("sql, match", BAD, ids=[sql for sql, _ in BAD])
def test_engine_rewrites__bad_statements(worker, target, sql, match):
    version = isthmus.Table(target).snapshot().version
    with pytest.raises(Failed, match=match) as failed:
        worker.run(sql)
    assert "isthmus " not in str(failed.value).replace("`isthmus changes`", "")  # but where the statement says so
    assert isthmus.Table(target).snapshot().version == version
    assert worker.rows("DELETE FROM merged WHERE id = 1") == [(1,)]  # nothing of the statement is left


def test_engine_rewrites__meanwhile_somebody_else(worker, target):
    """The source is looked up after the version that is merged into was read."""
    told, merge = worker._info, f"{MATCHED} MATCHED THEN UPDATE SET *"

    def meanwhile(asked):
        if asked["name"][2] == "changes":
            isthmus.write_deltalake(target, TARGET.slice(0, 1))
        return told(asked)

    worker._info = meanwhile
    try:
        with pytest.raises(Failed, match=r"\[DELTA_CONCURRENT_WRITE\].*2D521"):
            worker.run(merge)
    finally:
        del worker._info
    folder = isthmus.Table(target).uri.removeprefix("file://")
    data = {name for _, _, names in os.walk(folder) for name in names if name.endswith(".parquet")}
    assert {name for name in data if "checkpoint" not in name} == {os.path.basename(path) for path in files(target)}
    assert worker.rows(merge) == [(4, 4, 0, 0)]


def test_engine_rewrites__tables_that_are_not_changed(worker, source):
    worker.run("CREATE TABLE appended (id BIGINT NOT NULL) TBLPROPERTIES ('delta.appendOnly' = 'true')")
    worker.run("INSERT INTO appended VALUES (2)")
    for sql in ("DELETE FROM appended", "UPDATE appended SET id = 3",
                "MERGE INTO appended t USING changes s ON t.id = s.id WHEN MATCHED THEN DELETE"):
        with pytest.raises(Failed, match="takes appends only"):
            worker.run(sql)
    worker.run("DROP TABLE appended")
    worker.run("CREATE TABLE strict (id BIGINT NOT NULL)")
    with pytest.raises(Failed, match="id.*null"):
        worker.run("MERGE INTO strict t USING changes s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *")
    assert worker.rows("SELECT count(*) FROM strict") == [(0,)]
    worker.run("DROP TABLE strict")
