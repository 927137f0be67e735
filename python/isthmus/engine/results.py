"""Record batches into chunks: files in their final format, unlinked from the start, handed over as descriptors.

Formats are those of the Statement Execution API:
  ARROW_STREAM  an Arrow IPC stream per chunk, in one LZ4 frame if that is asked for
  JSON_ARRAY    an array of rows, which are arrays of texts or null
  CSV           RFC 4180; the first chunk begins with the names; null is the word null
Texts are Databricks': instants in UTC as ISO 8601, binary in base64, nested values as JSON.

A chunk ends when it holds about chunk_bytes, counted as Arrow holds them; so are byte_limit and inline_limit. One chunk
is in the making at a time, and of it one batch is in memory.
"""

import base64
import errno
import json
import math
import os
import tempfile

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.engine.errors import StatementError

# ---- types -----------------------------------------------------------------------------------------------------------

_SIMPLE = (  # Arrow's type, Databricks' type_name and type_text
    (pa.null(), "NULL", "VOID"),
    (pa.bool_(), "BOOLEAN", "BOOLEAN"),
    (pa.int8(), "BYTE", "TINYINT"),
    (pa.int16(), "SHORT", "SMALLINT"),
    (pa.int32(), "INT", "INT"),
    (pa.int64(), "LONG", "BIGINT"),
    (pa.float32(), "FLOAT", "FLOAT"),
    (pa.float64(), "DOUBLE", "DOUBLE"),
    (pa.string(), "STRING", "STRING"),
    (pa.binary(), "BINARY", "BINARY"),
    (pa.date32(), "DATE", "DATE"),
    (pa.timestamp("us", "UTC"), "TIMESTAMP", "TIMESTAMP"),
    (pa.timestamp("us"), "TIMESTAMP_NTZ", "TIMESTAMP_NTZ"),
)
_NAMES = {arrow: (name, text) for arrow, name, text in _SIMPLE}


def type_names(type):
    """(type_name, type_text) of an Arrow type."""
    if type in _NAMES:
        return _NAMES[type]
    if pa.types.is_decimal128(type):
        return "DECIMAL", f"DECIMAL({type.precision},{type.scale})"
    if pa.types.is_map(type):
        return "MAP", f"MAP<{type_names(type.key_type)[1]}, {type_names(type.item_type)[1]}>"
    if pa.types.is_list(type):
        return "ARRAY", f"ARRAY<{type_names(type.value_type)[1]}>"
    if pa.types.is_struct(type):
        return "STRUCT", f"STRUCT<{', '.join(f'{field.name}: {type_names(field.type)[1]}' for field in type)}>"
    raise StatementError("UNSUPPORTED_FEATURE", f"A result column of type {type} has no type of Databricks; cast it.")


def column_infos(schema):
    """The `columns` of a result."""
    infos = []
    for field in schema:
        name, text = type_names(field.type)
        info = {"name": field.name, "type_name": name, "type_text": text}
        if name == "DECIMAL":
            info["type_precision"], info["type_scale"] = field.type.precision, field.type.scale
        infos.append(info)
    return infos


class Values:
    """A small result that is there: columns of texts, truths or numbers."""

    def __init__(self, columns, kind="SELECT", lineage=None):
        table = pa.table({name: _column(list(values)) for name, values in columns.items()})
        self.kind = kind
        self.lineage = lineage
        self.schema = table.schema
        self.batches = table.to_batches()

    def close(self):
        pass


def _column(values):
    first = values[0] if values else None
    type = pa.bool_() if isinstance(first, bool) else pa.int64() if isinstance(first, int) else pa.string()
    return pa.array(values, type)


# ---- chunks ----------------------------------------------------------------------------------------------------------


def send(channel, folder, statement, result):
    """Send the result's rows as chunks. (rows, whether there were more than the limits let through)."""
    form = FORMATS[statement.format](result.schema, statement.compression)
    limits = _Limits(statement)
    chunk = None
    try:
        for batch in result.batches:
            statement.check()
            rest = limits.cut(batch)
            while rest.num_rows:
                chunk = chunk or Chunk(folder, form)
                piece, rest = _split(rest, statement.chunk_bytes - chunk.size)
                chunk.write(piece)
                if rest.num_rows or chunk.size >= statement.chunk_bytes:
                    chunk = chunk.send(channel)
            if limits.truncated:
                break
        if chunk is None and limits.rows == 0 and form.tells_schema:
            chunk = Chunk(folder, form)
        if chunk is not None:
            chunk = chunk.send(channel)
    except OSError as error:
        raise _disk_error(error) from None
    finally:
        if chunk is not None:
            chunk.close()
    return limits.rows, limits.truncated


