"""Rows that trained nothing, which trained ones have to beat: how they are marked, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..read.labels import base_label
from ..read.settings import Setting
from .numbers import rate

MARK = "(ref.)"
CEILING = "(ceiling)"
_MOST = 5


def marked(setting: Setting) -> str:
    """Return the setting's label, marked where it is a reference."""
    if setting.is_ceiling:
        return f"{setting.label} {CEILING}"
    return f"{setting.label} {MARK}" if setting.is_reference else setting.label


def with_rate(setting: Setting) -> str:
    """Return the setting's label with its learning rate, for a table without a column of rates."""
    return (
        marked(setting) if setting.learning_rate is None else f"{marked(setting)}, rate {rate(setting.learning_rate)}"
    )


def notes(found: Sequence[Setting]) -> list[str]:
    """Say what the references among the settings of a section are, and which models have none of their own there."""
    described = {
        setting.method: f"{setting.label} is {setting.first.get('predictor.description') or setting.method}"
        for setting in reversed(found)
        if setting.is_reference and not setting.is_ceiling
    }
    listed = "; ".join(described[method] for method in sorted(described))
    said = [f"Rows marked {MARK} are references, which trained nothing, to be beaten: {listed}."] if described else []
    ceilings = dict.fromkeys(str(s.first.get("predictor.description") or s.label) for s in found if s.is_ceiling)
    said += [f"The row marked {CEILING} is {description}. It has no rank." for description in ceilings]
    return [*said, *_without_reference(found)]


def _without_reference(found: Sequence[Setting]) -> list[str]:
    models = dict.fromkeys(base_label(setting.first) for setting in found if setting.has_model)
    having = {base_label(setting.first) for setting in found if setting.has_model and setting.is_reference}
    without = [model for model in models if model not in having]
    if not without:
        return []
    names = ", ".join(without[:_MOST]) + (f" and {len(without) - _MOST} more" if len(without) > _MOST else "")
    of = f" of {names}" if len(models) > 1 else ""
    return [
        f"No reference{of} in this section: run the base model as it is, everything else the same (peft=none), to see "
        "what training adds."
    ]
