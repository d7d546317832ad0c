"""Metric `forgetting`: how much less probable text of nobody has become, against the untuned base."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError
from persona_sweeps.metrics.finite import require_finite
from persona_sweeps.metrics.metric import Description, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.own_files import text_version
from persona_sweeps.metrics.passages import PASSAGES, passages

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.run_data import RunData

VERSION = "1"
"""version of the formula below"""
BY_RUN = Request("nll", prompt_set="forgetting.passages")
BY_BASE = Request("nll", prompt_set="forgetting.passages", by="base")


@dataclass
class Forgetting(Metric):
    """Measure the change of NLL on passages that no character says: the run's less the untuned base's, in bits a byte.

    Any real number; lower is better, and 0 is a model that lost nothing. Biderman et al. (2024), "LoRA Learns Less and
    Forgets Less", measure forgetting by other tasks; the loss on other text needs no labels. A passage has neither card
    nor template before it; a soft prompt or prefix stays.
    """

    path: str | None = None

    def check(self, config: RunConfig) -> Iterator[str]:
        if self.path is not None and not Path(self.path).expanduser().is_file():
            yield f"metrics.forgetting.path={self.path} is no file: give a text file, passages divided by empty lines."

    def requests(self) -> tuple[Request, ...]:
        return (BY_RUN, BY_BASE)

    def prompts(self, prompt_set: str, data: RunData) -> Sequence[Example]:
        """Return the passages, as completions of nothing. Raises DataError for a file without any."""
        file = Path(self.path).expanduser() if self.path is not None else PASSAGES
        try:
            found = passages(file)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"metrics.forgetting.path={file} can't be read as UTF-8 text: {error}.") from error
        if not found:
            raise DataError(f"metrics.forgetting.path={self.path} holds no text.")
        names = [f"{file.stem}/passage-{number + 1}" for number in range(len(found))]
        return [Example(name, "", passage, name) for name, passage in zip(names, found, strict=True)]

    def version(self) -> str:
        return f"{VERSION}, {text_version(self.path)}"

    def describe(self) -> dict[str, Description]:
        return {
            "forgetting": Description(
                label="forgetting",
                higher_is_better=False,
                range=(None, None),
                version=self.version(),
                aggregate={
                    "form": "ratio",
                    "numerator": ["forgotten_nll"],
                    "denominator": ["passage_bytes"],
                    "scale": 1 / math.log(2),
                    "exp": False,
                },
                format=".3f",
                explanation="forgetting is how many bits a byte the run needs more than the untuned base for plain "
                "modern prose",
                character=60,
            )
        }

    def score(self, predictions: Predictions) -> Scores:
        """Compare the two NLLs. Raises TrialError if one isn't finite."""
        by_run, by_base = predictions[BY_RUN], predictions[BY_BASE]
        require_finite([*by_run, *by_base], "other text")
        items = [
            {"forgotten_nll": run["nll"] - base["nll"], "passage_bytes": run["bytes"]}
            for run, base in zip(by_run, by_base, strict=True)
        ]
        if not items:
            return Scores({}, [], [])
        bits = math.fsum(item["forgotten_nll"] for item in items) / math.log(2)
        return Scores({"forgetting": bits / sum(item["passage_bytes"] for item in items)}, items, by_run)
