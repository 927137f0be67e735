"""Databricks' statements about the catalog's objects, in Spark SQL: volumes, grants, catalogs, comments."""

import pytest
from pyspark.errors import AnalysisException, ParseException

from isthmus import catalog

ALICE = "alice.statements@example.com"


@pytest.fixture(scope="module")
def place(services):
    """A schema of this file's own, and somebody to grant things to."""
    server = catalog.connect()
    server.create_schema("main.statements")
    server.create_user(ALICE)
    yield "main.statements"
    server.delete_schema("main.statements", force=True)
    server.delete_user(ALICE)


@pytest.fixture
def sql(session, place):
    before = session.catalog.currentCatalog()
    session.catalog.setCurrentCatalog("main")  # other files leave catalogs in the session, one of a server that is down
    yield lambda text: [tuple(row) for row in session.sql(text).collect()]
    session.catalog.setCurrentCatalog(before)


def test_volumes(session, sql, place, tmp_path):
    sql(f"CREATE VOLUME {place}.raw COMMENT 'it''s raw'")
    sql(f"CREATE VOLUME IF NOT EXISTS {place}.raw")
    sql(f"create external volume {place}.out location 'file://{tmp_path}/out' -- elsewhere")
    shown = session.sql(f"SHOW VOLUMES IN {place}")
    assert shown.columns == ["database", "volume_name"]
    assert [tuple(row) for row in shown.collect()] == [("statements", "out"), ("statements", "raw")]
    assert sql(f"SHOW VOLUMES FROM {place} LIKE 'r*|x'") == sql(f"SHOW VOLUMES IN {place} 'raw';") \
        == [("statements", "raw")]
    described = session.sql(f"DESCRIBE VOLUME {place}.out").first().asDict()
    assert (described["name"], described["catalog"], described["database"]) == ("out", "main", "statements")
    assert (described["volumeType"], described["storageLocation"]) == ("EXTERNAL", f"file://{tmp_path}/out")
    session.createDataFrame([(1,)], "id INT").write.csv(f"/Volumes/main/statements/raw/{type(session).__module__}")
    sql(f"COMMENT ON VOLUME {place}.raw IS 'better'")
    assert session.sql(f"DESC VOLUME {place}.raw").first()["comment"] == "better"
    sql(f"DROP VOLUME {place}.raw")
    sql(f"DROP VOLUME IF EXISTS {place}.raw")
    sql(f"DROP VOLUME {place}.out")
    assert sql(f"SHOW VOLUMES IN {place}") == []


def test_names_are_completed_by_the_session(session, sql, place):
    before = session.catalog.currentCatalog()
    sql(f"USE {place}")
    try:
        sql("CREATE VOLUME near")
        assert sql("SHOW VOLUMES") == [("statements", "near")]
        assert session.sql("DESCRIBE VOLUME statements.near").first()["catalog"] == "main"
        sql("DROP VOLUME near")
    finally:
        session.catalog.setCurrentCatalog(before)


def test_grants(session, sql, place):
    sql(f"CREATE TABLE {place}.granted (id INT)")
    sql(f"GRANT SELECT, MODIFY ON TABLE {place}.granted TO `{ALICE}`")
    sql(f"GRANT USE SCHEMA ON SCHEMA {place} TO `{ALICE}`")
    shown = session.sql(f"SHOW GRANTS ON TABLE {place}.granted")
    assert shown.columns == ["principal", "actionType", "objectType", "objectKey"]
    granted = [(ALICE, "SELECT", "TABLE", f"{place}.granted"), (ALICE, "MODIFY", "TABLE", f"{place}.granted"),
               (ALICE, "USE SCHEMA", "SCHEMA", place)]
    assert [tuple(row) for row in shown.collect() if row["principal"] == ALICE] == granted
    assert sql(f"SHOW GRANTS `{ALICE}` ON {place}.granted") == granted
    assert catalog.connect().grants("table", f"{place}.granted") == {ALICE: ["SELECT", "MODIFY"]}
    sql(f"REVOKE MODIFY ON {place}.granted FROM `{ALICE}`")
    assert catalog.connect().grants("table", f"{place}.granted") == {ALICE: ["SELECT"]}
    sql(f"GRANT ALL PRIVILEGES ON DATABASE {place} TO `{ALICE}`")
    every = catalog.connect().grants("schema", place)[ALICE]
    assert {"USE SCHEMA", "SELECT", "WRITE VOLUME", "CREATE TABLE"} < set(every) and "MANAGE" not in every
    sql(f"REVOKE ALL PRIVILEGES ON SCHEMA {place} FROM `{ALICE}`")
    assert ALICE not in catalog.connect().grants("schema", place)
    sql(f"GRANT CREATE CATALOG ON METASTORE TO `{ALICE}`")
    assert (ALICE, "CREATE CATALOG", "METASTORE", "") in sql(f"SHOW GRANTS `{ALICE}` ON METASTORE")
    sql(f"REVOKE CREATE CATALOG ON METASTORE FROM `{ALICE}`")
    sql(f"DROP TABLE {place}.granted")


