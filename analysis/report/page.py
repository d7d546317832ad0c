"""The page: gathers what is shown, and renders it into one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..read.results import RunResult
from ..read.selection import Selection
from ..tables import TABLES
from ..tables.characters import usual_front
from ..tables.notes import left_out
from ..tables.options import TableOptions
from .curves import Curves, read_curves
from .header import header
from .quality import QualityPlot, quality_plots
from .runs import ChartResult, anchors, chart_results, link, page_runs
from .tabulated import ShownTable, runs_behind, tabulated
from .text import embedded, linked, plain, shown
from .transcripts import PAGE, Transcripts, read_transcripts, shown_at_first

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("base.js", "tables.js", "chart.js", "curves.js", "quality.js", "transcripts.js", "start.js")
SAMPLES = 50
"""items of each result that are put into the file"""


@dataclass(frozen=True)
class ReportPage:
    """The page and what is in it: runs, tables, and the items of transcripts."""

    html: bytes
    runs: int
    tables: int
    items: int


@dataclass(frozen=True)
class _Charts:
    """What the page's scripts draw; `first` are the indices of the results whose transcripts are shown at first."""

    results: Sequence[ChartResult]
    curves: Curves
    plots: Sequence[QualityPlot]
    transcripts: Transcripts
    first: Sequence[int]


def report(selection: Selection, page: Path, sweep_file: Path | None = None, samples: int = SAMPLES) -> ReportPage:
    """Return the page about a selection, to be written to `page`, from which its links to run files go out.

    `samples` items of each result are put in. Whatever the records hold, nothing in them is run or fetched: all text is
    escaped, and the page's policy admits its own styles and scripts alone, by their hashes.
    """
    listed = replace(selection, results=selection.results[:MOST_RESULTS])
    by_id = anchors(listed.results)
    tables = _tables(selection, by_id)
    charts = _charts(listed, page, samples)
    runs = page_runs(listed.results, page)
    html = _render(
        charts,
        by_id,
        title=plain(selection.title),
        about=[
            *header(selection, sweep_file, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
            *_not_listed(selection, listed),
        ],
        tables=tables,
        runs=runs,
        selection=selection,
        problems=[(link(problem.path, page), problem) for problem in selection.problems],
    )
    return ReportPage(html.encode("utf-8"), len(runs), len(tables), len(charts.transcripts.items))


def _not_listed(selection: Selection, listed: Selection) -> list[tuple[str, str]]:
    """Say that so large a page lists and draws the first results only."""
    count, most = len(selection.results), len(listed.results)
    said = f"the first {most:,} of {count:,} are listed and drawn; tables are of all. --sweep or --where picks others"
    return [("results", said)] if most < count else []


def _tables(selection: Selection, anchors: Mapping[str, str]) -> list[ShownTable]:
    elsewhere = set(left_out(selection))
    usual = TableOptions(pareto=usual_front(selection))
    return [
        tabulated(name, entry.make(selection, usual), selection.title, anchors, elsewhere)
        for name, entry in TABLES.items()
        if entry.applies(selection)
    ]


def _charts(selection: Selection, page: Path, samples: int) -> _Charts:
    transcripts = read_transcripts(selection.results, samples)
    return _Charts(
        results=chart_results(selection.results, page),
        curves=read_curves(selection.runs()),
        plots=quality_plots(selection.scored()),
        transcripts=transcripts,
        first=shown_at_first(selection.results, transcripts),
    )


def _render(charts: _Charts, anchors: Mapping[str, str], **parts: Any) -> str:
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
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        data=embedded(_data(charts)),
        charted=charts.results,
        curves=charts.curves,
        plots=charts.plots,
        transcripts=charts.transcripts,
        first=charts.first,
        page_size=PAGE,
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


def _data(charts: _Charts) -> dict[str, Any]:
    """Return what the page's scripts read."""
    results = [charted.result for charted in charts.results]
    of_run = _first_of_run(results)
    transcripts = charts.transcripts
    return {
        "runs": [charted.data() for charted in charts.results],
        "curves": [{"run": of_run[run_id], **columns} for run_id, columns in charts.curves.by_run.items()],
        "quality": [_plot(plot, results) for plot in charts.plots],
        "transcripts": {
            "page": PAGE,
            "scores": [measure.label for measure in transcripts.scores],
            "first": list(charts.first),
            "items": [asdict(item) for item in transcripts.items],
            "said": [
                {
                    "run": index,
                    "at": list(answers),
                    "text": [said.text for said in answers.values()],
                    "scores": [said.scores for said in answers.values()],
                }
                for index, answers in enumerate(transcripts.said)
                if answers
            ],
        },
    }


def _first_of_run(results: Sequence[RunResult]) -> dict[str, int]:
    """Return the index of each run's first result, by its id."""
    found: dict[str, int] = {}
    for index, result in enumerate(results):
        found.setdefault(result.run_id, index)
    return found


def _plot(plot: QualityPlot, results: Sequence[RunResult]) -> dict[str, Any]:
    index = {(result.run_id, result.evaluation_id): number for number, result in enumerate(results)}
    return {
        "title": plot.title,
        "labels": plot.labels,
        "runs": [[index[result.run_id, result.evaluation_id] for result in s.results] for s in plot.settings],
        "values": plot.values,
        "costs": plot.costs,
        "fronts": plot.fronts,
        "names": {measure.name: measure.label for measure in (*plot.metrics, *plot.spent)},
        "less": {measure.name: not measure.higher_is_better for measure in plot.metrics},
    }


MOST_RESULTS = 1000
"""that a page lists, draws and quotes"""
