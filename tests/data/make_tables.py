"""make_tables.py: makes tests/data/tables with Spark (Delta 4.4) and delta-rs. Run by hand; its output is committed.

    python tests/data/make_tables.py [NAME...]     # all tables, or those whose names begin with one of these

Each table is a folder with `table/` and `expected.txt`: one line for each row as its own engine reads it, sorted. A line
is JSON: {"column": value}; dates are days and timestamps microseconds since 1970, decimals and binary (hex) strings,
maps arrays of [key, value], floats in 17 digits. tests/delta/test_scan.c reads the tables and compares.
The jars are taken from $ISTHMUS_JARS (default build/jars).
"""

import datetime
import decimal
import glob
import json
import os
import pathlib
import shutil
import sys

import pyarrow as pa

HERE = pathlib.Path(__file__).resolve().parent
TABLES = HERE / "tables"
EPOCH = datetime.datetime(1970, 1, 1)
EPOCH_UTC = EPOCH.replace(tzinfo=datetime.timezone.utc)


def text_of(value, type_):
    """One value as JSON text, in the form that test_scan.c writes."""
    if value is None:
        return "null"
    if pa.types.is_boolean(type_):
        return "true" if value else "false"
    if pa.types.is_integer(type_):
        return str(value)
    if pa.types.is_floating(type_):
        return "%.17g" % value
    if pa.types.is_decimal(type_):
        return '"%s"' % format(value, "f")
    if pa.types.is_date(type_):
        return str((value - EPOCH.date()).days)
    if pa.types.is_timestamp(type_):
        return str((value - (EPOCH_UTC if value.tzinfo else EPOCH)) // datetime.timedelta(microseconds=1))
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return json.dumps(value, ensure_ascii=False)
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return '"%s"' % value.hex()
    if pa.types.is_map(type_):
        return "[%s]" % ",".join("[%s,%s]" % (text_of(k, type_.key_type), text_of(v, type_.item_type)) for k, v in value)
    if pa.types.is_list(type_):
        return "[%s]" % ",".join(text_of(v, type_.value_type) for v in value)
    if pa.types.is_struct(type_):
        return "{%s}" % ",".join('"%s":%s' % (f.name, text_of(value[f.name], f.type)) for f in type_)
    if pa.types.is_null(type_):
        return "null"
    raise TypeError(str(type_))


def lines_of(table):
    columns = [column.to_pylist() for column in table.columns]
    lines = []
    for row in zip(*columns):
        cells = ['"%s":%s' % (f.name, text_of(v, f.type)) for f, v in zip(table.schema, row)]
        lines.append("{%s}" % ",".join(cells))
    return sorted(line.encode() for line in lines)


def finish(name, table):
    """Write the expected rows and drop Hadoop's own checksum files."""
    (TABLES / name / "expected.txt").write_bytes(b"".join(line + b"\n" for line in lines_of(table)))
    for path in glob.glob(str(TABLES / name / "table" / "**" / ".*.crc"), recursive=True, include_hidden=True):
        os.unlink(path)
    print(name, table.num_rows, "rows")


WANTED = sys.argv[1:]


def start(name):
    """The path of the table to make; None where it was not asked for."""
    if WANTED and not any(name.startswith(w) for w in WANTED):
        return None
    shutil.rmtree(TABLES / name, ignore_errors=True)
    (TABLES / name).mkdir(parents=True)
    return str(TABLES / name / "table")


# ---- delta-rs --------------------------------------------------------------------------------------------------


def make_rs():
    import deltalake

    rows = pa.table({"id": pa.array(range(6), pa.int64()),
                     "p": ["a b", "c=d/e", None, "é%", "q'\"", "a b"],
                     "s": ["x", None, "", "new\nline", "\u20ac", "z"]})
    path = start("rs_plain")
    if path:
        deltalake.write_deltalake(path, rows)
        deltalake.write_deltalake(path, rows, mode="append")
        finish("rs_plain", deltalake.DeltaTable(path).to_pyarrow_table())
    path = start("rs_partitioned_checkpoint")
    if path:
        deltalake.write_deltalake(path, rows, partition_by=["p"])
        deltalake.DeltaTable(path).delete("id = 3")
        deltalake.DeltaTable(path).create_checkpoint()
        deltalake.write_deltalake(path, rows.slice(0, 2), mode="append")
        finish("rs_partitioned_checkpoint", deltalake.DeltaTable(path).to_pyarrow_table())


def make_row_groups():
    """An inline deletion vector of the portable form over row groups of 13 rows."""
    import struct

    import deltalake
    import pyarrow.parquet

    path = start("rs_vector_row_groups")
    if not path:
        return
    os.makedirs(path + "/_delta_log")
    pyarrow.parquet.write_table(pa.table({"id": pa.array(range(100), pa.int64())}), path + "/f.parquet", row_group_size=13)
    gone = [0, 1, 12, 13, 14, 25, 26, 31, 38, 39, 40, 77, 98, 99]
    roaring = struct.pack("<IIHHI", 12346, 1, 0, len(gone) - 1, 16) + struct.pack("<%dH" % len(gone), *gone)
    data = struct.pack("<IQI", 1681511377, 1, 0) + roaring
    z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    words = struct.unpack(">%dI" % (len(data) // 4), data)
    text = "".join(z85[word // 85 ** place % 85] for word in words for place in (4, 3, 2, 1, 0))
    schema = {"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]}
    features = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"]}
    metadata = {"id": "rows", "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(schema),
                "partitionColumns": [], "configuration": {}}
    add = {"path": "f.parquet", "partitionValues": {}, "size": os.path.getsize(path + "/f.parquet"),
           "modificationTime": 1, "dataChange": True, "stats": '{"numRecords":100}',
           "deletionVector": {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(data),
                              "cardinality": len(gone)}}
    with open(path + "/_delta_log/%020d.json" % 0, "w") as log:
        for action in {"protocol": features}, {"metaData": metadata}, {"add": add}:
            log.write(json.dumps(action) + "\n")
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(path))
    finish("rs_vector_row_groups", pa.table(query.execute("select * from t")))


# ---- Spark -----------------------------------------------------------------------------------------------------


def make_spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    jars = glob.glob(os.environ.get("ISTHMUS_JARS", str(HERE.parent.parent / "build/jars")) + "/*.jar")
    spark = (SparkSession.builder.master("local[2]").appName("make_tables")
             .config("spark.jars", ",".join(jars))
             .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
             .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
             .config("spark.sql.shuffle.partitions", "2").config("spark.ui.enabled", "false")
             .config("spark.sql.session.timeZone", "UTC").config("spark.sql.ansi.enabled", "true")
             .config("spark.databricks.delta.snapshotPartitions", "2")
             .config("spark.sql.warehouse.dir", "/tmp/make_tables_warehouse").getOrCreate())
    sql = spark.sql

    def table(name, body):
        """Run `body(path)`, then take down what Spark reads."""
        path = start(name)
        if path:
            body(path)
            finish(name, spark.read.format("delta").load(path).toArrow())

    def create(path, columns, properties="", clauses=""):
        listed = ", ".join(p for p in (properties,) if p)
        sql(f"CREATE TABLE delta.`{path}` ({columns}) USING delta {clauses}"
            + (f" TBLPROPERTIES ({listed})" if listed else ""))

    def types(path):
        create(path, "b BOOLEAN, i8 TINYINT, i16 SMALLINT, i32 INT, i64 BIGINT, f FLOAT, d DOUBLE, n5 DECIMAL(5,2), "
                     "n18 DECIMAL(18,0), n38 DECIMAL(38,10), s STRING, x BINARY, dt DATE, ts TIMESTAMP, "
                     "st STRUCT<a: INT, in: STRUCT<b: STRING, c: ARRAY<INT>>>, ar ARRAY<STRUCT<k: STRING>>, "
                     "mp MAP<STRING, ARRAY<BIGINT>>")
        sql(f"""INSERT INTO delta.`{path}` SELECT true, 1, 2, 3, 4, 1.5, -2.25, 123.45, 123456789012345678,
                12345678901234567890.0123456789, 'text', X'00ff', DATE'2021-02-28', TIMESTAMP'2021-02-28 01:02:03.456789',
                struct(7, struct('deep', array(1, null, 3))), array(struct('k1'), null, struct(null)),
                map('one', array(1L), 'none', null, 'empty', array())""")
        sql(f"INSERT INTO delta.`{path}` (i64) VALUES (null), (9223372036854775807)")
        sql(f"INSERT INTO delta.`{path}` (i64, dt, ts, d, f, s) VALUES (-1, DATE'0001-01-01', "
            f"TIMESTAMP'0001-01-01 00:00:00', double('NaN'), float('Infinity'), ''), "
            f"(-2, DATE'9999-12-31', TIMESTAMP'9999-12-31 23:59:59.999999', double('-Infinity'), -0.0, 'ü')")

    table("spark_types", types)

    def partitioned(path):
        create(path, "id BIGINT, s STRING, d DATE, ts TIMESTAMP, i INT, n DECIMAL(10,3), b BOOLEAN, f DOUBLE",
               clauses="PARTITIONED BY (s, d, ts, i, n, b, f)")
        sql(f"""INSERT INTO delta.`{path}` VALUES
                (1, 'a b=c/d%e:é', DATE'2020-01-02', TIMESTAMP'2020-01-02 03:04:05.000006', -7, 1.25, true, 0.1),
                (2, null, null, null, null, null, null, null),
                (3, '__x#?&+''"{{}}', DATE'1969-12-31', TIMESTAMP'1969-12-31 23:59:59', 2147483647, -0.001, false, -1e300)""")
        sql(f"INSERT INTO delta.`{path}` VALUES (4, '', null, null, 0, 0, null, null)")

    table("spark_partitioned", partitioned)

    stats_as_struct = "'delta.checkpoint.writeStatsAsStruct'='true', 'delta.checkpoint.writeStatsAsJson'='false'"

    def several_commits(path, properties, clauses="PARTITIONED BY (p)"):
        create(path, "id BIGINT, p STRING, v DOUBLE, t TIMESTAMP, n DECIMAL(8,2), st STRUCT<a: INT>", properties, clauses)
        for i in range(6):
            sql(f"INSERT INTO delta.`{path}` VALUES ({i}, 'p{i % 2}', {i}.5, TIMESTAMP'2020-01-0{i + 1} 00:00:00.123456', "
                f"{i}.25, struct({i}))")
        sql(f"DELETE FROM delta.`{path}` WHERE id = 1")
        sql(f"INSERT INTO delta.`{path}` VALUES (100, null, null, null, null, null)")

    table("spark_checkpoint", lambda p: several_commits(p, "'delta.checkpointInterval'='3'"))
    table("spark_checkpoint_struct_stats",
          lambda p: several_commits(p, f"'delta.checkpointInterval'='4', {stats_as_struct}"))
    spark.conf.set("spark.databricks.delta.checkpoint.partSize", "2")
    table("spark_checkpoint_parts",
          lambda p: several_commits(p, "'delta.checkpointInterval'='4', 'delta.enableDeletionVectors'='false'"))
    v2 = "'delta.checkpointInterval'='4', 'delta.checkpointPolicy'='v2'"
    for form in "json", "parquet":
        spark.conf.set("spark.databricks.delta.checkpointV2.topLevelFileFormat", form)
        table(f"spark_v2_{form}", lambda p: several_commits(p, v2))
    spark.conf.unset("spark.databricks.delta.checkpoint.partSize")
    spark.conf.unset("spark.databricks.delta.checkpointV2.topLevelFileFormat")

    def vectors(path):
        create(path, "id BIGINT, s STRING", "'delta.enableDeletionVectors'='true', 'delta.checkpointInterval'='4'")
        spark.range(0, 2000, 1, 1).selectExpr("id", "concat('s', id) s").write.format("delta").mode("append").save(path)
        sql(f"DELETE FROM delta.`{path}` WHERE id % 3 = 1")
        sql(f"DELETE FROM delta.`{path}` WHERE id BETWEEN 100 AND 1900")
        sql(f"INSERT INTO delta.`{path}` VALUES (5000, 'new'), (5001, 'gone')")
        sql(f"DELETE FROM delta.`{path}` WHERE id = 5001")

    table("spark_vectors", vectors)

    def mapping(path, mode):
        create(path, "id BIGINT, a STRING, gone INT, st STRUCT<x: INT, y: STRING>, ar ARRAY<STRUCT<e: INT>>, p STRING",
               f"'delta.columnMapping.mode'='{mode}', 'delta.checkpointInterval'='4'", "PARTITIONED BY (p)")
        sql(f"INSERT INTO delta.`{path}` VALUES (1, 'one', 11, struct(1, 'y1'), array(struct(5)), 'p 1')")
        sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN a TO `b c`")
        sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN st.x TO z")
        sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN ar.element.e TO f")
        sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN p TO q")
        sql(f"ALTER TABLE delta.`{path}` DROP COLUMN gone")
        sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS (a INT, gone STRING, st.w DOUBLE)")
        sql(f"INSERT INTO delta.`{path}` (id, `b c`, st, ar, q, a, gone) "
            f"VALUES (2, 'two', named_struct('z', 2, 'y', 'y2', 'w', 2.5), array(struct(6), null), null, 22, 'back')")

    table("spark_mapping_name", lambda p: mapping(p, "name"))
    table("spark_mapping_id", lambda p: mapping(p, "id"))

    def mapping_upgrade(path):
        create(path, "id BIGINT, a STRING")
        sql(f"INSERT INTO delta.`{path}` VALUES (1, 'old')")
        sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.columnMapping.mode'='name', "
            f"'delta.minReaderVersion'='2', 'delta.minWriterVersion'='5')")
        sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN a TO c")
        sql(f"INSERT INTO delta.`{path}` VALUES (2, 'new')")

    table("spark_mapping_upgrade", mapping_upgrade)

    def widening(path):
        create(path, "i8 TINYINT, i16 SMALLINT, i32 INT, f FLOAT, n DECIMAL(5,2), dt DATE, i2d INT, i2n INT, "
                     "st STRUCT<a: INT>, mp MAP<STRING, INT>, ar ARRAY<SMALLINT>, p INT",
               "'delta.enableTypeWidening'='true', 'delta.feature.timestampNtz'='supported'", "PARTITIONED BY (p)")
        sql(f"INSERT INTO delta.`{path}` VALUES (1, 2, 3, 1.5, 123.45, DATE'2020-02-29', 4, 5, struct(6), map('k', 7), "
            f"array(8, null), 9)")
        for change in ("i8 TYPE INT", "i16 TYPE BIGINT", "i32 TYPE BIGINT", "f TYPE DOUBLE", "n TYPE DECIMAL(12,4)",
                       "dt TYPE TIMESTAMP_NTZ", "i2d TYPE DOUBLE", "i2n TYPE DECIMAL(12,1)", "st.a TYPE BIGINT",
                       "mp.value TYPE BIGINT", "ar.element TYPE INT", "p TYPE BIGINT"):
            sql(f"ALTER TABLE delta.`{path}` ALTER COLUMN {change}")
        sql(f"INSERT INTO delta.`{path}` VALUES (100000, 5000000000, 5000000000, 0.1, 12345678.1234, "
            f"TIMESTAMP_NTZ'2020-01-01 00:00:00.000001', 0.1, 12345678901.5, struct(5000000000L), "
            f"map('k', 5000000000L), array(100000), 5000000000)")

    table("spark_widening", widening)

    def ntz(path):
        create(path, "id INT, t TIMESTAMP_NTZ, p TIMESTAMP_NTZ", clauses="PARTITIONED BY (p)")
        sql(f"INSERT INTO delta.`{path}` VALUES (1, TIMESTAMP_NTZ'2021-11-18 02:30:00.123456', "
            f"TIMESTAMP_NTZ'2021-11-18 02:30:00.123'), (2, null, null)")

    table("spark_ntz", ntz)

    def schema_change(path):
        create(path, "id BIGINT, s STRING")
        sql(f"INSERT INTO delta.`{path}` VALUES (1, 'one')")
        sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS (extra ARRAY<INT> AFTER id, st STRUCT<a: INT>)")
        sql(f"INSERT INTO delta.`{path}` VALUES (2, array(1), 'two', struct(3))")
        sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS (st.b STRING)")
        sql(f"INSERT INTO delta.`{path}` VALUES (3, null, 'three', struct(4, 'b'))")

    table("spark_schema_change", schema_change)

    def features(path):
        """What a catalog-managed table has, but for catalogManaged itself."""
        create(path, "id BIGINT, c STRING",
               "'delta.enableInCommitTimestamps'='true', 'delta.enableRowTracking'='true', "
               "'delta.enableDeletionVectors'='true', 'delta.checkpointPolicy'='v2', 'delta.checkpointInterval'='3', "
               "'delta.feature.vacuumProtocolCheck'='supported', 'delta.columnMapping.mode'='name', "
               "'delta.appendOnly'='false', 'delta.enableChangeDataFeed'='true'", "CLUSTER BY (c)")
        for i in range(4):
            sql(f"INSERT INTO delta.`{path}` VALUES ({i}, 'c{i}'), ({i + 10}, null)")
        sql(f"DELETE FROM delta.`{path}` WHERE id = 11")

    table("spark_features", features)
    spark.stop()


if __name__ == "__main__":
    make_rs()
    make_row_groups()
    make_spark()
