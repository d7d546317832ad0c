"""Whether a text is its reference word for word, how many different words they share, and how long it is beside it."""

from __future__ import annotations

from collections.abc import Sequence


def per_item(predictions: Sequence[str], references: Sequence[str], ignore_case: bool) -> list[dict[str, float]]:
    """Return each item's exact match (0 or 1), Jaccard's index (0–1), and the numbers of words of both texts.

    Words are separated by white space, and keep their punctuation. Jaccard (1912), "The Distribution of the Flora in
    the Alpine Zone": |A ∩ B| / |A ∪ B| of their sets of words, 1 for two texts without any. Raises `ValueError` if the
    numbers of predictions and references differ.
    """
    return [_item(text, target, ignore_case) for text, target in zip(predictions, references, strict=True)]


def _item(text: str, reference: str, ignore_case: bool) -> dict[str, float]:
    if ignore_case:
        text, reference = text.lower(), reference.lower()
    ours, theirs = text.split(), reference.split()
    every, shared = {*ours, *theirs}, {*ours} & {*theirs}
    return {
        "exact_match": float(ours == theirs),
        "jaccard": len(shared) / len(every) if every else 1.0,
        "words": float(len(ours)),
        "reference_words": float(len(theirs)),
    }
