"""Word overlap between what a model said and what the character says in the source: ROUGE and BLEU of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from persona_sweeps.config.schema import OverlapConfig


@dataclass(frozen=True)
class OverlapScores:
    """`corpus`: one value a metric; `items`: the same metrics for each item, in order. All are fractions in 0–1.

    Keys are rouge1, rouge2, rougeL, rougeLsum (the corpus value is the mean of the items) and bleu (it isn't: corpus
    BLEU pools n-gram counts, an item's is its sentence BLEU). Without items, `corpus` is empty.
    """

    corpus: dict[str, float]
    items: list[dict[str, float]]


def score_overlap(predictions: Sequence[str], references: Sequence[str], config: OverlapConfig) -> OverlapScores:
    """Score each prediction against the reference at the same place.

    Raises `ValueError` when there aren't as many predictions as references.
    """
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    # Inside, since both import `evaluate`, which takes seconds.
    from persona_sweeps.metrics import bleu, rouge

    rouge_items = rouge.per_item(predictions, references, config.stemmer)
    bleu_items = bleu.per_item(predictions, references)
    items = [{**scores, "bleu": value} for scores, value in zip(rouge_items, bleu_items, strict=True)]
    return OverlapScores(corpus={**rouge.mean(rouge_items), **bleu.corpus(predictions, references)}, items=items)


def versions() -> dict[str, str]:
    """Return the version of each package whose change can change a score; cheap, since it imports none of them."""
    return {package: version(package) for package in ("rouge_score", "sacrebleu")}
