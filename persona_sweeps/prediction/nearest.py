"""The nearest of some documents to a query: the largest cosine between their TF-IDF vectors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

WORD = re.compile(r"\w+")
"""a run of letters, digits or underscores"""


class Nearest:
    """Documents by their words: counts times smooth inverse document frequencies, at unit length.

    idf = ln((1 + N) / (1 + n)) + 1 of a word that n of N documents have (Salton & Buckley 1988, "Term-weighting
    approaches in automatic text retrieval", smoothed as scikit-learn's TfidfVectorizer does it). A word that all
    documents have tells none apart and is left out (`max_df` there): of a persona card there may be more than of what
    was said.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        counts = [_words(document) for document in documents]
        frequency = Counter(word for words in counts for word in words)
        telling = sorted(word for word, n in frequency.items() if n < len(documents))
        self._place = {word: place for place, word in enumerate(telling)}
        n = np.array([frequency[word] for word in telling], dtype=float)
        self._idf = np.log((1 + len(documents)) / (1 + n)) + 1
        self._size = len(documents)
        vectors = [self._vector(words) for words in counts]
        self._documents = np.repeat(np.arange(self._size), [len(places) for places, _ in vectors])
        self._words = np.concatenate([places for places, _ in vectors])
        self._weights = np.concatenate([weights for _, weights in vectors])

    def __call__(self, query: str) -> tuple[int, float]:
        """Return the place of the nearest document and its cosine, of equals the first.

        Where no word is shared with any, all are equal, with cosine 0.
        """
        places, weights = self._vector(_words(query))
        of_word = np.zeros(len(self._place))
        of_word[places] = weights
        cosines = np.bincount(self._documents, self._weights * of_word[self._words], minlength=self._size)
        best = int(cosines.round(12).argmax())  # what differs by rounding alone is equal
        return best, float(cosines[best])

    def _vector(self, counts: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the known words, ascending, and their weights."""
        known = sorted((self._place[word], count) for word, count in counts.items() if word in self._place)
        places = np.array([place for place, _ in known], dtype=int)
        weights = np.array([count for _, count in known], dtype=float) * self._idf[places]
        return places, weights / (np.sqrt((weights**2).sum()) or 1.0)


def _words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))
