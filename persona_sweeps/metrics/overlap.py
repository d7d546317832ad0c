"""Metric `overlap`: how many words a model's text shares with the character's line in the source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata

from omegaconf import MISSING

from persona_sweeps.metrics.metric import TEXT, Description, Metric, Predictions, Request, Scores

ROUGE = {"rouge1": ("ROUGE-1", 0), "rouge2": ("ROUGE-2", 0), "rougeL": ("ROUGE-L", 30), "rougeLsum": ("ROUGE-Lsum", 0)}
"""name → label, headline"""


@dataclass
class Overlap(Metric):
    """Score each text against its reference: ROUGE F-measures and BLEU, fractions in 0–1.

    The whole ROUGE is the mean over items. The whole BLEU isn't a mean: it pools n-gram counts. An item has sentence
    BLEU.
    """

    stemmer: bool = MISSING

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def version(self) -> str:
        return f"{self._rouge_version()}; {_bleu_version()}"

    def describe(self) -> dict[str, Description]:
        descriptions = {
            name: Description(
                label=label,
                higher_is_better=True,
                range=(0.0, 1.0),
                version=self._rouge_version(),
                aggregate={"form": "mean", "of": name},
                explanation=f"{label} is an F-measure, the mean over items",
                headline=headline,
                character=80 if name == "rougeL" else 0,
            )
            for name, (label, headline) in ROUGE.items()
        }
        descriptions["bleu"] = Description(
            label="BLEU",
            higher_is_better=True,
            range=(0.0, 1.0),
            version=_bleu_version(),
            aggregate={"form": "ngram_precision", "of": "bleu_counts"},
            explanation="BLEU is that of all items together, as a fraction",
            headline=20,
        )
        return descriptions

    def score(self, predictions: Predictions) -> Scores:
        # Inside, since both import `evaluate`, which takes seconds.
        from persona_sweeps.metrics import bleu, rouge

        lines = predictions[TEXT]
        texts, references = [line["text"] for line in lines], [line["reference"] for line in lines]
        by_rouge = rouge.per_item(texts, references, self.stemmer)
        by_bleu = bleu.per_item(texts, references)
        items = [
            {**scores, "bleu": value, "bleu_counts": counts}
            for scores, (value, counts) in zip(by_rouge, by_bleu, strict=True)
        ]
        return Scores({**rouge.mean(by_rouge), **bleu.corpus(texts, references)}, items)

    def _rouge_version(self) -> str:
        return f"rouge_score {_installed('rouge_score')}, {'Porter stemmer' if self.stemmer else 'no stemmer'}"


def _bleu_version() -> str:
    return f"sacrebleu {_installed('sacrebleu')}, 13a, cased, exponential smoothing"


@cache
def _installed(package: str) -> str:
    """Return a package's version; cached, since every cell of a sweep needs it."""
    return metadata.version(package)
