"""The sheet that a rater gets, as CSV and as one HTML page; neither shows which run wrote what."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping
from importlib.resources import files

from .design import ANSWERS, QUESTIONS, Key

SIDES = ("A", "B")
HEAD = ("sheet", "key", "rater", "unit")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(key: Key) -> str:
    """Return the sheet for a spreadsheet: a row a unit, with an empty column a question.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    shown = ["persona_card", "prompt", *([f"reply {side}" for side in SIDES] if _paired(key) else ["reply"])]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*HEAD, *shown, *QUESTIONS[key.design]])
    for unit in key.units:
        texts = [unit.persona, unit.prompt, *unit.texts]
        blank = [""] * len(QUESTIONS[key.design])
        writer.writerow([key.sheet, key.hash, "", unit.unit, *map(_no_formula, texts), *blank])
    return out.getvalue()


def to_html(key: Key) -> str:
    """Return the sheet as a page that opens from disk and saves the answers as a CSV file; it asks no network."""
    from jinja2 import Environment, StrictUndefined

    assets = files(__package__) / "assets"
    style, script = ((assets / name).read_text(encoding="utf-8") for name in ("sheet.css", "sheet.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = visible
    return environment.from_string((assets / "sheet.html.j2").read_text(encoding="utf-8")).render(
        key=key,
        sides=SIDES if _paired(key) else ("",),
        questions=QUESTIONS[key.design],
        answers=ANSWERS[key.design],
        paired=_paired(key),
        style=_Trusted(style),
        script=_Trusted(script),
        policy=f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}",
    )


def visible(text: str) -> str:
    """Return text whose control and direction characters are shown by code instead of acting."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"[U+{ord(c):04X}]" for c in text)


class _Trusted(str):
    """Our own style and script, which aren't escaped."""

    def __html__(self) -> str:
        return str(self)


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _paired(key: Key) -> bool:
    return key.design == "pairwise"


def answers_csv(key: Key, rater: str, answers: Mapping[str, Mapping[str, str]]) -> str:
    """Return a rater's answers by unit and question, as `read` takes them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    questions = list(QUESTIONS[key.design])
    writer.writerow([*HEAD, *questions])
    for unit, given in answers.items():
        writer.writerow([key.sheet, key.hash, rater, unit, *(given.get(question, "") for question in questions)])
    return out.getvalue()
