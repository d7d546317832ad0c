"""`python -m benchmarks.characters --output-dir DIR`: the table of docs/characters.md, from sweeps that were run there.

Each was `python launch.py -m experiment=characters dataset.persona=NAME sweep.name=characters-NAME`,
or as the page says.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.read.selection import Selection, read_all
from analysis.tables import characters
from analysis.tables.table import write
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT

BEGIN, END = "<!-- characters:begin -->", "<!-- characters:end -->"
RESULT = "characters.csv"
MODELS = {"smollm2_135m_instruct": "SmolLM2-135M-Instruct", "gemma3_270m": "Gemma-3-270M"}
NONE, WITHOUT_MODEL = "–", ("nearest_reply", "true_reply")
MEASURES = {
    "bits_per_byte": ("bits/byte ↓", 3),
    "style": ("style", 2),
    "r10_context": ("R10@1 context", 2),
    "r10_who": ("R10@1 who", 2),
    "bleed": ("bleed ↓", 2),
    "forgetting": ("forgetting ↓", 3),
    "rougeL": ("ROUGE-L", 3),
}
"""column of the CSV → heading and decimals"""


def keep(selection: Selection, path: Path) -> None:
    """Write the table's CSV."""
    with tempfile.TemporaryDirectory() as name:
        write(characters.build(selection), Path(name), "characters", ("csv",))
        shutil.copy(Path(name) / "characters.csv", path)


def render(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the rows as Markdown, by character and model."""
    heads = [heading for heading, _ in MEASURES.values()]
    lines = [f"| character | model | method | {' | '.join(heads)} |", "| --- | --- | --- |" + " ---: |" * len(heads)]
    for row in sorted(rows, key=lambda row: (row["persona"], _model(row) == NONE)):
        cells = [_cell(row, name, decimals) for name, (_, decimals) in MEASURES.items()]
        lines.append(f"| {row['persona']} | {_model(row)} | {row['setting']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _model(row: Mapping[str, str]) -> str:
    """Return the row's model; the nearest reply and the real lines have none of their own."""
    return NONE if row["method"] in WITHOUT_MODEL else MODELS.get(row["model"], row["model"])


def _cell(row: Mapping[str, str], name: str, decimals: int) -> str:
    """Return `mean [low, high] #ranks`, as far as each is known."""
    if not row.get(name):
        return NONE
    parts = [f"{float(row[name]):.{decimals}f}"]
    if row.get(f"{name}_low"):
        parts.append(f"[{float(row[f'{name}_low']):.{decimals}f}, {float(row[f'{name}_high']):.{decimals}f}]")
    best, worst = row.get(f"{name}_best_rank"), row.get(f"{name}_worst_rank")
    if best:
        parts.append(f"#{best}" if best == worst else f"#{best}–{worst}")
    return " ".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Keep the figures of the sweeps, and put them into docs/characters.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.characters", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="where the sweeps are (default: the kept CSV)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "characters.md", metavar="FILE")
    options = parser.parse_args(argv)
    path = options.results / RESULT
    if options.output_dir is not None:
        keep(read_all(options.output_dir), path)
    with path.open(newline="", encoding="utf-8") as file:
        table = render(list(csv.DictReader(file)))
    rewrite_between(options.page, BEGIN, END, table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
