"""Metric `blending`: does a character's adapter or card fit that character's lines alone, or everybody's?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError
from persona_sweeps.metrics.finite import require_finite
from persona_sweeps.metrics.metric import Description, Line, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.other_characters import held_out_lines
from persona_sweeps.metrics.prompt_sets import prompt_set

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.run_data import RunData

VERSION = "1"
"""version of the formulas below, and of which lines are scored"""
BY_RUN = Request("nll", prompt_set="blending.lines")
BY_BASE = Request("nll", prompt_set="blending.lines", by="base")
MATRIX = {"speaker": "blending_speaker", "gain": "blending_gain", "nll": "blending_nll", "tokens": "blending_tokens"}
"""the columns of an item that a table of the matrix reads"""


@dataclass
class Blending(Metric):
    """Score lines of character d as if character c were asked to speak, for each character c that the run has learned.

    Each line is scored behind c's card, by the run and by the untuned base; the gain is base less run, in nats a token.
    So a run of one character has a row of the matrix M[c, d], and runs of several characters make it whole; a run of
    several has all of it, a row for each card. `bleed` is the mean gain on other characters' lines ÷ that on the
    character's own: lower is better, 0 where training helps the character alone, 1 where it helps all alike; any real
    number, left out where training helped the character nothing. `identified` is the share of lines whose own
    character's card makes them most probable among the run's cards (0–1, higher is better; ties count 1/ties), and
    `swap_margin` how many nats a token the other cards cost, a mean. Both need a run of several characters; the table
    `blending` gives them for runs of one.
    """

    characters: list[str] | None = None
    lines: int = MISSING

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from at_least("metrics.blending.lines", self.lines, 1)
        if self.characters is not None and len(self.characters) < 2:
            yield f"metrics.blending.characters={self.characters} must name two characters or more, or be null."

    def requests(self) -> tuple[Request, ...]:
        return (BY_RUN, BY_BASE)

    def prompts(self, prompt_set: str, data: RunData) -> Sequence[Example]:
        """Return each line behind the card of each character that the run has learned.

        Raises ConfigError for a character without lines, DataError for data that name no characters.
        """
        if not data.personas:
            raise DataError("metrics=blending compares characters, and these data name none: leave blending out.")
        by_speaker = held_out_lines(data, self.characters, self.lines)
        cards = {persona: _card(data, persona) for persona in data.personas}
        return [
            replace(
                line,
                id=f"{line.id}|{card}",
                prompt=_behind(cards[card], line),
                persona=card,
                metadata={"line": line.id, "speaker": speaker},
            )
            for speaker, lines in by_speaker.items()
            for line in lines
            for card in data.personas
        ]

    def version(self) -> str:
        chosen = "those who say most" if self.characters is None else ", ".join(map(str, self.characters))
        return f"{VERSION}, at most {self.lines} lines of each: {chosen}"

    def describe(self) -> dict[str, Description]:
        return {
            "bleed": Description(
                label="bleed",
                higher_is_better=False,
                range=(None, None),
                version=self.version(),
                aggregate={
                    "form": "ratio",
                    "numerator": ["blending_off"],
                    "denominator": ["blending_on"],
                    "scale": 1.0,
                    "exp": False,
                    "signed": True,
                },
                format=".2f",
                explanation="bleed is what training gains on other characters' lines, as a share of what it gains on "
                "the character's own",
                character=50,
                matrix=MATRIX,
            ),
            "identified": self._mean(
                "identified",
                (0.0, 1.0),
                "is the share of lines that their own character's card makes most probable",
            ),
            "swap_margin": self._mean(
                "swap margin", (None, None), "is what another character's card costs, in nats a token"
            ),
        }

    def score_with(self, predictions: Predictions, data: RunData) -> Scores:
        """Compare the run with the base, and cards with each other. Raises TrialError if an NLL isn't finite."""
        by_run, by_base = ({line["id"]: line for line in predictions[request]} for request in (BY_RUN, BY_BASE))
        require_finite([*by_run.values(), *by_base.values()], "a character's line")
        prompts: dict[str, list[Example]] = defaultdict(list)
        for prompt in prompt_set([self], BY_RUN.prompt_set, data).examples:
            if prompt.id in by_run and prompt.id in by_base:
                prompts[prompt.metadata["line"]].append(prompt)
        items = [_columns(of_line, by_run, by_base) for of_line in prompts.values()]
        lines = [_as_said(by_run[of_line[0].id], of_line[0]) for of_line in prompts.values()]
        return Scores(_whole(items), items, lines)

    def _mean(self, label: str, ends: tuple[float | None, float | None], explanation: str) -> Description:
        return Description(
            label=label,
            higher_is_better=True,
            range=ends,
            version=self.version(),
            aggregate={"form": "mean", "of": label.replace(" ", "_")},
            explanation=f"{label} {explanation}",
        )