class _Limits:
    """How many rows and bytes may yet be sent."""

    def __init__(self, statement):
        self.rows = 0
        self.bytes = 0
        self.truncated = False
        self.row_limit = statement.row_limit or math.inf
        self.byte_limit = statement.byte_limit or math.inf
        self.inline_limit = statement.inline_limit or math.inf

    def cut(self, batch):
        """The rows of the batch that may be sent."""
        room = min(batch.num_rows, self.row_limit - self.rows)
        if self.bytes + batch.nbytes > self.byte_limit:
            width = max(1, batch.nbytes / batch.num_rows)
            room = min(room, int((self.byte_limit - self.bytes) / width))
        if room < batch.num_rows:
            self.truncated = True
            batch = batch.slice(0, room)
        self.rows += batch.num_rows
        self.bytes += batch.nbytes
        if self.bytes > self.inline_limit:
            raise StatementError(
                "INLINE_RESULT_TOO_LARGE", f"The result is over {self.inline_limit:,} bytes, the most that disposition "
                "INLINE returns; execute the statement with disposition EXTERNAL_LINKS, or limit its rows.")
        return batch


def _split(batch, size):
    """A batch's first rows, about `size` bytes and at least one row, and its others."""
    rows = min(batch.num_rows, max(1, math.ceil(batch.num_rows * size / max(1, batch.nbytes))))
    return batch.slice(0, rows), batch.slice(rows)


class Chunk:
    """A chunk in the making: `form` writes batches into its file."""

    def __init__(self, folder, form):
        self.form = form
        self.rows = self.size = 0
        # Without a name: whoever dies, nothing is left on the disk.
        self.file = tempfile.TemporaryFile(dir=folder, buffering=0)
        self.sink = form.open(self.file)

    def write(self, batch):
        self.form.write(self.sink, batch)
        self.rows += batch.num_rows
        self.size += batch.nbytes

    def send(self, channel):
        self.form.finish(self.sink)
        size = os.fstat(self.file.fileno()).st_size
        channel.send({"type": "chunk", "rows": self.rows, "bytes": size}, self.file.fileno())
        self.file.close()

    def close(self):
        self.file.close()


def _disk_error(error):
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StatementError("DISK_FULL", "The warehouse's disk for results is full; ask for fewer rows, or let its "
                                           "administrator make room.", code="RESOURCE_EXHAUSTED")
    return StatementError("IO_ERROR", f"The result could not be written ({os.strerror(error.errno or errno.EIO)}).",
                          code="IO_ERROR")


class ArrowStream:
    tells_schema = True  # a result without rows is a chunk nevertheless

    def __init__(self, schema, compression):
        self.schema = schema
        self.compressed = compression == "LZ4_FRAME"

    def open(self, file):
        # Arrow writes by itself, past Python; it wants a path.
        sink = pa.OSFile(f"/proc/self/fd/{file.fileno()}", "wb")
        if self.compressed:
            sink = pa.CompressedOutputStream(sink, "lz4")
        return pa.ipc.new_stream(sink, self.schema), sink

    def write(self, opened, batch):
        opened[0].write_batch(batch)

    def finish(self, opened):
        for part in opened:
            part.close()


class JsonArray:
    tells_schema = False

    def __init__(self, schema, _):
        pass

    def open(self, file):
        return _Text(file)

    def write(self, sink, batch):
        columns = [pc.fill_null(_joined('"', _json_escaped(texts(column), column.type), '"'), "null")
                   for column in batch.columns]
        sink.write(b"," if sink.begun else b"[")
        sink.write(_lines(columns, "[", "],")[:-1])

    def finish(self, sink):
        sink.write(b"]")


class Csv:
    tells_schema = True

    def __init__(self, schema, _):
        self.header = _lines([_csv_quoted(pa.array([name]), pa.string()) for name in schema.names], "", "\r\n")

    def open(self, file):
        sink = _Text(file)
        sink.write(self.header)
        self.header = b""
        return sink

    def write(self, sink, batch):
        columns = [_csv_quoted(pc.fill_null(texts(column), "null"), column.type) for column in batch.columns]
        sink.write(_lines(columns, "", "\r\n"))

    def finish(self, sink):
        pass


FORMATS = {"ARROW_STREAM": ArrowStream, "JSON_ARRAY": JsonArray, "CSV": Csv}


class _Text:
    """Bytes into an unbuffered file."""

    def __init__(self, file):
        self.file = file
        self.begun = False

    def write(self, data):
        data = memoryview(data)
        while data:
            data = data[self.file.write(data):]
        self.begun = True


# Text is put together by Arrow's kernels, a column at a time: Python's own way is ten times slower.


def _joined(*parts, by=""):
    return pc.binary_join_element_wise(*parts, by)


