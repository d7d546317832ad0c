"""llama.cpp with a GGUF file loaded: its tokens, its greedy answers, and the likelihoods that it gives tokens."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

from persona_sweeps.errors import UserError

PROCESS = "persona_sweeps.deployment.gguf.llama_process"
FORCED = 1e6
"""added to the logit of the token that must come next: what is reported is the probability before it"""
STAMP = re.compile(r"^[\d.]+ [A-Z] ")
"""before each line that llama.cpp logs"""
SECONDS = 600
"""longest wait for one answer"""


def require_llama() -> str:
    """Return the name of the llama.cpp that checks files. Raises `UserError` if there is none."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise UserError("GGUF files are checked in llama.cpp before they count: pip install 'persona-sweeps[gguf]'.")
    return f"llama.cpp of xllamacpp {version('xllamacpp')}"


class Llama:
    """A GGUF file in llama.cpp, as a context manager; `context` is the most tokens that it reads."""

    def __init__(self, file: Path, context: int, adapter: Path | None = None) -> None:
        """Load a file, and an adapter's file on it. Raises `UserError` with what llama.cpp says against it."""
        words = [str(file), str(context), *([str(adapter)] if adapter else [])]
        self._said: IO[str] = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROCESS, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        if not address:
            self._process.wait()
            raise UserError(f"llama.cpp can't load {adapter or file}: {self._complaint()}")
        at = urlsplit(address)
        self._connection = HTTPConnection(at.hostname or "127.0.0.1", at.port, timeout=SECONDS)

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def prompt_tokens(self, messages: Sequence[dict[str, str]] | str) -> list[int]:
        """Return the tokens of chat messages by the file's own template and tokenizer, or those of a text."""
        text = messages if isinstance(messages, str) else self._ask("/apply-template", messages=messages)["prompt"]
        found: list[int] = self._ask("/tokenize", content=text, add_special=True, parse_special=True)["tokens"]
        return found

    def greedy(self, prompt: Sequence[int], most: int) -> list[int]:
        """Return the likeliest tokens after a prompt, at most so many."""
        found: list[int] = self._complete(prompt, most)["tokens"]
        return found

    def nll(self, tokens: Sequence[int], first: int) -> float:
        """Return the negative log-likelihood, in nats, of a text's tokens from the index `first` on."""
        return sum(self._surprise(tokens[:at], tokens[at]) for at in range(first, len(tokens)))

    def _surprise(self, before: Sequence[int], token: int) -> float:
        """Return the negative log-likelihood of the next token."""
        reported = self._complete(before, 1, logit_bias=[[token, FORCED]], n_probs=1)["completion_probabilities"][0]
        if reported["id"] != token:
            raise UserError(f"llama.cpp reports token {reported['id']} where {token} was asked for.")
        return -float(reported["logprob"])

    def _complete(self, prompt: Sequence[int], most: int, **options: Any) -> dict[str, Any]:
        return self._ask(
            "/completion",
            prompt=list(prompt),
            n_predict=most,
            temperature=0,
            cache_prompt=True,
            return_tokens=True,
            **options,
        )

    def _ask(self, path: str, **body: Any) -> dict[str, Any]:
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, ValueError, HTTPException) as error:
            self._process.poll()
            raise UserError(f"llama.cpp gave no answer ({error}): {self._complaint()}") from None
        if response.status != 200:
            raise UserError(f"llama.cpp refuses {path}: {answer.get('error', answer)}")
        return answer

    def _complaint(self) -> str:
        """Return what it said last that sounds like an error, or its last line."""
        self._said.seek(0)
        lines = [STAMP.sub("", line).strip() for line in self._said if line.strip()]
        wrong = [
            line for line in lines if any(word in line.lower() for word in ("error", "failed", "assert", "invalid"))
        ]
        return (wrong or lines or ["it says nothing"])[0][-300:]
