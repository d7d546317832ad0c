"""Metric `semantic`: how near a text's meaning is to the real line's, by an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.metrics.encoder import PACKAGED, encoder_obstacles, encoder_version
from persona_sweeps.metrics.metric import TEXT, Description, Metric, Predictions, Request, Scores

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

VERSION = "1"
"""version of the formulas in this package"""


@dataclass
class Semantic(Metric):
    """Score each text against its reference by SIMILE and BERTScore-F1 (0–1, higher is better), means over items.

    The modules of this package name the papers. Both depend on the encoder, which their labels name, and neither has a
    zero that means something: compare a value with those of peft=none and of another character's lines.
    """

    encoder: str = MISSING

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from encoder_obstacles(f"metrics.semantic.encoder={self.encoder}", self.encoder)

    def requests(self) -> tuple[Request, ...]:
        return (TEXT,)

    def version(self) -> str:
        return f"{VERSION}, {encoder_version(self.encoder)}"

    def describe(self) -> dict[str, Description]:
        by = "MiniLM" if self.encoder == PACKAGED else self.encoder
        return {
            "simile": self._description(
                "simile", f"SIMILE ({by})", "the cosine of two sentence vectors, less where lengths differ, a mean"
            ),
            "bertscore": self._description(
                "bertscore", f"BERTScore ({by})", "the F-measure of tokens that are near in an encoder's space, a mean"
            ),
        }

    def score(self, predictions: Predictions) -> Scores:
        # Inside, since they import `evaluate`, which takes seconds.
        from persona_sweeps.metrics.semantic import bertscore, simile

        lines = predictions[TEXT]
        texts, references = [line["text"] for line in lines], [line["reference"] for line in lines]
        similes = simile.per_item(texts, references, self.encoder)
        scores = bertscore.per_item(texts, references, self.encoder)
        items = [{"simile": a, "bertscore": b} for a, b in zip(similes, scores, strict=True)]
        return Scores(simile.mean(similes) | bertscore.mean(scores), items)

    def _description(self, name: str, label: str, what: str) -> Description:
        return Description(
            label=label,
            higher_is_better=True,
            range=(0.0, 1.0),
            version=self.version(),
            aggregate={"form": "mean", "of": name},
            explanation=f"{label} is {what}",
        )
