"""Write a conversation as text, with the quirks of chat templates evened out.

Two classes have one interface: `ChatTemplate` uses the tokenizer's own template, `PlainTemplate` serves base models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from persona_sweeps.data.example import Message
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from jinja2 import TemplateError
    from transformers import PreTrainedTokenizerBase

PLAIN_VERSION = "plain-2"
RAW_VERSION = "raw-1"
PINNED_DAY = date(2026, 1, 1)
"""the date for templates that write today's date, so that a prompt is the same on every day"""

PINNED: dict[str, Any] = {
    "enable_thinking": False,
    "date_string": PINNED_DAY.strftime("%d %b %Y"),
    "strftime_now": PINNED_DAY.strftime,
}
"""variables that a template gets if it mentions them: no thinking (Qwen3), a fixed date (Llama 3, SmolLM3)"""

_PROBE = "a probe of where answers end"


class Template(Protocol):
    """Writes messages as text."""

    fingerprint: str
    begins_plain: bool

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the messages as text, up to the start of the assistant's answer."""

    def text(self, prompt: str) -> str:
        """Return a prompt that is text, as it stands before its completion; only plain templates are asked."""

    def few_shot(self, shots: Sequence[tuple[Sequence[Message], str]], messages: Sequence[Message]) -> str:
        """Return a prompt behind solved ones, each given as its messages and its answer.

        The prompt's system message comes once, at the start. If a solved prompt has a different one, its text goes in
        front of that prompt's first user message.
        """

    def ending(self) -> str:
        """Return the text after the assistant's answer; "" if there is none."""

    def own_system(self) -> str:
        """Return the system message that is written where a conversation has none; "" if none is."""


def template_of(tokenizer: PreTrainedTokenizerBase) -> Template:
    """Return the tokenizer's own chat template, or the plain one if it has none."""
    return ChatTemplate(tokenizer) if tokenizer.chat_template else PlainTemplate()


class PlainTemplate:
    """A template for base models: the system text, a blank line, then each user's text and a newline.

    Answers stand as they are, as they do where they are learned; later system messages have a label: `System: …`.
    """

    begins_plain = True
    fingerprint = hashlib.sha256(PLAIN_VERSION.encode()).hexdigest()

    def prompt(self, messages: Sequence[Message]) -> str:
        pieces = []
        for index, message in enumerate(messages):
            if message.role == "system" and index == 0:
                pieces.append(f"{message.content}\n\n")
            elif message.role in ("user", "assistant"):
                pieces.append(f"{message.content}\n")
            else:
                pieces.append(f"{message.role.capitalize()}: {message.content}\n")
        return "".join(pieces)

    def text(self, prompt: str) -> str:
        return prompt

    def few_shot(self, shots: Sequence[tuple[Sequence[Message], str]], messages: Sequence[Message]) -> str:
        system, turns = split_system(messages)
        solved = [f"{self.prompt(without_system(before, system))}{answer}\n\n" for before, answer in shots]
        return "".join([self.prompt(system), *solved, self.prompt(turns)])

    def ending(self) -> str:
        return ""

    def own_system(self) -> str:
        return ""


class RawTemplate(PlainTemplate):
    """The plain template for any model, instruct models too, with a line break between a prompt and its completion."""

    fingerprint = hashlib.sha256(RAW_VERSION.encode()).hexdigest()

    def text(self, prompt: str) -> str:
        return f"{prompt}\n" if prompt else ""


class ChatTemplate:
    """The tokenizer's template, with fixed variables, and with system messages that always count.

    If the template refuses or ignores system messages (Gemma 2), their text goes in front of the first user message.
    """

    begins_plain = False

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        text = str(tokenizer.get_chat_template())
        self._pinned = {name: value for name, value in PINNED.items() if name in text}
        self._takes_system = self._writes_system()
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def text(self, prompt: str) -> str:
        return self.prompt([Message("user", prompt)])

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

    def own_system(self) -> str:
        question = Message("user", "a question")
        without = self.prompt([question]).partition(question.content)[0]
        given = self.prompt([Message("system", _PROBE), question]).partition(question.content)[0]
        before, _, after = given.partition(_PROBE)
        if len(without) < len(before + after) or not (without.startswith(before) and without.endswith(after)):
            return ""
        return without[len(before) : len(without) - len(after)].strip()

    def _writes_system(self) -> bool:
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
            raise DataError(self._sentence(error, messages)) from None

    def _sentence(self, error: TemplateError, messages: Sequence[Message]) -> str:
        """Say whether a template refuses messages, as it may, or is broken."""
        from jinja2 import TemplateRuntimeError, TemplateSyntaxError

        said = str(error).rstrip(".")
        if isinstance(error, TemplateSyntaxError | TemplateRuntimeError):
            line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
            return (
                f"The chat template of {self._tokenizer.name_or_path or 'the model'}{line} is broken: {said}. Mend "
                "chat_template.jinja (or chat_template in tokenizer_config.json), or leave it: dataset.template=raw."
            )
        roles = ", ".join(message.role for message in messages)
        return f"The model's chat template refuses messages by {roles}: {said}."


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """Move the text of a leading system message into the first user message, before a blank line."""
    if not messages or messages[0].role != "system":
        return list(messages)
    system, first, *rest = messages
    return [Message(first.role, f"{system.content}\n\n{first.content}"), *rest]


def split_system(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return a conversation's leading system message, if it has one, and the rest."""
    leading = 1 if messages and messages[0].role == "system" else 0
    return list(messages[:leading]), list(messages[leading:])


def without_system(messages: Sequence[Message], written: Sequence[Message]) -> list[Message]:
    """Drop a conversation's system message if `written` has it, or else move it into the first user message."""
    system, turns = split_system(messages)
    return turns if system == list(written) else merge_system(messages)
