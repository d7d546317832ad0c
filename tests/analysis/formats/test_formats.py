"""The forms of a table: the same cells in all of them, nothing in a cell that acts, and TeX that compiles."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from analysis.formats import FORMATS, latex, load, md
from analysis.formats.page import Page, page
from analysis.tables.table import Column, Figure, Section, Table, markdown
from persona_sweeps.errors import UserError

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a|b `c` *d* _e_ ~~f~~ [g](http://h) &lt; \\",
    r"\input{/etc/passwd} $x^2$ 100 % #1 {~}",
    "[first] *starred, then -- and --- and ''?`",
    "α=16.0 ± 0.5 – 3 × 10⁶ − “quoted” é ø 中文",
]
TABLE = Table(
    "Hostile & plain",
    (Column("name", right=False), Column("100 %"), Column("<b>", right=False)),
    [
        Section("one | two", [[text, f"{place}.50", "–"] for place, text in enumerate(HOSTILE)], ["5 < 6 & `a_b` $"]),
        Section("own columns", [["[x"], ["*"]], columns=[Column("one")]),
    ],
    ["<script>alert(2)</script> and \\ and `<b>`"],
    [
        {"name": text, "value": 0.1 + place, "run_ids": "aa bb", "base_run_ids": None}
        for place, text in enumerate(HOSTILE)
    ]
    + [{"name": "inf", "value": math.inf}],
)


def cells_of(table: Table) -> list[list[list[str]]]:
    """Return each section's heading and rows, as a parsed table gives them."""
    return [
        [[column.heading for column in table.columns_of(section)], *map(list, section.rows)]
        for section in table.sections
    ]


def from_markdown(text: str) -> tuple[list[list[list[str]]], set[str]]:
    """Return the tables that a Markdown renderer sees, and the kinds of inline markup within them."""
    tables: list[list[list[str]]] = []
    kinds: set[str] = set()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline":
            kinds |= {child.type for child in token.children or []}
            if tables and tables[-1] and token.level >= 4 and token.map != [0, 1]:
                tables[-1][-1].append("".join(child.content for child in token.children or []))
    return tables, kinds


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.inside = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[-1][-1][-1] += data


def from_html(text: str) -> tuple[list[list[list[str]]], set[str]]:
    parser = _Cells()
    parser.feed(text)
    return parser.tables, parser.tags


def from_json(text: str) -> list[list[list[str]]]:
    (table,) = json.loads(text)["tables"]
    return [[[c["heading"] for c in s["columns"]], *s["rows"]] for s in table["sections"]]


def from_latex(text: str) -> list[list[list[str]]]:
    """Return the cells, as they were escaped, of every tabular."""
    tables = []
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL):
        lines = [line.removesuffix(r" \\") for line in body.splitlines() if line != r"\midrule"]
        tables.append([re.split(r"(?<!\\) & ", line) for line in lines])
    return tables


def test_every_format_shows_the_same_cells() -> None:
    expected = cells_of(TABLE)
    assert from_html(load("html").render([TABLE]))[0] == expected
    assert from_json(load("json").render([TABLE])) == expected
    assert from_markdown(markdown(TABLE))[0] == expected
    escaped = [[[latex.escape(text) for text in row] for row in table] for table in expected]
    assert from_latex(load("latex").render([TABLE])) == escaped


def test_csv_and_json_have_the_same_raw_rows_at_full_precision() -> None:
    raw = json.loads(load("json").render([TABLE]))["tables"][0]["raw"]
    rows = list(csv.DictReader(io.StringIO(load("csv").render([TABLE]))))
    assert [float(row["value"]) for row in rows] == [float(row["value"]) for row in raw]
    assert raw[0]["value"] == 0.1 and raw[0]["run_ids"] == ["aa", "bb"] and raw[0]["base_run_ids"] == []
    assert raw[-1] == {"name": "inf", "value": "Infinity"}
    assert [row["name"] for row in rows] == [row["name"] for row in raw]


def test_markdown_renders_hostile_cells_and_notes_as_text() -> None:
    rendered, kinds = from_markdown(markdown(TABLE))
    assert rendered == cells_of(TABLE)
    assert kinds <= {"text", "text_special", "code_inline"}


@given(st.text("`<b>\\|*_[](!)&;#a ~", max_size=24))
def test_no_text_becomes_markup_in_a_markdown_cell_or_note(text: str) -> None:
    table = Table("t", (Column("h"),), [Section("s", [[f"x{text}x"]])], [f"x{text}x"], [])
    rendered, kinds = from_markdown(markdown(table))
    assert rendered[0][1] == [f"x{text}x"]
    assert kinds <= {"text", "text_special", "code_inline"}


def test_html_shows_hostile_text_and_asks_nothing_of_the_network() -> None:
    text = load("html").render([TABLE])
    tags = from_html(text)[1]
    assert not tags & {"script", "img", "b", "link", "iframe"}
    assert "default-src 'none'" in text


def test_a_figure_is_inside_the_html_page() -> None:
    figure = Figure("f", 'a "caption"', lambda: {".svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", ".png": b""})
    table = Table("t", (Column("h"),), [Section("s", [["1"]], figures=[figure])], [], [])
    text = load("html").render([table])
    assert 'src="data:image/svg+xml;base64,' in text and 'alt="a &quot;caption&quot;"' in text


