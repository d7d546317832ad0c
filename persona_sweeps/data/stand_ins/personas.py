"""Write Shakespeare as what people bring: pairs of prompt and completion of three characters, and conversations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from persona_sweeps.cache import cache_dir
from persona_sweeps.data.plays.library import display_name, open_play, play_paths
from persona_sweeps.data.plays.plays import Play, Scene
from persona_sweeps.records.files import replacing_file

THREE = {"hamlet": "Hamlet", "henry-iv-part-1": "Falstaff", "as-you-like-it": "Rosalind"}
"""play → a character of it"""
LONGEST = 16
"""messages of a conversation: longer scenes are cut into several"""


def pairs_of_three() -> Path:
    """Return a JSON Lines file of three characters, written once: what each says, and what was said to it before."""
    plays = [_play(slug) for slug in THREE]
    rows = (row for play, name in zip(plays, THREE.values(), strict=True) for row in _pairs(open_play(play), name))
    return _written("pairs_of_three.jsonl", plays, rows)


def conversations_of_hamlet() -> Path:
    """Return Hamlet's scenes, cut short, as OpenAI's messages with names, one conversation a line, written once."""
    play = _play("hamlet")
    return _written("conversations_of_hamlet.jsonl", [play], _conversations(open_play(play), "HAMLET"))


def _pairs(play: Play, name: str) -> Iterator[Mapping[str, Any]]:
    for scene, place in _scenes(play):
        for before, speech in zip(scene.speeches, scene.speeches[1:], strict=False):
            if speech.speaker.casefold() == name.casefold() != before.speaker.casefold() and before.lines:
                prompt, completion = "\n".join(before.lines), "\n".join(speech.lines)
                yield {"prompt": prompt, "completion": completion, "persona": name, "scene": place}


def _conversations(play: Play, name: str) -> Iterator[Mapping[str, Any]]:
    for scene, place in _scenes(play):
        for start in range(0, len(scene.speeches), LONGEST):
            part = scene.speeches[start : start + LONGEST]
            if not any(speech.speaker == name for speech in part):
                continue
            messages = [{"role": "system", "content": scene.title}]
            for speech in part:
                role = "assistant" if speech.speaker == name else "user"
                speaker = display_name(speech.speaker or "Voice")
                messages.append({"role": role, "name": speaker, "content": "\n".join(speech.lines)})
            yield {"id": f"{place}/{start // LONGEST + 1}", "scene": place, "messages": messages}


def _scenes(play: Play) -> Iterator[tuple[Scene, str]]:
    for act, scene in play.scenes():
        yield scene, f"{play.slug}/{'.'.join(filter(None, (act.number, scene.number)))}"


def _play(slug: str) -> Path:
    return next(path for path in play_paths() if path.stem == slug)


def _written(name: str, plays: Iterable[Path], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Return a file of the cache, which is written unless it is there, from the same plays and by the same code."""
    digest = hashlib.sha256()
    for source in (Path(__file__), *plays):
        digest.update(source.read_bytes())
    path = cache_dir() / "stand_ins" / digest.hexdigest()[:16] / name
    if not path.is_file():
        with replacing_file(path) as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return path
