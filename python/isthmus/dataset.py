"""A Delta table as a pyarrow dataset: what DuckDB, Polars and pyarrow scan with projection and filter.

    scores = isthmus.dataset.DeltaDataset("main.demo.scores")
    scores.to_table(columns=["user"], filter=pc.field("score") > 0.9)
    duckdb.sql("SELECT avg(score) FROM scores WHERE user = 'alice'")
"""

import os

import pyarrow.dataset as ds

from isthmus import errors, native
from isthmus.delta import Table


class DeltaDataset(ds.Dataset):
    """The rows of a Delta table at one version (the newest, if none is given). A filter is applied exactly.

    table   name, path, URI, isthmus.Table, or a native.Snapshot
    """

    def __init__(self, table, version=None, timestamp=None):
        if not isinstance(table, native.Snapshot):
            table = (table if isinstance(table, Table) else Table(table)).snapshot(version, timestamp)
        self.snapshot = table
        self._filter = None
        self._schema = table.schema

    schema = property(lambda self: self._schema)

    def scanner(self, columns=None, filter=None, use_threads=True, **options):
        """A pyarrow Scanner, to be read once. Columns and filter are those of pyarrow's datasets and are pushed into the
        scan; without use_threads rows come in the order of the log's files. Of the further options those of
        pyarrow.dataset.Scanner.from_batches count (batch_size...), and hints on how to read files do not."""
        for hint in ("fragment_scan_options", "fragment_readahead", "cache_metadata"):
            options.pop(hint, None)
        names = None if columns is None or isinstance(columns, dict) else list(columns)
        scan = self.snapshot.scan(names, self._narrowed(filter), os.cpu_count() if use_threads else 0)
        return ds.Scanner.from_batches(scan.read(), columns=columns, use_threads=use_threads, **options)

    def head(self, num_rows, columns=None, filter=None, **options):
        return self.scanner(columns, filter, **{**options, "use_threads": False}).head(num_rows)

    def count_rows(self, filter=None, **options):
        scan = self.snapshot.scan([], self._narrowed(filter), os.cpu_count())
        return sum(batch.num_rows for batch in scan.read())

    def _narrowed(self, filter):
        if self._filter is None or filter is None:
            return self._filter if filter is None else filter
        return self._filter & filter

    def filter(self, expression):
        """The dataset of the rows that the expression is true for."""
        filtered = DeltaDataset(self.snapshot)
        filtered._filter = self._narrowed(expression)
        return filtered

    def sort_by(self, sorting, **options):
        return self._in_memory().sort_by(sorting, **options)

    def join(self, right_dataset, keys, *args, **options):
        return self._in_memory().join(_joinable(right_dataset), keys, *args, **options)

    def join_asof(self, right_dataset, *args, **options):
        return self._in_memory().join_asof(_joinable(right_dataset), *args, **options)

    def _in_memory(self):
        return ds.InMemoryDataset(self.to_table())

    # What pyarrow's own datasets tell of their files. A Delta table's rows are not what its files hold.

    def get_fragments(self, filter=None):
        raise errors.UnsupportedError("a Delta table has no fragments to be read by themselves: use scanner()")

    def replace_schema(self, schema):
        raise errors.UnsupportedError("a Delta table's schema is the table's own: cast its rows")

    partition_expression = property(lambda self: ds.scalar(True))

    def __reduce__(self):
        raise errors.UnsupportedError("a DeltaDataset stays in its process: send the table's name or path")

    def __repr__(self):
        return f"<DeltaDataset of {self.snapshot!r}>"


def _joinable(dataset):
    return dataset._in_memory() if isinstance(dataset, DeltaDataset) else dataset
