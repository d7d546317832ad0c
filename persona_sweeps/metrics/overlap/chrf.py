"""chrF as an `evaluate` module that needs no network: shared character n-grams, by sacreBLEU, as a fraction.

Popović (2015), "chrF: character n-gram F-score for automatic MT evaluation". Settings are sacreBLEU's defaults: n-grams
of 1 to 6 characters without spaces, β = 2, no words. The whole is the mean over items, not the pooled corpus score.
"""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from persona_sweeps.metrics.evaluate_info import of_text_pairs

_DESCRIPTION = "chrF by sacreBLEU, as a fraction in 0–1, averaged over items."

_INPUTS = """
Args:
    predictions: one generated text an item.
    references: one reference text an item.
Returns:
    chrf: mean chrF in 0–1; nothing at all when there are no items.
"""

_CITATION = """
@inproceedings{popovic-2015-chrf, title = {chr{F}: character n-gram {F}-score for automatic {MT} evaluation},
  author = {Popovi{\\'c}, Maja}, booktitle = {Workshop on Statistical Machine Translation}, year = {2015}}
"""


def per_item(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return the chrF (0–1) of each item.

    Raises `ValueError` if the numbers of predictions and references differ.
    """
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return [
        min(1.0, float(metric.sentence_score(text, [target]).score) / 100)
        for text, target in zip(predictions, references, strict=True)
    ]


def mean(items: Sequence[float]) -> dict[str, float]:
    """Return `{"chrf": the mean}`; an empty dict for no items."""
    return {"chrf": sum(items) / len(items)} if items else {}


class Chrf(evaluate.Metric):
    """`Chrf().compute(predictions=…, references=…)` → `{"chrf": …}`."""

    def _info(self) -> evaluate.MetricInfo:
        return of_text_pairs(_DESCRIPTION, _CITATION, _INPUTS, "https://aclanthology.org/W15-3049/")

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return mean(per_item(predictions, references))
