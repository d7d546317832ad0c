"""Studies of one metric side by side: what they found, what to expect of fewer trials, what a target costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from persona_sweeps.wording import pluralize

from ... import figures
from ...figures.best_of_k import Curve, draw
from ...read.labels import dataset_label, model_label
from ...read.measures import Measure
from ...read.results import RunResult
from ...read.studies import PLANNED, Study, StudyTrial
from ...statistics import tuning
from ...statistics.spread import Interval
from .. import numbers
from ..table import Column, Figure, Section, cells
from .comparisons import ComparedStudy, StudyComparison, in_words, run_ids
from .objectives import STUDY_COLUMNS
from .study_notes import attention

NOTES = (
    "trials are those completed / pruned / failed, and tokens what all of them were trained on; a run that two trials "
    "of a study drew is paid for once.",
    "best of k is the best to expect of k trials: the mean over all ways to draw k of them without replacement, an "
    "unbiased estimate for independent trials (Tang et al. 2020). A setting that was drawn twice is there once, a "
    "diverged one is the worst. Compare studies in one such column, not by their bests: more trials find better ones.",
    f"[low, high] is a 95 % bootstrap-t interval over trials, given from {tuning.MIN_TRIALS} distinct values on and "
    "for k up to half of them, where it held the truth in about 90 % of simulations or more; beyond, or where many "
    "are tied, none can be trusted, and none is given.",
    "trials and tokens to target are what to expect until a first trial reaches it, were the completed ones in random "
    "order, (n + 1) / (m + 1) trials where m of n reach it, with what pruned and failed ones took shared among them; "
    "the trials and tokens it took are those of the study's own order, pruned and failed ones among them.",
    "Values are of the data that settings were chosen on, which the section's title names: the best is flattered by "
    "having been chosen.",
)
FIGURE_NOTE = "In figures, bands end with the frame where they are far wider than the curves."
INDEPENDENT = ("random", "qmc")


@dataclass(frozen=True)
class StudyStanding:
    """One study of a comparison with its curve, and what `target`, a value of its metric, costs it."""

    compared: ComparedStudy
    target: float = 0.0

    @property
    def label(self) -> str:
        return self.compared.label

    @property
    def example(self) -> RunResult:
        return self.compared.example

    @property
    def study(self) -> Study:
        return self.compared.study

    @cached_property
    def ks(self) -> list[int]:
        return tuning.budgets(len(self.compared.outcomes))

    @cached_property
    def expected(self) -> list[float]:
        return [float(best) for best in tuning.expected_best(self.compared.outcomes, self.ks, self.study.maximizes())]

    @cached_property
    def bands(self) -> list[Interval | None]:
        return tuning.bands(self.compared.outcomes, self.ks, self.study.maximizes())

    @cached_property
    def spent(self) -> list[tuning.Spent]:
        """The trials that were begun, in order; one under another comparability key counts as not completed."""
        counted = {trial.number for trial in self.compared.completed}
        begun = [trial for trial in self.study.trials if trial.state != PLANNED]
        return [tuning.Spent(trial.value if trial.number in counted else None, trial.tokens) for trial in begun]

    @property
    def best(self) -> StudyTrial:
        return self.compared.best()

    @property
    def best_value(self) -> float:
        assert self.best.value is not None, "a completed trial has a value"
        return self.best.value

    @cached_property
    def expected_cost(self) -> tuning.Cost | None:
        """What to expect until the target is reached."""
        return tuning.expected_cost(self.spent, self.target, self.study.maximizes())

    @cached_property
    def real_cost(self) -> tuning.Cost | None:
        """What it took to reach the target."""
        return tuning.real_cost(self.spent, self.target, self.study.maximizes())

    def at(self, k: int) -> tuple[float, Interval | None]:
        index = self.ks.index(k)
        return self.expected[index], self.bands[index]

    def curve(self) -> Curve:
        tokens = tuning.tokens_a_trial(self.spent)
        return Curve(self.label, self.ks, self.expected, self.bands, tokens)


def section(comparison: StudyComparison, figure_name: str) -> Section:
    """Return a row a study, the best to expect of the most trials that all have first, with its figure if it can be."""
    metric = comparison.measures[0]
    fewest = min(len(compared.outcomes) for compared in comparison.studies)
    ks = [2**power for power in range(fewest.bit_length())]
    sign = -1 if comparison.studies[0].study.maximizes() else 1
    last = max((StudyStanding(compared) for compared in comparison.studies), key=lambda found: sign * found.best_value)
    standings = [StudyStanding(compared, last.best_value) for compared in comparison.studies]
    standings.sort(key=lambda standing: sign * standing.at(ks[-1])[0])
    columns = _columns(metric, ks)
    return Section(
        title=comparison.title,
        rows=cells(columns, standings),
        notes=[
            _target(metric.form(last.best_value), last.compared, len(standings)),
            *(note for standing in standings for note in (*_independence(standing), *attention(standing.compared))),
        ],
        columns=columns,
        figures=[_figure(standings, metric, figure_name)] if figures.can_draw() else [],
        runs=[run_ids(standing.study.trials) for standing in standings],
    )


def _target(target: str, last: ComparedStudy, studies: int) -> str:
    if studies == 1:
        return f"The target is {target}, the best of the only study here."
    return f"The target is {target}, the worst of the bests (that of {last.label}), so that every study reaches it."


def _columns(metric: Measure, ks: Sequence[int]) -> list[Column]:
    return [
        *STUDY_COLUMNS,
        Column("best", value=lambda row: row.best_value, form=metric.form),
        Column("setting of the best", right=False, value=lambda row: in_words(row.best.params)),
        *(_best_of(k, metric) for k in ks),
        Column("trials to target", value=lambda row: row.expected_cost, form=lambda cost: f"{cost.trials:,.1f}"),
        Column("tokens to target", value=lambda row: row.expected_cost, form=_tokens),
        Column("trials it took", value=lambda row: row.real_cost, form=lambda cost: f"{cost.trials:,.0f}"),
        Column("tokens it took", value=lambda row: row.real_cost, form=_tokens),
    ]


def _best_of(k: int, metric: Measure) -> Column:
    return Column(
        f"best of {k}", value=lambda row: row.at(k), form=lambda found: _with_band(found[0], found[1], metric)
    )


def _tokens(cost: tuning.Cost) -> str:
    return numbers.tokens(cost.tokens)


def _with_band(value: float, band: Interval | None, metric: Measure) -> str:
    best = metric.form(value)
    return best if band is None else f"{best} [{metric.form(band.low)}, {metric.form(band.high)}]"


def _independence(standing: StudyStanding) -> list[str]:
    """Say what keeps a study's trials from being independent draws, as its curve takes for granted."""
    study = standing.study
    reasons, compared = [], standing.compared
    found = []
    if compared.repeated or compared.diverged:
        counted = [
            (compared.repeated, "drawn before, counted once"),
            (compared.diverged, "diverged, counted as the worst"),
        ]
        words = " and ".join(f"{pluralize(count, 'trial')} {what}" for count, what in counted if count)
        found.append(f"{standing.label}: in best of k, {words}.")
    if study.sampler not in INDEPENDENT:
        reasons.append(f"its sampler ({study.sampler}) learns from trials or leaves out what was tried")
    if study.pruner != "none":
        reasons.append(f"its pruner ({study.pruner}) ends the worse runs early, which are left out of the curve")
    if not reasons:
        return found
    return [
        *found,
        f"{standing.label}: best-of-k and target assume trials drawn independently, and {'; '.join(reasons)}. "
        "Take its curve as a description of this search, not as what a search of k trials gives.",
    ]


def _figure(standings: Sequence[StudyStanding], metric: Measure, name: str) -> Figure:
    examples = [standing.example for standing in standings]
    models = dict.fromkeys(map(model_label, examples))
    title = f"{' / '.join(models)} · {' / '.join(dict.fromkeys(map(dataset_label, examples)))}"
    curves = [standing.curve() for standing in standings]
    caption = "Expected best of k trials, against trials and against their mean training tokens"
    return Figure(name, caption, partial(figures.files, partial(draw, title, metric.label, curves)))
