"""Metric `copying`: did the model learn the character, or its lines by heart?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.data.nearest import Nearest
from persona_sweeps.metrics.longest_match import LongestMatch
from persona_sweeps.metrics.metric import TEXT, Description, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.words import words

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.run_data import RunData

VERSION = "1"
"""version of the formulas below"""


@dataclass
class Copying(Metric):
    """Compare each text with the lines that the run was trained on, word by word, without case or punctuation.

    `copied` is the share of texts of `min_words` words or more that stand whole in one training line (0–1, lower is
    better; a shorter text counts as not copied, for everybody says "Ay, my lord"). `longest_copied` is the mean number
    of words of the longest run that a text shares with a training line (0 or more), and `nearest_distance` the mean of
    1 − the largest TF-IDF cosine with a training line (0–1, higher is farther). Carlini et al. (2023), "Quantifying
    Memorization Across Neural Language Models", count such runs. Honest text shares some words by chance: the row of
    peft=true_reply says how many. A text without words shares nothing, at distance 1.
    """

    min_words: int = MISSING

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from at_least("metrics.copying.min_words", self.min_words, 1)

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def fingerprint(self, data: RunData) -> str:
        return data.corpus.train_fingerprint

    def version(self) -> str:
        return f"{VERSION}, {self.min_words} words"

    def describe(self) -> dict[str, Description]:
        return {
            "copied": self._description(
                "copied", "copied", 1.0, f"the share of texts of {self.min_words} words or more that stand whole in "
                "one training line", character=70,
            ),
            "longest_copied": self._description(
                "longest_copied", "longest copied", None, "the mean number of words of the longest run that a text "
                "shares with a training line",
            ),
            "nearest_distance": self._description(
                "nearest_distance", "nearest distance", 1.0, "the mean of 1 − the largest TF-IDF cosine of a text with "
                "a training line", higher=True,
            ),
        }  # fmt: skip

    def score_with(self, predictions: Predictions, data: RunData) -> Scores:
        """Score each text against all training lines."""
        lines = [example.completion for example in data.corpus.train]
        longest = LongestMatch(words(line) for line in lines)
        nearest = Nearest(lines)
        items = []
        for line in predictions[TEXT]:
            said = words(line["text"])
            run = longest(said)
            copied = float(len(said) >= self.min_words and run == len(said))
            distance = min(1.0, max(0.0, 1 - nearest(line["text"])[1]))
            items.append({"copied": copied, "longest_copied": float(run), "nearest_distance": distance})
        whole = {name: math.fsum(item[name] for item in items) / len(items) for name in self.describe() if items}
        return Scores(whole, [dict(item) for item in items])

    def _description(
        self, name: str, label: str, high: float | None, explanation: str, higher: bool = False, character: int = 0
    ) -> Description:
        return Description(
            label=label,
            higher_is_better=higher,
            range=(0.0, high),
            version=self.version(),
            aggregate={"form": "mean", "of": name},
            format=".1f" if high is None else ".3f",
            explanation=f"{label} is {explanation}",
            character=character,
        )
