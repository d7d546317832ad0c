"""Hamlet as files of the Harry Potter Dialogue format: one to train on, and one with responses to find.

What a play doesn't say is left out: the attributes are those that a name holds (Queen Gertrude), and affections are
unknown. Familiarity counts how often two people speak right after each other.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persona_sweeps.cache import cache_dir
from persona_sweeps.data.plays.context import heading
from persona_sweeps.data.plays.library import display_name, open_play, play_paths
from persona_sweeps.data.plays.plays import Play, Scene, Speech
from persona_sweeps.records.files import write_text

PLAY, HERO = "hamlet", "Hamlet"
LENGTH, HELD_OUT_LENGTH = 12, 4
"""most speeches of a session; held-out ones ask for one response each, so they are shorter and more"""
EVERY_NTH, NEGATIVES = 4, 3
"""every fourth scene is held out; each held-out session has three negative responses"""
ATTRIBUTES = (
    "Gender", "Age", "Lineage", "Talents", "Looks", "Achievement", "Title", "Belongings", "Export", "Hobby",
    "Character", "Spells", "Nickname",
)  # fmt: skip
GENDERS = {"King": "male", "Queen": "female", "Lord": "male", "Lady": "female", "Prince": "male", "Princess": "female"}
"""what a title in a name says of gender"""


def stand_in() -> tuple[Path, Path]:
    """Return the file to train on and the file to evaluate on, made once. Raises DataError without the plays."""
    file = next(path for path in play_paths() if path.stem == PLAY)
    key = hashlib.sha256(file.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    folder = cache_dir() / "stand_ins" / f"hpd-{key}"
    paths = folder / "train.json", folder / "test.json"
    if not all(path.exists() for path in paths):
        for path, sessions in zip(paths, _sessions(open_play(file)), strict=True):
            write_text(path, json.dumps(sessions, indent=1, ensure_ascii=False) + "\n")
    return paths


def _sessions(play: Play) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sessions to train on and those to evaluate on, by name: whole scenes are on one side."""
    familiar = _familiarity(play)
    sides: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    scenes = [(act, scene) for act, scene in play.scenes() if any(_speaker(s) == HERO for s in scene.speeches)]
    for index, (act, scene) in enumerate(scenes):
        held_out = index % EVERY_NTH == EVERY_NTH - 2
        for speeches in _stretches(scene, HELD_OUT_LENGTH if held_out else LENGTH):
            session = {
                "position": f"{play.slug}/{act.number}.{scene.number}",
                "scene": [heading(act, scene)],
                **_people(speeches, familiar),
                **(_asked(speeches, scene) if held_out else {"dialogue": [_line(speech) for speech in speeches]}),
            }
            sides[held_out][f"Session-{len(sides[held_out]) + 1}"] = session
    return sides


def _stretches(scene: Scene, length: int) -> Iterator[list[Speech]]:
    """Yield the scene in stretches that end with a speech of the hero, after one of somebody else."""
    speeches = [speech for speech in scene.speeches if speech.lines and speech.speaker]
    for start in range(0, len(speeches), length):
        stretch = speeches[start : start + length]
        while stretch and _speaker(stretch[-1]) != HERO:
            stretch.pop()
        if any(_speaker(speech) != HERO for speech in stretch):
            yield stretch


def _asked(speeches: list[Speech], scene: Scene) -> dict[str, Any]:
    """Return the dialogue without its end, which is the response, and what others say in the scene as negatives."""
    others = [speech for speech in scene.speeches if speech.lines and speech not in speeches and speech.speaker]
    wrong = [" ".join(speech.lines) for speech in others if _speaker(speech) != HERO][:NEGATIVES]
    return {
        "dialogue": [_line(speech) for speech in speeches[:-1]],
        "positive_response": _line(speeches[-1]),
        **{f"negative_response_{number}": text for number, text in enumerate(wrong, start=1)},
    }


def _people(speeches: list[Speech], familiar: dict[str, int]) -> dict[str, Any]:
    names = list(dict.fromkeys(_speaker(speech) for speech in speeches))
    return {
        "speakers": names,
        "attributes": {name: dict.fromkeys(ATTRIBUTES, "") | _said_by(name) for name in names},
        f"relations with {HERO}": {
            name: {
                "name": name,
                f"{HERO}'s familiarity with him": familiar[name],
                f"his familiarity with {HERO}": familiar[name],
            }
            for name in names
            if name != HERO
        },
    }


def _said_by(name: str) -> dict[str, str]:
    """Return the attributes that a name holds."""
    title = next((word for word in name.split() if word in GENDERS), None)
    return {"Gender": GENDERS[title], "Title": title} if title else {}


def _familiarity(play: Play) -> Counter[str]:
    """Return from 0 to 10 how often people speak right before or after the hero, on a logarithmic scale."""
    exchanges: Counter[str] = Counter()
    for _, scene in play.scenes():
        names = [_speaker(speech) for speech in scene.speeches]
        for one, other in zip(names, names[1:], strict=False):
            if HERO in (one, other):
                exchanges.update({one, other} - {HERO})
    most = max(exchanges.values())
    return Counter({name: round(10 * math.log1p(count) / math.log1p(most)) for name, count in exchanges.items()})


def _speaker(speech: Speech) -> str:
    return display_name(speech.speaker)


def _line(speech: Speech) -> str:
    return f"{_speaker(speech)}: {' '.join(speech.lines)}"
