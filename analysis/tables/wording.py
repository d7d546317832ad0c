"""Differences, intervals and p-values as a reader wants them in a table, and what they can't speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.wording import pluralize

from ..read.measures import Measure
from ..read.results import RunResult
from ..read.settings import Setting
from ..statistics.measured import Measured
from ..statistics.pairs import Pair
from ..statistics.simulated import BEST_OF, ONE_SEED, nearest
from ..statistics.spread import MIN_CLUSTERS, Interval
from .numbers import ABSENT, Form, percent

if TYPE_CHECKING:
    from ..statistics.differences import Difference
    from ..statistics.estimates import Estimate

ALPHA = 0.05


def p_value(p: float | None) -> str:
    """Return a p-value to three decimals; nothing below 0.001 is told apart."""
    return ABSENT if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def interval(found: Interval, form: Form) -> str:
    return f"[{form(found.low)}, {form(found.high)}]"


def signed(form: Form) -> Form:
    """Return the form with a sign in front."""
    return lambda value: form(value) if value < 0 else f"+{form(value)}"


def share(change: float, found: Interval | None = None) -> str:
    """Return a relative change in percent, with its interval where there is one."""
    shown = percent(change)
    return shown if found is None else f"{shown} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def is_nothing(value: float, form: Form) -> bool:
    """Whether a value is shown as zero, or by its last digit alone: shares of it say nothing."""
    return abs(value) < 1 and len(form(abs(value)).lstrip("0.")) < 2


def absolute(found: Difference | None, form: Form) -> str:
    """Return a difference with its interval."""
    if found is None:
        return ABSENT
    shown = signed(form)(found.value)
    return shown if found.interval is None else f"{shown} {interval(found.interval, signed(form))}"


def relative(found: Difference | None) -> str:
    return ABSENT if found is None else share(found.value, found.interval)


def difference(pair: Pair, measure: Measure) -> str:
    """Return a difference: as a share of a metric on a log scale, which is compared by ratios, else as it is."""
    return relative(pair.relative) if measure.log_scale else absolute(pair.absolute, measure.form)


def verdict(pair: Pair, measure: Measure, first: str, second: str) -> str:
    """Say which of a pair's sides is better, `first` less `second` being its difference, as far as that is shown."""
    if pair.corrected is None or pair.absolute is None or measure.higher_is_better is None:
        return "not tested"
    if pair.corrected > ALPHA:
        return "not shown"
    return first if (pair.absolute.value > 0) == measure.higher_is_better else second


def troubles(found: Iterable[Measured | Pair]) -> list[str]:
    """Return what kept estimates and comparisons from being, each once."""
    return list(dict.fromkeys(one.trouble for one in found if one.trouble))


def scored_on_fewer(results: Iterable[RunResult]) -> list[str]:
    """Name the metrics that were scored on fewer held-out items than others; those with prompts of their own aside."""
    fewer: dict[str, tuple[int, int]] = {}
    for result in results:
        counts = {
            str(name): scored["items"]
            for name, scored in result.part("scored").items()
            if isinstance(scored, Mapping) and isinstance(scored.get("items"), int) and not scored.get("prompt_sets")
        }
        most = max(counts.values(), default=0)
        fewer |= {name: (count, most) for name, count in counts.items() if count < most}
    alike: dict[tuple[int, int], list[str]] = {}
    for name, counted in fewer.items():
        alike.setdefault(counted, []).append(f"metrics.{name}")
    return [
        f"{join(names)} {'is' if len(names) == 1 else 'are'} scored on {pluralize(count, 'item')}, others on {most}."
        for (count, most), names in alike.items()
    ]


def evaluated_on(found: Iterable[Estimate | None]) -> list[str]:
    """Say on how much the numbers of a section rest, and what that is too little for."""
    estimates = [estimate for estimate in found if estimate is not None]
    if not estimates:
        return []
    first = next((estimate for estimate in estimates if estimate.trusted), estimates[0])
    scenes = f"{first.items} items of {len(first.clusters)} scenes or dialogues"
    if first.trusted:
        return [f"Evaluated on {scenes}."]
    few = f"fewer than {MIN_CLUSTERS}" if len(first.clusters) < MIN_CLUSTERS else "a few of which decide the value"
    return [f"Evaluated on {scenes}, {few}: too few for an interval or a test, so the order may be chance."]


