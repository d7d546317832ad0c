"""Find the document nearest to a query, by the cosine between their TF-IDF vectors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

WORD = re.compile(r"\w+")
"""a run of letters, digits or underscores"""


class Nearest:
    """Documents as vectors of words: counts times smooth inverse document frequencies, at unit length.

    idf = ln((1 + N) / (1 + n)) + 1 for a word that n of N documents have (Salton & Buckley 1988, "Term-weighting
    approaches in automatic text retrieval", smoothed as in scikit-learn's TfidfVectorizer). A word that all documents
    have distinguishes none and is left out (`max_df` there): a persona card may be longer than what was said.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        counts = [_words(document) for document in documents]
        frequency = Counter(word for words in counts for word in words)
        vocabulary = sorted(word for word, n in frequency.items() if n < len(documents))
        self._index = {word: index for index, word in enumerate(vocabulary)}
        n = np.array([frequency[word] for word in vocabulary], dtype=float)
        self._idf = np.log((1 + len(documents)) / (1 + n)) + 1
        self._size = len(documents)
        vectors = [self._vector(words) for words in counts]
        self._documents = np.repeat(np.arange(self._size), [len(indices) for indices, _ in vectors])
        self._words = np.concatenate([indices for indices, _ in vectors])
        self._weights = np.concatenate([weights for _, weights in vectors])

    def __call__(self, query: str) -> tuple[int, float]:
        """Return the index of the nearest document and its cosine; among equals the first.

        If the query shares no word with any document, all are equal, with cosine 0.
        """
        indices, weights = self._vector(_words(query))
        query_vector = np.zeros(len(self._index))
        query_vector[indices] = weights
        cosines = np.bincount(self._documents, self._weights * query_vector[self._words], minlength=self._size)
        best = int(cosines.round(12).argmax())  # cosines that differ by rounding only are equal
        return best, float(cosines[best])

    def _vector(self, counts: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ascending indices of the words in the vocabulary, and their weights."""
        indexed = sorted((self._index[word], count) for word, count in counts.items() if word in self._index)
        indices = np.array([index for index, _ in indexed], dtype=int)
        weights = np.array([count for _, count in indexed], dtype=float) * self._idf[indices]
        return indices, weights / (np.sqrt((weights**2).sum()) or 1.0)


def _words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))
