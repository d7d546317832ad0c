"""Asks a model behind an OpenAI-compatible endpoint (POST …/chat/completions); the key is sent and never shown."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from persona_sweeps.errors import UserError

_LARGEST = 1 << 20
_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_LONGEST_WAIT = 60.0
Messages = Sequence[Mapping[str, str]]


class NoAnswer(Exception):
    """The endpoint gave no answer, however often it was asked; the message says why, without the key."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how patiently: `retries` more times, waiting `backoff` · 2ⁿ seconds, jittered, between them."""

    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    retries: int = 4
    backoff: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"--base-url {self.base_url!r} is no http(s) address, such as http://localhost:8000/v1.")
        if parts.username or parts.password or parts.query:
            raise UserError("--base-url may hold no password and no query: give the key in an environment variable.")

    def request(self, messages: Messages) -> dict[str, Any]:
        """Return the body of a request."""
        return {"model": self.model, "messages": list(messages), "temperature": 0}

    def ask(self, messages: Messages) -> str:
        """Return the model's reply.

        Raises `NoAnswer` after the last retry, and `UserError` for what no retry mends, such as a refused key.
        """
        trouble = ""
        for attempt in range(self.retries + 1):
            if attempt:
                self.sleep(min(_LONGEST_WAIT, self.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)))
            try:
                return self._once(messages)
            except urllib.error.HTTPError as error:
                trouble = self._clean(f"HTTP {error.code} {error.reason}: {_said(error)}")
                if error.code not in _AGAIN:
                    raise UserError(f"The judge at {self.base_url} refuses: {trouble}.") from None
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                trouble = self._clean(f"{type(error).__name__} {error}")
        raise NoAnswer(f"no answer in {self.retries + 1} attempts; the last: {trouble}")

    def _once(self, messages: Messages) -> str:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(
            f"{self.base_url.rstrip('/')}/chat/completions",
            data=json.dumps(self.request(messages)).encode(),
            headers=headers,
        )
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.timeout) as response:
            content = json.loads(response.read(_LARGEST))["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise TypeError("the reply has no text")
        return content

    def _clean(self, text: str) -> str:
        """Return text on one line, short, without the key, which a server may echo."""
        hidden = text.replace(self.key, "***") if self.key else text
        return "".join(c for c in " ".join(hidden.split()) if c.isprintable())[:200]


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(2000).decode("utf-8", "replace")
    except OSError:
        return ""
