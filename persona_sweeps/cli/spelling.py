"""Words that Hydra's grammar can't read, each with what it should have been."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from persona_sweeps.errors import UserError

_PLAIN = (
    "--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion",
    "-sc",
)  # fmt: skip
_WITH_VALUE = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip
_ELSEWHERE = {"--dry-run": "plan=only", "--plan": "plan=only", "--status": "status=only"}
"""what other tools call an option → what it is called here"""
_ONE_OPTION = ("model", "quantization", "peft", "dataset", "generation", "train")
"""groups of which a run has one option; Hydra would mix those of a list"""
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
            _require_grammar(word)


def _require_option(word: str, following: str) -> None:
    name, is_given, value = word.partition("=")
    if name in _OPTIONS:
        return
    if near := difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.75):
        raise UserError(f"No option is called {name}. Did you mean {near[0]}? --help lists them.")
    if name in _ELSEWHERE:
        raise UserError(f"No option is called {name}: here it is {_ELSEWHERE[name]}.")
    value = value if is_given else following if "=" not in following and not following.startswith("-") else ""
    raise UserError(f"{word}: overrides have no dashes; write {name.lstrip('-')}={value or 'VALUE'}.")


def _require_grammar(word: str) -> None:
    """Raise UserError for an override that Hydra's parser can't read."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        raise UserError(f"{word} can't be read: {_why_unreadable(word)}.") from None


def _why_unreadable(word: str) -> str:
    key, _, value = word.partition("=")
    for quote in ("'", '"'):
        if word.count(quote) % 2:
            return f"a {quote} is never closed"
    if value.startswith("="):
        return f"write {key}{value}"
    if ",," in value or value.startswith(",") or value.endswith(","):
        return "a comma has no value on one of its sides; a list has no spaces after its commas"
    if re.search(r"\(\s*\)", value):
        return "a function without values chooses nothing"
    if re.fullmatch(r"\{[^:]*\}", value):
        return f"braces hold names with values, {{key: value}}; a text has none, {key}={value.strip('{}')}"
    quoted = shlex.quote(f'{key}="{value}"')
    return f"write key=value, close every bracket, and quote a text ({quoted})"


def _require_value(key: str, value: str) -> None:
    if _SURELY_TEXT.match(value):
        quoted = value.replace('"', '\\"')
        whole = shlex.quote(f'{key}="{quoted}"')
        raise UserError(f"{key}={value}: a text with quotes or braces is quoted itself; write {whole}.")
    if value[:1] in ("'", '"'):
        return
    if key in _ONE_OPTION and value.startswith("[") and value.endswith("]"):
        options = value[1:-1].replace(" ", "")
        raise UserError(f"{key}={value}: a run has one {key}; a run of each is -m {key}={options}.")
    if ";" in value:
        listed = value.replace(";", ",")
        raise UserError(f"{key}={value}: the values of a list have commas between them; write {key}={listed}.")
    for opening, closing in ("()", "[]"):
        if value.count(opening) != value.count(closing):
            missing = closing if value.count(opening) > value.count(closing) else opening
            raise UserError(f"{key}={value} lacks a {missing}.")
