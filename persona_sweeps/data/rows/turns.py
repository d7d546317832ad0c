"""Make examples of a conversation: each turn of a character, behind the turns before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.rows.messages import Turn

OPENING = "[The dialogue begins.]"
"""the user's message before a character that speaks first, since chat templates begin with the user"""
NO_TURN = "dialogue without a turn of the character"
UNANSWERED = "message that ends a dialogue without an answer"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation with what its row says of it. `persona` is whose turns those of a nameless assistant are."""

    id: str
    cluster: str
    persona: str | None
    metadata: Mapping[str, Any]
    turns: Sequence[Turn]


def examples_of_turns(dialogue: Dialogue, personas: Sequence[str], last: bool, dropped: Counter[str]) -> list[Example]:
    """Return an example for each turn of a character, or for its last one alone.

    A character is whoever `personas` names. Without a name it is each assistant, and where there is none, each named
    speaker without a role: then a dialogue may be learned from every side. In a character's examples its own turns are
    the assistant's, all others the user's, after `NAME: ` if the others are several. Counts in `dropped` what gives no
    example.
    """
    turns = [turn for turn in dialogue.turns if turn.role != "system"]
    wanted = {name.casefold() for name in personas}
    speakers = dict.fromkeys(_speaker(turn, dialogue.persona) for turn in turns if _may_learn(turn, dialogue, wanted))
    if not speakers:
        if not wanted:
            dropped[NO_TURN] += 1
        return []
    examples: list[Example] = []
    several = len(speakers) > 1
    for speaker in speakers:
        of_speaker = list(_of_speaker(dialogue, speaker, several))
        examples += of_speaker[-1:] if last else of_speaker
    if _speaker(turns[-1], dialogue.persona) not in speakers:
        dropped[UNANSWERED] += 1
    return examples


def _may_learn(turn: Turn, dialogue: Dialogue, wanted: set[str]) -> bool:
    if wanted:
        named = turn.name or (dialogue.persona if turn.role == "assistant" else None)
        return named is not None and named.casefold() in wanted
    return turn.role == ("assistant" if any(turn.role == "assistant" for turn in dialogue.turns) else "")


def _speaker(turn: Turn, persona: str | None) -> tuple[str, str | None]:
    """Return who speaks: what is the same for all turns of one character."""
    name = turn.name or (persona if turn.role == "assistant" else None)
    return ("", name.casefold()) if name else (turn.role, None)


def _of_speaker(dialogue: Dialogue, speaker: tuple[str, str | None], several: bool) -> Iterator[Example]:
    def own(turn: Turn) -> bool:
        return turn.role != "system" and _speaker(turn, dialogue.persona) == speaker

    others = {_speaker(turn, dialogue.persona) for turn in dialogue.turns if turn.role != "system" and not own(turn)}
    prefixed = len(others) > 1
    name = next(turn.name for turn in dialogue.turns if own(turn)) or dialogue.persona
    before: list[Message] = []
    for turn in _joined(dialogue.turns, own):
        if own(turn):
            yield Example(
                id=f"{dialogue.id}/turn-{turn.number}",
                prompt=tuple(_begun(before)),
                completion=turn.text,
                cluster=dialogue.cluster,
                persona=name,
                metadata=dialogue.metadata,
                dialogue=f"{dialogue.id}/{name}" if several else dialogue.id,
            )
        _append(before, _message(turn, own(turn), prefixed))


def _joined(turns: Sequence[Turn], own: Callable[[Turn], bool]) -> Iterator[Turn]:
    """Join turns of the character that follow each other, because its name or role is written in two ways."""
    for of_character, run in groupby(turns, own):
        if of_character:
            first, *more = run
            yield replace(first, text="\n".join([first.text, *(turn.text for turn in more)]))
        else:
            yield from run


def _message(turn: Turn, own: bool, prefixed: bool) -> Message:
    if own:
        return Message("assistant", turn.text)
    if turn.role == "system":
        return Message("system", turn.text)
    name = turn.name or turn.role.capitalize()
    return Message("user", f"{name}: {turn.text}" if prefixed else turn.text)


def _append(messages: list[Message], message: Message) -> None:
    """Add a message so that roles alternate: after the first turn, a system message is a note in the user's."""
    if message.role == "system":
        if all(earlier.role == "system" for earlier in messages):
            joined = [earlier.content for earlier in messages]
            messages[:] = [Message("system", "\n\n".join([*joined, message.content]))]
            return
        message = Message("user", f"[{message.content}]")
    if messages and messages[-1].role == message.role:
        messages[-1] = Message(message.role, f"{messages[-1].content}\n{message.content}")
    else:
        messages.append(message)


def _begun(messages: Sequence[Message]) -> list[Message]:
    """Return a prompt that begins with the user, after the system message, and ends with the user."""
    system = [message for message in messages[:1] if message.role == "system"]
    turns = list(messages[len(system) :])
    return [*system, *([] if turns and turns[0].role == "user" else [Message("user", OPENING)]), *turns]
