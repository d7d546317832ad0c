"""What was tried: a setting is what several seeds have in common, by the setting key of their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..statistics.spread import Spread, spread
from .labels import canonical, flat, has_model, method_label, method_of, model_label, plain
from .results import RunResult

_GROUPS = ("model", "quantization", "peft", "train", "dataset", "max_length")
"""of the config: what a setting is"""
_FINGERPRINTS = ("data_fingerprint", "template_fingerprint", "model_fingerprint")


@dataclass(frozen=True)
class Setting:
    """The results of one setting, one a seed; `extra` tells apart settings that would read the same in a table."""

    results: tuple[RunResult, ...]
    extra: str = ""

    @property
    def first(self) -> RunResult:
        return self.results[0]

    @property
    def method(self) -> str:
        return method_of(self.first)

    @cached_property
    def label(self) -> str:
        """The method with its settings, such as `LoRA r=8 α=16`."""
        return f"{method_label(self.first)} {self.extra}".strip()

    @property
    def trains(self) -> bool:
        return self.first.get("predictor.trains", True) is not False

    @property
    def is_reference(self) -> bool:
        """Whether it trained nothing and is there to be beaten."""
        return self.first.get("predictor.is_reference") is True

    @property
    def is_ceiling(self) -> bool:
        """Whether it answers with the truth itself, so that nothing can be expected to do better."""
        return self.first.get("predictor.is_ceiling") is True

    @property
    def has_model(self) -> bool:
        return has_model(self.first)

    @cached_property
    def learning_rate(self) -> float | None:
        """The learning rate that was used; None where nothing was trained."""
        if not self.trains:
            return None
        asked = self.first.number("config.train.learning_rate")
        return asked if asked is not None else self.first.number("config.peft.learning_rate")

    @property
    def seeds(self) -> list[Any]:
        return [result.seed for result in self.results]

    @property
    def seeds_label(self) -> str:
        """Which seeds there are, and how many: a lone 0 would read as none."""
        known = [str(seed) for seed in self.seeds if seed is not None]
        return f"{', '.join(known)} (n={len(self.seeds)})" if known else "–"

    @property
    def is_fixed(self) -> bool:
        """Whether no seed can change its answers: nothing was trained, drawn or sampled."""
        return all(seed is None for seed in self.seeds)

    @property
    def run_ids(self) -> list[str]:
        return list(dict.fromkeys(result.run_id for result in self.results))

    def config_but(self, group: str) -> str:
        """Return its config without one group, equal for settings that differ in that group alone."""
        return canonical({name: value for name, value in _groups(self.first).items() if name != group})

    def spread(self, dotted: str) -> Spread | None:
        """Return mean and deviation of a number over the results that have it; None when none has."""
        values = [result.number(dotted) for result in self.results]
        return spread([value for value in values if value is not None])


def settings(results: Iterable[RunResult]) -> list[Setting]:
    """Group results by setting key and comparability key, in order of first appearance."""
    groups: dict[tuple[str, str | None], list[RunResult]] = {}
    for result in results:
        groups.setdefault((result.setting_key, result.key), []).append(result)
    return _told_apart([Setting(tuple(group)) for group in groups.values()])


def _told_apart(found: Sequence[Setting]) -> list[Setting]:
    """Name, in settings that would read the same, in what they differ."""
    alike: dict[tuple[object, ...], list[Setting]] = {}
    for setting in found:
        shown = (setting.first.key, model_label(setting.first), setting.label, setting.learning_rate)
        alike.setdefault(shown, []).append(setting)
    extras = {
        id(setting): extra for group in alike.values() for setting, extra in zip(group, _extras(group), strict=True)
    }
    return [replace(setting, extra=extras[id(setting)]) for setting in found]


def _extras(group: Sequence[Setting]) -> list[str]:
    """Return what each of these has that the others haven't: config values, else fingerprints, else its key."""
    if len(group) == 1:
        return [""]
    flats = [flat(_groups(setting.first)) for setting in group]
    keys = sorted({key for values in flats for key in values})
    differing = [key for key in keys if len({canonical(values.get(key)) for values in flats}) > 1]
    if not differing:
        flats = [{key: _short(setting.first.get(f"provenance.{key}")) for key in _FINGERPRINTS} for setting in group]
        differing = [key for key in _FINGERPRINTS if len({values[key] for values in flats}) > 1]
    if not differing:
        return [f"setting {setting.first.setting_key[:6]}" for setting in group]
    return [" ".join(f"{key}={plain(values.get(key))}" for key in differing) for values in flats]


def _groups(result: RunResult) -> dict[str, Any]:
    config = result.part("config")
    return {group: config[group] for group in _GROUPS if group in config}


def _short(fingerprint: Any) -> str:
    return str(fingerprint)[:12]