def on_common_items(results: Iterable[RunResult]) -> list[str]:
    """Say that metrics are of the items that all rows have, where some were evaluated on more."""
    restricted = [result for result in results if result.items is not None]
    if not restricted:
        return []
    shared = max(len(result.items or ()) for result in restricted)
    most = max(result.number("evaluation.data.all_eval_examples") or shared for result in restricted)
    return [
        f"Not all rows were evaluated on the same items: all numbers here are of the {shared} of {most:.0f} in common, "
        "and those of all items in the records."
    ]


def in_common(found: Iterable[Measured]) -> list[str]:
    """Say on which items rows are compared, where not all of them have the same."""
    measured = [one for one in found if one.estimate is not None]
    counts = sorted({one.estimate.items for one in measured if one.estimate})
    shared = {one.shared.items for one in measured if one.shared}
    sentences = []
    if shared and (len(counts) > 1 or shared != set(counts)):
        span = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]} each, not the same ones"
        sentences.append(
            f"Not all rows have the same items ({span}): differences, p-values and ranks are of the "
            f"{max(shared)} of {counts[-1]} in common."
        )
    if apart := sum(one.is_apart for one in measured):
        sentences.append(
            f"Not tested: {pluralize(apart, 'row')} with too few items in common with the others (less than half)."
        )
    return sentences


def losses(settings: Iterable[Setting]) -> list[str]:
    """Say which rows lost seeds, and what their numbers then are; and which runs were left out for their seed."""
    sentences, doubled = [], 0
    for setting in settings:
        doubled += setting.doubled
        if setting.diverged:
            sentences.append(
                f"{setting.label}: {setting.losses}. Its numbers are those of the seeds that didn't, so it has no rank."
            )
        elif setting.lost:
            sentences.append(f"{setting.label}: {setting.losses}, and its numbers are those of the others.")
    if doubled:
        sentences.append(
            f"{pluralize(doubled, 'run')} left out whose setting and seed another run has, too: the last one counts."
        )
    return sentences


def without_training_noise(settings: Sequence[Setting]) -> list[str]:
    """Say what can't be known of settings that have a single seed, where another could give other answers."""
    seeded = [setting for setting in settings if not setting.is_fixed]
    single = [setting for setting in seeded if len(setting.results) == 1]
    if not single:
        return []
    count = "Each row has" if len(single) == len(seeded) else f"{len(single)} of {len(seeded)} rows with seeds have"
    found = (
        f"{count} one seed: intervals, ranks and p-values then speak of new evaluation items and can't speak of "
        "training noise. Another seed may change the order; add seeds with seed=0,1,2."
    )
    if len(single) > 1:
        rows, rate = nearest(ONE_SEED, len(single))
        found += (
            f" (Simulated: where seeds move rows by 0.1 nats, {100 * rate:.0f} % of tables of {rows} equal rows with "
            "one seed say that some differ; docs/certainty.md.)"
        )
    return [found]


def flattered(names: Sequence[str], tried: int) -> str:
    """Say that settings were chosen by the very numbers that are compared, the most of them among `tried`."""
    settings, rate = nearest(BEST_OF, tried)
    return (
        f"{join(names)}: chosen by these very numbers, so flattered, and p-values are too small (simulated: the best "
        f"of {settings} settings that equal the untuned base has p ≤ 0.05 in {100 * rate:.0f} %; docs/certainty.md). A "
        "study (hydra/sweeper=optuna) chooses on validation data."
    )


def join(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def explained(measures: Iterable[Measure]) -> list[str]:
    """Return a sentence for each metric on what it is and which way is better."""
    return [_explained(measure) for measure in measures if measure.explanation or measure.higher_is_better is not None]


def _explained(measure: Measure) -> str:
    what = measure.explanation or measure.label
    named = what if what.startswith(measure.label) else f"{measure.label}: {what}"
    return f"{named}; {measure.direction}."
