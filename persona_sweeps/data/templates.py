"""Chat templates, with their quirks evened out: what a conversation looks like as text.

Two kinds with one interface: `ChatTemplate` asks the tokenizer's own template, `PlainTemplate` serves base models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from persona_sweeps.data.example import Message
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_VERSION = "plain-1"
PINNED_DAY = date(2026, 1, 1)
"""The day that templates which write today's date are told, so that a prompt is the same on every day."""

PINNED: dict[str, Any] = {
    "enable_thinking": False,
    "date_string": PINNED_DAY.strftime("%d %b %Y"),
    "strftime_now": PINNED_DAY.strftime,
}
"""Variables that a template gets if it mentions them: no thinking (Qwen3), no clock (Llama 3, SmolLM3)."""

_PROBE = "a probe of where answers end"


class Template(Protocol):
    """How messages become text, and the text that follows an assistant's turn ("" if nothing does)."""

    fingerprint: str
    begins_plain: bool

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the messages as text, up to where the assistant's answer begins."""

    def few_shot(self, shots: Sequence[tuple[Sequence[Message], str]], messages: Sequence[Message]) -> str:
        """Return a prompt that begins with solved ones: messages, each with its answer.

        What the first messages have as system message is said once; a solved one's own, where it is another, stands
        before its first user message.
        """

    def ending(self) -> str:
        """Return what is written after the assistant's answer."""


def template_of(tokenizer: PreTrainedTokenizerBase) -> Template:
    """Return the tokenizer's own chat template, or the plain one if it has none."""
    return ChatTemplate(tokenizer) if tokenizer.chat_template else PlainTemplate()


class PlainTemplate:
    """For base models: the system text, a blank line, then each user's text and a newline.

    Messages by the assistant are labelled, `Assistant: …`, and so are later system messages.
    """

    begins_plain = True
    fingerprint = hashlib.sha256(PLAIN_VERSION.encode()).hexdigest()

    def prompt(self, messages: Sequence[Message]) -> str:
        pieces = []
        for place, message in enumerate(messages):
            if message.role == "system" and place == 0:
                pieces.append(f"{message.content}\n\n")
            elif message.role == "user":
                pieces.append(f"{message.content}\n")
            else:
                pieces.append(f"{message.role.capitalize()}: {message.content}\n")
        return "".join(pieces)

    def few_shot(self, shots: Sequence[tuple[Sequence[Message], str]], messages: Sequence[Message]) -> str:
        system, turns = split_system(messages)
        solved = [f"{self.prompt(without_system(before, system))}{answer}\n\n" for before, answer in shots]
        return "".join([self.prompt(system), *solved, self.prompt(turns)])

    def ending(self) -> str:
        return ""


class ChatTemplate:
    """The tokenizer's template, with its variables pinned and a system message that always arrives.

    Where the template refuses or ignores system messages (Gemma 2), their text goes in front of the first user's.
    """

    begins_plain = False

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        text = str(tokenizer.get_chat_template())
        self._pinned = {name: value for name, value in PINNED.items() if name in text}
        self._takes_system = self._system_arrives()
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def prompt(self, messages: Sequence[Message]) -> str:
        turns = messages if self._takes_system else merge_system(messages)
        return self._render(turns, add_generation_prompt=True)

    def few_shot(self, shots: Sequence[tuple[Sequence[Message], str]], messages: Sequence[Message]) -> str:
        system, turns = split_system(messages)
        solved = [
            message
            for before, answer in shots
            for message in (*without_system(before, system), Message("assistant", answer))
        ]
        return self.prompt([*system, *solved, *turns])

    def ending(self) -> str:
        rendered = self._render([Message("user", "a question"), Message("assistant", _PROBE)])
        return rendered.rpartition(_PROBE)[2]

    def _system_arrives(self) -> bool:
        try:
            return _PROBE in self._render([Message("system", _PROBE), Message("user", "a question")])
        except DataError:
            return False

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        from jinja2 import TemplateError

        conversation = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    conversation, tokenize=False, add_generation_prompt=add_generation_prompt, **self._pinned
                )
            )
        except TemplateError as error:
            roles = ", ".join(message.role for message in messages)
            raise DataError(f"The model's chat template refuses messages by {roles}: {error}.") from None


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """Put the text of a leading system message in front of the first user message, with a blank line between."""
    if not messages or messages[0].role != "system":
        return list(messages)
    system, first, *rest = messages
    return [Message(first.role, f"{system.content}\n\n{first.content}"), *rest]


def split_system(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return the system message that leads a conversation, if one does, and the rest."""
    leading = 1 if messages and messages[0].role == "system" else 0
    return list(messages[:leading]), list(messages[leading:])


def without_system(messages: Sequence[Message], said: Sequence[Message]) -> list[Message]:
    """Return a conversation without its system message where `said` has it, else with it in the first user message."""
    system, turns = split_system(messages)
    return turns if system == list(said) else merge_system(messages)
