"""deltaray where it is not installed: Delta tables as Ray Datasets."""

import isthmus

__all__ = ["read_delta"]


def read_delta(table_uri, *, version=None, storage_options=None, without_files=False, columns=None, parallelism=-1,
               ray_remote_args=None, **arguments):
    """isthmus.read_delta under deltaray's arguments. Names of tables are taken besides URIs and paths."""
    if arguments:
        raise isthmus.UnsupportedError(f"read_delta: {', '.join(arguments)}: deltaray takes them for PyArrow's Parquet "
                                       "reader, which is not used here")
    blocks = {"override_num_blocks": parallelism} if parallelism > 0 else {}
    return isthmus.read_delta(table_uri, version, columns, **blocks, **(ray_remote_args or {}))
