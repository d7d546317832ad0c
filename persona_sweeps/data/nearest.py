"""Find the document nearest to a query, by the cosine between their TF-IDF vectors."""

from __future__ import annotations

from collections.abc import Sequence


class Nearest:
    """Documents as vectors of words at unit length: scikit-learn's TfidfVectorizer, smoothed (Salton & Buckley 1988).

    Words are runs of letters, digits or underscores, in lower case. A word that all documents have distinguishes none
    and is left out, unless it is the only one: a persona card may be longer than what was said.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer = TfidfVectorizer(token_pattern=r"\w+", max_df=max(1, len(documents) - 1))
        try:
            self._documents = self._vectorizer.fit_transform(documents)
        except ValueError:  # no word is left
            self._documents = None

    def __call__(self, query: str) -> tuple[int, float]:
        """Return the index of the nearest document and its cosine; among equals the first.

        If the query shares no word with any document, all are equal, with cosine 0.
        """
        if self._documents is None:
            return 0, 0.0
        cosines = (self._documents @ self._vectorizer.transform([query]).T).toarray()[:, 0]
        best = int(cosines.round(12).argmax())  # cosines that differ by rounding only are equal
        return best, float(cosines[best])
