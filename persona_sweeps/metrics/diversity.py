"""Metric `diversity`: how varied a run's texts are, whether they repeat themselves, end, and keep to one speaker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from omegaconf import MISSING

from persona_sweeps.metrics.metric import TEXT, Description, Line, Metric, Predictions, Request, Scores

VERSION = "1"
"""version of the formulas below"""
REPEATED = 4
"""words of the n-grams that count as repeated"""
ORDERS = (1, 2, 3)
_SPEECH = re.compile(r"^\s*(?:[A-Z][\w.'’-]*)(?: [A-Z][\w.'’-]*){0,3}:(?:\s|$)", re.MULTILINE)
"""a line that begins as another speaker's does: up to four capitalized words and a colon"""
_BRACKETS = {"(": ")", "[": "]"}


@dataclass
class Diversity(Metric):
    """Describe texts without their references; all values lie in 0–1. Words stand between spaces, in either case.

    `distinct_1`, `_2` and `_3` are the distinct n-grams over all n-grams of all texts (Li et al. 2016, "A
    Diversity-Promoting Objective Function for Neural Conversation Models"); they fall as texts grow more, so compare
    them for equally many texts. `self_bleu` is the mean BLEU-4 of a text against all others (Zhu et al. 2018,
    "Texygen"), of at most `self_bleu_texts`, taken evenly; lower is more varied. `repetition` is the share of a text's
    4-grams that it had before, a mean (Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training").
    `ended` is the share of texts that the model ended by itself, before generation.max_new_tokens. `script_form` is the
    share of texts that are one speech: not empty, no line that begins with another speaker's name and a colon, all
    brackets closed. What is good is what the real lines have (peft=true_reply).
    """

    self_bleu_texts: int = MISSING

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def version(self) -> str:
        return f"{VERSION}, sacrebleu {_sacrebleu()}, {self.self_bleu_texts} texts"

    def describe(self) -> dict[str, Description]:
        version, of_bleu = VERSION, self.version()
        found = {
            f"distinct_{n}": _description(
                f"distinct-{n}", f"the distinct {n}-grams of words over all of them, in all texts", True, version, {}
            )
            for n in ORDERS
        }
        means = {
            "self_bleu": ("self-BLEU", "the mean BLEU of a text against all other texts", False, of_bleu),
            "repetition": ("repetition", "the share of a text's 4-grams that it had before, a mean", False, version),
            "ended": ("ended", "the share of texts that end by themselves, not cut off", True, version),
            "script_form": ("script form", "the share of texts that are one speech by one speaker", True, version),
        }  # fmt: skip
        return found | {
            name: _description(label, what, higher, of, {"form": "mean", "of": name})
            for name, (label, what, higher, of) in means.items()
        }

    def score(self, predictions: Predictions) -> Scores:
        lines = predictions[TEXT]
        texts = [line["text"].casefold().split() for line in lines]
        items = [_item(line, words) for line, words in zip(lines, texts, strict=True)]
        for index, value in self._self_bleu([line["text"] for line in lines]).items():
            items[index]["self_bleu"] = value
        whole = {f"distinct_{n}": share for n in ORDERS if (share := distinct(texts, n)) is not None}
        for name in ("self_bleu", "repetition", "ended", "script_form"):
            values = [item[name] for item in items if name in item]
            if values:
                whole[name] = sum(values) / len(values)
        return Scores(whole, items)

    def _self_bleu(self, texts: Sequence[str]) -> Mapping[int, float]:
        """Return the BLEU of each chosen text against the other chosen ones; nothing for fewer than two texts."""
        from sacrebleu.metrics.bleu import BLEU

        count = min(len(texts), self.self_bleu_texts)
        if count < 2:
            return {}
        chosen = [index * len(texts) // count for index in range(count)]
        metric = BLEU(effective_order=True)
        return {
            index: min(1.0, metric.sentence_score(texts[index], [texts[i] for i in chosen if i != index]).score / 100)
            for index in chosen
        }


def distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Return the distinct n-grams over all n-grams of all texts (0–1); None where there is none."""
    grams = [gram for text in texts for gram in _ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def repetition(words: Sequence[str]) -> float:
    """Return the share of a text's 4-grams that occurred in it before (0–1); 0 for a text of fewer words."""
    grams = _ngrams(words, REPEATED)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_one_speech(text: str) -> bool:
    """Return whether a text is one speech by one speaker, with all its brackets closed."""
    return bool(text.strip()) and _SPEECH.search(text) is None and _closes(text)


def _closes(text: str) -> bool:
    """Return whether each bracket is closed by its own kind."""
    waiting: list[str] = []
    for character in text:
        if character in _BRACKETS:
            waiting.append(_BRACKETS[character])
        elif character in _BRACKETS.values() and (not waiting or waiting.pop() != character):
            return False
    return not waiting


def _item(line: Line, words: Sequence[str]) -> dict[str, float]:
    item = {"repetition": repetition(words), "script_form": float(is_one_speech(line["text"]))}
    return item | ({"ended": float(line["finished"])} if line.get("finished") is not None else {})


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _description(label: str, what: str, higher: bool, version: str, aggregate: Mapping[str, Any]) -> Description:
    return Description(
        label=label,
        higher_is_better=higher,
        range=(0.0, 1.0),
        version=version,
        aggregate=aggregate,
        explanation=f"{label} is {what}",
    )


@cache
def _sacrebleu() -> str:
    return metadata.version("sacrebleu")
