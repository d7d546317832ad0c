"""Tables as one HTML page that opens from disk: no script, no network, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from ..tables.table import Column, Figure, Section, Table

_STYLE = """\
:root{color-scheme:light dark;--ink:#1b1d21;--paper:#fff;--line:#c9ccd1;--faint:#5b616b;--stripe:#f6f7f8}
@media(prefers-color-scheme:dark){:root{--ink:#e6e7e9;--paper:#16181c;--line:#3d424a;--faint:#a0a6b0;--stripe:#1d2025}}
body{margin:2rem auto;max-width:78rem;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;margin:2.5rem 0 .5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;border-bottom:2px solid var(--ink);
border-top:2px solid var(--ink)}
th,td{padding:.3rem .7rem;text-align:left;vertical-align:top;overflow-wrap:break-word;max-width:28rem;
unicode-bidi:isolate}
th{border-bottom:1px solid var(--ink);vertical-align:bottom}
.right{text-align:right}tbody tr:nth-child(even){background:var(--stripe)}
ul{color:var(--faint);font-size:.9rem;padding-left:1.2rem;max-width:60rem;overflow-wrap:anywhere}
figure{margin:1rem 0}figure img{max-width:100%;background:#fff}figcaption{color:var(--faint);font-size:.9rem}
@media print{body{margin:0;max-width:none}.wide{overflow:visible}tr{break-inside:avoid}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(tables: Sequence[Table]) -> str:
    """Return one page with all tables."""
    title = escape(tables[0].title) if len(tables) == 1 else "Tables"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "".join(map(_table, tables))
        + "</main>\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    sections = "".join(_section(section, table.columns_of(section)) for section in table.sections)
    notes = f"<h2>Notes</h2>\n{_notes(table.notes)}" if table.notes else ""
    return f"<article>\n<h1>{escape(table.title)}</h1>\n{sections}{notes}</article>\n"


def _section(section: Section, columns: Sequence[Column]) -> str:
    heads = "".join(f'<th scope="col"{_side(column)}>{escape(column.heading)}</th>' for column in columns)
    rows = "".join(f"<tr>{_cells(row, columns)}</tr>\n" for row in section.rows)
    title = escape(section.title)
    return (
        f'<section>\n<h2>{title}</h2>\n<div class="wide" role="region" tabindex="0" aria-label="{title}">\n'
        f"<table>\n<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        f"{_notes(section.notes)}{''.join(map(_figure, section.figures))}</section>\n"
    )


def _cells(row: Sequence[str], columns: Sequence[Column]) -> str:
    return "".join(f"<td{_side(column)}>{escape(text)}</td>" for text, column in zip(row, columns, strict=True))


def _side(column: Column) -> str:
    return ' class="right"' if column.right else ""


def _notes(notes: Sequence[str]) -> str:
    listed = "".join(f"<li>{escape(' '.join(note.split()))}</li>\n" for note in notes)
    return f"<ul>\n{listed}</ul>\n" if notes else ""


def _figure(figure: Figure) -> str:
    """Return a figure inside the page, its SVG as an image, in which no script runs."""
    svg = base64.b64encode(figure.render()[".svg"]).decode("ascii")
    caption = escape(figure.caption)
    image = f'<img src="data:image/svg+xml;base64,{svg}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>\n"
