"""Studies of one metric side by side: what they found, what to expect of fewer trials, what a target costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from ... import figures
from ...figures.best_of_k import Curve, draw
from ...read.measures import Measure, measure
from ...read.settings import dataset_label, model_label
from ...read.studies import PLANNED, Trial
from ...statistics import tuning
from ...statistics.spread import Interval
from .. import numbers
from ..table import Column, Figure, Section
from .attention import attention, counts, spent_tokens
from .comparisons import Entrant, Evaluation, in_words, run_ids

NOTES = (
    "trials are those completed / pruned / failed, and tokens what all of them were trained on; a run that two trials "
    "of a study drew is paid for once.",
    "best of k is the best to expect of k completed trials: the mean over all ways to draw k of them without "
    "replacement, an unbiased estimate for independent trials (Tang et al. 2020). Compare studies in one such column, "
    "not by their bests: more trials find better ones.",
    f"[low, high] is a 95 % bootstrap-t interval over trials, given from {tuning.MIN_TRIALS} completed trials on and "
    "for k up to half of them, where it held the truth in about 90 % of simulations or more; beyond, none can be "
    "trusted, and none is given.",
    "trials and tokens to target are what to expect until a first trial reaches it, were the completed ones in random "
    "order, (n + 1) / (m + 1) trials where m of n reach it, with what pruned and failed ones took shared among them; "
    "the trials and tokens it took are those of the study's own order, pruned and failed ones among them.",
    "Values are of the data that settings were chosen on, which the section's title names: the best is flattered by "
    "having been chosen.",
)
FIGURE_NOTE = "In figures, bands end with the frame where they are far wider than the curves."
INDEPENDENT = ("random", "qmc")


@dataclass(frozen=True)
class Standing:
    """One study of a comparison with its curve."""

    entrant: Entrant

    @property
    def maximizes(self) -> bool:
        return self.entrant.study.maximizes()

    @cached_property
    def ks(self) -> list[int]:
        return tuning.budgets(len(self.entrant.values))

    @cached_property
    def expected(self) -> list[float]:
        return [float(best) for best in tuning.expected_best(self.entrant.values, self.ks, self.maximizes)]

    @cached_property
    def bands(self) -> list[Interval | None]:
        return tuning.bands(self.entrant.values, self.ks, self.maximizes)

    @cached_property
    def spent(self) -> list[tuning.Spent]:
        """The trials that were begun, in order; one under another comparability key counts as not completed."""
        counted = {trial.number for trial in self.entrant.completed}
        begun = [trial for trial in self.entrant.study.trials if trial.state != PLANNED]
        return [tuning.Spent(trial.value if trial.number in counted else None, trial.tokens) for trial in begun]

    @property
    def best(self) -> Trial:
        return self.entrant.best()

    def at(self, k: int) -> tuple[float, Interval | None]:
        place = self.ks.index(k)
        return self.expected[place], self.bands[place]

    def curve(self) -> Curve:
        tokens = tuning.tokens_a_trial(self.spent)
        return Curve(self.entrant.label, self.ks, self.expected, self.bands, tokens)


def section(evaluation: Evaluation, figure_name: str) -> Section:
    """Return a row a study, the best to expect of the most trials that all have first, with its figure if it can be."""
    standings = [Standing(entrant) for entrant in evaluation.entrants]
    metric = measure(evaluation.metrics[0])
    fewest = min(len(standing.entrant.values) for standing in standings)
    ks = [2**power for power in range(fewest.bit_length())]
    sign = -1 if standings[0].maximizes else 1
    standings.sort(key=lambda standing: sign * standing.at(ks[-1])[0])
    last = max(standings, key=lambda standing: sign * _value(standing.best))
    target = _value(last.best)
    return Section(
        title=evaluation.title,
        rows=[_row(standing, metric, ks, target) for standing in standings],
        notes=[
            _told_target(metric.form(target), last.entrant, len(standings)),
            *(note for standing in standings for note in (*_independence(standing), *attention(standing.entrant))),
        ],
        columns=_columns(metric, ks),
        figures=[_figure(evaluation, standings, metric, figure_name)] if figures.can_draw() else [],
        runs=[run_ids(standing.entrant.study.trials) for standing in standings],
    )


def _told_target(target: str, last: Entrant, studies: int) -> str:
    if studies == 1:
        return f"The target is {target}, the best of the only study here."
    return f"The target is {target}, the worst of the bests (that of {last.label}), so that every study reaches it."


def _columns(metric: Measure, ks: Sequence[int]) -> list[Column]:
    return [
        Column("study", right=False),
        Column("model", right=False),
        Column("method", right=False),
        Column("trials"),
        Column("tokens"),
        Column("best"),
        Column("setting of the best", right=False),
        *(Column(f"best of {k}") for k in ks),
        Column("trials to target"),
        Column("tokens to target"),
        Column("trials it took"),
        Column("tokens it took"),
    ]


def _row(standing: Standing, metric: Measure, ks: Sequence[int], target: float) -> list[str]:
    entrant = standing.entrant
    expected = tuning.expected_cost(standing.spent, target, standing.maximizes)
    real = tuning.real_cost(standing.spent, target, standing.maximizes)
    return [
        entrant.label,
        model_label(entrant.example),
        str(entrant.example.get("config.peft.method", "?")),
        counts(entrant.study),
        numbers.tokens(spent_tokens(entrant.study)),
        metric.form(_value(standing.best)),
        in_words(standing.best.params),
        *(_with_band(*standing.at(k), metric) for k in ks),
        *_cost(expected, "{:,.1f}"),
        *_cost(real, "{:,.0f}"),
    ]


def _cost(cost: tuning.Cost | None, form: str) -> tuple[str, str]:
    """Return trials and tokens in words."""
    return (numbers.ABSENT, numbers.ABSENT) if cost is None else (form.format(cost.trials), numbers.tokens(cost.tokens))


def _with_band(value: float, band: Interval | None, metric: Measure) -> str:
    told = metric.form(value)
    return told if band is None else f"{told} [{metric.form(band.low)}, {metric.form(band.high)}]"


def _value(trial: Trial) -> float:
    assert trial.value is not None, "a completed trial has a value"
    return trial.value


def _independence(standing: Standing) -> list[str]:
    """Say what keeps a study's trials from being independent draws, as its curve takes for granted."""
    study = standing.entrant.study
    reasons = []
    if study.sampler not in INDEPENDENT:
        reasons.append(f"its sampler ({study.sampler}) learns from trials or leaves out what was tried")
    if study.pruner != "none":
        reasons.append(f"its pruner ({study.pruner}) ends the worse runs early, which are left out of the curve")
    if not reasons:
        return []
    return [
        f"{standing.entrant.label}: best-of-k and target assume trials drawn independently, and {'; '.join(reasons)}. "
        "Take its curve as a description of this search, not as what a search of k trials gives."
    ]


def _figure(evaluation: Evaluation, standings: Sequence[Standing], metric: Measure, name: str) -> Figure:
    examples = [standing.entrant.example for standing in standings]
    models = dict.fromkeys(model_label(record) for record in examples)
    title = f"{' / '.join(models)} · {' / '.join(dict.fromkeys(dataset_label(record) for record in examples))}"
    curves = [standing.curve() for standing in standings]
    caption = "Expected best of k trials, against trials and against their mean training tokens"
    return Figure(name, caption, partial(figures.files, partial(draw, title, metric.label, curves)))
