"""The real lines of the characters that are judged, from the samples of the rated runs and from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_sweeps.errors import UserError

from ..read.results import RunResult
from ..read.samples import SamplesError, read_items
from .design import Key


@dataclass(frozen=True)
class RealLine:
    """A line and who speaks it; lines of one `cluster` (a scene) aren't independent of one another."""

    text: str
    speaker: str
    cluster: str


def rated_results(key: Key, results: Sequence[RunResult]) -> dict[str, RunResult]:
    """Return the evaluated runs that a key names, by its names for them, as far as they are among `results`."""
    found: dict[str, RunResult] = {}
    for name in key.names:
        run_id, _, evaluation = name.partition("/")
        for result in results:
            if result.run_id == run_id and (not evaluation or evaluation in result.evaluation_ids):
                found.setdefault(name, result)
    return found


def lines_of(results: Sequence[RunResult]) -> list[RealLine]:
    """Return the held-out real lines in the samples of these runs, each once."""
    found: dict[tuple[str, str], RealLine] = {}
    for result in results:
        for line in sample_lines(result):
            text, speaker = line.get("reference"), line.get("persona")
            if isinstance(text, str) and isinstance(speaker, str) and text.strip() and speaker.strip():
                found.setdefault((text, speaker), RealLine(text, speaker, str(line["cluster"])))
    return list(found.values())


def sample_lines(result: RunResult) -> Sequence[Mapping[str, Any]]:
    """Return the samples of a run, none where they are missing; raises `UserError` where they can't be read."""
    try:
        items = read_items(result)
    except SamplesError as error:
        raise UserError(f"The samples of run {result.run_id} can't be used: {error}.") from error
    return items.lines if items else []


def lines_in(path: Path) -> list[RealLine]:
    """Return the lines of a JSON Lines file with `line`, `speaker` and, where it is known, `scene`.

    A line without a scene is one by itself. Raises `UserError`, naming the line, for a file that can't be read.
    """
    try:
        return list(_parsed(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--exam {path} can't be read: {error}.") from error


def _parsed(path: Path) -> Iterator[RealLine]:
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        row = row if isinstance(row, dict) else {}
        line, speaker, scene = row.get("line"), row.get("speaker"), row.get("scene")
        if not (isinstance(line, str) and isinstance(speaker, str) and line.strip() and speaker.strip()):
            raise UserError(
                f'--exam {path} line {number} must be an object with the texts "line" and "speaker", such as '
                '{"line": "To be, or not to be.", "speaker": "Hamlet"}.'
            )
        yield RealLine(line, speaker, f"file, line {number}" if scene is None else f"file, scene {scene}")
