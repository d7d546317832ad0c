"""Words that Hydra's grammar can't read, each with what it should have been."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence

from persona_sweeps.errors import UserError

_PLAIN = (
    "--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion",
    "-sc",
)  # fmt: skip
_WITH_VALUE = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip
_OPTIONS = (*_PLAIN, *_WITH_VALUE)
_SURELY_TEXT = re.compile(r"[^\[{('\"$].*(?:['\"]|(?<!\$){)")
"""a value that isn't quoted, and holds what only a quoted one may: a quote, or a brace that begins no ${…}"""


def require_readable(words: Sequence[str]) -> None:
    """Raise UserError for the first word that is no option and no override, with how to write it."""
    skip = False
    for place, word in enumerate(words):
        if skip or not word:
            skip = False
        elif word.startswith("-") and not re.match(r"-\d", word):
            skip = word in _WITH_VALUE
            _require_option(word, words[place + 1] if place + 1 < len(words) else "")
        elif "=" not in word and not word.startswith("~"):
            raise UserError(
                f"{word} stands alone: an override is written key=value, without spaces around = or after commas."
            )
        elif "=" in word:
            _require_value(*word.split("=", 1))


def _require_option(word: str, following: str) -> None:
    name, is_given, value = word.partition("=")
    if name in _OPTIONS:
        return
    if near := difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.75):
        raise UserError(f"No option is called {name}. Did you mean {near[0]}? --help lists them.")
    value = value if is_given else following if "=" not in following and not following.startswith("-") else ""
    raise UserError(f"{word}: overrides have no dashes; write {name.lstrip('-')}={value or 'VALUE'}.")


def _require_value(key: str, value: str) -> None:
    if _SURELY_TEXT.match(value):
        quoted = value.replace('"', '\\"')
        whole = shlex.quote(f'{key}="{quoted}"')
        raise UserError(f"{key}={value}: a text with quotes or braces is quoted itself; write {whole}.")
    if value[:1] in ("'", '"'):
        return
    if ";" in value:
        listed = value.replace(";", ",")
        raise UserError(f"{key}={value}: the values of a list have commas between them; write {key}={listed}.")
    for opening, closing in ("()", "[]"):
        if value.count(opening) != value.count(closing):
            missing = closing if value.count(opening) > value.count(closing) else opening
            raise UserError(f"{key}={value} lacks a {missing}.")
