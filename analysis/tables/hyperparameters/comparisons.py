"""Which studies may be compared: those whose trials were evaluated alike, by the same metric in the same direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...read.comparable import key_label
from ...read.labels import base_label, dataset_label, model_label
from ...read.measures import Measure
from ...read.results import FAILED, RunResult
from ...read.studies import Study, StudyTrial


@dataclass(frozen=True)
class ComparedStudy:
    """A study in a comparison, with those of its completed trials that share the comparability key."""

    label: str
    study: Study
    completed: tuple[StudyTrial, ...]

    @property
    def example(self) -> RunResult:
        result = self.completed[0].result
        assert result is not None, "a completed trial has a record"
        return result

    @property
    def measure(self) -> Measure:
        """What is known of the first metric."""
        return self.study.measures[0]

    @property
    def values(self) -> list[float]:
        """The values of the first metric, one a completed trial."""
        return [trial.value for trial in self.completed if trial.value is not None]

    @property
    def outcomes(self) -> list[float]:
        """The values of the first metric that a best is chosen from: of each distinct run, and of those that diverged.

        A diverged one counts as the worst of the others.
        """
        values = list({trial.run_id or trial.number: trial.value for trial in self.completed}.values())
        known = [value for value in values if value is not None]
        return known + [(min if self.study.maximizes() else max)(known)] * self.diverged

    @property
    def repeated(self) -> int:
        """How many completed trials drew a run that an earlier one had drawn."""
        return len(self.completed) - len({trial.run_id or trial.number for trial in self.completed})

    @property
    def diverged(self) -> int:
        """How many runs of its trials diverged."""
        failed = [trial for trial in self.study.trials if trial.state == FAILED and trial.result is not None]
        return len({trial.result.run_id for trial in failed if trial.result is not None and trial.result.diverged})

    def by(self, index: int) -> ComparedStudy:
        """Return the study as if it had been for one of its metrics alone."""
        numbers = {trial.number for trial in self.completed}
        study = self.study.by(index)
        return ComparedStudy(self.label, study, tuple(t for t in study.trials if t.number in numbers))

    def best(self, index: int = 0) -> StudyTrial:
        """Return the first of the trials with the best value of a metric."""
        sign = -1 if self.study.maximizes(index) else 1
        return min(self.completed, key=lambda trial: sign * trial.values[index] if trial.values else 0.0)


@dataclass(frozen=True)
class StudyComparison:
    """Studies that may be compared."""

    key: str
    studies: tuple[ComparedStudy, ...]

    @property
    def measures(self) -> Sequence[Measure]:
        return self.studies[0].study.measures

    @property
    def title(self) -> str:
        models = dict.fromkeys(model_label(study.example) for study in self.studies)
        data = dict.fromkeys(dataset_label(study.example) for study in self.studies)
        named = ", ".join(measure.label for measure in self.measures)
        return f"{' / '.join(models)} · {' / '.join(data)} · {named} ({key_label(self.key)})"


def labels(studies: Sequence[Study]) -> dict[int, str]:
    """Return what each study is called, by its id(): its name, with that of its sweep where there are several."""
    several = len({study.sweep for study in studies}) > 1
    return {
        id(study): f"{study.sweep}: {study.name}" if several and study.name != study.sweep else study.name
        for study in studies
    }


def comparisons(studies: Sequence[Study]) -> list[StudyComparison]:
    """Return studies by what they may be compared in, in order of first appearance; those without a trial in none.

    Metrics that count tokens aren't compared between models, whose tokens may not be the same, and none between
    versions.
    """
    named = labels(studies)
    groups: dict[tuple[Any, ...], list[ComparedStudy]] = {}
    for study in studies:
        key = commonest_key(study)
        if key is None:
            continue
        compared = ComparedStudy(named[id(study)], study, tuple(trial for trial in study.completed if trial.key == key))
        per_token = any(measure.per_token for measure in study.measures)
        model = base_label(compared.example) if per_token else None
        versions = tuple(measure.version for measure in study.measures)
        groups.setdefault((key, study.metrics, study.directions, versions, model), []).append(compared)
    return [StudyComparison(group[0], tuple(compared)) for group, compared in groups.items()]


def commonest_key(study: Study) -> str | None:
    """Return the comparability key that most completed trials have, the first of equals; None without such trials."""
    keys = Counter(trial.key for trial in study.completed)
    return keys.most_common(1)[0][0] if keys else None


def run_ids(trials: Sequence[StudyTrial]) -> list[str]:
    """Return the ids of the runs that trials have a record of, each once, in order."""
    return list(dict.fromkeys(trial.result.run_id for trial in trials if trial.result is not None))


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
