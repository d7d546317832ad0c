"""Metric `boundary`: does the character deflect what it can't know, and answer what it must know?"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example
from persona_sweeps.errors import DataError
from persona_sweeps.metrics.boundary_questions import QUESTIONS, companions, prompt_of, put_to, read_questions
from persona_sweeps.metrics.finite import require_finite
from persona_sweeps.metrics.metric import Description, Line, Metric, Predictions, Request, Scores
from persona_sweeps.metrics.own_files import text_version
from persona_sweeps.metrics.prompt_sets import prompt_set

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.run_data import RunData

VERSION = "1"
"""version of the formulas below"""
QUESTIONED = Request("nll", prompt_set="boundary.questions")
SAID = {
    "boundary_auc": (
        "boundary AUC",
        "is the chance that a deflection is more probable, against the answer, on a question outside the character's "
        "world than on one inside it (0.5 by chance)",
        True,
    ),
    "deflected_outside": (
        "deflected outside",
        "is the share of questions outside the character's world whose answer is less probable than a deflection",
        True,
    ),
    "deflected_inside": ("deflected inside", "is the same share inside its world: over-refusal", False),
}
"""value → label, explanation, whether higher is better"""


@dataclass
class Boundary(Metric):
    """Compare an in-character deflection with an answer, on questions outside and inside the character's world.

    A question's score is the mean over the deflections of log p(deflection|question) / |deflection|, less
    log p(answer|question) / |answer|, in nats a token. `boundary_auc` is the share of pairs of an outside and an inside
    question that the scores order rightly, ties as one half (Hanley & McNeil 1982), in 0–1, higher is better, 0.5 by
    chance: what all questions share, such as a liking for short replies, cancels out in it. The two shares are of
    scores above 0. Shao et al. (2023), "Character-LLM", ask such questions and let people judge the answers.
    """

    path: str | None = None

    def check(self, config: RunConfig) -> Iterator[str]:
        if self.path is not None and not Path(self.path).expanduser().is_file():
            yield f"metrics.boundary.path={self.path} is no file: give a YAML file as conf/metrics/boundary.yaml says."

    def requests(self) -> tuple[Request, ...]:
        return (QUESTIONED,)

    def prompts(self, prompt_set: str, data: RunData) -> Sequence[Example]:
        """Return each question with its answer and with each deflection, for each character of the run.

        Raises DataError for a file that can't be read, or data without characters.
        """
        deflections, questions = read_questions(Path(self.path).expanduser() if self.path is not None else QUESTIONS)
        if not data.personas:
            raise DataError("metrics=boundary asks characters, and these data name none: leave boundary out.")
        prompts = []
        for persona in data.personas:
            example = next(one for one in (*data.corpus.train, *data.corpus.eval) if one.persona == persona)
            for number, asked in enumerate(put_to(persona, companions(data, persona), questions)):
                name = f"boundary/{persona}/question-{number + 1}"
                replies = [("answer", asked.answer), *((f"deflection-{n + 1}", t) for n, t in enumerate(deflections))]
                prompts += [
                    Example(f"{name}/{kind}", prompt_of(example, asked.question), text, name, persona, metadata)
                    for kind, text in replies
                    for metadata in [{"inside": asked.inside, "answers": kind == "answer"}]
                ]
        return prompts

    def version(self) -> str:
        return f"{VERSION}, {text_version(self.path)}"

    def describe(self) -> dict[str, Description]:
        return {
            name: Description(
                label=label,
                higher_is_better=higher,
                range=(0.0, 1.0),
                version=self.version(),
                aggregate={"form": "mean", "of": name},
                explanation=f"{label} {explanation}",
            )
            for name, (label, explanation, higher) in SAID.items()
        }

    def score_with(self, predictions: Predictions, data: RunData) -> Scores:
        """Score the questions of which all replies fit. Raises TrialError if an NLL isn't finite."""
        lines = {line["id"]: line for line in predictions[QUESTIONED]}
        require_finite(lines.values(), "an answer")
        questions: dict[str, list[Example]] = {}
        for reply in prompt_set([self], QUESTIONED.prompt_set, data).examples:
            questions.setdefault(reply.cluster, []).append(reply)
        complete = [replies for replies in questions.values() if all(reply.id in lines for reply in replies)]
        scores = [(replies, _preference(replies, lines)) for replies in complete]
        inside = sorted(score for replies, score in scores if replies[0].metadata["inside"])
        items = [_columns(replies[0], score, inside) for replies, score in scores]
        asked = [{**lines[replies[0].id], "id": replies[0].cluster} for replies, _ in scores]
        values = {name: [item[name] for item in items if name in item] for name in SAID}
        return Scores({name: sum(of) / len(of) for name, of in values.items() if of}, items, asked)


def _preference(replies: Sequence[Example], lines: dict[str, Line]) -> float:
    """Return how much more probable a deflection is than the answer, in nats a token; the answer comes first."""
    answer, *deflections = (-lines[reply.id]["nll"] / lines[reply.id]["tokens"] for reply in replies)
    return math.fsum(deflections) / len(deflections) - answer


def _columns(reply: Example, score: float, inside: Sequence[float]) -> dict[str, float]:
    """Return a question's columns; an outside one has the share of inside ones with a lower score."""
    deflected = float(score > 0)
    if reply.metadata["inside"]:
        return {"deflected_inside": deflected}
    below, equal = bisect_left(inside, score), bisect_right(inside, score)
    auc = {"boundary_auc": (below + equal) / 2 / len(inside)} if inside else {}
    return {**auc, "deflected_outside": deflected}
