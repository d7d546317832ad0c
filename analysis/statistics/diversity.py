"""What a run's predictions look like taken together: how varied, how long, how many empty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..read.results import RunResult
from ..read.samples import SamplesError, read_samples


@dataclass(frozen=True)
class Diversity:
    """`distinct_1` and `distinct_2` are distinct n-grams of words over all n-grams of all predictions (Li et al. 2016,
    "A Diversity-Promoting Objective Function for Neural Conversation Models"); None where there is no n-gram.

    Words are what stands between spaces, letters of either case alike. `words` is the mean number a prediction, `empty`
    the share of predictions without a word, `items` the ids of what was replied to.
    """

    distinct_1: float | None
    distinct_2: float | None
    words: float
    empty: float
    items: tuple[str, ...]


def diversity(predictions: Sequence[str], items: Iterable[str] = ()) -> Diversity:
    """Measure predictions; raises `ValueError` for none."""
    if not predictions:
        raise ValueError("no predictions")
    texts = [prediction.casefold().split() for prediction in predictions]
    return Diversity(
        distinct_1=_distinct(texts, 1),
        distinct_2=_distinct(texts, 2),
        words=sum(map(len, texts)) / len(texts),
        empty=sum(not text for text in texts) / len(texts),
        items=tuple(items),
    )


def read_diversity(result: RunResult) -> Diversity | None:
    """Measure a result's predictions; None where it has no samples or generated nothing.

    Raises `SamplesError` when a line is malformed, or only some lines have a prediction.
    """
    for path in result.all_samples():
        items = read_samples(path)
        lines = items.lines if items else []
        predictions = [line["prediction"] for line in lines if isinstance(line.get("prediction"), str)]
        if predictions and len(predictions) != len(lines):
            raise SamplesError(f"{path}: {len(lines) - len(predictions)} of {len(lines)} lines have no prediction")
        if items and predictions:
            return diversity(predictions, sorted(items.ids))
    return None


def _distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    grams = [tuple(text[start : start + n]) for text in texts for start in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None
