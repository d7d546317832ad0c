"""Ollama's Modelfile: the GGUF file, the persona card, and the texts at which answers end."""

from __future__ import annotations

from collections.abc import Sequence

QUOTES = '"' * 3


def modelfile(file: str, card: str | None, stops: Sequence[str], context: int, adapter: str | None = None) -> str:
    """Return the text of a Modelfile; `file` and `adapter` are names beside it.

    Ollama knows the chat template from the GGUF file itself.
    """
    lines = [f"FROM ./{file}"]
    if adapter:
        lines.append(f"ADAPTER ./{adapter}")
    if card:
        lines.append("SYSTEM " + QUOTES + card.replace(QUOTES, "'''") + QUOTES)
    lines += [f"PARAMETER num_ctx {context}", "PARAMETER temperature 0.8", "PARAMETER top_p 0.95"]
    lines += [f"PARAMETER stop {quoted(stop)}" for stop in stops]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Return a text as a value; Ollama reads no escapes, and takes line breaks and quotes between three quotes."""
    return f"{QUOTES}{text}{QUOTES}" if '"' in text or "\n" in text else f'"{text}"'
