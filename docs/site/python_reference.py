"""Write the reference of the public Python interface, from its docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import persona_sweeps
from persona_sweeps.deployment.predictor import Predictor

WIDTH = 80
SHOWN = ("card", "reply", "replies", "nll", "nlls")
"""methods of a loaded predictor"""


def page() -> str:
    """Return the page in Markdown."""
    parts = [
        "# Python\n",
        "Three functions run a sweep, read what was measured, and load what was trained. All else of the package may "
        "change without notice.\n",
        *(_function(f"persona_sweeps.{name}", getattr(persona_sweeps, name)) for name in ("sweep", "load_runs")),
        _function("persona_sweeps.load_predictor", persona_sweeps.load_predictor),
        "## What a loaded predictor can do\n",
        *(_function(name, getattr(Predictor, name), "###") for name in SHOWN),
    ]
    return "\n".join(parts)


def _function(name: str, function: Callable[..., object], level: str = "##") -> str:
    shown = f"{name.rpartition('.')[2]}{_signature(function)}"
    return f"{level} {name}\n\n```python\n{shown}\n```\n\n{_documented(function)}\n"


def _signature(function: Callable[..., object]) -> str:
    """Return a signature with its types as the source has them, a parameter a line where it is long."""
    found = inspect.signature(function)
    texts: list[str] = []
    kinds = {parameter.kind for parameter in found.parameters.values()}
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.VAR_POSITIONAL not in kinds and "*" not in texts:
            texts.append("*")
        if parameter.name != "self":
            texts.append(str(parameter.replace(annotation=_Type(parameter.annotation))))
    whole = f"({', '.join(texts)}) -> {found.return_annotation}"
    if len(whole) < WIDTH:
        return whole
    return "(\n    " + ",\n    ".join(texts) + f",\n) -> {found.return_annotation}"


class _Type:
    """A type that is written as it stands."""

    def __init__(self, text: object) -> None:
        self._text = str(text)

    def __repr__(self) -> str:
        return self._text


def _documented(function: Callable[..., object]) -> str:
    """Return a docstring with its examples as code."""
    parts = []
    for paragraph in (inspect.getdoc(function) or "").split("\n\n"):
        example = paragraph.startswith(">>>")
        parts.append(f"```pycon\n{paragraph}\n```" if example else paragraph)
    return "\n\n".join(parts)