def _columns(prompts: Sequence[Example], by_run: Mapping[str, Line], by_base: Mapping[str, Line]) -> dict[str, Any]:
    """Return the columns of one line, which stands in these prompts behind different cards."""
    speaker, tokens = prompts[0].metadata["speaker"], by_run[prompts[0].id]["tokens"]
    nll = {str(prompt.persona): by_run[prompt.id]["nll"] / tokens for prompt in prompts}
    gain = {str(prompt.persona): by_base[prompt.id]["nll"] / tokens - nll[str(prompt.persona)] for prompt in prompts}
    columns = {
        "blending_speaker": speaker,
        "blending_gain": gain,
        "blending_nll": nll,
        "blending_tokens": tokens,
        "identified": None,
        "swap_margin": None,
    }
    others = [value for card, value in nll.items() if card != speaker]
    if speaker in nll and others:
        best = [card for card, value in nll.items() if value <= min(nll.values())]
        columns["identified"] = (speaker in best) / len(best)
        columns["swap_margin"] = math.fsum(others) / len(others) - nll[speaker]
    return {name: value for name, value in columns.items() if value is not None}


def _whole(items: list[dict[str, Any]]) -> dict[str, float]:
    """Return the values of all lines; give each line its share of the two mean gains that `bleed` compares."""
    on = [(i, gain) for i in items for card, gain in i["blending_gain"].items() if card == i["blending_speaker"]]
    off = [(i, gain) for i in items for card, gain in i["blending_gain"].items() if card != i["blending_speaker"]]
    for item in items:
        item |= {"blending_on": 0.0, "blending_off": 0.0}
    for name, gains in (("blending_on", on), ("blending_off", off)):
        for item, gain in gains:
            item[name] += gain / len(gains)
    values = {}
    mean_on, mean_off = (math.fsum(item[name] for item in items) for name in ("blending_on", "blending_off"))
    if on and off and mean_on > 0:
        values["bleed"] = mean_off / mean_on
    for name in ("identified", "swap_margin"):
        if of_lines := [item[name] for item in items if name in item]:
            values[name] = math.fsum(of_lines) / len(of_lines)
    return values


def _card(data: RunData, persona: str) -> tuple[Any, ...]:
    """Return the system messages of a character's examples."""
    example = next(one for one in (*data.corpus.train, *data.corpus.eval) if one.persona == persona)
    return () if isinstance(example.prompt, str) else tuple(m for m in example.prompt if m.role == "system")


def _behind(card: tuple[Any, ...], line: Example) -> str | tuple[Any, ...]:
    """Return a line's prompt behind another character's card; a prompt that is text has none."""
    if isinstance(line.prompt, str):
        return line.prompt
    return (*card, *(message for message in line.prompt if message.role != "system"))


def _as_said(answer: Line, prompt: Example) -> dict[str, Any]:
    """Return the prediction of a line as that of its own speaker."""
    return {**answer, "id": prompt.metadata["line"], "persona": prompt.metadata["speaker"]}
