"""Metric `ranking`: does the model find what the character really says more probable than nine false replies?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.errors import DataError
from persona_sweeps.metrics.false_replies import CANDIDATES, FALSE_SETS, candidates, prior_id, without_context
from persona_sweeps.metrics.finite import require_finite
from persona_sweeps.metrics.metric import Description, Line, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.prompt_sets import prompt_set

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.example import Example
    from persona_sweeps.data.run_data import RunData

VERSION = "1"
"""version of the formulas below, and of how false replies are chosen"""
REPLIES = Request("nll", prompt_set="ranking.replies")
PRIOR = Request("nll", prompt_set="ranking.prior")
EQUAL = 9
"""decimals of a score: candidates that differ by less are tied"""
MEASURES = {"r10": "R10@1", "r10_at_5": "R10@5", "mrr": "MRR", "p_true": "P(true)"}
"""beginning of a value's name → its label"""
EXPLAINED = {
    "r10": "the share of true replies that are the most probable (0.1 by chance)",
    "r10_at_5": "the share of true replies that are among the five most probable (0.5 by chance)",
    "mrr": "the mean of 1/rank of the true reply (0.293 by chance)",
    "p_true": "the mean probability of the true reply",
}
AMONG = {"context": "that the same character gives in other scenes", "who": "lines of other characters"}
BY_PMI = ", by how much the context makes a reply more probable"
CHARACTER = {"r10_context": 20, "r10_who": 30}


@dataclass
class Ranking(Metric):
    """Rank the true reply to each held-out context among nine false ones, by the model's own probabilities.

    A candidate's score is log p(y|x) / |y|, in nats for each token with the end token, as HPD ranks replies (Chen et
    al. 2023, "Large Language Models Meet Harry Potter"); with PMI it is (log p(y|x) − log p(y)) / |y|, where p(y) is
    that of the reply without its context (Holtzman et al. 2021, "Surface Form Competition"). There are two sets of
    false replies, of like length and never from training scenes: `context`, what the same character says in other
    scenes, so that only the context decides; and `who`, what other characters of the same works say.

    R10@1 and R10@5 are the shares of items whose true reply is among the first one and five of the ten (recall), MRR is
    the mean of 1/rank, P(true) the mean of the true reply's share of Σ exp(score). Ties share their ranks: among t
    candidates with the best score, the true one counts 1/t. All lie in 0–1, higher is better; by chance R10@1 is 0.1,
    R10@5 0.5, MRR 0.293.
    """

    items: int | None = MISSING
    pmi: bool = MISSING

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from at_least("metrics.ranking.items", self.items, 1)

    def requests(self) -> tuple[Request, ...]:
        return (REPLIES, PRIOR) if self.pmi else (REPLIES,)

    def prompts(self, prompt_set: str, data: RunData) -> Sequence[Example]:
        """Return each context with its ten or nineteen candidates, or each candidate once without its context.

        Raises DataError if no context has nine false replies.
        """
        replies = candidates(data, self.items)
        if not any(reply.metadata["set"] != "true" for reply in replies):
            raise DataError(
                f"metrics=ranking needs {CANDIDATES - 1} false replies to a context: other held-out lines of the "
                "character, in other scenes, or of other characters of the same work. There are too few: raise "
                "dataset.eval_fraction, or leave ranking out."
            )
        return replies if prompt_set == REPLIES.prompt_set else without_context(replies)

    def version(self) -> str:
        return f"{VERSION}, {'all' if self.items is None else f'at most {self.items}'} contexts"

    def describe(self) -> dict[str, Description]:
        return {
            f"{name}_{kind}{suffix}": self._description(name, kind, suffix)
            for suffix in ("", "_pmi")
            if self.pmi or not suffix
            for kind in FALSE_SETS
            for name in MEASURES
        }

    def _description(self, name: str, kind: str, suffix: str) -> Description:
        value = f"{name}_{kind}{suffix}"
        label = f"{MEASURES[name]} {kind}{', PMI' if suffix else ''}"
        return Description(
            label=label,
            higher_is_better=True,
            range=(0.0, 1.0),
            version=self.version(),
            aggregate={"form": "mean", "of": value},
            explanation=f"{label} is {EXPLAINED[name]} among nine {AMONG[kind]}{BY_PMI if suffix else ''}",
            character=CHARACTER.get(value, 0),
        )

    def score_with(self, predictions: Predictions, data: RunData) -> Scores:
        """Rank the replies; an item without nine false ones isn't ranked. Raises TrialError if an NLL isn't finite."""
        require_finite([line for lines in predictions.values() for line in lines], "a reply to rank")
        lines = {line["id"]: line for line in predictions[REPLIES]}
        prior = {line["id"]: line for line in predictions.get(PRIOR, ())}
        sets: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
        for reply in prompt_set([self], REPLIES.prompt_set, data).examples:
            if reply.id in lines:
                sets[reply.metadata["item"]][reply.metadata["set"]].append(reply)
        items, of_items = [], []
        for item, by_set in sets.items():
            if item not in lines:
                continue
            columns: dict[str, float] = {}
            for kind in FALSE_SETS:
                if len(by_set[kind]) == CANDIDATES - 1:
                    columns |= _ranked([*by_set["true"], *by_set[kind]], kind, lines, prior)
            items.append(columns)
            of_items.append(lines[item])
        return Scores(_means(items), items, of_items)


def _ranked(
    replies: Sequence[Example], kind: str, lines: Mapping[str, Line], prior: Mapping[str, Line]
) -> dict[str, float]:
    """Return the columns of one item; the first of the replies is the true one."""
    given = [-lines[reply.id]["nll"] / lines[reply.id]["tokens"] for reply in replies]
    columns = {f"{name}_{kind}": value for name, value in measures(given).items()}
    priors = [prior.get(prior_id(reply)) for reply in replies]
    if all(priors):
        pmi = [score + line["nll"] / line["tokens"] for score, line in zip(given, priors, strict=True) if line]
        columns |= {f"{name}_{kind}_pmi": value for name, value in measures(pmi).items()}
    return columns


def measures(scores: Sequence[float]) -> dict[str, float]:
    """Return what each of `MEASURES` gives for one item, whose true reply has the first of the scores."""
    rounded = [round(score, EQUAL) for score in scores]
    above = sum(score > rounded[0] for score in rounded)
    tied = sum(score == rounded[0] for score in rounded)
    ranks = range(above + 1, above + tied + 1)
    best = max(rounded)
    return {
        "r10": sum(rank <= 1 for rank in ranks) / tied,
        "r10_at_5": sum(rank <= 5 for rank in ranks) / tied,
        "mrr": sum(1 / rank for rank in ranks) / tied,
        "p_true": math.exp(rounded[0] - best) / math.fsum(math.exp(score - best) for score in rounded),
    }


def _means(items: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean of each column over the items that have it."""
    columns = dict.fromkeys(column for item in items for column in item)
    values = {column: [item[column] for item in items if column in item] for column in columns}
    return {column: math.fsum(of_column) / len(of_column) for column, of_column in values.items()}
