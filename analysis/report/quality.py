"""Quality against cost: settings that may be compared, and which of them no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from ..read.measures import measure
from ..read.results import Record
from ..read.settings import Setting, dataset_label, has_model, model_label, settings
from ..tables.notes import group_by_key, key_label

LESS_IS_BETTER = {
    "completion_nll": True,
    "completion_ppl": True,
    "bits_per_byte": True,
    "rouge1": False,
    "rouge2": False,
    "rougeL": False,
    "bleu": False,
}
COSTS = (
    "resources.cpu_seconds",
    "resources.wall_seconds",
    "training.trainable_parameters",
    "training.tokens",
)


@dataclass(frozen=True)
class Comparison:
    """The settings of one comparability key, with means over seeds: `values[metric][place]`, `costs` likewise.

    `fronts[metric][cost]` has the places of those that no other setting beats in both.
    """

    title: str
    settings: Sequence[Setting]
    labels: Sequence[str]
    values: dict[str, list[float | None]]
    costs: dict[str, list[float | None]]
    fronts: dict[str, dict[str, list[int]]]


def comparisons(records: Sequence[Record]) -> list[Comparison]:
    """Return a comparison for each comparability key of completed runs that has a metric, a cost and two settings."""
    found = (_comparison(key, of_key) for key, of_key in group_by_key(records).items())
    return [comparison for comparison in found if comparison is not None]


def _comparison(key: str, records: Sequence[Record]) -> Comparison | None:
    found = settings(records)
    on_models = [record for record in records if has_model(record)]
    models = list(dict.fromkeys(model_label(record) for record in on_models))
    bases = {(record.get("config.model.name"), record.get("config.model.scale")) for record in on_models}
    # A perplexity a token counts other tokens for another tokenizer, so only one base's may be set side by side.
    metrics = [name for name in LESS_IS_BETTER if len(bases) == 1 or not measure(name).a_token]
    values = _known({name: [_mean(setting, f"metrics.{name}") for setting in found] for name in metrics})
    costs = _known({name: [_mean(setting, name) for setting in found] for name in COSTS})
    if len(found) < 2 or not values or not costs:
        return None
    labels = [_label(setting, len(models) > 1) for setting in found]
    title = f"{' / '.join(models)} · {' / '.join(dict.fromkeys(map(dataset_label, records)))} ({key_label(key)})"
    fronts = {
        metric: {cost: front(costs[cost], values[metric], LESS_IS_BETTER[metric]) for cost in costs}
        for metric in values
    }
    return Comparison(title, found, labels, values, costs, fronts)


def front(costs: Sequence[float | None], values: Sequence[float | None], less_is_better: bool) -> list[int]:
    """Return the places of the Pareto front, cheapest first: no other is at least as good in both and better in one.

    Those of which either is unknown are left out.
    """
    sign = 1 if less_is_better else -1
    known = [
        (cost, sign * value, place)
        for place, (cost, value) in enumerate(zip(costs, values, strict=True))
        if cost is not None and value is not None
    ]
    kept: list[tuple[float, float, int]] = []
    for cost, value, place in sorted(known):
        if not kept or value < kept[-1][1] or (cost, value) == kept[-1][:2]:
            kept.append((cost, value, place))
    return [place for _, _, place in kept]


def _known(columns: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {name: column for name, column in columns.items() if any(value is not None for value in column)}


def _mean(setting: Setting, dotted: str) -> float | None:
    spread = setting.spread(dotted)
    return spread.mean if spread is not None and isfinite(spread.mean) else None


def _label(setting: Setting, with_model: bool) -> str:
    rate = f" lr={setting.learning_rate:g}" if setting.learning_rate is not None else ""
    return f"{model_label(setting.first)} · {setting.label}{rate}" if with_model else f"{setting.label}{rate}"
