"""The table of hyperparameters, put together from its sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import figures
from ...read.results import RunResult
from ...read.selection import Selection
from ...read.studies import Study, path_of
from ..table import Section, Table
from . import budgets, objectives, parameters, winners
from .comparisons import StudyComparison, commonest_key, comparisons, labels
from .study_notes import counts, failures

NAME = "hyperparameters"


def table(selection: Selection) -> Table:
    """Return comparisons first, then the winners, then what mattered within each study."""
    named = labels(selection.studies)
    found = comparisons(selection.studies)
    compared = [_compared(comparison, number) for number, comparison in enumerate(found, start=1)]
    within, without = _within(found)
    return Table(
        title=f"Hyperparameters: {selection.title}",
        columns=(),
        sections=[*compared, *winners.sections(selection.studies, named), *within],
        notes=[*_left_out(selection, named), *without, *_footnotes(found)],
        raw=[row for study in selection.studies for row in _raw(study)],
    )


def _compared(comparison: StudyComparison, number: int) -> Section:
    if len(comparison.measures) > 1:
        return objectives.section(comparison)
    return budgets.section(comparison, f"{NAME}-best-of-k-{number}")


def _within(found: Sequence[StudyComparison]) -> tuple[list[Section], list[str]]:
    """Return importance and slices of each study, by each of its metrics; and sentences on importances there aren't."""
    sections: list[Section] = []
    notes: list[str] = []
    for compared in (compared for comparison in found for compared in comparison.studies):
        several = len(compared.study.metrics) > 1
        for index, measure in enumerate(compared.study.measures):
            of_metric = compared.by(index)
            importance = parameters.importance(of_metric, measure.label if several else "")
            if isinstance(importance, Section):
                sections.append(importance)
            else:
                notes.append(importance)
            sections.append(parameters.slices(of_metric))
    return sections, notes


def _left_out(selection: Selection, named: Mapping[int, str]) -> list[str]:
    """Return a sentence for each study, cell and file that no row shows."""
    notes = (
        [] if selection.studies else ["There is no study here: `python launch.py -m hydra/sweeper=optuna` makes one."]
    )
    for study in selection.studies:
        if commonest_key(study) is None:
            label = named[id(study)]
            notes.append(f"{label} stands in no table: its trials are {counts(study)} completed / pruned / failed.")
            notes += failures(study, label)
    notes += winners.unfinished(selection.studies, named)
    notes += [f"Not shown: no run record for {cell}." for cell in selection.absent]
    return notes + [f"Set aside: {problem.path}: {problem.reason}." for problem in selection.problems]


def _footnotes(found: Sequence[StudyComparison]) -> list[str]:
    notes: list[str] = []
    if any(len(comparison.measures) == 1 for comparison in found):
        notes += [*budgets.NOTES, budgets.FIGURE_NOTE if figures.can_draw() else figures.MISSING]
    notes += [parameters.SLICES_NOTE] if found else []
    return [*notes, "The CSV of the same name has every trial with its parameters, in full precision, and its run id."]


def _raw(study: Study) -> Iterator[dict[str, Any]]:
    """Yield a row a trial, then a row a final run, whose values are of the test part."""
    by_number = {trial.number: trial for trial in study.trials}
    for trial in study.trials:
        measured: dict[str, float | None] = dict(zip(study.metrics, trial.values or (), strict=False))
        measured |= {"tokens": trial.tokens, "cpu_seconds": trial.cpu_seconds}
        yield _raw_row(study, trial.number, trial.state, trial.params, trial.run_id, trial.result, measured)
    for final in study.finals:
        result = final.result
        paths = {metric: path_of(metric) for metric in study.metrics}
        paths |= {"tokens": "training.tokens", "cpu_seconds": "resources.cpu_seconds"}
        measured = {name: result.number(path) if result else None for name, path in paths.items()}
        params = by_number[final.trial].params if final.trial in by_number else {}
        row = _raw_row(study, final.trial, final.state, params, final.run_id, result, measured)
        yield row | {"final": True, "seed": final.seed}


def _raw_row(
    study: Study,
    number: int,
    state: str,
    params: Mapping[str, Any],
    run_id: str | None,
    result: RunResult | None,
    measured: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "sweep": study.sweep,
        "study": study.name,
        "trial": number,
        "final": False,
        "seed": result and result.get("config.seed"),
        "state": state,
        **{f"value_{metric}": measured.get(metric) for metric in study.metrics},
        **{f"param_{key}": value for key, value in params.items()},
        "tokens": measured.get("tokens"),
        "cpu_seconds": measured.get("cpu_seconds"),
        "run_id": run_id,
        "evaluation_id": result and result.evaluation_id,
        "comparability_key": result and result.key,
    }
