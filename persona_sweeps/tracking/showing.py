"""Show the runs of a sweep in one tracker: what is new of each, once, whether they train or have trained long ago."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.tracking.entries import RunEntry, TableEntry
from persona_sweeps.tracking.ledger import Claimed, Ledger, Shown
from persona_sweeps.tracking.tracker import Session, ShownRun, Tracker, Unreachable

GIVE_UP_AFTER = 3
"""errors of runs one after another, after which a tracker isn't asked again"""
_TABLES = "tables"

_log = logging.getLogger(__name__)
Say = Callable[[str], None]


@dataclass
class _Live:
    """A run that is open in a tracker."""

    run: ShownRun
    stack: contextlib.ExitStack
    curve: Curve
    sent: int = 0


@dataclass
class Count:
    """What came of a pass."""

    shown: int = 0
    before: int = 0
    """runs that were there already"""
    failed: int = 0


class Showing:
    """A tracker at work for one sweep. No call raises: errors are reported, and cost no more than what they concern."""

    def __init__(self, tracker: Tracker, output_dir: Path, sweep: str, say: Say, live: bool = True) -> None:
        """Begin. Unless `live`, runs that aren't over are left alone."""
        self.tracker = tracker
        self._say = say
        self._may_be_live = live
        self._sweep = sweep
        self._output_dir = output_dir
        self._live: dict[str, _Live] = {}
        self._session: Session | None = None
        self._off = False
        self._errors = 0
        self._states: dict[str, tuple[str, str]] = {}
        """what came of each run (shown, before, elsewhere or failed), and the digest of what it was then"""

    @cached_property
    def _ledger(self) -> Ledger:
        target = self.tracker.target(self._output_dir)
        return Ledger(SweepFolder.of(self._output_dir, self._sweep).path, self.tracker.name, target)

    def update(self, entries: Iterable[RunEntry]) -> None:
        """Show what is new of runs: of those in training their curves, if the tracker is live, of others everything."""
        for entry in entries:
            if not self._is_settled(entry):
                self._guard(entry, self._update)

    def finish(self, entries: Iterable[RunEntry]) -> None:
        """Show what is left, and say of runs whose training was cut short that it was."""
        for entry in entries:
            if self._is_settled(entry):
                continue
            if entry.is_over:
                self._guard(entry, self._update)
            elif entry.id in self._live:
                self._guard(replace(entry, status="interrupted"), self._update)

    def tables(self, tables: Callable[[], Sequence[TableEntry]]) -> None:
        """Show the sweep's tables, unless they are there as they are."""
        if self._off:
            return
        try:
            found = tables()
            digest = Ledger.digest([[t.name, list(t.columns), [list(row) for row in t.rows]] for t in found])
            with self._ledger.claim(_TABLES):
                shown = self._ledger.read(_TABLES)
                if found and (shown is None or shown.digest != digest):
                    self._opened().show_tables(found)
                    self._ledger.write(_TABLES, Shown(_TABLES, digest))
        except Claimed:
            return
        except Exception as error:
            self._report("the sweep's tables aren't shown", error)

    def close(self) -> Count:
        """Close the tracker, and return what came of it."""
        for live in self._live.values():
            live.stack.close()
        self._live.clear()
        if self._session is not None:
            try:
                for sentence in self._session.close():
                    self._say(sentence)
            except Exception as error:
                self._report("it wasn't closed properly", error)
        states = [state for state, _ in self._states.values()]
        return Count(*(states.count(state) for state in ("shown", "before", "failed")))

    def _is_settled(self, entry: RunEntry) -> bool:
        """Whether nothing is to be done for a run now: a run that failed before and is tried again has changed."""
        state, digest = self._states.get(entry.id, ("", ""))
        return self._off or state in ("failed", "elsewhere") or digest == entry.digest

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self.tracker.session(self._output_dir, self._sweep)
        return self._session

    def _guard(self, entry: RunEntry, call: Callable[[RunEntry], None]) -> None:
        try:
            call(entry)
            self._errors = 0
        except Claimed:
            self._states[entry.id] = "elsewhere", entry.digest
        except Exception as error:
            if (live := self._live.pop(entry.id, None)) is not None:
                live.stack.close()
            self._states[entry.id] = "failed", entry.digest
            self._errors += 1
            self._off = isinstance(error, Unreachable) or self._session is None or self._errors >= GIVE_UP_AFTER
            what = "it isn't asked again" if self._off else f"run {entry.name} isn't shown there"
            self._report(what, error)

    def _report(self, what: str, error: Exception) -> None:
        _log.debug("tracker=%s failed", self.tracker.name, exc_info=error)
        named = str(error) if isinstance(error, Unreachable) else f"{type(error).__name__}: {error}"
        text = " ".join(named.split()).rstrip(".")
        goes_on = " Training goes on, and its records are whole:" if self._may_be_live else ""
        again = f"`persona-sweeps push --sweep {self._sweep} --to {self.tracker.name}` sends what is missing"
        self._say(f"tracker={self.tracker.name}: {what} ({text}).{goes_on} {again}.")

    def _update(self, entry: RunEntry) -> None:
        live = self._live.get(entry.id)
        if live is None:
            if not (entry.is_over or self._shows_live(entry)):
                return
            live = self._open(entry)
            if live is None:
                self._states[entry.id] = "before", entry.digest
                return
        for point in live.curve.new():
            if live.sent >= live.run.points:
                live.run.log(live.sent, point)
            live.sent += 1
        if not entry.is_over:
            return
        live.run.finish(entry)
        if entry.status != "interrupted":  # a run that goes on some day is over only then
            self._ledger.write(entry.id, Shown(live.run.id, entry.digest))
        self._live.pop(entry.id).stack.close()
        self._states[entry.id] = "shown", entry.digest

    def _shows_live(self, entry: RunEntry) -> bool:
        return self._may_be_live and entry.status == "running" and entry.has_curves and self._opened().live

    def _open(self, entry: RunEntry) -> _Live | None:
        """Open a run in the tracker; None if all of it is there."""
        stack = contextlib.ExitStack()
        try:
            stack.enter_context(self._ledger.claim(entry.id))
            shown = self._ledger.read(entry.id)
            if shown is not None and shown.digest == entry.digest:
                stack.close()
                return None
            run = self._opened().open(replace(entry, id=shown.id) if shown is not None else entry)
        except BaseException:
            stack.close()
            raise
        self._live[entry.id] = _Live(run, stack, Curve(entry.folder.history if entry.has_curves else None))
        return self._live[entry.id]


class Curve:
    """The points of a history, as they come; a history that is cut and grown again gives none of them twice."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._size = 0
        self._last = float("-inf")

    def new(self) -> list[dict[str, float]]:
        """Return the points that were added since the last call, without values that aren't finite."""
        if self._path is None:
            return []
        try:
            size = self._path.stat().st_size
            if size == self._size:
                return []
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        self._size = size
        points = [point for line in text.splitlines(keepends=True) if (point := _point(line)) is not None]
        new = [point for point in points if point["step"] > self._last]
        if new:
            self._last = new[-1]["step"]
        return new


def _point(line: str) -> dict[str, float] | None:
    """Return a line of a history; None for one that isn't whole yet."""
    if not line.endswith("\n"):
        return None
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, Mapping) or not isinstance(found.get("step"), int):
        return None
    return {key: value for key, value in found.items() if isinstance(value, int | float)}
