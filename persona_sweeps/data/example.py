"""The words that every data source speaks: `Message`, `Example` and `Corpus`."""

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
    """One prompt and the completion that a model should learn to give.

    `prompt` is text, or chat messages that end with a user's. `cluster` names the scene, episode or dialogue
    that the example comes from: splits and bootstraps never cut through one. `id` is unique within its corpus and
    stays the same whatever other examples are asked for.
    """

    id: str
    prompt: str | tuple[Message, ...]
    completion: str
    cluster: str
    persona: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt_text(self) -> str:
        """What the prompt says, without any model's template."""
        return self.prompt if isinstance(self.prompt, str) else "\n\n".join(m.content for m in self.prompt)


@dataclass(frozen=True)
class Corpus:
    """What a source gives a run: the two sides of its split, and what it left out, counted by reason.

    `fingerprint` is the SHA-256 (hex) of the source bytes: where the examples come from. What they are, wherever they
    come from, is in the fingerprints of the two sides.
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
        said = prompt if isinstance(prompt, str) else [[message.role, message.content] for message in prompt]
        content = [example.id, said, example.completion, example.cluster, example.persona]
        digest.update(json.dumps(content).encode() + b"\n")
    return digest.hexdigest()
