"""What the page says of itself: the sweep, its command, when it ran, from which commit, and how its runs ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..read.results import FAILED, STATUSES
from ..read.selection import Selection

_COMMANDS = 5
"""most commands of a sweep that are shown"""
_PROVENANCE = ("provenance", "evaluation.provenance")


def header(selection: Selection, sweep_file: Path | None, made: str) -> list[tuple[str, str]]:
    """Return names with what is to be said, leaving out what no record says."""
    entries = [
        *(("command", command) for command in _commands(sweep_file)),
        ("runs", _states(selection)),
        ("ran", _when(selection)),
        ("git commit", _commits(selection)),
        ("this page", f"made {made}"),
    ]
    return [(name, text) for name, text in entries if text]


def _commands(sweep_file: Path | None) -> list[str]:
    """Return the last commands as sweep.json has them; none where it can't be read: the selection's problems say so."""
    if sweep_file is None:
        return []
    try:
        document = json.loads(sweep_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(document, Mapping):
        return []
    commands = document.get("commands", [document.get("command")])
    return [str(command) for command in commands if command][-_COMMANDS:] if isinstance(commands, list) else []


def _states(selection: Selection) -> str:
    count = Counter(run.run_status for run in selection.runs())
    parts = [f"{count[status]} {status}" for status in STATUSES if count[status]]
    failed = sum(result.status == FAILED != result.run_status for result in selection.results)
    parts += [f"{failed} evaluations failed"] if failed else []
    parts += [f"{len(selection.absent)} without a record"] if selection.absent else []
    parts += [f"{len(selection.problems)} unreadable"] if selection.problems else []
    return " · ".join(parts) or "none"


def _when(selection: Selection) -> str | None:
    began, ended = _moments(selection, "created"), _moments(selection, "finished")
    if not began:
        return None
    return f"{_moment(began[0])} to {_moment(max(began[-1], ended[-1]))}" if ended else f"since {_moment(began[0])}"


def _moments(selection: Selection, key: str) -> list[str]:
    found = (result.get(f"{part}.{key}") for result in selection.results for part in _PROVENANCE)
    return sorted(str(moment) for moment in found if moment)


def _moment(text: str) -> str:
    """Return `2026-11-21 06:00 UTC` for a moment as records write it; any other text as it is."""
    day, _, time = text.partition("T")
    return f"{day} {time[:5]} UTC" if time.endswith(("+00:00", "Z")) else text


def _commits(selection: Selection) -> str | None:
    commits = Counter(
        f"{str(commit)[:12]}{' with changes' if run.get('provenance.git_dirty') else ''}"
        for run in selection.runs()
        if (commit := run.get("provenance.git_commit"))
    )
    if len(commits) < 2:
        return next(iter(commits), None)
    return " · ".join(f"{commit} ({count} runs)" for commit, count in commits.most_common())
