"""Write plays of Shakespeare as a table of scripts, one row an act, with the oddities that such tables have.

The header is `,script`, whose first column counts the rows, and one row is empty. Every other scene writes names in
capitals; now and then two speeches share a line, and a scene's heading ends one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from persona_sweeps.cache import cache_dir
from persona_sweeps.data.plays.library import display_name, open_play, play_paths
from persona_sweeps.data.plays.plays import Act, Scene, Speech
from persona_sweeps.records.files import write_text

VERSION = 2
"""raise it whenever the file would be written differently"""
PLAYS = ("as-you-like-it", "hamlet", "henry-iv-part-1", "macbeth", "much-ado-about-nothing", "twelfth-night")
EMPTY_ROW = 7
TOGETHER = 23
"""each so many speeches, one shares its line with the next"""


def stand_in() -> Path:
    """Return the table, written once. Raises DataError without the plays."""
    files = [file for file in play_paths() if file.stem in PLAYS]
    digest = hashlib.sha256(str(VERSION).encode())
    for file in files:
        digest.update(file.read_bytes())
    path = cache_dir() / "stand_ins" / f"scripts-{digest.hexdigest()[:12]}" / "scripts.csv"
    if not path.is_file():
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(["", "script"])
        scripts = [written_act(act) for file in files for act in open_play(file).acts]
        scripts.insert(EMPTY_ROW, "")
        writer.writerows(enumerate(scripts))
        write_text(path, table.getvalue())
    return path


def written_act(act: Act) -> str:
    """Return an act as a script."""
    text = f"{act.title}\n\n" if act.title else ""
    for number, scene in enumerate(act.scenes):
        # The heading of every third scene ends the last line of the scene before.
        divider = "" if not number else " " if number % 3 == 2 else "\n\n"
        text += divider + "".join(_lines(scene, in_capitals=number % 2 == 1))
    return text


def _lines(scene: Scene, in_capitals: bool) -> Iterator[str]:
    items = scene.items
    opening = [] if not items or isinstance(items[0], Speech) else [items[0].text]
    place = re.sub(r"^SCENE [IVX]+\.\s*", "", scene.title)
    yield f"[Scene: {_unbracketed(' '.join([place, *opening]).strip() or 'The same')}]"
    count = 0
    items = items[len(opening) :]
    for before, item in zip([None, *items], items, strict=False):
        if not isinstance(item, Speech) or not item.speaker or not item.lines:
            texts = [item.text] if not isinstance(item, Speech) else list(item.lines)
            yield "".join(f"\n({_unbracketed(text)})" for text in texts)
            continue
        count += 1
        together = count % TOGETHER == 0 and isinstance(before, Speech) and _ends_sentence(before)
        yield f"{' ' if together else chr(10)}{_names(item.speakers, in_capitals)}: {_said(item)}"


def _said(speech: Speech) -> str:
    parts = [part if isinstance(part, str) else f"({_unbracketed(part.text)})" for part in speech.parts]
    return " ".join(" ".join(parts).split())


def _ends_sentence(speech: Speech) -> bool:
    return bool(speech.lines) and bool(speech.speaker) and speech.lines[-1].endswith((".", "!", "?"))


def _names(names: Sequence[str], in_capitals: bool) -> str:
    return " and ".join(name.upper() if in_capitals else display_name(name) for name in names)


def _unbracketed(text: str) -> str:
    return re.sub(r"[\[\]()]", "", " ".join(text.split()))
