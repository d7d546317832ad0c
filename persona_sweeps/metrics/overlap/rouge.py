"""ROUGE F-measures as an `evaluate` module that needs no network.

Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries", as implemented by the package `rouge_score`. The
corpus value is the plain mean over items; the module on the Hub gives the median of a random bootstrap instead, which
differs from call to call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import evaluate

from persona_sweeps.metrics.evaluate_info import of_text_pairs

KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")

_DESCRIPTION = "ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures, averaged over items."

_INPUTS = """
Args:
    predictions: one generated text an item.
    references: one reference text an item.
    use_stemmer: strip English suffixes (Porter) before matching.
Returns:
    rouge1, rouge2, rougeL, rougeLsum: mean F-measures in 0–1; nothing at all when there are no items.
Words are runs of the letters a–z and digits, lower-cased: other scripts score 0. rougeLsum takes each line for a
sentence, so sentences must be split by newlines; on texts of one line it equals rougeL.
"""

_CITATION = """
@inproceedings{lin-2004-rouge, title = {{ROUGE}: A Package for Automatic Evaluation of Summaries},
  author = {Lin, Chin-Yew}, booktitle = {Text Summarization Branches Out}, year = {2004}, pages = {74--81}}
"""


def per_item(
    predictions: Sequence[str], references: Sequence[str], use_stemmer: bool = False
) -> list[dict[str, float]]:
    """Return the four F-measures (0–1) of each item, by the names in `KEYS`.

    `rougeLsum` takes each line for a sentence. A text without words scores 0 against anything. Raises `ValueError` if
    the numbers of predictions and references differ.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(KEYS), use_stemmer=use_stemmer)
    scores = [scorer.score(target, text) for text, target in zip(predictions, references, strict=True)]
    return [{key: float(score[key].fmeasure) for key in KEYS} for score in scores]


def mean(items: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the plain mean of each of `KEYS` over `items`; an empty dict for no items."""
    return {key: sum(item[key] for item in items) / len(items) for key in KEYS} if items else {}


class Rouge(evaluate.Metric):
    """`Rouge().compute(predictions=…, references=…, use_stemmer=False)` → means over items, by the names in `KEYS`."""

    def _info(self) -> evaluate.MetricInfo:
        return of_text_pairs(_DESCRIPTION, _CITATION, _INPUTS, "https://aclanthology.org/W04-1013/")

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], use_stemmer: bool = False
    ) -> dict[str, float]:
        return mean(per_item(predictions, references, use_stemmer))
