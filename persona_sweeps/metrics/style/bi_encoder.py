"""A voice as directions in an encoder's space of sentences: their vectors and logistic regression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.metrics.encoder import PACKAGED, encoder_obstacles, encoder_version, load_encoder
from persona_sweeps.metrics.style.classifier import Arrays, Classifier
from persona_sweeps.metrics.style.voices import Part, Said


class BiEncoder(Classifier):
    """Logistic regression on the mean token vector of each line (Reimers & Gurevych 2019, "Sentence-BERT").

    Such vectors say what a line is about more than how it is said, so they know a voice less well than n-grams do.
    """

    label = "sentence vectors"

    def __init__(self, weights: NDArray[Any], intercept: float) -> None:
        self._weights, self._intercept = weights, intercept

    @classmethod
    def version(cls) -> str:
        from importlib import metadata

        return f"bi-encoder 1, {encoder_version(PACKAGED)}, scikit-learn {metadata.version('scikit-learn')}"

    @classmethod
    def obstacles(cls, key: str) -> Iterator[str]:
        yield from encoder_obstacles(key, PACKAGED)

    @classmethod
    def fit(cls, train: Part) -> BiEncoder:
        from sklearn.linear_model import LogisticRegression

        vectors = load_encoder(PACKAGED).sentence_vectors([line.text for line in (*train.own, *train.other)])
        is_own = np.arange(len(vectors)) < len(train.own)
        model = LogisticRegression(C=10, class_weight="balanced", max_iter=1000).fit(vectors.astype(float), is_own)
        return cls(model.coef_[0], float(model.intercept_[0]))

    @classmethod
    def restored(cls, arrays: Arrays) -> BiEncoder:
        return cls(arrays["weights"], float(arrays["intercept"]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"weights": self._weights, "intercept": np.array(self._intercept)}

    def scores(self, lines: Sequence[Said]) -> NDArray[np.float64]:
        vectors = load_encoder(PACKAGED).sentence_vectors([line.text for line in lines]).astype(float)
        found: NDArray[np.float64] = vectors @ self._weights + self._intercept
        return found