def test_catalogs(session, sql, place):
    name = f"statements_{type(session).__module__.split('.')[2]}"
    sql(f"CREATE CATALOG {name} COMMENT 'sales'")
    sql(f"CREATE CATALOG IF NOT EXISTS {name}")
    sql(f"CREATE SCHEMA {name}.inner")
    sql(f"CREATE TABLE {name}.inner.t AS SELECT 1 AS id")
    assert sql(f"SELECT * FROM {name}.inner.t") == [(1,)]
    assert (name,) in sql("SHOW CATALOGS")
    sql(f"COMMENT ON CATALOG {name} IS 'of sales'")
    assert catalog.connect().get("catalog", name)["comment"] == "of sales"
    with pytest.raises(AnalysisException, match="DROP CATALOG: .*not empty|schema"):
        sql(f"DROP CATALOG {name}")
    sql(f"DROP CATALOG {name} CASCADE")
    sql(f"DROP CATALOG IF EXISTS {name}")
    assert name not in [info["name"] for info in catalog.connect().list_catalogs()]


def test_comments(session, sql, place):
    sql(f"CREATE TABLE {place}.told (id INT)")
    sql(f"COMMENT ON TABLE {place}.told IS 'about it'")
    sql(f"COMMENT ON COLUMN {place}.told.id IS 'it\\'s \"an id\"'")
    sql(f"COMMENT ON SCHEMA {place} IS 'statements'")
    assert sql(f"DESCRIBE {place}.told") == [("id", "int", "it's \"an id\"")]
    assert catalog.connect().get_schema(place)["comment"] == "statements"
    sql(f"COMMENT ON COLUMN {place}.told.id IS NULL")
    assert sql(f"DESCRIBE {place}.told")[0][2] in (None, "")
    sql(f"DROP TABLE {place}.told")


@pytest.mark.parametrize("text, message, position", [
    ("GRANT SELECT ON TABLE main.a.t", "expected TO", 30),
    ("GRANT SELECT ON TABLE main.a.t TO a-b", "between backquotes", 35),
    ("REVOKE SELECT ON main.a.t TO x", "expected FROM", 26),
    ("GRANT ON TABLE t TO x", "expected a privilege", 6),
    ("CREATE EXTERNAL VOLUME v", "expected LOCATION", 24),
    ("CREATE VOLUME v LOCATION 'x'", "CREATE EXTERNAL VOLUME", 16),
    ("DROP VOLUME a.b.c.d", "at most 3 parts", 17),
    ("SHOW VOLUMES IN main.a LIKE raw", "expected the pattern", 28),
    ("COMMENT ON CATALOG main IS 1", "expected the comment", 27),
    ("DROP CATALOG a b", "end of the statement", 15),
])
def test_syntax_errors_have_a_place(session, text, message, position):
    with pytest.raises(ParseException, match=message) as caught:
        session.sql(text)
    assert f"line 1, pos {position}" in str(caught.value)


def test_refusals_are_in_the_servers_words(session, sql, place):
    for text, message in ((f"DROP VOLUME {place}.none", "DROP VOLUME: Volume not found"),
                          (f"GRANT SELECT ON TABLE {place}.none TO `{ALICE}`", "GRANT: Table not found"),
                          (f"GRANT FLY ON SCHEMA {place} TO `{ALICE}`", "GRANT: 'FLY' is not a privilege"),
                          (f"GRANT USE CATALOG ON SCHEMA {place} TO `{ALICE}`", "not a privilege on a schema"),
                          (f"GRANT SELECT ON SCHEMA {place} TO nobody", "GRANT: .*nobody")):
        with pytest.raises(AnalysisException, match=message):
            sql(text)


def test_other_statements_are_as_before(session, sql, place):
    """Words that begin our statements are names to others."""
    sql(f"CREATE TABLE {place}.volume (grant INT, catalog STRING)")
    sql(f"USE {place}")
    try:
        assert [row[0] for row in sql("DESCRIBE volume")] == ["grant", "catalog"]
        sql("INSERT INTO volume SELECT 1, 'grant'")
        assert sql("SELECT grant, catalog FROM volume") == [(1, "grant")]
        for text, args in (("grant = :n", {"n": 1}), ("grant = ?", [1])):
            assert session.sql(f"SELECT catalog FROM volume WHERE {text}", args).first()[0] == "grant"
        assert session.sql("DESCRIBE HISTORY volume LIMIT 1", {"n": 1}).count() == 1
    finally:
        sql("USE spark_catalog.default")
        sql(f"DROP TABLE {place}.volume")
