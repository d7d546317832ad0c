"""Source `jsonl`: one example a line, as a prompt with its completion, or as chat messages.

    {"prompt": "Who's there?", "completion": "Nay, answer me.", "persona": "Francisco", "scene": "1.1"}
    {"messages": [{"role": "user", "content": "Who's there?"}, {"role": "assistant", "content": "Nay, answer me."}]}

Optional keys are `persona`, `id`, and one of `cluster`, `dialogue`, `scene`, `episode`; any other becomes metadata.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import MISSING

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.jsonl_line import LineError, parse_line
from persona_sweeps.data.personas import of_personas
from persona_sweeps.data.source import Reading, Source
from persona_sweeps.errors import DataError, did_you_mean

SHOWN_ERRORS = 5


@dataclass
class Jsonl(Source):
    """The lines of one file, or of two: one to train on and one to evaluate on."""

    path: str = MISSING
    eval_path: str | None = None
    card: str | None = None

    def files(self) -> list[Path]:
        paths = [Path(name).expanduser() for name in (self.path, self.eval_path) if name is not None]
        return [path for path in paths if path.exists()]

    def read(self) -> Reading:
        """Return the examples of `path`, and those of `eval_path` as held out.

        Raises `DataError` for a file that is missing or malformed (naming the first bad lines) or for ids on several
        lines, and `ConfigError` for a persona that no line names.
        """
        dropped: Counter[str] = Counter()
        path = _existing(self.path, "path")
        examples = _read(path, "line", dropped)
        digest = hashlib.sha256(path.read_bytes())
        held_out = None
        if self.eval_path is not None:
            eval_path = _existing(self.eval_path, "eval_path")
            held_out = _read(eval_path, "eval-line", dropped)
            digest.update(b"\0eval\0" + eval_path.read_bytes())
        _require_unique([*examples, *(held_out or [])])
        return Reading(
            self._prepared(examples),
            digest.hexdigest(),
            held_out=None if held_out is None else self._prepared(held_out),
            dropped=dict(dropped),
            hint=f"They come from {path}.",
        )

    def _prepared(self, examples: Iterable[Example]) -> list[Example]:
        """Return the examples of the personas, with the card in front of those that have none."""
        return [_with_card(example, self.card) for example in of_personas(examples, self.personas)]


def _existing(name: str, key: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"dataset.{key}={name} is a folder; give a JSON Lines file.")
    folder = path.parent
    files = sorted(entry.name for entry in folder.iterdir() if entry.is_file()) if folder.is_dir() else []
    where = "" if folder.is_dir() else f" The folder {folder} doesn't exist either."
    raise DataError(f"dataset.{key}={name} doesn't exist.{did_you_mean(path.name, files)}{where}")


def _read(path: Path, prefix: str, dropped: Counter[str]) -> list[Example]:
    """Return the examples of a file, and count the empty ones in `dropped`. Raises DataError with all bad lines."""
    examples: list[Example] = []
    errors: list[str] = []
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not raw.strip():
            dropped["blank line"] += 1
            continue
        try:
            example = parse_line(raw, f"{prefix}-{number}")
        except LineError as error:
            errors.append(f"{path}, line {number}: {error}{'' if str(error)[-1:] in '.?' else '.'}")
            continue
        if reason := _nothing_to_learn(example):
            dropped[reason] += 1
        else:
            examples.append(example)
    if errors:
        more = f"\n… and {len(errors) - SHOWN_ERRORS} more." if len(errors) > SHOWN_ERRORS else ""
        plural = "s are" if len(errors) > 1 else " is"
        raise DataError(f"{len(errors)} line{plural} not valid:\n" + "\n".join(errors[:SHOWN_ERRORS]) + more)
    return examples


def _nothing_to_learn(example: Example) -> str | None:
    """Return why an example can't be used, as a reason of `Corpus.dropped`; None if it can."""
    last_message = example.prompt if isinstance(example.prompt, str) else example.prompt[-1].content
    if not example.completion.strip():
        return "empty completion"
    return None if last_message.strip() else "empty prompt"


def _require_unique(examples: Sequence[Example]) -> None:
    repeated = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if repeated:
        listing = ", ".join(repeated[:SHOWN_ERRORS])
        raise DataError(f"{len(repeated)} ids are on more than one line, and each must be unique: {listing}.")


def _with_card(example: Example, card: str | None) -> Example:
    if not card:
        return example
    turns = (Message("user", example.prompt),) if isinstance(example.prompt, str) else example.prompt
    return example if turns[0].role == "system" else replace(example, prompt=(Message("system", card), *turns))
