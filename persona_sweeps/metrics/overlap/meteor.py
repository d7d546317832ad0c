"""METEOR as an `evaluate` module that needs no network: words that are equal, of one stem, or synonyms.

Banerjee & Lavie (2005), "METEOR: An Automatic Metric for MT Evaluation with Improved Correlation with Human Judgments";
Lavie & Agarwal (2007) for the form computed here: F = P·R / (α·P + (1 − α)·R), times 1 − γ·(chunks / matches)^β, with
α = 0.9, β = 3, γ = 0.5. It is nltk's `single_meteor_score` on the words of its Penn Treebank tokenizer. As there,
words that matched neither whole nor by stem go into the search for synonyms as stems, so that few synonyms are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import evaluate

from persona_sweeps.metrics.evaluate_info import of_text_pairs

_DESCRIPTION = "METEOR with stems and WordNet's synonyms, averaged over items."

_INPUTS = """
Args:
    predictions: one generated text an item.
    references: one reference text an item.
Returns:
    meteor: mean METEOR in 0–1; nothing at all when there are no items.
"""

_CITATION = """
@inproceedings{banerjee-lavie-2005-meteor, title = {{METEOR}: An Automatic Metric for {MT} Evaluation},
  author = {Banerjee, Satanjeev and Lavie, Alon}, booktitle = {ACL Workshop}, year = {2005}, pages = {65--72}}
"""


def per_item(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return the METEOR (0–1) of each item; a text without words scores 0.

    Raises `ValueError` if the numbers of predictions and references differ, and UserError without WordNet.
    """
    from nltk.stem.porter import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    from persona_sweeps.metrics.overlap.wordnet import wordnet

    class Stemmer(PorterStemmer):
        """Remembers stems: an alignment asks for each word's many times."""

        @lru_cache(maxsize=100_000)  # noqa: B019 – it lives as long as this call
        def stem(self, word: str, to_lowercase: bool = True) -> str:
            found: str = super().stem(word, to_lowercase)
            return found

    stemmer = Stemmer()
    return [
        float(single_meteor_score(_words(target), _words(text), stemmer=stemmer, wordnet=wordnet()))
        for text, target in zip(predictions, references, strict=True)
    ]


def mean(items: Sequence[float]) -> dict[str, float]:
    """Return `{"meteor": the mean}`; an empty dict for no items."""
    return {"meteor": sum(items) / len(items)} if items else {}


def _words(text: str) -> Sequence[str]:
    from nltk.tokenize import NLTKWordTokenizer

    words: Sequence[str] = NLTKWordTokenizer().tokenize(text)
    return words


class Meteor(evaluate.Metric):
    """`Meteor().compute(predictions=…, references=…)` → `{"meteor": …}`."""

    def _info(self) -> evaluate.MetricInfo:
        return of_text_pairs(_DESCRIPTION, _CITATION, _INPUTS, "https://aclanthology.org/W07-0734/")

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        return mean(per_item(predictions, references))
