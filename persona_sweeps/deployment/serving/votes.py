"""Blind votes from the page, in files that `persona-sweeps analyze rate read` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from anyascii import anyascii
from pydantic import BaseModel, ConfigDict, Field

from persona_sweeps.analysis_package import analysis_module
from persona_sweeps.deployment.serving.errors import ApiError
from persona_sweeps.errors import UserError
from persona_sweeps.records.files import json_lines, write_text

VOTES, KEY = "votes.jsonl", "key.json"
LONGEST = 100_000
"""characters of a prompt or an answer"""


class Vote(BaseModel):
    """`POST /votes`: two answers to the same prompt, in the order in which they were shown, and the choice."""

    model_config = ConfigDict(extra="forbid")

    conversation: str = Field(max_length=64)
    prompt: str = Field(max_length=LONGEST)
    persona: str = Field(max_length=200)
    models: tuple[str, str]
    texts: tuple[str, str]
    answer: Literal["A", "tie", "B"]
    rater: str = Field(min_length=1, max_length=40)


class Votes:
    """The votes in a folder: as they came, and as a key with a sheet of answers for each rater."""

    def __init__(self, folder: Path) -> None:
        """Take up the votes that are there. Raises `UserError` if the folder can't be written or read."""
        self._folder, self._lock = folder, Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / VOTES
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            self._votes = [Vote(**json.loads(line)) for line in lines]
            write_text(path, self._written())
        except OSError as error:
            raise UserError(f"{folder} can't hold votes: {error.strerror}.") from None
        except (ValueError, TypeError) as error:
            raise UserError(f"{folder / VOTES} holds something else than votes: {error}") from None

    def add(self, vote: Vote, names: Collection[str]) -> int:
        """Record a vote, and return how many there are; `names` are the models that are here. Raises `ApiError`."""
        for model, text in zip(vote.models, vote.texts, strict=True):
            if model not in names or len(text) > LONGEST:
                raise ApiError(400, f"A vote is on two models that are here, and {model!r} isn't.", "invalid_value")
        with self._lock:
            self._votes.append(vote)
            write_text(self._folder / VOTES, self._written())
            self._write_sheets()
            return len(self._votes)

    def _written(self) -> str:
        return json_lines(vote.model_dump() for vote in self._votes)

    def _write_sheets(self) -> None:
        """Write the key, and the answers of each rater with its hash, which every vote changes."""
        design, sheet = analysis_module("rating.design"), analysis_module("rating.sheet")
        units = tuple(
            design.Unit(
                f"v{number:05d}",
                str(number),
                vote.conversation,
                vote.persona,
                vote.prompt,
                vote.models,
                vote.texts,
            )
            for number, vote in enumerate(self._votes, start=1)
        )
        names = {model: model for vote in self._votes for model in vote.models}
        key = design.Key(design.PAIRWISE, 0, units, names)
        write_text(self._folder / KEY, key.to_json())
        for rater, given in self._by_rater(units).items():
            name = re.sub(r"[^A-Za-z0-9-]+", "_", anyascii(rater)) or "_"
            write_text(self._folder / f"votes-{name}.csv", sheet.answers_csv(key, rater, given))

    def _by_rater(self, units: Sequence[Any]) -> dict[str, dict[str, dict[str, str]]]:
        found: dict[str, dict[str, dict[str, str]]] = {}
        for unit, vote in zip(units, self._votes, strict=True):
            found.setdefault(vote.rater, {})[unit.unit] = {"persona": vote.answer}
        return found
