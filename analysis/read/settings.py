"""What was tried: a setting is what several seeds have in common, by the setting key of their records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..statistics.spread import Spread, spread
from .differing import extras, groups
from .labels import canonical, has_model, method_label, method_of
from .results import RunResult


@dataclass(frozen=True)
class Setting:
    """The results of one setting, one a seed.

    `extra` has the keys in which it differs from others of its section, and that nothing else names. `lost` are seeds
    that failed; `doubled` results were of a seed that another has, too, and don't count.
    """

    results: tuple[RunResult, ...]
    extra: str = ""
    lost: tuple[RunResult, ...] = ()
    doubled: int = 0

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
        lost = f"; {self.losses}" if self.losses else ""
        return f"{', '.join(known)} (n={len(self.seeds)}{lost})" if known else self.losses or "–"

    @property
    def seeds_count(self) -> str:
        """How many seeds there are, and how many there aren't."""
        return f"{len(self.results)} ({self.losses})" if self.lost else str(len(self.results))

    @property
    def diverged(self) -> int:
        """How many of its seeds diverged: the others are survivors, and no picture of the setting."""
        return sum(result.diverged for result in self.lost)

    @property
    def losses(self) -> str:
        """What became of the seeds that have no result, such as `1 of 3 diverged`; nothing where there are none."""
        failed, seeds = len(self.lost) - self.diverged, len(self.results) + len(self.lost)
        words = [(self.diverged, "diverged"), (failed, "failed")]
        return ", ".join(f"{count} of {seeds} {word}" for count, word in words if count)

    @property
    def is_fixed(self) -> bool:
        """Whether no seed can change its answers: nothing was trained, drawn or sampled."""
        return all(seed is None for seed in self.seeds)

    @property
    def run_ids(self) -> list[str]:
        return list(dict.fromkeys(result.run_id for result in self.results))

    def config_but(self, group: str) -> str:
        """Return its config without one group, equal for settings that differ in that group alone."""
        return canonical({name: value for name, value in groups(self.first).items() if name != group})

    def spread(self, dotted: str) -> Spread | None:
        """Return mean and deviation of a number over the results that have it; None when none has."""
        if dotted not in self._spreads:
            values = [result.number(dotted) for result in self.results]
            self._spreads[dotted] = spread([value for value in values if value is not None])
        return self._spreads[dotted]

    @cached_property
    def _spreads(self) -> dict[str, Spread | None]:
        """The spreads that were asked for: tables of thousands of rows ask often."""
        return {}


def settings(results: Iterable[RunResult]) -> list[Setting]:
    """Group results by setting key and comparability key, in order of first appearance."""
    return _told_apart([Setting(tuple(group)) for group in _by_key(results).values()])


def settings_with_losses(results: Iterable[RunResult], failed: Iterable[RunResult]) -> list[Setting]:
    """Return the same for a table: with the seeds that each setting lost, and each seed once.

    `failed` are runs of whatever setting that came to nothing. Of several runs with one seed the last counts.
    """
    lost: dict[str, list[RunResult]] = {}
    for result in failed:
        lost.setdefault(result.setting_key, []).append(result)
    return _told_apart([_setting(group, lost.get(key, [])) for (key, _), group in _by_key(results).items()])


def _by_key(results: Iterable[RunResult]) -> dict[tuple[str, str | None], list[RunResult]]:
    found: dict[tuple[str, str | None], list[RunResult]] = {}
    for result in results:
        found.setdefault((result.setting_key, result.key), []).append(result)
    return found


def _setting(group: Sequence[RunResult], failed: Sequence[RunResult]) -> Setting:
    last: dict[str, RunResult] = {}
    for result in group:
        other = last.setdefault(repr(result.seed), result)
        if other.run_id != result.run_id:
            last[repr(result.seed)] = max(other, result, key=_finished)
    chosen = tuple(result for result in group if last[repr(result.seed)].run_id == result.run_id)
    seeds, ids = {repr(result.seed) for result in chosen}, {result.run_id for result in group}
    lost = {result.run_id: result for result in failed if result.run_id not in ids and repr(result.seed) not in seeds}
    return Setting(chosen, lost=tuple(lost.values()), doubled=len(group) - len(chosen))


def _finished(result: RunResult) -> tuple[str, str]:
    return str(result.get("provenance.finished") or ""), result.run_id


def _told_apart(found: Sequence[Setting]) -> list[Setting]:
    """Name in settings that stand in one section in what they differ, as far as nothing else says it."""
    sections: dict[str | None, list[Setting]] = {}
    for setting in found:
        sections.setdefault(setting.first.key, []).append(setting)
    named = {
        id(setting): extra
        for section in sections.values()
        for setting, extra in zip(section, extras(section), strict=True)
    }
    return [replace(setting, extra=named[id(setting)]) for setting in found]
