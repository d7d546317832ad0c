"""Choose the false replies that a true one is ranked among: of like length, and never from training scenes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.splits import spread

if TYPE_CHECKING:
    from persona_sweeps.data.run_data import RunData

CANDIDATES = 10
"""replies that are ranked together, the true one among them"""
FALSE_SETS = ("context", "who")
"""`context`: of the same character, in other scenes; `who`: of other characters of the same works"""
POOL = 2
"""false replies are drawn from so many times the number needed, those nearest in length"""


def candidates(data: RunData, items: int | None) -> list[Example]:
    """Return each context with its true reply, then with nine false ones of each set that has so many.

    `metadata` has the `item` (the id of the held-out example, which is also that of its true reply) and the `set`:
    true, context or who. Where the data bring their own false replies (`metadata["negatives"]`), the first nine of them
    are the set `context`. At most `items` contexts, taken from the scenes in turn.
    """
    held_out = data.corpus.eval
    chosen = [held_out[index] for index in spread([example.cluster for example in held_out], items)]
    lines = [_Line(line, _plain(line.completion), _size(line)) for line in data.all_characters.held_out]
    replies = []
    for example in chosen:
        replies.append(replace(example, metadata={"item": example.id, "set": "true"}))
        for kind in FALSE_SETS:
            texts = _given(example) if kind == "context" and "negatives" in example.metadata else None
            texts = _drawn(example, kind, lines) if texts is None else texts
            replies += [_false(example, kind, number, text) for number, text in enumerate(texts)]
    return replies


def without_context(replies: Sequence[Example]) -> list[Example]:
    """Return each different reply once, behind the persona card alone."""
    found = {}
    for reply in replies:
        system = () if isinstance(reply.prompt, str) else tuple(m for m in reply.prompt if m.role == "system")
        prompt = "" if isinstance(reply.prompt, str) else (*system, Message("user", ""))
        found[prior_id(reply)] = replace(reply, id=prior_id(reply), prompt=prompt, cluster="", metadata={})
    return list(found.values())


def prior_id(reply: Example) -> str:
    """Return the id of a reply without its context: of its text, its character and what the card says."""
    system = [] if isinstance(reply.prompt, str) else [m.content for m in reply.prompt if m.role == "system"]
    return hashlib.sha256("\0".join([reply.persona or "", reply.completion, *system]).encode()).hexdigest()[:16]


def _given(example: Example) -> list[str] | None:
    """Return nine of the false replies that the data bring; None if these are fewer."""
    given = [str(text) for text in example.metadata["negatives"]][: CANDIDATES - 1]
    return given if len(given) == CANDIDATES - 1 else None


class _Line(NamedTuple):
    """A line that may be a false reply, with what is compared of it."""

    example: Example
    plain: str
    size: float


def _drawn(example: Example, kind: str, lines: Sequence[_Line]) -> list[str]:
    """Return nine different texts of like length, by a draw that depends on the ids alone; none if there are fewer."""
    plain, size = _plain(example.completion), _size(example)
    pool: dict[str, _Line] = {}
    for line in lines:
        same = line.example.persona == example.persona
        wanted = same and line.example.cluster != example.cluster if kind == "context" else not same
        if wanted and line.plain != plain:
            pool.setdefault(line.plain, line)
    by_size = sorted(pool.values(), key=lambda line: (abs(line.size - size), line.example.id))
    drawn = sorted(by_size[: POOL * (CANDIDATES - 1)], key=lambda line: _draw(example, line.example))[: CANDIDATES - 1]
    return [line.example.completion for line in drawn] if len(drawn) == CANDIDATES - 1 else []


def _size(line: Example) -> float:
    """Return the logarithm of a reply's length in bytes, since lengths are compared by their ratio."""
    return math.log(len(line.completion.encode()) or 1)


def _draw(example: Example, line: Example) -> bytes:
    return hashlib.sha256(f"ranking\0{example.id}\0{line.id}".encode()).digest()


def _false(example: Example, kind: str, number: int, text: str) -> Example:
    metadata = {"item": example.id, "set": kind}
    return replace(example, id=f"{example.id}|{kind}-{number + 1}", completion=text, metadata=metadata)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