@given(st.text(max_size=40))
def test_latex_is_ascii_without_a_live_special_character(text: str) -> None:
    escaped = latex.escape(text)
    assert escaped.isascii() and "\n" not in escaped
    rest = re.sub(r"\\[{}$&#%_,]|\\ensuremath\{(?:[^{}]|\{[^{}]*\})*\}|\\[`'^~=.\"]|\\[A-Za-z]+", "", escaped)
    assert not set(rest) & set("\\$&#%^_") and rest.count("{") == rest.count("}")


def test_latex_counts_what_it_cannot_set() -> None:
    assert latex.escape("中") == "{[}U+4E2D{]}"
    assert "2 characters that pdfLaTeX can't set" in load("latex").render([TABLE])
    assert latex.escape("é ñ í α ²") == (r"\'{e} \~{n} \'{\i} \ensuremath{\alpha} \ensuremath{^{2}}")


def test_latex_compiles(tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        message = "pdflatex with booktabs isn't here: apt-get install texlive-latex-recommended"
        if "latex" in os.environ.get("PERSONA_SWEEPS_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    everything = "".join(map(chr, [*range(32, 127), *range(0xA0, 0x180), *range(0x370, 0x400), *range(0x2010, 0x2070)]))
    wide = Table("Wide", [Column(f"heading {n}") for n in range(20)], [Section("w", [["1.00"] * 20])], [everything], [])
    (tmp_path / "tables.tex").write_text(load("latex").render([TABLE, wide]), encoding="ascii")
    document = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\\input{tables}\\end{document}"
    (tmp_path / "paper.tex").write_text(document)
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Missing character" not in done.stdout + (tmp_path / "paper.log").read_text(errors="replace")


def test_csv_holds_one_table() -> None:
    with pytest.raises(UserError, match="CSV holds one table, and there are 2"):
        load("csv").render([TABLE, TABLE])


def test_every_format_is_registered_with_a_suffix_of_its_own() -> None:
    assert len({kind.suffix for kind in FORMATS.values()}) == len(FORMATS)


WIDE = Table(
    "Wide",
    (Column("rank"), Column("name", right=False), *(Column(f"value {n}") for n in range(12))),
    [
        Section(
            "s", [["1", f"setting {row}", *(f"{row}.{n:03}" for n in range(12))] for row in range(3)], ["A note. " * 20]
        )
    ],
    [],
    [],
)


@pytest.mark.parametrize("width", [40, 80, 100, 1000])
def test_columns_that_do_not_fit_on_a_page_follow_below(width: int) -> None:
    grids = from_markdown(md.render([WIDE], Page(width, wraps_notes=True)))[0]
    assert all(len(line) <= width for line in md.render([WIDE], Page(width, wraps_notes=True)).splitlines())
    whole = from_markdown(md.render([WIDE]))[0]
    assert len(whole) == 1 and (len(grids) == 1) is (width == 1000)
    assert all(grid[0][0] == "name" for grid in grids[1:]) and grids[0][0][:2] == ["rank", "name"]
    for row, expected in enumerate(whole[0]):
        assert [*grids[0][row], *(cell for grid in grids[1:] for cell in grid[row][1:])] == expected


@pytest.mark.parametrize("width", [40, 60, 80])
def test_rows_that_begin_alike_are_numbered_where_they_are_divided(width: int) -> None:
    headings = [("model", False), ("method", False), ("a long heading", True), ("another long one", True)]
    columns = [Column(heading, right=right) for heading, right in headings]
    rows = [["the same model of all", f"method {n % 2}", f"{n}.25 ± 0.125", f"{n}.75 ± 0.125"] for n in range(4)]
    table = replace(WIDE, sections=[Section("s", rows, columns=columns)])
    grids = from_markdown(md.render([table], Page(width, wraps_notes=True)))[0]
    assert len(grids) > 1 or width == 80
    if len(grids) > 1:
        for grid in grids:
            assert grid[0][0] == "#" and [line[0] for line in grid[1:]] == ["1", "2", "3", "4"]
        joined = [sum((line[1:] for line in lines), []) for lines in zip(*(grid[1:] for grid in grids), strict=True)]
        assert joined == rows
    whole = from_markdown(md.render([table], None))[0]
    assert len(whole) == 1 and whole[0][0][0] == "model", "files have whole rows, without numbers"


def test_a_column_wider_than_the_page_stands_alone_and_is_not_cut() -> None:
    long = "x" * 90
    table = replace(WIDE, sections=[Section("s", [["1", "a", long, "2"]], columns=[*WIDE.columns[:4]])])
    grids = from_markdown(md.render([table], Page(60, wraps_notes=False)))[0]
    assert [len(grid[1]) for grid in grids] == [3, 2] and grids[0][1][2] == long


def test_a_pipe_has_whole_rows_unless_a_width_is_asked_for() -> None:
    assert page() is None
    assert page(100) == Page(100, wraps_notes=False)


def test_a_terminal_has_its_own_width(tmp_path: Path) -> None:
    probe = "import sys; from analysis.formats.page import page; print(page(), page(60), file=open(sys.argv[1], 'w'))"
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-c", probe, str(tmp_path / "page")]
    subprocess.run(command, stdout=terminal, check=True)
    os.close(master)
    os.close(terminal)
    expected = [str(Page(width, wraps_notes=True)) for width in (80, 60)]
    assert (tmp_path / "page").read_text().strip() == " ".join(expected)
