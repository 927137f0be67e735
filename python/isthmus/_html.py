"""HTML for notebooks. Everything that comes from outside goes through text(); colours are the notebook's own, so that it is
readable on light and on dark ground."""

import html


def text(value):
    """Any value as HTML text; what a reader would not see is marked."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def box(title, *parts, note=""):
    """A titled block of parts, which are HTML already."""
    said = f' <span style="opacity:.65;font-weight:normal">{text(note)}</span>' if note else ""
    return (f'<div style="max-width:100%;overflow-x:auto;line-height:1.45"><div style="font-weight:600;margin:.2em 0 .4em">'
            f'{text(title)}{said}</div>{"".join(parts)}</div>')


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
    return f'<details style="margin:.3em 0"><summary style="cursor:pointer">{text(summary)}</summary>{"".join(parts)}</details>'


def note(said):
    return f'<div style="opacity:.65;margin:.2em 0">{text(said)}</div>'


_CELL = "text-align:left;vertical-align:top;padding:.1em .9em .1em 0;background:none"


def _table(inner):
    return f'<table style="border-collapse:collapse;border:none;margin:0;font-size:inherit">{inner}</table>'
