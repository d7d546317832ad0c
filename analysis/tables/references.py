"""Rows that trained nothing, which trained ones have to beat: how they are marked, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.config.kinds import kind_of

from ..read.comparability import base_label
from ..read.settings import Setting, has_model

MARK = "(reference)"
_WHAT = {
    "none": "the base model as it is",
    "few_shot": "the base model as it is, with solved training examples before each prompt",
    "nearest_reply": "no model, but the reply of the training example whose prompt is most like the one asked",
}
"""what the text of each is, by `peft.method`"""
_MOST = 5


def is_reference(setting: Setting) -> bool:
    return not kind_of(setting.method).trains


def marked(setting: Setting) -> str:
    """Return the setting's label, marked where it is a reference."""
    return f"{setting.label} {MARK}" if is_reference(setting) else setting.label


def notes(found: Sequence[Setting]) -> list[str]:
    """Say what the references among the settings of a section are, and which models have no untuned base there."""
    present = {setting.method: setting for setting in reversed(found) if is_reference(setting)}
    told = [f"{setting.label} is {_WHAT.get(method, method)}" for method, setting in sorted(present.items())]
    said = [f"Rows marked {MARK} trained nothing, and are there to be beaten: {'; '.join(told)}."] if told else []
    return [*said, *_without_base(found)]


def _without_base(found: Sequence[Setting]) -> list[str]:
    models = dict.fromkeys(base_label(setting.first) for setting in found if has_model(setting.first))
    based = {base_label(setting.first) for setting in found if setting.method == "none"}
    without = [model for model in models if model not in based]
    if not without:
        return []
    names = ", ".join(without[:_MOST]) + (f" and {len(without) - _MOST} more" if len(without) > _MOST else "")
    of = f" of {names}" if len(models) > 1 else ""
    return [
        f"No untuned base{of} in this section: run with peft=none, everything else the same, to see what training adds."
    ]
