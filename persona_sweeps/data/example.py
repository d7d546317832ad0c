"""The types that every data source produces: `Message`, `Example` and `Corpus`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
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
    which other examples are selected.
    """

    id: str
    prompt: str | tuple[Message, ...]
    completion: str
    cluster: str
    persona: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt_text(self) -> str:
        """The content of the prompt, without any model's template."""
        return self.prompt if isinstance(self.prompt, str) else "\n\n".join(m.content for m in self.prompt)


@dataclass(frozen=True)
class Corpus:
    """The examples of a source: the two sides of its split, and how many it left out, by reason.

    `fingerprint` is the SHA-256 (hex) of the source files' bytes. `train_fingerprint` and `eval_fingerprint` hash the
    examples themselves, whatever their source.
    """

    train: tuple[Example, ...]
    eval: tuple[Example, ...]
    fingerprint: str
    dropped: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def train_fingerprint(self) -> str:
        """SHA-256 (hex) of the content of the training examples, in order."""
        return _content_sha256(self.train)

    @cached_property
    def eval_fingerprint(self) -> str:
        """SHA-256 (hex) of the content of the held-out examples, in order."""
        return _content_sha256(self.eval)


def _content_sha256(examples: Iterable[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        prompt = example.prompt
        prompt_content = prompt if isinstance(prompt, str) else [[message.role, message.content] for message in prompt]
        content = [example.id, prompt_content, example.completion, example.cluster, example.persona]
        digest.update(json.dumps(content).encode() + b"\n")
    return digest.hexdigest()
