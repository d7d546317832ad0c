"""`python -m benchmarks.voices`: how well classifiers know five characters' voices on lines that were held out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.config.kinds import SOURCES
from persona_sweeps.data.run_data import RunData
from persona_sweeps.metrics.style.fitting import CLASSIFIERS, classifier, fitted
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- voices:begin -->", "<!-- voices:end -->"
RESULT = "voices.json"
CHARACTERS = ("Falstaff", "Hamlet", "Macbeth", "Iago", "Rosalind")
DEAR = {"cross_encoder": ("Falstaff",)}
"""classifiers that are fitted to these characters alone: it takes seven CPU minutes each"""
DATA: Mapping[str, Any] = {"play": "all", "card": "short", "context_lines": 1, "eval_fraction": 0.4}


def measure(characters: Sequence[str], classifiers: Sequence[str]) -> dict[str, Any]:
    """Return each character's AUC by each classifier, with its interval and what it learned by epoch."""
    found: dict[str, Any] = {}
    for name in characters:
        data = RunData(SOURCES.make("shakespeare", {"source": "shakespeare", "persona": name, **DATA}))
        for kind in classifiers:
            made = fitted(kind, name, data.all_characters) if name in DEAR.get(kind, (name,)) else None
            if made is not None:
                found.setdefault(name, {})[kind] = made.as_record()
    return {"characters": found}


def render(kept: Mapping[str, Any]) -> str:
    """Return what was kept as a Markdown table."""
    kinds = list(dict.fromkeys(kind for of in kept["characters"].values() for kind in of))
    headings = ["character", "own lines", "scenes", *(classifier(kind).label for kind in kinds)]
    rows = [f"| {' | '.join(headings)} |", f"| --- | ---: | ---: |{' ---: |' * len(kinds)}"]
    for name, of in kept["characters"].items():
        first = next(iter(of.values()))
        cells = [name, str(first["own_lines"]), str(first["scenes"]), *(_text(of.get(kind)) for kind in kinds)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _text(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{found['auc']:.2f}" + ("" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]")


def main(argv: Sequence[str] | None = None) -> int:
    """Fit the classifiers, keep their AUC, and put it into docs/characters.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "characters.md", metavar="FILE")
    parser.add_argument("--characters", nargs="+", default=CHARACTERS, metavar="NAME")
    parser.add_argument("--classifiers", nargs="+", default=list(CLASSIFIERS), choices=CLASSIFIERS)
    options = parser.parse_args(argv)
    kept = {"created": now(), **environment(), **measure(options.characters, options.classifiers)}
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept))
    print(render(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
