"""Read the questions of the metric `boundary`, and put them to a character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persona_sweeps.data.example import Example, Message
from persona_sweeps.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from persona_sweeps.data.run_data import RunData

QUESTIONS = Path(__file__).with_name("texts") / "boundary.yaml"
OTHERS = 4
"""other characters that the questions inside the character's world name: those who share most scenes with it"""
KEYS = ("deflections", "outside", "inside")


class Question(NamedTuple):
    """A question with its answer; `inside` the character's world or not."""

    question: str
    answer: str
    inside: bool


def read_questions(path: Path) -> tuple[list[str], list[Question]]:
    """Return the deflections and the questions of a file. Raises DataError for what isn't such a file."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"metrics.boundary.path={path} can't be read as YAML: {reason}.") from error
    if not isinstance(content, Mapping) or not all(isinstance(content.get(key), list) and content[key] for key in KEYS):
        raise DataError(f"{path} must have the keys {', '.join(KEYS)}, each with a list.")
    for key in content:
        if key not in KEYS:
            raise DataError(f"{path}: {key} is none of {', '.join(KEYS)}.{did_you_mean(str(key), KEYS)}")
    deflections = [str(text) for text in content["deflections"]]
    return deflections, [*_questions(content["outside"], path, False), *_questions(content["inside"], path, True)]


def _questions(rows: Sequence[Any], path: Path, inside: bool) -> Iterator[Question]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping) or {*row} != {"question", "answer"}:
            part = "inside" if inside else "outside"
            raise DataError(f"{path}: entry {number} of {part} must have the keys question and answer, and no others.")
        yield Question(str(row["question"]), str(row["answer"]), inside)


def put_to(persona: str, others: Sequence[str], questions: Sequence[Question]) -> list[Question]:
    """Return the questions with the names filled in; one that names another character is asked for each of them."""
    asked = []
    for one in questions:
        names = others if "{other}" in one.question else [""]
        for other in names:
            question, answer = (t.replace("{persona}", persona).replace("{other}", other) for t in one[:2])
            asked.append(Question(question, answer, one.inside))
    return asked


def companions(data: RunData, persona: str) -> list[str]:
    """Return the names of those who share most scenes with a character, in the scenes to train on."""
    lines = data.all_characters.train
    scenes = {line.cluster for line in lines if line.persona == persona}
    pairs = {(line.persona, line.cluster) for line in lines if line.persona not in (persona, None)}
    shared = Counter(name for name, scene in pairs if scene in scenes)
    return sorted((str(name) for name in shared), key=lambda name: (-shared[name], name))[:OTHERS]


def prompt_of(example: Example, question: str) -> str | tuple[Message, ...]:
    """Return a question as a prompt behind the card of the example's character."""
    if isinstance(example.prompt, str):
        return question
    return (*(message for message in example.prompt if message.role == "system"), Message("user", question))
