"""Each method's best setting: chosen by a study on validation data if there is one, else on the evaluation itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..read.labels import dataset_label, method_of, model_label
from ..read.measures import Measure
from ..read.results import PRUNED, RunResult
from ..read.settings import Setting
from ..read.studies import Study, StudyTrial


@dataclass(frozen=True)
class BestSetting:
    """A method's best setting by `measure`; `tried` counts the distinct settings it was chosen from.

    `study` is the one that chose it on validation data; without one it has the best mean on the evaluated items
    themselves, which flatters it.
    """

    setting: Setting
    measure: Measure
    tried: int
    study: Study | None = None

    @property
    def value(self) -> float:
        spread = self.setting.spread(self.measure.name)
        assert spread is not None, "a best setting has the metric"
        return spread.mean

    @property
    def parameters(self) -> float | None:
        return self.setting.first.number("training.trainable_parameters")

    @property
    def is_flattered(self) -> bool:
        """Whether it was chosen among several by the very numbers that are compared."""
        return self.study is None and self.tried > 1


def best_settings(
    methods: Sequence[str],
    found: Sequence[Setting],
    measure: Measure,
    everything: Sequence[RunResult],
    studies: Sequence[Study],
) -> dict[str, BestSetting]:
    """Return the best setting of each method that has one with the metric among `found`, those that are comparable.

    `everything` has the pruned runs, whose settings count as tried. A setting of which a seed diverged is the best only
    where all are such.
    """
    pruned = _pruned_alongside(found, everything)
    winners = _winners(studies)
    best = {method: _best(method, found, measure, pruned, winners) for method in methods}
    return {method: setting for method, setting in best.items() if setting is not None}


def _best(
    method: str,
    found: Sequence[Setting],
    measure: Measure,
    pruned: Sequence[RunResult],
    winners: Mapping[str, tuple[Study, StudyTrial]],
) -> BestSetting | None:
    tried = [setting for setting in found if setting.method == method and setting.spread(measure.name)]
    if not tried:
        return None
    chosen = [(*winners[run_id], setting) for setting in tried for run_id in setting.run_ids if run_id in winners]
    if chosen:
        study, _, setting = min(chosen, key=lambda winner: _preference(winner[0], winner[1], measure))
        return BestSetting(setting, measure, len(study.completed) + study.count(PRUNED), study)
    known = {setting.first.setting_key for setting in tried}
    gave_up = {result.setting_key for result in pruned if method_of(result) == method} - known
    whole = [setting for setting in tried if not setting.diverged] or tried
    best = min(whole, key=lambda setting: measure.sign * BestSetting(setting, measure, 0).value)
    return BestSetting(best, measure, len(tried) + len(gave_up))


def _preference(study: Study, trial: StudyTrial, measure: Measure) -> tuple[int, float, str, float]:
    """Return what winners are ordered by: values of different metrics can't be compared.

    Studies that chose by the very metric come first, then those by one of its family, then larger headlines. Of a study
    of several metrics, that metric counts which comes first in this order.
    """
    assert trial.values is not None, "a completed trial has values"
    signs = [-1 if study.maximizes(index) else 1 for index in range(len(study.metrics))]
    return min(
        (_distance(chosen_by, measure), -chosen_by.headline, chosen_by.name, sign * value)
        for chosen_by, sign, value in zip(study.measures, signs, trial.values, strict=True)
    )


def _distance(chosen_by: Measure, measure: Measure) -> int:
    if chosen_by.name == measure.name:
        return 0
    return 1 if chosen_by.family and chosen_by.family == measure.family else 2


def _winners(studies: Sequence[Study]) -> dict[str, tuple[Study, StudyTrial]]:
    """Return, by run id, the study that had a run trained for its final, and the trial that it repeats."""
    found = {}
    for study in studies:
        trials = {trial.number: trial for trial in study.completed}
        for final in study.finals:
            if final.run_id is not None and final.trial in trials:
                found[final.run_id] = (study, trials[final.trial])
    return found


def _pruned_alongside(found: Sequence[Setting], everything: Sequence[RunResult]) -> list[RunResult]:
    """Return the pruned runs of the same model and data, whose settings were given up."""
    where = {(model_label(setting.first), dataset_label(setting.first)) for setting in found}
    pruned = (result for result in everything if result.status == PRUNED)
    return [result for result in pruned if (model_label(result), dataset_label(result)) in where]
