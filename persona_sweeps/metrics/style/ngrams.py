"""A voice as n-grams of characters: TF-IDF and logistic regression, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.metrics.style.classifier import Arrays, Classifier
from persona_sweeps.metrics.style.voices import Part, Said

ORDERS = (2, 4)
"""shortest and longest n-gram"""


class Ngrams(Classifier):
    """Logistic regression on the TF-IDF of character 2- to 4-grams.

    Such n-grams are the strongest single feature of authorship attribution (Stamatatos 2013, "On the Robustness of
    Authorship Attribution Based on Character n-gram Features"). Counts are damped (1 + ln), n-grams of a single line
    left out, both classes weighted alike.
    """

    label = "character n-grams"

    def __init__(self, terms: NDArray[Any], idf: NDArray[Any], weights: NDArray[Any], intercept: float) -> None:
        self._terms, self._idf, self._weights, self._intercept = terms, idf, weights, intercept

    @classmethod
    def version(cls) -> str:
        return f"n-grams 1, scikit-learn {metadata.version('scikit-learn')}"

    @classmethod
    def fit(cls, train: Part) -> Ngrams:
        from sklearn.linear_model import LogisticRegression

        vectorizer = _vectorizer(min_df=2)
        vectors = vectorizer.fit_transform([line.text for line in (*train.own, *train.other)])
        is_own = np.arange(len(train.own) + len(train.other)) < len(train.own)
        model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(vectors, is_own)
        terms = np.array(vectorizer.get_feature_names_out(), dtype=np.str_)
        return cls(terms, vectorizer.idf_, model.coef_[0], float(model.intercept_[0]))

    @classmethod
    def restored(cls, arrays: Arrays) -> Ngrams:
        return cls(arrays["terms"], arrays["idf"], arrays["weights"], float(arrays["intercept"]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        intercept = np.array(self._intercept)
        return {"terms": self._terms, "idf": self._idf, "weights": self._weights, "intercept": intercept}

    def scores(self, lines: Sequence[Said]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._fitted.transform([line.text for line in lines]) @ self._weights
        return found + self._intercept

    @cached_property
    def _fitted(self) -> Any:
        vectorizer = _vectorizer(vocabulary=self._terms.tolist())
        vectorizer.idf_ = self._idf
        return vectorizer


def _vectorizer(**keys: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char", ngram_range=ORDERS, sublinear_tf=True, **keys)
