"""Each run on the page: its anchor there, its files, its numbers, how it ended; and each result as charts have it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..read.labels import canonical, dataset_label, decoding_label, flat, has_model, method_of, model_label
from ..read.measures import METRICS, measures
from ..read.results import RunResult
from ..read.settings import Setting, settings
from ..tables.notes import reason
from ..tables.numbers import ABSENT

FILES = ("run.json", "history.jsonl", "run.log")
_ANCHOR = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_BESIDE_THE_POINT = ("output_dir", "tracker", "sweep", "show_examples")
_COLOURS = 7

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ChartResult:
    """A result as charts and transcripts have it.

    name, run: what the result is called, and its run whatever its evaluations
    colour: the number of its colour
    samples: a link, or None
    """

    result: RunResult
    anchor: str
    name: str
    run: str
    colour: int
    samples: str | None

    def data(self) -> dict[str, Any]:
        """Return what the page's scripts read."""
        return {
            "id": self.result.run_id,
            "name": self.name,
            "run": self.run,
            "anchor": self.anchor,
            "colour": self.colour,
            "setting": self.result.setting_key,
            "status": self.result.status,
            "samples": self.samples,
        }


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of a run: what it was of, its metrics, and how it failed, if it did."""

    title: str
    metrics: Pairs
    files: Mapping[str, str]
    ended: str | None


@dataclass(frozen=True)
class PageRun:
    """A run as the page shows it, with all its evaluations here; `files` have links by name."""

    run: RunResult
    anchor: str
    label: str
    name: str
    model: str
    data: str
    colour: int
    files: Mapping[str, str]
    evaluations: Sequence[Evaluated]
    facts: Pairs
    config: Pairs
    ended: str | None
    traceback: str | None

    @property
    def id(self) -> str:
        return self.run.run_id

    @property
    def status(self) -> str:
        """The worst of the run and its evaluations: failed where one of them did."""
        return "failed" if any(evaluation.ended for evaluation in self.evaluations) else self.run.run_status


def anchors(results: Sequence[RunResult]) -> dict[str, str]:
    """Return the anchor of each run on the page, by run id: no id can stand for another's, or end an attribute."""
    ids = dict.fromkeys(result.run_id for result in results)
    return {run: f"run-{run}" if _ANCHOR.fullmatch(run) else f"run--{number}" for number, run in enumerate(ids)}


def link(path: Path, page: Path) -> str:
    """Return the relative link from a page to a file, safe in an attribute whatever the folders are called."""
    return quote(Path(os.path.relpath(path.absolute(), page.parent.absolute())).as_posix(), errors="surrogateescape")


def chart_results(results: Sequence[RunResult], page: Path) -> list[ChartResult]:
    """Return the results in order, each with a name of its own."""
    of_run, colours = anchors(results), _colours(results)
    named = zip(results, _labels(results), _labels(results, by_run=True), strict=True)
    several = len({model_label(result) for result in results if has_model(result)}) > 1

    def with_model(result: RunResult, label: str) -> str:
        return f"{model_label(result)} · {label}" if several and has_model(result) else label

    return [
        ChartResult(
            result=result,
            anchor=of_run[result.run_id],
            name=with_model(result, label),
            run=with_model(result, run_label),
            colour=colours[result.run_id],
            samples=next(iter(_links(result.all_samples(), page).values()), None),
        )
        for result, label, run_label in named
    ]


def page_runs(results: Sequence[RunResult], page: Path) -> list[PageRun]:
    """Return the runs in the order of their first results."""
    by_run: dict[str, list[RunResult]] = {}
    for result in results:
        by_run.setdefault(result.run_id, []).append(result)
    by_id, colours, differing = anchors(results), _colours(results), _differing(results)
    labels = dict(zip(((r.run_id, r.evaluation_id) for r in results), _labels(results, by_run=True), strict=True))
    return [
        PageRun(
            run=run,
            anchor=by_id[run.run_id],
            label=labels[run.run_id, run.evaluation_id],
            name=str(run.get("name") or run.folder.name),
            model=model_label(run),
            data=dataset_label(run),
            colour=colours[run.run_id],
            files=_links([run.folder / name for name in FILES], page),
            evaluations=[_evaluated(result, page) for result in of_run if result.evaluation_id],
            facts=_facts(run, of_run),
            config=[(key, _text(run.get(f"config.{key}"))) for key in differing],
            ended=next((reason(result) for result in of_run if not result.is_scored), None),
            traceback=next((str(tail) for r in of_run if (tail := r.get("failure.traceback_tail"))), None),
        )
        for of_run in by_run.values()
        for run in of_run[:1]
    ]


