"""Shakespeare's scenes as stories: a row each, with a prompt made of its place and its people."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persona_sweeps.cache import cache_dir
from persona_sweeps.data.plays.library import display_name, open_play, play_paths
from persona_sweeps.data.plays.plays import Play, Scene, Speech, StageDirection
from persona_sweeps.records.files import write_json_lines

SHOWN = 5
"""most people whom a prompt names"""


def stand_in() -> Path:
    """Return the file of stories, made once. Raises DataError without the plays."""
    files = play_paths()
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for file in files:
        digest.update(file.read_bytes())
    path = cache_dir() / "stand_ins" / f"stories-{digest.hexdigest()[:12]}.jsonl"
    if not path.exists():
        write_json_lines(path, [row for file in files for row in _stories(open_play(file))])
    return path


def _stories(play: Play) -> Iterator[dict[str, Any]]:
    for _, scene in play.scenes():
        people = Counter(display_name(name) for speech in scene.speeches for name in speech.speakers)
        story = "\n".join(_told(scene))
        if not story or not people:
            continue
        names = [name for name, _ in people.most_common(SHOWN)]
        setting = _setting(scene)
        meeting = f"{_listed(names)} {'meet' if len(names) > 1 else 'is alone'}."
        yield {
            "prompt": f"[ WP ] {setting} {meeting}".strip() if setting else f"[ WP ] {meeting}",
            "story": story,
            "characters": names,
            "setting": setting,
        }


def _setting(scene: Scene) -> str:
    """Return the place that a heading names: "Elsinore. A platform before the castle."."""
    head, _, place = scene.title.partition(". ")
    return place.strip() if head.upper().startswith("SCENE") else ""


def _told(scene: Scene) -> Iterator[str]:
    """Yield the scene's paragraphs: what people say, after their names, and stage directions as sentences."""
    for item in scene.items:
        if isinstance(item, StageDirection):
            yield _sentence(item.text)
        elif isinstance(item, Speech) and item.lines:
            speaker = " and ".join(map(display_name, item.speakers))
            words = " ".join(item.lines)
            yield f'{speaker} said, "{words}"' if speaker else f'"{words}"'


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
