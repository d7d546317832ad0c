"""Which studies may be compared: those whose trials were evaluated alike, by the same metric in the same direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...read.comparability import base_label
from ...read.measures import measure
from ...read.results import Record
from ...read.settings import dataset_label, model_label
from ...read.studies import Study, Trial
from ..notes import key_label


@dataclass(frozen=True)
class Entrant:
    """A study in a comparison, with those of its completed trials that share the comparability key."""

    label: str
    study: Study
    completed: tuple[Trial, ...]

    @property
    def example(self) -> Record:
        record = self.completed[0].record
        assert record is not None, "a completed trial has a record"
        return record

    @property
    def values(self) -> list[float]:
        """The values of the first metric, one a completed trial."""
        return [trial.value for trial in self.completed if trial.value is not None]

    def best(self, place: int = 0) -> Trial:
        """Return the first of the trials with the best value of a metric."""
        sign = -1 if self.study.maximizes(place) else 1
        return min(self.completed, key=lambda trial: sign * trial.values[place] if trial.values else 0.0)


@dataclass(frozen=True)
class Evaluation:
    """Studies that may be compared."""

    key: str
    metrics: tuple[str, ...]
    entrants: tuple[Entrant, ...]

    @property
    def title(self) -> str:
        models = dict.fromkeys(model_label(entrant.example) for entrant in self.entrants)
        data = dict.fromkeys(dataset_label(entrant.example) for entrant in self.entrants)
        named = ", ".join(measure(metric).label for metric in self.metrics)
        return f"{' / '.join(models)} · {' / '.join(data)} · {named} ({key_label(self.key)})"


def labels(studies: Sequence[Study]) -> dict[int, str]:
    """Return what each study is called, by its id(): its name, with that of its sweep where there are several."""
    several = len({study.sweep for study in studies}) > 1
    return {
        id(study): f"{study.sweep}: {study.name}" if several and study.name != study.sweep else study.name
        for study in studies
    }


def evaluations(studies: Sequence[Study]) -> list[Evaluation]:
    """Return studies by what they may be compared in, in order of first appearance; those without a trial in none.

    Metrics that count tokens aren't compared between models, whose tokens may not be the same.
    """
    named = labels(studies)
    groups: dict[tuple[Any, ...], list[Entrant]] = {}
    for study in studies:
        key = commonest_key(study)
        if key is None:
            continue
        entrant = Entrant(named[id(study)], study, tuple(trial for trial in study.completed if trial.key == key))
        a_token = any(measure(metric).a_token for metric in study.metrics)
        model = base_label(entrant.example) if a_token else None
        groups.setdefault((key, study.metrics, study.directions, model), []).append(entrant)
    return [Evaluation(group[0], group[1], tuple(entrants)) for group, entrants in groups.items()]


def commonest_key(study: Study) -> str | None:
    """Return the comparability key that most completed trials have, the first of equals; None without such trials."""
    keys = Counter(trial.key for trial in study.completed)
    return keys.most_common(1)[0][0] if keys else None


def run_ids(trials: Sequence[Trial]) -> list[str]:
    """Return the ids of the runs that trials have a record of, each once, in order."""
    return list(dict.fromkeys(trial.record.run_id for trial in trials if trial.record is not None))


def in_words(params: Mapping[str, Any]) -> str:
    """Return a trial's settings in short, such as `r=8 learning_rate=1.2e-03`; keys in full where two end alike."""
    ends = Counter(key.rsplit(".", 1)[-1] for key in params)
    parts = []
    for key, value in params.items():
        end = key.rsplit(".", 1)[-1]
        parts.append(f"{end if ends[end] == 1 else key}={value_in_words(value)}")
    return " ".join(parts)


def value_in_words(value: Any) -> str:
    """Return a value as short as it may be told apart: 1.2e-03 for a small number, 16 for 16.0."""
    if isinstance(value, float):
        return f"{value:.1e}" if value and not 0.01 <= abs(value) < 1e4 else f"{value:.3g}"
    return "null" if value is None else str(value)
