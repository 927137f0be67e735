"""Parts that tasks wrote, turned into one table in one commit."""

import fnmatch
import functools
import os
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs

from isthmus import delta, errors, fs, progress
from isthmus.catalog import locate

FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet",
           ".arrow": "arrow", ".feather": "arrow"}
LOOK_INTO = 50  # text parts whose beginnings decide about the columns


def gather(prefix, table, *, format=None, mode="append", schema=None, schema_mode=None, header=True, delimiter=",",
           partition_by=None, app_id=None):
    """Turn the parts below a prefix into rows of a table, as one version. The parts stream through: memory does not grow
    with them. Inside a Ray cluster its workers read and write them (Dataset.write_databricks_table), else this process.

        isthmus.gather("/dbfs/tmp/run-17", "main.demo.results")
        isthmus.gather("/Volumes/main/demo/raw/*.csv", "main.demo.raw", mode="overwrite")

    prefix       a folder (all parts below it, but those named _x or .x), a file, or a pattern with *; in a volume, on this
                 machine, or by URI
    table        name, path or URI, as of isthmus.write_deltalake
    format       "csv", "json" (one object per line), "parquet", "arrow"; without it, by the parts' extension
    schema       pyarrow Schema of the rows. Without it the columns of all parts together: those of Parquet and Arrow parts
                 from their footers, of text parts from the beginning of the first 50; a column that a part lacks is null
    header       CSV: the first line of each part holds the names; else columns are f0, f1...
    mode, schema_mode, partition_by, app_id   as of isthmus.write_deltalake

    Returns the CommitResult. Raises NotFoundError (no parts), BadInputError (formats are mixed, a part does not fit the
    schema: names it), and what write_deltalake raises. Nothing is written then.
    """
    filesystem, found = find_parts(prefix)
    parts = [info.path for info in found]
    dataset = _dataset(filesystem, parts, format or _format_of(parts, prefix), schema, header, delimiter)
    pieces = [functools.partial(_read, fragment, dataset.schema) for fragment in dataset.get_fragments()]
    options = dict(mode=mode, partition_by=partition_by)
    if "ray" in sys.modules and sys.modules["ray"].is_initialized() and locate(table, missing_ok=True).name:
        return _by_workers(pieces, [info.size for info in found], dataset.schema, table, schema_mode, options)
    with progress.bar(f"gather {prefix}", total=len(pieces)) as bar:
        rows = pa.RecordBatchReader.from_batches(dataset.schema, bar.counted(_batches(pieces, bar)))
        return delta.write_deltalake(table, rows, schema_mode=schema_mode, app_id=app_id, **options)


def _batches(pieces, bar):
    for read in pieces:
        for rows in read():
            yield from rows.to_batches()
        bar.step()


def find_parts(prefix):
    """(pyarrow filesystem, pyarrow FileInfo of each part, in order of name)"""
    text = os.fspath(prefix)
    pattern = "*" in text
    root = text[:text.index("*")].rpartition("/")[0] if pattern else text
    if fs.is_path(text):
        filesystem, root, text = fs.arrow(), fs.VolumeFileSystem._strip_protocol(root), _volume_pattern(text)
    else:
        filesystem, root = pyarrow.fs.FileSystem.from_uri(root if "://" in root else os.path.abspath(root))
        text = root + text[text.index("*") - 1:] if pattern and "://" in text else os.path.abspath(text)
    try:
        found = filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True))
    except (NotADirectoryError, FileNotFoundError):
        found = [filesystem.get_file_info(root)]
    parts = sorted((info for info in found if info.type == pyarrow.fs.FileType.File and info.size
                    and not any(step[0] in "_." for step in info.path[len(root):].split("/") if step)
                    and (not pattern or fnmatch.fnmatch(info.path, text))), key=lambda info: info.path)
    if not parts:
        raise errors.NotFoundError(f"{prefix}: no parts are there")
    return filesystem, parts


def _volume_pattern(text):
    head, star, tail = text.partition("*")
    folder, _, start = head.rpartition("/")
    return f"{fs.VolumeFileSystem._strip_protocol(folder)}/{start}{star}{tail}"


def _format_of(parts, prefix):
    found = {FORMATS.get(os.path.splitext(part.removesuffix(".gz"))[1].lower()) for part in parts}
    if len(found) > 1 or None in found:
        names = ", ".join(sorted({os.path.splitext(part)[1] or "none" for part in parts}))
        raise errors.BadInputError(f"{prefix}: the parts' extensions ({names}) do not tell one format; say format="
                                   "'csv', 'json', 'parquet' or 'arrow', or narrow the prefix by a pattern (/*.csv)")
    return found.pop()


def _dataset(filesystem, parts, format, schema, header, delimiter):
    if format == "csv":
        read = pyarrow.csv.ReadOptions(autogenerate_column_names=not header)
        format = pyarrow.dataset.CsvFileFormat(pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                                               read_options=read)
    factory = pyarrow.dataset.FileSystemDatasetFactory(
        filesystem, parts, pyarrow.dataset._ensure_format(format) if isinstance(format, str) else format)
    if schema is None:
        text = format == "json" or isinstance(format, pyarrow.dataset.CsvFileFormat)
        schema = _without_nulls(factory.inspect(promote_options="permissive", fragments=LOOK_INTO if text else None))
    return factory.finish(schema)


def _without_nulls(schema):
    """A column of which nothing is known yet may become text."""
    return pa.schema([field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema])


def _read(fragment, schema):
    try:
        for batch in fragment.to_batches(schema=schema, batch_readahead=2, fragment_readahead=1):
            yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as error:
        raise errors.BadInputError(f"{fragment.path}: {error}; give schema= for the columns, or mend the part") from None


def _by_workers(pieces, sizes, schema, table, schema_mode, options):
    from isthmus import ray

    parts = [ray.Piece(None, size, read) for size, read in zip(sizes, pieces)]
    return ray.read_pieces("Parts", schema, parts, []).write_databricks_table(
        table, mergeSchema=schema_mode == "merge", overwriteSchema=schema_mode == "overwrite", **options)
