"""All models together: a line a metric over all of them, and a line a metric for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persona_sweeps.wording import pluralize

from ...statistics.pairs import Pair
from .. import wording
from ..numbers import rate
from ..table import Column, Section, cells, shown
from .contest import LORA, NAMES, PROMPT, Contest, Duel, Summary

if TYPE_CHECKING:
    from ...statistics.differences import Difference

NOTE = (
    "ahead counts models by their means, shown those with a corrected p of at most 0.05; the sign test asks whether "
    "one method is ahead on more models than chance would have it, and so speaks of models like these. The mean "
    "difference is that over these very models, paired by scene: it speaks of other scenes and seeds."
)
_MODELS_FOR_SIGNS = 6
"""models from which on the sign test can come to 0.05"""


def _ahead(row: Summary) -> str:
    ties = f", {pluralize(row.ties, 'tie')}" if row.ties else ""
    return f"{row.ahead(True)} : {row.ahead(False)}{ties}"


def _shown(row: Summary) -> str:
    return f"{row.shown(NAMES[LORA])} : {row.shown(NAMES[PROMPT])}"


def _difference(row: Duel | Summary) -> str | None:
    found = row.pair.absolute
    if found is not None:
        return wording.absolute(found, row.measure.form)
    if isinstance(row, Summary) or row.means is None:
        return None
    return wording.signed(row.measure.form)(row.means[0] - row.means[1])


def _verdict(row: Summary) -> str:
    return wording.verdict(row.pair, row.measure, NAMES[LORA], NAMES[PROMPT])


def _share(row: Duel) -> Difference | None:
    nothing = row.means is None or wording.is_nothing(row.means[1], row.measure.form)
    return None if nothing else row.pair.relative


def _pair(row: Duel | Summary) -> Pair:
    return row.pair


SUMMARY_COLUMNS = [
    Column(value=lambda row: row.duels[0].settings[0].first.key, raw="comparability_key"),
    Column(value=lambda row: "all models", raw="row"),
    Column("metric", right=False, value=lambda row: row.measure.label),
    Column(value=lambda row: row.measure.short, raw="metric"),
    Column("models", value=lambda row: len(row.duels), raw="models"),
    Column("ahead (LoRA : prompt tuning)", value=_ahead),
    Column("shown", value=_shown),
    Column(value=lambda row: row.ahead(True), raw="lora_ahead"),
    Column(value=lambda row: row.ahead(False), raw="prompt_tuning_ahead"),
    Column(value=lambda row: row.ties, raw="ties"),
    Column(value=lambda row: row.shown(NAMES[LORA]), raw="lora_shown"),
    Column(value=lambda row: row.shown(NAMES[PROMPT]), raw="prompt_tuning_shown"),
    Column("p (signs)", value=lambda row: row.sign_p, form=wording.p_value, raw="sign_p"),
    Column("mean of LoRA − prompt tuning [95 %]", value=_difference),
    Column("in %", value=lambda row: row.pair.relative, form=wording.relative),
    Column("p", value=lambda row: row.pair.corrected, form=wording.p_value),
    Column("better", right=False, value=_verdict),
    Column(value=_pair, raw="lora_prompt_tuning"),
]
COLUMNS = [
    Column(value=lambda row: row.settings[0].first.key, raw="comparability_key"),
    Column(value=lambda row: "model", raw="row"),
    Column("model", right=False, value=lambda row: row.entrants.model, raw="model_label"),
    Column(value=lambda row: row.settings[0].first.get("config.model.name"), raw="model"),
    Column("metric", right=False, value=lambda row: row.measure.label),
    Column(value=lambda row: row.measure.short, raw="metric"),
    Column("LoRA [95 %]", value=lambda row: row.reading(0).text(row.measure.form)),
    Column("prompt tuning [95 %]", value=lambda row: row.reading(1).text(row.measure.form)),
    Column("LoRA − prompt tuning", value=_difference),
    Column("in %", value=_share, form=wording.relative),
    Column("p", value=lambda row: row.pair.corrected, form=wording.p_value),
    Column("better", right=False, value=lambda row: row.verdict),
    Column(value=lambda row: row.means and row.means[0], raw="lora_value"),
    Column(value=lambda row: row.means and row.means[1], raw="prompt_tuning_value"),
    Column(value=lambda row: row.settings[0].label, raw="lora_setting"),
    Column(value=lambda row: row.settings[1].label, raw="prompt_tuning_setting"),
    Column(value=lambda row: row.settings[0].learning_rate, raw="lora_learning_rate", form=rate),
    Column(value=lambda row: row.settings[1].learning_rate, raw="prompt_tuning_learning_rate", form=rate),
    Column(value=_pair, raw="lora_prompt_tuning"),
    Column(value=lambda row: " ".join(row.settings[0].run_ids), raw="lora_run_ids"),
    Column(value=lambda row: " ".join(row.settings[1].run_ids), raw="prompt_tuning_run_ids"),
]


def sections(contest: Contest) -> list[Section]:
    """Return a section of all models together where there are several, and one of each model and metric."""
    found = []
    if contest.summaries:
        runs = [
            [run for duel in row.duels for setting in duel.settings for run in setting.run_ids]
            for row in contest.summaries
        ]
        rows = cells(SUMMARY_COLUMNS, contest.summaries)
        found.append(
            Section(f"All models · {contest.group.data}", rows, _few(contest), shown(SUMMARY_COLUMNS), runs=runs)
        )
    if contest.duels:
        runs = [[run for setting in duel.settings for run in setting.run_ids] for duel in contest.duels]
        rows = cells(COLUMNS, contest.duels)
        found.append(Section(f"By model · {contest.group.data}", rows, _notes(contest), shown(COLUMNS), runs=runs))
    return found


def _few(contest: Contest) -> list[str]:
    models = max(len(row.duels) for row in contest.summaries)
    if models >= _MODELS_FOR_SIGNS:
        return []
    return [f"{models} models: with fewer than {_MODELS_FOR_SIGNS} the sign test can't come to 0.05 whatever they say."]


def _notes(contest: Contest) -> Sequence[str]:
    sides = [side for duel in contest.duels for side in duel.sides]
    found = [*wording.evaluated_on(side.estimate for side in sides), *wording.in_common(sides)]
    settings = {id(setting): setting for duel in contest.duels for setting in duel.settings}
    if found:
        found += wording.without_training_noise(list(settings.values()))
    found += wording.on_common_items(result for setting in settings.values() for result in setting.results)
    return [*found, *wording.troubles([*sides, *(duel.pair for duel in contest.duels)])]
