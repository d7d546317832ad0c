"""What the prompt of a speech shows: the scene's heading, and what was said just before."""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.data.plays.plays import Act, Scene, Speech, StageDirection


def heading(act: Act, scene: Scene) -> str:
    """Return "ACT I, SCENE I. Elsinore. A platform before the castle."."""
    return ", ".join(filter(None, (act.title, scene.title)))


def context(before: Sequence[Speech | StageDirection], n: int) -> list[str]:
    """Return the last `n` speeches of a scene so far, with the stage directions from the first of them on.

    If the scene has at most `n` speeches so far, its opening stage directions are included.
    """
    indices = [index for index, item in enumerate(before) if isinstance(item, Speech)]
    start = 0 if len(indices) <= n else indices[-n] if n else len(before)
    while n == 0 and start and isinstance(before[start - 1], StageDirection):
        start -= 1
    return [_spoken(item) if isinstance(item, Speech) else f"[{item.text}]" for item in before[start:]]


def _spoken(speech: Speech) -> str:
    text = "\n".join(part if isinstance(part, str) else f"[{part.text}]" for part in speech.parts)
    return f"{speech.speaker}: {text}" if speech.speaker else text
