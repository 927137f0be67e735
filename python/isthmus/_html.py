"""HTML for notebooks. Everything that comes from outside goes through text(); colours are the notebook's own, so that
it is readable on light and on dark ground."""

import datetime
import html


def text(value):
    """Any value as HTML text; what a reader would not see is marked."""
    seen = (c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return html.escape("".join(seen))


def box(title, *parts, note=""):
    """A titled block of parts, which are HTML already."""
    said = f' <span style="opacity:.65;font-weight:normal">{text(note)}</span>' if note else ""
    return ('<div style="max-width:100%;overflow-x:auto;line-height:1.45">'
            f'<div style="font-weight:600;margin:.7em 0 .25em">{text(title)}{said}</div>{"".join(parts)}</div>')


def facts(pairs):
    """Names and values, one line for each pair."""
    return _table("".join(
        f'<tr><th style="{_CELL};opacity:.65;font-weight:normal;white-space:nowrap">{text(name)}</th>'
        f'<td style="{_CELL}">{text(value)}</td></tr>' for name, value in pairs))


def rows(header, lines, right=()):
    """A table of lines; the columns of `right` are numbers."""
    sides = ["right" if i in right else "left" for i in range(len(header))]

    def line(tag, cells, more=""):
        return "<tr>" + "".join(f'<{tag} style="{_CELL};text-align:{side}{more}">{text(cell)}</{tag}>'
                                for cell, side in zip(cells, sides)) + "</tr>"

    return _table(line("th", header, ";border-bottom:1px solid;font-weight:600")
                  + "".join(line("td", cells) for cells in lines))


def more(summary, *parts):
    """What is shown on request."""
    return (f'<details style="margin:.3em 0"><summary style="cursor:pointer">{text(summary)}</summary>'
            f'{"".join(parts)}</details>')


def note(said):
    return f'<div style="opacity:.65;margin:.2em 0">{text(said)}</div>'


_CELL = "text-align:left;vertical-align:top;padding:.1em .9em .1em 0;background:none"


def _table(inner):
    return f'<table style="border-collapse:collapse;border:none;margin:0 0 .5em;font-size:inherit">{inner}</table>'


# ---- what several things show ----------------------------------------------------------------------------------------

ROWS_MAX = 50


def moment(ms):
    """Milliseconds since the epoch as UTC."""
    if ms is None:
        return ""
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def size(bytes):
    """Bytes for people; None stays None."""
    if bytes is None:
        return None
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    unit = 0
    while bytes >= 1024 and unit < len(units) - 1:
        bytes, unit = bytes / 1024, unit + 1
    return f"{bytes:,.0f} {units[unit]}" if unit == 0 else f"{bytes:,.1f} {units[unit]}"


def count(number, word):
    """"1 row", "2,000 rows"; None stays None."""
    return None if number is None else f"{number:,} {word}{'' if number == 1 else 's'}"


def delta(told, title):
    """A Delta table from what ist_snapshot_describe tells."""
    known = [("version", f"{told['version']} of {moment(told['timestamp'])} UTC"),
             ("rows", f"{count(told['rows'], 'row') or 'unknown'} in {count(told['files'], 'file')}, {size(told['bytes'])}"),
             ("location", told["uri"]),
             ("partitioned by", ", ".join(told["partitionColumns"])),
             ("features", ", ".join(name for name in told.get("features") or () if name not in _USUAL)),
             *(("property", f"{key} = {value}") for key, value in sorted(told["properties"].items()))]
    fields = told["schema"]["fields"]
    table = filled(_COLUMNS, fields)
    return box(title, facts([pair for pair in known if pair[1]]),
               table if len(fields) <= ROWS_MAX else more(f"{len(fields)} columns", table), note="Delta table")


_USUAL = ("appendOnly", "invariants")  # of every table
_COLUMNS = (("column", lambda field: field["name"], False), ("type", lambda field: type_text(field["type"]), False),
            ("", lambda field: "" if field.get("nullable", True) else "not null", False),
            ("comment", lambda field: field.get("metadata", {}).get("comment"), False))


def filled(columns, items):
    """A table of items. `columns` are (title, function of an item, is it a number?); those that no item has anything
    for are left out."""
    filled = [(title, [value(item) for item in items], number) for title, value, number in columns]
    filled = [each for each in filled if not items or any(cell not in (None, "") for cell in each[1])]
    lines = zip(*(["" if cell is None else cell for cell in cells] for _, cells, _ in filled))
    return rows([title for title, _, _ in filled], lines, [i for i, each in enumerate(filled) if each[2]])


def type_text(type):
    """A type of Delta's schema as SQL writes it."""
    if isinstance(type, str):
        return type
    inner = {"array": lambda: type_text(type["elementType"]),
             "map": lambda: f"{type_text(type['keyType'])}, {type_text(type['valueType'])}",
             "struct": lambda: ", ".join(f"{field['name']}: {type_text(field['type'])}" for field in type["fields"])}
    return f"{type['type']}<{inner[type['type']]()}>"


class Listing(list):
    """A list whose items a notebook shows as lines of a table, by the columns of filled()."""

    def __init__(self, items, columns, title=""):
        super().__init__(items)
        self._columns = columns
        self._title = title

    def _repr_html_(self):
        return box(self._title, filled(self._columns, self[:ROWS_MAX]),
                   note(f"and {len(self) - ROWS_MAX:,} more") if len(self) > ROWS_MAX else "", note=f"{len(self):,}")
