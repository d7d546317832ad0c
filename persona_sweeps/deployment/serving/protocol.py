"""Requests and answers of the OpenAI API, as far as a character needs them; what would be ignored is refused."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from persona_sweeps.deployment.conversation import Decoding
from persona_sweeps.deployment.serving.errors import ApiError

REFUSED = ("tools", "functions", "tool_choice", "function_call", "logprobs", "top_logprobs", "logit_bias", "suffix",
           "best_of", "echo", "audio", "modalities", "frequency_penalty", "presence_penalty")  # fmt: skip
"""keys that change what is answered, and that nothing here would heed; empty ones are let pass"""
ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}


class _Request(BaseModel):
    """What both endpoints take."""

    model_config = ConfigDict(extra="allow", strict=False)

    model: str
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    n: int = Field(default=1, ge=1, le=16)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.8, ge=0, le=10)
    top_p: float = Field(default=0.95, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with how many tokens it took."""
        return bool((self.stream_options or {}).get("include_usage"))

    def stops(self) -> list[str]:
        """Return the texts at which answers end."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])

    def most_tokens(self) -> int | None:
        """Return the most tokens that the client wants."""
        return self.max_tokens

    def decoding(self, limit: int) -> Decoding:
        """Return how answers are chosen. Raises `ApiError` for what isn't heeded here."""
        for key in REFUSED:
            if (self.model_extra or {}).get(key):
                raise ApiError(400, f"{key} isn't heeded here: leave it out.", "unsupported_parameter", key)
        if self.response_format is not None and self.response_format.get("type") != "text":
            raise ApiError(400, "response_format can only be text here.", "unsupported_parameter", "response_format")
        if not all(self.stops()) or len(self.stops()) > 16:
            raise ApiError(400, "stop takes up to 16 texts, none of them empty.", "invalid_value", "stop")
        most = self.most_tokens() or limit
        if most > limit:
            raise ApiError(400, f"max_tokens={most} is more than this server's {limit}.", "invalid_value", "max_tokens")
        return Decoding(most, self.temperature, self.top_p)


class ChatMessage(BaseModel):
    """One message; its content is a text, or parts that are texts."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[dict[str, Any]]

    def plain(self) -> dict[str, str]:
        """Return role and text. Raises `ApiError` for a role or a part that no template here has."""
        if self.role not in ROLES:
            raise ApiError(400, f"role={self.role} is none of {', '.join(ROLES)}.", "invalid_value", "messages")
        if isinstance(self.content, str):
            return {"role": ROLES[self.role], "content": self.content}
        if any(part.get("type") != "text" for part in self.content):
            raise ApiError(400, "Only text can be read here.", "unsupported_value", "messages")
        return {"role": ROLES[self.role], "content": "".join(str(part.get("text", "")) for part in self.content)}


class ChatRequest(_Request):
    """`POST /v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    max_completion_tokens: int | None = Field(default=None, ge=1)

    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def conversation(self) -> list[dict[str, str]]:
        """Return the messages. Raises `ApiError`."""
        return [message.plain() for message in self.messages]


class CompletionRequest(_Request):
    """`POST /v1/completions`: a text is gone on with, without any template."""

    prompt: str | list[str]

    def prompts(self) -> list[str]:
        """Return the texts. Raises `ApiError`."""
        found = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if not 1 <= len(found) <= 64:
            raise ApiError(400, "prompt takes 1 to 64 texts.", "invalid_value", "prompt")
        return found


class Shape(BaseModel):
    """How one endpoint's answers are laid out."""

    kind: Literal["chat.completion", "text_completion"]
    prefix: str

    def choice(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        """Return a whole answer."""
        if self.kind == "text_completion":
            return {"index": index, "text": text, "finish_reason": reason, "logprobs": None}
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "finish_reason": reason, "logprobs": None}

    def piece(self, index: int, text: str, reason: str | None = None, first: bool = False) -> dict[str, Any]:
        """Return a piece of an answer; the last one has the reason and no text."""
        if self.kind == "text_completion":
            return {"index": index, "text": text, "finish_reason": reason, "logprobs": None}
        delta: dict[str, Any] = {"role": "assistant"} if first else {}
        if reason is None:
            delta["content"] = text
        return {"index": index, "delta": delta, "finish_reason": reason, "logprobs": None}

    @property
    def streamed(self) -> str:
        """What a piece is called."""
        return "chat.completion.chunk" if self.kind == "chat.completion" else self.kind


CHAT = Shape(kind="chat.completion", prefix="chatcmpl")
COMPLETION = Shape(kind="text_completion", prefix="cmpl")
