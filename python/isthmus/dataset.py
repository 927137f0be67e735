"""A Delta table as a pyarrow dataset: what DuckDB, Polars and pyarrow scan with projection and filter.

    scores = isthmus.dataset.DeltaDataset("main.demo.scores")
    scores.to_table(columns=["user"], filter=pc.field("score") > 0.9)
    duckdb.sql("SELECT avg(score) FROM scores WHERE user = 'alice'")
"""

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

    def scanner(self, columns=None, filter=None, **options):
        """A pyarrow Scanner, to be read once. `options` are those of pyarrow.dataset.Scanner.from_batches; hints on how to
        read files (fragment_scan_options, fragment_readahead, cache_metadata) have no meaning here."""
        for hint in ("fragment_scan_options", "fragment_readahead", "cache_metadata"):
            options.pop(hint, None)
        if self._filter is not None:
            filter = self._filter if filter is None else self._filter & filter
        read = columns if filter is None and isinstance(columns, list) else None
        return ds.Scanner.from_batches(self.snapshot.scan(read).read(), columns=columns, filter=filter, **options)

    def count_rows(self, filter=None, **options):
        if filter is None and self._filter is None and self.snapshot.rows is not None:
            return self.snapshot.rows
        return self.scanner(filter=filter, **options).count_rows()

    def filter(self, expression):
        """The dataset of the rows that the expression is true for."""
        filtered = DeltaDataset(self.snapshot)
        filtered._filter = expression if self._filter is None else self._filter & expression
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
