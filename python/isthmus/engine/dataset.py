"""A snapshot as a pyarrow dataset, which DuckDB scans with projection and filter."""

import pyarrow.dataset as ds


class SnapshotDataset(ds.Dataset):
    """The rows of a Snapshot."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        self._schema = snapshot.schema

    schema = property(lambda self: self._schema)

    def scanner(self, columns=None, filter=None, **_):
        return ds.Scanner.from_batches(self.snapshot.scan(None).read(), columns=columns, filter=filter)
