"""Metric `style`: do a run's texts sound like the character, rather than like others in the same scenes?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import MISSING

from persona_sweeps.config.checks import between, one_of
from persona_sweeps.metrics.metric import TEXT, Description, Line, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.style.fitting import Fitted, classifier, fitted, names
from persona_sweeps.metrics.style.separation import SETS, of_sets, shares_below
from persona_sweeps.metrics.style.voices import LEAST_LINES, by_character, names_removed

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.run_data import RunData

VERSION = "1"
"""version of the formulas below"""
ANYBODY = 0.5
"""the style of a text that says nothing of whose it is"""


@dataclass
class Style(Metric):
    """Score texts by a classifier that was fitted on the character's training lines and others' in the same scenes.

    `style` is the mean over texts of the share of other speakers' held-out lines that sound less like the character
    than the text does (0–1, 0.5 for anybody): the AUC of the texts against those lines. The character's own held-out
    lines don't reach 1; peft=true_reply has their value, and a higher one than theirs is no better. `style_of_ten` is
    the AUC of means of ten texts against means of ten lines, since a single line seldom shows who speaks. Names are
    removed first. A text that stands whole in a training line counts 0.5, and nothing in a set: the classifier knows
    that line by heart, so its score would say nothing of the model. Where the classifier's AUC on the held-out lines is
    below `least_auc`, or its interval includes 0.5, there is no score; nor for fewer than ten texts.
    """

    classifier: str = MISSING
    least_auc: float = MISSING

    def check(self, config: RunConfig) -> Iterator[str]:
        wrong = list(one_of("metrics.style.classifier", self.classifier, names()))
        yield from wrong or classifier(self.classifier).obstacles(f"metrics.style.classifier={self.classifier}")
        yield from between("metrics.style.least_auc", self.least_auc, 0, 1)
        if config.generation.limit is not None and config.generation.limit < SETS:
            yield (
                f"metrics=style needs {SETS} texts or more, since a single line seldom shows who speaks: "
                f"generation.limit={config.generation.limit} is fewer."
            )

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def fingerprint(self, data: RunData) -> str:
        return data.all_characters.fingerprint

    def version(self) -> str:
        known = self.classifier in names()  # `check` refuses another, but is asked after this
        by = classifier(self.classifier).version() if known else self.classifier
        return f"{VERSION}, {by}, AUC {self.least_auc:g}"

    def describe(self) -> dict[str, Description]:
        of = "held-out lines of others in the character's scenes"
        return {
            "style": Description(
                label="style",
                higher_is_better=True,
                range=(0.0, 1.0),
                version=self.version(),
                aggregate={"form": "mean", "of": "style"},
                format=".2f",
                explanation=f"style is the share of {of} that sound less like the character than a text does, a mean "
                "(0.5 for anybody and for copies of training lines; the real lines say what can be reached)",
                character=40,
            ),
            "style_of_ten": Description(
                label="style of ten",
                higher_is_better=True,
                range=(0.0, 1.0),
                version=self.version(),
                aggregate={},
                format=".2f",
                explanation="style of ten is how often the mean of ten texts sounds more like the character than that "
                f"of ten {of}",
            ),
        }

    def score_with(self, predictions: Predictions, data: RunData) -> Scores:
        """Score each text by its character's classifier."""
        lines = predictions[TEXT]
        items: list[dict[str, float]] = [{} for _ in lines]
        remarks, details, of_ten = [], {}, []
        by_name = by_character(_personas(lines, data))
        if lines and not by_name:
            remarks.append("No style: the data don't say which character speaks.")
        for character, indices in by_name.items():
            found = fitted(self.classifier, character, data.all_characters)
            remarks.append(self._remark(character, found))
            if found is None:
                continue
            details[character] = found.as_record()
            if not found.separation.is_above(self.least_auc):
                continue
            without_names = names_removed(data.all_characters)
            said = {index: without_names.said(lines[index]["prompt"], lines[index]["text"]) for index in indices}
            new = {index: line for index, line in said.items() if not found.voice.is_learned(line)}
            scores = dict(zip(new, found.classifier.scores(list(new.values())), strict=True)) if new else {}
            for index in indices:
                share = shares_below(scores[index], found.other) if index in scores else ANYBODY
                items[index] = {"style": float(share), "style_copied": float(index not in scores)}
            if len(new) >= SETS:
                of_ten.append((len(new), of_sets(np.array(list(scores.values())), found.other)))
        remarks += _on_copies(items)
        return Scores(_whole(items, of_ten), items, remarks=tuple(remarks), details=details)

    def _remark(self, character: str, found: Fitted | None) -> str:
        if found is None:
            return (
                f"Style of {character}: can't tell this voice, since there are fewer than {LEAST_LINES} lines of the "
                "character, or of others in the same scenes, to train on or held out."
            )
        by = f"{found.separation} of {type(found.classifier).label} on {found.separation.own_lines} held-out lines"
        if found.separation.is_above(self.least_auc):
            return f"Style of {character}: {by} against {found.separation.other_lines} of others."
        return f"Style of {character}: can't tell this voice; {by}, where 0.5 is chance."


def _whole(items: Sequence[Mapping[str, float]], of_ten: Sequence[tuple[int, float]]) -> dict[str, float]:
    shares = [item["style"] for item in items if item]
    if len(shares) < SETS:
        return {}
    whole = {"style": math.fsum(shares) / len(shares)}
    if of_ten:
        weights, values = zip(*of_ten, strict=True)
        whole["style_of_ten"] = float(np.average(values, weights=weights))
    return whole


def _on_copies(items: Sequence[Mapping[str, float]]) -> list[str]:
    """Return a sentence on texts that the classifier knows by heart, if most are such."""
    scored = [item for item in items if item]
    copied = sum(item["style_copied"] for item in scored)
    if copied <= len(scored) / 2:
        return []
    return [f"Most texts are training lines word for word, which count {ANYBODY} in style."]


def _personas(lines: Sequence[Line], data: RunData) -> list[str | None]:
    """Return whose voice each text should have."""
    only = data.personas[0] if len(data.personas) == 1 else None
    return [line["persona"] if line["persona"] is not None else only for line in lines]
