"""What the winners of studies score on test, trained anew with seeds that the search never saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...read.measures import measure
from ...read.results import Record
from ...read.settings import Setting, dataset_label, model_label, settings
from ...read.studies import COMPLETED, Study
from .. import numbers
from ..notes import key_label, told_seeds
from ..table import Column, Section
from .comparisons import in_words

METRICS = ("completion_nll", "completion_ppl", "bits_per_byte", "rouge1", "rougeL", "bleu")
NOTE = (
    "Winners were chosen on other data and trained anew with other seeds: mean ± sample standard deviation over these "
    "seeds, which nothing was chosen by."
)


def sections(studies: Sequence[Study], labels: Mapping[int, str]) -> list[Section]:
    """Return one section for each evaluation that winners were scored by, with a row a winner."""
    by_key: dict[str, list[tuple[Study, int, Setting]]] = {}
    for study, trial, setting in _found(studies):
        by_key.setdefault(str(setting.first.get("comparability_key")), []).append((study, trial, setting))
    return [_section(key, rows, labels) for key, rows in by_key.items()]


def unfinished(studies: Sequence[Study], labels: Mapping[int, str]) -> list[str]:
    """Return a sentence for each study whose winners aren't all scored."""
    notes = []
    for study in studies:
        waiting = [final for final in study.finals if final.state != COMPLETED]
        if waiting:
            states = ", ".join(f"trial {final.trial} seed {final.seed} {final.state}" for final in waiting)
            count = f"{len(waiting)} of {len(study.finals)}"
            notes.append(f"{labels[id(study)]}: {count} final runs have no scores: {states}.")
    return notes


def _found(studies: Sequence[Study]) -> Iterator[tuple[Study, int, Setting]]:
    """Yield every winner with the seeds of its setting that were completed."""
    for study in studies:
        by_trial: dict[int, list[Record]] = {}
        for final in study.finals:
            if final.record is not None and final.state == COMPLETED:
                by_trial.setdefault(final.trial, []).append(final.record)
        for trial, records in by_trial.items():
            for setting in settings(records):
                yield study, trial, setting


def _section(key: str, rows: Sequence[tuple[Study, int, Setting]], labels: Mapping[int, str]) -> Section:
    chosen_by = [metric for study, _, _ in rows for metric in study.metrics if "." not in metric]
    shown = [
        metric
        for metric in dict.fromkeys([*chosen_by, *METRICS])
        if any(setting.spread(f"metrics.{metric}") for _, _, setting in rows)
    ]
    columns = [
        Column("study", right=False),
        Column("model", right=False),
        Column("trial"),
        Column("setting", right=False),
        Column("seeds"),
        *(Column(measure(metric).label) for metric in shown),
    ]
    data = dict.fromkeys(dataset_label(setting.first) for _, _, setting in rows)
    lines = [_row(*row, shown, labels) for row in rows]
    runs = [[record.run_id for record in setting.records] for _, _, setting in rows]
    return Section(f"Winners trained anew: {' / '.join(data)} ({key_label(key)})", lines, [NOTE], columns, runs=runs)


def _row(study: Study, trial: int, setting: Setting, shown: Sequence[str], labels: Mapping[int, str]) -> list[str]:
    params = next((found.params for found in study.trials if found.number == trial), {})
    runs = len(setting.records)
    return [
        labels[id(study)],
        model_label(setting.first),
        str(trial),
        in_words(params) or setting.label,
        told_seeds(setting),
        *(numbers.with_spread(setting.spread(f"metrics.{name}"), measure(name).form, runs) for name in shown),
    ]
