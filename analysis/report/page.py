"""The page: gathers what is shown, and renders it into one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..read.measures import measure
from ..read.results import Selection
from ..read.settings import has_model
from ..tables import TABLES
from ..tables.notes import left_out
from .curves import Curves, read_curves
from .header import about
from .quality import LESS_IS_BETTER, Comparison, comparisons
from .runs import Run, anchors, link, runs
from .tabulated import Shown, runs_behind, tabulated
from .text import embedded, linked, plain, shown
from .transcripts import PAGE, SCORES, Transcripts, read_transcripts, shown_at_first

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("base.js", "tables.js", "chart.js", "curves.js", "quality.js", "transcripts.js", "start.js")
SAMPLES = 50
"""items of each run that are put into the file"""


@dataclass(frozen=True)
class Report:
    """The page and what is in it: runs, tables, and the items of transcripts."""

    html: bytes
    runs: int
    tables: int
    items: int


def report(selection: Selection, page: Path, sweep_file: Path | None = None, samples: int = SAMPLES) -> Report:
    """Return the page that tells of a selection, to be written to `page`, from which its links to run files go out.

    `samples` items of each run are put in. Whatever the records hold, nothing in them is run or fetched: all text is
    escaped, and the page's policy admits its own styles and scripts alone, by their hashes.
    """
    places = anchors(selection.records)
    shown_runs = runs(selection.records, page)
    told = left_out(selection)
    tables = [
        tabulated(name, entry.build(selection), selection.title, places, set(told))
        for name, entry in TABLES.items()
        if entry.applies(selection)
    ]
    curves = read_curves(selection.records)
    transcripts = read_transcripts(selection.records, samples)
    html = _render(
        title=plain(selection.title),
        about=about(selection, sweep_file, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        tables=tables,
        runs=shown_runs,
        curves=curves,
        comparisons=comparisons(selection.completed()),
        transcripts=transcripts,
        first=shown_at_first(selection.records, transcripts),
        selection=selection,
        problems=[(link(problem.path, page), problem) for problem in selection.problems],
        anchors=places,
    )
    return Report(html.encode("utf-8"), len(shown_runs), len(tables), len(transcripts.items))


def _render(
    title: str,
    tables: Sequence[Shown],
    runs: Sequence[Run],
    curves: Curves,
    comparisons: Sequence[Comparison],
    transcripts: Transcripts,
    first: Sequence[str],
    anchors: Mapping[str, str],
    **parts: Any,
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "linked": partial(linked, anchors=anchors)}
    environment.filters["behind"] = partial(runs_behind, anchors=anchors)
    style, script = _asset("style.css"), "\n".join(_asset(name) for name in SCRIPTS)
    return environment.get_template("page.html.j2").render(
        title=title,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        data=embedded(_data(runs, curves, comparisons, transcripts, first)),
        tables=tables,
        runs=runs,
        run_by_id={run.id: run for run in runs},
        curves=curves,
        comparisons=comparisons,
        transcripts=transcripts,
        first=first,
        page_size=PAGE,
        measure=measure,
        **parts,
    )


def _asset(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    if "</" in text:
        raise ValueError(f"{name} holds '</', which could end the element that it's put into")
    return text


def _policy(style: str, script: str) -> str:
    """Return the content security policy: nothing but the page's own styles, scripts and embedded images."""
    sources = {"style-src": style, "script-src": script}
    hashed = [f"{kind} 'sha256-{_hash(text)}'" for kind, text in sources.items()]
    return "; ".join(["default-src 'none'", "img-src data:", *hashed, "base-uri 'none'", "form-action 'none'"])


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _data(
    runs: Sequence[Run],
    curves: Curves,
    comparisons: Sequence[Comparison],
    transcripts: Transcripts,
    first: Sequence[str],
) -> dict[str, Any]:
    """Return what the page's scripts read."""
    several = len({run.model for run in runs if has_model(run.record)}) > 1
    place = {run.id: index for index, run in enumerate(runs)}
    return {
        "runs": [
            {
                "id": run.id,
                "name": f"{run.model} · {run.label}" if several and has_model(run.record) else run.label,
                "anchor": run.anchor,
                "colour": run.colour,
                "status": run.status,
                "samples": run.files.get("samples.jsonl"),
            }
            for run in runs
        ],
        "curves": [{"run": place[run_id], **columns} for run_id, columns in curves.by_run.items()],
        "quality": [_comparison(comparison, place) for comparison in comparisons],
        "transcripts": {
            "page": PAGE,
            "scores": list(SCORES.values()),
            "first": [place[run_id] for run_id in first],
            "items": [asdict(item) for item in transcripts.items],
            "said": [
                {
                    "run": place[run_id],
                    "at": list(answers),
                    "text": [said.text for said in answers.values()],
                    "scores": [said.scores for said in answers.values()],
                }
                for run_id, answers in transcripts.said.items()
            ],
        },
    }


def _comparison(comparison: Comparison, place: Mapping[str, int]) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "labels": comparison.labels,
        "runs": [[place[record.run_id] for record in setting.records] for setting in comparison.settings],
        "values": comparison.values,
        "costs": comparison.costs,
        "fronts": comparison.fronts,
        "names": {name: measure(name).label for name in (*comparison.values, *comparison.costs)},
        "less": {name: LESS_IS_BETTER[name] for name in comparison.values},
    }
