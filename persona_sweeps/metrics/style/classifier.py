"""The base class of classifiers of a voice, and those that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.metrics.style.voices import Part, Said

Arrays = Mapping[str, NDArray[Any]]


class Classifier:
    """Scores lines by how much they sound like a character: log-odds, on a scale of its own."""

    label: str
    """its name in sentences"""

    @classmethod
    def version(cls) -> str:
        """Return a text that distinguishes two ways of fitting. Imports nothing heavy."""
        raise NotImplementedError

    @classmethod
    def obstacles(cls, key: str) -> Iterator[str]:
        """Yield a sentence for what it needs and isn't installed; `key` is the override that chooses it."""
        yield from ()

    @classmethod
    def fit(cls, train: Part) -> Classifier:
        """Fit it on lines of the character and of others. The same lines give the same classifier."""
        raise NotImplementedError

    @classmethod
    def restored(cls, arrays: Arrays) -> Classifier:
        """Return one from its arrays."""
        raise NotImplementedError

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that it needs, as arrays without Python objects."""
        raise NotImplementedError

    def scores(self, lines: Sequence[Said]) -> NDArray[np.float64]:
        """Return the score of each line (N,)."""
        raise NotImplementedError

    @property
    def learning_curve(self) -> Sequence[Mapping[str, float]]:
        """What was measured while it learned, by epoch; empty where nothing is iterated."""
        return ()
