"""How far two ways to the same answers agree: the likelihoods that they give a run's held-out items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.errors import UserError
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.data.packing import TokenSequence
    from persona_sweeps.deployment.predictor import Predictor

ITEMS = 64
"""most items that are compared: the difference is one of rounding, which few items show"""


@dataclass(frozen=True)
class Agreement:
    """Likelihoods of the same items, in nats a token: the mean of each side, and how far items lie apart."""

    items: int
    tokens: int
    first: float
    second: float
    mean_difference: float
    largest_difference: float

    def __str__(self) -> str:
        return (
            f"{self.first:.4f} and {self.second:.4f} nats a token on {pluralize(self.items, 'held-out item')}, which "
            f"differ by {self.mean_difference:.1e} on average, by {self.largest_difference:.1e} at most"
        )


@dataclass(frozen=True)
class Likelihoods:
    """Held-out items as tokens, with the negative log-likelihood of each, in nats."""

    sequences: Sequence[TokenSequence]
    nlls: Sequence[float]


def likelihoods(predictor: Predictor, most: int = ITEMS) -> Likelihoods:
    """Return the likelihoods of a run's first held-out items. Raises `UserError` where its data aren't here."""
    sequences = predictor.held_out(most)
    return Likelihoods(sequences, predictor.sequence_nlls(sequences))


def agreement(first: Likelihoods, second: Likelihoods) -> Agreement:
    """Compare likelihoods of the same items.

    Raises `UserError` if their tokens differ: then another tokenizer or chat template reads the items.
    """
    from persona_sweeps.data.sequences import labels_of

    if [list(one.tokens) for one in first.sequences] != [list(one.tokens) for one in second.sequences]:
        raise UserError("The held-out items have other tokens there: its tokenizer or chat template is another one.")
    counts = labels_of(first.sequences, len(first.nlls))
    apart = [abs(a - b) / count for a, b, count in zip(first.nlls, second.nlls, counts, strict=True)]
    total = sum(counts)
    return Agreement(
        items=len(counts),
        tokens=total,
        first=sum(first.nlls) / total,
        second=sum(second.nlls) / total,
        mean_difference=sum(apart) / len(apart),
        largest_difference=max(apart),
    )
