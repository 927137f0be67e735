"""DeltaDataset as DuckDB, Polars and pyarrow use it, against the same rows in memory."""

import duckdb
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

import isthmus
from isthmus import errors
from isthmus.dataset import DeltaDataset


@pytest.fixture
def table(path, rows):
    isthmus.write_deltalake(path, rows)
    return DeltaDataset(path)


def test_scanner_is_a_scanner(table, rows):
    scanner = table.scanner(columns=["text", "id"], filter=pc.field("number") > 5)
    assert scanner.projected_schema.names == ["text", "id"]
    expected = ds.dataset(rows).to_table(columns=["text", "id"], filter=pc.field("number") > 5)
    assert scanner.to_table().to_pylist() == expected.to_pylist()
    doubled = table.scanner(columns={"twice": pc.field("id") * 2}).to_reader().read_all()
    assert doubled["twice"].to_pylist()[:2] == [0, 2]


def test_what_pyarrow_datasets_do(table, rows):
    assert table.schema.names == rows.schema.names
    assert table.count_rows() == table.count_rows(filter=pc.field("id") >= 0) == 100
    assert table.head(3, columns=["id"]).to_pydict() == {"id": [0, 1, 2]}
    assert table.take([5, 7], columns=["id"]).to_pydict() == {"id": [5, 7]}
    low = table.filter(pc.field("id") < 10)
    assert (low.count_rows(), low.filter(pc.field("id") > 7).to_table()["id"].to_pylist()) == (10, [8, 9])
    assert table.sort_by([("id", "descending")]).head(1)["id"].to_pylist() == [99]
    assert sum(batch.num_rows for batch in table.to_batches(batch_size=7)) == 100
    for call in (table.get_fragments, lambda: table.replace_schema(rows.schema), table.__reduce__):
        with pytest.raises(errors.UnsupportedError):
            call()


def test_joins(path):
    isthmus.write_deltalake(path, {"id": [1, 2, 3], "v": ["a", "b", "c"]})
    table = DeltaDataset(path)
    joined = table.join(table.filter(pc.field("id") > 1), "id", right_suffix="_right", join_type="inner")
    assert joined.sort_by("id").to_table().to_pydict() == {"id": [2, 3], "v": ["b", "c"], "v_right": ["b", "c"]}


def test_duckdb_scans_it(table, rows):
    with duckdb.connect() as connection:
        connection.register("t", table)
        connection.register("r", rows)
        for query in ("SELECT count(*) FROM {}", "SELECT id, text FROM {} WHERE text > 'b' AND id < 50 ORDER BY id",
                      "SELECT number % 3 AS g, sum(amount), max(day) FROM {} GROUP BY g ORDER BY g",
                      'SELECT count(*) FROM {} WHERE day IS NULL OR "at" > TIMESTAMPTZ \'2020-01-01 00:00:00+00\''):
            assert connection.sql(query.format("t")).fetchall() == connection.sql(query.format("r")).fetchall(), query