def _evaluated(result: RunResult, page: Path) -> Evaluated:
    title = " · ".join(part for part in (dataset_label(result), decoding_label(result)) if part)
    known = measures([result])
    metrics = [(known[f"{METRICS}{name}"].label, _metric(result, name)) for name in result.part("metrics")]
    files = [*result.all_samples(), result.folder / "evaluations" / f"{result.evaluation_id}.json"]
    return Evaluated(title, metrics, _links(files, page), None if result.is_scored else reason(result))


def _metric(result: RunResult, name: str) -> str:
    number = result.number(f"{METRICS}{name}")
    return ABSENT if number is None else measures([result])[f"{METRICS}{name}"].form(number)


def _links(files: Sequence[Path], page: Path) -> dict[str, str]:
    """Return links to the files that are there, by name."""
    return {path.name: link(path, page) for path in files if path.exists()}


def _labels(results: Sequence[RunResult], by_run: bool = False) -> list[str]:
    """Return what results are called in charts: setting, rate and seed, with what sets it apart from its like."""
    found: dict[tuple[str, str | None], str] = {}
    evaluations: dict[str, int] = {}
    for result in results:
        evaluations[result.run_id] = evaluations.get(result.run_id, 0) + 1
    for setting in settings(results):
        for result in setting.results:
            several = evaluations[result.run_id] > 1 and not by_run
            found[result.run_id, result.evaluation_id] = _label(setting, result, several)
    return [found[result.run_id, result.evaluation_id] for result in results]


def _label(setting: Setting, result: RunResult, several: bool) -> str:
    rate = setting.learning_rate
    parts = [setting.label]
    parts += [f"lr={rate:g}"] if rate is not None else []
    parts += [f"seed {result.seed}"] if result.seed is not None else []
    parts += [decoding_label(result) or "", f"evaluation {result.evaluation_id}"] if several else []
    return " ".join(part for part in parts if part)


def _colours(results: Sequence[RunResult]) -> dict[str, int]:
    """Return a number a run: its own while there are few runs, else that of its method."""
    runs = list({result.run_id: result for result in results}.values())
    if len(runs) <= _COLOURS:
        return {run.run_id: number for number, run in enumerate(runs)}
    methods = list(dict.fromkeys(map(method_of, runs)))
    return {run.run_id: methods.index(method_of(run)) % _COLOURS for run in runs}


def _differing(results: Sequence[RunResult]) -> list[str]:
    """Return the config keys in which results of this page differ."""
    flats = [flat(result.part("config")) for result in results]
    keys = sorted({key for found in flats for key in found if key.split(".")[0] not in _BESIDE_THE_POINT})
    return [key for key in keys if len({canonical(found.get(key)) for found in flats}) > 1]


def _facts(run: RunResult, of_run: Sequence[RunResult]) -> list[tuple[str, str]]:
    """Return what training and evaluating took and gave, and where the run is from."""
    facts = [*_numbers(run, "training"), *_numbers(run, "resources")]
    for result in of_run:
        facts += [(f"evaluating: {name}", text) for name, text in _numbers(result, "evaluation.resources")]
    keys = ("created", "finished", "git_commit", "host_cpu")
    found = [(key.replace("_", " "), run.get(f"provenance.{key}")) for key in keys]
    return facts + [(key, str(value)) for key, value in found if value]


def _numbers(result: RunResult, part: str) -> list[tuple[str, str]]:
    return [
        _number(str(key), value)
        for key, value in result.part(part).items()
        if value is not None and not isinstance(value, (Mapping, list))
    ]


def _number(key: str, value: Any) -> tuple[str, str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        return key, str(value)
    if key.endswith("_bytes"):
        return f"{key.removesuffix('_bytes')} (MB)", f"{value / 1e6:,.1f}"
    form = "," if isinstance(value, int) else ",.4g" if value < 1e4 else ",.0f"
    return key.replace("_", " "), format(value, form)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
