"""Why a base model and its counterpart that were both run are no pair."""

from __future__ import annotations

from ...read.comparable import comparable, differences
from ...read.labels import canonical, flat, model_label, plain
from ...read.selection import Selection
from ...read.settings import Setting
from .pairs import pairs_of

_MOST = 4


def why_no_pair(selection: Selection) -> list[str]:
    """Return a sentence for the first base and counterpart that were both evaluated and aren't compared."""
    settings = [setting for group in comparable(selection.results) for setting in group.settings if setting.has_model]
    for base, instruct in pairs_of(settings):
        return [f"{_named(base, instruct)} may not be compared: {'; '.join(differences(base.first, instruct.first))}."]
    for base in settings:
        for instruct in settings:
            if base.first.get("config.model.counterpart") == instruct.first.get("config.model.name"):
                return [f"{_named(base, instruct)} weren't run with the same settings: {_changed(base, instruct)}."]
    return ["No base model was run beside its instruct counterpart."]


def _named(base: Setting, instruct: Setting) -> str:
    return f"{model_label(base.first)} and {model_label(instruct.first)}"


def _changed(base: Setting, instruct: Setting) -> str:
    one, other = (flat({k: v for k, v in s.first.part("config").items() if k not in _APART}) for s in (base, instruct))
    keys = [key for key in dict.fromkeys([*one, *other]) if canonical(one.get(key)) != canonical(other.get(key))]
    listed = [f"{key} {plain(one.get(key))} and {plain(other.get(key))}" for key in keys[:_MOST]]
    return "; ".join(listed) or "their training data or templates differ"


_APART = ("model", "output_dir", "sweep", "tracker", "seed")
