"""BLEU as an `evaluate` module that needs no network: sacreBLEU's corpus score, as a fraction.

Papineni et al. (2002), "BLEU: a Method for Automatic Evaluation of Machine Translation"; Post (2018), "A Call for
Clarity in Reporting BLEU Scores". Settings are sacreBLEU's defaults: 13a tokenization, cased, exponential smoothing,
one reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from persona_sweeps.metrics.evaluate_info import of_text_pairs

_DESCRIPTION = "Corpus BLEU by sacreBLEU, as a fraction in 0–1."

_INPUTS = """
Args:
    predictions: one generated text an item.
    references: one reference text an item.
Returns:
    bleu: corpus BLEU in 0–1 (sacreBLEU's score / 100); nothing at all when there are no items.
"""

_CITATION = """
@inproceedings{post-2018-call, title = {A Call for Clarity in Reporting {BLEU} Scores}, author = {Post, Matt},
  booktitle = {Proceedings of the Third Conference on Machine Translation}, year = {2018}, pages = {186--191}}
"""


def per_item(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[float, list[int]]]:
    """Return each item's sentence BLEU (0–1) and its counts: matches and totals of 1- to 4-grams, and both lengths.

    The order is cut to the longest n-gram of an item (`effective_order`), as sacreBLEU advises for single sentences, so
    the mean over items isn't the corpus BLEU. The corpus BLEU follows from the sums of the ten counts. Raises
    `ValueError` if the numbers of predictions and references differ.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(effective_order=True)
    items = []
    for text, target in zip(predictions, references, strict=True):
        score = metric.sentence_score(text, [target])
        counts = [*score.counts, *score.totals, score.sys_len, score.ref_len]
        items.append((_fraction(score.score), [int(count) for count in counts]))
    return items


def corpus(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return `{"bleu": corpus BLEU in 0–1}`, or an empty dict for no items.

    Raises `ValueError` if the numbers of predictions and references differ.
    """
    from sacrebleu.metrics.bleu import BLEU

    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    if not predictions:
        return {}
    # `force` only silences a hint about texts that look tokenized, as verse with a lone full stop does.
    return {"bleu": _fraction(BLEU(force=True).corpus_score(list(predictions), [list(references)]).score)}


def _fraction(score: float) -> float:
    """Return a 0–100 score as 0–1; for equal texts sacreBLEU's score is slightly above 100."""
    return min(1.0, score / 100)


class Bleu(evaluate.Metric):
    """`Bleu().compute(predictions=…, references=…)` → `{"bleu": …}`."""

    def _info(self) -> evaluate.MetricInfo:
        return of_text_pairs(_DESCRIPTION, _CITATION, _INPUTS, "https://aclanthology.org/W18-6319/")

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return corpus(predictions, references)
