"""The types that every data source produces: `Message`, `Example` and `Corpus`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt and the completion that a model should learn.

    `prompt` is text, or chat messages that end with a user's message. `cluster` names the scene, episode or dialogue
    of the example; splits and bootstraps never divide one. `id` is unique within its corpus, and doesn't depend on
    which other examples are selected. `dialogue` is the same for the turns of one dialogue, each of which is an example
    whose prompt holds the turns before it: a batch keeps them together, so that the context is computed once.
    """

    id: str
    prompt: str | tuple[Message, ...]
    completion: str
    cluster: str
    persona: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    dialogue: str | None = None

    @property
    def prompt_text(self) -> str:
        """The content of the prompt, without any model's template."""
        return self.prompt if isinstance(self.prompt, str) else "\n\n".join(m.content for m in self.prompt)


@dataclass(frozen=True)
class Corpus:
    """The examples of a source: the parts of its split, and how many it left out, by reason.

    `fingerprint` is the SHA-256 (hex) of the source files' bytes. `train_fingerprint` and `eval_fingerprint` hash the
    examples themselves, whatever their source. `validation` decides when training stops and which checkpoint is kept;
    it is empty where nothing depends on it. `prompts` are what texts are generated for; empty: `eval`.
    """

    train: Sequence[Example]
    eval: Sequence[Example]
    fingerprint: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    validation: Sequence[Example] = ()
    prompts: Sequence[Example] = ()
    notes: tuple[str, ...] = ()
    """sentences for the user on how the files were read"""

    @cached_property
    def train_fingerprint(self) -> str:
        """SHA-256 (hex) of the content of what training reads, in order."""
        train = examples_sha256(self.train)
        return _joined(train, examples_sha256(self.validation)) if self.validation else train

    @cached_property
    def eval_fingerprint(self) -> str:
        """SHA-256 (hex) of the content of what is evaluated, in order."""
        held_out = examples_sha256(self.eval)
        return _joined(held_out, examples_sha256(self.prompts)) if self.prompts else held_out


def _joined(*hashes: str) -> str:
    return hashlib.sha256("\0".join(hashes).encode()).hexdigest()


def content_line(example: Example) -> bytes:
    """Return what an example says as a line of JSON: all of it that can change what is trained."""
    prompt = example.prompt
    prompt_content = prompt if isinstance(prompt, str) else [[message.role, message.content] for message in prompt]
    content = [example.id, prompt_content, example.completion, example.cluster, example.persona]
    if example.dialogue is not None:
        content.append(example.dialogue)
    return json.dumps(content).encode() + b"\n"


def example_of(content: bytes, metadata: Mapping[str, Any]) -> Example:
    """Return the example of a line that `content_line` made."""
    name, prompt, completion, cluster, persona, *dialogue = json.loads(content)
    if not isinstance(prompt, str):
        prompt = tuple(Message(role, text) for role, text in prompt)
    return Example(name, prompt, completion, cluster, persona, metadata, dialogue[0] if dialogue else None)


def examples_sha256(examples: Sequence[Example]) -> str:
    """Return the SHA-256 (hex) of what examples say, in order."""
    digest = hashlib.sha256()
    spooled = getattr(examples, "content_lines", None)
    for line in spooled() if spooled else map(content_line, examples):
        digest.update(line)
    return digest.hexdigest()