def _lines(columns, begin, end):
    """Rows as bytes: their values with commas between."""
    rows = _joined(begin, _joined(*columns, by=","), end).cast(pa.large_binary())
    if not len(rows):
        return b""
    offsets = memoryview(rows.buffers()[1]).cast("q")
    return memoryview(rows.buffers()[2])[offsets[rows.offset]:offsets[rows.offset + len(rows)]]


def _is_free(type):
    """Whether a type's texts may hold any character."""
    return pa.types.is_string(type) or pa.types.is_nested(type)


def _json_escaped(text, type):
    if not _is_free(type):
        return text
    if pc.any(pc.match_substring_regex(text, "[\\x00-\\x1f]")).as_py():
        return pa.array([None if value is None else json.dumps(value, ensure_ascii=False)[1:-1]
                         for value in text.to_pylist()], pa.string())
    return pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')


def _csv_quoted(text, type):
    if not _is_free(type):
        return text
    quoted = _joined('"', pc.replace_substring(text, '"', '""'), '"')
    return pc.if_else(pc.match_substring_regex(text, '[",\r\n]'), quoted, text)


# ---- values as text --------------------------------------------------------------------------------------------------


def texts(column):
    """A column as an array of texts, null where it is null."""
    type = column.type
    if pa.types.is_string(type):
        return column
    if pa.types.is_boolean(type) or pa.types.is_integer(type) or pa.types.is_date(type) or pa.types.is_null(type):
        return pc.cast(column, pa.string())
    if pa.types.is_timestamp(type):
        return _instants(column)
    if pa.types.is_float64(type):
        return _doubles(column)
    return pa.array([None if value is None else _text(value, type) for value in column.to_pylist()], pa.string())


def _doubles(column):
    """As float_text. Arrow's digits are the same but for an exponent and a whole number's point."""
    size = pc.abs(column)
    plain = pc.or_(pc.equal(size, 0), pc.and_(pc.greater_equal(size, 1e-3), pc.less(size, 1e7)))
    text = pc.cast(column, pa.string())
    if not pc.all(pc.match_substring(text, ".")).as_py():
        text = pc.replace_substring_regex(text, r"^(-?\d+)$", r"\1.0")
    rest = pc.and_(pc.invert(plain), column.is_valid())
    if not pc.any(rest).as_py():
        return text
    return pc.replace_with_mask(text, pc.fill_null(rest, False),
                                pa.array([float_text(value, column.type) for value in column.filter(rest).to_pylist()],
                                         pa.string()))


def _instants(column):
    local = column.cast(pa.timestamp("us"))
    short = local.cast(pa.timestamp("ms"), safe=False)
    if local.equals(short.cast(pa.timestamp("us"))):
        text = pc.cast(short, pa.string())
    else:
        text = pc.replace_substring_regex(pc.cast(local, pa.string()), r"(\.\d{3})000$", r"\1")
    text = pc.replace_substring(text, " ", "T", max_replacements=1)
    return _joined(text, "Z") if column.type.tz else text


def _text(value, type):
    if pa.types.is_floating(type):
        return float_text(value, type)
    if pa.types.is_decimal(type):
        return format(value, "f")
    if pa.types.is_binary(type):
        return base64.b64encode(value).decode()
    return json.dumps(_plain(value, type), ensure_ascii=False, separators=(",", ":"))


def float_text(value, type):
    """As Java writes it: 1.0, 1.0E10, NaN, Infinity."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    digits = _shortest(value, type)
    mantissa, _, exponent = digits.partition("e")
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e7:
        text = format(_decimal(digits), "f")
        return text if "." in text else text + ".0"
    if not exponent:
        mantissa, _, exponent = format(_decimal(digits), "e").partition("e")
    whole, _, rest = mantissa.partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}E{int(exponent)}"


def _shortest(value, type):
    """The fewest digits that read back."""
    if pa.types.is_float64(type):
        return repr(value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next(text for text in texts if pa.scalar(float(text), type).as_py() == value)


def _decimal(text):
    import decimal

    return decimal.Decimal(text).normalize()


def _plain(value, type):
    """A nested value as what json writes."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if pa.types.is_map(type):
        return {_key(key, type.key_type): _plain(item, type.item_type) for key, item in value}
    if pa.types.is_list(type):
        return [_plain(item, type.value_type) for item in value]
    if pa.types.is_struct(type):
        return {field.name: _plain(value[field.name], field.type) for field in type}
    if pa.types.is_floating(type):
        return value if math.isfinite(value) else float_text(value, type)
    return texts(pa.array([value], type))[0].as_py()


def _key(value, type):
    return value if isinstance(value, str) else texts(pa.array([value], type))[0].as_py()
