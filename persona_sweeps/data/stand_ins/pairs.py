"""Write what Falstaff says, and what was said to him just before, as rows of `character, q, a`."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from persona_sweeps.cache import cache_dir
from persona_sweeps.data.plays.library import open_play, play_paths
from persona_sweeps.data.plays.plays import Speech
from persona_sweeps.records.files import write_text

PLAYS = ("henry-iv-part-1", "henry-iv-part-2", "the-merry-wives-of-windsor")
CHARACTER = "Falstaff"


def stand_in() -> Path:
    """Return the table, written once from the same plays and by the same code. Raises DataError without the plays."""
    files = [file for file in play_paths() if file.stem in PLAYS]
    digest = hashlib.sha256()
    for file in (Path(__file__), *files):
        digest.update(file.read_bytes())
    path = cache_dir() / "stand_ins" / f"pairs-{digest.hexdigest()[:12]}" / "pairs.csv"
    if not path.is_file():
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(["character", "q", "a"])
        writer.writerows([CHARACTER, _said(before), _said(answer)] for file in files for before, answer in _pairs(file))
        write_text(path, table.getvalue())
    return path


def _pairs(file: Path) -> Iterator[tuple[Speech, Speech]]:
    """Yield the speeches of the character with those that they answer."""
    for _, scene in open_play(file).scenes():
        spoken = [speech for speech in scene.speeches if speech.lines and speech.speaker]
        for before, answer in zip(spoken, spoken[1:], strict=False):
            if _is_his(answer) and not _is_his(before):
                yield before, answer


def _is_his(speech: Speech) -> bool:
    return speech.speaker.casefold() == CHARACTER.casefold()


def _said(speech: Speech) -> str:
    return " ".join(speech.lines)
