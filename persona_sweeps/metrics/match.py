"""Metric `match`: whether a text is the reference word for word, and how many different words they share."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from persona_sweeps.metrics.metric import TEXT, Description, Metric, Predictions, Request, Scores

VERSION = "1"
"""version of the formulas below"""


@dataclass
class Match(Metric):
    """Score each text against its reference: equality, and Jaccard's index of their sets of words (0–1).

    Words are separated by white space, and keep their punctuation. Jaccard (1912), "The Distribution of the Flora in
    the Alpine Zone": |A ∩ B| / |A ∪ B|.
    """

    ignore_case: bool = MISSING

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def version(self) -> str:
        return f"{VERSION}, {'lower case' if self.ignore_case else 'cased'}"

    def describe(self) -> dict[str, Description]:
        said = {
            "exact_match": ("exact match", "exact match is the share of texts that are the reference word for word"),
            "jaccard": ("Jaccard", "Jaccard is the share of the words in text or reference that both have, a mean"),
        }
        return {
            name: Description(
                label=label,
                higher_is_better=True,
                range=(0.0, 1.0),
                version=self.version(),
                aggregate={"form": "mean", "of": name},
                explanation=explanation,
                headline=10,
            )
            for name, (label, explanation) in said.items()
        }

    def score(self, predictions: Predictions) -> Scores:
        items = [self._item(line["text"], line["reference"]) for line in predictions[TEXT]]
        whole = {name: sum(item[name] for item in items) / len(items) for name in self.describe()} if items else {}
        return Scores(whole, [dict(item) for item in items])

    def _item(self, text: str, reference: str) -> dict[str, float]:
        if self.ignore_case:
            text, reference = text.lower(), reference.lower()
        ours, theirs = text.split(), reference.split()
        every, shared = {*ours, *theirs}, {*ours} & {*theirs}
        return {"exact_match": float(ours == theirs), "jaccard": len(shared) / len(every) if every else 1.0}
