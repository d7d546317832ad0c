"""Each method's best setting: chosen by a study on validation data if there is one, else on the evaluation itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..read.results import Record
from ..read.settings import Setting, dataset_label, model_label, settings
from ..read.studies import PRUNED, Study

METRIC = "metrics.completion_ppl"
_LIKELIHOODS = ("completion_nll", "completion_ppl", "bits_per_byte")
"""metrics of studies that chose by what is compared here, the likelihood"""


@dataclass(frozen=True)
class Contender:
    """A method's best setting; `tried` counts the distinct settings it was chosen from.

    `study` is the one that chose it on validation data; without one it has the lowest mean perplexity on the evaluation
    items themselves, which flatters it.
    """

    best: Setting
    tried: int
    study: Study | None = None

    @property
    def ppl(self) -> float:
        spread = self.best.spread(METRIC)
        assert spread is not None
        return spread.mean

    @property
    def parameters(self) -> float | None:
        return self.best.first.number("training.trainable_parameters")

    @property
    def flattered(self) -> bool:
        """Whether it was chosen among several by the very numbers that are compared."""
        return self.study is None and self.tried > 1


def contenders(
    methods: Sequence[str], records: Sequence[Record], everything: Sequence[Record], studies: Sequence[Study]
) -> dict[str, Contender]:
    """Return the best setting of each method that has one with a perplexity among `records`."""
    found = settings(records)
    pruned = settings(_pruned_alongside(records, everything))
    winners = _winners(studies)
    best = {method: _contender(method, found, pruned, winners) for method in methods}
    return {method: contender for method, contender in best.items() if contender is not None}


def _contender(
    method: str, found: Sequence[Setting], pruned: Sequence[Setting], winners: Mapping[str, tuple[Study, float]]
) -> Contender | None:
    tried = [setting for setting in found if setting.method == method and setting.spread(METRIC)]
    if not tried:
        return None
    chosen = [(study, loss, setting) for setting in tried for study, loss in _chosen_by(setting, winners)]
    if chosen:
        study, _, setting = min(chosen, key=lambda winner: _preference(winner[0], winner[1]))
        return Contender(setting, len(study.completed) + study.count(PRUNED), study)
    known = {_config_key(setting) for setting in tried}
    gave_up = {_config_key(setting) for setting in pruned if setting.method == method} - known
    best = min(tried, key=lambda setting: Contender(setting, 0).ppl)
    return Contender(best, len(tried) + len(gave_up))


def _preference(study: Study, loss: float) -> tuple[int, str, float]:
    """Return what winners are ordered by: values of different metrics can't be compared, and likelihoods come first."""
    metric = study.metrics[0]
    return (_LIKELIHOODS.index(metric) if metric in _LIKELIHOODS else len(_LIKELIHOODS), metric, loss)


def _winners(studies: Sequence[Study]) -> dict[str, tuple[Study, float]]:
    """Return, by run id, the study that had a run trained for its final, and how well its trial did: less is better."""
    found = {}
    for study in studies:
        sign = -1 if study.maximizes() else 1
        values = {trial.number: trial.value for trial in study.completed}
        for final in study.finals:
            value = values.get(final.trial)
            if final.run_id is not None and value is not None:
                found[final.run_id] = (study, sign * value)
    return found


def _chosen_by(setting: Setting, winners: Mapping[str, tuple[Study, float]]) -> list[tuple[Study, float]]:
    return [winners[record.run_id] for record in setting.records if record.run_id in winners][:1]


def _config_key(setting: Setting) -> str:
    # A pruned run may carry no comparability key or fingerprint: it never was evaluated.
    config = {key: value for key, value in setting.config.items() if key not in ("comparability_key", "fingerprint")}
    return json.dumps(config, sort_keys=True, default=str)


def _pruned_alongside(records: Sequence[Record], everything: Sequence[Record]) -> list[Record]:
    first = records[0]
    place = (model_label(first), dataset_label(first))
    return [
        record
        for record in everything
        if record.status == "pruned"
        and (model_label(record), dataset_label(record)) == place
        and record.get("comparability_key") in (None, first.get("comparability_key"))
    ]
